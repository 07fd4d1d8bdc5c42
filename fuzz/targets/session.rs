//! Fuzzes the sentences of a session, and nodes that hear them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| thistle_fuzz::obey("session", bytes));
