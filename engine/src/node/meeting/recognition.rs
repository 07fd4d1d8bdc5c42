//! Who the other side is: tags that both sides say, and what follows for what it may hear of.
//!
//! A tag of either side suffices: who finds one answers it in its state. Only a contact, or another
//! device of the same person, is recognised; the right to carry a feed that is not open is shown in
//! the same way, without a name.

use std::collections::BTreeSet;

use crate::content::Carry;
use crate::key::{AccountId, Context, Digest, FeedId, Seed, derive, keyed};
use crate::limits::RECOGNITION_TAGS;
use crate::node::Node;
use crate::node::meeting::Meeting;
use crate::node::meeting::doubtful::Doubtful;
use crate::seal::{Says, Tag, carrier_secret, found, greeting_tags, recognition_secret, tag};
use crate::session::{Greeting, Memory, Sentence, State, VERSION};
use crate::store::{LinkRow, OriginRow, Snapshot, StoreError, THEY, WE};
use crate::time::Now;

/// What is known of the other side beyond its link.
#[derive(Debug, Default)]
pub(super) struct Recognised {
    /// The contact that it is, or this person itself.
    with: Option<Candidate>,
    /// The contact that it may be, if it shows only what a revoked device knows.
    pub(super) doubtful: Option<Doubtful>,
    /// Whether it is known to have recognised this side.
    answered: bool,
    /// Whether it may carry the feeds of this person that only some may.
    listed: bool,
    /// Feeds that are not open of which both sides showed that they may carry them.
    carries: Vec<FeedId>,
    /// Those of which this side shows it.
    shown: Vec<FeedId>,
    /// Whether nobody but a contact may hear anything.
    pub(super) secluded: bool,
    /// This person.
    pub(super) me: Option<AccountId>,
}

/// Somebody who could be on the other side, or is.
#[derive(Debug)]
struct Candidate {
    account: AccountId,
    /// By what we show ourselves.
    ours: Seed,
    /// By what they show themselves: the secret of now, and those that they may still or already use.
    theirs: Vec<Seed>,
    /// By what they showed themselves before a device was revoked, which knows it too.
    before: Option<Seed>,
}

/// What is remembered of a contact's sessions is kept under this.
pub(super) fn peer_of(account: &AccountId) -> [u8; 32] {
    derive(Context::Peer, account.as_bytes())
}

impl Recognised {
    /// Reads how this node stands to others.
    pub(super) fn begin(snapshot: &Snapshot) -> Result<Self, StoreError> {
        let me = snapshot.meta("account")?.and_then(|account| account.try_into().ok());
        let secluded = snapshot.is_secluded()?;
        Ok(Self { me: me.map(AccountId::from_bytes), secluded, ..Self::default() })
    }

    /// Who was recognised.
    pub(super) fn account(&self) -> Option<AccountId> {
        self.with.as_ref().map(|with| with.account)
    }

    /// Whether nothing is for the other side, whoever it is.
    pub(super) const fn is_shut(&self) -> bool {
        self.secluded && self.with.is_none()
    }

    /// Whether the other side may hear of a feed.
    pub(super) fn may_hear(&self, feed: &FeedId, origin: &OriginRow) -> bool {
        if self.is_shut() {
            return false;
        }
        let is_with = self.account() == Some(origin.account);
        let is_ours = self.me == Some(origin.account) && self.with.is_some();
        match origin.carry {
            Carry::Open => true,
            Carry::Contacts => is_with || is_ours || self.carries.contains(feed),
            Carry::Listed => is_with || (is_ours && self.listed) || self.carries.contains(feed),
        }
    }

    /// Whether a feed of this person is none of the business of a contact that was recognised.
    pub(super) fn is_withheld(&self, feed: &FeedId, origin: &OriginRow) -> bool {
        self.me == Some(origin.account) && !self.may_hear(feed, origin)
    }
}

