//! The control socket: many commands at one home.

use std::io::Read;
use std::process::Child;

use crate::world::{Call, Home, World, parse, texts};

/// Entries whose export does not fit into a pipe and the program's buffer.
fn fill(world: &World, home: &Home<'_>) {
    let text = "x".repeat(300);
    let line = |n: usize| format!(r#"{{"author":"Bo","time":{n},"text":"{n} {text}"}}"#) + "\n";
    world.file("many.jsonl", (0..600).map(line).collect::<String>());
    home.ok(&["import", "many.jsonl"]);
}

/// A command that holds the home until its output is read.
struct Stalled(Child);

impl Stalled {
    fn start(call: Call) -> Self {
        let mut child = call.start();
        // Once it has begun to print, it holds the store and listens.
        let mut first = [0];
        child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        assert_eq!(first, *b"{");
        Self(child)
    }

    /// Reads the rest of its output.
    fn finish(mut self) -> String {
        let mut out = "{".to_owned();
        self.0.stdout.as_mut().unwrap().read_to_string(&mut out).unwrap();
        assert!(self.0.wait().unwrap().success());
        out
    }
}

#[test]
fn a_second_command_works_while_a_long_one_runs() {
    let world = World::new();
    let home = world.home("ana");
    fill(&world, &home);
    let before = home.ok(&["export", &home.feed]);
    let stalled = Stalled::start(home.call(&["export", &home.feed]));
    assert!(home.path().join("control.sock").exists());

    home.ok(&["write", "meanwhile", "--channel", "tea"]);
    home.call(&["write", "--channel", "tea"]).input("from a pipe").ok();
    assert_eq!(texts(&home.lines(&["query", "--channel", "tea"])), ["meanwhile", "from a pipe"]);
    assert_eq!(home.ok(&["export", &home.feed]).lines().count(), before.lines().count() + 2);

    // Errors, exit codes, folders and clocks are those of whoever asks.
    let err = home.call(&["follow", "nobody"]).fails(1);
    assert!(err.starts_with("error: no feed is called `nobody`"), "{err}");
    let err = home.call(&["follow", "nobody", "--json"]).fails(1);
    assert_eq!(parse(&err)[0]["code"], 1);
    world.file("one.jsonl", r#"{"author":"Zoe","time":1,"text":"relative path"}"#);
    assert_eq!(home.json(&["import", "one.jsonl"])["imported"], 1);
    home.call(&["write", "later"]).env("THISTLE_NOW", "1800000000").ok();
    assert_eq!(home.lines(&["query", "--text", "later"])[0]["time"], 1_800_000_000);
    let out = home.call(&["read", "tea"]).env("TZ", "UTC").ok();
    assert!(out.contains("13:30 +00:00"), "{out}");

    assert_eq!(stalled.finish(), before, "the first command saw one moment");
    assert!(!home.path().join("control.sock").exists());
    home.ok(&["doctor"]);
}

#[test]
fn a_short_look_changes_nothing_and_keeps_nobody_waiting() {
    let world = World::new();
    let home = world.home("ana");
    fill(&world, &home);
    home.ok(&["query", "--limit", "1"]);
    let store = || std::fs::read(home.path().join("store.redb")).unwrap();
    let before = store();
    for words in [&["query"][..], &["read"], &["feeds"], &["status"], &["query", "--text", "7"]] {
        home.ok(words);
        assert!(store() == before, "{words:?} changed the store");
    }
    // Whoever prints for long has read before.
    let stalled = Stalled::start(home.call(&["query", "--json"]));
    home.ok(&["write", "meanwhile"]);
    assert_eq!(stalled.finish().lines().count(), 600, "it saw one moment");
    assert_eq!(texts(&home.lines(&["query", "--limit", "1"])), ["meanwhile"]);
}

#[test]
fn who_asks_need_not_wait_for_a_reader_that_stands_still() {
    let world = World::new();
    let home = world.home("ana");
    fill(&world, &home);
    let stalled = Stalled::start(home.call(&["export", &home.feed]));
    let asking = Stalled::start(home.call(&["export", &home.feed]));
    // The first is done; the second's output waits in the second's own process.
    let first = stalled.finish();
    home.ok(&["write", "x"]);
    assert_eq!(asking.finish(), first);
}

#[test]
fn commands_that_start_at_once_are_all_served() {
    let world = World::new();
    let home = world.home("ana");
    let children: Vec<Child> =
        (0..12).map(|n| home.call(&["write", &format!("racer {n}")]).start()).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && err.is_empty(), "{err}");
    }
    let rows = home.lines(&["query", "--type", "post"]);
    let mut numbers: Vec<u32> = texts(&rows)
        .iter()
        .map(|text| text.strip_prefix("racer ").unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..12).collect::<Vec<_>>());
    home.ok(&["doctor"]);
}

#[test]
fn a_socket_that_a_dead_process_left_is_in_nobodys_way() {
    let world = World::new();
    let home = world.home("ana");
    fill(&world, &home);
    let mut stalled = Stalled::start(home.call(&["export", &home.feed]));
    home.ok(&["write", "kept"]);
    stalled.0.kill().unwrap();
    stalled.0.wait().unwrap();
    assert!(home.path().join("control.sock").exists());
    assert_eq!(texts(&home.lines(&["query", "--text", "kept"])), ["kept"]);
    home.ok(&["doctor"]);
}

#[test]
fn a_home_with_a_long_path_is_served_too() {
    let world = World::new();
    let home = world.home_in(&["folder-with-a-long-name"; 8].join("/"), "ana");
    fill(&world, &home);
    let stalled = Stalled::start(home.call(&["export", &home.feed]));
    home.ok(&["write", "served"]);
    stalled.finish();
    assert!(!home.path().join("control.sock").exists());
}

#[test]
fn who_closes_its_ears_ends_a_command_quietly() {
    let world = World::new();
    let home = world.home("ana");
    fill(&world, &home);
    let mut stalled = Stalled::start(home.call(&["export", &home.feed]));
    drop(stalled.0.stdout.take());
    let output = stalled.0.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}
