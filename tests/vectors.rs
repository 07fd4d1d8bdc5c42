//! The engine and the grammar agree with every vector of `schemas/vectors`.
//!
//! A valid vector must fit its rule of the CDDL, decode to the listed fields, encode to the same
//! bytes and give the listed derived values. An invalid one must be refused with the listed error.
//! What the vectors leave open is closed at the end: that they reach every error, every limit and
//! every rule. The bytes come from `schemas/vectors/generate.py` and, for private messages,
//! `private.py`, which share no code with the engine; nothing here makes a vector.

#[path = "vectors/names.rs"]
mod names;
#[path = "vectors/private.rs"]
mod private;
#[path = "vectors/show.rs"]
mod show;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use thistle_engine::account::{self, AccountKey, Phrase};
use thistle_engine::bundle::{FileReader, FileWriter, Frame, Head, Opening, Read, Want};
use thistle_engine::codec::{DecodeError, Decoder, Encoder};
use thistle_engine::content::{Carry, Content, Verb};
use thistle_engine::entry::{ChainHasher, EntryId, Header, Stub, window};
use thistle_engine::fork::{ForkFault, ForkProof};
use thistle_engine::ids::{Id, short};
use thistle_engine::key::{
    AccountId, Context, FeedId, SecretKey, Seed, Verifier, derive, signed_message,
};
use thistle_engine::limits;
use thistle_engine::order::{Node, display_order, lamports};
use thistle_engine::seal::{Card, CardFault, Inner};
use thistle_engine::segment::{self, Reject, UnverifiedSegment};
use thistle_tests::tree;

use names::{Seen, card_fault, decode_error, file_fault, fork_fault, frame_fault, reject};
use show::{
    bytes, fixed, hex, shown_content, shown_fork, shown_frame, shown_header, shown_segment,
};

/// Sizes of the pieces in which files are read.
const CHUNKS: [usize; 5] = [1, 7, 64, 4_096, usize::MAX];

/// One object of `valid.json` or `invalid.json`, or of the list of that name in `private.json`.
struct Vector {
    name: String,
    kind: String,
    bytes: Vec<u8>,
    all: Map<String, Value>,
}

impl Vector {
    fn fields(&self) -> &Value {
        &self.all["fields"]
    }

    fn derived(&self, name: &str) -> &Value {
        &self.all["derived"][name]
    }

    fn rule(&self) -> Option<&str> {
        self.all["rule"].as_str()
    }
}

fn vectors(file: &str) -> Vec<Vector> {
    let text = tree::read(&format!("schemas/vectors/{file}.json"));
    let mut list: Vec<Map<String, Value>> = serde_json::from_str(&text).unwrap();
    let more = private::vectors(file);
    list.extend(more.iter().map(|vector| vector.as_object().unwrap().clone()));
    let vector = |all: Map<String, Value>| {
        let word = |name: &str| all[name].as_str().unwrap().to_owned();
        Vector { name: word("name"), kind: word("kind"), bytes: bytes(&all["hex"]), all }
    };
    list.into_iter().map(vector).collect()
}

fn grammar() -> String {
    let files = ["entry", "content", "bundle", "private"];
    files.map(|name| tree::read(&format!("schemas/{name}.cddl"))).join("\n")
}

#[test]
fn every_valid_vector_is_what_the_engine_says() {
    for vector in vectors("valid") {
        let (fields, derived) = match vector.kind.as_str() {
            "header" => header(&vector),
            "window" => windows(&vector),
            "segment" => segment(&vector),
            "content" => content(&vector),
            "fork" => fork(&vector),
            "frame" => (frame(&vector), json!({})),
            "bundle" => bundle(&vector),
            "text_id" => text_id(&vector),
            "phrase" => phrase(&vector),
            "order" => order(&vector),
            "card" => private::card(&vector),
            "inner" => private::inner(&vector),
            kind => panic!("{}: {kind}", vector.name),
        };
        assert_eq!(&fields, vector.fields(), "{}", vector.name);
        assert_eq!(derived, vector.all["derived"], "{}", vector.name);
    }
}

#[test]
fn every_invalid_vector_is_refused_by_the_name_of_its_error() {
    let mut seen = Seen::new();
    for vector in vectors("invalid") {
        let found = refusal(&vector, &mut seen);
        assert_eq!(found, vector.all["error"], "{}: {}", vector.name, vector.all["why"]);
    }
    let unreached: Vec<_> = names::all().into_iter().filter(|name| !seen.contains(name)).collect();
    assert!(unreached.is_empty(), "no vector reaches {unreached:?}");
}

#[test]
fn every_named_error_of_the_specification_has_a_vector() {
    let readme = tree::read("schemas/README.md");
    let (_, section) = readme.split_once("## Errors").unwrap();
    let (section, _) = section.split_once("## Vectors").unwrap();
    let named: BTreeSet<&str> =
        section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let vectors = vectors("invalid");
    let reached: BTreeSet<&str> =
        vectors.iter().map(|vector| vector.all["error"].as_str().unwrap()).collect();
    assert_eq!(named, reached);
}

#[test]
fn there_are_at_least_sixty_of_each_and_no_two_of_one_name() {
    let all = [vectors("valid"), vectors("invalid")];
    assert!(all.iter().all(|list| list.len() >= 60));
    for list in all {
        let names: BTreeSet<&str> = list.iter().map(|vector| vector.name.as_str()).collect();
        assert_eq!(names.len(), list.len());
    }
}

