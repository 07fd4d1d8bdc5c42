//! Groups: what counts, what a set of changes comes to in any order, and what is refused.

use std::collections::BTreeSet;
use std::mem;

use arbtest::arbtest;

use super::*;
use crate::key::Seed;
use crate::limits::GROUP_CHANGES;

fn account(number: u8) -> AccountId {
    AccountId::from_bytes([number; 32])
}

/// A change as if it had been signed: what a set comes to asks for no signature.
fn made(draft: Draft) -> Change {
    let feed = FeedId::from_bytes(*draft.account.as_bytes());
    let mut out = Encoder::new();
    draft.encode(&feed, &mut out);
    Change { id: id_of(out.as_bytes()), feed, draft, signature: [0; 64] }
}

/// A group that person 1 began, and what everybody did to it.
struct World {
    changes: Vec<Change>,
    time: u64,
}

impl World {
    fn new(members: &[u8]) -> Self {
        let name = "valley".to_owned();
        let members = members.iter().copied().map(account).collect();
        let action = Action::Create { name, members, history: true, salt: [7; 16] };
        let draft = Draft { group: None, account: account(1), parents: vec![], action, time: 0 };
        Self { changes: vec![made(draft)], time: 0 }
    }

    /// The same, where some of the others are admins too.
    fn with_admins(members: &[u8], admins: &[u8]) -> (Self, usize) {
        let mut world = Self::new(members);
        let mut last = 0;
        for admin in admins {
            last = world.act(1, &[last], Action::Role(account(*admin), Role::Admin));
        }
        (world, last)
    }

    fn group(&self) -> Digest {
        *self.changes[0].id()
    }

    /// Somebody does something who knows these changes and what came before them.
    fn act(&mut self, author: u8, parents: &[usize], action: Action) -> usize {
        let ids = parents.iter().map(|at| *self.changes[*at].id()).collect();
        self.act_after(author, ids, action)
    }

    fn act_after(&mut self, author: u8, mut parents: Vec<Digest>, action: Action) -> usize {
        self.time += 1;
        parents.sort_unstable();
        let (group, account) = (Some(self.group()), account(author));
        self.changes.push(made(Draft { group, account, parents, action, time: self.time }));
        self.changes.len() - 1
    }

    fn state(&self) -> State {
        let state = resolve(&self.group(), &self.changes).unwrap();
        let mut turned = self.changes.clone();
        turned.reverse();
        assert_eq!(resolve(&self.group(), &turned).unwrap(), state);
        state
    }

    fn counts(&self, at: usize) -> bool {
        self.state().counting.contains(self.changes[at].id())
    }
}

fn members(state: &State) -> BTreeSet<u8> {
    state.members.iter().map(|member| member.account.as_bytes()[0]).collect()
}

fn admins(state: &State) -> BTreeSet<u8> {
    let admins = state.members.iter().filter(|member| member.role == Role::Admin);
    admins.map(|member| member.account.as_bytes()[0]).collect()
}

fn add(number: u8) -> Action {
    Action::Add(account(number))
}

fn remove(number: u8) -> Action {
    Action::Remove(account(number))
}

fn raise(number: u8) -> Action {
    Action::Role(account(number), Role::Admin)
}

fn lower(number: u8) -> Action {
    Action::Role(account(number), Role::Member)
}

fn rename(name: &str) -> Action {
    Action::Rename(name.to_owned())
}

#[test]
fn admins_change_the_group_and_members_leave_it() {
    let mut world = World::new(&[2, 3]);
    let state = world.state();
    assert_eq!((members(&state), admins(&state)), ([1, 2, 3].into(), [1].into()));
    assert_eq!((state.name.as_str(), state.history), ("valley", true));
    let mut last = 0;
    let acts = [(1, add(4)), (1, rename("mill")), (1, raise(2)), (2, remove(3))];
    for (author, action) in acts.into_iter().chain([(4, Action::Leave)]) {
        last = world.act(author, &[last], action);
    }
    let state = world.state();
    assert_eq!((members(&state), admins(&state)), ([1, 2].into(), [1, 2].into()));
    assert_eq!((state.name.as_str(), state.ignored.len()), ("mill", 0));
    assert_eq!(state.heads, [*world.changes[last].id()]);
    for (author, action) in [(3, add(9)), (4, add(9)), (9, Action::Leave), (9, add(9))] {
        let at = world.act(author, &[last], action);
        assert!(!world.counts(at), "{author}");
    }
    assert_eq!(members(&world.state()), [1, 2].into());
}

