//! What one node holds of the feeds it may offer a peer, hashed under the key of one session.
//!
//! Ids and tags mean nothing in another session, so nobody can prepare feeds or heads that collide,
//! and what collides by chance in one session does not in the next.

use std::ops::Range;

use super::coding::{Bits, Input, rice_parameter};
use super::field::{P, power_sums};
use crate::codec::DecodeError;
use crate::key::{Context, Digest, FeedId, Hasher, keyed};
use crate::limits::{SCOPE_FEEDS, SEQ_END};

/// Counters over items: a feed whose head differs is in two of them on average.
const OF_ITEMS: usize = 48;
/// Counters over feeds alone: these tell what one side lacks from what only differs.
const OF_FEEDS: usize = 16;
const COUNTERS: usize = OF_ITEMS + OF_FEEDS;
/// Bits of a seq that a sketch carries; the rest is that of the nearest seq.
const SEQ_BITS: u32 = 28;
/// Bits of the tag of a head.
const TAG_BITS: u32 = 12;
/// Bits of an id in a sketch.
pub(super) const ID_BITS: u32 = 40;

/// What a node holds of a feed, as the other side may learn it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// The feed.
    pub feed: FeedId,
    /// The newest entry held without a gap, or of a forked feed the lowest place of the fork.
    pub seq: u64,
    /// The id of that entry, or of a forked feed a digest that says so.
    pub head: Digest,
}

impl Item {
    /// The item of a feed that is known as forked, whatever is held of it.
    pub fn forked(feed: FeedId, fork_seq: u64) -> Self {
        let mut hasher = Hasher::new(Context::Forked);
        hasher.update(feed.as_bytes()).update(&fork_seq.to_be_bytes());
        Self { feed, seq: fork_seq, head: hasher.finish() }
    }
}

/// All items that may be offered to a peer, keyed for one session; made once, in one pass.
#[derive(Debug, Clone)]
pub struct Scope {
    /// In the order of their hashes.
    items: Vec<Keyed>,
    digest: u64,
    counters: Counters,
}

/// An item under the key of a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keyed {
    hash: u64,
    pub(super) seq: u64,
    /// Its place among the items that the scope was made of.
    pub(super) place: u32,
    tag: u16,
}

/// Sums of keyed signs from which the number of differences can be estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// How many signs are positive, less half of all, rounded down.
    surplus: [i64; COUNTERS],
}

impl Scope {
    /// Hashes the items of a session's scope; `key` is of that session alone.
    ///
    /// The order of the items is the caller's own: a [`Difference`](super::Difference) names its
    /// item by the place it had here.
    pub fn new(key: &Digest, items: impl Iterator<Item = Item>) -> Self {
        Self::with_id_bits(key, items, u64::BITS)
    }

    /// A scope whose hashes are cut to their highest bits, to see what collisions do.
    pub(super) fn with_id_bits(key: &Digest, items: impl Iterator<Item = Item>, bits: u32) -> Self {
        let mask = u64::MAX << (u64::BITS - bits);
        let (mut digest, mut tally) = (0u64, Tally::default());
        let hash = |(place, item): (usize, Item)| {
            let feed = keyed(key, item.feed.as_bytes());
            let whole = keyed(key, &block_of(&item, &feed));
            digest = digest.wrapping_add(number(&whole, 0..8));
            let signs = number(&feed, 8..10) << OF_ITEMS | number(&whole, 8..14);
            tally.add(signs);
            let tag = u16::try_from(number(&whole, 14..16) >> 4).unwrap_or(0);
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            Keyed { hash: number(&feed, 0..8) & mask, seq: item.seq, place, tag }
        };
        let mut items: Vec<Keyed> = items.enumerate().map(hash).collect();
        items.sort_unstable_by_key(|item| (item.hash, item.place));
        let half = items.len() as u64 / 2;
        let surplus = tally.finish().map(|count| count.cast_signed() - half.cast_signed());
        Self { items, digest, counters: Counters { surplus } }
    }

