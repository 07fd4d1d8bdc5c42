//! What came too late to be opened: its reader says so, its author seals it again, and nobody reads
//! anything twice.

use thistle_engine::content::{Content, Ranges};
use thistle_engine::key::{Digest, FeedId};
use thistle_engine::seal::Action;
use thistle_engine::{Audience, Changed, Progress, Said, Sent};

use crate::common::Device;
use crate::meet::meet;
use crate::private::{carry, friends, said};

/// Days pass; each device looks up now and then, so that its prekeys come and go.
fn days(devices: &mut [&mut Device], days: u64) {
    for device in devices {
        for _ in 0..days / 8 {
            device.pass(8 * 24 * 60);
        }
        device.pass(days % 8 * 24 * 60);
    }
}

/// How many epochs a device has begun.
fn epochs(device: &Device) -> usize {
    let all = device.export(&device.feed()).into_iter().filter_map(|entry| entry.3);
    all.filter(|payload| matches!(Content::decode(payload), Ok(Content::Part(_)))).count()
}

/// How many sealed messages a device has written.
fn sealed(device: &Device) -> usize {
    let all = device.export(&device.feed()).into_iter().filter_map(|entry| entry.3);
    all.filter(|payload| matches!(Content::decode(payload), Ok(Content::Sealed(_)))).count()
}

fn progress(device: &Device, other: &Device) -> Vec<Option<Progress>> {
    device.said_with(other.account()).into_iter().map(|said| said.progress).collect()
}

/// Ana wrote three messages to bo, which were 45 days on their way.
fn too_late() -> [Device; 2] {
    let [mut ana, mut bo] = friends([1, 2]);
    for text in ["one", "two", "three"] {
        ana.tell(bo.account(), text);
    }
    let bundle = ana.bundle_all();
    days(&mut [&mut ana, &mut bo], 45);
    bo.read(&bundle);
    bo.idle();
    assert!(bo.told_with(ana.account()).is_empty(), "the keys are gone");
    [ana, bo]
}

#[test]
fn mail_that_was_45_days_on_its_way_is_sealed_again_and_read_once() {
    let [mut ana, mut bo] = too_late();
    // The answer is sealed to a prekey as old as the mail, so ana cannot open that; but she says so, and
    // then he knows a new one.
    carry(&mut bo, &mut ana);
    assert_eq!(progress(&ana, &bo), [Some(Progress::Written); 3]);
    days(&mut [&mut ana, &mut bo], 1);
    let answer = bo.bundle_all();
    ana.read(&answer);
    ana.idle();
    assert_eq!(progress(&ana, &bo), [Some(Progress::Unreadable); 3], "not readable yet");
    carry(&mut ana, &mut bo);
    assert_eq!(bo.told_with(ana.account()), ["one", "two", "three"]);
    assert_eq!(progress(&ana, &bo), [Some(Progress::Delivered); 3]);
    // Where it stood first is where it stands: a reply names it, and taking it back takes it away.
    let (before, after): (Vec<_>, Vec<_>) =
        (ana.said_with(bo.account()), bo.said_with(ana.account()));
    let places = |all: &[Said]| all.iter().map(|said| said.entry).collect::<Vec<_>>();
    assert_eq!(places(&before), places(&after));
    let (log, mine) = (sealed(&ana), sealed(&bo));
    for _ in 0..5 {
        carry(&mut ana, &mut bo);
        days(&mut [&mut ana, &mut bo], 2);
    }
    assert_eq!(bo.told_with(ana.account()).len(), 3);
    assert_eq!((sealed(&ana), sealed(&bo)), (log, mine), "and all is quiet");
    let (_, seq, _) = before[1].entry.unwrap();
    let back = Content::Retraction(Ranges::new(vec![(seq, seq)]).unwrap());
    ana.node.write(ana.now, &back, 0).unwrap();
    carry(&mut ana, &mut bo);
    assert_eq!(bo.told_with(ana.account()), ["one", "three"]);
    for device in [&ana, &bo] {
        device.check();
    }
}

#[test]
fn what_the_author_took_back_or_let_go_meanwhile_is_not_sealed_again() {
    let [mut ana, mut bo] = friends([1, 2]);
    let Sent::Written(first) = ana.tell(bo.account(), "taken back") else { panic!() };
    let audience = Audience::Contact(bo.account());
    ana.node.write_private(ana.now, &audience, said("for a day"), 24).unwrap();
    ana.tell(bo.account(), "kept");
    let bundle = ana.bundle_all();
    days(&mut [&mut ana, &mut bo], 45);
    bo.read(&bundle);
    bo.idle();
    let back = Content::Retraction(Ranges::new(vec![(first.seq, first.seq)]).unwrap());
    ana.node.write(ana.now, &back, 0).unwrap();
    for _ in 0..4 {
        carry(&mut bo, &mut ana);
        days(&mut [&mut ana, &mut bo], 1);
    }
    assert_eq!(bo.told_with(ana.account()), ["kept"]);
}

