//! Changes to the store inside one transaction: feeds, entries, payloads, arrivals and counts.
//!
//! The writer knows how things are kept, not whether they should be: what may come in is decided in
//! `ingest.rs`. Rows that change often (feeds, the record being filled, the arrival being extended)
//! are held here until the end of the step.

use std::collections::BTreeMap;

use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use crate::codec::{Decoder, Encoder};
use crate::entry::ChainHasher;
use crate::key::{FeedId, Seed};
use crate::policy::{Carrier, CarryClass, Quotas};
use crate::store::follows::{FOLLOWS, REACHED};
use crate::store::lock::LockFile;
use crate::store::record::Tail;
use crate::store::tables::{
    ARRIVALS, Arrival, CARRIER_IDS, CARRIERS, DELETED, EXPIRIES, FEED_IDS, FEEDS, FORKS, FeedRow,
    HELD_ORDER, HOLES, LEDGER, LEDGER_ORDER, LOG, META, PAYLOADS, RECORDS, RETRACTIONS, VIA_IDS,
    VIAS,
};
use crate::store::{STORE_VERSION, StoreError, index};
use crate::time::{Known, KnownClock, Now};

/// Bytes counted for an entry beyond its payload.
pub(crate) const ENTRY_COST: u64 = 48;
/// Bytes counted for a feed beyond its entries.
pub(crate) const FEED_COST: u64 = 512;

macro_rules! counts {
    ($($name:ident: $what:literal),* $(,)?) => {
        /// What left or was kept out, since the store was made.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Counts {
            $(#[doc = $what] pub $name: u64,)*
        }

        impl Counts {
            fn encode(&self, out: &mut Encoder) {
                $(out.uint(self.$name);)*
            }

            fn read(row: &mut Decoder<'_>) -> Result<Self, crate::codec::DecodeError> {
                Ok(Self { $($name: row.uint(stringify!($name), u64::MAX)?,)* })
            }

            const LEN: u64 = [$(stringify!($name)),*].len() as u64;
        }
    };
}

counts! {
    expired: "Payloads dropped because their lifetime was over.",
    retracted: "Payloads dropped because their author took them back.",
    evicted_entries: "Entries dropped to stay within a quota.",
    evicted_bytes: "Bytes that those entries were counted with.",
    left_out_entries: "Entries not taken in for want of room.",
    blocked_entries: "Entries dropped or not taken in because their feed is blocked.",
    refused: "Pieces of input refused because they were wrong.",
    forks: "Feeds found to be forked.",
}

/// Numbers that nearly every step changes, kept in one row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Heads {
    pub(crate) log_len: u64,
    pub(crate) log_hash: [u8; 32],
    pub(crate) next_feed: u32,
    pub(crate) next_carrier: u32,
    pub(crate) next_ledger: u64,
    pub(crate) usage: [u64; 5],
    pub(crate) counts: Counts,
}

impl Heads {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(5 + 5 + Counts::LEN).uint(self.log_len).bytes(&self.log_hash);
        out.uint(u64::from(self.next_feed)).uint(u64::from(self.next_carrier));
        out.uint(self.next_ledger);
        for bytes in self.usage {
            out.uint(bytes);
        }
        self.counts.encode(&mut out);
        out.into_bytes()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let read = || {
            let mut row = Decoder::new(bytes);
            row.array_of("heads", 5 + 5 + Counts::LEN)?;
            let mut value = Self {
                log_len: row.uint("log_len", u64::MAX)?,
                log_hash: row.fixed("log_hash")?,
                next_feed: u32::try_from(row.uint("next_feed", u64::from(u32::MAX))?).unwrap_or(0),
                next_carrier: u32::try_from(row.uint("next_carrier", u64::from(u32::MAX))?)
                    .unwrap_or(0),
                next_ledger: row.uint("next_ledger", u64::MAX)?,
                ..Self::default()
            };
            for bytes in &mut value.usage {
                *bytes = row.uint("usage", u64::MAX)?;
            }
            value.counts = Counts::read(&mut row)?;
            row.finish().map(|()| value)
        };
        read().map_err(|_: crate::codec::DecodeError| StoreError::Damaged { what: "the counters" })
    }
}

