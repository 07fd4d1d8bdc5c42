//! The feed that this device writes: how it begins, how entries are added to it, how it ends.
//!
//! Everything here happens inside one step of the store, so that an entry and what belongs to it are
//! durable together or not at all.

use crate::account::succeed;
use crate::content::{Carry, Content, Profile, kind_of};
use crate::entry::{EntryId, Header, Stub, is_checkpoint};
use crate::ingest::{self, OWN};
use crate::key::{Context, FeedId, SecretKey, Seed};
use crate::limits::{INLINE_BYTES, PAYLOAD_BYTES, TTL_HOURS};
use crate::policy::CarryClass;
use crate::store::{
    ArrivalKind, FeedRow, Kept, NewEntry, OriginRow, State, Store, StoreError, Writer,
};

/// Why an own entry could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The store failed; nothing was written.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The content takes more bytes than an entry holds.
    #[error("the content takes {found} bytes; an entry holds {limit}")]
    TooLarge {
        /// Bytes that it takes.
        found: u64,
        /// Bytes that an entry holds.
        limit: u64,
    },
    /// The lifetime is longer than the format allows.
    #[error("a lifetime of {found} hours; at most {limit} are allowed")]
    TooLong {
        /// Hours asked for.
        found: u64,
        /// Hours allowed.
        limit: u64,
    },
    /// A structural content with a lifetime, or a first entry's content elsewhere.
    #[error("this content cannot be written so")]
    NotHere,
}

/// An own entry that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The own feed.
    pub feed: FeedId,
    /// The entry's place.
    pub seq: u64,
    /// The entry's id.
    pub id: EntryId,
}

/// Number and key of the feed that the device writes.
pub(crate) fn own_of(store: &Store) -> Result<(u32, SecretKey), StoreError> {
    let snapshot = store.snapshot()?;
    let damaged = || StoreError::Damaged { what: "the own key" };
    let secret = snapshot.secret("device")?.ok_or_else(damaged)?;
    let key = SecretKey::from_seed(&Seed::new(secret.try_into().map_err(|_| damaged())?));
    let number = snapshot.number(&key.feed(), 0)?.ok_or_else(damaged)?;
    Ok((number, key))
}

/// The bytes of an own content, if it can be written.
pub(crate) fn encode(content: &Content, ttl: u32) -> Result<Vec<u8>, WriteError> {
    if u64::from(ttl) > TTL_HOURS {
        return Err(WriteError::TooLong { found: u64::from(ttl), limit: TTL_HOURS });
    }
    let misplaced = match content {
        Content::Certificate(_)
        | Content::Successor(_)
        | Content::Prekey(_)
        | Content::Part(_)
        | Content::Sealed(_)
        | Content::Unknown { .. } => true,
        Content::Device(_) | Content::Retraction(_) => ttl != 0,
        Content::Post(_)
        | Content::Reply(_)
        | Content::Profile(_)
        | Content::Relation(_)
        | Content::Receipt(_) => false,
    };
    if misplaced {
        return Err(WriteError::NotHere);
    }
    let payload = content.encode();
    let found = payload.len() as u64;
    if found > PAYLOAD_BYTES {
        return Err(WriteError::TooLarge { found, limit: PAYLOAD_BYTES });
    }
    // What does not decode again is not content: an empty name, parents out of order.
    Content::decode(&payload).map_err(|_| WriteError::NotHere)?;
    Ok(payload)
}

/// By what those show themselves who may carry the feed of a device.
pub(crate) fn carry_secret(device: &Seed, generation: u64) -> Seed {
    device.derive(Context::CarrySecret, &generation.to_be_bytes())
}

/// Begins a feed of this device: entry 1 and, if a name is given, a profile.
pub(crate) fn begin_own(
    writer: &mut Writer<'_>,
    key: &SecretKey,
    secret: &Seed,
    origin: OriginRow,
    first: Content,
    name: Option<&str>,
) -> Result<u32, StoreError> {
    writer.set_secret("device", secret.expose())?;
    let number = writer.add_feed(FeedRow {
        id: key.feed(),
        branch: 0,
        class: CarryClass::Own,
        origin: Some(origin),
        runs: Vec::new(),
        floor: 1,
        head_id: EntryId::from_bytes([0; 32]),
        entries: 0,
        bytes: 0,
        carrier: 0,
        since: 0,
        fork_seq: None,
        retracts: false,
        own: OWN,
    })?;
    if origin.carry != Carry::Open {
        writer.set_carry_secret(&key.feed(), 0, &carry_secret(secret, 0))?;
    }
    let mut payloads = vec![(first.encode(), 0)];
    let told = writer.meta(UNTOLD)?.is_none();
    writer.set_meta("own", &number.to_be_bytes())?;
    if let Some(name) = name.filter(|_| told) {
        let time = writer.now.wall / 1_000;
        let profile = Profile { time, name: name.to_owned(), about: String::new() };
        payloads.push((Content::Profile(profile).encode(), 0));
    }
    write_own(writer, number, key, payloads)?;
    Ok(number)
}

