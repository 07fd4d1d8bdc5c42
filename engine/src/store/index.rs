//! Query indexes, built behind the commits from the arrival log; all of it can be rebuilt.
//!
//! Indexing is work of its own, done in steps when nothing else waits. What loses its payload or is
//! dropped is noted when that happens and taken out by the next step; an entry's lamport stays with
//! its header, so that what is said after it keeps its place.

use redb::{ReadableTable, ReadableTableMetadata, WriteTransaction};

use crate::content::{Content, kind_of};
use crate::entry::EntryId;
use crate::limits::PARENTS;
use crate::store::lines::{Answer, Name, Node, recheck_key, unpack_recheck};
use crate::store::runs::{Directory, RUNS, finish_merge, merge_part, remove_dead};
use crate::store::snapshot::Snapshot;
use crate::store::tables::{ARRIVALS, Arrival, LOG};
use crate::store::view::{
    ANSWERS, CHILDREN, CHUNK, Done, NODES, ORDER, PARTS, PROFILE, PROFILES, RAISED, RECHECKS,
    START, STATE, TERMS, Tables, View, channel_term,
};
use crate::store::{StoreError, Writer};

/// Children told of a raised parent in one step.
const RAISES: u64 = 10_000;
/// Entries that lost something and are looked at in one step.
const RECHECKED: usize = 20_000;
/// Rows of runs that are merged in one step: more than it adds, times how often a row is merged.
const MERGED: u64 = 400_000;
/// Entries that are not worth a run of their own: a query sees them without.
const FEW: u64 = 256;
/// Newest entries of a channel among which heads are looked for.
const HEAD_CANDIDATES: usize = 64;
/// Entries that name a candidate for a head that are looked at.
const HEAD_CHILDREN: u64 = 1_000;

/// What a step of indexing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Indexed {
    /// Places of the log that were gone through.
    pub(crate) entries: u64,
    /// Whether another step would find more to do.
    pub(crate) more: bool,
}

/// Makes the index tables of a fresh store.
pub(crate) fn found(txn: &WriteTransaction) -> Result<(), StoreError> {
    txn.open_table(RECHECKS)?;
    txn.open_table(STATE)?;
    Tables::writing(txn, Directory::default()).map(drop)
}

pub(super) fn state(writer: &Writer<'_>, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let state = writer.txn.open_table(STATE)?;
    Ok(state.get(name)?.map(|row| row.value().to_vec()))
}

fn set_state(writer: &Writer<'_>, done: &Done, directory: &Directory) -> Result<(), StoreError> {
    let mut state = writer.txn.open_table(STATE)?;
    state.insert("runs", directory.encode().as_slice())?;
    state.insert("done", done.encode().as_slice())?;
    if done.position >= writer.heads.log_len {
        state.insert("whole", [].as_slice())?;
    }
    Ok(())
}

/// Indexes what arrived next: so many entries, and what is left over from earlier steps.
pub(crate) fn advance(writer: &mut Writer<'_>, budget: u64) -> Result<Indexed, StoreError> {
    step(writer, budget, RAISES, MERGED)
}

/// Indexes entries, tells children of raised parents and merges rows, so many of each.
pub(super) fn step(
    writer: &mut Writer<'_>,
    budget: u64,
    raises: u64,
    merged: u64,
) -> Result<Indexed, StoreError> {
    let txn = writer.txn;
    let mut directory = Directory::decode(state(writer, "runs")?.as_deref())?;
    let mut done = Done::read(state(writer, "done")?.as_deref());
    let mut view = View::new(Tables::writing(txn, directory.clone())?);
    view.take_up(raises)?;
    let mut entries: u64 = 0;
    // What was dropped and came again is in the log once more, so the log comes after.
    if recheck(writer, &mut view, &mut directory)? {
        entries = add(writer, &mut view, &mut done, budget)?;
    }
    view.settle(raises)?;
    view.write(txn, &mut directory)?;
    let behind = done.position < writer.heads.log_len;
    directory.plan(!behind);
    merge(writer, &mut directory, merged)?;
    set_state(writer, &done, &directory)?;
    let left_over =
        !txn.open_table(RAISED)?.is_empty()? || !txn.open_table(RECHECKS)?.is_empty()?;
    Ok(Indexed { entries, more: behind || left_over || directory.is_busy() })
}

/// Whether an idle node finds something to do: an end of life at or before a minute, entries to be
/// indexed, or old places of the log to be forgotten.
pub(crate) fn has_work(snapshot: &Snapshot, minute: u64) -> Result<bool, StoreError> {
    Ok(snapshot.is_due(minute)? || is_behind(snapshot)? || snapshot.log_is_thick()?)
}

