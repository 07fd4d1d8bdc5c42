//! Finds which feeds differ between two nodes, in bytes that grow with the differences.
//!
//! Both sides hash what they may offer each other into a [`Scope`] under a key of the session. If
//! the digests in their states differ, the dialler opens a [`Run`]: from the responder's counters
//! it estimates how many feeds differ and sends as many power sums as that takes, or a short list
//! of everything if most differ. The responder solves for what differs and answers with what it
//! wants. At the end each side knows on which feeds it is ahead and what the other has of them.
//!
//! No store, no clock, no session here, and beside the scope a run keeps only buckets that did not
//! decode. A collision of ids costs a want, until the next session's key. Whatever the peer sends,
//! a run ends, stays within `limits.rs` and sends a stranger little more than the stranger sent.
//! `schemas/reconciliation.md` is the specification and names what this is made of.

mod coding;
mod decoder;
mod field;
mod message;
mod scope;
mod vector;

#[cfg(test)]
mod tests;

use crate::codec::DecodeError;
use crate::limits::{
    FRAME_BYTES, RECONCILE_ITEMS, RECONCILE_ROUNDS, RECONCILE_SUMS, SCOPE_FEEDS,
    STRANGER_DRAW_BYTES,
};
use decoder::{After, Decoder, sketch_limit};
use message::SUM_BYTES;
use scope::{Keyed, sums_of};
use vector::Lists;

pub use message::{Message, Row, Then, Want};
pub use scope::{Counters, Item, Scope};

/// Sums in one message, a little less than a frame.
const SUMS_PER_MESSAGE: usize = 13_000;

/// What one side learned of a feed that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// The item's place among those that the scope was made of.
    pub item: usize,
    /// The seq held here.
    pub mine: u64,
    /// The seq held there, if the feed is.
    pub theirs: Option<u64>,
    /// Whether both hold the same seq with another head: one of them, or both, are forked.
    pub tag_differs: bool,
}

/// What the other side's state says, and how far it is trusted.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// The number of items in its scope.
    pub count: u64,
    /// Whether what it draws is limited by what it sends.
    pub is_stranger: bool,
}

/// What follows from an input: frames to send, and what was learned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// Messages as they stand in their frames, in order.
    pub send: Vec<Vec<u8>>,
    /// Feeds held here that differ there. After a list replaced a sketch, some come again.
    pub differences: Vec<Difference>,
}

/// Why a run was ended. The peer is at fault; what was learned so far still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReconcileError {
    /// A message is not what the format allows, or not within this run.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// A message of this kind is not due.
    #[error("a message of kind {kind} is not due")]
    OutOfTurn {
        /// The kind.
        kind: u64,
    },
    /// A stranger wants to be told more than it tells.
    #[error("the peer asks for more than it gives")]
    Overdrawn,
}

/// One reconciliation, as seen by one side.
#[derive(Debug)]
pub struct Run {
    phase: Phase,
    peer: Peer,
    sent: u64,
    received: u64,
    wanted: u64,
}

#[derive(Debug)]
enum Phase {
    /// The opener waits for counters.
    Counters,
    /// The responder waits for what the opener chooses.
    Opening,
    /// The opener sent a sketch.
    Offering(Offer),
    /// The responder reads a sketch.
    Reading(Decoder),
    /// Both list what they have.
    Listing(Lists),
    /// Nothing more is due.
    Over,
}

/// What the opener remembers of its sketch.
#[derive(Debug)]
struct Offer {
    buckets: u64,
    /// Those whose sums were sent last.
    open: Vec<u64>,
    upto: u64,
    rounds: u64,
}

impl Run {
    /// Begins as the dialler, after digests were found to differ. `counters` are those of the
    /// responder's state, if it carried them; otherwise they come as the first message.
    pub fn open(
        scope: &Scope,
        peer: Peer,
        counters: Option<&Counters>,
    ) -> Result<(Self, Step), ReconcileError> {
        let mut run = Self::new(scope, peer, Phase::Counters)?;
        let mut step = Step::default();
        if scope.count() == 0 {
            run.send(&mut step, &Message::All);
            run.phase = Phase::Over;
        } else if peer.count == 0 {
            // That it lacks everything it knows as well as we do.
            step.differences =
                scope.items().iter().map(|item| Difference::new(item, None)).collect();
            run.phase = Phase::Over;
        } else if let Some(counters) = counters {
            run.begin(scope, counters, &mut step);
        }
        Ok((run, step))
    }

