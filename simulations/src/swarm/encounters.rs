//! Devices that meet: links open, stand still, break and end between whatever else happens.
//!
//! What is drawn here comes from a sequence of its own, so that a world without meetings stays the
//! world that its seed always was. While links are open time passes by milliseconds; a piece on its
//! way takes its time, and pieces of different links overtake each other.

use thistle_engine::key::{Context, derive};
use thistle_engine::limits::SILENCE_MS;
use thistle_engine::policy::CarryClass;
use thistle_engine::{Event, Input, Output, SessionEnding, SessionReport, WriteError};

use super::link::{End, Fate, Link, changed, cut_short, damage};
use super::{Device, Sabotage, Swarm};

/// Moments after which links that are left alone have to be over.
const MOMENTS: usize = 50_000;
/// Most bytes that a node is given at once.
const CHUNK: usize = 1 << 16;

/// What became of a meeting that nothing disturbed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Met {
    /// Unbroken runs of bytes.
    pub(super) messages: u64,
    /// Whether anything was asked for, declined or found forked.
    pub(super) asked: bool,
}

impl Swarm {
    /// Devices meet, perhaps, and those that have met go on.
    pub(super) fn encounters(&mut self) -> Result<(), WriteError> {
        if self.options.meetings.often == 0 {
            return Ok(());
        }
        std::mem::swap(&mut self.seed, &mut self.ether);
        let done = self.encounter();
        std::mem::swap(&mut self.seed, &mut self.ether);
        done
    }

    fn encounter(&mut self) -> Result<(), WriteError> {
        if self.seed.chance(self.options.meetings.often, 100) {
            for _ in 0..=self.seed.below(self.options.meetings.crowd) {
                self.open_some_link()?;
            }
        }
        for _ in 0..self.seed.below(60) {
            if self.links.is_empty() {
                return Ok(());
            }
            self.moment()?;
        }
        if self.seed.chance(3, 4) { self.end_links() } else { Ok(()) }
    }

    fn open_some_link(&mut self) -> Result<(), WriteError> {
        let (from, to) = (self.some_device(), self.some_device());
        let meetings = self.options.meetings;
        let seed = &mut self.seed;
        let mut known = || !seed.chance(meetings.strangers, 100);
        let known = [known(), known()];
        let mut at_piece = |chance| {
            let (is_so, most) = (seed.chance(chance, 100), 1 << seed.below(6));
            let at = 1 + seed.below(most);
            is_so.then_some(at)
        };
        let (cut, damaged) = (at_piece(meetings.cut), at_piece(meetings.damaged));
        let aged = seed.chance(meetings.aged, 100);
        let fate = Fate { cut, damaged, aged, unheard: false, eager: seed.chance(1, 2) };
        if from != to {
            self.open_link([from, to], known, fate)?;
        }
        Ok(())
    }

    /// Opens a link; the first of the two has dialled.
    fn open_link(
        &mut self,
        ends: [usize; 2],
        known: [bool; 2],
        fate: Fate,
    ) -> Result<u64, WriteError> {
        self.opened += 1;
        let number = self.opened;
        let mut binding = [0; 32];
        self.seed.fill(&mut binding);
        let [Some(here), Some(there)] = ends.map(|at| self.link_key(at)) else {
            return Ok(number);
        };
        self.note(format!("link {number}: {} to {}, known {known:?}, {fate:?}", ends[0], ends[1]));
        let life = |at: usize| self.devices.get(at).map_or(0, |device| device.life);
        let [first, second] = ends;
        // Devices of one person recognise each other, whatever the driver knows of them.
        let told = known.map(|known| known || self.are_kin(ends));
        let sides =
            [End::new(first, life(first), told[0]), End::new(second, life(second), told[1])];
        let mut link = Link::new(sides, fate);
        link.exact = self.is_exact(ends, told);
        self.disturb(first);
        self.disturb(second);
        let busy =
            |other: &Link| other.ends.iter().any(|end| !end.is_over() && ends.contains(&end.at));
        link.shared = self.links.values().any(busy);
        self.links.insert(number, link);
        let sides = [(second, false, known[1], here), (first, true, known[0], there)];
        for (at, opener, known, peer) in sides {
            let binding = &binding;
            let input =
                Input::LinkOpened { link: number, opener, peer, binding, known, via: "met" };
            self.give(at, input)?;
        }
        Ok(number)
    }

