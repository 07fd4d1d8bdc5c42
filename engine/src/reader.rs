//! Reading a node: one moment of it, sendable to another thread, whatever is written meanwhile.
//!
//! Queries, exports, listings, the check of every invariant and the writing of bundles all start
//! here, so that none of them stops the node.

mod audit;
mod gather;
mod outside;
mod private;

use std::collections::{BTreeMap, BTreeSet};

use crate::content::Carry;
use crate::entry::EntryId;
use crate::ingest::{BLOCKED, FOLLOWED, OWN};
use crate::key::{AccountId, FeedId};
use crate::policy::{CarryClass, Quotas};
use crate::sealing;
use crate::store::{
    ALL_PLACES, Counts, FeedRow, Held, Hit, Query, Remembered, Snapshot, StorageBackend, Store,
    StoreError, find, has_work, heads_of, profiles, run,
};
use crate::time::Now;

pub use audit::{Checked, Finding};
pub use gather::{BundleRequest, BundleSource, Gathered};
pub(crate) use gather::{Cut, PAYLOADS_A_WANT, merged};
pub use outside::Shown;
pub use private::{Contact, Progress, Said, SealedFor, Shared};

/// One moment of a node.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(crate) snapshot: Snapshot,
}

/// The device's own feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Me {
    /// The feed that the device writes now.
    pub feed: FeedId,
    /// The person that it belongs to.
    pub account: AccountId,
    /// Who may carry the feed.
    pub carry: Carry,
    /// Whether the account's key has certified the feed.
    pub confirmed: bool,
}

/// What is known of a feed.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and all combine")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedInfo {
    /// The feed.
    pub feed: FeedId,
    /// Whose it says it is, once its first entry is here.
    pub account: Option<AccountId>,
    /// How its author wants to be called.
    pub name: Option<String>,
    /// How the user calls it.
    pub petname: Option<String>,
    /// Why it is held.
    pub class: CarryClass,
    /// Who may carry it, once its first entry is here.
    pub carry: Option<Carry>,
    /// Entries held.
    pub held: u64,
    /// Newest entry held without a gap above the floor.
    pub head: u64,
    /// Oldest entry of that run.
    pub floor: u64,
    /// What is missing between the floor and the newest entry held.
    pub gaps: Vec<(u64, u64)>,
    /// Payloads that are wanted.
    pub missing_payloads: u64,
    /// Bytes counted against the quota.
    pub bytes: u64,
    /// Whether the user follows it.
    pub followed: bool,
    /// Whether the user blocked it.
    pub blocked: bool,
    /// Whether this device writes or wrote it.
    pub own: bool,
    /// Whether it is an own feed that has ended.
    pub retired: bool,
    /// Lowest place at which it is proven forked.
    pub forked: Option<u64>,
    /// Entries held on its second branch.
    pub branch_entries: u64,
    /// Whether the account's key stands behind the feed.
    pub confirmed: bool,
    /// Whether the account revoked the device.
    pub revoked: bool,
    /// The feed that it goes on for.
    pub successor_of: Option<FeedId>,
}

/// What a node holds and what left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Feeds held.
    pub feeds: u64,
    /// Entries held.
    pub entries: u64,
    /// Arrivals since the store was made.
    pub log_position: u64,
    /// Arrivals that are indexed.
    pub indexed: u64,
    /// By class: bytes held and the quota, if there is one.
    pub usage: Vec<(CarryClass, u64, Option<u64>)>,
    /// What left or was kept out since the store was made.
    pub counts: Counts,
    /// Texts that the user deleted here.
    pub deleted: u64,
    /// Feeds remembered as left out or evicted.
    pub left_out_feeds: u64,
    /// Payloads that are wanted.
    pub missing_payloads: u64,
    /// Minutes of known time.
    pub known_minutes: u64,
}

impl Reader {
    pub(crate) const fn new(snapshot: Snapshot) -> Self {
        Self { snapshot }
    }

    /// Opens a store that no node has open, to read one moment of it; nothing on the disk changes,
    /// and nobody can open it to write until the reader is dropped. None: a node has to open it
    /// first, since it was not closed in order, is of another version, or is a backup.
    pub fn open(
        disk: impl StorageBackend,
        cache_bytes: usize,
        now: Now,
    ) -> Result<Option<Self>, StoreError> {
        Ok(Store::look(disk, cache_bytes, now)?.map(Self::new))
    }

