//! The sealed bundle: a file in which whoever holds no secret of it sees random bytes alone.
//!
//! A salt, 512 slots and a body, padded to one of few sizes. A slot is found by a tag and opened by a
//! key, both made from a shared secret and the salt; it says where in the body a part stands and how
//! it is opened. A part for several readers stands there once and has a slot for each. All else is
//! random: slots that nobody has, the gaps between parts, the rest. So nobody learns how many parts
//! there are, for whom, or whether there is any; and a reader learns nothing of the others.
//!
//! A part is opened in chunks of 64 KiB, each under a key of its own made from the part's key and the
//! chunk's place, the last one marked: what was cut, changed or moved does not open, and what came
//! before it counts. What a part holds (a plain bundle) is not this file's business.
//!
//! Pure functions: nothing is read, written or drawn here. [`Writer`] asks for the text of one part
//! after the other and gives bytes to append; [`find`] takes the head of a file and gives the
//! [`Part`]s that are the reader's, each of which says which bytes of the file it needs next.

pub mod randomness;

use std::collections::{BTreeSet, VecDeque};

use zeroize::Zeroize;

use crate::key::{Context, Noise, SEAL_BYTES, Seed, open, seal};
use crate::limits::{BUNDLE_BYTES, BUNDLE_SECRETS, BUNDLE_SLOTS};

/// Bytes of text in a chunk; the last one of a part has less or as much.
pub const CHUNK_BYTES: usize = 65_536;
/// Bytes of the salt, with which a file begins.
const SALT_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// What a slot tells: the part's key, where it stands, its length, and that of the file.
const TOLD_BYTES: usize = 32 + 8 + 8 + 8;
const SLOT_BYTES: usize = TAG_BYTES + TOLD_BYTES + SEAL_BYTES;
const SLOTS: usize = 512;
/// Bytes of the salt and all slots.
pub const HEAD_BYTES: usize = SALT_BYTES + SLOTS * SLOT_BYTES;
const _: () = assert!(SLOTS as u64 == BUNDLE_SLOTS);

/// The sizes that a sealed bundle can have, smallest first: four to each doubling, from 256 KiB on.
pub fn sizes() -> impl Iterator<Item = u64> {
    let below = (16..38).flat_map(|shift| (4..8).map(move |quarter| quarter << shift));
    below.chain([BUNDLE_BYTES])
}

/// Whether a file of so many bytes can be a whole sealed bundle.
pub fn is_size(bytes: u64) -> bool {
    sizes().any(|size| size == bytes)
}

/// Bytes for parts, sealed, in a file of so many.
pub const fn room(size: u64) -> u64 {
    size.saturating_sub(HEAD_BYTES as u64)
}

/// Bytes that a part of so many takes in a file; none if there is no such part.
pub fn sealed_len(length: u64) -> Option<u64> {
    let chunks = length.div_ceil(CHUNK_BYTES as u64).max(1);
    length.checked_add(chunks.checked_mul(SEAL_BYTES as u64)?)
}

// ---- Writing ----

/// A part to be written.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'a> {
    /// Bytes of its text.
    pub length: u64,
    /// Who may read it; each of these secrets stands in one grant of a file only.
    pub secrets: &'a [Seed],
}

/// Why a bundle cannot be written as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanFault {
    /// More readers than slots.
    #[error("{found} readers are more than the {BUNDLE_SLOTS} that a sealed bundle has room for")]
    TooMany {
        /// How many.
        found: u64,
    },
    /// One secret was to open two slots.
    #[error("a reader stands in a sealed bundle twice")]
    Twice,
    /// More bytes than the largest bundle has.
    #[error("more than a sealed bundle has room for")]
    TooLarge,
}

/// The text that was given for a part is not what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a part of a sealed bundle changed its length while it was written")]
pub struct TextFault;

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many bytes of the text of a part, sealed: give them to [`Writer::seal`].
    Text {
        /// Which of the grants.
        part: usize,
        /// How many bytes.
        length: usize,
    },
    /// Nothing: the file is whole.
    End,
}

/// Puts a sealed bundle together, from its beginning to its end, in the memory of its head.
#[derive(Debug)]
pub struct Writer {
    size: u64,
    head: Option<Vec<u8>>,
    noise: Noise,
    runs: VecDeque<Run>,
}

