//! The tables of the query indexes, and the view of them as if the whole log were indexed.
//!
//! What one more piece of the log changes is worked out in a [`View`]: over the tables as they are
//! it holds what is to be added. A step that indexes writes that down as one sorted run; a query
//! only reads through it. So a query sees everything that is committed, however far behind the
//! index is.
//!
//! Entries come in any order, and a parent that comes late raises the lamports of what is known
//! after it. Lamports only ever rise here, so the same entries end with the same lamports. A raise
//! can go on through a whole channel: it is work that is counted, and what a step leaves over
//! waits in a table of its own.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::ops::RangeInclusive;

use redb::{
    AccessGuard, Key, Range, ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition,
    Value, WriteTransaction,
};

use crate::content::{Content, PostView, Prefix};
use crate::store::StoreError;
use crate::store::lines::{
    Answer, Bytes, FIVE, Name, Node, OTHER, Row, five, pack, unpack_recheck,
};
use crate::store::runs::{Directory, Line, Merged, NewRun, Part, RUNS, Runs};
use crate::store::snapshot::Snapshot;
use crate::store::tables::FEEDS;

/// "done" to [`Done`], "runs" to [`Directory`]; "whole" once the index has caught up.
pub(super) const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("index state");
/// Name of a term to its number; "" to the last number given.
pub(super) const TERMS: TableDefinition<'_, &str, u32> = TableDefinition::new("index terms");
/// [`Name`] to [`Node`], for every indexed entry; to [`Node::GONE`] for one that was dropped.
pub(super) const NODES: Part<17, 26> = Part(0);
/// A parent's prefix and the child's place, as a [`Name`], to the child's prefix.
pub(super) const CHILDREN: Part<17, 8> = Part(1);
/// [`Row`]: who is found under a term, the newest in the order of display first; 0 if no longer.
pub(super) const ORDER: Part<26, 1> = Part(2);
/// The prefix of what is answered and the answer's place, as a [`Name`], to [`Answer`].
pub(super) const ANSWERS: Part<17, 21> = Part(3);
/// How many parts a run has.
pub(super) const PARTS: u8 = 4;
/// (feed, seq) of the profiles that are here.
pub(super) const PROFILES: TableDefinition<'_, (u32, u64), ()> =
    TableDefinition::new("index profiles");
/// Time and [`Name`] of a raised entry to the last child that knows.
pub(super) const RAISED: TableDefinition<'_, &[u8; 22], (u32, u64)> =
    TableDefinition::new("index raised");

/// Feed, seq and prefix of an indexed entry that lost its payload (0) or was dropped (1).
pub(super) const RECHECKS: TableDefinition<'_, &[u8; 17], u8> =
    TableDefinition::new("index rechecks");

/// Number of the type of profiles.
pub(super) const PROFILE: u64 = 3;
/// Children told of a raised parent in one query.
const QUERY_RAISES: u64 = 100_000;
/// Entries read from the store at a time.
pub(super) const CHUNK: u64 = 256;

/// Before the first child.
pub(super) const START: (u32, u64) = (0, 0);

/// What a payload says, as far as the index goes.
pub(super) enum Said<'a> {
    /// A post or a reply.
    Post(PostView<'a>),
    /// Another kind of content, or 0 where nothing can be read; 0 where there is no time.
    Other { kind: u64, time: u64 },
}

impl<'a> Said<'a> {
    pub(super) fn read(payload: Option<&'a [u8]>) -> Self {
        let Some(payload) = payload else {
            return Self::Other { kind: 0, time: 0 };
        };
        if let Some(post) = PostView::decode(payload) {
            return Self::Post(post);
        }
        let (kind, time) = match Content::decode(payload) {
            Ok(content) => kind_and_time(&content),
            Err(_) => (0, None),
        };
        Self::Other { kind, time: time.unwrap_or(0) }
    }
}

