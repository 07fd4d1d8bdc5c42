//! Power lost at any sync of one mixed run: what a node finds when power is back.
//!
//! The run is made once, by the production engine, on a disk that records everything. For each of
//! its syncs, and for any number of ways in which the unsynced writes can have torn, the disk is
//! rebuilt and opened by the production code. Then it is asked for everything that was acknowledged
//! before, `doctor` has to be silent, and the node has to go on: nothing it gave away before is
//! contradicted, and it ends where the run without a crash ended.

mod keeping;
mod script;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use thistle_engine::content::{Content, Post};
use thistle_engine::key::FeedId;
use thistle_engine::time::Now;
use thistle_engine::{BundleRequest, Query, StoreError, WriteError};

use crate::disk::Journal;
use crate::home::Home;
use crate::ledger::{Holdings, Ledger, Name, unsound};
use crate::{Cover, Disk, Seed};

pub use keeping::Keeping;

/// Under this name the run notes how far its import came.
pub(crate) const MARK: [u8; 32] = [9; 32];

/// One run that was recorded, and what was acknowledged when.
#[derive(Debug)]
pub struct CrashRun {
    journal: Journal,
    store: Disk,
    moments: Vec<Moment>,
    closing: Closing,
    goal: Goal,
    /// What the run itself found wrong, before any crash.
    pub findings: Vec<String>,
}

/// A moment at which an input had returned.
#[derive(Debug)]
struct Moment {
    /// Syncs that were done by then.
    syncs: usize,
    what: &'static str,
    now: Now,
    ledger: Ledger,
    /// How far the import was acknowledged.
    mark: u64,
    /// Bundles that had left.
    left: usize,
}

/// What every node does at the end, whether or not it crashed before.
#[derive(Debug, Clone, Default)]
struct Closing {
    followed: Vec<FeedId>,
    blocked: Vec<FeedId>,
    read: Vec<Vec<u8>>,
    left: Vec<Vec<u8>>,
    /// The own entries that each step of the import ended with, by its mark.
    marks: BTreeMap<u64, u64>,
    /// The feed that the import went into.
    import: Option<FeedId>,
}

/// Where the run without a crash ended, as far as others' feeds go that are kept whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Goal {
    entries: BTreeMap<Name, (u8, bool)>,
    order: Vec<Name>,
}

/// One crash: after how many syncs, and which of the possible disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// Syncs that were done.
    pub sync: usize,
    /// Number of the disk.
    pub tear: u64,
}

impl CrashRun {
    /// Records the run. With `lies`, one of so many syncs keeps nothing.
    pub fn record(lies: Option<u64>) -> Result<Self, WriteError> {
        Self::record_under(Cover::None, lies)
    }

    /// The same, with something between the store and the disk.
    pub fn record_under(cover: Cover, lies: Option<u64>) -> Result<Self, WriteError> {
        let disk = Disk::recording_under(cover);
        if let Some(one_of) = lies {
            disk.lie(one_of);
        }
        let mut recorder = script::Recorder::begin(disk)?;
        recorder.play()?;
        let script::Recorder { mut home, moments, closing, mut findings, .. } = recorder;
        let (journal, store) = (home.disk.journal(), home.disk.copy());
        let mut seed = Seed::new(0);
        home = Home::open(home.disk.copy(), home.now, &mut seed)?;
        closing.run(&mut home, &mut findings)?;
        let goal = closing.goal(&home)?;
        Ok(Self { journal, store, moments, closing, goal, findings })
    }

    /// The disk as the run left it.
    pub fn store(&self) -> Disk {
        self.store.copy()
    }

    /// How many syncs the run made.
    pub const fn syncs(&self) -> usize {
        self.journal.syncs()
    }

    /// Each step of the run, and how many syncs were done by its end.
    pub fn steps(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.moments.iter().map(|moment| (moment.what, moment.syncs))
    }

