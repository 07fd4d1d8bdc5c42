//! Ids as people see them: bech32m text (BIP-350) that says what it names and detects mistyping.
//!
//! A feed is `feed1...`, an account `acct1...`, an entry `entry1...`, the key of a node's links
//! `node1...`, each with 52 characters of id and six of checksum. People may also give the beginning of one; that becomes a span of ids,
//! and whoever holds the ids says whether exactly one lies in it.
//!
//! No id of any kind is looked up here, and whether a feed's or account's key is a usable one
//! shows only when a signature is checked.

use std::fmt;
use std::iter;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, ByteIterExt, Fe32, Fe32IterExt, Hrp};

use crate::key::{AccountId, FeedId};

/// Characters after the `1`: what holds 256 bits, and the checksum.
const DATA_CHARS: usize = ID_CHARS + 6;
/// Characters that hold 256 bits.
const ID_CHARS: usize = 52;
/// Characters of a short id.
const SHORT_CHARS: usize = 8;
/// Fewest characters that are taken as the beginning of an id.
const LEAST_CHARS: usize = 4;

/// What an id can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// A feed.
    Feed,
    /// An account.
    Account,
    /// An entry.
    Entry,
    /// A node, by the key of its links.
    Node,
}

impl IdKind {
    const ALL: [Self; 4] = [Self::Feed, Self::Account, Self::Entry, Self::Node];

    /// The word before the `1`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Account => "acct",
            Self::Entry => "entry",
            Self::Node => "node",
        }
    }
}

impl fmt::Display for IdKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Feed => "a feed",
            Self::Account => "an account",
            Self::Entry => "an entry",
            Self::Node => "a node",
        })
    }
}

/// Why text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdFault {
    /// There is no `1` behind a word.
    #[error("not an id")]
    NotAnId,
    /// The word before the `1` is none of ours.
    #[error("an id of something else than a feed, an account, an entry or a node")]
    UnknownKind,
    /// A sound id of another kind than is wanted here.
    #[error("the id of {found} where that of {wanted} is due")]
    WrongKind {
        /// What is wanted.
        wanted: IdKind,
        /// What the id names.
        found: IdKind,
    },
    /// Both upper and lower case.
    #[error("upper and lower case are mixed")]
    MixedCase,
    /// A character that no id has.
    #[error("character {at}, `{}`, is in no id", found.escape_debug())]
    WrongCharacter {
        /// Its place in the text, from 1.
        at: usize,
        /// The character.
        found: char,
    },
    /// Too few or too many characters.
    #[error("{found} characters after the word where {expected} are due")]
    WrongLength {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// The checksum does not fit: something was mistyped.
    #[error("the checksum does not fit, so something is mistyped")]
    WrongChecksum,
}

/// What a whole id names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Id {
    /// A feed.
    Feed(FeedId),
    /// An account.
    Account(AccountId),
    /// An entry, by the bytes of its id.
    Entry([u8; 32]),
    /// A node, by the key of its links.
    Node([u8; 32]),
}

impl Id {
    /// Reads a whole id, in lower or upper case.
    pub fn parse(text: &str) -> Result<Self, IdFault> {
        Typed::new(text)?.whole()
    }

    /// What it names.
    pub const fn kind(&self) -> IdKind {
        match self {
            Self::Feed(_) => IdKind::Feed,
            Self::Account(_) => IdKind::Account,
            Self::Entry(_) => IdKind::Entry,
            Self::Node(_) => IdKind::Node,
        }
    }

    /// Its text.
    pub fn text(&self) -> String {
        match self {
            Self::Feed(feed) => encode(IdKind::Feed, feed.as_bytes()),
            Self::Account(account) => encode(IdKind::Account, account.as_bytes()),
            Self::Entry(entry) => encode(IdKind::Entry, entry),
            Self::Node(node) => encode(IdKind::Node, node),
        }
    }

    const fn new(kind: IdKind, bytes: [u8; 32]) -> Self {
        match kind {
            IdKind::Feed => Self::Feed(FeedId::from_bytes(bytes)),
            IdKind::Account => Self::Account(AccountId::from_bytes(bytes)),
            IdKind::Entry => Self::Entry(bytes),
            IdKind::Node => Self::Node(bytes),
        }
    }
}

