//! Goal: what two nodes say to find what differs is as short as was promised. Method: whole sessions
//! of two engines that hold the same feeds of many strangers; every frame is weighed.
#![expect(clippy::print_stderr, reason = "the table is shown by `--nocapture`")]

use crate::common::Device;
use crate::meet::{Met, Way, meet_as};
use crate::mutate::setting;
use crate::strangers::{self, Stranger};
use thistle_engine::SessionEnding;
use thistle_engine::account::AccountKey;
use thistle_engine::limits::RECOGNITION_TAGS;
use thistle_engine::session::{Frames, Sentence};

/// What it took two nodes to find what differs.
#[derive(Debug)]
struct Found {
    /// Bytes of all frames from the first of the greetings to the last want or message of a
    /// reconciliation, or of all frames if there is none; the tags of the greetings and what
    /// carries content are left out.
    bytes: u64,
    /// Messages up to there.
    messages: u64,
    /// The same for the whole session.
    whole: u64,
}

impl Found {
    fn of(met: &Met) -> Self {
        let mut found = Self { bytes: 0, messages: 0, whole: 0 };
        for (at, (_, said)) in met.said.iter().enumerate() {
            let mut frames = Frames::default();
            frames.push(said);
            let mut left = frames.buffered();
            while let Some(frame) = frames.poll().unwrap() {
                let kind = Sentence::decode(frame).unwrap().kind();
                let bytes = (left - frames.buffered()) as u64;
                left = frames.buffered();
                match kind {
                    1 | 2 | 6 => {}
                    8 => found.whole += bytes - 8 * RECOGNITION_TAGS,
                    _ => found.whole += bytes,
                }
                if matches!(kind, 4 | 16..32) {
                    (found.bytes, found.messages) = (found.whole, at as u64 + 1);
                }
            }
        }
        if found.messages == 0 {
            (found.bytes, found.messages) = (found.whole, met.said.len() as u64);
        }
        found
    }
}

/// Two nodes that hold the same feeds of many strangers.
struct Pair {
    ana: Device,
    bo: Device,
    account: AccountKey,
    strangers: Vec<Stranger>,
    next: u32,
    /// Nobody was met under a number twice.
    meetings: u8,
}

impl Pair {
    /// Two nodes that hold the same feeds, of which two are their own.
    fn new(feeds: u32) -> Self {
        let (ana, bo) = (Device::new(1), Device::new(2));
        let (account, strangers) = (strangers::account(), Vec::new());
        let mut pair = Self { ana, bo, account, strangers, next: 0, meetings: 2 };
        let own = [pair.bo.bundle_all(), pair.ana.bundle_all()];
        let all = pair.fresh(feeds - 2);
        for (device, own) in [&mut pair.ana, &mut pair.bo].into_iter().zip(own) {
            device.read(&own);
            device.read(&all);
        }
        pair
    }

    /// A bundle of feeds that nobody holds yet.
    fn fresh(&mut self, feeds: u32) -> Vec<u8> {
        let from = self.strangers.len();
        self.strangers.extend((self.next..self.next + feeds).map(Stranger::new));
        self.next += feeds;
        self.ahead(from..self.strangers.len())
    }

    /// A bundle by which some feeds go on.
    fn ahead(&mut self, which: std::ops::Range<usize>) -> Vec<u8> {
        let some = self.strangers[which].iter_mut();
        strangers::bundled(some.map(|stranger| stranger.next(&self.account, 1, 40)))
    }

