//! Goal: what it costs two nodes to find what differs, beside crate `negentropy` and beside a plain
//! list of heads on the same sets. Method: whole runs in memory; bytes and messages are exact and
//! the same on every machine, time is a ratio to the hashes that it takes at least. Of `negentropy`
//! only its own messages count, not the seqs that would have to follow them.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark reads the clock; the engine does not"
)]
#![expect(clippy::print_stdout, reason = "the table goes to standard output")]

use std::time::{Duration, Instant};

use negentropy::{Id, Negentropy, NegentropyStorageVector, Storage};
use thistle_engine::key::{Digest, FeedId, keyed};
use thistle_engine::reconcile::{Item, Peer, Run, Scope, Step};

/// The session's key.
const KEY: Digest = [7; 32];
/// Bytes of a feed in a plain list: its key, and a seq of 1.4 bytes.
const PLAIN_TENTHS: usize = 334;

fn main() {
    println!("figure\tmeasured\tlimit\tratio\tgoal");
    for (feeds, differ) in [
        (10_000, 0),
        (10_000, 1),
        (10_000, 10),
        (10_000, 100),
        (10_000, 1_000),
        (10_000, 10_000),
        (100_000, 100),
    ] {
        bytes(feeds, differ);
    }
    time(10_000);
}

/// Bytes and messages for so many feeds, of which so many differ, against the two others.
fn bytes(feeds: u64, differ: u64) {
    let (ours, theirs) = sides(feeds, differ);
    let (found, messages) = run(&ours, &theirs);
    let (other, other_messages) = beside(&ours, &theirs);
    let plain = ours.len() * PLAIN_TENTHS / 10;
    let name = format!("reconcile {differ} of {feeds} feeds");
    let limits = [("negentropy", other, other_messages), ("head vector", plain, 2)];
    for (limit, bytes, their_messages) in limits {
        let ratio = share(found, bytes);
        println!(
            "{name}\t{found} B in {messages}\t{bytes} B in {their_messages} ({limit})\t{ratio}\t"
        );
    }
}

/// Hashing of a scope, the whole work of a session in which nothing differs.
fn time(feeds: u64) {
    let (ours, _) = sides(feeds, 0);
    let hashes = best(|| {
        let hash = |item: &Item| {
            let feed = keyed(&KEY, item.feed.as_bytes());
            let mut block = [1; 64];
            block[..32].copy_from_slice(&feed);
            keyed(&KEY, &block)[0]
        };
        ours.iter().map(hash).fold(0, u8::wrapping_add).into()
    });
    let scope = best(|| Scope::new(&KEY, ours.iter().copied()).digest());
    let micros = |took: Duration| took.as_micros();
    println!(
        "scope of {feeds} feeds\t{} us\t{} us (two hashes each)\t{}\tbelow 10 ms",
        micros(scope),
        micros(hashes),
        share(
            usize::try_from(micros(scope)).unwrap_or(usize::MAX),
            usize::try_from(micros(hashes)).unwrap_or(usize::MAX)
        ),
    );
}

fn best(run: impl Fn() -> u64) -> Duration {
    let took = |_| {
        let start = Instant::now();
        std::hint::black_box(run());
        start.elapsed()
    };
    (0..20).map(took).min().unwrap_or_default()
}

/// A ratio with three digits.
fn share(part: usize, whole: usize) -> String {
    let thousandths = part * 1_000 / whole.max(1);
    format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000)
}

/// Two sides: of those that differ one half is ahead here, one half there.
fn sides(feeds: u64, differ: u64) -> (Vec<Item>, Vec<Item>) {
    let item = |number: u64, seq: u64| {
        let feed = keyed(&[1; 32], &number.to_be_bytes());
        Item { feed: FeedId::from_bytes(feed), seq, head: keyed(&feed, &seq.to_be_bytes()) }
    };
    let ahead = |number: u64, side: u64| u64::from(number < differ && number % 2 == side);
    let side = |side| (0..feeds).map(|n| item(n, 1 + n % 400 + 3 * ahead(n, side))).collect();
    (side(0), side(1))
}

/// Bytes of counters and messages, and messages with those that carry both states.
fn run(ours: &[Item], theirs: &[Item]) -> (usize, usize) {
    let scope = |items: &[Item]| Scope::new(&KEY, items.iter().copied());
    let scopes = [scope(ours), scope(theirs)];
    // Digest and count of both.
    let (mut bytes, mut messages) = (24 + scopes[1].counters().encode().len(), 2);
    if scopes[0].digest() == scopes[1].digest() {
        return (bytes, messages);
    }
    let peer = |side: usize| Peer { count: scopes[1 - side].count(), is_stranger: false };
    let counters = scopes[1].counters();
    let opened = Run::open(&scopes[0], peer(0), Some(&counters)).expect("it opens");
    let responder = Run::respond(&scopes[1], peer(1), true).expect("it responds").0;
    let (mut runs, mut step, mut to) = ([opened.0, responder], opened.1, 1);
    while !step.send.is_empty() {
        let (mut next, mut to_next) = (Step::default(), 0);
        // The first rides with the opener's state.
        messages += 1;
        for frame in &step.send {
            bytes += frame.len();
            next.send.extend(runs[to].receive(&scopes[to], frame).expect("it is sound").send);
            to_next = 1 - to;
        }
        (step, to) = (next, to_next);
    }
    (bytes, messages)
}

/// The same with `negentropy`, whose ids are hashes of feed, seq and head.
fn beside(ours: &[Item], theirs: &[Item]) -> (usize, usize) {
    let stored = |items: &[Item]| {
        let mut storage = NegentropyStorageVector::with_capacity(items.len());
        for item in items {
            let id = keyed(&KEY, &[item.feed.as_bytes().as_slice(), &item.head].concat());
            storage.insert(0, Id::from_byte_array(id)).expect("it takes items");
        }
        storage.seal().expect("it seals");
        storage
    };
    let (ours, theirs) = (stored(ours), stored(theirs));
    let mut client = Negentropy::new(Storage::Borrowed(&ours), 0).expect("it is made");
    let mut server = Negentropy::new(Storage::Borrowed(&theirs), 0).expect("it is made");
    let (mut have, mut need) = (Vec::new(), Vec::new());
    let (mut bytes, mut messages) = (0, 0);
    let mut query = Some(client.initiate().expect("it begins"));
    while let Some(message) = query {
        let answer = server.reconcile(&message).expect("it answers");
        bytes += message.len() + answer.len();
        messages += 2;
        query = client.reconcile_with_ids(&answer, &mut have, &mut need).expect("it reads");
    }
    (bytes, messages)
}
