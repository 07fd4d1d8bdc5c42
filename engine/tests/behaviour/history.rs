//! Goal: whoever comes into a group is handed what was said before if the group says so, and not a word
//! otherwise; what is handed on never stands as the author's own word. Method: devices that carry bundles,
//! and a contact who hands on what nobody asked for.

use thistle_engine::content::{Content, Ranges};
use thistle_engine::key::{AccountId, FeedId, PrekeySecret, Seed};
use thistle_engine::limits::{HISTORY_MESSAGES, HISTORY_WAITING};
use thistle_engine::seal::{Action, Again, Draft, Inner, Roster, RosterKind};
use thistle_engine::{Audience, Changed, Said, Sent, Written};

use crate::common::Device;
use crate::hostile_members::{Forger, hear};
use crate::private::{carry, friends, mix, said, tell_group};

type Group = [u8; 32];

/// Ana and bo in a group that ana began, and dora, whom only ana knows.
fn three(history: bool) -> ([Device; 3], Group) {
    let [mut ana, mut bo] = friends([1, 2]);
    let mut dora = Device::new(4);
    dora.befriend(&mut ana);
    ana.befriend(&mut dora);
    mix(&mut [&mut ana, &mut bo, &mut dora]);
    let made = ana.node.create_group(ana.now, "mill", &[bo.account()], history).unwrap();
    let Changed::Done(group) = made else { panic!("no group") };
    carry(&mut ana, &mut bo);
    ([ana, bo, dora], group)
}

fn add(ana: &mut Device, group: &Group, dora: AccountId) {
    let done = ana.node.change_group(ana.now, group, Action::Add(dora)).unwrap();
    assert_eq!(done, Changed::Done(*group));
}

fn all(device: &Device, group: &Group) -> Vec<Said> {
    device.reader().said(&Audience::Group(*group), usize::MAX, &mut |_| true).unwrap()
}

/// What is shown of a group: the text, and who handed it on.
fn shown(device: &Device, group: &Group) -> Vec<(String, Option<AccountId>)> {
    let text = |said: Said| match said.content {
        Content::Post(post) | Content::Reply(post) => (post.text, said.handed_by),
        other => panic!("{other:?}"),
    };
    all(device, group).into_iter().map(text).collect()
}

fn sealed_by(device: &Device) -> usize {
    let payloads = device.export(&device.feed()).into_iter().filter_map(|entry| entry.3);
    payloads.filter(|bytes| matches!(Content::decode(bytes), Ok(Content::Sealed(_)))).count()
}

#[test]
fn a_newcomer_is_handed_what_was_said_if_the_group_says_so() {
    let ([mut ana, mut bo, mut dora], group) = three(true);
    tell_group(&mut ana, &group, "the mill is closed");
    carry(&mut ana, &mut bo);
    tell_group(&mut bo, &group, "then come to the bridge");
    carry(&mut ana, &mut bo);
    let before = all(&ana, &group);
    add(&mut ana, &group, dora.account());
    mix(&mut [&mut ana, &mut bo, &mut dora]);
    tell_group(&mut bo, &group, "welcome");
    mix(&mut [&mut ana, &mut bo, &mut dora]);
    let by = Some(ana.account());
    let expected =
        [("the mill is closed", None), ("then come to the bridge", by), ("welcome", None)]
            .map(|(text, by)| (text.to_owned(), by));
    let found = shown(&dora, &group);
    assert_eq!(found, expected, "her own words rest on her own word");
    let theirs = all(&dora, &group);
    for (one, other) in before.iter().zip(&theirs) {
        assert_eq!(
            (one.author, one.entry, &one.content),
            (other.author, other.entry, &other.content)
        );
    }
    // Nobody is told that it arrived, or was seen, by whom it was not sealed to.
    let sealed = sealed_by(&dora);
    let handed: Vec<_> = theirs.iter().filter(|said| said.handed_by == by).collect();
    let seen: Vec<_> = handed.iter().map(|said| said.entry.unwrap()).collect();
    let seen: Vec<_> = seen.into_iter().map(|(feed, seq, _)| (feed, seq)).collect();
    dora.node.mark_read(dora.now, &seen).unwrap();
    dora.idle();
    assert_eq!(sealed_by(&dora), sealed);
    for device in [&ana, &bo, &dora] {
        device.check();
    }
}

