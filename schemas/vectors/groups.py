"""Writes the test vectors of groups (`../private.md`), `groups.json`, and checks that orders make no difference.

Written from the specification alone, sharing no code with the engine. The same run gives the same file.

    pip install blake3 cryptography mnemonic
    python groups.py [WORLDS]

With a number it also prints so many random resolutions more, one JSON object a line, for another implementation.
"""

import json
import pathlib
import random
import sys

from generate import DEVICE_1, DEVICE_2, FALSE, NULL, TRUE, Key, array, boolean, bstr, derive, maybe, tstr, uint
from generate import head as cbor_head

HERE = pathlib.Path(__file__).resolve().parent
GROUP = "thistledown 1 group"
TIME = 1_760_000_000
MEMBERS, PARENTS = 64, 16
MEMBER, ADMIN = 0, 1
VALID, INVALID, RESOLUTIONS = [], [], []
DEVICES = {}


# Changes.


def person(number):
    return bytes([number]) * 32


def device_of(number):
    return DEVICES.setdefault(number, Key(derive("thistledown test", b"group device %d" % number)))


class Change:
    def __init__(self, author, group, parents, action, time=TIME, device=None):
        self.author, self.action, self.time = author, action, time
        self.device = device or device_of(author)
        self.parents = sorted(parents)
        self.fields = [
            uint(1),
            maybe(bstr, group),
            bstr(person(author)),
            bstr(self.device.public),
            array(*map(bstr, self.parents)),
            encode_action(*action),
            uint(time),
        ]
        self.unsigned = array(*self.fields)
        self.id = derive(GROUP, self.unsigned)
        self.group = group or self.id
        self.signature = self.device.sign(GROUP, self.id)
        self.data = array(*self.fields, bstr(self.signature))


def encode_action(kind, *rest):
    if kind == "create":
        name, members, history, salt = rest
        listed = array(*(bstr(person(n)) for n in members))
        return array(uint(0), tstr(name), listed, boolean(history), bstr(salt))
    if kind == "rename":
        return array(uint(4), tstr(rest[0]))
    if kind == "leave":
        return array(uint(3))
    if kind == "role":
        return array(uint(5), bstr(person(rest[0])), uint(rest[1]))
    return array(uint({"add": 1, "remove": 2}[kind]), bstr(person(rest[0])))


def shown_action(kind, *rest):
    if kind == "create":
        name, members, history, salt = rest
        listed = [person(n).hex() for n in members]
        return {"kind": 0, "name": name, "members": listed, "history": history, "salt": salt.hex()}
    if kind == "rename":
        return {"kind": 4, "name": rest[0]}
    if kind == "leave":
        return {"kind": 3}
    shown = {"kind": {"add": 1, "remove": 2, "role": 5}[kind], "account": person(rest[0]).hex()}
    return {**shown, "role": rest[1]} if kind == "role" else shown


# What a set of changes comes to. Sets of numbers of changes throughout; nothing here is quick.


NEEDS_ADMIN = {"add", "remove", "rename", "role"}


def aims_at(change):
    """Whom a change puts out or takes the role from, if not its author."""
    kind, *rest = change.action
    hits = kind == "remove" or (kind == "role" and rest[1] == MEMBER)
    return rest[0] if hits and rest[0] != change.author else None


