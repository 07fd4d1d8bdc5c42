//! A person without a device: writes feeds by hand, forks them, and makes bundles of them.
//!
//! Strangers by the dozen, branches, payloads that stay away and ages that lie are cheap this way.
//! What comes out is made with the engine's own encoders, and a node reads it as it reads all else.

use thistle_engine::account::{AccountKey, Phrase};
use thistle_engine::bundle::{FileWriter, Opening};
use thistle_engine::content::{Carry, Content, Post, Ranges};
use thistle_engine::entry::{EntryId, Header, Stub, window};
use thistle_engine::key::{FeedId, SecretKey, Seed as Secret};
use thistle_engine::limits::INLINE_BYTES;
use thistle_engine::segment::{Body, Item, UnverifiedSegment, sign};

use crate::Seed;

/// A feed that somebody writes by hand; a clone of it can go another way.
#[derive(Debug, Clone)]
pub struct Author {
    secret: [u8; 32],
    feed: FeedId,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    stub: Stub,
    payload: Vec<u8>,
    id: EntryId,
}

/// The account of a person, by number.
pub fn account(person: u8) -> AccountKey {
    AccountKey::from_phrase(&Phrase::from_entropy(&Secret::new([person; 32])))
}

/// Secret bytes for an engine.
pub fn secret(seed: &mut Seed) -> Secret {
    let mut bytes = [0; 32];
    seed.fill(&mut bytes);
    Secret::new(bytes)
}

/// A post of nothing but text.
pub fn post(text: &str) -> Content {
    Content::Post(Post { time: 1_000, text: text.to_owned(), ..Post::default() })
}

impl Author {
    /// Begins an open feed of a person.
    pub fn new(person: u8, seed: &mut Seed) -> Self {
        let mut bytes = [0; 32];
        seed.fill(&mut bytes);
        let feed = SecretKey::from_seed(&Secret::new(bytes)).feed();
        let mut author = Self { secret: bytes, feed, entries: Vec::new() };
        let certificate = account(person).certify(&feed, Carry::Open);
        author.write(&Content::Certificate(certificate), 0);
        author
    }

    /// The feed.
    pub const fn feed(&self) -> FeedId {
        self.feed
    }

    /// How many entries it has.
    pub const fn head(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Writes an entry.
    pub fn write(&mut self, content: &Content, ttl: u32) {
        let payload = content.encode();
        let stub = Stub::of(ttl, &payload);
        let prev = self.entries.last().map(|entry| entry.id);
        let id = Header::new(self.feed, self.head() + 1, prev, stub).id();
        self.entries.push(Entry { stub, payload, id });
    }

    /// Writes posts of about so many bytes each.
    pub fn write_posts(&mut self, count: u64, bytes: usize) {
        for _ in 0..count {
            let at = self.head() + 1;
            self.write(&post(&format!("{at} {}", "y".repeat(bytes))), 0);
        }
    }

    /// Forgets what it wrote from a place on, so that it can write something else there.
    pub fn forget_from(&mut self, seq: u64) {
        self.entries.truncate(usize::try_from(seq.saturating_sub(1)).unwrap_or(usize::MAX));
    }

    /// Takes entries back.
    pub fn retract(&mut self, first: u64, last: u64) {
        if let Some(ranges) = Ranges::new(vec![(first, last)]) {
            self.write(&Content::Retraction(ranges), 0);
        }
    }

    /// The frames of some entries. Payloads that are too large follow if `whole`.
    fn segments(&self, writer: &mut FileWriter, from: u64, whole: bool, age: u32) -> Vec<u8> {
        let key = SecretKey::from_seed(&Secret::new(self.secret));
        let (mut out, mut first) = (Vec::new(), from);
        while first <= self.head() {
            let last = window(first).1.min(self.head());
            let (held, before) = (self.range(first, last), self.range(first - 1, first - 1));
            let Some(end) = held.last() else { break };
            let segment = UnverifiedSegment {
                feed: self.feed,
                first_seq: first,
                prev: before.first().map(|entry| entry.id),
                items: held.iter().map(|entry| entry.item(age, whole)).collect(),
                signature: sign(&key, &end.id),
            };
            out.extend(writer.segment(&segment.encode()));
            for (seq, entry) in (first..).zip(held) {
                if whole && entry.payload.len() as u64 > INLINE_BYTES {
                    out.extend(writer.payload(self.feed, seq, &entry.payload));
                }
            }
            first = last + 1;
        }
        out
    }

    fn range(&self, first: u64, last: u64) -> &[Entry] {
        let at = |seq: u64| usize::try_from(seq).unwrap_or(usize::MAX);
        self.entries.get(at(first).saturating_sub(1)..at(last)).unwrap_or_default()
    }
}

impl Entry {
    fn item(&self, age: u32, follows: bool) -> Item<'_> {
        let Stub { ttl, size, payload_hash } = self.stub;
        let body = if self.payload.len() as u64 <= INLINE_BYTES {
            Body::Here(&self.payload)
        } else {
            Body::Detached { size, payload_hash, follows }
        };
        Item { ttl, age: if ttl == 0 { 0 } else { age }, body }
    }
}

/// A bundle of what some authors wrote from a place on, made by somebody nobody knows.
pub fn bundle(authors: &[(&Author, u64)], seed: &mut Seed) -> Vec<u8> {
    bundle_with(authors, true, 0, seed)
}

/// The same, with large payloads only if `whole`, and with ages claimed in minutes.
pub fn bundle_with(authors: &[(&Author, u64)], whole: bool, age: u32, seed: &mut Seed) -> Vec<u8> {
    let key = SecretKey::from_seed(&secret(seed));
    let opening = Opening {
        maker: key.feed(),
        for_feed: None,
        whole: false,
        position: 1,
        log_hash: [0; 8],
        ack: None,
    };
    let (mut writer, mut out) = FileWriter::new(opening, Vec::new(), &[], &key);
    for (author, from) in authors {
        out.extend(author.segments(&mut writer, (*from).max(1), whole, age));
    }
    out.extend(writer.end());
    out
}
