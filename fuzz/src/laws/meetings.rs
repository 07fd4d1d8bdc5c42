//! Laws of meetings: the sentences of a session have one encoding, a node ends every session whatever
//! its peer says, and a reconciliation finds what differs between two honest sides and ends with
//! any other.

use std::collections::{BTreeMap, BTreeSet};

use thistle_engine::bundle::Frame;
use thistle_engine::codec::{Decoder, Encoder};
use thistle_engine::content::{Carry, Content, Post};
use thistle_engine::entry::ChainHasher;
use thistle_engine::key::{FeedId, Seed};
use thistle_engine::limits::{FRAME_BYTES, SILENCE_MS, STRANGER_DRAW_BYTES};
use thistle_engine::reconcile::{Counters, Item, Message, Peer, Run, Scope, Step};
use thistle_engine::segment::UnverifiedSegment;
use thistle_engine::session::{Frames, Greeting, Sentence, State, VERSION};
use thistle_engine::time::Now;
use thistle_engine::{Event, InMemoryBackend, Input, Node, Output, SessionReport, Setup};

use super::signed::signed_anew;
use super::{RING, number_of, one_encoding};

/// Frames that a peer says at most.
const FRAMES: usize = 200;
/// Feeds of two honest sides at most.
const FEEDS: usize = 300;
/// Most messages of a hostile run.
const MESSAGES: usize = 40;
/// The link on which a node meets the fuzzer.
const LINK: u64 = 7;
/// What both ends of it know.
const BINDING: [u8; 32] = [7; 32];

/// Frames of kinds that no version has say what happens meanwhile, and are told to the node as well.
const PASS: u64 = 60;
const READY: u64 = 61;
const WRITE: u64 = 62;
const REST: u64 = 63;

/// What the first byte chooses: the peer is known; it was dialled; its frames are mended before they
/// are told (signatures, digests and counts); the link takes at once what it is given; the peer has
/// greeted. The rest is how much the node has written.
const KNOWN: u8 = 1;
const OPENER: u8 = 2;
const MENDS: u8 = 4;
const EAGER: u8 = 8;
const GREETED: u8 = 16;

// ---- Sessions ----

/// A byte of choices, then a peer's frames: as they come, and to a node.
pub(super) fn session(bytes: &[u8]) {
    let Some((&choices, said)) = bytes.split_first() else { return };
    let (frames, whole) = frames_of(said, said.len().max(1));
    for size in [1, 7, 1 + number_of(bytes) % 5_000] {
        assert_eq!(frames_of(said, size), (frames.clone(), whole), "in pieces of {size}");
    }
    for frame in &frames {
        sentence(frame);
    }
    let mut host = Host::meet(choices);
    for frame in frames.iter().take(FRAMES) {
        host.hear(frame);
    }
    host.end(whole.then_some(said));
}

/// The frames that come out of bytes in pieces, and whether all of them were whole.
fn frames_of(bytes: &[u8], size: usize) -> (Vec<Vec<u8>>, bool) {
    let most = usize::try_from(FRAME_BYTES).expect("a frame fits in memory") + 16;
    let (mut reader, mut frames) = (Frames::default(), Vec::new());
    for piece in bytes.chunks(size) {
        reader.push(piece);
        loop {
            match reader.poll() {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) => break,
                Err(_) => return (frames, false),
            }
        }
        assert!(reader.buffered() <= most, "{} bytes are kept", reader.buffered());
    }
    (frames, true)
}

/// One frame, of those that are not a bundle's, nor of a later version.
fn sentence(bytes: &[u8]) {
    let Ok(sentence) = Sentence::decode(bytes) else { return };
    match sentence {
        Sentence::Unknown { kind } => assert!(kind == 0 || kind > 2, "kind {kind} is known"),
        Sentence::Carried(_) | Sentence::Compare(_) => {}
        // What a later version says more of itself is not read.
        Sentence::Greeting(_) if bytes.first() != Some(&0x85) => {}
        _ => one_encoding(bytes, |bytes| match Sentence::decode(bytes) {
            Ok(Sentence::Unknown { .. } | Sentence::Carried(_) | Sentence::Compare(_)) | Err(_) => {
                None
            }
            Ok(sentence) => Some(unframed(&sentence.encode())),
        }),
    }
}

fn unframed(bytes: &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::new(bytes);
    decoder.bytes("frame", FRAME_BYTES).expect("what is written is a frame").to_vec()
}

