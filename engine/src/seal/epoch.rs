//! Epochs: a chain of one-time keys for one audience, and the slots that hand out its first key.
//!
//! Each message takes the next key of the chain, which forgets it. A message is sealed with all of its
//! place as associated data, so that it opens nowhere else; its tag comes from the same key, so that a
//! carrier cannot tell which messages share an audience. Texts are padded (Padmé, Nikitin et al.,
//! "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", 2019): at most an
//! eighth is added, and a length tells little.

use crate::codec::Encoder;
use crate::content::{NARROW, WIDE};
use crate::entry::EntryId;
use crate::key::{
    AccountId, Context, Digest, FeedId, Hasher, PrekeySecret, Seed, derive, lock, open, seal,
    short_of,
};
use crate::limits::LEAST_PADDED;

/// Marks the end of a text before its padding.
const END: u8 = 0x80;

/// Where a sealed thing stands: the entry's place in its feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Whose feed.
    pub feed: FeedId,
    /// The entry's seq.
    pub seq: u64,
    /// The entry before; a sealed thing is never first.
    pub prev: EntryId,
}

/// To whom and under which words a slot is locked.
#[derive(Debug, Clone, Copy)]
pub struct Slot<'a> {
    /// The author's account.
    pub author: &'a AccountId,
    /// The entry that the slot stands in.
    pub place: Place,
    /// The device that opens it.
    pub device: &'a FeedId,
    /// The short name of the device's prekey.
    pub prekey: [u8; 8],
    /// What binds the key to the audience.
    pub commit: &'a Digest,
}

impl Slot<'_> {
    /// The words under which the slot is locked.
    pub fn info(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(9).text("thistledown 1 slot").uint(1).bytes(self.author.as_bytes());
        out.bytes(self.place.feed.as_bytes()).uint(self.place.seq);
        out.bytes(self.place.prev.as_bytes()).bytes(self.device.as_bytes());
        out.bytes(&self.prekey).bytes(self.commit);
        out.into_bytes()
    }

    /// Locks an epoch's first key to a prekey; `seed` is fresh. None: the prekey is none.
    pub fn lock(&self, public: &[u8], key: &Seed, seed: &Seed) -> Option<Vec<u8>> {
        lock(public, &self.info(), key, seed)
    }

    /// Opens the slot, if it was locked to this key with these words.
    pub fn open(&self, prekey: &PrekeySecret, slot: &[u8]) -> Option<Seed> {
        prekey.open(&self.info(), slot)
    }
}

/// The short name of a prekey.
pub fn prekey_name(public: &[u8]) -> [u8; 8] {
    short_of(&derive(Context::Prekey, public))
}

/// Binds an epoch's first key to the audience that its first message names.
pub fn commit(key: &Seed, roster: &[u8]) -> Digest {
    let roster = derive(Context::Roster, roster);
    Hasher::new(Context::Commit).update(key.expose()).update(&roster).finish()
}

/// How many parts, of how many slots each, begin an epoch for so many devices.
pub const fn parts_for(devices: usize) -> (usize, usize) {
    if devices <= NARROW { (1, NARROW) } else { (devices.div_ceil(WIDE), WIDE) }
}

/// A place in an epoch's chain of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    key: Seed,
    index: u64,
}

impl Chain {
    /// The chain from a key that was taken at an index; the first is at 0.
    pub const fn at(key: Seed, index: u64) -> Self {
        Self { key, index }
    }

    /// The key here, to be kept.
    pub const fn key(&self) -> &Seed {
        &self.key
    }

    /// Of which message the next key is.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The tag of the message here.
    pub fn tag(&self) -> [u8; 8] {
        short_of(&derive(Context::Tag, self.key.expose()))
    }

    /// Takes the key of the message here, and moves on.
    #[must_use]
    pub fn take(&mut self) -> Seed {
        let taken = self.key.derive(Context::MessageKey, &[]);
        self.step();
        taken
    }

