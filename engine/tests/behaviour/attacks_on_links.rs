//! The attacks with a name on what stands on a link or in a file: what a stranger draws, what is told
//! before anybody is known, records that are too long, the same record written in another way.

use std::collections::BTreeSet;

use thistle_engine::bundle::{Frame, Want, What};
use thistle_engine::codec::Encoder;
use thistle_engine::content::{Carry, Content};
use thistle_engine::key::{AccountId, FeedId, SecretKey, Seed};
use thistle_engine::limits::{
    CARD_BYTES, FRAME_BYTES, GROUP_MEMBERS, PAYLOAD_BYTES, STRANGER_DRAW_BYTES,
};
use thistle_engine::seal::{Card, Inner};
use thistle_engine::segment::{Body, UnverifiedSegment};
use thistle_engine::session::{Sentence, VERSION};
use thistle_engine::{InMemoryBackend, Input, Node, Output, SessionFault, Setup};

use crate::attacks::{bundle_of, identifiers, windows};
use crate::common::{CACHE, Device, account, start};
use crate::hostile_members::Forger;
use crate::hostile_peers::{Peer, serves_others};
use crate::meet::{Way, meet_by};
use crate::private::said;

// ---- What a stranger gets ----

/// Some feeds of strangers, the same each time.
fn crowd() -> Vec<Device> {
    let mut crowd: Vec<Device> = (20..28).map(Device::new).collect();
    for one in &mut crowd {
        one.write_many((0..40).map(|n| format!("public word {n}")));
    }
    crowd
}

/// A stranger who greets, and then says these sentences; all that the device said behind its greeting.
fn asks(device: &mut Device, sentences: &[Sentence<'_>]) -> Vec<Vec<u8>> {
    let mut peer = Peer::greeted(device, false);
    peer.tell_state(1, 1);
    for sentence in sentences {
        if peer.report.is_none() {
            peer.say(sentence);
        }
    }
    peer.frames().into_iter().skip(1).collect()
}

fn wants(feed: FeedId) -> Sentence<'static> {
    let want = |what| Want { feed, first: 1, last: 1_000, what };
    Sentence::Carried(Frame::Wants(vec![want(What::Entries), want(What::Payloads)]))
}

/// A forged request to synchronise made bitchat hand out its whole cache, as often as it came.
#[test]
fn bitchat_request_sync_dump() {
    let closed = Setup { carry: Carry::Contacts, name: Some("ana"), cache_bytes: CACHE };
    let node =
        Node::create(InMemoryBackend::new(), &account(1), closed, Seed::new([4; 32]), start());
    let mut ana = Device { node: node.unwrap(), now: start(), events: Vec::new() };
    ana.write_many((0..100).map(|n| format!("for contacts {n}")));
    let crowd = crowd();
    for one in &crowd {
        ana.read(&one.bundle_all());
    }
    // Before a greeting, nothing; and what follows it draws no more than its own part.
    let mut peer = Peer::dial(&mut ana, false);
    peer.say(&wants(crowd[0].feed()));
    assert!(peer.heard.is_empty());
    assert_eq!(peer.fault(), SessionFault::OutOfTurn { kind: 4 });
    let state = asks(&mut ana, &[]);
    let told: usize = state.iter().map(Vec::len).sum();
    assert!(told as u64 <= STRANGER_DRAW_BYTES + 2 * 1_200, "{told}");
    let hears = |device: &mut Device, feed: FeedId, times: usize| -> (usize, BTreeSet<FeedId>) {
        let sentences: Vec<Sentence<'_>> = (0..times).map(|_| wants(feed)).collect();
        let frames = asks(device, &sentences);
        let of = |frame: &Vec<u8>| match Sentence::decode(frame) {
            Ok(Sentence::Carried(Frame::Segment(bytes))) => {
                Some(UnverifiedSegment::decode(bytes).unwrap().feed)
            }
            _ => None,
        };
        (frames.iter().map(Vec::len).sum(), frames.iter().filter_map(of).collect())
    };
    // One feed is asked for: one feed comes, once however often it is asked for.
    let (once, feeds) = hears(&mut ana, crowd[0].feed(), 1);
    assert_eq!(feeds, BTreeSet::from([crowd[0].feed()]));
    let (often, _) = hears(&mut ana, crowd[0].feed(), 50);
    assert!(often < once + 50 * 200, "{often} for fifty requests, {once} for one");
    // What is for contacts does not come, and nothing tells that it is there.
    let nobody = Device::new(99).feed();
    let own = ana.feed();
    let (of_own, feeds) = hears(&mut ana, own, 1);
    assert!(feeds.is_empty());
    assert_eq!(of_own, hears(&mut ana, nobody, 1).0, "as of a feed that is nowhere");
    serves_others(&mut ana);
}

