//! Private messages: who reads them, who does not, and what survives a bad road.

use thistle_engine::content::{Content, Post, Ranges};
use thistle_engine::key::{AccountId, Digest, Seed};
use thistle_engine::seal::Action;
use thistle_engine::{
    Added, Audience, BundleRequest, Changed, InMemoryBackend, Node, Progress, Said, Sent,
};

use crate::common::{Device, account, setup, start};
use crate::meet::meet;

/// A post with a text.
pub(crate) fn said(text: &str) -> Post {
    Post { time: 1_772_438_400, text: text.to_owned(), ..Post::default() }
}

impl Device {
    pub(crate) fn account(&self) -> AccountId {
        self.node.me().unwrap().account
    }

    /// Adds a person by the card on that person's screen.
    pub(crate) fn befriend(&mut self, other: &mut Self) {
        let card = other.node.card(other.now).unwrap().unwrap();
        assert_eq!(self.node.add_contact(self.now, &card, None, true).unwrap(), Added::New);
    }

    /// Writes a private message.
    pub(crate) fn tell(&mut self, other: AccountId, text: &str) -> Sent {
        let audience = Audience::Contact(other);
        self.node.write_private(self.now, &audience, said(text), 0).unwrap()
    }

    /// What was said with a contact, as it is read here.
    pub(crate) fn said_with(&self, other: AccountId) -> Vec<Said> {
        self.reader().said(&Audience::Contact(other), usize::MAX, &mut |_| true).unwrap()
    }

    /// The texts of it.
    pub(crate) fn told_with(&self, other: AccountId) -> Vec<String> {
        let text = |said: Said| match said.content {
            Content::Post(post) | Content::Reply(post) => post.text,
            other => panic!("{other:?}"),
        };
        self.said_with(other).into_iter().map(text).collect()
    }
}

/// Two devices whose people added each other, and that know each other's prekeys.
pub(crate) fn friends(numbers: [u8; 2]) -> [Device; 2] {
    let [mut ana, mut bo] = numbers.map(Device::new);
    for device in [&mut ana, &mut bo] {
        device.node.lock_with(device.now, InMemoryBackend::new()).unwrap();
    }
    ana.befriend(&mut bo);
    bo.befriend(&mut ana);
    carry(&mut ana, &mut bo);
    [ana, bo]
}

/// Carries bundles both ways, and lets both work.
pub(crate) fn carry(one: &mut Device, other: &mut Device) {
    let bundle = one.bundle_all();
    other.read(&bundle);
    other.idle();
    let bundle = other.bundle_all();
    one.read(&bundle);
    one.idle();
}

#[test]
fn a_message_reaches_its_recipient_over_a_stranger_and_the_receipt_comes_back() {
    let [mut ana, mut bo] = friends([1, 2]);
    let mut carrier = Device::new(9);
    let sent = ana.tell(bo.account(), "come by the mill");
    assert!(matches!(sent, Sent::Written(_)), "{sent:?}");
    carry(&mut ana, &mut carrier);
    carry(&mut carrier, &mut bo);
    assert_eq!(bo.told_with(ana.account()), ["come by the mill"]);
    let progress = |device: &Device, other| device.said_with(other)[0].progress;
    assert_eq!(progress(&ana, bo.account()), Some(Progress::Written));
    carry(&mut bo, &mut carrier);
    carry(&mut carrier, &mut ana);
    assert_eq!(progress(&ana, bo.account()), Some(Progress::Delivered));
    let shown: Vec<_> = bo.said_with(ana.account()).iter().filter_map(|said| said.entry).collect();
    bo.node.mark_read(bo.now, &[(shown[0].0, shown[0].1)]).unwrap();
    bo.idle();
    meet(&mut bo, &mut carrier);
    meet(&mut carrier, &mut ana);
    ana.idle();
    assert_eq!(progress(&ana, bo.account()), Some(Progress::Read));
    assert!(carrier.told_with(ana.account()).is_empty());
    for device in [&ana, &bo, &carrier] {
        device.check();
    }
}

#[test]
fn a_message_to_somebody_whose_feed_never_came_waits_and_is_sealed_later() {
    let (mut ana, mut bo) = (Device::new(1), Device::new(2));
    ana.befriend(&mut bo);
    bo.befriend(&mut ana);
    assert_eq!(ana.tell(bo.account(), "are you there?"), Sent::Waits);
    assert_eq!(ana.said_with(bo.account())[0].progress, Some(Progress::Waits));
    carry(&mut bo, &mut ana);
    assert_eq!(ana.said_with(bo.account())[0].progress, Some(Progress::Written));
    carry(&mut ana, &mut bo);
    assert_eq!(bo.told_with(ana.account()), ["are you there?"]);
}

