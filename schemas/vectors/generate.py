"""Writes the test vectors of the format in `../README.md`: `valid.json` and `invalid.json`.

Written from the specification alone, sharing no code with the engine, so that a mistake must be made twice to pass.
The CBOR writer can also write what the format forbids. Everything is fixed: the same run gives the same files.

    pip install blake3 cryptography mnemonic
    python generate.py && python check.py

`cryptography` signs, `mnemonic` brings the BIP-39 word list, `ed25519.py` forges what a library refuses to.
"""

import hashlib
import json
import pathlib

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mnemonic import Mnemonic

import ed25519

HERE = pathlib.Path(__file__).resolve().parent
SEQ_END = 2**40
PAYLOAD = "thistledown 1 payload"
ENTRY = "thistledown 1 entry"
CERTIFICATE = "thistledown 1 certificate"
SUCCESSOR = "thistledown 1 successor"
DEVICE = "thistledown 1 device"
BUNDLE = "thistledown 1 bundle"
ACCOUNT = "thistledown 1 account"
WIDTHS = {0: b"", 1: b"\x18", 2: b"\x19", 4: b"\x1a", 8: b"\x1b"}


# CBOR, canonical unless a width is named.


def head(major, number, width=None):
    if width is None:
        width = next(w for w in (0, 1, 2, 4, 8) if number < (24 if w == 0 else 256**w))
    if width == 0:
        return bytes([major << 5 | number])
    return bytes([major << 5 | WIDTHS[width][0]]) + number.to_bytes(width, "big")


def uint(number, width=None):
    return head(0, number, width)


def bstr(data, width=None):
    return head(2, len(data), width) + data


def tstr(text, width=None):
    data = text if isinstance(text, bytes) else text.encode()
    return head(3, len(data), width) + data


def array(*items, width=None):
    return head(4, len(items), width) + b"".join(items)


NULL, FALSE, TRUE = b"\xf6", b"\xf4", b"\xf5"


def maybe(encode, value):
    return NULL if value is None else encode(value)


def boolean(value):
    return TRUE if value else FALSE


# Hashes and keys.


def derive(context, data):
    return blake3(data, derive_key_context=context).digest()


class Key:
    """An Ed25519 key with a fixed seed."""

    def __init__(self, seed):
        self.seed = seed
        self.secret = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self.secret.public_key().public_bytes_raw()

    def sign(self, context, digest):
        return self.secret.sign(context.encode() + digest)


ENTROPY = bytes(range(32))
ALICE = Key(derive(ACCOUNT, ENTROPY))
DEVICE_1, DEVICE_2, DEVICE_3, READER = (Key(bytes([n]) * 32) for n in (1, 2, 3, 4))
PREV = derive("thistledown test", b"prev")
OTHER = derive("thistledown test", b"other")
TIME = 1_760_000_000


# The structures.


def header(feed, seq, prev, ttl, size, payload_hash):
    return array(uint(1), bstr(feed), uint(seq), maybe(bstr, prev), uint(ttl), uint(size), bstr(payload_hash))


class Item:
    """One element of a segment, in the form its fields call for."""

    def __init__(self, payload, ttl=0, age=0, detached=False, follows=False):
        self.payload, self.ttl, self.age, self.detached, self.follows = payload, ttl, age, detached, follows

    @property
    def hash(self):
        return derive(PAYLOAD, self.payload)

    @property
    def form(self):
        return "detached" if self.detached else "inline" if self.ttl else "short"

    def encode(self):
        if self.detached:
            return array(
                uint(self.ttl), uint(self.age), uint(len(self.payload)), bstr(self.hash), boolean(self.follows)
            )
        if self.ttl:
            return array(uint(self.ttl), uint(self.age), bstr(self.payload))
        return bstr(self.payload)

    def fields(self):
        return {
            "form": self.form,
            "ttl": self.ttl,
            "age": self.age,
            "size": len(self.payload),
            "payload_hash": self.hash.hex(),
            "payload": None if self.detached else self.payload.hex(),
            "follows": self.follows if self.detached else None,
        }


class Chain:
    """Consecutive headers of one feed, rebuilt from items."""

    def __init__(self, key, first, prev, items):
        self.key, self.first, self.prev, self.items = key, first, prev, items
        self.headers, self.ids = [], []
        for offset, item in enumerate(items):
            self.headers.append(header(key.public, first + offset, prev, item.ttl, len(item.payload), item.hash))
            prev = derive(ENTRY, self.headers[-1])
            self.ids.append(prev)
        self.signature = key.sign(ENTRY, self.ids[-1]) if items else bytes(64)

    @property
    def last(self):
        return self.ids[-1]

    def segment(self, **changed):
        """The segment; a named part can be replaced by other bytes."""
        parts = {
            "version": uint(1),
            "feed": bstr(self.key.public),
            "first_seq": uint(self.first),
            "prev": maybe(bstr, self.prev),
            "items": array(*(item.encode() for item in self.items)),
            "signature": bstr(self.signature),
        } | changed
        return array(*parts.values())

    def branch(self, signature=None):
        """The chain as one side of a fork proof."""
        entries = (array(uint(i.ttl), uint(len(i.payload)), bstr(i.hash)) for i in self.items)
        return array(uint(self.first), maybe(bstr, self.prev), array(*entries), bstr(signature or self.signature))

    def branch_fields(self):
        return {
            "first_seq": self.first,
            "prev": self.prev and self.prev.hex(),
            "entries": [{"ttl": i.ttl, "size": len(i.payload), "payload_hash": i.hash.hex()} for i in self.items],
            "signature": self.signature.hex(),
        }

    def fields(self):
        return {
            "version": 1,
            "feed": self.key.public.hex(),
            "first_seq": self.first,
            "prev": self.prev and self.prev.hex(),
            "items": [item.fields() for item in self.items],
            "signature": self.signature.hex(),
        }


def fork(one, two, **changed):
    parts = {"version": uint(1), "feed": bstr(one.key.public), "a": one.branch(), "b": two.branch()} | changed
    return array(*parts.values())


def lower_first(a, b):
    return (a, b) if a.ids[0] < b.ids[0] else (b, a)


# Content.


def post(text="hello", time=TIME, channel=None, parents=(), author=None, kind=1):
    parts = [uint(kind), uint(time), maybe(tstr, channel), tstr(text), array(*map(bstr, parents))]
    return array(*parts, *([tstr(author)] if author is not None else []))


def reply(parents, **rest):
    return post(parents=parents, kind=2, **rest)


def profile(name="Alice", about="", time=TIME):
    return array(uint(3), uint(time), tstr(name), tstr(about))


def relation(feed, state, time=TIME):
    return array(uint(4), uint(time), bstr(feed), uint(state))


def certificate_data(feed, carry):
    return array(bstr(feed), uint(carry))


def certificate(feed, carry=0, account=ALICE, signature=None):
    signed = account.sign(CERTIFICATE, derive(CERTIFICATE, certificate_data(feed, carry)))
    return array(uint(5), uint(carry), bstr(account.public), bstr(signature or signed))


def successor_data(feed, carry, account):
    return array(bstr(feed), uint(carry), bstr(account))


def successor(feed, retired, carry=0, account=ALICE.public, signature=None):
    signed = retired.sign(SUCCESSOR, derive(SUCCESSOR, successor_data(feed, carry, account)))
    return array(uint(6), uint(carry), bstr(account), bstr(retired.public), bstr(signature or signed))


def device_data(account, verb, feed):
    return array(bstr(account), uint(verb), bstr(feed))


def device(verb, feed, account=ALICE):
    signed = account.sign(DEVICE, derive(DEVICE, device_data(account.public, verb, feed)))
    return array(uint(7), bstr(account.public), uint(verb), bstr(feed), bstr(signed))


def receipt(state, ranges, time=TIME):
    listed = (array(bstr(feed), uint(first), uint(last)) for feed, first, last in ranges)
    return array(uint(8), uint(time), uint(state), array(*listed))


def retraction(ranges):
    return array(uint(9), array(*(array(uint(first), uint(last)) for first, last in ranges)))


# Bundles.


def frame(body):
    return bstr(body)


def opening(maker=DEVICE_1, reader=None, whole=True, position=7, log_hash=b"\x10" * 8, ack=None, version=1):
    acked = NULL if ack is None else array(uint(ack[0]), bstr(ack[1]))
    maker = maker if isinstance(maker, bytes) else maker.public
    return array(
        uint(0),
        uint(version),
        bstr(maker),
        maybe(bstr, reader),
        boolean(whole),
        uint(position),
        bstr(log_hash),
        acked,
    )


def heads(rows):
    """Rows are (feed, floor, head) or (feed, floor, head, fork_seq)."""
    return array(uint(3), array(*(array(bstr(row[0]), *map(uint, row[1:])) for row in rows)))


def wants(rows):
    return array(uint(4), array(*(array(bstr(f), uint(a), uint(b), uint(what)) for f, a, b, what in rows)))


def statement_digest(file):
    return derive(BUNDLE, file)


def statement(file, maker=DEVICE_1):
    return array(uint(5), bstr(maker.sign(BUNDLE, statement_digest(file))))


def payload_frame(feed, seq, payload):
    return array(uint(2), bstr(feed), uint(seq), bstr(payload))


def fork_frame(proof):
    return array(uint(6), proof)


def end(count):
    return array(uint(7), uint(count))


def bundle(front, body=(), maker=DEVICE_1, count=None, stated=True):
    """A whole file: the frames before the statement, the statement, the body, the end."""
    file = b"".join(map(frame, front))
    if stated:
        file += frame(statement(file, maker))
    file += b"".join(map(frame, body))
    return file + frame(end(len(body) if count is None else count))


# Text ids (BIP-350) and the recovery phrase (BIP-39).

CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BECH32, BECH32M = 1, 0x2BC830A3


def polymod(values):
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> bit & 1 else 0
    return check


def bech32(hrp, data, constant=BECH32M, pad=0):
    bits = "".join(f"{byte:08b}" for byte in data)
    values = [int(bits[i : i + 5].ljust(5, "0"), 2) for i in range(0, len(bits), 5)]
    values[-1] |= pad
    expanded = [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]
    check = polymod(expanded + values + [0] * 6) ^ constant
    values += [check >> 5 * (5 - i) & 31 for i in range(6)]
    return hrp + "1" + "".join(CHARSET[v] for v in values)


def phrase(entropy):
    bits = "".join(f"{byte:08b}" for byte in entropy + hashlib.sha256(entropy).digest()[:1])
    words = Mnemonic("english").wordlist
    return [words[int(bits[i : i + 11], 2)] for i in range(0, 264, 11)]


# Valid vectors.

VALID, INVALID = [], []


def valid(name, kind, rule, data, fields, **derived):
    VALID.append({"name": name, "kind": kind, "rule": rule, "hex": data.hex(), "fields": fields, "derived": derived})


def text_of(name, length):
    """A text of exactly this many bytes that says where it comes from."""
    return (name + " ").ljust(length, "x")[:length]


def valid_headers():
    def one(name, seq, ttl, payload, key=DEVICE_1):
        prev = None if seq == 1 else PREV
        item = Item(payload, ttl)
        data = header(key.public, seq, prev, ttl, len(payload), item.hash)
        entry_id = derive(ENTRY, data)
        fields = {
            "version": 1,
            "feed": key.public.hex(),
            "seq": seq,
            "prev": prev and prev.hex(),
            "ttl": ttl,
            "size": len(payload),
            "payload_hash": item.hash.hex(),
        }
        valid(
            f"header-{name}",
            "header",
            "header",
            data,
            fields,
            payload_hex=payload.hex(),
            payload_hash=item.hash.hex(),
            entry_id=entry_id.hex(),
            signature=key.sign(ENTRY, entry_id).hex(),
            secret_seed=key.seed.hex(),
        )

    one("first", 1, 0, certificate(DEVICE_1.public))
    one("second", 2, 0, post())
    one("second-device", 2, 0, post(), DEVICE_2)
    one("empty-payload", 3, 0, b"")
    one("largest-payload", 3, 0, bytes(16384))
    one("ttl-1", 4, 1, post())
    one("ttl-largest", 4, 87600, post())
    for seq in (23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32):
        one(f"seq-{seq}", seq, 0, b"x")
    for ttl in (23, 24, 255, 256, 65535, 65536):
        one(f"ttl-{ttl}", 5, ttl, b"x")
    for size in (23, 24, 255, 256):
        one(f"size-{size}", 5, 0, b"x" * size)
    one("seq-largest", SEQ_END - 1, 0, b"x")


