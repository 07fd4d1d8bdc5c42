//! What a reader sees of contacts and private messages.

use std::collections::{BTreeMap, BTreeSet};

use crate::content::{Carry, Content};
use crate::entry::EntryId;
use crate::key::{AccountId, Context, FeedId, Seed};
use crate::reader::{Me, Reader};
use crate::seal::{Card, State, carriage_secret, pair_of};
use crate::sealing::{Audience, state_of, waiting};
use crate::store::{ContactRow, Found, StoreError};

/// A person whom the user added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The person.
    pub account: AccountId,
    /// The card that was read last.
    pub card: Card,
    /// The user's own name for the person.
    pub name: Option<String>,
    /// Whether the user made sure of the card.
    pub verified: bool,
    /// Who introduced the person, if a contact did.
    pub introduced_by: Option<AccountId>,
    /// Devices of the person that are known here.
    pub feeds: Vec<FeedId>,
    /// Those of them of which the user was not told yet.
    pub new_feeds: Vec<FeedId>,
    /// Whether messages to the person can be sealed now.
    pub reachable: bool,
}

/// What this person and a contact share, for what only the two may recognise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The contact.
    pub account: AccountId,
    /// Counts the secrets of the two.
    pub generation: u64,
    /// What they share now.
    pub secret: Seed,
    /// What they shared before, while it counts.
    pub previous: Option<Seed>,
}

/// Somebody for whom a sealed bundle is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedFor {
    /// Who it is: one person, or the other members of a group; nobody if others may find it too.
    pub accounts: Vec<AccountId>,
    /// Whether a feed of this home that only some may carry is for that reader too.
    pub carries: bool,
    /// The feeds that it is for; all that may if none is named.
    pub feeds: Vec<FeedId>,
    /// By what that reader finds its part.
    pub secret: Seed,
    /// The device that told how far it has read; none if nobody did.
    pub told: Option<FeedId>,
}

/// How far a private message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// It waits until it can be sealed.
    Waits,
    /// It is sealed and durable here.
    Written,
    /// Somebody took it along.
    Carried,
    /// The recipient could not open it; it is sealed again.
    Unreadable,
    /// It is at the recipient.
    Delivered,
    /// The recipient saw it.
    Read,
}

/// Something said in private.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Who said it.
    pub author: AccountId,
    /// In which entry; none if it waits to be sealed.
    pub entry: Option<(FeedId, u64, EntryId)>,
    /// One more than the largest lamport of its parents.
    pub lamport: u32,
    /// What it says.
    pub content: Content,
    /// How far an own message came.
    pub progress: Option<Progress>,
    /// Who handed it on, if it rests on the word of somebody who is not its author.
    pub handed_by: Option<AccountId>,
}

impl Reader {
    /// Everybody whom the user added.
    pub fn contacts(&self) -> Result<Vec<Contact>, StoreError> {
        let mut all = Vec::new();
        let introduced = self.snapshot.introduced()?;
        for (account, row) in self.snapshot.contacts()? {
            let by = introduced.iter().find(|row| row.account == account && row.taken);
            let introduced_by = by.map(|row| row.by);
            let damaged = |_| StoreError::Damaged { what: "a row of a contact" };
            let card = Card::decode(&row.card).map_err(damaged)?;
            let (mut feeds, mut new_feeds, mut reachable) = (Vec::new(), Vec::new(), false);
            for number in self.snapshot.feeds_of(&account)? {
                let Some(feed) = self.snapshot.held_row(number)? else { continue };
                if self.standing(&account, &feed.id)? == Some(2) {
                    continue;
                }
                let told = row.devices.contains(&feed.id);
                reachable |= told && self.snapshot.has_prekey(number)?;
                if !told {
                    new_feeds.push(feed.id);
                }
                feeds.push(feed.id);
            }
            let (name, verified) = (row.name, row.verified);
            all.push(Contact {
                account,
                card,
                name,
                verified,
                introduced_by,
                feeds,
                new_feeds,
                reachable,
            });
        }
        Ok(all)
    }

    /// People whom contacts introduced and who are no contacts: who did, and the card.
    pub fn introductions(&self) -> Result<Vec<(AccountId, Card)>, StoreError> {
        let rows = self.snapshot.introduced()?.into_iter().filter(|row| !row.taken);
        let damaged = |_| StoreError::Damaged { what: "a card" };
        rows.map(|row| Ok((row.by, Card::decode(&row.card).map_err(damaged)?))).collect()
    }

    /// What this person shares with each contact.
    pub fn shared(&self) -> Result<Vec<Shared>, StoreError> {
        let now = self.snapshot.known().minutes();
        let rows = self.snapshot.contacts()?.into_iter();
        let shared = |(account, row): (AccountId, ContactRow)| {
            let previous = row.previous.filter(|(_, until)| now < *until).map(|(secret, _)| secret);
            Shared { account, generation: row.generation, secret: row.secret, previous }
        };
        Ok(rows.map(shared).collect())
    }

