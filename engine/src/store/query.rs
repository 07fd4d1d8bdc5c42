//! Questions to the store: the newest entries of a channel, an author, a thread, a time, a text.
//!
//! A query goes backwards through the index that fits it best and stops as soon as nothing better
//! can come; an entry is read only when its row in the index does not rule it out already. What is
//! not indexed yet is seen through the [`View`]. Nothing here writes, and no answer is larger in
//! memory than its limit.

use std::collections::{BTreeMap, BTreeSet};

use redb::{ReadOnlyTable, ReadableTable};

use crate::content::{Content, PostView, Prefix};
use crate::entry::{ChainHasher, EntryId};
use crate::key::FeedId;
use crate::limits::PARENTS;
use crate::store::StoreError;
use crate::store::lines::{ALL, Answer, Name, Node, OTHER, Row, feed_term};
use crate::store::needle::Needle;
use crate::store::record::{Record, State};
use crate::store::snapshot::{Held, Snapshot};
use crate::store::tables::{ARRIVALS, ArrivalKind, FEEDS, PAYLOADS, RECORDS};
use crate::store::view::{CHUNK, Newest, START, View, author_term, channel_term, kind_and_time};

/// What to look for. Everything that is set has to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Entries of any of these feeds; of all if there are none.
    pub feeds: Vec<FeedId>,
    /// Posts and replies for which an import kept this author.
    pub author: Option<String>,
    /// Posts and replies of this channel.
    pub channel: Option<String>,
    /// Contents of any of these types, 0 for what is absent or unreadable; posts and replies if
    /// there are none.
    pub kinds: Vec<u64>,
    /// The author's time is this Unix second or later.
    pub since: Option<u64>,
    /// The author's time is earlier than this Unix second.
    pub until: Option<u64>,
    /// This occurs, in whatever case, in the text, the channel, the kept author, the name or words
    /// of a profile, or the name that the feed's author has now.
    pub text: Option<String>,
    /// Entries of the thread that this entry belongs to: what it answers, what that answers, up to
    /// the first, and all answers to any of them.
    pub thread: Option<EntryId>,
    /// How many at most: the newest ones in the order asked for.
    pub limit: usize,
    /// What is newer than what.
    pub order: Order,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            feeds: Vec::new(),
            author: None,
            channel: None,
            kinds: Vec::new(),
            since: None,
            until: None,
            text: None,
            thread: None,
            limit: usize::MAX,
            order: Order::Causal,
        }
    }
}

/// What stands before what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By lamport, then the author's time, then the id: no answer before what it answers.
    #[default]
    Causal,
    /// By the author's time, whatever it is worth, then lamport, then the id.
    Time,
    /// By arrival at this node.
    Arrival,
}

/// An entry that a query found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The entry.
    pub held: Held,
    /// One more than the largest lamport of its parents; 0 if it is no readable post or reply.
    pub lamport: u32,
    /// What it says; none if the payload is absent or unreadable.
    pub content: Option<Content>,
    /// How it came here.
    pub received: Option<Received>,
}

/// How an entry came to this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Position in the arrival log.
    pub position: u64,
    /// When, in Unix milliseconds by this node's clock.
    pub wall: u64,
    /// By which way.
    pub via: String,
}

/// Most entries in the answer about a thread.
const THREAD: usize = 100_000;
/// Most entries of one answer to [`find`].
const FOUND: usize = 16;
/// Entries that a search for a text picks out by an index before it reads through everything.
const PICKED: u64 = 4_000;
/// Entries of a feed that are this near to each other are read together.
const NEAR: u64 = 8;

