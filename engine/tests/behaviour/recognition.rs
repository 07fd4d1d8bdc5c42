//! Goal: contacts recognise each other whatever the link, and nobody else learns anything by it; what
//! is not for everybody is told to nobody else. Method: meetings of nodes in memory, byte by byte.

use std::collections::BTreeSet;

use thistle_engine::bundle::{Frame, Want, What};
use thistle_engine::content::Carry;
use thistle_engine::key::FeedId;
use thistle_engine::limits::RECOGNITION_TAGS;
use thistle_engine::segment::UnverifiedSegment;
use thistle_engine::session::{Greeting, Sentence, State, VERSION};
use thistle_engine::{BundleRequest, SessionEnding};

use crate::common::Device;
use crate::hostile_peers::Peer;
use crate::meet::{Met, Way, meet_as, meet_by};
use crate::private::{carry, friends};

/// How two meet who know each other's address only, if even that.
fn strangers(binding: u8) -> Way {
    Way { knows: false, is_known: false, binding: [binding; 32], ..Way::default() }
}

/// Lets two meet as strangers by the link.
fn meet_unknown(dialler: &mut Device, other: &mut Device, binding: u8) -> Met {
    let met = meet_by(dialler, other, strangers(binding));
    dialler.idle();
    other.idle();
    met
}

impl Device {
    fn holds(&self, feed: FeedId) -> u64 {
        let feeds = self.reader().feeds().unwrap();
        feeds.iter().find(|info| info.feed == feed).map_or(0, |info| info.held)
    }
}

impl Met {
    fn tags(&self, dialler: bool) -> Vec<[u8; 8]> {
        let frames = self.frames(dialler);
        let Ok(Sentence::Greeting(greeting)) = Sentence::decode(&frames[0]) else {
            panic!("the first frame is a greeting")
        };
        greeting.tags.as_chunks::<8>().0.to_vec()
    }
}

#[test]
fn contacts_recognise_each_other_and_strangers_nobody() {
    let [mut ana, mut bo] = friends([1, 2]);
    ana.write("for all");
    let met = meet_unknown(&mut ana, &mut bo, 3);
    met.clean();
    assert_eq!(met.dialler.with, Some(bo.account()));
    assert_eq!(met.other.with, Some(ana.account()));
    let mut cy = Device::new(3);
    let met = meet_unknown(&mut cy, &mut bo, 4);
    assert_eq!((met.dialler.with, met.other.with), (None, None));
}

#[test]
fn own_devices_recognise_each_other() {
    let [mut ana, _] = friends([1, 2]);
    let mut other = crate::private::sibling(1);
    carry(&mut ana, &mut other);
    let met = meet_unknown(&mut ana, &mut other, 5);
    assert_eq!(met.dialler.with, Some(ana.account()));
    assert_eq!(met.other.with, Some(ana.account()));
}

#[test]
fn what_is_remembered_of_a_contact_does_not_hang_on_the_link() {
    let [mut ana, mut bo] = friends([1, 2]);
    meet_unknown(&mut ana, &mut bo, 6).clean();
    // Under another link key the news are in the first flight all the same.
    ana.write("news");
    let met = meet_as(&mut bo, &mut ana, (201, 202), strangers(7));
    met.clean();
    assert_eq!(met.dialler.received, 1);
    let first: Vec<u64> = met.kinds(false).into_iter().take(3).collect();
    assert_eq!(first, [8, 9, 1], "greeting, state, and what is new");
    assert!(!met.kinds(true).iter().any(|kind| *kind >= 16), "nothing was compared");
}

