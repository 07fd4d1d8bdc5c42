//! Forked feeds: which continuation a segment belongs to, and which two are kept.
//!
//! A fork is two different continuations that the author signed. The two branches with the lowest
//! entry ids at the fork stay; below a fork that lies inside a branch, the lower id stays. Since
//! that choice looks at ids only, every node ends with the same branches, whatever it learned first.

use crate::entry::EntryId;
use crate::fork::{Chain, ForkProof, VerifiedFork};
use crate::ingest::{
    Incoming, OWN, Outcome, Refusal, Source, cost, effects, new_entry, refresh, room, take,
};
use crate::limits::FORK_CHAIN;
use crate::policy::CarryClass;
use crate::store::{ArrivalKind, FEED_COST, FeedRow, StoreError, Stored, Writer};

/// The chains of a feed: the main one and, if it is forked, the second branch from the fork on.
#[derive(Debug, Clone, Copy)]
struct Slots {
    main: u32,
    second: Option<(u32, u64)>,
}

/// How a segment relates to one chain.
#[derive(Debug)]
enum Relation {
    /// Everything that both hold agrees; these entries are held.
    Agrees(Vec<Stored>),
    /// They differ first at this seq, and the segment links to what the chain holds before it.
    Branches(u64),
    /// They differ, but what the segment links to is not held: an adjacent proof shows it.
    Unlinked(Option<VerifiedFork>),
}

/// Places a segment that does not simply continue the main chain.
pub(super) fn place(
    writer: &mut Writer<'_>,
    source: &Source,
    number: u32,
    incoming: &Incoming,
) -> Result<Outcome, StoreError> {
    let slots = slots(writer, number)?;
    let main = relate(writer, &slots, false, incoming)?;
    if let Relation::Agrees(held) = &main
        && (writer.row(number)?.fork_seq.is_none() || links(writer, &slots, false, incoming)?)
    {
        return settle(writer, source, number, number, incoming, held);
    }
    let second = match slots.second {
        Some(_) => Some(relate(writer, &slots, true, incoming)?),
        None => None,
    };
    if let (Some(Relation::Agrees(held)), Some((slot, _))) = (&second, slots.second)
        && links(writer, &slots, true, incoming)?
    {
        return settle(writer, source, number, slot, incoming, held);
    }
    diverge(writer, source, &slots, incoming, main, second)
}

fn slots(writer: &mut Writer<'_>, main: u32) -> Result<Slots, StoreError> {
    let (id, fork_seq) = (writer.row(main)?.id, writer.row(main)?.fork_seq);
    let second = match (fork_seq, writer.number(&id, 1)?) {
        (Some(fork), Some(slot)) if writer.is_held(slot)? => Some((slot, fork)),
        _ => None,
    };
    Ok(Slots { main, second })
}

/// The number of the chain that holds `seq` in one view.
fn chain_at(slots: &Slots, second: bool, seq: u64) -> u32 {
    match slots.second {
        Some((slot, fork)) if second && seq >= fork => slot,
        _ => slots.main,
    }
}

fn id_at(
    writer: &mut Writer<'_>,
    slots: &Slots,
    second: bool,
    seq: u64,
) -> Result<Option<EntryId>, StoreError> {
    let chain = chain_at(slots, second, seq);
    if writer.row(chain)?.holds(seq) { writer.id_at(chain, seq) } else { Ok(None) }
}

/// Whether the segment overlaps or directly continues what one view of the feed holds.
fn links(
    writer: &mut Writer<'_>,
    slots: &Slots,
    second: bool,
    incoming: &Incoming,
) -> Result<bool, StoreError> {
    let first = incoming.first_seq.saturating_sub(1).max(1);
    for seq in first..=incoming.last_seq() {
        if writer.row(chain_at(slots, second, seq))?.holds(seq) {
            return Ok(true);
        }
    }
    Ok(incoming.first_seq == 1)
}

fn relate(
    writer: &mut Writer<'_>,
    slots: &Slots,
    second: bool,
    incoming: &Incoming,
) -> Result<Relation, StoreError> {
    let (first, last) = (incoming.first_seq, incoming.last_seq());
    let below = if first > 1 { id_at(writer, slots, second, first - 1)? } else { None };
    let linked = first == 1 || below.is_none() || below == incoming.prev;
    let held = view(writer, slots, second, first, last)?;
    let differs = held
        .iter()
        .find(|stored| incoming.piece(stored.seq).is_some_and(|piece| piece.id != stored.id));
    if let Some(stored) = differs {
        let seq = stored.seq;
        let before = if seq == first { below } else { id_at(writer, slots, second, seq - 1)? };
        if linked && (seq == 1 || before == incoming.before(seq)) {
            return Ok(Relation::Branches(seq));
        }
        return Ok(Relation::Unlinked(prove_same(writer, slots, second, incoming, seq)?));
    }
    if !linked {
        return Ok(Relation::Unlinked(prove_below(writer, slots, second, incoming)?));
    }
    let next = last.saturating_add(1);
    let chain = chain_at(slots, second, next);
    if writer.row(chain)?.holds(next)
        && let Some(prev) = writer.prev_of(chain, next)?
        && incoming.piece(last).is_some_and(|piece| piece.id != prev)
    {
        return Ok(Relation::Unlinked(prove_above(writer, chain, incoming, next)?));
    }
    Ok(Relation::Agrees(held))
}

