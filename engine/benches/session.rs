//! Goal: what a session costs beside what it moves, and how fast it moves it. Method: two nodes and
//! a link in memory; the receiver on a disk in memory and on a real file, every entry durable when
//! the session is over, against the same segments read from a bundle into the same sort of disk in
//! the same run. CPU time is that of this thread.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark reads the clock and writes files; the engine does not"
)]
#![expect(clippy::print_stdout, reason = "the table goes to standard output")]
#![expect(clippy::cast_precision_loss, reason = "figures are for people, and none is near 2^52")]

mod strangers;

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use strangers::Stranger;
use tempfile::TempDir;
use thistle_engine::account::{AccountKey, Phrase};
use thistle_engine::content::Carry;
use thistle_engine::key::Seed;
use thistle_engine::session::{Frames, Sentence};
use thistle_engine::time::Now;
use thistle_engine::{
    Event, FileBackend, InMemoryBackend, Input, Node, Output, SessionEnding, SessionReport, Setup,
    StorageBackend,
};

/// Feeds, entries of each, and the text that makes a payload of 300 bytes.
const FEEDS: u32 = 100;
const ENTRIES: u64 = 1_000;
const TEXT: usize = 292;
/// How often each figure is taken; the best counts.
const RUNS: u8 = 3;
const CACHE: usize = 32 << 20;
const LINK: u64 = 1;

fn main() {
    println!("figure\tmeasured\tlimit\tratio\tgoal");
    let part = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let wants = |name: &str| part.as_deref().is_none_or(|part| part == name);
    if wants("idle") {
        idle_sessions(10_000);
    }
    if wants("moving") {
        moving();
    }
}

/// A fresh node is given everything.
fn moving() {
    let dir = TempDir::new().expect("a folder for the files");
    let bundle = feeds();
    let mut giver = node(InMemoryBackend::new(), 1);
    let total = read(&mut giver, &bundle);
    assert_eq!(total, u64::from(FEEDS) * ENTRIES);
    let (began, mut out, mut first) = (Instant::now(), 0, Duration::MAX);
    for (name, path) in [("in memory", None), ("to a file", Some(dir.path().join("store")))] {
        let (mut moved, mut taken) = (Duration::MAX, Duration::MAX);
        for run in 0..RUNS {
            // A disk in memory costs nothing but CPU time, and that nobody else can take away.
            let clock = || if path.is_some() { began.elapsed() } else { cpu() };
            let mut fresh = receiver(path.as_deref());
            let start = clock();
            assert_eq!(read(&mut fresh, &bundle), total);
            taken = taken.min(clock().saturating_sub(start));
            let mut fresh = receiver(path.as_deref());
            let start = clock();
            let met = meet(&mut giver, &mut fresh, (run + 10 * u8::from(path.is_some()), run));
            moved = moved.min(clock().saturating_sub(start));
            // The receiver's own certificate goes the other way.
            assert_eq!((met[0].sent, met[1].received), (total + 1, total + 1));
            assert_eq!(met[1].duplicates, 0);
            out = met[0].bytes_out + met[1].bytes_out;
            first = first.min(first_entry(&mut giver, receiver(path.as_deref())));
        }
        let rate = |took: Duration| total as f64 / took.as_secs_f64();
        let (moved, taken) = (rate(moved), rate(taken));
        let ratio = moved / taken;
        println!(
            "session, {name}\t{moved:.0} entries/s\t{taken:.0} entries/s (bundle)\t{ratio:.2}\t0.5"
        );
    }
    let content = total * 300;
    let beyond = out.saturating_sub(content) as f64 / total as f64;
    println!(
        "session bytes beyond content\t{beyond:.2} B an entry\t8 B\t{:.2}\tat most 1",
        beyond / 8.0
    );
    println!("time to first entry\t{} us\t\t\t", first.as_micros());
}

fn node(disk: impl StorageBackend, number: u8) -> Node {
    let account = AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new([number; 32])));
    let setup = Setup { carry: Carry::Open, name: None, cache_bytes: CACHE };
    Node::create(disk, &account, setup, Seed::new([number; 32]), now(0)).expect("a node")
}

fn receiver(path: Option<&Path>) -> Node {
    let Some(path) = path else { return node(InMemoryBackend::new(), 2) };
    if let Err(error) = fs::remove_file(path) {
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
    }
    let file = File::options().read(true).write(true).create_new(true).open(path);
    node(FileBackend::new(file.expect("a file for a store")).expect("nobody else holds it"), 2)
}

fn now(tick: u64) -> Now {
    Now { tick, wall: 1_772_438_400_000, boot_id: 1 }
}

/// The bundle of all feeds.
fn feeds() -> Vec<u8> {
    let account = strangers::account();
    let feed = |number| Stranger::whole(number, &account, ENTRIES, TEXT);
    strangers::bundled((0..FEEDS).flat_map(feed))
}

