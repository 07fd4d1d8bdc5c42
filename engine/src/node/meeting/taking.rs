//! What a session takes in: pieces are staged within a bound and committed, and what does not fit
//! is asked for or declined.

use std::collections::{BTreeMap, BTreeSet};

use crate::bundle::{Frame, Want, What};
use crate::ingest::{self, Incoming, Outcome, Refusal, Source};
use crate::key::{FeedId, short_of};
use crate::limits::{DECLINED_PER_FRAME, REPEATED_BYTES, STAGED_BYTES, STRANGER_HOUR_BYTES, WANTS};
use crate::node::meeting::giving::Job;
use crate::node::meeting::{Meeting, SessionEnding, SessionFault, Stop};
use crate::node::piece::{Piece, Taken};
use crate::node::{Event, Node, SETTLE_BYTES};
use crate::own::retire_if_due;
use crate::policy::Carrier;
use crate::reader::PAYLOADS_A_WANT;
use crate::session::{Sentence, State};
use crate::store::{ALL_PLACES, StoreError, THEY, WE};
use crate::time::Now;

impl Node {
    /// Verifies a piece and puts it with those that wait for the next commit.
    pub(super) fn stage(
        &mut self,
        now: Now,
        meeting: &mut Meeting,
        frame: Frame<'_>,
    ) -> Result<(), Stop> {
        let kind = frame.kind();
        let Some(piece) = Piece::verify(frame, &mut meeting.hasher) else {
            return Err(SessionFault::OutOfTurn { kind }.into());
        };
        let piece = piece.map_err(SessionFault::Piece)?;
        if !meeting.known && !self.strangers.takes(now.tick, piece.weight()) {
            return Err(Stop::Ends(SessionEnding::Enough));
        }
        meeting.weight = meeting.weight.saturating_add(piece.weight());
        meeting.staged.push(piece);
        meeting.staged_at.get_or_insert(now.tick);
        if meeting.weight >= STAGED_BYTES { self.commit_pieces(now, meeting) } else { Ok(()) }
    }

    /// Takes in what is staged, in one commit.
    pub(super) fn commit_pieces(&mut self, now: Now, meeting: &mut Meeting) -> Result<(), Stop> {
        let staged = std::mem::take(&mut meeting.staged);
        let weight = std::mem::take(&mut meeting.weight);
        meeting.staged_at = None;
        if staged.is_empty() {
            return Ok(());
        }
        self.settled = false;
        self.unsettled = self.unsettled.saturating_add(weight);
        let (me, key, pool, peer) = (self.me, &self.key, &mut self.pool, meeting.peer);
        let clean = meeting.known && !meeting.unclean;
        let (via, known) = (meeting.via.clone(), meeting.known);
        let taken = self.store.write(now, |writer| {
            // A peer counts by the key of its link, as a maker of bundles by its feed.
            let carrier = if known {
                Carrier::Known(FeedId::from_bytes(peer))
            } else {
                Carrier::anonymous(writer.known)
            };
            let source = Source { via, carrier };
            let taken: Result<Vec<Taken>, _> =
                staged.iter().map(|piece| piece.take(writer, &source)).collect();
            // From here on our log holds what the peer need not be told.
            let is_known = |taken: &Taken| matches!(taken.0, Outcome::Known);
            let moved = taken.iter().flatten().any(|taken| !is_known(taken));
            if clean && moved {
                let mut row = writer.link(&peer)?;
                if row.ours.take().is_some() | row.theirs.take().is_some() {
                    writer.set_link(&peer, &row)?;
                }
            }
            retire_if_due(writer, me, key, pool)?;
            ingest::regroup_if_due(writer)?;
            taken.map(|taken| (taken, moved))
        })?;
        let (taken, moved) = taken;
        meeting.unclean |= moved;
        self.follow_up()?;
        if self.unsettled >= SETTLE_BYTES {
            self.settle()?;
        }
        meeting.moved_at = now.tick;
        // Told at once, although more is staged before the peer is answered: it may wait for this.
        meeting.durable = meeting.in_frames;
        let judged = self.judge(now, meeting, &staged, &taken);
        self.tell_progress(meeting);
        judged
    }

