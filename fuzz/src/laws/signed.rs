//! Laws of what is signed: segments, fork proofs, certificates and device statements.
//!
//! What the fuzzer made is signed anew, so that the checks behind the signature see it; then every
//! thing that a signature covers is edited once, and nobody may believe the result.

use std::collections::BTreeSet;

use thistle_engine::account::{
    CertificateFault, Devices, Standing, verify_certificate, verify_statement,
};
use thistle_engine::codec::head_len;
use thistle_engine::content::{Carry, Content, DeviceStatement, Verb};
use thistle_engine::entry::{ChainHasher, EntryId, Header, Stub, window};
use thistle_engine::fork::{Chain, ForkProof, VerifiedFork};
use thistle_engine::key::{Context, FeedId};
use thistle_engine::segment::{self, Body, Item, Reject, UnverifiedSegment};

use super::{RING, key_for, number_of, one_encoding};

// ---- Segments ----

/// Segments: read, verified, signed anew, and edited.
pub(super) fn segment(bytes: &[u8]) {
    one_encoding(bytes, |bytes| UnverifiedSegment::decode(bytes).ok().map(|it| it.encode()));
    let Ok(segment) = UnverifiedSegment::decode(bytes) else { return };
    let items: u64 = segment.items.iter().map(Item::encoded_len).sum();
    let link = if segment.prev.is_some() { 34 } else { 1 };
    let around = 36 + head_len(segment.first_seq) + link + head_len(segment.items.len() as u64);
    assert_eq!(around + items + 66, bytes.len() as u64, "the length of items");
    check(&segment);
    let key = key_for(&segment.feed);
    let certificate = certified(&segment, &key.feed());
    let mended = mended(segment, certificate.as_deref());
    let (first, last) = (mended.first_seq, mended.last_seq());
    let due = if last > window(first).1 {
        Err(Reject::CrossesWindow { first, last })
    } else if first == 1 && certificate.is_none() {
        Err(Reject::BadCertificate)
    } else {
        Ok(())
    };
    assert_eq!(verify(&mended), due);
    if due.is_ok() {
        check(&mended);
        refuse_edits(&mended);
    }
}

/// The segment as the owner of the feed that stands in for its own would send it.
fn mended<'a>(
    segment: UnverifiedSegment<'a>,
    certificate: Option<&'a [u8]>,
) -> UnverifiedSegment<'a> {
    let mut mended = UnverifiedSegment { feed: key_for(&segment.feed).feed(), ..segment };
    if let (Some(payload), Some(first)) = (certificate, mended.items.first_mut()) {
        first.body = Body::Here(payload);
    }
    sign(&mut mended);
    mended
}

/// The bytes of a segment, signed anew.
pub(super) fn signed_anew(bytes: &[u8]) -> Option<Vec<u8>> {
    let segment = UnverifiedSegment::decode(bytes).ok()?;
    let certificate = certified(&segment, &key_for(&segment.feed).feed());
    Some(mended(segment, certificate.as_deref()).encode())
}

fn verify(segment: &UnverifiedSegment<'_>) -> Result<(), Reject> {
    segment.clone().verify(&mut ChainHasher::default()).map(drop)
}

/// Signs a segment as the owner of its feed would.
fn sign(segment: &mut UnverifiedSegment<'_>) {
    let last = segment.rebuild(&mut ChainHasher::default()).last().map(|entry| entry.id);
    let last = last.unwrap_or(EntryId::from_bytes([0; 32]));
    segment.signature = segment::sign(key_for(&segment.feed), &last);
}

/// If a segment is verified, its entries are what their headers say.
fn check(segment: &UnverifiedSegment<'_>) {
    let Ok(found) = segment.clone().verify(&mut ChainHasher::default()) else { return };
    assert_eq!((found.feed, found.first_seq), (segment.feed, segment.first_seq));
    assert_eq!(found.entries.len(), segment.items.len());
    assert_eq!(found.last_seq(), segment.last_seq());
    assert_eq!(found.origin.is_some(), segment.first_seq == 1);
    let mut prev = segment.prev;
    for (seq, entry) in (segment.first_seq..).zip(&found.entries) {
        assert_eq!(entry.id, Header::new(segment.feed, seq, prev, entry.stub).id());
        assert!(entry.payload.is_none_or(|payload| entry.stub.fits(payload) && !entry.follows));
        prev = Some(entry.id);
    }
}

/// The payload of entry 1 with a signature that is right, if it is a certificate at all.
fn certified(segment: &UnverifiedSegment<'_>, feed: &FeedId) -> Option<Vec<u8>> {
    let first = segment.items.first().filter(|_| segment.first_seq == 1)?;
    let Body::Here(payload) = first.body else { return None };
    let content = Content::decode(payload).ok().filter(|_| first.ttl == 0)?;
    Some(certify(feed, &content)?.encode())
}