    /// Every group that this person belongs to or belonged to, as it is known here.
    pub fn groups(&self) -> Result<Vec<State>, StoreError> {
        let mut all = Vec::new();
        for (number, id) in self.snapshot.groups()? {
            all.extend(state_of(&self.snapshot, number, &id)?);
        }
        Ok(all)
    }

    /// For whom this home seals bundles: each contact, and the own other devices, with the secret by
    /// which they find what is for them, and the device that told last what it holds.
    pub fn readers(&self) -> Result<Vec<SealedFor>, StoreError> {
        let (me, now) = (self.me()?, self.snapshot.known().minutes());
        let (mut all, news) = (Vec::new(), self.own_open_feeds(&me.account)?);
        for (account, row) in self.snapshot.contacts()? {
            let carries = me.carry != Carry::Listed || self.snapshot.is_listed(&account)?;
            let told = self.told(&account, &me.feed)?;
            // Who has not heard of the own new card yet finds it by what was shared before.
            let before = row.in_doubt(now).cloned();
            let secret = carriage_secret(&row.secret, &me.account, &account);
            let (accounts, feeds) = (vec![account], Vec::new());
            all.push(SealedFor { accounts, carries, feeds, secret, told });
            if let Some(secret) = before.filter(|_| !news.is_empty()) {
                // A device that was revoked has that, too: no more goes by it than what the contact has
                // to hear, and nothing that is not for everybody.
                let secret = carriage_secret(&secret, &me.account, &account);
                let (accounts, feeds) = (Vec::new(), news.clone());
                all.push(SealedFor { accounts, carries: false, feeds, secret, told });
            }
        }
        if !all.is_empty()
            && let Some(secret) = self.kin_secret(&me.account)?
        {
            let told = self.told(&me.account, &me.feed)?;
            let (accounts, feeds) = (vec![me.account], Vec::new());
            all.push(SealedFor { accounts, carries: true, feeds, secret, told });
        }
        all.extend(self.strange_members(&me)?);
        Ok(all)
    }

    /// The feeds of this person's devices, but for those that were revoked, if anybody may carry them.
    fn own_open_feeds(&self, me: &AccountId) -> Result<Vec<FeedId>, StoreError> {
        let mut all = Vec::new();
        for number in self.snapshot.feeds_of(me)? {
            let Some(row) = self.snapshot.held_row(number)? else { continue };
            let is_open = row.origin.is_some_and(|origin| origin.carry == Carry::Open);
            if is_open && self.standing(me, &row.id)? != Some(2) {
                all.push(row.id);
            }
        }
        Ok(all)
    }

    /// The groups in which this home has written to somebody who is no contact.
    fn strange_members(&self, me: &Me) -> Result<Vec<SealedFor>, StoreError> {
        let mut all = Vec::new();
        let own = self.snapshot.own_number()?;
        let groups = self.snapshot.groups()?;
        for (conversation, _, secret) in
            self.snapshot.rounds()?.into_iter().filter(|round| round.1 == own)
        {
            let id = groups.iter().find(|(number, _)| *number == conversation);
            let Some((number, id)) = id else { continue };
            let Some(state) = state_of(&self.snapshot, *number, id)? else { continue };
            let members = state.members.iter().map(|member| member.account);
            let accounts: Vec<AccountId> = members.filter(|member| *member != me.account).collect();
            let mut strange = false;
            for account in &accounts {
                strange |= !self.snapshot.is_contact(account)?;
            }
            if strange {
                // A feed that only some may carry is for contacts alone.
                let carries = me.carry == Carry::Open;
                all.push(SealedFor { accounts, carries, feeds: Vec::new(), secret, told: None });
            }
        }
        Ok(all)
    }

    /// The device of an account that told in a bundle how far it had read this home's.
    fn told(&self, account: &AccountId, own: &FeedId) -> Result<Option<FeedId>, StoreError> {
        let mut best = None;
        for number in self.snapshot.feeds_of(account)? {
            let Some(row) = self.snapshot.held_row(number)? else { continue };
            if row.id == *own {
                continue;
            }
            let peer = self.snapshot.peer(&row.id)?;
            let known = peer.and_then(|peer| peer.ack).map(|(position, _)| position);
            best = best.max(known.map(|position| (position, row.id)));
        }
        Ok(best.map(|(_, feed)| feed))
    }

    /// A secret of this one device, by which it finds again what it left somewhere.
    pub fn device_secret(&self) -> Result<Option<Seed>, StoreError> {
        let secret = self.snapshot.secret("device")?.and_then(|secret| secret.try_into().ok());
        Ok(secret.map(|secret| Seed::new(secret).derive(Context::Carriage, b"own")))
    }

    /// Secrets by which this home finds what is for it in the sealed bundles of others: of each contact
    /// what is shared now, was before, or may be next; and one of the own other devices.
    pub fn taking_secrets(&self) -> Result<Vec<Seed>, StoreError> {
        let (me, now) = (self.me()?.account, self.snapshot.known().minutes());
        let mut all: Vec<Seed> = self.kin_secret(&me)?.into_iter().collect();
        for (account, row) in self.snapshot.contacts()? {
            let secrets = row.in_use(now);
            all.extend(secrets.iter().map(|secret| carriage_secret(secret, &account, &me)));
        }
        let own = self.snapshot.own_number()?;
        let rounds = self.snapshot.rounds()?.into_iter();
        all.extend(rounds.filter(|round| round.1 != own).map(|(.., secret)| secret));
        Ok(all)
    }