def valid_windows():
    seqs = [1, 2, 32, 33, 64, 65, 96, 97, 1024, 1025, SEQ_END - 32, SEQ_END - 31, SEQ_END - 1]

    def window(seq):
        if seq == 1:
            return 1, 1
        first = (seq - 1) // 32 * 32 + 1
        return max(first, 2), min(first + 31, SEQ_END - 1)

    rows = [{"seq": s, "first": window(s)[0], "last": window(s)[1]} for s in seqs]
    valid("windows", "window", None, b"", {"seqs": seqs}, windows=rows)


def valid_segment(name, chain, contents):
    """`contents` names what each payload is: a type, `unknown`, `malformed`, or None where it is absent."""
    valid(
        f"segment-{name}",
        "segment",
        "segment",
        chain.segment(),
        chain.fields(),
        headers=[h.hex() for h in chain.headers],
        entry_ids=[i.hex() for i in chain.ids],
        head_entry_id=chain.last.hex(),
        signed_message=(ENTRY.encode() + chain.last).hex(),
        secret_seed=chain.key.seed.hex(),
        contents=contents,
    )


def first_entry(key=DEVICE_1, carry=0):
    return Chain(key, 1, None, [Item(certificate(key.public, carry))])


def valid_segments():
    one = first_entry()
    valid_segment("certificate", one, ["certificate"])
    for carry, name in ((1, "contacts"), (2, "listed")):
        valid_segment(f"certificate-{name}", first_entry(DEVICE_2, carry), ["certificate"])
    item = Item(successor(DEVICE_3.public, DEVICE_2))
    valid_segment("successor", Chain(DEVICE_3, 1, None, [item]), ["successor"])
    second = Chain(DEVICE_1, 2, one.last, [Item(post())])
    valid_segment("one-post", second, ["post"])
    valid_segment("confirms-itself", Chain(DEVICE_3, 2, PREV, [Item(device(1, DEVICE_3.public))]), ["device"])

    def single(name, item, content, seq=2):
        valid_segment(name, Chain(DEVICE_1, seq, PREV, [item]), [content])

    small, big = post(text_of("small", 100)), post(text_of("big", 2000))
    fits, over = post(text_of("fits", 1024 - 12)), post(text_of("over", 1025 - 12))
    assert len(fits) == 1024 and len(over) == 1025
    single("inline-largest", Item(fits), "post")
    single("inline-ttl-largest", Item(fits, 24, 60), "post")
    single("ttl-1-age-0", Item(small, 1), "post")
    single("ttl-largest", Item(small, 87600, 1), "post")
    single("age-largest", Item(small, 87600, 5_256_000), "post")
    single("age-beyond-ttl", Item(small, 1, 61), "post")
    single("empty-payload", Item(b""), "malformed")
    single("empty-payload-ttl", Item(b"", 5, 5), "malformed")
    single("detached-follows", Item(over, detached=True, follows=True), None)
    single("detached-absent", Item(big, detached=True), None)
    single("detached-small-absent", Item(small, detached=True), None)
    single("detached-one-byte", Item(b"x", detached=True), None)
    single("detached-ttl-age", Item(big, 24, 90, detached=True, follows=True), None)
    single("detached-age-largest", Item(small, 87600, 5_256_000, detached=True), None)
    largest = post(text_of("largest", 16384 - 12))
    assert len(largest) == 16384
    single("detached-largest", Item(largest, detached=True, follows=True), None)

    unknown = array(uint(12), tstr("later"), array(uint(1)))
    single("unknown-content", Item(unknown), "unknown")
    single("unknown-content-deep", Item(array(uint(20), b"\x81" * 1000 + b"\x00")), "unknown")
    single("malformed-post", Item(array(uint(1))), "malformed")
    single("malformed-not-cbor", Item(b"\xff\xff"), "malformed")
    single("malformed-not-array", Item(uint(1)), "malformed")
    single("malformed-trailing", Item(post() + b"\x00"), "malformed")
    single("certificate-not-first", Item(certificate(DEVICE_1.public)), "certificate")
    single("retraction-with-ttl", Item(retraction([(1, 1)]), 24), "retraction")

    mixed = [Item(post(f"entry {n}")) for n in range(5)]
    mixed[1] = Item(post("short-lived"), 24, 3)
    mixed[2] = Item(big, 48, 4, detached=True, follows=True)
    mixed[3] = Item(small, detached=True)
    valid_segment("mixed-forms", Chain(DEVICE_1, 10, PREV, mixed), ["post", "post", None, None, "post"])

    def run(name, first, count):
        items = [Item(post(f"entry {first + n}")) for n in range(count)]
        valid_segment(name, Chain(DEVICE_1, first, PREV, items), ["post"] * count)

    run("second-window", 2, 31)
    run("third-window", 33, 32)
    run("ends-at-checkpoint", 31, 2)
    run("checkpoint-alone", 32, 1)
    run("after-checkpoint", 33, 1)
    run("last-window", SEQ_END - 31, 31)
    run("last-seq", SEQ_END - 1, 1)
    run("seq-2-to-32", 2**32 - 1, 2)
    valid_segment("mixed-order-key", mixed_order_chain(0), ["post"])


def torsion():
    """A point of order 8."""
    for y in range(2, 100):
        x = ed25519.recover_x(y, 0)
        if x is not None:
            point = ed25519.multiply(ed25519.L, (x, y))
            if ed25519.multiply(4, point) != ed25519.IDENTITY:
                return point
    raise AssertionError


class ForgedKey:
    """A public key with a chosen point; its signatures follow from a function of the message."""

    seed = b""

    def __init__(self, public, sign):
        self.public, self.make = public, sign

    def sign(self, context, digest):
        return self.make(context.encode() + digest)


def mixed_order_chain(remainder):
    """One entry of a key that has a component of small order. Without the cofactor the equation holds only when the
    challenge is divisible by 8 (`remainder` 0); with it, always."""
    secret = ed25519.secret_scalar(DEVICE_1.seed)
    key = ed25519.encode_point(ed25519.add(ed25519.decode_point(DEVICE_1.public), torsion()))

    def sign(message):
        for nonce in range(1000, 2000):
            r = ed25519.encode_point(ed25519.multiply(nonce, ed25519.BASE))
            k = ed25519.challenge(r, key, message)
            if k % 8 == remainder:
                return r + ((nonce + k * secret) % ed25519.L).to_bytes(32, "little")
        raise AssertionError

    return Chain(ForgedKey(key, sign), 2, PREV, [Item(post("mixed order"))])


def valid_contents():
    def content(name, rule, data, fields, **derived):
        assert len(data) <= 16384
        valid(f"content-{name}", "content", rule, data, fields, **derived)

    def a_post(name, kind=1, **rest):
        fields = {"text": "hello", "time": TIME, "channel": None, "parents": [], "author": None} | rest
        rule = "post" if kind == 1 else "reply"
        shown = {"type": kind} | fields | {"parents": [p.hex() for p in fields["parents"]]}
        content(f"{rule}-{name}", rule, post(kind=kind, **fields), shown)

    parents = [bytes([n]) * 8 for n in range(1, 6)]
    a_post("plain")
    a_post("empty-text", text="")
    a_post("channel", channel="lisbon")
    a_post("channel-1-byte", channel="x")
    a_post("channel-64-bytes", channel="c" * 64)
    a_post("channel-64-bytes-of-32-letters", channel="é" * 32)
    a_post("one-parent-50-letters", text="t" * 50, parents=parents[:1])
    a_post("four-parents", parents=parents[:4])
    a_post("parents-differ-in-last-byte", parents=[bytes(8), bytes(7) + b"\1", bytes(7) + b"\2"])
    a_post("author", author="Marie (import)")
    a_post("author-1-byte", author="x")
    a_post("author-64-bytes", author="a" * 64)
    a_post("time-0", time=0)
    a_post("time-largest", time=2**40 - 1)
    a_post("unicode", text="żółw 🐢 \u202e \n\t\u0000", channel="日本")
    a_post("text-largest", text="t" * (16384 - 12))
    a_post("one-parent", kind=2, parents=parents[:1])
    a_post("first-parent-is-not-sorted", kind=2, parents=[parents[4], *parents[:3]])
    a_post("channel-author", kind=2, parents=parents[1:3], channel="lisbon", author="Marie")

    for name, who, about in (
        ("plain", "Alice", "Carries letters."),
        ("name-1-byte", "A", ""),
        ("name-64-bytes", "n" * 64, ""),
        ("about-1024-bytes", "Alice", "a" * 1024),
    ):
        fields = {"type": 3, "time": TIME, "name": who, "about": about}
        content(f"profile-{name}", "profile", profile(who, about), fields)
    for state, name in enumerate(("none", "follow", "block")):
        fields = {"type": 4, "time": TIME, "feed": DEVICE_2.public.hex(), "state": state}
        content(f"relation-{name}", "relation", relation(DEVICE_2.public, state), fields)

    def signed(name, rule, data, fields, context, covered, signer):
        digest = derive(context, covered)
        content(
            name,
            rule,
            data,
            fields | {"signature": data[-64:].hex()},
            signed_data=covered.hex(),
            digest=digest.hex(),
            signed_message=(context.encode() + digest).hex(),
            signer=signer.public.hex(),
            signer_seed=signer.seed.hex(),
            feed=feed.hex(),
        )

    feed = DEVICE_1.public
    for carry, name in enumerate(("open", "contacts", "listed")):
        fields = {"type": 5, "carry": carry, "account": ALICE.public.hex()}
        covered = certificate_data(feed, carry)
        signed(f"certificate-{name}", "certificate", certificate(feed, carry), fields, CERTIFICATE, covered, ALICE)
        fields = {"type": 6, "carry": carry, "account": ALICE.public.hex(), "retired": DEVICE_2.public.hex()}
        covered = successor_data(feed, carry, ALICE.public)
        data = successor(feed, DEVICE_2, carry)
        signed(f"successor-{name}", "successor", data, fields, SUCCESSOR, covered, DEVICE_2)
    for verb, name in ((1, "add"), (2, "revoke")):
        fields = {"type": 7, "account": ALICE.public.hex(), "verb": verb, "feed": DEVICE_2.public.hex()}
        covered = device_data(ALICE.public, verb, DEVICE_2.public)
        signed(f"device-{name}", "device", device(verb, DEVICE_2.public), fields, DEVICE, covered, ALICE)

    def a_receipt(name, state, ranges):
        shown = [{"feed": f.hex(), "first": a, "last": b} for f, a, b in ranges]
        fields = {"type": 8, "time": TIME, "state": state, "ranges": shown}
        content(f"receipt-{name}", "receipt", receipt(state, ranges), fields)

    a_receipt("delivered", 1, [(DEVICE_1.public, 2, 9)])
    a_receipt("read", 2, [(DEVICE_1.public, 2, 2), (DEVICE_2.public, 1, SEQ_END - 1)])
    a_receipt("64-ranges", 1, [(DEVICE_1.public, 2 * n + 1, 2 * n + 1) for n in range(64)])

    def a_retraction(name, ranges):
        fields = {"type": 9, "ranges": [{"first": a, "last": b} for a, b in ranges]}
        content(f"retraction-{name}", "retraction", retraction(ranges), fields)

    a_retraction("one", [(5, 5)])
    a_retraction("closest", [(2, 3), (5, 5)])
    a_retraction("everything", [(1, SEQ_END - 1)])
    a_retraction("64-ranges", [(2 * n + 1, 2 * n + 1) for n in range(64)])

    def unknown(name, kind, data, rule="unknown_content"):
        content(f"unknown-{name}", rule, data, {"type": kind})

    unknown("12", 12, array(uint(12)))
    unknown("with-a-map", 13, array(uint(13), b"\xa1\x01\x02", b"\xf9\x3c\x00"))
    unknown("largest-type", 2**64 - 1, array(uint(2**64 - 1), tstr("far")))
    unknown_deep = array(uint(20), b"\x81" * 100 + b"\x00")
    unknown("nested-100-deep", 20, unknown_deep)
    unknown("nested-10000-deep", 20, array(uint(20), b"\x81" * 10000 + b"\x00"), None)
    unknown("then-anything", 21, b"\x98\x20\x15\xff\x00", None)


