//! What is kept of contacts and of what only their audience can read: secrets, epochs, opened history.
//!
//! Secrets that are to be forgotten are never in a row as they are, but locked under a key that stands
//! elsewhere and changes; so what a page remembers of them is nothing. Rows are written with the same
//! strict codec as all others. What any of it means is decided in `sealing.rs`.

mod again;
mod cards;
mod history;
mod rows;
mod said;

use redb::{ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};

use crate::key::{AccountId, Context, Digest, FeedId, Hasher, Seed, open, seal};
use crate::limits::CONTACTS;
use crate::seal::RosterKind;
use crate::store::snapshot::{Snapshot, pair};
use crate::store::tables::{Arrival, DEVICES, LOG};
use crate::store::{StoreError, Writer};

pub(super) use again::{AGAIN, LATEST, OWN_EPOCHS, TURNS, UNOPENED};
pub(crate) use again::{Latest, OwnEpoch};
pub(super) use cards::{CARDS_DUE, INTRODUCED};
pub(super) use history::{HANDED, HANDED_ASIDE, HISTORY_DUE};
pub(crate) use rows::{ContactRow, ConversationRow, EpochRow, EpochState, OwnPrekey, SaidRow};
pub(crate) use said::Found;

/// Stands before a change of which it is not known yet whether it counts for its account; a change
/// begins otherwise.
const ASIDE: u8 = 0;
/// Number of a feed, and a seq in it.
type Place = (u32, u64);
/// Bucket, conversation, prefix, locked text.
type PlainRow<'a> = (u64, u32, u64, &'a [u8]);

/// Account to [`ContactRow`].
pub(super) const CONTACTS_TABLE: TableDefinition<'_, &[u8; 32], &[u8]> =
    TableDefinition::new("contacts");
/// Number of a conversation to [`ConversationRow`].
pub(super) const CONVERSATIONS: TableDefinition<'_, u32, &[u8]> =
    TableDefinition::new("conversations");
/// Id of a conversation to its number; numbers are never used twice.
pub(super) const CONVERSATION_IDS: TableDefinition<'_, &[u8; 32], u32> =
    TableDefinition::new("conversation ids");
/// (own feed, seq) of own prekeys to [`OwnPrekey`].
pub(super) const OWN_PREKEYS: TableDefinition<'_, (u32, u64), &[u8]> =
    TableDefinition::new("own prekeys");
/// (feed, seq) of the prekeys of others that are here.
pub(super) const PREKEYS: TableDefinition<'_, (u32, u64), ()> = TableDefinition::new("prekeys");
/// (feed, seq of its first part) to [`EpochRow`].
pub(super) const EPOCHS: TableDefinition<'_, (u32, u64), &[u8]> = TableDefinition::new("epochs");
/// (feed, tag) to (epoch, index) of a message that is to come; an epoch of 0 means that two claim it.
pub(super) const TAGS: TableDefinition<'_, (u32, u64), (u64, u64)> = TableDefinition::new("tags");
/// (feed, seq) to bucket, conversation, prefix and locked text of what was opened.
pub(super) const PLAIN: TableDefinition<'_, (u32, u64), PlainRow<'_>> =
    TableDefinition::new("plain");
/// Bucket to the locked key of its rows.
pub(super) const BUCKETS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("plain buckets");
/// (bucket, feed, seq) of its rows.
pub(super) const BUCKET_ROWS: TableDefinition<'_, (u64, u32, u64), ()> =
    TableDefinition::new("plain bucket rows");
/// (conversation, lamport, time, prefix, feed, seq) of what was said, in the order of display.
pub(super) const SAID: TableDefinition<'_, (u32, u32, u64, u64, u32, u64), ()> =
    TableDefinition::new("said");
/// (conversation, prefix, feed, seq) to (lamport, time).
pub(super) const SAID_IDS: TableDefinition<'_, (u32, u64, u32, u64), (u32, u64)> =
    TableDefinition::new("said ids");
