//! Two nodes that meet are the same a moment later.

use thistle_engine::bundle::Frame;
use thistle_engine::limits::FIRST_FLIGHT_BYTES;
use thistle_engine::policy::CarryClass;
use thistle_engine::segment::UnverifiedSegment;
use thistle_engine::session::{Frames, Sentence};
use thistle_engine::{InMemoryBackend, Input, Output, SessionEnding};

use crate::common::{CACHE, Device, post};
use crate::meet::{Way, meet, meet_by};

fn texts(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("message {number}, of which there are some"))
}

#[test]
fn two_nodes_that_meet_hold_the_same() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    ana.write_many(texts(100));
    bo.write_many(texts(70));
    let met = meet(&mut ana, &mut bo);
    met.clean();
    assert_eq!((met.dialler.received, met.other.received), (72, 102));
    for feed in [ana.feed(), bo.feed()] {
        assert_eq!(ana.export(&feed), bo.export(&feed));
    }
    ana.check();
    bo.check();
}

#[test]
fn nodes_with_nothing_to_say_end_in_two_messages() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    ana.write("one");
    meet(&mut ana, &mut bo).clean();
    let met = meet(&mut ana, &mut bo);
    met.clean();
    assert_eq!(met.said.len(), 2, "{:?} {:?}", met.kinds(true), met.kinds(false));
    assert_eq!(met.kinds(true), [8]);
    assert_eq!(met.kinds(false), [8, 9]);
    let bytes: usize = met.said.iter().map(|said| said.1.len()).sum();
    assert!(bytes <= 160 + 2 * 1_024, "{bytes}");
}

#[test]
fn strangers_meet_too() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    ana.write_many(texts(50));
    bo.write_many(texts(40));
    for _ in 0..2 {
        let way = Way { knows: false, is_known: false, ..Way::default() };
        let met = meet_by(&mut ana, &mut bo, way);
        met.clean();
        assert_eq!(ana.export(&bo.feed()), bo.export(&bo.feed()));
    }
}

#[test]
fn news_for_a_known_peer_are_in_the_first_flight() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    meet(&mut ana, &mut bo).clean();
    bo.write("the bridge is out");
    let met = meet(&mut ana, &mut bo);
    met.clean();
    // The first words of the one who was dialled hold the entry already.
    let first = &met.said[1].1;
    let needle = b"the bridge is out";
    assert!(first.windows(needle.len()).any(|part| part == needle));
}

#[test]
fn much_is_moved_without_waiting_for_a_clock() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    ana.write_many((0..30_000).map(|number| format!("{number:0>300}")));
    let before = ana.now.tick;
    let met = meet(&mut ana, &mut bo);
    met.clean();
    assert!(met.dialler.bytes_out > 2 * thistle_engine::limits::UNACKED_BYTES);
    assert!(ana.now.tick <= before + 50, "{} ms", ana.now.tick - before);
}

#[test]
fn a_link_may_be_cut_anywhere() {
    for cut in 1..12 {
        let (mut ana, mut bo) = (Device::new(1), Device::new(2));
        ana.write_many(texts(3_000));
        bo.write_many(texts(2_000));
        let met = meet_by(&mut ana, &mut bo, Way { cut, ..Way::default() });
        let before = met.dialler.received + met.other.received;
        let met = meet(&mut ana, &mut bo);
        assert_eq!(met.dialler.ending, SessionEnding::Done);
        assert_eq!((met.dialler.duplicates, met.other.duplicates), (0, 0), "cut {cut}");
        assert_eq!(before + met.dialler.received + met.other.received, 5_004);
        for feed in [ana.feed(), bo.feed()] {
            assert_eq!(ana.export(&feed), bo.export(&feed));
        }
    }
}

/// The same as both hold it.
fn same(ana: &Device, bo: &Device, feeds: &[thistle_engine::key::FeedId]) {
    for feed in feeds {
        assert_eq!(ana.export(feed), bo.export(feed));
    }
    ana.check();
    bo.check();
}

#[test]
fn a_third_hears_of_both() {
    let (mut ana, mut bo, mut cy) = (Device::new(1), Device::new(2), Device::new(3));
    ana.write_many(texts(300));
    meet(&mut ana, &mut bo).clean();
    meet(&mut bo, &mut cy).clean();
    cy.write("heard");
    meet(&mut cy, &mut bo).clean();
    meet(&mut ana, &mut bo).clean();
    same(&ana, &cy, &[ana.feed(), bo.feed(), cy.feed()]);
}

