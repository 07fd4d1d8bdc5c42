//! The messages of a reconciliation and their one encoding.
//!
//! Each is a CBOR array that opens with its kind, small enough for one frame; what there are
//! thousands of stands in one byte string. What a number means (how wide the ids are, which
//! buckets are meant) follows from the run, not from the message. `schemas/reconciliation.md` is
//! the specification.

use super::coding::{Input, read_ids, write_ids, write_varint};
use super::field::P;
use super::scope::Counters;
use crate::codec::{DecodeError, Decoder, Encoder};
use crate::limits::{FRAME_BYTES, RECONCILE_SUMS, SCOPE_FEEDS, SEQ_END};

/// Bytes of a sum in a sketch.
pub(super) const SUM_BYTES: usize = 5;

/// The kinds of these messages; a session's own are lower.
const COUNTERS: u64 = 16;
const SKETCH: u64 = 17;
const MORE: u64 = 18;
const VECTOR: u64 = 19;
const WANTS: u64 = 20;
const PICKS: u64 = 21;
const ALL: u64 = 22;

/// A message of a reconciliation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The counters of the responder, if its state did not carry them.
    Counters(Box<Counters>),
    /// Power sums of some buckets of the opener.
    Sketch {
        /// Buckets that the sketch has in all.
        buckets: u64,
        /// Sums that the receiver has of each of these buckets from now on.
        upto: u64,
        /// The new sums, bucket by bucket.
        sums: Vec<u64>,
    },
    /// Which of the buckets sent last did not decode, from the highest bit; the rest is zero.
    More(Vec<u8>),
    /// Part of a list of everything that one side holds, in the order of the ids.
    Vector {
        /// Place of the first of them in the sender's whole list.
        first: u64,
        /// What follows.
        then: Then,
        /// The feeds.
        rows: Vec<Row>,
    },
    /// Feeds of a sketch that the sender lacks more of.
    Wants {
        /// Whether the run goes on after this message.
        more: bool,
        /// Their ids, and what the sender has.
        wants: Vec<Want>,
    },
    /// Feeds of a vector that the sender lacks more of: places and what it has. One for each vector.
    Picks(Vec<Want>),
    /// The sender holds nothing and wants all.
    All,
}

/// What follows after a part of a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The sender goes on.
    GoOn,
    /// The receiver goes on with its own list after the last of these rows.
    YourTurn,
    /// Nothing: the sender holds no more.
    End,
}

/// A feed in a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The id, in the width of the run.
    pub id: u64,
    /// The seq held.
    pub seq: u64,
    /// Eight bits of a keyed hash of the head.
    pub tag: u8,
}

/// A feed that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Its id, or its place in the vector.
    pub id: u64,
    /// The seq held; 0 if the feed is not.
    pub have: u64,
}

impl Message {
    /// Whether a frame of this kind belongs here.
    pub const fn is_kind(kind: u64) -> bool {
        matches!(kind, COUNTERS..=ALL)
    }

    /// The number by which the message is told apart.
    pub const fn kind(&self) -> u64 {
        match self {
            Self::Counters(_) => COUNTERS,
            Self::Sketch { .. } => SKETCH,
            Self::More(_) => MORE,
            Self::Vector { .. } => VECTOR,
            Self::Wants { .. } => WANTS,
            Self::Picks(_) => PICKS,
            Self::All => ALL,
        }
    }