/// The number of a content's type, and the author's time if it states one.
pub(super) const fn kind_and_time(content: &Content) -> (u64, Option<u64>) {
    match content {
        Content::Post(post) => (1, Some(post.time)),
        Content::Reply(post) => (2, Some(post.time)),
        Content::Profile(profile) => (3, Some(profile.time)),
        Content::Relation(relation) => (4, Some(relation.time)),
        Content::Certificate(_) => (5, None),
        Content::Successor(_) => (6, None),
        Content::Device(_) => (7, None),
        Content::Receipt(receipt) => (8, Some(receipt.time)),
        Content::Retraction(_) => (9, None),
        Content::Prekey(_) => (10, None),
        Content::Part(_) => (11, None),
        Content::Sealed(_) => (16, None),
        Content::Unknown { kind } => (*kind, None),
    }
}

pub(super) fn channel_term(channel: &str) -> String {
    format!("c:{channel}")
}

pub(super) fn author_term(author: &str) -> String {
    format!("a:{author}")
}

/// How far the log is indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Done {
    /// All arrivals up to this position are.
    pub(super) position: u64,
    /// Of the next one, what lies at or before this seq.
    pub(super) seq: u64,
}

impl Done {
    pub(super) fn read(bytes: Option<&[u8]>) -> Self {
        let mut bytes = Bytes(bytes.unwrap_or_default());
        Self { position: bytes.next(8), seq: bytes.next(8) }
    }

    pub(super) fn encode(self) -> [u8; 16] {
        pack(&[&self.position.to_be_bytes(), &self.seq.to_be_bytes()])
    }
}

/// A table that is open to be read or to be written.
pub(super) enum Rows<'t, K: Key + 'static, V: Value + 'static> {
    Reading(ReadOnlyTable<K, V>),
    Writing(Table<'t, K, V>),
}

impl<K: Key + 'static, V: Value + 'static> Rows<'_, K, V> {
    fn get<'k>(
        &self,
        key: impl Borrow<K::SelfType<'k>>,
    ) -> Result<Option<AccessGuard<'_, V>>, StoreError> {
        Ok(match self {
            Self::Reading(table) => ReadableTable::get(table, key)?,
            Self::Writing(table) => table.get(key)?,
        })
    }

    pub(super) fn range<'k, R: Borrow<K::SelfType<'k>> + 'k>(
        &self,
        range: RangeInclusive<R>,
    ) -> Result<Range<'_, K, V>, StoreError> {
        Ok(match self {
            Self::Reading(table) => ReadableTable::range(table, range)?,
            Self::Writing(table) => table.range(range)?,
        })
    }
}

/// The tables of the index.
pub(super) struct Tables<'t> {
    terms: Rows<'t, &'static str, u32>,
    runs: Runs<'t>,
    profiles: Rows<'t, (u32, u64), ()>,
    raised: Rows<'t, &'static [u8; 22], (u32, u64)>,
    entries: u64,
}

impl<'t> Tables<'t> {
    pub(super) fn writing(
        txn: &'t WriteTransaction,
        directory: Directory,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            terms: Rows::Writing(txn.open_table(TERMS)?),
            entries: directory.entries(),
            runs: Runs::new(Rows::Writing(txn.open_table(RUNS)?), directory),
            profiles: Rows::Writing(txn.open_table(PROFILES)?),
            raised: Rows::Writing(txn.open_table(RAISED)?),
        })
    }

    fn reading(txn: &ReadTransaction, directory: Directory) -> Result<Self, StoreError> {
        Ok(Self {
            terms: Rows::Reading(txn.open_table(TERMS)?),
            entries: directory.entries(),
            runs: Runs::new(Rows::Reading(txn.open_table(RUNS)?), directory),
            profiles: Rows::Reading(txn.open_table(PROFILES)?),
            raised: Rows::Reading(txn.open_table(RAISED)?),
        })
    }
}

