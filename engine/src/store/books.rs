//! What the store remembers beside entries: the user's decisions, devices, peers, secrets,
//! what was left out, and what is due.

use redb::ReadableTable;

use crate::key::{AccountId, FeedId};
use crate::limits::{CONTACTS, REMEMBERED_EVICTIONS};
use crate::store::record::State;
use crate::store::snapshot::pair;
use crate::store::tables::{
    DEVICES, EXPIRIES, FORKS, HOLES, LEDGER, LEDGER_ORDER, PEER_HEADS, PEERS, PETNAMES, PROGRESS,
    PeerRow, RELATIONS, SECRETS,
};
use crate::store::{StoreError, Stored, Writer};

/// One head as a peer stated it: feed, floor, head, fork seq or 0.
pub(crate) type StatedHead = (FeedId, u64, u64, u64);

impl Writer<'_> {
    /// What the user decided about a feed.
    pub(crate) fn relation(&self, feed: &FeedId) -> Result<Option<u8>, StoreError> {
        let relations = self.txn.open_table(RELATIONS)?;
        Ok(relations.get(feed.as_bytes())?.map(|row| row.value()))
    }

    /// Sets or clears what the user decided; false if the limit of followed feeds is reached.
    pub(crate) fn set_relation(
        &mut self,
        feed: &FeedId,
        state: Option<u8>,
    ) -> Result<bool, StoreError> {
        use redb::ReadableTableMetadata;
        let mut relations = self.txn.open_table(RELATIONS)?;
        match state {
            None => relations.remove(feed.as_bytes())?.is_some(),
            Some(_)
                if relations.len()? >= CONTACTS && relations.get(feed.as_bytes())?.is_none() =>
            {
                return Ok(false);
            }
            Some(state) => relations.insert(feed.as_bytes(), state)?.is_some(),
        };
        Ok(true)
    }

    /// The feeds that the user follows.
    pub(crate) fn followed(&self) -> Result<Vec<FeedId>, StoreError> {
        let relations = self.txn.open_table(RELATIONS)?;
        let mut all = Vec::new();
        for row in relations.iter()? {
            let (feed, state) = row?;
            if state.value() == 1 {
                all.push(FeedId::from_bytes(*feed.value()));
            }
        }
        Ok(all)
    }

    /// Sets or clears the user's own name for a feed.
    pub(crate) fn set_petname(
        &mut self,
        feed: &FeedId,
        name: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut petnames = self.txn.open_table(PETNAMES)?;
        match name {
            Some(name) => petnames.insert(feed.as_bytes(), name)?.is_some(),
            None => petnames.remove(feed.as_bytes())?.is_some(),
        };
        Ok(())
    }

    /// Remembers the standing of a device: 1 added, 2 revoked; revoked wins for ever.
    pub(crate) fn device(
        &mut self,
        account: &AccountId,
        feed: &FeedId,
        standing: u8,
    ) -> Result<(), StoreError> {
        let key = pair(account.as_bytes(), feed.as_bytes());
        let mut devices = self.txn.open_table(DEVICES)?;
        let known = devices.get(&key)?.map_or(0, |row| row.value());
        devices.insert(&key, known.max(standing))?;
        Ok(())
    }

    /// Keeps a secret of this device.
    pub(crate) fn set_secret(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.txn.open_table(SECRETS)?.insert(name, value)?;
        Ok(())
    }

    /// Up to which seq a feed was left out or evicted before.
    pub(crate) fn left_out(&self, feed: &FeedId) -> Result<Option<u64>, StoreError> {
        let ledger = self.txn.open_table(LEDGER)?;
        let row = ledger.get(feed.as_bytes())?;
        Ok(row.and_then(|row| row.value().try_into().ok().map(u64::from_be_bytes)))
    }

    /// Remembers that a feed was left out up to `last`; the oldest such memory makes room.
    pub(crate) fn leave_out(&mut self, feed: &FeedId, last: u64) -> Result<(), StoreError> {
        use redb::ReadableTableMetadata;
        let known = self.left_out(feed)?;
        let mut ledger = self.txn.open_table(LEDGER)?;
        let mut order = self.txn.open_table(LEDGER_ORDER)?;
        if known.is_none() {
            if ledger.len()? >= REMEMBERED_EVICTIONS
                && let Some((_, oldest)) = order.pop_first()?
            {
                ledger.remove(oldest.value())?;
            }
            self.heads.next_ledger = self.heads.next_ledger.saturating_add(1);
            order.insert(self.heads.next_ledger, feed.as_bytes())?;
        }
        let last = known.unwrap_or(0).max(last);
        ledger.insert(feed.as_bytes(), last.to_be_bytes().as_slice())?;
        Ok(())
    }

    /// Forgets what was left out, so that it can come again.
    pub(crate) fn forget_left_out(&mut self) -> Result<(), StoreError> {
        self.txn.open_table(LEDGER)?.retain(|_, _| false)?;
        self.txn.open_table(LEDGER_ORDER)?.retain(|_, _| false)?;
        Ok(())
    }

    /// Forgets that one feed was left out.
    pub(crate) fn forgive(&mut self, feed: &FeedId) -> Result<(), StoreError> {
        let gone = self.txn.open_table(LEDGER)?.remove(feed.as_bytes())?.is_some();
        if gone {
            let mut order = self.txn.open_table(LEDGER_ORDER)?;
            order.retain(|_, held| held != feed.as_bytes())?;
        }
        Ok(())
    }

    /// The fork proof that is kept for a feed.
    pub(crate) fn fork_proof(&self, number: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let forks = self.txn.open_table(FORKS)?;
        Ok(forks.get(number)?.map(|row| row.value().to_vec()))
    }

    /// Where a feed is proven forked.
    pub(crate) fn fork_of(&mut self, feed: &FeedId) -> Result<Option<u64>, StoreError> {
        match self.number(feed, 0)? {
            Some(number) if self.is_held(number)? => Ok(self.row(number)?.fork_seq),
            _ => Ok(None),
        }
    }

    /// Keeps a fork proof.
    pub(crate) fn set_fork(
        &mut self,
        number: u32,
        fork_seq: u64,
        proof: &[u8],
    ) -> Result<(), StoreError> {
        self.row_mut(number)?.fork_seq = Some(fork_seq);
        self.txn.open_table(FORKS)?.insert(number, proof)?;
        Ok(())
    }

    /// Notes that this device has to go on in a new feed.
    pub(crate) fn retire_own(&mut self) -> Result<(), StoreError> {
        self.set_meta("retire", &[1])
    }

    /// Payloads that are due to be looked at: (minute, feed number, seq).
    pub(crate) fn due(&self, budget: usize) -> Result<Vec<(u64, u32, u64)>, StoreError> {
        let expiries = self.txn.open_table(EXPIRIES)?;
        let end = (self.known.minutes(), u32::MAX, u64::MAX);
        let rows = expiries.range((0, 0, 0)..=end)?.take(budget);
        rows.map(|row| Ok(row?.0.value())).collect()
    }

    /// Forgets that a payload is due.
    pub(crate) fn unwatch(&mut self, minute: u64, feed: u32, seq: u64) -> Result<(), StoreError> {
        self.txn.open_table(EXPIRIES)?.remove((minute, feed, seq))?;
        Ok(())
    }

    /// Notes when this node will itself have held an entry for its whole lifetime.
    pub(crate) fn watch_end(&mut self, feed: u32, seq: u64, due: u64) -> Result<(), StoreError> {
        self.txn.open_table(EXPIRIES)?.insert((due, feed, seq), ())?;
        Ok(())
    }

    /// Takes up the wish for a payload again, because a lesser age is claimed for it.
    pub(crate) fn revive(
        &mut self,
        feed: u32,
        stored: &Stored,
        age: u32,
    ) -> Result<(), StoreError> {
        let dwell = self.known.minutes().saturating_sub(stored.kept.since);
        let claim = u64::from(age).saturating_sub(dwell);
        self.txn.open_table(HOLES)?.insert((feed, stored.seq), ())?;
        self.change(feed, stored.seq, |kept| {
            kept.state = State::Apart;
            kept.age = u32::try_from(claim).unwrap_or(u32::MAX);
        })
    }

    /// What a maker of bundles stated last.
    pub(crate) fn peer(&self, peer: &FeedId) -> Result<Option<PeerRow>, StoreError> {
        let peers = self.txn.open_table(PEERS)?;
        peers.get(peer.as_bytes())?.map(|row| PeerRow::decode(row.value())).transpose()
    }

    /// Remembers what a maker of bundles stated. `whole` replaces all its heads.
    pub(crate) fn set_peer(
        &mut self,
        peer: &FeedId,
        row: &PeerRow,
        heads: &[StatedHead],
        whole: bool,
    ) -> Result<(), StoreError> {
        self.txn.open_table(PEERS)?.insert(peer.as_bytes(), row.encode().as_slice())?;
        let mut table = self.txn.open_table(PEER_HEADS)?;
        if whole {
            let from = pair(peer.as_bytes(), &[0; 32]);
            let to = pair(peer.as_bytes(), &[0xff; 32]);
            table.retain_in::<&[u8; 64], _>(&from..=&to, |_, _| false)?;
        }
        for (feed, floor, head, fork) in heads {
            table.insert(&pair(peer.as_bytes(), feed.as_bytes()), (*floor, *head, *fork))?;
        }
        Ok(())
    }

    /// How far an input was taken in.
    pub(crate) fn set_progress(&mut self, key: &[u8; 32], done: u64) -> Result<(), StoreError> {
        self.txn.open_table(PROGRESS)?.insert(key, done)?;
        Ok(())
    }
}