def valid_forks():
    def one(name, a, b, seq):
        fields = {
            "version": 1,
            "feed": a.key.public.hex(),
            "chain_a": a.branch_fields(),
            "chain_b": b.branch_fields(),
        }
        valid(
            f"fork-{name}",
            "fork",
            "fork_proof",
            fork(a, b),
            fields,
            fork_seq=seq,
            first_entry_id_a=a.ids[0].hex(),
            first_entry_id_b=b.ids[0].hex(),
            headers_a=[h.hex() for h in a.headers],
            headers_b=[h.hex() for h in b.headers],
            last_entry_id_a=a.last.hex(),
            last_entry_id_b=b.last.hex(),
        )

    def posts(text, count, ttl=0):
        return [Item(post(f"{text} {n}"), ttl) for n in range(count)]

    def chain(first, prev, items):
        return Chain(DEVICE_1, first, prev, items)

    def same(name, first, a, b, prev_a=PREV, prev_b=PREV):
        one(name, *lower_first(chain(first, prev_a, a), chain(first, prev_b, b)), first)

    same("same-payload-differs", 5, posts("a", 1), posts("b", 1))
    same("same-prev-differs", 5, posts("a", 1), posts("a", 1), prev_b=OTHER)
    same("same-ttl-differs", 5, posts("a", 1), posts("a", 1, 24))
    same("same-unequal-lengths", 5, posts("a", 1), posts("b", 7))
    same("same-then-equal-payloads", 5, posts("a", 3), posts("b", 1) + posts("a", 3)[1:])
    same("same-32-headers", 20, posts("a", 32), posts("b", 32))
    same("same-at-1", 1, posts("a", 1), posts("b", 1), None, None)
    same("same-at-last-seq", SEQ_END - 1, posts("a", 1), posts("b", 1))
    a = chain(5, PREV, posts("a", 3))
    one("adjacent", a, chain(8, OTHER, posts("b", 2)), 8)
    a = chain(31, PREV, posts("a", 32))
    one("adjacent-32-headers", a, chain(63, OTHER, posts("b", 32)), 63)
    a = Chain(DEVICE_1, 1, None, posts("a", 1))
    one("adjacent-after-1", a, chain(2, OTHER, posts("b", 1)), 2)


def rows_of_heads(count, seed):
    feeds = sorted(derive("thistledown test", f"{seed} {n}".encode()) for n in range(count))
    return [(feed, 1, n + 1) for n, feed in enumerate(feeds)]


def valid_frames():
    def one(name, rule, data, kind, **fields):
        valid(f"frame-{name}", "frame", rule, data, {"kind": kind} | fields)

    def an_opening(name, **given):
        fields = {"reader": None, "whole": True, "position": 7, "log_hash": b"\x10" * 8, "ack": None} | given
        ack = fields["ack"]
        one(
            f"opening-{name}",
            "opening",
            opening(**fields),
            0,
            version=1,
            maker=DEVICE_1.public.hex(),
            **{"for": fields["reader"] and fields["reader"].hex()},
            whole=fields["whole"],
            position=fields["position"],
            log_hash=fields["log_hash"].hex(),
            ack=ack and {"position": ack[0], "hash": ack[1].hex()},
        )

    an_opening("public")
    an_opening("for-a-reader", reader=READER.public, whole=False)
    an_opening("ack", reader=READER.public, ack=(12, b"\x22" * 8))
    an_opening("position-0", position=0)
    an_opening("position-largest", position=2**64 - 1, reader=READER.public, ack=(2**64 - 1, bytes(8)))

    def row(r):
        return {"feed": r[0].hex(), "floor": r[1], "head": r[2], "forked": r[3] if len(r) > 3 else None}

    def a_heads(name, rows):
        one(f"heads-{name}", "heads", heads(rows), 3, heads=[row(r) for r in rows])

    few = rows_of_heads(3, "few")
    a_heads("one", few[:1])
    a_heads("floor", [(few[0][0], 33, 40)])
    a_heads("floor-is-head", [(few[0][0], SEQ_END - 1, SEQ_END - 1)])
    a_heads("forked", [few[0], (*few[1][:2], 9, 5), few[2]])
    a_heads("1024", rows_of_heads(1024, "many"))

    def a_wants(name, rows):
        shown = [{"feed": f.hex(), "first": a, "last": b, "what": w} for f, a, b, w in rows]
        one(f"wants-{name}", "wants", wants(rows), 4, wants=shown)

    a_wants("entries", [(DEVICE_2.public, 4, 9, 0)])
    a_wants("payloads", [(DEVICE_2.public, 4, 4, 1), (DEVICE_1.public, 1, SEQ_END - 1, 0)])
    a_wants("256", [(DEVICE_2.public, 2 * n + 1, 2 * n + 1, n % 2) for n in range(256)])

    one("statement", "statement", array(uint(5), bstr(bytes(range(64)))), 5, signature=bytes(range(64)).hex())

    def a_payload(name, payload):
        data = payload_frame(DEVICE_1.public, 9, payload)
        one(f"payload-{name}", "payload_frame", data, 2, feed=DEVICE_1.public.hex(), seq=9, payload=payload.hex())

    a_payload("empty", b"")
    a_payload("small", post())
    a_payload("largest", bytes(16384))
    a, b = lower_first(*(Chain(DEVICE_1, 5, PREV, [Item(post(t))]) for t in "ab"))
    proof = fork(a, b)
    one("fork", "fork_frame", fork_frame(proof), 6, proof=proof.hex())
    one("segment", "segment", first_entry().segment(), 1, segment=first_entry().fields())
    one("end-0", "end", end(0), 7, count=0)
    one("end", "end", end(70000), 7, count=70000)
    one("unknown", "unknown_frame", array(uint(8), tstr("later")), 8)
    one("unknown-with-a-map", "unknown_frame", array(uint(99), b"\xa1\x01\x02"), 99)


RULES = ["opening", "segment", "payload_frame", "heads", "wants", "statement", "fork_frame", "end"]


def frames_of(file):
    """The bodies of the frames of a file written here."""
    frames, at = [], 0
    while at < len(file):
        size = {0: 0, 24: 1, 25: 2, 26: 4}[file[at] & 31 if file[at] & 31 > 23 else 0]
        length = int.from_bytes(file[at + 1 : at + 1 + size], "big") if size else file[at] & 31
        frames.append((at, file[at + 1 + size : at + 1 + size + length]))
        at += 1 + size + length
    return frames


def kind_of(body):
    """The kind of a frame written here; any kind over 255 is as unknown as the next."""
    return body[1] if body[1] < 24 else body[2] if body[1] == 24 else 256


def a_bundle(name, front, body, fields, unknown=0, stated=True):
    file = bundle(front, body, stated=stated)
    frames = frames_of(file)
    at = next((at for at, data in frames if kind_of(data) == 5), None)
    digest = statement_digest(file[:at]) if stated else None
    rules = [RULES[kind_of(d)] if kind_of(d) < 8 else None for _, d in frames]
    fields = {
        "maker": DEVICE_1.public.hex(),
        "for": None,
        "whole": True,
        "position": 7,
        "log_hash": "10" * 8,
        "ack": None,
        "heads": [],
        "wants": [],
        "signature": frames[len(front)][1][-64:].hex() if stated else None,
        "body": [RULES[kind_of(d)] if kind_of(d) < 8 else None for d in body],
        "count": len(body),
    } | fields
    valid(
        f"bundle-{name}",
        "bundle",
        None,
        file,
        fields,
        frame_lengths=[len(d) for _, d in frames],
        frame_rules=rules,
        frame_offsets=[at for at, _ in frames],
        statement_covers=at,
        statement_digest=digest and digest.hex(),
        statement_message=digest and (BUNDLE.encode() + digest).hex(),
        secret_seed=DEVICE_1.seed.hex(),
        unknown_frames=unknown,
    )


def two_feeds():
    """Segments of two feeds, in the order of their keys, with the rows that announce them."""
    rows, body = [], []
    for key in sorted((DEVICE_1, DEVICE_2), key=lambda k: k.public):
        one = first_entry(key)
        rest = Chain(key, 2, one.last, [Item(post(f"post {n}")) for n in range(3)])
        rows.append((key.public, 1, 4))
        body += [one.segment(), rest.segment()]
    return rows, body


def shown_rows(rows):
    return [{"feed": r[0].hex(), "floor": r[1], "head": r[2], "forked": r[3] if len(r) > 3 else None} for r in rows]


def forked_feed():
    """A feed whose entry 3 exists twice."""
    one = first_entry()
    two = Chain(DEVICE_1, 2, one.last, [Item(post("two"))])
    a, b = lower_first(*(Chain(DEVICE_1, 3, two.last, [Item(post(f"three {t}"))]) for t in "ab"))
    return one, two, a, b


def valid_bundles():
    rows, body = two_feeds()
    a_bundle("empty", [opening()], [], {})
    a_bundle("without-a-statement", [opening(), heads(rows)], body, {"heads": shown_rows(rows)}, stated=False)
    a_bundle("two-feeds", [opening(), heads(rows)], body, {"heads": shown_rows(rows)})
    front = [opening(reader=READER.public, whole=False), heads(rows)]
    fields = {"for": READER.public.hex(), "whole": False, "heads": shown_rows(rows)}
    a_bundle("for-a-reader", front, body, fields)
    front = [opening(reader=READER.public, ack=(3, b"\x33" * 8)), heads(rows)]
    ack = {"position": 3, "hash": "33" * 8}
    a_bundle("ack", front, body, fields | {"whole": True, "ack": ack})
    asked = [(DEVICE_3.public, 1, 9, 0), (DEVICE_2.public, 4, 4, 1)]
    shown = [{"feed": f.hex(), "first": a, "last": b, "what": w} for f, a, b, w in asked]
    a_bundle("wants", [opening(), heads(rows), wants(asked)], [], {"heads": shown_rows(rows), "wants": shown})
    many = rows_of_heads(5, "bundle")
    front = [opening(), heads(many[:2]), heads(many[2:])]
    a_bundle("two-heads-frames", front, [], {"heads": shown_rows(many)})

    one = first_entry()
    big = Item(post(text_of("big", 5000)), detached=True, follows=True)
    gone = Item(post("dropped"), detached=True)
    rest = Chain(DEVICE_1, 2, one.last, [big, gone, Item(post("short-lived"), 24, 90)])
    row = [(DEVICE_1.public, 1, 4)]
    body = [one.segment(), rest.segment(), payload_frame(DEVICE_1.public, 2, big.payload)]
    a_bundle("detached", [opening(), heads(row)], body, {"heads": shown_rows(row)})
    a_bundle("detached-never-follows", [opening(), heads(row)], body[:2], {"heads": shown_rows(row)})
    wanted = [payload_frame(DEVICE_3.public, 9, post("asked for"))]
    a_bundle("payload-of-an-entry-not-here", [opening()], wanted, {})

    one, two, a, b = forked_feed()
    row = [(DEVICE_1.public, 1, 3, 3)]
    body = [one.segment(), two.segment(), a.segment(), b.segment(), fork_frame(fork(a, b))]
    a_bundle("forked", [opening(), heads(row)], body, {"heads": shown_rows(row)})
    later = array(uint(8), tstr("later"))
    deep = array(uint(300), b"\x81" * 10000 + b"\x00")
    a_bundle("unknown-frames", [opening(), later], [later, deep, first_entry().segment()], {}, unknown=3)
    largest = array(uint(8), bstr(bytes(65531)))
    assert len(largest) == 65536
    a_bundle("largest-frame", [opening()], [largest], {}, unknown=1)
    island = Chain(DEVICE_2, 33, PREV, [Item(post("island"))])
    a_bundle("island", [opening()], [island.segment()], {})


