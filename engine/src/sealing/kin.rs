//! What is said so that secrets and contacts stay together: among two contacts, and among the devices
//! of one person.
//!
//! Of two contacts the account with the lower id sends shares of the next secret, one with each epoch;
//! the other one confirms a share, and both have moved on. Where several devices send and confirm at
//! once, the share of the lowest feed counts, on all of them. What was shared before still counts for
//! 30 days. Devices of one person tell each other of contacts as soon as they know of each other.

use crate::codec::{DecodeError, Decoder, Encoder};
use crate::key::{AccountId, FeedId, Seed, agreement_key};
use crate::limits::{INTRODUCTIONS, RENEWALS};
use crate::seal::{Acquaintance, Card, Inner, RosterKind, contact_secret, next_secret};
use crate::sealing::{
    Audience, Own, PREVIOUS, again, carriers, conversation_with, look_at_account, send,
    write_sealed,
};
use crate::store::{ContactRow, ConversationRow, EpochRow, StoreError, Writer};

/// The name under which what the account signed for its card is kept.
const CARD: &str = "card";
/// The name under which the secret key for agreement is kept.
const AGREEMENT: &str = "agreement";
/// Shares that are kept for a contact.
const SHARES: usize = 16;

/// Sends a share of the next secret with a new epoch, if it is this account that does.
pub(super) fn propose(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    (place, mut row): ((u32, u64), EpochRow),
    conversation: &ConversationRow,
) -> Result<((u32, u64), EpochRow), StoreError> {
    let Some(with) = conversation.with.filter(|_| conversation.kind == RosterKind::Pair) else {
        return Ok((place, row));
    };
    let Some(mut contact) = writer.contact(&with)? else { return Ok((place, row)) };
    if own.account(writer)? > with {
        return Ok((place, row));
    }
    let (generation, feed) = (contact.generation.saturating_add(1), own.feed());
    let known = contact.shares.iter().find(|share| (share.0, share.1) == (generation, feed));
    let share = match known {
        Some((_, _, share)) => share.clone(),
        None => own.pool.draw(),
    };
    keep_share(&mut contact, (generation, feed, share.clone()));
    writer.set_contact(&with, &contact)?;
    let inner = Inner::Renewal { generation, share };
    write_sealed(writer, own, place.1, &mut row, &inner.encode(), 0)?;
    Ok((place, row))
}

fn keep_share(contact: &mut ContactRow, share: (u64, FeedId, Seed)) {
    let (least, place) = (contact.generation, (share.0, share.1));
    contact.shares.retain(|share| share.0 >= least && (share.0, share.1) != place);
    if contact.shares.len() < SHARES {
        contact.shares.push(share);
    }
}

/// Takes a share of a contact's device, and confirms it.
pub(super) fn take_share(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    number: u32,
    (author, feed): (AccountId, FeedId),
    (generation, share): (u64, Seed),
) -> Result<(), StoreError> {
    let Some((with, mut contact)) = partner(writer, number)? else { return Ok(()) };
    let next = contact.generation.saturating_add(1);
    if generation < contact.generation || generation > next {
        return Ok(());
    }
    keep_share(&mut contact, (generation, feed, share));
    writer.set_contact(&with, &contact)?;
    // A device of the same person that sends shares is answered by the other side.
    if author != with || with > own.account(writer)? || generation != next {
        return Ok(());
    }
    let offers = contact.shares.iter().filter(|share| share.0 == next).map(|share| share.1);
    let Some(feed) = offers.min() else { return Ok(()) };
    confirm(writer, number, next, feed)?;
    send(writer, own, number, &Inner::Confirmation { generation, feed }, 0).map(drop)
}

/// Moves on to the secret that a share makes, as both sides agree.
pub(super) fn confirm(
    writer: &mut Writer<'_>,
    number: u32,
    generation: u64,
    feed: FeedId,
) -> Result<(), StoreError> {
    let Some((with, mut contact)) = partner(writer, number)? else { return Ok(()) };
    let found = contact.shares.iter().find(|share| (share.0, share.1) == (generation, feed));
    let Some(share) = found.map(|share| share.2.clone()) else { return Ok(()) };
    let until = writer.known.minutes().saturating_add(PREVIOUS);
    if generation == contact.generation.saturating_add(1) {
        let next = next_secret(&contact.secret, &share);
        contact.previous = Some((std::mem::replace(&mut contact.secret, next), until));
        (contact.generation, contact.confirmed) = (generation, Some(feed));
    } else if generation == contact.generation
        && contact.confirmed.is_some_and(|confirmed| feed < confirmed)
        && let Some((before, _)) = &contact.previous
    {
        contact.secret = next_secret(before, &share);
        contact.confirmed = Some(feed);
    }
    writer.set_contact(&with, &contact).map(drop)
}