    /// Takes the file with the key that locks what is to be forgotten; see
    /// [`Node::lock_with`](crate::Node::lock_with).
    pub fn unlock_with(&mut self, file: impl StorageBackend) -> Result<(), StoreError> {
        self.snapshot.unlock_with(file)
    }

    /// Whether an idle node would find nothing to do: what is here is indexed, all but a few, and
    /// nothing is overdue.
    pub fn is_tidy(&self) -> Result<bool, StoreError> {
        let minutes = self.snapshot.known().minutes();
        Ok(!has_work(&self.snapshot, minutes)? && !sealing::has_work(&self.snapshot, minutes)?)
    }

    /// The device's own feed.
    pub fn me(&self) -> Result<Me, StoreError> {
        let damaged = || StoreError::Damaged { what: "the own feed" };
        let row = self.snapshot.own_row()?;
        let origin = row.origin.ok_or_else(damaged)?;
        let confirmed = self.standing(&origin.account, &row.id)? == Some(1);
        Ok(Me {
            feed: row.id,
            account: origin.account,
            carry: origin.carry,
            confirmed: origin.retired.is_none() || confirmed,
        })
    }

    fn standing(&self, account: &AccountId, feed: &FeedId) -> Result<Option<u8>, StoreError> {
        self.snapshot.standing(account, feed)
    }

    /// Every feed that is held, followed or blocked.
    pub fn feeds(&self) -> Result<Vec<FeedInfo>, StoreError> {
        let relations: BTreeMap<FeedId, u8> = self.snapshot.relations()?.into_iter().collect();
        let petnames: BTreeMap<FeedId, String> = self.snapshot.petnames()?.into_iter().collect();
        let mut missing: BTreeMap<u32, u64> = BTreeMap::new();
        self.snapshot.holes(ALL_PLACES, &mut |number, _| {
            *missing.entry(number).or_default() += 1;
            true
        })?;
        let rows = self.snapshot.rows()?;
        let branches: BTreeMap<FeedId, &(u32, FeedRow)> =
            rows.iter().filter(|row| row.1.branch > 0).map(|row| (row.1.id, row)).collect();
        let held = rows.iter().filter(|row| row.1.branch == 0).map(|row| row.0);
        let mut names = profiles(&self.snapshot, held)?;
        let mut all = Vec::new();
        let mut seen = BTreeSet::new();
        for (number, row) in rows.iter().filter(|row| row.1.branch == 0) {
            seen.insert(row.id);
            let mut info = self.info(row)?;
            info.name = names.remove(number).map(|profile| profile.0);
            if row.own == OWN && info.name.is_none() {
                let name = self.snapshot.meta("name")?;
                info.name = name.and_then(|name| String::from_utf8(name).ok());
            }
            info.missing_payloads = missing.get(number).copied().unwrap_or(0);
            if let Some(second) = branches.get(&row.id) {
                self.join(&mut info, *number, row, second)?;
            }
            info.followed = relations.get(&row.id) == Some(&FOLLOWED);
            info.blocked = relations.get(&row.id) == Some(&BLOCKED);
            info.petname = petnames.get(&row.id).cloned();
            all.push(info);
        }
        for (feed, state) in relations.iter().filter(|relation| !seen.contains(relation.0)) {
            all.push(FeedInfo {
                petname: petnames.get(feed).cloned(),
                followed: *state == FOLLOWED,
                blocked: *state == BLOCKED,
                ..absent(*feed, *state)
            });
        }
        Ok(all)
    }

    fn info(&self, row: &FeedRow) -> Result<FeedInfo, StoreError> {
        let standing = match &row.origin {
            Some(origin) => self.standing(&origin.account, &row.id)?,
            None => None,
        };
        let retired = row.origin.and_then(|origin| origin.retired);
        Ok(FeedInfo {
            account: row.origin.map(|origin| origin.account),
            class: row.class,
            carry: row.origin.map(|origin| origin.carry),
            held: row.entries,
            head: row.head(),
            floor: row.floor,
            gaps: row.gaps(),
            bytes: row.bytes,
            own: row.own != 0,
            retired: row.own > OWN,
            forked: row.fork_seq,
            confirmed: row.origin.is_some() && (retired.is_none() || standing == Some(1)),
            revoked: standing == Some(2),
            successor_of: retired,
            ..absent(row.id, 0)
        })
    }

