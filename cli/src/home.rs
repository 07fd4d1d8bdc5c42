//! The home: the folder with the store, its keys and the control socket.
//!
//! A home is made whole or not at all: the store is filled under a passing name and gets its own
//! name once the person has the recovery phrase. Whatever keeps a home from being opened becomes
//! an error that says what to do. This file refuses to repair or to replace a store.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use etcetera::BaseStrategy;
use thistle_engine::account::AccountKey;
use thistle_engine::content::Carry;
use thistle_engine::key::Seed;
use thistle_engine::policy::CarryClass;
use thistle_engine::time::Now;
use thistle_engine::{Node, Reader, Setup, Slot, StorageBackend, StoreError, Unsealed};
use zeroize::Zeroizing;

use crate::disk::{Disk, Passing};
use crate::log;
use crate::outcome::{CliError, Kind};
use crate::passphrase::Passphrase;
use crate::vault::{Access, Form, Source, locked};

/// The file with everything that is held.
pub(crate) const STORE: &str = "store.redb";
/// The file for the key that locks what is to be forgotten.
pub(crate) const LOCK: &str = "lock.key";
/// The socket at which the store's holder serves other commands.
const SOCKET: &str = "control.sock";
/// Room on the disk below which only what the person asked for is written.
const SPARE_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of a backup that are copied at once.
const COPIED_BYTES: usize = 1024 * 1024;
/// Memory that the store may use to keep pages. A process that stays keeps all of it; more makes
/// nothing faster that was measured, since the system keeps pages too.
const CACHE_BYTES: usize = 24 * 1024 * 1024;
/// What the feeds of others may take in a second profile, whose store never grows.
const SECOND_QUOTAS: [(CarryClass, u64); 4] = [
    (CarryClass::Contact, 3 << 20),
    (CarryClass::Group, 2 << 20),
    (CarryClass::Followed, 2 << 20),
    (CarryClass::Stranger, 1 << 20),
];

/// A folder that is, or is to be, a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    path: PathBuf,
}

/// How a home begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Profile<'a> {
    /// How its person wants to be called.
    pub(crate) name: &'a str,
    /// Who may carry its feed.
    pub(crate) carry: Carry,
    /// Whether it meets contacts only.
    pub(crate) secluded: bool,
}

/// A home that is being made: nothing of it counts until [`settle`](Self::settle).
#[derive(Debug)]
pub(crate) struct Unsettled {
    /// Its node, writing under the passing name.
    pub(crate) node: Node,
    home: Home,
    access: Access,
    passing: Passing,
    // Goes last: with it the folder does.
    form: Form,
}

/// The files of a home that is being made.
struct Begun {
    access: Access,
    form: Form,
    passing: Passing,
    file: File,
}

/// What a command does with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// It reads, and is done at once: while nothing waits to be tidied, opening to read is enough.
    Glance,
    /// It reads, perhaps for long, and serves others meanwhile, unless the disk takes no changes.
    Read,
    /// It writes.
    Write,
}

/// A backup as it is copied.
pub(crate) struct Backup {
    /// What is in it.
    pub(crate) source: Box<dyn Source>,
    /// How many bytes that are.
    pub(crate) length: u64,
}

/// What came of opening the store.
#[derive(Debug)]
pub(crate) enum Opened {
    /// It is ours.
    Node(Box<Node>),
    /// It can be read, and nobody can write it meanwhile.
    Reader(Box<Reader>),
    /// Another process holds it.
    Taken,
}

impl Home {
    /// Finds out where the home is: `--home`, else `THISTLE_HOME`, else the system's data folder.
    pub(crate) fn locate(given: Option<&Path>, folder: &Path) -> Result<Self, CliError> {
        let told = || env::var_os("THISTLE_HOME").filter(|path| !path.is_empty());
        let path = match given.map(Path::to_owned).or_else(|| told().map(PathBuf::from)) {
            Some(path) => folder.join(path),
            None => etcetera::choose_base_strategy()
                .map_err(|error| {
                    CliError::new(Kind::Usage, "no place for the home is known")
                        .because(&error)
                        .hint("say where it is with `--home DIR` or `THISTLE_HOME`")
                })?
                .data_dir()
                .join("thistle"),
        };
        Ok(Self { path })
    }