#[test]
fn a_restored_or_stale_cursor_only_costs_bytes() {
    // Bo's store is an old copy: it remembers less of Ana, and Ana more of Bo than there is.
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    meet(&mut ana, &mut bo).clean();
    ana.write_many(texts(50));
    let mut cy = Device::new(3);
    meet(&mut ana, &mut cy).clean();
    cy.write("from a third");
    meet(&mut bo, &mut cy);
    // What Ana remembers of Bo is older than what Bo holds by now.
    let met = meet(&mut ana, &mut bo);
    assert_eq!(met.dialler.ending, SessionEnding::Done);
    same(&ana, &bo, &[ana.feed(), bo.feed(), cy.feed()]);
    let met = meet(&mut bo, &mut ana);
    met.clean();
    assert_eq!(met.said.len(), 2);
}

#[test]
fn a_feed_whose_beginning_was_forgotten_comes_whole() {
    // Who has Bo's key now holds nothing of a feed of which Ana remembers that Bo held the beginning.
    for dials in [true, false] {
        let (mut ana, mut bo, mut cy) = (Device::new(1), Device::new(2), Device::new(3));
        meet(&mut cy, &mut ana).clean();
        meet(&mut bo, &mut ana).clean();
        cy.write_many(texts(40));
        meet(&mut ana, &mut cy).clean();
        let (mut anew, keys) =
            (Device::new(4), (ana.feed().as_bytes()[0], bo.feed().as_bytes()[0]));
        let met = if dials {
            crate::meet::meet_as(&mut anew, &mut ana, (keys.1, keys.0), Way::default())
        } else {
            crate::meet::meet_as(&mut ana, &mut anew, keys, Way::default())
        };
        assert_eq!(met.dialler.ending, SessionEnding::Done);
        same(&ana, &anew, &[cy.feed()]);
    }
}

#[test]
fn a_lying_cursor_only_costs_bytes() {
    // Two different devices under one link key: what is remembered of one is told to the other.
    let (mut ana, mut bo, mut liar) = (Device::new(1), Device::new(2), Device::new(4));
    ana.write_many(texts(60));
    meet(&mut ana, &mut bo).clean();
    bo.write_many(texts(40));
    let feed = liar.feed();
    let key = bo.feed().as_bytes()[0];
    let met = crate::meet::meet_as(&mut ana, &mut liar, (1, key), Way::default());
    assert_eq!(met.dialler.ending, SessionEnding::Done);
    same(&ana, &liar, &[ana.feed(), feed]);
    let met = meet(&mut ana, &mut bo);
    assert_eq!(met.dialler.ending, SessionEnding::Done);
    same(&ana, &bo, &[ana.feed(), bo.feed(), feed]);
    liar.write("and again");
    let met = crate::meet::meet_as(&mut liar, &mut ana, (key, 1), Way::default());
    assert_eq!(met.dialler.ending, SessionEnding::Done);
    same(&ana, &liar, &[ana.feed(), bo.feed(), feed]);
}

#[test]
fn unblocking_a_feed_lets_it_come() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    ana.write("once unwelcome");
    let feed = ana.feed();
    bo.node.block(bo.now, &feed).unwrap();
    meet(&mut ana, &mut bo);
    meet(&mut bo, &mut ana).clean();
    assert!(bo.export(&feed).is_empty());
    for dials in [true, false] {
        bo.node.unblock(bo.now, &feed).unwrap();
        let met = if dials { meet(&mut bo, &mut ana) } else { meet(&mut ana, &mut bo) };
        assert_eq!(met.dialler.ending, SessionEnding::Done);
        assert_eq!(bo.texts(&feed), ["once unwelcome"], "{dials}");
        bo.node.block(bo.now, &feed).unwrap();
        meet(&mut ana, &mut bo);
        assert!(bo.export(&feed).is_empty());
    }
}

