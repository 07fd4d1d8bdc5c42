//! One checker for each promise that holds before there is sealing.
//!
//! | promise | checker |
//! | --- | --- |
//! | 1 nothing acknowledged is lost | [`Ledger`](crate::ledger::Ledger) after every step, and `doctor` |
//! | 2 convergence | `check_convergence`, `check_repetition`; `check_own` for feeds that end |
//! | 3 bytes proportional to the difference | `check_difference`, `check_quiet`; `check_nothing_to_say` for meetings |
//! | 6 no clock needed | `check_order`, `check_lifetimes` |
//! | 7 bounded | `check_bounds`; that no stranger evicts what is the user's is in the ledger |
//!
//! Of each link: it ends, once, and well if nobody disturbed it; nothing unverified is served;
//! nothing is sent twice over it unless it was asked for; nothing that was acknowledged comes again
//! (`watch` and `judge`). Promises 4 (carriers cannot read) and 5 (strangers learn little) need
//! sealing, and get their checkers with it.

use std::collections::BTreeMap;

use thistle_engine::bundle::Head;
use thistle_engine::key::FeedId;
use thistle_engine::limits::{
    CONTACTS, ISLANDS_PER_FEED, REMEMBERED_EVICTIONS, STRANGER_FEED_BYTES, WANTS,
};
use thistle_engine::policy::CarryClass;
use thistle_engine::{BundleRequest, FeedInfo, Query, State, StoreError, WriteError};

use super::device::Device;
use super::post_office::Letter;
use super::{PLAZA, Sabotage, Swarm};
use crate::author::post;
use crate::ledger::{Holdings, Name, unsound};

/// What a device holds of the feeds that everybody wants: fork, and branch and state by entry.
type View = BTreeMap<FeedId, (Option<u64>, BTreeMap<Name, (u8, Payload)>)>;

/// A payload as far as nodes have to agree on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Payload {
    Here,
    Absent,
    /// Some may hold it and others not, by right.
    Either,
}

impl Swarm {
    // ---- 2: convergence ----

    /// Everybody holds the same of every device's feed, but for a device's own forked feeds: what it
    /// wrote itself never gives way to another branch.
    pub(super) fn check_convergence(&mut self, expired: bool) -> Result<(), WriteError> {
        let mut views = Vec::new();
        for at in self.present() {
            let Some(device) = self.devices.get(at) else { continue };
            let Some(home) = &device.home else { continue };
            views.push((at, self.view(device, &Holdings::of(&home.node)?)));
        }
        let mut broken = Vec::new();
        for feed in &self.feeds {
            let having = views.iter().filter_map(|(at, view)| Some((*at, view.get(feed)?)));
            let held: Vec<_> = having.collect();
            let expecting = views.iter().filter(|(at, view)| {
                let own = self.devices.get(*at).is_some_and(|device| device.wrote.contains(feed));
                let forked = held.iter().any(|(_, held)| held.0.is_some());
                !(own && forked || view.contains_key(feed))
            });
            if held.iter().any(|(_, view)| !view.1.is_empty()) {
                let lacking = expecting.map(|(at, _)| format!("device {at}: lacks {feed:?} whole"));
                broken.extend(lacking);
            }
            let Some((first, expected)) = held.first() else { continue };
            for (at, found) in &held {
                if let Some(difference) = difference(found, expected) {
                    broken.push(format!("device {at} and {first} over {feed:?}: {difference}"));
                }
            }
        }
        let when = if expired { " after every lifetime" } else { "" };
        self.broken.extend(broken.into_iter().map(|what| format!("no convergence{when}: {what}")));
        Ok(())
    }

    fn view(&self, device: &Device, holdings: &Holdings) -> View {
        let mut view = View::new();
        for (name, entry) in &holdings.entries {
            let Some(info) = holdings.feeds.get(&name.0) else { continue };
            let own_fork = info.forked.is_some() && device.wrote.contains(&name.0);
            // What lies beyond a gap is announced to nobody until the gap closes; and by meetings
            // nothing of a forked feed grows that stands beyond where it forked.
            let grows_not = self.options.meetings.heals;
            let beyond = match info.forked {
                None => name.1 > info.head,
                Some(fork) => grows_not && name.1 >= fork,
            };
            if !self.feeds.contains(&name.0) || own_fork || beyond {
                continue;
            }
            // A retraction on a branch that is not kept reaches those who saw it in time; and who
            // held a payload for its whole life has dropped it for good.
            let taken_back = self.retracted.contains(&(name.0, name.1));
            let payload = match entry.state {
                _ if taken_back && info.forked.is_some() => Payload::Either,
                State::Ended => Payload::Either,
                _ if entry.here => Payload::Here,
                _ => Payload::Absent,
            };
            let feed = view.entry(name.0).or_insert_with(|| (info.forked, BTreeMap::new()));
            feed.1.insert(*name, (entry.branch, payload));
        }
        view
    }

