//! Links: what moves bytes between two nodes.
//!
//! The one link so far is a folder, most often on a stick, that holds bundle files. A link knows
//! nothing of feeds, entries or keys, and this crate does not name the engine: the program joins
//! the two. What a link promises is small: bytes arrive as they were given or not at all.
// What lies on a stick was put there by strangers: nothing here may panic on it.
#![warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod folder;

pub use folder::{Action, BUNDLE_SUFFIX, Folder, FolderError, LISTED_FILES, write_file};
