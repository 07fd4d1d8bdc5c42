//! What a session gives: pieces of work, cut into frames as the link takes them.

use std::collections::BTreeMap;

use crate::bundle::{Frame, Want, What, framed};
use crate::content::{SEALED, is_structural, kind_of};
use crate::entry::window;
use crate::key::{FeedId, keyed, short_of};
use crate::limits::{UNACKED_BYTES, UNACKED_NODE_BYTES};
use crate::node::Node;
use crate::node::meeting::{Meeting, Stop};
use crate::reader::{Cut, PAYLOADS_A_WANT, Reader, merged};
use crate::reconcile::{Difference, Step};
use crate::session::{Place, Sentence};
use crate::store::{ArrivalKind, FeedRow, Snapshot, StoreError};

/// Bytes given to the link at once.
const FLIGHT: usize = 256 * 1024;

/// A piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Job {
    /// The fork proof of a feed.
    Fork(u32),
    /// Entries of a feed or branch.
    Entries(u32, u64, u64),
    /// Entries of a feed, whatever of them was given before.
    Again(u32, u64, u64),
    /// The payload of an entry that the peer holds without it.
    Payload(u32, u64),
    /// What the peer asked for.
    Wanted(Want),
}

impl Node {
    /// Takes what a reconciliation found: messages to send, and feeds of which there is more here.
    pub(super) fn take_step(&self, meeting: &mut Meeting, step: Step) -> Result<(), Stop> {
        for bytes in &step.send {
            meeting.say_encoded(&framed(bytes), true);
        }
        let snapshot = self.store.snapshot()?;
        let mut jobs: Vec<(u64, Job)> = Vec::new();
        for difference in &step.differences {
            let number =
                meeting.scope.as_ref().and_then(|(_, numbers)| numbers.get(difference.item));
            let Some((number, row)) = (match number {
                Some(number) => snapshot.held_row(*number)?.map(|row| (*number, row)),
                None => None,
            }) else {
                continue;
            };
            for job in answer(&snapshot, number, &row, difference)? {
                jobs.push((meeting.rank(&row), job));
            }
        }
        jobs.sort_by_key(|(rank, _)| *rank);
        meeting.jobs.extend(jobs.into_iter().map(|(_, job)| job));
        Ok(())
    }

    /// Makes frames of the work that waits, as far as the link and the peer take them.
    pub(super) fn fill(&self, meeting: &mut Meeting) -> Result<(), Stop> {
        if (meeting.jobs.is_empty() && meeting.news.is_empty()) || !meeting.ready {
            return Ok(());
        }
        let others: u64 = self.meetings.values().map(|other| other.unacked_bytes).sum();
        let reader = Reader::new(self.store.snapshot()?);
        while meeting.ready
            && meeting.out.len() < FLIGHT
            && meeting.unacked_bytes < UNACKED_BYTES
            && others.saturating_add(meeting.unacked_bytes) < UNACKED_NODE_BYTES
        {
            let news = meeting.news.pop_front();
            meeting.gives_news = news.is_some();
            let Some(job) = news.or_else(|| meeting.jobs.pop_front()) else { break };
            if meeting.work(&reader, job)? {
                continue;
            }
            if !meeting.gives_news {
                break;
            }
            // What is left is found by comparing: others may have brought it already.
            meeting.news.clear();
        }
        if meeting.draw == 0 {
            meeting.jobs.clear();
        }
        Ok(())
    }
}

impl Meeting {
    /// In which order feeds are sent: to who is known as they count here, to a stranger in one that
    /// tells nothing of how they count.
    fn rank(&self, row: &FeedRow) -> u64 {
        if self.known {
            return u64::from(row.class.code());
        }
        u64::from_be_bytes(short_of(&keyed(&self.key, row.id.as_bytes())))
    }

