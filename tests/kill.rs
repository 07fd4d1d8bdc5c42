//! Goal: nothing that was acknowledged is lost to `kill -9`, nothing comes twice, and the next
//! command goes on without repairs by hand. Method: the program killed at moments drawn from a
//! seed, counted from its start or from its first line of output, while it makes a home, writes,
//! imports, reads a bundle, keeps its store and serves other commands; `thistle doctor` after every kill.
//!
//! The short form kills about 40 times; `THISTLE_LONG=1` more than 200 times.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use thistle_simulations::Seed;
use thistle_tests::program::{Home, Moment, is_long, number, seed, wait_until, word};

/// Kills of one test: a quarter of all.
fn kills() -> u64 {
    if is_long() { 55 } else { 8 }
}

#[test]
fn what_write_acknowledged_is_there() {
    let seed = &mut Seed::new(seed(30));
    let folder = tempfile::tempdir().unwrap();
    let (home, feed, _) = Home::create(folder.path().join("home"), "Writer");
    let mut acknowledged: BTreeMap<String, String> = BTreeMap::new();
    let begun = Instant::now();
    let mut note = |printed: Vec<Value>, text: String| {
        acknowledged.extend(printed.iter().map(|line| (word(line, "id"), text.clone())));
    };
    note(
        home.run(&["write", "--json", "as long as usual"]).good().json_lines(),
        "as long as usual".to_owned(),
    );
    let usual = begun.elapsed();
    // What a killed process leaves, if no kill below should come at the right moment.
    drop(UnixListener::bind(home.socket()).expect("a socket is made"));
    let (mut killed, mut sockets) = (0, 0);
    for attempt in 0.. {
        if killed == kills() {
            break;
        }
        let text = format!("attempt {attempt}");
        let ran = home.call(&["write", "--json", &text]).killed(moment(seed, &home, usual));
        note(ran.json_lines(), text);
        if ran.was_killed() {
            killed += 1;
            sockets += u64::from(home.socket().exists());
            home.check();
        } else {
            ran.good();
        }
    }
    let texts = texts(&home, &feed);
    for (id, text) in &acknowledged {
        assert_eq!(texts.iter().filter(|(known, _)| known == id).count(), 1, "{id} is lost");
        assert_eq!(texts.iter().filter(|(_, known)| known == text).count(), 1, "{text} twice");
    }
    eprintln!(
        "write: {killed} kills, {sockets} left a socket, {} of {} entries acknowledged",
        acknowledged.len(),
        texts.len()
    );
}

#[test]
fn an_import_goes_on_and_takes_every_line_once() {
    let seed = &mut Seed::new(seed(31));
    let folder = tempfile::tempdir().unwrap();
    let letters = Letters::write(&folder, 4_000, seed);
    let (home, feed, _) = Home::create(folder.path().join("whole"), "Importer");
    let begun = Instant::now();
    home.call(&["import"]).arg(&letters.file).run().good();
    let usual = begun.elapsed();
    assert_eq!(without_ids(texts(&home, &feed)), letters.texts);
    let (mut killed, mut rounds) = (0, 0);
    while killed < kills() {
        let path = folder.path().join(format!("home-{rounds}"));
        let (home, feed, _) = Home::create(path, "Importer");
        rounds += 1;
        loop {
            let call = home.call(&["import", "--json"]).arg(&letters.file);
            let ran = call.killed(moment(seed, &home, usual));
            let so_far = without_ids(texts(&home, &feed));
            assert!(letters.texts.starts_with(&so_far), "{} lines", so_far.len());
            if let Some(report) = ran.json_lines().first() {
                assert_eq!(so_far.len(), letters.texts.len(), "reported as done: {report}");
            }
            if !ran.was_killed() {
                ran.good();
                break;
            }
            killed += 1;
            home.check();
        }
        let again = home.call(&["import", "--json"]).arg(&letters.file).run().good().json();
        assert_eq!(number(&again, "imported"), 0, "{again}");
        assert_eq!(without_ids(texts(&home, &feed)), letters.texts);
    }
    eprintln!("import: {killed} kills in {rounds} imports, one takes {usual:.1?}");
}

