//! The key file of a home: two slots of equal form, whether they are in use or not.
//!
//! The file has one size and nothing in it but what looks random: it says neither whether anybody
//! set a passphrase nor how many. Each slot stands in it twice, each time in a sector of its own, and
//! one of the two is always whole: a change that power cut off leaves the passphrase of before or the
//! new one, or both. Who opens it then mends the other copy. Destroying it is one write. The key that
//! locks what a store is to forget stands there too, encrypted, so that it goes with the others.

use std::fmt;
use std::io;

use redb::StorageBackend;

use crate::key::{
    Context, SALT_BYTES, SECTOR_BYTES, SLOT_KEY_BYTES, Seed, open_slot, seal_slot,
    stretch_passphrase,
};
use crate::store::pages::{LockedDisk, noise};

/// Which of the two stores of a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The one that the home was made with.
    First,
    /// The one that is of one size, and in use or not.
    Second,
}

/// A key file.
pub struct Keyring(Box<dyn StorageBackend>);

/// A passphrase, stretched for both slots of one key file.
#[derive(Debug, Clone)]
pub struct Stretched([Seed; 2]);

/// What a passphrase opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsealed {
    /// The store.
    pub slot: Slot,
    /// Its key.
    pub key: Seed,
}

/// A salt and a slot.
#[derive(Debug, Clone)]
pub struct BackupHead(Vec<u8>);

/// Bytes of a key file: the salts, each slot twice, and for each store two sectors for the key that
/// locks what is to be forgotten.
const BYTES: usize = 9 * SECTOR_BYTES;
/// Sectors before those.
const FORGETTING: u64 = 5;
/// Bytes of a salt and a slot.
const HEAD_BYTES: usize = SALT_BYTES + SLOT_KEY_BYTES;
/// Bytes that make the key of each backup another.
const FRESH_BYTES: usize = 32;
/// Copies of a slot.
const COPIES: [u64; 2] = [0, 1];

impl Slot {
    /// Both.
    pub const ALL: [Self; 2] = [Self::First, Self::Second];

    const fn index(self) -> u64 {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }

    /// Where a copy of the slot is.
    const fn place(self, copy: u64) -> u64 {
        (1 + 2 * self.index() + copy) * SECTOR_BYTES as u64
    }
}

impl Keyring {
    /// Bytes of every key file.
    pub const BYTES: u64 = BYTES as u64;

    /// Makes a key file that nothing opens. `seed` is 32 secret bytes for this alone.
    pub fn create(disk: impl StorageBackend, seed: &Seed) -> io::Result<Self> {
        let keyring = Self(Box::new(disk));
        keyring.destroy(seed)?;
        Ok(keyring)
    }

    /// Takes a key file that is there.
    pub fn new(disk: impl StorageBackend) -> Self {
        Self(Box::new(disk))
    }

    /// Stretches a passphrase, for both slots in any case: whether one of them is in use must not
    /// show in the time that this takes.
    pub fn stretch(&self, passphrase: &[u8]) -> io::Result<Stretched> {
        let [first, second] = self.salts()?;
        Ok(Stretched([first, second].map(|salt| stretch_passphrase(passphrase, &salt))))
    }

    /// Opens the slot that the passphrase was set for; none: there is no such slot.
    pub fn open(&self, stretched: &Stretched) -> io::Result<Option<Unsealed>> {
        Ok(self.find(stretched)?.map(|(unsealed, ..)| unsealed))
    }

    /// Makes both copies of the slot that the passphrase opens the same, if power cut a change off.
    pub fn mend(&self, stretched: &Stretched) -> io::Result<()> {
        let Some((unsealed, copy, bytes)) = self.find(stretched)? else { return Ok(()) };
        for other in COPIES.into_iter().filter(|other| *other != copy) {
            if self.slot(unsealed.slot, other)? != bytes {
                self.0.write(unsealed.slot.place(other), &bytes)?;
                self.0.sync_data()?;
            }
        }
        Ok(())
    }

    /// Seals the key of a store with a passphrase from now on. `fresh` is 32 random bytes for this
    /// alone.
    pub fn set(
        &self,
        unsealed: &Unsealed,
        stretched: &Stretched,
        fresh: &[u8; 32],
    ) -> io::Result<()> {
        let bytes = seal_slot(stretched.for_slot(unsealed.slot), &unsealed.key, fresh);
        for copy in COPIES {
            self.0.write(unsealed.slot.place(copy), &bytes)?;
            self.0.sync_data()?;
        }
        Ok(())
    }

    /// Overwrites every slot and salt, so that no passphrase opens anything ever after.
    pub fn destroy(&self, seed: &Seed) -> io::Result<()> {
        let mut bytes = vec![0; BYTES];
        noise(seed, 0, &mut bytes);
        if self.0.len()? != BYTES as u64 {
            self.0.set_len(BYTES as u64)?;
        }
        self.0.write(0, &bytes)?;
        self.0.sync_data()
    }