    /// Moves on past the message here.
    pub fn step(&mut self) {
        self.key = self.key.derive(Context::Chain, &[]);
        self.index = self.index.saturating_add(1);
    }
}

/// What a sealed message is bound to beside its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Where it stands.
    pub place: Place,
    /// Its lifetime in hours.
    pub ttl: u32,
    /// Its epoch.
    pub epoch: u64,
    /// Its place in the epoch, from 0.
    pub index: u64,
}

impl Message {
    fn associated(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(8).text("thistledown 1 message").uint(1).bytes(self.place.feed.as_bytes());
        out.uint(self.place.seq).bytes(self.place.prev.as_bytes()).uint(u64::from(self.ttl));
        out.uint(self.epoch).uint(self.index);
        out.into_bytes()
    }

    /// Pads and seals a text under the message's own key.
    pub fn seal(&self, key: &Seed, text: &[u8]) -> Vec<u8> {
        seal(key.expose(), &self.associated(), &pad(text))
    }

    /// Opens what was sealed at this very place.
    pub fn open(&self, key: &Seed, sealed: &[u8]) -> Option<Vec<u8>> {
        open(key.expose(), &self.associated(), sealed).and_then(unpad)
    }
}

/// Pads a text: its end is marked, and zeros make its length one of few.
pub fn pad(text: &[u8]) -> Vec<u8> {
    let length = padded_length(text.len().saturating_add(1));
    let mut padded = Vec::with_capacity(length);
    padded.extend_from_slice(text);
    padded.push(END);
    padded.resize(length, 0);
    padded
}

/// Takes padding off; none if it is not as [`pad`] makes it.
pub fn unpad(mut padded: Vec<u8>) -> Option<Vec<u8>> {
    let end = padded.iter().rposition(|byte| *byte != 0)?;
    let sound =
        padded.get(end) == Some(&END) && padded.len() == padded_length(end.saturating_add(1));
    padded.truncate(end);
    sound.then_some(padded)
}

