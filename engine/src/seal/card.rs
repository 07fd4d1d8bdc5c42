//! Contact cards: what a person hands over once, and what two contacts share from then on.
//!
//! A card is signed by the account and names the key for agreement; a feed and a name are hints, and
//! the feed has to prove by its own first entry whose it is. Whoever reads a card from a screen of the
//! person that stands there has verified it; by any other way both compare words.

use crate::account::{AccountKey, words_of};
use crate::codec::{DecodeError, Decoder, Encoder};
use crate::key::{
    AccountId, Context, Digest, FeedId, Hasher, KeyFault, Seed, Signature, Verifier, agree,
    agreement_key, derive, stretch,
};
use crate::limits::{CARD_BYTES, NAME_BYTES};

/// Version of a card.
const VERSION: u64 = 1;
/// Words that a card is compared by.
const WORDS: usize = 8;

/// Why bytes are no contact card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CardFault {
    /// They do not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The account's key or signature is wrong.
    #[error(transparent)]
    Key(#[from] KeyFault),
}

/// A contact card whose signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Whose card.
    pub account: AccountId,
    /// Counts the keys for agreement of this account; a later one replaces an earlier one.
    pub generation: u64,
    /// The account's key for agreement (X25519).
    pub agreement: [u8; 32],
    /// The account's signature over the above.
    pub signature: Signature,
    /// A feed of the person.
    pub feed: FeedId,
    /// How the person wants to be called.
    pub name: Option<String>,
}

impl Card {
    /// Makes a card, and the secret half of its key for agreement.
    pub fn issue(
        key: &AccountKey,
        generation: u64,
        feed: FeedId,
        name: Option<&str>,
    ) -> (Seed, Self) {
        let secret = key.agreement(generation);
        let (account, agreement) = (key.id(), agreement_key(&secret));
        let signature = key.sign_card(&Self::digest(&account, generation, &agreement));
        let name = name.map(str::to_owned);
        (secret, Self { account, generation, agreement, signature, feed, name })
    }

    /// What the account signs.
    pub fn digest(account: &AccountId, generation: u64, agreement: &[u8; 32]) -> Digest {
        let mut out = Encoder::new();
        out.array(3).bytes(account.as_bytes()).uint(generation).bytes(agreement);
        derive(Context::Card, out.as_bytes())
    }

    /// Writes the card.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(7).uint(VERSION).bytes(self.account.as_bytes()).uint(self.generation);
        out.bytes(&self.agreement).bytes(&self.signature).bytes(self.feed.as_bytes());
        match &self.name {
            Some(name) => out.text(name),
            None => out.null(),
        };
        out.into_bytes()
    }

    /// Reads a card, and checks its signature.
    pub fn decode(bytes: &[u8]) -> Result<Self, CardFault> {
        let found = bytes.len() as u64;
        if found > CARD_BYTES {
            return Err(DecodeError::OverLimit { field: "card", found, limit: CARD_BYTES }.into());
        }
        let card = Self::read(bytes)?;
        let digest = Self::digest(&card.account, card.generation, &card.agreement);
        Verifier::of_account(&card.account)?.check(Context::Card, &digest, &card.signature)?;
        Ok(card)
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut row = Decoder::new(bytes);
        row.array_of("card", 7)?;
        let found = row.uint("version", u64::MAX)?;
        if found != VERSION {
            return Err(DecodeError::UnsupportedVersion { found });
        }
        let card = Self {
            account: AccountId::from_bytes(row.fixed("account")?),
            generation: row.uint("generation", u64::from(u32::MAX))?,
            agreement: row.fixed("agreement")?,
            signature: row.fixed("signature")?,
            feed: FeedId::from_bytes(row.fixed("feed")?),
            name: if row.skip_null() { None } else { Some(read_name(&mut row)?) },
        };
        row.finish()?;
        Ok(card)
    }
}

fn read_name(row: &mut Decoder<'_>) -> Result<String, DecodeError> {
    match row.text("name", NAME_BYTES)? {
        "" => Err(DecodeError::OutOfRange { field: "name", found: 0 }),
        name => Ok(name.to_owned()),
    }
}

