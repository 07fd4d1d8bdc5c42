//! Goal: requirements that no single attack stands for: what a mule can tell from all that it carried,
//! one key under two names, replays with every clock, one encoding of everything that is signed, what is
//! sent back to strangers, and lengths. The table in `schemas/threats.md` says which is which.

use std::collections::BTreeSet;

use thistle_engine::account::verify_statement;
use thistle_engine::codec::Encoder;
use thistle_engine::content::{Content, Receipt, ReceiptState};
use thistle_engine::entry::EntryId;
use thistle_engine::fork::ForkProof;
use thistle_engine::key::{FeedId, PrekeySecret, SLOT_BYTES, Seed};
use thistle_engine::limits::{LEAST_PADDED, STRANGER_DRAW_BYTES};
use thistle_engine::seal::{
    Action, Card, Draft, Inner, Place, Slot, UnverifiedChange, contact_secret, prekey_name,
};
use thistle_engine::session::{Greeting, Sentence, VERSION};
use thistle_engine::{Added, Event, Input, Output, SealedFor};

use crate::attacks::identifiers;
use crate::attacks_on_links::{malleated, other_encodings};
use crate::common::{Device, account};
use crate::hostile_members::{Forger, hear, prekey_of};
use crate::hostile_peers::Peer;
use crate::meet::{Way, meet, meet_by};
use crate::mutate::{Dice, valid};
use crate::private::{carry, friends, said};
use crate::sealed_bundles::{read, seal};

// ---- 5: a mule ----

/// Two things that the mule carried, and whether they belong together.
struct Pair<'a> {
    one: &'a [u8],
    other: &'a [u8],
    together: bool,
}

/// What the mule looks at: each a number that may be larger, or smaller, where two belong together.
fn features(pair: &Pair<'_>) -> [f64; 7] {
    let (one, other) = (pair.one, pair.other);
    let count = |number: usize| f64::from(u32::try_from(number).unwrap());
    let same = one.iter().zip(other).filter(|(a, b)| a == b).count();
    let bits: u32 = one.iter().zip(other).map(|(a, b)| (a ^ b).count_ones()).sum();
    let words = |bytes: &[u8]| -> BTreeSet<[u8; 4]> {
        bytes.windows(4).map(|word| word.try_into().unwrap()).collect()
    };
    let common = words(one).intersection(&words(other)).count();
    let ones = |bytes: &[u8]| -> u32 { bytes.iter().map(|byte| byte.count_ones()).sum() };
    let first = |bytes: &[u8]| f64::from(bytes.first().copied().unwrap_or(0));
    [
        count(one.len().abs_diff(other.len())),
        count(one.len() + other.len()),
        count(same),
        f64::from(bits),
        count(common),
        f64::from(ones(one).abs_diff(ones(other))),
        (first(one) - first(other)).abs(),
    ]
}

/// How many of the pairs the best rule, found on some, tells right on the others.
fn told_right(pairs: &[Pair<'_>]) -> (usize, usize) {
    let all: Vec<([f64; 7], bool)> =
        pairs.iter().map(|pair| (features(pair), pair.together)).collect();
    let (learnt, tried): (Vec<_>, Vec<_>) =
        all.iter().enumerate().partition(|(number, _)| number % 2 == 0);
    let right = |on: &[(usize, &([f64; 7], bool))], (at, cut, above): (usize, f64, bool)| {
        on.iter()
            .filter(|(_, (found, truth))| {
                (found[at] > cut) == above && *truth || (found[at] > cut) != above && !*truth
            })
            .count()
    };
    let mut best = (0, (0, 0.0, true));
    for at in 0..7 {
        for (_, (found, _)) in &learnt {
            for above in [true, false] {
                let rule = (at, found[at], above);
                let found = right(&learnt, rule);
                if found > best.0 {
                    best = (found, rule);
                }
            }
        }
    }
    (right(&tried, best.1), tried.len())
}

/// As many pairs that belong together as do not, in an order of its own.
fn even<'a>(things: &'a [(Vec<u8>, BTreeSet<u8>)], dice: &mut Dice) -> Vec<Pair<'a>> {
    let mut sides: [Vec<Pair<'a>>; 2] = [Vec::new(), Vec::new()];
    for (at, (one, mine)) in things.iter().enumerate() {
        for (other, theirs) in &things[..at] {
            let together = !mine.is_disjoint(theirs);
            sides[usize::from(together)].push(Pair { one, other, together });
        }
    }
    let most = sides[0].len().min(sides[1].len()).min(600);
    let mut pairs = Vec::new();
    for side in &mut sides {
        dice.shuffle(side);
        pairs.extend(side.drain(..most));
    }
    dice.shuffle(&mut pairs);
    pairs
}