/// The entries that one view of the feed holds in a range.
fn view(
    writer: &mut Writer<'_>,
    slots: &Slots,
    second: bool,
    first: u64,
    last: u64,
) -> Result<Vec<Stored>, StoreError> {
    match slots.second {
        Some((slot, fork)) if second => {
            let mut held = Vec::new();
            if first < fork {
                held = writer.entries(slots.main, first, last.min(fork - 1))?;
            }
            if last >= fork {
                held.extend(writer.entries(slot, first.max(fork), last)?);
            }
            Ok(held)
        }
        _ => writer.entries(slots.main, first, last),
    }
}

/// Takes what is new of a segment that agrees with a chain.
fn settle(
    writer: &mut Writer<'_>,
    source: &Source,
    main: u32,
    slot: u32,
    incoming: &Incoming,
    held: &[Stored],
) -> Result<Outcome, StoreError> {
    let is_own = writer.row(main)?.own == OWN;
    let from = if slot == main { 0 } else { writer.row(main)?.fork_seq.unwrap_or(0) };
    let fork_start = from.max(incoming.first_seq);
    let mut fresh = false;
    let (shared, own_part): (Vec<_>, Vec<_>) =
        held.iter().cloned().partition(|stored| stored.seq < from);
    fresh |= refresh(writer, source, main, incoming, &shared)?;
    fresh |= refresh(writer, source, slot, incoming, &own_part)?;
    let taken = take(writer, source, slot, incoming, fork_start)?;
    if is_own && matches!(taken, Outcome::New(_)) {
        writer.retire_own()?;
    }
    Ok(if taken == Outcome::Known && fresh { Outcome::Payload } else { taken })
}

/// Deals with a segment that differs from every chain that is held.
fn diverge(
    writer: &mut Writer<'_>,
    source: &Source,
    slots: &Slots,
    incoming: &Incoming,
    main: Relation,
    second: Option<Relation>,
) -> Result<Outcome, StoreError> {
    let place = |relation: &Relation| match relation {
        Relation::Branches(seq) => Some(*seq),
        Relation::Agrees(_) | Relation::Unlinked(_) => None,
    };
    let (at_main, at_second) = (place(&main), second.as_ref().and_then(place));
    let Some(at) = at_main.max(at_second) else {
        return unlinked(writer, slots.main, incoming, [Some(main), second]);
    };
    let in_second = at_second == Some(at) && at_main != Some(at);
    let fork_seq = writer.row(slots.main)?.fork_seq;
    match fork_seq {
        Some(fork) if at > fork => deeper(writer, source, slots, in_second, incoming, at),
        Some(fork) if at == fork => third(writer, source, slots, incoming, at),
        _ => {
            let Some(proof) = prove_same(writer, slots, false, incoming, at)? else {
                return Ok(Outcome::Left(Refusal::Unlinked, incoming.entries.len() as u64));
            };
            prove(writer, slots.main, &proof)?;
            begin_second(writer, source, slots.main, incoming, at)?;
            Ok(Outcome::Forked)
        }
    }
}

/// Records what an adjacent proof shows; the segment itself is not kept, since nothing holds it.
fn unlinked(
    writer: &mut Writer<'_>,
    main: u32,
    incoming: &Incoming,
    relations: [Option<Relation>; 2],
) -> Result<Outcome, StoreError> {
    let mut outcome = Outcome::Left(Refusal::Unlinked, incoming.entries.len() as u64);
    for relation in relations.into_iter().flatten() {
        if let Relation::Unlinked(Some(proof)) = relation
            && prove(writer, main, &proof)? == Outcome::Forked
        {
            outcome = Outcome::Forked;
        }
    }
    Ok(outcome)
}

/// A fork inside a branch: the continuation with the lower id stays.
fn deeper(
    writer: &mut Writer<'_>,
    source: &Source,
    slots: &Slots,
    in_second: bool,
    incoming: &Incoming,
    at: u64,
) -> Result<Outcome, StoreError> {
    let slot = chain_at(slots, in_second, at);
    if writer.row(slots.main)?.own != 0 {
        // What this device wrote itself never gives way.
        return Ok(Outcome::Left(Refusal::OtherBranch, incoming.entries.len() as u64));
    }
    let ours = writer.id_at(slot, at)?;
    let theirs = incoming.piece(at).map(|piece| piece.id);
    if theirs >= ours {
        return Ok(Outcome::Left(Refusal::OtherBranch, incoming.entries.len() as u64));
    }
    if !has_room(writer, slots.main, incoming, at)? {
        return Ok(no_room(incoming));
    }
    writer.truncate(slot, at)?;
    put(writer, source, slot, incoming, at)
}

