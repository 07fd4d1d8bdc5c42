//! The people of the ingest law: what each has written and signed, in as many histories as they
//! like, and the segments, payloads and proofs that can be cut from it, sound or spoilt.

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use thistle_engine::content::{Carry, Content, Post, Profile, Ranges};
use thistle_engine::entry::{EntryId, Header, Stub, window};
use thistle_engine::fork::{Chain, ForkProof};
use thistle_engine::key::{Context, FeedId, SecretKey, Seed};
use thistle_engine::limits::{AGE_MINUTES, INLINE_BYTES, SEQ_END};
use thistle_engine::segment::{self, Body, Item, UnverifiedSegment};

use super::RING;

/// Histories that one author keeps at most.
const HISTORIES: usize = 5;
/// Entries of one history at most.
const ENTRIES: usize = 150;
/// Lifetimes that authors choose among, in hours.
const LIVES: [u32; 8] = [0, 0, 0, 0, 1, 24, 24, 87_600];

/// One entry as its author made it.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) id: EntryId,
    pub(super) prev: Option<EntryId>,
    pub(super) ttl: u32,
    pub(super) payload: Vec<u8>,
}

/// One author: a key, whose it is, and every history that the key has signed.
pub(super) struct Author {
    pub(super) key: SecretKey,
    account: usize,
    pub(super) histories: Vec<Vec<Made>>,
}

/// What an author writes.
#[derive(Debug, Clone, Arbitrary)]
pub(super) enum Words {
    Post { letter: u8, length: u16 },
    Nothing,
    Name(u8),
    TakeBack { first: u8, count: u8 },
    Device { other: u8, revoke: bool },
    CertificateAgain,
    Unknown(u8),
    Noise([u8; 3]),
}

/// What is wrong with a piece, if anything is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub(super) enum Spoilt {
    Sound,
    AlsoSound,
    Signature,
    Key,
    Payload,
    Link,
    Place,
    Ttl,
}

/// How a segment travels.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(super) struct Dress {
    pub(super) age: u16,
    oldest: bool,
    /// By entry modulo 8: without its payload.
    detached: u8,
    follows: bool,
    pub(super) spoilt: Spoilt,
}

impl Author {
    /// An author whose feed begins with a certificate.
    pub(super) fn new(seed: &Seed, account: usize) -> Self {
        let mut author = Self { key: SecretKey::from_seed(seed), account, histories: Vec::new() };
        author.histories.push(vec![author.first(0)]);
        author
    }

    pub(super) fn feed(&self) -> FeedId {
        self.key.feed()
    }

    /// One of several first entries, which differ in who may carry the feed and whose it is.
    fn first(&self, variant: usize) -> Made {
        let carry = [Carry::Open, Carry::Contacts, Carry::Listed][variant % 3];
        let account = &RING.accounts[(self.account + variant / 3) % RING.accounts.len()];
        let payload = Content::Certificate(account.certify(&self.feed(), carry)).encode();
        self.entry(1, None, 0, payload)
    }

    fn entry(&self, seq: u64, prev: Option<EntryId>, ttl: u32, payload: Vec<u8>) -> Made {
        let id = Header::new(self.feed(), seq, prev, Stub::of(ttl, &payload)).id();
        Made { id, prev, ttl, payload }
    }

    pub(super) fn history(&self, pick: u8) -> usize {
        usize::from(pick) % self.histories.len()
    }

    /// Goes on with one of the histories.
    pub(super) fn write(&mut self, history: u8, words: &Words, life: u8, times: u8) {
        let at = self.history(history);
        for time in 0..=times % 40 {
            let before = &self.histories[at];
            let (Some(last), seq) = (before.last(), before.len() as u64 + 1) else { return };
            if before.len() >= ENTRIES {
                return;
            }
            let payload = self.payload(words, time, seq);
            let made = self.entry(seq, Some(last.id), LIVES[usize::from(life % 8)], payload);
            self.histories[at].push(made);
        }
    }

