//! Fuzzes the messages of a reconciliation, and runs that hear them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| thistle_fuzz::obey("reconcile", bytes));