/// What a person can give to name something: a whole id, or the beginning of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdQuery {
    /// A whole id.
    Whole(Id),
    /// All ids from `first` to `last`, both included.
    Span {
        /// What is named, where the word before the `1` was given.
        kind: Option<IdKind>,
        /// The lowest id that begins so.
        first: [u8; 32],
        /// The highest id that begins so.
        last: [u8; 32],
    },
}

impl IdQuery {
    /// Reads a whole id, or the first 4 or more characters of one, with or without its word.
    ///
    /// `wanted` is what the id is to name; an id that says something else is refused.
    pub fn parse(wanted: IdKind, text: &str) -> Result<Self, IdFault> {
        let typed = Typed::new(text)?;
        match typed.kind {
            Some(found) if found != wanted => Err(IdFault::WrongKind { wanted, found }),
            Some(_) if typed.data.len() >= DATA_CHARS => typed.whole().map(Self::Whole),
            _ => typed.span(),
        }
    }
}

/// The text of a feed's id.
pub fn feed_text(feed: &FeedId) -> String {
    Id::Feed(*feed).text()
}

/// The text of an account's id.
pub fn account_text(account: &AccountId) -> String {
    Id::Account(*account).text()
}

/// The text of an entry's id.
pub fn entry_text(entry: &[u8; 32]) -> String {
    Id::Entry(*entry).text()
}

/// The text of a node's key.
pub fn node_text(node: &[u8; 32]) -> String {
    Id::Node(*node).text()
}

/// The short form of an id's text: the first 8 characters after the `1`.
pub fn short(text: &str) -> &str {
    let data = text.split_once('1').map_or(text, |(_, data)| data);
    data.get(..SHORT_CHARS).unwrap_or(data)
}

/// Text in lower case whose characters are those of ids.
struct Typed {
    kind: Option<IdKind>,
    data: String,
}

impl Typed {
    fn new(text: &str) -> Result<Self, IdFault> {
        let text = text.trim();
        if text.contains(|c: char| c.is_ascii_uppercase())
            && text.contains(|c: char| c.is_ascii_lowercase())
        {
            return Err(IdFault::MixedCase);
        }
        let lower = text.to_ascii_lowercase();
        let (word, data) = match lower.split_once('1') {
            Some((word, data)) => (Some(word), data),
            None => (None, lower.as_str()),
        };
        let kind = match word {
            Some(word) => Some(kind_of(word).ok_or(IdFault::UnknownKind)?),
            None => None,
        };
        let before = word.map_or(0, |word| word.len().saturating_add(1));
        for (place, found) in data.chars().enumerate() {
            if Fe32::from_char(found).is_err() {
                // The word is ASCII, so its bytes are characters.
                let at = before.saturating_add(place).saturating_add(1);
                return Err(IdFault::WrongCharacter { at, found });
            }
        }
        Ok(Self { kind, data: data.to_owned() })
    }

    fn whole(&self) -> Result<Id, IdFault> {
        let kind = self.kind.ok_or(IdFault::NotAnId)?;
        self.expect_length(self.data.len() == DATA_CHARS, DATA_CHARS)?;
        let text = [kind.word(), "1", &self.data].concat();
        let checked = CheckedHrpstring::new::<Bech32m>(&text);
        let checked = checked.map_err(|_| IdFault::WrongChecksum)?;
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(checked.byte_iter()).for_each(|(slot, byte)| *slot = byte);
        // The last character of an id has bits to spare; only zeros are a text that we would write.
        let id = Id::new(kind, bytes);
        if id.text() == text { Ok(id) } else { Err(IdFault::WrongChecksum) }
    }

    fn span(&self) -> Result<IdQuery, IdFault> {
        self.expect_length(self.data.len() >= LEAST_CHARS, LEAST_CHARS)?;
        self.expect_length(self.data.len() <= DATA_CHARS, DATA_CHARS)?;
        let (first, last) = (self.filled_with(Fe32::Q), self.filled_with(Fe32::L));
        Ok(IdQuery::Span { kind: self.kind, first, last })
    }

    fn expect_length(&self, fits: bool, expected: usize) -> Result<(), IdFault> {
        let found = self.data.len();
        if fits { Ok(()) } else { Err(IdFault::WrongLength { found, expected }) }
    }

