//! Goal: who a device is on links, and where it met others. Method: nodes on disks in memory that
//! are opened again.

use thistle_engine::key::Seed;
use thistle_engine::limits::{ADDRESS_BYTES, LINK_KEY_DAYS, REMEMBERED_ADDRESSES};
use thistle_engine::{FileBackend, Node, Remembered};

use crate::common::{CACHE, Device, account, setup, start};

fn key(number: u64) -> [u8; 32] {
    let mut key = [7; 32];
    key[..8].copy_from_slice(&number.to_le_bytes());
    key
}

fn met(number: u64, address: &str) -> Remembered {
    Remembered { key: key(number), address: address.to_owned(), with: None }
}

#[test]
fn the_link_key_stays_for_a_week_and_no_longer_and_is_not_the_feed() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let disk = || FileBackend::new(file.reopen().unwrap()).unwrap();
    let seed = Seed::new([1; 32]);
    let mut node = Node::create(disk(), &account(1), setup("Ana"), seed, start()).unwrap();
    let (secret, feed) = (node.link_secret(start()).unwrap(), node.me().unwrap().feed);
    drop(node);
    let mut node = Node::open(disk(), Seed::new([2; 32]), CACHE, start()).unwrap();
    let mut later = start();
    let almost = LINK_KEY_DAYS * 24 * 60 * 60_000 - 60_000;
    (later.tick, later.wall) = (later.tick + almost, later.wall + almost);
    assert_eq!(node.link_secret(later).unwrap(), secret);
    assert_ne!(thistle_engine::key::SecretKey::from_seed(&secret).feed(), feed);
    assert_ne!(Device::new(2).node.link_secret(start()).unwrap(), secret);
    (later.tick, later.wall) = (later.tick + 60_000, later.wall + 60_000);
    let fresh = node.link_secret(later).unwrap();
    assert_ne!(fresh, secret, "its days are over");
    assert_eq!(node.link_secret(later).unwrap(), fresh);
}

#[test]
fn the_address_met_last_is_remembered_within_a_bound() {
    let mut ana = Device::new(1);
    assert_eq!(ana.reader().peers().unwrap(), []);
    let mut remember = |number, address: &str| {
        let known = ana.node.remember_peer(start(), &key(number), address, None).unwrap();
        (known, ana.reader().peers().unwrap())
    };
    for number in 0..REMEMBERED_ADDRESSES {
        assert!(remember(number, "192.0.2.7:1").0);
    }
    let (known, list) = remember(0, "192.0.2.8:2");
    assert_eq!((known, list.len() as u64), (true, REMEMBERED_ADDRESSES));
    assert_eq!((&list[0], list.last()), (&met(1, "192.0.2.7:1"), Some(&met(0, "192.0.2.8:2"))));
    let (_, list) = remember(999, "[::1]:9");
    assert_eq!(list.len() as u64, REMEMBERED_ADDRESSES, "one more than there is room for");
    assert_eq!((&list[0], list.last()), (&met(2, "192.0.2.7:1"), Some(&met(999, "[::1]:9"))));
    let longest = "x".repeat(usize::try_from(ADDRESS_BYTES).unwrap());
    assert!(remember(5, &longest).0);
    let (known, list) = remember(6, &(longest + "x"));
    assert!(!known, "too long to be an address");
    assert!(list.contains(&met(6, "192.0.2.7:1")));
}
