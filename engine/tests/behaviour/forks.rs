//! Goal: nobody's account dies of a fork, both branches stay readable, and every node ends in the
//! same state whatever it learned first. Method: a device's disk is copied and both copies write.

use crate::common::{Device, Exported, setup, start};
use thistle_engine::key::{FeedId, Seed};
use thistle_engine::{Event, Node};

/// A device and a copy of it: the same entries, the same key, from one state on.
///
/// In memory a disk cannot be copied, so the copy is made anew from the same secrets.
fn twins() -> (Device, Device) {
    (Device::new(1), Device::new(1))
}

fn view(device: &Device, feed: &FeedId) -> (Option<u64>, Vec<Exported>) {
    let feeds = device.reader().feeds().unwrap();
    let info = feeds.iter().find(|info| info.feed == *feed);
    (info.and_then(|info| info.forked), device.export(feed))
}

#[test]
fn a_fork_is_proven_and_both_branches_stay_readable_in_any_order() {
    let (mut a, mut copy) = twins();
    let feed = a.feed();
    for twin in [&mut a, &mut copy] {
        twin.write("together");
    }
    a.write("left one");
    a.write("left two");
    copy.write("right one");
    let (left, right) = (a.bundle_all(), copy.bundle_all());
    let mut devices: Vec<_> = (2..5).map(Device::new).collect();
    devices[0].read(&left);
    devices[0].read(&right);
    devices[1].read(&right);
    devices[1].read(&left);
    devices[2].read(&right);
    let relayed = devices[0].bundle_all();
    devices[2].read(&relayed);
    let expected = view(&devices[0], &feed);
    assert_eq!(expected.0, Some(4));
    assert_eq!(expected.1.len(), 6, "three shared, two left, one right");
    for device in &devices {
        assert_eq!(view(device, &feed), expected);
        device.check();
    }
    let found = |event: &Event| matches!(event, Event::ForkFound { fork_seq: 4, .. });
    assert!(devices.iter().all(|device| device.events.iter().any(found)));
}

#[test]
fn a_device_that_meets_its_own_fork_goes_on_in_a_new_feed() {
    let (mut a, mut copy) = twins();
    let old = a.feed();
    a.write("left");
    copy.write("right");
    let mut b = Device::new(2);
    b.node.follow(b.now, &old).unwrap();
    b.read(&a.bundle_all());
    b.read(&copy.bundle_all());
    a.read(&b.bundle_all());
    assert_ne!(a.feed(), old, "the forked feed is not written any more");
    assert!(!a.node.me().unwrap().confirmed);
    a.write("after the fork");
    a.node.confirm(a.now, &crate::common::account(1)).unwrap();
    assert!(a.node.me().unwrap().confirmed);
    a.check();
    b.read(&a.bundle_all());
    let feeds = b.reader().feeds().unwrap();
    let new = feeds.iter().find(|info| info.feed == a.feed()).unwrap();
    assert_eq!((new.successor_of, new.confirmed), (Some(old), true));
    assert_eq!(new.class.name(), "followed", "who follows the old feed follows the new");
    assert_eq!(b.texts(&a.feed()), ["after the fork"]);
    assert_eq!(a.texts(&old), b.texts(&old), "the author reads both branches too");
    b.check();
}

#[test]
fn a_longer_copy_of_the_own_feed_retires_it() {
    let (mut a, mut restored) = twins();
    let old = a.feed();
    a.write("one");
    a.write("two");
    let mut b = Device::new(2);
    b.read(&a.bundle_all());
    restored.write("one");
    restored.read(&b.bundle_all());
    assert_ne!(restored.feed(), old);
    assert_eq!(restored.texts(&old), ["one", "two"], "nothing of the old feed is lost");
    restored.check();
    let retired = |event: &Event| matches!(event, Event::Retired { .. });
    assert!(restored.events.iter().any(retired));
}

