//! The responder's half of a sketch: takes the opener's sums bucket by bucket and finds what differs.
//!
//! A bucket that does not decode is kept, and more sums are asked for. What is kept and what is
//! spent is bounded by the own scope and by a fixed amount of work, whatever the sums say.

use std::mem;

use super::field::{Exhausted, Work, add, solve, sub};
use super::message::SUM_BYTES;
use super::scope::{Keyed, Scope, bucket_of, sums_of};
use super::{Difference, ReconcileError};
use crate::codec::DecodeError;
use crate::limits::{
    RECONCILE_ROUNDS, RECONCILE_SUMS, SKETCH_BYTES, SKETCH_BYTES_PER_FEED, SKETCH_WORK,
};

/// Decodes one sketch, over all its rounds.
#[derive(Debug)]
pub(super) struct Decoder {
    buckets: u64,
    /// Buckets of this round, in ascending order, with the sums known of them.
    open: Vec<Bucket>,
    /// How many of them have come.
    came: usize,
    /// Sums that each has before and after this round.
    before: u64,
    upto: u64,
    failed: Vec<Bucket>,
    rounds: u64,
    accepted: u64,
    work: Work,
}

#[derive(Debug)]
struct Bucket {
    number: u64,
    /// Differences of the power sums.
    sums: Vec<u64>,
}

/// What a message of a sketch brought.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) differences: Vec<Difference>,
    /// Whole ids that are lacked, or held less of, and the seq held.
    pub(super) wants: Vec<(u64, u64)>,
    pub(super) after: After,
}

/// What is due after a message of a sketch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum After {
    /// The round is not over.
    #[default]
    Rest,
    /// Everything is decoded.
    Done,
    /// These need more sums.
    More(Vec<u8>),
    /// Sums lead no further.
    GiveUp,
}

impl Decoder {
    /// Prepares for a sketch of so many buckets.
    pub(super) fn new(buckets: u64, scope: &Scope) -> Result<Self, ReconcileError> {
        // Each bucket has at least one sum.
        within(scope, buckets.saturating_mul(SUM_BYTES as u64))?;
        let open = (0..buckets).map(|number| Bucket { number, sums: Vec::new() }).collect();
        let (failed, work) = (Vec::new(), Work(SKETCH_WORK));
        let (came, before, upto, rounds, accepted) = (0, 0, 0, 0, 0);
        Ok(Self { buckets, open, came, before, upto, failed, rounds, accepted, work })
    }

    /// Takes the sums of the next buckets.
    pub(super) fn take(
        &mut self,
        scope: &Scope,
        buckets: u64,
        upto: u64,
        sums: &[u64],
    ) -> Result<Found, ReconcileError> {
        let sound = if self.came == 0 { upto > self.before } else { upto == self.upto };
        if buckets != self.buckets || !sound {
            return Err(out_of_range("upto", upto));
        }
        self.upto = upto;
        self.accepted = self.accepted.saturating_add((sums.len() * SUM_BYTES) as u64);
        within(scope, self.accepted)?;
        let step = usize::try_from(upto - self.before).unwrap_or(usize::MAX);
        let left = self.open.len() - self.came;
        if !sums.len().is_multiple_of(step) || sums.len() / step > left {
            return Err(out_of_range("sums", sums.len() as u64));
        }
        let mut found = Found::default();
        for new in sums.chunks(step) {
            if self.take_bucket(scope, new, &mut found).is_err() {
                found.after = After::GiveUp;
                return Ok(found);
            }
        }
        if self.came == self.open.len() {
            found.after = self.end_round();
        }
        Ok(found)
    }

    fn take_bucket(
        &mut self,
        scope: &Scope,
        new: &[u64],
        found: &mut Found,
    ) -> Result<(), Exhausted> {
        let Some(bucket) = self.open.get_mut(self.came) else {
            return Ok(());
        };
        self.came += 1;
        let (number, mut sums) = (bucket.number, mem::take(&mut bucket.sums));
        let own = scope.bucket(self.buckets, number);
        self.work.pay(own.len() * new.len())?;
        let ours = sums_of(own, self.before, self.upto);
        sums.extend(new.iter().zip(&ours).map(|(theirs, ours)| sub(*theirs, *ours)));
        let ids = own.iter().map(Keyed::id);
        let seed = scope.seed() ^ number;
        match solve(&sums, ids, seed, &mut self.work)? {
            Some(pairs) if pairs.iter().all(|pair| bucket_of(pair.0, self.buckets) == number) => {
                for (id, change) in pairs {
                    found.add(scope, id, change);
                }
            }
            _ => self.failed.push(Bucket { number, sums }),
        }
        Ok(())
    }

    fn end_round(&mut self) -> After {
        if self.failed.is_empty() {
            return After::Done;
        }
        if self.rounds == RECONCILE_ROUNDS || self.upto == RECONCILE_SUMS {
            return After::GiveUp;
        }
        self.rounds += 1;
        let mut bitmap = vec![0u8; self.open.len().div_ceil(8)];
        let mut failed = self.failed.iter().map(|bucket| bucket.number).peekable();
        for (place, bucket) in self.open.iter().enumerate() {
            if failed.next_if_eq(&bucket.number).is_some()
                && let Some(byte) = bitmap.get_mut(place / 8)
            {
                *byte |= 0x80 >> (place % 8);
            }
        }
        self.open = mem::take(&mut self.failed);
        (self.before, self.came) = (self.upto, 0);
        After::More(bitmap)
    }
}

impl Found {
    /// Notes that the other side's value of this id is ours and `change`.
    fn add(&mut self, scope: &Scope, id: u64, change: u64) {
        match scope.of_id(id) {
            [] => self.wants.push((id, 0)),
            [item] => {
                let value = add(item.value(), change);
                let theirs = (value != 0).then(|| item.seq_of(value));
                let difference = Difference::new(item, theirs);
                if theirs >= Some(item.seq) {
                    self.wants.push((id, item.seq));
                }
                self.differences.push(difference);
            }
            // Several feeds of one id: which of them differs, another session's key will tell. To
            // want all is safe.
            same => {
                let least = same.iter().map(|item| item.seq).min().unwrap_or(0);
                self.wants.push((id, least));
            }
        }
    }
}

/// Refuses more sketch than a scope of this size is worth.
fn within(scope: &Scope, found: u64) -> Result<(), ReconcileError> {
    let limit = sketch_limit(scope.count());
    if found > limit {
        return Err(DecodeError::OverLimit { field: "sums", found, limit }.into());
    }
    Ok(())
}

/// Bytes of sketch that a node with so many feeds takes.
pub(super) fn sketch_limit(feeds: u64) -> u64 {
    feeds.saturating_mul(SKETCH_BYTES_PER_FEED).max(SKETCH_BYTES)
}

fn out_of_range(field: &'static str, found: u64) -> ReconcileError {
    DecodeError::OutOfRange { field, found }.into()
}
