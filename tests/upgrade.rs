//! Goal: a store that any version wrote opens for ever, and everything is there afterwards. Method:
//! `tests/stores/` holds a store as each version wrote it, after a life in which everything
//! happened that leaves a mark, and what that version read from it, as text. Each is opened by this
//! program, again and again.
//!
//! Before the layout changes (`STORE_VERSION` rises), the last program of the old version leaves its
//! store: `THISTLE_STORE=make cargo test -p thistle-tests --test upgrade`.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use thistle_engine::account::{AccountKey, Phrase};
use thistle_engine::content::{Carry, Content, Post, Profile, Ranges};
use thistle_engine::entry::EntryId;
use thistle_engine::key::{FeedId, Seed};
use thistle_engine::policy::CarryClass;
use thistle_engine::time::Now;
use thistle_engine::{
    BundleRequest, Event, FileBackend, Hit, InMemoryBackend, Input, Node, Output, Query, Reader,
    STORE_VERSION, Setup, Written, ids,
};
use thistle_tests::tree;

/// Memory that the stores of these tests may use.
const CACHE: usize = 4 << 20;
/// The clocks at the beginning of the story.
const BEGIN: Now = Now { tick: 1_000, wall: 1_772_438_400_000, boot_id: 1 };
/// Marks of imports that the story leaves.
const MARKS: [([u8; 32], u64); 2] = [([7; 32], 41), ([8; 32], 100_000)];
/// So many zeros in a stored store are left out.
const ZEROS: usize = 16;

#[test]
fn every_version_opens_and_everything_is_there() {
    for version in 1..=STORE_VERSION {
        let Ok(packed) = fs::read(stored(version, "store")) else {
            assert_eq!(version, STORE_VERSION, "a store of each earlier version is kept");
            continue;
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        fs::write(&path, unpack(&packed)).unwrap();
        let told = fs::read_to_string(stored(version, "txt")).unwrap();
        opens(version, &path, &told);
    }
}

/// Opens a store that a version wrote, and uses it.
fn opens(version: u64, path: &Path, told: &str) {
    let found = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.starts_with("found")).map(str::to_owned).collect()
    };
    let now = Now { tick: BEGIN.tick + 150 * 60_000, wall: BEGIN.wall + 150 * 60_000, boot_id: 1 };
    let disk = FileBackend::new(File::open(path).unwrap()).unwrap();
    let reader = Reader::open(disk, CACHE, now).unwrap();
    assert_eq!(reader.is_some(), version == STORE_VERSION, "another version is not read as it is");
    drop(reader);
    let mut ana = Device::open(path, now);
    let upgraded = Event::Upgraded { from: version, to: STORE_VERSION };
    let expected = (version < STORE_VERSION).then_some(Output::Event(upgraded));
    assert_eq!(ana.node.poll(), expected);
    if version < 4 {
        let status = ana.node.reader().unwrap().status().unwrap();
        assert_eq!(status.indexed, 0, "its indexes are not those of this version");
    }
    assert_eq!(found(&ana.tell()), found(told), "before anything is indexed");
    ana.idle();
    same(&ana.tell(), told);
    ana.check();
    drop(ana);
    let mut ana = Device::open(path, now);
    assert_eq!(ana.node.poll(), None, "it is of this version now");
    ana.node.rebuild_indexes(now).unwrap();
    ana.idle();
    same(&ana.tell(), told);
    // And it is used.
    let head = ana.write("the bridge is mended", Some("square"), 0).seq;
    let mut reader = Device::new(90);
    reader.node.follow(now, &ana.feed()).unwrap();
    reader.read(&ana.bundle(), "bundle mended.thistle");
    let infos = reader.node.reader().unwrap().feeds().unwrap();
    let info = infos.iter().find(|info| info.feed == ana.feed()).unwrap();
    assert_eq!((info.head, info.gaps.is_empty()), (head, true));
    ana.check();
}

