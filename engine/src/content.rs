//! What a payload says: posts, replies, profiles, relations, certificates, receipts, retractions.
//!
//! A payload is one flat CBOR array that starts with the number of its type. Types from 10 on are
//! for later programs: they are carried untouched and shown as unknown. A payload of a known type
//! that does not decode is unreadable, which is no fault of the entry that commits to it.
//!
//! This file reads and writes; it checks no signature and gives nothing a meaning. The grammar of
//! a post, the only type there are millions of, is written once, in [`PostView`], which borrows.

use crate::codec::{DecodeError, Decoder, Encoder};
use crate::key::{AccountId, Digest, FeedId, PREKEY_BYTES, SEAL_BYTES, SLOT_BYTES, Signature};
use crate::limits::{
    ABOUT_BYTES, EPOCH_PARTS, LEAST_PADDED, NAME_BYTES, PARENTS, PAYLOAD_BYTES, RANGES, SEQ_END,
    TIME_END,
};

const POST: u64 = 1;
const REPLY: u64 = 2;
const PROFILE: u64 = 3;
pub(crate) const RELATION: u64 = 4;
const CERTIFICATE: u64 = 5;
const SUCCESSOR: u64 = 6;
const DEVICE: u64 = 7;
const RECEIPT: u64 = 8;
const RETRACTION: u64 = 9;
const PREKEY: u64 = 10;
const PART: u64 = 11;
pub(crate) const SEALED: u64 = 16;
/// [`PARENTS`] as the length of an array.
const MOST_PARENTS: usize = 4;
const _: () = assert!(MOST_PARENTS as u64 == PARENTS);
/// Bytes of the shortest sealed message.
const LEAST_SEALED: u64 = LEAST_PADDED + SEAL_BYTES as u64;
/// First type that this program may not know.
const UNKNOWN: u64 = 12;
/// Last type set aside for structural content of later programs.
const STRUCTURAL_END: u64 = 15;

/// The first eight bytes of an entry's id, by which contents of a conversation name each other.
pub type Prefix = [u8; 8];

/// What a payload says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Something said, perhaps in a named channel.
    Post(Post),
    /// An answer; its first parent is the entry answered.
    Reply(Post),
    /// How the author wants to be called.
    Profile(Profile),
    /// What another feed is to the author.
    Relation(Relation),
    /// The account's word for the feed; entry 1.
    Certificate(Certificate),
    /// A retired feed's word for the one that goes on in its place; entry 1.
    Successor(Successor),
    /// The account's word about one of its devices.
    Device(DeviceStatement),
    /// What has arrived.
    Receipt(Receipt),
    /// Entries of the own feed that the author takes back.
    Retraction(Ranges),
    /// A key to which others seal the beginnings of epochs.
    Prekey(Vec<u8>),
    /// A part of what begins an epoch.
    Part(Part),
    /// A message that only its audience can open.
    Sealed(Sealed),
    /// A type of a later program.
    Unknown {
        /// Its number.
        kind: u64,
    },
}

/// A post or a reply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Post {
    /// The author's claim of when, in Unix seconds.
    pub time: u64,
    /// The channel, if it belongs to one.
    pub channel: Option<String>,
    /// What is said.
    pub text: String,
    /// Entries of the conversation that came before; see [`parents_in_order`].
    pub parents: Vec<Prefix>,
    /// Who wrote it first, where an import kept the name.
    pub author: Option<String>,
}

/// How an author wants to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The author's claim of when, in Unix seconds.
    pub time: u64,
    /// The name.
    pub name: String,
    /// Some words about the author.
    pub about: String,
}

/// What another feed is to an author.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation {
    /// The author's claim of when, in Unix seconds.
    pub time: u64,
    /// The other feed.
    pub feed: FeedId,
    /// What it is.
    pub state: RelationState,
}

/// What one feed can be to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationState {
    /// Nothing, or nothing any more.
    None,
    /// Read and carried.
    Follow,
    /// Neither.
    Block,
}

/// Who may carry a feed; fixed for its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carry {
    /// Anybody.
    Open,
    /// The author's contacts.
    Contacts,
    /// Those whom the author lists.
    Listed,
}

/// The account's word for a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate {
    /// Who may carry the feed.
    pub carry: Carry,
    /// Whose feed it is.
    pub account: AccountId,
    /// The account's signature.
    pub signature: Signature,
}

