//! Compares what a query would find with what is held.

use std::collections::BTreeMap;
use std::iter::Peekable;

use crate::entry::EntryId;
use crate::store::StoreError;
use crate::store::lines::ALL;
use crate::store::snapshot::Snapshot;
use crate::store::view::{Said, View};

/// What the indexes know, and where they and the entries part.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// Entries that are found by their ids.
    pub(crate) indexed: u64,
    /// Feed number and fault, to the first place and how many places there are.
    pub(crate) faults: BTreeMap<(u32, &'static str), (u64, u64)>,
}

impl Compared {
    fn fault(&mut self, (feed, seq): (u32, u64), what: &'static str) {
        let fault = self.faults.entry((feed, what)).or_insert((seq, 0));
        *fault = (fault.0.min(seq), fault.1.saturating_add(1));
    }
}

/// Looks up every entry that is held, and every entry that the indexes know.
pub(crate) fn compare(snapshot: &Snapshot) -> Result<Compared, StoreError> {
    let view = View::of(snapshot)?;
    let (mut named, mut found) = (Vec::new(), Vec::new());
    view.named((first_id().prefix(), last_id().prefix()), &mut |name, _| {
        named.push((name.feed, name.seq));
        Ok(true)
    })?;
    for row in view.newest(&[ALL])? {
        let row = row?;
        found.push((row.feed, row.seq));
    }
    drop(view);
    named.sort_unstable();
    found.sort_unstable();
    let mut compared = Compared { indexed: named.len() as u64, ..Compared::default() };
    let (mut named, mut found) = (named.into_iter().peekable(), found.into_iter().peekable());
    // Both go in the order in which entries are gone through here.
    for (number, _) in snapshot.rows()? {
        snapshot.scan(number, 1, u64::MAX, &mut |held| {
            let place = (number, held.seq);
            let by_id = reach(&mut named, place, &mut compared);
            let by_query = reach(&mut found, place, &mut compared);
            let says = matches!(Said::read(held.payload.as_deref()), Said::Post(_));
            match (by_id, says, by_query) {
                (false, ..) => compared.fault(place, "an entry is not found by its id"),
                (_, true, false) => compared.fault(place, "an entry is not found by a query"),
                (_, false, true) => compared.fault(place, "an entry is found that has no text"),
                _ => {}
            }
            Ok(true)
        })?;
    }
    let end = (u32::MAX, u64::MAX);
    reach(&mut named, end, &mut compared);
    reach(&mut found, end, &mut compared);
    Ok(compared)
}

/// Goes on to a place; whether it is there. What is passed is held nowhere.
fn reach(
    places: &mut Peekable<impl Iterator<Item = (u32, u64)>>,
    place: (u32, u64),
    compared: &mut Compared,
) -> bool {
    while let Some(passed) = places.next_if(|next| *next < place) {
        compared.fault(passed, "an entry is found that is not held");
    }
    let mut is_there = false;
    while places.next_if_eq(&place).is_some() {
        is_there = true;
    }
    is_there
}

const fn first_id() -> EntryId {
    EntryId::from_bytes([0; 32])
}

const fn last_id() -> EntryId {
    EntryId::from_bytes([0xff; 32])
}