/// What stands in the body, one after the other.
#[derive(Debug)]
enum Run {
    Noise(u64),
    Part(usize, Chunks),
}

impl Writer {
    /// Plans a file; `seed` is fresh and used for nothing else.
    pub fn new(grants: &[Grant<'_>], seed: &Seed) -> Result<Self, PlanFault> {
        let found: usize = grants.iter().map(|grant| grant.secrets.len()).sum();
        if found > SLOTS {
            return Err(PlanFault::TooMany { found: found as u64 });
        }
        let mut noise = Noise::new(&seed.derive(Context::BundleNoise, b""));
        let (size, places) = places(grants, &mut noise)?;
        let mut head = vec![0; HEAD_BYTES];
        noise.fill(&mut head);
        let salt = head.get(..SALT_BYTES).unwrap_or_default().to_vec();
        let mut slots = shuffled(SLOTS, &mut noise).into_iter();
        let mut tags = BTreeSet::new();
        let mut runs = VecDeque::new();
        let mut end = HEAD_BYTES as u64;
        for (part, offset, sealed) in places {
            let Some(grant) = grants.get(part) else { continue };
            let key = seed.derive(Context::BundlePart, &(part as u64).to_be_bytes());
            let told = Told { key, offset, length: grant.length, size };
            for (secret, slot) in grant.secrets.iter().zip(&mut slots) {
                if !tags.insert(tag(secret, &salt)) {
                    return Err(PlanFault::Twice);
                }
                let bytes = told.seal(secret, &salt, slot);
                let at = SALT_BYTES + slot * SLOT_BYTES;
                let into = head.iter_mut().skip(at);
                into.zip(bytes).for_each(|(to, from)| *to = from);
            }
            runs.push_back(Run::Noise(offset.saturating_sub(end)));
            runs.push_back(Run::Part(part, Chunks::new(told.key, grant.length)));
            end = offset.saturating_add(sealed);
        }
        runs.push_back(Run::Noise(size.saturating_sub(end)));
        Ok(Self { size, head: Some(head), noise, runs })
    }

    /// Bytes that the file will have.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What comes next. After a [`Next::Text`] it is again the same until [`seal`](Self::seal).
    pub fn poll(&mut self) -> Next {
        if let Some(head) = self.head.take() {
            return Next::Bytes(head);
        }
        loop {
            match self.runs.front_mut() {
                None => return Next::End,
                Some(Run::Noise(0)) => {}
                Some(Run::Noise(left)) => {
                    let mut bytes = vec![0; at_most_a_chunk(*left)];
                    *left -= bytes.len() as u64;
                    self.noise.fill(&mut bytes);
                    return Next::Bytes(bytes);
                }
                Some(Run::Part(part, chunks)) => {
                    if let Some(length) = chunks.wanted() {
                        return Next::Text { part: *part, length };
                    }
                }
            }
            self.runs.pop_front();
        }
    }

    /// Seals the text that was asked for; the result is appended to the file.
    pub fn seal(&mut self, text: &[u8]) -> Result<Vec<u8>, TextFault> {
        match self.runs.front_mut() {
            Some(Run::Part(_, chunks)) if chunks.wanted() == Some(text.len()) => {
                let (key, last) = chunks.advance();
                Ok(seal(key.expose(), &[u8::from(last)], text))
            }
            _ => Err(TextFault),
        }
    }
}

/// Where a part stands: its number, where it begins, how many bytes it takes.
type Stand = (usize, u64, u64);

/// The size of the file, and where each part stands, first ones first.
fn places(grants: &[Grant<'_>], noise: &mut Noise) -> Result<(u64, Vec<Stand>), PlanFault> {
    let sealed = |grant: &Grant<'_>| sealed_len(grant.length);
    let lengths: Vec<u64> =
        grants.iter().map(sealed).collect::<Option<_>>().ok_or(PlanFault::TooLarge)?;
    let needed = lengths.iter().try_fold(HEAD_BYTES as u64, |sum, length| sum.checked_add(*length));
    let needed = needed.ok_or(PlanFault::TooLarge)?;
    let size = sizes().find(|size| *size >= needed).ok_or(PlanFault::TooLarge)?;
    // What is left over is cut at random into the gaps before, between and behind the parts.
    let spare = size.saturating_sub(needed);
    let mut gaps: Vec<u64> = lengths.iter().map(|_| noise.below(spare.saturating_add(1))).collect();
    gaps.sort_unstable();
    let mut before = HEAD_BYTES as u64;
    let place = |(part, gap): (usize, u64)| {
        let length = lengths.get(part).copied().unwrap_or_default();
        let offset = before.saturating_add(gap);
        before = before.saturating_add(length);
        (part, offset, length)
    };
    Ok((size, shuffled(grants.len(), noise).into_iter().zip(gaps).map(place).collect()))
}

/// The numbers below `count` in an order that tells nothing.
fn shuffled(count: usize, noise: &mut Noise) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..count).collect();
    for left in (1..count).rev() {
        let chosen = usize::try_from(noise.below(left as u64 + 1)).unwrap_or_default();
        numbers.swap(left, chosen);
    }
    numbers
}

