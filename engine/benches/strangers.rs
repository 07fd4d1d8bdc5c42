//! A flood: a bundle of fresh feeds that nobody knows, made by hand so that there can be many.

use std::ops::Range;

use thistle_engine::account::{AccountKey, Phrase};
use thistle_engine::bundle::{FileWriter, Opening};
use thistle_engine::content::{Carry, Content, Post};
use thistle_engine::entry::{Header, Stub};
use thistle_engine::key::{SecretKey, Seed};
use thistle_engine::segment::{Body, Item, UnverifiedSegment, sign};

/// A bundle of the feeds with some numbers, each with a certificate and one post.
pub(crate) fn bundle(numbers: Range<u32>) -> Vec<u8> {
    let account = AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new([77; 32])));
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
    for number in numbers {
        let mut seed = [79; 32];
        seed[..4].copy_from_slice(&number.to_be_bytes());
        let key = SecretKey::from_seed(&Seed::new(seed));
        let first = Content::Certificate(account.certify(&key.feed(), Carry::Open)).encode();
        let text = "x".repeat(100);
        let post = Content::Post(Post { time: 1, text, ..Post::default() }).encode();
        let mut prev = None;
        for (seq, payload) in [(1, &first), (2, &post)] {
            let id = Header::new(key.feed(), seq, prev, Stub::of(0, payload)).id();
            let items = vec![Item { ttl: 0, age: 0, body: Body::Here(payload) }];
            let signature = sign(&key, &id);
            let segment =
                UnverifiedSegment { feed: key.feed(), first_seq: seq, prev, items, signature };
            bytes.extend(writer.segment(&segment.encode()));
            prev = Some(id);
        }
    }
    bytes.extend(writer.end());
    bytes
}
