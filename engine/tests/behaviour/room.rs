//! Goal: quotas hold, by class, by carrier and by feed, and nobody's flood touches what is the
//! user's. Method: small quotas, many made-up feeds.

use crate::common::Device;
use crate::mutate::{each_seed, setting};
use crate::strangers;
use thistle_engine::Event;
use thistle_engine::limits::REMEMBERED_EVICTIONS;
use thistle_engine::policy::CarryClass;

fn used(device: &Device, class: CarryClass) -> u64 {
    let status = device.reader().status().unwrap();
    status.usage.iter().find(|usage| usage.0 == class).unwrap().1
}

/// A bundle of many feeds of strangers, each with a few entries.
fn flood(from: u8, feeds: u8) -> Vec<u8> {
    let mut carrier = Device::new(from);
    for number in 0..feeds {
        let mut stranger = Device::new(from.wrapping_add(1).wrapping_add(number));
        stranger.write_many((0..20).map(|n| format!("flood {n} {}", "x".repeat(200))));
        carrier.read(&stranger.bundle_all());
    }
    carrier.bundle_all()
}

#[test]
fn the_strangers_quota_holds_and_what_was_left_out_is_told() {
    let mut b = Device::new(1);
    let mut friend = Device::new(2);
    friend.write_many((0..50).map(|n| format!("friend {n}")));
    b.node.follow(b.now, &friend.feed()).unwrap();
    b.read(&friend.bundle_all());
    b.node.set_quota(b.now, CarryClass::Stranger, 40_000).unwrap();
    let followed = used(&b, CarryClass::Followed);
    let bundle = flood(100, 20);
    b.read(&bundle);
    assert!(used(&b, CarryClass::Stranger) <= 40_000);
    assert!(used(&b, CarryClass::Stranger) > 20_000, "the quota is used");
    assert_eq!(used(&b, CarryClass::Followed), followed, "a stranger pushes nobody else out");
    b.check();
    let held = used(&b, CarryClass::Stranger);
    let status = b.reader().status().unwrap();
    assert!(status.counts.evicted_entries > 0);
    b.read(&bundle);
    assert_eq!(used(&b, CarryClass::Stranger), held, "the same again changes nothing");
    b.check();
    b.node.set_quota(b.now, CarryClass::Stranger, 10_000_000).unwrap();
    b.read(&bundle);
    assert!(used(&b, CarryClass::Stranger) > 80_000, "with more room it comes back");
    b.check();
}

#[test]
fn one_carrier_cannot_push_out_what_another_brought() {
    let mut b = Device::new(1);
    let (mut one, mut two) = (Device::new(2), Device::new(3));
    let mut modest = Device::new(4);
    modest.write_many((0..20).map(|n| format!("modest {n} {}", "x".repeat(200))));
    one.read(&modest.bundle_all());
    for carrier in [&one, &two] {
        b.node.follow(b.now, &carrier.feed()).unwrap();
        b.read(&carrier.bundle_all());
    }
    b.node.set_quota(b.now, CarryClass::Stranger, 40_000).unwrap();
    b.read(&one.bundle_all());
    let before = b.texts(&modest.feed());
    assert_eq!(before.len(), 20);
    two.read(&flood(100, 20));
    b.read(&two.bundle_all());
    assert_eq!(b.texts(&modest.feed()), before);
    assert!(used(&b, CarryClass::Stranger) <= 40_000);
    b.check();
}

#[test]
fn a_blocked_feed_goes_and_does_not_come_back() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    a.write("unwanted");
    let bundle = a.bundle_all();
    b.read(&bundle);
    b.node.block(b.now, &a.feed()).unwrap();
    assert_eq!(b.texts(&a.feed()), Vec::<String>::new());
    let report = b.read(&bundle);
    assert_eq!((report.entries_new, report.left_out), (0, 3));
    assert!(b.events.iter().any(|event| matches!(event, Event::LeftOut { .. })));
    b.check();
    b.node.unblock(b.now, &a.feed()).unwrap();
    b.read(&bundle);
    assert_eq!(b.texts(&a.feed()), ["unwanted"]);
    b.check();
}

