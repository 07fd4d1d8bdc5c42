"""Writes the test vectors of `../session.md`, `session.json`, and reads `conversations.json` back.

Written from the specification alone, sharing no code with the engine. The same run gives the same file.

    pip install blake3 cryptography mnemonic
    python session.py
"""

import json
import pathlib

from blake3 import blake3
from check import Reader, next_frame, read_segment, verify_segment
from generate import DEVICE_1, DEVICE_2, FALSE, NULL, TRUE, array, boolean, bstr, derive, head, maybe, tstr, uint
from reconcile import SCOPES, counters_bytes, scope, test_digest

HERE = pathlib.Path(__file__).resolve().parent
TOP = 2**64 - 1
TAGS = b"".join(test_digest("tags", n) for n in range(32))
A, B = bytes(DEVICE_1.public), bytes(DEVICE_2.public)
VALID, INVALID = [], []


# The frames.


def greeting(first=1, last=1, features=0, tags=TAGS, *more):
    return array(uint(8), uint(first), uint(last), uint(features), bstr(tags), *more)


def place(position, hash8):
    return [uint(position), bstr(hash8)]


def memory(here, cursor, revision, known, log=None):
    told = array(*place(*cursor)) if cursor else NULL
    return array(*place(*here), told, bstr(revision), maybe(bstr, known), maybe(bstr, log))


def state(digest, count, tag, remembered, counters):
    return array(uint(9), bstr(digest), uint(count), bstr(tag), remembered, maybe(bstr, counters))


def ack(count, done):
    return array(uint(10), uint(count), boolean(done))


def want(feed, first, last, what):
    return array(bstr(feed), uint(first), uint(last), uint(what))


def listed(kind, items):
    return array(uint(kind), array(*items))


def decline(lasts, feeds):
    return array(uint(12), boolean(lasts), array(*map(bstr, feeds)))


# Valid and invalid frames.


def valid(name, rule, data, again=True, **fields):
    """`again`: whether a writer of this version writes the same bytes."""
    VALID.append({"name": name, "rule": rule, "again": again, "hex": data.hex(), "fields": fields})


def shown_place(position, hash8):
    return {"position": position, "hash": hash8.hex()}


def shown_wants(wants):
    return [{"feed": f.hex(), "first": a, "last": b, "what": w} for f, a, b, w in wants]


def valid_greetings():
    plain = {"kind": 8, "first": 1, "last": 1, "features": 0, "tags": TAGS.hex()}
    valid("greeting", "greeting", greeting(), **plain)
    wide = greeting(1, TOP, TOP, bytes(1024))
    valid("greeting-largest", "greeting", wide, **{**plain, "last": TOP, "features": TOP, "tags": bytes(1024).hex()})
    other = {**plain, "first": 2, "last": 9}
    valid("greeting-of-others-only", "greeting", greeting(2, 9), **other)
    later = greeting(1, 2, 1, TAGS, uint(7), array(tstr("more")))
    valid("greeting-that-says-more", "greeting", later, False, **{**plain, "last": 2, "features": 1})


def valid_states():
    digest, tag, revision, known = (test_digest("state", n)[:8] for n in range(4))
    here, cursor = (70_000, b"\x11" * 8), (0, bytes(8))
    counters = counters_bytes([n - 32 for n in range(64)])
    for name, count, told, counted in (
        ("state-of-nothing", 0, None, None),
        ("state-to-a-stranger", 10_000, None, counters),
        ("state-to-a-new-acquaintance", 3, (here, None, revision, None), counters),
        ("state-to-a-known-peer", 131_072, (here, cursor, revision, known), None),
        ("state-to-a-contact", 131_072, (here, cursor, revision, known, b"log name"), None),
        ("state-largest-numbers", TOP, ((TOP, bytes(8)), (TOP, b"\xff" * 8), revision, known), b""),
    ):
        shown = told and {
            "here": shown_place(*told[0]),
            "cursor": told[1] and shown_place(*told[1]),
            "revision": told[2].hex(),
            "known": told[3] and told[3].hex(),
            "log": told[4].hex() if len(told) > 4 else None,
        }
        data = state(digest, count, tag, memory(*told) if told else NULL, counted)
        shown = {"digest": digest.hex(), "count": count, "tag": tag.hex(), "memory": shown}
        valid(name, "state", data, kind=9, **shown, counters=None if counted is None else counted.hex())


