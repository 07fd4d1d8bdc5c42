//! A folder, most often on a stick, that holds bundle files.
//!
//! Sticks are pulled out, fill up and come back with other people's files on them. So a file is
//! written under a hidden temporary name, brought to the disk, and only then given its name: who
//! reads the folder meets whole files. What has another name, another type, or is a link is left
//! alone and not listed. What is inside a bundle is not this file's business.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::{error, fmt, process};

/// How the name of a bundle ends.
pub const BUNDLE_SUFFIX: &str = ".thistle";

/// Characters of the name of a sealed bundle, which has no suffix and tells nothing.
pub const SEALED_NAME_BYTES: usize = 20;

/// Most files that a listing names: the first ones in the order of names.
pub const LISTED_FILES: usize = 65_536;

/// Longest name that [`Folder::write`] takes. FAT allows 255 and the temporary name is longer.
const NAME_BYTES: usize = 200;

/// Temporary names tried before giving up: each earlier one is what a pulled-out stick left.
const TEMPORARY_NAMES: u32 = 1_000;

/// An existing folder that holds bundle files among other things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Takes an existing folder; it is neither made nor changed.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FolderError> {
        let path = path.into();
        let found = fs::metadata(&path).map_err(|error| fault(Action::Open, &path, error))?;
        if found.is_dir() { Ok(Self { path }) } else { Err(FolderError::NotAFolder { path }) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names the bundle files: regular files, not hidden, with [`BUNDLE_SUFFIX`] or named as
    /// [`sealed_name`] does, sorted by name.
    ///
    /// Links are not followed, so that a stranger's stick cannot point into this machine.
    pub fn list(&self) -> Result<Vec<PathBuf>, FolderError> {
        let failed = |error| fault(Action::List, &self.path, error);
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if !is_bundle_name(&name) {
                continue;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_file() => names.insert(name),
                Ok(_) => continue,
                // Somebody removed it since the folder was read.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            if names.len() > LISTED_FILES {
                names.pop_last();
            }
        }
        Ok(names.into_iter().map(|name| self.path.join(name)).collect())
    }

    /// Writes one bundle file whole or not at all, and answers where it is.
    ///
    /// `name` is a plain file name: letters, digits, `-`, `_` and `.`, ending in
    /// [`BUNDLE_SUFFIX`], or a [`sealed_name`], so that every file system takes it and
    /// [`Folder::list`] finds it. A file of that name is replaced.
    pub fn write(
        &self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<PathBuf, FolderError> {
        if !is_writable_name(name) {
            return Err(FolderError::BadName { name: name.to_owned() });
        }
        let path = self.path.join(name);
        write_file(&path, fill)?;
        Ok(path)
    }

    /// Takes a file away that a listing named; that somebody else did so meanwhile is no fault.
    pub fn remove(&self, path: &Path) -> Result<(), FolderError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(fault(Action::Remove, path, error))
            }
            _ => sync_folder(&self.path).map_err(|error| fault(Action::Remove, path, error)),
        }
    }

    /// Bytes that can still be written here by whoever asks.
    pub fn free_bytes(&self) -> Result<u64, FolderError> {
        let room = rustix::fs::statvfs(&self.path)
            .map_err(|errno| fault(Action::Measure, &self.path, errno.into()))?;
        Ok(room.f_bavail.saturating_mul(room.f_frsize))
    }
}

/// The name that a sealed bundle has in a folder, from random bytes: `a` to `z` and `2` to `7`,
/// five bits of each byte, and no suffix that would tell what the file is.
pub fn sealed_name(random: &[u8; SEALED_NAME_BYTES]) -> String {
    let character = |byte: &u8| match byte % 32 {
        letter @ 0..26 => char::from(b'a' + letter),
        digit => char::from(b'2' + digit - 26),
    };
    random.iter().map(character).collect()
}

