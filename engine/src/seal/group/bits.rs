//! Sets of small numbers, as long as their largest member asks for.

/// A set of small numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bits(Vec<u64>);

/// Numbers in a word.
const WORD: usize = 64;

impl Bits {
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    pub(super) fn word(&self, at: usize) -> u64 {
        self.0.get(at).copied().unwrap_or(0)
    }

    pub(super) fn words(&self) -> usize {
        self.0.len()
    }

    pub(super) fn has(&self, number: usize) -> bool {
        self.word(number / WORD) >> (number % WORD) & 1 == 1
    }

    pub(super) fn set(&mut self, number: usize) {
        let at = number / WORD;
        if self.0.len() <= at {
            self.0.resize(at.saturating_add(1), 0);
        }
        if let Some(word) = self.0.get_mut(at) {
            *word |= 1 << (number % WORD);
        }
    }

    pub(super) fn clear(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / WORD) {
            *word &= !(1 << (number % WORD));
        }
    }

    /// Takes in all of another set.
    pub(super) fn join(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    /// Keeps what is in another set too.
    pub(super) fn keep(&mut self, other: &Self) {
        for (at, word) in self.0.iter_mut().enumerate() {
            *word &= other.word(at);
        }
    }

    /// Leaves out what is in another set.
    pub(super) fn drop_all(&mut self, other: &Self) {
        for (word, less) in self.0.iter_mut().zip(&other.0) {
            *word &= !less;
        }
    }

    /// What both sets have.
    pub(super) fn common(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one & other).collect())
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(one, other)| one & other != 0)
    }

    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.0.iter().enumerate().all(|(at, word)| word & !other.word(at) == 0)
    }

    /// The numbers, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(at, word)| numbers(at, *word))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
}

impl FromIterator<usize> for Bits {
    fn from_iter<I: IntoIterator<Item = usize>>(numbers: I) -> Self {
        let mut bits = Self::default();
        for number in numbers {
            bits.set(number);
        }
        bits
    }
}

/// The numbers in one word of a set.
pub(super) fn numbers(at: usize, word: u64) -> impl Iterator<Item = usize> {
    let mut left = word;
    std::iter::from_fn(move || {
        let low = (left != 0).then_some(left.trailing_zeros() as usize)?;
        left &= left.saturating_sub(1);
        Some(at * WORD + low)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_different_lengths_go_together() {
        let of = |numbers: &[usize]| numbers.iter().copied().collect::<Bits>();
        let (small, large) = (of(&[0, 63]), of(&[0, 64, 200]));
        assert!(small.has(63) && !small.has(200) && large.has(200));
        assert!(small.meets(&large) && !of(&[1]).meets(&large));
        assert!(
            of(&[0]).is_within(&large) && !large.is_within(&small) && of(&[]).is_within(&small)
        );
        assert_eq!(large.common(&small).iter().collect::<Vec<_>>(), [0]);
        let mut all = small.clone();
        all.join(&large);
        assert_eq!(all.iter().collect::<Vec<_>>(), [0, 63, 64, 200]);
        all.drop_all(&small);
        assert_eq!(all.iter().collect::<Vec<_>>(), [64, 200]);
        all.keep(&of(&[64]));
        all.clear(700);
        assert_eq!(all.iter().collect::<Vec<_>>(), [64]);
        all.clear(64);
        assert!(all.is_empty());
    }
}