    /// The digest of all items: equal digests are equal scopes, but for one chance in 2^64.
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// The number of items.
    pub const fn count(&self) -> u64 {
        self.items.len() as u64
    }

    /// The counters for the other side's estimate.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    pub(super) fn items(&self) -> &[Keyed] {
        &self.items
    }

    /// The items whose id falls into a bucket of so many.
    pub(super) fn bucket(&self, buckets: u64, bucket: u64) -> &[Keyed] {
        let start = self.items.partition_point(|item| item.bucket(buckets) < bucket);
        let rest = self.items.get(start..).unwrap_or_default();
        let len = rest.partition_point(|item| item.bucket(buckets) == bucket);
        rest.get(..len).unwrap_or_default()
    }

    /// The items of one id: one, unless some collide.
    pub(super) fn of_id(&self, id: u64) -> &[Keyed] {
        let start = self.items.partition_point(|item| item.id() < id);
        let rest = self.items.get(start..).unwrap_or_default();
        let len = rest.partition_point(|item| item.id() == id);
        rest.get(..len).unwrap_or_default()
    }

    /// A number that the peer cannot choose alone.
    pub(super) const fn seed(&self) -> u64 {
        self.digest
    }
}

impl Keyed {
    /// The id in a sketch: never 0, and below p.
    pub(super) fn id(&self) -> u64 {
        (self.hash >> (u64::BITS - ID_BITS)).clamp(1, P - 1)
    }

    /// The first bits of the hash.
    pub(super) const fn short(&self, bits: u32) -> u64 {
        self.hash >> (u64::BITS - bits)
    }

    /// The value in a sketch: never 0, and below p.
    pub(super) fn value(&self) -> u64 {
        let seq = self.seq & ((1 << SEQ_BITS) - 1);
        (seq << TAG_BITS | u64::from(self.tag)).clamp(1, P - 1)
    }

    /// The tag in a vector.
    pub(super) fn short_tag(&self) -> u8 {
        u8::try_from(self.tag & 0xff).unwrap_or(0)
    }

    fn bucket(&self, buckets: u64) -> u64 {
        bucket_of(self.id(), buckets)
    }

    /// The other side's seq, from its value in a sketch: of all that fit the nearest to ours.
    pub(super) fn seq_of(&self, value: u64) -> u64 {
        let circle = 1 << SEQ_BITS;
        let ahead = (value >> TAG_BITS).wrapping_sub(self.seq) & (circle - 1);
        let near = if ahead < circle / 2 {
            self.seq + ahead
        } else {
            (self.seq + ahead)
                .checked_sub(circle)
                .filter(|seq| *seq > 0)
                .unwrap_or(self.seq + ahead)
        };
        near.clamp(1, SEQ_END - 1)
    }
}

/// The bucket of an id: so many equal parts of all ids.
pub(super) const fn bucket_of(id: u64, buckets: u64) -> u64 {
    id.saturating_mul(buckets) >> ID_BITS
}

/// The power sums of a bucket's items.
pub(super) fn sums_of(items: &[Keyed], from: u64, to: u64) -> Vec<u64> {
    let size = |count| usize::try_from(count).unwrap_or(0);
    power_sums(items.iter().map(|item| (item.id(), item.value())), size(from), size(to))
}

impl Counters {
    /// About how many feeds differ between scopes of these counters and sizes; at least 1.
    ///
    /// The square of a difference of two counters is on average the number of items in only one of
    /// the two scopes (Alon, Matias and Szegedy): two for a feed whose head differs, one for a feed
    /// that one side lacks.
    pub(super) fn estimate(&self, own: u64, theirs: &Self, their: u64) -> u64 {
        let odd = (own & 1).cast_signed() - (their & 1).cast_signed();
        let mut squares = self
            .surplus
            .iter()
            .zip(&theirs.surplus)
            .map(|(ours, theirs)| (2 * (ours - theirs) + odd).unsigned_abs().pow(2));
        let of_items: u64 = squares.by_ref().take(OF_ITEMS).sum::<u64>() / OF_ITEMS as u64;
        let of_feeds: u64 = squares.sum::<u64>() / OF_FEEDS as u64;
        let one_sided = of_feeds.max(own.abs_diff(their)).min(of_items);
        (of_items + one_sided).div_ceil(2).max(own.abs_diff(their)).clamp(1, own + their)
    }

