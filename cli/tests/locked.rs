//! Locked homes: `passphrase`, `lock`, `unlock` and `panic`, and what is on the disk meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use expect_test::expect;

use crate::search;
use crate::world::{Call, World, texts};

const FILE: &str = "THISTLE_PASSPHRASE_FILE";
const NEW_FILE: &str = "THISTLE_NEW_PASSPHRASE_FILE";
/// Texts that are looked for on the disk.
const PLANTED: usize = 1_000;
/// Points at which `panic` is killed: in the short form, and in the long one.
const POINTS: (u32, u32) = (5, 200);

fn long() -> bool {
    std::env::var_os("THISTLE_LONG").is_some()
}

/// A world with the passphrases `one`, `two` and `three` in files, and a locked home `ana`.
fn locked() -> World {
    let world = World::new();
    for name in ["one", "two", "three"] {
        world.file(name, format!("the passphrase {name}\n"));
    }
    with(&world, "ana", "one", &["init", "--name", "Ana"]).ok();
    world
}

/// A command in a home, with a passphrase.
pub(crate) fn with(world: &World, home: &str, passphrase: &str, words: &[&str]) -> Call {
    world.at(home, words).env(FILE, world.path(passphrase))
}

fn planted(number: usize) -> String {
    format!("planted-{}-{number}", number * 7_919 % 10_007)
}

/// The file in which the beginning of any planted text stands.
fn leak(folder: &Path) -> Option<PathBuf> {
    let begin = [b"planted-".to_vec()];
    let has = |path: &PathBuf| !search::find_in(path, &begin).unwrap().is_empty();
    search::files(folder).unwrap().into_iter().find(has)
}

/// A file of messages to be imported, one for each planted text.
fn messages() -> String {
    let line = |number| {
        let text = planted(number);
        format!("{{\"author\":\"Ana\",\"time\":1,\"channel\":\"mill\",\"text\":\"{text}\"}}\n")
    };
    (0..PLANTED).map(line).collect()
}

/// Waits until nobody holds a home any more.
fn wait_for_end(home: &Path) {
    let begun = Instant::now();
    while home.join("control.sock").exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "somebody still holds the home");
        std::thread::yield_now();
    }
}

