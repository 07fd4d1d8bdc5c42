//! Private messages as people use them: cards, sticks, a carrier who learns nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::world::{Home, World};

pub(crate) fn card(home: &Home<'_>) -> String {
    home.json(&["contact", "card"])["card"].as_str().unwrap().to_owned()
}

/// Two people who added each other and hold each other's feeds, by a stick.
pub(crate) fn befriend(one: &Home<'_>, other: &Home<'_>, names: [&str; 2], stick: &Path) {
    one.ok(&["contact", "add", &card(other), "--name", names[0], "--verified"]);
    other.ok(&["contact", "add", &card(one), "--name", names[1], "--verified"]);
    carry(one, other, stick);
    carry(other, one, stick);
}

/// Carries a stick from one to the other; what was on it before is gone.
pub(crate) fn carry(from: &Home<'_>, to: &Home<'_>, stick: &Path) {
    for file in fs::read_dir(stick).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    from.bundle(stick);
    to.ok(&["bundle", "read", stick.to_str().unwrap()]);
}

/// All bytes of all files of a home.
pub(crate) fn bytes_of(home: &Home<'_>) -> Vec<u8> {
    let files = fs::read_dir(home.path()).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.is_file()).flat_map(|path| fs::read(path).unwrap()).collect()
}

/// A thousand words that are nowhere else.
pub(crate) fn canaries() -> Vec<String> {
    (0..1_000).map(|n| format!("canary{:05}", n * 7_919 % 99_991)).collect()
}

pub(crate) fn said(home: &Home<'_>, with: &str) -> Vec<Value> {
    home.lines(&["query", "--with", with])
}

