//! Queries and indexing against a naive model that sorts everything, over a real store in memory.
//!
//! Goal: whatever arrives in whatever order, however far the index has come, every query gives
//! what filtering and sorting all entries gives, and lamports are those of `order.rs`.

use arbtest::arbitrary::{Result as Arbitrary, Unstructured};
use redb::backends::InMemoryBackend;

use super::lines::Name;
use super::query::{Hit, Order, Query, find, profiles, run};
use super::runs::{Directory, RUNS};
use super::tables::LOG;
use super::view::{PROFILES, RAISED, START, TERMS, Tables, View};
use super::{
    FeedRow, Kept, NewEntry, Restored, Snapshot, State, Store, StoreError, Writer, index, log_hash,
    tables,
};
use crate::content::{Content, Post, Prefix, Profile, Ranges, parents_in_order};
use crate::entry::{EntryId, Header, Stub};
use crate::key::{FeedId, short_of};
use crate::order::{Node, lamports};
use crate::policy::CarryClass;
use crate::time::Now;

const NOW: Now = Now { tick: 0, wall: 1_000, boot_id: 1 };

/// An entry of the model.
#[derive(Debug, Clone)]
struct Known {
    feed: usize,
    seq: u64,
    id: EntryId,
    payload: Vec<u8>,
    /// None if the payload cannot be read, here or ever.
    content: Option<Content>,
    /// Whether the payload travels by itself and later.
    late: bool,
    /// Position in the log, once it is here.
    position: u64,
}

impl Known {
    fn post(&self) -> Option<&Post> {
        match &self.content {
            Some(Content::Post(post) | Content::Reply(post)) => Some(post),
            _ => None,
        }
    }

    fn kind_and_time(&self) -> (u64, Option<u64>) {
        self.content.as_ref().map_or((0, None), super::view::kind_and_time)
    }

    fn answered(&self) -> Option<Prefix> {
        match &self.content {
            Some(Content::Reply(reply)) => reply.parents.first().copied(),
            _ => None,
        }
    }
}

/// A store and what a model knows of it.
struct World {
    store: Store,
    feeds: Vec<Vec<Known>>,
    /// Entries of each feed that have arrived.
    here: Vec<usize>,
    /// Payloads that have not.
    missing: Vec<(usize, usize)>,
    log: u64,
}

fn feed_id(feed: usize) -> FeedId {
    FeedId::from_bytes([u8::try_from(feed).unwrap() + 1; 32])
}

fn number(feed: usize) -> u32 {
    u32::try_from(feed).unwrap()
}

fn new_store(feeds: usize) -> Store {
    let mut store = Store::create(InMemoryBackend::new(), 1 << 24, NOW).unwrap();
    let made: Result<(), StoreError> = store.write(NOW, |writer| {
        writer.found()?;
        for feed in 0..feeds {
            let row = FeedRow {
                id: feed_id(feed),
                branch: 0,
                class: CarryClass::Own,
                origin: None,
                runs: Vec::new(),
                floor: 0,
                head_id: EntryId::from_bytes([0; 32]),
                entries: 0,
                bytes: 0,
                carrier: 0,
                since: 0,
                fork_seq: None,
                retracts: false,
                own: 0,
            };
            assert_eq!(writer.add_feed(row)?, number(feed));
        }
        Ok(())
    });
    made.unwrap();
    store
}

