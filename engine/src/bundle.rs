//! The plain bundle: a one-way session in a file, for sticks, folders and archives.
//!
//! A bundle is a sequence of CBOR byte strings. Each holds one frame, so that the file opens in any
//! CBOR tool and damage in one frame leaves the others readable. [`Frame`] is the codec of a frame,
//! [`FileWriter`] puts a file together, and [`FileReader`] takes one apart as its bytes come, in the
//! memory of one frame and one chunk.
//!
//! Nothing here believes an entry: segments, payloads and fork proofs are handed on as bytes to be
//! verified. The maker's statement covers only what stands before it; heads, wants and the
//! acknowledgement of a file without a good statement are anybody's word.

mod frame;

use crate::codec::{DecodeError, Decoder, head_len};
use crate::key::{Context, Digest, FeedId, Hasher, KeyFault, SecretKey, Signature, Verifier};
use crate::limits::{BUNDLE_FEEDS, BUNDLE_HEADS_PER_FRAME, FRAME_BYTES, WANTS};

pub(crate) use frame::framed;
pub use frame::{Frame, Head, Opening, Want, What, fork_frame_len, frame_len, payload_frame_len};

use frame::{END, FORK, HEADS, OPENING, PAYLOAD, SEGMENT, STATEMENT, VERSION, WANTED, decode_kind};

/// Why one frame was refused; the reading goes on with the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// The frame does not decode.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// The maker did not sign what stands before its statement.
    #[error("{0}")]
    Statement(#[from] KeyFault),
    /// The frame may not stand in this place of the file.
    #[error("a frame of kind {kind} may not stand here")]
    OutOfOrder {
        /// The frame's kind.
        kind: u64,
    },
}

/// What is wrong with a file as a whole; what was read before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// There is nothing in the file.
    #[error("the file is empty")]
    Empty,
    /// The file is no bundle.
    #[error("not a bundle")]
    Foreign,
    /// The file opens as a bundle does, but its opening does not decode.
    #[error("the opening does not decode: {0}")]
    Opening(DecodeError),
    /// The file was made by a later version of the program.
    #[error("made by a newer version: bundle version {version}")]
    Newer {
        /// The version that the file claims.
        version: u64,
    },
    /// No frame begins where one should, so nothing behind it can be found.
    #[error("damaged at byte {offset}")]
    Damaged {
        /// Where a frame should begin.
        offset: u64,
    },
    /// The file ends inside a frame or without its last frame.
    #[error("torn at byte {offset}")]
    Torn {
        /// Where the last whole frame ends.
        offset: u64,
    },
    /// The body has more or fewer frames than the last frame says.
    #[error("{found} frames where {expected} are due")]
    WrongCount {
        /// Frames that the body has.
        found: u64,
        /// Frames that it should have.
        expected: u64,
    },
    /// Bytes follow after the last frame.
    #[error("bytes follow after the end at byte {offset}")]
    Trailing {
        /// Where the last frame ends.
        offset: u64,
    },
}

/// One whole frame as it was found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<'a> {
    /// Where the frame begins in the file.
    pub offset: u64,
    /// Where the next one begins.
    pub end: u64,
    /// Frames of the body up to `end`; what [`FileReader::resume_at`] needs.
    pub body_frames: u64,
    /// What the frame holds.
    pub read: Read<'a>,
}

/// What a frame holds, after the rules of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read<'a> {
    /// A frame in its place; never a statement.
    Frame(Frame<'a>),
    /// The maker signed everything before this; a statement that is not good is refused.
    Statement {
        /// Whether the heads list everything open that the maker holds: the opening says so, and
        /// no frame before the statement was refused.
        whole: bool,
    },
    /// A frame that is left out.
    Refused(FrameFault),
}

/// What can be said of a file once all of it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Frames of the body, good or not.
    pub body_frames: u64,
    /// Frames that were refused.
    pub refused: u64,
    /// Frames of an unknown kind.
    pub unknown: u64,
    /// What is wrong with the file as a whole, if anything is.
    pub fault: Option<FileFault>,
}

/// Takes a bundle apart as its bytes come.
///
/// Push a chunk, poll until `None`, push the next; then [`finish`](Self::finish).
#[derive(Debug)]
pub struct FileReader {
    buffer: Vec<u8>,
    /// Where unread bytes begin in the buffer.
    at: usize,
    /// Where unread bytes begin in the file.
    offset: u64,
    rules: Rules,
    fault: Option<FileFault>,
}