/// The newest entries that a query selects, oldest first.
pub(crate) fn run(snapshot: &Snapshot, query: &Query) -> Result<Vec<Hit>, StoreError> {
    if query.limit == 0 {
        return Ok(Vec::new());
    }
    let view = View::of(snapshot)?;
    let mut search = Search::new(snapshot, &view, query)?;
    let narrow = query.channel.is_some() || query.author.is_some() || query.thread.is_some();
    let best = match query.order {
        Order::Arrival if !narrow && query.text.is_none() => search.latest()?,
        Order::Causal | Order::Time | Order::Arrival => search.best()?,
    };
    let mut hits = search.hits(best)?;
    // Of the id a row knows the beginning only.
    hits.sort_by(|(a, one), (b, other)| {
        (a.first, a.second, one.held.id).cmp(&(b.first, b.second, other.held.id))
    });
    Ok(hits.into_iter().map(|(_, hit)| hit).collect())
}

/// Held entries whose ids lie between two, both included; at most 16.
pub(crate) fn find(
    snapshot: &Snapshot,
    from: [u8; 32],
    to: [u8; 32],
) -> Result<Vec<(EntryId, FeedId, u64)>, StoreError> {
    let (from, to) = (EntryId::from_bytes(from), EntryId::from_bytes(to));
    let mut found = Vec::new();
    View::of(snapshot)?.named((from.prefix(), to.prefix()), &mut |name, _| {
        if let Some(held) = snapshot.entry(name.feed, name.seq)?
            && (from..=to).contains(&held.id)
        {
            found.push((held.id, held.feed, held.seq));
        }
        Ok(found.len() < FOUND)
    })?;
    Ok(found)
}

/// Name and words of the newest profile of each feed that has one.
pub(crate) fn profiles(
    snapshot: &Snapshot,
    feeds: impl Iterator<Item = u32>,
) -> Result<BTreeMap<u32, (String, String)>, StoreError> {
    let view = View::of(snapshot)?;
    let mut found = BTreeMap::new();
    for feed in feeds {
        if let Some(profile) = profile_at(snapshot, feed, view.profile(feed)?)? {
            found.insert(feed, profile);
        }
    }
    Ok(found)
}

fn profile_at(
    snapshot: &Snapshot,
    feed: u32,
    seq: Option<u64>,
) -> Result<Option<(String, String)>, StoreError> {
    let Some(seq) = seq else { return Ok(None) };
    match snapshot.payload(feed, seq)?.map(|payload| Content::decode(&payload)) {
        Some(Ok(Content::Profile(profile))) => Ok(Some((profile.name, profile.about))),
        _ => Ok(None),
    }
}

/// By what hits are compared before their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    first: u64,
    second: u64,
    id: u32,
    feed: u32,
    seq: u64,
}

/// Best hits with their ranks, in any order.
type Ranked = Vec<(Rank, Row)>;

/// Where candidates come from, newest first in causal order.
enum Candidates<'a> {
    /// From the index, lazily.
    Indexed(Newest<'a>),
    /// From a thread or from small feeds.
    Listed(std::vec::IntoIter<Row>),
}

impl Candidates<'_> {
    fn listed(mut rows: Vec<Row>) -> Self {
        rows.sort_unstable_by(|a, b| b.cmp(a));
        Self::Listed(rows.into_iter())
    }
}

impl Iterator for Candidates<'_> {
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Indexed(rows) => rows.next(),
            Self::Listed(rows) => rows.next().map(Ok),
        }
    }
}

/// A query under way.
struct Search<'a> {
    snapshot: &'a Snapshot,
    view: &'a View<'static>,
    query: &'a Query,
    /// Numbers of the feeds asked for.
    feeds: Vec<u32>,
    needle: Option<Needle>,
    records: ReadOnlyTable<(u32, u64), &'static [u8]>,
    payloads: ReadOnlyTable<(u32, u64), &'static [u8]>,
    arrivals: ReadOnlyTable<(u32, u64), (u64, u64)>,
    feed_rows: ReadOnlyTable<u32, &'static [u8]>,
    /// Whether the names of feeds hold the text asked for, as far as that was needed.
    named: BTreeMap<u32, bool>,
}

