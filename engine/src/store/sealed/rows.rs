//! Rows of contacts, conversations, prekeys and epochs, and what stands for something said.

use crate::codec::{DecodeError, Decoder, Encoder};
use crate::content::Prefix;
use crate::key::{AccountId, Digest, FeedId, Seed};
use crate::limits::{CARD_BYTES, EPOCH_MESSAGES, NAME_BYTES, RENEWALS};
use crate::seal::{RosterKind, next_secret};
use crate::store::StoreError;

/// A person whom the user added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContactRow {
    /// The card that was read last.
    pub(crate) card: Vec<u8>,
    /// The user's own name for the person.
    pub(crate) name: Option<String>,
    /// Whether the user made sure of the card.
    pub(crate) verified: bool,
    /// Counts the secrets of the two.
    pub(crate) generation: u64,
    /// What the two share now.
    pub(crate) secret: Seed,
    /// What they shared before, and the minute of known time up to which it counts.
    pub(crate) previous: Option<(Seed, u64)>,
    /// Whose share made the present secret, if one did.
    pub(crate) confirmed: Option<FeedId>,
    /// Shares of this secret and the next: generation, who sent it, the share.
    pub(crate) shares: Vec<(u64, FeedId, Seed)>,
    /// Devices of the person that the user was told of.
    pub(crate) devices: Vec<FeedId>,
}

impl ContactRow {
    /// The secrets by which the contact may show itself: that of now, the one before while it counts,
    /// and those that may be next.
    pub(crate) fn in_use(&self, now: u64) -> Vec<Seed> {
        let next = self.generation.saturating_add(1);
        let shares = self.shares.iter().filter(|share| share.0 == next);
        let mut secrets: Vec<Seed> =
            shares.map(|share| next_secret(&self.secret, &share.2)).collect();
        let previous = self.previous.iter().filter(|(_, until)| now < *until);
        secrets.extend(previous.map(|(secret, _)| secret.clone()));
        secrets.push(self.secret.clone());
        secrets
    }

    /// Of these the one before, if a new card made it so and nothing was renewed since: the contact may
    /// not have heard yet, and a device that was revoked knows it too.
    pub(crate) fn in_doubt(&self, now: u64) -> Option<&Seed> {
        let is_first = self.generation.is_multiple_of(RENEWALS) && self.confirmed.is_none();
        let previous = self.previous.as_ref().filter(|(_, until)| is_first && now < *until);
        previous.map(|(secret, _)| secret)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(9).bytes(&self.card);
        match &self.name {
            Some(name) => out.text(name),
            None => out.null(),
        };
        out.boolean(self.verified).uint(self.generation).bytes(self.secret.expose());
        match &self.previous {
            Some((secret, until)) => out.array(2).bytes(secret.expose()).uint(*until),
            None => out.null(),
        };
        out.bytes_or_null(self.confirmed.as_ref().map(|feed| feed.as_bytes().as_slice()));
        out.array(self.shares.len() as u64);
        for (generation, feed, share) in &self.shares {
            out.array(3).uint(*generation).bytes(feed.as_bytes()).bytes(share.expose());
        }
        out.array(self.devices.len() as u64);
        for device in &self.devices {
            out.bytes(device.as_bytes());
        }
        out.into_bytes()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let read = || {
            let mut row = Decoder::new(bytes);
            row.array_of("contact", 9)?;
            let card = row.bytes("card", CARD_BYTES)?.to_vec();
            let name =
                if row.skip_null() { None } else { Some(row.text("name", NAME_BYTES)?.to_owned()) };
            let verified = row.boolean("verified")?;
            let generation = row.uint("generation", u64::MAX)?;
            let secret = Seed::new(row.fixed("secret")?);
            let previous = if row.skip_null() {
                None
            } else {
                row.array_of("previous", 2)?;
                Some((Seed::new(row.fixed("secret")?), row.uint("until", u64::MAX)?))
            };
            let confirmed = row.fixed_or_null("confirmed")?.map(FeedId::from_bytes);
            let count = row.array("shares", u64::MAX)?;
            let share = |row: &mut Decoder<'_>| {
                row.array_of("share", 3)?;
                let generation = row.uint("generation", u64::MAX)?;
                let feed = FeedId::from_bytes(row.fixed("feed")?);
                Ok((generation, feed, Seed::new(row.fixed("share")?)))
            };
            let shares = (0..count).map(|_| share(&mut row)).collect::<Result<_, DecodeError>>()?;
            let count = row.array("devices", u64::MAX)?;
            let devices = (0..count)
                .map(|_| row.fixed("device").map(FeedId::from_bytes))
                .collect::<Result<_, _>>()?;
            row.finish()?;
            Ok(Self {
                card,
                name,
                verified,
                generation,
                secret,
                previous,
                confirmed,
                shares,
                devices,
            })
        };
        read().map_err(|_: DecodeError| StoreError::Damaged { what: "a row of a contact" })
    }
}