/// No better than chance: a coin is as good once in ten thousand times or less.
fn is_chance((right, of): (usize, usize)) -> bool {
    let (right, of) = (u32::try_from(right).unwrap(), u32::try_from(of).unwrap());
    (f64::from(right) - f64::from(of) / 2.0).abs() < 4.0 * f64::from(of).sqrt() / 2.0
}

/// Ana and ten contacts of hers.
fn circle() -> (Device, Vec<Device>) {
    let mut ana = Device::new(1);
    let mut contacts: Vec<Device> = (10..20).map(Device::new).collect();
    for contact in &mut contacts {
        ana.befriend(contact);
        contact.befriend(&mut ana);
        carry(contact, &mut ana);
    }
    (ana, contacts)
}

#[test]
fn a_mule_cannot_tell_whom_two_sealed_bundles_are_for_nor_by_whom_they_are() {
    let (mut ana, mut contacts) = circle();
    let mut dice = Dice::default();
    let mut files = Vec::new();
    let mut others = Vec::new();
    for day in 0..30_u8 {
        let readers: Vec<SealedFor> = ana.reader().readers().unwrap();
        let to: BTreeSet<u8> = (0..=dice.below(3))
            .map(|_| u8::try_from(dice.below(contacts.len())).unwrap())
            .collect();
        for contact in &to {
            let words = "word ".repeat(1 + dice.below(60));
            ana.tell(contacts[usize::from(*contact)].account(), &words);
        }
        let pick = |contact: &u8| {
            let wanted = contacts[usize::from(*contact)].reader().taking_secrets().unwrap();
            let found = readers.iter().find(|reader| wanted.contains(&reader.secret));
            found.unwrap().secret.clone()
        };
        let secrets: Vec<Seed> = to.iter().map(pick).collect();
        let fresh =
            |maker: u8| Seed::new([day ^ maker; 32]).derive(crate::attacks::FRESH, &[maker]);
        files.push((seal(&[(ana.bundle_all(), secrets)], &fresh(1)), to));
        // The same evening somebody else makes one for ana.
        let other = &contacts[usize::from(day % 10)];
        let secrets: Vec<Seed> =
            other.reader().readers().unwrap().into_iter().map(|reader| reader.secret).collect();
        let mut of = BTreeSet::new();
        of.insert(100 + day % 10);
        others.push((seal(&[(other.bundle_all(), secrets)], &fresh(2)), of));
        ana.pass(24 * 60);
    }
    // The slots of a file, where what is for somebody would show.
    let heads = |files: &[(Vec<u8>, BTreeSet<u8>)]| -> Vec<(Vec<u8>, BTreeSet<u8>)> {
        files.iter().map(|(file, to)| (file[..12_000].to_vec(), to.clone())).collect()
    };
    let (files, others) = (heads(&files), heads(&others));
    let recipients = told_right(&even(&files, &mut dice));
    assert!(is_chance(recipients), "whom they are for: {recipients:?}");
    let makers: Vec<(Vec<u8>, BTreeSet<u8>)> = files
        .iter()
        .map(|(file, _)| (file.clone(), BTreeSet::from([0])))
        .chain(others.iter().cloned())
        .collect();
    let senders = told_right(&even(&makers, &mut dice));
    assert!(is_chance(senders), "by whom they are: {senders:?}");
    // The mule is able: four bytes that are the same for one recipient are found at once.
    let mut marked = files.clone();
    for (file, to) in &mut marked {
        for (at, contact) in to.iter().enumerate() {
            file[100 + 4 * at..104 + 4 * at].copy_from_slice(&[*contact, 9, 9, *contact]);
        }
    }
    let found = told_right(&even(&marked, &mut dice));
    assert!(!is_chance(found), "{found:?}");
    // Nor by anything that is public, of anybody.
    contacts.push(ana);
    let known = identifiers(&mut contacts);
    for (file, _) in files.iter().chain(&others) {
        assert!(!crate::attacks::windows(file).any(|window| known.contains(&window)));
    }
}