    /// Makes some feeds differ: 45 % ahead on each side, 5 % held by one side alone.
    fn differ(&mut self, feeds: u32) {
        let alone = feeds / 20;
        let ahead = (feeds - 2 * alone) as usize;
        let half = ahead / 2;
        let start = 100 * usize::from(self.meetings) % (self.strangers.len() - ahead);
        let ours = [self.ahead(start..start + half), self.fresh(alone)];
        let theirs = [self.ahead(start + half..start + ahead), self.fresh(alone)];
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!((self.ana.read(ours).refused, self.bo.read(theirs).refused), (0, 0));
        }
    }

    /// Lets them meet for the first time, as far as they remember.
    fn meet_anew(&mut self, is_known: bool) -> Met {
        self.meetings += 1;
        let keys = (self.meetings, self.meetings);
        self.meet_again(keys, is_known)
    }

    fn meet_again(&mut self, keys: (u8, u8), is_known: bool) -> Met {
        let binding = [self.meetings; 32];
        let way = Way { is_known, binding, ..Way::default() };
        let met = meet_as(&mut self.ana, &mut self.bo, keys, way);
        assert_eq!(
            (met.dialler.ending, met.other.ending),
            (SessionEnding::Done, SessionEnding::Done)
        );
        met
    }
}

/// One line of the table, the medians of five meetings.
fn row(pair: &mut Pair, feeds: u32, differ: u32, is_known: bool, limits: (u64, u64)) {
    let meetings = (0..5).map(|_| {
        if differ > 0 {
            pair.differ(differ);
        }
        let met = pair.meet_anew(is_known);
        assert_eq!(met.dialler.sent + met.other.sent > 0, differ > 0);
        Found::of(&met)
    });
    let meetings: Vec<Found> = meetings.collect();
    let who = if is_known { "known" } else { "stranger" };
    let median = |of: fn(&Found) -> u64| {
        let mut all: Vec<u64> = meetings.iter().map(of).collect();
        all.sort_unstable();
        all[2]
    };
    let bytes = median(|found| found.bytes);
    let messages = median(|found| found.messages);
    let whole = median(|found| found.whole);
    shown(feeds, &differ.to_string(), who, &Found { bytes, messages, whole }, limits);
}

fn shown(feeds: u32, differ: &str, who: &str, found: &Found, limits: (u64, u64)) {
    let Found { bytes, messages, whole } = found;
    eprintln!("| {feeds} | {differ} | {who} | {bytes} | {} | {messages} | {whole} |", limits.0);
    assert!(*bytes <= limits.0, "{bytes} bytes");
    assert!(*messages <= limits.1, "{messages} messages");
}

/// `THISTLE_LONG=1`: 10,000 and 100,000 feeds, else 1,000.
#[test]
fn finding_what_differs_costs_what_was_promised() {
    let long = setting("THISTLE_LONG").is_some();
    let feeds = if long { 10_000 } else { 1_000 };
    eprintln!("| feeds | differ | peer | bytes | allowed | messages | with acks |");
    let mut pair = Pair::new(feeds);
    pair.differ(10);
    pair.meet_again((1, 2), true);
    let again = pair.meet_again((1, 2), true);
    // 160 are promised, and more than 130 would be counters that nobody needs.
    shown(feeds, "0", "met before", &Found::of(&again), (130, 2));
    row(&mut pair, feeds, 0, false, (260, 2));
    row(&mut pair, feeds, 0, true, (260, 2));
    for is_known in [true, false] {
        row(&mut pair, feeds, 1, is_known, (300, 4));
        row(&mut pair, feeds, 10, is_known, (500, 4));
        row(&mut pair, feeds, 100, is_known, (2_500, 4));
    }
    if !long {
        return;
    }
    row(&mut pair, feeds, 1_000, true, (18_500, 8));
    row(&mut pair, feeds, 1_000, false, (18_500, 8));
    disjoint(feeds);
    let mut pair = Pair::new(100_000);
    row(&mut pair, 100_000, 100, true, (2_500, 4));
}

/// Two nodes of which each holds what the other lacks.
fn disjoint(feeds: u32) {
    let mut pair = Pair::new(2);
    let theirs = pair.fresh(feeds);
    pair.bo.read(&theirs);
    let ours = pair.fresh(feeds);
    pair.ana.read(&ours);
    let met = pair.meet_anew(true);
    shown(feeds, "disjoint", "known", &Found::of(&met), (80_000, 8));
}