/// Which secret two contacts share when one of them has a new card: both count it from the cards.
pub(crate) const fn first_generation(mine: u64, theirs: u64) -> u64 {
    mine.saturating_add(theirs).saturating_mul(RENEWALS)
}

/// The own card, and the secret half of its key; none if the account has signed none.
pub(crate) fn own_card(
    writer: &mut Writer<'_>,
    feed: &FeedId,
) -> Result<Option<(Card, Seed)>, StoreError> {
    let damaged = || StoreError::Damaged { what: "the own card" };
    let (Some(signed), Some(secret)) = (writer.meta(CARD)?, writer.secret(AGREEMENT)?) else {
        return Ok(None);
    };
    let account = writer.meta("account")?.and_then(|account| account.try_into().ok());
    let account = AccountId::from_bytes(account.ok_or_else(damaged)?);
    let mut row = Decoder::new(&signed);
    let mut read = || {
        row.array_of("card", 2)?;
        Ok((row.uint("generation", u64::MAX)?, row.fixed("signature")?))
    };
    let (generation, signature) = read().map_err(|_: DecodeError| damaged())?;
    let name = writer.meta("name")?.and_then(|name| String::from_utf8(name).ok());
    let agreement = agreement_key(&secret);
    let card = Card { account, generation, agreement, signature, feed: *feed, name };
    Ok(Some((card, secret)))
}

/// Keeps what the account signed for the card of this home, and the secret half of its key.
pub(crate) fn keep_card(
    writer: &mut Writer<'_>,
    card: &Card,
    secret: &Seed,
) -> Result<(), StoreError> {
    writer.set_secret(AGREEMENT, secret.expose())?;
    let mut out = Encoder::new();
    out.array(2).uint(card.generation).bytes(&card.signature);
    writer.set_meta(CARD, out.as_bytes())
}

/// Goes on with a new card of one's own: what is shared with each contact begins anew with it.
pub(crate) fn renew_card(
    writer: &mut Writer<'_>,
    card: &Card,
    secret: &Seed,
) -> Result<(), StoreError> {
    keep_card(writer, card, secret)?;
    let until = writer.known.minutes().saturating_add(PREVIOUS);
    for (account, mut row) in writer.contacts()? {
        let Ok(theirs) = Card::decode(&row.card) else { continue };
        let shared = contact_secret(secret, &card.account, &account, &theirs.agreement);
        let Some(shared) = shared else { continue };
        // They know it once they have the card; until then what they have counts here.
        row.previous = Some((std::mem::replace(&mut row.secret, shared), until));
        row.generation = first_generation(card.generation, theirs.generation);
        (row.confirmed, row.shares) = (None, Vec::new());
        writer.set_contact(&account, &row)?;
    }
    Ok(())
}

/// Tells contacts and the own other devices of the own new card: in epochs that begin with it, which a
/// device that was revoked cannot open.
pub(super) fn tell_cards(writer: &mut Writer<'_>, own: &mut Own<'_>) -> Result<(), StoreError> {
    let due = writer.cards_due()?;
    if due.is_empty() {
        return Ok(());
    }
    let Some((card, secret)) = own_card(writer, &own.feed())? else { return Ok(()) };
    for account in due {
        let bytes = card.encode();
        let sent = if account == card.account {
            let number = among_own(writer, own)?;
            let inner = Inner::Contact(Acquaintance {
                card: bytes,
                name: None,
                verified: true,
                removed: false,
                generation: card.generation,
                secret: secret.clone(),
            });
            send(writer, own, number, &inner, 0)?.is_some()
        } else {
            let audience = Audience::Contact(account);
            match conversation_with(writer, own, &audience)? {
                Some(number) => {
                    send(writer, own, number, &Inner::Introduction(bytes), 0)?.is_some()
                }
                None => true,
            }
        };
        if sent {
            writer.card_told(&account)?;
        }
    }
    Ok(())
}

/// Takes a card that a contact sends: its own new one, or somebody's whom it introduces.
pub(super) fn take_card(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    number: u32,
    author: &AccountId,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let Some((with, mut row)) = partner(writer, number)? else { return Ok(()) };
    let Ok(card) = Card::decode(bytes) else { return Ok(()) };
    if with != *author {
        return Ok(());
    }
    if card.account != with {
        let is_known = writer.contact(&card.account)?.is_some();
        let is_me = card.account == own.account(writer)?;
        if is_known || is_me {
            return Ok(());
        }
        return writer.introduce(author, &card.account, bytes, INTRODUCTIONS);
    }
    let before = Card::decode(&row.card).map_or(0, |before| before.generation);
    let Some((mine, secret)) = own_card(writer, &own.feed())? else { return Ok(()) };
    let shared = contact_secret(&secret, &mine.account, &with, &card.agreement);
    let Some(shared) = shared.filter(|_| card.generation > before) else { return Ok(()) };
    // The account signed it, so whoever was verified is. Somebody has what was shared before: it ends.
    (row.secret, row.previous) = (shared, None);
    row.generation = first_generation(mine.generation, card.generation);
    (row.confirmed, row.shares) = (None, Vec::new());
    row.card = bytes.to_vec();
    writer.set_contact(&with, &row)?;
    // By what carriers of the own feed show themselves that device knows as well.
    carriers::owe_renewal(writer)
}

