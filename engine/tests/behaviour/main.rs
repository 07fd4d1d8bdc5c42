//! The engine as its driver sees it: nodes on disks in memory, bundles carried by hand, and bytes
//! that nobody should have sent. One binary, so that it is built and linked once.

mod addresses;
mod attacks;
mod attacks_on_links;
mod cards;
mod carry;
mod common;
mod costs;
mod forks;
mod fuzz_targets;
mod history;
mod hops;
mod hostile_bytes;
mod hostile_members;
mod hostile_peers;
mod keeping;
mod late;
#[path = "../../../fuzz/src/laws/mod.rs"]
mod laws;
mod lifetimes;
mod meet;
mod mutate;
mod private;
mod recognition;
mod requirements;
mod revoked;
mod room;
mod sealed_bundles;
mod session_costs;
mod sessions;
#[path = "../../benches/strangers.rs"]
mod strangers;
mod theft;
