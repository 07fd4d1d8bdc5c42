//! A drop: a folder that many share, on a stick or a server, in which everybody leaves sealed bundles.
//!
//! Whoever comes by takes what is theirs (`bundle read`) and leaves what the others lack. A device has
//! its newest files there and no others: what it left before goes once the new one is whole, and what
//! is known to be received goes without one. Nothing is remembered at home of all that. In each of
//! its files a device leaves a note to itself, found by a secret that only it has, with what stands
//! for the state of each part; where that is still so, the file stays. Files of others are let alone.
//!
//! A part is left for those who lack something, and as an answer to those of whom something is here
//! that was taken in: its heads tell them so, and they take it away. That is told once: a file that
//! carries heads alone asks for no answer.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thistle_engine::codec::{DecodeError, Decoder, Encoder};
use thistle_engine::container::{Found, Part as FoundPart};
use thistle_engine::key::{Digest, FeedId, Seed, keyed};
use thistle_engine::limits::BUNDLE_SLOTS;
use thistle_engine::{BundleRequest, Gathered, Reader, StoreError};
use thistle_transports::{Folder, FolderError, sealed_name};

use crate::commands::bundle::sealed::{
    Audience, Held, Looked, Part, Peek, Plan, SealFault, What, WriteFault, look, next_text, sum,
};
use crate::commands::bundle::{Watched, not_written};
use crate::context::Context;
use crate::home;
use crate::outcome::{CliError, Kind};
use crate::progress::Progress;
use crate::when;

/// Version of the note that a device leaves to itself.
const NOTE: u64 = 1;

/// What a device brings to a drop.
#[derive(Debug)]
pub(crate) struct Leaving<'a> {
    /// What finds the parts that others leave for it.
    pub(crate) held: &'a [Held],
    /// What finds its own files: a secret of this one device, the same for ever.
    pub(crate) own: &'a Seed,
    /// For whom it leaves something.
    pub(crate) audiences: &'a [Audience],
    /// Bytes that all its files together may have there.
    pub(crate) quota: u64,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// Files that were written.
    pub(crate) written: Vec<PathBuf>,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// What is in them, all parts together.
    pub(crate) gathered: Gathered,
    /// Audiences for whom something is there now.
    pub(crate) audiences: usize,
    /// Own files that were let stay.
    pub(crate) kept: usize,
    /// Own files that were taken away.
    pub(crate) removed: usize,
}

/// What is in a drop already.
#[derive(Debug, Default)]
struct Seen {
    /// Own files, and what stands for the state of each part.
    own: Vec<(PathBuf, BTreeSet<Digest>)>,
    /// Makers of files that wait for an answer.
    waiting: BTreeSet<FeedId>,
}

/// Leaves in a drop what others lack, and takes away what is not needed there any more.
pub(crate) fn leave(
    ctx: &mut Context,
    reader: Reader,
    folder: &Folder,
    leaving: &Leaving<'_>,
) -> Result<Left, CliError> {
    let paths = folder.list().map_err(|error| not_written(&error))?;
    let seen = survey(ctx, &reader, leaving, paths)?;
    let mut due = Vec::new();
    for audience in leaving.audiences {
        let state = state(&reader, leaving, audience, &seen.waiting);
        let state = state.map_err(|error| ctx.host.fault(&error))?;
        due.extend(state.map(|state| (audience, state)));
    }
    let noted: BTreeSet<Digest> = seen.own.iter().flat_map(|(_, note)| note).copied().collect();
    let mut left = Left { audiences: due.len(), ..Left::default() };
    let stays = due.iter().all(|(_, state)| noted.contains(state));
    if !stays {
        let files = files(&due);
        let quota = leaving.quota / files.len().max(1) as u64;
        for parts in files {
            let plan = plan(ctx, &reader, with_note(parts, leaving.own), Some(quota))?;
            left.bytes += plan.size();
            left.gathered = sum(&[left.gathered, plan.gathered()]);
            let name = sealed_name(&*home::random()?);
            left.written.push(write(ctx, plan, |fill| folder.write(&name, fill))?);
        }
    }
    for (path, note) in seen.own {
        if stays && due.iter().any(|(_, state)| note.contains(state)) {
            left.kept += 1;
            continue;
        }
        folder.remove(&path).map_err(|error| not_written(&error))?;
        left.removed += 1;
    }
    Ok(left)
}

