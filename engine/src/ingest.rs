//! The one door for what comes from outside: a session and a bundle both end here.
//!
//! What arrives is verified before it reaches this file. Here it is decided whether it is new,
//! whether it fits what is held, whether the feed has forked, and whether there is room. Nothing
//! here depends on the order in which things come: the same set ends in the same state.

mod branches;
mod room;

use std::collections::BTreeSet;

use crate::account::{self, Origin};
use crate::content::{Carry, Content, Verb, is_structural};
use crate::entry::EntryId;
use crate::fork::VerifiedFork;
use crate::key::{AccountId, FeedId, Signature};
use crate::limits::{ISLANDS_PER_FEED, REACHED_FEEDS, SEGMENT_ENTRIES};
use crate::policy::{Carrier, CarryClass};
use crate::segment::{Entry, Reject, Segment};
use crate::store::{
    ArrivalKind, FeedRow, Kept, NewEntry, OriginRow, Restored, State, StoreError, Stored, Writer,
};

/// A verified segment in memory of its own, waiting to be taken in.
#[derive(Debug, Clone)]
pub(crate) struct Incoming {
    pub(crate) feed: FeedId,
    pub(crate) first_seq: u64,
    pub(crate) prev: Option<EntryId>,
    pub(crate) entries: Vec<Piece>,
    pub(crate) signature: Signature,
    pub(crate) origin: Option<Origin>,
}

/// One entry of an incoming segment.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) id: EntryId,
    pub(crate) stub: crate::entry::Stub,
    pub(crate) age: u32,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) follows: bool,
}

impl From<Segment<'_>> for Incoming {
    fn from(segment: Segment<'_>) -> Self {
        let piece = |entry: &Entry<'_>| Piece {
            id: entry.id,
            stub: entry.stub,
            age: entry.age,
            payload: entry.payload.map(<[u8]>::to_vec),
            follows: entry.follows,
        };
        Self {
            feed: segment.feed,
            first_seq: segment.first_seq,
            prev: segment.prev,
            entries: segment.entries.iter().map(piece).collect(),
            signature: segment.signature,
            origin: segment.origin,
        }
    }
}

impl Incoming {
    pub(crate) fn last_seq(&self) -> u64 {
        self.first_seq.saturating_add(self.entries.len() as u64).saturating_sub(1)
    }

    fn piece(&self, seq: u64) -> Option<&Piece> {
        self.entries.get(usize::try_from(seq.checked_sub(self.first_seq)?).ok()?)
    }

    /// The id before `seq`, as this segment tells it.
    fn before(&self, seq: u64) -> Option<EntryId> {
        if seq <= self.first_seq {
            self.prev
        } else {
            self.piece(seq.saturating_sub(1)).map(|piece| piece.id)
        }
    }

    /// Bytes that the segment takes in memory.
    pub(crate) fn weight(&self) -> u64 {
        let payload = |piece: &Piece| 160 + piece.payload.as_ref().map_or(0, Vec::len) as u64;
        self.entries.iter().map(payload).sum::<u64>().saturating_add(256)
    }
}

/// Who hands something over, and by which way.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Words for the way, shown as provenance.
    pub(crate) via: String,
    /// Whose share of the strangers' quota it counts against.
    pub(crate) carrier: Carrier,
}

/// Why something that is right was still not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The user blocked the feed.
    #[error("the feed is blocked")]
    Blocked,
    /// No room is left within the quota that applies.
    #[error("no room is left for it within the quota")]
    NoRoom,
    /// It was dropped for want of room before.
    #[error("it was dropped for want of room before")]
    LeftOutBefore,
    /// The feed's first entry is not held, so it is carried for nobody.
    #[error("the feed's first entry is not here")]
    NoCertificate,
    /// The feed may be carried by its contacts only.
    #[error("the feed is not open to be carried")]
    NotOpen,
    /// Too many gaps in the feed are open already.
    #[error("too many gaps of the feed are open")]
    TooManyGaps,
    /// It continues a branch of a forked feed whose beginning is not held.
    #[error("it continues a branch that is not held")]
    Unlinked,
    /// It belongs to a branch of a forked feed that is not kept.
    #[error("it belongs to a branch that is not kept")]
    OtherBranch,
    /// A payload came for an entry that is not held.
    #[error("its entry is not here")]
    NoEntry,
}

