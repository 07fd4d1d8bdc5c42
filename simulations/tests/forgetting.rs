//! Goal: power can go at any sync of the store or of the file with the key that locks what is to be
//! forgotten; no private message that was acknowledged is lost, what was deleted stays shut for good,
//! and both people go on. Method: two homes with a contact between them, of which one is cut at each
//! sync of either disk; its disks are rebuilt as they may have been, and the production code opens them.
//!
//! The short form cuts at a sample of the syncs; `THISTLE_LONG=1` cuts at all, with more disks each.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thistle_engine::content::{Carry, Content, Post};
use thistle_engine::key::{AccountId, FeedId, Seed as Secret};
use thistle_engine::time::Now;
use thistle_engine::{
    Audience, BundleRequest, Event, Input, Node, Output, Sent, Setup, StorageBackend, WriteError,
};
use thistle_simulations::{Disk, Seed, author};

const CACHE_BYTES: usize = 1 << 20;
/// Bytes of the file with the key, and of each of its two slots.
const KEY_FILE: usize = 2 * SLOT;
const SLOT: usize = 4_096;
/// Days of the run.
const DAYS: u64 = 5;

/// The power of one machine: how many syncs it lasts for, over all of its disks.
#[derive(Debug, Clone)]
struct Power(Arc<AtomicU64>);

/// A disk on that power.
#[derive(Debug, Clone)]
struct Plugged {
    disk: Disk,
    power: Power,
}

impl Power {
    fn is_there(&self) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) > 0 { Ok(()) } else { Err(io::Error::other("no power")) }
    }
}

impl StorageBackend for Plugged {
    fn len(&self) -> io::Result<u64> {
        self.power.is_there()?;
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.power.is_there()?;
        self.disk.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.power.is_there()?;
        self.disk.set_len(len)
    }

    /// Power goes at the end of the last sync, which has not happened then.
    fn sync_data(&self) -> io::Result<()> {
        self.power.is_there()?;
        self.power.0.fetch_sub(1, Ordering::Relaxed);
        self.power.is_there()?;
        self.disk.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.power.is_there()?;
        self.disk.write(offset, data)
    }
}

/// One of the two people.
struct Person {
    node: Node,
    store: Disk,
    keys: Disk,
    now: Now,
}

type Done<T> = Result<T, WriteError>;

impl Person {
    fn begin(number: u8, power: &Power) -> Self {
        let (store, keys) = (Disk::default(), Disk::default());
        let now = Now { tick: 1_000, wall: 1_772_438_400_000, boot_id: 1 };
        let plugged = |disk: &Disk| Plugged { disk: disk.clone(), power: power.clone() };
        let setup = Setup { carry: Carry::Open, name: None, cache_bytes: CACHE_BYTES };
        let seed = Secret::new([number; 32]);
        let mut node =
            Node::create(plugged(&store), &author::account(number), setup, seed, now).unwrap();
        node.lock_with(now, plugged(&keys)).unwrap();
        Self { node, store, keys, now }
    }

    /// The same person on other disks.
    fn open(store: Disk, keys: Disk, now: Now, seed: u64) -> Result<Self, String> {
        let now = Now { tick: 5, boot_id: now.boot_id + 1, ..now };
        let secret = author::secret(&mut Seed::new(seed));
        let opened = Node::open(store.clone(), secret, CACHE_BYTES, now);
        let mut node = opened.map_err(|error| format!("the store: {error}"))?;
        node.lock_with(now, keys.clone()).map_err(|error| format!("the keys: {error}"))?;
        Ok(Self { node, store, keys, now })
    }

    fn account(&self) -> AccountId {
        self.node.me().unwrap().account
    }

    fn befriend(&mut self, other: &mut Self) {
        let card = other.node.card(other.now).unwrap().unwrap();
        self.node.add_contact(self.now, &card, None, true).unwrap();
    }

    fn rest(&mut self) -> Done<()> {
        loop {
            self.node.handle(self.now, Input::Idle)?;
            let (mut more, mut ended) = (false, false);
            while let Some(output) = self.node.poll() {
                if let Output::Event(Event::Idle { more: waits }) = output {
                    (more, ended) = (waits, true);
                }
            }
            if ended && !more {
                return Ok(());
            }
        }
    }