/// One step's changes.
pub(crate) struct Writer<'t> {
    pub(crate) txn: &'t WriteTransaction,
    pub(crate) now: Now,
    pub(crate) known: Known,
    pub(crate) heads: Heads,
    pub(crate) hasher: ChainHasher,
    pub(super) meta: Table<'t, &'static str, &'static [u8]>,
    pub(super) feeds: Table<'t, u32, &'static [u8]>,
    pub(super) feed_ids: Table<'t, &'static [u8; 33], u32>,
    pub(super) records: Table<'t, (u32, u64), &'static [u8]>,
    pub(super) payloads: Table<'t, (u32, u64), &'static [u8]>,
    pub(super) rows: BTreeMap<u32, (FeedRow, bool)>,
    pub(super) tail: Option<OpenTail>,
    pub(super) arrival: Option<Arrival>,
    /// A feed of which it is known that it stands among those that may give up payloads.
    giving: Option<u32>,
    /// Whether whom the followed follow has changed.
    pub(crate) regroup: bool,
    /// The file for the key that locks what is to be forgotten, and the key.
    pub(super) lock_file: Option<&'t LockFile>,
    pub(super) lock: Option<Seed>,
}

/// The record being filled.
pub(super) struct OpenTail {
    pub(super) feed: u32,
    pub(super) tail: Tail,
    /// The key under which an older form of the record stands.
    pub(super) stored: Option<u64>,
}

impl std::fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("heads", &self.heads).finish_non_exhaustive()
    }
}