    /// Begins as the responder, after digests were found to differ. Unless `counters_sent` says
    /// that the state carried them, the first message brings them.
    pub fn respond(
        scope: &Scope,
        peer: Peer,
        counters_sent: bool,
    ) -> Result<(Self, Step), ReconcileError> {
        let mut run = Self::new(scope, peer, Phase::Opening)?;
        let mut step = Step::default();
        if scope.count() == 0 {
            run.phase = Phase::Over;
        } else if !counters_sent && peer.count > 0 {
            run.send(&mut step, &Message::Counters(Box::new(scope.counters())));
        }
        Ok((run, step))
    }

    /// Takes a message of the other side, as it stands in its frame.
    pub fn receive(&mut self, scope: &Scope, bytes: &[u8]) -> Result<Step, ReconcileError> {
        let step = self.react(scope, bytes);
        if step.is_err() {
            self.phase = Phase::Over;
        }
        step
    }

    /// Whether the other side has nothing more to say in this run, nor this one.
    pub const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    fn new(scope: &Scope, peer: Peer, phase: Phase) -> Result<Self, ReconcileError> {
        let found = scope.count().max(peer.count);
        if found > SCOPE_FEEDS {
            let limit = SCOPE_FEEDS;
            return Err(DecodeError::OverLimit { field: "count", found, limit }.into());
        }
        Ok(Self { phase, peer, sent: 0, received: 0, wanted: 0 })
    }

    fn react(&mut self, scope: &Scope, bytes: &[u8]) -> Result<Step, ReconcileError> {
        self.received = self.received.saturating_add(bytes.len() as u64);
        let message = Message::decode(bytes)?;
        let mut step = Step::default();
        match (&mut self.phase, message) {
            (Phase::Counters, Message::Counters(counters)) => {
                self.begin(scope, &counters, &mut step);
            }
            (Phase::Opening, Message::All) => {
                let all = scope.items().iter().map(|item| Difference::new(item, None));
                step.differences = all.collect();
                self.phase = Phase::Over;
            }
            (Phase::Opening, Message::Sketch { buckets, upto, sums }) => {
                let decoder = Decoder::new(buckets, scope)?;
                self.read(decoder, scope, (buckets, upto, &sums), &mut step)?;
            }
            (Phase::Reading(_), Message::Sketch { buckets, upto, sums }) => {
                if let Phase::Reading(decoder) = std::mem::replace(&mut self.phase, Phase::Over) {
                    self.read(decoder, scope, (buckets, upto, &sums), &mut step)?;
                }
            }
            (Phase::Offering(_), Message::More(bitmap)) => {
                self.extend(scope, &bitmap, &mut step)?;
            }
            (Phase::Offering(_), Message::Wants { more, wants }) => {
                if more && wants.is_empty() {
                    return Err(DecodeError::OutOfRange { field: "wants", found: 0 }.into());
                }
                self.resolve(scope, &wants, &mut step)?;
                if !more {
                    self.phase = Phase::Over;
                }
            }
            (
                Phase::Opening | Phase::Offering(_) | Phase::Reading(_),
                Message::Vector { first, then, rows },
            ) => {
                let mut lists = Lists::new(scope.count(), self.peer.count);
                self.read_list(&mut lists, scope, (first, then, &rows), &mut step)?;
                self.phase_of(lists);
            }
            (Phase::Listing(_), message @ (Message::Vector { .. } | Message::Picks(_))) => {
                if let Phase::Listing(mut lists) = std::mem::replace(&mut self.phase, Phase::Over) {
                    match message {
                        Message::Vector { first, then, rows } => {
                            self.read_list(&mut lists, scope, (first, then, &rows), &mut step)?;
                        }
                        Message::Picks(picks) => {
                            step.differences = lists.take_picks(scope, &picks)?;
                        }
                        _ => {}
                    }
                    self.phase_of(lists);
                }
            }
            (_, message) => return Err(ReconcileError::OutOfTurn { kind: message.kind() }),
        }
        Ok(step)
    }

