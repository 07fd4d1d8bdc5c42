//! One frame of a bundle: the codec alone, without the rules of the file around it.

use crate::codec::{DecodeError, Decoder, Encoder, head_len};
use crate::entry::decode_seq;
use crate::key::{FeedId, Signature};
use crate::limits::{BUNDLE_HEADS_PER_FRAME, PAYLOAD_BYTES, WANTS};

/// Version of the bundle format.
pub(super) const VERSION: u64 = 1;

pub(super) const OPENING: u64 = 0;
pub(super) const SEGMENT: u64 = 1;
pub(super) const PAYLOAD: u64 = 2;
pub(super) const HEADS: u64 = 3;
pub(super) const WANTED: u64 = 4;
pub(super) const STATEMENT: u64 = 5;
pub(super) const FORK: u64 = 6;
pub(super) const END: u64 = 7;

/// One frame of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Who made the file, for whom, and where their logs stand.
    Opening(Opening),
    /// A segment: the whole frame, for the segment's own decoder.
    Segment(&'a [u8]),
    /// A payload that its segment left out.
    Payload {
        /// Whose entry it belongs to.
        feed: FeedId,
        /// The entry's place.
        seq: u64,
        /// The payload.
        payload: &'a [u8],
    },
    /// What the maker holds.
    Heads(Vec<Head>),
    /// What the maker lacks.
    Wants(Vec<Want>),
    /// The maker's signature over all that stands before it.
    Statement(Signature),
    /// A fork proof: its bytes, for the proof's own decoder.
    Fork(&'a [u8]),
    /// The last frame.
    End {
        /// How many frames the body has.
        count: u64,
    },
    /// A frame of a later version: skipped and counted.
    Unknown {
        /// Its kind.
        kind: u64,
    },
}

/// The first frame of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// The device that made the file.
    pub maker: FeedId,
    /// The device that it is for, if it is for one.
    pub for_feed: Option<FeedId>,
    /// Whether the heads list everything open that the maker holds.
    pub whole: bool,
    /// Length of the maker's arrival log.
    pub position: u64,
    /// Running hash of the maker's arrival log there.
    pub log_hash: [u8; 8],
    /// Position and hash of the reader's log up to which the maker had read it.
    pub ack: Option<(u64, [u8; 8])>,
}

/// What the maker holds of one feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The feed.
    pub feed: FeedId,
    /// The oldest entry held without a gap up to the head.
    pub floor: u64,
    /// The newest entry held without a gap.
    pub head: u64,
    /// The lowest place of a proven fork, if the feed is forked.
    pub forked: Option<u64>,
}

/// What the maker lacks of one feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// The feed.
    pub feed: FeedId,
    /// The first place of the range.
    pub first: u64,
    /// The last place of the range.
    pub last: u64,
    /// What of these entries is missing.
    pub what: What,
}

/// What of an entry is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The entries themselves.
    Entries,
    /// The payloads of entries that are held.
    Payloads,
}