class Resolved:
    def __init__(self, group, changes):
        self.take(group, changes)
        self.past = []
        for act in self.acts:
            before = set()
            for parent in act.parents:
                before |= {self.place[parent]} | self.past[self.place[parent]]
            self.past.append(before)
        self.strikers = [{s for s in self.all if self.strikes(s, x)} for x in self.all]
        self.decide()

    def take(self, group, changes):
        ours = {change.id: change for change in changes if change.group == group}
        depth = {}
        more = True
        while more:
            more = False
            for change in ours.values():
                ready = change.id == group or (change.parents and all(p in depth for p in change.parents))
                if change.id not in depth and ready:
                    depth[change.id] = 1 + max((depth[p] for p in change.parents), default=-1)
                    more = True
        self.acts = sorted((ours[i] for i in depth), key=lambda act: (depth[act.id], act.id))
        self.waiting = sorted(i for i in ours if i not in depth)
        self.place = {act.id: at for at, act in enumerate(self.acts)}
        self.all = range(len(self.acts))

    def concurrent(self, a, b):
        return a != b and a not in self.past[b] and b not in self.past[a]

    def strikes(self, s, x):
        by, act = self.acts[s], self.acts[x]
        if aims_at(by) != act.author or not self.concurrent(s, x):
            return False
        if by.action[0] == "role" and act.action[0] not in NEEDS_ADMIN:
            return False
        return aims_at(act) != by.author

    # Standing in a set.

    def takes_in(self, at, who):
        kind, *rest = self.acts[at].action
        if kind == "create":
            return who == self.acts[at].author or who in rest[1]
        return kind == "add" and rest[0] == who

    def puts_out(self, at, who):
        kind, *rest = self.acts[at].action
        return (kind == "remove" and rest[0] == who) or (kind == "leave" and self.acts[at].author == who)

    def grants(self, at, who):
        kind, *rest = self.acts[at].action
        return (kind == "create" and self.acts[at].author == who) or (kind == "role" and rest == [who, ADMIN])

    def ends_role(self, at, who):
        kind, *rest = self.acts[at].action
        return self.puts_out(at, who) or (kind == "role" and rest == [who, MEMBER])

    def since(self, who, within):
        out = {at for at in within if self.puts_out(at, who)}
        return next((at for at in sorted(within) if self.takes_in(at, who) and out <= self.past[at]), None)

    def granted(self, who, within):
        ended = {at for at in within if self.ends_role(at, who)}
        return any(self.grants(at, who) and ended <= self.past[at] for at in within)

    def people(self, within):
        found = set()
        for at in within:
            kind, *rest = self.acts[at].action
            found |= {self.acts[at].author, *rest[1]} if kind == "create" else {rest[0]} if kind == "add" else set()
        return found

    def members(self, within):
        """Members as (since, account), and the admins."""
        found = sorted((since, who) for who in self.people(within) if (since := self.since(who, within)) is not None)
        admins = {who for _, who in found if self.granted(who, within)}
        return found, admins or {who for _, who in found[:1]}

    def due(self, x, counting):
        if x == 0:
            return True
        author, seen = self.acts[x].author, self.past[x] & counting
        if self.since(author, seen) is None:
            return False
        if self.acts[x].action[0] not in NEEDS_ADMIN or self.granted(author, seen):
            return True
        return author in self.members(seen)[1]

    def possible(self):
        found = set()
        for x in self.all:
            author, seen = self.acts[x].author, self.past[x] & found
            let_in = any(self.takes_in(at, author) for at in seen)
            if self.acts[x].action[0] in NEEDS_ADMIN and not any(self.grants(at, author) for at in seen):
                acts = [(self.acts[at].author, *self.acts[at].action) for at in seen]
                raised = {a[0] for a in acts if a[1] == "create"}
                raised |= {a[2] for a in acts if a[1] == "role" and a[3] == ADMIN}
                let_in = let_in and all(any(self.ends_role(at, who) for at in seen) for who in raised)
            if x == 0 or let_in:
                found.add(x)
        return found

    # Counting.

    def decide(self):
        self.counting, open_ = set(), self.possible()

        def waits_for(x):
            return (self.past[x] | self.strikers[x]) & open_

        while open_:
            ready = [x for x in sorted(open_) if not waits_for(x)]
            for x in ready:
                if not self.strikers[x] & self.counting and self.due(x, self.counting):
                    self.counting.add(x)
            open_ -= set(ready)
            if ready:
                continue
            reached = {x: reach(x, waits_for) for x in open_}
            # A circle that waits for nothing outside: all that it reaches reaches back.
            start = next(x for x in sorted(open_) if all(x in reached[y] for y in reached[x]))
            circle = reached[start]
            firm = {x for x in circle if not self.past[x] & circle}
            lost = {x for x in firm if not self.due(x, self.counting)}
            lost |= {x for x in circle if self.strikers[x] & self.counting}
            standing = {x for x in firm if aims_at(self.acts[x]) is not None}
            if lost:
                open_ -= lost
            elif standing:
                self.counting |= standing
                open_ -= standing
            else:
                open_ -= firm

    def state(self):
        listed, admins = self.members(self.counting)
        names = [self.acts[at].action[1] for at in sorted(self.counting) if self.acts[at].action[0] in ("create", "rename")]
        heads = [at for at in self.all if not any(at in past for past in self.past)]
        of = lambda places: [self.acts[at].id.hex() for at in places]
        return {
            "name": names[-1],
            "history": self.acts[0].action[3],
            "members": [{"account": person(who).hex(), "role": int(who in admins)} for _, who in listed[:MEMBERS]],
            "crowd": [person(who).hex() for _, who in listed[MEMBERS:]],
            "heads": sorted(of(heads)),
            "parents": sorted(of(heads[-PARENTS:])),
            "counting": of(sorted(self.counting)),
            "ignored": of(at for at in self.all if at not in self.counting),
            "waiting": [i.hex() for i in self.waiting],
        }