#[test]
fn a_backup_a_restore_and_a_compaction_that_are_cut_off_hurt_nothing() {
    let seed = &mut Seed::new(seed(34));
    let folder = tempfile::tempdir().unwrap();
    let letters = Letters::write(&folder, 4_000, seed);
    let (home, feed, _) = Home::create(folder.path().join("home"), "Keeper");
    home.call(&["import"]).arg(&letters.file).run().good();
    let export = home.export(&feed);
    let file = folder.path().join("home.backup");
    let backup = || home.call(&["backup", "--replace"]).arg(&file);
    let begun = Instant::now();
    backup().run().good();
    let usual = begun.elapsed();
    let (mut killed, mut rounds) = (0, 0);
    while killed < kills() {
        let copy = Home::at(folder.path().join(format!("copy-{rounds}")));
        rounds += 1;
        let (first, second) = (moment(seed, &home, usual), moment(seed, &home, usual));
        // It reads all of the file, and builds the indexes.
        let span = u64::try_from(usual.as_micros()).expect("not that long") * 3;
        let third = Moment::AfterStart(Duration::from_micros(seed.below(span)));
        let ran = [
            backup().killed(first),
            home.call(&["compact"]).killed(second),
            // The backup is whole, whatever became of the one that was to replace it.
            copy.call(&["restore"]).arg(&file).killed(third),
        ];
        killed += ran.iter().filter(|ran| ran.was_killed()).count() as u64;
        if !copy.store().exists() {
            copy.call(&["restore"]).arg(&file).run().good();
        }
        for home in [&home, &copy] {
            home.check();
            assert_eq!(home.export(&feed), export, "{rounds}: {ran:?}");
        }
        let status = copy.run(&["status", "--json"]).good().json();
        assert_ne!(word(&status, "feed"), feed, "a restored home goes on in a new feed");
    }
    backup().run().good();
    let left = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().ends_with(".part");
    let parts = fs::read_dir(folder.path()).unwrap().filter(|e| left(e.as_ref().unwrap())).count();
    assert_eq!(parts, 0, "what a kill left is gone after the next one");
    eprintln!("keeping: {killed} kills in {rounds} rounds, a backup takes {usual:.1?}");
}

#[test]
fn a_bundle_is_read_on_whatever_cut_it_off() {
    let seed = &mut Seed::new(seed(32));
    let folder = tempfile::tempdir().unwrap();
    let letters = Letters::write(&folder, 4_000, seed);
    let (author, feed, _) = Home::create(folder.path().join("author"), "Author");
    author.call(&["import"]).arg(&letters.file).run().good();
    let bundle = folder.path().join("all.thistle");
    author.call(&["bundle", "create", "--plain"]).arg(&bundle).run().good();
    let export = author.export(&feed);
    let reader = |name: &str| {
        let (home, ..) = Home::create(folder.path().join(name), "Reader");
        home.run(&["follow", &feed]).good();
        home
    };
    let home = reader("whole");
    let begun = Instant::now();
    home.call(&["bundle", "read"]).arg(&bundle).run().good();
    let usual = begun.elapsed();
    let (mut killed, mut rounds) = (0, 0);
    while killed < kills() {
        let home = reader(&format!("home-{rounds}"));
        rounds += 1;
        let mut held = 0;
        loop {
            let call = home.call(&["bundle", "read", "--json"]).arg(&bundle);
            let ran = call.killed(moment(seed, &home, usual));
            let before = std::mem::replace(&mut held, entries_held(&home, &feed));
            assert!(held >= before, "{held} entries after {before}");
            if !ran.json_lines().is_empty() {
                assert!(home.export(&feed) == export, "reported as read, and not the same");
            }
            if !ran.was_killed() {
                ran.good();
                break;
            }
            killed += 1;
            home.check();
        }
        assert!(home.export(&feed) == export, "read to the end, and not the same");
        home.check();
    }
    eprintln!("bundle read: {killed} kills in {rounds} readings, one takes {usual:.1?}");
}

#[test]
fn what_a_killed_holder_acknowledged_to_others_is_there() {
    let seed = &mut Seed::new(seed(33));
    let folder = tempfile::tempdir().unwrap();
    let letters = Letters::write(&folder, 4_000, seed);
    let (mut killed, mut served, mut cut) = (0, 0, 0);
    for round in 0..kills() {
        let (home, feed, _) = Home::create(folder.path().join(format!("home-{round}")), "Holder");
        let mut holder = home.call(&["import", "--json"]).arg(&letters.file).start();
        wait_until("the holder serves others", || home.socket().exists());
        let mut acknowledged = Vec::new();
        for turn in 0..seed.below(6) {
            let ran = home.run(&["write", "--json", &format!("turn {turn}")]).good();
            acknowledged.push(word(&ran.json(), "id"));
        }
        served += acknowledged.len();
        let writer = home.call(&["write", "--json", "the last one"]).start();
        spin(Duration::from_micros(seed.below(20_000)));
        holder.kill();
        let (holder, writer) = (holder.end(), writer.end());
        killed += u64::from(holder.was_killed());
        if writer.code == Some(0) {
            acknowledged.push(word(&writer.quiet().json(), "id"));
        } else {
            cut += 1;
            let writer = writer.fails(3);
            assert!(writer.stdout.is_empty(), "{writer}");
            writer.says("hint");
        }
        home.check();
        home.call(&["import"]).arg(&letters.file).run().good();
        let found = texts(&home, &feed);
        for id in &acknowledged {
            assert_eq!(found.iter().filter(|(known, _)| known == id).count(), 1, "{id} is lost");
        }
        let imported = found.into_iter().map(|(_, text)| text);
        let imported: Vec<_> = imported.filter(|text| text.starts_with("letter ")).collect();
        assert_eq!(imported, letters.texts);
    }
    eprintln!("holder: {killed} kills, {served} commands served before, {cut} cut off");
}

