//! Finds the feed or account that a person means by what was typed.
//!
//! People type names, and names are claimed by strangers: two can claim the same one, and one can
//! claim to be called like the beginning of another's id. So whatever fits more than one candidate
//! is refused with the list of them, and a name is printed with its id wherever the name alone
//! could mislead.
//!
//! This file refuses to choose: no candidate is better than another because it is a contact, or
//! came first.

use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization;

use crate::outcome::{CliError, Kind};
use crate::text;

/// The shortest beginning of an id that is taken for one.
const PREFIX_CHARS: usize = 4;

/// How many candidates an error lists.
const LISTED: usize = 8;

/// How many near misses a hint offers.
const OFFERED: usize = 3;

/// Something that a person can mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The whole text of its id, `feed1...` or `acct1...`.
    pub(crate) id: String,
    /// Its short id.
    pub(crate) short: String,
    /// Every name that it goes by.
    pub(crate) names: Vec<String>,
}

impl Candidate {
    /// Returns how an error names it: its id is always there, to be typed next.
    fn listed(&self) -> String {
        label(self.names.first().map_or("", String::as_str), &self.short, true)
    }

    fn has_name(&self, folded: &str) -> bool {
        self.names.iter().any(|name| fold(name) == folded)
    }

    /// Returns whether the id begins so, with or without its `feed1`.
    fn has_prefix(&self, typed: &str) -> bool {
        let bare = self.id.split_once('1').map_or(self.id.as_str(), |(_, bare)| bare);
        let typed_bare = match typed.split_once('1') {
            // Only a beginning of this kind of id is cut off: `acct1...` never finds a feed.
            Some((kind, rest)) if self.id.starts_with(kind) && !kind.is_empty() => rest,
            _ => typed,
        };
        typed_bare.len() >= PREFIX_CHARS && bare.starts_with(typed_bare)
    }
}

/// Returns the one candidate that `typed` means: its whole id, a beginning of its id, or a name
/// whatever its case.
///
/// `what` says in errors what is looked for: `feed`, `account`, `contact`.
pub(crate) fn pick<'a>(
    typed: &str,
    what: &str,
    candidates: &'a [Candidate],
) -> Result<&'a Candidate, CliError> {
    let folded = fold(typed);
    if let Some(exact) = candidates.iter().find(|candidate| candidate.id == folded) {
        return Ok(exact);
    }
    // Names and beginnings of ids count alike: else a name could be chosen to stand before
    // somebody's id.
    let fits =
        |candidate: &&Candidate| candidate.has_name(&folded) || candidate.has_prefix(&folded);
    let mut found: Vec<&Candidate> = candidates.iter().filter(fits).collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.dedup_by(|a, b| a.id == b.id);
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(nothing(typed, &folded, what, candidates)),
        several => Err(ambiguous(typed, what, several)),
    }
}

/// Returns how output names somebody: `Ana`, or `Ana (k3x9q2mf)` where the name alone could mean
/// another.
///
/// A name that itself ends in a bracket always gets its id, so that no name can bring a false one
/// along.
pub(crate) fn label(name: &str, short: &str, ambiguous: bool) -> String {
    let name = text::safe(name);
    if name.is_empty() {
        short.to_owned()
    } else if ambiguous || name.trim_end().ends_with([')', '）']) {
        format!("{name} ({short})")
    } else {
        name
    }
}

/// Returns for each name whether another one in the list equals it or looks like it.
///
/// The list holds one name for each feed or account; this is [`text::look_alike`] over all pairs,
/// without the pairs.
pub(crate) fn shared(names: &[&str]) -> Vec<bool> {
    let forms: Vec<[String; 2]> = names.iter().map(|name| text::likeness(name)).collect();
    let mut seen: [BTreeMap<&str, u32>; 2] = [BTreeMap::new(), BTreeMap::new()];
    for form in &forms {
        for (seen, form) in seen.iter_mut().zip(form) {
            *seen.entry(form).or_default() += 1;
        }
    }
    let twice = |form: &[String; 2]| {
        seen.iter().zip(form).any(|(seen, form)| seen.get(form.as_str()) > Some(&1))
    };
    forms.iter().map(twice).collect()
}

