//! Peers that nobody should meet: whatever one says, the session ends, memory and answers stay
//! within their limits, and others are served meanwhile.

use thistle_engine::bundle::{Frame, Want, What};
use thistle_engine::limits::{
    CONTROL_FRAMES, FIRST_FLIGHT_BYTES, REPEATED_BYTES, SESSIONS, SILENCE_MS, STRANGER_DRAW_BYTES,
    STRANGER_HOUR_BYTES, STRANGER_SEND_BYTES, UNACKED_BYTES, WANTS,
};
use thistle_engine::reconcile::{Item, Scope};
use thistle_engine::session::{Frames, Greeting, Sentence, State, VERSION};
use thistle_engine::{Event, Input, Output, SessionEnding, SessionFault, SessionReport};

use crate::common::Device;
use crate::meet::meet;

/// A peer that says what it likes to a device.
pub(crate) struct Peer<'a> {
    pub(crate) device: &'a mut Device,
    pub(crate) link: u64,
    /// All that the device said.
    pub(crate) heard: Vec<u8>,
    pub(crate) report: Option<SessionReport>,
    pub(crate) takes: bool,
}

impl<'a> Peer<'a> {
    pub(crate) fn dial(device: &'a mut Device, known: bool) -> Self {
        Self::meet(device, false, known, &[7; 32])
    }

    /// A link to a device: whether the device opened it, whether it knows the peer, what both ends know.
    pub(crate) fn meet(
        device: &'a mut Device,
        opener: bool,
        known: bool,
        binding: &[u8; 32],
    ) -> Self {
        let (link, peer, via) = (7, [66; 32], "a meeting");
        let input = Input::LinkOpened { link, opener, peer, binding, known, via };
        device.node.handle(device.now, input).unwrap();
        let mut peer = Self { device, link, heard: Vec::new(), report: None, takes: true };
        peer.listen();
        peer
    }

    /// A peer that has greeted already.
    pub(crate) fn greeted(device: &'a mut Device, known: bool) -> Self {
        let mut peer = Self::dial(device, known);
        peer.greet();
        peer
    }

    pub(crate) fn greet(&mut self) {
        let greeting = Greeting { first: 1, last: VERSION, features: 0, tags: &[1; 1_024] };
        self.say(&Sentence::Greeting(greeting));
    }

    pub(crate) fn say(&mut self, sentence: &Sentence<'_>) {
        self.raw(&sentence.encode());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        for bytes in bytes.chunks(1 << 16) {
            let input = Input::LinkBytes { link: self.link, bytes };
            self.device.node.handle(self.device.now, input).unwrap();
            self.listen();
        }
    }

    pub(crate) fn listen(&mut self) {
        loop {
            let mut sent = false;
            while let Some(output) = self.device.node.poll() {
                match output {
                    Output::Send { link, bytes } if link == self.link => {
                        self.heard.extend(bytes);
                        sent = true;
                    }
                    Output::Event(Event::SessionDone { link, report }) if link == self.link => {
                        assert!(self.report.replace(report).is_none(), "ended twice");
                    }
                    _ => {}
                }
            }
            if !sent || !self.takes || self.report.is_some() {
                return;
            }
            self.device.node.handle(self.device.now, Input::LinkReady { link: self.link }).unwrap();
        }
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, milliseconds: u64) {
        self.device.now.tick += milliseconds;
        self.device.now.wall += milliseconds;
        self.device.node.handle(self.device.now, Input::Idle).unwrap();
        self.listen();
    }

    pub(crate) fn fault(&self) -> SessionFault {
        match self.report.map(|report| report.ending) {
            Some(SessionEnding::Fault(fault)) => fault,
            other => panic!("{other:?}"),
        }
    }

    /// Tells a state over some items.
    pub(crate) fn tell_state(&mut self, count: u64, digest: u64) {
        let state = State { digest, count, tag: [0; 8], memory: None, counters: None };
        self.say(&Sentence::State(state));
    }

    /// The frames that the device said.
    pub(crate) fn frames(&self) -> Vec<Vec<u8>> {
        let mut frames = Frames::default();
        frames.push(&self.heard);
        let mut all = Vec::new();
        while let Some(frame) = frames.poll().unwrap() {
            all.push(frame.to_vec());
        }
        all
    }

