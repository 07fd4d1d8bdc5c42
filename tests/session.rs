//! The engine and the grammar agree with every vector of a session, and the engine says again,
//! byte for byte, what is recorded of whole sessions.
//!
//! As `vectors.rs`: the frames come from `schemas/vectors/session.py`, written from the
//! specification alone. The recorded sessions are the engine's own; that they are what the
//! specification says is checked by the same program. `THISTLE_VECTORS=make` records them anew.

#[path = "vectors/names.rs"]
#[expect(dead_code, reason = "the names of other errors are for `vectors.rs`")]
mod names;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use thistle_engine::account::{AccountKey, Phrase};
use thistle_engine::bundle::{Frame, Want, What};
use thistle_engine::content::{Carry, Content, Post};
use thistle_engine::key::{AccountId, FeedId, Seed};
use thistle_engine::seal::{Says, carrier_secret, recognition_secret, tag};
use thistle_engine::session::{Frames, Memory, Place, Sentence, State};
use thistle_engine::time::Now;
use thistle_engine::{Event, InMemoryBackend, Input, Node, Output, SessionEnding, Setup, limits};
use thistle_tests::tree;

use names::{Seen, decode_error};

const SESSIONS: &str = "schemas/vectors/conversations.json";

fn vectors(list: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(&tree::read("schemas/vectors/session.json")).unwrap();
    all[list].as_array().unwrap().clone()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |digit: u8| char::from_digit(u32::from(digit), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn grammar() -> String {
    let files = ["session", "bundle", "entry"];
    files.map(|name| tree::read(&format!("schemas/{name}.cddl"))).join("\n")
}

#[test]
fn every_valid_frame_is_what_the_engine_says_and_fits_the_grammar() {
    let grammar = grammar();
    let mut rules = BTreeSet::new();
    for vector in vectors("valid") {
        let (name, bytes) = (&vector["name"], bytes(&vector["hex"]));
        let sentence = Sentence::decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(shown(&sentence), vector["fields"], "{name}");
        if vector["again"] == true {
            let mut frames = Frames::default();
            frames.push(&sentence.encode());
            assert_eq!(frames.poll().unwrap(), Some(&bytes[..]), "{name}");
        }
        assert_eq!(sentence.is_counted(), !matches!(sentence.kind(), 8 | 10), "{name}");
        let rule = vector["rule"].as_str().unwrap();
        let is_nested = rule == "sentence";
        for rule in [rule, "sentence"].into_iter().filter(|_| !is_nested) {
            let fits = cddl_cat::validate_cbor_bytes(rule, &grammar, &bytes);
            assert!(fits.is_ok(), "{name} is no {rule}: {fits:?}");
        }
        rules.insert(rule.to_owned());
    }
    assert_eq!(rules.len(), 10, "{rules:?}");
}

#[test]
fn every_invalid_frame_is_refused_by_the_name_of_its_error() {
    let grammar = grammar();
    let mut seen = Seen::new();
    for vector in vectors("invalid") {
        let (name, bytes) = (&vector["name"], bytes(&vector["hex"]));
        let found = Sentence::decode(&bytes).err();
        let found = found.map_or("accepted", |error| decode_error(&error, &mut seen));
        assert_eq!(found, vector["error"], "{name}: {}", vector["why"]);
        if vector["grammar"] == true {
            let fits = cddl_cat::validate_cbor_bytes("sentence", &grammar, &bytes);
            assert!(fits.is_err(), "{name}: the grammar takes it");
        }
    }
}

fn shown(sentence: &Sentence<'_>) -> Value {
    let wants = |wants: &[Want]| -> Vec<Value> {
        let want = |want: &Want| {
            let what = u8::from(want.what == What::Payloads);
            json!({ "feed": hex(want.feed.as_bytes()), "first": want.first, "last": want.last, "what": what })
        };
        wants.iter().map(want).collect()
    };
    let mut fields = match sentence {
        Sentence::Greeting(greeting) => json!({
            "first": greeting.first,
            "last": greeting.last,
            "features": greeting.features,
            "tags": hex(greeting.tags),
        }),
        Sentence::State(state) => shown_state(state),
        Sentence::Ack { count, done } => json!({ "count": count, "done": done }),
        Sentence::Carried(Frame::Wants(list)) | Sentence::Absent(list) => {
            json!({ "wants": wants(list) })
        }
        Sentence::Carried(Frame::Payload { feed, seq, payload }) => {
            json!({ "feed": hex(feed.as_bytes()), "seq": seq, "payload": hex(payload) })
        }
        Sentence::Carried(Frame::Segment(body) | Frame::Fork(body)) | Sentence::Compare(body) => {
            json!({ "body": hex(body) })
        }
        Sentence::Decline { lasts, feeds } => {
            let feeds: Vec<String> = feeds.iter().map(|feed| hex(feed.as_bytes())).collect();
            json!({ "lasts": lasts, "feeds": feeds })
        }
        Sentence::Unknown { .. } => json!({}),
        Sentence::Carried(frame) => panic!("{frame:?} is no frame of a session"),
    };
    fields["kind"] = json!(sentence.kind());
    fields
}

fn shown_state(state: &State) -> Value {
    let place = |place: Place| json!({ "position": place.0, "hash": hex(&place.1) });
    let memory = |memory: &Memory| {
        json!({
            "here": place(memory.here),
            "cursor": memory.cursor.map(place),
            "revision": hex(&memory.revision),
            "known": memory.known.map(|known| hex(&known)),
            "log": memory.log.map(|log| hex(&log)),
        })
    };
    json!({
        "digest": hex(&state.digest.to_be_bytes()),
        "count": state.count,
        "tag": hex(&state.tag),
        "memory": state.memory.as_ref().map(memory),
        "counters": state.counters.as_deref().map(hex),
    })
}

/// A device of which everything is fixed.
fn device(number: u8, texts: &[&str]) -> Node {
    let account = AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new([number; 32])));
    let setup = Setup { carry: Carry::Open, name: None, cache_bytes: 1 << 20 };
    let seed = Seed::new([number; 32]);
    let node = Node::create(InMemoryBackend::new(), &account, setup, seed, NOW);
    let mut node = node.unwrap();
    for text in texts {
        write(&mut node, text);
    }
    node
}

