//! Worlds of many engines: simulated time, injected faults, and one seed that decides everything.
//!
//! A failure that cannot be repeated teaches nothing. So every choice of a simulated world (who
//! meets whom, which sync fails, where a process is killed) is drawn from a [`Seed`], every
//! failure prints that seed, and the same seed is the same world on every machine. The engine is
//! driven through its public surface only; nothing here stands in for a part of it.
#![warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

pub mod author;
mod crash;
mod disk;
pub mod home;
pub mod ledger;
mod seed;
pub mod swarm;

pub use crash::{Crash, CrashRun, Keeping};
pub use disk::{Cover, Crashes, Disk, Journal};
pub use seed::Seed;
pub use swarm::{Ending, Meetings, Options, Sabotage, Swarm};