#[test]
fn a_private_message_crosses_a_stranger_who_learns_nothing_of_it() {
    let world = World::new();
    let [ana, bo, cy] = ["Anastasia", "Boniface", "Cyprian"].map(|name| world.home(name));
    let stick = world.folder("stick");
    befriend(&ana, &cy, ["My Cyprian", "My Anastasia"], &stick);
    let words = canaries();
    for words in words.chunks(100) {
        let sent = ana.json(&["write", "--to", "My Cyprian", &words.join(" ")]);
        assert_eq!((&sent["to"], &sent["state"]), (&"My Cyprian".into(), &"written".into()));
    }
    carry(&ana, &bo, &stick);
    carry(&bo, &cy, &stick);
    let heard: Vec<String> = said(&cy, "My Anastasia")
        .iter()
        .map(|said| said["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(heard, words.chunks(100).map(|words| words.join(" ")).collect::<Vec<_>>());
    carry(&cy, &bo, &stick);
    carry(&bo, &ana, &stick);
    let states: BTreeSet<String> = said(&ana, "My Cyprian")
        .iter()
        .map(|said| said["state"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(states, BTreeSet::from(["delivered".to_owned()]));
    let held = bytes_of(&bo);
    let found = |word: &str| held.windows(word.len()).any(|bytes| bytes == word.as_bytes());
    for name in ["Anastasia", "Cyprian"] {
        assert!(!found(name), "{name}");
    }
    let held: BTreeSet<&[u8]> = held.windows(11).filter(|at| at.starts_with(b"canary")).collect();
    assert!(held.is_empty(), "{held:?}");
    // The search is able to find: the writer keeps its history under keys, the name in the clear.
    assert!(bytes_of(&ana).windows(9).any(|bytes| bytes == b"Anastasia"));
}

#[test]
fn how_far_a_message_came_is_told_step_by_step() {
    let world = World::new();
    let [ana, bo] = ["ana", "bo"].map(|name| world.home(name));
    let stick = world.folder("stick");
    ana.ok(&["contact", "add", &card(&bo), "--name", "Bo"]);
    bo.ok(&["contact", "add", &card(&ana), "--name", "Ana"]);
    let state = || said(&ana, "Bo")[0]["state"].as_str().unwrap().to_owned();
    let told = ana.ok(&["write", "--to", "Bo", "are you there?"]);
    assert!(told.contains("It is kept here and will be sealed once something of Bo"), "{told}");
    assert_eq!(state(), "waiting");
    carry(&bo, &ana, &stick);
    assert_eq!(state(), "written");
    carry(&ana, &bo, &stick);
    assert_eq!(state(), "carried");
    assert_eq!(said(&bo, "Ana")[0]["text"], "are you there?");
    carry(&bo, &ana, &stick);
    assert_eq!(state(), "delivered");
    assert!(bo.ok(&["read", "--with", "Ana"]).contains("are you there?"));
    carry(&bo, &ana, &stick);
    assert_eq!(state(), "read");
}

#[test]
fn a_card_is_a_link_and_a_picture_and_is_compared_by_words() {
    let world = World::new();
    let [ana, bo, cy] = ["ana", "bo", "cy"].map(|name| world.home(name));
    let made = ana.json(&["contact", "card"]);
    let (card, words) = (made["card"].as_str().unwrap(), made["words"].as_str().unwrap());
    assert!(card.starts_with("thistle:card1") && card.len() < 310, "{card}");
    assert_eq!(words.split(' ').count(), 8);
    let told = bo.ok(&["contact", "add", card]);
    assert!(told.contains(words), "{told}");
    let contact = bo.json(&["contacts"]);
    assert_eq!((&contact["name"], &contact["verified"]), (&"ana".into(), &false.into()));
    assert_eq!(contact["account"], ana.account);
    assert_eq!(bo.ok(&["contact", "verify", "ana"]), "ana: verified.\n");
    ana.ok(&["contact", "card", "--image", "ana.png"]);
    ana.ok(&["contact", "card", "--image", "ana.svg"]);
    let read = cy.json(&["contact", "add", "ana.png", "--name", "Ana of the mill"]);
    assert_eq!(
        (&read["account"], &read["name"]),
        (&ana.account.clone().into(), &"Ana of the mill".into())
    );
    for (typed, says) in [
        ("thistle:card1qqqq".to_owned(), "the checksum does not fit"),
        (card.replace("card1s", "card1q"), "the checksum does not fit"),
        (card[..200].to_owned(), "the checksum does not fit"),
        ("ana.svg".to_owned(), "this is not a contact card"),
        (ana.feed.clone(), "not an id"),
    ] {
        let err = cy.call(&["contact", "add", &typed]).fails(1);
        assert!(err.contains(says) || err.contains("this is not a contact card"), "{err}");
    }
    let err = ana.call(&["contact", "add", card]).fails(1);
    assert_eq!(err, "error: this is your own card\n");
    cy.ok(&["contact", "remove", "Ana of the mill"]);
    assert!(cy.lines(&["contacts"]).is_empty());
    let err = cy.call(&["write", "--to", "ana", "hello"]).fails(1);
    assert!(err.contains("no contact or group is called `ana`"), "{err}");
}

#[test]
fn a_name_is_not_published_before_the_first_public_word() {
    let world = World::new();
    let [ana, bo] = ["ana", "bo"].map(|name| world.home(name));
    let stick = world.folder("stick");
    carry(&ana, &bo, &stick);
    assert_eq!(bo.feed_row(&ana.feed)["name"], Value::Null);
    assert_eq!(ana.feed_row(&ana.feed)["name"], "ana", "the own name is known here");
    ana.ok(&["write", "good morning"]);
    carry(&ana, &bo, &stick);
    assert_eq!(bo.feed_row(&ana.feed)["name"], "ana");
    assert_eq!(bo.feed_row(&ana.feed)["held"], 3);
}

#[test]
fn a_stick_is_sealed_for_contacts_and_shows_nothing_to_others() {
    let world = World::new();
    let [ana, bo, cy] = ["ana", "bo", "cy"].map(|name| world.home(name));
    let stick = world.folder("stick");
    befriend(&ana, &bo, ["Bo", "Ana"], &stick);
    for file in fs::read_dir(&stick).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    ana.ok(&["write", "the bridge is out, canary one"]);
    ana.ok(&["write", "--to", "Bo", "come by the mill"]);
    let made = ana.json(&["bundle", "create", "stick"]);
    assert_eq!(made["paths"].as_array().unwrap().len(), 1, "{made}");
    let files = || -> Vec<_> {
        let files = fs::read_dir(&stick).unwrap().map(|file| file.unwrap().path());
        files.collect()
    };
    let bytes = fs::read(&files()[0]).unwrap();
    let shows = |word: &str| bytes.windows(word.len()).any(|at| at == word.as_bytes());
    // Words of six letters: shorter ones stand in random bytes now and then.
    assert!(!shows("canary") && !shows("bridge") && !shows("thistle"));
    let told = cy.ok(&["bundle", "read", "stick"]);
    assert!(told.contains("Nothing for you"), "{told}");
    assert!(cy.lines(&["feeds"]).iter().all(|row| row["feed"] != *ana.feed));
    bo.ok(&["bundle", "read", "stick"]);
    assert_eq!(said(&bo, "Ana")[0]["text"], "come by the mill");
    assert_eq!(bo.lines(&["query", "--text", "canary"]).len(), 1);
    // The answer goes the same way, and then there is nothing to leave any more.
    bo.ok(&["bundle", "create", "stick"]);
    ana.ok(&["bundle", "read", "stick"]);
    assert_eq!(said(&ana, "Bo")[0]["state"], "delivered");
    ana.ok(&["bundle", "create", "stick"]);
    bo.ok(&["bundle", "read", "stick"]);
    bo.ok(&["bundle", "create", "stick"]);
    ana.ok(&["bundle", "read", "stick"]);
    let again = ana.ok(&["bundle", "create", "stick"]);
    assert!(again.contains("Nothing is new for anybody there"), "{again}");
}

#[test]
fn a_sealed_stick_is_for_members_of_a_group_who_are_no_contacts_too() {
    let world = World::new();
    let [ana, bo, cy] = ["ana", "bo", "cy"].map(|name| world.home(name));
    let stick = world.folder("stick");
    befriend(&ana, &bo, ["Bo", "Ana"], &stick);
    befriend(&ana, &cy, ["Cy", "Ana"], &stick);
    ana.ok(&["group", "create", "mill", "Bo", "Cy"]);
    for (from, to) in [(&ana, &bo), (&ana, &cy), (&bo, &cy), (&cy, &bo)] {
        carry(from, to, &stick);
    }
    bo.ok(&["write", "--to", "mill", "the first words"]);
    let sealed = |home: &Home<'_>, name: &str| {
        let stick = world.folder(name);
        home.ok(&["bundle", "create", stick.to_str().unwrap()]);
        stick
    };
    let read =
        |home: &Home<'_>, stick: &Path| home.ok(&["bundle", "read", stick.to_str().unwrap()]);
    let heard = |home: &Home<'_>| said(home, "mill").len();
    // Cy has to hear of how Bo's words begin in another way first.
    assert!(read(&cy, &sealed(&bo, "too early")).contains("Nothing for you"));
    carry(&bo, &cy, &stick);
    assert_eq!(heard(&cy), 1);
    bo.ok(&["write", "--to", "mill", "the second words"]);
    read(&cy, &sealed(&bo, "in time"));
    assert_eq!(heard(&cy), 2);
    // Who is put out finds nothing any more.
    ana.ok(&["group", "remove", "mill", "Cy"]);
    carry(&ana, &bo, &stick);
    bo.ok(&["write", "--to", "mill", "without Cy"]);
    assert!(read(&cy, &sealed(&bo, "too late")).contains("Nothing for you"));
}

#[test]
fn who_is_added_to_a_group_with_history_reads_what_was_said_and_who_handed_it_on() {
    let world = World::new();
    let [ana, bo, cy] = ["ana", "bo", "cy"].map(|name| world.home(name));
    let stick = world.folder("stick");
    befriend(&ana, &bo, ["Bo", "Ana"], &stick);
    befriend(&ana, &cy, ["Cy", "Ana"], &stick);
    let made = ana.ok(&["group", "create", "Mill", "Bo", "--history"]);
    assert!(made.contains("handed what was said before"), "{made}");
    carry(&ana, &bo, &stick);
    bo.ok(&["write", "--to", "Mill", "the bridge is open"]);
    carry(&bo, &ana, &stick);
    ana.ok(&["group", "add", "Mill", "Cy"]);
    carry(&ana, &cy, &stick);
    carry(&ana, &cy, &stick);
    assert_eq!(cy.json(&["groups"])["history"], true);
    assert!(cy.ok(&["groups"]).contains("handed what was said before"));
    ana.ok(&["write", "--to", "Mill", "welcome, Cy"]);
    carry(&ana, &cy, &stick);
    let (found, ana_is) = (said(&cy, "Mill"), cy.json(&["contacts"])["account"].clone());
    let told: Vec<_> = found.iter().map(|said| (&said["text"], &said["handed_on_by"])).collect();
    let nobody = Value::Null;
    let bridge = "the bridge is open".into();
    assert_eq!(told, [(&bridge, &ana_is), (&"welcome, Cy".into(), &nobody)]);
    let read = cy.ok(&["read", "--with", "Mill"]);
    assert!(read.contains("handed on by Ana"), "{read}");
}

#[test]
fn a_group_is_read_by_its_members_and_by_nobody_who_left() {
    let world = World::new();
    let [ana, bo, cy] = ["ana", "bo", "cy"].map(|name| world.home(name));
    let stick = world.folder("stick");
    befriend(&ana, &bo, ["Bo", "Ana"], &stick);
    befriend(&ana, &cy, ["Cy", "Ana"], &stick);
    let mix = || {
        for _ in 0..2 {
            for [from, to] in [[&ana, &bo], [&bo, &cy], [&cy, &ana], [&ana, &cy]] {
                carry(from, to, &stick);
            }
        }
    };
    let made = ana.json(&["group", "create", "Mill", "Bo", "Cy"]);
    assert!(made["group"].as_str().unwrap().starts_with("group1"));
    mix();
    let group = bo.json(&["groups"]);
    assert_eq!((&group["name"], group["members"].as_array().unwrap().len()), (&"Mill".into(), 3));
    bo.ok(&["write", "--to", "Mill", "all here?"]);
    mix();
    assert_eq!(said(&cy, "Mill")[0]["text"], "all here?");
    let err = bo.call(&["group", "remove", "Mill", "Ana"]).fails(1);
    assert!(err.contains("only admins add, remove"), "{err}");
    ana.ok(&["group", "remove", "Mill", "Cy"]);
    ana.ok(&["write", "--to", "Mill", "without cy"]);
    mix();
    assert_eq!(said(&bo, "Mill").len(), 2);
    assert_eq!(said(&cy, "Mill").len(), 1);
    let err = cy.call(&["write", "--to", "Mill", "hello?"]).fails(1);
    assert!(err.contains("you cannot write to Mill any more"), "{err}");
}

#[test]
fn two_contacts_of_one_name_are_told_apart() {
    let world = World::new();
    let [ana, bo, cy, dora] = ["ana", "bo", "cy", "dora"].map(|name| world.home(name));
    let accounts = [&bo, &cy, &dora].map(|home| {
        let (card, name) = (card(home), if home.path() == dora.path() { "Dora" } else { "Sam" });
        let added = ana.json(&["contact", "add", &card, "--name", name, "--verified"]);
        added["account"].as_str().unwrap().to_owned()
    });
    let [bo, cy] =
        [0, 1].map(|at| format!("Sam ({})", &accounts[at].split_once('1').unwrap().1[..8]));
    ana.ok(&["group", "create", "mill", &accounts[0], &accounts[1], "Dora"]);
    let told = ana.ok(&["groups"]);
    assert!(told.contains(&bo) && told.contains(&cy), "{told}");
    assert!(told.contains("Dora") && !told.contains("Dora ("), "{told}");
    let told = ana.ok(&["contacts"]);
    assert!(told.contains(&bo) && told.contains(&cy) && told.contains("Dora  verified"), "{told}");
    let told = ana.ok(&["write", "--to", &accounts[0], "which one?"]);
    assert!(told.contains(&format!("To {bo} alone")), "{told}");
    let told = ana.ok(&["contact", "remove", &accounts[1]]);
    assert_eq!(told, format!("{cy} is your contact no longer.\n"));
}

#[test]
fn what_is_deleted_is_gone_here_alone_and_receipts_can_be_off() {
    let world = World::new();
    let [ana, bo] = ["ana", "bo"].map(|name| world.home(name));
    let stick = world.folder("stick");
    befriend(&ana, &bo, ["Bo", "Ana"], &stick);
    assert_eq!(bo.json(&["receipts"])["receipts"], true);
    let told = bo.ok(&["receipts", "off"]);
    assert!(told.starts_with("Nobody is told"), "{told}");
    ana.ok(&["write", "--to", "Bo", "burn this"]);
    ana.ok(&["write", "--to", "Bo", "keep this"]);
    carry(&ana, &bo, &stick);
    bo.ok(&["read", "--with", "Ana"]);
    carry(&bo, &ana, &stick);
    assert!(said(&ana, "Bo").iter().all(|said| said["state"] == "carried"), "she hears nothing");
    let id = said(&bo, "Ana")[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(bo.ok(&["delete", &id]), "Deleted here: 1 entry.\n");
    carry(&ana, &bo, &stick);
    let left = said(&bo, "Ana");
    assert_eq!((left.len(), &left[0]["text"]), (1, &"keep this".into()));
    assert_eq!(said(&ana, "Bo").len(), 2);
    assert_eq!(bo.json(&["status"])["deleted"], 1);
    let first = bo.call(&["export", &bo.feed]).ok();
    let first: Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    let err = bo.call(&["delete", first["id"].as_str().unwrap()]).fails(1);
    assert!(err.contains("hold their feed together"), "{err}");
}

#[test]
fn two_people_meet_by_one_whom_both_know() {
    let world = World::new();
    let [ana, bo, cy] = ["ana", "bo", "cy"].map(|name| world.home(name));
    let stick = world.folder("stick");
    befriend(&ana, &bo, ["Bo", "Ana"], &stick);
    befriend(&ana, &cy, ["Cy", "Ana"], &stick);
    let told = ana.ok(&["contact", "introduce", "Bo", "Cy"]);
    assert!(told.contains("are sent each other's card"), "{told}");
    carry(&ana, &bo, &stick);
    carry(&ana, &cy, &stick);
    let introduced = bo.json(&["contact", "introductions"]);
    assert_eq!(
        (&introduced["name"], &introduced["account"]),
        (&"cy".into(), &cy.account[..].into())
    );
    assert_eq!(introduced["introduced_by"], ana.account);
    assert_eq!(bo.lines(&["contacts"]).len(), 1);
    let told = bo.ok(&["contact", "accept", "cy", "--name", "Cyprian"]);
    assert!(told.contains("is your contact now") && told.contains("Not verified"), "{told}");
    assert!(bo.ok(&["contacts"]).contains("not verified, introduced by Ana"));
    assert_eq!(cy.ok(&["contact", "decline", "bo"]), "Forgotten.\n");
    assert!(cy.ok(&["contact", "introductions"]).contains("Nobody was introduced"));
    bo.ok(&["contact", "verify", "Cyprian"]);
    assert!(!bo.ok(&["contacts"]).contains("introduced by"));
    let err = ana.call(&["contact", "introduce", "Bo", "Bo"]).fails(2);
    assert!(err.contains("one and the same"), "{err}");
}

#[test]
fn a_lost_device_is_revoked_with_the_phrase() {
    let world = World::new();
    let [ana, bo, dora] = ["ana", "bo", "dora"].map(|name| world.home(name));
    let stick = world.folder("stick");
    befriend(&ana, &bo, ["Bo", "Ana"], &stick);
    carry(&dora, &bo, &stick);
    let made = world.at("phone", &["init", "--name", "bo", "--restore", "--json"]);
    let made = made.input(&bo.phrase).json();
    let phone = made["feed"].as_str().unwrap();
    let bundle = world.at("phone", &["bundle", "create", "--plain", stick.to_str().unwrap()]);
    bundle.ok();
    bo.ok(&["bundle", "read", stick.to_str().unwrap()]);
    assert_eq!(bo.lines(&["devices"]).len(), 2);
    let before = bo.json(&["contact", "card"])["card"].clone();
    let err = bo.call(&["device", "revoke", phone]).input(&ana.phrase).fails(1);
    assert!(err.contains("another account"), "{err}");
    let err = bo.call(&["device", "revoke", &bo.feed]).input(&bo.phrase).fails(1);
    assert!(err.contains("the device that you are using"), "{err}");
    let err = bo.call(&["device", "revoke", &ana.feed]).input(&bo.phrase).fails(1);
    assert!(err.contains("no device of your account"), "{err}");
    let told = bo.call(&["device", "revoke", phone]).input(&bo.phrase).ok();
    assert!(told.starts_with("Revoked, by entry"), "{told}");
    let rows = bo.lines(&["devices"]);
    assert!(rows.iter().any(|row| row["feed"] == phone && row["revoked"] == true), "{rows:?}");
    assert_ne!(bo.json(&["contact", "card"])["card"], before);
    // What the lost device could open as well holds no more than ana has to hear.
    let sealed = world.folder("sealed");
    bo.ok(&["bundle", "create", sealed.to_str().unwrap()]);
    ana.ok(&["bundle", "read", sealed.to_str().unwrap()]);
    let feeds = ana.lines(&["feeds"]);
    let has = |feed: &str| feeds.iter().any(|row| row["feed"] == feed);
    assert_eq!((has(&bo.feed), has(&dora.feed)), (true, false), "{feeds:?}");
    carry(&bo, &ana, &stick);
    // Nobody is told of a device that is revoked as if it were one.
    let told = ana.json(&["contacts"]);
    assert_eq!((&told["verified"], &told["feeds"]), (&true.into(), &vec![bo.feed.clone()].into()));
    ana.ok(&["write", "--to", "Bo", "is it still you?"]);
    carry(&ana, &bo, &stick);
    assert_eq!(said(&bo, "Ana")[0]["text"], "is it still you?");
}
