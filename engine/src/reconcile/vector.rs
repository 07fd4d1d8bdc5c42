//! The two lists of a reconciliation in which most differs: each side lists what it has, in turns.
//!
//! Both lists are in the order of the ids and continue each other: what one side listed, the other
//! compares with its own and passes over, so that every id is listed once, by one of them. Usually
//! one side lists everything. Strangers take turns, each at most somewhat longer than the last.

use super::message::{Message, Row, Then, Want};
use super::scope::{Keyed, Scope};
use super::{Difference, ReconcileError};
use crate::codec::DecodeError;
use crate::limits::RECONCILE_ITEMS;

/// Bits of an id beyond those that tell the feeds of the larger side apart.
const ROW_BITS: u32 = 24;
/// Least bytes of a row: gap, seq and tag.
const ROW_BYTES: u64 = 5;
/// Bytes of a turn that is passed.
const PASSING: u64 = 6;

/// How far both lists have come.
#[derive(Debug)]
pub(super) struct Lists {
    /// Bits of an id.
    width: u32,
    /// Rows that the peer has.
    their_count: u64,
    /// Own items that are covered, by either list.
    at: usize,
    /// The smallest id that is not covered.
    covered: u64,
    /// The place of the peer's next row, at least.
    their_first: u64,
    /// Messages of ours that wait for picks.
    unanswered: u64,
    /// Whether it is our turn.
    is_ours: bool,
    /// Whether we passed a turn: nobody passes twice.
    has_passed: bool,
    /// Whether every id is covered.
    is_complete: bool,
}

impl Lists {
    /// Before anything is listed; the first to write has the first turn.
    pub(super) fn new(own_count: u64, their_count: u64) -> Self {
        let width = u64::BITS - own_count.max(their_count).leading_zeros() + ROW_BITS;
        let (at, covered, their_first, unanswered) = (0, 0, 0, 0);
        let (is_ours, has_passed, is_complete) = (true, false, false);
        Self {
            width,
            their_count,
            at,
            covered,
            their_first,
            unanswered,
            is_ours,
            has_passed,
            is_complete,
        }
    }

    /// Passes the first turn.
    pub(super) const fn ask(&mut self) -> Message {
        (self.is_ours, self.has_passed) = (false, true);
        Message::Vector { first: 0, then: Then::YourTurn, rows: Vec::new() }
    }

    /// The next message of our turn, of at most so many bytes.
    pub(super) fn next(&mut self, scope: &Scope, room: u64) -> Option<Message> {
        if !self.is_ours || self.is_complete {
            return None;
        }
        let rest = scope.items().get(self.at..).unwrap_or_default();
        let first = self.at as u64;
        let most = usize::try_from((room / ROW_BYTES).min(RECONCILE_ITEMS)).unwrap_or(0);
        let (mut count, mut is_cut) = (rest.len().min(most), most < rest.len());
        is_cut &= (most as u64) < RECONCILE_ITEMS;
        loop {
            count = self.unbroken(rest, count);
            if count == 0 && !rest.is_empty() {
                let may_pass = self.is_fresh() && !self.has_passed && room >= PASSING;
                return may_pass.then(|| self.ask());
            }
            let then = match count == rest.len() {
                true => Then::End,
                false if is_cut => Then::YourTurn,
                false => Then::GoOn,
            };
            let rows: Vec<Row> = rest.iter().take(count).map(|item| self.row(item)).collect();
            let covered = rows.last().map_or(self.covered, |row| row.id + 1);
            let message = Message::Vector { first, then, rows };
            let bytes = if room == u64::MAX { 0 } else { message.encode().len() as u64 };
            if bytes <= room {
                self.at += count;
                self.covered = covered;
                self.is_complete = then == Then::End;
                self.is_ours = then == Then::GoOn;
                self.unanswered += 1;
                return Some(message);
            }
            if count == 0 {
                return None;
            }
            // Rows are about of one length: this comes close, and never twice to the same.
            is_cut = true;
            let closer = (count as u64 * room / bytes).saturating_sub(1);
            count = usize::try_from(closer).unwrap_or(0);
        }
    }

    /// How many rows go together, so that those of one id do: or else the second would not be seen.
    fn unbroken(&self, rest: &[Keyed], mut count: usize) -> usize {
        let id = |at: usize| rest.get(at).map(|item| item.short(self.width));
        while count < rest.len() && count > 0 && id(count) == id(count - 1) {
            count -= 1;
        }
        count
    }

    fn row(&self, item: &Keyed) -> Row {
        Row { id: item.short(self.width), seq: item.seq, tag: item.short_tag() }
    }