// ---- Reading ----

/// What a reader finds by its secrets in the head of a file.
#[derive(Debug, Default)]
pub struct Found {
    /// Its parts, in the order in which they stand.
    pub parts: Vec<Part>,
    /// Secrets, by their place in the list, that have a slot which does not open: it was changed.
    pub refused: Vec<usize>,
}

/// Looks for slots with each secret, as long for any file; those beyond [`BUNDLE_SECRETS`] are left
/// out. None: fewer bytes than [`HEAD_BYTES`].
pub fn find(head: &[u8], secrets: &[Seed]) -> Option<Found> {
    let (salt, slots) = head.get(..HEAD_BYTES)?.split_at_checked(SALT_BYTES)?;
    let slots: Vec<(&[u8], &[u8])> = slots
        .chunks_exact(SLOT_BYTES)
        .filter_map(|slot| slot.split_at_checked(TAG_BYTES))
        .collect();
    let mut by_tag: Vec<(&[u8], usize)> =
        slots.iter().enumerate().map(|(slot, (tag, _))| (*tag, slot)).collect();
    by_tag.sort_unstable();
    let mut found = Found::default();
    let limit = usize::try_from(BUNDLE_SECRETS).unwrap_or(usize::MAX);
    for (number, secret) in secrets.iter().enumerate().take(limit) {
        let tag = tag(secret, salt);
        let first = by_tag.partition_point(|(other, _)| *other < &tag[..]);
        let mut same = by_tag.iter().skip(first).take_while(|(other, _)| *other == tag).peekable();
        if same.peek().is_none() {
            continue;
        }
        let mut told =
            same.filter_map(|(_, slot)| Told::open(secret, salt, *slot, slots.get(*slot)?.1));
        match told.next() {
            Some(told) => found.add(number, told),
            None => found.refused.push(number),
        }
    }
    found.parts.sort_by_key(|part| part.offset);
    Some(found)
}

impl Found {
    fn add(&mut self, number: usize, told: Told) {
        let known = |part: &&mut Part| part.is(&told);
        if let Some(part) = self.parts.iter_mut().find(known) {
            part.secrets.push(number);
            return;
        }
        let Told { key, offset, length, size } = told;
        let chunks = Chunks::new(key, length);
        self.parts.push(Part { secrets: vec![number], size, offset, length, at: offset, chunks });
    }
}

/// Why the rest of a part is not read; what was opened before counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PartFault {
    /// The file ends inside the part.
    #[error("torn at byte {offset}")]
    Torn {
        /// Where the chunk begins that is not all there.
        offset: u64,
    },
    /// The bytes are not those that were written.
    #[error("damaged at byte {offset}")]
    Damaged {
        /// Where the chunk begins that does not open.
        offset: u64,
    },
}

/// Bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where they begin.
    pub offset: u64,
    /// How many there are.
    pub length: usize,
}

/// A part that is the reader's, being opened chunk by chunk.
#[derive(Debug, Clone)]
pub struct Part {
    secrets: Vec<usize>,
    size: u64,
    offset: u64,
    length: u64,
    /// Where the next chunk begins.
    at: u64,
    chunks: Chunks,
}

impl Part {
    /// The secrets that open it, by their places in the list.
    pub fn secrets(&self) -> &[usize] {
        &self.secrets
    }

    /// Bytes of its text.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Bytes that the whole file had when it was written.
    pub const fn file_size(&self) -> u64 {
        self.size
    }

    /// Which bytes of the file are needed next; none when the part is over or was refused.
    pub fn wanted(&self) -> Option<Extent> {
        let length = self.chunks.wanted()?.saturating_add(SEAL_BYTES);
        Some(Extent { offset: self.at, length })
    }

