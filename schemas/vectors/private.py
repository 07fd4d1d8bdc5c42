"""Writes the test vectors of `../private.md`, `private.json`.

Written from the specification alone, sharing no code with the engine. The same run gives the same file.

    pip install argon2-cffi blake3 cryptography kyber-py mnemonic
    python private.py
"""

import json
import pathlib

from argon2.low_level import Type, hash_secret_raw
from blake3 import blake3
from mnemonic import Mnemonic

import hpke
from ed25519 import L
from generate import (
    ACCOUNT,
    BECH32,
    DEVICE_1,
    DEVICE_2,
    DEVICE_3,
    ENTROPY,
    ENTRY,
    FALSE,
    NULL,
    OTHER,
    PAYLOAD,
    PREV,
    SEQ_END,
    TIME,
    TRUE,
    Key,
    array,
    bech32,
    boolean,
    bstr,
    derive,
    header,
    maybe,
    post,
    receipt,
    reply,
    tstr,
    uint,
)
from siv import open_sealed, seal

HERE = pathlib.Path(__file__).resolve().parent
CARD = "thistledown 1 card"
SLOT, NARROW, WIDE, LEAST_PADDED = 1168, 4, 13, 64
VALID, INVALID = [], []


def fixed(*words):
    """32 bytes that nobody chose."""
    return derive("thistledown test", " ".join(map(str, words)).encode())


def valid(kind, name, rule, data, fields, **derived):
    whole = {"name": f"{kind}-{name}", "kind": kind, "rule": rule, "hex": data.hex()}
    VALID.append(whole | {"fields": fields, "derived": derived})


def invalid(kind, name, data, error, why):
    INVALID.append({"name": f"{kind}-{name}", "kind": kind, "hex": data.hex(), "error": error, "why": why})


# Cards.


class Person:
    def __init__(self, entropy):
        self.entropy, self.key = entropy, Key(derive(ACCOUNT, entropy))
        self.id = self.key.public

    def secret(self, generation=0):
        return derive("thistledown 1 agreement", self.key.seed + generation.to_bytes(8, "big"))

    def agreement(self, generation=0):
        return hpke.x25519_public(self.secret(generation))


ALICE, BOB = Person(ENTROPY), Person(bytes(range(32, 64)))


def card_data(account, generation, agreement):
    return array(bstr(account), uint(generation), bstr(agreement))


def card_with(person=ALICE, generation=0, feed=DEVICE_1.public, name="Alice", signature=None, **changed):
    agreement = person.agreement(generation)
    signed = person.key.sign(CARD, derive(CARD, card_data(person.id, generation, agreement)))
    parts = {
        "version": uint(1),
        "account": bstr(person.id),
        "generation": uint(generation),
        "agreement": bstr(agreement),
        "signature": bstr(signature or signed),
        "feed": bstr(feed),
        "name": maybe(tstr, name),
    } | changed
    return array(*parts.values())


def stretch(digest):
    return hash_secret_raw(digest, b"thistledown 1 words", 1, 64 * 1024, 1, 32, Type.ID, 0x13)


def words_of(stretched, count=8):
    bits = "".join(f"{byte:08b}" for byte in stretched)
    listed = Mnemonic("english").wordlist
    return " ".join(listed[int(bits[at : at + 11], 2)] for at in range(0, 11 * count, 11))


def card_text(data):
    return "thistle:" + bech32("card", data)


def valid_cards():
    def one(label, person, generation, feed, name):
        data, agreement = card_with(person, generation, feed, name), person.agreement(generation)
        covered = card_data(person.id, generation, agreement)
        digest = derive(CARD, covered)
        stretched = stretch(digest)
        valid(
            "card",
            label,
            None,
            data,
            {
                "version": 1,
                "account": person.id.hex(),
                "generation": generation,
                "agreement": agreement.hex(),
                "signature": person.key.sign(CARD, digest).hex(),
                "feed": feed.hex(),
                "name": name,
            },
            entropy=person.entropy.hex(),
            account_seed=person.key.seed.hex(),
            agreement_secret=person.secret(generation).hex(),
            signed_data=covered.hex(),
            digest=digest.hex(),
            signed_message=(CARD.encode() + digest).hex(),
            text=card_text(data),
            stretched=stretched.hex(),
            words=words_of(stretched),
        )

    one("alice", ALICE, 0, DEVICE_1.public, "Alice")
    one("no-name", ALICE, 0, DEVICE_2.public, None)
    one("next-generation", ALICE, 1, DEVICE_1.public, "Alice")
    one("last-generation", BOB, 2**32 - 1, DEVICE_3.public, "B")
    one("name-64-bytes", BOB, 0, DEVICE_3.public, "é" * 32)
    one("feed-that-is-no-key", BOB, 256, bytes(32), "Bob")


