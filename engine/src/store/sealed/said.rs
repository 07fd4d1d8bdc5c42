//! What was opened: its locked text, its place in the conversation, what is due for it.

use std::ops::RangeInclusive;

use redb::ReadableTable;

use crate::content::Prefix;
use crate::key::{AccountId, Seed, open, seal};
use crate::store::sealed::rows::SaidRow;
use crate::store::sealed::{
    ARRIVED, BUCKET_ROWS, BUCKETS, LOCKED, OUTBOX, PLAIN, RECEIPTS_DUE, SAID, SAID_IDS,
    SAID_PARENTS, SHOWN, lock_of, unlock,
};
use crate::store::snapshot::Snapshot;
use crate::store::{StoreError, Writer};

/// Rows of a bucket that share a key.
const BUCKET_SIZE: u64 = 64;
/// Children that are told of a parent that came late.
const RAISED: usize = 1_000;

/// Number of a conversation, and what was said in it.
type Text = (u32, Vec<u8>);
/// Feed and seq of what a receipt is due for, and which one.
type Due = (u32, u64, u8);

/// All places of a conversation.
pub(super) const fn whole(number: u32) -> RangeInclusive<(u32, u32, u64, u64, u32, u64)> {
    (number, 0, 0, 0, 0, 0)..=(number, u32::MAX, u64::MAX, u64::MAX, u32::MAX, u64::MAX)
}

