//! What a command tells the person when it did not do what was asked.
//!
//! The engine's errors say what was found and what was allowed; a person needs to know what to do
//! next. A [`CliError`] carries both: the message, the chain of causes, and hints, which are
//! attached where the knowledge is. This file refuses to print anything itself: it renders to a
//! writer, and `main` picks the writer and exits.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

use crate::text;

/// Every exit code and what it means; the help and the man page print this table.
pub(crate) const EXIT_CODES: [(u8, &str); 9] = [
    (0, "done, or whoever read the output has heard enough"),
    (1, "bad input, nothing found, an unclear name, or an unwritable stick"),
    (2, "the command line is wrong"),
    (3, "the store cannot be opened or written"),
    (4, "done, but some of the input was refused"),
    (5, "another command holds the home and does not answer"),
    (6, "the other home could not be met, or the meeting ended early"),
    (7, "the home is locked, and no passphrase was given or one that opens nothing"),
    (70, "a bug in thistle"),
];

/// What sort of failure this is; it decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The command line is wrong.
    Usage,
    /// Bad input, nothing found, an ambiguous name.
    Input,
    /// The store cannot be opened or written: disk full, read-only, a foreign file, a newer
    /// version.
    Store,
    /// The work was done, but some of the input was refused.
    Refused,
    /// Another command holds the home and does not answer.
    Busy,
    /// Another home could not be met, or not to the end.
    Unmet,
    /// The home is locked.
    Locked,
    /// A bug.
    Bug,
    /// Whoever read the output went away; no failure, and nothing is said.
    Hangup,
}

impl Kind {
    /// Returns the exit code of the process.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Hangup => 0,
            Self::Input => 1,
            Self::Usage => 2,
            Self::Store => 3,
            Self::Refused => 4,
            Self::Busy => 5,
            Self::Unmet => 6,
            Self::Locked => 7,
            Self::Bug => 70,
        }
    }
}

/// A failure with what a person needs to get past it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CliError {
    /// What sort of failure it is.
    pub(crate) kind: Kind,
    /// What happened, in one line without a full stop.
    pub(crate) message: String,
    /// Why, the nearest cause first.
    pub(crate) because: Vec<String>,
    /// What to do.
    pub(crate) hints: Vec<String>,
}

impl CliError {
    /// Creates a failure without causes and hints.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), because: Vec::new(), hints: Vec::new() }
    }

    /// Creates the failure to write output; a broken pipe is none.
    pub(crate) fn output(error: &io::Error) -> Self {
        let hangup = error.kind() == io::ErrorKind::BrokenPipe;
        let kind = if hangup { Kind::Hangup } else { Kind::Input };
        Self::new(kind, "cannot write the output").because(error)
    }

    /// Adds an error and all its sources as causes, each said once.
    pub(crate) fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let cause = error.to_string();
            // Wrappers that only repeat what they wrap would say it twice.
            if self.because.last() != Some(&cause) {
                self.because.push(cause);
            }
            next = error.source();
        }
        self
    }

    /// Adds a cause that is no error value.
    pub(crate) fn since(mut self, cause: impl Into<String>) -> Self {
        self.because.push(cause.into());
        self
    }

    /// Adds what the person can do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Returns the exit code of the process.
    pub(crate) const fn code(&self) -> u8 {
        self.kind.code()
    }

    /// Writes the failure for a person. Names and paths in it may be foreign, so every line is made
    /// safe.
    pub(crate) fn render(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.kind == Kind::Hangup {
            return Ok(());
        }
        writeln!(out, "error: {}", text::safe(&self.message))?;
        for cause in &self.because {
            writeln!(out, "  because: {}", text::safe(cause))?;
        }
        for hint in &self.hints {
            writeln!(out, "hint: {}", text::safe(hint))?;
        }
        Ok(())
    }

    /// Writes the failure as one line of JSON.
    pub(crate) fn render_json(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.kind == Kind::Hangup {
            return Ok(());
        }
        let line = JsonError {
            error: &self.message,
            because: &self.because,
            hints: &self.hints,
            code: self.code(),
        };
        serde_json::to_writer(&mut *out, &line)?;
        writeln!(out)
    }
}

/// The message alone, for where an error is wrapped into another one.
impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for CliError {}

/// The fields in the order in which a person reads them; a JSON map would sort them.
#[derive(Serialize)]
struct JsonError<'a> {
    error: &'a str,
    because: &'a [String],
    hints: &'a [String],
    code: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Kind; 9] = [
        Kind::Usage,
        Kind::Input,
        Kind::Store,
        Kind::Refused,
        Kind::Busy,
        Kind::Unmet,
        Kind::Locked,
        Kind::Bug,
        Kind::Hangup,
    ];

    fn shown(error: &CliError) -> String {
        let mut out = Vec::new();
        error.render(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn json(error: &CliError) -> String {
        let mut out = Vec::new();
        error.render_json(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[derive(Debug)]
    struct Wrapper(io::Error);

    impl fmt::Display for Wrapper {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the journal is unreadable")
        }
    }

    impl Error for Wrapper {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_failure_reads_as_message_causes_hints() {
        let error = CliError::new(Kind::Store, "cannot open the store")
            .because(&Wrapper(io::Error::other("disk on fire")))
            .since("it was hot")
            .hint("move it to another disk")
            .hint("run `thistle doctor`");
        assert_eq!(
            shown(&error),
            "error: cannot open the store\n  because: the journal is unreadable\n  because: disk on fire\n  \
             because: it was hot\nhint: move it to another disk\nhint: run `thistle doctor`\n"
        );
        assert_eq!(
            json(&error),
            concat!(
                r#"{"error":"cannot open the store","because":["the journal is unreadable","disk on fire","it was hot"],"#,
                r#""hints":["move it to another disk","run `thistle doctor`"],"code":3}"#,
                "\n"
            )
        );
        assert_eq!(error.code(), 3);
    }

    #[test]
    fn foreign_text_in_a_failure_is_made_safe_for_people_and_kept_for_programs() {
        let error = CliError::new(Kind::Input, "no feed `A\u{1b}[2J\nhint: pay me`");
        assert_eq!(shown(&error), "error: no feed `A hint: pay me`\n");
        assert!(json(&error).contains(r"A\u001b[2J\nhint"));
    }

    #[test]
    fn a_broken_pipe_is_silent_and_no_failure() {
        let error = CliError::output(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((error.code(), shown(&error), json(&error)), (0, String::new(), String::new()));
        let error = CliError::output(&io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(error.code(), 1);
        assert!(shown(&error).starts_with("error: cannot write the output\n  because: "));
    }

    #[test]
    fn the_table_lists_every_kind_once_and_in_order() {
        let mut codes: Vec<u8> = KINDS.iter().map(|kind| kind.code()).collect();
        codes.sort_unstable();
        assert_eq!(codes, EXIT_CODES.map(|(code, _)| code));
    }
}