#[test]
fn a_newcomer_is_handed_nothing_if_the_group_does_not_say_so() {
    let ([mut ana, mut bo, mut dora], group) = three(false);
    tell_group(&mut ana, &group, "the mill is closed");
    carry(&mut ana, &mut bo);
    add(&mut ana, &group, dora.account());
    mix(&mut [&mut ana, &mut bo, &mut dora]);
    assert!(shown(&dora, &group).is_empty());
}

#[test]
fn who_is_taken_in_before_they_can_be_sealed_to_hears_of_it_as_soon_as_they_can() {
    for history in [true, false] {
        let [mut ana, mut bo] = friends([1, 2]);
        let [mut dora, mut eve] = [4, 5].map(Device::new);
        for newcomer in [&mut dora, &mut eve] {
            ana.befriend(newcomer);
            newcomer.befriend(&mut ana);
        }
        let first = [bo.account(), eve.account()];
        let made = ana.node.create_group(ana.now, "mill", &first, history).unwrap();
        let Changed::Done(group) = made else { panic!("no group") };
        tell_group(&mut ana, &group, "the mill is closed");
        add(&mut ana, &group, dora.account());
        carry(&mut ana, &mut bo);
        // Nobody writes anything any more.
        for newcomer in [&mut dora, &mut eve] {
            carry(&mut ana, newcomer);
            carry(&mut ana, newcomer);
        }
        for newcomer in [&dora, &eve] {
            assert_eq!(newcomer.reader().groups().unwrap()[0].members.len(), 4);
        }
        assert_eq!((shown(&dora, &group).len() == 1, shown(&eve, &group).len()), (history, 0));
        let sealed = sealed_by(&ana);
        carry(&mut ana, &mut dora);
        assert_eq!(sealed_by(&ana), sealed, "it is told once");
    }
}

#[test]
fn what_is_gone_is_not_handed_on_and_what_is_to_go_goes() {
    let ([mut ana, mut bo, mut dora], group) = three(true);
    let Sent::Written(first) = tell_group(&mut ana, &group, "taken back") else { panic!() };
    let back = Content::Retraction(Ranges::new(vec![(first.seq, first.seq)]).unwrap());
    ana.node.write(ana.now, &back, 0).unwrap();
    let Sent::Written(gone) = tell_group(&mut ana, &group, "deleted here") else { panic!() };
    let own = ana.feed();
    assert_eq!(ana.node.delete(ana.now, &[(own, gone.seq)]).unwrap(), 1);
    let audience = Audience::Group(group);
    ana.node.write_private(ana.now, &audience, said("for four hours"), 4).unwrap();
    carry(&mut ana, &mut bo);
    bo.node.write_private(bo.now, &audience, said("for one day"), 24).unwrap();
    tell_group(&mut bo, &group, "stays");
    carry(&mut ana, &mut bo);
    add(&mut ana, &group, dora.account());
    mix(&mut [&mut ana, &mut bo, &mut dora]);
    let texts = |device: &Device| -> Vec<String> {
        shown(device, &group).into_iter().map(|found| found.0).collect()
    };
    let mut found = texts(&dora);
    found.sort();
    assert_eq!(found, ["for four hours", "for one day", "stays"]);
    dora.pass(5 * 60);
    assert_eq!(texts(&dora).len(), 2);
    dora.pass(20 * 60);
    assert_eq!(texts(&dora), ["stays"]);
}

#[test]
fn the_newest_of_a_long_history_is_handed_on_once() {
    let ([mut ana, mut bo, mut dora], group) = three(true);
    for number in 0..HISTORY_MESSAGES + 9 {
        tell_group(&mut ana, &group, &format!("word {number}"));
    }
    carry(&mut ana, &mut bo);
    add(&mut ana, &group, dora.account());
    mix(&mut [&mut ana, &mut bo, &mut dora]);
    let found = shown(&dora, &group);
    assert_eq!(found.len() as u64, HISTORY_MESSAGES);
    assert_eq!(found[0].0, "word 9");
    let sealed = sealed_by(&ana);
    mix(&mut [&mut ana, &mut bo, &mut dora]);
    assert!(sealed_by(&ana) < sealed + 4, "receipts at most");
}