    /// The home in a folder.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where its control socket is.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path.join(SOCKET)
    }

    /// Where the store of a home is.
    pub(crate) fn store_in(home: &Path) -> PathBuf {
        home.join(STORE)
    }

    /// Refuses if there is a home already.
    pub(crate) fn expect_none(&self) -> Result<(), CliError> {
        match self.is_there() {
            Err(error) => Err(self.unreachable(&error)),
            Ok(false) => Ok(()),
            Ok(true) => Err(self.exists()),
        }
    }

    /// Refuses if there is no home. One whose keys were destroyed is as good as one that is locked.
    pub(crate) fn expect_some(&self) -> Result<(), CliError> {
        match self.is_there().and_then(|there| Ok(there || self.is_locked()?)) {
            Err(error) => Err(self.unreachable(&error)),
            Ok(false) => Err(self.missing()),
            Ok(true) => Ok(()),
        }
    }

    fn exists(&self) -> CliError {
        CliError::new(Kind::Input, format!("`{}` is a home already", self.path.display()))
            .hint("say another folder with `--home DIR` or `THISTLE_HOME`, or go on with this one")
    }

    /// Begins to make the home.
    pub(crate) fn create(
        &self,
        account: &AccountKey,
        profile: Profile<'_>,
        passphrase: Option<&Passphrase>,
        now: Now,
    ) -> Result<Unsettled, CliError> {
        let Begun { access, form, passing, file } = self.begin(passphrase)?;
        let fault = |error| self.store_fault(&error);
        let disk = Disk::new(file).map_err(fault)?;
        let Profile { name, carry, secluded } = profile;
        let setup = Setup { carry, name: None, cache_bytes: CACHE_BYTES };
        let seed = fresh_seed()?;
        let created = match &access {
            Access::Plain => Node::create(disk, account, setup, seed, now),
            Access::Locked(unsealed) => locked(disk, unsealed)
                .and_then(|disk| Node::create(disk, account, setup, seed, now)),
        };
        let mut node = created.map_err(fault)?;
        node.keep_name(now, name).map_err(fault)?;
        node.seclude(now, secluded).map_err(fault)?;
        Ok(Unsettled { node, home: self.clone(), access, form, passing })
    }

    /// Makes a second profile in the store that every home has for it, whatever was there.
    pub(crate) fn create_second(
        &self,
        account: &AccountKey,
        name: &str,
        key: &Seed,
        now: Now,
    ) -> Result<Node, CliError> {
        let fault = |error| self.store_fault(&error);
        let setup = Setup { carry: Carry::Open, name: None, cache_bytes: CACHE_BYTES };
        let disk = self.second_disk(key)?;
        let mut node = Node::create(disk, account, setup, fresh_seed()?, now).map_err(fault)?;
        node.keep_name(now, name).map_err(fault)?;
        for (class, bytes) in SECOND_QUOTAS {
            node.set_quota(now, class, bytes).map_err(fault)?;
        }
        Ok(node)
    }

    /// Begins to make the home out of a backup. `told` hears how many bytes are copied.
    pub(crate) fn restore(
        &self,
        backup: &Backup,
        shown: &Path,
        passphrase: Option<&Passphrase>,
        now: Now,
        told: &mut dyn FnMut(u64),
    ) -> Result<Unsettled, CliError> {
        let Begun { access, form, passing, file } = self.begin(passphrase)?;
        let disk = Disk::new(file).map_err(|error| self.store_fault(&error))?;
        let seed = fresh_seed()?;
        let restored = match &access {
            Access::Plain => {
                self.fetch(backup, shown, &disk, told)?;
                Node::restore(disk, seed, CACHE_BYTES, now)
            }
            Access::Locked(unsealed) => {
                let disk = locked(disk, unsealed).map_err(|error| self.store_fault(&error))?;
                self.fetch(backup, shown, &disk, told)?;
                Node::restore(disk, seed, CACHE_BYTES, now)
            }
        };
        let node = restored.map_err(|error| self.not_restored(&error, shown))?;
        Ok(Unsettled { node, home: self.clone(), access, form, passing })
    }

    /// Copies a backup to the disk of a home that is being made.
    fn fetch(
        &self,
        backup: &Backup,
        shown: &Path,
        disk: &impl StorageBackend,
        told: &mut dyn FnMut(u64),
    ) -> Result<(), CliError> {
        let refused = |error: io::Error| disk_fault("make a home in", &self.path, &error);
        let (mut bytes, mut done) = (Zeroizing::new(vec![0; COPIED_BYTES]), 0);
        disk.set_len(backup.length).map_err(refused)?;
        while done < backup.length {
            let count = usize::try_from(backup.length - done)
                .map_or(COPIED_BYTES, |left| left.min(COPIED_BYTES));
            backup.source.read_from(done, &mut bytes[..count]).map_err(|error| {
                CliError::new(Kind::Input, format!("cannot read the backup `{}`", shown.display()))
                    .because(&error)
                    .hint("is the disk still there?")
            })?;
            disk.write(done, &bytes[..count]).map_err(refused)?;
            done += count as u64;
            told(done);
        }
        Ok(())
    }

    /// Makes the folder, what every home has in it, and an empty file for the store under a passing
    /// name.
    fn begin(&self, passphrase: Option<&Passphrase>) -> Result<Begun, CliError> {
        self.expect_none()?;
        let refused = |error: io::Error| disk_fault("make a home in", &self.path, &error);
        let form = self.form()?;
        let access = match passphrase {
            None => Access::Plain,
            Some(passphrase) => {
                crate::vault::keep_out_of_dumps();
                let unsealed = Unsealed { slot: Slot::First, key: fresh_seed()? };
                let keyring = self.keyring()?;
                let stretched = keyring.stretch(passphrase.bytes()).map_err(refused)?;
                keyring.set(&unsealed, &stretched, fresh_seed()?.expose()).map_err(refused)?;
                Access::Locked(unsealed)
            }
        };
        let store = self.store_for(&access);
        let name = store.file_name().unwrap_or_default().to_string_lossy();
        let (passing, file) = Passing::create(&self.path, &name).map_err(refused)?;
        Ok(Begun { access, form, passing, file })
    }

    fn not_restored(&self, error: &StoreError, backup: &Path) -> CliError {
        if error.io().is_some() {
            return self.store_fault(error);
        }
        let shown = backup.display();
        let fault =
            CliError::new(Kind::Input, format!("`{shown}` is no sound backup")).because(error);
        match error {
            StoreError::Newer { .. } => fault.hint("use the newer `thistle` that wrote it"),
            StoreError::NoBackup => fault
                .hint("`thistle backup FILE` writes one; a home that is moved stays as it is, in a folder"),
            StoreError::Foreign => fault
                .hint("it may have been copied in part: compare its size with the original")
                .hint(
                    "the backup of a locked home takes its passphrase: say in \
                     `THISTLE_PASSPHRASE_FILE` which file holds it",
                ),
            _ => fault.hint("it may have been copied in part: compare its size with the original"),
        }
    }

    /// Opens the store.
    pub(crate) fn open(&self, access: &Access, now: Now, purpose: Use) -> Result<Opened, CliError> {
        if purpose == Use::Glance
            && let Some(opened) = self.look(access, now, true)?
        {
            return Ok(opened);
        }
        let file = match OpenOptions::new().read(true).write(true).open(self.store_for(access)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(self.missing()),
            Err(error) if purpose != Use::Write && is_unchangeable(&error) => {
                return self.look(access, now, false)?.ok_or_else(|| self.unreachable(&error));
            }
            Err(error) => return Err(self.unreachable(&error)),
            Ok(file) => file,
        };
        let (seed, begun) = (fresh_seed()?, Instant::now());
        let bytes = file.metadata().map_or(0, |found| found.len());
        let opened = self.disk(file, access).and_then(|disk| match access {
            Access::Plain => Node::open(disk, seed, CACHE_BYTES, now),
            Access::Locked(unsealed) => Node::open(locked(disk, unsealed)?, seed, CACHE_BYTES, now),
        });
        match opened {
            Ok(mut node) => {
                self.lock_node(&mut node, access, now)?;
                log::opened(bytes, begun);
                Ok(Opened::Node(Box::new(node)))
            }
            Err(StoreError::Taken) => Ok(Opened::Taken),
            Err(error) => Err(self.store_fault(&error)),
        }
    }

    /// Gives the node the place for the key that locks what is to be forgotten.
    pub(crate) fn lock_node(
        &self,
        node: &mut Node,
        access: &Access,
        now: Now,
    ) -> Result<(), CliError> {
        let locked = match access {
            Access::Plain => {
                Disk::new(self.lock_file()?).and_then(|file| node.lock_with(now, file))
            }
            Access::Locked(unsealed) => {
                // What a change that was cut off has left in the clear goes first.
                self.remove_plain().map_err(|error| self.unreachable(&error))?;
                let place = self.forgetting(unsealed).map_err(|error| self.unreachable(&error))?;
                node.lock_with(now, place)
            }
        };
        locked.map_err(|error| self.store_fault(&error))
    }

    /// Opens the store to read it as it is, if it can be. `tidy`: and if nothing waits to be done.
    fn look(&self, access: &Access, now: Now, tidy: bool) -> Result<Option<Opened>, CliError> {
        // What is wrong with the file is told where it is opened to be written.
        let Ok(file) = File::open(self.store_for(access)) else { return Ok(None) };
        let begun = Instant::now();
        let bytes = file.metadata().map_or(0, |found| found.len());
        let opened = self.disk(file, access).and_then(|disk| {
            let reader = match access {
                Access::Plain => Reader::open(disk, CACHE_BYTES, now)?,
                Access::Locked(unsealed) => {
                    Reader::open(locked(disk, unsealed)?, CACHE_BYTES, now)?
                }
            };
            let Some(mut reader) = reader else { return Ok(None) };
            match access {
                Access::Plain => {
                    if let Ok(lock) = File::open(self.path.join(LOCK)) {
                        reader.unlock_with(Disk::new(lock)?)?;
                    }
                }
                Access::Locked(unsealed) => {
                    if let Ok(place) = self.forgetting(unsealed) {
                        reader.unlock_with(place)?;
                    }
                }
            }
            Ok((!tidy || reader.is_tidy()?).then_some(reader))
        });
        match opened {
            Ok(reader) => Ok(reader.map(|reader| {
                log::opened(bytes, begun);
                Opened::Reader(Box::new(reader))
            })),
            Err(StoreError::Taken) => Ok(Some(Opened::Taken)),
            Err(error) => Err(self.store_fault(&error)),
        }
    }

    /// Opens the file for the key that locks what is to be forgotten, and makes it if there is none.
    fn lock_file(&self) -> Result<File, CliError> {
        let path = self.path.join(LOCK);
        let made = !path.exists();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).map_err(|error| self.unreachable(&error))?;
        if made {
            sync_folder(&self.path).map_err(|error| self.unreachable(&error))?;
        }
        Ok(file)
    }

    fn missing(&self) -> CliError {
        CliError::new(Kind::Store, format!("there is no home in `{}`", self.path.display()))
            .hint("make one: `thistle init --name NAME`")
            .hint("or say where it is with `--home DIR` or `THISTLE_HOME`")
    }

    fn unreachable(&self, error: &io::Error) -> CliError {
        disk_fault("open the home in", &self.path, error)
    }

    /// Says what is wrong with the store, and what to do.
    pub(crate) fn store_fault(&self, error: &StoreError) -> CliError {
        store_fault(error, &self.path)
    }

    /// A command that holds the home does not answer.
    pub(crate) fn busy(&self) -> CliError {
        CliError::new(
            Kind::Busy,
            format!("another command holds `{}` and does not answer", self.path.display()),
        )
        .hint("wait until it is done, or end it, and try again")
    }
}

