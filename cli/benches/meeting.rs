//! Goal: what meetings of the real program over QUIC cost: how fast entries move, against a bare
//! QUIC stream of as many bytes and against reading the same segments from a bundle, both in the
//! same run; bytes beyond content; memory of both sides when a million moves; memory of a
//! connection that does nothing, of which a thousand are held while others are served.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "figures are for people, and none is near 2^52"
)]
#![expect(clippy::print_stdout, reason = "the table goes to standard output")]

#[path = "../../engine/benches/strangers.rs"]
mod strangers;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use strangers::Stranger;
use tempfile::TempDir;
use thistle_engine::account::{AccountKey, Phrase};
use thistle_engine::content::Carry;
use thistle_engine::ids::Id;
use thistle_engine::key::Seed;
use thistle_engine::limits::RECOGNITION_TAGS;
use thistle_engine::session::{Greeting, Sentence, VERSION};
use thistle_engine::time::Now;
use thistle_engine::{Event, FileBackend, Input, Node, Output, Setup};
use thistle_transports::{Link, Place, Quic, QuicLink, Transport, key_of};
use tokio::runtime::Runtime;

/// Feeds, and the text that makes a payload of 300 bytes.
const FEEDS: u32 = 100;
const TEXT: usize = 292;
const PAYLOAD: f64 = 300.0;
/// How often a figure is taken; the best counts.
const RUNS: usize = 3;
/// Connections that do nothing.
const IDLE: usize = 1_000;
/// Bytes handed to a bare stream at once.
const STREAMED: usize = 64 * 1024;
/// What both sides of a link speak.
const PROTOCOL: &[u8] = b"thistledown/1";
const NOW: Now = Now { tick: 0, wall: 1_772_438_400_000, boot_id: 1 };

fn main() {
    let part = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let wants = |name: &str| part.as_deref().is_none_or(|part| part == name);
    let count = std::env::var("THISTLE_BENCH_ENTRIES").ok().and_then(|count| count.parse().ok());
    println!("figure\tmeasured\tlimit\tratio\tgoal");
    let dir = TempDir::new().expect("a folder");
    if wants("moving") {
        moving(dir.path());
    }
    if wants("million") {
        million(dir.path(), count.unwrap_or(1_000_000));
    }
    if wants("idle") {
        idle(dir.path());
    }
}

/// One line: what was measured and what it may be at most.
fn below(figure: &str, measured: f64, limit: f64) {
    let kept = if measured <= limit { "kept" } else { "over" };
    println!("{figure}\t{measured:.2}\t{limit:.2}\t{:.2}\t{kept}", measured / limit);
}

/// Two fresh nodes, a hundred feeds of a thousand entries.
fn moving(dir: &Path) {
    let total = u64::from(FEEDS) * 1_000;
    let giver = Home::fresh(dir.join("giver"));
    let bundle = giver.fill(dir, total);
    let (mut best, mut met) = (0.0, Value::Null);
    for run in 0..RUNS {
        let fresh = Home::fresh(dir.join(format!("fresh {run}")));
        let listener = fresh.listen(&giver.address());
        let told = giver.sync(&listener.address);
        assert!(number(&told, "sent") >= total as f64, "{told}");
        let rate = number(&told, "sent") / number(&told, "seconds");
        if rate > best {
            (best, met) = (rate, told);
        }
    }
    let (out, back) = (number(&met, "bytes_out"), number(&met, "bytes_in"));
    let entries = number(&met, "sent") + number(&met, "received");
    let datagrams = number(&met, "datagram_bytes_out") + number(&met, "datagram_bytes_in");
    let stream = entries / stream_of(out as usize).as_secs_f64();
    let durable = total as f64 / durable(dir, &bundle).as_secs_f64();
    for (name, limit) in [("a QUIC stream of as much", stream), ("reading a bundle", durable)] {
        let ratio = best / limit;
        println!(
            "meeting over QUIC\t{best:.0} entries/s\t{limit:.0} entries/s ({name})\t{ratio:.2}\t0.5 of the slower"
        );
    }
    println!("meeting over QUIC\t{best:.0} entries/s\t300000 entries/s\t{:.2}\tgoal", best / 3e5);
    below("session bytes beyond content, an entry", (out + back) / entries - PAYLOAD, 8.0);
    below("datagram bytes beyond content, an entry", datagrams / entries - PAYLOAD, 20.0);
}