#[test]
fn only_admins_add_remove_rename_and_set_roles() {
    let mut world = World::new(&[2, 3]);
    for action in [add(4), remove(3), rename("mine"), raise(2), lower(1)] {
        let state = world.state();
        assert!(!state.permits(&account(2), &action), "{action:?}");
        assert!(action == lower(1) || state.permits(&account(1), &action), "{action:?}");
        let at = world.act(2, &[0], action);
        assert!(!world.counts(at));
    }
    assert!(world.state().permits(&account(2), &Action::Leave));
    assert!(!world.state().permits(&account(9), &Action::Leave));
    assert_eq!(members(&world.state()), [1, 2, 3].into());
}

#[test]
fn removal_beats_concurrent_acts_of_the_removed() {
    let (mut world, last) = World::with_admins(&[2, 3], &[2]);
    let theirs = world.act(2, &[last], add(4));
    let renamed = world.act(2, &[theirs], rename("stolen"));
    let gone = world.act(2, &[renamed], remove(3));
    assert_eq!(members(&world.state()), [1, 2, 4].into());
    let removal = world.act(1, &[last], remove(2));
    let state = world.state();
    assert_eq!(members(&state), [1, 3].into());
    assert_eq!(state.name, "valley");
    assert!([theirs, renamed, gone].iter().all(|at| !world.counts(*at)) && world.counts(removal));
}

#[test]
fn loss_of_the_role_beats_what_needed_it_and_nothing_else() {
    let (mut world, last) = World::with_admins(&[2, 3], &[2]);
    let theirs = world.act(2, &[last], add(4));
    let left = world.act(2, &[theirs], Action::Leave);
    world.act(1, &[last], lower(2));
    assert!(!world.counts(theirs) && world.counts(left));
    assert_eq!(members(&world.state()), [1, 3].into());
}

#[test]
fn two_who_remove_each_other_are_both_removed() {
    let (mut world, last) = World::with_admins(&[2, 3, 4], &[2]);
    world.act(1, &[last], remove(2));
    let back = world.act(2, &[last], remove(1));
    // That is all that hitting back does.
    let more = world.act(2, &[back], remove(3));
    assert!(!world.counts(more));
    let state = world.state();
    assert_eq!((members(&state), admins(&state)), ([3, 4].into(), [3].into()));
    // Nor does it matter that one of them did something else before.
    let (mut world, last) = World::with_admins(&[2, 3, 4], &[2]);
    let before = world.act(1, &[last], add(5));
    world.act(1, &[before], remove(2));
    world.act(2, &[last], remove(1));
    assert!(!world.counts(before));
    assert_eq!(members(&world.state()), [3, 4].into());
}

#[test]
fn whoever_else_is_removed_too_cannot_strike_back() {
    let (mut world, last) = World::with_admins(&[2, 3], &[2, 3]);
    world.act(1, &[last], remove(2));
    world.act(3, &[last], remove(2));
    let back = world.act(2, &[last], remove(1));
    assert!(!world.counts(back));
    assert_eq!(members(&world.state()), [1, 3].into());
}

#[test]
fn all_who_remove_one_another_in_a_circle_are_removed() {
    let (mut world, last) = World::with_admins(&[2, 3, 4], &[2, 3]);
    for (author, removed) in [(1, 2), (2, 3), (3, 1)] {
        world.act(author, &[last], remove(removed));
    }
    assert_eq!(members(&world.state()), [4].into());
    // From outside the circle it can be broken: 4 was removed by nobody.
    let (mut world, last) = World::with_admins(&[2, 3, 4], &[2, 3, 4]);
    let all = [(1, 2), (2, 3), (3, 1), (4, 1)];
    let all = all.map(|(author, removed)| world.act(author, &[last], remove(removed)));
    assert_eq!(all.map(|at| world.counts(at)), [false, true, false, true]);
    assert_eq!(members(&world.state()), [2, 4].into());
}

