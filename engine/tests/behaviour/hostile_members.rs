//! Contacts turned hostile, and what is copied out of other people's feeds: nothing of it is believed.

use thistle_engine::account::{AccountKey, succeed};
use thistle_engine::bundle::{FileWriter, Opening};
use thistle_engine::content::{Carry, Content, Part, Receipt, ReceiptState, Sealed};
use thistle_engine::entry::{EntryId, Header, Stub, window};
use thistle_engine::key::{AccountId, FeedId, PrekeySecret, SLOT_BYTES, SecretKey, Seed};
use thistle_engine::limits::INLINE_BYTES;
use thistle_engine::policy::CarryClass;
use thistle_engine::seal::{
    Acquaintance, Action, Card, Chain, Draft, Inner, Message, Place, Role, Roster, RosterKind,
    Slot, commit, pair_of, prekey_name,
};
use thistle_engine::segment::{Body, Item, UnverifiedSegment, sign};
use thistle_engine::{Added, Audience, Changed, Progress, Sent};

use crate::common::{Device, account};
use crate::private::{carry, friends, said};

/// A person who writes a feed by hand.
pub(crate) struct Forger {
    pub(crate) account: AccountKey,
    pub(crate) key: SecretKey,
    pub(crate) entries: Vec<(Vec<u8>, EntryId)>,
}

impl Forger {
    pub(crate) fn new(number: u8) -> Self {
        let (account, key) = (account(number), SecretKey::from_seed(&Seed::new([number ^ 7; 32])));
        let certificate = account.certify(&key.feed(), Carry::Open);
        let mut forger = Self { account, key, entries: Vec::new() };
        forger.write(&Content::Certificate(certificate));
        forger
    }

    pub(crate) fn id(&self) -> AccountId {
        self.account.id()
    }

    pub(crate) fn feed(&self) -> FeedId {
        self.key.feed()
    }

    /// Where the next entry will stand.
    pub(crate) fn next(&self) -> Place {
        let prev = self.entries.last().unwrap().1;
        Place { feed: self.feed(), seq: self.entries.len() as u64 + 1, prev }
    }

    pub(crate) fn write(&mut self, content: &Content) -> u64 {
        self.write_bytes(content.encode())
    }

    /// Writes a payload, whatever it is.
    pub(crate) fn write_bytes(&mut self, payload: Vec<u8>) -> u64 {
        let prev = self.entries.last().map(|entry| entry.1);
        let seq = self.entries.len() as u64 + 1;
        let id = Header::new(self.feed(), seq, prev, Stub::of(0, &payload)).id();
        self.entries.push((payload, id));
        seq
    }

    /// Begins an epoch with slots that hold these keys, each for a prekey of a device.
    pub(crate) fn begin(&mut self, slots: &[(&FeedId, &[u8], &Seed)], commit: [u8; 32]) -> u64 {
        let place = self.next();
        let (mut bytes, nothing) = (Vec::new(), Seed::new([0; 32]));
        for at in 0..4 {
            let nobody = PrekeySecret::from_seed(Seed::new([at; 32])).public();
            let (device, public, key) =
                slots.get(usize::from(at)).copied().unwrap_or((&place.feed, &nobody, &nothing));
            let author = &self.account.id();
            let prekey = prekey_name(public);
            let slot = Slot { author, place, device, prekey, commit: &commit };
            bytes.extend(slot.lock(public, key, &Seed::new([at + 40; 32])).unwrap());
        }
        assert_eq!(bytes.len(), 4 * SLOT_BYTES);
        let (epoch, slots) = (place.seq, bytes);
        self.write(&Content::Part(Part { epoch, part: 0, parts: 1, commit, slots }))
    }

    /// Seals what somebody says with the next key of a chain.
    pub(crate) fn seal(&mut self, epoch: u64, chain: &mut Chain, inner: &Inner) {
        let message = Message { place: self.next(), ttl: 0, epoch, index: chain.index() };
        let tag = chain.tag();
        let text = message.seal(&chain.take(), &inner.encode());
        self.write(&Content::Sealed(Sealed { tag, text }));
    }

    /// Begins an epoch for a device, which has its first message already.
    pub(crate) fn open_to(&mut self, device: &Device, key: Seed) -> (u64, Chain) {
        let inner = Inner::Roster(self.roster(device));
        let commit = commit(&key, &inner.encode());
        let epoch = self.begin(&[(&device.feed(), &prekey_of(device), &key)], commit);
        let mut chain = Chain::at(key, 0);
        self.seal(epoch, &mut chain, &inner);
        (epoch, chain)
    }