#[test]
fn what_is_declined_is_declined_again_of_a_peer_that_forgot_it() {
    // Bo remembers that it takes nothing of a feed; who has Ana's key now does not.
    let (mut ana, mut bo, mut cy) = (Device::new(1), Device::new(2), Device::new(3));
    let mut anew = Device::new(4);
    cy.write_many(texts(20));
    for device in [&mut ana, &mut anew] {
        meet(device, &mut cy).clean();
    }
    bo.node.block(bo.now, &cy.feed()).unwrap();
    meet(&mut ana, &mut bo);
    let keys = (ana.feed().as_bytes()[0], bo.feed().as_bytes()[0]);
    let met = crate::meet::meet_as(&mut anew, &mut bo, keys, Way::default());
    assert_eq!((met.dialler.ending, met.dialler.sent), (SessionEnding::Done, 24));
    let met = crate::meet::meet_as(&mut anew, &mut bo, keys, Way::default());
    assert_eq!((met.dialler.ending, met.dialler.sent), (SessionEnding::Done, 0));
    let met = crate::meet::meet_as(&mut anew, &mut bo, keys, Way::default());
    assert_eq!(met.said.len(), 2, "{:?} {:?}", met.kinds(true), met.kinds(false));
}

#[test]
fn a_decline_that_its_author_forgot_ends_when_the_feed_comes() {
    // Bo declines a feed; who has Bo's key and policy now knows nothing of that, and holds it.
    let (mut ana, mut bo, mut cy) = (Device::new(1), Device::new(2), Device::new(3));
    let (mut anew, dan) = (Device::new(2), Device::new(4));
    cy.write_many(texts(20));
    meet(&mut ana, &mut cy).clean();
    bo.node.block(bo.now, &cy.feed()).unwrap();
    meet(&mut ana, &mut bo);
    anew.node.block(anew.now, &dan.feed()).unwrap();
    meet(&mut anew, &mut cy).clean();
    for dials in [true, false] {
        let met = if dials { meet(&mut anew, &mut ana) } else { meet(&mut ana, &mut anew) };
        assert_eq!(met.dialler.ending, SessionEnding::Done);
    }
    let met = meet(&mut ana, &mut anew);
    assert_eq!(met.said.len(), 2, "{:?} {:?}", met.kinds(true), met.kinds(false));
    same(&ana, &anew, &[cy.feed()]);
}

#[test]
fn a_decline_counts_only_while_its_author_tells_its_policy() {
    // Bo knew Ana when it declined; it does no more, so it tells her nothing of its policy.
    for dials in [true, false] {
        let (mut ana, mut bo) = (Device::new(1), Device::new(2));
        ana.write("once unwelcome");
        let feed = ana.feed();
        bo.node.block(bo.now, &feed).unwrap();
        meet(&mut ana, &mut bo);
        bo.node.unblock(bo.now, &feed).unwrap();
        let way = Way { knows: !dials, is_known: dials, ..Way::default() };
        let met =
            if dials { meet_by(&mut bo, &mut ana, way) } else { meet_by(&mut ana, &mut bo, way) };
        assert_eq!(met.dialler.ending, SessionEnding::Done);
        assert_eq!(bo.texts(&feed), ["once unwelcome"], "{dials}");
    }
}

#[test]
fn a_larger_quota_lets_what_was_left_out_come() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    bo.node.set_quota(bo.now, CarryClass::Stranger, 0).unwrap();
    ana.write_many(texts(200));
    let feed = ana.feed();
    meet(&mut ana, &mut bo);
    let met = meet(&mut bo, &mut ana);
    met.clean();
    assert_eq!(met.other.sent, 0);
    bo.node.set_quota(bo.now, CarryClass::Stranger, 1 << 30).unwrap();
    meet(&mut bo, &mut ana);
    assert_eq!(ana.export(&feed), bo.export(&feed));
    // Also for the one who followed it meanwhile.
    bo.node.set_quota(bo.now, CarryClass::Stranger, 0).unwrap();
    assert!(bo.export(&feed).is_empty());
    bo.node.follow(bo.now, &feed).unwrap();
    meet(&mut ana, &mut bo);
    assert_eq!(ana.export(&feed), bo.export(&feed));
}

