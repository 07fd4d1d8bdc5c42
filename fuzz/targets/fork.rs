//! Fuzzes fork proofs.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| thistle_fuzz::obey("fork", bytes));
