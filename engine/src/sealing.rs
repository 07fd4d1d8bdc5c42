//! Private messages inside one step of the store: prekeys, epochs, what is opened and what is answered.
//!
//! Own entries and the state that belongs to them change in one step, so that no key is used for two
//! texts by a device that stays one device. What arrives is looked at behind the commits, in the order
//! of the arrival log, like the indexes are built; what cannot be opened yet is looked at again when
//! something came that may help. Nobody's bytes are believed because they could be opened: the audience
//! that the first message of an epoch names has to be the one that its key was bound to.

mod again;
mod carriers;
mod groups;
mod history;
mod kin;
mod opening;
mod voice;

use std::collections::BTreeSet;

use crate::codec::{DecodeError, Decoder, Encoder};
use crate::content::{
    Content, Part, Post, Prefix, Receipt, ReceiptState, Sealed, parents_in_order,
};
use crate::key::{
    AccountId, Context, Digest, FeedId, PrekeySecret, SLOT_BYTES, SecretKey, Seed, derive,
};
use crate::limits::{
    EPOCH_DEVICES, EPOCH_MESSAGES, LIVE_PREKEYS, PAYLOAD_BYTES, RANGES, TTL_HOURS,
};
use crate::own::{Written, write_own};
use crate::seal::{
    Chain, Inner, Message, Place, Roster, RosterKind, Slot, audience_secret, commit, pair_of,
    parts_for, prekey_name,
};
use crate::store::{
    ContactRow, ConversationRow, EpochRow, EpochState, OPENED, OwnPrekey, SaidRow, Snapshot,
    StoreError, Writer,
};

pub(crate) use again::begin_with;
pub(crate) use carriers::{renew_carriers, shut_out};
pub use groups::Changed;
pub(crate) use groups::{change, state_of};
pub(crate) use kin::{first_generation, keep_card, own_card, renew_card, tell_removed};
pub(crate) use opening::{advance, empty_outbox, look_at_account};

/// Minutes of known time in a day.
const DAY: u64 = 24 * 60;
/// After so many minutes of use a new prekey is published, and an epoch begins anew.
const RENEWED: u64 = 7 * DAY;
/// So many minutes after its successor the private half of a prekey is destroyed.
const KEPT: u64 = 23 * DAY;
/// Minutes for which what two contacts shared before counts.
pub(crate) const PREVIOUS: u64 = 30 * DAY;

/// The device that writes: its feed, its key, and fresh secrets.
pub(crate) struct Own<'a> {
    pub(crate) number: u32,
    pub(crate) key: &'a SecretKey,
    pub(crate) pool: &'a mut Seed,
}

/// With whom a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Audience {
    /// One contact.
    Contact(AccountId),
    /// The members of a group.
    Group(Digest),
}

/// A post that waits until somebody can open it.
struct Waiting {
    conversation: u32,
    ttl: u32,
    content: Content,
}

impl Waiting {
    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(3).uint(u64::from(self.conversation)).uint(u64::from(self.ttl));
        out.bytes(&self.content.encode());
        out.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let read = || {
            let mut row = Decoder::new(bytes);
            row.array_of("waiting", 3)?;
            let conversation = row.uint("conversation", u64::from(u32::MAX))?;
            let ttl = row.uint("ttl", TTL_HOURS)?;
            let content = Content::decode(row.bytes("content", PAYLOAD_BYTES)?)?;
            row.finish()?;
            let small = |value| u32::try_from(value).unwrap_or(0);
            Ok(Self { conversation: small(conversation), ttl: small(ttl), content })
        };
        read().map_err(|_: DecodeError| StoreError::Damaged { what: "a message that waits" })
    }
}

/// An own epoch: its place and its row.
type Begun = ((u32, u64), EpochRow);

/// Whose devices are to open an epoch, and by which keys.
struct Recipients {
    roster: Roster,
    keys: Vec<(FeedId, Vec<u8>)>,
    /// Whether anybody but the author's own person can open it.
    reaches: bool,
}