/// What became of something that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// So many entries are new.
    New(u64),
    /// A payload is new.
    Payload,
    /// All of it was known.
    Known,
    /// It proved a fork that was not known.
    Forked,
    /// It was right, but is not kept.
    Left(Refusal, u64),
    /// It was wrong.
    Wrong(Reject),
}

/// Takes a segment in.
pub(crate) fn segment(
    writer: &mut Writer<'_>,
    source: &Source,
    incoming: &Incoming,
) -> Result<Outcome, StoreError> {
    let count = incoming.entries.len() as u64;
    let left = |refusal| Ok(Outcome::Left(refusal, count));
    let relation = writer.relation(&incoming.feed)?;
    if relation == Some(BLOCKED) {
        writer.heads.counts.blocked_entries += count;
        return left(Refusal::Blocked);
    }
    let number = match writer.number(&incoming.feed, 0)? {
        Some(number) if writer.is_held(number)? => number,
        _ => match found_feed(writer, source, incoming, relation)? {
            Ok(number) => return begin(writer, source, number, incoming),
            Err(refusal) => {
                // Also what comes after a first entry that found no room.
                if refusal != Refusal::NotOpen && writer.left_out(&incoming.feed)?.is_some() {
                    writer.heads.counts.left_out_entries += count;
                }
                return left(refusal);
            }
        },
    };
    let row = writer.row(number)?;
    let fast = row.fork_seq.is_none()
        && row.head().saturating_add(1) == incoming.first_seq
        && row.runs.last().is_some_and(|run| run.1 == row.head())
        && Some(row.head_id) == incoming.prev;
    let is_own = row.own == OWN;
    if fast {
        let taken = take(writer, source, number, incoming, incoming.first_seq)?;
        if is_own && matches!(taken, Outcome::New(_)) {
            writer.retire_own()?;
        }
        return Ok(taken);
    }
    branches::place(writer, source, number, incoming)
}

/// What the user decided about a feed: it is blocked.
pub(crate) const BLOCKED: u8 = 2;
/// What the user decided about a feed: it is followed.
pub(crate) const FOLLOWED: u8 = 1;
/// The feed that this device writes.
pub(crate) const OWN: u8 = 1;

/// Takes the first segment of a feed; if that is left out, nothing stays of the feed.
fn begin(
    writer: &mut Writer<'_>,
    source: &Source,
    number: u32,
    incoming: &Incoming,
) -> Result<Outcome, StoreError> {
    let taken = take(writer, source, number, incoming, incoming.first_seq)?;
    if writer.row(number)?.entries == 0 {
        writer.drop_feed(number)?;
    }
    Ok(taken)
}

/// Begins to keep a feed that was not held, if it may be.
fn found_feed(
    writer: &mut Writer<'_>,
    source: &Source,
    incoming: &Incoming,
    relation: Option<u8>,
) -> Result<Result<u32, Refusal>, StoreError> {
    let class = class_of(writer, relation, &incoming.feed, incoming.origin.as_ref())?;
    if class == CarryClass::Stranger {
        let Some(origin) = incoming.origin else { return Ok(Err(Refusal::NoCertificate)) };
        if origin.carry != Carry::Open {
            return Ok(Err(Refusal::NotOpen));
        }
        if writer.left_out(&incoming.feed)?.is_some_and(|last| last >= incoming.last_seq()) {
            return Ok(Err(Refusal::LeftOutBefore));
        }
    }
    let carrier = writer.carrier(&source.carrier.encode())?;
    if class == CarryClass::Stranger
        && !room::make(writer, class, carrier, None, crate::store::FEED_COST)?
    {
        writer.leave_out(&incoming.feed, incoming.last_seq())?;
        return Ok(Err(Refusal::NoRoom));
    }
    let sibling = incoming.origin.is_some() && relation == Some(FOLLOWED);
    let number = writer.add_feed(FeedRow {
        id: incoming.feed,
        branch: 0,
        class,
        origin: incoming.origin.map(OriginRow::from),
        runs: Vec::new(),
        floor: 1,
        head_id: EntryId::from_bytes([0; 32]),
        entries: 0,
        bytes: 0,
        carrier,
        since: 0,
        fork_seq: None,
        retracts: false,
        own: 0,
    })?;
    if sibling {
        reclassify(writer)?;
    }
    Ok(Ok(number))
}