    /// The newest entries that a query selects, oldest first.
    pub fn query(&self, query: &Query) -> Result<Vec<Hit>, StoreError> {
        run(&self.snapshot, query)
    }

    /// Entries whose id lies between two, both included; at most 16.
    pub fn find(
        &self,
        from: [u8; 32],
        to: [u8; 32],
    ) -> Result<Vec<(EntryId, FeedId, u64)>, StoreError> {
        find(&self.snapshot, from, to)
    }

    /// Up to four newest entries of a channel that nobody has answered: parents for the next.
    pub fn channel_heads(&self, channel: &str) -> Result<Vec<EntryId>, StoreError> {
        heads_of(&self.snapshot, channel)
    }

    /// Visits the held entries of a feed in an order that depends on the entries alone: of a forked
    /// feed the branch with the lower id first.
    pub fn export(
        &self,
        feed: &FeedId,
        visit: &mut dyn FnMut(Held) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let Some(main) = self.snapshot.number(feed, 0)? else { return Ok(false) };
        let row = self.snapshot.row(main)?;
        let second = self.snapshot.number(feed, 1)?;
        let (Some(second), Some(fork)) = (second, row.fork_seq) else {
            self.snapshot.scan(main, 1, u64::MAX, visit)?;
            return Ok(true);
        };
        let below = fork.saturating_sub(1);
        self.snapshot.scan(main, 1, below, visit)?;
        let order =
            if self.main_is_lower(main, second, fork)? { [main, second] } else { [second, main] };
        for (branch, number) in (0..).zip(order) {
            self.snapshot
                .scan(number, fork, u64::MAX, &mut |held| visit(Held { branch, ..held }))?;
        }
        Ok(true)
    }

    /// Whether of the two branches of a forked feed the main chain has the lower id at the fork.
    fn main_is_lower(&self, main: u32, second: u32, fork: u64) -> Result<bool, StoreError> {
        let id =
            |number| Ok::<_, StoreError>(self.snapshot.entry(number, fork)?.map(|held| held.id));
        Ok(match (id(main)?, id(second)?) {
            (Some(a), Some(b)) => a < b,
            (a, _) => a.is_some(),
        })
    }

    /// Puts both branches of a forked feed together, the one with the lower id at the fork first,
    /// so that it reads the same whichever was learned first.
    fn join(
        &self,
        info: &mut FeedInfo,
        number: u32,
        main: &FeedRow,
        (second, branch): &(u32, FeedRow),
    ) -> Result<(), StoreError> {
        let fork = branch.floor;
        let above = |run: &(u64, u64)| run.1.saturating_add(1).saturating_sub(run.0.max(fork));
        if self.main_is_lower(number, *second, fork)? {
            info.branch_entries = branch.entries;
        } else {
            info.branch_entries = main.runs.iter().map(above).sum();
            info.head = branch.head();
        }
        info.held = main.entries.saturating_add(branch.entries);
        info.bytes = main.bytes.saturating_add(branch.bytes);
        Ok(())
    }

    /// The newest entry that this device wrote.
    pub fn newest_own(&self) -> Result<Option<Held>, StoreError> {
        let row = self.snapshot.own_row()?;
        match self.snapshot.number(&row.id, 0)? {
            Some(number) => self.snapshot.entry(number, row.head()),
            None => Ok(None),
        }
    }

