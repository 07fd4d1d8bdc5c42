//! Goal: a whole village converges over one stick, or by meetings with a stick among them; bundles
//! read again or torn change and lose nothing, and without follows the strangers' quota holds.
//! Method: the messages of 200 authors dealt out to 20 homes, all by commands; who meets whom and
//! where the stick goes is drawn from a seed. Meetings go over QUIC between processes that listen.
//!
//! The short form takes every eighth message; `THISTLE_LONG=1` takes all 34,528. The messages lie
//! outside of this repository; without them the 200 that ship with the program are carried.
#![expect(clippy::print_stderr, reason = "the figures of a run are shown by `--nocapture`")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use thistle_simulations::Seed;
use thistle_tests::program::{Home, Ran, Running, Signal, difference, is_long, number, seed, word};
use thistle_tests::tree;

const HOMES: usize = 20;
/// Of so many messages the short form takes one.
const SLICE: usize = 8;
/// Bundles that the stick has room for: the oldest has to go.
const ROOM: usize = 6;
/// Bundles of which a copy is kept, to be read again.
const COPIES: usize = 8;
/// Homes that read them again.
const READ_AGAIN: usize = 3;

/// A message as an import reads it and an export shows it: author, time, channel, text.
type Message = (String, u64, String, String);

/// Homes and what lies about.
struct Village {
    folder: TempDir,
    /// Every message that was dealt out, once for each time it stands in the file.
    messages: BTreeMap<Message, u64>,
    homes: Vec<Neighbour>,
}

/// A home in the village.
struct Neighbour {
    home: Home,
    feed: String,
    /// Messages that it imported.
    imported: u64,
}

#[test]
fn twenty_homes_converge_over_one_stick() {
    let seed = &mut Seed::new(seed(20));
    let begun = Instant::now();
    let village = Village::settle(HOMES, if is_long() { 1 } else { SLICE }, seed);
    let imported = begun.elapsed();
    village.follow_each_other();
    let followed = begun.elapsed();
    let copies = village.carry(seed);
    let carried = begun.elapsed();
    let exports = village.exports(&village.homes[0]);
    village.expect_every_message(&exports);
    village.expect_everywhere(&exports);
    village.check();
    let compared = begun.elapsed();
    village.read_again(&copies, &exports, seed);
    eprintln!(
        "imported after {imported:.1?}, followed after {followed:.1?}, carried after {carried:.1?}, \
         compared after {compared:.1?}, all after {:.1?}",
        begun.elapsed()
    );
}

#[test]
fn twenty_homes_converge_by_meetings_with_a_stick_among_them() {
    let seed = &mut Seed::new(seed(22));
    let (homes, every) = if is_long() { (HOMES, 1) } else { (8, 4 * SLICE) };
    let village = Village::settle(homes, every, seed);
    village.follow_each_other();
    let begun = Instant::now();
    let told = village.meet(seed);
    let took = begun.elapsed();
    let exports = village.exports(&village.homes[0]);
    village.expect_every_message(&exports);
    village.expect_everywhere(&exports);
    village.check();
    told.expect_little(&village, took);
}