fn ambiguous(typed: &str, what: &str, several: &[&Candidate]) -> CliError {
    let mut error =
        CliError::new(Kind::Input, format!("`{typed}` could mean {} {what}s", several.len()));
    for candidate in several.iter().take(LISTED) {
        error = error.since(candidate.listed());
    }
    if several.len() > LISTED {
        error = error.since(format!("and {} more", several.len() - LISTED));
    }
    let shorts_differ = several.windows(2).all(|pair| pair[0].short != pair[1].short);
    error.hint(if shorts_differ {
        "type the id in the brackets"
    } else {
        "type more characters of the id"
    })
}

fn nothing(typed: &str, folded: &str, what: &str, candidates: &[Candidate]) -> CliError {
    let error =
        CliError::new(Kind::Input, format!("no {what} is called `{typed}`, and none has that id"));
    // Longer input is no slip of a finger, and comparing it with every name would take long.
    let near =
        if folded.len() > 2 * text::NAME_BYTES { Vec::new() } else { nearest(folded, candidates) };
    if !near.is_empty() {
        return error.hint(format!("did you mean {}?", near.join(" or ")));
    }
    let bare = folded.split_once('1').map_or(folded, |(_, bare)| bare);
    if bare.chars().count() < PREFIX_CHARS
        && candidates.iter().any(|one| one.id.starts_with(folded) || one.short.starts_with(bare))
    {
        return error.hint(format!("a shortened id needs at least {PREFIX_CHARS} characters"));
    }
    error
}

/// Returns the names a slip or two away, nearest first.
fn nearest(folded: &str, candidates: &[Candidate]) -> Vec<String> {
    let typed: Vec<char> = folded.chars().collect();
    let allowed = (typed.len() / 3).clamp(1, 3);
    let mut near: Vec<(usize, String)> = Vec::new();
    for candidate in candidates {
        for name in &candidate.names {
            let slips = slips(&typed, &fold(name).chars().collect::<Vec<_>>());
            if slips <= allowed {
                near.push((slips, label(name, &candidate.short, true)));
            }
        }
    }
    near.sort();
    near.dedup();
    near.into_iter().take(OFFERED).map(|(_, label)| label).collect()
}