def valid_texts():
    for hrp, data in (
        ("feed", DEVICE_1.public),
        ("feed", DEVICE_2.public),
        ("acct", ALICE.public),
        ("entry", first_entry().last),
        ("feed", bytes(32)),
        ("feed", b"\xff" * 32),
    ):
        text = bech32(hrp, data)
        body = text[len(hrp) + 1 :]
        wrong = "q" if body[-1] != "q" else "p"
        refused = [
            bech32(hrp, data, BECH32),
            bech32("user", data),
            bech32(hrp, data[:31]),
            bech32(hrp, data + b"\x00"),
            bech32(hrp, data, pad=1),
            text[:-1] + wrong,
            text[:-1],
            text[:-1] + "b",
            text[:1].upper() + text[1:],
        ]
        name = f"text-{hrp}-{data.hex()[:8]}"
        fields = {"hrp": hrp, "bytes": data.hex(), "text": text}
        valid(name, "text_id", None, data, fields, short=body[:8], upper=text.upper(), refused=refused)
    for number, entropy in enumerate((ENTROPY, bytes(32), b"\xff" * 32, hashlib.sha256(b"thistle").digest())):
        words = phrase(entropy)
        key = Key(derive(ACCOUNT, entropy))
        swapped = [words[1], words[0], *words[2:]] if words[0] != words[1] else [*words[:-1], words[0]]
        refused = [
            swapped if not checks(swapped) else [*words[:-1], "thistle"],
            [*words[:-1], "thistle"],
            words[:23],
            [*words, words[0]],
        ]
        valid(
            f"phrase-{number}",
            "phrase",
            None,
            entropy,
            {"words": " ".join(words)},
            entropy=entropy.hex(),
            account_seed=key.seed.hex(),
            account=key.public.hex(),
            refused=[" ".join(r) for r in refused],
        )


def checks(words):
    return Mnemonic("english").check(" ".join(words))


def order_id(label):
    return derive("thistledown test", f"order {label}".encode())


def valid_orders():
    def one(name, entries, why):
        """Entries are (label or id, parents, time); parents are labels, ids or 8-byte prefixes."""
        ids = [key if isinstance(key, bytes) else order_id(key) for key, _, _ in entries]
        prefixes = [[(p if isinstance(p, bytes) else order_id(p))[:8] for p in ps] for _, ps, _ in entries]
        times = [time for _, _, time in entries]
        lamport = lamports(ids, prefixes)
        shown = sorted(range(len(ids)), key=lambda i: (lamport[i], times[i], ids[i]))
        listed = [
            {"id": i.hex(), "parents": [p.hex() for p in ps], "time": t}
            for i, ps, t in zip(ids, prefixes, times, strict=True)
        ]
        valid(
            f"order-{name}",
            "order",
            None,
            b"",
            {"entries": listed, "why": why},
            lamport=lamport,
            display=[ids[i].hex() for i in shown],
        )

    one("chain", [("a", [], 30), ("b", ["a"], 20), ("c", ["b"], 10)], "Parents go before any clock.")
    one("fan", [("a", [], 5), ("b", ["a"], 9), ("c", ["a"], 7), ("d", ["b", "c"], 1)], "Siblings go by time.")
    one("equal-times", [("a", [], 5), ("b", [], 5), ("c", [], 5)], "The EntryId settles what is left.")
    one("parent-not-held", [("b", ["a"], 9), ("c", ["b"], 8)], "A parent that is not held counts as 0.")
    one("arrived-backwards", [("c", ["b"], 10), ("b", ["a"], 20), ("a", [], 30)], "Arrival changes nothing.")
    one("largest-parent", [("a", [], 1), ("b", ["a"], 1), ("c", ["b"], 1), ("d", ["a", "c"], 0)], "1 + the largest.")
    twin = order_id("a")[:8] + bytes(24)
    entries = [("z", [], 1), ("a", [], 2), (twin, ["z"], 3), ("b", [twin], 0)]
    one("shared-prefix", entries, "A prefix means every entry that begins so; the largest counts.")
    one("own-prefix", [("a", ["a"], 1), ("b", ["a"], 0)], "An entry is never its own parent.")
    entries = [("a", ["b"], 1), ("b", ["a"], 2), ("c", ["b"], 0), ("d", [], 9)]
    one("circle", entries, "Entries that name each other in a circle share a lamport.")
    entries = [("z", [], 0), ("a", ["c", "z"], 9), ("b", ["a"], 5), ("c", ["b"], 1), ("d", ["a"], 0), ("e", ["d"], 0)]
    one("circle-in-the-middle", entries, "What is before a circle and what is after it keep their order.")
    entries = [("a", ["b"], 1), ("b", ["a", "d"], 2), ("c", ["d"], 3), ("d", ["c"], 4)]
    one("two-circles", entries, "A circle goes behind the one that it names.")
    entries = [("a", ["a"], 1), (twin, ["a"], 2), ("b", ["a"], 0)]
    one("twins-in-a-circle", entries, "Two entries of one prefix that name it name each other.")
    one("same-prefix-sibling", [("a", [], 9), (twin, ["a"], 1)], "A child that begins like its parent.")


def lamports(ids, prefixes):
    """1 + the largest of the parents outside the entry's own circle."""
    everyone = range(len(ids))
    before = [{j for j in everyone if j != i and ids[j][:8] in prefixes[i]} for i in everyone]
    parents = [set(b) for b in before]
    for via in everyone:
        for at in everyone:
            if via in before[at]:
                before[at] |= before[via]

    def lamport(i):
        circle = {i} | {j for j in before[i] if i in before[j]}
        outside = set().union(*(parents[member] for member in circle)) - circle
        return 1 + max(map(lamport, outside), default=0)

    return [lamport(i) for i in everyone]


# Invalid vectors.


def invalid(name, kind, data, error, why):
    INVALID.append({"name": f"{kind}-{name}", "kind": kind, "hex": data.hex(), "error": error, "why": why})


def integers(make, where, kind):
    """Longer encodings than needed, of each width, put where an integer belongs."""
    for width, number in ((1, 23), (2, 255), (4, 65535), (8, 2**32 - 1), (1, 2), (2, 2), (4, 2), (8, 2)):
        why = f"The {where} {number} takes {width} bytes after its head and would fit in fewer."
        invalid(f"long-integer-{number}-in-{width}-bytes", kind, make(uint(number, width)), "not_shortest", why)


def header_with(**changed):
    parts = {
        "version": uint(1),
        "feed": bstr(DEVICE_1.public),
        "seq": uint(2),
        "prev": bstr(PREV),
        "ttl": uint(0),
        "size": uint(1),
        "hash": bstr(derive(PAYLOAD, b"x")),
    } | changed
    return array(*parts.values())


def invalid_headers():
    def bad(name, data, error, why):
        invalid(name, "header", data, error, why)

    good = header_with()
    integers(lambda n: header_with(seq=n), "seq", "header")
    bad("long-array", b"\x98\x07" + good[1:], "not_shortest", "The array count takes a byte of its own.")
    bad(
        "long-bytes",
        header_with(feed=bstr(DEVICE_1.public, 2)),
        "not_shortest",
        "The length of the feed takes 2 bytes.",
    )
    bad("indefinite-array", b"\x9f" + good[1:] + b"\xff", "indefinite_length", "The array has no count.")
    chunked = b"\x5f" + bstr(DEVICE_1.public[:16]) + bstr(DEVICE_1.public[16:]) + b"\xff"
    bad("indefinite-bytes", header_with(feed=chunked), "indefinite_length", "The feed comes in chunks.")
    bad("indefinite-integer", header_with(seq=b"\x1f"), "indefinite_length", "Additional information 31 on an integer.")
    for info in (28, 29, 30):
        bad(
            f"reserved-{info}",
            header_with(seq=bytes([info])),
            "wrong_type",
            f"Additional information {info} is reserved.",
        )
    bad("trailing", good + b"\x00", "trailing_bytes", "A byte follows the header.")
    bad("twice", good + good, "trailing_bytes", "A second header follows.")
    bad("nothing", b"", "end_of_input", "There are no bytes.")
    for at, what in (
        (1, "array head"),
        (2, "version"),
        (3, "head of the feed"),
        (20, "feed"),
        (36, "feed"),
        (71, "middle of the prev"),
    ):
        bad(f"cut-at-{at}", good[:at], "end_of_input", f"Cut in or after the {what}.")
    bad("cut-by-one", good[:-1], "end_of_input", "The last byte of the hash is missing.")
    bad(
        "cut-in-seq",
        array(uint(1), bstr(DEVICE_1.public), b"\x1a\x00", *[b""] * 4),
        "end_of_input",
        "The seq claims 4 bytes; 1 is there.",
    )
    bad("an-integer", uint(1), "wrong_type", "An integer where an array is due.")
    bad("a-map", b"\xa7" + good[1:], "wrong_type", "A map where an array is due.")
    bad("a-text", tstr(good), "wrong_type", "A text where an array is due.")
    bad("tagged", b"\xc1" + good, "wrong_type", "A tag before the array.")
    bad("tagged-seq", header_with(seq=b"\xc2\x41\x02"), "wrong_type", "A tag where an integer is due.")
    bad("version-is-text", header_with(version=tstr("1")), "wrong_type", "The version is a text.")
    bad("feed-is-text", header_with(feed=tstr("f" * 32)), "wrong_type", "The feed is a text.")
    bad("seq-is-negative", header_with(seq=b"\x20"), "wrong_type", "The seq is -1.")
    bad("seq-is-float", header_with(seq=b"\xf9\x40\x00"), "wrong_type", "The seq is 2.0.")
    bad("seq-is-bool", header_with(seq=TRUE), "wrong_type", "The seq is true.")
    bad("prev-is-undefined", header_with(prev=b"\xf7"), "wrong_type", "The prev is undefined.")
    bad("prev-is-false", header_with(prev=FALSE), "wrong_type", "The prev is false.")
    bad("ttl-is-null", header_with(ttl=NULL), "wrong_type", "The ttl is null.")
    bad("six-elements", array(*[uint(1)] * 6), "wrong_length", "Six elements; the count is checked before them.")
    bad("eight-elements", array(*[uint(1)] * 8), "wrong_length", "Eight elements.")
    bad("no-elements", array(), "wrong_length", "No elements.")
    bad("claims-2-to-32-elements", head(4, 2**32), "wrong_length", "A count is a claim, not an allocation.")
    bad("claims-2-to-63-elements", head(4, 2**63), "wrong_length", "A count is a claim, not an allocation.")
    bad("feed-31-bytes", header_with(feed=bstr(DEVICE_1.public[:31])), "wrong_length", "The feed is a byte short.")
    bad("feed-33-bytes", header_with(feed=bstr(DEVICE_1.public + b"\0")), "wrong_length", "The feed is a byte long.")
    bad(
        "feed-claims-2-to-63", array(uint(1), head(2, 2**63), *[b""] * 5), "wrong_length", "The feed claims 2^63 bytes."
    )
    bad("prev-31-bytes", header_with(prev=bstr(PREV[:31])), "wrong_length", "The prev is a byte short.")
    bad("hash-33-bytes", header_with(hash=bstr(PREV + b"\0")), "wrong_length", "The hash is a byte long.")
    bad("version-0", header_with(version=uint(0)), "unsupported_version", "There is no version 0.")
    bad("version-2", header_with(version=uint(2)), "unsupported_version", "A later version.")
    bad("seq-0", header_with(seq=uint(0), prev=NULL), "out_of_range", "Seqs start at 1.")
    bad("seq-2-to-40", header_with(seq=uint(SEQ_END)), "over_limit", "The largest seq is 2^40 - 1.")
    bad("seq-largest-integer", header_with(seq=uint(2**64 - 1)), "over_limit", "The largest seq is 2^40 - 1.")
    bad("no-prev", header_with(prev=NULL), "out_of_range", "Only seq 1 has no prev.")
    bad("prev-at-1", header_with(seq=uint(1)), "out_of_range", "Seq 1 has no prev.")
    bad("ttl-87601", header_with(ttl=uint(87601)), "over_limit", "The largest ttl is 87600 hours.")
    bad("size-16385", header_with(size=uint(16385)), "over_limit", "The largest payload has 16384 bytes.")
    bad("nested-10000-deep", b"\x81" * 10000 + b"\0", "wrong_length", "The outermost array has one element.")


