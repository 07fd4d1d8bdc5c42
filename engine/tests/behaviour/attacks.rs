//! Goal: what broke other messengers does not break this one. Method: each attack that became known is
//! repeated under its own name, by somebody who holds what the attacker of that time held, on what is
//! in its place here. Those that need the program and not the engine alone stand in `cli/tests/attacks.rs`.

use std::collections::BTreeSet;

use thistle_engine::bundle::{FileWriter, Frame, Opening};
use thistle_engine::codec::Encoder;
use thistle_engine::content::{Carry, Content, Part, Sealed};
use thistle_engine::entry::{EntryId, Header, Stub};
use thistle_engine::key::{
    AccountId, Context, FeedId, PREKEY_BYTES, PrekeySecret, SLOT_BYTES, SecretKey, Seed, derive,
};
use thistle_engine::limits::{PAYLOAD_BYTES, TAGS_AHEAD};
use thistle_engine::seal::{
    Card, Chain, Inner, Message, Place, Roster, RosterKind, Slot, pair_of, prekey_name, words,
};
use thistle_engine::segment::{Body, Item, UnverifiedSegment, sign};
use thistle_engine::session::{Greeting, Sentence, VERSION};
use thistle_engine::{Added, Audience, Event, Progress, Sent, SessionEnding};

use crate::common::{Device, account};
use crate::hostile_members::{Forger, hear, prekey_of, text};
use crate::hostile_peers::Peer;
use crate::meet::{Way, meet};
use crate::mutate::Dice;
use crate::private::{carry, friends, said};
use crate::sealed_bundles::{read, seal};

/// Fresh seeds of the tests.
pub(crate) const FRESH: Context = Context::Fresh;

// ---- What a carrier sees ----

/// An entry as everybody sees it: author, place, type and lengths.
type Shape = (FeedId, u64, u64, usize);

/// Everything that a carrier holds of some feeds: the shapes of all entries, and the sealed bytes.
fn seen(carrier: &Device, feeds: &[FeedId]) -> (Vec<Shape>, Vec<Vec<u8>>) {
    let (mut shapes, mut sealed) = (Vec::new(), Vec::new());
    for feed in feeds {
        for (_, seq, _, payload) in carrier.export(feed) {
            let payload = payload.unwrap();
            let kind = u64::from(payload[1]);
            shapes.push((*feed, seq, kind, payload.len()));
            match Content::decode(&payload) {
                Ok(Content::Part(part)) => sealed.extend([part.commit.to_vec(), part.slots]),
                Ok(Content::Sealed(message)) => {
                    sealed.extend([message.tag.to_vec(), message.text]);
                }
                _ => {}
            }
        }
    }
    (shapes, sealed)
}

pub(crate) fn windows(bytes: &[u8]) -> impl Iterator<Item = [u8; 8]> {
    bytes.windows(8).map(|window| window.try_into().unwrap())
}

/// By what people could be told: ids, keys, cards, names of keys and of conversations.
pub(crate) fn identifiers(people: &mut [Device]) -> BTreeSet<[u8; 8]> {
    let accounts: Vec<AccountId> = people.iter().map(Device::account).collect();
    let mut all = Vec::new();
    for device in people {
        let card = device.node.card(device.now).unwrap().unwrap();
        let key = prekey_of(device);
        all.extend([device.feed().as_bytes().to_vec(), device.account().as_bytes().to_vec()]);
        all.extend([card.agreement.to_vec(), card.signature.to_vec(), card.encode()]);
        all.extend([prekey_name(&key).to_vec(), key]);
        for account in &accounts {
            all.push(pair_of(&device.account(), account).to_vec());
        }
    }
    all.iter().flat_map(|bytes| windows(bytes)).collect()
}

/// Four people who know each other; these of them write to each other, and a carrier sees it all.
fn evening(pairs: [(usize, usize); 2]) -> (Vec<Device>, Vec<Shape>, Vec<Vec<u8>>) {
    let mut people: Vec<Device> = (1..=4).map(Device::new).collect();
    let mut carrier = Device::new(9);
    let cards: Vec<Card> =
        people.iter_mut().map(|person| person.node.card(person.now).unwrap().unwrap()).collect();
    for person in &mut people {
        let me = person.account();
        for card in cards.iter().filter(|card| card.account != me) {
            assert_eq!(person.node.add_contact(person.now, card, None, true).unwrap(), Added::New);
        }
    }
    let spread = |people: &mut Vec<Device>, carrier: &mut Device| {
        for person in people.iter_mut() {
            carry(person, carrier);
        }
        for person in people.iter_mut() {
            carry(carrier, person);
        }
    };
    spread(&mut people, &mut carrier);
    for round in 0..3 {
        for (one, other) in pairs {
            for (from, to) in [(one, other), (other, one)] {
                let to = people[to].account();
                let sent = people[from].tell(to, &format!("word {round}"));
                assert!(matches!(sent, Sent::Written(_)), "{sent:?}");
            }
        }
        spread(&mut people, &mut carrier);
        spread(&mut people, &mut carrier);
    }
    for (one, other) in pairs {
        assert_eq!(people[one].told_with(people[other].account()).len(), 6);
    }
    let feeds: Vec<FeedId> = people.iter().map(Device::feed).collect();
    let (shapes, sealed) = seen(&carrier, &feeds);
    (people, shapes, sealed)
}