/// A retired feed's word for the one that goes on in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Successor {
    /// Who may carry the new feed.
    pub carry: Carry,
    /// Whose feed it is said to be.
    pub account: AccountId,
    /// The feed that ends.
    pub retired: FeedId,
    /// The retired feed's signature.
    pub signature: Signature,
}

/// The account's word about one of its devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceStatement {
    /// Who says so.
    pub account: AccountId,
    /// What is done.
    pub verb: Verb,
    /// The device's feed.
    pub feed: FeedId,
    /// The account's signature.
    pub signature: Signature,
}

/// What a device statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// The device belongs to the account.
    Add,
    /// It does no longer, and never will again.
    Revoke,
}

/// What has arrived at the author's device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The author's claim of when, in Unix seconds.
    pub time: u64,
    /// How far it came.
    pub state: ReceiptState,
    /// Entries: a feed, first and last seq; 1 to [`RANGES`] of them.
    pub entries: Vec<(FeedId, u64, u64)>,
}

/// How far an entry came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptState {
    /// It is on the device.
    Delivered,
    /// It was shown.
    Read,
}

/// A part of what begins an epoch: for each device of its audience a slot with the epoch's first key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The epoch: the seq of its first part.
    pub epoch: u64,
    /// Which part this is, from 0.
    pub part: u64,
    /// How many parts there are.
    pub parts: u64,
    /// What binds the first key to the audience.
    pub commit: Digest,
    /// [`NARROW`] or [`WIDE`] slots of [`SLOT_BYTES`], behind each other.
    pub slots: Vec<u8>,
}

/// Slots in the one part of an epoch for few devices.
pub const NARROW: usize = 4;
/// Slots in each part of an epoch for more devices.
pub const WIDE: usize = 13;

/// A message that only its audience can open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// By which the audience finds its key.
    pub tag: [u8; 8],
    /// The padded text under that key.
    pub text: Vec<u8>,
}

/// Ranges of seqs: ascending, apart from each other, 1 to [`RANGES`] of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Takes ranges of first and last seq, if they are as they should be.
    pub fn new(ranges: Vec<(u64, u64)>) -> Option<Self> {
        let whole = !ranges.is_empty() && ranges.len() as u64 <= RANGES;
        let sound =
            ranges.iter().all(|(first, last)| (1..=*last).contains(first) && *last < SEQ_END);
        let apart = ranges.is_sorted_by(|before, after| before.1.saturating_add(1) < after.0);
        (whole && sound && apart).then_some(Self(ranges))
    }

    /// The ranges, first and last seq of each.
    pub fn as_slice(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// Whether `seq` lies in one of them.
    pub fn contains(&self, seq: u64) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&seq))
    }
}

/// A post or reply that borrows from its payload: for indexing and scanning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostView<'a> {
    /// Whether it is a reply.
    pub reply: bool,
    /// The author's claim of when, in Unix seconds.
    pub time: u64,
    /// The channel, if it belongs to one.
    pub channel: Option<&'a str>,
    /// What is said.
    pub text: &'a str,
    /// Entries of the conversation that came before; of a reply the first is the one answered.
    pub parents: Parents,
    /// Who wrote it first, where an import kept the name.
    pub author: Option<&'a str>,
}

impl<'a> PostView<'a> {
    /// Reads a payload; none if it is anything but a sound post or reply.
    pub fn decode(payload: &'a [u8]) -> Option<Self> {
        let opened = Opened::new(payload).ok()?;
        if !matches!(opened.kind, POST | REPLY) {
            return None;
        }
        Self::read(opened).ok()
    }

    fn read(opened: Opened<'a>) -> Result<Self, DecodeError> {
        let has_author = opened.count == 6;
        let reply = opened.kind == REPLY;
        let mut decoder = opened.holding(if has_author { 6 } else { 5 })?;
        let time = decode_time(&mut decoder)?;
        let has_channel = !decoder.skip_null();
        let channel = decode_name_if(has_channel, &mut decoder, "channel")?;
        let text = decoder.text("text", PAYLOAD_BYTES)?;
        let parents = Parents::decode(&mut decoder, reply)?;
        let author = decode_name_if(has_author, &mut decoder, "author")?;
        decoder.finish()?;
        Ok(Self { reply, time, channel, text, parents, author })
    }