    /// What the devices of this person share.
    fn kin_secret(&self, me: &AccountId) -> Result<Option<Seed>, StoreError> {
        let secret = self.snapshot.secret("agreement")?;
        let secret = secret.and_then(|secret| secret.try_into().ok()).map(Seed::new);
        Ok(secret.map(|secret| carriage_secret(&secret, me, me)))
    }

    /// Who is to have what is said with an audience.
    fn awaited(&self, audience: &Audience, number: u32) -> Result<Awaited, StoreError> {
        let (present, epochs) = match audience {
            Audience::Contact(with) => (vec![*with], BTreeMap::new()),
            Audience::Group(group) => {
                let state = state_of(&self.snapshot, number, group)?;
                let members = state.into_iter().flat_map(|state| state.members);
                let me = self.me()?.account;
                let others = members.map(|member| member.account).filter(|one| *one != me);
                (others.collect(), self.snapshot.own_epochs(number)?)
            }
        };
        Ok(Awaited { present: present.into_iter().collect(), epochs })
    }

    /// What was said with an audience: the newest `limit` that `fits`, oldest first.
    pub fn said(
        &self,
        audience: &Audience,
        limit: usize,
        fits: &mut dyn FnMut(&Said) -> bool,
    ) -> Result<Vec<Said>, StoreError> {
        let me = self.me()?.account;
        let id = match audience {
            Audience::Contact(with) => pair_of(&me, with),
            Audience::Group(group) => *group,
        };
        let Some(number) = self.snapshot.conversation(&id)? else { return Ok(Vec::new()) };
        let awaited = self.awaited(audience, number)?;
        let mut all = Vec::new();
        for (conversation, content) in waiting(&self.snapshot)?.into_iter().rev() {
            let progress = Some(Progress::Waits);
            let handed_by = None;
            let said = Said { author: me, entry: None, lamport: 0, content, progress, handed_by };
            if conversation == number && fits(&said) {
                all.push(said);
            }
        }
        self.snapshot.said(number, &mut |found| {
            if all.len() >= limit {
                return Ok(false);
            }
            let said = self.said_of(&found, &awaited)?;
            all.extend(said.filter(|said| fits(said)));
            Ok(true)
        })?;
        all.truncate(limit);
        all.reverse();
        Ok(all)
    }

    fn said_of(&self, found: &Found, awaited: &Awaited) -> Result<Option<Said>, StoreError> {
        let &Found { feed, seq, lamport, ref text } = found;
        let (Some(row), Some(held)) =
            (self.snapshot.held_row(feed)?, self.snapshot.entry(feed, seq)?)
        else {
            return Ok(None);
        };
        let (Some(origin), Ok(content)) = (row.origin, Content::decode(text)) else {
            return Ok(None);
        };
        let progress = if row.own == 0 { None } else { Some(self.how_far((feed, seq), awaited)?) };
        let entry = Some((row.id, seq, held.id));
        let (author, handed_by) = (origin.account, self.snapshot.handed_by((feed, seq))?);
        Ok(Some(Said { author, entry, lamport, content, progress, handed_by }))
    }

    /// How far an own message came: all for whom it is have to have it.
    fn how_far(&self, (feed, seq): (u32, u64), awaited: &Awaited) -> Result<Progress, StoreError> {
        let arrived: BTreeMap<AccountId, u8> =
            self.snapshot.arrived(feed, seq)?.into_iter().collect();
        let mut states: Vec<Option<u8>> =
            awaited.at((feed, seq)).map(|account| arrived.get(account).copied()).collect();
        if states.is_empty() {
            // All of them left.
            states = arrived.into_values().map(Some).collect();
        }
        if states.contains(&Some(0)) {
            return Ok(Progress::Unreadable);
        }
        Ok(match states.into_iter().min().flatten() {
            None if self.snapshot.carried(feed)? >= seq => Progress::Carried,
            None => Progress::Written,
            Some(1) => Progress::Delivered,
            Some(_) => Progress::Read,
        })
    }
}

/// Who is to have what this person says to an audience.
struct Awaited {
    /// Those who belong to it now, without this person.
    present: BTreeSet<AccountId>,
    /// For whom the own epochs of a group were, as far as it is remembered.
    epochs: BTreeMap<(u32, u64), Vec<AccountId>>,
}

impl Awaited {
    /// Who is to have one message: those for whom it was sealed and who did not leave since. Where it is
    /// not remembered any more for whom that was, all who belong to the audience now.
    fn at(&self, (feed, seq): (u32, u64)) -> impl Iterator<Item = &AccountId> {
        let epoch = self.epochs.range((feed, 0)..=(feed, seq)).next_back();
        let sealed_for = epoch.map(|(_, accounts)| accounts);
        let is_for = move |account: &&AccountId| sealed_for.is_none_or(|all| all.contains(account));
        self.present.iter().filter(is_for)
    }
}
