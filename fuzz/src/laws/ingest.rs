//! The law of nodes that take in what others made: three nodes on disks in memory, four authors who
//! write, fork and take back, carriers who spoil, repeat and leave out.
//!
//! After every bundle: doctor finds nothing, nothing is held that its author did not sign, what the
//! node wrote and what it follows is untouched by other people's pieces, every quota holds. In
//! the end a node that hears everything again, in the other order, holds the same, and hearing
//! it once more changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::{Arbitrary, Unstructured};
use thistle_engine::account::AccountKey;
use thistle_engine::bundle::{FileWriter, Frame, Head, Opening, Want, What};
use thistle_engine::codec::Encoder;
use thistle_engine::content::{Carry, Content, Post, Ranges};
use thistle_engine::entry::EntryId;
use thistle_engine::key::{Context, FeedId, Seed};
use thistle_engine::limits::SEQ_END;
use thistle_engine::policy::CarryClass;
use thistle_engine::time::Now;
use thistle_engine::{
    BundleRequest, Event, Held, InMemoryBackend, Input, Node, Output, Report, Setup, Status,
};

use super::RING;
use super::world::{Author, Dress, Made, Words};

/// Steps that are taken at most.
const STEPS: usize = 60;
/// Times that everything is heard again until nothing is new.
const ROUNDS: usize = 12;
/// The author whose key is that of the first node: a backup that was restored, or a thief.
const DOUBLE: usize = 3;
/// The node that lives without quotas, blocks and time, so that others can be compared with it.
const CALM: usize = 0;
/// The node to which everything happens.
const TRIED: usize = 1;
/// An hour of known time, in milliseconds.
const HOUR: u64 = 3_600_000;

/// One step.
#[derive(Debug, Clone, Arbitrary)]
enum Step {
    Write {
        author: u8,
        history: u8,
        words: Words,
        life: u8,
        times: u8,
    },
    Branch {
        author: u8,
        history: u8,
        keep: u8,
        variant: u8,
    },
    /// A history goes on in two ways, and both are told.
    Tale {
        author: u8,
        place: u8,
        words: [Words; 2],
        times: [u8; 2],
        order: u8,
        dress: Dress,
    },
    Segment {
        author: u8,
        history: u8,
        first: u8,
        count: u8,
        dress: Dress,
    },
    Whole {
        author: u8,
        history: u8,
        backwards: bool,
        dress: Dress,
    },
    Far {
        author: u8,
        place: u64,
        letter: u8,
        dress: Dress,
    },
    Payload {
        author: u8,
        history: u8,
        seq: u8,
        wrong: bool,
    },
    Proof {
        author: u8,
        one: u8,
        other: u8,
        reach: u8,
    },
    Noise(Vec<u8>),
    Deliver {
        to: bool,
        front: Front,
        piece: u16,
        torn: Option<u16>,
    },
    Carry {
        from: bool,
        exactly: bool,
        most: Option<u16>,
    },
    Own {
        node: bool,
        length: u8,
        life: bool,
    },
    OwnTakeBack {
        node: bool,
        first: u8,
        count: u8,
    },
    Decide {
        author: u8,
        what: Decision,
    },
    Quota {
        followed: bool,
        kib: u8,
    },
    Pass {
        hours: u8,
        boot: bool,
        wall: u64,
    },
    Idle {
        node: bool,
    },
}

/// What the user of the tried node decides about a feed.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum Decision {
    Follow,
    Unfollow,
    Block,
    Unblock,
}

/// What stands before the pieces of a bundle.
#[derive(Debug, Clone, Arbitrary)]
struct Front {
    maker: u8,
    for_reader: bool,
    whole: bool,
    position: u64,
    ack: Option<(u8, [u8; 8])>,
    heads: Vec<(u8, u64, u8)>,
    wants: Vec<(u8, u64, u8, bool)>,
}

/// An entry as an export shows it.
type Exported = (u8, u64, EntryId, Option<Vec<u8>>);

/// Own entries by feed and place, each with its payload if that was to stay for ever.
type Written = BTreeMap<(FeedId, u64), (EntryId, Option<Vec<u8>>)>;

/// A node, and what it must not lose.
struct Home {
    node: Node,
    now: Now,
    written: Written,
    followed_has_quota: bool,
}

/// Everything of one run.
struct World {
    authors: Vec<Author>,
    homes: Vec<Home>,
    /// Entries that were signed outside of any history.
    far: BTreeSet<EntryId>,
    /// Frames that wait to be delivered; whose pieces they are; how many are forged.
    frames: Vec<Vec<u8>>,
    touched: BTreeSet<usize>,
    forged: u64,
    /// What the calm node has read.
    read: Vec<Vec<u8>>,
}

