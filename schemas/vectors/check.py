"""Reads the vectors as a second implementation of `../README.md` and compares everything they say.

Every valid vector must decode, verify and give the listed fields and derived values; every invalid one must be
refused with the listed error. Shares only the curve arithmetic with `generate.py`: none of its writing of bytes.

    pip install blake3 cryptography mnemonic
    python check.py
"""

import hashlib
import json
import pathlib
import re
import sys

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mnemonic import Mnemonic

import ed25519

HERE = pathlib.Path(__file__).resolve().parent
LIMITS = {
    name: int(value)
    for name, value in re.findall(r"^\| `?([A-Z_]+)`? \| (\d+) \|", (HERE.parent / "README.md").read_text(), re.M)
}


class Refused(Exception):
    """The bytes are not acceptable; `args[0]` is the error's name."""


class Skip(Exception):
    """A frame of a kind this version does not know."""


def ensure(condition, error):
    if not condition:
        raise Refused(error)


def limit(value, largest):
    ensure(value <= largest, "over_limit")
    return value


class Reader:
    """Reads canonical CBOR, one expected thing after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        ensure(self.at + count <= len(self.data), "end_of_input")
        self.at += count
        return self.data[self.at - count : self.at]

    def peek(self):
        ensure(self.at < len(self.data), "end_of_input")
        return self.data[self.at]

    def head(self, major):
        ensure(self.peek() >> 5 == major, "wrong_type")
        low = self.take(1)[0] & 31
        if low < 24:
            return low
        ensure(low < 28 or low == 31, "wrong_type")
        ensure(low < 28, "indefinite_length")
        width = 1 << low - 24
        number = int.from_bytes(self.take(width), "big")
        ensure(number >= (24 if width == 1 else 1 << 4 * width), "not_shortest")
        return number

    def uint(self, largest=2**64 - 1, smallest=0):
        number = limit(self.head(0), largest)
        ensure(number >= smallest, "out_of_range")
        return number

    def version(self):
        ensure(self.head(0) == 1, "unsupported_version")
        return 1

    def seq(self):
        return self.uint(LIMITS["SEQ_END"] - 1, 1)

    def time(self):
        return self.uint(LIMITS["TIME_END"] - 1)

    def fixed(self, size):
        ensure(self.head(2) == size, "wrong_length")
        return self.take(size).hex()

    def payload(self, largest):
        return self.take(limit(self.head(2), largest))

    def text(self, largest, smallest=0):
        size = limit(self.head(3), largest)
        ensure(size >= smallest, "out_of_range")
        try:
            return self.take(size).decode("utf-8", "strict")
        except UnicodeDecodeError:
            raise Refused("bad_utf8") from None

    def null(self):
        if self.peek() != 0xF6:
            return False
        self.at += 1
        return True

    def flag(self):
        ensure(self.peek() in (0xF4, 0xF5), "wrong_type")
        return self.take(1) == b"\xf5"

    def array(self, *counts):
        count = self.head(4)
        ensure(count in counts, "wrong_length")
        return count

    def list(self, largest, one, smallest=1, last=lambda count: 0):
        count = limit(self.head(4), largest)
        ensure(count >= smallest, "out_of_range")
        limit(last(count), LIMITS["SEQ_END"] - 1)
        return [one() for _ in range(count)]

    def prev(self, seq):
        if self.null():
            ensure(seq == 1, "out_of_range")
            return None
        value = self.fixed(32)
        ensure(seq != 1, "out_of_range")
        return value

    def kind(self):
        """The first element of an array that opens with its kind, and the count of all elements."""
        count = self.head(4)
        ensure(count > 0, "wrong_length")
        return self.uint(), count

    def done(self, value):
        ensure(self.at == len(self.data), "trailing_bytes")
        return value


def write(value):
    """Canonical CBOR of lists, integers, bytes and None."""

    def head(major, n):
        for low, width, end in ((24, 1, 1 << 8), (25, 2, 1 << 16), (26, 4, 1 << 32), (27, 8, 1 << 64)):
            if n < 24:
                return bytes([major << 5 | n])
            if n < end:
                return bytes([major << 5 | low]) + n.to_bytes(width, "big")
        raise AssertionError

    if value is None:
        return b"\xf6"
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(write, value))
    return head(2, len(value)) + value


def derive(what, data):
    return blake3(data, derive_key_context=f"thistledown 1 {what}").digest()


def verify(key, what, digest, signature):
    ensure(ed25519.is_key(bytes.fromhex(key)), "bad_key")
    message = f"thistledown 1 {what}".encode() + digest
    right = ed25519.verify_strict(bytes.fromhex(key), message, bytes.fromhex(signature))
    ensure(right, "bad_signature")


def window(seq):
    if seq == 1:
        return 1, 1
    number = (seq + 31) // 32
    return max(2, 32 * number - 31), min(32 * number, LIMITS["SEQ_END"] - 1)


# Entries.


def read_header(data):
    r = Reader(data)
    r.array(7)
    fields = {"version": r.version(), "feed": r.fixed(32), "seq": r.seq()}
    fields["prev"] = r.prev(fields["seq"])
    fields["ttl"] = r.uint(LIMITS["TTL_HOURS"])
    fields["size"] = r.uint(LIMITS["PAYLOAD_BYTES"])
    fields["payload_hash"] = r.fixed(32)
    return r.done(fields)


def read_item(r):
    item = {"ttl": 0, "age": 0, "payload": None, "follows": None}
    if r.peek() >> 5 == 2:
        payload = r.payload(LIMITS["INLINE_BYTES"])
        form = "short"
    else:
        inline = r.array(3, 5) == 3
        form = "inline" if inline else "detached"
        item["ttl"] = r.uint(LIMITS["TTL_HOURS"], 1 if inline else 0)
        item["age"] = r.uint(LIMITS["AGE_MINUTES"])
        ensure(item["ttl"] or not item["age"], "out_of_range")
        if inline:
            payload = r.payload(LIMITS["INLINE_BYTES"])
        else:
            item["size"] = r.uint(LIMITS["PAYLOAD_BYTES"], 1)
            item["payload_hash"] = r.fixed(32)
            item["follows"] = r.flag()
            return item | {"form": form}
    hashed = derive("payload", payload).hex()
    return item | {"form": form, "size": len(payload), "payload_hash": hashed, "payload": payload.hex()}


def rebuild(feed, first, prev, items):
    """Headers and EntryIds of consecutive entries."""
    headers, ids = [], []
    link = prev and bytes.fromhex(prev)
    for seq, item in enumerate(items, first):
        fixed = [1, bytes.fromhex(feed), seq, link, item["ttl"], item["size"], bytes.fromhex(item["payload_hash"])]
        headers.append(write(fixed))
        link = derive("entry", headers[-1])
        ids.append(link)
    return headers, ids


def read_segment(data):
    r = Reader(data)
    r.array(6)
    fields = {"version": r.version(), "feed": r.fixed(32), "first_seq": r.seq()}
    fields["prev"] = r.prev(fields["first_seq"])
    fields["items"] = r.list(LIMITS["SEGMENT_ENTRIES"], lambda: read_item(r))
    fields["signature"] = r.fixed(64)
    return r.done(fields)


def verify_segment(s):
    last = s["first_seq"] + len(s["items"]) - 1
    ensure(last <= window(s["first_seq"])[1], "crosses_window")
    headers, ids = rebuild(s["feed"], s["first_seq"], s["prev"], s["items"])
    verify(s["feed"], "entry", ids[-1], s["signature"])
    if s["first_seq"] == 1:
        try:
            verify_certificate(s["feed"], s["items"][0])
        except Refused:
            raise Refused("bad_certificate") from None
    return headers, ids


def verify_certificate(feed, item):
    ensure(item["ttl"] == 0 and item["payload"] is not None, "bad_certificate")
    c = read_content(bytes.fromhex(item["payload"]))
    ensure(c["type"] in (5, 6) and c.get("retired") != feed, "bad_certificate")
    what, signer, signed = signed_part(c, feed)
    verify(signer, what, derive(what, signed), c["signature"])


def signed_part(c, feed=None):
    """What a certificate, successor or device statement signs: context, signer, CBOR."""
    account = bytes.fromhex(c["account"])
    if c["type"] == 5:
        return "certificate", c["account"], write([bytes.fromhex(feed), c["carry"]])
    if c["type"] == 6:
        return "successor", c["retired"], write([bytes.fromhex(feed), c["carry"], account])
    return "device", c["account"], write([account, c["verb"], bytes.fromhex(c["feed"])])


# Content.


COUNTS = {1: (5, 6), 2: (5, 6), 3: (4,), 4: (4,), 5: (4,), 6: (5,), 7: (5,), 8: (4,), 9: (2,)}
NAMES = "post reply profile relation certificate successor device receipt retraction".split()


def read_content(data):
    limit(len(data), LIMITS["PAYLOAD_BYTES"])
    r = Reader(data)
    kind, count = r.kind()
    ensure(kind > 0, "unknown_kind")
    if kind not in COUNTS:
        return {"type": kind}
    ensure(count in COUNTS[kind], "wrong_length")
    return r.done({"type": kind} | CONTENTS[kind](r, count))


def read_post(r, count, answers=False):
    fields = {"time": r.time(), "channel": None if r.null() else r.text(LIMITS["NAME_BYTES"], 1)}
    fields["text"] = r.text(LIMITS["PAYLOAD_BYTES"])
    parents = []

    def parent():
        value = r.fixed(8)
        before = parents[1:] if answers else parents
        ensure(not before or before[-1] < value, "out_of_range")
        ensure(value not in parents, "out_of_range")
        parents.append(value)

    r.list(LIMITS["PARENTS"], parent, 1 if answers else 0)
    fields["parents"] = parents
    fields["author"] = r.text(LIMITS["NAME_BYTES"], 1) if count == 6 else None
    return fields


def read_profile(r, _):
    return {"time": r.time(), "name": r.text(LIMITS["NAME_BYTES"], 1), "about": r.text(LIMITS["ABOUT_BYTES"])}


def below(r, end, smallest=0):
    """A value among few allowed ones: anything else is out of range."""
    value = r.uint()
    ensure(smallest <= value < end, "out_of_range")
    return value


def read_relation(r, _):
    return {"time": r.time(), "feed": r.fixed(32), "state": below(r, 3)}


def read_certificate(r, _):
    return {"carry": below(r, 3), "account": r.fixed(32), "signature": r.fixed(64)}


def read_successor(r, _):
    return {"carry": below(r, 3), "account": r.fixed(32), "retired": r.fixed(32), "signature": r.fixed(64)}


def read_device(r, _):
    return {"account": r.fixed(32), "verb": below(r, 3, 1), "feed": r.fixed(32), "signature": r.fixed(64)}


def read_range(r, after=0):
    first = r.seq()
    ensure(first > after, "out_of_range")
    last = r.seq()
    ensure(first <= last, "out_of_range")
    return {"first": first, "last": last}


def read_receipt(r, _):
    def one():
        r.array(3)
        return {"feed": r.fixed(32)} | read_range(r)

    return {"time": r.time(), "state": below(r, 3, 1), "ranges": r.list(LIMITS["RANGES"], one)}


def read_retraction(r, _):
    ranges = []

    def one():
        r.array(2)
        ranges.append(read_range(r, ranges[-1]["last"] + 1 if ranges else 0))

    r.list(LIMITS["RANGES"], one)
    return {"ranges": ranges}


CONTENTS = {
    1: read_post,
    2: lambda r, count: read_post(r, count, True),
    3: read_profile,
    4: read_relation,
    5: read_certificate,
    6: read_successor,
    7: read_device,
    8: read_receipt,
    9: read_retraction,
}


def class_of(payload):
    """What a reader shows a payload as; None where there is none."""
    if payload is None:
        return None
    try:
        kind = read_content(bytes.fromhex(payload))["type"]
    except Refused:
        return "malformed"
    return NAMES[kind - 1] if kind <= len(NAMES) else "unknown"


# Fork proofs.


def read_fork(r):
    r.array(4)
    fields = {"version": r.version(), "feed": r.fixed(32)}
    fields["chain_a"] = read_chain(r)
    fields["chain_b"] = read_chain(r)
    return fields


def read_chain(r):
    r.array(4)
    chain = {"first_seq": r.seq()}
    chain["prev"] = r.prev(chain["first_seq"])

    def entry():
        r.array(3)
        return {
            "ttl": r.uint(LIMITS["TTL_HOURS"]),
            "size": r.uint(LIMITS["PAYLOAD_BYTES"]),
            "payload_hash": r.fixed(32),
        }

    chain["entries"] = r.list(LIMITS["FORK_CHAIN"], entry, last=lambda count: chain["first_seq"] + count - 1)
    chain["signature"] = r.fixed(64)
    return chain


def verify_fork(f):
    built = []
    for chain in (f["chain_a"], f["chain_b"]):
        built.append(rebuild(f["feed"], chain["first_seq"], chain["prev"], chain["entries"]))
    for chain, (_, ids) in zip((f["chain_a"], f["chain_b"]), built):
        verify(f["feed"], "entry", ids[-1], chain["signature"])
    (_, ids_a), (_, ids_b) = built
    first_a, first_b = f["chain_a"]["first_seq"], f["chain_b"]["first_seq"]
    if first_a == first_b:
        ensure(ids_a[0] < ids_b[0], "not_a_fork")
    else:
        ensure(first_b == first_a + len(ids_a), "not_a_fork")
        ensure(bytes.fromhex(f["chain_b"]["prev"]) != ids_a[-1], "not_a_fork")
    return first_b, built


# Bundles.


def read_frame(data):
    r = Reader(data)
    kind, count = r.kind()
    if kind > 7:
        raise Skip(kind)
    if kind == 1:
        return {"kind": 1, "segment": read_segment(data)}
    ensure(count == {0: 8, 2: 4, 3: 2, 4: 2, 5: 2, 6: 2, 7: 2}[kind], "wrong_length")
    return r.done({"kind": kind} | FRAMES[kind](r))


def read_opening(r):
    fields = {"version": r.version(), "maker": r.fixed(32), "for": None if r.null() else r.fixed(32)}
    fields |= {"whole": r.flag(), "position": r.uint(), "log_hash": r.fixed(8), "ack": None}
    if not r.null():
        r.array(2)
        fields["ack"] = {"position": r.uint(), "hash": r.fixed(8)}
    return fields


def read_heads(r):
    rows = []

    def row():
        count = r.array(3, 4)
        feed = r.fixed(32)
        ensure(not rows or feed > rows[-1]["feed"], "out_of_range")
        floor, head = r.seq(), r.seq()
        ensure(floor <= head, "out_of_range")
        rows.append({"feed": feed, "floor": floor, "head": head, "forked": r.seq() if count == 4 else None})

    r.list(LIMITS["BUNDLE_HEADS_PER_FRAME"], row)
    return {"heads": rows}


def read_wants(r):
    def want():
        r.array(4)
        return {"feed": r.fixed(32)} | read_range(r) | {"what": below(r, 2)}

    return {"wants": r.list(LIMITS["WANTS"], want)}


FRAMES = {
    0: read_opening,
    2: lambda r: {"feed": r.fixed(32), "seq": r.seq(), "payload": r.payload(LIMITS["PAYLOAD_BYTES"]).hex()},
    3: read_heads,
    4: read_wants,
    5: lambda r: {"signature": r.fixed(64)},
    6: lambda r: {"proof": read_fork(r)},
    7: lambda r: {"count": r.uint()},
}
RULES = ["opening", "segment", "payload_frame", "heads", "wants", "statement", "fork_frame", "end"]


def next_frame(file, at):
    """The bytes of the frame at an offset and the offset of the next."""
    r = Reader(file)
    r.at = at
    try:
        size = r.head(2)
    except Refused as error:
        raise Refused("torn" if error.args[0] == "end_of_input" else "damaged") from None
    ensure(0 < size <= LIMITS["FRAME_BYTES"], "damaged")
    ensure(r.at + size <= len(file), "torn")
    return r.take(size), r.at


class Bundle:
    """Reads a whole file and keeps every error in the order met."""

    def __init__(self, file):
        self.file, self.errors, self.at = file, [], 0
        self.frames, self.rules, self.offsets, self.unknown = [], [], [], 0
        self.heads, self.wants, self.signature, self.count = [], [], None, None
        self.covers = self.digest = self.body_at = None
        self.entries, self.stage = {}, 3
        try:
            self.opening()
            self.rest()
        except Refused as error:
            self.errors.append(error.args[0])

    def next(self):
        self.offsets.append(self.at)
        try:
            data, self.at = next_frame(self.file, self.at)
        except Refused:
            self.offsets.pop()
            raise
        self.frames.append(data)
        return data

    def opening(self):
        ensure(self.file, "empty_file")
        try:
            data = self.next()
            kind, _ = Reader(data).kind()
        except Refused as error:
            ensure(error.args[0] == "torn" and self.may_open(), "foreign_file")
            raise
        ensure(kind == 0, "foreign_file")
        self.opened = read_frame(data)
        self.rules.append("opening")

    def may_open(self):
        """Whether what there is of a first frame could become an opening."""
        start = Reader(self.file)
        try:
            start.head(2)
            return Reader(self.file[start.at :]).kind()[0] == 0
        except Refused as error:
            return error.args[0] == "end_of_input"

    def rest(self):
        while self.count is None:
            start, data = self.at, self.next()
            try:
                kind, _ = Reader(data).kind()
                self.place(kind, start, data)
            except Skip:
                self.unknown += 1
                self.rules.append(None)
            except Refused as error:
                self.errors.append(error.args[0])
                self.rules.append(None)
        bodies = 0 if self.body_at is None else len(self.frames) - 1 - self.body_at
        ensure(self.count == bodies, "wrong_count")
        ensure(self.at == len(self.file), "trailing_bytes")

    def place(self, kind, start, data):
        """Reads one frame where it stands. The front holds 3, 4 and 5 in this order, the body 1, 2 and 6."""
        if kind > 7:
            raise Skip
        if kind in (1, 2, 6):
            if self.stage < 6:
                self.stage, self.body_at = 6, len(self.frames) - 1
        elif kind != 7:
            ensure(kind in (3, 4, 5) and kind >= self.stage, "out_of_range")
            self.stage = kind + (kind > 3)
            if kind == 5:
                self.body_at = len(self.frames)
        fields = read_frame(data)
        self.rules.append(RULES[kind])
        try:
            self.keep(kind, start, fields)
        except Refused:
            self.rules.pop()
            raise

    def keep(self, kind, start, fields):
        if kind == 1:
            segment = fields["segment"]
            verify_segment(segment)
            for seq, item in enumerate(segment["items"], segment["first_seq"]):
                self.entries[segment["feed"], seq] = item
        elif kind == 2:
            item = self.entries.get((fields["feed"], fields["seq"]))
            payload = bytes.fromhex(fields["payload"])
            said = item and (item["size"], item["payload_hash"])
            ensure(said is None or said == (len(payload), derive("payload", payload).hex()), "wrong_payload")
        elif kind == 3:
            before = self.heads[-1]["feed"] if self.heads else ""
            ensure(fields["heads"][0]["feed"] > before, "out_of_range")
            limit(len(self.heads) + len(fields["heads"]), LIMITS["BUNDLE_FEEDS"])
            self.heads += fields["heads"]
        elif kind == 4:
            self.wants = fields["wants"]
        elif kind == 5:
            self.signature, self.covers = fields["signature"], start
            self.digest = derive("bundle", self.file[:start])
            verify(self.opened["maker"], "bundle", self.digest, self.signature)
        elif kind == 6:
            verify_fork(fields["proof"])
        elif kind == 7:
            self.count = fields["count"]


# Text ids and phrases.

CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def read_text_id(text):
    ensure(text in (text.lower(), text.upper()), "bad_text")
    hrp, _, body = text.lower().rpartition("1")
    ensure(hrp in ("feed", "acct", "entry") and len(body) == 58 and set(body) <= set(CHARSET), "bad_text")
    values = [CHARSET.index(c) for c in body]
    state = 1
    for value in [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp] + values:
        top, state = state >> 25, (state & 0x1FFFFFF) << 5 ^ value
        for bit, mask in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            state ^= mask * (top >> bit & 1)
    ensure(state == 0x2BC830A3, "bad_text")
    number = int("".join(f"{v:05b}" for v in values[:52]), 2)
    ensure(number & 15 == 0, "bad_text")
    return hrp, (number >> 4).to_bytes(32, "big")


def read_phrase(text):
    words, known = text.split(), Mnemonic("english").wordlist
    ensure(len(words) == 24 and set(words) <= set(known), "bad_text")
    number = 0
    for word in words:
        number = number << 11 | known.index(word)
    entropy = (number >> 8).to_bytes(32, "big")
    ensure(hashlib.sha256(entropy).digest()[0] == number & 255, "bad_text")
    return entropy


def public_of(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw().hex()


def refuses(read, texts):
    for text in texts:
        try:
            read(text)
        except Refused:
            continue
        raise AssertionError(f"accepted {text}")


# Comparing with the vectors.


def check_header(data, fields, derived):
    assert read_header(data) == fields
    payload = bytes.fromhex(derived["payload_hex"])
    assert len(payload) == fields["size"]
    assert derive("payload", payload).hex() == derived["payload_hash"] == fields["payload_hash"]
    entry_id = derive("entry", data)
    assert entry_id.hex() == derived["entry_id"]
    assert public_of(bytes.fromhex(derived["secret_seed"])) == fields["feed"]
    verify(fields["feed"], "entry", entry_id, derived["signature"])


def check_segment(data, fields, derived):
    segment = read_segment(data)
    assert segment == fields
    headers, ids = verify_segment(segment)
    for h in headers:
        read_header(h)
    assert [h.hex() for h in headers] == derived["headers"]
    assert [i.hex() for i in ids] == derived["entry_ids"]
    assert ids[-1].hex() == derived["head_entry_id"]
    assert (b"thistledown 1 entry" + ids[-1]).hex() == derived["signed_message"]
    assert [class_of(i["payload"]) for i in segment["items"]] == derived["contents"]


def check_content(data, fields, derived):
    content = read_content(data)
    assert content == fields
    if content["type"] in (5, 6, 7):
        what, signer, signed = signed_part(content, derived["feed"])
        digest = derive(what, signed)
        assert (signed.hex(), digest.hex(), signer) == (derived["signed_data"], derived["digest"], derived["signer"])
        assert (f"thistledown 1 {what}".encode() + digest).hex() == derived["signed_message"]
        verify(signer, what, digest, content["signature"])


def check_fork(data, fields, derived):
    r = Reader(data)
    assert r.done(read_fork(r)) == fields
    seq, ((headers_a, ids_a), (headers_b, ids_b)) = verify_fork(fields)
    assert seq == derived["fork_seq"]
    for side, headers, ids in (("a", headers_a, ids_a), ("b", headers_b, ids_b)):
        assert [h.hex() for h in headers] == derived[f"headers_{side}"]
        assert ids[0].hex() == derived[f"first_entry_id_{side}"] and ids[-1].hex() == derived[f"last_entry_id_{side}"]


def check_frame(data, fields, _):
    try:
        read = read_frame(data)
    except Skip as kind:
        read = {"kind": kind.args[0]}
    if read["kind"] == 6:
        assert write([6])[1:] + bytes.fromhex(fields["proof"]) == data[1:]
        return
    assert read == fields


def check_bundle(data, fields, derived):
    b = Bundle(data)
    assert not b.errors, b.errors
    assert [len(f) for f in b.frames] == derived["frame_lengths"] and b.rules == derived["frame_rules"]
    assert b.offsets == derived["frame_offsets"] and b.unknown == derived["unknown_frames"]
    message = b.digest and (b"thistledown 1 bundle" + b.digest).hex()
    assert (b.digest and b.digest.hex(), message) == (derived["statement_digest"], derived["statement_message"])
    assert b.covers == derived["statement_covers"]
    body = [] if b.body_at is None else b.rules[b.body_at : -1]
    read = {k: v for k, v in b.opened.items() if k not in ("kind", "version")}
    read |= {"heads": b.heads, "wants": b.wants, "signature": b.signature, "body": body, "count": b.count}
    assert read == fields


def check_text_id(data, fields, derived):
    assert read_text_id(fields["text"]) == (fields["hrp"], data)
    assert read_text_id(derived["upper"]) == (fields["hrp"], data)
    assert fields["text"].split("1", 1)[1][:8] == derived["short"]
    refuses(read_text_id, derived["refused"])


def check_phrase(data, fields, derived):
    assert read_phrase(fields["words"]) == data == bytes.fromhex(derived["entropy"])
    seed = derive("account", data)
    assert seed.hex() == derived["account_seed"] and public_of(seed) == derived["account"]
    refuses(read_phrase, derived["refused"])


def check_window(_, fields, derived):
    rows = [{"seq": s, "first": window(s)[0], "last": window(s)[1]} for s in fields["seqs"]]
    assert rows == derived["windows"]


def check_order(_, fields, derived):
    entries = fields["entries"]
    parents = {e["id"]: [o["id"] for o in entries if o is not e and o["id"][:16] in e["parents"]] for e in entries}
    values = {}

    def unsettled(entry):
        """The entry and all before it that have no value yet."""
        found, todo = set(), [entry]
        while todo:
            at = todo.pop()
            if at not in values and at not in found:
                found.add(at)
                todo += parents[at]
        return found

    while len(values) < len(entries):
        # Who has the least before it has a circle before it, its own, or nothing at all.
        circle = min((unsettled(e) for e in parents if e not in values), key=len)
        lamport = 1 + max((values[p] for e in circle for p in parents[e] if p not in circle), default=0)
        values |= dict.fromkeys(circle, lamport)
    assert [values[e["id"]] for e in entries] == derived["lamport"]
    shown = sorted(entries, key=lambda e: (values[e["id"]], e["time"], e["id"]))
    assert [e["id"] for e in shown] == derived["display"]


def refuse_fork(data):
    r = Reader(data)
    verify_fork(r.done(read_fork(r)))


def refuse_bundle(data):
    errors = Bundle(data).errors
    if errors:
        raise Refused(errors[0])


REFUSE = {
    "header": read_header,
    "segment": lambda data: verify_segment(read_segment(data)),
    "content": read_content,
    "fork": refuse_fork,
    "frame": read_frame,
    "bundle": refuse_bundle,
}


def main():
    valid = json.loads((HERE / "valid.json").read_text())
    for v in valid:
        try:
            globals()["check_" + v["kind"]](bytes.fromhex(v["hex"]), v["fields"], v["derived"])
        except (AssertionError, Refused) as error:
            raise SystemExit(f"{v['name']}: {error!r}") from error
    invalid, seen, failed = json.loads((HERE / "invalid.json").read_text()), set(), 0
    for v in invalid:
        try:
            REFUSE[v["kind"]](bytes.fromhex(v["hex"]))
            found = "accepted"
        except Refused as error:
            found = error.args[0]
        seen.add(v["error"])
        if found != v["error"]:
            failed += 1
            print(f"{v['name']}: {found}, expected {v['error']}")
    print(f"{len(valid)} valid and {len(invalid)} invalid vectors, {len(seen)} kinds of error, {failed} wrong")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
