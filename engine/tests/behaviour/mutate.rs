//! Where hostile bytes come from: a seeded die, the vectors, and ways to spoil them.

use std::panic::{AssertUnwindSafe, catch_unwind};

const FILES: [&str; 2] = [
    include_str!("../../../schemas/vectors/valid.json"),
    include_str!("../../../schemas/vectors/invalid.json"),
];
/// Longest vector that is spoilt over and over.
const CORPUS_BYTES: usize = 6_000;

/// Numbers from a seed: splitmix64.
#[derive(Debug, Default)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % (end as u64).max(1)).unwrap()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.roll().to_le_bytes()[0]
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    pub(crate) fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.byte()).collect()
    }

    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.below(at + 1));
        }
    }

    /// Cuts a file into pieces of random sizes.
    pub(crate) fn chunks<'a>(&mut self, mut file: &'a [u8]) -> Vec<&'a [u8]> {
        let usual = *self.pick(&[1, 3, 40, 900, 70_000]);
        let mut pieces = Vec::new();
        while !file.is_empty() {
            let (piece, rest) = file.split_at(file.len().min(1 + self.below(2 * usual)));
            pieces.push(piece);
            file = rest;
        }
        pieces
    }
}

/// Rolls the dice for each seed from 0; a failure says which seed replays it.
///
/// `THISTLE_SEED=n` tries that one, `THISTLE_LONG=1` twenty times as many.
pub(crate) fn each_seed(seeds: u64, property: impl Fn(&mut Dice)) {
    let run = |seed: u64| {
        let failed = catch_unwind(AssertUnwindSafe(|| property(&mut Dice(seed)))).is_err();
        assert!(!failed, "replay with THISTLE_SEED={seed}");
    };
    match setting("THISTLE_SEED") {
        Some(seed) => run(seed.parse().expect("THISTLE_SEED is a number")),
        None if setting("THISTLE_LONG").is_some() => (0..20 * seeds).for_each(run),
        None => (0..seeds).for_each(run),
    }
}

#[expect(clippy::disallowed_methods, reason = "a test is asked for its seed by the environment")]
pub(crate) fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The vectors of one kind, valid and invalid.
pub(crate) fn corpus(kind: &str) -> Vec<Vec<u8>> {
    FILES.into_iter().flat_map(|file| vectors(file, kind)).collect()
}

/// The valid vectors of one kind.
pub(crate) fn valid(kind: &str) -> Vec<Vec<u8>> {
    vectors(FILES[0], kind)
}

/// Whether bytes stand in an invalid vector and in no valid one: a signature that does was made by
/// the author over something that is wrong in another way, which the die may have mended.
pub(crate) fn is_of_invalid(kind: &str, bytes: &[u8]) -> bool {
    let stands_in = |file| {
        let mut all = vectors(file, kind).into_iter();
        all.any(|vector| vector.windows(bytes.len()).any(|part| part == bytes))
    };
    stands_in(FILES[1]) && !stands_in(FILES[0])
}

/// In these files every part of a vector has a line of its own, and the kind stands before the hex.
fn vectors(file: &str, wanted: &str) -> Vec<Vec<u8>> {
    let part = |line: &'static str, name: &str| -> Option<&'static str> {
        line.strip_prefix(&format!(" \"{name}\": \""))?.strip_suffix("\",")
    };
    let file: &'static str = if file == FILES[0] { FILES[0] } else { FILES[1] };
    let mut kind = "";
    let mut found = Vec::new();
    for line in file.lines() {
        kind = part(line, "kind").unwrap_or(kind);
        if let Some(hex) = part(line, "hex").filter(|_| kind == wanted) {
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            found.push((0..hex.len()).step_by(2).map(byte).collect());
        }
    }
    assert!(found.len() > 1, "no vectors of {wanted}");
    found.retain(|bytes: &Vec<u8>| bytes.len() <= CORPUS_BYTES);
    found
}

/// A vector as it is, spoilt in a few places, or bytes from nowhere.
pub(crate) fn hostile(dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
    if dice.one_in(12) {
        return dice.bytes(300);
    }
    let mut bytes = dice.pick(corpus).clone();
    for _ in 0..dice.below(4) {
        let other = dice.pick(corpus).clone();
        spoil(dice, &mut bytes, &other);
    }
    bytes
}

/// Spoils bytes in one of many ways.
pub(crate) fn spoil(dice: &mut Dice, bytes: &mut Vec<u8>, other: &[u8]) {
    // Heads of every type and width, and what means most to a reader of CBOR.
    const BYTES: [u8; 20] = [
        0x00, 0x01, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1f, 0x40, 0x58, 0x5f, 0x60, 0x80, 0x81, 0x98,
        0x9f, 0xa0, 0xf6, 0xf7, 0xff,
    ];
    let at = dice.below(bytes.len() + 1);
    let end = at + dice.below((bytes.len() - at).min(80) + 1);
    match dice.below(9) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.below(8);
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = dice.byte();
            }
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = *dice.pick(&BYTES);
            }
        }
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(at..end)),
        5 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        6 => {
            let from = dice.below(other.len() + 1);
            let to = from + dice.below((other.len() - from).min(80) + 1);
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        7 => {
            // A claim of a length or count that nothing stands behind.
            let mut bomb = vec![*dice.pick(&[0x5b, 0x7b, 0x9b, 0xbb, 0x1b])];
            bomb.extend((dice.roll() >> dice.below(64)).to_be_bytes());
            bytes.splice(at..at, bomb);
        }
        _ => {
            let depth = if dice.one_in(50) { 10_000 } else { dice.below(40) };
            bytes.splice(at..at, vec![*dice.pick(&[0x81, 0x82, 0x9f, 0xd8]); depth]);
        }
    }
}
