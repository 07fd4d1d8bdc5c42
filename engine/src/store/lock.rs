//! The key that locks what is to be forgotten, in a small file of its own.
//!
//! A page of the store remembers what stood in it long after it was given back. So secrets are locked
//! under one key that stands outside, in a file of two slots, and that key changes: the new one is
//! written to the free slot and synced; all that is locked is locked anew and the new key named, in
//! one commit; the old slot is overwritten and synced. A cut anywhere leaves one key that fits, and
//! the next start finishes what is left. Without such a file (a backup, an earlier home) the key is
//! in the store itself, and nothing is forgotten for good.

use std::io;

use redb::{StorageBackend, WriteTransaction};

use crate::key::{Context, Digest, Hasher, Seed};
use crate::store::sealed::relock;
use crate::store::snapshot::Snapshot;
use crate::store::tables::{META, SECRETS};
use crate::store::{Store, StoreError, Writer};
use crate::time::Now;

/// Bytes of a slot: what a disk writes at once.
const SLOT: u64 = 4_096;
/// Bytes of the file.
const BYTES: u64 = 2 * SLOT;
/// Bytes of a slot that say something: generation, key, checksum.
const FULL: usize = 8 + 32 + 32;

/// A file of two slots.
pub(crate) struct LockFile(Box<dyn StorageBackend>);

impl std::fmt::Debug for LockFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LockFile(..)")
    }
}

fn checksum(generation: u64, key: &[u8]) -> Digest {
    Hasher::new(Context::Plain).update(&generation.to_be_bytes()).update(key).finish()
}

fn failed(error: io::Error) -> StoreError {
    StoreError::Disk(Box::new(redb::Error::Io(error)))
}

impl LockFile {
    /// Takes a file, which may be empty.
    pub(crate) fn new(disk: impl StorageBackend) -> Result<Self, StoreError> {
        let file = Self(Box::new(disk));
        if file.0.len().map_err(failed)? != BYTES {
            file.0.set_len(BYTES).map_err(failed)?;
        }
        Ok(file)
    }

    /// Takes a file to read from alone.
    pub(crate) fn reading(disk: impl StorageBackend) -> Self {
        Self(Box::new(disk))
    }

    /// The key of a generation, if it is in one of the slots.
    pub(crate) fn key(&self, generation: u64) -> Result<Option<Seed>, StoreError> {
        if self.0.len().map_err(failed)? != BYTES {
            return Ok(None);
        }
        let mut slot = zeroize::Zeroizing::new([0; FULL]);
        self.0.read(at(generation), slot.as_mut_slice()).map_err(failed)?;
        let (number, rest) = slot.split_at(8);
        let (key, sum) = rest.split_at(32);
        let sound = number == generation.to_be_bytes() && sum == checksum(generation, key);
        Ok(key.try_into().ok().filter(|_| sound).map(Seed::new))
    }

    /// Writes the key of a generation into its slot, durably.
    pub(crate) fn put(&self, generation: u64, key: &Seed) -> Result<(), StoreError> {
        let sum = checksum(generation, key.expose());
        let mut slot = zeroize::Zeroizing::new(vec![0; usize::try_from(SLOT).unwrap_or(FULL)]);
        let number = generation.to_be_bytes();
        let parts = [&number[..], key.expose(), &sum].into_iter().flatten();
        slot.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        self.0.write(at(generation), &slot).map_err(failed)?;
        self.0.sync_data().map_err(failed)
    }

    /// Overwrites the slot that a generation does not use, if there is anything in it.
    pub(crate) fn erase_other(&self, generation: u64) -> Result<(), StoreError> {
        let place = at(generation.saturating_add(1));
        let mut slot = vec![0; usize::try_from(SLOT).unwrap_or(FULL)];
        self.0.read(place, &mut slot).map_err(failed)?;
        if slot.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        slot.fill(0);
        self.0.write(place, &slot).map_err(failed)?;
        self.0.sync_data().map_err(failed)
    }
}

/// Where the slot of a generation stands.
const fn at(generation: u64) -> u64 {
    (generation % 2) * SLOT
}

/// The name of the generation of the key that locks, among single values.
const GENERATION: &str = "lock generation";
/// The mark that a secret was given up, so that the key has to change.
const DUE: &str = "lock due";
/// The minute of known time since which a key locks.
const SINCE: &str = "lock since";
/// Minutes for which a key locks at most.
const CHANGED: u64 = 24 * 60;
/// The name under which the key is kept where there is no file for it.
const LOCK: &str = "lock";

const LOST: StoreError =
    StoreError::Damaged { what: "the file with its keys is missing or another" };

fn number(row: Option<Vec<u8>>) -> u64 {
    row.and_then(|row| row.try_into().ok()).map_or(0, u64::from_be_bytes)
}

