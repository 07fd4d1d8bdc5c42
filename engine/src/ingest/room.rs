//! Room for what arrives: asks the policy, and evicts what it says has to go.
//!
//! Nothing of a higher class ever gives way to a lower one: each class has a quota of its own, and
//! the user's own feeds have none.

use std::collections::BTreeMap;

use crate::entry::window;
use crate::policy::{Admission, CarryClass, EVICTION_UNIT, Reason, Usage, admit, give_way};
use crate::store::{Gives, StoreError, Writer};

/// Makes room for `bytes` more of a feed; false if there is none to be had.
pub(super) fn make(
    writer: &mut Writer<'_>,
    class: CarryClass,
    carrier: u32,
    number: Option<u32>,
    bytes: u64,
) -> Result<bool, StoreError> {
    let quotas = writer.quotas()?;
    let held = writer.heads.usage.get(usize::from(class.code())).copied().unwrap_or(0);
    let feed = match number {
        Some(number) => writer.row(number)?.bytes,
        None => 0,
    };
    let mut usage = Usage { class: held, feed, carrier: 0, carriers: 0 };
    let full = quotas.limit(class).is_some_and(|limit| held.saturating_add(bytes) > limit);
    if full && class == CarryClass::Stranger {
        usage.carriers = writer.carrier_count()?;
        usage.carrier = writer.carried_by(carrier)?;
    }
    match admit(&quotas, class, bytes, &usage) {
        Admission::Take => Ok(true),
        // A carrier that has its share, or a feed that has its own, makes room for the new by its
        // oldest.
        Admission::LeaveOut(Reason::ShareUsed) => {
            let limit = quotas.limit(class).unwrap_or(u64::MAX);
            let need = held.saturating_add(bytes).saturating_sub(limit);
            evict_all(writer, class, carrier, number, (need, limit))
        }
        Admission::LeaveOut(Reason::FeedFull) => match number {
            Some(number) => trim(writer, number, quotas.stranger_feed, bytes),
            None => Ok(false),
        },
        Admission::LeaveOut(Reason::TooLarge | Reason::NobodyGivesWay) => Ok(false),
        Admission::TakeAfterEvicting(need) if class == CarryClass::Stranger => {
            let carriers = writer.carriers()?;
            let bytes_held = carriers.iter().map(|(_, key, held)| (*key, *held)).collect();
            let numbers: BTreeMap<_, _> =
                carriers.into_iter().map(|(number, key, _)| (key, number)).collect();
            let Ok(plan) = give_way(&bytes_held, usage.share(&quotas), need) else {
                return Ok(false);
            };
            let mut missing = 0;
            for (key, given) in plan {
                let carrier = numbers.get(&key).copied().unwrap_or(0);
                missing += evict(writer, class, carrier, number, given)?;
            }
            Ok(missing == 0)
        }
        Admission::TakeAfterEvicting(need) => {
            let limit = quotas.limit(class).unwrap_or(u64::MAX);
            evict_all(writer, class, 0, number, (need, limit))
        }
    }
}

/// Evicts what is needed under a limit, or nothing if there is not so much to be had: what is refused
/// pushes nothing out.
fn evict_all(
    writer: &mut Writer<'_>,
    class: CarryClass,
    carrier: u32,
    keep: Option<u32>,
    (need, limit): (u64, u64),
) -> Result<bool, StoreError> {
    let can = can_evict(writer, class, carrier, keep, need)?;
    if can {
        evict(writer, class, carrier, keep, ample(need, limit))?;
    }
    Ok(can)
}

/// Whether so many bytes of a class (and carrier) can go: all but the bare rest of the feed to keep.
fn can_evict(
    writer: &mut Writer<'_>,
    class: CarryClass,
    carrier: u32,
    keep: Option<u32>,
    need: u64,
) -> Result<bool, StoreError> {
    let mut sure = match class {
        CarryClass::Stranger => writer.carried_by(carrier)?,
        _ => writer.heads.usage.get(usize::from(class.code())).copied().unwrap_or(0),
    };
    let chains = match keep {
        Some(keep) => chains(writer, keep)?,
        None => Vec::new(),
    };
    for chain in &chains {
        sure = sure.saturating_sub(writer.row(*chain)?.bytes);
    }
    for chain in chains {
        if sure < need {
            sure = sure.saturating_add(writer.dispensable(chain)?);
        }
    }
    Ok(sure >= need)
}

