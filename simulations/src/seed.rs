//! A seeded generator (splitmix64) for the choices of a simulated world.
//!
//! Integers only, no state but one word, and frozen: a change to the sequence would make every
//! recorded seed mean another world. It is not for secrets, and it never asks the system.

/// Where the choices of one world come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    state: u64,
}

impl Seed {
    /// Starts the sequence that belongs to this number.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Draws 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Draws a number from 0 up to, but not including, `n`.
    ///
    /// # Panics
    ///
    /// If `n` is 0: there is nothing to choose from.
    pub const fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "a choice among no possibilities");
        // Values above the largest multiple of `n` are drawn again, so that all are equally likely.
        let uneven = (u64::MAX % n + 1) % n;
        loop {
            let drawn = self.next();
            if drawn <= u64::MAX - uneven {
                return drawn % n;
            }
        }
    }

    /// Says yes in `yes` of `among` cases.
    ///
    /// # Panics
    ///
    /// If `among` is 0.
    pub const fn chance(&mut self, yes: u64, among: u64) -> bool {
        self.below(among) < yes
    }

    /// Draws the place of one of `len` items.
    ///
    /// # Panics
    ///
    /// If `len` is 0.
    pub fn index(&mut self, len: usize) -> usize {
        let drawn = self.below(len as u64);
        usize::try_from(drawn).unwrap_or_else(|_| unreachable!("it is below a `usize`"))
    }

    /// Chooses one of them, or none if there are none.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.index(items.len())) }
    }

    /// Puts them into an order of its own (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }

    /// Fills the buffer with drawn bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.next().to_le_bytes();
            for (byte, fresh) in chunk.iter_mut().zip(drawn) {
                *byte = fresh;
            }
        }
    }

    /// Splits off an independent sequence, so that one part of a world can draw more or less
    /// without changing the others.
    #[must_use]
    pub const fn fork(&mut self) -> Self {
        Self::new(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_splitmix64_for_ever() {
        let mut seed = Seed::new(1_234_567);
        let drawn: Vec<u64> = (0..5).map(|_| seed.next()).collect();
        // Published values of the reference implementation for this start.
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821,
            ]
        );
    }

    #[test]
    fn numbers_stay_below_and_all_of_them_come() {
        let mut seed = Seed::new(1);
        let mut seen = [0_u32; 7];
        for _ in 0..7_000 {
            seen[usize::try_from(seed.below(7)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|&count| (850..1_150).contains(&count)), "{seen:?}");
        assert_eq!(seed.below(1), 0);
        for n in [u64::MAX, u64::MAX / 2 + 2, 1 << 63] {
            assert!(seed.below(n) < n);
        }
    }

    #[test]
    #[should_panic(expected = "no possibilities")]
    fn a_choice_among_nothing_is_a_bug() {
        Seed::new(1).below(0);
    }

    #[test]
    fn chances_are_kept() {
        let mut seed = Seed::new(2);
        let yes = (0..10_000).filter(|_| seed.chance(1, 4)).count();
        assert!((2_350..2_650).contains(&yes), "{yes}");
        assert!((0..100).all(|_| seed.chance(1, 1) && !seed.chance(0, 1)));
    }

    #[test]
    fn a_shuffle_keeps_every_item_and_is_the_same_for_the_same_seed() {
        let mut first: Vec<u32> = (0..100).collect();
        let mut second = first.clone();
        Seed::new(3).shuffle(&mut first);
        Seed::new(3).shuffle(&mut second);
        assert_eq!(first, second);
        assert_ne!(first, (0..100).collect::<Vec<_>>());
        first.sort_unstable();
        assert_eq!(first, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn every_order_of_three_comes_about_equally_often() {
        let mut seed = Seed::new(4);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..6_000 {
            let mut items = [1, 2, 3];
            seed.shuffle(&mut items);
            *counts.entry(items).or_insert(0_u32) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }

    #[test]
    fn short_and_empty_lists_are_fine() {
        let mut seed = Seed::new(5);
        seed.shuffle::<u8>(&mut []);
        seed.shuffle(&mut [1]);
        assert_eq!(seed.choose::<u8>(&[]), None);
        assert_eq!(seed.choose(&[9]), Some(&9));
    }

    #[test]
    fn filling_takes_eight_bytes_a_draw() {
        let mut bytes = [0; 11];
        Seed::new(6).fill(&mut bytes);
        let mut seed = Seed::new(6);
        assert_eq!(bytes[..8], seed.next().to_le_bytes());
        assert_eq!(bytes[8..], seed.next().to_le_bytes()[..3]);
    }

    #[test]
    fn a_fork_goes_its_own_way() {
        let mut seed = Seed::new(7);
        let mut fork = seed.fork();
        assert_ne!(fork.next(), seed.next());
    }
}
