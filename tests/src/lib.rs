//! What the tests of this folder share: where the repository is, its files, Rust as text, and the
//! program that is called.
//!
//! The tests themselves are the `*.rs` files one folder up, each declared in `Cargo.toml`. What
//! is here must stay small: a helper that hides what a test does makes the test unreadable.

pub mod program;
pub mod source;
pub mod tree;