impl<'a> Frame<'a> {
    /// Reads a frame; `bytes` is what stands inside its byte string.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        let (count, kind) = decode_start(&mut decoder)?;
        let due = match kind {
            OPENING => 8,
            SEGMENT => return Ok(Self::Segment(bytes)),
            PAYLOAD => 4,
            HEADS | WANTED | STATEMENT | FORK | END => 2,
            kind => return Ok(Self::Unknown { kind }),
        };
        expect_count(count, due)?;
        let frame = match kind {
            OPENING => Self::Opening(Opening::decode(&mut decoder)?),
            PAYLOAD => Self::Payload {
                feed: FeedId::from_bytes(decoder.fixed("feed")?),
                seq: decode_seq(&mut decoder, "seq")?,
                payload: decoder.bytes("payload", PAYLOAD_BYTES)?,
            },
            HEADS => Self::Heads(decode_heads(&mut decoder)?),
            WANTED => Self::Wants(decode_wants(&mut decoder)?),
            STATEMENT => Self::Statement(decoder.fixed("signature")?),
            END => Self::End { count: decoder.uint("count", u64::MAX)? },
            _ if decoder.is_at_end() => return Err(DecodeError::EndOfInput { field: "proof" }),
            // A nested proof reaches to the end of the frame; its own decoder refuses what follows.
            _ if decoder.next_is_array() => {
                return Ok(Self::Fork(bytes.get(decoder.position()..).unwrap_or_default()));
            }
            _ => return Err(DecodeError::WrongType { field: "proof" }),
        };
        decoder.finish()?;
        Ok(frame)
    }

    /// The number by which the frame is told apart.
    pub const fn kind(&self) -> u64 {
        match self {
            Self::Opening(_) => OPENING,
            Self::Segment(_) => SEGMENT,
            Self::Payload { .. } => PAYLOAD,
            Self::Heads(_) => HEADS,
            Self::Wants(_) => WANTED,
            Self::Statement(_) => STATEMENT,
            Self::Fork(_) => FORK,
            Self::End { .. } => END,
            Self::Unknown { kind } => *kind,
        }
    }

    /// Writes the frame's one encoding, as it stands inside its byte string.
    ///
    /// The rest of a frame of unknown kind is not kept; of such a frame only the kind is written.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        match self {
            Self::Opening(opening) => opening.encode(&mut encoder),
            Self::Segment(bytes) => {
                encoder.encoded(bytes);
            }
            Self::Payload { feed, seq, payload } => {
                encoder.array(4).uint(PAYLOAD).bytes(feed.as_bytes()).uint(*seq).bytes(payload);
            }
            Self::Heads(heads) => {
                encoder.array(2).uint(HEADS).array(heads.len() as u64);
                for head in heads {
                    head.encode(&mut encoder);
                }
            }
            Self::Wants(wants) => {
                encoder.array(2).uint(WANTED).array(wants.len() as u64);
                for want in wants {
                    want.encode(&mut encoder);
                }
            }
            Self::Statement(signature) => {
                encoder.array(2).uint(STATEMENT).bytes(signature);
            }
            Self::Fork(proof) => {
                encoder.array(2).uint(FORK).encoded(proof);
            }
            Self::End { count } => {
                encoder.array(2).uint(END).uint(*count);
            }
            Self::Unknown { kind } => {
                encoder.array(1).uint(*kind);
            }
        }
        encoder.into_bytes()
    }
}

impl Opening {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let version = decoder.uint("version", u64::MAX)?;
        if version != VERSION {
            return Err(DecodeError::UnsupportedVersion { found: version });
        }
        let maker = FeedId::from_bytes(decoder.fixed("maker")?);
        let for_feed = decoder.fixed_or_null("for")?.map(FeedId::from_bytes);
        let whole = decoder.boolean("whole")?;
        let position = decoder.uint("position", u64::MAX)?;
        let log_hash = decoder.fixed("log_hash")?;
        let ack = if decoder.skip_null() {
            None
        } else {
            decoder.array_of("ack", 2)?;
            Some((decoder.uint("position", u64::MAX)?, decoder.fixed("hash")?))
        };
        Ok(Self { maker, for_feed, whole, position, log_hash, ack })
    }

    fn encode(&self, encoder: &mut Encoder) {
        let for_feed = self.for_feed.as_ref().map(|feed| feed.as_bytes().as_slice());
        encoder.array(8).uint(OPENING).uint(VERSION).bytes(self.maker.as_bytes());
        encoder.bytes_or_null(for_feed).boolean(self.whole);
        encoder.uint(self.position).bytes(&self.log_hash);
        match self.ack {
            Some((position, hash)) => encoder.array(2).uint(position).bytes(&hash),
            None => encoder.null(),
        };
    }
}

impl Head {
    /// Reads the head at `place` of its frame, after that of the feed `last`.
    fn decode(
        decoder: &mut Decoder<'_>,
        last: Option<FeedId>,
        place: u64,
    ) -> Result<Self, DecodeError> {
        let count = decoder.array("head", u64::MAX)?;
        if count != 3 && count != 4 {
            return Err(DecodeError::WrongLength { field: "head", found: count, expected: 3 });
        }
        let feed = FeedId::from_bytes(decoder.fixed("feed")?);
        if last >= Some(feed) {
            return Err(DecodeError::OutOfRange { field: "heads", found: place });
        }
        let floor = decode_seq(decoder, "floor")?;
        let head = decode_seq(decoder, "head")?;
        if head < floor {
            return Err(DecodeError::OutOfRange { field: "head", found: head });
        }
        let forked = if count == 4 { Some(decode_seq(decoder, "forked")?) } else { None };
        Ok(Self { feed, floor, head, forked })
    }

