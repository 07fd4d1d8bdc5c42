//! What is locked with a key both sides hold, and what is locked to a public key.
//!
//! Each key locks one text: the nonce is zero and a repeated seal of another text under one key and
//! place reveals only whether both are equal (AES-256-GCM-SIV, RFC 8452). To a public key a secret is
//! locked by HPKE in base mode (RFC 9180) with the hybrid X-Wing = X25519 + ML-KEM-768, so that
//! whoever keeps the bytes for decades needs to break both. Why something does not open is never told.

use std::convert::Infallible;

use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, XWing};
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, OpModeR, OpModeS, Serializable, setup_receiver, setup_sender_with_rng};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroize;

use crate::key::{Context, Digest, Seed};

/// Bytes that sealing adds to a text.
pub const SEAL_BYTES: usize = 16;
/// Bytes of a public prekey.
pub const PREKEY_BYTES: usize = 1_216;
/// Bytes of a 32-byte secret that is locked to a prekey.
pub const SLOT_BYTES: usize = 1_168;
/// Bytes of what a slot encapsulates.
const ENCAPSULATED_BYTES: usize = 1_120;

/// Hashes a digest so that it takes a while and much memory (Argon2id, RFC 9106, one pass over 64 MiB):
/// for what people compare by eye.
#[expect(clippy::expect_used, reason = "the parameters are constants")]
pub fn stretch(context: Context, digest: &Digest) -> Digest {
    let params = argon2::Params::new(64 * 1024, 1, 1, Some(32)).expect("sound");
    let hash = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let mut stretched = [0; 32];
    hash.hash_password_into(digest, context.name().as_bytes(), &mut stretched).expect("sound");
    stretched
}

/// Seals a text under a key that seals nothing else.
#[expect(clippy::expect_used, reason = "the cipher refuses only texts of many gigabytes")]
pub fn seal(key: &[u8; 32], associated: &[u8], text: &[u8]) -> Vec<u8> {
    let cipher = Aes256GcmSiv::new(key.into());
    let payload = Payload { msg: text, aad: associated };
    cipher.encrypt(&Nonce::default(), payload).expect("texts are short")
}

/// Opens what [`seal`] sealed with the same key and associated data.
pub fn open(key: &[u8; 32], associated: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let cipher = Aes256GcmSiv::new(key.into());
    cipher.decrypt(&Nonce::default(), Payload { msg: sealed, aad: associated }).ok()
}

/// The public half of a key for agreement, from its secret half.
pub fn agreement_key(secret: &Seed) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret.expose())).to_bytes()
}

/// What the holders of two keys agree on (X25519); none if the other key gives nothing away.
pub fn agree(secret: &Seed, other: &[u8; 32]) -> Option<Seed> {
    let shared = StaticSecret::from(*secret.expose()).diffie_hellman(&PublicKey::from(*other));
    shared.was_contributory().then(|| Seed::new(shared.to_bytes()))
}

/// The secret half of a prekey.
#[derive(Debug, Clone)]
pub struct PrekeySecret(Seed);

impl PrekeySecret {
    /// Takes the 32 secret bytes that make both halves.
    pub fn from_seed(seed: Seed) -> Self {
        Self(seed)
    }

    /// The secret bytes, to be kept.
    pub const fn to_seed(&self) -> &Seed {
        &self.0
    }

    /// The public half.
    pub fn public(&self) -> Vec<u8> {
        XWing::sk_to_pk(&self.secret()).to_bytes().to_vec()
    }

    #[expect(clippy::expect_used, reason = "any 32 bytes are a secret key")]
    fn secret(&self) -> <XWing as Kem>::PrivateKey {
        Deserializable::from_bytes(self.0.expose()).expect("32 bytes")
    }

