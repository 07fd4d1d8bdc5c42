//! Power lost while a store is migrated, backed up, or opened from a backup.
//!
//! A migration happens as a whole or not at all, and goes on at the next opening. A backup that was
//! not finished is not opened, or is one all the same; and whatever happens, nobody who opens one
//! writes on in the feed of the device that it was made of.

use thistle_engine::key::FeedId;
use thistle_engine::{Node, Query, StoreError, WriteError};

use super::{Crash, script};
use crate::home::{CACHE_BYTES, Home};
use crate::ledger::{Holdings, Ledger, Name, unsound};
use crate::{Disk, Seed, author};

/// What is done to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// A store of an earlier version is opened.
    Migration,
    /// A backup is written.
    Backup,
    /// A backup is opened.
    Restoration,
}

/// What a store holds, beyond what a new name of its device changes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    entries: Vec<Name>,
    order: Vec<Name>,
}

impl Keeping {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Migration, Self::Backup, Self::Restoration];

    /// Does it once to the store on a disk, and then with power lost at every sync; tells how many
    /// syncs there were and what was found. `chosen` as for the run.
    pub fn examine(
        self,
        store: &Disk,
        tears: u64,
        chosen: &mut dyn FnMut(Crash) -> bool,
    ) -> Result<(usize, Vec<(Crash, String)>), WriteError> {
        let mut seed = Seed::new(3);
        let (disk, told) = (self.prepare(store, &mut seed)?, Told::of(self, store, &mut seed)?);
        self.work(store, &disk, &mut seed)?;
        let journal = disk.journal();
        let (mut found, mut crashes) = (Vec::new(), journal.crashes());
        while let Some(sync) = crashes.advance() {
            let done = sync == journal.syncs();
            for tear in 0..tears {
                let crash = Crash { sync, tear };
                if !chosen(crash) {
                    continue;
                }
                let mut seed = Seed::new((sync as u64) << 20 | tear);
                let image = crashes.image(&mut seed);
                let findings = match told.check(self, image, done, &mut seed) {
                    Ok(findings) => findings,
                    Err(error) => vec![format!("{error}: {error:?}")],
                };
                found.extend(findings.into_iter().map(|finding| (crash, finding)));
            }
        }
        Ok((journal.syncs(), found))
    }

    /// The disk that is written to, recording from now on.
    fn prepare(self, store: &Disk, seed: &mut Seed) -> Result<Disk, WriteError> {
        let disk = match self {
            Self::Migration => store.copy(),
            Self::Backup => Disk::default(),
            Self::Restoration => {
                let backup = Disk::default();
                Self::Backup.work(store, &backup, seed)?;
                backup.copy()
            }
        };
        disk.record();
        Ok(disk)
    }

    fn work(self, store: &Disk, disk: &Disk, seed: &mut Seed) -> Result<(), WriteError> {
        let now = script::start();
        match self {
            Self::Migration => drop(Home::open(disk.clone(), now, seed)?),
            Self::Backup => {
                let home = Home::open(store.copy(), now, seed)?;
                home.node.reader()?.back_up(disk.clone(), CACHE_BYTES, &mut |_, _| true)?;
            }
            Self::Restoration => {
                drop(Node::restore(disk.clone(), author::secret(seed), CACHE_BYTES, now)?);
            }
        }
        Ok(())
    }
}

/// What was acknowledged before.
#[derive(Debug)]
struct Told {
    me: FeedId,
    ledger: Ledger,
    content: Content,
}

impl Told {
    /// What a copy of the store holds, opened without any crash.
    fn of(keeping: Keeping, store: &Disk, seed: &mut Seed) -> Result<Self, WriteError> {
        let mut home = Home::open(store.copy(), script::start(), seed)?;
        let (holdings, mut ledger) = (Holdings::of(&home.node)?, Ledger::default());
        ledger.settle(&holdings);
        let me = holdings.me;
        let foreign = (keeping != Keeping::Migration).then_some(me);
        Ok(Self { me, ledger, content: Content::of(&mut home, foreign)? })
    }

    fn check(
        &self,
        keeping: Keeping,
        disk: Disk,
        done: bool,
        seed: &mut Seed,
    ) -> Result<Vec<String>, WriteError> {
        let opened = Home::open(disk, script::start(), seed);
        let mut home = match opened {
            Ok(home) => home,
            Err(StoreError::Foreign | StoreError::Empty | StoreError::Damaged { .. })
                if keeping == Keeping::Backup && !done =>
            {
                return Ok(Vec::new());
            }
            Err(error) => return Err(error.into()),
        };
        let mut found = unsound(&home.node)?;
        let holdings = Holdings::of(&home.node)?;
        found.extend(self.ledger.lost(&holdings));
        let same = holdings.me == self.me;
        if same != (keeping == Keeping::Migration) {
            found.push(format!("it writes on in {:?}, it was {:?}", holdings.me, self.me));
        }
        let foreign = (!same).then_some(self.me);
        if Content::of(&mut home, foreign)? != self.content {
            found.push("it holds something else, or in another order".to_owned());
        }
        home.node.write(home.now, &author::post("on it goes"), 0)?;
        found.extend(unsound(&home.node)?);
        Ok(found)
    }
}

impl Content {
    /// What is held, once all indexes are built. With the name of a feed that has ended, what its
    /// successors say is left out.
    fn of(home: &mut Home, ended: Option<FeedId>) -> Result<Self, WriteError> {
        home.rest()?;
        let holdings = Holdings::of(&home.node)?;
        let successor = ended.map(|_| holdings.me).filter(|me| Some(*me) != ended);
        let counts = |name: &Name| Some(name.0) != successor;
        let hits = home.node.reader()?.query(&Query::default())?.into_iter();
        let order = hits.map(|hit| (hit.held.feed, hit.held.seq, *hit.held.id.as_bytes()));
        Ok(Self {
            entries: holdings.entries.keys().copied().filter(counts).collect(),
            order: order.filter(counts).collect(),
        })
    }
}
