//! Whom the authors of feeds publicly follow, and whom that brings within the user's reach.

use std::collections::{BTreeMap, BTreeSet};

use redb::{ReadableTable, TableDefinition, TableError};

use crate::content::{Content, RELATION, RelationState, kind_of};
use crate::key::FeedId;
use crate::limits::{FOLLOWS_READ, HOPS};
use crate::policy::CarryClass;
use crate::store::snapshot::Snapshot;
use crate::store::{StoreError, Writer};

/// (feed, seq) of a relation that is here, to the feed it names and whether it says "follow".
pub(super) const FOLLOWS: TableDefinition<'_, (u32, u64), (&[u8; 32], bool)> =
    TableDefinition::new("follows");
/// Feeds that are followed by those whom the user follows, held or not.
pub(super) const REACHED: TableDefinition<'_, &[u8; 32], ()> = TableDefinition::new("reached");

/// Hops where the user said nothing: those whom the followed follow.
const USUAL_HOPS: u8 = 1;

impl Writer<'_> {
    /// Notes whom a payload says that its author follows, or no longer.
    pub(super) fn note_follow(
        &mut self,
        feed: u32,
        seq: u64,
        payload: &[u8],
    ) -> Result<(), StoreError> {
        if kind_of(payload) != Some(RELATION) {
            return Ok(());
        }
        let Ok(Content::Relation(relation)) = Content::decode(payload) else { return Ok(()) };
        let follows = relation.state == RelationState::Follow;
        let mut table = self.txn.open_table(FOLLOWS)?;
        table.insert((feed, seq), (relation.feed.as_bytes(), follows))?;
        drop(table);
        self.regroup |= self.row(feed)?.class == CarryClass::Followed;
        Ok(())
    }

    /// Forgets what entries of a feed said of others.
    pub(super) fn forget_follows(
        &mut self,
        feed: u32,
        (first, last): (u64, u64),
    ) -> Result<(), StoreError> {
        let mut some = false;
        self.txn.open_table(FOLLOWS)?.retain_in((feed, first)..=(feed, last), |_, _| {
            some = true;
            false
        })?;
        if some {
            self.regroup |= self.row(feed)?.class == CarryClass::Followed;
        }
        Ok(())
    }

    /// Whom a feed publicly follows.
    pub(crate) fn follows(&self, feed: u32) -> Result<BTreeSet<FeedId>, StoreError> {
        newest(&self.txn.open_table(FOLLOWS)?, feed)
    }

    /// Whether a feed is followed by those whom the user follows.
    pub(crate) fn is_reached(&self, feed: &FeedId) -> Result<bool, StoreError> {
        Ok(self.txn.open_table(REACHED)?.get(feed.as_bytes())?.is_some())
    }

    /// Remembers whom the followed follow.
    pub(crate) fn set_reached(&mut self, feeds: &BTreeSet<FeedId>) -> Result<(), StoreError> {
        let mut table = self.txn.open_table(REACHED)?;
        table.retain(|feed, ()| feeds.contains(&FeedId::from_bytes(*feed)))?;
        for feed in feeds {
            table.insert(feed.as_bytes(), ())?;
        }
        Ok(())
    }

    /// How far the follows of the followed count.
    pub(crate) fn hops(&self) -> Result<u8, StoreError> {
        Ok(hops_of(self.meta("hops")?))
    }

    /// Sets how far the follows of the followed count, at most [`HOPS`].
    pub(crate) fn set_hops(&mut self, hops: u8) -> Result<(), StoreError> {
        self.set_meta("hops", &[hops.min(HOPS)])
    }
}

impl Snapshot {
    /// Whom a feed publicly follows.
    pub(crate) fn follows(&self, feed: u32) -> Result<BTreeSet<FeedId>, StoreError> {
        match self.txn.open_table(FOLLOWS) {
            Err(TableError::TableDoesNotExist(_)) => Ok(BTreeSet::new()),
            table => newest(&table?, feed),
        }
    }

    /// How far the follows of the followed count.
    pub(crate) fn hops(&self) -> Result<u8, StoreError> {
        Ok(hops_of(self.meta("hops")?))
    }
}

fn hops_of(row: Option<Vec<u8>>) -> u8 {
    row.and_then(|row| row.first().copied()).unwrap_or(USUAL_HOPS).min(HOPS)
}

/// What a feed says last of each feed, of the newest that it says.
fn newest(
    table: &impl ReadableTable<(u32, u64), (&'static [u8; 32], bool)>,
    feed: u32,
) -> Result<BTreeSet<FeedId>, StoreError> {
    let mut last = BTreeMap::new();
    let read = usize::try_from(FOLLOWS_READ).unwrap_or(usize::MAX);
    for row in table.range((feed, 0)..=(feed, u64::MAX))?.rev().take(read) {
        let row = row?.1;
        let (named, follows) = row.value();
        last.entry(FeedId::from_bytes(*named)).or_insert(follows);
    }
    Ok(last.into_iter().filter_map(|(named, follows)| follows.then_some(named)).collect())
}