/// Bridgefy wrote sender and recipient into every packet: whoever carried drew the graph of all who
/// talk.
#[test]
fn bridgefy_social_graph() {
    let (mut people, shapes, sealed) = evening([(0, 1), (2, 3)]);
    let identifiers = identifiers(&mut people);
    let mut met = BTreeSet::new();
    assert!(sealed.len() > 40, "{}", sealed.len());
    for bytes in &sealed {
        let own: BTreeSet<_> = windows(bytes).collect();
        assert!(own.is_disjoint(&identifiers), "nobody is named in what is sealed");
        assert!(own.is_disjoint(&met), "and nothing sealed has a word in common with another");
        met.extend(own);
    }
    // Who talks to whom changes nothing in what stands where.
    let (_, others, _) = evening([(0, 2), (1, 3)]);
    let counts = |shapes: &[Shape]| {
        let mut counts: Vec<_> = shapes.iter().map(|shape| (shape.0, shape.2, shape.3)).collect();
        counts.sort_unstable();
        counts
    };
    assert_eq!(counts(&shapes), counts(&others));
}

/// bitchat's courier tag was an HMAC under the recipient's public key: everybody could compute it.
#[test]
fn bitchat_courier_tag() {
    let [mut ana, mut bo] = friends([1, 2]);
    ana.tell(bo.account(), "come by the mill");
    carry(&mut ana, &mut bo);
    let readers = ana.reader().readers().unwrap();
    let secrets: Vec<Seed> = readers.into_iter().map(|reader| reader.secret).collect();
    let file = seal(&[(ana.bundle_all(), secrets)], &Seed::new([3; 32]));
    let mut known: Vec<[u8; 32]> = Vec::new();
    for device in [&mut ana, &mut bo] {
        let card = device.node.card(device.now).unwrap().unwrap();
        known.extend([*device.feed().as_bytes(), *device.account().as_bytes(), card.agreement]);
        known.push(derive(Context::Prekey, &prekey_of(device)));
        known.push(derive(Context::Card, &card.encode()));
    }
    known.push(pair_of(&ana.account(), &bo.account()));
    // Whoever has all that is public tries all of it, and all that the labels make of two of them.
    let mut tried: Vec<Seed> = known.iter().copied().map(Seed::new).collect();
    let labels = [Context::Carriage, Context::ContactSecret, Context::BundleTag, Context::Pair];
    for label in labels {
        for one in &known {
            tried.push(Seed::new(derive(label, one)));
            for other in &known {
                let both = [one.as_slice(), other.as_slice()].concat();
                tried.push(Seed::new(derive(label, &both)));
                for (from, to) in [(&ana, &bo), (&bo, &ana)] {
                    let ends = [*from.account().as_bytes(), *to.account().as_bytes()].concat();
                    let shared = Seed::new(derive(label, &both));
                    tried.push(shared.derive(Context::Carriage, &ends));
                    tried.push(Seed::new(*one).derive(Context::Carriage, &ends));
                }
            }
        }
    }
    assert!(tried.len() > 1_000);
    for tried in tried.chunks(4_096) {
        assert!(read(&file, tried).is_empty(), "found by what everybody knows");
    }
    let found = read(&file, &bo.reader().taking_secrets().unwrap());
    assert_eq!(found.len(), 1, "and by what the two share it is found");
}

/// Serval's manifests named sender and recipient of what they came with.
#[test]
fn serval_manifest_ids() {
    let [mut ana, bo] = friends([1, 2]);
    let mut cy = Device::new(3);
    ana.befriend(&mut cy);
    ana.tell(bo.account(), "come by the mill");
    let readers = ana.reader().readers().unwrap();
    assert_eq!(readers.len(), 3, "two contacts, and the own other devices");
    let secrets: Vec<Seed> = readers.into_iter().map(|reader| reader.secret).collect();
    let text = ana.bundle_all();
    let file = seal(&[(text.clone(), secrets.clone())], &Seed::new([3; 32]));
    let everybody = identifiers(&mut [ana, bo, cy]);
    let named = |file: &[u8]| windows(file).any(|window| everybody.contains(&window));
    assert!(named(&text), "the search is able to find");
    assert!(!named(&file), "nobody is named");
    // Another file of the same for the same people has nothing in common with it.
    let again = seal(&[(text, secrets)], &Seed::new([4; 32]));
    let words: BTreeSet<_> = windows(&file).collect();
    assert!(!windows(&again).any(|window| words.contains(&window)));
    assert_eq!(file.len(), again.len());
}

