//! The mixed run: every step that writes, once or a few times, in one life of one home.

use thistle_engine::content::{Carry, Content, Ranges};
use thistle_engine::key::FeedId;
use thistle_engine::policy::CarryClass;
use thistle_engine::time::Now;
use thistle_engine::{Node, Setup, StoreError, WriteError};

use super::{Closing, MARK, Moment, post, request};
use crate::author::{Author, account, bundle, bundle_with, secret};
use crate::home::{CACHE_BYTES, Home};
use crate::ledger::{Holdings, Ledger};
use crate::{Cover, Disk, Seed};

/// Bytes that strangers may take in the run.
const STRANGER_QUOTA: u64 = 40_000;

/// When the run begins.
pub(super) const fn start() -> Now {
    Now { tick: 1_000, wall: 1_772_438_400_000, boot_id: 1 }
}

/// Plays the run and takes down what is acknowledged.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) home: Home,
    pub(super) moments: Vec<Moment>,
    pub(super) closing: Closing,
    pub(super) findings: Vec<String>,
    ledger: Ledger,
    mark: u64,
    friend: Home,
    seed: Seed,
}

impl Recorder {
    pub(super) fn begin(disk: Disk) -> Result<Self, WriteError> {
        let mut seed = Seed::new(2);
        let mut create = |disk: &Disk, person, name| {
            let setup = Setup { carry: Carry::Open, name: Some(name), cache_bytes: CACHE_BYTES };
            let (account, secret) = (account(person), secret(&mut seed));
            if disk.cover() == Cover::None {
                return Node::create(disk.clone(), &account, setup, secret, start());
            }
            let sealed = disk.sealed(false).map_err(|_| StoreError::Empty)?;
            Node::create(sealed, &account, setup, secret, start())
        };
        let other = Disk::default();
        let (node, friend) = (create(&disk, 1, "Ana")?, create(&other, 2, "Bo")?);
        let mut recorder = Self {
            home: Home { node, disk, now: start(), mail: Vec::new() },
            moments: Vec::new(),
            closing: Closing::default(),
            findings: Vec::new(),
            ledger: Ledger::default(),
            mark: 0,
            friend: Home { node: friend, disk: other, now: start(), mail: Vec::new() },
            seed,
        };
        recorder.took("init")?;
        Ok(recorder)
    }

    pub(super) fn play(&mut self) -> Result<(), WriteError> {
        self.people()?;
        self.imports()?;
        self.strangers()?;
        self.forks()?;
        self.lifetimes()?;
        self.decisions()?;
        self.upkeep()?;
        self.successor()
    }

    /// An input has returned: what is held now is acknowledged.
    fn took(&mut self, what: &'static str) -> Result<(), StoreError> {
        let holdings = Holdings::of(&self.home.node)?;
        let lost = self.ledger.settle(&holdings);
        self.findings.extend(lost.into_iter().map(|lost| format!("{what}: {lost}")));
        self.moments.push(Moment {
            syncs: usize::try_from(self.home.disk.syncs()).unwrap_or(usize::MAX),
            what,
            now: self.home.now,
            ledger: self.ledger.clone(),
            mark: self.mark,
            left: self.closing.left.len(),
        });
        Ok(())
    }

    fn write(&mut self, what: &'static str, content: &Content, ttl: u32) -> Result<(), WriteError> {
        self.home.pass(1);
        self.home.node.write(self.home.now, content, ttl)?;
        Ok(self.took(what)?)
    }

    fn read(&mut self, what: &'static str, bytes: Vec<u8>) -> Result<(), WriteError> {
        self.home.pass(1);
        let reading = self.home.read(&bytes, 4_000)?;
        let refused = reading.refused.into_iter();
        self.findings.extend(refused.map(|refused| format!("{what}: {refused}")));
        self.closing.read.push(bytes);
        Ok(self.took(what)?)
    }

    fn idle(&mut self, what: &'static str) -> Result<(), WriteError> {
        loop {
            let more = self.home.idle()?;
            self.took(what)?;
            if !more {
                return Ok(());
            }
        }
    }

    /// A bundle leaves for the friend, who reads it and answers.
    fn exchange(&mut self, what: &'static str, addressed: bool) -> Result<(), WriteError> {
        let (me, friend) = (self.home.node.me()?.feed, self.friend.node.me()?.feed);
        let bytes = self.home.bundle(&request(addressed.then_some(friend)))?;
        self.closing.left.push(bytes.clone());
        self.took("a bundle leaves")?;
        self.friend.read(&bytes, 10_000)?;
        self.friend.node.write(self.friend.now, &post("an answer"), 0)?;
        let answer = self.friend.bundle(&request(addressed.then_some(me)))?;
        self.read(what, answer)
    }

    fn follow(&mut self, feed: FeedId) -> Result<(), WriteError> {
        self.home.node.follow(self.home.now, &feed)?;
        self.closing.followed.push(feed);
        Ok(self.took("follow")?)
    }

    fn people(&mut self) -> Result<(), WriteError> {
        for _ in 0..3 {
            self.write("write", &post("hello"), 0)?;
        }
        let (me, friend) = (self.home.node.me()?.feed, self.friend.node.me()?.feed);
        self.friend.node.follow(self.friend.now, &me)?;
        self.follow(friend)?;
        let large = post(&"large ".repeat(900));
        let ours: Vec<_> = (0..50).map(|_| (post("from Bo"), 0)).collect();
        self.friend.node.write_many(self.friend.now, &ours, None)?;
        self.friend.node.write(self.friend.now, &large, 0)?;
        self.exchange("read a bundle", false)?;
        self.write("write a large one", &large, 0)?;
        self.idle("indexes and settling")?;
        self.exchange("read a bundle for me", true)
    }