/// Why a feed is carried: its person is followed through any of their feeds, it goes on for a feed
/// that is followed, or those whom the user follows follow it.
fn class_of(
    writer: &mut Writer<'_>,
    relation: Option<u8>,
    feed: &FeedId,
    origin: Option<&Origin>,
) -> Result<CarryClass, StoreError> {
    let follows = relation == Some(FOLLOWED) || writer.is_reached(feed)?;
    let Some(origin) = origin else {
        return Ok(if follows { CarryClass::Followed } else { CarryClass::Stranger });
    };
    if origin.retired.is_none() {
        if friends(writer)?.contains(&origin.account) {
            return Ok(CarryClass::Contact);
        }
        if writer.is_member(&origin.account)? {
            return Ok(CarryClass::Group);
        }
    }
    if follows {
        return Ok(CarryClass::Followed);
    }
    let (feeds, accounts) = followed(writer)?;
    let known = match origin.retired {
        None => accounts.contains(&origin.account),
        Some(retired) => feeds.contains(&retired),
    };
    Ok(if known { CarryClass::Followed } else { CarryClass::Stranger })
}

/// The accounts of contacts, and the own one once there are any: its other devices are as near.
fn friends(writer: &mut Writer<'_>) -> Result<BTreeSet<AccountId>, StoreError> {
    let contacts = writer.contacts()?.into_iter();
    let mut friends: BTreeSet<AccountId> = contacts.map(|(account, _)| account).collect();
    if !friends.is_empty()
        && let Some(own) = writer.meta("account")?.and_then(|account| account.try_into().ok())
    {
        friends.insert(AccountId::from_bytes(own));
    }
    Ok(friends)
}

/// The feeds that are followed, with those of the same persons, and those persons.
fn followed(
    writer: &mut Writer<'_>,
) -> Result<(BTreeSet<FeedId>, BTreeSet<AccountId>), StoreError> {
    let mut feeds: BTreeSet<FeedId> = writer.followed()?.into_iter().collect();
    let mut accounts = BTreeSet::new();
    for feed in feeds.clone() {
        if let Some(number) = writer.number(&feed, 0)?
            && writer.is_held(number)?
            && let Some(origin) = writer.row(number)?.origin
        {
            accounts.insert(origin.account);
        }
    }
    feeds.extend(writer.feeds_of_class(CarryClass::Followed)?);
    Ok((feeds, accounts))
}

/// Puts every feed into the class that the user's decisions give it, and those of the people whom
/// the user follows, as many hops on as the user wants.
pub(crate) fn reclassify(writer: &mut Writer<'_>) -> Result<(), StoreError> {
    writer.regroup = false;
    let rows = writer.all_rows()?;
    let mut wanted = with_same_people(&rows, writer.followed()?.into_iter().collect());
    let (mut authors, mut reached) = (wanted.clone(), BTreeSet::new());
    for _ in 0..writer.hops()? {
        let mut named = BTreeSet::new();
        for (number, row) in rows.iter().filter(|(_, row)| row.branch == 0) {
            if authors.contains(&row.id) && row.class != CarryClass::Own {
                named.extend(writer.follows(*number)?);
            }
        }
        let room = REACHED_FEEDS.saturating_sub(reached.len() as u64);
        named.retain(|feed| !wanted.contains(feed));
        named = named.into_iter().take(usize::try_from(room).unwrap_or(usize::MAX)).collect();
        reached.extend(&named);
        authors = with_same_people(&rows, named);
        wanted.extend(&authors);
    }
    writer.set_reached(&reached)?;
    let near = of_people(&rows, BTreeSet::new(), &friends(writer)?);
    let members: BTreeSet<AccountId> = writer.all_members()?.into_iter().collect();
    let members = of_people(&rows, BTreeSet::new(), &members);
    for (number, row) in rows {
        if row.class == CarryClass::Own {
            continue;
        }
        let class = if near.contains(&row.id) {
            CarryClass::Contact
        } else if members.contains(&row.id) {
            CarryClass::Group
        } else if wanted.contains(&row.id) {
            CarryClass::Followed
        } else {
            CarryClass::Stranger
        };
        if class == row.class {
            continue;
        }
        writer.set_class(number, class)?;
        if class != CarryClass::Stranger {
            writer.want_again(number)?;
            if row.floor > 1 && row.branch == 0 {
                writer.set_floor(number, 1)?;
            }
        }
    }
    Ok(())
}

