//! Proof that one feed went on in two ways, which its author could only do by writing twice.
//!
//! A proof is two short chains of headers, each signed at its end. Either both begin at the same
//! seq with different headers, or the second begins right behind the first and does not link to
//! it. The lowest seq at which the two differ is the fork's; of two proofs for one feed the one
//! with the lower seq is worth keeping.
//!
//! A proof needs nothing that is held: it convinces on its own. What to do about a forked feed is
//! decided elsewhere.

use std::cmp::Ordering;

use crate::codec::{DecodeError, Decoder, Encoder};
use crate::entry::{ChainHasher, EntryId, Header, Stub, decode_prev, decode_seq, decode_stub};
use crate::key::{Context, FeedId, KeyFault, Signature, Verifier};
use crate::limits::{FORK_CHAIN, SEQ_END};

/// Version of the format of fork proofs.
const VERSION: u64 = 1;

/// Consecutive headers of one feed, without what each shares with the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Place of the first header.
    pub first_seq: u64,
    /// What the first header links to; nothing at seq 1 and only there.
    pub prev: Option<EntryId>,
    /// The headers.
    pub stubs: Vec<Stub>,
    /// The signature of the last one.
    pub signature: Signature,
}

/// Two chains that are said to prove a fork; nothing of it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkProof {
    /// Whose feed it is.
    pub feed: FeedId,
    /// The chain with the lower first id, or the one that the other does not link to.
    pub chain_a: Chain,
    /// The other chain.
    pub chain_b: Chain,
}

/// Why two chains prove no fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForkFault {
    /// Nothing in them contradicts.
    #[error("the chains do not contradict each other")]
    NoFork,
    /// They contradict each other but stand in the wrong order.
    #[error("the chains are in the wrong order")]
    WrongOrder,
    /// The key or a signature is bad.
    #[error(transparent)]
    Key(#[from] KeyFault),
}

/// A fork that is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedFork {
    feed: FeedId,
    fork_seq: u64,
    branches: [(u64, EntryId); 2],
    bytes: Vec<u8>,
}

impl VerifiedFork {
    /// The feed that forked.
    pub const fn feed(&self) -> &FeedId {
        &self.feed
    }

    /// The lowest seq at which the two chains are shown to differ.
    pub const fn fork_seq(&self) -> u64 {
        self.fork_seq
    }

    /// Seq and id of the entries that contradict each other.
    ///
    /// Both are at the fork's seq, or the first is the entry before it, to which the second does
    /// not link.
    pub const fn branches(&self) -> &[(u64, EntryId); 2] {
        &self.branches
    }

