//! What to carry and what to let go: pure decisions over numbers that the store hands in.
//!
//! A class never pushes out a higher one, because each evicts only its own. Inside the stranger
//! class the quota is shared by who handed things over: whoever floods meets the limit of its own
//! share, and what others brought stays. What goes first is what arrived first; the store keeps that
//! order.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::codec::DecodeError;
use crate::key::FeedId;
use crate::limits::{STRANGER_BYTES, STRANGER_FEED_BYTES};
use crate::time::Known;

const GIB: u64 = 1 << 30;

/// Most bytes that go at once when something is evicted: no stored unit is larger.
///
/// A carrier is asked to give way only while it is further than this above its share, so that
/// the last unit that goes cannot bring it below.
pub const EVICTION_UNIT: u64 = 64 * 1024;

/// Why a node holds a feed. The greater class has the higher rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CarryClass {
    /// Anybody's.
    Stranger,
    /// Followed by the user, or by those whom the user follows.
    Followed,
    /// A member's of one of the user's groups.
    Group,
    /// A contact's.
    Contact,
    /// The user's own.
    Own,
}

impl CarryClass {
    /// Every class, the highest first.
    pub const ALL: [Self; 5] =
        [Self::Own, Self::Contact, Self::Group, Self::Followed, Self::Stranger];

    /// The number by which the class is stored: 0 is the highest.
    pub const fn code(self) -> u8 {
        match self {
            Self::Own => 0,
            Self::Contact => 1,
            Self::Group => 2,
            Self::Followed => 3,
            Self::Stranger => 4,
        }
    }

    /// The class that a stored number stands for.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.code() == code)
    }

    /// The class's name, as shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Contact => "contact",
            Self::Group => "group",
            Self::Followed => "followed",
            Self::Stranger => "stranger",
        }
    }
}

/// Bytes that each class may take; the user's own feeds have no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// All contacts' feeds together.
    pub contact: u64,
    /// All group members' feeds together.
    pub group: u64,
    /// All followed feeds together.
    pub followed: u64,
    /// All strangers' feeds together.
    pub stranger: u64,
    /// One stranger's feed.
    pub stranger_feed: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            contact: 8 * GIB,
            group: 4 * GIB,
            followed: 2 * GIB,
            stranger: STRANGER_BYTES,
            stranger_feed: STRANGER_FEED_BYTES,
        }
    }
}

impl Quotas {
    /// The quota of a class, if it has one.
    pub const fn limit(&self, class: CarryClass) -> Option<u64> {
        match class {
            CarryClass::Own => None,
            CarryClass::Contact => Some(self.contact),
            CarryClass::Group => Some(self.group),
            CarryClass::Followed => Some(self.followed),
            CarryClass::Stranger => Some(self.stranger),
        }
    }
}

/// Who handed something over. Its order is that of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carrier {
    /// A recognised peer.
    Known(FeedId),
    /// All unrecognised peers of one hour, as one: they cannot be told apart.
    Anonymous {
        /// The hour of known time.
        hour: u64,
    },
}

impl Carrier {
    const KNOWN: u8 = 0;
    const ANONYMOUS: u8 = 1;

    /// The carrier that an unrecognised peer is counted as.
    pub const fn anonymous(known: Known) -> Self {
        Self::Anonymous { hour: known.minutes() / 60 }
    }

    /// The bytes by which the carrier is stored.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Known(feed) => [&[Self::KNOWN][..], feed.as_bytes()].concat(),
            Self::Anonymous { hour } => [&[Self::ANONYMOUS][..], &hour.to_be_bytes()].concat(),
        }
    }

    /// Reads a carrier from its bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let field = "carrier";
        let (kind, rest) = bytes.split_first().ok_or(DecodeError::EndOfInput { field })?;
        let wrong =
            |expected| DecodeError::WrongLength { field, found: rest.len() as u64, expected };
        match *kind {
            Self::KNOWN => {
                let feed = rest.try_into().map_err(|_| wrong(32))?;
                Ok(Self::Known(FeedId::from_bytes(feed)))
            }
            Self::ANONYMOUS => {
                let hour = rest.try_into().map_err(|_| wrong(8))?;
                Ok(Self::Anonymous { hour: u64::from_be_bytes(hour) })
            }
            kind => Err(DecodeError::UnknownKind { found: u64::from(kind) }),
        }
    }
}

/// What is held already, in bytes, at the moment something new arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// By all feeds of the class.
    pub class: u64,
    /// By the feed.
    pub feed: u64,
    /// Of the stranger class, by the carrier who hands over.
    pub carrier: u64,
    /// How many carriers hold something of the stranger class.
    pub carriers: u64,
}

