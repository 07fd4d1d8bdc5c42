//! Contacts recognise each other when homes meet, and what is not for others stays from them.

use std::io::{BufRead as _, BufReader};
use std::process::Child;

use serde_json::Value;

use crate::private::{befriend, bytes_of, canaries, card, said};
use crate::world::{Home, World};

/// A home that waits for others to dial.
struct Listener {
    child: Child,
    address: String,
}

impl Listener {
    fn of(home: &Home<'_>) -> Self {
        let mut child = home.call(&["listen", "--addr", "127.0.0.1:0", "--json"]).start();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        Self { child, address: told["address"].as_str().unwrap().to_owned() }
    }

    fn met(&self, home: &Home<'_>) -> Value {
        home.json(&["sync", &self.address])
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_private_message_crosses_a_stranger_by_meetings_alone() {
    let world = World::new();
    let [ana, bo, cy] = ["Anastasia", "Boniface", "Cyprian"].map(|name| world.home(name));
    ana.ok(&["contact", "add", &card(&cy), "--name", "My Cyprian", "--verified"]);
    cy.ok(&["contact", "add", &card(&ana), "--name", "My Anastasia", "--verified"]);
    let stranger = Listener::of(&bo);
    for home in [&cy, &ana, &cy] {
        assert_eq!(stranger.met(home)["contact"], Value::Null);
    }
    for words in canaries().chunks(100) {
        ana.ok(&["write", "--to", "My Cyprian", &words.join(" ")]);
    }
    stranger.met(&ana);
    stranger.met(&cy);
    assert_eq!(said(&cy, "My Anastasia").len(), 10);
    stranger.met(&cy);
    stranger.met(&ana);
    assert!(said(&ana, "My Cyprian").iter().all(|said| said["state"] == "delivered"));
    drop(stranger);
    let held = bytes_of(&bo);
    let found = |word: &str| held.windows(word.len()).any(|bytes| bytes == word.as_bytes());
    assert!(!["Anastasia", "Cyprian", "canary0"].iter().any(|word| found(word)));
}

#[test]
fn contacts_are_met_by_name_and_nobody_else_hears_anything_of_who_meets_contacts_only() {
    let world = World::new();
    let [ana, bo, eve] = ["ana", "bo", "eve"].map(|name| world.home(name));
    befriend(&ana, &bo, ["Bo", "Ana"], &world.folder("stick"));
    assert_eq!(ana.json(&["radio", "contacts"])["radio"], "contacts");
    ana.ok(&["write", "for friends"]);
    let listener = Listener::of(&ana);
    let run = eve.call(&["sync", &listener.address, "--json"]).run();
    assert_eq!((run.code, run.err.contains("cut off")), (6, true), "{}{}", run.out, run.err);
    assert!(eve.lines(&["feeds"]).iter().all(|row| row["feed"] != *ana.feed));
    let told = listener.met(&bo);
    assert_eq!(told["contact"], "Ana", "{told}");
    assert_eq!(bo.lines(&["query", "--text", "friends"]).len(), 1);
    ana.ok(&["write", "more for friends"]);
    assert_eq!(bo.json(&["sync", "Ana"])["received"], 1);
    let err = bo.call(&["sync", "eve"]).fails(1);
    assert!(err.contains("`eve` is not an address"), "{err}");
}

#[test]
fn a_home_begins_as_it_is_told_to() {
    let world = World::new();
    let [eve, bo] = ["eve", "bo"].map(|name| world.home(name));
    for (name, carry) in [("ana", "contacts"), ("cy", "listed")] {
        let words = ["init", "--name", name, "--carry", carry, "--radio", "contacts", "--json"];
        let told = world.at(name, &words).json();
        let feed = told["feed"].as_str().unwrap();
        let mine = |words: &[&str]| world.at(name, words);
        assert_eq!(mine(&["radio", "--json"]).json()["radio"], "contacts");
        assert_eq!(mine(&["status", "--json"]).json()["carry"], carry);
        mine(&["write", "not for everybody"]).ok();
        let theirs = mine(&["contact", "card", "--json"]).json()["card"].clone();
        bo.ok(&["contact", "add", theirs.as_str().unwrap()]);
        mine(&["contact", "add", &card(&bo), "--name", "Bo"]).ok();
        // A plain file is for anybody, so nothing that is not goes in.
        let file = world.path(&format!("{name}.thistle"));
        mine(&["bundle", "create", "--plain", file.to_str().unwrap()]).ok();
        eve.ok(&["bundle", "read", file.to_str().unwrap()]);
        assert!(eve.lines(&["feeds"]).iter().all(|row| row["feed"] != *feed));
        let held = |home: &Home<'_>| home.lines(&["feeds"]).iter().any(|row| row["feed"] == *feed);
        let sealed = |to: &str| {
            let stick = world.folder(to);
            mine(&["bundle", "create", stick.to_str().unwrap()]).ok();
            bo.ok(&["bundle", "read", stick.to_str().unwrap()]);
        };
        sealed(&format!("{name} first"));
        assert_eq!(held(&bo), carry == "contacts");
        let listed = mine(&["contact", "carry", "Bo", "--json"]).run();
        assert_eq!(listed.code, 0);
        sealed(&format!("{name} then"));
        assert!(held(&bo), "{carry}");
    }
}