impl Default for FileReader {
    fn default() -> Self {
        Self::new()
    }
}

impl FileReader {
    /// Starts at the beginning of a file.
    pub fn new() -> Self {
        Self { buffer: Vec::new(), at: 0, offset: 0, rules: Rules::new(), fault: None }
    }

    /// Takes the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.is_over() {
            self.note_trailing(bytes.len());
            return;
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame; `None` if more bytes are needed or nothing more can be read.
    pub fn poll(&mut self) -> Option<Found<'_>> {
        if self.is_over() {
            return None;
        }
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let Ok(next) = extent(rest) else {
            let offset = self.offset;
            let damaged = self.rules.opening.map(|_| FileFault::Damaged { offset });
            self.fault = Some(damaged.unwrap_or(FileFault::Foreign));
            return None;
        };
        let (head, end) = next?;
        let whole = rest.get(..end).unwrap_or_default();
        let body = whole.get(head..).unwrap_or_default();
        let read = match self.rules.take(whole, body) {
            Ok(read) => read,
            Err(fault) => {
                self.fault = Some(fault);
                return None;
            }
        };
        let offset = self.offset;
        self.at += end;
        self.offset += end as u64;
        let found = self.rules.body_frames;
        if let Read::Frame(Frame::End { count: expected }) = read
            && expected != found
        {
            self.fault = Some(FileFault::WrongCount { found, expected });
        }
        Some(Found { offset, end: self.offset, body_frames: found, read })
    }

    /// Jumps ahead to where an earlier reading of the same file stopped.
    ///
    /// `offset` and `body_frames` are those of a [`Found`]: its `end`, and its `body_frames`. The
    /// next bytes pushed must be those at `offset`. Nothing happens, and the answer is `false`,
    /// before the statement or a frame of the body was read, after the end, or backwards.
    pub fn resume_at(&mut self, offset: u64, body_frames: u64) -> bool {
        let in_body = self.rules.phase >= Phase::Statement && !self.is_over();
        if !in_body || offset < self.offset {
            return false;
        }
        self.buffer.clear();
        self.at = 0;
        self.offset = offset;
        self.rules.body_frames = body_frames;
        self.rules.phase = Phase::Body;
        true
    }

    /// Bytes that are kept until the rest of their frame comes: after `poll` gave `None` fewer than
    /// a frame and its head can have.
    pub fn buffered(&self) -> usize {
        self.buffer.len().saturating_sub(self.at)
    }

    /// Whether nothing more will be read: the last frame came, or the file is at fault.
    pub fn is_over(&self) -> bool {
        self.fault.is_some() || self.rules.phase == Phase::End
    }

    /// Ends the reading at the end of the file.
    pub fn finish(mut self) -> Ending {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        if self.rules.phase == Phase::End {
            self.note_trailing(rest.len());
        } else if self.fault.is_none() {
            self.fault = Some(match self.rules.opening {
                None if rest.is_empty() => FileFault::Empty,
                None if !may_open(rest) => FileFault::Foreign,
                _ => FileFault::Torn { offset: self.offset },
            });
        }
        let Rules { body_frames, refused, unknown, .. } = self.rules;
        Ending { body_frames, refused, unknown, fault: self.fault }
    }

    fn note_trailing(&mut self, count: usize) {
        if count > 0 && self.rules.phase == Phase::End {
            self.fault = self.fault.or(Some(FileFault::Trailing { offset: self.offset }));
        }
    }
}

/// Parts of a file, in the order in which they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Opening,
    Heads,
    Wants,
    Statement,
    Body,
    End,
}

impl Phase {
    /// Where frames of a kind stand; those of unknown kinds stand anywhere.
    const fn of(kind: u64) -> Option<Self> {
        match kind {
            OPENING => Some(Self::Opening),
            HEADS => Some(Self::Heads),
            WANTED => Some(Self::Wants),
            STATEMENT => Some(Self::Statement),
            SEGMENT | PAYLOAD | FORK => Some(Self::Body),
            END => Some(Self::End),
            _ => None,
        }
    }
}

/// The rules of a file that one frame alone cannot show.
#[derive(Debug)]
struct Rules {
    phase: Phase,
    opening: Option<Opening>,
    /// Over everything before the statement.
    hasher: Hasher,
    heads: u64,
    last_feed: Option<FeedId>,
    body_frames: u64,
    refused: u64,
    unknown: u64,
}