    /// A feed that says by a feed of its own that it goes on for somebody else's account.
    pub(crate) fn impostor(number: u8, victim: AccountId) -> Self {
        let mut forger = Self::new(number);
        let retired = SecretKey::from_seed(&Seed::new([number ^ 8; 32]));
        forger.entries.clear();
        let claim = succeed(&retired, &forger.feed(), Carry::Open, victim);
        forger.write(&Content::Successor(claim));
        forger
    }

    /// Speaks to a device as an account to an audience, by one epoch.
    pub(crate) fn speak(&mut self, device: &Device, roster: Roster, words: &[Inner]) {
        self.speak_as(&self.account.id(), device, roster, words);
    }

    /// As somebody whose account it claims.
    pub(crate) fn speak_as(
        &mut self,
        author: &AccountId,
        device: &Device,
        roster: Roster,
        words: &[Inner],
    ) {
        let key = Seed::new([u8::try_from(self.entries.len() % 200).unwrap(); 32]);
        let (place, inner, public) = (self.next(), Inner::Roster(roster), prekey_of(device));
        let commit = commit(&key, &inner.encode());
        let (reader, prekey) = (device.feed(), prekey_name(&public));
        let slot = Slot { author, place, device: &reader, prekey, commit: &commit };
        let slots: Vec<u8> = (0..4_u8)
            .flat_map(|at| slot.lock(&public, &key, &Seed::new([at + 40; 32])).unwrap())
            .collect();
        let part = Part { epoch: place.seq, part: 0, parts: 1, commit, slots };
        let epoch = self.write(&Content::Part(part));
        let mut chain = Chain::at(key, 0);
        self.seal(epoch, &mut chain, &inner);
        for inner in words {
            self.seal(epoch, &mut chain, inner);
        }
    }

    /// The whole feed as a bundle.
    pub(crate) fn bundle(&self) -> Vec<u8> {
        let opening = Opening {
            maker: self.feed(),
            for_feed: None,
            whole: false,
            position: 0,
            log_hash: [0; 8],
            ack: None,
        };
        let (mut file, mut out) = FileWriter::new(opening, Vec::new(), &[], &self.key);
        let mut first = 1_u64;
        let head = self.entries.len() as u64;
        while first <= head {
            let last = window(first).1.min(head);
            let at = |seq: u64| usize::try_from(seq - 1).unwrap();
            let entries = &self.entries[at(first)..=at(last)];
            let items = entries.iter().map(|(payload, _)| {
                let stub = Stub::of(0, payload);
                let body = if payload.len() as u64 <= INLINE_BYTES {
                    Body::Here(payload)
                } else {
                    let (size, payload_hash) = (stub.size, stub.payload_hash);
                    Body::Detached { size, payload_hash, follows: true }
                };
                Item { ttl: 0, age: 0, body }
            });
            let segment = UnverifiedSegment {
                feed: self.feed(),
                first_seq: first,
                prev: (first > 1).then(|| self.entries[at(first - 1)].1),
                items: items.collect(),
                signature: sign(&self.key, &entries.last().unwrap().1),
            };
            out.extend(file.segment(&segment.encode()));
            for (seq, (payload, _)) in (first..).zip(entries) {
                if payload.len() as u64 > INLINE_BYTES {
                    out.extend(file.payload(self.feed(), seq, payload));
                }
            }
            first = last + 1;
        }
        out.extend(file.end());
        out
    }

    pub(crate) fn befriend(&self, device: &mut Device) {
        let (_, card) = Card::issue(&self.account, 0, self.feed(), None);
        assert_eq!(device.node.add_contact(device.now, &card, None, true).unwrap(), Added::New);
    }

    /// The audience of the forger and a device.
    pub(crate) fn roster(&self, device: &Device) -> Roster {
        let mut members =
            vec![(self.id(), vec![self.feed()]), (device.account(), vec![device.feed()])];
        members.sort();
        let id = pair_of(&self.id(), &device.account());
        Roster { kind: RosterKind::Pair, id, members }
    }
}

