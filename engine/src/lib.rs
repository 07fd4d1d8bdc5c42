//! Everything Thistledown decides.
#![warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

pub mod codec;
pub mod key;
pub mod limits;
pub mod time;
