//! `THISTLE_LOG`: what the program does can be sent to somebody, since nothing in it says who talks
//! to whom or what.

use std::fs;

use crate::world::{Call, Home, World};

const LEVELS: [&str; 5] = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

/// The lines of a log in what a command wrote to standard error.
fn logged(err: &str) -> Vec<&str> {
    let is_log = |line: &&str| {
        let mut words = line.split_whitespace();
        let time = words.next().is_some_and(|time| {
            time.strip_suffix('s').is_some_and(|seconds| seconds.parse::<f64>().is_ok())
        });
        time && words.next().is_some_and(|level| LEVELS.contains(&level))
    };
    err.lines().filter(is_log).collect()
}

/// The log of a command, at its most talkative.
pub(crate) fn log_of(call: Call) -> Vec<String> {
    let run = call.env("THISTLE_LOG", "trace").run();
    logged(&run.err).into_iter().map(str::to_owned).collect()
}

/// What must never be in a log: what people wrote, and by what they can be told from others.
fn secrets(homes: &[&Home<'_>]) -> Vec<String> {
    let words = [
        "apricot",
        "brioche",
        "cardamom",
        "damson",
        "elderberry",
        "fennel",
        "gooseberry",
        "horseradish",
        "[DIR]",
        "store.redb",
    ];
    let mut secrets: Vec<String> = words.map(str::to_owned).to_vec();
    let short = |id: &str| id.split_once('1').unwrap().1[..8].to_owned();
    for home in homes {
        secrets.extend([short(&home.feed), short(&home.account)]);
        let words: Vec<&str> = home.phrase.split(' ').collect();
        // One word of them alone may be a word of ours.
        secrets.extend(words.windows(2).map(|pair| pair.join(" ")));
        for row in home.lines(&["query", "--type", "post", "--type", "profile"]) {
            secrets.push(short(row["id"].as_str().unwrap()));
        }
    }
    secrets
}

#[test]
fn a_log_holds_nothing_of_what_people_write_and_of_whom_they_know() {
    let world = World::new();
    let (ana, bo) = (world.home_in("elderberry-home", "apricot"), world.home("brioche"));
    let stick = world.folder("fennel-stick");
    world.file(
        "damson.jsonl",
        r#"{"author":"cardamom","time":1,"channel":"damson","text":"fennel"}"#,
    );
    bo.ok(&["write", "gooseberry of the first", "--channel", "damson"]);
    bo.ok(&["write", &"gooseberry at length ".repeat(100)]);
    let bundle = bo.bundle(&stick);
    fs::rename(bundle, stick.join("horseradish.thistle")).unwrap();
    let bytes = fs::read(stick.join("horseradish.thistle")).unwrap();
    let mut spoilt = bytes.clone();
    spoilt[bytes.len() / 2] ^= 1;
    world.file("fennel-stick/horseradish-2.thistle", spoilt);
    world.file("fennel-stick/horseradish-3.thistle", &bytes[..bytes.len() / 3]);

    let mut log = Vec::new();
    let mut run = |words: &[&str]| log.extend(log_of(ana.call(words)));
    run(&["write", "gooseberry", "--channel", "damson"]);
    run(&["import", "damson.jsonl"]);
    run(&["profile", "apricot", "--about", "cardamom"]);
    run(&["bundle", "read", "fennel-stick"]);
    run(&["bundle", "show", "fennel-stick"]);
    run(&["follow", "brioche"]);
    run(&["name", "brioche", "cardamom"]);
    run(&["bundle", "create", "fennel-stick", "--plain", "--for", "cardamom"]);
    run(&["read", "damson"]);
    run(&["query", "--text", "gooseberry", "--author", "cardamom"]);
    run(&["query", "--from", "brioche", "--channel", "damson", "--json"]);
    run(&["feeds"]);
    run(&["export", &bo.feed]);
    run(&["retract", "3"]);
    run(&["status"]);
    run(&["doctor", "--repair"]);
    run(&["quota", "stranger", "1K"]);
    run(&["backup", "horseradish.backup"]);
    run(&["compact"]);
    run(&["unfollow", "brioche"]);
    run(&["block", "brioche"]);
    run(&["bundle", "read", "fennel-stick"]);
    run(&["unblock", &bo.feed]);
    // What goes wrong names more in its errors, and no more in the log.
    run(&["follow", "damson-nobody"]);
    run(&["import", "no/fennel"]);
    run(&["bundle", "read", "fennel-nowhere"]);
    run(&["restore", "damson.jsonl"]);
    log.extend(log_of(ana.call(&["confirm"]).input(&ana.phrase)));
    log.extend(log_of(ana.call(&["confirm"]).input("gooseberry fennel")));
    log.extend(log_of(world.at("elderberry", &["restore", "horseradish.backup"])));
    log.extend(log_of(world.at("elderberry-2", &["init", "--name", "apricot"])));
    log.extend(log_of(world.at("elderberry-3", &["status"])));

    assert!(log.len() > 200, "{} lines", log.len());
    for what in ["command=\"bundle read\"", "piece refused", "bundle read", "store opened", "step"]
    {
        assert!(log.iter().any(|line| line.contains(what)), "{what}");
    }
    for secret in secrets(&[&ana, &bo]) {
        for line in &log {
            assert!(!line.contains(&secret), "`{secret}` is in the log: {line}");
        }
    }
}

#[test]
fn who_carries_a_command_out_logs_it() {
    let world = World::new();
    let ana = world.home("ana");
    let line = |n: usize| format!(r#"{{"author":"Bo","time":{n},"text":"{}"}}"#, "x".repeat(300));
    let lines: Vec<String> = (0..600).map(line).collect();
    world.file("many.jsonl", lines.join("\n"));
    ana.ok(&["import", "many.jsonl"]);
    // Its output fills the pipe, so it holds the home until it is read.
    let holder = ana.call(&["export", &ana.feed]).env("THISTLE_LOG", "info").start();
    while !ana.path().join("control.sock").exists() {
        std::thread::yield_now();
    }
    let asker = log_of(ana.call(&["write", "served"]));
    assert!(asker.iter().any(|line| line.contains("asked the holder")), "{asker:?}");
    let done = holder.wait_with_output().unwrap();
    let err = String::from_utf8(done.stderr).unwrap();
    let served = |line: &&str| line.contains(r#"command="write""#) && line.contains("served=true");
    assert_eq!(logged(&err).into_iter().filter(served).count(), 1, "{err}");
}

#[test]
fn nothing_is_logged_unless_it_is_asked_for() {
    let world = World::new();
    let ana = world.home("ana");
    for level in ["", "off", "OFF"] {
        ana.call(&["write", "quiet"]).env("THISTLE_LOG", level).ok();
    }
    let run = ana.call(&["write", "loud"]).env("THISTLE_LOG", "info").run();
    assert_eq!(run.code, 0);
    assert_eq!(logged(&run.err).len(), run.err.lines().count(), "{}", run.err);
    assert!(run.err.contains("command begins") && run.err.contains("code=0"), "{}", run.err);
    let err = ana.call(&["write", "x"]).env("THISTLE_LOG", "loud").fails(2);
    assert_eq!(
        err,
        "error: `THISTLE_LOG` cannot be `loud`\n\
         hint: say one of these: off, error, warn, info, debug, trace\n"
    );
}