#[test]
fn what_rests_on_an_act_that_does_not_count_does_not_count_either() {
    let (mut world, last) = World::with_admins(&[2, 3], &[2]);
    let taken = world.act(2, &[last], add(4));
    let raised = world.act(2, &[taken], raise(4));
    let puppet = world.act(4, &[raised], add(5));
    let second = world.act(4, &[puppet], raise(5));
    let deep = world.act(5, &[second], rename("deep"));
    // The puppets know who will remove their master, and hit back in its stead.
    let back = world.act(5, &[deep], remove(1));
    assert_eq!(members(&world.state()), [2, 3, 4, 5].into());
    let removal = world.act(1, &[last], remove(2));
    assert!(world.counts(removal));
    for at in [taken, raised, puppet, second, deep, back] {
        assert!(!world.counts(at), "{at}");
    }
    assert_eq!(members(&world.state()), [1, 3].into());
}

#[test]
fn masters_whose_puppets_remove_each_other_get_no_puppets() {
    let (mut world, last) = World::with_admins(&[2, 3], &[2]);
    let mut puppet = |master: u8, name: u8, victim: u8| {
        let taken = world.act(master, &[last], add(name));
        let raised = world.act(master, &[taken], raise(name));
        world.act(name, &[raised], remove(victim));
    };
    puppet(1, 5, 2);
    puppet(2, 6, 1);
    assert_eq!(members(&world.state()), [1, 2, 3].into());
}

#[test]
fn nobody_without_standing_makes_a_circle() {
    // Person 3 is no admin, and from two devices pretends to remove both admins, each time behind
    // what the other one did.
    let (mut world, last) = World::with_admins(&[2, 3], &[2]);
    let one = world.act(1, &[last], add(5));
    let other = world.act(2, &[last], add(6));
    world.act(3, &[one], remove(2));
    world.act(3, &[other], remove(1));
    assert_eq!(members(&world.state()), [1, 2, 3, 5, 6].into());
}

#[test]
fn later_acts_of_the_removed_never_count() {
    let (mut world, last) = World::with_admins(&[2, 3], &[2]);
    let removal = world.act(1, &[last], remove(2));
    let mut at = removal;
    for action in [add(4), rename("mine"), remove(1), raise(2), add(2), Action::Leave] {
        at = world.act(2, &[at], action);
        assert!(!world.counts(at));
    }
    assert_eq!(members(&world.state()), [1, 3].into());
}

#[test]
fn an_add_beats_only_the_removals_that_it_knew() {
    let (mut world, last) = World::with_admins(&[2, 3], &[2]);
    let removal = world.act(1, &[last], remove(3));
    let again = world.act(1, &[removal], add(3));
    assert_eq!(members(&world.state()), [1, 2, 3].into());
    // The role does not come back with the place.
    let (mut roles, last) = World::with_admins(&[2], &[2]);
    let gone = roles.act(1, &[last], remove(2));
    let back = roles.act(1, &[gone], add(2));
    assert_eq!(admins(&roles.state()), [1].into());
    // What they do then counts.
    let left = roles.act(2, &[back], Action::Leave);
    assert!(roles.counts(left));
    // Somebody else removed the same person and did not know of that.
    let unaware = world.act(2, &[last], remove(3));
    assert_eq!(members(&world.state()), [1, 2].into());
    world.act(2, &[unaware, again], add(3));
    assert_eq!(members(&world.state()), [1, 2, 3].into());
}

#[test]
fn a_group_without_admins_is_led_by_its_longest_standing_member() {
    let mut world = World::new(&[3]);
    let taken = world.act(1, &[0], add(2));
    let left = world.act(1, &[taken], Action::Leave);
    assert_eq!(admins(&world.state()), [3].into());
    let unheard = world.act(2, &[left], rename("second"));
    let heard = world.act(3, &[left], raise(2));
    assert!(world.counts(heard) && !world.counts(unheard));
    // From then on there is an admin, and the heir is none.
    assert_eq!(admins(&world.state()), [2].into());
    world.act(2, &[heard], Action::Leave);
    world.act(3, &[heard], Action::Leave);
    let state = world.state();
    assert!(state.members.is_empty());
    assert!(!state.permits(&account(3), &add(3)));
}