def invalid_cards():
    def bad(name, data, error, why):
        invalid("card", name, data, error, why)

    good = card_with()
    signature = ALICE.key.sign(CARD, derive(CARD, card_data(ALICE.id, 0, ALICE.agreement())))
    other = BOB.key.sign(CARD, derive(CARD, card_data(ALICE.id, 0, ALICE.agreement())))
    entry = ALICE.key.sign(ENTRY, derive(CARD, card_data(ALICE.id, 0, ALICE.agreement())))
    s = int.from_bytes(signature[32:], "little") + L
    bad("nothing", b"", "end_of_input", "There are no bytes.")
    bad("6-elements", b"\x86" + good[1:-6], "wrong_length", "A card has seven elements.")
    bad("8-elements", b"\x88" + good[1:] + NULL, "wrong_length", "A card has seven elements.")
    bad("a-map", b"\xa7" + good[1:], "wrong_type", "A card is an array.")
    bad("indefinite", b"\x9f" + good[1:] + b"\xff", "indefinite_length", "The array has no count.")
    bad("cut", good[:-1], "end_of_input", "The last byte is missing.")
    bad("trailing", good + b"\0", "trailing_bytes", "A byte follows the card.")
    bad(
        "300-bytes",
        good + bytes(300 - len(good)),
        "trailing_bytes",
        "So many bytes are read, and more than one follows.",
    )
    bad("301-bytes", good + bytes(301 - len(good)), "over_limit", "A card has at most 300 bytes.")
    bad("version-0", card_with(version=uint(0)), "unsupported_version", "Versions start at 1.")
    bad("version-2", card_with(version=uint(2)), "unsupported_version", "Of a later program.")
    bad("version-in-two-bytes", card_with(version=uint(1, 1)), "not_shortest", "The version takes a byte of its own.")
    bad("account-31-bytes", card_with(account=bstr(ALICE.id[1:])), "wrong_length", "An account has 32 bytes.")
    identity = bytes([1]) + bytes(31)
    bad("account-of-small-order", card_with(account=bstr(identity)), "bad_key", "The account is no key.")
    bad(
        "account-not-reduced",
        card_with(account=bstr(b"\xf0" + b"\xff" * 30 + b"\x7f")),
        "bad_key",
        "No canonical encoding.",
    )
    bad("account-of-another", card_with(account=bstr(BOB.id)), "bad_signature", "The signature is that of Alice.")
    bad("generation-2-to-32", card_with(generation=2**32), "over_limit", "Generations end at 2^32.")
    negative = array(uint(1), bstr(ALICE.id), b"\x20", *[NULL] * 4)
    bad("generation-negative", negative, "wrong_type", "Generations start at 0.")
    parts = [uint(1), bstr(ALICE.id), uint(1), bstr(ALICE.agreement()), bstr(signature), bstr(DEVICE_1.public), NULL]
    bad("generation-of-another", array(*parts), "bad_signature", "The signature is for generation 0.")
    bad("agreement-33-bytes", card_with(agreement=bstr(bytes(33))), "wrong_length", "A key for agreement has 32 bytes.")
    bad(
        "agreement-of-another",
        card_with(agreement=bstr(BOB.agreement())),
        "bad_signature",
        "The account did not sign this key.",
    )
    bad("signature-63-bytes", card_with(signature=bytes(63)), "wrong_length", "A signature has 64 bytes.")
    changed = signature[:5] + bytes([signature[5] ^ 1]) + signature[6:]
    bad("signature-changed", card_with(signature=changed), "bad_signature", "A bit of it is another.")
    bad("signature-by-another", card_with(signature=other), "bad_signature", "Bob signed it.")
    bad("signature-for-another-use", card_with(signature=entry), "bad_signature", "Signed as an entry is.")
    twin = signature[:32] + s.to_bytes(32, "little")
    bad("signature-not-reduced", card_with(signature=twin), "bad_signature", "S is not below the group order.")
    bad("feed-31-bytes", card_with(feed=bytes(31)), "wrong_length", "A feed has 32 bytes.")
    bad("feed-null", array(*parts[:5], NULL, NULL), "wrong_type", "A card names a feed.")
    bad("name-empty", card_with(name=""), "out_of_range", "A name has a byte at least; no name is null.")
    bad("name-65-bytes", card_with(name="n" * 65), "over_limit", "A name has at most 64 bytes.")
    bad("name-of-bytes", array(*parts[:6], bstr(b"Alice")), "wrong_type", "A name is a text.")
    bad("name-not-utf8", array(*parts[:6], tstr(b"\xff")), "bad_utf8", "No text.")
    long = card_with(name="n" * 65, account=bstr(identity))
    bad("key-and-name", long, "over_limit", "Decoding comes before the account's key.")


def texts():
    data = card_with()
    text = card_text(data)
    assert len(data) % 5, "there are bits to spare"
    refused = [
        text.removesuffix(text[-1]),
        text[:40] + ("q" if text[40] != "q" else "p") + text[41:],
        text.upper().replace("THISTLE:CARD1", "thistle:card1"),
        text[:40] + text[40:].upper(),
        "thistle:" + bech32("card", data, BECH32),
        "thistle:" + bech32("card", data, pad=1),
        "thistle:" + bech32("feed", data),
        "feed:" + bech32("card", data),
        "thistle:" + text,
        "thistle:",
        "",
    ]
    bare = text.removeprefix("thistle:")
    accepted = [text, text.upper(), bare, bare.upper(), "thistle:" + bare.upper(), f" {text}\n"]
    return {"card": data.hex(), "text": text, "accepted": accepted, "refused": refused}


