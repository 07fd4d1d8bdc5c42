//! Goal: how fast entries are made, verified, taken in, carried and indexed, as ratios to what the
//! disk, the hash and the signatures allow in the same run. Method: production nodes over a real
//! file; each figure is the best of a few runs, its limit is measured between them, and one line a
//! figure is printed for the table of `.ci/bench`.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark reads the clock and writes files; the engine does not"
)]
#![expect(clippy::print_stdout, reason = "the table goes to standard output")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "figures are for people, and none is near 2^52"
)]

mod strangers;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use redb::{Database, TableDefinition};
use tempfile::TempDir;
use thistle_engine::account::{AccountKey, Phrase};
use thistle_engine::content::{Carry, Content, Post};
use thistle_engine::entry::{ChainHasher, EntryId, Header, Stub};
use thistle_engine::key::{Context, FeedId, SECTOR_BYTES, Sectors, Seed, Verifier};
use thistle_engine::limits::PAYLOAD_BYTES;
use thistle_engine::policy::CarryClass;
use thistle_engine::seal::{Chain, Message, Place, pad};
use thistle_engine::segment::UnverifiedSegment;
use thistle_engine::time::Now;
use thistle_engine::{
    BundleRequest, Event, FileBackend, InMemoryBackend, Input, LockedDisk, Node, Output, Setup,
    StorageBackend,
};

/// Feeds, entries of each, and bytes of a payload.
const FEEDS: u8 = 100;
const ENTRIES: u64 = 1_000;
const PAYLOAD: usize = 300;
/// How often each figure is taken; the best counts.
const RUNS: usize = 3;
/// Payloads of the bundle of large ones.
const BULK: u64 = 2_000;
const CACHE: usize = 32 << 20;
const NOW: Now = Now { tick: 0, wall: 1_772_438_400_000, boot_id: 1 };

fn main() {
    let dir = TempDir::new().expect("a folder for the files");
    println!("figure\tmeasured\tlimit\tratio\tgoal");
    let total = f64::from(FEEDS) * ENTRIES as f64;
    if is_wanted("append") {
        append(dir.path());
    }
    if is_wanted("ingest") {
        let bundle = hub(dir.path());
        let segments = segments(&bundle);
        let raw = verification(&segments, total);
        ingest(dir.path(), &bundle, &segments, total, raw);
    }
    if is_wanted("bundles") {
        bundles(dir.path(), "bundle", &hub(dir.path()), None);
        let (author, bundle) = bulk();
        bundles(dir.path(), "bundle of 16 KiB payloads", &bundle, Some(author));
    }
    if is_wanted("sealing") {
        sealing();
    }
    if is_wanted("locked") {
        locked(dir.path(), &hub(dir.path()), total);
    }
    if is_wanted("flood") {
        flood(dir.path());
    }
}

/// Messages that are sealed and opened.
const SEALED: u64 = 50_000;

/// Sealing and opening of messages of about 100 bytes, against the cipher alone on as many bytes.
fn sealing() {
    let text = "come by the mill before the rain sets in, and bring the long ladder if it is yours";
    let message = |index: u64| {
        let prev = EntryId::from_bytes([2; 32]);
        let place = Place { feed: FeedId::from_bytes([1; 32]), seq: index + 2, prev };
        Message { place, ttl: 0, epoch: 1, index }
    };
    let first = Chain::at(Seed::new([7; 32]), 0);
    let seal = |chain: &mut Chain| {
        let message = message(chain.index());
        let tag = chain.tag();
        (tag, message.seal(&chain.take(), text.as_bytes()))
    };
    let mut chain = first.clone();
    let sealed: Vec<_> = (0..SEALED).map(|_| seal(&mut chain)).collect();
    let sealing = best(
        || first.clone(),
        |mut chain| {
            for _ in 0..SEALED {
                std::hint::black_box(seal(&mut chain));
            }
        },
    );
    let opening = best(
        || first.clone(),
        |mut chain| {
            for (tag, text) in &sealed {
                assert_eq!(chain.tag(), *tag);
                let message = message(chain.index());
                assert!(message.open(&chain.take(), text).is_some());
            }
        },
    );
    let padded = pad(text.as_bytes());
    let cipher = best(
        || (),
        |()| {
            for at in 0..SEALED {
                let mut key = [7; 32];
                key[..8].copy_from_slice(&at.to_be_bytes());
                std::hint::black_box(thistle_engine::key::seal(&key, &[0; 120], &padded));
            }
        },
    );
    let alone = rate(SEALED as f64, cipher);
    let asked = ("asked for", 50_000.0);
    for (figure, took) in [("messages sealed", sealing), ("messages opened", opening)] {
        let reached = rate(SEALED as f64, took);
        line(figure, reached, asked, "/s", "1.00");
        line(figure, reached, ("the cipher alone", alone), "/s", "");
    }
}