/// A group of mallory, its admin, who writes by hand, and of ana, into which bo comes.
struct Handed {
    ana: Device,
    bo: Device,
    mallory: Forger,
    group: Group,
    roster: Roster,
    changes: Vec<Inner>,
}

impl Handed {
    /// Ana hears of the group; bo is in it from the beginning, or is added by mallory, and is not told.
    fn begin(history: bool, adds: bool) -> Self {
        let [mut ana, bo] = friends([1, 2]);
        let mut mallory = Forger::new(3);
        mallory.befriend(&mut ana);
        mallory.write(&Content::Prekey(PrekeySecret::from_seed(Seed::new([5; 32])).public()));
        let mut members = vec![ana.account()];
        members.extend((!adds).then(|| bo.account()));
        members.sort();
        let create = Action::Create { name: "mill".to_owned(), members, history, salt: [1; 16] };
        let (account, time) = (mallory.id(), 1);
        let draft = Draft { group: None, account, parents: Vec::new(), action: create, time };
        let create = draft.sign(&mallory.key).unwrap();
        let group = *create.id();
        let mut changes = vec![Inner::Change(create.encode())];
        if adds {
            let (parents, action) = (vec![group], Action::Add(bo.account()));
            let draft = Draft { group: Some(group), account, parents, action, time };
            changes.push(Inner::Change(draft.sign(&mallory.key).unwrap().encode()));
        }
        let people = [(ana.account(), ana.feed()), (bo.account(), bo.feed())];
        let people = [people[0], people[1], (mallory.id(), mallory.feed())];
        let mut members: Vec<_> = people.map(|(account, feed)| (account, vec![feed])).into();
        members.sort();
        let roster = Roster { kind: RosterKind::Group, id: group, members };
        mallory.speak(&ana, roster.clone(), &changes);
        hear(&mut ana, &mallory);
        Self { ana, bo, mallory, group, roster, changes }
    }

    /// Bo hears of the group as well.
    fn known(history: bool, adds: bool) -> Self {
        let mut scene = Self::begin(history, adds);
        scene.mallory.befriend(&mut scene.bo);
        scene.tell_bo();
        scene
    }

    fn tell_bo(&mut self) {
        self.mallory.speak(&self.bo, self.roster.clone(), &self.changes);
        hear(&mut self.bo, &self.mallory);
        carry(&mut self.ana, &mut self.bo);
    }

    /// Mallory tells bo what somebody said in an entry.
    fn tell(&mut self, feed: FeedId, entry: &Written, text: &str) {
        self.tell_of((feed, entry.seq, entry.id.prefix()), text);
    }

    fn tell_of(&mut self, (feed, seq, prefix): (FeedId, u64, [u8; 8]), text: &str) {
        let (content, conversation) = (Content::Post(said(text)), self.group);
        let again = Inner::Again(Again { conversation, feed, seq, prefix, content });
        let roster = self.mallory.roster(&self.bo);
        self.mallory.speak(&self.bo, roster, &[again]);
        hear(&mut self.bo, &self.mallory);
    }

    /// Something that ana sealed to mallory, which bo holds.
    fn sealed_elsewhere(&mut self) -> Written {
        let sent = self.ana.tell(self.mallory.id(), "not for bo");
        let Sent::Written(written) = sent else { panic!("{sent:?}") };
        carry(&mut self.ana, &mut self.bo);
        written
    }

    fn shown(&self) -> Vec<(String, Option<AccountId>)> {
        shown(&self.bo, &self.group)
    }
}

#[test]
fn who_hands_on_what_they_may_not_is_not_believed() {
    for (history, adds) in [(true, true), (true, false), (false, true)] {
        let mut scene = Handed::known(history, adds);
        let (ana, elsewhere) = (scene.ana.feed(), scene.sealed_elsewhere());
        scene.tell_of((ana, elsewhere.seq, [0; 8]), "of another entry");
        scene.tell(ana, &elsewhere, "so she said");
        let by = scene.mallory.id();
        if history && adds {
            let told = ("so she said".to_owned(), Some(by));
            assert_eq!(scene.shown(), [told], "under the word of mallory");
        } else {
            assert_eq!(scene.shown(), [], "{history} {adds}");
        }
        scene.bo.check();
    }
}

