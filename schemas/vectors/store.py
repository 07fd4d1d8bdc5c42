"""Makes store.json: what of a locked store leaves a process, with every value in between.

An implementation of its own, over the libraries `blake3` and `cryptography`; nothing of the code under
test is used. See store.md.
"""

import json
import pathlib

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

SECTOR = 4096


def derive(context: str, *data: bytes) -> bytes:
    return blake3(b"".join(data), derive_key_context=f"thistledown 1 {context}").digest()


def stretch(passphrase: bytes, salt: bytes) -> bytes:
    kdf = Argon2id(salt=salt, length=32, iterations=3, lanes=1, memory_cost=64 * 1024)
    return kdf.derive(passphrase)


def seal_slot(stretched: bytes, fresh: bytes, store_key: bytes) -> tuple[bytes, bytes]:
    seal_key = derive("key slot", stretched, fresh)
    return seal_key, fresh + AESGCMSIV(seal_key).encrypt(bytes(12), store_key, b"")


def halves(key: bytes) -> tuple[bytes, bytes]:
    return derive("store pages", key), derive("store places", key)


def encrypt(key: bytes, number: int, plain: bytes) -> bytes:
    pages, places = halves(key)
    tweak = number.to_bytes(16, "little")
    cipher = Cipher(algorithms.AES(pages + places), modes.XTS(tweak)).encryptor()
    return cipher.update(plain) + cipher.finalize()


def slot(passphrase: str, salt: int, fresh: int, key: int) -> dict:
    salt, fresh, key = (bytes([byte]) * 32 for byte in (salt, fresh, key))
    stretched = stretch(passphrase.encode(), salt)
    seal_key, sealed = seal_slot(stretched, fresh, key)
    return {
        "passphrase": passphrase,
        "salt": salt.hex(),
        "stretched": stretched.hex(),
        "fresh": fresh.hex(),
        "store_key": key.hex(),
        "seal_key": seal_key.hex(),
        "slot": sealed.hex(),
    }


def sector(key: int, number: int, plain: bytes) -> dict:
    key = bytes([key]) * 32
    pages, places = halves(key)
    return {
        "store_key": key.hex(),
        "pages": pages.hex(),
        "places": places.hex(),
        "number": number,
        "plain": plain.hex(),
        "encrypted": encrypt(key, number, plain).hex(),
    }


def main() -> None:
    counted = bytes(at % 251 for at in range(SECTOR))
    length = b"length\0\0" + (3 * SECTOR).to_bytes(8, "little")
    key, fresh = bytes([0x55]) * 32, bytes([0x66]) * 32
    vectors = {
        "slots": [
            slot("correct horse battery staple", 0x11, 0x33, 0x55),
            slot("gr\u00fcn", 0x22, 0x44, 0x77),
        ],
        "sectors": [
            sector(0x55, 0, counted),
            sector(0x55, 1, counted),
            sector(0x77, 2**40 + 5, bytes(SECTOR)),
        ],
        "length": sector(0x77, 4, length + bytes(SECTOR - len(length))),
        "derived": {
            "store_key": key.hex(),
            "forgetting": derive("forgetting", key).hex(),
            "fresh": fresh.hex(),
            "backup": derive("backup", key, fresh).hex(),
        },
    }
    path = pathlib.Path(__file__).with_name("store.json")
    path.write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
