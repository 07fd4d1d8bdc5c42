//! The record: a run of consecutive entries as the store keeps them, under (feed, last seq).
//!
//! Entries are kept in runs of up to [`RECORD_BYTES`], because one row an entry costs three times
//! the writes. A run may be cut at any entry. Signatures stand inside, behind the entries they
//! sign; one inside a window goes when a later one of that window covers it.

use crate::entry::{ChainHasher, EntryId, Header, Stub, is_checkpoint, window};
use crate::key::{FeedId, Signature};
use crate::store::StoreError;

/// Largest record: just under the 16 KiB page that redb rounds it up to.
pub(crate) const RECORD_BYTES: usize = 16_200;

/// Bytes before the first entry: format, first seq, id of the entry before.
const HEAD: usize = 1 + 8 + 32;
const FORMAT: u8 = 1;
const STATE: u8 = 0b0000_0111;
const HAS_TTL: u8 = 0b0000_1000;
const SIGNED: u8 = 0b0001_0000;

/// Where an entry's payload is, or why it is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Inside the record.
    Here,
    /// In a row of its own if it has come, else missing and wanted.
    Apart,
    /// Dropped because of an age that somebody claimed; still wanted.
    Expired,
    /// Dropped for good: this node itself held it for its whole lifetime.
    Ended,
    /// Dropped for good: its author took it back.
    Retracted,
    /// Dropped to stay within a quota; not wanted again.
    Evicted,
    /// Dropped for good: the user deleted it here.
    Deleted,
}

impl State {
    const ALL: [Self; 7] = [
        Self::Here,
        Self::Apart,
        Self::Expired,
        Self::Ended,
        Self::Retracted,
        Self::Evicted,
        Self::Deleted,
    ];

    const fn code(self) -> u8 {
        match self {
            Self::Here => 0,
            Self::Apart => 1,
            Self::Expired => 2,
            Self::Ended => 3,
            Self::Retracted => 4,
            Self::Evicted => 5,
            Self::Deleted => 6,
        }
    }

    /// Whether nothing brings the payload back.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Ended | Self::Retracted | Self::Deleted)
    }

    /// The word for it in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Apart => "missing",
            Self::Expired | Self::Ended => "expired",
            Self::Retracted => "retracted",
            Self::Evicted => "evicted",
            Self::Deleted => "deleted",
        }
    }
}

/// One entry as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) stub: Stub,
    /// Minutes of age when it arrived; 0 where the ttl is 0.
    pub(crate) age: u32,
    /// Minute of known time when it first arrived; 0 where the ttl is 0.
    pub(crate) since: u64,
    pub(crate) state: State,
    /// The payload if it is inside the record.
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) signature: Option<Signature>,
}

impl Kept {
    /// Minutes of age at minute `now` of known time.
    pub(crate) fn age_at(&self, now: u64) -> u64 {
        if self.stub.ttl == 0 {
            return 0;
        }
        u64::from(self.age).saturating_add(now.saturating_sub(self.since))
    }

    /// Takes the payload away and says why.
    pub(crate) fn drop_payload(&mut self, state: State) {
        self.payload = None;
        self.state = state;
    }
}

/// A parsed record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) first_seq: u64,
    pub(crate) prev: Option<EntryId>,
    pub(crate) entries: Vec<Kept>,
}

impl Record {
    /// The place of the last entry.
    pub(crate) fn last_seq(&self) -> u64 {
        self.first_seq.saturating_add(self.entries.len() as u64).saturating_sub(1)
    }