#[test]
fn nothing_is_put_into_the_place_of_what_was_said_otherwise_or_by_others() {
    let mut scene = Handed::known(true, true);
    let (ana, bo) = (scene.ana.feed(), scene.bo.feed());
    let public = scene.ana.write("open to all");
    let back = scene.sealed_elsewhere();
    let ranges = Content::Retraction(Ranges::new(vec![(back.seq, back.seq)]).unwrap());
    scene.ana.node.write(scene.ana.now, &ranges, 0).unwrap();
    // Somebody who is in no group with anybody, but whom bo knows.
    let mut cy = Device::new(7);
    cy.befriend(&mut scene.ana);
    scene.ana.befriend(&mut cy);
    scene.bo.befriend(&mut cy);
    carry(&mut cy, &mut scene.ana);
    let Sent::Written(outside) = cy.tell(scene.ana.account(), "outside") else { panic!() };
    carry(&mut cy, &mut scene.bo);
    carry(&mut scene.ana, &mut scene.bo);
    // What bo sealed himself and is nothing that was said: a receipt.
    scene.ana.tell(scene.bo.account(), "one more");
    carry(&mut scene.ana, &mut scene.bo);
    let own = scene.bo.export(&bo);
    let is_sealed = |bytes: &Vec<u8>| matches!(Content::decode(bytes), Ok(Content::Sealed(_)));
    let receipt = own.iter().rfind(|entry| entry.3.as_ref().is_some_and(is_sealed)).unwrap();
    let receipt = (bo, receipt.1, *receipt.2.first_chunk().unwrap());
    scene.tell(ana, &public, "of what is open");
    scene.tell(ana, &back, "of what was taken back");
    scene.tell(cy.feed(), &outside, "of what an outsider said");
    scene.tell_of(receipt, "of what bo said");
    assert_eq!(scene.shown(), []);
    let sealed = scene.sealed_elsewhere();
    scene.tell(ana, &sealed, "it could have been");
    assert_eq!(scene.shown().len(), 1);
}

#[test]
fn nobody_is_told_what_they_said_on_another_device_of_their_own() {
    let mut scene = Handed::known(true, true);
    let mut phone = crate::private::sibling(2);
    phone.node.card(phone.now).unwrap();
    for _ in 0..2 {
        carry(&mut phone, &mut scene.bo);
        carry(&mut phone, &mut scene.ana);
    }
    let told = [(scene.bo.account(), phone.feed())];
    scene.ana.node.accept_devices(scene.ana.now, &told).unwrap();
    scene.ana.tell(scene.bo.account(), "one more");
    carry(&mut scene.ana, &mut phone);
    carry(&mut phone, &mut scene.bo);
    // A receipt of the other device is sealed, and nothing that was said.
    let own = phone.export(&phone.feed());
    let is_sealed = |bytes: &Vec<u8>| matches!(Content::decode(bytes), Ok(Content::Sealed(_)));
    let receipt = own.iter().rfind(|entry| entry.3.as_ref().is_some_and(is_sealed)).unwrap();
    let place = (phone.feed(), receipt.1, *receipt.2.first_chunk().unwrap());
    scene.tell_of(place, "what bo never said");
    assert_eq!(scene.shown(), []);
}

#[test]
fn what_was_said_in_several_groups_is_handed_on_at_once() {
    let ([mut ana, mut bo, mut dora], first) = three(true);
    let made = ana.node.create_group(ana.now, "two", &[bo.account()], true).unwrap();
    let Changed::Done(second) = made else { panic!("no group") };
    carry(&mut ana, &mut bo);
    for number in 0..150 {
        tell_group(&mut bo, &first, &format!("one {number}"));
        tell_group(&mut bo, &second, &format!("two {number}"));
    }
    carry(&mut ana, &mut bo);
    add(&mut ana, &first, dora.account());
    add(&mut ana, &second, dora.account());
    mix(&mut [&mut ana, &mut bo, &mut dora]);
    assert_eq!((all(&dora, &first).len(), all(&dora, &second).len()), (150, 150));
}