// ---- Who speaks ----

/// A bundle by somebody, with these segments.
pub(crate) fn bundle_of(key: &SecretKey, segments: &[Vec<u8>]) -> Vec<u8> {
    bundle_with(key, |writer| segments.iter().flat_map(|segment| writer.segment(segment)).collect())
}

/// A bundle of what a writer is given to write.
fn bundle_with(key: &SecretKey, body: impl FnOnce(&mut FileWriter) -> Vec<u8>) -> Vec<u8> {
    let maker = key.feed();
    let opening =
        Opening { maker, for_feed: None, whole: false, position: 0, log_hash: [0; 8], ack: None };
    let (mut writer, mut file) = FileWriter::new(opening, Vec::new(), &[], key);
    file.extend(body(&mut writer));
    file.extend(writer.end());
    file
}

/// One entry as a segment, signed by a key that may be another than the feed's.
fn entry(
    key: &SecretKey,
    feed: FeedId,
    seq: u64,
    prev: Option<EntryId>,
    content: &Content,
) -> Vec<u8> {
    let payload = content.encode();
    let id = Header::new(feed, seq, prev, Stub::of(0, &payload)).id();
    let items = vec![Item { ttl: 0, age: 0, body: Body::Here(&payload) }];
    let signature = sign(key, &id);
    UnverifiedSegment { feed, first_seq: seq, prev, items, signature }.encode()
}

/// Bridgefy took for the sender whoever a packet named; bitchat took an announce whose signing key was
/// not that of the keys in it.
#[test]
fn bridgefy_impersonate() {
    let [mut ana, mut bo] = friends([1, 2]);
    let mut mallory = Forger::new(3);
    mallory.befriend(&mut bo);
    let last = ana.export(&ana.feed()).pop().unwrap();
    let post = Content::Post(said("I am ana"));
    let prev = Some(EntryId::from_bytes(last.2));
    let Content::Certificate(stolen) =
        Content::decode(&ana.export(&ana.feed())[0].3.clone().unwrap()).unwrap()
    else {
        panic!("entry 1 is the certificate")
    };
    let other = SecretKey::from_seed(&Seed::new([77; 32]));
    let mut named = mallory.account.certify(&other.feed(), Carry::Open);
    named.account = ana.account();
    let forged = [
        // The next entry of her feed, and another in place of her last.
        entry(&mallory.key, ana.feed(), last.1 + 1, prev, &post),
        entry(&mallory.key, ana.feed(), last.1, None, &post),
        // Her certificate over another feed, and one that names her but was signed by somebody else.
        entry(&other, other.feed(), 1, None, &Content::Certificate(stolen)),
        entry(&other, other.feed(), 1, None, &Content::Certificate(named)),
    ];
    for segment in forged {
        let report = bo.read(&bundle_of(&mallory.key, &[segment]));
        assert_eq!((report.refused, report.entries_new), (1, 0), "{report:?}");
    }
    // A word that another device is hers, not signed by her; and her card with another key.
    let mut device = mallory.account.add(&mallory.feed());
    device.account = ana.account();
    mallory.write(&Content::Device(device));
    let card = ana.node.card(ana.now).unwrap().unwrap();
    let (_, own) = Card::issue(&mallory.account, 0, mallory.feed(), None);
    let swapped = Card { agreement: own.agreement, ..card.clone() };
    assert!(Card::decode(&swapped.encode()).is_err());
    let swapped = Card { account: own.account, ..card };
    assert!(Card::decode(&swapped.encode()).is_err());
    // An epoch of the forger's whose audience says that ana speaks.
    let key = Seed::new([9; 32]);
    let mut members =
        vec![(ana.account(), vec![mallory.feed(), ana.feed()]), (bo.account(), vec![bo.feed()])];
    for member in &mut members {
        member.1.sort();
    }
    members.sort();
    let id = pair_of(&ana.account(), &bo.account());
    let inner = Inner::Roster(Roster { kind: RosterKind::Pair, id, members });
    let commit = thistle_engine::seal::commit(&key, &inner.encode());
    let epoch = mallory.begin(&[(&bo.feed(), &prekey_of(&bo), &key)], commit);
    let mut chain = Chain::at(key, 0);
    mallory.seal(epoch, &mut chain, &inner);
    mallory.seal(epoch, &mut chain, &text("I am ana"));
    hear(&mut bo, &mallory);
    assert!(bo.told_with(ana.account()).is_empty());
    assert!(bo.told_with(mallory.id()).is_empty());
    let contacts = bo.reader().contacts().unwrap();
    let of_ana = contacts.iter().find(|contact| contact.account == ana.account()).unwrap();
    assert_eq!((&of_ana.feeds, of_ana.new_feeds.len()), (&vec![ana.feed()], 0));
    ana.tell(bo.account(), "I am ana indeed");
    carry(&mut ana, &mut bo);
    assert_eq!(bo.told_with(ana.account()), ["I am ana indeed"]);
}