    /// Writes the counters: the Rice parameter and then all, folded so that the small are short.
    pub fn encode(&self) -> Vec<u8> {
        let folded = self.surplus.map(|n| (n << 1 ^ n >> 63).cast_unsigned());
        let k = rice_parameter(folded.iter().sum(), COUNTERS as u64);
        let mut bits = Bits::new();
        bits.write(u64::from(k), 8);
        for n in folded {
            bits.write_rice(n, k);
        }
        bits.into_bytes()
    }

    /// Reads what [`encode`](Self::encode) writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let field = "counters";
        let mut input = Input::new(bytes, field);
        let k = u32::from(input.byte()?);
        if k > SCOPE_FEEDS.ilog2() {
            return Err(DecodeError::OutOfRange { field, found: u64::from(k) });
        }
        let (mut surplus, mut sum) = ([0; COUNTERS], 0);
        for n in &mut surplus {
            let folded = input.rice(k, SCOPE_FEEDS)?;
            *n = (folded >> 1).cast_signed() ^ -(folded & 1).cast_signed();
            sum += folded;
        }
        input.end_bits()?;
        input.finish()?;
        if rice_parameter(sum, COUNTERS as u64) == k {
            Ok(Self { surplus })
        } else {
            Err(DecodeError::NotShortest { field })
        }
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self { surplus: [0; COUNTERS] }
    }
}

/// How often each sign is positive, eight signs to a number while none of them can overflow.
#[derive(Default)]
struct Tally {
    lanes: [u64; COUNTERS / 8],
    since: u8,
    positive: Vec<u64>,
}

impl Tally {
    /// A one in each byte, a bit of its own in each, and room for a bit to reach the highest.
    const ONES: u64 = 0x0101_0101_0101_0101;
    const DIAGONAL: u64 = 0x8040_2010_0804_0201;
    const BELOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;

    fn add(&mut self, signs: u64) {
        if self.since == u8::MAX {
            self.flush();
        }
        self.since += 1;
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            let bits = (signs >> (8 * at) & 0xff) * Self::ONES;
            *lane += ((bits & Self::DIAGONAL) + Self::BELOW) >> 7 & Self::ONES;
        }
    }

    fn flush(&mut self) {
        self.since = 0;
        self.positive.resize(COUNTERS, 0);
        for (at, count) in self.positive.iter_mut().enumerate() {
            let lane = self.lanes.get(at / 8).copied().unwrap_or_default();
            *count += lane >> (8 * (at % 8)) & 0xff;
        }
        self.lanes = Default::default();
    }

    fn finish(mut self) -> [u64; COUNTERS] {
        self.flush();
        self.positive.try_into().unwrap_or([0; COUNTERS])
    }
}

/// What of an item is hashed beside its feed: one block of the hash.
fn block_of(item: &Item, feed: &Digest) -> [u8; 64] {
    let mut block = [0; 64];
    let (head, rest) = block.split_at_mut(32);
    head.copy_from_slice(&item.head);
    let (name, seq) = rest.split_at_mut(24);
    name.copy_from_slice(feed.get(..24).unwrap_or_default());
    seq.copy_from_slice(&item.seq.to_be_bytes());
    block
}

