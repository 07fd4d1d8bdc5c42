//! Opening what arrived: prekeys of others, the parts that begin epochs, messages.

use crate::content::{Content, Part, ReceiptState, SEALED, Sealed, kind_of};
use crate::entry::EntryId;
use crate::ingest;
use crate::key::{AccountId, Context, FeedId, PrekeySecret, SLOT_BYTES, derive, is_prekey};
use crate::limits::{EPOCH_MESSAGES, GROUPS, TAGS_AHEAD};
use crate::seal::{
    Chain, Inner, Message, Place, Roster, RosterKind, Slot, audience_secret, commit, pair_of,
};
use crate::sealing::{
    Own, Waiting, again, carriers, groups, history, keep_said, kin, owe_arrival, renew,
    send_receipts, voice, write_post,
};
use crate::store::{ConversationRow, EpochRow, EpochState, OPENED, StoreError, Stored, Writer};

/// Number of the type of prekeys and of parts of epochs.
const PREKEY: u64 = 10;
const PART: u64 = 11;
/// Number of the type of what an account says of its devices.
const DEVICE: u64 = 7;
/// Entries that are looked at together.
const CHUNK: u64 = 256;

/// Looks at what arrived next and answers what is due: so many entries. Whether more waits.
pub(crate) fn advance(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    budget: u64,
) -> Result<bool, StoreError> {
    let Some(opened) = writer.meta(OPENED)? else { return Ok(false) };
    let mut opened = opened.try_into().map_or(0, u64::from_be_bytes);
    let mut left = budget;
    let mine = own.account(writer)?;
    while left > 0
        && let Some((position, arrival)) = writer.arrival_after(opened)?
    {
        opened = position;
        left = left.saturating_sub(1);
        if writer.is_held(arrival.feed)? && is_of_interest(writer, own, &mine, arrival.feed)? {
            // What comes after it may have lacked its link.
            let last = arrival.last.saturating_add(1);
            writer.scan_again(arrival.feed, arrival.first, last)?;
        }
    }
    if left > 0 {
        opened = opened.max(writer.heads.log_len);
    }
    writer.set_meta(OPENED, &opened.to_be_bytes())?;
    loop {
        while left > 0
            && let Some((feed, first, last)) = writer.next_scan()?
        {
            let until = last.min(first.saturating_add(CHUNK.min(left)).saturating_sub(1));
            look_at(writer, own, feed, first, until)?;
            writer.scan_again(feed, until.saturating_add(1), last)?;
            left = left.saturating_sub(until.saturating_sub(first).saturating_add(1));
        }
        // What new members of a group said is looked at in the same step.
        if left == 0 || !groups::note_members(writer)? {
            break;
        }
    }
    if left == 0 {
        return Ok(true);
    }
    groups::prove(writer)?;
    groups::note_members(writer)?;
    history::settle(writer, own)?;
    renew(writer, own)?;
    kin::tell_cards(writer, own)?;
    kin::tell_contacts(writer, own)?;
    carriers::renew_if_due(writer, own)?;
    carriers::tell_new(writer, own)?;
    groups::tell_changes(writer, own)?;
    history::hand_on(writer, own)?;
    again::ask(writer, own)?;
    again::seal(writer, own)?;
    empty_outbox(writer, own)?;
    while send_receipts(writer, own)? {}
    Ok(false)
}

/// Whether what a feed says may be for this device; if so, it is noted whose feed it is.
fn is_of_interest(
    writer: &mut Writer<'_>,
    own: &Own<'_>,
    mine: &AccountId,
    feed: u32,
) -> Result<bool, StoreError> {
    let row = writer.row(feed)?.clone();
    let Some(origin) = row.origin else { return Ok(false) };
    let is_ours = origin.account == *mine
        || writer.contact(&origin.account)?.is_some()
        || writer.is_member(&origin.account)?;
    if feed == own.number || row.branch > 0 || !is_ours {
        return Ok(false);
    }
    voice::note(writer, &origin.account, feed)
}

/// Looks at all that is held of an account's feeds: somebody was added.
pub(crate) fn look_at_account(
    writer: &mut Writer<'_>,
    account: &AccountId,
) -> Result<(), StoreError> {
    for (number, row) in writer.all_rows()? {
        let is_theirs = row.origin.is_some_and(|origin| origin.account == *account);
        if is_theirs && row.branch == 0 && voice::note(writer, account, number)? {
            let last = row.runs.last().map_or(0, |run| run.1);
            writer.scan_again(number, 1, last)?;
        }
    }
    Ok(())
}

