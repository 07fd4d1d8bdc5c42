//! Accounts: the recovery phrase, the key it makes, and what that key says about feeds.
//!
//! An account is a person. Its key exists only while it signs: it is made from 24 words when
//! needed and wiped when dropped. It says that a feed is the person's (certificate) and which
//! devices are and are not (device statements). A feed made without the phrase leans on the word
//! of the feed that it replaces, and counts as unconfirmed until the account adds it.
//!
//! This file decides what such statements are worth; their bytes are those of `content.rs`.

use std::collections::BTreeSet;
use std::fmt;
use std::mem;

use bip39::{Language, Mnemonic};
use zeroize::Zeroizing;

use crate::codec::Encoder;
use crate::content::{Carry, Certificate, Content, DeviceStatement, Successor, Verb};
use crate::key::{
    AccountId, Context, Digest, FeedId, KeyFault, SecretKey, Seed, Signature, Verifier, derive,
};

/// Words in a recovery phrase.
pub const PHRASE_WORDS: usize = 24;
/// Most words that are suggested for one that is unknown.
const SUGGESTIONS: usize = 3;
/// Most mistakes of typing between a word and a suggestion for it.
const SUGGESTED_WITHIN: usize = 2;

/// Why words are not a recovery phrase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PhraseFault {
    /// Too few or too many words.
    #[error("{found} words where {PHRASE_WORDS} are due")]
    WordCount {
        /// How many there are.
        found: usize,
    },
    /// A word that is not in the list.
    #[error("word {position} is not in the list of words")]
    UnknownWord {
        /// Which one, from 1.
        position: usize,
        /// Up to three words of the list that are much alike, the nearest first.
        nearest: Vec<&'static str>,
    },
    /// The words are of the list but do not belong together.
    #[error("these words do not belong together: one is wrong or out of place")]
    Checksum,
}

/// A recovery phrase; wiped when dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Phrase(Seed);

impl Phrase {
    /// The phrase for 32 secret bytes.
    pub fn from_entropy(entropy: &Seed) -> Self {
        Self(entropy.clone())
    }

    /// Reads 24 words, in any case, with any white space between them.
    pub fn parse(text: &str) -> Result<Self, PhraseFault> {
        let found = text.split_whitespace().count();
        if found != PHRASE_WORDS {
            return Err(PhraseFault::WordCount { found });
        }
        // Each word holds 11 bits: 256 of entropy and, at the end, 8 of checksum.
        let mut bits = 0_u32;
        let mut held = 0_u32;
        let mut bytes = Zeroizing::new([0_u8; 33]);
        let mut slots = bytes.iter_mut();
        for (place, word) in text.split_whitespace().enumerate() {
            let index = find_word(word).ok_or_else(|| PhraseFault::UnknownWord {
                position: place.saturating_add(1),
                nearest: nearest_words(word),
            })?;
            bits = bits << 11 | index;
            held += 11;
            while held >= 8 {
                held -= 8;
                if let Some(slot) = slots.next() {
                    *slot = (bits >> held & 0xff) as u8;
                }
            }
        }
        let [entropy @ .., _] = *bytes;
        let phrase = Self(Seed::new(entropy));
        // The checksum sits in the last word alone, so the phrase of the same bytes tells.
        let last = text.split_whitespace().next_back().and_then(find_word);
        let due = phrase.words().last().and_then(|word| find_word(word));
        if last == due { Ok(phrase) } else { Err(PhraseFault::Checksum) }
    }

    /// The 24 words, in order.
    #[expect(clippy::expect_used, reason = "a wrong phrase must never be written down")]
    pub fn words(&self) -> Vec<&'static str> {
        let mnemonic = Mnemonic::from_entropy(self.0.expose()).expect("32 bytes make 24 words");
        mnemonic.words().collect()
    }
}

impl fmt::Debug for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phrase(..)")
    }
}

/// Words that stand for the first bits of a digest, eleven for each.
pub fn words_of(digest: &Digest, count: usize) -> Vec<&'static str> {
    let list = Language::English.word_list();
    let bit = |at: usize| digest.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    let index =
        |word: usize| (0..11).fold(0, |sum, at| sum << 1 | usize::from(bit(word * 11 + at)));
    (0..count).filter_map(|word| list.get(index(word)).copied()).collect()
}

