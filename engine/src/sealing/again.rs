//! What is done about epochs that do not open: their reader says so, and their author seals again.
//!
//! An epoch that opens with none of this device's prekeys is mostly for somebody else, and nobody is
//! told. But who seals takes the newest prekey that it has, and what it has only grows newer: what
//! stands behind an epoch that was opened is sealed to that epoch's prekey or a later one. So an epoch
//! may have been for this device exactly if a prekey from there on is destroyed already. Its author
//! knows whether it was, and seals what was said in it again, from its own copy; of what it deleted or
//! took back there is none. Who had read it already reads the place where it stood first, and passes
//! over it. A word that something cannot be opened is answered with messages alone, never with such
//! a word; what it does is that one's own word is said once more, if that could not be opened.

use std::collections::{BTreeMap, BTreeSet};

use crate::content::{Content, Part, SEALED, kind_of};
use crate::key::{AccountId, FeedId};
use crate::limits::{EPOCH_DEVICES, SEALED_AGAIN, UNREADABLE_DAY, UNREADABLE_TOLD};
use crate::seal::{Again, Inner, RosterKind};
use crate::sealing::opening::{Opened, place_of};
use crate::sealing::{
    Audience, DAY, Own, conversation_with, devices, fits, groups, history, keep_said, leave,
    owe_arrival, send,
};
use crate::store::{ConversationRow, EpochRow, Latest, OwnEpoch, StoreError, Writer};

/// For so many minutes others can say that they cannot open an own epoch.
const REMEMBERED: u64 = 180 * DAY;
/// How often the author of an epoch is told that it does not open, if it cannot open that either.
const TOLD: u64 = 3;
/// The mark that a prekey of this device was destroyed.
const GONE: &str = "prekeys gone";

/// Remembers for whom an epoch is that begins here.
pub(super) fn note_own(
    writer: &mut Writer<'_>,
    place: (u32, u64),
    conversation: u32,
    accounts: Vec<AccountId>,
) -> Result<(), StoreError> {
    let since = writer.known.minutes();
    writer.set_own_epoch(place, &OwnEpoch { conversation, since, accounts, asked: Vec::new() })
}

/// Forgets own epochs that nobody can ask for any more.
pub(super) fn forget(writer: &mut Writer<'_>) -> Result<(), StoreError> {
    let before = writer.known.minutes().saturating_sub(REMEMBERED);
    writer.forget_own_epochs(before)
}

/// Notes that a prekey of this device was destroyed.
pub(super) fn note_gone(writer: &mut Writer<'_>) -> Result<(), StoreError> {
    writer.set_meta(GONE, &[1])
}

/// Notes where the feeds of somebody stand who is a contact from now on: what they say up to there
/// was for others.
pub(crate) fn begin_with(writer: &mut Writer<'_>, account: &AccountId) -> Result<(), StoreError> {
    for (number, row) in writer.all_rows()? {
        let is_theirs = row.origin.is_some_and(|origin| origin.account == *account);
        if is_theirs && row.branch == 0 {
            let epoch = row.runs.last().map_or(0, |run| run.1);
            writer.set_latest((number, 0), Latest { epoch, prekey: (0, 0), last: 0 })?;
        }
    }
    Ok(())
}

/// Notes which entry of an epoch was opened.
pub(super) fn note_opened(
    writer: &mut Writer<'_>,
    (feed, epoch): (u32, u64),
    row: &EpochRow,
    seq: u64,
) -> Result<(), StoreError> {
    let Some(prekey) = row.prekey else { return Ok(()) };
    writer.set_latest((feed, row.conversation), Latest { epoch, prekey, last: seq })
}

/// Looks at an epoch of which a part was tried and did not open.
pub(super) fn note_unopened(
    writer: &mut Writer<'_>,
    own: &Own<'_>,
    feed: u32,
    part: &Part,
) -> Result<(), StoreError> {
    let place = (feed, part.epoch);
    if writer.epoch(place)?.is_none()
        && contact_of(writer, feed)?.is_some()
        && may_be_gone(writer, own, place)?
        && is_tried(writer, place, part.parts)?
    {
        writer.add_unopened(place, 0, UNREADABLE_TOLD)?;
    }
    Ok(())
}

