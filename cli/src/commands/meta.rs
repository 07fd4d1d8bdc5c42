//! `completions` and `man`: made from the command line itself, so that they cannot fall behind it.

use clap::CommandFactory;

use crate::args::{self, Args};
use crate::context::Streams;
use crate::outcome::CliError;

/// `completions`.
pub(crate) fn completions(args: &args::Completions, streams: &mut Streams) -> Result<u8, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "thistle", &mut script);
    print(&script, streams)
}

/// `man`: one page for all commands.
pub(crate) fn man(streams: &mut Streams) -> Result<u8, CliError> {
    let mut page = Vec::new();
    let rendered = page_of_all(&mut page);
    rendered.unwrap_or_else(|_| unreachable!("memory takes what is written"));
    print(&page, streams)
}

fn print(bytes: &[u8], streams: &mut Streams) -> Result<u8, CliError> {
    streams.out.write_all(bytes).map_err(|error| CliError::output(&error))?;
    Ok(0)
}