#[test]
fn the_last_name_is_the_name() {
    let (mut world, last) = World::with_admins(&[2], &[2]);
    let one = world.act(1, &[last], rename("one"));
    let two = world.act(2, &[last], rename("two"));
    let last = if world.changes[one].id() > world.changes[two].id() { "one" } else { "two" };
    assert_eq!(world.state().name, last);
    world.act(1, &[one, two], rename("three"));
    assert_eq!(world.state().name, "three");
}

#[test]
fn a_change_waits_for_all_that_came_before() {
    let mut world = World::new(&[2]);
    let one = world.act(1, &[0], add(3));
    let two = world.act(1, &[one], add(4));
    let missing = world.changes.remove(one);
    let state = resolve(&world.group(), &world.changes).unwrap();
    assert_eq!(state.waiting, [*world.changes[two - 1].id()]);
    assert_eq!(members(&state), [1, 2].into());
    world.changes.push(missing);
    assert_eq!(members(&world.state()), [1, 2, 3, 4].into());
    assert_eq!(resolve(&world.group(), &world.changes[1..]), None);
}

#[test]
fn changes_of_another_group_and_repetitions_make_no_difference() {
    let (mut world, other) = (World::new(&[2]), World::new(&[2, 3]));
    world.act(1, &[0], add(3));
    let state = world.state();
    let mut more = [world.changes.clone(), world.changes.clone(), other.changes.clone()].concat();
    // One that names its parents from another group waits for ever.
    let parents = vec![*other.changes[0].id()];
    let replayed = world.act_after(1, parents, add(9));
    more.push(world.changes[replayed].clone());
    let mut found = resolve(&world.group(), &more).unwrap();
    assert_eq!(mem::take(&mut found.waiting), [*world.changes[replayed].id()]);
    assert_eq!(found, state);
}

#[test]
fn who_comes_at_once_beyond_the_room_waits_for_it() {
    let (mut world, last) = World::with_admins(&(2..=60).collect::<Vec<_>>(), &[2]);
    let mut ends = [last, last];
    for number in 100..104 {
        ends[0] = world.act(1, &[ends[0]], add(number));
        ends[1] = world.act(2, &[ends[1]], add(number + 50));
    }
    let state = world.state();
    assert_eq!((state.members.len(), state.crowd.len()), (64, 4));
    assert!(!state.permits(&account(1), &add(90)));
    assert!(state.permits(&account(1), &Action::Remove(state.crowd[0])));
    assert!(state.crowd.contains(&account(103)) && state.crowd.contains(&account(153)));
    let room = world.act(1, &ends, remove(60));
    let after = world.state();
    assert_eq!((after.members.len(), after.crowd), (64, state.crowd[1..].to_vec()));
    assert!(world.counts(room));
}

/// Bytes to draw from, and a place among so many.
type Draws<'a, 'b> = &'a mut arbitrary::Unstructured<'b>;

fn below(draws: Draws<'_, '_>, end: usize) -> arbitrary::Result<usize> {
    draws.int_in_range(0..=end.saturating_sub(1))
}

fn shuffled<T: Clone>(draws: Draws<'_, '_>, things: &[T]) -> arbitrary::Result<Vec<T>> {
    let mut things = things.to_vec();
    for last in (1..things.len()).rev() {
        things.swap(last, below(draws, last + 1)?);
    }
    Ok(things)
}

/// Three members change a group for a while without hearing of one another, and meet now and then.
fn partitions(draws: Draws<'_, '_>) -> arbitrary::Result<World> {
    let (mut world, _) = World::with_admins(&[2, 3, 4, 5], &[2, 3]);
    let mut known: [BTreeSet<usize>; 3] = [(); 3].map(|()| (0..world.changes.len()).collect());
    for _ in 0..draws.int_in_range(4..=24)? {
        let (one, other) = (below(draws, 3)?, below(draws, 3)?);
        if draws.ratio(1, 4)? {
            let both: BTreeSet<usize> = known[one].union(&known[other]).copied().collect();
            known[one].clone_from(&both);
            known[other] = both;
            continue;
        }
        let whom = draws.int_in_range(1..=7)?;
        let action = match below(draws, 8)? {
            0 | 1 => add(whom),
            2 | 3 => remove(whom),
            4 => rename(["mill", "bridge", "inn"][below(draws, 3)?]),
            5 => raise(whom),
            6 => lower(whom),
            _ => Action::Leave,
        };
        let held: Vec<Change> = known[one].iter().map(|at| world.changes[*at].clone()).collect();
        let state = resolve(&world.group(), &held).unwrap();
        // Mostly they do as they may; now and then a program does not ask, or acts for a newcomer.
        let author = if draws.ratio(1, 6)? { whom } else { u8::try_from(one).unwrap() + 1 };
        if state.permits(&account(author), &action) || draws.ratio(1, 5)? {
            let at = world.act_after(author, state.parents().to_vec(), action);
            known[one].insert(at);
        }
    }
    Ok(world)
}