/// bitchat's announces held the nickname, both long-term keys and ten neighbours: together a map of
/// who is where beside whom.
#[test]
fn bitchat_actor_map() {
    let mut ana = Device::new(1);
    let mut known: Vec<Device> = (30..40).map(Device::new).collect();
    for other in &mut known {
        ana.befriend(other);
    }
    let mut identifiers = identifiers(&mut known);
    identifiers.extend(crate::attacks::identifiers(std::slice::from_mut(&mut ana)));
    let name = b"person 1";
    let mut met = BTreeSet::new();
    for session in 0..100_u8 {
        let (link, peer, binding) = (u64::from(session), [session; 32], &[session; 32]);
        let opened =
            Input::LinkOpened { link, opener: true, peer, binding, known: false, via: "a meeting" };
        ana.node.handle(ana.now, opened).unwrap();
        let mut said = Vec::new();
        while let Some(output) = ana.node.poll() {
            if let Output::Send { bytes, .. } = output {
                said.extend(bytes);
            }
        }
        let Ok(Sentence::Greeting(greeting)) = Sentence::decode(&said[3..]) else {
            panic!("who dials greets first: {said:02x?}")
        };
        assert_eq!((greeting.first, greeting.last, greeting.features), (1, VERSION, 0));
        assert_eq!(greeting.tags.len(), 1_024, "the same room for ten contacts as for none");
        assert!(!said.windows(name.len()).any(|bytes| bytes == name));
        assert!(!windows(&said).any(|bytes| identifiers.contains(&bytes)));
        // Four bytes that are the same in two greetings would tell that it is one home.
        let tags: Vec<[u8; 4]> =
            greeting.tags.windows(4).map(|bytes| bytes.try_into().unwrap()).collect();
        let again = tags.iter().filter(|bytes| !met.insert(**bytes)).count();
        assert!(again <= 2, "{again} words of the greeting were said before");
        ana.node.handle(ana.now, Input::LinkClosed { link }).unwrap();
        while ana.node.poll().is_some() {}
    }
}

/// A peer of Scuttlebutt told every feed that it followed, in its vector clock.
#[test]
fn ssb_follow_leak() {
    let crowd = crowd();
    let unheld = [Device::new(50).feed(), Device::new(51).feed()];
    // The same home, with the same held, that follows different people: held ones and unheld ones.
    let home = |follows: &[FeedId]| {
        let mut ana = Device::new(1);
        for one in &crowd {
            ana.read(&one.bundle_all());
        }
        for feed in follows {
            ana.node.follow(ana.now, feed).unwrap();
        }
        ana.idle();
        ana
    };
    let visit = |ana: &mut Device| {
        let mut stranger = Device::new(60);
        stranger.write("hello");
        let met =
            meet_by(ana, &mut stranger, Way { knows: false, is_known: false, ..Way::default() });
        let dialler = met.frames(true);
        let lengths: Vec<usize> = dialler.iter().map(Vec::len).collect();
        let asked = asks(ana, &[wants(unheld[0]), wants(crowd[1].feed())]);
        let lengths_asked: Vec<usize> = asked.iter().map(Vec::len).collect();
        ((lengths, lengths_asked), [dialler.concat(), asked.concat()].concat())
    };
    let sets = [
        vec![],
        vec![crowd[0].feed(), unheld[0]],
        vec![crowd[1].feed(), unheld[1]],
        vec![unheld[0], unheld[1]],
    ];
    let mut transcripts = BTreeSet::new();
    for follows in &sets {
        let (lengths, said) = visit(&mut home(follows));
        transcripts.insert(lengths);
        for feed in &unheld {
            let id = feed.as_bytes();
            let named = said.windows(32).filter(|bytes| bytes == id).count();
            // The one that was asked for is named in the answer that it is not here, twice.
            let due = if *feed == unheld[0] { 2 } else { 0 };
            assert_eq!(named, due, "a feed that is only followed");
        }
    }
    assert_eq!(transcripts.len(), 1, "whom one follows changes no length: {transcripts:?}");
}

// ---- Bytes ----