    fn imports(&mut self) -> Result<(), WriteError> {
        let feed = self.home.node.me()?.feed;
        self.closing.import = Some(feed);
        for _ in 0..4 {
            let mail: Vec<_> = (0..60).map(|_| (post(&"mail ".repeat(20)), 0)).collect();
            self.mark += 60;
            let mark = Some((MARK, self.mark));
            let written = self.home.node.write_many(self.home.now, &mail, mark)?;
            let last = written.last().map_or(0, |written| written.seq);
            self.closing.marks.insert(self.mark, last);
            self.took("import")?;
        }
        self.idle("indexes after an import")
    }

    fn strangers(&mut self) -> Result<(), WriteError> {
        self.home.node.set_quota(self.home.now, CarryClass::Stranger, STRANGER_QUOTA)?;
        self.took("set a quota")?;
        for stranger in 0..9 {
            let mut author = Author::new(100 + stranger, &mut self.seed);
            author.write_posts(12 + u64::from(stranger % 3) * 30, 300);
            let bytes = bundle(&[(&author, 1)], &mut self.seed);
            // Each hour is another carrier.
            self.home.pass(61);
            self.read("read a stranger", bytes)?;
        }
        self.home.node.set_quota(self.home.now, CarryClass::Stranger, STRANGER_QUOTA / 2)?;
        self.took("set a smaller quota")?;
        self.exchange("read another bundle for me", true)
    }

    /// A followed feed has gaps, large payloads that come late, and then it forks, twice.
    fn forks(&mut self) -> Result<(), WriteError> {
        let mut author = Author::new(3, &mut self.seed);
        author.write_posts(20, 40);
        author.write_posts(2, 3_000);
        self.follow(author.feed())?;
        let early = bundle_with(&[(&author, 1)], false, 0, &mut self.seed);
        self.read("read without large payloads", early)?;
        let all = bundle(&[(&author, 1)], &mut self.seed);
        self.read("read large payloads", all)?;
        let mut branch = author.clone();
        branch.write_posts(4, 30);
        author.write_posts(50, 60);
        let island = bundle(&[(&author, 65)], &mut self.seed);
        self.read("read beyond a gap", island)?;
        for (what, author) in [("read on", &author), ("read a branch", &branch)] {
            let bytes = bundle(&[(author, 1)], &mut self.seed);
            self.read(what, bytes)?;
        }
        let mut earlier = branch.clone();
        earlier.forget_from(10);
        earlier.write_posts(3, 10);
        let bytes = bundle(&[(&earlier, 1)], &mut self.seed);
        self.read("read an earlier branch", bytes)
    }

    fn lifetimes(&mut self) -> Result<(), WriteError> {
        let mut author = Author::new(4, &mut self.seed);
        self.follow(author.feed())?;
        for ttl in [1, 2, 48] {
            author.write(&post("not for long"), ttl);
            self.write("write with a lifetime", &post("mine, not for long"), ttl)?;
        }
        let lying = bundle_with(&[(&author, 1)], true, 70, &mut self.seed);
        self.read("read with an age beyond the lifetime", lying)?;
        let fresh = bundle(&[(&author, 1)], &mut self.seed);
        self.read("read with a lesser age", fresh)?;
        self.home.pass(90);
        self.idle("expiry")?;
        self.home.pass(90);
        self.idle("more expiry")
    }

    fn decisions(&mut self) -> Result<(), WriteError> {
        if let Some(ranges) = Ranges::new(vec![(3, 4), (20, 90)]) {
            self.write("retract", &Content::Retraction(ranges), 0)?;
        }
        let (mut author, mut pest) =
            (Author::new(5, &mut self.seed), Author::new(6, &mut self.seed));
        self.follow(author.feed())?;
        author.write_posts(40, 100);
        author.retract(5, 20);
        pest.write_posts(10, 100);
        let bytes = bundle(&[(&author, 1), (&pest, 1)], &mut self.seed);
        self.read("read a retraction", bytes)?;
        self.closing.blocked.push(pest.feed());
        self.home.node.block(self.home.now, &pest.feed())?;
        self.took("block")?;
        self.home.node.unfollow(self.home.now, &author.feed())?;
        self.took("unfollow")?;
        let own = author.feed();
        self.home.node.follow(self.home.now, &own)?;
        self.took("follow again")?;
        self.home.node.set_petname(self.home.now, &own, Some("the baker"))?;
        Ok(self.took("name")?)
    }

    fn upkeep(&mut self) -> Result<(), WriteError> {
        self.home.node.rebuild_indexes(self.home.now)?;
        self.took("forget the indexes")?;
        self.idle("build them anew")?;
        self.home.node.compact()?;
        self.took("compact")?;
        self.write("write after that", &post("room again"), 0)
    }

    /// A copy of the home wrote on: the feed ends and another begins.
    fn successor(&mut self) -> Result<(), WriteError> {
        let mut copy = Home::open(self.home.disk.copy(), self.home.now, &mut self.seed)?;
        for _ in 0..3 {
            copy.node.write(copy.now, &post("from the copy"), 0)?;
        }
        self.write("write beside a copy", &post("from the home"), 0)?;
        let theirs = copy.bundle(&request(None))?;
        self.read("read what a copy wrote", theirs)?;
        self.home.node.confirm(self.home.now, &account(1))?;
        self.took("confirm")?;
        self.write("write in the new feed", &post("goes on"), 0)?;
        self.idle("rest")
    }
}
