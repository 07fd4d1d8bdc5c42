//! The tables of the store and the rows that are structures.
//!
//! Rows are written with the same strict codec as everything that travels; a row that does not
//! decode is reported as damage, never guessed at.

use redb::TableDefinition;

use crate::codec::{DecodeError, Decoder, Encoder};
use crate::content::Carry;
use crate::entry::EntryId;
use crate::key::{AccountId, FeedId};
use crate::policy::CarryClass;
use crate::store::StoreError;

/// Single values by name: version, clock, log, counters, settings.
pub(crate) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// Feed number to [`FeedRow`].
pub(crate) const FEEDS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("feeds");
/// Feed id and branch to feed number. Numbers are never used twice.
pub(crate) const FEED_IDS: TableDefinition<'_, &[u8; 33], u32> = TableDefinition::new("feed_ids");
/// (feed, last seq) to a record of entries.
pub(crate) const RECORDS: TableDefinition<'_, (u32, u64), &[u8]> = TableDefinition::new("records");
/// (feed, seq) to a detached payload.
pub(crate) const PAYLOADS: TableDefinition<'_, (u32, u64), &[u8]> =
    TableDefinition::new("payloads");
/// (feed, seq) of payloads that are wanted.
pub(crate) const HOLES: TableDefinition<'_, (u32, u64), ()> = TableDefinition::new("holes");
/// (minute of known time, feed, seq) at which a payload is due to be looked at.
pub(crate) const EXPIRIES: TableDefinition<'_, (u64, u32, u64), ()> =
    TableDefinition::new("expiries");
/// (feed, seq of the retraction, first seq) to the last seq of a retracted range.
pub(crate) const RETRACTIONS: TableDefinition<'_, (u32, u64, u64), u64> =
    TableDefinition::new("retractions");
/// (feed, seq) of entries whose payloads the user deleted.
pub(crate) const DELETED: TableDefinition<'_, (u32, u64), ()> = TableDefinition::new("deleted");
/// Position to [`Arrival`].
pub(crate) const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
/// (feed, last seq) to (first seq, position) of an arrival of entries.
pub(crate) const ARRIVALS: TableDefinition<'_, (u32, u64), (u64, u64)> =
    TableDefinition::new("arrivals");
/// Number to the words for a way by which entries came.
pub(crate) const VIAS: TableDefinition<'_, u32, &str> = TableDefinition::new("vias");
/// The reverse of [`VIAS`].
pub(crate) const VIA_IDS: TableDefinition<'_, &str, u32> = TableDefinition::new("via_ids");
/// Feed number to its fork proof.
pub(crate) const FORKS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("forks");
/// Feed id to what the user decided about it: 1 followed, 2 blocked.
pub(crate) const RELATIONS: TableDefinition<'_, &[u8; 32], u8> = TableDefinition::new("relations");
/// Feed id to the user's own name for it.
pub(crate) const PETNAMES: TableDefinition<'_, &[u8; 32], &str> = TableDefinition::new("petnames");
/// Account and feed to a standing: 1 added, 2 revoked.
pub(crate) const DEVICES: TableDefinition<'_, &[u8; 64], u8> = TableDefinition::new("devices");
/// Feed id to what was evicted or left out of it.
pub(crate) const LEDGER: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("ledger");
/// Order of the ledger's rows: number to feed id.
pub(crate) const LEDGER_ORDER: TableDefinition<'_, u64, &[u8; 32]> =
    TableDefinition::new("ledger_order");
/// Carrier to its number.
pub(crate) const CARRIER_IDS: TableDefinition<'_, &[u8], u32> = TableDefinition::new("carrier_ids");
/// Carrier number to the bytes held of strangers' feeds that it handed over.
pub(crate) const CARRIERS: TableDefinition<'_, u32, u64> = TableDefinition::new("carriers");
/// (class and what is left to give up, carrier, position of first arrival, feed): the order of
/// eviction.
pub(crate) const HELD_ORDER: TableDefinition<'_, (u8, u32, u64, u32), ()> =
    TableDefinition::new("held_order");
/// Feed id of a maker of bundles to [`PeerRow`].
pub(crate) const PEERS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("peers");
/// (peer's feed id and feed id) to the head that the peer stated: floor, head, fork seq or 0.
pub(crate) const PEER_HEADS: TableDefinition<'_, &[u8; 64], (u64, u64, u64)> =
    TableDefinition::new("peer_heads");