/// Writes one file whole or not at all: temporary name beside it, `fsync`, rename, `fsync` of the
/// folder. A regular file of that name is replaced; anything else of that name is refused.
pub fn write_file(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FolderError> {
    let failed = |error| fault(Action::Write, path, error);
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            return Err(FolderError::NotAFile { path: path.to_owned() });
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let Some(name) = path.file_name() else {
        return Err(FolderError::NotAFile { path: path.to_owned() });
    };
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let (temporary, file) = Temporary::create(folder, name).map_err(failed)?;
    let mut sink = BufWriter::new(file);
    fill(&mut sink).map_err(failed)?;
    let file = sink.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    drop(file);
    temporary.rename_to(path).map_err(failed)?;
    sync_folder(folder).map_err(failed)
}

/// Why a folder or a file in it could not be used.
#[derive(Debug)]
pub enum FolderError {
    /// The path names something, but not a folder.
    NotAFolder {
        /// What was to be a folder.
        path: PathBuf,
    },
    /// Something other than a regular file has that name.
    NotAFile {
        /// What was to be a file.
        path: PathBuf,
    },
    /// Not a name that every file system takes and a listing finds.
    BadName {
        /// The name.
        name: String,
    },
    /// No room is left, on the disk or in the user's share of it.
    Full {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file system takes no changes: a write-protected stick, or one mounted that way.
    ReadOnly {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else that the system refused.
    Io {
        /// What was being done.
        action: Action,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFolder { path } => write!(f, "`{}` is not a folder", path.display()),
            Self::NotAFile { path } => write!(f, "`{}` is not a regular file", path.display()),
            Self::BadName { name } => write!(f, "`{name}` is not a name for a bundle file"),
            Self::Full { path, .. } => write!(f, "no room left for `{}`", path.display()),
            Self::ReadOnly { path, .. } => {
                write!(f, "`{}` is on a disk that takes no changes", path.display())
            }
            Self::Io { action, path, .. } => write!(f, "cannot {action} `{}`", path.display()),
        }
    }
}

impl error::Error for FolderError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::NotAFolder { .. } | Self::NotAFile { .. } | Self::BadName { .. } => None,
            Self::Full { source, .. } | Self::ReadOnly { source, .. } | Self::Io { source, .. } => {
                Some(source)
            }
        }
    }
}

/// What was being done when the system refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Opening a folder.
    Open,
    /// Listing its files.
    List,
    /// Writing a file into it.
    Write,
    /// Taking a file away.
    Remove,
    /// Asking how much room is left.
    Measure,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::List => "list",
            Self::Write => "write",
            Self::Remove => "remove",
            Self::Measure => "measure the room in",
        })
    }
}

/// A file under its temporary name, removed again unless it is renamed.
struct Temporary {
    path: Option<PathBuf>,
}

impl Temporary {
    fn create(folder: &Path, name: &OsStr) -> io::Result<(Self, File)> {
        for attempt in 0..TEMPORARY_NAMES {
            let mut hidden = OsStr::new(".").to_owned();
            hidden.push(name);
            hidden.push(format!(".{}-{attempt}.part", process::id()));
            let path = folder.join(hidden);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok((Self { path: Some(path) }, file)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    fn rename_to(mut self, path: &Path) -> io::Result<()> {
        if let Some(from) = &self.path {
            fs::rename(from, path)?;
        }
        self.path = None;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // The first error is the one to report; a stick that is gone keeps its hidden file.
            drop(fs::remove_file(path));
        }
    }
}

fn fault(action: Action, path: &Path, source: io::Error) -> FolderError {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FolderError::Full { path, source },
        ErrorKind::ReadOnlyFilesystem => FolderError::ReadOnly { path, source },
        ErrorKind::NotADirectory if !matches!(action, Action::Write | Action::Remove) => {
            FolderError::NotAFolder { path }
        }
        _ => FolderError::Io { action, path, source },
    }
}

/// Makes the new name durable. Some file systems cannot sync a folder and say so: there is no
/// more to be done there, and the file itself is on the disk.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Ok(())
        }
        result => result,
    }
}