    /// The same content, owned.
    pub fn to_content(&self) -> Content {
        let post = Post {
            time: self.time,
            channel: self.channel.map(str::to_owned),
            text: self.text.to_owned(),
            parents: self.parents.as_slice().to_vec(),
            author: self.author.map(str::to_owned),
        };
        if self.reply { Content::Reply(post) } else { Content::Post(post) }
    }
}

/// Up to four parents, without an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parents {
    list: [Prefix; MOST_PARENTS],
    count: usize,
}

impl Parents {
    /// The parents as they stand in the content.
    pub fn as_slice(&self) -> &[Prefix] {
        self.list.get(..self.count).unwrap_or_default()
    }

    fn decode(decoder: &mut Decoder<'_>, reply: bool) -> Result<Self, DecodeError> {
        let found = decoder.array("parents", PARENTS)?;
        if reply && found == 0 {
            return Err(DecodeError::OutOfRange { field: "parents", found });
        }
        let mut parents = Self { list: [Prefix::default(); MOST_PARENTS], count: 0 };
        for place in 0..found {
            let parent = decoder.fixed("parent")?;
            if !parents.may_add(parent, reply) {
                return Err(DecodeError::OutOfRange { field: "parents", found: place });
            }
            if let Some(slot) = parents.list.get_mut(parents.count) {
                *slot = parent;
                parents.count = parents.count.saturating_add(1);
            }
        }
        Ok(parents)
    }

    /// Whether a parent may stand behind those that are here: above the last, but that the first
    /// of a reply, the entry answered, stands outside the order and is not named again.
    fn may_add(&self, parent: Prefix, reply: bool) -> bool {
        let before = self.as_slice();
        let (answered, others) = before.split_at(before.len().min(usize::from(reply)));
        others.last().is_none_or(|last| *last < parent) && !answered.contains(&parent)
    }
}

/// Puts parents in the one order they can stand in: the entry answered, if any, then the others
/// ascending. Duplicates and what is over the limit are left out.
pub fn parents_in_order(answered: Option<Prefix>, mut others: Vec<Prefix>) -> Vec<Prefix> {
    others.retain(|other| Some(*other) != answered);
    others.sort_unstable();
    others.dedup();
    answered.into_iter().chain(others).take(MOST_PARENTS).collect()
}

/// The number of a payload's type; none if it has none.
pub fn kind_of(payload: &[u8]) -> Option<u64> {
    type_of(payload).ok()
}

/// The number of a payload's type.
pub(crate) fn type_of(payload: &[u8]) -> Result<u64, DecodeError> {
    Opened::new(payload).map(|opened| opened.kind)
}

/// Whether a payload is of a type that holds the feed together, now or in a later program: such
/// a one keeps for ever and cannot be retracted. Looks at the first bytes only.
pub fn is_structural(payload: &[u8]) -> bool {
    Opened::new(payload).is_ok_and(|opened| {
        let known = matches!(opened.kind, CERTIFICATE | SUCCESSOR | DEVICE | RETRACTION);
        known || (PREKEY..=STRUCTURAL_END).contains(&opened.kind)
    })
}