impl Usage {
    /// What a carrier may hold of the stranger class while the class is full; the one who hands
    /// over counts, even if it holds nothing yet.
    pub const fn share(&self, quotas: &Quotas) -> u64 {
        let newcomer = (self.carrier == 0) as u64;
        let carriers = self.carriers.saturating_add(newcomer);
        match quotas.stranger.checked_div(carriers) {
            Some(share) => share,
            None => quotas.stranger,
        }
    }
}

/// Whether something new is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// There is room.
    Take,
    /// There will be room once so many bytes of the same class are gone; for strangers' feeds
    /// [`give_way`] tells whose.
    TakeAfterEvicting(u64),
    /// It is left out.
    LeaveOut(Reason),
}

/// Why something was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is larger than the whole quota of its class.
    TooLarge,
    /// The stranger's feed has all that one feed may have.
    FeedFull,
    /// The class is full, and who hands it over has its share already.
    ShareUsed,
    /// The class is full, and nobody is far enough above its share to give way.
    NobodyGivesWay,
}

impl Reason {
    /// The reason in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "larger than the quota",
            Self::FeedFull => "the feed's quota is full",
            Self::ShareUsed => "the carrier's share is used up",
            Self::NobodyGivesWay => "the quota is full",
        }
    }
}

/// Decides whether `bytes` more of a feed of `class` are taken.
pub fn admit(quotas: &Quotas, class: CarryClass, bytes: u64, usage: &Usage) -> Admission {
    let Some(limit) = quotas.limit(class) else {
        return Admission::Take;
    };
    if bytes > limit {
        return Admission::LeaveOut(Reason::TooLarge);
    }
    let is_stranger = class == CarryClass::Stranger;
    if is_stranger && usage.feed.saturating_add(bytes) > quotas.stranger_feed {
        return Admission::LeaveOut(Reason::FeedFull);
    }
    let over = usage.class.saturating_add(bytes).saturating_sub(limit);
    if over == 0 {
        return Admission::Take;
    }
    if is_stranger && usage.carrier.saturating_add(bytes) > usage.share(quotas) {
        return Admission::LeaveOut(Reason::ShareUsed);
    }
    Admission::TakeAfterEvicting(over)
}