/// Whether a file cannot be opened to be written, and perhaps to be read.
fn is_unchangeable(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied)
}

/// Says what is wrong with the store in `home`, and what to do.
pub(crate) fn store_fault(error: &StoreError, home: &Path) -> CliError {
    log::store_fault(error);
    if let Some(cause) = error.io() {
        return disk_fault("use the store in", home, cause);
    }
    let shown = home.display();
    let file = home.join(STORE);
    let file = file.display();
    let fault = CliError::new(Kind::Store, format!("cannot use the store in `{shown}`"));
    match error {
        StoreError::Empty => fault.because(error).hint(format!(
            "if this is no home yet, remove `{file}` and run `thistle init --name NAME`"
        )),
        StoreError::Foreign => {
            fault.because(error).hint(format!("look what `{file}` is; it was not changed"))
        }
        StoreError::Newer { .. } => {
            fault.because(error).hint("use the newer `thistle` that wrote it; it was not changed")
        }
        StoreError::NoBackup => fault.because(error),
        StoreError::Taken => fault.because(error).hint("wait until it is done, and try again"),
        StoreError::Damaged { .. } => fault
            .because(error)
            .hint(format!("keep a copy of `{file}` before anything else"))
            .hint("`thistle doctor --repair` mends what is wrong with indexes")
            .hint(
                "your account lives on: `thistle init --restore` in another home; what others \
                 hold of your feed comes back as they bring it",
            ),
        StoreError::Disk(_) => {
            fault.because(error).hint("look after the disk, then run `thistle doctor`")
        }
    }
}