/// Says where two texts part, and not all that is in them.
fn same(now: &str, then: &str) {
    for (number, (now, then)) in (1..).zip(now.lines().zip(then.lines())) {
        assert_eq!(now, then, "line {number}");
    }
    assert_eq!(now.lines().count(), then.lines().count(), "lines");
}

#[test]
fn this_version_leaves_a_store_that_opens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let ana = live(&path);
    let told = ana.tell();
    drop(ana);
    // Only to be small: it moves pages, and changes nothing in them.
    redb::Database::open(&path).unwrap().compact().unwrap();
    let bytes = fs::read(&path).unwrap();
    let packed = pack(&bytes);
    assert!(unpack(&packed) == bytes, "what is left out comes back");
    if std::env::var_os("THISTLE_STORE").is_some() {
        let store = stored(STORE_VERSION, "store");
        assert!(!store.exists(), "`{}` was made before and stays as it is", store.display());
        fs::write(store, packed).unwrap();
        fs::write(stored(STORE_VERSION, "txt"), &told).unwrap();
    }
    opens(STORE_VERSION, &path, &told);
}

// ---- The stores of all versions ----

fn stored(version: u64, kind: &str) -> PathBuf {
    tree::root().join(format!("tests/stores/version-{version}.{kind}"))
}

/// Leaves out what is zero, as much of a small store is: the length, then pieces, each with its
/// place and length before it (numbers of 4 bytes).
fn pack(bytes: &[u8]) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
    let mut packed = number(bytes.len()).to_vec();
    let mut at = 0;
    while let Some(zeros) = bytes[at..].iter().position(|byte| *byte != 0) {
        let start = at + zeros;
        let rest = &bytes[start..];
        let len = rest.windows(ZEROS).position(|next| next == [0; ZEROS]).unwrap_or(rest.len());
        packed.extend([number(start), number(len)].as_flattened());
        packed.extend(&rest[..len]);
        at = start + len;
    }
    packed
}

fn unpack(packed: &[u8]) -> Vec<u8> {
    let mut packed = packed;
    let mut take = |len: usize| {
        let (taken, rest) = packed.split_at_checked(len)?;
        packed = rest;
        Some(taken)
    };
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap()) as usize;
    let mut bytes = vec![0; number(take(4).unwrap())];
    while let Some(start) = take(4) {
        let len = number(take(4).unwrap());
        bytes[number(start)..][..len].copy_from_slice(take(len).unwrap());
    }
    bytes
}

// ---- What is in a store, as text ----

/// Everything that a person would miss.
fn tell(reader: &Reader) -> String {
    let mut told = String::new();
    let me = reader.me().unwrap();
    writeln!(told, "me {} {} {}", feed(&me.feed), ids::account_text(&me.account), me.confirmed)
        .unwrap();
    tell_feeds(reader, &mut told);
    tell_entries(reader, &mut told);
    for kinds in [vec![], (0..=9).collect()] {
        let query = Query { kinds, ..Query::default() };
        tell_hits("found", &reader.query(&query).unwrap(), &mut told);
    }
    let text = |text: &str| Query { text: Some(text.to_owned()), ..Query::default() };
    tell_hits("found by text", &reader.query(&text("MILL")).unwrap(), &mut told);
    let author = Query { author: Some("Old Bo".to_owned()), ..Query::default() };
    tell_hits("found by author", &reader.query(&author).unwrap(), &mut told);
    let heads = reader.channel_heads("square").unwrap();
    for head in heads {
        writeln!(told, "head of square {}", ids::entry_text(head.as_bytes())).unwrap();
    }
    for (key, _) in MARKS {
        writeln!(told, "progress {} {}", key[0], reader.progress(&key).unwrap()).unwrap();
    }
    for (left, last) in reader.left_out().unwrap() {
        writeln!(told, "left out {} up to {last}", feed(&left)).unwrap();
    }
    tell_status(reader, &mut told);
    told
}