#[test]
fn nobody_reads_who_was_not_written_to() {
    let [mut ana, mut bo] = friends([1, 2]);
    let mut cy = Device::new(3);
    ana.befriend(&mut cy);
    cy.befriend(&mut ana);
    carry(&mut ana, &mut cy);
    ana.tell(bo.account(), "for bo alone");
    carry(&mut ana, &mut cy);
    carry(&mut cy, &mut bo);
    assert_eq!(bo.told_with(ana.account()), ["for bo alone"]);
    assert!(cy.told_with(ana.account()).is_empty());
    let all: Vec<u8> =
        cy.export(&ana.feed()).into_iter().filter_map(|entry| entry.3).flatten().collect();
    assert!(!all.windows(12).any(|bytes| bytes == b"for bo alone"));
}

#[test]
fn messages_cross_in_any_order_and_stand_in_one_order() {
    let [mut ana, mut bo] = friends([1, 2]);
    for round in 0..3 {
        for number in 0..5 {
            ana.tell(bo.account(), &format!("ana {round} {number}"));
            bo.tell(ana.account(), &format!("bo {round} {number}"));
        }
        carry(&mut ana, &mut bo);
        carry(&mut ana, &mut bo);
    }
    let texts = ana.told_with(bo.account());
    assert_eq!(texts.len(), 30);
    assert_eq!(texts, bo.told_with(ana.account()));
    let mine: Vec<&String> = texts.iter().filter(|text| text.starts_with("ana")).collect();
    assert!(mine.is_sorted(), "{mine:?}");
}

#[test]
fn a_second_reading_changes_nothing() {
    let [mut ana, mut bo] = friends([1, 2]);
    ana.tell(bo.account(), "once");
    let bundle = ana.bundle(&BundleRequest::default());
    bo.read(&bundle);
    bo.idle();
    let (before, log) = (bo.told_with(ana.account()), bo.reader().status().unwrap().log_position);
    for _ in 0..3 {
        bo.read(&bundle);
        bo.idle();
    }
    assert_eq!(bo.told_with(ana.account()), before);
    assert_eq!(bo.reader().status().unwrap().log_position, log, "nothing was written either");
}

/// A day at a time, as somebody who is seldom met.
fn days(device: &mut Device, days: u64) {
    for _ in 0..days {
        device.pass(24 * 60);
    }
}

#[test]
fn prekeys_are_renewed_and_messages_cross_for_months() {
    let [mut ana, mut bo] = friends([1, 2]);
    for month in 0..6 {
        ana.tell(bo.account(), &format!("month {month}"));
        days(&mut ana, 15);
        days(&mut bo, 15);
        carry(&mut ana, &mut bo);
        bo.tell(ana.account(), &format!("answer {month}"));
        days(&mut ana, 15);
        days(&mut bo, 15);
        carry(&mut bo, &mut ana);
    }
    assert_eq!(ana.told_with(bo.account()).len(), 12);
    assert_eq!(bo.told_with(ana.account()).len(), 12);
    let prekeys = |device: &Device, feed| {
        let all = device.export(feed).into_iter().filter_map(|entry| entry.3);
        all.filter(|payload| matches!(Content::decode(payload), Ok(Content::Prekey(_)))).count()
    };
    assert_eq!(prekeys(&bo, &ana.feed()), 26, "one each seven days");
    for device in [&ana, &bo] {
        device.check();
    }
}

#[test]
fn what_comes_within_the_window_opens_and_what_comes_later_does_not() {
    for (late, expected) in [(22, 1), (40, 0)] {
        let [mut ana, mut bo] = friends([1, 2]);
        days(&mut bo, 6);
        ana.tell(bo.account(), "as early as can be");
        let bundle = ana.bundle_all();
        days(&mut bo, late);
        bo.read(&bundle);
        bo.idle();
        assert_eq!(bo.told_with(ana.account()).len(), expected, "{late} days on the way");
    }
}