    /// The opener's choice: a sketch, its own list, or to ask for the other's.
    fn begin(&mut self, scope: &Scope, counters: &Counters, step: &mut Step) {
        let (own, their) = (scope.count(), self.peer.count);
        let plan = Plan::of(scope.counters().estimate(own, counters, their));
        let bytes = plan.buckets * plan.sums * SUM_BYTES as u64;
        let fits = bytes + 16 <= self.room() && bytes <= sketch_limit(their);
        // Beyond it a list of everything is shorter.
        if fits && bytes <= 6 * own.min(their) {
            let (buckets, sums) = (plan.buckets, plan.sums);
            let open: Vec<u64> = (0..buckets).collect();
            self.send_sums(scope, (buckets, 0, sums), &open, step);
            self.phase = Phase::Offering(Offer { buckets, open, upto: sums, rounds: 0 });
        } else {
            let mut lists = Lists::new(own, their);
            if own > 2 * their {
                self.ask_for_list(&mut lists, step);
            } else {
                self.write_list(&mut lists, scope, step);
            }
            self.phase_of(lists);
        }
    }

    fn send_sums(
        &mut self,
        scope: &Scope,
        (buckets, before, upto): (u64, u64, u64),
        open: &[u64],
        step: &mut Step,
    ) {
        let a_bucket = usize::try_from(upto - before).unwrap_or(1).max(1);
        for some in open.chunks((SUMS_PER_MESSAGE / a_bucket).max(1)) {
            let sums = some
                .iter()
                .flat_map(|number| sums_of(scope.bucket(buckets, *number), before, upto))
                .collect();
            self.send(step, &Message::Sketch { buckets, upto, sums });
        }
    }

    /// The opener's answer to buckets that did not decode: half as many sums again.
    fn extend(
        &mut self,
        scope: &Scope,
        bitmap: &[u8],
        step: &mut Step,
    ) -> Result<(), ReconcileError> {
        let Phase::Offering(offer) = &mut self.phase else {
            return Ok(());
        };
        let found = bitmap.len() as u64;
        if bitmap.len() != offer.open.len().div_ceil(8) {
            return Err(DecodeError::OutOfRange { field: "bitmap", found }.into());
        }
        let bits = bitmap.iter().flat_map(|byte| (0..8).map(move |bit| byte << bit & 0x80 != 0));
        let count = bitmap.iter().map(|byte| byte.count_ones() as usize).sum();
        let failed = offer.open.iter().zip(bits).filter(|(_, failed)| *failed);
        let open: Vec<u64> = failed.map(|(number, _)| *number).collect();
        // Each bit is a bucket; the round is one of few.
        if open.len() != count || offer.rounds == RECONCILE_ROUNDS || offer.upto == RECONCILE_SUMS {
            return Err(DecodeError::OutOfRange { field: "bitmap", found }.into());
        }
        let before = offer.upto;
        let upto = ((before + before / 2) | 1).min(RECONCILE_SUMS);
        offer.rounds += 1;
        offer.open.clone_from(&open);
        offer.upto = upto;
        let buckets = offer.buckets;
        if open.len() as u64 * (upto - before) * SUM_BYTES as u64 + 16 <= self.room() {
            self.send_sums(scope, (buckets, before, upto), &open, step);
        } else {
            let mut lists = Lists::new(scope.count(), self.peer.count);
            self.write_list(&mut lists, scope, step);
            self.phase_of(lists);
        }
        Ok(())
    }

    /// The responder's answer to a part of a sketch.
    fn read(
        &mut self,
        mut decoder: Decoder,
        scope: &Scope,
        (buckets, upto, sums): (u64, u64, &[u64]),
        step: &mut Step,
    ) -> Result<(), ReconcileError> {
        let found = decoder.take(scope, buckets, upto, sums)?;
        step.differences = found.differences;
        self.send_wants(found.wants, found.after == After::Done, step);
        self.phase = match found.after {
            After::Rest => Phase::Reading(decoder),
            After::Done => Phase::Over,
            After::More(bitmap) => {
                self.send(step, &Message::More(bitmap));
                Phase::Reading(decoder)
            }
            After::GiveUp => {
                let mut lists = Lists::new(scope.count(), self.peer.count);
                self.ask_for_list(&mut lists, step);
                Phase::Listing(lists)
            }
        };
        Ok(())
    }