/// Notes that an epoch was told in two ways, so that it is not read.
pub(super) fn note_spoiled(writer: &mut Writer<'_>, place: (u32, u64)) -> Result<(), StoreError> {
    if contact_of(writer, place.0)?.is_some() {
        writer.add_unopened(place, 0, UNREADABLE_TOLD)?;
    }
    Ok(())
}

/// Looks at a message that belongs to no epoch which is open: perhaps to one of which the keys are gone.
pub(super) fn note_late(writer: &mut Writer<'_>, feed: u32, seq: u64) -> Result<(), StoreError> {
    for (conversation, latest) in writer.latest(feed)? {
        let lapsed = conversation > 0 && seq > latest.last;
        if lapsed
            && writer.epoch((feed, latest.epoch))?.is_none()
            && contact_of(writer, feed)?.is_some()
        {
            writer.add_unopened((feed, latest.epoch), latest.last, UNREADABLE_TOLD)?;
        }
    }
    Ok(())
}

/// Whose feed it is, if that is a contact.
fn contact_of(writer: &mut Writer<'_>, feed: u32) -> Result<Option<AccountId>, StoreError> {
    if !writer.is_held(feed)? {
        return Ok(None);
    }
    let Some(origin) = writer.row(feed)?.origin else { return Ok(None) };
    Ok(writer.contact(&origin.account)?.map(|_| origin.account))
}

/// Whether an epoch may have been sealed to a prekey of this device that is destroyed.
fn may_be_gone(
    writer: &mut Writer<'_>,
    own: &Own<'_>,
    (feed, epoch): (u32, u64),
) -> Result<bool, StoreError> {
    let mine = writer.own_prekeys()?.into_iter().map(|(place, _)| place);
    let Some(oldest) = mine.filter(|place| place.0 == own.number).min() else { return Ok(false) };
    let before = writer.latest(feed)?.into_iter();
    let before = before.filter(|(conversation, latest)| *conversation > 0 && latest.epoch < epoch);
    if let Some(used) = before.map(|(_, latest)| latest.prekey).max() {
        return Ok(used < oldest);
    }
    let origin = writer.row(own.number)?.origin;
    Ok(writer.meta(GONE)?.is_some() || origin.is_some_and(|origin| origin.retired.is_some()))
}