    /// Nobody writes on in a feed of which others hold more than its own device: a device that was
    /// put back from an old copy, or is used beside a copy, has gone on in a new one.
    pub(super) fn check_own(&mut self) -> Result<(), WriteError> {
        let mut all = Vec::new();
        for at in self.present() {
            let Some(home) = self.home(at) else { continue };
            all.push((at, Holdings::of(&home.node)?));
        }
        for (at, own) in &all {
            let me = (own.me, 0, [0; 32])..=(own.me, u64::MAX, [0xff; 32]);
            for (other, theirs) in all.iter().filter(|(other, _)| other != at) {
                let head = theirs.feeds.get(&own.me).map_or(0, |info| info.head);
                let told = theirs.entries.range(me.clone()).map(|(name, _)| name);
                let mut unknown =
                    told.filter(|name| name.1 <= head && !own.entries.contains_key(*name));
                if let Some(name) = unknown.next() {
                    let what = format!("writes on, but device {other} holds its entry {}", name.1);
                    self.broken.push(format!("device {at}: {what}"));
                }
            }
        }
        Ok(())
    }

    /// The same bytes again change nothing.
    pub(super) fn check_repetition(
        &mut self,
        bundles: &[(usize, Vec<u8>)],
    ) -> Result<(), WriteError> {
        let restless = self.is(Sabotage::Restless);
        for at in self.present() {
            let Some(home) = self.devices.get_mut(at).and_then(|device| device.home.as_mut())
            else {
                continue;
            };
            let before = Holdings::of(&home.node)?;
            for (_, bytes) in bundles.iter().filter(|(to, _)| *to == at).take(2) {
                home.read(bytes, 20_000)?;
                home.read(bytes.get(..bytes.len() / 2).unwrap_or_default(), 777)?;
            }
            if restless {
                home.node.write(home.now, &post("in between"), 0)?;
            }
            let after = Holdings::of(&home.node)?;
            let (was, is) = (before.status.log_position, after.status.log_position);
            if was != is || before.entries != after.entries {
                self.breaks(at, [format!("the same bytes again changed it: {was} to {is}")]);
            }
        }
        Ok(())
    }

    // ---- 3: the difference ----

    /// A bundle for a peer holds nothing that the peer stated to hold and did not ask for.
    pub(super) fn check_difference(&mut self, from: usize, peer: Option<&FeedId>, bytes: &[u8]) {
        let Some(device) = self.devices.get(from) else { return };
        let Some(told) = peer.and_then(|peer| device.told.get(peer)) else { return };
        if self.rewound {
            return;
        }
        let found = superfluous(&Letter::open(bytes), told, peer);
        self.breaks(from, found);
    }

    /// Once everybody has everything, and has said so, bundles between them are empty.
    pub(super) fn check_quiet(&mut self) -> Result<(), WriteError> {
        for to in self.present() {
            for from in self.present().into_iter().filter(|from| *from != to) {
                let (Some(home), Some(reader)) = (self.home(from), self.home(to)) else { continue };
                let me = reader.node.me()?.feed;
                let request = BundleRequest { for_peer: Some(me), ..BundleRequest::default() };
                let bytes = home.bundle(&request)?;
                self.check_difference(from, Some(&me), &bytes);
            }
        }
        Ok(())
    }

    /// Two who have nothing to say to each other end with their greetings and one state.
    pub(super) fn check_nothing_to_say(&mut self) -> Result<(), WriteError> {
        if !self.options.meetings.heals {
            return Ok(());
        }
        let present = self.present();
        for (one, other) in present.iter().zip(present.iter().skip(1)) {
            let first = self.meet([*one, *other], [true, true])?;
            if first.asked || first.messages > 4 {
                // What came, or is taken again, after all have healed is agreed upon in the next one.
                self.meet([*other, *one], [true, true])?;
            }
            if self.is(Sabotage::Chatty) {
                self.options.lifetimes = 0;
                self.write(*one)?;
            }
            let met = self.meet([*other, *one], [true, true])?;
            if met.messages > 2 && !met.asked {
                let what = format!("{} messages to {one} with nothing to say", met.messages);
                self.breaks(*other, [what]);
            }
        }
        Ok(())
    }