#[test]
fn a_hole_heals_although_the_digests_are_equal() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    let feed = ana.feed();
    // Bulk payloads follow their segment; here they get lost on the way.
    let long = "x".repeat(5_000);
    let written: Vec<_> = (0..3).map(|at| ana.write(&format!("{at} {long}"))).collect();
    let bundle = without_payloads(&ana.bundle_all());
    bo.read(&bundle);
    assert_eq!(bo.texts(&feed).len(), 0);
    for way in [true, false] {
        let met = if way { meet(&mut bo, &mut ana) } else { meet(&mut ana, &mut bo) };
        assert_eq!(met.dialler.ending, SessionEnding::Done);
        if way {
            assert_eq!(met.dialler.payloads, 3, "{:?}", met.kinds(true));
        }
    }
    assert_eq!(bo.texts(&feed).len(), written.len());
    same(&ana, &bo, &[feed]);
}

/// A bundle without the frames of its payloads.
fn without_payloads(bundle: &[u8]) -> Vec<u8> {
    let mut frames = Frames::default();
    frames.push(bundle);
    let mut kept = Vec::new();
    while let Some(frame) = frames.poll().unwrap() {
        if frame[1] != 2 {
            kept.extend(frames_of(frame));
        }
    }
    kept
}

fn frames_of(frame: &[u8]) -> Vec<u8> {
    let mut out = thistle_engine::codec::Encoder::new();
    out.bytes(frame);
    out.into_bytes()
}

#[test]
fn what_a_peer_does_not_have_is_not_asked_of_it_again() {
    let (mut ana, mut bo, mut cy) = (Device::new(1), Device::new(2), Device::new(3));
    let feed = ana.feed();
    ana.write(&"y".repeat(3_000));
    let bundle = without_payloads(&ana.bundle_all());
    bo.read(&bundle);
    cy.read(&bundle);
    let asks = |met: &crate::meet::Met, dialler| {
        met.kinds(dialler).iter().filter(|kind| **kind == 4).count()
    };
    let met = meet(&mut bo, &mut cy);
    assert_eq!((met.dialler.ending, asks(&met, true) > 0), (SessionEnding::Done, true));
    meet(&mut bo, &mut cy);
    let met = meet(&mut bo, &mut cy);
    assert_eq!(asks(&met, true), 0, "{:?}", met.kinds(true));
    // Its log moves, since the payload came: now it is asked, or it tells.
    meet(&mut cy, &mut ana);
    assert_eq!(cy.texts(&feed).len(), 1);
    meet(&mut bo, &mut cy);
    assert_eq!(bo.texts(&feed).len(), 1);
}

#[test]
fn a_late_payload_reaches_who_has_the_entry() {
    let (mut ana, mut bo, mut cy) = (Device::new(1), Device::new(2), Device::new(3));
    let feed = ana.feed();
    ana.write(&"z".repeat(3_000));
    let bundle = without_payloads(&ana.bundle_all());
    bo.read(&bundle);
    cy.read(&bundle);
    meet(&mut bo, &mut cy);
    meet(&mut cy, &mut bo);
    bo.read(&ana.bundle_all());
    // Heads are as before; only the payload is news.
    meet(&mut bo, &mut cy);
    assert_eq!(cy.texts(&feed).len(), 1);
}

#[test]
fn what_nobody_can_bring_keeps_nothing_else_from_being_asked_for() {
    let (mut ana, mut bo, mut cy) = (Device::new(1), Device::new(2), Device::new(3));
    let feed = ana.feed();
    let long = |number: usize| format!("{number}{}", "z".repeat(1_100));
    let pair = |number| [format!("short {number}"), long(number)];
    // More payloads are missing, none next to another, than a session asks for.
    ana.write_many((0..300).flat_map(pair));
    let bundle = ana.bundle_all();
    bo.read(&without_payloads(&bundle));
    let (mut frames, mut kept, mut payloads) = (Frames::default(), Vec::new(), 0);
    frames.push(&bundle);
    while let Some(frame) = frames.poll().unwrap() {
        payloads += usize::from(frame[1] == 2);
        if frame[1] != 2 || payloads == 290 {
            kept.extend(frames_of(frame));
        }
    }
    cy.read(&kept);
    let reached = (0..40).any(|number| {
        let way = Way { binding: [number; 32], ..Way::default() };
        meet_by(&mut bo, &mut cy, way).clean();
        bo.texts(&feed).len() == cy.texts(&feed).len()
    });
    assert!(reached, "{} of {}", bo.texts(&feed).len(), cy.texts(&feed).len());
}