    /// Opens the bytes that were wanted; fewer mean that the file has no more.
    pub fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>, PartFault> {
        let offset = self.at;
        let due = self.wanted().map_or(0, |wanted| wanted.length);
        let (key, last) = self.chunks.advance();
        let text = open(key.expose(), &[u8::from(last)], sealed);
        self.at = offset.saturating_add(sealed.len() as u64);
        text.ok_or_else(|| {
            self.chunks.stop();
            if sealed.len() < due {
                PartFault::Torn { offset }
            } else {
                PartFault::Damaged { offset }
            }
        })
    }

    fn is(&self, told: &Told) -> bool {
        (self.offset, self.length, self.size) == (told.offset, told.length, told.size)
            && self.chunks.key == told.key
    }
}

// ---- What both share ----

/// What a slot tells its reader.
struct Told {
    key: Seed,
    offset: u64,
    length: u64,
    size: u64,
}

impl Told {
    fn seal(&self, secret: &Seed, salt: &[u8], slot: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(TOLD_BYTES);
        text.extend(self.key.expose());
        for number in [self.offset, self.length, self.size] {
            text.extend(number.to_be_bytes());
        }
        let key = secret.derive(Context::BundleSlot, salt);
        let sealed = seal(key.expose(), &associated(salt, slot), &text);
        text.zeroize();
        [&tag(secret, salt)[..], &sealed].concat()
    }

    fn open(secret: &Seed, salt: &[u8], slot: usize, sealed: &[u8]) -> Option<Self> {
        let key = secret.derive(Context::BundleSlot, salt);
        let mut text = open(key.expose(), &associated(salt, slot), sealed)?;
        let read = Self::read(&text);
        text.zeroize();
        read.filter(Self::fits)
    }

    fn read(text: &[u8]) -> Option<Self> {
        let (key, text) = text.split_first_chunk()?;
        let (offset, text) = text.split_first_chunk()?;
        let (length, size) = text.split_first_chunk()?;
        let number = |bytes: &[u8; 8]| u64::from_be_bytes(*bytes);
        let size = number(size.try_into().ok()?);
        Some(Self { key: Seed::new(*key), offset: number(offset), length: number(length), size })
    }

    /// Whether the part lies in the body of a file that may have that size.
    fn fits(&self) -> bool {
        let end = sealed_len(self.length).and_then(|sealed| self.offset.checked_add(sealed));
        is_size(self.size)
            && self.offset >= HEAD_BYTES as u64
            && end.is_some_and(|end| end <= self.size)
    }
}

/// The chunks of a part, one after the other.
#[derive(Debug, Clone)]
struct Chunks {
    key: Seed,
    /// Bytes of text that are left.
    left: u64,
    next: u64,
    over: bool,
}

impl Chunks {
    const fn new(key: Seed, length: u64) -> Self {
        Self { key, left: length, next: 0, over: false }
    }

    /// Bytes of text in the next chunk; a part without text has one empty chunk.
    fn wanted(&self) -> Option<usize> {
        (!self.over).then(|| at_most_a_chunk(self.left))
    }

    /// Goes past the next chunk: its key, and whether it is the last one.
    fn advance(&mut self) -> (Seed, bool) {
        let key = self.key.derive(Context::BundleChunk, &self.next.to_be_bytes());
        self.left = self.left.saturating_sub(CHUNK_BYTES as u64);
        self.next = self.next.saturating_add(1);
        self.over = self.left == 0;
        (key, self.over)
    }

    const fn stop(&mut self) {
        self.over = true;
    }
}

fn at_most_a_chunk(bytes: u64) -> usize {
    usize::try_from(bytes).map_or(CHUNK_BYTES, |bytes| bytes.min(CHUNK_BYTES))
}

fn tag(secret: &Seed, salt: &[u8]) -> [u8; TAG_BYTES] {
    let mut tag = [0; TAG_BYTES];
    let whole = secret.derive(Context::BundleTag, salt);
    tag.iter_mut().zip(whole.expose()).for_each(|(to, from)| *to = *from);
    tag
}

fn associated(salt: &[u8], slot: usize) -> Vec<u8> {
    [salt, &(slot as u64).to_be_bytes()].concat()
}

#[cfg(test)]
mod tests;
