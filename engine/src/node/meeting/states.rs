//! What both sides compare: their states in turn, what each remembers of the other's log, and the
//! messages of a reconciliation.

use std::collections::BTreeMap;

use crate::key::{FeedId, keyed, short_of};
use crate::limits::{SCOPE_FEEDS, SESSION_ROUNDS, WANTS};
use crate::node::Node;
use crate::node::meeting::{Meeting, SessionFault, Stage, Stop};
use crate::reconcile::{Counters, Item, Peer, Run, Scope};
use crate::session::{Memory, Sentence, State};
use crate::store::{FeedRow, Snapshot, StoreError, THEY, WE};
use crate::time::Now;

impl Node {
    /// The responder's first state, with what it remembers of a known peer.
    pub(super) fn tell_first_state(&self, meeting: &mut Meeting) -> Result<(), Stop> {
        let snapshot = self.store.snapshot()?;
        meeting.make_scope(&snapshot)?;
        self.tell_doubtful(meeting)?;
        let row = snapshot.link(&meeting.peer)?;
        let counters = !(meeting.known && row.theirs.is_some());
        self.tell_state(meeting, &snapshot, counters)?;
        if meeting.known {
            if row.asked == 0 || Some(row.asked) != row.theirs.map(|place| place.0) {
                self.tell_wants(meeting)?;
            }
            if let Some(ours) = row.ours {
                meeting.give_news(&snapshot, ours)?;
            }
        }
        Ok(())
    }

    pub(super) fn tell_state(
        &self,
        meeting: &mut Meeting,
        snapshot: &Snapshot,
        counters: bool,
    ) -> Result<(), Stop> {
        let Some((scope, _)) = &meeting.scope else { return Ok(()) };
        let memory = if meeting.known {
            let row = snapshot.link(&meeting.peer)?;
            let cursor = row.theirs;
            let (revision, known) = (snapshot.revision()?, row.revision);
            let log = meeting.recognised.account().map(|with| self.log_name(&with));
            Some(Memory { here: meeting.place, cursor, revision, known, log })
        } else {
            None
        };
        let state = State {
            digest: scope.digest(),
            count: scope.count(),
            tag: self.answer(meeting),
            memory,
            counters: counters.then(|| scope.counters().encode()),
        };
        meeting.told += 1;
        meeting.say(&Sentence::State(state));
        Ok(())
    }

    pub(super) fn hear_state(
        &mut self,
        now: Now,
        meeting: &mut Meeting,
        state: State,
    ) -> Result<(), Stop> {
        if meeting.opener && !std::mem::take(&mut meeting.awaits) || meeting.told > SESSION_ROUNDS {
            return Err(SessionFault::OutOfTurn { kind: 9 }.into());
        }
        let first = meeting.heard.replace(state.clone()).is_none();
        let recognised = self.hear_answer(meeting, &state)?;
        if meeting.opener && first {
            self.tell_doubtful(meeting)?;
        }
        if !meeting.expect_open()? {
            return Ok(());
        }
        if recognised && !meeting.opener {
            // What was told before was for a stranger.
            meeting.make_scope(&self.store.snapshot()?)?;
        }
        match &state.memory {
            Some(memory) if meeting.known => {
                self.note_log(now, meeting, memory)?;
                self.note_revision(now, meeting, memory)?;
            }
            None if meeting.known && first => self.leave_out_own(meeting)?,
            _ => {}
        }
        match (meeting.opener, first) {
            (true, true) => self.opener_first(now, meeting, &state),
            (true, false) => self.opener_again(now, meeting, &state),
            (false, true) => self.responder_first(now, meeting, &state),
            (false, false) => self.responder_again(now, meeting, &state),
        }
    }

    /// A peer that tells no policy does not know this node any more: what it declined when it did
    /// counts no longer.
    fn leave_out_own(&self, meeting: &mut Meeting) -> Result<(), Stop> {
        let snapshot = self.store.snapshot()?;
        let own = snapshot.declined(&meeting.peer, WE)?.into_iter().collect();
        if meeting.left_out != own {
            meeting.left_out = own;
            meeting.make_scope(&snapshot)?;
        }
        Ok(())
    }

