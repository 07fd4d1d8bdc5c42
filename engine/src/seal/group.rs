//! Groups: changes of who belongs to one, each signed by itself, and what follows from a set of them.
//!
//! A change names the newest changes that its author knew, so that a set of them has one order of
//! causes and needs no clock and no server. It can be handed on to newcomers as it is: its id is that of
//! its bytes without the signature, and the group's id is that of the change that created it. What a
//! set of changes comes to is a pure function of the set (`group/resolve.rs`); who may sign for an
//! account is for the caller to say, who knows its devices.

mod bits;
mod resolve;
#[cfg(test)]
mod tests;

use crate::codec::{DecodeError, Decoder, Encoder};
use crate::key::{
    AccountId, Context, Digest, FeedId, KeyFault, SecretKey, Signature, Verifier, derive,
};
use crate::limits::{GROUP_MEMBERS, GROUP_PARENTS, NAME_BYTES, TIME_END};

pub use resolve::{Member, State, resolve};

/// Version of a change.
const VERSION: u64 = 1;
const CREATE: u64 = 0;
const ADD: u64 = 1;
const REMOVE: u64 = 2;
const LEAVE: u64 = 3;
const RENAME: u64 = 4;
const ROLE: u64 = 5;

/// Why bytes are no change of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangeFault {
    /// They do not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The feed's key or signature is wrong.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// The feed is no device of the account that the change names.
    #[error("the feed is no device of the account")]
    WrongFeed,
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read, write and leave.
    Member,
    /// Also add, remove, rename and set roles.
    Admin,
}

/// What a change does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Begins the group; its author is the first admin.
    Create {
        /// The group's name.
        name: String,
        /// The other first members, ascending.
        members: Vec<AccountId>,
        /// Whether newcomers are handed what was said before.
        history: bool,
        /// Random bytes, so that no two groups are one.
        salt: [u8; 16],
    },
    /// Takes somebody in.
    Add(AccountId),
    /// Puts somebody out.
    Remove(AccountId),
    /// The author goes.
    Leave,
    /// Gives the group another name.
    Rename(String),
    /// Says what a member may do.
    Role(AccountId, Role),
}

impl Action {
    /// Whether only an admin may do it.
    pub const fn needs_admin(&self) -> bool {
        matches!(self, Self::Add(_) | Self::Remove(_) | Self::Rename(_) | Self::Role(..))
    }
}

/// A change as its author means it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The group; none if this begins it.
    pub group: Option<Digest>,
    /// Who changes it.
    pub account: AccountId,
    /// Ids of the newest changes that the author knows, ascending; see [`State::parents`].
    pub parents: Vec<Digest>,
    /// What it does.
    pub action: Action,
    /// The author's claim of when, in Unix seconds; for people to read.
    pub time: u64,
}

impl Draft {
    /// Signs the change by a device of its account, if it is one that others will read.
    pub fn sign(&self, key: &SecretKey) -> Result<Change, DecodeError> {
        let mut out = Encoder::new();
        self.encode(&key.feed(), &mut out);
        let id = id_of(out.as_bytes());
        let signature = key.sign(Context::Group, &id);
        let mut out = Encoder::new();
        out.array(8);
        self.encode_fields(&key.feed(), &mut out);
        let bytes = out.bytes(&signature).as_bytes().to_vec();
        UnverifiedChange::decode(&bytes).map(|read| read.0)
    }

    fn encode(&self, feed: &FeedId, out: &mut Encoder) {
        out.array(7);
        self.encode_fields(feed, out);
    }

    fn encode_fields(&self, feed: &FeedId, out: &mut Encoder) {
        let group = self.group.as_ref().map(<[u8; 32]>::as_slice);
        out.uint(VERSION).bytes_or_null(group).bytes(self.account.as_bytes());
        out.bytes(feed.as_bytes()).array(self.parents.len() as u64);
        for parent in &self.parents {
            out.bytes(parent);
        }
        encode_action(&self.action, out);
        out.uint(self.time);
    }
}

/// A change of a group whose signature was checked, or that was signed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    id: Digest,
    feed: FeedId,
    draft: Draft,
    signature: Signature,
}

impl Change {
    /// Its id, the same whatever the signature.
    pub const fn id(&self) -> &Digest {
        &self.id
    }

    /// The group that it changes.
    pub fn group(&self) -> &Digest {
        self.draft.group.as_ref().unwrap_or(&self.id)
    }

    /// Who changes the group.
    pub const fn account(&self) -> &AccountId {
        &self.draft.account
    }

    /// The device that signed.
    pub const fn feed(&self) -> &FeedId {
        &self.feed
    }

    /// Ids of the newest changes that the author knew, ascending.
    pub fn parents(&self) -> &[Digest] {
        &self.draft.parents
    }

    /// What it does.
    pub const fn action(&self) -> &Action {
        &self.draft.action
    }

    /// The author's claim of when, in Unix seconds.
    pub const fn time(&self) -> u64 {
        self.draft.time
    }

    /// Writes the change.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(8);
        self.draft.encode_fields(&self.feed, &mut out);
        out.bytes(&self.signature);
        out.into_bytes()
    }
}

/// A change whose signature nobody has checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedChange(Change);