def invalid_segments():
    def bad(name, data, error, why):
        invalid(name, "segment", data, error, why)

    chain = Chain(DEVICE_1, 5, PREV, [Item(post(f"entry {n}")) for n in range(3)])
    good = chain.segment()

    def items(*encoded):
        return chain.segment(items=array(*encoded))

    integers(lambda n: chain.segment(first_seq=n), "first seq", "segment")
    bad("trailing", good + b"\0", "trailing_bytes", "A byte follows the segment.")
    bad("nothing", b"", "end_of_input", "There are no bytes.")
    for at in (1, 40, 80, len(good) - 65, len(good) - 1):
        bad(f"cut-at-{at}", good[:at], "end_of_input", "The segment is cut.")
    bad("five-elements", array(*[uint(1)] * 5), "wrong_length", "Five elements.")
    deep = array(b"\x81" * 10000 + b"\0")
    bad("items-nested-10000-deep", chain.segment(items=deep), "wrong_length", "An item of one element, however deep.")
    bad("version-2", chain.segment(version=uint(2)), "unsupported_version", "A later version.")
    bad(
        "indefinite-items",
        chain.segment(items=b"\x9f" + b"\x41x" + b"\xff"),
        "indefinite_length",
        "The items have no count.",
    )
    bad("indefinite-payload", items(b"\x5f\x41x\xff"), "indefinite_length", "The payload comes in chunks.")
    bad("long-payload-length", items(bstr(b"x", 1)), "not_shortest", "A length of 1 takes a byte of its own.")
    bad("items-are-bytes", chain.segment(items=bstr(b"x")), "wrong_type", "Bytes where the list is due.")
    bad("item-is-integer", items(uint(1)), "wrong_type", "An item is bytes or an array.")
    bad("item-is-null", items(NULL), "wrong_type", "An item is bytes or an array.")
    bad("item-is-text", items(tstr("x")), "wrong_type", "An item is bytes or an array.")
    bad("item-of-2", items(array(uint(1), bstr(b"x"))), "wrong_length", "An item has three or five elements.")
    four = array(uint(1), uint(0), uint(1), bstr(PREV))
    bad("item-of-4", items(four), "wrong_length", "An item has three or five elements.")
    bad("item-of-0", items(array()), "wrong_length", "An item has three or five elements.")
    bad(
        "follows-is-integer",
        items(array(uint(0), uint(0), uint(1), bstr(PREV), uint(0))),
        "wrong_type",
        "The flag is true or false.",
    )
    stop = items(array(uint(0), uint(0), uint(1), bstr(PREV), b"\xff"))
    bad("follows-is-a-stop-code", stop, "wrong_type", "The stop code of indefinite lengths is no flag.")
    long = items(array(uint(0), uint(0), uint(1), bstr(PREV), b"\xf8\x14"))
    bad("follows-in-two-bytes", long, "wrong_type", "A simple value in a longer form is none.")
    bad("signature-63-bytes", chain.segment(signature=bstr(bytes(63))), "wrong_length", "A signature has 64 bytes.")
    bad("signature-65-bytes", chain.segment(signature=bstr(bytes(65))), "wrong_length", "A signature has 64 bytes.")
    bad("no-items", chain.segment(items=array()), "out_of_range", "A segment has at least one entry.")
    many = Chain(DEVICE_1, 33, PREV, [Item(b"x")] * 33)
    bad("33-items", many.segment(), "over_limit", "A segment has at most 32 entries.")
    bad("claims-2-to-32-items", chain.segment(items=head(4, 2**32), signature=b""), "over_limit", "A count is a claim.")
    bad("claims-2-to-63-items", chain.segment(items=head(4, 2**63), signature=b""), "over_limit", "A count is a claim.")
    bad("payload-claims-2-to-32", items(head(2, 2**32)), "over_limit", "A length is a claim.")
    bad("payload-claims-2-to-63", items(head(2, 2**63)), "over_limit", "A length is a claim.")
    bad(
        "payload-1025-bytes",
        Chain(DEVICE_1, 5, PREV, [Item(bytes(1025))]).segment(),
        "over_limit",
        "Over 1024 bytes a payload is detached.",
    )
    bad(
        "payload-1025-bytes-ttl",
        Chain(DEVICE_1, 5, PREV, [Item(bytes(1025), 1)]).segment(),
        "over_limit",
        "Over 1024 bytes a payload is detached.",
    )
    over = Item(bytes(16385), detached=True)
    bad(
        "detached-16385-bytes",
        Chain(DEVICE_1, 5, PREV, [over]).segment(),
        "over_limit",
        "The largest payload has 16384 bytes.",
    )
    empty = Item(b"", detached=True)
    bad(
        "detached-0-bytes",
        Chain(DEVICE_1, 5, PREV, [empty]).segment(),
        "out_of_range",
        "An empty payload is never detached.",
    )
    bad(
        "ttl-87601",
        Chain(DEVICE_1, 5, PREV, [Item(b"x", 87601)]).segment(),
        "over_limit",
        "The largest ttl is 87600 hours.",
    )
    bad(
        "age-5256001",
        Chain(DEVICE_1, 5, PREV, [Item(b"x", 1, 5_256_001)]).segment(),
        "over_limit",
        "The largest age is 5256000 minutes.",
    )
    zero = items(array(uint(0), uint(0), bstr(b"x")))
    bad("inline-ttl-0", zero, "out_of_range", "Without a ttl the short form is due.")
    bad("inline-ttl-0-age", items(array(uint(0), uint(5), bstr(b"x"))), "out_of_range", "What is kept has no age.")
    aged = Item(b"x", 0, 5, detached=True)
    bad("detached-ttl-0-age", Chain(DEVICE_1, 5, PREV, [aged]).segment(), "out_of_range", "What is kept has no age.")
    bad("seq-0", chain.segment(first_seq=uint(0), prev=NULL), "out_of_range", "Seqs start at 1.")
    bad(
        "seq-2-to-40",
        Chain(DEVICE_1, SEQ_END, PREV, [Item(b"x")]).segment(),
        "over_limit",
        "The largest seq is 2^40 - 1.",
    )
    bad("no-prev", chain.segment(prev=NULL), "out_of_range", "Only seq 1 has no prev.")
    bad(
        "prev-at-1",
        Chain(DEVICE_1, 1, PREV, [Item(certificate(DEVICE_1.public))]).segment(),
        "out_of_range",
        "Seq 1 has no prev.",
    )

    def crossing(name, first, count, why):
        prev = None if first == 1 else PREV
        listed = [Item(certificate(DEVICE_1.public))] + [Item(b"x")] * (count - 1)
        bad(name, Chain(DEVICE_1, first, prev, listed).segment(), "crosses_window", why)

    crossing("crosses-from-1", 1, 2, "Entry 1 is a window of its own.")
    crossing("crosses-32", 32, 2, "A window ends at 32.")
    crossing("crosses-64", 40, 32, "A window ends at 64.")
    crossing("crosses-the-end", SEQ_END - 1, 2, "The last window ends at 2^40 - 1.")

    def signed(signature, name, why, error="bad_signature"):
        bad(name, chain.segment(signature=bstr(signature)), error, why)

    right = chain.signature
    signed(right[:-1] + bytes([right[-1] ^ 1]), "signature-flipped-bit", "One bit of S differs.")
    signed(bytes([right[0] ^ 1]) + right[1:], "signature-flipped-bit-in-r", "One bit of R differs.")
    signed(bytes(64), "signature-zero", "All zero: R is of small order.")
    signed(b"\xff" * 64, "signature-ff", "S is far over the group order.")
    signed(DEVICE_2.sign(ENTRY, chain.last), "signature-of-another", "Another feed signed it.")
    signed(DEVICE_1.sign(PAYLOAD, chain.last), "signature-other-context", "Signed in another context.")
    signed(DEVICE_1.secret.sign(chain.last), "signature-no-context", "Signed without the context.")
    signed(
        DEVICE_1.sign(ENTRY, chain.ids[0]), "signature-of-first", "The signature of the first entry, not of the last."
    )
    s = int.from_bytes(right[32:], "little") + ed25519.L
    signed(right[:32] + s.to_bytes(32, "little"), "signature-malleable", "S + L: the same equation, another encoding.")
    secret = ed25519.secret_scalar(DEVICE_1.seed)
    r = ed25519.encode_point(ed25519.IDENTITY)
    s = ed25519.challenge(r, DEVICE_1.public, ENTRY.encode() + chain.last) * secret % ed25519.L
    signed(r + s.to_bytes(32, "little"), "signature-small-order-r", "R is the identity; the equation itself holds.")
    bad(
        "mixed-order-key",
        mixed_order_chain(3).segment(),
        "bad_signature",
        "It holds only when multiplied by the cofactor.",
    )
    bad("wrong-prev", chain.segment(prev=bstr(OTHER)), "bad_signature", "Another prev makes other entries.")
    bad("wrong-first-seq", chain.segment(first_seq=uint(6)), "bad_signature", "Another seq makes other entries.")
    swapped = [chain.items[1].encode(), chain.items[0].encode(), chain.items[2].encode()]
    bad("items-swapped", items(*swapped), "bad_signature", "The order is signed.")
    bad("item-missing", items(*(i.encode() for i in chain.items[:2])), "bad_signature", "The last entry is missing.")
    changed = [Item(b"changed").encode(), *(i.encode() for i in chain.items[1:])]
    bad("payload-changed", items(*changed), "bad_signature", "The first payload is another one.")
    prev, ids = OTHER, []
    for offset, item in enumerate(chain.items[1:], 6):
        prev = derive(ENTRY, header(DEVICE_1.public, offset, prev, item.ttl, len(item.payload), item.hash))
        ids.append(prev)
    bad(
        "wrong-prev-inside",
        chain.segment(signature=bstr(DEVICE_1.sign(ENTRY, ids[-1]))),
        "bad_signature",
        "The author signed a chain whose second prev is another.",
    )
    one = Item(b"x", detached=True)
    other = array(uint(0), uint(0), uint(1), bstr(OTHER), FALSE)
    bad(
        "wrong-hash",
        Chain(DEVICE_1, 5, PREV, [one]).segment(items=array(other)),
        "bad_signature",
        "The hash is not the signed one.",
    )
    other = array(uint(0), uint(0), uint(2), bstr(one.hash), FALSE)
    bad(
        "wrong-size",
        Chain(DEVICE_1, 5, PREV, [one]).segment(items=array(other)),
        "bad_signature",
        "The size is not the signed one.",
    )
    aged = Chain(DEVICE_1, 5, PREV, [Item(b"x", 24)])
    other = array(uint(25), uint(0), bstr(b"x"))
    bad("wrong-ttl", aged.segment(items=array(other)), "bad_signature", "The ttl is signed.")
    invalid_keys(bad)
    invalid_certificates(bad)
    invalid_in_two_ways(bad, chain)


def invalid_keys(bad):
    def keyed(name, public, why, sign=lambda message: bytes(64)):
        chain = Chain(ForgedKey(public, sign), 5, PREV, [Item(post())])
        bad(name, chain.segment(), "bad_key", why)

    r = ed25519.encode_point(ed25519.multiply(7, ed25519.BASE))
    anything = r + (7).to_bytes(32, "little")
    keyed(
        "key-identity",
        ed25519.encode_point(ed25519.IDENTITY),
        "The feed is the identity: any [S]B signs everything.",
        lambda m: anything,
    )
    keyed("key-order-2", ed25519.encode_point((0, ed25519.P - 1)), "The feed is of order 2.")
    keyed("key-order-4", bytes(32), "The feed is of order 4.")
    keyed("key-order-8", ed25519.encode_point(torsion()), "The feed is of order 8.")
    keyed(
        "key-identity-negative-zero", b"\1" + bytes(30) + b"\x80", "The identity with a sign, which nothing encodes to."
    )
    keyed(
        "key-not-canonical",
        (ed25519.P + 3).to_bytes(32, "little"),
        "y is p + 3: the point exists, its encoding is another.",
    )
    keyed(
        "key-not-canonical-identity",
        (ed25519.P + 1).to_bytes(32, "little"),
        "y is p + 1: the identity, in another encoding.",
    )
    keyed(
        "key-not-canonical-signed", (ed25519.P + 4 | 1 << 255).to_bytes(32, "little"), "y is p + 4, with the sign bit."
    )
    keyed("key-not-on-the-curve", (2).to_bytes(32, "little"), "No point has y = 2.")
    keyed("key-all-ones", b"\xff" * 32, "y is over p.")