#[test]
fn a_mule_cannot_tell_which_messages_go_to_one_person() {
    let (mut ana, contacts) = circle();
    let mut dice = Dice::default();
    let mut to_whom = Vec::new();
    for _ in 0..120 {
        let to = u8::try_from(dice.below(3)).unwrap();
        let words = "w".repeat(1 + dice.below(40));
        if let thistle_engine::Sent::Written(written) =
            ana.tell(contacts[usize::from(to)].account(), &words)
        {
            to_whom.push((written.seq, to));
        }
    }
    let mut sealed = Vec::new();
    for (_, seq, _, payload) in ana.export(&ana.feed()) {
        if let Ok(Content::Sealed(message)) = Content::decode(&payload.unwrap())
            && let Some((_, to)) = to_whom.iter().find(|(written, _)| *written == seq)
        {
            sealed.push(([&message.tag[..], &message.text].concat(), BTreeSet::from([*to])));
        }
    }
    assert_eq!(sealed.len(), 120);
    let found = told_right(&even(&sealed, &mut dice));
    assert!(is_chance(found), "{found:?}");
}

#[test]
fn the_place_of_a_slot_tells_nothing() {
    let mut places = BTreeSet::new();
    for number in 20..40 {
        let mut ana = Device::new(number);
        let mut reader = Forger::new(3);
        reader.befriend(&mut ana);
        let prekey = PrekeySecret::from_seed(Seed::new([5; 32]));
        reader.write(&Content::Prekey(prekey.public()));
        hear(&mut ana, &reader);
        ana.tell(reader.id(), "where am I?");
        let (author, feed, device) = (ana.account(), ana.feed(), reader.feed());
        let mut prev = EntryId::from_bytes([0; 32]);
        for (_, seq, id, payload) in ana.export(&feed) {
            let place = Place { feed, seq, prev };
            prev = EntryId::from_bytes(id);
            let Ok(Content::Part(part)) = Content::decode(&payload.unwrap()) else { continue };
            let (name, commit) = (prekey_name(&prekey.public()), &part.commit);
            let slot = Slot { author: &author, place, device: &device, prekey: name, commit };
            let mut slots = part.slots.chunks(SLOT_BYTES);
            places.extend(slots.position(|locked| slot.open(&prekey, locked).is_some()));
        }
    }
    assert_eq!(places.len(), 4, "of twenty slots all stand at {places:?}");
}

// ---- 9: one key under two names ----