/// Bridgefy, also with the Signal protocol, took whatever key came first, and nobody could compare.
#[test]
fn bridgefy_first_contact_mitm() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    let mut mallory = Device::new(3);
    let cards = [&mut ana, &mut bo, &mut mallory]
        .map(|device| device.node.card(device.now).unwrap().unwrap());
    // On the way of a link the card is exchanged for one that says the same name.
    let lie = Card { name: Some("ana".to_owned()), ..cards[2].clone() };
    let lie = Card::decode(&lie.encode()).unwrap();
    bo.node.add_contact(bo.now, &lie, Some("ana"), false).unwrap();
    let contact = bo.reader().contacts().unwrap().remove(0);
    assert!(!contact.verified, "shown as such until the words were compared");
    assert_ne!(words(&contact.card), words(&cards[0]), "which differ from those on ana's screen");
    // Her feed and name in it make no difference, and neither does a card that is newer.
    let lie = Card { feed: ana.feed(), ..lie };
    assert_eq!(words(&lie), words(&cards[2]), "what is compared is what is trusted");
    // From her screen: another person, and the one that was lied about does not become her.
    bo.node.add_contact(bo.now, &cards[0], Some("ana"), true).unwrap();
    let contacts = bo.reader().contacts().unwrap();
    let verified: Vec<_> = contacts.iter().map(|it| (it.account, it.verified)).collect();
    assert!(verified.contains(&(ana.account(), true)));
    assert!(verified.contains(&(mallory.account(), false)));
    // What is told to the real one is not for the one between.
    ana.node.add_contact(ana.now, &cards[1], None, true).unwrap();
    carry(&mut ana, &mut bo);
    bo.tell(ana.account(), "for ana alone");
    carry(&mut bo, &mut mallory);
    carry(&mut mallory, &mut ana);
    assert_eq!(ana.told_with(bo.account()), ["for ana alone"]);
    assert!(mallory.told_with(bo.account()).is_empty());
    // A card with another key, signed by the account, says again that nobody compared it.
    let (_, newer) = Card::issue(&account(1), 1, ana.feed(), None);
    assert_eq!(bo.node.add_contact(bo.now, &newer, None, false).unwrap(), Added::Known);
    let contacts = bo.reader().contacts().unwrap();
    assert!(contacts.iter().all(|contact| !contact.verified));
    // And the older one does not come back.
    let back = bo.node.add_contact(bo.now, &cards[0], None, true).unwrap();
    assert_eq!(back, Added::Outdated);
}

// ---- What is sealed ----

/// A message in a forger's epoch, sealed with padding of the forger's own.
fn sealed_raw(forger: &Forger, epoch: u64, chain: &mut Chain, padded: &[u8]) -> Sealed {
    let Place { feed, seq, prev } = forger.next();
    let mut out = Encoder::new();
    out.array(8).text("thistledown 1 message").uint(1).bytes(feed.as_bytes()).uint(seq);
    out.bytes(prev.as_bytes()).uint(0).uint(epoch).uint(chain.index());
    let tag = chain.tag();
    let text = thistle_engine::key::seal(chain.take().expose(), out.as_bytes(), padded);
    Sealed { tag, text }
}

fn padded() -> Vec<u8> {
    thistle_engine::seal::pad(&text("a sound message").encode())
}

fn padded_with(end: u8, last: u8) -> Vec<u8> {
    let mut text = padded();
    let at = text.iter().rposition(|byte| *byte == 0x80).unwrap();
    text[at] = end;
    *text.last_mut().unwrap() = last;
    text
}