/// A conversation that is read by its audience only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConversationRow {
    pub(crate) kind: RosterKind,
    pub(crate) id: Digest,
    /// Of two accounts the other one.
    pub(crate) with: Option<AccountId>,
    /// The own epoch that is written under: number of the own feed, and the epoch.
    pub(crate) epoch: Option<(u32, u64)>,
}

impl ConversationRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        let kind = match self.kind {
            RosterKind::Pair => 0,
            RosterKind::Group => 1,
            RosterKind::Own => 2,
        };
        out.array(4).uint(kind).bytes(&self.id);
        out.bytes_or_null(self.with.as_ref().map(|with| with.as_bytes().as_slice()));
        match self.epoch {
            Some((feed, epoch)) => out.array(2).uint(u64::from(feed)).uint(epoch),
            None => out.null(),
        };
        out.into_bytes()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let read = || {
            let mut row = Decoder::new(bytes);
            row.array_of("conversation", 4)?;
            let kind = match row.uint("kind", 2)? {
                0 => RosterKind::Pair,
                1 => RosterKind::Group,
                _ => RosterKind::Own,
            };
            let id = row.fixed("id")?;
            let with = row.fixed_or_null("with")?.map(AccountId::from_bytes);
            let epoch = if row.skip_null() {
                None
            } else {
                row.array_of("epoch", 2)?;
                let feed = row.uint("feed", u64::from(u32::MAX))?;
                Some((u32::try_from(feed).unwrap_or(0), row.uint("epoch", u64::MAX)?))
            };
            row.finish()?;
            Ok(Self { kind, id, with, epoch })
        };
        read().map_err(|_: DecodeError| StoreError::Damaged { what: "a row of a conversation" })
    }
}

/// The private half of an own prekey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnPrekey {
    /// The short name of the public half.
    pub(crate) name: [u8; 8],
    /// The private half, locked.
    pub(crate) locked: Vec<u8>,
    /// When it was published, in minutes of known time.
    pub(crate) since: u64,
    /// When the next one was.
    pub(crate) until: Option<u64>,
}

impl OwnPrekey {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(4).bytes(&self.name).bytes(&self.locked);
        out.uint(self.since).uint(self.until.unwrap_or(0));
        out.into_bytes()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let read = || {
            let mut row = Decoder::new(bytes);
            row.array_of("prekey", 4)?;
            let name = row.fixed("name")?;
            let locked = row.bytes("secret", 64)?.to_vec();
            let since = row.uint("since", u64::MAX)?;
            let until = Some(row.uint("until", u64::MAX)?).filter(|until| *until > 0);
            row.finish()?;
            Ok(Self { name, locked, since, until })
        };
        read().map_err(|_: DecodeError| StoreError::Damaged { what: "a row of a prekey" })
    }
}

