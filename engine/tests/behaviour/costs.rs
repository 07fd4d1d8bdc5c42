//! Goal: what was promised about bytes and disk syncs is counted, not hoped. Method: a disk that
//! counts, and a bundle that is measured against the payloads in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{Device, account, post, setup, start};
use crate::strangers;
use thistle_engine::key::Seed;
use thistle_engine::policy::CarryClass;
use thistle_engine::{BundleRequest, InMemoryBackend, Input, Node, Setup, StorageBackend};

/// A disk in memory that counts its syncs and its reads.
#[derive(Debug)]
struct CountingDisk {
    inner: InMemoryBackend,
    syncs: Arc<AtomicU64>,
    reads: Arc<AtomicU64>,
}

impl CountingDisk {
    fn new() -> Self {
        Self { inner: InMemoryBackend::new(), syncs: Arc::default(), reads: Arc::default() }
    }
}

impl StorageBackend for CountingDisk {
    fn len(&self) -> std::io::Result<u64> {
        self.inner.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.read(offset, out)
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.inner.set_len(len)
    }
    fn sync_data(&self) -> std::io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        self.inner.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.inner.write(offset, data)
    }
}

#[test]
fn an_own_entry_is_one_commit_and_one_sync() {
    let disk = CountingDisk::new();
    let syncs = Arc::clone(&disk.syncs);
    let seed = Seed::new([7; 32]);
    let mut node = Node::create(disk, &account(1), setup("A"), seed, start()).unwrap();
    for n in 0..100 {
        let before = syncs.load(Ordering::SeqCst);
        node.write(start(), &post(&format!("message {n}")), 0).unwrap();
        assert_eq!(syncs.load(Ordering::SeqCst) - before, 1, "entry {n}");
    }
    let before = syncs.load(Ordering::SeqCst);
    let many: Vec<_> = (0..100).map(|n| (post(&format!("message {n}")), 0)).collect();
    node.write_many(start(), &many, None).unwrap();
    assert_eq!(syncs.load(Ordering::SeqCst) - before, 1, "a batch too");
}

#[test]
fn a_plain_bundle_costs_at_most_8_bytes_an_entry_beyond_content() {
    let mut carrier = Device::new(0);
    for number in 1..=100 {
        let mut author = Device::new(number);
        // With its fixed parts a post is exactly 300 bytes.
        let frame = post("").encode().len() + 2;
        author.write_many((0..998).map(|n| format!("{n:0>width$}", width = 300 - frame)));
        carrier.read(&author.bundle_all());
    }
    let mut source = carrier.reader().bundle(&BundleRequest::default()).unwrap();
    while source.poll().unwrap().is_some() {}
    let gathered = source.gathered();
    assert_eq!((gathered.entries, gathered.feeds), (100 * 1_000 + 2, 101));
    let beyond = gathered.bytes - gathered.content_bytes;
    eprintln!("{beyond} bytes beyond content, {} entries", gathered.entries);
    assert!(
        beyond <= 8 * gathered.entries,
        "{beyond} bytes beyond content for {} entries",
        gathered.entries
    );
}

#[test]
fn a_fresh_feed_in_a_full_store_costs_the_same_however_much_is_held() {
    let (held, more) = (2_400, 800);
    let (before, fresh) = (strangers::bundle(0..held), strangers::bundle(held..held + more));
    let cost = |quota: u64| {
        let disk = CountingDisk::new();
        let reads = Arc::clone(&disk.reads);
        // Nothing is cached, so that whatever is looked at is read.
        let setup = Setup { cache_bytes: 0, ..setup("A") };
        let node = Node::create(disk, &account(1), setup, Seed::new([7; 32]), start());
        let (mut node, now) = (node.unwrap(), start());
        node.set_quota(now, CarryClass::Stranger, quota).unwrap();
        let mut read = |bundle: &[u8]| {
            let already = reads.load(Ordering::SeqCst);
            node.handle(now, Input::BundleOpened { bundle: 1, via: "flood" }).unwrap();
            node.handle(now, Input::BundleChunk { bundle: 1, bytes: bundle }).unwrap();
            node.handle(now, Input::BundleEnded { bundle: 1 }).unwrap();
            let usage = node.reader().unwrap().status().unwrap().usage;
            let used = usage.iter().find(|usage| usage.0 == CarryClass::Stranger).unwrap().1;
            assert!(used > quota * 9 / 10, "the quota is full: {used} bytes");
            reads.load(Ordering::SeqCst) - already
        };
        read(&before);
        read(&fresh) / u64::from(more)
    };
    let (little, much) = (cost(500_000), cost(2_000_000));
    eprintln!("{little} reads a feed where little is held, {much} where much is");
    assert!(much < 2 * little, "{much} reads a feed, and {little} where less is held");
}