/// (conversation, parent's prefix, feed, seq) to the child's prefix.
pub(super) const SAID_PARENTS: TableDefinition<'_, (u32, u64, u32, u64), u64> =
    TableDefinition::new("said parents");
/// Order to what waits to be sealed.
pub(super) const OUTBOX: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("outbox");
/// (own feed, seq, account) to how far an own message came: 1 delivered, 2 read.
pub(super) const ARRIVED: TableDefinition<'_, (u32, u64, &[u8; 32]), u8> =
    TableDefinition::new("arrived");
/// (conversation, feed, seq) to what a receipt is due for: 1 delivered, 2 read.
pub(super) const RECEIPTS_DUE: TableDefinition<'_, (u32, u32, u64), u8> =
    TableDefinition::new("receipts due");
/// (feed, seq) of what others said and was shown.
pub(super) const SHOWN: TableDefinition<'_, (u32, u64), ()> = TableDefinition::new("shown");
/// (account, number of a feed of it).
pub(super) const ACCOUNT_FEEDS: TableDefinition<'_, (&[u8; 32], u32), ()> =
    TableDefinition::new("account feeds");
/// (conversation, id) to a change of its group.
pub(super) const CHANGES: TableDefinition<'_, (u32, &[u8; 32]), &[u8]> =
    TableDefinition::new("group changes");
/// (account, conversation) of who belongs to a group, or did.
pub(super) const MEMBERS: TableDefinition<'_, (&[u8; 32], u32), ()> =
    TableDefinition::new("group members");
/// (conversation, id) of own changes that nobody could be told of yet.
pub(super) const CHANGES_PUT_OFF: TableDefinition<'_, (u32, &[u8; 32]), ()> =
    TableDefinition::new("group changes put off");
/// Contacts of which the own other devices are to hear.
pub(super) const UNTOLD: TableDefinition<'_, &[u8; 32], ()> = TableDefinition::new("untold");
/// (feed, first seq) to the last seq of entries that are to be looked at again.
pub(super) const SCANS: TableDefinition<'_, (u32, u64), u64> = TableDefinition::new("scans");

/// Makes the tables of a store.
pub(super) fn found(txn: &WriteTransaction) -> Result<(), StoreError> {
    txn.open_table(CONTACTS_TABLE)?;
    txn.open_table(CONVERSATIONS)?;
    txn.open_table(CONVERSATION_IDS)?;
    txn.open_table(OWN_PREKEYS)?;
    txn.open_table(PREKEYS)?;
    txn.open_table(EPOCHS)?;
    txn.open_table(TAGS)?;
    txn.open_table(PLAIN)?;
    txn.open_table(BUCKETS)?;
    txn.open_table(BUCKET_ROWS)?;
    txn.open_table(SAID)?;
    txn.open_table(SAID_IDS)?;
    txn.open_table(SAID_PARENTS)?;
    txn.open_table(OUTBOX)?;
    txn.open_table(ARRIVED)?;
    txn.open_table(RECEIPTS_DUE)?;
    txn.open_table(ACCOUNT_FEEDS)?;
    txn.open_table(SHOWN)?;
    txn.open_table(UNTOLD)?;
    txn.open_table(CHANGES)?;
    txn.open_table(CHANGES_PUT_OFF)?;
    txn.open_table(MEMBERS)?;
    txn.open_table(SCANS)?;
    again::found(txn)?;
    history::found(txn)?;
    cards::found(txn)
}

/// The key that locks secrets of a row.
fn lock_of(key: &Seed, what: &str, place: (u64, u64)) -> Digest {
    let mut hasher = Hasher::new(Context::Plain);
    hasher.update(key.expose()).update(what.as_bytes());
    hasher.update(&place.0.to_be_bytes()).update(&place.1.to_be_bytes());
    hasher.finish()
}

fn unlock(key: &Seed, what: &str, place: (u64, u64), locked: &[u8]) -> Option<Seed> {
    let secret = open(&lock_of(key, what, place), &[], locked)?;
    Some(Seed::new(secret.try_into().ok()?))
}

