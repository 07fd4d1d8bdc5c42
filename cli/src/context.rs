//! What a command is given to work with.
//!
//! The same command may run in the process it was typed in, or in the one that holds the store, on
//! behalf of another. It therefore never touches standard streams, the environment or the clock:
//! all that is here. Two of them at once do not know of each other.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::net::RecvFlags;
use serde::Serialize;
use thistle_engine::time::Now;
use thistle_engine::{Event, Node, Reader, StoreError, ids};

use crate::facts::Facts;
use crate::home;
use crate::host::{Given, Host};
use crate::net::Net;
use crate::outcome::{CliError, Kind};
use crate::text;

/// Arrivals without an index from which on a query waits for the index.
const UNINDEXED: u64 = 1_000;
/// Steps of work behind that a short command does for the others.
const TIDY_STEPS: usize = 8;

/// A stream that several holders write to, whole writes at a time.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Box<dyn Write + Send>>>);

impl Shared {
    /// Shares a stream.
    pub(crate) fn new(stream: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::new(stream))))
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared(..)")
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A stream has no state that a panic could leave half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

/// Where a command's output goes.
pub(crate) struct Streams {
    /// Standard output.
    pub(crate) out: Box<dyn Write + Send>,
    /// Standard error.
    pub(crate) err: Shared,
    /// Whether data is printed as JSON.
    pub(crate) json: bool,
}

impl Streams {
    /// Prints a line for a person. Foreign text in it is the caller's to make safe.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), CliError> {
        writeln!(self.out, "{line}").map_err(|error| CliError::output(&error))
    }

    /// Prints an object as one line of JSON.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> Result<(), CliError> {
        let write = |out: &mut dyn Write| {
            serde_json::to_writer(&mut *out, object).map_err(io::Error::from)?;
            out.write_all(b"\n")
        };
        write(&mut self.out).map_err(|error| CliError::output(&error))
    }

    /// Writes a line to standard error, made safe. That nobody reads it stops nothing.
    pub(crate) fn note(&mut self, note: &str) {
        drop(self.out.flush());
        drop(self.err.write_all(format!("{}\n", text::safe(note)).as_bytes()));
    }

    /// Hands on what was printed so far.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        self.out.flush().map_err(|error| CliError::output(&error))
    }
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams").field("json", &self.json).finish_non_exhaustive()
    }
}

/// What a command that uses the home is given.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where its output goes.
    pub(crate) streams: Streams,
    /// What was on standard input, or came out of the editor.
    pub(crate) input: Option<String>,
    /// Where it was typed.
    pub(crate) facts: Facts,
    /// The node.
    pub(crate) host: Host,
    /// What stands for the node where the store is open to be read alone.
    pub(crate) reading: Option<Reader>,
    /// The way to other nodes.
    pub(crate) net: Arc<Net>,
    /// The process that waits for it, if that is another one.
    pub(crate) caller: Option<UnixStream>,
}

impl Context {
    /// Whether data is printed as JSON.
    pub(crate) const fn json(&self) -> bool {
        self.streams.json
    }

    /// A path as it was typed, seen from where it was typed.
    pub(crate) fn path(&self, typed: &Path) -> PathBuf {
        self.facts.folder().join(typed)
    }

    /// Does one step on the node, and tells what the person has to know of it.
    pub(crate) fn act<T: Send + 'static>(
        &mut self,
        step: impl FnOnce(&mut Node, Now) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, CliError> {
        let clocks = self.facts.clocks();
        let (done, events) = self.host.act(clocks, step)?;
        for event in &events {
            self.tell(event);
        }
        Ok(done)
    }

    /// Stops a long command of which nobody wants to hear any more.
    pub(crate) fn check_wanted(&self) -> Result<(), CliError> {
        let Some(caller) = &self.caller else { return Ok(()) };
        // The caller says nothing more; the end of its stream means that it is gone.
        let look = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match rustix::net::recv(caller, &mut [0_u8; 1][..], look) {
            Ok((_, 0)) => Err(CliError::new(Kind::Hangup, "nobody waits any more")),
            _ => Ok(()),
        }
    }

    /// A snapshot to read from. Whoever has read what it needs drops it before it prints: where
    /// there is no node, it keeps others from writing.
    pub(crate) fn reader(&mut self) -> Result<Reader, CliError> {
        self.reading.take().map_or_else(|| self.host.reader(), Ok)
    }

    /// A snapshot in which little is without an index and nothing overdue is left.
    ///
    /// On a disk that is all but full nothing is tidied, since a failed write would keep the
    /// command from reading what is there.
    pub(crate) fn tidy_reader(&mut self) -> Result<Reader, CliError> {
        if self.reading.is_some() || !home::has_room(&self.host.home()) {
            return self.reader();
        }
        self.tidy(TIDY_STEPS)?;
        let status = self.reader()?.status().map_err(|error| self.host.fault(&error))?;
        if status.log_position.saturating_sub(status.indexed) > UNINDEXED {
            self.tidy(usize::MAX)?;
        }
        self.reader()
    }

    /// Does work behind, until there is none or so many steps are done.
    pub(crate) fn tidy(&mut self, steps: usize) -> Result<(), CliError> {
        for _ in 0..steps {
            let events = self.host.handle(self.facts.clocks(), Given::Idle)?;
            let more = events.iter().any(|event| matches!(event, Event::Idle { more: true }));
            for event in &events {
                self.tell(event);
            }
            if !more {
                break;
            }
        }
        Ok(())
    }

    /// Tells what the person has to know and do about an event, whatever command caused it.
    pub(crate) fn tell(&mut self, event: &Event) {
        match event {
            Event::Retired { old, new } => {
                let (old, new) = (ids::feed_text(old), ids::feed_text(new));
                self.streams.note(&format!(
                    "warning: your feed {} was continued elsewhere, by a copy of this home or \
                     from an old backup; it goes on as {new}",
                    ids::short(&old)
                ));
                self.streams.note(
                    "hint: run `thistle confirm` with your recovery phrase, so that others know \
                     it is you; and use only one copy of a home",
                );
            }
            Event::ForkFound { feed, fork_seq } => {
                let feed = ids::feed_text(feed);
                self.streams.note(&format!(
                    "warning: the feed {feed} was continued in two ways from entry {fork_seq} \
                     on; both stay readable, and nothing more of it is taken in",
                ));
            }
            Event::Restored { old, new } => {
                let (old, new) = (ids::feed_text(old), ids::feed_text(new));
                self.streams.note(&format!(
                    "warning: this home is a backup; your feed {} ends here, and it goes on as \
                     {new}",
                    ids::short(&old)
                ));
                self.streams.note(
                    "hint: run `thistle confirm` with your recovery phrase, so that others know \
                     it is you",
                );
            }
            Event::Upgraded { from, to } => self.streams.note(&format!(
                "note: the store was of version {from} and is of version {to} now; an earlier \
                 thistle opens it no longer",
            )),
            Event::Refused { .. }
            | Event::LeftOut { .. }
            | Event::Progress { .. }
            | Event::BundleDone { .. }
            | Event::SessionProgress { .. }
            | Event::SessionDone { .. }
            | Event::Idle { .. } => {}
        }
    }
}