#[test]
fn a_late_message_of_an_epoch_that_was_read_before_comes_alone() {
    let [mut ana, mut bo] = friends([1, 2]);
    ana.tell(bo.account(), "in time");
    carry(&mut ana, &mut bo);
    ana.tell(bo.account(), "too late");
    let bundle = ana.bundle_all();
    days(&mut [&mut bo], 45);
    bo.read(&bundle);
    bo.idle();
    assert_eq!(bo.told_with(ana.account()), ["in time"]);
    let before = sealed(&ana);
    carry(&mut bo, &mut ana);
    // The audience, a share of the secret, and the one message.
    assert!(sealed(&ana) - before <= 4, "{}", sealed(&ana) - before);
    carry(&mut ana, &mut bo);
    assert_eq!(bo.told_with(ana.account()), ["in time", "too late"]);
}

#[test]
fn what_is_sealed_to_others_is_no_reason_to_answer() {
    let [mut ana, mut bo] = friends([1, 2]);
    let mut cy = Device::new(3);
    ana.befriend(&mut cy);
    cy.befriend(&mut ana);
    days(&mut [&mut bo], 40);
    carry(&mut ana, &mut bo);
    carry(&mut ana, &mut cy);
    ana.tell(bo.account(), "for bo");
    carry(&mut ana, &mut bo);
    let before = sealed(&bo);
    for week in 0..3 {
        ana.tell(cy.account(), &format!("for cy {week}"));
        days(&mut [&mut ana, &mut bo], 8);
        let bundle = ana.bundle_all();
        bo.read(&bundle);
        bo.idle();
    }
    assert_eq!(sealed(&bo), before, "the prekey that ana has is still here");
}

#[test]
fn a_contact_that_says_it_again_and_again_costs_what_was_promised() {
    let [mut ana, mut bo] = friends([1, 2]);
    // Epochs that bo never opens: he is met only by what is old.
    for week in 0..18 {
        ana.tell(bo.account(), &format!("week {week}"));
        days(&mut [&mut ana], 8);
    }
    let bundle = ana.bundle_all();
    days(&mut [&mut bo], 45);
    bo.read(&bundle);
    bo.idle();
    let (begun, written) = (epochs(&bo), sealed(&bo));
    assert_eq!(begun, 1);
    assert!(written <= 16 + 2, "{written}");
    for _ in 0..3 {
        bo.read(&bundle);
        bo.idle();
    }
    assert_eq!((epochs(&bo), sealed(&bo)), (begun, written), "once an epoch, and so many a day");
    days(&mut [&mut bo], 5);
    bo.read(&bundle);
    bo.idle();
    assert_eq!(epochs(&bo), 2);
    assert!(sealed(&bo) <= 18 + 4, "{}", sealed(&bo));
    // Ana seals again once for each, whatever she hears.
    let answer = bo.bundle_all();
    let before = epochs(&ana);
    for _ in 0..3 {
        ana.read(&answer);
        ana.idle();
    }
    // One in which the next secret is confirmed, one for what is sealed again.
    assert!(epochs(&ana) <= before + 2, "{before} {}", epochs(&ana));
    let after = sealed(&ana);
    days(&mut [&mut ana], 5);
    ana.read(&answer);
    ana.idle();
    assert_eq!(sealed(&ana), after);
}

#[test]
fn a_word_that_something_cannot_be_opened_is_never_answered_with_one() {
    let [mut ana, mut bo] = too_late();
    // The answer is too late as well: ana says nothing of hers, and bo is told of nothing.
    let answer = bo.bundle_all();
    days(&mut [&mut ana, &mut bo], 45);
    ana.read(&answer);
    ana.idle();
    let (first, second) = (sealed(&ana), epochs(&ana));
    for _ in 0..4 {
        let [from_ana, from_bo] = [ana.bundle_all(), bo.bundle_all()];
        days(&mut [&mut ana, &mut bo], 45);
        ana.read(&from_bo);
        ana.idle();
        bo.read(&from_ana);
        bo.idle();
    }
    // Nothing could ever be opened; still neither goes on for ever.
    assert!(epochs(&ana) <= second + 4, "{second} {}", epochs(&ana));
    assert!(sealed(&ana) <= first + 12, "{first} {}", sealed(&ana));
    assert!(sealed(&bo) <= 24, "{}", sealed(&bo));
}