impl Writer<'_> {
    /// Keeps what was said, locked, and puts it in its place in the conversation.
    pub(crate) fn say(
        &mut self,
        (feed, seq): (u32, u64),
        said: &SaidRow,
        text: &[u8],
        ttl: u32,
        fresh: &Seed,
    ) -> Result<(), StoreError> {
        let bucket = self.bucket(ttl, fresh)?;
        let number = said.conversation;
        let own = u64::from_be_bytes(said.prefix);
        self.put_plain((feed, seq), bucket, (number, own), text)?;
        let mut lamport = 1;
        {
            let ids = self.txn.open_table(SAID_IDS)?;
            let mut parents = self.txn.open_table(SAID_PARENTS)?;
            for parent in &said.parents {
                let parent = u64::from_be_bytes(*parent);
                parents.insert((number, parent, feed, seq), own)?;
                let range = (number, parent, 0, 0)..=(number, parent, u32::MAX, u64::MAX);
                for row in ids.range(range)? {
                    lamport = lamport.max(row?.1.value().0.saturating_add(1));
                }
            }
        }
        self.place_said((number, feed, seq), own, None, (lamport, said.time))?;
        self.raise_said(number, own, lamport)
    }

    /// Puts something said at its place in the order, and takes it away from an earlier one.
    fn place_said(
        &mut self,
        (number, feed, seq): (u32, u32, u64),
        prefix: u64,
        old: Option<(u32, u64)>,
        (lamport, time): (u32, u64),
    ) -> Result<(), StoreError> {
        let mut said = self.txn.open_table(SAID)?;
        if let Some((lamport, time)) = old {
            said.remove((number, lamport, time, prefix, feed, seq))?;
        }
        said.insert((number, lamport, time, prefix, feed, seq), ())?;
        drop(said);
        let mut ids = self.txn.open_table(SAID_IDS)?;
        ids.insert((number, prefix, feed, seq), (lamport, time))?;
        Ok(())
    }

    /// Tells those who name an entry as parent of its lamport, and on.
    fn raise_said(&mut self, number: u32, prefix: u64, lamport: u32) -> Result<(), StoreError> {
        let mut ahead = vec![(prefix, lamport)];
        let mut left = RAISED;
        while let Some((prefix, lamport)) = ahead.pop() {
            let mut raised = Vec::new();
            {
                let parents = self.txn.open_table(SAID_PARENTS)?;
                let ids = self.txn.open_table(SAID_IDS)?;
                let range = (number, prefix, 0, 0)..=(number, prefix, u32::MAX, u64::MAX);
                for row in parents.range(range)?.take(left) {
                    let (place, child) = row?;
                    let ((.., feed, seq), child) = (place.value(), child.value());
                    let known = ids.get((number, child, feed, seq))?.map(|row| row.value());
                    if let Some(old) = known.filter(|old| old.0 <= lamport) {
                        raised.push((feed, seq, child, old));
                    }
                }
            }
            left = left.saturating_sub(raised.len());
            for (feed, seq, child, old) in raised {
                let new = (lamport.saturating_add(1), old.1);
                self.place_said((number, feed, seq), child, Some(old), new)?;
                ahead.push((child, new.0));
            }
        }
        Ok(())
    }

    /// The bucket that the next row goes into: what has a lifetime has one of its own.
    fn bucket(&mut self, ttl: u32, fresh: &Seed) -> Result<u64, StoreError> {
        let mut buckets = self.txn.open_table(BUCKETS)?;
        let rows = self.txn.open_table(BUCKET_ROWS)?;
        let last = buckets.last()?.map_or(0, |(last, _)| last.value());
        let shared = self.meta("bucket")?.and_then(|row| row.try_into().ok());
        let shared = shared.map_or(0, u64::from_be_bytes);
        let held = rows.range((shared, 0, 0)..=(shared, u32::MAX, u64::MAX))?.count() as u64;
        if ttl == 0 && shared > 0 && held < BUCKET_SIZE && buckets.get(shared)?.is_some() {
            return Ok(shared);
        }
        let bucket = last.saturating_add(1);
        let key = lock_of(&self.lock_key()?, "bucket", (bucket, 0));
        buckets.insert(bucket, seal(&key, &[], fresh.expose()).as_slice())?;
        drop((buckets, rows));
        if ttl == 0 {
            self.set_meta("bucket", &bucket.to_be_bytes())?;
        }
        Ok(bucket)
    }

    fn put_plain(
        &mut self,
        (feed, seq): (u32, u64),
        bucket: u64,
        (conversation, prefix): (u32, u64),
        text: &[u8],
    ) -> Result<(), StoreError> {
        let key = self.bucket_key(bucket)?;
        let sealed = seal(&lock_of(&key, "plain", (u64::from(feed), seq)), &[], text);
        let row = (bucket, conversation, prefix, sealed.as_slice());
        self.txn.open_table(PLAIN)?.insert((feed, seq), row)?;
        self.txn.open_table(BUCKET_ROWS)?.insert((bucket, feed, seq), ())?;
        Ok(())
    }

    fn bucket_key(&self, bucket: u64) -> Result<Seed, StoreError> {
        let buckets = self.txn.open_table(BUCKETS)?;
        let locked = buckets.get(bucket)?.ok_or(LOCKED)?;
        unlock(&self.lock_key()?, "bucket", (bucket, 0), locked.value()).ok_or(LOCKED)
    }

    /// Forgets what was opened of an entry: its text, its place in the conversation, and the key that
    /// it was locked with. What shares the key gets another one.
    pub(crate) fn forget_said(&mut self, (feed, seq): (u32, u64)) -> Result<(), StoreError> {
        let row = match self.txn.open_table(PLAIN)?.remove((feed, seq))? {
            Some(row) => (row.value().0, row.value().1, row.value().2),
            None => return Ok(()),
        };
        let (bucket, number, prefix) = row;
        self.txn.open_table(BUCKET_ROWS)?.remove((bucket, feed, seq))?;
        let mut ids = self.txn.open_table(SAID_IDS)?;
        let placed = ids.remove((number, prefix, feed, seq))?.map(|row| row.value());
        drop(ids);
        if let Some((lamport, time)) = placed {
            self.txn.open_table(SAID)?.remove((number, lamport, time, prefix, feed, seq))?;
        }
        self.forget_handed((feed, seq))?;
        self.leave_bucket(bucket)
    }

    /// Moves what is left in a bucket into another one, and forgets its key.
    fn leave_bucket(&mut self, bucket: u64) -> Result<(), StoreError> {
        let key = self.bucket_key(bucket)?;
        let mut left = Vec::new();
        let range = (bucket, 0, 0)..=(bucket, u32::MAX, u64::MAX);
        for row in self.txn.open_table(BUCKET_ROWS)?.range(range.clone())? {
            let (_, feed, seq) = row?.0.value();
            left.push((feed, seq));
        }
        self.txn.open_table(BUCKET_ROWS)?.retain_in(range, |_, ()| false)?;
        self.txn.open_table(BUCKETS)?.remove(bucket)?;
        self.note_given_up()?;
        // From the new key nobody learns the old one; who has the old one has lost nothing by it.
        let fresh = key.clone().draw();
        let mut to = None;
        for (feed, seq) in left {
            let kept = self.txn.open_table(PLAIN)?.get((feed, seq))?.map(|row| {
                let (_, conversation, prefix, locked) = row.value();
                (conversation, prefix, locked.to_vec())
            });
            let Some((conversation, prefix, locked)) = kept else { continue };
            let old = lock_of(&key, "plain", (u64::from(feed), seq));
            let text = open(&old, &[], &locked).ok_or(LOCKED)?;
            let bucket = match to {
                Some(bucket) => bucket,
                None => self.bucket(1, &fresh)?,
            };
            to = Some(bucket);
            self.put_plain((feed, seq), bucket, (conversation, prefix), &text)?;
        }
        Ok(())
    }

    /// Whether something opened is kept of an entry.
    pub(crate) fn is_said(&self, place: (u32, u64)) -> Result<bool, StoreError> {
        Ok(self.txn.open_table(PLAIN)?.get(place)?.is_some())
    }

    /// What was said in an entry, and in which conversation.
    pub(crate) fn said_text(&self, (feed, seq): (u32, u64)) -> Result<Option<Text>, StoreError> {
        let plain = self.txn.open_table(PLAIN)?;
        let Some(row) = plain.get((feed, seq))? else { return Ok(None) };
        let (bucket, conversation, _, locked) = row.value();
        let key = lock_of(&self.bucket_key(bucket)?, "plain", (u64::from(feed), seq));
        Ok(Some((conversation, open(&key, &[], locked).ok_or(LOCKED)?)))
    }

    /// Up to four newest things said in a conversation that nothing in it names as a parent.
    pub(crate) fn said_heads(&self, number: u32) -> Result<Vec<Prefix>, StoreError> {
        let said = self.txn.open_table(SAID)?;
        let parents = self.txn.open_table(SAID_PARENTS)?;
        let range = whole(number);
        let mut heads = Vec::new();
        for row in said.range(range)?.rev().take(64) {
            let (_, _, _, prefix, ..) = row?.0.value();
            let named = (number, prefix, 0, 0)..=(number, prefix, u32::MAX, u64::MAX);
            if heads.len() < 4 && parents.range(named)?.next().is_none() {
                heads.push(prefix.to_be_bytes());
            }
        }
        Ok(heads)
    }

    /// Puts a message away until it can be sealed.
    pub(crate) fn put_off(&mut self, message: &[u8]) -> Result<u64, StoreError> {
        let lock = self.lock_key()?;
        let mut outbox = self.txn.open_table(OUTBOX)?;
        let number = outbox.last()?.map_or(0, |(last, _)| last.value()).saturating_add(1);
        let locked = seal(&lock_of(&lock, "outbox", (number, 0)), &[], message);
        outbox.insert(number, locked.as_slice())?;
        Ok(number)
    }

    /// What waits to be sealed.
    pub(crate) fn outbox(&self) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        outbox_rows(&self.txn.open_table(OUTBOX)?, Some(self.lock_key()?))
    }

    /// Takes a message from what waits.
    pub(crate) fn take_off(&mut self, number: u64) -> Result<(), StoreError> {
        self.txn.open_table(OUTBOX)?.remove(number)?;
        Ok(())
    }

    /// Notes how far own messages came; whether that is news.
    pub(crate) fn arrived_at(
        &mut self,
        feed: u32,
        (first, last): (u64, u64),
        (conversation, account): (u32, &AccountId),
        state: u8,
    ) -> Result<(), StoreError> {
        let plain = self.txn.open_table(PLAIN)?;
        let mut arrived = self.txn.open_table(ARRIVED)?;
        let mut said: Vec<u64> = Vec::new();
        for row in plain.range((feed, first)..=(feed, last))? {
            let (place, row) = row?;
            // Nobody says of others what they have.
            if row.value().1 == conversation {
                said.push(place.value().1);
            }
        }
        for seq in said {
            let known = arrived.get((feed, seq, account.as_bytes()))?.map_or(0, |row| row.value());
            arrived.insert((feed, seq, account.as_bytes()), known.max(state))?;
        }
        Ok(())
    }

    /// Notes that the author of something is to hear of it.
    pub(crate) fn owe_receipt(
        &mut self,
        place: (u32, u32, u64),
        state: u8,
    ) -> Result<(), StoreError> {
        let mut due = self.txn.open_table(RECEIPTS_DUE)?;
        let known = due.get(place)?.map_or(0, |row| row.value());
        due.insert(place, known.max(state))?;
        Ok(())
    }

    /// The conversation of something that was said and is shown for the first time.
    pub(crate) fn first_read(&mut self, place: (u32, u64)) -> Result<Option<u32>, StoreError> {
        let said = self.txn.open_table(PLAIN)?.get(place)?.map(|row| row.value().1);
        let Some(conversation) = said else { return Ok(None) };
        let known = self.txn.open_table(SHOWN)?.insert(place, ())?.is_some();
        Ok(Some(conversation).filter(|_| !known))
    }

    /// Takes the receipts that are due in one conversation: (feed, seq) with the state.
    pub(crate) fn take_receipts(&mut self) -> Result<Option<(u32, Vec<Due>)>, StoreError> {
        let mut due = self.txn.open_table(RECEIPTS_DUE)?;
        let Some(number) = due.first()?.map(|(place, _)| place.value().0) else { return Ok(None) };
        let mut taken = Vec::new();
        let range = (number, 0, 0)..=(number, u32::MAX, u64::MAX);
        due.retain_in(range, |(_, feed, seq), state| {
            taken.push((feed, seq, state));
            false
        })?;
        Ok(Some((number, taken)))
    }
}

