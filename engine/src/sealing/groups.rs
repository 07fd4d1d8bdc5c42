//! Groups inside one step of the store: changes that are made and heard, and who is written to.
//!
//! A change stands for itself, so a newcomer is handed all of them and comes to the same members as
//! everybody else. Who may sign for an account is asked of the feeds that are held; a change that was
//! signed by a feed that is not here yet is put aside until it comes.

use std::collections::BTreeSet;

use crate::ingest;
use crate::key::{AccountId, Digest, FeedId};
use crate::limits::{GROUP_ASIDE, GROUP_CHANGES, GROUPS};
use crate::seal::{Action, Change, Draft, Inner, RosterKind, State, UnverifiedChange, resolve};
use crate::sealing::{Own, end_epoch, goes_on, history, look_at_account, send, voice};
use crate::store::{ConversationRow, Snapshot, StoreError, Writer};

/// The name under which it is kept of which groups changes came whose names were not noted yet.
const DUE: &str = "members due";

/// What came of changing a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is done; the group's id.
    Done(Digest),
    /// This person may not, or it would change nothing.
    NotAllowed,
    /// The group is unknown.
    Unknown,
    /// There are as many groups as there may be.
    Full,
}

fn read(rows: Vec<Vec<u8>>) -> Result<Vec<Change>, StoreError> {
    // They were checked when they came.
    let change = |row: &Vec<u8>| UnverifiedChange::decode(row).ok()?.verify(|_, _| true).ok();
    let damaged = || StoreError::Damaged { what: "a change of a group" };
    rows.iter().map(|row| change(row).ok_or_else(damaged)).collect()
}

/// What the changes of a group come to.
pub(super) fn state(
    writer: &Writer<'_>,
    number: u32,
    group: &Digest,
) -> Result<Option<State>, StoreError> {
    Ok(resolve(group, &read(writer.changes(number)?)?))
}

/// What the changes of a group come to, for a reader.
pub(crate) fn state_of(
    snapshot: &Snapshot,
    number: u32,
    group: &Digest,
) -> Result<Option<State>, StoreError> {
    Ok(resolve(group, &read(snapshot.changes(number)?)?))
}

/// Makes a change: of a group, or a new one.
pub(crate) fn change(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    group: Option<Digest>,
    action: Action,
) -> Result<Changed, StoreError> {
    let (account, time) = (own.account(writer)?, writer.now.wall / 1_000);
    let mut parents = Vec::new();
    if let Some(group) = &group {
        let known = writer.conversation(group)?;
        let Some(state) = known.map(|number| state(writer, number, group)).transpose()?.flatten()
        else {
            return Ok(Changed::Unknown);
        };
        if !state.permits(&account, &action) {
            return Ok(Changed::NotAllowed);
        }
        parents = state.parents().to_vec();
        parents.sort_unstable();
    } else if writer.groups()? >= GROUPS {
        return Ok(Changed::Full);
    }
    let draft = Draft { group, account, parents, action, time };
    let Ok(change) = draft.sign(own.key) else { return Ok(Changed::NotAllowed) };
    let id = *change.group();
    let row = ConversationRow { kind: RosterKind::Group, id, with: None, epoch: None };
    let number = writer.begin_conversation(&row)?;
    // Those who are put out hear of it under the keys that they have; what comes after, they do not.
    let inner = Inner::Change(change.encode());
    let leaves = matches!(change.action(), Action::Remove(_) | Action::Leave);
    if leaves {
        send(writer, own, number, &inner, 0)?;
    }
    keep(writer, number, &change)?;
    note_members(writer)?;
    // Where the audience is another one, an epoch begins with this, and with all that was changed.
    if !leaves && send(writer, own, number, &inner, 0)?.is_none() {
        writer.put_off_change(number, change.id())?;
    }
    history::owe(writer, number, change.action())?;
    Ok(Changed::Done(id))
}

/// Tells of changes that nobody could be told of before.
pub(super) fn tell_changes(writer: &mut Writer<'_>, own: &mut Own<'_>) -> Result<(), StoreError> {
    for (number, id, change) in writer.changes_put_off()? {
        if send(writer, own, number, &Inner::Change(change), 0)?.is_some() {
            writer.change_told(number, &id)?;
        }
    }
    Ok(())
}