/// Secrets of this device by name.
pub(crate) const SECRETS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("secrets");
/// How far an input was taken in, by its key.
pub(crate) const PROGRESS: TableDefinition<'_, &[u8; 32], u64> = TableDefinition::new("progress");

/// What is known of one feed, or of one branch of a forked feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FeedRow {
    pub(crate) id: FeedId,
    /// 0, or 1 for the second branch of a forked feed.
    pub(crate) branch: u8,
    pub(crate) class: CarryClass,
    /// From entry 1, once that is held.
    pub(crate) origin: Option<OriginRow>,
    /// Held runs of entries, ascending, not touching.
    pub(crate) runs: Vec<(u64, u64)>,
    /// Oldest entry of the run that is announced.
    pub(crate) floor: u64,
    /// Id of the newest entry of the announced run.
    pub(crate) head_id: EntryId,
    /// Entries held.
    pub(crate) entries: u64,
    /// Bytes counted against quotas.
    pub(crate) bytes: u64,
    /// Who handed over the first entry.
    pub(crate) carrier: u32,
    /// Position in the arrival log of the first entry.
    pub(crate) since: u64,
    /// Lowest seq at which the feed is proven forked.
    pub(crate) fork_seq: Option<u64>,
    /// Whether retractions of this feed are known.
    pub(crate) retracts: bool,
    /// Whether this device writes it (1), wrote it (2), or not (0).
    pub(crate) own: u8,
}

/// What entry 1 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OriginRow {
    pub(crate) account: AccountId,
    pub(crate) carry: Carry,
    pub(crate) retired: Option<FeedId>,
}

impl FeedRow {
    /// Newest entry of the announced run; 0 if none is held.
    pub(crate) fn head(&self) -> u64 {
        self.runs.iter().find(|run| run.0 <= self.floor && self.floor <= run.1).map_or(0, |r| r.1)
    }

    /// Whether any entry at `seq` is held.
    pub(crate) fn holds(&self, seq: u64) -> bool {
        self.runs.iter().any(|run| run.0 <= seq && seq <= run.1)
    }

    /// Adds a run of entries.
    pub(crate) fn add_run(&mut self, first: u64, last: u64) {
        let at = self.runs.partition_point(|run| run.1.saturating_add(1) < first);
        let mut merged = (first, last);
        let mut end = at;
        while let Some(run) = self.runs.get(end)
            && run.0 <= last.saturating_add(1)
        {
            merged = (merged.0.min(run.0), merged.1.max(run.1));
            end = end.saturating_add(1);
        }
        self.runs.splice(at..end, [merged]);
    }

    /// Takes away every entry in a range.
    pub(crate) fn remove_run(&mut self, first: u64, last: u64) {
        let mut kept = Vec::with_capacity(self.runs.len().saturating_add(1));
        for &(from, to) in &self.runs {
            if from < first {
                kept.push((from, to.min(first.saturating_sub(1))));
            }
            if to > last {
                kept.push((from.max(last.saturating_add(1)), to));
            }
        }
        self.runs = kept;
    }

    /// The gaps below and between what is held, down to the floor.
    pub(crate) fn gaps(&self) -> Vec<(u64, u64)> {
        let mut next = self.floor;
        let mut gaps = Vec::new();
        for &(from, to) in self.runs.iter().filter(|run| run.1 >= self.floor) {
            if from > next {
                gaps.push((next, from.saturating_sub(1)));
            }
            next = to.saturating_add(1);
        }
        gaps
    }

