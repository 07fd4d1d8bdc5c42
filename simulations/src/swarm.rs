//! A swarm of production nodes that exchange bundles and meet while everything goes wrong by a seed.
//!
//! First the world runs: bundles get lost, late, repeated, cut, damaged and lied about; so do links,
//! several at once, while other things happen (`encounters`); clocks jump
//! by years, devices start anew, lose power, fill their disks, are restored from old copies; people
//! come and go, block and forgive; strangers push in. Then the faults stop and everybody hears
//! everybody. All along, and most of all in the end, each promise has its checker (`promises`). The
//! log of a world is a function of its seed.

mod device;
mod encounters;
mod link;
mod options;
mod post_office;
mod promises;

use std::collections::{BTreeMap, BTreeSet};

use thistle_engine::content::{Content, Post, Ranges, parents_in_order};
use thistle_engine::entry::EntryId;
use thistle_engine::key::FeedId;
use thistle_engine::{BundleRequest, StoreError, WriteError};

use crate::home::{Home, Reading};
use crate::ledger::Name;
use crate::{Seed, author};
use device::Device;
use link::Link;
use post_office::Letter;

pub use options::{Meetings, Options};

/// Rounds of everybody hearing everybody after the faults stop, at most.
const HEALING_ROUNDS: usize = 16;
/// Bundles that wait to be handed over late.
const LATE_BUNDLES: usize = 12;
/// Devices of a world at most.
const DEVICES: usize = 7;
/// The channel in which order is compared: what stands there is never taken back and never expires.
const PLAZA: &str = "plaza";

/// What a world ended with.
#[derive(Debug)]
pub struct Ending {
    /// What it was made of.
    pub options: Options,
    /// One line an event, the same for the same seed.
    pub log: Vec<String>,
    /// Promises that did not hold.
    pub broken: Vec<String>,
}

impl Ending {
    /// A number for the whole log: another log has another one.
    pub fn digest(&self) -> u64 {
        let bytes = self.log.iter().flat_map(|line| line.bytes().chain([b'\n']));
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

/// Something that a world does wrong on purpose, so that a checker has to notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Every second sync of a disk keeps nothing.
    LyingDisks,
    /// In the end one device hears nothing.
    Deaf,
    /// A device writes between two readings of the same bytes.
    Restless,
    /// What makers of bundles said to hold is remembered as more than it was.
    Boasts,
    /// Clocks run ten times as fast as the world.
    FastClocks,
    /// What one device shows first is taken to be last.
    Disorder,
    /// Strangers take more than they are taken to be allowed.
    Overfull,
    /// A device writes on from a copy while others hold what it wrote before.
    Amnesia,
    /// A bit of what a node sends is turned over before it is looked at.
    Forged,
    /// What a node sends over a link is looked at twice.
    Twice,
    /// Sessions are said to have brought what was there.
    Repeats,
    /// Nobody hears how sessions end.
    Mute,
    /// A device writes between two meetings.
    Chatty,
    /// While all heal by meeting, nobody hears what another one wants.
    Unheard,
    /// While all heal by meeting, everybody lies about the age of everything.
    Aging,
    /// Links are cut although nobody did anything to them.
    Severed,
    /// Bundles are taken to be asked for half as large as they are.
    Tight,
}

/// Makes the second sequence of a world out of its seed.
const ETHER: u64 = 0x6d65_6574_696e_6773;
/// Makes the sequence out of it that says how much links carry.
const WIDTH: u64 = 0x7769_6474_6800_0000;

/// A world of nodes.
#[derive(Debug)]
pub struct Swarm {
    seed: Seed,
    /// Where the choices about meetings come from.
    ether: Seed,
    options: Options,
    devices: Vec<Device>,
    links: BTreeMap<u64, Link>,
    /// Links that were opened so far.
    opened: u64,
    /// Milliseconds in which devices met.
    ms: u64,
    late: Vec<Vec<u8>>,
    /// Strangers' feeds and how far each was handed around.
    strangers: Vec<author::Author>,
    /// Every feed that a device of this world ever wrote.
    feeds: BTreeSet<FeedId>,
    /// What was taken back by anybody.
    retracted: BTreeSet<(FeedId, u64)>,
    /// Minutes since the world began, as nobody's clock shows them.
    minutes: u64,
    /// When each entry with a lifetime was written, and the lifetime in minutes.
    born: BTreeMap<Name, (u64, u64)>,
    texts: u64,
    /// Somebody copied the bare file of a home and used the copy, without a backup being made. Under
    /// one name there are two states now, and what was stated under it can be more than is there:
    /// nobody can tell a bundle that is made now from one that is late. Bundles for everybody heal it.
    rewound: bool,
    log: Vec<String>,
    broken: Vec<String>,
    sabotage: Option<Sabotage>,
}

impl Swarm {
    /// Runs the world that belongs to a seed.
    pub fn run(seed: u64) -> Ending {
        let (options, seed, ether) = Self::drawn(seed);
        Self::with(options, seed, ether).live()
    }