    /// What the peer declined before counts only while its policy is the same.
    fn note_revision(
        &mut self,
        now: Now,
        meeting: &mut Meeting,
        memory: &Memory,
    ) -> Result<(), Stop> {
        let peer = meeting.peer;
        let row = self.store.snapshot()?.link(&peer)?;
        if row.revision == Some(memory.revision) {
            return Ok(());
        }
        self.settled = false;
        self.store.write(now, |writer| {
            writer.reconsider(&peer, THEY)?;
            let mut row = writer.link(&peer)?;
            row.revision = Some(memory.revision);
            writer.set_link(&peer, &row)
        })?;
        meeting.left_out = self.store.snapshot()?.declined(&peer, THEY | WE)?.into_iter().collect();
        Ok(())
    }

    fn opener_first(&mut self, now: Now, meeting: &mut Meeting, state: &State) -> Result<(), Stop> {
        let snapshot = self.store.snapshot()?;
        meeting.make_scope(&snapshot)?;
        let memory = state.memory.filter(|_| meeting.known);
        // What it leaves out for our sake it left out by a policy that is no more.
        let revision = snapshot.revision()?;
        let known = state.memory.and_then(|memory| memory.known);
        // And what it told was for a stranger, if it does not know yet who this is.
        let stale = known.is_some_and(|known| known != revision) || meeting.is_unanswered();
        let same = meeting.is_same(state) && !stale;
        let cursor = memory.and_then(|memory| memory.cursor);
        if same {
            meeting.stage = Stage::Equal;
            // A memory that is older than what both hold would give the same news each time.
            let mine = snapshot.link(&meeting.peer)?.theirs;
            let old = |memory: Memory| {
                let moved = mine.is_some_and(|mine| mine != memory.here);
                memory.cursor.is_some_and(|cursor| cursor != meeting.place || moved)
            };
            if memory.is_some_and(old) {
                self.tell_state(meeting, &snapshot, false)?;
            }
            self.agree(now, meeting, state)?;
            return self.ask_for_holes(meeting, state);
        }
        if state.counters.is_none() || stale || cursor.is_some() {
            meeting.stage = Stage::Memory;
            self.tell_state(meeting, &snapshot, false)?;
            if let Some(cursor) = cursor {
                meeting.give_news(&snapshot, cursor)?;
            }
        } else {
            self.tell_state(meeting, &snapshot, false)?;
            self.open_run(meeting, state)?;
        }
        if meeting.known { self.ask_for_holes(meeting, state) } else { Ok(()) }
    }

    fn opener_again(&mut self, now: Now, meeting: &mut Meeting, state: &State) -> Result<(), Stop> {
        if meeting.is_same(state) {
            meeting.stage = Stage::Equal;
            return self.agree(now, meeting, state);
        }
        self.open_run(meeting, state)
    }

    fn responder_first(
        &mut self,
        now: Now,
        meeting: &mut Meeting,
        state: &State,
    ) -> Result<(), Stop> {
        let same = meeting.is_same(state);
        meeting.stage = if same { Stage::Equal } else { Stage::Memory };
        if !meeting.known {
            return Ok(());
        }
        if same {
            meeting.news.clear();
            self.agree(now, meeting, state)?;
        } else if let Some(cursor) = state.memory.and_then(|memory| memory.cursor) {
            meeting.give_news(&self.store.snapshot()?, cursor)?;
        }
        self.ask_for_holes(meeting, state)
    }

    fn responder_again(
        &mut self,
        now: Now,
        meeting: &mut Meeting,
        state: &State,
    ) -> Result<(), Stop> {
        let snapshot = self.store.snapshot()?;
        meeting.make_scope(&snapshot)?;
        meeting.run = None;
        meeting.moved = false;
        let same = meeting.is_same(state);
        meeting.stage = if same { Stage::Equal } else { Stage::Compare };
        self.tell_state(meeting, &snapshot, !same)?;
        if same { self.agree(now, meeting, state) } else { Ok(()) }
    }

