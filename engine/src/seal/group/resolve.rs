//! What a set of changes comes to: name, members and roles, the same on every node.
//!
//! A change counts if its author had the standing that it needs in what counts of its own past, and if
//! no removal that counts strikes it: a removal, or a loss of the role, strikes what the removed did
//! without knowing of it. Two who remove each other are both removed. Where removals strike one another
//! in a longer circle, those that rest on nothing within the circle count, all of them. Nothing here
//! recurses; with `n` changes the work is of the order of n² bits.

use std::collections::BTreeMap;
use std::mem;

use crate::key::{AccountId, Digest};
use crate::limits::{GROUP_CHANGES, GROUP_MEMBERS, GROUP_PARENTS};
use crate::seal::group::bits::{Bits, numbers};
use crate::seal::group::{Action, Change, Role};

/// A member of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub account: AccountId,
    /// What they may do.
    pub role: Role,
}

/// What the changes of a group come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The group.
    pub group: Digest,
    /// Its name.
    pub name: String,
    /// Whether newcomers are handed what was said before.
    pub history: bool,
    /// Members, the longest-standing first.
    pub members: Vec<Member>,
    /// Those who were taken in at once by several people and for whom there is no room yet.
    pub crowd: Vec<AccountId>,
    /// The changes that no other one follows, ascending.
    pub heads: Vec<Digest>,
    /// The changes that count, in the order in which they are told.
    pub counting: Vec<Digest>,
    /// The changes that do not count.
    pub ignored: Vec<Digest>,
    /// The changes of which something before is missing, or that are more than are kept.
    pub waiting: Vec<Digest>,
    /// Parents of the next change.
    parents: Vec<Digest>,
}

impl State {
    /// What the next change names as its parents: the heads, or the last of them if there are many.
    pub fn parents(&self) -> &[Digest] {
        &self.parents
    }

    /// What an account may do; none if it is no member.
    pub fn role(&self, account: &AccountId) -> Option<Role> {
        let found = self.members.iter().find(|member| member.account == *account);
        found.map(|member| member.role)
    }

    /// Whether a change made now by somebody would count and change something.
    pub fn permits(&self, author: &AccountId, action: &Action) -> bool {
        let Some(role) = self.role(author) else { return false };
        let full = self.members.len() as u64 >= GROUP_MEMBERS;
        let sensible = match action {
            Action::Create { .. } => false,
            Action::Add(account) => self.role(account).is_none() && !full,
            Action::Remove(account) => {
                account != author && (self.role(account).is_some() || self.crowd.contains(account))
            }
            Action::Leave => true,
            Action::Rename(name) => *name != self.name,
            Action::Role(account, wanted) => {
                self.role(account).is_some_and(|current| current != *wanted)
            }
        };
        let known = self.counting.len().saturating_add(self.ignored.len());
        sensible && (role == Role::Admin || !action.needs_admin()) && (known as u64) < GROUP_CHANGES
    }
}

/// What a set of changes of a group comes to; none while the change that created it is not here. The
/// order in which they stand, changes that stand twice and those of other groups make no difference.
pub fn resolve(group: &Digest, changes: &[Change]) -> Option<State> {
    let (acts, waiting) = in_order(group, changes);
    let Some(Action::Create { name, history, .. }) = acts.first().map(|act| act.action()) else {
        return None;
    };
    let table = Table::new(acts);
    let counts = table.settle();
    let (mut members, mut crowd) = (table.members(&counts), Vec::new());
    let room = usize::try_from(GROUP_MEMBERS).unwrap_or(usize::MAX);
    if members.len() > room {
        crowd = members.split_off(room).iter().map(|member| member.account).collect();
    }
    let named = counts.iter().filter_map(|at| match table.act(at)?.action() {
        Action::Rename(name) => Some(name),
        _ => None,
    });
    let name = named.last().unwrap_or(name).clone();
    let ids = |wanted: &dyn Fn(usize) -> bool| {
        let numbered = table.acts.iter().enumerate();
        numbered.filter(|(at, _)| wanted(*at)).map(|(_, act)| *act.id()).collect::<Vec<_>>()
    };
    let mut heads = ids(&|at| table.later.get(at).is_some_and(Bits::is_empty));
    let most = usize::try_from(GROUP_PARENTS).unwrap_or(usize::MAX);
    let mut parents = heads.split_off(heads.len().saturating_sub(most));
    heads.extend(&parents);
    heads.sort_unstable();
    parents.sort_unstable();
    Some(State {
        group: *group,
        name,
        history: *history,
        members,
        crowd,
        heads,
        counting: ids(&|at| counts.has(at)),
        ignored: ids(&|at| !counts.has(at)),
        waiting,
        parents,
    })
}

