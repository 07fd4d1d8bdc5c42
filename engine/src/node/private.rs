//! Contacts and private messages: what the user does with them.

use crate::account::AccountKey;
use crate::content::{Content, Post};
use crate::ingest;
use crate::key::{AccountId, Digest, FeedId, Seed};
use crate::limits::{PAYLOAD_BYTES, TTL_HOURS};
use crate::node::Node;
use crate::own::{WriteError, Written, encode, write_own};
use crate::seal::{Action, Card, Inner, contact_secret};
use crate::sealing::{self, Audience, Changed, Own};
use crate::store::StorageBackend;
use crate::store::{ContactRow, StoreError, Writer};
use crate::time::{Known, Now};

/// Entries that one idle step looks at.
const OPEN_STEP: u64 = 2_000;

/// What came of adding a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// The person is a contact now.
    New,
    /// The person was one, and the card says the same or is newer.
    Known,
    /// The card is of this person here.
    Oneself,
    /// The card is older than the one that is known.
    Outdated,
    /// There are as many contacts as there may be.
    Full,
    /// The key on the card gives nothing away: nobody honest has it.
    Unusable,
    /// This home has no card of its own yet.
    NoCard,
}

/// What became of a private message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is sealed and durable.
    Written(Written),
    /// It is durable, and will be sealed as soon as somebody can open it.
    Waits,
    /// The audience is unknown.
    Nobody,
}

/// Keeps what the account signs for the card of this home.
pub(super) fn keep_card(
    writer: &mut Writer<'_>,
    account: &AccountKey,
    feed: &FeedId,
    generation: u64,
) -> Result<(), StoreError> {
    let (secret, card) = Card::issue(account, generation, *feed, None);
    sealing::keep_card(writer, &card, &secret)
}

/// A generation of the account's key that no device has that it revoked.
fn next_card(
    writer: &mut Writer<'_>,
    account: &AccountId,
    feed: &FeedId,
) -> Result<u64, StoreError> {
    let known = sealing::own_card(writer, feed)?.map_or(0, |(card, _)| card.generation);
    Ok(known.max(writer.revoked(account)?))
}

impl Node {
    /// Takes the file for the key that locks what is to be forgotten: two slots that are erased in
    /// turn. Whoever opens a node gives it the same file before anything else; without one nothing is
    /// forgotten for good. An empty file begins anew.
    pub fn lock_with(&mut self, now: Now, file: impl StorageBackend) -> Result<(), StoreError> {
        let fresh = self.pool.draw();
        self.store.lock_with(now, file, &fresh)?;
        // What is overdue goes before anybody is met.
        let known = self.store.known(now);
        if self.has_sealed_work(known)? {
            self.open_sealed(now)?;
        }
        Ok(())
    }

    fn change_lock(&mut self, now: Now) -> Result<(), StoreError> {
        if self.store.is_lock_due()? {
            let fresh = self.pool.draw();
            self.store.change_lock(now, &fresh)?;
        }
        Ok(())
    }

    /// Mixes fresh secret bytes in: who read the memory before knows no secret that is drawn later.
    pub fn stir(&mut self, fresh: &Seed) {
        self.pool.stir(fresh);
    }

    /// Lets the account sign a card, where a home of an earlier program has none.
    pub fn make_card(&mut self, now: Now, account: &AccountKey) -> Result<(), StoreError> {
        let feed = self.key.feed();
        self.settled = false;
        self.store.write(now, |writer| {
            let before = sealing::own_card(writer, &feed)?.map(|(card, _)| card.generation);
            let generation = next_card(writer, &account.id(), &feed)?;
            let (secret, card) = Card::issue(account, generation, feed, None);
            match before {
                Some(before) if before >= generation => Ok(()),
                _ => sealing::renew_card(writer, &card, &secret),
            }
        })
    }