impl<'a> Search<'a> {
    fn new(
        snapshot: &'a Snapshot,
        view: &'a View<'static>,
        query: &'a Query,
    ) -> Result<Self, StoreError> {
        let mut feeds = Vec::new();
        for feed in &query.feeds {
            feeds.extend(snapshot.number(feed, 0)?);
            feeds.extend(snapshot.number(feed, 1)?);
        }
        feeds.sort_unstable();
        feeds.dedup();
        Ok(Self {
            snapshot,
            view,
            query,
            feeds,
            needle: query.text.as_deref().map(Needle::new),
            records: snapshot.txn.open_table(RECORDS)?,
            payloads: snapshot.txn.open_table(PAYLOADS)?,
            arrivals: snapshot.txn.open_table(ARRIVALS)?,
            feed_rows: snapshot.txn.open_table(FEEDS)?,
            named: BTreeMap::new(),
        })
    }

    /// Whether contents of a type are asked for.
    fn asks_for(&self, kind: u64) -> bool {
        let kinds = &self.query.kinds;
        if kinds.is_empty() { matches!(kind, 1 | 2) } else { kinds.contains(&kind) }
    }

    fn asks_for_feed(&self, feed: u32) -> bool {
        self.query.feeds.is_empty() || self.feeds.binary_search(&feed).is_ok()
    }

    /// The best hits in the order asked for.
    fn best(&mut self) -> Result<Ranked, StoreError> {
        let mut best = BTreeMap::new();
        // A text may be anywhere; reading everything is less work than picking out one after another.
        let lists = self.query.thread.is_some() || self.needle.is_none();
        let mut most = if lists { u64::MAX } else { PICKED };
        for row in self.candidates()? {
            let row = row?;
            if !self.asks_for_feed(row.feed) || !self.asks_for_time(row.time) {
                continue;
            }
            let rank = self.rank(&row)?;
            if self.is_beaten(&best, rank) {
                continue;
            }
            most = most.saturating_sub(1);
            if most == 0 {
                return self.read_through();
            }
            if self.selects(row.feed, row.seq)? {
                self.take(&mut best, rank, row);
            }
            if best.len() == self.query.limit && self.query.order == Order::Causal {
                break;
            }
        }
        Ok(best.into_iter().collect())
    }

    /// Whether a place is behind all of those that are asked for.
    fn is_beaten(&self, best: &BTreeMap<Rank, Row>, rank: Rank) -> bool {
        let is_full = best.len() >= self.query.limit;
        is_full && best.first_key_value().is_some_and(|(worst, _)| rank < *worst)
    }

    fn take(&self, best: &mut BTreeMap<Rank, Row>, rank: Rank, row: Row) {
        best.insert(rank, row);
        if best.len() > self.query.limit {
            best.pop_first();
        }
    }

    /// The best hits of all that is held, in the order in which it lies on the disk.
    fn read_through(&mut self) -> Result<Ranked, StoreError> {
        let mut best = BTreeMap::new();
        let records = self.snapshot.txn.open_table(RECORDS)?;
        let mut named = (u32::MAX, false);
        for row in ReadableTable::iter(&records)? {
            let (key, record) = row?;
            let feed = key.value().0;
            if !self.asks_for_feed(feed) {
                continue;
            }
            if named.0 != feed {
                named = (feed, self.is_named(feed)?);
            }
            let mut found = Vec::new();
            Record::each(record.value(), &mut |seq, state, payload| {
                let is_here = match state {
                    State::Here => named.1 || self.may_hold(payload),
                    _ => state == State::Apart,
                };
                if is_here {
                    found.push(seq);
                }
            })?;
            let mut selected = Vec::new();
            for seq in found {
                if self.selects(feed, seq)? {
                    selected.push(seq);
                }
            }
            for row in self.rows_of(feed, record.value(), &selected)? {
                let rank = self.rank(&row)?;
                if self.asks_for_time(row.time) && !self.is_beaten(&best, rank) {
                    self.take(&mut best, rank, row);
                }
            }
        }
        Ok(best.into_iter().collect())
    }

