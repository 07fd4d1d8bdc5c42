//! The engine has every value of `schemas/vectors/private.json`: cards, prekeys, slots, chains of keys,
//! what is sealed, and padding.
//!
//! The values come from `private.py`, written from `schemas/private.md` alone. What the engine shows
//! nobody, such as the key that opens a slot, it had on the way to what is compared.

use std::sync::LazyLock;

use serde_json::{Value, json};
use thistle_engine::account::{AccountKey, Phrase, words_of};
use thistle_engine::codec::Encoder;
use thistle_engine::content::{Content, NARROW, Part, Sealed, WIDE};
use thistle_engine::entry::{EntryId, Header, Stub};
use thistle_engine::ids::{card_text, parse_card};
use thistle_engine::key::{
    AccountId, Context, FeedId, Noise, PrekeySecret, SEAL_BYTES, SLOT_BYTES, Seed, agree,
    agreement_key, derive, is_prekey, open, seal, signed_message, stretch,
};
use thistle_engine::limits;
use thistle_engine::seal::{
    self, Card, Chain, Inner, Message, Place, Roster, RosterKind, Slot, carriage_secret,
    contact_secret, next_secret, pair_of, prekey_name, unpad,
};
use thistle_tests::tree;

use crate::Vector;
use crate::names::{Seen, decode_error};
use crate::show::{bytes, fixed, hex, shown_content};

/// A limit that is a least length, and thus reached from the other side.
pub(crate) const LEAST: &str = "LEAST_PADDED";

static ALL: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&tree::read("schemas/vectors/private.json")).unwrap());

/// A list of the file.
pub(crate) fn vectors(list: &str) -> &'static [Value] {
    listed(&ALL[list])
}

