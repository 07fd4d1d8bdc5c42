//! One device of a swarm: its home, what it was told is durable, and what it knows of others.

use std::collections::{BTreeMap, BTreeSet};

use thistle_engine::content::Carry;
use thistle_engine::key::FeedId;
use thistle_engine::policy::CarryClass;
use thistle_engine::time::Now;
use thistle_engine::{Node, Setup, StoreError, WriteError};

use super::post_office::Letter;
use crate::author::{account, secret};
use crate::home::{CACHE_BYTES, Home};
use crate::ledger::{Holdings, Ledger, Name};
use crate::{Disk, Seed};

/// A device of a world.
#[derive(Debug)]
pub(super) struct Device {
    /// Whose it is.
    pub(super) person: u8,
    /// None once it has left for good.
    pub(super) home: Option<Home>,
    pub(super) quota: Option<u64>,
    pub(super) ledger: Ledger,
    /// What it held when it was last looked at.
    pub(super) holdings: Option<Holdings>,
    /// What it held the time before.
    pub(super) earlier: Option<Holdings>,
    /// What it held once, and not when it was looked at later.
    pub(super) dropped: BTreeSet<Name>,
    /// What the makers of bundles said to it last.
    pub(super) told: BTreeMap<FeedId, Letter>,
    /// The feeds that it wrote.
    pub(super) wrote: BTreeSet<FeedId>,
    /// The feeds that it was told to follow once; what it decided later stands.
    pub(super) decided: BTreeSet<FeedId>,
    /// Its entries in the channel where order is compared.
    pub(super) plaza: BTreeSet<(FeedId, u64)>,
    /// How often it was started.
    pub(super) life: u64,
    /// How often anything happened to it, but that it wrote something.
    pub(super) stirred: u64,
    /// How often that was when it and another device agreed that they hold the same; none if they
    /// met and did not.
    pub(super) agreed: BTreeMap<usize, Option<u64>>,
    /// An old copy of its disk.
    saved: Option<Box<Saved>>,
}

/// A copy of a home, and what was known when it was made.
#[derive(Debug)]
struct Saved {
    disk: Disk,
    ledger: Ledger,
    now: Now,
    quota: Option<u64>,
    decided: BTreeSet<FeedId>,
    /// The engine made it, and not somebody who copied a file: its feed ends when it is opened.
    backup: bool,
}

impl Device {
    /// A person begins with a device.
    pub(super) fn begin(
        person: u8,
        quota: Option<u64>,
        seed: &mut Seed,
    ) -> Result<Self, WriteError> {
        let years = 365 * 24 * 3_600_000 * seed.below(60);
        let now = Now { tick: seed.below(1_000_000), wall: years, boot_id: 1 };
        let name = format!("person {person}");
        let setup = Setup { carry: Carry::Open, name: Some(&name), cache_bytes: CACHE_BYTES };
        let disk = Disk::default();
        let mut node = Node::create(disk.clone(), &account(person), setup, secret(seed), now)?;
        if let Some(quota) = quota {
            node.set_quota(now, CarryClass::Stranger, quota)?;
        }
        let mut device = Self {
            person,
            home: Some(Home { node, disk, now, mail: Vec::new() }),
            quota,
            ledger: Ledger::default(),
            holdings: None,
            earlier: None,
            dropped: BTreeSet::new(),
            told: BTreeMap::new(),
            wrote: BTreeSet::new(),
            decided: BTreeSet::new(),
            plaza: BTreeSet::new(),
            life: 0,
            stirred: 0,
            agreed: BTreeMap::new(),
            saved: None,
        };
        device.note_own()?;
        Ok(device)
    }

    /// Its own feed is its own for ever.
    pub(super) fn note_own(&mut self) -> Result<(), StoreError> {
        if let Some(home) = &self.home {
            let me = home.node.me()?.feed;
            self.wrote.insert(me);
            self.decided.insert(me);
        }
        Ok(())
    }