/// A certificate or a successor's, with a signature for `feed`.
fn certify(feed: &FeedId, content: &Content) -> Option<Content> {
    match content {
        Content::Certificate(found) => {
            let pick = usize::from(found.account.as_bytes()[0]) % RING.accounts.len();
            Some(Content::Certificate(RING.accounts[pick].certify(feed, found.carry)))
        }
        Content::Successor(found) => {
            let old = key_for(&found.retired);
            let made = thistle_engine::account::succeed(old, feed, found.carry, found.account);
            (old.feed() != *feed).then_some(Content::Successor(made))
        }
        _ => None,
    }
}

/// Edits everything that the signature covers, one thing at a time.
fn refuse_edits(good: &UnverifiedSegment<'_>) {
    let at = number_of(&good.signature) % good.items.len();
    let edit = |what: &str, edit: &dyn Fn(&mut UnverifiedSegment<'_>)| {
        let mut edited = good.clone();
        edit(&mut edited);
        assert!(&edited == good || verify(&edited).is_err(), "{what} is not signed");
    };
    edit("the place", &|it| it.first_seq += 1);
    edit("the number of entries", &|it| it.items.truncate(it.items.len() - 1));
    edit("the order of entries", &|it| it.items.reverse());
    edit("the lifetime", &|it| it.items[at].ttl ^= 1);
    edit("the key", &|it| {
        let other = RING.devices.iter().find(|key| key.feed() != it.feed);
        it.feed = other.map_or(it.feed, thistle_engine::key::SecretKey::feed);
    });
    edit("the signature", &|it| it.signature[0] ^= 1);
    if let Some(prev) = good.prev {
        let other = EntryId::from_bytes(prev.as_bytes().map(|byte| !byte));
        edit("the link", &|it| it.prev = Some(other));
    }
    let mut payload = Vec::new();
    if let Body::Here(bytes) = good.items[at].body {
        payload = bytes.to_vec();
    }
    match payload.last_mut() {
        Some(byte) => *byte ^= 1,
        None => payload.push(0),
    }
    let mut edited = good.clone();
    edited.items[at].body = match edited.items[at].body {
        Body::Here(_) => Body::Here(&payload),
        Body::Detached { size, payload_hash, follows } => {
            Body::Detached { size: size ^ 1, payload_hash, follows }
        }
    };
    assert!(verify(&edited).is_err(), "the payload is not signed");
    // Age and the word that a payload follows are the carrier's; nothing of them is signed.
    let mut free = good.clone();
    for item in free.items.iter_mut().filter(|item| item.ttl > 0) {
        item.age ^= 1;
    }
    assert_eq!(verify(&free), Ok(()), "an age is signed");
}

// ---- Fork proofs ----

/// Fork proofs: read, signed anew, and compared with what the two chains show.
pub(super) fn fork(bytes: &[u8]) {
    one_encoding(bytes, |bytes| ForkProof::decode(bytes).ok().map(|it| it.encode()));
    let Ok(mut proof) = ForkProof::decode(bytes) else { return };
    if let Ok(found) = proof.clone().verify() {
        assert_eq!(found.bytes(), bytes);
    }
    let key = key_for(&proof.feed);
    proof.feed = key.feed();
    let ids = [ids(&proof.feed, &proof.chain_a), ids(&proof.feed, &proof.chain_b)];
    for (chain, ids) in [&mut proof.chain_a, &mut proof.chain_b].into_iter().zip(&ids) {
        let Some((_, last)) = ids.last() else { return };
        chain.signature = key.sign(Context::Entry, last.as_bytes());
    }
    let due = contradiction(&proof, &ids);
    let (a, b) = (proof.chain_a.clone(), proof.chain_b.clone());
    let made = ForkProof::from_chains(proof.feed, a.clone(), b.clone());
    assert_eq!(made.as_ref().map(VerifiedFork::fork_seq), due);
    assert_eq!(ForkProof::from_chains(proof.feed, b, a), made, "the order of the chains counts");
    if let Some(fork) = &made {
        let read = ForkProof::decode(fork.bytes()).map(ForkProof::verify);
        assert_eq!(read, Ok(Ok(fork.clone())));
        assert!(fork.branches()[0] < fork.branches()[1]);
    }
    let Ok(found) = proof.clone().verify() else { return };
    assert_eq!(found.bytes(), proof.encode());
    assert_eq!(made.map(|fork| *fork.branches()), Some(*found.branches()));
    let edits: [fn(&mut ForkProof); 5] = [
        |it| it.chain_a.signature[0] ^= 1,
        |it| it.chain_b.signature[7] ^= 1,
        |it| it.chain_a.stubs[0].ttl ^= 1,
        |it| it.chain_b.stubs[0].payload_hash[31] ^= 1,
        |it| it.chain_b.first_seq += 1,
    ];
    for edit in edits {
        let mut edited = proof.clone();
        edit(&mut edited);
        assert!(edited.verify().is_err(), "an edited proof convinces");
    }
}

/// The places and ids of a chain's entries.
fn ids(feed: &FeedId, chain: &Chain) -> Vec<(u64, EntryId)> {
    let mut prev = chain.prev;
    let place = |(seq, stub): (u64, &Stub)| {
        let id = Header::new(*feed, seq, prev, *stub).id();
        prev = Some(id);
        (seq, id)
    };
    (chain.first_seq..).zip(&chain.stubs).map(place).collect()
}