/// Looks through the files of a drop.
fn survey(
    ctx: &mut Context,
    reader: &Reader,
    leaving: &Leaving<'_>,
    paths: Vec<PathBuf>,
) -> Result<Seen, CliError> {
    let held = leaving.held.iter().map(|held| held.secret.clone());
    let secrets: Vec<Seed> = [leaving.own.clone()].into_iter().chain(held).collect();
    let mut seen = Seen::default();
    for path in paths {
        ctx.check_wanted()?;
        match survey_file(&mut seen, reader, &path, &secrets) {
            Ok(()) => {}
            // Somebody took it away since the folder was listed.
            Err(Trouble::File(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(Trouble::File(error)) => {
                ctx.streams.note(&format!("refused: {}: {error}", path.display()));
            }
            Err(Trouble::Store(error)) => return Err(ctx.host.fault(&error)),
        }
    }
    Ok(seen)
}

/// Why a file could not be looked into.
enum Trouble {
    File(io::Error),
    Store(StoreError),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Takes note of one file: an own one, or one that waits for an answer. Its first secret is the own.
fn survey_file(
    seen: &mut Seen,
    reader: &Reader,
    path: &Path,
    secrets: &[Seed],
) -> Result<(), Trouble> {
    let mut file = File::open(path)?;
    let Looked::Sealed(Found { mut parts, refused }) = look(&mut file, secrets)? else {
        return Ok(());
    };
    if let Some(note) = parts.iter_mut().find(|part| part.secrets().contains(&0)) {
        seen.own.push((path.to_owned(), read_note(&mut file, note)?));
        return Ok(());
    }
    if refused.contains(&0) {
        // Own, and damaged: of no use to anybody whom its note would name.
        seen.own.push((path.to_owned(), BTreeSet::new()));
        return Ok(());
    }
    for mut part in parts {
        let peek = peek(&mut file, &mut part)?;
        if let (Some(opening), Some(true)) = (peek.opening(), peek.carries())
            && (!opening.whole || reader.has_read(&opening)?)
        {
            seen.waiting.insert(opening.maker);
        }
    }
    Ok(())
}

/// Reads as much of a part as tells whose it is and whether there are entries in it.
pub(crate) fn peek(file: &mut File, part: &mut FoundPart) -> io::Result<Peek> {
    let mut peek = Peek::default();
    while peek.carries().is_none() {
        match next_text(file, part)? {
            Some(Ok(text)) => peek.push(&text),
            Some(Err(_)) | None => break,
        }
    }
    Ok(peek)
}

/// What stands for the part that an audience is to have; none if it needs nothing.
fn state(
    reader: &Reader,
    leaving: &Leaving<'_>,
    audience: &Audience,
    waiting: &BTreeSet<FeedId>,
) -> Result<Option<Digest>, StoreError> {
    let mut bytes: Vec<u8> = audience.secrets.iter().flat_map(|secret| *secret.expose()).collect();
    bytes.extend(leaving.quota.to_be_bytes());
    let mut needed = audience.peers.iter().any(|peer| waiting.contains(peer));
    let for_peer = |peer| BundleRequest { for_peer: peer, ..audience.request.clone() };
    let mut requests: Vec<_> = audience.peers.iter().map(|peer| for_peer(Some(*peer))).collect();
    if requests.is_empty() {
        requests.push(audience.request.clone());
    }
    for request in requests {
        let mut source = reader.clone().bundle(&request)?;
        let mut peek = Peek::default();
        while peek.carries().is_none()
            && let Some(chunk) = source.poll()?
        {
            peek.push(&chunk);
        }
        needed |= peek.carries() == Some(true);
        let Some(opening) = peek.opening() else { continue };
        bytes.extend(opening.position.to_be_bytes());
        bytes.extend(opening.log_hash);
        let (position, hash) = opening.ack.unwrap_or_default();
        bytes.extend(position.to_be_bytes());
        bytes.extend(hash);
    }
    let state = keyed(leaving.own.expose(), &bytes);
    bytes.fill(0);
    Ok(needed.then_some(state))
}

/// Spreads audiences over as many files as their slots need, beside one for the note.
fn files<'a>(due: &[(&'a Audience, Digest)]) -> Vec<Vec<(&'a Audience, Digest)>> {
    let (limit, mut files, mut slots) = (BUNDLE_SLOTS - 1, vec![Vec::new()], 0);
    for (audience, state) in due {
        let more = audience.secrets.len() as u64;
        if slots + more > limit && slots > 0 {
            files.push(Vec::new());
            slots = 0;
        }
        slots += more;
        if let Some(file) = files.last_mut() {
            file.push((*audience, *state));
        }
    }
    files
}