#[test]
fn a_retracted_message_and_one_whose_time_is_over_are_gone_on_both_sides() {
    let [mut ana, mut bo] = friends([1, 2]);
    let Sent::Written(first) = ana.tell(bo.account(), "take this back") else { panic!() };
    let audience = Audience::Contact(bo.account());
    ana.node.write_private(ana.now, &audience, said("for two hours"), 2).unwrap();
    ana.tell(bo.account(), "keep this");
    carry(&mut ana, &mut bo);
    assert_eq!(bo.told_with(ana.account()).len(), 3);
    let back = Content::Retraction(Ranges::new(vec![(first.seq, first.seq)]).unwrap());
    ana.node.write(ana.now, &back, 0).unwrap();
    carry(&mut ana, &mut bo);
    assert_eq!(bo.told_with(ana.account()), ["for two hours", "keep this"]);
    assert_eq!(ana.told_with(bo.account()), ["for two hours", "keep this"]);
    for device in [&mut ana, &mut bo] {
        device.pass(180);
    }
    assert_eq!(bo.told_with(ana.account()), ["keep this"]);
    assert_eq!(ana.told_with(bo.account()), ["keep this"]);
}

/// Another device of the person of a device.
pub(crate) fn sibling(number: u8) -> Device {
    let seed = Seed::new([number ^ 0x99; 32]);
    let node =
        Node::create(InMemoryBackend::new(), &account(number), setup("again"), seed, start());
    Device { node: node.unwrap(), now: start(), events: Vec::new() }
}

#[test]
fn all_devices_of_a_person_receive_once_the_writer_was_told_of_them() {
    let [mut ana, mut bo] = friends([1, 2]);
    let mut phone = sibling(2);
    phone.node.card(phone.now).unwrap();
    carry(&mut phone, &mut bo);
    carry(&mut phone, &mut bo);
    assert_eq!(phone.reader().contacts().unwrap().len(), 1, "the contacts came along");
    carry(&mut phone, &mut ana);
    ana.tell(bo.account(), "before she was told");
    let contact = ana.reader().contacts().unwrap().remove(0);
    assert_eq!(contact.new_feeds, [phone.feed()]);
    ana.node.accept_devices(ana.now, &[(contact.account, phone.feed())]).unwrap();
    ana.tell(bo.account(), "afterwards");
    carry(&mut ana, &mut bo);
    carry(&mut ana, &mut phone);
    assert_eq!(bo.told_with(ana.account()), ["before she was told", "afterwards"]);
    assert_eq!(phone.told_with(ana.account()), ["afterwards"]);
    // What is written on one device is there on the other.
    bo.tell(ana.account(), "from the old device");
    carry(&mut bo, &mut phone);
    phone.tell(ana.account(), "from the new device");
    carry(&mut phone, &mut bo);
    carry(&mut bo, &mut ana);
    let all = ["before she was told", "afterwards", "from the old device", "from the new device"];
    assert_eq!(bo.told_with(ana.account()), all);
    assert_eq!(ana.told_with(bo.account()), all);
    for device in [&ana, &bo, &phone] {
        device.check();
    }
}

#[test]
fn what_two_contacts_share_is_renewed_and_the_same_on_all_devices() {
    let [mut ana, mut bo] = friends([1, 2]);
    let mut phone = sibling(2);
    phone.node.card(phone.now).unwrap();
    for _ in 0..2 {
        carry(&mut phone, &mut bo);
        carry(&mut phone, &mut ana);
    }
    ana.node.accept_devices(ana.now, &[(bo.account(), phone.feed())]).unwrap();
    let shared = |device: &Device| device.reader().shared().unwrap().remove(0);
    assert_eq!(shared(&ana).secret, shared(&bo).secret);
    let mut seen = vec![shared(&ana).secret];
    for week in 0..4 {
        // Everybody writes at once, so that shares and confirmations cross.
        for (device, other) in
            [(&mut ana, 2), (&mut bo, 1), (&mut phone, 1)].map(|(it, n)| (it, account(n).id()))
        {
            device.tell(other, &format!("week {week}"));
        }
        for _ in 0..3 {
            carry(&mut ana, &mut bo);
            carry(&mut bo, &mut phone);
            carry(&mut phone, &mut ana);
        }
        let now = shared(&ana);
        assert_eq!((&now.secret, now.generation), (&shared(&bo).secret, shared(&bo).generation));
        assert_eq!(now.secret, shared(&phone).secret);
        assert!(!seen.contains(&now.secret), "it is another one each week");
        assert_eq!(now.previous.as_ref(), seen.last(), "and the one before counts still");
        seen.push(now.secret);
        days(&mut ana, 8);
        days(&mut bo, 8);
        days(&mut phone, 8);
        for _ in 0..2 {
            carry(&mut ana, &mut bo);
            carry(&mut bo, &mut phone);
            carry(&mut phone, &mut ana);
        }
    }
    days(&mut ana, 31);
    assert_eq!(shared(&ana).previous, None);
}