def valid_others():
    for name, count, done in (("ack-of-nothing", 0, False), ("ack-done", 23, True), ("ack-largest", TOP, True)):
        valid(name, "session_ack", ack(count, done), kind=10, count=count, done=done)
    one, top = (A, 1, 1, 0), (B, 2**40 - 1, 2**40 - 1, 1)
    for name, wants in (("one", [one]), ("both-sorts", [top, one]), ("256", [one] * 256)):
        for word, kind, rule in (("wants", 4, "wants"), ("absent", 11, "absent")):
            data = listed(kind, [want(*each) for each in wants])
            valid(f"{word}-{name}", rule, data, kind=kind, wants=shown_wants(wants))
    many = [test_digest("feed", n) for n in range(1024)]
    for name, lasts, feeds in (("for-now", False, [A]), ("that-lasts", True, [B, A]), ("1024", True, many)):
        shown = [feed.hex() for feed in feeds]
        valid(f"decline-{name}", "decline", decline(lasts, feeds), kind=12, lasts=lasts, feeds=shown)
    payload = array(uint(2), bstr(A), uint(3), bstr(b"late"))
    valid("payload", "payload_frame", payload, kind=2, feed=A.hex(), seq=3, payload=b"late".hex())
    # What is in these is for another decoder.
    valid("segment", "sentence", array(uint(1), bstr(A)), kind=1, body=array(uint(1), bstr(A)).hex())
    valid("fork", "sentence", array(uint(6), array(uint(1))), kind=6, body=array(uint(1)).hex())
    valid("all", "compare", array(uint(22)), kind=16, body=array(uint(22)).hex())
    for kind in (0, 3, 5, 7, 13, 15, 32, TOP):
        valid(f"skipped-{kind}", "skipped", array(uint(kind), tstr("?")), False, kind=kind)
    valid("skipped-alone", "skipped", array(uint(13)), kind=13)


def bad(name, data, error, why, grammar=True):
    """`grammar`: whether the grammar refuses it too."""
    INVALID.append({"name": name, "hex": data.hex(), "error": error, "why": why, "grammar": grammar})


def invalid_frames():
    bad("empty", array(), "wrong_length", "An array without a kind.")
    bad("nothing", b"", "end_of_input", "No array.")
    bad("not-an-array", uint(10), "wrong_type", "A frame is an array.")
    bad("kind-text", array(tstr("state")), "wrong_type", "A kind is a number.")
    bad("kind-in-two-bytes", b"\x83\x18\x0a\x01\xf5", "not_shortest", "10 takes one byte.", False)
    bad("array-indefinite", b"\x9f\x0a\x01\xf5\xff", "indefinite_length", "Lengths are definite.", False)
    bad("kind-cut", b"\x83", "end_of_input", "The kind is missing.")


def invalid_greetings():
    cut = array(uint(8), uint(1), uint(1), uint(0))
    bad("greeting-4-elements", cut, "wrong_length", "The tags are missing.")
    bad("greeting-backwards", greeting(2, 1), "out_of_range", "No version from 2 to 1.", False)
    bad("greeting-1023-tag-bytes", greeting(tags=TAGS[1:]), "wrong_length", "128 tags of 8 bytes.")
    bad("greeting-1025-tag-bytes", greeting(tags=TAGS + b"x"), "wrong_length", "128 tags of 8 bytes.")
    text = array(uint(8), uint(1), uint(1), uint(0), tstr("x" * 1024))
    bad("greeting-tags-text", text, "wrong_type", "Tags are bytes.")
    bad("greeting-cut", greeting()[:-1], "end_of_input", "The last byte is missing.")
    claim = array(uint(8), uint(1), uint(1), uint(0)) + head(2, 2**63)
    bad("greeting-claims", b"\x85" + claim[1:], "wrong_length", "A length is a claim.")
    bad("greeting-null-features", array(uint(8), uint(1), uint(1), NULL, bstr(TAGS)), "wrong_type", "A number.")
    bad("greeting-trailing", greeting() + b"\0", "trailing_bytes", "A byte follows.", False)