#[test]
fn one_key_under_two_accounts_makes_two_secrets() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    let card = ana.node.card(ana.now).unwrap().unwrap();
    let his = bo.node.card(bo.now).unwrap().unwrap();
    // Mallory shows ana's key for agreement as her own, and signs it; her id stands to bo's as ana's
    // does, so that nothing but the id makes a difference.
    let stands = |id| id < bo.account();
    let alike = (3..40).find(|number| stands(account(*number).id()) == stands(ana.account()));
    let number = alike.unwrap();
    let (mallory, feed) = (account(number), Device::new(number).feed());
    let signature = mallory.sign_card(&Card::digest(&mallory.id(), 0, &card.agreement));
    let stolen = Card { account: mallory.id(), signature, feed, name: None, ..card.clone() };
    let stolen = Card::decode(&stolen.encode()).unwrap();
    let secret = account(2).agreement(0);
    let with = |card: &Card| contact_secret(&secret, &his.account, &card.account, &card.agreement);
    assert_ne!(with(&card), with(&stolen));
    assert_eq!(bo.node.add_contact(bo.now, &stolen, None, true).unwrap(), Added::New);
    ana.befriend(&mut bo);
    // What ana makes for bo is not found as mallory's, who is the only contact of his.
    let secrets: Vec<Seed> =
        ana.reader().readers().unwrap().into_iter().map(|reader| reader.secret).collect();
    let file = seal(&[(ana.bundle_all(), secrets)], &Seed::new([3; 32]));
    assert!(read(&file, &bo.reader().taking_secrets().unwrap()).is_empty());
    bo.node.add_contact(bo.now, &card, None, true).unwrap();
    assert_eq!(read(&file, &bo.reader().taking_secrets().unwrap()).len(), 1);
}

// ---- 13: replays, and clocks ----

/// Ten years in milliseconds.
const DECADE: u64 = 10 * 365 * 24 * 3_600_000;

/// Plays all that somebody once said to a device on a link again; what the device says to it beside its
/// greeting and its first state.
fn play(device: &mut Device, link: u64, opener: bool, said: &[Vec<u8>]) -> usize {
    let (peer, binding, via) = ([66; 32], &[link.to_be_bytes()[7]; 32], "a meeting");
    let input = Input::LinkOpened { link, opener, peer, binding, known: false, via };
    device.node.handle(device.now, input).unwrap();
    let mut sent = 0;
    let mut listen = |device: &mut Device| {
        while let Some(output) = device.node.poll() {
            match output {
                Output::Send { bytes, .. } => sent += bytes.len(),
                Output::Event(event) => device.events.push(event),
                Output::Close { .. } => {}
            }
        }
    };
    for bytes in said {
        for bytes in bytes.chunks(1 << 16) {
            device.node.handle(device.now, Input::LinkBytes { link, bytes }).unwrap();
            listen(device);
        }
    }
    device.node.handle(device.now, Input::LinkClosed { link }).unwrap();
    listen(device);
    sent
}