#[test]
fn a_removed_contact_is_written_to_no_more_by_any_device() {
    let [mut ana, mut bo] = friends([1, 2]);
    let mut phone = sibling(2);
    phone.node.card(phone.now).unwrap();
    for _ in 0..2 {
        carry(&mut phone, &mut bo);
    }
    assert!(bo.node.remove_contact(bo.now, &ana.account()).unwrap());
    assert_eq!(bo.tell(ana.account(), "no more"), Sent::Nobody);
    carry(&mut bo, &mut phone);
    assert!(phone.reader().contacts().unwrap().is_empty());
    ana.tell(bo.account(), "are you still there?");
    carry(&mut ana, &mut bo);
    assert!(bo.told_with(ana.account()).is_empty());
}

/// Writes into a group.
pub(crate) fn tell_group(device: &mut Device, group: &Digest, text: &str) -> Sent {
    device.node.write_private(device.now, &Audience::Group(*group), said(text), 0).unwrap()
}

fn told_in(device: &Device, group: &Digest) -> Vec<String> {
    let found = device.reader().said(&Audience::Group(*group), usize::MAX, &mut |_| true).unwrap();
    let text = |said: Said| match said.content {
        Content::Post(post) | Content::Reply(post) => post.text,
        other => panic!("{other:?}"),
    };
    found.into_iter().map(text).collect()
}

/// Everybody meets everybody, twice.
pub(crate) fn mix(devices: &mut [&mut Device]) {
    for _ in 0..2 {
        for at in 1..devices.len() {
            for before in 0..at {
                let (left, right) = devices.split_at_mut(at);
                carry(left[before], right[0]);
            }
        }
    }
}

fn members(device: &Device) -> Vec<AccountId> {
    let mut all: Vec<AccountId> = device
        .reader()
        .groups()
        .unwrap()
        .iter()
        .flat_map(|state| state.members.iter().map(|member| member.account))
        .collect();
    all.sort();
    all
}

/// Ana knows bo and cy, who do not know each other; she begins a group with both.
fn group() -> ([Device; 3], Digest) {
    let [mut ana, mut bo] = friends([1, 2]);
    let mut cy = Device::new(3);
    ana.befriend(&mut cy);
    cy.befriend(&mut ana);
    mix(&mut [&mut ana, &mut bo, &mut cy]);
    let both = [bo.account(), cy.account()];
    let Changed::Done(group) = ana.node.create_group(ana.now, "mill", &both, false).unwrap() else {
        panic!("no group")
    };
    mix(&mut [&mut ana, &mut bo, &mut cy]);
    ([ana, bo, cy], group)
}

#[test]
fn what_is_said_in_a_group_arrived_once_all_for_whom_it_was_sealed_have_it() {
    let ([mut ana, mut bo, mut cy], group) = group();
    let progress = |ana: &Device| {
        let said = ana.reader().said(&Audience::Group(group), usize::MAX, &mut |_| true).unwrap();
        said[0].progress.unwrap()
    };
    let read = |device: &mut Device| {
        let found = device.reader().said(&Audience::Group(group), 1, &mut |_| true).unwrap();
        let (feed, seq, _) = found[0].entry.unwrap();
        device.node.mark_read(device.now, &[(feed, seq)]).unwrap();
        device.idle();
    };
    tell_group(&mut ana, &group, "all here?");
    carry(&mut ana, &mut bo);
    assert_eq!(progress(&ana), Progress::Written, "one of two has it");
    let head = ana.reader().newest_own().unwrap().unwrap().seq;
    ana.node.note_carried(ana.now, head).unwrap();
    assert_eq!(progress(&ana), Progress::Carried);
    carry(&mut ana, &mut cy);
    assert_eq!(progress(&ana), Progress::Delivered);
    read(&mut bo);
    carry(&mut ana, &mut bo);
    assert_eq!(progress(&ana), Progress::Delivered, "one of two saw it");
    read(&mut cy);
    carry(&mut ana, &mut cy);
    assert_eq!(progress(&ana), Progress::Read);
    // Nobody waits for who came later, until it is forgotten for whom it was sealed.
    let mut dora = Device::new(4);
    dora.befriend(&mut ana);
    ana.befriend(&mut dora);
    carry(&mut ana, &mut dora);
    let action = Action::Add(dora.account());
    assert_eq!(ana.node.change_group(ana.now, &group, action).unwrap(), Changed::Done(group));
    mix(&mut [&mut ana, &mut bo, &mut cy, &mut dora]);
    assert_eq!((members(&dora).len(), progress(&ana)), (4, Progress::Read));
    for _ in 0..181 {
        ana.pass(24 * 60);
    }
    assert_eq!(progress(&ana), Progress::Carried);
    // Nor for who left.
    let action = Action::Remove(dora.account());
    assert_eq!(ana.node.change_group(ana.now, &group, action).unwrap(), Changed::Done(group));
    assert_eq!(progress(&ana), Progress::Read);
}