/// Whether all parts of an epoch are here and were tried.
fn is_tried(
    writer: &mut Writer<'_>,
    (feed, epoch): (u32, u64),
    parts: u64,
) -> Result<bool, StoreError> {
    for seq in (epoch..).take(usize::try_from(parts).unwrap_or(0)) {
        let stored = writer.entry(feed, seq)?;
        let here = match &stored {
            Some(stored) => writer.payload_of(feed, stored)?.is_some(),
            None => false,
        };
        if !here || place_of(writer, feed, seq)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a day has passed since something was done.
const fn is_due(now: u64, turn: u64) -> bool {
    turn == 0 || now.saturating_add(1) >= turn.saturating_add(DAY)
}

/// Tells contacts of epochs that did not open: each at most once a day, in an epoch that begins with it,
/// so that it is sealed to their newest prekeys.
pub(super) fn ask(writer: &mut Writer<'_>, own: &mut Own<'_>) -> Result<(), StoreError> {
    let mut by_contact = BTreeMap::new();
    for due in writer.unopened()? {
        if let Some(account) = contact_of(writer, due.0)? {
            by_contact.entry(account).or_insert_with(Vec::new).push(due);
        }
    }
    for (account, due) in by_contact {
        let (now, turns) = (writer.known.minutes(), writer.turns(&account)?);
        if !is_due(now, turns.0) {
            continue;
        }
        let Some(number) = begin_anew(writer, own, &account)? else { continue };
        for ((feed, epoch, after), _) in due.into_iter().zip(0..UNREADABLE_DAY) {
            let inner = Inner::Unreadable { feed: writer.row(feed)?.id, epoch, after };
            if send(writer, own, number, &inner, 0)?.is_none() {
                break;
            }
            let told = writer.conversation_row(number)?.epoch.map_or(u64::MAX, |place| place.1);
            writer.set_told((feed, epoch, after), told)?;
            writer.set_turns(&account, (now.saturating_add(1), turns.1))?;
        }
    }
    Ok(())
}

/// The conversation with a contact, in which the next message begins an epoch.
fn begin_anew(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    account: &AccountId,
) -> Result<Option<u32>, StoreError> {
    let Some(number) = conversation_with(writer, own, &Audience::Contact(*account))? else {
        return Ok(None);
    };
    leave(writer, account)?;
    Ok(Some(number))
}

/// Hears that a device of a contact could not open an own epoch.
pub(super) fn hear(
    writer: &mut Writer<'_>,
    conversation: u32,
    (author, from): (AccountId, u32),
    (feed, epoch, after): (FeedId, u64, u64),
) -> Result<(), StoreError> {
    let (with, device) = (writer.conversation_row(conversation)?.with, writer.row(from)?.id);
    let Some(number) = writer.number(&feed, 0)? else { return Ok(()) };
    if with != Some(author) || !is_own(writer, number)? {
        return Ok(());
    }
    let Some(mut row) = writer.own_epoch((number, epoch))? else { return Ok(()) };
    // What was said there of their epochs they could not hear.
    for feed in writer.feeds_of(&author)? {
        writer.tell_once_more(feed, epoch, TOLD)?;
    }
    let full = row.asked.len() as u64 >= EPOCH_DEVICES;
    if full || row.asked.contains(&device) || !row.accounts.contains(&author) {
        return Ok(());
    }
    row.asked.push(device);
    writer.set_own_epoch((number, epoch), &row)?;
    let next = writer.own_epoch_after((number, epoch), row.conversation)?;
    let range = (epoch.max(after).saturating_add(1), next.unwrap_or(u64::MAX).saturating_sub(1));
    for seq in writer.said_between((number, row.conversation), range, SEALED_AGAIN)? {
        writer.seal_again(&author, (number, seq), from)?;
        writer.arrived_at(number, (seq, seq), (row.conversation, &author), 0)?;
    }
    Ok(())
}

fn is_own(writer: &mut Writer<'_>, number: u32) -> Result<bool, StoreError> {
    Ok(writer.is_held(number)? && writer.row(number)?.own != 0)
}

/// Seals again what contacts could not open: for each at most once a day, so many messages, in an epoch
/// that begins with them. What is for a device that cannot be sealed to yet waits.
pub(super) fn seal(writer: &mut Writer<'_>, own: &mut Own<'_>) -> Result<(), StoreError> {
    let mut begun: Option<(AccountId, Option<u32>, u64)> = None;
    let mut groups = BTreeSet::new();
    for (account, place, device) in writer.to_seal_again()? {
        if begun.as_ref().is_none_or(|(of, ..)| *of != account) {
            let (now, turns) = (writer.known.minutes(), writer.turns(&account)?);
            let mut number = None;
            if writer.contact(&account)?.is_none() {
                writer.sealed_again(&account, place)?;
            } else if is_sealed_to(writer, own, &account, device)? && is_due(now, turns.1) {
                number = begin_anew(writer, own, &account)?;
            }
            begun = Some((account, number, 0));
        }
        let Some((_, Some(number), count)) = &mut begun else { continue };
        if *count >= SEALED_AGAIN {
            continue;
        }
        if let Some((inner, ttl)) = again(writer, place)? {
            // Who missed how a group began has to hear of that first.
            if let Some((said_in, _)) = writer.said_text(place)?
                && groups.insert(said_in)
            {
                groups::tell_anew(writer, own, said_in)?;
            }
            if send(writer, own, *number, &inner, ttl)?.is_none() {
                begun = Some((account, None, 0));
                continue;
            }
        }
        *count = count.saturating_add(1);
        writer.sealed_again(&account, place)?;
        let (now, turns) = (writer.known.minutes(), writer.turns(&account)?);
        writer.set_turns(&account, (turns.0, now.saturating_add(1)))?;
    }
    Ok(())
}

/// Whether what is sealed to a contact is sealed to a device of theirs.
fn is_sealed_to(
    writer: &mut Writer<'_>,
    own: &Own<'_>,
    account: &AccountId,
    device: u32,
) -> Result<bool, StoreError> {
    let (told, feed) = (writer.contact(account)?, writer.row(device)?.id);
    let found = devices(writer, account, told.as_ref(), own.number)?;
    Ok(found.iter().any(|(device, _)| *device == feed))
}

/// What was said in an entry, for somebody who could not open it, and for how many hours it is to be kept;
/// none if there is no copy of it any more.
pub(super) fn again(
    writer: &mut Writer<'_>,
    (number, seq): (u32, u64),
) -> Result<Option<(Inner, u32)>, StoreError> {
    let (Some((conversation, text)), Some(stored)) =
        (writer.said_text((number, seq))?, writer.entry(number, seq)?)
    else {
        return Ok(None);
    };
    let Ok(content) = Content::decode(&text) else { return Ok(None) };
    let life = u64::from(stored.kept.stub.ttl).saturating_mul(60);
    let left = life.saturating_sub(stored.kept.age_at(writer.known.minutes())).div_ceil(60);
    if life > 0 && left == 0 {
        return Ok(None);
    }
    let conversation = writer.conversation_row(conversation)?.id;
    let (feed, prefix) = (writer.row(number)?.id, stored.id.prefix());
    let inner = Inner::Again(Again { conversation, feed, seq, prefix, content });
    Ok(fits(&inner).is_ok().then(|| (inner, u32::try_from(left).unwrap_or(0))))
}

/// Takes in what was sealed again.
pub(super) fn take(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    conversation: u32,
    opened: &Opened,
    again: Again,
) -> Result<(), StoreError> {
    let row = writer.conversation_row(conversation)?;
    let (number, seq) = (writer.number(&again.feed, 0)?, again.seq);
    let mut account = None;
    if let Some(number) = number
        && writer.is_held(number)?
    {
        account = writer.row(number)?.origin.map(|origin| origin.account);
    }
    if account != Some(opened.author)
        && row.kind == RosterKind::Pair
        && again.conversation != row.id
    {
        return history::hear(writer, own, conversation, opened, again);
    }
    let Some(target) = target(writer, (conversation, &row), &opened.author, &again)? else {
        return Ok(());
    };
    let Some(feed) = number.filter(|_| account == Some(opened.author)) else { return Ok(()) };
    if feed == own.number || (feed == opened.feed && seq >= opened.seq) {
        return Ok(());
    }
    if (writer.is_said((feed, seq))? && !writer.is_handed_on((feed, seq))?)
        || writer.is_retracted(feed, seq)?
        || writer.is_deleted(feed, seq)?
    {
        return Ok(());
    }
    let (mut prefix, mut ttl) = (again.prefix, opened.ttl);
    if let Some(stored) = writer.entry(feed, seq)? {
        let payload = writer.payload_of(feed, &stored)?;
        let other = payload.is_some_and(|payload| kind_of(&payload) != Some(SEALED));
        if other || stored.kept.state.is_final() {
            return Ok(());
        }
        (prefix, ttl) = (stored.id.prefix(), stored.kept.stub.ttl);
    }
    writer.forget_said((feed, seq))?;
    let inner = Inner::Content(again.content);
    keep_said(writer, own, target, (feed, seq, prefix), &inner, ttl)?;
    owe_arrival(writer, own, &opened.author, (target, feed, seq))
}

/// In which conversation something was said first, if its author may have said it there.
fn target(
    writer: &Writer<'_>,
    (number, row): (u32, &ConversationRow),
    author: &AccountId,
    again: &Again,
) -> Result<Option<u32>, StoreError> {
    if row.kind != RosterKind::Pair {
        return Ok(None);
    }
    if again.conversation == row.id {
        return Ok(Some(number));
    }
    let Some(number) = writer.conversation(&again.conversation)? else { return Ok(None) };
    let is_group = writer.conversation_row(number)?.kind == RosterKind::Group;
    Ok(if is_group && groups::is_heard(writer, number, author)? { Some(number) } else { None })
}