#[test]
fn a_group_is_sealed_again_for_the_one_who_missed_it_and_for_no_newcomer() {
    let [mut ana, mut bo] = friends([1, 2]);
    let mut cy = Device::new(3);
    ana.befriend(&mut cy);
    cy.befriend(&mut ana);
    bo.befriend(&mut cy);
    cy.befriend(&mut bo);
    for _ in 0..2 {
        carry(&mut ana, &mut cy);
        carry(&mut bo, &mut cy);
        carry(&mut ana, &mut bo);
    }
    let made = ana.node.create_group(ana.now, "mill", &[bo.account()], false).unwrap();
    let Changed::Done(group) = made else { panic!() };
    ana.node.write_private(ana.now, &Audience::Group(group), said("among two"), 0).unwrap();
    let bundle = ana.bundle_all();
    days(&mut [&mut ana, &mut bo, &mut cy], 45);
    bo.read(&bundle);
    bo.idle();
    let action = Action::Add(cy.account());
    assert_eq!(ana.node.change_group(ana.now, &group, action).unwrap(), Changed::Done(group));
    for _ in 0..5 {
        carry(&mut bo, &mut ana);
        carry(&mut ana, &mut cy);
        carry(&mut cy, &mut bo);
        days(&mut [&mut ana, &mut bo, &mut cy], 2);
    }
    let told = |device: &Device, group: &Digest| {
        let audience = Audience::Group(*group);
        device.reader().said(&audience, usize::MAX, &mut |_| true).unwrap().len()
    };
    assert_eq!((told(&bo, &group), told(&cy, &group)), (1, 0));
}

/// The id and place of the newest message with a contact.
fn newest(device: &Device, other: &Device) -> (FeedId, u64) {
    let (feed, seq, _) = device.said_with(other.account()).pop().unwrap().entry.unwrap();
    (feed, seq)
}

#[test]
fn what_is_deleted_here_is_gone_here_alone_and_does_not_come_back() {
    let [mut ana, mut bo] = friends([1, 2]);
    ana.tell(bo.account(), "stays");
    ana.tell(bo.account(), "goes");
    let public = ana.write("in public");
    carry(&mut ana, &mut bo);
    let bundle = ana.bundle_all();
    let (log, entries) =
        (bo.export(&bo.feed()).len(), [newest(&bo, &ana), (ana.feed(), public.seq)]);
    assert_eq!(bo.node.delete(bo.now, &entries).unwrap(), 2);
    assert_eq!(bo.node.delete(bo.now, &[(ana.feed(), 1)]).unwrap(), 0, "the certificate stays");
    for _ in 0..2 {
        assert_eq!(bo.told_with(ana.account()), ["stays"]);
        assert!(!bo.texts(&ana.feed()).contains(&"in public".to_owned()));
        bo.read(&bundle);
        bo.idle();
        meet(&mut bo, &mut ana);
        bo.idle();
    }
    assert_eq!(bo.reader().status().unwrap().missing_payloads, 0, "nor is it wanted");
    assert_eq!(bo.reader().status().unwrap().deleted, 2);
    assert_eq!(bo.export(&bo.feed()).len(), log, "nobody is told");
    assert_eq!(ana.told_with(bo.account()).len(), 2);
    assert!(ana.texts(&ana.feed()).contains(&"in public".to_owned()));
    for device in [&ana, &bo] {
        device.check();
    }
}

#[test]
fn what_was_deleted_is_not_sealed_again_and_does_not_come_back_by_that() {
    let [mut ana, mut bo] = friends([1, 2]);
    ana.tell(bo.account(), "kept");
    ana.tell(bo.account(), "deleted by ana");
    let place = newest(&ana, &bo);
    let bundle = ana.bundle_all();
    days(&mut [&mut ana, &mut bo], 45);
    assert_eq!(ana.node.delete(ana.now, &[place]).unwrap(), 1);
    bo.read(&bundle);
    bo.idle();
    for _ in 0..4 {
        carry(&mut bo, &mut ana);
        days(&mut [&mut ana, &mut bo], 1);
    }
    assert_eq!(bo.told_with(ana.account()), ["kept"]);
    let place = newest(&bo, &ana);
    assert_eq!(bo.node.delete(bo.now, &[place]).unwrap(), 1);
    bo.read(&ana.bundle_all());
    bo.idle();
    assert!(bo.told_with(ana.account()).is_empty());
}

#[test]
fn receipts_that_are_off_tell_nothing() {
    let [mut ana, mut bo] = friends([1, 2]);
    bo.node.set_receipts(bo.now, false).unwrap();
    assert!(!bo.reader().receipts().unwrap());
    ana.tell(bo.account(), "are you there?");
    carry(&mut ana, &mut bo);
    let (feed, seq) = newest(&bo, &ana);
    bo.node.mark_read(bo.now, &[(feed, seq)]).unwrap();
    carry(&mut bo, &mut ana);
    assert_eq!(progress(&ana, &bo), [Some(Progress::Written)]);
    bo.node.set_receipts(bo.now, true).unwrap();
    ana.tell(bo.account(), "and now?");
    carry(&mut ana, &mut bo);
    carry(&mut bo, &mut ana);
    assert_eq!(progress(&ana, &bo), [Some(Progress::Written), Some(Progress::Delivered)]);
}
