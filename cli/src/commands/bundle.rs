//! `bundle create`, `read` and `show`: feeds on their way.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use thistle_engine::bundle::FileFault;
use thistle_engine::key::FeedId;
use thistle_engine::{BundleRequest, BundleSource, Event, Gathered, Report, StoreError, ids};
use thistle_transports::{BUNDLE_SUFFIX, Folder, FolderError, write_file};

use crate::args;
use crate::context::Context;
use crate::host::Given;
use crate::log;
use crate::names::People;
use crate::outcome::{CliError, Kind};
use crate::progress::Progress;
use crate::text;
use crate::view::{self, Fields};
use crate::when;

mod look;

pub(crate) use look::show;

/// Bytes read from a file at once.
const CHUNK: usize = 64 * 1024;
/// Refusals of one file that are told one by one.
const TOLD: u64 = 20;
/// Longest name of a file that is kept as the way something came.
const WAY_BYTES: usize = 80;

/// Tells bundles apart that are read at the same time.
static NEXT: AtomicU64 = AtomicU64::new(1);

// ---- create ----

/// `bundle create`.
pub(crate) fn create(ctx: &mut Context, args: &args::BundleCreate) -> Result<u8, CliError> {
    if !args.plain {
        return Err(CliError::new(Kind::Usage, "sealed bundles are not there yet")
            .since("a plain bundle shows everything in it to whoever finds it")
            .hint("if that is what you want, say so with `--plain`"));
    }
    let max_bytes = args.max_bytes.as_deref().map(when::size).transpose()?;
    let target = Target::find(&ctx.path(&args.path), &args.path)?;
    let reader = ctx.tidy_reader()?;
    let for_peer = match &args.reader {
        Some(typed) => {
            let people = People::of(&reader).map_err(|error| ctx.host.fault(&error))?;
            Some(people.feed(typed)?)
        }
        None => None,
    };
    let begun = Instant::now();
    let request = BundleRequest { for_peer, max_bytes, feeds: Vec::new() };
    let mut source = reader.bundle(&request).map_err(|error| ctx.host.fault(&error))?;
    let mut broken = None;
    let written = target.write(|sink| fill(ctx, &mut source, sink, &mut broken));
    let path = match (written, broken) {
        (_, Some(error)) => return Err(error),
        (Err(error), None) => return Err(not_written(&error)),
        (Ok(path), None) => path,
    };
    let gathered = source.gathered();
    log::gathered(gathered.entries, gathered.feeds, gathered.bytes, begun);
    created(ctx, &path, &gathered)?;
    Ok(0)
}

/// Writes the bundle; what is not the file's fault is left in `broken`.
fn fill(
    ctx: &Context,
    source: &mut BundleSource,
    sink: &mut dyn Write,
    broken: &mut Option<CliError>,
) -> io::Result<()> {
    let progress = Progress::growing(ctx, "writing");
    loop {
        let chunk = source.poll().map_err(|error: StoreError| ctx.host.fault(&error));
        let chunk = chunk.and_then(|chunk| ctx.check_wanted().map(|()| chunk));
        match chunk {
            Err(error) => {
                *broken = Some(error);
                return Err(io::ErrorKind::Interrupted.into());
            }
            Ok(None) => return Ok(()),
            Ok(Some(bytes)) => {
                sink.write_all(&bytes)?;
                progress.set(source.gathered().bytes);
            }
        }
    }
}

fn created(ctx: &mut Context, path: &Path, gathered: &Gathered) -> Result<(), CliError> {
    if ctx.json() {
        let fields = Fields::default()
            .with("path", path.to_string_lossy())
            .with("feeds", gathered.feeds)
            .with("entries", gathered.entries)
            .with("payloads", gathered.payloads)
            .with("content_bytes", gathered.content_bytes)
            .with("bytes", gathered.bytes)
            .with("left_out", gathered.left_out);
        return ctx.streams.object(&fields);
    }
    ctx.streams.line(&format!(
        "Wrote {}: {} of {}, {}",
        text::safe(&path.to_string_lossy()),
        when::entries(gathered.entries),
        when::feeds(gathered.feeds),
        when::bytes(gathered.bytes)
    ))?;
    if gathered.left_out > 0 {
        ctx.streams.line(&format!(
            "Older entries that found no room: {}",
            when::count(gathered.left_out)
        ))?;
    }
    ctx.streams.line("It is not sealed: whoever finds it can read it.")
}

/// Where a bundle is written.
enum Target {
    /// Into a folder, under a random name.
    Folder(Folder, String),
    /// To this file.
    File(PathBuf),
}