/// What holds of every state, whatever was done.
fn is_sound(world: &World, state: &State) {
    let by = |id: &Digest| world.changes.iter().find(|change| change.id() == id).unwrap();
    assert!(state.members.len() <= 64);
    assert!(state.members.is_empty() || !admins(state).is_empty(), "there is somebody who leads");
    let told = state.counting.len() + state.ignored.len() + state.waiting.len();
    assert_eq!(told, world.changes.len());
    // Whoever is in was let in by a change that knew of every removal of theirs that counts.
    for Member { account, .. } in &state.members {
        let lets_in = |change: &Change| match change.action() {
            Action::Create { members, .. } => {
                members.contains(account) || change.account() == account
            }
            Action::Add(added) => added == account,
            _ => false,
        };
        let ends: Vec<&Change> = state
            .counting
            .iter()
            .map(by)
            .filter(|change| match change.action() {
                Action::Remove(removed) => removed == account,
                Action::Leave => change.account() == account,
                _ => false,
            })
            .collect();
        let mut adds = state.counting.iter().map(by).filter(|change| lets_in(change));
        assert!(adds.any(|add| ends.iter().all(|end| is_before(world, end.id(), add.id()))));
    }
    // No act of the removed that was made without knowing of it counts, but striking back.
    for strike in state.counting.iter().map(by) {
        let Action::Remove(removed) = strike.action() else { continue };
        for act in state.counting.iter().map(by).filter(|act| act.account() == removed) {
            let concurrent = act.account() != strike.account()
                && !is_before(world, act.id(), strike.id())
                && !is_before(world, strike.id(), act.id());
            let strikes = matches!(act.action(), Action::Remove(_) | Action::Role(_, Role::Member));
            assert!(!concurrent || strikes, "{act:?}");
        }
    }
}

fn is_before(world: &World, early: &Digest, late: &Digest) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![*late]);
    while let Some(id) = next.pop() {
        for change in world.changes.iter().filter(|change| *change.id() == id) {
            next.extend(change.parents().iter().filter(|parent| seen.insert(**parent)));
        }
    }
    seen.contains(early)
}

#[test]
fn changes_made_by_three_in_partitions_converge_in_a_thousand_random_orders() {
    let mut orders = 0;
    arbtest(|draws| {
        let world = partitions(draws)?;
        let state = world.state();
        is_sound(&world, &state);
        for _ in 0..4 {
            let order = shuffled(draws, &world.changes)?;
            // One by one: what is known in the end does not depend on what was thought on the way.
            let mut held = Vec::new();
            let mut last = None;
            for change in order {
                held.push(change);
                last = resolve(&world.group(), &held);
            }
            assert_eq!(last.as_ref(), Some(&state));
            orders += 1;
        }
        Ok(())
    })
    .size_min(2_000)
    .size_max(6_000)
    .budget_ms(2_000);
    assert!(orders >= 1_000, "only {orders} orders");
}

#[test]
fn every_order_of_few_changes_is_the_same() {
    let (mut world, last) = World::with_admins(&[2, 3], &[2]);
    let one = world.act(1, &[last], remove(2));
    world.act(2, &[last], remove(1));
    world.act(2, &[last], add(4));
    world.act(3, &[one], Action::Leave);
    let state = world.state();
    let mut orders = 0;
    let mut ways: Vec<Vec<usize>> = vec![vec![]];
    while let Some(way) = ways.pop() {
        for at in (0..world.changes.len()).filter(|at| !way.contains(at)) {
            ways.push([way.clone(), vec![at]].concat());
        }
        if way.len() == world.changes.len() {
            let order: Vec<Change> = way.iter().map(|at| world.changes[*at].clone()).collect();
            assert_eq!(resolve(&world.group(), &order).as_ref(), Some(&state));
            orders += 1;
        }
    }
    assert_eq!(orders, 720);
}

