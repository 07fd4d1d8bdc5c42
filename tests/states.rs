//! Goal: whatever became of a feed (read in part, forked by a copied home, taken back in part, over
//! its time in part, restored from the phrase, gone on in a new one) every node ends in the same
//! state, in whatever order it learned it. Method: the story is lived through by commands under
//! stopped clocks; then fresh nodes read its bundles in orders drawn from a seed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use thistle_simulations::Seed;
use thistle_tests::program::{Home, difference, number, seed, word};

/// Orders in which the bundles are learned: a node each.
const ORDERS: usize = 6;
/// When the story begins, in Unix seconds.
const BEGIN: u64 = 1_772_438_400;

/// The clocks of everybody, moved on by hand.
#[derive(Clone, Copy)]
struct Clocks {
    seconds: u64,
}

/// What happened, as bundles, and the feeds that it happened to.
struct Story {
    folder: TempDir,
    clocks: Clocks,
    bundles: Vec<PathBuf>,
    feeds: Vec<String>,
    author: Home,
}

#[test]
fn every_order_of_learning_ends_in_the_same_state() {
    let seed = &mut Seed::new(seed(40));
    let mut story = Story::live();
    let nodes: Vec<Home> = (0..ORDERS)
        .map(|n| {
            let mut bundles = story.bundles.clone();
            if n == 1 {
                bundles.reverse();
            } else if n > 1 {
                seed.shuffle(&mut bundles);
            }
            let home = story.reader(&format!("node-{n}"));
            for bundle in &bundles {
                let ran = home.call(&["bundle", "read"]).arg(bundle).run();
                let torn = bundle.ends_with("torn.thistle");
                assert_eq!(ran.code, Some(if torn { 4 } else { 0 }), "{ran}");
            }
            home
        })
        .collect();
    story.expect_same(&nodes, "after reading");
    // An hour later everything with a lifetime of one hour is over by everybody's own count.
    story.clocks.seconds += 2 * 3600;
    let nodes: Vec<Home> = nodes.into_iter().map(|home| story.clocks.set(home)).collect();
    story.expect_same(&nodes, "after the hour");
    // What nodes tell each other changes nothing any more.
    let told = story.bundle(&nodes[0], "told");
    for node in &nodes[1..] {
        node.call(&["bundle", "read"]).arg(&told).run().good();
    }
    story.expect_same(&nodes, "after telling each other");
    story.expect_told(&nodes[0]);
}

#[test]
fn the_author_keeps_both_branches_and_goes_on() {
    let story = Story::live();
    let reader = story.reader("reader");
    for bundle in &story.bundles {
        reader.call(&["bundle", "read"]).arg(bundle).run();
    }
    let [forked, goes_on, _] = story.feeds.as_slice() else { panic!("three feeds") };
    assert_eq!(story.author.export(forked), reader.export(forked));
    let status = story.author.run(&["status", "--json"]).good().json();
    assert_eq!(status["feed"], **goes_on);
    assert_eq!(status["confirmed"], true);
    let old = feed(&story.author, forked);
    assert_eq!((&old["own"], &old["retired"]), (&true.into(), &true.into()), "{old}");
}

#[test]
fn a_part_of_a_bundle_is_kept_and_the_rest_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    let (author, name, _) = Home::create(folder.path().join("author"), "Author");
    for n in 0..60 {
        author.run(&["write", &format!("entry {n} {}", "long ".repeat(n * 7))]).good();
    }
    let whole = folder.path().join("whole.thistle");
    author.call(&["bundle", "create", "--plain"]).arg(&whole).run().good();
    let some = folder.path().join("some.thistle");
    let call = author.call(&["bundle", "create", "--plain", "--max-bytes", "20K", "--json"]);
    let report = call.arg(&some).run().good().json();
    assert!(number(&report, "bytes") <= 20 * 1024, "{report}");
    assert!(number(&report, "left_out") > 0, "{report}");
    let bytes = fs::read(&whole).unwrap();
    for part in 1..8 {
        let torn = folder.path().join("torn.thistle");
        fs::write(&torn, &bytes[..bytes.len() * part / 8]).unwrap();
        let (home, ..) = Home::create(folder.path().join(format!("reader-{part}")), "Reader");
        let read = |path: &Path| home.call(&["bundle", "read"]).arg(path).run();
        read(&torn).fails(4).says("torn at byte");
        let held = number(&feed(&home, &name), "held");
        assert!(held > 0 || part == 1, "something of {part} eighths is kept");
        read(&some).good();
        assert!(home.export(&name).contains("entry 59 "), "the newest come first");
        read(&whole).good();
        assert_eq!(home.export(&name), author.export(&name));
        home.check();
    }
}