/// The lowest place at which the two chains cannot both be one feed.
fn contradiction(proof: &ForkProof, ids: &[Vec<(u64, EntryId)>; 2]) -> Option<u64> {
    let [a, b] = ids;
    let differ = |(seq, id): &(u64, EntryId)| {
        b.iter().any(|other| other.0 == *seq && other.1 != *id).then_some(*seq)
    };
    let links = |before: &[(u64, EntryId)], behind: &Chain| {
        let (seq, id) = before.last()?;
        (seq + 1 == behind.first_seq && Some(*id) != behind.prev).then_some(behind.first_seq)
    };
    let overlap = a.iter().find_map(differ);
    overlap.or_else(|| links(a, &proof.chain_b)).or_else(|| links(b, &proof.chain_a))
}

// ---- Accounts ----

/// Certificates, the word of a retired feed, device statements, and their union.
pub(super) fn account(bytes: &[u8]) {
    union(bytes);
    let Ok(content) = Content::decode(bytes) else { return };
    let feed = RING.devices[number_of(bytes) % RING.devices.len()].feed();
    let other = RING.devices[(number_of(bytes) + 1) % RING.devices.len()].feed();
    let origin = verify_certificate(&feed, &content);
    let made = certify(&feed, &content);
    match (&content, made) {
        (Content::Certificate(_) | Content::Successor(_), Some(made)) => {
            let origin = verify_certificate(&feed, &made).expect("signed by its account");
            assert_eq!(origin.retired.is_some(), matches!(made, Content::Successor(_)));
            assert!(verify_certificate(&other, &made).is_err(), "a certificate of another feed");
            assert!(verify_certificate(&feed, &edited(&made)).is_err(), "who may carry it");
        }
        (Content::Certificate(_) | Content::Successor(_), None) => {}
        _ => assert_eq!(origin, Err(CertificateFault::NotACertificate)),
    }
    if let Content::Device(found) = &content {
        let account = &RING.accounts[usize::from(found.account.as_bytes()[0]) % 3];
        let made = match found.verb {
            Verb::Add => account.add(&found.feed),
            Verb::Revoke => account.revoke(&found.feed),
        };
        assert_eq!(verify_statement(&made), Ok(()));
        let verb = if made.verb == Verb::Add { Verb::Revoke } else { Verb::Add };
        assert!(verify_statement(&DeviceStatement { verb, ..made }).is_err());
        let feed = if made.feed == feed { other } else { feed };
        assert!(verify_statement(&DeviceStatement { feed, ..made }).is_err());
    }
}

/// The same certificate with another word about who may carry the feed.
fn edited(content: &Content) -> Content {
    let other = |carry| if carry == Carry::Open { Carry::Listed } else { Carry::Open };
    let mut content = content.clone();
    match &mut content {
        Content::Certificate(found) => found.carry = other(found.carry),
        Content::Successor(found) => found.carry = other(found.carry),
        _ => {}
    }
    content
}

/// Statements of two accounts, good and bad, in both orders and twice: one account's union.
fn union(bytes: &[u8]) {
    let account = *RING.accounts[0].id().as_bytes();
    let account = thistle_engine::key::AccountId::from_bytes(account);
    let feed = |byte: u8| FeedId::from_bytes([byte % 5; 32]);
    let (mut added, mut revoked) = (BTreeSet::new(), BTreeSet::new());
    let mut statements = Vec::new();
    for pair in bytes.chunks_exact(2).take(6) {
        let signer = &RING.accounts[usize::from(pair[0] & 1)];
        let adds = pair[0] & 2 == 0;
        let mut made =
            if adds { signer.add(&feed(pair[1])) } else { signer.revoke(&feed(pair[1])) };
        let spoilt = pair[0] & 4 != 0;
        made.signature[0] ^= u8::from(spoilt);
        let due = match (pair[0] & 1 == 0, spoilt) {
            (false, _) => Err(CertificateFault::OtherAccount),
            (true, true) => verify_statement(&made),
            (true, false) => {
                if adds {
                    added.insert(made.feed)
                } else {
                    revoked.insert(made.feed)
                };
                Ok(())
            }
        };
        assert!(!spoilt || due.is_err(), "a spoilt statement is believed");
        statements.push((made, due));
    }
    let mut unions = [Devices::new(account), Devices::new(account)];
    for (statement, due) in &statements {
        assert_eq!(unions[0].apply(statement).map(drop), *due);
    }
    for (statement, due) in statements.iter().rev().chain(&statements) {
        assert_eq!(unions[1].apply(statement).map(drop), *due);
    }
    assert_eq!(unions[0], unions[1], "the order of statements counts");
    for feed in (0..5).map(feed) {
        let due = match (revoked.contains(&feed), added.contains(&feed)) {
            (true, _) => Standing::Revoked,
            (false, true) => Standing::Added,
            (false, false) => Standing::Unknown,
        };
        assert_eq!(unions[0].stands(&feed), due);
    }
    assert!(unions[0].added().eq(added.difference(&revoked)));
}