// ---- Bytes and signatures ----

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&Seed::new([number; 32]))
}

fn signed(action: Action, group: Option<Digest>, parents: Vec<Digest>) -> Change {
    let draft = Draft { group, account: account(1), parents, action, time: 1_772_438_400 };
    draft.sign(&key(1)).unwrap()
}

fn some_actions() -> Vec<Action> {
    let members = vec![account(2), account(3)];
    vec![
        Action::Create { name: "valley".to_owned(), members, history: false, salt: [1; 16] },
        add(2),
        remove(2),
        Action::Leave,
        rename("mill"),
        raise(2),
        lower(2),
    ]
}

fn some_changes() -> Vec<Change> {
    let change = |action: Action| match action {
        Action::Create { .. } => signed(action, None, vec![]),
        _ => signed(action, Some([9; 32]), vec![[1; 32], [2; 32]]),
    };
    some_actions().into_iter().map(change).collect()
}

#[test]
fn a_change_reads_back_and_nothing_of_it_can_be_changed() {
    for change in some_changes() {
        let bytes = change.encode();
        let read = UnverifiedChange::decode(&bytes).unwrap();
        assert_eq!(read.id(), change.id());
        assert_eq!(read.verify(|_, _| true), Ok(change));
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            let read = UnverifiedChange::decode(&wrong).map_err(ChangeFault::from);
            assert!(read.and_then(|read| read.verify(|_, _| true)).is_err(), "{at}");
            assert!(UnverifiedChange::decode(&bytes[..at]).is_err(), "{at}");
        }
        assert!(UnverifiedChange::decode(&[bytes, vec![0]].concat()).is_err());
    }
}

#[test]
fn a_forged_signature_and_a_wrong_feed_are_refused() {
    let change = signed(add(2), Some([9; 32]), vec![[1; 32]]);
    let read = |change: &Change| UnverifiedChange::decode(&change.encode()).unwrap();
    let mut asked = None;
    let verified = read(&change).verify(|account, feed| {
        asked = Some((*account, *feed));
        true
    });
    assert_eq!((verified, asked), (Ok(change.clone()), Some((account(1), key(1).feed()))));
    assert_eq!(read(&change).verify(|_, _| false), Err(ChangeFault::WrongFeed));
    // Another device's signature, and another's name under this one.
    let other = change.draft.sign(&key(2)).unwrap();
    let forged = Change { signature: other.signature, ..change.clone() };
    let bad = Err(ChangeFault::Key(KeyFault::BadSignature));
    assert_eq!(read(&forged).verify(|_, _| true), bad);
    let stolen = Change { feed: key(2).feed(), ..change.clone() };
    assert_eq!(read(&stolen).verify(|_, _| true), bad);
    let weak = Change { feed: FeedId::from_bytes([0; 32]), ..change };
    assert_eq!(read(&weak).verify(|_, _| true), Err(ChangeFault::Key(KeyFault::BadKey)));
}

#[test]
fn a_change_does_not_fit_into_another_group() {
    let change = signed(add(2), Some([9; 32]), vec![[1; 32]]);
    let draft = Draft { group: Some([8; 32]), ..change.draft.clone() };
    let moved = UnverifiedChange::decode(&Change { draft, ..change.clone() }.encode()).unwrap();
    assert_ne!(moved.id(), change.id());
    assert_eq!(moved.verify(|_, _| true), Err(ChangeFault::Key(KeyFault::BadSignature)));
}

#[test]
fn an_id_does_not_depend_on_the_signature() {
    let change = signed(add(2), Some([9; 32]), vec![[1; 32]]);
    let again = Change { signature: [3; 64], ..change.clone() };
    assert_eq!(UnverifiedChange::decode(&again.encode()).unwrap().id(), change.id());
}

