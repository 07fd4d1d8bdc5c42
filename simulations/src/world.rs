//! A world of production nodes that carry plain bundles to each other under one seed.
//!
//! Phase one is safety: bundles are cut short, repeated, handed over late and out of order, made
//! too small; clocks are wrong by years; homes are copied and both copies write; people come back
//! with a new device. Phase two is liveness: faults stop, everybody hears everybody, and then
//! everybody holds the same. The log of a world is a function of its seed.

use std::collections::{BTreeMap, BTreeSet};

use thistle_engine::account::{AccountKey, Phrase};
use thistle_engine::content::{Carry, Content, Post, Ranges};
use thistle_engine::key::{FeedId, Seed as Secret};
use thistle_engine::time::Now;
use thistle_engine::{
    BundleRequest, Event, Held, Input, Node, Output, Setup, StoreError, WriteError,
};

use crate::{Disk, Seed};

/// Rounds of everybody hearing everybody after the faults stop, at most.
const HEALING_ROUNDS: usize = 12;
/// Memory for pages of each node.
const CACHE_BYTES: usize = 1 << 20;
/// Bundles that wait to be handed over late.
const LATE_BUNDLES: usize = 16;

/// What a world ended with.
#[derive(Debug)]
pub struct Ending {
    /// One line an event, the same for the same seed.
    pub log: Vec<String>,
    /// Promises that did not hold.
    pub broken: Vec<String>,
}

/// What a node was told is durable: feed, seq and text.
type Ledger = Vec<(FeedId, u64, String)>;

#[derive(Debug)]
struct Device {
    node: Node,
    disk: Disk,
    now: Now,
    person: u8,
    ledger: Ledger,
}

/// A world of nodes.
#[derive(Debug)]
pub struct World {
    seed: Seed,
    devices: Vec<Device>,
    late: Vec<Vec<u8>>,
    retracted: Vec<(FeedId, u64)>,
    ending: Ending,
    written: u64,
}

impl World {
    /// Runs a world of `nodes` nodes for `steps` steps and heals it.
    pub fn run(seed: u64, nodes: u8, steps: usize) -> Result<Ending, WriteError> {
        let mut world = Self {
            seed: Seed::new(seed),
            devices: Vec::new(),
            late: Vec::new(),
            retracted: Vec::new(),
            ending: Ending { log: Vec::new(), broken: Vec::new() },
            written: 0,
        };
        for person in 0..nodes {
            world.join(person)?;
        }
        world.follow_all()?;
        for _ in 0..steps {
            world.step()?;
        }
        world.heal()?;
        world.judge()?;
        Ok(world.ending)
    }

    fn note(&mut self, line: String) {
        self.ending.log.push(line);
    }

    /// A person begins with a device, or comes back with another one.
    fn join(&mut self, person: u8) -> Result<(), WriteError> {
        let mut secret = [0; 32];
        self.seed.fill(&mut secret);
        let years = 365 * 24 * 3_600_000 * self.seed.below(60);
        let now = Now { tick: self.seed.below(1_000_000), wall: years, boot_id: 1 };
        let name = format!("person {person}");
        let setup = Setup { carry: Carry::Open, name: Some(&name), cache_bytes: CACHE_BYTES };
        let (key, disk) = (account(person), Disk::default());
        let node = Node::create(disk.clone(), &key, setup, Secret::new(secret), now)?;
        self.devices.push(Device { node, disk, now, person, ledger: Ledger::new() });
        Ok(())
    }

    /// Somebody's home is copied, and from then on both copies write.
    fn copy(&mut self, at: usize) -> Result<(), StoreError> {
        let mut secret = [0; 32];
        self.seed.fill(&mut secret);
        let Some(device) = self.devices.get(at) else { return Ok(()) };
        let disk = device.disk.copy();
        let node = Node::open(disk.clone(), Secret::new(secret), CACHE_BYTES, device.now)?;
        let (now, person) = (device.now, device.person);
        self.devices.push(Device { node, disk, now, person, ledger: Ledger::new() });
        self.note(format!("{at} is copied"));
        Ok(())
    }

