//! Goal: what is retracted or over its lifetime goes, and nothing else does, whatever comes first
//! and whatever a carrier claims. Method: devices on disks in memory, minutes passed by hand.

use crate::common::{Device, post};
use thistle_engine::State;
use thistle_engine::content::{Content, Ranges};
use thistle_engine::key::FeedId;

fn states(device: &Device, feed: &FeedId) -> Vec<State> {
    let mut all = Vec::new();
    device
        .reader()
        .export(feed, &mut |held| {
            all.push(held.state);
            Ok(true)
        })
        .unwrap();
    all
}

fn retract(device: &mut Device, first: u64, last: u64) {
    let content = Content::Retraction(Ranges::new(vec![(first, last)]).unwrap());
    device.node.write(device.now, &content, 0).unwrap();
}

#[test]
fn a_retraction_drops_payloads_whichever_comes_first() {
    let mut a = Device::new(1);
    a.write("keep");
    let regretted = a.write("regret");
    a.write(&"regret at length ".repeat(100));
    let before = a.bundle_all();
    retract(&mut a, regretted.seq, regretted.seq + 1);
    let after = a.bundle_all();
    let (mut b, mut c) = (Device::new(2), Device::new(3));
    for (device, bundles) in [(&mut b, [&before, &after]), (&mut c, [&after, &before])] {
        for bundle in bundles {
            device.read(bundle);
        }
        assert_eq!(device.texts(&a.feed()), ["keep"]);
        assert_eq!(device.export(&a.feed()), a.export(&a.feed()));
        device.check();
    }
    a.check();
    assert_eq!(a.reader().status().unwrap().counts.retracted, 2);
}

#[test]
fn certificates_and_retractions_cannot_be_retracted() {
    let mut a = Device::new(1);
    a.write("text");
    retract(&mut a, 3, 3);
    let text = a.node.write(a.now, &post("another"), 0).unwrap();
    retract(&mut a, 1, text.seq + 1);
    let mut b = Device::new(2);
    b.read(&a.bundle_all());
    for device in [&a, &b] {
        let gone: Vec<_> = states(device, &a.feed())
            .iter()
            .zip(1..)
            .filter(|(state, _)| **state == State::Retracted)
            .map(|(_, seq)| seq)
            .collect();
        assert_eq!(gone, [2, 3, 5], "the profile and both texts");
        device.check();
    }
}

#[test]
fn a_lifetime_is_counted_by_age_and_not_by_clocks() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    b.now.wall = 5;
    a.write_ttl("for three hours", 3);
    a.write("for ever");
    a.pass(120);
    b.read(&a.bundle_all());
    b.pass(59);
    assert_eq!(b.texts(&a.feed()), ["for three hours", "for ever"]);
    b.pass(1);
    assert_eq!(b.texts(&a.feed()), ["for ever"]);
    a.pass(60);
    assert_eq!(a.texts(&a.feed()), ["for ever"]);
    assert_eq!(b.reader().status().unwrap().counts.expired, 1);
    a.check();
    b.check();
}

#[test]
fn a_liar_cannot_age_a_message_away() {
    let (mut a, mut liar, mut b) = (Device::new(1), Device::new(2), Device::new(3));
    a.write_ttl("for three hours", 3);
    let honest = a.bundle_all();
    liar.read(&honest);
    // The liar's clock runs: what it hands on claims an age close to the lifetime.
    liar.pass(170);
    let claimed = liar.bundle_all();
    b.read(&claimed);
    b.pass(20);
    assert_eq!(b.texts(&a.feed()), Vec::<String>::new(), "over by the claim");
    b.read(&honest);
    assert_eq!(b.texts(&a.feed()), ["for three hours"], "a lesser age brings it back");
    b.check();
    b.pass(3 * 60);
    b.read(&honest);
    assert_eq!(b.texts(&a.feed()), Vec::<String>::new(), "its own dwell is final");
    assert_eq!(states(&b, &a.feed()).last(), Some(&State::Ended));
    b.check();
}

#[test]
fn a_bundle_made_for_its_reader_undoes_a_lie_about_age() {
    let (mut a, mut b, mut late) = (Device::new(1), Device::new(2), Device::new(3));
    a.node.follow(a.now, &b.feed()).unwrap();
    b.node.follow(b.now, &a.feed()).unwrap();
    a.write_ttl("not for long", 2);
    a.write_ttl("nor this", 2);
    late.read(&a.bundle_all());
    // It holds them beyond their lifetime and says so, where another has just heard of them.
    late.now.tick += 3 * 3_600_000;
    late.write("the clock moves on");
    b.read(&late.bundle_all());
    assert_eq!(states(&b, &a.feed())[2..], [State::Expired, State::Expired]);
    a.read(&b.bundle_all());
    b.read(&a.bundle_for(b.feed()));
    assert_eq!(b.texts(&a.feed()), ["not for long", "nor this"]);
    b.check();
}