def invalid_certificates(bad):
    feed = DEVICE_1.public

    def first(name, item, why):
        bad(f"certificate-{name}", Chain(DEVICE_1, 1, None, [item]).segment(), "bad_certificate", why)

    right = certificate(feed)
    first("is-a-post", Item(post()), "Entry 1 is a post.")
    first("is-a-device-statement", Item(device(1, feed)), "Entry 1 is a device statement.")
    first("is-unknown", Item(array(uint(12))), "Entry 1 is of an unknown type.")
    first("is-empty", Item(b""), "Entry 1 has no content.")
    first("is-malformed", Item(right[:-1]), "The certificate is cut.")
    first("trailing", Item(right + b"\0"), "A byte follows the certificate.")
    first("with-ttl", Item(right, 24), "A certificate is kept for ever.")
    first("detached", Item(right, detached=True), "Entry 1 travels with its payload.")
    first("detached-follows", Item(right, detached=True, follows=True), "Entry 1 travels with its payload.")
    first("of-another-feed", Item(certificate(DEVICE_2.public)), "The account certified another feed.")
    first("carry-changed", Item(right[:2] + b"\1" + right[3:]), "The account certified another carry rule.")
    first("carry-3", Item(certificate(feed, 3)), "There is no carry rule 3.")
    first("bad-signature", Item(certificate(feed, signature=bytes(range(64)))), "The signature is not the account's.")
    first(
        "signed-by-feed",
        Item(certificate(feed, signature=DEVICE_1.sign(CERTIFICATE, derive(CERTIFICATE, certificate_data(feed, 0))))),
        "The feed signed where the account must.",
    )
    wrong = ALICE.sign(ENTRY, derive(CERTIFICATE, certificate_data(feed, 0)))
    first("other-context", Item(certificate(feed, signature=wrong)), "Signed in the context of entries.")
    weak = array(
        uint(5),
        uint(0),
        bstr(ed25519.encode_point(ed25519.IDENTITY)),
        bstr(ed25519.encode_point(ed25519.multiply(7, ed25519.BASE)) + (7).to_bytes(32, "little")),
    )
    first("weak-account", Item(weak), "The account is a key of small order.")
    first(
        "successor-signed-by-account",
        Item(
            successor(
                feed,
                DEVICE_2,
                signature=ALICE.sign(SUCCESSOR, derive(SUCCESSOR, successor_data(feed, 0, ALICE.public))),
            )
        ),
        "The account signed where the retired feed must.",
    )
    first(
        "successor-of-another-feed",
        Item(successor(DEVICE_3.public, DEVICE_2)),
        "The retired feed named another successor.",
    )
    first("successor-of-itself", Item(successor(feed, DEVICE_1)), "A feed cannot go on in itself.")
    first("successor-with-ttl", Item(successor(feed, DEVICE_2), 24), "A successor statement is kept for ever.")
    weak = ed25519.encode_point(torsion())
    unsigned = array(uint(6), uint(0), bstr(ALICE.public), bstr(weak), bstr(bytes(64)))
    first("successor-weak-feed", Item(unsigned), "The retired feed is a key of small order.")


def invalid_in_two_ways(bad, chain):
    """The order of checks: the earlier one names the error."""
    weak = bstr(ed25519.encode_point(ed25519.IDENTITY))
    first = chain.segment(version=uint(2), first_seq=uint(0))
    bad("both-version-and-seq", first, "unsupported_version", "The version comes before the seq.")
    late = chain.segment(first_seq=uint(0), signature=bstr(bytes(63)))
    bad("both-seq-and-signature-length", late, "out_of_range", "The seq comes before the signature.")
    sized = array(uint(0), uint(0), uint(0), bstr(bytes(31)), uint(1))
    bad("both-size-and-hash", chain.segment(items=array(sized)), "out_of_range", "The size comes before the hash.")
    aged = array(uint(0), uint(5), uint(16385), bstr(PREV), FALSE)
    bad("both-age-and-size", chain.segment(items=array(aged)), "out_of_range", "The age comes before the size.")
    cut = chain.segment(items=head(4, 33), signature=b"")
    bad("both-count-and-cut", cut, "over_limit", "The count is read before its items.")
    crossing = Chain(DEVICE_1, 32, PREV, [Item(b"x"), Item(b"x")])
    trailing = crossing.segment() + b"\0"
    bad("both-trailing-and-window", trailing, "trailing_bytes", "Decoding ends before the window is looked at.")
    bad("both-window-and-key", crossing.segment(feed=weak), "crosses_window", "The window is checked before the key.")
    unsigned = crossing.segment(signature=bstr(bytes(64)))
    bad("both-window-and-signature", unsigned, "crosses_window", "The window is checked before the signature.")
    bad("both-key-and-signature", chain.segment(feed=weak), "bad_key", "The key is checked before the signature.")
    post_first = Chain(DEVICE_1, 1, None, [Item(post())]).segment(signature=bstr(bytes(range(64))))
    bad("both-signature-and-certificate", post_first, "bad_signature", "The signature is checked before entry 1.")


def invalid_contents():
    def bad(name, data, error, why):
        invalid(name, "content", data, error, why)

    def posted(*parts, **at):
        full = [uint(1), uint(TIME), NULL, tstr("hello"), array()]
        for index, value in at.items():
            full[int(index[1:])] = value
        return array(*full, *parts)

    p = [bstr(bytes([n]) * 8) for n in range(1, 7)]
    good = posted()
    bad("nothing", b"", "end_of_input", "There are no bytes.")
    bad("no-elements", array(), "wrong_length", "An array without a type.")
    bad("type-0", array(uint(0)), "unknown_kind", "Type 0 is never used.")
    bad("type-is-text", array(tstr("post")), "wrong_type", "The type is an integer.")
    bad("type-is-negative", array(b"\x20"), "wrong_type", "The type is an unsigned integer.")
    bad("type-in-two-bytes", b"\x85\x18\x01" + good[2:], "not_shortest", "The type 1 takes a byte of its own.")
    bad("a-map", b"\xa1\x01\x02", "wrong_type", "Content is an array.")
    bad("payload-16385-bytes", array(uint(12), bstr(bytes(16380))), "over_limit", "A payload has at most 16384 bytes.")
    bad(
        "post-nested-10000-deep",
        posted(a4=array(b"\x81" * 10000 + b"\0")),
        "wrong_type",
        "An array where a parent is due.",
    )
    bad("post-trailing", good + b"\0", "trailing_bytes", "A byte follows the post.")
    bad(
        "post-4-elements",
        array(uint(1), uint(TIME), NULL, tstr("")),
        "wrong_length",
        "A post has five or six elements.",
    )
    bad("post-7-elements", posted(tstr("a"), tstr("b")), "wrong_length", "A post has five or six elements.")
    bad("post-indefinite", b"\x9f" + good[1:] + b"\xff", "indefinite_length", "The array has no count.")
    bad(
        "post-indefinite-text",
        posted(a3=b"\x7f" + tstr("hel") + tstr("lo") + b"\xff"),
        "indefinite_length",
        "The text comes in chunks.",
    )
    bad("post-time-2-to-40", posted(a1=uint(2**40)), "over_limit", "Times end at 2^40.")
    bad("post-time-negative", posted(a1=b"\x20"), "wrong_type", "Times start at 0.")
    bad("post-time-float", posted(a1=b"\xfb\x41\xda\x3a\x45\xd0\x00\x00\x00"), "wrong_type", "Times are whole seconds.")
    bad("post-time-tagged", posted(a1=b"\xc1" + uint(TIME)), "wrong_type", "Times carry no tag.")
    bad("post-channel-empty", posted(a2=tstr("")), "out_of_range", "A channel has a name.")
    bad("post-channel-65-bytes", posted(a2=tstr("c" * 65)), "over_limit", "A channel has at most 64 bytes.")
    bad(
        "post-channel-65-bytes-of-33-letters",
        posted(a2=tstr("é" * 32 + "c")),
        "over_limit",
        "Bytes count, not letters.",
    )
    bad("post-channel-is-bytes", posted(a2=bstr(b"c")), "wrong_type", "A channel is a text.")
    for name, text in (
        ("ff", b"\xff"),
        ("cut", b"ab\xc3"),
        ("overlong", b"\xc0\xaf"),
        ("surrogate", b"\xed\xa0\x80"),
        ("beyond", b"\xf4\x90\x80\x80"),
    ):
        bad(f"post-utf8-{name}", posted(a3=tstr(text)), "bad_utf8", "The text is not UTF-8.")
    bad("post-channel-utf8", posted(a2=tstr(b"\x80")), "bad_utf8", "The channel is not UTF-8.")
    bad("post-text-is-bytes", posted(a3=bstr(b"hello")), "wrong_type", "A text is a text.")
    bad("post-text-is-null", posted(a3=NULL), "wrong_type", "A text is there, if empty.")
    bad("post-text-claims-16385", posted(a3=head(3, 16385), a4=b""), "over_limit", "A text fits in a payload.")
    bad("post-text-claims-2-to-32", posted(a3=head(3, 2**32), a4=b""), "over_limit", "A length is a claim.")
    bad("post-text-claims-2-to-63", posted(a3=head(3, 2**63), a4=b""), "over_limit", "A length is a claim.")
    bad(
        "post-text-claims-16000",
        posted(a3=head(3, 16000), a4=b""),
        "end_of_input",
        "Within the limit, beyond the input.",
    )
    bad("post-parents-unsorted", posted(a4=array(p[1], p[0])), "out_of_range", "The parents of a post ascend.")
    bad("post-parents-equal", posted(a4=array(p[0], p[0])), "out_of_range", "A parent is named once.")
    bad("post-5-parents", posted(a4=array(*p[:5])), "over_limit", "There are at most 4 parents.")
    bad("post-parents-claim-2-to-32", posted(a4=head(4, 2**32)), "over_limit", "A count is a claim.")
    bad("post-parent-7-bytes", posted(a4=array(bstr(bytes(7)))), "wrong_length", "A parent has 8 bytes.")
    bad("post-parent-32-bytes", posted(a4=array(bstr(bytes(32)))), "wrong_length", "A parent has 8 bytes.")
    bad("post-parent-is-integer", posted(a4=array(uint(1))), "wrong_type", "A parent is bytes.")
    bad("post-author-empty", posted(tstr("")), "out_of_range", "An author has a name, or is left out.")
    bad("post-author-65-bytes", posted(tstr("a" * 65)), "over_limit", "An author has at most 64 bytes.")
    bad("post-author-null", posted(NULL), "wrong_type", "An author is left out, not null.")
    bad("post-cut", good[:-1], "end_of_input", "The parents are missing.")
    bad("reply-no-parent", posted(a0=uint(2)), "out_of_range", "A reply answers something.")
    bad("reply-5-parents", posted(a0=uint(2), a4=array(*p[:5])), "over_limit", "There are at most 4 parents.")
    bad(
        "reply-rest-unsorted",
        posted(a0=uint(2), a4=array(p[0], p[3], p[2])),
        "out_of_range",
        "After the first, the parents ascend.",
    )
    bad("reply-rest-equal", posted(a0=uint(2), a4=array(p[0], p[2], p[2])), "out_of_range", "A parent is named once.")
    bad(
        "reply-first-again",
        posted(a0=uint(2), a4=array(p[2], p[1], p[2])),
        "out_of_range",
        "The first parent comes back.",
    )

    late = posted(a4=array(p[1], p[0], uint(1)))
    bad("post-both-order-and-type", late, "out_of_range", "The order is looked at element by element.")
    late = posted(a0=uint(2), a4=array(p[0], p[0], uint(1)))
    bad("reply-both-order-and-type", late, "out_of_range", "The order is looked at element by element.")
    late = posted(tstr(""), a4=array(p[1], p[0]))
    bad("post-both-parents-and-author", late, "out_of_range", "The parents come before the author.")
    late = posted(a1=uint(2**40), a2=bstr(b"c"))
    bad("post-both-time-and-channel", late, "over_limit", "The time comes before the channel.")
    bad("post-both-count-and-type", array(uint(1), tstr("")), "wrong_length", "The count comes before the elements.")
    bad("profile-name-empty", profile(""), "out_of_range", "A name is not empty.")
    bad("profile-name-65-bytes", profile("n" * 65), "over_limit", "A name has at most 64 bytes.")
    bad("profile-about-1025-bytes", profile(about="a" * 1025), "over_limit", "The about has at most 1024 bytes.")
    bad("profile-3-elements", array(uint(3), uint(TIME), tstr("A")), "wrong_length", "A profile has four elements.")
    bad("relation-state-3", relation(DEVICE_2.public, 3), "out_of_range", "There are states 0, 1 and 2.")
    bad(
        "relation-state-true",
        array(uint(4), uint(TIME), bstr(DEVICE_2.public), TRUE),
        "wrong_type",
        "The state is an integer.",
    )
    bad("relation-feed-8-bytes", relation(bytes(8), 1), "wrong_length", "A feed has 32 bytes.")
    bad("certificate-carry-3", certificate(DEVICE_1.public, 3), "out_of_range", "There are carry rules 0, 1 and 2.")
    bad(
        "certificate-3-elements",
        array(uint(5), uint(0), bstr(ALICE.public)),
        "wrong_length",
        "A certificate has four elements.",
    )
    bad(
        "certificate-signature-63-bytes",
        certificate(DEVICE_1.public, signature=bytes(63)),
        "wrong_length",
        "A signature has 64 bytes.",
    )
    bad(
        "successor-carry-3",
        successor(DEVICE_1.public, DEVICE_2, 3),
        "out_of_range",
        "There are carry rules 0, 1 and 2.",
    )
    bad("device-verb-0", device(0, DEVICE_2.public), "out_of_range", "The verbs are 1 and 2.")
    bad("device-verb-3", device(3, DEVICE_2.public), "out_of_range", "The verbs are 1 and 2.")
    one = (DEVICE_1.public, 1, 1)
    bad("receipt-state-0", receipt(0, [one]), "out_of_range", "The states are 1 and 2.")
    bad("receipt-state-3", receipt(3, [one]), "out_of_range", "The states are 1 and 2.")
    bad("receipt-empty", receipt(1, []), "out_of_range", "A receipt names at least one range.")
    bad("receipt-65-ranges", receipt(1, [one] * 65), "over_limit", "There are at most 64 ranges.")
    bad("receipt-backwards", receipt(1, [(DEVICE_1.public, 3, 2)]), "out_of_range", "The last is not before the first.")
    bad(
        "receipt-range-of-2",
        array(uint(8), uint(TIME), uint(1), array(array(uint(1), uint(1)))),
        "wrong_length",
        "A range of a receipt names its feed.",
    )
    bad("receipt-seq-0", receipt(1, [(DEVICE_1.public, 0, 1)]), "out_of_range", "Seqs start at 1.")
    bad("retraction-empty", retraction([]), "out_of_range", "A retraction names at least one range.")
    bad(
        "retraction-65-ranges",
        retraction([(2 * n + 1, 2 * n + 1) for n in range(65)]),
        "over_limit",
        "There are at most 64 ranges.",
    )
    bad("retraction-touching", retraction([(1, 2), (3, 4)]), "out_of_range", "These two are one range.")
    bad("retraction-overlapping", retraction([(1, 5), (4, 9)]), "out_of_range", "The ranges overlap.")
    bad("retraction-descending", retraction([(7, 8), (2, 3)]), "out_of_range", "The ranges ascend.")
    bad("retraction-backwards", retraction([(5, 4)]), "out_of_range", "The last is not before the first.")
    bad("retraction-seq-0", retraction([(0, 4)]), "out_of_range", "Seqs start at 1.")
    late = retraction([(0, SEQ_END)])
    bad("retraction-both-first-and-last", late, "out_of_range", "The first comes before the last.")
    late = retraction([(5, 6), (6, SEQ_END)])
    bad("retraction-both-order-and-last", late, "out_of_range", "The order is looked at with the first seq.")
    late = retraction([(5, 6), (2, 3)]) + b"\0"
    bad("retraction-both-order-and-trailing", late, "out_of_range", "Trailing bytes are looked for last.")
    late = receipt(1, [(DEVICE_1.public, 0, SEQ_END)])
    bad("receipt-both-first-and-last", late, "out_of_range", "The first comes before the last.")
    bad("retraction-seq-2-to-40", retraction([(1, SEQ_END)]), "over_limit", "The largest seq is 2^40 - 1.")


