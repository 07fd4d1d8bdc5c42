//! Entries in the store: filling records, reading runs back, dropping and restoring payloads,
//! and the arrival log that remembers what came when and how.

use redb::{AccessGuard, ReadableTable};

use crate::content::{RELATION, is_structural, kind_of};
use crate::entry::{EntryId, window};
use crate::key::{Context, Digest, Hasher, short_of};
use crate::limits::INLINE_BYTES;
use crate::store::record::{Kept, RECORD_BYTES, Record, State, Tail};
use crate::store::tables::{
    ARRIVALS, Arrival, ArrivalKind, DELETED, EXPIRIES, FORKS, HOLES, LOG, RETRACTIONS,
};
use crate::store::writer::{ENTRY_COST, FEED_COST, OpenTail, Writer, branch_key};
use crate::store::{StoreError, index};

/// An entry about to be kept.
#[derive(Debug, Clone)]
pub(crate) struct NewEntry {
    pub(crate) id: EntryId,
    pub(crate) kept: Kept,
    /// A payload that is too large for the record.
    pub(crate) apart: Option<Vec<u8>>,
}

/// A payload that comes for a held entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Restored<'a> {
    pub(crate) seq: u64,
    /// How the entry is kept without it.
    pub(crate) kept: &'a Kept,
    pub(crate) payload: &'a [u8],
    /// The age that is claimed for it.
    pub(crate) age: u32,
}

/// An entry read back inside a step.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) seq: u64,
    pub(crate) id: EntryId,
    pub(crate) kept: Kept,
}