impl Own<'_> {
    fn account(&self, writer: &mut Writer<'_>) -> Result<AccountId, StoreError> {
        let origin = writer.row(self.number)?.origin;
        Ok(origin.ok_or(StoreError::Damaged { what: "the own certificate" })?.account)
    }

    fn feed(&self) -> FeedId {
        self.key.feed()
    }
}

/// Whether private messages are used here.
pub(crate) fn is_used(writer: &Writer<'_>) -> Result<bool, StoreError> {
    Ok(writer.meta(OPENED)?.is_some())
}

/// Whether an idle node finds something to open, to renew or to answer.
pub(crate) fn has_work(snapshot: &Snapshot, minute: u64) -> Result<bool, StoreError> {
    let Some(opened) = snapshot.meta(OPENED)? else { return Ok(false) };
    let opened = opened.try_into().map_or(0, u64::from_be_bytes);
    Ok(opened < snapshot.heads()?.log_len
        || snapshot.has_sealed_work()?
        || snapshot.next_renewal()?.is_some_and(|due| due <= minute))
}

/// Begins to use private messages, if that was never done: from here on others can write to this
/// device.
pub(crate) fn begin(writer: &mut Writer<'_>, own: &mut Own<'_>) -> Result<(), StoreError> {
    if !is_used(writer)? {
        writer.begin_locking(&own.pool.draw())?;
        let length = writer.heads.log_len;
        writer.set_meta(OPENED, &length.to_be_bytes())?;
        let account = own.account(writer)?;
        look_at_account(writer, &account)?;
    }
    renew(writer, own)
}

/// Publishes a new prekey if the last one was used long enough, and destroys those that are over.
pub(crate) fn renew(writer: &mut Writer<'_>, own: &mut Own<'_>) -> Result<(), StoreError> {
    let now = writer.known.minutes();
    let held = writer.own_prekeys()?;
    let newest = held.iter().find(|(place, _)| place.0 == own.number);
    let fresh = newest.is_some_and(|(_, key)| now < key.since.saturating_add(RENEWED));
    if !fresh {
        for (place, prekey) in held.iter().filter(|(_, prekey)| prekey.until.is_none()) {
            let over = OwnPrekey { until: Some(now.max(1)), ..prekey.clone() };
            writer.set_own_prekey(*place, &over)?;
        }
        publish(writer, own)?;
    }
    let held = writer.own_prekeys()?;
    let most = usize::try_from(LIVE_PREKEYS).unwrap_or(usize::MAX);
    let mut next = now.saturating_add(RENEWED);
    for (at, (place, prekey)) in held.iter().enumerate() {
        let end = prekey.until.map(|until| until.saturating_add(KEPT));
        if at >= most || end.is_some_and(|end| end <= now) {
            writer.forget_own_prekey(*place)?;
            again::note_gone(writer)?;
            continue;
        }
        next = next.min(end.unwrap_or_else(|| prekey.since.saturating_add(RENEWED)));
    }
    again::forget(writer)?;
    next = writer.first_aside_ends()?.map_or(next, |ends| next.min(ends));
    writer.set_meta("renewal", &next.to_be_bytes())
}

fn publish(writer: &mut Writer<'_>, own: &mut Own<'_>) -> Result<(), StoreError> {
    let secret = own.pool.draw();
    let public = PrekeySecret::from_seed(secret.clone()).public();
    let name = prekey_name(&public);
    let payload = Content::Prekey(public).encode();
    let written = write_own(writer, own.number, own.key, vec![(payload, 0)])?;
    let seq = written.last().map_or(0, |written| written.seq);
    writer.add_own_prekey((own.number, seq), name, &secret)
}

/// The conversation with an audience; none if it is no contact.
pub(crate) fn conversation_with(
    writer: &mut Writer<'_>,
    own: &Own<'_>,
    audience: &Audience,
) -> Result<Option<u32>, StoreError> {
    let account = match audience {
        Audience::Contact(account) => account,
        Audience::Group(group) => {
            let Some(number) = writer.conversation(group)? else { return Ok(None) };
            let me = own.account(writer)?;
            let members = groups::members(writer, number, group, &me)?;
            return Ok(Some(number).filter(|_| !members.is_empty()));
        }
    };
    if writer.contact(account)?.is_none() {
        return Ok(None);
    }
    let id = pair_of(&own.account(writer)?, account);
    let row = ConversationRow { kind: RosterKind::Pair, id, with: Some(*account), epoch: None };
    writer.begin_conversation(&row).map(Some)
}