    /// Tells what came here after a place in our log, if the place is one; a payload that came after
    /// its entry is asked for by who lacks it.
    pub(super) fn give_news(&mut self, snapshot: &Snapshot, after: Place) -> Result<(), Stop> {
        let Some((_, numbers)) = &self.scope else { return Ok(()) };
        if !snapshot.is_place(after)? {
            return Ok(());
        }
        let mut runs: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
        snapshot.arrivals_from(after.0.saturating_add(1), &mut |_, arrival| {
            let is_news = arrival.kind == ArrivalKind::Entries;
            if is_news && numbers.binary_search(&arrival.feed).is_ok() {
                runs.entry(arrival.feed).or_default().push((arrival.first, arrival.last));
            }
            Ok(true)
        })?;
        let mut jobs: Vec<(u8, Job)> = Vec::new();
        for (number, runs) in runs {
            let Some(row) = snapshot.held_row(number)? else { continue };
            if row.fork_seq.is_some() {
                jobs.push((row.class.code(), Job::Fork(number)));
            }
            let announced = |run: (u64, u64)| (run.0.max(row.floor), run.1.min(row.head()));
            let runs = merged(runs).into_iter().map(announced).filter(|run| run.0 <= run.1);
            jobs.extend(runs.map(|run| (row.class.code(), Job::Entries(number, run.0, run.1))));
        }
        jobs.sort_by_key(|(class, _)| *class);
        self.news.extend(jobs.into_iter().map(|(_, job)| job));
        Ok(())
    }

    /// Does a piece of work; false if nothing more may be sent now.
    fn work(&mut self, reader: &Reader, job: Job) -> Result<bool, StoreError> {
        match job {
            Job::Fork(number) => {
                if let Some(proof) = reader.snapshot.fork(number)? {
                    return Ok(self.give(vec![framed(&Frame::Fork(&proof).encode())]));
                }
                Ok(true)
            }
            Job::Payload(number, seq) => self.give_payload(reader, number, seq),
            Job::Entries(number, first, last) => self.give_entries(reader, number, (first, last)),
            Job::Again(number, first, last) => {
                if let Some(given) = self.given.get_mut(&number) {
                    *given = given.iter().flat_map(|run| without(*run, &[(first, last)])).collect();
                }
                self.give_entries(reader, number, (first, last))
            }
            Job::Wanted(want) => {
                if !self.answer_want(reader, &want)? {
                    self.say(&Sentence::Absent(vec![want]));
                }
                Ok(true)
            }
        }
    }

    /// Puts work that is left before what else waits.
    fn put_back(&mut self, job: Job) {
        let jobs = if self.gives_news { &mut self.news } else { &mut self.jobs };
        jobs.push_front(job);
    }

    /// Puts frames of entries on the way together, if that is allowed.
    fn give(&mut self, frames: Vec<Vec<u8>>) -> bool {
        let bytes: u64 = frames.iter().map(|frame| frame.len() as u64).sum();
        if bytes > self.draw {
            self.draw = 0;
            return false;
        }
        if self.gives_news {
            let Some(left) = self.flight.checked_sub(bytes) else { return false };
            self.flight = left;
        }
        self.draw = self.draw.saturating_sub(bytes);
        for frame in &frames {
            self.say_encoded(frame, true);
        }
        self.unacked.push_back((self.out_frames, bytes));
        self.unacked_bytes = self.unacked_bytes.saturating_add(bytes);
        self.moved = true;
        true
    }

    fn give_payload(&mut self, reader: &Reader, number: u32, seq: u64) -> Result<bool, StoreError> {
        if self.given_payloads.contains(&(number, seq)) {
            return Ok(true);
        }
        let held = match reader.snapshot.held_row(number)? {
            Some(row) if !self.left_out.contains(&row.id) => reader.snapshot.entry(number, seq)?,
            _ => None,
        };
        let Some((feed, payload)) = held.and_then(|held| Some((held.feed, held.payload?))) else {
            return Ok(true);
        };
        let frame = Frame::Payload { feed, seq, payload: &payload }.encode();
        if !self.give(vec![framed(&frame)]) {
            self.put_back(Job::Payload(number, seq));
            return Ok(false);
        }
        self.given_payloads.insert((number, seq));
        Ok(true)
    }

    fn give_entries(
        &mut self,
        reader: &Reader,
        number: u32,
        run: (u64, u64),
    ) -> Result<bool, StoreError> {
        let row = match reader.snapshot.held_row(number)? {
            Some(row) if !self.left_out.contains(&row.id) => row,
            _ => return Ok(true),
        };
        let given = self.given.get(&number).map(Vec::as_slice).unwrap_or_default();
        let mut rest = without(run, given).into_iter();
        let Some((first, last)) = rest.next() else { return Ok(true) };
        for run in rest.rev() {
            self.put_back(Job::Entries(number, run.0, run.1));
        }
        let is_veiled = self.may_veil(&row);
        let is_told = |payload: &[u8]| {
            !is_veiled || is_structural(payload) || kind_of(payload) == Some(SEALED)
        };
        let (cuts, next) = reader.cut(number, row.id, (first, last), &is_told)?;
        if next <= last {
            self.put_back(Job::Entries(number, next, last));
        }
        let mut from = first;
        for cut in cuts {
            let end = cut.last;
            if !self.give_cut(row.id, &cut) {
                self.put_back(Job::Entries(
                    number,
                    from,
                    next.min(last.saturating_add(1)).saturating_sub(1),
                ));
                return Ok(false);
            }
            self.report.sent += cut.entries;
            let runs = self.given.entry(number).or_default();
            runs.push((from, end));
            if let [.., before, _] = runs.as_mut_slice()
                && before.1.saturating_add(1) == from
            {
                before.1 = end;
                runs.pop();
            }
            from = end.saturating_add(1);
        }
        Ok(true)
    }

