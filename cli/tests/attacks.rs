//! Attacks with a name on what the program does, beside those on the engine: what its log says, whom a
//! name means, what lies on a stick, and what it does without random numbers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::logs::log_of;
use crate::private::{befriend, card, carry, said};
use crate::world::{Home, World};

/// Every form in which bytes come to be written by accident.
fn written(bytes: &[u8]) -> Vec<String> {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let hex = hex.concat();
    let list: Vec<String> = bytes.iter().take(6).map(u8::to_string).collect();
    vec![hex[..12].to_owned(), hex[..12].to_uppercase(), list.join(", ")]
}

/// The Android log of bitchat held session keys and the texts that had been opened.
#[test]
fn bitchat_log_secrets() {
    let world = World::new();
    let (ana, bo) = (world.home("apricot"), world.home("brioche"));
    let stick = world.folder("stick");
    let cards = [card(&ana), card(&bo)];
    world.file("first", "damson passphrase\n");
    world.file("second", "elderberry passphrase\n");
    befriend(&ana, &bo, ["cardamom", "fennel"], &stick);
    let mut log = Vec::new();
    let mut run = |home: &Home<'_>, words: &[&str]| {
        let call = home.call(words).env("THISTLE_PASSPHRASE_FILE", world.path("first"));
        log.extend(log_of(call.env("THISTLE_NEW_PASSPHRASE_FILE", world.path("first"))));
    };
    for _ in 0..2 {
        run(&ana, &["contact", "card"]);
        run(&ana, &["contact", "card", "--image", "card.png"]);
        run(&bo, &["contact", "add", "card.png", "--name", "fennel"]);
        run(&bo, &["contact", "add", &cards[0], "--name", "fennel"]);
        run(&bo, &["contact", "verify", "fennel"]);
        run(&ana, &["contacts"]);
        run(&ana, &["write", "--to", "cardamom", "gooseberry by the mill"]);
        run(&ana, &["group", "create", "horseradish", "cardamom"]);
        run(&ana, &["write", "--to", "horseradish", "gooseberry for all"]);
        run(&ana, &["bundle", "create", "stick"]);
        run(&bo, &["bundle", "read", "stick"]);
        run(&bo, &["read", "--with", "fennel"]);
        run(&bo, &["query", "--with", "horseradish", "--json"]);
        run(&bo, &["write", "--to", "fennel", "gooseberry yourself"]);
        run(&bo, &["bundle", "create", "stick"]);
        run(&ana, &["bundle", "read", "stick"]);
        run(&ana, &["groups"]);
        run(&bo, &["contact", "remove", "nobody of that name, gooseberry"]);
        run(&bo, &["passphrase"]);
        run(&bo, &["status"]);
    }
    assert!(log.len() > 200, "{} lines", log.len());
    let words = [
        "apricot",
        "brioche",
        "cardamom",
        "fennel",
        "gooseberry",
        "horseradish",
        "damson",
        "elderberry",
    ];
    let mut secrets: Vec<String> = words.map(str::to_owned).to_vec();
    let id = |text: &str| text.split_once('1').unwrap().1[..8].to_owned();
    for home in [&ana, &bo] {
        secrets.extend([id(&home.feed), id(&home.account)]);
        let words: Vec<&str> = home.phrase.split(' ').collect();
        secrets.extend(words.windows(2).map(|pair| pair.join(" ")));
    }
    secrets.extend(cards.iter().map(|card| id(card)));
    // The keys that lie beside the store, and the beginning of the store itself.
    for home in [&ana, &bo] {
        for file in fs::read_dir(home.path()).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap_or_default();
            for at in [8, 4_104] {
                let key = bytes.get(at..at + 32).unwrap_or_default();
                if key.iter().collect::<BTreeSet<_>>().len() > 16 {
                    secrets.extend(written(key));
                }
            }
        }
    }
    assert!(secrets.len() > 60, "{}", secrets.len());
    for secret in &secrets {
        let told = log.iter().find(|line| line.contains(secret.as_str()));
        assert_eq!(told, None, "`{secret}` is in the log");
    }
    // Nobody is told in an error or a log why something did not open.
    assert!(log.iter().all(|line| !line.contains("padding") && !line.contains("mac ")));
}