fn tell_feeds(reader: &Reader, told: &mut String) {
    for info in reader.feeds().unwrap() {
        writeln!(
            told,
            "feed {} account {:?} name {:?} petname {:?} class {} held {} head {} floor {} gaps \
             {:?} missing {} bytes {} followed {} blocked {} own {} retired {} forked {:?} branch \
             {} confirmed {} revoked {} successor of {:?}",
            feed(&info.feed),
            info.account.map(|account| ids::account_text(&account)),
            info.name,
            info.petname,
            info.class.name(),
            info.held,
            info.head,
            info.floor,
            info.gaps,
            info.missing_payloads,
            info.bytes,
            info.followed,
            info.blocked,
            info.own,
            info.retired,
            info.forked,
            info.branch_entries,
            info.confirmed,
            info.revoked,
            info.successor_of.map(|old| feed(&old)),
        )
        .unwrap();
    }
}

fn tell_entries(reader: &Reader, told: &mut String) {
    for info in reader.feeds().unwrap() {
        reader
            .export(&info.feed, &mut |held| {
                let payload = held.payload.as_ref().map(Vec::len);
                writeln!(
                    told,
                    "entry {} branch {} at {} id {} ttl {} payload {payload:?} {}",
                    feed(&held.feed),
                    held.branch,
                    held.seq,
                    ids::entry_text(held.id.as_bytes()),
                    held.ttl,
                    held.state.name(),
                )
                .unwrap();
                Ok(true)
            })
            .unwrap();
    }
}

fn tell_hits(what: &str, hits: &[Hit], told: &mut String) {
    for hit in hits {
        let via = hit.received.as_ref().map(|by| (by.position, by.wall, by.via.as_str()));
        let id = ids::entry_text(hit.held.id.as_bytes());
        let id = ids::short(&id);
        writeln!(told, "{what} {id} lamport {} came {via:?}", hit.lamport).unwrap();
    }
}

fn tell_status(reader: &Reader, told: &mut String) {
    let status = reader.status().unwrap();
    let counts = status.counts;
    writeln!(told, "feeds {} entries {}", status.feeds, status.entries).unwrap();
    writeln!(told, "log {} known {}", status.log_position, status.known_minutes).unwrap();
    for (class, bytes, quota) in status.usage {
        writeln!(told, "class {} {bytes} of {quota:?}", class.name()).unwrap();
    }
    for (what, count) in [
        ("expired", counts.expired),
        ("retracted", counts.retracted),
        ("evicted entries", counts.evicted_entries),
        ("evicted bytes", counts.evicted_bytes),
        ("left out entries", counts.left_out_entries),
        ("blocked entries", counts.blocked_entries),
        ("refused", counts.refused),
        ("forks", counts.forks),
    ] {
        writeln!(told, "{what} {count}").unwrap();
    }
}

fn feed(feed: &FeedId) -> String {
    ids::feed_text(feed)
}

// ---- The story ----

/// One device of the story.
struct Device {
    node: Node,
    now: Now,
}

/// A device whose store is at a path, after a life in which everything happened.
fn live(path: &Path) -> Device {
    let mut ana = Device::create(1, FileBackend::new(disk(path)).unwrap());
    let mut twin = Device::new(1);
    let mut bo = Device::new(2);
    for device in [&mut ana, &mut twin] {
        device.write("the bridge is out", Some("square"), 0);
        device.write("come by the mill", Some("square"), 0);
    }
    ana.write_and_take_back();
    ana.import();
    bo.answer(&ana);
    ana.node.follow(ana.now, &bo.feed()).unwrap();
    ana.read(&bo.bundle(), "bundle from-bo.thistle");
    ana.decide(&bo.feed());
    ana.meet_forks(&mut twin);
    ana.meet_strangers();
    ana.miss_some();
    ana.pass(150);
    // The newest are not indexed yet.
    ana.write("after two hours, by the mill", Some("square"), 0);
    bo.write("and the last word", Some("square"), 0);
    ana.read(&bo.bundle(), "bundle last.thistle");
    ana
}