impl<'t> Writer<'t> {
    pub(crate) fn begin(
        txn: &'t WriteTransaction,
        now: Now,
        known: Known,
        (lock_file, lock): (Option<&'t LockFile>, Option<Seed>),
    ) -> Result<Self, StoreError> {
        let meta = txn.open_table(META)?;
        let heads = match meta.get("heads")? {
            Some(row) => Heads::decode(row.value())?,
            None => Heads::default(),
        };
        Ok(Self {
            txn,
            now,
            known,
            heads,
            hasher: ChainHasher::default(),
            meta,
            feeds: txn.open_table(FEEDS)?,
            feed_ids: txn.open_table(FEED_IDS)?,
            records: txn.open_table(RECORDS)?,
            payloads: txn.open_table(PAYLOADS)?,
            rows: BTreeMap::new(),
            tail: None,
            arrival: None,
            giving: None,
            regroup: false,
            lock_file,
            lock,
        })
    }

    /// Writes back what was held and the clock.
    pub(crate) fn finish(mut self, clock: &KnownClock) -> Result<(), StoreError> {
        self.flush_tail()?;
        self.flush_arrival()?;
        let dirty = std::mem::take(&mut self.rows);
        for (number, (row, _)) in dirty.iter().filter(|(_, (_, changed))| *changed) {
            self.feeds.insert(number, row.encode().as_slice())?;
        }
        self.meta.insert("heads", self.heads.encode().as_slice())?;
        let last = clock.last();
        let mut out = Encoder::new();
        out.array(4).uint(clock.known().0).uint(last.tick).uint(last.wall).uint(last.boot_id);
        self.meta.insert("clock", out.into_bytes().as_slice())?;
        Ok(())
    }

    /// Marks a fresh store with its version and makes every table.
    pub(crate) fn found(&mut self) -> Result<(), StoreError> {
        self.set_meta("version", &STORE_VERSION.to_be_bytes())?;
        self.txn.open_table(LOG)?;
        self.txn.open_table(ARRIVALS)?;
        self.txn.open_table(HOLES)?;
        self.txn.open_table(EXPIRIES)?;
        self.txn.open_table(RETRACTIONS)?;
        self.txn.open_table(DELETED)?;
        self.txn.open_table(VIAS)?;
        self.txn.open_table(VIA_IDS)?;
        self.txn.open_table(FORKS)?;
        self.txn.open_table(CARRIER_IDS)?;
        self.txn.open_table(CARRIERS)?;
        self.txn.open_table(HELD_ORDER)?;
        self.txn.open_table(LEDGER)?;
        self.txn.open_table(LEDGER_ORDER)?;
        self.txn.open_table(super::tables::RELATIONS)?;
        self.txn.open_table(FOLLOWS)?;
        self.txn.open_table(REACHED)?;
        self.txn.open_table(super::tables::PETNAMES)?;
        self.txn.open_table(super::tables::DEVICES)?;
        self.txn.open_table(super::tables::PEERS)?;
        self.txn.open_table(super::tables::PEER_HEADS)?;
        self.txn.open_table(super::tables::SECRETS)?;
        self.txn.open_table(super::tables::PROGRESS)?;
        super::sealed::found(self.txn)?;
        index::found(self.txn)
    }

    /// A single value by name.
    pub(crate) fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.meta.get(name)?.map(|row| row.value().to_vec()))
    }

    /// Sets a single value by name.
    pub(crate) fn set_meta(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.meta.insert(name, value)?;
        Ok(())
    }

    /// Forgets a single value.
    pub(crate) fn clear_meta(&mut self, name: &str) -> Result<(), StoreError> {
        self.meta.remove(name)?;
        Ok(())
    }

    /// The number of a feed or branch, if it was ever held.
    pub(crate) fn number(&self, id: &FeedId, branch: u8) -> Result<Option<u32>, StoreError> {
        Ok(self.feed_ids.get(&branch_key(id, branch))?.map(|row| row.value()))
    }

    /// The row of a feed number.
    pub(crate) fn row(&mut self, number: u32) -> Result<&FeedRow, StoreError> {
        Ok(&self.cached(number)?.0)
    }

    /// The row of a feed number, to be changed.
    pub(crate) fn row_mut(&mut self, number: u32) -> Result<&mut FeedRow, StoreError> {
        let cached = self.cached(number)?;
        cached.1 = true;
        Ok(&mut cached.0)
    }

    fn cached(&mut self, number: u32) -> Result<&mut (FeedRow, bool), StoreError> {
        if !self.rows.contains_key(&number) {
            let row = match self.feeds.get(number)? {
                Some(row) => FeedRow::decode(row.value())?,
                None => return Err(StoreError::Damaged { what: "a feed without a row" }),
            };
            self.rows.insert(number, (row, false));
        }
        self.rows.get_mut(&number).ok_or(StoreError::Damaged { what: "a feed without a row" })
    }

    /// Begins to keep a feed or branch.
    pub(crate) fn add_feed(&mut self, row: FeedRow) -> Result<u32, StoreError> {
        // So that no two feeds share a position of first arrival.
        self.flush_arrival()?;
        let key = branch_key(&row.id, row.branch);
        let number = self.heads.next_feed;
        self.heads.next_feed = number.saturating_add(1);
        self.feed_ids.insert(&key, number)?;
        let mut row = row;
        row.since = self.heads.log_len;
        row.bytes = 0;
        self.enter_order(&row, number)?;
        self.rows.insert(number, (row, true));
        self.count_bytes(number, FEED_COST, true)?;
        Ok(number)
    }

    /// Whether the feed's row is there (and not only its number).
    pub(crate) fn is_held(&self, number: u32) -> Result<bool, StoreError> {
        Ok(self.rows.contains_key(&number) || self.feeds.get(number)?.is_some())
    }

    /// Puts a feed into the order of eviction, as one that may have anything to give up.
    fn enter_order(&mut self, row: &FeedRow, number: u32) -> Result<(), StoreError> {
        if row.class != CarryClass::Own {
            self.txn.open_table(HELD_ORDER)?.insert(order_key(row, number, Gives::Payloads), ())?;
            self.giving = Some(number);
        }
        Ok(())
    }

    /// Takes a feed out of the order of eviction.
    pub(super) fn leave_order(&mut self, row: &FeedRow, number: u32) -> Result<(), StoreError> {
        self.giving = None;
        let mut order = self.txn.open_table(HELD_ORDER)?;
        for gives in Gives::ALL {
            if order.remove(order_key(row, number, gives))?.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Notes that a feed has nothing of a kind left to give up, so that nobody searches it again.
    pub(crate) fn gave_all(&mut self, number: u32, gives: Gives) -> Result<(), StoreError> {
        self.giving = None;
        let row = self.row(number)?.clone();
        let mut order = self.txn.open_table(HELD_ORDER)?;
        order.remove(order_key(&row, number, gives))?;
        order.insert(order_key(&row, number, gives.next()), ())?;
        Ok(())
    }

    /// Notes that something came to a feed that it could give up.
    pub(super) fn gives_again(&mut self, number: u32) -> Result<(), StoreError> {
        if self.giving == Some(number) {
            return Ok(());
        }
        let row = self.row(number)?.clone();
        if row.class == CarryClass::Own {
            return Ok(());
        }
        let order = self.txn.open_table(HELD_ORDER)?;
        let gives = order.get(order_key(&row, number, Gives::Payloads))?.is_some();
        drop(order);
        if !gives {
            self.leave_order(&row, number)?;
            self.enter_order(&row, number)?;
        }
        self.giving = Some(number);
        Ok(())
    }

    /// Counts bytes of a feed, its class and its carrier up or down.
    pub(crate) fn count_bytes(
        &mut self,
        number: u32,
        bytes: u64,
        up: bool,
    ) -> Result<(), StoreError> {
        let row = self.row_mut(number)?;
        let add = |sum: u64| if up { sum.saturating_add(bytes) } else { sum.saturating_sub(bytes) };
        row.bytes = add(row.bytes);
        let (class, carrier) = (row.class, row.carrier);
        if let Some(usage) = self.heads.usage.get_mut(usize::from(class.code())) {
            *usage = add(*usage);
        }
        if class == CarryClass::Stranger {
            let mut carriers = self.txn.open_table(CARRIERS)?;
            let sum = add(carriers.get(carrier)?.map_or(0, |row| row.value()));
            if sum == 0 {
                carriers.remove(carrier)?;
            } else {
                carriers.insert(carrier, sum)?;
            }
        }
        Ok(())
    }

    /// Moves a feed into another class.
    pub(crate) fn set_class(&mut self, number: u32, class: CarryClass) -> Result<(), StoreError> {
        let row = self.row(number)?.clone();
        if row.class == class {
            return Ok(());
        }
        self.leave_order(&row, number)?;
        self.count_bytes(number, row.bytes, false)?;
        let changed = self.row_mut(number)?;
        changed.class = class;
        let moved = changed.clone();
        self.count_bytes(number, row.bytes, true)?;
        self.enter_order(&moved, number)
    }

    /// Every held feed and branch.
    pub(crate) fn all_rows(&mut self) -> Result<Vec<(u32, FeedRow)>, StoreError> {
        let mut all = BTreeMap::new();
        for row in self.feeds.iter()? {
            let (number, row) = row?;
            all.insert(number.value(), FeedRow::decode(row.value())?);
        }
        all.extend(self.rows.iter().map(|(number, (row, _))| (*number, row.clone())));
        Ok(all.into_iter().collect())
    }

    /// The feeds of a class other than strangers.
    pub(crate) fn feeds_of_class(&mut self, class: CarryClass) -> Result<Vec<FeedId>, StoreError> {
        let order = self.txn.open_table(HELD_ORDER)?;
        let mut numbers = Vec::new();
        for gives in Gives::ALL {
            let rank = gives.rank(class);
            for row in order.range((rank, 0, 0, 0)..=(rank, u32::MAX, u64::MAX, u32::MAX))? {
                numbers.push(row?.0.value().3);
            }
        }
        drop(order);
        numbers.into_iter().map(|number| Ok(self.row(number)?.id)).collect()
    }

    /// Sets from which entry on a feed is kept and announced.
    pub(crate) fn set_floor(&mut self, number: u32, floor: u64) -> Result<(), StoreError> {
        self.row_mut(number)?.floor = floor;
        let head = self.row(number)?.head();
        if let Some(id) = self.id_at(number, head)? {
            self.row_mut(number)?.head_id = id;
        }
        Ok(())
    }

    /// The number of a carrier's key.
    pub(crate) fn carrier(&mut self, key: &[u8]) -> Result<u32, StoreError> {
        let mut ids = self.txn.open_table(CARRIER_IDS)?;
        if let Some(row) = ids.get(key)? {
            return Ok(row.value());
        }
        let number = self.heads.next_carrier.max(1);
        self.heads.next_carrier = number.saturating_add(1);
        ids.insert(key, number)?;
        Ok(number)
    }

    /// Bytes held of strangers' feeds by carrier, with the carrier's number.
    pub(crate) fn carriers(&self) -> Result<Vec<(u32, Carrier, u64)>, StoreError> {
        let carriers = self.txn.open_table(CARRIERS)?;
        let mut all = Vec::new();
        for row in self.txn.open_table(CARRIER_IDS)?.iter()? {
            let (key, number) = row?;
            let key = Carrier::decode(key.value())
                .map_err(|_| StoreError::Damaged { what: "the key of a carrier" })?;
            if let Some(bytes) = carriers.get(number.value())? {
                all.push((number.value(), key, bytes.value()));
            }
        }
        Ok(all)
    }

    /// How many carriers handed over what is held of strangers' feeds.
    pub(crate) fn carrier_count(&self) -> Result<u64, StoreError> {
        Ok(self.txn.open_table(CARRIERS)?.len()?)
    }

    /// Bytes held of the strangers' feeds that one carrier handed over.
    pub(crate) fn carried_by(&self, carrier: u32) -> Result<u64, StoreError> {
        Ok(self.txn.open_table(CARRIERS)?.get(carrier)?.map_or(0, |row| row.value()))
    }

    /// Of the feeds of a class (and carrier) that may have something of a kind to give up, the one
    /// that arrived first at or after a position, with that.
    pub(crate) fn oldest(
        &self,
        class: CarryClass,
        carrier: u32,
        gives: Gives,
        after: u64,
    ) -> Result<Option<(u64, u32)>, StoreError> {
        let order = self.txn.open_table(HELD_ORDER)?;
        let rank = gives.rank(class);
        let mut range =
            order.range((rank, carrier, after, 0)..=(rank, carrier, u64::MAX, u32::MAX))?;
        Ok(range.next().transpose()?.map(|(key, _)| (key.value().2, key.value().3)))
    }

    /// The quotas that hold here.
    pub(crate) fn quotas(&self) -> Result<Quotas, StoreError> {
        let row = self.meta("quotas")?;
        row.map_or_else(|| Ok(Quotas::default()), |row| decode_quotas(&row))
    }

    /// Sets the quotas.
    pub(crate) fn set_quotas(&mut self, quotas: &Quotas) -> Result<(), StoreError> {
        let mut out = Encoder::new();
        out.array(5).uint(quotas.contact).uint(quotas.group).uint(quotas.followed);
        out.uint(quotas.stranger).uint(quotas.stranger_feed);
        self.set_meta("quotas", &out.into_bytes())
    }

    /// The number of the words for a way by which things come.
    pub(crate) fn via(&mut self, words: &str) -> Result<u32, StoreError> {
        let mut ids = self.txn.open_table(VIA_IDS)?;
        if let Some(row) = ids.get(words)? {
            return Ok(row.value());
        }
        let mut vias = self.txn.open_table(VIAS)?;
        let number = vias.last()?.map_or(1, |(last, _)| last.value().saturating_add(1));
        vias.insert(number, words)?;
        ids.insert(words, number)?;
        Ok(number)
    }
}

/// What a held feed may still have to give up; every kind comes with those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gives {
    /// Payloads.
    Payloads,
    /// Its oldest segments.
    Segments,
    /// Nothing but all of itself.
    Whole,
}