#[test]
fn tags_are_as_many_and_all_different_whoever_is_there() {
    let [mut ana, mut bo] = friends([1, 2]);
    let mut lonely = Device::new(3);
    let mut seen = BTreeSet::new();
    let mut count = 0;
    for binding in 10..20 {
        let friendly = meet_unknown(&mut ana, &mut bo, binding);
        let strange = meet_unknown(&mut lonely, &mut bo, binding + 50);
        for tags in
            [friendly.tags(true), friendly.tags(false), strange.tags(true), strange.tags(false)]
        {
            assert_eq!(tags.len() as u64, RECOGNITION_TAGS);
            count += tags.len();
            seen.extend(tags);
        }
    }
    assert_eq!(seen.len(), count, "no tag is said twice, by anybody, in any session");
}

/// Says a greeting with these tags and a state with this one to a device; whom that takes it for.
fn claim(device: &mut Device, binding: u8, opener: bool, tags: &[u8], tag: [u8; 8]) -> Claim {
    let mut peer = Peer::meet(device, opener, false, &[binding; 32]);
    peer.say(&Sentence::Greeting(Greeting { first: 1, last: VERSION, features: 0, tags }));
    let state = State { digest: 0, count: 0, tag, memory: None, counters: None };
    peer.say(&Sentence::State(state));
    let told = peer.frames();
    let states = told.iter().filter_map(|frame| match Sentence::decode(frame) {
        Ok(Sentence::State(state)) => Some(state),
        _ => None,
    });
    // Who is recognised is told where the log stands.
    let known = states.clone().any(|state| state.memory.is_some());
    let counts: Vec<u64> = states.map(|state| state.count).collect();
    Claim { known, counts }
}

#[derive(Debug, PartialEq, Eq)]
struct Claim {
    known: bool,
    counts: Vec<u64>,
}

#[test]
fn what_was_said_to_be_recognised_helps_nobody_else() {
    let [mut ana, mut bo] = friends([1, 2]);
    let met = meet_unknown(&mut ana, &mut bo, 30);
    let (hers, his) = (met.tags(true).concat(), met.tags(false).concat());
    let answer = |met: &Met, dialler| match Sentence::decode(&met.frames(dialler)[1]) {
        Ok(Sentence::State(state)) => state.tag,
        other => panic!("{other:?}"),
    };
    let answered = answer(&met, false);
    // The control: what Ana said is recognised by Bo, in that session and on that side.
    assert!(claim(&mut bo, 30, false, &hers, [0; 8]).known);
    // In another session on either side, and back to who said it.
    for (to_ana, binding, opener, tags) in [
        (false, 31, false, &hers),
        (false, 31, true, &his),
        (false, 31, false, &his),
        (true, 31, true, &his),
        (true, 31, false, &hers),
        (true, 31, true, &hers),
        (false, 30, false, &his),
    ] {
        let device = if to_ana { &mut ana } else { &mut bo };
        for tag in [[0; 8], answered] {
            let claim = claim(device, binding, opener, tags, tag);
            assert!(!claim.known, "{binding} {opener} {claim:?}");
        }
    }
}

#[test]
fn a_tag_of_either_side_suffices() {
    // With more contacts than there are tags, whose tag is in the greeting is left to chance: here the
    // greetings of one side hold nothing at all.
    for silent in [true, false] {
        let [mut ana, mut bo] = friends([1, 2]);
        ana.write("for Bo");
        let mut way = strangers(40);
        way.blank = Some(silent);
        let met = meet_by(&mut ana, &mut bo, way);
        met.clean();
        assert_eq!((met.dialler.with, met.other.with), (Some(bo.account()), Some(ana.account())));
        assert_eq!(bo.texts(&ana.feed()).len(), 1);
        // Also if nothing differs.
        meet_unknown(&mut ana, &mut bo, 41).clean();
        let met = meet_by(&mut ana, &mut bo, Way { blank: Some(silent), ..strangers(42) });
        assert_eq!((met.dialler.with, met.other.with), (Some(bo.account()), Some(ana.account())));
        assert_eq!((met.dialler.sent, met.other.sent), (0, 0));
    }
}