/// Finds a word of the list, in any case.
fn find_word(word: &str) -> Option<u32> {
    let list = Language::English.word_list();
    let compare = |listed: &&str| listed.bytes().cmp(word.bytes().map(|b| b.to_ascii_lowercase()));
    list.binary_search_by(compare).ok().and_then(|index| u32::try_from(index).ok())
}

/// Words of the list that `word` may have been meant to be.
fn nearest_words(word: &str) -> Vec<&'static str> {
    let word = word.to_lowercase();
    let list = Language::English.word_list();
    let mut near: Vec<(usize, &'static str)> = list
        .iter()
        .filter(|listed| listed.len().abs_diff(word.chars().count()) <= SUGGESTED_WITHIN)
        .map(|listed| (distance(listed, &word), *listed))
        .filter(|(distance, _)| *distance <= SUGGESTED_WITHIN)
        .collect();
    near.sort_unstable();
    near.into_iter().take(SUGGESTIONS).map(|(_, listed)| listed).collect()
}

/// Mistakes of typing (a character put in, left out, changed, two swapped) between two words.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let cell = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut left_before = None;
    for left in from.chars() {
        let mut row = vec![cell(&last, 0).saturating_add(1)];
        let mut right_before = None;
        for (column, &right) in to.iter().enumerate() {
            let next = column.saturating_add(1);
            let put_or_left_out = cell(&last, next).min(cell(&row, column)).saturating_add(1);
            let changed = cell(&last, column).saturating_add(usize::from(left != right));
            let mut least = put_or_left_out.min(changed);
            if left_before == Some(right) && right_before == Some(left) {
                let swapped = cell(&before_last, column.saturating_sub(1)).saturating_add(1);
                least = least.min(swapped);
            }
            row.push(least);
            right_before = Some(right);
        }
        before_last = mem::replace(&mut last, row);
        left_before = Some(left);
    }
    last.last().copied().unwrap_or(0)
}

/// The secret key of an account; wiped when dropped and never printed.
#[derive(Debug)]
pub struct AccountKey(SecretKey);

impl AccountKey {
    /// Makes the key that a phrase stands for.
    pub fn from_phrase(phrase: &Phrase) -> Self {
        Self(SecretKey::from_seed(&phrase.0.derive(Context::Account, &[])))
    }

    /// The account.
    pub fn id(&self) -> AccountId {
        self.0.account()
    }

    /// Certifies a feed: it is this account's, and may be carried so.
    pub fn certify(&self, feed: &FeedId, carry: Carry) -> Certificate {
        let signature = self.0.sign(Context::Certificate, &certificate_digest(feed, carry));
        Certificate { carry, account: self.id(), signature }
    }

    /// The account's secret key for agreement of a generation, to be kept by its devices.
    pub fn agreement(&self, generation: u64) -> Seed {
        self.0.to_seed().derive(Context::Agreement, &generation.to_be_bytes())
    }

    /// Signs what a contact card says.
    pub fn sign_card(&self, digest: &Digest) -> Signature {
        self.0.sign(Context::Card, digest)
    }

    /// States that a device belongs to the account.
    pub fn add(&self, feed: &FeedId) -> DeviceStatement {
        self.state(Verb::Add, feed)
    }

    /// States that a device does not belong to the account any more, for ever.
    pub fn revoke(&self, feed: &FeedId) -> DeviceStatement {
        self.state(Verb::Revoke, feed)
    }

    fn state(&self, verb: Verb, feed: &FeedId) -> DeviceStatement {
        let account = self.id();
        let signature = self.0.sign(Context::Device, &device_digest(&account, verb, feed));
        DeviceStatement { account, verb, feed: *feed, signature }
    }
}

/// Lets a retired feed name the one that goes on in its place, without the phrase.
pub fn succeed(old: &SecretKey, new: &FeedId, carry: Carry, account: AccountId) -> Successor {
    let signature = old.sign(Context::Successor, &successor_digest(new, carry, &account));
    Successor { carry, account, retired: old.feed(), signature }
}

/// Where a feed comes from, as its first entry proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Whose feed it is, or is said to be by the retired feed.
    pub account: AccountId,
    /// Who may carry it.
    pub carry: Carry,
    /// The feed whose word this is; the account has then still to confirm it, which
    /// a device statement `add` of this feed does that stands in the feed itself.
    pub retired: Option<FeedId>,
}

