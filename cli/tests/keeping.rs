//! `backup`, `restore` and `compact`.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::world::{Home, World, parse, texts};

/// What `restore` says of a home that it made.
fn restored(world: &World, home: &str, file: &str) -> Value {
    world.at(home, &["restore", file, "--json"]).json()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn fill(world: &World, home: &Home<'_>) {
    let text = "x".repeat(300);
    let line = |n: usize| format!(r#"{{"author":"Bo","time":{n},"text":"{n} {text}"}}"#) + "\n";
    world.file("many.jsonl", (0..600).map(line).collect::<String>());
    home.ok(&["import", "many.jsonl"]);
}

#[test]
fn a_backup_comes_back_as_a_home_with_a_new_feed() {
    let world = World::new();
    let (ana, bo) = (world.home("ana"), world.home("bo"));
    let stick = world.folder("stick");
    bo.ok(&["write", "from bo"]);
    bo.bundle(&stick);
    ana.ok(&["follow", &bo.feed]);
    ana.ok(&["bundle", "read", "stick"]);
    ana.ok(&["name", "bo", "The Miller"]);
    ana.ok(&["quota", "stranger", "10M"]);
    ana.ok(&["write", "before the backup"]);
    let out = ana.ok(&["backup", "ana.backup"]);
    assert_eq!(
        out.split_once(" entries of 2 feeds, ").unwrap().0,
        "Wrote [DIR]/ana.backup: 6",
        "{out}"
    );
    assert!(out.ends_with("is not sealed: keep it as safe as that.\n"), "{out}");
    let mode = fs::metadata(world.path("ana.backup")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    ana.ok(&["write", "after the backup"]);
    let made = restored(&world, "new", "ana.backup");
    assert_eq!((&made["account"], &made["confirmed"]), (&ana.account[..].into(), &false.into()));
    assert_eq!((&made["retired"], &made["entries"]), (&ana.feed[..].into(), &8.into()));
    let at = |words: &[&str]| world.at("new", words);
    let rows = parse(&at(&["query", "--json"]).ok());
    // Both are first words, said in one second: their ids decide which stands before which.
    let mut found = texts(&rows);
    found.sort_unstable();
    assert_eq!(found, ["before the backup", "from bo"]);
    let feeds = parse(&at(&["feeds", "--json"]).ok());
    let names: Vec<_> = feeds.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ana", "The Miller", "ana"]);
    assert!(at(&["quota"]).ok().contains("10.0 MiB"));
    at(&["write", "on the new device"]).ok();
    at(&["confirm"]).input(&ana.phrase).ok();
    assert_eq!(at(&["status", "--json"]).json()["confirmed"], true);

    // What came after the backup comes back by whoever holds it, and nobody sees a fork.
    ana.bundle(&stick);
    at(&["bundle", "read", "stick"]).ok();
    let found = parse(&at(&["query", "--text", "after", "--json"]).ok());
    assert_eq!((&found[0]["name"], &found[0]["feed"]), (&"ana".into(), &ana.feed[..].into()));
    at(&["bundle", "create", "stick", "--plain"]).ok();
    for home in [&ana, &bo] {
        home.ok(&["bundle", "read", "stick"]);
        let feeds = home.lines(&["feeds"]);
        assert!(feeds.iter().all(|row| row["forked"].is_null()), "{feeds:?}");
        assert_eq!(feeds.iter().filter(|row| row["account"] == *ana.account).count(), 2);
        assert!(home.ok(&["query"]).contains("on the new device"));
    }
    assert_eq!(ana.json(&["status"])["feed"], *ana.feed, "the old device goes on as before");
    at(&["doctor"]).ok();
    ana.ok(&["doctor"]);
}

#[test]
fn a_restore_says_what_to_do_next_and_each_one_makes_a_feed_of_its_own() {
    let world = World::new();
    let ana = world.home("ana");
    ana.ok(&["backup", "ana.backup"]);
    let out = world.at("one", &["restore", "ana.backup"]).ok();
    for words in ["Home:    [DIR]/one\n", &ana.account, " (new)\n", "`thistle confirm`"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    let (two, three) =
        (restored(&world, "two", "ana.backup"), restored(&world, "three", "ana.backup"));
    assert_ne!(two["feed"], three["feed"]);
    let err = world.at("two", &["restore", "ana.backup"]).fails(1);
    assert!(err.starts_with("error: `[DIR]/two` is a home already\n"), "{err}");
    // By hand, into the place of a store: the same.
    world.folder("four");
    fs::copy(world.path("ana.backup"), world.path("four/store.redb")).unwrap();
    let run = world.at("four", &["write", "hello"]).run();
    assert!(run.err.starts_with("warning: this home is a backup; your feed "), "{}", run.err);
    assert!(run.err.contains("hint: run `thistle confirm`"), "{}", run.err);
    let four = world.at("four", &["status", "--json"]).json();
    assert_ne!(four["feed"], *ana.feed);
    assert_eq!(four["confirmed"], false);
}

#[test]
fn what_is_no_sound_backup_is_told_and_leaves_nothing() {
    let world = World::new();
    let ana = world.home("ana");
    ana.ok(&["backup", "ana.backup"]);
    let whole = fs::read(world.path("ana.backup")).unwrap();
    world.file("torn", &whole[..whole.len() / 2]);
    world.file("empty", "");
    world.file("notes", "someone else's notes\n".repeat(400));
    fs::copy(ana.path().join("store.redb"), world.path("store")).unwrap();
    for (file, because, hint) in [
        ("torn", "is no sound backup", "hint: it may have been copied in part"),
        ("empty", "is no sound backup", "hint: it may have been copied in part"),
        ("notes", "not a store of this program", "hint: "),
        ("store", "is the store of a home and not a backup", "hint: `thistle backup FILE`"),
        ("missing", "because: No such file", ""),
        (".", "cannot read the backup", ""),
    ] {
        let err = world.at("new", &["restore", file]).fails(1);
        assert!(err.contains(because) && err.contains(hint), "{file}: {err}");
        assert!(!world.path("new").exists(), "{file}");
    }
    let folder = world.folder("new");
    world.at("new", &["restore", "torn"]).fails(1);
    assert_eq!(names(&folder), Vec::<String>::new(), "a folder that was there stays");
}

#[test]
fn a_backup_replaces_nothing_unless_that_is_asked_for() {
    let world = World::new();
    let ana = world.home("ana");
    let disk = world.folder("disk");
    let taken = world.file("disk/ana.backup", "precious");
    let err = ana.call(&["backup", "disk/ana.backup"]).fails(1);
    assert!(err.contains("because: there is a file of that name\nhint: say another"), "{err}");
    assert_eq!(fs::read(&taken).unwrap(), b"precious");
    // What a killed command left is not in the way, and does not stay.
    world.file("disk/.ana.backup.99-1.part", "left over");
    let told = ana.json(&["backup", "disk/ana.backup", "--replace"]);
    assert_eq!(told["bytes"], fs::metadata(&taken).unwrap().len());
    assert_eq!(names(&disk), ["ana.backup"]);
    restored(&world, "new", "disk/ana.backup");
    for (path, because) in
        [("disk", "it is a folder"), ("no/ana.backup", "No such file"), ("/", "it is a folder")]
    {
        let err = ana.call(&["backup", path, "--replace"]).fails(1);
        assert!(err.contains(because), "{path}: {err}");
    }
}

#[test]
fn backup_and_compact_work_while_another_command_runs() {
    let world = World::new();
    let ana = world.home("ana");
    fill(&world, &ana);
    let before = ana.ok(&["export", &ana.feed]);
    let mut long = ana.call(&["export", &ana.feed]).start();
    let mut first = [0];
    // Once it has begun to print, it holds the store and listens.
    long.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert!(ana.path().join("control.sock").exists());
    ana.ok(&["backup", "ana.backup"]);
    ana.ok(&["write", "after the backup"]);
    // It waits for whoever reads.
    let compact = ana.call(&["compact", "--json"]).start();
    let mut rest = String::new();
    long.stdout.as_mut().unwrap().read_to_string(&mut rest).unwrap();
    assert!(long.wait().unwrap().success());
    assert_eq!(format!("{{{rest}"), before);
    let done = compact.wait_with_output().unwrap();
    assert_eq!((done.status.code(), done.stderr.len()), (Some(0), 0));
    let told = &parse(std::str::from_utf8(&done.stdout).unwrap())[0];
    assert!(told["bytes_before"].as_u64() >= told["bytes_after"].as_u64(), "{told}");
    ana.ok(&["doctor"]);
    assert_eq!(ana.lines(&["query", "--text", "after the backup"]).len(), 1);
    restored(&world, "new", "ana.backup");
    let found = world.at("new", &["query", "--text", "after the backup", "--json"]).ok();
    assert_eq!(found, "", "the backup is of one moment");
    assert_eq!(world.at("new", &["export", &ana.feed]).ok(), before);
}

#[test]
fn compacting_tells_what_it_gave_back() {
    let world = World::new();
    let (ana, bo) = (world.home("ana"), world.home("bo"));
    let stick = world.folder("stick");
    fill(&world, &bo);
    bo.bundle(&stick);
    ana.ok(&["bundle", "read", "stick"]);
    ana.ok(&["block", "bo"]);
    let store = ana.path().join("store.redb");
    let was = fs::metadata(&store).unwrap().len();
    let out = ana.ok(&["compact"]);
    assert!(out.starts_with("The store took ") && out.ends_with(" now\n"), "{out}");
    let told = ana.json(&["compact"]);
    let is = fs::metadata(&store).unwrap().len();
    assert!(is < was, "{was} before, {is} after");
    assert!(told["bytes_after"].as_u64().unwrap() <= is, "{told}");
    ana.ok(&["doctor"]);
}

#[test]
fn the_status_tells_what_is_nearly_full_and_why_what_is_not_kept() {
    let world = World::new();
    let (ana, bo, cy) = (world.home("ana"), world.home("bo"), world.home("cy"));
    let stick = world.folder("stick");
    fill(&world, &bo);
    bo.bundle(&stick);
    cy.ok(&["write", "unwanted"]);
    cy.bundle(&stick);
    ana.ok(&["quota", "stranger", "100K"]);
    ana.ok(&["block", &cy.feed]);
    ana.ok(&["bundle", "read", "stick"]);
    ana.ok(&["write", "--ttl", "1h", "soon over"]);
    ana.ok(&["retract", "3"]);
    let told = ana.json(&["status"]);
    let usage = |class| {
        let rows = told["usage"].as_array().unwrap();
        rows.iter().find(|row| row["class"] == class).unwrap().clone()
    };
    let stranger = usage("stranger");
    assert!(stranger["percent"].as_u64().unwrap() >= 90, "{stranger}");
    assert_eq!(stranger["goes_first"], "the oldest texts of whoever brought most go first");
    assert_eq!(
        (&usage("own")["percent"], &usage("own")["goes_first"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(usage("followed")["goes_first"], Value::Null);
    assert_eq!((&told["blocked_entries"], &told["retracted"]), (&3.into(), &1.into()));
    assert!(told["evicted_entries"].as_u64().unwrap() > 0, "{told}");
    let why = told["why"].as_object().unwrap();
    let named: Vec<_> = why.keys().map(String::as_str).collect();
    assert_eq!(named, ["blocked_entries", "evicted_entries", "retracted"]);
    let out = ana.ok(&["status"]);
    for words in [
        " %\n         nearly full: the oldest texts of whoever brought most go first; `thistle quota \
         stranger SIZE` gives room\n",
        "Not kept 1 text retracted: taken back by the author\n",
        " entries or texts evicted (",
        " KiB): a quota was full\n",
        "         3 entries: the feed is blocked\n",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    let out = ana.ok(&["quota"]);
    assert!(out.contains(" % used: the oldest texts of whoever brought most go first\n"), "{out}");
    assert!(!out.contains("from bo"));
    ana.ok(&["quota", "stranger", "10M"]);
    assert!(!ana.ok(&["status"]).contains("nearly full"));
}
