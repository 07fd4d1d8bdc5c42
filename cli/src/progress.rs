//! A bar for whoever waits.
//!
//! Drawn only where somebody watches standard error, through the command's own stream, since that
//! may end in another process's terminal.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use crate::context::{Context, Shared, Streams};
use crate::facts::Facts;

/// How often it is drawn, a second.
const DRAWN: u8 = 10;

/// A bar that goes away when dropped.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Shows how many of so many bytes are done.
    pub(crate) fn bytes(context: &Context, what: &str, total: u64) -> Self {
        Self::bytes_of(&context.facts, &context.streams, what, total)
    }

    /// The same where no home is open yet.
    pub(crate) fn bytes_of(facts: &Facts, streams: &Streams, what: &str, total: u64) -> Self {
        Self::new(facts, streams, what, "{msg} [{wide_bar}] {bytes}/{total_bytes} {eta:>4}")
            .of(total)
    }

    /// Shows how many bytes are done where nobody knows the end.
    pub(crate) fn growing(context: &Context, what: &str) -> Self {
        Self::new(&context.facts, &context.streams, what, "{msg} {spinner} {bytes}")
    }

    /// Shows how much of all is done.
    pub(crate) fn parts(context: &Context, what: &str) -> Self {
        let template = "{msg} [{wide_bar}] {percent:>3} % {eta:>4}";
        Self::new(&context.facts, &context.streams, what, template)
    }

    /// Shows that something is done of which nobody knows how far it is.
    pub(crate) fn spinning(facts: &Facts, streams: &Streams, what: &str) -> Self {
        let progress = Self::new(facts, streams, what, "{msg} {spinner} {elapsed}");
        progress.0.enable_steady_tick(Duration::from_millis(100));
        progress
    }

    fn new(facts: &Facts, streams: &Streams, what: &str, template: &str) -> Self {
        if !facts.watched {
            return Self(ProgressBar::hidden());
        }
        let terminal = Terminal {
            stream: streams.err.clone(),
            columns: u16::try_from(facts.columns).unwrap_or(80),
        };
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(terminal), DRAWN);
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| unreachable!("the templates above are sound"));
        let bar = ProgressBar::with_draw_target(Some(0), target).with_style(style);
        Self(bar.with_message(what.to_owned()))
    }

    fn of(self, total: u64) -> Self {
        self.0.set_length(total);
        self
    }

    /// Moves it on, and its end with it.
    pub(crate) fn set_of(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    /// Moves it on.
    pub(crate) fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Says something else of it.
    pub(crate) fn say(&self, words: String) {
        self.0.set_message(words);
    }

    /// Lets something else be written meanwhile.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A terminal behind a stream.
#[derive(Debug)]
struct Terminal {
    stream: Shared,
    columns: u16,
}

impl Terminal {
    fn send(&self, text: &str) -> io::Result<()> {
        self.stream.clone().write_all(text.as_bytes())
    }

    fn step(&self, count: usize, letter: char) -> io::Result<()> {
        if count == 0 { Ok(()) } else { self.send(&format!("\u{1b}[{count}{letter}")) }
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        self.columns
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        self.step(count, 'A')
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        self.step(count, 'B')
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        self.step(count, 'C')
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        self.step(count, 'D')
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.send(&format!("{line}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.send(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.send("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        self.stream.clone().flush()
    }
}