impl Content {
    /// Reads a payload. An error means that this program cannot show it, not that the entry is bad.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let opened = Opened::new(payload)?;
        match opened.kind {
            POST | REPLY => PostView::read(opened).map(|view| view.to_content()),
            PROFILE => decode_profile(opened.holding(4)?),
            RELATION => decode_relation(opened.holding(4)?),
            CERTIFICATE => decode_certificate(opened.holding(4)?),
            SUCCESSOR => decode_successor(opened.holding(5)?),
            DEVICE => decode_device(opened.holding(5)?),
            RECEIPT => decode_receipt(opened.holding(4)?),
            RETRACTION => decode_retraction(opened.holding(2)?),
            PREKEY => decode_prekey(opened.holding(2)?),
            PART => decode_part(opened.holding(6)?),
            SEALED => decode_sealed(opened.holding(3)?),
            kind @ UNKNOWN.. => Ok(Self::Unknown { kind }),
            found => Err(DecodeError::UnknownKind { found }),
        }
    }

    /// Writes the payload.
    ///
    /// The caller answers for lengths and orders; [`encode_checked`](Self::encode_checked) looks.
    /// What came as [`Unknown`](Self::Unknown) cannot be written again: of it only the type is.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        match self {
            Self::Post(post) => encode_post(&mut encoder, POST, post),
            Self::Reply(post) => encode_post(&mut encoder, REPLY, post),
            Self::Profile(Profile { time, name, about }) => {
                encoder.array(4).uint(PROFILE).uint(*time).text(name).text(about);
            }
            Self::Relation(Relation { time, feed, state }) => {
                encoder.array(4).uint(RELATION).uint(*time).bytes(feed.as_bytes());
                encoder.uint(state.code());
            }
            Self::Certificate(Certificate { carry, account, signature }) => {
                encoder.array(4).uint(CERTIFICATE).uint(carry.code());
                encoder.bytes(account.as_bytes()).bytes(signature);
            }
            Self::Successor(Successor { carry, account, retired, signature }) => {
                encoder.array(5).uint(SUCCESSOR).uint(carry.code()).bytes(account.as_bytes());
                encoder.bytes(retired.as_bytes()).bytes(signature);
            }
            Self::Device(DeviceStatement { account, verb, feed, signature }) => {
                encoder.array(5).uint(DEVICE).bytes(account.as_bytes()).uint(verb.code());
                encoder.bytes(feed.as_bytes()).bytes(signature);
            }
            Self::Receipt(Receipt { time, state, entries }) => {
                encoder.array(4).uint(RECEIPT).uint(*time).uint(state.code());
                encoder.array(entries.len() as u64);
                for (feed, first, last) in entries {
                    encoder.array(3).bytes(feed.as_bytes()).uint(*first).uint(*last);
                }
            }
            Self::Retraction(ranges) => {
                encoder.array(2).uint(RETRACTION).array(ranges.as_slice().len() as u64);
                for (first, last) in ranges.as_slice() {
                    encoder.array(2).uint(*first).uint(*last);
                }
            }
            Self::Prekey(key) => {
                encoder.array(2).uint(PREKEY).bytes(key);
            }
            Self::Part(Part { epoch, part, parts, commit, slots }) => {
                encoder.array(6).uint(PART).uint(*epoch).uint(*part).uint(*parts);
                encoder.bytes(commit).bytes(slots);
            }
            Self::Sealed(Sealed { tag, text }) => {
                encoder.array(3).uint(SEALED).bytes(tag).bytes(text);
            }
            Self::Unknown { kind } => {
                encoder.array(1).uint(*kind);
            }
        }
        encoder.into_bytes()
    }

    /// Writes the payload of one's own entry, if every reader will be able to read it.
    pub fn encode_checked(&self) -> Result<Vec<u8>, DecodeError> {
        let payload = self.encode();
        match Self::decode(&payload)? {
            Self::Unknown { kind } => Err(DecodeError::UnknownKind { found: kind }),
            _ => Ok(payload),
        }
    }

    /// Whether it is of a type that holds the feed together; as [`is_structural`].
    pub const fn is_structural(&self) -> bool {
        match self {
            Self::Certificate(_)
            | Self::Successor(_)
            | Self::Device(_)
            | Self::Retraction(_)
            | Self::Prekey(_)
            | Self::Part(_) => true,
            Self::Unknown { kind } => *kind <= STRUCTURAL_END,
            _ => false,
        }
    }
}

/// A payload of which the head of the array and the type have been read.
struct Opened<'a> {
    decoder: Decoder<'a>,
    count: u64,
    kind: u64,
}

impl<'a> Opened<'a> {
    fn new(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let found = payload.len() as u64;
        if found > PAYLOAD_BYTES {
            return Err(DecodeError::OverLimit { field: "payload", found, limit: PAYLOAD_BYTES });
        }
        let mut decoder = Decoder::new(payload);
        // An array of a later program can be of any length; nothing is made of the claim.
        let count = decoder.array("content", u64::MAX)?;
        if count == 0 {
            return Err(DecodeError::WrongLength { field: "content", found: 0, expected: 1 });
        }
        let kind = decoder.uint("type", u64::MAX)?;
        Ok(Self { decoder, count, kind })
    }

    /// Goes on behind the type if the array has `expected` elements.
    fn holding(self, expected: u64) -> Result<Decoder<'a>, DecodeError> {
        if self.count == expected {
            return Ok(self.decoder);
        }
        Err(DecodeError::WrongLength { field: "content", found: self.count, expected })
    }
}

