//! `import`.

use crate::world::{World, parse, texts};

fn line(author: &str, time: u64, text: &str) -> String {
    format!(r#"{{"author":"{author}","time":{time},"channel":"tea","text":"{text}"}}"#) + "\n"
}

#[test]
fn an_import_keeps_author_time_and_channel() {
    let world = World::new();
    let ana = world.home("ana");
    let lines = [line("Zoë", 100, "one"), line("Bo", 50, "two"), line("Zoë", 200, "three")];
    world.file("talk.jsonl", lines.concat());
    let said = ana.json(&["import", "talk.jsonl", "--author", "Zoë"]);
    assert_eq!(
        (&said["imported"], &said["others"], &said["refused"]),
        (&2.into(), &1.into(), &0.into())
    );
    assert_eq!((&said["first_seq"], &said["last_seq"]), (&3.into(), &4.into()));
    let rows = ana.lines(&["query", "--channel", "tea"]);
    assert_eq!(texts(&rows), ["one", "three"]);
    assert_eq!(
        (&rows[0]["author"], &rows[0]["time"], &rows[0]["name"]),
        (&"Zoë".into(), &100.into(), &"ana".into())
    );
    assert_eq!(rows[0]["parents"].as_array().unwrap().len(), 0);
    assert_eq!(ana.lines(&["query", "--author", "Zoë"]).len(), 2);
    assert!(ana.ok(&["read"]).contains("Zoë, imported by ana  #tea"));
    // Another author of the same file is another import.
    assert_eq!(ana.json(&["import", "talk.jsonl", "--author", "Bo"])["imported"], 1);
}

#[test]
fn a_finished_import_adds_nothing_unless_told_to() {
    let world = World::new();
    let ana = world.home("ana");
    world.file("talk.jsonl", line("Bo", 1, "one") + "\n\n");
    let out = ana.ok(&["import", "talk.jsonl"]);
    assert_eq!(out, "Imported 1 message as entries 3 to 3 of your feed\n");
    let out = ana.ok(&["import", "talk.jsonl"]);
    assert!(out.starts_with("This file was imported before"), "{out}");
    let said = ana.json(&["import", "talk.jsonl"]);
    assert_eq!((&said["imported"], &said["first_seq"]), (&0.into(), &().into()));
    assert_eq!(ana.feed_row(&ana.feed)["held"], 3);
    ana.ok(&["import", "talk.jsonl", "--again", "--channel", "other"]);
    assert_eq!(ana.json(&["import", "talk.jsonl", "--again"])["imported"], 1);
    assert_eq!(ana.feed_row(&ana.feed)["held"], 5);
    assert_eq!(ana.lines(&["query", "--channel", "other"]).len(), 1);
}

#[test]
fn bad_lines_are_named_and_the_others_imported() {
    let world = World::new();
    let ana = world.home("ana");
    let long = line("Bo", 1, &"x".repeat(17_000));
    let bad = ["{\"author\":\"Bo\"}\n", "no json\n", &long].concat();
    world.file("talk.jsonl", line("Bo", 1, "one") + &bad + &line("Bo", 2, "two"));
    let run = ana.call(&["import", "talk.jsonl", "--json"]).run();
    assert_eq!(run.code, 4);
    let said = &parse(&run.out)[0];
    assert_eq!((&said["imported"], &said["refused"]), (&2.into(), &3.into()));
    assert_eq!(run.err.lines().count(), 3, "{}", run.err);
    for (line, says) in
        run.err.lines().zip(["line 2: time is missing", "line 3: ", "line 4: text has 17,000"])
    {
        assert!(line.starts_with(&format!("refused: {says}")), "{line}");
    }
    assert_eq!(ana.feed_row(&ana.feed)["held"], 4);
}

#[test]
fn an_mbox_is_read_too() {
    let world = World::new();
    let ana = world.home("ana");
    let mbox = "From bo@example.org Sat Jan  3 01:05:34 1996\nFrom: Bo <bo@example.org>\n\
                Date: Sat, 3 Jan 1996 01:05:34 +0000\nSubject: tea\n\nfour o'clock?\n";
    world.file("mail", mbox);
    let said = ana.json(&["import", "mail", "--channel", "mail"]);
    assert_eq!((&said["imported"], &said["format"]), (&1.into(), &"mbox".into()));
    let rows = ana.lines(&["query", "--channel", "mail"]);
    assert_eq!((&rows[0]["author"], &rows[0]["time"]), (&"Bo".into(), &820_631_134.into()));
}

#[test]
fn what_is_no_import_file_is_refused() {
    let world = World::new();
    let ana = world.home("ana");
    world.file("empty", "");
    world.file("photo", b"\xff\xd8\xff");
    for (file, says) in [
        ("empty", "the import file is empty"),
        ("photo", "neither JSON Lines nor an mbox"),
        (".", "it is not a file"),
        ("nowhere", "No such file"),
    ] {
        let err = ana.call(&["import", file]).fails(1);
        assert!(err.contains(says), "{file}: {err}");
    }
    assert_eq!(ana.feed_row(&ana.feed)["held"], 1);
}

#[test]
fn a_killed_import_goes_on_where_the_disk_was() {
    let world = World::new();
    let ana = world.home("ana");
    let lines: String = (0..5_000).map(|n| line("Bo", n, &format!("message {n}"))).collect();
    world.file("talk.jsonl", lines);
    let size = || std::fs::metadata(ana.path().join("store.redb")).unwrap().len();
    for grown in [200_000, 500_000, 900_000] {
        let mut child = ana.call(&["import", "talk.jsonl"]).start();
        while size() < grown && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        ana.ok(&["doctor"]);
    }
    ana.ok(&["import", "talk.jsonl"]);
    let rows = ana.lines(&["query", "--channel", "tea", "--order", "time"]);
    let expected: Vec<String> = (0..5_000).map(|n| format!("message {n}")).collect();
    assert_eq!(texts(&rows), expected);
}
