//! Goal: no bytes of a stranger make a node take much memory, whatever they claim or however often they
//! are said. Method: an allocator that counts; the peak while a bomb is read, beyond what was taken before.
//! One test alone in its process, since memory is counted for the whole of it.

use std::hint::black_box;

use peak_alloc::PeakAlloc;
use thistle_engine::account::{AccountKey, Phrase};
use thistle_engine::bundle::{FileWriter, Frame, Opening};
use thistle_engine::codec::Encoder;
use thistle_engine::container::{HEAD_BYTES, find};
use thistle_engine::content::{Carry, Content};
use thistle_engine::key::{SecretKey, Seed};
use thistle_engine::seal::{Card, Inner, UnverifiedChange};
use thistle_engine::segment::UnverifiedSegment;
use thistle_engine::session::{Frames, Greeting, Sentence, VERSION};
use thistle_engine::time::Now;
use thistle_engine::{InMemoryBackend, Input, Node, Setup};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Most bytes that a bomb may take while it is read.
const MOST: usize = 16 << 20;

const NOW: Now = Now { tick: 1_000, wall: 1_772_438_400_000, boot_id: 1 };

fn node() -> Node {
    let account = AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new([1; 32])));
    let setup = Setup { carry: Carry::Open, name: Some("ana"), cache_bytes: 1 << 20 };
    Node::create(InMemoryBackend::new(), &account, setup, Seed::new([2; 32]), NOW).unwrap()
}

/// The peak while something is done, beyond what was taken when it began.
fn peak(act: impl FnOnce()) -> usize {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    act();
    MEMORY.peak_usage().saturating_sub(before)
}

fn drain(node: &mut Node) {
    while node.poll().is_some() {}
}

/// A bundle that begins as bundles do, and what somebody puts behind it, as often.
fn bundle(behind: &[u8], times: usize) -> usize {
    let key = SecretKey::from_seed(&Seed::new([3; 32]));
    let maker = key.feed();
    let opening =
        Opening { maker, for_feed: None, whole: false, position: 0, log_hash: [0; 8], ack: None };
    let (_, front) = FileWriter::new(opening, Vec::new(), &[], &key);
    let mut node = node();
    peak(|| {
        let bundle = 1;
        node.handle(NOW, Input::BundleOpened { bundle, via: "stick" }).unwrap();
        node.handle(NOW, Input::BundleChunk { bundle, bytes: &front }).unwrap();
        for _ in 0..times {
            node.handle(NOW, Input::BundleChunk { bundle, bytes: behind }).unwrap();
            drain(&mut node);
        }
        node.handle(NOW, Input::BundleEnded { bundle }).unwrap();
        drain(&mut node);
    })
}

/// A stranger on a link that says something as often.
fn link(said: &[u8], times: usize) -> usize {
    let mut node = node();
    let (link, opener, peer, known, via) = (1, false, [6; 32], false, "a meeting");
    let opened = Input::LinkOpened { link, opener, peer, binding: &[7; 32], known, via };
    let greeting = Greeting { first: 1, last: VERSION, features: 0, tags: &[1; 1_024] };
    let greeting = Sentence::Greeting(greeting).encode();
    peak(|| {
        node.handle(NOW, opened).unwrap();
        node.handle(NOW, Input::LinkBytes { link, bytes: &greeting }).unwrap();
        for _ in 0..times {
            node.handle(NOW, Input::LinkBytes { link, bytes: said }).unwrap();
            drain(&mut node);
        }
        node.handle(NOW, Input::LinkClosed { link }).unwrap();
        drain(&mut node);
    })
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = Encoder::new();
    frame.bytes(body);
    frame.into_bytes()
}

/// Frames that claim four gigabytes, or 2^60 elements, and bring next to nothing.
fn claims() -> Vec<Vec<u8>> {
    let mut all = vec![vec![0x5a, 0xff, 0xff, 0xff, 0xff], vec![0x5b, 0, 0, 0, 1, 0, 0, 0, 0]];
    for kind in 0..30 {
        for head in [0x9b, 0xbb, 0x5b, 0x7b] {
            for before in 0..4 {
                let mut body = Encoder::new();
                body.array(8).uint(kind);
                for _ in 0..before {
                    body.uint(1);
                }
                let claim = [body.as_bytes(), &[head, 0x10, 0, 0, 0, 0, 0, 0, 0]].concat();
                all.push(framed(&claim));
            }
        }
    }
    all
}

#[test]
fn no_bomb_takes_more_memory_than_it_may() {
    let deep = [0x81, 0x9f, 0xa1, 0xc1, 0x5f].map(|head| vec![head; 60_000]);
    let mut most = Vec::new();
    let mut note = |what: String, taken: usize| most.push((taken, what));
    for claim in claims() {
        note(format!("bundle {:02x?}", &claim[..6.min(claim.len())]), bundle(&claim, 1));
        note(format!("link {:02x?}", &claim[..6.min(claim.len())]), link(&claim, 1));
    }
    for bytes in &deep {
        note(
            format!("deep {:02x}", bytes[0]),
            bundle(&framed(bytes), 3).max(link(&framed(bytes), 3)),
        );
        note(
            format!("decoded {:02x}", bytes[0]),
            peak(|| {
                drop(Content::decode(bytes));
                drop(Inner::decode(bytes));
                drop(Card::decode(bytes));
                drop(UnverifiedChange::decode(bytes));
                black_box(UnverifiedSegment::decode(bytes).map(|segment| segment.items.len()).ok());
                black_box(Frame::decode(bytes).map(|frame| frame.kind()).ok());
            }),
        );
    }
    // A million fragments: bad frames of two bytes, unknown ones, heads whose frame never comes.
    for fragment in [vec![0x41, 0xff], vec![0x43, 0x82, 0x18, 0x63], vec![0x40]] {
        let many = fragment.repeat(1_000);
        note(format!("a million of {fragment:02x?}"), bundle(&many, 1_000).max(link(&many, 1_000)));
    }
    note("64 MiB of one frame".to_owned(), bundle(&vec![0; 65_536], 1_024));
    note(
        "frames in pieces".to_owned(),
        peak(|| {
            let mut frames = Frames::default();
            for _ in 0..100_000 {
                frames.push(&[0x59]);
                if frames.poll().is_err() {
                    return;
                }
            }
        }),
    );
    // A sealed bundle is looked at by its head, whatever it says of sizes.
    let secrets: Vec<Seed> = (0..200).map(|byte| Seed::new([byte; 32])).collect();
    let head = vec![0xa5; HEAD_BYTES];
    note("a head".to_owned(), peak(|| drop(find(&head, &secrets))));
    most.sort();
    let (taken, what) = most.last().unwrap();
    assert!(*taken <= MOST, "{taken} bytes for {what}");
    // The counter counts.
    assert!(peak(|| drop(vec![1_u8; 20 << 20])) > MOST);
}
