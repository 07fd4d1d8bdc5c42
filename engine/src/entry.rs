//! One signed element of a feed: its header, its id, and the windows that feeds are cut into.
//!
//! The header is what an author commits to; the payload hangs on it by hash and can be dropped
//! without breaking the feed. Neither time nor kind stand in it: those are claims inside the payload.

use std::fmt;

use crate::codec::{DecodeError, Decoder, Encoder};
use crate::key::{Context, Digest, FeedId, Hasher, KeyFault, Verifier, derive};
use crate::limits::{PAYLOAD_BYTES, SEQ_END, TTL_HOURS};

/// Version of the header format.
const VERSION: u64 = 1;
/// Entries in a full window.
const WINDOW: u64 = 32;
/// Most bytes of a header.
const HEADER_BYTES: usize = 1 + 1 + 34 + 9 + 34 + 5 + 5 + 34;

/// The id of an entry: a hash over its header.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId([u8; 32]);

impl EntryId {
    /// Takes an id's bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The id's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight bytes, by which contents name their parents.
    pub const fn prefix(&self) -> [u8; 8] {
        match self.0.first_chunk() {
            Some(prefix) => *prefix,
            // An id has more than eight bytes.
            None => [0; 8],
        }
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EntryId(")?;
        for byte in self.0.iter().take(4) {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("..)")
    }
}

/// What a header says beyond its place in the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stub {
    /// Hours of age after which the payload is dropped; 0 keeps it.
    pub ttl: u32,
    /// Bytes of the payload.
    pub size: u32,
    /// Hash of the payload.
    pub payload_hash: Digest,
}

impl Stub {
    /// The stub of a payload.
    ///
    /// The caller has checked that the payload is within [`PAYLOAD_BYTES`].
    pub fn of(ttl: u32, payload: &[u8]) -> Self {
        let size = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        Self { ttl, size, payload_hash: derive(Context::Payload, payload) }
    }

    /// Whether `payload` is the one that the author committed to.
    pub fn fits(&self, payload: &[u8]) -> bool {
        payload.len() as u64 == u64::from(self.size)
            && derive(Context::Payload, payload) == self.payload_hash
    }
}

/// The header of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whose entry it is.
    pub feed: FeedId,
    /// Its place: 1, 2, 3, ...
    pub seq: u64,
    /// The entry before it; none for the first.
    pub prev: Option<EntryId>,
    /// Hours of age after which the payload is dropped; 0 keeps it.
    pub ttl: u32,
    /// Bytes of the payload.
    pub size: u32,
    /// Hash of the payload.
    pub payload_hash: Digest,
}

impl Header {
    /// Puts a stub in its place.
    pub const fn new(feed: FeedId, seq: u64, prev: Option<EntryId>, stub: Stub) -> Self {
        let Stub { ttl, size, payload_hash } = stub;
        Self { feed, seq, prev, ttl, size, payload_hash }
    }

    /// Reads a header.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        decoder.array_of("header", 7)?;
        let version = decoder.uint("version", u64::MAX)?;
        if version != VERSION {
            return Err(DecodeError::UnsupportedVersion { found: version });
        }
        let feed = FeedId::from_bytes(decoder.fixed("feed")?);
        let seq = decode_seq(&mut decoder, "seq")?;
        let prev = decode_prev(&mut decoder, seq)?;
        let stub = decode_stub(&mut decoder)?;
        decoder.finish()?;
        Ok(Self::new(feed, seq, prev, stub))
    }

    /// Writes the header's one encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::with_capacity(HEADER_BYTES);
        self.write(&mut encoder);
        encoder.into_bytes()
    }

    fn write(&self, encoder: &mut Encoder) {
        encoder.array(7).uint(VERSION).bytes(self.feed.as_bytes()).uint(self.seq);
        encoder.bytes_or_null(self.prev.as_ref().map(|id| id.as_bytes().as_slice()));
        encoder.uint(u64::from(self.ttl)).uint(u64::from(self.size)).bytes(&self.payload_hash);
    }

    /// The entry's id.
    pub fn id(&self) -> EntryId {
        EntryId(derive(Context::Entry, &self.encode()))
    }

    /// The header without its place.
    pub const fn stub(&self) -> Stub {
        Stub { ttl: self.ttl, size: self.size, payload_hash: self.payload_hash }
    }
}

/// Hashes and checks many entries without starting anew each time.
#[derive(Debug, Clone)]
pub struct ChainHasher {
    entry: Hasher,
    payload: Hasher,
    header: Encoder,
    /// The key of the feed that was checked last: neighbours are mostly of one feed.
    verifier: Option<(FeedId, Verifier)>,
}

impl Default for ChainHasher {
    fn default() -> Self {
        Self {
            entry: Hasher::new(Context::Entry),
            payload: Hasher::new(Context::Payload),
            header: Encoder::with_capacity(HEADER_BYTES),
            verifier: None,
        }
    }
}

