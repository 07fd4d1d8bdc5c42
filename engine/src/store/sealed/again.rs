//! What is kept so that something can be sealed again: which epochs did not open here, of which own
//! epochs others said so, and what is to be sealed again for whom.

use std::collections::BTreeMap;

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use crate::codec::{DecodeError, Decoder, Encoder};
use crate::key::{AccountId, FeedId};
use crate::limits::EPOCH_DEVICES;
use crate::store::sealed::{PLAIN, Place};
use crate::store::snapshot::Snapshot;
use crate::store::{StoreError, Writer};

/// (own feed, epoch) to [`OwnEpoch`].
pub(in crate::store) const OWN_EPOCHS: TableDefinition<'_, (u32, u64), &[u8]> =
    TableDefinition::new("own epochs");
/// (feed, conversation) to the newest epoch of it that was opened: [`Latest`] as numbers. The
/// conversation 0 stands for the time before the feed's person was known.
pub(in crate::store) const LATEST: TableDefinition<'_, (u32, u32), (u64, u32, u64, u64)> =
    TableDefinition::new("latest epochs");
/// (feed, epoch) of what did not open, to the last entry of it that did, the own epoch in which its
/// author was told, 0 if that is still to be done, and how often it was told.
pub(in crate::store) const UNOPENED: TableDefinition<'_, (u32, u64), (u64, u64, u64)> =
    TableDefinition::new("unopened");
/// (account, own feed, seq) of what is to be sealed again for somebody, to the number of the feed that
/// asked for it.
pub(in crate::store) const AGAIN: TableDefinition<'_, (&[u8; 32], u32, u64), u32> =
    TableDefinition::new("seal again");
/// Account to the minutes, plus one, in which it was last told of epochs that did not open, and in which
/// something was last sealed again for it.
pub(in crate::store) const TURNS: TableDefinition<'_, &[u8; 32], (u64, u64)> =
    TableDefinition::new("turns");

/// Epochs of a feed that are remembered as not opened.
const REMEMBERED: u64 = 64;

/// An own epoch, for as long as it may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnEpoch {
    pub(crate) conversation: u32,
    /// When it began, in minutes of known time.
    pub(crate) since: u64,
    /// For whom it was.
    pub(crate) accounts: Vec<AccountId>,
    /// Devices that said that they could not open it.
    pub(crate) asked: Vec<FeedId>,
}

impl OwnEpoch {
    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(4).uint(u64::from(self.conversation)).uint(self.since);
        out.array(self.accounts.len() as u64);
        for account in &self.accounts {
            out.bytes(account.as_bytes());
        }
        out.array(self.asked.len() as u64);
        for feed in &self.asked {
            out.bytes(feed.as_bytes());
        }
        out.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let read = || {
            let mut row = Decoder::new(bytes);
            row.array_of("own epoch", 4)?;
            let conversation = row.uint("conversation", u64::from(u32::MAX))?;
            let since = row.uint("since", u64::MAX)?;
            let count = row.array("accounts", EPOCH_DEVICES)?;
            let accounts = (0..count).map(|_| row.fixed("account").map(AccountId::from_bytes));
            let accounts = accounts.collect::<Result<_, DecodeError>>()?;
            let count = row.array("asked", EPOCH_DEVICES)?;
            let asked = (0..count).map(|_| row.fixed("feed").map(FeedId::from_bytes));
            let asked = asked.collect::<Result<_, DecodeError>>()?;
            row.finish()?;
            let conversation = u32::try_from(conversation).unwrap_or(0);
            Ok(Self { conversation, since, accounts, asked })
        };
        read().map_err(|_: DecodeError| StoreError::Damaged { what: "a row of an own epoch" })
    }
}

/// The newest epoch of a feed and a conversation that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Latest {
    pub(crate) epoch: u64,
    /// The own prekey that it was sealed to: number of the own feed, and seq.
    pub(crate) prekey: Place,
    /// The last entry of it that was opened.
    pub(crate) last: u64,
}

/// Makes the tables of a store.
pub(super) fn found(txn: &WriteTransaction) -> Result<(), StoreError> {
    txn.open_table(OWN_EPOCHS)?;
    txn.open_table(LATEST)?;
    txn.open_table(UNOPENED)?;
    txn.open_table(AGAIN)?;
    txn.open_table(TURNS)?;
    Ok(())
}