    /// Reads a message.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        let found = decoder.array("message", u64::MAX)?;
        if found == 0 {
            return Err(DecodeError::WrongLength { field: "message", found, expected: 1 });
        }
        let kind = decoder.uint("kind", u64::MAX)?;
        let expected = match kind {
            ALL => 1,
            COUNTERS | MORE | PICKS => 2,
            WANTS => 3,
            SKETCH | VECTOR => 4,
            found => return Err(DecodeError::UnknownKind { found }),
        };
        if found != expected {
            return Err(DecodeError::WrongLength { field: "message", found, expected });
        }
        let message = Self::decode_body(&mut decoder, kind)?;
        decoder.finish()?;
        Ok(message)
    }

    fn decode_body(decoder: &mut Decoder<'_>, kind: u64) -> Result<Self, DecodeError> {
        Ok(match kind {
            COUNTERS => {
                Self::Counters(Box::new(Counters::decode(decoder.bytes("counters", FRAME_BYTES)?)?))
            }
            SKETCH => {
                let buckets = at_least_one("buckets", decoder.uint("buckets", SCOPE_FEEDS)?)?;
                let upto = at_least_one("upto", decoder.uint("upto", RECONCILE_SUMS)?)?;
                let sums = decode_sums(decoder.bytes("sums", FRAME_BYTES)?)?;
                Self::Sketch { buckets, upto, sums }
            }
            MORE => {
                let bitmap = decoder.bytes("bitmap", FRAME_BYTES)?;
                at_least_one("bitmap", bitmap.iter().map(|byte| u64::from(*byte)).sum())?;
                Self::More(bitmap.to_vec())
            }
            VECTOR => {
                let first = decoder.uint("first", SCOPE_FEEDS)?;
                let then = Then::decode(decoder.uint("then", 2)?);
                let rows = decode_rows(decoder.bytes("rows", FRAME_BYTES)?)?;
                Self::Vector { first, then, rows }
            }
            WANTS => {
                let more = decoder.boolean("more")?;
                Self::Wants { more, wants: decode_wants(decoder.bytes("wants", FRAME_BYTES)?)? }
            }
            PICKS => Self::Picks(decode_wants(decoder.bytes("picks", FRAME_BYTES)?)?),
            _ => Self::All,
        })
    }

    /// Writes the message's one encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        match self {
            Self::Counters(counters) => {
                encoder.array(2).uint(COUNTERS).bytes(&counters.encode());
            }
            Self::Sketch { buckets, upto, sums } => {
                let bytes: Vec<u8> =
                    sums.iter().flat_map(|sum| sum.to_be_bytes().into_iter().skip(3)).collect();
                encoder.array(4).uint(SKETCH).uint(*buckets).uint(*upto).bytes(&bytes);
            }
            Self::More(bitmap) => {
                encoder.array(2).uint(MORE).bytes(bitmap);
            }
            Self::Vector { first, then, rows } => {
                encoder.array(4).uint(VECTOR).uint(*first).uint(then.code());
                encoder.bytes(&encode_rows(rows));
            }
            Self::Wants { more, wants } => {
                encoder.array(3).uint(WANTS).boolean(*more).bytes(&encode_wants(wants));
            }
            Self::Picks(picks) => {
                encoder.array(2).uint(PICKS).bytes(&encode_wants(picks));
            }
            Self::All => {
                encoder.array(1).uint(ALL);
            }
        }
        encoder.into_bytes()
    }
}

impl Then {
    const fn decode(code: u64) -> Self {
        match code {
            0 => Self::GoOn,
            1 => Self::YourTurn,
            _ => Self::End,
        }
    }

    const fn code(self) -> u64 {
        match self {
            Self::GoOn => 0,
            Self::YourTurn => 1,
            Self::End => 2,
        }
    }
}

fn at_least_one(field: &'static str, found: u64) -> Result<u64, DecodeError> {
    if found == 0 { Err(DecodeError::OutOfRange { field, found }) } else { Ok(found) }
}

fn decode_sums(bytes: &[u8]) -> Result<Vec<u64>, DecodeError> {
    let field = "sums";
    let found = bytes.len() as u64;
    if bytes.is_empty() || !bytes.len().is_multiple_of(SUM_BYTES) {
        return Err(DecodeError::OutOfRange { field, found });
    }
    let sum = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let below = |found| {
        if found < P {
            Ok(found)
        } else {
            Err(DecodeError::OverLimit { field, found, limit: P - 1 })
        }
    };
    bytes.chunks(SUM_BYTES).map(|bytes| below(sum(bytes))).collect()
}

fn encode_rows(rows: &[Row]) -> Vec<u8> {
    let mut out = write_ids(&rows.iter().map(|row| row.id).collect::<Vec<_>>());
    for row in rows {
        write_varint(&mut out, row.seq);
    }
    out.extend(rows.iter().map(|row| row.tag));
    out
}