#[test]
fn members_of_a_group_read_each_other_also_if_they_never_met() {
    let ([mut ana, mut bo, mut cy], group) = group();
    for device in [&ana, &bo, &cy] {
        assert_eq!(members(device).len(), 3);
    }
    assert!(matches!(tell_group(&mut bo, &group, "from bo"), Sent::Written(_)));
    assert!(matches!(tell_group(&mut cy, &group, "from cy"), Sent::Written(_)));
    tell_group(&mut ana, &group, "from ana");
    let mut stranger = Device::new(9);
    mix(&mut [&mut ana, &mut bo, &mut cy, &mut stranger]);
    let all = told_in(&ana, &group);
    assert_eq!(all.len(), 3);
    assert_eq!((&told_in(&bo, &group), &told_in(&cy, &group)), (&all, &all));
    assert!(told_in(&stranger, &group).is_empty());
    for device in [&ana, &bo, &cy] {
        device.check();
    }
}

#[test]
fn who_is_removed_reads_nothing_that_is_sealed_afterwards() {
    let ([mut ana, mut bo, mut cy], group) = group();
    tell_group(&mut ana, &group, "before");
    mix(&mut [&mut ana, &mut bo, &mut cy]);
    let action = Action::Remove(cy.account());
    assert_eq!(ana.node.change_group(ana.now, &group, action).unwrap(), Changed::Done(group));
    tell_group(&mut ana, &group, "after, from ana");
    mix(&mut [&mut ana, &mut bo, &mut cy]);
    tell_group(&mut bo, &group, "after, from bo");
    mix(&mut [&mut ana, &mut bo, &mut cy]);
    assert_eq!(told_in(&bo, &group).len(), 3);
    assert_eq!(told_in(&cy, &group), ["before"]);
    assert_eq!(tell_group(&mut cy, &group, "let me in"), Sent::Nobody, "and knows it");
    assert_eq!(members(&bo).len(), 2);
}

#[test]
fn who_is_added_reads_from_then_on_and_changes_cross() {
    let ([mut ana, mut bo, mut cy], group) = group();
    let mut dora = Device::new(4);
    dora.befriend(&mut ana);
    ana.befriend(&mut dora);
    tell_group(&mut bo, &group, "before dora");
    mix(&mut [&mut ana, &mut bo, &mut cy, &mut dora]);
    let action = Action::Add(dora.account());
    assert_eq!(ana.node.change_group(ana.now, &group, action).unwrap(), Changed::Done(group));
    let rename = Action::Rename("the new mill".to_owned());
    assert_eq!(bo.node.change_group(bo.now, &group, rename).unwrap(), Changed::NotAllowed);
    mix(&mut [&mut ana, &mut bo, &mut cy, &mut dora]);
    assert_eq!(members(&dora).len(), 4, "a newcomer is handed all changes");
    tell_group(&mut dora, &group, "hello");
    tell_group(&mut cy, &group, "welcome");
    mix(&mut [&mut ana, &mut bo, &mut cy, &mut dora]);
    let mut heard = told_in(&dora, &group);
    heard.sort();
    assert_eq!(heard, ["hello", "welcome"]);
    for device in [&ana, &bo, &cy] {
        assert_eq!(told_in(device, &group).len(), 3);
    }
    assert_eq!(bo.node.change_group(bo.now, &group, Action::Leave).unwrap(), Changed::Done(group));
    mix(&mut [&mut ana, &mut bo, &mut cy, &mut dora]);
    tell_group(&mut ana, &group, "bo has left");
    mix(&mut [&mut ana, &mut bo, &mut cy, &mut dora]);
    assert_eq!(members(&dora).len(), 3);
    assert!(!told_in(&bo, &group).contains(&"bo has left".to_owned()));
    assert!(told_in(&dora, &group).contains(&"bo has left".to_owned()));
}