#[test]
fn what_comes_before_the_group_is_known_waits_also_under_another_key() {
    let mut scene = Handed::begin(true, true);
    scene.mallory.befriend(&mut scene.bo);
    let (ana, sealed) = (scene.ana.feed(), scene.sealed_elsewhere());
    scene.tell(ana, &sealed, "before all else");
    assert_eq!(scene.shown(), []);
    for _ in 0..3 {
        scene.bo.pass(2 * 24 * 60);
    }
    scene.tell_bo();
    assert_eq!(scene.shown(), [("before all else".to_owned(), Some(scene.mallory.id()))]);
}

#[test]
fn who_was_put_out_before_anything_could_be_sealed_to_them_is_handed_nothing() {
    let [mut ana, mut bo] = friends([1, 2]);
    let mut dora = Device::new(4);
    ana.befriend(&mut dora);
    let made = ana.node.create_group(ana.now, "mill", &[bo.account()], true).unwrap();
    let Changed::Done(group) = made else { panic!("no group") };
    tell_group(&mut ana, &group, "the mill is closed");
    add(&mut ana, &group, dora.account());
    ana.idle();
    let action = Action::Remove(dora.account());
    assert_eq!(ana.node.change_group(ana.now, &group, action).unwrap(), Changed::Done(group));
    carry(&mut ana, &mut bo);
    let sealed = sealed_by(&ana);
    dora.befriend(&mut ana);
    let bundle = dora.bundle_all();
    ana.read(&bundle);
    ana.idle();
    assert_eq!(sealed_by(&ana), sealed);
}

#[test]
fn the_authors_own_word_takes_the_place_of_what_was_handed_on() {
    let mut scene = Handed::known(true, true);
    let sent = tell_group(&mut scene.ana, &scene.group, "what ana said");
    let Sent::Written(written) = sent else { panic!("{sent:?}") };
    let ana = scene.ana.feed();
    // The entry comes, but not yet the slots of its epoch.
    let bundle = scene.ana.bundle_all();
    let entries = scene.ana.export(&ana);
    let mut payloads = entries.into_iter().filter_map(|entry| entry.3);
    let is_part = |bytes: &Vec<u8>| matches!(Content::decode(bytes), Ok(Content::Part(_)));
    let part = payloads.rfind(is_part).unwrap();
    let cut = bundle.windows(part.len()).position(|window| window == part).unwrap();
    scene.bo.read(&bundle[..cut]);
    scene.bo.idle();
    assert_eq!(scene.shown(), [], "nothing opens");
    scene.tell(ana, &written, "what mallory says she said");
    let by = Some(scene.mallory.id());
    let found = scene.shown();
    assert_eq!(found, [("what mallory says she said".to_owned(), by)]);
    scene.bo.read(&bundle);
    scene.bo.idle();
    let own = [("what ana said".to_owned(), None)];
    assert_eq!(scene.shown(), own);
    scene.tell(ana, &written, "and again");
    assert_eq!(scene.shown(), own);
    scene.bo.check();
}

#[test]
fn so_much_of_one_contact_waits_and_not_for_ever() {
    let mut scene = Handed::known(true, true);
    let sealed = scene.sealed_elsewhere();
    let (feed, conversation, seq) = (scene.ana.feed(), [9; 32], sealed.seq);
    let prefix = sealed.id.prefix();
    // Of a group that nobody ever heard of, and then of the one that is known.
    let junk = |number: u64| {
        let content = Content::Post(said(&format!("junk {number}")));
        Inner::Again(Again { conversation, feed, seq: seq + number, prefix, content })
    };
    let words: Vec<Inner> = (0..HISTORY_WAITING).map(junk).collect();
    // More than an epoch holds.
    for words in words.chunks(512) {
        let roster = scene.mallory.roster(&scene.bo);
        scene.mallory.speak(&scene.bo, roster, words);
    }
    hear(&mut scene.bo, &scene.mallory);
    scene.tell(feed, &sealed, "no room");
    assert_eq!(scene.shown(), []);
    scene.bo.pass(31 * 24 * 60);
    scene.tell(feed, &sealed, "room again");
    let found = scene.shown();
    assert_eq!(found, [("room again".to_owned(), Some(scene.mallory.id()))]);
}