#[test]
fn the_grammar_takes_every_valid_vector() {
    let grammar = grammar();
    let fits = |rule: &str, bytes: &[u8], name: &str| {
        let found = cddl_cat::validate_cbor_bytes(rule, &grammar, bytes);
        assert!(found.is_ok(), "{name} is no {rule}: {found:?}");
    };
    for vector in vectors("valid") {
        let Vector { name, kind, bytes, .. } = &vector;
        if let Some(rule) = vector.rule() {
            fits(rule, bytes, name);
            if kind == "content" || kind == "frame" {
                fits(kind, bytes, name);
            }
        }
        if kind == "card" || kind == "inner" {
            fits(kind, bytes, name);
        }
        if kind == "bundle" {
            let rules = vector.derived("frame_rules").as_array().unwrap();
            for ((start, body, end), rule) in frames(&vector).into_iter().zip(rules) {
                fits("frame_bytes", &bytes[start..end], name);
                if let Some(rule) = rule.as_str() {
                    fits(rule, &bytes[body..end], name);
                }
            }
        }
    }
}

#[test]
fn the_grammar_takes_no_vector_of_a_wrong_type_length_or_limit() {
    let grammar = grammar();
    let errors = ["wrong_type", "wrong_length", "over_limit", "unsupported_version"];
    // Its reader takes the first two for 2 and false; then the size of a whole payload, and the sum
    // of a seq and a count.
    let beyond_it = [
        "header-tagged-seq",
        "segment-follows-in-two-bytes",
        "content-payload-16385-bytes",
        "fork-beyond-the-last-seq",
    ];
    let mut taken = Vec::new();
    for vector in vectors("invalid") {
        let rule = match vector.kind.as_str() {
            "bundle" | "card" | "inner" => continue,
            "fork" => "fork_proof",
            kind => kind,
        };
        let is_said = errors.iter().any(|error| vector.all["error"] == *error);
        if is_said && cddl_cat::validate_cbor_bytes(rule, &grammar, &vector.bytes).is_ok() {
            taken.push(vector.name);
        }
    }
    assert_eq!(taken, beyond_it);
}