    /// The entries with their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Kept)> {
        (self.first_seq..).zip(&self.entries)
    }

    /// The ids of all entries, rebuilt from what is kept.
    pub(crate) fn ids(&self, feed: FeedId, hasher: &mut ChainHasher) -> Vec<EntryId> {
        let mut prev = self.prev;
        let id = |(seq, kept): (u64, &Kept)| {
            let id = hasher.id(&Header::new(feed, seq, prev, kept.stub));
            prev = Some(id);
            id
        };
        self.iter().map(id).collect()
    }

    /// The entry at `seq`.
    pub(crate) fn at_mut(&mut self, seq: u64) -> Option<&mut Kept> {
        let index = usize::try_from(seq.checked_sub(self.first_seq)?).ok()?;
        self.entries.get_mut(index)
    }

    /// Reads a record.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut cursor = Cursor(bytes);
        if cursor.byte()? != FORMAT {
            return Err(DAMAGED);
        }
        let first_seq = u64::from_be_bytes(cursor.array()?);
        let prev = EntryId::from_bytes(cursor.array()?);
        let mut entries = Vec::with_capacity(32);
        while !cursor.0.is_empty() {
            entries.push(cursor.entry()?);
        }
        Ok(Self { first_seq, prev: (first_seq > 1).then_some(prev), entries })
    }

    /// Where one entry's payload is, and the payload if that is inside the record, without
    /// hashing anything or reading the other entries.
    pub(crate) fn peek(bytes: &[u8], seq: u64) -> Result<Option<(State, &[u8])>, StoreError> {
        Cursor::at(bytes, seq)?.map(|mut cursor| cursor.peek_entry()).transpose()
    }

    /// How one entry is kept, without hashing anything or reading the other entries.
    pub(crate) fn kept(bytes: &[u8], seq: u64) -> Result<Option<Kept>, StoreError> {
        Cursor::at(bytes, seq)?.map(|mut cursor| cursor.entry()).transpose()
    }

    /// Shows every entry's place, where its payload is, and the payload if that is inside the record,
    /// without hashing anything.
    pub(crate) fn each(
        bytes: &[u8],
        visit: &mut dyn FnMut(u64, State, &[u8]),
    ) -> Result<(), StoreError> {
        let mut cursor = Cursor(bytes);
        if cursor.byte()? != FORMAT {
            return Err(DAMAGED);
        }
        let mut seq = u64::from_be_bytes(cursor.array()?);
        cursor.array::<32>()?;
        while !cursor.0.is_empty() {
            let rest = cursor.0;
            cursor.skip_entry()?;
            let (state, payload) = Cursor(rest).peek_entry()?;
            visit(seq, state, payload);
            seq = seq.saturating_add(1);
        }
        Ok(())
    }

    /// Writes the record, in pieces that each fit a row: (last seq, bytes).
    pub(crate) fn encode(&self, feed: FeedId, hasher: &mut ChainHasher) -> Vec<(u64, Vec<u8>)> {
        let mut pieces = Vec::new();
        let Some(first) = self.entries.first() else { return pieces };
        let mut tail = Tail::begin(self.first_seq, self.prev);
        let mut prev = tail.push(first);
        debug_assert!(prev.is_none(), "an empty tail has room");
        let ids = if self.entries.len() > 1 { self.ids(feed, hasher) } else { Vec::new() };
        for ((seq, kept), before) in self.iter().skip(1).zip(&ids) {
            prev = tail.push(kept);
            if let Some(full) = prev {
                pieces.push((seq.saturating_sub(1), full));
                tail.restart(seq, *before);
                tail.push(kept);
            }
        }
        pieces.push((self.last_seq(), tail.bytes));
        pieces
    }
}

/// A record being filled at its end, without parsing what is in it.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) first_seq: u64,
    /// The place of the last entry; `first_seq - 1` while empty.
    pub(crate) last_seq: u64,
    pub(crate) bytes: Vec<u8>,
    last_at: usize,
}

impl Tail {
    /// An empty record that will begin at `first_seq`.
    pub(crate) fn begin(first_seq: u64, prev: Option<EntryId>) -> Self {
        let mut tail = Self { first_seq, last_seq: 0, bytes: Vec::new(), last_at: 0 };
        tail.restart(first_seq, prev.unwrap_or(EntryId::from_bytes([0; 32])));
        tail
    }

    /// Goes on in a new record.
    pub(crate) fn restart(&mut self, first_seq: u64, prev: EntryId) {
        self.bytes = Vec::with_capacity(RECORD_BYTES);
        self.bytes.push(FORMAT);
        self.bytes.extend_from_slice(&first_seq.to_be_bytes());
        self.bytes.extend_from_slice(prev.as_bytes());
        self.first_seq = first_seq;
        self.last_seq = first_seq.saturating_sub(1);
        self.last_at = HEAD;
    }

