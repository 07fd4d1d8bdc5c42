//! The tables of the query indexes, and the view of them as if the whole log were indexed.
//!
//! What one more piece of the log changes is worked out in a [`View`]: over the tables as they are
//! it holds what is to be added. A step that indexes writes that down; a query only reads through
//! it. So a query sees everything that is committed, however far behind the index is.
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
    AccessGuard, Key, Range, ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata,
    Table, TableDefinition, Value, WriteTransaction,
};

use crate::content::{Content, PostView, Prefix};
use crate::entry::EntryId;
use crate::store::StoreError;
use crate::store::snapshot::Snapshot;
use crate::store::tables::FEEDS;

/// Name of a term to its number; "" to the last number given.
pub(super) const TERMS: TableDefinition<'_, &str, u32> = TableDefinition::new("index terms");
/// [`Row`]: who is found under a term, in the order of display.
pub(super) const ORDER: TableDefinition<'_, &[u8; 26], ()> = TableDefinition::new("index order");
/// [`Name`] to [`Node`], for every indexed entry.
pub(super) const IDS: TableDefinition<'_, &[u8; 17], &[u8; 17]> = TableDefinition::new("index ids");
/// A parent's prefix and the child's place, as a [`Name`], to [`Edge`].
pub(super) const CHILDREN: TableDefinition<'_, &[u8; 17], &[u8; 9]> =
    TableDefinition::new("index children");
/// (feed, seq) of the profiles that are here.
pub(super) const PROFILES: TableDefinition<'_, (u32, u64), ()> =
    TableDefinition::new("index profiles");
/// Time and [`Name`] of a raised entry to the last child that knows.
pub(super) const RAISED: TableDefinition<'_, &[u8; 22], (u32, u64)> =
    TableDefinition::new("index raised");

/// Number of the term that every post and reply is found under.
pub(super) const ALL: u32 = 1;
/// Number of the type of profiles.
const PROFILE: u64 = 3;
/// The term of entries whose payload is absent or unreadable.
pub(super) const UNREADABLE: &str = "k:0";
/// Children told of a raised parent in one query.
const QUERY_RAISES: u64 = 100_000;
/// Entries read from the store at a time.
pub(super) const CHUNK: u64 = 256;

/// Before the first child.
pub(super) const START: (u32, u64) = (0, 0);

/// What an indexed entry is found by: the beginning of its id, and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) prefix: Prefix,
    pub(super) feed: u32,
    pub(super) seq: u64,
}

impl Name {
    pub(super) const fn new(prefix: Prefix, feed: u32, seq: u64) -> Self {
        Self { prefix, feed, seq }
    }

    pub(super) fn pack(&self) -> [u8; 17] {
        pack(&[&self.prefix, &self.feed.to_be_bytes(), &five(self.seq)])
    }

    pub(super) fn unpack(bytes: &[u8]) -> Self {
        let mut bytes = Bytes(bytes);
        let prefix = bytes.next(8).to_be_bytes();
        Self { prefix, feed: bytes.next_u32(), seq: bytes.next(5) }
    }
}

/// What is known of an indexed entry. All zero where its payload never was readable here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Node {
    /// At least 1 for a post or reply, and 0 for all else.
    pub(super) lamport: u32,
    /// The author's claim, in Unix seconds.
    pub(super) time: u64,
    /// Term of the channel, or 0.
    pub(super) channel: u32,
    /// Term of the kept author, or 0.
    pub(super) author: u32,
}

impl Node {
    pub(super) fn pack(&self) -> [u8; 17] {
        let channel = self.channel.to_be_bytes();
        let author = self.author.to_be_bytes();
        pack(&[&self.lamport.to_be_bytes(), &five(self.time), &channel, &author])
    }

    pub(super) fn unpack(bytes: &[u8]) -> Self {
        let mut bytes = Bytes(bytes);
        let (lamport, time) = (bytes.next_u32(), bytes.next(5));
        Self { lamport, time, channel: bytes.next_u32(), author: bytes.next_u32() }
    }