    /// Lets the account say that a device is its own no longer, for ever. The account goes on with another
    /// key for agreement, of which contacts and the other own devices are told: what is shared with
    /// each begins anew, and the device that was revoked learns none of it.
    pub fn revoke(
        &mut self,
        now: Now,
        account: &AccountKey,
        device: &FeedId,
    ) -> Result<Written, WriteError> {
        let me = self.me()?;
        if account.id() != me.account || *device == me.feed {
            return Err(WriteError::NotHere);
        }
        let payload = encode(&Content::Device(account.revoke(device)), 0)?;
        let (number, key, pool) = (self.me, &self.key, &mut self.pool);
        self.settled = false;
        let written = self.store.write(now, |writer| {
            let known = sealing::own_card(writer, &me.feed)?;
            let written = write_own(writer, number, key, vec![(payload, 0)])?;
            if let Some((before, _)) = known {
                let least = before.generation.saturating_add(1);
                let generation = next_card(writer, &me.account, &me.feed)?.max(least);
                let (secret, card) = Card::issue(account, generation, me.feed, None);
                sealing::renew_card(writer, &card, &secret)?;
                writer.owe_card(&me.account)?;
                for (contact, _) in writer.contacts()? {
                    writer.owe_card(&contact)?;
                }
            }
            if sealing::is_used(writer)? {
                sealing::renew_carriers(writer, &mut Own { number, key, pool }, true)?;
            }
            Ok::<_, StoreError>(written)
        })?;
        written.into_iter().next().ok_or(WriteError::NotHere)
    }

    /// Sends each of two contacts the other one's card, so that they can write to each other. `Waits`: one
    /// of them cannot be written to yet, and nothing was sent. `Nobody`: they are not two contacts.
    pub fn introduce(
        &mut self,
        now: Now,
        one: &AccountId,
        other: &AccountId,
    ) -> Result<Sent, StoreError> {
        let (number, key, pool) = (self.me, &self.key, &mut self.pool);
        self.settled = false;
        self.store.write(now, |writer| {
            let own = &mut Own { number, key, pool };
            let rows = (writer.contact(one)?, writer.contact(other)?);
            let (Some(first), Some(second)) = rows else { return Ok(Sent::Nobody) };
            if one == other {
                return Ok(Sent::Nobody);
            }
            for account in [one, other] {
                if !sealing::is_reachable(writer, own, account)? {
                    return Ok(Sent::Waits);
                }
            }
            let mut sent = Sent::Waits;
            for (to, card) in [(one, second.card), (other, first.card)] {
                let audience = Audience::Contact(*to);
                if let Some(conversation) = sealing::conversation_with(writer, own, &audience)?
                    && let Some(written) =
                        sealing::send(writer, own, conversation, &Inner::Introduction(card), 0)?
                {
                    sent = Sent::Written(written);
                }
            }
            Ok(sent)
        })
    }

    /// Forgets that somebody was introduced. False: nobody did.
    pub fn decline(&mut self, now: Now, account: &AccountId) -> Result<bool, StoreError> {
        self.store.write(now, |writer| writer.forget_introductions(account, false))
    }

    /// The contact card of this home; from now on others can write to it privately. None: the account
    /// has to sign one first.
    pub fn card(&mut self, now: Now) -> Result<Option<Card>, StoreError> {
        let (number, key, pool) = (self.me, &self.key, &mut self.pool);
        self.settled = false;
        self.store.write(now, |writer| {
            let Some((card, _)) = sealing::own_card(writer, &key.feed())? else { return Ok(None) };
            sealing::begin(writer, &mut Own { number, key, pool })?;
            Ok(Some(card))
        })
    }

    /// Adds a person, or takes a newer card of one. `verified`: the user made sure of the card.
    pub fn add_contact(
        &mut self,
        now: Now,
        card: &Card,
        name: Option<&str>,
        verified: bool,
    ) -> Result<Added, StoreError> {
        let (number, key, pool) = (self.me, &self.key, &mut self.pool);
        self.settled = false;
        self.store.write(now, |writer| {
            let Some((mine, secret)) = sealing::own_card(writer, &key.feed())? else {
                return Ok(Added::NoCard);
            };
            if card.account == mine.account {
                return Ok(Added::Oneself);
            }
            sealing::begin(writer, &mut Own { number, key, pool })?;
            let shared = contact_secret(&secret, &mine.account, &card.account, &card.agreement);
            let Some(shared) = shared else { return Ok(Added::Unusable) };
            let generation = sealing::first_generation(mine.generation, card.generation);
            let known = writer.contact(&card.account)?;
            let added = if known.is_some() { Added::Known } else { Added::New };
            let mut row = known.unwrap_or_else(|| ContactRow {
                card: card.encode(),
                name: None,
                verified: false,
                generation,
                secret: shared.clone(),
                previous: None,
                confirmed: None,
                shares: Vec::new(),
                devices: vec![card.feed],
            });
            let before = Card::decode(&row.card).map_or(0, |card| card.generation);
            if card.generation < before {
                return Ok(Added::Outdated);
            }
            if card.generation > before {
                let until = writer.known.minutes().saturating_add(sealing::PREVIOUS);
                row.previous = Some((row.secret, until));
                (row.secret, row.generation, row.verified) = (shared, generation, false);
                (row.confirmed, row.shares) = (None, Vec::new());
            }
            row.card = card.encode();
            row.verified |= verified;
            row.name = name.map(str::to_owned).or(row.name);
            if !writer.set_contact(&card.account, &row)? {
                return Ok(Added::Full);
            }
            writer.tell_devices(&card.account)?;
            writer.introduction_taken(&card.account)?;
            if added == Added::New {
                sealing::begin_with(writer, &card.account)?;
            }
            sealing::look_at_account(writer, &card.account)?;
            ingest::regroup(writer)?;
            Ok(added)
        })
    }