    /// Takes up a stored record so that it can be filled further.
    pub(crate) fn resume(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut cursor = Cursor(bytes);
        cursor.byte()?;
        let first_seq = u64::from_be_bytes(cursor.array()?);
        cursor.array::<32>()?;
        let (mut last_seq, mut last_at) = (first_seq.saturating_sub(1), HEAD);
        while !cursor.0.is_empty() {
            last_at = bytes.len().saturating_sub(cursor.0.len());
            last_seq = last_seq.saturating_add(1);
            cursor.skip_entry()?;
        }
        Ok(Self { first_seq, last_seq, bytes: bytes.to_vec(), last_at })
    }

    /// Adds an entry. If it does not fit, nothing is added and the full record's bytes come back.
    pub(crate) fn push(&mut self, kept: &Kept) -> Option<Vec<u8>> {
        if self.bytes.len() > HEAD && self.bytes.len().saturating_add(kept.len()) > RECORD_BYTES {
            return Some(std::mem::take(&mut self.bytes));
        }
        self.uncover();
        self.last_at = self.bytes.len();
        self.last_seq = self.last_seq.saturating_add(1);
        kept.write(&mut self.bytes);
        None
    }

    /// Removes the signature of the last entry if the next one's window covers it.
    fn uncover(&mut self) {
        let covered = self.last_seq >= self.first_seq
            && !is_checkpoint(self.last_seq)
            && window(self.last_seq) == window(self.last_seq.saturating_add(1));
        if let Some(flags) = self.bytes.get_mut(self.last_at)
            && covered
            && *flags & SIGNED != 0
        {
            *flags &= !SIGNED;
            self.bytes.truncate(self.bytes.len().saturating_sub(64));
        }
    }
}

const DAMAGED: StoreError = StoreError::Damaged { what: "a record of entries" };

impl Kept {
    /// Most bytes that the entry takes in a record.
    fn len(&self) -> usize {
        let payload = self.payload.as_ref().map_or(32, Vec::len);
        1 + 4 + 10 + 10 + 4 + payload + if self.signature.is_some() { 64 } else { 0 }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut flags = self.state.code();
        if self.stub.ttl > 0 {
            flags |= HAS_TTL;
        }
        if self.signature.is_some() {
            flags |= SIGNED;
        }
        out.push(flags);
        if self.stub.ttl > 0 {
            put_varint(out, u64::from(self.stub.ttl));
            put_varint(out, u64::from(self.age));
            put_varint(out, self.since);
        }
        put_varint(out, u64::from(self.stub.size));
        // The hash of a payload that is here is computed from it when it is needed: 32 bytes saved.
        match &self.payload {
            Some(payload) => out.extend_from_slice(payload),
            None => out.extend_from_slice(&self.stub.payload_hash),
        }
        if let Some(signature) = &self.signature {
            out.extend_from_slice(signature);
        }
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], StoreError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(DAMAGED)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, StoreError> {
        self.take(1)?.first().copied().ok_or(DAMAGED)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        self.take(N)?.try_into().map_err(|_| DAMAGED)
    }