/// A feed's main chain and its second branch, as far as they are held.
fn chains(writer: &mut Writer<'_>, number: u32) -> Result<Vec<u32>, StoreError> {
    let id = writer.row(number)?.id;
    let mut chains = Vec::with_capacity(2);
    for branch in 0..=1 {
        if let Some(chain) = writer.number(&id, branch)?
            && writer.is_held(chain)?
        {
            chains.push(chain);
        }
    }
    Ok(chains)
}

/// Evicts at least `need` bytes of a class (and carrier), oldest arrival first: payloads, then
/// segments, then feeds. Tells what is missing.
pub(crate) fn evict(
    writer: &mut Writer<'_>,
    class: CarryClass,
    carrier: u32,
    keep: Option<u32>,
    need: u64,
) -> Result<u64, StoreError> {
    let mut left = need;
    for gives in [Gives::Payloads, Gives::Segments, Gives::Whole] {
        let mut after = 0;
        while left > 0 {
            let Some((since, number)) = writer.oldest(class, carrier, gives, after)? else { break };
            after = since.saturating_add(1);
            let before = writer.row(number)?.bytes;
            let gone = match gives {
                Gives::Payloads => writer.evict_payloads(number, left).map(|()| false)?,
                Gives::Segments => segments(writer, number, left).map(|()| false)?,
                Gives::Whole => whole(writer, number, keep)?,
            };
            let now = if gone { 0 } else { writer.row(number)?.bytes };
            let freed = before.saturating_sub(now);
            writer.heads.counts.evicted_bytes += freed;
            left = left.saturating_sub(freed);
            if left > 0 && !gone {
                writer.gave_all(number, gives)?;
            }
        }
    }
    Ok(left)
}

/// Rather more than is needed, so that the next arrivals do not search again for what may go.
fn ample(need: u64, limit: u64) -> u64 {
    need.max(EVICTION_UNIT.min(limit / 16))
}

/// Makes a feed that has all it may have give up its oldest for `bytes` more.
fn trim(writer: &mut Writer<'_>, number: u32, limit: u64, bytes: u64) -> Result<bool, StoreError> {
    let before = writer.row(number)?.bytes;
    let need = before.saturating_add(bytes).saturating_sub(limit);
    if writer.dispensable(number)? < need {
        return Ok(false);
    }
    let ample = ample(need, limit);
    writer.evict_payloads(number, ample)?;
    let freed = before.saturating_sub(writer.row(number)?.bytes);
    segments(writer, number, ample.saturating_sub(freed))?;
    let freed = before.saturating_sub(writer.row(number)?.bytes);
    writer.heads.counts.evicted_bytes += freed;
    Ok(true)
}

/// Drops the oldest segments of a feed, all but its first entry and its newest window.
fn segments(writer: &mut Writer<'_>, number: u32, need: u64) -> Result<(), StoreError> {
    let start = writer.row(number)?.bytes;
    loop {
        let row = writer.row(number)?.clone();
        if start.saturating_sub(row.bytes) >= need || row.fork_seq.is_some() || row.branch > 0 {
            return Ok(());
        }
        let first = row.floor.max(2);
        let last = window(first).1;
        if last >= row.head() {
            return Ok(());
        }
        writer.heads.counts.evicted_entries += last.saturating_sub(first).saturating_add(1);
        writer.drop_entries(number, first, last)?;
        writer.set_floor(number, last.saturating_add(1))?;
    }
}

/// Drops a feed whole, with its second branch, and remembers that it was; not the one to keep.
fn whole(writer: &mut Writer<'_>, number: u32, keep: Option<u32>) -> Result<bool, StoreError> {
    let row = writer.row(number)?.clone();
    if let Some(keep) = keep
        && writer.row(keep)?.id == row.id
    {
        return Ok(false);
    }
    let newest = row.runs.last().map_or(0, |run| run.1);
    writer.leave_out(&row.id, newest)?;
    if row.branch == 0
        && let Some(second) = writer.number(&row.id, 1)?
        && writer.is_held(second)?
    {
        writer.heads.counts.evicted_entries += writer.row(second)?.entries;
        writer.drop_feed(second)?;
    }
    writer.heads.counts.evicted_entries += row.entries;
    writer.drop_feed(number)?;
    Ok(true)
}