/// Why a certificate, a successor's or a device statement is worth nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// A first entry of another type.
    #[error("the first entry is no certificate")]
    NotACertificate,
    /// A feed that names itself as the one that it succeeds.
    #[error("a feed cannot succeed itself")]
    OwnSuccessor,
    /// A statement of another account than the one it is held for.
    #[error("a statement of another account")]
    OtherAccount,
    /// The key or the signature is bad.
    #[error(transparent)]
    Key(#[from] KeyFault),
}

/// Checks what stands in the first entry of `feed`.
pub fn verify_certificate(feed: &FeedId, content: &Content) -> Result<Origin, CertificateFault> {
    match content {
        Content::Certificate(Certificate { carry, account, signature }) => {
            let digest = certificate_digest(feed, *carry);
            Verifier::of_account(account)?.check(Context::Certificate, &digest, signature)?;
            Ok(Origin { account: *account, carry: *carry, retired: None })
        }
        Content::Successor(Successor { carry, account, retired, signature }) => {
            if retired == feed {
                return Err(CertificateFault::OwnSuccessor);
            }
            let digest = successor_digest(feed, *carry, account);
            Verifier::of_feed(retired)?.check(Context::Successor, &digest, signature)?;
            Ok(Origin { account: *account, carry: *carry, retired: Some(*retired) })
        }
        _ => Err(CertificateFault::NotACertificate),
    }
}

/// Checks that a device statement is its account's.
pub fn verify_statement(statement: &DeviceStatement) -> Result<(), CertificateFault> {
    let DeviceStatement { account, verb, feed, signature } = statement;
    let digest = device_digest(account, *verb, feed);
    Verifier::of_account(account)?.check(Context::Device, &digest, signature)?;
    Ok(())
}

/// How a device stands with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The account added it and has not revoked it.
    Added,
    /// The account revoked it.
    Revoked,
    /// The account has said nothing.
    Unknown,
}

/// The union of an account's device statements: their order is nothing, a revocation is for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Devices {
    account: AccountId,
    added: BTreeSet<FeedId>,
    revoked: BTreeSet<FeedId>,
}

impl Devices {
    /// An account of which no statement is known.
    pub const fn new(account: AccountId) -> Self {
        Self { account, added: BTreeSet::new(), revoked: BTreeSet::new() }
    }

    /// Takes a statement in, if it is the account's; whether it was news.
    pub fn apply(&mut self, statement: &DeviceStatement) -> Result<bool, CertificateFault> {
        if statement.account != self.account {
            return Err(CertificateFault::OtherAccount);
        }
        verify_statement(statement)?;
        let stated = match statement.verb {
            Verb::Add => &mut self.added,
            Verb::Revoke => &mut self.revoked,
        };
        Ok(stated.insert(statement.feed))
    }

    /// How a device stands.
    pub fn stands(&self, feed: &FeedId) -> Standing {
        if self.revoked.contains(feed) {
            Standing::Revoked
        } else if self.added.contains(feed) {
            Standing::Added
        } else {
            Standing::Unknown
        }
    }

    /// Whose devices they are.
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// The devices that belong to the account, in the order of their ids.
    pub fn added(&self) -> impl Iterator<Item = &FeedId> {
        self.added.difference(&self.revoked)
    }
}

fn certificate_digest(feed: &FeedId, carry: Carry) -> Digest {
    let mut encoder = Encoder::new();
    encoder.array(2).bytes(feed.as_bytes()).uint(carry.code());
    derive(Context::Certificate, &encoder.into_bytes())
}

fn successor_digest(feed: &FeedId, carry: Carry, account: &AccountId) -> Digest {
    let mut encoder = Encoder::new();
    encoder.array(3).bytes(feed.as_bytes()).uint(carry.code()).bytes(account.as_bytes());
    derive(Context::Successor, &encoder.into_bytes())
}