def invalid_states():
    digest, told = bytes(8), memory((1, bytes(8)), (1, bytes(8)), bytes(8), bytes(8))
    good = [uint(9), bstr(digest), uint(1), bstr(bytes(8)), told, NULL]
    bad("state-5-elements", array(*good[:-1]), "wrong_length", "Counters are missing.")
    bad("state-7-elements", array(*good, NULL), "wrong_length", "Six elements.")
    bad("state-trailing", array(*good) + NULL, "trailing_bytes", "A byte follows.", False)

    def changed(at, element):
        return array(*good[:at], element, *good[at + 1 :])

    bad("state-digest-7-bytes", changed(1, bstr(bytes(7))), "wrong_length", "Eight bytes.")
    bad("state-digest-number", changed(1, uint(7)), "wrong_type", "Bytes, not a number.")
    bad("state-count-null", changed(2, NULL), "wrong_type", "A number.")
    bad("state-count-negative", changed(2, b"\x20"), "wrong_type", "A number from 0 on.")
    bad("state-tag-9-bytes", changed(3, bstr(bytes(9))), "wrong_length", "Eight bytes.")
    bad("state-memory-empty", changed(4, array()), "wrong_length", "Six elements.")
    bad("state-memory-false", changed(4, FALSE), "wrong_type", "Null or an array.")
    bad("state-counters-text", changed(5, tstr("")), "wrong_type", "Null or bytes.")
    claim = array(*good).removesuffix(NULL) + head(2, 65537)
    bad("state-counters-65537-claimed", claim, "over_limit", "More than a frame.")
    bad("state-counters-cut", array(*good[:-1]).replace(b"\x85", b"\x86", 1) + b"\x41", "end_of_input", "A byte is due.")
    inner = [uint(1), bstr(bytes(8)), NULL, bstr(bytes(8)), NULL, NULL]
    for name, at, element, error, why in (
        ("hash-7-bytes", 1, bstr(bytes(7)), "wrong_length", "Eight bytes."),
        ("position-text", 0, tstr("1"), "wrong_type", "A number."),
        ("cursor-1-element", 2, array(uint(1)), "wrong_length", "Two elements."),
        ("cursor-number", 2, uint(1), "wrong_type", "Null or an array."),
        ("cursor-hash-9-bytes", 2, array(uint(1), bstr(bytes(9))), "wrong_length", "Eight bytes."),
        ("revision-null", 3, NULL, "wrong_type", "Everybody has one."),
        ("known-7-bytes", 4, bstr(bytes(7)), "wrong_length", "Eight bytes."),
        ("log-9-bytes", 5, bstr(bytes(9)), "wrong_length", "Eight bytes."),
    ):
        data = changed(4, array(*inner[:at], element, *inner[at + 1 :]))
        bad(f"state-{name}", data, error, why)
    bad("state-memory-5-elements", changed(4, array(*inner[:-1])), "wrong_length", "Six elements.")