# What two contacts share.


def contact(mine, my_generation, theirs, their_generation, shares):
    shared = hpke.x25519(mine.secret(my_generation), theirs.agreement(their_generation))
    assert shared == hpke.x25519(theirs.secret(their_generation), mine.agreement(my_generation))
    both = sorted([(mine.id, mine.agreement(my_generation)), (theirs.id, theirs.agreement(their_generation))])
    hashed = shared + both[0][0] + both[1][0] + both[0][1] + both[1][1]
    secret = derive("thistledown 1 contact secret", hashed)
    later, at = [], secret
    for share in shares:
        at = derive("thistledown 1 contact secret", at + share)
        later.append({"share": share.hex(), "secret": at.hex()})
    return {
        "accounts": [mine.id.hex(), theirs.id.hex()],
        "secrets": [mine.secret(my_generation).hex(), theirs.secret(their_generation).hex()],
        "keys": [mine.agreement(my_generation).hex(), theirs.agreement(their_generation).hex()],
        "shared": shared.hex(),
        "hashed": hashed.hex(),
        "secret": secret.hex(),
        "renewed": later,
        "carriage": [
            derive("thistledown 1 carriage", secret + mine.id + theirs.id).hex(),
            derive("thistledown 1 carriage", secret + theirs.id + mine.id).hex(),
        ],
        "pair_hashed": (both[0][0] + both[1][0]).hex(),
        "pair": pair(mine, theirs).hex(),
    }


def pair(one, other):
    return derive("thistledown 1 pair", b"".join(sorted([one.id, other.id])))


def contacts():
    prime = 2**255 - 19
    eighths = (
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    )
    refused = [0, 1, *eighths, prime - 1, prime, prime + 1]
    return {
        "contacts": [
            contact(ALICE, 0, BOB, 0, [fixed("share", 1), fixed("share", 2)]),
            contact(BOB, 3, ALICE, 1, []),
        ],
        "no_keys": [number.to_bytes(32, "little").hex() for number in refused],
    }


# Prekeys.


def prekey_name(public):
    return derive("thistledown 1 prekey", public)[:8]


def prekeys():
    listed = []
    for number in range(2):
        secret = fixed("prekey", number)
        public = hpke.xwing_public(secret)
        listed.append({"secret": secret.hex(), "public": public.hex(), "name": prekey_name(public).hex()})
    public = bytes.fromhex(listed[0]["public"])
    # The first number of ML-KEM's part has twelve bits: the first byte, and the lower half of the second.
    first = [bytes([n & 255, public[1] & 0xF0 | n >> 8]) + public[2:] for n in (3328, 3329, 4095)]
    tried = [
        {"public": first[0].hex(), "is_key": True, "why": "The largest number that ML-KEM has."},
        {"public": first[1].hex(), "is_key": False, "why": "A number that is not below 3329."},
        {"public": first[2].hex(), "is_key": False, "why": "The largest number of twelve bits."},
        {"public": (public[:1184] + bytes(32)).hex(), "is_key": True, "why": "X25519 takes any 32 bytes."},
        {"public": public[:-1].hex(), "is_key": False, "why": "A byte is missing."},
        {"public": (public + b"\0").hex(), "is_key": False, "why": "A byte too many."},
    ]
    return {"prekeys": listed, "tried": tried}


# Epochs.


def roster(kind, id_, members):
    listed = (array(bstr(account), array(*map(bstr, devices))) for account, devices in members)
    return array(uint(0), uint(kind), bstr(id_), array(*listed))


def part_payload(epoch, part, parts, commit, slots):
    return array(uint(11), uint(epoch), uint(part), uint(parts), bstr(commit), bstr(slots))


def sealed_payload(tag, sealed):
    return array(uint(16), bstr(tag), bstr(sealed))