#[test]
fn what_a_lie_about_its_age_took_away_is_asked_for_of_who_had_nothing_else() {
    let (mut ana, mut liar, mut bo) = (Device::new(1), Device::new(2), Device::new(3));
    let feed = ana.feed();
    // One long text is at nobody but its author; both ask each other for it, and know that neither has it.
    let long = ana.write(&"z".repeat(3_000));
    ana.write_ttl("for three hours", 3);
    let bundle = without_payloads(&ana.bundle_all());
    liar.read(&bundle);
    liar.pass(170);
    bo.read(&without_payloads(&liar.bundle_all()));
    let mut cy = Device::new(4);
    cy.read(&bundle);
    for _ in 0..4 {
        meet(&mut bo, &mut cy).clean();
    }
    assert_eq!((bo.texts(&feed).len(), cy.texts(&feed).len(), long.seq), (1, 1, 3));
    bo.pass(20);
    assert_eq!(bo.texts(&feed), Vec::<String>::new(), "over by the claim");
    meet(&mut bo, &mut cy);
    assert_eq!(
        bo.texts(&feed),
        ["for three hours"],
        "nothing is new at cy, who has it all the same"
    );
    bo.check();
}

#[test]
fn what_others_brought_meanwhile_hardly_comes_twice() {
    let (mut ana, mut bo, mut cy) = (Device::new(1), Device::new(2), Device::new(3));
    meet(&mut ana, &mut bo).clean();
    cy.write_many(texts(3_000));
    for device in [&mut ana, &mut bo] {
        device.read(&cy.bundle_all());
        device.write_many(texts(100));
    }
    // Memory of both says that all of it is news.
    let met = meet(&mut ana, &mut bo);
    assert_eq!(met.dialler.ending, SessionEnding::Done);
    assert_eq!((met.dialler.received, met.other.received), (100, 100));
    let twice = met.dialler.duplicates + met.other.duplicates;
    let entry = 60;
    assert!(twice * entry <= 2 * FIRST_FLIGHT_BYTES, "{twice} entries came twice");
    same(&ana, &bo, &[ana.feed(), bo.feed(), cy.feed()]);
}

#[test]
fn a_gap_and_the_island_behind_it_are_filled() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    let feed = ana.feed();
    ana.write_many(texts(300));
    let (mut frames, mut island, mut segments) = (Frames::default(), Vec::new(), 0);
    frames.push(&ana.bundle_all());
    while let Some(frame) = frames.poll().unwrap() {
        let is_segment = frame[1] == 1;
        segments += usize::from(is_segment);
        if !is_segment || !(2..6).contains(&segments) {
            island.extend(frames_of(frame));
        }
    }
    bo.read(&island);
    assert!(bo.export(&feed).len() < 302);
    let met = meet(&mut bo, &mut ana);
    assert_eq!(met.dialler.ending, SessionEnding::Done);
    assert_eq!(bo.export(&feed), ana.export(&feed));
}

#[test]
fn a_fork_found_by_meeting_is_told_and_both_agree() {
    // One seed, two devices: a copied store.
    let (mut ana, mut copy) = (Device::new(1), Device::new(1));
    let (mut bo, mut cy) = (Device::new(2), Device::new(3));
    ana.write("one way");
    copy.write("another way");
    copy.write("and on");
    let feed = ana.feed();
    assert_eq!(feed, copy.feed());
    meet(&mut ana, &mut bo).clean();
    meet(&mut copy, &mut cy).clean();
    for _ in 0..3 {
        let met = meet(&mut bo, &mut cy);
        assert_eq!(met.dialler.ending, SessionEnding::Done);
    }
    let fork = |device: &Device| {
        let infos = device.reader().feeds().unwrap();
        infos.into_iter().find(|info| info.feed == feed).unwrap().forked
    };
    assert_eq!((fork(&bo), fork(&cy)), (Some(3), Some(3)));
    same(&bo, &cy, &[feed]);
    let met = meet(&mut bo, &mut cy);
    assert_eq!((met.said.len(), met.dialler.sent, met.other.sent), (2, 0, 0));
}

