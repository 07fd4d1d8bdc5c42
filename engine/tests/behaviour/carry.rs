//! Goal: entries that are carried arrive once, whole, and in the same state whatever happens to the
//! bundles on the way. Method: nodes on disks in memory, bundles handed over by hand.

use crate::common::Device;
use thistle_engine::BundleRequest;
use thistle_engine::bundle::FileFault;

#[test]
fn what_one_writes_the_other_holds_after_one_bundle() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    a.write("the bridge is out");
    a.write(&"long ".repeat(500));
    a.write_many((0..100).map(|n| format!("message {n}")));
    let report = b.read(&a.bundle_all());
    assert_eq!((report.entries_new, report.refused, report.left_out), (104, 0, 0));
    assert_eq!((report.maker, report.ending), (Some(a.feed()), None));
    assert_eq!(a.export(&a.feed()), b.export(&a.feed()));
    a.check();
    b.check();
}

#[test]
fn the_same_bundle_again_changes_nothing() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    a.write_many((0..50).map(|n| format!("message {n}")));
    let bundle = a.bundle_all();
    b.read(&bundle);
    let before = b.reader().status().unwrap();
    let again = b.read(&bundle);
    assert_eq!((again.entries_new, again.payloads_new, again.refused), (0, 0, 0));
    assert_eq!(b.reader().status().unwrap(), before);
}

#[test]
fn a_torn_bundle_gives_what_came_before_the_tear() {
    let mut a = Device::new(1);
    a.write_many((0..200).map(|n| format!("message {n} {}", "x".repeat(n * 9))));
    let bundle = a.bundle_all();
    for cut in (1..bundle.len()).step_by(9_973) {
        let mut b = Device::new(2);
        let report = b.read(&bundle[..cut]);
        assert!(matches!(report.ending, Some(FileFault::Torn { .. })), "cut at {cut}: {report:?}");
        assert_eq!(report.refused, 0, "cut at {cut}");
        b.check();
        let rest = b.read(&bundle);
        assert_eq!(rest.ending, None);
        assert_eq!(b.export(&a.feed()), a.export(&a.feed()), "cut at {cut}");
        b.check();
    }
}

#[test]
fn a_bundle_for_a_peer_is_an_exact_delta() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    a.write_many((0..500).map(|n| format!("message {n}")));
    b.node.follow(b.now, &a.feed()).unwrap();
    a.node.follow(a.now, &b.feed()).unwrap();
    b.read(&a.bundle_all());
    b.write("thank you");
    let back = b.bundle_for(a.feed());
    assert!(back.len() < 1_500, "{} bytes for three entries", back.len());
    let report = a.read(&back);
    assert_eq!((report.entries_new, report.known), (3, 0));
    a.write("you are welcome");
    let forth = a.bundle_for(b.feed());
    let report = b.read(&forth);
    assert_eq!((report.entries_new, report.known), (1, 0));
    assert_eq!(b.texts(&a.feed()).last().unwrap(), "you are welcome");
    let nothing = b.read(&a.bundle_for(b.feed()));
    assert_eq!((nothing.entries_new, nothing.known), (0, 1), "until the peer has said so");
}

#[test]
fn one_bundle_of_a_stranger_is_enough_to_know_what_it_holds() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    a.write("hello");
    b.write("hello too");
    b.read(&a.bundle_all());
    let report = a.read(&b.bundle_for(a.feed()));
    assert_eq!((report.entries_new, report.known), (3, 0), "nothing that came from there");
}

#[test]
fn a_size_limit_takes_the_newest_first_and_is_kept() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    for n in 0..300 {
        a.write(&format!("message {n} {}", "x".repeat(200)));
    }
    for limit in [1_000, 5_000, 20_000, 60_000] {
        let request = BundleRequest { max_bytes: Some(limit), ..BundleRequest::default() };
        let bundle = a.bundle(&request);
        assert!(bundle.len() as u64 <= limit, "{} over {limit}", bundle.len());
        b.node.follow(b.now, &a.feed()).unwrap();
        let report = b.read(&bundle);
        assert_eq!((report.refused, report.ending), (0, None));
        if limit > 10_000 {
            assert_eq!(b.texts(&a.feed()).last(), a.texts(&a.feed()).last());
        }
        b.check();
    }
    b.read(&a.bundle_all());
    assert_eq!(b.export(&a.feed()), a.export(&a.feed()), "the gap is filled later");
    b.check();
}

/// Two devices that follow each other and know what the other holds.
fn friends() -> (Device, Device) {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    a.node.follow(a.now, &b.feed()).unwrap();
    b.node.follow(b.now, &a.feed()).unwrap();
    b.read(&a.bundle_all());
    a.read(&b.bundle_all());
    b.read(&a.bundle_for(b.feed()));
    (a, b)
}

#[test]
fn a_large_payload_does_not_go_back_where_it_came_from() {
    let (mut a, mut b) = friends();
    a.write(&"long ".repeat(500));
    b.read(&a.bundle_for(b.feed()));
    let back = b.bundle_for(a.feed());
    assert!(back.len() < 700, "{} bytes for one who has everything", back.len());
}

#[test]
fn a_small_bundle_does_not_take_back_what_its_maker_wants() {
    let (mut a, mut b) = friends();
    a.write(&"long ".repeat(500));
    a.write("short");
    // Cut before the payload that follows the segment.
    let bundle = a.bundle_for(b.feed());
    b.read(&bundle[..bundle.len() - 2_000]);
    assert_eq!(b.reader().status().unwrap().missing_payloads, 1);
    a.read(&b.bundle_for(a.feed()));
    let request = BundleRequest {
        max_bytes: Some(600),
        for_peer: Some(a.feed()),
        ..BundleRequest::default()
    };
    let small = b.bundle(&request);
    assert_eq!(a.read(&small).refused, 0);
    b.read(&a.bundle_for(b.feed()));
    assert_eq!(b.export(&a.feed()), a.export(&a.feed()));
    b.check();
}

#[test]
fn a_bundle_keeps_its_size_whatever_forks_are_known() {
    let mut b = Device::new(9);
    for number in 1..4 {
        for word in ["one", "two"] {
            let mut twin = Device::new(number);
            twin.write_many((0..60).map(|n| format!("{word} {n}")));
            b.read(&twin.bundle_all());
        }
    }
    assert_eq!(b.reader().feeds().unwrap().iter().filter(|it| it.forked.is_some()).count(), 3);
    for most in [500, 1_000, 2_000, 4_000, 8_000, 16_000] {
        let bundle = b.bundle(&BundleRequest { max_bytes: Some(most), ..BundleRequest::default() });
        assert!(bundle.len() as u64 <= most, "{} bytes of {most}", bundle.len());
        let mut c = Device::new(10);
        let report = c.read(&bundle);
        assert_eq!((report.refused, report.ending), (0, None));
        assert!(most < 16_000 || report.entries_new > 0, "{report:?} of {most} bytes");
        c.check();
    }
}