    /// Runs the same world as if nobody ever met: bundles are all that there is.
    pub fn without_meetings(seed: u64) -> Ending {
        let (mut options, seed, ether) = Self::drawn(seed);
        options.meetings = Meetings::NONE;
        Self::with(options, seed, ether).live()
    }

    /// Runs a world in which messages have lifetimes and whoever is met lies about ages, until the
    /// faults stop and all heal by meeting.
    pub fn among_liars(seed: u64) -> Ending {
        let (mut options, seed, ether) = Self::drawn(seed);
        options.among_liars();
        Self::with(options, seed, ether).live()
    }

    fn drawn(seed: u64) -> (Options, Seed, Seed) {
        let mut width = Seed::new(seed ^ WIDTH);
        let (mut seed, mut ether) = (Seed::new(seed), Seed::new(seed ^ ETHER));
        let mut options = Options::draw(&mut seed);
        options.meetings = Meetings::draw(&mut ether);
        options.meetings.narrow(&mut width);
        (options, seed, ether)
    }

    /// Runs a world in which something is done wrong.
    pub fn sabotaged(seed: u64, sabotage: Sabotage) -> Ending {
        let (mut options, seed, ether) = Self::drawn(seed);
        match sabotage {
            Sabotage::LyingDisks => options.power = 60,
            Sabotage::Boasts => (options.addressed, options.decisions) = (100, 0),
            Sabotage::FastClocks => {
                (options.aged, options.clocks, options.reboots) = (0, 0, 0);
                (options.lifetimes, options.minutes) = (60, 128);
            }
            Sabotage::Overfull => (options.strangers, options.quota) = (60, 8_000),
            Sabotage::Deaf | Sabotage::Restless | Sabotage::Disorder | Sabotage::Amnesia => {}
            Sabotage::Forged | Sabotage::Twice | Sabotage::Repeats | Sabotage::Mute => {
                options.meetings.often = 50;
            }
            Sabotage::Severed => {
                (options.meetings.often, options.meetings.cut) = (50, 60);
            }
            Sabotage::Tight => options.small = 100,
            Sabotage::Chatty | Sabotage::Unheard | Sabotage::Aging => {
                options.among_liars();
            }
        }
        let mut world = Self::with(options, seed, ether);
        world.sabotage = Some(sabotage);
        world.live()
    }

    fn with(options: Options, seed: Seed, ether: Seed) -> Self {
        let log = vec![options.to_string()];
        Self {
            seed,
            ether,
            options,
            devices: Vec::new(),
            links: BTreeMap::new(),
            opened: 0,
            ms: 0,
            late: Vec::new(),
            strangers: Vec::new(),
            feeds: BTreeSet::new(),
            retracted: BTreeSet::new(),
            minutes: 0,
            born: BTreeMap::new(),
            texts: 0,
            rewound: false,
            log,
            broken: Vec::new(),
            sabotage: None,
        }
    }

    fn live(mut self) -> Ending {
        if let Err(error) = self.unfold() {
            self.broken.push(format!("an error without a cause: {error}: {error:?}"));
        }
        let (log, mut broken) = (self.log, self.broken);
        broken.dedup();
        Ending { options: self.options, log, broken }
    }

    fn unfold(&mut self) -> Result<(), WriteError> {
        for person in 0..self.options.people {
            self.join(person)?;
        }
        for _ in 0..self.options.steps {
            self.step()?;
            self.encounters()?;
        }
        self.heal()
    }

    fn note(&mut self, line: String) {
        self.log.push(line);
    }

    fn breaks(&mut self, at: usize, found: impl IntoIterator<Item = String>) {
        let found = found.into_iter().map(|what| format!("device {at}: {what}"));
        self.broken.extend(found);
    }

