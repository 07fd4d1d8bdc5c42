//! Everything Thistledown decides: feeds, verification, what is carried, and the store.
//!
//! The engine is a function of its inputs. Bytes, time, secret seeds and a disk go in; news and
//! bytes come out. It opens no file or socket, reads no clock, draws no randomness, starts no
//! thread. The program, the simulator and the fuzzers drive this very code.
//!
//! # The driver's rules
//!
//! 1. One input at a time; then [`Node::poll`] until `None`; then the next input.
//! 2. Carry out outputs in order. What must be durable was durable before its output appeared.
//! 3. `tick` never decreases within a boot; `wall` may do anything.
//! 4. Bytes may be lost, repeated, reordered or damaged; the engine assumes nothing of them.
//! 5. Say [`Input::Idle`] when nothing waits, again while [`Event::Idle`] says that more does.
//! 6. A bundle that was opened is ended, also when reading its file failed half-way.
//! 7. After an error, drop the node and open it again. Nothing else is safe.
//! 8. The engine never waits, prints or logs. What it has to say is an [`Event`].
//!
//! ```
//! use thistle_engine::account::{AccountKey, Phrase};
//! use thistle_engine::content::{Carry, Content, Post};
//! use thistle_engine::key::Seed;
//! use thistle_engine::time::Now;
//! use thistle_engine::{BundleRequest, InMemoryBackend, Input, Node, Query, Setup};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Now { tick: 0, wall: 1_772_438_400_000, boot_id: 1 };
//! let person = |n| AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new([n; 32])));
//! let device = |n, name| {
//!     let setup = Setup { carry: Carry::Open, name: Some(name), cache_bytes: 1 << 20 };
//!     Node::create(InMemoryBackend::new(), &person(n), setup, Seed::new([n + 9; 32]), now)
//! };
//! let (mut ana, mut bo) = (device(1, "Ana")?, device(2, "Bo")?);
//!
//! let text = "The bridge is out; come by the mill.".to_owned();
//! ana.write(now, &Content::Post(Post { time: 1_772_438_400, text, ..Post::default() }), 0)?;
//!
//! let mut bundle = ana.reader()?.bundle(&BundleRequest::default())?;
//! bo.handle(now, Input::BundleOpened { bundle: 1, via: "stick" })?;
//! while let Some(bytes) = bundle.poll()? {
//!     bo.handle(now, Input::BundleChunk { bundle: 1, bytes: &bytes })?;
//! }
//! bo.handle(now, Input::BundleEnded { bundle: 1 })?;
//! while let Some(output) = bo.poll() {
//!     println!("{output:?}");
//! }
//! let hits = bo.reader()?.query(&Query { limit: 10, ..Query::default() })?;
//! assert_eq!(hits.len(), 1);
//! # Ok(())
//! # }
//! ```
// Bytes from strangers reach this crate: nothing in it may panic on them.
#![cfg_attr(
    not(test),
    warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]

pub mod account;
pub mod bundle;
pub mod codec;
pub mod container;
pub mod content;
pub mod entry;
pub mod fork;
pub mod ids;
mod ingest;
pub mod key;
pub mod limits;
mod node;
pub mod order;
mod own;
pub mod policy;
mod reader;
pub mod reconcile;
pub mod seal;
mod sealing;
pub mod segment;
pub mod session;
mod store;
pub mod time;

pub use ingest::Refusal;
pub use node::{
    Added, Event, Fault, Input, Node, Output, Report, Sent, SessionEnding, SessionFault,
    SessionReport, Setup,
};
pub use own::{WriteError, Written};
pub use reader::{
    BundleRequest, BundleSource, Checked, Contact, FeedInfo, Finding, Gathered, Me, Progress,
    Reader, Said, SealedFor, Shared, Shown, Status,
};
pub use redb::StorageBackend;
pub use redb::backends::{FileBackend, InMemoryBackend};
pub use sealing::{Audience, Changed};
pub use store::{
    BackupHead, Counts, Held, Hit, Keyring, LockedDisk, Order, Query, Received, Remembered,
    STORE_VERSION, SharedMemory, Slot, State, StoreError, Stretched, Unsealed, noise,
};