#[test]
fn a_home_exists_only_once_its_phrase_was_shown() {
    let seed = &mut Seed::new(seed(34));
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    drop(Home::create(folder.path().join("usual"), "Usual"));
    let usual = begun.elapsed();
    let (mut killed, mut unborn) = (0, 0);
    for round in 0.. {
        if killed == kills() {
            break;
        }
        let home = Home::at(folder.path().join(format!("home-{round}")));
        let call = home.call(&["init", "--name", "Newcomer", "--json"]);
        let micros = u64::try_from(usual.as_micros()).expect("not that long");
        let after = Duration::from_micros(seed.below(micros));
        let ran = call.killed(match seed.below(3) {
            0 => Moment::AfterStart(after),
            1 => Moment::AfterLine(after / 4),
            _ => Moment::AfterFile(home.path().to_owned(), after),
        });
        killed += u64::from(ran.was_killed());
        if home.store().exists() {
            let shown = ran.json();
            home.check();
            let again = Home::at(folder.path().join(format!("restored-{round}")));
            let phrase = word(&shown, "phrase");
            again.call(&["init", "--name", "Newcomer", "--restore"]).input(phrase).run().good();
        } else {
            unborn += 1;
            home.init("Newcomer");
            home.check();
        }
    }
    eprintln!("init: {killed} kills, {unborn} before the home existed");
}

/// Messages to import that are all different, some of them long.
struct Letters {
    file: PathBuf,
    texts: Vec<String>,
}

impl Letters {
    fn write(folder: &TempDir, count: usize, seed: &mut Seed) -> Self {
        let file = folder.path().join("letters.jsonl");
        let (mut texts, mut lines) = (Vec::new(), String::new());
        for n in 0..count {
            let words = if seed.chance(1, 4) { 1_500 } else { 20 };
            let text = format!("letter {n} {}", "thistle ".repeat(seed.index(words)));
            let line = serde_json::json!({
                "author": "somebody", "time": 1_772_438_400 + n, "channel": "letters", "text": text,
            });
            lines.push_str(&format!("{line}\n"));
            texts.push(text);
        }
        fs::write(&file, lines).expect("the letters are written");
        Self { file, texts }
    }
}

/// A moment to kill something that usually takes so long: anywhere, in the work on the store, or
/// between the report and the end of the process.
fn moment(seed: &mut Seed, home: &Home, usual: Duration) -> Moment {
    let within = |seed: &mut Seed, span: Duration| {
        let micros = u64::try_from(span.as_micros()).expect("not that long");
        Duration::from_micros(seed.below(micros.max(1)))
    };
    match seed.below(4) {
        0 => Moment::AfterStart(within(seed, usual)),
        1 => Moment::AfterLine(within(seed, usual / 8)),
        _ => Moment::AfterFile(home.socket(), within(seed, usual * 5 / 4)),
    }
}

/// The texts of a feed with their ids, in its order.
fn texts(home: &Home, feed: &str) -> Vec<(String, String)> {
    let entries = home.run(&["export", feed]).good().json_lines();
    let numbers: Vec<u64> = entries.iter().map(|entry| number(entry, "seq")).collect();
    let expected: Vec<u64> = (1..=entries.len() as u64).collect();
    assert_eq!(numbers, expected, "the feed has no gap");
    let posts = entries.iter().filter(|entry| entry["type"] == "post");
    posts.map(|entry| (word(entry, "id"), word(entry, "text"))).collect()
}

fn without_ids(texts: Vec<(String, String)>) -> Vec<String> {
    texts.into_iter().map(|(_, text)| text).collect()
}

fn entries_held(home: &Home, feed: &str) -> u64 {
    let feeds = home.run(&["feeds", "--json"]).good().json_lines();
    let known = feeds.iter().find(|info| info["feed"] == feed);
    known.map_or(0, |info| number(info, "held"))
}

/// Lets a moment pass; too short to sleep.
fn spin(span: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < span {
        std::hint::spin_loop();
    }
}