impl Store {
    /// Takes the file for the key that locks what is to be forgotten, and finishes what a cut left.
    pub(crate) fn lock_with(
        &mut self,
        now: Now,
        file: impl StorageBackend,
        fresh: &Seed,
    ) -> Result<(), StoreError> {
        let file = LockFile::new(file)?;
        let generation = number(self.snapshot()?.meta(GENERATION)?);
        if generation > 0 {
            self.lock = Some(file.key(generation)?.ok_or(LOST)?);
            file.erase_other(generation)?;
        }
        self.lock_file = Some(file);
        if generation == 0 && self.snapshot()?.secret(LOCK)?.is_some() {
            self.change_lock(now, fresh)?;
        }
        Ok(())
    }

    /// Whether the key that locks has to change: something was given up, or it is a day old.
    pub(crate) fn is_lock_due(&self) -> Result<bool, StoreError> {
        let snapshot = self.snapshot()?;
        let old = snapshot.known().minutes().saturating_sub(number(snapshot.meta(SINCE)?));
        let used = self.lock_file.is_some() && number(snapshot.meta(GENERATION)?) > 0;
        Ok(used && (snapshot.meta(DUE)?.is_some() || old >= CHANGED))
    }

    /// Locks everything with another key, and erases the one before.
    pub(crate) fn change_lock(&mut self, now: Now, fresh: &Seed) -> Result<(), StoreError> {
        let generation = number(self.snapshot()?.meta(GENERATION)?).saturating_add(1);
        let Some(file) = &self.lock_file else { return Ok(()) };
        file.put(generation, fresh)?;
        self.write(now, |writer| {
            let old = writer.lock_key()?;
            relock(writer.txn, &old, fresh)?;
            writer.set_meta(GENERATION, &generation.to_be_bytes())?;
            writer.set_meta(SINCE, &writer.known.minutes().to_be_bytes())?;
            writer.clear_meta(DUE)?;
            writer.txn.open_table(SECRETS)?.remove(LOCK)?;
            Ok::<_, StoreError>(())
        })?;
        self.lock = Some(fresh.clone());
        self.lock_file.as_ref().map_or(Ok(()), |file| file.erase_other(generation))
    }
}

impl Writer<'_> {
    /// The key that locks what is to be forgotten.
    pub(super) fn lock_key(&self) -> Result<Seed, StoreError> {
        match &self.lock {
            Some(key) => Ok(key.clone()),
            None => self.secret(LOCK)?.ok_or(LOST),
        }
    }

    /// Begins to lock secrets, if that was never done.
    pub(crate) fn begin_locking(&mut self, fresh: &Seed) -> Result<(), StoreError> {
        if self.lock.is_some() || self.secret(LOCK)?.is_some() {
            return Ok(());
        }
        let Some(file) = self.lock_file else { return self.set_secret(LOCK, fresh.expose()) };
        file.put(1, fresh)?;
        self.set_meta(GENERATION, &1_u64.to_be_bytes())?;
        self.set_meta(SINCE, &self.known.minutes().to_be_bytes())?;
        self.lock = Some(fresh.clone());
        Ok(())
    }

    /// Notes that something was given up that the key opens, wherever its bytes still are.
    pub(super) fn note_given_up(&mut self) -> Result<(), StoreError> {
        self.set_meta(DUE, &[1])
    }
}

impl Snapshot {
    /// Takes the file with the key, to read from alone.
    pub(crate) fn unlock_with(&mut self, file: impl StorageBackend) -> Result<(), StoreError> {
        let generation = number(self.meta(GENERATION)?);
        if generation > 0 {
            self.lock = Some(LockFile::reading(file).key(generation)?.ok_or(LOST)?);
        }
        Ok(())
    }

    /// The key that locks what is to be forgotten, if anything is locked.
    pub(super) fn lock_key(&self) -> Result<Option<Seed>, StoreError> {
        if let Some(key) = &self.lock {
            return Ok(Some(key.clone()));
        }
        let key = self.secret(LOCK)?;
        key.map(|key| key.try_into().map(Seed::new).map_err(|_| LOST)).transpose()
    }

    /// Locks what a copy of this moment holds with a key of its own, and leaves that in it.
    pub(super) fn lock_copy(&self, txn: &WriteTransaction) -> Result<(), StoreError> {
        let Some(old) = self.lock_key()? else { return Ok(()) };
        let fresh = old.clone().draw();
        relock(txn, &old, &fresh)?;
        txn.open_table(SECRETS)?.insert(LOCK, fresh.expose().as_slice())?;
        for name in [GENERATION, SINCE, DUE] {
            txn.open_table(META)?.remove(name)?;
        }
        Ok(())
    }
}