    /// Whether a child means this entry when it names its prefix: those in a channel name what is
    /// in it, those in none whatever they like.
    pub(super) const fn is_meant_by(&self, child: &Self) -> bool {
        child.channel == 0 || child.channel == self.channel
    }

    /// Where a post or reply is found.
    pub(super) fn rows(&self, name: Name) -> Vec<Row> {
        let terms = [ALL, self.channel, self.author].into_iter().filter(|term| *term > 0);
        terms.map(|term| Row::new(term, self.lamport, self.time, name)).collect()
    }
}

/// One entry under one term. Rows of a term stand in the order of display; of an id the first
/// bytes decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    term: u32,
    pub(super) lamport: u32,
    pub(super) time: u64,
    pub(super) id: u32,
    pub(super) feed: u32,
    pub(super) seq: u64,
}

impl Row {
    pub(super) fn new(term: u32, lamport: u32, time: u64, name: Name) -> Self {
        let id = Bytes(&name.prefix).next_u32();
        Self { term, lamport, time, id, feed: name.feed, seq: name.seq }
    }

    /// The same place whatever the term.
    pub(super) const fn bare(self) -> Self {
        Self { term: 0, ..self }
    }

    /// The first and the last row that a term could have.
    pub(super) fn bounds(term: u32) -> ([u8; 26], [u8; 26]) {
        let last = Self {
            term,
            lamport: u32::MAX,
            time: u64::MAX,
            id: u32::MAX,
            feed: u32::MAX,
            seq: u64::MAX,
        };
        let first = Self { term, lamport: 0, time: 0, id: 0, feed: 0, seq: 0 };
        (first.pack(), last.pack())
    }

    pub(super) fn pack(&self) -> [u8; 26] {
        let (term, lamport) = (self.term.to_be_bytes(), self.lamport.to_be_bytes());
        let (id, feed) = (self.id.to_be_bytes(), self.feed.to_be_bytes());
        pack(&[&term, &lamport, &five(self.time), &id, &feed, &five(self.seq)])
    }

    pub(super) fn unpack(bytes: &[u8]) -> Self {
        let mut bytes = Bytes(bytes);
        let (term, lamport, time) = (bytes.next_u32(), bytes.next_u32(), bytes.next(5));
        let (id, feed, seq) = (bytes.next_u32(), bytes.next_u32(), bytes.next(5));
        Self { term, lamport, time, id, feed, seq }
    }
}

/// What a child says of one of its parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edge {
    /// Whether the child answers it.
    pub(super) answers: bool,
    /// The beginning of the child's own id.
    pub(super) prefix: Prefix,
}

impl Edge {
    pub(super) fn pack(&self) -> [u8; 9] {
        pack(&[&[u8::from(self.answers)], &self.prefix])
    }

    pub(super) fn unpack(bytes: &[u8]) -> Self {
        let mut bytes = Bytes(bytes);
        Self { answers: bytes.next(1) == 1, prefix: bytes.next(8).to_be_bytes() }
    }
}

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
        Content::Unknown { kind } => (*kind, None),
    }
}

pub(super) fn channel_term(channel: &str) -> String {
    format!("c:{channel}")
}

pub(super) fn author_term(author: &str) -> String {
    format!("a:{author}")
}

pub(super) fn kind_term(kind: u64) -> String {
    format!("k:{kind}")
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
enum Rows<'t, K: Key + 'static, V: Value + 'static> {
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

    fn range<'k, R: Borrow<K::SelfType<'k>> + 'k>(
        &self,
        range: RangeInclusive<R>,
    ) -> Result<Range<'_, K, V>, StoreError> {
        Ok(match self {
            Self::Reading(table) => ReadableTable::range(table, range)?,
            Self::Writing(table) => table.range(range)?,
        })
    }

    fn len(&self) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Reading(table) => table.len()?,
            Self::Writing(table) => table.len()?,
        })
    }
}

