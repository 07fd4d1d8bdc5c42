//! Whom the followed publicly follow is carried as followed, as many hops on as the user wants.

use thistle_engine::Input;
use thistle_engine::content::{Content, Ranges, Relation, RelationState};
use thistle_engine::key::FeedId;
use thistle_engine::limits::{FOLLOWS_READ, HOPS, REACHED_FEEDS};
use thistle_engine::policy::CarryClass;

use crate::common::Device;
use crate::meet::meet;

/// Says publicly what a feed is to a device's user.
fn tell(device: &mut Device, feed: FeedId, state: RelationState) -> u64 {
    let relation = Relation { time: device.now.wall / 1_000, feed, state };
    device.node.write(device.now, &Content::Relation(relation), 0).unwrap().seq
}

fn class(device: &Device, feed: &FeedId) -> Option<CarryClass> {
    let infos = device.reader().feeds().unwrap();
    infos.into_iter().find(|info| info.feed == *feed && info.held > 0).map(|info| info.class)
}

/// Four devices, each of which publicly follows the next; the first follows the second.
fn chain() -> [Device; 4] {
    let mut devices = [1, 2, 3, 4].map(Device::new);
    let feeds = [1, 2, 3].map(|next: usize| devices[next].feed());
    for (device, feed) in devices.iter_mut().zip(feeds).skip(1) {
        tell(device, feed, RelationState::Follow);
    }
    let now = devices[0].now;
    assert!(devices[0].node.follow(now, &feeds[0]).unwrap());
    devices
}

#[test]
fn whom_the_followed_follow_is_carried_as_followed_in_any_order() {
    for order in [[1, 2, 3], [3, 2, 1], [2, 1, 3]] {
        let mut devices = chain();
        for from in order {
            let bundle = devices[from].bundle_all();
            devices[0].read(&bundle);
        }
        let classes = [1, 2, 3].map(|number| class(&devices[0], &devices[number].feed()));
        let (followed, stranger) = (Some(CarryClass::Followed), Some(CarryClass::Stranger));
        assert_eq!(classes, [followed, followed, stranger], "{order:?}");
        devices[0].check();
    }
}

#[test]
fn hops_are_as_many_as_the_user_wants() {
    let mut devices = chain();
    for from in [1, 2, 3] {
        let bundle = devices[from].bundle_all();
        devices[0].read(&bundle);
    }
    for (hops, followed) in [(0, 1), (2, 3), (1, 2), (HOPS, 3)] {
        let now = devices[0].now;
        devices[0].node.set_hops(now, hops).unwrap();
        assert_eq!(devices[0].reader().hops().unwrap(), hops);
        let is_followed = |number: &usize| {
            class(&devices[0], &devices[*number].feed()) == Some(CarryClass::Followed)
        };
        assert_eq!([1, 2, 3].iter().filter(|number| is_followed(number)).count(), followed);
        devices[0].check();
    }
}

#[test]
fn what_is_taken_back_counts_no_more() {
    let [mut ana, mut bo, mut cy, _] = chain();
    let feed = cy.feed();
    meet(&mut ana, &mut bo).clean();
    meet(&mut ana, &mut cy).clean();
    assert_eq!(class(&ana, &feed), Some(CarryClass::Followed));
    tell(&mut bo, feed, RelationState::None);
    meet(&mut ana, &mut bo).clean();
    assert_eq!(class(&ana, &feed), Some(CarryClass::Stranger));
    let seq = tell(&mut bo, feed, RelationState::Follow);
    meet(&mut ana, &mut bo).clean();
    assert_eq!(class(&ana, &feed), Some(CarryClass::Followed));
    let taken_back = Content::Retraction(Ranges::new(vec![(seq, seq)]).unwrap());
    bo.node.write(bo.now, &taken_back, 0).unwrap();
    meet(&mut ana, &mut bo).clean();
    assert_eq!(class(&ana, &feed), Some(CarryClass::Stranger));
    ana.check();
}

#[test]
fn a_follow_that_is_over_counts_no_more() {
    let [mut ana, mut bo, cy, _] = chain();
    ana.read(&cy.bundle_all());
    let relation = Relation { time: 0, feed: cy.feed(), state: RelationState::Follow };
    tell(&mut bo, cy.feed(), RelationState::None);
    bo.node.write(bo.now, &Content::Relation(relation), 2).unwrap();
    ana.read(&bo.bundle_all());
    assert_eq!(class(&ana, &cy.feed()), Some(CarryClass::Followed));
    ana.now.tick += 3 * 3_600_000;
    ana.now.wall += 3 * 3_600_000;
    ana.node.handle(ana.now, Input::Idle).unwrap();
    assert_eq!(class(&ana, &cy.feed()), Some(CarryClass::Stranger));
    ana.check();
}

#[test]
fn what_strangers_follow_counts_for_nothing() {
    let [mut ana, mut bo, mut cy, _] = chain();
    ana.node.unfollow(ana.now, &bo.feed()).unwrap();
    meet(&mut ana, &mut bo).clean();
    meet(&mut ana, &mut cy).clean();
    for feed in [bo.feed(), cy.feed()] {
        assert_eq!(class(&ana, &feed), Some(CarryClass::Stranger));
    }
    // Who is followed later has said it before.
    ana.node.follow(ana.now, &bo.feed()).unwrap();
    assert_eq!(class(&ana, &cy.feed()), Some(CarryClass::Followed));
    assert_eq!(ana.reader().follows(&bo.feed()).unwrap().into_iter().next(), Some(cy.feed()));
}

/// Says publicly that a device follows feeds that nobody knows.
fn follow_unknown(device: &mut Device, numbers: std::ops::Range<u64>) {
    let time = device.now.wall / 1_000;
    let relation = |number: u64| {
        let mut id = [0; 32];
        id[1..9].copy_from_slice(&number.to_be_bytes());
        let (feed, state) = (FeedId::from_bytes(id), RelationState::Follow);
        (Content::Relation(Relation { time, feed, state }), 0)
    };
    let all: Vec<_> = numbers.map(relation).collect();
    device.node.write_many(device.now, &all, None).unwrap();
}

#[test]
fn follows_beyond_the_limits_are_not_read() {
    let mut ana = Device::new(1);
    let cy = Device::new(3);
    let mut authors = [11, 12, 13, 14].map(Device::new);
    let each = FOLLOWS_READ;
    for (number, author) in (0..).zip(&mut authors) {
        let now = ana.now;
        assert!(ana.node.follow(now, &author.feed()).unwrap());
        // The oldest is one too many, and those of all authors together are as many as there may be.
        follow_unknown(author, number * each..number * each + each + u64::from(number == 3));
        ana.read(&author.bundle_all());
        assert_eq!(ana.reader().follows(&author.feed()).unwrap().len() as u64, each);
    }
    assert_eq!(authors.len() as u64 * each, REACHED_FEEDS);
    ana.read(&cy.bundle_all());
    let last = &mut authors[3];
    tell(last, cy.feed(), RelationState::Follow);
    ana.read(&last.bundle_all());
    // One of that author's own falls out for it; of too many in all, the last by their ids do.
    assert_eq!(class(&ana, &cy.feed()), Some(CarryClass::Followed));
    tell(&mut authors[0], cy.feed(), RelationState::Follow);
    follow_unknown(&mut authors[0], 9_000..9_001);
    let mut other = Device::new(15);
    ana.node.follow(ana.now, &other.feed()).unwrap();
    follow_unknown(&mut other, 10_000..10_001);
    ana.read(&other.bundle_all());
    assert_eq!(class(&ana, &cy.feed()), Some(CarryClass::Stranger));
    ana.check();
}