/// Looks at some entries of a feed.
fn look_at(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    feed: u32,
    first: u64,
    last: u64,
) -> Result<(), StoreError> {
    if !writer.is_held(feed)? || feed == own.number {
        return Ok(());
    }
    for stored in writer.entries(feed, first, last)? {
        let Some(payload) = writer.payload_of(feed, &stored)? else { continue };
        let seq = stored.seq;
        match kind_of(&payload) {
            Some(DEVICE | PREKEY | PART | SEALED) => {}
            _ => continue,
        }
        match Content::decode(&payload) {
            Ok(Content::Prekey(key)) if is_prekey(&key) => {
                let mine = own.account(writer)?;
                let theirs = writer.row(feed)?.origin.map(|origin| origin.account);
                if theirs == Some(mine) && writer.newest_prekey(feed)?.is_none() {
                    // A new device of this person, which knows nobody yet.
                    for (account, _) in writer.contacts()? {
                        writer.tell_devices(&account)?;
                    }
                }
                writer.note_prekey(feed, seq)?;
            }
            Ok(Content::Device(told)) => {
                if let Some(number) = writer.number(&told.feed, 0)?
                    && writer.is_held(number)?
                    && voice::of(writer, feed)? == Some(told.account)
                    && number != own.number
                {
                    voice::note(writer, &told.account, number)?;
                }
            }
            Ok(Content::Part(part)) => open_part(writer, own, feed, &stored, &part)?,
            Ok(Content::Sealed(sealed)) => open_message(writer, own, feed, &stored, &sealed)?,
            _ => {}
        }
    }
    Ok(())
}

/// The place of an entry; none if what it links to is not held, or if its feed is not to be believed
/// there.
pub(super) fn place_of(
    writer: &mut Writer<'_>,
    feed: u32,
    seq: u64,
) -> Result<Option<(Place, AccountId)>, StoreError> {
    let row = writer.row(feed)?.clone();
    let Some(account) = voice::of(writer, feed)? else { return Ok(None) };
    let revoked = writer.standing(&account, &row.id)? == Some(2);
    if revoked || row.fork_seq.is_some_and(|fork| seq >= fork) {
        return Ok(None);
    }
    let prev = writer.prev_of(feed, seq)?;
    Ok(prev.map(|prev| (Place { feed: row.id, seq, prev }, account)))
}

/// Tries the slots of a part with every private half that is here.
fn open_part(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    feed: u32,
    stored: &Stored,
    part: &Part,
) -> Result<(), StoreError> {
    let seq = stored.seq;
    if part.epoch.saturating_add(part.part) != seq {
        return Ok(());
    }
    let Some((place, author)) = place_of(writer, feed, seq)? else { return Ok(()) };
    let device = own.feed();
    let mut opened = false;
    for (at, prekey) in writer.own_prekeys()?.into_iter().filter(|(at, _)| at.0 == own.number) {
        let slot = Slot {
            author: &author,
            place,
            device: &device,
            prekey: prekey.name,
            commit: &part.commit,
        };
        let private = PrekeySecret::from_seed(writer.prekey_secret(at, &prekey)?);
        // Another slot that opens may hold another key.
        for locked in part.slots.chunks(SLOT_BYTES) {
            if let Some(key) = slot.open(&private, locked) {
                let row = EpochRow {
                    state: EpochState::Waiting,
                    conversation: 0,
                    since: writer.known.minutes(),
                    commit: part.commit,
                    roster: [0; 32],
                    prekey: Some(at),
                    key,
                    index: 0,
                    opened: Vec::new(),
                    tagged: 0,
                };
                begin(writer, (feed, part.epoch), row)?;
                opened = true;
            }
        }
    }
    if opened { Ok(()) } else { again::note_unopened(writer, own, feed, part) }
}

/// Keeps the first key of an epoch; one that has another one already is refused.
fn begin(writer: &mut Writer<'_>, place: (u32, u64), mut row: EpochRow) -> Result<(), StoreError> {
    if let Some(known) = writer.epoch(place)? {
        let again = known.commit == row.commit
            && (known.index > 0 || !known.opened.is_empty() || known.key == row.key);
        if !again && known.state != EpochState::Refused {
            writer.set_epoch(place, &EpochRow { state: EpochState::Refused, ..known })?;
            again::note_spoiled(writer, place)?;
        }
        return Ok(());
    }
    expect_tags(writer, place, &mut row, 1)?;
    writer.set_epoch(place, &row)?;
    writer.has_opened(place)?;
    let (feed, epoch) = place;
    let last = writer.row(feed)?.runs.last().map_or(0, |run| run.1);
    writer.scan_again(feed, epoch.saturating_add(1), last)
}