    /// Crashes at every sync that is `chosen`, with `tears` disks each, and tells what was found.
    pub fn examine(
        &self,
        tears: u64,
        chosen: &mut dyn FnMut(Crash) -> bool,
    ) -> Result<Vec<(Crash, String)>, WriteError> {
        let mut found = Vec::new();
        let mut crashes = self.journal.crashes();
        while let Some(sync) = crashes.advance() {
            for tear in 0..tears {
                let crash = Crash { sync, tear };
                if !chosen(crash) {
                    continue;
                }
                let mut seed = Seed::new((sync as u64) << 20 | tear);
                let disk = crashes.image(&mut seed);
                let mut findings = Vec::new();
                // A panic is a finding like others, and says where.
                let recover = || self.recover(sync, disk, &mut seed, &mut findings);
                match catch_unwind(AssertUnwindSafe(recover)) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => findings.push(format!("{error}: {error:?}")),
                    Err(_) => findings.push("a panic".to_owned()),
                }
                found.extend(findings.into_iter().map(|finding| (crash, finding)));
            }
        }
        Ok(found)
    }

    /// Power is back: everything acknowledged is there, nothing is unsound, and life goes on.
    fn recover(
        &self,
        sync: usize,
        disk: Disk,
        seed: &mut Seed,
        findings: &mut Vec<String>,
    ) -> Result<(), WriteError> {
        let acknowledged = self.moments.iter().rev().find(|moment| moment.syncs <= sync);
        let Some(moment) = acknowledged else {
            // Nothing was acknowledged: a store or none, but nothing in between.
            return match Home::open(disk, script::start(), seed) {
                Ok(home) => {
                    findings.extend(unsound(&home.node)?);
                    Ok(())
                }
                Err(StoreError::Foreign | StoreError::Empty) => Ok(()),
                Err(error) => Err(error.into()),
            };
        };
        let now = Now { tick: 5, wall: moment.now.wall, boot_id: moment.now.boot_id + 1 };
        let mut home = Home::open(disk, now, seed)?;
        let before = findings.len();
        findings.extend(unsound(&home.node)?);
        let holdings = Holdings::of(&home.node)?;
        findings.extend(moment.ledger.lost(&holdings));
        self.check_import(moment, &home, &holdings, findings)?;
        self.check_left(moment, &mut home, findings)?;
        self.closing.run(&mut home, findings)?;
        let reached = self.closing.goal(&home)?;
        findings.extend(self.goal.difference(&reached));
        for finding in findings.iter_mut().skip(before) {
            *finding = format!("after \"{}\": {finding}", moment.what);
        }
        Ok(())
    }

    /// The mark of the import and its entries were durable in one step.
    fn check_import(
        &self,
        moment: &Moment,
        home: &Home,
        holdings: &Holdings,
        findings: &mut Vec<String>,
    ) -> Result<(), WriteError> {
        let mark = home.node.reader()?.progress(&MARK)?;
        if mark < moment.mark {
            findings.push(format!("the import stands at {mark}, not at {}", moment.mark));
        }
        let Some(feed) = self.closing.import else { return Ok(()) };
        let head = holdings.feeds.get(&feed).map_or(0, |info| info.head);
        let last = self.closing.marks.get(&mark).copied().unwrap_or(0);
        let next = self.closing.marks.range(mark + 1..).next().map_or(u64::MAX, |(_, seq)| *seq);
        if head < last || (head >= next && holdings.me == feed) {
            findings.push(format!("the import stands at {mark}, but the feed at {head}"));
        }
        Ok(())
    }

    /// What this device gave away before is what it still says: its feed does not fork.
    fn check_left(
        &self,
        moment: &Moment,
        home: &mut Home,
        findings: &mut Vec<String>,
    ) -> Result<(), WriteError> {
        home.node.write(home.now, &post("after the crash"), 0)?;
        for bytes in self.closing.left.iter().take(moment.left) {
            if home.read(bytes, 5_000)?.retired {
                findings.push("what it wrote now contradicts what it gave away".to_owned());
            }
        }
        Ok(())
    }
}

impl Closing {
    /// The last steps: the same decisions, the same bundles, and time beyond every lifetime.
    fn run(&self, home: &mut Home, findings: &mut Vec<String>) -> Result<(), WriteError> {
        for feed in &self.followed {
            home.node.unblock(home.now, feed)?;
            home.node.follow(home.now, feed)?;
        }
        for feed in &self.blocked {
            home.node.block(home.now, feed)?;
        }
        for bytes in &self.read {
            // After a crash some of it follows on what this home would have written.
            home.read(bytes, 30_000)?;
        }
        home.pass(1_000 * 60);
        home.rest()?;
        findings.extend(unsound(&home.node)?);
        Ok(())
    }

    fn goal(&self, home: &Home) -> Result<Goal, WriteError> {
        let holdings = Holdings::of(&home.node)?;
        let mut goal = Goal::default();
        for (name, entry) in &holdings.entries {
            if self.followed.contains(&name.0) {
                goal.entries.insert(*name, (entry.branch, entry.here));
            }
        }
        for hit in home.node.reader()?.query(&Query::default())? {
            if self.followed.contains(&hit.held.feed) {
                goal.order.push((hit.held.feed, hit.held.seq, *hit.held.id.as_bytes()));
            }
        }
        Ok(goal)
    }
}

impl Goal {
    fn difference(&self, reached: &Self) -> Option<String> {
        let only = |a: &Self, b: &Self| {
            let lacking =
                a.entries.iter().filter(|(name, held)| b.entries.get(*name) != Some(held));
            lacking.map(|(name, held)| (name.0, name.1, *held)).take(4).collect::<Vec<_>>()
        };
        if self.entries != reached.entries {
            let (lacks, has) = (only(self, reached), only(reached, self));
            return Some(format!("it ends otherwise: lacks {lacks:?}, has {has:?}"));
        }
        (self.order != reached.order).then(|| "it ends in another order".to_owned())
    }
}

/// A post in the run's channel.
fn post(text: &str) -> Content {
    let channel = Some("square".to_owned());
    Content::Post(Post { time: 1_000, channel, text: text.to_owned(), ..Post::default() })
}

/// A bundle of everything, or of what one peer is known to lack.
fn request(peer: Option<FeedId>) -> BundleRequest {
    BundleRequest { for_peer: peer, ..BundleRequest::default() }
}