    // ---- 6: no clock ----

    /// What stands in the channel stands in the same order everywhere.
    pub(super) fn check_order(&mut self) -> Result<(), WriteError> {
        let mut orders: Vec<(usize, Vec<Name>)> = Vec::new();
        for at in self.present() {
            let Some(device) = self.devices.get(at) else { continue };
            let Some(home) = &device.home else { continue };
            let reader = home.node.reader()?;
            // Who keeps a branch that others do not keep, or what lies beyond a gap, knows of more
            // that was answered.
            let grows_not = self.options.meetings.heals;
            let knows_more = |info: &FeedInfo| {
                let forked = info.forked.is_some();
                ((info.own || grows_not) && forked) || (!forked && !info.gaps.is_empty())
            };
            // And the place of an answer stays when a branch goes that held what it answers.
            let remembers = device.holdings.as_ref().is_some_and(|held| {
                let gone = |name: &&Name| !held.entries.contains_key(*name);
                device.dropped.iter().filter(gone).any(|name| self.feeds.contains(&name.0))
            });
            if remembers || reader.feeds()?.iter().any(knows_more) {
                continue;
            }
            let query = Query { channel: Some(PLAZA.to_owned()), ..Query::default() };
            let held = reader.query(&query)?.into_iter().map(|hit| hit.held);
            let names = held.map(|held| (held.feed, held.seq, *held.id.as_bytes()));
            orders.push((at, names.filter(|name| self.feeds.contains(&name.0)).collect()));
        }
        if let (true, Some((_, order))) = (self.is(Sabotage::Disorder), orders.last_mut())
            && !order.is_empty()
        {
            order.rotate_left(1);
        }
        let Some((first, expected)) = orders.first().cloned() else { return Ok(()) };
        for (at, order) in orders {
            if order != expected {
                let place = order.iter().zip(&expected).position(|(a, b)| a != b);
                let lengths = (order.len(), expected.len());
                self.breaks(at, [format!("another order than {first}: {place:?} of {lengths:?}")]);
            }
        }
        Ok(())
    }

    /// No payload goes before its lifetime is over, by what this device and its carriers counted;
    /// and in a world in which nobody lies and no clock jumps, by the world's own time.
    pub(super) fn check_lifetimes(&self, at: usize) -> Vec<String> {
        let mut found = Vec::new();
        let Some(device) = self.devices.get(at) else { return found };
        let (Some(before), Some(now)) = (&device.earlier, &device.holdings) else { return found };
        let passed = now.status.known_minutes.saturating_sub(before.status.known_minutes);
        let honest = self.options.aged == 0 && self.options.clocks == 0;
        for (name, entry) in &now.entries {
            let over = matches!(entry.state, State::Expired | State::Ended);
            let Some(was) = before.entries.get(name).filter(|was| was.here && over) else {
                continue;
            };
            let life = u64::from(was.ttl) * 60;
            if was.age.saturating_add(passed) < life {
                let age = was.age;
                found.push(format!(
                    "{:?} {} expired at {age} + {passed} of {life} minutes",
                    name.0, name.1
                ));
            }
            let Some((born, _)) = self.born.get(name) else { continue };
            let now = self.minutes + self.ms.div_ceil(60_000);
            let age = now.saturating_sub(*born);
            if honest && age < life {
                found.push(format!(
                    "{:?} {} expired after {age} of {life} minutes of the world",
                    name.0, name.1
                ));
            }
        }
        found
    }

    // ---- 7: bounds ----