    /// The proof's one encoding.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl ForkProof {
    /// Reads a proof.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        let proof = Self::read(&mut decoder)?;
        decoder.finish()?;
        Ok(proof)
    }

    /// Reads a proof that stands inside something else.
    pub fn read(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        decoder.array_of("fork proof", 4)?;
        let version = decoder.uint("version", u64::MAX)?;
        if version != VERSION {
            return Err(DecodeError::UnsupportedVersion { found: version });
        }
        let feed = FeedId::from_bytes(decoder.fixed("feed")?);
        Ok(Self { feed, chain_a: Chain::read(decoder)?, chain_b: Chain::read(decoder)? })
    }

    /// Writes the proof's one encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.array(4).uint(VERSION).bytes(self.feed.as_bytes());
        self.chain_a.write(&mut encoder);
        self.chain_b.write(&mut encoder);
        encoder.into_bytes()
    }

    /// Checks the proof: both signatures first, then its shape.
    pub fn verify(self) -> Result<VerifiedFork, ForkFault> {
        let Self { feed, chain_a: a, chain_b: b } = &self;
        let (ids_a, ids_b) = (a.ids(feed), b.ids(feed));
        let ends = (ids_a.first(), ids_a.last(), ids_b.first(), ids_b.last());
        let (Some(first_a), Some(last_a), Some(first_b), Some(last_b)) = ends else {
            return Err(ForkFault::NoFork);
        };
        let verifier = Verifier::of_feed(feed)?;
        verifier.check(Context::Entry, last_a.as_bytes(), &a.signature)?;
        verifier.check(Context::Entry, last_b.as_bytes(), &b.signature)?;
        let branch_a = if a.first_seq == b.first_seq {
            match first_a.cmp(first_b) {
                Ordering::Less => (a.first_seq, *first_a),
                Ordering::Equal => return Err(ForkFault::NoFork),
                Ordering::Greater => return Err(ForkFault::WrongOrder),
            }
        } else if a.end() == b.first_seq {
            if b.prev == Some(*last_a) {
                return Err(ForkFault::NoFork);
            }
            (b.first_seq.saturating_sub(1), *last_a)
        } else if b.end() == a.first_seq && a.prev != Some(*last_b) {
            return Err(ForkFault::WrongOrder);
        } else {
            return Err(ForkFault::NoFork);
        };
        let branches = [branch_a, (b.first_seq, *first_b)];
        let (feed, fork_seq, bytes) = (*feed, b.first_seq, self.encode());
        Ok(VerifiedFork { feed, fork_seq, branches, bytes })
    }

    /// Makes the proof out of two signed chains of one feed, in any order.
    ///
    /// The chains may begin at different seqs and with equal headers: what is before the first
    /// difference is cut off. None if they do not contradict each other, if a signature is bad,
    /// or if either still has more than [`FORK_CHAIN`] headers; a chain needs only reach the first
    /// signed header behind the fork.
    pub fn from_chains(feed: FeedId, x: Chain, y: Chain) -> Option<VerifiedFork> {
        let (low, high) = if x.first_seq <= y.first_seq { (x, y) } else { (y, x) };
        let proof = if low.end() == high.first_seq {
            let only_last = low.stubs.len().checked_sub(1)?;
            Self { feed, chain_a: low.without(&feed, only_last)?, chain_b: high }
        } else {
            Self::at_first_difference(feed, low, high)?
        };
        // What others will check is checked here, limits included: a proof that this node cannot
        // read back would be worth nothing.
        Self::decode(&proof.encode()).ok()?.verify().ok()
    }

    fn at_first_difference(feed: FeedId, low: Chain, high: Chain) -> Option<Self> {
        let ahead = usize::try_from(high.first_seq.checked_sub(low.first_seq)?).ok()?;
        let low = low.without(&feed, ahead)?;
        let (low_ids, high_ids) = (low.ids(&feed), high.ids(&feed));
        let mut pairs = low_ids.iter().zip(&high_ids);
        let equal = pairs.position(|(low_id, high_id)| low_id != high_id)?;
        let in_order = low_ids.get(equal)? < high_ids.get(equal)?;
        let (low, high) = (low.without(&feed, equal)?, high.without(&feed, equal)?);
        let (chain_a, chain_b) = if in_order { (low, high) } else { (high, low) };
        Some(Self { feed, chain_a, chain_b })
    }
}

impl Chain {
    fn read(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        decoder.array_of("chain", 4)?;
        let first_seq = decode_seq(decoder, "first_seq")?;
        let prev = decode_prev(decoder, first_seq)?;
        let count = decoder.array("headers", FORK_CHAIN)?;
        if count == 0 {
            return Err(DecodeError::OutOfRange { field: "headers", found: 0 });
        }
        let last = first_seq.saturating_add(count).saturating_sub(1);
        if last >= SEQ_END {
            return Err(DecodeError::OverLimit { field: "seq", found: last, limit: SEQ_END - 1 });
        }
        let mut stubs = Vec::new();
        for _ in 0..count {
            decoder.array_of("header", 3)?;
            stubs.push(decode_stub(decoder)?);
        }
        Ok(Self { first_seq, prev, stubs, signature: decoder.fixed("signature")? })
    }

    fn write(&self, encoder: &mut Encoder) {
        encoder.array(4).uint(self.first_seq);
        encoder.bytes_or_null(self.prev.as_ref().map(|id| id.as_bytes().as_slice()));
        encoder.array(self.stubs.len() as u64);
        for Stub { ttl, size, payload_hash } in &self.stubs {
            encoder.array(3).uint(u64::from(*ttl)).uint(u64::from(*size)).bytes(payload_hash);
        }
        encoder.bytes(&self.signature);
    }

    /// The seq behind the last header.
    fn end(&self) -> u64 {
        self.first_seq.saturating_add(self.stubs.len() as u64)
    }

    /// The ids of the headers, in order.
    fn ids(&self, feed: &FeedId) -> Vec<EntryId> {
        let mut hasher = ChainHasher::default();
        let mut prev = self.prev;
        let mut ids = Vec::with_capacity(self.stubs.len());
        for (seq, stub) in (self.first_seq..).zip(&self.stubs) {
            let id = hasher.id(&Header::new(*feed, seq, prev, *stub));
            ids.push(id);
            prev = Some(id);
        }
        ids
    }

