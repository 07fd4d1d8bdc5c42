//! The files of this repository, without what Git ignores.
//!
//! Git itself is not asked, so that the checks also run on an unpacked archive of the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// The top folder of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the tests live in a folder of the repository").to_owned()
}

/// Reads a file named from the top folder.
///
/// # Panics
///
/// If it cannot be read: a test that needs it has nothing to say then.
pub fn read(path: &str) -> String {
    let full = root().join(path);
    fs::read_to_string(&full).unwrap_or_else(|error| panic!("cannot read `{path}`: {error}"))
}

/// Names everything in the top folder that Git would not ignore.
pub fn top_level() -> Vec<String> {
    let ignored = Ignored::parse(&read(".gitignore"));
    entries(&root()).into_iter().filter(|(name, _)| !ignored.matches(name)).map(name_of).collect()
}

/// Names every file that Git would not ignore, from the top folder, with `/`, sorted.
pub fn files() -> Vec<String> {
    let ignored = Ignored::parse(&read(".gitignore"));
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for (name, is_folder) in entries(&root().join(&folder)) {
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if path == ".git" || ignored.matches(&path) {
                continue;
            }
            if is_folder {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Every file that is text, with what is in it.
pub fn texts() -> Vec<(String, String)> {
    let read = |path: String| {
        let bytes = fs::read(root().join(&path)).ok()?;
        Some((path, String::from_utf8(bytes).ok()?))
    };
    files().into_iter().filter_map(read).collect()
}

/// Every Rust file, with what is in it.
pub fn rust_files() -> Vec<(String, String)> {
    texts().into_iter().filter(|(path, _)| is_rust(path)).collect()
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

fn name_of((name, _): (String, bool)) -> String {
    name
}

/// A folder's entries and whether each is a folder. Links are neither followed nor folders.
fn entries(folder: &Path) -> Vec<(String, bool)> {
    let listing = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot list `{}`: {error}", folder.display()));
    listing
        .map(|entry| {
            let entry = entry.expect("a folder of the repository can be listed");
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            (entry.file_name().to_string_lossy().into_owned(), is_folder)
        })
        .collect()
}

/// The part of `.gitignore`'s language that ours uses: `/path`, `name`, and one `*` in a name.
#[derive(Debug)]
struct Ignored {
    patterns: Vec<String>,
}

impl Ignored {
    fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim);
        let patterns = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self { patterns: patterns.map(|line| line.trim_end_matches('/').to_owned()).collect() }
    }

    fn matches(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.patterns.iter().any(|pattern| {
            if let Some(from_top) = pattern.strip_prefix('/') {
                return path == from_top;
            }
            match pattern.split_once('*') {
                Some((start, end)) => name.starts_with(start) && name.ends_with(end),
                None => name == pattern,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignores_what_the_patterns_say() {
        let ignored = Ignored::parse("# built\n/target/\n\n__pycache__/\n*.profraw\nout.*\n");
        for path in ["target", "a/__pycache__", "default.profraw", "b/c.profraw", "a/out.7"] {
            assert!(ignored.matches(path), "{path}");
        }
        for path in ["a/target", "targets", "profraw", "built", "a"] {
            assert!(!ignored.matches(path), "{path}");
        }
    }

    #[test]
    fn finds_this_file_and_no_build_products() {
        let files = files();
        assert!(files.iter().any(|path| path == "tests/src/tree.rs"), "{files:?}");
        assert!(!files.iter().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
        assert!(files.is_sorted());
    }
}