/// A node that meets the fuzzer.
struct Host {
    node: Node,
    now: Now,
    choices: u8,
    greeted: bool,
    said: Frames,
    hasher: ChainHasher,
    /// The last state that the node told.
    state: Option<State>,
    /// Frames of the node that its peer has to acknowledge.
    counted: u64,
    compared: u64,
    given: u64,
    closed: u64,
    report: Option<SessionReport>,
    written: usize,
}

impl Host {
    fn meet(choices: u8) -> Self {
        let now = Now { tick: 1_000, wall: 1_772_438_400_000, boot_id: 1 };
        let setup = Setup { carry: Carry::Open, name: None, cache_bytes: 1 << 20 };
        let (disk, seed) = (InMemoryBackend::new(), Seed::new([0x55; 32]));
        let node = Node::create(disk, &RING.accounts[0], setup, seed, now);
        let mut host = Self {
            node: node.expect("a disk in memory does not fail"),
            now,
            choices,
            greeted: false,
            said: Frames::default(),
            hasher: ChainHasher::default(),
            state: None,
            counted: 0,
            compared: 0,
            given: 0,
            closed: 0,
            report: None,
            written: 0,
        };
        for _ in 0..choices >> 5 {
            host.write();
        }
        let (opener, known, peer) = (host.is(OPENER), host.is(KNOWN), [66; 32]);
        let (link, binding, via) = (LINK, &BINDING, "a meeting");
        host.give(Input::LinkOpened { link, opener, peer, binding, known, via });
        if host.is(GREETED) {
            let greeting = Greeting { first: 1, last: VERSION, features: 0, tags: &[1; 1_024] };
            host.tell(&Sentence::Greeting(greeting).encode());
        }
        host
    }

    const fn is(&self, choice: u8) -> bool {
        self.choices & choice != 0
    }

    fn write(&mut self) {
        self.written += 1;
        let text = format!("message {}", self.written);
        let post = Content::Post(Post { time: 1_772_438_400, text, ..Post::default() });
        self.node.write(self.now, &post, 0).expect("a disk in memory does not fail");
    }

    fn hear(&mut self, frame: &[u8]) {
        if let Ok(Sentence::Unknown { kind }) = Sentence::decode(frame) {
            match kind {
                PASS => self.pass(1 + number_of(frame) as u64 % SILENCE_MS),
                READY => self.give(Input::LinkReady { link: LINK }),
                WRITE if self.written < 40 => self.write(),
                REST => self.give(Input::Idle),
                _ => {}
            }
        }
        let mended = if self.is(MENDS) { self.mended(frame) } else { None };
        self.tell(&framed(mended.as_deref().unwrap_or(frame)));
    }

    /// The frame with what only somebody who knows the node can say.
    fn mended(&self, frame: &[u8]) -> Option<Vec<u8>> {
        match Sentence::decode(frame).ok()? {
            Sentence::Carried(Frame::Segment(bytes)) => signed_anew(bytes),
            Sentence::State(mut state) => {
                let told = self.state.as_ref()?;
                if state.digest == 0 {
                    (state.digest, state.count) = (told.digest, told.count);
                }
                if let (Some(said), Some(told)) = (&mut state.memory, &told.memory)
                    && said.here.0 == 0
                {
                    (said.cursor, said.known) = (Some(told.here), Some(told.revision));
                }
                Some(unframed(&Sentence::State(state).encode()))
            }
            Sentence::Ack { count: 0, done } => {
                Some(unframed(&Sentence::Ack { count: self.counted, done }.encode()))
            }
            _ => None,
        }
    }

    fn tell(&mut self, bytes: &[u8]) {
        self.given += bytes.len() as u64;
        self.greeted |= bytes.len() > 1_024;
        self.give(Input::LinkBytes { link: LINK, bytes });
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now.tick += milliseconds;
        self.now.wall += milliseconds;
        self.give(Input::Idle);
    }

    fn give(&mut self, input: Input<'_>) {
        self.node.handle(self.now, input).expect("a peer's words are no fault of the disk");
        while self.listen() && self.is(EAGER) && self.report.is_none() {
            let ready = Input::LinkReady { link: LINK };
            self.node.handle(self.now, ready).expect("a ready link is no fault of the disk");
        }
    }

    /// Takes what the node says; whether it sent anything.
    fn listen(&mut self) -> bool {
        let mut sent = false;
        while let Some(output) = self.node.poll() {
            match output {
                Output::Send { bytes, .. } => {
                    assert_eq!(self.closed, 0, "something is said after the end");
                    sent = true;
                    self.watch(&bytes);
                }
                Output::Close { .. } => self.closed += 1,
                Output::Event(Event::SessionDone { report, .. }) => {
                    assert!(self.report.replace(report).is_none(), "ended twice");
                }
                Output::Event(_) => {}
            }
        }
        sent
    }