    /// What a device gives to somebody who holds nothing: the frames that carry entries.
    pub(crate) fn all_of(device: &'a mut Device, known: bool) -> Vec<Vec<u8>> {
        let mut peer = Self::greeted(device, known);
        peer.tell_state(0, 0);
        peer.say(&Sentence::Compare(&[0x81, 22]));
        let mut frames = peer.frames();
        frames.retain(|frame| matches!(frame[1], 1 | 2));
        frames
    }

    pub(crate) fn kinds(&self) -> Vec<u64> {
        self.frames().iter().map(|frame| Sentence::decode(frame).unwrap().kind()).collect()
    }
}

/// A device with something to take.
fn device() -> Device {
    let mut device = Device::new(1);
    device.write_many((0..200).map(|number| format!("message {number}")));
    device
}

/// Another one can meet the device as if nothing had happened.
pub(crate) fn serves_others(device: &mut Device) {
    let mut other = Device::new(9);
    other.write("is it all right?");
    meet(device, &mut other).clean();
    assert_eq!(device.texts(&other.feed()), ["is it all right?"]);
    device.check();
}

#[test]
fn garbage_ends_the_session_and_nothing_else() {
    let mut random = 1_u64;
    for length in [1, 2, 3, 9, 100, 5_000] {
        for _ in 0..50 {
            let byte = |_| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (random >> 56) as u8
            };
            let garbage: Vec<u8> = (0..length).map(byte).collect();
            let mut device = Device::new(1);
            let mut peer = Peer::greeted(&mut device, length % 2 == 0);
            peer.raw(&garbage);
            peer.pass(SILENCE_MS);
            assert!(peer.report.is_some());
        }
    }
    let mut device = device();
    let mut peer = Peer::dial(&mut device, false);
    peer.raw(b"GET / HTTP/1.1\r\nHost: thistle\r\n\r\n");
    assert!(matches!(peer.fault(), SessionFault::Decode(_)));
    assert!(peer.heard.is_empty());
    serves_others(&mut device);
}

#[test]
fn nothing_goes_out_beyond_the_greeting_before_both_are_read() {
    let mut device = device();
    let mut peer = Peer::dial(&mut device, true);
    let whole = Sentence::Greeting(Greeting { first: 1, last: 1, features: 0, tags: &[1; 1_024] });
    let bytes = whole.encode();
    peer.raw(&bytes[..bytes.len() - 1]);
    assert!(peer.heard.is_empty());
    peer.raw(&bytes[bytes.len() - 1..]);
    assert_eq!(peer.kinds()[..2], [8, 9]);
    // Anything else in its place ends it.
    let mut peer = Peer::dial(&mut device, true);
    peer.tell_state(1, 1);
    assert_eq!(peer.fault(), SessionFault::OutOfTurn { kind: 9 });
    assert!(peer.heard.is_empty());
}

#[test]
fn another_version_is_told_from_a_fault() {
    let mut device = device();
    let mut peer = Peer::dial(&mut device, false);
    peer.say(&Sentence::Greeting(Greeting { first: 7, last: 9, features: 0, tags: &[1; 1_024] }));
    let ending = peer.report.unwrap().ending;
    assert_eq!(ending, SessionEnding::Version { first: 7, last: 9 });
    // The other side can say the same of us.
    assert_eq!(peer.kinds(), [8]);
}

#[test]
fn half_messages_and_silence_end_at_every_state() {
    for heard in 0..4 {
        let mut device = device();
        let mut peer = Peer::dial(&mut device, heard % 2 == 0);
        if heard > 0 {
            peer.greet();
        }
        if heard > 1 {
            peer.tell_state(5, 99);
        }
        if heard > 2 {
            peer.raw(&[0x59, 0x10]);
        }
        peer.pass(SILENCE_MS - 1);
        assert!(peer.report.is_none());
        peer.pass(1);
        assert_eq!(peer.report.unwrap().ending, SessionEnding::Silent);
        serves_others(&mut device);
    }
}

#[test]
fn a_byte_a_second_is_silence() {
    let mut device = device();
    let mut peer = Peer::greeted(&mut device, false);
    peer.raw(&[0x59, 0xff, 0xff]);
    for second in 1..=SILENCE_MS / 1_000 {
        assert!(peer.report.is_none(), "{second}");
        peer.raw(&[0]);
        peer.pass(1_000);
    }
    assert_eq!(peer.report.unwrap().ending, SessionEnding::Silent);
}

