//! `init`, `write`, `retract`, `profile` and `confirm`.

use expect_test::expect;

use crate::world::{NOW, World, texts, without_ids};

#[test]
fn init_makes_a_home_that_only_its_owner_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let home = world.home("ana");
    assert_eq!(home.phrase.split(' ').count(), 24);
    assert!(home.feed.starts_with("feed1") && home.account.starts_with("acct1"));
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home.path()), 0o700);
    assert_eq!(mode(&home.path().join("store.redb")), 0o600);
    let mut names: Vec<_> =
        home.path().read_dir().unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["keys", "second.store", "store.redb"]);
    assert_eq!(mode(&home.path().join("keys")), 0o600);
    assert_eq!(mode(&home.path().join("second.store")), 0o600);
}

#[test]
fn init_shows_the_phrase_once_and_numbered() {
    let world = World::new();
    let out = world.at("ana", &["init", "--name", "Ana"]).ok();
    for line in ["Home:    [DIR]/ana", "Account: acct1", "Feed:    feed1", " 1 ", "24 "] {
        assert!(out.contains(line), "{line}: {out}");
    }
    assert!(out.contains("It is shown this once"));
}

#[test]
fn init_changes_nothing_where_a_home_is() {
    let world = World::new();
    let home = world.home("ana");
    let before = std::fs::read(home.path().join("store.redb")).unwrap();
    expect![[r#"
        error: `[DIR]/ana` is a home already
        hint: say another folder with `--home DIR` or `THISTLE_HOME`, or go on with this one
    "#]]
    .assert_eq(&home.call(&["init", "--name", "Eve"]).fails(1));
    assert_eq!(std::fs::read(home.path().join("store.redb")).unwrap(), before);
}

#[test]
fn init_refuses_names_that_mislead() {
    let world = World::new();
    for (name, says) in [
        ("", "at least one character"),
        ("feed1abc", "cannot begin with"),
        ("A\u{1b}[2Jna", "U+001B"),
        ("A\u{202e}na", "U+202E"),
        (&"x".repeat(65), "the limit is 64"),
    ] {
        let err = world.at("ana", &["init", "--name", name]).fails(1);
        assert!(err.contains(says) && !err.contains('\u{1b}'), "{name:?}: {err}");
    }
    assert!(!world.path("ana").exists());
}

#[test]
fn restoring_makes_a_new_feed_of_the_same_account() {
    let world = World::new();
    let home = world.home("ana");
    let call = world.at("again", &["init", "--name", "Ana", "--restore", "--json"]);
    let made = call.input(home.phrase.to_uppercase().replace(' ', "\n")).json();
    assert_eq!(made["account"], *home.account);
    assert_ne!(made["feed"], *home.feed);
}

#[test]
fn a_wrong_phrase_is_told_word_by_word_and_makes_no_home() {
    let world = World::new();
    let restore =
        |phrase: &str| world.at("x", &["init", "--name", "X", "--restore"]).input(phrase).fails(1);
    expect![[r#"
        error: this is not a recovery phrase
          because: 3 words where 24 are due
        hint: give all 24 words on standard input, with spaces between them
    "#]]
    .assert_eq(&restore("one two three"));
    let mut words = ["abandon"; 24];
    words[4] = "leagl";
    expect![[r#"
        error: this is not a recovery phrase
          because: word 5 is not in the list of words
        hint: did you mean `legal` or `deal` or `eagle`?
    "#]]
    .assert_eq(&restore(&words.join(" ")));
    words[4] = "abandon";
    expect![[r#"
        error: this is not a recovery phrase
          because: these words do not belong together: one is wrong or out of place
        hint: compare each word with what you wrote down, and their order
    "#]]
    .assert_eq(&restore(&words.join(" ")));
    assert!(!world.path("x").exists());
}

#[test]
fn write_takes_arguments_and_standard_input() {
    let world = World::new();
    let home = world.home("ana");
    let written = home.json(&["write", "two", "words", "--channel", "tea"]);
    assert_eq!((&written["feed"], &written["seq"]), (&home.feed.clone().into(), &3.into()));
    home.call(&["write"]).input("from a pipe\nwith two lines\n\n").ok();
    home.call(&["write", "-"]).input("from a dash").ok();
    let rows = home.lines(&["query", "--type", "post", "--order", "arrival"]);
    assert_eq!(texts(&rows), ["two words", "from a pipe\nwith two lines", "from a dash"]);
    assert_eq!(rows[0]["id"], written["id"]);
    assert_eq!((&rows[0]["channel"], &rows[1]["channel"]), (&"tea".into(), &().into()));
    assert_eq!(rows[0]["time"], NOW);
}

#[test]
fn write_refuses_what_is_no_message() {
    let world = World::new();
    let home = world.home("ana");
    expect![[r#"
        error: there is nothing to write
        hint: give the text as an argument, or pipe it in
    "#]]
    .assert_eq(&home.call(&["write"]).input(" \n").fails(1));
    expect![[r#"
        error: what is on standard input is not text
          because: invalid utf-8 sequence of 1 bytes from index 1
        hint: text is UTF-8
    "#]]
    .assert_eq(&home.call(&["write"]).input(b"a\xff").fails(1));
    expect![[r#"
        error: this cannot be written
          because: the content takes 20012 bytes; an entry holds 16384
        hint: write it in several entries
    "#]]
    .assert_eq(&home.call(&["write"]).input("x".repeat(20_000)).fails(1));
    let err = home.call(&["write"]).input("x".repeat(100_000)).fails(1);
    assert!(err.starts_with("error: what is on standard input is too long\n"), "{err}");
    let err = home.call(&["write", "x", "--ttl", "11y"]).fails(2);
    assert!(err.contains("is not a time to live"), "{err}");
    let err = home.call(&["write", "x", "--channel", "a\tb"]).fails(1);
    assert!(err.contains("name of a channel"), "{err}");
    assert_eq!(home.feed_row(&home.feed)["held"], 1, "not even the name is public yet");
}

#[test]
fn an_answer_stays_in_the_channel_of_what_it_answers() {
    let world = World::new();
    let home = world.home("ana");
    let asked = home.json(&["write", "tea?", "--channel", "tea"]);
    let asked = asked["id"].as_str().unwrap();
    home.ok(&["write", "yes", "--reply-to", asked]);
    home.ok(&["write", "--reply-to", &asked[..14], "with milk"]);
    let rows = home.lines(&["query", "--channel", "tea"]);
    assert_eq!(texts(&rows), ["tea?", "yes", "with milk"]);
    let kinds: Vec<_> = rows.iter().map(|row| row["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["post", "reply", "reply"]);
    let counts: Vec<_> = rows.iter().map(|row| row["parents"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [0, 1, 2], "an answer names what it answers, then the newest");
    assert_eq!(rows[2]["lamport"], 3);
    let err = home.call(&["write", "x", "--reply-to", "entry1qqqqqqqq"]).fails(1);
    assert!(err.starts_with("error: no entry here has the id `entry1qqqqqqqq`"), "{err}");
    let err = home.call(&["write", "x", "--reply-to", &home.feed]).fails(1);
    assert!(err.contains("the id of a feed where that of an entry is due"), "{err}");
}

#[test]
fn what_is_taken_back_is_gone_and_its_place_stays() {
    let world = World::new();
    let home = world.home("ana");
    let first = home.json(&["write", "one"]);
    for text in ["two", "three", "four"] {
        home.ok(&["write", text]);
    }
    let out = home.ok(&["retract", first["id"].as_str().unwrap(), "5-6"]);
    assert!(out.starts_with("Taken back, by entry 7 of your feed: entry1"), "{out}");
    assert_eq!(texts(&home.lines(&["query", "--type", "post"])), ["two"]);
    let rows = crate::world::parse(&home.ok(&["export", &home.feed]));
    let states: Vec<_> = rows.iter().map(|row| row["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["here", "here", "absent", "here", "absent", "absent", "here"]);
    assert_eq!(home.json(&["status"])["retracted"], 3);
    for (typed, says) in [
        ("1", "entry 1 holds the feed together"),
        ("99", "your feed has 7 entries"),
        ("6-5", "the first number is larger"),
        ("nobody", "names no entry"),
    ] {
        let err = home.call(&["retract", typed]).fails(1);
        assert!(err.contains(says), "{typed}: {err}");
    }
    home.ok(&["doctor"]);
}

#[test]
fn only_the_author_takes_an_entry_back() {
    let world = World::new();
    let (ana, bo) = (world.home("ana"), world.home("bo"));
    let entry = ana.json(&["write", "mine"]);
    let stick = world.folder("stick");
    ana.bundle(&stick);
    bo.ok(&["bundle", "read", "stick"]);
    let err = bo.call(&["retract", entry["id"].as_str().unwrap()]).fails(1);
    assert!(err.contains("is not of your feed"), "{err}");
}

#[test]
fn a_message_can_have_a_lifetime() {
    let world = World::new();
    let home = world.home("ana");
    let clock = |tick: u64, words: &[&str]| {
        home.call(words).env("THISTLE_TICK", tick.to_string()).env("THISTLE_BOOT", "7")
    };
    clock(0, &["write", "soon gone", "--ttl", "2h"]).ok();
    clock(0, &["write", "stays"]).ok();
    let hour = 3_600_000;
    let before = clock(hour, &["query", "--order", "arrival", "--json"]).ok();
    assert_eq!(texts(&crate::world::parse(&before)), ["soon gone", "stays"]);
    let after = clock(2 * hour + 60_000, &["query", "--json"]).ok();
    assert_eq!(texts(&crate::world::parse(&after)), ["stays"]);
    let status = clock(2 * hour + 60_000, &["status", "--json"]).json();
    assert_eq!(status["expired"], 1);
}

#[test]
fn a_profile_says_how_others_see_one_called() {
    let world = World::new();
    let home = world.home("ana");
    home.ok(&["profile", "Ana Maria", "--about", "grows tea"]);
    assert_eq!(home.feed_row(&home.feed)["name"], "Ana Maria");
    let err = home.call(&["profile", "Ana", "--about", &"x".repeat(1025)]).fails(1);
    assert!(err.contains("1025 bytes, the limit is 1024"), "{err}");
}

/// A copied home is used twice; where the branches meet, the own feed goes on in a new one.
#[test]
fn a_feed_that_went_on_in_a_copy_is_retired_and_its_successor_confirmed() {
    let world = World::new();
    let home = world.home("ana");
    home.ok(&["write", "before"]);
    let copy = world.folder("copy");
    std::fs::copy(home.path().join("store.redb"), copy.join("store.redb")).unwrap();
    home.ok(&["write", "here"]);
    world.at("copy", &["write", "there"]).ok();
    let stick = world.folder("stick");
    world.at("copy", &["bundle", "create", "--plain", "stick"]).ok();
    drop(stick);
    let run = home.call(&["bundle", "read", "stick", "--json"]).run();
    assert_eq!(run.code, 0, "{}", run.err);
    let new = home.json(&["status"])["feed"].as_str().unwrap().to_owned();
    assert_ne!(new, home.feed);
    let err = without_ids(&run.err, &[(&home.feed, "old"), (&new, "new")]);
    expect![[r#"
        warning: the feed [old] was continued in two ways from entry 4 on; both stay readable, and nothing more of it is taken in
        warning: your feed [old~] was continued elsewhere, by a copy of this home or from an old backup; it goes on as [new]
        hint: run `thistle confirm` with your recovery phrase, so that others know it is you; and use only one copy of a home
    "#]]
    .assert_eq(&err);
    let row = home.feed_row(&home.feed);
    assert_eq!((&row["retired"], &row["forked"]), (&true.into(), &4.into()));
    assert_eq!(home.feed_row(&new)["confirmed"], false);
    assert!(home.ok(&["status"]).contains("(unconfirmed: run `thistle confirm`)"));

    let other = world.home("bo");
    let err = home.call(&["confirm"]).input(&other.phrase).fails(1);
    assert!(err.starts_with("error: this is the phrase of another account\n"), "{err}");
    home.call(&["confirm"]).input(&home.phrase).ok();
    assert_eq!(home.feed_row(&new)["confirmed"], true);
    let out = home.call(&["confirm"]).input(&home.phrase).ok();
    assert_eq!(out, "This feed is confirmed already.\n");
    home.ok(&["write", "after"]);
    let rows = home.lines(&["query", "--type", "post"]);
    let mut texts = texts(&rows);
    texts.sort_unstable();
    assert_eq!(texts, ["after", "before", "here", "there"]);
    home.ok(&["doctor"]);
}