/// The words by which a card is compared: they take a while to compute, so that nobody tries many
/// keys until words look alike.
pub fn words(card: &Card) -> Vec<&'static str> {
    let digest = Card::digest(&card.account, card.generation, &card.agreement);
    words_of(&stretch(Context::Words, &digest), WORDS)
}

/// What two contacts share before anything was renewed; none if the other key gives nothing away.
pub fn contact_secret(
    secret: &Seed,
    mine: &AccountId,
    theirs: &AccountId,
    their_key: &[u8; 32],
) -> Option<Seed> {
    let shared = agree(secret, their_key)?;
    let my_key = agreement_key(secret);
    let mut both = [(mine.as_bytes(), &my_key), (theirs.as_bytes(), their_key)];
    both.sort_unstable();
    let mut hasher = Hasher::new(Context::ContactSecret);
    hasher.update(shared.expose());
    for (account, _) in both {
        hasher.update(account);
    }
    for (_, key) in both {
        hasher.update(key);
    }
    Some(Seed::new(hasher.finish()))
}

/// What two contacts share after one of them sent a share of its own.
#[must_use]
pub fn next_secret(secret: &Seed, share: &Seed) -> Seed {
    secret.derive(Context::ContactSecret, share.expose())
}

/// By what one of two who share a secret finds what the other one made for it, in sealed bundles.
pub fn carriage_secret(secret: &Seed, from: &AccountId, to: &AccountId) -> Seed {
    secret.derive(Context::Carriage, &[*from.as_bytes(), *to.as_bytes()].concat())
}

/// By what the audience of an epoch finds what its author made for it, in sealed bundles; `first` is the
/// first key of the epoch.
pub fn audience_secret(first: &Seed) -> Seed {
    first.derive(Context::Carriage, b"group")
}

/// The name of the conversation of two accounts, the same on both sides.
pub fn pair_of(one: &AccountId, other: &AccountId) -> Digest {
    let (low, high) = if one <= other { (one, other) } else { (other, one) };
    Hasher::new(Context::Pair).update(low.as_bytes()).update(high.as_bytes()).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Phrase;

    fn person(number: u8) -> (AccountKey, Seed, Card) {
        let key = AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new([number; 32])));
        let feed = FeedId::from_bytes([number; 32]);
        let (secret, card) = Card::issue(&key, 0, feed, Some("Ana"));
        (key, secret, card)
    }

    #[test]
    fn a_card_reads_back_and_nothing_of_it_can_be_changed() {
        let (.., card) = person(1);
        let bytes = card.encode();
        assert!(bytes.len() <= 181, "{}", bytes.len());
        assert_eq!(Card::decode(&bytes), Ok(card.clone()));
        let feed = bytes.len() - 4 - 34;
        for at in 0..feed {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            assert!(Card::decode(&wrong).is_err(), "{at}");
        }
        assert!(Card::decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(Card::decode(&[bytes, vec![0]].concat()).is_err());
        let (.., other) = person(2);
        let stolen = Card { agreement: other.agreement, ..card };
        assert_eq!(Card::decode(&stolen.encode()), Err(CardFault::Key(KeyFault::BadSignature)));
    }

    #[test]
    fn two_contacts_share_what_nobody_else_can_compute() {
        let ((_, a, ana), (_, b, bo), (_, c, _)) = (person(1), person(2), person(3));
        let ours = contact_secret(&a, &ana.account, &bo.account, &bo.agreement);
        assert!(ours.is_some());
        assert_eq!(ours, contact_secret(&b, &bo.account, &ana.account, &ana.agreement));
        assert_ne!(ours, contact_secret(&c, &ana.account, &bo.account, &bo.agreement));
        assert_ne!(ours, contact_secret(&a, &ana.account, &ana.account, &bo.agreement));
        assert_eq!(contact_secret(&a, &ana.account, &bo.account, &[0; 32]), None);
        assert_eq!(pair_of(&ana.account, &bo.account), pair_of(&bo.account, &ana.account));
    }

    #[test]
    fn the_words_of_two_cards_differ_and_a_name_changes_none() {
        let ((.., ana), (.., bo)) = (person(1), person(2));
        assert_eq!(words(&ana).len(), WORDS);
        assert_ne!(words(&ana), words(&bo));
        assert_eq!(words(&ana), words(&Card { name: None, ..ana.clone() }));
    }
}