    /// Every quota and every table keeps its bound.
    pub(super) fn check_bounds(&self, at: usize) -> Vec<String> {
        let mut found = Vec::new();
        let Some(device) = self.devices.get(at) else { return found };
        let Some(holdings) = &device.holdings else { return found };
        let mut bound = |what: &str, value: u64, limit: u64| {
            if value > limit {
                found.push(format!("{what}: {value} over {limit}"));
            }
        };
        for (class, bytes, quota) in &holdings.status.usage {
            bound(class.name(), *bytes, quota.unwrap_or(u64::MAX));
        }
        if let Some(quota) = device.quota {
            let strangers = holdings.status.usage.iter();
            let strangers = strangers.filter(|usage| usage.0 == CarryClass::Stranger);
            bound("strangers by what was set", strangers.map(|usage| usage.1).sum(), quota);
        }
        bound("feeds left out", holdings.status.left_out_feeds, REMEMBERED_EVICTIONS);
        let decided = holdings.feeds.values().filter(|info| info.followed || info.blocked);
        bound("decisions", decided.count() as u64, CONTACTS);
        for info in holdings.feeds.values() {
            bound("gaps of a feed", info.gaps.len() as u64, ISLANDS_PER_FEED);
            if info.class == CarryClass::Stranger {
                bound("a stranger's feed", info.bytes, STRANGER_FEED_BYTES);
            }
        }
        found
    }

    // ---- 1: the store itself ----

    /// `doctor` is silent.
    pub(super) fn check_sound(&mut self, at: usize) -> Result<(), StoreError> {
        let Some(home) = self.home(at) else { return Ok(()) };
        let found = unsound(&home.node)?;
        self.breaks(at, found);
        Ok(())
    }
}

/// What stands in a bundle although its reader said it has it.
fn superfluous(letter: &Letter, told: &Letter, reader: Option<&FeedId>) -> Vec<String> {
    let mut found = Vec::new();
    let stated = |feed: &FeedId| told.heads.get(feed);
    let forked = |feed: &FeedId| {
        let one =
            |letter: &Letter| letter.heads.get(feed).is_some_and(|head| head.forked.is_some());
        one(letter) || one(told)
    };
    for (feed, first, last) in &letter.segments {
        let Some(Head { head, .. }) = stated(feed) else { continue };
        let asked = (*first..=*last).all(|seq| told.wants(feed, seq, false) || seq > *head);
        // A payload whose age matters comes with its segment.
        let payload = (*first..=*last).any(|seq| told.wants(feed, seq, true));
        if !forked(feed) && !asked && !payload {
            found.push(format!("{feed:?} {first} to {last} for one who has {head}"));
        }
        if Some(feed) == reader && !asked && !forked(feed) {
            found.push(format!("{feed:?} {first} to {last} for its own author"));
        }
    }
    for (feed, seq) in &letter.forks {
        if stated(feed).is_some_and(|head| head.forked == Some(*seq)) {
            found.push(format!("the proof that {feed:?} forked at {seq} for one who knows"));
        }
    }
    let all_wanted = (told.wants.len() as u64) < WANTS;
    for (feed, seq) in &letter.payloads {
        let with_entry = letter
            .segments
            .iter()
            .any(|(of, first, last)| of == feed && first <= seq && seq <= last);
        let Some(Head { head, .. }) = stated(feed) else { continue };
        let unasked = !told.wants(feed, *seq, true) && seq <= head;
        if all_wanted && unasked && !with_entry && !forked(feed) {
            found.push(format!("the payload of {feed:?} {seq} for one who has it"));
        }
    }
    found
}

/// What one device holds of a feed and another does not, at most a few entries of it.
fn difference(
    found: &(Option<u64>, BTreeMap<Name, (u8, Payload)>),
    expected: &(Option<u64>, BTreeMap<Name, (u8, Payload)>),
) -> Option<String> {
    let same = |a: &(u8, Payload), b: &(u8, Payload)| {
        let either = a.1 == Payload::Either || b.1 == Payload::Either;
        a.0 == b.0 && (a.1 == b.1 || either)
    };
    let only = |a: &BTreeMap<Name, (u8, Payload)>, b: &BTreeMap<Name, (u8, Payload)>| {
        let lacking =
            a.iter().filter(|(name, held)| !b.get(*name).is_some_and(|other| same(held, other)));
        lacking.map(|(name, held)| (name.1, held.0, held.1)).take(4).collect::<Vec<_>>()
    };
    let (here, there) = (only(&found.1, &expected.1), only(&expected.1, &found.1));
    if found.0 == expected.0 && here.is_empty() && there.is_empty() {
        return None;
    }
    let forks = (found.0, expected.0);
    Some(format!("forks {forks:?}, only here {here:?}, only there {there:?}"))
}