/// The newest prekey of a device.
pub(crate) fn prekey_of(device: &Device) -> Vec<u8> {
    let payloads = device.export(&device.feed()).into_iter().filter_map(|entry| entry.3);
    let mut keys = payloads.filter_map(|payload| match Content::decode(&payload) {
        Ok(Content::Prekey(key)) => Some(key),
        _ => None,
    });
    keys.next_back().unwrap()
}

pub(crate) fn text(words: &str) -> Inner {
    Inner::Content(Content::Post(said(words)))
}

pub(crate) fn hear(device: &mut Device, forger: &Forger) {
    let report = device.read(&forger.bundle());
    assert_eq!(report.refused, 0, "the feed itself is sound");
    device.idle();
}

#[test]
fn what_a_forger_writes_by_the_rules_is_read() {
    let mut bo = Device::new(2);
    let mut forger = Forger::new(3);
    forger.befriend(&mut bo);
    let (key, inner) = (Seed::new([9; 32]), Inner::Roster(forger.roster(&bo)));
    let commit = commit(&key, &inner.encode());
    let epoch = forger.begin(&[(&bo.feed(), &prekey_of(&bo), &key)], commit);
    let mut chain = Chain::at(key, 0);
    forger.seal(epoch, &mut chain, &inner);
    forger.seal(epoch, &mut chain, &text("a sound message"));
    hear(&mut bo, &forger);
    assert_eq!(bo.told_with(forger.id()), ["a sound message"], "else the others prove nothing");
}

#[test]
fn a_contact_introduces_so_many_at_once() {
    let mut bo = Device::new(2);
    let mut forger = Forger::new(3);
    forger.befriend(&mut bo);
    let (key, inner) = (Seed::new([9; 32]), Inner::Roster(forger.roster(&bo)));
    let epoch = {
        let commit = commit(&key, &inner.encode());
        forger.begin(&[(&bo.feed(), &prekey_of(&bo), &key)], commit)
    };
    let mut chain = Chain::at(key, 0);
    forger.seal(epoch, &mut chain, &inner);
    for number in 10..40 {
        let (_, card) = Card::issue(&account(number), 0, forger.feed(), Some("a friend"));
        forger.seal(epoch, &mut chain, &Inner::Introduction(card.encode()));
    }
    let (_, own) = Card::issue(&account(2), 0, forger.feed(), Some("oneself"));
    forger.seal(epoch, &mut chain, &Inner::Introduction(own.encode()));
    hear(&mut bo, &forger);
    assert_eq!(bo.reader().introductions().unwrap().len(), 16);
    assert_eq!(bo.reader().contacts().unwrap().len(), 1);
}

#[test]
fn another_key_in_one_part_spoils_its_epoch() {
    let mut bo = Device::new(2);
    let mut forger = Forger::new(3);
    forger.befriend(&mut bo);
    let (one, other) = (Seed::new([9; 32]), Seed::new([8; 32]));
    let inner = Inner::Roster(forger.roster(&bo));
    let (device, public) = (bo.feed(), prekey_of(&bo));
    let commit = commit(&one, &inner.encode());
    let slots = [(&device, public.as_slice(), &one), (&device, public.as_slice(), &other)];
    let epoch = forger.begin(&slots, commit);
    let mut chain = Chain::at(one, 0);
    forger.seal(epoch, &mut chain, &inner);
    forger.seal(epoch, &mut chain, &text("one of two stories"));
    hear(&mut bo, &forger);
    assert!(bo.told_with(forger.id()).is_empty());
}

#[test]
fn slots_and_messages_copied_into_another_feed_open_for_nobody() {
    let [mut ana, mut bo] = friends([1, 2]);
    ana.tell(bo.account(), "said by ana");
    let mut forger = Forger::new(3);
    forger.befriend(&mut bo);
    // At the same places, so that only feed and author differ.
    for (_, seq, _, payload) in ana.export(&ana.feed()) {
        let payload = payload.unwrap();
        if seq > 1 {
            forger.write(&Content::decode(&payload).unwrap());
        }
    }
    hear(&mut bo, &forger);
    assert!(bo.told_with(forger.id()).is_empty());
    carry(&mut ana, &mut bo);
    assert_eq!(bo.told_with(ana.account()), ["said by ana"]);
}

