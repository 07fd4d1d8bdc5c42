//! What Noise is made of here: X25519, ChaCha20-Poly1305 and BLAKE2s.
//!
//! `snow` brings primitives of its own, which take any key of the other side and leave their keys in
//! memory. These wipe keys that are no longer used, and refuse a key of low order, with which a
//! stranger could decide what both sides agree on.

use blake2::{Blake2s256, Digest};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// Bytes of a key, of either sort.
pub(super) const KEY_BYTES: usize = 32;
/// Bytes by which a sealed text is longer.
pub(super) const TAG_BYTES: usize = 16;

/// Hands the primitives to `snow`.
pub(super) struct Primitives;

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(System))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::new(X25519::default()) as _)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::Blake2s).then(|| Box::new(Blake2s::default()) as _)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::ChaChaPoly).then(|| Box::new(ChaChaPoly::default()) as _)
    }
}

/// Random bytes of the operating system.
struct System;

impl Random for System {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        getrandom::fill(dest).map_err(|_| Error::Rng)
    }
}

/// A key of this side, used for one link.
#[derive(Default)]
struct X25519 {
    secret: Zeroizing<[u8; KEY_BYTES]>,
    public: [u8; KEY_BYTES],
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        KEY_BYTES
    }

    fn priv_len(&self) -> usize {
        KEY_BYTES
    }

    fn set(&mut self, secret: &[u8]) {
        self.secret.copy_from_slice(secret);
        self.public = PublicKey::from(&StaticSecret::from(*self.secret)).to_bytes();
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), Error> {
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        random.try_fill_bytes(&mut *secret)?;
        self.set(&*secret);
        // The top bit has no meaning and is always 0 as it is computed: whoever looks on sees it.
        let mut top = [0];
        random.try_fill_bytes(&mut top)?;
        let ([.., last], [bit]) = (&mut self.public, top);
        *last |= bit & 0x80;
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &*self.secret
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let theirs = public.first_chunk::<KEY_BYTES>().ok_or(Error::Dh)?;
        let ours = StaticSecret::from(*self.secret);
        let shared = ours.diffie_hellman(&PublicKey::from(*theirs));
        if !shared.was_contributory() {
            return Err(Error::Dh);
        }
        *out.first_chunk_mut().ok_or(Error::Dh)? = shared.to_bytes();
        Ok(())
    }
}

/// The key of one direction.
#[derive(Default)]
struct ChaChaPoly(Zeroizing<[u8; KEY_BYTES]>);

impl ChaChaPoly {
    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new((&*self.0).into())
    }
}

/// Four zeros, and the number in eight bytes, lowest first.
fn nonce_of(number: u64) -> Nonce {
    let mut nonce = Nonce::default();
    nonce.iter_mut().skip(4).zip(number.to_le_bytes()).for_each(|(slot, byte)| *slot = byte);
    nonce
}

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; KEY_BYTES]) {
        *self.0 = *key;
    }

    fn encrypt(&self, number: u64, data: &[u8], text: &[u8], out: &mut [u8]) -> usize {
        let sealed = text.len() + TAG_BYTES;
        let (body, tag) = out.split_at_mut(text.len());
        body.copy_from_slice(text);
        let made = self.cipher().encrypt_inout_detached(&nonce_of(number), data, body.into());
        match (made, tag.first_chunk_mut::<TAG_BYTES>()) {
            (Ok(made), Some(tag)) => tag.copy_from_slice(&made),
            // Beyond 256 GiB, or with less room than is asked for.
            _ => unreachable!("messages of Noise are small, and their room is checked before"),
        }
        sealed
    }

    fn decrypt(
        &self,
        number: u64,
        data: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let (text, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(Error::Decrypt)?;
        let body = out.get_mut(..text.len()).ok_or(Error::Decrypt)?;
        body.copy_from_slice(text);
        let opened = self.cipher().decrypt_inout_detached(
            &nonce_of(number),
            data,
            (&mut *body).into(),
            &Tag::from(*tag),
        );
        if opened.is_err() {
            // What nobody has sealed is not shown.
            body.fill(0);
            return Err(Error::Decrypt);
        }
        Ok(text.len())
    }
}

/// BLAKE2s.
#[derive(Default)]
struct Blake2s(Blake2s256);

impl Hash for Blake2s {
    fn name(&self) -> &'static str {
        "BLAKE2s"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = Blake2s256::default();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        let made = std::mem::take(&mut self.0).finalize();
        out.iter_mut().zip(made).for_each(|(slot, byte)| *slot = byte);
    }
}

/// What follows from the parts, in their order, under a label.
pub(super) fn derive(label: &[u8], parts: &[&[u8]]) -> [u8; KEY_BYTES] {
    let mut hash = Blake2s256::default();
    hash.update(label);
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use snow::{Builder, HandshakeState};

    use super::Primitives;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        digits.map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
    }

    fn side(secret: &str, is_opener: bool) -> HandshakeState {
        let pattern = super::super::PATTERN.parse().unwrap();
        let (prologue, secret) = (bytes("4a6f686e2047616c74"), bytes(secret));
        let builder = Builder::with_resolver(pattern, Box::new(Primitives));
        let builder = builder.prologue(&prologue).unwrap();
        let builder = builder.fixed_ephemeral_key_for_testing_only(&secret);
        if is_opener { builder.build_initiator() } else { builder.build_responder() }.unwrap()
    }

    /// Texts and what becomes of them, from the test vectors of the program `cacophony`.
    const MESSAGES: [(&str, &str); 4] = [
        (
            "4c756477696720766f6e204d69736573",
            "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79444c756477696720766f6e2\
             04d69736573",
        ),
        (
            "4d757272617920526f746862617264",
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843ff34a6759d06e7733c83a\
             eb5556c15bc762b664b3ba0556b1e7eaea4168bb6",
        ),
        ("462e20412e20486179656b", "79285da88da3535f52b07b70006c85706de7ddb1fd3dddac995b7e"),
        ("4361726c204d656e676572", "ffdad3a7f0db4c39077f223659c5c1d107666405566ecdf4ab53bf"),
    ];

    #[test]
    fn noise_is_as_others_speak_it() {
        let mut opener =
            side("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a", true);
        let mut other =
            side("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b", false);
        let (mut out, mut read) = (vec![0; 200], vec![0; 200]);
        let [first, second, third, fourth] =
            MESSAGES.map(|(text, sealed)| (bytes(text), bytes(sealed)));
        let take = |sent: usize, out: &[u8], expected: &[u8]| {
            assert_eq!(&out[..sent], expected);
        };
        let sent = opener.write_message(&first.0, &mut out).unwrap();
        take(sent, &out, &first.1);
        other.read_message(&out[..sent], &mut read).unwrap();
        let sent = other.write_message(&second.0, &mut out).unwrap();
        take(sent, &out, &second.1);
        opener.read_message(&out[..sent], &mut read).unwrap();
        let hash = bytes("a621e3943a29c1d984b43727697fbec096107d0b569031ac7e0f1131de19f4f4");
        assert_eq!(opener.get_handshake_hash(), hash);
        let mut opener = opener.into_transport_mode().unwrap();
        let mut other = other.into_transport_mode().unwrap();
        let sent = opener.write_message(&third.0, &mut out).unwrap();
        take(sent, &out, &third.1);
        let sent = other.write_message(&fourth.0, &mut out).unwrap();
        take(sent, &out, &fourth.1);
        let length = opener.read_message(&out[..sent], &mut read).unwrap();
        assert_eq!(read[..length], fourth.0);
    }
}
