//! Segments: the unit of transfer, verification and acknowledgement.
//!
//! An entry's signature covers, through `prev`, everything before it. A segment therefore carries
//! one signature, that of its last entry, and never crosses a window, so that the signature of
//! every checkpoint is held by whoever holds the entry. The receiver rebuilds each header.

use crate::account::{self, Origin};
use crate::codec::{DecodeError, Decoder, Encoder, head_len};
use crate::content::Content;
use crate::entry::{
    ChainHasher, EntryId, Header, Stub, decode_prev, decode_seq, decode_u32, window,
};
use crate::key::{Context, FeedId, KeyFault, SecretKey, Signature};
use crate::limits::{AGE_MINUTES, INLINE_BYTES, PAYLOAD_BYTES, SEGMENT_ENTRIES, TTL_HOURS};

/// Version of the format of segments; also the kind by which frames that hold one are told apart.
pub const SEGMENT_KIND: u64 = 1;

/// Why something that decodes is still not what its author made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// The bytes do not decode.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// The feed's key is unusable or the signature does not fit.
    #[error("{0}")]
    Key(#[from] KeyFault),
    /// The entries do not lie in one window.
    #[error("entries {first} to {last} cross a window")]
    CrossesWindow {
        /// First seq of the segment.
        first: u64,
        /// Last seq of the segment.
        last: u64,
    },
    /// Entry 1 does not certify its feed.
    #[error("the first entry does not certify the feed")]
    BadCertificate,
    /// A payload is not the one that the author committed to.
    #[error("the payload is not the one that was signed")]
    WrongPayload,
}

/// One entry as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// Hours of age after which the payload is dropped; 0 keeps it.
    pub ttl: u32,
    /// Minutes of age that the sender claims; 0 where `ttl` is 0.
    pub age: u32,
    /// The payload, or what is told of it.
    pub body: Body<'a>,
}

/// A payload that travels inside its segment, or the facts about one that does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// The payload itself.
    Here(&'a [u8]),
    /// The payload follows in a frame of its own, or the sender does not hold it.
    Detached {
        /// Bytes of the payload.
        size: u32,
        /// Hash of the payload.
        payload_hash: [u8; 32],
        /// Whether it follows.
        follows: bool,
    },
}

/// A segment that decoded but was not verified: nothing may be believed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedSegment<'a> {
    /// Whose entries these claim to be.
    pub feed: FeedId,
    /// The place of the first.
    pub first_seq: u64,
    /// The id of the entry before the first.
    pub prev: Option<EntryId>,
    /// The entries.
    pub items: Vec<Item<'a>>,
    /// The signature of the last entry.
    pub signature: Signature,
}

/// A segment whose author signed every byte of it.
#[derive(Debug, Clone)]
pub struct Segment<'a> {
    /// Whose entries these are.
    pub feed: FeedId,
    /// The place of the first.
    pub first_seq: u64,
    /// The id of the entry before the first.
    pub prev: Option<EntryId>,
    /// The entries with their ids.
    pub entries: Vec<Entry<'a>>,
    /// The signature of the last entry.
    pub signature: Signature,
    /// Whose feed it is, if the segment holds entry 1.
    pub origin: Option<Origin>,
}

/// One verified entry of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The entry's id.
    pub id: EntryId,
    /// What its header says.
    pub stub: Stub,
    /// Minutes of age that the sender claims.
    pub age: u32,
    /// The payload, if it came along; it fits the stub.
    pub payload: Option<&'a [u8]>,
    /// Whether the payload is to follow in a frame of its own.
    pub follows: bool,
}

impl<'a> UnverifiedSegment<'a> {
    /// Reads a segment.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        decoder.array_of("segment", 6)?;
        match decoder.uint("version", u64::MAX)? {
            SEGMENT_KIND => {}
            found => return Err(DecodeError::UnsupportedVersion { found }),
        }
        let feed = FeedId::from_bytes(decoder.fixed("feed")?);
        let first_seq = decode_seq(&mut decoder, "first_seq")?;
        let prev = decode_prev(&mut decoder, first_seq)?;
        let count = decoder.array("items", SEGMENT_ENTRIES)?;
        if count == 0 {
            return Err(DecodeError::OutOfRange { field: "items", found: 0 });
        }
        let items = (0..count).map(|_| decode_item(&mut decoder)).collect::<Result<_, _>>()?;
        let signature = decoder.fixed("signature")?;
        decoder.finish()?;
        Ok(Self { feed, first_seq, prev, items, signature })
    }

    /// The place of the last entry.
    pub fn last_seq(&self) -> u64 {
        self.first_seq.saturating_add(self.items.len() as u64).saturating_sub(1)
    }

    /// Rebuilds every header and checks window, key, signature and, for entry 1, the certificate.
    pub fn verify(self, hasher: &mut ChainHasher) -> Result<Segment<'a>, Reject> {
        let (first, last) = (self.first_seq, self.last_seq());
        if last > window(first).1 {
            return Err(Reject::CrossesWindow { first, last });
        }
        let verifier = hasher.verifier(&self.feed)?;
        let entries = self.rebuild(hasher);
        let head = entries.last().map_or([0; 32], |entry| *entry.id.as_bytes());
        verifier.check(Context::Entry, &head, &self.signature)?;
        let origin = if first == 1 { Some(self.origin(&entries)?) } else { None };
        let Self { feed, first_seq, prev, signature, .. } = self;
        Ok(Segment { feed, first_seq, prev, entries, signature, origin })
    }

    /// The ids that the entries would have; proves nothing yet.
    pub fn rebuild(&self, hasher: &mut ChainHasher) -> Vec<Entry<'a>> {
        let mut prev = self.prev;
        let place = |(seq, item): (u64, &Item<'a>)| {
            let stub = item.stub(hasher);
            let id = hasher.id(&Header::new(self.feed, seq, prev, stub));
            prev = Some(id);
            let (payload, follows) = match item.body {
                Body::Here(payload) => (Some(payload), false),
                Body::Detached { follows, .. } => (None, follows),
            };
            Entry { id, stub, age: item.age, payload, follows }
        };
        (self.first_seq..).zip(&self.items).map(place).collect()
    }

    fn origin(&self, entries: &[Entry<'_>]) -> Result<Origin, Reject> {
        let first = entries.first().ok_or(Reject::BadCertificate)?;
        let payload = first.payload.ok_or(Reject::BadCertificate)?;
        if first.stub.ttl != 0 {
            return Err(Reject::BadCertificate);
        }
        let content = Content::decode(payload).map_err(|_| Reject::BadCertificate)?;
        account::verify_certificate(&self.feed, &content).map_err(|_| Reject::BadCertificate)
    }

    /// Writes the segment's one encoding.
    pub fn encode(&self) -> Vec<u8> {
        let items: u64 = self.items.iter().map(Item::encoded_len).sum();
        let mut encoder = Encoder::with_capacity(usize::try_from(items).unwrap_or(0) + 160);
        encoder.array(6).uint(SEGMENT_KIND).bytes(self.feed.as_bytes()).uint(self.first_seq);
        encoder.bytes_or_null(self.prev.as_ref().map(|id| id.as_bytes().as_slice()));
        encoder.array(self.items.len() as u64);
        for item in &self.items {
            item.encode(&mut encoder);
        }
        encoder.bytes(&self.signature);
        encoder.into_bytes()
    }
}

