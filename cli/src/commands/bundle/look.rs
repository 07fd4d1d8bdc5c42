//! `bundle show`: what is in a bundle, told without a home.
//!
//! Everything is verified that can be verified from the file alone; nothing is kept.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use thistle_engine::bundle::{Ending, FileReader, Found, Frame, Opening, Read as FrameRead};
use thistle_engine::content::Content;
use thistle_engine::entry::ChainHasher;
use thistle_engine::fork::ForkProof;
use thistle_engine::ids;
use thistle_engine::key::FeedId;
use thistle_engine::segment::UnverifiedSegment;

use crate::args;
use crate::commands::bundle::{CHUNK, TOLD, files};
use crate::context::Streams;
use crate::facts::Facts;
use crate::outcome::{CliError, Kind};
use crate::text;
use crate::view::Fields;
use crate::when;

/// Feeds of one file that are told apart; of more, only sums are kept.
const FEEDS: usize = 131_072;

/// What was found in a file.
#[derive(Default)]
pub(crate) struct Contents {
    opening: Option<Opening>,
    stated: bool,
    heads: u64,
    wants: u64,
    feeds: BTreeMap<FeedId, InFeed>,
    refused: u64,
    hasher: ChainHasher,
}

/// What was found of a feed.
#[derive(Default)]
struct InFeed {
    entries: u64,
    first: u64,
    last: u64,
    payloads: u64,
    forks: u64,
    name: Option<String>,
}

/// `bundle show`.
pub(crate) fn show(
    args: &args::BundleRead,
    facts: &Facts,
    streams: &mut Streams,
) -> Result<u8, CliError> {
    let mut bad = false;
    for typed in &args.paths {
        for path in files(&facts.folder().join(typed), typed)? {
            bad |= !show_file(&path, streams)?;
        }
    }
    Ok(if bad { Kind::Refused.code() } else { 0 })
}

/// Shows one file; returns whether all of it was good.
fn show_file(path: &Path, streams: &mut Streams) -> Result<bool, CliError> {
    let shown = path.to_string_lossy();
    let mut contents = Contents::default();
    let mut told = 0;
    let mut tell = |offset, why: String| {
        told += 1;
        if told <= TOLD {
            streams.note(&format!("refused: {shown} at byte {offset}: {why}"));
        }
    };
    let ending = match look(path, &mut contents, &mut tell) {
        Ok(ending) => ending,
        Err(error) => {
            streams.note(&format!("refused: {shown}: {error}"));
            return Ok(false);
        }
    };
    if let Some(fault) = &ending.fault {
        streams.note(&format!("refused: {shown}: {fault}"));
    }
    if streams.json {
        streams.object(&fields(&shown, &contents, &ending))?;
    } else {
        say(&shown, &contents, streams)?;
    }
    Ok(ending.fault.is_none() && contents.refused == 0)
}

/// What is in a file, if it is a plain bundle.
pub(crate) fn contents(path: &Path) -> io::Result<Option<Contents>> {
    let mut contents = Contents::default();
    look(path, &mut contents, &mut |_, _| {})?;
    Ok(contents.opening.is_some().then_some(contents))
}

fn look(
    path: &Path,
    contents: &mut Contents,
    refused: &mut dyn FnMut(u64, String),
) -> io::Result<Ending> {
    let mut file = File::open(path)?;
    let mut reader = FileReader::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = match file.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            count => count?,
        };
        if count == 0 {
            break;
        }
        reader.push(chunk.get(..count).unwrap_or_default());
        while let Some(found) = reader.poll() {
            let offset = found.offset;
            if let Err(why) = contents.take(found) {
                contents.refused += 1;
                refused(offset, why);
            }
        }
    }
    Ok(reader.finish())
}

impl Contents {
    fn take(&mut self, found: Found<'_>) -> Result<(), String> {
        match found.read {
            FrameRead::Refused(fault) => return Err(fault.to_string()),
            FrameRead::Statement { .. } => self.stated = true,
            FrameRead::Frame(frame) => match frame {
                Frame::Opening(opening) => self.opening = Some(opening),
                Frame::Heads(heads) => self.heads += heads.len() as u64,
                Frame::Wants(wants) => self.wants += wants.len() as u64,
                Frame::Segment(bytes) => self.segment(bytes)?,
                Frame::Payload { feed, .. } => {
                    if let Some(feed) = self.feed(feed) {
                        feed.payloads += 1;
                    }
                }
                Frame::Fork(bytes) => {
                    let proof = ForkProof::decode(bytes).map_err(|fault| fault.to_string())?;
                    let fork = proof.verify().map_err(|fault| fault.to_string())?;
                    if let Some(feed) = self.feed(*fork.feed()) {
                        feed.forks += 1;
                    }
                }
                Frame::Statement(_) | Frame::End { .. } | Frame::Unknown { .. } => {}
            },
        }
        Ok(())
    }