    /// Whether two devices are of one person.
    fn are_kin(&self, [one, other]: [usize; 2]) -> bool {
        let person = |at: usize| self.devices.get(at).map(|device| device.person);
        person(one) == person(other)
    }

    /// The key by which a device is known on links.
    fn link_key(&self, at: usize) -> Option<[u8; 32]> {
        // The same for as long as the device writes the same feed.
        let feed = self.home(at)?.node.me().ok()?.feed;
        Some(derive(Context::LinkKey, feed.as_bytes()))
    }

    /// Something else than its links happens to a device.
    pub(super) fn disturb(&mut self, at: usize) {
        for link in self.links.values_mut() {
            link.shared |= link.ends.iter().any(|end| end.at == at);
        }
        if let Some(device) = self.devices.get_mut(at) {
            device.stirred += 1;
        }
    }

    // ---- One moment ----

    fn moment(&mut self) -> Result<(), WriteError> {
        let meetings = self.options.meetings;
        let due = |end: &End| end.out.front().is_some_and(|(due, _)| *due <= self.ms);
        let waits = self.links.values().any(|link| link.ends.iter().any(due));
        let passed = self.seed.below(if waits { 20 } else { meetings.latency });
        self.pass_ms(passed);
        if self.seed.chance(meetings.busy, 100) {
            self.happen_meanwhile()?;
        }
        self.tend()?;
        self.deliver_some()?;
        self.sweep();
        Ok(())
    }

    fn pass_ms(&mut self, passed: u64) {
        self.ms += passed;
        for home in self.devices.iter_mut().filter_map(|device| device.home.as_mut()) {
            home.now.tick = home.now.tick.saturating_add(passed);
            home.now.wall = home.now.wall.saturating_add(passed);
        }
    }

    /// Something else happens while devices meet.
    fn happen_meanwhile(&mut self) -> Result<(), WriteError> {
        let at = self.some_device();
        match self.seed.below(14) {
            0..4 => return self.write(at),
            4 | 5 => {
                self.disturb(at);
                self.open_some_link()?;
            }
            6 => self.idle(at)?,
            7 if self.options.retractions > 0 => self.retract(at)?,
            8 if self.options.decisions > 0 => self.decide(at)?,
            9 if self.options.reboots > 0 => self.reboot(at)?,
            10 if self.options.copies > 0 => self.copy(at)?,
            11 if self.options.moves > 0 => self.come_or_go(at)?,
            12 if self.options.strangers > 0 => self.change_quota(at)?,
            13 => self.carry(at)?,
            _ => return Ok(()),
        }
        self.disturb(at);
        Ok(())
    }

    /// Strangers get more room on a device, or less.
    fn change_quota(&mut self, at: usize) -> Result<(), WriteError> {
        let quota = self.seed.below(40_000);
        if let Some(device) = self.devices.get_mut(at) {
            device.quota = Some(device.quota.map_or(quota, |before| before.max(quota)));
        }
        let set =
            self.act(at, |home| home.node.set_quota(home.now, CarryClass::Stranger, quota))?;
        if let (Some(()), Some(device)) = (set, self.devices.get_mut(at)) {
            device.quota = Some(quota);
        }
        self.note(format!("{at} has room of {quota} for strangers"));
        Ok(())
    }

    /// Nodes get the time that they asked for, and say what they have to say.
    fn tend(&mut self) -> Result<(), WriteError> {
        for at in self.present() {
            let due = self.home(at).and_then(|home| Some((home.node.deadline()?, home.now.tick)));
            if due.is_some_and(|(due, now)| due <= now) {
                self.give(at, Input::Idle)?;
            }
            self.collect(at)?;
        }
        Ok(())
    }

    /// One piece arrives, or the news that nothing more comes.
    fn deliver_some(&mut self) -> Result<(), WriteError> {
        let due = |end: &End| end.out.front().is_some_and(|(due, _)| *due <= self.ms);
        let ways = self.links.iter().flat_map(|(number, link)| {
            let ends = link.ends.iter().enumerate().filter(|(_, end)| due(end));
            ends.map(|(from, _)| (*number, from))
        });
        let ways: Vec<(u64, usize)> = ways.collect();
        match self.seed.choose(&ways).copied() {
            Some((number, from)) => self.arrive(number, from),
            None => Ok(()),
        }
    }