#[test]
fn a_feed_of_a_stranger_gives_up_its_oldest_and_keeps_its_newest() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    for round in 0..6 {
        a.write_many((0..500).map(|n| format!("{round} {n} {}", "x".repeat(2_000))));
    }
    let bundle = a.bundle_all();
    b.read(&bundle);
    assert!(used(&b, CarryClass::Stranger) <= thistle_engine::limits::STRANGER_FEED_BYTES);
    assert_eq!(b.texts(&a.feed()).last(), a.texts(&a.feed()).last());
    b.check();
}

#[test]
fn quotas_and_sums_hold_whatever_comes_in_which_order() {
    each_seed(4, |dice| {
        let mut b = Device::new(200);
        let mut strangers: Vec<_> = (1..7).map(Device::new).collect();
        let mut carriers: Vec<_> = (100..103).map(Device::new).collect();
        b.node.follow(b.now, &carriers[0].feed()).unwrap();
        let mut quota = 0;
        for _ in 0..30 {
            if quota == 0 || dice.below(6) == 0 {
                quota = 10_000 + dice.below(200_000) as u64;
                b.node.set_quota(b.now, CarryClass::Stranger, quota).unwrap();
            }
            let from = dice.below(6);
            let by = dice.below(3);
            let size = dice.below(2_500);
            let count = 1 + dice.below(50);
            let stranger = &mut strangers[from];
            stranger.write_many((0..count).map(|n| format!("{n} {}", "x".repeat(size))));
            carriers[by].read(&stranger.bundle_all());
            match dice.below(4) {
                0 => drop(b.node.follow(b.now, &stranger.feed()).unwrap()),
                1 => b.node.unfollow(b.now, &stranger.feed()).unwrap(),
                _ => {}
            }
            b.read(&carriers[by].bundle_all());
            b.check();
            let used = used(&b, CarryClass::Stranger);
            assert!(used <= quota.max(1), "{used} bytes used of {quota}");
        }
    });
}

#[test]
fn what_is_left_out_or_dropped_is_counted_also_where_nothing_of_a_feed_is_kept() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    a.write("found no room");
    b.node.set_quota(b.now, CarryClass::Stranger, 100).unwrap();
    let left_out = b.read(&a.bundle_all()).left_out;
    assert_eq!((left_out, b.reader().status().unwrap().counts.left_out_entries), (3, 3));
    b.node.set_quota(b.now, CarryClass::Stranger, 100_000).unwrap();
    b.read(&a.bundle_all());
    b.node.block(b.now, &a.feed()).unwrap();
    assert_eq!(b.reader().status().unwrap().counts.blocked_entries, 3, "what was held goes too");
    b.check();
}

#[test]
fn a_feed_that_is_followed_no_longer_has_a_strangers_room() {
    let mut b = Device::new(1);
    let mut known = Device::new(2);
    known.write_many((0..100).map(|n| format!("known {n} {}", "x".repeat(300))));
    b.node.set_quota(b.now, CarryClass::Stranger, 20_000).unwrap();
    b.node.follow(b.now, &known.feed()).unwrap();
    b.read(&known.bundle_all());
    assert!(used(&b, CarryClass::Followed) > 30_000);
    b.node.unfollow(b.now, &known.feed()).unwrap();
    let strangers = used(&b, CarryClass::Stranger);
    assert!((5_000..=20_000).contains(&strangers), "{strangers} bytes of 20,000");
    assert_eq!(b.texts(&known.feed()).last(), known.texts(&known.feed()).last());
    b.check();
}

