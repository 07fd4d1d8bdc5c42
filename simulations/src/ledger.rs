//! What a node was told is durable, and whether it is still there: the checker of the first promise.
//!
//! *Nothing acknowledged is lost.* A ledger takes down what a node holds each time an input has
//! returned, since what must be durable is durable by then. Later, after whatever happened, each of
//! these entries and payloads is there, or it left by name: its lifetime was over, its author took
//! it back, a quota had no room for it, the user blocked the feed, or it stands on a branch of a
//! forked feed that is not kept. What left by lifetime, retraction or quota is counted in `status`,
//! and the ledger holds the counts against what is gone.

use std::collections::{BTreeMap, BTreeSet};

use thistle_engine::content::Content;
use thistle_engine::key::FeedId;
use thistle_engine::policy::CarryClass;
use thistle_engine::{Counts, FeedInfo, Held, Node, State, Status, StoreError};

/// The place of an entry and its id.
pub type Name = (FeedId, u64, [u8; 32]);

/// One entry as a node holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// 0, or 1 on the second branch of a forked feed.
    pub branch: u8,
    /// Hours of its lifetime, or 0.
    pub ttl: u32,
    /// Minutes of its age, as this node counts them.
    pub age: u64,
    /// Whether the payload is here.
    pub here: bool,
    /// Where the payload is, or why it is not here.
    pub state: State,
}

/// Everything that a node holds at one moment.
#[derive(Debug, Clone)]
pub struct Holdings {
    /// The feed that the device writes.
    pub me: FeedId,
    /// What is known of each feed.
    pub feeds: BTreeMap<FeedId, FeedInfo>,
    /// Every entry.
    pub entries: BTreeMap<Name, Entry>,
    /// Places that their authors took back, as far as the retractions are here.
    pub taken_back: BTreeSet<(FeedId, u64, u64)>,
    /// Up to which entry feeds were evicted or left out.
    pub left_out: BTreeMap<FeedId, u64>,
    /// The sums.
    pub status: Status,
}

impl Holdings {
    /// Takes down all that a node holds.
    pub fn of(node: &Node) -> Result<Self, StoreError> {
        let reader = node.reader()?;
        let (mut entries, mut taken_back) = (BTreeMap::new(), BTreeSet::new());
        let feeds: BTreeMap<FeedId, FeedInfo> =
            reader.feeds()?.into_iter().map(|info| (info.feed, info)).collect();
        for feed in feeds.values().filter(|info| info.held > 0).map(|info| info.feed) {
            reader.export(&feed, &mut |held: Held| {
                if let Some(payload) = &held.payload
                    && let Ok(Content::Retraction(ranges)) = Content::decode(payload)
                {
                    let ranges = ranges.as_slice().iter();
                    taken_back.extend(ranges.map(|(first, last)| (feed, *first, *last)));
                }
                let here = held.payload.is_some();
                let Held { branch, ttl, age, state, .. } = held;
                let name = (feed, held.seq, *held.id.as_bytes());
                entries.insert(name, Entry { branch, ttl, age, here, state });
                Ok(true)
            })?;
        }
        let left_out = reader.left_out()?.into_iter().collect();
        let (me, status) = (reader.me()?.feed, reader.status()?);
        Ok(Self { me, feeds, entries, taken_back, left_out, status })
    }
}

/// What `doctor` finds in a node.
pub fn unsound(node: &Node) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    node.reader()?.check(&mut |finding| found.push(format!("doctor: {finding}")))?;
    Ok(found)
}

/// What a node was told is durable.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    entries: BTreeMap<Name, Told>,
    taken_back: BTreeSet<(FeedId, u64, u64)>,
    counts: Counts,
}

/// What was told of one entry.
#[derive(Debug, Clone, Copy)]
struct Told {
    /// This device wrote it, or an earlier one of the same home.
    own: bool,
    ttl: u32,
    here: bool,
    class: CarryClass,
    /// It stood beyond a gap: when its feed forks, nobody can tell to which branch it belongs.
    island: bool,
}

/// How many things left, by the count that `status` keeps of it.
#[derive(Debug, Clone, Copy, Default)]
struct Left {
    expired: u64,
    retracted: u64,
    evicted: u64,
}

impl Ledger {
    /// Compares what was told before with what is held now, and takes down what is held now. The
    /// answer names what is missing without a reason.
    pub fn settle(&mut self, holdings: &Holdings) -> Vec<String> {
        let lost = self.lost(holdings);
        self.replace(holdings);
        lost
    }