/// Begins an epoch of a group, if the conversation is one, in which all of its changes are told.
pub(super) fn tell_anew(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    number: u32,
) -> Result<(), StoreError> {
    let Some(change) = writer.changes(number)?.into_iter().next() else { return Ok(()) };
    if writer.conversation_row(number)?.kind != RosterKind::Group {
        return Ok(());
    }
    end_epoch(writer, number)?;
    send(writer, own, number, &Inner::Change(change), 0).map(drop)
}

/// Tells a group of its changes if somebody is in it now to whom what was written last is not sealed.
pub(super) fn tell_newcomers(
    writer: &mut Writer<'_>,
    own: &mut Own<'_>,
    number: u32,
) -> Result<(), StoreError> {
    if goes_on(writer, own, number)? { Ok(()) } else { tell_anew(writer, own, number) }
}

/// Takes in a change that was heard in a conversation.
pub(super) fn take_change(
    writer: &mut Writer<'_>,
    number: u32,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let row = writer.conversation_row(number)?;
    let Ok(unverified) = UnverifiedChange::decode(bytes) else { return Ok(()) };
    if row.kind != RosterKind::Group || writer.changes(number)?.len() as u64 >= GROUP_CHANGES {
        return Ok(());
    }
    let (id, mut signer) = (*unverified.id(), Ok(None));
    let change = unverified.verify(|account, feed| {
        signer = is_device(writer, account, feed);
        matches!(signer, Ok(Some(true)))
    });
    match (signer?, change) {
        (None, _) => writer.put_change_aside(number, &id, bytes, GROUP_ASIDE),
        (_, Ok(change)) if *change.group() == row.id => keep(writer, number, &change),
        _ => Ok(()),
    }
}

/// Takes in what was put aside, as soon as the feed is here that signed it.
pub(super) fn prove(writer: &mut Writer<'_>) -> Result<(), StoreError> {
    let aside = writer.changes_aside()?;
    let mut left = aside.len();
    for (number, id, bytes) in &aside {
        let mut signer = Ok(None);
        if let Ok(unverified) = UnverifiedChange::decode(bytes) {
            drop(unverified.verify(|account, feed| {
                signer = is_device(writer, account, feed);
                false
            }));
        }
        if signer?.is_some() {
            writer.take_change_up(Some((*number, id)))?;
            take_change(writer, *number, bytes)?;
            left = left.saturating_sub(1);
        }
    }
    if left == 0 && !aside.is_empty() { writer.take_change_up(None) } else { Ok(()) }
}

/// Whether a feed may sign for an account; none if nothing is known of the feed.
fn is_device(
    writer: &mut Writer<'_>,
    account: &AccountId,
    feed: &FeedId,
) -> Result<Option<bool>, StoreError> {
    // What a device signed before it was revoked stays, so that everybody comes to the same.
    let Some(number) = writer.number(feed, 0)? else { return Ok(None) };
    if !writer.is_held(number)? {
        return Ok(None);
    }
    match (voice::of(writer, number)?, writer.row(number)?.origin) {
        (Some(speaks_for), _) => Ok(Some(speaks_for == *account)),
        // It names the account, which may still say so.
        (None, Some(origin)) if origin.account == *account => Ok(None),
        (None, _) => Ok(Some(false)),
    }
}

/// Keeps a change; whom it names is noted later, once for all that came with it.
fn keep(writer: &mut Writer<'_>, number: u32, change: &Change) -> Result<(), StoreError> {
    if !writer.add_change(number, change.id(), &change.encode())? {
        return Ok(());
    }
    if matches!(change.action(), Action::Remove(_) | Action::Leave) {
        writer.drop_rounds(number)?;
    }
    let mut due = writer.meta(DUE)?.unwrap_or_default();
    let number = number.to_be_bytes();
    if due.as_chunks::<4>().0.contains(&number) {
        return Ok(());
    }
    due.extend(number);
    writer.set_meta(DUE, &due)
}