#[test]
fn a_peer_that_takes_nothing_is_left() {
    let mut device = device();
    let mut peer = Peer::dial(&mut device, true);
    peer.takes = false;
    peer.greet();
    peer.tell_state(0, 0);
    for _ in 0..6 {
        peer.say(&Sentence::Absent(vec![want(&peer, 1, 1)]));
        peer.pass(SILENCE_MS / 6);
    }
    assert_eq!(peer.report.unwrap().ending, SessionEnding::Silent);
}

fn want(peer: &Peer<'_>, first: u64, last: u64) -> Want {
    Want { feed: peer.device.feed(), first, last, what: What::Entries }
}

#[test]
fn wants_for_everything_again_and_again_are_answered_once() {
    let mut device = device();
    let mut peer = Peer::greeted(&mut device, true);
    peer.tell_state(1, 1);
    let wants = vec![want(&peer, 1, 1_000); usize::try_from(WANTS).unwrap()];
    peer.say(&Sentence::Carried(Frame::Wants(wants.clone())));
    let once = peer.heard.len();
    let segments = |peer: &Peer<'_>| peer.kinds().iter().filter(|kind| **kind == 1).count();
    let given = segments(&peer);
    assert!((7..=9).contains(&given), "{given}");
    peer.say(&Sentence::Carried(Frame::Wants(wants.clone())));
    assert_eq!(segments(&peer), given);
    assert!(peer.heard.len() - once < 256 * 70);
    peer.say(&Sentence::Carried(Frame::Wants(wants)));
    assert_eq!(peer.fault(), SessionFault::TooManyFrames);
    serves_others(&mut device);
}

#[test]
fn a_stranger_draws_little_by_lying_counts_and_counters() {
    let mut device = Device::new(1);
    for number in 10..60 {
        let mut other = Device::new(number);
        other.write("one of many");
        device.read(&other.bundle_all());
    }
    for known in [false, true] {
        let mut peer = Peer::greeted(&mut device, known);
        let before = peer.heard.len();
        peer.tell_state(u64::MAX, 1);
        peer.say(&Sentence::Compare(&[0x81, 22]));
        assert!(matches!(peer.fault(), SessionFault::Reconcile(_)));
        let drawn = (peer.heard.len() - before) as u64;
        assert!(drawn <= STRANGER_DRAW_BYTES + 2 * 100, "{drawn}");
    }
    // Asking for everything draws entries within the quota, and hardly anything else.
    let mut peer = Peer::greeted(&mut device, false);
    let before = peer.heard.len();
    peer.tell_state(0, 0);
    peer.say(&Sentence::Compare(&[0x81, 22]));
    assert!(peer.report.is_none());
    let frames = peer.frames();
    let entries = frames.iter().filter(|frame| frame[1] == 1).map(|frame| frame.len() + 3);
    let entries: usize = entries.sum();
    assert!(entries as u64 <= STRANGER_SEND_BYTES);
    let drawn = (peer.heard.len() - before).saturating_sub(entries) as u64;
    assert!(drawn <= STRANGER_DRAW_BYTES + 2 * 100, "{drawn}");
}

#[test]
fn strangers_bring_no_more_than_is_taken_in_an_hour() {
    let mut author = Device::new(2);
    let bulk = "b".repeat(16_000);
    author.write_many((0..200).map(|number| format!("{number} {bulk}")));
    let frames = Peer::all_of(&mut author, true);
    let mut device = Device::new(1);
    let bring = |device: &mut Device, known| {
        let mut peer = Peer::greeted(device, known);
        peer.tell_state(1, 1);
        let mut bytes = 0;
        'until: while peer.report.is_none() && bytes < 4 << 20 {
            for frame in &frames {
                let mut framed = thistle_engine::codec::Encoder::new();
                peer.raw(framed.bytes(frame).as_bytes());
                bytes += frame.len() as u64;
                if peer.report.is_some() {
                    break 'until;
                }
            }
        }
        device.node.handle(device.now, Input::LinkClosed { link: 7 }).unwrap();
        while device.node.poll().is_some() {}
        bytes
    };
    let mut brought = 0;
    let mut last = 1;
    for _ in 0..64 {
        last = bring(&mut device, false);
        brought += last;
    }
    assert!(brought <= STRANGER_HOUR_BYTES + 64 * 70_000, "{brought}");
    assert!(brought > STRANGER_HOUR_BYTES / 2, "{brought}");
    assert!(last < 70_000, "no more is taken");
    serves_others(&mut device);
    device.now.tick += 3_600_000;
    assert!(bring(&mut device, false) > 1_000_000, "another hour");
}