/// Evicts what a class holds beyond a new quota, or wants again what went under an old one.
pub(crate) fn fit(
    writer: &mut Writer<'_>,
    class: CarryClass,
    limit: u64,
) -> Result<(), StoreError> {
    let held = writer.heads.usage.get(usize::from(class.code())).copied().unwrap_or(0);
    let left = held.saturating_sub(limit);
    if left == 0 {
        for (number, row) in writer.all_rows()? {
            if row.class == class {
                writer.want_again(number)?;
            }
        }
        return Ok(());
    }
    shed(writer, class, limit, left)
}

/// Follows on from what the followed say of others, if that has changed.
pub(crate) fn regroup_if_due(writer: &mut Writer<'_>) -> Result<(), StoreError> {
    if writer.regroup { regroup(writer) } else { Ok(()) }
}

/// Follows on from a decision of the user: classes, what is told to peers, and what there is room for.
pub(crate) fn regroup(writer: &mut Writer<'_>) -> Result<(), StoreError> {
    writer.change_policy()?;
    reclassify(writer)?;
    keep_within(writer)
}

/// Feeds, with the other devices of their people, and those that go on for them.
fn with_same_people(rows: &[(u32, FeedRow)], feeds: BTreeSet<FeedId>) -> BTreeSet<FeedId> {
    let accounts: BTreeSet<AccountId> = rows
        .iter()
        .filter(|(_, row)| feeds.contains(&row.id))
        .filter_map(|(_, row)| row.origin.map(|origin| origin.account))
        .collect();
    of_people(rows, feeds, &accounts)
}

/// Feeds, with the devices of some people, and those that go on for any of them.
fn of_people(
    rows: &[(u32, FeedRow)],
    mut feeds: BTreeSet<FeedId>,
    accounts: &BTreeSet<AccountId>,
) -> BTreeSet<FeedId> {
    let by_account = |row: &FeedRow| {
        row.origin
            .is_some_and(|origin| origin.retired.is_none() && accounts.contains(&origin.account))
    };
    feeds.extend(rows.iter().filter(|(_, row)| by_account(row)).map(|(_, row)| row.id));
    // A successor goes with the feed that it goes on for; successors of successors too.
    loop {
        let before = feeds.len();
        let goes_on = |row: &FeedRow| {
            let retired = row.origin.and_then(|origin| origin.retired);
            retired.is_some_and(|retired| feeds.contains(&retired))
        };
        let more: Vec<_> =
            rows.iter().filter(|(_, row)| goes_on(row)).map(|(_, row)| row.id).collect();
        feeds.extend(more);
        if feeds.len() == before {
            return feeds;
        }
    }
}

/// Evicts what a change of classes brought over a quota.
pub(crate) fn keep_within(writer: &mut Writer<'_>) -> Result<(), StoreError> {
    let quotas = writer.quotas()?;
    for class in CarryClass::ALL {
        let held = writer.heads.usage.get(usize::from(class.code())).copied().unwrap_or(0);
        if let Some(limit) = quotas.limit(class).filter(|limit| held > *limit) {
            shed(writer, class, limit, held.saturating_sub(limit))?;
        }
    }
    Ok(())
}

/// Evicts so many bytes of a class; of strangers' feeds those go whose carriers hold the most, and no
/// carrier falls below its share.
fn shed(
    writer: &mut Writer<'_>,
    class: CarryClass,
    limit: u64,
    mut left: u64,
) -> Result<(), StoreError> {
    if class != CarryClass::Stranger {
        return room::evict(writer, class, 0, None, left).map(drop);
    }
    let mut carriers = writer.carriers()?;
    carriers.sort_by_key(|(number, _, held)| (std::cmp::Reverse(*held), *number));
    let share = limit.checked_div(carriers.len() as u64).unwrap_or(0);
    for (carrier, _, held) in carriers {
        let gives = left.min(held.saturating_sub(share));
        if gives > 0 {
            let missing = room::evict(writer, class, carrier, None, gives)?;
            left = left.saturating_sub(gives.saturating_sub(missing));
        }
    }
    Ok(())
}

impl From<Origin> for OriginRow {
    fn from(origin: Origin) -> Self {
        Self { account: origin.account, carry: origin.carry, retired: origin.retired }
    }
}