impl Node {
    /// Greets: tags for who is likeliest there, among random ones.
    pub(super) fn greet(&self, meeting: &mut Meeting) -> Result<(), StoreError> {
        let snapshot = self.store.snapshot()?;
        let noise = self.seed.derive(Context::Greeting, &meeting.key);
        let says = if meeting.opener { Says::Opener } else { Says::Responder };
        let room = usize::try_from(RECOGNITION_TAGS).unwrap_or(0);
        let mut tags = Vec::new();
        let mut people = candidates(&snapshot, meeting.recognised.me)?;
        // Who is there already, the own devices and who was met before, and then any others. Where there
        // is room for all, nobody has to be looked up.
        let mut near: BTreeSet<AccountId> = meeting.recognised.me.into_iter().collect();
        for one in people.iter().filter(|_| people.len() > room) {
            if snapshot.link(&peer_of(&one.account))?.theirs.is_some() {
                near.insert(one.account);
            }
        }
        let there = meeting.recognised.account();
        people.sort_by_cached_key(|one| {
            let die = keyed(noise.expose(), one.account.as_bytes());
            (there != Some(one.account), !near.contains(&one.account), die)
        });
        tags.extend(people.iter().map(|one| tag(&one.ours, &meeting.key, says)));
        tags.truncate(room);
        let mut carried = snapshot.carry_secrets()?;
        carried.sort_by_cached_key(|(feed, _)| {
            let is_shown = meeting.recognised.carries.contains(feed);
            (!is_shown, keyed(noise.expose(), feed.as_bytes()))
        });
        carried.truncate(room.saturating_sub(tags.len()));
        let shown = |(feed, secret): &(FeedId, Seed)| {
            tag(&carrier_secret(secret, feed), &meeting.key, says)
        };
        tags.extend(carried.iter().map(shown));
        meeting.recognised.shown = carried.into_iter().map(|(feed, _)| feed).collect();
        let (first, last) = (VERSION, VERSION);
        let tags = greeting_tags(&tags, &noise);
        meeting.say(&Sentence::Greeting(Greeting { first, last, features: 0, tags: &tags }));
        Ok(())
    }

    /// Looks for known tags in the greeting of the other side.
    pub(super) fn recognise(&self, meeting: &mut Meeting, tags: &[u8]) -> Result<(), StoreError> {
        let snapshot = self.store.snapshot()?;
        let says = if meeting.opener { Says::Responder } else { Says::Opener };
        let people = candidates(&snapshot, meeting.recognised.me)?;
        meeting.recognised.doubtful = doubtful(&snapshot, &people, &meeting.key, tags, says)?;
        if let Some(one) = who(people, &meeting.key, tags, says) {
            meeting.meet_with(&snapshot, one)?;
        }
        let carried = snapshot.carry_secrets()?;
        let wanted: Vec<Tag> = carried
            .iter()
            .map(|(feed, secret)| tag(&carrier_secret(secret, feed), &meeting.key, says))
            .collect();
        let shown = &meeting.recognised.shown;
        let there = carried.iter().zip(found(tags, &wanted)).filter(|(_, there)| *there);
        let there = there.map(|((feed, _), _)| *feed);
        // Who dialled has shown its own already; the other one shows what it finds first of all.
        let carries = if meeting.opener {
            there.filter(|feed| shown.contains(feed)).collect()
        } else {
            there.collect()
        };
        meeting.recognised.carries = carries;
        Ok(())
    }

    /// What this side said may differ from what it found: there is room for so many tags only.
    pub(super) fn settle_carries(meeting: &mut Meeting) {
        let Recognised { carries, shown, .. } = &mut meeting.recognised;
        carries.retain(|feed| shown.contains(feed));
    }

    /// Looks for the answer in a state of the other side. Whether it was recognised by that.
    pub(super) fn hear_answer(
        &self,
        meeting: &mut Meeting,
        state: &State,
    ) -> Result<bool, StoreError> {
        if meeting.recognised.answered {
            return Ok(false);
        }
        let says = Says::Answer { opener: !meeting.opener };
        if let Some(with) = &meeting.recognised.with {
            meeting.recognised.answered = with.says_it(&meeting.key, &state.tag, says);
            return Ok(false);
        }
        let snapshot = self.store.snapshot()?;
        let people = candidates(&snapshot, meeting.recognised.me)?;
        let Some(one) = who(people, &meeting.key, &state.tag, says) else { return Ok(false) };
        meeting.recognised.answered = true;
        meeting.meet_with(&snapshot, one)?;
        Ok(true)
    }

    /// The tag of a state: the answer to who was recognised, or random bytes.
    pub(super) fn answer(&self, meeting: &Meeting) -> Tag {
        let says = Says::Answer { opener: meeting.opener };
        if let Some(with) = &meeting.recognised.with {
            return tag(&with.ours, &meeting.key, says);
        }
        let noise = self.seed.derive(Context::Greeting, &[&meeting.key[..], b"answer"].concat());
        tag(&noise, &meeting.key, says)
    }