/// Devices of an account that can be sealed to, each with its newest prekey.
fn devices(
    writer: &mut Writer<'_>,
    account: &AccountId,
    told: Option<&ContactRow>,
    own: u32,
) -> Result<Vec<(FeedId, Vec<u8>)>, StoreError> {
    let numbers = writer.feeds_of(account)?;
    let mut rows = Vec::new();
    for number in numbers {
        if number != own && writer.is_held(number)? {
            rows.push((number, writer.row(number)?.clone()));
        }
    }
    let replaced: BTreeSet<FeedId> =
        rows.iter().filter_map(|(_, row)| row.origin?.retired).collect();
    let mut found = Vec::new();
    for (number, row) in rows {
        let standing = writer.standing(account, &row.id)?;
        let confirmed = row.origin.is_some_and(|origin| origin.retired.is_none());
        let counts = standing != Some(2)
            && (confirmed || standing == Some(1))
            && row.fork_seq.is_none()
            && row.own == 0
            && !replaced.contains(&row.id)
            && told.is_none_or(|contact| contact.devices.contains(&row.id));
        if !counts {
            continue;
        }
        if let Some(seq) = writer.newest_prekey(number)?
            && let Some(stored) = writer.entry(number, seq)?
            && let Some(payload) = writer.payload_of(number, &stored)?
            && let Ok(Content::Prekey(key)) = Content::decode(&payload)
        {
            found.push((row.id, key));
        }
    }
    Ok(found)
}

/// Who is to open what is written into a conversation now.
fn recipients(
    writer: &mut Writer<'_>,
    own: &Own<'_>,
    number: u32,
    row: &ConversationRow,
) -> Result<Recipients, StoreError> {
    let me = own.account(writer)?;
    let mut accounts = vec![me];
    accounts.extend(row.with);
    if row.kind == RosterKind::Group {
        accounts = groups::members(writer, number, &row.id, &me)?;
    }
    let mut members = Vec::with_capacity(accounts.len());
    for account in accounts {
        members.push((account, writer.contact(&account)?));
    }
    members.sort_by_key(|(account, _)| *account);
    let (mut keys, mut listed, mut reaches) = (Vec::new(), Vec::new(), false);
    for (account, told) in members {
        let found = devices(writer, &account, told.as_ref(), own.number)?;
        let mut feeds: Vec<FeedId> = found.iter().map(|(feed, _)| *feed).collect();
        if account == me {
            feeds.push(own.feed());
        }
        reaches |= !found.is_empty() && (account != me || row.kind == RosterKind::Own);
        feeds.sort_unstable();
        listed.push((account, feeds));
        keys.extend(found);
    }
    let roster = Roster { kind: row.kind, id: row.id, members: listed };
    Ok(Recipients { roster, keys, reaches })
}

/// Whether a contact can be written to.
pub(crate) fn is_reachable(
    writer: &mut Writer<'_>,
    own: &Own<'_>,
    account: &AccountId,
) -> Result<bool, StoreError> {
    let Some(number) = conversation_with(writer, own, &Audience::Contact(*account))? else {
        return Ok(false);
    };
    let row = writer.conversation_row(number)?;
    let found = recipients(writer, own, number, &row)?;
    Ok(found.reaches && (found.keys.len() as u64) < EPOCH_DEVICES)
}