    /// Compares what it holds with what it was told, and takes down what it holds.
    pub(super) fn settle(&mut self) -> Result<Vec<String>, StoreError> {
        let Some(home) = &self.home else { return Ok(Vec::new()) };
        let holdings = Holdings::of(&home.node)?;
        let found = self.ledger.settle(&holdings);
        let before = self.holdings.iter().flat_map(|before| before.entries.keys());
        self.dropped.extend(before.filter(|name| !holdings.entries.contains_key(*name)));
        self.earlier = self.holdings.replace(holdings);
        Ok(found)
    }

    /// It is switched off and on; the disk is the same or another one.
    pub(super) fn restart(
        &mut self,
        disk: Option<Disk>,
        wall: Option<u64>,
        seed: &mut Seed,
    ) -> Result<(), StoreError> {
        let Some(home) = self.home.take() else { return Ok(()) };
        let Home { node, disk: old, now, .. } = home;
        drop(node);
        let now = Now {
            tick: seed.below(1_000_000),
            wall: wall.unwrap_or(now.wall),
            boot_id: now.boot_id.saturating_add(1),
        };
        self.life += 1;
        self.home = Some(Home::open(disk.unwrap_or(old), now, seed)?);
        self.note_own()
    }

    /// It dies in the middle: power goes (`off`), or only the program is killed.
    pub(super) fn crash(
        &mut self,
        off: bool,
        wall: Option<u64>,
        seed: &mut Seed,
    ) -> Result<(), StoreError> {
        let Some(home) = &self.home else { return Ok(()) };
        let off = off || home.disk.is_off();
        let disk = if off { home.disk.after_power_loss(seed) } else { home.disk.copy() };
        self.told.clear();
        self.restart(Some(disk), wall, seed)
    }

    /// A copy of the home is laid aside: a backup, or the bare file.
    pub(super) fn save(&mut self, backup: bool) -> Result<(), StoreError> {
        let Some(home) = &self.home else { return Ok(()) };
        let (ledger, decided) = (self.ledger.clone(), self.decided.clone());
        let disk = if backup { Disk::default() } else { home.disk.copy() };
        if backup {
            home.node.reader()?.back_up(disk.clone(), CACHE_BYTES, &mut |_, _| true)?;
        }
        let (now, quota) = (home.now, self.quota);
        let saved = Saved { disk, ledger, now, quota, decided, backup };
        self.saved = Some(Box::new(saved));
        Ok(())
    }

    /// Whether the bare file was laid aside.
    pub(super) fn has_bare_copy(&self) -> bool {
        self.saved.as_ref().is_some_and(|saved| !saved.backup)
    }

    /// The copy that was laid aside is put in place of what is there.
    pub(super) fn restore(&mut self, seed: &mut Seed) -> Result<Option<Vec<String>>, StoreError> {
        let Some(saved) = self.saved.take() else { return Ok(None) };
        (self.ledger, self.decided) = (saved.ledger, saved.decided);
        (self.holdings, self.earlier, self.quota) = (None, None, saved.quota);
        self.told.clear();
        let wall = self.home.as_ref().map_or(saved.now.wall, |home| home.now.wall);
        if let Some(home) = &mut self.home {
            home.now.boot_id = home.now.boot_id.max(saved.now.boot_id);
        }
        let before = self.wrote.clone();
        self.restart(Some(saved.disk), Some(wall), seed)?;
        let mut found = Vec::new();
        if let Some(home) = &self.home
            && saved.backup
            && before.contains(&home.node.me()?.feed)
        {
            found.push("a backup writes on in the feed that it was made of".to_owned());
        }
        Ok(Some(found))
    }

    /// A copy of the home that is used from now on too.
    pub(super) fn twin(&self, seed: &mut Seed) -> Result<Self, WriteError> {
        let home = match &self.home {
            Some(home) => Some(Home::open(home.disk.copy(), home.now, seed)?),
            None => None,
        };
        Ok(Self {
            person: self.person,
            home,
            quota: self.quota,
            ledger: self.ledger.clone(),
            holdings: None,
            earlier: None,
            dropped: self.dropped.clone(),
            told: BTreeMap::new(),
            wrote: self.wrote.clone(),
            decided: self.decided.clone(),
            plaza: self.plaza.clone(),
            life: 0,
            stirred: 0,
            agreed: BTreeMap::new(),
            saved: None,
        })
    }
}