/// Takes whom the changes name that count, of groups of which some came, for people whose feeds are of
/// interest. Whether there are more of them.
pub(super) fn note_members(writer: &mut Writer<'_>) -> Result<bool, StoreError> {
    let due = writer.meta(DUE)?.unwrap_or_default();
    if due.is_empty() {
        return Ok(false);
    }
    writer.set_meta(DUE, &[])?;
    let mut grown = false;
    for number in due.as_chunks::<4>().0 {
        let number = u32::from_be_bytes(*number);
        let group = writer.conversation_row(number)?.id;
        // Until it is known how the group began, nothing counts: anybody could name anybody.
        let Some(known) = Known::read(writer, number, &group)? else { continue };
        for account in &known.named {
            if writer.note_member(account, number)? {
                look_at_account(writer, account)?;
                grown = true;
            }
        }
    }
    if grown {
        ingest::regroup(writer)?;
    }
    Ok(grown)
}

/// Who is written to in a group, if this person belongs to it: its members.
pub(super) fn members(
    writer: &Writer<'_>,
    number: u32,
    group: &Digest,
    mine: &AccountId,
) -> Result<Vec<AccountId>, StoreError> {
    let Some(state) = state(writer, number, group)? else { return Ok(Vec::new()) };
    let all: Vec<AccountId> = state.members.iter().map(|member| member.account).collect();
    Ok(if all.contains(mine) { all } else { Vec::new() })
}

/// What newcomers are handed with the first words of an epoch: all changes, in the order of causes.
pub(super) fn handed(
    writer: &Writer<'_>,
    number: u32,
    group: &Digest,
) -> Result<Vec<Inner>, StoreError> {
    let changes = read(writer.changes(number)?)?;
    let Some(state) = resolve(group, &changes) else { return Ok(Vec::new()) };
    let told = state.counting.iter().chain(&state.ignored);
    let find = |id: &Digest| changes.iter().find(|change| change.id() == id);
    Ok(told.filter_map(find).map(|change| Inner::Change(change.encode())).collect())
}

/// A group whose beginning is known.
pub(super) struct Known {
    pub(super) number: u32,
    /// Whether newcomers are handed what was said before.
    pub(super) history: bool,
    /// Whom changes that count name as members, whether they are still or not.
    pub(super) named: BTreeSet<AccountId>,
    /// Who took whom in when the group was there already.
    added: BTreeSet<(AccountId, AccountId)>,
}

impl Known {
    fn read(writer: &Writer<'_>, number: u32, group: &Digest) -> Result<Option<Self>, StoreError> {
        let changes = read(writer.changes(number)?)?;
        let Some(state) = resolve(group, &changes) else { return Ok(None) };
        let counting: BTreeSet<&Digest> = state.counting.iter().collect();
        let (mut named, mut added) = (BTreeSet::new(), BTreeSet::new());
        for change in changes.iter().filter(|change| counting.contains(change.id())) {
            match change.action() {
                Action::Create { members, .. } => {
                    named.insert(*change.account());
                    named.extend(members);
                }
                Action::Add(account) => {
                    named.insert(*account);
                    added.insert((*change.account(), *account));
                }
                _ => {}
            }
        }
        Ok(Some(Self { number, history: state.history, named, added }))
    }

    /// The group of a conversation's id, if it is one.
    pub(super) fn of(writer: &Writer<'_>, group: &Digest) -> Result<Option<Self>, StoreError> {
        let number = writer.conversation(group)?;
        number.map_or(Ok(None), |number| Self::read(writer, number, group))
    }

    /// Whether somebody took an account into the group when it was there already.
    pub(super) fn took_in(&self, by: &AccountId, account: &AccountId) -> bool {
        self.added.contains(&(*by, *account))
    }
}

/// Whether an account may be heard in a group.
pub(super) fn is_heard(
    writer: &Writer<'_>,
    number: u32,
    account: &AccountId,
) -> Result<bool, StoreError> {
    let group = writer.conversation_row(number)?.id;
    match Known::read(writer, number, &group)? {
        Some(known) => Ok(known.named.contains(account)),
        // How it began is not known yet: contacts hand that on.
        None => Ok(writer.contact(account)?.is_some()),
    }
}