/// Keeps those entries of a segment from `from` on that `number` does not hold; all of them link.
fn take(
    writer: &mut Writer<'_>,
    source: &Source,
    number: u32,
    incoming: &Incoming,
    from: u64,
) -> Result<Outcome, StoreError> {
    let row = writer.row(number)?.clone();
    if row.class == CarryClass::Stranger && row.origin.is_none() && incoming.origin.is_none() {
        return Ok(Outcome::Left(Refusal::NoCertificate, incoming.entries.len() as u64));
    }
    let new = missing(&row, incoming, from);
    let count = new.len() as u64;
    if row.runs.len().saturating_add(consecutive(&new).len()) as u64 > ISLANDS_PER_FEED {
        return Ok(Outcome::Left(Refusal::TooManyGaps, count));
    }
    let bytes = new.iter().filter_map(|seq| incoming.piece(*seq)).map(cost).sum();
    if row.class != CarryClass::Own
        && !room::make(writer, row.class, row.carrier, Some(number), bytes)?
    {
        writer.heads.counts.left_out_entries += count;
        writer.leave_out(&row.id, incoming.last_seq())?;
        return Ok(Outcome::Left(Refusal::NoRoom, count));
    }
    // To make room the feed may have given up its own oldest.
    let missing = missing(writer.row(number)?, incoming, from);
    let (runs, count) = (consecutive(&missing), missing.len() as u64);
    if let Some(origin) = incoming.origin {
        writer.row_mut(number)?.origin = Some(OriginRow::from(origin));
    }
    let via = writer.via(&source.via)?;
    for &(first, last) in &runs {
        let mut entries = Vec::with_capacity(usize::try_from(SEGMENT_ENTRIES).unwrap_or(32));
        for seq in first..=last {
            let Some(piece) = incoming.piece(seq) else { continue };
            let signature = (seq == incoming.last_seq()).then_some(incoming.signature);
            entries.push(new_entry(writer, number, seq, piece, signature)?);
        }
        writer.append(number, first, incoming.before(first), entries)?;
        writer.arrived(number, (first, last), ArrivalKind::Entries, via)?;
    }
    for seq in missing {
        if let Some(payload) = incoming.piece(seq).and_then(|piece| piece.payload.as_deref()) {
            effects(writer, number, seq, payload)?;
        }
    }
    Ok(if count == 0 { Outcome::Known } else { Outcome::New(count) })
}

/// The places of a segment from `from` on that a feed lacks and may take. What was evicted below the
/// floor does not come back while the feed is a stranger's.
fn missing(row: &FeedRow, incoming: &Incoming, from: u64) -> Vec<u64> {
    let below = |seq: u64| seq > 1 && seq < row.floor && row.class == CarryClass::Stranger;
    (from..=incoming.last_seq()).filter(|seq| !row.holds(*seq) && !below(*seq)).collect()
}

fn cost(piece: &Piece) -> u64 {
    crate::store::ENTRY_COST
        .saturating_add(piece.payload.as_ref().map_or(0, |payload| payload.len() as u64))
}

/// Groups ascending numbers into runs.
fn consecutive(seqs: &[u64]) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &seq in seqs {
        match runs.last_mut() {
            Some(run) if run.1.saturating_add(1) == seq => run.1 = seq,
            _ => runs.push((seq, seq)),
        }
    }
    runs
}

/// How an arriving entry is to be kept.
fn new_entry(
    writer: &mut Writer<'_>,
    number: u32,
    seq: u64,
    piece: &Piece,
    signature: Option<Signature>,
) -> Result<NewEntry, StoreError> {
    let structural = piece.payload.as_deref().is_some_and(is_structural) && piece.stub.ttl == 0;
    let state = if !structural && writer.is_retracted(number, seq)? {
        State::Retracted
    } else if !structural && writer.is_deleted(number, seq)? {
        State::Deleted
    } else if is_over(piece) {
        State::Expired
    } else if piece.payload.is_some() {
        State::Here
    } else {
        State::Apart
    };
    let payload = piece.payload.clone().filter(|_| state == State::Here);
    let (age, since) =
        if piece.stub.ttl == 0 { (0, 0) } else { (piece.age, writer.known.minutes()) };
    let kept = Kept { stub: piece.stub, age, since, state, payload, signature };
    Ok(NewEntry { id: piece.id, kept, apart: None })
}