    fn is(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }

    /// The devices that are there.
    fn present(&self) -> Vec<usize> {
        let all = self.devices.iter().enumerate();
        all.filter(|(_, device)| device.home.is_some()).map(|(at, _)| at).collect()
    }

    fn some_device(&mut self) -> usize {
        let present = self.present();
        self.seed.choose(&present).copied().unwrap_or(0)
    }

    fn home(&self, at: usize) -> Option<&Home> {
        self.devices.get(at)?.home.as_ref()
    }

    // ---- What happens ----

    fn step(&mut self) -> Result<(), WriteError> {
        let minutes = self.seed.below(self.options.minutes);
        self.minutes += minutes;
        let minutes = if self.is(Sabotage::FastClocks) { minutes * 10 } else { minutes };
        for device in &mut self.devices {
            if let Some(home) = &mut device.home {
                home.pass(minutes);
            }
        }
        if minutes > 0 {
            self.spoil_links();
        }
        let at = self.some_device();
        if self.seed.chance(self.options.clocks, 100)
            && let Some(home) = self.devices.get_mut(at).and_then(|device| device.home.as_mut())
        {
            home.now.wall = self.seed.below(1 << 42);
        }
        let often = [
            self.options.reboots,
            self.options.copies,
            self.options.moves,
            self.options.strangers,
            self.options.retractions,
            self.options.decisions,
        ];
        let mut drawn = self.seed.below(100 + often.iter().sum::<u64>());
        self.disturb(at);
        for (what, chance) in often.into_iter().enumerate() {
            if drawn < chance {
                return match what {
                    0 => self.reboot(at),
                    1 => self.copy(at),
                    2 => self.come_or_go(at),
                    3 => self.stranger(at),
                    4 => self.retract(at),
                    _ => self.decide(at),
                };
            }
            drawn -= chance;
        }
        match drawn {
            0..30 => self.write(at),
            30..36 => self.idle(at),
            _ => self.carry(at),
        }
    }

    /// A person comes with a device, and everybody follows everybody.
    fn join(&mut self, person: u8) -> Result<(), WriteError> {
        let quota = (self.options.strangers > 0).then_some(self.options.quota);
        let mut device = Device::begin(person, quota, &mut self.seed)?;
        if let (true, Some(home)) = (self.is(Sabotage::LyingDisks), &device.home) {
            home.disk.lie(2);
        }
        if self.is(Sabotage::Overfull) {
            device.quota = quota.map(|quota| quota / 2);
        }
        self.devices.push(device);
        self.note(format!("person {person} comes with device {}", self.devices.len() - 1));
        self.follow_all()?;
        self.settle(self.devices.len() - 1)
    }

    /// Everybody follows every device's feed that they have not decided about.
    fn follow_all(&mut self) -> Result<(), WriteError> {
        for at in self.present() {
            if let Some(home) = self.home(at) {
                let me = home.node.me()?.feed;
                self.feeds.insert(me);
            }
        }
        for device in &mut self.devices {
            let Some(home) = &mut device.home else { continue };
            for feed in &self.feeds {
                if device.decided.insert(*feed) {
                    home.node.follow(home.now, feed)?;
                }
            }
        }
        Ok(())
    }

    fn reboot(&mut self, at: usize) -> Result<(), WriteError> {
        let jump = self.seed.chance(self.options.clocks, 100);
        let wall = if jump { Some(self.seed.below(1 << 42)) } else { None };
        let Some(device) = self.devices.get_mut(at) else { return Ok(()) };
        device.restart(None, wall, &mut self.seed)?;
        self.note(format!("{at} starts anew"));
        self.settle(at)
    }

    /// A copy of a home is made; an old one is put back; or one goes its own way.
    fn copy(&mut self, at: usize) -> Result<(), WriteError> {
        let what = self.seed.below(3);
        let room = self.devices.len() < DEVICES;
        let backup = self.seed.chance(1, 2);
        let Some(device) = self.devices.get_mut(at) else { return Ok(()) };
        let bare = device.has_bare_copy();
        let restored = if what < 2 { device.restore(&mut self.seed)? } else { None };
        let line = match (what, restored) {
            (_, Some(found)) => {
                self.rewound |= bare;
                self.breaks(at, found);
                "is put back from its copy"
            }
            (0 | 1, None) => {
                device.save(backup)?;
                if backup { "is backed up" } else { "is copied" }
            }
            _ if room => {
                let twin = device.twin(&mut self.seed)?;
                self.devices.push(twin);
                self.rewound = true;
                "is copied, and the copy is used too"
            }
            _ => return Ok(()),
        };
        self.note(format!("{at} {line}"));
        self.settle(at)
    }