/// Seals something into a conversation and writes it. None: nobody could open it yet.
pub(crate) fn send(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    number: u32,
    inner: &Inner,
    ttl: u32,
) -> Result<Option<Written>, StoreError> {
    let mut conversation = writer.conversation_row(number)?;
    let recipients = recipients(writer, own, number, &conversation)?;
    if !recipients.reaches || recipients.keys.len() as u64 >= EPOCH_DEVICES {
        return Ok(None);
    }
    let roster = Inner::Roster(recipients.roster.clone()).encode();
    let hash = derive(Context::Roster, &roster);
    let (place, mut row) = if let Some(live) = live_epoch(writer, own, &conversation, &hash)? {
        live
    } else {
        if let Some(old) = conversation.epoch {
            writer.forget_epoch(old)?;
        }
        let begun = begin_epoch(writer, own, number, &recipients, &roster)?;
        let accounts = recipients.roster.members.iter().map(|(account, _)| *account).collect();
        again::note_own(writer, begun.0, number, accounts)?;
        conversation.epoch = Some(begun.0);
        writer.set_conversation(number, &conversation)?;
        let mut begun = kin::propose(writer, own, begun, &conversation)?;
        if let Some(told) = carriers::told(writer, own, &conversation)? {
            write_sealed(writer, own, begun.0.1, &mut begun.1, &told.encode(), 0)?;
        }
        if conversation.kind == RosterKind::Group {
            for change in groups::handed(writer, number, &conversation.id)? {
                write_sealed(writer, own, begun.0.1, &mut begun.1, &change.encode(), 0)?;
            }
        }
        begun
    };
    let written = write_sealed(writer, own, place.1, &mut row, &inner.encode(), ttl)?;
    writer.set_epoch(place, &row)?;
    Ok(Some(written))
}

/// The own epoch in which a conversation goes on, if it is for this roster.
fn live_epoch(
    writer: &Writer<'_>,
    own: &Own<'_>,
    conversation: &ConversationRow,
    roster: &Digest,
) -> Result<Option<Begun>, StoreError> {
    let Some(place) = conversation.epoch.filter(|place| place.0 == own.number) else {
        return Ok(None);
    };
    let now = writer.known.minutes();
    let goes_on = |row: &EpochRow| {
        row.roster == *roster
            && row.state == EpochState::Open
            && row.index < EPOCH_MESSAGES
            && now < row.since.saturating_add(RENEWED)
    };
    Ok(writer.epoch(place)?.filter(goes_on).map(|row| (place, row)))
}

/// Whether what is sealed into a conversation now goes on in an epoch for the same devices.
fn goes_on(writer: &mut Writer<'_>, own: &Own<'_>, number: u32) -> Result<bool, StoreError> {
    let row = writer.conversation_row(number)?;
    let roster = Inner::Roster(recipients(writer, own, number, &row)?.roster).encode();
    let hash = derive(Context::Roster, &roster);
    Ok(live_epoch(writer, own, &row, &hash)?.is_some())
}

/// Begins an epoch: its parts, and its first message with the audience.
fn begin_epoch(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    conversation: u32,
    recipients: &Recipients,
    roster: &[u8],
) -> Result<Begun, StoreError> {
    let first = own.pool.draw();
    let commit = commit(&first, roster);
    let account = own.account(writer)?;
    let (parts, width) = parts_for(recipients.keys.len());
    let mut keys: Vec<Option<&(FeedId, Vec<u8>)>> = recipients.keys.iter().map(Some).collect();
    keys.resize(parts.saturating_mul(width), None);
    shuffle(&mut keys, &own.pool.draw());
    let epoch = writer.row(own.number)?.head().saturating_add(1);
    for (part, keys) in (0..).zip(keys.chunks(width)) {
        let place = next_place(writer, own)?;
        let mut slots = Vec::with_capacity(width.saturating_mul(SLOT_BYTES));
        for key in keys {
            slots.extend(fill_slot(own, &account, place, &commit, *key, &first));
        }
        let part = Part { epoch, part, parts: parts as u64, commit, slots };
        write_own(writer, own.number, own.key, vec![(Content::Part(part).encode(), 0)])?;
    }
    let mut row = EpochRow {
        state: EpochState::Open,
        conversation,
        since: writer.known.minutes(),
        commit,
        roster: derive(Context::Roster, roster),
        prekey: None,
        key: first,
        index: 0,
        opened: Vec::new(),
        tagged: 0,
    };
    if writer.conversation_row(conversation)?.kind == RosterKind::Group {
        writer.set_round(conversation, own.number, &audience_secret(&row.key))?;
    }
    write_sealed(writer, own, epoch, &mut row, roster, 0)?;
    Ok(((own.number, epoch), row))
}