    /// The gaps, and of a forked feed also what is missing above all that is held and below the fork:
    /// whoever took the proof before these entries is not told of them by a newer head.
    pub(crate) fn missing(&self) -> Vec<(u64, u64)> {
        let mut missing = self.gaps();
        let next = self.runs.last().map_or(0, |run| run.1).saturating_add(1).max(self.floor);
        let last = self.fork_seq.unwrap_or(0).saturating_sub(1);
        if next <= last {
            missing.push((next, last));
        }
        missing
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(14).bytes(self.id.as_bytes()).uint(u64::from(self.branch));
        out.uint(u64::from(self.class.code()));
        match &self.origin {
            None => out.null(),
            Some(origin) => {
                out.array(3).bytes(origin.account.as_bytes()).uint(origin.carry.code());
                out.bytes_or_null(origin.retired.as_ref().map(|feed| feed.as_bytes().as_slice()))
            }
        };
        out.array(self.runs.len() as u64);
        for run in &self.runs {
            out.array(2).uint(run.0).uint(run.1);
        }
        out.uint(self.floor).bytes(self.head_id.as_bytes()).uint(self.entries).uint(self.bytes);
        out.uint(u64::from(self.carrier)).uint(self.since).uint(self.fork_seq.unwrap_or(0));
        out.boolean(self.retracts).uint(u64::from(self.own));
        out.into_bytes()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        Self::read(bytes).map_err(|_| StoreError::Damaged { what: "a row of a feed" })
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut row = Decoder::new(bytes);
        row.array_of("feed row", 14)?;
        let id = FeedId::from_bytes(row.fixed("id")?);
        let branch = small(&mut row)?;
        let class = CarryClass::from_code(small(&mut row)?).ok_or(BAD)?;
        let origin = if row.skip_null() { None } else { Some(OriginRow::read(&mut row)?) };
        let count = row.array("runs", u64::MAX)?;
        let run = |row: &mut Decoder<'_>| {
            row.array_of("run", 2)?;
            Ok((row.uint("from", u64::MAX)?, row.uint("to", u64::MAX)?))
        };
        let runs = (0..count).map(|_| run(&mut row)).collect::<Result<_, DecodeError>>()?;
        let value = Self {
            id,
            branch,
            class,
            origin,
            runs,
            floor: row.uint("floor", u64::MAX)?,
            head_id: EntryId::from_bytes(row.fixed("head_id")?),
            entries: row.uint("entries", u64::MAX)?,
            bytes: row.uint("bytes", u64::MAX)?,
            carrier: u32::try_from(row.uint("carrier", u64::MAX)?).map_err(|_| BAD)?,
            since: row.uint("since", u64::MAX)?,
            fork_seq: Some(row.uint("fork_seq", u64::MAX)?).filter(|seq| *seq > 0),
            retracts: row.boolean("retracts")?,
            own: small(&mut row)?,
        };
        row.finish()?;
        Ok(value)
    }
}

impl OriginRow {
    fn read(row: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        row.array_of("origin", 3)?;
        let account = AccountId::from_bytes(row.fixed("account")?);
        let code = row.uint("carry", u64::MAX)?;
        let all = [Carry::Open, Carry::Contacts, Carry::Listed];
        let carry = all.into_iter().find(|carry| carry.code() == code).ok_or(BAD)?;
        Ok(Self { account, carry, retired: row.fixed_or_null("retired")?.map(FeedId::from_bytes) })
    }
}

/// What arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArrivalKind {
    /// Entries from `first` to `last`.
    Entries,
    /// The payload of the one entry `first`.
    Payload,
}

/// One row of the arrival log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) feed: u32,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) kind: ArrivalKind,
    pub(crate) via: u32,
    /// Unix milliseconds by this device's clock.
    pub(crate) wall: u64,
    /// First bytes of the log's running hash up to and with this row.
    pub(crate) hash: [u8; 8],
}

impl Arrival {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(7).uint(u64::from(self.feed)).uint(self.first).uint(self.last);
        out.boolean(self.kind == ArrivalKind::Payload).uint(u64::from(self.via)).uint(self.wall);
        out.bytes(&self.hash);
        out.into_bytes()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        Self::read(bytes).map_err(|_| StoreError::Damaged { what: "a row of the arrival log" })
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut row = Decoder::new(bytes);
        row.array_of("arrival", 7)?;
        let value = Self {
            feed: u32::try_from(row.uint("feed", u64::MAX)?).map_err(|_| BAD)?,
            first: row.uint("first", u64::MAX)?,
            last: row.uint("last", u64::MAX)?,
            kind: if row.boolean("kind")? { ArrivalKind::Payload } else { ArrivalKind::Entries },
            via: u32::try_from(row.uint("via", u64::MAX)?).map_err(|_| BAD)?,
            wall: row.uint("wall", u64::MAX)?,
            hash: row.fixed("hash")?,
        };
        row.finish()?;
        Ok(value)
    }
}

