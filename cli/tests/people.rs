//! `follow`, `block`, `name`, `feeds`, and who is meant.

use thistle_engine::account::{AccountKey, Phrase};
use thistle_engine::content::{Carry, Content, Post, Profile};
use thistle_engine::key::Seed;
use thistle_engine::time::Now;
use thistle_engine::{BundleRequest, InMemoryBackend, Node, Setup};

use crate::world::{NOW, World};

/// A bundle of somebody who is called `name` and wrote `text`, whatever the program would refuse.
fn stranger(seed: u8, name: &str, text: &str) -> Vec<u8> {
    let account = AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new([seed; 32])));
    let now = Now { tick: 0, wall: NOW * 1000, boot_id: 1 };
    let seed = Seed::new([seed; 32]);
    let disk = InMemoryBackend::new();
    let setup = Setup { carry: Carry::Open, name: None, cache_bytes: 1 << 20 };
    let mut node = Node::create(disk, &account, setup, seed, now).unwrap();
    let profile = Profile { time: NOW, name: name.to_owned(), about: String::new() };
    node.write(now, &Content::Profile(profile), 0).unwrap();
    let post = Post {
        time: NOW,
        text: text.to_owned(),
        channel: Some(name.to_owned()),
        ..Post::default()
    };
    node.write(now, &Content::Post(post), 0).unwrap();
    let mut source = node.reader().unwrap().bundle(&BundleRequest::default()).unwrap();
    let mut bytes = Vec::new();
    while let Some(chunk) = source.poll().unwrap() {
        bytes.extend(chunk);
    }
    bytes
}

#[test]
fn what_others_wrote_cannot_steer_the_terminal() {
    let world = World::new();
    let ana = world.home("ana");
    let evil = "Bo\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}";
    world.file("evil.thistle", stranger(1, evil, "hi\u{1b}[31m\r\nthere\u{9b}2J\u{0}"));
    ana.ok(&["bundle", "read", "evil.thistle"]);
    for words in [&["read"][..], &["query"], &["feeds"], &["bundle", "show", "evil.thistle"]] {
        let out = ana.ok(words);
        let bad = |ch: char| (ch.is_control() && ch != '\n') || ch == '\u{202e}';
        assert!(!out.contains(bad), "{words:?}: {out:?}");
        assert!(out.contains("Bo"), "{words:?}: {out:?}");
    }
    assert!(ana.ok(&["read"]).contains("  hi\n  there\n"));
    let rows = ana.lines(&["query", "--text", "there"]);
    assert_eq!((&rows[0]["name"], &rows[0]["channel"]), (&evil.into(), &evil.into()));
}

#[test]
fn names_that_can_be_confused_stand_beside_their_ids_and_are_refused() {
    let world = World::new();
    let ana = world.home("ana");
    for (seed, name) in [(1, "Bo"), (2, "B\u{43e}"), (3, "Cy")] {
        world.file("one.thistle", stranger(seed, name, &format!("from {seed}")));
        ana.ok(&["bundle", "read", "one.thistle"]);
    }
    let out = ana.ok(&["read"]);
    assert_eq!(out.matches("Bo (").count(), 1, "{out}");
    assert_eq!(out.matches("B\u{43e} (").count(), 1, "{out}");
    assert!(out.contains("Cy  #Cy"), "{out}");
    world.file("one.thistle", stranger(4, "cy", "from 4"));
    ana.ok(&["bundle", "read", "one.thistle"]);
    let err = ana.call(&["follow", "Cy"]).fails(1);
    assert!(err.starts_with("error: `Cy` could mean 2 feeds\n  because: "), "{err}");
    assert!(err.ends_with("hint: type the id in the brackets\n"), "{err}");
    let err = ana.call(&["follow", "Cyy"]).fails(1);
    assert!(err.contains("did you mean"), "{err}");
}