fn encode_post(encoder: &mut Encoder, kind: u64, post: &Post) {
    encoder.array(if post.author.is_some() { 6 } else { 5 }).uint(kind).uint(post.time);
    match &post.channel {
        Some(channel) => encoder.text(channel),
        None => encoder.null(),
    };
    encoder.text(&post.text).array(post.parents.len() as u64);
    for parent in &post.parents {
        encoder.bytes(parent);
    }
    if let Some(author) = &post.author {
        encoder.text(author);
    }
}

fn decode_prekey(mut decoder: Decoder<'_>) -> Result<Content, DecodeError> {
    let key = decoder.exactly("key", PREKEY_BYTES as u64)?.to_vec();
    decoder.finish()?;
    Ok(Content::Prekey(key))
}

fn decode_part(mut decoder: Decoder<'_>) -> Result<Content, DecodeError> {
    let epoch = decoder.uint("epoch", SEQ_END - 1)?;
    if epoch == 0 {
        return Err(DecodeError::OutOfRange { field: "epoch", found: 0 });
    }
    let part = decoder.uint("part", EPOCH_PARTS.saturating_sub(1))?;
    let parts = decoder.uint("parts", EPOCH_PARTS)?;
    if part >= parts {
        return Err(DecodeError::OutOfRange { field: "part", found: part });
    }
    let commit = decoder.fixed("commit")?;
    let slots = decoder.bytes("slots", PAYLOAD_BYTES)?.to_vec();
    let (narrow, wide) = (NARROW.saturating_mul(SLOT_BYTES), WIDE.saturating_mul(SLOT_BYTES));
    if slots.len() != wide && (slots.len() != narrow || parts != 1) {
        let (found, expected) = (slots.len() as u64, wide as u64);
        return Err(DecodeError::WrongLength { field: "slots", found, expected });
    }
    decoder.finish()?;
    Ok(Content::Part(Part { epoch, part, parts, commit, slots }))
}

fn decode_sealed(mut decoder: Decoder<'_>) -> Result<Content, DecodeError> {
    let tag = decoder.fixed("tag")?;
    let text = decoder.bytes("sealed", PAYLOAD_BYTES)?.to_vec();
    let (found, expected) = (text.len() as u64, LEAST_SEALED);
    if found < expected {
        return Err(DecodeError::WrongLength { field: "sealed", found, expected });
    }
    decoder.finish()?;
    Ok(Content::Sealed(Sealed { tag, text }))
}

fn decode_profile(mut decoder: Decoder<'_>) -> Result<Content, DecodeError> {
    let time = decode_time(&mut decoder)?;
    let name = decode_name(&mut decoder, "name")?.to_owned();
    let about = decoder.text("about", ABOUT_BYTES)?.to_owned();
    decoder.finish()?;
    Ok(Content::Profile(Profile { time, name, about }))
}

fn decode_relation(mut decoder: Decoder<'_>) -> Result<Content, DecodeError> {
    let time = decode_time(&mut decoder)?;
    let feed = FeedId::from_bytes(decoder.fixed("feed")?);
    let state = decode_code(&mut decoder, "state", &RelationState::ALL)?;
    decoder.finish()?;
    Ok(Content::Relation(Relation { time, feed, state }))
}

fn decode_certificate(mut decoder: Decoder<'_>) -> Result<Content, DecodeError> {
    let carry = decode_code(&mut decoder, "carry", &Carry::ALL)?;
    let account = AccountId::from_bytes(decoder.fixed("account")?);
    let signature = decoder.fixed("signature")?;
    decoder.finish()?;
    Ok(Content::Certificate(Certificate { carry, account, signature }))
}

fn decode_successor(mut decoder: Decoder<'_>) -> Result<Content, DecodeError> {
    let carry = decode_code(&mut decoder, "carry", &Carry::ALL)?;
    let account = AccountId::from_bytes(decoder.fixed("account")?);
    let retired = FeedId::from_bytes(decoder.fixed("retired")?);
    let signature = decoder.fixed("signature")?;
    decoder.finish()?;
    Ok(Content::Successor(Successor { carry, account, retired, signature }))
}

