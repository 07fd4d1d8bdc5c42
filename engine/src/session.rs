//! The sentences of a session: two nodes that meet over a duplex link, and their bytes.
//!
//! A session is a CBOR sequence of byte strings in each direction; each holds one frame, an array
//! whose first element is its kind. What carries feeds has the kinds of a bundle, since a bundle is
//! a one-way session frozen in a file; kinds from 16 on belong to [`reconcile`](crate::reconcile).
//! `schemas/session.md` is the specification. Nothing here believes an entry.

use crate::bundle::{Frame, Want, extent, framed};
use crate::codec::{DecodeError, Decoder, Encoder};
use crate::key::FeedId;
use crate::limits::{DECLINED_PER_FRAME, FRAME_BYTES, RECOGNITION_TAGS, WANTS};

/// The version of the session that this program speaks.
pub const VERSION: u64 = 1;

const SEGMENT: u64 = 1;
const PAYLOAD: u64 = 2;
const WANTED: u64 = 4;
const FORK: u64 = 6;
const GREETING: u64 = 8;
const STATE: u64 = 9;
const ACK: u64 = 10;
const ABSENT: u64 = 11;
const DECLINE: u64 = 12;
const COMPARE: u64 = 16;
const COMPARE_END: u64 = 32;

/// Bytes of all recognition tags of a greeting.
const TAG_BYTES: u64 = 8 * RECOGNITION_TAGS;

/// A place in an arrival log: its length there, and the first bytes of its running hash.
pub type Place = (u64, [u8; 8]);

/// One frame of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sentence<'a> {
    /// The first frame of each side.
    Greeting(Greeting<'a>),
    /// What the sender may offer, in a few numbers.
    State(State),
    /// How many frames of the receiver were taken in, durably.
    Ack {
        /// Frames so far, greetings and acks not counted.
        count: u64,
        /// Whether the sender has nothing left to send or to ask for.
        done: bool,
    },
    /// A segment, a payload, wants or a fork proof, as in a bundle.
    Carried(Frame<'a>),
    /// What was wanted and does not come: dropped, expired, unknown or not for the receiver.
    Absent(Vec<Want>),
    /// Feeds that the sender does not take.
    Decline {
        /// Whether that holds until the sender's policy changes, and not for this session only.
        lasts: bool,
        /// The feeds.
        feeds: Vec<FeedId>,
    },
    /// A message of a reconciliation, for its own decoder.
    Compare(&'a [u8]),
    /// A frame of a later version: skipped, and counted like any other.
    Unknown {
        /// Its kind.
        kind: u64,
    },
}

/// The first frame of each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeting<'a> {
    /// The oldest version that the sender speaks.
    pub first: u64,
    /// The newest version that the sender speaks.
    pub last: u64,
    /// Bits for features of later versions; unknown ones are ignored.
    pub features: u64,
    /// 128 tags of 8 bytes; random to whoever shares no secret.
    pub tags: &'a [u8],
}

/// What a node may offer its peer, in a few numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Keyed digest of the scope.
    pub digest: u64,
    /// Feeds in the scope.
    pub count: u64,
    /// The answering tag, or random bytes.
    pub tag: [u8; 8],
    /// What is told to known peers only.
    pub memory: Option<Memory>,
    /// The counters of the sketch, encoded.
    pub counters: Option<Vec<u8>>,
}

/// What one node remembers of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Where the sender's arrival log stands.
    pub here: Place,
    /// How far the sender knows the receiver's log.
    pub cursor: Option<Place>,
    /// The sender's policy; it changes when what the sender takes may have changed.
    pub revision: [u8; 8],
    /// The receiver's policy, as the sender remembers it.
    pub known: Option<[u8; 8]>,
    /// The name of the sender's arrival log, to a contact only.
    pub log: Option<[u8; 8]>,
}

