//! Key slots: what a passphrase opens.
//!
//! A passphrase is stretched by Argon2id, so that trying many costs much time and memory, and the
//! result seals the key of a store. A slot looks like random bytes, used or not: whether a passphrase
//! opens it shows only by trying. The costs are those of this version and stand in no slot.

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use crate::key::{Context, SEAL_BYTES, Seed, open, seal};

/// Bytes of the salt that a passphrase is stretched with.
pub const SALT_BYTES: usize = 32;
/// Bytes of a slot: what makes its key another each time, and the sealed key of a store.
pub const SLOT_KEY_BYTES: usize = 32 + 32 + SEAL_BYTES;
/// Memory of one stretching, in KiB.
const MEMORY: u32 = 64 * 1024;
/// Times that the memory is gone through.
const PASSES: u32 = 3;

/// Stretches a passphrase: 64 MiB, three passes, one lane.
#[expect(clippy::expect_used, reason = "the parameters are fixed, and memory is the system's")]
pub fn stretch_passphrase(passphrase: &[u8], salt: &[u8; SALT_BYTES]) -> Seed {
    let params = Params::new(MEMORY, PASSES, 1, Some(32)).expect("the parameters are sound");
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, key.as_mut())
        .expect("passphrases are short, and 64 MiB are there");
    Seed::new(*key)
}

/// Seals the key of a store in a slot, with 32 fresh bytes that no other slot had.
pub fn seal_slot(stretched: &Seed, key: &Seed, fresh: &[u8; 32]) -> Vec<u8> {
    let seal_key = stretched.derive(Context::KeySlot, fresh);
    [fresh.as_slice(), &seal(seal_key.expose(), &[], key.expose())].concat()
}

/// Opens a slot; none if it was sealed with another passphrase, or never.
pub fn open_slot(stretched: &Seed, slot: &[u8]) -> Option<Seed> {
    let (fresh, sealed) = slot.split_at_checked(32)?;
    let seal_key = stretched.derive(Context::KeySlot, fresh);
    let key = Zeroizing::new(open(seal_key.expose(), &[], sealed)?);
    Some(Seed::new(key.as_slice().try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_opens_with_its_passphrase_only_and_looks_like_nothing() {
        let (salt, key) = ([1; 32], Seed::new([2; 32]));
        let right = stretch_passphrase(b"correct horse", &salt);
        let slot = seal_slot(&right, &key, &[3; 32]);
        assert_eq!(slot.len(), SLOT_KEY_BYTES);
        assert_eq!(open_slot(&right, &slot), Some(key));
        assert_eq!(open_slot(&stretch_passphrase(b"correct hors", &salt), &slot), None);
        assert_eq!(open_slot(&stretch_passphrase(b"correct horse", &[4; 32]), &slot), None);
        for at in 0..slot.len() {
            let mut spoilt = slot.clone();
            spoilt[at] ^= 1;
            assert_eq!(open_slot(&right, &spoilt), None, "byte {at}");
        }
    }
}