def invalid_forks():
    def bad(name, data, error, why):
        invalid(name, "fork", data, error, why)

    def chain(first, items, prev=PREV, key=DEVICE_1):
        return Chain(key, first, prev, [Item(post(text)) for text in items])

    a, b = lower_first(chain(5, ["a", "more"]), chain(5, ["b", "more"]))
    good = fork(a, b)
    bad("trailing", good + b"\0", "trailing_bytes", "A byte follows the proof.")
    bad("cut", good[:-1], "end_of_input", "The last byte is missing.")
    bad("three-elements", array(uint(1), bstr(DEVICE_1.public), a.branch()), "wrong_length", "A proof has two chains.")
    bad("version-2", fork(a, b, version=uint(2)), "unsupported_version", "A later version.")
    bad(
        "chain-of-3-elements",
        fork(a, b, a=array(uint(5), bstr(PREV), array())),
        "wrong_length",
        "A chain has four elements.",
    )
    bad(
        "chain-empty",
        fork(a, b, a=array(uint(5), bstr(PREV), array(), bstr(a.signature))),
        "out_of_range",
        "A chain has at least one header.",
    )
    long = Chain(DEVICE_1, 5, PREV, [Item(b"x")] * 33)
    bad("chain-of-33", fork(long, b), "over_limit", "A chain has at most 32 headers.")
    bad("second-chain-of-33", fork(a, long), "over_limit", "A chain has at most 32 headers.")
    bad(
        "seq-0",
        fork(a, b, a=array(uint(0), NULL, array(array(uint(0), uint(0), bstr(PREV))), bstr(a.signature))),
        "out_of_range",
        "Seqs start at 1.",
    )
    end_a, end_b = (Chain(DEVICE_1, SEQ_END - 1, PREV, [Item(t), Item(t)]) for t in (b"a", b"b"))
    late = array(uint(SEQ_END - 1), bstr(PREV), array(array(), array()), bstr(a.signature))
    bad("both-last-seq-and-header", fork(a, b, a=late), "over_limit", "The last seq is known with the count.")
    bad("beyond-the-last-seq", fork(*lower_first(end_a, end_b)), "over_limit", "The second header would have seq 2^40.")
    bad(
        "no-prev",
        fork(a, b, a=array(uint(5), NULL, array(array(uint(0), uint(1), bstr(PREV))), bstr(a.signature))),
        "out_of_range",
        "Only seq 1 has no prev.",
    )
    sized = array(uint(5), bstr(PREV), array(array(uint(0), uint(16385), bstr(PREV))), bstr(a.signature))
    bad("size-16385", fork(a, b, a=sized), "over_limit", "The largest payload has 16384 bytes.")
    sized = array(uint(5), bstr(PREV), array(array(uint(87601), uint(1), bstr(PREV))), bstr(a.signature))
    bad("ttl-87601", fork(a, b, a=sized), "over_limit", "The largest ttl is 87600 hours.")
    other = array(uint(5), bstr(PREV), array(array(uint(0), uint(1))), bstr(a.signature))
    bad("header-of-2-elements", fork(a, b, a=other), "wrong_length", "Ttl, size and hash.")
    bad("nested-10000-deep", b"\x81" * 10000 + b"\0", "wrong_length", "The outermost array has one element.")
    bad(
        "weak-key",
        fork(a, b, feed=bstr(ed25519.encode_point(ed25519.IDENTITY))),
        "bad_key",
        "The feed is a key of small order.",
    )
    bad("bad-signature-a", fork(a, b, a=a.branch(bytes(range(64)))), "bad_signature", "The first chain is not signed.")
    bad("bad-signature-b", fork(a, b, b=b.branch(bytes(range(64)))), "bad_signature", "The second chain is not signed.")
    bad(
        "signatures-swapped",
        fork(a, b, a=a.branch(b.signature), b=b.branch(a.signature)),
        "bad_signature",
        "Each signature covers the other chain.",
    )
    unsigned = fork(b, a, a=b.branch(bytes(range(64))))
    bad("both-signature-and-order", unsigned, "bad_signature", "The signatures are checked before the shape.")
    unsigned = fork(a, a, b=a.branch(bytes(range(64))))
    bad("both-signature-and-equal", unsigned, "bad_signature", "The signatures are checked before the shape.")
    weak = fork(a, b, feed=bstr(bytes(32)), b=b.branch(bytes(range(64))))
    bad("both-key-and-signature", weak, "bad_key", "The key is checked before the signatures.")
    bad("equal", fork(a, a), "not_a_fork", "Both chains are the same.")
    longer = Chain(DEVICE_1, 5, PREV, [*a.items, Item(post("longer"))])
    bad("one-continues-the-other", fork(a, longer), "not_a_fork", "The first headers are the same.")
    c, d = chain(5, ["same", "a"]), chain(5, ["same", "b"])
    bad(
        "first-headers-equal",
        fork(*lower_first(c, d)),
        "not_a_fork",
        "The chains differ only after their first headers.",
    )
    bad("wrong-order", fork(b, a), "not_a_fork", "The chain with the lower first EntryId comes first.")
    follows = chain(7, ["next"], a.last)
    bad("adjacent-no-fork", fork(a, follows), "not_a_fork", "The second chain continues the first.")
    follows = chain(7, ["next"], OTHER)
    bad("adjacent-wrong-order", fork(follows, a), "not_a_fork", "The earlier chain comes first.")
    bad("gap", fork(a, chain(8, ["later"], OTHER)), "not_a_fork", "A header is missing between the chains.")
    bad("overlap", fork(a, chain(6, ["later"], OTHER)), "not_a_fork", "The second chain begins inside the first.")