#[test]
fn a_segment_with_a_wrong_middle_is_refused() {
    let (mut ana, mut bo) = (device(), Device::new(2));
    let feed = ana.feed();
    let frames = Peer::all_of(&mut ana, false);
    let segment = frames.iter().find(|frame| frame[1] == 1).unwrap();
    for at in [40, segment.len() / 2, segment.len() - 3] {
        let mut wrong = segment.clone();
        wrong[at] ^= 1;
        let mut peer = Peer::greeted(&mut bo, true);
        peer.tell_state(1, 1);
        peer.say(&Sentence::Carried(Frame::Segment(&wrong)));
        assert!(matches!(peer.fault(), SessionFault::Piece(_) | SessionFault::Decode(_)), "{at}");
    }
    assert!(bo.export(&feed).is_empty());
    serves_others(&mut bo);
}

#[test]
fn replays_without_end_are_ended() {
    let (mut ana, mut bo) = (device(), Device::new(2));
    let segments = segments_of(&mut ana);
    repeats_are_ended(&mut bo, &segments);
}

#[test]
fn segments_without_their_beginning_are_not_taken_without_end() {
    let (mut ana, mut bo) = (device(), Device::new(2));
    let segments = segments_of(&mut ana);
    let headless: Vec<Vec<u8>> = segments.into_iter().skip(1).collect();
    assert!(headless.len() > 1);
    repeats_are_ended(&mut bo, &headless);
    assert!(bo.export(&ana.feed()).is_empty());
}

fn segments_of(device: &mut Device) -> Vec<Vec<u8>> {
    let mut segments = Peer::all_of(device, true);
    segments.retain(|frame| frame[1] == 1);
    segments
}

/// Says the same again and again, until the session ends.
fn repeats_are_ended(device: &mut Device, segments: &[Vec<u8>]) {
    let mut peer = Peer::greeted(device, true);
    peer.tell_state(1, 1);
    let mut bytes = 0;
    while peer.report.is_none() {
        for segment in segments {
            peer.say(&Sentence::Carried(Frame::Segment(segment)));
            bytes += segment.len() as u64;
        }
        assert!(bytes < 4 * REPEATED_BYTES);
    }
    assert_eq!(peer.fault(), SessionFault::Repeats);
    serves_others(device);
}

#[test]
fn frames_beside_entries_have_an_end() {
    let mut device = device();
    let mut peer = Peer::greeted(&mut device, true);
    let ack = Sentence::Ack { count: 0, done: false }.encode().repeat(1_000);
    for _ in 0..=CONTROL_FRAMES / 1_000 {
        if peer.report.is_none() {
            peer.raw(&ack);
        }
    }
    assert_eq!(peer.fault(), SessionFault::TooManyFrames);
}

#[test]
fn acks_and_sentences_out_of_turn_end_the_session() {
    let mut device = device();
    let mut peer = Peer::greeted(&mut device, false);
    peer.say(&Sentence::Ack { count: 1_000, done: true });
    assert_eq!(peer.fault(), SessionFault::OutOfTurn { kind: 10 });
    let mut peer = Peer::greeted(&mut device, false);
    peer.greet();
    assert_eq!(peer.fault(), SessionFault::OutOfTurn { kind: 8 });
    let mut peer = Peer::greeted(&mut device, false);
    peer.say(&Sentence::Compare(&[0x81, 22]));
    assert_eq!(peer.fault(), SessionFault::OutOfTurn { kind: 16 });
    let mut peer = Peer::greeted(&mut device, false);
    for round in 0..20 {
        if peer.report.is_none() {
            peer.tell_state(1, round);
        }
    }
    assert_eq!(peer.fault(), SessionFault::OutOfTurn { kind: 9 });
}