    fn varint(&mut self) -> Result<u64, StoreError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DAMAGED)
    }

    fn small(&mut self) -> Result<u32, StoreError> {
        u32::try_from(self.varint()?).map_err(|_| DAMAGED)
    }

    fn entry(&mut self) -> Result<Kept, StoreError> {
        let flags = self.byte()?;
        let state = *State::ALL.get(usize::from(flags & STATE)).ok_or(DAMAGED)?;
        let (ttl, age, since) = if flags & HAS_TTL == 0 {
            (0, 0, 0)
        } else {
            (self.small()?, self.small()?, self.varint()?)
        };
        let size = self.small()?;
        let (payload_hash, payload) = if state == State::Here {
            let payload = self.take(usize::try_from(size).map_err(|_| DAMAGED)?)?.to_vec();
            (Stub::of(ttl, &payload).payload_hash, Some(payload))
        } else {
            (self.array()?, None)
        };
        let signature = if flags & SIGNED == 0 { None } else { Some(self.array()?) };
        Ok(Kept { stub: Stub { ttl, size, payload_hash }, age, since, state, payload, signature })
    }

    /// Where one entry stands in a record, if it does.
    fn at(bytes: &'a [u8], seq: u64) -> Result<Option<Self>, StoreError> {
        let mut cursor = Self(bytes);
        if cursor.byte()? != FORMAT {
            return Err(DAMAGED);
        }
        let first_seq = u64::from_be_bytes(cursor.array()?);
        cursor.array::<32>()?;
        for _ in first_seq..seq {
            if cursor.0.is_empty() {
                return Ok(None);
            }
            cursor.skip_entry()?;
        }
        Ok(Some(cursor).filter(|cursor| seq >= first_seq && !cursor.0.is_empty()))
    }

    fn peek_entry(&mut self) -> Result<(State, &'a [u8]), StoreError> {
        let flags = self.byte()?;
        let state = *State::ALL.get(usize::from(flags & STATE)).ok_or(DAMAGED)?;
        for _ in 0..if flags & HAS_TTL == 0 { 0 } else { 3 } {
            self.varint()?;
        }
        let size = usize::try_from(self.varint()?).map_err(|_| DAMAGED)?;
        Ok((state, self.take(if state == State::Here { size } else { 0 })?))
    }

    fn skip_entry(&mut self) -> Result<(), StoreError> {
        let flags = self.byte()?;
        if flags & HAS_TTL != 0 {
            for _ in 0..3 {
                self.varint()?;
            }
        }
        let size = usize::try_from(self.varint()?).map_err(|_| DAMAGED)?;
        self.take(if flags & STATE == State::Here.code() { size } else { 32 })?;
        self.take(if flags & SIGNED == 0 { 0 } else { 64 })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(byte: u8, size: usize, signed: bool) -> Kept {
        let payload = vec![byte; size];
        Kept {
            stub: Stub::of(u32::from(byte % 3), &payload),
            age: u32::from(byte % 3) * 50,
            since: u64::from(byte % 3) * 1_000_000,
            state: State::Here,
            payload: Some(payload),
            signature: signed.then_some([byte; 64]),
        }
    }

    #[test]
    fn a_record_reads_back_and_splits_where_it_is_full() {
        let feed = FeedId::from_bytes([1; 32]);
        let entries: Vec<_> =
            (0..100u8).map(|n| kept(n, usize::from(n) * 10, (2 + n) % 32 == 0)).collect();
        let record = Record { first_seq: 2, prev: Some(EntryId::from_bytes([4; 32])), entries };
        let pieces = record.encode(feed, &mut ChainHasher::default());
        assert!(pieces.len() > 2 && pieces.iter().all(|(_, bytes)| bytes.len() <= RECORD_BYTES));
        let mut entries = Vec::new();
        let mut next = (2, record.prev);
        for (last, bytes) in pieces {
            let piece = Record::parse(&bytes).unwrap();
            assert_eq!((piece.first_seq, piece.prev), next);
            assert_eq!(piece.last_seq(), last);
            next = (last + 1, piece.ids(feed, &mut ChainHasher::default()).last().copied());
            entries.extend(piece.entries);
        }
        assert_eq!(entries, record.entries);
    }

    #[test]
    fn a_later_signature_of_a_window_replaces_an_earlier_one() {
        let mut tail = Tail::begin(31, Some(EntryId::from_bytes([4; 32])));
        for seq in 31..=34u8 {
            assert_eq!(tail.push(&kept(seq, 10, true)), None);
        }
        let mut resumed = Tail::resume(&tail.bytes).unwrap();
        assert_eq!(resumed.push(&kept(35, 10, true)), None);
        let record = Record::parse(&resumed.bytes).unwrap();
        let signed: Vec<_> = record
            .iter()
            .filter(|(_, kept)| kept.signature.is_some())
            .map(|(seq, _)| seq)
            .collect();
        assert_eq!(signed, [32, 35], "the checkpoint's and the last");
    }

    #[test]
    fn damaged_records_are_errors() {
        let mut tail = Tail::begin(2, Some(EntryId::from_bytes([4; 32])));
        tail.push(&kept(1, 300, true));
        for cut in 1..tail.bytes.len() {
            let found = Record::parse(&tail.bytes[..cut]);
            assert!(cut == HEAD || found.is_err(), "cut at {cut}");
        }
    }
}
