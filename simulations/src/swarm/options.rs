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
}

impl Options {
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
        let heals = if self.heals_addressed { "addressed" } else { "whole" };
        write!(f, ", heals by {heals} bundles")
    }
}