    /// What a node says is right, and to a stranger not too much.
    fn watch(&mut self, bytes: &[u8]) {
        let mut said = std::mem::take(&mut self.said);
        said.push(bytes);
        while let Some(frame) = said.poll().expect("a node says frames") {
            let sentence = Sentence::decode(frame).expect("a node says sentences");
            self.counted += u64::from(sentence.is_counted());
            let is_greeting = matches!(sentence, Sentence::Greeting(_));
            assert!(is_greeting || self.greeted, "{sentence:?} to one who did not greet");
            match sentence {
                Sentence::Carried(Frame::Segment(bytes)) => {
                    let segment = UnverifiedSegment::decode(bytes).expect("a node sends segments");
                    segment.verify(&mut self.hasher).expect("nothing unverified is served");
                }
                Sentence::Compare(bytes) => {
                    Message::decode(bytes).expect("a node reconciles by the rules");
                    self.compared += bytes.len() as u64;
                }
                Sentence::State(state) => {
                    assert!(self.is(KNOWN) || state.memory.is_none(), "a stranger is told memory");
                    self.state = Some(state);
                }
                _ => {}
            }
        }
        self.said = said;
        let most = STRANGER_DRAW_BYTES + 2 * self.given;
        assert!(self.is(KNOWN) || self.compared <= most, "a stranger draws {}", self.compared);
    }

    /// Silence ends it, once; or the link is cut. The node is as sound as it was, and what it wrote
    /// is there.
    fn end(mut self, said: Option<&[u8]>) {
        if said.is_some_and(|said| number_of(said).is_multiple_of(2)) {
            self.give(Input::LinkClosed { link: LINK });
        }
        self.pass(SILENCE_MS);
        assert!(self.report.is_some() && self.closed == 1, "silence does not end it");
        assert_eq!(self.node.deadline(), None);
        let reader = self.node.reader().expect("a store in memory can be read");
        let mut findings = Vec::new();
        reader.check(&mut |found| findings.push(found)).expect("a store in memory can be read");
        assert!(findings.is_empty(), "doctor: {findings:?}");
        let feed = reader.me().expect("a node has a feed").feed;
        let mut own = 0;
        let mut count = |held: thistle_engine::Held| {
            own += usize::from(held.payload.is_some());
            Ok(true)
        };
        reader.export(&feed, &mut count).expect("a store in memory can be read");
        assert!(own > self.written, "{own} of {} that it wrote", self.written);
    }
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.bytes(bytes);
    encoder.into_bytes()
}

// ---- Reconciliation ----

/// A message by itself; two honest sides that differ as the bytes say; and a side whose peer says
/// the bytes.
pub(super) fn reconcile(bytes: &[u8]) {
    one_encoding(bytes, |bytes| Message::decode(bytes).ok().map(|message| message.encode()));
    one_encoding(bytes, |bytes| Counters::decode(bytes).ok().map(|counters| counters.encode()));
    honest(bytes);
    let Some((&choices, said)) = bytes.split_first() else { return };
    hostile(choices, &frames_of(said, said.len().max(1)).0);
}