#[test]
fn replays_a_hundred_times_with_any_clock_change_nothing_and_lose_nothing() {
    let [mut ana, mut bo] = friends([1, 2]);
    ana.tell(bo.account(), "once");
    ana.write("and for all");
    let texts = [ana.bundle_all()];
    let way = Way { knows: false, is_known: false, ..Way::default() };
    let met = meet_by(&mut ana, &mut bo, way);
    bo.idle();
    let said: Vec<Vec<u8>> =
        met.said.iter().filter(|said| said.0).map(|said| said.1.clone()).collect();
    let readers = ana.reader().readers().unwrap().into_iter().map(|reader| reader.secret);
    let sealed = seal(&[(ana.bundle_all(), readers.collect())], &Seed::new([3; 32]));
    bo.idle();
    let state = |bo: &Device| {
        let status = bo.reader().status().unwrap();
        let feeds: Vec<FeedId> =
            bo.reader().feeds().unwrap().iter().map(|info| info.feed).collect();
        let exports: Vec<_> = feeds.iter().map(|feed| bo.export(feed)).collect();
        (bo.told_with(ana.account()), status.log_position, exports)
    };
    let before = state(&bo);
    assert_eq!(before.0, ["once"]);
    let (honest, events) = (bo.now.wall, bo.events.len());
    let mut dice = Dice::default();
    let mut sent = BTreeSet::new();
    for round in 0..100_u8 {
        bo.now.wall = match round % 4 {
            0 => honest + DECADE,
            1 => honest - DECADE,
            2 => 0,
            _ => honest,
        };
        match dice.below(3) {
            0 => drop(bo.read(&texts[0])),
            1 => {
                for (_, text) in read(&sealed, &bo.reader().taking_secrets().unwrap()) {
                    bo.read(&text);
                }
            }
            _ => {
                sent.insert(play(&mut bo, 1_000 + u64::from(round), false, &said));
            }
        }
        bo.idle();
        assert_eq!(state(&bo), before, "round {round}");
    }
    let news = |event: &&Event| match event {
        Event::BundleDone { report, .. } => report.entries_new + report.payloads_new > 0,
        Event::SessionDone { report, .. } => report.received > 0,
        Event::Idle { .. } | Event::SessionProgress { .. } | Event::Progress { .. } => false,
        other => panic!("{other:?}"),
    };
    assert_eq!(bo.events[events..].iter().filter(news).count(), 0);
    // Who plays a session again is a stranger, and gets no more than any of them.
    let most = 2 * said.iter().map(Vec::len).sum::<usize>() + 4_096;
    assert!(sent.iter().all(|sent| *sent < most), "{sent:?}, at most {most}");
    // With every clock wrong, what is new comes through in both directions.
    for (number, wall) in [0, honest - DECADE, honest + DECADE].into_iter().enumerate() {
        bo.now.wall = wall;
        ana.tell(bo.account(), &format!("news {number}"));
        bo.tell(ana.account(), &format!("answer {number}"));
        carry(&mut ana, &mut bo);
        carry(&mut bo, &mut ana);
        assert_eq!(bo.told_with(ana.account()).len(), 2 * number + 3);
        assert_eq!(ana.told_with(bo.account()).len(), 2 * number + 3);
    }
    bo.check();
}

// ---- 14: one encoding ----

#[test]
fn everything_that_is_signed_has_one_encoding() {
    let mut ana = Device::new(1);
    let card = ana.node.card(ana.now).unwrap().unwrap();
    for other in other_encodings(&card.encode()) {
        assert!(Card::decode(&other).is_err(), "{other:02x?}");
    }
    let malleable = Card { signature: malleated(card.signature), ..card.clone() };
    assert!(Card::decode(&malleable.encode()).is_err());
    // A change of a group.
    let key = thistle_engine::key::SecretKey::from_seed(&Seed::new([5; 32]));
    let (id, parents) = ([7; 32], vec![[7; 32], [8; 32]]);
    let action = Action::Rename("mill".to_owned());
    let draft = Draft { group: Some(id), account: ana.account(), parents, action, time: 7 };
    let change = draft.sign(&key).unwrap().encode();
    assert!(UnverifiedChange::decode(&change).unwrap().verify(|_, _| true).is_ok());
    for other in other_encodings(&change) {
        assert!(UnverifiedChange::decode(&other).is_err(), "{other:02x?}");
    }
    let (rest, signature) = change.split_at(change.len() - 64);
    let turned = [rest, &malleated(signature.try_into().unwrap())].concat();
    assert!(UnverifiedChange::decode(&turned).unwrap().verify(|_, _| true).is_err());
    // Statements and certificates, in what they stand in.
    let statement = account(1).add(&ana.feed());
    let payload = Content::Device(statement).encode();
    for other in other_encodings(&payload) {
        assert!(Content::decode(&other).is_err(), "{other:02x?}");
    }
    let mut turned = statement;
    turned.signature = malleated(turned.signature);
    assert!(verify_statement(&statement).is_ok() && verify_statement(&turned).is_err());
    for payload in ana.export(&ana.feed()).into_iter().filter_map(|entry| entry.3) {
        for other in other_encodings(&payload) {
            assert!(Content::decode(&other).is_err(), "{other:02x?}");
        }
    }
    // Proofs of forks, and what stands inside a sealed message.
    for proof in valid("fork") {
        for other in other_encodings(&proof) {
            assert!(ForkProof::decode(&other).is_err(), "{other:02x?}");
        }
    }
    let receipt =
        Receipt { time: 1, state: ReceiptState::Read, entries: vec![(ana.feed(), 1, 300)] };
    for inner in [
        Inner::Content(Content::Receipt(receipt)),
        Inner::Content(Content::Post(said("a text"))),
        Inner::Renewal { generation: 300, share: Seed::new([3; 32]) },
        Inner::Change(change),
    ] {
        for other in other_encodings(&inner.encode()) {
            assert!(Inner::decode(&other).is_err(), "{other:02x?}");
        }
    }
}