fn write<T>(store: &mut Store, step: impl FnOnce(&mut Writer<'_>) -> Result<T, StoreError>) -> T {
    store.write(NOW, step).unwrap()
}

/// Keeps a run of entries as it would arrive.
fn arrive(writer: &mut Writer<'_>, feed: u32, prev: Option<EntryId>, run: &[Known]) {
    let new = |entry: &Known| {
        let state = if entry.late { State::Apart } else { State::Here };
        let payload = (!entry.late).then(|| entry.payload.clone());
        let stub = Stub::of(0, &entry.payload);
        let kept = Kept { stub, age: 0, since: 0, state, payload, signature: None };
        NewEntry { id: entry.id, kept, apart: None }
    };
    let (first, last) = (run[0].seq, run[run.len() - 1].seq);
    writer.append(feed, first, prev, run.iter().map(new).collect()).unwrap();
    let via = writer.via("a test").unwrap();
    writer.arrived(feed, (first, last), tables::ArrivalKind::Entries, via).unwrap();
    writer.flush_arrival().unwrap();
}

const CHANNELS: [Option<&str>; 4] = [None, Some("berry"), Some("Äpfel"), Some("nobody")];
const AUTHORS: [Option<&str>; 4] = [None, None, Some("Ann Berry"), Some("bob")];
const TEXTS: [&str; 5] = ["", "one ann", "TWO", "drei Äpfel", "two and three"];

fn content(u: &mut Unstructured<'_>, before: &[Known]) -> Arbitrary<Vec<u8>> {
    let time = u.int_in_range(0..=12)?;
    let text = (*u.choose(&TEXTS)?).to_owned();
    let content = match u.int_in_range(0..=19)? {
        0 => Content::Profile(Profile { time, name: format!("Ann {text}"), about: "TWO".into() }),
        1 => Content::Profile(Profile { time, name: "Carl".to_owned(), about: text }),
        2 => Content::Retraction(Ranges::new(vec![(900, 901)]).unwrap()),
        3 => return Ok(vec![0x81, 0x0c]),
        4 => return Ok(vec![0x82, 0x01, 0x00]),
        5 => return Ok(Vec::new()),
        _ => {
            let mut parents = Vec::new();
            for _ in 0..u.int_in_range(0..=4)? {
                // Mostly something recent, else anything, else nothing that is here.
                let most = if u.ratio(3, 4)? { 5 } else { 500 };
                let back = u.int_in_range(1..=most)?;
                let parent = before.len().checked_sub(back).map(|at| before[at].id.prefix());
                parents.push(parent.unwrap_or([u.int_in_range(0..=1)?; 8]));
            }
            let answered = if u.ratio(2, 3)? { parents.pop() } else { None };
            let channel = u.choose(&CHANNELS[..3])?.map(str::to_owned);
            let author = u.choose(&AUTHORS)?.map(str::to_owned);
            let parents = parents_in_order(answered, parents);
            let post = Post { time, channel, text, parents, author };
            if answered.is_some() { Content::Reply(post) } else { Content::Post(post) }
        }
    };
    Ok(content.encode())
}

impl World {
    fn new(u: &mut Unstructured<'_>) -> Arbitrary<Self> {
        let count = u.int_in_range(1..=4)?;
        let mut feeds = vec![Vec::new(); count];
        let mut all: Vec<Known> = Vec::new();
        for _ in 0..u.int_in_range(1..=60)? {
            let feed = u.int_in_range(0..=count - 1)?;
            let payload = content(u, &all)?;
            let feed_entries: &mut Vec<Known> = &mut feeds[feed];
            let prev = feed_entries.last().map(|entry| entry.id);
            let seq = feed_entries.len() as u64 + 1;
            let id = Header::new(feed_id(feed), seq, prev, Stub::of(0, &payload)).id();
            let late = !payload.is_empty() && u.ratio(1, 8)?;
            let content = None;
            let entry = Known { feed, seq, id, payload, content, late, position: 0 };
            feed_entries.push(entry.clone());
            all.push(entry);
        }
        let store = new_store(count);
        Ok(Self { store, here: vec![0; count], feeds, missing: Vec::new(), log: 0 })
    }

    /// Something arrives, or something is indexed; false if all is here.
    fn step(&mut self, u: &mut Unstructured<'_>) -> Arbitrary<bool> {
        if u.ratio(1, 3)? {
            self.index(u.int_in_range(0..=20)?, u.int_in_range(1..=3)?);
            return Ok(true);
        }
        if !self.missing.is_empty() && u.ratio(1, 3)? {
            let at = u.int_in_range(0..=self.missing.len() - 1)?;
            self.late_payload(at);
            return Ok(true);
        }
        let open: Vec<_> = (0..self.feeds.len())
            .filter(|feed| self.here[*feed] < self.feeds[*feed].len())
            .collect();
        let Some(feed) = (!open.is_empty()).then(|| u.choose(&open)).transpose()? else {
            return Ok(!self.missing.is_empty());
        };
        let first = self.here[*feed];
        let last = u.int_in_range(first + 1..=self.feeds[*feed].len())?;
        self.entries(*feed, first, last);
        Ok(true)
    }

    fn entries(&mut self, feed: usize, first: usize, last: usize) {
        self.log += 1;
        self.here[feed] = last;
        for at in first..last {
            let entry = &mut self.feeds[feed][at];
            entry.position = self.log;
            if entry.late {
                self.missing.push((feed, at));
            } else {
                entry.content = Content::decode(&entry.payload).ok();
            }
        }
        let prev = first.checked_sub(1).map(|before| self.feeds[feed][before].id);
        let run = self.feeds[feed][first..last].to_vec();
        write(&mut self.store, |writer| {
            arrive(writer, number(feed), prev, &run);
            Ok(())
        });
    }

    fn late_payload(&mut self, at: usize) {
        let (feed, at) = self.missing.swap_remove(at);
        let entry = &mut self.feeds[feed][at];
        entry.content = Content::decode(&entry.payload).ok();
        let (seq, payload) = (entry.seq, entry.payload.clone());
        self.log += 1;
        write(&mut self.store, |writer| {
            let stored = writer.entry(number(feed), seq)?.unwrap();
            let restored = Restored { seq, kept: &stored.kept, payload: &payload, age: 0 };
            writer.restore_payloads(number(feed), &[restored])?;
            let via = writer.via("late")?;
            writer.arrived(number(feed), (seq, seq), tables::ArrivalKind::Payload, via)
        });
    }

    /// Indexes in tiny steps, until no raise is left over: a query does not wait for those.
    fn index(&mut self, entries: u64, raises: u64) {
        write(&mut self.store, |writer| index::step(writer, entries, raises, 5));
        while self.snapshot().len(RAISED).unwrap() > 0 {
            write(&mut self.store, |writer| index::step(writer, 0, raises, 5));
        }
    }

    fn snapshot(&self) -> Snapshot {
        self.store.snapshot().unwrap()
    }

    fn here(&self) -> impl Iterator<Item = &Known> {
        self.feeds.iter().zip(&self.here).flat_map(|(feed, here)| &feed[..*here])
    }

    /// Whether a child that names a parent means it.
    fn means(child: &Post, parent: &Known) -> bool {
        let same = |parent: &Post| parent.channel == child.channel;
        parent.post().is_some_and(|parent| child.channel.is_none() || same(parent))
    }

    /// All that is here with its lamport: what `order.rs` makes of the posts and replies.
    fn lamports(&self) -> Vec<(&Known, u32)> {
        let (posts, others): (Vec<_>, Vec<_>) =
            self.here().partition(|known| known.post().is_some());
        let node = |known: &&Known| {
            let post = known.post().unwrap();
            let mut parents = post.parents.clone();
            parents.retain(|parent| {
                let mut named = posts.iter().filter(|known| known.id.prefix() == *parent);
                named.any(|parent| Self::means(post, parent))
            });
            Node { id: known.id, time: post.time, parents }
        };
        let nodes: Vec<_> = posts.iter().map(node).collect();
        let lamports = lamports(&nodes).into_iter().map(|lamport| u32::try_from(lamport).unwrap());
        posts.into_iter().zip(lamports).chain(others.into_iter().map(|other| (other, 0))).collect()
    }

    fn named(&self, feed: usize, lower: &str) -> bool {
        let profiles = self.feeds[feed][..self.here[feed]].iter().rev();
        let mut names = profiles.filter_map(|known| match &known.content {
            Some(Content::Profile(profile)) => Some(&profile.name),
            _ => None,
        });
        names.next().is_some_and(|name| name.to_lowercase().contains(lower))
    }

    fn has_text(&self, known: &Known, text: &str) -> bool {
        let lower = text.to_lowercase();
        let words = match &known.content {
            Some(Content::Post(post) | Content::Reply(post)) => {
                vec![Some(&post.text), post.channel.as_ref(), post.author.as_ref()]
            }
            Some(Content::Profile(profile)) => vec![Some(&profile.name), Some(&profile.about)],
            _ => Vec::new(),
        };
        let mut words = words.into_iter().flatten();
        words.any(|words| words.to_lowercase().contains(&lower)) || self.named(known.feed, &lower)
    }

    /// The ids of a thread, by growing it until it stops.
    fn thread(&self, id: EntryId) -> Vec<EntryId> {
        let known = |prefix: Prefix| self.here().find(|known| known.id.prefix() == prefix);
        let mut root = id.prefix();
        // The channel that a first entry has to be of, if its answers tell one.
        let mut channel: Option<String> = None;
        while let Some(child) = known(root)
            && let Some(answered) = child.answered()
        {
            let post = child.post().unwrap();
            if known(answered).is_some_and(|held| held.post().is_some() && !Self::means(post, held))
            {
                break;
            }
            channel.clone_from(&post.channel);
            root = answered;
        }
        let mut members: Vec<&Known> = known(root).into_iter().collect();
        loop {
            let belongs = |child: &&Known| {
                let Some(post) = child.post() else { return false };
                let Some(answered) = child.answered() else { return false };
                let to_member = members
                    .iter()
                    .any(|member| member.id.prefix() == answered && Self::means(post, member));
                let to_unknown = answered == root
                    && known(root).is_none_or(|root| root.post().is_none())
                    && (post.channel.is_none() || channel.is_none() || post.channel == channel);
                (to_member || to_unknown) && !members.iter().any(|member| member.id == child.id)
            };
            let more: Vec<_> = self.here().filter(belongs).collect();
            if more.is_empty() {
                return members.iter().map(|member| member.id).collect();
            }
            members.extend(more);
        }
    }

    fn selects(&self, known: &Known, query: &Query) -> bool {
        let (kind, time) = known.kind_and_time();
        let kinds = if query.kinds.is_empty() { &[1, 2][..] } else { &query.kinds };
        let post = known.post();
        let channel = post.and_then(|post| post.channel.as_ref());
        let author = post.and_then(|post| post.author.as_ref());
        kinds.contains(&kind)
            && (query.feeds.is_empty() || query.feeds.contains(&feed_id(known.feed)))
            && query.channel.as_ref().is_none_or(|asked| channel == Some(asked))
            && query.author.as_ref().is_none_or(|asked| author == Some(asked))
            && query.since.is_none_or(|since| time.is_some_and(|time| since <= time))
            && query.until.is_none_or(|until| time.is_some_and(|time| time < until))
            && query.text.as_ref().is_none_or(|text| self.has_text(known, text))
            && query.thread.is_none_or(|thread| self.thread(thread).contains(&known.id))
    }

    /// What a query has to give: position in the order, id and lamport.
    fn expected(&self, query: &Query) -> Vec<(EntryId, u32)> {
        let rank = |known: &Known, lamport: u32| {
            let (lamport, time) = (u64::from(lamport), known.kind_and_time().1.unwrap_or(0));
            match query.order {
                Order::Causal => (lamport, time, known.id),
                Order::Time => (time, lamport, known.id),
                Order::Arrival => (known.position, known.seq, known.id),
            }
        };
        let all = self.lamports();
        let mut hits: Vec<_> =
            all.into_iter().filter(|(known, _)| self.selects(known, query)).collect();
        hits.sort_by_key(|(known, lamport)| rank(known, *lamport));
        let first = hits.len().saturating_sub(query.limit);
        hits.drain(..first);
        hits.into_iter().map(|(known, lamport)| (known.id, lamport)).collect()
    }

    fn check(&self, query: &Query) {
        let hits = run(&self.snapshot(), query).unwrap();
        let found: Vec<_> = hits.iter().map(|hit| (hit.held.id, hit.lamport)).collect();
        assert_eq!(found, self.expected(query), "{query:?}");
        for Hit { held, content, received, .. } in hits {
            let known = self.here().find(|known| known.id == held.id).unwrap();
            assert_eq!(content, known.content);
            assert_eq!(received.map(|received| received.position), Some(known.position));
        }
    }
}

fn query(u: &mut Unstructured<'_>, world: &World) -> Arbitrary<Query> {
    let mut query = Query::default();
    let seldom = |u: &mut Unstructured<'_>| u.ratio(1, 4);
    for feed in 0..=world.feeds.len() {
        if u.ratio(1, 6)? {
            query.feeds.push(feed_id(feed));
        }
    }
    if seldom(u)? {
        query.channel = u.choose(&CHANNELS)?.map(str::to_owned);
    }
    if seldom(u)? {
        query.author = u.choose(&AUTHORS)?.map(str::to_owned);
    }
    for kind in [0, 1, 2, 3, 9, 12] {
        if u.ratio(1, 5)? {
            query.kinds.push(kind);
        }
    }
    if seldom(u)? {
        query.since = Some(u.int_in_range(0..=12)?);
    }
    if seldom(u)? {
        query.until = Some(u.int_in_range(0..=12)?);
    }
    if seldom(u)? {
        query.text = Some((*u.choose(&["", "ann", "ANN", "two", "äpfel", "Berry", "no"])?).into());
    }
    if seldom(u)? {
        let all: Vec<_> = world.feeds.iter().flatten().map(|known| known.id).collect();
        query.thread = Some(*u.choose(&all)?);
    }
    if u.arbitrary()? {
        query.limit = u.int_in_range(0..=12)?;
    }
    query.order = *u.choose(&[Order::Causal, Order::Time, Order::Arrival])?;
    Ok(query)
}

#[test]
fn every_query_gives_what_sorting_everything_gives() {
    arbtest::arbtest(|u| {
        let mut world = World::new(u)?;
        while world.step(u)? && !u.is_empty() {
            world.check(&query(u, &world)?);
        }
        world.check(&Query { kinds: (0..20).collect(), ..Query::default() });
        Ok(())
    })
    .size_min(3_000)
    .budget_ms(3_000);
}

#[test]
fn the_same_entries_have_the_same_lamports_however_they_came() {
    arbtest::arbtest(|u| {
        let mut world = World::new(u)?;
        while world.step(u)? && !u.is_empty() {}
        world.index(1_000, 2);
        let view = View::indexed(&world.snapshot()).unwrap();
        for (known, lamport) in world.lamports() {
            let name = Name::new(known.id.prefix(), number(known.feed), known.seq);
            assert_eq!(view.node(&name).unwrap().map(|node| node.lamport), Some(lamport));
        }
        Ok(())
    })
    .size_min(2_000)
    .budget_ms(1_000);
}

#[test]
fn heads_and_ids_are_found_wherever_the_index_stands() {
    arbtest::arbtest(|u| {
        let mut world = World::new(u)?;
        while world.step(u)? && !u.is_empty() {
            let snapshot = world.snapshot();
            let channel = u.choose(&CHANNELS)?.unwrap_or("berry");
            let query = Query { channel: Some(channel.to_owned()), ..Query::default() };
            let expected: Vec<_> = world.expected(&query).into_iter().map(|(id, _)| id).collect();
            let is_named = |id: &EntryId| {
                let mut posts = world.here().filter_map(Known::post);
                posts.any(|post| {
                    post.channel.as_deref() == Some(channel) && post.parents.contains(&id.prefix())
                })
            };
            let heads: Vec<_> =
                expected.into_iter().rev().filter(|id| !is_named(id)).take(4).collect();
            assert_eq!(index::heads_of(&snapshot, channel).unwrap(), heads);
            let ends: [u8; 2] = u.arbitrary()?;
            let (from, to) = ([ends[0]; 32], [ends[1]; 32]);
            let mut ids: Vec<_> = world.here().map(|known| known.id).collect();
            ids.retain(|id| (&from..=&to).contains(&id.as_bytes()));
            ids.sort_unstable();
            ids.truncate(16);
            let found = find(&snapshot, from, to).unwrap();
            assert_eq!(found.into_iter().map(|(id, ..)| id).collect::<Vec<_>>(), ids);
        }
        Ok(())
    })
    .size_min(2_000)
    .budget_ms(1_000);
}

#[test]
fn what_is_dropped_leaves_nothing_behind() {
    arbtest::arbtest(|u| {
        let mut world = World::new(u)?;
        while world.step(u)? && !u.is_empty() {
            let feed = u.int_in_range(0..=world.feeds.len() - 1)?;
            if world.here[feed] > 0 && u.ratio(1, 3)? {
                let at = u.int_in_range(0..=world.here[feed] - 1)?;
                let seq = world.feeds[feed][at].seq;
                world.feeds[feed][at].content = None;
                world.missing.retain(|missing| *missing != (feed, at));
                write(&mut world.store, |writer| {
                    let stored = writer.entry(number(feed), seq)?.unwrap();
                    writer.drop_payload(number(feed), &stored, State::Evicted)
                });
            }
            // Lamports of what was dropped are remembered, so only what is found is compared.
            let hits = run(
                &world.snapshot(),
                &Query { kinds: vec![0, 1, 2, 3, 9, 12], ..Query::default() },
            );
            let mut found: Vec<_> =
                hits.unwrap().into_iter().map(|hit| (hit.held.id, hit.content)).collect();
            found.sort_by_key(|(id, _)| *id);
            let mut expected: Vec<_> =
                world.here().map(|known| (known.id, known.content.clone())).collect();
            expected.sort_by_key(|(id, _)| *id);
            assert_eq!(found, expected);
        }
        write(&mut world.store, index::rebuild);
        world.index(1_000, 100);
        world.check(&Query { kinds: vec![0, 1, 2, 3, 9, 12], ..Query::default() });
        write(&mut world.store, |writer| {
            (0..world.feeds.len()).try_for_each(|feed| writer.drop_feed(number(feed)))
        });
        // Enough is gone for everything to be merged, and what is gone stays out.
        while write(&mut world.store, |writer| index::step(writer, 100, 100, 7)).more {}
        let snapshot = world.snapshot();
        assert_eq!((snapshot.len(RUNS).unwrap(), snapshot.len(PROFILES).unwrap()), (0, 0));
        assert!(snapshot.len(TERMS).unwrap() <= 1, "the last number");
        assert_eq!(run(&snapshot, &Query::default()).unwrap(), []);
        Ok(())
    })
    .size_min(3_000)
    .budget_ms(2_000);
}

/// A world of feeds in which each entry names the one before it.
fn lines(feeds: usize, entries: u64) -> World {
    let mut world = World {
        store: new_store(feeds),
        feeds: vec![Vec::new(); feeds],
        here: vec![0; feeds],
        missing: Vec::new(),
        log: 0,
    };
    for (feed, line) in world.feeds.iter_mut().enumerate() {
        for seq in 1..=entries {
            let before = line.last().map(|known| known.id);
            let parents = before.iter().map(EntryId::prefix).collect();
            let payload =
                Content::Post(Post { time: 10_000 - seq, parents, ..Post::default() }).encode();
            let id = Header::new(feed_id(feed), seq, before, Stub::of(0, &payload)).id();
            line.push(Known { feed, seq, id, payload, content: None, late: false, position: 0 });
        }
    }
    world
}

#[test]
fn runs_are_merged_and_what_was_merged_is_removed() {
    let mut world = lines(3, 2_500);
    for feed in 0..3 {
        for first in (0..2_500).step_by(500) {
            world.entries(feed, first, first + 500);
            write(&mut world.store, |writer| index::step(writer, 300, 1_000, 900));
        }
    }
    while write(&mut world.store, |writer| index::step(writer, 300, 1_000, 900)).more {}
    let query = Query { limit: 30, ..Query::default() };
    world.check(&query);
    let snapshot = world.snapshot();
    let runs = Directory::decode(snapshot.index_state("runs").unwrap().as_deref()).unwrap();
    assert!(!runs.is_busy() && (7_500..7_700).contains(&runs.entries()), "{runs:?}");
    // A row takes 17 + 26 bytes, one for its parent 17 + 8, two in order 26 + 1 each.
    let least = 7_500 * (43 + 25 + 54) / 4_000;
    let blocks = snapshot.len(RUNS).unwrap();
    assert!((least..least + least / 4).contains(&blocks), "{blocks} blocks, {least} are enough");
}

#[test]
fn a_dropped_parent_keeps_its_place_before_its_answers() {
    let mut world = lines(1, 4);
    world.entries(0, 0, 3);
    world.index(10, 10);
    write(&mut world.store, |writer| {
        let stored = writer.entry(0, 3)?.unwrap();
        writer.drop_payload(0, &stored, State::Evicted)
    });
    world.entries(0, 3, 4);
    for _ in 0..2 {
        let hits = run(&world.snapshot(), &Query::default()).unwrap();
        let found: Vec<_> = hits.iter().map(|hit| (hit.held.seq, hit.lamport)).collect();
        assert_eq!(found, [(1, 1), (2, 2), (4, 4)]);
        world.index(10, 10);
    }
}

#[test]
fn what_was_dropped_and_came_again_is_found_once_and_where_it_came_last() {
    for indexed in [false, true] {
        let mut world = lines(2, 4);
        world.entries(0, 0, 4);
        world.entries(1, 0, 4);
        if indexed {
            world.index(5, 10);
        }
        write(&mut world.store, |writer| writer.drop_entries(0, 2, 4));
        world.entries(0, 1, 3);
        world.entries(0, 3, 4);
        for _ in 0..3 {
            for order in [Order::Causal, Order::Time, Order::Arrival] {
                world.check(&Query { order, ..Query::default() });
                world.check(&Query { order, limit: 2, ..Query::default() });
            }
            world.index(9, 10);
        }
    }
}

#[test]
fn the_floor_of_the_log_rises_and_what_is_here_is_found_as_before() {
    let mut world = lines(3, 40);
    let mut places = vec![(0, [0; 8])];
    for at in 0..40 {
        for feed in 0..3 {
            // In one feed two entries come at once.
            if feed > 0 || at % 2 == 0 {
                world.entries(feed, at, if feed > 0 { at + 1 } else { at + 2 });
                let heads = world.snapshot().heads().unwrap();
                places.push((heads.log_len, short_of(&heads.log_hash)));
            }
        }
    }
    let len = places.len() as u64 - 1;
    let rows = |world: &World| world.snapshot().len(LOG).unwrap();
    let raise = |world: &mut World| write(&mut world.store, |writer| writer.raise_floor(10, 7));
    assert!(!raise(&mut world), "all is here");
    write(&mut world.store, |writer| {
        writer.drop_feed(1)?;
        writer.drop_feed(2)
    });
    world.here[1..].fill(0);
    assert!(!raise(&mut world), "nothing is indexed");
    assert_eq!(rows(&world), len);
    world.index(1_000, 1_000);
    while raise(&mut world) {}
    let left = rows(&world);
    assert!((44..=50).contains(&left), "{left}: twice what is here, and some");
    let snapshot = world.snapshot();
    let (floor, mut hash) = snapshot.log_floor().unwrap();
    assert!((50..len - 10).contains(&floor), "{floor}");
    for place in &places {
        assert_eq!(snapshot.is_place(*place).unwrap(), place.0 >= floor, "{place:?} {floor}");
    }
    assert!(
        !snapshot.is_place((len, [7; 8])).unwrap() && !snapshot.is_place((floor, [7; 8])).unwrap()
    );
    let mut next = floor;
    snapshot
        .arrivals_from(floor + 1, &mut |position, arrival| {
            next += 1;
            (hash, _) = log_hash(&hash, &arrival);
            assert_eq!((position, short_of(&hash)), (next, arrival.hash));
            Ok(true)
        })
        .unwrap();
    assert_eq!((next, hash), (len, snapshot.heads().unwrap().log_hash));
    // What goes from below the floor takes its row with it, once all of it is gone.
    for (first, last, gone) in [(1, 1, 0), (2, 4, 2), (40, 40, 2)] {
        write(&mut world.store, |writer| writer.drop_entries(0, first, last));
        assert_eq!(rows(&world), left - gone, "{first} to {last}");
    }
    let query = Query { order: Order::Arrival, ..Query::default() };
    assert_eq!(run(&world.snapshot(), &query).unwrap().len(), 35);
    let before = run(&world.snapshot(), &query).unwrap();
    write(&mut world.store, index::rebuild);
    assert_eq!(world.snapshot().unindexed().unwrap(), len);
    world.index(1_000, 1_000);
    let places = |hits: &[Hit]| -> Vec<_> {
        hits.iter().map(|hit| (hit.held.seq, hit.received.clone().unwrap().position)).collect()
    };
    assert_eq!(places(&run(&world.snapshot(), &query).unwrap()), places(&before));
}

#[test]
fn entries_that_name_each_other_in_a_circle_come_to_rest() {
    let mut store = new_store(1);
    let id = |byte: u8| EntryId::from_bytes([byte; 32]);
    write(&mut store, |writer| {
        let mut view = View::new(Tables::writing(writer.txn, Directory::default())?);
        for (seq, (own, parent)) in [(1, 2), (2, 3), (3, 1), (4, 4), (5, 3)].into_iter().enumerate()
        {
            let parents = vec![[parent; 8]];
            let payload = Content::Post(Post { parents, ..Post::default() }).encode();
            view.add_all(&[(Name::new(id(own).prefix(), 0, seq as u64), Some(payload))])?;
        }
        assert!(view.settle(1_000)?, "it must end");
        view.named(([0; 8], [9; 8]), &mut |_, node| {
            assert!((1..=5).contains(&node.lamport), "no lamport is beyond the number of entries");
            Ok(true)
        })?;
        assert_eq!(view.children([3; 8], START, 9)?.len(), 2);
        Ok(())
    });
}

#[test]
fn the_newest_profile_that_is_here_names_a_feed() {
    let mut store = new_store(1);
    let mut prev = None;
    let mut run = Vec::new();
    for (seq, name) in [(1, "Old"), (2, "New")] {
        let profile = Profile { time: 10 - seq, name: name.to_owned(), about: String::new() };
        let payload = Content::Profile(profile).encode();
        let id = Header::new(feed_id(0), seq, prev, Stub::of(0, &payload)).id();
        run.push(Known { feed: 0, seq, id, payload, content: None, late: false, position: 0 });
        prev = Some(id);
    }
    write(&mut store, |writer| {
        arrive(writer, 0, None, &run);
        index::advance(writer, 10)
    });
    let name = |store: &Store| {
        profiles(&store.snapshot().unwrap(), [0].into_iter())
            .unwrap()
            .remove(&0)
            .map(|(name, _)| name)
    };
    assert_eq!(name(&store).as_deref(), Some("New"));
    write(&mut store, |writer| {
        let stored = writer.entry(0, 2)?.unwrap();
        writer.drop_payload(0, &stored, State::Retracted)
    });
    assert_eq!(name(&store).as_deref(), Some("Old"));
}