    fn come_or_go(&mut self, at: usize) -> Result<(), WriteError> {
        if self.seed.chance(1, 2) && self.devices.len() < DEVICES {
            let person = self.seed.below(4);
            return self.join(u8::try_from(person).unwrap_or(0));
        }
        if self.present().len() > 2
            && let Some(device) = self.devices.get_mut(at)
        {
            device.home = None;
            self.note(format!("{at} leaves"));
        }
        Ok(())
    }

    /// A stranger's feed comes by: a new one, or more of an old one, or another end of it.
    fn stranger(&mut self, at: usize) -> Result<(), WriteError> {
        let fresh = self.strangers.len() < 3 || self.seed.chance(1, 2);
        let which = if fresh {
            let person = u8::try_from(50 + self.strangers.len() % 100).unwrap_or(50);
            self.strangers.push(author::Author::new(person, &mut self.seed));
            self.strangers.len() - 1
        } else {
            self.seed.index(self.strangers.len())
        };
        let (count, bytes) = (self.seed.below(50), 1 + self.seed.index(400));
        let Some(stranger) = self.strangers.get_mut(which) else { return Ok(()) };
        if self.seed.chance(1, 8) {
            stranger.forget_from(2 + self.seed.below(stranger.head()));
        }
        stranger.write_posts(count, bytes);
        let from = if self.seed.chance(1, 4) { 1 + self.seed.below(stranger.head()) } else { 1 };
        let bytes = author::bundle(&[(stranger, from)], &mut self.seed);
        let line = self.deliver(at, &bytes)?;
        self.note(format!("stranger {which} to {at}: {line}"));
        Ok(())
    }

    fn write(&mut self, at: usize) -> Result<(), WriteError> {
        let mut count = 1 + self.seed.below(4);
        if self.seed.chance(1, 6) {
            count += self.seed.below(40);
        }
        let short = self.seed.chance(self.options.lifetimes, 100);
        let ttl = if short { 1 + self.seed.below(30) } else { 0 };
        let ttl = u32::try_from(ttl).unwrap_or(0);
        let plaza = ttl == 0 && self.seed.chance(1, 2);
        let Some(home) = self.home(at) else { return Ok(()) };
        let heads = if plaza { home.node.reader()?.channel_heads(PLAZA)? } else { Vec::new() };
        let parents = parents_in_order(None, heads.iter().map(EntryId::prefix).collect());
        let mut contents = Vec::new();
        for _ in 0..count {
            self.texts += 1;
            let long = if self.seed.chance(1, 8) { self.seed.below(2_500) } else { 0 };
            let filler = "x".repeat(usize::try_from(long).unwrap_or(0));
            let text = format!("text {} {filler}", self.texts);
            let (channel, parents) = (plaza.then(|| PLAZA.to_owned()), parents.clone());
            let time = 1_000 + self.seed.below(50);
            let post = Post { time, channel, text, parents, ..Post::default() };
            contents.push((Content::Post(post), ttl));
        }
        let written = self.act(at, |home| home.node.write_many(home.now, &contents, None))?;
        let written = written.unwrap_or_default();
        for entry in written.iter().filter(|_| ttl > 0) {
            let name = (entry.feed, entry.seq, *entry.id.as_bytes());
            let born = self.minutes + self.ms / 60_000;
            self.born.insert(name, (born, u64::from(ttl) * 60));
        }
        let last = written.last().map(|written| written.seq);
        if let (true, Some(device)) = (plaza, self.devices.get_mut(at)) {
            let names = written.iter().map(|entry| (entry.feed, entry.seq));
            device.plaza.extend(names);
        }
        self.note(format!("{at} writes {count} ttl {ttl} plaza {plaza}: {last:?}"));
        Ok(())
    }

