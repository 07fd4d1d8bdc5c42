//! A thief who recorded everything and takes the whole state, the pages that were given back too.
//!
//! The thief searches every byte for what the keys that are there open, and tries all of it on what
//! was recorded. Each test also shows that the thief is able: what has to be readable is found.

use std::collections::BTreeSet;

use thistle_engine::content::Content;
use thistle_engine::entry::EntryId;
use thistle_engine::key::{
    AccountId, Context, FeedId, Hasher, PrekeySecret, SLOT_BYTES, Seed, open,
};
use thistle_engine::seal::{Chain, Message, Place, Slot, prekey_name};
use thistle_engine::{Audience, Node};

use crate::common::{Device, account, setup, start};
use crate::keeping::Disk;
use crate::private::{carry, said};

/// A device whose disks can be taken.
struct Victim {
    device: Device,
    store: Disk,
    lock: Disk,
}

impl Victim {
    fn new(number: u8) -> Self {
        let (store, lock) = (Disk::default(), Disk::default());
        let seed = Seed::new([number ^ 0x55; 32]);
        let node = Node::create(store.clone(), &account(number), setup("somebody"), seed, start());
        let mut device = Device { node: node.unwrap(), now: start(), events: Vec::new() };
        device.node.lock_with(device.now, lock.clone()).unwrap();
        Self { device, store, lock }
    }

    fn days(&mut self, days: u64) {
        for _ in 0..days {
            self.device.node.stir(&Seed::new([u8::try_from(days).unwrap(); 32]));
            self.device.pass(24 * 60);
        }
    }

    /// The keys of what was opened, that a thief of this moment can find.
    fn history(&self) -> Vec<Vec<u8>> {
        let (store, lock) = (self.store.bytes(), self.lock.bytes());
        let keys = [8, 4_104].map(|at| lock_of(&lock[at..at + 32], "bucket", (1, 0)));
        let random = |bytes: &&[u8]| !bytes.windows(3).any(|run| run == [0; 3]);
        let found = |locked: &[u8]| keys.iter().find_map(|key| open(key, &[], locked));
        store.windows(48).filter(random).filter_map(found).collect()
    }

    /// Everything that a thief of this moment can find.
    fn loot(&self, recorded: &[Recorded]) -> Loot {
        Loot::find(&self.store.bytes(), &self.lock.bytes(), recorded)
    }
}

/// An entry as a carrier saw it.
#[derive(Clone)]
struct Recorded {
    author: AccountId,
    place: Place,
    ttl: u32,
    content: Content,
}

/// All sealed entries of a device's feed.
fn record(device: &Device) -> Vec<Recorded> {
    let (author, feed) = (device.account(), device.feed());
    let mut prev = EntryId::from_bytes([0; 32]);
    let mut all = Vec::new();
    device
        .reader()
        .export(&feed, &mut |held| {
            let place = Place { feed, seq: held.seq, prev };
            prev = held.id;
            if let Some(payload) = held.payload {
                let content = Content::decode(&payload).unwrap();
                all.push(Recorded { author, place, ttl: held.ttl, content });
            }
            Ok(true)
        })
        .unwrap();
    all
}

/// What a thief took out of a state.
struct Loot {
    prekeys: Vec<Seed>,
    chains: Vec<Seed>,
}

fn lock_of(key: &[u8], what: &str, place: (u64, u64)) -> [u8; 32] {
    let mut hasher = Hasher::new(Context::Plain);
    hasher.update(key).update(what.as_bytes());
    hasher.update(&place.0.to_be_bytes()).update(&place.1.to_be_bytes());
    hasher.finish()
}

impl Loot {
    /// Tries every key of the lock file on everything in the store that is as long as what it locks.
    fn find(store: &[u8], lock: &[u8], recorded: &[Recorded]) -> Self {
        let keys: Vec<&[u8]> = [8, 4_104].iter().filter_map(|at| lock.get(*at..*at + 32)).collect();
        let seqs: BTreeSet<u64> = recorded.iter().map(|one| one.place.seq).collect();
        let locks = |what: &str, feeds: u64| {
            let places = (0..feeds).flat_map(|feed| seqs.iter().map(move |seq| (feed, *seq)));
            let all = places.flat_map(|place| {
                keys.iter().map(move |key| lock_of(key, what, place)).collect::<Vec<_>>()
            });
            all.collect::<Vec<_>>()
        };
        let (prekey, epoch) = (locks("prekey", 1), locks("epoch", 3));
        let mut loot = Self { prekeys: Vec::new(), chains: Vec::new() };
        for bytes in store.windows(50) {
            // A byte string of 48 bytes, as rows hold it.
            let Some(locked) = bytes.strip_prefix(&[0x58, 0x30]) else { continue };
            let secret = |locks: &[[u8; 32]]| {
                let found = locks.iter().find_map(|key| open(key, &[], locked))?;
                Some(Seed::new(found.try_into().unwrap()))
            };
            loot.prekeys.extend(secret(&prekey));
            loot.chains.extend(secret(&epoch));
        }
        loot
    }

