//! The file of a store: made under a passing name, with its room taken before it is used.
//!
//! A file can be made longer than the disk has room for: its end is a hole, and the disk turns out
//! to be full only in the middle of a write. A store that meets this cannot even be read again
//! before there is room. So here a file that grows gets its blocks first; where there are none, it
//! keeps its length, the step fails as a whole, and what is in the store stays readable.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use redb::BackendError;
use thistle_engine::{FileBackend, StorageBackend, StoreError};

use crate::vault;

/// A file that never has holes.
#[derive(Debug)]
pub(crate) struct Disk {
    backend: FileBackend,
    file: File,
    /// Files that get the same times as this one.
    beside: Vec<PathBuf>,
    /// A file that is locked as long as this one is used.
    _held: Option<File>,
}

impl Disk {
    /// Takes an open file.
    pub(crate) fn new(file: File) -> Result<Self, StoreError> {
        let clone = file.try_clone().map_err(redb::Error::from)?;
        Ok(Self { backend: FileBackend::new(clone)?, file, beside: Vec::new(), _held: None })
    }

    /// Takes an open file that is one of several of which none is to say when another one was used.
    pub(crate) fn beside(
        file: File,
        beside: Vec<PathBuf>,
        held: Option<File>,
    ) -> Result<Self, StoreError> {
        Ok(Self { beside, _held: held, ..Self::new(file)? })
    }
}

/// A file under a passing name that is removed again.
#[derive(Debug)]
pub(crate) struct Passing {
    file: PathBuf,
}

impl Passing {
    /// Makes an empty file for what is to be called `name` in a folder, for its owner only. What
    /// killed commands left under such names is removed: whoever writes one still, has it locked.
    pub(crate) fn create(folder: &Path, name: &str) -> io::Result<(Self, File)> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        for entry in fs::read_dir(folder)?.filter_map(Result::ok) {
            let found = entry.file_name();
            let is_left = found.to_str().is_some_and(|found| {
                found.starts_with(&format!(".{name}.")) && found.ends_with(PART)
            });
            if is_left && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
                drop(fs::remove_file(entry.path()));
            }
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let file = folder.join(format!(".{name}.{}-{number}{PART}", std::process::id()));
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create_new(true).mode(0o600).open(&file)?;
        Ok((Self { file }, opened))
    }

    /// Gives the file its name. Unless it may replace, of two that want one name one fails.
    pub(crate) fn settle(&self, path: &Path, replace: bool) -> io::Result<()> {
        if !replace {
            match fs::hard_link(&self.file, path) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
                // Some file systems know no links.
                Err(_) if fs::symlink_metadata(path).is_ok() => {
                    return Err(ErrorKind::AlreadyExists.into());
                }
                Err(_) => {}
            }
        }
        fs::rename(&self.file, path)
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // It may have got its final name, and then there is nothing to remove.
        drop(fs::remove_file(&self.file));
    }
}

/// How passing names end.
pub(crate) const PART: &str = ".part";

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
        self.backend.sync_data()?;
        vault::even(&self.beside);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.backend.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        vault::even(&self.beside);
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
