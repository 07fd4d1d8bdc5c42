//! Keys, ids, hashing contexts and signatures: with its folder the only file that names cryptography
//! crates.
//!
//! One rule of validity everywhere: strict Ed25519 (no malleable scalar, no small-order point).
//! Batch verification is not used, because it accepts signatures that the strict rule refuses,
//! and then two nodes would disagree about what an author said.

mod lock;
mod sector;
mod slot;

use std::fmt;

#[cfg(not(fuzzing))]
use ed25519_dalek::{Signature as DalekSignature, Signer};
use ed25519_dalek::{SigningKey, VerifyingKey};
use zeroize::{Zeroize, ZeroizeOnDrop};

pub use lock::{
    PREKEY_BYTES, PrekeySecret, SEAL_BYTES, SLOT_BYTES, agree, agreement_key, is_prekey, lock,
    open, seal, stretch,
};
pub use sector::{SECTOR_BYTES, Sectors};
pub use slot::{SALT_BYTES, SLOT_KEY_BYTES, open_slot, seal_slot, stretch_passphrase};

/// Why a key or a signature was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Not the canonical encoding of a point of large order.
    #[error("not a usable public key")]
    BadKey,
    /// The signature is not one that the strict rule accepts.
    #[error("the signature does not fit")]
    BadSignature,
}

/// 32 bytes of a hash in a stated context.
pub type Digest = [u8; 32];

/// The first eight bytes of a digest, where the whole is not needed.
pub fn short_of(digest: &Digest) -> [u8; 8] {
    let mut short = [0; 8];
    for (to, from) in short.iter_mut().zip(digest) {
        *to = *from;
    }
    short
}

/// The bytes of a signature.
pub type Signature = [u8; 64];

/// What a hash or a signature is for; no two uses share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// The id of an entry, and the signature over it.
    Entry,
    /// The hash of a payload.
    Payload,
    /// A certificate of an account for a feed.
    Certificate,
    /// A retired feed's word for its successor.
    Successor,
    /// A device statement of an account.
    Device,
    /// The statement of a bundle's maker.
    Bundle,
    /// The account key from a recovery phrase.
    Account,
    /// A device key from the node's seed.
    DeviceKey,
    /// The key of a device's links from its device key.
    LinkKey,
    /// The running hash of an arrival log.
    Log,
    /// The key of a session, from what both ends of a link know.
    Session,
    /// The random bytes of a greeting.
    Greeting,
    /// By what those who share a secret recognise each other.
    Recognition,
    /// By what those show themselves who may carry a feed that is not open.
    CarrySecret,
    /// What stands for a contact among those whose logs are remembered.
    Peer,
    /// The name of an arrival log towards one contact.
    LogName,
    /// What stands for what a node takes.
    Policy,
    /// What stands for the head of a forked feed when two nodes compare what they hold.
    Forked,
    /// A contact card.
    Card,
    /// A key for agreement from an account's seed and a generation.
    Agreement,
    /// What two contacts share, from what their keys agree on.
    ContactSecret,
    /// What one of two finds the other's bundles by.
    Carriage,
    /// The conversation of two accounts.
    Pair,
    /// The words by which people compare cards.
    Words,
    /// The short name of a prekey.
    Prekey,
    /// Fresh secrets of a device, one after another.
    Fresh,
    /// The audience of an epoch.
    Roster,
    /// What binds the first key of an epoch to its audience.
    Commit,
    /// The next key of an epoch's chain.
    Chain,
    /// The key of one message, from its place in the chain.
    MessageKey,
    /// The tag of one message, from its place in the chain.
    Tag,
    /// The key of one row of opened history.
    Plain,
    /// The tag by which a reader finds its slot of a sealed bundle.
    BundleTag,
    /// The key of a slot of a sealed bundle.
    BundleSlot,
    /// The key of a part of a sealed bundle, from the secret of its maker.
    BundlePart,
    /// The key of a chunk of such a part.
    BundleChunk,
    /// The random bytes of a sealed bundle.
    BundleNoise,
    /// The id of a change of a group, and the signature over it.
    Group,
    /// What seals a store's key in a slot, from the stretched passphrase.
    KeySlot,
    /// The half of a store's key that its pages are encrypted with.
    StorePages,
    /// The half of a store's key that makes each page's place count.
    StorePlaces,
    /// The key of a backup, from that of the store.
    Backup,
    /// The key over the place of the key that locks what is to be forgotten, from that of the store.
    Forgetting,
}

