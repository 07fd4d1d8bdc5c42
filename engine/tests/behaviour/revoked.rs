//! Goal: a device that was revoked gets nothing by playing a contact who has not heard of it, and the
//! contact hears of it all the same. Method: meetings with a device that has nothing but what the
//! two shared before, and with the contact itself.

use thistle_engine::bundle::Frame;
use thistle_engine::content::Carry;
use thistle_engine::key::{AccountId, FeedId, Seed};
use thistle_engine::limits::CONTROL_FRAMES;
use thistle_engine::session::{Sentence, State};
use thistle_engine::{InMemoryBackend, Input, Node, Output, SessionEnding, SessionFault, Shared};

use crate::common::{Device, account, setup, start};
use crate::hostile_peers::Peer;
use crate::meet::{Met, Way, meet_by};
use crate::private::sibling;

/// Ana revoked a device. Bo and cy are her contacts and have not heard; the thief knows what she and bo
/// shared, and nothing else. The feeds of bo and cy are for their contacts.
struct World {
    ana: Device,
    bo: Device,
    cy: Device,
    thief: Device,
    /// Whose feed is open and with ana.
    dora: Device,
    binding: u8,
}

fn shared(device: &Device, with: AccountId) -> Shared {
    let all = device.reader().shared().unwrap();
    all.into_iter().find(|shared| shared.account == with).unwrap()
}

fn holds(device: &Device, feed: FeedId) -> u64 {
    let feeds = device.reader().feeds().unwrap();
    feeds.iter().find(|info| info.feed == feed).map_or(0, |info| info.held)
}

/// Lets two meet as strangers by the link.
fn meet(dialler: &mut Device, other: &mut Device, binding: u8) -> Met {
    let way = Way { knows: false, is_known: false, binding: [binding; 32], ..Way::default() };
    let met = meet_by(dialler, other, way);
    dialler.idle();
    other.idle();
    met
}

impl World {
    fn new(carry: Carry, secluded: bool) -> Self {
        let mut ana = Device::carried(1, carry);
        let [mut bo, mut cy] = [2, 3].map(|number| Device::carried(number, Carry::Contacts));
        let mut dora = Device::new(4);
        for device in [&mut ana, &mut bo, &mut cy] {
            device.node.lock_with(device.now, InMemoryBackend::new()).unwrap();
        }
        dora.write("for all");
        bo.write("for the friends of bo");
        cy.write("for the friends of cy");
        meet(&mut dora, &mut ana, 1);
        for (other, binding) in [(&mut bo, 2), (&mut cy, 3)] {
            ana.befriend(other);
            other.befriend(&mut ana);
            if carry == Carry::Listed {
                ana.node.list_contact(ana.now, &other.account(), true).unwrap();
            }
            // Once only: what they share is not renewed by that, so that bo's card is all a thief needs.
            meet(&mut ana, other, binding);
            assert!(holds(&ana, other.feed()) > 0);
        }
        ana.write("before");
        let seed = Seed::new([77; 32]);
        let thief =
            Node::create(InMemoryBackend::new(), &account(2), setup("bo"), seed, start()).unwrap();
        let mut thief = Device { node: thief, now: start(), events: Vec::new() };
        thief.befriend(&mut ana);
        thief.write("brought along");
        let known = shared(&thief, ana.account()).secret;
        assert!(shared(&ana, bo.account()).secret == known, "the thief is able");
        ana.node.revoke(ana.now, &account(1), &sibling(1).feed()).unwrap();
        ana.idle();
        ana.write("afterwards");
        ana.node.seclude(ana.now, secluded).unwrap();
        Self { ana, bo, cy, thief, dora, binding: 10 }
    }

    fn meet(&mut self, who: fn(&mut Self) -> &mut Device, dials: bool) -> Met {
        self.binding += 1;
        let (binding, blank) = (self.binding, Device::new(99));
        let mut other = std::mem::replace(who(self), blank);
        let met = if dials {
            meet(&mut other, &mut self.ana, binding)
        } else {
            meet(&mut self.ana, &mut other, binding)
        };
        *who(self) = other;
        met
    }

    /// What the thief has of others than ana that is not for everybody.
    fn stolen(&self) -> u64 {
        holds(&self.thief, self.bo.feed()) + holds(&self.thief, self.cy.feed())
    }
}

/// Ana's report and what she said of memory.
fn of_ana(met: &Met, thief_dialled: bool) -> (Option<AccountId>, SessionEnding, bool) {
    let report = if thief_dialled { met.other } else { met.dialler };
    let frames = met.frames(!thief_dialled);
    let tells = |frame: &Vec<u8>| {
        matches!(Sentence::decode(frame), Ok(Sentence::State(State { memory: Some(_), .. })))
    };
    (report.with, report.ending, frames.iter().any(tells))
}

#[test]
fn who_plays_a_contact_with_a_stolen_secret_is_a_stranger() {
    let mut world = World::new(Carry::Open, false);
    for dials in [true, false] {
        let met = world.meet(|world| &mut world.thief, dials);
        assert_eq!(of_ana(&met, dials), (None, SessionEnding::Done, false));
        assert_eq!(world.stolen(), 0, "not even the feed of whom it plays");
        // What is for everybody it gets, as everybody does.
        assert_eq!(world.thief.texts(&world.ana.feed()), ["before", "afterwards"]);
        assert_eq!(world.thief.texts(&world.dora.feed()), ["for all"]);
    }
}

