//! Goal: the laws of the fuzz targets hold of every file in the committed corpora, and of these files
//! spoilt by a seeded die: what `cargo fuzz` does, on a stable compiler and in a few seconds.
//!
//! Method: the laws are those of `fuzz/src/laws`, compiled into this test. A bug that a fuzzer finds
//! becomes a file of the corpus, and so a test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::laws::LAWS;
use crate::mutate::{each_seed, hostile};

/// One test a law: how many seeds of the die are tried beside the corpus.
macro_rules! laws {
    ($($name:ident: $seeds:literal),* $(,)?) => {
        const TESTED: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                obeyed(stringify!($name), $seeds);
            }
        )*
    };
}

laws! {
    header: 600_000,
    segment: 5_000,
    content: 600_000,
    fork: 4_000,
    account: 1_000,
    id: 8_000,
    phrase: 3_000,
    frame: 800_000,
    bundle: 1_500,
    order: 25_000,
    ingest: 80,
    session: 300,
    reconcile: 3_000,
}

fn obeyed(name: &str, seeds: u64) {
    let law = LAWS.iter().find(|law| law.0 == name).expect("a law of this name").1;
    let corpus = corpus(name);
    for (file, bytes) in &corpus {
        let failed = std::panic::catch_unwind(|| law(bytes)).is_err();
        assert!(!failed, "the law of {name} does not hold of {}", file.display());
    }
    let corpus: Vec<Vec<u8>> = corpus.into_iter().map(|(_, bytes)| bytes).collect();
    each_seed(seeds, |dice| law(&hostile(dice, &corpus)));
}

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// The committed files of one target.
#[expect(clippy::disallowed_methods, reason = "the corpora are files of this repository")]
fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = fuzz_folder().join("corpus").join(name);
    let listing = folder.read_dir().unwrap_or_else(|error| panic!("{name} has no corpus: {error}"));
    let mut files: Vec<PathBuf> = listing.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 3, "{name} has hardly any corpus");
    files.into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the manifest is a file of this repository")]
fn every_law_is_a_target_and_a_test() {
    let manifest = std::fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
    let targets: BTreeSet<&str> = manifest
        .split("[[bin]]\nname = \"")
        .skip(1)
        .filter_map(|bin| bin.split_once('"').map(|(name, _)| name))
        .collect();
    let mut laws: BTreeSet<&str> = LAWS.iter().map(|law| law.0).collect();
    assert_eq!(laws, TESTED.iter().copied().collect());
    // The reader of import files is the program's, and so is its test.
    laws.insert("import");
    assert_eq!(laws, targets);
}
