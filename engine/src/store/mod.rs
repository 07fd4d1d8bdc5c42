//! The store: one redb file, and the only place that knows redb.
//!
//! Everything a node holds is in it, so that one commit makes one step durable as a whole. Writing
//! goes through a [`Writer`] inside one transaction; reading goes through a [`Snapshot`], which
//! sees one moment and stops nobody. What can be computed again (indexes) is built behind.

mod addresses;
mod books;
mod chain;
mod circle;
mod copy;
mod floor;
mod follows;
mod index;
mod keyring;
mod lines;
mod links;
mod lock;
mod memory;
mod migrate;
mod needle;
mod pages;
mod query;
#[cfg(test)]
mod query_tests;
mod record;
mod runs;
mod sealed;
mod snapshot;
mod tables;
mod verify;
mod view;
mod writer;

pub use addresses::Remembered;
pub use keyring::{BackupHead, Keyring, Slot, Stretched, Unsealed};
pub use memory::SharedMemory;
pub use pages::{LockedDisk, noise};
pub use query::{Hit, Order, Query, Received};
pub use record::State;
pub use snapshot::Held;

pub(crate) use chain::{NewEntry, Restored, Stored, log_hash};
pub(crate) use floor::OPENED;
pub(crate) use index::{Indexed, advance, has_work, heads_of, rebuild};
pub(crate) use links::{LinkRow, THEY, WE};
pub(crate) use query::{find, profiles, run};
pub(crate) use record::Kept;
pub(crate) use sealed::{
    ContactRow, ConversationRow, EpochRow, EpochState, Found, Latest, OwnEpoch, OwnPrekey, SaidRow,
};
pub(crate) use snapshot::{ALL_PLACES, Snapshot};
pub(crate) use tables::{ArrivalKind, FeedRow, OriginRow};
pub(crate) use verify::compare;
pub use writer::Counts;
pub(crate) use writer::{ENTRY_COST, FEED_COST, Gives, Writer};

pub(crate) use redb::StorageBackend;
use redb::{Builder, CompactionError, Database};

use crate::key::Seed;
use crate::time::{Known, KnownClock, Now};
use lock::LockFile;

/// Version of the store's layout that this program writes.
pub const STORE_VERSION: u64 = 5;

/// The mark of a backup: whoever opens it goes on in a new feed.
pub(crate) const BACKUP: &str = "backup";

/// Times that one compaction goes through the file at most.
const COMPACTIONS: usize = 16;

/// Why the store cannot be used. Nobody else's bytes cause one of these.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk refused or failed.
    #[error("the disk failed")]
    Disk(#[source] Box<redb::Error>),
    /// The file has no bytes.
    #[error("the store is an empty file")]
    Empty,
    /// The file is something else.
    #[error("the file is not a store of this program")]
    Foreign,
    /// Another process holds the file.
    #[error("another process holds the store")]
    Taken,
    /// A later program wrote the store.
    #[error("the store has version {found}; this program reads up to version {known}")]
    Newer {
        /// The version found.
        found: u64,
        /// The newest version that this program reads.
        known: u64,
    },
    /// The store of a home, where a backup is expected.
    #[error("the file is the store of a home and not a backup")]
    NoBackup,
    /// The store holds something that this program never writes.
    #[error("the store is damaged: {what}")]
    Damaged {
        /// Which part.
        what: &'static str,
    },
}

impl StoreError {
    /// The input or output error at the bottom of it, if there is one.
    pub fn io(&self) -> Option<&std::io::Error> {
        match self {
            Self::Disk(error) => match &**error {
                redb::Error::Io(error) => Some(error),
                _ => None,
            },
            _ => None,
        }
    }
}

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::Taken,
            redb::Error::UpgradeRequired(found) => {
                Self::Newer { found: u64::from(found), known: STORE_VERSION }
            }
            error => Self::Disk(Box::new(error)),
        }
    }
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::from(redb::Error::from(error))
            }
        }
    )*};
}

from_redb!(
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError
);

/// An open store.
#[derive(Debug)]
pub(crate) struct Store {
    db: Database,
    clock: KnownClock,
    /// The file for the key that locks what is to be forgotten, and the key.
    lock_file: Option<LockFile>,
    lock: Option<Seed>,
    /// The version that the store had when it was opened, if it was an earlier one.
    pub(crate) upgraded_from: Option<u64>,
}

impl Store {
    /// Makes a new store on an empty disk.
    pub(crate) fn create(
        disk: impl StorageBackend,
        cache_bytes: usize,
        now: Now,
    ) -> Result<Self, StoreError> {
        let db = Database::builder().set_cache_size(cache_bytes).create_with_backend(disk)?;
        let clock = KnownClock::new(now);
        Ok(Self { db, clock, lock_file: None, lock: None, upgraded_from: None })
    }

    /// Opens a store that was made before, of this version or an earlier one.
    pub(crate) fn open(
        disk: impl StorageBackend,
        cache_bytes: usize,
        now: Now,
    ) -> Result<Self, StoreError> {
        let db = open(disk, Database::builder().set_cache_size(cache_bytes))?;
        Self::of(db.map_err(|_| StoreError::Foreign)?, now)
    }