impl<'a> Sentence<'a> {
    /// Reads a frame; `bytes` is what stands inside its byte string.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        let count = decoder.array("frame", u64::MAX)?;
        if count == 0 {
            return Err(DecodeError::WrongLength { field: "frame", found: 0, expected: 1 });
        }
        let kind = decoder.uint("kind", u64::MAX)?;
        let due = |expected| match count {
            found if found == expected => Ok(()),
            found => Err(DecodeError::WrongLength { field: "frame", found, expected }),
        };
        let sentence = match kind {
            SEGMENT | PAYLOAD | WANTED | FORK => return Ok(Self::Carried(Frame::decode(bytes)?)),
            COMPARE..COMPARE_END => return Ok(Self::Compare(bytes)),
            GREETING => {
                // Later versions may say more.
                if count < 5 {
                    due(5)?;
                }
                let greeting = Self::Greeting(Greeting::decode(&mut decoder)?);
                if count > 5 {
                    return Ok(greeting);
                }
                greeting
            }
            STATE => {
                due(6)?;
                Self::State(State::decode(&mut decoder)?)
            }
            ACK => {
                due(3)?;
                let count = decoder.uint("count", u64::MAX)?;
                Self::Ack { count, done: decoder.boolean("done")? }
            }
            ABSENT => {
                due(2)?;
                let count = some(decoder.array("wants", WANTS)?, "wants")?;
                let wants = (0..count).map(|_| Want::decode(&mut decoder));
                Self::Absent(wants.collect::<Result<_, _>>()?)
            }
            DECLINE => {
                due(3)?;
                let lasts = decoder.boolean("lasts")?;
                let count = some(decoder.array("feeds", DECLINED_PER_FRAME)?, "feeds")?;
                let feed = |_| decoder.fixed("feed").map(FeedId::from_bytes);
                Self::Decline { lasts, feeds: (0..count).map(feed).collect::<Result<_, _>>()? }
            }
            kind => return Ok(Self::Unknown { kind }),
        };
        decoder.finish()?;
        Ok(sentence)
    }

    /// Writes the frame as it stands on the link, in its byte string.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        match self {
            Self::Greeting(greeting) => {
                out.array(5).uint(GREETING).uint(greeting.first).uint(greeting.last);
                out.uint(greeting.features).bytes(greeting.tags);
            }
            Self::State(state) => state.encode(&mut out),
            Self::Ack { count, done } => {
                out.array(3).uint(ACK).uint(*count).boolean(*done);
            }
            Self::Carried(frame) => return framed(&frame.encode()),
            Self::Absent(wants) => {
                out.array(2).uint(ABSENT).array(wants.len() as u64);
                for want in wants {
                    want.encode(&mut out);
                }
            }
            Self::Decline { lasts, feeds } => {
                out.array(3).uint(DECLINE).boolean(*lasts).array(feeds.len() as u64);
                for feed in feeds {
                    out.bytes(feed.as_bytes());
                }
            }
            Self::Compare(bytes) => return framed(bytes),
            Self::Unknown { kind } => {
                out.array(1).uint(*kind);
            }
        }
        framed(out.as_bytes())
    }

    /// Whether acks count the frame.
    pub const fn is_counted(&self) -> bool {
        !matches!(self, Self::Greeting(_) | Self::Ack { .. })
    }

    /// The number by which the frame is told apart.
    pub fn kind(&self) -> u64 {
        match self {
            Self::Greeting(_) => GREETING,
            Self::State(_) => STATE,
            Self::Ack { .. } => ACK,
            Self::Carried(frame) => frame.kind(),
            Self::Absent(_) => ABSENT,
            Self::Decline { .. } => DECLINE,
            Self::Compare(_) => COMPARE,
            Self::Unknown { kind } => *kind,
        }
    }
}

impl<'a> Greeting<'a> {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        let first = decoder.uint("first", u64::MAX)?;
        let last = decoder.uint("last", u64::MAX)?;
        if last < first {
            return Err(DecodeError::OutOfRange { field: "last", found: last });
        }
        let features = decoder.uint("features", u64::MAX)?;
        Ok(Self { first, last, features, tags: decoder.exactly("tags", TAG_BYTES)? })
    }
}

impl State {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let digest = u64::from_be_bytes(decoder.fixed("digest")?);
        let count = decoder.uint("count", u64::MAX)?;
        let tag = decoder.fixed("tag")?;
        let memory = if decoder.skip_null() { None } else { Some(Memory::decode(decoder)?) };
        let counters = if decoder.skip_null() {
            None
        } else {
            Some(decoder.bytes("counters", FRAME_BYTES)?.to_vec())
        };
        Ok(Self { digest, count, tag, memory, counters })
    }

    fn encode(&self, out: &mut Encoder) {
        out.array(6).uint(STATE).bytes(&self.digest.to_be_bytes()).uint(self.count);
        out.bytes(&self.tag);
        match &self.memory {
            Some(memory) => memory.encode(out),
            None => {
                out.null();
            }
        }
        out.bytes_or_null(self.counters.as_deref());
    }
}

impl Memory {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        decoder.array_of("memory", 6)?;
        let here = (decoder.uint("position", u64::MAX)?, decoder.fixed("hash")?);
        let cursor = if decoder.skip_null() {
            None
        } else {
            decoder.array_of("cursor", 2)?;
            Some((decoder.uint("position", u64::MAX)?, decoder.fixed("hash")?))
        };
        let revision = decoder.fixed("revision")?;
        let known = decoder.fixed_or_null("known")?;
        Ok(Self { here, cursor, revision, known, log: decoder.fixed_or_null("log")? })
    }

    fn encode(&self, out: &mut Encoder) {
        out.array(6).uint(self.here.0).bytes(&self.here.1);
        match &self.cursor {
            Some((position, hash)) => out.array(2).uint(*position).bytes(hash),
            None => out.null(),
        };
        out.bytes(&self.revision);
        for word in [&self.known, &self.log] {
            out.bytes_or_null(word.as_ref().map(<[u8; 8]>::as_slice));
        }
    }
}

