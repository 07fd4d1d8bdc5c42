"""Writes the test vectors of `../reconciliation.md`: `reconcile.json`.

Written from the specification alone, sharing no code with the engine. The same run gives the same file.

    pip install blake3 cryptography mnemonic
    python reconcile.py
"""

import json
import math
import pathlib

from blake3 import blake3

from generate import FALSE, NULL, TRUE, array, bstr, derive, head, tstr, uint

HERE = pathlib.Path(__file__).resolve().parent
P = 2**40 - 87
VALID, INVALID, SCOPES = [], [], []


# Codes inside byte strings.


def varint(n):
    out = []
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def bits_to_bytes(bits, fill="0"):
    bits += fill * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


def rice(n, k):
    return "1" * (n >> k) + "0" + (f"{n & (1 << k) - 1:0{k}b}" if k else "")


def parameter(total, count):
    return int(math.log2(total // count)) if count and total // count else 0


def ids(values, k=None, fill="0"):
    out = varint(len(values))
    if values:
        out += varint(values[0])
    if len(values) > 1:
        gaps = [b - a for a, b in zip(values, values[1:])]
        k = parameter(sum(gaps), len(gaps)) if k is None else k
        out += bytes([k]) + bits_to_bytes("".join(rice(g, k) for g in gaps), fill)
    return out


# Messages.


def counters_bytes(surplus, k=None):
    folded = [2 * n if n >= 0 else -2 * n - 1 for n in surplus]
    k = parameter(sum(folded), len(folded)) if k is None else k
    return bytes([k]) + bits_to_bytes("".join(rice(n, k) for n in folded))


def sums_bytes(sums):
    return b"".join(s.to_bytes(5, "big") for s in sums)


def sketch(buckets, upto, sums):
    return array(uint(17), uint(buckets), uint(upto), bstr(sums_bytes(sums)))


def rows_bytes(rows, **code):
    return ids([r[0] for r in rows], **code) + b"".join(varint(r[1]) for r in rows) + bytes(r[2] for r in rows)


def vector(first, then, rows, **code):
    return array(uint(19), uint(first), uint(then), bstr(rows_bytes(rows, **code)))


def wants_bytes(wants, **code):
    return ids([w[0] for w in wants], **code) + b"".join(varint(w[1]) for w in wants)


def wants(more, list_, **code):
    return array(uint(20), TRUE if more else FALSE, bstr(wants_bytes(list_, **code)))


def picks(list_, **code):
    return array(uint(21), bstr(wants_bytes(list_, **code)))


# Scopes.


def scope(name, key, items):
    """Items are (feed, seq, head), or (feed, fork seq, None) of a forked feed."""
    digest, positive, rows = 0, [0] * 64, []
    for feed, seq, top in items:
        shown = top
        if top is None:
            shown = derive("thistledown 1 forked", feed + seq.to_bytes(8, "big"))
        f = blake3(feed, key=key).digest()
        w = blake3(shown + f[:24] + seq.to_bytes(8, "big"), key=key).digest()
        digest = (digest + int.from_bytes(w[:8], "big")) % 2**64
        signs = int.from_bytes(w[8:14], "big") | int.from_bytes(f[8:10], "big") << 48
        positive = [count + (signs >> at & 1) for at, count in enumerate(positive)]
        number = int.from_bytes(f[:8], "big")
        value = (seq % 2**28) << 12 | int.from_bytes(w[14:16], "big") >> 4
        rows.append((min(max(number >> 24, 1), P - 1), min(max(value, 1), P - 1)))
    surplus = [count - len(items) // 2 for count in positive]
    sums = [sum(value * pow(id_, j, P) for id_, value in rows) % P for j in range(7)]
    SCOPES.append(
        {
            "name": name,
            "key": key.hex(),
            "items": [{"feed": f.hex(), "seq": s, "head": h and h.hex()} for f, s, h in items],
            "digest": f"{digest:016x}",
            "counters": counters_bytes(surplus).hex(),
            "all_in_one_bucket": sketch(1, 7, sums).hex(),
        }
    )


def test_digest(*words):
    return derive("thistledown test", " ".join(map(str, words)).encode())


def scopes():
    key = test_digest("session")
    items = [(test_digest("feed", n), 1 + n * n, test_digest("head", n)) for n in range(40)]
    scope("empty", key, [])
    scope("one", key, items[:1])
    scope("forty", key, items)
    scope("forty-of-another-session", test_digest("another"), items)
    scope("forked", key, [*items[:5], (items[5][0], 3, None)])
    scope("seqs-beyond-28-bits", key, [(f, s + 2**28 * n, h) for n, (f, s, h) in enumerate(items[:9])])


# Valid and invalid messages.


def valid(name, rule, data, **fields):
    VALID.append({"name": name, "rule": rule, "hex": data.hex(), "fields": fields})


def shown_rows(rows):
    return [{"id": i, "seq": s, "tag": t} for i, s, t in rows]


def shown_wants(list_):
    return [{"id": i, "have": h} for i, h in list_]


def valid_messages():
    for name, surplus in (
        ("counters-zero", [0] * 64),
        ("counters-signs", [(-1) ** n * n for n in range(64)]),
        ("counters-largest", [65535] + [-65536] * 63),
    ):
        data = counters_bytes(surplus)
        valid(name, "counters", array(uint(16), bstr(data)), kind=16, bytes=data.hex())
    for name, buckets, upto, sums in (
        ("sketch-one-difference", 1, 3, [5, 6, 7]),
        ("sketch-largest-sum", 2, 1, [P - 1, 0]),
        ("sketch-largest", 131072, 129, [n * 7919 % P for n in range(129)]),
    ):
        valid(name, "sketch", sketch(buckets, upto, sums), kind=17, buckets=buckets, upto=upto, sums=sums)
    valid("more", "more", array(uint(18), bstr(b"\0\x81")), kind=18, bitmap="0081")
    many = [(n * 2**30, 1 + n, n % 256) for n in range(4096)]
    for name, first, then, rows in (
        ("vector-ask", 0, 1, []),
        ("vector-end-of-nothing", 9, 2, []),
        ("vector-one", 0, 2, [(2**42 - 1, 2**40 - 1, 255)]),
        ("vector-same-id", 131072, 0, [(5, 1, 1), (5, 2, 2)]),
        ("vector-4096", 0, 0, many),
    ):
        valid(name, "vector", vector(first, then, rows), kind=19, first=first, then=then, rows=shown_rows(rows))
    few = [(1, 0), (2**20, 300), (2**40 - 88, 2**40 - 1)]
    for name, more, list_ in (("wants-none", False, []), ("wants-few", True, few)):
        valid(name, "recon_wants", wants(more, list_), kind=20, more=more, wants=shown_wants(list_))
    dense = [(n, 0) for n in range(4096)]
    for name, list_ in (("picks-none", []), ("picks-one", [(7, 9)]), ("picks-4096", dense)):
        valid(name, "picks", picks(list_), kind=21, picks=shown_wants(list_))
    valid("all", "all", array(uint(22)), kind=22)


def bad(name, data, error, why):
    INVALID.append({"name": name, "hex": data.hex(), "error": error, "why": why})


def invalid_messages():
    bad("empty", array(), "wrong_length", "An array without a kind.")
    bad("not-an-array", uint(22), "wrong_type", "A message is an array.")
    bad("kind-15", array(uint(15)), "unknown_kind", "Lower kinds are a session's own.")
    bad("kind-23", array(uint(23)), "unknown_kind", "No such kind.")
    bad("kind-in-two-bytes", b"\x81\x18\x16", "not_shortest", "The kind 22 takes a byte of its own.")
    bad("all-2-elements", array(uint(22), uint(0)), "wrong_length", "Nothing follows the kind.")
    bad("all-trailing", array(uint(22)) + b"\0", "trailing_bytes", "A byte follows.")
    bad("all-indefinite", b"\x9f\x16\xff", "indefinite_length", "Lengths are definite.")
    few = counters_bytes([0] * 64)
    bad("counters-cut", array(uint(16), bstr(few[:-1])), "end_of_input", "64 codes are due.")
    bad("counters-65", array(uint(16), bstr(few + b"\0")), "trailing_bytes", "64 codes are due.")
    bad("counters-nothing", array(uint(16), bstr(b"")), "end_of_input", "The parameter is missing.")
    wide = counters_bytes([1] * 64, k=0)
    bad("counters-other-parameter", array(uint(16), bstr(wide)), "not_shortest", "The sum asks for another parameter.")
    bad("counters-parameter-18", array(uint(16), bstr(b"\x12" + bytes(200))), "out_of_range", "The largest is 17.")
    far = counters_bytes([65537] + [0] * 63)
    bad("counters-131074", array(uint(16), bstr(far)), "over_limit", "No scope has so many items.")
    bad("sketch-no-bucket", sketch(0, 1, [1]), "out_of_range", "There is at least one.")
    bad("sketch-131073-buckets", sketch(131073, 1, [1]), "over_limit", "A bucket for each feed is the most.")
    bad("sketch-upto-0", sketch(1, 0, [1]), "out_of_range", "There is at least one sum.")
    bad("sketch-upto-130", sketch(1, 130, [1]), "over_limit", "129 sums are the most.")
    bad("sketch-no-sums", sketch(1, 1, []), "out_of_range", "It brings at least one sum.")
    cut = array(uint(17), uint(1), uint(1), bstr(bytes(6)))
    bad("sketch-six-bytes", cut, "out_of_range", "A sum has five bytes.")
    bad("sketch-sum-p", sketch(1, 1, [P]), "over_limit", "Sums are below p.")
    bad("sketch-3-elements", array(uint(17), uint(1), uint(1)), "wrong_length", "Sums are missing.")
    bad("sketch-claims-2-to-63", array(uint(17), uint(1), uint(1), head(2, 2**63)), "over_limit", "A length is a claim.")
    bad("more-of-nothing", array(uint(18), bstr(b"\0\0")), "out_of_range", "At least one bucket failed.")
    bad("more-text", array(uint(18), tstr("x")), "wrong_type", "Bits are bytes.")
    bad("vector-then-3", vector(0, 3, []), "over_limit", "0, 1 or 2.")
    bad("vector-first-131073", vector(131073, 2, []), "over_limit", "No list is as long.")
    bad("vector-seq-0", vector(0, 2, [(1, 0, 0)]), "out_of_range", "Seqs start at 1.")
    bad("vector-seq-2-to-40", vector(0, 2, [(1, 2**40, 0)]), "over_limit", "The largest seq is 2^40 - 1.")
    bad("vector-id-2-to-42", vector(0, 2, [(2**42, 1, 0)]), "over_limit", "Ids are below 2^42.")
    bad("vector-second-id-2-to-42", vector(0, 2, [(5, 1, 0), (2**42, 1, 0)]), "over_limit", "Ids are below 2^42.")
    bad("vector-4097", vector(0, 0, [(n, 1, 0) for n in range(4097)]), "over_limit", "4096 rows are the most.")
    cut = array(uint(19), uint(0), uint(2), bstr(varint(4096) + varint(1) + b"\x05" + bytes(9)))
    bad("vector-4096-cut", cut, "end_of_input", "A count is a claim.")
    two = [(1, 1, 7), (200, 1, 7)]
    body = rows_bytes(two)
    bad("vector-tag-missing", array(uint(19), uint(0), uint(2), bstr(body[:-1])), "end_of_input", "A tag for each row.")
    bad("vector-tag-more", array(uint(19), uint(0), uint(2), bstr(body + b"x")), "trailing_bytes", "A tag for each row.")
    bad("vector-other-parameter", vector(0, 2, two, k=6), "not_shortest", "The gaps ask for 7.")
    bad("vector-filled-with-ones", vector(0, 2, [(1, 1, 7), (3, 1, 7)], fill="1"), "out_of_range", "Filled with zeros.")
    cut = array(uint(19), uint(0), uint(2), bstr(varint(2) + varint(1) + b"\x2a" + bytes(9)))
    bad("vector-parameter-42", cut, "out_of_range", "The largest is 41.")
    cut = array(uint(19), uint(0), uint(2), bstr(b"\x81\x00\x01\x01\x07"))
    bad("vector-long-count", cut, "not_shortest", "A varint has no zero at its end.")
    bad("wants-no-flag", array(uint(20), NULL, bstr(b"\0")), "wrong_type", "More is true or false.")
    bad("wants-id-twice", wants(False, [(5, 1), (5, 2)]), "out_of_range", "One want for an id.")
    bad("wants-have-2-to-40", wants(False, [(5, 2**40)]), "over_limit", "The largest seq is 2^40 - 1.")
    bad("wants-4097", wants(False, [(n, 0) for n in range(4097)]), "over_limit", "4096 wants are the most.")
    bad("wants-endless-varint", array(uint(20), FALSE, bstr(b"\x01\x05" + b"\xff" * 12)), "over_limit", "At most 63 bits.")
    bad("picks-cut", array(uint(21), bstr(b"\x01\x05")), "end_of_input", "The seq is missing.")
    bad("picks-nothing", array(uint(21), bstr(b"")), "end_of_input", "The count is missing.")


def main():
    scopes()
    valid_messages()
    invalid_messages()
    text = json.dumps({"scopes": SCOPES, "valid": VALID, "invalid": INVALID}, separators=(",", ":"))
    text = text.replace('},{"name"', '},\n{"name"')
    (HERE / "reconcile.json").write_text(text + "\n")
    print(f"reconcile.json: {len(SCOPES)} scopes, {len(VALID)} valid, {len(INVALID)} invalid, {len(text) // 1024} KiB")


if __name__ == "__main__":
    main()