    fn arrive(&mut self, number: u64, from: usize) -> Result<(), WriteError> {
        let severed = self.is(Sabotage::Severed);
        let Some(link) = self.links.get_mut(&number) else { return Ok(()) };
        let Some(Some((_, piece))) = link.ends.get_mut(from).map(|end| end.out.pop_front()) else {
            return Ok(());
        };
        let [first, second] = &link.ends;
        let (here, there) = if from == 0 { (first, second) } else { (second, first) };
        let (sender, reader, reads) = (here.at, there.at, !there.gone);
        let waits = !link.fate.eager && !here.is_over() && here.out.is_empty();
        let Some(mut bytes) = piece else {
            return if reads {
                self.give(reader, Input::LinkClosed { link: number })
            } else {
                Ok(())
            };
        };
        link.arrived += 1;
        if link.fate.damaged == Some(link.arrived) && !bytes.is_empty() {
            let (at, bit) = (self.seed.index(bytes.len()), self.seed.below(8));
            let next = link.ends.get_mut(from).and_then(|end| end.out.front_mut());
            damage(&mut bytes, next.and_then(|next| next.1.as_mut()), at, bit);
            link.spoilt = true;
        }
        if link.fate.cut == Some(link.arrived) {
            link.spoilt |= !severed;
            cut_short(&mut bytes, &mut self.seed);
            for (end, lost) in [(from, true), (1 - from, self.seed.chance(1, 2))] {
                let due = self.ms + self.seed.below(self.options.meetings.latency);
                let Some(end) = link.ends.get_mut(end) else { continue };
                if lost {
                    end.out.clear();
                }
                end.post(due, None);
            }
        }
        for bytes in bytes.chunks(CHUNK) {
            if reads {
                self.give(reader, Input::LinkBytes { link: number, bytes })?;
            }
        }
        if waits { self.give(sender, Input::LinkReady { link: number }) } else { Ok(()) }
    }

    /// Gives a node an input, with whatever its disk has in store for it.
    fn give(&mut self, at: usize, input: Input<'_>) -> Result<(), WriteError> {
        let faults = self.options.power + self.options.full > 0;
        if faults && self.seed.chance(1, 6) {
            self.act(at, |home| home.node.handle(home.now, input))?;
        } else if let Some(home) = self.devices.get_mut(at).and_then(|it| it.home.as_mut()) {
            home.node.handle(home.now, input)?;
        }
        self.collect(at)
    }

    /// Takes what a node says.
    pub(super) fn collect(&mut self, at: usize) -> Result<(), WriteError> {
        let (mut changed, mut ready) = (false, Vec::new());
        let Some(device) = self.devices.get_mut(at) else { return Ok(()) };
        let life = device.life;
        let Some(home) = &mut device.home else { return Ok(()) };
        for event in home.listen() {
            changed = true;
            if let Event::Retired { .. } = event {
                device.told.clear();
            }
        }
        for output in std::mem::take(&mut home.mail) {
            match output {
                Output::Send { link, bytes } => {
                    if self.send(at, life, link, bytes) {
                        ready.push(link);
                    }
                }
                Output::Close { link } => self.close(at, life, link),
                Output::Event(Event::SessionDone { link, report }) => {
                    changed = true;
                    self.hear_of_end(at, life, link, report);
                }
                Output::Event(_) => changed = true,
            }
        }
        if changed {
            if let Some(device) = self.devices.get_mut(at) {
                device.note_own()?;
            }
            self.settle(at)?;
        }
        for link in ready {
            self.give(at, Input::LinkReady { link })?;
        }
        Ok(())
    }