impl UnverifiedChange {
    /// Reads a change.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut row = Decoder::new(bytes);
        row.array_of("change", 8)?;
        let found = row.uint("version", u64::MAX)?;
        if found != VERSION {
            return Err(DecodeError::UnsupportedVersion { found });
        }
        let group: Option<Digest> = row.fixed_or_null("group")?;
        let account = AccountId::from_bytes(row.fixed("account")?);
        let feed = FeedId::from_bytes(row.fixed("feed")?);
        let parents = decode_parents(&mut row, group.is_none())?;
        let action = decode_action(&mut row, &account, group.is_none())?;
        let time = row.uint("time", TIME_END.saturating_sub(1))?;
        let signature = row.fixed("signature")?;
        row.finish()?;
        let draft = Draft { group, account, parents, action, time };
        let mut out = Encoder::new();
        draft.encode(&feed, &mut out);
        let id = id_of(out.as_bytes());
        Ok(Self(Change { id, feed, draft, signature }))
    }

    /// Its id, under which it may be held already.
    pub const fn id(&self) -> &Digest {
        &self.0.id
    }

    /// Checks that it was signed by the feed that it names, and that whoever knows the devices of its
    /// account says that the feed is one.
    pub fn verify(
        self,
        is_device: impl FnOnce(&AccountId, &FeedId) -> bool,
    ) -> Result<Change, ChangeFault> {
        let Self(change) = self;
        if !is_device(change.account(), &change.feed) {
            return Err(ChangeFault::WrongFeed);
        }
        let verifier = Verifier::of_feed(&change.feed)?;
        verifier.check(Context::Group, &change.id, &change.signature)?;
        Ok(change)
    }
}

fn id_of(unsigned: &[u8]) -> Digest {
    derive(Context::Group, unsigned)
}

fn decode_parents(row: &mut Decoder<'_>, creates: bool) -> Result<Vec<Digest>, DecodeError> {
    let found = row.array("parents", GROUP_PARENTS)?;
    if (found == 0) != creates {
        return Err(DecodeError::OutOfRange { field: "parents", found });
    }
    let mut parents: Vec<Digest> = Vec::new();
    for place in 0..found {
        let parent = row.fixed("parent")?;
        if parents.last().is_some_and(|last| *last >= parent) {
            return Err(DecodeError::OutOfRange { field: "parents", found: place });
        }
        parents.push(parent);
    }
    Ok(parents)
}

fn encode_action(action: &Action, out: &mut Encoder) {
    match action {
        Action::Create { name, members, history, salt } => {
            out.array(5).uint(CREATE).text(name).array(members.len() as u64);
            for member in members {
                out.bytes(member.as_bytes());
            }
            out.boolean(*history).bytes(salt);
        }
        Action::Add(account) => {
            out.array(2).uint(ADD).bytes(account.as_bytes());
        }
        Action::Remove(account) => {
            out.array(2).uint(REMOVE).bytes(account.as_bytes());
        }
        Action::Leave => {
            out.array(1).uint(LEAVE);
        }
        Action::Rename(name) => {
            out.array(2).uint(RENAME).text(name);
        }
        Action::Role(account, role) => {
            let role = u64::from(*role == Role::Admin);
            out.array(3).uint(ROLE).bytes(account.as_bytes()).uint(role);
        }
    }
}

/// Reads an action: its type, then whether the number of elements is that of the type.
fn decode_action(
    row: &mut Decoder<'_>,
    author: &AccountId,
    creates: bool,
) -> Result<Action, DecodeError> {
    let found = row.array("action", u64::MAX)?;
    let kind = row.uint("action", u64::MAX)?;
    let expected = match kind {
        CREATE => 5,
        ADD | REMOVE | RENAME => 2,
        LEAVE => 1,
        ROLE => 3,
        found => return Err(DecodeError::UnknownKind { found }),
    };
    if found != expected {
        return Err(DecodeError::WrongLength { field: "action", found, expected });
    }
    if (kind == CREATE) != creates {
        return Err(DecodeError::OutOfRange { field: "action", found: kind });
    }
    Ok(match kind {
        CREATE => Action::Create {
            name: decode_name(row)?,
            members: decode_members(row, author)?,
            history: row.boolean("history")?,
            salt: row.fixed("salt")?,
        },
        ADD => Action::Add(decode_account(row)?),
        REMOVE => Action::Remove(decode_account(row)?),
        LEAVE => Action::Leave,
        RENAME => Action::Rename(decode_name(row)?),
        _ => {
            let account = decode_account(row)?;
            let role = match row.uint("role", u64::MAX)? {
                0 => Role::Member,
                1 => Role::Admin,
                found => return Err(DecodeError::OutOfRange { field: "role", found }),
            };
            Action::Role(account, role)
        }
    })
}

fn decode_account(row: &mut Decoder<'_>) -> Result<AccountId, DecodeError> {
    row.fixed("account").map(AccountId::from_bytes)
}

fn decode_name(row: &mut Decoder<'_>) -> Result<String, DecodeError> {
    match row.text("name", NAME_BYTES)? {
        "" => Err(DecodeError::OutOfRange { field: "name", found: 0 }),
        name => Ok(name.to_owned()),
    }
}

fn decode_members(
    row: &mut Decoder<'_>,
    author: &AccountId,
) -> Result<Vec<AccountId>, DecodeError> {
    let count = row.array("members", GROUP_MEMBERS.saturating_sub(1))?;
    let mut members: Vec<AccountId> = Vec::new();
    for place in 0..count {
        let member = decode_account(row)?;
        if member == *author || members.last().is_some_and(|last| *last >= member) {
            return Err(DecodeError::OutOfRange { field: "members", found: place });
        }
        members.push(member);
    }
    Ok(members)
}