/// Says why the disk refused, and what to do.
pub(crate) fn disk_fault(action: &str, path: &Path, error: &io::Error) -> CliError {
    let fault =
        CliError::new(Kind::Store, format!("cannot {action} `{}`", path.display())).because(error);
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => fault.hint(
            "the disk is full: make room and try again; what was reported as written is safe",
        ),
        ErrorKind::ReadOnlyFilesystem => {
            fault.hint("the disk takes no changes: mount it for writing, or use another home")
        }
        ErrorKind::PermissionDenied => {
            fault.hint("the folder and what is in it must be yours to read and write")
        }
        ErrorKind::NotADirectory => fault.hint("a home is a folder: say another with `--home DIR`"),
        _ => fault,
    }
}

impl Unsettled {
    /// Makes the home count: from here on it exists.
    pub(crate) fn settle(self) -> Result<Node, CliError> {
        let Self { node, home, access, form, passing } = self;
        let refused = |error: io::Error| disk_fault("make a home in", home.path(), &error);
        match passing.settle(&home.store_for(&access), false) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(home.exists()),
            Err(error) => return Err(refused(error)),
        }
        form.keep();
        sync_folder(home.path()).map_err(refused)?;
        Ok(node)
    }
}

/// Makes durable what is in a folder under which name.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Ok(())
        }
        result => result,
    }
}