#[test]
fn who_meets_contacts_only_tells_others_nothing_and_takes_nothing() {
    let [mut ana, mut bo] = friends([1, 2]);
    ana.write("nobody's business");
    ana.node.seclude(ana.now, true).unwrap();
    let mut cy = Device::new(3);
    cy.write("take this");
    for (dials, binding) in [(true, 50), (false, 51)] {
        // Also if it was dialled, or is known by its link.
        let way = Way { binding: [binding; 32], ..Way::default() };
        let met =
            if dials { meet_by(&mut ana, &mut cy, way) } else { meet_by(&mut cy, &mut ana, way) };
        let (hers, his) = if dials { (met.dialler, met.other) } else { (met.other, met.dialler) };
        assert_eq!(hers.ending, SessionEnding::NoContact);
        assert_eq!((hers.sent, hers.received, his.received), (0, 0, 0));
        assert_eq!((cy.holds(ana.feed()), ana.holds(cy.feed())), (0, 0));
        // What it said is what a node that holds nothing says.
        let frames = met.frames(dials);
        let state = frames.iter().find_map(|frame| match Sentence::decode(frame) {
            Ok(Sentence::State(state)) => Some(state),
            _ => None,
        });
        let empty = |state: State| (state.count, state.digest, state.memory);
        assert!(state.is_none_or(|state| empty(state) == (0, 0, None)));
    }
    // Who says anything before it was recognised is not listened to.
    let want = Want { feed: ana.feed(), first: 1, last: 9, what: What::Entries };
    for sentence in [
        Sentence::Carried(Frame::Wants(vec![want])),
        Sentence::Carried(Frame::Segment(&[0x82, 1, 0])),
        Sentence::Compare(&[0x81, 22]),
        Sentence::Decline { lasts: true, feeds: vec![cy.feed()] },
    ] {
        let mut peer = Peer::meet(&mut ana, false, true, &[53; 32]);
        let tags = &[3; 1_024];
        peer.say(&Sentence::Greeting(Greeting { first: 1, last: VERSION, features: 0, tags }));
        peer.say(&sentence);
        assert_eq!(peer.report.map(|report| report.ending), Some(SessionEnding::NoContact));
    }
    let met = meet_unknown(&mut bo, &mut ana, 52);
    met.clean();
    assert_eq!(bo.texts(&ana.feed()), ["nobody's business"]);
}

/// Two contacts of Ana's, whose feed is not open, and that she met both.
fn restricted(kind: Carry) -> [Device; 3] {
    let mut all = [Device::carried(1, kind), Device::new(2), Device::new(3)];
    let [ana, bo, cy] = &mut all;
    for device in [&mut *ana, &mut *bo, &mut *cy] {
        device.node.lock_with(device.now, thistle_engine::InMemoryBackend::new()).unwrap();
    }
    for other in [&mut *bo, &mut *cy] {
        ana.befriend(other);
        other.befriend(ana);
    }
    all
}

#[test]
fn a_feed_for_contacts_goes_to_contacts_and_between_them_and_to_nobody_else() {
    let [mut ana, mut bo, mut cy] = restricted(Carry::Contacts);
    let mut eve = Device::new(4);
    ana.write("for friends");
    for binding in [60, 61] {
        meet_unknown(&mut ana, &mut bo, binding).clean();
    }
    assert_eq!(bo.texts(&ana.feed()), ["for friends"]);
    meet_unknown(&mut cy, &mut ana, 62).clean();
    meet_unknown(&mut cy, &mut ana, 63).clean();
    // Bo and Cy do not know each other, and neither does the link.
    ana.write("more for friends");
    meet_unknown(&mut ana, &mut bo, 64).clean();
    let met = meet_unknown(&mut bo, &mut cy, 65);
    met.clean();
    assert_eq!((met.dialler.with, met.other.with), (None, None));
    assert_eq!(cy.texts(&ana.feed()), ["for friends", "more for friends"]);
    for (number, device) in [&mut ana, &mut bo, &mut cy].into_iter().enumerate() {
        meet_unknown(&mut eve, device, 66 + u8::try_from(number).unwrap());
    }
    assert_eq!(eve.holds(ana.feed()), 0);
    // A bundle for anybody holds none of it, one for its author does.
    for device in [&ana, &bo] {
        let holds = |bundle: &[u8]| bundle.windows(11).any(|bytes| bytes == b"for friends");
        assert!(!holds(&device.bundle_all()));
        let readers = vec![ana.account()];
        assert!(holds(&device.bundle(&BundleRequest { readers, ..BundleRequest::default() })));
    }
}