    fn follow_all(&mut self) -> Result<(), StoreError> {
        let feeds = self.feeds()?;
        for device in &mut self.devices {
            for feed in &feeds {
                device.node.follow(device.now, feed)?;
            }
        }
        Ok(())
    }

    fn feeds(&self) -> Result<Vec<FeedId>, StoreError> {
        self.devices.iter().map(|device| Ok(device.node.me()?.feed)).collect()
    }

    fn step(&mut self) -> Result<(), WriteError> {
        let at = self.seed.index(self.devices.len());
        let minutes = self.seed.below(600);
        if let Some(device) = self.devices.get_mut(at) {
            device.now.tick += minutes * 60_000;
            if self.seed.chance(1, 20) {
                device.now.wall = self.seed.below(1 << 42);
            }
        }
        match self.seed.below(100) {
            0..30 => self.write(at),
            30..34 => self.retract(at),
            34..36 if self.devices.len() < 12 => {
                let person = self.seed.below(4);
                self.join(u8::try_from(person).unwrap_or(0))?;
                self.follow_all()?;
                Ok(())
            }
            36..37 if self.devices.len() < 12 => Ok(self.copy(at)?),
            37..40 => Ok(self.idle(at)?),
            _ => Ok(self.carry(at)?),
        }
    }

    fn write(&mut self, at: usize) -> Result<(), WriteError> {
        let count = 1 + self.seed.below(40);
        let ttl = if self.seed.chance(1, 5) { 1 + self.seed.below(50) } else { 0 };
        let ttl = u32::try_from(ttl).unwrap_or(0);
        let mut contents = Vec::new();
        for _ in 0..count {
            self.written += 1;
            let long = if self.seed.chance(1, 8) { self.seed.below(4_000) } else { 0 };
            let filler = "x".repeat(usize::try_from(long).unwrap_or(0));
            let text = format!("text {} {filler}", self.written);
            let post = Post { time: 1_000, text, ..Post::default() };
            contents.push((Content::Post(post), ttl));
        }
        let Some(device) = self.devices.get_mut(at) else { return Ok(()) };
        let written = device.node.write_many(device.now, &contents, None)?;
        for (entry, (content, ttl)) in written.iter().zip(&contents) {
            if let (Content::Post(post), 0) = (content, ttl) {
                device.ledger.push((entry.feed, entry.seq, post.text.clone()));
            }
        }
        let line = format!("{at} writes {count} ttl {ttl}: {:?}", written.last().map(|w| w.seq));
        self.note(line);
        Ok(())
    }

    fn retract(&mut self, at: usize) -> Result<(), WriteError> {
        let Some(device) = self.devices.get_mut(at) else { return Ok(()) };
        let feed = device.node.me()?.feed;
        let own: Vec<u64> =
            device.ledger.iter().filter(|row| row.0 == feed).map(|row| row.1).collect();
        let Some(seq) = self.seed.choose(&own).copied() else { return Ok(()) };
        if let Some(ranges) = Ranges::new(vec![(seq, seq)]) {
            device.node.write(device.now, &Content::Retraction(ranges), 0)?;
            self.retracted.push((feed, seq));
        }
        self.note(format!("{at} retracts {seq}"));
        Ok(())
    }

    fn idle(&mut self, at: usize) -> Result<(), StoreError> {
        let Some(device) = self.devices.get_mut(at) else { return Ok(()) };
        device.node.handle(device.now, Input::Idle)?;
        while device.node.poll().is_some() {}
        Ok(())
    }

