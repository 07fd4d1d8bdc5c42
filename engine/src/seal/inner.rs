//! What stands inside a sealed message: an array that begins with the number of its type.
//!
//! Posts, replies and receipts are as in public; the rest holds conversations together: who the
//! audience is, a share of a secret, a word that something cannot be opened, a change of a group, a
//! card that introduces somebody.

use crate::codec::{DecodeError, Decoder, Encoder};
use crate::content::{Content, Prefix, type_of};
use crate::key::{AccountId, Digest, FeedId, Seed};
use crate::limits::{CARD_BYTES, EPOCH_DEVICES, NAME_BYTES, PAYLOAD_BYTES, SEQ_END};

const ROSTER: u64 = 0;
const RENEWAL: u64 = 17;
const UNREADABLE: u64 = 18;
const CHANGE: u64 = 19;
const INTRODUCTION: u64 = 20;
const CONFIRMATION: u64 = 21;
const CONTACT: u64 = 22;
const CARRIAGE: u64 = 23;
const AGAIN: u64 = 24;

/// What a sealed message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inner {
    /// The audience of the epoch; its first message.
    Roster(Roster),
    /// A post, a reply or a receipt.
    Content(Content),
    /// A share of the next secret of two contacts.
    Renewal {
        /// Which secret it makes.
        generation: u64,
        /// The share.
        share: Seed,
    },
    /// An epoch of a feed that could not be opened, or not any more.
    Unreadable {
        /// Whose epoch.
        feed: FeedId,
        /// Which one.
        epoch: u64,
        /// The last of its entries that was opened; 0 if none was.
        after: u64,
    },
    /// A change of a group, signed by itself.
    Change(Vec<u8>),
    /// The card of a person whom the author knows.
    Introduction(Vec<u8>),
    /// Whose share of a generation makes the next secret.
    Confirmation {
        /// Which secret it makes.
        generation: u64,
        /// The feed whose share it is.
        feed: FeedId,
    },
    /// A contact, told to the other devices of the same person.
    Contact(Acquaintance),
    /// By what those whom the author lets carry its feed show themselves.
    Carriage {
        /// A later one replaces an earlier one.
        generation: u64,
        /// The secret.
        secret: Seed,
    },
    /// Something said before, sealed again for somebody who could not open it.
    Again(Again),
    /// A type of a later program.
    Unknown {
        /// Its number.
        kind: u64,
    },
}

/// What one device of a person tells the others of a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acquaintance {
    /// The contact's card.
    pub card: Vec<u8>,
    /// The user's own name for the person.
    pub name: Option<String>,
    /// Whether the user made sure of the card.
    pub verified: bool,
    /// Whether the person is a contact no longer.
    pub removed: bool,
    /// Counts the secrets of the two.
    pub generation: u64,
    /// What the two share now.
    pub secret: Seed,
}

/// Something said before, for somebody who could not open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// The conversation in which it was said.
    pub conversation: Digest,
    /// In which feed of the same person.
    pub feed: FeedId,
    /// In which entry of it.
    pub seq: u64,
    /// The beginning of that entry's id.
    pub prefix: Prefix,
    /// What was said: a post or a reply.
    pub content: Content,
}

/// What an audience is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RosterKind {
    /// Two accounts.
    Pair,
    /// The members of a group.
    Group,
    /// The devices of one account.
    Own,
}

/// The audience of an epoch, as its author saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    /// What it is.
    pub kind: RosterKind,
    /// The conversation.
    pub id: Digest,
    /// Accounts, ascending, each with its devices, ascending.
    pub members: Vec<(AccountId, Vec<FeedId>)>,
}

impl Roster {
    /// Whether an account belongs to it.
    pub fn has(&self, account: &AccountId) -> bool {
        self.members.iter().any(|(member, _)| member == account)
    }
}

