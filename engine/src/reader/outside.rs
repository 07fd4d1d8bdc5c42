//! What feeds show to whoever holds their entries and no secret: a carrier, a stranger.
//!
//! Nothing is looked at but the entries themselves, as they are carried: no contact, no name of the
//! user's own, no key. So what stands here is what the sealing leaves open, and no more.

use std::collections::{BTreeMap, BTreeSet};

use crate::content::{Carry, Content, Post, RelationState};
use crate::key::{AccountId, FeedId, SLOT_BYTES};
use crate::reader::Reader;
use crate::store::{Held, StoreError};

/// What some feeds show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// The feeds.
    pub feeds: BTreeSet<FeedId>,
    /// Whose they say they are.
    pub accounts: BTreeSet<AccountId>,
    /// Entries held.
    pub entries: u64,
    /// Bytes of their payloads, held or not.
    pub bytes: u64,
    /// Names that were published.
    pub names: BTreeSet<String>,
    /// Posts and replies for everybody.
    pub posts: u64,
    /// Channels that they are in.
    pub channels: BTreeSet<String>,
    /// Other people whose words were imported into them.
    pub authors: BTreeSet<String>,
    /// Feeds that are publicly followed or blocked.
    pub relations: BTreeSet<FeedId>,
    /// Words of accounts about their devices, and of feeds about who goes on for them.
    pub devices: u64,
    /// Public receipts.
    pub receipts: u64,
    /// Entries that were taken back.
    pub retracted: u64,
    /// Entries that expire.
    pub expiring: u64,
    /// Published keys for private messages.
    pub prekeys: u64,
    /// By slots of all their parts: how many epochs have so many.
    pub epochs: BTreeMap<u64, u64>,
    /// By bytes of the payload: how many sealed messages have so many.
    pub sealed: BTreeMap<u64, u64>,
    /// Payloads of later programs, or that cannot be read.
    pub unknown: u64,
    /// Payloads that are not held.
    pub absent: u64,
}

impl Reader {
    /// What the open feeds show that are held here: those that this device writes or wrote, or those
    /// of others.
    pub fn shown(&self, own: bool) -> Result<Shown, StoreError> {
        let (mut shown, mut epochs) = (Shown::default(), BTreeMap::new());
        for info in self.feeds()? {
            if info.own != own || info.held == 0 || info.carry != Some(Carry::Open) {
                continue;
            }
            shown.feeds.insert(info.feed);
            shown.accounts.extend(info.account);
            self.export(&info.feed, &mut |held| {
                shown.take(&held, &mut epochs);
                Ok(true)
            })?;
        }
        for slots in epochs.into_values() {
            *shown.epochs.entry(slots).or_default() += 1;
        }
        Ok(shown)
    }
}

/// Slots by feed, branch and epoch.
type Epochs = BTreeMap<(FeedId, u8, u64), u64>;

impl Shown {
    fn take(&mut self, held: &Held, epochs: &mut Epochs) {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(u64::from(held.size));
        self.expiring += u64::from(held.ttl > 0);
        let Some(payload) = &held.payload else {
            self.absent += 1;
            return;
        };
        match Content::decode(payload) {
            Ok(Content::Post(post) | Content::Reply(post)) => self.post(post),
            Ok(Content::Profile(profile)) => drop(self.names.insert(profile.name)),
            Ok(Content::Relation(relation)) => {
                if relation.state != RelationState::None {
                    self.relations.insert(relation.feed);
                }
            }
            Ok(Content::Certificate(_)) => {}
            Ok(Content::Successor(_) | Content::Device(_)) => self.devices += 1,
            Ok(Content::Receipt(_)) => self.receipts += 1,
            Ok(Content::Retraction(ranges)) => {
                let count = |(first, last): &(u64, u64)| last.saturating_sub(*first) + 1;
                self.retracted += ranges.as_slice().iter().map(count).sum::<u64>();
            }
            Ok(Content::Prekey(_)) => self.prekeys += 1,
            Ok(Content::Part(part)) => {
                let slots = epochs.entry((held.feed, held.branch, part.epoch)).or_default();
                *slots += (part.slots.len() / SLOT_BYTES) as u64;
            }
            Ok(Content::Sealed(_)) => {
                *self.sealed.entry(u64::from(held.size)).or_default() += 1;
            }
            Ok(Content::Unknown { .. }) | Err(_) => self.unknown += 1,
        }
    }

    fn post(&mut self, post: Post) {
        self.posts += 1;
        self.channels.extend(post.channel);
        self.authors.extend(post.author);
    }
}