#[test]
fn what_lies_below_a_known_fork_is_asked_for_although_the_digests_are_equal() {
    // One seed, two devices, which part after a hundred texts.
    let (mut ana, mut copy) = (Device::new(1), Device::new(1));
    let mut cy = Device::new(3);
    for (device, way) in [(&mut ana, "one way"), (&mut copy, "another way")] {
        device.write_many(texts(100));
        device.write(way);
        meet(device, &mut cy);
    }
    let feed = ana.feed();
    // The proof and the first segment come; what lies between gets lost.
    let (mut frames, mut first) = (Frames::default(), Vec::new());
    frames.push(&cy.bundle_all());
    while let Some(frame) = frames.poll().unwrap() {
        let begins = match Sentence::decode(frame) {
            Ok(Sentence::Carried(Frame::Segment(bytes))) => {
                UnverifiedSegment::decode(bytes).unwrap().first_seq == 1
            }
            _ => true,
        };
        if begins {
            first.extend(frames_of(frame));
        }
    }
    for dials in [true, false] {
        let mut bo = Device::new(if dials { 4 } else { 5 });
        // A proof is kept of feeds that are held only.
        bo.read(&first);
        bo.read(&first);
        let info = bo.reader().feeds().unwrap().into_iter().find(|info| info.feed == feed);
        let info = info.unwrap();
        assert_eq!((info.forked, info.head), (Some(103), 1));
        let met = if dials { meet(&mut bo, &mut cy) } else { meet(&mut cy, &mut bo) };
        assert_eq!(met.dialler.ending, SessionEnding::Done);
        assert!(bo.export(&feed).len() >= 102, "{}", bo.export(&feed).len());
        meet(&mut bo, &mut cy);
        let met = meet(&mut bo, &mut cy);
        assert_eq!((met.said.len(), met.dialler.sent, met.other.sent), (2, 0, 0));
    }
}

#[test]
fn one_node_in_several_sessions_takes_everything_once() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    let mut author = Device::new(4);
    author.write_many(texts(4_000));
    meet(&mut author, &mut ana).clean();
    meet(&mut author, &mut bo).clean();
    for dials in [false, true] {
        let mut hub_now = Device::new(if dials { 5 } else { 6 });
        let reports = meet_two(&mut hub_now, [&mut ana, &mut bo], dials);
        let duplicates: u64 = reports.iter().map(|report| report.duplicates).sum();
        assert!(reports.iter().all(|report| report.ending == SessionEnding::Done), "{reports:?}");
        assert_eq!(duplicates, 0, "{reports:?}");
        assert_eq!(hub_now.export(&author.feed()), author.export(&author.feed()));
    }
}

/// One device meets two others at the same time; tells what became of its sessions.
fn meet_two(
    hub: &mut Device,
    others: [&mut Device; 2],
    dials: bool,
) -> Vec<thistle_engine::SessionReport> {
    use std::collections::VecDeque;
    let mut all: Vec<&mut Device> = vec![hub];
    all.extend(others);
    let give = |device: &mut Device, input: Input<'_>| {
        device.node.handle(device.now, input).unwrap();
    };
    let open = |device: &mut Device, link, opener, peer: u8, binding: u8| {
        let (peer, binding) = ([peer; 32], &[binding; 32]);
        let input =
            Input::LinkOpened { link, opener, peer, binding, known: true, via: "a meeting" };
        device.node.handle(device.now, input).unwrap();
    };
    for link in [1_u8, 2] {
        open(all[0], u64::from(link), dials, link, link);
        open(all[usize::from(link)], u64::from(link), !dials, 0, link);
    }
    let mut wires: [VecDeque<(usize, u64, Vec<u8>)>; 3] = Default::default();
    let mut reports = Vec::new();
    for _ in 0..100_000 {
        for device in 0..3 {
            while let Some(output) = all[device].node.poll() {
                match output {
                    Output::Send { link, bytes } => {
                        let to = if device == 0 { usize::try_from(link).unwrap() } else { 0 };
                        wires[device].push_back((to, link, bytes));
                        give(all[device], Input::LinkReady { link });
                    }
                    Output::Close { link } => {
                        let to = if device == 0 { usize::try_from(link).unwrap() } else { 0 };
                        wires[device].push_back((to, link, Vec::new()));
                    }
                    Output::Event(thistle_engine::Event::SessionDone { report, .. })
                        if device == 0 =>
                    {
                        reports.push(report);
                    }
                    Output::Event(_) => {}
                }
            }
        }
        let mut moved = false;
        for wire in &mut wires {
            let Some((to, link, bytes)) = wire.pop_front() else { continue };
            moved = true;
            if bytes.is_empty() {
                give(all[to], Input::LinkClosed { link });
            }
            for bytes in bytes.chunks(1 << 16) {
                give(all[to], Input::LinkBytes { link, bytes });
            }
        }
        if moved {
            continue;
        }
        if reports.len() == 2 {
            return reports;
        }
        for device in &mut all {
            device.now.tick += 50;
            device.now.wall += 50;
            device.node.handle(device.now, Input::Idle).unwrap();
        }
    }
    panic!("the sessions never end");
}