/// The changes of a group of which everything before is here, causes first, by depth and then by id;
/// and the ids of the others.
fn in_order<'a>(group: &Digest, changes: &'a [Change]) -> (Vec<&'a Change>, Vec<Digest>) {
    let ours: BTreeMap<&Digest, &Change> = changes
        .iter()
        .filter(|change| change.group() == group)
        .map(|change| (change.id(), change))
        .collect();
    let mut followers: BTreeMap<&Digest, Vec<&Change>> = BTreeMap::new();
    for change in ours.values().copied() {
        for parent in change.parents() {
            followers.entry(parent).or_default().push(change);
        }
    }
    let mut missing: BTreeMap<&Digest, usize> =
        ours.values().map(|change| (change.id(), change.parents().len())).collect();
    // All of one depth are ready before the first of the next: a change is as deep as its last parent.
    let mut level: Vec<&Change> = ours.get(group).into_iter().copied().collect();
    let mut acts = Vec::new();
    while !level.is_empty() {
        level.sort_unstable_by_key(|change| *change.id());
        let mut next = Vec::new();
        for change in &level {
            for follower in followers.get(change.id()).into_iter().flatten() {
                if let Some(missing) = missing.get_mut(follower.id()) {
                    *missing = missing.saturating_sub(1);
                    if *missing == 0 {
                        next.push(*follower);
                    }
                }
            }
        }
        acts.append(&mut level);
        level = next;
    }
    acts.truncate(usize::try_from(GROUP_CHANGES).unwrap_or(usize::MAX));
    let mut taken: Vec<&Digest> = acts.iter().map(|act| act.id()).collect();
    taken.sort_unstable();
    let waits = ours.keys().filter(|id| taken.binary_search(id).is_err());
    (acts, waits.map(|id| **id).collect())
}

/// What was done by and to one account.
#[derive(Default)]
struct Person {
    /// Their changes.
    by: Bits,
    /// Changes that take them in.
    adds: Bits,
    /// Changes after which they are out: removals, and when they leave.
    ends: Bits,
    /// Changes that make them an admin.
    grants: Bits,
    /// Changes after which they are no admin: those after which they are out, and losses of the role.
    falls: Bits,
    /// Others' removals of them, and losses of the role.
    strikes: Bits,
}

/// The changes in order, and how each stands to the others.
struct Table<'a> {
    acts: Vec<&'a Change>,
    /// Of each change, those before it.
    past: Vec<Bits>,
    /// Of each change, those that follow it.
    later: Vec<Bits>,
    /// Of each change, those that strike it if they count.
    strikers: Vec<Bits>,
    /// Of each change, those that it strikes if it counts.
    struck: Vec<Bits>,
    people: BTreeMap<AccountId, Person>,
    /// Changes that only an admin may make.
    high: Bits,
    /// Others than their author lose membership or the role by these.
    strikes: Bits,
}

impl<'a> Table<'a> {
    fn new(acts: Vec<&'a Change>) -> Self {
        let empty = vec![Bits::default(); acts.len()];
        let mut table = Self {
            past: empty.clone(),
            later: empty.clone(),
            strikers: empty.clone(),
            struck: empty,
            people: BTreeMap::new(),
            high: Bits::default(),
            strikes: Bits::default(),
            acts,
        };
        table.relate();
        for (at, act) in table.acts.iter().copied().enumerate() {
            note(&mut table.people, at, act);
            if act.action().needs_admin() {
                table.high.set(at);
            }
            if target(act).is_some() {
                table.strikes.set(at);
            }
        }
        table.aim();
        table
    }