/// What both sides need when a million entries go to a fresh node.
fn million(dir: &Path, count: u64) {
    let giver = Home::fresh(dir.join("rich"));
    drop(giver.fill(dir, count));
    let fresh = Home::fresh(dir.join("poor"));
    let listener = fresh.listen(&giver.address());
    let child = giver.start(&["sync", &listener.address, "--json"]);
    let id = child.id();
    let peak = std::thread::spawn(move || peak(id));
    let told = child.wait_with_output().expect("the program ends");
    let told: Value = serde_json::from_slice(&told.stdout).expect("a summary");
    assert!(number(&told, "sent") >= count as f64, "{told}");
    below("memory of who gives a million, MB", peak.join().expect("watched"), 200.0);
    below("memory of who takes a million, MB", memory(listener.child.id(), "VmHWM:"), 200.0);
}

/// A thousand connections that greeted and say no more, and a meeting beside them.
fn idle(dir: &Path) {
    let (host, guest) = (Home::fresh(dir.join("host")), Home::fresh(dir.join("guest")));
    let feeds = dir.join("feeds.bundle");
    fs::write(&feeds, strangers::bundle(0..1_000)).expect("room");
    host.run(&["bundle", "read", feeds.to_str().expect("a plain path")]);
    let listener = host.listen(&guest.address());
    drop(guest.sync(&listener.address));
    let id = listener.child.id();
    let before = memory(id, "VmRSS:");
    let runtime = Runtime::new().expect("a runtime");
    let crowd = runtime.block_on(crowd(&listener.address));
    let each = (memory(id, "VmRSS:") - before) * 1_000.0 / IDLE as f64;
    guest.run(&["write", "there is water at the mill"]);
    let start = Instant::now();
    let told = guest.sync(&listener.address);
    let took = start.elapsed().as_secs_f64();
    assert!(number(&told, "sent") >= 1.0, "the node serves others meanwhile: {told}");
    let held = runtime.block_on(async {
        let mut held = 0;
        for link in crowd.iter().flat_map(|(_, links)| links) {
            let heard = tokio::time::timeout(Duration::from_millis(1), link.receive()).await;
            held += usize::from(matches!(heard, Err(_) | Ok(Ok(Some(_)))));
        }
        held
    });
    println!(
        "connections that do nothing, held\t{held}\t{IDLE}\t{:.2}\t1",
        held as f64 / IDLE as f64
    );
    println!("memory of a connection that does nothing\t{each:.1} kB\t\t\t");
    println!("a meeting beside them\t{took:.2} s\t\t\t");
}

/// Opens links that greet, hear the greeting, and say nothing more.
async fn crowd(address: &str) -> Vec<(Quic, Vec<QuicLink>)> {
    let (place, tags) = (place(address), [7; 8 * RECOGNITION_TAGS as usize]);
    let (first, last) = (VERSION, VERSION);
    let greeting = Sentence::Greeting(Greeting { first, last, features: 0, tags: &tags }).encode();
    let mut crowd = Vec::new();
    for number in 0..10 {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let quic = Quic::bind(&[number + 1; 32], any, PROTOCOL).await.expect("a socket");
        let mut links = Vec::new();
        for _ in 0..IDLE / 10 {
            let link = quic.open(&place).await.expect("a link");
            link.send(greeting.clone()).await.expect("sent");
            assert!(link.receive().await.expect("an answer").is_some());
            links.push(link);
        }
        crowd.push((quic, links));
    }
    crowd
}

fn place(address: &str) -> Place {
    let (key, at) = address.split_once('@').expect("an address");
    let Ok(Id::Node(key)) = Id::parse(key) else { panic!("{key} is no node") };
    Place { key, at: at.parse().expect("an IP address with a port") }
}

/// How long a bare QUIC stream of so many bytes takes.
fn stream_of(bytes: usize) -> Duration {
    let runtime = Runtime::new().expect("a runtime");
    let run = || {
        runtime.block_on(async {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let taker = Quic::bind(&[1; 32], any, PROTOCOL).await.expect("a socket");
            let giver = Quic::bind(&[2; 32], any, PROTOCOL).await.expect("a socket");
            let at = taker.addresses()[0];
            let start = Instant::now();
            let taking = tokio::spawn(async move {
                let link = taker.accept().await.expect("somebody");
                link.trust();
                let mut taken = 0;
                while let Ok(Some(piece)) = link.receive().await {
                    taken += piece.len();
                }
                taken
            });
            let link = giver.open(&Place { key: key_of(&[1; 32]), at }).await.expect("a link");
            for _ in 0..bytes / STREAMED {
                link.send(vec![7; STREAMED]).await.expect("sent");
            }
            drop(link.close().await);
            let took = start.elapsed();
            drop(link);
            assert_eq!(taking.await.expect("taken"), bytes / STREAMED * STREAMED);
            took
        })
    };
    (0..RUNS).map(|_| run()).min().expect("some runs")
}