    /// Opens a backup, and reads all of it before it is believed.
    pub(crate) fn open_backup(
        disk: impl StorageBackend,
        cache_bytes: usize,
        now: Now,
    ) -> Result<Self, StoreError> {
        let mut builder = Database::builder();
        builder.set_cache_size(cache_bytes).set_check_integrity_on_open(true);
        let damaged = |_| StoreError::Damaged { what: "a page is not what was written" };
        let store = Self::of(open(disk, &mut builder)?.map_err(damaged)?, now)?;
        if store.snapshot()?.meta(BACKUP)?.is_none() {
            return Err(StoreError::NoBackup);
        }
        Ok(store)
    }

    /// Takes a snapshot of a store that nobody writes, and changes nothing on the disk. None: it has
    /// to be opened to be written first, to be brought up to date or to be told what is wrong.
    pub(crate) fn look(
        disk: impl StorageBackend,
        cache_bytes: usize,
        now: Now,
    ) -> Result<Option<Snapshot>, StoreError> {
        use redb::ReadableDatabase;
        let mut builder = Database::builder();
        let opened = builder.set_cache_size(cache_bytes).open_read_only_with_backend(disk);
        let db = match opened.map_err(redb::Error::from) {
            Ok(db) => db,
            Err(redb::Error::DatabaseAlreadyOpen) => return Err(StoreError::Taken),
            Err(_) => return Ok(None),
        };
        let snapshot = Snapshot::new(db.begin_read()?, Known(0));
        let is_old = !snapshot.version().is_ok_and(|version| version == STORE_VERSION);
        if is_old || snapshot.meta(BACKUP)?.is_some() {
            return Ok(None);
        }
        let mut clock = snapshot.clock()?;
        clock.advance(now);
        Ok(Some(Snapshot::new(snapshot.txn, clock.known())))
    }

    fn of(db: Database, now: Now) -> Result<Self, StoreError> {
        let clock = KnownClock::new(now);
        let mut store = Self { db, clock, lock_file: None, lock: None, upgraded_from: None };
        let found = store.snapshot()?.version()?;
        if found < STORE_VERSION {
            migrate::migrate(&store.db, found)?;
            store.upgraded_from = Some(found);
        }
        store.clock = store.snapshot()?.clock()?;
        store.clock.advance(now);
        Ok(store)
    }

    /// Does one step, and makes it durable as a whole or not at all.
    pub(crate) fn write<T, E: From<StoreError>>(
        &mut self,
        now: Now,
        step: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let known = self.clock.advance(now);
        let txn = self.db.begin_write().map_err(StoreError::from)?;
        let lock = (self.lock_file.as_ref(), self.lock.clone());
        let mut writer = Writer::begin(&txn, now, known, lock)?;
        let value = step(&mut writer)?;
        let lock = writer.lock.clone();
        writer.finish(&self.clock)?;
        txn.commit().map_err(StoreError::from)?;
        self.lock = lock;
        Ok(value)
    }

    /// Takes a snapshot to read from.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        use redb::ReadableDatabase;
        let mut snapshot = Snapshot::new(self.db.begin_read()?, self.clock.known());
        snapshot.lock.clone_from(&self.lock);
        Ok(snapshot)
    }

    /// Known time at the last step.
    pub(crate) fn known(&mut self, now: Now) -> Known {
        self.clock.advance(now)
    }

    /// Commits so that the next opening after a kill is quick.
    pub(crate) fn settle(&mut self) -> Result<(), StoreError> {
        let mut txn = self.db.begin_write()?;
        txn.set_quick_repair(true);
        txn.commit()?;
        Ok(())
    }

    /// Gives the disk back what the store does not need. False: somebody reads from it now.
    pub(crate) fn compact(&mut self) -> Result<bool, StoreError> {
        compact(&mut self.db)
    }
}

/// Moves what is in a file to its front, and cuts off the rest. False: somebody reads from it.
fn compact(db: &mut Database) -> Result<bool, StoreError> {
    for _ in 0..COMPACTIONS {
        match db.compact() {
            Ok(true) => {}
            Ok(false) => break,
            Err(CompactionError::TransactionInProgress) => return Ok(false),
            Err(error) => return Err(redb::Error::from(error).into()),
        }
    }
    Ok(true)
}

/// A file of redb whose pages are not what it wrote.
struct Corrupted;

fn open(
    disk: impl StorageBackend,
    builder: &mut Builder,
) -> Result<Result<Database, Corrupted>, StoreError> {
    if disk.len().map_err(redb::Error::from)? == 0 {
        return Err(StoreError::Empty);
    }
    match builder.create_with_backend(disk).map_err(redb::Error::from) {
        Ok(db) => Ok(Ok(db)),
        Err(redb::Error::Io(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(StoreError::Foreign)
        }
        Err(redb::Error::Corrupted(_)) => Ok(Err(Corrupted)),
        Err(error) => Err(StoreError::from(error)),
    }
}