/// The tables of the index.
pub(super) struct Tables<'t> {
    terms: Rows<'t, &'static str, u32>,
    order: Rows<'t, &'static [u8; 26], ()>,
    ids: Rows<'t, &'static [u8; 17], &'static [u8; 17]>,
    children: Rows<'t, &'static [u8; 17], &'static [u8; 9]>,
    profiles: Rows<'t, (u32, u64), ()>,
    raised: Rows<'t, &'static [u8; 22], (u32, u64)>,
}

impl<'t> Tables<'t> {
    pub(super) fn writing(txn: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            terms: Rows::Writing(txn.open_table(TERMS)?),
            order: Rows::Writing(txn.open_table(ORDER)?),
            ids: Rows::Writing(txn.open_table(IDS)?),
            children: Rows::Writing(txn.open_table(CHILDREN)?),
            profiles: Rows::Writing(txn.open_table(PROFILES)?),
            raised: Rows::Writing(txn.open_table(RAISED)?),
        })
    }

    fn reading(txn: &ReadTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            terms: Rows::Reading(txn.open_table(TERMS)?),
            order: Rows::Reading(txn.open_table(ORDER)?),
            ids: Rows::Reading(txn.open_table(IDS)?),
            children: Rows::Reading(txn.open_table(CHILDREN)?),
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
    children: BTreeMap<Name, Edge>,
    inserted: BTreeSet<Row>,
    erased: BTreeSet<Row>,
    profiles: BTreeSet<(u32, u64)>,
    /// Entries whose children have to be told of their lamport, by time, because a parent's is
    /// mostly before its child's and so most children are told once; and the last one told.
    raised: BTreeMap<(u64, Name), (u32, u64)>,
    /// Rows of the table of raised entries that were taken up.
    taken: Vec<(u64, Name)>,
}

impl<'t> View<'t> {
    pub(super) const fn new(tables: Tables<'t>) -> Self {
        Self {
            tables,
            terms: BTreeMap::new(),
            nodes: BTreeMap::new(),
            children: BTreeMap::new(),
            inserted: BTreeSet::new(),
            erased: BTreeSet::new(),
            profiles: BTreeSet::new(),
            raised: BTreeMap::new(),
            taken: Vec::new(),
        }
    }