/// Whether a part was named on the command line, or none was.
fn is_wanted(part: &str) -> bool {
    let mut named = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).peekable();
    named.peek().is_none() || named.any(|name| name == part)
}

/// One line of the table: what was reached, what is possible, and what part of it is asked for.
fn line(figure: &str, measured: f64, limit: (&str, f64), unit: &str, goal: &str) {
    let ratio = measured / limit.1;
    println!(
        "{figure}\t{measured:.0} {unit}\t{:.0} {unit} ({})\t{ratio:.2}\t{goal}",
        limit.1, limit.0
    );
}

/// The shortest of a few runs, each with preparations that do not count.
fn best<T>(mut prepare: impl FnMut() -> T, mut run: impl FnMut(T)) -> Duration {
    let took = |_| {
        let prepared = prepare();
        let start = Instant::now();
        run(prepared);
        start.elapsed()
    };
    (0..RUNS).map(took).min().unwrap_or_default()
}

fn rate(count: f64, took: Duration) -> f64 {
    count / took.as_secs_f64()
}

fn disk(path: &Path) -> FileBackend {
    if let Err(error) = fs::remove_file(path) {
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
    }
    let file = File::options().read(true).write(true).create_new(true).open(path);
    FileBackend::new(file.expect("a file for a store")).expect("nobody else holds it")
}

fn node(disk: impl StorageBackend, number: u8) -> Node {
    let account = AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new([number; 32])));
    let setup = Setup { carry: Carry::Open, name: None, cache_bytes: CACHE };
    Node::create(disk, &account, setup, Seed::new([number; 32]), NOW).expect("a node")
}

/// Posts whose payloads are exactly so long, each with words of its own.
fn posts(author: u64, count: u64, bytes: usize) -> Vec<(Content, u32)> {
    let post = |number: u64| {
        let mut text = format!("{author} {number} ");
        let fixed = Content::Post(Post { time: 1_772_438_400 + number, ..Post::default() });
        // The text's own length takes two bytes more than an empty one's.
        let room = bytes - fixed.encode().len() - 2;
        while text.len() < room {
            let word = WORDS[(number as usize * 7 + text.len() * 13) % WORDS.len()];
            text.push_str(word);
        }
        text.truncate(room);
        let time = 1_772_438_400 + number;
        (Content::Post(Post { time, text, ..Post::default() }), 0)
    };
    (0..count).map(post).collect()
}

const WORDS: [&str; 12] = [
    "water ", "bridge ", "mill ", "the ", "of ", "market ", "north ", "radio ", "open ", "road ",
    "tonight ", "and ",
];

/// The bundle of a carrier that holds the feeds of all authors.
fn hub(dir: &Path) -> Vec<u8> {
    let mut hub = node(disk(&dir.join("hub")), 250);
    for author in 0..FEEDS {
        let device = author_of(author, &posts(u64::from(author), ENTRIES - 1, PAYLOAD));
        read(&mut hub, &bundle_of(&device));
    }
    bundle_of(&hub)
}

/// The bundle of one author whose payloads are as large as they may be.
fn bulk() -> (FeedId, Vec<u8>) {
    let most = usize::try_from(PAYLOAD_BYTES).expect("a payload fits memory");
    let author = author_of(0, &posts(0, BULK, most));
    (author.me().expect("a feed").feed, bundle_of(&author))
}