impl Target {
    fn find(path: &Path, typed: &Path) -> Result<Self, CliError> {
        let wants_folder = typed.as_os_str().as_encoded_bytes().ends_with(b"/");
        if !wants_folder && !path.is_dir() {
            return Ok(Self::File(path.to_owned()));
        }
        let folder = Folder::open(path).map_err(|error| not_written(&error))?;
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|error| {
            CliError::new(Kind::Store, "the system gives no random numbers").because(&error)
        })?;
        Ok(Self::Folder(folder, format!("{}{BUNDLE_SUFFIX}", view::hex(&bytes))))
    }

    fn write(
        &self,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<PathBuf, FolderError> {
        match self {
            Self::Folder(folder, name) => folder.write(name, fill),
            Self::File(path) => write_file(path, fill).map(|()| path.clone()),
        }
    }
}

fn not_written(error: &FolderError) -> CliError {
    let fault = CliError::new(Kind::Input, "the bundle was not written").because(error);
    match error {
        FolderError::Full { .. } => {
            fault.hint("make room, or say how large it may get with `--max-bytes SIZE`")
        }
        FolderError::ReadOnly { .. } => {
            fault.hint("mount the stick for writing, or look for a switch on it")
        }
        FolderError::Io { .. } => fault.hint("is the stick plugged in and mounted?"),
        FolderError::NotAFolder { .. }
        | FolderError::NotAFile { .. }
        | FolderError::BadName { .. } => fault,
    }
}

// ---- read ----

/// What became of all files of a command.
#[derive(Debug, Default)]
struct Tally {
    files: u64,
    bad: u64,
    unreadable: u64,
}

/// `bundle read`.
pub(crate) fn read(ctx: &mut Context, args: &args::BundleRead) -> Result<u8, CliError> {
    let mut tally = Tally::default();
    for typed in &args.paths {
        let path = ctx.path(typed);
        let files = files(&path, typed)?;
        if files.is_empty() && !ctx.json() {
            let folder = text::safe(&typed.to_string_lossy());
            ctx.streams.line(&format!("There are no bundles in {folder}"))?;
        }
        for file in files {
            tally.files += 1;
            read_file(ctx, &file, &mut tally)?;
            ctx.streams.flush()?;
        }
    }
    ctx.tidy(usize::MAX)?;
    Ok(if tally.files > 0 && tally.unreadable == tally.files {
        Kind::Input.code()
    } else if tally.bad + tally.unreadable > 0 {
        Kind::Refused.code()
    } else {
        0
    })
}

/// The bundle files that a path means.
fn files(path: &Path, typed: &Path) -> Result<Vec<PathBuf>, CliError> {
    let fault = || CliError::new(Kind::Input, format!("cannot read `{}`", typed.display()));
    let found = fs::metadata(path)
        .map_err(|error| fault().because(&error).hint("is the stick plugged in and mounted?"))?;
    if found.is_dir() {
        Folder::open(path).and_then(|folder| folder.list()).map_err(|error| fault().because(&error))
    } else if found.is_file() {
        Ok(vec![path.to_owned()])
    } else {
        Err(fault().since("it is neither a file nor a folder"))
    }
}

/// One file being read.
struct Reading<'a> {
    ctx: &'a mut Context,
    shown: String,
    refused: u64,
    left: BTreeMap<(FeedId, String), u64>,
    report: Option<Report>,
}

fn read_file(ctx: &mut Context, path: &Path, tally: &mut Tally) -> Result<(), CliError> {
    let shown = path.to_string_lossy().into_owned();
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (size, file) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            tally.unreadable += 1;
            ctx.streams.note(&format!("refused: {shown}: {error}"));
            return Ok(());
        }
    };
    let bundle = NEXT.fetch_add(1, Ordering::Relaxed);
    let progress = Progress::bytes(ctx, "reading", size);
    let mut reading = Reading { ctx, shown, refused: 0, left: BTreeMap::new(), report: None };
    reading.give(Given::BundleOpened { bundle, via: way(path) }, &progress)?;
    let pumped = reading.pump(bundle, file, &progress);
    // Whatever stopped it, what came so far is kept.
    reading.give(Given::BundleEnded { bundle }, &progress)?;
    drop(progress);
    reading.conclude(pumped?, tally)
}