    /// What is indexed, and no more.
    pub(super) fn indexed(snapshot: &Snapshot) -> Result<View<'static>, StoreError> {
        Tables::reading(&snapshot.txn).map(View::new)
    }

    /// All that a snapshot holds.
    pub(super) fn of(snapshot: &Snapshot) -> Result<View<'static>, StoreError> {
        let mut view = Self::indexed(snapshot)?;
        let done = Done::read(snapshot.meta("indexed")?.as_deref());
        let feeds = snapshot.txn.open_table(FEEDS)?;
        let next = done.position.saturating_add(1);
        snapshot.arrivals_from(next, &mut |position, arrival| {
            let feed = arrival.feed;
            if feeds.get(feed)?.is_none() {
                return Ok(true);
            }
            let seq = if position == next { done.seq.saturating_add(1) } else { 0 };
            snapshot.scan(feed, arrival.first.max(seq), arrival.last, &mut |held| {
                view.add(feed, held.seq, &held.id, held.payload.as_deref())?;
                Ok(true)
            })?;
            Ok(true)
        })?;
        view.settle(QUERY_RAISES)?;
        Ok(view)
    }

    /// Entries that are indexed or would be.
    pub(super) fn len(&self) -> Result<u64, StoreError> {
        Ok(self.tables.ids.len()?.saturating_add(self.nodes.len() as u64))
    }

    /// What is known of an entry.
    pub(super) fn node(&self, name: &Name) -> Result<Option<Node>, StoreError> {
        if let Some(node) = self.nodes.get(name) {
            return Ok(Some(*node));
        }
        Ok(self.tables.ids.get(&name.pack())?.map(|row| Node::unpack(row.value())))
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
        let (from, to) = (Name::new(from, 0, 0), Name::new(to, u32::MAX, u64::MAX));
        let mut new = self.nodes.range(from..=to).peekable();
        for row in self.tables.ids.range::<&[u8; 17]>(&from.pack()..=&to.pack())? {
            let (name, node) = row?;
            let name = Name::unpack(name.value());
            while let Some((before, node)) = new.next_if(|(new, _)| **new < name) {
                if !visit(*before, *node)? {
                    return Ok(());
                }
            }
            let changed = new.next_if(|(new, _)| **new == name);
            let node = changed.map_or_else(|| Node::unpack(node.value()), |(_, node)| *node);
            if !visit(name, node)? {
                return Ok(());
            }
        }
        for (name, node) in new {
            if !visit(*name, *node)? {
                break;
            }
        }
        Ok(())
    }

    /// Who names a prefix as parent, from a place on: their names and what they say of it.
    pub(super) fn children(
        &self,
        parent: Prefix,
        (feed, seq): (u32, u64),
        most: u64,
    ) -> Result<Vec<(Name, Edge)>, StoreError> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let from = Name::new(parent, feed, seq.saturating_add(1));
        let to = Name::new(parent, u32::MAX, u64::MAX);
        let new = self.children.range(from..=to).take(most);
        let mut all: BTreeMap<_, _> = new.map(|(place, edge)| (*place, *edge)).collect();
        let kept = self.tables.children.range::<&[u8; 17]>(&from.pack()..=&to.pack())?;
        for row in kept.take(most) {
            let (place, edge) = row?;
            all.insert(Name::unpack(place.value()), Edge::unpack(edge.value()));
        }
        let child = |(place, edge): (Name, Edge)| (Name { prefix: edge.prefix, ..place }, edge);
        Ok(all.into_iter().take(most).map(child).collect())
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
            let (first, last) = Row::bounds(term);
            let kept = self.tables.order.range::<&[u8; 26]>(&first..=&last)?.rev();
            let kept = kept.map(|row| Ok(Row::unpack(row?.0.value())));
            let kept = kept.filter(|row| !row.as_ref().is_ok_and(|row| self.erased.contains(row)));
            let new = self.inserted.range(Row::unpack(&first)..=Row::unpack(&last)).rev();
            let sides: [Source<'_>; 2] = [Box::new(kept), Box::new(new.copied().map(Ok))];
            sources.extend(sides.map(Iterator::peekable));
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
            let number = self.known_term("")?.unwrap_or(ALL).saturating_add(1);
            self.terms.insert(String::new(), (number, true));
            (number, true)
        };
        self.terms.insert(term, entry);
        Ok(entry.0)
    }

    pub(super) fn insert(&mut self, rows: impl IntoIterator<Item = Row>) {
        for row in rows {
            self.erased.remove(&row);
            self.inserted.insert(row);
        }
    }

    pub(super) fn erase(&mut self, rows: impl IntoIterator<Item = Row>) {
        for row in rows {
            self.inserted.remove(&row);
            self.erased.insert(row);
        }
    }

    /// Adds an entry, or what has become of it since it was added.
    pub(super) fn add(
        &mut self,
        feed: u32,
        seq: u64,
        id: &EntryId,
        payload: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let name = Name::new(id.prefix(), feed, seq);
        let old = self.node(&name)?;
        let said = Said::read(payload);
        let readable = !matches!(said, Said::Other { kind: 0, .. });
        if readable && old.is_some() {
            let unreadable = self.term(UNREADABLE.to_owned())?;
            self.erase([Row::new(unreadable, 0, 0, name)]);
        }
        match said {
            Said::Post(post) => self.add_post(name, old, &post),
            Said::Other { kind, time } => {
                let term = self.term(kind_term(kind))?;
                self.insert([Row::new(term, 0, time, name)]);
                let known = old.filter(|old| old.lamport > 0);
                self.nodes.insert(name, known.unwrap_or(Node { time, ..Node::default() }));
                if kind == PROFILE {
                    self.profiles.insert((feed, seq));
                }
                Ok(())
            }
        }
    }

    fn add_post(
        &mut self,
        name: Name,
        old: Option<Node>,
        post: &PostView<'_>,
    ) -> Result<(), StoreError> {
        let channel = post.channel.map(channel_term).map(|term| self.term(term)).transpose()?;
        let author = post.author.map(author_term).map(|term| self.term(term)).transpose()?;
        let mut node = Node {
            lamport: old.map_or(0, |old| old.lamport).max(1),
            time: post.time,
            channel: channel.unwrap_or(0),
            author: author.unwrap_or(0),
        };
        let mut answers = post.reply;
        for parent in post.parents.as_slice() {
            self.children
                .insert(Name { prefix: *parent, ..name }, Edge { answers, prefix: name.prefix });
            answers = false;
            let mut largest = 0;
            self.named((*parent, *parent), &mut |before, parent| {
                if parent.is_meant_by(&node) && before != name {
                    largest = parent.lamport.max(largest);
                }
                Ok(true)
            })?;
            node.lamport = node.lamport.max(largest.saturating_add(1));
        }
        if let Some(old) = old.filter(|old| old.lamport > 0) {
            self.erase(old.rows(name));
        }
        self.insert(node.rows(name));
        self.nodes.insert(name, node);
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
        let longest = u32::try_from(self.len()?).unwrap_or(u32::MAX);
        let mut left = most;
        while left > 0
            && let Some(((time, name), mut told)) = self.raised.pop_first()
        {
            let Some(node) = self.node(&name)? else { continue };
            loop {
                let most = left.min(CHUNK);
                let children = self.children(name.prefix, told, most)?;
                for (child, _) in &children {
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
        self.nodes.insert(name, raised);
        self.raised.insert((child.time, name), START);
        Ok(())
    }

    /// Writes down what was worked out.
    pub(super) fn write(self, txn: &WriteTransaction) -> Result<(), StoreError> {
        drop(self.tables);
        let mut terms = txn.open_table(TERMS)?;
        for (term, (number, _)) in self.terms.iter().filter(|(_, (_, new))| *new) {
            terms.insert(term.as_str(), number)?;
        }
        let mut ids = txn.open_table(IDS)?;
        for (name, node) in &self.nodes {
            ids.insert(&name.pack(), &node.pack())?;
        }
        let mut children = txn.open_table(CHILDREN)?;
        for (place, edge) in &self.children {
            children.insert(&place.pack(), &edge.pack())?;
        }
        let mut order = txn.open_table(ORDER)?;
        for row in &self.erased {
            order.remove(&row.pack())?;
        }
        for row in &self.inserted {
            order.insert(&row.pack(), ())?;
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

fn raised_key((time, name): &(u64, Name)) -> [u8; 22] {
    pack(&[&five(*time), &name.pack()])
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

/// Puts the parts of a key behind each other.
fn pack<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut packed = [0; N];
    for (to, from) in packed.iter_mut().zip(parts.iter().copied().flatten()) {
        *to = *from;
    }
    packed
}

/// The low five bytes: all of a seq or a time.
fn five(value: u64) -> [u8; 5] {
    value.to_be_bytes().last_chunk().copied().unwrap_or_default()
}

/// Takes the parts of a key from its front; parts that are not there are zero.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self, count: usize) -> u64 {
        let (part, rest) = self.0.split_at_checked(count).unwrap_or_default();
        self.0 = rest;
        part.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    fn next_u32(&mut self) -> u32 {
        u32::try_from(self.next(4)).unwrap_or(0)
    }
}