/// Decides whose holdings of the stranger class give way for `need_bytes`, and by how much.
///
/// Whoever is most above its share gives first. Nobody goes below: if what is above the shares
/// does not suffice, nothing is to be evicted. `share` is [`Usage::share`].
pub fn give_way(
    holdings: &BTreeMap<Carrier, u64>,
    share: u64,
    need_bytes: u64,
) -> Result<Vec<(Carrier, u64)>, Reason> {
    let kept = share.saturating_add(EVICTION_UNIT);
    let mut above: Vec<_> = holdings
        .iter()
        .map(|(carrier, held)| (Reverse(held.saturating_sub(kept)), *carrier))
        .filter(|(Reverse(room), _)| *room > 0)
        .collect();
    above.sort_unstable();
    let mut left = need_bytes;
    let mut plan = Vec::new();
    for (Reverse(room), carrier) in above {
        if left == 0 {
            break;
        }
        let given = room.min(left);
        left -= given;
        plan.push((carrier, given));
    }
    if left == 0 { Ok(plan) } else { Err(Reason::NobodyGivesWay) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(number: u64) -> FeedId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        FeedId::from_bytes(bytes)
    }

    fn peer(number: u64) -> Carrier {
        Carrier::Known(feed(number))
    }

    /// Something that is held and could go.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    struct Unit {
        arrival: u64,
        feed: FeedId,
        bytes: u64,
    }

    /// The bookkeeping of a store: what is held of each class, and who handed it over.
    struct World {
        quotas: Quotas,
        held: BTreeMap<(CarryClass, Carrier), Vec<Unit>>,
        feeds: BTreeMap<FeedId, u64>,
        arrivals: u64,
    }

    impl World {
        fn new() -> Self {
            let (stranger, stranger_feed) = (4 << 20, 64 << 10);
            let quotas = Quotas { followed: 1 << 20, stranger, stranger_feed, ..Quotas::default() };
            Self { quotas, held: BTreeMap::new(), feeds: BTreeMap::new(), arrivals: 0 }
        }

        fn bytes(&self, class: CarryClass, carrier: Option<Carrier>) -> u64 {
            let counts = |held: &(CarryClass, Carrier)| {
                held.0 == class && carrier.is_none_or(|carrier| held.1 == carrier)
            };
            let of = self.held.iter().filter(|(held, _)| counts(held));
            of.flat_map(|(_, units)| units).map(|unit| unit.bytes).sum()
        }

        fn strangers(&self) -> BTreeMap<Carrier, u64> {
            let of = self.held.keys().filter(|(class, _)| *class == CarryClass::Stranger);
            let sums = of.map(|(class, carrier)| (*carrier, self.bytes(*class, Some(*carrier))));
            sums.filter(|(_, bytes)| *bytes > 0).collect()
        }

        fn offer(&mut self, class: CarryClass, carrier: Carrier, feed: FeedId, bytes: u64) -> bool {
            let holdings = self.strangers();
            let usage = Usage {
                class: self.bytes(class, None),
                feed: self.feeds.get(&feed).copied().unwrap_or(0),
                carrier: holdings.get(&carrier).copied().unwrap_or(0),
                carriers: holdings.len() as u64,
            };
            match admit(&self.quotas, class, bytes, &usage) {
                Admission::Take => {}
                Admission::LeaveOut(_) => return false,
                Admission::TakeAfterEvicting(need) if class == CarryClass::Stranger => {
                    let share = usage.share(&self.quotas);
                    let Ok(plan) = give_way(&holdings, share, need) else { return false };
                    for (victim, need) in plan {
                        self.evict(class, Some(victim), need);
                        assert!(self.bytes(class, Some(victim)) >= share, "{victim:?}");
                    }
                }
                Admission::TakeAfterEvicting(need) => self.evict(class, None, need),
            }
            self.arrivals += 1;
            let unit = Unit { arrival: self.arrivals, feed, bytes };
            self.held.entry((class, carrier)).or_default().push(unit);
            *self.feeds.entry(feed).or_default() += bytes;
            assert!(self.bytes(class, None) <= self.quotas.limit(class).unwrap_or(u64::MAX));
            true
        }

        fn evict(&mut self, class: CarryClass, carrier: Option<Carrier>, need: u64) {
            let is_asked = |(of, by): (CarryClass, Carrier)| {
                of == class && carrier.is_none_or(|carrier| carrier == by)
            };
            let asked = self.held.iter().filter(|(held, _)| is_asked(**held));
            let mut oldest: Vec<Unit> = asked.flat_map(|(_, units)| units).copied().collect();
            oldest.sort_unstable();
            let mut freed = 0;
            let due = |unit: &Unit| {
                let is_due = freed < need;
                freed += unit.bytes;
                is_due
            };
            let victims: Vec<Unit> = oldest.into_iter().take_while(due).collect();
            for units in self.held.values_mut() {
                units.retain(|unit| !victims.contains(unit));
            }
            for victim in victims {
                *self.feeds.get_mut(&victim.feed).unwrap() -= victim.bytes;
            }
        }
    }

    #[test]
    fn classes_have_ranks_codes_and_names() {
        assert!(CarryClass::ALL.is_sorted_by(|higher, lower| higher > lower));
        for (code, class) in (0..).zip(CarryClass::ALL) {
            assert_eq!((class.code(), CarryClass::from_code(code)), (code, Some(class)));
        }
        assert_eq!(CarryClass::from_code(5), None);
        let names = CarryClass::ALL.map(CarryClass::name);
        assert_eq!(names, ["own", "contact", "group", "followed", "stranger"]);
    }

    #[test]
    fn carriers_are_ordered_as_their_bytes() {
        let hour = Carrier::anonymous(Known(3 * 3_600_000 + 3_599_999));
        assert_eq!(hour, Carrier::Anonymous { hour: 3 });
        let carriers = [peer(1), peer(2), hour, Carrier::Anonymous { hour: 256 }];
        assert!(carriers.is_sorted() && carriers.map(|carrier| carrier.encode()).is_sorted());
        for carrier in carriers {
            let bytes = carrier.encode();
            assert_eq!(Carrier::decode(&bytes), Ok(carrier));
            let short = Carrier::decode(&bytes[1..]);
            assert!(short.is_err() && Carrier::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
        assert_eq!(Carrier::decode(&[7]), Err(DecodeError::UnknownKind { found: 7 }));
    }

    #[test]
    fn admission_follows_the_quotas() {
        let quotas =
            Quotas { followed: 100, stranger: 100, stranger_feed: 50, ..Quotas::default() };
        let (followed, stranger) = (CarryClass::Followed, CarryClass::Stranger);
        let decide = |class, bytes, usage| admit(&quotas, class, bytes, &usage);
        let full = Usage { class: 100, ..Usage::default() };
        let unlimited = Usage { class: u64::MAX, ..full };
        assert_eq!(decide(CarryClass::Own, u64::MAX, unlimited), Admission::Take);
        assert_eq!(decide(followed, 10, Usage { class: 90, ..full }), Admission::Take);
        assert_eq!(decide(followed, 10, full), Admission::TakeAfterEvicting(10));
        assert_eq!(decide(followed, 101, full), Admission::LeaveOut(Reason::TooLarge));
        let feed = Usage { feed: 41, ..Usage::default() };
        assert_eq!(decide(stranger, 10, feed), Admission::LeaveOut(Reason::FeedFull));
        assert_eq!(decide(stranger, 9, feed), Admission::Take, "a share binds when all is full");
        let shared = Usage { carrier: 40, carriers: 2, ..full };
        assert_eq!(decide(stranger, 10, shared), Admission::TakeAfterEvicting(10));
        assert_eq!(decide(stranger, 11, shared), Admission::LeaveOut(Reason::ShareUsed));
        let newcomer = Usage { carriers: 2, ..full };
        assert_eq!(decide(stranger, 33, newcomer), Admission::TakeAfterEvicting(33));
        assert_eq!(decide(stranger, 34, newcomer), Admission::LeaveOut(Reason::ShareUsed));
    }

    #[test]
    fn whoever_is_most_above_its_share_gives_way() {
        let share = 1_000;
        let above = |bytes| share + EVICTION_UNIT + bytes;
        let holdings = [(peer(1), above(5)), (peer(2), above(90)), (peer(3), above(90))];
        let holdings = BTreeMap::from([holdings[0], holdings[1], holdings[2], (peer(4), share)]);
        assert_eq!(give_way(&holdings, share, 60), Ok(vec![(peer(2), 60)]));
        let all = vec![(peer(2), 90), (peer(3), 90), (peer(1), 5)];
        assert_eq!(give_way(&holdings, share, 185), Ok(all));
        assert_eq!(give_way(&holdings, share, 186), Err(Reason::NobodyGivesWay));
    }

    #[test]
    fn a_flood_of_feeds_takes_nothing_from_others() {
        let mut world = World::new();
        let (stranger, followed) = (CarryClass::Stranger, CarryClass::Followed);
        let (quota, unit) = (world.quotas.stranger, 16 << 10);
        for number in 0..100 {
            assert!(world.offer(followed, peer(1), feed(number), unit) || number >= 64);
            assert!(world.offer(CarryClass::Own, peer(0), feed(1_000), unit));
        }
        assert_eq!(world.bytes(followed, None), 1 << 20);
        let others = (world.bytes(followed, None), world.bytes(CarryClass::Own, None));
        // The second carrier has all there is when the flood begins.
        while world.offer(stranger, peer(1), feed(world.arrivals), unit) {}
        assert_eq!(world.bytes(stranger, Some(peer(1))), quota);
        let mut taken = 0;
        for number in 0..100_000 {
            taken += u64::from(world.offer(stranger, peer(2), feed(1 << 32 | number), unit));
            assert!(world.bytes(stranger, Some(peer(1))) >= quota / 2, "feed {number}");
        }
        assert!(taken * unit <= quota / 2 && taken * unit + 2 * EVICTION_UNIT > quota / 2);
        // Who comes later still gets a share.
        let hour = Carrier::Anonymous { hour: 5 };
        for number in 0..1_000 {
            world.offer(stranger, hour, feed(2 << 32 | number), unit);
        }
        assert!(world.bytes(stranger, Some(hour)) + 3 * EVICTION_UNIT > quota / 3);
        assert!(world.bytes(stranger, Some(peer(1))) >= quota / 3);
        assert_eq!((world.bytes(followed, None), world.bytes(CarryClass::Own, None)), others);
    }

    #[test]
    fn any_sequence_of_arrivals_stays_within_the_quotas() {
        arbtest::arbtest(|u| {
            let mut world = World::new();
            world.quotas.stranger = 1 << 20;
            for _ in 0..u.int_in_range(0..=300)? {
                let (carrier, of) = (u.int_in_range(0..=4)?, u.int_in_range(0..=40)?);
                let before = world.bytes(CarryClass::Followed, None);
                world.offer(
                    CarryClass::Stranger,
                    peer(carrier),
                    feed(of),
                    u.int_in_range(1..=EVICTION_UNIT)?,
                );
                assert_eq!(world.bytes(CarryClass::Followed, None), before);
                let bytes = u.int_in_range(1..=EVICTION_UNIT)?;
                assert!(world.offer(CarryClass::Followed, peer(carrier), feed(99), bytes));
            }
            Ok(())
        })
        .budget_ms(1_000);
    }
}