def reach(x, waits_for):
    found, left = set(), [x]
    while left:
        for y in waits_for(left.pop()) - found:
            found.add(y)
            left.append(y)
    return found


def resolve(changes):
    return Resolved(changes[0].group, changes).state()


# Valid and invalid changes.


def valid(name, change):
    fields = {
        "group": change.group.hex() if change.parents else None,
        "account": person(change.author).hex(),
        "feed": change.device.public.hex(),
        "parents": [parent.hex() for parent in change.parents],
        "action": shown_action(*change.action),
        "time": change.time,
        "signature": change.signature.hex(),
    }
    message = GROUP.encode() + change.id
    derived = {"unsigned": change.unsigned.hex(), "id": change.id.hex(), "message": message.hex()}
    derived["secret"] = change.device.seed.hex()
    VALID.append({"name": name, "hex": change.data.hex(), "fields": fields, "derived": derived})


def test_id(number):
    return derive("thistledown test", b"change %d" % number)


def valid_changes():
    group, one = test_id(0), [test_id(1)]
    salt = bytes(range(16))
    valid("create", Change(1, None, [], ("create", "valley", [2, 3], False, salt)))
    valid("create-alone", Change(1, None, [], ("create", "é", [], True, bytes(16)), 0))
    most = list(range(2, 65))
    valid("create-largest", Change(1, None, [], ("create", "x" * 64, most, True, salt), 2**40 - 1))
    for name, action in (
        ("add", ("add", 2)),
        ("remove", ("remove", 2)),
        ("leave", ("leave",)),
        ("rename", ("rename", "the mill")),
        ("rename-longest", ("rename", "é" * 32)),
        ("role-member", ("role", 2, MEMBER)),
        ("role-admin", ("role", 1, ADMIN)),
    ):
        valid(name, Change(1, group, one, action))
    valid("parents-two", Change(2, group, [test_id(n) for n in (1, 2)], ("leave",)))
    valid("parents-16", Change(2, group, [test_id(n) for n in range(16)], ("leave",), device=DEVICE_2))


def bad(name, data, error, why, grammar=True):
    """`grammar`: whether the grammar refuses it too."""
    INVALID.append({"name": name, "hex": data.hex(), "error": error, "why": why, "grammar": grammar})


