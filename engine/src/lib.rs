//! Everything Thistledown decides.
// Bytes from strangers reach this crate: nothing in it may panic on them.
#![cfg_attr(
    not(test),
    warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]

pub mod account;
pub mod bundle;
pub mod codec;
pub mod content;
pub mod entry;
pub mod fork;
pub mod ids;
mod ingest;
pub mod key;
pub mod limits;
pub mod order;
pub mod policy;
pub mod segment;
mod node;
mod reader;
mod store;
pub mod time;

pub use node::{
    Ending, Event, Fault, Input, Me, Node, Output, Report, WriteError, Written,
};
pub use ingest::Refusal;
pub use reader::{
    BundleRequest, BundleSource, Checked, FeedInfo, Finding, Gathered, Reader, Status,
};
pub use redb::StorageBackend;
pub use redb::backends::{FileBackend, InMemoryBackend};
pub use store::{Counts, Held, Hit, Order, Query, Received, STORE_VERSION, State, StoreError};