#[test]
fn every_rule_of_the_grammar_is_used_by_a_vector() {
    let grammar = grammar();
    let code: Vec<&str> =
        grammar.lines().map(|line| line.split(';').next().unwrap_or_default()).collect();
    let mut rules: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut current = "";
    for line in code {
        let mut text = line;
        if let Some((name, rest)) = line.split_once(" = ").filter(|_| !line.starts_with(' ')) {
            (current, text) = (name, rest);
        }
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        rules.entry(current).or_default().extend(words);
    }
    let named = vectors("valid").iter().filter_map(|v| v.rule().map(str::to_owned)).collect();
    let mut reached: BTreeSet<String> = named;
    // These are tried on all contents, frames, cards and what is sealed, and on every frame of a file;
    // changes of groups are in `groups.rs`.
    let all = ["content", "frame", "frame_bytes", "card", "inner", "group_change"];
    reached.extend(all.map(str::to_owned));
    while let Some(next) = rules
        .iter()
        .filter(|(name, _)| reached.contains(**name))
        .flat_map(|(_, words)| words)
        .find(|word| rules.contains_key(*word) && !reached.contains(**word))
    {
        reached.insert((*next).to_owned());
    }
    let unused: Vec<_> = rules.keys().filter(|name| !reached.contains(**name)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

/// How a vector shows a value that has a limit.
enum Measure {
    Number,
    Count,
    Text,
    Hex,
}

use Measure::{Count, Hex, Number, Text};

/// Each limit of the format: what is allowed at most, where a valid vector has just that, and an
/// invalid vector that has one more.
#[rustfmt::skip]
const AT_THE_LIMIT: &[(&str, u64, &str, &str, Measure, &str)] = &[
    ("PAYLOAD_BYTES", limits::PAYLOAD_BYTES, "header-largest-payload", "/fields/size", Number, "header-size-16385"),
    ("PAYLOAD_BYTES", limits::PAYLOAD_BYTES, "segment-detached-largest", "/fields/items/0/size", Number, "segment-detached-16385-bytes"),
    ("PAYLOAD_BYTES", limits::PAYLOAD_BYTES, "content-post-text-largest", "/hex", Hex, "content-payload-16385-bytes"),
    ("PAYLOAD_BYTES", limits::PAYLOAD_BYTES, "frame-payload-largest", "/fields/payload", Hex, "frame-payload-16385-bytes"),
    ("INLINE_BYTES", limits::INLINE_BYTES, "segment-inline-largest", "/fields/items/0/payload", Hex, "segment-payload-1025-bytes"),
    ("INLINE_BYTES", limits::INLINE_BYTES, "segment-inline-ttl-largest", "/fields/items/0/payload", Hex, "segment-payload-1025-bytes-ttl"),
    ("SEGMENT_ENTRIES", limits::SEGMENT_ENTRIES, "segment-third-window", "/fields/items", Count, "segment-33-items"),
    ("SEQ_END", limits::SEQ_END - 1, "header-seq-largest", "/fields/seq", Number, "header-seq-2-to-40"),
    ("SEQ_END", limits::SEQ_END - 1, "segment-last-seq", "/fields/first_seq", Number, "segment-seq-2-to-40"),
    ("SEQ_END", limits::SEQ_END - 1, "content-retraction-everything", "/fields/ranges/0/last", Number, "content-retraction-seq-2-to-40"),
    ("SEQ_END", limits::SEQ_END - 1, "fork-same-at-last-seq", "/fields/chain_a/first_seq", Number, "fork-beyond-the-last-seq"),
    ("SEQ_END", limits::SEQ_END - 1, "frame-heads-floor-is-head", "/fields/heads/0/head", Number, "frame-heads-head-2-to-40"),
    ("TTL_HOURS", limits::TTL_HOURS, "header-ttl-largest", "/fields/ttl", Number, "header-ttl-87601"),
    ("TTL_HOURS", limits::TTL_HOURS, "segment-ttl-largest", "/fields/items/0/ttl", Number, "segment-ttl-87601"),
    ("AGE_MINUTES", limits::AGE_MINUTES, "segment-age-largest", "/fields/items/0/age", Number, "segment-age-5256001"),
    ("TIME_END", limits::TIME_END - 1, "content-post-time-largest", "/fields/time", Number, "content-post-time-2-to-40"),
    ("PARENTS", limits::PARENTS, "content-post-four-parents", "/fields/parents", Count, "content-post-5-parents"),
    ("PARENTS", limits::PARENTS, "content-reply-first-parent-is-not-sorted", "/fields/parents", Count, "content-reply-5-parents"),
    ("FORK_CHAIN", limits::FORK_CHAIN, "fork-same-32-headers", "/fields/chain_b/entries", Count, "fork-chain-of-33"),
    ("NAME_BYTES", limits::NAME_BYTES, "content-post-channel-64-bytes", "/fields/channel", Text, "content-post-channel-65-bytes"),
    ("NAME_BYTES", limits::NAME_BYTES, "content-post-channel-64-bytes-of-32-letters", "/fields/channel", Text, "content-post-channel-65-bytes-of-33-letters"),
    ("NAME_BYTES", limits::NAME_BYTES, "content-post-author-64-bytes", "/fields/author", Text, "content-post-author-65-bytes"),
    ("NAME_BYTES", limits::NAME_BYTES, "content-profile-name-64-bytes", "/fields/name", Text, "content-profile-name-65-bytes"),
    ("ABOUT_BYTES", limits::ABOUT_BYTES, "content-profile-about-1024-bytes", "/fields/about", Text, "content-profile-about-1025-bytes"),
    ("RANGES", limits::RANGES, "content-receipt-64-ranges", "/fields/ranges", Count, "content-receipt-65-ranges"),
    ("RANGES", limits::RANGES, "content-retraction-64-ranges", "/fields/ranges", Count, "content-retraction-65-ranges"),
    ("BUNDLE_HEADS_PER_FRAME", limits::BUNDLE_HEADS_PER_FRAME, "frame-heads-1024", "/fields/heads", Count, "frame-heads-1025"),
    ("WANTS", limits::WANTS, "frame-wants-256", "/fields/wants", Count, "frame-wants-257"),
    ("EPOCH_PARTS", limits::EPOCH_PARTS, "content-epoch-part-last-of-5", "/fields/parts", Number, "content-epoch-part-6-parts"),
    ("EPOCH_DEVICES", limits::EPOCH_DEVICES, "inner-roster-64-devices", "/fields/members/0/devices", Count, "inner-roster-65-devices"),
    ("EPOCH_DEVICES", limits::EPOCH_DEVICES, "inner-roster-64-devices-of-64-accounts", "/fields/members", Count, "inner-roster-65-accounts"),
    ("CARD_BYTES", limits::CARD_BYTES, "inner-introduction-300-bytes", "/fields/card", Hex, "inner-introduction-301-bytes"),
    ("CARD_BYTES", limits::CARD_BYTES, "inner-introduction-300-bytes", "/fields/card", Hex, "card-301-bytes"),
    ("NAME_BYTES", limits::NAME_BYTES, "card-name-64-bytes", "/fields/name", Text, "card-name-65-bytes"),
    ("NAME_BYTES", limits::NAME_BYTES, "inner-contact-name-of-64", "/fields/name", Text, "inner-contact-name-65-bytes"),
    ("SEQ_END", limits::SEQ_END - 1, "content-epoch-part-last-of-5", "/fields/epoch", Number, "content-epoch-part-epoch-2-to-40"),
    ("SEQ_END", limits::SEQ_END - 1, "inner-unreadable", "/fields/epoch", Number, "inner-unreadable-epoch-2-to-40"),
    ("PAYLOAD_BYTES", limits::PAYLOAD_BYTES, "content-sealed-largest", "/hex", Hex, "content-payload-16385-bytes"),
    ("FRAME_BYTES", limits::FRAME_BYTES, "bundle-largest-frame", "/derived/frame_lengths/2", Number, "bundle-frame-65537-bytes"),
];

/// Limits of what is kept, not of what is sent; `BUNDLE_FEEDS` has a test of its own, and those of
/// a reconciliation are reached in `reconcile.rs`, those of a sealed bundle in `sealed.rs`.
const NOT_IN_VECTORS: &[&str] = &[
    "ADDRESS_BYTES",
    "BUNDLE_BYTES",
    "BUNDLE_FEEDS",
    "BUNDLE_SECRETS",
    "BUNDLE_SLOTS",
    "CARRY_SECRETS",
    "CONTACTS",
    "CONTROL_FRAMES",
    "DECLINED",
    "DECLINED_PER_FRAME",
    "EPOCH_MESSAGES",
    "FIRST_FLIGHT_BYTES",
    "FOLLOWS_READ",
    "FORK_BRANCHES",
    "GROUPS",
    "GROUP_ASIDE",
    "HISTORY_MESSAGES",
    "HISTORY_WAITING",
    "GROUP_CHANGES",
    "GROUP_MEMBERS",
    "GROUP_PARENTS",
    "HOPS",
    "INTRODUCTIONS",
    "ISLANDS_PER_FEED",
    "LINK_KEY_DAYS",
    "LIVE_PREKEYS",
    "REACHED_FEEDS",
    "RECOGNITION_TAGS",
    "RECONCILE_ITEMS",
    "RECONCILE_ROUNDS",
    "RECONCILE_SUMS",
    "REMEMBERED_ADDRESSES",
    "REMEMBERED_EVICTIONS",
    "RENEWALS",
    "REPEATED_BYTES",
    "SCOPE_FEEDS",
    "SEALED_AGAIN",
    "SESSIONS",
    "SESSION_ROUNDS",
    "SILENCE_MS",
    "SKETCH_BYTES",
    "SKETCH_BYTES_PER_FEED",
    "SKETCH_WORK",
    "STAGED_BYTES",
    "STRANGER_BYTES",
    "STRANGER_DRAW_BYTES",
    "STRANGER_FEED_BYTES",
    "STRANGER_HOUR_BYTES",
    "STRANGER_SEND_BYTES",
    "TAGS_AHEAD",
    "UNACKED_BYTES",
    "UNACKED_NODE_BYTES",
    "UNREADABLE_DAY",
    "UNREADABLE_TOLD",
];

#[test]
fn every_limit_is_reached_and_passed_by_one() {
    let by_name = |file| -> BTreeMap<String, Vector> {
        vectors(file).into_iter().map(|vector| (vector.name.clone(), vector)).collect()
    };
    let (valid, invalid) = (by_name("valid"), by_name("invalid"));
    let mut seen = Seen::new();
    for (_, limit, at, pointer, measure, over) in AT_THE_LIMIT {
        let all = Value::Object(valid[*at].all.clone());
        let value = all.pointer(pointer).unwrap_or_else(|| panic!("{at} has no {pointer}"));
        let found = match measure {
            Number => value.as_u64().unwrap(),
            Count => value.as_array().unwrap().len() as u64,
            Text => value.as_str().unwrap().len() as u64,
            Hex => bytes(value).len() as u64,
        };
        assert_eq!(found, *limit, "{at}");
        let over = &invalid[*over];
        let error = if over.kind == "bundle" { "damaged" } else { "over_limit" };
        assert_eq!(refusal(over, &mut seen), error, "{}", over.name);
        if let Some((found, allowed)) = passed_by(over) {
            assert_eq!((found, allowed), (limit + 1, *limit), "{}", over.name);
        }
    }
    let source = tree::read("engine/src/limits.rs");
    let constants: BTreeSet<&str> = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split(':').next())
        .collect();
    let reached = AT_THE_LIMIT.iter().map(|row| row.0).chain(NOT_IN_VECTORS.iter().copied());
    let reached = reached.chain([private::LEAST]);
    assert_eq!(reached.collect::<BTreeSet<_>>(), constants);
}

/// What was found and what was allowed, where a vector is over a limit in decoding.
fn passed_by(vector: &Vector) -> Option<(u64, u64)> {
    let bytes = &vector.bytes;
    let error = match vector.kind.as_str() {
        "header" => Header::decode(bytes).err(),
        "segment" => UnverifiedSegment::decode(bytes).err(),
        "content" => Content::decode(bytes).err(),
        "fork" => ForkProof::decode(bytes).err(),
        "frame" => Frame::decode(bytes).err(),
        "inner" => Inner::decode(bytes).err(),
        "card" => match Card::decode(bytes) {
            Err(CardFault::Decode(error)) => Some(error),
            _ => None,
        },
        _ => None,
    };
    match error {
        Some(DecodeError::OverLimit { found, limit, .. }) => Some((found, limit)),
        _ => None,
    }
}

/// 131,072 heads are 128 frames and five megabytes: too much for a file of vectors.
#[test]
fn heads_are_limited_over_all_frames_of_a_file() {
    let key = SecretKey::from_seed(&Seed::new([1; 32]));
    let head = |number: u64| {
        let mut feed = [0; 32];
        feed[..8].copy_from_slice(&number.to_be_bytes());
        Head { feed: FeedId::from_bytes(feed), floor: 1, head: 1, forked: None }
    };
    for (count, refused) in [(limits::BUNDLE_FEEDS, 0), (limits::BUNDLE_FEEDS + 1, 1)] {
        let heads: Vec<Head> = (0..count).map(head).collect();
        let maker = key.feed();
        let opening = Opening {
            maker,
            for_feed: None,
            whole: true,
            position: 0,
            log_hash: [0; 8],
            ack: None,
        };
        let mut file = framed(&Frame::Opening(opening).encode());
        for heads in heads.chunks(1_024) {
            file.extend(framed(&Frame::Heads(heads.to_vec()).encode()));
        }
        let signature = key.sign(Context::Bundle, &derive(Context::Bundle, &file));
        file.extend(framed(&Frame::Statement(signature).encode()));
        file.extend(framed(&Frame::End { count: 0 }.encode()));
        let read = read_file(&file, 65_536, &mut Seen::new());
        let errors: Vec<&str> = vec!["over_limit"; refused];
        assert_eq!(read.errors, errors);
        assert_eq!(read.stated, Some(refused == 0), "what was refused may have been all");
        assert_eq!(read.heads.len() as u64, limits::BUNDLE_FEEDS);
    }
}

fn header(vector: &Vector) -> (Value, Value) {
    let header = Header::decode(&vector.bytes).unwrap();
    assert_eq!(header.encode(), vector.bytes);
    let payload = bytes(vector.derived("payload_hex"));
    let stub = Stub::of(header.ttl, &payload);
    assert_eq!((stub, header.stub().fits(&payload)), (header.stub(), true));
    let key = secret(vector.derived("secret_seed"));
    assert_eq!(key.feed(), header.feed);
    let signature = segment::sign(&key, &header.id());
    let derived = json!({
        "payload_hex": hex(&payload),
        "payload_hash": hex(&stub.payload_hash),
        "entry_id": hex(header.id().as_bytes()),
        "signature": hex(&signature),
        "secret_seed": hex(key.to_seed().expose()),
    });
    (shown_header(&header), derived)
}

fn windows(vector: &Vector) -> (Value, Value) {
    let row = |seq: &Value| {
        let (first, last) = window(seq.as_u64().unwrap());
        json!({ "seq": seq, "first": first, "last": last })
    };
    let rows: Vec<Value> = vector.fields()["seqs"].as_array().unwrap().iter().map(row).collect();
    (vector.fields().clone(), json!({ "windows": rows }))
}

fn segment(vector: &Vector) -> (Value, Value) {
    let segment = UnverifiedSegment::decode(&vector.bytes).unwrap();
    assert_eq!(segment.encode(), vector.bytes);
    let sizes: u64 = segment.items.iter().map(segment::Item::encoded_len).sum();
    let (feed, first) = (segment.feed, segment.first_seq);
    let (fields, last) = (shown_segment(&segment), segment.last_seq());
    let verified = segment.verify(&mut ChainHasher::default()).unwrap();
    assert_eq!(verified.last_seq(), last);
    assert_eq!(verified.origin.is_some(), first == 1);
    let (mut prev, mut headers, mut contents) = (verified.prev, Vec::new(), Vec::new());
    for (seq, entry) in (first..).zip(&verified.entries) {
        let header = Header::new(feed, seq, prev, entry.stub);
        assert_eq!(header.id(), entry.id);
        headers.push(hex(&header.encode()));
        contents.push(entry.payload.map(show::class_of));
        prev = Some(entry.id);
    }
    let ids: Vec<String> = verified.entries.iter().map(|entry| hex(entry.id.as_bytes())).collect();
    let head = prev.unwrap();
    // Forged keys have no secret.
    let seed = vector.derived("secret_seed");
    if seed != "" {
        assert_eq!(secret(seed).feed(), feed);
        assert_eq!(segment::sign(&secret(seed), &head), verified.signature);
    }
    assert!(sizes < vector.bytes.len() as u64);
    let derived = json!({
        "headers": headers,
        "entry_ids": ids,
        "head_entry_id": hex(head.as_bytes()),
        "signed_message": hex(&signed_message(Context::Entry, head.as_bytes())),
        "secret_seed": seed,
        "contents": contents,
    });
    (fields, derived)
}

fn content(vector: &Vector) -> (Value, Value) {
    let content = Content::decode(&vector.bytes).unwrap();
    if !matches!(content, Content::Unknown { .. }) {
        assert_eq!(content.encode_checked().as_ref(), Ok(&vector.bytes));
    }
    let is_structural = matches!(vector.fields()["type"].as_u64(), Some(5 | 6 | 7 | 9..=15));
    assert_eq!(content.is_structural(), is_structural, "{}", vector.name);
    let fields = shown_content(&content);
    if !matches!(content, Content::Certificate(_) | Content::Successor(_) | Content::Device(_)) {
        return (fields, json!({}));
    }
    let feed = FeedId::from_bytes(fixed(vector.derived("feed")));
    let seed = Seed::new(fixed(vector.derived("signer_seed")));
    let key = SecretKey::from_seed(&seed);
    let alice = alice();
    let mut signed = Encoder::new();
    let (context, again) = match &content {
        Content::Certificate(certificate) => {
            let carry = certificate.carry;
            signed.array(2).bytes(feed.as_bytes()).uint(carry.code());
            (Context::Certificate, Content::Certificate(alice.certify(&feed, carry)))
        }
        Content::Successor(successor) => {
            let (carry, account) = (successor.carry, successor.account);
            signed.array(3).bytes(feed.as_bytes()).uint(carry.code()).bytes(account.as_bytes());
            let again = account::succeed(&key, &feed, carry, account);
            (Context::Successor, Content::Successor(again))
        }
        Content::Device(device) => {
            let (account, verb) = (device.account, device.verb);
            signed.array(3).bytes(account.as_bytes()).uint(verb.code());
            signed.bytes(device.feed.as_bytes());
            assert_eq!(account::verify_statement(device), Ok(()));
            let again = match verb {
                Verb::Add => alice.add(&device.feed),
                Verb::Revoke => alice.revoke(&device.feed),
            };
            (Context::Device, Content::Device(again))
        }
        _ => unreachable!("returned above"),
    };
    assert_eq!(again, content, "{}: signed again", vector.name);
    if context != Context::Device {
        let origin = account::verify_certificate(&feed, &content).unwrap();
        assert_eq!(origin.account, alice.id());
        assert!([Carry::Open, Carry::Contacts, Carry::Listed].contains(&origin.carry));
    }
    let signed = signed.into_bytes();
    let digest = derive(context, &signed);
    let signature = fixed(&fields["signature"]);
    assert_eq!(Verifier::of_feed(&key.feed()).unwrap().check(context, &digest, &signature), Ok(()));
    let derived = json!({
        "signed_data": hex(&signed),
        "digest": hex(&digest),
        "signed_message": hex(&signed_message(context, &digest)),
        "signer": hex(key.feed().as_bytes()),
        "signer_seed": hex(seed.expose()),
        "feed": hex(feed.as_bytes()),
    });
    (fields, derived)
}

fn fork(vector: &Vector) -> (Value, Value) {
    let proof = ForkProof::decode(&vector.bytes).unwrap();
    assert_eq!(proof.encode(), vector.bytes);
    let mut derived = Map::new();
    let mut first_ids = Vec::new();
    for (side, chain) in [("a", &proof.chain_a), ("b", &proof.chain_b)] {
        let mut prev = chain.prev;
        let mut headers = Vec::new();
        for (seq, stub) in (chain.first_seq..).zip(&chain.stubs) {
            headers.push(Header::new(proof.feed, seq, prev, *stub));
            prev = headers.last().map(Header::id);
        }
        let (first, last) = (headers[0].id(), prev.unwrap());
        first_ids.push((chain.first_seq, first));
        let shown: Vec<String> = headers.iter().map(|header| hex(&header.encode())).collect();
        derived.insert(format!("headers_{side}"), json!(shown));
        derived.insert(format!("first_entry_id_{side}"), json!(hex(first.as_bytes())));
        derived.insert(format!("last_entry_id_{side}"), json!(hex(last.as_bytes())));
    }
    let fields = shown_fork(&proof);
    let ForkProof { feed, chain_a, chain_b } = proof.clone();
    let verified = proof.verify().unwrap();
    assert_eq!((verified.feed(), verified.bytes()), (&feed, &vector.bytes[..]));
    assert_eq!(verified.branches()[1], first_ids[1]);
    derived.insert("fork_seq".to_owned(), json!(verified.fork_seq()));
    let made = ForkProof::from_chains(feed, chain_b, chain_a).unwrap();
    assert_eq!(made.fork_seq(), verified.fork_seq());
    assert_eq!(made.branches(), verified.branches());
    (fields, Value::Object(derived))
}

fn frame(vector: &Vector) -> Value {
    let frame = Frame::decode(&vector.bytes).unwrap();
    assert_eq!(frame.kind(), vector.fields()["kind"].as_u64().unwrap());
    if !matches!(frame, Frame::Unknown { .. }) {
        assert_eq!(frame.encode(), vector.bytes);
    }
    shown_frame(&frame)
}

/// What a reading of a file gave.
#[derive(Debug, PartialEq)]
struct ReadFile {
    opening: Option<Opening>,
    heads: Vec<Head>,
    wants: Vec<Want>,
    /// Whether the statement was right, and the heads are whole.
    stated: Option<bool>,
    /// Of each frame where it begins, where the next does, and its kind if it is a known one.
    frames: Vec<(u64, u64, Option<u64>)>,
    unknown: u64,
    body_frames: u64,
    errors: Vec<&'static str>,
}

/// Reads a file as a node would that holds nothing: every segment, payload and fork is verified.
fn read_file(file: &[u8], chunk: usize, seen: &mut Seen) -> ReadFile {
    let mut reader = FileReader::new();
    let mut read = ReadFile {
        opening: None,
        heads: Vec::new(),
        wants: Vec::new(),
        stated: None,
        frames: Vec::new(),
        unknown: 0,
        body_frames: 0,
        errors: Vec::new(),
    };
    let mut stubs = Stubs::new();
    for bytes in file.chunks(chunk.min(file.len().max(1))) {
        reader.push(bytes);
        while let Some(found) = reader.poll() {
            let error = match &found.read {
                Read::Statement { whole } => {
                    read.stated = Some(*whole);
                    None
                }
                Read::Refused(fault) => Some(frame_fault(fault, seen)),
                Read::Frame(frame) => take(frame, &mut read, &mut stubs, seen),
            };
            let kind = match &found.read {
                Read::Statement { .. } => Some(5),
                Read::Frame(frame) if frame.kind() < 8 => Some(frame.kind()),
                Read::Frame(_) | Read::Refused(_) => None,
            };
            read.frames.push((found.offset, found.end, kind));
            read.errors.extend(error);
        }
    }
    let ending = reader.finish();
    read.unknown = ending.unknown;
    read.body_frames = ending.body_frames;
    read.errors.extend(ending.fault.map(|fault| file_fault(&fault, seen)));
    read
}

/// What the entries of a file say of their payloads.
type Stubs = BTreeMap<(FeedId, u64), Stub>;

fn take(
    frame: &Frame<'_>,
    read: &mut ReadFile,
    stubs: &mut Stubs,
    seen: &mut Seen,
) -> Option<&'static str> {
    match frame {
        Frame::Opening(opening) => read.opening = Some(*opening),
        Frame::Heads(heads) => read.heads.extend(heads),
        Frame::Wants(wants) => read.wants.extend(wants),
        Frame::Segment(bytes) => match verify_segment(bytes) {
            Err(fault) => return Some(reject(&fault, seen)),
            Ok(entries) => stubs.extend(entries),
        },
        Frame::Payload { feed, seq, payload } => {
            if stubs.get(&(*feed, *seq)).is_some_and(|stub| !stub.fits(payload)) {
                return Some(reject(&Reject::WrongPayload, seen));
            }
        }
        Frame::Fork(bytes) => return refuse_fork(bytes, seen),
        Frame::Statement(_) | Frame::End { .. } | Frame::Unknown { .. } => {}
    }
    None
}