    /// Opens a slot, if it is locked to this key with the same words.
    pub fn open(&self, info: &[u8], slot: &[u8]) -> Option<Seed> {
        let (key, locked) = slot.split_at_checked(ENCAPSULATED_BYTES)?;
        let key = Deserializable::from_bytes(key).ok()?;
        let mode = OpModeR::<XWing>::Base;
        let mut context =
            setup_receiver::<AesGcm256, HkdfSha256, XWing>(&mode, &self.secret(), &key, info)
                .ok()?;
        let mut text = context.open(locked, &[]).ok()?;
        let secret = text.as_slice().try_into().ok().map(Seed::new);
        text.zeroize();
        secret
    }
}

/// Whether bytes are a public prekey that can be sealed to.
pub fn is_prekey(public: &[u8]) -> bool {
    <XWing as Kem>::PublicKey::from_bytes(public).is_ok()
}

/// Locks a secret to a public prekey; `seed` is fresh and used for nothing else. None: the key is none.
pub fn lock(public: &[u8], info: &[u8], secret: &Seed, seed: &Seed) -> Option<Vec<u8>> {
    let public = <XWing as Kem>::PublicKey::from_bytes(public).ok()?;
    let mut random = Expanded(blake3::Hasher::new_keyed(seed.expose()).finalize_xof());
    let mode = OpModeS::<XWing>::Base;
    let (key, mut context) =
        setup_sender_with_rng::<AesGcm256, HkdfSha256, XWing>(&mode, &public, info, &mut random)
            .ok()?;
    let locked = context.seal(secret.expose(), &[]).ok()?;
    Some([key.to_bytes().as_slice(), &locked].concat())
}

/// A secret seed, made longer.
struct Expanded(blake3::OutputReader);

impl TryRng for Expanded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Expanded {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_holds_for_its_key_words_and_text_only() {
        let sealed = seal(&[1; 32], b"here", b"come by the mill");
        assert_eq!(sealed.len(), 16 + SEAL_BYTES);
        assert_eq!(sealed, seal(&[1; 32], b"here", b"come by the mill"), "one text has one seal");
        assert_eq!(open(&[1; 32], b"here", &sealed).as_deref(), Some(&b"come by the mill"[..]));
        assert_eq!(open(&[2; 32], b"here", &sealed), None);
        assert_eq!(open(&[1; 32], b"there", &sealed), None);
        for at in 0..sealed.len() {
            let mut wrong = sealed.clone();
            wrong[at] ^= 1;
            assert_eq!(open(&[1; 32], b"here", &wrong), None, "{at}");
        }
        assert_eq!(open(&[1; 32], b"here", &sealed[..15]), None);
    }

    #[test]
    fn a_slot_opens_with_its_key_and_words_only() {
        let [mine, other] = [3, 4].map(|n| PrekeySecret::from_seed(Seed::new([n; 32])));
        let (secret, seed) = (Seed::new([9; 32]), Seed::new([5; 32]));
        let public = mine.public();
        assert_eq!(public.len(), PREKEY_BYTES);
        assert!(is_prekey(&public) && !is_prekey(&public[1..]) && !is_prekey(&[0xff; 1_216]));
        let slot = lock(&public, b"words", &secret, &seed).unwrap();
        assert_eq!(slot.len(), SLOT_BYTES);
        assert_eq!(mine.open(b"words", &slot), Some(secret.clone()));
        assert_eq!(mine.open(b"other words", &slot), None);
        assert_eq!(other.open(b"words", &slot), None);
        assert_eq!(mine.open(b"words", &slot[..1_100]), None);
        for at in [0, 600, 1_119, 1_120, 1_167] {
            let mut wrong = slot.clone();
            wrong[at] ^= 1;
            assert_eq!(mine.open(b"words", &wrong), None, "{at}");
        }
        assert_eq!(lock(&[0; 10], b"words", &secret, &seed), None);
    }

    #[test]
    fn two_agree_and_a_key_of_small_order_agrees_with_nobody() {
        let (a, b) = (Seed::new([1; 32]), Seed::new([2; 32]));
        let shared = agree(&a, &agreement_key(&b));
        assert!(shared.is_some());
        assert_eq!(shared, agree(&b, &agreement_key(&a)));
        let mut one = [0; 32];
        assert_eq!(agree(&a, &one), None);
        one[0] = 1;
        assert_eq!(agree(&a, &one), None);
    }
}