/// Whether a step would find something that is worth it.
fn is_behind(snapshot: &Snapshot) -> Result<bool, StoreError> {
    let mut directory = Directory::decode(snapshot.index_state("runs")?.as_deref())?;
    directory.plan(true);
    let left_over = !snapshot.txn.open_table(RAISED)?.is_empty()?
        || !snapshot.txn.open_table(RECHECKS)?.is_empty()?;
    if left_over || directory.is_busy() {
        return Ok(true);
    }
    let done = Done::read(snapshot.index_state("done")?.as_deref());
    let mut entries: u64 = 0;
    snapshot.arrivals_from(done.position.saturating_add(1), &mut |_, arrival| {
        entries =
            entries.saturating_add(arrival.last.saturating_sub(arrival.first)).saturating_add(1);
        Ok(entries < FEW)
    })?;
    // Indexes that are built anew are built to the end.
    let least = if snapshot.index_state("whole")?.is_some() { FEW } else { 1 };
    Ok(entries >= least)
}

/// Notes a profile that has come, at once: names are asked for before anything is indexed.
pub(crate) fn note_profile(
    txn: &WriteTransaction,
    feed: u32,
    seq: u64,
    payload: &[u8],
) -> Result<(), StoreError> {
    if kind_of(payload) == Some(PROFILE) && Content::decode(payload).is_ok() {
        txn.open_table(PROFILES)?.insert((feed, seq), ())?;
    }
    Ok(())
}

/// Looks again at entries that lost something; whether none is left.
fn recheck(
    writer: &Writer<'_>,
    view: &mut View<'_>,
    directory: &mut Directory,
) -> Result<bool, StoreError> {
    let mut rechecks = writer.txn.open_table(RECHECKS)?;
    let mut taken = Vec::new();
    for row in rechecks.iter()?.take(RECHECKED) {
        let (key, dropped) = row?;
        taken.push((*key.value(), dropped.value() == 1));
    }
    for (key, dropped) in &taken {
        let name = unpack_recheck(key);
        rechecks.remove(key)?;
        if *dropped {
            view.drop_entry(name)?;
            directory.dropped = directory.dropped.saturating_add(1);
        } else if !writer.is_here(name.feed, name.seq)? {
            view.drop_payload(name)?;
        }
    }
    Ok(taken.len() < RECHECKED)
}

/// Adds what arrived next, so many entries; tells how many places were gone through.
fn add(
    writer: &mut Writer<'_>,
    view: &mut View<'_>,
    done: &mut Done,
    budget: u64,
) -> Result<u64, StoreError> {
    let mut entries: u64 = 0;
    let mut batch = Vec::new();
    while entries < budget && done.position < writer.heads.log_len {
        let position = done.position.saturating_add(1);
        let Some((at, arrival)) = arrival_from(writer, position)? else {
            *done = Done { position: writer.heads.log_len, seq: 0 };
            break;
        };
        if at > position {
            *done = Done { position: at.saturating_sub(1), seq: 0 };
        }
        let first = arrival.first.max(done.seq.saturating_add(1));
        let most = CHUNK.min(budget.saturating_sub(entries));
        let mut last = arrival.last.min(first.saturating_add(most).saturating_sub(1));
        if writer.is_held(arrival.feed)? {
            for stored in writer.entries(arrival.feed, first, last)? {
                let name = Name::new(stored.id.prefix(), arrival.feed, stored.seq);
                batch.push((name, writer.taken_payload(arrival.feed, stored)?));
            }
        } else {
            last = arrival.last;
        }
        entries = entries.saturating_add(most.min(last.saturating_sub(first).saturating_add(1)));
        *done = if last < arrival.last {
            Done { seq: last, ..*done }
        } else {
            Done { position: at, seq: 0 }
        };
    }
    view.add_all(&batch)?;
    Ok(entries)
}

/// The first arrival at or after a position.
fn arrival_from(writer: &Writer<'_>, position: u64) -> Result<Option<(u64, Arrival)>, StoreError> {
    let log = writer.txn.open_table(LOG)?;
    let next = log.range(position..)?.next().transpose()?;
    next.map(|(at, row)| Ok((at.value(), Arrival::decode(row.value())?))).transpose()
}

/// Goes on merging runs and removing what was merged.
fn merge(
    writer: &mut Writer<'_>,
    directory: &mut Directory,
    budget: u64,
) -> Result<(), StoreError> {
    let (txn, mut left) = (writer.txn, budget);
    while left > 0 && directory.is_merging() {
        let nodes = merge_part(txn, directory, NODES, left, &mut |(_, node), whole| {
            Ok(!whole || Node::unpack(node) != Node::GONE)
        })?;
        let edges = merge_part(txn, directory, CHILDREN, left, &mut |(place, _), _| {
            let place = Name::unpack(place);
            writer.holds(place.feed, place.seq)
        })?;
        let rows = merge_part(txn, directory, ORDER, left, &mut |(_, here), whole| {
            Ok(!whole || *here != [0])
        })?;
        let answers = merge_part(txn, directory, ANSWERS, left, &mut |(_, answer), whole| {
            Ok(!whole || !Answer::unpack(answer).is_gone())
        })?;
        let merged = [nodes, edges, rows, answers].iter().sum::<u64>();
        left = left.saturating_sub(merged.max(1));
        if finish_merge(directory, PARTS) {
            forget_terms(writer, directory)?;
        }
    }
    remove_dead(txn, directory)
}