/// Looks out for the tags of messages before `until`.
fn expect_tags(
    writer: &mut Writer<'_>,
    (feed, epoch): (u32, u64),
    row: &mut EpochRow,
    until: u64,
) -> Result<(), StoreError> {
    let until = until.min(EPOCH_MESSAGES.saturating_add(1));
    if until <= row.tagged {
        return Ok(());
    }
    let mut chain = Chain::at(row.key.clone(), row.index);
    while chain.index() < until {
        if chain.index() >= row.tagged {
            writer.expect_tag(feed, chain.tag(), (epoch, chain.index()))?;
        }
        chain.step();
    }
    row.tagged = until;
    Ok(())
}

/// Opens a message, if its tag is looked out for.
fn open_message(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    feed: u32,
    stored: &Stored,
    sealed: &Sealed,
) -> Result<(), StoreError> {
    let Some((epoch, index)) = writer.expected(feed, sealed.tag)? else {
        return again::note_late(writer, feed, stored.seq);
    };
    let Some(mut row) = writer.epoch((feed, epoch))? else { return Ok(()) };
    if row.state == EpochState::Refused || index < row.index {
        return Ok(());
    }
    let Some((place, author)) = place_of(writer, feed, stored.seq)? else { return Ok(()) };
    let mut chain = Chain::at(row.key.clone(), row.index);
    while chain.index() < index {
        chain.step();
    }
    let ttl = stored.kept.stub.ttl;
    let message = Message { place, ttl, epoch, index };
    let Some(text) = message.open(&chain.take(), &sealed.text) else { return Ok(()) };
    let inner = Inner::decode(&text).ok();
    if index == 0 {
        let audience = match &inner {
            Some(Inner::Roster(roster)) if commit(&row.key, &text) == row.commit => {
                audience(writer, own, &author, &place.feed, roster)?
            }
            _ => Audience::Wrong,
        };
        match audience {
            // Once the group is heard to have changed, all of its members' feeds are looked at.
            Audience::NotYet => return Ok(()),
            Audience::Of(conversation) => {
                row.state = EpochState::Open;
                row.conversation = conversation;
                row.roster = derive(Context::Roster, &text);
                if writer.conversation_row(conversation)?.kind == RosterKind::Group {
                    writer.set_round(conversation, feed, &audience_secret(&row.key))?;
                }
            }
            Audience::Wrong => row.state = EpochState::Refused,
        }
        let last = writer.row(feed)?.runs.last().map_or(0, |run| run.1);
        writer.scan_again(feed, stored.seq.saturating_add(1), last)?;
    }
    writer.drop_tag(feed, sealed.tag)?;
    note_opened(&mut row, index);
    if row.state == EpochState::Open {
        expect_tags(writer, (feed, epoch), &mut row, index.saturating_add(TAGS_AHEAD))?;
        again::note_opened(writer, (feed, epoch), &row, stored.seq)?;
    }
    writer.set_epoch((feed, epoch), &row)?;
    if index > 0
        && let Some(inner) = inner
    {
        let opened = Opened { feed, seq: stored.seq, id: stored.id, author, ttl };
        take_in(writer, own, row.conversation, opened, inner)?;
    }
    Ok(())
}

/// Notes that a message was opened, and forgets keys that are needed no more.
fn note_opened(row: &mut EpochRow, index: u64) {
    if let Err(at) = row.opened.binary_search(&index) {
        row.opened.insert(at, index);
    }
    let mut chain = Chain::at(row.key.clone(), row.index);
    while row.opened.first() == Some(&chain.index()) {
        row.opened.remove(0);
        chain.step();
    }
    (row.key, row.index) = (chain.key().clone(), chain.index());
}

/// What a roster means.
enum Audience {
    /// A conversation, by its number.
    Of(u32),
    /// A group that nobody has told of yet, or in which the author is not known to be.
    NotYet,
    /// Nothing that may be.
    Wrong,
}