def invalid_changes():
    group, one = test_id(0), test_id(1)
    good = Change(1, group, [one], ("add", 2))
    begun = Change(1, None, [], ("create", "x", [2], True, bytes(16)))
    elements = [*good.fields, bstr(good.signature)]

    def changed(at, element, of=elements):
        return array(*of[:at], element, *of[at + 1 :])

    def acting(action):
        return changed(5, action)

    begins = [*begun.fields, bstr(begun.signature)]
    bad("nothing", b"", "end_of_input", "No array.")
    bad("not-an-array", uint(1), "wrong_type", "A change is an array.")
    bad("elements-7", good.unsigned, "wrong_length", "The signature is missing.")
    bad("elements-9", array(*elements, NULL), "wrong_length", "Eight elements.")
    bad("trailing", good.data + NULL, "trailing_bytes", "A byte follows.", False)
    bad("cut", good.data[:-1], "end_of_input", "The last byte is missing.")
    bad("version-2", changed(0, uint(2)), "unsupported_version", "Version 1 alone.")
    bad("version-in-two-bytes", changed(0, uint(1, 1)), "not_shortest", "1 takes one byte.", False)
    bad("group-31-bytes", changed(1, bstr(group[1:])), "wrong_length", "32 bytes.")
    bad("group-null", changed(1, NULL), "out_of_range", "Parents without a group.")
    bad("create-in-a-group", changed(5, begun.fields[5]), "out_of_range", "It begins a group.")
    bad("create-with-group", changed(1, bstr(group), begins), "out_of_range", "No parents in a group.")
    bad("add-without-group", changed(5, good.fields[5], begins), "out_of_range", "Only create begins a group.")
    bad("account-text", changed(2, tstr("x" * 32)), "wrong_type", "Bytes.")
    bad("feed-33-bytes", changed(3, bstr(bytes(33))), "wrong_length", "32 bytes.")
    bad("parents-none", changed(4, array()), "out_of_range", "At least create came before.")
    bad("parents-17-claimed", changed(4, cbor_head(4, 17)), "over_limit", "16 at most.")
    two = sorted([test_id(1), test_id(2)])
    bad("parents-order", changed(4, array(*map(bstr, two[::-1]))), "out_of_range", "Ascending.", False)
    bad("parents-twice", changed(4, array(bstr(one), bstr(one))), "out_of_range", "Each once.", False)
    bad("parent-8-bytes", changed(4, array(bstr(one[:8]))), "wrong_length", "32 bytes.")
    bad("parents-indefinite", changed(4, b"\x9f" + bstr(one) + b"\xff"), "indefinite_length", "Definite.", False)
    bad("action-6", acting(array(uint(6))), "unknown_kind", "0 to 5.")
    bad("action-number", acting(uint(3)), "wrong_type", "An array.")
    bad("leave-2-elements", acting(array(uint(3), NULL)), "wrong_length", "Nothing follows.")
    bad("add-1-element", acting(array(uint(1))), "wrong_length", "Whom?")
    bad("add-account-null", acting(array(uint(1), NULL)), "wrong_type", "Bytes.")
    bad("remove-account-31-bytes", acting(array(uint(2), bstr(bytes(31)))), "wrong_length", "32 bytes.")
    bad("rename-empty", acting(array(uint(4), tstr(""))), "out_of_range", "A name has a letter.")
    bad("rename-65-bytes", acting(array(uint(4), tstr("x" * 65))), "over_limit", "64 at most.")
    bad("rename-no-utf8", acting(array(uint(4), tstr(b"\xff"))), "bad_utf8", "A text.", False)
    bad("role-2", acting(array(uint(5), bstr(person(2)), uint(2))), "out_of_range", "0 or 1.")
    bad("role-2-elements", acting(array(uint(5), bstr(person(2)))), "wrong_length", "Which role?")
    bad("time-2-to-40", changed(6, uint(2**40)), "over_limit", "2^40 - 1 is the last.")
    bad("signature-63-bytes", changed(7, bstr(good.signature[1:])), "wrong_length", "64 bytes.")

    def creating(*rest):
        return changed(5, array(uint(0), *rest), begins)

    name, none, salt = tstr("x"), array(), bstr(bytes(16))
    bad("create-4-elements", creating(name, none, TRUE), "wrong_length", "The salt is missing.")
    bad("create-members-64-claimed", creating(name, cbor_head(4, 64), TRUE, salt), "over_limit", "63 others at most.")
    bad("create-author-twice", creating(name, array(bstr(person(1))), TRUE, salt), "out_of_range", "The author is one.", False)
    order = array(bstr(person(3)), bstr(person(2)))
    bad("create-members-order", creating(name, order, TRUE, salt), "out_of_range", "Ascending.", False)
    bad("create-history-number", creating(name, none, uint(1), salt), "wrong_type", "True or false.")
    bad("create-salt-15-bytes", creating(name, none, FALSE, bstr(bytes(15))), "wrong_length", "16 bytes.")
    bad("create-name-empty", creating(tstr(""), none, FALSE, salt), "out_of_range", "A name has a letter.")

    # What decodes and does not verify.
    flipped = bytes([good.signature[0] ^ 1]) + good.signature[1:]
    bad("signature-of-nobody", changed(7, bstr(flipped)), "bad_signature", "Forged.", False)
    bad("feed-of-another", changed(3, bstr(DEVICE_1.public)), "bad_signature", "Not the device that signed.", False)
    bad("feed-no-key", changed(3, bstr(bytes(32))), "bad_key", "Of small order.", False)
    bad("replay-in-another-group", changed(1, bstr(test_id(9))), "bad_signature", "Signed for one group.", False)
    bad("replay-with-other-parents", changed(4, array(bstr(test_id(9)))), "bad_signature", "And for one past.", False)
    other = good.device.sign("thistledown 1 device", good.id)
    bad("signature-for-something-else", changed(7, bstr(other)), "bad_signature", "Another context.", False)


# Resolutions.