/// A further continuation at the fork itself: the two lowest ids stay.
fn third(
    writer: &mut Writer<'_>,
    source: &Source,
    slots: &Slots,
    incoming: &Incoming,
    at: u64,
) -> Result<Outcome, StoreError> {
    let Some((slot, _)) = slots.second else {
        return begin_second(writer, source, slots.main, incoming, at);
    };
    let (a, b) = (writer.id_at(slots.main, at)?, writer.id_at(slot, at)?);
    let theirs = incoming.piece(at).map(|piece| piece.id);
    // A chain that does not reach the fork has no id there and gives way to any that does.
    let (worst, loser) = match (a, b) {
        (None, _) => (None, slots.main),
        (_, None) => (None, slot),
        (a, b) if a > b => (a, slots.main),
        (_, b) => (b, slot),
    };
    let is_own = writer.row(slots.main)?.own != 0;
    if is_own || (worst.is_some() && theirs >= worst) {
        return Ok(Outcome::Left(Refusal::OtherBranch, incoming.entries.len() as u64));
    }
    if !has_room(writer, slots.main, incoming, at)? {
        return Ok(no_room(incoming));
    }
    writer.truncate(loser, at)?;
    put(writer, source, loser, incoming, at)
}

/// Whether there is room for the entries of a segment from `at` on; if not, they are left out.
fn has_room(
    writer: &mut Writer<'_>,
    main: u32,
    incoming: &Incoming,
    at: u64,
) -> Result<bool, StoreError> {
    let row = writer.row(main)?.clone();
    let pieces = (at..=incoming.last_seq()).filter_map(|seq| incoming.piece(seq));
    let bytes = pieces.map(cost).sum::<u64>().saturating_add(FEED_COST);
    if row.class == CarryClass::Own
        || room::make(writer, row.class, row.carrier, Some(main), bytes)?
    {
        return Ok(true);
    }
    let count = incoming.last_seq().saturating_sub(at).saturating_add(1);
    writer.heads.counts.left_out_entries += count;
    Ok(false)
}

/// What is answered where [`has_room`] finds none.
fn no_room(incoming: &Incoming) -> Outcome {
    Outcome::Left(Refusal::NoRoom, incoming.entries.len() as u64)
}

/// Keeps the entries of a segment from `at` on in a chain that ends just before.
fn put(
    writer: &mut Writer<'_>,
    source: &Source,
    slot: u32,
    incoming: &Incoming,
    at: u64,
) -> Result<Outcome, StoreError> {
    let mut entries = Vec::new();
    let last = incoming.last_seq();
    for seq in at..=last {
        let Some(piece) = incoming.piece(seq) else { continue };
        let signature = (seq == last).then_some(incoming.signature);
        entries.push(new_entry(writer, slot, seq, piece, signature)?);
    }
    let count = entries.len() as u64;
    let via = writer.via(&source.via)?;
    writer.append(slot, at, incoming.before(at), entries)?;
    writer.arrived(slot, (at, last), ArrivalKind::Entries, via)?;
    for seq in at..=last {
        if let Some(payload) = incoming.piece(seq).and_then(|piece| piece.payload.as_deref()) {
            effects(writer, slot, seq, payload)?;
        }
    }
    Ok(Outcome::New(count))
}

/// Begins the second branch with the entries of a segment from the fork on.
fn begin_second(
    writer: &mut Writer<'_>,
    source: &Source,
    main: u32,
    incoming: &Incoming,
    at: u64,
) -> Result<Outcome, StoreError> {
    let row = writer.row(main)?.clone();
    if row.class == CarryClass::Stranger
        && writer.left_out(&row.id)?.is_some_and(|last| last >= incoming.last_seq())
    {
        let count = incoming.entries.len() as u64;
        return Ok(Outcome::Left(Refusal::LeftOutBefore, count));
    }
    if !has_room(writer, main, incoming, at)? {
        return Ok(no_room(incoming));
    }
    let slot = writer.add_feed(FeedRow {
        branch: 1,
        runs: Vec::new(),
        floor: at,
        entries: 0,
        bytes: 0,
        fork_seq: None,
        retracts: row.retracts,
        own: if row.own == 0 { 0 } else { 2 },
        ..row
    })?;
    put(writer, source, slot, incoming, at)
}