def padded_length(length):
    length = max(length, LEAST_PADDED)
    e = length.bit_length() - 1
    s = e.bit_length()
    step = 2 ** (e - s)
    return -(-length // step) * step


def pad(text):
    return (text + b"\x80").ljust(padded_length(len(text) + 1), b"\0")


class Epoch:
    """An epoch as its author writes it, entry after entry."""

    def __init__(self, name, author, device, seq, text, devices, slots):
        self.name, self.author, self.device = name, author, device
        self.epoch, self.seq, self.prev, self.roster = seq, seq, PREV, text
        self.first = self.chain = fixed("first key", name)
        self.index, self.messages, self.parts = 0, [], []
        self.hash = derive("thistledown 1 roster", text)
        self.commit = derive("thistledown 1 commit", self.first + self.hash)
        width = NARROW if slots == NARROW else WIDE
        readers = devices + [None] * (slots - len(devices))
        # The order is the author's secret; here it is one that puts the last first.
        readers = readers[-1:] + readers[:-1]
        for part in range(slots // width):
            self.write_part(part, slots // width, readers[part * width : (part + 1) * width])

    def write(self, payload, ttl=0):
        """An entry: what came before it, and its EntryId."""
        data = header(self.device.public, self.seq, self.prev, ttl, len(payload), derive(PAYLOAD, payload))
        row = {"seq": self.seq, "prev": self.prev.hex(), "ttl": ttl, "payload": payload.hex()}
        self.seq, self.prev = self.seq + 1, derive(ENTRY, data)
        return row | {"entry_id": self.prev.hex()}

    def write_part(self, part, parts, readers):
        slots, joined = [], b""
        for number, reader in enumerate(readers):
            row, locked = self.slot(part, number, reader)
            slots.append(row)
            joined += locked
        payload = part_payload(self.epoch, part, parts, self.commit, joined)
        self.parts.append(self.write(payload) | {"part": part, "slots": slots})

    def slot(self, part, number, reader):
        """Nobody's slot is for the author's own device, by a key that was thrown away."""
        words = (self.name, part, number)
        device, secret = reader or (self.device.public, fixed("nobody", *words))
        text = self.first if reader else fixed("nothing", *words)
        public = hpke.xwing_public(secret)
        info = array(
            tstr("thistledown 1 slot"),
            uint(1),
            bstr(self.author.id),
            bstr(self.device.public),
            uint(self.seq),
            bstr(self.prev),
            bstr(device),
            bstr(prekey_name(public)),
            bstr(self.commit),
        )
        seed = fixed("slot", *words)
        randomness = blake3(b"", key=seed).digest(64)
        locked, (shared, key, nonce) = hpke.lock(public, info, text, randomness)
        assert len(locked) == SLOT and hpke.unlock(secret, info, locked) == text
        row = {
            "is_for_somebody": reader is not None,
            "device": device.hex(),
            "prekey_secret": secret.hex(),
            "prekey_name": prekey_name(public).hex(),
            "info": info.hex(),
            "text": text.hex(),
            "seed": seed.hex(),
            "randomness": randomness.hex(),
            "shared_secret": shared.hex(),
            "key": key.hex(),
            "nonce": nonce.hex(),
        }
        return row, locked

    def associated(self, ttl):
        return array(
            tstr("thistledown 1 message"),
            uint(1),
            bstr(self.device.public),
            uint(self.seq),
            bstr(self.prev),
            uint(ttl),
            uint(self.epoch),
            uint(self.index),
        )

    def say(self, text, ttl=0):
        key = derive("thistledown 1 message key", self.chain)
        tag = derive("thistledown 1 tag", self.chain)[:8]
        associated, padded = self.associated(ttl), pad(text)
        sealed = seal(key, associated, padded)
        assert open_sealed(key, associated, sealed) == padded
        row = {
            "index": self.index,
            "chain": self.chain.hex(),
            "key": key.hex(),
            "tag": tag.hex(),
            "text": text.hex(),
            "associated": associated.hex(),
            "padded": padded.hex(),
            "sealed": sealed.hex(),
        }
        self.messages.append(row | self.write(sealed_payload(tag, sealed), ttl))
        self.chain, self.index = derive("thistledown 1 chain", self.chain), self.index + 1
        return self

    def ahead(self, indexes):
        rows, chain = [], self.first
        for index in range(max(indexes) + 1):
            if index in indexes:
                key, tag = (derive(f"thistledown 1 {word}", chain) for word in ("message key", "tag"))
                rows.append({"index": index, "chain": chain.hex(), "key": key.hex(), "tag": tag[:8].hex()})
            chain = derive("thistledown 1 chain", chain)
        return rows

    def end(self):
        return {
            "name": self.name,
            "author": self.author.id.hex(),
            "feed": self.device.public.hex(),
            "epoch": self.epoch,
            "first_key": self.first.hex(),
            "roster": self.roster.hex(),
            "roster_hash": self.hash.hex(),
            "commit": self.commit.hex(),
            "parts": self.parts,
            "messages": self.messages,
            "ahead": self.ahead([0, 1, 2, 3, 64, 999, 1000]),
        }


def pair_roster():
    members = sorted([(ALICE.id, sorted([DEVICE_1.public, DEVICE_2.public])), (BOB.id, [DEVICE_3.public])])
    return roster(0, pair(ALICE, BOB), members)


def epochs():
    devices = [(DEVICE_2.public, fixed("prekey", 0)), (DEVICE_3.public, fixed("prekey", 1))]
    two = Epoch("pair", ALICE, DEVICE_1, 40, pair_roster(), devices, NARROW)
    two.say(pair_roster())
    two.say(post("come by the mill"))
    answered = bytes.fromhex(two.messages[1]["entry_id"])[:8]
    two.say(reply([answered], text="and bring the boat. " * 12), ttl=24)
    many = [(fixed("device", n), fixed("prekey of device", n)) for n in range(14)]
    feeds = sorted([DEVICE_1.public, *(feed for feed, _ in many)])
    own = roster(2, pair(ALICE, ALICE), [(ALICE.id, feeds)])
    wide = Epoch("own-two-parts", ALICE, DEVICE_1, 65_536, own, many, 2 * WIDE).say(own)
    return [two.end(), wide.end()]


def paddings():
    """Lengths of text, and of what is sealed."""
    lengths = [*range(71), 127, 128, 200, 255, 256, 1000, 1023, 1024, 4095, 4096, 8191, 8192, 15_000, 15_871]
    wrong = [
        (bytes(64), "No 0x80."),
        (b"x" * 64, "No 0x80."),
        (b"", "Nothing."),
        (b"\x80", "Too short."),
        (pad(b"come")[:-1], "Too short."),
        (pad(b"come") + bytes(8), "Longer than it has to be."),
        (pad(b"come")[:-1] + b"\1", "Not all zeros."),
        (b"come\x81".ljust(64, b"\0"), "Another mark."),
        (b"c" * 64 + b"\x80", "Of a length that no padding has."),
        (b"c" * 64 + b"\x80" + bytes(15), "The length after the one due."),
        (b"c" * 63 + b"\x80" + bytes(8), "The length after the one due."),
    ]
    assert all(
        len(data) != padded_length(len(data.rstrip(b"\0"))) or data.rstrip(b"\0")[-1:] != b"\x80" for data, _ in wrong
    )
    return {
        "lengths": [[length, len(pad(b"x" * length))] for length in lengths],
        "padded": [{"text": text.hex(), "padded": pad(text).hex()} for text in (b"", b"come", b"\x80\0", b"x" * 64)],
        "refused": [{"padded": data.hex(), "why": why} for data, why in wrong],
    }


# Contents.


def valid_contents():
    def content(name, rule, data, fields):
        assert len(data) <= 16384
        valid("content", name, rule, data, fields)

    for number in range(2):
        key = hpke.xwing_public(fixed("prekey", number))
        content(f"prekey-{number}", "prekey", array(uint(10), bstr(key)), {"type": 10, "key": key.hex()})
    key = b"\xff" * 1216
    content("prekey-that-is-no-key", "prekey", array(uint(10), bstr(key)), {"type": 10, "key": key.hex()})
    for name, epoch, part, parts, count in (
        ("narrow", 2, 0, 1, NARROW),
        ("wide-alone", 3, 0, 1, WIDE),
        ("last-of-5", SEQ_END - 1, 4, 5, WIDE),
    ):
        slots = blake3(name.encode()).digest(count * SLOT)
        fields = {"type": 11, "epoch": epoch, "part": part, "parts": parts, "commit": OTHER.hex(), "slots": slots.hex()}
        content(f"epoch-part-{name}", "epoch_part", part_payload(epoch, part, parts, OTHER, slots), fields)
    for name, length in (("shortest", 80), ("of-any-length", 81), ("largest", 16384 - 14)):
        tag, sealed = OTHER[:8], blake3(name.encode()).digest(length)
        fields = {"type": 16, "tag": tag.hex(), "sealed": sealed.hex()}
        content(f"sealed-{name}", "sealed", sealed_payload(tag, sealed), fields)


def invalid_contents():
    def bad(name, data, error, why):
        invalid("content", name, data, error, why)

    key = fixed("key") * 38
    bad("prekey-3-elements", array(uint(10), bstr(key), NULL), "wrong_length", "A prekey has two elements.")
    bad("prekey-1215-bytes", array(uint(10), bstr(key[1:])), "wrong_length", "A key has 1216 bytes.")
    bad("prekey-1217-bytes", array(uint(10), bstr(key + b"\0")), "wrong_length", "A key has 1216 bytes.")
    bad("prekey-of-text", array(uint(10), tstr(b"x" * 1216)), "wrong_type", "A key is a string of bytes.")
    bad("prekey-long-length", array(uint(10), bstr(key, 4)), "not_shortest", "The length fits in two bytes.")
    bad("prekey-cut", array(uint(10), bstr(key))[:-1], "end_of_input", "The last byte is missing.")
    bad("prekey-trailing", array(uint(10), bstr(key)) + b"\0", "trailing_bytes", "A byte follows the prekey.")

    def part(epoch=40, part=0, parts=1, commit=OTHER, slots=bytes(NARROW * SLOT)):
        return part_payload(epoch, part, parts, commit, slots)

    good = part()
    bad("epoch-part-5-elements", b"\x85" + good[1:], "wrong_length", "A part has six elements.")
    bad("epoch-part-epoch-0", part(epoch=0), "out_of_range", "Seqs start at 1.")
    bad("epoch-part-epoch-2-to-40", part(epoch=SEQ_END), "over_limit", "Seqs end at 2^40.")
    bad("epoch-part-epoch-null", array(uint(11), NULL, *[uint(0)] * 4), "wrong_type", "An epoch is a seq.")
    bad("epoch-part-1-of-1", part(part=1), "out_of_range", "Parts are counted from 0.")
    bad("epoch-part-4-of-4", part(part=4, parts=4), "out_of_range", "Parts are counted from 0.")
    bad("epoch-part-of-0", part(parts=0), "out_of_range", "An epoch has a part at least.")
    bad("epoch-part-part-5", part(part=5, parts=5), "over_limit", "No epoch has a part of this number.")
    bad("epoch-part-6-parts", part(parts=6), "over_limit", "An epoch has at most 5 parts.")
    bad("epoch-part-5-of-6", part(part=5, parts=6), "over_limit", "The part stands before the parts.")
    bad("epoch-part-commit-31-bytes", part(commit=OTHER[1:]), "wrong_length", "A commitment has 32 bytes.")
    for count in (0, 1, NARROW * SLOT - 1, NARROW * SLOT + 1, 5 * SLOT, WIDE * SLOT - 1, WIDE * SLOT + 1):
        why = "4 or 13 slots of 1168 bytes stand in a part."
        bad(f"epoch-part-slots-of-{count}", part(slots=bytes(count)), "wrong_length", why)
    bad("epoch-part-narrow-of-2", part(parts=2), "wrong_length", "4 slots stand only in the one part of an epoch.")
    bad(
        "epoch-part-narrow-last-of-2",
        part(part=1, parts=2),
        "wrong_length",
        "4 slots stand only in the one part of an epoch.",
    )
    claim = good[: -NARROW * SLOT - 3]
    bad("epoch-part-slots-claim-16385", claim + b"\x59\x40\x01", "over_limit", "Longer than a payload.")
    bad("epoch-part-slots-claim-15184", claim + b"\x59\x3b\x50", "end_of_input", "Nothing follows.")
    bad("epoch-part-slots-of-text", claim + tstr(b"x" * NARROW * SLOT), "wrong_type", "Slots are a string of bytes.")
    bad("epoch-part-trailing", good + b"\0", "trailing_bytes", "A byte follows the part.")

    tag, text = OTHER[:8], bytes(80)
    bad("sealed-2-elements", array(uint(16), bstr(tag)), "wrong_length", "A sealed message has three elements.")
    bad("sealed-tag-7-bytes", sealed_payload(tag[1:], text), "wrong_length", "A tag has 8 bytes.")
    bad("sealed-tag-9-bytes", sealed_payload(tag + b"\0", text), "wrong_length", "A tag has 8 bytes.")
    bad("sealed-tag-is-a-number", array(uint(16), uint(7), bstr(text)), "wrong_type", "A tag is a string of bytes.")
    bad("sealed-empty", sealed_payload(tag, b""), "wrong_length", "The shortest has 80 bytes.")
    bad("sealed-79-bytes", sealed_payload(tag, text[1:]), "wrong_length", "The shortest has 80 bytes.")
    bad("sealed-of-text", array(uint(16), bstr(tag), tstr(text)), "wrong_type", "What is sealed is a string of bytes.")
    bad("sealed-claims-16385", array(uint(16), bstr(tag), b"\x59\x40\x01"), "over_limit", "Longer than a payload.")
    bad("sealed-claims-80", array(uint(16), bstr(tag), b"\x58\x50"), "end_of_input", "Nothing follows.")
    bad("sealed-trailing", sealed_payload(tag, text) + b"\0", "trailing_bytes", "A byte follows the message.")


# What is sealed.


def member(account, devices):
    return {"account": account.hex(), "devices": [device.hex() for device in devices]}


def counted(count, first=0):
    return [bytes([first + n]) * 32 for n in range(count)]


def contact_text(card, name="Bob", verified=TRUE, removed=FALSE, generation=3, secret=OTHER):
    return array(uint(22), bstr(card), maybe(tstr, name), verified, removed, uint(generation), bstr(secret))


def again(seq, text, conversation=OTHER, prefix=PREV[:8]):
    return array(uint(24), bstr(conversation), bstr(DEVICE_1.public), uint(seq), bstr(prefix), bstr(text))


def valid_inner():
    def inner(name, data, fields):
        valid("inner", name, None, data, fields)

    def a_roster(name, kind, members, id_=OTHER):
        fields = {"type": 0, "kind": kind, "id": id_.hex(), "members": [member(*row) for row in members]}
        inner(f"roster-{name}", roster(kind, id_, members), fields)

    a, b = sorted([ALICE.id, BOB.id])
    a_roster("pair", 0, [(a, counted(1, 7)), (b, counted(2, 3))], pair(ALICE, BOB))
    a_roster("group", 1, [(a, counted(1)), (b, []), (b"\xff" * 32, counted(1))])
    a_roster("own", 2, [(a, counted(3))], pair(ALICE, ALICE))
    a_roster("64-devices", 1, [(a, counted(64))])
    a_roster("64-devices-of-64-accounts", 1, [(account, [account]) for account in counted(64)])
    a_roster("nobody", 1, [])
    said = {"time": TIME, "channel": None, "parents": [], "author": None}
    inner("post", post("come by the mill"), {"type": 1, "text": "come by the mill"} | said)
    parents = [OTHER[:8], PREV[:8]]
    said["parents"] = [parent.hex() for parent in parents]
    inner("reply", reply(parents, text="yes"), {"type": 2, "text": "yes"} | said)
    range_ = {"feed": DEVICE_1.public.hex(), "first": 41, "last": 42}
    fields = {"type": 8, "time": TIME, "state": 2, "ranges": [range_]}
    inner("receipt", receipt(2, [(DEVICE_1.public, 41, 42)]), fields)
    for generation in (1, 2**32 - 1):
        share = {"type": 17, "generation": generation, "share": OTHER.hex()}
        inner(f"share-{generation}", array(uint(17), uint(generation), bstr(OTHER)), share)
        fields = {"type": 21, "generation": generation, "feed": DEVICE_1.public.hex()}
        inner(f"confirmation-{generation}", array(uint(21), uint(generation), bstr(DEVICE_1.public)), fields)
    for name, epoch, after in (("unreadable", SEQ_END - 1, 0), ("unreadable-after", 1, SEQ_END - 1)):
        fields = {"type": 18, "feed": DEVICE_1.public.hex(), "epoch": epoch, "after": after}
        inner(name, array(uint(18), bstr(DEVICE_1.public), uint(epoch), uint(after)), fields)
    inner("change", array(uint(19), bstr(b"change")), {"type": 19, "change": b"change".hex()})
    for name, card in (("card", card_with(BOB, name="Bob")), ("300-bytes", bytes(300))):
        inner(f"introduction-{name}", array(uint(20), bstr(card)), {"type": 20, "card": card.hex()})
    for name, verified in (("Bob", True), (None, False), ("n" * 64, True)):
        card = card_with(BOB, name="Bob")
        data = contact_text(card, name, boolean(verified), boolean(not verified))
        fields = {"card": card.hex(), "name": name, "verified": verified, "removed": not verified}
        more = {"type": 22, "generation": 3, "secret": OTHER.hex()}
        inner(f"contact-name-of-{len(name or '')}", data, more | fields)
    for generation in (0, 2**32 - 1):
        fields = {"type": 23, "generation": generation, "secret": OTHER.hex()}
        inner(f"carriage-{generation}", array(uint(23), uint(generation), bstr(OTHER)), fields)
    for seq, text in ((1, post("come by the mill")), (SEQ_END - 1, reply(parents, text="yes"))):
        fields = {"type": 24, "conversation": OTHER.hex(), "feed": DEVICE_1.public.hex(), "seq": seq}
        inner(f"again-{seq}", again(seq, text), fields | {"prefix": PREV[:8].hex(), "text": text.hex()})
    inner("unknown", array(uint(40), b"\xa1\x01\x02"), {"type": 40})
    inner("retraction-belongs-outside", array(uint(9), array(array(uint(1), uint(2)))), {"type": 9})


def invalid_inner():
    def bad(name, data, error, why):
        invalid("inner", name, data, error, why)

    bad("nothing", b"", "end_of_input", "There are no bytes.")
    bad("no-elements", array(), "wrong_length", "An array without a type.")
    bad("a-map", b"\xa1\x01\x02", "wrong_type", "What is sealed is an array.")
    bad("type-is-text", array(tstr("roster")), "wrong_type", "The type is an integer.")
    bad(
        "type-in-two-bytes",
        b"\x83\x18\x11" + uint(1) + bstr(OTHER),
        "not_shortest",
        "The type 17 takes a byte of its own.",
    )

    a, b, c = counted(3, 1)

    def ros(members, kind=1, id_=OTHER):
        return roster(kind, id_, members)

    good = ros([(a, [a, b])])
    bad("roster-3-elements", b"\x83" + good[1:], "wrong_length", "A roster has four elements.")
    bad("roster-kind-3", ros([], 3), "out_of_range", "Kinds are 0 to 2.")
    bad("roster-id-31-bytes", ros([], 1, OTHER[1:]), "wrong_length", "An id has 32 bytes.")
    bad("roster-id-null", array(uint(0), uint(1), NULL, array()), "wrong_type", "An id is a string of bytes.")
    bad("roster-65-accounts", ros([(account, []) for account in counted(65)]), "over_limit", "64 accounts at most.")
    bad("roster-65-devices", ros([(a, counted(65))]), "over_limit", "64 devices at most.")
    bad("roster-65-devices-of-two", ros([(a, counted(33)), (b, counted(32))]), "over_limit", "64 devices in all.")
    bad("roster-accounts-equal", ros([(a, []), (a, [])]), "out_of_range", "Accounts ascend.")
    bad("roster-accounts-descend", ros([(a, []), (c, []), (b, [])]), "out_of_range", "Accounts ascend.")
    bad("roster-devices-equal", ros([(a, [c, c])]), "out_of_range", "Devices of an account ascend.")
    bad("roster-devices-descend", ros([(a, [c]), (b, [c, a])]), "out_of_range", "Devices of an account ascend.")
    bad(
        "roster-account-before-devices",
        ros([(b, []), (a, counted(65))]),
        "out_of_range",
        "The account is the first that tells.",
    )
    three = array(uint(0), uint(1), bstr(OTHER), array(array(bstr(a), array(), NULL)))
    bad("roster-member-3-elements", three, "wrong_length", "An account and its devices.")
    bad("roster-device-33-bytes", ros([(a, [b + b"\0"])]), "wrong_length", "A feed has 32 bytes.")
    bad("roster-cut", good[:-1], "end_of_input", "The last byte is missing.")
    bad("roster-trailing", good + b"\0", "trailing_bytes", "A byte follows the roster.")

    bad("post-5-parents", post(parents=[account[:8] for account in counted(5)]), "over_limit", "4 parents at most.")
    bad("post-in-a-channel", post(channel="news"), "out_of_range", "The conversation is that of the epoch.")
    bad("reply-in-a-channel", reply([], channel="news"), "out_of_range", "The conversation is that of the epoch.")
    bad("receipt-state-3", receipt(3, [(a, 1, 1)]), "out_of_range", "States are 1 and 2.")
    bad("share-31-bytes", array(uint(17), uint(1), bstr(OTHER[1:])), "wrong_length", "A share has 32 bytes.")
    bad("share-generation-2-to-32", array(uint(17), uint(2**32), bstr(OTHER)), "over_limit", "Generations end at 2^32.")
    bad("share-2-elements", array(uint(17), uint(1)), "wrong_length", "A share has three elements.")
    bad("carriage-31-bytes", array(uint(23), uint(1), bstr(OTHER[1:])), "wrong_length", "A secret has 32 bytes.")
    bad("carriage-generation-2-to-32", array(uint(23), uint(2**32), bstr(OTHER)), "over_limit", "They end at 2^32.")
    bad("carriage-2-elements", array(uint(23), uint(1)), "wrong_length", "Three elements.")
    bad("carriage-trailing", array(uint(23), uint(1), bstr(OTHER)) + b"\0", "trailing_bytes", "A byte follows.")
    def unreadable(epoch, after=0):
        return array(uint(18), bstr(a), uint(epoch), uint(after))

    bad("unreadable-epoch-0", unreadable(0), "out_of_range", "Seqs start at 1.")
    bad("unreadable-epoch-2-to-40", unreadable(SEQ_END), "over_limit", "Seqs end at 2^40.")
    bad("unreadable-after-2-to-40", unreadable(2, SEQ_END), "over_limit", "Seqs end at 2^40.")
    bad("unreadable-3-elements", array(uint(18), bstr(a), uint(2)), "wrong_length", "It has four elements.")
    bad("unreadable-trailing", unreadable(2) + b"\0", "trailing_bytes", "A byte follows.")
    said = post("come by the mill")
    bad("again-seq-0", again(0, said), "out_of_range", "Seqs start at 1.")
    bad("again-seq-2-to-40", again(SEQ_END, said), "over_limit", "Seqs end at 2^40.")
    bad("again-conversation-31-bytes", again(2, said, OTHER[1:]), "wrong_length", "An id has 32 bytes.")
    bad("again-prefix-7-bytes", again(2, said, prefix=PREV[:7]), "wrong_length", "A prefix has 8 bytes.")
    bad("again-a-receipt", again(2, receipt(2, [(a, 1, 1)])), "out_of_range", "A post or a reply.")
    bad("again-in-a-channel", again(2, post(channel="news")), "out_of_range", "No channel.")
    bad("again-text-claims-16385", again(2, b"")[:-1] + b"\x59\x40\x01", "over_limit", "Longer than a payload.")
    bad("again-trailing", again(2, said) + b"\0", "trailing_bytes", "A byte follows.")
    bad("change-claims-16385", array(uint(19), b"\x59\x40\x01"), "over_limit", "Longer than a payload.")
    bad("change-of-text", array(uint(19), tstr("change")), "wrong_type", "A change is a string of bytes.")
    bad("introduction-301-bytes", array(uint(20), bstr(bytes(301))), "over_limit", "A card has at most 300 bytes.")
    bad(
        "introduction-3-elements", array(uint(20), bstr(b""), NULL), "wrong_length", "An introduction has two elements."
    )
    bad("confirmation-feed-31-bytes", array(uint(21), uint(1), bstr(a[1:])), "wrong_length", "A feed has 32 bytes.")
    bad(
        "confirmation-generation-2-to-32",
        array(uint(21), uint(2**32), bstr(a)),
        "over_limit",
        "Generations end at 2^32.",
    )
    card = card_with(BOB, name="Bob")
    bad("contact-card-301-bytes", contact_text(bytes(301)), "over_limit", "A card has at most 300 bytes.")
    bad("contact-name-empty", contact_text(card, ""), "out_of_range", "A name has a byte at least.")
    bad("contact-name-65-bytes", contact_text(card, "n" * 65), "over_limit", "A name has at most 64 bytes.")
    bad("contact-verified-1", contact_text(card, verified=uint(1)), "wrong_type", "Yes or no.")
    bad("contact-removed-null", contact_text(card, removed=NULL), "wrong_type", "Yes or no.")
    bad("contact-generation-2-to-32", contact_text(card, generation=2**32), "over_limit", "Generations end at 2^32.")
    bad("contact-secret-33-bytes", contact_text(card, secret=OTHER + b"\0"), "wrong_length", "A secret has 32 bytes.")
    bad("contact-trailing", contact_text(card) + b"\0", "trailing_bytes", "A byte follows the contact.")


def main():
    valid_cards()
    valid_contents()
    valid_inner()
    invalid_cards()
    invalid_contents()
    invalid_inner()
    for listed in (VALID, INVALID):
        names = [vector["name"] for vector in listed]
        assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    found = {
        "texts": texts(),
        **contacts(),
        **prekeys(),
        "epochs": epochs(),
        "padding": paddings(),
        "valid": VALID,
        "invalid": INVALID,
    }
    text = json.dumps(found, indent=1) + "\n"
    (HERE / "private.json").write_text(text)
    print(f"private.json: {len(VALID)} valid, {len(INVALID)} invalid, {len(text) // 1024} KiB")


if __name__ == "__main__":
    main()