impl Writer<'_> {
    /// Keeps a run of entries that is new to the feed; `first` links to `prev`.
    pub(crate) fn append(
        &mut self,
        feed: u32,
        first: u64,
        prev: Option<EntryId>,
        entries: Vec<NewEntry>,
    ) -> Result<(), StoreError> {
        let Some(last) = entries.last() else { return Ok(()) };
        self.gives_again(feed)?;
        let (last_id, count) = (last.id, entries.len() as u64);
        let last_seq = first.saturating_add(count).saturating_sub(1);
        self.open_tail(feed, first, prev)?;
        let mut cost = count.saturating_mul(ENTRY_COST);
        let mut before = prev;
        for (seq, new) in (first..).zip(entries) {
            cost = cost.saturating_add(self.keep(feed, seq, &new)?);
            self.push_tail(feed, seq, before, &new.kept)?;
            before = Some(new.id);
        }
        let row = self.row_mut(feed)?;
        let head = row.head();
        row.add_run(first, last_seq);
        row.entries = row.entries.saturating_add(count);
        if row.floor == 0 {
            row.floor = first;
        }
        let new_head = row.head();
        if new_head == last_seq {
            row.head_id = last_id;
        } else if new_head != head {
            let id = self.id_at(feed, new_head)?;
            self.row_mut(feed)?.head_id = id.ok_or(StoreError::Damaged { what: "a head" })?;
        }
        self.count_bytes(feed, cost, true)
    }

    /// Keeps what hangs on an entry outside its record and tells the bytes its payload counts.
    fn keep(&mut self, feed: u32, seq: u64, new: &NewEntry) -> Result<u64, StoreError> {
        let size = u64::from(new.kept.stub.size);
        let mut held = 0;
        if let Some(payload) = new.kept.payload.as_ref().or(new.apart.as_ref()) {
            index::note_profile(self.txn, feed, seq, payload)?;
            self.note_follow(feed, seq, payload)?;
        }
        match (new.kept.state, &new.apart) {
            (State::Here, _) => held = size,
            (State::Apart, Some(payload)) => {
                self.payloads.insert((feed, seq), payload.as_slice())?;
                held = size;
            }
            (State::Apart | State::Expired, _) => {
                self.txn.open_table(HOLES)?.insert((feed, seq), ())?;
            }
            (State::Ended | State::Retracted | State::Evicted | State::Deleted, _) => {}
        }
        if held > 0 && new.kept.stub.ttl > 0 {
            self.watch_expiry(feed, seq, &new.kept)?;
        }
        Ok(held)
    }

    /// Notes when an entry's payload is to be looked at: at its claimed end of life.
    fn watch_expiry(&mut self, feed: u32, seq: u64, kept: &Kept) -> Result<(), StoreError> {
        let life = u64::from(kept.stub.ttl).saturating_mul(60);
        let due = kept.since.saturating_add(life.saturating_sub(u64::from(kept.age)));
        self.txn.open_table(EXPIRIES)?.insert((due, feed, seq), ())?;
        Ok(())
    }

    fn open_tail(
        &mut self,
        feed: u32,
        first: u64,
        prev: Option<EntryId>,
    ) -> Result<(), StoreError> {
        if let Some(open) = &self.tail
            && open.feed == feed
            && open.tail.last_seq.saturating_add(1) == first
        {
            return Ok(());
        }
        self.flush_tail()?;
        let before = first.saturating_sub(1);
        let stored = match self.records.get((feed, before))? {
            Some(row) if row.value().len() < RECORD_BYTES => Some(Tail::resume(row.value())?),
            _ => None,
        };
        self.tail = Some(match stored {
            Some(tail) => OpenTail { feed, tail, stored: Some(before) },
            None => OpenTail { feed, tail: Tail::begin(first, prev), stored: None },
        });
        Ok(())
    }

    fn push_tail(
        &mut self,
        feed: u32,
        seq: u64,
        before: Option<EntryId>,
        kept: &Kept,
    ) -> Result<(), StoreError> {
        let Some(open) = &mut self.tail else { return Ok(()) };
        let Some(full) = open.tail.push(kept) else { return Ok(()) };
        let key = seq.saturating_sub(1);
        if let Some(stored) = open.stored.take()
            && stored != key
        {
            self.records.remove((feed, stored))?;
        }
        self.records.insert((feed, key), full.as_slice())?;
        open.tail.restart(seq, before.unwrap_or(EntryId::from_bytes([0; 32])));
        open.tail.push(kept);
        Ok(())
    }

    /// Writes back the record being filled.
    pub(crate) fn flush_tail(&mut self) -> Result<(), StoreError> {
        let Some(open) = self.tail.take() else { return Ok(()) };
        let last = open.tail.last_seq;
        if let Some(stored) = open.stored
            && stored != last
        {
            self.records.remove((open.feed, stored))?;
        }
        if last >= open.tail.first_seq {
            self.records.insert((open.feed, last), open.tail.bytes.as_slice())?;
        }
        Ok(())
    }

    /// The records that touch a range of a feed, whole.
    fn records_in(&mut self, feed: u32, first: u64, last: u64) -> Result<Vec<Record>, StoreError> {
        self.flush_tail()?;
        let mut all = Vec::new();
        for row in self.records.range((feed, first)..=(feed, u64::MAX))? {
            let record = Record::parse(row?.1.value())?;
            if record.first_seq > last {
                break;
            }
            all.push(record);
        }
        Ok(all)
    }

    /// The held entries in a range of a feed, with their ids.
    pub(crate) fn entries(
        &mut self,
        feed: u32,
        first: u64,
        last: u64,
    ) -> Result<Vec<Stored>, StoreError> {
        let id = self.row(feed)?.id;
        let mut all = Vec::new();
        for record in self.records_in(feed, first, last)? {
            let ids = record.ids(id, &mut self.hasher);
            let start = record.first_seq;
            let stored = (start..).zip(ids).zip(record.entries);
            all.extend(
                stored
                    .map(|((seq, id), kept)| Stored { seq, id, kept })
                    .filter(|stored| (first..=last).contains(&stored.seq)),
            );
        }
        Ok(all)
    }

    /// The entry at a place, if it is held.
    pub(crate) fn entry(&mut self, feed: u32, seq: u64) -> Result<Option<Stored>, StoreError> {
        Ok(self.entries(feed, seq, seq)?.pop())
    }

    /// How the entry at a place is kept, if it is held; its id would cost much more.
    pub(crate) fn kept(&mut self, feed: u32, seq: u64) -> Result<Option<Kept>, StoreError> {
        self.flush_tail()?;
        let row = self.records.range((feed, seq)..=(feed, u64::MAX))?.next().transpose()?;
        row.map_or(Ok(None), |(_, record)| Record::kept(record.value(), seq))
    }

    /// What the entry at `seq` links to, if it is held.
    pub(crate) fn prev_of(&mut self, feed: u32, seq: u64) -> Result<Option<EntryId>, StoreError> {
        let id = self.row(feed)?.id;
        let Some(record) = self.records_in(feed, seq, seq)?.pop() else { return Ok(None) };
        if record.first_seq == seq {
            return Ok(record.prev);
        }
        let index = usize::try_from(seq.saturating_sub(record.first_seq)).unwrap_or(0);
        let ids = record.ids(id, &mut self.hasher);
        Ok(ids.get(index.saturating_sub(1)).copied())
    }

    /// The id of the entry at a place, if it is held.
    pub(crate) fn id_at(&mut self, feed: u32, seq: u64) -> Result<Option<EntryId>, StoreError> {
        Ok(self.entry(feed, seq)?.map(|stored| stored.id))
    }

    /// A detached payload that has come.
    pub(crate) fn apart(&self, feed: u32, seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.payloads.get((feed, seq))?.map(|row| row.value().to_vec()))
    }

    /// The payload of a stored entry, wherever it is.
    pub(crate) fn payload_of(
        &self,
        feed: u32,
        stored: &Stored,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        match stored.kept.state {
            State::Here => Ok(stored.kept.payload.clone()),
            State::Apart => self.apart(feed, stored.seq),
            State::Expired | State::Ended | State::Retracted | State::Evicted | State::Deleted => {
                Ok(None)
            }
        }
    }

    /// The payload of an entry that was read back, wherever it is.
    pub(crate) fn taken_payload(
        &self,
        feed: u32,
        stored: Stored,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        match stored.kept.state {
            State::Here => Ok(stored.kept.payload),
            _ => self.payload_of(feed, &stored),
        }
    }

    /// Whether the payload at a place is here.
    pub(crate) fn is_here(&self, feed: u32, seq: u64) -> Result<bool, StoreError> {
        let row = self.records.range((feed, seq)..=(feed, u64::MAX))?.next().transpose()?;
        let Some((_, record)) = row else { return Ok(false) };
        Ok(match Record::peek(record.value(), seq)? {
            Some((State::Here, _)) => true,
            Some((State::Apart, _)) => self.payloads.get((feed, seq))?.is_some(),
            _ => false,
        })
    }

    /// Whether an entry is held.
    pub(crate) fn holds(&mut self, feed: u32, seq: u64) -> Result<bool, StoreError> {
        Ok(self.is_held(feed)? && self.row(feed)?.holds(seq))
    }

    /// Changes how one held entry is kept.
    pub(crate) fn change(
        &mut self,
        feed: u32,
        seq: u64,
        change: impl FnOnce(&mut Kept),
    ) -> Result<(), StoreError> {
        let id = self.row(feed)?.id;
        let Some(mut record) = self.records_in(feed, seq, seq)?.pop() else { return Ok(()) };
        let Some(kept) = record.at_mut(seq) else { return Ok(()) };
        change(kept);
        self.records.remove((feed, record.last_seq()))?;
        for (last, bytes) in record.encode(id, &mut self.hasher) {
            self.records.insert((feed, last), bytes.as_slice())?;
        }
        Ok(())
    }

    /// Drops the payload of a held entry, if it is there, and says why.
    pub(crate) fn drop_payload(
        &mut self,
        feed: u32,
        stored: &Stored,
        state: State,
    ) -> Result<(), StoreError> {
        let seq = stored.seq;
        let payload = self.payload_of(feed, stored)?;
        if let Some(payload) = &payload {
            index::forget(self, feed, seq, &stored.id, payload)?;
            if kind_of(payload) == Some(RELATION) {
                self.forget_follows(feed, (seq, seq))?;
            }
            self.payloads.remove((feed, seq))?;
            self.count_bytes(feed, payload.len() as u64, false)?;
        }
        let mut holes = self.txn.open_table(HOLES)?;
        if state == State::Expired {
            holes.insert((feed, seq), ())?;
        } else {
            holes.remove((feed, seq))?;
        }
        drop(holes);
        // A claim of age hides nothing that was read here.
        if state.is_final() {
            self.forget_said((feed, seq))?;
        }
        self.change(feed, seq, |kept| kept.drop_payload(state))
    }

    /// Drops payloads of a feed, oldest first, until `need` bytes are freed or none is left.
    pub(crate) fn evict_payloads(&mut self, feed: u32, need: u64) -> Result<(), StoreError> {
        let id = self.row(feed)?.id;
        let (mut from, mut freed, mut count) = (0, 0, 0);
        self.flush_tail()?;
        while freed < need {
            let next = self.records.range((feed, from)..=(feed, u64::MAX))?.next().transpose()?;
            let Some(mut record) = next.map(|row| Record::parse(row.1.value())).transpose()? else {
                break;
            };
            let (key, before) = (record.last_seq(), count);
            from = key.saturating_add(1);
            let ids = record.ids(id, &mut self.hasher);
            for ((seq, id), kept) in (record.first_seq..).zip(ids).zip(&mut record.entries) {
                let apart = self.payloads.get((feed, seq))?.map(|row| row.value().to_vec());
                let Some(payload) = kept.payload.take().or(apart) else { continue };
                if freed >= need || seq == 1 || is_structural(&payload) {
                    kept.payload = (kept.state == State::Here).then_some(payload);
                    continue;
                }
                index::forget(self, feed, seq, &id, &payload)?;
                self.payloads.remove((feed, seq))?;
                kept.drop_payload(State::Evicted);
                freed = freed.saturating_add(payload.len() as u64);
                count += 1;
            }
            if count > before {
                self.records.remove((feed, key))?;
                for (last, bytes) in record.encode(id, &mut self.hasher) {
                    self.records.insert((feed, last), bytes.as_slice())?;
                }
            }
        }
        self.heads.counts.evicted_entries += count;
        self.count_bytes(feed, freed, false)
    }

    /// Bytes that a feed or branch can give up and still be there: payloads, and of a feed that is
    /// not forked all windows before its newest but the first entry.
    pub(crate) fn dispensable(&mut self, feed: u32) -> Result<u64, StoreError> {
        let row = self.row(feed)?;
        let head = if row.fork_seq.is_some() || row.branch > 0 { 0 } else { row.head() };
        let mut bytes = 0_u64;
        for record in self.records_in(feed, 2, u64::MAX)? {
            for (seq, kept) in record.iter().filter(|(seq, _)| *seq > 1) {
                let apart = self.payloads.get((feed, seq))?;
                let apart = apart.as_ref().map(AccessGuard::value);
                let payload = kept.payload.as_deref().or(apart).unwrap_or_default();
                let goes_whole = window(seq).1 < head;
                if goes_whole || !is_structural(payload) {
                    bytes = bytes.saturating_add(payload.len() as u64);
                }
                if goes_whole {
                    bytes = bytes.saturating_add(ENTRY_COST);
                }
            }
        }
        Ok(bytes)
    }

    /// Wants the payloads again that were evicted from a feed.
    pub(crate) fn want_again(&mut self, feed: u32) -> Result<(), StoreError> {
        let id = self.row(feed)?.id;
        for mut record in self.records_in(feed, 1, u64::MAX)? {
            let (key, mut changed) = (record.last_seq(), false);
            let mut holes = self.txn.open_table(HOLES)?;
            for (seq, kept) in (record.first_seq..).zip(&mut record.entries) {
                if kept.state == State::Evicted {
                    kept.state = State::Apart;
                    holes.insert((feed, seq), ())?;
                    changed = true;
                }
            }
            if changed {
                self.records.remove((feed, key))?;
                for (last, bytes) in record.encode(id, &mut self.hasher) {
                    self.records.insert((feed, last), bytes.as_slice())?;
                }
            }
        }
        Ok(())
    }

    /// Gives held entries of one run their payloads back, or for the first time.
    pub(crate) fn restore_payloads(
        &mut self,
        feed: u32,
        restored: &[Restored<'_>],
    ) -> Result<(), StoreError> {
        if !restored.is_empty() {
            self.gives_again(feed)?;
        }
        let known = self.known.minutes();
        let mut changed = Vec::new();
        let mut bytes = 0_u64;
        for &Restored { seq, kept: before, payload, age } in restored {
            let inline = payload.len() as u64 <= INLINE_BYTES;
            if !inline {
                self.payloads.insert((feed, seq), payload)?;
            }
            let mut kept = before.clone();
            kept.state = if inline { State::Here } else { State::Apart };
            kept.payload = inline.then(|| payload.to_vec());
            if kept.stub.ttl > 0 {
                let dwell = known.saturating_sub(kept.since);
                let claim = u64::from(age).saturating_sub(dwell);
                kept.age = u32::try_from(claim).unwrap_or(u32::MAX);
                self.watch_expiry(feed, seq, &kept)?;
            }
            self.txn.open_table(HOLES)?.remove((feed, seq))?;
            index::note_profile(self.txn, feed, seq, payload)?;
            self.note_follow(feed, seq, payload)?;
            bytes = bytes.saturating_add(payload.len() as u64);
            if kept != *before {
                changed.push((seq, kept));
            }
        }
        self.count_bytes(feed, bytes, true)?;
        self.replace(feed, changed)
    }

    /// Changes how entries are kept: ascending places with what stands there from now on.
    fn replace(&mut self, feed: u32, changed: Vec<(u64, Kept)>) -> Result<(), StoreError> {
        let (Some((first, _)), Some((last, _))) = (changed.first(), changed.last()) else {
            return Ok(());
        };
        let id = self.row(feed)?.id;
        let mut records = self.records_in(feed, *first, *last)?;
        for record in &mut records {
            self.records.remove((feed, record.last_seq()))?;
        }
        for (seq, kept) in changed {
            if let Some(place) = records.iter_mut().find_map(|record| record.at_mut(seq)) {
                *place = kept;
            }
        }
        for record in records {
            for (last, bytes) in record.encode(id, &mut self.hasher) {
                self.records.insert((feed, last), bytes.as_slice())?;
            }
        }
        Ok(())
    }

    /// Lowers the age of a held entry to a lesser claim.
    pub(crate) fn lower_age(
        &mut self,
        feed: u32,
        stored: &Stored,
        age: u32,
    ) -> Result<(), StoreError> {
        let mut kept = stored.kept.clone();
        let dwell = self.known.minutes().saturating_sub(kept.since);
        let claim = u64::from(age).saturating_sub(dwell);
        if claim >= u64::from(kept.age) {
            return Ok(());
        }
        kept.age = u32::try_from(claim).unwrap_or(u32::MAX);
        self.watch_expiry(feed, stored.seq, &kept)?;
        self.change(feed, stored.seq, |place| *place = kept)
    }

    /// Drops every entry of a feed or branch from `from` on.
    pub(crate) fn truncate(&mut self, feed: u32, from: u64) -> Result<(), StoreError> {
        self.forget_retractions(feed, from)?;
        self.drop_entries(feed, from, u64::MAX)
    }

    /// Forgets what the entries of a feed or branch from `from` on take back.
    fn forget_retractions(&mut self, feed: u32, from: u64) -> Result<(), StoreError> {
        let mut retractions = self.txn.open_table(RETRACTIONS)?;
        retractions.retain_in((feed, from, 0)..=(feed, u64::MAX, u64::MAX), |_, _| false)?;
        Ok(())
    }

    /// Drops the entries of a range, headers and all.
    pub(crate) fn drop_entries(
        &mut self,
        feed: u32,
        first: u64,
        last: u64,
    ) -> Result<(), StoreError> {
        let id = self.row(feed)?.id;
        let (mut count, mut cost) = (0u64, 0u64);
        let dropped = self.entries(feed, first, last)?;
        self.flush_arrival()?;
        let ids = dropped.iter().map(|stored| (stored.seq, &stored.id));
        index::forget_entries(self, feed, ids)?;
        for stored in dropped {
            count = count.saturating_add(1);
            cost = cost.saturating_add(ENTRY_COST);
            if let Some(payload) = self.payload_of(feed, &stored)? {
                cost = cost.saturating_add(payload.len() as u64);
            }
            self.payloads.remove((feed, stored.seq))?;
            self.txn.open_table(HOLES)?.remove((feed, stored.seq))?;
        }
        for record in self.records_in(feed, first, last)? {
            self.records.remove((feed, record.last_seq()))?;
            let ids = record.ids(id, &mut self.hasher);
            for part in [record.part(0, first, &ids), record.part(last, u64::MAX, &ids)] {
                for (key, bytes) in part.encode(id, &mut self.hasher) {
                    self.records.insert((feed, key), bytes.as_slice())?;
                }
            }
        }
        self.forget_arrivals(feed, first, last)?;
        let row = self.row_mut(feed)?;
        row.remove_run(first, last);
        row.entries = row.entries.saturating_sub(count);
        if row.floor >= first && row.floor <= last {
            row.floor = row.runs.iter().map(|run| run.0).find(|from| *from > last).unwrap_or(0);
        }
        let head = row.head();
        self.count_bytes(feed, cost, false)?;
        if let Some(head_id) = self.id_at(feed, head)? {
            self.row_mut(feed)?.head_id = head_id;
        }
        Ok(())
    }

    /// Forgets by which arrival the entries of a range came; above its floor, the log itself stays.
    fn forget_arrivals(&mut self, feed: u32, first: u64, last: u64) -> Result<(), StoreError> {
        self.flush_arrival()?;
        let mut arrivals = self.txn.open_table(ARRIVALS)?;
        let mut touched = Vec::new();
        for row in arrivals.range((feed, first)..=(feed, u64::MAX))? {
            let (key, value) = row?;
            let (from, position) = value.value();
            if from > last {
                break;
            }
            touched.push((from, key.value().1, position));
        }
        let mut positions = Vec::with_capacity(touched.len());
        for (from, to, position) in touched {
            positions.push(position);
            arrivals.remove((feed, to))?;
            if from < first {
                arrivals.insert((feed, first.saturating_sub(1)), (from, position))?;
            }
            if to > last {
                arrivals.insert((feed, to), (last.saturating_add(1), position))?;
            }
        }
        drop(arrivals);
        self.forget_rows(&positions)
    }

    /// Stops keeping a feed or branch. Its number is not used again.
    pub(crate) fn drop_feed(&mut self, feed: u32) -> Result<(), StoreError> {
        self.drop_entries(feed, 1, u64::MAX)?;
        self.count_bytes(feed, FEED_COST, false)?;
        let row = self.row(feed)?.clone();
        self.forget_follows(feed, (0, u64::MAX))?;
        self.leave_order(&row, feed)?;
        self.rows.remove(&feed);
        self.feeds.remove(feed)?;
        self.feed_ids.remove(&branch_key(&row.id, row.branch))?;
        self.txn.open_table(FORKS)?.remove(feed)?;
        self.forget_retractions(feed, 0)
    }

    /// Moves every entry of one chain to the end of another that they link to.
    pub(crate) fn move_entries(&mut self, from: u32, to: u32) -> Result<(), StoreError> {
        let entries = self.entries(from, 1, u64::MAX)?;
        let Some(first) = entries.first().map(|stored| stored.seq) else { return Ok(()) };
        let last = entries.last().map_or(first, |stored| stored.seq);
        let prev = self.prev_of(from, first)?;
        let mut moved = Vec::with_capacity(entries.len());
        for stored in entries {
            let apart = match stored.kept.state {
                State::Apart => self.apart(from, stored.seq)?,
                _ => None,
            };
            moved.push(NewEntry { id: stored.id, kept: stored.kept, apart });
        }
        self.append(to, first, prev, moved)?;
        let mut ranges = Vec::new();
        for row in
            self.txn.open_table(RETRACTIONS)?.range((from, 0, 0)..=(from, u64::MAX, u64::MAX))?
        {
            let (key, last) = row?;
            ranges.push((key.value().1, (key.value().2, last.value())));
        }
        for (by, range) in ranges {
            self.retract(to, by, range)?;
        }
        let via = self.via("branch")?;
        self.arrived(to, (first, last), ArrivalKind::Entries, via)
    }

    /// Remembers a range of a feed or branch that the entry at `by` takes back.
    pub(crate) fn retract(
        &mut self,
        feed: u32,
        by: u64,
        (first, last): (u64, u64),
    ) -> Result<(), StoreError> {
        self.row_mut(feed)?.retracts = true;
        self.txn.open_table(RETRACTIONS)?.insert((feed, by, first), last)?;
        Ok(())
    }

    /// Remembers that the user deleted an entry's payload, and counts it.
    pub(crate) fn note_deleted(&mut self, feed: u32, seq: u64) -> Result<(), StoreError> {
        self.txn.open_table(DELETED)?.insert((feed, seq), ())?;
        Ok(())
    }

    /// Whether the user deleted an entry's payload: also if the entry left, and comes again.
    pub(crate) fn is_deleted(&self, feed: u32, seq: u64) -> Result<bool, StoreError> {
        Ok(self.txn.open_table(DELETED)?.get((feed, seq))?.is_some())
    }

    /// Whether an entry was taken back by one that stands behind it.
    pub(crate) fn is_retracted(&mut self, feed: u32, seq: u64) -> Result<bool, StoreError> {
        if !self.row(feed)?.retracts {
            return Ok(false);
        }
        let retractions = self.txn.open_table(RETRACTIONS)?;
        let behind = (feed, seq.saturating_add(1), 0)..=(feed, u64::MAX, u64::MAX);
        for row in retractions.range(behind)? {
            let (key, last) = row?;
            if (key.value().2..=last.value()).contains(&seq) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Notes that entries or a payload came.
    pub(crate) fn arrived(
        &mut self,
        feed: u32,
        (first, last): (u64, u64),
        kind: ArrivalKind,
        via: u32,
    ) -> Result<(), StoreError> {
        if let Some(open) = &mut self.arrival
            && kind == ArrivalKind::Entries
            && (open.feed, open.kind, open.via) == (feed, kind, via)
            && open.last.saturating_add(1) == first
        {
            open.last = last;
            return Ok(());
        }
        self.flush_arrival()?;
        let wall = self.now.wall;
        self.arrival = Some(Arrival { feed, first, last, kind, via, wall, hash: [0; 8] });
        Ok(())
    }

    /// Writes the arrival being extended.
    pub(crate) fn flush_arrival(&mut self) -> Result<(), StoreError> {
        let Some(mut arrival) = self.arrival.take() else { return Ok(()) };
        let position = self.heads.log_len.saturating_add(1);
        let (hash, short) = log_hash(&self.heads.log_hash, &arrival);
        arrival.hash = short;
        self.heads.log_hash = hash;
        self.heads.log_len = position;
        self.txn.open_table(LOG)?.insert(position, arrival.encode().as_slice())?;
        if arrival.kind == ArrivalKind::Entries {
            let mut arrivals = self.txn.open_table(ARRIVALS)?;
            arrivals.insert((arrival.feed, arrival.last), (arrival.first, position))?;
        }
        Ok(())
    }
}

impl Record {
    /// The entries that lie above `above` or, if that is 0, below `below`.
    fn part(&self, above: u64, below: u64, ids: &[EntryId]) -> Self {
        let keep = |seq: u64| if above == 0 { seq < below } else { seq > above };
        let skipped = self.iter().take_while(|(seq, _)| !keep(*seq)).count();
        let entries: Vec<_> =
            self.iter().filter(|(seq, _)| keep(*seq)).map(|(_, kept)| kept.clone()).collect();
        let first_seq = self.first_seq.saturating_add(skipped as u64);
        let prev = if skipped == 0 { self.prev } else { ids.get(skipped.wrapping_sub(1)).copied() };
        Self { first_seq, prev, entries }
    }
}

/// The log's running hash after one more arrival, and its first bytes.
pub(crate) fn log_hash(before: &Digest, arrival: &Arrival) -> (Digest, [u8; 8]) {
    let bare = Arrival { hash: [0; 8], ..arrival.clone() };
    let hash = Hasher::new(Context::Log).update(before).update(&bare.encode()).finish();
    (hash, short_of(&hash))
}
