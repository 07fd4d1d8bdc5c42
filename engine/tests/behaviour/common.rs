//! Nodes on disks in memory, and bundles carried between them by hand.

use thistle_engine::account::{AccountKey, Phrase};
use thistle_engine::content::{Carry, Content, Post};
use thistle_engine::key::{FeedId, Seed};
use thistle_engine::time::Now;
use thistle_engine::{
    BundleRequest, Event, Held, InMemoryBackend, Input, Node, Output, Reader, Report, Setup,
    Written,
};

/// An entry without what depends on the node: branch, seq, id, payload.
pub(crate) type Exported = (u8, u64, [u8; 32], Option<Vec<u8>>);

/// Cache of the test stores.
pub(crate) const CACHE: usize = 8 << 20;

/// One device of a test.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) node: Node,
    pub(crate) now: Now,
    pub(crate) events: Vec<Event>,
}

/// The time at which tests begin.
pub(crate) fn start() -> Now {
    Now { tick: 1_000, wall: 1_772_438_400_000, boot_id: 1 }
}

/// The account of one test person.
pub(crate) fn account(number: u8) -> AccountKey {
    AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new([number; 32])))
}

/// How test devices begin.
pub(crate) fn setup(name: &str) -> Setup<'_> {
    Setup { carry: Carry::Open, name: Some(name), cache_bytes: CACHE }
}

/// A post without parents.
pub(crate) fn post(text: &str) -> Content {
    let channel = Some("square".to_owned());
    Content::Post(Post { time: 1_772_438_400, channel, text: text.to_owned(), ..Post::default() })
}

impl Device {
    /// A new device of a new person.
    pub(crate) fn new(number: u8) -> Self {
        Self::carried(number, Carry::Open)
    }

    /// A new device of a new person, whose feed only some may carry.
    pub(crate) fn carried(number: u8, carry: Carry) -> Self {
        let name = format!("person {number}");
        let disk = InMemoryBackend::new();
        let seed = Seed::new([number ^ 0x55; 32]);
        let setup = Setup { carry, ..setup(&name) };
        let node = Node::create(disk, &account(number), setup, seed, start());
        Self { node: node.unwrap(), now: start(), events: Vec::new() }
    }

    pub(crate) fn feed(&self) -> FeedId {
        self.node.me().unwrap().feed
    }

    pub(crate) fn reader(&self) -> Reader {
        self.node.reader().unwrap()
    }

    /// Lets minutes of known time pass.
    pub(crate) fn pass(&mut self, minutes: u64) {
        self.now.tick += minutes * 60_000;
        self.now.wall += minutes * 60_000;
        self.idle();
    }

    pub(crate) fn write(&mut self, text: &str) -> Written {
        self.write_ttl(text, 0)
    }

    pub(crate) fn write_ttl(&mut self, text: &str, ttl: u32) -> Written {
        self.node.write(self.now, &post(text), ttl).unwrap()
    }

    /// Writes many posts in one commit.
    pub(crate) fn write_many(&mut self, texts: impl IntoIterator<Item = String>) {
        let contents: Vec<_> = texts.into_iter().map(|text| (post(&text), 0)).collect();
        self.node.write_many(self.now, &contents, None).unwrap();
    }

    /// Works until nothing waits.
    pub(crate) fn idle(&mut self) {
        for _ in 0..1_000 {
            self.node.handle(self.now, Input::Idle).unwrap();
            if self.drain().contains(&Event::Idle { more: false }) {
                return;
            }
        }
        panic!("idle work never ends");
    }

    fn drain(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(Output::Event(event)) = self.node.poll() {
            events.push(event);
        }
        self.events.extend(events.iter().cloned());
        events
    }

    /// The bytes of a bundle.
    pub(crate) fn bundle(&self, request: &BundleRequest) -> Vec<u8> {
        let mut source = self.reader().bundle(request).unwrap();
        let mut bytes = Vec::new();
        while let Some(chunk) = source.poll().unwrap() {
            bytes.extend(chunk);
        }
        assert_eq!(source.gathered().bytes, bytes.len() as u64);
        bytes
    }

    /// Everything, for anybody.
    pub(crate) fn bundle_all(&self) -> Vec<u8> {
        self.bundle(&BundleRequest::default())
    }

    /// What one peer is known to lack.
    pub(crate) fn bundle_for(&self, peer: FeedId) -> Vec<u8> {
        self.bundle(&BundleRequest { for_peer: Some(peer), ..BundleRequest::default() })
    }

    /// Reads a bundle in chunks.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Report {
        self.node.handle(self.now, Input::BundleOpened { bundle: 1, via: "stick" }).unwrap();
        for bytes in bytes.chunks(1_000) {
            self.node.handle(self.now, Input::BundleChunk { bundle: 1, bytes }).unwrap();
        }
        self.node.handle(self.now, Input::BundleEnded { bundle: 1 }).unwrap();
        let done = self.drain().into_iter().find_map(|event| match event {
            Event::BundleDone { report, .. } => Some(report),
            _ => None,
        });
        done.expect("every reading ends with a report")
    }

    /// What an export shows of a feed: everything that does not depend on this node.
    pub(crate) fn export(&self, feed: &FeedId) -> Vec<Exported> {
        let mut all = Vec::new();
        self.reader()
            .export(feed, &mut |held: Held| {
                all.push((held.branch, held.seq, *held.id.as_bytes(), held.payload));
                Ok(true)
            })
            .unwrap();
        all
    }

    /// The texts of a feed that are here.
    pub(crate) fn texts(&self, feed: &FeedId) -> Vec<String> {
        let payloads = self.export(feed).into_iter().filter_map(|entry| entry.3);
        payloads
            .filter_map(|payload| match Content::decode(&payload) {
                Ok(Content::Post(post)) => Some(post.text),
                _ => None,
            })
            .collect()
    }

    /// Every invariant holds.
    pub(crate) fn check(&self) {
        let mut findings = Vec::new();
        self.reader().check(&mut |finding| findings.push(finding.to_string())).unwrap();
        assert_eq!(findings, Vec::<String>::new());
    }
}
