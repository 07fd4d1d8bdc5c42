//! Cards on their way: people whom contacts introduced, and who is to hear of an own new card.

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use crate::key::AccountId;
use crate::store::snapshot::{Snapshot, pair};
use crate::store::tables::DEVICES;
use crate::store::{StoreError, Writer};

/// Two accounts.
type Pair<'a> = (&'a [u8; 32], &'a [u8; 32]);

/// (who introduced, who was introduced) to whether that is a contact since, and the card.
pub(in crate::store) const INTRODUCED: TableDefinition<'_, Pair<'_>, (bool, &[u8])> =
    TableDefinition::new("introduced");
/// Accounts that are to hear of the own new card.
pub(in crate::store) const CARDS_DUE: TableDefinition<'_, &[u8; 32], ()> =
    TableDefinition::new("cards due");

/// Somebody whom a contact introduced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Introduced {
    pub(crate) by: AccountId,
    pub(crate) account: AccountId,
    /// Whether the user took the person for a contact.
    pub(crate) taken: bool,
    pub(crate) card: Vec<u8>,
}

/// Makes the tables of a store.
pub(super) fn found(txn: &WriteTransaction) -> Result<(), StoreError> {
    txn.open_table(INTRODUCED)?;
    txn.open_table(CARDS_DUE)?;
    Ok(())
}

fn all(
    rows: &impl ReadableTable<(&'static [u8; 32], &'static [u8; 32]), (bool, &'static [u8])>,
) -> Result<Vec<Introduced>, StoreError> {
    rows.iter()?
        .map(|row| {
            let (place, row) = row?;
            let (by, account) = place.value();
            let (taken, card) = row.value();
            let [by, account] = [by, account].map(|id| AccountId::from_bytes(*id));
            Ok(Introduced { by, account, taken, card: card.to_vec() })
        })
        .collect()
}

impl Writer<'_> {
    /// Keeps a card by which a contact introduces somebody: of each contact so many at once.
    pub(crate) fn introduce(
        &mut self,
        by: &AccountId,
        account: &AccountId,
        card: &[u8],
        most: u64,
    ) -> Result<(), StoreError> {
        let mut rows = self.txn.open_table(INTRODUCED)?;
        let of_one = all(&rows)?.into_iter().filter(|row| row.by == *by && !row.taken);
        let place = (by.as_bytes(), account.as_bytes());
        if rows.get(place)?.is_some() || (of_one.count() as u64) < most {
            rows.insert(place, (false, card))?;
        }
        Ok(())
    }

    /// Notes that somebody is a contact now, whoever introduced them.
    pub(crate) fn introduction_taken(&mut self, account: &AccountId) -> Result<(), StoreError> {
        let mut rows = self.txn.open_table(INTRODUCED)?;
        for row in all(&rows)?.into_iter().filter(|row| row.account == *account) {
            let place = (row.by.as_bytes(), row.account.as_bytes());
            rows.insert(place, (true, row.card.as_slice()))?;
        }
        Ok(())
    }

    /// Forgets by whom somebody was introduced; and, if asked, whom they introduced and is no contact.
    pub(crate) fn forget_introductions(
        &mut self,
        account: &AccountId,
        theirs: bool,
    ) -> Result<bool, StoreError> {
        let mut rows = self.txn.open_table(INTRODUCED)?;
        let mut found = false;
        let id = account.as_bytes();
        rows.retain(|(by, introduced), (taken, _)| {
            let goes = introduced == id || (theirs && by == id && !taken);
            found |= goes;
            !goes
        })?;
        Ok(found)
    }

    /// Notes that somebody is to hear of the own new card.
    pub(crate) fn owe_card(&mut self, account: &AccountId) -> Result<(), StoreError> {
        self.txn.open_table(CARDS_DUE)?.insert(account.as_bytes(), ())?;
        Ok(())
    }

    /// Who is to hear of the own new card.
    pub(crate) fn cards_due(&self) -> Result<Vec<AccountId>, StoreError> {
        let rows = self.txn.open_table(CARDS_DUE)?;
        rows.iter()?.map(|row| Ok(AccountId::from_bytes(*row?.0.value()))).collect()
    }

    /// Notes that somebody heard of it, or needs not.
    pub(crate) fn card_told(&mut self, account: &AccountId) -> Result<(), StoreError> {
        self.txn.open_table(CARDS_DUE)?.remove(account.as_bytes())?;
        Ok(())
    }

    /// How many devices an account revoked, as far as is known here.
    pub(crate) fn revoked(&self, account: &AccountId) -> Result<u64, StoreError> {
        let devices = self.txn.open_table(DEVICES)?;
        let [first, last] = [0, 0xff].map(|byte| pair(account.as_bytes(), &[byte; 32]));
        let mut count = 0;
        for row in devices.range::<&[u8; 64]>(&first..=&last)? {
            count += u64::from(row?.1.value() == 2);
        }
        Ok(count)
    }
}

impl Snapshot {
    /// Everybody whom contacts introduced.
    pub(crate) fn introduced(&self) -> Result<Vec<Introduced>, StoreError> {
        all(&self.txn.open_table(INTRODUCED)?)
    }
}