    fn bundle(&self) -> Vec<u8> {
        let mut source = self.node.reader().unwrap().bundle(&BundleRequest::default()).unwrap();
        let mut bytes = Vec::new();
        while let Some(chunk) = source.poll().unwrap() {
            bytes.extend(chunk);
        }
        bytes
    }

    fn read(&mut self, bytes: &[u8]) -> Done<()> {
        self.node.handle(self.now, Input::BundleOpened { bundle: 1, via: "carried" })?;
        self.node.handle(self.now, Input::BundleChunk { bundle: 1, bytes })?;
        self.node.handle(self.now, Input::BundleEnded { bundle: 1 })?;
        while self.node.poll().is_some() {}
        self.rest()
    }

    fn tell(&mut self, to: AccountId, text: &str) -> Done<Option<(FeedId, u64)>> {
        let post = Post { time: 1_772_438_400, text: text.to_owned(), ..Post::default() };
        let sent = self.node.write_private(self.now, &Audience::Contact(to), post, 0)?;
        let feed = self.node.me()?.feed;
        Ok(if let Sent::Written(written) = sent { Some((feed, written.seq)) } else { None })
    }

    fn texts(&self, with: AccountId) -> BTreeSet<String> {
        let reader = self.node.reader().unwrap();
        let said = reader.said(&Audience::Contact(with), usize::MAX, &mut |_| true).unwrap();
        let text = |content: Content| match content {
            Content::Post(post) | Content::Reply(post) => post.text,
            other => panic!("{other:?}"),
        };
        said.into_iter().map(|said| text(said.content)).collect()
    }

    fn pass_a_day(&mut self) -> Done<()> {
        self.now.tick += 24 * 3_600_000;
        self.now.wall += 24 * 3_600_000;
        self.rest()
    }

    /// The bytes of a disk.
    fn all(disk: &Disk) -> Vec<u8> {
        let mut bytes = vec![0; disk.size()];
        disk.read(0, &mut bytes).unwrap();
        bytes
    }

    /// The keys in the slots of the file.
    fn key_slots(&self) -> BTreeSet<Vec<u8>> {
        let bytes = Self::all(&self.keys);
        let slots = bytes.chunks(SLOT).take(KEY_FILE / SLOT).map(|slot| slot[8..40].to_vec());
        slots.filter(|key| key.iter().any(|byte| *byte != 0)).collect()
    }
}

/// What was acknowledged until power went.
#[derive(Debug, Default)]
struct Ledger {
    /// Texts that have to be there.
    kept: BTreeSet<String>,
    /// Texts that may be there or not: their deletion was not acknowledged.
    doubtful: BTreeSet<String>,
    gone: BTreeSet<String>,
    /// Keys under which something was locked that is deleted.
    dead: BTreeSet<Vec<u8>>,
}

/// The run: who is cut, the contact, and what was acknowledged.
struct Run {
    ana: Person,
    bo: Person,
    ledger: Ledger,
}

impl Run {
    /// Runs until power is gone after so many syncs of ana's disks, or to the end; how many there were.
    fn until(syncs: u64) -> (Self, u64) {
        let (power, other) = [(); 2].map(|()| Power(Arc::new(AtomicU64::new(u64::MAX)))).into();
        let (mut ana, mut bo) = (Person::begin(1, &power), Person::begin(2, &other));
        ana.befriend(&mut bo);
        bo.befriend(&mut ana);
        for _ in 0..2 {
            bo.read(&ana.bundle()).unwrap();
            ana.read(&bo.bundle()).unwrap();
        }
        let mut run = Self { ana, bo, ledger: Ledger::default() };
        power.0.store(syncs, Ordering::Relaxed);
        if run.live().is_ok() {
            assert!(power.is_there().is_ok(), "nothing goes on without power");
        }
        let left = power.0.swap(u64::MAX, Ordering::Relaxed);
        (run, syncs.saturating_sub(left))
    }

    /// Some days of two people who write to each other; one of them deletes what was said the day before.
    fn live(&mut self) -> Done<()> {
        let (ana, bo) = (self.ana.account(), self.bo.account());
        let mut before = None;
        for day in 0..DAYS {
            self.bo.tell(ana, &format!("bo on day {day}")).unwrap();
            let mine = format!("ana on day {day}");
            let place = self.ana.tell(bo, &mine)?;
            self.ledger.kept.insert(mine.clone());
            let bundle = self.bo.bundle();
            self.ana.read(&bundle)?;
            self.ledger.kept.extend(self.ana.texts(bo));
            // What ana makes is read by bo once it is durable here.
            let bundle = self.ana.bundle();
            self.bo.read(&bundle).unwrap();
            if let Some((text, place)) = before.replace((mine, place)) {
                self.delete(&text, place)?;
            }
            self.bo.pass_a_day().unwrap();
            self.ana.pass_a_day()?;
        }
        Ok(())
    }