impl ChainHasher {
    /// The id of a header.
    pub fn id(&mut self, header: &Header) -> EntryId {
        header.write(self.header.clear());
        EntryId(self.entry.reset().update(self.header.as_bytes()).finish())
    }

    /// The hash of a payload.
    pub fn payload(&mut self, payload: &[u8]) -> Digest {
        self.payload.reset().update(payload).finish()
    }

    /// The expanded key of a feed.
    pub fn verifier(&mut self, feed: &FeedId) -> Result<Verifier, KeyFault> {
        match self.verifier {
            Some((of, verifier)) if of == *feed => Ok(verifier),
            _ => {
                let verifier = Verifier::of_feed(feed)?;
                self.verifier = Some((*feed, verifier));
                Ok(verifier)
            }
        }
    }
}

/// First and last seq of the window that `seq` lies in: {1}, {2..32}, {33..64}, ...
///
/// The last window ends with the last seq, so it is one entry short.
pub const fn window(seq: u64) -> (u64, u64) {
    if seq <= 1 {
        return (1, 1);
    }
    let last = seq.div_ceil(WINDOW).saturating_mul(WINDOW);
    let first = last.saturating_sub(WINDOW).saturating_add(1);
    let last = if last < SEQ_END { last } else { SEQ_END - 1 };
    if first < 2 { (2, last) } else { (first, last) }
}

/// Whether the author always signs this entry and every holder keeps that signature.
pub const fn is_checkpoint(seq: u64) -> bool {
    window(seq).1 == seq
}

/// Reads a sequence number.
pub fn decode_seq(decoder: &mut Decoder<'_>, field: &'static str) -> Result<u64, DecodeError> {
    match decoder.uint(field, SEQ_END - 1)? {
        0 => Err(DecodeError::OutOfRange { field, found: 0 }),
        seq => Ok(seq),
    }
}

/// Reads what the first of a run of entries links to: null for entry 1 and only there.
pub fn decode_prev(decoder: &mut Decoder<'_>, seq: u64) -> Result<Option<EntryId>, DecodeError> {
    let prev = decoder.fixed_or_null("prev")?.map(EntryId);
    if prev.is_none() == (seq == 1) {
        Ok(prev)
    } else {
        Err(DecodeError::OutOfRange { field: "prev", found: seq })
    }
}

/// Reads ttl, size and payload hash.
pub fn decode_stub(decoder: &mut Decoder<'_>) -> Result<Stub, DecodeError> {
    let ttl = decode_u32(decoder, "ttl", TTL_HOURS)?;
    let size = decode_u32(decoder, "size", PAYLOAD_BYTES)?;
    Ok(Stub { ttl, size, payload_hash: decoder.fixed("payload_hash")? })
}

/// Reads an integer whose limit fits 32 bits.
pub fn decode_u32(
    decoder: &mut Decoder<'_>,
    field: &'static str,
    limit: u64,
) -> Result<u32, DecodeError> {
    let found = decoder.uint(field, limit)?;
    u32::try_from(found).map_err(|_| DecodeError::OverLimit { field, found, limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(seq: u64) -> Header {
        let prev = (seq > 1).then_some(EntryId([9; 32]));
        Header::new(FeedId::from_bytes([3; 32]), seq, prev, Stub::of(24, b"payload"))
    }

    #[test]
    fn windows_are_as_specified() {
        for (seq, expected) in [
            (1, (1, 1)),
            (2, (2, 32)),
            (32, (2, 32)),
            (33, (33, 64)),
            (64, (33, 64)),
            (65, (65, 96)),
            (SEQ_END - 32, (SEQ_END - 63, SEQ_END - 32)),
            (SEQ_END - 1, (SEQ_END - 31, SEQ_END - 1)),
        ] {
            assert_eq!(window(seq), expected, "seq {seq}");
        }
        assert!(is_checkpoint(1) && is_checkpoint(32) && !is_checkpoint(33));
        assert!(is_checkpoint(SEQ_END - 1), "the last entry that a feed can have");
    }

    #[test]
    fn a_header_has_one_encoding() {
        for seq in [1, 2, 24, 70_000] {
            let bytes = header(seq).encode();
            let back = Header::decode(&bytes).unwrap();
            assert_eq!((back, back.encode()), (header(seq), bytes));
        }
    }

    #[test]
    fn prev_is_null_at_the_first_entry_and_only_there() {
        for seq in [1, 2] {
            let mut wrong = header(seq);
            wrong.prev = if seq == 1 { Some(EntryId([9; 32])) } else { None };
            let found = Header::decode(&wrong.encode()).unwrap_err();
            assert_eq!(found, DecodeError::OutOfRange { field: "prev", found: seq });
        }
    }

    #[test]
    fn a_chain_hasher_hashes_as_one_by_one() {
        let mut hasher = ChainHasher::default();
        for seq in 1..4 {
            assert_eq!(hasher.id(&header(seq)), header(seq).id());
        }
        assert_eq!(hasher.payload(b"payload"), header(1).payload_hash);
    }
}