fn decode_device(mut decoder: Decoder<'_>) -> Result<Content, DecodeError> {
    let account = AccountId::from_bytes(decoder.fixed("account")?);
    let verb = decode_code(&mut decoder, "verb", &Verb::ALL)?;
    let feed = FeedId::from_bytes(decoder.fixed("feed")?);
    let signature = decoder.fixed("signature")?;
    decoder.finish()?;
    Ok(Content::Device(DeviceStatement { account, verb, feed, signature }))
}

fn decode_receipt(mut decoder: Decoder<'_>) -> Result<Content, DecodeError> {
    let time = decode_time(&mut decoder)?;
    let state = decode_code(&mut decoder, "state", &ReceiptState::ALL)?;
    let count = decode_count(&mut decoder)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        decoder.array_of("range", 3)?;
        let feed = FeedId::from_bytes(decoder.fixed("feed")?);
        let (first, last) = decode_range(&mut decoder, 1)?;
        entries.push((feed, first, last));
    }
    decoder.finish()?;
    Ok(Content::Receipt(Receipt { time, state, entries }))
}

fn decode_retraction(mut decoder: Decoder<'_>) -> Result<Content, DecodeError> {
    let count = decode_count(&mut decoder)?;
    let mut ranges = Vec::new();
    let mut least = 1;
    for _ in 0..count {
        decoder.array_of("range", 2)?;
        let (first, last) = decode_range(&mut decoder, least)?;
        ranges.push((first, last));
        least = last.saturating_add(2);
    }
    decoder.finish()?;
    let unsound = DecodeError::OutOfRange { field: "ranges", found: count };
    Ranges::new(ranges).map(Content::Retraction).ok_or(unsound)
}

fn decode_count(decoder: &mut Decoder<'_>) -> Result<u64, DecodeError> {
    match decoder.array("ranges", RANGES)? {
        0 => Err(DecodeError::OutOfRange { field: "ranges", found: 0 }),
        count => Ok(count),
    }
}

/// Reads first and last seq of a range that begins at `least` or later.
fn decode_range(decoder: &mut Decoder<'_>, least: u64) -> Result<(u64, u64), DecodeError> {
    let first = decoder.uint("first", SEQ_END - 1)?;
    if first < least {
        return Err(DecodeError::OutOfRange { field: "first", found: first });
    }
    match decoder.uint("last", SEQ_END - 1)? {
        last if last < first => Err(DecodeError::OutOfRange { field: "last", found: last }),
        last => Ok((first, last)),
    }
}

fn decode_time(decoder: &mut Decoder<'_>) -> Result<u64, DecodeError> {
    decoder.uint("time", TIME_END - 1)
}

fn decode_name<'a>(decoder: &mut Decoder<'a>, field: &'static str) -> Result<&'a str, DecodeError> {
    match decoder.text(field, NAME_BYTES)? {
        "" => Err(DecodeError::OutOfRange { field, found: 0 }),
        name => Ok(name),
    }
}

fn decode_name_if<'a>(
    is_there: bool,
    decoder: &mut Decoder<'a>,
    field: &'static str,
) -> Result<Option<&'a str>, DecodeError> {
    if is_there { decode_name(decoder, field).map(Some) } else { Ok(None) }
}

/// Reads one of the values that a number can stand for.
fn decode_code<T: Copy>(
    decoder: &mut Decoder<'_>,
    field: &'static str,
    all: &[(u64, T)],
) -> Result<T, DecodeError> {
    let found = decoder.uint(field, u64::MAX)?;
    let known = all.iter().find(|(code, _)| *code == found);
    known.map(|(_, value)| *value).ok_or(DecodeError::OutOfRange { field, found })
}

/// Gives an enum its numbers, once for both directions.
macro_rules! coded {
    ($name:ident { $($code:literal => $variant:ident),+ }) => {
        impl $name {
            const ALL: [(u64, Self); [$($code),+].len()] = [$(($code, Self::$variant)),+];

            /// Its number in the format.
            pub const fn code(self) -> u64 {
                match self { $(Self::$variant => $code),+ }
            }
        }
    };
}

coded!(RelationState { 0 => None, 1 => Follow, 2 => Block });
coded!(Carry { 0 => Open, 1 => Contacts, 2 => Listed });
coded!(Verb { 1 => Add, 2 => Revoke });
coded!(ReceiptState { 1 => Delivered, 2 => Read });

#[cfg(test)]
mod tests;