#[test]
fn without_follows_the_quota_of_strangers_holds() {
    let seed = &mut Seed::new(seed(21));
    let village = Village::settle(HOMES, if is_long() { SLICE } else { 4 * SLICE }, seed);
    let total: u64 = village.homes.iter().map(|neighbour| neighbour.imported).sum();
    // Room for about a tenth of what goes round.
    let quota = 40 * total;
    for neighbour in &village.homes {
        neighbour.home.run(&["quota", "stranger", &quota.to_string()]).good();
    }
    village.carry(seed);
    for neighbour in &village.homes {
        let status = neighbour.expect_quota(quota);
        assert!(usage(&status, "stranger") > quota / 4, "the room is used: {status}");
        let gone = number(&status, "evicted_entries") + number(&status, "left_out_entries");
        let told = neighbour.home.run(&["status"]).good().stdout;
        let words = ["a quota was full", "no room within a quota"];
        assert!(gone > 0 && words.iter().any(|words| told.contains(words)), "{told}");
        let own = neighbour.home.export(&neighbour.feed);
        let posts = own.lines().filter(|line| line.contains(r#""type":"post""#)).count() as u64;
        assert_eq!(posts, neighbour.imported, "a stranger pushes nothing of one's own out");
    }
    eprintln!("{total} messages, a quota of {quota} bytes held in {} homes", village.homes.len());
    // So little that whole feeds have to go, and are not taken in again.
    let (neighbour, quota) = (&village.homes[0], 4_000);
    neighbour.home.run(&["quota", "stranger", &quota.to_string()]).good();
    let status = neighbour.expect_quota(quota);
    neighbour.home.call(&["bundle", "read"]).arg(village.folder.path().join("stick")).run().good();
    let again = neighbour.expect_quota(quota);
    let left_out = |status: &Value| status["left_out_feeds"].as_array().expect("a list").len();
    assert!(left_out(&status) > 0 && left_out(&again) > 0, "{status} {again}");
    let told = neighbour.home.run(&["status"]).good().stdout;
    assert!(told.contains(&format!("Left out {} feeds", left_out(&again))), "{told}");
}

impl Village {
    /// Deals the authors out to homes and lets each home import what theirs wrote.
    fn settle(homes: usize, every: usize, seed: &mut Seed) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the village");
        let lines = lines(every);
        let file = folder.path().join("messages.jsonl");
        fs::write(&file, lines.join("\n") + "\n").expect("the messages are written");
        let mut messages: BTreeMap<Message, u64> = BTreeMap::new();
        for line in &lines {
            let object: Value = serde_json::from_str(line).expect("a line is an object");
            *messages.entry(message(&object)).or_default() += 1;
        }
        let authors: BTreeSet<String> = messages.keys().map(|key| key.0.clone()).collect();
        let mut authors: Vec<String> = authors.into_iter().collect();
        seed.shuffle(&mut authors);
        let share = authors.len().div_ceil(homes);
        let shares: Vec<&[String]> = authors.chunks(share).collect();
        let homes = shares.iter().enumerate().map(|(n, authors)| {
            let path = folder.path().join(format!("home-{n:02}"));
            let (home, feed, _) = Home::create(path, &format!("House {n}"));
            let mut call = home.call(&["import", "--json"]).arg(&file);
            for author in *authors {
                call = call.arg("--author").arg(author);
            }
            let report = call.run().good().json();
            assert_eq!(number(&report, "refused"), 0, "{report}");
            Neighbour { home, feed, imported: number(&report, "imported") }
        });
        let homes: Vec<_> = homes.collect();
        let total: u64 = homes.iter().map(|neighbour| neighbour.imported).sum();
        assert_eq!(total, lines.len() as u64, "every message is dealt out once");
        eprintln!("{} authors in {} homes, {total} messages", authors.len(), homes.len());
        Self { folder, messages, homes }
    }

    fn follow_each_other(&self) {
        each(&self.homes, |neighbour| {
            for other in self.homes.iter().filter(|other| other.feed != neighbour.feed) {
                neighbour.home.run(&["follow", &other.feed]).good();
            }
        });
    }

    /// Carries a stick from home to home until it was everywhere twice: by then what any home had
    /// has passed all others. Returns copies of some of the bundles.
    fn carry(&self, seed: &mut Seed) -> Vec<PathBuf> {
        let stick = self.folder.path().join("stick");
        let kept = self.folder.path().join("kept");
        for folder in [&stick, &kept] {
            fs::create_dir(folder).expect("a folder is made");
        }
        let mut tour = Vec::new();
        for _ in 0..2 {
            let mut round: Vec<usize> = (0..self.homes.len()).collect();
            seed.shuffle(&mut round);
            tour.extend(round);
        }
        let (mut copies, mut written, mut fullest) = (Vec::new(), 0, 0);
        let mut on_stick = VecDeque::new();
        for (visit, &at) in tour.iter().enumerate() {
            let neighbour = &self.homes[at];
            neighbour.home.call(&["bundle", "read"]).arg(&stick).run().good();
            let own = stick.join(format!("house-{at:02}.thistle"));
            on_stick.retain(|path| *path != own);
            on_stick.push_back(own.clone());
            drop(fs::remove_file(&own));
            if on_stick.len() > ROOM {
                fs::remove_file(on_stick.pop_front().expect("one is there")).expect("room is made");
            }
            let Some(&next) = tour.get(visit + 1) else { break };
            let report = neighbour.write_bundle(&own, &self.homes[next], seed.chance(1, 8));
            written += number(&report, "bytes");
            fullest = fullest.max(bytes_in(&stick));
            if copies.len() < COPIES && (seed.chance(1, 3) || visit + COPIES > tour.len()) {
                let copy = kept.join(format!("visit-{visit:02}.thistle"));
                fs::copy(&own, &copy).expect("a bundle is copied");
                copies.push(copy);
            }
        }
        eprintln!(
            "{} visits, {written} bytes of bundles, {} bytes a copy of a message, at most {fullest} \
             on the stick",
            tour.len(),
            written / (self.messages.values().sum::<u64>() * self.homes.len() as u64)
        );
        copies
    }

    /// Every feed as a home holds it.
    fn exports(&self, neighbour: &Neighbour) -> BTreeMap<String, String> {
        let export = |of: &Neighbour| (of.feed.clone(), neighbour.home.export(&of.feed));
        self.homes.iter().map(export).collect()
    }

    /// Every message that was dealt out is there, as often as it was.
    fn expect_every_message(&self, exports: &BTreeMap<String, String>) {
        let mut found: BTreeMap<Message, u64> = BTreeMap::new();
        for line in exports.values().flat_map(|export| export.lines()) {
            let entry: Value = serde_json::from_str(line).expect("an export is JSON Lines");
            assert_eq!(entry["state"], "here", "{entry}");
            if entry["type"] == "post" {
                *found.entry(message(&entry)).or_default() += 1;
            }
        }
        assert_eq!(found.values().sum::<u64>(), self.messages.values().sum::<u64>());
        assert!(found == self.messages, "the messages are others than those imported");
    }

    fn expect_everywhere(&self, exports: &BTreeMap<String, String>) {
        each(&self.homes, |neighbour| expect_same(exports, &self.exports(neighbour), neighbour));
    }

    fn check(&self) {
        each(&self.homes, |neighbour| neighbour.home.check());
    }

    /// Reads kept bundles twice more in random order, and torn at random places.
    fn read_again(&self, copies: &[PathBuf], exports: &BTreeMap<String, String>, seed: &mut Seed) {
        let torn_in = self.folder.path().join("torn");
        fs::create_dir(&torn_in).expect("a folder is made");
        let mut refused = 0;
        for round in 0..2 {
            let mut homes: Vec<_> = self.homes.iter().collect();
            seed.shuffle(&mut homes);
            for neighbour in homes.into_iter().take(READ_AGAIN) {
                let mut order = copies.to_vec();
                seed.shuffle(&mut order);
                let home = &neighbour.home;
                let ran = home.call(&["bundle", "read", "--json"]).args(&order).run().good();
                let news = ran.json_lines();
                assert_eq!(news.len(), order.len());
                assert!(news.iter().all(|report| report["entries_new"] == 0), "{ran}");
                seed.shuffle(&mut order);
                for (n, path) in order.iter().enumerate() {
                    let torn = torn_in.join(format!("{round}-{n}.thistle"));
                    let cut = tear(path, &torn, seed);
                    let ran = home.call(&["bundle", "read", "--json"]).arg(&torn).run();
                    expect_refusal(&ran, &torn, cut);
                    refused += 1;
                }
                expect_same(exports, &self.exports(neighbour), neighbour);
                home.check();
            }
        }
        // Whole and torn ones on one stick, read as a folder.
        let home = &self.homes[0].home;
        let copy = torn_in.join("whole.thistle");
        fs::copy(&copies[0], copy).expect("a bundle is copied");
        let ran = home.call(&["bundle", "read"]).arg(&torn_in).run().fails(4);
        let torn = bundles_in(&torn_in).len() - 1;
        assert_eq!(ran.stderr.lines().count(), torn, "one line for each torn file{ran}");
        expect_same(exports, &self.exports(&self.homes[0]), &self.homes[0]);
        eprintln!("{refused} torn bundles refused, {} whole ones read twice more", copies.len());
    }
}

/// What happens in a village.
enum Step {
    /// The first dials the second.
    Meet(usize, usize),
    /// The first puts on a stick what the second reads.
    Carry(usize, usize),
}

/// Meetings and ways of the stick until everything of everybody has passed everywhere.
fn plan(homes: usize, seed: &mut Seed) -> Vec<Step> {
    let mut has: Vec<BTreeSet<usize>> = (0..homes).map(|home| BTreeSet::from([home])).collect();
    let mut steps = Vec::new();
    while has.iter().any(|has| has.len() < homes) {
        let (from, to) = (seed.index(homes), seed.index(homes));
        if from == to {
            continue;
        }
        let both: BTreeSet<usize> = has[from].union(&has[to]).copied().collect();
        if seed.chance(1, 8) {
            steps.push(Step::Carry(from, to));
        } else {
            steps.push(Step::Meet(from, to));
            has[from].clone_from(&both);
        }
        has[to] = both;
    }
    steps
}

/// What was told of the meetings of a village.
#[derive(Debug, Default)]
struct Told {
    meetings: u64,
    /// Entries that meetings moved, and those that came by the stick.
    moved: u64,
    carried: u64,
    duplicates: u64,
    /// Bytes of sessions, and of all datagrams under them.
    bytes: u64,
    datagram_bytes: u64,
    seconds: f64,
}

impl Told {
    /// Takes what the one who dialled told.
    fn add(&mut self, told: &Value) {
        self.meetings += 1;
        self.moved += number(told, "sent") + number(told, "received");
        self.duplicates += number(told, "duplicates");
        self.bytes += number(told, "bytes_in") + number(told, "bytes_out");
        self.datagram_bytes +=
            number(told, "datagram_bytes_in") + number(told, "datagram_bytes_out");
        self.seconds += told["seconds"].as_f64().expect("a time");
    }

    /// Little beside the texts themselves went over the wire, and hardly anything twice.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    fn expect_little(&self, village: &Village, took: Duration) {
        let texts = village.messages.iter().map(|(message, count)| message.3.len() as u64 * count);
        let copies = texts.sum::<u64>() * (village.homes.len() as u64 - 1);
        // What of it went over the wire; the rest came by the stick.
        let text = copies as f64 * self.moved as f64 / (self.moved + self.carried) as f64;
        let (wire, twice) = (self.bytes as f64 / text, self.duplicates as f64 / self.moved as f64);
        eprintln!(
            "{} meetings in {took:.1?} ({:.1} s of them meetings) moved {} entries, the stick {}; \
             sessions took {:.2} times the {text:.0} bytes of text moved, datagrams {:.2} times; {} \
             duplicates, {:.2} %",
            self.meetings,
            self.seconds,
            self.moved,
            self.carried,
            wire,
            self.datagram_bytes as f64 / text,
            self.duplicates,
            100.0 * twice
        );
        assert!(self.carried > 0, "the stick had its part");
        assert!(wire <= 1.6, "{wire:.3} bytes on the wire for each of text");
        assert!(twice <= 0.03, "{twice:.4} of all came twice");
    }
}