#[test]
fn a_removed_contact_carries_a_restricted_feed_no_more() {
    let [mut ana, mut bo, mut cy] = restricted(Carry::Contacts);
    for binding in [70, 71] {
        meet_unknown(&mut ana, &mut bo, binding).clean();
        meet_unknown(&mut ana, &mut cy, binding + 2).clean();
    }
    let gone = bo.account();
    ana.node.remove_contact(ana.now, &gone).unwrap();
    ana.write("without Bo");
    meet_unknown(&mut ana, &mut cy, 75).clean();
    // Bo has the old secret only, Cy the new one.
    meet_unknown(&mut bo, &mut cy, 76);
    meet_unknown(&mut bo, &mut ana, 77);
    assert_eq!(cy.texts(&ana.feed()), ["without Bo"]);
    assert!(bo.texts(&ana.feed()).is_empty());
}

#[test]
fn a_feed_for_listed_contacts_goes_to_those_alone() {
    let [mut ana, mut bo, mut cy] = restricted(Carry::Listed);
    let listed = bo.account();
    assert!(ana.node.list_contact(ana.now, &listed, true).unwrap());
    ana.write("for Bo alone");
    meet_unknown(&mut ana, &mut bo, 80).clean();
    meet_unknown(&mut ana, &mut cy, 81);
    meet_unknown(&mut bo, &mut cy, 82);
    assert_eq!((bo.texts(&ana.feed()), cy.holds(ana.feed())), (vec!["for Bo alone".to_owned()], 0));
    let part = |reader| BundleRequest { readers: vec![reader], ..BundleRequest::default() };
    let sealed = ana.bundle(&part(cy.account()));
    cy.read(&sealed);
    assert_eq!(cy.holds(ana.feed()), 0);
    // Who is listed no more gets nothing new, and both still agree.
    ana.node.list_contact(ana.now, &listed, false).unwrap();
    ana.write("for nobody");
    let met = meet_unknown(&mut bo, &mut ana, 83);
    assert_eq!(met.dialler.ending, SessionEnding::Done);
    assert_eq!(bo.texts(&ana.feed()), ["for Bo alone"]);
    let again = meet_unknown(&mut bo, &mut ana, 84);
    assert_eq!((again.dialler.sent, again.other.sent), (0, 0), "nothing goes in circles");
}

#[test]
fn whether_a_feed_is_held_is_told_to_nobody_who_may_not_ask() {
    // Two homes that differ in one thing: one holds a feed that the asker may not hear of.
    let [mut ana, mut bo, _] = restricted(Carry::Contacts);
    let [.., mut lacks] = restricted(Carry::Contacts);
    ana.write("a secret");
    meet_unknown(&mut ana, &mut bo, 90).clean();
    let feed = ana.feed();
    assert!(bo.holds(feed) > 0);
    let ask = |device: &mut Device| {
        let mut peer = Peer::meet(device, false, false, &[91; 32]);
        let tags = &[3; 1_024];
        peer.say(&Sentence::Greeting(Greeting { first: 1, last: VERSION, features: 0, tags }));
        let state = State { digest: 1, count: 3, tag: [0; 8], memory: None, counters: None };
        peer.say(&Sentence::State(state));
        for what in [What::Entries, What::Payloads] {
            let want = Want { feed, first: 1, last: 9, what };
            peer.say(&Sentence::Carried(Frame::Wants(vec![want])));
        }
        let shape = |frame: &Vec<u8>| match Sentence::decode(frame) {
            // Random bytes, and what depends on what both hold openly.
            Ok(Sentence::Greeting(_)) => vec![8],
            Ok(Sentence::State(state)) => vec![9, u8::try_from(state.count).unwrap()],
            _ => frame.clone(),
        };
        peer.frames().iter().map(shape).collect::<Vec<_>>()
    };
    let mut held = ask(&mut bo);
    let mut unheld = ask(&mut lacks);
    let absent =
        |frames: &[Vec<u8>]| frames.iter().filter(|frame| frame.get(1) == Some(&11)).count();
    assert_eq!((absent(&held), absent(&unheld)), (2, 2));
    for frames in [&mut held, &mut unheld] {
        frames.retain(|frame| frame[0] != 9);
    }
    assert_eq!(held, unheld);
}