    fn may_hold(&self, payload: &[u8]) -> bool {
        self.needle.as_ref().is_none_or(|needle| needle.may_be_in(payload))
    }

    /// The rows under which some entries of a record stand.
    fn rows_of(&self, feed: u32, record: &[u8], seqs: &[u64]) -> Result<Vec<Row>, StoreError> {
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        let record = Record::parse(record)?;
        let ids = record.ids(self.snapshot.row(feed)?.id, &mut ChainHasher::default());
        let mut rows = Vec::with_capacity(seqs.len());
        for ((seq, _), id) in record.iter().zip(&ids) {
            if seqs.binary_search(&seq).is_err() {
                continue;
            }
            let told = self.read(feed, seq, |payload| {
                let content = payload.and_then(|payload| Content::decode(payload).ok());
                content.as_ref().map_or((0, None), kind_and_time)
            })?;
            rows.push(self.row_of(Name::new(id.prefix(), feed, seq), told.unwrap_or((0, None)))?);
        }
        Ok(rows)
    }

    fn rank(&self, row: &Row) -> Result<Rank, StoreError> {
        let (lamport, time) = (u64::from(row.lamport), row.time);
        let (first, second) = match self.query.order {
            Order::Causal => (lamport, time),
            Order::Time => (time, lamport),
            Order::Arrival => {
                let run = self.arrived((row.feed, row.seq))?;
                (run.map_or(0, |run| run.position), row.seq)
            }
        };
        Ok(Rank { first, second, id: row.id, feed: row.feed, seq: row.seq })
    }

    /// With which others an entry came.
    fn arrived(&self, (feed, seq): (u32, u64)) -> Result<Option<Run>, StoreError> {
        let row = ReadableTable::range(&self.arrivals, (feed, seq)..=(feed, u64::MAX))?.next();
        Ok(row.transpose()?.map(|(key, row)| {
            let ((_, last), (first, position)) = (key.value(), row.value());
            Run { feed, first, last, position }
        }))
    }