    /// Says that the user made sure of a contact's card, or gives the person another name. False: it is
    /// no contact.
    pub fn change_contact(
        &mut self,
        now: Now,
        account: &AccountId,
        name: Option<&str>,
        verified: bool,
    ) -> Result<bool, StoreError> {
        self.store.write(now, |writer| {
            let Some(mut row) = writer.contact(account)? else { return Ok(false) };
            row.verified |= verified;
            row.name = name.map(str::to_owned).or(row.name);
            writer.tell_devices(account)?;
            writer.set_contact(account, &row)
        })
    }

    /// Removes a contact: nothing is sealed to the person any more. What was said stays.
    pub fn remove_contact(&mut self, now: Now, account: &AccountId) -> Result<bool, StoreError> {
        let (number, key, pool) = (self.me, &self.key, &mut self.pool);
        self.store.write(now, |writer| {
            let Some(row) = writer.contact(account)? else { return Ok(false) };
            let own = &mut Own { number, key, pool };
            sealing::tell_removed(writer, own, &row)?;
            let removed = writer.remove_contact(account)?;
            if removed {
                sealing::leave(writer, account)?;
                sealing::shut_out(writer, own, account)?;
                writer.forget_introductions(account, true)?;
                ingest::regroup(writer)?;
            }
            Ok(removed)
        })
    }

    /// Says whether a contact may carry a feed that only those who are listed may. False: it is no
    /// contact.
    pub fn list_contact(
        &mut self,
        now: Now,
        account: &AccountId,
        on: bool,
    ) -> Result<bool, StoreError> {
        let (number, key, pool) = (self.me, &self.key, &mut self.pool);
        self.settled = false;
        self.store.write(now, |writer| {
            if writer.contact(account)?.is_none() {
                return Ok(false);
            }
            if writer.set_listed(account, on)? {
                sealing::renew_carriers(writer, &mut Own { number, key, pool }, !on)?;
            }
            Ok(true)
        })
    }

    /// Says whether this node meets contacts only from now on: nobody else hears anything of it.
    pub fn seclude(&mut self, now: Now, on: bool) -> Result<(), StoreError> {
        self.store.write(now, |writer| writer.set_secluded(on))
    }

    /// Notes which new devices of contacts the user was told of: from now on they are sealed to, also
    /// what waited for them.
    pub fn accept_devices(
        &mut self,
        now: Now,
        devices: &[(AccountId, FeedId)],
    ) -> Result<(), StoreError> {
        let (number, key, pool) = (self.me, &self.key, &mut self.pool);
        self.settled = false;
        self.store.write(now, |writer| {
            for (account, feed) in devices {
                if let Some(mut row) = writer.contact(account)?
                    && !row.devices.contains(feed)
                {
                    row.devices.push(*feed);
                    writer.set_contact(account, &row)?;
                }
            }
            sealing::empty_outbox(writer, &mut Own { number, key, pool })
        })
    }

    /// Writes a private message; it is durable when this returns. A reply names what it answers first
    /// among its parents; the other parents are found here.
    pub fn write_private(
        &mut self,
        now: Now,
        audience: &Audience,
        post: Post,
        ttl: u32,
    ) -> Result<Sent, WriteError> {
        if u64::from(ttl) > TTL_HOURS {
            return Err(WriteError::TooLong { found: u64::from(ttl), limit: TTL_HOURS });
        }
        let (number, key, pool) = (self.me, &self.key, &mut self.pool);
        self.settled = false;
        self.store.write(now, |writer| {
            let own = &mut Own { number, key, pool };
            let Some(conversation) = sealing::conversation_with(writer, own, audience)? else {
                return Ok(Sent::Nobody);
            };
            let content = sealing::in_conversation(writer, conversation, post)?;
            let inner = Inner::Content(content.clone());
            if let Err(found) = sealing::fits(&inner) {
                return Err(WriteError::TooLarge { found, limit: PAYLOAD_BYTES });
            }
            Content::decode(&content.encode()).map_err(|_| WriteError::NotHere)?;
            let written = sealing::write_post(writer, own, conversation, content.clone(), ttl)?;
            if let Some(written) = written {
                return Ok(Sent::Written(written));
            }
            sealing::put_off(writer, conversation, content, ttl)?;
            Ok(Sent::Waits)
        })
    }

