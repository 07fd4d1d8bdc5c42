//! The engine as its driver sees it: nodes on disks in memory, bundles carried by hand, and bytes
//! that nobody should have sent. One binary, so that it is built and linked once.

mod addresses;
mod carry;
mod common;
mod costs;
mod forks;
mod fuzz_targets;
mod hops;
mod hostile_bytes;
mod hostile_peers;
mod keeping;
#[path = "../../../fuzz/src/laws/mod.rs"]
mod laws;
mod lifetimes;
mod meet;
mod mutate;
mod room;
mod session_costs;
mod sessions;
#[path = "../../benches/strangers.rs"]
mod strangers;
