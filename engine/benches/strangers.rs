//! Feeds that nobody knows, made by hand so that there can be many, and bundles of them: a flood.

use std::ops::Range;

use thistle_engine::account::{AccountKey, Phrase};
use thistle_engine::bundle::{FileWriter, Opening};
use thistle_engine::content::{Carry, Content, Post};
use thistle_engine::entry::{EntryId, Header, Stub, window};
use thistle_engine::key::{SecretKey, Seed};
use thistle_engine::segment::{Body, Item, UnverifiedSegment, sign};

/// One feed of a made-up author, which goes on as its segments are asked for.
#[derive(Debug)]
pub(crate) struct Stranger {
    key: SecretKey,
    seq: u64,
    prev: Option<EntryId>,
}

impl Stranger {
    /// The feed of some number, with nothing in it.
    pub(crate) fn new(number: u32) -> Self {
        let mut seed = [79; 32];
        seed[..4].copy_from_slice(&number.to_be_bytes());
        Self { key: SecretKey::from_seed(&Seed::new(seed)), seq: 0, prev: None }
    }

    /// All segments of a feed of so many entries.
    pub(crate) fn whole(
        number: u32,
        account: &AccountKey,
        entries: u64,
        text: usize,
    ) -> Vec<Vec<u8>> {
        let (mut stranger, mut segments) = (Self::new(number), Vec::new());
        while stranger.seq < entries {
            segments.push(stranger.next(account, entries - stranger.seq, text));
        }
        segments
    }

    /// The next segment: entry 1, or so many posts of so many bytes of text, within their window.
    pub(crate) fn next(&mut self, account: &AccountKey, posts: u64, text: usize) -> Vec<u8> {
        let first_seq = self.seq + 1;
        let last = window(first_seq).1.min(first_seq + posts.max(1) - 1);
        let content = |seq| {
            if seq == 1 {
                return Content::Certificate(account.certify(&self.key.feed(), Carry::Open));
            }
            let text = format!("{seq:x>text$}");
            Content::Post(Post { time: 1, text, ..Post::default() })
        };
        let payloads: Vec<Vec<u8>> = (first_seq..=last).map(|seq| content(seq).encode()).collect();
        let (feed, prev) = (self.key.feed(), self.prev);
        for (seq, payload) in (first_seq..).zip(&payloads) {
            self.prev = Some(Header::new(feed, seq, self.prev, Stub::of(0, payload)).id());
        }
        self.seq = last;
        let item = |payload| Item { ttl: 0, age: 0, body: Body::Here(payload) };
        let items = payloads.iter().map(|payload| item(payload)).collect();
        let id = self.prev.expect("a segment has an entry");
        let signature = sign(&self.key, &id);
        UnverifiedSegment { feed, first_seq, prev, items, signature }.encode()
    }
}

/// The account of all strangers.
pub(crate) fn account() -> AccountKey {
    AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new([77; 32])))
}

/// A bundle of segments.
pub(crate) fn bundled(segments: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let maker = SecretKey::from_seed(&Seed::new([78; 32]));
    let opening = Opening {
        maker: maker.feed(),
        for_feed: None,
        whole: false,
        position: 0,
        log_hash: [0; 8],
        ack: None,
    };
    let (mut writer, mut bytes) = FileWriter::new(opening, Vec::new(), &[], &maker);
    for segment in segments {
        bytes.extend(writer.segment(&segment));
    }
    bytes.extend(writer.end());
    bytes
}

/// A bundle of the feeds with some numbers, each with a certificate and one post.
pub(crate) fn bundle(numbers: Range<u32>) -> Vec<u8> {
    let account = account();
    bundled(numbers.flat_map(|number| Stranger::whole(number, &account, 2, 100)))
}
