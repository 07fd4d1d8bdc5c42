//! `import`: years of mail and chat become entries of the own feed.
//!
//! Messages are written in batches, each with the mark how far the file was taken in, in one
//! commit. So an import that was cut off at any moment goes on behind the last batch that is on the
//! disk, and one that was finished adds nothing.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use thistle_engine::content::{Content, Post};
use thistle_engine::key::{Context as HashContext, Hasher};

use crate::args;
use crate::commands::write::{self, channel, told_apart};
use crate::context::Context;
use crate::mailbox::{Fault, Format, Imported, Mailbox};
use crate::outcome::{CliError, Kind};
use crate::progress::Progress;
use crate::view::Fields;
use crate::when;

/// Messages in a commit.
const BATCH: usize = 512;
/// Bytes of their texts from which on a commit is due.
const BATCH_BYTES: usize = 1 << 20;
/// Bytes at the beginning and at the end by which a file is known again.
const KNOWN_BY: u64 = 1 << 20;
/// Bad messages that are told one by one.
const TOLD: u64 = 100;

/// What an import did.
#[derive(Debug, Default)]
struct Tally {
    format: Option<Format>,
    imported: u64,
    others: u64,
    refused: u64,
    first: Option<u64>,
    last: Option<u64>,
}

/// `import`.
pub(crate) fn run(ctx: &mut Context, args: &args::Import) -> Result<u8, CliError> {
    let path = ctx.path(&args.file);
    let (mut file, size) = open(&path, &args.file)?;
    let channel = args.channel.as_deref().map(channel).transpose()?;
    let key = key(&mut file, size, &args.authors, channel.as_deref())
        .map_err(|error| unreadable(&args.file).because(&error))?;
    let begun = ctx.reader()?.progress(&key).map_err(|error| ctx.host.fault(&error))?;
    let start = if args.again { 0 } else { begun };
    let mut tally = Tally::default();
    if start < size || size == 0 {
        let mailbox = Mailbox::open(BufReader::new(file), start)?;
        tally.format = Some(mailbox.format());
        let mut import = Import { ctx, args, key, channel, batch: Vec::new(), bytes: 0, at: start };
        import.take_in(mailbox, size, &mut tally)?;
        report(ctx, &tally, start)?;
        ctx.streams.flush()?;
        ctx.tidy(usize::MAX)?;
    } else if ctx.json() {
        report(ctx, &tally, start)?;
    } else {
        ctx.streams
            .line("This file was imported before: nothing is new. `--again` imports it anyway.")?;
    }
    Ok(if tally.refused > 0 { Kind::Refused.code() } else { 0 })
}

fn unreadable(typed: &Path) -> CliError {
    CliError::new(Kind::Input, format!("cannot read `{}`", typed.display()))
}

fn open(path: &Path, typed: &Path) -> Result<(File, u64), CliError> {
    // Looked at before it is opened: opening a pipe would wait for its other end.
    let found = std::fs::metadata(path).map_err(|error| unreadable(typed).because(&error))?;
    if !found.is_file() {
        return Err(unreadable(typed)
            .since("it is not a file")
            .hint("save it as a file first, so that an interrupted import can go on"));
    }
    let file = File::open(path).map_err(|error| unreadable(typed).because(&error))?;
    Ok((file, found.len()))
}

/// By what the store knows this import again: the file's size, beginning and end, and what was
/// asked of it.
fn key(
    file: &mut File,
    size: u64,
    authors: &[String],
    channel: Option<&str>,
) -> std::io::Result<[u8; 32]> {
    let mut hasher = Hasher::new(HashContext::Log);
    hasher.update(b"import").update(&size.to_be_bytes());
    for start in [0, size.saturating_sub(KNOWN_BY)] {
        let mut part = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.by_ref().take(KNOWN_BY).read_to_end(&mut part)?;
        hasher.update(&(part.len() as u64).to_be_bytes()).update(&part);
    }
    file.seek(SeekFrom::Start(0))?;
    let mut authors: Vec<&str> = authors.iter().map(String::as_str).collect();
    authors.sort_unstable();
    authors.dedup();
    for word in authors.into_iter().chain(channel.map(|_| "\u{0}")).chain(channel) {
        hasher.update(&(word.len() as u64).to_be_bytes()).update(word.as_bytes());
    }
    Ok(hasher.finish())
}