#[test]
fn limits_of_a_change_are_reached_and_not_passed() {
    let parents = |count: u8| (0..count).map(|number| [number; 32]).collect::<Vec<Digest>>();
    let try_sign = |action: Action, parents: Vec<Digest>| {
        let group = (!matches!(action, Action::Create { .. })).then_some([9; 32]);
        Draft { group, account: account(200), parents, action, time: 0 }.sign(&key(1))
    };
    let create = |name: &str, members: Vec<AccountId>| Action::Create {
        name: name.to_owned(),
        members,
        history: true,
        salt: [0; 16],
    };
    let people = |count: u8| (0..count).map(account).collect::<Vec<_>>();
    assert!(try_sign(Action::Leave, parents(16)).is_ok());
    assert!(try_sign(Action::Leave, parents(17)).is_err());
    assert!(try_sign(Action::Leave, parents(0)).is_err());
    assert!(try_sign(Action::Leave, vec![[2; 32], [1; 32]]).is_err());
    assert!(try_sign(Action::Leave, vec![[1; 32]; 2]).is_err());
    assert!(try_sign(rename(&"x".repeat(64)), parents(1)).is_ok());
    assert!(try_sign(rename(&"x".repeat(65)), parents(1)).is_err());
    assert!(try_sign(rename(""), parents(1)).is_err());
    assert!(try_sign(create("x", people(63)), vec![]).unwrap().encode().len() < 2_500);
    assert!(try_sign(create("x", people(64)), vec![]).is_err());
    assert!(try_sign(create("x", people(1)), parents(1)).is_err());
    assert!(try_sign(create("x", vec![account(2), account(1)]), vec![]).is_err());
    assert!(try_sign(create("x", vec![account(200)]), vec![]).is_err());
    let draft = Draft { group: None, ..some_changes()[1].draft.clone() };
    assert!(draft.sign(&key(1)).is_err());
    let late = Draft { time: TIME_END, ..some_changes()[1].draft.clone() };
    assert!(late.sign(&key(1)).is_err());
}

#[test]
fn bytes_that_mean_nothing_do_not_panic() {
    arbtest(|draws| {
        let mut bytes = some_changes()[below(draws, 7)?].encode();
        for _ in 0..draws.int_in_range(1..=6)? {
            let at = below(draws, bytes.len())?;
            bytes[at] = draws.arbitrary()?;
        }
        if let Ok(read) = UnverifiedChange::decode(&bytes) {
            assert_eq!(read.0.encode(), bytes);
        }
        Ok(())
    });
}

// ---- How long it takes ----

/// As many changes as are kept, made by so many at once, each knowing what only its own side did.
fn large(sides: usize, mut action: impl FnMut(usize, usize) -> Action) -> World {
    let people: Vec<u8> = (2..=40).collect();
    let (mut world, last) = World::with_admins(&people, &people[..sides - 1]);
    let mut ends = vec![last; sides];
    while (world.changes.len() as u64) < GROUP_CHANGES {
        let at = world.changes.len();
        let side = at % sides;
        ends[side] = world.act(u8::try_from(side).unwrap() + 1, &[ends[side]], action(at, side));
    }
    world
}

/// Resolves worlds of all shapes and says how long it took; the bound is for an optimised build, and
/// tenfold for another one.
#[test]
fn as_many_changes_as_are_kept_are_quickly_resolved() {
    let number = |at: usize| u8::try_from(41 + at % 200).unwrap();
    let worlds = [
        (
            "one after another",
            large(1, |at, _| if at % 2 == 0 { add(number(at)) } else { rename("x") }),
        ),
        (
            "eight sides",
            large(8, |at, _| if at % 2 == 0 { add(number(at)) } else { remove(number(at)) }),
        ),
        (
            "all remove all",
            large(30, |at, side| remove(u8::try_from((side + 1 + at / 30 % 28) % 30 + 1).unwrap())),
        ),
        ("circles", large(30, |_, side| remove(u8::try_from((side + 1) % 30 + 1).unwrap()))),
    ];
    for (name, world) in worlds {
        let state = resolve(&world.group(), &world.changes).unwrap();
        assert_eq!(state.waiting.len(), 0, "{name}");
        println!("{name}: {} count of {}", state.counting.len(), world.changes.len());
    }
}
