//! Entries as JSON: the fields of a query's answer and of an export.
//!
//! An export holds nothing but what the entries themselves say, in a fixed order, so that two nodes
//! that hold the same entries print the same bytes. Signatures are no part of it (an author can
//! make several for one entry), nor are ages, nor why a payload is not here.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};
use thistle_engine::content::{Carry, Content, Post, ReceiptState, RelationState, Verb};
use thistle_engine::key::FeedId;
use thistle_engine::{Held, State, ids};

/// Fields in the order in which they are printed.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    /// Adds a field.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    /// Adds fields.
    pub(crate) fn and(mut self, fields: Self) -> Self {
        self.0.extend(fields.0);
        self
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The word for what a payload is; none if it is not here.
pub(crate) fn kind(held: &Held, content: Option<&Content>) -> Option<&'static str> {
    match (content, &held.payload) {
        (Some(content), _) => Some(kind_of(content)),
        (None, Some(_)) => Some("unreadable"),
        (None, None) => None,
    }
}

const fn kind_of(content: &Content) -> &'static str {
    match content {
        Content::Post(_) => "post",
        Content::Reply(_) => "reply",
        Content::Profile(_) => "profile",
        Content::Relation(_) => "relation",
        Content::Certificate(_) => "certificate",
        Content::Successor(_) => "successor",
        Content::Device(_) => "device",
        Content::Receipt(_) => "receipt",
        Content::Retraction(_) => "retraction",
        Content::Prekey(_) => "prekey",
        Content::Part(_) => "epoch",
        Content::Sealed(_) => "sealed",
        Content::Unknown { .. } => "unknown",
    }
}

/// When the author claims to have written it.
pub(crate) const fn time_of(content: &Content) -> Option<u64> {
    match content {
        Content::Post(post) | Content::Reply(post) => Some(post.time),
        Content::Profile(profile) => Some(profile.time),
        Content::Relation(relation) => Some(relation.time),
        Content::Receipt(receipt) => Some(receipt.time),
        Content::Certificate(_)
        | Content::Successor(_)
        | Content::Device(_)
        | Content::Retraction(_)
        | Content::Prekey(_)
        | Content::Part(_)
        | Content::Sealed(_)
        | Content::Unknown { .. } => None,
    }
}

/// The post in it, if it is one.
pub(crate) const fn post_of(content: &Content) -> Option<&Post> {
    match content {
        Content::Post(post) | Content::Reply(post) => Some(post),
        _ => None,
    }
}

/// An entry as an export prints it.
pub(crate) fn exported(held: &Held) -> Fields {
    let content = held.payload.as_deref().and_then(|payload| Content::decode(payload).ok());
    let here = held.payload.is_some();
    let mut fields = Fields::default().with("feed", ids::feed_text(&held.feed));
    if held.branch > 0 {
        fields = fields.with("branch", held.branch);
    }
    let fields = fields
        .with("seq", held.seq)
        .with("id", ids::entry_text(held.id.as_bytes()))
        .with("prev", held.prev.map(|prev| ids::entry_text(prev.as_bytes())))
        .with("ttl", held.ttl)
        .with("size", held.size)
        .with("payload_hash", hex(&held.payload_hash))
        .with("state", if here { "here" } else { "absent" })
        .with("type", kind(held, content.as_ref()));
    match (&content, &held.payload) {
        (Some(content), _) if post_of(content).is_some() => fields.and(said(content)),
        (Some(content), Some(payload)) => fields.and(said(content)).with("payload", hex(payload)),
        (None, Some(payload)) => fields.with("payload", hex(payload)),
        (_, None) => fields,
    }
}

/// What a content says, field by field.
pub(crate) fn said(content: &Content) -> Fields {
    let fields = Fields::default();
    match content {
        Content::Post(post) | Content::Reply(post) => fields
            .with("time", post.time)
            .with("channel", post.channel.clone())
            .with("text", post.text.clone())
            .with("author", post.author.clone())
            .with("parents", parents(post)),
        Content::Profile(profile) => fields
            .with("time", profile.time)
            .with("name", profile.name.clone())
            .with("about", profile.about.clone()),
        Content::Relation(relation) => fields
            .with("time", relation.time)
            .with("target", ids::feed_text(&relation.feed))
            .with("relation", relation_word(relation.state)),
        Content::Certificate(certificate) => fields
            .with("account", ids::account_text(&certificate.account))
            .with("carry", carry_word(certificate.carry)),
        Content::Successor(successor) => fields
            .with("account", ids::account_text(&successor.account))
            .with("carry", carry_word(successor.carry))
            .with("retired", ids::feed_text(&successor.retired)),
        Content::Device(statement) => fields
            .with("account", ids::account_text(&statement.account))
            .with("verb", verb_word(statement.verb))
            .with("target", ids::feed_text(&statement.feed)),
        Content::Receipt(receipt) => {
            let entry = |(feed, first, last): &(FeedId, u64, u64)| {
                json!([ids::feed_text(feed), first, last])
            };
            fields
                .with("time", receipt.time)
                .with("receipt", receipt_word(receipt.state))
                .with("entries", receipt.entries.iter().map(entry).collect::<Vec<_>>())
        }
        Content::Retraction(ranges) => {
            let range = |(first, last): &(u64, u64)| json!([first, last]);
            fields.with("ranges", ranges.as_slice().iter().map(range).collect::<Vec<_>>())
        }
        // What only others can read has nothing to show.
        Content::Prekey(_) | Content::Part(_) | Content::Sealed(_) => fields,
        Content::Unknown { kind } => fields.with("number", *kind),
    }
}

/// The parents of a post, as hex.
pub(crate) fn parents(post: &Post) -> Vec<String> {
    post.parents.iter().map(|parent| hex(parent)).collect()
}

/// The word for what a feed is to an author.
pub(crate) const fn relation_word(state: RelationState) -> &'static str {
    match state {
        RelationState::None => "none",
        RelationState::Follow => "follow",
        RelationState::Block => "block",
    }
}

pub(crate) const fn carry_word(carry: Carry) -> &'static str {
    match carry {
        Carry::Open => "open",
        Carry::Contacts => "contacts",
        Carry::Listed => "listed",
    }
}

/// The word for what a device statement does.
pub(crate) const fn verb_word(verb: Verb) -> &'static str {
    match verb {
        Verb::Add => "add",
        Verb::Revoke => "revoke",
    }
}

const fn receipt_word(state: ReceiptState) -> &'static str {
    match state {
        ReceiptState::Delivered => "delivered",
        ReceiptState::Read => "read",
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// Where a payload is, in a word.
pub(crate) fn state(held: &Held) -> &'static str {
    if held.payload.is_some() { State::Here.name() } else { held.state.name() }
}