/// A slot for a device, or one that nobody opens and nobody can tell from others.
fn fill_slot(
    own: &mut Own<'_>,
    account: &AccountId,
    place: Place,
    commit: &Digest,
    key: Option<&(FeedId, Vec<u8>)>,
    first: &Seed,
) -> Vec<u8> {
    let slot = |device, public: &[u8]| Slot {
        author: account,
        place,
        device,
        prekey: prekey_name(public),
        commit,
    };
    if let Some((device, public)) = key
        && let Some(locked) = slot(device, public).lock(public, first, &own.pool.draw())
    {
        return locked;
    }
    let nobody = PrekeySecret::from_seed(own.pool.draw()).public();
    let device = own.key.feed();
    slot(&device, &nobody).lock(&nobody, &own.pool.draw(), &own.pool.draw()).unwrap_or_default()
}

/// Puts things into an order that a secret decides.
fn shuffle<T>(things: &mut [T], seed: &Seed) {
    let mut seed = seed.clone();
    for last in (1..things.len()).rev() {
        let draw = seed.draw();
        let number = draw.expose().iter().take(8).fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
        let other = usize::try_from(number % (last as u64).saturating_add(1)).unwrap_or(0);
        things.swap(last, other);
    }
}

/// Where the next own entry will stand.
fn next_place(writer: &mut Writer<'_>, own: &Own<'_>) -> Result<Place, StoreError> {
    let row = writer.row(own.number)?;
    Ok(Place { feed: row.id, seq: row.head().saturating_add(1), prev: row.head_id })
}

/// Seals a text with the next key of an own epoch, and writes it.
fn write_sealed(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    epoch: u64,
    row: &mut EpochRow,
    text: &[u8],
    ttl: u32,
) -> Result<Written, StoreError> {
    let place = next_place(writer, own)?;
    let mut chain = Chain::at(row.key.clone(), row.index);
    let (tag, message) = (chain.tag(), Message { place, ttl, epoch, index: chain.index() });
    let text = message.seal(&chain.take(), text);
    (row.key, row.index) = (chain.key().clone(), chain.index());
    let payload = Content::Sealed(Sealed { tag, text }).encode();
    let written = write_own(writer, own.number, own.key, vec![(payload, ttl)])?;
    written.into_iter().next().ok_or(StoreError::Damaged { what: "the own feed" })
}

/// Whether a text fits into a sealed entry.
pub(crate) fn fits(inner: &Inner) -> Result<(), u64> {
    let text = crate::seal::pad(&inner.encode());
    let whole = Content::Sealed(Sealed { tag: [0; 8], text }).encode().len() as u64;
    let whole = whole.saturating_add(crate::key::SEAL_BYTES as u64);
    if whole <= PAYLOAD_BYTES { Ok(()) } else { Err(whole) }
}

/// Writes a post or a reply into a conversation, or puts it off until somebody can open it.
pub(crate) fn write_post(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    number: u32,
    content: Content,
    ttl: u32,
) -> Result<Option<Written>, StoreError> {
    let inner = Inner::Content(content);
    let Some(written) = send(writer, own, number, &inner, ttl)? else { return Ok(None) };
    let place = (own.number, written.seq, written.id.prefix());
    keep_said(writer, own, number, place, &inner, ttl)?;
    Ok(Some(written))
}

/// Puts a post off until somebody can open it.
pub(crate) fn put_off(
    writer: &mut Writer<'_>,
    conversation: u32,
    content: Content,
    ttl: u32,
) -> Result<(), StoreError> {
    writer.put_off(&Waiting { conversation, ttl, content }.encode()).map(drop)
}

/// The posts that wait, each with its conversation.
pub(crate) fn waiting(snapshot: &Snapshot) -> Result<Vec<(u32, Content)>, StoreError> {
    let rows = snapshot.outbox()?.into_iter();
    rows.map(|(_, row)| Waiting::decode(&row).map(|row| (row.conversation, row.content))).collect()
}