/// Counts the slips between two words: a character too many, too few, another one, or two
/// neighbours swapped.
fn slips(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, &to) in b.iter().enumerate() {
            let mut least = (row[j] + usize::from(from != to)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && from == b[j - 1] && a[i - 1] == to {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

/// Returns a name or an id in the form in which they are compared.
fn fold(name: &str) -> String {
    // Composed again afterwards: lower case can come apart into a letter and a mark.
    name.trim().nfc().collect::<String>().to_lowercase().nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: &str, names: &[&str]) -> Candidate {
        let short = id.split_once('1').unwrap().1.chars().take(8).collect();
        Candidate {
            id: id.to_owned(),
            short,
            names: names.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    fn village() -> Vec<Candidate> {
        vec![
            candidate("feed1k3x9q2mfaaaa", &["Ana"]),
            candidate("feed1k3x9zzzzbbbb", &["Zoë", "the miller"]),
            candidate("feed1qqqq2222cccc", &["ana"]),
            candidate("feed1wwww3333dddd", &["Chidi"]),
            candidate("acct1wwww9999eeee", &["Bo"]),
            candidate("feed1feed1111ffff", &["k3x9z"]),
        ]
    }

    fn found(typed: &str) -> String {
        match pick(typed, "feed", &village()) {
            Ok(candidate) => candidate.id.clone(),
            Err(error) => {
                assert_eq!(error.kind, Kind::Input);
                [vec![error.message], error.because, error.hints].concat().join(" / ")
            }
        }
    }

    #[test]
    fn ids_beginnings_and_names_find_the_one() {
        for (typed, id) in [
            ("feed1k3x9q2mfaaaa", "feed1k3x9q2mfaaaa"),
            ("FEED1K3X9Q2MFAAAA", "feed1k3x9q2mfaaaa"),
            ("k3x9q", "feed1k3x9q2mfaaaa"),
            ("feed1k3x9q", "feed1k3x9q2mfaaaa"),
            ("qqqq", "feed1qqqq2222cccc"),
            ("acct1wwww", "acct1wwww9999eeee"),
            ("feed1wwww", "feed1wwww3333dddd"),
            ("feed1feed", "feed1feed1111ffff"),
            ("CHIDI", "feed1wwww3333dddd"),
            (" Zoe\u{308}", "feed1k3x9zzzzbbbb"),
            ("ZOË", "feed1k3x9zzzzbbbb"),
            ("The Miller", "feed1k3x9zzzzbbbb"),
        ] {
            assert_eq!(found(typed), id, "{typed}");
        }
    }

    #[test]
    fn what_fits_several_lists_them() {
        assert_eq!(
            found("ANA"),
            "`ANA` could mean 2 feeds / Ana (k3x9q2mf) / ana (qqqq2222) / type the id in the brackets"
        );
        assert_eq!(
            found("k3x9"),
            "`k3x9` could mean 2 feeds / Ana (k3x9q2mf) / Zoë (k3x9zzzz) / type the id in the brackets"
        );
        // One is called like the beginning of another's id.
        assert!(found("k3x9z").starts_with("`k3x9z` could mean 2 feeds"));
        assert!(found("wwww").starts_with("`wwww` could mean 2 feeds"));
        let crowd: Vec<Candidate> =
            (10..30).map(|n| candidate(&format!("feed1same{n}"), &[])).collect();
        let error = pick("same", "feed", &crowd).unwrap_err();
        assert_eq!(error.because.len(), LISTED + 1);
        assert_eq!(error.because[0], "same10");
        assert_eq!(error.because[LISTED], "and 12 more");
    }

    #[test]
    fn what_fits_none_offers_the_nearest_names() {
        assert_eq!(
            found("Chdii"),
            "no feed is called `Chdii`, and none has that id / did you mean Chidi (wwww3333)?"
        );
        assert!(found("Anna").ends_with("did you mean Ana (k3x9q2mf) or ana (qqqq2222)?"));
        assert!(found("qqq").ends_with("a shortened id needs at least 4 characters"));
        assert!(found("feed1qqq").ends_with("a shortened id needs at least 4 characters"));
        for typed in ["", "Somebody", "feed1", "feed1zzzz", &"x".repeat(100_000)] {
            assert!(found(typed).starts_with("no feed is called"), "{typed}");
        }
    }

    #[test]
    fn the_same_candidate_twice_is_one() {
        let ana = candidate("feed1k3x9q2mfaaaa", &["Ana", "k3x9"]);
        assert_eq!(pick("k3x9", "feed", &[ana.clone(), ana.clone()]), Ok(&ana));
    }

    #[test]
    fn labels_say_who_is_meant() {
        assert_eq!(label("Ana", "k3x9q2mf", false), "Ana");
        assert_eq!(label("Ana", "k3x9q2mf", true), "Ana (k3x9q2mf)");
        assert_eq!(label("", "k3x9q2mf", false), "k3x9q2mf");
        assert_eq!(label("A\u{1b}[2Jna\n", "k3x9q2mf", false), "Ana");
        assert_eq!(label("Ana (qqqq2222)", "k3x9q2mf", false), "Ana (qqqq2222) (k3x9q2mf)");
    }

    #[test]
    fn shared_names_are_those_that_look_alike() {
        let names = ["Ana", "Аna", "Bo", "ANA", "Zoë", "B0"];
        let shared = shared(&names);
        assert_eq!(shared, [true, true, true, true, false, true]);
        for (at, name) in names.iter().enumerate() {
            let pairs = names
                .iter()
                .enumerate()
                .any(|(other, with)| other != at && text::look_alike(name, with));
            assert_eq!(shared[at], pairs, "{name}");
        }
    }

    #[test]
    fn slips_are_counted() {
        for (a, b, expected) in [
            ("", "", 0),
            ("ana", "", 3),
            ("", "bo", 2),
            ("ana", "anna", 1),
            ("chidi", "cihdi", 1),
            ("bo", "ob", 1),
            ("kitten", "sitting", 3),
        ] {
            let chars = |word: &str| word.chars().collect::<Vec<_>>();
            assert_eq!(slips(&chars(a), &chars(b)), expected, "{a} {b}");
        }
    }
}