fn some(count: u64, field: &'static str) -> Result<u64, DecodeError> {
    if count == 0 { Err(DecodeError::OutOfRange { field, found: 0 }) } else { Ok(count) }
}

/// Takes frames out of bytes as they come from a link, in the memory of one frame and one chunk.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
    at: usize,
}

impl Frames {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, as it stands inside its byte string; none if more bytes are needed.
    pub fn poll(&mut self) -> Result<Option<&[u8]>, DecodeError> {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let Some((head, end)) = extent(rest)? else { return Ok(None) };
        let frame = rest.get(head..end);
        self.at = self.at.saturating_add(end);
        Ok(frame)
    }

    /// Bytes that wait for the rest of their frame.
    pub fn buffered(&self) -> usize {
        self.buffer.len().saturating_sub(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::What;

    fn sentences() -> Vec<Sentence<'static>> {
        let feed = FeedId::from_bytes([3; 32]);
        let want = Want { feed, first: 4, last: 9, what: What::Entries };
        let cursor = Some((70_000, [5; 8]));
        let memory = Memory { here: (3, [4; 8]), cursor, revision: [6; 8], known: None, log: None };
        let state = State { digest: 7, count: 300, tag: [8; 8], memory: None, counters: None };
        let known = Memory { known: Some([1; 8]), cursor: None, log: Some([2; 8]), ..memory };
        vec![
            Sentence::Greeting(Greeting { first: 1, last: 2, features: 0, tags: &[9; 1_024] }),
            Sentence::State(state.clone()),
            Sentence::State(State { memory: Some(memory), ..state.clone() }),
            Sentence::State(State { memory: Some(known), counters: Some(vec![1; 48]), ..state }),
            Sentence::Ack { count: 24, done: true },
            Sentence::Carried(Frame::Segment(&[0x82, 1, 0])),
            Sentence::Carried(Frame::Wants(vec![want])),
            Sentence::Absent(vec![want, Want { what: What::Payloads, ..want }]),
            Sentence::Decline { lasts: true, feeds: vec![feed] },
            Sentence::Compare(&[0x81, 22]),
            Sentence::Unknown { kind: 40 },
        ]
    }

    #[test]
    fn every_sentence_has_one_encoding() {
        for sentence in sentences() {
            let bytes = sentence.encode();
            let mut frames = Frames::default();
            for byte in &bytes {
                assert_eq!(frames.poll(), Ok(None));
                frames.push(std::slice::from_ref(byte));
            }
            let frame = frames.poll().unwrap().unwrap().to_vec();
            assert_eq!(Sentence::decode(&frame).as_ref(), Ok(&sentence));
            assert_eq!(frames.buffered(), 0);
            if matches!(sentence.kind(), 8..=12) && sentence.kind() != GREETING {
                let long = [&frame[..], &[0]].concat();
                assert_eq!(Sentence::decode(&long), Err(DecodeError::TrailingBytes { found: 1 }));
            }
        }
    }

    #[test]
    fn a_greeting_may_say_more_in_a_later_version() {
        let mut out = Encoder::new();
        out.array(6).uint(GREETING).uint(1).uint(7).uint(1 << 40).bytes(&[0; 1_024]).uint(5);
        let bytes = out.into_bytes();
        let Ok(Sentence::Greeting(greeting)) = Sentence::decode(&bytes) else {
            panic!("{bytes:?}")
        };
        assert_eq!((greeting.first, greeting.last), (1, 7));
    }

    #[test]
    fn a_frame_over_its_limit_is_refused_before_it_comes() {
        let mut frames = Frames::default();
        frames.push(&[0x5a, 0, 1, 0, 1]);
        let fault =
            DecodeError::OverLimit { field: "frame", found: FRAME_BYTES + 1, limit: FRAME_BYTES };
        assert_eq!(frames.poll(), Err(fault));
    }

    #[test]
    fn empty_lists_and_short_tags_are_refused() {
        let mut decline = Encoder::new();
        decline.array(3).uint(DECLINE).boolean(false).array(0);
        let none = DecodeError::OutOfRange { field: "feeds", found: 0 };
        assert_eq!(Sentence::decode(decline.as_bytes()), Err(none));
        let mut greeting = Encoder::new();
        greeting.array(5).uint(GREETING).uint(1).uint(1).uint(0).bytes(&[0; 8]);
        let short = DecodeError::WrongLength { field: "tags", found: 8, expected: 1_024 };
        assert_eq!(Sentence::decode(greeting.as_bytes()), Err(short));
    }
}