impl Village {
    /// Lets all homes listen, and meet by a plan until everything was everywhere.
    fn meet(&self, seed: &mut Seed) -> Told {
        let own = |neighbour: &Neighbour| {
            word(&neighbour.home.run(&["address", "--json"]).good().json(), "address")
        };
        let known: Vec<String> = self.homes.iter().map(own).collect();
        let words: Vec<&str> = known.iter().flat_map(|key| ["--known", key]).collect();
        let listen = |neighbour: &Neighbour| {
            let call = neighbour.home.call(&["listen", "--addr", "127.0.0.1:0", "--json"]);
            let mut listener = call.args(&words).start();
            assert!(listener.line(), "the first line is the address");
            let told: Value = serde_json::from_str(listener.printed()).expect("an object");
            (listener, word(&told, "address"))
        };
        let (listeners, addresses): (Vec<Running>, Vec<String>) =
            self.homes.iter().map(listen).unzip();
        let stick = self.folder.path().join("stick");
        fs::create_dir(&stick).expect("a folder is made");
        let mut told = Told::default();
        for step in plan(self.homes.len(), seed) {
            match step {
                Step::Meet(from, to) => {
                    let home = &self.homes[from].home;
                    told.add(&home.run(&["sync", &addresses[to], "--json"]).good().json());
                }
                Step::Carry(from, to) => {
                    let path = stick.join("bundle.thistle");
                    drop(fs::remove_file(&path));
                    self.homes[from].write_bundle(&path, &self.homes[to], true);
                    let read = self.homes[to].home.call(&["bundle", "read", "--json"]).arg(&path);
                    told.carried += number(&read.run().good().json(), "entries_new");
                }
            }
        }
        for listener in listeners {
            listener.ask_to_end(Signal::TERM);
            let met = listener.end().good().json_lines();
            // What came twice to the one who was dialled.
            told.duplicates += met[1..].iter().map(|met| number(met, "duplicates")).sum::<u64>();
        }
        told
    }
}