fn write(node: &mut Node, text: &str) {
    let post = Post { time: 1_772_438_400, text: text.to_owned(), ..Post::default() };
    node.write(NOW, &Content::Post(post), 0).unwrap();
}

const NOW: Now = Now { tick: 1_000, wall: 1_772_438_400_000, boot_id: 1 };

/// What two devices say to each other, by turns; whether the opener says it.
fn conversation(
    opener: &mut Node,
    responder: &mut Node,
    binding: u8,
    known: bool,
) -> Vec<(bool, Vec<u8>)> {
    let mut nodes = [opener, responder];
    let (link, binding, via) = (1, &[binding; 32], "a meeting");
    for (side, node) in nodes.iter_mut().enumerate() {
        let peer = [2 - u8::try_from(side).unwrap(); 32];
        let input = Input::LinkOpened { link, opener: side == 0, peer, binding, known, via };
        node.handle(NOW, input).unwrap();
    }
    let mut said: Vec<(bool, Vec<u8>)> = Vec::new();
    let mut endings = [None; 2];
    for turn in 0..1_000 {
        let side = turn % 2;
        let (mut words, mut closes) = (Vec::new(), false);
        while let Some(output) = nodes[side].poll() {
            match output {
                Output::Send { bytes, .. } => {
                    words.extend(bytes);
                    nodes[side].handle(NOW, Input::LinkReady { link }).unwrap();
                }
                Output::Close { .. } => closes = true,
                Output::Event(Event::SessionDone { report, .. }) => {
                    endings[side] = Some(report.ending);
                }
                Output::Event(_) => {}
            }
        }
        if !words.is_empty() {
            nodes[1 - side].handle(NOW, Input::LinkBytes { link, bytes: &words }).unwrap();
            said.push((side == 0, words));
        }
        if closes {
            nodes[1 - side].handle(NOW, Input::LinkClosed { link }).unwrap();
        }
        if endings == [Some(SessionEnding::Done); 2] {
            return said;
        }
        // What is staged is committed in a while.
        let later = Now { tick: NOW.tick + 50, ..NOW };
        nodes[1 - side].handle(later, Input::Idle).unwrap();
    }
    panic!("the session never ends: {endings:?}");
}

/// What was said, as it is recorded.
fn messages(said: &[(bool, Vec<u8>)]) -> Vec<Value> {
    let message = |(opens, bytes): &(bool, Vec<u8>)| {
        let from = if *opens { "opener" } else { "responder" };
        json!({ "from": from, "hex": hex(bytes) })
    };
    said.iter().map(message).collect()
}