fn verify_segment(bytes: &[u8]) -> Result<Stubs, Reject> {
    let segment = UnverifiedSegment::decode(bytes)?.verify(&mut ChainHasher::default())?;
    let stubs = segment.entries.iter().map(|entry| entry.stub);
    Ok((segment.first_seq..).map(|seq| (segment.feed, seq)).zip(stubs).collect())
}

fn bundle(vector: &Vector) -> (Value, Value) {
    let file = &vector.bytes;
    let read = read_file(file, usize::MAX, &mut Seen::new());
    for chunk in CHUNKS {
        assert_eq!(read_file(file, chunk, &mut Seen::new()), read, "{}", vector.name);
    }
    assert_eq!(read.errors, [""; 0], "{}", vector.name);
    let opening = read.opening.unwrap();
    let at = |offset: u64| usize::try_from(offset).unwrap();
    let rules: Vec<Option<&str>> =
        read.frames.iter().map(|(.., kind)| kind.map(show::rule_of)).collect();
    let stated = read.frames.iter().find(|(.., kind)| *kind == Some(5)).map(|(start, ..)| *start);
    let body_at = rules.len() - 1 - at(read.body_frames);
    let bodies: Vec<&[u8]> =
        frames(vector).into_iter().map(|(_, body, end)| &file[body..end]).collect();
    let signature = bodies.iter().find_map(|body| match Frame::decode(body) {
        Ok(Frame::Statement(signature)) => Some(hex(&signature)),
        _ => None,
    });
    if stated.is_some() {
        assert_eq!(read.stated, Some(opening.whole));
        rewrite(vector, &read, &bodies);
    }
    let mut fields = show::shown_opening(&opening);
    let more = json!({
        "heads": read.heads.iter().map(show::shown_head).collect::<Vec<_>>(),
        "wants": read.wants.iter().map(show::shown_want).collect::<Vec<_>>(),
        "signature": signature,
        "body": rules[body_at..rules.len() - 1],
        "count": read.body_frames,
    });
    fields.extend(more.as_object().unwrap().clone());
    fields.remove("version");
    let digest = stated.map(|start| derive(Context::Bundle, &file[..at(start)]));
    let key = secret(vector.derived("secret_seed"));
    assert_eq!(key.feed(), opening.maker);
    let derived = json!({
        "frame_lengths": bodies.iter().map(|body| body.len()).collect::<Vec<_>>(),
        "frame_rules": rules,
        "frame_offsets": read.frames.iter().map(|(start, ..)| *start).collect::<Vec<_>>(),
        "statement_covers": stated,
        "statement_digest": digest.map(|digest| hex(&digest)),
        "statement_message": digest.map(|digest| hex(&signed_message(Context::Bundle, &digest))),
        "secret_seed": hex(key.to_seed().expose()),
        "unknown_frames": read.unknown,
    });
    (Value::Object(fields), derived)
}

