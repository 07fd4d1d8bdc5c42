//! What is locked of a home: its key file, and the two stores that passphrases open.
//!
//! A home without a passphrase has its store in one plain file. Beside it stand, on every
//! installation and from the first moment on, a key file and a second store, both full of what
//! nobody can tell from random bytes. Once a passphrase is set, the first store is an encrypted file,
//! and a slot of the key file holds its key; another passphrase can open the second store, which
//! never changes its size. Nothing here says which of these were ever used.

use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::process::{Resource, Rlimit, setrlimit};
use thistle_engine::key::Seed;
use thistle_engine::{
    FileBackend, InMemoryBackend, Keyring, LockedDisk, Slot, StoreError, Unsealed, noise,
};

use crate::disk::{Disk, PART};
use crate::home::{Home, LOCK, disk_fault, fresh_seed, sync_folder};
use crate::outcome::{CliError, Kind};
use crate::passphrase::{self, Passphrase};

/// The key file.
const KEYS: &str = "keys";
/// The first store, once it has a passphrase.
const FIRST: &str = "first.store";
/// The second store.
const SECOND: &str = "second.store";
/// Bytes of the second store, used or not.
const SECOND_BYTES: u64 = 17 << 20;
/// Bytes that are written or copied at once.
const AT_ONCE: usize = 1 << 20;

/// How the store of a home is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// As it is.
    Plain,
    /// With the key of one of the two stores.
    Locked(Unsealed),
}

/// The key file and the second store of a home that is being made: gone again unless they are kept.
#[derive(Debug)]
pub(crate) struct Form {
    made: Vec<PathBuf>,
    /// The folder, if it was made for the home.
    folder: Option<PathBuf>,
    /// Of two that make a home in one folder, one waits.
    _making: File,
}

impl Form {
    /// The home counts from now on.
    pub(crate) fn keep(mut self) {
        self.made.clear();
        self.folder = None;
    }
}

impl Drop for Form {
    fn drop(&mut self) {
        for path in &self.made {
            drop(fs::remove_file(path));
        }
        // A folder with something in it stays.
        drop(self.folder.as_ref().map(fs::remove_dir));
    }
}

impl Home {
    fn keys(&self) -> PathBuf {
        self.path().join(KEYS)
    }

    /// Where the store is that is opened so.
    pub(crate) fn store_for(&self, access: &Access) -> PathBuf {
        match access {
            Access::Plain => Self::store_in(self.path()),
            Access::Locked(Unsealed { slot: Slot::First, .. }) => self.path().join(FIRST),
            Access::Locked(Unsealed { slot: Slot::Second, .. }) => self.path().join(SECOND),
        }
    }

    /// Whether only a passphrase opens this home. A key file without a store is what is left of one
    /// whose keys were destroyed, and answers like one whose passphrase is another.
    pub(crate) fn is_locked(&self) -> io::Result<bool> {
        Ok(is_there(&self.path().join(FIRST))?
            || (is_there(&self.keys())? && !is_there(&Self::store_in(self.path()))?))
    }

    /// Whether a home is here, whatever opens it.
    pub(crate) fn is_there(&self) -> io::Result<bool> {
        Ok(is_there(&Self::store_in(self.path()))? || is_there(&self.path().join(FIRST))?)
    }

    /// Finds out what opens the store, and asks for the passphrase if it takes one.
    pub(crate) fn access(&self) -> Result<Access, CliError> {
        let fault = |error| disk_fault("open the home in", self.path(), &error);
        if !self.is_locked().map_err(fault)? {
            return Ok(Access::Plain);
        }
        let passphrase = self.passphrase()?;
        self.unsealed(&passphrase).map(Access::Locked)
    }

    /// What the passphrase opens that was given by a file, before anybody is asked to do anything with
    /// it: it says which profile is meant. None: none was given, or the home is plain.
    pub(crate) fn given(&self) -> Result<Option<Access>, CliError> {
        if !self.is_locked().is_ok_and(|locked| locked) {
            return Ok(None);
        }
        let given = Passphrase::named_by(passphrase::FILE)?;
        given.map(|given| self.unsealed(&given).map(Access::Locked)).transpose()
    }

    /// The passphrase that is in force, as the person gives it.
    pub(crate) fn passphrase(&self) -> Result<Passphrase, CliError> {
        if let Some(passphrase) = Passphrase::named_by(passphrase::FILE)? {
            return Ok(passphrase);
        }
        let asked = Passphrase::asked_for("Passphrase: ")?;
        asked.ok_or_else(|| {
            let home = self.path().display();
            CliError::new(Kind::Locked, format!("`{home}` is locked")).hint(format!(
                "run `thistle unlock` at a terminal, or say in `{}` which file holds the passphrase",
                passphrase::FILE
            ))
        })
    }