impl Context {
    /// The context's name, as hashed and signed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entry => "thistledown 1 entry",
            Self::Payload => "thistledown 1 payload",
            Self::Certificate => "thistledown 1 certificate",
            Self::Successor => "thistledown 1 successor",
            Self::Device => "thistledown 1 device",
            Self::Bundle => "thistledown 1 bundle",
            Self::Account => "thistledown 1 account",
            Self::DeviceKey => "thistledown 1 device key",
            Self::LinkKey => "thistledown 1 link key",
            Self::Log => "thistledown 1 log",
            Self::Session => "thistledown 1 session",
            Self::Greeting => "thistledown 1 greeting",
            Self::Recognition => "thistledown 1 recognition",
            Self::CarrySecret => "thistledown 1 carry secret",
            Self::Peer => "thistledown 1 peer",
            Self::LogName => "thistledown 1 log name",
            Self::Policy => "thistledown 1 policy",
            Self::Forked => "thistledown 1 forked",
            Self::Card => "thistledown 1 card",
            Self::Agreement => "thistledown 1 agreement",
            Self::ContactSecret => "thistledown 1 contact secret",
            Self::Carriage => "thistledown 1 carriage",
            Self::Pair => "thistledown 1 pair",
            Self::Words => "thistledown 1 words",
            Self::Prekey => "thistledown 1 prekey",
            Self::Fresh => "thistledown 1 fresh",
            Self::Roster => "thistledown 1 roster",
            Self::Commit => "thistledown 1 commit",
            Self::Chain => "thistledown 1 chain",
            Self::MessageKey => "thistledown 1 message key",
            Self::Tag => "thistledown 1 tag",
            Self::Plain => "thistledown 1 plain",
            Self::BundleTag => "thistledown 1 bundle tag",
            Self::BundleSlot => "thistledown 1 bundle slot",
            Self::BundlePart => "thistledown 1 bundle part",
            Self::BundleChunk => "thistledown 1 bundle chunk",
            Self::BundleNoise => "thistledown 1 bundle noise",
            Self::Group => "thistledown 1 group",
            Self::KeySlot => "thistledown 1 key slot",
            Self::StorePages => "thistledown 1 store pages",
            Self::StorePlaces => "thistledown 1 store places",
            Self::Backup => "thistledown 1 backup",
            Self::Forgetting => "thistledown 1 forgetting",
        }
    }
}

/// BLAKE3 in `derive_key` mode, under a context.
#[derive(Debug, Clone)]
pub struct Hasher(blake3::Hasher);

impl Hasher {
    /// Starts hashing under `context`.
    pub fn new(context: Context) -> Self {
        Self(blake3::Hasher::new_derive_key(context.name()))
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes);
        self
    }

    /// The hash of what was added so far.
    pub fn finish(&self) -> Digest {
        *self.0.finalize().as_bytes()
    }

    /// Forgets what was added and starts anew under the same context.
    pub fn reset(&mut self) -> &mut Self {
        self.0.reset();
        self
    }
}

/// Hashes `bytes` under `context`.
pub fn derive(context: Context, bytes: &[u8]) -> Digest {
    Hasher::new(context).update(bytes).finish()
}

/// Hashes `bytes` under a secret or session key.
pub fn keyed(key: &Digest, bytes: &[u8]) -> Digest {
    *blake3::keyed_hash(key, bytes).as_bytes()
}