fn listed(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn small(value: &Value) -> usize {
    usize::try_from(number(value)).unwrap()
}

fn seed(value: &Value) -> Seed {
    Seed::new(fixed(value))
}

fn account(value: &Value) -> AccountId {
    AccountId::from_bytes(fixed(value))
}

fn feed(value: &Value) -> FeedId {
    FeedId::from_bytes(fixed(value))
}

fn hexes(list: &[FeedId]) -> Vec<String> {
    list.iter().map(|feed| hex(feed.as_bytes())).collect()
}

/// A card that an account issues again, and what it took to make it.
pub(crate) fn card(vector: &Vector) -> (Value, Value) {
    let card = Card::decode(&vector.bytes).unwrap();
    assert_eq!(card.encode(), vector.bytes, "{}", vector.name);
    let entropy = seed(vector.derived("entropy"));
    let key = AccountKey::from_phrase(&Phrase::from_entropy(&entropy));
    let (secret, again) = Card::issue(&key, card.generation, card.feed, card.name.as_deref());
    assert_eq!(again, card, "{}: issued again", vector.name);
    assert_eq!(agreement_key(&secret), card.agreement, "{}", vector.name);
    let mut signed = Encoder::new();
    signed.array(3).bytes(card.account.as_bytes()).uint(card.generation).bytes(&card.agreement);
    let signed = signed.into_bytes();
    let digest = Card::digest(&card.account, card.generation, &card.agreement);
    assert_eq!(digest, derive(Context::Card, &signed), "{}", vector.name);
    let (text, stretched) = (card_text(&vector.bytes), stretch(Context::Words, &digest));
    assert_eq!(parse_card(&text).as_ref(), Ok(&vector.bytes), "{}", vector.name);
    let fields = json!({
        "version": 1,
        "account": hex(card.account.as_bytes()),
        "generation": card.generation,
        "agreement": hex(&card.agreement),
        "signature": hex(&card.signature),
        "feed": hex(card.feed.as_bytes()),
        "name": card.name,
    });
    let derived = json!({
        "entropy": hex(entropy.expose()),
        "account_seed": hex(entropy.derive(Context::Account, &[]).expose()),
        "agreement_secret": hex(secret.expose()),
        "signed_data": hex(&signed),
        "digest": hex(&digest),
        "signed_message": hex(&signed_message(Context::Card, &digest)),
        "text": text,
        "stretched": hex(&stretched),
        "words": words_of(&stretched, 8).join(" "),
    });
    (fields, derived)
}

/// What stands inside a sealed message.
pub(crate) fn inner(vector: &Vector) -> (Value, Value) {
    let inner = Inner::decode(&vector.bytes).unwrap();
    if !matches!(inner, Inner::Unknown { .. }) {
        assert_eq!(inner.encode(), vector.bytes, "{}", vector.name);
    }
    let mut fields = match &inner {
        Inner::Roster(roster) => shown_roster(roster),
        Inner::Content(content) => return (shown_content(content), json!({})),
        Inner::Renewal { generation, share } => {
            json!({ "generation": generation, "share": hex(share.expose()) })
        }
        Inner::Unreadable { feed, epoch, after } => {
            json!({ "feed": hex(feed.as_bytes()), "epoch": epoch, "after": after })
        }
        Inner::Change(change) => json!({ "change": hex(change) }),
        Inner::Introduction(card) => json!({ "card": hex(card) }),
        Inner::Confirmation { generation, feed } => {
            json!({ "generation": generation, "feed": hex(feed.as_bytes()) })
        }
        Inner::Contact(contact) => json!({
            "card": hex(&contact.card),
            "name": contact.name,
            "verified": contact.verified,
            "removed": contact.removed,
            "generation": contact.generation,
            "secret": hex(contact.secret.expose()),
        }),
        Inner::Carriage { generation, secret } => {
            json!({ "generation": generation, "secret": hex(secret.expose()) })
        }
        Inner::Again(again) => json!({
            "conversation": hex(&again.conversation),
            "feed": hex(again.feed.as_bytes()),
            "seq": again.seq,
            "prefix": hex(&again.prefix),
            "text": hex(&again.content.encode()),
        }),
        Inner::Unknown { .. } => json!({}),
    };
    fields["type"] = json!(kind(&inner));
    (fields, json!({}))
}

fn kind(inner: &Inner) -> u64 {
    match inner {
        Inner::Roster(_) => 0,
        Inner::Content(content) => number(&shown_content(content)["type"]),
        Inner::Renewal { .. } => 17,
        Inner::Unreadable { .. } => 18,
        Inner::Change(_) => 19,
        Inner::Introduction(_) => 20,
        Inner::Confirmation { .. } => 21,
        Inner::Contact(_) => 22,
        Inner::Carriage { .. } => 23,
        Inner::Again(_) => 24,
        Inner::Unknown { kind } => *kind,
    }
}

fn shown_roster(roster: &Roster) -> Value {
    let kind = match roster.kind {
        RosterKind::Pair => 0,
        RosterKind::Group => 1,
        RosterKind::Own => 2,
    };
    let member = |(account, devices): &(AccountId, Vec<FeedId>)| json!({ "account": hex(account.as_bytes()), "devices": hexes(devices) });
    let members: Vec<Value> = roster.members.iter().map(member).collect();
    json!({ "kind": kind, "id": hex(&roster.id), "members": members })
}

#[test]
fn the_words_are_those_of_the_card() {
    let vector = crate::vectors("valid").into_iter().find(|vector| vector.kind == "card").unwrap();
    let card = Card::decode(&vector.bytes).unwrap();
    assert_eq!(seal::words(&card).join(" "), text(vector.derived("words")));
}

#[test]
fn a_card_is_read_from_its_text_and_from_no_other() {
    let texts = &ALL["texts"];
    let card = bytes(&texts["card"]);
    assert_eq!(card_text(&card), text(&texts["text"]));
    for accepted in listed(&texts["accepted"]) {
        assert_eq!(parse_card(text(accepted)).as_ref(), Ok(&card), "{accepted}");
    }
    for refused in listed(&texts["refused"]) {
        assert!(parse_card(text(refused)).is_err(), "{refused}");
    }
}

#[test]
fn two_contacts_share_what_the_vectors_say() {
    for vector in vectors("contacts") {
        let both = |name: &str| [&vector[name][0], &vector[name][1]];
        let (accounts, secrets) = (both("accounts").map(account), both("secrets").map(seed));
        let keys: [[u8; 32]; 2] = both("keys").map(fixed);
        assert_eq!(secrets.each_ref().map(agreement_key), keys);
        let shared = agree(&secrets[0], &keys[1]).unwrap();
        assert_eq!(hex(shared.expose()), vector["shared"]);
        let hashed = bytes(&vector["hashed"]);
        assert_eq!(hashed[..32], shared.expose()[..]);
        let expected = derive(Context::ContactSecret, &hashed);
        assert_eq!(hex(&expected), vector["secret"]);
        for (me, other) in [(0, 1), (1, 0)] {
            let mut secret =
                contact_secret(&secrets[me], &accounts[me], &accounts[other], &keys[other])
                    .unwrap();
            assert_eq!(secret.expose(), &expected);
            let carriage = carriage_secret(&secret, &accounts[me], &accounts[other]);
            assert_eq!(hex(carriage.expose()), vector["carriage"][me]);
            for renewed in listed(&vector["renewed"]) {
                secret = next_secret(&secret, &seed(&renewed["share"]));
                assert_eq!(hex(secret.expose()), renewed["secret"]);
            }
            assert_eq!(hex(&pair_of(&accounts[me], &accounts[other])), vector["pair"]);
            for none in vectors("no_keys") {
                assert_eq!(agree(&secrets[me], &fixed(none)), None, "{none}");
            }
        }
        assert_eq!(hex(&derive(Context::Pair, &bytes(&vector["pair_hashed"]))), vector["pair"]);
    }
}

#[test]
fn prekeys_are_those_of_the_vectors() {
    for vector in vectors("prekeys") {
        let public = PrekeySecret::from_seed(seed(&vector["secret"])).public();
        assert_eq!(hex(&public), vector["public"]);
        assert_eq!(hex(&prekey_name(&public)), vector["name"]);
        assert!(is_prekey(&public));
    }
    for vector in vectors("tried") {
        assert_eq!(is_prekey(&bytes(&vector["public"])), vector["is_key"], "{}", vector["why"]);
    }
}

/// An entry of a vector: its place and its payload; its id is what the place and payload make.
fn entry(author: FeedId, row: &Value) -> (Place, Vec<u8>) {
    let (seq, payload) = (number(&row["seq"]), bytes(&row["payload"]));
    let prev = EntryId::from_bytes(fixed(&row["prev"]));
    let stub = Stub::of(u32::try_from(number(&row["ttl"])).unwrap(), &payload);
    let id = Header::new(author, seq, Some(prev), stub).id();
    assert_eq!(hex(id.as_bytes()), row["entry_id"]);
    (Place { feed: author, seq, prev }, payload)
}

#[test]
fn the_parts_of_an_epoch_are_those_of_the_vectors() {
    for vector in vectors("epochs") {
        let (name, key, roster) =
            (&vector["name"], seed(&vector["first_key"]), bytes(&vector["roster"]));
        let commit = seal::commit(&key, &roster);
        assert_eq!(hex(&derive(Context::Roster, &roster)), vector["roster_hash"], "{name}");
        assert_eq!(hex(&commit), vector["commit"], "{name}");
        let rows = listed(&vector["parts"]);
        let (mut opened, mut slots) = (0, 0);
        for row in rows {
            let (place, payload) = entry(feed(&vector["feed"]), row);
            let listed = listed(&row["slots"]);
            slots += listed.len();
            let mut joined = Vec::new();
            for slot in listed {
                let locked = slot_of(&account(&vector["author"]), place, &commit, slot);
                opened += usize::from(slot["is_for_somebody"] == true);
                assert_eq!(slot["is_for_somebody"] == true, seed(&slot["text"]) == key, "{name}");
                joined.extend(locked);
            }
            let (epoch, part) = (number(&vector["epoch"]), number(&row["part"]));
            let part = Part { epoch, part, parts: rows.len() as u64, commit, slots: joined };
            assert_eq!(place.seq, part.epoch + part.part, "{name}");
            assert_eq!(Content::decode(&payload), Ok(Content::Part(part.clone())), "{name}");
            assert_eq!(Content::Part(part).encode_checked(), Ok(payload), "{name}");
        }
        let (parts, width) = seal::parts_for(opened);
        assert_eq!((rows.len(), slots), (parts, parts * width), "{name}");
        assert!([NARROW, WIDE].contains(&width));
    }
}

/// The slot that the engine locks with the randomness of a vector; it opens for nobody else.
fn slot_of(author: &AccountId, place: Place, commit: &[u8; 32], row: &Value) -> Vec<u8> {
    let (private, device) =
        (PrekeySecret::from_seed(seed(&row["prekey_secret"])), feed(&row["device"]));
    let public = private.public();
    let prekey = prekey_name(&public);
    assert_eq!(hex(&prekey), row["prekey_name"]);
    let slot = Slot { author, place, device: &device, prekey, commit };
    assert_eq!(hex(&slot.info()), row["info"]);
    let mut randomness = [0; 64];
    Noise::new(&seed(&row["seed"])).fill(&mut randomness);
    assert_eq!(hex(&randomness), row["randomness"]);
    let text = seed(&row["text"]);
    let locked = slot.lock(&public, &text, &seed(&row["seed"])).unwrap();
    assert_eq!((locked.len(), slot.open(&private, &locked)), (SLOT_BYTES, Some(text)));
    let next = Place { seq: place.seq + 1, ..place };
    assert_eq!(Slot { place: next, ..slot }.open(&private, &locked), None);
    assert_eq!(slot.open(&private, &locked[..SLOT_BYTES - 1]), None);
    locked
}

#[test]
fn the_messages_of_an_epoch_are_those_of_the_vectors() {
    for vector in vectors("epochs") {
        let author = feed(&vector["feed"]);
        let epoch = number(&vector["epoch"]);
        let mut chain = Chain::at(seed(&vector["first_key"]), 0);
        let mut before = listed(&vector["parts"]).last().unwrap();
        let rows = listed(&vector["messages"]);
        assert_eq!(rows[0]["text"], vector["roster"], "the first message is the roster");
        for row in rows {
            assert_eq!(row["prev"], before["entry_id"]);
            before = row;
            let (place, payload) = entry(author, row);
            let (index, tag) = (chain.index(), chain.tag());
            let ttl = u32::try_from(number(&row["ttl"])).unwrap();
            assert_eq!((index, hex(&tag)), (number(&row["index"]), text(&row["tag"]).to_owned()));
            assert_eq!(hex(chain.key().expose()), row["chain"]);
            let key = chain.take();
            assert_eq!(hex(key.expose()), row["key"]);
            let message = Message { place, ttl, epoch, index };
            let (plain, padded) = (bytes(&row["text"]), bytes(&row["padded"]));
            assert_eq!(seal::pad(&plain), padded);
            let sealed = message.seal(&key, &plain);
            assert_eq!(hex(&sealed), row["sealed"]);
            // The associated data is what the vector says: with it alone the same comes out.
            let associated = bytes(&row["associated"]);
            assert_eq!(seal(key.expose(), &associated, &padded), sealed);
            assert_eq!(open(key.expose(), &associated, &sealed), Some(padded));
            assert_eq!(message.open(&key, &sealed), Some(plain.clone()));
            let elsewhere = Message { index: index + 1, ..message };
            assert_eq!(elsewhere.open(&key, &sealed), None);
            assert_eq!(Inner::decode(&plain).unwrap().encode(), plain);
            let content = Content::Sealed(Sealed { tag, text: sealed });
            assert_eq!(content.encode_checked(), Ok(payload));
        }
    }
}

#[test]
fn a_chain_goes_on_as_the_vectors_say() {
    for vector in vectors("epochs") {
        let mut chain = Chain::at(seed(&vector["first_key"]), 0);
        for row in listed(&vector["ahead"]) {
            while chain.index() < number(&row["index"]) {
                chain.step();
            }
            assert_eq!(hex(chain.key().expose()), row["chain"]);
            assert_eq!(hex(&chain.tag()), row["tag"]);
            assert_eq!(hex(chain.clone().take().expose()), row["key"]);
        }
        assert_eq!(chain.index(), limits::EPOCH_MESSAGES);
    }
}

#[test]
fn padding_is_as_the_vectors_say() {
    let padding = &ALL["padding"];
    for row in listed(&padding["lengths"]) {
        let (length, expected) = (small(&row[0]), small(&row[1]));
        let padded = seal::pad(&vec![b'x'; length]);
        assert_eq!(padded.len(), expected, "{length}");
        assert_eq!(unpad(padded), Some(vec![b'x'; length]));
    }
    for row in listed(&padding["padded"]) {
        let (text, padded) = (bytes(&row["text"]), bytes(&row["padded"]));
        assert_eq!(seal::pad(&text), padded);
        assert_eq!(unpad(padded), Some(text));
    }
    for row in listed(&padding["refused"]) {
        assert_eq!(unpad(bytes(&row["padded"])), None, "{}", row["why"]);
    }
}

#[test]
fn the_shortest_text_and_sealed_message_are_as_long_as_is_said() {
    let least = usize::try_from(limits::LEAST_PADDED).unwrap();
    assert_eq!(small(&ALL["padding"]["lengths"][0][1]), least);
    let named = |file, name: &str| {
        crate::vectors(file).into_iter().find(|vector| vector.name == name).unwrap()
    };
    let shortest = named("valid", "content-sealed-shortest");
    assert_eq!(bytes(&shortest.fields()["sealed"]).len(), least + SEAL_BYTES);
    let error = Content::decode(&named("invalid", "content-sealed-79-bytes").bytes).unwrap_err();
    assert_eq!(decode_error(&error, &mut Seen::new()), "wrong_length");
    let largest = small(&listed(&ALL["padding"]["lengths"]).last().unwrap()[0]);
    let fits = |length: usize| {
        let text = vec![0; seal::pad(&vec![0; length]).len() + SEAL_BYTES];
        let payload = Content::Sealed(Sealed { tag: [0; 8], text }).encode();
        payload.len() as u64 <= limits::PAYLOAD_BYTES
    };
    assert!(fits(largest) && !fits(largest + 1), "{largest}");
}