/// Whether the disk has room for work that can as well be done later.
pub(crate) fn has_room(home: &Path) -> bool {
    rustix::fs::statvfs(home)
        .is_ok_and(|room| room.f_bavail.saturating_mul(room.f_frsize) >= SPARE_BYTES)
}

/// Takes 32 secret bytes from the system.
pub(crate) fn fresh_seed() -> Result<Seed, CliError> {
    random().map(|bytes| Seed::new(*bytes))
}

/// Takes random bytes from the system; without them nothing is done.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, CliError> {
    drawn_by(getrandom::fill)
}

fn drawn_by<const N: usize>(
    fill: impl FnOnce(&mut [u8]) -> Result<(), getrandom::Error>,
) -> Result<Zeroizing<[u8; N]>, CliError> {
    let mut bytes = Zeroizing::new([0; N]);
    fill(bytes.as_mut()).map_err(|error| {
        CliError::new(Kind::Store, "the system gives no random numbers").because(&error)
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_random_numbers_nothing_is_made_and_the_user_hears_why() {
        let refused = drawn_by::<32>(|bytes| {
            bytes.fill(7);
            Err(getrandom::Error::UNSUPPORTED)
        });
        let error = refused.expect_err("no numbers, no secret");
        assert_eq!(
            (error.code(), error.to_string()),
            (3, "the system gives no random numbers".to_owned())
        );
        let drawn =
            [random::<32>(), random::<32>()].map(|drawn| drawn.expect("the system gives some"));
        assert_ne!(drawn[0], drawn[1]);
    }
}
