//! `bundle create`, `read` and `show`: feeds on their way.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use thistle_engine::bundle::FileFault;
use thistle_engine::container::Part as FoundPart;
use thistle_engine::key::{FeedId, Seed};
use thistle_engine::{
    BundleRequest, BundleSource, Event, Gathered, Reader, Report, SealedFor, StoreError, ids,
};
use thistle_transports::{BUNDLE_SUFFIX, Folder, FolderError, write_file};

use crate::args;
use crate::context::Context;
use crate::home;
use crate::host::Given;
use crate::log;
use crate::names::People;
use crate::outcome::{CliError, Kind};
use crate::progress::Progress;
use crate::text;
use crate::view::{self, Fields};
use crate::when;

mod drops;
mod look;
mod sealed;

pub(crate) use look::{Contents, contents, show};

use drops::{Leaving, Left};
use sealed::{Audience, Held, Looked, Part};

/// Bytes read from a file at once.
const CHUNK: usize = 64 * 1024;
/// Refusals of one file that are told one by one.
const TOLD: u64 = 20;
/// Longest name of a file that is kept as the way something came.
const WAY_BYTES: usize = 80;

/// Bytes that the files of a device may have in a drop, unless said otherwise.
const DROP_BYTES: u64 = 1 << 30;

/// Tells bundles apart that are read at the same time.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// What a home seals bundles with, and finds its parts by.
#[derive(Debug)]
pub(crate) struct Keys {
    /// What finds the parts that others made for it.
    pub(crate) held: Vec<Held>,
    /// A secret of this one device, the same for ever.
    pub(crate) own: Seed,
    /// For whom it seals.
    pub(crate) audiences: Vec<Audience>,
}

impl Keys {
    /// Those of a home; none while it has no contacts. Who told what it holds gets what it lacks; all
    /// others share one part with everything.
    fn of(reader: &Reader) -> Result<Option<Self>, StoreError> {
        let Some(own) = reader.device_secret()? else { return Ok(None) };
        let held = reader.taking_secrets()?.into_iter();
        let held = held.map(|secret| Held { of: String::new(), secret }).collect();
        let nobody =
            Audience { secrets: Vec::new(), request: BundleRequest::default(), peers: Vec::new() };
        // One part for those who may carry the own feed, one for the others, and one for those who get some
        // feeds only, which are the same for all of them.
        let mut everything = [nobody.clone(), nobody.clone(), nobody];
        let mut audiences = Vec::new();
        for SealedFor { accounts, carries, feeds, secret, told } in reader.readers()? {
            match told {
                None => {
                    let [some, others, few] = &mut everything;
                    let audience = match (feeds.is_empty(), carries) {
                        (false, _) => few,
                        (true, true) => some,
                        (true, false) => others,
                    };
                    audience.request.feeds = feeds;
                    audience.secrets.push(secret);
                    audience.request.readers.extend(accounts);
                }
                Some(feed) => audiences.push(Audience {
                    secrets: vec![secret],
                    request: BundleRequest {
                        for_peer: Some(feed),
                        readers: accounts,
                        feeds,
                        ..BundleRequest::default()
                    },
                    peers: vec![feed],
                }),
            }
        }
        audiences.extend(everything.into_iter().filter(|all| !all.secrets.is_empty()));
        Ok((!audiences.is_empty()).then_some(Self { held, own, audiences }))
    }
}

// ---- create ----

