//! `thistle`: signed feeds that travel by stick when the network is gone.

mod address;
mod args;
mod commands;
mod context;
mod control;
mod debug;
mod disk;
mod facts;
mod home;
mod host;
#[cfg(test)]
#[path = "../../fuzz/src/import.rs"]
mod import_laws;
mod log;
mod mailbox;
mod names;
mod net;
mod outcome;
mod passphrase;
mod pick;
mod progress;
mod qr;
mod run;
mod show;
mod text;
mod vault;
mod view;
mod village;
mod when;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(run::main())
}