/// What a maker of bundles stated last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PeerRow {
    /// Length of its arrival log then; an older statement is ignored.
    pub(crate) position: u64,
    /// How far its log was taken in here, and the log's running hash there.
    pub(crate) read: Option<(u64, [u8; 8])>,
    /// How far it had read our log.
    pub(crate) ack: Option<(u64, [u8; 8])>,
    /// What it misses: (feed, first, last, whether payloads).
    pub(crate) wants: Vec<(FeedId, u64, u64, bool)>,
}

impl PeerRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(4).uint(self.position);
        for cursor in [&self.read, &self.ack] {
            match cursor {
                None => out.null(),
                Some((position, hash)) => out.array(2).uint(*position).bytes(hash),
            };
        }
        out.array(self.wants.len() as u64);
        for (feed, first, last, payloads) in &self.wants {
            out.array(4).bytes(feed.as_bytes()).uint(*first).uint(*last).boolean(*payloads);
        }
        out.into_bytes()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        Self::read(bytes).map_err(|_| StoreError::Damaged { what: "a row of a peer" })
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut row = Decoder::new(bytes);
        row.array_of("peer", 4)?;
        let position = row.uint("position", u64::MAX)?;
        let cursor = |row: &mut Decoder<'_>| {
            if row.skip_null() {
                return Ok(None);
            }
            row.array_of("cursor", 2)?;
            Ok(Some((row.uint("position", u64::MAX)?, row.fixed("hash")?)))
        };
        let (read, ack) = (cursor(&mut row)?, cursor(&mut row)?);
        let count = row.array("wants", u64::MAX)?;
        let want = |row: &mut Decoder<'_>| {
            row.array_of("want", 4)?;
            let feed = FeedId::from_bytes(row.fixed("feed")?);
            let (first, last) = (row.uint("first", u64::MAX)?, row.uint("last", u64::MAX)?);
            Ok((feed, first, last, row.boolean("payloads")?))
        };
        let wants = (0..count).map(|_| want(&mut row)).collect::<Result<_, DecodeError>>()?;
        row.finish()?;
        Ok(Self { position, read, ack, wants })
    }
}

const BAD: DecodeError = DecodeError::WrongType { field: "row" };

fn small(row: &mut Decoder<'_>) -> Result<u8, DecodeError> {
    u8::try_from(row.uint("small", 255)?).map_err(|_| BAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> FeedRow {
        FeedRow {
            id: FeedId::from_bytes([1; 32]),
            branch: 0,
            class: CarryClass::Stranger,
            origin: Some(OriginRow {
                account: AccountId::from_bytes([2; 32]),
                carry: Carry::Open,
                retired: Some(FeedId::from_bytes([3; 32])),
            }),
            runs: vec![(1, 3), (7, 9)],
            floor: 1,
            head_id: EntryId::from_bytes([5; 32]),
            entries: 6,
            bytes: 700,
            carrier: 4,
            since: 17,
            fork_seq: Some(8),
            retracts: true,
            own: 2,
        }
    }

    #[test]
    fn rows_read_back() {
        let row = row();
        assert_eq!(FeedRow::decode(&row.encode()).unwrap(), row);
        let peer = PeerRow {
            position: 9,
            read: Some((8, [1; 8])),
            ack: Some((3, [2; 8])),
            wants: vec![(row.id, 1, 2, true)],
        };
        assert_eq!(PeerRow::decode(&peer.encode()).unwrap(), peer);
    }

    #[test]
    fn runs_merge_split_and_leave_gaps() {
        let mut row = row();
        assert_eq!((row.head(), row.gaps()), (3, vec![(4, 6)]));
        row.add_run(5, 5);
        assert_eq!(
            (row.runs.clone(), row.gaps()),
            (vec![(1, 3), (5, 5), (7, 9)], vec![(4, 4), (6, 6)])
        );
        row.add_run(4, 6);
        assert_eq!((row.runs.clone(), row.head(), row.gaps()), (vec![(1, 9)], 9, vec![]));
        row.remove_run(3, 4);
        assert_eq!(row.runs, [(1, 2), (5, 9)]);
        row.floor = 5;
        assert_eq!((row.head(), row.gaps()), (9, vec![]), "nothing is wanted below the floor");
    }
}