    /// Places of recorded messages that what was taken opens.
    fn opens(&self, recorded: &[Recorded], devices: &[FeedId]) -> BTreeSet<u64> {
        let mut chains = self.chains.clone();
        for Recorded { author, place, content, .. } in recorded {
            let Content::Part(part) = content else { continue };
            for secret in &self.prekeys {
                let prekey = PrekeySecret::from_seed(secret.clone());
                let name = prekey_name(&prekey.public());
                for device in devices {
                    let slot =
                        Slot { author, place: *place, device, prekey: name, commit: &part.commit };
                    let slots = part.slots.chunks(SLOT_BYTES);
                    chains.extend(slots.filter_map(|locked| slot.open(&prekey, locked)));
                }
            }
        }
        let mut opened = BTreeSet::new();
        for first in chains {
            let mut chain = Chain::at(first, 0);
            for _ in 0..40 {
                let tag = chain.tag();
                let key = chain.take();
                for Recorded { place, ttl, content, .. } in recorded {
                    let Content::Sealed(sealed) = content else { continue };
                    // A chain that was taken in its middle does not say where; the tag does.
                    let places =
                        (1..place.seq).flat_map(|epoch| (0..40).map(move |at| (epoch, at)));
                    let mut places = places.filter(|_| sealed.tag == tag);
                    let (place, ttl) = (*place, *ttl);
                    if places.any(|(epoch, index)| {
                        Message { place, ttl, epoch, index }.open(&key, &sealed.text).is_some()
                    }) {
                        opened.insert(place.seq);
                    }
                }
            }
        }
        opened
    }
}

/// Lets one tell the other something that is to disappear after a day; returns its place.
fn tell(from: &mut Victim, to: &Victim, words: &str) -> u64 {
    let audience = Audience::Contact(to.device.account());
    let device = &mut from.device;
    match device.node.write_private(device.now, &audience, said(words), 24).unwrap() {
        thistle_engine::Sent::Written(written) => written.seq,
        other => panic!("{other:?}"),
    }
}

fn two() -> (Victim, Victim) {
    let (mut ana, mut bo) = (Victim::new(1), Victim::new(2));
    ana.device.befriend(&mut bo.device);
    bo.device.befriend(&mut ana.device);
    carry(&mut ana.device, &mut bo.device);
    (ana, bo)
}

#[test]
fn nothing_older_than_the_window_opens_with_all_that_is_left() {
    let (mut ana, mut bo) = two();
    let old = tell(&mut ana, &bo, "burn this");
    // What expires here is dropped, so it is recorded at once.
    let mut recorded = record(&ana.device);
    carry(&mut ana.device, &mut bo.device);
    assert_eq!(bo.device.told_with(ana.device.account()), ["burn this"]);
    let devices = [bo.device.feed(), ana.device.feed()];
    let now = bo.loot(&recorded);
    assert!(
        now.opens(&recorded, &devices).contains(&old),
        "at once a thief of the reader reads it"
    );
    let keys = bo.history();
    assert!(!keys.is_empty(), "and finds the key of what was opened");
    for _ in 0..31 {
        ana.days(1);
        bo.days(1);
    }
    carry(&mut ana.device, &mut bo.device);
    let new = tell(&mut ana, &bo, "of today");
    carry(&mut ana.device, &mut bo.device);
    recorded.extend(record(&ana.device).into_iter().filter(|one| one.place.seq > old));
    for (victim, who) in [(&ana, "the author"), (&bo, "the reader")] {
        let loot = victim.loot(&recorded);
        let opened = loot.opens(&recorded, &devices);
        assert!(!opened.contains(&old), "31 days later at {who}: {opened:?}");
        let left = victim.history();
        assert!(
            !left.iter().any(|key| keys.contains(key)),
            "the key of what was dropped, at {who}"
        );
    }
    assert!(bo.loot(&recorded).opens(&recorded, &devices).contains(&new), "the thief is able");
}

#[test]
fn the_author_forgets_within_a_day() {
    let (mut ana, bo) = two();
    let old = tell(&mut ana, &bo, "burn this");
    let devices = [bo.device.feed(), ana.device.feed()];
    let recorded = record(&ana.device);
    ana.days(2);
    let opened = ana.loot(&recorded).opens(&recorded, &devices);
    assert!(!opened.contains(&old), "{opened:?}");
}

#[test]
fn two_round_trips_after_a_theft_shut_the_thief_out() {
    let (mut ana, mut bo) = two();
    tell(&mut ana, &bo, "before the theft");
    carry(&mut ana.device, &mut bo.device);
    tell(&mut bo, &ana, "an answer");
    carry(&mut ana.device, &mut bo.device);
    let all = |ana: &Victim, bo: &Victim| [record(&ana.device), record(&bo.device)].concat();
    let taken = all(&ana, &bo);
    let devices = [bo.device.feed(), ana.device.feed()];
    let loot = bo.loot(&taken);
    let at_first = tell(&mut ana, &bo, "on the day of the theft");
    assert!(loot.opens(&record(&ana.device), &devices).contains(&at_first), "the thief is able");
    for round in 0..2 {
        ana.days(8);
        bo.days(8);
        tell(&mut ana, &bo, &format!("round {round}"));
        carry(&mut ana.device, &mut bo.device);
        tell(&mut bo, &ana, &format!("round {round}"));
        carry(&mut ana.device, &mut bo.device);
    }
    let [from_ana, from_bo] =
        [tell(&mut ana, &bo, "afterwards"), tell(&mut bo, &ana, "afterwards")];
    for (victim, place) in [(&ana, from_ana), (&bo, from_bo)] {
        let opened = loot.opens(&record(&victim.device), &devices);
        assert!(!opened.contains(&place), "{opened:?}");
    }
}