// ---- 18: no amplification ----

#[test]
fn what_a_stranger_gets_back_is_bounded_by_what_it_sends() {
    let mut device = Device::new(1);
    for number in 10..40 {
        let mut other = Device::new(number);
        other.write("one of many");
        device.read(&other.bundle_all());
    }
    // Everything that costs a stranger little to say, again and again in fresh sessions.
    let greeting = Greeting { first: 1, last: VERSION, features: 0, tags: &[1; 1_024] };
    let greeting = Sentence::Greeting(greeting).encode();
    let mut sentences: Vec<Vec<u8>> = vec![
        Vec::new(),
        vec![0x00],
        vec![0x5a, 0, 0, 0xff, 0xff],
        greeting[..greeting.len() - 1].to_vec(),
        Sentence::Ack { count: 9, done: true }.encode(),
        Sentence::Compare(&[0x81, 22]).encode(),
    ];
    let mut frame = Encoder::new();
    frame.array(2).uint(99).uint(0);
    let mut whole = Encoder::new();
    whole.bytes(frame.as_bytes());
    sentences.push(whole.into_bytes());
    for sentence in &sentences {
        let mut peer = Peer::dial(&mut device, false);
        peer.raw(sentence);
        assert!(peer.heard.is_empty(), "nothing is said to who did not greet: {sentence:02x?}");
        // Behind a greeting: one greeting and one state, and then twice what comes and a little.
        let mut peer = Peer::dial(&mut device, false);
        peer.raw(&greeting);
        let first = peer.heard.len();
        assert!(first <= 2 * greeting.len(), "{first} for {}", greeting.len());
        peer.raw(&sentence.repeat(20));
        let drawn = peer.heard.len() - first;
        let most = 2 * 20 * sentence.len() + usize::try_from(STRANGER_DRAW_BYTES).unwrap();
        assert!(drawn <= most, "{drawn} for {}", 20 * sentence.len());
    }
}

#[test]
fn a_message_goes_round_a_ring_of_fifty_once() {
    let mut ring: Vec<Device> = (0..50).map(|number| Device::new(100 + number)).collect();
    ring[0].write("round and round");
    let feed = ring[0].feed();
    let mut sent = Vec::new();
    for _ in 0..3 {
        let mut round = 0;
        for at in 0..50 {
            let (left, right) = ring.split_at_mut(at.max(1));
            let met = match at {
                0 => {
                    let (first, rest) = ring.split_at_mut(1);
                    meet(rest.last_mut().unwrap(), &mut first[0])
                }
                _ => meet(left.last_mut().unwrap(), &mut right[0]),
            };
            round += met.dialler.sent + met.other.sent;
        }
        sent.push(round);
    }
    for device in &ring {
        assert_eq!(device.texts(&feed), ["round and round"]);
    }
    // Two rounds, since news of the last ones go the whole way; then nothing goes any more.
    assert!(sent[0] > 50 && sent[2] == 0, "{sent:?}");
}

// ---- 19: lengths ----