    /// The chain without its first `count` headers; none if nothing is left.
    fn without(mut self, feed: &FeedId, count: usize) -> Option<Self> {
        let Some(before) = count.checked_sub(1) else {
            return Some(self);
        };
        if count >= self.stubs.len() {
            return None;
        }
        self.prev = Some(*self.ids(feed).get(before)?);
        self.first_seq = self.first_seq.saturating_add(count as u64);
        self.stubs.drain(..count);
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use arbtest::arbitrary::Unstructured;

    use super::*;
    use crate::key::{SecretKey, Seed};

    fn key() -> SecretKey {
        SecretKey::from_seed(&Seed::new([7; 32]))
    }

    /// A chain of one entry for each byte, signed at its end.
    fn chain(first_seq: u64, prev: Option<EntryId>, said: &[u8]) -> Chain {
        let stubs = said.iter().map(|byte| Stub::of(0, &[*byte])).collect();
        let mut chain = Chain { first_seq, prev, stubs, signature: [0; 64] };
        if let Some(last) = chain.ids(&key().feed()).last() {
            chain.signature = key().sign(Context::Entry, last.as_bytes());
        }
        chain
    }

    fn id_of_last(chain: &Chain) -> EntryId {
        *chain.ids(&key().feed()).last().unwrap()
    }

    fn prove(x: &Chain, y: &Chain) -> Option<VerifiedFork> {
        ForkProof::from_chains(key().feed(), x.clone(), y.clone())
    }

    #[test]
    fn the_proof_begins_at_the_first_difference_whatever_the_order() {
        let (x, y) = (chain(1, None, b"abcXZ"), chain(1, None, b"abcY"));
        let fork = prove(&x, &y).unwrap();
        assert_eq!((*fork.feed(), fork.fork_seq()), (key().feed(), 4));
        assert_eq!(prove(&y, &x).as_ref(), Some(&fork));
        let [(seq_a, id_a), (seq_b, id_b)] = *fork.branches();
        assert!((seq_a, seq_b) == (4, 4) && id_a < id_b);
        let ids = [x.ids(&key().feed())[3], y.ids(&key().feed())[3]];
        assert!(ids.contains(&id_a) && ids.contains(&id_b));
        let proof = ForkProof::decode(fork.bytes()).unwrap();
        assert_eq!((proof.chain_a.first_seq, proof.chain_b.first_seq), (4, 4));
        assert_eq!(proof.verify(), Ok(fork));
    }

    #[test]
    fn chains_that_begin_apart_are_compared_where_they_overlap() {
        let whole = chain(1, None, b"abcXZ");
        let common = chain(1, None, b"ab");
        let part = chain(3, Some(id_of_last(&common)), b"cY");
        assert_eq!(prove(&whole, &part).unwrap().fork_seq(), 4);
        let other = chain(3, Some(EntryId::from_bytes([9; 32])), b"cXZ");
        assert_eq!(prove(&other, &whole).unwrap().fork_seq(), 3, "a prev is a difference");
    }

    #[test]
    fn a_chain_that_does_not_link_to_the_one_before_proves_a_fork_behind_it() {
        let before = chain(1, None, b"abc");
        let behind = chain(4, Some(EntryId::from_bytes([9; 32])), b"de");
        let fork = prove(&behind, &before).unwrap();
        assert_eq!((fork.fork_seq(), prove(&before, &behind).as_ref()), (4, Some(&fork)));
        let first = behind.ids(&key().feed())[0];
        assert_eq!(*fork.branches(), [(3, id_of_last(&before)), (4, first)]);
        let proof = ForkProof::decode(fork.bytes()).unwrap();
        assert_eq!(proof.chain_a.stubs.len(), 1, "one header is enough");
        let turned = ForkProof {
            feed: proof.feed,
            chain_a: proof.chain_b.clone(),
            chain_b: proof.chain_a.clone(),
        };
        assert_eq!(turned.verify(), Err(ForkFault::WrongOrder));
        let honest = chain(4, Some(id_of_last(&before)), b"de");
        assert_eq!(prove(&before, &honest), None);
    }

    #[test]
    fn chains_that_agree_or_do_not_touch_prove_nothing() {
        let short = chain(1, None, b"abc");
        let none = chain(1, None, b"");
        let far = chain(9, Some(EntryId::from_bytes([9; 32])), b"de");
        for other in [&short, &chain(1, None, b"abcde"), &none, &far] {
            assert_eq!(prove(&short, other), None, "{other:?}");
            assert_eq!(prove(other, &short), None, "{other:?}");
        }
        let proof = |chain_a: &Chain, chain_b: &Chain| ForkProof {
            feed: key().feed(),
            chain_a: chain_a.clone(),
            chain_b: chain_b.clone(),
        };
        for (a, b) in [(&short, &short), (&short, &far), (&far, &short), (&none, &short)] {
            assert_eq!(proof(a, b).verify(), Err(ForkFault::NoFork));
        }
        let behind = chain(4, Some(id_of_last(&short)), b"de");
        for (a, b) in [(&short, &behind), (&behind, &short)] {
            assert_eq!(proof(a, b).verify(), Err(ForkFault::NoFork));
        }
    }

    #[test]
    fn a_proof_stands_in_one_order_and_under_both_signatures() {
        let fork = prove(&chain(1, None, b"X"), &chain(1, None, b"Y")).unwrap();
        let proof = ForkProof::decode(fork.bytes()).unwrap();
        let ForkProof { feed, chain_a, chain_b } = proof.clone();
        let turned = ForkProof { feed, chain_a: chain_b, chain_b: chain_a };
        assert_eq!(turned.verify(), Err(ForkFault::WrongOrder));
        for forge in [
            |proof: &mut ForkProof| proof.chain_a.signature[0] ^= 1,
            |proof: &mut ForkProof| proof.chain_b.signature = proof.chain_a.signature,
        ] {
            let mut proof = proof.clone();
            forge(&mut proof);
            assert_eq!(proof.verify(), Err(ForkFault::Key(KeyFault::BadSignature)));
        }
        let [before, behind] = [
            chain(2, Some(EntryId::from_bytes([9; 32])), b"a"),
            chain(3, Some(EntryId::from_bytes([8; 32])), b"b"),
        ];
        let weak =
            ForkProof { feed: FeedId::from_bytes([0; 32]), chain_a: before, chain_b: behind };
        assert_eq!(weak.verify(), Err(ForkFault::Key(KeyFault::BadKey)));
    }

    #[test]
    fn a_chain_of_32_is_enough_and_of_33_too_long() {
        let y = chain(1, None, b"Y");
        assert!(prove(&chain(1, None, &[b'X'; 32]), &y).is_some());
        assert!(prove(&chain(1, None, &[b'X'; 33]), &y).is_none());
        let long = [&[b'a'; 40][..], b"X"].concat();
        let longer = [&[b'a'; 40][..], &[b'Y'; 32]].concat();
        let fork = prove(&chain(1, None, &long), &chain(1, None, &longer)).unwrap();
        assert_eq!(fork.fork_seq(), 41);
        let end = chain(SEQ_END - 1, Some(EntryId::from_bytes([9; 32])), b"XX");
        assert_eq!(prove(&end, &chain(SEQ_END - 1, end.prev, b"Y")), None, "seq over its limit");
    }

    #[test]
    fn any_two_histories_of_a_feed_prove_their_fork() {
        arbtest::arbtest(|u| {
            let history = |u: &mut Unstructured<'_>| {
                let count = u.int_in_range(1..=6)?;
                (0..count).map(|_| u.int_in_range(b'a'..=b'b')).collect::<Result<Vec<u8>, _>>()
            };
            let (x, y) = (history(u)?, history(u)?);
            let differ = x.iter().zip(&y).position(|(x, y)| x != y);
            let fork = prove(&chain(1, None, &x), &chain(1, None, &y));
            let expected = differ.map(|at| at as u64 + 1);
            assert_eq!(fork.as_ref().map(VerifiedFork::fork_seq), expected);
            if let Some(fork) = fork {
                let proof = ForkProof::decode(fork.bytes()).unwrap();
                assert_eq!(proof.encode(), fork.bytes());
            }
            Ok(())
        });
    }

    #[test]
    fn bytes_are_refused_or_have_one_encoding() {
        let fork = prove(&chain(1, None, b"aXX"), &chain(1, None, b"aY")).unwrap();
        arbtest::arbtest(|u| {
            let mut bytes = fork.bytes().to_vec();
            for _ in 0..u.int_in_range(0..=2)? {
                let at = u.choose_index(bytes.len())?;
                bytes[at] = u.arbitrary()?;
            }
            bytes.truncate(u.int_in_range(0..=bytes.len() * 4)?);
            if let Ok(proof) = ForkProof::decode(&bytes) {
                assert_eq!(proof.encode(), bytes);
                let is_same = bytes == fork.bytes();
                assert_eq!(proof.verify().is_ok(), is_same, "no byte of a proof is free");
            }
            let noise: Vec<u8> = u.arbitrary()?;
            assert!(ForkProof::decode(&noise).is_err());
            Ok(())
        });
    }
}
