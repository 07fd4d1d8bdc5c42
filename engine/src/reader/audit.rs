//! The check of every invariant of a store: what `doctor` runs.
//!
//! Everything is computed again from the entries themselves: ids, links, signatures, payload
//! hashes, counts, quotas, the arrival log, what the indexes find. Nothing is repaired here.

use std::collections::BTreeMap;
use std::fmt;

use crate::content::is_structural;
use crate::entry::{ChainHasher, EntryId, Stub, is_checkpoint};
use crate::fork::ForkProof;
use crate::key::{Context, FeedId, Verifier};
use crate::policy::CarryClass;
use crate::reader::Reader;
use crate::segment::{Body, Item, UnverifiedSegment};
use crate::store::{
    ENTRY_COST, FEED_COST, FeedRow, Gives, Held, State, StoreError, compare, log_hash,
};

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The feed that it concerns, if one.
    pub feed: Option<FeedId>,
    /// The place in the feed or the log, if one.
    pub at: Option<u64>,
    /// What does not hold.
    pub what: &'static str,
    /// In how many more places of the feed.
    pub more: u64,
    /// Whether it is of the indexes, so that building them anew mends it.
    pub index: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        match (self.at, self.more) {
            (Some(at), 0) => write!(f, " (at {at})"),
            (Some(at), more) => write!(f, " (at {at}, and {more} more)"),
            (None, _) => Ok(()),
        }
    }
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checked {
    /// Feeds and branches.
    pub feeds: u64,
    /// Entries.
    pub entries: u64,
    /// Signatures.
    pub signatures: u64,
    /// Bytes of payloads.
    pub bytes: u64,
    /// Arrivals that the log tells of; it need not tell of all whose entries are gone.
    pub arrivals: u64,
    /// Entries that the indexes know.
    pub indexed: u64,
}

impl Reader {
    /// Checks every invariant and visits each that does not hold.
    pub fn check(&self, visit: &mut dyn FnMut(Finding)) -> Result<Checked, StoreError> {
        let mut checked = Checked::default();
        let (mut usage, mut ordered) = ([0_u64; 5], 0);
        for (number, row) in self.snapshot.rows()? {
            checked.feeds += 1;
            if let Some(sum) = usage.get_mut(usize::from(row.class.code())) {
                *sum = sum.saturating_add(row.bytes);
            }
            ordered += u64::from(row.class != CarryClass::Own);
            self.check_feed(number, &row, &mut checked, visit)?;
        }
        if ordered != self.snapshot.ordered()? {
            visit(general("the order of eviction holds other feeds than are held"));
        }
        let heads = self.snapshot.heads()?;
        if usage != heads.usage {
            visit(general("the sums of the quotas are not those of the feeds"));
        }
        if self.check_log(&mut checked, visit)? != heads.log_len {
            visit(general("the arrival log has another length than is remembered"));
        }
        self.check_own(visit)?;
        checked.indexed = self.check_indexes(visit)?;
        Ok(checked)
    }

    fn check_indexes(&self, visit: &mut dyn FnMut(Finding)) -> Result<u64, StoreError> {
        let compared = match compare(&self.snapshot) {
            Err(StoreError::Damaged { what }) => {
                visit(Finding { index: true, ..general(what) });
                return Ok(0);
            }
            compared => compared?,
        };
        let feeds: BTreeMap<u32, FeedId> =
            self.snapshot.rows()?.into_iter().map(|(number, row)| (number, row.id)).collect();
        for ((number, what), (first, count)) in compared.faults {
            let (feed, more) = (feeds.get(&number).copied(), count.saturating_sub(1));
            visit(Finding { feed, at: Some(first), what, more, index: true });
        }
        Ok(compared.indexed)
    }

    fn check_own(&self, visit: &mut dyn FnMut(Finding)) -> Result<(), StoreError> {
        let me = self.me()?.feed;
        if self.device_key()?.feed() != me {
            visit(general("the own key is not that of the own feed"));
        }
        Ok(())
    }

    /// Follows the log from its floor up, and tells where it ends.
    fn check_log(
        &self,
        checked: &mut Checked,
        visit: &mut dyn FnMut(Finding),
    ) -> Result<u64, StoreError> {
        let (floor, mut hash) = self.snapshot.log_floor()?;
        let mut expected = floor.saturating_add(1);
        self.snapshot.arrivals_from(0, &mut |position, arrival| {
            checked.arrivals += 1;
            if position <= floor {
                return Ok(true);
            }
            let (next, short) = log_hash(&hash, &arrival);
            hash = next;
            if position != expected || short != arrival.hash {
                visit(Finding { at: Some(position), ..general("the arrival log is broken") });
            }
            expected = position.saturating_add(1);
            Ok(true)
        })?;
        Ok(expected - 1)
    }