impl Inner {
    /// Writes what is to be sealed.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        match self {
            Self::Roster(roster) => encode_roster(&mut out, roster),
            Self::Content(content) => return content.encode(),
            Self::Renewal { generation, share } => {
                out.array(3).uint(RENEWAL).uint(*generation).bytes(share.expose());
            }
            Self::Unreadable { feed, epoch, after } => {
                out.array(4).uint(UNREADABLE).bytes(feed.as_bytes()).uint(*epoch).uint(*after);
            }
            Self::Change(change) => {
                out.array(2).uint(CHANGE).bytes(change);
            }
            Self::Introduction(card) => {
                out.array(2).uint(INTRODUCTION).bytes(card);
            }
            Self::Confirmation { generation, feed } => {
                out.array(3).uint(CONFIRMATION).uint(*generation).bytes(feed.as_bytes());
            }
            Self::Contact(contact) => {
                out.array(7).uint(CONTACT).bytes(&contact.card);
                match &contact.name {
                    Some(name) => out.text(name),
                    None => out.null(),
                };
                out.boolean(contact.verified).boolean(contact.removed);
                out.uint(contact.generation).bytes(contact.secret.expose());
            }
            Self::Carriage { generation, secret } => {
                out.array(3).uint(CARRIAGE).uint(*generation).bytes(secret.expose());
            }
            Self::Again(again) => {
                out.array(6).uint(AGAIN).bytes(&again.conversation).bytes(again.feed.as_bytes());
                out.uint(again.seq).bytes(&again.prefix).bytes(&again.content.encode());
            }
            Self::Unknown { kind } => {
                out.array(1).uint(*kind);
            }
        }
        out.into_bytes()
    }

    /// Reads what was sealed.
    pub fn decode(text: &[u8]) -> Result<Self, DecodeError> {
        let kind = type_of(text)?;
        let holding = |count| {
            let mut row = Decoder::new(text);
            row.array_of("content", count)?;
            row.uint("type", u64::MAX)?;
            Ok::<_, DecodeError>(row)
        };
        Ok(match kind {
            ROSTER => Self::Roster(decode_roster(holding(4)?)?),
            1 | 2 => Self::Content(decode_post(text)?),
            8 => Self::Content(Content::decode(text)?),
            RENEWAL => {
                let mut row = holding(3)?;
                let generation = row.uint("generation", u64::from(u32::MAX))?;
                let share = Seed::new(row.fixed("share")?);
                row.finish()?;
                Self::Renewal { generation, share }
            }
            UNREADABLE => {
                let mut row = holding(4)?;
                let feed = FeedId::from_bytes(row.fixed("feed")?);
                let epoch = decode_seq(&mut row, "epoch")?;
                let after = row.uint("after", SEQ_END - 1)?;
                row.finish()?;
                Self::Unreadable { feed, epoch, after }
            }
            CHANGE => Self::Change(decode_bytes(holding(2)?, "change", PAYLOAD_BYTES)?),
            INTRODUCTION => Self::Introduction(decode_bytes(holding(2)?, "card", CARD_BYTES)?),
            CONFIRMATION => {
                let mut row = holding(3)?;
                let generation = row.uint("generation", u64::from(u32::MAX))?;
                let feed = FeedId::from_bytes(row.fixed("feed")?);
                row.finish()?;
                Self::Confirmation { generation, feed }
            }
            CARRIAGE => {
                let mut row = holding(3)?;
                let generation = row.uint("generation", u64::from(u32::MAX))?;
                let secret = Seed::new(row.fixed("secret")?);
                row.finish()?;
                Self::Carriage { generation, secret }
            }
            CONTACT => Self::Contact(decode_contact(holding(7)?)?),
            AGAIN => Self::Again(decode_again(holding(6)?)?),
            kind => Self::Unknown { kind },
        })
    }
}

/// Reads a post or a reply: its conversation is that of the epoch, so it names no channel.
fn decode_post(text: &[u8]) -> Result<Content, DecodeError> {
    match Content::decode(text)? {
        Content::Post(post) | Content::Reply(post) if post.channel.is_some() => {
            Err(DecodeError::OutOfRange { field: "channel", found: 1 })
        }
        content => Ok(content),
    }
}

fn decode_seq(row: &mut Decoder<'_>, field: &'static str) -> Result<u64, DecodeError> {
    match row.uint(field, SEQ_END - 1)? {
        0 => Err(DecodeError::OutOfRange { field, found: 0 }),
        seq => Ok(seq),
    }
}

fn decode_again(mut row: Decoder<'_>) -> Result<Again, DecodeError> {
    let conversation = row.fixed("conversation")?;
    let feed = FeedId::from_bytes(row.fixed("feed")?);
    let seq = decode_seq(&mut row, "seq")?;
    let prefix = row.fixed("prefix")?;
    let text = row.bytes("text", PAYLOAD_BYTES)?.to_vec();
    row.finish()?;
    match type_of(&text)? {
        1 | 2 => Ok(Again { conversation, feed, seq, prefix, content: decode_post(&text)? }),
        found => Err(DecodeError::OutOfRange { field: "text", found }),
    }
}

fn decode_contact(mut row: Decoder<'_>) -> Result<Acquaintance, DecodeError> {
    let card = row.bytes("card", CARD_BYTES)?.to_vec();
    let name = if row.skip_null() { None } else { Some(row.text("name", NAME_BYTES)?.to_owned()) };
    if name.as_deref() == Some("") {
        return Err(DecodeError::OutOfRange { field: "name", found: 0 });
    }
    let (verified, removed) = (row.boolean("verified")?, row.boolean("removed")?);
    let generation = row.uint("generation", u64::from(u32::MAX))?;
    let secret = Seed::new(row.fixed("secret")?);
    row.finish()?;
    Ok(Acquaintance { card, name, verified, removed, generation, secret })
}

fn decode_bytes(
    mut row: Decoder<'_>,
    field: &'static str,
    limit: u64,
) -> Result<Vec<u8>, DecodeError> {
    let bytes = row.bytes(field, limit)?.to_vec();
    row.finish()?;
    Ok(bytes)
}