#[test]
fn the_first_words_on_a_link_are_as_long_whatever_waits() {
    let mut lengths = BTreeSet::new();
    for (number, waiting) in [(1, 0), (3, 1), (5, 500)] {
        let [mut ana, mut bo] = friends([number, number + 1]);
        for words in 0..waiting {
            ana.tell(bo.account(), &format!("message {words}"));
        }
        let way = Way { knows: false, is_known: false, ..Way::default() };
        let met = meet_by(&mut ana, &mut bo, way);
        assert!(met.said[0].0);
        lengths.insert(met.said[0].1.len());
    }
    assert_eq!(lengths.len(), 1, "{lengths:?}");
}

#[test]
fn sealed_lengths_are_of_few_classes_and_receipts_are_among_those_of_short_texts() {
    let [mut ana, mut bo] = friends([1, 2]);
    let sealed = |device: &Device| -> Vec<usize> {
        let payloads = device.export(&device.feed()).into_iter().filter_map(|entry| entry.3);
        let text = |payload: Vec<u8>| match Content::decode(&payload) {
            Ok(Content::Sealed(message)) => Some(message.text.len()),
            _ => None,
        };
        payloads.filter_map(text).collect()
    };
    for length in 0..60 {
        ana.tell(bo.account(), &"x".repeat(1 + length * 25));
    }
    let texts: BTreeSet<usize> = sealed(&ana).into_iter().collect();
    let padded = |length: usize| thistle_engine::seal::pad(&vec![0; length]).len() + 16;
    let classes: BTreeSet<usize> = (0..15_000).map(padded).collect();
    assert!(classes.len() < 120, "{} lengths for 15,000", classes.len());
    assert!(texts.is_subset(&classes), "{texts:?}");
    let least = usize::try_from(LEAST_PADDED).unwrap() + 16;
    assert_eq!(texts.first(), Some(&least));
    // Bo answers with receipts and with a few words; the lengths of both are the same.
    carry(&mut ana, &mut bo);
    let receipts: BTreeSet<usize> = sealed(&bo).into_iter().collect();
    assert!(!receipts.is_empty());
    for words in 0..50 {
        bo.tell(ana.account(), &"y".repeat(1 + words * 2));
    }
    let both: BTreeSet<usize> = sealed(&bo).into_iter().chain(texts).collect();
    assert!(receipts.is_subset(&classes), "{receipts:?}");
    assert!(both.len() > receipts.len());
    let short: BTreeSet<usize> = (1..600).map(|words| padded(words + 12)).collect();
    assert!(receipts.is_subset(&short), "as long as a few words: {receipts:?}");
}

#[test]
fn receipts_can_be_switched_off() {
    let [mut ana, mut bo] = friends([1, 2]);
    bo.node.set_receipts(bo.now, false).unwrap();
    carry(&mut ana, &mut bo);
    let before = bo.export(&bo.feed());
    ana.tell(bo.account(), "have you seen it?");
    carry(&mut ana, &mut bo);
    let shown: Vec<_> = bo.said_with(ana.account()).iter().filter_map(|said| said.entry).collect();
    bo.node.mark_read(bo.now, &[(shown[0].0, shown[0].1)]).unwrap();
    bo.idle();
    let after = bo.export(&bo.feed());
    let sealed = |entries: &[crate::common::Exported]| {
        let is = |entry: &&crate::common::Exported| {
            matches!(Content::decode(entry.3.as_ref().unwrap()), Ok(Content::Sealed(_)))
        };
        entries.iter().filter(is).count()
    };
    // What it still writes has nothing to do with what it read: the share of a secret, once.
    assert!(sealed(&after) - sealed(&before) <= 2, "{}", sealed(&after) - sealed(&before));
    let written = after.len();
    ana.tell(bo.account(), "and now?");
    carry(&mut ana, &mut bo);
    assert_eq!(bo.told_with(ana.account()).len(), 2);
    assert_eq!(bo.export(&bo.feed()).len(), written, "nothing is answered");
    assert!(!prekey_of(&bo).is_empty());
}