    /// Counts what became of pieces, and answers what calls for an answer.
    fn judge(
        &mut self,
        now: Now,
        meeting: &mut Meeting,
        staged: &[Piece],
        taken: &[Taken],
    ) -> Result<(), Stop> {
        let mut declined = BTreeSet::new();
        let (mut touched, mut held) = (BTreeSet::new(), BTreeSet::new());
        let mut headless = BTreeMap::new();
        for (piece, (outcome, fork_seq)) in staged.iter().zip(taken) {
            let (feed, entries) = (piece.feed(), piece.entries());
            if entries > 0 && matches!(outcome, Outcome::New(_) | Outcome::Known) {
                held.insert(feed);
            }
            if let Piece::Segment(segment) = piece {
                self.answer_fork(meeting, segment)?;
            }
            if !matches!(outcome, Outcome::New(_) | Outcome::Payload | Outcome::Forked) {
                meeting.repeated = meeting.repeated.saturating_add(piece.weight());
            }
            match *outcome {
                Outcome::New(count) => {
                    meeting.report.received += count;
                    meeting.report.duplicates += entries.saturating_sub(count);
                    meeting.fresh = meeting.fresh.saturating_add(piece.weight());
                    meeting.moved = true;
                    touched.insert(feed);
                }
                Outcome::Payload => {
                    meeting.report.payloads += 1;
                    meeting.fresh = meeting.fresh.saturating_add(piece.weight());
                    meeting.moved = true;
                }
                Outcome::Known => {
                    meeting.report.duplicates += entries;
                    if self.withholds(meeting, &feed)? {
                        declined.insert(feed);
                    }
                }
                Outcome::Forked => {
                    meeting.moved = true;
                    // Where the branch parts may lie before what came of it.
                    if let Piece::Segment(segment) = piece {
                        meeting.want(feed, (1, segment.first_seq.saturating_sub(1)), What::Entries);
                    }
                    self.tell(Event::ForkFound { feed, fork_seq: fork_seq.unwrap_or(0) });
                }
                Outcome::Left(Refusal::Unlinked | Refusal::TooManyGaps, _) => {
                    if let Piece::Segment(segment) = piece {
                        meeting.want(feed, (1, segment.first_seq.saturating_sub(1)), What::Entries);
                    }
                }
                Outcome::Left(Refusal::NoCertificate, _) => {
                    if let Piece::Segment(segment) = piece {
                        headless.insert(feed, segment.last_seq());
                    }
                }
                Outcome::Left(Refusal::OtherBranch | Refusal::NoEntry, _) => {}
                Outcome::Left(_, _) => {
                    declined.insert(feed);
                }
                // Of a feed that is continued in two ways the peer may hold the other branch.
                Outcome::Wrong(_) if matches!(piece, Piece::Payload { .. }) => {}
                Outcome::Wrong(reject) => {
                    return Err(SessionFault::Piece(reject.into()).into());
                }
            }
        }
        // Who sent them believes that their beginnings are here.
        for (feed, last) in headless {
            meeting.want(feed, (1, last), What::Entries);
        }
        self.ask_for_gaps(meeting, &touched)?;
        self.say_declined(now, meeting, declined)?;
        self.take_up(now, meeting, held)?;
        let most = meeting.fresh.saturating_add(REPEATED_BYTES);
        if meeting.repeated > most { Err(SessionFault::Repeats.into()) } else { Ok(()) }
    }