    /// Remembers where both logs stand, since both hold the same.
    fn agree(&mut self, now: Now, meeting: &Meeting, state: &State) -> Result<(), Stop> {
        let (true, Some(memory)) = (meeting.known, &state.memory) else { return Ok(()) };
        let old = self.store.snapshot()?.link(&meeting.peer)?;
        let mut row = old;
        row.ours = Some(meeting.place);
        row.theirs = Some(memory.here);
        // Of what was not asked for yet it may have something: also of what is missing only since
        // something came in this session.
        let is_asked = |(feed, gap): &(FeedId, (u64, u64))| {
            meeting.wants_told.contains(&(*feed, gap.0, false))
        };
        let all_asked = meeting.gaps.iter().all(is_asked);
        if meeting.absent && all_asked && (meeting.wants_told.len() as u64) < WANTS {
            row.asked = memory.here.0;
        }
        if row != old {
            self.settled = false;
            self.store.write(now, |writer| writer.set_link(&meeting.peer, &row))?;
        }
        Ok(())
    }

    fn open_run(&self, meeting: &mut Meeting, state: &State) -> Result<(), Stop> {
        meeting.stage = Stage::Compare;
        let Some((scope, _)) = &meeting.scope else { return Ok(()) };
        let counters = state.counters.as_deref().map(Counters::decode).transpose()?;
        let peer = Peer { count: state.count, is_stranger: !meeting.known };
        let (run, step) = Run::open(scope, peer, counters.as_ref())?;
        meeting.run = Some(run);
        self.take_step(meeting, step)
    }

    /// Takes a message of the reconciliation.
    pub(super) fn compare(&self, meeting: &mut Meeting, bytes: &[u8]) -> Result<(), Stop> {
        let out_of_turn = SessionFault::OutOfTurn { kind: 16 };
        let (Some((scope, _)), Some(state)) = (&meeting.scope, &meeting.heard) else {
            return Err(out_of_turn.into());
        };
        let mut first = None;
        if meeting.run.is_none() && !meeting.opener && meeting.stage != Stage::Equal {
            let peer = Peer { count: state.count, is_stranger: !meeting.known };
            let (run, step) = Run::respond(scope, peer, true)?;
            (meeting.run, first) = (Some(run), Some(step));
            meeting.stage = Stage::Compare;
        }
        let Some(run) = &mut meeting.run else { return Err(out_of_turn.into()) };
        let step = run.receive(scope, bytes)?;
        if let Some(first) = first {
            self.take_step(meeting, first)?;
        }
        self.take_step(meeting, step)
    }
}

impl Meeting {
    /// Makes what is compared out of what is held now.
    pub(super) fn make_scope(&mut self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let heads = snapshot.heads()?;
        self.place = (heads.log_len, short_of(&heads.log_hash));
        // Which gaps are asked for, if there are too many, is chosen anew in each session.
        let (mut offered, mut gaps) = (Vec::new(), BTreeMap::new());
        snapshot.each_row(&mut |number, row| {
            if !self.may_offer(&row) {
                return;
            }
            let item = match row.fork_seq {
                Some(fork) => Item::forked(row.id, fork),
                None => Item { feed: row.id, seq: row.head(), head: *row.head_id.as_bytes() },
            };
            offered.push((row.class.code(), number, item));
            for gap in row.missing() {
                gaps.insert((keyed(&self.key, row.id.as_bytes()), gap.0), (row.id, gap));
                if gaps.len() as u64 > WANTS {
                    gaps.pop_last();
                }
            }
        })?;
        let most = usize::try_from(SCOPE_FEEDS).unwrap_or(usize::MAX);
        if offered.len() > most {
            // Those that matter more are compared; the others wait for another way.
            offered.sort_by_key(|(class, number, _)| (*class, *number));
            offered.truncate(most);
            offered.sort_unstable_by_key(|(_, number, _)| *number);
        }
        let numbers = offered.iter().map(|(_, number, _)| *number).collect();
        let items = offered.into_iter().map(|(_, _, item)| item);
        self.gaps = gaps.into_values().collect();
        let scope = Scope::new(&self.key, items);
        self.scope = Some((scope, numbers));
        Ok(())
    }

    /// Whether the peer may hear of a feed.
    pub(super) fn may_offer(&self, row: &FeedRow) -> bool {
        let may_hear = |origin| self.recognised.may_hear(&row.id, &origin);
        let is_whole = row.branch == 0 && row.head() > 0;
        is_whole && row.origin.is_some_and(may_hear) && !self.left_out.contains(&row.id)
    }

    fn is_same(&self, state: &State) -> bool {
        self.scope.as_ref().is_some_and(|(scope, _)| {
            scope.digest() == state.digest && scope.count() == state.count
        })
    }
}