    /// Puts bytes on their way; whether the link takes more at once.
    fn send(&mut self, at: usize, life: u64, number: u64, mut bytes: Vec<u8>) -> bool {
        let forged = self.is(Sabotage::Forged);
        let twice = self.is(Sabotage::Twice);
        let (now, bandwidth) = (self.ms, self.options.meetings.bandwidth);
        let takes = self.seed.below(self.options.meetings.latency);
        let Some(link) = self.links.get_mut(&number) else { return false };
        let Some(from) = link.end_of(at, life) else { return false };
        if forged && let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        let found = link.watch(from, &bytes, twice);
        if link.fate.aged || link.fate.unheard {
            bytes = changed(&bytes, link.fate);
        }
        let eager = link.fate.eager;
        if let Some(end) = link.ends.get_mut(from) {
            let due = end.leave(now, bytes.len(), bandwidth) + takes;
            end.post(due, Some(bytes));
        }
        self.breaks(at, found);
        eager
    }

    fn close(&mut self, at: usize, life: u64, number: u64) {
        let due = self.ms + self.seed.below(self.options.meetings.latency);
        let Some(link) = self.links.get_mut(&number) else { return };
        if let Some(from) = link.end_of(at, life)
            && let Some(end) = link.ends.get_mut(from)
        {
            end.post(due, None);
        }
    }

    fn hear_of_end(&mut self, at: usize, life: u64, number: u64, report: SessionReport) {
        if self.is(Sabotage::Mute) {
            return;
        }
        let link = self.links.get_mut(&number);
        let end = link.and_then(|link| {
            let end = link.end_of(at, life)?;
            link.ends.get_mut(end)
        });
        let again = end.is_none_or(|end| end.report.replace(report).is_some());
        if again {
            self.breaks(at, [format!("link {number} ended more than once")]);
        }
    }

    // ---- How links end ----

    /// Ends whose devices are gone go silent; links that are over on both sides are looked at.
    fn sweep(&mut self) {
        let mut over = Vec::new();
        for (number, link) in &mut self.links {
            for end in link.ends.iter_mut().filter(|end| !end.gone) {
                let device = self.devices.get(end.at);
                let here = device.filter(|device| device.home.is_some());
                if here.is_none_or(|device| device.life != end.life) {
                    end.gone = true;
                    if self.seed.chance(1, 2) {
                        end.out.clear();
                    }
                    end.post(self.ms, None);
                    link.spoilt = true;
                }
            }
            if link.ends.iter().all(End::is_over) {
                over.push(*number);
            }
        }
        for number in over {
            if let Some(link) = self.links.remove(&number) {
                self.judge(number, &link);
            }
        }
    }

    /// What has to hold of a link that is over.
    fn judge(&mut self, number: u64, link: &Link) {
        for (end, other) in [(0, 1), (1, 0)] {
            let (Some(end), Some(other)) = (link.ends.get(end), link.ends.get(other)) else {
                continue;
            };
            let Some(mut report) = end.report else { continue };
            if self.is(Sabotage::Repeats) {
                report.duplicates += 1;
            }
            let at = end.at;
            let (sent, received, again) = (report.sent, report.received, report.duplicates);
            self.note(format!(
                "link {number} at {at}: {}, {sent} sent, {received} new, {again} known, {} messages",
                report.ending, link.messages
            ));
            if !link.spoilt && report.ending != SessionEnding::Done {
                let what = format!("link {number} ended so: {}", report.ending);
                self.breaks(at, [what]);
            }
            let exact = link.exact && !link.spoilt && !link.shared && !link.asked;
            if exact && again > 0 && !self.rewound {
                let from = other.at;
                let what = format!("link {number}: {again} entries of {from} were there");
                self.breaks(at, [what]);
            }
        }
        self.remember_meeting(link);
    }

    /// Lets all links come to their end.
    pub(super) fn end_links(&mut self) -> Result<(), WriteError> {
        for _ in 0..MOMENTS {
            self.tend()?;
            self.sweep();
            if self.links.is_empty() {
                return Ok(());
            }
            self.deliver_some()?;
            self.sweep();
            self.wait();
        }
        let links: Vec<u64> = self.links.keys().copied().collect();
        self.broken.push(format!("links {links:?} never end"));
        self.links.clear();
        Ok(())
    }

    /// Time passes until something is due.
    fn wait(&mut self) {
        let ends = self.links.values().flat_map(|link| &link.ends);
        let arrives = ends.filter_map(|end| end.out.front()).map(|(due, _)| *due);
        let arrives = arrives.map(|due| due.saturating_sub(self.ms));
        let homes = self.devices.iter().filter_map(|device| device.home.as_ref());
        let wakes =
            homes.filter_map(|home| Some(home.node.deadline()?.saturating_sub(home.now.tick)));
        // Somebody who does not tell when gets a little time all the same.
        let passes = arrives.chain(wakes).min().unwrap_or(SILENCE_MS);
        self.pass_ms(passes);
    }

