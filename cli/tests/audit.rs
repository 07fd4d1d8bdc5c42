//! What others learn, by `audit`: as much as they do, and nothing of what was planted.

use std::fs;

use serde_json::Value;

use crate::locked::with;
use crate::search::{self, LEAST};
use crate::world::{Call, World, parse};

const ROLES: [&str; 5] = ["passive-radio", "stranger", "carrier", "stick-finder", "thief"];
/// What only Anastasia and those she knows should ever see. Each is long enough to be looked for.
const PLANTS: [&str; 7] = [
    "Anastasia",
    "Boniface",
    "petname-planted",
    "group-planted",
    "planted-words-for-one",
    "planted-words-for-all",
    "planted-answer",
];

/// Homes of which one has a passphrase, and is kept open until it goes.
struct Planted(World);

impl std::ops::Deref for Planted {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        call(&self.0, &["lock"]).run();
    }
}

/// A home of Anastasia with a passphrase, who wrote to Boniface in private and in a group, got an
/// answer, and carries a public feed of Cyprian's.
fn planted() -> Planted {
    let world = Planted(World::new());
    world.file("one", "the passphrase one\n");
    with(&world, "ana", "one", &["init", "--name", "Anastasia"]).ok();
    with(&world, "ana", "one", &["unlock"]).ok();
    let (bo, cy) = (world.home("Boniface"), world.home("Cyprian"));
    let stick = world.folder("stick");
    let path = stick.to_str().unwrap();
    let card = |call: Call| call.json()["card"].as_str().unwrap().to_owned();
    let ana_card = card(call(&world, &["contact", "card", "--json"]));
    let bo_card = card(bo.call(&["contact", "card", "--json"]));
    call(&world, &["contact", "add", &bo_card, "--name", "petname-planted", "--verified"]).ok();
    bo.ok(&["contact", "add", &ana_card, "--name", "petname-of-hers", "--verified"]);
    cy.ok(&["write", "the words of Cyprian are for everybody"]);
    let clear = || {
        for file in fs::read_dir(&stick).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
    };
    let to_bo = || {
        clear();
        call(&world, &["bundle", "create", "--plain", path]).ok();
        bo.ok(&["bundle", "read", path]);
    };
    let to_ana = || {
        clear();
        for home in [&bo, &cy] {
            home.bundle(&stick);
        }
        call(&world, &["bundle", "read", path]).ok();
    };
    to_bo();
    to_ana();
    call(&world, &["group", "create", "group-planted", "petname-planted"]).ok();
    call(&world, &["write", "--to", "petname-planted", "planted-words-for-one"]).ok();
    call(&world, &["write", "--to", "group-planted", "planted-words-for-all"]).ok();
    to_bo();
    bo.ok(&["write", "--to", "petname-of-hers", "planted-answer"]);
    to_ana();
    call(&world, &["write", "--to", "petname-planted", "planted-words-for-one, again"]).ok();
    clear();
    world
}

/// A command in Anastasia's home, which is open.
fn call(world: &World, words: &[&str]) -> Call {
    world.at("ana", words)
}

/// What somebody learns.
fn learned(call: Call) -> Vec<Value> {
    parse(&call.ok())
}

fn fact<'a>(facts: &'a [Value], what: &str) -> &'a Value {
    let found = facts.iter().find(|fact| fact["learned"] == what);
    found.unwrap_or_else(|| panic!("nobody learned {what}: {facts:?}"))
}

fn count(facts: &[Value], what: &str) -> u64 {
    fact(facts, what)["count"].as_u64().unwrap()
}

/// So many of a sort were looked for, and this many found.
fn of(facts: &[Value], what: &str) -> (u64, u64) {
    (count(facts, what), fact(facts, what)["of"].as_u64().unwrap())
}

#[test]
fn nobody_is_shown_what_was_planted() {
    let world = planted();
    assert!(PLANTS.iter().all(|plant| plant.len() >= LEAST));
    for role in ROLES {
        for words in [&["audit", "--as", role][..], &["audit", "--as", role, "--json"]] {
            let out = call(&world, words).ok();
            for plant in PLANTS {
                assert!(!out.contains(plant), "{role}: {plant}\n{out}");
            }
        }
        for fact in learned(call(&world, &["audit", "--as", role, "--json"])) {
            assert_eq!(fact["role"], role);
            for field in ["learned", "count", "of", "what", "residual", "why"] {
                assert!(fact.get(field).is_some(), "{fact}");
            }
            assert!(!fact["why"].as_str().unwrap().contains("should not be"), "{fact}");
        }
    }
    // What is asked for says what it found, so it can find something.
    let said = call(&world, &["query", "--with", "petname-planted", "--json"]).ok();
    assert!(said.contains("planted-words-for-one") && said.contains("planted-answer"), "{said}");
}