    /// Somebody hands a bundle to somebody, maybe a torn, small, late or repeated one.
    fn carry(&mut self, to: usize) -> Result<(), StoreError> {
        let from = self.seed.index(self.devices.len());
        let peer = self.devices.get(to).map(|device| device.node.me()).transpose()?;
        let mut request = BundleRequest::default();
        if self.seed.chance(1, 2) {
            request.for_peer = peer.map(|me| me.feed);
        }
        if self.seed.chance(1, 4) {
            request.max_bytes = Some(1_000 + self.seed.below(40_000));
        }
        let mut bytes = bundle(self.devices.get(from), &request)?;
        if let Some(limit) = request.max_bytes
            && bytes.len() as u64 > limit
        {
            self.ending.broken.push(format!("a bundle of {} bytes over {limit}", bytes.len()));
        }
        if self.seed.chance(1, 3) {
            bytes.truncate(self.seed.index(bytes.len().max(1)));
        }
        if self.seed.chance(1, 5) {
            self.late.push(bytes.clone());
            if self.late.len() > LATE_BUNDLES {
                let gone = self.seed.index(self.late.len());
                self.late.swap_remove(gone);
            }
        }
        if self.seed.chance(1, 6)
            && let Some(late) = self.seed.choose(&self.late)
        {
            bytes.clone_from(late);
        }
        let line = self.read(to, &bytes)?;
        self.note(format!("{from} to {to}: {line}"));
        Ok(())
    }

    fn read(&mut self, to: usize, bytes: &[u8]) -> Result<String, StoreError> {
        let chunk = 1 + self.seed.index(100_000);
        let Some(device) = self.devices.get_mut(to) else { return Ok(String::new()) };
        device.node.handle(device.now, Input::BundleOpened { bundle: 1, via: "carried" })?;
        for bytes in bytes.chunks(chunk) {
            device.node.handle(device.now, Input::BundleChunk { bundle: 1, bytes })?;
        }
        device.node.handle(device.now, Input::BundleEnded { bundle: 1 })?;
        let mut line = String::new();
        while let Some(Output::Event(event)) = device.node.poll() {
            match event {
                Event::BundleDone { report, .. } => {
                    line.push_str(&format!(
                        "{} bytes, {} new, {} payloads, {} left, {} refused, {} forks",
                        bytes.len(),
                        report.entries_new,
                        report.payloads_new,
                        report.left_out,
                        report.refused,
                        report.forks
                    ));
                    if report.refused > 0 {
                        self.ending.broken.push(format!("{} pieces refused", report.refused));
                    }
                }
                Event::Retired { .. } => line.push_str(", retired"),
                _ => {}
            }
        }
        Ok(line)
    }

    /// Faults stop, time passes, and everybody hears everybody until nothing is new.
    fn heal(&mut self) -> Result<(), StoreError> {
        for _ in 0..HEALING_ROUNDS {
            self.follow_all()?;
            let before = self.positions()?;
            for to in 0..self.devices.len() {
                for from in 0..self.devices.len() {
                    let bytes = bundle(self.devices.get(from), &BundleRequest::default())?;
                    self.read(to, &bytes)?;
                }
            }
            if self.positions()? == before {
                break;
            }
        }
        for device in &mut self.devices {
            // Beyond every lifetime, so that who heard when makes no difference.
            device.now.tick += 100 * 3_600_000;
            loop {
                device.node.handle(device.now, Input::Idle)?;
                let mut more = false;
                while let Some(Output::Event(event)) = device.node.poll() {
                    more |= event == Event::Idle { more: true };
                }
                if !more {
                    break;
                }
            }
        }
        Ok(())
    }

    /// How much has arrived at each node.
    fn positions(&self) -> Result<Vec<u64>, StoreError> {
        let position = |device: &Device| Ok(device.node.reader()?.status()?.log_position);
        self.devices.iter().map(position).collect()
    }