fn author_of(number: u8, posts: &[(Content, u32)]) -> Node {
    let account = AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new([number; 32])));
    let setup = Setup { carry: Carry::Open, name: None, cache_bytes: CACHE };
    let device =
        Node::create(InMemoryBackend::new(), &account, setup, Seed::new([number; 32]), NOW);
    let mut device = device.expect("an author");
    let written = device.write_many(NOW, posts, None).expect("posts");
    assert_eq!(written.len(), posts.len());
    device
}

fn bundle_of(node: &Node) -> Vec<u8> {
    let mut source = node.reader().and_then(|reader| reader.bundle(&BundleRequest::default()));
    let source = source.as_mut().expect("a bundle");
    let mut bytes = Vec::new();
    while let Some(chunk) = source.poll().expect("the next bytes") {
        bytes.extend(chunk);
    }
    bytes
}

/// Has a node read a bundle and tells how many entries were new.
fn read(node: &mut Node, bytes: &[u8]) -> u64 {
    node.handle(NOW, Input::BundleOpened { bundle: 1, via: "bench" }).expect("opened");
    for bytes in bytes.chunks(256 << 10) {
        node.handle(NOW, Input::BundleChunk { bundle: 1, bytes }).expect("read");
    }
    node.handle(NOW, Input::BundleEnded { bundle: 1 }).expect("ended");
    let mut new = 0;
    while let Some(Output::Event(event)) = node.poll() {
        if let Event::BundleDone { report, .. } = event {
            assert_eq!((report.refused, report.left_out), (0, 0), "all of it is right");
            new = report.entries_new;
        }
    }
    new
}

/// The segments that stand in a bundle.
fn segments(bundle: &[u8]) -> Vec<&[u8]> {
    use thistle_engine::bundle::{FileReader, Frame, Read};
    let mut reader = FileReader::new();
    reader.push(bundle);
    let mut spans = Vec::new();
    while let Some(found) = reader.poll() {
        if let Read::Frame(Frame::Segment(bytes)) = found.read {
            let offset = usize::try_from(found.offset).expect("a file that fits memory");
            spans.push((offset, bytes.len()));
        }
    }
    // The frame's own length stands before it.
    let span = |&(offset, len): &(usize, usize)| {
        let starts = (offset..offset + 6).find(|start| {
            let bytes = bundle.get(*start..*start + len);
            bytes.is_some_and(|bytes| UnverifiedSegment::decode(bytes).is_ok())
        });
        let start = starts.expect("a segment stands where its frame does");
        &bundle[start..start + len]
    };
    spans.iter().map(span).collect()
}

/// Own entries, one durable commit each, against one sync of a file each.
fn append(dir: &Path) {
    let count = 200;
    let posts = posts(1, count, PAYLOAD);
    let mut own = node(disk(&dir.join("append")), 251);
    let took = best(
        || (),
        |()| {
            for (post, ttl) in &posts {
                own.write(NOW, post, *ttl).expect("written");
            }
        },
    );
    let mut file = File::create(dir.join("sync")).expect("a file");
    let limit = best(
        || (),
        |()| {
            for _ in 0..count {
                file.write_all(&[7; PAYLOAD]).and_then(|()| file.sync_data()).expect("synced");
            }
        },
    );
    let (took, limit) = (rate(count as f64, took), rate(count as f64, limit));
    line("append, each durable", took, ("write and sync", limit), "entries/s", "0.2");
}

/// Decoding and verifying segments, against the bare hashes and signature checks of the same bytes.
fn verification(segments: &[&[u8]], total: f64) -> f64 {
    let took = best(ChainHasher::default, |mut hasher| {
        for bytes in segments {
            let segment = UnverifiedSegment::decode(bytes).expect("decodes");
            let segment = segment.verify(&mut hasher).expect("verifies");
            std::hint::black_box(segment.entries.len());
        }
    });
    let plain = plain(segments);
    let limit = best(ChainHasher::default, |mut hasher| {
        for segment in &plain {
            for (payload, header) in &segment.entries {
                std::hint::black_box(hasher.payload(payload));
                std::hint::black_box(hasher.id(header));
            }
            let verifier = Verifier::of_feed(&segment.feed).expect("a key");
            verifier.check(Context::Entry, &segment.id, &segment.signature).expect("a signature");
        }
    });
    let (took, limit) = (rate(total, took), rate(total, limit));
    line("segment verification", took, ("hash and signature", limit), "entries/s", "0.8");
    limit
}

