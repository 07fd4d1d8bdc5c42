//! Laws of what people type: ids and recovery phrases.

use thistle_engine::account::{PHRASE_WORDS, Phrase, PhraseFault};
use thistle_engine::ids::{Id, IdKind, IdQuery, short};
use thistle_engine::key::{AccountId, FeedId, Seed};

use super::number_of;

const KINDS: [IdKind; 4] = [IdKind::Feed, IdKind::Account, IdKind::Entry, IdKind::Node];

/// 32 bytes out of any number of them.
fn filled(bytes: &[u8]) -> [u8; 32] {
    let mut full = [0; 32];
    full.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = *byte);
    full
}

/// Ids: as typed, and as written for the bytes of an id.
pub(super) fn id(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(id) = Id::parse(&text) {
        assert_eq!(id.text(), text.trim().to_lowercase());
    }
    for kind in KINDS {
        match IdQuery::parse(kind, &text) {
            Ok(IdQuery::Span { first, last, .. }) => assert!(first <= last),
            Ok(IdQuery::Whole(id)) => assert_eq!((Id::parse(&text), id.kind()), (Ok(id), kind)),
            Err(_) => {}
        }
    }
    assert!(short(&text).len() <= text.len());
    let (full, pick) = (filled(bytes), number_of(bytes));
    let id = match pick % 4 {
        0 => Id::Feed(FeedId::from_bytes(full)),
        1 => Id::Account(AccountId::from_bytes(full)),
        2 => Id::Entry(full),
        _ => Id::Node(full),
    };
    written(&id, &full, pick / 4);
}

/// A written id is read back in both cases, found by every beginning, and by no mistyping.
fn written(id: &Id, full: &[u8; 32], pick: usize) {
    let text = id.text();
    assert_eq!((Id::parse(&text), Id::parse(&text.to_uppercase())), (Ok(*id), Ok(*id)));
    let start = text.find('1').map_or(0, |at| at + 1);
    let mut wider = ([0; 32], [0xff; 32]);
    for end in start + 4..text.len() {
        let found = IdQuery::parse(id.kind(), &text[..end]);
        let Ok(IdQuery::Span { kind, first, last }) = found else {
            panic!("{found:?} for the first {end} characters of {text}");
        };
        assert_eq!(kind, Some(id.kind()));
        assert!(wider.0 <= first && first <= *full && *full <= last && last <= wider.1);
        wider = (first, last);
    }
    assert_eq!(wider, (*full, *full), "all of an id but its checksum says which it is");
    let letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let at = start + pick % (text.len() - start);
    let place = letters.find(&text[at..=at]).expect("a letter of ids") + 1 + pick / 64 % 31;
    let mut mistyped = text.clone();
    mistyped.replace_range(at..=at, &letters[place % 32..=place % 32]);
    assert!(Id::parse(&mistyped).is_err(), "{mistyped} is taken for {text}");
}

/// Recovery phrases: as typed, and as written for secret bytes.
pub(super) fn phrase(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let typed: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    match Phrase::parse(&text) {
        Ok(phrase) => assert_eq!(phrase.words(), typed),
        Err(PhraseFault::WordCount { found }) => {
            assert!(found == typed.len() && found != PHRASE_WORDS);
        }
        Err(PhraseFault::UnknownWord { position, nearest }) => {
            assert!((1..=PHRASE_WORDS).contains(&position) && nearest.len() <= 3);
            assert!(nearest.iter().all(|near| *near != typed[position - 1]));
        }
        Err(PhraseFault::Checksum) => assert_eq!(typed.len(), PHRASE_WORDS),
    }
    let phrase = Phrase::from_entropy(&Seed::new(filled(bytes)));
    let mut words = phrase.words();
    assert_eq!(words.len(), PHRASE_WORDS);
    assert_eq!(Phrase::parse(&words.join("\u{a0}\t")).as_ref(), Ok(&phrase));
    words.swap(0, 1 + number_of(bytes) % (PHRASE_WORDS - 1));
    if let Ok(other) = Phrase::parse(&words.join(" ")) {
        assert_eq!(other.words(), words);
    }
}
