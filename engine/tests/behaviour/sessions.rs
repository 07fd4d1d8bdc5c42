//! Two nodes that meet are the same a moment later.

use thistle_engine::SessionEnding;

use crate::common::Device;
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
