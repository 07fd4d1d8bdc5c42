//! The program as people and scripts meet it: each test runs the built binary in homes of its own.
//!
//! The environment is cleared and the clocks are pinned; what a test does not expect on standard
//! error fails it.

mod attacks;
mod audit;
mod bundles;
mod errors;
mod help;
mod imports;
mod keeping;
mod locked;
mod logs;
mod meeting;
mod people;
mod private;
mod queries;
mod recognised;
#[path = "../src/commands/audit/search.rs"]
mod search;
mod sharing;
mod world;
mod writing;