/// An import at work.
struct Import<'a> {
    ctx: &'a mut Context,
    args: &'a args::Import,
    key: [u8; 32],
    channel: Option<String>,
    batch: Vec<(Content, u32)>,
    bytes: usize,
    /// Where in the file the batch ends.
    at: u64,
}

impl Import<'_> {
    fn take_in(
        &mut self,
        mailbox: Mailbox<BufReader<File>>,
        size: u64,
        tally: &mut Tally,
    ) -> Result<(), CliError> {
        let progress = Progress::bytes(self.ctx, "importing", size);
        progress.set(self.at);
        for item in mailbox {
            match item {
                Ok(message) => self.add(message, tally),
                Err(fault) => {
                    self.at = fault.offset_after;
                    self.tell(&fault, tally, &progress);
                }
            }
            if self.batch.len() >= BATCH || self.bytes >= BATCH_BYTES {
                self.commit(tally)?;
                progress.set(self.at);
                self.ctx.check_wanted()?;
            }
        }
        // What stands behind the last message is done with too.
        self.at = size;
        self.commit(tally)
    }

    fn add(&mut self, message: Imported, tally: &mut Tally) {
        self.at = message.offset_after;
        let Imported { author, time, channel, text, .. } = message;
        if !self.args.authors.is_empty() && !self.args.authors.contains(&author) {
            tally.others += 1;
            return;
        }
        self.bytes += text.len();
        let channel = self.channel.clone().or(channel);
        let post = Post { time, channel, text, parents: Vec::new(), author: Some(author) };
        self.batch.push((Content::Post(post), 0));
    }

    fn tell(&mut self, fault: &Fault, tally: &mut Tally, progress: &Progress) {
        tally.refused += 1;
        let streams = &mut self.ctx.streams;
        if tally.refused <= TOLD {
            progress.aside(|| streams.note(&format!("refused: {fault}")));
        } else if tally.refused == TOLD + 1 {
            progress.aside(|| streams.note("refused: more, which are only counted"));
        }
    }

    fn commit(&mut self, tally: &mut Tally) -> Result<(), CliError> {
        let batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        let (key, at) = (self.key, self.at);
        let written = self
            .ctx
            .act(move |node, now| told_apart(node.write_many(now, &batch, Some((key, at)))))?
            .map_err(|error| write::refused(&error))?;
        tally.imported += written.len() as u64;
        tally.first = tally.first.or(written.first().map(|first| first.seq));
        tally.last = written.last().map(|last| last.seq).or(tally.last);
        Ok(())
    }
}

const fn format_word(format: Format) -> &'static str {
    match format {
        Format::JsonLines => "json lines",
        Format::Mbox => "mbox",
    }
}

fn report(ctx: &mut Context, tally: &Tally, start: u64) -> Result<(), CliError> {
    let Tally { format, imported, others, refused, first, last } = *tally;
    if ctx.json() {
        let fields = Fields::default()
            .with("format", format.map(format_word))
            .with("imported", imported)
            .with("others", others)
            .with("refused", refused)
            .with("resumed_at", start)
            .with("first_seq", first)
            .with("last_seq", last);
        return ctx.streams.object(&fields);
    }
    let mut line = format!("Imported {}", when::counted(imported, "message", "messages"));
    if let (Some(first), Some(last)) = (first, last) {
        line.push_str(&format!(
            " as entries {} to {} of your feed",
            when::count(first),
            when::count(last)
        ));
    }
    if start > 0 {
        line.push_str(", going on where it had stopped");
    }
    ctx.streams.line(&line)?;
    if others > 0 {
        ctx.streams.line(&format!("Passed over {} of other authors", when::count(others)))?;
    }
    if refused > 0 {
        ctx.streams.line(&format!("Refused {}", when::count(refused)))?;
    }
    Ok(())
}