#[test]
fn holes_larger_than_the_first_flight_heal_although_the_digests_are_equal() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    let long = "x".repeat(5_000);
    for at in 0..10 {
        ana.write(&format!("{at} {long}"));
    }
    let bundle = without_payloads(&ana.bundle_all());
    bo.read(&bundle);
    ana.read(&bo.bundle_all());
    let met = meet(&mut bo, &mut ana);
    assert_eq!((met.dialler.ending, met.other.ending), (SessionEnding::Done, SessionEnding::Done));
    same(&ana, &bo, &[ana.feed()]);
    assert_eq!(bo.texts(&ana.feed()).len(), 10);
}

#[test]
fn what_came_another_way_is_offered_once_and_then_remembered() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    meet(&mut ana, &mut bo).clean();
    for dials in [true, false] {
        bo.write("by another way");
        ana.read(&bo.bundle_all());
        let mut meet = || {
            if dials { meet(&mut ana, &mut bo) } else { meet(&mut bo, &mut ana) }
        };
        let met = meet();
        assert_eq!(met.dialler.ending, SessionEnding::Done);
        assert!(met.dialler.duplicates + met.other.duplicates <= 1, "{met:?}");
        let met = meet();
        met.clean();
        assert_eq!(met.said.len(), 2, "{dials}: {:?} {:?}", met.kinds(true), met.kinds(false));
        assert_eq!((met.dialler.sent, met.other.sent), (0, 0));
    }
}

#[test]
fn a_device_that_met_others_can_be_backed_up() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    bo.write("keep this");
    bo.node.follow(bo.now, &ana.feed()).unwrap();
    meet(&mut ana, &mut bo).clean();
    let disk = InMemoryBackend::new();
    assert!(bo.reader().back_up(disk, CACHE, &mut |_, _| true).unwrap());
}

#[test]
fn a_stranger_draws_entries_within_its_quota() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    let bulk: Vec<_> =
        (0..1_300).map(|at| (post(&format!("{at} {}", "b".repeat(15_900))), 0)).collect();
    ana.node.write_many(ana.now, &bulk, None).unwrap();
    let way = Way { knows: false, is_known: true, ..Way::default() };
    let met = meet_by(&mut ana, &mut bo, way);
    assert_eq!(met.dialler.ending, SessionEnding::Done);
    let quota = thistle_engine::limits::STRANGER_SEND_BYTES;
    let sent = met.dialler.bytes_out;
    assert!(sent <= quota + 64 * 1024 && sent > quota / 2, "{sent}");
    assert!(bo.export(&ana.feed()).len() < 1_302);
}

#[test]
fn a_recorded_conversation_is_the_same_again() {
    let conversation = || {
        let (mut ana, mut bo) = (Device::new(1), Device::new(2));
        ana.write("the bridge is out");
        bo.write("come by the mill");
        meet(&mut ana, &mut bo).said
    };
    assert_eq!(conversation(), conversation());
    let kinds = |bytes: &[u8]| {
        let mut frames = Frames::default();
        frames.push(bytes);
        let mut kinds = Vec::new();
        while let Some(frame) = frames.poll().unwrap() {
            kinds.push(Sentence::decode(frame).unwrap().kind());
        }
        kinds
    };
    let said: Vec<Vec<u64>> = conversation().iter().map(|said| kinds(&said.1)).collect();
    assert_eq!(said[0], [8]);
    assert_eq!(said[1], [8, 9]);
}