    fn candidates(&self) -> Result<Candidates<'a>, StoreError> {
        let query = self.query;
        if let Some(thread) = &query.thread {
            return Ok(Candidates::listed(self.thread(thread)?));
        }
        let mut terms = Vec::new();
        if self.asks_for(1) || self.asks_for(2) {
            terms.extend(match (&query.channel, &query.author) {
                (Some(channel), _) => self.view.known_term(&channel_term(channel))?,
                (None, Some(author)) => self.view.known_term(&author_term(author))?,
                (None, None) => Some(ALL),
            });
        }
        if query.channel.is_none() && query.author.is_none() {
            if !query.feeds.is_empty() && !terms.is_empty() {
                terms = self.feeds.iter().map(|feed| feed_term(*feed)).collect();
            }
            if query.kinds.iter().any(|kind| !matches!(kind, 1 | 2)) {
                terms.push(OTHER);
            }
        }
        Ok(Candidates::Indexed(self.view.newest(&terms)?))
    }

    /// The row under which an entry of a type and time stands in an index.
    fn row_of(&self, name: Name, (kind, time): (u64, Option<u64>)) -> Result<Row, StoreError> {
        let said = matches!(kind, 1 | 2);
        let node = if said { self.view.node(&name)? } else { None };
        Ok(Row::new(0, node.map_or(0, |node| node.lamport), time.unwrap_or(0), name))
    }

    /// The hits that came last, from the arrival log.
    fn latest(&mut self) -> Result<Ranked, StoreError> {
        let mut latest: Ranked = Vec::new();
        let (limit, snapshot) = (self.query.limit, self.snapshot);
        snapshot.arrivals_back(&mut |position, arrival| {
            let feed = arrival.feed;
            if arrival.kind != ArrivalKind::Entries || !self.asks_for_feed(feed) {
                return Ok(true);
            }
            let mut last = arrival.last;
            while last >= arrival.first && latest.len() < limit {
                let first = last.saturating_sub(CHUNK).saturating_add(1).max(arrival.first);
                let mut rows = Vec::new();
                for (seq, row) in self.rows_between(feed, first, last)?.into_iter().rev() {
                    // What was dropped and came again has more than one place in the log.
                    if self.arrived((feed, seq))?.is_some_and(|run| run.position == position)
                        && self.asks_for_time(row.time)
                        && self.selects(feed, seq)?
                    {
                        rows.push((self.rank(&row)?, row));
                    }
                }
                rows.truncate(limit.saturating_sub(latest.len()));
                latest.extend(rows);
                last = first.saturating_sub(1);
            }
            Ok(latest.len() < limit)
        })?;
        Ok(latest)
    }

    fn rows_between(
        &self,
        feed: u32,
        first: u64,
        last: u64,
    ) -> Result<Vec<(u64, Row)>, StoreError> {
        let mut rows = Vec::new();
        if self.feed_rows.get(feed)?.is_some() {
            self.snapshot.scan(feed, first, last, &mut |held| {
                let payload = held.payload.as_deref();
                let content = payload.and_then(|payload| Content::decode(payload).ok());
                let told = content.as_ref().map_or((0, None), kind_and_time);
                let name = Name::new(held.id.prefix(), feed, held.seq);
                rows.push((held.seq, self.row_of(name, told)?));
                Ok(true)
            })?;
        }
        Ok(rows)
    }

    /// The entries of the thread that an entry belongs to.
    fn thread(&self, id: &EntryId) -> Result<Vec<Row>, StoreError> {
        let root = self.root(id.prefix())?;
        let mut members: BTreeMap<Name, Node> = BTreeMap::new();
        self.view.named((root.prefix, root.prefix), &mut |name, node| {
            if root.may_be(&node) {
                members.insert(name, node);
            }
            Ok(members.len() < THREAD)
        })?;
        // Whose answers are to be found; a first entry that was never read here may be any.
        let known = members.iter().filter(|(_, node)| node.lamport > 0);
        let mut ahead: Vec<_> = known.map(|(name, node)| (name.prefix, Some(*node))).collect();
        if ahead.is_empty() {
            ahead.push((root.prefix, None));
        }
        let mut left = (THREAD as u64).saturating_mul(PARENTS);
        while let Some((prefix, parent)) = ahead.pop() {
            let mut after = START;
            loop {
                let answers = self.view.answers(prefix, after, CHUNK.min(left))?;
                left = left.saturating_sub(answers.len() as u64);
                let Some((last, _)) = answers.last() else { break };
                after = (last.feed, last.seq);
                for (name, answer) in answers {
                    let Answer { lamport, time, channel, .. } = answer;
                    let node = Node { lamport, time, channel, ..Node::default() };
                    let is_meant = parent.map_or_else(
                        || node.channel == 0 || root.may_be(&node),
                        |parent| parent.is_meant_by(&node),
                    );
                    let belongs = !answer.is_gone() && is_meant && members.len() < THREAD;
                    if belongs && members.insert(name, node).is_none() {
                        ahead.push((name.prefix, Some(node)));
                    }
                }
            }
        }
        let row = |(name, node): (Name, Node)| Row::new(0, node.lamport, node.time, name);
        Ok(members.into_iter().map(row).collect())
    }

    /// Goes from an entry to what it answers, and on until something answers nothing, is missing,
    /// or belongs to another channel.
    fn root(&self, prefix: Prefix) -> Result<Root, StoreError> {
        let mut root = Root { prefix, channel: None };
        let mut here = self.meant(&root)?;
        let mut seen = BTreeSet::from([prefix]);
        while let Some((Some(name), node)) = here
            && seen.len() < THREAD
        {
            let answered = self.read(name.feed, name.seq, |payload| {
                let post = payload.and_then(PostView::decode).filter(|post| post.reply);
                post.and_then(|post| post.parents.as_slice().first().copied())
            })?;
            let Some(prefix) = answered.flatten().filter(|prefix| seen.insert(*prefix)) else {
                break;
            };
            let next = Root { prefix, channel: Some(node.channel).filter(|term| *term > 0) };
            here = self.meant(&next)?;
            if here.is_none() {
                break;
            }
            root = next;
        }
        Ok(root)
    }

    /// The entry that is meant by a prefix: none if all that begin so are of other channels, one
    /// without a name if none is held.
    fn meant(&self, root: &Root) -> Result<Option<(Option<Name>, Node)>, StoreError> {
        let mut meant = Some((None, Node::default()));
        self.view.named((root.prefix, root.prefix), &mut |name, node| {
            meant = root.may_be(&node).then_some((Some(name), node));
            Ok(meant.is_none())
        })?;
        Ok(meant)
    }

    /// Whether an entry is what the query asks for. Its time was looked at before.
    fn selects(&mut self, feed: u32, seq: u64) -> Result<bool, StoreError> {
        let judged = self.read(feed, seq, |payload| match payload.and_then(PostView::decode) {
            Some(post) => self.judge_post(&post),
            None => self.judge_other(payload.and_then(|payload| Content::decode(payload).ok())),
        })?;
        match judged {
            Some(Judged { fits: true, text: true }) => Ok(true),
            Some(Judged { fits: true, text: false }) => self.is_named(feed),
            Some(Judged { fits: false, .. }) | None => Ok(false),
        }
    }

    fn judge_post(&self, post: &PostView<'_>) -> Judged {
        let query = self.query;
        let fits = self.asks_for(if post.reply { 2 } else { 1 })
            && query.channel.as_deref().is_none_or(|channel| post.channel == Some(channel))
            && query.author.as_deref().is_none_or(|author| post.author == Some(author));
        let words = [Some(post.text), post.channel, post.author];
        Judged { fits, text: fits && self.is_asked_text(words.into_iter().flatten()) }
    }

    fn judge_other(&self, content: Option<Content>) -> Judged {
        let query = self.query;
        let (kind, time) = content.as_ref().map_or((0, None), kind_and_time);
        let timeless = query.since.is_none() && query.until.is_none();
        let fits = self.asks_for(kind)
            && query.channel.is_none()
            && query.author.is_none()
            && (time.is_some() || timeless);
        let text = match &content {
            Some(Content::Profile(profile)) => {
                self.is_asked_text([profile.name.as_str(), profile.about.as_str()].into_iter())
            }
            _ => self.needle.is_none(),
        };
        Judged { fits, text }
    }

    fn is_asked_text<'t>(&self, mut words: impl Iterator<Item = &'t str>) -> bool {
        self.needle.as_ref().is_none_or(|needle| words.any(|words| needle.is_in(words)))
    }

    /// Whether the name that a feed's author has now holds the text asked for.
    fn is_named(&mut self, feed: u32) -> Result<bool, StoreError> {
        if let Some(named) = self.named.get(&feed) {
            return Ok(*named);
        }
        let profile = profile_at(self.snapshot, feed, self.view.profile(feed)?)?;
        let needle = self.needle.as_ref();
        let named = needle.zip(profile).is_some_and(|(needle, (name, _))| needle.is_in(&name));
        self.named.insert(feed, named);
        Ok(named)
    }

    fn asks_for_time(&self, time: u64) -> bool {
        self.query.since.is_none_or(|since| since <= time)
            && self.query.until.is_none_or(|until| time < until)
    }

    /// Looks at the payload of a held entry without reading its neighbours.
    fn read<T>(
        &self,
        feed: u32,
        seq: u64,
        look: impl FnOnce(Option<&[u8]>) -> T,
    ) -> Result<Option<T>, StoreError> {
        let record = ReadableTable::range(&self.records, (feed, seq)..=(feed, u64::MAX))?.next();
        let Some((_, record)) = record.transpose()? else { return Ok(None) };
        let Some((state, payload)) = Record::peek(record.value(), seq)? else { return Ok(None) };
        Ok(Some(match state {
            State::Here => look(Some(payload)),
            State::Apart => {
                let payload = self.payloads.get((feed, seq))?;
                look(payload.as_ref().map(redb::AccessGuard::value))
            }
            State::Expired | State::Ended | State::Retracted | State::Evicted | State::Deleted => {
                look(None)
            }
        }))
    }

    /// The entries of rows with all that is told about them, by feed and seq. Neighbours are read
    /// together, because reading one entry costs about as much as reading all of its record.
    fn hits(&self, mut best: Ranked) -> Result<Vec<(Rank, Hit)>, StoreError> {
        best.sort_unstable_by_key(|(_, row)| (row.feed, row.seq));
        let near = |(_, one): &(Rank, Row), (_, next): &(Rank, Row)| {
            one.feed == next.feed && next.seq.saturating_sub(one.seq) <= NEAR
        };
        let mut hits = Vec::with_capacity(best.len());
        let mut arrived = None;
        for run in best.chunk_by(near) {
            let (Some((_, first)), Some((_, last))) = (run.first(), run.last()) else { continue };
            let mut wanted = run.iter().peekable();
            self.snapshot.scan(first.feed, first.seq, last.seq, &mut |held| {
                while let Some((rank, row)) = wanted.next_if(|(_, row)| row.seq <= held.seq) {
                    if row.seq == held.seq {
                        let received = self.received(row, &mut arrived)?;
                        hits.push((*rank, hit(row, held, received)));
                        return Ok(true);
                    }
                }
                Ok(true)
            })?;
        }
        Ok(hits)
    }

    /// How an entry came; `known` is how the one before did.
    fn received(
        &self,
        row: &Row,
        known: &mut Option<(Run, Received)>,
    ) -> Result<Option<Received>, StoreError> {
        let place = (row.feed, row.seq);
        if !known.as_ref().is_some_and(|(run, _)| run.holds(place)) {
            *known = None;
            if let Some(run) = self.arrived(place)?.filter(|run| run.holds(place))
                && let Some(arrival) = self.snapshot.arrival(run.position)?
            {
                let via = self.snapshot.via(arrival.via)?;
                let received = Received { position: run.position, wall: arrival.wall, via };
                *known = Some((run, received));
            }
        }
        Ok(known.as_ref().map(|(_, received)| received.clone()))
    }
}

