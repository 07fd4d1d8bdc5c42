//! `completions` and `man`: made from the command line itself, so that they cannot fall behind it.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_mangen::Man;

use crate::args::{self, Args};
use crate::context::Streams;
use crate::outcome::{CliError, EXIT_CODES};

/// What the program reads from the environment.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("THISTLE_HOME", "The home, where `--home` does not say it."),
    (
        "THISTLE_LOG",
        "What the program does is logged to standard error, for whoever looks for a fault: `error`, \
         `warn`, `info`, `debug` or `trace`; without it nothing is. No text, name, channel, id or \
         path is in a log, so that it can be sent to somebody. A command that another process \
         carries out is logged there.",
    ),
    ("VISUAL, EDITOR", "The editor for `thistle write` at a terminal."),
    ("NO_COLOR", "If set, nothing is coloured."),
    ("COLUMNS", "How wide lines may be, where the terminal does not say it."),
    ("TZ", "The time zone in which times are read and shown."),
];

/// `completions`.
pub(crate) fn completions(args: &args::Completions, streams: &mut Streams) -> Result<u8, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "thistle", &mut script);
    print(&script, streams)
}

/// `man`: one page for all commands.
pub(crate) fn man(streams: &mut Streams) -> Result<u8, CliError> {
    let page = page().map_err(|error| CliError::output(&error))?;
    print(&page, streams)
}

fn print(bytes: &[u8], streams: &mut Streams) -> Result<u8, CliError> {
    streams.out.write_all(bytes).map_err(|error| CliError::output(&error))?;
    Ok(0)
}

fn page() -> io::Result<Vec<u8>> {
    let mut command = Args::command().after_long_help("");
    command.build();
    let mut out = Vec::new();
    let man = Man::new(command.clone());
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    writeln!(out, ".SH COMMANDS")?;
    for command in command.get_subcommands() {
        describe(command, &mut out)?;
    }
    writeln!(out, ".SH \"EXIT STATUS\"")?;
    for (code, meaning) in EXIT_CODES {
        writeln!(out, ".TP\n\\fB{code}\\fR\n{}", escaped(meaning))?;
    }
    writeln!(out, ".SH ENVIRONMENT")?;
    for (name, meaning) in ENVIRONMENT {
        writeln!(out, ".TP\n\\fB{}\\fR\n{}", escaped(name), escaped(meaning))?;
    }
    Ok(out)
}

/// Describes a command, or the commands below it.
fn describe(command: &clap::Command, out: &mut Vec<u8>) -> io::Result<()> {
    if command.has_subcommands() {
        return command.get_subcommands().try_for_each(|below| describe(below, out));
    }
    let name = command.get_bin_name().unwrap_or(command.get_name());
    writeln!(out, ".SS \"{}\"", escaped(name))?;
    // What all commands share stands at the top of the page.
    let shared = |id: &str| command.get_arguments().any(|argument| argument.get_id() == id);
    let hidden = ["home", "json", "help"].into_iter().filter(|id| shared(id));
    let command = hidden
        .fold(command.clone(), |command, id| command.mut_arg(id, |argument| argument.hide(true)));
    let man = Man::new(command);
    let mut sections = Vec::new();
    man.render_synopsis_section(&mut sections)?;
    man.render_description_section(&mut sections)?;
    man.render_options_section(&mut sections)?;
    // A section within a section has no place for headings of its own.
    for line in sections.split_inclusive(|byte| *byte == b'\n') {
        // Nor does it need the quotation mark to be defined once more.
        if !line.starts_with(b".ie ") && !line.starts_with(b".el ") {
            out.write_all(if line.starts_with(b".SH") { b".PP\n" } else { line })?;
        }
    }
    Ok(())
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('-', "\\-")
}
