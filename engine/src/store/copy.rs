//! A copy of one moment of the store on another disk, made while the store is used.

use redb::{
    Database, Key, ReadTransaction, ReadableTable, ReadableTableMetadata, StorageBackend,
    TableDefinition, TableHandle, Value, WriteTransaction,
};

use crate::store::follows::{FOLLOWS, REACHED};
use crate::store::links::{DECLINES, LINKS};
use crate::store::migrate::INDEX;
use crate::store::sealed::{
    ACCOUNT_FEEDS, AGAIN, ARRIVED, BUCKET_ROWS, BUCKETS, CARDS_DUE, CHANGES, CHANGES_PUT_OFF,
    CONTACTS_TABLE, CONVERSATION_IDS, CONVERSATIONS, EPOCHS, HANDED, HANDED_ASIDE, HISTORY_DUE,
    INTRODUCED, LATEST, MEMBERS, OUTBOX, OWN_EPOCHS, OWN_PREKEYS, PLAIN, PREKEYS, RECEIPTS_DUE,
    SAID, SAID_IDS, SAID_PARENTS, SCANS, SHOWN, TAGS, TURNS, UNOPENED, UNTOLD,
};
use crate::store::snapshot::Snapshot;
use crate::store::tables::{
    ARRIVALS, CARRIER_IDS, CARRIERS, DELETED, DEVICES, EXPIRIES, FEED_IDS, FEEDS, FORKS,
    HELD_ORDER, HOLES, LEDGER, LEDGER_ORDER, LOG, META, PAYLOADS, PEER_HEADS, PEERS, PETNAMES,
    PROGRESS, RECORDS, RELATIONS, RETRACTIONS, SECRETS, VIA_IDS, VIAS,
};
use crate::store::{BACKUP, StoreError, compact, index, sealed};

/// Rows after which whoever waits is told how far it is.
const TOLD: u64 = 256;

/// Does the same with each table but those of the indexes, which can be computed again.
macro_rules! each_table {
    ($copy:expr, $step:ident) => {
        each_table!(@ $copy, $step, META, FEEDS, FEED_IDS, RECORDS, PAYLOADS, HOLES, EXPIRIES,
            RETRACTIONS, DELETED, LOG, ARRIVALS, VIAS, VIA_IDS, FORKS, RELATIONS, PETNAMES, DEVICES, LEDGER,
            LEDGER_ORDER, CARRIER_IDS, CARRIERS, HELD_ORDER, PEERS, PEER_HEADS, SECRETS, PROGRESS,
            FOLLOWS, REACHED, CONTACTS_TABLE, CONVERSATIONS, CONVERSATION_IDS, PREKEYS, PLAIN, BUCKETS,
            BUCKET_ROWS, SAID, SAID_IDS, SAID_PARENTS, OUTBOX, ARRIVED, RECEIPTS_DUE, ACCOUNT_FEEDS, SCANS,
            SHOWN, UNTOLD, CHANGES, CHANGES_PUT_OFF, MEMBERS, OWN_EPOCHS, LATEST, UNOPENED, AGAIN, TURNS,
            INTRODUCED, CARDS_DUE, HISTORY_DUE, HANDED, HANDED_ASIDE)
    };
    (@ $copy:expr, $step:ident, $($table:ident),*) => { $($copy.$step($table)?;)* };
}

impl Snapshot {
    /// Copies this moment to an empty disk, as a backup: whoever opens that goes on in a new feed.
    ///
    /// `visit` is told now and then how many rows of how many are copied, and says whether to go
    /// on. True: the copy is durable, and all of it was read again. False: it was stopped, and
    /// what is on the disk is nothing.
    ///
    /// A `twin` is no backup: it goes on as this device, and must not outlive the memory it is in.
    pub(crate) fn copy_to(
        &self,
        disk: impl StorageBackend,
        cache_bytes: usize,
        twin: bool,
        visit: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<bool, StoreError> {
        let mut db = Database::builder().set_cache_size(cache_bytes).create_with_backend(disk)?;
        let mut txn = db.begin_write()?;
        txn.set_quick_repair(true);
        let mut copy = Copy {
            from: &self.txn,
            to: &txn,
            names: Vec::new(),
            done: 0,
            total: 0,
            wanted: true,
            visit,
        };
        each_table!(copy, count);
        copy.expect_all()?;
        each_table!(copy, rows);
        if !copy.goes_on() {
            return Ok(false);
        }
        sealed::found(&txn)?;
        self.lock_copy(&txn)?;
        index::found(&txn)?;
        if !twin {
            txn.open_table(META)?.insert(BACKUP, [1].as_slice())?;
        }
        txn.commit()?;
        compact(&mut db)?;
        if !db.check_integrity()? {
            return Err(StoreError::Damaged { what: "the copy" });
        }
        db.close()?;
        Ok(true)
    }
}

/// A copy on its way.
struct Copy<'a> {
    from: &'a ReadTransaction,
    to: &'a WriteTransaction,
    /// Tables that are copied.
    names: Vec<String>,
    done: u64,
    total: u64,
    wanted: bool,
    visit: &'a mut dyn FnMut(u64, u64) -> bool,
}

impl Copy<'_> {
    fn count<K: Key + 'static, V: Value + 'static>(
        &mut self,
        table: TableDefinition<'_, K, V>,
    ) -> Result<(), StoreError> {
        self.names.push(table.name().to_owned());
        self.total = self.total.saturating_add(self.from.open_table(table)?.len()?);
        Ok(())
    }

    /// A table that were left out in silence would be missed only after the disaster.
    fn expect_all(&self) -> Result<(), StoreError> {
        // What is remembered of links is a hint, and a device that begins anew has another key there.
        // What opens messages to come dies with the device: nobody seals to it once it goes on anew.
        let hints = [LINKS.name(), DECLINES.name(), OWN_PREKEYS.name(), EPOCHS.name(), TAGS.name()];
        for table in self.from.list_tables()? {
            let known = |name: &str| self.names.iter().any(|n| n == name) || hints.contains(&name);
            if !table.name().starts_with(INDEX) && !known(table.name()) {
                return Err(StoreError::Damaged { what: "it has a table that nobody knows" });
            }
        }
        Ok(())
    }

    fn rows<K: Key + 'static, V: Value + 'static>(
        &mut self,
        table: TableDefinition<'_, K, V>,
    ) -> Result<(), StoreError> {
        let mut to = self.to.open_table(table)?;
        for row in self.from.open_table(table)?.iter()? {
            if self.done.is_multiple_of(TOLD) && !self.goes_on() {
                break;
            }
            let (key, value) = row?;
            to.insert(key.value(), value.value())?;
            self.done = self.done.saturating_add(1);
        }
        Ok(())
    }

    fn goes_on(&mut self) -> bool {
        self.wanted = self.wanted && (self.visit)(self.done, self.total);
        self.wanted
    }
}
