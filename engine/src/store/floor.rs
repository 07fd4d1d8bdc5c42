//! The floor of the arrival log: a flood must not leave a row for ever for each thing that came.
//!
//! What arrived is noted and may be dropped again; its row of the log stays, since a place in the
//! log tells what came after it. Once most rows tell of nothing that is here, the floor rises from
//! row to row: below it only rows stay by which something came that is held still. Above the floor
//! the log is whole. A place below it is one no more: who remembers it is told more than is new.

use redb::{ReadableTable, ReadableTableMetadata};

use crate::key::{Digest, short_of};
use crate::store::chain::log_hash;
use crate::store::index::state;
use crate::store::snapshot::Snapshot;
use crate::store::tables::{ARRIVALS, Arrival, ArrivalKind, LOG};
use crate::store::view::Done;
use crate::store::{StoreError, Writer};

/// Newest rows that the floor stays below.
const NEWEST: u64 = 16_384;
/// Rows that the floor passes in one step.
const PASSED: u64 = 8_192;
/// The name of the position up to which the log was looked at for what is sealed.
pub(crate) const OPENED: &str = "opened";
/// The name of the floor among single values.
const FLOOR: &str = "log floor";

/// A position of the log, and the running hash of all that came up to there.
type Floor = (u64, Digest);

fn read(row: Option<&[u8]>) -> Result<Floor, StoreError> {
    let Some(row) = row else { return Ok((0, [0; 32])) };
    let parts = row.split_first_chunk().and_then(|(at, hash)| Some((at, hash.try_into().ok()?)));
    let (position, hash) = parts.ok_or(StoreError::Damaged { what: "the floor of the log" })?;
    Ok((u64::from_be_bytes(*position), hash))
}

/// How far the log was looked at for what is sealed; no matter, where nobody does.
fn opened(row: Option<Vec<u8>>) -> u64 {
    row.and_then(|row| row.try_into().ok()).map_or(u64::MAX, u64::from_be_bytes)
}

/// Whether so many rows are worth it, where so many runs of entries are here.
const fn is_thick(rows: u64, runs: u64, newest: u64) -> bool {
    rows > runs.saturating_mul(2).saturating_add(newest)
}

impl Snapshot {
    /// Up to where the log is not whole, and its running hash there.
    pub(crate) fn log_floor(&self) -> Result<Floor, StoreError> {
        read(self.meta(FLOOR)?.as_deref())
    }

    /// Whether the log was once as somebody remembers it, and still tells what came after that.
    pub(crate) fn is_place(&self, (position, hash): (u64, [u8; 8])) -> Result<bool, StoreError> {
        let (floor, floor_hash) = self.log_floor()?;
        if position <= floor {
            return Ok(position == floor && (floor == 0 || short_of(&floor_hash) == hash));
        }
        Ok(self.arrival(position)?.is_some_and(|arrival| arrival.hash == hash))
    }

    /// Whether the floor is to rise.
    pub(crate) fn log_is_thick(&self) -> Result<bool, StoreError> {
        let (rows, runs) =
            (self.txn.open_table(LOG)?.len()?, self.txn.open_table(ARRIVALS)?.len()?);
        let done = Done::read(self.index_state("done")?.as_deref()).position;
        let opened = opened(self.meta(OPENED)?);
        let top = self.heads()?.log_len.saturating_sub(NEWEST).min(done).min(opened);
        Ok(is_thick(rows, runs, NEWEST) && self.log_floor()?.0 < top)
    }
}

impl Writer<'_> {
    /// Lets the floor of the log rise a step, if that is worth it. Whether another one would be.
    pub(crate) fn thin_log(&mut self) -> Result<bool, StoreError> {
        self.raise_floor(NEWEST, PASSED)
    }

    /// Lets the floor pass so many rows, but not the newest ones.
    pub(super) fn raise_floor(&mut self, newest: u64, passed: u64) -> Result<bool, StoreError> {
        self.flush_arrival()?;
        let mut log = self.txn.open_table(LOG)?;
        let arrivals = self.txn.open_table(ARRIVALS)?;
        if !is_thick(log.len()?, arrivals.len()?, newest) {
            return Ok(false);
        }
        // What no index knows yet is looked for in the log.
        let done = Done::read(state(self, "done")?.as_deref());
        let opened = opened(self.meta(OPENED)?);
        let top = self.heads.log_len.saturating_sub(newest).min(done.position).min(opened);
        let (mut floor, mut hash) = self.log_floor()?;
        let end = floor.saturating_add(passed).min(top);
        while floor < end {
            let position = floor.saturating_add(1);
            let row = log.get(position)?.map(|row| Arrival::decode(row.value())).transpose()?;
            let arrival = row.ok_or(StoreError::Damaged { what: "the arrival log" })?;
            (hash, _) = log_hash(&hash, &arrival);
            if !is_live(&arrivals, position, &arrival)? {
                log.remove(position)?;
            }
            floor = position;
        }
        let more = end < top && is_thick(log.len()?, arrivals.len()?, newest);
        drop((log, arrivals));
        self.set_meta(FLOOR, &[&floor.to_be_bytes()[..], &hash].concat())?;
        Ok(more)
    }

    fn log_floor(&self) -> Result<Floor, StoreError> {
        read(self.meta(FLOOR)?.as_deref())
    }

    /// Removes rows of the log below the floor if nothing is here any more that came by them.
    pub(super) fn forget_rows(&mut self, positions: &[u64]) -> Result<(), StoreError> {
        let floor = self.log_floor()?.0;
        let mut log = self.txn.open_table(LOG)?;
        let arrivals = self.txn.open_table(ARRIVALS)?;
        for position in positions.iter().filter(|position| **position <= floor) {
            let row = log.get(position)?.map(|row| Arrival::decode(row.value())).transpose()?;
            if let Some(arrival) = row
                && !is_live(&arrivals, *position, &arrival)?
            {
                log.remove(position)?;
            }
        }
        Ok(())
    }
}

/// Whether entries are here that came by an arrival. That a payload came by itself is of use only
/// to who remembers a place before.
fn is_live(
    arrivals: &impl ReadableTable<(u32, u64), (u64, u64)>,
    position: u64,
    arrival: &Arrival,
) -> Result<bool, StoreError> {
    if arrival.kind == ArrivalKind::Payload {
        return Ok(false);
    }
    for row in arrivals.range((arrival.feed, arrival.first)..=(arrival.feed, u64::MAX))? {
        let (first, by) = row?.1.value();
        if by == position || first > arrival.last {
            return Ok(by == position);
        }
    }
    Ok(false)
}