/// As many random bytes as are asked for, from one secret: BLAKE3 in its keyed mode over nothing.
#[derive(Debug)]
pub struct Noise(blake3::OutputReader);

impl Noise {
    /// Begins with what `seed` gives first.
    pub fn new(seed: &Seed) -> Self {
        Self(blake3::Hasher::new_keyed(&seed.0).finalize_xof())
    }

    /// The next bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    /// A number below `end`, each as likely as the others; 0 if there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        let whole = u64::MAX - u64::MAX.checked_rem(end).unwrap_or(0);
        loop {
            let mut bytes = [0; 8];
            self.fill(&mut bytes);
            let number = u64::from_le_bytes(bytes);
            if number < whole {
                return number.checked_rem(end).unwrap_or(0);
            }
        }
    }
}

macro_rules! public_key {
    ($name:ident, $what:literal) => {
        #[doc = $what]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes the bytes as they came; whether they are a usable key shows at verification.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes of the key.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "("))?;
                for byte in self.0.iter().take(4) {
                    write!(f, "{byte:02x}")?;
                }
                f.write_str("..)")
            }
        }
    };
}

public_key!(FeedId, "A feed: the Ed25519 public key of the one device that writes it.");
public_key!(AccountId, "A person: the Ed25519 public key that a recovery phrase makes.");

/// A public key that was checked and expanded once, for many signatures of one signer.
#[derive(Debug, Clone, Copy)]
pub struct Verifier(VerifyingKey);

impl Verifier {
    /// Expands a feed's key.
    pub fn of_feed(feed: &FeedId) -> Result<Self, KeyFault> {
        Self::new(&feed.0)
    }

    /// Expands an account's key.
    pub fn of_account(account: &AccountId) -> Result<Self, KeyFault> {
        Self::new(&account.0)
    }

    fn new(bytes: &[u8; 32]) -> Result<Self, KeyFault> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyFault::BadKey)?;
        // `from_bytes` tolerates y-coordinates that were not reduced; two encodings of one key
        // would be two feeds with one author.
        if key.is_weak() || key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyFault::BadKey);
        }
        Ok(Self(key))
    }

    /// Checks a signature over a digest.
    pub fn check(
        &self,
        context: Context,
        digest: &Digest,
        signature: &Signature,
    ) -> Result<(), KeyFault> {
        self.fits(&signed_message(context, digest), signature)
    }

    #[cfg(not(fuzzing))]
    fn fits(&self, message: &[u8], signature: &Signature) -> Result<(), KeyFault> {
        let signature = DalekSignature::from_bytes(signature);
        self.0.verify_strict(message, &signature).map_err(|_| KeyFault::BadSignature)
    }
}

/// What is signed: the context's name and then the digest.
pub fn signed_message(context: Context, digest: &Digest) -> Vec<u8> {
    [context.name().as_bytes(), digest].concat()
}

