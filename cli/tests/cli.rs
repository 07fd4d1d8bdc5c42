//! The program as people and scripts meet it: each test runs the built binary in homes of its own.
//!
//! The environment is cleared and the clocks are pinned; what a test does not expect on standard
//! error fails it.

mod bundles;
mod errors;
mod help;
mod imports;
mod keeping;
mod logs;
mod meeting;
mod people;
mod queries;
mod sharing;
mod world;
mod writing;