/// Drives nodes with the steps that the bytes stand for.
pub(super) fn ingest(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let mut world = World::new();
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut input) else { break };
        world.step(&step);
    }
    world.compare();
}

fn start() -> Now {
    Now { tick: 1_000, wall: 1_772_438_400_000, boot_id: 1 }
}

impl Home {
    fn new(number: u8, account: &AccountKey) -> Self {
        let setup = Setup { carry: Carry::Open, name: None, cache_bytes: 1 << 20 };
        let node = Node::create(InMemoryBackend::new(), account, setup, seed(number), start());
        let node = node.expect("a disk in memory does not fail");
        Self { node, now: start(), written: BTreeMap::new(), followed_has_quota: false }
    }

    fn feed(&self) -> FeedId {
        self.node.me().expect("a node has a feed").feed
    }

    /// Reads a file in pieces; the report, of which there is exactly one.
    fn read(&mut self, file: &[u8], piece: usize) -> Report {
        let (now, bundle) = (self.now, 7);
        let mut reports = Vec::new();
        let mut hand_over = |input: Input<'_>| {
            self.node.handle(now, input).expect("a stranger's bytes are no fault of the disk");
            while let Some(Output::Event(event)) = self.node.poll() {
                if let Event::BundleDone { report, .. } = event {
                    reports.push(report);
                }
            }
        };
        hand_over(Input::BundleOpened { bundle, via: "stick" });
        for bytes in file.chunks(piece) {
            hand_over(Input::BundleChunk { bundle, bytes });
        }
        hand_over(Input::BundleEnded { bundle });
        assert_eq!(reports.len(), 1, "every reading ends with one report");
        self.check();
        reports[0]
    }

    /// What must hold of a node at any time.
    fn check(&self) {
        let reader = self.node.reader().expect("a store in memory can be read");
        let mut findings = Vec::new();
        reader.check(&mut |found| findings.push(found)).expect("a store in memory can be read");
        assert!(findings.is_empty(), "doctor: {findings:?}");
        for (class, held, limit) in self.status().usage {
            assert!(limit.is_none_or(|limit| held <= limit), "{class:?}: {held} over {limit:?}");
        }
    }

    fn status(&self) -> Status {
        let reader = self.node.reader().expect("a store in memory can be read");
        reader.status().expect("a store in memory can be read")
    }

    fn export(&self, feed: &FeedId) -> Vec<Exported> {
        let reader = self.node.reader().expect("a store in memory can be read");
        let mut all = Vec::new();
        let mut visit = |held: Held| {
            all.push((held.branch, held.seq, held.id, held.payload));
            Ok(true)
        };
        reader.export(feed, &mut visit).expect("a store in memory can be read");
        all
    }

    /// The feeds that other people's pieces must leave alone.
    fn protected(&self) -> BTreeSet<FeedId> {
        let reader = self.node.reader().expect("a store in memory can be read");
        let feeds = reader.feeds().expect("a store in memory can be read");
        let is_ours = |class| match class {
            CarryClass::Own => true,
            CarryClass::Followed => !self.followed_has_quota,
            _ => false,
        };
        feeds.into_iter().filter(|info| is_ours(info.class)).map(|info| info.feed).collect()
    }

    /// What does not depend on how often something was heard.
    fn state(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let reader = self.node.reader().expect("a store in memory can be read");
        let feeds = reader.feeds().expect("a store in memory can be read");
        let exports: Vec<_> = feeds.iter().map(|info| self.export(&info.feed)).collect();
        let Status { entries, log_position, usage, missing_payloads, .. } = self.status();
        (feeds, exports, entries, log_position, usage, missing_payloads)
    }
}

fn seed(number: u8) -> Seed {
    Seed::new([number ^ 0x55; 32])
}

impl World {
    fn new() -> Self {
        let double = seed(0).derive(Context::DeviceKey, b"first");
        let seeds = [1, 2, 3].map(|byte| Seed::new([byte; 32]));
        let mut authors: Vec<Author> =
            seeds.iter().zip([0, 1, 0]).map(|(seed, account)| Author::new(seed, account)).collect();
        authors.push(Author::new(&double, 2));
        let mut homes = vec![Home::new(0, &RING.accounts[2]), Home::new(1, &RING.accounts[1])];
        assert_eq!(homes[CALM].feed(), authors[DOUBLE].feed());
        for home in &mut homes {
            let followed = home.node.follow(home.now, &authors[0].feed());
            assert!(followed.expect("a disk in memory does not fail"));
        }
        Self {
            authors,
            homes,
            far: BTreeSet::new(),
            frames: Vec::new(),
            touched: BTreeSet::new(),
            forged: 0,
            read: Vec::new(),
        }
    }