    /// Opens the slot that a passphrase was set for, and finishes a change that was cut off.
    pub(crate) fn unsealed(&self, passphrase: &Passphrase) -> Result<Unsealed, CliError> {
        keep_out_of_dumps();
        let fault = |error| disk_fault("read the keys of", self.path(), &error);
        let file = OpenOptions::new().read(true).write(true).open(self.keys());
        let is_writable = file.is_ok();
        let keyring = match file.or_else(|_| File::open(self.keys())) {
            Ok(file) if has_keys(&file) => Keyring::new(backend(file).map_err(fault)?),
            // Where there is nothing to open, it takes as long to find that out.
            _ => Keyring::create(InMemoryBackend::new(), &fresh_seed()?).map_err(fault)?,
        };
        let stretched = keyring.stretch(passphrase.bytes()).map_err(fault)?;
        let unsealed = keyring.open(&stretched).map_err(fault)?;
        let unsealed = unsealed.ok_or_else(|| self.not_opened())?;
        if is_writable {
            keyring.mend(&stretched).map_err(fault)?;
        }
        Ok(unsealed)
    }

    /// The passphrase is another one, or nothing opens any more: nobody can tell which.
    pub(crate) fn not_opened(&self) -> CliError {
        let home = self.path().display();
        CliError::new(Kind::Locked, format!("the passphrase opens nothing in `{home}`"))
            .hint("type it again; if it was the right one, the keys of this home are destroyed")
    }

    /// The key file, to be changed.
    pub(crate) fn keyring(&self) -> Result<Keyring, CliError> {
        let fault = |error| disk_fault("change the keys of", self.path(), &error);
        let file = OpenOptions::new().read(true).write(true).open(self.keys()).map_err(fault)?;
        backend(file).map(Keyring::new).map_err(fault)
    }

    /// Where the open store keeps the key that locks what it is to forget.
    pub(crate) fn forgetting(&self, unsealed: &Unsealed) -> io::Result<LockedDisk> {
        let file = OpenOptions::new().read(true).write(true).open(self.keys());
        let file = file.or_else(|_| File::open(self.keys()))?;
        Ok(Keyring::forgetting(backend(file)?, unsealed))
    }

    /// Makes the folder, and in it the key file and the second store, as every home has them.
    pub(crate) fn form(&self) -> Result<Form, CliError> {
        let refused = |error: io::Error| disk_fault("make a home in", self.path(), &error);
        let folder = (!self.path().exists()).then(|| self.path().to_owned());
        DirBuilder::new().recursive(true).mode(0o700).create(self.path()).map_err(refused)?;
        let making = File::open(self.path()).map_err(refused)?;
        // Where a folder cannot be locked, two at once may fail both.
        drop(making.lock());
        let mut form = Form { made: Vec::new(), folder, _making: making };
        self.expect_none()?;
        form.made = vec![self.keys(), self.path().join(SECOND)];
        self.make_keys().map_err(refused)?;
        self.make_second().map_err(refused)?;
        Ok(form)
    }

    /// Makes those of them that a home of an earlier version lacks.
    pub(crate) fn complete_form(&self) -> Result<(), CliError> {
        let refused = |error: io::Error| disk_fault("write in", self.path(), &error);
        if !is_there(&self.keys()).map_err(refused)? {
            self.make_keys().map_err(refused)?;
        }
        if !is_there(&self.path().join(SECOND)).map_err(refused)? {
            self.make_second().map_err(refused)?;
        }
        sync_folder(self.path()).map_err(refused)
    }

    fn make_keys(&self) -> io::Result<()> {
        let disk = backend(fresh(&self.keys())?)?;
        Keyring::create(disk, &secret()?).map(drop)
    }

    fn make_second(&self) -> io::Result<()> {
        let mut file = fresh(&self.path().join(SECOND))?;
        fill(&mut file, SECOND_BYTES)
    }

    /// The files of a locked home whose times are to tell nothing of each other.
    fn evened(&self) -> Vec<PathBuf> {
        vec![self.keys(), self.path().join(FIRST), self.path().join(SECOND)]
    }

    /// A file as the disk under its store, and what has the same times if it is locked.
    pub(crate) fn disk(&self, file: File, access: &Access) -> Result<Disk, StoreError> {
        if *access == Access::Plain {
            return Disk::new(file);
        }
        // One profile at a time: the other one would take over the socket.
        let keys = File::open(self.keys()).map_err(redb::Error::Io)?;
        let held = if is_writable(&file) { keys.try_lock() } else { keys.try_lock_shared() };
        match held {
            Err(TryLockError::WouldBlock) => Err(StoreError::Taken),
            // Where files cannot be locked, stores cannot either.
            Ok(()) | Err(TryLockError::Error(_)) => Disk::beside(file, self.evened(), Some(keys)),
        }
    }