fn outbox_rows(
    table: &impl ReadableTable<u64, &'static [u8]>,
    lock: Option<Seed>,
) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let Some(lock) = lock else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for row in table.iter()? {
        let (number, locked) = row?;
        let key = lock_of(&lock, "outbox", (number.value(), 0));
        all.push((number.value(), open(&key, &[], locked.value()).ok_or(LOCKED)?));
    }
    Ok(all)
}

/// Something said, as a reader finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) feed: u32,
    pub(crate) seq: u64,
    pub(crate) lamport: u32,
    pub(crate) text: Vec<u8>,
}

impl Snapshot {
    /// Visits what was said in a conversation, newest first, until told to stop.
    pub(crate) fn said(
        &self,
        number: u32,
        visit: &mut dyn FnMut(Found) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let Some(lock) = self.lock_key()? else { return Ok(()) };
        let said = self.txn.open_table(SAID)?;
        let plain = self.txn.open_table(PLAIN)?;
        let buckets = self.txn.open_table(BUCKETS)?;
        let range = whole(number);
        let mut known: Option<(u64, Seed)> = None;
        for row in said.range(range)?.rev() {
            let (_, lamport, _, _, feed, seq) = row?.0.value();
            let Some(row) = plain.get((feed, seq))? else { continue };
            let (bucket, _, _, sealed) = row.value();
            if known.as_ref().is_none_or(|(known, _)| *known != bucket) {
                let Some(locked) = buckets.get(bucket)? else { continue };
                let key = unlock(&lock, "bucket", (bucket, 0), locked.value()).ok_or(LOCKED)?;
                known = Some((bucket, key));
            }
            let Some((_, key)) = &known else { continue };
            let key = lock_of(key, "plain", (u64::from(feed), seq));
            let text = open(&key, &[], sealed).ok_or(LOCKED)?;
            if !visit(Found { feed, seq, lamport, text })? {
                break;
            }
        }
        Ok(())
    }

    /// How far an own message came at each account.
    pub(crate) fn arrived(&self, feed: u32, seq: u64) -> Result<Vec<(AccountId, u8)>, StoreError> {
        let arrived = self.txn.open_table(ARRIVED)?;
        let mut all = Vec::new();
        let range = (feed, seq, &[0; 32])..=(feed, seq, &[0xff; 32]);
        for row in arrived.range(range)? {
            let (place, state) = row?;
            all.push((AccountId::from_bytes(*place.value().2), state.value()));
        }
        Ok(all)
    }

    /// What waits to be sealed.
    pub(crate) fn outbox(&self) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        outbox_rows(&self.txn.open_table(OUTBOX)?, self.lock_key()?)
    }
}