/// Strangers make up terms: one under which nothing is found any more must not stay.
fn forget_terms(writer: &Writer<'_>, directory: &Directory) -> Result<(), StoreError> {
    let mut all = Vec::new();
    for row in writer.txn.open_table(TERMS)?.iter()? {
        let (name, number) = row?;
        all.push((name.value().to_owned(), number.value()));
    }
    let view = View::new(Tables::writing(writer.txn, directory.clone())?);
    let mut unused = Vec::new();
    for (name, number) in all {
        if !name.is_empty() && view.newest(&[number])?.next().is_none() {
            unused.push(name);
        }
    }
    drop(view);
    let mut terms = writer.txn.open_table(TERMS)?;
    for name in unused {
        terms.remove(name.as_str())?;
    }
    Ok(())
}

/// Forgets every index, so that all is indexed anew.
pub(crate) fn rebuild(writer: &mut Writer<'_>) -> Result<(), StoreError> {
    writer.txn.delete_table(TERMS)?;
    writer.txn.delete_table(RUNS)?;
    writer.txn.delete_table(PROFILES)?;
    writer.txn.delete_table(RAISED)?;
    writer.txn.delete_table(RECHECKS)?;
    writer.txn.delete_table(STATE)?;
    found(writer.txn)
}

/// Notes that an entry is about to lose its payload.
pub(crate) fn forget(
    writer: &Writer<'_>,
    feed: u32,
    seq: u64,
    id: &EntryId,
    payload: &[u8],
) -> Result<(), StoreError> {
    if kind_of(payload) == Some(PROFILE) {
        writer.txn.open_table(PROFILES)?.remove((feed, seq))?;
    }
    let done = Done::read(state(writer, "done")?.as_deref());
    if is_indexed(writer, done, feed, seq)? {
        let key = recheck_key(&Name::new(id.prefix(), feed, seq));
        let mut rechecks = writer.txn.open_table(RECHECKS)?;
        if rechecks.get(&key)?.is_none() {
            rechecks.insert(&key, 0)?;
        }
    }
    Ok(())
}

/// Notes that entries are about to be dropped, headers and all.
pub(crate) fn forget_entries<'i>(
    writer: &Writer<'_>,
    feed: u32,
    entries: impl Iterator<Item = (u64, &'i EntryId)>,
) -> Result<(), StoreError> {
    let done = Done::read(state(writer, "done")?.as_deref());
    let mut rechecks = writer.txn.open_table(RECHECKS)?;
    let mut profiles = writer.txn.open_table(PROFILES)?;
    for (seq, id) in entries {
        profiles.remove((feed, seq))?;
        if is_indexed(writer, done, feed, seq)? {
            rechecks.insert(&recheck_key(&Name::new(id.prefix(), feed, seq)), 1)?;
        }
    }
    Ok(())
}

/// Whether the log is indexed as far as an entry's arrival, or may be.
fn is_indexed(writer: &Writer<'_>, done: Done, feed: u32, seq: u64) -> Result<bool, StoreError> {
    let arrivals = writer.txn.open_table(ARRIVALS)?;
    let arrival = arrivals.range((feed, seq)..=(feed, u64::MAX))?.next().transpose()?;
    Ok(arrival.is_some_and(|(_, row)| row.value().1 <= done.position.saturating_add(1)))
}

/// Up to four of the newest entries of a channel that nothing in it names as a parent, newest
/// first: what the next post in it has to name.
pub(crate) fn heads_of(snapshot: &Snapshot, channel: &str) -> Result<Vec<EntryId>, StoreError> {
    let view = View::of(snapshot)?;
    let mut heads = Vec::new();
    let Some(term) = view.known_term(&channel_term(channel))? else {
        return Ok(heads);
    };
    for row in view.newest(&[term])?.take(HEAD_CANDIDATES) {
        let row = row?;
        let Some(held) = snapshot.entry(row.feed, row.seq)? else {
            continue;
        };
        let mut named = false;
        for child in view.children(held.id.prefix(), START, HEAD_CHILDREN)? {
            named |= view.node(&child)?.is_some_and(|child| child.channel == term);
        }
        if !named {
            heads.push(held.id);
        }
        if heads.len() as u64 == PARENTS {
            break;
        }
    }
    Ok(heads)
}