impl Neighbour {
    /// Strangers take no more than this, and all is sound; returns the status.
    #[track_caller]
    fn expect_quota(&self, quota: u64) -> Value {
        self.home.check();
        let status = self.home.run(&["status", "--json"]).good().json();
        let used = usage(&status, "stranger");
        assert!(used <= quota, "{used} of {quota}: {status}");
        status
    }

    /// Writes a bundle for whoever comes next, or for everybody.
    fn write_bundle(&self, path: &Path, next: &Self, is_for_all: bool) -> Value {
        let mut call = self.home.call(&["bundle", "create", "--plain", "--json"]);
        if !is_for_all {
            call = call.arg("--for").arg(&next.feed);
        }
        call.arg(path).run().good().json()
    }
}

/// The lines of the village, or of the messages that ship with the program: one of `every` so many.
fn lines(every: usize) -> Vec<String> {
    let (real, shipped) = ("../shared/data/village.jsonl", "cli/village/messages.jsonl");
    let path = tree::root().join(real);
    let (text, every) = fs::read_to_string(&path).map_or_else(
        |error| {
            eprintln!("`{real}` cannot be read ({error}): the messages of `{shipped}` instead");
            (tree::read(shipped), 1)
        },
        |text| (text, every),
    );
    let lines: Vec<&str> = text.lines().collect();
    // Every author says something, however few lines are taken.
    let mut heard = BTreeSet::new();
    let mut is_taken = |(n, line): (usize, &&str)| {
        let author = serde_json::from_str(line).map(|object: Value| word(&object, "author"));
        heard.insert(author.expect("a line names its author")) || n.is_multiple_of(every)
    };
    let taken = lines.iter().enumerate().filter(|(n, line)| is_taken((*n, line)));
    taken.map(|(_, line)| (*line).to_owned()).collect()
}