    /// Whether a feed is this person's own, and none of the peer's business any more: a peer that has it
    /// from before would send it again and again.
    fn withholds(&self, meeting: &Meeting, feed: &FeedId) -> Result<bool, StoreError> {
        if meeting.recognised.account().is_none() {
            return Ok(false);
        }
        let snapshot = self.store.snapshot()?;
        let Some(number) = snapshot.number(feed, 0)? else { return Ok(false) };
        let origin = snapshot.row(number)?.origin;
        Ok(origin.is_some_and(|origin| meeting.recognised.is_withheld(feed, &origin)))
    }

    /// Answers a segment of a feed that is known as forked with the proof and the other branch, once.
    fn answer_fork(&self, meeting: &mut Meeting, segment: &Incoming) -> Result<(), StoreError> {
        let snapshot = self.store.snapshot()?;
        let Some(number) = snapshot.number(&segment.feed, 0)? else { return Ok(()) };
        let row = snapshot.row(number)?;
        let Some(fork) = row.fork_seq else { return Ok(()) };
        // Who has a part of a feed may still be nobody who is told of it.
        if !meeting.may_offer(&row) || !meeting.given_forks.insert(number) {
            return Ok(());
        }
        meeting.jobs.push_back(Job::Fork(number));
        let last = segment.entries.last().map(|entry| entry.id);
        for branch in [Some(number), snapshot.number(&segment.feed, 1)?].into_iter().flatten() {
            let row = snapshot.row(branch)?;
            let here = snapshot.entry(branch, segment.last_seq())?.map(|held| held.id);
            if here.is_none() || here != last {
                let runs = row.runs.iter().map(|run| (run.0.max(fork), run.1));
                let jobs = runs.filter(|run| run.0 <= run.1);
                meeting.jobs.extend(jobs.map(|run| Job::Entries(branch, run.0, run.1)));
            }
        }
        Ok(())
    }

    /// Leaves feeds out that are not taken, and says so.
    fn say_declined(
        &mut self,
        now: Now,
        meeting: &mut Meeting,
        mut feeds: BTreeSet<FeedId>,
    ) -> Result<(), Stop> {
        // Also what was declined before this session: a peer that sends it does not know that.
        feeds.retain(|feed| meeting.declined.insert(*feed));
        meeting.left_out.extend(&feeds);
        let feeds: Vec<FeedId> = feeds.into_iter().collect();
        if feeds.is_empty() {
            return Ok(());
        }
        if meeting.known {
            let peer = meeting.peer;
            self.settled = false;
            self.store.write(now, |writer| writer.decline(&peer, &feeds, WE))?;
        }
        let at_once = usize::try_from(DECLINED_PER_FRAME).unwrap_or(usize::MAX);
        for feeds in feeds.chunks(at_once) {
            meeting.say(&Sentence::Decline { lasts: meeting.known, feeds: feeds.to_vec() });
        }
        Ok(())
    }

    /// Leaves feeds out no more of which the peer sends what is held here: whichever side declined
    /// them, that is over, and nobody said so.
    fn take_up(
        &mut self,
        now: Now,
        meeting: &mut Meeting,
        mut feeds: BTreeSet<FeedId>,
    ) -> Result<(), Stop> {
        feeds.retain(|feed| !meeting.declined.contains(feed) && meeting.left_out.remove(feed));
        if feeds.is_empty() {
            return Ok(());
        }
        meeting.moved = true;
        if meeting.known {
            let (peer, feeds) = (meeting.peer, feeds.into_iter().collect::<Vec<_>>());
            self.settled = false;
            self.store.write(now, |writer| writer.accept(&peer, &feeds))?;
        }
        Ok(())
    }

    /// Leaves out what the peer does not take.
    pub(super) fn hear_decline(
        &mut self,
        now: Now,
        meeting: &mut Meeting,
        lasts: bool,
        feeds: &[FeedId],
    ) -> Result<(), Stop> {
        let room = crate::limits::DECLINED.saturating_sub(meeting.left_out.len() as u64);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let feeds = feeds.get(..feeds.len().min(room)).unwrap_or_default();
        meeting.left_out.extend(feeds);
        if lasts && meeting.known {
            let peer = meeting.peer;
            self.settled = false;
            self.store.write(now, |writer| writer.decline(&peer, feeds, THEY))?;
        }
        Ok(())
    }