/// A secret signing key; wiped when dropped and never printed.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Makes the key from 32 secret bytes.
    pub fn from_seed(seed: &Seed) -> Self {
        Self(SigningKey::from_bytes(&seed.0))
    }

    /// The 32 secret bytes, to be kept in the store.
    pub fn to_seed(&self) -> Seed {
        Seed(self.0.to_bytes())
    }

    /// The feed that this key writes.
    pub fn feed(&self) -> FeedId {
        FeedId(self.0.verifying_key().to_bytes())
    }

    /// The account that this key is.
    pub fn account(&self) -> AccountId {
        AccountId(self.0.verifying_key().to_bytes())
    }

    /// Signs a digest.
    pub fn sign(&self, context: Context, digest: &Digest) -> Signature {
        self.signature_of(&signed_message(context, digest))
    }

    #[cfg(not(fuzzing))]
    fn signature_of(&self, message: &[u8]) -> Signature {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// 32 secret bytes; wiped when dropped and never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Seed([u8; 32]);

impl Seed {
    /// Takes secret bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Derives another secret from this one.
    #[must_use]
    pub fn derive(&self, context: Context, salt: &[u8]) -> Self {
        Self(Hasher::new(context).update(&self.0).update(salt).finish())
    }

    /// Takes the next secret of a row of them, and forgets how this one was made: who learns the
    /// row later learns nothing that was taken before.
    #[must_use]
    pub fn draw(&mut self) -> Self {
        let taken = self.derive(Context::Fresh, b"taken");
        *self = self.derive(Context::Fresh, b"next");
        taken
    }

    /// Mixes more secret bytes in: who knew the row of secrets knows none that comes.
    pub fn stir(&mut self, fresh: &Self) {
        *self = self.derive(Context::Fresh, fresh.expose());
    }

    /// The secret bytes.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// Signatures as a fuzzer meets them: eight bytes of a cheap hash in place of a proof.
///
/// A fuzzer that edits an entry cannot sign it, and would never see what lies behind the check. Here
/// it can: the hash is compared as one number, which is what a fuzzer that watches comparisons finds
/// out, and a target that mends what the fuzzer broke signs at the price of a hash. Another key,
/// context or digest still has another signature, so that what was mended wrongly is refused.
#[cfg(fuzzing)]
mod stand_in {
    use crate::key::{KeyFault, SecretKey, Signature, Verifier};

    #[cfg(not(debug_assertions))]
    compile_error!("cfg(fuzzing) accepts forged signatures: never in a build that people use");

    fn number(key: &[u8; 32], message: &[u8]) -> u64 {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        message.iter().chain(key).fold(0xcbf2_9ce4_8422_2325, step)
    }

    impl Verifier {
        pub(super) fn fits(&self, message: &[u8], signature: &Signature) -> Result<(), KeyFault> {
            let found = signature.first_chunk().copied().map_or(0, u64::from_le_bytes);
            let due = number(self.0.as_bytes(), message);
            if found == due { Ok(()) } else { Err(KeyFault::BadSignature) }
        }
    }

    impl SecretKey {
        pub(super) fn signature_of(&self, message: &[u8]) -> Signature {
            let number = number(self.0.verifying_key().as_bytes(), message).to_le_bytes();
            let mut signature = [0; 64];
            signature.iter_mut().zip(number).for_each(|(slot, byte)| *slot = byte);
            signature
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_context_and_digest_only() {
        let key = SecretKey::from_seed(&Seed::new([7; 32]));
        let digest = derive(Context::Entry, b"header");
        let signature = key.sign(Context::Entry, &digest);
        let verifier = Verifier::of_feed(&key.feed()).unwrap();
        assert_eq!(verifier.check(Context::Entry, &digest, &signature), Ok(()));
        let other = verifier.check(Context::Device, &digest, &signature);
        assert_eq!(other, Err(KeyFault::BadSignature));
        let other = verifier.check(Context::Entry, &[0; 32], &signature);
        assert_eq!(other, Err(KeyFault::BadSignature));
    }

    #[test]
    fn small_order_and_unreduced_keys_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(Verifier::of_feed(&FeedId(identity)).unwrap_err(), KeyFault::BadKey);
        // y = p + 3 encodes the point with y = 3 a second time, if that is one at all.
        let mut unreduced = [0xff; 32];
        unreduced[0] = 0xf0;
        unreduced[31] = 0x7f;
        assert_eq!(Verifier::of_feed(&FeedId(unreduced)).unwrap_err(), KeyFault::BadKey);
    }

    #[test]
    fn secrets_do_not_print() {
        let key = SecretKey::from_seed(&Seed::new([7; 32]));
        assert_eq!(format!("{key:?} {:?}", key.to_seed()), "SecretKey(..) Seed(..)");
    }
}