    fn retract(&mut self, at: usize) -> Result<(), WriteError> {
        let Some(device) = self.devices.get(at) else { return Ok(()) };
        let Some(home) = &device.home else { return Ok(()) };
        let feed = home.node.me()?.feed;
        let head = home.node.reader()?.newest_own()?.map_or(1, |held| held.seq);
        let seq = 2 + self.seed.below(head);
        if device.plaza.contains(&(feed, seq)) {
            return Ok(());
        }
        let Some(ranges) = Ranges::new(vec![(seq, seq)]) else { return Ok(()) };
        self.retracted.insert((feed, seq));
        self.act(at, |home| home.node.write(home.now, &Content::Retraction(ranges), 0))?;
        self.note(format!("{at} retracts {seq}"));
        Ok(())
    }

    /// Somebody changes their mind about somebody.
    fn decide(&mut self, at: usize) -> Result<(), WriteError> {
        let feeds: Vec<FeedId> = self.feeds.iter().copied().collect();
        let Some(feed) = self.seed.choose(&feeds).copied() else { return Ok(()) };
        let what = self.seed.below(5);
        if self.devices.get(at).is_some_and(|device| device.wrote.contains(&feed)) {
            return Ok(());
        }
        let line = ["blocks", "unblocks", "unfollows", "follows", "follows"];
        let line = line.get(usize::try_from(what).unwrap_or(0)).copied().unwrap_or("");
        self.note(format!("{at} {line} {feed:?}"));
        self.act(at, |home| match what {
            0 => home.node.block(home.now, &feed).map(drop),
            1 => home.node.unblock(home.now, &feed),
            2 => home.node.unfollow(home.now, &feed),
            _ => home.node.follow(home.now, &feed).map(drop),
        })?;
        Ok(())
    }

    fn idle(&mut self, at: usize) -> Result<(), WriteError> {
        if self.seed.chance(1, 8) {
            let done = self.act(at, |home| home.node.compact())?;
            self.note(format!("{at} compacts: {done:?}"));
            return Ok(());
        }
        let more = self.act(at, Home::idle)?;
        self.note(format!("{at} rests: {more:?}"));
        Ok(())
    }

    /// Somebody makes a bundle for somebody, and something reaches them.
    fn carry(&mut self, to: usize) -> Result<(), WriteError> {
        let from = self.some_device();
        let addressed = self.seed.chance(self.options.addressed, 100);
        let mut request = BundleRequest::default();
        if let (true, Some(home)) = (addressed, self.home(to)) {
            request.for_peer = Some(home.node.me()?.feed);
        }
        if self.seed.chance(self.options.small, 100) {
            request.max_bytes = Some(1_000 + self.seed.below(20_000));
        }
        let Some(home) = self.home(from) else { return Ok(()) };
        let mut bytes = home.bundle(&request)?;
        let part = if self.is(Sabotage::Tight) { 2 } else { 1 };
        if request.max_bytes.is_some_and(|limit| bytes.len() as u64 > limit / part) {
            self.breaks(from, [format!("a bundle of {} bytes over its limit", bytes.len())]);
        }
        self.check_difference(from, request.for_peer.as_ref(), &bytes);
        let on_its_way = self.mangle(&mut bytes);
        let line = match on_its_way {
            "is lost" => String::new(),
            _ => self.deliver(to, &bytes)?,
        };
        self.note(format!("{from} to {to} {on_its_way}: {line}"));
        Ok(())
    }

    /// What happens to a bundle on its way.
    fn mangle(&mut self, bytes: &mut Vec<u8>) -> &'static str {
        let (seed, options) = (&mut self.seed, &self.options);
        if seed.chance(options.late, 100) {
            self.late.push(bytes.clone());
            if self.late.len() > LATE_BUNDLES {
                let gone = seed.index(self.late.len());
                self.late.swap_remove(gone);
            }
        }
        if seed.chance(options.lost, 100) {
            return "is lost";
        }
        if seed.chance(options.late, 100)
            && let Some(late) = seed.choose(&self.late)
        {
            bytes.clone_from(late);
            return "is another one";
        }
        if seed.chance(options.aged, 100) {
            *bytes = post_office::aged(bytes, seed);
            return "is lied about";
        }
        if seed.chance(options.flipped, 100) {
            post_office::flip(bytes, seed);
            return "is damaged";
        }
        if seed.chance(options.cut, 100) {
            bytes.truncate(seed.index(bytes.len().max(1)));
            return "is cut";
        }
        "comes"
    }