/// Two scopes: of each byte, a feed and what the two sides have of it.
fn scopes(bytes: &[u8]) -> [Vec<Item>; 2] {
    let mut sides = [BTreeMap::new(), BTreeMap::new()];
    for (number, byte) in bytes.iter().enumerate().take(FEEDS) {
        let mut feed = [0; 32];
        feed[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let item = |seq: u8, branch: u8| {
            let (feed, head) = (FeedId::from_bytes(feed), [branch.wrapping_mul(16) ^ seq; 32]);
            Item { feed, seq: 1 + u64::from(seq), head }
        };
        let (ours, theirs) = (byte >> 4, byte & 15);
        for (side, seq) in sides.iter_mut().zip([ours, theirs]) {
            if seq > 0 {
                // Side by side at the highest seq they are forked.
                let branch = u8::from(seq == 15 && ours == theirs && side.len() % 2 == 1);
                side.insert(number, item(seq, branch));
            }
        }
    }
    sides.map(|side| side.into_values().collect())
}

/// Each side learns exactly of the feeds on which it is ahead, or forked.
fn honest(bytes: &[u8]) {
    let items = scopes(bytes);
    let key = [u8::try_from(number_of(bytes) % 256).unwrap_or(0); 32];
    let scopes = [&items[0], &items[1]].map(|items| Scope::new(&key, items.iter().copied()));
    if scopes[0].digest() == scopes[1].digest() {
        assert_eq!(items[0], items[1], "equal digests of other scopes");
        return;
    }
    let peer = |side: usize| Peer { count: scopes[side].count(), is_stranger: false };
    let counters = bytes.len().is_multiple_of(2).then(|| scopes[1].counters());
    let (opener, first) = Run::open(&scopes[0], peer(1), counters.as_ref()).expect("it opens");
    let (responder, second) =
        Run::respond(&scopes[1], peer(0), counters.is_some()).expect("it opens");
    let mut runs = [opener, responder];
    let mut learned = [BTreeMap::new(), BTreeMap::new()];
    let mut mail: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut take = |side: usize, step: Step, mail: &mut Vec<(usize, Vec<u8>)>| {
        for found in step.differences {
            let item = items[side][found.item];
            assert_eq!(found.mine, item.seq);
            if found.tag_differs || found.theirs.is_none_or(|theirs| theirs < found.mine) {
                learned[side].insert(item.feed, found.theirs);
            }
        }
        mail.extend(step.send.into_iter().map(|bytes| (1 - side, bytes)));
    };
    take(0, first, &mut mail);
    take(1, second, &mut mail);
    let mut count = 0;
    while !mail.is_empty() {
        let (side, bytes) = mail.remove(0);
        let step = runs[side].receive(&scopes[side], &bytes).expect("an honest side is understood");
        take(side, step, &mut mail);
        count += 1;
        assert!(count < 1_000, "a run without end");
    }
    assert!(runs.iter().all(Run::is_over), "a run that stands still");
    for side in 0..2 {
        let mut truth = truth(&items[side], &items[1 - side]);
        // Tags are short: a fork at one seq may go unseen, until another session has another key.
        let forked = |feed: &FeedId, seq: Option<u64>| {
            items[side].iter().any(|item| item.feed == *feed && Some(item.seq) == seq)
        };
        truth.retain(|feed, seq| learned[side].contains_key(feed) || !forked(feed, *seq));
        assert_eq!(learned[side], truth, "side {side}");
    }
}

/// Of each feed that one side has more of, or another end of, what the other has.
fn truth(ours: &[Item], theirs: &[Item]) -> BTreeMap<FeedId, Option<u64>> {
    let theirs: BTreeMap<FeedId, &Item> = theirs.iter().map(|item| (item.feed, item)).collect();
    let ahead = ours.iter().filter_map(|item| match theirs.get(&item.feed) {
        None => Some((item.feed, None)),
        Some(other) => {
            let forked = other.seq == item.seq && other.head != item.head;
            (other.seq < item.seq || forked).then_some((item.feed, Some(other.seq)))
        }
    });
    ahead.collect()
}

/// A side that is told anything stays within what it may say, and ends.
fn hostile(choices: u8, said: &[Vec<u8>]) {
    let count = [0, 1, 5, 40, 200, 200, 40, 5][usize::from(choices & 7)];
    let filler: Vec<u8> = (0..count).map(|at: u8| 0x10 | (at % 15) << 4).collect();
    let items = &scopes(&filler)[0];
    let scope = Scope::new(&[3; 32], items.iter().copied());
    let is_stranger = choices & 8 == 0;
    let peer = Peer { count: u64::from(choices >> 5) * 37, is_stranger };
    let opens = choices & 16 == 0;
    let begun =
        if opens { Run::open(&scope, peer, None) } else { Run::respond(&scope, peer, true) };
    let Ok((mut run, first)) = begun else { return };
    let (mut heard, mut sent) = (0, 0);
    let mut watch = |step: &Step, heard: u64| {
        for bytes in &step.send {
            sent += bytes.len() as u64;
            Message::decode(bytes).expect("a run says messages");
        }
        assert!(!is_stranger || sent <= STRANGER_DRAW_BYTES + 2 * heard, "{sent} of {heard}");
        assert!(step.differences.iter().all(|found| found.item < items.len()));
        let places: BTreeSet<usize> = step.differences.iter().map(|found| found.item).collect();
        assert!(places.len() <= items.len());
    };
    watch(&first, 0);
    for bytes in said.iter().take(MESSAGES) {
        heard += bytes.len() as u64;
        let was_over = run.is_over();
        match run.receive(&scope, bytes) {
            Ok(step) => {
                assert!(!was_over, "a run that is over goes on");
                watch(&step, heard);
            }
            Err(_) => assert!(run.is_over(), "a fault does not end a run"),
        }
    }
}