    /// The id that begins as typed and goes on with `rest` over and over.
    fn filled_with(&self, rest: Fe32) -> [u8; 32] {
        let typed = self.data.chars().filter_map(|c| Fe32::from_char(c).ok());
        let characters = typed.chain(iter::repeat(rest)).take(ID_CHARS);
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(characters.fes_to_bytes()).for_each(|(slot, byte)| *slot = byte);
        bytes
    }
}

/// The id of a group as people see it: `group1` and 58 characters.
pub fn group_text(group: &[u8; 32]) -> String {
    let hrp = Hrp::parse_unchecked("group");
    let text = group.iter().copied().bytes_to_fes().with_checksum::<Bech32m>(&hrp);
    text.chars().collect()
}

/// The word before the `1` of a contact card.
const CARD: &str = "card";
/// What a contact card begins with where it is a link.
const LINK: &str = "thistle:";

/// A contact card as people hand it on: a link, the bytes in the same text form as ids.
pub fn card_text(card: &[u8]) -> String {
    let hrp = Hrp::parse_unchecked(CARD);
    let text = card.iter().copied().bytes_to_fes().with_checksum::<Bech32m>(&hrp);
    format!("{LINK}{}", text.chars().collect::<String>())
}

/// The bytes of a contact card, with or without the word of the link, in lower or upper case.
pub fn parse_card(text: &str) -> Result<Vec<u8>, IdFault> {
    let text = text.trim();
    // Whoever hands a link on may write its first word in another case than the rest.
    let data = match text.split_at_checked(LINK.len()) {
        Some((word, data)) if word.eq_ignore_ascii_case(LINK) => data,
        _ => text,
    };
    if data.contains(|c: char| c.is_ascii_uppercase())
        && data.contains(|c: char| c.is_ascii_lowercase())
    {
        return Err(IdFault::MixedCase);
    }
    let data = data.to_ascii_lowercase();
    if data.split_once('1').is_none_or(|(word, _)| word != CARD) {
        return Err(IdFault::NotAnId);
    }
    let checked = CheckedHrpstring::new::<Bech32m>(&data).map_err(|_| IdFault::WrongChecksum)?;
    let card: Vec<u8> = checked.byte_iter().collect();
    // As of an id: only zeros in the bits to spare are a text that we would write.
    if card_text(&card).ends_with(&data) { Ok(card) } else { Err(IdFault::WrongChecksum) }
}

fn kind_of(word: &str) -> Option<IdKind> {
    IdKind::ALL.into_iter().find(|kind| kind.word() == word)
}

