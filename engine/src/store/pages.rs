//! A disk whose every sector is encrypted: what is under a locked store.
//!
//! The store above and the disk below know nothing of each other. What is read and written keeps its
//! place, and what power tears here tears as it would without: only the parts of a sector that a
//! write touches are written. A part of 512 bytes that holds nothing but zeros was never written and
//! reads as zeros, so that a file can grow without being filled.
//!
//! A disk can also be of one size for ever, full of random bytes until it is used. How long the store
//! on it is stands in its last sector then, and what grows is filled with encrypted zeros: a used
//! one and an unused one look the same.

use std::io;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError, RwLock};

use redb::{BackendError, StorageBackend};

use crate::key::{SECTOR_BYTES, Sectors, Seed};

/// Bytes of a sector, as places are counted.
const SECTOR: u64 = SECTOR_BYTES as u64;
/// What a disk writes as a whole or not at all.
const PART_BYTES: usize = 512;
const PART: u64 = PART_BYTES as u64;
/// What the last sector of a disk of one size begins with, before the length.
const MARK: [u8; 8] = *b"length\0\0";
/// Bytes that are encrypted or zeroed at once.
const AT_ONCE: u64 = 64 * SECTOR;

/// A disk under encryption. Closing it wipes the key.
#[derive(Debug)]
pub struct LockedDisk {
    disk: Box<dyn StorageBackend>,
    sectors: RwLock<Option<Box<Sectors>>>,
    /// Held by whoever changes a part of a sector.
    changing: Mutex<()>,
    length: Length,
    /// Where on the disk the first sector is.
    begin: u64,
}

/// How long what is under encryption is.
#[derive(Debug)]
enum Length {
    /// As the disk, from the first sector on.
    OfDisk,
    /// As it says in the last sector of a disk of one size.
    Noted(Mutex<u64>),
    /// Always the same.
    Always(u64),
}

impl LockedDisk {
    /// A disk that grows with what is on it.
    pub fn new(disk: impl StorageBackend, key: &Seed) -> Self {
        let sectors = RwLock::new(Some(Box::new(Sectors::new(key))));
        Self {
            disk: Box::new(disk),
            sectors,
            changing: Mutex::new(()),
            length: Length::OfDisk,
            begin: 0,
        }
    }

    /// A disk that grows, and whose first sector is not part of it.
    pub(crate) fn behind_head(disk: impl StorageBackend, key: &Seed) -> Self {
        Self { begin: SECTOR, ..Self::new(disk, key) }
    }

    /// Some sectors of a file that holds other things too.
    pub(crate) fn within(disk: impl StorageBackend, key: &Seed, begin: u64, length: u64) -> Self {
        Self { begin, length: Length::Always(length), ..Self::new(disk, key) }
    }

    /// A disk of one size with an empty store on it, whatever was there before.
    pub fn make_fixed(disk: impl StorageBackend, key: &Seed) -> io::Result<Self> {
        let mut sealed = Self::new(disk, key);
        sealed.note_length(0)?;
        sealed.disk.sync_data()?;
        sealed.length = Length::Noted(Mutex::new(0));
        Ok(sealed)
    }

    /// A disk of one size that was in use before.
    pub fn fixed(disk: impl StorageBackend, key: &Seed) -> io::Result<Self> {
        let mut sealed = Self::new(disk, key);
        sealed.length = Length::Noted(Mutex::new(sealed.noted()?));
        Ok(sealed)
    }