/// The tables of the index as they would be if more of the log were indexed.
pub(super) struct View<'t> {
    tables: Tables<'t>,
    /// Terms looked up or given out, and whether they are new.
    terms: BTreeMap<String, (u32, bool)>,
    pub(super) nodes: BTreeMap<Name, Node>,
    children: BTreeMap<Name, Prefix>,
    answers: BTreeMap<Name, Answer>,
    /// Packed rows, and whether they are there.
    order: BTreeMap<[u8; 26], bool>,
    profiles: BTreeSet<(u32, u64)>,
    /// Entries whose children have to be told of their lamport, by time, because a parent's is
    /// mostly before its child's and so most children are told once; and the last one told.
    raised: BTreeMap<(u64, Name), (u32, u64)>,
    /// Rows of the table of raised entries that were taken up.
    taken: Vec<(u64, Name)>,
    ahead: Ahead,
}

/// What was looked up ahead, many at a time.
#[derive(Default)]
struct Ahead {
    /// Prefixes of which all that the tables know is in `nodes`; ascending.
    prefixes: Vec<Prefix>,
    nodes: BTreeMap<Name, Node>,
    /// Prefixes that nothing in the tables names as a parent; ascending.
    childless: Vec<Prefix>,
}

impl<'t> View<'t> {
    pub(super) fn new(tables: Tables<'t>) -> Self {
        Self {
            tables,
            terms: BTreeMap::new(),
            nodes: BTreeMap::new(),
            children: BTreeMap::new(),
            answers: BTreeMap::new(),
            order: BTreeMap::new(),
            profiles: BTreeSet::new(),
            raised: BTreeMap::new(),
            taken: Vec::new(),
            ahead: Ahead::default(),
        }
    }