    fn act(&self, at: usize) -> Option<&'a Change> {
        self.acts.get(at).copied()
    }

    /// Fills in what is before and behind each change.
    fn relate(&mut self) {
        let places: BTreeMap<&Digest, usize> =
            self.acts.iter().enumerate().map(|(at, act)| (act.id(), at)).collect();
        let parents: Vec<Vec<usize>> = self
            .acts
            .iter()
            .map(|act| act.parents().iter().filter_map(|id| places.get(id).copied()).collect())
            .collect();
        for (at, parents) in parents.iter().enumerate() {
            let mut before = Bits::default();
            for parent in parents {
                before.set(*parent);
                before.join(row(&self.past, *parent));
            }
            put(&mut self.past, at, before);
        }
        for (at, parents) in parents.iter().enumerate().rev() {
            let mut behind = row(&self.later, at).clone();
            behind.set(at);
            for parent in parents {
                if let Some(later) = self.later.get_mut(*parent) {
                    later.join(&behind);
                }
            }
        }
    }

    /// Fills in what each removal strikes: what its target did at the same time, unless that strikes
    /// back.
    fn aim(&mut self) {
        for striker in self.strikes.iter() {
            let Some(act) = self.act(striker) else { continue };
            let Some(hit) = target(act).and_then(|account| self.people.get(&account)) else {
                continue;
            };
            let mut struck = hit.by.clone();
            struck.drop_all(row(&self.past, striker));
            struck.drop_all(row(&self.later, striker));
            if let Some(author) = self.people.get(act.account()) {
                struck.drop_all(&author.strikes);
            }
            if matches!(act.action(), Action::Role(..)) {
                struck.keep(&self.high);
            }
            for at in struck.iter() {
                if let Some(strikers) = self.strikers.get_mut(at) {
                    strikers.set(striker);
                }
            }
            put(&mut self.struck, striker, struck);
        }
    }

    /// The changes that count.
    fn settle(&self) -> Bits {
        let mut counts = Bits::default();
        let mut open = self.possible();
        let mut work = self.circles(&open.iter().collect::<Vec<_>>());
        while let Some(circle) = work.pop() {
            if let [at] = *circle {
                open.clear(at);
                if !row(&self.strikers, at).meets(&counts) && self.is_due(at, &counts) {
                    counts.set(at);
                }
                continue;
            }
            self.break_circle(&circle, &mut open, &mut counts);
            let rest: Vec<usize> = circle.into_iter().filter(|at| open.has(*at)).collect();
            work.extend(self.circles(&rest));
        }
        counts
    }

    /// Decides some changes of a circle in which each waits for another.
    fn break_circle(&self, circle: &[usize], open: &mut Bits, counts: &mut Bits) {
        let firm: Vec<usize> =
            circle.iter().copied().filter(|at| !row(&self.past, *at).meets(open)).collect();
        let mut lost: Vec<usize> = firm.clone();
        lost.retain(|at| !self.is_due(*at, counts));
        lost.extend(circle.iter().filter(|at| row(&self.strikers, **at).meets(counts)));
        if lost.is_empty() {
            let strikes = firm.iter().copied().filter(|at| self.strikes.has(*at));
            let standing: Bits = strikes.collect();
            counts.join(&standing);
            lost = if standing.is_empty() { firm } else { standing.iter().collect() };
        }
        for at in lost {
            open.clear(at);
        }
    }

    /// Changes that might count: somebody with no standing at all has no part in any circle.
    fn possible(&self) -> Bits {
        let mut possible = Bits::default();
        for (at, act) in self.acts.iter().enumerate() {
            let seen = row(&self.past, at).common(&possible);
            let known = self.people.get(act.account());
            let may = at == 0
                || known.is_some_and(|person| {
                    person.adds.meets(&seen)
                        && (!self.high.has(at)
                            || person.grants.meets(&seen)
                            || self.may_lack_admins(&seen))
                });
            if may {
                possible.set(at);
            }
        }
        possible
    }

    fn may_lack_admins(&self, seen: &Bits) -> bool {
        let mut admins = self.people.values().filter(|person| person.grants.meets(seen));
        admins.all(|person| person.falls.meets(seen))
    }

    /// Whether the author of a change had the standing for it in what counts of its past.
    fn is_due(&self, at: usize, counts: &Bits) -> bool {
        let seen = row(&self.past, at).common(counts);
        let Some(act) = self.act(at) else { return false };
        let Some(person) = self.people.get(act.account()) else { return false };
        if at == 0 {
            return true;
        }
        if self.since(person, &seen).is_none() {
            return false;
        }
        !self.high.has(at)
            || self.is_granted(person, &seen)
            || self.heir(&seen).is_some_and(|heir| heir == *act.account())
    }

    /// The first change that made somebody a member and that all after which they were out came
    /// before.
    fn since(&self, person: &Person, seen: &Bits) -> Option<usize> {
        self.holds(&person.adds, &person.ends, seen)
    }

    fn is_granted(&self, person: &Person, seen: &Bits) -> bool {
        self.holds(&person.grants, &person.falls, seen).is_some()
    }

    fn holds(&self, gains: &Bits, losses: &Bits, seen: &Bits) -> Option<usize> {
        let losses = losses.common(seen);
        gains.common(seen).iter().find(|gain| losses.is_within(row(&self.past, *gain)))
    }

    /// The longest-standing member, where there is no admin.
    fn heir(&self, seen: &Bits) -> Option<AccountId> {
        let mut eldest: Option<(usize, AccountId)> = None;
        for (account, person) in &self.people {
            let Some(since) = self.since(person, seen) else { continue };
            if self.is_granted(person, seen) {
                return None;
            }
            if eldest.is_none_or(|eldest| (since, *account) < eldest) {
                eldest = Some((since, *account));
            }
        }
        eldest.map(|(_, account)| account)
    }

    /// All members, the longest-standing first.
    fn members(&self, counts: &Bits) -> Vec<Member> {
        let heir = self.heir(counts);
        let mut found = Vec::new();
        for (account, person) in &self.people {
            let Some(since) = self.since(person, counts) else { continue };
            let admin = self.is_granted(person, counts) || heir == Some(*account);
            let role = if admin { Role::Admin } else { Role::Member };
            found.push((since, Member { account: *account, role }));
        }
        found.sort_by_key(|(since, member)| (*since, member.account));
        found.into_iter().map(|(_, member)| member).collect()
    }

    /// Cuts changes into circles, in which each waits for each, the one to decide first at the end
    /// (Sharir, "A strong-connectivity algorithm and its applications in data flow analysis", 1981).
    fn circles(&self, among: &[usize]) -> Vec<Vec<usize>> {
        let mut left: Bits = among.iter().copied().collect();
        let all = left.clone();
        let mut finished = Vec::with_capacity(among.len());
        for start in among {
            self.walk(*start, &mut left, &mut finished);
        }
        let (mut left, mut found) = (all, Vec::new());
        for start in finished.into_iter().rev() {
            if !left.has(start) {
                continue;
            }
            left.clear(start);
            let (mut circle, mut next) = (Vec::new(), vec![start]);
            while let Some(at) = next.pop() {
                circle.push(at);
                for reached in both(row(&self.past, at), row(&self.strikers, at), &left) {
                    left.clear(reached);
                    next.push(reached);
                }
            }
            circle.sort_unstable();
            found.push(circle);
        }
        found.reverse();
        found
    }

    /// Goes from a change to all that wait for it, depth first, and lists each when it is left.
    fn walk(&self, start: usize, left: &mut Bits, finished: &mut Vec<usize>) {
        if !left.has(start) {
            return;
        }
        left.clear(start);
        let mut way = vec![(start, 0)];
        while let Some((at, word)) = way.last_mut() {
            let (later, struck) = (row(&self.later, *at), row(&self.struck, *at));
            let found = (*word..left.words()).find_map(|place| {
                let waiting = (later.word(place) | struck.word(place)) & left.word(place);
                numbers(place, waiting).next().map(|next| (place, next))
            });
            if let Some((place, next)) = found {
                *word = place;
                left.clear(next);
                way.push((next, 0));
            } else {
                finished.push(*at);
                way.pop();
            }
        }
    }
}