/// The length to which a length is padded: its binary form ends in zeros, as many as it has digits
/// less those of the number of digits.
fn padded_length(length: usize) -> usize {
    let least = usize::try_from(LEAST_PADDED).unwrap_or(usize::MAX);
    let length = length.max(least);
    let digits = length.ilog2();
    let zeros = digits.saturating_sub(digits.ilog2().saturating_add(1));
    let mask = (1_usize << zeros).saturating_sub(1);
    length.saturating_add(mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(seq: u64) -> Message {
        let place =
            Place { feed: FeedId::from_bytes([1; 32]), seq, prev: EntryId::from_bytes([2; 32]) };
        Message { place, ttl: 0, epoch: 3, index: 1 }
    }

    #[test]
    fn a_message_opens_at_its_place_only() {
        let mut chain = Chain::at(Seed::new([7; 32]), 0);
        let key = chain.take();
        let here = message(5);
        let sealed = here.seal(&key, b"come by the mill");
        assert_eq!(sealed.len(), 64 + 16);
        assert_eq!(here.open(&key, &sealed).as_deref(), Some(&b"come by the mill"[..]));
        let place = here.place;
        for elsewhere in [
            message(6),
            Message { ttl: 1, ..here },
            Message { epoch: 4, ..here },
            Message { index: 2, ..here },
            Message { place: Place { feed: FeedId::from_bytes([9; 32]), ..place }, ..here },
            Message { place: Place { prev: EntryId::from_bytes([9; 32]), ..place }, ..here },
        ] {
            assert_eq!(elsewhere.open(&key, &sealed), None, "{elsewhere:?}");
        }
        assert_eq!(here.open(&chain.take(), &sealed), None, "another message's key");
    }

    #[test]
    fn two_texts_at_one_place_show_only_whether_they_are_equal() {
        let key = Seed::new([7; 32]);
        let seal = |text: &str| message(5).seal(&key, text.as_bytes());
        assert_eq!(seal("come"), seal("come"));
        let (one, other) = (seal("come by the mill"), seal("come by the well"));
        let alike = one.iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(alike < 8, "{alike} of {} bytes are alike", one.len());
    }

    #[test]
    fn a_chain_forgets_what_it_gave() {
        let mut chain = Chain::at(Seed::new([7; 32]), 0);
        let mut seen = Vec::new();
        for index in 0..100 {
            assert_eq!(chain.index(), index);
            seen.push(chain.tag().to_vec());
            let mut skipped = chain.clone();
            skipped.step();
            seen.push(chain.take().expose().to_vec());
            assert_eq!(skipped, chain);
            seen.push(chain.key().expose().to_vec());
        }
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all, "no key, tag or chain key is another");
    }

    #[test]
    fn padding_comes_off_and_lengths_are_few() {
        arbtest::arbtest(|u| {
            let text: Vec<u8> = u.arbitrary()?;
            let padded = pad(&text);
            assert_eq!(unpad(padded.clone()), Some(text.clone()));
            assert!(padded.len() >= 64 && padded.len() > text.len());
            assert!(padded.len() <= (text.len() + 1).max(57) * 9 / 8 + 1);
            Ok(())
        });
        let lengths: std::collections::BTreeSet<usize> =
            (0..16_000).map(|length| padded_length(length + 1)).collect();
        assert!(lengths.len() < 120, "{}", lengths.len());
        assert_eq!(unpad(vec![0; 64]), None);
        assert_eq!(unpad(pad(b"x")[..63].to_vec()), None);
        let longer = [pad(b"x"), vec![0; 64]].concat();
        assert_eq!(unpad(longer), None, "one text has one padding");
    }

    #[test]
    fn few_devices_take_one_narrow_part() {
        let expected =
            [(1, (1, 4)), (4, (1, 4)), (5, (1, 13)), (13, (1, 13)), (14, (2, 13)), (64, (5, 13))];
        for (devices, parts) in expected {
            assert_eq!(parts_for(devices), parts, "{devices}");
        }
    }

    #[test]
    fn a_slot_opens_for_its_device_entry_and_audience_only() {
        let mine = PrekeySecret::from_seed(Seed::new([3; 32]));
        let public = mine.public();
        let (author, other) = (AccountId::from_bytes([4; 32]), AccountId::from_bytes([5; 32]));
        let (device, commit) = (FeedId::from_bytes([6; 32]), [7; 32]);
        let place = message(5).place;
        let slot = Slot {
            author: &author,
            place,
            device: &device,
            prekey: prekey_name(&public),
            commit: &commit,
        };
        let key = Seed::new([8; 32]);
        let locked = slot.lock(&public, &key, &Seed::new([9; 32])).unwrap();
        assert_eq!(slot.open(&mine, &locked), Some(key));
        let elsewhere = FeedId::from_bytes([1; 32]);
        let copied = Place { feed: elsewhere, ..place };
        for wrong in [
            Slot { author: &other, ..slot },
            Slot { device: &elsewhere, ..slot },
            Slot { prekey: [0; 8], ..slot },
            Slot { commit: &[0; 32], ..slot },
            Slot { place: Place { seq: 6, ..place }, ..slot },
            Slot { place: Place { feed: FeedId::from_bytes([2; 32]), ..copied }, ..slot },
            Slot { place: Place { prev: EntryId::from_bytes([0; 32]), ..place }, ..slot },
        ] {
            assert_eq!(wrong.open(&mine, &locked), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_commitment_holds_for_one_key_and_audience() {
        let key = Seed::new([1; 32]);
        assert_eq!(commit(&key, b"ana, bo"), commit(&key, b"ana, bo"));
        assert_ne!(commit(&key, b"ana, bo"), commit(&key, b"ana, cy"));
        assert_ne!(commit(&key, b"ana, bo"), commit(&Seed::new([2; 32]), b"ana, bo"));
    }
}
