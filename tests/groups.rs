//! The engine and the grammar agree with every vector of changes of groups and of what they come to.
//!
//! As `vectors.rs`: everything comes from `schemas/vectors/groups.py`, written from the specification
//! alone. `THISTLE_RESOLUTIONS=FILE` takes more resolutions, one a line, as that program prints them.

#[path = "vectors/names.rs"]
#[expect(dead_code, reason = "the names of other errors are for `vectors.rs`")]
mod names;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thistle_engine::key::{AccountId, Context, SecretKey, Seed, derive, signed_message};
use thistle_engine::limits::GROUP_CHANGES;
use thistle_engine::seal::{
    Action, Change, ChangeFault, Draft, Role, State, UnverifiedChange, resolve,
};
use thistle_tests::tree;

use names::{Seen, decode_error, key_fault};

fn vectors(list: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(&tree::read("schemas/vectors/groups.json")).unwrap();
    all[list].as_array().unwrap().clone()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn fixed<const N: usize>(hex: &Value) -> [u8; N] {
    bytes(hex).try_into().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |digit: u8| char::from_digit(u32::from(digit), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn hexes<T: AsRef<[u8]>>(list: &[T]) -> Value {
    list.iter().map(|each| hex(each.as_ref())).collect()
}

fn accounts(list: &[AccountId]) -> Value {
    list.iter().map(|account| hex(account.as_bytes())).collect()
}

fn grammar() -> String {
    let files = ["private", "content", "entry"];
    files.map(|name| tree::read(&format!("schemas/{name}.cddl"))).join("\n")
}

fn read(bytes: &[u8]) -> Result<Change, ChangeFault> {
    UnverifiedChange::decode(bytes)?.verify(|_, _| true)
}

fn role(role: Role) -> u64 {
    u64::from(role == Role::Admin)
}

fn shown_action(action: &Action) -> Value {
    match action {
        Action::Create { name, members, history, salt } => {
            let members = accounts(members);
            json!({"kind": 0, "name": name, "members": members, "history": history,
                "salt": hex(salt)})
        }
        Action::Add(account) => json!({"kind": 1, "account": hex(account.as_bytes())}),
        Action::Remove(account) => json!({"kind": 2, "account": hex(account.as_bytes())}),
        Action::Leave => json!({"kind": 3}),
        Action::Rename(name) => json!({"kind": 4, "name": name}),
        Action::Role(account, set) => {
            json!({"kind": 5, "account": hex(account.as_bytes()), "role": role(*set)})
        }
    }
}

#[test]
fn every_valid_change_is_what_the_engine_says_and_fits_the_grammar() {
    let (grammar, mut rules) = (grammar(), BTreeSet::new());
    for vector in vectors("valid") {
        let (name, bytes, derived) = (&vector["name"], bytes(&vector["hex"]), &vector["derived"]);
        let change = read(&bytes).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let (fields, action) = (&vector["fields"], shown_action(change.action()));
        assert_eq!(action, fields["action"], "{name}");
        assert_eq!(hex(change.account().as_bytes()), fields["account"], "{name}");
        assert_eq!(hex(change.feed().as_bytes()), fields["feed"], "{name}");
        assert_eq!(hexes(change.parents()), fields["parents"], "{name}");
        assert_eq!(change.time(), fields["time"], "{name}");
        let begins = matches!(change.action(), Action::Create { .. });
        assert_eq!(fields["group"].is_null(), begins, "{name}");
        let group = if begins { &derived["id"] } else { &fields["group"] };
        assert_eq!(hex(change.group()), *group, "{name}");

        let id = derive(Context::Group, &self::bytes(&derived["unsigned"]));
        assert_eq!((id, hex(&id).as_str()), (*change.id(), derived["id"].as_str().unwrap()));
        assert_eq!(hex(&signed_message(Context::Group, &id)), derived["message"], "{name}");
        let key = SecretKey::from_seed(&Seed::new(fixed(&derived["secret"])));
        let draft = Draft {
            group: (!begins).then(|| *change.group()),
            account: *change.account(),
            parents: change.parents().to_vec(),
            action: change.action().clone(),
            time: change.time(),
        };
        assert_eq!(draft.sign(&key).unwrap().encode(), bytes, "{name}");
        assert_eq!(change.encode(), bytes, "{name}");

        let fits = cddl_cat::validate_cbor_bytes("group_change", &grammar, &bytes);
        assert!(fits.is_ok(), "{name}: {fits:?}");
        rules.insert(action["kind"].as_u64());
    }
    assert_eq!(rules.len(), 6, "an action has no vector");
}

#[test]
fn every_invalid_change_is_refused_by_the_name_of_its_error() {
    let (grammar, mut seen) = (grammar(), Seen::new());
    for vector in vectors("invalid") {
        let (name, bytes) = (&vector["name"], bytes(&vector["hex"]));
        let found = match read(&bytes) {
            Ok(_) => "none",
            Err(ChangeFault::Decode(error)) => decode_error(&error, &mut seen),
            Err(ChangeFault::Key(fault)) => key_fault(&fault, &mut seen),
            Err(ChangeFault::WrongFeed) => "wrong_feed",
        };
        assert_eq!(found, vector["error"], "{name}: {}", vector["why"]);
        let fits = cddl_cat::validate_cbor_bytes("group_change", &grammar, &bytes);
        assert!(fits.is_err() || vector["grammar"] == false, "{name} fits the grammar");
    }
    // Every error that a change can have.
    assert_eq!(seen.len(), 13, "{seen:?}");
}

fn shown_state(state: &State) -> Value {
    let member =
        |account: &AccountId, set| json!({"account": hex(account.as_bytes()), "role": role(set)});
    let members: Vec<Value> =
        state.members.iter().map(|each| member(&each.account, each.role)).collect();
    json!({
        "name": state.name,
        "history": state.history,
        "members": members,
        "crowd": accounts(&state.crowd),
        "heads": hexes(&state.heads),
        "parents": hexes(state.parents()),
        "counting": hexes(&state.counting),
        "ignored": hexes(&state.ignored),
        "waiting": hexes(&state.waiting),
    })
}

#[test]
fn every_set_of_changes_comes_to_what_the_specification_says() {
    let mut all = vectors("resolutions");
    if let Ok(more) = std::env::var("THISTLE_RESOLUTIONS") {
        let lines = std::fs::read_to_string(more).unwrap();
        all.extend(lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    for vector in &all {
        let changes = vector["changes"].as_array().unwrap();
        let changes: Vec<Change> = changes.iter().map(|hex| read(&bytes(hex)).unwrap()).collect();
        let group = *changes[0].group();
        let state = resolve(&group, &changes).unwrap();
        assert_eq!(shown_state(&state), vector["state"], "{}", vector["name"]);
        let turned: Vec<Change> = changes.into_iter().rev().collect();
        assert_eq!(resolve(&group, &turned), Some(state), "{}", vector["name"]);
    }
    println!("{} resolutions", all.len());
}

fn account(number: usize) -> AccountId {
    AccountId::from_bytes([u8::try_from(number).unwrap(); 32])
}

/// As many changes as are kept, by so many admins at once who hear nothing of one another.
fn large(sides: usize, action: impl Fn(usize, usize) -> Action) -> Vec<Change> {
    let key = SecretKey::from_seed(&Seed::new([1; 32]));
    let (name, salt) = ("valley".to_owned(), [0; 16]);
    let members = (2..=40).map(account).collect();
    let create = Action::Create { name, members, history: true, salt };
    let draft =
        Draft { group: None, account: account(1), parents: vec![], action: create, time: 0 };
    let mut changes = vec![draft.sign(&key).unwrap()];
    let group = Some(*changes[0].id());
    let say = |changes: &mut Vec<Change>, by: usize, parent: usize, action: Action| {
        let (parents, time) = (vec![*changes[parent].id()], changes.len() as u64);
        let draft = Draft { group, account: account(by), parents, action, time };
        changes.push(draft.sign(&key).unwrap());
        changes.len() - 1
    };
    let mut last = 0;
    for side in 2..=sides {
        last = say(&mut changes, 1, last, Action::Role(account(side), Role::Admin));
    }
    let mut ends = vec![last; sides];
    while (changes.len() as u64) < GROUP_CHANGES {
        let (at, side) = (changes.len(), changes.len() % sides);
        ends[side] = say(&mut changes, side + 1, ends[side], action(at, side));
    }
    changes
}

/// The bound is far above what it takes, so that only another order of magnitude fails.
#[test]
fn as_many_changes_as_are_kept_are_soon_resolved() {
    let other = |at: usize| account(41 + at % 200);
    let each = |at: usize, side: usize| account((side + 1 + at / 30 % 28) % 30 + 1);
    let name = |at: usize| Action::Rename(format!("name {at}"));
    let shapes: [(&str, Vec<Change>); 5] = [
        ("one after another", large(1, |at, _| name(at))),
        (
            "in and out",
            large(1, |at, _| match at % 2 {
                0 => Action::Add(other(at)),
                _ => Action::Remove(other(at - 1)),
            }),
        ),
        (
            "eight sides",
            large(8, |at, _| match at % 2 {
                0 => Action::Add(other(at)),
                _ => Action::Remove(other(at / 3)),
            }),
        ),
        ("all against all", large(30, |at, side| Action::Remove(each(at, side)))),
        ("in a circle", large(30, |_, side| Action::Remove(account((side + 1) % 30 + 1)))),
    ];
    for (shape, changes) in shapes {
        let start = Instant::now();
        let state = resolve(changes[0].group(), &changes).unwrap();
        let took = start.elapsed();
        println!("{shape}: {took:?}, {} count", state.counting.len());
        assert_eq!(state.counting.len() + state.ignored.len(), changes.len());
        assert!(took < Duration::from_secs(2), "{shape}: {took:?}");
    }
}