/// `bundle create`.
pub(crate) fn create(ctx: &mut Context, args: &args::BundleCreate) -> Result<u8, CliError> {
    if !args.plain {
        let reader = ctx.tidy_reader()?;
        let keys = Keys::of(&reader).map_err(|error| ctx.host.fault(&error))?;
        let keys = keys.ok_or_else(|| {
            CliError::new(Kind::Usage, "you have no contacts, so nobody could open a sealed bundle")
                .since("a plain bundle shows everything in it to whoever finds it")
                .hint("add people first: `thistle contact add CARD`")
                .hint("or say `--plain`, if that is what you want")
        })?;
        return seal(ctx, args, reader, keys);
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
    let own_head = own_head(ctx, &reader)?;
    let request = BundleRequest { for_peer, max_bytes, ..BundleRequest::default() };
    let mut source = reader.bundle(&request).map_err(|error| ctx.host.fault(&error))?;
    let mut broken = None;
    let written = target.write(|sink| fill(ctx, &mut source, sink, &mut broken));
    let path = match (written, broken) {
        (_, Some(error)) => return Err(error),
        (Err(error), None) => return Err(not_written(&error)),
        (Ok(path), None) => path,
    };
    let gathered = source.gathered();
    note_carried(ctx, own_head)?;
    log::gathered(gathered.entries, gathered.feeds, gathered.bytes, begun);
    created(ctx, &path, &gathered)?;
    Ok(0)
}

fn own_head(ctx: &Context, reader: &Reader) -> Result<Option<u64>, CliError> {
    Ok(reader.newest_own().map_err(|error| ctx.host.fault(&error))?.map(|own| own.seq))
}

/// Remembers how far the own feed was taken along.
fn note_carried(ctx: &mut Context, own_head: Option<u64>) -> Result<(), CliError> {
    match own_head.filter(|_| !ctx.host.is_absent()) {
        Some(head) => ctx.act(move |node, now| node.note_carried(now, head)),
        None => Ok(()),
    }
}

/// `bundle create` without `--plain`: into a file what everybody lacks, into a folder what is due there.
fn seal(
    ctx: &mut Context,
    args: &args::BundleCreate,
    reader: Reader,
    mut keys: Keys,
) -> Result<u8, CliError> {
    let limit = args.max_bytes.as_deref().map(when::size).transpose()?;
    let target = Target::find(&ctx.path(&args.path), &args.path)?;
    if let Some(typed) = &args.reader {
        let people = People::of(&reader).map_err(|error| ctx.host.fault(&error))?;
        let feed = people.feed(typed)?;
        keys.audiences.retain(|audience| audience.peers.contains(&feed));
    }
    let own_head = own_head(ctx, &reader)?;
    let left = match target {
        Target::Folder(folder, _) => {
            let Keys { held, own, audiences } = &keys;
            let quota = limit.unwrap_or(DROP_BYTES);
            drops::leave(ctx, reader, &folder, &Leaving { held, own, audiences, quota })?
        }
        Target::File(path) => {
            let parts: Vec<Part> = keys.audiences.iter().map(Part::of).collect();
            let audiences = parts.len();
            let plan = drops::plan(ctx, &reader, parts, limit)?;
            let (bytes, gathered) = (plan.size(), plan.gathered());
            drops::write(ctx, plan, |fill| write_file(&path, fill).map(|()| path.clone()))?;
            Left { written: vec![path], bytes, audiences, gathered, ..Left::default() }
        }
    };
    note_carried(ctx, own_head)?;
    say_left(ctx, &left)?;
    Ok(0)
}

/// A sealed bundle for everybody whom this home knows, made in memory and not larger than this.
pub(crate) fn in_memory(ctx: &mut Context, most: u64) -> Result<Vec<u8>, CliError> {
    let reader = ctx.tidy_reader()?;
    let keys = Keys::of(&reader).map_err(|error| ctx.host.fault(&error))?;
    // One for nobody is a file like others.
    let audiences = keys.map_or_else(Vec::new, |keys| keys.audiences);
    let plan = drops::plan(ctx, &reader, audiences.iter().map(Part::of).collect(), Some(most))?;
    let mut bytes = Vec::new();
    drops::write(ctx, plan, |fill| {
        let path = PathBuf::new();
        fill(&mut bytes).map(|()| path.clone()).map_err(|source| FolderError::Full { path, source })
    })?;
    Ok(bytes)
}

fn say_left(ctx: &mut Context, left: &Left) -> Result<(), CliError> {
    let paths = left.written.iter().map(|path| path.to_string_lossy());
    if ctx.json() {
        let fields = Fields::default()
            .with("paths", paths.collect::<Vec<_>>())
            .with("bytes", left.bytes)
            .with("audiences", left.audiences)
            .with("entries", left.gathered.entries)
            .with("left_out", left.gathered.left_out)
            .with("kept", left.kept)
            .with("removed", left.removed);
        return ctx.streams.object(&fields);
    }
    let mut lines: Vec<String> =
        paths.map(|path| format!("Wrote {}, sealed", text::safe(&path))).collect();
    if lines.is_empty() {
        lines.push("Nothing is new for anybody there".to_owned());
    }
    if left.removed > 0 {
        let files = when::counted(left.removed as u64, "file", "files");
        lines.push(format!("Took away {files} of yours that are not needed there any more"));
    }
    if left.gathered.left_out > 0 {
        let entries = when::count(left.gathered.left_out);
        lines.push(format!("Older entries that found no room: {entries}"));
    }
    lines.iter().try_for_each(|line| ctx.streams.line(line))
}

/// A file being written: stops when nobody waits for it any more.
struct Watched<'a> {
    ctx: &'a Context,
    sink: &'a mut dyn Write,
    progress: &'a Progress,
    done: u64,
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.ctx.check_wanted().map_err(|_| io::Error::other("nobody waits any more"))?;
        let count = self.sink.write(bytes)?;
        self.done += count as u64;
        self.progress.set(self.done);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
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
        let bytes = home::random::<8>()?;
        Ok(Self::Folder(folder, format!("{}{BUNDLE_SUFFIX}", view::hex(&*bytes))))
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
    /// Sealed bundles for others.
    others: u64,
}