#[test]
fn a_carrier_and_a_stranger_learn_what_the_entries_show_and_no_more() {
    let world = planted();
    let carrier = learned(call(&world, &["audit", "--as", "carrier", "--json"]));
    assert_eq!(count(&carrier, "feeds"), 1);
    assert_eq!(count(&carrier, "accounts"), 1);
    assert_eq!(count(&carrier, "feeds-of-others"), 2);
    // An epoch for Boniface and one for the group, each with four slots.
    assert_eq!(fact(&carrier, "epochs")["what"], serde_json::json!(["2 of 4 slots"]));
    assert!(count(&carrier, "sealed-messages") >= 3);
    assert!(count(&carrier, "prekeys") >= 1);
    for absent in ["names", "public-messages", "channels", "public-follows"] {
        assert!(carrier.iter().all(|fact| fact["learned"] != absent), "{absent}: {carrier:?}");
    }
    let stranger = learned(call(&world, &["audit", "--as", "stranger", "--json"]));
    assert_eq!(count(&stranger, "feeds"), 3);
    assert_eq!(count(&stranger, "public-messages"), 1, "Cyprian's");
    assert_eq!(fact(&stranger, "names")["what"], serde_json::json!(["Cyprian"]));
    for (sort, looked_for) in [("own-name", 1), ("names-of-groups", 1), ("private-texts", 4)] {
        assert_eq!(of(&stranger, sort), (0, looked_for), "{sort}");
    }
    // Of the people it is Cyprian, who wrote in public.
    assert_eq!(of(&stranger, "names-of-people").0, 1);
    assert_eq!(of(&stranger, "public-texts"), (1, 1));
    assert!(stranger.iter().all(|fact| fact["learned"] != "cut-off"));
    // What is made public is seen, and the name with it.
    call(&world, &["write", "a word for everybody"]).ok();
    let stranger = learned(call(&world, &["audit", "--as", "stranger", "--json"]));
    assert_eq!((of(&stranger, "own-name"), of(&stranger, "public-texts")), ((1, 1), (2, 2)));
    assert!(fact(&stranger, "names")["what"].to_string().contains("Anastasia"));
    assert_eq!(fact(&stranger, "own-name")["residual"], false);
}

#[test]
fn a_home_that_meets_contacts_alone_tells_a_stranger_nothing() {
    let world = planted();
    call(&world, &["radio", "contacts"]).ok();
    let stranger = learned(call(&world, &["audit", "--as", "stranger", "--json"]));
    assert!(stranger.iter().all(|fact| fact["learned"] != "feeds"), "{stranger:?}");
    for sort in ["own-name", "names-of-people", "names-of-groups", "ids", "private-texts"] {
        assert_eq!(of(&stranger, sort).0, 0, "{sort}");
    }
}

#[test]
fn a_thief_reads_nothing_of_a_locked_home_and_what_stands_open_of_another() {
    let world = planted();
    let thief = learned(call(&world, &["audit", "--as", "thief", "--json"]));
    assert_eq!(fact(&thief, "passphrase")["what"][0], "a passphrase is set");
    for (sort, least) in [
        ("own-name", 1),
        ("names-of-people", 3),
        ("names-of-groups", 1),
        ("ids", 10),
        ("private-texts", 4),
        ("public-texts", 1),
    ] {
        let (found, looked_for) = of(&thief, sort);
        assert!(found == 0 && looked_for >= least, "{sort}: {found} of {looked_for}");
    }
    // The control: Boniface has no passphrase, and his disk shows it.
    let open = learned(world.at("Boniface", &["audit", "--as", "thief", "--json"]));
    assert_eq!(fact(&open, "passphrase")["what"][0], "no passphrase is set");
    for sort in ["own-name", "names-of-people", "ids"] {
        let found = fact(&open, sort);
        assert!(found["count"].as_u64().unwrap() > 0, "{found}");
        assert_eq!(found["what"], serde_json::json!(["store.redb"]));
        assert_eq!(found["residual"], false);
    }
    // A file that anybody left in the home is read as well.
    world.file("ana/notes.txt", "seen: planted-words-for-one, on Monday");
    let thief = learned(call(&world, &["audit", "--as", "thief", "--json"]));
    assert_eq!(of(&thief, "private-texts").0, 1);
    assert_eq!(fact(&thief, "private-texts")["what"], serde_json::json!(["notes.txt"]));
    let found = search::find_in(&world.path("ana/notes.txt"), &[b"planted-words".to_vec()]);
    assert_eq!(found.unwrap().len(), 1);
}