    /// Asks for what is missing between what is held of some feeds.
    fn ask_for_gaps(&self, meeting: &mut Meeting, touched: &BTreeSet<FeedId>) -> Result<(), Stop> {
        let snapshot = self.store.snapshot()?;
        for feed in touched {
            let Some(number) = snapshot.number(feed, 0)? else { continue };
            for gap in snapshot.row(number)?.gaps() {
                meeting.want(*feed, gap, What::Entries);
            }
        }
        Ok(())
    }

    /// Asks once for all that is missing here, unless the peer is known to have nothing of it.
    pub(super) fn ask_for_holes(&self, meeting: &mut Meeting, state: &State) -> Result<(), Stop> {
        let asked = self.store.snapshot()?.link(&meeting.peer)?.asked;
        if state.memory.is_some_and(|memory| meeting.known && memory.here.0 == asked) {
            return Ok(());
        }
        self.tell_wants(meeting)
    }

    pub(super) fn tell_wants(&self, meeting: &mut Meeting) -> Result<(), Stop> {
        if std::mem::replace(&mut meeting.asked, true) {
            return Ok(());
        }
        for (feed, gap) in std::mem::take(&mut meeting.gaps) {
            meeting.want(feed, gap, What::Entries);
        }
        let snapshot = self.store.snapshot()?;
        let numbers = meeting.scope.as_ref().map(|(_, numbers)| numbers.as_slice());
        let numbers = numbers.unwrap_or_default();
        let mut holes: Vec<(u32, (u64, u64))> = Vec::new();
        let mut note = |number: u32, seq: u64| {
            if let Some((last, run)) = holes.last_mut()
                && (*last, run.1.saturating_add(1)) == (number, seq)
                && seq.saturating_sub(run.0) < PAYLOADS_A_WANT
            {
                run.1 = seq;
                return true;
            }
            if numbers.binary_search(&number).is_ok() {
                holes.push((number, (seq, seq)));
            }
            (holes.len() as u64) < WANTS
        };
        // Each session begins elsewhere: what nobody can bring must not keep the rest from being
        // asked for.
        let die = u64::from_be_bytes(short_of(&meeting.key));
        let place = usize::try_from(die % (numbers.len() as u64).max(1)).unwrap_or(0);
        let feed = numbers.get(place).copied().unwrap_or(0);
        let head = snapshot.held_row(feed)?.map_or(0, |row| row.head());
        let begin = (feed, die % head.saturating_add(1));
        snapshot.holes(begin..ALL_PLACES.end, &mut note)?;
        snapshot.holes(ALL_PLACES.start..begin, &mut note)?;
        for (number, run) in holes {
            if let Some(row) = snapshot.held_row(number)? {
                meeting.want(row.id, run, What::Payloads);
            }
        }
        Ok(())
    }
}

/// What strangers have brought in the present hour.
#[derive(Debug, Default)]
pub(in crate::node) struct Hour {
    began: u64,
    bytes: u64,
}

impl Hour {
    /// Whether so many more bytes may come.
    fn takes(&mut self, tick: u64, bytes: u64) -> bool {
        if tick.saturating_sub(self.began) >= 3_600_000 {
            *self = Self { began: tick, bytes: 0 };
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.bytes <= STRANGER_HOUR_BYTES
    }
}

impl Meeting {
    /// Asks for a range, once.
    fn want(&mut self, feed: FeedId, (first, last): (u64, u64), what: What) {
        let new = self.wants_told.len() as u64 <= WANTS
            && first <= last
            && self.wants_told.insert((feed, first, what == What::Payloads));
        if new {
            let want = Want { feed, first, last, what };
            self.say(&Sentence::Carried(Frame::Wants(vec![want])));
        }
    }
}