    /// Sets a passphrase on a plain home that nobody uses: its store is encrypted into a new file, and
    /// the plain one overwritten and removed.
    pub(crate) fn lock_up(&self, passphrase: &Passphrase, plain: &File) -> Result<(), CliError> {
        keep_out_of_dumps();
        let refused = |error: io::Error| disk_fault("lock the store in", self.path(), &error);
        self.complete_form()?;
        let unsealed = Unsealed { slot: Slot::First, key: fresh_seed()? };
        let keyring = self.keyring()?;
        let stretched = keyring.stretch(passphrase.bytes()).map_err(refused)?;
        keyring.set(&unsealed, &stretched, fresh_seed()?.expose()).map_err(refused)?;
        if let Ok(lock) = fs::read(self.path().join(LOCK)) {
            let place = self.forgetting(&unsealed).map_err(refused)?;
            copy_all(&lock.as_slice(), lock.len() as u64, &place).map_err(refused)?;
        }
        let (passing, file) = crate::disk::Passing::create(self.path(), FIRST).map_err(refused)?;
        let length = plain.metadata().map_err(refused)?.len();
        let disk = Disk::new(file).map_err(|error| self.store_fault(&error))?;
        copy_all(plain, length, &LockedDisk::new(disk, &unsealed.key)).map_err(refused)?;
        passing.settle(&self.path().join(FIRST), false).map_err(refused)?;
        sync_folder(self.path()).map_err(refused)?;
        self.remove_plain().map_err(refused)
    }

    /// Overwrites and removes what a plain home left beside the locked one.
    pub(crate) fn remove_plain(&self) -> io::Result<()> {
        for path in [Self::store_in(self.path()), self.path().join(LOCK)] {
            if !is_there(&path)? {
                continue;
            }
            let mut file = OpenOptions::new().write(true).open(&path)?;
            let length = file.metadata()?.len();
            fill(&mut file, length)?;
            fs::remove_file(&path)?;
        }
        sync_folder(self.path())
    }

    /// Makes the second store anew on its disk, whatever was there.
    pub(crate) fn second_disk(&self, key: &Seed) -> Result<LockedDisk, CliError> {
        let refused = |error: io::Error| disk_fault("make a store in", self.path(), &error);
        let path = self.path().join(SECOND);
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(refused)?;
        if file.try_lock().is_err() {
            return Err(self.busy());
        }
        drop(file.unlock());
        let disk =
            Disk::beside(file, self.evened(), None).map_err(|error| self.store_fault(&error))?;
        LockedDisk::make_fixed(disk, key).map_err(refused)
    }

    /// Destroys the keys of the home, and then removes what they opened. The first of it decides;
    /// tells whether the store was plain.
    pub(crate) fn destroy(&self) -> Result<bool, CliError> {
        let refused = |error: io::Error| disk_fault("destroy the keys in", self.path(), &error);
        let was_plain = !self.is_locked().map_err(refused)?;
        if !is_there(&self.keys()).map_err(refused)? {
            self.make_keys().map_err(refused)?;
        }
        let keyring = self.keyring()?;
        keyring.destroy(&fresh_seed()?).map_err(refused)?;
        // The small file that locks what a plain home is to forget can be overwritten at once too.
        if let Ok(mut lock) = OpenOptions::new().write(true).open(self.path().join(LOCK)) {
            let length = lock.metadata().map_err(refused)?.len();
            fill(&mut lock, length).map_err(refused)?;
        }
        self.sweep(&[crate::home::STORE, FIRST, SECOND, LOCK]).map_err(refused)?;
        Ok(was_plain)
    }

    /// Destroys once more what is in the key file: a change of a passphrase may have been on its way.
    pub(crate) fn destroy_again(&self) -> Result<(), CliError> {
        let refused = |error: io::Error| disk_fault("destroy the keys in", self.path(), &error);
        self.keyring()?.destroy(&fresh_seed()?).map_err(refused)
    }

    /// Removes files by their names, and what commands that were killed have left: files that were
    /// not finished, and drafts.
    pub(crate) fn sweep(&self, names: &[&str]) -> io::Result<()> {
        for entry in fs::read_dir(self.path())? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let left = (name.starts_with('.') && name.ends_with(PART))
                || name
                    .strip_prefix("draft-")
                    .is_some_and(|rest| rest.strip_suffix(".txt").is_some());
            if left || names.contains(&name) {
                drop(fs::remove_file(entry.path()));
            }
        }
        sync_folder(self.path())
    }

    /// Where a draft can stand that must not come onto the disk; none: anywhere.
    pub(crate) fn draft_folder(&self) -> Result<PathBuf, CliError> {
        if !self.is_locked().is_ok_and(|locked| locked) {
            return Ok(self.path().to_owned());
        }
        let told = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let places = told.into_iter().chain([PathBuf::from("/dev/shm")]);
        places.into_iter().find(|path| path.is_dir()).ok_or_else(|| {
            CliError::new(Kind::Input, "there is no folder in memory for a draft")
                .hint("a locked home writes none on the disk: give the text as an argument")
        })
    }
}

