//! Goal: a backup holds everything of one moment, whoever opens one goes on in a new feed and hurts
//! nobody, a spoiled one is refused, compacting loses nothing, and reading alone changes nothing. Method: disks in memory that can
//! be opened again, cut and spoiled.

use std::io;
use std::sync::{Arc, Mutex};

use crate::common::{CACHE, Device, Exported, account, setup, start};
use thistle_engine::key::{FeedId, Seed};
use thistle_engine::policy::CarryClass;
use thistle_engine::{Event, FeedInfo, Node, Output, Query, Reader, StorageBackend, StoreError};

/// A disk in memory. Its clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<Vec<u8>>>);

impl Disk {
    fn of(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(bytes)))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        let bytes = self.0.lock().unwrap();
        let found = bytes.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        self.0.lock().unwrap()[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn device(number: u8, disk: Disk) -> Device {
    let name = format!("person {number}");
    let seed = Seed::new([number ^ 0x55; 32]);
    let node = Node::create(disk, &account(number), setup(&name), seed, start());
    Device { node: node.unwrap(), now: start(), events: Vec::new() }
}

fn backup(device: &Device) -> Disk {
    backup_of(&device.reader())
}

fn backup_of(reader: &Reader) -> Disk {
    let disk = Disk::default();
    assert!(reader.back_up(disk.clone(), CACHE, &mut |_, _| true).unwrap());
    disk
}

fn restore(backup: &Disk, seed: u8) -> Result<Device, StoreError> {
    let disk = Disk::of(backup.bytes());
    let node = Node::restore(disk, Seed::new([seed; 32]), CACHE, start())?;
    Ok(Device { node, now: start(), events: Vec::new() })
}

/// A device that holds a bit of everything, and the feeds that it knows.
fn settled() -> (Device, Vec<FeedId>) {
    let mut a = device(1, Disk::default());
    let (mut b, mut c) = (Device::new(2), Device::new(3));
    a.write("the bridge is out");
    a.write(&"a long story ".repeat(200));
    a.write_ttl("soon over", 2);
    a.node.write_many(a.now, &[(crate::common::post("letter"), 0)], Some(([7; 32], 41))).unwrap();
    b.write_many((0..100).map(|n| format!("step {n}")));
    b.write(&"what I saw ".repeat(300));
    c.write("unwanted");
    let unheld = Device::new(9).feed();
    a.node.follow(a.now, &b.feed()).unwrap();
    a.node.follow(a.now, &unheld).unwrap();
    a.read(&b.bundle_all());
    a.node.set_petname(a.now, &b.feed(), Some("The Miller")).unwrap();
    a.node.block(a.now, &c.feed()).unwrap();
    a.read(&c.bundle_all());
    a.node.set_quota(a.now, CarryClass::Stranger, 9_000).unwrap();
    for number in 20..30 {
        let mut stranger = Device::new(number);
        stranger.write_many((0..8).map(|n| format!("{number} says {n} {}", "x".repeat(150))));
        a.read(&stranger.bundle_all());
    }
    assert!(a.reader().status().unwrap().left_out_feeds > 0);
    a.idle();
    let feeds = a.reader().feeds().unwrap().iter().map(|info| info.feed).collect();
    (a, feeds)
}

/// Everything that a person would miss; that payloads are those of the ids, the check says.
fn held(device: &mut Device, feeds: &[FeedId]) -> Vec<String> {
    device.idle();
    device.check();
    let reader = device.reader();
    let infos = reader.feeds().unwrap();
    let mut all = Vec::new();
    for feed in feeds {
        let info = infos.iter().find(|info| info.feed == *feed).unwrap();
        let mut info = info.clone();
        (info.retired, info.class) = (false, CarryClass::Own);
        all.push(format!("{info:?}"));
        let short = |entry: Exported| (entry.0, entry.1, entry.2[0], entry.3.map(|p| p.len()));
        all.extend(device.export(feed).into_iter().map(|entry| format!("{:?}", short(entry))));
    }
    let status = reader.status().unwrap();
    let left_out = reader.left_out().unwrap();
    let marked = reader.progress(&[7; 32]).unwrap();
    let quotas: Vec<_> = status.usage.iter().map(|usage| (usage.0, usage.2)).collect();
    all.push(format!("{:?} {left_out:?} {marked} {quotas:?}", status.counts));
    all
}

fn restored(device: &mut Device) -> Option<(FeedId, FeedId)> {
    let mut found = None;
    while let Some(Output::Event(event)) = device.node.poll() {
        if let Event::Restored { old, new } = event {
            found = Some((old, new));
        }
    }
    found
}

#[test]
fn a_backup_holds_one_moment_while_the_node_goes_on() {
    let (mut a, feeds) = settled();
    let (before, reader) = (held(&mut a, &feeds), a.reader());
    let disk = Disk::default();
    let mut told = Vec::new();
    let mut visit = |done, total| {
        a.write("meanwhile");
        told.push((done, total));
        true
    };
    assert!(reader.back_up(disk.clone(), CACHE, &mut visit).unwrap());
    assert!(told.len() > 1 && told.is_sorted(), "{told:?}");
    assert_eq!(told.last().map(|last| last.0), told.last().map(|last| last.1), "{told:?}");
    let mut b = restore(&disk, 77).unwrap();
    assert_eq!(held(&mut b, &feeds), before);
    a.check();
}

#[test]
fn a_restored_backup_goes_on_in_a_new_feed_that_the_phrase_confirms() {
    let (mut a, feeds) = settled();
    let mut b = restore(&backup(&a), 77).unwrap();
    let (old, new) = restored(&mut b).unwrap();
    assert_eq!((old, new), (a.feed(), b.feed()));
    assert_ne!(old, new);
    let me = b.node.me().unwrap();
    assert_eq!((me.account, me.confirmed), (account(1).id(), false));
    let infos = b.reader().feeds().unwrap();
    let info = |feed| infos.iter().find(|info| info.feed == feed).unwrap();
    assert_eq!((info(old).own, info(old).retired), (true, true));
    assert_eq!(info(new).successor_of, Some(old));
    let found = |device: &Device| device.reader().query(&Query::default()).unwrap().len();
    assert_eq!(found(&b), found(&a), "also before anything is indexed");
    b.idle();
    assert_eq!(found(&b), found(&a));
    b.write("on the new device");
    b.node.confirm(b.now, &account(1)).unwrap();
    assert!(b.node.me().unwrap().confirmed);
    assert_eq!(b.export(&old), a.export(&old), "nothing is added to the old feed");
    assert_eq!(held(&mut b, &feeds), held(&mut a, &feeds));
    let infos = b.reader().feeds().unwrap();
    let named = |info: &&FeedInfo| info.name.as_deref() == Some("person 1");
    assert_eq!(infos.iter().filter(named).count(), 2, "the name goes with the person");
}

#[test]
fn a_backup_that_is_put_in_the_place_of_a_store_goes_on_in_a_new_feed_too() {
    let (a, _) = settled();
    let disk = backup(&a);
    let open = |seed| Node::open(disk.clone(), Seed::new([seed; 32]), CACHE, start()).unwrap();
    let first = open(5).me().unwrap().feed;
    assert_ne!(first, a.feed());
    assert_eq!(open(6).me().unwrap().feed, first, "from then on it is a store like others");
    let again = Node::restore(disk.clone(), Seed::new([7; 32]), CACHE, start());
    assert!(matches!(again, Err(StoreError::NoBackup)), "{again:?}");
}

#[test]
fn two_restores_and_the_old_device_meet_without_a_fork() {
    let (mut a, _) = settled();
    let disk = backup(&a);
    a.write("after the backup");
    a.write("and more");
    let old = a.feed();
    let mut friend = Device::new(2);
    friend.node.follow(friend.now, &old).unwrap();
    friend.read(&a.bundle_all());
    let (mut b, mut c) = (restore(&disk, 77).unwrap(), restore(&disk, 78).unwrap());
    assert_ne!(b.feed(), c.feed());
    b.write("from the second device");
    c.write("from the third device");
    b.read(&friend.bundle_all());
    assert_eq!(b.export(&old), a.export(&old), "what came after the backup is back");
    assert_ne!(b.feed(), old);
    let mut all = [a, b, c, friend];
    for _ in 0..2 {
        for from in 0..all.len() {
            let bundle = all[from].bundle_all();
            for device in &mut all {
                device.read(&bundle);
            }
        }
    }
    let [a, b, c, friend] = &all;
    assert_eq!(a.feed(), old, "the old device goes on as before");
    for device in [a, b, c, friend] {
        for feed in [a.feed(), b.feed(), c.feed()] {
            assert_eq!(device.export(&feed), a.export(&feed));
        }
        let infos = device.reader().feeds().unwrap();
        assert!(infos.iter().all(|info| info.forked.is_none()), "nobody sees a fork");
        let of_person = |info: &&FeedInfo| info.account == Some(account(1).id());
        assert_eq!(infos.iter().filter(of_person).count(), 3);
        let forked = |event: &Event| matches!(event, Event::ForkFound { .. });
        assert!(!device.events.iter().any(forked));
        device.check();
    }
    let infos = friend.reader().feeds().unwrap();
    let new = infos.iter().find(|info| info.feed == b.feed()).unwrap();
    assert_eq!((new.class, new.successor_of), (CarryClass::Followed, Some(old)));
}

#[test]
fn a_copy_that_is_stopped_or_cut_short_is_no_backup() {
    let (a, _) = settled();
    let disk = Disk::default();
    assert!(!a.reader().back_up(disk.clone(), CACHE, &mut |done, _| done < 50).unwrap());
    assert!(restore(&disk, 5).is_err());
    let whole = backup(&a).bytes();
    for part in 0..64 {
        let cut = whole.len() * part / 64;
        let error = restore(&Disk::of(whole[..cut].to_vec()), 5).unwrap_err();
        assert!(error.io().is_none(), "cut at {cut}: {error}");
    }
    let foreign = restore(&Disk::of(vec![b'x'; 100_000]), 5).unwrap_err();
    assert!(matches!(foreign, StoreError::Foreign), "{foreign}");
}

#[test]
fn a_spoiled_backup_is_refused_or_holds_everything() {
    let (mut a, feeds) = settled();
    let (whole, expected) = (backup(&a).bytes(), held(&mut a, &feeds));
    let (mut refused, mut sound) = (0, 0);
    // Much of the file is zero; only what is written can be spoiled.
    let written: Vec<_> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    for at in written.iter().step_by(written.len() / 300) {
        let mut spoiled = whole.clone();
        spoiled[*at] ^= 0x40;
        match restore(&Disk::of(spoiled), 5) {
            Err(_) => refused += 1,
            Ok(mut restored) => {
                assert_eq!(held(&mut restored, &feeds), expected, "spoiled at {at}");
                sound += 1;
            }
        }
    }
    assert!(refused > 30, "{refused} refused, {sound} sound");
}

#[test]
fn compacting_gives_room_back_and_loses_nothing() {
    let disk = Disk::default();
    let mut a = device(1, disk.clone());
    let mut b = Device::new(2);
    b.write_many((0..4_000).map(|n| format!("step {n} {}", "on the way ".repeat(20))));
    a.read(&b.bundle_all());
    a.idle();
    a.write("to be kept");
    a.node.block(a.now, &b.feed()).unwrap();
    let (kept, before) = (a.export(&a.feed()), disk.len().unwrap());
    let reader = a.reader();
    assert!(!a.node.compact().unwrap(), "somebody reads");
    assert_eq!(reader.query(&Query::default()).unwrap().len(), 1);
    drop(reader);
    assert!(a.node.compact().unwrap());
    let after = disk.len().unwrap();
    assert!(after * 2 < before, "{before} bytes before, {after} after");
    assert_eq!(a.export(&a.feed()), kept);
    a.check();
    a.write("afterwards");
    a.check();
    // As a kill leaves it: nothing is closed, and what was compacted is there.
    let killed = Disk::of(disk.bytes());
    let node = Node::open(killed, Seed::new([5; 32]), CACHE, start()).unwrap();
    let b = Device { node, now: start(), events: Vec::new() };
    assert_eq!(b.export(&a.feed()), a.export(&a.feed()));
    b.check();
}

#[test]
fn a_store_is_read_without_a_change_if_it_was_closed_in_order() {
    let disk = Disk::default();
    let mut a = device(1, disk.clone());
    a.write("one");
    a.idle();
    a.write("two");
    let look = |disk: &Disk| Reader::open(disk.clone(), CACHE, start()).unwrap();
    assert!(look(&Disk::of(disk.bytes())).is_none(), "as a kill leaves it");
    let told = a.reader().query(&Query::default()).unwrap();
    let (feeds, status) = (a.reader().feeds().unwrap(), a.reader().status().unwrap());
    drop(a.node);
    let closed = disk.bytes();
    let reader = look(&disk).expect("it was closed in order");
    assert_eq!(reader.query(&Query::default()).unwrap(), told);
    assert_eq!((reader.feeds().unwrap(), reader.status().unwrap()), (feeds, status));
    assert!(reader.is_tidy().unwrap(), "one entry is not worth an index");
    assert!(backup_of(&reader).len().unwrap() > 0);
    drop(reader);
    assert!(disk.bytes() == closed, "nothing was changed");
    assert!(look(&Disk::of(Vec::new())).is_none());
    assert!(look(&Disk::of(vec![7; 5_000])).is_none());
}

#[test]
fn what_waits_is_seen_by_who_reads_alone() {
    let disk = Disk::default();
    let mut a = device(1, disk.clone());
    a.write_many((0..500).map(|n| format!("step {n}")));
    drop(a.node);
    let open = |tick| Node::open(disk.clone(), Seed::new([5; 32]), CACHE, at(tick)).unwrap();
    let is_tidy = |tick| {
        let reader = Reader::open(disk.clone(), CACHE, at(tick)).unwrap().unwrap();
        let (minutes, tidy) = (reader.status().unwrap().known_minutes, reader.is_tidy().unwrap());
        drop(reader);
        (minutes, tidy)
    };
    assert_eq!(is_tidy(0), (0, false), "many are without an index");
    let mut a = Device { node: open(0), now: at(0), events: Vec::new() };
    a.idle();
    a.write_ttl("short", 1);
    drop(a.node);
    assert_eq!(is_tidy(59), (59, true));
    assert_eq!(is_tidy(61), (61, false), "one is overdue");
    let mut a = Device { node: open(61), now: at(61), events: Vec::new() };
    a.idle();
    drop(a.node);
    assert_eq!(is_tidy(61), (61, true));
    assert!(Reader::open(backup_of(&look_at(&disk)), CACHE, start()).unwrap().is_none());
}

/// The clocks so many minutes after the start.
fn at(minutes: u64) -> thistle_engine::time::Now {
    let now = start();
    thistle_engine::time::Now {
        tick: now.tick + minutes * 60_000,
        wall: now.wall + minutes * 60_000,
        ..now
    }
}

fn look_at(disk: &Disk) -> Reader {
    Reader::open(disk.clone(), CACHE, start()).unwrap().unwrap()
}