    /// A device reads a bundle, if nothing comes between.
    fn deliver(&mut self, to: usize, bytes: &[u8]) -> Result<String, WriteError> {
        let chunk = 1 + self.seed.index(50_000);
        let read = self.act(to, |home| home.read(bytes, chunk))?;
        let Some(reading) = read else { return Ok("not to its end".to_owned()) };
        self.remember(to, &reading, bytes);
        let Reading { report, retired, refused } = &reading;
        Ok(format!(
            "{} bytes, {} new, {} payloads, {} left, {} refused, {} forks{}{}",
            bytes.len(),
            report.entries_new,
            report.payloads_new,
            report.left_out,
            report.refused,
            report.forks,
            if *retired { ", retired" } else { "" },
            refused.first().map(|fault| format!(", {fault}")).unwrap_or_default(),
        ))
    }

    /// Remembers what a reader surely knows of the maker of a bundle from now on.
    fn remember(&mut self, at: usize, reading: &Reading, bytes: &[u8]) {
        let Some(device) = self.devices.get_mut(at) else { return };
        if reading.retired {
            device.told.clear();
        }
        let whole = reading.report.ending.is_none() && reading.report.refused == 0;
        let mut letter = Letter::open(bytes);
        if self.sabotage == Some(Sabotage::Boasts) {
            letter.heads.values_mut().for_each(|head| head.head += 3);
        }
        let Some(opening) = letter.opening.filter(|_| reading.report.maker.is_some()) else {
            return;
        };
        let known = device.holdings.as_ref().and_then(|held| held.feeds.get(&opening.maker));
        if known.is_none_or(|info| info.held == 0 || info.own) {
            return;
        }
        if !(whole && opening.whole) {
            // What of it was taken in is hard to say, but it may be less than before.
            (letter.heads, letter.wants) = (BTreeMap::new(), Vec::new());
        }
        let older = device.told.get(&opening.maker).and_then(|letter| letter.opening);
        if older.is_none_or(|older| older.position <= opening.position) {
            device.told.insert(opening.maker, letter);
        }
    }

    // ---- How it is carried out ----

    /// Lets a device do something, with whatever its disk has in store for it.
    fn act<T, E: Into<WriteError>>(
        &mut self,
        at: usize,
        work: impl FnOnce(&mut Home) -> Result<T, E>,
    ) -> Result<Option<T>, WriteError> {
        let (power, full) = (self.options.power, self.options.full);
        let Some(device) = self.devices.get_mut(at) else { return Ok(None) };
        let Some(home) = device.home.as_mut() else { return Ok(None) };
        let mut faulty = false;
        if self.seed.chance(power, 100) {
            home.disk.lose_power_after(self.seed.below(4));
            faulty = true;
        } else if self.seed.chance(full, 100) {
            home.disk.fill(self.seed.index(50_000), self.seed.chance(1, 2));
            faulty = true;
        }
        let done = work(home);
        home.disk.mend();
        let done = match done {
            Ok(done) => {
                device.note_own()?;
                self.settle(at)?;
                Some(done)
            }
            Err(error) if !faulty => return Err(error.into()),
            Err(_) => {
                let off = device.home.as_ref().is_some_and(|home| home.disk.is_off());
                self.note(format!("{at} {}", if off { "loses power" } else { "has no room" }));
                None
            }
        };
        let Some(device) = self.devices.get_mut(at) else { return Ok(done) };
        if done.is_none() || (faulty && self.seed.chance(1, 4)) {
            let jump = self.seed.chance(self.options.clocks, 100);
            let wall = if jump { Some(self.seed.below(1 << 42)) } else { None };
            let off = self.seed.chance(1, 2);
            device.crash(off, wall, &mut self.seed)?;
            self.disturb(at);
            self.settle(at)?;
        }
        Ok(done)
    }

    /// Compares what a device holds with what it was told, and takes down what it holds.
    fn settle(&mut self, at: usize) -> Result<(), WriteError> {
        let Some(device) = self.devices.get_mut(at) else { return Ok(()) };
        let mut found = device.settle()?;
        found.extend(self.check_bounds(at));
        found.extend(self.check_lifetimes(at));
        self.breaks(at, found);
        Ok(())
    }

    // ---- How it ends ----

