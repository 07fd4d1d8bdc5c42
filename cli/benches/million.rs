//! Goal: a million entries on a phone-sized budget: how large, how much memory, how fast to open,
//! to ask and to search. Method: the real program over real files; a carrier's bundle of 100 feeds
//! with threads and channels and an import of as many lines; each figure is one line for the table
//! of `.ci/bench`, with the limit that it has to keep.
#![expect(clippy::print_stdout, reason = "the table goes to standard output")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "figures are for people, and none is near 2^52"
)]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use thistle_engine::account::{AccountKey, Phrase};
use thistle_engine::content::{Carry, Content, Post};
use thistle_engine::key::Seed;
use thistle_engine::time::Now;
use thistle_engine::{BundleRequest, InMemoryBackend, Node, Setup};

const FEEDS: u64 = 100;
const PAYLOAD: usize = 300;
const CHANNELS: u64 = 50;
/// Entries that an author writes at once.
const BATCH: u64 = 1_000;
const NOW: Now = Now { tick: 0, wall: 1_772_438_400_000, boot_id: 1 };

fn main() {
    let count: u64 = std::env::var("THISTLE_BENCH_ENTRIES")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(1_000_000);
    let dir = TempDir::new().expect("a folder");
    println!("figure\tmeasured\tlimit\tratio\tgoal");
    let bundle = dir.path().join("carried.bundle");
    let threads = carried(&bundle, count);
    let home = Home(dir.path().join("home"));
    home.run(&["init", "--name", "Bench"]);
    home.run(&["quota", "stranger", "4G"]);
    let words = ["bundle", "read", bundle.to_str().expect("a plain path")];
    let read = home.run(&words);
    let content = (count * PAYLOAD as u64) as f64;
    below("bundle of a million: seconds", read.seconds, count as f64 / 100_000.0);
    below("bundle of a million: memory, MB", read.memory, 150.0);
    below("store before compact, times content", home.bytes() / content, 2.2);
    queries(&home, &threads);
    text(&home, dir.path());
    reopen(&home, &bundle);
    compact(&home, content, count as f64);
    idle(&home);
    import(dir.path(), count);
}

/// One line: what was measured and what it may be at most.
fn below(figure: &str, measured: f64, limit: f64) {
    let kept = if measured <= limit { "kept" } else { "over" };
    println!("{figure}\t{measured:.3}\t{limit:.3}\t{:.2}\t{kept}", measured / limit);
}

/// A home and the program that uses it.
struct Home(PathBuf);

/// What a call of the program took.
struct Ran {
    seconds: f64,
    /// Most megabytes of memory.
    memory: f64,
    output: Vec<u8>,
}

impl Home {
    fn start(&self, words: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thistle"));
        command.args(words).arg("--home").arg(&self.0).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the program starts")
    }

    fn run(&self, words: &[&str]) -> Ran {
        let start = Instant::now();
        let child = self.start(words);
        let id = child.id();
        let memory = std::thread::spawn(move || peak(id));
        let output = child.wait_with_output().expect("the program ends");
        let seconds = start.elapsed().as_secs_f64();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {told}");
        let memory = memory.join().expect("the watcher ends");
        Ran { seconds, memory, output: output.stdout }
    }

    /// The shortest of a few calls, in milliseconds.
    fn quickest(&self, words: &[&str]) -> f64 {
        (0..7).map(|_| self.run(words).seconds * 1_000.0).fold(f64::MAX, f64::min)
    }

    /// Bytes of the store on the disk.
    fn bytes(&self) -> f64 {
        let files = fs::read_dir(&self.0).expect("the home").flatten();
        files.map(|file| file.metadata().map_or(0, |about| about.len())).sum::<u64>() as f64
    }
}

/// Most megabytes that a process had, watched until it ends.
fn peak(id: u32) -> f64 {
    let mut most = 0.0;
    while let Ok(status) = fs::read_to_string(format!("/proc/{id}/status")) {
        let Some(kilobytes) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) else {
            break;
        };
        let kilobytes = kilobytes.trim().trim_end_matches(" kB").parse().unwrap_or(0.0);
        most = f64::max(most, kilobytes / 1_000.0);
        std::thread::sleep(Duration::from_millis(5));
    }
    most
}

/// Words that a post is made of; `needle` is in one of a thousand.
const WORDS: [&str; 16] = [
    "water ", "bridge ", "mill ", "the ", "of ", "market ", "north ", "radio ", "open ", "road ",
    "tonight ", "and ", "Straße ", "there ", "from ", "people ",
];

/// Exactly as many bytes of text as make the payload as long as it should be.
fn text_of(author: u64, number: u64, room: usize) -> String {
    let mut text = format!("{author} {number} ");
    if (author * 7_919 + number) % 100_003 == 17 {
        text.push_str("Needle ");
    }
    let mut at = author.wrapping_mul(31).wrapping_add(number.wrapping_mul(17));
    while text.len() + 8 < room {
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(WORDS[(at >> 33) as usize % WORDS.len()]);
    }
    while text.len() < room {
        text.push('.');
    }
    text
}