    fn feed(&mut self, feed: FeedId) -> Option<&mut InFeed> {
        if self.feeds.len() >= FEEDS && !self.feeds.contains_key(&feed) {
            return None;
        }
        Some(self.feeds.entry(feed).or_default())
    }

    fn segment(&mut self, bytes: &[u8]) -> Result<(), String> {
        let segment = UnverifiedSegment::decode(bytes).map_err(|fault| fault.to_string())?;
        let segment = segment.verify(&mut self.hasher).map_err(|fault| fault.to_string())?;
        let count = segment.entries.len() as u64;
        let name =
            segment.entries.iter().rev().find_map(|entry| match Content::decode(entry.payload?) {
                Ok(Content::Profile(profile)) => Some(profile.name),
                _ => None,
            });
        let (first, last) = (segment.first_seq, segment.first_seq.saturating_add(count) - 1);
        if let Some(feed) = self.feed(segment.feed) {
            feed.first = if feed.entries == 0 { first } else { feed.first.min(first) };
            feed.last = feed.last.max(last);
            feed.entries += count;
            feed.name = name.or(feed.name.take());
        }
        Ok(())
    }

    /// Who made it.
    pub(crate) fn maker(&self) -> Option<FeedId> {
        self.opening.as_ref().map(|opening| opening.maker)
    }

    /// Its feeds: how many entries of each, and the name of its author if that is in it.
    pub(crate) fn feeds(&self) -> Vec<(FeedId, u64, Option<String>)> {
        let feed = |(id, feed): (&FeedId, &InFeed)| (*id, feed.entries, feed.name.clone());
        self.feeds.iter().map(feed).collect()
    }

    fn entries(&self) -> u64 {
        self.feeds.values().map(|feed| feed.entries).sum()
    }
}

fn fields(shown: &str, contents: &Contents, ending: &Ending) -> Fields {
    let opening = contents.opening.as_ref();
    let feeds = contents.feeds.iter().map(|(id, feed)| {
        let fields = Fields::default()
            .with("feed", ids::feed_text(id))
            .with("name", feed.name.clone())
            .with("entries", feed.entries)
            .with("first", feed.first)
            .with("last", feed.last)
            .with("payloads", feed.payloads)
            .with("forks", feed.forks);
        serde_json::to_value(fields).unwrap_or_default()
    });
    Fields::default()
        .with("path", shown)
        .with("maker", opening.map(|opening| ids::feed_text(&opening.maker)))
        .with("signed", contents.stated)
        .with("for", opening.and_then(|opening| opening.for_feed).map(|feed| ids::feed_text(&feed)))
        .with("whole", opening.map(|opening| opening.whole))
        .with("entries", contents.entries())
        .with("heads", contents.heads)
        .with("wants", contents.wants)
        .with("refused", contents.refused)
        .with("unknown", ending.unknown)
        .with("fault", ending.fault.map(|fault| fault.to_string()))
        .with("feeds", feeds.collect::<Vec<_>>())
}

fn say(shown: &str, contents: &Contents, streams: &mut Streams) -> Result<(), CliError> {
    let Some(opening) = &contents.opening else { return Ok(()) };
    streams.line(&text::safe(shown))?;
    let unsigned = if contents.stated { "" } else { " (not signed)" };
    streams.line(&format!("  made by {}{unsigned}", ids::feed_text(&opening.maker)))?;
    if let Some(reader) = &opening.for_feed {
        streams.line(&format!("  for     {}", ids::feed_text(reader)))?;
    }
    streams.line(&format!(
        "  holds   {} of {}; its maker holds {} and wants {}",
        when::entries(contents.entries()),
        when::feeds(contents.feeds.len() as u64),
        when::feeds(contents.heads),
        when::counted(contents.wants, "thing", "things")
    ))?;
    for (id, feed) in &contents.feeds {
        let name = feed.name.as_deref().map(text::safe).unwrap_or_default();
        streams.line(
            format!(
                "  {}  {}, {} to {}  {name}",
                ids::feed_text(id),
                when::entries(feed.entries),
                when::count(feed.first),
                when::count(feed.last)
            )
            .trim_end(),
        )?;
    }
    Ok(())
}