fn with_note(due: Vec<(&Audience, Digest)>, own: &Seed) -> Vec<Part> {
    let mut note = Encoder::new();
    note.array(2).uint(NOTE).array(due.len() as u64);
    for (_, state) in &due {
        note.bytes(state);
    }
    let note = Part { secrets: vec![own.clone()], what: What::Note(note.into_bytes()) };
    due.into_iter().map(|(audience, _)| Part::of(audience)).chain([note]).collect()
}

/// The states that an own file stands for; none if it is torn or from another version.
fn read_note(file: &mut File, part: &mut FoundPart) -> io::Result<BTreeSet<Digest>> {
    let mut bytes = Vec::new();
    while let Some(text) = next_text(file, part)? {
        match text {
            Ok(text) => bytes.extend(text),
            Err(_) => return Ok(BTreeSet::new()),
        }
    }
    let read = |bytes: &[u8]| -> Result<BTreeSet<Digest>, DecodeError> {
        let mut note = Decoder::new(bytes);
        note.array_of("note", 2)?;
        if note.uint("version", NOTE)? != NOTE {
            return Ok(BTreeSet::new());
        }
        let count = note.array("states", BUNDLE_SLOTS)?;
        let states = (0..count).map(|_| note.fixed("state")).collect::<Result<_, _>>()?;
        note.finish()?;
        Ok(states)
    };
    Ok(read(&bytes).unwrap_or_default())
}

/// Plans a sealed bundle of these parts.
pub(crate) fn plan<'a>(
    ctx: &Context,
    reader: &'a Reader,
    parts: Vec<Part>,
    limit: Option<u64>,
) -> Result<Plan<'a>, CliError> {
    let plan = Plan::new(reader, parts, limit, &home::fresh_seed()?);
    plan.map_err(|fault| not_sealed(ctx, &fault))
}

/// Writes a sealed bundle to where `put` puts what it is given to fill.
pub(crate) fn write(
    ctx: &Context,
    plan: Plan<'_>,
    put: impl FnOnce(&mut Fill<'_>) -> Result<PathBuf, FolderError>,
) -> Result<PathBuf, CliError> {
    let progress = Progress::bytes(ctx, "writing", plan.size());
    let (mut plan, mut broken) = (Some(plan), None);
    let written = put(&mut |sink| {
        let Some(plan) = plan.take() else { return Ok(()) };
        plan.write(&mut Watched { ctx, sink, progress: &progress, done: 0 }).map_err(|fault| {
            match fault {
                WriteFault::Sink(error) => error,
                WriteFault::Source(fault) => {
                    broken = Some(not_sealed(ctx, &fault));
                    io::Error::other("the bundle was not gathered")
                }
            }
        })
    });
    match (written, broken) {
        (_, Some(error)) => Err(error),
        (Err(error), None) => {
            ctx.check_wanted()?;
            Err(not_written(&error))
        }
        (Ok(path), None) => Ok(path),
    }
}

/// What fills a file.
type Fill<'a> = dyn FnMut(&mut dyn Write) -> io::Result<()> + 'a;

/// What a bundle that cannot be sealed means for the user.
fn not_sealed(ctx: &Context, fault: &SealFault) -> CliError {
    let why = CliError::new(Kind::Input, "the bundle was not written");
    match fault {
        SealFault::Store(error) => ctx.host.fault(error),
        SealFault::NoRoom(size) => why
            .since(format!("the smallest for so many takes {}", when::bytes(*size)))
            .hint("say how large it may get with `--max-bytes SIZE`"),
        SealFault::Plan(fault) => why.because(fault),
        SealFault::Text(fault) => why.because(fault),
    }
}

#[cfg(test)]
mod tests;