/// Some bytes of a digest as a number.
fn number(digest: &Digest, bytes: Range<usize>) -> u64 {
    digest.get(bytes).unwrap_or_default().iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(number: u64, seq: u64) -> Item {
        let mut feed = [0; 32];
        feed[..8].copy_from_slice(&number.to_be_bytes());
        Item { feed: FeedId::from_bytes(feed), seq, head: keyed(&feed, &seq.to_be_bytes()) }
    }

    fn scope(items: impl Iterator<Item = Item>) -> Scope {
        Scope::new(&[3; 32], items)
    }

    #[test]
    fn the_order_of_the_items_does_not_matter_and_all_else_does() {
        let items: Vec<Item> = (0..50).map(|n| item(n, 1 + n)).collect();
        let one = scope(items.iter().copied());
        let other = scope(items.iter().rev().copied());
        assert_eq!((one.digest(), one.counters()), (other.digest(), other.counters()));
        assert_ne!(one.digest(), Scope::new(&[4; 32], items.iter().copied()).digest());
        let mut changed = items.clone();
        changed[7].seq += 1;
        assert_ne!(one.digest(), scope(changed.iter().copied()).digest());
        changed[7] = Item { head: [9; 32], ..items[7] };
        assert_ne!(one.digest(), scope(changed.iter().copied()).digest());
        changed[7] = Item { feed: items[8].feed, ..items[7] };
        assert_ne!(one.digest(), scope(changed.iter().copied()).digest());
        changed[7] = Item::forked(items[7].feed, items[7].seq);
        assert_ne!(one.digest(), scope(changed.iter().copied()).digest());
        assert_ne!(Item::forked(items[7].feed, 3).head, Item::forked(items[7].feed, 4).head);
    }

    #[test]
    fn buckets_part_all_items_and_ids_name_them() {
        let scope = scope((0..1_000).map(|n| item(n, 1)));
        for buckets in [1, 2, 7, 300] {
            let parts: Vec<&[Keyed]> = (0..buckets).map(|b| scope.bucket(buckets, b)).collect();
            let ids: Vec<u64> = parts.concat().iter().map(Keyed::id).collect();
            assert_eq!(ids, scope.items().iter().map(Keyed::id).collect::<Vec<_>>());
        }
        for item in scope.items() {
            let places: Vec<u32> = scope.of_id(item.id()).iter().map(|it| it.place).collect();
            assert_eq!(places, [item.place]);
        }
    }

    #[test]
    fn a_seq_is_the_nearest_that_fits() {
        let keyed = |seq| Keyed { hash: 1, seq, place: 0, tag: 5 };
        for (own, theirs) in [
            (1, 1),
            (1, 134_217_000),
            (268_435_455, 268_435_457),
            (268_435_457, 268_435_455),
            (SEQ_END - 1, SEQ_END - 2),
            (900_000_000_000, 900_000_100_000),
        ] {
            assert_eq!(keyed(own).seq_of(keyed(theirs).value()), theirs, "{own}");
        }
    }

    #[test]
    fn the_estimate_is_near_the_truth() {
        for (changed, missing) in [(1, 0), (10, 0), (0, 10), (100, 0), (500, 500), (0, 2_000)] {
            let mut sum = 0;
            for seed in 0..20 {
                let key = [seed; 32];
                let one = Scope::new(&key, (0..3_000).map(|n| item(n, 1)));
                let seq = |n| if n < changed { 2 } else { 1 };
                let other = Scope::new(&key, (0..3_000 - missing).map(|n| item(n, seq(n))));
                sum += one.counters.estimate(one.count(), &other.counters, other.count());
            }
            let (truth, found) = (changed + missing, sum / 20);
            assert!(found.abs_diff(truth) <= truth / 5 + 2, "{truth}: {found}");
        }
    }

    #[test]
    fn counters_have_one_encoding() {
        for count in [0, 1, 2, 100, 10_000] {
            let counters = scope((0..count).map(|n| item(n, 1))).counters();
            let mut bytes = counters.encode();
            assert_eq!(Counters::decode(&bytes), Ok(counters));
            bytes.push(0);
            let found = Counters::decode(&bytes);
            assert_eq!(found, Err(DecodeError::TrailingBytes { found: 1 }));
        }
        arbtest::arbtest(|u| {
            let bytes: Vec<u8> = u.arbitrary()?;
            if let Ok(counters) = Counters::decode(&bytes) {
                assert_eq!(counters.encode(), bytes);
            }
            Ok(())
        });
    }
}