/// Whether an entry's claimed age is beyond its lifetime.
fn is_over(piece: &Piece) -> bool {
    piece.stub.ttl > 0 && u64::from(piece.age) >= u64::from(piece.stub.ttl).saturating_mul(60)
}

/// What a payload does beyond being kept: a retraction, a device statement.
pub(crate) fn effects(
    writer: &mut Writer<'_>,
    number: u32,
    seq: u64,
    payload: &[u8],
) -> Result<(), StoreError> {
    if !is_structural(payload) {
        return Ok(());
    }
    match Content::decode(payload) {
        Ok(Content::Retraction(ranges)) => {
            for &range in ranges.as_slice() {
                retract(writer, number, seq, range)?;
            }
        }
        Ok(Content::Device(statement)) if account::verify_statement(&statement).is_ok() => {
            let standing = if statement.verb == Verb::Revoke { 2 } else { 1 };
            writer.device(&statement.account, &statement.feed, standing)?;
        }
        _ => {}
    }
    Ok(())
}

/// Drops what the entry at `by` takes back and remembers it for what comes later. It reaches what
/// stands before it in its own chain: the part that branches share, and its own branch.
fn retract(
    writer: &mut Writer<'_>,
    number: u32,
    by: u64,
    (first, last): (u64, u64),
) -> Result<(), StoreError> {
    let row = writer.row(number)?;
    let (id, last) = (row.id, last.min(by.saturating_sub(1)));
    let shared = if row.branch == 0 { 0 } else { row.floor.saturating_sub(1) };
    let main = writer.number(&id, 0)?.unwrap_or(number);
    let parts = [(main, (first, last.min(shared))), (number, (first.max(shared + 1), last))];
    for (chain, range) in parts.into_iter().filter(|(_, range)| range.0 <= range.1) {
        writer.retract(chain, by, range)?;
        for stored in writer.entries(chain, range.0, range.1)? {
            let payload = writer.payload_of(chain, &stored)?;
            let structural =
                stored.kept.stub.ttl == 0 && payload.as_deref().is_some_and(is_structural);
            let gone = matches!(stored.kept.state, State::Retracted | State::Deleted);
            if structural || gone {
                continue;
            }
            if payload.is_some() {
                writer.heads.counts.retracted += 1;
            }
            writer.drop_payload(chain, &stored, State::Retracted)?;
        }
    }
    Ok(())
}

/// Drops an entry's payload because the user wants it here no more. False: it is not held, or it holds
/// its feed together.
pub(crate) fn delete(writer: &mut Writer<'_>, number: u32, seq: u64) -> Result<bool, StoreError> {
    let Some(stored) = writer.entry(number, seq)? else { return Ok(false) };
    let payload = writer.payload_of(number, &stored)?;
    let structural = stored.kept.stub.ttl == 0 && payload.as_deref().is_some_and(is_structural);
    if structural || seq == 1 {
        return Ok(false);
    }
    if stored.kept.state != State::Deleted {
        writer.note_deleted(number, seq)?;
        writer.drop_payload(number, &stored, State::Deleted)?;
    }
    Ok(true)
}

/// What a segment that is held already can still bring: payloads, lesser ages.
fn refresh(
    writer: &mut Writer<'_>,
    source: &Source,
    number: u32,
    incoming: &Incoming,
    held: &[Stored],
) -> Result<bool, StoreError> {
    let mut restored = Vec::new();
    for stored in held {
        let Some(piece) = incoming.piece(stored.seq).filter(|piece| piece.id == stored.id) else {
            continue;
        };
        let over = is_over(piece);
        match (stored.kept.state, &piece.payload) {
            (State::Here, _) => writer.lower_age(number, stored, piece.age)?,
            (State::Apart | State::Expired, Some(payload))
                if !over && writer.apart(number, stored.seq)?.is_none() =>
            {
                let (seq, kept, age) = (stored.seq, &stored.kept, piece.age);
                restored.push(Restored { seq, kept, payload, age });
            }
            (State::Expired, None) if !over && piece.follows => {
                writer.revive(number, stored, piece.age)?;
            }
            _ => {}
        }
    }
    let bytes = restored.iter().map(|one| one.payload.len() as u64).sum();
    let (class, carrier) = (writer.row(number)?.class, writer.row(number)?.carrier);
    if restored.is_empty()
        || (class != CarryClass::Own && !room::make(writer, class, carrier, Some(number), bytes)?)
    {
        return Ok(false);
    }
    // To make room the feed may have given up some of these very entries.
    let mut still = Vec::with_capacity(restored.len());
    for one in restored {
        if writer.kept(number, one.seq)?.is_some_and(|now| now == *one.kept) {
            still.push(one);
        }
    }
    restore(writer, source, number, &still)?;
    Ok(!still.is_empty())
}