impl Snapshot {
    /// For whom the own epochs of a conversation were, as far as it is remembered.
    pub(crate) fn own_epochs(
        &self,
        conversation: u32,
    ) -> Result<BTreeMap<Place, Vec<AccountId>>, StoreError> {
        let rows = self.txn.open_table(OWN_EPOCHS)?;
        let mut all = BTreeMap::new();
        for row in rows.iter()? {
            let (place, row) = row?;
            let row = OwnEpoch::decode(row.value())?;
            if row.conversation == conversation {
                all.insert(place.value(), row.accounts);
            }
        }
        Ok(all)
    }
}

impl Writer<'_> {
    /// Remembers for whom an own epoch is.
    pub(crate) fn set_own_epoch(&mut self, place: Place, row: &OwnEpoch) -> Result<(), StoreError> {
        self.txn.open_table(OWN_EPOCHS)?.insert(place, row.encode().as_slice())?;
        Ok(())
    }

    /// For whom an own epoch was.
    pub(crate) fn own_epoch(&self, place: Place) -> Result<Option<OwnEpoch>, StoreError> {
        let rows = self.txn.open_table(OWN_EPOCHS)?;
        rows.get(place)?.map(|row| OwnEpoch::decode(row.value())).transpose()
    }

    /// Where the next own epoch of the same conversation begins.
    pub(crate) fn own_epoch_after(
        &self,
        (feed, epoch): Place,
        conversation: u32,
    ) -> Result<Option<u64>, StoreError> {
        let rows = self.txn.open_table(OWN_EPOCHS)?;
        for row in rows.range((feed, epoch.saturating_add(1))..=(feed, u64::MAX))? {
            let (place, row) = row?;
            if OwnEpoch::decode(row.value())?.conversation == conversation {
                return Ok(Some(place.value().1));
            }
        }
        Ok(None)
    }

    /// Forgets own epochs that began before a minute.
    pub(crate) fn forget_own_epochs(&mut self, before: u64) -> Result<(), StoreError> {
        let mut rows = self.txn.open_table(OWN_EPOCHS)?;
        loop {
            let first = rows.first()?.map(|(_, row)| OwnEpoch::decode(row.value())).transpose()?;
            if first.is_none_or(|row| row.since >= before) {
                return Ok(());
            }
            rows.pop_first()?;
        }
    }

    /// The newest `most` things said by an own feed in a conversation between two entries, newest first.
    pub(crate) fn said_between(
        &self,
        (feed, conversation): (u32, u32),
        (first, last): (u64, u64),
        most: u64,
    ) -> Result<Vec<u64>, StoreError> {
        let plain = self.txn.open_table(PLAIN)?;
        let mut found = Vec::new();
        if first > last {
            return Ok(found);
        }
        for row in plain.range((feed, first)..=(feed, last))?.rev() {
            let (place, row) = row?;
            if row.value().1 == conversation {
                found.push(place.value().1);
            }
            if found.len() as u64 >= most {
                break;
            }
        }
        Ok(found)
    }

    /// The newest epochs of a feed that were opened, each with its conversation.
    pub(crate) fn latest(&self, feed: u32) -> Result<Vec<(u32, Latest)>, StoreError> {
        let rows = self.txn.open_table(LATEST)?;
        let rows = rows.range((feed, 0)..=(feed, u32::MAX))?;
        rows.map(|row| {
            let (place, row) = row?;
            let (epoch, number, seq, last) = row.value();
            Ok((place.value().1, Latest { epoch, prekey: (number, seq), last }))
        })
        .collect()
    }

    /// Remembers what was opened, if it is the newest.
    pub(crate) fn set_latest(
        &mut self,
        place: (u32, u32),
        found: Latest,
    ) -> Result<(), StoreError> {
        let mut rows = self.txn.open_table(LATEST)?;
        let known = rows.get(place)?.map(|row| row.value());
        let last = match known {
            Some((epoch, ..)) if epoch > found.epoch => return Ok(()),
            Some((epoch, .., last)) if epoch == found.epoch => last.max(found.last),
            _ => found.last,
        };
        rows.insert(place, (found.epoch, found.prekey.0, found.prekey.1, last))?;
        Ok(())
    }

    /// Notes that an epoch does not open; whether that is news. Of a feed so many of them are told
    /// until a newer one opens.
    pub(crate) fn add_unopened(
        &mut self,
        (feed, epoch): Place,
        after: u64,
        told: u64,
    ) -> Result<(), StoreError> {
        let (mut newest, mut base) = (0, 0);
        for (conversation, latest) in self.latest(feed)? {
            if conversation == 0 {
                base = latest.epoch;
            } else {
                newest = latest.epoch.max(newest);
            }
        }
        let mut rows = self.txn.open_table(UNOPENED)?;
        let whole = (feed, 0)..=(feed, u64::MAX);
        let (mut count, mut lowest, mut ahead) = (0_u64, u64::MAX, 0_u64);
        for row in rows.range(whole)? {
            let at = row?.0.value().1;
            (count, lowest) = (count.saturating_add(1), lowest.min(at));
            ahead = ahead.saturating_add(u64::from(at > newest));
        }
        let full = count >= REMEMBERED;
        let known = rows.get((feed, epoch))?.is_some();
        if known || epoch <= base || ahead >= told || (full && epoch < lowest) {
            return Ok(());
        }
        if full {
            rows.remove((feed, lowest))?;
        }
        rows.insert((feed, epoch), (after, 0, 0))?;
        Ok(())
    }

    /// Notes that an epoch opened after all, if nobody was told yet.
    pub(crate) fn has_opened(&mut self, place: Place) -> Result<(), StoreError> {
        let mut rows = self.txn.open_table(UNOPENED)?;
        let due = rows.get(place)?.is_some_and(|row| row.value().2 == 0);
        if due {
            rows.remove(place)?;
        }
        Ok(())
    }

    /// Epochs of which nobody was told yet that they do not open: feed, epoch, the last entry that was
    /// opened; newest first.
    pub(crate) fn unopened(&self) -> Result<Vec<(u32, u64, u64)>, StoreError> {
        let rows = self.txn.open_table(UNOPENED)?;
        let mut all = Vec::new();
        for row in rows.iter()?.rev() {
            let (place, row) = row?;
            let ((feed, epoch), (after, told, _)) = (place.value(), row.value());
            if told == 0 {
                all.push((feed, epoch, after));
            }
        }
        Ok(all)
    }

    /// Notes in which own epoch the author was told of one that did not open.
    pub(crate) fn set_told(
        &mut self,
        (feed, epoch, after): (u32, u64, u64),
        told: u64,
    ) -> Result<(), StoreError> {
        let mut rows = self.txn.open_table(UNOPENED)?;
        let times = rows.get((feed, epoch))?.map_or(0, |row| row.value().2);
        rows.insert((feed, epoch), (after, told, times.saturating_add(1)))?;
        Ok(())
    }

    /// Notes that the author of a feed could not open the own epoch in which it was told of something:
    /// it is told once more, so often at most.
    pub(crate) fn tell_once_more(
        &mut self,
        feed: u32,
        told: u64,
        most: u64,
    ) -> Result<(), StoreError> {
        let mut rows = self.txn.open_table(UNOPENED)?;
        let mut again = Vec::new();
        for row in rows.range((feed, 0)..=(feed, u64::MAX))? {
            let (place, row) = row?;
            let (after, by, times) = row.value();
            if by == told && times < most {
                again.push((place.value(), (after, 0, times)));
            }
        }
        for (place, row) in again {
            rows.insert(place, row)?;
        }
        Ok(())
    }

    /// Notes that something is to be sealed again for somebody.
    pub(crate) fn seal_again(
        &mut self,
        account: &AccountId,
        (feed, seq): Place,
        device: u32,
    ) -> Result<(), StoreError> {
        self.txn.open_table(AGAIN)?.insert((account.as_bytes(), feed, seq), device)?;
        Ok(())
    }

    /// What is to be sealed again, by account, and for which feed.
    pub(crate) fn to_seal_again(&self) -> Result<Vec<(AccountId, Place, u32)>, StoreError> {
        let rows = self.txn.open_table(AGAIN)?;
        let mut all = Vec::new();
        for row in rows.iter()? {
            let (place, device) = row?;
            let (account, feed, seq) = place.value();
            all.push((AccountId::from_bytes(*account), (feed, seq), device.value()));
        }
        Ok(all)
    }

    /// Notes that something was sealed again, or is not to be any more.
    pub(crate) fn sealed_again(
        &mut self,
        account: &AccountId,
        (feed, seq): Place,
    ) -> Result<(), StoreError> {
        self.txn.open_table(AGAIN)?.remove((account.as_bytes(), feed, seq))?;
        Ok(())
    }

    /// The minutes, plus one, in which somebody was told of epochs that did not open, and in which
    /// something was sealed again.
    pub(crate) fn turns(&self, account: &AccountId) -> Result<(u64, u64), StoreError> {
        let rows = self.txn.open_table(TURNS)?;
        Ok(rows.get(account.as_bytes())?.map_or((0, 0), |row| row.value()))
    }

    /// Keeps these minutes.
    pub(crate) fn set_turns(
        &mut self,
        account: &AccountId,
        turns: (u64, u64),
    ) -> Result<(), StoreError> {
        self.txn.open_table(TURNS)?.insert(account.as_bytes(), turns)?;
        Ok(())
    }
}