/// A post or a reply with its parents in a conversation: what it answers comes first.
pub(crate) fn in_conversation(
    writer: &mut Writer<'_>,
    conversation: u32,
    post: Post,
) -> Result<Content, StoreError> {
    let answered = post.parents.first().copied();
    let parents = parents_in_order(answered, writer.said_heads(conversation)?);
    let post = Post { parents, channel: None, ..post };
    Ok(if answered.is_some() { Content::Reply(post) } else { Content::Post(post) })
}

/// Ends what is written under with an account, so that nothing more is sealed to it.
pub(crate) fn leave(writer: &mut Writer<'_>, account: &AccountId) -> Result<(), StoreError> {
    let mine = writer.meta("account")?.and_then(|account| account.try_into().ok());
    let mine = AccountId::from_bytes(mine.unwrap_or_default());
    let number = writer.conversation(&pair_of(&mine, account))?;
    number.map_or(Ok(()), |number| end_epoch(writer, number))
}

/// Ends what is written under in a conversation: what is said next begins an epoch.
fn end_epoch(writer: &mut Writer<'_>, number: u32) -> Result<(), StoreError> {
    let mut row = writer.conversation_row(number)?;
    let Some(place) = row.epoch.take() else { return Ok(()) };
    writer.forget_epoch(place)?;
    writer.set_conversation(number, &row)
}

/// Notes that the author of something is to hear that it arrived, if that is told.
fn owe_arrival(
    writer: &mut Writer<'_>,
    own: &Own<'_>,
    author: &AccountId,
    place: (u32, u32, u64),
) -> Result<(), StoreError> {
    if *author == own.account(writer)? || writer.meta("receipts")? == Some(vec![0]) {
        return Ok(());
    }
    writer.owe_receipt(place, 1)
}

/// Notes that what others said was shown.
pub(crate) fn note_read(
    writer: &mut Writer<'_>,
    shown: &[(FeedId, u64)],
) -> Result<(), StoreError> {
    if writer.meta("receipts")? == Some(vec![0]) {
        return Ok(());
    }
    for (feed, seq) in shown {
        if let Some(number) = writer.number(feed, 0)?
            && writer.is_held(number)?
            && writer.row(number)?.own == 0
            && !writer.is_handed_on((number, *seq))?
            && let Some(conversation) = writer.first_read((number, *seq))?
        {
            writer.owe_receipt((conversation, number, *seq), 2)?;
        }
    }
    Ok(())
}

/// Keeps what was said for whoever reads it here.
fn keep_said(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    conversation: u32,
    (feed, seq, prefix): (u32, u64, Prefix),
    inner: &Inner,
    ttl: u32,
) -> Result<(), StoreError> {
    let Inner::Content(Content::Post(post) | Content::Reply(post)) = inner else {
        return Ok(());
    };
    let said = SaidRow { conversation, prefix, time: post.time, parents: post.parents.clone() };
    writer.say((feed, seq), &said, &inner.encode(), ttl, &own.pool.draw())
}

/// Writes the receipts that are due in one conversation. Whether there were any.
fn send_receipts(writer: &mut Writer<'_>, own: &mut Own<'_>) -> Result<bool, StoreError> {
    let Some((number, due)) = writer.take_receipts()? else { return Ok(false) };
    let time = writer.now.wall / 1_000;
    for (code, state) in [(1, ReceiptState::Delivered), (2, ReceiptState::Read)] {
        let mut ranges: Vec<(FeedId, u64, u64)> = Vec::new();
        for &(feed, seq, _) in due.iter().filter(|due| due.2 == code) {
            let feed = writer.row(feed)?.id;
            match ranges.last_mut() {
                Some(last) if last.0 == feed && last.2.saturating_add(1) == seq => last.2 = seq,
                _ => ranges.push((feed, seq, seq)),
            }
        }
        let most = usize::try_from(RANGES).unwrap_or(1);
        for entries in ranges.chunks(most) {
            let receipt = Receipt { time, state, entries: entries.to_vec() };
            let inner = Inner::Content(Content::Receipt(receipt));
            send(writer, own, number, &inner, 0)?;
        }
    }
    Ok(true)
}