def invalid_frames():
    def bad(name, data, error, why):
        invalid(name, "frame", data, error, why)

    few = rows_of_heads(3, "few")
    bad("no-elements", array(), "wrong_length", "An array without a kind.")
    bad("not-an-array", uint(7), "wrong_type", "A frame holds an array.")
    bad("kind-is-text", array(tstr("end")), "wrong_type", "The kind is an integer.")
    bad("kind-in-two-bytes", b"\x82\x18\x07\x00", "not_shortest", "The kind 7 takes a byte of its own.")
    bad("nested-10000-deep", b"\x81" * 10000 + b"\0", "wrong_type", "An array where the kind is due.")
    bad("opening-7-elements", array(uint(0), *[uint(1)] * 6), "wrong_length", "An opening has eight elements.")
    bad("opening-version-2", opening(version=2), "unsupported_version", "A later version.")
    bad(
        "opening-whole-is-integer",
        opening().replace(b"\xf6\xf5\x07", b"\xf6\x01\x07"),
        "wrong_type",
        "The flag is true or false.",
    )
    bad("opening-hash-7-bytes", opening(log_hash=bytes(7)), "wrong_length", "The hash has 8 bytes.")
    bad("opening-ack-empty", opening()[:-1] + array(), "wrong_length", "An ack is a position and a hash.")
    bad("opening-maker-31-bytes", opening(maker=bytes(31)), "wrong_length", "A feed has 32 bytes.")
    bad("opening-cut", opening()[:-1], "end_of_input", "The ack is missing.")
    bad("opening-trailing", opening() + b"\0", "trailing_bytes", "A byte follows the opening.")
    bad("heads-empty", heads([]), "out_of_range", "A frame of heads names at least one.")
    bad("heads-1025", array(uint(3), head(4, 1025)), "over_limit", "A frame names at most 1024 heads.")
    bad("heads-1024-cut", array(uint(3), head(4, 1024)), "end_of_input", "1024 heads are allowed; none is there.")
    bad("heads-claim-2-to-63", array(uint(3), head(4, 2**63)), "over_limit", "A count is a claim.")
    bad("heads-unsorted", heads([few[1], few[0]]), "out_of_range", "Feeds ascend.")
    bad("heads-equal", heads([few[0], few[0]]), "out_of_range", "A feed is named once.")
    bad("heads-floor-over-head", heads([(few[0][0], 5, 4)]), "out_of_range", "The floor is not above the head.")
    bad("heads-floor-0", heads([(few[0][0], 0, 4)]), "out_of_range", "Seqs start at 1.")
    bad("heads-fork-0", heads([(*few[0], 0)]), "out_of_range", "Seqs start at 1.")
    bad("heads-head-2-to-40", heads([(few[0][0], 1, SEQ_END)]), "over_limit", "The largest seq is 2^40 - 1.")
    bad("heads-row-of-2", heads([few[0][:2]]), "wrong_length", "A row has three or four elements.")
    bad("heads-row-of-5", heads([(*few[0], 1, 1)]), "wrong_length", "A row has three or four elements.")
    bad("wants-empty", wants([]), "out_of_range", "A frame of wants names at least one.")
    bad("wants-257", array(uint(4), head(4, 257)), "over_limit", "There are at most 256 wants.")
    bad("wants-256-cut", array(uint(4), head(4, 256)), "end_of_input", "256 wants are allowed; none is there.")
    bad("wants-backwards", wants([(DEVICE_1.public, 2, 1, 0)]), "out_of_range", "The last is not before the first.")
    bad("wants-what-2", wants([(DEVICE_1.public, 1, 1, 2)]), "out_of_range", "Entries are 0, payloads 1.")
    bad(
        "wants-row-of-3",
        array(uint(4), array(array(bstr(DEVICE_1.public), uint(1), uint(1)))),
        "wrong_length",
        "A want has four elements.",
    )
    bad("statement-63-bytes", array(uint(5), bstr(bytes(63))), "wrong_length", "A signature has 64 bytes.")
    cut = array(uint(2), bstr(DEVICE_1.public), uint(2), head(2, 16385) + b"x")
    bad("payload-16385-bytes", cut, "over_limit", "The largest payload has 16384 bytes.")
    cut = array(uint(2), bstr(DEVICE_1.public), uint(2), head(2, 16384) + b"x")
    bad("payload-16384-bytes-cut", cut, "end_of_input", "16384 bytes are allowed; one is there.")
    bad("payload-seq-0", payload_frame(DEVICE_1.public, 0, b"x"), "out_of_range", "Seqs start at 1.")
    bad(
        "payload-3-elements",
        array(uint(2), bstr(DEVICE_1.public), uint(1)),
        "wrong_length",
        "A payload frame has four elements.",
    )
    bad(
        "payload-claims-2-to-63",
        array(uint(2), bstr(DEVICE_1.public), uint(1), head(2, 2**63)),
        "over_limit",
        "A length is a claim.",
    )
    bad("fork-nothing", head(4, 2) + uint(6), "end_of_input", "The proof is missing.")
    bad("fork-not-nested", fork_frame(bstr(b"x")), "wrong_type", "The proof is an array.")
    bad("fork-trailing", fork_frame(array(uint(1))), "wrong_length", "The proof has one element.")
    bad("heads-both-order-and-floor", heads([few[1], (few[0][0], 0, 0)]), "out_of_range", "Feeds ascend.")
    late = heads([few[1], (few[0][0], SEQ_END, 0)])
    bad("heads-both-order-and-limit", late, "out_of_range", "The order is looked at with the feed.")
    bad("segment-version-is-kind", array(uint(1)), "wrong_length", "A segment has six elements.")
    bad("end-1-element", array(uint(7)), "wrong_length", "The end has a count.")
    bad("end-negative", array(uint(7), b"\x20"), "wrong_type", "The count is an unsigned integer.")


def invalid_bundles():
    def bad(name, data, error, why):
        invalid(name, "bundle", data, error, why)

    rows, body = two_feeds()
    front = [opening(), heads(rows)]
    good = bundle(front, body)
    starts = [at for at, _ in frames_of(good)]

    def after_opening(raw):
        """A file whose second frame is these bytes as they are."""
        return frame(opening()) + raw + good[starts[2] :]

    bad("no-bytes", b"", "empty_file", "The file is empty.")
    bad("no-opening", good[starts[1] :], "foreign_file", "The file starts with heads.")
    bad("a-segment-alone", frame(body[0]), "foreign_file", "The file is one frame with a segment.")
    bad(
        "a-text-file",
        b"Dear Alice, the stick is in the usual place.\n" * 4,
        "foreign_file",
        "The first bytes are a byte string, by chance, and hold no opening.",
    )
    bad("a-picture", b"\x89PNG\r\n\x1a\n" + bytes(64), "foreign_file", "The first bytes are no byte string.")
    bad(
        "an-unwrapped-opening",
        opening() + good[starts[1] :],
        "foreign_file",
        "The opening is not wrapped in a byte string.",
    )
    bad("a-short-text", b"Hello, Alice", "foreign_file", "A byte string that is cut, and begins with no opening.")
    bad("an-unknown-frame-first", frame(array(uint(8))) + good, "foreign_file", "The opening is the first frame.")
    bad("version-2", bundle([opening(version=2), heads(rows)], body), "unsupported_version", "A newer version made it.")
    bad("version-0", bundle([opening(version=0), heads(rows)], body), "unsupported_version", "There is no version 0.")
    cut = frame(opening()[:-1]) + good[starts[1] :]
    bad("opening-cut", cut, "end_of_input", "The frame ends inside the opening.")
    seven = frame(array(uint(0), *[uint(1)] * 6)) + good[starts[1] :]
    bad("opening-7-elements", seven, "wrong_length", "An opening has eight elements.")
    bad("frame-empty", after_opening(b"\x40"), "damaged", "A frame has at least one byte.")
    bad(
        "frame-65537-bytes",
        after_opening(head(2, 65537) + bytes(100)),
        "damaged",
        "A frame has at most 65536 bytes.",
    )
    bad("frame-claims-4-gib", after_opening(b"\x5b\x00\x00\x00\x01\x00\x00\x00\x00"), "damaged", "A length is a claim.")
    bad("frame-claims-2-to-63", after_opening(head(2, 2**63)), "damaged", "A length is a claim.")
    bad("frame-is-an-array", after_opening(heads(rows)), "damaged", "The heads are not wrapped in a byte string.")
    bad("frame-is-text", after_opening(tstr("hello")), "damaged", "A text where a byte string is due.")
    bad("frame-in-chunks", after_opening(b"\x5f" + bstr(heads(rows)) + b"\xff"), "damaged", "A frame has one length.")
    bad(
        "frame-long-length",
        after_opening(bstr(array(uint(8)), 2)),
        "damaged",
        "The length is not in its shortest form.",
    )
    bad("frame-zeros", good[: starts[3]] + bytes(512), "damaged", "A stretch of the stick reads as zeros.")
    for at, where in (
        (1, "head of the first frame"),
        (5, "opening"),
        (starts[1], "end of the opening"),
        (starts[1] + 1, "head of the second frame"),
        (starts[3] + 9, "first segment"),
        (starts[-1], "last frame before the end"),
        (len(good) - 1, "end frame"),
    ):
        bad(f"cut-at-{at}", good[:at], "torn", f"Cut in or after the {where}.")
    bad("count-too-low", bundle(front, body, count=3), "wrong_count", "The end counts three of four frames.")
    bad("count-too-high", bundle(front, body, count=5), "wrong_count", "The end counts a frame that is not there.")
    bad("bytes-after-the-end", good + b"\0", "trailing_bytes", "The end is the last frame.")
    bad("twice", good + good, "trailing_bytes", "The end is the last frame.")

    wrong = Key(bytes([9]) * 32)
    bad("statement-of-another", bundle(front, body, wrong), "bad_signature", "Another key made the statement.")
    signed = frame(statement(frame(opening())))
    moved = b"".join(map(frame, front)) + signed + good[starts[3] :]
    bad("statement-covers-less", moved, "bad_signature", "The statement does not cover the heads.")
    changed = good.replace(heads(rows), heads([(*rows[0][:2], 5), rows[1]]))
    bad("heads-changed", changed, "bad_signature", "A head was changed after signing.")
    weak = ed25519.encode_point(ed25519.IDENTITY)
    bad("weak-maker", bundle([opening(maker=weak), heads(rows)], body), "bad_key", "The maker is a key of small order.")
    bad("heads-unsorted", bundle([opening(), heads(rows[::-1])], body), "out_of_range", "Feeds ascend.")
    split = [opening(), heads(rows[1:]), heads(rows[:1])]
    bad("heads-unsorted-over-frames", bundle(split, body), "out_of_range", "Feeds ascend over all frames of heads.")
    bad(
        "heads-repeated-over-frames",
        bundle([opening(), heads(rows), heads(rows[1:])], body),
        "out_of_range",
        "A feed is named once.",
    )
    over = array(uint(3), head(4, 1025))
    bad("heads-1025", bundle([opening(), over]), "over_limit", "A frame names at most 1024 heads.")
    over = array(uint(4), head(4, 257))
    bad("wants-257", bundle([opening(), over]), "over_limit", "There are at most 256 wants.")
    want = [(DEVICE_2.public, n + 1, n + 1, 0) for n in range(2)]
    bad(
        "wants-twice",
        bundle([opening(), wants(want[:1]), wants(want[1:])]),
        "out_of_range",
        "There is one frame of wants.",
    )
    bad(
        "heads-after-wants",
        bundle([opening(), wants(want[:1]), heads(rows)]),
        "out_of_range",
        "The heads come before the wants.",
    )
    bad("heads-in-the-body", bundle([opening()], [heads(rows)]), "out_of_range", "The heads come before the statement.")
    bad("opening-twice", bundle([opening(), opening()]), "out_of_range", "There is one opening.")
    second = frame(statement(frame(opening())))
    bad("statement-twice", bundle([opening()], [second[2:]]), "out_of_range", "There is one statement.")
    misplaced = bundle([opening()], [array(uint(4), uint(7))])
    bad("wants-in-the-body-and-broken", misplaced, "out_of_range", "What stands out of its place is not looked into.")
    unread = bundle([opening()], [b"\xff"])
    bad("frame-without-a-kind", unread, "wrong_type", "A frame opens with its kind.")
    unread = bundle([opening()], [array(uint(7), tstr("no"))])
    bad("end-is-text", unread, "wrong_type", "The first end does not decode; the next one is the end.")
    ended = frame(opening()) + frame(end(1))
    bad("nothing-but-a-wrong-end", ended, "wrong_count", "The end counts a frame that is not there.")
    bad(
        "segment-before-the-statement",
        bundle([opening(), body[0]]),
        "out_of_range",
        "The body comes after the statement.",
    )
    forged = Chain(DEVICE_1, 2, PREV, [Item(post())]).segment(signature=bstr(bytes(range(64))))
    bad("segment-not-signed", bundle([opening()], [forged]), "bad_signature", "The segment is a forgery.")
    bad(
        "segment-trailing",
        bundle([opening()], [body[0] + b"\0"]),
        "trailing_bytes",
        "A byte follows the segment inside its frame.",
    )
    big = Item(bytes(2000), detached=True, follows=True)
    chain = Chain(DEVICE_1, 2, PREV, [big]).segment()

    def sent(payload):
        return bundle([opening()], [chain, payload_frame(DEVICE_1.public, 2, payload)])

    bad("payload-of-another-size", sent(bytes(1999)), "wrong_payload", "The entry says 2000 bytes.")
    bad("payload-of-another-hash", sent(bytes(1999) + b"\1"), "wrong_payload", "The size is right, the hash is not.")
    one, two, a, b = forked_feed()
    bad(
        "fork-in-wrong-order",
        bundle([opening()], [fork_frame(fork(b, a))]),
        "not_a_fork",
        "The chain with the lower first EntryId comes first.",
    )
    bad(
        "fork-not-signed",
        bundle([opening()], [fork_frame(fork(a, b, a=a.branch(bytes(range(64)))))]),
        "bad_signature",
        "The first chain is not signed.",
    )


def write(name, vectors):
    names = [v["name"] for v in vectors]
    assert len(set(names)) == len(names), sorted(n for n in names if names.count(n) > 1)
    # A line for each part of a vector: short enough for a reader, and no longer than it must be.
    parts = [",\n".join(f" {json.dumps(key)}: {json.dumps(part)}" for key, part in v.items()) for v in vectors]
    text = "[\n" + ",\n".join(f"{{\n{part}\n}}" for part in parts) + "\n]\n"
    (HERE / name).write_text(text)
    print(f"{name}: {len(vectors)} vectors, {len(text) // 1024} KiB")


def main():
    valid_headers()
    valid_windows()
    valid_segments()
    valid_contents()
    valid_forks()
    valid_frames()
    valid_bundles()
    valid_texts()
    valid_orders()
    invalid_headers()
    invalid_segments()
    invalid_contents()
    invalid_forks()
    invalid_frames()
    invalid_bundles()
    write("valid.json", VALID)
    write("invalid.json", INVALID)


if __name__ == "__main__":
    main()
