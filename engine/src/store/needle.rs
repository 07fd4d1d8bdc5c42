//! Text that is looked for in any case, in as little more time as reading takes.
//!
//! Two texts are the same if their characters have the same lower case, one by one: whether a sigma
//! ends its word must not matter. So for each character of what is looked for it is known which
//! ones may stand in its place; the rarest of them is searched for by its last byte, and the others
//! are compared only around it.

use memchr::{memchr_iter, memchr2_iter, memchr3_iter, memmem};

/// Characters beyond the last one that has a lower case.
const LETTERS_END: u32 = 0x1_f000;
/// ASCII by how often it stands in texts: what is not here is rarer.
const FREQUENT: &[u8] = b" etaoinshrdlcumwfgypbvk.,01";
/// The one character whose lower case is two: an i and a dot.
const DOTTED: &str = "\u{130}";

/// Text that is looked for in any case.
pub(super) struct Needle {
    lower: String,
    /// For each character those that may stand in its place.
    places: Vec<Vec<String>>,
    /// Which of them is searched for.
    anchor: usize,
    /// The last bytes of those that may stand there.
    ends: Vec<u8>,
    /// Whether the dotted I could be part of it.
    dotted: bool,
}

impl Needle {
    pub(super) fn new(text: &str) -> Self {
        let lower: String = lower(text).collect();
        let places: Vec<Vec<String>> = lower.chars().map(|letter| alike(letter, &lower)).collect();
        let rarity = |places: &Vec<String>| {
            let letter = places.first().and_then(|place| place.bytes().last()).unwrap_or(0);
            let frequent = FREQUENT.iter().position(|byte| *byte == letter);
            // Of the letters of another script each is about as frequent as one in the middle.
            let own = if letter < 0x80 { FREQUENT.len() } else { FREQUENT.len() / 2 };
            frequent.unwrap_or(own)
        };
        let anchor = (0..places.len()).max_by_key(|at| places.get(*at).map_or(0, rarity));
        let anchor = anchor.unwrap_or(0);
        let ends = places.get(anchor).into_iter().flatten();
        let mut ends: Vec<u8> = ends.filter_map(|place| place.bytes().last()).collect();
        ends.sort_unstable();
        ends.dedup();
        let dotted = lower.contains(['i', '\u{307}']);
        Self { lower, places, anchor, ends, dotted }
    }

    /// Whether it occurs.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let dotted = self.dotted && memmem::find(text.as_bytes(), DOTTED.as_bytes()).is_some();
        if dotted || self.ends.len() > 3 {
            return lower(text).collect::<String>().contains(&self.lower);
        }
        self.lower.is_empty() || self.may_be_in(text.as_bytes())
    }

    /// Whether it can occur in the text that bytes hold somewhere: no means no.
    pub(super) fn may_be_in(&self, bytes: &[u8]) -> bool {
        if self.dotted && memmem::find(bytes, DOTTED.as_bytes()).is_some() {
            return true;
        }
        match *self.ends.as_slice() {
            [one] => memchr_iter(one, bytes).any(|at| self.is_at(bytes, at)),
            [one, two] => memchr2_iter(one, two, bytes).any(|at| self.is_at(bytes, at)),
            [one, two, three] => {
                memchr3_iter(one, two, three, bytes).any(|at| self.is_at(bytes, at))
            }
            _ => true,
        }
    }

    /// Whether it stands where the anchor's last byte is `at`.
    fn is_at(&self, bytes: &[u8], at: usize) -> bool {
        let (before, after) = self.places.split_at(self.anchor.saturating_add(1));
        let Some((mut left, mut right)) = bytes.split_at_checked(at.saturating_add(1)) else {
            return false;
        };
        for place in before.iter().rev() {
            let Some(found) = place.iter().find_map(|one| left.strip_suffix(one.as_bytes())) else {
                return false;
            };
            left = found;
        }
        for place in after {
            let Some(found) = place.iter().find_map(|one| right.strip_prefix(one.as_bytes()))
            else {
                return false;
            };
            right = found;
        }
        true
    }
}

/// The characters whose lower case is `letter`; itself first.
fn alike(letter: char, lower: &str) -> Vec<String> {
    let mut all = vec![letter.to_string()];
    if letter.is_ascii() {
        let upper = letter.to_ascii_uppercase();
        all.extend((upper != letter).then(|| upper.to_string()));
        // The sign for Kelvin is a K.
        all.extend((letter == 'k').then(|| "\u{212a}".to_owned()));
        return all;
    }
    debug_assert!(lower.contains(letter), "it is a letter of the text");
    let others = (0x80..LETTERS_END).filter_map(char::from_u32).filter(|other| *other != letter);
    all.extend(others.filter(|other| is_lower_case_of(*other, letter)).map(String::from));
    all
}

fn is_lower_case_of(other: char, letter: char) -> bool {
    let mut lower = other.to_lowercase();
    lower.next() == Some(letter) && lower.next().is_none()
}

fn lower(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arbtest::arbitrary::Unstructured;

    /// Letters with more than one lower or upper case, and neighbours of theirs in bytes.
    const LETTERS: [char; 24] = [
        'a', 'A', 'k', 'K', '\u{212a}', 'i', 'I', '\u{130}', '\u{307}', 'ß', 'ẞ', 'σ', 'ς', 'Σ',
        'å', '\u{212b}', 'ω', '\u{2126}', 'Д', 'д', 'ǆ', 'ǅ', ' ', '漢',
    ];

    #[test]
    fn it_finds_what_comparing_lower_cases_finds() {
        arbtest::arbtest(|u| {
            let word = |u: &mut Unstructured<'_>, most| {
                let count = u.int_in_range(0..=most)?;
                (0..count).map(|_| u.choose(&LETTERS).copied()).collect::<Result<String, _>>()
            };
            let (text, wanted) = (word(u, 12)?, word(u, 3)?);
            let needle = Needle::new(&wanted);
            let expected = lower(&text).collect::<String>().contains(&needle.lower);
            assert_eq!(needle.is_in(&text), expected, "{wanted:?} in {text:?}");
            assert!(!expected || needle.may_be_in(text.as_bytes()), "{wanted:?} in {text:?}");
            Ok(())
        })
        .budget_ms(1_000);
    }

    #[test]
    fn no_character_beyond_those_looked_at_has_a_lower_case_of_its_own() {
        let beyond = (LETTERS_END..=0x10_ffff).filter_map(char::from_u32);
        assert!(beyond.into_iter().all(|letter| letter.to_lowercase().eq([letter])));
        let two = (0..LETTERS_END).filter_map(char::from_u32);
        let two: String = two.filter(|letter| letter.to_lowercase().count() > 1).collect();
        assert_eq!(two, DOTTED);
        let ascii = (0x80..LETTERS_END).filter_map(char::from_u32);
        let ascii: String =
            ascii.filter(|letter| letter.to_lowercase().all(|lower| lower.is_ascii())).collect();
        assert_eq!(ascii, "\u{212a}", "only the sign for Kelvin is ASCII in lower case");
    }
}