    /// What is missing without a reason.
    pub fn lost(&self, holdings: &Holdings) -> Vec<String> {
        let (mut lost, mut left) = (Vec::new(), Left::default());
        for (name, told) in &self.entries {
            let now = holdings.entries.get(name);
            if let Some(why) = self.missing(name, *told, now, holdings, &mut left) {
                let (feed, seq, _) = name;
                lost.push(format!("lost {feed:?} {seq}: {why}"));
            }
        }
        let counts = &holdings.status.counts;
        for (what, gone, before, after) in [
            ("expired", left.expired, self.counts.expired, counts.expired),
            ("retracted", left.retracted, self.counts.retracted, counts.retracted),
            ("evicted", left.evicted, self.counts.evicted_entries, counts.evicted_entries),
        ] {
            let counted = after.saturating_sub(before);
            if gone > counted || after < before {
                lost.push(format!("{gone} {what}, but the count went from {before} to {after}"));
            }
        }
        lost
    }

    fn replace(&mut self, holdings: &Holdings) {
        let before = std::mem::take(&mut self.entries);
        for (name, entry) in &holdings.entries {
            let Some(info) = holdings.feeds.get(&name.0) else { continue };
            // What comes later of an own feed that forked was written by a copy of this device; and
            // what stands beyond a gap by this one, before it was put back from an old copy.
            let island = name.1 > info.head;
            let was_own = before.get(name).is_some_and(|told| told.own);
            let own = was_own || (info.own && info.forked.is_none() && !island);
            let (ttl, here, class) = (entry.ttl, entry.here, info.class);
            let told = Told { own, ttl, here, class, island };
            self.entries.insert(*name, told);
        }
        self.taken_back.extend(&holdings.taken_back);
        self.counts = holdings.status.counts;
    }

    /// Why an entry that was told of is missing without a reason; none if all is well.
    fn missing(
        &self,
        name: &Name,
        told: Told,
        now: Option<&Entry>,
        holdings: &Holdings,
        left: &mut Left,
    ) -> Option<String> {
        let Some(now) = now else { return entry_gone(name, told, holdings, left) };
        if !told.here || now.here {
            return None;
        }
        let is_taken_back = || {
            let covers = |(feed, first, last): &(FeedId, u64, u64)| {
                *feed == name.0 && *first <= name.1 && name.1 <= *last
            };
            self.taken_back.iter().chain(&holdings.taken_back).any(covers)
        };
        // What a fork cuts off can come back without its payload, or without what was taken back
        // meanwhile.
        let cut_off = !told.own && cut_off(name, told, holdings);
        let counts =
            u64::from(holdings.feeds.get(&name.0).is_none_or(|info| info.forked.is_none()));
        match now.state {
            State::Expired | State::Ended if told.ttl > 0 => left.expired += counts,
            State::Retracted if is_taken_back() => left.retracted += counts,
            State::Apart if cut_off => {}
            State::Evicted if told.class != CarryClass::Own && !told.own => {}
            state => return Some(format!("the payload is {}", state.name())),
        }
        None
    }
}

/// Why an entry that was told of is not held any more without a reason; none if all is well.
fn entry_gone(name: &Name, told: Told, holdings: &Holdings, left: &mut Left) -> Option<String> {
    if told.own {
        return Some("this device wrote it".to_owned());
    }
    let (feed, seq, _) = name;
    let info = holdings.feeds.get(feed);
    if info.is_some_and(|info| info.blocked) {
        return None;
    }
    if cut_off(name, told, holdings) {
        return None;
    }
    let is_stranger = info.is_none_or(|info| info.class == CarryClass::Stranger);
    let below = info.is_some_and(|info| *seq > 1 && *seq < info.floor);
    let left_out = holdings.left_out.get(feed).is_some_and(|last| seq <= last);
    if is_stranger && (below || left_out) {
        left.evicted += 1;
        return None;
    }
    // A fork first cut off what stood here, and then the quota had no room for the rest of the feed.
    let gone_whole = info.is_none_or(|info| info.held == 0);
    if is_stranger && gone_whole && holdings.left_out.contains_key(feed) {
        return None;
    }
    Some(format!("the entry of a {} is gone", told.class.name()))
}

/// Whether an entry stands where its feed forked, or stood beyond a gap when that was found out.
fn cut_off(name: &Name, told: Told, holdings: &Holdings) -> bool {
    let fork = holdings.feeds.get(&name.0).and_then(|info| info.forked);
    fork.is_some_and(|fork| name.1 >= fork || told.island)
}