/// Writes the file anew, where a writer of this version would write it so.
fn rewrite(vector: &Vector, read: &ReadFile, bodies: &[&[u8]]) {
    let heads_frames = read.frames.iter().filter(|(.., kind)| *kind == Some(3)).count();
    if read.unknown > 0 || heads_frames > 1 {
        return;
    }
    let key = secret(vector.derived("secret_seed"));
    let (mut writer, mut file) =
        FileWriter::new(read.opening.unwrap(), read.heads.clone(), &read.wants, &key);
    for body in bodies {
        match Frame::decode(body).unwrap() {
            Frame::Segment(bytes) => file.extend(writer.segment(bytes)),
            Frame::Payload { feed, seq, payload } => {
                file.extend(writer.payload(feed, seq, payload));
            }
            Frame::Fork(proof) => file.extend(writer.fork(proof)),
            _ => {}
        }
    }
    file.extend(writer.end());
    assert_eq!(file, vector.bytes, "{}: written anew", vector.name);
}

/// Of each frame of a sound file: where it begins, where its body does, and where it ends.
fn frames(vector: &Vector) -> Vec<(usize, usize, usize)> {
    let mut decoder = Decoder::new(&vector.bytes);
    let mut found = Vec::new();
    while !decoder.is_at_end() {
        let start = decoder.position();
        let body = decoder.bytes("frame", limits::FRAME_BYTES).unwrap();
        found.push((start, decoder.position() - body.len(), decoder.position()));
    }
    found
}