class World:
    def __init__(self, members, admins=()):
        self.changes = [Change(1, None, [], ("create", "valley", sorted(members), True, bytes(16)))]
        self.last = 0
        for admin in admins:
            self.last = self.act(1, [self.last], "role", admin, ADMIN)

    def act(self, author, parents, *action):
        return self.after(author, [self.changes[at].id for at in parents], *action)

    def after(self, author, parents, *action):
        time = TIME + len(self.changes)
        self.changes.append(Change(author, self.changes[0].id, parents, action, time))
        return len(self.changes) - 1


def resolution(name, world, out=None):
    state = resolve(world.changes)
    listed = [{"hex": change.data.hex()} for change in world.changes]
    found = {"name": name, "changes": [each["hex"] for each in listed], "state": state}
    (RESOLUTIONS if out is None else out).append(found)
    group = world.changes[0].group
    for seed in range(3):
        order = world.changes[:]
        random.Random(seed).shuffle(order)
        assert Resolved(group, order).state() == state, f"{name}: another order, another state"
    return state


def accounts(state):
    return [int(member["account"][:2], 16) for member in state["members"]]


def expect(name, world, members, admins, group_name="valley", **more):
    state = resolution(name, world)
    assert sorted(accounts(state)) == members, (name, accounts(state))
    assert sorted(int(m["account"][:2], 16) for m in state["members"] if m["role"]) == admins, name
    assert state["name"] == group_name, name
    for what, count in more.items():
        assert len(state[what]) == count, (name, what, len(state[what]))


def resolutions():
    w = World([2, 3])
    a = w.act(1, [0], "add", 4)
    b = w.act(1, [a], "rename", "mill")
    c = w.act(1, [b], "role", 2, ADMIN)
    d = w.act(2, [c], "remove", 3)
    w.act(4, [d], "leave")
    expect("one-after-another", w, [1, 2], [1, 2], "mill")
    w = World([2, 3])
    for action in (("add", 4), ("remove", 3), ("rename", "mine"), ("role", 2, ADMIN)):
        w.act(2, [0], *action)
    expect("members-are-no-admins", w, [1, 2, 3], [1], ignored=4)
    w = World([2, 3], [2])
    t = w.act(2, [w.last], "add", 4)
    t = w.act(2, [t], "rename", "stolen")
    w.act(2, [t], "remove", 3)
    w.act(1, [w.last], "remove", 2)
    expect("removal-beats-what-the-removed-did", w, [1, 3], [1], ignored=3)
    w = World([2, 3], [2])
    t = w.act(2, [w.last], "add", 4)
    w.act(2, [t], "leave")
    w.act(1, [w.last], "role", 2, MEMBER)
    expect("lost-role", w, [1, 3], [1], ignored=1)
    w = World([2, 3, 4], [2])
    w.act(1, [w.last], "remove", 2)
    back = w.act(2, [w.last], "remove", 1)
    w.act(2, [back], "remove", 3)
    expect("mutual-removal", w, [3, 4], [3], ignored=1)
    w = World([2, 3, 4], [2])
    t = w.act(1, [w.last], "add", 5)
    w.act(1, [t], "remove", 2)
    w.act(2, [w.last], "remove", 1)
    expect("mutual-removal-after-something-else", w, [3, 4], [3], ignored=1)
    w = World([2, 3, 4], [2, 3])
    for author, removed in ((1, 2), (2, 3), (3, 1)):
        w.act(author, [w.last], "remove", removed)
    expect("circle-of-three", w, [4], [4], ignored=0)
    w = World([2, 3, 4], [2, 3, 4])
    for author, removed in ((1, 2), (2, 3), (3, 1), (4, 1)):
        w.act(author, [w.last], "remove", removed)
    expect("circle-broken-from-outside", w, [2, 4], [2, 4], ignored=2)
    w = World([2, 3], [2])
    t = w.act(2, [w.last], "add", 4)
    t = w.act(2, [t], "role", 4, ADMIN)
    t = w.act(4, [t], "add", 5)
    w.act(4, [t], "remove", 1)
    w.act(1, [w.last], "remove", 2)
    expect("what-rests-on-it-falls-too", w, [1, 3], [1], ignored=4)
    w = World([2, 3], [2])
    for master, name, victim in ((1, 5, 2), (2, 6, 1)):
        t = w.act(master, [w.last], "add", name)
        t = w.act(master, [t], "role", name, ADMIN)
        w.act(name, [t], "remove", victim)
    expect("puppets-against-each-other", w, [1, 2, 3], [1, 2], ignored=6)
    w = World([2, 3], [2])
    one, other = w.act(1, [w.last], "add", 5), w.act(2, [w.last], "add", 6)
    w.act(3, [one], "remove", 2)
    w.act(3, [other], "remove", 1)
    expect("nobody-makes-a-circle", w, [1, 2, 3, 5, 6], [1, 2], ignored=2)
    w = World([2, 3], [2])
    r = w.act(1, [w.last], "remove", 3)
    again = w.act(1, [r], "add", 3)
    expect("taken-in-again", w, [1, 2, 3], [1, 2])
    unaware = w.act(2, [w.last], "remove", 3)
    expect("an-add-beats-what-it-knew", w, [1, 2], [1, 2])
    w.act(2, [unaware, again], "add", 3)
    expect("taken-in-for-both", w, [1, 2, 3], [1, 2])
    w = World([2, 3], [2])
    r = w.act(1, [w.last], "remove", 2)
    w.act(1, [r], "add", 2)
    expect("the-role-does-not-come-back", w, [1, 2, 3], [1])
    w = World([2, 3])
    gone = w.act(1, [0], "leave")
    w.act(3, [gone], "rename", "third")
    t = w.act(2, [gone], "role", 3, ADMIN)
    w.act(2, [t], "leave")
    expect("the-longest-standing-leads", w, [3], [3], ignored=1)
    w = World([2], [2])
    w.act(1, [w.last], "rename", "one")
    w.act(2, [w.last], "rename", "two")
    resolution("two-names", w)
    w = World([2])
    one = w.act(1, [0], "add", 3)
    w.act(1, [one], "add", 4)
    del w.changes[one]
    expect("waits", w, [1, 2], [1], waiting=1)
    w = World(range(2, 61), [2])
    ends = [w.last, w.last]
    for n in range(100, 104):
        ends = [w.act(1, [ends[0]], "add", n), w.act(2, [ends[1]], "add", n + 50)]
    state = resolution("crowd", w)
    assert (len(state["members"]), len(state["crowd"])) == (64, 4)
    w = World(range(2, 30), range(2, 30))
    for n in range(1, 19):
        w.act(n, [w.last], "rename", f"name {n}")
    state = resolution("many-heads", w)
    assert (len(state["heads"]), len(state["parents"])) == (18, 16)