impl Segment<'_> {
    /// The place of the last entry.
    pub fn last_seq(&self) -> u64 {
        self.first_seq.saturating_add(self.entries.len() as u64).saturating_sub(1)
    }
}

impl Item<'_> {
    fn stub(&self, hasher: &mut ChainHasher) -> Stub {
        match self.body {
            Body::Here(payload) => {
                // Inline payloads are at most 1 KiB.
                let size = u32::try_from(payload.len()).unwrap_or(u32::MAX);
                Stub { ttl: self.ttl, size, payload_hash: hasher.payload(payload) }
            }
            Body::Detached { size, payload_hash, .. } => Stub { ttl: self.ttl, size, payload_hash },
        }
    }

    fn encode(&self, encoder: &mut Encoder) {
        let (ttl, age) = (u64::from(self.ttl), u64::from(self.age));
        match self.body {
            Body::Here(payload) if ttl == 0 => encoder.bytes(payload),
            Body::Here(payload) => encoder.array(3).uint(ttl).uint(age).bytes(payload),
            Body::Detached { size, payload_hash, follows } => {
                encoder.array(5).uint(ttl).uint(age).uint(u64::from(size));
                encoder.bytes(&payload_hash).boolean(follows)
            }
        };
    }

    /// Bytes of the item as it travels.
    pub fn encoded_len(&self) -> u64 {
        let (ttl, age) = (u64::from(self.ttl), u64::from(self.age));
        match self.body {
            Body::Here(payload) => {
                let bytes = head_len(payload.len() as u64) + payload.len() as u64;
                if ttl == 0 { bytes } else { 1 + head_len(ttl) + head_len(age) + bytes }
            }
            Body::Detached { size, .. } => {
                1 + head_len(ttl) + head_len(age) + head_len(u64::from(size)) + 34 + 1
            }
        }
    }
}

/// Signs a run of entries as their author: the signature of the last.
pub fn sign(key: &SecretKey, last: &EntryId) -> Signature {
    key.sign(Context::Entry, last.as_bytes())
}

/// The age that is passed on for an entry, in minutes: never over the limit of the format.
pub fn claimed_age(minutes: u64) -> u32 {
    u32::try_from(minutes.min(AGE_MINUTES)).unwrap_or(u32::MAX)
}

fn decode_item<'a>(decoder: &mut Decoder<'a>) -> Result<Item<'a>, DecodeError> {
    if !decoder.next_is_array() {
        let payload = decoder.bytes("payload", INLINE_BYTES)?;
        return Ok(Item { ttl: 0, age: 0, body: Body::Here(payload) });
    }
    let count = decoder.array("item", u64::MAX)?;
    if count != 3 && count != 5 {
        return Err(DecodeError::WrongLength { field: "item", found: count, expected: 5 });
    }
    let ttl = decode_u32(decoder, "ttl", TTL_HOURS)?;
    if count == 3 && ttl == 0 {
        return Err(DecodeError::OutOfRange { field: "ttl", found: 0 });
    }
    let age = decode_u32(decoder, "age", AGE_MINUTES)?;
    if ttl == 0 && age != 0 {
        return Err(DecodeError::OutOfRange { field: "age", found: u64::from(age) });
    }
    let body = if count == 3 {
        Body::Here(decoder.bytes("payload", INLINE_BYTES)?)
    } else {
        let size = decode_u32(decoder, "size", PAYLOAD_BYTES)?;
        if size == 0 {
            return Err(DecodeError::OutOfRange { field: "size", found: 0 });
        }
        let payload_hash = decoder.fixed("payload_hash")?;
        Body::Detached { size, payload_hash, follows: decoder.boolean("follows")? }
    };
    Ok(Item { ttl, age, body })
}
