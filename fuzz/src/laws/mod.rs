//! What must hold of any bytes, whoever made them: one law for each thing that reads bytes.
//!
//! A law takes bytes and panics if it is broken. It asks for more than that nothing panics: what is
//! accepted has one encoding, no shorter and no longer bytes mean the same, and nothing is believed
//! that was edited after it was signed. To get past signatures, a law signs again with keys of its
//! own what the fuzzer broke; how dear a signature is, `key.rs` of the engine decides.
//!
//! The fuzz targets and the seeded loop of the engine's tests run these very functions.

mod files;
mod ingest;
mod meetings;
mod signed;
mod texts;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use thistle_engine::account::{AccountKey, Phrase};
use thistle_engine::bundle::{Frame, fork_frame_len, frame_len, payload_frame_len};
use thistle_engine::codec::{DecodeError, Decoder, Encoder};
use thistle_engine::content::{Content, PostView, is_structural};
use thistle_engine::entry::{ChainHasher, EntryId, Header, window};
use thistle_engine::key::{FeedId, SecretKey, Seed};
use thistle_engine::order::{Node, display_order, lamports};

/// Something that must hold of any bytes.
pub(crate) type Law = fn(&[u8]);

/// Every law of the engine, by the name of its fuzz target.
pub(crate) const LAWS: &[(&str, Law)] = &[
    ("header", header),
    ("segment", signed::segment),
    ("content", content),
    ("fork", signed::fork),
    ("account", signed::account),
    ("id", texts::id),
    ("phrase", texts::phrase),
    ("frame", frame),
    ("bundle", files::bundle),
    ("order", order),
    ("ingest", ingest::ingest),
    ("session", meetings::session),
    ("reconcile", meetings::reconcile),
];

/// Prefixes of longer bytes that are tried.
const PREFIXES: usize = 64;
/// Most entries of a conversation that is put in order.
const ORDERED: usize = 40;

// ---- Keys ----

/// The keys whose owners this side can speak for: those of the vectors.
struct Ring {
    devices: Vec<SecretKey>,
    accounts: Vec<AccountKey>,
}

static RING: LazyLock<Ring> = LazyLock::new(|| {
    let entropy = |first: u8| std::array::from_fn(|at| first.wrapping_add(at.to_le_bytes()[0]));
    let account =
        |first| AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new(entropy(first))));
    Ring {
        devices: (1..=4).map(|byte| SecretKey::from_seed(&Seed::new([byte; 32]))).collect(),
        accounts: (0..3).map(account).collect(),
    }
});

/// The key of a feed, or of the one that stands in for a feed whose key nobody here has.
fn key_for(feed: &FeedId) -> &'static SecretKey {
    let known = RING.devices.iter().find(|key| key.feed() == *feed);
    let other = usize::from(feed.as_bytes()[0]) % RING.devices.len();
    known.unwrap_or(&RING.devices[other])
}

/// A number that any change of the bytes changes: what a law picks by it, the fuzzer can steer.
fn number_of(bytes: &[u8]) -> usize {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    usize::try_from(bytes.iter().fold(0xcbf2_9ce4_8422_2325, step) >> 32).unwrap_or(0)
}

// ---- One encoding ----

/// What decodes is written as it came, and neither a part of it nor more than it decodes.
fn one_encoding(bytes: &[u8], rewrite: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let Some(written) = rewrite(bytes) else { return };
    assert_eq!(written, bytes, "a second encoding of one value");
    let step = bytes.len().div_ceil(PREFIXES).max(1);
    for end in (0..bytes.len()).step_by(step) {
        assert!(rewrite(&bytes[..end]).is_none(), "the first {end} bytes decode too");
    }
    let longer = [bytes, &[0]].concat();
    assert!(rewrite(&longer).is_none(), "bytes behind the end are not noticed");
}