#[test]
fn a_segment_of_a_forked_feed_draws_nothing_from_who_may_not_tell_of_it() {
    let [mut ana, mut bo, _] = restricted(Carry::Contacts);
    let [mut copy, ..] = restricted(Carry::Contacts);
    ana.write("one way");
    copy.write("another way");
    let first = meet_unknown(&mut ana, &mut bo, 92);
    meet_unknown(&mut copy, &mut bo, 93);
    let feed = ana.feed();
    let held = bo.reader().feeds().unwrap().into_iter().find(|info| info.feed == feed).unwrap();
    assert!(held.forked.is_some());
    // Somebody has a part of it from another time.
    let segments = |frames: Vec<Vec<u8>>| {
        let of_feed = move |frame: &Vec<u8>| match Sentence::decode(frame) {
            Ok(Sentence::Carried(Frame::Segment(bytes))) => {
                UnverifiedSegment::decode(bytes).unwrap().feed == feed
            }
            Ok(Sentence::Carried(Frame::Fork(_))) => true,
            _ => false,
        };
        frames.into_iter().filter(of_feed).collect::<Vec<_>>()
    };
    let part = segments(first.frames(true)).pop().unwrap();
    let mut peer = Peer::meet(&mut bo, false, true, &[94; 32]);
    let tags = &[3; 1_024];
    peer.say(&Sentence::Greeting(Greeting { first: 1, last: VERSION, features: 0, tags }));
    let state = State { digest: 1, count: 3, tag: [0; 8], memory: None, counters: None };
    peer.say(&Sentence::State(state));
    peer.say(&Sentence::decode(&part).unwrap());
    peer.pass(1_000);
    assert_eq!(segments(peer.frames()), Vec::<Vec<u8>>::new());
}

#[test]
fn the_order_in_which_a_stranger_gets_feeds_tells_nothing_of_them() {
    // Two homes hold the same feeds; one of them wrote one of these, the other follows another one.
    let mut homes = [Device::new(1), Device::new(2)];
    let mut others: Vec<Device> = (10..20).map(Device::new).collect();
    for device in homes.iter_mut().chain(&mut others) {
        device.write("hello");
    }
    for other in &others {
        let bundle = other.bundle_all();
        for home in &mut homes {
            home.read(&bundle);
        }
    }
    let [ana, bo] = &mut homes;
    carry(ana, bo);
    bo.node.follow(bo.now, &others[3].feed()).unwrap();
    let order = |home: &mut Device| {
        let mut asks = Device::new(77);
        let met = meet_unknown(&mut asks, home, 95);
        assert_eq!(met.other.with, None);
        let segments = met.frames(false);
        let feeds =
            segments.iter().filter(|frame| frame[1] == 1).map(|frame| frame[4..36].to_vec());
        feeds.collect::<Vec<_>>()
    };
    let (first, second) = (order(ana), order(bo));
    assert_eq!(first.len(), 24, "of each feed the first window and the next");
    assert_eq!(first, second);
}