#[test]
fn endless_and_unsplittable_sketches_end() {
    let mut device = device();
    let feed = |byte: u8| thistle_engine::key::FeedId::from_bytes([byte; 32]);
    for sums in [vec![0xa5; 129 * 5], vec![0xff; 129 * 5], vec![1; 5]] {
        let mut peer = Peer::greeted(&mut device, false);
        let items = (0..50).map(|byte| Item { feed: feed(byte), seq: 1, head: [byte; 32] });
        let scope = Scope::new(&[1; 32], items);
        peer.tell_state(scope.count(), scope.digest());
        let mut rounds = 0;
        while peer.report.is_none() && rounds < 100 {
            rounds += 1;
            let mut frame = vec![0x84, 17, 1, 0x18, u8::try_from(sums.len() / 5).unwrap(), 0x59];
            frame.extend(u16::try_from(sums.len()).unwrap().to_be_bytes());
            frame.extend(&sums);
            peer.say(&Sentence::Compare(&frame));
        }
        assert!(rounds < 20, "{rounds}");
        assert!(peer.heard.len() < 10_000);
    }
    serves_others(&mut device);
}

#[test]
fn a_feed_out_of_scope_is_declined_and_a_blocked_one_never_kept() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    ana.write("from somebody blocked");
    bo.node.block(bo.now, &ana.feed()).unwrap();
    let met = meet(&mut ana, &mut bo);
    assert_eq!(met.dialler.ending, SessionEnding::Done);
    assert!(bo.export(&ana.feed()).is_empty());
    // What was declined is not offered again, and both agree that nothing differs.
    let again = meet(&mut ana, &mut bo);
    again.clean();
    assert_eq!((again.dialler.sent, again.said.len()), (0, 2));
}

#[test]
fn what_is_not_acknowledged_has_its_limit() {
    let mut device = Device::new(1);
    let bulk = "b".repeat(16_000);
    device.write_many((0..400).map(|number| format!("{number} {bulk}")));
    let mut peer = Peer::greeted(&mut device, true);
    peer.tell_state(0, 0);
    peer.say(&Sentence::Compare(&[0x81, 22]));
    let sent = peer.heard.len() as u64;
    assert!((UNACKED_BYTES..UNACKED_BYTES + 600_000).contains(&sent), "{sent}");
    // An ack lets more go.
    let kinds = peer.kinds();
    let counted = kinds.iter().filter(|kind| !matches!(kind, 8 | 10)).count() as u64;
    peer.say(&Sentence::Ack { count: counted, done: false });
    assert!(peer.heard.len() as u64 > sent + 1_000_000);
}

#[test]
fn strangers_that_never_get_ahead_hold_nobody_up() {
    let mut device = device();
    for number in 100..200_u8 {
        let (link, peer, binding, via) = (number.into(), [number; 32], &[number; 32], "a meeting");
        let input = Input::LinkOpened { link, opener: false, peer, binding, known: false, via };
        device.node.handle(device.now, input).unwrap();
        let greeting = Greeting { first: 1, last: VERSION, features: 0, tags: &[1; 1_024] };
        let bytes = &Sentence::Greeting(greeting).encode();
        device.node.handle(device.now, Input::LinkBytes { link, bytes }).unwrap();
        while device.node.poll().is_some() {}
    }
    let began = device.now.tick;
    serves_others(&mut device);
    assert!(device.now.tick - began < 500, "{}", device.now.tick - began);
}

#[test]
fn one_session_too_many_is_turned_away() {
    let mut device = Device::new(1);
    let open = |device: &mut Device, link| {
        let (peer, binding, via) = ([66; 32], &[7; 32], "a meeting");
        let input = Input::LinkOpened { link, opener: false, peer, binding, known: false, via };
        device.node.handle(device.now, input).unwrap();
    };
    for link in 0..SESSIONS {
        open(&mut device, link);
        assert_eq!(device.node.poll(), None);
    }
    open(&mut device, SESSIONS);
    assert_eq!(device.node.poll(), Some(Output::Close { link: SESSIONS }));
    let Some(Output::Event(Event::SessionDone { report, .. })) = device.node.poll() else {
        panic!("no end");
    };
    assert_eq!(report.ending, SessionEnding::Busy);
    // All of them end, and then there is room again.
    device.now.tick += SILENCE_MS;
    device.node.handle(device.now, Input::Idle).unwrap();
    while device.node.poll().is_some() {}
    serves_others(&mut device);
}

#[test]
fn the_first_flight_has_its_limit() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    meet(&mut ana, &mut bo).clean();
    bo.write_many((0..2_000).map(|number| format!("message {number}")));
    let met = meet(&mut ana, &mut bo);
    met.clean();
    let first = met.said[1].1.len() as u64;
    assert!(first > 1_024 && first <= FIRST_FLIGHT_BYTES + 1_300, "{first}");
}