    /// The promises: every invariant, the same state everywhere, nothing acknowledged lost.
    fn judge(&mut self) -> Result<(), StoreError> {
        let mut states = Vec::new();
        for (at, device) in self.devices.iter().enumerate() {
            let reader = device.node.reader()?;
            let mut findings = Vec::new();
            reader.check(&mut |finding| findings.push(format!("{at}: {finding}")))?;
            self.ending.broken.extend(findings);
            let mut state = BTreeMap::new();
            // What a device wrote itself never gives way to another branch, so that of three
            // branches it may keep another two than the rest.
            let mut own = Vec::new();
            for info in reader.feeds()?.iter().filter(|info| info.held > 0) {
                if info.own {
                    own.push(info.feed);
                }
                let mut entries: Vec<(u8, u64, [u8; 32], bool)> = Vec::new();
                reader.export(&info.feed, &mut |held: Held| {
                    // A retraction in a branch that is not kept reaches those who saw it in time.
                    let retracted = self.retracted.contains(&(info.feed, held.seq));
                    let here = held.payload.is_some() && !retracted;
                    entries.push((held.branch, held.seq, *held.id.as_bytes(), here));
                    Ok(true)
                })?;
                state.insert(info.feed, (info.forked, entries));
            }
            let missing = lost(&state, device, &self.retracted);
            self.ending.broken.extend(missing.into_iter().map(|lost| format!("{at}: {lost}")));
            states.push((state, own));
        }
        let feeds: BTreeSet<FeedId> =
            states.iter().flat_map(|(state, _)| state.keys().copied()).collect();
        let mut differing = Vec::new();
        for feed in feeds {
            let others = states.iter().enumerate().filter(|(_, (_, own))| !own.contains(&feed));
            let held: Vec<_> = others.map(|(at, (state, _))| (at, state.get(&feed))).collect();
            let Some((_, expected)) = held.first() else { continue };
            for (at, found) in held.iter().filter(|(_, found)| found != expected) {
                differing.push(format!("{feed:?} at {at}: {}", difference(*found, *expected)));
            }
        }
        self.ending.broken.extend(differing);
        Ok(())
    }
}

/// What is held of a feed: where it is forked, and branch, seq, id and whether the payload is here.
type Branches = (Option<u64>, Vec<(u8, u64, [u8; 32], bool)>);
type State = BTreeMap<FeedId, Branches>;

/// What one node holds of a feed and another does not, at most a few entries of it.
fn difference(found: Option<&Branches>, expected: Option<&Branches>) -> String {
    let (Some(found), Some(expected)) = (found, expected) else {
        return format!("held {} where {} is expected", found.is_some(), expected.is_some());
    };
    let only = |a: &Branches, b: &Branches| {
        let entries = a.1.iter().filter(|entry| !b.1.contains(entry));
        entries.map(|(branch, seq, _, here)| (*branch, *seq, *here)).take(5).collect::<Vec<_>>()
    };
    let forks = (found.0, expected.0);
    format!(
        "forks {forks:?}, only here {:?}, only there {:?}",
        only(found, expected),
        only(expected, found)
    )
}

/// Own entries that were acknowledged, were not taken back, and are not here.
fn lost(state: &State, device: &Device, retracted: &[(FeedId, u64)]) -> Vec<String> {
    let mut lost = Vec::new();
    for (feed, seq, text) in &device.ledger {
        let entries = state.get(feed).map(|(_, entries)| entries.as_slice()).unwrap_or_default();
        let here = entries.iter().any(|entry| entry.1 == *seq && entry.3);
        if !here && !retracted.contains(&(*feed, *seq)) {
            let text: String = text.chars().take(12).collect();
            lost.push(format!("person {} lost {feed:?} {seq}: {text}", device.person));
        }
    }
    lost
}

fn account(person: u8) -> AccountKey {
    AccountKey::from_phrase(&Phrase::from_entropy(&Secret::new([person; 32])))
}

fn bundle(from: Option<&Device>, request: &BundleRequest) -> Result<Vec<u8>, StoreError> {
    let Some(device) = from else { return Ok(Vec::new()) };
    let mut source = device.node.reader()?.bundle(request)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = source.poll()? {
        bytes.extend(chunk);
    }
    Ok(bytes)
}