#[test]
fn branches_of_strangers_feeds_take_room_like_all_else() {
    let mut b = Device::new(1);
    b.node.set_quota(b.now, CarryClass::Stranger, 40_000).unwrap();
    for number in 10..30 {
        // Two devices made of the same secrets are one feed that goes two ways.
        let (mut left, mut right) = (Device::new(number), Device::new(number));
        left.write("left");
        right.write_many((0..30).map(|n| format!("right {n} {}", "x".repeat(900))));
        b.read(&left.bundle_all());
        b.read(&right.bundle_all());
        let used = used(&b, CarryClass::Stranger);
        assert!(used <= 40_000, "{used} bytes after {} feeds", number - 9);
        b.check();
    }
}

#[test]
fn a_feed_that_changes_its_class_makes_room_in_the_new_one() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    a.write_many((0..50).map(|n| format!("{n} {}", "x".repeat(500))));
    let bundle = a.bundle_all();
    b.node.set_quota(b.now, CarryClass::Stranger, 9_000).unwrap();
    b.node.set_quota(b.now, CarryClass::Followed, 18_000).unwrap();
    b.node.follow(b.now, &a.feed()).unwrap();
    b.read(&bundle);
    assert!((9_000..=18_000).contains(&used(&b, CarryClass::Followed)));
    b.node.unfollow(b.now, &a.feed()).unwrap();
    assert!(used(&b, CarryClass::Stranger) <= 9_000, "a feed that is followed no more");
    assert!(used(&b, CarryClass::Stranger) > 4_000, "and what there is room for stays");
    b.check();
    b.node.set_quota(b.now, CarryClass::Stranger, 100_000).unwrap();
    b.read(&bundle);
    b.node.follow(b.now, &a.feed()).unwrap();
    assert!(used(&b, CarryClass::Followed) <= 18_000, "a stranger's feed that is followed now");
    b.check();
}

#[test]
fn the_second_branch_of_a_strangers_feed_makes_room_too() {
    let mut b = Device::new(2);
    let mut twins = [Device::new(1), Device::new(1)];
    for (twin, word) in twins.iter_mut().zip(["one", "two"]) {
        twin.write_many((0..12).map(|n| format!("{word} {n} {}", "x".repeat(900))));
    }
    assert_eq!(twins[0].feed(), twins[1].feed());
    b.node.set_quota(b.now, CarryClass::Stranger, 14_500).unwrap();
    for twin in &twins {
        b.read(&twin.bundle_all());
        let used = used(&b, CarryClass::Stranger);
        assert!(used <= 14_500, "{used} bytes");
        b.check();
    }
}

#[test]
fn a_forked_feed_that_is_evicted_goes_with_both_branches() {
    let mut b = Device::new(2);
    let mut twins = [Device::new(1), Device::new(1)];
    for (twin, word) in twins.iter_mut().zip(["one", "two"]) {
        twin.write_many((0..12).map(|n| format!("{word} {n}")));
        b.read(&twin.bundle_all());
    }
    let whole = b.export(&twins[0].feed());
    assert!(whole.iter().any(|entry| entry.0 == 1), "both branches are here");
    // Little enough that the main chain has to go, and the second branch alone would fit.
    b.node.set_quota(b.now, CarryClass::Stranger, 1_300).unwrap();
    assert_eq!((used(&b, CarryClass::Stranger), b.export(&twins[0].feed()).len()), (0, 0));
    assert_eq!(b.reader().status().unwrap().feeds, 1, "the own one");
    b.check();
    b.node.set_quota(b.now, CarryClass::Stranger, 100_000).unwrap();
    for twin in &twins {
        b.read(&twin.bundle_all());
    }
    assert!(b.export(&twins[0].feed()) == whole, "and comes back");
    b.check();
}

