//! `backup`, `restore` and `compact`: the store's own keeping.
//!
//! A backup is the store as it was at one moment. Whoever opens one goes on in a new feed, so that
//! no copy ever continues what the device itself goes on writing.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use thistle_engine::key::Seed;
use thistle_engine::{
    BackupHead, Event, Input, Me, Node, Output, Reader, Status, StorageBackend as _, StoreError,
    ids,
};

use crate::args;
use crate::context::{Context, Streams};
use crate::disk::{Disk, Passing};
use crate::facts::Facts;
use crate::home::{self, Backup, Home, sync_folder};
use crate::log;
use crate::outcome::{CliError, Kind};
use crate::passphrase::{self, Passphrase};
use crate::progress::Progress;
use crate::text;
use crate::view::Fields;
use crate::when;

/// Memory that the copy may use to keep pages.
const CACHE_BYTES: usize = 32 * 1024 * 1024;
/// How long `compact` waits for commands that read.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it tries.
const PAUSE: Duration = Duration::from_millis(50);

// ---- backup ----

/// `backup`.
pub(crate) fn backup(ctx: &mut Context, args: &args::Backup) -> Result<u8, CliError> {
    let path = ctx.path(&args.file);
    expect_place(&path, args.replace)?;
    let reader = ctx.reader()?;
    let name = path.file_name().ok_or_else(|| refused(&path).since("it has no name"))?;
    let (passing, file) = Passing::create(folder_of(&path), &name.to_string_lossy())
        .map_err(|error| refused(&path).because(&error).hint("the folder has to be there"))?;
    let progress = Progress::parts(ctx, "copying");
    let mut broken = None;
    let mut visit = |done, total| {
        progress.set_of(done, total);
        broken = ctx.check_wanted().err();
        broken.is_none()
    };
    let disk = file.try_clone().map_err(|error| refused(&path).because(&error))?;
    let copied = match head(ctx)? {
        None => Disk::new(disk).and_then(|disk| reader.back_up(disk, CACHE_BYTES, &mut visit)),
        Some((head, key)) => {
            let seed = home::fresh_seed()?;
            let begun = Disk::new(disk).and_then(|disk| {
                head.begin(disk, &key, &seed).map_err(|error| redb::Error::Io(error).into())
            });
            begun.and_then(|disk| reader.back_up(disk, CACHE_BYTES, &mut visit))
        }
    };
    drop(progress);
    match (copied, broken) {
        (_, Some(error)) => return Err(error),
        (Err(error), None) => return Err(not_written(&path, &error)),
        (Ok(_), None) => settle(&passing, &file, &path, args.replace)?,
    }
    let fault = |error| ctx.host.fault(&error);
    let (me, status) = (reader.me().map_err(fault)?, reader.status().map_err(fault)?);
    let bytes = fs::metadata(&path).map_or(0, |found| found.len());
    backed_up(ctx, &path, &me, &status, bytes)?;
    Ok(0)
}

fn backed_up(
    ctx: &mut Context,
    path: &Path,
    me: &Me,
    status: &Status,
    bytes: u64,
) -> Result<(), CliError> {
    if ctx.json() {
        let fields = Fields::default()
            .with("path", path.to_string_lossy())
            .with("feed", ids::feed_text(&me.feed))
            .with("entries", status.entries)
            .with("feeds", status.feeds)
            .with("bytes", bytes);
        return ctx.streams.object(&fields);
    }
    ctx.streams.line(&format!(
        "Wrote {}: {} of {}, {}",
        text::safe(&path.to_string_lossy()),
        when::entries(status.entries),
        when::feeds(status.feeds),
        when::bytes(bytes)
    ))?;
    ctx.streams.line(if is_locked(ctx) {
        "It holds the keys of this device, and opens with the passphrase that is in force now."
    } else {
        "It holds the keys of this device and is not sealed: keep it as safe as that."
    })
}

fn is_locked(ctx: &Context) -> bool {
    ctx.host.access().is_some_and(|access| access.unsealed().is_some())
}