def invalid_others():
    bad("ack-2-elements", array(uint(10), uint(1)), "wrong_length", "Done is missing.")
    bad("ack-done-null", array(uint(10), uint(1), NULL), "wrong_type", "True or false.")
    bad("ack-done-number", array(uint(10), uint(1), uint(1)), "wrong_type", "True or false.")
    bad("ack-count-bytes", array(uint(10), bstr(b"\1"), TRUE), "wrong_type", "A number.")
    bad("ack-count-in-9-bytes", array(uint(10), uint(1, 8), TRUE), "not_shortest", "One byte is enough.", False)
    bad("ack-trailing", ack(1, True) + ack(1, True), "trailing_bytes", "One frame in a byte string.", False)
    for word, kind in (("wants", 4), ("absent", 11)):
        bad(f"{word}-none", listed(kind, []), "out_of_range", "At least one.")
        bad(f"{word}-257-claimed", array(uint(kind)).replace(b"\x81", b"\x82") + head(4, 257), "over_limit", "A claim.")
        bad(f"{word}-seq-0", listed(kind, [want(A, 0, 1, 0)]), "out_of_range", "Seqs start at 1.")
        bad(f"{word}-seq-2-to-40", listed(kind, [want(A, 1, 2**40, 0)]), "over_limit", "2^40 - 1 is the last.")
        bad(f"{word}-backwards", listed(kind, [want(A, 2, 1, 0)]), "out_of_range", "From 2 to 1.", False)
        bad(f"{word}-what-2", listed(kind, [want(A, 1, 1, 2)]), "out_of_range", "0 or 1.")
        bad(f"{word}-3-elements", listed(kind, [array(bstr(A), uint(1), uint(1))]), "wrong_length", "Four.")
        bad(f"{word}-feed-31-bytes", listed(kind, [want(A[1:], 1, 1, 0)]), "wrong_length", "32 bytes.")
        bad(f"{word}-alone", array(uint(kind)), "wrong_length", "The list is missing.")
    bad("decline-none", decline(True, []), "out_of_range", "At least one feed.")
    claim = array(uint(12), TRUE, array()).removesuffix(array()) + head(4, 1025)
    bad("decline-1025-claimed", claim, "over_limit", "1024 at most.")
    bad("decline-feed-33-bytes", decline(True, [A + b"x"]), "wrong_length", "32 bytes.")
    bad("decline-lasts-null", array(uint(12), NULL, array(bstr(A))), "wrong_type", "True or false.")
    bad("decline-2-elements", array(uint(12), TRUE), "wrong_length", "Feeds are missing.")
    bad("decline-cut", decline(True, [A, B])[:-1], "end_of_input", "A byte is missing.")
    bad("payload-3-elements", array(uint(2), bstr(A), uint(1)), "wrong_length", "Four elements.")
    bad("payload-16385-bytes", array(uint(2), bstr(A), uint(1), bstr(bytes(16385))), "over_limit", "16384 at most.")
    bad("fork-bytes", array(uint(6), bstr(b"")), "wrong_type", "The proof is an array.")
    bad("fork-alone", array(uint(6)), "wrong_length", "The proof is missing.")


# Whole sessions, as the engine had them.


def frames(data):
    at, found = 0, []
    while at < len(data):
        frame, at = next_frame(data, at)
        found.append(frame)
    return found


def read_state(data):
    """Digest, count, memory as (here, cursor, revision, known), and counters."""
    r = Reader(data)
    r.array(6)
    assert r.uint() == 9
    digest, count, _ = r.fixed(8), r.uint(), r.fixed(8)
    told = None
    if not r.null():
        r.array(6)
        here, cursor = (r.uint(), r.fixed(8)), None
        if not r.null():
            r.array(2)
            cursor = (r.uint(), r.fixed(8))
        revision, known = r.fixed(8), None if r.null() else r.fixed(8)
        told = (here, cursor, revision, known, None if r.null() else r.fixed(8))
    return digest, count, told, None if r.null() else r.payload(65536).hex()


# Recognition.


def recognition_tag(secret, label, session, says):
    """The tag of a secret: `label` is from and to of two contacts, or a feed that is not open."""
    key = derive("thistledown 1 recognition", secret + label)
    return blake3(session + bytes([says]), key=key).digest()[:8]


def recognition():
    """Tags of two contacts and of the carriers of a feed, in one session."""
    secret, session, ana, bo = (test_digest("recognition", n) for n in range(4))
    for name, label in (("contact", ana + bo), ("contact the other way", bo + ana), ("carrier", ana)):
        for says, where in enumerate(("opener", "responder", "answer of the opener", "answer of the responder")):
            tag = recognition_tag(secret, label, session, says)
            shown = {"secret": secret, "label": label, "session": session, "tag": tag}
            yield {"name": name, "says": where, **{key: value.hex() for key, value in shown.items()}}