    fn encode(&self, encoder: &mut Encoder) {
        encoder.array(if self.forked.is_some() { 4 } else { 3 });
        encoder.bytes(self.feed.as_bytes()).uint(self.floor).uint(self.head);
        if let Some(forked) = self.forked {
            encoder.uint(forked);
        }
    }
}

impl Want {
    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        decoder.array_of("want", 4)?;
        let feed = FeedId::from_bytes(decoder.fixed("feed")?);
        let first = decode_seq(decoder, "first")?;
        let last = decode_seq(decoder, "last")?;
        if last < first {
            return Err(DecodeError::OutOfRange { field: "last", found: last });
        }
        let what = match decoder.uint("what", u64::MAX)? {
            0 => What::Entries,
            1 => What::Payloads,
            found => return Err(DecodeError::OutOfRange { field: "what", found }),
        };
        Ok(Self { feed, first, last, what })
    }

    pub(crate) fn encode(&self, encoder: &mut Encoder) {
        let what = match self.what {
            What::Entries => 0,
            What::Payloads => 1,
        };
        encoder.array(4).bytes(self.feed.as_bytes());
        encoder.uint(self.first).uint(self.last).uint(what);
    }
}

/// Bytes that a frame takes in the file; `body_len` are those inside its byte string.
pub const fn frame_len(body_len: u64) -> u64 {
    head_len(body_len).saturating_add(body_len)
}

/// Bytes that a payload takes in the file.
pub const fn payload_frame_len(seq: u64, payload_len: u64) -> u64 {
    frame_len((2 + 34 + head_len(seq)).saturating_add(frame_len(payload_len)))
}

/// Bytes that a fork proof takes in the file.
pub const fn fork_frame_len(proof_len: u64) -> u64 {
    frame_len(proof_len.saturating_add(2))
}

/// Puts a frame into its byte string.
pub(crate) fn framed(body: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.bytes(body);
    encoder.into_bytes()
}

/// Reads the kind of a frame.
pub(super) fn decode_kind(decoder: &mut Decoder<'_>) -> Result<u64, DecodeError> {
    decode_start(decoder).map(|(_, kind)| kind)
}

/// Reads the number of a frame's elements and its kind.
fn decode_start(decoder: &mut Decoder<'_>) -> Result<(u64, u64), DecodeError> {
    match decoder.array("frame", u64::MAX)? {
        0 => Err(DecodeError::WrongLength { field: "frame", found: 0, expected: 1 }),
        count => Ok((count, decoder.uint("kind", u64::MAX)?)),
    }
}

fn expect_count(found: u64, expected: u64) -> Result<(), DecodeError> {
    if found == expected {
        Ok(())
    } else {
        Err(DecodeError::WrongLength { field: "frame", found, expected })
    }
}

fn decode_heads(decoder: &mut Decoder<'_>) -> Result<Vec<Head>, DecodeError> {
    let count = decode_count(decoder, "heads", BUNDLE_HEADS_PER_FRAME)?;
    let mut last = None;
    let decode_next = |place| {
        let head = Head::decode(decoder, last, place)?;
        last = Some(head.feed);
        Ok(head)
    };
    (0..count).map(decode_next).collect()
}

fn decode_wants(decoder: &mut Decoder<'_>) -> Result<Vec<Want>, DecodeError> {
    let count = decode_count(decoder, "wants", WANTS)?;
    (0..count).map(|_| Want::decode(decoder)).collect()
}

