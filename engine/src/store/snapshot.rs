//! Reading the store: one moment of it, whatever is written meanwhile.

use std::ops::Range;
use std::sync::Arc;

use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, TableError};

use crate::codec::Decoder;
use crate::entry::{ChainHasher, EntryId};
use crate::key::{AccountId, Digest, FeedId, Seed, Signature};
use crate::policy::Quotas;
use crate::store::record::{Kept, Record, State};
use crate::store::tables::{
    ARRIVALS, Arrival, DELETED, DEVICES, EXPIRIES, FEED_IDS, FEEDS, FORKS, FeedRow, HELD_ORDER,
    HOLES, LEDGER, LOG, META, PAYLOADS, PEER_HEADS, PEERS, PETNAMES, PROGRESS, PeerRow, RECORDS,
    RELATIONS, SECRETS, VIAS,
};
use crate::store::view::{Done, STATE};
use crate::store::writer::{Gives, Heads, branch_key, decode_quotas, order_key};
use crate::store::{STORE_VERSION, StoreError};
use crate::time::{Known, KnownClock, Now};

/// Every place of every feed: feed number and seq.
pub(crate) const ALL_PLACES: Range<(u32, u64)> = (0, 0)..(u32::MAX, 0);

/// One moment of the store, which several may look at.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) txn: Arc<ReadTransaction>,
    known: Known,
    /// The key that locks what is to be forgotten, where it stands outside the store.
    pub(super) lock: Option<Seed>,
}

/// An entry as this node holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Whose entry it is.
    pub feed: FeedId,
    /// 0, or 1 on the second branch of a forked feed.
    pub branch: u8,
    /// Its place in the feed.
    pub seq: u64,
    /// Its id.
    pub id: EntryId,
    /// The id of the entry before it.
    pub prev: Option<EntryId>,
    /// Hours of age after which the payload is dropped; 0 keeps it.
    pub ttl: u32,
    /// Minutes of age now; 0 where the ttl is 0.
    pub age: u64,
    /// Bytes of the payload.
    pub size: u32,
    /// Hash of the payload.
    pub payload_hash: Digest,
    /// The payload, if it is here.
    pub payload: Option<Vec<u8>>,
    /// Where the payload is, or why it is not here.
    pub state: State,
    /// The author's signature, if it is kept with this entry.
    pub signature: Option<Signature>,
}

impl Snapshot {
    pub(crate) fn new(txn: impl Into<Arc<ReadTransaction>>, known: Known) -> Self {
        Self { txn: txn.into(), known, lock: None }
    }

    /// The version of the layout, if this program knows it.
    pub(crate) fn version(&self) -> Result<u64, StoreError> {
        let version = match self.meta("version")? {
            Some(bytes) => bytes.try_into().map_or(0, u64::from_be_bytes),
            None => return Err(StoreError::Foreign),
        };
        if version > STORE_VERSION {
            return Err(StoreError::Newer { found: version, known: STORE_VERSION });
        }
        Ok(version)
    }

    /// What clocks said when the store was last written.
    pub(crate) fn clock(&self) -> Result<KnownClock, StoreError> {
        let bytes = self.meta("clock")?.ok_or(StoreError::Foreign)?;
        let mut row = Decoder::new(&bytes);
        let mut read = || {
            row.array_of("clock", 4)?;
            let mut next = || row.uint("clock", u64::MAX);
            let known = Known(next()?);
            let last = Now { tick: next()?, wall: next()?, boot_id: next()? };
            Ok(KnownClock::resume(known, last))
        };
        read().map_err(|_: crate::codec::DecodeError| StoreError::Damaged { what: "the clock" })
    }

    /// Known time when the snapshot was taken.
    pub(crate) const fn known(&self) -> Known {
        self.known
    }