impl Rules {
    fn new() -> Self {
        Self {
            phase: Phase::Opening,
            opening: None,
            hasher: Hasher::new(Context::Bundle),
            heads: 0,
            last_feed: None,
            body_frames: 0,
            refused: 0,
            unknown: 0,
        }
    }

    /// Takes a frame: `whole` with the head of its byte string, `body` without.
    fn take<'a>(&mut self, whole: &[u8], body: &'a [u8]) -> Result<Read<'a>, FileFault> {
        let kind = decode_kind(&mut Decoder::new(body));
        let Some(opening) = self.opening else {
            return self.open(Frame::decode(body), kind.ok(), whole);
        };
        // What stands out of its place is not looked into.
        let checked = match self.advance(kind.ok()) {
            Err(kind) => Err(FrameFault::OutOfOrder { kind }),
            Ok(()) => match Frame::decode(body) {
                Ok(frame) => self.check(&opening, frame),
                Err(fault) => Err(fault.into()),
            },
        };
        if self.phase < Phase::Statement {
            self.hasher.update(whole);
        }
        Ok(checked.unwrap_or_else(|fault| {
            self.refused += 1;
            // Only an end that decodes is the end; another is a frame like any.
            if kind == Ok(END) && self.phase >= Phase::Statement {
                self.body_frames += 1;
            }
            Read::Refused(fault)
        }))
    }

    fn open<'a>(
        &mut self,
        frame: Result<Frame<'a>, DecodeError>,
        kind: Option<u64>,
        whole: &[u8],
    ) -> Result<Read<'a>, FileFault> {
        match frame {
            Ok(Frame::Opening(opening)) => {
                self.opening = Some(opening);
                self.hasher.update(whole);
                Ok(Read::Frame(Frame::Opening(opening)))
            }
            Err(DecodeError::UnsupportedVersion { found: version }) if version > VERSION => {
                Err(FileFault::Newer { version })
            }
            Err(fault) if kind == Some(OPENING) => Err(FileFault::Opening(fault)),
            Ok(_) | Err(_) => Err(FileFault::Foreign),
        }
    }

    fn check<'a>(&mut self, opening: &Opening, frame: Frame<'a>) -> Result<Read<'a>, FrameFault> {
        match &frame {
            Frame::Heads(heads) => self.check_heads(heads)?,
            Frame::Statement(signature) => {
                check_statement(&opening.maker, &self.hasher.finish(), signature)?;
                return Ok(Read::Statement { whole: opening.whole && self.refused == 0 });
            }
            Frame::Unknown { .. } => self.unknown += 1,
            Frame::End { .. } => self.phase = Phase::End,
            Frame::Opening(_)
            | Frame::Segment(_)
            | Frame::Payload { .. }
            | Frame::Wants(_)
            | Frame::Fork(_) => {}
        }
        Ok(Read::Frame(frame))
    }

    /// Moves on to the part of the file that a frame of this kind belongs to; an error, the kind, if
    /// it may not stand here. What stands behind the statement counts as body, whatever it is; if there
    /// is no statement, the body begins with the first frame that belongs there.
    fn advance(&mut self, kind: Option<u64>) -> Result<(), u64> {
        let due = kind.and_then(Phase::of);
        if due == Some(Phase::Body) || (self.phase >= Phase::Statement && due != Some(Phase::End)) {
            self.body_frames += 1;
        }
        let (Some(kind), Some(due)) = (kind, due) else {
            return Ok(());
        };
        let repeats = matches!(due, Phase::Heads | Phase::Body);
        let in_order = due > self.phase || (due == self.phase && repeats);
        if !in_order {
            return Err(kind);
        }
        if due != Phase::End {
            self.phase = due;
        }
        Ok(())
    }

    fn check_heads(&mut self, heads: &[Head]) -> Result<(), DecodeError> {
        let (first, last) = (heads.first(), heads.last());
        if self.last_feed >= first.map(|head| head.feed) {
            return Err(DecodeError::OutOfRange { field: "heads", found: self.heads });
        }
        let found = self.heads + heads.len() as u64;
        if found > BUNDLE_FEEDS {
            return Err(DecodeError::OverLimit { field: "heads", found, limit: BUNDLE_FEEDS });
        }
        (self.heads, self.last_feed) = (found, last.map(|head| head.feed));
        Ok(())
    }
}