/// Entries of a feed that came together and are here.
#[derive(Debug, Clone, Copy)]
struct Run {
    feed: u32,
    first: u64,
    last: u64,
    /// Where in the log.
    position: u64,
}

impl Run {
    fn holds(&self, (feed, seq): (u32, u64)) -> bool {
        self.feed == feed && (self.first..=self.last).contains(&seq)
    }
}

fn hit(row: &Row, held: Held, received: Option<Received>) -> Hit {
    let content = held.payload.as_deref().and_then(|payload| Content::decode(payload).ok());
    let said = matches!(content, Some(Content::Post(_) | Content::Reply(_)));
    Hit { held, lamport: if said { row.lamport } else { 0 }, content, received }
}

/// The first entry of a thread, as its answers name it.
struct Root {
    prefix: Prefix,
    /// The channel it is in, if its answers tell.
    channel: Option<u32>,
}

impl Root {
    /// Whether an entry that begins so can be meant. What was never read here can.
    fn may_be(&self, node: &Node) -> bool {
        node.lamport == 0 || self.channel.is_none_or(|channel| node.channel == channel)
    }
}

/// What an entry's content is to a query.
struct Judged {
    /// Whether all fits but perhaps the text.
    fits: bool,
    /// Whether the content holds the text asked for.
    text: bool,
}