/// A record that was one byte too long ended the whole of Briar.
#[test]
fn briar_oversize_exit() {
    let [most, frame] = [PAYLOAD_BYTES, FRAME_BYTES].map(|it| usize::try_from(it).unwrap());
    let mut device = Device::new(1);
    device.write("still here");
    // Lengths of frames around every limit, said and not followed by so much.
    for claimed in [0, 1, most, frame - 1, frame, frame + 1, 1 << 24, u32::MAX as usize] {
        let mut peer = Peer::greeted(&mut device, claimed % 2 == 0);
        let mut head = vec![0x5a];
        head.extend(u32::try_from(claimed).unwrap().to_be_bytes());
        peer.raw(&[head, vec![0x81; claimed.min(frame + 2)]].concat());
        peer.pass(thistle_engine::limits::SILENCE_MS);
        assert!(peer.report.is_some(), "{claimed}");
    }
    // And as they should be written, whole.
    for length in [most - 1, most, most + 1, frame - 64, frame, frame + 1] {
        for kind in [1, 2, 4, 5, 9, 11, 12, 16] {
            let mut body = Encoder::new();
            body.array(2).uint(kind).bytes(&vec![0; length]);
            let mut whole = Encoder::new();
            whole.bytes(body.as_bytes());
            let mut peer = Peer::greeted(&mut device, true);
            peer.tell_state(1, 1);
            peer.raw(whole.as_bytes());
            peer.pass(thistle_engine::limits::SILENCE_MS);
            assert!(peer.report.is_some(), "{length} of kind {kind}");
        }
    }
    // A signed entry, a sealed text, a card and a change of a group at their limits and beyond.
    for over in [0, 1] {
        let payload = vec![0; most + over];
        assert!(Content::decode(&payload).is_err());
        assert!(Inner::decode(&payload).is_err());
        let card = vec![0; usize::try_from(CARD_BYTES).unwrap() + over];
        assert!(Card::decode(&card).is_err());
        assert!(
            device
                .node
                .write(device.now, &Content::Post(said(&"x".repeat(most + over))), 0)
                .is_err()
        );
    }
    let members =
        |count: u8| -> Vec<AccountId> { (10..10 + count).map(|n| account(n).id()).collect() };
    let many = members(u8::try_from(GROUP_MEMBERS).unwrap());
    let made = device.node.create_group(device.now, "too many", &many, false).unwrap();
    assert!(!matches!(made, thistle_engine::Changed::Done(_)), "{made:?}");
    let mut over = Forger::new(3);
    over.write_bytes(vec![0; most + 1]);
    let report = device.read(&over.bundle());
    assert_eq!(report.entries_new, 1, "the certificate, and not what is too long: {report:?}");
    assert_eq!(device.texts(&device.feed()), ["still here"]);
    serves_others(&mut device);
}

/// Every other way to write the heads of some CBOR, and a byte behind it.
pub(crate) fn other_encodings(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut at, mut all) = (0, vec![[bytes, &[0]].concat()]);
    while let Some(first) = bytes.get(at) {
        let (major, low) = (first >> 5, first & 31);
        let width = if low < 24 { 0 } else { 1_usize << (low - 24) };
        let wide = &bytes[at + 1..=at + width];
        let argument = wide.iter().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
        let argument = if width == 0 { u64::from(low) } else { argument };
        if major != 7 {
            for (low, wider) in [(24, 1), (25, 2), (26, 4), (27, 8)] {
                if wider > width {
                    let longer =
                        [&[major << 5 | low][..], &argument.to_be_bytes()[8 - wider..]].concat();
                    all.push([&bytes[..at], &longer, &bytes[at + 1 + width..]].concat());
                }
            }
        }
        if matches!(major, 2..=4) {
            let open = [&bytes[..at], &[major << 5 | 31], &bytes[at + 1 + width..], &[0xff]];
            all.push(open.concat());
        }
        at += 1 + width;
        if matches!(major, 2 | 3) {
            at += usize::try_from(argument).unwrap();
        }
    }
    all
}

/// The same signature with the order of the group added to its scalar.
pub(crate) fn malleated(signature: [u8; 64]) -> [u8; 64] {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (mut other, mut carry) = (signature, 0);
    for (byte, order) in other[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    other
}

/// ETH Zurich wrote the signed posts of others to Briar in another way, and each was shown again.
#[test]
fn briar_duplicate_by_reencoding() {
    let mut ana = Device::new(1);
    ana.write("said once");
    ana.write("and this");
    let segments: Vec<Vec<u8>> = Peer::all_of(&mut ana, true)
        .into_iter()
        .filter_map(|frame| match Frame::decode(&frame) {
            Ok(Frame::Segment(bytes)) => Some(bytes.to_vec()),
            _ => None,
        })
        .collect();
    let key = SecretKey::from_seed(&Seed::new([8; 32]));
    let mut bo = Device::new(2);
    bo.read(&bundle_of(&key, &segments));
    let held = bo.export(&ana.feed());
    assert_eq!(bo.texts(&ana.feed()), ["said once", "and this"]);
    let log = bo.reader().status().unwrap().log_position;
    let mut tried = 0;
    for segment in &segments {
        let mut others = other_encodings(segment);
        let mut read = UnverifiedSegment::decode(segment).unwrap();
        read.signature = malleated(read.signature);
        others.push(read.encode());
        // A payload written in another way is another payload, which nobody signed.
        let items: Vec<Vec<u8>> = UnverifiedSegment::decode(segment)
            .unwrap()
            .items
            .iter()
            .filter_map(|item| match item.body {
                Body::Here(payload) => Some(payload.to_vec()),
                Body::Detached { .. } => None,
            })
            .collect();
        for (at, payload) in items.iter().enumerate() {
            for other in other_encodings(payload) {
                assert!(Content::decode(&other).is_err(), "{other:02x?}");
                let mut read = UnverifiedSegment::decode(segment).unwrap();
                read.items[at].body = Body::Here(&other);
                others.push(read.encode());
            }
        }
        for other in others {
            // To one who holds it already and to one who does not.
            let report = bo.read(&bundle_of(&key, std::slice::from_ref(&other)));
            assert_eq!((report.refused, report.entries_new), (1, 0), "{other:02x?}");
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried}");
    assert_eq!(bo.export(&ana.feed()), held);
    assert_eq!(bo.reader().status().unwrap().log_position, log);
}