fn decode_count(
    decoder: &mut Decoder<'_>,
    field: &'static str,
    limit: u64,
) -> Result<u64, DecodeError> {
    match decoder.array(field, limit)? {
        0 => Err(DecodeError::OutOfRange { field, found: 0 }),
        count => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(byte: u8) -> FeedId {
        FeedId::from_bytes([byte; 32])
    }

    fn heads(feeds: &[u8]) -> Vec<u8> {
        let head = |byte: &u8| Head { feed: feed(*byte), floor: 2, head: 3, forked: None };
        Frame::Heads(feeds.iter().map(head).collect()).encode()
    }

    #[test]
    fn every_kind_of_frame_has_one_encoding() {
        let head = Head { feed: feed(1), floor: 1, head: 70_000, forked: None };
        let forked = Head { feed: feed(2), forked: Some(3), ..head };
        let want = Want { feed: feed(1), first: 1, last: 40, what: What::Entries };
        let payloads = Want { what: What::Payloads, ..want };
        let (maker, log_hash, ack) = (feed(1), [1; 8], Some((u64::MAX, [2; 8])));
        let opening =
            Opening { maker, for_feed: None, whole: true, position: 0, log_hash, ack: None };
        let answer = Opening { for_feed: Some(feed(2)), whole: false, ack, ..opening };
        for frame in [
            Frame::Opening(opening),
            Frame::Opening(answer),
            Frame::Segment(&[0x82, 1, 0]),
            Frame::Payload { feed: feed(1), seq: 300, payload: b"" },
            Frame::Heads(vec![head, forked]),
            Frame::Wants(vec![want, payloads]),
            Frame::Statement([5; 64]),
            Frame::Fork(&[0x82, 1, 0]),
            Frame::End { count: 24 },
            Frame::Unknown { kind: 8 },
        ] {
            let bytes = frame.encode();
            assert_eq!(Frame::decode(&bytes).as_ref(), Ok(&frame));
            let kind = decode_kind(&mut Decoder::new(&bytes));
            assert_eq!(kind, Ok(frame.kind()));
            let long = [&bytes[..], &[0]].concat();
            // These three reach to the end of their frame; others look into them, or nobody.
            if !matches!(frame, Frame::Segment(_) | Frame::Fork(_) | Frame::Unknown { .. }) {
                assert_eq!(Frame::decode(&long), Err(DecodeError::TrailingBytes { found: 1 }));
                let shorter = Frame::decode(&bytes[..bytes.len() - 1]);
                assert!(matches!(shorter, Err(DecodeError::EndOfInput { .. })), "{frame:?}");
            }
        }
    }

    #[test]
    fn the_largest_heads_and_wants_fit_a_frame() {
        let top = crate::limits::SEQ_END - 1;
        let head = Head { feed: feed(1), floor: top, head: top, forked: Some(top) };
        let want = Want { feed: feed(1), first: top, last: top, what: What::Payloads };
        for frame in [Frame::Heads(vec![head; 1_024]), Frame::Wants(vec![want; 256])] {
            assert!(frame.encode().len() as u64 <= crate::limits::FRAME_BYTES);
        }
    }

    #[test]
    fn what_breaks_a_rule_is_refused_by_its_name() {
        let unsorted = |found| DecodeError::OutOfRange { field: "heads", found };
        let mut wants = Encoder::new();
        wants.array(2).uint(WANTED).array(257);
        let want = |last, what| {
            let mut want = Encoder::new();
            want.array(2).uint(WANTED).array(1).array(4).bytes(&[1; 32]).uint(5);
            want.uint(last).uint(what).clone().into_bytes()
        };
        for (bytes, fault) in [
            (heads(&[]), unsorted(0)),
            (heads(&[4, 4]), unsorted(1)),
            (heads(&[4, 5, 3]), unsorted(2)),
            (vec![0x80], DecodeError::WrongLength { field: "frame", found: 0, expected: 1 }),
            (
                vec![0x83, 7, 0, 0],
                DecodeError::WrongLength { field: "frame", found: 3, expected: 2 },
            ),
            (vec![0x82, 6, 0x40], DecodeError::WrongType { field: "proof" }),
            (vec![0x82, 6], DecodeError::EndOfInput { field: "proof" }),
            (vec![0x88, 0, 2], DecodeError::UnsupportedVersion { found: 2 }),
            (
                wants.into_bytes(),
                DecodeError::OverLimit { field: "wants", found: 257, limit: WANTS },
            ),
            (want(4, 0), DecodeError::OutOfRange { field: "last", found: 4 }),
            (want(5, 2), DecodeError::OutOfRange { field: "what", found: 2 }),
        ] {
            assert_eq!(Frame::decode(&bytes), Err(fault));
        }
    }
}