/// Bridgefy compressed before it encrypted and told what failed: a message was read in 14 hours. What
/// a contact writes wrongly, in whatever way, is answered by nothing, and lengths tell no contents.
#[test]
fn bridgefy_oracle() {
    type Spoil = fn(&Forger, u64, &mut Chain) -> Sealed;
    let good = || text("a sound message").encode();
    let spoils: [Spoil; 7] = [
        |forger, epoch, chain| sealed_raw(forger, epoch, chain, &padded()),
        |forger, epoch, chain| {
            let mut sealed = sealed_raw(forger, epoch, chain, &padded());
            *sealed.text.last_mut().unwrap() ^= 1;
            sealed
        },
        |forger, epoch, chain| {
            let mut sealed = sealed_raw(forger, epoch, chain, &padded());
            sealed.text[0] ^= 1;
            sealed
        },
        |forger, epoch, chain| {
            let mut sealed = sealed_raw(forger, epoch, chain, &padded());
            sealed.tag[0] ^= 1;
            sealed
        },
        // Padding that is none: another end, something behind it, one zero too many.
        |forger, epoch, chain| sealed_raw(forger, epoch, chain, &padded_with(0x81, 0)),
        |forger, epoch, chain| sealed_raw(forger, epoch, chain, &padded_with(0x80, 1)),
        |forger, epoch, chain| {
            let text = [padded(), vec![0]].concat();
            sealed_raw(forger, epoch, chain, &text)
        },
    ];
    let mut answers = Vec::new();
    for spoil in spoils {
        let mut bo = Device::new(2);
        let mut forger = Forger::new(3);
        forger.befriend(&mut bo);
        // So that there is somebody to answer.
        forger.write(&Content::Prekey(PrekeySecret::from_seed(Seed::new([5; 32])).public()));
        let (epoch, mut chain) = forger.open_to(&bo, Seed::new([9; 32]));
        let sealed = spoil(&forger, epoch, &mut chain);
        forger.write(&Content::Sealed(sealed));
        let (before, told) = (bo.export(&bo.feed()).len(), bo.events.len());
        hear(&mut bo, &forger);
        let written = bo.export(&bo.feed()).len() - before;
        let events = format!("{:?}", &bo.events[told..]);
        let own = bo.export(&bo.feed());
        answers.push((written, bo.told_with(forger.id()).len(), own, events.len()));
    }
    assert!(answers[0].0 > 0 && answers[0].1 == 1, "a sound one is answered: {:?}", answers[0]);
    assert_eq!((answers[1].0, answers[1].1), (0, 0));
    for answer in &answers[2..] {
        assert_eq!(*answer, answers[1], "all alike");
    }
    // Two thousand equal letters and two thousand different ones take the same room.
    let mut dice = Dice::default();
    let long: String = (0..2_000).map(|_| char::from(b'a' + dice.byte() % 26)).collect();
    let [mut ana, bo] = friends([1, 2]);
    let lengths: BTreeSet<usize> = ["a".repeat(2_000), long]
        .iter()
        .map(|words| {
            ana.tell(bo.account(), words);
            ana.export(&ana.feed()).pop().unwrap().3.unwrap().len()
        })
        .collect();
    assert_eq!(lengths.len(), 1, "nothing is compressed: {lengths:?}");
    assert!(good().len() < 64, "the padding is what makes a length");
}