/// Numbers of either of two sets that are in a third.
fn both(one: &Bits, other: &Bits, within: &Bits) -> Vec<usize> {
    let word = |at| (one.word(at) | other.word(at)) & within.word(at);
    (0..within.words()).flat_map(|at| numbers(at, word(at))).collect()
}

fn row(rows: &[Bits], at: usize) -> &Bits {
    static NONE: Bits = Bits::none();
    rows.get(at).unwrap_or(&NONE)
}

fn put(rows: &mut [Bits], at: usize, bits: Bits) {
    if let Some(row) = rows.get_mut(at) {
        drop(mem::replace(row, bits));
    }
}

/// Whom a change strikes: an account that somebody else puts out or takes the role from.
fn target(act: &Change) -> Option<AccountId> {
    let target = match act.action() {
        Action::Remove(account) | Action::Role(account, Role::Member) => *account,
        _ => return None,
    };
    (target != *act.account()).then_some(target)
}

/// Notes what a change does to whom.
fn note(people: &mut BTreeMap<AccountId, Person>, at: usize, act: &Change) {
    let author = people.entry(*act.account()).or_default();
    author.by.set(at);
    match act.action() {
        Action::Create { members, .. } => {
            author.adds.set(at);
            author.grants.set(at);
            for member in members {
                people.entry(*member).or_default().adds.set(at);
            }
        }
        Action::Add(account) => people.entry(*account).or_default().adds.set(at),
        Action::Remove(account) => {
            let person = people.entry(*account).or_default();
            person.ends.set(at);
            person.falls.set(at);
        }
        Action::Leave => {
            author.ends.set(at);
            author.falls.set(at);
        }
        Action::Rename(_) => {}
        Action::Role(account, Role::Admin) => people.entry(*account).or_default().grants.set(at),
        Action::Role(account, Role::Member) => people.entry(*account).or_default().falls.set(at),
    }
    if let Some(account) = target(act) {
        people.entry(account).or_default().strikes.set(at);
    }
}