const LOCKED: StoreError = StoreError::Damaged { what: "a locked secret" };
/// Locks every row that is locked with another key.
pub(super) fn relock(txn: &WriteTransaction, old: &Seed, new: &Seed) -> Result<(), StoreError> {
    let again = |what, place, locked: &[u8]| {
        let secret = open(&lock_of(old, what, place), &[], locked).ok_or(LOCKED)?;
        Ok::<_, StoreError>(seal(&lock_of(new, what, place), &[], &secret))
    };
    let mut prekeys = txn.open_table(OWN_PREKEYS)?;
    for (place, row) in rows_of(&prekeys)? {
        let mut prekey = OwnPrekey::decode(&row)?;
        prekey.locked = again("prekey", (u64::from(place.0), place.1), &prekey.locked)?;
        prekeys.insert(place, prekey.encode().as_slice())?;
    }
    let mut epochs = txn.open_table(EPOCHS)?;
    for (place, row) in rows_of(&epochs)? {
        let mut locked = Vec::new();
        let take = |bytes: &[u8]| {
            locked = bytes.to_vec();
            Some(Seed::new([0; 32]))
        };
        let row = EpochRow::decode(&row, take)?;
        let locked = again("epoch", (u64::from(place.0), place.1), &locked)?;
        epochs.insert(place, row.encode(&locked).as_slice())?;
    }
    for (table, what) in [(BUCKETS, "bucket"), (OUTBOX, "outbox")] {
        let mut table = txn.open_table(table)?;
        for (number, locked) in rows_of(&table)? {
            let locked = again(what, (number, 0), &locked)?;
            table.insert(number, locked.as_slice())?;
        }
    }
    history::relock(txn, old, new)
}