    /// Faults stop and everybody hears everybody until nothing is new.
    fn heal(&mut self) -> Result<(), WriteError> {
        (self.options.power, self.options.full) = (0, 0);
        self.options.heals_addressed &= !self.rewound;
        self.end_links()?;
        self.note("the faults stop".to_owned());
        for at in self.present() {
            self.forgive(at)?;
            self.rest(at)?;
        }
        let mut bundles = Vec::new();
        // What is given to one reader goes by what that reader said last: in a round in which nothing
        // is new, somebody may have said first that something is missing, or is taken again.
        let enough = 1 + u32::from(self.options.heals_addressed || self.options.meetings.heals);
        let mut quiet = 0;
        for round in 0..=HEALING_ROUNDS {
            self.follow_all()?;
            let before = self.positions()?;
            bundles = if self.options.meetings.heals { self.gather()? } else { self.round()? };
            quiet = if self.positions()? == before { quiet + 1 } else { 0 };
            if quiet == enough {
                break;
            }
            if round == HEALING_ROUNDS {
                self.broken.push(format!("{HEALING_ROUNDS} rounds, and still something is new"));
            }
        }
        self.forget()?;
        for at in self.present() {
            self.rest(at)?;
        }
        self.check_convergence(false)?;
        self.check_own()?;
        self.check_order()?;
        self.check_repetition(&bundles)?;
        self.check_quiet()?;
        self.check_nothing_to_say()?;
        self.minutes += 100 * 60;
        for at in self.present() {
            let Some(device) = self.devices.get_mut(at) else { continue };
            if let Some(home) = &mut device.home {
                home.pass(100 * 60);
            }
            self.rest(at)?;
            self.check_sound(at)?;
        }
        self.check_convergence(true)
    }

    /// A device is put back from a copy behind everybody's back, after all have heard of more.
    fn forget(&mut self) -> Result<(), WriteError> {
        if !self.is(Sabotage::Amnesia) {
            return Ok(());
        }
        let at = self.some_device();
        if let Some(device) = self.devices.get_mut(at) {
            device.save(false)?;
        }
        self.options.lifetimes = 0;
        self.write(at)?;
        self.round()?;
        if let Some(device) = self.devices.get_mut(at) {
            device.restore(&mut self.seed)?;
        }
        Ok(())
    }

    /// A device does all work that waits, so that what is over is gone.
    fn rest(&mut self, at: usize) -> Result<(), WriteError> {
        let Some(device) = self.devices.get_mut(at) else { return Ok(()) };
        let Some(home) = &mut device.home else { return Ok(()) };
        home.rest()?;
        self.settle(at)
    }

    /// A device takes back every block and follows every device's feed.
    fn forgive(&mut self, at: usize) -> Result<(), WriteError> {
        let Some(device) = self.devices.get_mut(at) else { return Ok(()) };
        let Some(home) = &mut device.home else { return Ok(()) };
        for feed in &self.feeds {
            home.node.unblock(home.now, feed)?;
            home.node.follow(home.now, feed)?;
        }
        Ok(())
    }

    /// Everybody hears everybody once. The bundles are handed back, with their readers.
    fn round(&mut self) -> Result<Vec<(usize, Vec<u8>)>, WriteError> {
        let mut bundles = Vec::new();
        let deaf = usize::from(self.is(Sabotage::Deaf));
        for to in self.present().into_iter().skip(deaf) {
            for from in self.present().into_iter().filter(|from| *from != to) {
                let mut request = BundleRequest::default();
                if let (true, Some(home)) = (self.options.heals_addressed, self.home(to)) {
                    request.for_peer = Some(home.node.me()?.feed);
                }
                let Some(home) = self.home(from) else { continue };
                let bytes = home.bundle(&request)?;
                self.check_difference(from, request.for_peer.as_ref(), &bytes);
                let line = self.deliver(to, &bytes)?;
                self.note(format!("{from} to {to}: {line}"));
                bundles.push((to, bytes));
            }
        }
        Ok(bundles)
    }

    /// Everybody meets everybody once. No bundle is handed back.
    fn gather(&mut self) -> Result<Vec<(usize, Vec<u8>)>, WriteError> {
        std::mem::swap(&mut self.seed, &mut self.ether);
        let met = self.meet_all();
        std::mem::swap(&mut self.seed, &mut self.ether);
        met.map(|()| Vec::new())
    }

    /// How much has arrived at each node.
    fn positions(&self) -> Result<Vec<u64>, StoreError> {
        let homes = self.devices.iter().filter_map(|device| device.home.as_ref());
        homes.map(|home| Ok(home.node.reader()?.status()?.log_position)).collect()
    }
}