#[test]
fn two_keys_under_one_epoch_are_refused() {
    let (mut bo, mut cy) = (Device::new(2), Device::new(4));
    let mut forger = Forger::new(3);
    forger.befriend(&mut bo);
    forger.befriend(&mut cy);
    // Each is given a key of its own under one commitment, to be told different things.
    let (one, other) = (Seed::new([9; 32]), Seed::new([8; 32]));
    let inner = Inner::Roster(forger.roster(&bo));
    let commit = commit(&one, &inner.encode());
    let keys = [prekey_of_new(&mut bo), prekey_of_new(&mut cy)];
    let epoch =
        forger.begin(&[(&bo.feed(), &keys[0], &other), (&cy.feed(), &keys[1], &one)], commit);
    for key in [one, other] {
        let mut chain = Chain::at(key, 0);
        forger.seal(epoch, &mut chain, &inner);
        forger.seal(epoch, &mut chain, &text("one of two stories"));
    }
    hear(&mut bo, &forger);
    assert!(bo.told_with(forger.id()).is_empty(), "its key is not the one that was bound");
    hear(&mut cy, &forger);
    assert!(cy.told_with(forger.id()).is_empty(), "it is not of the audience that was bound");
}

pub(crate) fn prekey_of_new(device: &mut Device) -> Vec<u8> {
    device.node.card(device.now).unwrap();
    prekey_of(device)
}

#[test]
fn another_key_for_the_same_device_in_one_epoch_spoils_it() {
    let mut bo = Device::new(2);
    let mut forger = Forger::new(3);
    forger.befriend(&mut bo);
    let inner = Inner::Roster(forger.roster(&bo));
    let (one, other) = (Seed::new([9; 32]), Seed::new([8; 32]));
    let (device, public) = (bo.feed(), prekey_of(&bo));
    // Two parts of one epoch, each with a key and a commitment that fit each other.
    let epoch = forger.begin(&[(&device, &public, &one)], commit(&one, &inner.encode()));
    hear(&mut bo, &forger);
    let commit = commit(&other, &inner.encode());
    let place = forger.next();
    let slot = Slot {
        author: &forger.id(),
        place,
        device: &device,
        prekey: prekey_name(&public),
        commit: &commit,
    };
    let slots = (0..13_u8)
        .flat_map(|at| slot.lock(&public, &other, &Seed::new([at; 32])).unwrap())
        .collect();
    forger.write(&Content::Part(Part { epoch, part: 1, parts: 2, commit, slots }));
    let mut chain = Chain::at(one, 0);
    forger.seal(epoch, &mut chain, &inner);
    forger.seal(epoch, &mut chain, &text("which of the two?"));
    hear(&mut bo, &forger);
    assert!(bo.told_with(forger.id()).is_empty());
}

#[test]
fn a_tag_in_two_epochs_opens_neither() {
    let mut bo = Device::new(2);
    let mut forger = Forger::new(3);
    forger.befriend(&mut bo);
    let (key, inner) = (Seed::new([9; 32]), Inner::Roster(forger.roster(&bo)));
    let commit = commit(&key, &inner.encode());
    let (device, public) = (bo.feed(), prekey_of(&bo));
    let first = forger.begin(&[(&device, &public, &key)], commit);
    forger.begin(&[(&device, &public, &key)], commit);
    let mut chain = Chain::at(key, 0);
    forger.seal(first, &mut chain, &inner);
    forger.seal(first, &mut chain, &text("said in two epochs"));
    hear(&mut bo, &forger);
    assert!(bo.told_with(forger.id()).is_empty());
}

#[test]
fn a_prekey_taken_from_another_feed_draws_nothing_to_its_owner() {
    let [mut ana, mut bo] = friends([1, 2]);
    let mut forger = Forger::new(3);
    forger.befriend(&mut ana);
    forger.befriend(&mut bo);
    forger.write(&Content::Prekey(prekey_of(&bo)));
    hear(&mut ana, &forger);
    assert!(matches!(ana.tell(forger.id(), "for the forger"), Sent::Written(_)));
    carry(&mut ana, &mut bo);
    // The slot is locked to a key that bo has, but not for bo.
    assert!(bo.told_with(ana.account()).is_empty());
    assert!(bo.told_with(forger.id()).is_empty());
    ana.tell(bo.account(), "for bo");
    carry(&mut ana, &mut bo);
    assert_eq!(bo.told_with(ana.account()), ["for bo"]);
}