    /// What is indexed, and no more.
    pub(super) fn indexed(snapshot: &Snapshot) -> Result<View<'static>, StoreError> {
        let directory = Directory::decode(snapshot.index_state("runs")?.as_deref())?;
        Tables::reading(&snapshot.txn, directory).map(View::new)
    }

    /// All that a snapshot holds.
    pub(super) fn of(snapshot: &Snapshot) -> Result<View<'static>, StoreError> {
        let mut view = Self::indexed(snapshot)?;
        for row in snapshot.txn.open_table(RECHECKS)?.iter()? {
            let (key, dropped) = row?;
            let name = unpack_recheck(key.value());
            if dropped.value() == 1 {
                view.drop_entry(name)?;
            } else if snapshot.payload(name.feed, name.seq)?.is_none() {
                view.drop_payload(name)?;
            }
        }
        let done = Done::read(snapshot.index_state("done")?.as_deref());
        let feeds = snapshot.txn.open_table(FEEDS)?;
        let next = done.position.saturating_add(1);
        let mut batch = Vec::new();
        snapshot.arrivals_from(next, &mut |position, arrival| {
            let feed = arrival.feed;
            if feeds.get(feed)?.is_none() {
                return Ok(true);
            }
            let seq = if position == next { done.seq.saturating_add(1) } else { 0 };
            snapshot.scan(feed, arrival.first.max(seq), arrival.last, &mut |held| {
                batch.push((Name::new(held.id.prefix(), feed, held.seq), held.payload));
                Ok(true)
            })?;
            if batch.len() as u64 >= CHUNK {
                view.add_all(&std::mem::take(&mut batch))?;
            }
            Ok(true)
        })?;
        view.add_all(&batch)?;
        view.settle(QUERY_RAISES)?;
        Ok(view)
    }

    /// What is known of an entry.
    pub(super) fn node(&self, name: &Name) -> Result<Option<Node>, StoreError> {
        let known = match self.nodes.get(name) {
            Some(node) => Some(*node),
            None if self.ahead.prefixes.binary_search(&name.prefix).is_ok() => {
                self.ahead.nodes.get(name).copied()
            }
            None => {
                let found = self.tables.runs.range(NODES, &name.pack(), name.pack())?.next();
                found.transpose()?.map(|(_, node)| Node::unpack(&node))
            }
        };
        Ok(known.filter(|node| *node != Node::GONE))
    }

    /// The entries whose ids begin with one of a range of prefixes, until told to stop.
    pub(super) fn named(
        &self,
        (from, to): (Prefix, Prefix),
        visit: &mut dyn FnMut(Name, Node) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        if from > to {
            return Ok(());
        }
        let is_ahead = from == to && self.ahead.prefixes.binary_search(&from).is_ok();
        let (from, to) = (Name::new(from, 0, 0), Name::new(to, u32::MAX, FIVE));
        let pack = |(name, node): (&Name, &Node)| (name.pack(), node.pack());
        let new = self.nodes.range(from..=to).map(pack);
        if is_ahead {
            let mut all: BTreeMap<_, _> = self.ahead.nodes.range(from..=to).collect();
            all.extend(self.nodes.range(from..=to));
            for (name, node) in all {
                if *node != Node::GONE && !visit(*name, *node)? {
                    break;
                }
            }
            return Ok(());
        }
        for line in Lines::new(self.tables.runs.range(NODES, &from.pack(), to.pack())?, new) {
            let (name, node) = line?;
            let node = Node::unpack(&node);
            if node != Node::GONE && !visit(Name::unpack(&name), node)? {
                break;
            }
        }
        Ok(())
    }

    /// Who names a prefix as parent, from a place on.
    pub(super) fn children(
        &self,
        parent: Prefix,
        after: (u32, u64),
        most: u64,
    ) -> Result<Vec<Name>, StoreError> {
        let Some((from, to)) = after_place(parent, after) else { return Ok(Vec::new()) };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let new = self.children.range(from..=to);
        if self.ahead.childless.binary_search(&parent).is_ok() {
            return Ok(new.take(most).map(|(at, own)| Name { prefix: *own, ..*at }).collect());
        }
        let kept = self.tables.runs.range(CHILDREN, &from.pack(), to.pack())?;
        let lines = Lines::new(kept, new.map(|(place, own)| (place.pack(), *own))).take(most);
        let child = |(at, own): Line<17, 8>| Name { prefix: own, ..Name::unpack(&at) };
        lines.map(|line| line.map(child)).collect()
    }

    /// What answers a prefix, from a place on, each with its place; also what was dropped since.
    pub(super) fn answers(
        &self,
        answered: Prefix,
        after: (u32, u64),
        most: u64,
    ) -> Result<Vec<(Name, Answer)>, StoreError> {
        let Some((from, to)) = after_place(answered, after) else { return Ok(Vec::new()) };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let new = self.answers.range(from..=to).map(|(at, answer)| (at.pack(), answer.pack()));
        let kept = self.tables.runs.range(ANSWERS, &from.pack(), to.pack())?;
        let answer = |(at, answer): Line<17, 21>| {
            let answer = Answer::unpack(&answer);
            (Name { prefix: answer.prefix, ..Name::unpack(&at) }, answer)
        };
        Lines::new(kept, new).take(most).map(|line| line.map(answer)).collect()
    }

    /// The number of a term under which something is found.
    pub(super) fn known_term(&self, term: &str) -> Result<Option<u32>, StoreError> {
        if let Some((number, _)) = self.terms.get(term) {
            return Ok(Some(*number));
        }
        Ok(self.tables.terms.get(term)?.map(|row| row.value()))
    }

    /// What is found under some terms, newest first.
    pub(super) fn newest(&self, terms: &[u32]) -> Result<Newest<'_>, StoreError> {
        let mut sources: Vec<Peekable<Source<'_>>> = Vec::new();
        for &term in terms {
            let (newest, oldest) = Row::bounds(term);
            let new =
                self.order.range(newest..=oldest).map(|(row, here)| (*row, [u8::from(*here)]));
            let lines = Lines::new(self.tables.runs.range(ORDER, &newest, oldest)?, new);
            let here = lines.filter(|line| !matches!(line, Ok((_, [0]))));
            let source: Source<'_> = Box::new(here.map(|line| Ok(Row::unpack(&line?.0))));
            sources.push(source.peekable());
        }
        Ok(Newest { sources, last: None })
    }

    /// The place of a feed's newest profile.
    pub(super) fn profile(&self, feed: u32) -> Result<Option<u64>, StoreError> {
        let range = (feed, 0)..=(feed, u64::MAX);
        let kept = self.tables.profiles.range(range.clone())?.next_back().transpose()?;
        let kept = kept.map(|(place, _)| place.value().1);
        let new = self.profiles.range(range).next_back().map(|place| place.1);
        Ok(kept.max(new))
    }

    /// The number of a term, a new one if need be.
    pub(super) fn term(&mut self, term: String) -> Result<u32, StoreError> {
        if let Some((number, _)) = self.terms.get(&term) {
            return Ok(*number);
        }
        let kept = self.tables.terms.get(term.as_str())?.map(|row| row.value());
        let entry = if let Some(number) = kept {
            (number, false)
        } else {
            let number = self.known_term("")?.unwrap_or(OTHER).saturating_add(1);
            self.terms.insert(String::new(), (number, true));
            (number, true)
        };
        self.terms.insert(term, entry);
        Ok(entry.0)
    }

    /// Keeps what is known of an entry, and what of it stands elsewhere.
    fn set(&mut self, name: Name, node: Node) {
        if let Some(answers) = node.answers {
            let Node { lamport, time, channel, .. } = node;
            let answer = Answer { prefix: name.prefix, lamport, time, channel };
            self.answers.insert(Name { prefix: answers, ..name }, answer);
        }
        let is_gone = node.lamport == Node::GONE.lamport;
        self.nodes.insert(name, if is_gone { Node::GONE } else { node });
    }

    pub(super) fn insert(&mut self, rows: impl IntoIterator<Item = Row>) {
        self.order.extend(rows.into_iter().map(|row| (row.pack(), true)));
    }

    pub(super) fn erase(&mut self, rows: impl IntoIterator<Item = Row>) {
        self.order.extend(rows.into_iter().map(|row| (row.pack(), false)));
    }

    /// Adds entries with their payloads, or what has become of them since they were added.
    pub(super) fn add_all(&mut self, batch: &[(Name, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        let mut said = Vec::with_capacity(batch.len());
        for (name, payload) in batch {
            said.push((*name, Said::read(payload.as_deref())));
        }
        self.look_ahead(&said)?;
        for (name, said) in &said {
            self.add(*name, said)?;
        }
        Ok(())
    }

    /// Looks up at once what adding some entries will ask for.
    fn look_ahead(&mut self, batch: &[(Name, Said<'_>)]) -> Result<(), StoreError> {
        let mut own: Vec<Prefix> = batch.iter().map(|(name, _)| name.prefix).collect();
        own.sort_unstable();
        own.dedup();
        let mut all = own.clone();
        for (_, said) in batch {
            if let Said::Post(post) = said {
                all.extend_from_slice(post.parents.as_slice());
            }
        }
        all.sort_unstable();
        all.dedup();
        let mut nodes = BTreeMap::new();
        self.tables.runs.gather(NODES, &all, &mut |(name, node)| {
            nodes.insert(Name::unpack(&name), Node::unpack(&node));
        })?;
        let mut named = BTreeSet::new();
        self.tables.runs.gather(CHILDREN, &own, &mut |(place, _)| {
            named.insert(Name::unpack(&place).prefix);
        })?;
        own.retain(|prefix| !named.contains(prefix));
        self.ahead = Ahead { prefixes: all, nodes, childless: own };
        Ok(())
    }

    fn add(&mut self, name: Name, said: &Said<'_>) -> Result<(), StoreError> {
        let old = self.node(&name)?;
        if let Some(old) = old {
            self.erase(old.rows(name));
            self.erase([Row::new(OTHER, 0, 0, name)]);
        }
        match said {
            Said::Post(post) => self.add_post(name, old, post),
            Said::Other { kind, time } => {
                self.insert([Row::new(OTHER, 0, *time, name)]);
                let known = old.filter(|old| old.lamport > 0);
                self.set(name, known.unwrap_or(Node { time: *time, ..Node::default() }));
                if *kind == PROFILE {
                    self.profiles.insert((name.feed, name.seq));
                }
                Ok(())
            }
        }
    }

    /// An indexed entry has lost its payload; its lamport stays.
    pub(super) fn drop_payload(&mut self, name: Name) -> Result<(), StoreError> {
        if self.node(&name)?.is_some() {
            self.add(name, &Said::Other { kind: 0, time: 0 })?;
        }
        Ok(())
    }

    /// An indexed entry was dropped.
    pub(super) fn drop_entry(&mut self, name: Name) -> Result<(), StoreError> {
        if let Some(node) = self.node(&name)? {
            self.erase(node.rows(name));
            self.erase([Row::new(OTHER, 0, 0, name)]);
            self.set(name, Node { lamport: Node::GONE.lamport, ..node });
        }
        Ok(())
    }

    fn add_post(
        &mut self,
        name: Name,
        old: Option<Node>,
        post: &PostView<'_>,
    ) -> Result<(), StoreError> {
        let channel = post.channel.map(channel_term).map(|term| self.term(term)).transpose()?;
        let author = post.author.map(author_term).map(|term| self.term(term)).transpose()?;
        let answered = post.parents.as_slice().first().filter(|_| post.reply).copied();
        let mut node = Node {
            lamport: old.map_or(0, |old| old.lamport).max(1),
            time: post.time,
            channel: channel.unwrap_or(0),
            author: author.unwrap_or(0),
            answers: answered,
        };
        for parent in post.parents.as_slice() {
            self.children.insert(Name { prefix: *parent, ..name }, name.prefix);
            let mut largest = 0;
            self.named((*parent, *parent), &mut |before, parent| {
                if parent.is_meant_by(&node) && before != name {
                    largest = parent.lamport.max(largest);
                }
                Ok(true)
            })?;
            node.lamport = node.lamport.max(largest.saturating_add(1));
        }
        self.insert(node.rows(name));
        self.set(name, node);
        if !self.children(name.prefix, START, 1)?.is_empty() {
            self.raised.insert((node.time, name), START);
        }
        Ok(())
    }

    /// Takes up what an earlier step left over.
    pub(super) fn take_up(&mut self, most: u64) -> Result<(), StoreError> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        for row in self.tables.raised.range::<&[u8; 22]>(&[0; 22]..=&[0xff; 22])?.take(most) {
            let (key, after) = row?;
            let mut bytes = Bytes(key.value());
            let key = (bytes.next(5), Name::unpack(bytes.0));
            self.raised.insert(key, after.value());
            self.taken.push(key);
        }
        Ok(())
    }

    /// Tells children of lamports that have risen; false if not all could be told.
    pub(super) fn settle(&mut self, most: u64) -> Result<bool, StoreError> {
        // No line of parents is longer; entries ground to name each other in a circle stop here.
        let entries = self.tables.entries.saturating_add(self.nodes.len() as u64);
        let longest = u32::try_from(entries).unwrap_or(u32::MAX).min(Node::GONE.lamport - 1);
        let mut left = most;
        while left > 0
            && let Some(((time, name), mut told)) = self.raised.pop_first()
        {
            let Some(node) = self.node(&name)? else { continue };
            loop {
                let most = left.min(CHUNK);
                let children = self.children(name.prefix, told, most)?;
                for child in &children {
                    self.raise(&node, *child, longest)?;
                    told = (child.feed, child.seq);
                }
                let found = children.len() as u64;
                left = left.saturating_sub(found.max(1));
                if found < most {
                    break;
                }
                if left == 0 {
                    self.raised.entry((time, name)).or_insert(told);
                    break;
                }
            }
        }
        Ok(self.raised.is_empty())
    }

    fn raise(&mut self, parent: &Node, name: Name, longest: u32) -> Result<(), StoreError> {
        let Some(child) = self.node(&name)? else {
            return Ok(());
        };
        let lamport = parent.lamport.saturating_add(1).min(longest);
        if child.lamport >= lamport || !parent.is_meant_by(&child) {
            return Ok(());
        }
        let raised = Node { lamport, ..child };
        self.erase(child.rows(name));
        self.insert(raised.rows(name));
        self.set(name, raised);
        self.raised.insert((child.time, name), START);
        Ok(())
    }

    /// Writes down what was worked out.
    pub(super) fn write(
        self,
        txn: &WriteTransaction,
        directory: &mut Directory,
    ) -> Result<(), StoreError> {
        drop(self.tables);
        let mut terms = txn.open_table(TERMS)?;
        for (term, (number, _)) in self.terms.iter().filter(|(_, (_, new))| *new) {
            terms.insert(term.as_str(), number)?;
        }
        if !self.nodes.is_empty() || !self.order.is_empty() {
            let mut run = NewRun::begin(txn, directory, self.nodes.len() as u64)?;
            run.write(NODES, self.nodes.iter().map(|(name, node)| (name.pack(), node.pack())))?;
            run.write(CHILDREN, self.children.iter().map(|(at, own)| (at.pack(), *own)))?;
            run.write(ORDER, self.order.iter().map(|(row, here)| (*row, [u8::from(*here)])))?;
            let answers = self.answers.iter().map(|(at, answer)| (at.pack(), answer.pack()));
            run.write(ANSWERS, answers)?;
        }
        let mut profiles = txn.open_table(PROFILES)?;
        for place in &self.profiles {
            profiles.insert(place, ())?;
        }
        let mut raised = txn.open_table(RAISED)?;
        for key in self.taken.iter().filter(|key| !self.raised.contains_key(key)) {
            raised.remove(&raised_key(key))?;
        }
        for (key, told) in &self.raised {
            raised.insert(&raised_key(key), told)?;
        }
        Ok(())
    }
}

/// The names with a prefix that come after a place.
fn after_place(prefix: Prefix, (feed, seq): (u32, u64)) -> Option<(Name, Name)> {
    let from = Name::new(prefix, feed, seq.saturating_add(1));
    let to = Name::new(prefix, u32::MAX, FIVE);
    (from <= to).then_some((from, to))
}

fn raised_key((time, name): &(u64, Name)) -> [u8; 22] {
    pack(&[&five(*time), &name.pack()])
}

/// Rows of the tables and those of a view; of one key the view's.
struct Lines<'a, N: Iterator<Item = Line<K, V>>, const K: usize, const V: usize> {
    kept: Peekable<Merged<'a, K, V>>,
    new: Peekable<N>,
}

impl<'a, N: Iterator<Item = Line<K, V>>, const K: usize, const V: usize> Lines<'a, N, K, V> {
    fn new(kept: Merged<'a, K, V>, new: N) -> Self {
        Self { kept: kept.peekable(), new: new.peekable() }
    }
}

impl<N: Iterator<Item = Line<K, V>>, const K: usize, const V: usize> Iterator
    for Lines<'_, N, K, V>
{
    type Item = Result<Line<K, V>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(Ok((kept, _))) = self.kept.peek() else {
            return self.kept.next().or_else(|| self.new.next().map(Ok));
        };
        let new = match self.new.peek() {
            Some((new, _)) if new <= kept => *new == *kept,
            _ => return self.kept.next(),
        };
        if new {
            self.kept.next();
        }
        self.new.next().map(Ok)
    }
}

type Source<'a> = Box<dyn Iterator<Item = Result<Row, StoreError>> + 'a>;

/// Goes through what is found under some terms, newest first.
pub(super) struct Newest<'a> {
    sources: Vec<Peekable<Source<'a>>>,
    last: Option<Row>,
}

impl Iterator for Newest<'_> {
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut best: Option<(usize, Row)> = None;
            for (at, source) in self.sources.iter_mut().enumerate() {
                match source.peek() {
                    Some(Ok(row)) if best.is_none_or(|(_, best)| best < row.bare()) => {
                        best = Some((at, row.bare()));
                    }
                    Some(Err(_)) => return source.next(),
                    Some(Ok(_)) | None => {}
                }
            }
            let (at, row) = best?;
            self.sources.get_mut(at)?.next();
            if self.last.replace(row) != Some(row) {
                return Some(Ok(row));
            }
        }
    }
}