    fn give_cut(&mut self, feed: FeedId, cut: &Cut) -> bool {
        let mut frames = vec![framed(&cut.bytes)];
        for (seq, payload) in &cut.following {
            frames.push(framed(&Frame::Payload { feed, seq: *seq, payload }.encode()));
        }
        self.give(frames)
    }

    /// Turns a want into work; false if there is nothing to answer it with.
    fn answer_want(&mut self, reader: &Reader, want: &Want) -> Result<bool, StoreError> {
        let snapshot = &reader.snapshot;
        let Some(number) = snapshot.number(&want.feed, 0)? else { return Ok(false) };
        let row = snapshot.row(number)?;
        let is_asked = want.what == What::Entries && self.may_veil(&row);
        if !self.may_offer(&row) && !is_asked {
            return Ok(false);
        }
        let run = (want.first.max(row.floor), want.last.min(row.head()));
        if run.0 > run.1 {
            return Ok(false);
        }
        if want.what == What::Entries {
            let given = self.given.get(&number).map(Vec::as_slice).unwrap_or_default();
            let Some((first, _)) = without(run, given).first().copied() else { return Ok(false) };
            // No further than to the signature that covers it, although some of that was given.
            let last = window(run.1).1.min(row.head());
            self.jobs.push_front(Job::Again(number, first, last));
            return Ok(true);
        }
        let last = run.1.min(run.0.saturating_add(PAYLOADS_A_WANT).saturating_sub(1));
        let mut jobs: Vec<Job> = Vec::new();
        // A payload with a lifetime travels with its age, in its segment.
        for aged in reader.with_age(&row, (run.0, last))? {
            jobs.push(Job::Again(number, aged.0, aged.1));
        }
        for seq in run.0..=last {
            let held = snapshot.entry(number, seq)?;
            let here = held.is_some_and(|held| held.payload.is_some() && held.ttl == 0);
            if here && !self.given_payloads.contains(&(number, seq)) {
                jobs.push(Job::Payload(number, seq));
            }
        }
        let some = !jobs.is_empty();
        for job in jobs.into_iter().rev() {
            self.jobs.push_front(job);
        }
        Ok(some)
    }
}

/// What goes to a peer that holds less of a feed, or another branch of it.
fn answer(
    snapshot: &Snapshot,
    number: u32,
    row: &FeedRow,
    difference: &Difference,
) -> Result<Vec<Job>, StoreError> {
    let mut known = difference.theirs.unwrap_or(0);
    let mut jobs = Vec::new();
    if let Some(fork) = row.fork_seq {
        jobs.push(Job::Fork(number));
        known = known.min(fork.saturating_sub(1));
        if let Some(second) = snapshot.number(&row.id, 1)? {
            let runs = snapshot.row(second)?.runs;
            jobs.extend(runs.into_iter().map(|run| Job::Entries(second, run.0, run.1)));
        }
    } else if difference.tag_differs {
        // Where the two parted nobody knows yet.
        known = 0;
    }
    if known == 0 && row.floor > 1 {
        jobs.push(Job::Entries(number, 1, 1));
    }
    let first = row.floor.max(known.saturating_add(1));
    if first <= row.head() {
        jobs.push(Job::Entries(number, first, row.head()));
    }
    Ok(jobs)
}

/// What is left of a run without those that are done.
fn without(run: (u64, u64), done: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut done = done.to_vec();
    done.sort_unstable();
    let (mut rest, mut next) = (Vec::new(), run.0);
    for (first, last) in done {
        if last < next || first > run.1 {
            continue;
        }
        if first > next {
            rest.push((next, first.saturating_sub(1)));
        }
        next = next.max(last.saturating_add(1));
    }
    if next <= run.1 {
        rest.push((next, run.1));
    }
    rest
}