/// Puts a bundle together, frame by frame: what each call returns is appended to the file.
#[derive(Debug)]
pub struct FileWriter {
    body_frames: u64,
}

impl FileWriter {
    /// Begins a file and returns everything up to the statement, with it.
    ///
    /// The maker is the one whose key signs. Heads are put in order, each feed once; of more
    /// than [`BUNDLE_FEEDS`] the last are left out and the file does not claim to be whole. Of
    /// more than [`WANTS`] wants the last are left out.
    pub fn new(
        opening: Opening,
        mut heads: Vec<Head>,
        wants: &[Want],
        key: &SecretKey,
    ) -> (Self, Vec<u8>) {
        heads.sort_by_key(|head| head.feed);
        heads.dedup_by_key(|head| head.feed);
        let whole = opening.whole && heads.len() as u64 <= BUNDLE_FEEDS;
        heads.truncate(size(BUNDLE_FEEDS));
        let opening = Opening { maker: key.feed(), whole, ..opening };
        let mut out = framed(&Frame::Opening(opening).encode());
        for heads in heads.chunks(size(BUNDLE_HEADS_PER_FRAME)) {
            out.extend(framed(&Frame::Heads(heads.to_vec()).encode()));
        }
        let wants: Vec<Want> = wants.iter().take(size(WANTS)).copied().collect();
        if !wants.is_empty() {
            out.extend(framed(&Frame::Wants(wants).encode()));
        }
        let digest = Hasher::new(Context::Bundle).update(&out).finish();
        let signature = key.sign(Context::Bundle, &digest);
        out.extend(framed(&Frame::Statement(signature).encode()));
        (Self { body_frames: 0 }, out)
    }

    /// Adds an encoded segment.
    pub fn segment(&mut self, segment: &[u8]) -> Vec<u8> {
        self.add(&Frame::Segment(segment))
    }

    /// Adds a payload of at most [`PAYLOAD_BYTES`](crate::limits::PAYLOAD_BYTES).
    pub fn payload(&mut self, feed: FeedId, seq: u64, payload: &[u8]) -> Vec<u8> {
        self.add(&Frame::Payload { feed, seq, payload })
    }

    /// Adds an encoded fork proof.
    pub fn fork(&mut self, proof: &[u8]) -> Vec<u8> {
        self.add(&Frame::Fork(proof))
    }

    /// Ends the file.
    pub fn end(self) -> Vec<u8> {
        framed(&Frame::End { count: self.body_frames }.encode())
    }

    /// Frames added so far.
    pub const fn body_frames(&self) -> u64 {
        self.body_frames
    }

    /// Bytes that [`end`](Self::end) will add if `more` frames come before it.
    pub const fn end_len(&self, more: u64) -> u64 {
        frame_len(2 + head_len(self.body_frames.saturating_add(more)))
    }

    fn add(&mut self, frame: &Frame<'_>) -> Vec<u8> {
        self.body_frames += 1;
        framed(&frame.encode())
    }
}

/// Where the body of the first frame begins and ends; none if the frame is not all there.
pub(crate) fn extent(rest: &[u8]) -> Result<Option<(usize, usize)>, DecodeError> {
    let mut decoder = Decoder::new(rest);
    match decoder.frame_head("frame", FRAME_BYTES) {
        Err(DecodeError::EndOfInput { .. }) => Ok(None),
        Err(fault) => Err(fault),
        Ok(0) => Err(DecodeError::OutOfRange { field: "frame", found: 0 }),
        Ok(len) => {
            let head = decoder.position();
            let end = head.saturating_add(size(len));
            Ok((end <= rest.len()).then_some((head, end)))
        }
    }
}

/// Whether a file that begins so, and ends inside its first frame, could have been a bundle.
fn may_open(start: &[u8]) -> bool {
    let mut decoder = Decoder::new(start);
    if decoder.frame_head("frame", FRAME_BYTES).is_err() {
        return true;
    }
    let mut body = Decoder::new(start.get(decoder.position()..).unwrap_or_default());
    matches!(decode_kind(&mut body), Ok(OPENING) | Err(DecodeError::EndOfInput { .. }))
}

fn check_statement(maker: &FeedId, digest: &Digest, signature: &Signature) -> Result<(), KeyFault> {
    Verifier::of_feed(maker)?.check(Context::Bundle, digest, signature)
}