fn text_id(vector: &Vector) -> (Value, Value) {
    let text = vector.fields()["text"].as_str().unwrap();
    let id = Id::parse(text).unwrap();
    assert_eq!(id.text(), text);
    let upper = text.to_uppercase();
    assert_eq!(Id::parse(&upper), Ok(id));
    let bytes = match &id {
        Id::Feed(feed) => *feed.as_bytes(),
        Id::Account(account) => *account.as_bytes(),
        Id::Entry(bytes) | Id::Node(bytes) => *bytes,
    };
    assert_eq!(bytes, vector.bytes[..]);
    let refused = vector.derived("refused");
    for text in refused.as_array().unwrap() {
        assert!(Id::parse(text.as_str().unwrap()).is_err(), "{text}");
    }
    let fields = json!({ "hrp": id.kind().word(), "bytes": hex(&bytes), "text": text });
    (fields, json!({ "short": short(text), "upper": upper, "refused": refused }))
}

fn phrase(vector: &Vector) -> (Value, Value) {
    let entropy: [u8; 32] = vector.bytes.clone().try_into().unwrap();
    let phrase = Phrase::from_entropy(&Seed::new(entropy));
    let words = phrase.words().join(" ");
    assert_eq!(Phrase::parse(&words), Ok(phrase.clone()));
    assert_eq!(Phrase::parse(&words.to_uppercase().replace(' ', "\n\t ")), Ok(phrase.clone()));
    let refused = vector.derived("refused");
    for text in refused.as_array().unwrap() {
        assert!(Phrase::parse(text.as_str().unwrap()).is_err(), "{text}");
    }
    let account: AccountId = AccountKey::from_phrase(&phrase).id();
    let derived = json!({
        "entropy": hex(&entropy),
        "account_seed": hex(&derive(Context::Account, &entropy)),
        "account": hex(account.as_bytes()),
        "refused": refused,
    });
    (json!({ "words": words }), derived)
}