impl Reading<'_> {
    /// Gives the file to the node, chunk by chunk; returns why it could not be read to its end.
    fn pump(
        &mut self,
        bundle: u64,
        mut file: File,
        progress: &Progress,
    ) -> Result<Option<io::Error>, CliError> {
        let mut done = 0;
        loop {
            self.ctx.check_wanted()?;
            let mut bytes = vec![0; CHUNK];
            let count = match file.read(&mut bytes) {
                Ok(0) => return Ok(None),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Some(error)),
            };
            bytes.truncate(count);
            done += count as u64;
            self.give(Given::BundleChunk { bundle, bytes }, progress)?;
            progress.set(done);
        }
    }

    fn give(&mut self, input: Given, progress: &Progress) -> Result<(), CliError> {
        for event in self.ctx.host.handle(self.ctx.facts.clocks(), input)? {
            match event {
                Event::Refused { offset, fault, .. } => {
                    self.refused += 1;
                    let note = format!("refused: {} at byte {offset}: {fault}", self.shown);
                    let streams = &mut self.ctx.streams;
                    if self.refused <= TOLD {
                        progress.aside(|| streams.note(&note));
                    } else if self.refused == TOLD + 1 {
                        let note = format!("refused: {}: more, which are only counted", self.shown);
                        progress.aside(|| streams.note(&note));
                    }
                }
                Event::LeftOut { feed, entries, why, .. } => {
                    *self.left.entry((feed, why.to_string())).or_default() += entries;
                }
                Event::BundleDone { report, .. } => self.report = Some(report),
                Event::Progress { .. } => {}
                other => progress.aside(|| self.ctx.tell(&other)),
            }
        }
        Ok(())
    }

    fn conclude(self, broken: Option<io::Error>, tally: &mut Tally) -> Result<(), CliError> {
        let Self { ctx, shown, left, report, .. } = self;
        let report = report.unwrap_or_default();
        let ending = broken.map(|error| error.to_string());
        let ending = ending.or_else(|| report.ending.map(|fault| fault.to_string()));
        if let Some(ending) = &ending {
            ctx.streams.note(&format!("refused: {shown}: {ending}"));
        }
        let unreadable = matches!(
            report.ending,
            Some(
                FileFault::Empty
                    | FileFault::Foreign
                    | FileFault::Opening(_)
                    | FileFault::Newer { .. },
            )
        );
        tally.unreadable += u64::from(unreadable);
        tally.bad += u64::from(!unreadable && (ending.is_some() || report.refused > 0));
        if ctx.json() {
            ctx.streams.object(&report_fields(&shown, &report, ending.as_deref(), &left))
        } else if unreadable {
            Ok(())
        } else {
            say(ctx, &shown, &report, &left)
        }
    }
}

fn report_fields(
    shown: &str,
    report: &Report,
    ending: Option<&str>,
    left: &BTreeMap<(FeedId, String), u64>,
) -> Fields {
    let left = left.iter().map(|((feed, why), entries)| {
        serde_json::json!({"feed": ids::feed_text(feed), "entries": entries, "why": why})
    });
    Fields::default()
        .with("path", shown)
        .with("maker", report.maker.map(|maker| ids::feed_text(&maker)))
        .with("entries_new", report.entries_new)
        .with("payloads_new", report.payloads_new)
        .with("known", report.known)
        .with("left_out", report.left_out)
        .with("refused", report.refused)
        .with("unknown", report.unknown)
        .with("forks", report.forks)
        .with("fault", ending)
        .with("left_out_feeds", left.collect::<Vec<_>>())
}

fn say(
    ctx: &mut Context,
    shown: &str,
    report: &Report,
    left: &BTreeMap<(FeedId, String), u64>,
) -> Result<(), CliError> {
    let mut line = format!(
        "{}: {}",
        text::safe(shown),
        when::counted(report.entries_new, "new entry", "new entries")
    );
    let extra = [
        (report.payloads_new, "long text", "long texts"),
        (report.left_out, "entry left out", "entries left out"),
        (report.refused, "piece refused", "pieces refused"),
        (report.unknown, "piece for a newer thistle", "pieces for a newer thistle"),
        (report.forks, "feed found continued in two ways", "feeds found continued in two ways"),
    ];
    for (count, one, many) in extra.into_iter().filter(|(count, ..)| *count > 0) {
        line.push_str(&format!(", {}", when::counted(count, one, many)));
    }
    ctx.streams.line(&line)?;
    let mut reasons: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for ((_, why), entries) in left {
        let reason = reasons.entry(why).or_default();
        *reason = (reason.0 + entries, reason.1 + 1);
    }
    for (why, (entries, feeds)) in reasons {
        ctx.streams.line(&format!(
            "  left out {} of {}: {why}",
            when::entries(entries),
            when::feeds(feeds)
        ))?;
    }
    Ok(())
}

/// Words for the way by which what is in a file came: its name, without where it was.
fn way(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let mut name = text::safe(&name);
    while name.len() > WAY_BYTES {
        name.pop();
    }
    format!("bundle {name}")
}