    /// Sends wants in as many messages as they need; the last one says whether it is.
    fn send_wants(&mut self, mut wants: Vec<(u64, u64)>, is_last: bool, step: &mut Step) {
        if wants.is_empty() && !is_last {
            return;
        }
        wants.sort_unstable();
        let wants: Vec<Want> = wants.into_iter().map(|(id, have)| Want { id, have }).collect();
        let size = usize::try_from(RECONCILE_ITEMS).unwrap_or(1);
        let count = wants.len().div_ceil(size).max(1);
        for at in 0..count {
            let some = wants.iter().skip(at * size).take(size).copied().collect();
            let more = !(is_last && at + 1 == count);
            self.send(step, &Message::Wants { more, wants: some });
        }
    }

    /// The opener learns where it is ahead: of every feed that has the wanted id.
    fn resolve(
        &mut self,
        scope: &Scope,
        wants: &[Want],
        step: &mut Step,
    ) -> Result<(), ReconcileError> {
        self.wanted += wants.len() as u64;
        // It can lack only what is here, and a few that collide.
        let limit = scope.count() + 64;
        if self.wanted > limit {
            let found = self.wanted;
            return Err(DecodeError::OverLimit { field: "wants", found, limit }.into());
        }
        for want in wants {
            let matching = scope.of_id(want.id).iter();
            let behind = matching.filter(|item| want.have <= item.seq);
            let theirs = (want.have > 0).then_some(want.have);
            step.differences.extend(behind.map(|item| Difference::new(item, theirs)));
        }
        Ok(())
    }

    fn ask_for_list(&mut self, lists: &mut Lists, step: &mut Step) {
        let message = lists.ask();
        self.send(step, &message);
    }

    /// Lists what there is after what is covered, as much as the peer may draw.
    fn write_list(&mut self, lists: &mut Lists, scope: &Scope, step: &mut Step) {
        while let Some(message) = lists.next(scope, self.room()) {
            self.send(step, &message);
        }
    }

    fn read_list(
        &mut self,
        lists: &mut Lists,
        scope: &Scope,
        (first, then, rows): (u64, Then, &[Row]),
        step: &mut Step,
    ) -> Result<(), ReconcileError> {
        let picks = lists.read(scope, first, then, rows, &mut step.differences)?;
        if let Some(picks) = picks {
            self.send(step, &Message::Picks(picks));
        }
        if then == Then::YourTurn {
            let before = self.sent;
            self.write_list(lists, scope, step);
            if self.sent == before {
                return Err(ReconcileError::Overdrawn);
            }
        }
        Ok(())
    }

    fn phase_of(&mut self, lists: Lists) {
        self.phase = if lists.is_over() { Phase::Over } else { Phase::Listing(lists) };
    }

    fn send(&mut self, step: &mut Step, message: &Message) {
        let bytes = message.encode();
        debug_assert!(bytes.len() as u64 <= FRAME_BYTES);
        self.sent += bytes.len() as u64;
        step.send.push(bytes);
    }

    /// Bytes that may be sent now.
    fn room(&self) -> u64 {
        if self.peer.is_stranger {
            (STRANGER_DRAW_BYTES + 2 * self.received).saturating_sub(self.sent)
        } else {
            u64::MAX
        }
    }
}

impl Difference {
    fn new(item: &Keyed, theirs: Option<u64>) -> Self {
        let tag_differs = theirs == Some(item.seq);
        Self { item: item.place as usize, mine: item.seq, theirs, tag_differs }
    }
}

/// How large a sketch is made.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    buckets: u64,
    /// Sums of each: two for a difference, and one as a check.
    sums: u64,
}

impl Plan {
    /// For so many differences, of which the estimate is a fifth off either way.
    fn of(differences: u64) -> Self {
        let margin = (differences / 2).min(5 * differences.isqrt()) + 2;
        let room = differences + margin;
        // Few large buckets waste less on chance; many small ones cost less work and grow better.
        let in_one = if differences <= 200 { 56 } else { 32 };
        let buckets = room.div_ceil(in_one);
        Self { buckets, sums: 2 * room.div_ceil(buckets) + 1 }
    }
}