fn disk(path: &Path) -> File {
    File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn account(number: u8) -> AccountKey {
    AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new([number; 32])))
}

fn post(text: &str, channel: Option<&str>) -> Post {
    let channel = channel.map(str::to_owned);
    Post { time: 1_772_438_400, channel, text: text.to_owned(), ..Post::default() }
}

impl Device {
    fn create(number: u8, disk: impl thistle_engine::StorageBackend) -> Self {
        let name = format!("person {number}");
        let setup = Setup { carry: Carry::Open, name: Some(&name), cache_bytes: CACHE };
        let seed = Seed::new([number ^ 0x55; 32]);
        Self { node: Node::create(disk, &account(number), setup, seed, BEGIN).unwrap(), now: BEGIN }
    }

    fn new(number: u8) -> Self {
        Self::create(number, InMemoryBackend::new())
    }

    fn open(path: &Path, now: Now) -> Self {
        let disk = FileBackend::new(disk(path)).unwrap();
        Self { node: Node::open(disk, Seed::new([99; 32]), CACHE, now).unwrap(), now }
    }

    fn tell(&self) -> String {
        tell(&self.node.reader().unwrap())
    }

    fn check(&self) {
        let mut findings = Vec::new();
        let reader = self.node.reader().unwrap();
        reader.check(&mut |finding| findings.push(finding.to_string())).unwrap();
        assert_eq!(findings, Vec::<String>::new());
    }

    fn feed(&self) -> FeedId {
        self.node.me().unwrap().feed
    }

    fn write(&mut self, text: &str, channel: Option<&str>, ttl: u32) -> Written {
        self.node.write(self.now, &Content::Post(post(text, channel)), ttl).unwrap()
    }

    fn bundle(&self) -> Vec<u8> {
        self.bundle_of(&BundleRequest::default())
    }

    fn bundle_of(&self, request: &BundleRequest) -> Vec<u8> {
        let mut source = self.node.reader().unwrap().bundle(request).unwrap();
        let mut bytes = Vec::new();
        while let Some(chunk) = source.poll().unwrap() {
            bytes.extend(chunk);
        }
        bytes
    }

    fn read(&mut self, bytes: &[u8], via: &str) {
        self.node.handle(self.now, Input::BundleOpened { bundle: 1, via }).unwrap();
        self.node.handle(self.now, Input::BundleChunk { bundle: 1, bytes }).unwrap();
        self.node.handle(self.now, Input::BundleEnded { bundle: 1 }).unwrap();
        while self.node.poll().is_some() {}
    }

    /// Lets minutes pass, and does what is due and behind.
    fn pass(&mut self, minutes: u64) {
        self.now.tick += minutes * 60_000;
        self.now.wall += minutes * 60_000;
        self.idle();
    }

    fn idle(&mut self) {
        loop {
            self.node.handle(self.now, Input::Idle).unwrap();
            let mut more = false;
            while let Some(Output::Event(event)) = self.node.poll() {
                more |= event == Event::Idle { more: true };
            }
            if !more {
                break;
            }
        }
    }

    fn write_and_take_back(&mut self) {
        let regretted = self.write("regretted", None, 0);
        self.write(&"a long story of the mill ".repeat(100), None, 0);
        self.write("soon over", None, 1);
        self.write(&"soon over, at length ".repeat(60), None, 1);
        self.write("over in a month", None, 720);
        let ranges = Ranges::new(vec![(regretted.seq, regretted.seq)]).unwrap();
        self.node.write(self.now, &Content::Retraction(ranges), 0).unwrap();
        let (name, about) = ("Ana".to_owned(), "by the mill".to_owned());
        let profile = Profile { time: 1_772_438_401, name, about };
        self.node.write(self.now, &Content::Profile(profile), 0).unwrap();
    }