    /// How long the store on a disk of one size is.
    fn noted(&self) -> io::Result<u64> {
        let mut noted = [0; 16];
        self.read_at(self.room()?, &mut noted)?;
        let (mark, length) = noted.split_at(MARK.len());
        let length = length.try_into().map_or(u64::MAX, u64::from_le_bytes);
        if mark == MARK && length <= self.room()? {
            return Ok(length);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "no length is noted"))
    }

    /// Looks again once the disk is ours: until then somebody else may have changed it.
    fn locked(&self, is_ours: bool) -> Result<bool, BackendError> {
        if let Length::Noted(length) = &self.length
            && is_ours
        {
            *length.lock().unwrap_or_else(PoisonError::into_inner) = self.noted()?;
        }
        Ok(is_ours)
    }

    /// Room for a store on a disk of one size.
    fn room(&self) -> io::Result<u64> {
        let sectors = self.disk.len()? / SECTOR;
        let room = sectors.checked_sub(1).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(room.saturating_mul(SECTOR))
    }

    fn note_length(&self, length: u64) -> io::Result<()> {
        let mut noted = [0; PART_BYTES];
        let fields = MARK.into_iter().chain(length.to_le_bytes());
        noted.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        self.write_at(self.room()?, &noted)
    }

    /// Changes how long the store on a disk of one size is.
    fn fit(&self, now: &mut u64, length: u64) -> io::Result<()> {
        if length > self.room()? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut from = *now;
        while from < length {
            let count = AT_ONCE.min(length.saturating_sub(from));
            self.write_at(from, &vec![0; usize::try_from(count).unwrap_or_default()])?;
            from = from.saturating_add(count);
        }
        // The length counts only once what it adds is there.
        self.disk.sync_data()?;
        self.note_length(length)?;
        *now = length;
        Ok(())
    }

    fn with_key<T>(&self, work: impl FnOnce(&Sectors) -> T) -> io::Result<T> {
        let sectors = self.sectors.read().unwrap_or_else(PoisonError::into_inner);
        let sectors = sectors.as_ref().ok_or_else(|| io::Error::other("the store is locked"))?;
        Ok(work(sectors))
    }

    /// Refuses what lies beyond the end, where the disk itself goes on.
    fn expect_within(&self, offset: u64, bytes: usize) -> io::Result<()> {
        if matches!(self.length, Length::OfDisk) {
            return Ok(());
        }
        match offset.checked_add(bytes as u64) {
            Some(end) if end <= self.len()? => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn read_below(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.read(offset.checked_add(self.begin).ok_or(io::ErrorKind::InvalidInput)?, out)
    }

    fn write_below(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.write(offset.checked_add(self.begin).ok_or(io::ErrorKind::InvalidInput)?, data)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if is_whole(offset, out.len()) {
            self.read_below(offset, out)?;
            return self.with_key(|sectors| decrypt(sectors, offset / SECTOR, out));
        }
        let (first, mut whole) = whole_sectors(offset, out.len())?;
        self.read_below(first, &mut whole)?;
        self.with_key(|sectors| decrypt(sectors, first / SECTOR, &mut whole))?;
        let skipped = usize::try_from(offset.saturating_sub(first)).unwrap_or_default();
        out.iter_mut().zip(whole.iter().skip(skipped)).for_each(|(to, from)| *to = *from);
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if is_whole(offset, data.len()) {
            let mut whole = data.to_vec();
            self.with_key(|sectors| encrypt(sectors, offset / SECTOR, &mut whole))?;
            return self.write_below(offset, &whole);
        }
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, mut whole) = whole_sectors(offset, data.len())?;
        self.read_below(first, &mut whole)?;
        self.with_key(|sectors| decrypt(sectors, first / SECTOR, &mut whole))?;
        let skipped = usize::try_from(offset.saturating_sub(first)).unwrap_or_default();
        whole.iter_mut().skip(skipped).zip(data).for_each(|(to, from)| *to = *from);
        self.with_key(|sectors| encrypt(sectors, first / SECTOR, &mut whole))?;
        // The parts that are not touched stay as they are, also where they were never written.
        let begin = skipped - skipped % PART_BYTES;
        let end = skipped.saturating_add(data.len()).next_multiple_of(PART_BYTES);
        let touched = whole.get(begin..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.write_below(offset - offset % PART, touched)
    }
}

impl StorageBackend for LockedDisk {
    fn len(&self) -> io::Result<u64> {
        match &self.length {
            Length::OfDisk => Ok(self.disk.len()?.saturating_sub(self.begin)),
            Length::Noted(length) => Ok(*length.lock().unwrap_or_else(PoisonError::into_inner)),
            Length::Always(length) => Ok(*length),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.expect_within(offset, out.len())?;
        self.read_at(offset, out)
    }

    /// Lengths are whole sectors, as those of every store are.
    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = len.checked_next_multiple_of(SECTOR).ok_or(io::ErrorKind::InvalidInput)?;
        match &self.length {
            Length::OfDisk => self.disk.set_len(len.saturating_add(self.begin)),
            Length::Noted(now) => {
                self.fit(&mut now.lock().unwrap_or_else(PoisonError::into_inner), len)
            }
            Length::Always(length) if len == *length => Ok(()),
            Length::Always(_) => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.expect_within(offset, data.len())?;
        self.write_at(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        // Dropping the cipher wipes it.
        drop(self.sectors.write().unwrap_or_else(PoisonError::into_inner).take());
        self.disk.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.locked(self.disk.try_lock_range(start, end)?)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.locked(self.disk.try_lock_shared_range(start, end)?)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.disk.query_lock_range(start, end)
    }
}

/// Fills bytes that begin at a sector with what nobody can tell from encrypted pages.
///
/// `seed` is 32 secret bytes that are used for nothing else and forgotten afterwards.
pub fn noise(seed: &Seed, sector: u64, bytes: &mut [u8]) {
    bytes.fill(0);
    encrypt(&Sectors::new(seed), sector, bytes);
}

fn is_whole(offset: u64, bytes: usize) -> bool {
    offset.is_multiple_of(SECTOR) && bytes.is_multiple_of(SECTOR_BYTES)
}

/// Where the sectors around some bytes begin, and room for them.
fn whole_sectors(offset: u64, bytes: usize) -> io::Result<(u64, Vec<u8>)> {
    let first = offset - offset % SECTOR;
    let end = offset.checked_add(bytes as u64).and_then(|end| end.checked_next_multiple_of(SECTOR));
    let count = end.and_then(|end| usize::try_from(end.saturating_sub(first)).ok());
    Ok((first, vec![0; count.ok_or(io::ErrorKind::InvalidInput)?]))
}

fn encrypt(sectors: &Sectors, first: u64, bytes: &mut [u8]) {
    for (number, sector) in (first..).zip(bytes.chunks_mut(SECTOR_BYTES)) {
        sectors.encrypt(number, sector);
    }
}

fn decrypt(sectors: &Sectors, first: u64, bytes: &mut [u8]) {
    for (number, sector) in (first..).zip(bytes.chunks_mut(SECTOR_BYTES)) {
        let mut unwritten = [false; SECTOR_BYTES / PART_BYTES];
        for (is_unwritten, part) in unwritten.iter_mut().zip(sector.chunks(PART_BYTES)) {
            *is_unwritten = part.iter().all(|byte| *byte == 0);
        }
        if unwritten == [true; SECTOR_BYTES / PART_BYTES] {
            continue;
        }
        sectors.decrypt(number, sector);
        for (is_unwritten, part) in unwritten.iter().zip(sector.chunks_mut(PART_BYTES)) {
            if *is_unwritten {
                part.fill(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;
    use crate::store::SharedMemory;

    fn key() -> Seed {
        Seed::new([5; 32])
    }

    /// All bytes of a disk, seen from below.
    fn bytes_of(disk: &SharedMemory) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(disk.len().unwrap()).unwrap()];
        disk.read(0, &mut bytes).unwrap();
        bytes
    }

    /// Does the same to a plain disk and to an encrypted one, and expects them to stay the same.
    fn compare(make: impl Fn() -> LockedDisk, room: u64) {
        arbtest::arbtest(|u| {
            let (plain, sealed) = (InMemoryBackend::new(), make());
            plain.set_len(room).unwrap();
            sealed.set_len(room).unwrap();
            for _ in 0..u.int_in_range(1..=12)? {
                let at = u.int_in_range(0..=room - 1)?;
                let count = usize::try_from(u.int_in_range(1..=(room - at).min(9_000))?).unwrap();
                if u.ratio(1, 2)? {
                    let data: Vec<u8> = (0..=250).cycle().take(count).collect();
                    plain.write(at, &data).unwrap();
                    sealed.write(at, &data).unwrap();
                }
                let (mut one, mut two) = (vec![1; count], vec![2; count]);
                plain.read(at, &mut one).unwrap();
                sealed.read(at, &mut two).unwrap();
                assert!(one == two, "{count} bytes at {at}");
            }
            Ok(())
        })
        .size_min(64);
    }

    #[test]
    fn it_holds_what_a_plain_disk_holds() {
        compare(|| LockedDisk::new(InMemoryBackend::new(), &key()), 5 * SECTOR);
    }

    fn noisy(sectors: usize) -> SharedMemory {
        let mut bytes = vec![0; sectors * SECTOR_BYTES];
        noise(&Seed::new([9; 32]), 0, &mut bytes);
        let below = SharedMemory::default();
        below.set_len(bytes.len() as u64).unwrap();
        below.write(0, &bytes).unwrap();
        below
    }

    #[test]
    fn a_disk_of_one_size_holds_what_a_plain_disk_holds() {
        compare(|| LockedDisk::make_fixed(noisy(6), &key()).unwrap(), 5 * SECTOR);
    }

    #[test]
    fn a_disk_of_one_size_keeps_it_and_never_shows_a_part_of_zeros() {
        let below = noisy(9);
        let size = bytes_of(&below).len();
        let sealed = LockedDisk::make_fixed(below.clone(), &key()).unwrap();
        assert_eq!(sealed.len().unwrap(), 0);
        sealed.set_len(4 * SECTOR).unwrap();
        sealed.write(5, b"thistle").unwrap();
        assert_eq!(sealed.set_len(9 * SECTOR).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(
            sealed.write(4 * SECTOR, &[1]).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        drop(sealed);
        let bytes = bytes_of(&below);
        assert_eq!(bytes.len(), size);
        assert!(bytes.chunks(PART_BYTES).all(|part| part.iter().any(|byte| *byte != 0)));
        let again = LockedDisk::fixed(below.clone(), &key()).unwrap();
        let mut found = [0; 12];
        again.read(0, &mut found).unwrap();
        assert_eq!((again.len().unwrap(), &found), (4 * SECTOR, b"\0\0\0\0\0thistle"));
        let other = LockedDisk::fixed(below, &Seed::new([6; 32])).unwrap_err();
        assert_eq!(other.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn parts_that_nobody_wrote_stay_holes() {
        let below = SharedMemory::default();
        let sealed = LockedDisk::new(below.clone(), &key());
        sealed.set_len(2 * SECTOR).unwrap();
        sealed.write(SECTOR + 600, b"one part").unwrap();
        let bytes = bytes_of(&below);
        let used: Vec<usize> = bytes
            .chunks(PART_BYTES)
            .enumerate()
            .filter(|(_, part)| part.iter().any(|byte| *byte != 0))
            .map(|(at, _)| at)
            .collect();
        assert_eq!(used, [9]);
    }

    #[test]
    fn once_closed_it_gives_nothing_away() {
        let below = SharedMemory::default();
        let sealed = LockedDisk::new(below.clone(), &key());
        sealed.set_len(SECTOR).unwrap();
        sealed.write(0, b"thistle").unwrap();
        sealed.close().unwrap();
        assert!(sealed.read(0, &mut [0; 7]).is_err() && sealed.write(0, b"thistle").is_err());
        assert!(!bytes_of(&below).windows(7).any(|bytes| bytes == b"thistle"));
    }
}
