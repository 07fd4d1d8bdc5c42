//! Query indexes, built behind the commits from the arrival log; all of it can be rebuilt.
//!
//! Indexing is work of its own, done in steps when nothing else waits. A payload that is dropped
//! takes its rows with it, but its entry's lamport stays, so that what is said after it keeps its
//! place.

use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use crate::entry::EntryId;
use crate::limits::PARENTS;
use crate::store::snapshot::Snapshot;
use crate::store::tables::{Arrival, LOG};
use crate::store::view::{
    ALL, CHILDREN, CHUNK, Done, IDS, Name, Node, ORDER, PROFILES, RAISED, Row, START, Said, TERMS,
    Tables, UNREADABLE, View, author_term, channel_term, kind_term,
};
use crate::store::{StoreError, Writer};

/// Children told of a raised parent in one step.
const RAISES: u64 = 10_000;
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
    Tables::writing(txn).map(drop)
}

/// Indexes what arrived next: so many entries, and what is left over from earlier steps.
pub(crate) fn advance(writer: &mut Writer<'_>, budget: u64) -> Result<Indexed, StoreError> {
    step(writer, budget, RAISES)
}

/// Indexes entries and tells children of raised parents, so many of each.
pub(super) fn step(
    writer: &mut Writer<'_>,
    budget: u64,
    raises: u64,
) -> Result<Indexed, StoreError> {
    let txn = writer.txn;
    let mut done = Done::read(writer.meta("indexed")?.as_deref());
    let mut view = View::new(Tables::writing(txn)?);
    view.take_up(raises)?;
    let mut entries: u64 = 0;
    while entries < budget {
        let position = done.position.saturating_add(1);
        let arrival = match txn.open_table(LOG)?.get(position)? {
            Some(row) => Arrival::decode(row.value())?,
            None => break,
        };
        let first = arrival.first.max(done.seq.saturating_add(1));
        let most = CHUNK.min(budget.saturating_sub(entries));
        let mut last = arrival.last.min(first.saturating_add(most).saturating_sub(1));
        if writer.is_held(arrival.feed)? {
            for stored in writer.entries(arrival.feed, first, last)? {
                let payload = writer.payload_of(arrival.feed, &stored)?;
                view.add(arrival.feed, stored.seq, &stored.id, payload.as_deref())?;
            }
        } else {
            last = arrival.last;
        }
        entries = entries.saturating_add(most.min(last.saturating_sub(first).saturating_add(1)));
        done = if last < arrival.last {
            Done { seq: last, ..done }
        } else {
            Done { position, seq: 0 }
        };
    }
    view.settle(raises)?;
    view.write(txn)?;
    writer.set_meta("indexed", &done.encode())?;
    let behind = done.position < writer.heads.log_len;
    Ok(Indexed { entries, more: behind || !txn.open_table(RAISED)?.is_empty()? })
}

/// Forgets every index, so that all is indexed anew.
pub(crate) fn rebuild(writer: &mut Writer<'_>) -> Result<(), StoreError> {
    writer.txn.delete_table(TERMS)?;
    writer.txn.delete_table(ORDER)?;
    writer.txn.delete_table(IDS)?;
    writer.txn.delete_table(CHILDREN)?;
    writer.txn.delete_table(PROFILES)?;
    writer.txn.delete_table(RAISED)?;
    found(writer.txn)?;
    writer.set_meta("indexed", &Done::default().encode())
}

/// Takes the rows of an entry's content out, before its payload goes.
pub(crate) fn forget(
    txn: &WriteTransaction,
    feed: u32,
    seq: u64,
    id: &EntryId,
    payload: &[u8],
) -> Result<(), StoreError> {
    let name = Name::new(id.prefix(), feed, seq);
    let mut ids = txn.open_table(IDS)?;
    let Some(node) = ids.get(&name.pack())?.map(|row| Node::unpack(row.value())) else {
        return Ok(());
    };
    let mut terms = txn.open_table(TERMS)?;
    let mut order = txn.open_table(ORDER)?;
    let mut found_under = Vec::new();
    match Said::read(Some(payload)) {
        Said::Post(post) => {
            for row in node.rows(name) {
                order.remove(&row.pack())?;
            }
            let mut children = txn.open_table(CHILDREN)?;
            for parent in post.parents.as_slice() {
                children.remove(&Name::new(*parent, feed, seq).pack())?;
            }
            ids.insert(&name.pack(), &Node { author: 0, ..node }.pack())?;
            found_under.extend(post.channel.map(channel_term));
            found_under.extend(post.author.map(author_term));
        }
        Said::Other { kind, time } => {
            let term = kind_term(kind);
            if let Some(number) = terms.get(term.as_str())? {
                order.remove(&Row::new(number.value(), 0, time, name).pack())?;
            }
            txn.open_table(PROFILES)?.remove((feed, seq))?;
            ids.insert(&name.pack(), &Node { time: 0, ..node }.pack())?;
            found_under.push(term);
        }
    }
    let kept = terms.get(UNREADABLE)?.map(|row| row.value());
    let unreadable = match kept {
        Some(number) => number,
        None => new_term(&mut terms, UNREADABLE)?,
    };
    order.insert(&Row::new(unreadable, 0, 0, name).pack(), ())?;
    // Strangers make up terms: one under which nothing is found any more must not stay.
    for term in found_under {
        let Some(number) = terms.get(term.as_str())?.map(|row| row.value()) else { continue };
        let (first, last) = Row::bounds(number);
        if order.range::<&[u8; 26]>(&first..=&last)?.next().is_none() {
            terms.remove(term.as_str())?;
        }
    }
    Ok(())
}

fn new_term(terms: &mut Table<'_, &'static str, u32>, name: &str) -> Result<u32, StoreError> {
    let number = terms.get("")?.map_or(ALL, |row| row.value()).saturating_add(1);
    terms.insert("", number)?;
    terms.insert(name, number)?;
    Ok(number)
}

/// Takes the rows of an entry's id out, before its header goes.
pub(crate) fn forget_id(
    txn: &WriteTransaction,
    feed: u32,
    seq: u64,
    id: &EntryId,
) -> Result<(), StoreError> {
    let name = Name::new(id.prefix(), feed, seq);
    if txn.open_table(IDS)?.remove(&name.pack())?.is_none() {
        return Ok(());
    }
    if let Some(term) = txn.open_table(TERMS)?.get(UNREADABLE)? {
        txn.open_table(ORDER)?.remove(&Row::new(term.value(), 0, 0, name).pack())?;
    }
    Ok(())
}

/// Takes what is known of a feed's profile out.
pub(crate) fn forget_feed(txn: &WriteTransaction, feed: u32) -> Result<(), StoreError> {
    txn.open_table(PROFILES)?.retain_in((feed, 0)..=(feed, u64::MAX), |_, ()| false)?;
    Ok(())
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
        for (child, _) in view.children(held.id.prefix(), START, HEAD_CHILDREN)? {
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