#[test]
fn what_finds_no_room_pushes_nothing_out() {
    let (mut b, mut small) = (Device::new(1), Device::new(4));
    let mut carriers = [Device::new(2), Device::new(3)];
    small.write_many((0..5).map(|n| format!("small {n} {}", "x".repeat(80))));
    carriers[0].read(&small.bundle_all());
    carriers[1].read(&flood(100, 10));
    for carrier in &carriers {
        b.node.follow(b.now, &carrier.feed()).unwrap();
        b.read(&carrier.bundle_all());
    }
    b.node.set_quota(b.now, CarryClass::Stranger, 20_000).unwrap();
    for carrier in &carriers {
        b.read(&carrier.bundle_all());
    }
    assert!(used(&b, CarryClass::Stranger) > 19_000, "the quota is used up");
    assert_eq!(b.texts(&small.feed()).len(), 5);
    // One segment, with which the carrier would have more than its share: all that the feed could
    // give up is not enough.
    small.write_many((0..25).map(|n| format!("{n} {}", "x".repeat(400))));
    carriers[0].read(&small.bundle_all());
    let held = b.export(&small.feed());
    assert_eq!(b.read(&carriers[0].bundle_all()).entries_new, 0, "there is no room");
    assert!(b.export(&small.feed()) == held, "and nothing went for it");
    b.check();
}

/// `THISTLE_LONG=1`: 100,000 feeds, else 3,000.
#[test]
fn a_flood_of_fresh_feeds_from_one_carrier_touches_nobody_else() {
    let long = setting("THISTLE_LONG").is_some();
    let feeds = if long { 100_000 } else { 3_000 };
    let (mut b, mut friend, mut carrier) = (Device::new(1), Device::new(2), Device::new(3));
    let mut modest = Device::new(4);
    b.write("mine");
    friend.write_many((0..50).map(|n| format!("friend {n}")));
    modest.write_many((0..20).map(|n| format!("modest {n} {}", "x".repeat(200))));
    carrier.read(&modest.bundle_all());
    for known in [&friend, &carrier] {
        b.node.follow(b.now, &known.feed()).unwrap();
        b.read(&known.bundle_all());
    }
    let quota = 200_000;
    b.node.set_quota(b.now, CarryClass::Stranger, quota).unwrap();
    let others = [b.feed(), friend.feed(), carrier.feed(), modest.feed()];
    let held = |b: &Device| others.map(|feed| b.export(&feed));
    let before = held(&b);
    assert_eq!(before.each_ref().map(Vec::len), [3, 52, 2, 22]);
    let flood = strangers::bundle(0..feeds);
    for _ in 0..2 {
        b.read(&flood);
        b.idle();
        let now = held(&b);
        assert_eq!(now.each_ref().map(Vec::len), before.each_ref().map(Vec::len));
        assert!(now == before, "bytes of others");
        let status = b.reader().status().unwrap();
        let used = used(&b, CarryClass::Stranger);
        assert!((quota / 2..=quota).contains(&used), "{used} bytes");
        assert!(status.left_out_feeds <= REMEMBERED_EVICTIONS, "{}", status.left_out_feeds);
        assert!(status.feeds < 4 + quota / 512, "a feed counts 512 bytes at least");
        let checked = b.reader().check(&mut |_| {}).unwrap();
        let most = 2 * checked.entries + 16_384;
        assert!(checked.arrivals <= most, "{} rows of the log", checked.arrivals);
        b.check();
    }
}

#[test]
fn branches_that_found_no_room_do_not_push_each_other_out_for_ever() {
    let mut b = Device::new(1);
    b.node.set_quota(b.now, CarryClass::Stranger, 9_000).unwrap();
    let mut bundles = Vec::new();
    for number in 10..13 {
        for word in ["left", "right"] {
            let mut twin = Device::new(number);
            twin.write_many((0..20).map(|n| format!("{word} {n} {}", "x".repeat(100))));
            bundles.push(twin.bundle_all());
        }
    }
    let position = |device: &Device| device.reader().status().unwrap().log_position;
    let mut read_all = || bundles.iter().map(|bundle| b.read(bundle).refused).sum::<u64>();
    assert_eq!([read_all(), read_all(), read_all()], [0; 3]);
    let before = position(&b);
    assert_eq!(bundles.iter().map(|bundle| b.read(bundle).refused).sum::<u64>(), 0);
    assert_eq!(position(&b), before, "the same bytes again change nothing");
    b.check();
}