/// Lenient, because people rename files and FAT may shout: any visible name with the suffix, and what
/// a sealed bundle is called.
fn is_bundle_name(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    if is_sealed_name(bytes) {
        return true;
    }
    let (suffix, least) = (BUNDLE_SUFFIX.as_bytes(), BUNDLE_SUFFIX.len() + 1);
    bytes.len() >= least
        && !bytes.starts_with(b".")
        && bytes
            .get(bytes.len() - suffix.len()..)
            .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

fn is_sealed_name(name: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphabetic() || (b'2'..=b'7').contains(byte);
    name.len() == SEALED_NAME_BYTES && name.iter().all(fits)
}

fn is_writable_name(name: &str) -> bool {
    name.len() <= NAME_BYTES
        && is_bundle_name(OsStr::new(name))
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stick() -> (tempfile::TempDir, Folder) {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::open(home.path()).unwrap();
        (home, folder)
    }

    fn names_of(paths: &[PathBuf]) -> Vec<&str> {
        paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect()
    }

    fn everything_in(folder: &Folder) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_written_is_listed_and_read_back() {
        let (_home, folder) = stick();
        for name in ["b.thistle", "a.thistle"] {
            let path = folder.write(name, |sink| sink.write_all(name.as_bytes())).unwrap();
            assert_eq!(fs::read(path).unwrap(), name.as_bytes());
        }
        assert_eq!(names_of(&folder.list().unwrap()), ["a.thistle", "b.thistle"]);
        assert_eq!(everything_in(&folder), ["a.thistle", "b.thistle"]);
    }

    #[test]
    fn sealed_bundles_have_names_that_tell_nothing() {
        let (_home, folder) = stick();
        let counting: [u8; SEALED_NAME_BYTES] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let names = [counting, counting.map(|byte| byte + 12), counting.map(|byte| 255 - byte)];
        let names = names.map(|random| sealed_name(&random));
        assert_eq!(names[0], "abcdefghijklmnopqrst");
        assert_eq!(names[1], "mnopqrstuvwxyz234567");
        assert_eq!(names[2], "765432zyxwvutsrqponm");
        for name in &names {
            folder.write(name, |sink| sink.write_all(b"sealed")).unwrap();
        }
        fs::write(folder.path().join("ABCDEFGHIJKLMNOPQRS2"), b"shouted").unwrap();
        for stray in [
            "abcdefghijklmnopqrs",
            "abcdefghijklmnopqrstu",
            "abcdefghijklmnopqrs1",
            "abcdefghijklmno.jpeg",
        ] {
            fs::write(folder.path().join(stray), b"stray").unwrap();
        }
        let listed = folder.list().unwrap();
        assert_eq!(
            names_of(&listed),
            [
                "765432zyxwvutsrqponm",
                "ABCDEFGHIJKLMNOPQRS2",
                "abcdefghijklmnopqrst",
                "mnopqrstuvwxyz234567"
            ]
        );
        for _ in 0..2 {
            folder.remove(&listed[0]).unwrap();
        }
        assert_eq!(names_of(&folder.list().unwrap()), names_of(&listed[1..]));
    }

    #[test]
    fn large_files_are_written_whole() {
        let (_home, folder) = stick();
        let block = [7; 1_000];
        let path = folder
            .write("large.thistle", |sink| (0..1_000).try_for_each(|_| sink.write_all(&block)))
            .unwrap();
        assert_eq!(fs::metadata(path).unwrap().len(), 1_000_000);
    }

    #[test]
    fn a_failing_writer_leaves_nothing_behind() {
        let (_home, folder) = stick();
        let error = folder
            .write("a.thistle", |sink| {
                sink.write_all(b"half")?;
                Err(io::Error::other("the source broke"))
            })
            .unwrap_err();
        assert!(matches!(error, FolderError::Io { action: Action::Write, .. }));
        assert_eq!(everything_in(&folder), [""; 0]);
    }

    #[test]
    fn a_failing_writer_leaves_the_older_file_alone() {
        let (_home, folder) = stick();
        let path = folder.write("a.thistle", |sink| sink.write_all(b"old")).unwrap();
        folder.write("a.thistle", |_| Err(ErrorKind::BrokenPipe.into())).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        folder.write("a.thistle", |sink| sink.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(everything_in(&folder), ["a.thistle"]);
    }

    #[test]
    fn a_panicking_writer_leaves_nothing_behind() {
        let (_home, folder) = stick();
        let caught = std::panic::catch_unwind(|| folder.write("a.thistle", |_| panic!("bug")));
        assert!(caught.is_err());
        assert_eq!(everything_in(&folder), [""; 0]);
    }

    #[test]
    fn what_an_earlier_crash_left_is_in_nobodys_way() {
        let (_home, folder) = stick();
        let left = format!(".a.bundle.{}-0.part", process::id());
        fs::write(folder.path().join(&left), b"half").unwrap();
        folder.write("a.thistle", |sink| sink.write_all(b"whole")).unwrap();
        assert_eq!(names_of(&folder.list().unwrap()), ["a.thistle"]);
        assert_eq!(everything_in(&folder), [left.as_str(), "a.thistle"]);
    }

    #[test]
    fn stray_files_folders_and_links_are_not_listed() {
        let (_home, folder) = stick();
        for name in [".hidden.thistle", "photo.jpg", "bundle", ".thistle", "a.bundle.part"] {
            fs::write(folder.path().join(name), b"stray").unwrap();
        }
        fs::create_dir(folder.path().join("folder.thistle")).unwrap();
        fs::write(folder.path().join("B C.THISTLE"), b"renamed by hand").unwrap();
        std::os::unix::fs::symlink("B C.THISTLE", folder.path().join("link.thistle")).unwrap();
        assert_eq!(names_of(&folder.list().unwrap()), ["B C.THISTLE"]);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let (_home, folder) = stick();
        let long = format!("{}.thistle", "x".repeat(NAME_BYTES));
        for name in
            ["", ".thistle", "a", "../a.thistle", "a/b.thistle", "a:b.thistle", "ä.thistle", &long]
        {
            let refused = folder.write(name, |_| Ok(())).unwrap_err();
            assert!(matches!(refused, FolderError::BadName { .. }), "{name}: {refused:?}");
        }
        assert_eq!(everything_in(&folder), [""; 0]);
    }

    #[test]
    fn a_folder_or_a_link_is_never_replaced_by_a_file() {
        let (_home, folder) = stick();
        fs::create_dir(folder.path().join("a.thistle")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("b.thistle")).unwrap();
        for name in ["a.thistle", "b.thistle"] {
            let refused = folder.write(name, |_| Ok(())).unwrap_err();
            assert!(matches!(refused, FolderError::NotAFile { .. }), "{name}: {refused:?}");
        }
        assert_eq!(everything_in(&folder), ["a.thistle", "b.thistle"]);
    }

    #[test]
    fn full_and_write_protected_disks_are_told_apart() {
        let (_home, folder) = stick();
        let failing = |errno: rustix::io::Errno| {
            folder.write("a.thistle", |_| Err(errno.into())).unwrap_err()
        };
        assert!(matches!(failing(rustix::io::Errno::NOSPC), FolderError::Full { .. }));
        assert!(matches!(failing(rustix::io::Errno::DQUOT), FolderError::Full { .. }));
        assert!(matches!(failing(rustix::io::Errno::ROFS), FolderError::ReadOnly { .. }));
        assert!(matches!(failing(rustix::io::Errno::IO), FolderError::Io { .. }));
    }

    #[test]
    fn a_missing_folder_and_a_file_in_its_place_are_told_apart() {
        let (home, folder) = stick();
        let gone = Folder::open(home.path().join("gone")).unwrap_err();
        assert!(matches!(gone, FolderError::Io { action: Action::Open, .. }), "{gone:?}");
        let file = folder.write("a.thistle", |_| Ok(())).unwrap();
        let refused = Folder::open(&file).unwrap_err();
        assert_eq!(refused.to_string(), format!("`{}` is not a folder", file.display()));
        drop(home);
        let pulled_out = folder.list().unwrap_err();
        assert!(matches!(pulled_out, FolderError::Io { action: Action::List, .. }));
    }

    #[test]
    fn messages_name_the_file_and_not_the_cause() {
        let gone = Folder::open("gone").unwrap_err();
        assert_eq!(gone.to_string(), "cannot open `gone`");
        assert!(error::Error::source(&gone).is_some());
    }

    #[test]
    fn a_single_file_is_written_beside_others() {
        let (home, folder) = stick();
        let path = home.path().join("any name");
        write_file(&path, |sink| sink.write_all(b"whole")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(everything_in(&folder), ["any name"]);
        let refused = write_file(Path::new("/"), |_| Ok(())).unwrap_err();
        assert!(matches!(refused, FolderError::NotAFile { .. }));
    }

    #[test]
    fn there_is_room_somewhere() {
        let (_home, folder) = stick();
        assert!(folder.free_bytes().unwrap() > 0);
    }
}