/// The other account of a conversation of two, and what is known of it.
fn partner(
    writer: &Writer<'_>,
    number: u32,
) -> Result<Option<(AccountId, ContactRow)>, StoreError> {
    let Some(with) = writer.conversation_row(number)?.with else { return Ok(None) };
    Ok(writer.contact(&with)?.map(|contact| (with, contact)))
}

/// The conversation of the own devices.
fn among_own(writer: &mut Writer<'_>, own: &Own<'_>) -> Result<u32, StoreError> {
    let account = own.account(writer)?;
    let id = crate::seal::pair_of(&account, &account);
    writer.begin_conversation(&ConversationRow {
        kind: RosterKind::Own,
        id,
        with: None,
        epoch: None,
    })
}

/// Tells the own other devices of contacts that are new to them.
pub(super) fn tell_contacts(writer: &mut Writer<'_>, own: &mut Own<'_>) -> Result<(), StoreError> {
    for account in writer.untold()? {
        let Some(row) = writer.contact(&account)? else {
            writer.told(&account)?;
            continue;
        };
        let number = among_own(writer, own)?;
        let inner = Inner::Contact(acquaintance(&row, false));
        if send(writer, own, number, &inner, 0)?.is_none() {
            // There is no other device, or it cannot be written to yet.
            return Ok(());
        }
        writer.told(&account)?;
    }
    Ok(())
}

/// Tells the own other devices that somebody is a contact no longer.
pub(crate) fn tell_removed(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    row: &ContactRow,
) -> Result<(), StoreError> {
    let number = among_own(writer, own)?;
    send(writer, own, number, &Inner::Contact(acquaintance(row, true)), 0).map(drop)
}

fn acquaintance(row: &ContactRow, removed: bool) -> Acquaintance {
    Acquaintance {
        card: row.card.clone(),
        name: row.name.clone(),
        verified: row.verified,
        removed,
        generation: row.generation,
        secret: row.secret.clone(),
    }
}

fn own_account(writer: &Writer<'_>) -> Result<Option<AccountId>, StoreError> {
    let account = writer.meta("account")?.and_then(|account| account.try_into().ok());
    Ok(account.map(AccountId::from_bytes))
}

/// Takes the own new card from another own device.
fn take_own_card(
    writer: &mut Writer<'_>,
    card: &Card,
    told: &Acquaintance,
) -> Result<(), StoreError> {
    let before = own_card(writer, &card.feed)?.map(|(before, _)| before.generation);
    let is_newer = before.is_none_or(|before| card.generation > before);
    if is_newer && agreement_key(&told.secret) == card.agreement {
        renew_card(writer, card, &told.secret)?;
    }
    Ok(())
}

/// Takes what another own device tells of a contact.
pub(super) fn take_contact(
    writer: &mut Writer<'_>,
    told: Acquaintance,
) -> Result<bool, StoreError> {
    let Ok(card) = Card::decode(&told.card) else { return Ok(false) };
    if Some(card.account) == own_account(writer)? {
        return take_own_card(writer, &card, &told).map(|()| false);
    }
    let known = writer.contact(&card.account)?;
    let is_new = known.is_none();
    if told.removed {
        return writer.remove_contact(&card.account);
    }
    let before = known.as_ref().and_then(|row| Card::decode(&row.card).ok());
    if before.is_some_and(|before| before.generation > card.generation) {
        return Ok(false);
    }
    let mut row = known.unwrap_or_else(|| ContactRow {
        card: told.card.clone(),
        name: None,
        verified: false,
        generation: told.generation,
        secret: told.secret.clone(),
        previous: None,
        confirmed: None,
        shares: Vec::new(),
        devices: vec![card.feed],
    });
    // A later card of the person makes another beginning, which counts from further on.
    if told.generation > row.generation {
        let until = writer.known.minutes().saturating_add(PREVIOUS);
        let before = std::mem::replace(&mut row.secret, told.secret);
        // What was before a new card a device knows that was revoked.
        let is_renewed = told.generation / RENEWALS == row.generation / RENEWALS;
        row.previous = is_renewed.then_some((before, until));
        (row.generation, row.confirmed) = (told.generation, None);
    }
    row.card = told.card;
    row.verified |= told.verified;
    row.name = told.name.or(row.name);
    if !writer.set_contact(&card.account, &row)? {
        return Ok(false);
    }
    if is_new {
        again::begin_with(writer, &card.account)?;
    }
    look_at_account(writer, &card.account)?;
    Ok(true)
}