    /// Begins a group with some contacts.
    pub fn create_group(
        &mut self,
        now: Now,
        name: &str,
        members: &[AccountId],
        history: bool,
    ) -> Result<Changed, StoreError> {
        let mut members = members.to_vec();
        members.sort_unstable();
        members.dedup();
        let draw = self.pool.draw();
        let salt = draw.expose().first_chunk().copied().unwrap_or_default();
        let action = Action::Create { name: name.to_owned(), members, history, salt };
        self.change(now, None, action)
    }

    /// Changes a group: takes somebody in or puts somebody out, renames it, leaves it.
    pub fn change_group(
        &mut self,
        now: Now,
        group: &Digest,
        action: Action,
    ) -> Result<Changed, StoreError> {
        self.change(now, Some(*group), action)
    }

    fn change(
        &mut self,
        now: Now,
        group: Option<Digest>,
        action: Action,
    ) -> Result<Changed, StoreError> {
        let (number, key, pool) = (self.me, &self.key, &mut self.pool);
        self.settled = false;
        self.store.write(now, |writer| {
            let own = &mut Own { number, key, pool };
            sealing::begin(writer, own)?;
            sealing::change(writer, own, group, action)
        })
    }

    /// Notes that what an audience said was shown, so that its authors may hear of it.
    pub fn mark_read(&mut self, now: Now, shown: &[(FeedId, u64)]) -> Result<(), StoreError> {
        self.store.write(now, |writer| sealing::note_read(writer, shown))
    }

    /// Notes that all that was written here up to an entry leaves this device, on a stick for instance.
    pub fn note_carried(&mut self, now: Now, seq: u64) -> Result<(), StoreError> {
        let number = self.me;
        self.store.write(now, |writer| writer.set_carried(number, seq))
    }

    /// Keeps how the person is called for contacts; it is published with the first public message.
    pub fn keep_name(&mut self, now: Now, name: &str) -> Result<(), StoreError> {
        self.store.write(now, |writer| {
            writer.set_meta("name", name.as_bytes())?;
            writer.set_meta(crate::own::UNTOLD, &[1])
        })
    }

    /// Says whether the authors of private messages hear that these arrived. Those that are due when it is
    /// switched off are not sent.
    pub fn set_receipts(&mut self, now: Now, on: bool) -> Result<(), StoreError> {
        self.store.write(now, |writer| {
            while !on && writer.take_receipts()?.is_some() {}
            writer.set_meta("receipts", &[u8::from(on)])
        })
    }

    /// Deletes what entries say from this device, and the keys of what was private; nobody is told, and
    /// it is not taken in again. How many of them are gone: not those that hold a feed together.
    pub fn delete(&mut self, now: Now, entries: &[(FeedId, u64)]) -> Result<u64, StoreError> {
        self.settled = false;
        let gone = self.store.write(now, |writer| {
            let mut gone = 0_u64;
            for (feed, seq) in entries {
                let mut here = false;
                for branch in 0..=1 {
                    if let Some(number) = writer.number(feed, branch)?
                        && writer.is_held(number)?
                    {
                        here |= ingest::delete(writer, number, *seq)?;
                    }
                }
                gone = gone.saturating_add(u64::from(here));
            }
            Ok::<_, StoreError>(gone)
        })?;
        // The keys are destroyed before this returns.
        self.change_lock(now)?;
        Ok(gone)
    }

    pub(super) fn has_sealed_work(&self, known: Known) -> Result<bool, StoreError> {
        Ok(sealing::has_work(&self.store.snapshot()?, known.minutes())?
            || self.store.is_lock_due()?)
    }

    /// One step of opening what arrived. Whether more waits.
    pub(super) fn open_sealed(&mut self, now: Now) -> Result<bool, StoreError> {
        let (number, key, pool) = (self.me, &self.key, &mut self.pool);
        let more = self.store.write(now, |writer| {
            sealing::advance(writer, &mut Own { number, key, pool }, OPEN_STEP)
        })?;
        self.change_lock(now)?;
        Ok(more)
    }
}