    /// Learns what another device with the same key wrote, if that goes on with the first history.
    pub(super) fn adopt(&mut self, seq: u64, ttl: u32, payload: Vec<u8>) {
        let before = &self.histories[0];
        if before.len() as u64 + 1 == seq {
            let made = self.entry(seq, before.last().map(|last| last.id), ttl, payload);
            self.histories[0].push(made);
        }
    }

    fn payload(&self, words: &Words, time: u8, seq: u64) -> Vec<u8> {
        let content = match words {
            Words::Post { letter, length } => {
                let text = char::from(b'a' + letter % 26).to_string();
                let text = text.repeat(usize::from(*length) % 3_000);
                Content::Post(Post { time: u64::from(time), text, ..Post::default() })
            }
            Words::Nothing => return Vec::new(),
            Words::Name(letter) => Content::Profile(Profile {
                time: u64::from(time),
                name: char::from(b'A' + letter % 26).to_string(),
                about: String::new(),
            }),
            Words::TakeBack { first, count } => {
                let first = u64::from(*first) % (seq + 2) + 1;
                let ranges = Ranges::new(vec![(first, first + u64::from(*count % 40))]);
                Content::Retraction(ranges.expect("one range is in order"))
            }
            Words::Device { other, revoke } => {
                let feed = RING.devices[usize::from(*other) % RING.devices.len()].feed();
                let account = &RING.accounts[self.account];
                Content::Device(if *revoke { account.revoke(&feed) } else { account.add(&feed) })
            }
            Words::CertificateAgain => {
                let account = &RING.accounts[self.account];
                Content::Certificate(account.certify(&self.feed(), Carry::Listed))
            }
            Words::Unknown(kind) => {
                // 12 to 15, and from 17 on.
                let kind = 12 + u64::from(*kind % 20);
                Content::Unknown { kind: kind + u64::from(kind > 15) }
            }
            Words::Noise(bytes) => return bytes.to_vec(),
        };
        content.encode()
    }

    /// Writes a second time what came after the first `keep` entries of a history.
    pub(super) fn branch(&mut self, history: u8, keep: u8, variant: u8) {
        let old = &self.histories[self.history(history)];
        let mut new = old[..usize::from(keep) % (old.len() + 1)].to_vec();
        if new.is_empty() {
            new.push(self.first(usize::from(variant) % 6));
        }
        if self.histories.len() < HISTORIES {
            self.histories.push(new);
        }
    }

    /// A segment of a history, from `first` on, that ends with its window at the latest; the bytes,
    /// and whether all of it is what the author signed.
    pub(super) fn segment(
        &self,
        history: u8,
        first: u8,
        count: u8,
        dress: Dress,
    ) -> (Vec<u8>, bool) {
        let history = &self.histories[self.history(history)];
        let first = u64::from(first) % history.len() as u64 + 1;
        let last = (first + u64::from(count % 32)).min(window(first).1).min(history.len() as u64);
        let made = &history[index(first) - 1..index(last)];
        self.cut(first, made, dress)
    }

    /// One entry far ahead, which links to nobody knows what: its author may sign that.
    pub(super) fn far(&mut self, place: u64, letter: u8, dress: Dress) -> (Vec<u8>, Made) {
        let seq = (place % SEQ_END).max(2);
        let payload = vec![letter; 3];
        let prev = Some(EntryId::from_bytes([letter; 32]));
        let made = self.entry(seq, prev, 0, payload);
        (self.cut(seq, std::slice::from_ref(&made), dress).0, made)
    }