fn encode(kind: IdKind, bytes: &[u8; 32]) -> String {
    let hrp = Hrp::parse_unchecked(kind.word());
    bytes.iter().copied().bytes_to_fes().with_checksum::<Bech32m>(&hrp).chars().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEED: FeedId = FeedId::from_bytes([0xa5; 32]);

    #[test]
    fn every_id_is_read_back_in_either_case() {
        arbtest::arbtest(|u| {
            let bytes = u.arbitrary()?;
            for kind in IdKind::ALL {
                let id = Id::new(kind, bytes);
                let text = id.text();
                assert_eq!(Id::parse(&text), Ok(id));
                assert_eq!(Id::parse(&text.to_uppercase()), Ok(id));
                assert_eq!(Id::parse(&format!(" {text}\n")), Ok(id));
                assert_eq!(text.len(), kind.word().len() + 1 + DATA_CHARS);
                assert_eq!(id.kind(), kind);
            }
            Ok(())
        });
    }

    #[test]
    fn one_mistyped_character_is_noticed() {
        let text = feed_text(&FEED);
        for at in "feed1".len()..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'q' { b'p' } else { b'q' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert_eq!(Id::parse(&wrong), Err(IdFault::WrongChecksum), "{wrong}");
        }
    }

    #[test]
    fn a_text_that_we_would_not_write_is_refused() {
        let hrp = Hrp::parse_unchecked("feed");
        let mut characters: Vec<Fe32> = FEED.as_bytes().iter().copied().bytes_to_fes().collect();
        let last = characters.last_mut().unwrap();
        *last = Fe32::try_from(last.to_u8() | 1).unwrap();
        let padded: String =
            characters.into_iter().with_checksum::<Bech32m>(&hrp).chars().collect();
        assert_eq!(Id::parse(&padded), Err(IdFault::WrongChecksum));
        let old: String = FEED
            .as_bytes()
            .iter()
            .copied()
            .bytes_to_fes()
            .with_checksum::<bech32::Bech32>(&hrp)
            .chars()
            .collect();
        assert_eq!(Id::parse(&old), Err(IdFault::WrongChecksum), "BIP-173 is not BIP-350");
    }

    #[test]
    fn the_fault_tells_what_is_wrong() {
        let text = feed_text(&FEED);
        let cut = &text[..text.len() - 1];
        let expected = DATA_CHARS;
        for (text, fault) in [
            ("", IdFault::NotAnId),
            ("qqqq", IdFault::NotAnId),
            ("npub1qqqq", IdFault::UnknownKind),
            ("Feed1qqqq", IdFault::MixedCase),
            ("feed1qqbq", IdFault::WrongCharacter { at: 8, found: 'b' }),
            ("feed1q1qq", IdFault::WrongCharacter { at: 7, found: '1' }),
            ("feed1qé", IdFault::WrongCharacter { at: 7, found: 'é' }),
            (cut, IdFault::WrongLength { found: 57, expected }),
            (&format!("{text}q"), IdFault::WrongLength { found: 59, expected }),
            (&text.replace("feed", "acct"), IdFault::WrongChecksum),
        ] {
            assert_eq!(Id::parse(text), Err(fault), "{text}");
        }
        let (wanted, found) = (IdKind::Account, IdKind::Feed);
        let refused = IdQuery::parse(wanted, &text);
        assert_eq!(refused, Err(IdFault::WrongKind { wanted, found }));
        let said = refused.unwrap_err().to_string();
        assert_eq!(said, "the id of a feed where that of an account is due");
    }

    #[test]
    fn a_beginning_spans_the_ids_that_begin_so() {
        arbtest::arbtest(|u| {
            let (bytes, other): ([u8; 32], [u8; 32]) = (u.arbitrary()?, u.arbitrary()?);
            let text = entry_text(&bytes);
            let data = text.strip_prefix("entry1").unwrap();
            let typed = &data[..u.int_in_range(LEAST_CHARS..=DATA_CHARS - 1)?];
            let with_word = u.arbitrary()?;
            let asked = if with_word { format!("entry1{typed}") } else { typed.to_owned() };
            let query = IdQuery::parse(IdKind::Entry, &asked).unwrap();
            let IdQuery::Span { kind, first, last } = query else { panic!("{query:?}") };
            assert_eq!(kind.is_some(), with_word);
            assert!((first..=last).contains(&bytes), "{asked}");
            let begins_so = entry_text(&other)[6..][..ID_CHARS].starts_with(typed);
            assert_eq!((first..=last).contains(&other), begins_so && typed.len() <= ID_CHARS);
            Ok(())
        });
    }

    #[test]
    fn a_query_takes_whole_ids_and_no_crumbs() {
        let text = feed_text(&FEED);
        let found = IdQuery::parse(IdKind::Feed, &text);
        assert_eq!(found, Ok(IdQuery::Whole(Id::Feed(FEED))));
        let found = IdQuery::parse(IdKind::Feed, short(&text));
        assert!(matches!(found, Ok(IdQuery::Span { kind: None, .. })), "{found:?}");
        let crumbs = IdFault::WrongLength { found: 3, expected: LEAST_CHARS };
        assert_eq!(IdQuery::parse(IdKind::Feed, "feed1qqq"), Err(crumbs));
        assert_eq!(IdQuery::parse(IdKind::Feed, "qqq"), Err(crumbs));
    }

    #[test]
    fn a_short_id_is_the_first_eight_characters() {
        assert_eq!(short("feed1qpzry9x8gf2tvdw0"), "qpzry9x8");
        assert_eq!((short("feed1qp"), short("x"), short("feed1ééééé")), ("qp", "x", "éééé"));
    }

    #[test]
    fn text_never_panics() {
        arbtest::arbtest(|u| {
            let text: String = u.arbitrary()?;
            for text in [text.clone(), format!("feed1{text}")] {
                assert!(Id::parse(&text).is_err());
                let _: bool = IdQuery::parse(IdKind::Feed, &text).is_ok();
                assert!(short(&text).len() <= text.len());
            }
            Ok(())
        });
    }
}
