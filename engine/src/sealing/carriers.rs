//! Who may carry the own feed, if not everybody may: they are told a secret by which they show it to
//! each other.

use crate::content::Carry;
use crate::key::{AccountId, Seed};
use crate::own::carry_secret;
use crate::seal::{Inner, RosterKind, pair_of};
use crate::sealing::{Audience, DAY, Own, conversation_with, send};
use crate::store::{ConversationRow, StoreError, Writer};

/// What the other side of a conversation is told when an epoch begins, if it may carry the own feed.
pub(super) fn told(
    writer: &mut Writer<'_>,
    own: &Own<'_>,
    conversation: &ConversationRow,
) -> Result<Option<Inner>, StoreError> {
    let may = match (conversation.kind, conversation.with) {
        (RosterKind::Own, _) => carry_of(writer, own)? != Carry::Open,
        (RosterKind::Pair, Some(with)) => may_carry(writer, own, &with)?,
        _ => false,
    };
    if !may {
        return Ok(None);
    }
    let known = writer.carry_secret(&own.feed())?;
    Ok(known.map(|(generation, secret)| Inner::Carriage { generation, secret }))
}

fn carry_of(writer: &mut Writer<'_>, own: &Own<'_>) -> Result<Carry, StoreError> {
    Ok(writer.row(own.number)?.origin.map_or(Carry::Open, |origin| origin.carry))
}

fn may_carry(
    writer: &mut Writer<'_>,
    own: &Own<'_>,
    account: &AccountId,
) -> Result<bool, StoreError> {
    let is_contact = writer.contact(account)?.is_some();
    Ok(match carry_of(writer, own)? {
        Carry::Open => false,
        Carry::Contacts => is_contact,
        Carry::Listed => is_contact && writer.is_listed(account)?,
    })
}

/// Takes by what the carriers of a contact's feed, or of one of the own other devices, show
/// themselves.
pub(super) fn take(
    writer: &mut Writer<'_>,
    conversation: u32,
    feed: u32,
    (generation, secret): (u64, &Seed),
) -> Result<(), StoreError> {
    let row = writer.row(feed)?;
    let (feed, is_open) = (row.id, row.origin.is_none_or(|origin| origin.carry == Carry::Open));
    let kind = writer.conversation_row(conversation)?.kind;
    if is_open || kind == RosterKind::Group {
        return Ok(());
    }
    writer.set_carry_secret(&feed, generation, secret)
}

/// Tells all who may carry the own feed by what they show themselves; by something new if somebody may
/// no longer.
pub(crate) fn renew_carriers(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    fresh: bool,
) -> Result<(), StoreError> {
    if carry_of(writer, own)? == Carry::Open {
        return Ok(());
    }
    let known = writer.carry_secret(&own.feed())?.map_or(0, |known| known.0);
    if fresh {
        let generation = known.saturating_add(1);
        let secret = carry_secret(&own.key.to_seed(), generation);
        writer.set_carry_secret(&own.feed(), generation, &secret)?;
    }
    let me = own.account(writer)?;
    let mut numbers = writer.conversation(&pair_of(&me, &me))?.into_iter().collect::<Vec<_>>();
    for (account, _) in writer.contacts()? {
        numbers.extend(conversation_with(writer, own, &Audience::Contact(account))?);
    }
    for number in numbers {
        let conversation = writer.conversation_row(number)?;
        // An epoch that begins here says it first of all.
        if conversation.epoch.is_some()
            && let Some(told) = told(writer, own, &conversation)?
        {
            send(writer, own, number, &told, 0)?;
        }
    }
    tell_new(writer, own)
}

/// The mark that somebody knows by what carriers of the own feed show themselves who is none any more.
const DUE: &str = "carriers due";
/// The minute, plus one, in which they were told something new for that reason.
const RENEWED: &str = "carriers renewed";

/// Notes that carriers of the own feed are to show themselves by something new.
pub(super) fn owe_renewal(writer: &mut Writer<'_>) -> Result<(), StoreError> {
    writer.set_meta(DUE, &[1])
}

/// Tells carriers of the own feed something new if that is due; once a day, however often others say
/// that it is.
pub(super) fn renew_if_due(writer: &mut Writer<'_>, own: &mut Own<'_>) -> Result<(), StoreError> {
    let last = writer.meta(RENEWED)?.and_then(|row| row.try_into().ok());
    let (last, now) = (last.map_or(0, u64::from_be_bytes), writer.known.minutes());
    let is_due = writer.meta(DUE)? == Some(vec![1]);
    if !is_due || (last > 0 && now.saturating_add(1) < last.saturating_add(DAY)) {
        return Ok(());
    }
    writer.set_meta(DUE, &[0])?;
    writer.set_meta(RENEWED, &now.saturating_add(1).to_be_bytes())?;
    renew_carriers(writer, own, true)
}

/// Tells contacts who may carry the own feed, and were told nothing yet, as soon as it can be sealed
/// for them.
pub(super) fn tell_new(writer: &mut Writer<'_>, own: &mut Own<'_>) -> Result<(), StoreError> {
    if carry_of(writer, own)? == Carry::Open {
        return Ok(());
    }
    for (account, _) in writer.contacts()? {
        let Some(number) = conversation_with(writer, own, &Audience::Contact(account))? else {
            continue;
        };
        let conversation = writer.conversation_row(number)?;
        if conversation.epoch.is_none_or(|place| place.0 != own.number)
            && let Some(told) = told(writer, own, &conversation)?
        {
            send(writer, own, number, &told, 0)?;
        }
    }
    Ok(())
}

/// Somebody is a contact no longer: may not carry the own feed, and is not met as one who does.
pub(crate) fn shut_out(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    account: &AccountId,
) -> Result<(), StoreError> {
    for number in writer.feeds_of(account)? {
        let feed = writer.row(number)?.id;
        writer.drop_carry_secret(&feed)?;
    }
    writer.set_listed(account, false)?;
    renew_carriers(writer, own, true)
}