#[test]
fn a_revoked_device_is_not_sealed_to_and_not_believed() {
    let mut bo = Device::new(2);
    let mut forger = Forger::new(3);
    forger.befriend(&mut bo);
    let public = PrekeySecret::from_seed(Seed::new([5; 32])).public();
    forger.write(&Content::Prekey(public));
    hear(&mut bo, &forger);
    assert!(matches!(bo.tell(forger.id(), "before"), Sent::Written(_)));
    let revoked = forger.account.revoke(&forger.feed());
    let mut other = Forger { key: SecretKey::from_seed(&Seed::new([44; 32])), ..Forger::new(3) };
    other.entries.clear();
    other.write(&Content::Certificate(other.account.certify(&other.feed(), Carry::Open)));
    other.write(&Content::Device(revoked));
    hear(&mut bo, &other);
    assert_eq!(bo.tell(forger.id(), "after"), Sent::Waits, "no device of the person is left");
    let (key, inner) = (Seed::new([9; 32]), Inner::Roster(forger.roster(&bo)));
    let commit = commit(&key, &inner.encode());
    let epoch = forger.begin(&[(&bo.feed(), &prekey_of(&bo), &key)], commit);
    let mut chain = Chain::at(key, 0);
    forger.seal(epoch, &mut chain, &inner);
    forger.seal(epoch, &mut chain, &text("from a stolen device"));
    hear(&mut bo, &forger);
    let stolen = |words: &String| words == "from a stolen device";
    assert!(!bo.told_with(forger.id()).iter().any(stolen));
}

#[test]
fn strangers_and_wrong_audiences_are_not_heard() {
    let mut bo = Device::new(2);
    let public = prekey_of_new(&mut bo);
    let sealed = |forger: &mut Forger, roster: Roster, device: FeedId| {
        let (key, inner) = (Seed::new([9; 32]), Inner::Roster(roster));
        let commit = commit(&key, &inner.encode());
        let epoch = forger.begin(&[(&device, &public, &key)], commit);
        let mut chain = Chain::at(key, 0);
        forger.seal(epoch, &mut chain, &inner);
        forger.seal(epoch, &mut chain, &text("listen to me"));
    };
    let mut stranger = Forger::new(3);
    let roster = stranger.roster(&bo);
    sealed(&mut stranger, roster, bo.feed());
    hear(&mut bo, &stranger);
    assert!(bo.told_with(stranger.id()).is_empty());
    // A contact who names somebody else as the author, leaves the reader out, or takes another's
    // conversation.
    let friend = Forger::new(5);
    friend.befriend(&mut bo);
    let good = friend.roster(&bo);
    let without = |account| Roster {
        members: good.members.iter().filter(|member| member.0 != account).cloned().collect(),
        ..good.clone()
    };
    let other = Roster { id: pair_of(&bo.account(), &stranger.id()), ..good.clone() };
    let own = Roster { kind: RosterKind::Own, ..good.clone() };
    for wrong in [without(bo.account()), without(friend.id()), other, own] {
        let mut forger = Forger::new(5);
        sealed(&mut forger, wrong, bo.feed());
        let mut reader = Device::new(2);
        assert_eq!(prekey_of_new(&mut reader), public, "the same device each time");
        forger.befriend(&mut reader);
        hear(&mut reader, &forger);
        assert!(reader.told_with(forger.id()).is_empty());
    }
}