/// The mark of a name that was not published yet.
pub(crate) const UNTOLD: &str = "untold name";

/// The profile that goes before the first public words of somebody whose name was not published yet.
pub(crate) fn untold_profile(
    writer: &mut Writer<'_>,
    payloads: &[(Vec<u8>, u32)],
) -> Result<Option<(Vec<u8>, u32)>, StoreError> {
    let speaks = |(payload, _): &(Vec<u8>, u32)| matches!(kind_of(payload), Some(1..=4));
    if writer.meta(UNTOLD)?.is_none() || !payloads.iter().any(speaks) {
        return Ok(None);
    }
    writer.clear_meta(UNTOLD)?;
    let tells = payloads.iter().any(|(payload, _)| kind_of(payload) == Some(3));
    let name = writer.meta("name")?.and_then(|name| String::from_utf8(name).ok());
    Ok(name.filter(|_| !tells).map(|name| {
        let time = writer.now.wall / 1_000;
        (Content::Profile(Profile { time, name, about: String::new() }).encode(), 0)
    }))
}

/// Appends public entries; the last of what is returned are those that were asked for.
pub(crate) fn write_public(
    writer: &mut Writer<'_>,
    number: u32,
    key: &SecretKey,
    mut payloads: Vec<(Vec<u8>, u32)>,
) -> Result<Vec<Written>, StoreError> {
    let profile = untold_profile(writer, &payloads)?;
    let more = usize::from(profile.is_some());
    payloads.splice(0..0, profile);
    let mut written = write_own(writer, number, key, payloads)?;
    Ok(written.split_off(more.min(written.len())))
}

/// Appends own entries: checkpoints and the last are signed.
pub(crate) fn write_own(
    writer: &mut Writer<'_>,
    number: u32,
    key: &SecretKey,
    payloads: Vec<(Vec<u8>, u32)>,
) -> Result<Vec<Written>, StoreError> {
    let (head, feed) = (writer.row(number)?.head(), key.feed());
    let first = head.saturating_add(1);
    let before = (head > 0).then_some(writer.row(number)?.head_id);
    let last = head.saturating_add(payloads.len() as u64);
    let mut prev = before;
    let (mut entries, mut written) = (Vec::new(), Vec::new());
    let mut structural = Vec::new();
    for (seq, (payload, ttl)) in (first..).zip(payloads) {
        let stub = Stub::of(ttl, &payload);
        let id = Header::new(feed, seq, prev, stub).id();
        let signed = seq == last || is_checkpoint(seq);
        let signature = signed.then(|| key.sign(Context::Entry, id.as_bytes()));
        let inline = payload.len() as u64 <= INLINE_BYTES;
        let since = if ttl == 0 { 0 } else { writer.known.minutes() };
        match Content::decode(&payload) {
            Ok(content) if content.is_structural() => structural.push((seq, payload.clone())),
            Ok(Content::Profile(profile)) => writer.set_meta("name", profile.name.as_bytes())?,
            _ => {}
        }
        let (state, payload, apart) = if inline {
            (State::Here, Some(payload), None)
        } else {
            (State::Apart, None, Some(payload))
        };
        let kept = Kept { stub, age: 0, since, state, payload, signature };
        entries.push(NewEntry { id, kept, apart });
        written.push(Written { feed, seq, id });
        prev = Some(id);
    }
    if entries.is_empty() {
        return Ok(written);
    }
    let via = writer.via("own")?;
    writer.append(number, first, before, entries)?;
    writer.arrived(number, (first, last), ArrivalKind::Entries, via)?;
    for (seq, payload) in structural {
        ingest::effects(writer, number, seq, &payload)?;
    }
    Ok(written)
}

/// If the own feed has to end, begins its successor in the same step.
pub(crate) fn retire_if_due(
    writer: &mut Writer<'_>,
    number: u32,
    key: &SecretKey,
    pool: &mut Seed,
) -> Result<(), StoreError> {
    if writer.meta("retire")? != Some(vec![1]) {
        return Ok(());
    }
    writer.set_meta("retire", &[0])?;
    let old = writer.row(number)?.clone();
    writer.row_mut(number)?.own = 2;
    // Not from what the program began with: a copy of its memory began with the same.
    let secret = pool.draw().derive(Context::DeviceKey, old.id.as_bytes());
    let new = SecretKey::from_seed(&secret);
    let damaged = StoreError::Damaged { what: "the own certificate" };
    let OriginRow { account, carry, .. } = old.origin.ok_or(damaged)?;
    let successor = Content::Successor(succeed(key, &new.feed(), carry, account));
    let origin = OriginRow { account, carry, retired: Some(old.id) };
    let name = writer.meta("name")?.and_then(|name| String::from_utf8(name).ok());
    begin_own(writer, &new, &secret, origin, successor, name.as_deref())?;
    Ok(())
}