/// All rows of a table, so that it can be changed.
fn rows_of<K>(table: &impl ReadableTable<K, &'static [u8]>) -> Result<Vec<(K, Vec<u8>)>, StoreError>
where
    K: redb::Key + for<'a> redb::Value<SelfType<'a> = K> + Copy + 'static,
{
    let mut all = Vec::new();
    for row in table.iter()? {
        let (key, row) = row?;
        all.push((key.value(), row.value().to_vec()));
    }
    Ok(all)
}

impl Writer<'_> {
    /// A secret of this device by name.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<Seed>, StoreError> {
        let secrets = self.txn.open_table(crate::store::tables::SECRETS)?;
        let row = secrets.get(name)?;
        row.map(|row| row.value().try_into().map(Seed::new).map_err(|_| LOCKED)).transpose()
    }

    /// What is known of a contact.
    pub(crate) fn contact(&self, account: &AccountId) -> Result<Option<ContactRow>, StoreError> {
        let contacts = self.txn.open_table(CONTACTS_TABLE)?;
        contacts.get(account.as_bytes())?.map(|row| ContactRow::decode(row.value())).transpose()
    }

    /// Keeps a contact. False: there are as many as there may be.
    pub(crate) fn set_contact(
        &mut self,
        account: &AccountId,
        row: &ContactRow,
    ) -> Result<bool, StoreError> {
        let mut contacts = self.txn.open_table(CONTACTS_TABLE)?;
        if contacts.len()? >= CONTACTS && contacts.get(account.as_bytes())?.is_none() {
            return Ok(false);
        }
        contacts.insert(account.as_bytes(), row.encode().as_slice())?;
        Ok(true)
    }

    /// Forgets a contact.
    pub(crate) fn remove_contact(&mut self, account: &AccountId) -> Result<bool, StoreError> {
        Ok(self.txn.open_table(CONTACTS_TABLE)?.remove(account.as_bytes())?.is_some())
    }

    /// All contacts.
    pub(crate) fn contacts(&self) -> Result<Vec<(AccountId, ContactRow)>, StoreError> {
        contact_rows(&self.txn.open_table(CONTACTS_TABLE)?)
    }

    /// Keeps a change of a group; whether it is new.
    pub(crate) fn add_change(
        &mut self,
        number: u32,
        id: &Digest,
        change: &[u8],
    ) -> Result<bool, StoreError> {
        Ok(self.txn.open_table(CHANGES)?.insert((number, id), change)?.is_none())
    }

    /// Puts a change aside until it is known for whom the feed speaks that signed it; at most so many.
    pub(crate) fn put_change_aside(
        &mut self,
        number: u32,
        id: &Digest,
        change: &[u8],
        most: u64,
    ) -> Result<(), StoreError> {
        let mut changes = self.txn.open_table(CHANGES)?;
        let mut held = 0;
        for row in changes.range((number, &[0; 32])..=(number, &[0xff; 32]))? {
            held += u64::from(is_aside(row?.1.value()));
        }
        if held >= most || changes.get((number, id))?.is_some() {
            return Ok(());
        }
        changes.insert((number, id), [&[ASIDE], change].concat().as_slice())?;
        drop(changes);
        self.set_meta("aside", &[1])
    }

    /// The changes that were put aside.
    pub(crate) fn changes_aside(&self) -> Result<Vec<(u32, Digest, Vec<u8>)>, StoreError> {
        if self.meta("aside")? != Some(vec![1]) {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for row in self.txn.open_table(CHANGES)?.iter()? {
            let (place, change) = row?;
            if let Some((&ASIDE, change)) = change.value().split_first() {
                all.push((place.value().0, *place.value().1, change.to_vec()));
            }
        }
        Ok(all)
    }

    /// Takes a change off those that were put aside; or says that none is left.
    pub(crate) fn take_change_up(
        &mut self,
        change: Option<(u32, &Digest)>,
    ) -> Result<(), StoreError> {
        match change {
            Some(place) => self.txn.open_table(CHANGES)?.remove(place).map(drop)?,
            None => self.set_meta("aside", &[0])?,
        }
        Ok(())
    }

    /// The changes of a group.
    pub(crate) fn changes(&self, number: u32) -> Result<Vec<Vec<u8>>, StoreError> {
        change_rows(&self.txn.open_table(CHANGES)?, number)
    }

    /// Notes that nobody could be told of an own change yet.
    pub(crate) fn put_off_change(&mut self, number: u32, id: &Digest) -> Result<(), StoreError> {
        self.txn.open_table(CHANGES_PUT_OFF)?.insert((number, id), ())?;
        Ok(())
    }

    /// Own changes that nobody could be told of yet.
    pub(crate) fn changes_put_off(&self) -> Result<Vec<(u32, Digest, Vec<u8>)>, StoreError> {
        let changes = self.txn.open_table(CHANGES)?;
        let mut all = Vec::new();
        for row in self.txn.open_table(CHANGES_PUT_OFF)?.iter()? {
            let (place, _) = row?;
            let (number, id) = (place.value().0, *place.value().1);
            if let Some(change) = changes.get((number, &id))? {
                all.push((number, id, change.value().to_vec()));
            }
        }
        Ok(all)
    }

    /// Notes that others were told of an own change.
    pub(crate) fn change_told(&mut self, number: u32, id: &Digest) -> Result<(), StoreError> {
        self.txn.open_table(CHANGES_PUT_OFF)?.remove((number, id))?;
        Ok(())
    }

    /// Notes who belongs to a group.
    pub(crate) fn note_member(
        &mut self,
        account: &AccountId,
        number: u32,
    ) -> Result<bool, StoreError> {
        let mut members = self.txn.open_table(MEMBERS)?;
        Ok(members.insert((account.as_bytes(), number), ())?.is_none())
    }

    /// Whether somebody belongs to a group, or did.
    pub(crate) fn is_member(&self, account: &AccountId) -> Result<bool, StoreError> {
        let members = self.txn.open_table(MEMBERS)?;
        let id = account.as_bytes();
        Ok(members.range((id, 0)..=(id, u32::MAX))?.next().is_some())
    }

    /// Everybody who belongs to a group, or did.
    pub(crate) fn all_members(&self) -> Result<Vec<AccountId>, StoreError> {
        let members = self.txn.open_table(MEMBERS)?;
        let rows = members.iter()?;
        rows.map(|row| Ok(AccountId::from_bytes(*row?.0.value().0))).collect()
    }

    /// How many groups there are.
    pub(crate) fn groups(&self) -> Result<u64, StoreError> {
        let mut count = 0;
        for row in self.txn.open_table(CONVERSATIONS)?.iter()? {
            let row = ConversationRow::decode(row?.1.value())?;
            count += u64::from(row.kind == RosterKind::Group);
        }
        Ok(count)
    }

    /// Notes that the own other devices are to hear of a contact.
    pub(crate) fn tell_devices(&mut self, account: &AccountId) -> Result<(), StoreError> {
        self.txn.open_table(UNTOLD)?.insert(account.as_bytes(), ())?;
        Ok(())
    }

    /// Contacts of which the own other devices are to hear.
    pub(crate) fn untold(&self) -> Result<Vec<AccountId>, StoreError> {
        let rows = self.txn.open_table(UNTOLD)?;
        let rows = rows.iter()?;
        rows.map(|row| Ok(AccountId::from_bytes(*row?.0.value()))).collect()
    }

    /// Notes that the own other devices heard of a contact.
    pub(crate) fn told(&mut self, account: &AccountId) -> Result<(), StoreError> {
        self.txn.open_table(UNTOLD)?.remove(account.as_bytes())?;
        Ok(())
    }

    /// The number of a conversation, if it is known.
    pub(crate) fn conversation(&self, id: &Digest) -> Result<Option<u32>, StoreError> {
        Ok(self.txn.open_table(CONVERSATION_IDS)?.get(id)?.map(|row| row.value()))
    }

    /// The number of a conversation; a new one if need be.
    pub(crate) fn begin_conversation(&mut self, row: &ConversationRow) -> Result<u32, StoreError> {
        if let Some(number) = self.conversation(&row.id)? {
            return Ok(number);
        }
        let mut ids = self.txn.open_table(CONVERSATION_IDS)?;
        let mut rows = self.txn.open_table(CONVERSATIONS)?;
        let number = rows.last()?.map_or(0, |(last, _)| last.value()).saturating_add(1);
        ids.insert(&row.id, number)?;
        rows.insert(number, row.encode().as_slice())?;
        Ok(number)
    }

    /// What is known of a conversation.
    pub(crate) fn conversation_row(&self, number: u32) -> Result<ConversationRow, StoreError> {
        let rows = self.txn.open_table(CONVERSATIONS)?;
        let row = rows.get(number)?.ok_or(StoreError::Damaged { what: "a conversation" })?;
        ConversationRow::decode(row.value())
    }

    /// Keeps what is known of a conversation.
    pub(crate) fn set_conversation(
        &mut self,
        number: u32,
        row: &ConversationRow,
    ) -> Result<(), StoreError> {
        self.txn.open_table(CONVERSATIONS)?.insert(number, row.encode().as_slice())?;
        Ok(())
    }

    /// Own prekeys whose private halves are here, newest first.
    pub(crate) fn own_prekeys(&self) -> Result<Vec<(Place, OwnPrekey)>, StoreError> {
        let mut all = Vec::new();
        for row in self.txn.open_table(OWN_PREKEYS)?.iter()?.rev() {
            let (place, row) = row?;
            all.push((place.value(), OwnPrekey::decode(row.value())?));
        }
        Ok(all)
    }

    /// The private half of an own prekey.
    pub(crate) fn prekey_secret(
        &self,
        (feed, seq): (u32, u64),
        prekey: &OwnPrekey,
    ) -> Result<Seed, StoreError> {
        let place = (u64::from(feed), seq);
        unlock(&self.lock_key()?, "prekey", place, &prekey.locked).ok_or(LOCKED)
    }

    /// Keeps the private half of an own prekey that was just published.
    pub(crate) fn add_own_prekey(
        &mut self,
        (feed, seq): (u32, u64),
        name: [u8; 8],
        secret: &Seed,
    ) -> Result<(), StoreError> {
        let key = lock_of(&self.lock_key()?, "prekey", (u64::from(feed), seq));
        let locked = seal(&key, &[], secret.expose());
        let since = self.known.minutes();
        self.set_own_prekey((feed, seq), &OwnPrekey { name, locked, since, until: None })
    }

    /// Keeps what is known of an own prekey.
    pub(crate) fn set_own_prekey(
        &mut self,
        place: (u32, u64),
        prekey: &OwnPrekey,
    ) -> Result<(), StoreError> {
        self.txn.open_table(OWN_PREKEYS)?.insert(place, prekey.encode().as_slice())?;
        Ok(())
    }

    /// Forgets the private half of an own prekey, and the keys of all epochs that it opened.
    pub(crate) fn forget_own_prekey(&mut self, place: (u32, u64)) -> Result<(), StoreError> {
        self.txn.open_table(OWN_PREKEYS)?.remove(place)?;
        self.note_given_up()?;
        let mut over = Vec::new();
        for row in self.txn.open_table(EPOCHS)?.iter()? {
            let (key, _) = row?;
            over.push(key.value());
        }
        for epoch in over {
            if self.epoch(epoch)?.is_some_and(|row| row.prekey == Some(place)) {
                self.forget_epoch(epoch)?;
            }
        }
        Ok(())
    }

    /// Forgets an epoch and the tags that were looked out for.
    pub(crate) fn forget_epoch(&mut self, (feed, epoch): (u32, u64)) -> Result<(), StoreError> {
        self.txn.open_table(EPOCHS)?.remove((feed, epoch))?;
        self.note_given_up()?;
        let range = (feed, 0)..=(feed, u64::MAX);
        self.txn.open_table(TAGS)?.retain_in(range, |_, row| row.0 != epoch)?;
        Ok(())
    }

    /// Notes a prekey of somebody that is here.
    pub(crate) fn note_prekey(&mut self, feed: u32, seq: u64) -> Result<(), StoreError> {
        self.txn.open_table(PREKEYS)?.insert((feed, seq), ())?;
        Ok(())
    }

    /// The place of a feed's newest prekey.
    pub(crate) fn newest_prekey(&self, feed: u32) -> Result<Option<u64>, StoreError> {
        let prekeys = self.txn.open_table(PREKEYS)?;
        let last = prekeys.range((feed, 0)..=(feed, u64::MAX))?.next_back().transpose()?;
        Ok(last.map(|(place, _)| place.value().1))
    }

    /// What is kept of an epoch.
    pub(crate) fn epoch(&self, place: (u32, u64)) -> Result<Option<EpochRow>, StoreError> {
        let epochs = self.txn.open_table(EPOCHS)?;
        let Some(row) = epochs.get(place)? else { return Ok(None) };
        let key = self.lock_key()?;
        let at = (u64::from(place.0), place.1);
        EpochRow::decode(row.value(), |locked| unlock(&key, "epoch", at, locked)).map(Some)
    }

    /// Keeps an epoch.
    pub(crate) fn set_epoch(
        &mut self,
        place: (u32, u64),
        row: &EpochRow,
    ) -> Result<(), StoreError> {
        let key = lock_of(&self.lock_key()?, "epoch", (u64::from(place.0), place.1));
        let locked = seal(&key, &[], row.key.expose());
        self.txn.open_table(EPOCHS)?.insert(place, row.encode(&locked).as_slice())?;
        Ok(())
    }

    /// Notes that a feed is of an account. Whether that is news.
    pub(crate) fn note_feed(&mut self, account: &AccountId, feed: u32) -> Result<bool, StoreError> {
        let mut feeds = self.txn.open_table(ACCOUNT_FEEDS)?;
        Ok(feeds.insert((account.as_bytes(), feed), ())?.is_none())
    }

    /// Feeds of an account that are held, or were.
    pub(crate) fn feeds_of(&self, account: &AccountId) -> Result<Vec<u32>, StoreError> {
        account_feeds(&self.txn.open_table(ACCOUNT_FEEDS)?, account)
    }

    /// What the account said of one of its devices: 1 added, 2 revoked.
    pub(crate) fn standing(
        &self,
        account: &AccountId,
        feed: &FeedId,
    ) -> Result<Option<u8>, StoreError> {
        let devices = self.txn.open_table(DEVICES)?;
        Ok(devices.get(&pair(account.as_bytes(), feed.as_bytes()))?.map(|row| row.value()))
    }

    /// The first arrival after a position.
    pub(crate) fn arrival_after(
        &self,
        position: u64,
    ) -> Result<Option<(u64, Arrival)>, StoreError> {
        let log = self.txn.open_table(LOG)?;
        let next = log.range(position.saturating_add(1)..)?.next().transpose()?;
        next.map(|(at, row)| Ok((at.value(), Arrival::decode(row.value())?))).transpose()
    }

    /// Notes that somebody takes the own feed along, up to an entry.
    pub(crate) fn set_carried(&mut self, feed: u32, seq: u64) -> Result<(), StoreError> {
        self.set_meta("carried", &[&feed.to_be_bytes()[..], &seq.to_be_bytes()].concat())
    }

    /// Looks out for a tag. Where two epochs claim one, neither has it.
    pub(crate) fn expect_tag(
        &mut self,
        feed: u32,
        tag: [u8; 8],
        message: (u64, u64),
    ) -> Result<(), StoreError> {
        let mut tags = self.txn.open_table(TAGS)?;
        let place = (feed, u64::from_be_bytes(tag));
        let taken = tags.get(place)?.map(|row| row.value());
        let claimed = taken.is_some_and(|taken| taken != message);
        tags.insert(place, if claimed { (0, 0) } else { message })?;
        Ok(())
    }

    /// Of which message a tag is that is looked out for.
    pub(crate) fn expected(
        &self,
        feed: u32,
        tag: [u8; 8],
    ) -> Result<Option<(u64, u64)>, StoreError> {
        let tags = self.txn.open_table(TAGS)?;
        let found = tags.get((feed, u64::from_be_bytes(tag)))?.map(|row| row.value());
        Ok(found.filter(|found| found.0 > 0))
    }

    /// Looks out for a tag no more.
    pub(crate) fn drop_tag(&mut self, feed: u32, tag: [u8; 8]) -> Result<(), StoreError> {
        self.txn.open_table(TAGS)?.remove((feed, u64::from_be_bytes(tag)))?;
        Ok(())
    }

    /// Puts entries of a feed down to be looked at again.
    pub(crate) fn scan_again(
        &mut self,
        feed: u32,
        first: u64,
        last: u64,
    ) -> Result<(), StoreError> {
        if first <= last {
            let mut scans = self.txn.open_table(SCANS)?;
            let known = scans.get((feed, first))?.map_or(0, |row| row.value());
            scans.insert((feed, first), known.max(last))?;
        }
        Ok(())
    }

    /// Takes the next entries that are to be looked at again.
    pub(crate) fn next_scan(&mut self) -> Result<Option<(u32, u64, u64)>, StoreError> {
        let mut scans = self.txn.open_table(SCANS)?;
        let next = scans.pop_first()?;
        Ok(next.map(|(place, last)| (place.value().0, place.value().1, last.value())))
    }
}