/// How long it takes to read the same segments from a bundle into a file, every entry durable.
fn durable(dir: &Path, bundle: &[u8]) -> Duration {
    let path = dir.join("durable");
    let run = || {
        drop(fs::remove_file(&path));
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        let disk = FileBackend::new(file.expect("a file")).expect("nobody else holds it");
        let account = AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new([9; 32])));
        let setup = Setup { carry: Carry::Open, name: None, cache_bytes: 32 << 20 };
        let node = Node::create(disk, &account, setup, Seed::new([9; 32]), NOW);
        let mut node = node.expect("a node");
        let start = Instant::now();
        node.handle(NOW, Input::BundleOpened { bundle: 1, via: "bench" }).expect("opened");
        for bytes in bundle.chunks(256 << 10) {
            node.handle(NOW, Input::BundleChunk { bundle: 1, bytes }).expect("read");
        }
        node.handle(NOW, Input::BundleEnded { bundle: 1 }).expect("ended");
        let took = start.elapsed();
        let refused = std::iter::from_fn(|| node.poll()).any(|output| {
            matches!(output, Output::Event(Event::BundleDone { report, .. }) if report.refused > 0)
        });
        assert!(!refused, "all of it is right");
        took
    };
    (0..RUNS).map(|_| run()).min().expect("some runs")
}

/// A home and the program that uses it.
struct Home(PathBuf);

/// A home that listens; it ends with this value.
struct Listener {
    child: Child,
    address: String,
}

impl Home {
    fn fresh(path: PathBuf) -> Self {
        let home = Self(path);
        home.run(&["init", "--name", "Bench"]);
        home.run(&["quota", "stranger", "4G"]);
        home
    }

    /// Reads a bundle of so many entries, which is told.
    fn fill(&self, dir: &Path, total: u64) -> Vec<u8> {
        let account = strangers::account();
        let each = total / u64::from(FEEDS);
        let feed = |number| Stranger::whole(number, &account, each, TEXT);
        let bundle = strangers::bundled((0..FEEDS).flat_map(feed));
        let path = dir.join("given.bundle");
        fs::write(&path, &bundle).expect("room");
        self.run(&["bundle", "read", path.to_str().expect("a plain path")]);
        bundle
    }

    fn start(&self, words: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thistle"));
        command.args(words).arg("--home").arg(&self.0).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    fn run(&self, words: &[&str]) -> Value {
        let output = self.start(words).wait_with_output().expect("the program ends");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {told}");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn address(&self) -> String {
        self.run(&["address", "--json"])["address"].as_str().expect("an address").to_owned()
    }

    fn sync(&self, address: &str) -> Value {
        self.run(&["sync", address, "--json"])
    }

    fn listen(&self, known: &str) -> Listener {
        let words = ["listen", "--addr", "127.0.0.1:0", "--known", known, "--json"];
        let mut child = self.start(&words);
        let mut line = String::new();
        let mut told = BufReader::new(child.stdout.take().expect("its words"));
        told.read_line(&mut line).expect("a line");
        // Nobody reads what it tells of meetings, but it may tell it.
        std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
        let first: Value = serde_json::from_str(&line).expect("an object");
        Listener { child, address: first["address"].as_str().expect("an address").to_owned() }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn number(told: &Value, field: &str) -> f64 {
    told[field].as_f64().unwrap_or_else(|| panic!("{field} in {told}"))
}

/// Megabytes of memory that a process has or had at most.
fn memory(id: u32, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let kilobytes = status.lines().find_map(|found| found.strip_prefix(line)).unwrap_or("0 kB");
    kilobytes.trim().trim_end_matches(" kB").parse().unwrap_or(0.0) / 1_000.0
}

/// Most megabytes that a process had, watched until it ends.
fn peak(id: u32) -> f64 {
    let mut most = 0.0;
    loop {
        let now = memory(id, "VmHWM:");
        if now == 0.0 {
            return most;
        }
        most = f64::max(most, now);
        std::thread::sleep(Duration::from_millis(5));
    }
}