fn decode_rows(bytes: &[u8]) -> Result<Vec<Row>, DecodeError> {
    let mut input = Input::new(bytes, "rows");
    let mut rows: Vec<Row> =
        read_ids(&mut input)?.into_iter().map(|id| Row { id, seq: 0, tag: 0 }).collect();
    for row in &mut rows {
        row.seq = at_least_one("seq", input.varint(SEQ_END - 1)?)?;
    }
    for row in &mut rows {
        row.tag = input.byte()?;
    }
    input.finish()?;
    Ok(rows)
}

fn encode_wants(wants: &[Want]) -> Vec<u8> {
    let mut out = write_ids(&wants.iter().map(|want| want.id).collect::<Vec<_>>());
    for want in wants {
        write_varint(&mut out, want.have);
    }
    out
}

fn decode_wants(bytes: &[u8]) -> Result<Vec<Want>, DecodeError> {
    let mut input = Input::new(bytes, "wants");
    let mut wants: Vec<Want> =
        read_ids(&mut input)?.into_iter().map(|id| Want { id, have: 0 }).collect();
    for want in &mut wants {
        want.have = input.varint(SEQ_END - 1)?;
    }
    input.finish()?;
    // Whoever asks twice for one thing is not asking for two.
    let again = wants.iter().zip(wants.iter().skip(1)).position(|(one, next)| one.id == next.id);
    match again {
        Some(at) => Err(DecodeError::OutOfRange { field: "wants", found: at as u64 + 1 }),
        None => Ok(wants),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RECONCILE_ITEMS;

    fn messages() -> Vec<Message> {
        let row = |id, seq| Row { id, seq, tag: 7 };
        let wants = vec![Want { id: 3, have: 0 }, Want { id: 900, have: 70_000 }];
        vec![
            Message::Counters(Box::default()),
            Message::Sketch { buckets: 2, upto: 3, sums: vec![0, P - 1, 5] },
            Message::More(vec![0x80, 0]),
            Message::Vector { first: 0, then: Then::GoOn, rows: vec![row(5, 1), row(5, 9)] },
            Message::Vector { first: 7, then: Then::YourTurn, rows: vec![] },
            Message::Vector { first: 7, then: Then::End, rows: vec![row(1 << 41, SEQ_END - 1)] },
            Message::Wants { more: true, wants: wants.clone() },
            Message::Wants { more: false, wants: vec![] },
            Message::Picks(wants),
            Message::All,
        ]
    }

    #[test]
    fn every_message_has_one_encoding() {
        for message in messages() {
            let mut bytes = message.encode();
            assert!(Message::is_kind(message.kind()));
            assert_eq!(Message::decode(&bytes).as_ref(), Ok(&message));
            let shorter = Message::decode(&bytes[..bytes.len() - 1]);
            assert!(matches!(shorter, Err(DecodeError::EndOfInput { .. })), "{message:?}");
            bytes.push(0);
            let found = Message::decode(&bytes);
            assert_eq!(found, Err(DecodeError::TrailingBytes { found: 1 }), "{message:?}");
        }
    }

    #[test]
    fn the_largest_messages_fit_a_frame() {
        let spread = (1 << 42) / RECONCILE_ITEMS;
        let ids = || (0..RECONCILE_ITEMS).map(|n| n * spread);
        let rows = ids().map(|id| Row { id, seq: SEQ_END - 1, tag: 1 }).collect();
        let wants: Vec<Want> = ids().map(|id| Want { id, have: SEQ_END - 1 }).collect();
        for message in [
            Message::Vector { first: SCOPE_FEEDS, then: Then::End, rows },
            Message::Wants { more: true, wants: wants.clone() },
            Message::Picks(wants),
        ] {
            assert!(message.encode().len() as u64 <= FRAME_BYTES);
        }
    }

    #[test]
    fn spoilt_messages_are_refused_or_the_one_encoding_of_another() {
        arbtest::arbtest(|u| {
            let mut bytes = u.choose(&messages())?.encode();
            for _ in 0..u.int_in_range(0..=3)? {
                let at = u.choose_index(bytes.len())?;
                bytes[at] = u.arbitrary()?;
            }
            if let Ok(message) = Message::decode(&bytes) {
                assert_eq!(message.encode(), bytes);
            }
            Ok(())
        });
    }
}