    /// A single value by name.
    pub(crate) fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let meta = match self.txn.open_table(META) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            meta => meta?,
        };
        Ok(meta.get(name)?.map(|row| row.value().to_vec()))
    }

    /// Where the indexes stand, by name.
    pub(crate) fn index_state(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let state = self.txn.open_table(STATE)?;
        Ok(state.get(name)?.map(|row| row.value().to_vec()))
    }

    /// The numbers that nearly every step changes.
    pub(crate) fn heads(&self) -> Result<Heads, StoreError> {
        self.meta("heads")?.map_or_else(|| Ok(Heads::default()), |row| Heads::decode(&row))
    }

    /// A secret of this device by name.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let secrets = self.txn.open_table(SECRETS)?;
        Ok(secrets.get(name)?.map(|row| row.value().to_vec()))
    }

    /// The number of a feed or branch that is held.
    pub(crate) fn number(&self, id: &FeedId, branch: u8) -> Result<Option<u32>, StoreError> {
        let ids = self.txn.open_table(FEED_IDS)?;
        let Some(number) = ids.get(&branch_key(id, branch))?.map(|row| row.value()) else {
            return Ok(None);
        };
        Ok(self.txn.open_table(FEEDS)?.get(number)?.map(|_| number))
    }

    /// The row of a held feed.
    pub(crate) fn row(&self, number: u32) -> Result<FeedRow, StoreError> {
        let feeds = self.txn.open_table(FEEDS)?;
        let row = feeds.get(number)?.ok_or(StoreError::Damaged { what: "a feed without a row" })?;
        FeedRow::decode(row.value())
    }

    /// The row of a feed, if it is held still.
    pub(crate) fn held_row(&self, number: u32) -> Result<Option<FeedRow>, StoreError> {
        let feeds = self.txn.open_table(FEEDS)?;
        feeds.get(number)?.map(|row| FeedRow::decode(row.value())).transpose()
    }

    /// Every held feed and branch.
    pub(crate) fn rows(&self) -> Result<Vec<(u32, FeedRow)>, StoreError> {
        let mut all = Vec::new();
        self.each_row(&mut |number, row| all.push((number, row)))?;
        Ok(all)
    }

    /// Visits every held feed and branch.
    pub(crate) fn each_row(&self, visit: &mut dyn FnMut(u32, FeedRow)) -> Result<(), StoreError> {
        for row in self.txn.open_table(FEEDS)?.iter()? {
            let (number, row) = row?;
            visit(number.value(), FeedRow::decode(row.value())?);
        }
        Ok(())
    }

    /// What a feed is noted to have left to give up, if it stands once in the order of eviction.
    pub(crate) fn gives(&self, number: u32, row: &FeedRow) -> Result<Option<Gives>, StoreError> {
        let order = self.txn.open_table(HELD_ORDER)?;
        let mut found = Vec::new();
        for gives in Gives::ALL {
            if order.get(order_key(row, number, gives))?.is_some() {
                found.push(gives);
            }
        }
        Ok(found.pop().filter(|_| found.is_empty()))
    }

    /// How many feeds stand in the order of eviction.
    pub(crate) fn ordered(&self) -> Result<u64, StoreError> {
        Ok(self.txn.open_table(HELD_ORDER)?.len()?)
    }

    /// The feed that this device writes.
    pub(crate) fn own_row(&self) -> Result<FeedRow, StoreError> {
        self.row(self.own_number()?)
    }

    /// The number of the own feed.
    pub(crate) fn own_number(&self) -> Result<u32, StoreError> {
        let damaged = || StoreError::Damaged { what: "the own feed" };
        let own = self.meta("own")?.ok_or_else(damaged)?;
        Ok(u32::from_be_bytes(own.try_into().map_err(|_| damaged())?))
    }

    /// The quotas that hold.
    pub(crate) fn quotas(&self) -> Result<Quotas, StoreError> {
        let row = self.meta("quotas")?;
        row.map_or_else(|| Ok(Quotas::default()), |row| decode_quotas(&row))
    }

    /// How many payloads the user deleted.
    pub(crate) fn deleted(&self) -> Result<u64, StoreError> {
        Ok(self.txn.open_table(DELETED)?.len()?)
    }

    /// Standing of a device with an account: 1 added, 2 revoked.
    pub(crate) fn standing(
        &self,
        account: &AccountId,
        feed: &FeedId,
    ) -> Result<Option<u8>, StoreError> {
        let devices = self.txn.open_table(DEVICES)?;
        Ok(devices.get(&pair(account.as_bytes(), feed.as_bytes()))?.map(|row| row.value()))
    }

    /// Arrivals that no index covers yet.
    pub(crate) fn unindexed(&self) -> Result<u64, StoreError> {
        let done = Done::read(self.index_state("done")?.as_deref());
        Ok(self.heads()?.log_len.saturating_sub(done.position))
    }

    /// Whether a payload is due to be looked at.
    pub(crate) fn is_due(&self, minute: u64) -> Result<bool, StoreError> {
        let expiries = self.txn.open_table(EXPIRIES)?;
        let first = expiries.first()?;
        Ok(first.is_some_and(|(key, _)| key.value().0 <= minute))
    }

    /// Visits the held entries of a feed in a range, oldest first, until told to stop.
    pub(crate) fn scan(
        &self,
        number: u32,
        first: u64,
        last: u64,
        visit: &mut dyn FnMut(Held) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let row = self.row(number)?;
        let records = self.txn.open_table(RECORDS)?;
        let payloads = self.txn.open_table(PAYLOADS)?;
        let mut hasher = ChainHasher::default();
        for found in records.range((number, first)..=(number, u64::MAX))? {
            let record = Record::parse(found?.1.value())?;
            if record.first_seq > last {
                break;
            }
            let mut prev = record.prev;
            let ids = record.ids(row.id, &mut hasher);
            for ((seq, id), kept) in (record.first_seq..).zip(ids).zip(record.entries) {
                let before = prev.replace(id);
                if seq < first || seq > last {
                    continue;
                }
                let mut held = self.held(&row, seq, id, kept);
                held.prev = before;
                if held.state == State::Apart {
                    held.payload = payloads.get((number, seq))?.map(|row| row.value().to_vec());
                    if held.payload.is_some() {
                        held.state = State::Here;
                    }
                }
                if !visit(held)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn held(&self, row: &FeedRow, seq: u64, id: EntryId, kept: Kept) -> Held {
        Held {
            feed: row.id,
            branch: row.branch,
            seq,
            id,
            prev: None,
            ttl: kept.stub.ttl,
            age: kept.age_at(self.known.minutes()),
            size: kept.stub.size,
            payload_hash: kept.stub.payload_hash,
            payload: kept.payload,
            state: kept.state,
            signature: kept.signature,
        }
    }

    /// The payload at a place, if it is here.
    pub(crate) fn payload(&self, number: u32, seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let records = self.txn.open_table(RECORDS)?;
        let row = records.range((number, seq)..=(number, u64::MAX))?.next().transpose()?;
        let Some((_, record)) = row else { return Ok(None) };
        Ok(match Record::peek(record.value(), seq)? {
            Some((State::Here, payload)) => Some(payload.to_vec()),
            Some((State::Apart, _)) => {
                let payloads = self.txn.open_table(PAYLOADS)?;
                payloads.get((number, seq))?.map(|row| row.value().to_vec())
            }
            _ => None,
        })
    }

    /// The held entry at a place.
    pub(crate) fn entry(&self, number: u32, seq: u64) -> Result<Option<Held>, StoreError> {
        let mut found = None;
        self.scan(number, seq, seq, &mut |held| {
            found = Some(held);
            Ok(false)
        })?;
        Ok(found)
    }

    /// Position in the log and arrival of an entry.
    pub(crate) fn arrival_of(
        &self,
        number: u32,
        seq: u64,
    ) -> Result<Option<(u64, Arrival)>, StoreError> {
        let arrivals = self.txn.open_table(ARRIVALS)?;
        let Some(row) = arrivals.range((number, seq)..=(number, u64::MAX))?.next().transpose()?
        else {
            return Ok(None);
        };
        let (first, position) = row.1.value();
        if first > seq {
            return Ok(None);
        }
        Ok(self.arrival(position)?.map(|arrival| (position, arrival)))
    }

    /// The arrival at a position of the log.
    pub(crate) fn arrival(&self, position: u64) -> Result<Option<Arrival>, StoreError> {
        let log = self.txn.open_table(LOG)?;
        log.get(position)?.map(|row| Arrival::decode(row.value())).transpose()
    }

    /// Visits arrivals from a position on, until told to stop.
    pub(crate) fn arrivals_from(
        &self,
        position: u64,
        visit: &mut dyn FnMut(u64, Arrival) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        for row in self.txn.open_table(LOG)?.range(position..)? {
            let (position, row) = row?;
            if !visit(position.value(), Arrival::decode(row.value())?)? {
                break;
            }
        }
        Ok(())
    }

    /// Visits arrivals from the newest back, until told to stop.
    pub(crate) fn arrivals_back(
        &self,
        visit: &mut dyn FnMut(u64, Arrival) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        for row in self.txn.open_table(LOG)?.iter()?.rev() {
            let (position, row) = row?;
            if !visit(position.value(), Arrival::decode(row.value())?)? {
                break;
            }
        }
        Ok(())
    }

    /// The words for a way by which things came.
    pub(crate) fn via(&self, number: u32) -> Result<String, StoreError> {
        let vias = self.txn.open_table(VIAS)?;
        Ok(vias.get(number)?.map_or_else(String::new, |row| row.value().to_owned()))
    }

    /// The fork proof of a feed.
    pub(crate) fn fork(&self, number: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let forks = self.txn.open_table(FORKS)?;
        Ok(forks.get(number)?.map(|row| row.value().to_vec()))
    }

    /// What the user decided about feeds: 1 followed, 2 blocked.
    pub(crate) fn relations(&self) -> Result<Vec<(FeedId, u8)>, StoreError> {
        let relations = self.txn.open_table(RELATIONS)?;
        let mut all = Vec::new();
        for row in relations.iter()? {
            let (feed, state) = row?;
            all.push((FeedId::from_bytes(*feed.value()), state.value()));
        }
        Ok(all)
    }

    /// The user's own names for feeds.
    pub(crate) fn petnames(&self) -> Result<Vec<(FeedId, String)>, StoreError> {
        let petnames = self.txn.open_table(PETNAMES)?;
        let mut all = Vec::new();
        for row in petnames.iter()? {
            let (feed, name) = row?;
            all.push((FeedId::from_bytes(*feed.value()), name.value().to_owned()));
        }
        Ok(all)
    }

    /// What was evicted or left out, by feed.
    pub(crate) fn ledger(&self) -> Result<Vec<(FeedId, Vec<u8>)>, StoreError> {
        let ledger = self.txn.open_table(LEDGER)?;
        let mut all = Vec::new();
        for row in ledger.iter()? {
            let (feed, row) = row?;
            all.push((FeedId::from_bytes(*feed.value()), row.value().to_vec()));
        }
        Ok(all)
    }

    /// Payloads that are wanted, by feed number and seq, until told to stop.
    pub(crate) fn holes(
        &self,
        places: Range<(u32, u64)>,
        visit: &mut dyn FnMut(u32, u64) -> bool,
    ) -> Result<(), StoreError> {
        for row in self.txn.open_table(HOLES)?.range(places)? {
            let (feed, seq) = row?.0.value();
            if !visit(feed, seq) {
                break;
            }
        }
        Ok(())
    }

    /// What a maker of bundles stated last.
    pub(crate) fn peer(&self, feed: &FeedId) -> Result<Option<PeerRow>, StoreError> {
        let peers = self.txn.open_table(PEERS)?;
        peers.get(feed.as_bytes())?.map(|row| PeerRow::decode(row.value())).transpose()
    }

    /// The head of `feed` that `peer` stated: floor, head, fork seq or 0.
    pub(crate) fn peer_head(
        &self,
        peer: &FeedId,
        feed: &FeedId,
    ) -> Result<Option<(u64, u64, u64)>, StoreError> {
        let heads = self.txn.open_table(PEER_HEADS)?;
        Ok(heads.get(&pair(peer.as_bytes(), feed.as_bytes()))?.map(|row| row.value()))
    }

    /// How far an input was taken in.
    pub(crate) fn progress(&self, key: &[u8; 32]) -> Result<u64, StoreError> {
        Ok(self.txn.open_table(PROGRESS)?.get(key)?.map_or(0, |row| row.value()))
    }

    /// Rows of a table.
    #[cfg(test)]
    pub(crate) fn len<K: redb::Key + 'static, V: redb::Value + 'static>(
        &self,
        table: redb::TableDefinition<'_, K, V>,
    ) -> Result<u64, StoreError> {
        Ok(self.txn.open_table(table)?.len()?)
    }
}

/// Two keys as one.
pub(crate) fn pair(a: &[u8; 32], b: &[u8; 32]) -> [u8; 64] {
    let mut both = [0; 64];
    for (to, from) in both.iter_mut().zip(a.iter().chain(b)) {
        *to = *from;
    }
    both
}