impl Clocks {
    fn set(self, mut home: Home) -> Home {
        home.set("THISTLE_NOW", self.seconds);
        home.set("THISTLE_TICK", (self.seconds - BEGIN) * 1000 + 1);
        home.set("THISTLE_BOOT", 7);
        home
    }
}

impl Story {
    /// Lives through everything that can become of a feed.
    fn live() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clocks = Clocks { seconds: BEGIN };
        let author = clocks.set(Home::at(folder.path().join("author")));
        let (feed, phrase) = author.init("Author");
        let mut story = Self { folder, clocks, bundles: Vec::new(), feeds: vec![feed], author };
        story.write_and_take_back();
        story.fork();
        story.go_on(&phrase);
        story.restore(&phrase);
        story
    }

    fn write_and_take_back(&mut self) {
        let author = self.author.clone();
        for text in ["one", "two, to be taken back", "three"] {
            author.run(&["write", "--channel", "square", text]).good();
        }
        author.run(&["write", &"a long story, to be taken back ".repeat(100)]).good();
        author.run(&["write", &"another long story ".repeat(200)]).good();
        author.run(&["write", "--ttl", "1h", "soon over"]).good();
        author.run(&["write", "--ttl", "1h", &"soon over, at length ".repeat(100)]).good();
        author.run(&["write", "--ttl", "30d", "over much later"]).good();
        self.tell(&author, "early");
        let call = author.call(&["bundle", "create", "--plain", "--max-bytes", "2500"]);
        let limited = self.folder.path().join("limited.thistle");
        call.arg(&limited).run().good();
        self.bundles.push(limited);
        let bytes = fs::read(&self.bundles[0]).unwrap();
        let torn = self.folder.path().join("torn.thistle");
        fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();
        self.bundles.push(torn);
        author.run(&["retract", "4", "6"]).good();
        author.run(&["write", "after taking back"]).good();
        self.tell(&author, "taken-back");
    }

    /// The home is copied, and both copies write.
    fn fork(&mut self) {
        let author = self.author.clone();
        let copy = author.copied_to(self.folder.path().join("copy"));
        for text in ["left", "left again"] {
            author.run(&["write", text]).good();
        }
        for n in 0..30 {
            copy.run(&["write", &format!("right {n}")]).good();
        }
        copy.run(&["retract", "3", "14-16"]).good();
        copy.run(&["write", "--ttl", "1h", "right, soon over"]).good();
        self.tell(&author, "left");
        self.tell(&copy, "right");
    }

    /// The author meets what the copy wrote, and goes on in a new feed.
    fn go_on(&mut self, phrase: &str) {
        let author = self.author.clone();
        let right = self.bundle_path("right");
        let ran = author.call(&["bundle", "read"]).arg(right).run().fails(0);
        let ran = ran.says("continued in two ways").says("goes on as").says("thistle confirm");
        let status = author.run(&["status", "--json"]).good().json();
        let new = word(&status, "feed");
        assert_ne!(new, self.feeds[0], "{ran}");
        assert_eq!(status["confirmed"], false);
        author.run(&["write", "in the new feed"]).good();
        self.tell(&author, "unconfirmed");
        author.call(&["confirm"]).input(phrase).run().good();
        author.run(&["write", "confirmed"]).good();
        self.tell(&author, "confirmed");
        self.feeds.push(new);
    }

    /// The account comes back on a new device.
    fn restore(&mut self, phrase: &str) {
        let device = self.clocks.set(Home::at(self.folder.path().join("device")));
        let call = device.call(&["init", "--name", "Author again", "--restore", "--json"]);
        let made = call.input(phrase).run().good().json();
        let account = self.author.run(&["status", "--json"]).good().json();
        assert_eq!(made["account"], account["account"]);
        device.run(&["write", "from the new device"]).good();
        self.tell(&device, "device");
        self.feeds.push(word(&made, "feed"));
        let early = self.bundle_path("early");
        device.call(&["bundle", "read"]).arg(early).run().good();
        assert!(device.export(&self.feeds[0]).contains("over much later"));
    }

    fn bundle_path(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.thistle"))
    }

    fn bundle(&self, home: &Home, name: &str) -> PathBuf {
        let path = self.bundle_path(name);
        home.call(&["bundle", "create", "--plain"]).arg(&path).run().good();
        path
    }

    /// Makes a bundle of all that a home holds a part of the story.
    fn tell(&mut self, home: &Home, name: &str) {
        let path = self.bundle(home, name);
        self.bundles.push(path);
    }

    /// A fresh node that follows the author.
    fn reader(&self, name: &str) -> Home {
        let home = self.clocks.set(Home::at(self.folder.path().join(name)));
        home.init(name);
        home.run(&["follow", &self.feeds[0]]).good();
        home
    }

    /// All nodes hold the same, and say the same of the feeds.
    #[track_caller]
    fn expect_same(&self, nodes: &[Home], when: &str) {
        let state = |home: &Home| -> Vec<(String, String)> {
            home.check();
            self.feeds.iter().map(|name| (shown(feed(home, name)), home.export(name))).collect()
        };
        let expected = state(&nodes[0]);
        for (n, node) in nodes.iter().enumerate().skip(1) {
            for ((info, export), expected) in state(node).iter().zip(&expected) {
                assert_eq!(*info, expected.0, "node {n} {when}");
                let words = difference(&expected.1, export).unwrap_or_default();
                assert!(words.is_empty(), "node 0 and {n} differ {when}: {words}");
            }
        }
    }

    /// What a node holds in the end is what was told.
    fn expect_told(&self, node: &Home) {
        let [forked, goes_on, device] = self.feeds.as_slice() else { panic!("three feeds") };
        let of_forked = node.export(forked);
        let holds = |text: &str| of_forked.contains(&format!(r#""text":"{text}"#));
        for text in
            ["three", "another long story", "over much later", "left", "right 0", "right 29"]
        {
            assert!(holds(text), "`{text}` is lost");
        }
        for text in ["one", "two", "a long story", "right 2\"", "soon over", "right, soon over"] {
            assert!(!holds(text), "`{text}` is still there");
        }
        assert!(node.export(goes_on).contains("confirmed"));
        assert!(node.export(device).contains("from the new device"));
        let (old, new) = (feed(node, forked), feed(node, goes_on));
        assert_eq!(old["forked"], 13, "{old}");
        assert_eq!(old["class"], "followed", "{old}");
        assert_eq!(new["successor_of"], **forked, "{new}");
        assert_eq!((&new["confirmed"], &new["class"]), (&true.into(), &"followed".into()), "{new}");
    }
}

/// What `feeds --json` says of a feed.
#[track_caller]
fn feed(home: &Home, name: &str) -> Value {
    let feeds = home.run(&["feeds", "--json"]).good().json_lines();
    let known = feeds.into_iter().find(|info| info["feed"] == *name);
    known.unwrap_or_else(|| panic!("`{}` does not know {name}", home.path().display()))
}

/// What is said of a feed, without what is this node's own business.
fn shown(mut info: Value) -> String {
    let fields = info.as_object_mut().expect("an object");
    // A payload that is over by a carrier's count only stays wanted.
    fields.remove("missing_payloads");
    info.to_string()
}
