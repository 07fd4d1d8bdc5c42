"""Writes the test vectors of `../sealed-bundle.md`, `sealed.json`, and reads them back.

Written from the specification alone, sharing no code with the engine. The same run gives the same file.

    pip install blake3 cryptography mnemonic
    python sealed.py
"""

import json
import pathlib

from blake3 import blake3

from generate import derive
from siv import open_sealed, seal

HERE = pathlib.Path(__file__).resolve().parent
SLOTS, SLOT, CHUNK, SEAL = 512, 88, 65_536, 16
HEAD = 32 + SLOTS * SLOT
LEAST = 4 << 16
TAG, BOX, PIECE = (f"thistledown 1 bundle {word}" for word in ("tag", "slot", "chunk"))
FILES = []


def number(n):
    return n.to_bytes(8, "big")


def noise(seed, length):
    return blake3(b"", key=seed).digest(length)


def fixed(*words):
    return derive("thistledown test", " ".join(map(str, words)).encode())


READERS = [fixed("reader", n) for n in range(6)]


def chunks(part_key, text, lasts=True):
    """The sealed chunks of a part, and what they are sealed with."""
    count = max(1, -(-len(text) // CHUNK))
    for n in range(count):
        key, last = derive(PIECE, part_key + number(n)), n + 1 == count and lasts
        yield key, last, seal(key, bytes([last]), text[n * CHUNK : (n + 1) * CHUNK])


class File:
    """A file: all of it noise but for the pieces."""

    def __init__(self, name, why, size=LEAST):
        self.name, self.why, self.size = name, why, size
        self.seed = fixed("noise", name)
        self.bytes = bytearray(noise(self.seed, size))
        self.salt = bytes(self.bytes[:32])
        self.pieces, self.slots, self.parts = [], [], []

    def put(self, offset, data):
        self.pieces.append((offset, bytes(data)))
        self.bytes[offset : offset + len(data)] = data

    def part(self, offset, length, readers, told=None, lasts=True):
        """Puts a part there, and a slot for each of the readers: (secret, number)."""
        index = len(self.parts)
        key, text_seed = fixed("part", self.name, index), fixed("text", self.name, index)
        text, at, listed = noise(text_seed, length), offset, []
        for chunk_key, last, sealed in chunks(key, text, lasts):
            self.put(at, sealed)
            listed.append({"key": chunk_key.hex(), "last": last, "offset": at, "length": len(sealed)})
            at += len(sealed)
        for reader, slot in readers:
            self.slot(reader, slot, key, *(told or (offset, length, self.size)))
        part = {"key": key.hex(), "offset": offset, "text_seed": text_seed.hex(), "length": length, "chunks": listed}
        self.parts.append(part)
        return self

    def slot(self, reader, slot, key, offset, length, size):
        secret = READERS[reader]
        tag, box = derive(TAG, secret + self.salt)[:16], derive(BOX, secret + self.salt)
        associated, told = self.salt + number(slot), key + number(offset) + number(length) + number(size)
        self.put(32 + slot * SLOT, tag + seal(box, associated, told))
        self.slots.append(
            {
                "secret": secret.hex(),
                "slot": slot,
                "tag": tag.hex(),
                "key": box.hex(),
                "associated": associated.hex(),
                "told": told.hex(),
            }
        )

    def end(self, held=range(len(READERS)), cut=None, changes=()):
        """`changes` are (offset, bytes) after the file was made; `cut` is where it was torn."""
        for offset, data in changes:
            self.put(offset, data)
        found = read(bytes(self.bytes[:cut]), [READERS[n] for n in held])
        FILES.append(
            {
                "name": self.name,
                "why": self.why,
                "noise": self.seed.hex(),
                "size": self.size,
                "cut": self.size if cut is None else cut,
                "pieces": [[offset, data.hex()] for offset, data in self.pieces],
                "secrets": [READERS[n].hex() for n in held],
                "slots": self.slots,
                "parts": self.parts,
                "found": found,
            }
        )


# Reading, as the specification has it.


def sizes():
    return [quarter << shift for shift in range(16, 38) for quarter in range(4, 8)] + [2**40]


def sealed_length(length):
    return length + SEAL * max(1, -(-length // CHUNK))


def open_slot(file, secret):
    """None: no slot. False: one that is refused."""
    salt, tag = file[:32], derive(TAG, secret + file[:32])[:16]
    found = None
    for slot in range(SLOTS):
        bytes_ = file[32 + slot * SLOT : 32 + (slot + 1) * SLOT]
        if bytes_[:16] != tag:
            continue
        told = open_sealed(derive(BOX, secret + salt), salt + number(slot), bytes_[16:])
        if told is None:
            found = found or False
            continue
        key, rest = told[:32], [int.from_bytes(told[at : at + 8], "big") for at in (32, 40, 48)]
        offset, length, size = rest
        if size in sizes() and offset >= HEAD and offset + sealed_length(length) <= size:
            return key, offset, length, size
        found = found or False
    return found


def open_part(file, key, offset, length):
    text = b""
    for n in range(max(1, -(-length // CHUNK))):
        due = min(CHUNK, length - n * CHUNK) + SEAL
        sealed, last = file[offset : offset + due], (n + 1) * CHUNK >= length
        opened = open_sealed(derive(PIECE, key + number(n)), bytes([last]), sealed)
        if opened is None:
            return text, {"fault": "damaged" if len(sealed) == due else "torn", "offset": offset}
        text, offset = text + opened, offset + due
    return text, None


def read(file, secrets):
    if len(file) < HEAD:
        return None
    parts, refused = {}, []
    for n, secret in enumerate(secrets):
        told = open_slot(file, secret)
        if told:
            parts.setdefault(told, []).append(n)
        elif told is False:
            refused.append(n)
    found = []
    for (key, offset, length, size), readers in sorted(parts.items(), key=lambda part: part[0][1]):
        text, fault = open_part(file, key, offset, length)
        hash_ = derive("thistledown 1 payload", text).hex()
        found.append({"secrets": readers, "size": size, "opened": len(text), "text_hash": hash_, "fault": fault})
    return {"parts": found, "refused": refused}


# The files.


def whole_files():
    File("nobody", "A file for nobody is noise from end to end.").end()
    File("one", "One reader and three bytes.").part(50_000, 3, [(0, 17)]).end()
    File("empty-part", "A part without text is one chunk without text.").part(HEAD, 0, [(1, 0)]).end()
    File("last-place", "A part may end where the file does.").part(LEAST - 26, 10, [(1, 511)]).end()
    shared = File("shared", "A part for three readers stands there once; another is for one of the rest.")
    shared.part(100_000, 300, [(0, 400), (2, 3), (3, 100)]).part(60_000, 40, [(1, 101)]).end()
    File("one-chunk", "As much as one chunk holds.").part(90_000, CHUNK, [(4, 9)]).end()
    File("two-chunks", "One byte more.").part(90_001, CHUNK + 1, [(4, 9)]).end()
    larger = File("larger", "The second size.", 5 << 16)
    larger.part(300_000, 5, [(0, 1)]).end()
    File("another's", "Who holds no secret of it finds nothing.").part(50_000, 3, [(0, 17)]).end(held=[3, 4, 5])


def refused_files():
    file = File("slot-changed", "A bit of a slot is another; the other slot of the part is not.")
    file.part(50_000, 3, [(0, 17), (1, 18)])
    at = 32 + 17 * SLOT + 40
    file.end(changes=[(at, bytes([file.bytes[at] ^ 1]))])
    file = File("tag-changed", "A slot with another tag is nobody's.").part(50_000, 3, [(0, 17)])
    at = 32 + 17 * SLOT
    file.end(changes=[(at, bytes([file.bytes[at] ^ 128]))])
    file = File("slot-moved", "A slot holds in its own place only.").part(50_000, 3, [(0, 17)])
    slot = bytes(file.bytes[32 + 17 * SLOT : 32 + 18 * SLOT])
    file.end(changes=[(32 + 17 * SLOT, bytes(SLOT)), (32 + 18 * SLOT, slot)])
    file = File("slot-copied", "Of two slots of one tag, the one that opens counts.").part(50_000, 3, [(0, 17)])
    file.end(changes=[(32, bytes(file.bytes[32 + 17 * SLOT : 32 + 18 * SLOT]))])
    for name, told in (
        ("before-the-body", (HEAD - 1, 3, LEAST)),
        ("beyond-the-end", (LEAST - 18, 3, LEAST)),
        ("length-too-large", (HEAD, 2**64 - 1, LEAST)),
        ("no-size", (50_000, 3, LEAST + 1)),
    ):
        File(name, "The slot tells of a place that no such file has.").part(50_000, 3, [(0, 17)], told).end()
    file = File("chunk-changed", "A bit of the second chunk is another: the first counts.")
    file.part(50_000, 2 * CHUNK, [(0, 17)])
    at = 50_000 + CHUNK + SEAL
    file.end(changes=[(at, bytes([file.bytes[at] ^ 4]))])
    file = File("torn", "The file ends in a part; what stands before it is whole.")
    file.part(50_000, 100, [(0, 17)]).part(100_000, CHUNK + 9, [(1, 18)]).end(cut=100_000 + CHUNK + SEAL + 24)
    File("no-last", "The last chunk is not marked as such.").part(50_000, 3, [(0, 17)], lasts=False).end()
    File("head-torn", "Not all slots are there.").part(50_000, 3, [(0, 17)]).end(cut=HEAD - 1)


whole_files()
refused_files()
text = json.dumps(FILES, indent=1)
(HERE / "sealed.json").write_text(text + "\n")
print(f"{len(FILES)} files, {len(text)} bytes")
