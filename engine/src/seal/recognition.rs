//! By what two who share a secret recognise each other in a session, while to anybody else it is
//! random bytes.
//!
//! A tag is bound to the session, to who says it to whom, and to the side of the link: so none can be
//! said again elsewhere, or back to who said it. A greeting always has as many, most of them random.

use crate::key::{AccountId, Context, Digest, FeedId, Noise, Seed, keyed, short_of};
use crate::limits::RECOGNITION_TAGS;

/// What is said to be recognised.
pub type Tag = [u8; 8];

/// Where a tag stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// In the greeting of who dialled.
    Opener,
    /// In the greeting of who was dialled.
    Responder,
    /// In a state: the answer to who was recognised.
    Answer {
        /// Whether who dialled answers.
        opener: bool,
    },
}

impl Says {
    const fn code(self) -> u8 {
        match self {
            Self::Opener => 0,
            Self::Responder => 1,
            Self::Answer { opener: true } => 2,
            Self::Answer { opener: false } => 3,
        }
    }
}

/// By what one of two who share a secret shows it to the other.
pub fn recognition_secret(secret: &Seed, from: &AccountId, to: &AccountId) -> Seed {
    secret.derive(Context::Recognition, &[*from.as_bytes(), *to.as_bytes()].concat())
}

/// By what those who may carry a feed show it.
pub fn carrier_secret(secret: &Seed, feed: &FeedId) -> Seed {
    secret.derive(Context::Recognition, feed.as_bytes())
}

/// The tag of a secret in one session.
pub fn tag(secret: &Seed, session: &Digest, says: Says) -> Tag {
    short_of(&keyed(secret.expose(), &[&session[..], &[says.code()]].concat()))
}

/// The tags of a greeting: those that are given, at places that nobody can foresee, among random
/// bytes. There is room for [`RECOGNITION_TAGS`].
pub fn greeting_tags(tags: &[Tag], noise: &Seed) -> Vec<u8> {
    let mut noise = Noise::new(noise);
    let mut slots = vec![Tag::default(); usize::try_from(RECOGNITION_TAGS).unwrap_or(0)];
    for slot in &mut slots {
        noise.fill(slot);
    }
    for (slot, tag) in slots.iter_mut().zip(tags) {
        *slot = *tag;
    }
    for last in (1..slots.len()).rev() {
        let other = noise.below(last as u64 + 1);
        slots.swap(last, usize::try_from(other).unwrap_or(last));
    }
    slots.concat()
}

/// Which of the tags that are looked for are there. It takes as long whatever is found: every tag is
/// compared with every other.
pub fn found(there: &[u8], wanted: &[Tag]) -> Vec<bool> {
    let (there, _) = there.as_chunks::<8>();
    let there: Vec<u64> = there.iter().map(|tag| u64::from_ne_bytes(*tag)).collect();
    let is_there = |wanted: &Tag| {
        let wanted = u64::from_ne_bytes(*wanted);
        // Zero, and only zero, has no bit in itself or in its negative.
        let differs = |tag: &u64| (tag ^ wanted | (tag ^ wanted).wrapping_neg()) >> 63;
        there.iter().fold(0, |hit, tag| hit | (differs(tag) ^ 1)) == 1
    };
    wanted.iter().map(is_there).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> [AccountId; 3] {
        [1, 2, 3].map(|n| AccountId::from_bytes([n; 32]))
    }

    #[test]
    fn a_tag_is_of_one_session_one_direction_and_one_side() {
        let ([ana, bo, cy], secret) = (ids(), Seed::new([7; 32]));
        let of = |from, to, session, says| {
            tag(&recognition_secret(&secret, from, to), &[session; 32], says)
        };
        let mut all = vec![
            of(&ana, &bo, 1, Says::Opener),
            of(&ana, &bo, 1, Says::Responder),
            of(&ana, &bo, 1, Says::Answer { opener: true }),
            of(&ana, &bo, 1, Says::Answer { opener: false }),
            of(&bo, &ana, 1, Says::Opener),
            of(&ana, &cy, 1, Says::Opener),
            of(&ana, &bo, 2, Says::Opener),
            tag(&carrier_secret(&secret, &FeedId::from_bytes([1; 32])), &[1; 32], Says::Opener),
        ];
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn a_greeting_has_as_many_tags_whatever_they_are_and_none_twice_at_a_place() {
        let many: Vec<Tag> = (0..200_u64).map(u64::to_be_bytes).collect();
        let mut places = std::collections::BTreeSet::new();
        for count in [0, 1, 5, 128, 200] {
            for seed in 0..20 {
                let bytes = greeting_tags(&many[..count], &Seed::new([seed; 32]));
                assert_eq!(bytes.len(), 1_024);
                let there = found(&bytes, &many);
                let placed = there.iter().filter(|there| **there).count();
                assert_eq!(placed, count.min(128));
                assert!(there[..placed].iter().all(|there| *there));
                if count == 1 {
                    places.insert(bytes.chunks(8).position(|tag| tag == many[0]));
                }
            }
        }
        assert!(places.len() > 12, "the place is not foreseen: {places:?}");
    }
}