    fn author(&mut self, pick: u8) -> (usize, &mut Author) {
        let at = usize::from(pick) % self.authors.len();
        (at, &mut self.authors[at])
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Write { author, history, words, life, times } => {
                self.author(*author).1.write(*history, words, *life, *times);
            }
            Step::Branch { author, history, keep, variant } => {
                self.author(*author).1.branch(*history, *keep, *variant);
            }
            Step::Tale { author, place, words, times, order, dress } => {
                let (at, author) = self.author(*author);
                // Most forks lie at few places, so that some have three branches.
                let keep = [1, 2, 4, *place][usize::from(place % 4)];
                author.branch(place / 64, keep, *place);
                let last = u8::try_from(author.histories.len() - 1).unwrap_or(0);
                for (history, (words, times)) in [0, last].into_iter().zip(words.iter().zip(times))
                {
                    author.write(history, words, *times, *times);
                }
                for history in if order % 2 == 0 { [0, last] } else { [last, 0] } {
                    self.whole(at, history, order / 2 % 2 == 1, *dress);
                }
            }
            Step::Segment { .. }
            | Step::Whole { .. }
            | Step::Far { .. }
            | Step::Payload { .. }
            | Step::Proof { .. }
            | Step::Noise(_) => self.piece(step),
            Step::Deliver { to, front, piece, torn } => {
                self.deliver(usize::from(*to), front, usize::from(*piece).max(1), *torn);
            }
            Step::Carry { from, exactly, most } => self.carry(usize::from(*from), *exactly, *most),
            Step::Own { node, length, life } => self.own(usize::from(*node), *length, *life),
            Step::OwnTakeBack { node, first, count } => {
                self.take_back(usize::from(*node), *first, *count);
            }
            Step::Decide { author, what } => self.decide(*author, *what),
            Step::Quota { followed, kib } => self.quota(*followed, *kib),
            Step::Pass { hours, boot, wall } => {
                let now = &mut self.homes[TRIED].now;
                now.boot_id += u64::from(*boot);
                now.tick = if *boot { 0 } else { now.tick + u64::from(*hours) * HOUR };
                now.wall = if *boot { *wall } else { now.wall.saturating_add(HOUR) };
            }
            Step::Idle { node } => self.idle(usize::from(*node)),
        }
    }

    // ---- Pieces ----

    fn piece(&mut self, step: &Step) {
        match step {
            Step::Segment { author, history, first, count, dress } => {
                let (at, author) = self.author(*author);
                let (segment, sound) = author.segment(*history, *first, *count, *dress);
                self.add(at, segment, sound);
            }
            Step::Whole { author, history, backwards, dress } => {
                let at = self.author(*author).0;
                self.whole(at, *history, *backwards, *dress);
            }
            Step::Far { author, place, letter, dress } => {
                let (at, author) = self.author(*author);
                let (segment, Made { id, .. }) = author.far(*place, *letter, *dress);
                self.far.insert(id);
                self.add(at, segment, true);
            }
            Step::Payload { author, history, seq, wrong } => {
                let (at, author) = self.author(*author);
                let (feed, (seq, payload)) = (author.feed(), author.apart(*history, *seq, *wrong));
                let frame = Frame::Payload { feed, seq, payload: &payload }.encode();
                self.add(at, frame, true);
            }
            Step::Proof { author, one, other, reach } => {
                let (at, author) = self.author(*author);
                if let Some(proof) = author.proof(*one, *other, *reach) {
                    self.add(at, Frame::Fork(&proof).encode(), true);
                }
            }
            // A stand-in for a signature can be found out; here nothing may be believed unsigned.
            Step::Noise(bytes) => {
                if let Ok(Frame::Unknown { .. }) | Err(_) = Frame::decode(bytes)
                    && !bytes.is_empty()
                {
                    self.frames.push(bytes.clone());
                }
            }
            _ => {}
        }
    }

    fn whole(&mut self, at: usize, history: u8, backwards: bool, dress: Dress) {
        let author = &self.authors[at];
        let length = author.histories[author.history(history)].len();
        let mut firsts: Vec<usize> = (0..length).filter(|it| *it < 2 || it % 32 == 0).collect();
        if backwards {
            firsts.reverse();
        }
        for first in firsts {
            let first = u8::try_from(first).unwrap_or(u8::MAX);
            let (segment, sound) = self.authors[at].segment(history, first, 31, dress);
            self.add(at, segment, sound);
        }
    }

    fn add(&mut self, author: usize, frame: Vec<u8>, sound: bool) {
        self.frames.push(frame);
        self.touched.insert(author);
        self.forged += u64::from(!sound);
    }

    fn front(&self, front: &Front, reader: FeedId) -> (Opening, Vec<Head>, Vec<Want>) {
        let feed = |pick: u8| self.authors[usize::from(pick) % self.authors.len()].feed();
        let range = |first: u64, more: u8| {
            let first = (first % SEQ_END).max(1);
            (first, (first + u64::from(more)).min(SEQ_END - 1))
        };
        let head = |&(pick, first, more): &(u8, u64, u8)| {
            let (floor, head) = range(first, more);
            Head { feed: feed(pick), floor, head, forked: (more % 4 == 0).then_some(floor) }
        };
        let want = |&(pick, first, more, payloads): &(u8, u64, u8, bool)| {
            let (first, last) = range(first, more);
            let what = if payloads { What::Payloads } else { What::Entries };
            Want { feed: feed(pick), first, last, what }
        };
        let opening = Opening {
            maker: feed(front.maker),
            for_feed: front.for_reader.then_some(reader),
            whole: front.whole,
            position: front.position,
            log_hash: [front.maker; 8],
            ack: front.ack.map(|(position, hash)| (u64::from(position), hash)),
        };
        (opening, front.heads.iter().map(head).collect(), front.wants.iter().map(want).collect())
    }

    fn deliver(&mut self, to: usize, front: &Front, piece: usize, torn: Option<u16>) {
        let (opening, heads, wants) = self.front(front, self.homes[to].feed());
        let key = &self.authors[usize::from(front.maker) % self.authors.len()].key;
        let (writer, mut file) = FileWriter::new(opening, heads, &wants, key);
        for frame in self.frames.drain(..) {
            let mut framed = Encoder::new();
            framed.bytes(&frame);
            file.extend(framed.into_bytes());
        }
        file.extend(writer.end());
        if let Some(torn) = torn {
            file.truncate(usize::from(torn) % file.len());
        }
        let (touched, forged) =
            (std::mem::take(&mut self.touched), std::mem::take(&mut self.forged));
        let touched: BTreeSet<FeedId> = touched.iter().map(|at| self.authors[*at].feed()).collect();
        let home = &mut self.homes[to];
        let protected = home.protected();
        let before: Vec<_> =
            protected.difference(&touched).map(|feed| (*feed, home.export(feed))).collect();
        let report = home.read(&file, piece);
        for (feed, before) in before {
            assert!(home.export(&feed) == before, "{feed:?} was touched by other people's pieces");
        }
        assert!(torn.is_some() || report.refused >= forged, "a forgery is not refused");
        if to == CALM {
            self.read.push(file);
        }
        self.sound(to);
    }

    /// Nothing is held that its author did not sign, and nothing is gone that the node wrote.
    fn sound(&mut self, at: usize) {
        let home = &self.homes[at];
        for author in &self.authors {
            let signed = author.signed();
            let forged = home
                .export(&author.feed())
                .into_iter()
                .find(|held| !signed.contains(&held.2) && !self.far.contains(&held.2));
            let own = |held: &Exported| {
                let mut written = self.homes.iter().flat_map(|home| home.written.values());
                written.any(|made| made.0 == held.2)
            };
            assert!(forged.as_ref().is_none_or(own), "nobody signed {forged:?}");
        }
        let mut exports: BTreeMap<FeedId, Vec<Exported>> = BTreeMap::new();
        for ((feed, seq), (id, payload)) in &home.written {
            let export = exports.entry(*feed).or_insert_with(|| home.export(feed));
            let held = export.iter().find(|held| held.1 == *seq && held.2 == *id);
            let held = held.unwrap_or_else(|| panic!("the own entry {seq} is gone"));
            assert!(payload.is_none() || held.3 == *payload, "the own payload {seq} is gone");
        }
    }

    // ---- What nodes do ----

    fn carry(&mut self, from: usize, exactly: bool, most: Option<u16>) {
        let to = 1 - from;
        let reader = self.homes[from].node.reader().expect("a store in memory can be read");
        let request = BundleRequest {
            for_peer: exactly.then(|| self.homes[to].feed()),
            max_bytes: most.map(|most| u64::from(most) + 2_000),
            ..BundleRequest::default()
        };
        let Ok(mut source) = reader.bundle(&request) else { panic!("a bundle can be made") };
        let mut file = Vec::new();
        while let Some(bytes) = source.poll().expect("a store in memory can be read") {
            file.extend(bytes);
        }
        assert!(
            request.max_bytes.is_none_or(|most| file.len() as u64 <= most),
            "{} bytes of {request:?}",
            file.len()
        );
        let report = self.homes[to].read(&file, 4_096);
        assert_eq!((report.refused, report.ending), (0, None), "what a node sends is right");
        if to == CALM {
            self.read.push(file);
        }
        self.sound(to);
    }

    fn own(&mut self, at: usize, length: u8, life: bool) {
        let text = "o".repeat(usize::from(length) * 8);
        let content = Content::Post(Post { text, ..Post::default() });
        let ttl = u32::from(life);
        let home = &mut self.homes[at];
        let made = home.node.write(home.now, &content, ttl).expect("a sound post can be written");
        let payload = content.encode();
        let kept = (ttl == 0).then(|| payload.clone());
        home.written.insert((made.feed, made.seq), (made.id, kept));
        if made.feed == self.authors[DOUBLE].feed() {
            self.authors[DOUBLE].adopt(made.seq, ttl, payload);
        }
        self.homes[at].check();
        self.sound(at);
    }

    /// Takes own entries back: their payloads need not stay.
    fn take_back(&mut self, at: usize, first: u8, count: u8) {
        let home = &mut self.homes[at];
        let (first, last) = (u64::from(first.max(1)), u64::from(first.max(1)) + u64::from(count));
        let ranges = Ranges::new(vec![(first, last)]).expect("one range is in order");
        let made = home.node.write(home.now, &Content::Retraction(ranges), 0);
        let made = made.expect("a sound retraction can be written");
        home.written.insert((made.feed, made.seq), (made.id, None));
        for ((feed, seq), (_, payload)) in &mut home.written {
            if *feed == made.feed && (first..=last).contains(seq) {
                *payload = None;
            }
        }
        self.homes[at].check();
        self.sound(at);
    }

    fn decide(&mut self, author: u8, what: Decision) {
        let feed = self.author(author).1.feed();
        let home = &mut self.homes[TRIED];
        let now = home.now;
        let done = match what {
            Decision::Follow => home.node.follow(now, &feed).map(drop),
            Decision::Unfollow => home.node.unfollow(now, &feed),
            Decision::Block => home.node.block(now, &feed).map(drop),
            Decision::Unblock => home.node.unblock(now, &feed),
        };
        done.expect("a disk in memory does not fail");
        home.check();
    }

    fn quota(&mut self, followed: bool, kib: u8) {
        let home = &mut self.homes[TRIED];
        let class = if followed { CarryClass::Followed } else { CarryClass::Stranger };
        home.followed_has_quota |= followed;
        let bytes = u64::from(kib) * 256;
        home.node.set_quota(home.now, class, bytes).expect("a disk in memory does not fail");
        home.check();
    }

    fn idle(&mut self, at: usize) {
        let home = &mut self.homes[at];
        for _ in 0..1_000 {
            home.node.handle(home.now, Input::Idle).expect("a disk in memory does not fail");
            let mut more = false;
            while let Some(Output::Event(event)) = home.node.poll() {
                more |= event == Event::Idle { more: true };
            }
            if !more {
                home.check();
                return;
            }
        }
        panic!("idle work never ends");
    }

    // ---- The end ----

    /// A node that hears everything in the other order ends up with the same.
    fn compare(&mut self) {
        if self.read.is_empty() {
            return;
        }
        let mut late = Home::new(2, &RING.accounts[1]);
        let followed = late.node.follow(late.now, &self.authors[0].feed());
        assert!(followed.expect("a disk in memory does not fail"));
        let mut files = self.read.clone();
        hear(&mut self.homes[CALM], &files);
        files.reverse();
        hear(&mut late, &files);
        for (at, author) in self.authors.iter().enumerate().filter(|(at, _)| *at != DOUBLE) {
            let (calm, late) =
                (self.homes[CALM].export(&author.feed()), late.export(&author.feed()));
            assert!(calm == late, "author {at}, by the order of hearing: {calm:?}\nand {late:?}");
        }
        self.sound(CALM);
    }
}

/// Reads all files again and again until nothing is new, and then once more.
fn hear(home: &mut Home, files: &[Vec<u8>]) {
    for _ in 0..ROUNDS {
        let news = |report: Report| report.entries_new + report.payloads_new + report.forks;
        let new: u64 = files.iter().map(|file| news(home.read(file, 4_096))).sum();
        if new == 0 {
            let before = home.state();
            for file in files {
                home.read(file, 1_000);
            }
            assert!(home.state() == before, "hearing it again: {before:?}\nand {:?}", home.state());
            return;
        }
    }
    panic!("the same files are news for ever");
}