#[test]
fn a_wrong_passphrase_a_destroyed_key_and_a_frozen_home_look_the_same() {
    let world = locked();
    let wrong = || with(&world, "ana", "two", &["query"]).fails(7);
    let first = wrong();
    expect![[r#"
        error: the passphrase opens nothing in `[DIR]/ana`
        hint: type it again; if it was the right one, the keys of this home are destroyed
    "#]]
    .assert_eq(&first);
    expect![[r#"
        error: `[DIR]/ana` is locked
        hint: run `thistle unlock` at a terminal, or say in `THISTLE_PASSPHRASE_FILE` which file holds the passphrase
    "#]]
    .assert_eq(&world.at("ana", &["query"]).fails(7));
    let keys = world.path("ana/keys");
    let sound = fs::read(&keys).unwrap();
    let mut destroyed = sound.clone();
    destroyed[4096..5 * 4096].fill(7);
    fs::write(&keys, &destroyed).unwrap();
    assert_eq!(with(&world, "ana", "one", &["query"]).fails(7), first);
    fs::remove_file(&keys).unwrap();
    assert_eq!(with(&world, "ana", "one", &["query"]).fails(7), first);
    fs::write(&keys, &sound).unwrap();
    with(&world, "ana", "one", &["query"]).ok();
    let out = world.at("ana", &["panic"]).ok();
    assert_eq!(out, "Destroyed: nothing opens this home any more.\n");
    assert_eq!(with(&world, "ana", "one", &["query"]).fails(7), first);
    assert_eq!(wrong(), first);
    let left: Vec<_> = search::files(&world.path("ana")).unwrap();
    assert_eq!(left, std::slice::from_ref(&keys));
    assert_ne!(fs::read(keys).unwrap(), sound);
}

#[test]
fn a_locked_home_works_with_its_passphrase_and_shows_nothing_without() {
    let world = locked();
    with(&world, "ana", "one", &["write", "planted-here"]).ok();
    let rows = with(&world, "ana", "one", &["query", "--json"]).ok();
    assert!(rows.contains("planted-here"));
    assert_eq!(leak(&world.path("ana")), None);
    let names: Vec<_> = search::files(&world.path("ana")).unwrap();
    let mut names: Vec<_> = names.iter().map(|path| path.file_name().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["first.store", "keys", "second.store"]);
    let err = with(&world, "ana", "one", &["init", "--name", "Eve"]).fails(1);
    assert!(err.contains("is a home already"), "{err}");
}

#[test]
fn a_plain_home_gets_a_passphrase_later_and_nothing_plain_stays() {
    let world = World::new();
    let ana = world.home("ana");
    world.file("one", "the passphrase one");
    ana.ok(&["write", "planted-before"]);
    assert!(leak(&ana.path()).is_some(), "a plain home shows it, so that this test can fail");
    let err = ana.call(&["lock"]).fails(1);
    assert!(err.contains("has no passphrase"), "{err}");
    let out = with(&world, "ana", "one", &["passphrase"]).ok();
    assert!(out.starts_with("Encrypted: "), "{out}");
    assert_eq!(leak(&ana.path()), None);
    assert!(!ana.path().join("store.redb").exists() && !ana.path().join("lock.key").exists());
    with(&world, "ana", "one", &["write", "planted-after"]).ok();
    let rows = crate::world::parse(&with(&world, "ana", "one", &["query", "--json"]).ok());
    assert_eq!(texts(&rows), ["planted-before", "planted-after"]);
    assert_eq!(with(&world, "ana", "one", &["doctor"]).run().code, 0);
    assert_eq!(leak(&ana.path()), None);
}

#[test]
fn a_passphrase_is_changed_and_a_change_that_was_cut_off_is_finished() {
    let world = locked();
    let keys = world.path("ana/keys");
    let before = fs::read(&keys).unwrap();
    let change =
        |to: &str| with(&world, "ana", "one", &["passphrase"]).env(NEW_FILE, world.path(to));
    change("two").ok();
    let after = fs::read(&keys).unwrap();
    with(&world, "ana", "one", &["query"]).fails(7);
    with(&world, "ana", "two", &["query"]).ok();
    // Power went once the first copy was written.
    let mut cut = before.clone();
    cut[4096..2 * 4096].copy_from_slice(&after[4096..2 * 4096]);
    for (opened, closed) in [("one", "two"), ("two", "one")] {
        fs::write(&keys, &cut).unwrap();
        with(&world, "ana", opened, &["query"]).ok();
        with(&world, "ana", closed, &["query"]).fails(7);
    }
    // Or in the middle of it.
    let mut torn = before.clone();
    torn[4096..4096 + 50].copy_from_slice(&after[4096..4096 + 50]);
    fs::write(&keys, &torn).unwrap();
    with(&world, "ana", "one", &["query"]).ok();
    assert_eq!(fs::read(&keys).unwrap()[..5 * 4096], before[..5 * 4096], "mended");
}

#[test]
fn an_open_home_serves_without_a_passphrase_until_it_is_locked() {
    let world = locked();
    let ana = |words: &[&str]| world.at("ana", words);
    let out = with(&world, "ana", "one", &["unlock"]).ok();
    assert_eq!(out, "Open until `thistle lock`, or until 15 minutes without a command\n");
    ana(&["write", "planted-here"]).ok();
    assert!(ana(&["query", "--json"]).ok().contains("planted-here"));
    assert_eq!(ana(&["unlock"]).ok(), "Open already\n");
    assert_eq!(ana(&["lock"]).ok(), "Locked\n");
    ana(&["query"]).fails(7);
    assert_eq!(ana(&["lock"]).ok(), "Locked\n", "once more is the same");
    wait_for_end(&world.path("ana"));
    assert_eq!(leak(&world.path("ana")), None);
    // What killed commands left behind goes too.
    world.file("ana/draft-7.txt", "planted-draft");
    ana(&["lock"]).ok();
    assert_eq!(leak(&world.path("ana")), None);
    with(&world, "ana", "two", &["unlock"]).fails(7);
    with(&world, "ana", "one", &["unlock", "--idle", "soon"]).fails(2);
    with(&world, "ana", "one", &["unlock", "--idle", "1s"]).ok();
    wait_for_end(&world.path("ana"));
    ana(&["query"]).fails(7);
}

#[test]
fn lock_ends_whoever_listens_and_listen_takes_an_open_home_over() {
    use std::io::BufRead as _;
    let world = locked();
    with(&world, "ana", "one", &["unlock"]).ok();
    let mut listening = world.at("ana", &["listen", "--addr", "127.0.0.1:0"]).start();
    let mut first = String::new();
    std::io::BufReader::new(listening.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("node1"), "{first}");
    world.at("ana", &["write", "planted-here"]).ok();
    assert_eq!(world.at("ana", &["lock"]).ok(), "Locked\n");
    let ended = listening.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(7));
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "error: the home was locked meanwhile\n");
    world.at("ana", &["query"]).fails(7);
    assert_eq!(leak(&world.path("ana")), None);
}

#[test]
fn private_texts_are_found_in_a_locked_home_and_are_nowhere_on_its_disk() {
    let world = locked();
    let bo = world.home("bo");
    let card = crate::private::card(&bo);
    let call = |words: &[&str]| with(&world, "ana", "one", words).ok();
    call(&["contact", "add", &card, "--name", "Bo", "--verified"]);
    for number in [7, 8] {
        call(&["write", "--to", "Bo", &planted(number)]);
    }
    let found = call(&["query", "--with", "Bo", "--text", &planted(7)]);
    assert!(found.contains(&planted(7)) && !found.contains(&planted(8)), "{found}");
    assert_eq!(leak(&world.path("ana")), None);
    world.at("ana", &["query", "--with", "Bo"]).fails(7);
}

#[test]
fn a_thousand_texts_are_nowhere_on_the_disk() {
    let world = locked();
    let source = tempfile::tempdir().unwrap();
    let messages_file = source.path().join("messages.jsonl");
    fs::write(&messages_file, messages()).unwrap();
    let temporary = world.folder("tmp");
    let call = |words: &[&str]| {
        with(&world, "ana", "one", words).env("TMPDIR", &temporary).env("THISTLE_LOG", "trace")
    };
    let import = ["import", messages_file.to_str().unwrap()];
    // Cut off in the middle, whenever that is, and then whole.
    let mut cut = call(&import).start();
    cut.kill().unwrap();
    let cut = cut.wait_with_output().unwrap();
    assert_eq!(leak(world.path("").as_path()), None, "after a crash");
    let whole = call(&import).run();
    let found = call(&["query", "--text", &planted(123), "--json"]).run();
    assert!(found.out.contains(&planted(123)), "it is there for whoever has the passphrase");
    call(&["write", &planted(1)]).run();
    call(&["bundle", "create", "--plain", source.path().to_str().unwrap()]).run();
    with(&world, "ana", "one", &["unlock"]).env("TMPDIR", &temporary).ok();
    world.at("ana", &["query"]).ok();
    world.at("ana", &["lock"]).ok();
    assert_eq!(leak(world.path("").as_path()), None);
    for log in [cut.stderr, whole.err.into_bytes(), found.err.into_bytes()] {
        assert!(!log.windows(8).any(|bytes| bytes == b"planted-"), "in the log");
    }
    assert!(leak(source.path()).is_some(), "the search finds what is there");
}

#[test]
fn every_installation_looks_the_same_with_and_without_a_second_profile() {
    let world = locked();
    let plain = world.home("plain");
    with(&world, "both", "one", &["init", "--name", "Bo"]).ok();
    let sizes = |home: &str| {
        let size = |name: &str| fs::metadata(world.path(home).join(name)).unwrap().len();
        (size("keys"), size("second.store"))
    };
    let unused = sizes("ana");
    assert_eq!(sizes("plain"), unused);
    drop(plain);
    let made = with(&world, "both", "one", &["passphrase", "--second", "--name", "Night"])
        .env(NEW_FILE, world.path("two"))
        .ok();
    assert!(made.contains("Account: acct1") && made.contains("recovery phrase"), "{made}");
    with(&world, "both", "two", &["write", "planted-night"]).ok();
    with(&world, "both", "one", &["write", "planted-day"]).ok();
    let said = |passphrase| with(&world, "both", passphrase, &["query", "--json"]).ok();
    assert!(said("two").contains("planted-night") && !said("two").contains("planted-day"));
    assert!(said("one").contains("planted-day") && !said("one").contains("planted-night"));
    assert_eq!(sizes("both"), unused, "used or not");
    assert_eq!(leak(&world.path("both")), None);
    let times = |home: &str| {
        let time = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();
        search::files(&world.path(home))
            .unwrap()
            .iter()
            .map(time)
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    };
    assert_eq!(times("both"), 1, "no file says when another one was used");
    with(&world, "ana", "one", &["write", "planted-day"]).ok();
    assert_eq!(times("ana"), 1);
    // No part of either stands out: all are as full of every byte as random ones are.
    for home in ["ana", "both"] {
        for name in ["keys", "second.store"] {
            let bytes = fs::read(world.path(home).join(name)).unwrap();
            for (at, part) in bytes.chunks(4096).enumerate() {
                let mut seen = [false; 256];
                for byte in part {
                    seen[usize::from(*byte)] = true;
                }
                let seen = seen.iter().filter(|seen| **seen).count();
                assert!(seen > 240, "{home}/{name}, sector {at}: {seen} different bytes");
            }
        }
    }
    // A passphrase says which profile is meant, also while the other one is open.
    with(&world, "both", "one", &["unlock"]).ok();
    for words in [&["write", "planted-night"][..], &["query"], &["unlock"], &["listen"]] {
        let err = with(&world, "both", "two", words).fails(5);
        assert!(err.starts_with("error: the other profile of this home is open\nhint: "), "{err}");
    }
    assert!(said("one").contains("planted-day"));
    with(&world, "both", "three", &["query"]).fails(7);
    world.at("both", &["lock"]).ok();
    wait_for_end(&world.path("both"));
    assert!(!said("two").contains("planted-day"));
    // The passphrases of two profiles are two, and the second one makes no third.
    let same = with(&world, "both", "one", &["passphrase"]).env(NEW_FILE, world.path("two"));
    assert!(same.fails(1).contains("in use here already"));
    let third = with(&world, "both", "two", &["passphrase", "--second", "--name", "X"]);
    assert!(third.env(NEW_FILE, world.path("three")).fails(1).contains("opens the second profile"));
}

#[test]
fn the_backup_of_a_locked_home_is_locked_and_so_is_what_is_made_of_it() {
    let world = locked();
    with(&world, "ana", "one", &["write", "planted-here"]).ok();
    let out = with(&world, "ana", "one", &["backup", "stick.backup"]).ok();
    assert!(out.contains("opens with the passphrase that is in force now"), "{out}");
    assert_eq!(leak(world.path("").as_path()), None);
    let err = with(&world, "bo", "two", &["restore", "stick.backup"]).fails(7);
    assert!(err.contains("does not open"), "{err}");
    let err = world.at("bo", &["restore", "stick.backup"]).fails(1);
    assert!(err.contains("THISTLE_PASSPHRASE_FILE"), "{err}");
    assert!(!world.path("bo").exists(), "nothing is left of what was not made");
    with(&world, "bo", "one", &["restore", "stick.backup"]).ok();
    assert!(with(&world, "bo", "one", &["query", "--json"]).ok().contains("planted-here"));
    world.at("bo", &["query"]).fails(7);
    assert_eq!(leak(world.path("").as_path()), None);
    // While it is open, a backup needs no passphrase and is locked all the same.
    with(&world, "ana", "one", &["unlock"]).ok();
    world.at("ana", &["backup", "again.backup"]).ok();
    world.at("ana", &["lock"]).ok();
    assert_eq!(leak(world.path("").as_path()), None);
    with(&world, "cy", "one", &["restore", "again.backup"]).ok();
}

#[test]
fn panic_ends_whoever_holds_the_home_and_needs_no_passphrase() {
    let world = locked();
    with(&world, "ana", "one", &["unlock"]).ok();
    world.at("ana", &["write", "planted-here"]).ok();
    world.at("ana", &["panic"]).ok();
    wait_for_end(&world.path("ana"));
    with(&world, "ana", "one", &["query"]).fails(7);
    // A plain home has no key: the person is told what that means.
    let plain = world.home("plain");
    plain.ok(&["write", "planted-here"]);
    let out = plain.ok(&["panic"]);
    assert!(out.contains("It had no passphrase"), "{out}");
    assert_eq!(leak(&plain.path()), None);
    plain.call(&["query"]).fails(7);
    // The folder can become a home again.
    plain.ok(&["init", "--name", "Ana"]);
    plain.ok(&["query"]);
}

#[test]
fn panic_killed_at_any_moment_leaves_a_home_that_opens_or_one_that_never_does() {
    let world = locked();
    let (home, kept) = (world.path("ana"), world.folder("kept"));
    with(&world, "ana", "one", &["write", "planted-here"]).ok();
    if long() {
        let store = fs::OpenOptions::new().append(true).open(home.join("first.store")).unwrap();
        let mut store = std::io::BufWriter::new(store);
        for number in 0..1_u32 << 18 {
            std::io::Write::write_all(&mut store, &[number.to_le_bytes()[0] ^ 0x5a; 4096]).unwrap();
        }
    }
    let names = ["keys", "first.store", "second.store"];
    fs::copy(home.join("keys"), kept.join("keys")).unwrap();
    for name in &names[1..] {
        fs::hard_link(home.join(name), kept.join(name)).unwrap();
    }
    let sound = fs::read(kept.join("keys")).unwrap();
    let points = if long() { POINTS.1 } else { POINTS.0 };
    let (mut slowest, mut gone) = (Duration::ZERO, 0);
    for point in 0..points {
        let mut panic = world.at("ana", &["panic"]).start();
        // From before it began until after it was done.
        let begun = Instant::now();
        let until = Duration::from_micros(u64::from(point) * 40_000 / u64::from(points));
        while begun.elapsed() < until && panic.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        panic.kill().unwrap();
        panic.wait().unwrap();
        slowest = slowest.max(begun.elapsed());
        let is_sound = fs::read(home.join("keys")).unwrap() == sound;
        gone += u32::from(!is_sound);
        let code = with(&world, "ana", "one", &["query"]).run().code;
        // The long store is no store any more, beyond its keys.
        assert_eq!(code == 7, !is_sound, "point {point}: code {code}");
        fs::copy(kept.join("keys"), home.join("keys")).unwrap();
        for name in &names[1..] {
            drop(fs::remove_file(home.join(name)));
            fs::hard_link(kept.join(name), home.join(name)).unwrap();
        }
    }
    let begun = Instant::now();
    world.at("ana", &["panic"]).ok();
    let took = begun.elapsed();
    eprintln!("{points} points, {gone} of them after the erase; panic took {took:?}");
    assert!(took < Duration::from_millis(500), "{took:?}");
    with(&world, "ana", "one", &["query"]).fails(7);
}