    /// Two devices meet, and nothing disturbs them.
    pub(super) fn meet(&mut self, ends: [usize; 2], known: [bool; 2]) -> Result<Met, WriteError> {
        let unheard = self.is(Sabotage::Unheard);
        let aged = self.is(Sabotage::Aging);
        let fate = Fate { aged, unheard, ..Fate::default() };
        let number = self.open_link(ends, known, fate)?;
        let mut met = Met::default();
        for _ in 0..MOMENTS {
            if let Some(link) = self.links.get(&number) {
                met = Met { messages: link.messages, asked: link.asked };
            }
            self.tend()?;
            self.deliver_some()?;
            if let Some(link) = self.links.get(&number) {
                met = Met { messages: link.messages, asked: link.asked };
            }
            self.sweep();
            if self.links.is_empty() {
                return Ok(met);
            }
            self.wait();
        }
        self.broken.push(format!("link {number} never ends"));
        self.links.clear();
        Ok(met)
    }

    /// Everybody meets everybody once.
    pub(super) fn meet_all(&mut self) -> Result<(), WriteError> {
        let deaf = usize::from(self.is(Sabotage::Deaf));
        let present = self.present();
        for (place, one) in present.iter().enumerate().skip(deaf) {
            for other in present.iter().skip(place + 1) {
                let ends = if self.seed.chance(1, 2) { [*one, *other] } else { [*other, *one] };
                let mut known = || !self.seed.chance(self.options.meetings.strangers, 100);
                let known = [known(), known()];
                self.meet(ends, known)?;
            }
        }
        Ok(())
    }

    // ---- What may be expected ----

    /// Whether two devices remember each other rightly, so that nothing comes twice: they never met,
    /// or they do not know each other, or nothing came to either since they agreed.
    fn is_exact(&self, [one, other]: [usize; 2], known: [bool; 2]) -> bool {
        let (Some(here), Some(there)) = (self.devices.get(one), self.devices.get(other)) else {
            return false;
        };
        let whole = |at: usize| {
            let holdings = self.devices.get(at).and_then(|device| device.holdings.as_ref());
            holdings.is_some_and(|held| {
                let plain = |info: &thistle_engine::FeedInfo| {
                    info.forked.is_none() && (info.gaps.is_empty() || info.held == 0)
                };
                held.feeds.values().all(plain)
            })
        };
        let met = here.agreed.contains_key(&other) || there.agreed.contains_key(&one);
        let agreed = here.agreed.get(&other) == Some(&Some(here.stirred))
            && there.agreed.get(&one) == Some(&Some(there.stirred));
        // Of a person's devices the one that was met last is remembered in the place of all.
        let mixed = |device: &Device, but: usize| {
            device.agreed.keys().any(|at| *at != but && self.are_kin([*at, but]))
        };
        if self.are_kin([one, other]) && (mixed(here, other) || mixed(there, one)) {
            return false;
        }
        whole(one) && whole(other) && (!met || agreed || known == [false, false])
    }

    /// After a meeting of two who know each other nothing that both hold is news between them.
    fn remember_meeting(&mut self, link: &Link) {
        let [one, other] = &link.ends;
        let done = |end: &End| end.report.is_some_and(|it| it.ending == SessionEnding::Done);
        let clean = !link.spoilt && !link.shared && done(one) && done(other);
        let agreed = clean && one.known && other.known;
        for (end, peer) in [(one, other), (other, one)] {
            let Some(device) = self.devices.get_mut(end.at) else { continue };
            if !clean {
                device.stirred += 1;
            }
            if agreed {
                device.agreed.insert(peer.at, Some(device.stirred));
            } else if one.known || other.known {
                device.agreed.insert(peer.at, None);
            }
        }
    }

    /// So much time passes that links may fall silent.
    pub(super) fn spoil_links(&mut self) {
        self.links.values_mut().for_each(|link| link.spoilt = true);
    }
}