/// `bundle read`.
pub(crate) fn read(ctx: &mut Context, args: &args::BundleRead) -> Result<u8, CliError> {
    let keys = Keys::of(&ctx.reader()?).map_err(|error| ctx.host.fault(&error))?;
    read_with(ctx, &args.paths, &keys.map(|keys| keys.held).unwrap_or_default())
}

/// Reads bundles, and of sealed ones what these secrets open.
fn read_with(ctx: &mut Context, paths: &[PathBuf], held: &[Held]) -> Result<u8, CliError> {
    let mut tally = Tally::default();
    for typed in paths {
        let path = ctx.path(typed);
        let files = files(&path, typed)?;
        if files.is_empty() && !ctx.json() {
            let folder = text::safe(&typed.to_string_lossy());
            ctx.streams.line(&format!("There are no bundles in {folder}"))?;
        }
        let again = !path.is_dir();
        for file in files {
            tally.files += 1;
            read_file(ctx, &file, held, again, &mut tally)?;
            ctx.streams.flush()?;
        }
    }
    if tally.others > 0 && !ctx.json() {
        let files = when::counted(tally.others, "file", "files");
        ctx.streams.line(&format!("Nothing for you in {files}"))?;
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
pub(crate) fn files(path: &Path, typed: &Path) -> Result<Vec<PathBuf>, CliError> {
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

/// Reads a file: a plain bundle, or the parts of a sealed one that are for this home. What was taken in
/// before is read again only if `again`.
fn read_file(
    ctx: &mut Context,
    path: &Path,
    held: &[Held],
    again: bool,
    tally: &mut Tally,
) -> Result<(), CliError> {
    let shown = path.to_string_lossy().into_owned();
    let secrets: Vec<Seed> = held.iter().map(|held| held.secret.clone()).collect();
    let opened = File::open(path).and_then(|mut file| {
        let looked = sealed::look(&mut file, &secrets)?;
        Ok((file.metadata()?.len(), file, looked))
    });
    let (size, mut file, looked) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            tally.unreadable += 1;
            ctx.streams.note(&format!("refused: {shown}: {error}"));
            return Ok(());
        }
    };
    let found = match looked {
        Looked::Nothing => {
            tally.others += 1;
            return Ok(());
        }
        Looked::Plain => {
            let progress = Progress::bytes(ctx, "reading", size);
            let (reading, bundle) = Reading::begin(ctx, path, &shown, &progress)?;
            return reading.take(bundle, &progress, &mut plain(file), tally);
        }
        Looked::Sealed(found) => found,
    };
    for number in found.refused {
        tally.bad += 1;
        let of = held.get(number).map_or("", |held| &held.of);
        ctx.streams.note(&format!("refused: {shown}: what is from {of} was changed"));
    }
    for mut part in found.parts {
        if !again && is_known(ctx, &mut file, &mut part.clone())? {
            continue;
        }
        let of = part.secrets().first().and_then(|number| held.get(*number));
        let shown = of.map_or_else(|| shown.clone(), |held| format!("{shown} from {}", held.of));
        let progress = Progress::bytes(ctx, "reading", part.length());
        let (reading, bundle) = Reading::begin(ctx, path, &shown, &progress)?;
        let mut next = || match sealed::next_text(&mut file, &mut part) {
            Ok(text) => text.transpose().map_err(|fault| fault.to_string()),
            Err(error) => Err(error.to_string()),
        };
        reading.take(bundle, &progress, &mut next, tally)?;
    }
    Ok(())
}

/// Whether all of a part was taken in before.
fn is_known(ctx: &mut Context, file: &mut File, part: &mut FoundPart) -> Result<bool, CliError> {
    // A file that cannot be read says so when it is.
    let Some(Some(opening)) = drops::peek(file, part).ok().map(|peek| peek.opening()) else {
        return Ok(false);
    };
    let reader = ctx.reader()?;
    reader.has_read(&opening).map_err(|error| ctx.host.fault(&error))
}

/// The bytes of a plain bundle as they come.
fn plain(mut file: File) -> impl FnMut() -> Result<Option<Vec<u8>>, String> {
    move || loop {
        let mut bytes = vec![0; CHUNK];
        match file.read(&mut bytes) {
            Ok(0) => return Ok(None),
            Ok(count) => {
                bytes.truncate(count);
                return Ok(Some(bytes));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

impl<'a> Reading<'a> {
    fn begin(
        ctx: &'a mut Context,
        path: &Path,
        shown: &str,
        progress: &Progress,
    ) -> Result<(Self, u64), CliError> {
        let bundle = NEXT.fetch_add(1, Ordering::Relaxed);
        let (shown, left) = (shown.to_owned(), BTreeMap::new());
        let mut reading = Self { ctx, shown, refused: 0, left, report: None };
        reading.give(Given::BundleOpened { bundle, via: way(path) }, progress)?;
        Ok((reading, bundle))
    }

    /// Takes everything in that comes, and tells what came of it.
    fn take(
        mut self,
        bundle: u64,
        progress: &Progress,
        next: &mut dyn FnMut() -> Result<Option<Vec<u8>>, String>,
        tally: &mut Tally,
    ) -> Result<(), CliError> {
        let pumped = self.pump(bundle, next, progress);
        // Whatever stopped it, what came so far is kept.
        self.give(Given::BundleEnded { bundle }, progress)?;
        self.conclude(pumped?, tally)
    }

    /// Gives the node chunk after chunk; returns why they do not come to their end.
    fn pump(
        &mut self,
        bundle: u64,
        next: &mut dyn FnMut() -> Result<Option<Vec<u8>>, String>,
        progress: &Progress,
    ) -> Result<Option<String>, CliError> {
        let mut done = 0;
        loop {
            self.ctx.check_wanted()?;
            let bytes = match next() {
                Ok(None) => return Ok(None),
                Ok(Some(bytes)) => bytes,
                Err(error) => return Ok(Some(error)),
            };
            done += bytes.len() as u64;
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

    fn conclude(self, ending: Option<String>, tally: &mut Tally) -> Result<(), CliError> {
        let Self { ctx, shown, left, report, .. } = self;
        let report = report.unwrap_or_default();
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