/// A length or a limit as a number of things in memory.
fn size(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Encoder;
    use crate::key::Seed;

    /// What was read of a file, in words of its own.
    type Seen = Vec<(u64, String)>;

    fn key() -> SecretKey {
        SecretKey::from_seed(&Seed::new([7; 32]))
    }

    fn feed(number: u32) -> FeedId {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        FeedId::from_bytes(bytes)
    }

    fn head(number: u32) -> Head {
        let forked = number.is_multiple_of(3).then_some(2);
        Head { feed: feed(number), floor: 1, head: u64::from(number) + 70_000, forked }
    }

    fn opening() -> Opening {
        let ack = Some((9, [2; 8]));
        let (maker, for_feed) = (key().feed(), Some(feed(5)));
        Opening { maker, for_feed, whole: true, position: 300, log_hash: [1; 8], ack }
    }

    fn segment() -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.array(2).uint(1).bytes(&[6; 40]);
        encoder.into_bytes()
    }

    /// A file of every kind of frame, and where its body begins.
    fn file(heads: u32) -> (Vec<u8>, usize) {
        let want = Want { feed: feed(1), first: 3, last: 40, what: What::Payloads };
        let heads = (0..heads).rev().map(head).collect();
        let (mut writer, mut out) = FileWriter::new(opening(), heads, &[want], &key());
        let body = out.len();
        let before = out.len() as u64;
        let planned = frame_len(segment().len() as u64)
            + payload_frame_len(70_000, 300)
            + fork_frame_len(3)
            + writer.end_len(4);
        out.extend(writer.segment(&segment()));
        out.extend(writer.payload(feed(1), 70_000, &[8; 300]));
        out.extend(writer.fork(&[0x82, 1, 2]));
        out.extend(writer.add(&Frame::Unknown { kind: 8 }));
        assert_eq!(writer.body_frames(), 4);
        out.extend(writer.end());
        assert_eq!(out.len() as u64, before + planned + 3, "plans are exact");
        (out, body)
    }

    fn read(bytes: &[u8], chunk: usize) -> (Seen, Ending) {
        let mut reader = FileReader::new();
        let mut seen = Vec::new();
        for bytes in bytes.chunks(chunk) {
            reader.push(bytes);
            assert!(reader.buffer.len() <= size(FRAME_BYTES) + 5 + chunk, "memory is bounded");
            while let Some(found) = reader.poll() {
                seen.push((found.offset, format!("{:?}", found.read)));
            }
        }
        (seen, reader.finish())
    }

    fn frames(frames: &[Frame<'_>]) -> Vec<u8> {
        frames.iter().flat_map(|frame| framed(&frame.encode())).collect()
    }

    fn ends(bytes: &[u8]) -> Option<FileFault> {
        read(bytes, 7).1.fault
    }

    #[test]
    fn a_file_reads_the_same_in_chunks_of_any_size() {
        let (bytes, _) = file(2_500);
        let (seen, ending) = read(&bytes, 65_536);
        assert_eq!(ending, Ending { body_frames: 4, refused: 0, unknown: 1, fault: None });
        let starts: Vec<_> =
            seen.iter().filter_map(|(_, read)| read.split([' ', '{']).next()).collect();
        let (statement, heads) = ("Statement", "Frame(Heads([Head");
        let body = ["Frame(Segment([130,", "Frame(Payload", "Frame(Fork([130,", "Frame(Unknown"];
        let head = ["Frame(Opening(Opening", heads, heads, heads, "Frame(Wants([Want", statement];
        assert_eq!(starts, [&head[..], &body, &["Frame(End"]].concat());
        assert_eq!(seen[5].1, "Statement { whole: true }");
        for chunk in [1, 7] {
            assert_eq!(read(&bytes, chunk), (seen.clone(), ending), "chunks of {chunk}");
        }
    }

    #[test]
    fn a_file_torn_anywhere_gives_the_frames_before() {
        let (bytes, _) = file(2);
        let (seen, _) = read(&bytes, 64);
        for cut in 0..bytes.len() {
            let (part, ending) = read(&bytes[..cut], 64);
            assert_eq!(part, seen[..part.len()], "cut at {cut}");
            let offset = seen[part.len()].0;
            let torn = if cut == 0 { FileFault::Empty } else { FileFault::Torn { offset } };
            assert_eq!(ending.fault, Some(torn), "cut at {cut}");
        }
    }

    #[test]
    fn arbitrary_and_changed_bytes_never_panic() {
        let (good, _) = file(2);
        arbtest::arbtest(|u| {
            let mut bytes = good.clone();
            for _ in 0..u.int_in_range(1..=4)? {
                let at = u.choose_index(bytes.len())?;
                bytes[at] = u.arbitrary()?;
            }
            let chunk = u.int_in_range(1..=99)?;
            assert_eq!(read(&bytes, chunk), read(&bytes, 65_536));
            let bytes: Vec<u8> = u.arbitrary()?;
            assert_eq!(read(&bytes, chunk), read(&bytes, 65_536));
            match Frame::decode(&bytes) {
                Ok(Frame::Unknown { .. }) | Err(_) => {}
                Ok(frame) => assert_eq!(frame.encode(), bytes),
            }
            Ok(())
        });
    }

    #[test]
    fn a_changed_byte_before_the_statement_is_never_believed() {
        let (good, body) = file(2);
        for at in 0..body {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            let (seen, _) = read(&bytes, 64);
            assert!(seen.iter().all(|(_, read)| !read.starts_with("Statement")), "byte {at}");
        }
    }

    #[test]
    fn a_claim_of_four_gib_ends_the_reading_without_an_allocation() {
        for claim in [&[0x5b, 0, 0, 0, 1, 0, 0, 0, 0][..], &[0x5a, 0, 1, 0, 1], &[0x40], &[0x80]] {
            let mut bytes = frames(&[Frame::Opening(opening())]);
            let offset = bytes.len() as u64;
            bytes.extend(claim);
            let mut reader = FileReader::new();
            reader.push(&bytes);
            assert!(reader.poll().is_some() && reader.poll().is_none() && reader.is_over());
            assert!(reader.buffer.capacity() < 1_000);
            reader.push(&[0; 10_000]);
            assert!(reader.buffer.capacity() < 1_000, "what follows is not kept");
            assert_eq!(reader.finish().fault, Some(FileFault::Damaged { offset }));
        }
    }

    #[test]
    fn what_is_no_bundle_is_named() {
        assert_eq!(ends(b""), Some(FileFault::Empty));
        for foreign in [&b"%PDF-1.7"[..], b"Yes, this is a letter", b"Hello", &[0; 4]] {
            assert_eq!(ends(foreign), Some(FileFault::Foreign));
        }
        assert_eq!(ends(&frames(&[Frame::End { count: 0 }])), Some(FileFault::Foreign));
        assert_eq!(ends(&[0x43, 0x88, 0, 2]), Some(FileFault::Newer { version: 2 }));
        let early = DecodeError::EndOfInput { field: "maker" };
        assert_eq!(ends(&[0x43, 0x88, 0, 1]), Some(FileFault::Opening(early)));
    }

    #[test]
    fn the_end_is_checked() {
        let (opening, body) = (Frame::Opening(opening()), Frame::Segment(&[0x81, 1]));
        let wrong = frames(&[opening.clone(), body, Frame::End { count: 3 }]);
        assert_eq!(ends(&wrong), Some(FileFault::WrongCount { found: 1, expected: 3 }));
        let mut more = frames(&[opening.clone(), Frame::End { count: 0 }]);
        let offset = more.len() as u64;
        more.push(0);
        assert_eq!(read(&more, 65_536).1.fault, Some(FileFault::Trailing { offset }));
        assert_eq!(read(&more, 1).1.fault, Some(FileFault::Trailing { offset }));
        // An end that does not decode is not the end.
        let unclear = [frames(&[opening]), framed(&[0x82, 7, 0x40])].concat();
        let fault = Some(FileFault::Torn { offset: unclear.len() as u64 });
        let ending = Ending { body_frames: 0, refused: 1, unknown: 0, fault };
        assert_eq!(read(&unclear, 7).1, ending);
        let (_, ending) = read(&[unclear, frames(&[Frame::End { count: 0 }])].concat(), 7);
        assert_eq!((ending.refused, ending.fault), (1, None));
        // Behind a statement it is a frame of the body.
        let stated = frames(&[Frame::Opening(self::opening()), Frame::Statement([0; 64])]);
        let file = [stated, framed(&[0x82, 7, 0x40]), frames(&[Frame::End { count: 1 }])].concat();
        assert_eq!(
            read(&file, 7).1,
            Ending { body_frames: 1, refused: 2, unknown: 0, fault: None }
        );
    }

    #[test]
    fn frames_out_of_order_are_left_out() {
        let (opening, heads) = (Frame::Opening(opening()), Frame::Heads(vec![head(4)]));
        let want = Want { feed: feed(1), first: 1, last: 1, what: What::Entries };
        let wants = Frame::Wants(vec![want]);
        let (statement, segment) = (Frame::Statement([0; 64]), Frame::Segment(&[0x81, 1]));
        let unknown = Frame::Unknown { kind: 8 };
        for (file, out_of_order) in [
            (vec![&opening, &opening], 1),
            (vec![&opening, &wants, &heads, &wants], 2),
            (vec![&opening, &statement, &statement, &heads], 2),
            (vec![&opening, &segment, &heads, &wants, &statement, &segment], 3),
            (vec![&opening, &heads, &unknown, &wants, &statement, &segment, &segment], 0),
        ] {
            let file: Vec<_> = file.into_iter().cloned().collect();
            let seen = read(&frames(&file), 64).0;
            let found = seen.iter().filter(|(_, read)| read.contains("OutOfOrder")).count();
            assert_eq!(found, out_of_order, "{file:?}");
        }
    }

    #[test]
    fn a_refused_frame_leaves_the_others_readable() {
        let heads = Frame::Heads(vec![head(4)]);
        let mut bytes = frames(&[Frame::Opening(opening()), heads.clone(), heads]);
        bytes.extend(framed(&[0x82, 8, 0xff]));
        let digest = Hasher::new(Context::Bundle).update(&bytes).finish();
        let signature = key().sign(Context::Bundle, &digest);
        bytes.extend(frames(&[Frame::Statement(signature), Frame::Segment(&segment())]));
        // Damaged; of a kind that cannot be read; out of order.
        bytes.extend([framed(&[0x84, 2, 0]), framed(&[0xff]), framed(&[0x82, 3, 0x80])].concat());
        bytes.extend(frames(&[Frame::End { count: 4 }]));
        let (seen, ending) = read(&bytes, 64);
        assert_eq!(ending, Ending { body_frames: 4, refused: 4, unknown: 1, fault: None });
        assert!(seen[2].1.contains("heads"), "a feed is named once: {}", seen[2].1);
        assert_eq!(seen[4].1, "Statement { whole: false }", "some heads are not known");
    }

    #[test]
    fn heads_have_a_limit_over_all_frames() {
        let mut rules = Rules::new();
        for first in (0..u32::try_from(BUNDLE_FEEDS).unwrap()).step_by(1_024) {
            let heads: Vec<_> = (first..first + 1_024).map(head).collect();
            assert_eq!(rules.check_heads(&heads), Ok(()));
        }
        let found = BUNDLE_FEEDS + 1;
        let fault = DecodeError::OverLimit { field: "heads", found, limit: BUNDLE_FEEDS };
        assert_eq!(rules.check_heads(&[head(u32::MAX)]), Err(fault));
    }

    #[test]
    fn a_reading_resumes_where_it_stopped() {
        let (bytes, body) = file(2);
        let (seen, ending) = read(&bytes, 64);
        let mut reader = FileReader::new();
        assert!(!reader.resume_at(500, 1), "the statement comes first");
        reader.push(&bytes[..body]);
        while reader.poll().is_some() {}
        let (at, frame) = &seen[seen.len() - 3];
        assert!(!reader.resume_at(0, 0), "never backwards");
        assert!(reader.resume_at(*at, 2));
        reader.push(&bytes[size(*at)..]);
        let found = reader.poll().unwrap();
        assert_eq!((found.offset, found.body_frames), (*at, 3));
        assert_eq!(format!("{:?}", found.read), *frame);
        while reader.poll().is_some() {}
        assert_eq!(reader.finish(), ending);
    }

    #[test]
    fn a_writer_keeps_the_rules_whatever_it_is_given() {
        let heads = [3, 1, 3].map(head).to_vec();
        let want = Want { feed: feed(1), first: 1, last: 1, what: What::Entries };
        let made_by = Opening { maker: feed(9), ..opening() };
        let (writer, mut bytes) = FileWriter::new(made_by, heads, &vec![want; 300], &key());
        bytes.extend(writer.end());
        let (seen, ending) = read(&bytes, 64);
        assert_eq!((ending.fault, ending.refused), (None, 0));
        assert_eq!(seen[3].1, "Statement { whole: true }");
    }
}
