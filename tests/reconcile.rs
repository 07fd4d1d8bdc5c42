//! The engine and the grammar agree with every vector of a reconciliation.
//!
//! As `vectors.rs`: the bytes come from `schemas/vectors/reconcile.py`, written from the
//! specification alone. Scopes must hash to the listed digest, counters and sums; valid messages
//! decode to the listed fields and encode to the same bytes; invalid ones are refused by name.

#[path = "vectors/names.rs"]
#[expect(dead_code, reason = "the names of other errors are for `vectors.rs`")]
mod names;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use thistle_engine::key::FeedId;
use thistle_engine::limits;
use thistle_engine::reconcile::{Counters, Item, Message, Peer, Run, Scope, Then, Want};
use thistle_tests::tree;

use names::{Seen, decode_error};

fn vectors(list: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(&tree::read("schemas/vectors/reconcile.json")).unwrap();
    all[list].as_array().unwrap().clone()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn fixed(hex: &Value) -> [u8; 32] {
    bytes(hex).try_into().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |digit: u8| char::from_digit(u32::from(digit), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[test]
fn scopes_hash_to_what_the_vectors_say() {
    for vector in vectors("scopes") {
        let item = |item: &Value| {
            let (feed, seq) =
                (FeedId::from_bytes(fixed(&item["feed"])), item["seq"].as_u64().unwrap());
            if item["head"].is_null() {
                return Item::forked(feed, seq);
            }
            Item { feed, seq, head: fixed(&item["head"]) }
        };
        let items: Vec<Item> = vector["items"].as_array().unwrap().iter().map(item).collect();
        let scope = Scope::new(&fixed(&vector["key"]), items.iter().copied());
        assert_eq!(scope.count(), items.len() as u64);
        assert_eq!(format!("{:016x}", scope.digest()), vector["digest"], "{}", vector["name"]);
        let counters = scope.counters();
        assert_eq!(hex(&counters.encode()), vector["counters"], "{}", vector["name"]);
        assert_eq!(Counters::decode(&bytes(&vector["counters"])), Ok(counters));
        if items.len() >= 2 {
            // Counters as our own let the opener take the smallest sketch: one difference, 7 sums.
            let peer = Peer { count: scope.count(), is_stranger: false };
            let (_, step) = Run::open(&scope, peer, Some(&counters)).unwrap();
            assert_eq!(hex(&step.send.concat()), vector["all_in_one_bucket"], "{}", vector["name"]);
        }
    }
}

#[test]
fn every_valid_message_is_what_the_engine_says_and_fits_the_grammar() {
    let grammar = tree::read("schemas/reconcile.cddl");
    for vector in vectors("valid") {
        let (name, bytes) = (&vector["name"], bytes(&vector["hex"]));
        let message = Message::decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(shown(&message), vector["fields"], "{name}");
        assert_eq!(message.encode(), bytes, "{name}");
        assert!(bytes.len() as u64 <= limits::FRAME_BYTES, "{name}");
        for rule in [vector["rule"].as_str().unwrap(), "reconcile"] {
            let fits = cddl_cat::validate_cbor_bytes(rule, &grammar, &bytes);
            assert!(fits.is_ok(), "{name} is no {rule}: {fits:?}");
        }
    }
    let rules: BTreeSet<String> = vectors("valid").iter().map(|v| v["rule"].to_string()).collect();
    assert_eq!(rules.len(), 7, "{rules:?}");
}

#[test]
fn every_invalid_message_is_refused_by_the_name_of_its_error() {
    let mut seen = Seen::new();
    for vector in vectors("invalid") {
        let found = Message::decode(&bytes(&vector["hex"])).err();
        let found = found.map_or("accepted", |error| decode_error(&error, &mut seen));
        assert_eq!(found, vector["error"], "{}: {}", vector["name"], vector["why"]);
    }
}

fn shown(message: &Message) -> Value {
    let wants = |wants: &[Want]| -> Vec<Value> {
        wants.iter().map(|want| json!({ "id": want.id, "have": want.have })).collect()
    };
    let mut fields = match message {
        Message::Counters(counters) => json!({ "bytes": hex(&counters.encode()) }),
        Message::Sketch { buckets, upto, sums } => {
            json!({ "buckets": buckets, "upto": upto, "sums": sums })
        }
        Message::More(bitmap) => json!({ "bitmap": hex(bitmap) }),
        Message::Vector { first, then, rows } => {
            let then = match then {
                Then::GoOn => 0,
                Then::YourTurn => 1,
                Then::End => 2,
            };
            let row = |row: &thistle_engine::reconcile::Row| json!({ "id": row.id, "seq": row.seq, "tag": row.tag });
            json!({ "first": first, "then": then, "rows": rows.iter().map(row).collect::<Vec<_>>() })
        }
        Message::Wants { more, wants: list } => json!({ "more": more, "wants": wants(list) }),
        Message::Picks(picks) => json!({ "picks": wants(picks) }),
        Message::All => json!({}),
    };
    fields["kind"] = json!(message.kind());
    fields
}
