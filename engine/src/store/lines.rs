//! What the rows of the indexes say, and how they are packed.
//!
//! A row is as short as it can be and of one length for all of its kind; keys are packed so that
//! their bytes stand in the order in which rows are wanted.

use crate::content::Prefix;

/// Number of the term that every readable post and reply is found under.
pub(super) const ALL: u32 = 1;
/// Number of the term that every other entry is found under.
pub(super) const OTHER: u32 = 2;
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

/// The name of an entry as the key of [`RECHECKS`], in the order of feeds.
pub(super) fn recheck_key(name: &Name) -> [u8; 17] {
    pack(&[&name.feed.to_be_bytes(), &five(name.seq), &name.prefix])
}

pub(super) fn unpack_recheck(bytes: &[u8]) -> Name {
    let mut bytes = Bytes(bytes);
    let (feed, seq) = (bytes.next_u32(), bytes.next(5));
    Name { prefix: bytes.next(8).to_be_bytes(), feed, seq }
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
    /// What it answers.
    pub(super) answers: Option<Prefix>,
}

impl Node {
    /// Stands where an entry was dropped.
    pub(super) const GONE: Self =
        Self { lamport: u32::MAX, time: 0, channel: 0, author: 0, answers: None };

    pub(super) fn pack(&self) -> [u8; 26] {
        let (channel, author) = (self.channel.to_be_bytes(), self.author.to_be_bytes());
        let (lamport, time) = (self.lamport.to_be_bytes(), five(self.time));
        let (is_answer, answers) =
            ([u8::from(self.answers.is_some())], self.answers.unwrap_or_default());
        pack(&[&lamport, &time, &channel, &author, &is_answer, &answers])
    }

    pub(super) fn unpack(bytes: &[u8]) -> Self {
        let mut bytes = Bytes(bytes);
        let (lamport, time) = (bytes.next_u32(), bytes.next(5));
        let (channel, author) = (bytes.next_u32(), bytes.next_u32());
        let is_answer = bytes.next(1) == 1;
        let answers = is_answer.then(|| bytes.next(8).to_be_bytes());
        Self { lamport, time, channel, author, answers }
    }

    /// Whether a child means this entry when it names its prefix: those in a channel name what is
    /// in it, those in none whatever they like.
    pub(super) const fn is_meant_by(&self, child: &Self) -> bool {
        child.channel == 0 || child.channel == self.channel
    }

    /// Where an entry is found.
    pub(super) fn rows(&self, name: Name) -> Vec<Row> {
        if self.lamport == 0 {
            return vec![Row::new(OTHER, 0, self.time, name)];
        }
        let terms = [ALL, feed_term(name.feed), self.channel, self.author].into_iter();
        let row = |term| Row::new(term, self.lamport, self.time, name);
        terms.filter(|term| *term > 0).map(row).collect()
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

    /// The newest and the oldest row that a term could have.
    pub(super) fn bounds(term: u32) -> ([u8; 26], [u8; 26]) {
        let newest = pack(&[&term.to_be_bytes(), &[0; 22]]);
        (newest, pack(&[&term.to_be_bytes(), &[0xff; 22]]))
    }

    /// All but the term is turned over, so that the newest stands first.
    pub(super) fn pack(&self) -> [u8; 26] {
        let (lamport, id, feed) = (!self.lamport, !self.id, !self.feed);
        let (time, seq) = (five(!self.time), five(!self.seq));
        let (id, feed) = (id.to_be_bytes(), feed.to_be_bytes());
        pack(&[&self.term.to_be_bytes(), &lamport.to_be_bytes(), &time, &id, &feed, &seq])
    }

    pub(super) fn unpack(bytes: &[u8]) -> Self {
        let mut bytes = Bytes(bytes);
        let (term, lamport, time) = (bytes.next_u32(), !bytes.next_u32(), bytes.next(5));
        let (id, feed, seq) = (!bytes.next_u32(), !bytes.next_u32(), bytes.next(5));
        Self { term, lamport, time: FIVE ^ time, id, feed, seq: FIVE ^ seq }
    }
}

/// The largest number of five bytes.
pub(super) const FIVE: u64 = (1 << 40) - 1;

/// What is known of an answer where it stands under what it answers: enough to list a thread without
/// looking up each entry of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// The beginning of its own id.
    pub(super) prefix: Prefix,
    /// As of its [`Node`]; of one that was dropped, as of [`Node::GONE`].
    pub(super) lamport: u32,
    /// As of its node.
    pub(super) time: u64,
    /// As of its node.
    pub(super) channel: u32,
}

impl Answer {
    pub(super) fn pack(&self) -> [u8; 21] {
        let (lamport, channel) = (self.lamport.to_be_bytes(), self.channel.to_be_bytes());
        pack(&[&self.prefix, &lamport, &five(self.time), &channel])
    }

    pub(super) fn unpack(bytes: &[u8]) -> Self {
        let mut bytes = Bytes(bytes);
        let (prefix, lamport) = (bytes.next(8).to_be_bytes(), bytes.next_u32());
        Self { prefix, lamport, time: bytes.next(5), channel: bytes.next_u32() }
    }

    /// Whether it was dropped since.
    pub(super) const fn is_gone(&self) -> bool {
        self.lamport == Node::GONE.lamport
    }
}

/// The term that a feed's posts and replies are found under: none that is given out is so large.
pub(super) const fn feed_term(feed: u32) -> u32 {
    feed | 1 << 31
}

/// Puts the parts of a key behind each other.
pub(super) fn pack<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut packed = [0; N];
    for (to, from) in packed.iter_mut().zip(parts.iter().copied().flatten()) {
        *to = *from;
    }
    packed
}

/// The low five bytes: all of a seq or a time.
pub(super) fn five(value: u64) -> [u8; 5] {
    value.to_be_bytes().last_chunk().copied().unwrap_or_default()
}

/// Takes the parts of a key from its front; parts that are not there are zero.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl Bytes<'_> {
    pub(super) fn next(&mut self, count: usize) -> u64 {
        let (part, rest) = self.0.split_at_checked(count).unwrap_or_default();
        self.0 = rest;
        part.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    pub(super) fn next_u32(&mut self) -> u32 {
        u32::try_from(self.next(4)).unwrap_or(0)
    }
}