fn message(object: &Value) -> Message {
    (word(object, "author"), number(object, "time"), word(object, "channel"), word(object, "text"))
}

fn usage(status: &Value, class: &str) -> u64 {
    let usage = status["usage"].as_array().expect("a list");
    let of_class = usage.iter().find(|usage| usage["class"] == class);
    number(of_class.unwrap_or_else(|| panic!("no class {class}: {status}")), "bytes")
}

/// Does something at every home, on two threads.
fn each(homes: &[Neighbour], act: impl Fn(&Neighbour) + Sync) {
    let (first, second) = homes.split_at(homes.len() / 2);
    thread::scope(|scope| {
        for some in [first, second] {
            scope.spawn(|| some.iter().for_each(&act));
        }
    });
}

#[track_caller]
fn expect_same(
    expected: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
    at: &Neighbour,
) {
    for (feed, export) in expected {
        if let Some(words) = difference(export, &found[feed]) {
            panic!("`{}` holds another {feed}: {words}", at.home.path().display());
        }
    }
}

/// Copies the beginning of a file; returns how many bytes.
fn tear(path: &Path, torn: &Path, seed: &mut Seed) -> usize {
    let bytes = fs::read(path).expect("a bundle is read");
    let cut = seed.index(bytes.len());
    fs::write(torn, &bytes[..cut]).expect("a torn bundle is written");
    cut
}

/// A torn bundle brings nothing new here, and the one line about it names it and the reason.
#[track_caller]
fn expect_refusal(ran: &Ran, path: &Path, cut: usize) {
    let begin = format!("refused: {}: ", path.display());
    let reason = ran.stderr.trim_end().strip_prefix(&begin);
    let reason = reason.unwrap_or_else(|| panic!("the refusal names the file\n{ran}"));
    assert!(!reason.contains('\n'), "one reason\n{ran}");
    let (words, code) = match cut {
        0 => ("the file is empty", 1),
        _ if reason.contains("not a bundle") => ("not a bundle", 1),
        _ => ("torn at byte ", 4),
    };
    assert!(reason.starts_with(words), "cut at byte {cut}{ran}");
    assert_eq!(ran.code, Some(code), "cut at byte {cut}{ran}");
    let report = ran.json();
    assert_eq!((number(&report, "entries_new"), number(&report, "payloads_new")), (0, 0), "{ran}");
}

fn bundles_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder is listed");
    entries.map(|entry| entry.expect("a folder is listed").path()).collect()
}

fn bytes_in(folder: &Path) -> u64 {
    bundles_in(folder).iter().filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum()
}