    /// Compares the peer's rows with the own; returns the picks that answer them.
    pub(super) fn read(
        &mut self,
        scope: &Scope,
        first: u64,
        then: Then,
        rows: &[Row],
        differences: &mut Vec<Difference>,
    ) -> Result<Option<Vec<Want>>, ReconcileError> {
        let is_fresh = self.is_fresh();
        // Either side may be the first to list.
        self.is_ours &= !is_fresh;
        if self.is_ours || self.is_complete {
            return Err(ReconcileError::OutOfTurn { kind: 19 });
        }
        self.expect_rows(first, rows)?;
        let Some(last) = rows.last() else {
            return match then {
                Then::YourTurn if is_fresh && !self.has_passed => {
                    self.is_ours = true;
                    Ok(None)
                }
                Then::End => Ok(Some(self.end(scope, differences))),
                _ => Err(DecodeError::OutOfRange { field: "rows", found: 0 }.into()),
            };
        };
        let mut picks = Vec::new();
        for (place, row) in (first..).zip(rows) {
            self.compare(scope, place, row, &mut picks, differences);
        }
        self.pass(scope, last.id + 1, differences);
        self.covered = last.id + 1;
        self.their_first = first + rows.len() as u64;
        match then {
            Then::GoOn => {}
            Then::YourTurn => self.is_ours = true,
            Then::End => picks.extend(self.end(scope, differences)),
        }
        Ok(Some(picks))
    }

    /// The peer's answer to the oldest of our messages that has none.
    pub(super) fn take_picks(
        &mut self,
        scope: &Scope,
        picks: &[Want],
    ) -> Result<Vec<Difference>, ReconcileError> {
        let left = self.unanswered.checked_sub(1);
        self.unanswered = left.ok_or(ReconcileError::OutOfTurn { kind: 21 })?;
        let difference = |pick: &Want| {
            let place = usize::try_from(pick.id).ok().filter(|place| *place < self.at);
            let item = place.and_then(|place| scope.items().get(place));
            let found = pick.id;
            let item = item.ok_or(DecodeError::OutOfRange { field: "picks", found })?;
            let theirs = (pick.have > 0).then_some(pick.have);
            Ok((pick.have <= item.seq).then(|| Difference::new(item, theirs)))
        };
        picks.iter().filter_map(|pick| difference(pick).transpose()).collect()
    }

    /// Whether every id is covered and everything answered.
    pub(super) const fn is_over(&self) -> bool {
        self.is_complete && self.unanswered == 0
    }

    /// The smallest id that is not covered.
    #[cfg(test)]
    pub(super) const fn first_open(&self) -> u64 {
        self.covered
    }

    /// Whether nothing is listed yet.
    const fn is_fresh(&self) -> bool {
        self.covered == 0
    }

    fn expect_rows(&self, first: u64, rows: &[Row]) -> Result<(), ReconcileError> {
        let end = first + rows.len() as u64;
        if first < self.their_first || end > self.their_count {
            return Err(DecodeError::OutOfRange { field: "first", found: first }.into());
        }
        let is_outside = |row: &&Row| row.id < self.covered || row.id >> self.width != 0;
        match rows.iter().find(is_outside) {
            Some(row) => Err(DecodeError::OutOfRange { field: "rows", found: row.id }.into()),
            None => Ok(()),
        }
    }

    fn compare(
        &mut self,
        scope: &Scope,
        place: u64,
        row: &Row,
        picks: &mut Vec<Want>,
        differences: &mut Vec<Difference>,
    ) {
        self.pass(scope, row.id, differences);
        let own = scope.items().get(self.at).filter(|item| item.short(self.width) == row.id);
        let Some(item) = own else {
            picks.push(Want { id: place, have: 0 });
            return;
        };
        self.at += 1;
        if item.seq == row.seq && item.short_tag() == row.tag {
            return;
        }
        if row.seq >= item.seq {
            picks.push(Want { id: place, have: item.seq });
        }
        differences.push(Difference::new(item, Some(row.seq)));
    }

    /// Own items below an id are those that the peer did not list.
    fn pass(&mut self, scope: &Scope, id: u64, differences: &mut Vec<Difference>) {
        while let Some(item) = scope.items().get(self.at)
            && item.short(self.width) < id
        {
            differences.push(Difference::new(item, None));
            self.at += 1;
        }
    }

    fn end(&mut self, scope: &Scope, differences: &mut Vec<Difference>) -> Vec<Want> {
        self.pass(scope, u64::MAX, differences);
        self.is_complete = true;
        Vec::new()
    }
}