/// Headers, and the codec below them value by value.
fn header(bytes: &[u8]) {
    values(bytes);
    one_encoding(bytes, |bytes| Header::decode(bytes).ok().map(|header| header.encode()));
    let Ok(header) = Header::decode(bytes) else { return };
    assert_eq!(header.prev.is_none(), header.seq == 1);
    assert_eq!(ChainHasher::default().id(&header), header.id());
    let (first, last) = window(header.seq);
    assert!((first..=last).contains(&header.seq) && last - first < 32);
    assert_eq!((window(first), window(last)), ((first, last), (first, last)));
}

/// Reads a run of values of any types: of each place at most one reader makes something, and that
/// is written as it came.
fn values(bytes: &[u8]) {
    type Copy = fn(&mut Decoder<'_>, &mut Encoder) -> Result<(), DecodeError>;
    const READERS: [Copy; 6] = [
        |from, to| {
            from.uint("x", u64::MAX).map(|it| {
                to.uint(it);
            })
        },
        |from, to| {
            from.bytes("x", 10).map(|it| {
                to.bytes(it);
            })
        },
        |from, to| {
            from.text("x", 10).map(|it| {
                to.text(it);
            })
        },
        |from, to| {
            from.array("x", 10).map(|it| {
                to.array(it);
            })
        },
        |from, to| {
            from.boolean("x").map(|it| {
                to.boolean(it);
            })
        },
        |from, to| {
            let due = DecodeError::WrongType { field: "x" };
            from.skip_null()
                .then(|| {
                    to.null();
                })
                .ok_or(due)
        },
    ];
    let mut at = 0;
    while at < bytes.len() {
        let mut ends = BTreeSet::new();
        for read in READERS {
            let (mut from, mut to) = (Decoder::new(&bytes[at..]), Encoder::new());
            if read(&mut from, &mut to).is_ok() {
                assert_eq!(to.into_bytes(), bytes[at..at + from.position()]);
                assert!(ends.insert(at + from.position()), "two readers agree");
            }
        }
        assert!(ends.len() <= 1, "a value of two types");
        let Some(end) = ends.first() else { return };
        at = *end;
    }
}

/// What a payload says.
fn content(bytes: &[u8]) {
    let found = Content::decode(bytes);
    if let Ok(Content::Unknown { kind }) = found {
        assert!(kind >= 12 && kind != 16, "a known type that was not read");
        assert_eq!(is_structural(bytes), kind <= 15);
        return;
    }
    one_encoding(bytes, |bytes| match Content::decode(bytes) {
        Ok(Content::Unknown { .. }) | Err(_) => None,
        Ok(content) => Some(content.encode()),
    });
    let posts = found.clone().ok().filter(|it| matches!(it, Content::Post(_) | Content::Reply(_)));
    assert_eq!(PostView::decode(bytes).map(|view| view.to_content()), posts);
    let Ok(content) = found else { return };
    assert_eq!(is_structural(bytes), content.is_structural());
    assert_eq!(content.encode_checked().as_deref(), Ok(bytes), "what was read can be written");
    if let Content::Retraction(ranges) = &content {
        let list = ranges.as_slice();
        assert!(list.iter().all(|it| it.0 >= 1 && ranges.contains(it.0) && ranges.contains(it.1)));
        assert!(list.windows(2).all(|pair| !ranges.contains(pair[0].1 + 1)), "ranges that touch");
    }
}

/// One frame of a bundle.
fn frame(bytes: &[u8]) {
    let Ok(frame) = Frame::decode(bytes) else { return };
    let in_file = |body: &[u8]| {
        let mut encoder = Encoder::new();
        encoder.bytes(body);
        encoder.into_bytes().len() as u64
    };
    assert_eq!(frame_len(bytes.len() as u64), in_file(bytes));
    match &frame {
        // These reach to the end of their frame; others look into them, or nobody does.
        Frame::Unknown { kind } => return assert!(*kind >= 8),
        Frame::Segment(inner) => assert_eq!(*inner, bytes),
        Frame::Fork(proof) => assert_eq!(fork_frame_len(proof.len() as u64), in_file(bytes)),
        Frame::Payload { seq, payload, .. } => {
            assert_eq!(payload_frame_len(*seq, payload.len() as u64), in_file(bytes));
        }
        _ => {}
    }
    if matches!(frame, Frame::Segment(_) | Frame::Fork(_)) {
        assert_eq!(frame.encode(), bytes);
        return;
    }
    one_encoding(bytes, |bytes| Some(Frame::decode(bytes).ok()?.encode()));
}

// ---- Order ----

/// The order of a conversation whose entries name each other in any way.
fn order(bytes: &[u8]) {
    let nodes = conversation(bytes);
    let lamports = lamports(&nodes);
    let order = display_order(&nodes);
    let places: BTreeSet<usize> = order.iter().map(|place| place.1).collect();
    assert!(order.len() == nodes.len() && places.len() == nodes.len(), "each entry is shown once");
    let key = |&(lamport, at): &(u64, usize)| (lamport, nodes[at].time, nodes[at].id);
    assert!(order.is_sorted_by_key(key) && order.iter().all(|it| lamports[it.1] == it.0));
    let mut turned = nodes.clone();
    turned.reverse();
    let shown = |nodes: &[Node]| -> Vec<(u64, EntryId)> {
        display_order(nodes).into_iter().map(|(lamport, at)| (lamport, nodes[at].id)).collect()
    };
    assert_eq!(shown(&turned), shown(&nodes), "arrival changes the order");
    // Which entries lie before which, by walking from each.
    let direct = |at: usize| {
        let named = |other: &usize| nodes[at].parents.contains(&nodes[*other].id.prefix());
        (0..nodes.len()).filter(named).collect::<Vec<usize>>()
    };
    let before: Vec<BTreeSet<usize>> = (0..nodes.len()).map(|at| reach(at, direct)).collect();
    for at in 0..nodes.len() {
        let (same, older): (Vec<_>, Vec<_>) =
            before[at].iter().copied().partition(|other| before[*other].contains(&at));
        assert!(same.iter().all(|other| lamports[*other] == lamports[at]), "a circle is one");
        let outside = |member: &usize| {
            let older = direct(*member).into_iter().filter(|it| !before[*it].contains(member));
            older.map(|it| lamports[it]).max().unwrap_or(0)
        };
        let due = same.iter().chain([&at]).map(outside).max().unwrap_or(0) + 1;
        assert_eq!(lamports[at], due);
        assert!(older.iter().all(|other| lamports[*other] < lamports[at]));
    }
}

fn reach(from: usize, direct: impl Fn(usize) -> Vec<usize>) -> BTreeSet<usize> {
    let (mut found, mut open) = (BTreeSet::new(), direct(from));
    while let Some(at) = open.pop() {
        if found.insert(at) {
            open.extend(direct(at));
        }
    }
    found
}

/// Entries of three bytes and more: id, time, and how many parents follow. Ids are few, and two of
/// them share a prefix.
fn conversation(bytes: &[u8]) -> Vec<Node> {
    let prefix = |byte: u8| [byte >> 3; 8];
    let mut nodes = BTreeMap::new();
    let mut rest = bytes;
    while let [id, time, count, more @ ..] = rest
        && nodes.len() < ORDERED
    {
        let (parents, behind) = more.split_at(more.len().min(usize::from(count % 5)));
        rest = behind;
        let mut full = [*id; 32];
        full[..8].copy_from_slice(&prefix(*id));
        let id = EntryId::from_bytes(full);
        let parents = parents.iter().copied().map(prefix).collect();
        nodes.insert(id, Node { id, time: u64::from(*time % 4), parents });
    }
    let mut nodes: Vec<Node> = nodes.into_values().collect();
    let turn = number_of(bytes) % nodes.len().max(1);
    nodes.rotate_left(turn);
    nodes
}