    /// What a backup of a store begins with, so that the passphrase of the store opens it: no secret.
    /// None: a change was cut off, and nobody has opened the store to write since.
    pub fn head(&self, slot: Slot) -> io::Result<Option<BackupHead>> {
        let [one, two] = COPIES;
        let (one, two) = (self.slot(slot, one)?, self.slot(slot, two)?);
        let [first, second] = self.salts()?;
        let salt = if slot == Slot::First { first } else { second };
        Ok((one == two).then(|| BackupHead([salt.as_slice(), &one].concat())))
    }

    /// The sectors of a key file in which the store with this key keeps the key that locks what is to
    /// be forgotten. Until it does, they hold noise.
    pub fn forgetting(disk: impl StorageBackend, unsealed: &Unsealed) -> LockedDisk {
        let sector = SECTOR_BYTES as u64;
        let begin = (FORGETTING + 2 * unsealed.slot.index()) * sector;
        let key = unsealed.key.derive(Context::Forgetting, &[]);
        LockedDisk::within(disk, &key, begin, 2 * sector)
    }

    fn find(&self, stretched: &Stretched) -> io::Result<Option<(Unsealed, u64, Vec<u8>)>> {
        let mut found = None;
        for slot in Slot::ALL {
            for copy in COPIES {
                let bytes = self.slot(slot, copy)?;
                let key = open_slot(stretched.for_slot(slot), &bytes);
                let opened = key.map(|key| (Unsealed { slot, key }, copy, bytes));
                // All are tried, and the first that opens counts.
                found = found.or(opened);
            }
        }
        Ok(found)
    }

    fn salts(&self) -> io::Result<[[u8; SALT_BYTES]; 2]> {
        let mut salts = [[0; SALT_BYTES]; 2];
        self.0.read(0, salts.as_flattened_mut())?;
        Ok(salts)
    }

    fn slot(&self, slot: Slot, copy: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; SLOT_KEY_BYTES];
        self.0.read(slot.place(copy), &mut bytes)?;
        Ok(bytes)
    }
}

impl BackupHead {
    /// Begins a backup of the store with this key on an empty disk: its first sector is the salt, the
    /// slot and 32 fresh bytes, and then noise; the store's pages follow under a key of their own.
    ///
    /// `seed` is 32 secret bytes for this alone.
    pub fn begin(
        &self,
        disk: impl StorageBackend,
        key: &Seed,
        seed: &Seed,
    ) -> io::Result<LockedDisk> {
        let mut head = [0; SECTOR_BYTES];
        noise(seed, 0, &mut head);
        head.iter_mut().zip(&self.0).for_each(|(to, from)| *to = *from);
        disk.set_len(SECTOR_BYTES as u64)?;
        disk.write(0, &head)?;
        let fresh = head.get(HEAD_BYTES..HEAD_BYTES + FRESH_BYTES).unwrap_or_default();
        Ok(LockedDisk::behind_head(disk, &key.derive(Context::Backup, fresh)))
    }

    /// Opens a backup; none: the passphrase is another one, or this is no backup.
    pub fn open(disk: impl StorageBackend, passphrase: &[u8]) -> io::Result<Option<LockedDisk>> {
        let mut head = [0; HEAD_BYTES + FRESH_BYTES];
        if disk.len()? < SECTOR_BYTES as u64 {
            return Ok(None);
        }
        disk.read(0, &mut head)?;
        let Some((salt, rest)) = head.split_first_chunk::<SALT_BYTES>() else { return Ok(None) };
        let (slot, fresh) = rest.split_at(SLOT_KEY_BYTES);
        let key = open_slot(&stretch_passphrase(passphrase, salt), slot);
        Ok(key.map(|key| LockedDisk::behind_head(disk, &key.derive(Context::Backup, fresh))))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(..)")
    }
}

