//! Who may hear and carry what is not for everybody: whether this node meets contacts only, which
//! contacts are listed, and by what those show themselves who may carry a feed that is not open.

use redb::ReadableTable;

use crate::key::{AccountId, FeedId, Seed};
use crate::limits::CARRY_SECRETS;
use crate::store::snapshot::Snapshot;
use crate::store::tables::SECRETS;
use crate::store::{StoreError, Writer};

/// The name of the row that says that only contacts are met.
const SECLUDED: &str = "secluded";
/// The name of the row of listed contacts: their ids, one after another.
const LISTED: &str = "listed";
/// The beginning of the names of secrets by which carriers show themselves.
const CARRY: &str = "carry ";
/// The end of all such names: the character after the space.
const CARRY_END: &str = "carry!";
/// The beginning of the names of secrets by which the members of a group find what one of them made.
const ROUND: &str = "round ";
/// The end of all such names.
const ROUND_END: &str = "round!";

fn name_of(feed: &FeedId) -> String {
    let hex = |byte: &u8| format!("{byte:02x}");
    CARRY.chars().map(String::from).chain(feed.as_bytes().iter().map(hex)).collect()
}

fn feed_of(name: &str) -> Option<FeedId> {
    let (digits, _) = name.strip_prefix(CARRY)?.as_bytes().as_chunks::<2>();
    let mut feed = [0; 32];
    if digits.len() != feed.len() {
        return None;
    }
    for (byte, digits) in feed.iter_mut().zip(digits) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(FeedId::from_bytes(feed))
}

/// The generation of a secret, and the secret.
fn read(row: &[u8]) -> Result<(u64, Seed), StoreError> {
    let damaged = || StoreError::Damaged { what: "the secret of a feed" };
    let (generation, secret) = row.split_first_chunk::<8>().ok_or_else(damaged)?;
    let secret = secret.try_into().map_err(|_| damaged())?;
    Ok((u64::from_be_bytes(*generation), Seed::new(secret)))
}

/// Whether an account is among listed ones.
fn is_in(listed: &[u8], account: &AccountId) -> bool {
    listed.chunks_exact(32).any(|one| one == account.as_bytes())
}

fn round_of(conversation: u32, feed: u32) -> String {
    format!("{ROUND}{conversation:08x}{feed:08x}")
}

/// The number of the conversation, and that of the feed.
fn numbers_of(name: &str) -> Option<(u32, u32)> {
    let (conversation, feed) = name.strip_prefix(ROUND)?.split_at_checked(8)?;
    Some((u32::from_str_radix(conversation, 16).ok()?, u32::from_str_radix(feed, 16).ok()?))
}

impl Snapshot {
    /// By what the members of groups find what one of them made in sealed bundles: the number of the
    /// conversation, that of the member's feed, and the secret.
    pub(crate) fn rounds(&self) -> Result<Vec<(u32, u32, Seed)>, StoreError> {
        let secrets = self.txn.open_table(SECRETS)?;
        let mut all = Vec::new();
        for row in secrets.range(ROUND..ROUND_END)? {
            let (name, row) = row?;
            let secret = row.value().try_into().ok().map(Seed::new);
            if let (Some((conversation, feed)), Some(secret)) = (numbers_of(name.value()), secret) {
                all.push((conversation, feed, secret));
            }
        }
        Ok(all)
    }

    /// Whether only contacts are met.
    pub(crate) fn is_secluded(&self) -> Result<bool, StoreError> {
        Ok(self.meta(SECLUDED)? == Some(vec![1]))
    }

    /// Whether a contact may carry a feed of this person that only those who are listed may.
    pub(crate) fn is_listed(&self, account: &AccountId) -> Result<bool, StoreError> {
        Ok(is_in(&self.meta(LISTED)?.unwrap_or_default(), account))
    }

    /// The secrets by which this node shows that it may carry feeds that are not open.
    pub(crate) fn carry_secrets(&self) -> Result<Vec<(FeedId, Seed)>, StoreError> {
        let secrets = self.txn.open_table(SECRETS)?;
        let mut all = Vec::new();
        for row in secrets.range(CARRY..CARRY_END)? {
            let (name, row) = row?;
            if let Some(feed) = feed_of(name.value()) {
                all.push((feed, read(row.value())?.1));
            }
        }
        Ok(all)
    }
}