/// What has to be hashed and checked of a segment, ready in memory.
struct Plain {
    feed: FeedId,
    entries: Vec<(Vec<u8>, Header)>,
    id: [u8; 32],
    signature: [u8; 64],
}

fn plain(segments: &[&[u8]]) -> Vec<Plain> {
    let mut hasher = ChainHasher::default();
    let plain = |bytes: &&[u8]| {
        let segment = UnverifiedSegment::decode(bytes).expect("decodes");
        let segment = segment.verify(&mut hasher).expect("verifies");
        let mut prev = segment.prev;
        let mut entries = Vec::new();
        for (seq, entry) in (segment.first_seq..).zip(&segment.entries) {
            let payload = entry.payload.expect("inline").to_vec();
            let stub = Stub { ..entry.stub };
            entries.push((payload, Header::new(segment.feed, seq, prev, stub)));
            prev = Some(entry.id);
        }
        let id = prev.map_or([0; 32], |id| *id.as_bytes());
        Plain { feed: segment.feed, entries, id, signature: segment.signature }
    };
    segments.iter().map(plain).collect()
}

/// Taking in the bundle of a carrier, against the slower of hashing it and of writing the same
/// records in the same batches with the bare store; then the indexes caught up.
fn ingest(dir: &Path, bundle: &[u8], segments: &[&[u8]], total: f64, hashing: f64) {
    let path = dir.join("ingest");
    let fresh = || node(disk(&path), 252);
    let took = best(fresh, |mut node| {
        assert!(read(&mut node, bundle) as f64 >= total, "everything is new");
        std::mem::forget(node);
    });
    let records = records(segments);
    let limit = best(
        || Database::builder().set_cache_size(CACHE).create_with_backend(disk(&dir.join("bare"))),
        |db| {
            let db = db.expect("a bare store");
            // A record holds 52 such entries; a batch is 4,000 of them.
            for batch in records.chunks(4_000 / 52) {
                let txn = db.begin_write().expect("a step");
                let mut table = txn.open_table(RECORDS).expect("a table");
                for (number, record) in batch {
                    table.insert((0, *number), record.as_slice()).expect("a row");
                }
                drop(table);
                txn.commit().expect("durable");
            }
            std::mem::forget(db);
        },
    );
    let (took, limit) = (rate(total, took), rate(total, limit));
    let slower = if limit < hashing { ("bare store", limit) } else { ("hash", hashing) };
    line("ingest, batches of 4,000", took, slower, "entries/s", "0.5");
    let indexed = best(fresh, |mut node| {
        read(&mut node, bundle);
        while !is_idle(&mut node) {}
        std::mem::forget(node);
    });
    let indexed = rate(total, indexed);
    line("ingest with indexes", indexed, ("goal", 100_000.0), "entries/s", "1.0");
}

/// The same bundle into a plain store and into an encrypted one, and the cipher alone.
fn locked(dir: &Path, bundle: &[u8], total: f64) {
    let (path, key) = (dir.join("locked"), Seed::new([7; 32]));
    let taking = |mut node: Node| {
        assert!(read(&mut node, bundle) as f64 >= total, "everything is new");
        while !is_idle(&mut node) {}
        std::mem::forget(node);
    };
    let plain = best(|| node(disk(&path), 250), taking);
    let sealed = best(|| node(LockedDisk::new(disk(&path), &key), 250), taking);
    let (plain, sealed) = (rate(total, plain), rate(total, sealed));
    line("ingest into a locked store", sealed, ("plain store", plain), "entries/s", "0.36");
    let (sectors, mut bytes) = (Sectors::new(&key), vec![0; 64 << 20]);
    let copied = best(
        || vec![0_u8; 64 << 20],
        |mut to| {
            to.copy_from_slice(&bytes);
            std::hint::black_box(&to);
        },
    );
    let encrypted = best(
        || (),
        |()| {
            for (number, sector) in (0..).zip(bytes.chunks_mut(SECTOR_BYTES)) {
                sectors.encrypt(number, sector);
            }
        },
    );
    let (encrypted, copied) = (rate(64.0, encrypted), rate(64.0, copied));
    line("encryption of sectors", encrypted, ("copy", copied), "MiB/s", "-");
}