def check_recognition(session, key, said):
    """In a session of contacts both greetings hold the tag, and whoever tells a state answers."""
    if "contact" not in session:
        return
    contact = {name: bytes.fromhex(value) for name, value in session["contact"].items()}
    label = {"opener": contact["opener"] + contact["responder"]}
    label["responder"] = contact["responder"] + contact["opener"]
    for side, frame in said:
        kind = Reader(frame).kind()[0]
        says = {"opener": 0, "responder": 1}[side] + (2 if kind == 9 else 0)
        tag = recognition_tag(contact["secret"], label[side], key, says)
        if kind == 8:
            tags = frame[-1024:]
            assert tag in [tags[at : at + 8] for at in range(0, 1024, 8)], "the greeting says who it is"
        if kind == 9:
            r = Reader(frame)
            r.array(6)
            assert (r.uint(), r.fixed(8), r.uint(), r.fixed(8))[3] == tag.hex(), "the state answers"
            assert read_state(frame)[2][4] is not None, "a contact is told the name of the log"


def check_conversation(session, held):
    """Reads a session between devices of which each holds some heads, and returns what both hold then."""
    key = derive("thistledown 1 session", bytes.fromhex(session["binding"]))
    sides = {"opener": dict(held.get("opener", {})), "responder": dict(held.get("responder", {}))}
    other = {"opener": "responder", "responder": "opener"}
    said = [(m["from"], frame) for m in session["messages"] for frame in frames(bytes.fromhex(m["hex"]))]
    # What a side sends of a feed that it was not seen to receive it held from the beginning.
    for side, frame in said:
        if frame[1] == 1:
            segment = read_segment(frame)
            last = segment["first_seq"] + len(segment["items"]) - 1
            _, ids = verify_segment(segment)
            sides[side][segment["feed"]] = (last, ids[-1])
    check_recognition(session, key, said)
    counted, acked, states, greeted = {s: 0 for s in sides}, {s: (0, False) for s in sides}, [], set()
    coming = {s: [] for s in sides}
    for side, frame in said:
        kind = Reader(frame).kind()[0]
        assert (kind == 8) == (side not in greeted), "the greeting comes first, and once"
        greeted.add(side)
        counted[side] += kind not in (8, 10)
        if kind == 10:
            r = Reader(frame)
            r.kind()
            count, done = r.uint(), r.flag()
            assert acked[side][0] <= count <= counted[other[side]], "an ack counts what was sent"
            acked[side] = (count, done)
            # A state is of what was stored, and here all that is stored was acknowledged before.
            sides[side].update(heads for number, heads in coming[side] if number <= count)
        if kind == 9:
            digest, count, told, counters = read_state(frame)
            items = [(bytes.fromhex(feed), seq, top) for feed, (seq, top) in sides[side].items()]
            scope("", key, items)
            hashed = SCOPES.pop()
            assert (digest, count) == (hashed["digest"], len(items)), "a digest of what is held"
            assert counters in (None, hashed["counters"])
            assert side == "responder" or counters is None
            assert (told is not None) == session["known"]
            states.append((side, digest, told))
        if kind == 1:
            segment = read_segment(frame)
            last = segment["first_seq"] + len(segment["items"]) - 1
            head = (segment["feed"], (last, verify_segment(segment)[1][-1]))
            coming[other[side]].append((counted[side], head))
    assert sides["opener"] == sides["responder"], "both hold the same"
    if len(states) > 1:
        assert states[-1][1] == states[-2][1], "and both said so"
        assert all(acked[s] == (counted[other[s]], True) for s in sides), "all is acknowledged"
    return sides


def check_conversations():
    sessions = json.loads((HERE / "conversations.json").read_text())
    held = {}
    for session in sessions:
        if session["first"]:
            held = {}
        held = check_conversation(session, held)
    print(f"conversations.json: {len(sessions)} sessions are what the specification says")


def main():
    valid_greetings()
    valid_states()
    valid_others()
    invalid_frames()
    invalid_greetings()
    invalid_states()
    invalid_others()
    tags = list(recognition())
    text = json.dumps({"valid": VALID, "invalid": INVALID, "recognition": tags}, separators=(",", ":"))
    text = text.replace('},{"name"', '},\n{"name"')
    (HERE / "session.json").write_text(text + "\n")
    print(f"session.json: {len(VALID)} valid, {len(INVALID)} invalid, {len(text) // 1024} KiB")
    check_conversations()


if __name__ == "__main__":
    main()