impl Writer<'_> {
    /// Says whether only contacts are met from now on.
    pub(crate) fn set_secluded(&mut self, on: bool) -> Result<(), StoreError> {
        self.set_meta(SECLUDED, &[u8::from(on)])
    }

    /// Whether a contact is listed.
    pub(crate) fn is_listed(&self, account: &AccountId) -> Result<bool, StoreError> {
        Ok(is_in(&self.meta(LISTED)?.unwrap_or_default(), account))
    }

    /// Lists a contact, or no more. Whether that is new.
    pub(crate) fn set_listed(&mut self, account: &AccountId, on: bool) -> Result<bool, StoreError> {
        let mut listed = self.meta(LISTED)?.unwrap_or_default();
        if is_in(&listed, account) == on {
            return Ok(false);
        }
        if on {
            listed.extend_from_slice(account.as_bytes());
        } else {
            let others = listed.chunks_exact(32).filter(|one| one != account.as_bytes());
            listed = others.flatten().copied().collect();
        }
        self.set_meta(LISTED, &listed)?;
        Ok(true)
    }

    /// By what carriers of a feed show themselves: its generation, and the secret.
    pub(crate) fn carry_secret(&self, feed: &FeedId) -> Result<Option<(u64, Seed)>, StoreError> {
        let secrets = self.txn.open_table(SECRETS)?;
        let row = secrets.get(name_of(feed).as_str())?;
        row.map(|row| read(row.value())).transpose()
    }

    /// Keeps by what carriers of a feed show themselves, if it is newer than what is kept and there is
    /// room.
    pub(crate) fn set_carry_secret(
        &mut self,
        feed: &FeedId,
        generation: u64,
        secret: &Seed,
    ) -> Result<(), StoreError> {
        let known = self.carry_secret(feed)?;
        if known.as_ref().is_some_and(|known| known.0 >= generation) {
            return Ok(());
        }
        let mut secrets = self.txn.open_table(SECRETS)?;
        if known.is_none() && secrets.range(CARRY..CARRY_END)?.count() as u64 >= CARRY_SECRETS {
            return Ok(());
        }
        let row = [&generation.to_be_bytes()[..], secret.expose()].concat();
        secrets.insert(name_of(feed).as_str(), row.as_slice())?;
        Ok(())
    }

    /// Keeps by what the members of a group find what the author of an epoch makes for them. There is one
    /// for each device of a member.
    pub(crate) fn set_round(
        &mut self,
        conversation: u32,
        feed: u32,
        secret: &Seed,
    ) -> Result<(), StoreError> {
        self.set_secret(&round_of(conversation, feed), secret.expose())
    }

    /// Forgets it: somebody who knows it belongs to the group no more.
    pub(crate) fn drop_rounds(&mut self, conversation: u32) -> Result<(), StoreError> {
        let (from, to) = (round_of(conversation, 0), round_of(conversation, u32::MAX));
        let mut secrets = self.txn.open_table(SECRETS)?;
        secrets.retain_in::<&str, _>(from.as_str()..=to.as_str(), |_, _| false)?;
        Ok(())
    }

    /// Forgets by what carriers of a feed show themselves.
    pub(crate) fn drop_carry_secret(&mut self, feed: &FeedId) -> Result<(), StoreError> {
        self.txn.open_table(SECRETS)?.remove(name_of(feed).as_str())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;
    use crate::store::Store;
    use crate::time::Now;

    fn feed(number: u64) -> FeedId {
        let mut feed = [0xab; 32];
        for (to, from) in feed.iter_mut().zip(number.to_be_bytes()) {
            *to = from;
        }
        FeedId::from_bytes(feed)
    }

    #[test]
    fn the_newest_secret_of_a_feed_is_kept_and_of_no_more_feeds_than_there_may_be() {
        let now = Now { tick: 1, wall: 1, boot_id: 1 };
        let mut store = Store::create(InMemoryBackend::new(), 1 << 20, now).unwrap();
        let secret = |byte| Seed::new([byte; 32]);
        let kept = store.write(now, |writer| {
            for number in 0..=CARRY_SECRETS {
                writer.set_carry_secret(&feed(number), 3, &secret(1))?;
            }
            writer.set_carry_secret(&feed(1), 3, &secret(2))?;
            writer.set_carry_secret(&feed(2), 4, &secret(2))?;
            writer.set_carry_secret(&feed(3), 2, &secret(2))?;
            writer.drop_carry_secret(&feed(4))?;
            (0..5).map(|number| writer.carry_secret(&feed(number))).collect::<Result<Vec<_>, _>>()
        });
        let kept: Vec<_> = kept.unwrap_or_else(|error: StoreError| panic!("{error}"));
        let three = Some((3, secret(1)));
        assert_eq!(kept, [three.clone(), three.clone(), Some((4, secret(2))), three, None]);
        let all = store.snapshot().unwrap().carry_secrets().unwrap();
        assert_eq!(all.len() as u64, CARRY_SECRETS - 1, "one found no room, one was forgotten");
        assert!(all.iter().all(|(feed, _)| feed.as_bytes()[31] == 0xab));
    }

    #[test]
    fn who_is_listed_stays_until_it_is_no_more() {
        let now = Now { tick: 1, wall: 1, boot_id: 1 };
        let mut store = Store::create(InMemoryBackend::new(), 1 << 20, now).unwrap();
        let [ana, bo] = [1, 2].map(|byte| AccountId::from_bytes([byte; 32]));
        let changed = store.write(now, |writer| {
            Ok::<_, StoreError>([
                writer.set_listed(&ana, true)?,
                writer.set_listed(&bo, true)?,
                writer.set_listed(&ana, true)?,
                writer.set_listed(&ana, false)?,
                writer.set_listed(&ana, false)?,
            ])
        });
        assert_eq!(changed.unwrap(), [true, true, false, true, false]);
        let now = store.snapshot().unwrap();
        assert_eq!((now.is_listed(&ana).unwrap(), now.is_listed(&bo).unwrap()), (false, true));
    }
}