impl Stretched {
    const fn for_slot(&self, slot: Slot) -> &Seed {
        let Self([first, second]) = self;
        match slot {
            Slot::First => first,
            Slot::Second => second,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SharedMemory;

    /// Passphrases that need not be stretched.
    fn typed(number: u8) -> Stretched {
        Stretched([Seed::new([number; 32]), Seed::new([number + 100; 32])])
    }

    fn unsealed(slot: Slot, number: u8) -> Unsealed {
        Unsealed { slot, key: Seed::new([number; 32]) }
    }

    #[test]
    fn each_passphrase_opens_its_slot_until_all_is_destroyed() {
        let keyring = Keyring::create(SharedMemory::default(), &Seed::new([1; 32])).unwrap();
        assert_eq!(keyring.open(&typed(1)).unwrap(), None);
        keyring.set(&unsealed(Slot::First, 5), &typed(1), &[1; 32]).unwrap();
        keyring.set(&unsealed(Slot::Second, 6), &typed(2), &[2; 32]).unwrap();
        assert_eq!(keyring.open(&typed(1)).unwrap(), Some(unsealed(Slot::First, 5)));
        assert_eq!(keyring.open(&typed(2)).unwrap(), Some(unsealed(Slot::Second, 6)));
        keyring.set(&unsealed(Slot::First, 5), &typed(3), &[3; 32]).unwrap();
        assert_eq!(keyring.open(&typed(1)).unwrap(), None);
        assert_eq!(keyring.open(&typed(3)).unwrap(), Some(unsealed(Slot::First, 5)));
        assert_eq!(keyring.open(&typed(2)).unwrap(), Some(unsealed(Slot::Second, 6)));
        keyring.destroy(&Seed::new([2; 32])).unwrap();
        for number in 1..=3 {
            assert_eq!(keyring.open(&typed(number)).unwrap(), None);
        }
    }

    #[test]
    fn a_used_slot_looks_like_an_unused_one() {
        let below = SharedMemory::default();
        let keyring = Keyring::create(below.clone(), &Seed::new([1; 32])).unwrap();
        let bytes = || {
            let mut bytes = vec![0; BYTES];
            below.read(0, &mut bytes).unwrap();
            bytes
        };
        let before = bytes();
        keyring.set(&unsealed(Slot::Second, 6), &typed(2), &[2; 32]).unwrap();
        let after = bytes();
        assert_eq!(below.len().unwrap(), BYTES as u64);
        let changed: Vec<usize> = (0..BYTES).filter(|at| before[*at] != after[*at]).collect();
        let within = |place: u64| {
            let place = usize::try_from(place).unwrap();
            move |at: &usize| (place..place + SLOT_KEY_BYTES).contains(at)
        };
        let (one, two) = (within(Slot::Second.place(0)), within(Slot::Second.place(1)));
        assert!(changed.iter().all(|at| one(at) || two(at)), "{changed:?}");
    }

    #[test]
    fn who_opens_after_a_change_was_cut_off_decides() {
        let keyring = Keyring::create(SharedMemory::default(), &Seed::new([1; 32])).unwrap();
        keyring.set(&unsealed(Slot::First, 5), &typed(1), &[1; 32]).unwrap();
        let new = seal_slot(typed(2).for_slot(Slot::First), &Seed::new([5; 32]), &[2; 32]);
        keyring.0.write(Slot::First.place(0), &new).unwrap();
        assert!(
            keyring.head(Slot::First).unwrap().is_none(),
            "a backup would be of one of the two"
        );
        assert!(
            keyring.open(&typed(1)).unwrap().is_some()
                && keyring.open(&typed(2)).unwrap().is_some()
        );
        keyring.mend(&typed(2)).unwrap();
        assert_eq!(keyring.open(&typed(1)).unwrap(), None);
        assert_eq!(keyring.open(&typed(2)).unwrap(), Some(unsealed(Slot::First, 5)));
        assert!(keyring.head(Slot::First).unwrap().is_some());
    }

    #[test]
    fn what_a_store_keeps_there_is_its_own() {
        let below = SharedMemory::default();
        let keyring = Keyring::create(below.clone(), &Seed::new([1; 32])).unwrap();
        for (slot, number) in [(Slot::First, 5), (Slot::Second, 6)] {
            keyring.set(&unsealed(slot, number), &typed(number), &[number; 32]).unwrap();
        }
        let area = |slot, number| Keyring::forgetting(below.clone(), &unsealed(slot, number));
        area(Slot::First, 5).write(4096, b"first").unwrap();
        area(Slot::Second, 6).write(0, b"second").unwrap();
        let mut found = [0; 11];
        area(Slot::First, 5).read(4096, &mut found[..5]).unwrap();
        area(Slot::Second, 6).read(0, &mut found[5..]).unwrap();
        assert_eq!(&found, b"firstsecond");
        assert!(area(Slot::First, 5).write(8192, b"x").is_err());
        assert_eq!(
            (area(Slot::First, 5).len().unwrap(), below.len().unwrap()),
            (8192, BYTES as u64)
        );
        for number in [5, 6] {
            assert!(keyring.open(&typed(number)).unwrap().is_some());
        }
    }

    #[test]
    fn a_backup_opens_with_the_passphrase_of_its_store_only() {
        let below = SharedMemory::default();
        let keyring = Keyring::create(SharedMemory::default(), &Seed::new([1; 32])).unwrap();
        let unsealed = unsealed(Slot::Second, 6);
        let stretched = keyring.stretch(b"correct horse").unwrap();
        keyring.set(&unsealed, &stretched, &[2; 32]).unwrap();
        let head = keyring.head(Slot::Second).unwrap().unwrap();
        let sealed = head.begin(below.clone(), &unsealed.key, &Seed::new([3; 32])).unwrap();
        sealed.set_len(2 * SECTOR_BYTES as u64).unwrap();
        sealed.write(SECTOR_BYTES as u64, b"thistle").unwrap();
        assert_eq!(sealed.len().unwrap(), 2 * SECTOR_BYTES as u64);
        assert_eq!(below.len().unwrap(), 3 * SECTOR_BYTES as u64);
        assert!(BackupHead::open(below.clone(), b"correct house").unwrap().is_none());
        let again = BackupHead::open(below, b"correct horse").unwrap().unwrap();
        let mut found = [0; 7];
        again.read(SECTOR_BYTES as u64, &mut found).unwrap();
        assert_eq!(&found, b"thistle");
    }
}