fn encode_roster(out: &mut Encoder, roster: &Roster) {
    let kind = match roster.kind {
        RosterKind::Pair => 0,
        RosterKind::Group => 1,
        RosterKind::Own => 2,
    };
    out.array(4).uint(ROSTER).uint(kind).bytes(&roster.id);
    out.array(roster.members.len() as u64);
    for (account, devices) in &roster.members {
        out.array(2).bytes(account.as_bytes()).array(devices.len() as u64);
        for device in devices {
            out.bytes(device.as_bytes());
        }
    }
}

fn decode_roster(mut row: Decoder<'_>) -> Result<Roster, DecodeError> {
    let kind = match row.uint("kind", u64::MAX)? {
        0 => RosterKind::Pair,
        1 => RosterKind::Group,
        2 => RosterKind::Own,
        found => return Err(DecodeError::OutOfRange { field: "kind", found }),
    };
    let id = row.fixed("id")?;
    let count = row.array("members", EPOCH_DEVICES)?;
    let mut members: Vec<(AccountId, Vec<FeedId>)> = Vec::new();
    let mut left = EPOCH_DEVICES;
    for place in 0..count {
        row.array_of("member", 2)?;
        let account = AccountId::from_bytes(row.fixed("account")?);
        if members.last().is_some_and(|(last, _)| *last >= account) {
            return Err(DecodeError::OutOfRange { field: "members", found: place });
        }
        let devices = row.array("devices", left)?;
        left = left.saturating_sub(devices);
        let mut feeds: Vec<FeedId> = Vec::new();
        for device in 0..devices {
            let feed = FeedId::from_bytes(row.fixed("device")?);
            if feeds.last().is_some_and(|last| *last >= feed) {
                return Err(DecodeError::OutOfRange { field: "devices", found: device });
            }
            feeds.push(feed);
        }
        members.push((account, feeds));
    }
    row.finish()?;
    Ok(Roster { kind, id, members })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Post, Receipt, ReceiptState};

    fn roster() -> Roster {
        let account = |n| AccountId::from_bytes([n; 32]);
        let feed = |n| FeedId::from_bytes([n; 32]);
        let members = vec![(account(1), vec![feed(3), feed(4)]), (account(2), vec![])];
        Roster { kind: RosterKind::Group, id: [9; 32], members }
    }

    #[test]
    fn what_is_sealed_reads_back() {
        let feed = FeedId::from_bytes([1; 32]);
        let receipt =
            Receipt { time: 7, state: ReceiptState::Delivered, entries: vec![(feed, 1, 2)] };
        for inner in [
            Inner::Roster(roster()),
            Inner::Content(Content::Post(Post { text: "come".to_owned(), ..Post::default() })),
            Inner::Content(Content::Receipt(receipt)),
            Inner::Renewal { generation: 3, share: Seed::new([4; 32]) },
            Inner::Unreadable { feed, epoch: 12, after: 0 },
            Inner::Again(Again {
                conversation: [8; 32],
                feed,
                seq: 14,
                prefix: [3; 8],
                content: Content::Reply(Post {
                    text: "yes".to_owned(),
                    parents: vec![[7; 8]],
                    ..Post::default()
                }),
            }),
            Inner::Change(vec![1, 2, 3]),
            Inner::Introduction(vec![4; 200]),
            Inner::Confirmation { generation: 3, feed },
            Inner::Contact(Acquaintance {
                card: vec![1; 200],
                name: Some("Cy".to_owned()),
                verified: true,
                removed: false,
                generation: 4,
                secret: Seed::new([5; 32]),
            }),
            Inner::Carriage { generation: 2, secret: Seed::new([6; 32]) },
            Inner::Unknown { kind: 40 },
        ] {
            assert_eq!(Inner::decode(&inner.encode()), Ok(inner));
        }
    }

    #[test]
    fn one_audience_has_one_encoding() {
        let mut turned = roster();
        turned.members.reverse();
        let twice = Roster { members: vec![roster().members[0].clone(); 2], ..roster() };
        let mut devices = roster();
        devices.members[0].1.reverse();
        for wrong in [turned, twice, devices] {
            assert!(Inner::decode(&Inner::Roster(wrong).encode()).is_err());
        }
        let many = (0..65).map(|n| FeedId::from_bytes([n; 32])).collect();
        let many = Roster { members: vec![(AccountId::from_bytes([1; 32]), many)], ..roster() };
        assert!(Inner::decode(&Inner::Roster(many).encode()).is_err());
        assert!(Inner::decode(&[]).is_err());
    }

    #[test]
    fn what_does_not_belong_inside_is_unknown() {
        let public = Content::Retraction(crate::content::Ranges::new(vec![(1, 2)]).unwrap());
        assert_eq!(Inner::decode(&public.encode()), Ok(Inner::Unknown { kind: 9 }));
    }
}