#[test]
fn a_successor_of_somebody_elses_feed_speaks_for_nobody() {
    let [mut ana, mut bo] = friends([1, 2]);
    let (of_ana, of_bo) = (ana.account(), bo.account());
    let members = |one: (AccountId, FeedId), other: (AccountId, FeedId)| {
        let mut members = vec![(one.0, vec![one.1]), (other.0, vec![other.1])];
        members.sort();
        members
    };
    // As ana, who is bo's contact.
    let mut mallory = Forger::impostor(3, of_ana);
    let roster = Roster {
        kind: RosterKind::Pair,
        id: pair_of(&of_ana, &of_bo),
        members: members((of_ana, mallory.feed()), (of_bo, bo.feed())),
    };
    mallory.write(&Content::Prekey(PrekeySecret::from_seed(Seed::new([5; 32])).public()));
    mallory.speak_as(&of_ana, &bo, roster, &[text("I am ana")]);
    hear(&mut bo, &mallory);
    assert!(bo.told_with(of_ana).is_empty());
    let contact = bo.reader().contacts().unwrap().remove(0);
    assert_eq!((contact.feeds, contact.new_feeds), (vec![ana.feed()], Vec::new()));
    // As another device of bo, who would be told of contacts by it.
    let mut twin = Forger::impostor(4, of_bo);
    let mut feeds = vec![twin.feed(), bo.feed()];
    feeds.sort();
    let roster = Roster {
        kind: RosterKind::Own,
        id: pair_of(&of_bo, &of_bo),
        members: vec![(of_bo, feeds)],
    };
    let (_, card) = Card::issue(&account(9), 0, twin.feed(), Some("ana"));
    let told = |card: Vec<u8>, removed| {
        let (name, secret) = (Some("ana".to_owned()), Seed::new([6; 32]));
        Inner::Contact(Acquaintance { card, name, verified: true, removed, generation: 9, secret })
    };
    let real = ana.node.card(ana.now).unwrap().unwrap().encode();
    let words = [told(card.encode(), false), told(real, true)];
    twin.speak_as(&of_bo, &bo, roster, &words);
    hear(&mut bo, &twin);
    let contacts = bo.reader().contacts().unwrap();
    assert_eq!(contacts.len(), 1);
    assert_eq!(contacts[0].account, of_ana);
    ana.tell(of_bo, "I am ana indeed");
    carry(&mut ana, &mut bo);
    assert_eq!(bo.told_with(of_ana), ["I am ana indeed"]);
}

#[test]
fn the_successor_of_a_contacts_own_feed_is_heard_and_not_sealed_to() {
    let [mut ana, mut bo] = friends([1, 2]);
    let [mut copy, _] = friends([1, 2]);
    ana.write("left");
    copy.write("right");
    bo.read(&ana.bundle_all());
    bo.read(&copy.bundle_all());
    let old = ana.feed();
    let bundle = bo.bundle_all();
    ana.read(&bundle);
    assert_ne!(ana.feed(), old);
    // Nobody typed the phrase yet: the feed that ended is what vouches for the one that goes on.
    assert!(matches!(ana.tell(bo.account(), "on a new page"), Sent::Written(_)));
    carry(&mut ana, &mut bo);
    assert_eq!(bo.told_with(ana.account()), ["on a new page"]);
    assert_eq!(bo.tell(ana.account(), "is it you?"), Sent::Waits);
}

#[test]
fn a_receipt_of_one_contact_says_nothing_of_what_another_was_told() {
    let [mut ana, bo] = friends([1, 2]);
    let mut mallory = Forger::new(3);
    mallory.befriend(&mut ana);
    ana.tell(bo.account(), "for bo alone");
    let progress = |ana: &Device| ana.said_with(bo.account())[0].progress;
    assert_eq!(progress(&ana), Some(Progress::Written));
    let entries = vec![(ana.feed(), 1, 1_000)];
    let receipt = Receipt { time: 1, state: ReceiptState::Read, entries };
    let roster = mallory.roster(&ana);
    mallory.speak(&ana, roster, &[Inner::Content(Content::Receipt(receipt))]);
    hear(&mut ana, &mallory);
    assert_eq!(progress(&ana), Some(Progress::Written), "bo alone says what bo has");
}

/// A group of ana, who leads it, of bo and of a forger; and the roster that the forger speaks to.
fn group_with_a_forger() -> (Device, Device, Forger, [u8; 32], Roster) {
    let [mut ana, mut bo] = friends([1, 2]);
    let mut mallory = Forger::new(3);
    mallory.befriend(&mut ana);
    mallory.befriend(&mut bo);
    mallory.write(&Content::Prekey(PrekeySecret::from_seed(Seed::new([5; 32])).public()));
    hear(&mut ana, &mallory);
    hear(&mut bo, &mallory);
    let both = [bo.account(), mallory.id()];
    let Changed::Done(group) = ana.node.create_group(ana.now, "mill", &both, false).unwrap() else {
        panic!("no group")
    };
    carry(&mut ana, &mut bo);
    assert_eq!(bo.reader().groups().unwrap()[0].members.len(), 3);
    let mut members = vec![
        (ana.account(), vec![ana.feed()]),
        (bo.account(), vec![bo.feed()]),
        (mallory.id(), vec![mallory.feed()]),
    ];
    members.sort();
    let roster = Roster { kind: RosterKind::Group, id: group, members };
    (ana, bo, mallory, group, roster)
}