#[test]
fn the_finder_of_a_stick_tells_sealed_plain_and_other_files_apart() {
    let world = planted();
    let made = learned(call(&world, &["audit", "--as", "stick-finder", "--json"]));
    assert_eq!(of(&made, "odd-tests"), (0, 9));
    let stick = world.folder("found");
    call(&world, &["bundle", "create", "found/sealed.bundle"]).ok();
    let look = |path: &str| {
        learned(call(&world, &["audit", "--as", "stick-finder", "--path", path, "--json"]))
    };
    let sealed = look("found/sealed.bundle");
    assert_eq!(of(&sealed, "odd-tests"), (0, 9));
    assert!(fact(&sealed, "size")["what"][0].as_str().unwrap().contains("256.0 KiB"));
    assert!(sealed.iter().all(|fact| fact["learned"] != "plain-bundle"));
    // A little in the middle that is not random is seen.
    let mut bytes = fs::read(stick.join("sealed.bundle")).unwrap();
    bytes[100_000..104_000].fill(0);
    fs::write(stick.join("sealed.bundle"), bytes).unwrap();
    assert!(of(&look("found/sealed.bundle"), "odd-tests").0 > 0);
    call(&world, &["bundle", "create", "--plain", "found/plain.bundle"]).ok();
    let plain = look("found/plain.bundle");
    assert_eq!((count(&plain, "maker"), count(&plain, "feeds")), (1, 3));
    assert_eq!(fact(&plain, "names")["what"], serde_json::json!(["Cyprian"]));
    assert_eq!(fact(&plain, "plain-bundle")["residual"], false);
    let few = world.file("few", "x");
    assert_eq!(count(&look(few.to_str().unwrap()), "too-small"), 1);
}

#[test]
fn whoever_listens_hears_sizes_and_the_name_of_the_protocol() {
    let world = planted();
    let heard = learned(call(&world, &["audit", "--as", "passive-radio", "--json"]));
    assert_eq!(fact(&heard, "protocol-name")["what"], serde_json::json!(["thistledown/1"]));
    assert_eq!(count(&heard, "server-name"), 0);
    assert_eq!(of(&heard, "link-keys"), (0, 2));
    assert!(count(&heard, "datagrams") > 4 && count(&heard, "pieces") > 4);
    for sort in ["own-name", "names-of-people", "ids", "private-texts", "public-texts"] {
        let (found, said) = of(&heard, sort);
        assert!(found == 0 && said > 0, "{sort}");
    }
}

#[test]
fn an_audit_changes_nothing() {
    let world = planted();
    let state = || {
        let said = learned(call(&world, &["query", "--with", "petname-planted", "--json"]));
        (said.last().unwrap()["state"].clone(), call(&world, &["status", "--json"]).ok())
    };
    let before = state();
    assert_eq!(before.0, "written");
    for role in ROLES {
        call(&world, &["audit", "--as", role]).ok();
    }
    assert_eq!(state(), before, "nobody took anything along");
    call(&world, &["doctor"]).ok();
}

#[test]
fn what_cannot_be_looked_at_is_told() {
    let world = planted();
    let err = call(&world, &["audit", "--as", "thief", "--path", "x"]).fails(2);
    assert!(err.contains("only the finder of a stick"), "{err}");
    let err = call(&world, &["audit", "--as", "stick-finder", "--path", "nowhere"]).fails(1);
    assert!(err.contains("nowhere"), "{err}");
    call(&world, &["audit", "--as", "nobody"]).fails(2);
    call(&world, &["lock"]).ok();
    let err = call(&world, &["audit", "--as", "thief"]).fails(7);
    assert!(err.contains("locked"), "{err}");
    // With the passphrase it is the same as while the home is open.
    let thief = learned(with(&world, "ana", "one", &["audit", "--as", "thief", "--json"]));
    assert_eq!(of(&thief, "private-texts"), (0, 4));
    assert_eq!(fact(&thief, "passphrase")["what"][0], "a passphrase is set");
}
