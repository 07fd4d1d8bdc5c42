//! The `fields` of the vectors as types: the engine's values on one side, JSON on the other.
//!
//! Nothing here checks a length or a limit: `encode.rs` reads back what it wrote, and compares.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thistle_engine::bundle::{Head, Opening, Want, What};
use thistle_engine::entry::{EntryId, Header, Stub};
use thistle_engine::fork::{Chain, ForkProof};
use thistle_engine::key::FeedId;
use thistle_engine::segment::{Body, Item, UnverifiedSegment};

use crate::view;

/// Bytes as hex.
#[derive(Clone, Debug)]
pub(super) struct Bytes(pub(super) Vec<u8>);

/// A fixed number of bytes as hex.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed<const N: usize>(pub(super) [u8; N]);

/// The bytes of a text of hex, in either case.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(byte).collect()
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&view::hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        unhex(&text).map(Self).ok_or_else(|| D::Error::custom("not hex"))
    }
}

impl<const N: usize> Serialize for Fixed<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&view::hex(&self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Fixed<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Bytes(bytes) = Bytes::deserialize(deserializer)?;
        let found = bytes.len();
        let due = |_| D::Error::custom(format!("{found} bytes where {N} are due"));
        bytes.try_into().map(Self).map_err(due)
    }
}

impl From<&FeedId> for Fixed<32> {
    fn from(feed: &FeedId) -> Self {
        Self(*feed.as_bytes())
    }
}

impl From<&EntryId> for Fixed<32> {
    fn from(id: &EntryId) -> Self {
        Self(*id.as_bytes())
    }
}

impl Fixed<32> {
    pub(super) const fn feed(self) -> FeedId {
        FeedId::from_bytes(self.0)
    }