/// What the backup of a locked home begins with, and the key of its store.
fn head(ctx: &Context) -> Result<Option<(BackupHead, Seed)>, CliError> {
    let access = ctx.host.access().ok_or_else(|| ctx.host.gone())?;
    let Some(unsealed) = access.unsealed() else { return Ok(None) };
    let home = Home::at(ctx.host.home());
    let fault = |error| home::disk_fault("read the keys of", home.path(), &error);
    let head = home.keyring()?.head(unsealed.slot).map_err(fault)?;
    let head = head.ok_or_else(|| {
        CliError::new(Kind::Store, "a change of the passphrase was cut off")
            .hint("lock the home and open it again with the passphrase that is to count")
    })?;
    Ok(Some((head, unsealed.key.clone())))
}

/// Refuses early what would be refused at the end.
fn expect_place(path: &Path, replace: bool) -> Result<(), CliError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {
            Err(refused(path).since("it is a folder").hint("say the file as well: `DIR/FILE`"))
        }
        Ok(found) if !found.is_file() => Err(refused(path).since("it is not a regular file")),
        Ok(_) if !replace => Err(exists(path)),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(refused(path).because(&error)),
    }
}

fn exists(path: &Path) -> CliError {
    refused(path)
        .since("there is a file of that name")
        .hint("say another name, or `--replace` to give that one up")
}

fn refused(path: &Path) -> CliError {
    CliError::new(Kind::Input, format!("cannot write the backup `{}`", path.display()))
}

fn not_written(path: &Path, error: &StoreError) -> CliError {
    let fault = refused(path).because(error);
    match error.io().map(io::Error::kind) {
        Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            fault.hint("make room there, or say another place")
        }
        Some(io::ErrorKind::ReadOnlyFilesystem) => fault.hint("the disk takes no changes"),
        Some(_) => fault.hint("is the disk still there?"),
        None => fault.hint("run `thistle doctor`"),
    }
}

/// Gives a backup its name. What is reported is then on the disk.
fn settle(passing: &Passing, file: &File, path: &Path, replace: bool) -> Result<(), CliError> {
    let fault = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        _ => refused(path).because(&error),
    };
    file.sync_all().map_err(fault)?;
    passing.settle(path, replace).map_err(fault)?;
    sync_folder(folder_of(path)).map_err(fault)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

// ---- restore ----