/// bitchat let anybody take the nickname of anybody else (BCH-01-003): whoever typed it wrote to both.
#[test]
fn a_name_that_could_mean_two_is_refused_by_every_command_that_takes_one() {
    let world = World::new();
    let [ana, bo, cy] = ["ana", "Miller", "miller"].map(|name| world.home(name));
    let stick = world.folder("stick");
    for other in [&bo, &cy] {
        other.ok(&["write", "good morning"]);
        ana.ok(&["contact", "add", &card(other), "--verified"]);
        other.ok(&["contact", "add", &card(&ana), "--verified"]);
        carry(other, &ana, &stick);
    }
    ana.ok(&["group", "create", "bakers", &bo.account, &cy.account]);
    let before = ana.json(&["status"]);
    let calls: [&[&str]; 17] = [
        &["write", "--to", "Miller", "for which of them?"],
        &["read", "--with", "Miller"],
        &["query", "--with", "Miller"],
        &["contact", "verify", "Miller"],
        &["contact", "name", "Miller", "Bo"],
        &["contact", "remove", "Miller"],
        &["contact", "carry", "Miller"],
        &["group", "create", "mill", "Miller"],
        &["group", "add", "bakers", "Miller"],
        &["group", "remove", "bakers", "Miller"],
        &["follow", "Miller"],
        &["unfollow", "Miller"],
        &["block", "Miller"],
        &["unblock", "Miller"],
        &["name", "Miller", "Bo"],
        &["bundle", "create", "stick", "--plain", "--for", "Miller"],
        &["export", "Miller"],
    ];
    for words in calls {
        let err = ana.call(words).fails(1);
        let refused = err.contains("could mean 2") || err.contains("could mean several");
        assert!(refused, "{words:?}: {err}");
        // The ids of both are shown, by which one of them can be meant.
        assert!(err.contains("hint: type the id"), "{words:?}: {err}");
    }
    let after = ana.json(&["status"]);
    assert_eq!(before, after, "nothing was done");
    assert!(said(&ana, &bo.account).is_empty() && said(&ana, &cy.account).is_empty());
    // Wherever both are named they are told apart.
    let feeds = ana.ok(&["feeds"]);
    assert_eq!(feeds.matches("iller (").count(), 2, "{feeds}");
}

fn only_file(folder: &Path) -> std::path::PathBuf {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

/// Briar's files for a stick were named by the time and as long as what was in them.
#[test]
fn a_stick_with_one_message_and_one_with_five_hundred_look_alike() {
    let world = World::new();
    let (mut names, mut sizes) = (Vec::new(), BTreeSet::new());
    for (number, count) in [(0, 1), (1, 500)] {
        let [ana, bo] = ["ana", "bo"].map(|name| world.home_in(&format!("{name}{number}"), name));
        ana.ok(&["contact", "add", &card(&bo), "--verified"]);
        let line = |n: usize| format!(r#"{{"author":"Cy","time":{n},"text":"canary {n}"}}"#);
        let lines: Vec<String> = (0..count).map(line).collect();
        world.file("some.jsonl", lines.join("\n"));
        ana.ok(&["import", "some.jsonl"]);
        let stick = world.folder(&format!("stick{number}"));
        ana.ok(&["bundle", "create", stick.to_str().unwrap()]);
        let file = only_file(&stick);
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(name.len(), 20);
        assert!(name.bytes().all(|it| it.is_ascii_lowercase() || (b'2'..=b'7').contains(&it)));
        let bytes = fs::read(&file).unwrap();
        sizes.insert(bytes.len());
        for word in [&b"canary"[..], b"thistle", b"thistledown"] {
            assert!(!bytes.windows(word.len()).any(|at| at == word));
        }
        names.push(name);
    }
    assert_eq!(sizes.len(), 1, "one size: {sizes:?}");
    assert_ne!(names[0], names[1]);
}

/// A private word never goes in clear because it could not be sealed.
#[test]
fn what_cannot_be_sealed_is_not_written_in_clear() {
    let world = World::new();
    let [ana, bo] = ["ana", "bo"].map(|name| world.home(name));
    let stick = world.folder("stick");
    let err = ana.call(&["write", "--to", "bo", "canary one"]).fails(1);
    assert!(err.contains("no contact or group is called `bo`"), "{err}");
    let err = ana.call(&["bundle", "create", "stick"]).fails(2);
    assert!(err.contains("so nobody could open a sealed bundle"), "{err}");
    assert_eq!(fs::read_dir(&stick).unwrap().count(), 0);
    ana.ok(&["contact", "add", &card(&bo)]);
    let told = ana.ok(&["write", "--to", "bo", "canary two"]);
    assert!(told.contains("will be sealed once"), "{told}");
    let plain = ana.bundle(&stick);
    let bytes = fs::read(plain).unwrap();
    assert!(!bytes.windows(6).any(|at| at == b"canary"));
}