    fn cut(&self, first: u64, made: &[Made], dress: Dress) -> (Vec<u8>, bool) {
        let items = (first..).zip(made).map(|(seq, made)| item(seq, made, dress)).collect();
        let last = made.last().map_or(EntryId::from_bytes([0; 32]), |made| made.id);
        let mut cut = UnverifiedSegment {
            feed: self.feed(),
            first_seq: first,
            prev: made.first().and_then(|made| made.prev),
            items,
            signature: segment::sign(&self.key, &last),
        };
        let before = cut.clone();
        match dress.spoilt {
            Spoilt::Signature => cut.signature[0] ^= 1,
            Spoilt::Key => {
                let other = RING.devices.iter().find(|key| key.feed() != self.feed());
                cut.signature = other.map_or([0; 64], |key| segment::sign(key, &last));
            }
            Spoilt::Payload => {
                if let Some(Item { body: Body::Here(payload @ [_, ..]), .. }) =
                    cut.items.first_mut()
                {
                    *payload = &payload[1..];
                }
            }
            Spoilt::Link => {
                cut.prev = cut.prev.map(|id| EntryId::from_bytes(id.as_bytes().map(|it| !it)));
            }
            Spoilt::Place if cut.first_seq > 1 => cut.first_seq += 1,
            Spoilt::Sound | Spoilt::AlsoSound | Spoilt::Place => {}
            Spoilt::Ttl => {
                for item in cut.items.iter_mut().filter(|item| item.ttl > 0) {
                    item.ttl -= 1;
                    item.age *= u32::from(item.ttl > 0);
                }
            }
        }
        (cut.encode(), cut == before)
    }

    /// The payload frame of one entry: feed, place, payload; another payload if it is to be wrong.
    pub(super) fn apart(&self, history: u8, seq: u8, wrong: bool) -> (u64, Vec<u8>) {
        let history = &self.histories[self.history(history)];
        let at = usize::from(seq) % history.len();
        let mut payload = history[at].payload.clone();
        if wrong {
            payload.push(0);
        }
        (at as u64 + 1, payload)
    }

    /// The proof that two histories contradict each other, where one of 32 headers shows it.
    pub(super) fn proof(&self, one: u8, other: u8, reach: u8) -> Option<Vec<u8>> {
        let pair = [one, other].map(|pick| &self.histories[self.history(pick)]);
        let same = |(a, b): &(&Made, &Made)| a.id == b.id;
        let fork = pair[0].iter().zip(pair[1]).take_while(same).count();
        let chain = |history: &[Made]| {
            let part = history.get(fork..)?;
            let made = &part[..part.len().min(1 + usize::from(reach % 32))];
            let last = made.last()?;
            let stubs = made.iter().map(|made| Stub::of(made.ttl, &made.payload)).collect();
            let signature = self.key.sign(Context::Entry, last.id.as_bytes());
            Some(Chain { first_seq: fork as u64 + 1, prev: made[0].prev, stubs, signature })
        };
        let fork = ForkProof::from_chains(self.feed(), chain(pair[0])?, chain(pair[1])?);
        fork.map(|fork| fork.bytes().to_vec())
    }

    /// The ids of everything that the key has signed.
    pub(super) fn signed(&self) -> BTreeSet<EntryId> {
        self.histories.iter().flatten().map(|made| made.id).collect()
    }
}

fn item(seq: u64, made: &Made, dress: Dress) -> Item<'_> {
    let age = if dress.oldest { AGE_MINUTES } else { u64::from(dress.age) };
    let age = if made.ttl == 0 { 0 } else { segment::claimed_age(age) };
    let bit = dress.detached >> (seq % 8) & 1 == 1 && seq > 1;
    let detached = (bit && !made.payload.is_empty()) || made.payload.len() as u64 > INLINE_BYTES;
    let Stub { size, payload_hash, .. } = Stub::of(made.ttl, &made.payload);
    let body = if detached {
        Body::Detached { size, payload_hash, follows: dress.follows }
    } else {
        Body::Here(&made.payload)
    };
    Item { ttl: made.ttl, age, body }
}

fn index(seq: u64) -> usize {
    usize::try_from(seq).expect("histories are short")
}
