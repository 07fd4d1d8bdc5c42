//! The store's file, with its room taken before it is used.
//!
//! A file can be made longer than the disk has room for: its end is a hole, and the disk turns out
//! to be full only in the middle of a write. A store that meets this cannot even be read again
//! before there is room. So here a file that grows gets its blocks first; where there are none, it
//! keeps its length, the step fails as a whole, and what is in the store stays readable.

use std::fs::File;
use std::io;
use std::ops::Bound;

use redb::BackendError;
use thistle_engine::{FileBackend, StorageBackend, StoreError};

/// A file that never has holes.
#[derive(Debug)]
pub(crate) struct Disk {
    backend: FileBackend,
    file: File,
}

impl Disk {
    /// Takes an open file.
    pub(crate) fn new(file: File) -> Result<Self, StoreError> {
        let clone = file.try_clone().map_err(redb::Error::from)?;
        Ok(Self { backend: FileBackend::new(clone)?, file })
    }
}

/// Gives the bytes between two lengths blocks on the disk.
#[cfg(target_os = "linux")]
fn reserve(file: &File, from: u64, to: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::empty(), from, to - from) {
        // Some file systems cannot promise room.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        Err(errno) => {
            // Part of it may have been given.
            file.set_len(from)?;
            Err(errno.into())
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let now = self.backend.len()?;
        if len > now {
            reserve(&self.file, now, len)?;
        }
        self.backend.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.backend.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.backend.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.backend.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.query_lock_range(start, end)
    }
}