impl Access {
    /// The key, where there is one.
    pub(crate) const fn unsealed(&self) -> Option<&Unsealed> {
        match self {
            Self::Plain => None,
            Self::Locked(unsealed) => Some(unsealed),
        }
    }

    /// A number for the profile, where there can be several.
    pub(crate) fn profile(&self) -> Option<u8> {
        self.unsealed().map(|unsealed| u8::from(unsealed.slot == Slot::Second))
    }

    /// For another process of the same person, over a pipe or a socket that nobody else can open.
    pub(crate) fn to_bytes(&self) -> zeroize::Zeroizing<Vec<u8>> {
        let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(33));
        if let Self::Locked(unsealed) = self {
            bytes.push(u8::from(unsealed.slot == Slot::Second));
            bytes.extend_from_slice(unsealed.key.expose());
        }
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) gave.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (slot, key) = bytes.split_first()?;
        let slot = if *slot == 0 { Slot::First } else { Slot::Second };
        Some(Self::Locked(Unsealed { slot, key: Seed::new(key.try_into().ok()?) }))
    }
}

/// What lies under a locked store.
pub(crate) fn locked(disk: Disk, unsealed: &Unsealed) -> Result<LockedDisk, StoreError> {
    match unsealed.slot {
        Slot::First => Ok(LockedDisk::new(disk, &unsealed.key)),
        Slot::Second => LockedDisk::fixed(disk, &unsealed.key)
            .map_err(|error| StoreError::from(redb::Error::Io(error))),
    }
}

/// Keeps the memory of this process, which holds keys, out of files that a crash would leave.
pub(crate) fn keep_out_of_dumps() {
    _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Gives files the same times, so that none says when another one was used.
pub(crate) fn even(paths: &[PathBuf]) {
    let now = SystemTime::now();
    let times = FileTimes::new().set_accessed(now).set_modified(now);
    for path in paths {
        // A disk that takes no changes keeps its times too.
        drop(File::open(path).and_then(|file| file.set_times(times)));
    }
}

/// A file or something under it, as what can be read from at any place.
pub(crate) trait Source {
    /// Fills `out` with what stands at a place.
    fn read_from(&self, at: u64, out: &mut [u8]) -> io::Result<()>;
}

impl Source for File {
    fn read_from(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(out, at)
    }
}

impl Source for &[u8] {
    fn read_from(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(at).map_err(io::Error::other)?;
        self.get(from..).ok_or(ErrorKind::UnexpectedEof)?.read_exact(out)
    }
}

impl Source for LockedDisk {
    fn read_from(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        thistle_engine::StorageBackend::read(self, at, out)
    }
}

/// Copies all bytes of something to a disk, durably.
fn copy_all(
    from: &impl Source,
    length: u64,
    to: &impl thistle_engine::StorageBackend,
) -> io::Result<()> {
    to.set_len(length)?;
    let mut bytes = zeroize::Zeroizing::new(vec![0; AT_ONCE]);
    let mut at = 0;
    while at < length {
        let count = usize::try_from(length - at).unwrap_or(AT_ONCE).min(AT_ONCE);
        from.read_from(at, &mut bytes[..count])?;
        to.write(at, &bytes[..count])?;
        at += count as u64;
    }
    to.sync_data()
}

/// Overwrites a file from its beginning with what nobody can tell from random bytes, durably.
fn fill(file: &mut File, length: u64) -> io::Result<()> {
    let seed = secret()?;
    let mut bytes = vec![0; AT_ONCE];
    let mut sector = 0;
    let mut left = length;
    while left > 0 {
        noise(&seed, sector, &mut bytes);
        let count = usize::try_from(left).unwrap_or(AT_ONCE).min(AT_ONCE);
        file.write_all(&bytes[..count])?;
        sector += (AT_ONCE / thistle_engine::key::SECTOR_BYTES) as u64;
        left -= count as u64;
    }
    file.sync_all()
}

fn secret() -> io::Result<Seed> {
    fresh_seed().map_err(io::Error::other)
}

/// An empty file for its owner only, in the place of one that may be there.
fn fresh(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn backend(file: File) -> io::Result<FileBackend> {
    FileBackend::new(file).map_err(io::Error::other)
}

fn is_writable(file: &File) -> bool {
    rustix::fs::fcntl_getfl(file).is_ok_and(|flags| flags.contains(rustix::fs::OFlags::RDWR))
}

fn has_keys(file: &File) -> bool {
    file.metadata().is_ok_and(|found| found.len() == Keyring::BYTES)
}

fn is_there(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