/// Writes a bundle of many feeds to a file and tells the first entries of two threads: a fifth of
/// the authors answer in the first, all others in the second.
fn carried(path: &Path, count: u64) -> [String; 2] {
    let mut hub = device(250);
    let mut threads = [None; 2];
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    for author in 0..FEEDS {
        let mut device = device(u8::try_from(author).expect("few feeds"));
        let mut last = vec![None; CHANNELS as usize];
        let thread = &mut threads[usize::from(author >= FEEDS / 5)];
        let mut written = 1;
        while written < count / FEEDS {
            let batch = BATCH.min(count / FEEDS - written);
            let posts: Vec<_> =
                (0..batch).map(|at| (post(author, written + at, &last, *thread), 0)).collect();
            for (at, entry) in (0..).zip(device.write_many(NOW, &posts, None).expect("written")) {
                last[((written + at) % CHANNELS) as usize] = Some(entry.id.prefix());
                thread.get_or_insert(entry.id);
            }
            written += batch;
        }
        read(&mut hub, &device);
    }
    let reader = hub.reader().expect("a reader");
    let mut source = reader.bundle(&BundleRequest::default()).expect("a bundle");
    while let Some(chunk) = source.poll().expect("the next bytes") {
        file.write_all(&chunk).expect("room");
    }
    file.flush().expect("room");
    threads.map(|first| thistle_engine::ids::entry_text(first.expect("an entry").as_bytes()))
}

fn device(number: u8) -> Node {
    let account = AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new([number; 32])));
    let setup = Setup { carry: Carry::Open, name: None, cache_bytes: 64 << 20 };
    let seed = Seed::new([number; 32]);
    let node = Node::create(InMemoryBackend::new(), &account, setup, seed, NOW);
    let mut node = node.expect("a node");
    let class = thistle_engine::policy::CarryClass::Stranger;
    node.set_quota(NOW, class, 1 << 40).expect("a quota");
    node
}

fn read(hub: &mut Node, device: &Node) {
    use thistle_engine::Input;
    let reader = device.reader().expect("a reader");
    let mut source = reader.bundle(&BundleRequest::default()).expect("a bundle");
    hub.handle(NOW, Input::BundleOpened { bundle: 1, via: "bench" }).expect("opened");
    while let Some(bytes) = source.poll().expect("the next bytes") {
        hub.handle(NOW, Input::BundleChunk { bundle: 1, bytes: &bytes }).expect("read");
    }
    hub.handle(NOW, Input::BundleEnded { bundle: 1 }).expect("ended");
    while hub.poll().is_some() {}
}

/// A post in a channel after the author's last one there; one in a thousand answers the thread.
fn post(
    author: u64,
    number: u64,
    last: &[Option<[u8; 8]>],
    thread: Option<thistle_engine::entry::EntryId>,
) -> Content {
    let time = 1_772_438_400 + number * 60 + author;
    let channel = number % CHANNELS;
    let mut post = Post { time, channel: Some(format!("channel {channel}")), ..Post::default() };
    let answers = thread.filter(|_| number % 1_000 == 20);
    let parent = answers.map(|id| id.prefix()).or(last[channel as usize]);
    post.parents = parent.into_iter().collect();
    if answers.is_some() {
        post.channel = Some("channel 1".to_owned());
    }
    let kind = |post| if answers.is_some() { Content::Reply(post) } else { Content::Post(post) };
    let room = PAYLOAD - kind(post.clone()).encode().len() - 2;
    post.text = text_of(author, number, room);
    kind(post)
}

/// The newest of a channel, of a feed and of a thread, beyond what starting the program takes.
fn queries(home: &Home, threads: &[String; 2]) {
    let start = home.quickest(&["--version"]);
    let feeds = home.run(&["feeds", "--json"]).output;
    let feeds = String::from_utf8(feeds).expect("text");
    let feed = feeds.lines().filter_map(|line| field(line, "feed")).nth(40).expect("a feed");
    for (what, words) in [
        ("a channel", ["--channel", "channel 7"]),
        ("a feed", ["--from", feed]),
        ("a thread of 200", ["--thread", &threads[0]]),
        ("a thread of 800", ["--thread", &threads[1]]),
    ] {
        let words = ["query", "--json", "-n", "50", words[0], words[1]];
        let found = home.run(&words).output;
        assert_eq!(lines_of(&found), 50, "{what}");
        below(&format!("newest 50 of {what}, ms"), home.quickest(&words) - start, 20.0);
    }
}

fn lines_of(output: &[u8]) -> usize {
    String::from_utf8_lossy(output).lines().count()
}

fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("\"{name}\":\""))?;
    rest.split('"').next()
}

/// A word that is rare and one that is nowhere, over everything, against `grep -i`.
fn text(home: &Home, dir: &Path) {
    let exported = dir.join("exported.txt");
    let mut all = String::new();
    let words = ["query", "--json", "-n", "100000000"];
    let lines = home.run(&words).output;
    let lines = String::from_utf8(lines).expect("text");
    for line in lines.lines() {
        let text = field(line, "text").unwrap_or_default();
        writeln!(all, "{text}").expect("memory");
    }
    fs::write(&exported, all).expect("room");
    for needle in ["needle", "nowhere at all"] {
        let words = ["query", "--json", "--text", needle];
        let found = home.run(&words).output;
        let found = lines_of(&found);
        let took = home.quickest(&words) / 1_000.0;
        let grep = |()| {
            let start = Instant::now();
            let grep = Command::new("grep").args(["-ic", needle]).arg(&exported).output();
            let grep = grep.expect("grep is there");
            let count: usize =
                String::from_utf8_lossy(&grep.stdout).trim().parse().expect("a count");
            assert_eq!(count, found, "{needle}");
            start.elapsed().as_secs_f64()
        };
        let limit = [(), (), ()].map(grep).into_iter().fold(f64::MAX, f64::min);
        below(&format!("text search ({found} found), s"), took, 1.0);
        below(&format!("text search ({found} found), times grep -i"), took / limit, 3.0);
    }
}

/// Kills the program while it writes, and asks again.
fn reopen(home: &Home, bundle: &Path) {
    let other = Home(home.0.with_extension("killed"));
    other.run(&["init", "--name", "Bench"]);
    other.run(&["quota", "stranger", "4G"]);
    let mut reading = other.start(&["bundle", "read", bundle.to_str().expect("a plain path")]);
    let enough = fs::metadata(bundle).map_or(0, |about| about.len()) / 2;
    while (other.bytes() as u64) < enough {
        std::thread::sleep(Duration::from_millis(20));
    }
    reading.kill().expect("killed");
    reading.wait().expect("ended");
    let took = other.run(&["status", "--json"]).seconds;
    below("opening after a kill, s", took, 2.0);
    fs::remove_dir_all(&other.0).expect("removed");
}

/// What is left after `compact`.
fn compact(home: &Home, content: f64, count: f64) {
    home.run(&["compact"]);
    let limit = 1.45 + 60.0 * count / content;
    below("store after compact, times content", home.bytes() / content, limit);
}

/// Memory of a program that holds the store, has served others that went through all of it, and
/// waits: its own reader stands still.
fn idle(home: &Home) {
    let feeds = home.run(&["feeds", "--json"]).output;
    let feeds = String::from_utf8(feeds).expect("text");
    let feed = feeds.lines().filter_map(|line| field(line, "feed")).nth(40).expect("a feed");
    let mut holder = home.start(&["export", feed]);
    let mut first = [0; 1];
    holder.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("an entry");
    for words in [&["query", "-n", "50"][..], &["query", "--text", "nowhere"], &["doctor"]] {
        home.run(words);
    }
    let status = fs::read_to_string(format!("/proc/{}/status", holder.id())).expect("it runs");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = resident.map(|kb| kb.trim().trim_end_matches(" kB").parse().unwrap_or(0.0));
    below("memory of a node that waits, MB", kilobytes.unwrap_or(0.0) / 1_000.0, 60.0);
    holder.kill().expect("killed");
    holder.wait().expect("ended");
}

/// An import of as many lines into one's own feed.
fn import(dir: &Path, count: u64) {
    let lines = dir.join("lines.jsonl");
    let mut file = BufWriter::new(File::create(&lines).expect("a file"));
    for number in 0..count {
        let text = text_of(number % 97, number, 260);
        let (author, time, channel) = (number % 97, 1_600_000_000 + number, number % CHANNELS);
        writeln!(
            file,
            "{{\"author\":\"author {author}\",\"time\":{time},\"channel\":\"c{channel}\",\"text\":\"{text}\"}}"
        )
        .expect("room");
    }
    file.flush().expect("room");
    let home = Home(dir.join("importer"));
    home.run(&["init", "--name", "Bench"]);
    let import = home.run(&["import", lines.to_str().expect("a plain path")]);
    below("import of a million: seconds", import.seconds, count as f64 / 50_000.0);
    below("import of a million: memory, MB", import.memory, 150.0);
    let start = home.quickest(&["--version"]);
    let words = ["query", "--json", "-n", "50", "--author", "author 7"];
    let found = home.run(&words).output;
    assert_eq!(lines_of(&found), 50, "an author");
    below("newest 50 of an author, ms", home.quickest(&words) - start, 20.0);
}
