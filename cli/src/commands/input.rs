//! What a command reads besides its words: standard input, the editor, the phrase.
//!
//! It is read before the command is handed to whoever holds the store, since only this process has
//! the person's terminal. Nothing is asked unless standard input is a terminal.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process;

use thistle_engine::account::PHRASE_WORDS;
use zeroize::Zeroizing;

use crate::args::{self, Command};
use crate::context::Streams;
use crate::home::{self, Home};
use crate::outcome::{CliError, Kind};

/// More than any entry holds.
const INPUT_BYTES: u64 = 64 * 1024;

/// Reads what a command needs besides its words.
pub(crate) fn read(
    command: &Command,
    home: &Home,
    streams: &mut Streams,
) -> Result<Option<String>, CliError> {
    match command {
        Command::Write(write) => text(write, home, streams),
        Command::Confirm | Command::Device(_) => {
            phrase(streams).map(|phrase| Some(phrase.to_string()))
        }
        _ => Ok(None),
    }
}

fn text(
    write: &args::Write,
    home: &Home,
    streams: &mut Streams,
) -> Result<Option<String>, CliError> {
    let dash = write.text.len() == 1 && write.text.first().is_some_and(|word| word == "-");
    if !write.text.is_empty() && !dash {
        return Ok(None);
    }
    if dash || !io::stdin().is_terminal() {
        return standard_input().map(Some);
    }
    home.expect_some()?;
    edited(home, streams).map(Some)
}

/// Reads all of standard input as text.
fn standard_input() -> Result<String, CliError> {
    let unreadable = |error: io::Error| {
        CliError::new(Kind::Input, "standard input cannot be read").because(&error)
    };
    let mut bytes = Vec::new();
    io::stdin().lock().take(INPUT_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > INPUT_BYTES {
        return Err(CliError::new(Kind::Input, "what is on standard input is too long")
            .hint("an entry holds 16 KiB: write it in several, or `thistle import` a file"));
    }
    String::from_utf8(bytes).map_err(|error| {
        CliError::new(Kind::Input, "what is on standard input is not text")
            .because(&error.utf8_error())
            .hint("text is UTF-8")
    })
}

/// A file that is removed when dropped, whatever the editor did.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

/// Lets the person write in the editor, in a file that nobody else can read.
fn edited(home: &Home, streams: &mut Streams) -> Result<String, CliError> {
    let told = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let Some(editor) = told("VISUAL").or_else(|| told("EDITOR")) else {
        return Err(CliError::new(Kind::Usage, "there is no text to write")
            .hint("give it as an argument, pipe it in, or set `EDITOR`"));
    };
    let draft = Draft(home.draft_folder()?.join(format!("draft-{}.txt", process::id())));
    let refused = |error: io::Error| home::disk_fault("write a draft in", home.path(), &error);
    drop(
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft.0)
            .map_err(refused)?,
    );
    streams.flush()?;
    // By the shell, since the variable may hold options too.
    let mut script = editor.clone();
    script.push(" \"$1\"");
    let ended = process::Command::new("sh").arg("-c").arg(&script).arg("sh").arg(&draft.0).status();
    let failed = |why: &str| {
        CliError::new(
            Kind::Input,
            format!("the editor `{}` {why}; nothing was written", editor.display()),
        )
    };
    match ended {
        Err(error) => return Err(failed("cannot be started").because(&error)),
        Ok(status) if !status.success() => return Err(failed("did not end well")),
        Ok(_) => {}
    }
    fs::read_to_string(&draft.0).map_err(refused)
}

/// Reads the 24 words of a recovery phrase; a person at a terminal is asked for them.
pub(crate) fn phrase(streams: &mut Streams) -> Result<Zeroizing<String>, CliError> {
    let stdin = io::stdin();
    let asked = stdin.is_terminal();
    if asked {
        streams.note("Type the 24 words of your recovery phrase, in any number of lines:");
    }
    let mut words = Zeroizing::new(String::new());
    let unreadable = |error: io::Error| {
        CliError::new(Kind::Input, "the recovery phrase cannot be read")
            .because(&error)
            .hint("give the 24 words on standard input")
    };
    let mut lines = stdin.lock().take(INPUT_BYTES);
    while words.split_whitespace().count() < PHRASE_WORDS || !asked {
        if lines.read_line(&mut words).map_err(unreadable)? == 0 {
            break;
        }
    }
    Ok(words)
}
