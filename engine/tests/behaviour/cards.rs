//! Cards that others hand on: introductions by a contact, and a new card after a device was revoked.

use thistle_engine::content::{Carry, Content};
use thistle_engine::key::{AccountId, PrekeySecret, Seed};
use thistle_engine::seal::{Card, Inner};
use thistle_engine::{Added, InMemoryBackend, Node, Reader, Sent, Shared};

use crate::common::{Device, account, setup, start};
use crate::hostile_members::{Forger, hear};
use crate::private::{carry, friends, sibling};

/// Ana knows bo and cy, who do not know each other.
fn three() -> [Device; 3] {
    let [mut ana, mut bo] = friends([1, 2]);
    let mut cy = Device::new(3);
    ana.befriend(&mut cy);
    cy.befriend(&mut ana);
    carry(&mut ana, &mut cy);
    carry(&mut bo, &mut cy);
    [ana, bo, cy]
}

fn introductions(device: &Device) -> Vec<(AccountId, AccountId)> {
    let found = device.reader().introductions().unwrap();
    found.into_iter().map(|(by, card)| (by, card.account)).collect()
}

#[test]
fn an_introduction_is_a_proposal_and_what_is_made_of_it_is_not_verified() {
    let [mut ana, mut bo, mut cy] = three();
    let sent = ana.node.introduce(ana.now, &bo.account(), &cy.account()).unwrap();
    assert!(matches!(sent, Sent::Written(_)), "{sent:?}");
    carry(&mut ana, &mut bo);
    carry(&mut ana, &mut cy);
    assert_eq!(introductions(&bo), [(ana.account(), cy.account())]);
    assert_eq!(introductions(&cy), [(ana.account(), bo.account())]);
    assert_eq!(bo.reader().contacts().unwrap().len(), 1, "nobody is a contact by that");
    assert_eq!(bo.tell(cy.account(), "hello"), Sent::Nobody);
    let (first, second) = (bo.account(), cy.account());
    for (one, other) in [(&mut bo, second), (&mut cy, first)] {
        let (_, card) = one.node.reader().unwrap().introductions().unwrap().remove(0);
        assert_eq!(one.node.add_contact(one.now, &card, None, false).unwrap(), Added::New);
        assert!(introductions(one).is_empty());
        let contacts = one.reader().contacts().unwrap();
        let contact = contacts.iter().find(|it| it.account == other).unwrap();
        assert_eq!((contact.verified, contact.introduced_by), (false, Some(ana.account())));
    }
    carry(&mut bo, &mut cy);
    bo.tell(cy.account(), "hello");
    carry(&mut bo, &mut cy);
    assert_eq!(cy.told_with(bo.account()), ["hello"]);
    // The same once more is no news.
    ana.node.introduce(ana.now, &bo.account(), &cy.account()).unwrap();
    carry(&mut ana, &mut bo);
    assert!(introductions(&bo).is_empty());
}

#[test]
fn who_cannot_be_written_to_is_not_introduced_and_who_is_declined_is_forgotten() {
    let [mut ana, mut bo, mut cy] = three();
    let mut dora = Device::new(4);
    ana.befriend(&mut dora);
    let (to, other) = (bo.account(), dora.account());
    assert_eq!(ana.node.introduce(ana.now, &to, &other).unwrap(), Sent::Waits);
    assert_eq!(ana.node.introduce(ana.now, &to, &to).unwrap(), Sent::Nobody);
    carry(&mut ana, &mut bo);
    assert!(introductions(&bo).is_empty(), "neither heard of it");
    ana.node.introduce(ana.now, &to, &cy.account()).unwrap();
    carry(&mut ana, &mut bo);
    carry(&mut ana, &mut cy);
    assert!(bo.node.decline(bo.now, &cy.account()).unwrap());
    assert!(!bo.node.decline(bo.now, &cy.account()).unwrap());
    assert!(introductions(&bo).is_empty());
    assert!(cy.node.remove_contact(cy.now, &ana.account()).unwrap());
    assert!(introductions(&cy).is_empty(), "they go with the one who introduced them");
}

/// Another device of person 2.
fn another(number: u8) -> Device {
    let seed = Seed::new([number; 32]);
    let node = Node::create(InMemoryBackend::new(), &account(2), setup("again"), seed, start());
    let mut device = Device { node: node.unwrap(), now: start(), events: Vec::new() };
    device.node.card(device.now).unwrap();
    device
}

fn shared(device: &Device) -> Shared {
    device.reader().shared().unwrap().remove(0)
}