fn order(vector: &Vector) -> (Value, Value) {
    let node = |entry: &Value| Node {
        id: EntryId::from_bytes(fixed(&entry["id"])),
        time: entry["time"].as_u64().unwrap(),
        parents: entry["parents"].as_array().unwrap().iter().map(fixed).collect(),
    };
    let entries = vector.fields()["entries"].as_array().unwrap();
    let nodes: Vec<Node> = entries.iter().map(node).collect();
    let shown = display_order(&nodes);
    let display: Vec<String> = shown.iter().map(|(_, at)| hex(nodes[*at].id.as_bytes())).collect();
    (vector.fields().clone(), json!({ "lamport": lamports(&nodes), "display": display }))
}

/// The name of the error by which a vector is refused.
fn refusal(vector: &Vector, seen: &mut Seen) -> &'static str {
    let bytes = &vector.bytes;
    let decoded = match vector.kind.as_str() {
        "header" => Header::decode(bytes).map(drop),
        "content" => Content::decode(bytes).map(drop),
        "inner" => Inner::decode(bytes).map(drop),
        "card" => {
            let found = Card::decode(bytes).map(drop);
            return found.map_or_else(|fault| card_fault(&fault, seen), |()| "accepted");
        }
        "frame" => return refuse_frame(bytes, seen),
        "segment" => {
            let found = verify_segment(bytes).expect_err(&vector.name);
            return reject(&found, seen);
        }
        "fork" => return refuse_fork(bytes, seen).unwrap_or("accepted"),
        "bundle" => {
            let read = read_file(bytes, usize::MAX, seen);
            for chunk in CHUNKS {
                assert_eq!(read_file(bytes, chunk, seen), read, "{}", vector.name);
            }
            return read.errors.first().unwrap_or(&"accepted");
        }
        kind => panic!("{}: {kind}", vector.name),
    };
    decoded.map_or_else(|error| decode_error(&error, seen), |()| "accepted")
}