impl Gives {
    pub(super) const ALL: [Self; 3] = [Self::Payloads, Self::Segments, Self::Whole];

    const fn next(self) -> Self {
        match self {
            Self::Payloads => Self::Segments,
            Self::Segments | Self::Whole => Self::Whole,
        }
    }

    /// The first part of a key in the order of eviction.
    const fn rank(self, class: CarryClass) -> u8 {
        class.code() | (self as u8) << 4
    }
}

/// The key of a feed in the order of eviction.
pub(super) fn order_key(row: &FeedRow, number: u32, gives: Gives) -> (u8, u32, u64, u32) {
    let carrier = if matches!(row.class, CarryClass::Stranger) { row.carrier } else { 0 };
    (gives.rank(row.class), carrier, row.since, number)
}

/// A feed id and a branch as one key.
pub(crate) fn branch_key(id: &FeedId, branch: u8) -> [u8; 33] {
    let mut key = [branch; 33];
    for (to, from) in key.iter_mut().zip(id.as_bytes()) {
        *to = *from;
    }
    key
}

/// Reads the row of the quotas.
pub(crate) fn decode_quotas(bytes: &[u8]) -> Result<Quotas, StoreError> {
    let read = || {
        let mut row = Decoder::new(bytes);
        row.array_of("quotas", 5)?;
        let mut next = |field| row.uint(field, u64::MAX);
        Ok(Quotas {
            contact: next("contact")?,
            group: next("group")?,
            followed: next("followed")?,
            stranger: next("stranger")?,
            stranger_feed: next("stranger_feed")?,
        })
    };
    read().map_err(|_: crate::codec::DecodeError| StoreError::Damaged { what: "the quotas" })
}
