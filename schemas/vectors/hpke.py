"""HPKE in base mode (RFC 9180) with X-Wing (draft-connolly-cfrg-xwing-kem) and AES-256-GCM, as `../private.md` uses it.

ML-KEM-768, X25519, AES-256-GCM and the hashes are libraries'; what joins them is written here.
"""

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from kyber_py.ml_kem import ML_KEM_768

KEM, KDF, AEAD = 0x647A, 0x0001, 0x0002
ENCAPSULATED = 1120


# X25519 and X-Wing.


def x25519_public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def x25519(secret, public):
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))


def expand_secret(secret):
    """The secret halves and the public key, 1,216 bytes, of 32 secret bytes."""
    long = hashlib.shake_256(secret).digest(96)
    public_m, secret_m = ML_KEM_768._keygen_internal(long[:32], long[32:64])
    public_x = x25519_public(long[64:])
    return secret_m, long[64:], public_m + public_x


def xwing_public(secret):
    return expand_secret(secret)[2]


def combine(shared_m, shared_x, sent_x, public_x):
    return hashlib.sha3_256(shared_m + shared_x + sent_x + public_x + rb"\.//^" + b"\\").digest()


def encapsulate(public, randomness):
    """The shared secret, and the encapsulated key; the first 32 random bytes are ML-KEM's."""
    public_m, public_x = public[:1184], public[1184:]
    shared_m, sent_m = ML_KEM_768._encaps_internal(public_m, randomness[:32])
    sent_x = x25519_public(randomness[32:])
    shared_x = x25519(randomness[32:], public_x)
    return combine(shared_m, shared_x, sent_x, public_x), sent_m + sent_x


def decapsulate(secret, sent):
    secret_m, secret_x, public = expand_secret(secret)
    shared_m = ML_KEM_768.decaps(secret_m, sent[:1088])
    return combine(shared_m, x25519(secret_x, sent[1088:]), sent[1088:], public[1184:])


# HPKE.


def extract(salt, data):
    return hmac.new(salt or bytes(32), data, hashlib.sha256).digest()


def expand(key, info, length):
    whole, block = b"", b""
    for count in range(1, -(-length // 32) + 1):
        block = hmac.new(key, block + info + bytes([count]), hashlib.sha256).digest()
        whole += block
    return whole[:length]


def schedule(shared, info, suite=(KEM, KDF, AEAD), key_bytes=32):
    """Key and nonce of the first text, of a shared secret; base mode."""
    suite = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in suite)

    def labeled_extract(salt, label, data):
        return extract(salt, b"HPKE-v1" + suite + label + data)

    def labeled_expand(secret, label, context, length):
        return expand(secret, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + context, length)

    context = b"\0" + labeled_extract(b"", b"psk_id_hash", b"") + labeled_extract(b"", b"info_hash", info)
    secret = labeled_extract(shared, b"secret", b"")
    return labeled_expand(secret, b"key", context, key_bytes), labeled_expand(secret, b"base_nonce", context, 12)


def lock(public, info, text, randomness):
    """The locked text and what it took: shared secret, key, nonce."""
    shared, sent = encapsulate(public, randomness)
    key, nonce = schedule(shared, info)
    return sent + AESGCM(key).encrypt(nonce, text, b""), (shared, key, nonce)


def unlock(secret, info, locked):
    key, nonce = schedule(decapsulate(secret, locked[:ENCAPSULATED]), info)
    return AESGCM(key).decrypt(nonce, locked[ENCAPSULATED:], b"")


def check_against_the_documents():
    # RFC 9180, A.1.1: the key schedule is the same for every KEM.
    shared = bytes.fromhex("fe0e18c9f024ce43799ae393c7e8fe8fce9d218875e8227b0187c04e7d2ea1fc")
    key, nonce = schedule(shared, b"Ode on a Grecian Urn", (0x0020, 1, 1), 16)
    assert key.hex() == "4531685d41d65f03dc48f6b8302c05b0"
    assert nonce.hex() == "56d890e5accaaf011cff4b7d"
    # The first vector of X-Wing.
    secret = bytes.fromhex("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26")
    randomness = bytes.fromhex(
        "3cb1eea988004b93103cfb0aeefd2a686e01fa4a58e8a3639ca8a1e3f9ae57e2"
        "35b8cc873c23dc62b8d260169afa2f75ab916a58d974918835d25e6a435085b2"
    )
    public = xwing_public(secret)
    shared, sent = encapsulate(public, randomness)
    assert public.hex().startswith("e2236b35a8c24b39b10aa1323a96a919a2ced88400633a7b07131713fc14b2b5")
    assert shared.hex() == "d2df0522128f09dd8e2c92b1e905c793d8f57a54c3da25861f10bf4ca613e384"
    assert decapsulate(secret, sent) == shared


check_against_the_documents()