fn contact_rows(
    table: &impl ReadableTable<&'static [u8; 32], &'static [u8]>,
) -> Result<Vec<(AccountId, ContactRow)>, StoreError> {
    let mut all = Vec::new();
    for row in table.iter()? {
        let (account, row) = row?;
        all.push((AccountId::from_bytes(*account.value()), ContactRow::decode(row.value())?));
    }
    Ok(all)
}

fn change_rows(
    table: &impl ReadableTable<(u32, &'static [u8; 32]), &'static [u8]>,
    number: u32,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut all = Vec::new();
    for row in table.range((number, &[0; 32])..=(number, &[0xff; 32]))? {
        let row = row?.1.value().to_vec();
        if !is_aside(&row) {
            all.push(row);
        }
    }
    Ok(all)
}

/// Whether a row of changes is put aside.
fn is_aside(row: &[u8]) -> bool {
    row.first() == Some(&ASIDE)
}

fn account_feeds(
    table: &impl ReadableTable<(&'static [u8; 32], u32), ()>,
    account: &AccountId,
) -> Result<Vec<u32>, StoreError> {
    let id = account.as_bytes();
    let rows = table.range((id, 0)..=(id, u32::MAX))?;
    rows.map(|row| Ok(row?.0.value().1)).collect()
}

impl Snapshot {
    /// All contacts.
    pub(crate) fn contacts(&self) -> Result<Vec<(AccountId, ContactRow)>, StoreError> {
        contact_rows(&self.txn.open_table(CONTACTS_TABLE)?)
    }

    /// Whether somebody is a contact.
    pub(crate) fn is_contact(&self, account: &AccountId) -> Result<bool, StoreError> {
        Ok(self.txn.open_table(CONTACTS_TABLE)?.get(account.as_bytes())?.is_some())
    }

    /// The number of a conversation, if it is known.
    pub(crate) fn conversation(&self, id: &Digest) -> Result<Option<u32>, StoreError> {
        Ok(self.txn.open_table(CONVERSATION_IDS)?.get(id)?.map(|row| row.value()))
    }

    /// Up to which of its entries an own feed was taken along by somebody.
    pub(crate) fn carried(&self, feed: u32) -> Result<u64, StoreError> {
        let row = self.meta("carried")?.unwrap_or_default();
        let (number, seq) = row.split_at(row.len().min(4));
        let seq = seq.try_into().map_or(0, u64::from_be_bytes);
        // What was written under an earlier feed went with it.
        Ok(match <[u8; 4]>::try_from(number).map(u32::from_be_bytes) {
            Ok(number) if number == feed => seq,
            Ok(number) if number > feed => u64::MAX,
            _ => 0,
        })
    }

    /// The changes of a group.
    pub(crate) fn changes(&self, number: u32) -> Result<Vec<Vec<u8>>, StoreError> {
        change_rows(&self.txn.open_table(CHANGES)?, number)
    }

    /// The groups, each with the number of its conversation.
    pub(crate) fn groups(&self) -> Result<Vec<(u32, Digest)>, StoreError> {
        let mut all = Vec::new();
        for row in self.txn.open_table(CONVERSATIONS)?.iter()? {
            let (number, row) = row?;
            let row = ConversationRow::decode(row.value())?;
            if row.kind == RosterKind::Group {
                all.push((number.value(), row.id));
            }
        }
        Ok(all)
    }

    /// Whether entries are to be looked at again or receipts are due.
    pub(crate) fn has_sealed_work(&self) -> Result<bool, StoreError> {
        Ok(!self.txn.open_table(SCANS)?.is_empty()?
            || !self.txn.open_table(RECEIPTS_DUE)?.is_empty()?)
    }

    /// The minute of known time at which a prekey is to be renewed or destroyed.
    pub(crate) fn next_renewal(&self) -> Result<Option<u64>, StoreError> {
        Ok(self.meta("renewal")?.and_then(|row| row.try_into().ok()).map(u64::from_be_bytes))
    }

    /// Feeds of an account that are held.
    pub(crate) fn feeds_of(&self, account: &AccountId) -> Result<Vec<u32>, StoreError> {
        account_feeds(&self.txn.open_table(ACCOUNT_FEEDS)?, account)
    }

    /// Whether a prekey of a feed is here.
    pub(crate) fn has_prekey(&self, feed: u32) -> Result<bool, StoreError> {
        let prekeys = self.txn.open_table(PREKEYS)?;
        Ok(prekeys.range((feed, 0)..=(feed, u64::MAX))?.next().is_some())
    }
}