def random_world(seed, length):
    """People change a group in parts that meet now and then; some programs do not ask whether they may."""
    dice = random.Random(seed)
    world = World([2, 3, 4, 5], [2, 3])
    known = [set(range(len(world.changes))) for _ in range(3)]
    for _ in range(length):
        one, other = dice.randrange(3), dice.randrange(3)
        if dice.randrange(4) == 0:
            known[one] = known[other] = known[one] | known[other]
            known[one] = set(known[one])
            continue
        held = [world.changes[at] for at in sorted(known[one])]
        kind = dice.choice(["add", "add", "remove", "remove", "remove", "rename", "raise", "lower", "leave"])
        whom = dice.randint(1, 7)
        author = one + 1 if dice.randrange(4) else whom
        if kind == "leave":
            action = ("leave",)
        elif kind == "rename":
            action = ("rename", dice.choice(["mill", "bridge"]))
        elif kind in ("raise", "lower"):
            action = ("role", whom, int(kind == "raise"))
        else:
            action = (kind, whom)
        parents = [bytes.fromhex(i) for i in resolve(held)["parents"]]
        # Sometimes as if something had not been heard.
        if dice.randrange(3) == 0:
            parents = [dice.choice(held).id]
        known[one].add(world.after(author, parents, *action))
    return world


def random_worlds(first, count, length):
    found = []
    for seed in range(first, first + count):
        resolution(f"random-{seed}", random_world(seed, length), found)
    return found


def main():
    valid_changes()
    invalid_changes()
    resolutions()
    RESOLUTIONS.extend(random_worlds(0, 12, 16))
    everything = {"valid": VALID, "invalid": INVALID, "resolutions": RESOLUTIONS}
    text = json.dumps(everything, separators=(",", ":"))
    text = text.replace('},{"name"', '},\n{"name"')
    if len(sys.argv) > 1:
        for each in random_worlds(1000, int(sys.argv[1]), 40):
            print(json.dumps(each, separators=(",", ":")))
        return
    (HERE / "groups.json").write_text(text + "\n")
    print(f"groups.json: {len(VALID)} valid, {len(INVALID)} invalid, {len(RESOLUTIONS)} resolutions, {len(text) // 1024} KiB")


if __name__ == "__main__":
    main()