    /// The name of this node's log towards a contact: the same in all sessions with that contact, and
    /// another one for everybody else.
    pub(super) fn log_name(&self, with: &AccountId) -> [u8; 8] {
        let secret = self.key.to_seed();
        crate::key::short_of(secret.derive(Context::LogName, with.as_bytes()).expose())
    }

    /// Of a contact with several devices the log of one is remembered; towards another one nothing is.
    pub(super) fn note_log(
        &mut self,
        now: Now,
        meeting: &Meeting,
        memory: &Memory,
    ) -> Result<(), StoreError> {
        let row = self.store.snapshot()?.link(&meeting.peer)?;
        if meeting.recognised.with.is_none() || row.log == memory.log {
            return Ok(());
        }
        self.settled = false;
        let fresh = LinkRow { log: memory.log, ..LinkRow::default() };
        self.store.write(now, |writer| {
            writer.reconsider(&meeting.peer, THEY)?;
            writer.set_link(&meeting.peer, &fresh)
        })
    }
}

impl Meeting {
    /// The other side is a contact, or this person itself.
    fn meet_with(&mut self, snapshot: &Snapshot, one: Candidate) -> Result<(), StoreError> {
        let account = one.account;
        self.recognised.listed =
            self.recognised.me == Some(account) || snapshot.is_listed(&account)?;
        (self.recognised.with, self.recognised.doubtful) = (Some(one), None);
        self.report.with = Some(account);
        self.peer = peer_of(&account);
        (self.known, self.draw) = (true, u64::MAX);
        self.left_out = snapshot.declined(&self.peer, THEY | WE)?.into_iter().collect();
        Ok(())
    }

    /// Whether the other side does not know yet who this is, although this side knows it.
    pub(super) fn is_unanswered(&self) -> bool {
        self.recognised.with.is_some() && !self.recognised.answered
    }
}

impl Candidate {
    /// Whether a tag of theirs is among some.
    fn says_it(&self, session: &Digest, tags: &[u8], says: Says) -> bool {
        let wanted: Vec<Tag> =
            self.theirs.iter().map(|secret| tag(secret, session, says)).collect();
        found(tags, &wanted).contains(&true)
    }
}

/// Whose tag is among some, if anybody's: all are looked at, whoever is found.
fn who(people: Vec<Candidate>, session: &Digest, tags: &[u8], says: Says) -> Option<Candidate> {
    let there: Vec<bool> = people.iter().map(|one| one.says_it(session, tags, says)).collect();
    people.into_iter().zip(there).find(|(_, there)| *there).map(|(one, _)| one)
}

/// Who may be there, by what a revoked device knows; all are looked at.
fn doubtful(
    snapshot: &Snapshot,
    people: &[Candidate],
    session: &Digest,
    tags: &[u8],
    says: Says,
) -> Result<Option<Doubtful>, StoreError> {
    let wanted = people.iter().filter_map(|one| Some((one.account, one.before.as_ref()?)));
    let (accounts, wanted): (Vec<AccountId>, Vec<Tag>) =
        wanted.map(|(account, secret)| (account, tag(secret, session, says))).unzip();
    let there = accounts.into_iter().zip(found(tags, &wanted)).find(|(_, there)| *there);
    let Some((account, _)) = there else { return Ok(None) };
    Ok(Some(Doubtful { account, listed: snapshot.is_listed(&account)?, told: false }))
}

/// Everybody who could be recognised: contacts, and this person's own other devices.
fn candidates(snapshot: &Snapshot, me: Option<AccountId>) -> Result<Vec<Candidate>, StoreError> {
    let Some(me) = me else { return Ok(Vec::new()) };
    let now = snapshot.known().minutes();
    let mut all = Vec::new();
    for (account, row) in snapshot.contacts()? {
        let ours = recognition_secret(&row.secret, &me, &account);
        let of = |secret: &Seed| recognition_secret(secret, &account, &me);
        let before = row.in_doubt(now);
        let secrets = row.in_use(now);
        let theirs = secrets.iter().filter(|secret| Some(*secret) != before).map(of).collect();
        all.push(Candidate { account, ours, theirs, before: before.map(of) });
    }
    if let Some(secret) = snapshot.secret("agreement")?.and_then(|secret| secret.try_into().ok()) {
        let ours = recognition_secret(&Seed::new(secret), &me, &me);
        let theirs = vec![ours.clone()];
        all.push(Candidate { account: me, ours, theirs, before: None });
    }
    Ok(all)
}
