//! Looking for strings in bytes and files: whether what should be hidden stands somewhere.
//!
//! The tests of locked homes search with this too, so that a thief finds here what they would.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes below which chance alone spells a string in the random bytes of a home.
pub(crate) const LEAST: usize = 6;
/// Bytes that are read at once.
const AT_ONCE: usize = 1 << 20;

/// All files under a folder, those of its folders too.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // What a link leads to belongs to somebody else.
        let is = fs::symlink_metadata(&path)?;
        if is.is_dir() {
            found.extend(files(&path)?);
        } else if is.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Which of the strings stand in some bytes, by their places in the list. Empty ones never do.
pub(crate) fn find(bytes: &[u8], strings: &[Vec<u8>]) -> BTreeSet<usize> {
    let (mut begins, mut by_begin) = (vec![false; 1 << 16], BTreeMap::<usize, Vec<usize>>::new());
    let mut found = BTreeSet::new();
    for (number, string) in strings.iter().enumerate() {
        match string.as_slice() {
            [first, second, ..] => {
                let begin = usize::from(*first) << 8 | usize::from(*second);
                begins[begin] = true;
                by_begin.entry(begin).or_default().push(number);
            }
            [one] if bytes.contains(one) => drop(found.insert(number)),
            _ => {}
        }
    }
    // Plain steps, since all of a disk goes through here.
    let mut begin = 0;
    let mut at = 0;
    while at < bytes.len() {
        begin = (begin << 8 | bytes[at] as usize) & 0xffff;
        if begins[begin] && at > 0 {
            let from = &bytes[at - 1..];
            let here = by_begin.get(&begin).into_iter().flatten().copied();
            found.extend(here.filter(|number| from.starts_with(&strings[*number])));
        }
        at += 1;
    }
    found
}

/// Which of the strings stand in a file, by their places in the list.
pub(crate) fn find_in(path: &Path, strings: &[Vec<u8>]) -> io::Result<BTreeSet<usize>> {
    let overlap = strings.iter().map(Vec::len).max().unwrap_or(1).saturating_sub(1);
    let (mut file, mut bytes, mut found) = (File::open(path)?, Vec::new(), BTreeSet::new());
    loop {
        let read = file.by_ref().take(AT_ONCE as u64).read_to_end(&mut bytes)?;
        found.extend(find(&bytes, strings));
        if read == 0 {
            return Ok(found);
        }
        // What stands across two pieces is found with the second.
        bytes.drain(..bytes.len().saturating_sub(overlap));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_found_wherever_they_stand() {
        let strings: Vec<Vec<u8>> =
            ["mill", "at the mill", "x", "", "nowhere"].map(|it| it.as_bytes().to_vec()).into();
        assert_eq!(find(b"come to the mill", &strings), BTreeSet::from([0]));
        assert_eq!(find(b"at the mill x", &strings), BTreeSet::from([0, 1, 2]));
        assert_eq!(find(b"mil", &strings), BTreeSet::new());
        assert_eq!(find(b"", &strings), BTreeSet::new());
    }

    #[test]
    fn strings_across_two_pieces_of_a_file_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for at in [0, AT_ONCE - 7, AT_ONCE - 1, AT_ONCE, 2 * AT_ONCE - 3] {
            let mut bytes = vec![b'.'; 2 * AT_ONCE + 100];
            bytes[at..at + 11].copy_from_slice(b"at the mill");
            fs::write(&path, bytes).unwrap();
            let strings = [b"at the mill".to_vec(), b"at the mile".to_vec()];
            assert_eq!(find_in(&path, &strings).unwrap(), BTreeSet::from([0]), "{at}");
        }
        assert_eq!(files(folder.path()).unwrap(), [path]);
    }
}