#[test]
fn a_device_that_is_revoked_learns_nothing_of_what_is_shared_afterwards() {
    let [mut ana, mut bo] = friends([1, 2]);
    let (mut phone, mut tablet) = (another(21), another(22));
    for _ in 0..2 {
        carry(&mut phone, &mut bo);
        carry(&mut tablet, &mut bo);
        carry(&mut phone, &mut ana);
        carry(&mut tablet, &mut ana);
    }
    let new = [phone.feed(), tablet.feed()].map(|feed| (bo.account(), feed));
    ana.node.accept_devices(ana.now, &new).unwrap();
    ana.tell(bo.account(), "before");
    for device in [&mut bo, &mut phone, &mut tablet] {
        carry(&mut ana, device);
        assert_eq!(device.told_with(ana.account()), ["before"]);
    }
    // Shares may be on their way still: what counts is what the one who revokes has.
    let before = shared(&bo).secret;
    let verified = |reader: Reader| reader.contacts().unwrap()[0].verified;
    assert!(verified(ana.reader()));
    bo.node.revoke(bo.now, &account(2), &phone.feed()).unwrap();
    bo.idle();
    assert!(bo.node.revoke(bo.now, &account(1), &phone.feed()).is_err(), "by its own phrase alone");
    let own = bo.feed();
    assert!(bo.node.revoke(bo.now, &account(2), &own).is_err(), "not the one in use");
    let known = shared(&bo);
    assert_ne!(known.secret, before);
    assert_eq!(known.previous, Some(before.clone()), "what ana has counts until she has heard");
    let readers = bo.reader().readers().unwrap();
    assert_eq!(readers.len(), 3, "and she finds bundles by either");
    let named: Vec<bool> = readers.iter().map(|reader| reader.accounts.is_empty()).collect();
    assert_eq!(named, [false, true, false], "what the revoked device has names nobody");
    let mut feeds = [bo.feed(), tablet.feed()];
    feeds.sort();
    let mut found = readers[1].feeds.clone();
    found.sort();
    assert_eq!(found, feeds, "and finds the feeds alone of whose device it was");
    for _ in 0..3 {
        carry(&mut bo, &mut tablet);
        carry(&mut bo, &mut phone);
        carry(&mut tablet, &mut ana);
        carry(&mut phone, &mut ana);
    }
    let now = shared(&ana);
    assert_eq!((&now.secret, now.generation), (&shared(&bo).secret, shared(&bo).generation));
    assert_eq!(now.secret, shared(&tablet).secret);
    assert!(verified(ana.reader()), "the account is the one that she made sure of");
    assert_eq!(ana.reader().contacts().unwrap()[0].card.generation, 1);
    let thief = shared(&phone);
    for secret in [Some(thief.secret), thief.previous].into_iter().flatten() {
        assert!(secret != now.secret, "the revoked device has the new secret");
        assert!(now.previous.as_ref() != Some(&secret), "what it has still counts with ana");
    }
    ana.tell(bo.account(), "afterwards");
    phone.tell(ana.account(), "from the thief");
    for _ in 0..2 {
        carry(&mut ana, &mut phone);
        carry(&mut ana, &mut bo);
        carry(&mut ana, &mut tablet);
    }
    assert_eq!(bo.told_with(ana.account()), ["before", "afterwards"]);
    assert_eq!(tablet.told_with(ana.account()), ["before", "afterwards"]);
    assert!(!phone.told_with(ana.account()).contains(&"afterwards".to_owned()));
    assert_eq!(ana.told_with(bo.account()), ["before", "afterwards"]);
    for device in [&ana, &bo, &tablet] {
        device.check();
    }
}

#[test]
fn an_own_device_that_is_told_of_a_contacts_new_card_forgets_what_was_shared_before() {
    let [mut ana, mut bo] = friends([1, 2]);
    let mut tablet = sibling(1);
    tablet.node.lock_with(tablet.now, InMemoryBackend::new()).unwrap();
    tablet.node.card(tablet.now).unwrap();
    for _ in 0..2 {
        carry(&mut tablet, &mut ana);
    }
    let before = shared(&tablet).secret;
    bo.node.revoke(bo.now, &account(2), &another(21).feed()).unwrap();
    bo.idle();
    carry(&mut bo, &mut ana);
    assert!(shared(&ana).secret != before, "ana has heard");
    let account = bo.account();
    assert!(ana.node.change_contact(ana.now, &account, Some("Bo"), true).unwrap());
    ana.write("something new, so that her home has work");
    for _ in 0..2 {
        carry(&mut ana, &mut tablet);
    }
    let now = shared(&tablet);
    assert!(now.secret != before, "and so has her tablet");
    assert!(now.secret == shared(&ana).secret);
    assert_eq!(now.previous, None, "bo's lost device knows that");
}

#[test]
fn a_contact_with_ever_new_cards_makes_a_reader_write_once_a_day() {
    let mut ana = Device::carried(1, Carry::Contacts);
    let mut others: Vec<Device> = (10..18).map(Device::new).collect();
    for other in &mut others {
        ana.befriend(other);
        let bundle = other.bundle_all();
        ana.read(&bundle);
        ana.idle();
        ana.tell(other.account(), "hello");
    }
    let mut mallory = Forger::new(3);
    mallory.befriend(&mut ana);
    mallory.write(&Content::Prekey(PrekeySecret::from_seed(Seed::new([5; 32])).public()));
    hear(&mut ana, &mallory);
    let head = |device: &Device| device.export(&device.feed()).len();
    let before = head(&ana);
    for generation in 1..40 {
        let (_, card) = Card::issue(&mallory.account, generation, mallory.feed(), None);
        let roster = mallory.roster(&ana);
        mallory.speak(&ana, roster, &[Inner::Introduction(card.encode())]);
        hear(&mut ana, &mallory);
    }
    // Each contact is told once, and hears once more of an epoch that begins.
    assert!(head(&ana) > before, "the first new card counts");
    assert!(head(&ana) <= before + 2 * others.len() + 8, "{before} {}", head(&ana));
}