/// Records a fork proof. A lower fork replaces a later one, and then one branch of the two stays.
pub(super) fn prove(
    writer: &mut Writer<'_>,
    main: u32,
    proof: &VerifiedFork,
) -> Result<Outcome, StoreError> {
    let known = writer.row(main)?.fork_seq;
    match known {
        Some(fork) if fork < proof.fork_seq() => return Ok(Outcome::Known),
        Some(fork) if fork == proof.fork_seq() => {
            // Of several proofs of one fork the lowest bytes stay, so that all nodes end alike.
            let held = writer.fork_proof(main)?;
            if held.is_none_or(|held| *proof.bytes() < *held) {
                writer.set_fork(main, fork, proof.bytes())?;
            }
            return Ok(Outcome::Known);
        }
        Some(fork) => join_branches(writer, main, fork)?,
        None => {
            writer.heads.counts.forks += 1;
            if writer.row(main)?.own == OWN {
                writer.retire_own()?;
            }
        }
    }
    writer.set_fork(main, proof.fork_seq(), proof.bytes())?;
    drop_islands(writer, main)?;
    Ok(Outcome::Forked)
}

/// Drops what hangs in the air above the first gap: it may be of either branch, and comes again.
fn drop_islands(writer: &mut Writer<'_>, main: u32) -> Result<(), StoreError> {
    let row = writer.row(main)?;
    let head = row.head();
    if row.runs.last().is_some_and(|run| run.1 > head) {
        writer.truncate(main, head.saturating_add(1))?;
    }
    Ok(())
}

/// Keeps the branch with the lower id of the two at `fork` in the main chain, and drops the other.
fn join_branches(writer: &mut Writer<'_>, main: u32, fork: u64) -> Result<(), StoreError> {
    let id = writer.row(main)?.id;
    let Some(second) = writer.number(&id, 1)? else { return Ok(()) };
    if !writer.is_held(second)? {
        return Ok(());
    }
    let (a, b) = (writer.id_at(main, fork)?, writer.id_at(second, fork)?);
    let is_own = writer.row(main)?.own != 0;
    if !is_own && b.is_some() && (a.is_none() || b < a) {
        writer.truncate(main, fork)?;
        writer.move_entries(second, main)?;
    }
    writer.drop_feed(second)
}

/// A proof whose chains both begin at `at`.
fn prove_same(
    writer: &mut Writer<'_>,
    slots: &Slots,
    second: bool,
    incoming: &Incoming,
    at: u64,
) -> Result<Option<VerifiedFork>, StoreError> {
    let chain = chain_at(slots, second, at);
    let Some(ours) = signed_chain(writer, chain, at)? else { return Ok(None) };
    Ok(ForkProof::from_chains(incoming.feed, ours, their_chain(incoming, at)))
}

/// A proof that the segment links to another entry than the one held below it.
fn prove_below(
    writer: &mut Writer<'_>,
    slots: &Slots,
    second: bool,
    incoming: &Incoming,
) -> Result<Option<VerifiedFork>, StoreError> {
    let below = incoming.first_seq.saturating_sub(1);
    let chain = chain_at(slots, second, below);
    let Some(ours) = signed_chain(writer, chain, below)? else { return Ok(None) };
    let theirs = their_chain(incoming, incoming.first_seq);
    Ok(ForkProof::from_chains(incoming.feed, ours, theirs))
}

/// A proof that what is held above the segment links to another entry than its last.
fn prove_above(
    writer: &mut Writer<'_>,
    chain: u32,
    incoming: &Incoming,
    next: u64,
) -> Result<Option<VerifiedFork>, StoreError> {
    let Some(ours) = signed_chain(writer, chain, next)? else { return Ok(None) };
    let theirs = their_chain(incoming, incoming.last_seq());
    Ok(ForkProof::from_chains(incoming.feed, theirs, ours))
}

/// The held headers from `from` up to the first that carries a signature.
fn signed_chain(
    writer: &mut Writer<'_>,
    number: u32,
    from: u64,
) -> Result<Option<Chain>, StoreError> {
    let last = from.saturating_add(FORK_CHAIN).saturating_sub(1);
    let prev = writer.prev_of(number, from)?;
    let mut stubs = Vec::new();
    for stored in writer.entries(number, from, last)? {
        stubs.push(stored.kept.stub);
        if let Some(signature) = stored.kept.signature {
            return Ok(Some(Chain { first_seq: from, prev, stubs, signature }));
        }
    }
    Ok(None)
}

fn their_chain(incoming: &Incoming, from: u64) -> Chain {
    let stubs = (from..=incoming.last_seq())
        .filter_map(|seq| incoming.piece(seq))
        .map(|piece| piece.stub)
        .collect();
    Chain { first_seq: from, prev: incoming.before(from), stubs, signature: incoming.signature }
}