/// Has a node read a bundle and tells how many entries were new.
fn read(node: &mut Node, bytes: &[u8]) -> u64 {
    node.handle(now(0), Input::BundleOpened { bundle: 1, via: "bench" }).expect("opened");
    for bytes in bytes.chunks(256 << 10) {
        node.handle(now(0), Input::BundleChunk { bundle: 1, bytes }).expect("read");
    }
    node.handle(now(0), Input::BundleEnded { bundle: 1 }).expect("ended");
    let mut new = 0;
    while let Some(output) = node.poll() {
        if let Output::Event(Event::BundleDone { report, .. }) = output {
            assert_eq!((report.refused, report.left_out), (0, 0), "all of it is right");
            new = report.entries_new;
        }
    }
    new
}

/// Opens a link between two nodes, the first of which dials; `which` makes them new to each other.
fn open(nodes: &mut [&mut Node; 2], which: (u8, u8)) {
    for (side, node) in nodes.iter_mut().enumerate() {
        let (peer, binding) = ([which.0; 32], &[which.1; 32]);
        let (opener, known, via) = (side == 0, true, "bench");
        let input = Input::LinkOpened { link: LINK, opener, peer, binding, known, via };
        node.handle(now(0), input).expect("opened");
    }
}

/// Carries what one node says to the other; false if it had nothing to say.
fn carry(
    nodes: &mut [&mut Node; 2],
    from: usize,
    reports: &mut [Option<SessionReport>; 2],
) -> bool {
    let mut spoke = false;
    while let Some(output) = nodes[from].poll() {
        match output {
            Output::Send { bytes, .. } => {
                for bytes in bytes.chunks(1 << 16) {
                    let input = Input::LinkBytes { link: LINK, bytes };
                    nodes[1 - from].handle(now(0), input).expect("taken");
                }
                nodes[from].handle(now(0), Input::LinkReady { link: LINK }).expect("taken");
            }
            Output::Close { .. } => {
                nodes[1 - from].handle(now(0), Input::LinkClosed { link: LINK }).expect("closed");
            }
            Output::Event(Event::SessionDone { report, .. }) => reports[from] = Some(report),
            Output::Event(_) => continue,
        }
        spoke = true;
    }
    spoke
}

/// A whole session.
fn meet(dialler: &mut Node, other: &mut Node, which: (u8, u8)) -> [SessionReport; 2] {
    let (mut nodes, mut reports) = ([dialler, other], [None; 2]);
    open(&mut nodes, which);
    let mut tick = 0;
    loop {
        let spoke = carry(&mut nodes, 0, &mut reports) | carry(&mut nodes, 1, &mut reports);
        if let [Some(dialler), Some(other)] = reports {
            assert_eq!((dialler.ending, other.ending), (SessionEnding::Done, SessionEnding::Done));
            return [dialler, other];
        }
        if !spoke {
            // Time enough to make durable what waits.
            tick += 50;
            assert!(tick < 10_000, "the session never ends");
            for node in &mut nodes {
                node.handle(now(tick), Input::Idle).expect("idle");
            }
        }
    }
}

/// How long it takes from the opening of the link until an entry is on its way and verified.
fn first_entry(giver: &mut Node, mut fresh: Node) -> Duration {
    let start = Instant::now();
    let mut nodes = [&mut *giver, &mut fresh];
    open(&mut nodes, (200, 200));
    let mut frames = Frames::default();
    'until: for turn in 0.. {
        let from = turn % 2;
        while let Some(output) = nodes[from].poll() {
            let Output::Send { bytes, .. } = output else { continue };
            if from == 0 {
                frames.push(&bytes);
                while let Some(frame) = frames.poll().expect("frames") {
                    if matches!(Sentence::decode(frame), Ok(sentence) if sentence.kind() == 1) {
                        break 'until;
                    }
                }
            }
            for bytes in bytes.chunks(1 << 16) {
                let input = Input::LinkBytes { link: LINK, bytes };
                nodes[1 - from].handle(now(0), input).expect("taken");
            }
            nodes[from].handle(now(0), Input::LinkReady { link: LINK }).expect("taken");
        }
    }
    let took = start.elapsed();
    for node in nodes {
        node.handle(now(0), Input::LinkClosed { link: LINK }).expect("closed");
        while node.poll().is_some() {}
    }
    took
}

/// Sessions in which nothing is to be moved between two nodes with many feeds.
fn idle_sessions(feeds: u32) {
    let bundle = strangers::bundle(0..feeds);
    let mut nodes = [node(InMemoryBackend::new(), 1), node(InMemoryBackend::new(), 2)];
    for node in &mut nodes {
        read(node, &bundle);
    }
    let [one, other] = &mut nodes;
    meet(one, other, (1, 1));
    meet(one, other, (1, 2));
    let (count, start) = (50, cpu());
    for binding in 0..count {
        let met = meet(one, other, (1, binding));
        assert_eq!(met[0].sent + met[1].sent, 0);
    }
    let took = cpu().saturating_sub(start).as_secs_f64() * 1e3 / f64::from(count);
    println!(
        "CPU of a session, nothing of {feeds} feeds new\t{took:.2} ms\t10 ms\t{:.2}\tat most 1",
        took / 10.0
    );
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("this runs on Linux");
    let nanos = stat.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanos.expect("the first word is a number"))
}
