//! Fuzzes contents of payloads.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| thistle_fuzz::obey("content", bytes));