fn is_idle(node: &mut Node) -> bool {
    node.handle(NOW, Input::Idle).expect("a step");
    let mut more = false;
    while let Some(Output::Event(event)) = node.poll() {
        more |= event == Event::Idle { more: true };
    }
    !more
}

const RECORDS: TableDefinition<'_, (u32, u64), &[u8]> = TableDefinition::new("records");

/// The bytes of segments cut into rows as large as the store's.
fn records(segments: &[&[u8]]) -> Vec<(u64, Vec<u8>)> {
    let bytes = segments.concat();
    (0..).zip(bytes.chunks(52 * (PAYLOAD + 4)).map(<[u8]>::to_vec)).collect()
}

/// Writing and reading a bundle's file, against copying it with one sync and hashing it.
fn bundles(dir: &Path, what: &str, bundle: &[u8], followed: Option<FeedId>) {
    let megabytes = bundle.len() as f64 / 1e6;
    let fresh = |name: &str, number| {
        let mut node = node(disk(&dir.join(name)), number);
        if let Some(feed) = &followed {
            node.follow(NOW, feed).expect("followed");
        }
        node
    };
    let mut hub = fresh("hub 2", 253);
    read(&mut hub, bundle);
    let (made, copied) = (dir.join("made"), dir.join("copied"));
    let written = best(
        || (),
        |()| {
            let mut file = File::create(&made).expect("a file");
            let reader = hub.reader().expect("a reader");
            let mut source = reader.bundle(&BundleRequest::default()).expect("a bundle");
            while let Some(chunk) = source.poll().expect("the next bytes") {
                file.write_all(&chunk).expect("room");
            }
            file.sync_all().expect("synced");
        },
    );
    let limit = best(
        || (),
        |()| {
            let mut file = File::create(&copied).expect("a file");
            let mut from = File::open(&made).expect("the bundle");
            let mut hasher = blake3::Hasher::new();
            let mut buffer = vec![0; 256 << 10];
            loop {
                let count = from.read(&mut buffer).expect("readable");
                if count == 0 {
                    break;
                }
                hasher.update(&buffer[..count]);
                file.write_all(&buffer[..count]).expect("room");
            }
            std::hint::black_box(hasher.finalize());
            file.sync_all().expect("synced");
        },
    );
    let limit = rate(megabytes, limit);
    line(
        &format!("{what} write"),
        rate(megabytes, written),
        ("copy, sync, hash", limit),
        "MB/s",
        "0.5 or 300 MB/s",
    );
    let taken = best(
        || fresh("reader", 254),
        |mut node| {
            let bytes = fs::read(&made).expect("the bundle");
            read(&mut node, &bytes);
            std::mem::forget(node);
        },
    );
    line(
        &format!("{what} read"),
        rate(megabytes, taken),
        ("copy, sync, hash", limit),
        "MB/s",
        "0.5 or 300 MB/s",
    );
}

/// Feeds that one carrier brings in a flood.
const FLOOD: u32 = 100_000;

/// A flood of fresh feeds from one carrier into a store that has no room for them, against the same
/// into one that has.
fn flood(dir: &Path) {
    let bundle = strangers::bundle(0..FLOOD);
    let took = |name: &str, quota: u64| {
        let path = dir.join(name);
        let fresh = || {
            let mut node = node(disk(&path), 240);
            node.set_quota(NOW, CarryClass::Stranger, quota).expect("a quota");
            node
        };
        best(fresh, |mut node| {
            node.handle(NOW, Input::BundleOpened { bundle: 1, via: "flood" }).expect("opened");
            for bytes in bundle.chunks(256 << 10) {
                node.handle(NOW, Input::BundleChunk { bundle: 1, bytes }).expect("read");
                while node.poll().is_some() {}
            }
            node.handle(NOW, Input::BundleEnded { bundle: 1 }).expect("ended");
            std::mem::forget(node);
        })
    };
    let clean = rate(f64::from(FLOOD), took("clean", 1 << 40));
    let flooded = rate(f64::from(FLOOD), took("flooded", 8 << 20));
    line("flood of fresh feeds", flooded, ("with room", clean), "feeds/s", "0.33");
}
