//! What was said before somebody came into a group: who is still to be handed it, who handed on what is
//! shown here, and what was handed on and cannot be placed yet.

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use crate::key::{AccountId, Seed, open, seal};
use crate::store::sealed::{LOCKED, Place, SAID, lock_of};
use crate::store::snapshot::Snapshot;
use crate::store::{StoreError, Writer};

/// (conversation, account) of those whom this device took into a group and who are to hear of it, and of
/// what was said there before.
pub(in crate::store) const HISTORY_DUE: TableDefinition<'_, (u32, &[u8; 32]), ()> =
    TableDefinition::new("history due");
/// (feed, seq) of what is kept under the word of somebody who is not its author, to that account.
pub(in crate::store) const HANDED: TableDefinition<'_, (u32, u64), &[u8; 32]> =
    TableDefinition::new("handed on");
/// (minute at which it is given up, conversation with the one who handed it on, number) to what was
/// handed on, locked.
pub(in crate::store) const HANDED_ASIDE: TableDefinition<'_, Aside, &[u8]> =
    TableDefinition::new("handed on, put aside");

/// Where something stands that was put aside.
pub(crate) type Aside = (u64, u32, u64);

/// How the lock's key of such a row is named.
pub(super) const ASIDE_ROW: &str = "handed on";

/// Makes the tables of a store.
pub(super) fn found(txn: &WriteTransaction) -> Result<(), StoreError> {
    txn.open_table(HISTORY_DUE)?;
    txn.open_table(HANDED)?;
    txn.open_table(HANDED_ASIDE)?;
    Ok(())
}

/// Locks what was put aside with another key.
pub(super) fn relock(txn: &WriteTransaction, old: &Seed, new: &Seed) -> Result<(), StoreError> {
    let mut rows = txn.open_table(HANDED_ASIDE)?;
    for (place, locked) in super::rows_of(&rows)? {
        let at = (u64::from(place.1), place.2);
        let text = open(&lock_of(old, ASIDE_ROW, at), &[], &locked).ok_or(LOCKED)?;
        rows.insert(place, seal(&lock_of(new, ASIDE_ROW, at), &[], &text).as_slice())?;
    }
    Ok(())
}

impl Writer<'_> {
    /// Notes that somebody is to hear of a group and of what was said there, or has.
    pub(crate) fn owe_history(
        &mut self,
        number: u32,
        account: &AccountId,
        owed: bool,
    ) -> Result<(), StoreError> {
        let mut due = self.txn.open_table(HISTORY_DUE)?;
        let place = (number, account.as_bytes());
        if owed {
            due.insert(place, ())?;
        } else {
            due.remove(place)?;
        }
        Ok(())
    }

    /// Who is still to hear of a group and of what was said there.
    pub(crate) fn history_due(&self) -> Result<Vec<(u32, AccountId)>, StoreError> {
        let due = self.txn.open_table(HISTORY_DUE)?;
        let rows = due.iter()?;
        rows.map(|row| {
            let (place, _) = row?;
            let (number, account) = place.value();
            Ok((number, AccountId::from_bytes(*account)))
        })
        .collect()
    }

    /// Where the newest things said in a conversation stand, the oldest of them first.
    pub(crate) fn newest_said(&self, number: u32, most: u64) -> Result<Vec<Place>, StoreError> {
        let said = self.txn.open_table(SAID)?;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut places = Vec::new();
        for row in said.range(super::said::whole(number))?.rev().take(most) {
            let (.., feed, seq) = row?.0.value();
            places.push((feed, seq));
        }
        places.reverse();
        Ok(places)
    }

    /// Notes under whose word something is kept.
    pub(crate) fn set_handed_by(
        &mut self,
        place: Place,
        account: &AccountId,
    ) -> Result<(), StoreError> {
        self.txn.open_table(HANDED)?.insert(place, account.as_bytes())?;
        Ok(())
    }

    /// Whether something is kept under the word of somebody who is not its author.
    pub(crate) fn is_handed_on(&self, place: Place) -> Result<bool, StoreError> {
        Ok(self.txn.open_table(HANDED)?.get(place)?.is_some())
    }

    /// Forgets under whose word something was kept.
    pub(super) fn forget_handed(&mut self, place: Place) -> Result<(), StoreError> {
        self.txn.open_table(HANDED)?.remove(place)?;
        Ok(())
    }

    /// Puts aside what somebody handed on, until a minute; at most so much from one conversation.
    pub(crate) fn put_handed_aside(
        &mut self,
        (until, conversation): (u64, u32),
        text: &[u8],
        most: u64,
    ) -> Result<(), StoreError> {
        let lock = self.lock_key()?;
        let mut rows = self.txn.open_table(HANDED_ASIDE)?;
        let (mut held, mut number) = (0_u64, 0_u64);
        for row in rows.iter()? {
            let (_, from, at) = row?.0.value();
            if from == conversation {
                (held, number) = (held.saturating_add(1), number.max(at));
            }
        }
        if held >= most {
            return Ok(());
        }
        let number = number.saturating_add(1);
        let key = lock_of(&lock, ASIDE_ROW, (u64::from(conversation), number));
        rows.insert((until, conversation, number), seal(&key, &[], text).as_slice())?;
        Ok(())
    }

    /// What was put aside.
    pub(crate) fn handed_aside(&self) -> Result<Vec<(Aside, Vec<u8>)>, StoreError> {
        let rows = self.txn.open_table(HANDED_ASIDE)?;
        let mut all = super::rows_of(&rows)?;
        if all.is_empty() {
            return Ok(all);
        }
        let lock = self.lock_key()?;
        for (place, row) in &mut all {
            let key = lock_of(&lock, ASIDE_ROW, (u64::from(place.1), place.2));
            *row = open(&key, &[], row).ok_or(LOCKED)?;
        }
        Ok(all)
    }

    /// The minute at which the first of what was put aside is given up.
    pub(crate) fn first_aside_ends(&self) -> Result<Option<u64>, StoreError> {
        let rows = self.txn.open_table(HANDED_ASIDE)?;
        Ok(rows.first()?.map(|(place, _)| place.value().0))
    }

    /// Takes off what was put aside; no key is left that opens what a page remembers of it.
    pub(crate) fn drop_aside(&mut self, place: Aside) -> Result<(), StoreError> {
        self.txn.open_table(HANDED_ASIDE)?.remove(place)?;
        self.note_given_up()
    }
}

impl Snapshot {
    /// Under whose word something is kept, if that is not its author.
    pub(crate) fn handed_by(&self, place: Place) -> Result<Option<AccountId>, StoreError> {
        let handed = self.txn.open_table(HANDED)?;
        Ok(handed.get(place)?.map(|row| AccountId::from_bytes(*row.value())))
    }
}