    fn delete(&mut self, text: &str, place: Option<(FeedId, u64)>) -> Done<()> {
        self.ledger.kept.remove(text);
        self.ledger.doubtful.insert(text.to_owned());
        let keys = self.ana.key_slots();
        self.ana.node.delete(self.ana.now, &[place.expect("it was sealed")])?;
        self.ledger.doubtful.remove(text);
        self.ledger.gone.insert(text.to_owned());
        self.ledger.dead.extend(keys);
        Ok(())
    }

    /// What is wrong with one image of ana's disks.
    fn examine(&self, seed: u64) -> Result<(), String> {
        let mut die = Seed::new(seed);
        let (store, keys) =
            (self.ana.store.after_power_loss(&mut die), self.ana.keys.after_power_loss(&mut die));
        for (name, disk) in [("store", &store), ("keys", &keys)] {
            let bytes = Person::all(disk);
            let found = self.ledger.dead.iter().any(|key| holds(&bytes, key));
            let said = self.ledger.gone.iter().any(|text| holds(&bytes, text.as_bytes()));
            if found || said {
                return Err(format!("{name}: a dead key {found}, a deleted text {said}"));
            }
        }
        let mut ana = Person::open(store, keys, self.ana.now, seed)?;
        ana.rest().map_err(|error| format!("work behind: {error}"))?;
        if ana.key_slots().len() != 1 {
            return Err(format!("{} keys are left", ana.key_slots().len()));
        }
        let (me, bo) = (ana.account(), self.bo.account());
        let texts = ana.texts(bo);
        if let Some(lost) = self.ledger.kept.difference(&texts).next() {
            return Err(format!("{lost:?} is lost"));
        }
        if let Some(back) = self.ledger.gone.intersection(&texts).next() {
            return Err(format!("{back:?} is back"));
        }
        let mut findings = Vec::new();
        let checked = ana
            .node
            .reader()
            .and_then(|reader| reader.check(&mut |finding| findings.push(finding.to_string())));
        if checked.is_err() || !findings.is_empty() {
            return Err(format!("{checked:?} {findings:?}"));
        }
        let copies = (self.bo.store.copy(), self.bo.keys.copy());
        let mut bo = Person::open(copies.0, copies.1, self.bo.now, seed)?;
        let both = |ana: &mut Person, bo: &mut Person| -> Done<()> {
            ana.tell(bo.account(), "ana is back")?;
            bo.tell(me, "bo heard of it")?;
            for _ in 0..2 {
                bo.read(&ana.bundle())?;
                ana.read(&bo.bundle())?;
            }
            Ok(())
        };
        both(&mut ana, &mut bo).map_err(|error| format!("going on: {error}"))?;
        if !bo.texts(me).contains("ana is back")
            || !ana.texts(bo.account()).contains("bo heard of it")
        {
            return Err("they do not read each other any more".to_owned());
        }
        Ok(())
    }
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn what_is_to_be_forgotten_is_and_nothing_else_whenever_power_goes() {
    let (whole, syncs) = Run::until(u64::MAX - 1);
    whole.examine(0).expect("without a cut all is as it should be");
    assert_eq!(whole.ledger.gone.len() as u64, DAYS - 1);
    assert!(syncs > 30, "{syncs} syncs");
    let long = std::env::var_os("THISTLE_LONG").is_some();
    let (step, disks) = if long { (1, 10) } else { (syncs / 12, 3) };
    let mut found = Vec::new();
    for cut in (1..=syncs).step_by(usize::try_from(step).unwrap()) {
        let (run, _) = Run::until(cut);
        let examined = (0..disks).map(|disk| (disk, run.examine(cut * 100 + disk)));
        found.extend(examined.filter_map(|(disk, it)| Some((cut, disk, it.err()?))));
    }
    eprintln!("{syncs} syncs, every {step}, {disks} disks each");
    assert!(
        found.is_empty(),
        "{} findings: {:#?}",
        found.len(),
        found.iter().take(20).collect::<Vec<_>>()
    );
}
