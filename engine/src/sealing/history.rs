//! What was said in a group before somebody came into it: whoever takes them in hands it on, if the
//! group says so.
//!
//! The keys that it was sealed with are gone, so it is handed on as text, to that person alone, and
//! rests on the word of the one who took them in: it is kept as theirs, and gives way to what the author
//! says of it. What cannot be placed yet, because the group or the entry is not here, is put aside.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::content::{SEALED, kind_of};
use crate::key::AccountId;
use crate::limits::{EPOCH_MESSAGES, HISTORY_MESSAGES, HISTORY_WAITING};
use crate::seal::{Action, Again, Inner};
use crate::sealing::groups::Known;
use crate::sealing::opening::Opened;
use crate::sealing::{
    Audience, Own, PREVIOUS, again, conversation_with, groups, is_reachable, keep_said, send,
};
use crate::store::{StoreError, Writer};

const _: () = assert!(HISTORY_MESSAGES < EPOCH_MESSAGES, "it fits into one epoch");

/// Notes who was taken into a group by this device.
pub(super) fn owe(writer: &mut Writer<'_>, number: u32, action: &Action) -> Result<(), StoreError> {
    let newcomers = match action {
        Action::Create { members, .. } => members.as_slice(),
        Action::Add(account) => std::slice::from_ref(account),
        _ => &[],
    };
    newcomers.iter().try_for_each(|account| writer.owe_history(number, account, true))
}

/// Tells those who were taken into a group of it, as soon as they can be sealed to, and hands on what was
/// said before.
pub(super) fn hand_on(writer: &mut Writer<'_>, own: &mut Own<'_>) -> Result<(), StoreError> {
    for (number, account) in writer.history_due()? {
        let (group, mine) = (writer.conversation_row(number)?.id, own.account(writer)?);
        let members = groups::members(writer, number, &group, &mine)?;
        let with = conversation_with(writer, own, &Audience::Contact(account))?;
        let told = match with.filter(|_| members.contains(&account)) {
            Some(_) if !is_reachable(writer, own, &account)? => false,
            Some(with) => {
                groups::tell_newcomers(writer, own, number)?;
                let known = Known::of(writer, &group)?;
                let due = known.is_some_and(|it| it.history && it.took_in(&mine, &account));
                !due || hand_to(writer, own, number, with)?
            }
            None => true,
        };
        if told {
            writer.owe_history(number, &account, false)?;
        }
    }
    Ok(())
}

/// Hands the newest of what was said in a group to a contact. Whether the contact could be sealed to.
fn hand_to(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    group: u32,
    with: u32,
) -> Result<bool, StoreError> {
    for place in writer.newest_said(group, HISTORY_MESSAGES)? {
        if let Some((inner, ttl)) = again::again(writer, place)?
            && send(writer, own, with, &inner, ttl)?.is_none()
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Hears what a contact hands on; it is looked at when all that came with it was.
pub(super) fn hear(
    writer: &mut Writer<'_>,
    own: &Own<'_>,
    conversation: u32,
    opened: &Opened,
    said: Again,
) -> Result<(), StoreError> {
    if opened.author == own.account(writer)? {
        return Ok(());
    }
    let life = u64::from(opened.ttl).saturating_mul(60);
    let kept = if life > 0 { life.min(PREVIOUS) } else { PREVIOUS };
    let until = writer.known.minutes().saturating_add(kept);
    let text = Inner::Again(said).encode();
    writer.put_handed_aside((until, conversation), &text, HISTORY_WAITING)
}

/// Places what was handed on and put aside, as far as that can be done now.
pub(super) fn settle(writer: &mut Writer<'_>, own: &mut Own<'_>) -> Result<(), StoreError> {
    let mut known = BTreeMap::new();
    for (at, text) in writer.handed_aside()? {
        let by = writer.conversation_row(at.1)?.with;
        let mut done = true;
        if let (Ok(Inner::Again(said)), Some(by)) = (Inner::decode(&text), by)
            && writer.known.minutes() < at.0
            && writer.contact(&by)?.is_some()
        {
            let group = match known.entry(said.conversation) {
                Entry::Occupied(group) => group.into_mut(),
                Entry::Vacant(free) => free.insert(Known::of(writer, &said.conversation)?),
            };
            done = match group {
                Some(group) => take(writer, own, group, &by, said)?,
                None => false,
            };
        }
        if done {
            writer.drop_aside(at)?;
        }
    }
    Ok(())
}

/// Keeps what somebody handed on who took this person into a group that hands on: in the place of the
/// entry in which it was said, if its author may have said it there and nothing of it is here. Whether
/// nothing that may come yet would change what is done.
fn take(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    group: &Known,
    by: &AccountId,
    said: Again,
) -> Result<bool, StoreError> {
    let (mine, seq) = (own.account(writer)?, said.seq);
    let Some(feed) = writer.number(&said.feed, 0)?.filter(|_| group.history) else {
        return Ok(!group.history);
    };
    if !group.took_in(by, &mine) || !writer.is_held(feed)? {
        return Ok(false);
    }
    let origin = writer.row(feed)?.origin;
    let author = origin.map(|origin| origin.account).filter(|author| group.named.contains(author));
    let (Some(author), Some(stored)) = (author, writer.entry(feed, seq)?) else {
        return Ok(false);
    };
    let payload = writer.payload_of(feed, &stored)?;
    // Of an entry that is not here nobody would notice that its time is over.
    if payload.is_none() && stored.kept.stub.ttl > 0 && !stored.kept.state.is_final() {
        return Ok(false);
    }
    let is_sealed = payload.is_none_or(|payload| kind_of(&payload) == Some(SEALED));
    let is_gone = stored.kept.state.is_final()
        || writer.is_retracted(feed, seq)?
        || writer.is_deleted(feed, seq)?;
    let is_it = is_sealed && !is_gone && stored.id.prefix() == said.prefix;
    // What this person said nobody else knows better; and it would be handed on as its own.
    if author != mine && is_it && !writer.is_said((feed, seq))? {
        let (inner, ttl) = (Inner::Content(said.content), stored.kept.stub.ttl);
        let place = (feed, seq, said.prefix);
        keep_said(writer, own, group.number, place, &inner, ttl)?;
        writer.set_handed_by((feed, seq), by)?;
    }
    Ok(true)
}