/// The sessions that are recorded.
fn sessions() -> Vec<Value> {
    let mut all = Vec::new();
    let mut record = |name: &str, nodes: &mut [Node; 2], binding: u8, known: bool| {
        let [opener, responder] = nodes;
        let said = conversation(opener, responder, binding, known);
        all.push(json!({
            "name": name,
            "first": matches!(name, "first meeting" | "strangers"),
            "known": known,
            "binding": hex(&[binding; 32]),
            "messages": messages(&said),
        }));
    };
    let devices =
        || [device(1, &["the bridge is out"]), device(2, &["come by the mill", "or call"])];
    let mut nodes = devices();
    record("first meeting", &mut nodes, 21, true);
    record("nothing new", &mut nodes, 22, true);
    write(&mut nodes[1], "the bridge is open again");
    record("news for a known peer", &mut nodes, 23, true);
    record("strangers", &mut devices(), 24, false);
    all.push(contacts());
    all
}

/// Two contacts that meet without being known by their links.
fn contacts() -> Value {
    let mut nodes = [device(1, &["the bridge is out"]), device(2, &["come by the mill"])];
    let cards = nodes.each_mut().map(|node| node.card(NOW).unwrap().unwrap());
    for (node, card) in nodes.iter_mut().zip(cards.iter().rev()) {
        node.add_contact(NOW, card, None, true).unwrap();
    }
    let [opener, responder] = &mut nodes;
    let said = conversation(opener, responder, 25, false);
    let secret = opener.reader().unwrap().shared().unwrap().remove(0).secret;
    let [first, second] = cards.map(|card| hex(card.account.as_bytes()));
    json!({
        "name": "contacts",
        "first": true,
        "known": true,
        "binding": hex(&[25; 32]),
        "contact": { "opener": first, "responder": second, "secret": hex(secret.expose()) },
        "messages": messages(&said),
    })
}

#[test]
fn tags_are_those_of_the_specification() {
    let all = vectors("recognition");
    for vector in &all {
        let label = bytes(&vector["label"]);
        let fixed = |name: &str| <[u8; 32]>::try_from(bytes(&vector[name])).unwrap();
        let (secret, parts) = (Seed::new(fixed("secret")), label.as_chunks::<32>().0);
        let secret = match parts {
            [from, to] => {
                let [from, to] = [from, to].map(|account| AccountId::from_bytes(*account));
                recognition_secret(&secret, &from, &to)
            }
            [feed] => carrier_secret(&secret, &FeedId::from_bytes(*feed)),
            other => panic!("{other:?}"),
        };
        let says = match vector["says"].as_str().unwrap() {
            "opener" => Says::Opener,
            "responder" => Says::Responder,
            "answer of the opener" => Says::Answer { opener: true },
            "answer of the responder" => Says::Answer { opener: false },
            other => panic!("{other}"),
        };
        assert_eq!(hex(&tag(&secret, &fixed("session"), says)), vector["tag"], "{vector}");
    }
    assert_eq!(all.len(), 12);
}

#[test]
fn recorded_sessions_are_said_again_byte_for_byte() {
    let now = sessions();
    if std::env::var("THISTLE_VECTORS").is_ok_and(|word| word == "make") {
        let text = Value::Array(now.clone()).to_string().replace("},{", "},\n{");
        std::fs::write(tree::root().join(SESSIONS), text + "\n").unwrap();
    }
    let recorded: Vec<Value> = serde_json::from_str(&tree::read(SESSIONS)).unwrap();
    for (now, recorded) in now.iter().zip(&recorded) {
        assert_eq!(
            now["messages"].as_array().map(Vec::len),
            recorded["messages"].as_array().map(Vec::len)
        );
        assert_eq!(now, recorded, "{}", now["name"]);
    }
    assert_eq!(now.len(), recorded.len());
    let kinds = |session: usize, message: usize| {
        let mut frames = Frames::default();
        frames.push(&bytes(&recorded[session]["messages"][message]["hex"]));
        let mut kinds = Vec::new();
        while let Some(frame) = frames.poll().unwrap() {
            assert!(frame.len() as u64 <= limits::FRAME_BYTES);
            kinds.push(Sentence::decode(frame).unwrap().kind());
        }
        kinds
    };
    assert_eq!((kinds(1, 0), kinds(1, 1)), (vec![8], vec![8, 9]));
    assert_eq!(recorded[1]["messages"].as_array().unwrap().len(), 2);
    // News is in the first words of who was dialled, before anything of the opener but its greeting.
    assert_eq!(kinds(2, 1), [8, 9, 1]);
    let (said, text) = (bytes(&recorded[2]["messages"][1]["hex"]), b"the bridge is open again");
    assert!(said.windows(text.len()).any(|part| part == text));
}