/// `restore`: makes a home out of a backup.
pub(crate) fn restore(
    args: &args::Restore,
    home: &Home,
    facts: &Facts,
    streams: &mut Streams,
) -> Result<u8, CliError> {
    home.expect_none()?;
    let path = facts.folder().join(&args.file);
    let unreadable = |error: io::Error| {
        let shown = path.display();
        CliError::new(Kind::Input, format!("cannot read the backup `{shown}`")).because(&error)
    };
    let file = File::open(&path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    if found.is_dir() {
        return Err(unreadable(io::ErrorKind::IsADirectory.into()));
    }
    let (backup, passphrase) = open_backup(file, found.len(), &path)?;
    let progress = Progress::bytes_of(facts, streams, "copying", backup.length);
    let mut told = |done| progress.set(done);
    let passphrase = passphrase.as_ref();
    let unsettled = home.restore(&backup, &path, passphrase, facts.now(), &mut told)?;
    drop(progress);
    let mut node = unsettled.settle()?;
    let fault = |error: StoreError| home.store_fault(&error);
    let (mut ended, mut upgraded) = (None, None);
    while let Some(Output::Event(event)) = node.poll() {
        log::event(&event);
        match event {
            Event::Restored { old, .. } => ended = Some(ids::feed_text(&old)),
            Event::Upgraded { from, .. } => upgraded = Some(from),
            _ => {}
        }
    }
    let progress = Progress::spinning(facts, streams, "indexing");
    index(&mut node, facts).map_err(fault)?;
    drop(progress);
    let reader = node.reader().map_err(fault)?;
    restored(home, &reader, ended.as_deref(), upgraded, streams)?;
    Ok(0)
}

/// Finds out what a backup is locked with, and what the home that is made of it is to be locked with:
/// the same. One that is plain makes a locked home if a passphrase is given.
fn open_backup(
    file: File,
    length: u64,
    path: &Path,
) -> Result<(Backup, Option<Passphrase>), CliError> {
    let mut begin = [0; 4];
    let is_plain = file.read_exact_at(&mut begin, 0).is_err() || begin == *b"redb";
    let mut passphrase = Passphrase::named_by(passphrase::FILE)?;
    if !is_plain && passphrase.is_none() {
        passphrase = Passphrase::asked_for("Passphrase of the backup: ")?;
    }
    // What is no backup at all is told apart where it is read.
    let (false, Some(given)) = (is_plain, &passphrase) else {
        return Ok((Backup { source: Box::new(file), length }, passphrase));
    };
    let fault = |error: StoreError| refused_backup(path).because(&error);
    let disk = Disk::new(file).map_err(fault)?;
    let opened = BackupHead::open(disk, given.bytes());
    let opened =
        opened.map_err(|error| refused_backup(path).because(&error))?.ok_or_else(|| {
            let shown = path.display();
            CliError::new(Kind::Locked, format!("the passphrase does not open `{shown}`"))
                .hint("it takes the passphrase that was in force when the backup was made")
        })?;
    let length = opened.len().map_err(|error| refused_backup(path).because(&error))?;
    Ok((Backup { source: Box::new(opened), length }, passphrase))
}

fn refused_backup(path: &Path) -> CliError {
    CliError::new(Kind::Input, format!("cannot read the backup `{}`", path.display()))
}

fn index(node: &mut Node, facts: &Facts) -> Result<(), StoreError> {
    let mut more = true;
    while more {
        node.handle(facts.now(), Input::Idle)?;
        more = false;
        while let Some(Output::Event(event)) = node.poll() {
            more |= event == Event::Idle { more: true };
        }
    }
    Ok(())
}

fn restored(
    home: &Home,
    reader: &Reader,
    ended: Option<&str>,
    upgraded: Option<u64>,
    streams: &mut Streams,
) -> Result<(), CliError> {
    let fault = |error: StoreError| home.store_fault(&error);
    let (me, status) = (reader.me().map_err(fault)?, reader.status().map_err(fault)?);
    let (account, feed) = (ids::account_text(&me.account), ids::feed_text(&me.feed));
    if streams.json {
        let fields = Fields::default()
            .with("account", account)
            .with("feed", feed)
            .with("confirmed", me.confirmed)
            .with("retired", ended)
            .with("entries", status.entries)
            .with("feeds", status.feeds)
            .with("upgraded_from", upgraded);
        return streams.object(&fields);
    }
    streams.line(&format!("Home:    {}", text::safe(&home.path().to_string_lossy())))?;
    streams.line(&format!("Account: {account}"))?;
    streams.line(&format!("Feed:    {feed} (new)"))?;
    streams.line(&format!(
        "Holds:   {} of {}",
        when::entries(status.entries),
        when::feeds(status.feeds)
    ))?;
    streams.line("")?;
    streams.line(
        "You go on in this new feed; the one before it ends here, whatever became of its device.\n\
         Run `thistle confirm` with your recovery phrase, so that others know it is you. What you\n\
         wrote after the backup comes back with the bundles of those who hold it.",
    )
}

// ---- compact ----

/// `compact`.
pub(crate) fn compact(ctx: &mut Context) -> Result<u8, CliError> {
    ctx.tidy(usize::MAX)?;
    let size = || {
        let access = ctx.host.access().ok_or_else(|| ctx.host.gone())?;
        let path = Home::at(ctx.host.home()).store_for(&access);
        fs::metadata(&path)
            .map(|found| found.len())
            .map_err(|error| home::disk_fault("look at the store in", &ctx.host.home(), &error))
    };
    let before = size()?;
    let progress = Progress::spinning(&ctx.facts, &ctx.streams, "compacting");
    let begun = Instant::now();
    while !ctx.host.step(Node::compact)? {
        ctx.check_wanted()?;
        if begun.elapsed() > PATIENCE {
            return Err(CliError::new(Kind::Busy, "another command reads this home all the time")
                .hint("wait until it is done, and try again"));
        }
        thread::sleep(PAUSE);
    }
    let after = size()?;
    ctx.tidy(usize::MAX)?;
    drop(progress);
    if ctx.json() {
        let fields = Fields::default().with("bytes_before", before).with("bytes_after", after);
        ctx.streams.object(&fields)?;
    } else {
        let (was, is) = (when::bytes(before), when::bytes(after));
        ctx.streams.line(&format!("The store took {was}, and takes {is} now"))?;
    }
    Ok(0)
}