#[test]
fn a_newcomers_words_that_come_before_it_is_known_to_be_one_are_read() {
    let [mut ana, mut bo] = friends([1, 2]);
    let mut cy = Device::new(3);
    for other in [&mut ana, &mut bo] {
        cy.befriend(other);
        other.befriend(&mut cy);
    }
    mix(&mut [&mut ana, &mut bo, &mut cy]);
    let made = ana.node.create_group(ana.now, "mill", &[bo.account()], false).unwrap();
    let Changed::Done(group) = made else { panic!("{made:?}") };
    mix(&mut [&mut ana, &mut bo]);
    let action = Action::Add(cy.account());
    assert_eq!(ana.node.change_group(ana.now, &group, action).unwrap(), Changed::Done(group));
    let added = ana.bundle_all();
    carry(&mut ana, &mut cy);
    tell_group(&mut cy, &group, "I am new here");
    // Cy's feed alone comes first, then that of who took Cy in.
    let feeds = vec![cy.feed()];
    let words = cy.bundle(&BundleRequest { feeds, ..BundleRequest::default() });
    bo.read(&words);
    bo.idle();
    assert!(told_in(&bo, &group).is_empty());
    bo.read(&added);
    bo.idle();
    assert_eq!(told_in(&bo, &group), ["I am new here"]);
}

#[test]
fn a_message_and_an_epoch_cost_no_more_than_was_promised() {
    let [mut ana, mut bo] = friends([1, 2]);
    let mut phone = sibling(2);
    phone.node.card(phone.now).unwrap();
    for _ in 0..2 {
        carry(&mut phone, &mut bo);
        carry(&mut phone, &mut ana);
    }
    ana.node.accept_devices(ana.now, &[(bo.account(), phone.feed())]).unwrap();
    for length in [1, 40, 100, 500, 900] {
        let text = "x".repeat(length);
        let Sent::Written(written) = ana.tell(bo.account(), &text) else { panic!() };
        let inner = Content::Post(Post { parents: Vec::new(), ..said(&text) });
        let mine = ana.said_with(bo.account()).pop().unwrap().content;
        let padded = thistle_engine::seal::pad(&mine.encode()).len();
        assert!(mine.encode().len() >= inner.encode().len());
        let payload = ana.export(&ana.feed()).into_iter().find(|entry| entry.1 == written.seq);
        let payload = payload.unwrap().3.unwrap();
        // As it stands in a segment: a byte string.
        let item = payload.len() + if payload.len() < 256 { 2 } else { 3 };
        assert!(item - padded <= 36, "{length}: {item} bytes for {padded}");
    }
    let parts: Vec<usize> = ana
        .export(&ana.feed())
        .into_iter()
        .filter_map(|entry| match Content::decode(&entry.3.unwrap()) {
            Ok(Content::Part(part)) => Some(part.slots.len()),
            _ => None,
        })
        .collect();
    assert_eq!(parts, [4 * 1_168], "two devices of two people");
}

#[test]
fn two_copies_of_a_home_show_only_whether_their_texts_are_equal() {
    let seal = |text: &str| {
        // The same device twice over: both copies begin from the same state and the same secrets.
        let [mut ana, bo] = friends([1, 2]);
        ana.tell(bo.account(), "the epoch has begun");
        let Sent::Written(written) = ana.tell(bo.account(), text) else { panic!() };
        let found = ana.export(&ana.feed()).into_iter().find(|entry| entry.1 == written.seq);
        match Content::decode(&found.unwrap().3.unwrap()) {
            Ok(Content::Sealed(sealed)) => (written.seq, sealed.tag, sealed.text),
            other => panic!("{other:?}"),
        }
    };
    let (one, same, other) =
        (seal("meet at the mill"), seal("meet at the mill"), seal("meet at the well"));
    assert_eq!(one, same);
    assert_eq!((one.0, one.1), (other.0, other.1), "they stand at one place, under one key");
    let alike = one.2.iter().zip(&other.2).filter(|(a, b)| a == b).count();
    assert!(alike < 8, "{alike} of {} bytes are alike", one.2.len());
}