/// Payloads that somebody signed to do harm.
fn hostile_payloads() -> Vec<Vec<u8>> {
    let most = usize::try_from(PAYLOAD_BYTES).unwrap();
    let mut all = vec![Vec::new(), vec![0xff], vec![0x81; most], vec![0x9f; most]];
    for kind in 0..26_u64 {
        // An array that claims to go on for ever, and one that holds another ten thousand deep.
        let mut claim = Encoder::new();
        claim.array(u64::MAX).uint(kind);
        all.push(claim.into_bytes());
        let mut claim = Encoder::new();
        claim.array(4).uint(kind).array(u64::MAX);
        all.push(claim.into_bytes());
        let mut deep = Encoder::new();
        deep.array(4).uint(kind);
        all.push([deep.into_bytes(), vec![0x82; 10_000]].concat());
        let mut long = Encoder::new();
        long.array(3).uint(kind).uint(0).encoded(&[0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        all.push(long.into_bytes());
    }
    let noise: Vec<u8> = (0..most).map(|at| u8::try_from(at * 131 % 251).unwrap()).collect();
    let slots = noise[..13 * SLOT_BYTES].to_vec();
    let part = Part { epoch: 2, part: 0, parts: 1, commit: [7; 32], slots };
    all.push(Content::Part(part).encode());
    all.push(Content::Prekey(noise[..PREKEY_BYTES].to_vec()).encode());
    all.push(Content::Sealed(Sealed { tag: [1; 8], text: noise[..15_888].to_vec() }).encode());
    all.push(vec![0x1f; most]);
    all
}

/// One message that every Bridgefy node took apart, and handed on, ended them all.
#[test]
fn bridgefy_one_packet_kill() {
    let mut mallory = Forger::new(3);
    let payloads = hostile_payloads();
    for payload in &payloads {
        mallory.write_bytes(payload.clone());
    }
    let mut bundle = mallory.bundle();
    let size = bundle.len();
    let mut author = Device::new(1);
    author.write("is the bridge out?");
    let mut line: Vec<Device> = (10..16).map(Device::new).collect();
    for device in &mut line {
        mallory.befriend(device);
        let report = device.read(&bundle);
        assert_eq!(report.refused, 0, "all of it is signed");
        assert_eq!(device.export(&mallory.feed()).len(), payloads.len() + 1);
        device.idle();
        device.check();
        bundle = device.bundle_all();
        // Each adds what it has itself, and nothing is multiplied.
        assert!(bundle.len() < size + 20_000, "{} of {size}", bundle.len());
    }
    let mut last = author.bundle_all();
    for device in &mut line {
        device.read(&last);
        last = device.bundle_all();
        assert_eq!(device.texts(&author.feed()), ["is the bridge out?"]);
    }
    // By a meeting as well.
    let [one, .., other] = &mut line[..] else { panic!() };
    one.write("and now?");
    meet(one, other);
    assert_eq!(other.texts(&one.feed()), ["and now?"]);
}

/// A bundle of such frames.
fn bundled(key: &SecretKey, frames: &[Vec<u8>]) -> Vec<u8> {
    bundle_with(key, |writer| {
        let write = |frame: &Vec<u8>| match Frame::decode(frame).unwrap() {
            Frame::Segment(bytes) => writer.segment(bytes),
            Frame::Payload { feed, seq, payload } => writer.payload(feed, seq, payload),
            other => panic!("{other:?}"),
        };
        frames.iter().flat_map(write).collect()
    })
}

/// bitchat's window of what was seen was moved the wrong way: seven of a hundred replays went through.
/// Here every order with every repetition is compared with a set.
#[test]
fn bitchat_replay_window() {
    let [mut ana, mut bo] = friends([1, 2]);
    let count = 3 * usize::try_from(TAGS_AHEAD).unwrap();
    let texts: Vec<String> = (0..count).map(|number| format!("number {number}")).collect();
    for words in &texts {
        ana.tell(bo.account(), words);
    }
    let before = bo.bundle_all();
    let all: Vec<Vec<u8>> = Peer::all_of(&mut ana, true);
    let (segments, payloads): (Vec<_>, Vec<_>) = all.into_iter().partition(|it| it[1] == 1);
    let key = SecretKey::from_seed(&Seed::new([8; 32]));
    let bundle = |frames: &[Vec<u8>]| bundled(&key, frames);
    let mut dice = Dice::default();
    for round in 0..3 {
        let [_, mut bo] = friends([1, 2]);
        assert_eq!(bo.bundle_all(), before, "as he was");
        let mut frames = [segments.clone(), segments.clone(), payloads.clone()].concat();
        if round > 0 {
            dice.shuffle(&mut frames);
        }
        let mut news = 0;
        for frame in &frames {
            for _ in 0..2 {
                bo.read(&bundle(std::slice::from_ref(frame)));
                bo.idle();
            }
            let heard = bo.told_with(ana.account());
            let distinct: BTreeSet<&String> = heard.iter().collect();
            assert_eq!(distinct.len(), heard.len(), "nothing is heard twice");
            assert!(heard.len() >= news);
            news = heard.len();
        }
        for frame in &payloads {
            bo.read(&bundle(std::slice::from_ref(frame)));
        }
        bo.idle();
        assert_eq!(bo.told_with(ana.account()), texts, "and nothing is lost");
        bo.check();
    }
    // Sealed bytes said again at another place, by the author's own key, open there for nobody.
    let mut forger = Forger::new(3);
    forger.befriend(&mut bo);
    let (epoch, mut chain) = forger.open_to(&bo, Seed::new([9; 32]));
    forger.seal(epoch, &mut chain, &text("once"));
    let again = forger.entries.last().unwrap().0.clone();
    for _ in 0..100 {
        forger.write_bytes(again.clone());
    }
    forger.seal(epoch, &mut chain, &text("and on"));
    hear(&mut bo, &forger);
    let mut heard = bo.told_with(forger.id());
    heard.sort();
    assert_eq!(heard, ["and on", "once"]);
}

/// Briar's link handshake mixed long-term keys where fresh ones belonged: who got those keys later
/// read everything that had been recorded.
#[test]
fn briar_no_ephemeral() {
    let [mut ana, mut bo] = friends([1, 2]);
    for words in ["one", "two"] {
        ana.tell(bo.account(), words);
        bo.tell(ana.account(), words);
        carry(&mut ana, &mut bo);
        carry(&mut ana, &mut bo);
    }
    // The thief has both recovery phrases, and all that two contacts share from them for ever.
    let phrases = [1, 2].map(account);
    let [agreement, other] = phrases.each_ref().map(|phrase| phrase.agreement(0));
    let cards = [&mut ana, &mut bo].map(|it| it.node.card(it.now).unwrap().unwrap());
    let first = thistle_engine::seal::contact_secret(
        &agreement,
        &cards[0].account,
        &cards[1].account,
        &cards[1].agreement,
    )
    .unwrap();
    let shared = thistle_engine::key::agree(&agreement, &cards[1].agreement).unwrap();
    let mut secrets = vec![agreement, other, first.clone(), shared];
    secrets.extend([1_u8, 2].map(|number| Seed::new([number; 32])));
    for at in 0..secrets.len() {
        for label in [Context::Prekey, Context::Fresh, Context::Chain, Context::MessageKey] {
            secrets.push(secrets[at].derive(label, &[]));
        }
    }
    let mut opened = 0;
    for (author, reader) in [(&ana, &bo), (&bo, &ana)] {
        let mut prev = EntryId::from_bytes([0; 32]);
        let (account, feed, device) = (author.account(), author.feed(), reader.feed());
        for (_, seq, id, payload) in author.export(&feed) {
            let place = Place { feed, seq, prev };
            prev = EntryId::from_bytes(id);
            for secret in &secrets {
                match Content::decode(payload.as_ref().unwrap()) {
                    Ok(Content::Part(part)) => {
                        let prekey = PrekeySecret::from_seed(secret.clone());
                        let name = prekey_name(&prekey.public());
                        let commit = &part.commit;
                        let slot =
                            Slot { author: &account, place, device: &device, prekey: name, commit };
                        let slots = part.slots.chunks(SLOT_BYTES);
                        opened += slots.filter_map(|locked| slot.open(&prekey, locked)).count();
                    }
                    Ok(Content::Sealed(sealed)) => {
                        let mut chain = Chain::at(secret.clone(), 0);
                        opened += usize::from(chain.tag() == sealed.tag);
                        let message = Message { place, ttl: 0, epoch: 3, index: 0 };
                        opened += usize::from(message.open(&chain.take(), &sealed.text).is_some());
                    }
                    _ => {}
                }
            }
        }
    }
    assert_eq!(opened, 0, "long-term keys open nothing that was sealed");
    // What is found on sticks rests on the first secret only until it was renewed once.
    assert!(ana.reader().shared().unwrap().iter().all(|shared| shared.generation > 0));
    let taken = bo.reader().taking_secrets().unwrap();
    assert!(!taken.is_empty());
    let ends = [ana.account(), bo.account()];
    let early = thistle_engine::seal::carriage_secret(&first, &ends[0], &ends[1]);
    let now = ana.reader().readers().unwrap().into_iter().map(|it| it.secret);
    let file = seal(&[(b"for bo".to_vec(), now.collect())], &Seed::new([3; 32]));
    assert!(read(&file, &[early]).is_empty());
    assert_eq!(read(&file, &taken).len(), 1);
}

/// Contacts of a person are never told by what goes in clear where what is sealed cannot be: Meshtastic
/// sent direct messages under the channel's key once a key was missing.
#[test]
fn meshtastic_downgrade() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    ana.befriend(&mut bo);
    bo.befriend(&mut ana);
    // A carrier holds back his prekey; nothing is written, neither in clear nor otherwise.
    let before = ana.export(&ana.feed());
    assert_eq!(ana.tell(bo.account(), "for bo alone"), Sent::Waits);
    ana.idle();
    assert_eq!(ana.export(&ana.feed()), before);
    assert_eq!(ana.said_with(bo.account())[0].progress, Some(Progress::Waits));
    // Or gives one that is none, in a feed that says that it is his.
    let mut fake = Forger::new(5);
    fake.befriend(&mut ana);
    for key in [vec![0xff; PREKEY_BYTES], vec![0xee; PREKEY_BYTES]] {
        fake.write(&Content::Prekey(key));
    }
    hear(&mut ana, &fake);
    assert_eq!(ana.tell(fake.id(), "for nobody"), Sent::Waits);
    assert_eq!(ana.export(&ana.feed()), before);
    carry(&mut bo, &mut ana);
    assert_eq!(ana.said_with(bo.account())[0].progress, Some(Progress::Written));
    let clear = ana.bundle_all();
    assert!(!clear.windows(12).any(|bytes| bytes == b"for bo alone"));
    // A newer prekey that is held back changes nothing but how long a theft helps: the old one is used,
    // and never none.
    for _ in 0..8 {
        bo.pass(24 * 60);
        ana.pass(24 * 60);
    }
    assert!(matches!(ana.tell(bo.account(), "still for bo alone"), Sent::Written(_)));
    assert!(!ana.bundle_all().windows(12).any(|bytes| bytes == b"for bo alone"));
    carry(&mut ana, &mut bo);
    assert_eq!(bo.told_with(ana.account()), ["for bo alone", "still for bo alone"]);
    // On a link: a greeting of older versions alone ends the meeting, and nothing is told.
    for (first, last) in [(0, 0), (VERSION + 1, VERSION + 9)] {
        let mut peer = Peer::dial(&mut ana, true);
        peer.say(&Sentence::Greeting(Greeting { first, last, features: 0, tags: &[1; 1_024] }));
        assert_eq!(peer.report.unwrap().ending, SessionEnding::Version { first, last });
        assert_eq!(peer.kinds(), [8]);
    }
}

// ---- Copies ----

/// A feed that was continued in two ways ended the account of a person on Scuttlebutt.
#[test]
fn ssb_fork() {
    let [mut ana, mut bo] = friends([1, 2]);
    let [mut copy, _] = friends([1, 2]);
    assert_eq!(ana.feed(), copy.feed());
    let old = ana.feed();
    ana.write("left");
    copy.write("right");
    let mut cy = Device::new(3);
    cy.read(&copy.bundle_all());
    bo.read(&ana.bundle_all());
    meet(&mut bo, &mut cy);
    let forked = |device: &Device| {
        let feeds = device.reader().feeds().unwrap();
        feeds.iter().find(|info| info.feed == old).and_then(|info| info.forked)
    };
    assert!(forked(&bo).is_some() && forked(&bo) == forked(&cy));
    // The proof goes on to somebody who met neither of them, and both branches stay readable.
    let mut dan = Device::new(4);
    dan.read(&cy.bundle_all());
    for device in [&bo, &cy, &dan] {
        assert_eq!(forked(device), forked(&bo));
        let mut texts = device.texts(&old);
        texts.sort();
        assert_eq!(texts, ["left", "right"]);
        device.check();
    }
    // Nothing is sealed to a feed that somebody else may write.
    bo.idle();
    assert_eq!(bo.tell(ana.account(), "is it you?"), Sent::Waits);
    // The person goes on: in a new feed, which the phrase certifies.
    ana.read(&bo.bundle_all());
    assert_ne!(ana.feed(), old);
    ana.node.confirm(ana.now, &account(1)).unwrap();
    ana.node.card(ana.now).unwrap();
    ana.write("I am here");
    carry(&mut ana, &mut bo);
    let contact = bo.reader().contacts().unwrap().remove(0);
    assert_eq!((contact.account, &contact.new_feeds), (ana.account(), &vec![ana.feed()]));
    bo.node.accept_devices(bo.now, &[(contact.account, ana.feed())]).unwrap();
    bo.idle();
    carry(&mut bo, &mut ana);
    assert_eq!(ana.told_with(bo.account()), ["is it you?"]);
}

/// Meshtastic's vendors copied one image with one key onto many devices, and nobody noticed.
#[test]
fn meshtastic_cloned_key() {
    // Two homes out of one image: the same keys, and the same secrets from which the next are made.
    let (mut one, mut other) = (Device::new(1), Device::new(1));
    let image = one.feed();
    assert_eq!(image, other.feed());
    one.node.stir(&Seed::new([1; 32]));
    other.node.stir(&Seed::new([2; 32]));
    one.write("here");
    other.write("there");
    other.write("and there");
    // They meet: at once both know, and each goes on in a feed of its own.
    crate::meet::meet_as(&mut one, &mut other, (1, 2), Way::default());
    let retired =
        |device: &Device| device.events.iter().any(|event| matches!(event, Event::Retired { .. }));
    assert!(retired(&one) && retired(&other), "{:?}\n{:?}", one.events, other.events);
    assert_ne!(one.feed(), image);
    assert_ne!(other.feed(), image);
    assert_ne!(one.feed(), other.feed(), "and not in one feed again");
    // What each wrote is with both after another meeting.
    crate::meet::meet_as(&mut one, &mut other, (1, 2), Way::default());
    for device in [&one, &other] {
        let mut texts = device.texts(&image);
        texts.sort();
        assert_eq!(texts, ["and there", "here", "there"]);
        device.check();
    }
    // Keys that give nothing away, or everything: nobody agrees on anything with them.
    let mut bo = Device::new(2);
    for point in small_order_points() {
        let (_, card) = Card::issue(&account(9), 0, image, None);
        let digest = Card::digest(&card.account, 0, &point);
        let signature = account(9).sign_card(&digest);
        let card = Card { agreement: point, signature, ..card };
        let card = Card::decode(&card.encode()).unwrap();
        let added = bo.node.add_contact(bo.now, &card, None, true).unwrap();
        assert_eq!(added, Added::Unusable, "{point:02x?}");
    }
    let audience = Audience::Contact(account(9).id());
    let sent = bo.node.write_private(bo.now, &audience, said("to nobody"), 0).unwrap();
    assert_eq!(sent, Sent::Nobody);
}

/// The points of X25519 with which every secret agrees on zero (Cremers and Jackson, 2019).
fn small_order_points() -> Vec<[u8; 32]> {
    let with = |first: u8, rest: u8, last: u8| {
        let mut point = [rest; 32];
        (point[0], point[31]) = (first, last);
        point
    };
    let order_8 = [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ];
    let other_8 = [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ];
    // 0, 1, p - 1, p and p + 1 as well.
    vec![
        [0; 32],
        with(1, 0, 0),
        with(0xec, 0xff, 0x7f),
        with(0xed, 0xff, 0x7f),
        with(0xee, 0xff, 0x7f),
        order_8,
        other_8,
    ]
}