#[test]
fn who_plays_a_contact_reads_nothing_that_is_not_for_everybody() {
    for carry in [Carry::Contacts, Carry::Listed] {
        let mut world = World::new(carry, false);
        for dials in [true, false] {
            let met = world.meet(|world| &mut world.thief, dials);
            assert_eq!(of_ana(&met, dials), (None, SessionEnding::Done, false));
            assert_eq!(world.stolen(), 0);
            assert!(holds(&world.thief, world.ana.feed()) > 0, "the news, as the contact would");
            assert!(world.thief.texts(&world.ana.feed()).is_empty(), "and nothing that was said");
        }
    }
}

#[test]
fn who_plays_a_contact_hears_of_a_home_that_meets_contacts_only_nothing_but_the_news() {
    for carry in [Carry::Open, Carry::Contacts] {
        let mut world = World::new(carry, true);
        for dials in [true, false] {
            let met = world.meet(|world| &mut world.thief, dials);
            assert_eq!(of_ana(&met, dials), (None, SessionEnding::NoContact, false));
            assert_eq!(world.stolen() + holds(&world.thief, world.dora.feed()), 0);
            assert!(holds(&world.thief, world.ana.feed()) > 0, "all that it asked for to see them");
            assert!(world.thief.texts(&world.ana.feed()).is_empty());
            assert_eq!(holds(&world.ana, world.thief.feed()), 0, "nothing is taken of it");
        }
    }
}

#[test]
fn who_plays_a_contact_cannot_talk_on_to_a_home_that_meets_contacts_only() {
    let mut world = World::new(Carry::Open, true);
    let (node, now, binding) = (&mut world.thief.node, world.thief.now, [200; 32]);
    let (link, peer, via) = (9, [1; 32], "a meeting");
    let opened =
        Input::LinkOpened { link, opener: true, peer, binding: &binding, known: false, via };
    node.handle(now, opened).unwrap();
    let greeting = std::iter::from_fn(|| node.poll()).find_map(|output| match output {
        Output::Send { bytes, .. } => Some(bytes),
        _ => None,
    });
    let mut peer = Peer::meet(&mut world.ana, false, false, &binding);
    peer.raw(&greeting.unwrap());
    let frame = Sentence::Carried(Frame::Segment(&[0x82, 1, 0])).encode();
    peer.raw(&frame);
    assert_eq!(peer.report, None, "she waits until it has taken the news");
    let many = frame.repeat(1_000);
    for _ in 0..=CONTROL_FRAMES / 1_000 {
        peer.raw(&many);
    }
    assert_eq!(peer.fault(), SessionFault::TooManyFrames);
}

#[test]
fn a_contact_who_has_not_heard_of_a_new_card_hears_of_it_in_a_meeting() {
    for (carry, secluded, dials) in [
        (Carry::Open, false, true),
        (Carry::Contacts, false, false),
        (Carry::Listed, false, true),
        (Carry::Contacts, true, true),
        (Carry::Open, true, false),
    ] {
        let mut world = World::new(carry, secluded);
        // The thief cannot stand between.
        world.meet(|world| &mut world.thief, dials);
        let case = format!("{carry:?} {secluded} {dials}");
        let met = world.meet(|world| &mut world.bo, dials);
        assert_eq!(of_ana(&met, dials).0, None, "{case}");
        let [ana, bo] = [world.ana.account(), world.bo.account()];
        if dials && (secluded || carry != Carry::Open) {
            // A contact who sees in her state that nothing differs reads no further.
            assert_eq!(met.kinds(false)[..2], [8, 1], "the news before the state: {case}");
        }
        let cards = world.bo.reader().contacts().unwrap();
        assert_eq!(cards[0].card.generation, 1, "bo has heard: {case}");
        assert!(shared(&world.bo, ana).secret == shared(&world.ana, bo).secret, "{case}");
        let met = world.meet(|world| &mut world.bo, dials);
        let known = if dials { (Some(ana), Some(bo)) } else { (Some(bo), Some(ana)) };
        assert_eq!((met.dialler.with, met.other.with), known, "{case}");
        assert_eq!(of_ana(&met, dials).1, SessionEnding::Done, "{case}");
        let texts = world.bo.texts(&world.ana.feed());
        assert_eq!(texts, ["before", "afterwards"], "{case}");
    }
}

#[test]
fn a_device_that_is_revoked_carries_a_contacts_restricted_feed_no_more() {
    let (mut ana, mut phone) = (Device::new(1), sibling(1));
    let mut cy = Device::carried(3, Carry::Contacts);
    for device in [&mut ana, &mut phone, &mut cy] {
        device.node.lock_with(device.now, InMemoryBackend::new()).unwrap();
        device.node.card(device.now).unwrap();
    }
    ana.befriend(&mut cy);
    cy.befriend(&mut ana);
    for binding in [1, 11, 21] {
        meet(&mut ana, &mut phone, binding);
        meet(&mut ana, &mut cy, binding + 1);
        meet(&mut phone, &mut cy, binding + 2);
        let new = (ana.account(), phone.feed());
        cy.node.accept_devices(cy.now, &[new]).unwrap();
        cy.idle();
    }
    cy.write("for friends");
    // The first words of what is sealed to the phone as well are by what carriers show themselves.
    cy.tell(ana.account(), "for both of your devices");
    let met = meet(&mut phone, &mut cy, 31);
    assert_eq!(met.other.with, Some(ana.account()));
    assert_eq!(phone.told_with(cy.account()), ["for both of your devices"], "the thief is able");
    ana.node.revoke(ana.now, &account(1), &phone.feed()).unwrap();
    ana.idle();
    meet(&mut ana, &mut cy, 32);
    cy.write("without the phone");
    let met = meet(&mut phone, &mut cy, 33);
    assert_eq!(met.other.with, None, "cy has heard");
    assert_eq!(phone.texts(&cy.feed()), ["for friends"]);
    meet(&mut ana, &mut cy, 34);
    assert_eq!(ana.texts(&cy.feed()), ["for friends", "without the phone"]);
}
