//! The `fields` of contents.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thistle_engine::codec::DecodeError;
use thistle_engine::content::{
    Carry, Certificate, Content, DeviceStatement, Part, Post, Profile, Ranges, Receipt,
    ReceiptState, Relation, RelationState, Sealed, Successor, Verb,
};
use thistle_engine::key::AccountId;

use crate::debug::Refusal;
use crate::debug::fields::{Bytes, Fixed};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PostFields {
    r#type: u64,
    time: u64,
    channel: Option<String>,
    text: String,
    parents: Vec<Fixed<8>>,
    author: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFields {
    r#type: u64,
    time: u64,
    name: String,
    about: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RelationFields {
    r#type: u64,
    time: u64,
    feed: Fixed<32>,
    state: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateFields {
    r#type: u64,
    carry: u64,
    account: Fixed<32>,
    signature: Fixed<64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SuccessorFields {
    r#type: u64,
    carry: u64,
    account: Fixed<32>,
    retired: Fixed<32>,
    signature: Fixed<64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceFields {
    r#type: u64,
    account: Fixed<32>,
    verb: u64,
    feed: Fixed<32>,
    signature: Fixed<64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptFields {
    r#type: u64,
    time: u64,
    state: u64,
    ranges: Vec<EntryRange>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryRange {
    feed: Fixed<32>,
    first: u64,
    last: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetractionFields {
    r#type: u64,
    ranges: Vec<SeqRange>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeqRange {
    first: u64,
    last: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrekeyFields {
    r#type: u64,
    key: Bytes,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartFields {
    r#type: u64,
    epoch: u64,
    part: u64,
    parts: u64,
    commit: Fixed<32>,
    slots: Bytes,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SealedFields {
    r#type: u64,
    tag: Fixed<8>,
    sealed: Bytes,
}

/// The fields of a content.
pub(super) fn shown(content: &Content) -> Value {
    match content {
        Content::Post(post) => json!(PostFields::new(1, post)),
        Content::Reply(post) => json!(PostFields::new(2, post)),
        Content::Profile(Profile { time, name, about }) => {
            json!({ "type": 3, "time": time, "name": name, "about": about })
        }
        Content::Relation(Relation { time, feed, state }) => {
            json!({ "type": 4, "time": time, "feed": Fixed::from(feed), "state": state.code() })
        }
        Content::Certificate(Certificate { carry, account, signature }) => json!({
            "type": 5,
            "carry": carry.code(),
            "account": Fixed(*account.as_bytes()),
            "signature": Fixed(*signature),
        }),
        Content::Successor(Successor { carry, account, retired, signature }) => json!({
            "type": 6,
            "carry": carry.code(),
            "account": Fixed(*account.as_bytes()),
            "retired": Fixed::from(retired),
            "signature": Fixed(*signature),
        }),
        Content::Device(DeviceStatement { account, verb, feed, signature }) => json!({
            "type": 7,
            "account": Fixed(*account.as_bytes()),
            "verb": verb.code(),
            "feed": Fixed::from(feed),
            "signature": Fixed(*signature),
        }),
        Content::Receipt(Receipt { time, state, entries }) => {
            let ranges = entries.iter().map(|(feed, first, last)| EntryRange {
                feed: feed.into(),
                first: *first,
                last: *last,
            });
            let ranges: Vec<EntryRange> = ranges.collect();
            json!({ "type": 8, "time": time, "state": state.code(), "ranges": ranges })
        }
        Content::Retraction(ranges) => {
            let ranges = ranges.as_slice().iter();
            let ranges: Vec<SeqRange> =
                ranges.map(|(first, last)| SeqRange { first: *first, last: *last }).collect();
            json!({ "type": 9, "ranges": ranges })
        }
        Content::Prekey(key) => json!({ "type": 10, "key": Bytes(key.clone()) }),
        Content::Part(Part { epoch, part, parts, commit, slots }) => json!({
            "type": 11,
            "epoch": epoch,
            "part": part,
            "parts": parts,
            "commit": Fixed(*commit),
            "slots": Bytes(slots.clone()),
        }),
        Content::Sealed(Sealed { tag, text }) => {
            json!({ "type": 16, "tag": Fixed(*tag), "sealed": Bytes(text.clone()) })
        }
        Content::Unknown { kind } => json!({ "type": kind }),
    }
}

/// The content of these fields.
pub(super) fn read(fields: &Value) -> Result<Content, Refusal> {
    let kind = fields.get("type").and_then(Value::as_u64);
    match kind.ok_or_else(|| Refusal::bad_fields("`type`: a number is due"))? {
        1 => parse::<PostFields>(fields).map(|post| Content::Post(post.post())),
        2 => parse::<PostFields>(fields).map(|post| Content::Reply(post.post())),
        3 => {
            let ProfileFields { time, name, about, .. } = parse(fields)?;
            Ok(Content::Profile(Profile { time, name, about }))
        }
        4 => {
            let RelationFields { time, feed, state, .. } = parse(fields)?;
            let all = [RelationState::None, RelationState::Follow, RelationState::Block];
            let state = coded("state", state, all.map(|state| (state.code(), state)))?;
            Ok(Content::Relation(Relation { time, feed: feed.feed(), state }))
        }
        5 => {
            let CertificateFields { carry, account, signature, .. } = parse(fields)?;
            let (carry, account) = (carry_of(carry)?, AccountId::from_bytes(account.0));
            Ok(Content::Certificate(Certificate { carry, account, signature: signature.0 }))
        }
        6 => {
            let SuccessorFields { carry, account, retired, signature, .. } = parse(fields)?;
            let (carry, account) = (carry_of(carry)?, AccountId::from_bytes(account.0));
            let (retired, signature) = (retired.feed(), signature.0);
            Ok(Content::Successor(Successor { carry, account, retired, signature }))
        }
        7 => {
            let DeviceFields { account, verb, feed, signature, .. } = parse(fields)?;
            let verb = coded("verb", verb, [Verb::Add, Verb::Revoke].map(|it| (it.code(), it)))?;
            let (account, feed) = (AccountId::from_bytes(account.0), feed.feed());
            Ok(Content::Device(DeviceStatement { account, verb, feed, signature: signature.0 }))
        }
        8 => {
            let ReceiptFields { time, state, ranges, .. } = parse(fields)?;
            let all = [ReceiptState::Delivered, ReceiptState::Read];
            let state = coded("state", state, all.map(|state| (state.code(), state)))?;
            let entries = ranges.iter().map(|it| (it.feed.feed(), it.first, it.last)).collect();
            Ok(Content::Receipt(Receipt { time, state, entries }))
        }
        9 => {
            let RetractionFields { ranges, .. } = parse(fields)?;
            let found = ranges.len() as u64;
            let ranges = ranges.iter().map(|range| (range.first, range.last)).collect();
            let unsound = DecodeError::OutOfRange { field: "ranges", found };
            Ok(Content::Retraction(Ranges::new(ranges).ok_or(unsound)?))
        }
        10 => {
            let PrekeyFields { key, .. } = parse(fields)?;
            Ok(Content::Prekey(key.0))
        }
        11 => {
            let PartFields { epoch, part, parts, commit, slots, .. } = parse(fields)?;
            let (commit, slots) = (commit.0, slots.0);
            Ok(Content::Part(Part { epoch, part, parts, commit, slots }))
        }
        16 => {
            let SealedFields { tag, sealed, .. } = parse(fields)?;
            Ok(Content::Sealed(Sealed { tag: tag.0, text: sealed.0 }))
        }
        // Of later types not even this program can write more than the number.
        found => Err(DecodeError::UnknownKind { found }.into()),
    }
}

impl PostFields {
    fn new(kind: u64, post: &Post) -> Self {
        let Post { time, channel, text, parents, author } = post;
        Self {
            r#type: kind,
            time: *time,
            channel: channel.clone(),
            text: text.clone(),
            parents: parents.iter().map(|parent| Fixed(*parent)).collect(),
            author: author.clone(),
        }
    }

    fn post(self) -> Post {
        let Self { time, channel, text, parents, author, .. } = self;
        Post { time, channel, text, parents: parents.iter().map(|it| it.0).collect(), author }
    }
}

/// Fields of one type out of JSON.
pub(super) fn parse<'a, T: Deserialize<'a>>(fields: &'a Value) -> Result<T, Refusal> {
    T::deserialize(fields).map_err(Refusal::bad_fields)
}

fn carry_of(found: u64) -> Result<Carry, Refusal> {
    let all = [Carry::Open, Carry::Contacts, Carry::Listed];
    coded("carry", found, all.map(|carry| (carry.code(), carry)))
}

fn coded<T, const N: usize>(
    field: &'static str,
    found: u64,
    all: [(u64, T); N],
) -> Result<T, Refusal> {
    let known = all.into_iter().find(|(code, _)| *code == found);
    let unknown = DecodeError::OutOfRange { field, found };
    known.map(|(_, value)| value).ok_or_else(|| unknown.into())
}