/// A frame together with the segment or the fork proof that it holds.
fn refuse_frame(bytes: &[u8], seen: &mut Seen) -> &'static str {
    let decoded = Frame::decode(bytes).and_then(|frame| match frame {
        Frame::Segment(segment) => UnverifiedSegment::decode(segment).map(drop),
        Frame::Fork(proof) => ForkProof::decode(proof).map(drop),
        _ => Ok(()),
    });
    decoded.map_or_else(|error| decode_error(&error, seen), |()| "accepted")
}

fn refuse_fork(bytes: &[u8], seen: &mut Seen) -> Option<&'static str> {
    match ForkProof::decode(bytes) {
        Err(error) => Some(decode_error(&error, seen)),
        Ok(proof) => {
            let found: Result<_, ForkFault> = proof.verify();
            found.err().map(|fault| fork_fault(&fault, seen))
        }
    }
}

/// The one account of the vectors, whose phrase has the bytes 0 to 31.
fn alice() -> AccountKey {
    let entropy = std::array::from_fn(|at| u8::try_from(at).unwrap());
    AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new(entropy)))
}

fn secret(seed: &Value) -> SecretKey {
    SecretKey::from_seed(&Seed::new(fixed(seed)))
}

/// Puts a frame into its byte string.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.bytes(body);
    encoder.into_bytes()
}