    fn import(&mut self) {
        for (number, mark) in MARKS.into_iter().enumerate() {
            let letter = |n| {
                let text = format!("letter {n} of file {number}");
                let author = Some("Old Bo".to_owned());
                (Content::Post(Post { author, ..post(&text, Some("letters")) }), 0)
            };
            let letters: Vec<_> = (0..12).map(letter).collect();
            self.node.write_many(self.now, &letters, Some(mark)).unwrap();
        }
    }

    fn answer(&mut self, asker: &Self) {
        self.read(&asker.bundle(), "bundle from-ana.thistle");
        let heads = self.node.reader().unwrap().channel_heads("square").unwrap();
        let parents = heads.iter().map(EntryId::prefix).collect();
        let answer = Post { parents, ..post("on my way to the mill", Some("square")) };
        self.node.write(self.now, &Content::Reply(answer), 0).unwrap();
        self.write(&"what I saw on the way ".repeat(80), Some("square"), 0);
        for n in 0..40 {
            self.write(&format!("step {n}"), Some("road"), 0);
        }
    }

    fn decide(&mut self, friend: &FeedId) {
        let (unheld, unwanted) = (Self::new(40).feed(), Self::new(41));
        self.node.follow(self.now, &unheld).unwrap();
        self.node.set_petname(self.now, friend, Some("The Miller")).unwrap();
        self.node.set_petname(self.now, &unheld, Some("Somebody to come")).unwrap();
        self.read(&unwanted.bundle(), "bundle unwanted.thistle");
        self.node.block(self.now, &unwanted.feed()).unwrap();
        self.read(&unwanted.bundle(), "bundle unwanted.thistle");
        self.node.set_quota(self.now, CarryClass::Followed, 5_000_000).unwrap();
    }

    /// Meets a stranger's feed that goes on in two ways, and then its own.
    fn meet_forks(&mut self, twin: &mut Self) {
        let mut forked = [Self::new(50), Self::new(50)];
        for (n, device) in forked.iter_mut().enumerate() {
            device.write("together", None, 0);
            device.write(&format!("way {n}"), None, 0);
            device.write(&format!("way {n} goes on"), None, 0);
            self.read(&device.bundle(), &format!("bundle way-{n}.thistle"));
        }
        twin.write("from a copy of the home", Some("square"), 0);
        let old = self.feed();
        self.read(&twin.bundle(), "bundle twin.thistle");
        assert_ne!(self.feed(), old, "the own feed has ended");
        self.write("in the new feed", Some("square"), 0);
        self.node.confirm(self.now, &account(1)).unwrap();
    }

    /// Holds some strangers, and evicts and leaves out others.
    fn meet_strangers(&mut self) {
        self.node.set_quota(self.now, CarryClass::Stranger, 9_000).unwrap();
        for number in 60..70 {
            let mut stranger = Self::new(number);
            for n in 0..8 {
                stranger.write(&format!("stranger {number} says {n} {}", "x".repeat(150)), None, 0);
            }
            self.read(&stranger.bundle(), "bundle strangers.thistle");
        }
        let mut spoilt = Self::new(75).bundle();
        let at = spoilt.len() - 100;
        spoilt[at] ^= 1;
        self.read(&spoilt, "bundle spoilt.thistle");
    }

    /// Holds a feed in part: gaps, and a long text that did not come.
    fn miss_some(&mut self) {
        let mut far = Self::new(80);
        for n in 0..150 {
            far.write(&format!("far {n}"), None, 0);
        }
        far.write(&"a long way ".repeat(150), None, 0);
        self.node.follow(self.now, &far.feed()).unwrap();
        let some = BundleRequest { max_bytes: Some(4_000), ..BundleRequest::default() };
        self.read(&far.bundle_of(&some), "bundle far.thistle");
        let mut near = Self::new(81);
        near.write(&"a long text that is cut off ".repeat(100), None, 0);
        self.node.follow(self.now, &near.feed()).unwrap();
        let bundle = near.bundle();
        self.read(&bundle[..bundle.len() - 1_000], "bundle near.thistle");
    }
}