#[test]
fn three_continuations_end_in_the_same_two_branches_everywhere() {
    let mut twins: Vec<_> = (0..3).map(|_| Device::new(1)).collect();
    let feed = twins[0].feed();
    for (n, twin) in twins.iter_mut().enumerate() {
        twin.write(&format!("branch {n}"));
        twin.write(&format!("branch {n} goes on"));
    }
    let bundles: Vec<_> = twins.iter().map(Device::bundle_all).collect();
    let mut expected = None;
    for (n, order) in
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]].into_iter().enumerate()
    {
        let mut device = Device::new(u8::try_from(n).unwrap() + 10);
        for at in order {
            device.read(&bundles[at]);
        }
        device.check();
        let state = view(&device, &feed);
        assert_eq!(*expected.get_or_insert(state.clone()), state, "order {order:?}");
    }
}

#[test]
fn a_fork_inside_a_branch_and_one_before_it_end_alike_everywhere() {
    let mut twins: Vec<_> = (0..4).map(|_| Device::new(1)).collect();
    let feed = twins[0].feed();
    for twin in &mut twins[1..] {
        twin.write("later fork");
    }
    twins[0].write("early fork");
    for (n, twin) in twins[1..].iter_mut().enumerate() {
        twin.write(&format!("branch {n}"));
        twin.write(&format!("branch {n} goes on"));
    }
    let bundles: Vec<_> = twins.iter().map(Device::bundle_all).collect();
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1], [1, 2, 3, 0]];
    let mut devices: Vec<_> = (10..15).map(Device::new).collect();
    for (device, order) in devices.iter_mut().zip(orders) {
        for at in order {
            device.read(&bundles[at]);
        }
        device.check();
    }
    // What one dropped before it knew of the earlier fork, another still has.
    for _ in 0..2 {
        for from in 0..devices.len() {
            let bundle = devices[from].bundle_all();
            for device in &mut devices {
                device.read(&bundle);
            }
        }
    }
    let expected = view(&devices[0], &feed);
    assert_eq!(expected.0, Some(3));
    for device in &devices {
        assert_eq!(view(device, &feed), expected);
        device.check();
    }
}

#[test]
fn a_restored_account_is_a_new_feed_of_the_same_person() {
    let a = Device::new(1);
    let node = Node::create(
        thistle_engine::InMemoryBackend::new(),
        &crate::common::account(1),
        setup("person 1"),
        Seed::new([99; 32]),
        start(),
    );
    let mut again = Device { node: node.unwrap(), now: start(), events: Vec::new() };
    assert_ne!(again.feed(), a.feed());
    assert_eq!(again.node.me().unwrap().account, a.node.me().unwrap().account);
    again.write("from the new device");
    let mut b = Device::new(2);
    b.node.follow(b.now, &a.feed()).unwrap();
    b.read(&again.bundle_all());
    b.read(&a.bundle_all());
    let feeds = b.reader().feeds().unwrap();
    let new = feeds.iter().find(|info| info.feed == again.feed()).unwrap();
    assert_eq!(new.class.name(), "followed", "whom one follows is followed on every device");
    b.check();
}

#[test]
fn a_proof_goes_to_those_who_do_not_know_it() {
    let (mut a, mut copy) = twins();
    a.write_many((0..30).map(|n| format!("left {n}")));
    copy.write_many((0..30).map(|n| format!("right {n}")));
    let (mut b, mut c) = (Device::new(2), Device::new(3));
    b.node.follow(b.now, &c.feed()).unwrap();
    c.node.follow(c.now, &b.feed()).unwrap();
    for twin in [&a, &copy] {
        b.read(&twin.bundle_all());
    }
    c.read(&b.bundle_all());
    assert_eq!(view(&c, &a.feed()), view(&b, &a.feed()));
    b.read(&c.bundle_all());
    let again = b.bundle_for(c.feed());
    assert!(again.len() < 3_500, "{} bytes for one who knows of the fork", again.len());
    c.read(&again);
    assert_eq!(view(&c, &a.feed()), view(&b, &a.feed()));
}
