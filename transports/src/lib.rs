//! Links: what moves bytes between two nodes.
//!
//! Two nodes that meet talk over a [`Link`]: QUIC over a network, Noise over any stream of bytes, or
//! memory inside one process. Where
//! nobody meets, a folder, most often on a stick, holds bundle files. A link knows nothing of feeds
//! or entries, and this crate does not name the engine: the program joins the two. What a link
//! promises is small: bytes arrive as they were given or not at all.
// What lies on a stick was put there by strangers: nothing here may panic on it.
#![warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod folder;
mod hello;
mod link;
mod memory;
mod noise;
mod quic;

pub use folder::{
    Action, BUNDLE_SUFFIX, Folder, FolderError, LISTED_FILES, SEALED_NAME_BYTES, sealed_name,
    write_file,
};
pub use hello::Hello;
pub use link::{Link, LinkError, Nature, PIECE_BYTES, Transport};
pub use memory::{Memory, MemoryLink};
pub use noise::NoiseLink;
pub use quic::{LINKS, Place, Quic, QuicLink, key_of};
