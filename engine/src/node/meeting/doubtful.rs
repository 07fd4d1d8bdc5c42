//! Somebody who shows itself only by what a revoked device knows: perhaps that device, perhaps a contact
//! who has not heard of the new card yet.
//!
//! Nobody doubtful is recognised: it is a stranger, by its link and in all that is remembered. But the
//! contact has to hear of the new card. So of this person's own feeds, where a stranger hears nothing
//! of them, somebody doubtful is told the entries that came since the contact was met last, without
//! what they say to people; and of all that is said meanwhile only wants for these entries are heard,
//! if this node meets contacts only.

use std::collections::BTreeMap;

use crate::bundle::Frame;
use crate::content::Carry;
use crate::key::{AccountId, FeedId};
use crate::limits::CONTROL_FRAMES;
use crate::node::Node;
use crate::node::meeting::giving::Job;
use crate::node::meeting::recognition::{Recognised, peer_of};
use crate::node::meeting::{Meeting, SessionEnding, SessionFault, Stop};
use crate::session::Sentence;
use crate::store::{ArrivalKind, FeedRow, OriginRow, Snapshot, StoreError};

/// What the account says of a device that it revoked.
const REVOKED: u8 = 2;

/// The contact that somebody may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doubtful {
    pub(super) account: AccountId,
    /// Whether that contact may carry the feeds of this person that only some may.
    pub(super) listed: bool,
    /// Whether there was anything to tell.
    pub(super) told: bool,
}

impl Recognised {
    /// Whether of a feed only what nobody but devices reads is told, and only because the other side may
    /// be a contact who has not heard of the own new card.
    pub(super) fn is_veiled(&self, feed: &FeedId, origin: &OriginRow) -> bool {
        let Some(doubtful) = &self.doubtful else { return false };
        let is_ours = self.me == Some(origin.account);
        let may_carry = origin.carry != Carry::Listed || doubtful.listed;
        is_ours && may_carry && !self.may_hear(feed, origin)
    }
}

impl Node {
    /// Tells somebody doubtful what the contact may not have heard.
    pub(super) fn tell_doubtful(&self, meeting: &mut Meeting) -> Result<(), Stop> {
        let Some(doubtful) = meeting.recognised.doubtful.filter(|doubtful| !doubtful.told) else {
            return Ok(());
        };
        let (snapshot, mut feeds) = (self.store.snapshot()?, Vec::new());
        snapshot.each_row(&mut |number, row| {
            if meeting.may_veil(&row) {
                feeds.push((number, row));
            }
        })?;
        let since = news_since(&snapshot, &doubtful.account)?;
        for (number, row) in feeds {
            let is_revoked = match row.origin {
                Some(origin) => snapshot.standing(&origin.account, &row.id)? == Some(REVOKED),
                None => true,
            };
            let first = since.as_ref().map_or(Some(row.floor), |all| all.get(&number).copied());
            let Some(first) = first.filter(|first| !is_revoked && *first <= row.head()) else {
                continue;
            };
            if since.is_none() && row.floor > 1 {
                meeting.jobs.push_back(Job::Entries(number, 1, 1));
            }
            meeting.jobs.push_back(Job::Entries(number, first.max(row.floor), row.head()));
            meeting.recognised.doubtful = Some(Doubtful { told: true, ..doubtful });
        }
        // Before the state: who finds in that one that nothing differs reads no further.
        self.fill(meeting)
    }
}

/// The first entry of each feed that came since a contact was last seen to hold the same; none if that
/// is not known.
fn news_since(
    snapshot: &Snapshot,
    contact: &AccountId,
) -> Result<Option<BTreeMap<u32, u64>>, StoreError> {
    let Some(place) = snapshot.link(&peer_of(contact))?.ours else { return Ok(None) };
    if !snapshot.is_place(place)? {
        return Ok(None);
    }
    let mut firsts = BTreeMap::new();
    snapshot.arrivals_from(place.0.saturating_add(1), &mut |_, arrival| {
        if arrival.kind == ArrivalKind::Entries {
            let first = firsts.entry(arrival.feed).or_insert(arrival.first);
            *first = arrival.first.min(*first);
        }
        Ok(true)
    })?;
    Ok(Some(firsts))
}

impl Meeting {
    /// Whether of a feed the peer is told only what nobody but devices reads.
    pub(super) fn may_veil(&self, row: &FeedRow) -> bool {
        let is_veiled = |origin| self.recognised.is_veiled(&row.id, &origin);
        row.branch == 0 && row.head() > 0 && row.origin.is_some_and(is_veiled)
    }

    /// Whether the other side takes what somebody doubtful is told, and everything else is shut.
    fn is_telling(&self) -> bool {
        let tells = self.recognised.doubtful.is_some_and(|doubtful| doubtful.told);
        tells && (!self.jobs.is_empty() || self.theirs.0 < self.out_frames)
    }

    /// Whether the other side may be heard; if not, the session ends, or goes on for as long as it takes
    /// what somebody doubtful is told.
    pub(super) fn expect_open(&self) -> Result<bool, Stop> {
        if self.recognised.is_shut() && !self.is_telling() {
            return Err(Stop::Ends(SessionEnding::NoContact));
        }
        Ok(!self.recognised.is_shut())
    }

    /// Hears of somebody doubtful what it asks for, and passes over what else it says, if it is not too
    /// much.
    pub(super) fn pass_over(&mut self, sentence: Sentence<'_>) -> Result<(), Stop> {
        self.control = self.control.saturating_add(1);
        if self.control > CONTROL_FRAMES {
            return Err(SessionFault::TooManyFrames.into());
        }
        match sentence {
            Sentence::Carried(Frame::Wants(wants)) => self.hear_wants(wants),
            _ => Ok(()),
        }
    }

    /// Ends the session if somebody doubtful has taken all that it is told, and nothing else.
    pub(super) fn expect_more(&self) -> Result<(), Stop> {
        let told = self.recognised.doubtful.is_some_and(|doubtful| doubtful.told);
        if told { self.expect_open().map(drop) } else { Ok(()) }
    }
}