#[test]
fn a_member_signs_changes_of_a_group_for_nobody_else() {
    let (mut ana, mut bo, mut mallory, group, roster) = group_with_a_forger();
    let before = bo.reader().groups().unwrap();
    // In the admin's name, by a key that nobody saw before, by the forger's own and by an impostor's.
    let fresh = SecretKey::from_seed(&Seed::new([99; 32]));
    let impostor = Forger::impostor(7, ana.account());
    bo.read(&impostor.bundle());
    let (remove, admin) = (Action::Remove(ana.account()), Action::Role(mallory.id(), Role::Admin));
    let rename = Action::Rename("mine".to_owned());
    let mut words = Vec::new();
    for key in [&fresh, &mallory.key, &impostor.key] {
        for action in [remove.clone(), admin.clone(), rename.clone()] {
            let draft = Draft {
                group: Some(group),
                account: ana.account(),
                parents: vec![group],
                action,
                time: 1,
            };
            words.push(Inner::Change(draft.sign(key).unwrap().encode()));
        }
    }
    mallory.speak(&bo, roster, &words);
    hear(&mut bo, &mallory);
    assert_eq!(bo.reader().groups().unwrap(), before);
    let action = Action::Rename("the new mill".to_owned());
    assert_eq!(ana.node.change_group(ana.now, &group, action).unwrap(), Changed::Done(group));
    carry(&mut ana, &mut bo);
    assert_eq!(bo.reader().groups().unwrap()[0].name, "the new mill", "she who may, does");
}

#[test]
fn who_was_not_taken_in_by_an_admin_is_not_heard_in_a_group() {
    let (_, mut bo, mut mallory, group, mut roster) = group_with_a_forger();
    let mut stranger = Forger::new(6);
    let draft = Draft {
        group: Some(group),
        account: mallory.id(),
        parents: vec![group],
        action: Action::Add(stranger.id()),
        time: 1,
    };
    let change = Inner::Change(draft.sign(&mallory.key).unwrap().encode());
    mallory.speak(&bo, roster.clone(), &[change, text("here is a friend of mine")]);
    hear(&mut bo, &mallory);
    roster.members.push((stranger.id(), vec![stranger.feed()]));
    roster.members.sort();
    stranger.speak(&bo, roster, &[text("good evening")]);
    hear(&mut bo, &stranger);
    let said = bo.reader().said(&Audience::Group(group), usize::MAX, &mut |_| true).unwrap();
    let authors: Vec<AccountId> = said.iter().map(|said| said.author).collect();
    assert_eq!(authors, [mallory.id()], "a plain member takes nobody in");
}

#[test]
fn who_may_take_nobody_in_makes_nobodys_feed_be_carried() {
    let (mut ana, mut bo, mut mallory, group, roster) = group_with_a_forger();
    let [stranger, newcomer] = [6, 7].map(Forger::new);
    for forger in [&stranger, &newcomer] {
        hear(&mut ana, forger);
        hear(&mut bo, forger);
    }
    let class = |device: &Device, forger: &Forger| {
        let feeds = device.reader().feeds().unwrap();
        feeds.into_iter().find(|info| info.feed == forger.feed()).unwrap().class
    };
    let parents = vec![group];
    let by_mallory = |group, parents, action| {
        let draft = Draft { group, account: mallory.id(), parents, action, time: 1 };
        Inner::Change(draft.sign(&mallory.key).unwrap().encode())
    };
    let change = by_mallory(Some(group), parents, Action::Add(stranger.id()));
    // Nor by changes of a group of which nobody knows how it began.
    let other = by_mallory(Some([8; 32]), vec![[8; 32]], Action::Add(stranger.id()));
    let unknown = Roster { id: [8; 32], ..roster.clone() };
    mallory.speak(&bo, roster, &[change]);
    mallory.speak(&bo, unknown, &[other]);
    hear(&mut bo, &mallory);
    assert_eq!(class(&bo, &stranger), CarryClass::Stranger);
    let action = Action::Add(newcomer.id());
    assert_eq!(ana.node.change_group(ana.now, &group, action).unwrap(), Changed::Done(group));
    carry(&mut ana, &mut bo);
    for device in [&ana, &bo] {
        assert_eq!(class(device, &newcomer), CarryClass::Group, "she who may, does");
    }
}