    pub(super) const fn entry(self) -> EntryId {
        EntryId::from_bytes(self.0)
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderFields {
    version: u64,
    feed: Fixed<32>,
    seq: u64,
    prev: Option<Fixed<32>>,
    ttl: u32,
    size: u32,
    payload_hash: Fixed<32>,
}

impl From<&Header> for HeaderFields {
    fn from(header: &Header) -> Self {
        Self {
            version: 1,
            feed: (&header.feed).into(),
            seq: header.seq,
            prev: header.prev.as_ref().map(Fixed::from),
            ttl: header.ttl,
            size: header.size,
            payload_hash: Fixed(header.payload_hash),
        }
    }
}

impl HeaderFields {
    pub(super) fn header(&self) -> Header {
        let stub = Stub { ttl: self.ttl, size: self.size, payload_hash: self.payload_hash.0 };
        Header::new(self.feed.feed(), self.seq, self.prev.map(Fixed::entry), stub)
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SegmentFields {
    version: u64,
    feed: Fixed<32>,
    first_seq: u64,
    prev: Option<Fixed<32>>,
    items: Vec<ItemFields>,
    signature: Fixed<64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemFields {
    form: String,
    ttl: u32,
    age: u32,
    size: u32,
    payload_hash: Fixed<32>,
    payload: Option<Bytes>,
    follows: Option<bool>,
}

impl From<&UnverifiedSegment<'_>> for SegmentFields {
    fn from(segment: &UnverifiedSegment<'_>) -> Self {
        Self {
            version: 1,
            feed: (&segment.feed).into(),
            first_seq: segment.first_seq,
            prev: segment.prev.as_ref().map(Fixed::from),
            items: segment.items.iter().map(ItemFields::from).collect(),
            signature: Fixed(segment.signature),
        }
    }
}

impl SegmentFields {
    pub(super) fn segment(&self) -> UnverifiedSegment<'_> {
        UnverifiedSegment {
            feed: self.feed.feed(),
            first_seq: self.first_seq,
            prev: self.prev.map(Fixed::entry),
            items: self.items.iter().map(ItemFields::item).collect(),
            signature: self.signature.0,
        }
    }
}

impl From<&Item<'_>> for ItemFields {
    fn from(item: &Item<'_>) -> Self {
        let (form, stub, payload, follows) = match item.body {
            Body::Here(payload) => {
                let form = if item.ttl == 0 { "short" } else { "inline" };
                (form, Stub::of(item.ttl, payload), Some(Bytes(payload.to_vec())), None)
            }
            Body::Detached { size, payload_hash, follows } => {
                ("detached", Stub { ttl: item.ttl, size, payload_hash }, None, Some(follows))
            }
        };
        Self {
            form: form.to_owned(),
            ttl: item.ttl,
            age: item.age,
            size: stub.size,
            payload_hash: Fixed(stub.payload_hash),
            payload,
            follows,
        }
    }
}

impl ItemFields {
    fn item(&self) -> Item<'_> {
        let body = match &self.payload {
            Some(Bytes(payload)) => Body::Here(payload),
            None => Body::Detached {
                size: self.size,
                payload_hash: self.payload_hash.0,
                follows: self.follows.unwrap_or_default(),
            },
        };
        Item { ttl: self.ttl, age: self.age, body }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForkFields {
    version: u64,
    feed: Fixed<32>,
    chain_a: ChainFields,
    chain_b: ChainFields,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChainFields {
    first_seq: u64,
    prev: Option<Fixed<32>>,
    entries: Vec<StubFields>,
    signature: Fixed<64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StubFields {
    ttl: u32,
    size: u32,
    payload_hash: Fixed<32>,
}

impl From<&ForkProof> for ForkFields {
    fn from(proof: &ForkProof) -> Self {
        Self {
            version: 1,
            feed: (&proof.feed).into(),
            chain_a: (&proof.chain_a).into(),
            chain_b: (&proof.chain_b).into(),
        }
    }
}

impl ForkFields {
    pub(super) fn proof(&self) -> ForkProof {
        ForkProof {
            feed: self.feed.feed(),
            chain_a: self.chain_a.chain(),
            chain_b: self.chain_b.chain(),
        }
    }
}

impl From<&Chain> for ChainFields {
    fn from(chain: &Chain) -> Self {
        let entry = |stub: &Stub| StubFields {
            ttl: stub.ttl,
            size: stub.size,
            payload_hash: Fixed(stub.payload_hash),
        };
        Self {
            first_seq: chain.first_seq,
            prev: chain.prev.as_ref().map(Fixed::from),
            entries: chain.stubs.iter().map(entry).collect(),
            signature: Fixed(chain.signature),
        }
    }
}

impl ChainFields {
    fn chain(&self) -> Chain {
        let stub = |entry: &StubFields| Stub {
            ttl: entry.ttl,
            size: entry.size,
            payload_hash: entry.payload_hash.0,
        };
        Chain {
            first_seq: self.first_seq,
            prev: self.prev.map(Fixed::entry),
            stubs: self.entries.iter().map(stub).collect(),
            signature: self.signature.0,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpeningFields {
    version: u64,
    maker: Fixed<32>,
    r#for: Option<Fixed<32>>,
    whole: bool,
    position: u64,
    log_hash: Fixed<8>,
    ack: Option<AckFields>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AckFields {
    position: u64,
    hash: Fixed<8>,
}

impl From<&Opening> for OpeningFields {
    fn from(opening: &Opening) -> Self {
        Self {
            version: 1,
            maker: (&opening.maker).into(),
            r#for: opening.for_feed.as_ref().map(Fixed::from),
            whole: opening.whole,
            position: opening.position,
            log_hash: Fixed(opening.log_hash),
            ack: opening.ack.map(|(position, hash)| AckFields { position, hash: Fixed(hash) }),
        }
    }
}

impl OpeningFields {
    pub(super) fn opening(&self) -> Opening {
        Opening {
            maker: self.maker.feed(),
            for_feed: self.r#for.map(Fixed::feed),
            whole: self.whole,
            position: self.position,
            log_hash: self.log_hash.0,
            ack: self.ack.as_ref().map(|ack| (ack.position, ack.hash.0)),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeadFields {
    feed: Fixed<32>,
    floor: u64,
    head: u64,
    forked: Option<u64>,
}

impl From<&Head> for HeadFields {
    fn from(head: &Head) -> Self {
        let Head { feed, floor, head, forked } = head;
        Self { feed: feed.into(), floor: *floor, head: *head, forked: *forked }
    }
}

impl HeadFields {
    pub(super) fn head(&self) -> Head {
        Head { feed: self.feed.feed(), floor: self.floor, head: self.head, forked: self.forked }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WantFields {
    feed: Fixed<32>,
    first: u64,
    last: u64,
    what: u64,
}

impl From<&Want> for WantFields {
    fn from(want: &Want) -> Self {
        let what = match want.what {
            What::Entries => 0,
            What::Payloads => 1,
        };
        Self { feed: (&want.feed).into(), first: want.first, last: want.last, what }
    }
}

impl WantFields {
    pub(super) fn want(&self) -> Want {
        let what = if self.what == 0 { What::Entries } else { What::Payloads };
        Want { feed: self.feed.feed(), first: self.first, last: self.last, what }
    }
}