/// Whether an epoch can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EpochState {
    /// Its first key is here, and its first message is waited for.
    Waiting,
    /// Its audience is known.
    Open,
    /// It was told in two ways, or its audience is not what its key was bound to.
    Refused,
}

/// What is kept of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EpochRow {
    pub(crate) state: EpochState,
    /// The conversation, once its audience is known.
    pub(crate) conversation: u32,
    /// When it began here, in minutes of known time.
    pub(crate) since: u64,
    /// What binds its first key to its audience.
    pub(crate) commit: Digest,
    /// The hash of the audience of an own epoch.
    pub(crate) roster: Digest,
    /// Of others' epochs the own prekey that opened it: number of the own feed, and seq.
    pub(crate) prekey: Option<(u32, u64)>,
    /// The oldest key that is still needed, and of which message it is.
    pub(crate) key: Seed,
    pub(crate) index: u64,
    /// Messages after it that were opened already; ascending.
    pub(crate) opened: Vec<u64>,
    /// Messages whose tags are looked out for come before this one.
    pub(crate) tagged: u64,
}

impl EpochRow {
    pub(super) fn encode(&self, locked: &[u8]) -> Vec<u8> {
        let mut out = Encoder::new();
        let state = match self.state {
            EpochState::Waiting => 0,
            EpochState::Open => 1,
            EpochState::Refused => 2,
        };
        out.array(10).uint(state).uint(u64::from(self.conversation)).uint(self.since);
        out.bytes(&self.commit).bytes(&self.roster);
        match self.prekey {
            Some((feed, seq)) => out.array(2).uint(u64::from(feed)).uint(seq),
            None => out.null(),
        };
        out.bytes(locked).uint(self.index).array(self.opened.len() as u64);
        for index in &self.opened {
            out.uint(*index);
        }
        out.uint(self.tagged);
        out.into_bytes()
    }

    /// Reads a row; `unlock` opens what is locked.
    pub(super) fn decode(
        bytes: &[u8],
        unlock: impl FnOnce(&[u8]) -> Option<Seed>,
    ) -> Result<Self, StoreError> {
        let read = || {
            let mut row = Decoder::new(bytes);
            row.array_of("epoch", 10)?;
            let state = match row.uint("state", 2)? {
                0 => EpochState::Waiting,
                1 => EpochState::Open,
                _ => EpochState::Refused,
            };
            let conversation = row.uint("conversation", u64::from(u32::MAX))?;
            let conversation = u32::try_from(conversation).unwrap_or(0);
            let since = row.uint("since", u64::MAX)?;
            let (commit, roster) = (row.fixed("commit")?, row.fixed("roster")?);
            let prekey = if row.skip_null() {
                None
            } else {
                row.array_of("prekey", 2)?;
                let feed = row.uint("feed", u64::from(u32::MAX))?;
                Some((u32::try_from(feed).unwrap_or(0), row.uint("seq", u64::MAX)?))
            };
            let key =
                unlock(row.bytes("key", 64)?).ok_or(DecodeError::WrongType { field: "key" })?;
            let index = row.uint("index", u64::MAX)?;
            let count = row.array("opened", EPOCH_MESSAGES.saturating_mul(2))?;
            let opened =
                (0..count).map(|_| row.uint("opened", u64::MAX)).collect::<Result<_, _>>()?;
            let tagged = row.uint("tagged", u64::MAX)?;
            row.finish()?;
            Ok(Self {
                state,
                conversation,
                since,
                commit,
                roster,
                prekey,
                key,
                index,
                opened,
                tagged,
            })
        };
        read().map_err(|_: DecodeError| StoreError::Damaged { what: "a row of an epoch" })
    }
}

/// Something said in a conversation, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SaidRow {
    pub(crate) conversation: u32,
    pub(crate) prefix: Prefix,
    pub(crate) time: u64,
    pub(crate) parents: Vec<Prefix>,
}
