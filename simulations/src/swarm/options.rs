//! What a world is made of, drawn from its seed and shown on one line.

use std::fmt;

use crate::Seed;

/// What happens in a world, and how often. Chances are of 100.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Devices at the beginning, each of another person.
    pub people: u8,
    /// Steps before the faults stop.
    pub steps: u64,
    /// Most minutes that pass in a step.
    pub minutes: u64,
    /// A bundle does not arrive.
    pub lost: u64,
    /// It arrives later, after others, or once more.
    pub late: u64,
    /// It is cut short.
    pub cut: u64,
    /// Some of its bits are wrong.
    pub flipped: u64,
    /// Its carrier lies about the age of everything.
    pub aged: u64,
    /// It is made to be small.
    pub small: u64,
    /// It is made for its reader.
    pub addressed: u64,
    /// A wall clock jumps by years.
    pub clocks: u64,
    /// A device starts anew.
    pub reboots: u64,
    /// Power goes while a device works.
    pub power: u64,
    /// A disk is full for a while.
    pub full: u64,
    /// An old copy of a home is put back, or goes its own way beside it.
    pub copies: u64,
    /// Somebody comes with a new device, or leaves for good.
    pub moves: u64,
    /// Strangers' feeds come by.
    pub strangers: u64,
    /// Bytes that they may take on each device.
    pub quota: u64,
    /// Messages have a lifetime.
    pub lifetimes: u64,
    /// Messages are taken back.
    pub retractions: u64,
    /// Feeds are blocked, unfollowed, and followed again.
    pub decisions: u64,
    /// In the end all bundles are made for their readers, not for everybody.
    pub heals_addressed: bool,
    /// How devices meet.
    pub meetings: Meetings,
}

/// How devices meet, and how often. Chances are of 100. They are drawn from a sequence of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meetings {
    /// Links open after a step; 0: this world knows bundles only.
    pub often: u64,
    /// Links that open at once, at most.
    pub crowd: u64,
    /// Most milliseconds for which a piece is on its way.
    pub latency: u64,
    /// Bytes that a link carries in a millisecond; 0: as many as there are.
    pub bandwidth: u64,
    /// A link is cut.
    pub cut: u64,
    /// A piece that crosses it has wrong bits, is lost, comes twice or is overtaken by the next.
    pub damaged: u64,
    /// Whoever is at the other end lies about the age of everything.
    pub aged: u64,
    /// One does not know the other.
    pub strangers: u64,
    /// Something else happens meanwhile.
    pub busy: u64,
    /// In the end everybody meets everybody, and no bundle is read.
    pub heals: bool,
}

impl Meetings {
    /// Nobody meets anybody.
    pub const NONE: Self = Self {
        often: 0,
        crowd: 1,
        latency: 1,
        bandwidth: 0,
        cut: 0,
        damaged: 0,
        aged: 0,
        strangers: 0,
        busy: 0,
        heals: false,
    };

    /// Draws them.
    pub fn draw(seed: &mut Seed) -> Self {
        if seed.chance(1, 4) {
            return Self::NONE;
        }
        let mut maybe = |most: u64| {
            let (with, much) = (seed.chance(1, 2), 1 + seed.below(most));
            if with { much } else { 0 }
        };
        let (cut, damaged, aged) = (maybe(80), maybe(20), maybe(40));
        let (strangers, busy) = (maybe(60), maybe(20));
        Self {
            often: 5 + seed.below(45),
            crowd: 1 + seed.below(4),
            latency: 1 << seed.below(14),
            bandwidth: 0,
            cut,
            damaged,
            aged,
            strangers,
            busy,
            heals: seed.chance(1, 2),
        }
    }

    /// Draws how much links carry, from a sequence of its own too.
    pub fn narrow(&mut self, seed: &mut Seed) {
        if seed.chance(1, 3) {
            self.bandwidth = 16 << seed.below(9);
        }
    }
}

impl Options {
    /// Messages have lifetimes, hardly any time passes, and whoever is met lies about ages.
    pub fn among_liars(&mut self) {
        (self.lifetimes, self.minutes) = (60, 1);
        let meetings = &mut self.meetings;
        (meetings.often, meetings.aged, meetings.heals) = (40, 100, true);
    }

    /// Draws them.
    pub fn draw(seed: &mut Seed) -> Self {
        // Each thing is missing from half of the worlds, so that the others are seen alone too.
        let mut maybe = |most: u64| {
            let (with, much) = (seed.chance(1, 2), 1 + seed.below(most));
            if with { much } else { 0 }
        };
        let (lost, late, cut, flipped) = (maybe(40), maybe(40), maybe(40), maybe(40));
        let (aged, small, clocks, reboots) = (maybe(30), maybe(40), maybe(40), maybe(10));
        let (power, full, copies, moves) = (maybe(25), maybe(25), maybe(20), maybe(10));
        let (strangers, lifetimes) = (maybe(20), maybe(40));
        let (retractions, decisions) = (maybe(8), maybe(8));
        Self {
            people: u8::try_from(2 + seed.below(3)).unwrap_or(2),
            steps: 15 + seed.below(35),
            minutes: 1 << seed.below(10),
            lost,
            late,
            cut,
            flipped,
            aged,
            small,
            addressed: seed.below(101),
            clocks,
            reboots,
            power,
            full,
            copies,
            moves,
            strangers,
            quota: 4_000 + seed.below(40_000),
            lifetimes,
            retractions,
            decisions,
            heals_addressed: seed.chance(1, 2),
            meetings: Meetings::NONE,
        }
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} people, {} steps of {} min", self.people, self.steps, self.minutes)?;
        for (name, chance) in [
            ("lost", self.lost),
            ("late", self.late),
            ("cut", self.cut),
            ("flipped", self.flipped),
            ("aged", self.aged),
            ("small", self.small),
            ("addressed", self.addressed),
            ("clocks", self.clocks),
            ("reboots", self.reboots),
            ("power", self.power),
            ("full", self.full),
            ("copies", self.copies),
            ("moves", self.moves),
            ("strangers", self.strangers),
            ("lifetimes", self.lifetimes),
            ("retractions", self.retractions),
            ("decisions", self.decisions),
        ] {
            if chance > 0 {
                write!(f, ", {name} {chance}")?;
            }
        }
        if self.strangers > 0 {
            write!(f, ", quota {}", self.quota)?;
        }
        let meetings = &self.meetings;
        if meetings.often > 0 {
            let Meetings { often, crowd, latency, .. } = meetings;
            write!(f, ", meetings {often} of {crowd} within {latency} ms")?;
            for (name, chance) in [
                ("bytes a ms", meetings.bandwidth),
                ("cut", meetings.cut),
                ("damaged", meetings.damaged),
                ("aged", meetings.aged),
                ("strangers", meetings.strangers),
                ("busy", meetings.busy),
            ] {
                if chance > 0 {
                    write!(f, " {name} {chance}")?;
                }
            }
        }
        let heals = match (meetings.heals, self.heals_addressed) {
            (true, _) => "meetings",
            (false, true) => "addressed bundles",
            (false, false) => "whole bundles",
        };
        write!(f, ", heals by {heals}")
    }
}