/// Keeps payloads of entries that were held without.
fn restore(
    writer: &mut Writer<'_>,
    source: &Source,
    number: u32,
    restored: &[Restored<'_>],
) -> Result<(), StoreError> {
    let via = writer.via(&source.via)?;
    writer.restore_payloads(number, restored)?;
    for &Restored { seq, payload, .. } in restored {
        writer.arrived(number, (seq, seq), ArrivalKind::Payload, via)?;
        effects(writer, number, seq, payload)?;
    }
    Ok(())
}

/// Takes in a payload that travelled by itself.
pub(crate) fn payload(
    writer: &mut Writer<'_>,
    source: &Source,
    feed: &FeedId,
    seq: u64,
    payload: &[u8],
) -> Result<Outcome, StoreError> {
    let mut outcome = Outcome::Left(Refusal::NoEntry, 0);
    for branch in 0..=1 {
        let Some(number) = writer.number(feed, branch)? else { continue };
        if !writer.is_held(number)? || !writer.row(number)?.holds(seq) {
            continue;
        }
        let Some(kept) = writer.kept(number, seq)? else { continue };
        if !kept.stub.fits(payload) {
            // Of a forked feed it may be right for a branch that is not kept.
            outcome = match writer.fork_of(feed)? {
                Some(fork) if seq >= fork => Outcome::Left(Refusal::OtherBranch, 0),
                _ => Outcome::Wrong(Reject::WrongPayload),
            };
            continue;
        }
        let wanted = kept.state == State::Apart && writer.apart(number, seq)?.is_none();
        if !wanted {
            return Ok(Outcome::Known);
        }
        let (class, carrier) = (writer.row(number)?.class, writer.row(number)?.carrier);
        if class != CarryClass::Own
            && !room::make(writer, class, carrier, Some(number), payload.len() as u64)?
        {
            return Ok(Outcome::Left(Refusal::NoRoom, 0));
        }
        if writer.kept(number, seq)?.is_none_or(|now| now != kept) {
            return Ok(Outcome::Left(Refusal::NoRoom, 0));
        }
        let restored = Restored { seq, kept: &kept, payload, age: kept.age };
        restore(writer, source, number, &[restored])?;
        return Ok(Outcome::Payload);
    }
    Ok(outcome)
}

/// Takes in a fork proof.
pub(crate) fn fork(writer: &mut Writer<'_>, proof: &VerifiedFork) -> Result<Outcome, StoreError> {
    match writer.number(proof.feed(), 0)? {
        Some(number) if writer.is_held(number)? => branches::prove(writer, number, proof),
        _ => Ok(Outcome::Left(Refusal::NoEntry, 0)),
    }
}

/// Looks at every payload whose claimed life is over.
pub(crate) fn expire(writer: &mut Writer<'_>, budget: usize) -> Result<usize, StoreError> {
    let due = writer.due(budget)?;
    let (now, mut missing) = (writer.known.minutes(), false);
    for &(minute, number, seq) in &due {
        writer.unwatch(minute, number, seq)?;
        if !writer.is_held(number)? {
            continue;
        }
        let Some(stored) = writer.entry(number, seq)? else { continue };
        let life = u64::from(stored.kept.stub.ttl).saturating_mul(60);
        if stored.kept.state.is_final() || life == 0 {
            continue;
        }
        let ended = now.saturating_sub(stored.kept.since) >= life;
        if stored.kept.age_at(now) < life {
            continue;
        }
        if writer.payload_of(number, &stored)?.is_some() {
            writer.heads.counts.expired += 1;
        }
        let state = if ended { State::Ended } else { State::Expired };
        writer.drop_payload(number, &stored, state)?;
        if !ended {
            missing = true;
            writer.watch_end(number, seq, stored.kept.since.saturating_add(life))?;
        }
    }
    if missing {
        // Its age was what somebody claimed.
        writer.ask_again()?;
    }
    regroup_if_due(writer)?;
    Ok(due.len())
}