/// The conversation that a roster means, if the author may have such a one with this device.
fn audience(
    writer: &mut Writer<'_>,
    own: &Own<'_>,
    author: &AccountId,
    device: &FeedId,
    roster: &Roster,
) -> Result<Audience, StoreError> {
    let mine = own.account(writer)?;
    let lists = |account: &AccountId, feed: &FeedId| {
        roster.members.iter().any(|(member, feeds)| member == account && feeds.contains(feed))
    };
    if !lists(author, device) || !lists(&mine, &own.feed()) {
        return Ok(Audience::Wrong);
    }
    let with = match roster.kind {
        RosterKind::Pair => {
            let others = || roster.members.iter().map(|(account, _)| *account);
            let other = others().find(|account| *account != mine);
            let Some(other) = other.filter(|_| roster.members.len() == 2) else {
                return Ok(Audience::Wrong);
            };
            if roster.id != pair_of(&mine, &other) || writer.contact(&other)?.is_none() {
                return Ok(Audience::Wrong);
            }
            Some(other)
        }
        RosterKind::Own
            if *author == mine
                && roster.members.len() == 1
                && roster.id == pair_of(&mine, &mine) =>
        {
            None
        }
        RosterKind::Group => {
            // A group that is not known yet is heard of by a contact; in one that is, members speak.
            let may = match writer.conversation(&roster.id)? {
                Some(number) => groups::is_heard(writer, number, author)?,
                None => writer.contact(author)?.is_some() && writer.groups()? < GROUPS,
            };
            if !may {
                return Ok(Audience::NotYet);
            }
            None
        }
        RosterKind::Own => return Ok(Audience::Wrong),
    };
    let row = ConversationRow { kind: roster.kind, id: roster.id, with, epoch: None };
    writer.begin_conversation(&row).map(Audience::Of)
}

/// An entry that was opened.
pub(super) struct Opened {
    pub(super) feed: u32,
    pub(super) seq: u64,
    pub(super) id: EntryId,
    pub(super) author: AccountId,
    pub(super) ttl: u32,
}

/// Takes in what a message says.
fn take_in(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    conversation: u32,
    opened: Opened,
    inner: Inner,
) -> Result<(), StoreError> {
    let &Opened { feed, seq, id, author, ttl } = &opened;
    match &inner {
        Inner::Content(Content::Post(_) | Content::Reply(_)) => {
            if writer.is_handed_on((feed, seq))? {
                writer.forget_said((feed, seq))?;
            } else if writer.is_said((feed, seq))? {
                return Ok(());
            }
            keep_said(writer, own, conversation, (feed, seq, id.prefix()), &inner, ttl)?;
            owe_arrival(writer, own, &author, (conversation, feed, seq))?;
        }
        Inner::Content(Content::Receipt(receipt)) => {
            let state = if receipt.state == ReceiptState::Read { 2 } else { 1 };
            for (of, first, last) in &receipt.entries {
                if let Some(number) = writer.number(of, 0)?
                    && writer.is_held(number)?
                    && writer.row(number)?.own != 0
                {
                    writer.arrived_at(number, (*first, *last), (conversation, &author), state)?;
                }
            }
        }
        Inner::Renewal { generation, share } => {
            let from = (author, writer.row(feed)?.id);
            kin::take_share(writer, own, conversation, from, (*generation, share.clone()))?;
        }
        Inner::Introduction(card) => kin::take_card(writer, own, conversation, &author, card)?,
        Inner::Change(change) => groups::take_change(writer, conversation, change)?,
        Inner::Unreadable { feed: of, epoch, after } => {
            again::hear(writer, conversation, (author, feed), (*of, *epoch, *after))?;
        }
        Inner::Again(said) => again::take(writer, own, conversation, &opened, said.clone())?,
        Inner::Confirmation { generation, feed } => {
            kin::confirm(writer, conversation, *generation, *feed)?;
        }
        Inner::Contact(told) => {
            let kind = writer.conversation_row(conversation)?.kind;
            if kind == RosterKind::Own && kin::take_contact(writer, told.clone())? {
                ingest::regroup(writer)?;
            }
        }
        Inner::Carriage { generation, secret } => {
            carriers::take(writer, conversation, feed, (*generation, secret))?;
        }
        _ => {}
    }
    Ok(())
}

/// Seals what waited for somebody who can open it.
pub(crate) fn empty_outbox(writer: &mut Writer<'_>, own: &mut Own<'_>) -> Result<(), StoreError> {
    for (at, waiting) in writer.outbox()? {
        let Waiting { conversation, ttl, content } = Waiting::decode(&waiting)?;
        if write_post(writer, own, conversation, content, ttl)?.is_some() {
            writer.take_off(at)?;
        }
    }
    Ok(())
}