    fn check_feed(
        &self,
        number: u32,
        row: &FeedRow,
        checked: &mut Checked,
        visit: &mut dyn FnMut(Finding),
    ) -> Result<(), StoreError> {
        let mut chain = Chain::new(row);
        let (mut entries, mut bytes) = (0, FEED_COST);
        let mut faults: Vec<(u64, &'static str)> = Vec::new();
        let gives = self.snapshot.gives(number, row)?;
        if row.class != CarryClass::Own && gives.is_none() {
            faults.push((row.head(), "a feed stands nowhere in the order of eviction"));
        }
        self.snapshot.scan(number, 1, u64::MAX, &mut |held| {
            entries += 1;
            bytes += ENTRY_COST + held.payload.as_ref().map_or(0, Vec::len) as u64;
            checked.signatures += u64::from(held.signature.is_some());
            checked.bytes += held.payload.as_ref().map_or(0, Vec::len) as u64;
            chain.check(&held, &mut |what| faults.push((held.seq, what)));
            let may_go = held.payload.as_ref().is_some_and(|payload| !is_structural(payload));
            if may_go && held.seq > 1 && gives.is_some_and(|gives| gives != Gives::Payloads) {
                faults.push((held.seq, "a payload is not in the order of eviction"));
            }
            if row.branch == 0 && self.snapshot.arrival_of(number, held.seq)?.is_none() {
                faults.push((held.seq, "an entry that never arrived"));
            }
            Ok(true)
        })?;
        checked.entries += entries;
        chain.finish(&mut |what| faults.push((row.head(), what)));
        if entries != row.entries {
            faults.push((entries, "the number of entries is not what is remembered"));
        }
        if bytes != row.bytes {
            faults.push((bytes, "the bytes of a feed are not what is remembered"));
        }
        if row.fork_seq.is_some() && !self.has_good_proof(number)? {
            faults.push((row.fork_seq.unwrap_or(0), "a fork without a proof"));
        }
        for (at, what) in faults {
            visit(Finding { feed: Some(row.id), at: Some(at), ..general(what) });
        }
        Ok(())
    }

    fn has_good_proof(&self, number: u32) -> Result<bool, StoreError> {
        let proof = self.snapshot.fork(number)?;
        Ok(proof
            .is_some_and(|proof| ForkProof::decode(&proof).is_ok_and(|fork| fork.verify().is_ok())))
    }
}

const fn general(what: &'static str) -> Finding {
    Finding { feed: None, at: None, what, more: 0, index: false }
}

/// Follows one chain from entry to entry.
struct Chain<'a> {
    row: &'a FeedRow,
    verifier: Option<Verifier>,
    last: Option<(u64, EntryId, bool)>,
    runs: Vec<(u64, u64)>,
    head_id: Option<EntryId>,
}

impl<'a> Chain<'a> {
    fn new(row: &'a FeedRow) -> Self {
        let verifier = Verifier::of_feed(&row.id).ok();
        Self { row, verifier, last: None, runs: Vec::new(), head_id: None }
    }

    fn check(&mut self, held: &Held, fault: &mut dyn FnMut(&'static str)) {
        let follows = self.last.is_some_and(|last| last.0.saturating_add(1) == held.seq);
        if follows {
            if self.last.map(|last| last.1) != held.prev {
                fault("an entry does not link to the one before");
            }
            if let Some(run) = self.runs.last_mut() {
                run.1 = held.seq;
            }
        } else {
            self.check_run_end(fault);
            self.runs.push((held.seq, held.seq));
        }
        let stub = Stub { ttl: held.ttl, size: held.size, payload_hash: held.payload_hash };
        if held.payload.as_ref().is_some_and(|payload| !stub.fits(payload)) {
            fault("a payload is not the one that was signed");
        }
        if held.payload.is_none() && held.state == State::Here {
            fault("a payload is missing that is said to be here");
        }
        match (&self.verifier, &held.signature) {
            (Some(verifier), Some(signature)) => {
                if verifier.check(Context::Entry, held.id.as_bytes(), signature).is_err() {
                    fault("a signature does not fit");
                }
            }
            (None, _) => fault("the key of a feed is not usable"),
            (Some(_), None) if is_checkpoint(held.seq) => fault("a checkpoint without a signature"),
            (Some(_), None) => {}
        }
        if held.seq == 1 && self.row.branch == 0 {
            self.check_first(held, fault);
        }
        if held.seq == self.row.head() {
            self.head_id = Some(held.id);
        }
        self.last = Some((held.seq, held.id, held.signature.is_some()));
    }

    fn check_first(&self, held: &Held, fault: &mut dyn FnMut(&'static str)) {
        let (Some(payload), Some(signature)) = (&held.payload, held.signature) else {
            fault("a first entry without its certificate");
            return;
        };
        let item = Item { ttl: held.ttl, age: 0, body: Body::Here(payload) };
        let first = UnverifiedSegment {
            feed: held.feed,
            first_seq: 1,
            prev: None,
            items: vec![item],
            signature,
        };
        let verified = first.verify(&mut ChainHasher::default());
        let origin = verified.ok().and_then(|segment| segment.origin);
        let remembered = self.row.origin.map(|row| (row.account, row.carry, row.retired));
        if origin.map(|origin| (origin.account, origin.carry, origin.retired)) != remembered {
            fault("a certificate is not what is remembered");
        }
    }

    fn check_run_end(&self, fault: &mut dyn FnMut(&'static str)) {
        if self.last.is_some_and(|last| !last.2) {
            fault("a run of entries without a signature at its end");
        }
    }

    fn finish(&self, fault: &mut dyn FnMut(&'static str)) {
        // The last entry before a fork may be covered by the branch that goes on elsewhere.
        if self.row.fork_seq.is_none() || self.row.branch > 0 {
            self.check_run_end(fault);
        }
        if self.runs != self.row.runs {
            fault("the runs of a feed are not what is remembered");
        }
        if self.row.head() > 0 && self.head_id != Some(self.row.head_id) {
            fault("the head of a feed is not what is remembered");
        }
    }
}