fn device_digest(account: &AccountId, verb: Verb, feed: &FeedId) -> Digest {
    let mut encoder = Encoder::new();
    encoder.array(3).bytes(account.as_bytes()).uint(verb.code()).bytes(feed.as_bytes());
    derive(Context::Device, &encoder.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARRIES: [Carry; 3] = [Carry::Open, Carry::Contacts, Carry::Listed];
    const BAD_SIGNATURE: CertificateFault = CertificateFault::Key(KeyFault::BadSignature);

    fn account(byte: u8) -> AccountKey {
        AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new([byte; 32])))
    }

    fn device(byte: u8) -> SecretKey {
        SecretKey::from_seed(&Seed::new([byte; 32]))
    }

    #[test]
    fn phrases_are_those_of_bip_39() {
        let abandon = [["abandon"; 23].join(" "), "art".to_owned()].join(" ");
        let legal = "legal winner thank year wave sausage worth useful legal winner thank year \
                     wave sausage worth useful legal winner thank year wave sausage worth title";
        let zoo = [["zoo"; 23].join(" "), "vote".to_owned()].join(" ");
        for (byte, text) in [(0x00, abandon.as_str()), (0x7f, legal), (0xff, &zoo)] {
            let phrase = Phrase::from_entropy(&Seed::new([byte; 32]));
            assert_eq!(phrase.words().join(" "), text);
            assert_eq!(Phrase::parse(text), Ok(phrase));
        }
    }

    #[test]
    fn a_phrase_is_read_back_in_any_case_and_spacing() {
        arbtest::arbtest(|u| {
            let phrase = Phrase::from_entropy(&Seed::new(u.arbitrary()?));
            let text = phrase.words().join(u.choose(&[" ", "\n", " \t\r\n", "\u{a0}"])?);
            let text = if u.arbitrary()? { text.to_uppercase() } else { text };
            assert_eq!(Phrase::parse(&format!(" {text}\n")), Ok(phrase));
            Ok(())
        });
    }

    #[test]
    fn a_changed_word_is_noticed_but_for_one_in_256() {
        let phrase = Phrase::from_entropy(&Seed::new([7; 32]));
        let words = phrase.words();
        let mut accepted = 0;
        for listed in Language::English.word_list() {
            let mut words = words.clone();
            words[11] = listed;
            accepted += usize::from(Phrase::parse(&words.join(" ")).is_ok());
        }
        assert!((2..20).contains(&accepted), "{accepted} of 2048, 8 are to be expected");
    }

    #[test]
    fn the_fault_tells_what_to_look_at() {
        let mut words = vec!["abandon"; 23];
        let found = PhraseFault::WordCount { found: 23 };
        assert_eq!(Phrase::parse(&words.join(" ")), Err(found));
        assert_eq!(Phrase::parse(""), Err(PhraseFault::WordCount { found: 0 }));
        words.push("abandon");
        assert_eq!(Phrase::parse(&words.join(" ")), Err(PhraseFault::Checksum));
        words[4] = "Leagl";
        let nearest = vec!["legal", "deal", "eagle"];
        let fault = Phrase::parse(&words.join(" ")).unwrap_err();
        assert_eq!(fault, PhraseFault::UnknownWord { position: 5, nearest });
        assert_eq!(fault.to_string(), "word 5 is not in the list of words");
        for nothing_like_it in ["éééééééé", "x".repeat(100_000).as_str(), "12345678"] {
            words[4] = nothing_like_it;
            let fault = Phrase::parse(&words.join(" ")).unwrap_err();
            assert_eq!(fault, PhraseFault::UnknownWord { position: 5, nearest: Vec::new() });
        }
    }

    #[test]
    fn the_distance_counts_mistakes_of_typing() {
        for (from, to, expected) in [
            ("kitten", "sitting", 3),
            ("zoo", "zoo", 0),
            ("zoo", "", 3),
            ("", "é", 1),
            ("art", "rat", 1),
            ("legal", "leagl", 1),
            ("abc", "cab", 2),
            ("abandon", "abandn", 1),
        ] {
            assert_eq!((distance(from, to), distance(to, from)), (expected, expected), "{from}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let phrase = Phrase::from_entropy(&Seed::new([0; 32]));
        let key = AccountKey::from_phrase(&phrase);
        assert_eq!(format!("{phrase:?} {key:?}"), "Phrase(..) AccountKey(SecretKey(..))");
    }

    #[test]
    fn the_account_key_is_derived_as_specified() {
        let entropy = [3; 32];
        let seed = Seed::new(derive(Context::Account, &entropy));
        let key = AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new(entropy)));
        assert_eq!(key.id(), SecretKey::from_seed(&seed).account());
    }

    #[test]
    fn a_certificate_holds_for_its_feed_and_carry_only() {
        let (account, feed, other) = (account(1), device(2).feed(), device(3).feed());
        for carry in CARRIES {
            let certificate = account.certify(&feed, carry);
            let content = Content::Certificate(certificate);
            let origin = Origin { account: account.id(), carry, retired: None };
            assert_eq!(verify_certificate(&feed, &content), Ok(origin));
            assert_eq!(verify_certificate(&other, &content), Err(BAD_SIGNATURE));
            for wrong in CARRIES.into_iter().filter(|wrong| *wrong != carry) {
                let content = Content::Certificate(Certificate { carry: wrong, ..certificate });
                assert_eq!(verify_certificate(&feed, &content), Err(BAD_SIGNATURE));
            }
        }
    }

    #[test]
    fn a_successor_has_the_word_of_the_retired_feed() {
        let (old, new, account) = (device(2), device(3).feed(), account(1).id());
        let successor = succeed(&old, &new, Carry::Contacts, account);
        let origin = Origin { account, carry: Carry::Contacts, retired: Some(old.feed()) };
        assert_eq!(verify_certificate(&new, &Content::Successor(successor)), Ok(origin));
        let stolen = AccountId::from_bytes(*device(9).feed().as_bytes());
        for wrong in [
            Successor { account: stolen, ..successor },
            Successor { carry: Carry::Open, ..successor },
            Successor { retired: device(4).feed(), ..successor },
        ] {
            let found = verify_certificate(&new, &Content::Successor(wrong));
            assert_eq!(found, Err(BAD_SIGNATURE));
        }
        let itself = Content::Successor(succeed(&old, &old.feed(), Carry::Open, account));
        let found = verify_certificate(&old.feed(), &itself);
        assert_eq!(found, Err(CertificateFault::OwnSuccessor));
    }

    #[test]
    fn nothing_else_certifies() {
        let (account, feed) = (account(1), device(2).feed());
        let found = verify_certificate(&feed, &Content::Device(account.add(&feed)));
        assert_eq!(found, Err(CertificateFault::NotACertificate));
        let weak = AccountId::from_bytes([0; 32]);
        let certificate = Certificate { account: weak, ..account.certify(&feed, Carry::Open) };
        let found = verify_certificate(&feed, &Content::Certificate(certificate));
        assert_eq!(found, Err(CertificateFault::Key(KeyFault::BadKey)));
    }

    #[test]
    fn a_revocation_wins_in_every_order() {
        let account = account(1);
        let feeds = [device(2).feed(), device(3).feed(), device(4).feed(), device(5).feed()];
        let mut statements = [
            account.add(&feeds[0]),
            account.add(&feeds[1]),
            account.add(&feeds[1]),
            account.revoke(&feeds[1]),
            account.revoke(&feeds[2]),
        ];
        arbtest::arbtest(|u| {
            for at in (1..statements.len()).rev() {
                statements.swap(at, u.int_in_range(0..=at)?);
            }
            let mut devices = Devices::new(account.id());
            for statement in statements.iter().chain(statements.first()) {
                devices.apply(statement).unwrap();
            }
            let standings = feeds.map(|feed| devices.stands(&feed));
            let (added, revoked) = (Standing::Added, Standing::Revoked);
            assert_eq!(standings, [added, revoked, revoked, Standing::Unknown]);
            assert_eq!(devices.added().collect::<Vec<_>>(), [&feeds[0]]);
            Ok(())
        });
    }

    #[test]
    fn a_statement_counts_for_its_account_only_and_is_news_once() {
        let (mine, theirs, feed) = (account(1), account(2), device(3).feed());
        let mut devices = Devices::new(mine.id());
        let found = devices.apply(&theirs.add(&feed));
        assert_eq!(found, Err(CertificateFault::OtherAccount));
        let forged = DeviceStatement { account: mine.id(), ..theirs.add(&feed) };
        assert_eq!(devices.apply(&forged), Err(BAD_SIGNATURE));
        let turned = DeviceStatement { verb: Verb::Revoke, ..mine.add(&feed) };
        assert_eq!(devices.apply(&turned), Err(BAD_SIGNATURE));
        assert_eq!(devices.stands(&feed), Standing::Unknown);
        assert_eq!(devices.apply(&mine.add(&feed)), Ok(true));
        assert_eq!(devices.apply(&mine.add(&feed)), Ok(false));
        assert_eq!(*devices.account(), mine.id());
    }
}