#[test]
fn following_and_blocking_stay_on_this_device() {
    let world = World::new();
    let (ana, bo) = (world.home("ana"), world.home("bo"));
    let stick = world.folder("stick");
    bo.ok(&["write", "hello"]);
    bo.bundle(&stick);
    // Somebody can be followed of whom nothing has come yet.
    assert!(ana.ok(&["follow", &bo.feed]).contains("You follow"));
    assert_eq!(ana.feed_row(&bo.feed)["held"], 0);
    ana.ok(&["bundle", "read", "stick"]);
    let row = ana.feed_row(&bo.feed);
    assert_eq!(
        (&row["class"], &row["held"], &row["name"]),
        (&"followed".into(), &3.into(), &"bo".into())
    );
    assert!(row["bytes"].as_u64().unwrap() > 0);
    ana.ok(&["unfollow", "bo"]);
    assert_eq!(ana.feed_row(&bo.feed)["class"], "stranger");
    ana.ok(&["block", "bo"]);
    let row = ana.feed_row(&bo.feed);
    assert_eq!((&row["blocked"], &row["held"]), (&true.into(), &0.into()));
    let said = ana.json(&["bundle", "read", "stick"]);
    assert_eq!((&said["entries_new"], &said["left_out"]), (&0.into(), &3.into()));
    assert_eq!(said["left_out_feeds"][0]["why"], "the feed is blocked");
    ana.ok(&["unblock", &bo.feed]);
    ana.ok(&["bundle", "read", "stick"]);
    assert_eq!(ana.feed_row(&bo.feed)["held"], 3);
    assert_eq!(ana.feed_row(&ana.feed)["held"], 1, "nothing of it was published");
    let err = ana.call(&["block", "ana"]).fails(1);
    assert_eq!(err, "error: you cannot block your own feed\n");
}

#[test]
fn a_public_follow_brings_the_feed_to_those_who_follow_its_author() {
    let world = World::new();
    let (ana, bo, cy) = (world.home("ana"), world.home("bo"), world.home("cy"));
    let stick = world.folder("stick");
    cy.bundle(&stick);
    assert!(bo.ok(&["follow", &cy.feed, "--public"]).contains("publicly"));
    // Once is enough.
    bo.ok(&["follow", &cy.feed, "--public"]);
    assert_eq!(bo.feed_row(&bo.feed)["held"], 3);
    bo.bundle(&stick);
    ana.ok(&["follow", &bo.feed]);
    ana.ok(&["bundle", "read", "stick"]);
    assert_eq!(ana.feed_row(&cy.feed)["class"], "followed");
    assert_eq!(ana.json(&["hops", "0"])["hops"], 0);
    assert_eq!(ana.feed_row(&cy.feed)["class"], "stranger");
    assert!(ana.ok(&["hops", "1"]).contains("publicly follow"));
    assert_eq!(ana.feed_row(&cy.feed)["class"], "followed");
    ana.call(&["hops", "4"]).fails(2);
    bo.ok(&["unfollow", &cy.feed]);
    bo.bundle(&stick);
    ana.ok(&["bundle", "read", "stick"]);
    assert_eq!(ana.feed_row(&cy.feed)["class"], "stranger");
}

#[test]
fn a_petname_stands_before_what_a_feed_calls_itself() {
    let world = World::new();
    let (ana, bo) = (world.home("ana"), world.home("bo"));
    let stick = world.folder("stick");
    bo.ok(&["write", "hello"]);
    bo.bundle(&stick);
    ana.ok(&["bundle", "read", "stick"]);
    assert_eq!(ana.ok(&["name", "bo", "The  Miller"]), "You call bo The Miller now.\n");
    let row = ana.feed_row(&bo.feed);
    assert_eq!((&row["name"], &row["petname"]), (&"The Miller".into(), &"The Miller".into()));
    assert!(ana.ok(&["read"]).starts_with("The Miller  "));
    assert_eq!(ana.lines(&["query", "--from", "the miller", "--type", "post"]).len(), 1);
    assert_eq!(ana.lines(&["query", "--from", "bo", "--type", "post"]).len(), 1);
    let run = ana.call(&["name", &bo.feed, "anа"]).run();
    assert_eq!(run.code, 0);
    assert!(run.err.starts_with("warning: the name is like that of ana ("), "{}", run.err);
    ana.ok(&["name", &bo.feed, ""]);
    assert_eq!(ana.feed_row(&bo.feed)["name"], "bo");
    let err = ana.call(&["name", "bo", "feed1x"]).fails(1);
    assert!(err.contains("cannot begin with `feed1`"), "{err}");
}

#[test]
fn a_mistyped_id_is_told_from_an_unknown_one() {
    let world = World::new();
    let ana = world.home("ana");
    let mut id = ana.feed.clone();
    let last = if id.pop() == Some('q') { 'p' } else { 'q' };
    id.push(last);
    let err = ana.call(&["follow", &id]).fails(1);
    assert!(err.contains("because: the checksum does not fit"), "{err}");
    let err = ana.call(&["follow", "zz"]).fails(1);
    assert!(err.starts_with("error: no feed is called `zz`, and none has that id\n"), "{err}");
}