    /// Copies this moment to an empty disk, as a backup, while the node goes on.
    ///
    /// It holds everything but what can be computed again, the secret of the device too: without
    /// that the feed could not name its successor. Whoever opens it goes on in a new feed, so that
    /// the device and any number of restored backups never write the same one.
    ///
    /// `visit` is told now and then how many rows of how many are copied, and says whether to go
    /// on. True: the copy is durable, and all of it was read again. False: it was stopped, and
    /// what is on the disk is nothing.
    pub fn back_up(
        &self,
        disk: impl StorageBackend,
        cache_bytes: usize,
        visit: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<bool, StoreError> {
        self.snapshot.copy_to(disk, cache_bytes, false, visit)
    }

    /// Copies this moment to an empty disk in memory, as the same device: to find out what a node
    /// would say to somebody, without saying it. Two that went on would fork the feed, so it must not
    /// outlive the question.
    pub fn twin(&self, disk: impl StorageBackend, cache_bytes: usize) -> Result<(), StoreError> {
        self.snapshot.copy_to(disk, cache_bytes, true, &mut |_, _| true).map(drop)
    }

    /// How far an input was taken in.
    pub fn progress(&self, key: &[u8; 32]) -> Result<u64, StoreError> {
        self.snapshot.progress(key)
    }

    /// Nodes that were met and where, the one met last at the end.
    pub fn peers(&self) -> Result<Vec<Remembered>, StoreError> {
        self.snapshot.addresses()
    }

    /// Whom the author of a feed publicly follows.
    pub fn follows(&self, feed: &FeedId) -> Result<BTreeSet<FeedId>, StoreError> {
        let number = self.snapshot.number(feed, 0)?;
        number.map_or_else(|| Ok(BTreeSet::new()), |number| self.snapshot.follows(number))
    }

    /// Whether only contacts are met.
    pub fn is_secluded(&self) -> Result<bool, StoreError> {
        self.snapshot.is_secluded()
    }

    /// How far the follows of those whom the user follows count.
    pub fn hops(&self) -> Result<u8, StoreError> {
        self.snapshot.hops()
    }

    /// Whether the authors of private messages hear that these arrived and were read.
    pub fn receipts(&self) -> Result<bool, StoreError> {
        Ok(self.snapshot.meta("receipts")? != Some(vec![0]))
    }

    /// Feeds left out or evicted, and up to which entry.
    pub fn left_out(&self) -> Result<Vec<(FeedId, u64)>, StoreError> {
        let row =
            |(feed, row): (FeedId, Vec<u8>)| (feed, row.try_into().map_or(0, u64::from_be_bytes));
        Ok(self.snapshot.ledger()?.into_iter().map(row).collect())
    }

    /// What the node holds and what left it.
    pub fn status(&self) -> Result<Status, StoreError> {
        let heads = self.snapshot.heads()?;
        let quotas = self.quotas()?;
        let (mut feeds, mut entries) = (0, 0);
        for (_, row) in self.snapshot.rows()? {
            feeds += u64::from(row.branch == 0);
            entries += row.entries;
        }
        let usage = CarryClass::ALL.iter().map(|class| {
            let bytes = heads.usage.get(usize::from(class.code())).copied().unwrap_or(0);
            (*class, bytes, quotas.limit(*class))
        });
        let mut missing_payloads = 0;
        self.snapshot.holes(ALL_PLACES, &mut |_, _| {
            missing_payloads += 1;
            true
        })?;
        Ok(Status {
            feeds,
            entries,
            log_position: heads.log_len,
            indexed: heads.log_len.saturating_sub(self.snapshot.unindexed()?),
            usage: usage.collect(),
            counts: heads.counts,
            deleted: self.snapshot.deleted()?,
            left_out_feeds: self.snapshot.ledger()?.len() as u64,
            missing_payloads,
            known_minutes: self.snapshot.known().minutes(),
        })
    }

    fn quotas(&self) -> Result<Quotas, StoreError> {
        self.snapshot.quotas()
    }
}

/// A feed of which nothing is held.
fn absent(feed: FeedId, relation: u8) -> FeedInfo {
    FeedInfo {
        feed,
        account: None,
        name: None,
        petname: None,
        class: if relation == FOLLOWED { CarryClass::Followed } else { CarryClass::Stranger },
        carry: None,
        held: 0,
        head: 0,
        floor: 1,
        gaps: Vec::new(),
        missing_payloads: 0,
        bytes: 0,
        followed: false,
        blocked: false,
        own: false,
        retired: false,
        forked: None,
        branch_entries: 0,
        confirmed: false,
        revoked: false,
        successor_of: None,
    }
}
