"""AES-256-GCM-SIV (RFC 8452) with a zero nonce, as `../sealed-bundle.md` uses it; AES alone is a library's."""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

P = 1 << 128 | 1 << 127 | 1 << 126 | 1 << 121 | 1
NONCE = bytes(12)


def blocks(key, data):
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(data)


def dot(a, b):
    """a * b / x^128 in the field of POLYVAL; bit n of a number stands for x^n."""
    product = 0
    for bit in range(128):
        if b >> bit & 1:
            product ^= a
        if product & 1:
            product ^= P
        product >>= 1
    return product


def polyval(key, data):
    h, total = int.from_bytes(key, "little"), 0
    for at in range(0, len(data), 16):
        total = dot(total ^ int.from_bytes(data[at : at + 16], "little"), h)
    return total.to_bytes(16, "little")


def padded(data):
    return data + bytes(-len(data) % 16)


def keys(key):
    halves = blocks(key, b"".join(n.to_bytes(4, "little") + NONCE for n in range(6)))
    halves = [halves[at : at + 8] for at in range(0, 96, 16)]
    return b"".join(halves[:2]), b"".join(halves[2:])


def tag_of(authentication, encryption, associated, text):
    lengths = b"".join((8 * len(part)).to_bytes(8, "little") for part in (associated, text))
    total = bytearray(polyval(authentication, padded(associated) + padded(text) + lengths))
    for at, byte in enumerate(NONCE):
        total[at] ^= byte
    total[15] &= 0x7F
    return blocks(encryption, bytes(total))


def crypt(encryption, tag, data):
    start, rest = int.from_bytes(tag[:4], "little"), tag[4:15] + bytes([tag[15] | 0x80])
    count = -(-len(data) // 16)
    counters = b"".join(((start + n) % 2**32).to_bytes(4, "little") + rest for n in range(count))
    return bytes(a ^ b for a, b in zip(data, blocks(encryption, counters)))


def seal(key, associated, text):
    authentication, encryption = keys(key)
    tag = tag_of(authentication, encryption, associated, text)
    return crypt(encryption, tag, text) + tag


def open_sealed(key, associated, sealed):
    if len(sealed) < 16:
        return None
    authentication, encryption = keys(key)
    text, tag = crypt(encryption, sealed[-16:], sealed[:-16]), sealed[-16:]
    return text if tag_of(authentication, encryption, associated, text) == tag else None


# RFC 8452, appendix C.2 has nonces that are not zero; with them the rest is the same.
def check_against_the_rfc():
    global NONCE
    NONCE = bytes.fromhex("03" + "00" * 11)
    key = bytes.fromhex("01" + "00" * 31)
    for text, sealed in (
        ("", "07f5f4169bbf55a8400cd47ea6fd400f"),
        ("0100000000000000", "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28"),
    ):
        assert seal(key, b"", bytes.fromhex(text)).hex() == sealed
    NONCE = bytes(12)


check_against_the_rfc()
