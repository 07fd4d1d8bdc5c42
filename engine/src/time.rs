//! Time as numbers that are handed in: a monotonic tick, a wall clock that may lie, and known time.
//!
//! Devices in the field lose their clocks. Dwell and expiry are therefore counted in *known time*:
//! what a running clock measured, plus, across a reboot, the difference of the wall clocks where
//! that is believable. This module never reads a clock.

/// One instant as the driver reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that only runs forward within one boot (`CLOCK_BOOTTIME`).
    pub tick: u64,
    /// Unix time in milliseconds; may jump and may be absurd.
    pub wall: u64,
    /// Names the boot to which `tick` belongs.
    pub boot_id: u64,
}

/// Milliseconds of known time since the store was made: never runs backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Known(pub u64);

/// Longest gap between two wall clocks that is believed across a reboot: 30 days.
const BELIEVED_MS: u64 = 30 * 24 * 60 * MINUTE_MS;
/// Milliseconds in a minute.
const MINUTE_MS: u64 = 60_000;

impl Known {
    /// Whole minutes of known time.
    pub const fn minutes(self) -> u64 {
        self.0 / MINUTE_MS
    }
}

/// Turns what clocks say into known time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownClock {
    known: Known,
    last: Now,
}

impl KnownClock {
    /// Starts counting at `now`.
    pub const fn new(now: Now) -> Self {
        Self { known: Known(0), last: now }
    }

    /// Resumes from what was stored.
    pub const fn resume(known: Known, last: Now) -> Self {
        Self { known, last }
    }

    /// Moves on to `now` and returns the known time there.
    ///
    /// Within a boot the tick counts; across a reboot the wall clocks' difference counts
    /// if it is between 0 and 30 days, else nothing does.
    pub fn advance(&mut self, now: Now) -> Known {
        let passed = if now.boot_id == self.last.boot_id {
            now.tick.saturating_sub(self.last.tick)
        } else {
            let wall = now.wall.saturating_sub(self.last.wall);
            if wall <= BELIEVED_MS { wall } else { 0 }
        };
        self.known = Known(self.known.0.saturating_add(passed));
        let tick =
            if now.boot_id == self.last.boot_id { now.tick.max(self.last.tick) } else { now.tick };
        self.last = Now { tick, ..now };
        self.known
    }

    /// Known time at the last call of [`advance`](Self::advance).
    pub const fn known(&self) -> Known {
        self.known
    }

    /// What the clocks said then.
    pub const fn last(&self) -> Now {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot_id: u64, tick: u64, wall: u64) -> Now {
        Now { tick, wall, boot_id }
    }

    #[test]
    fn within_a_boot_only_the_tick_counts() {
        let mut clock = KnownClock::new(at(1, 1_000, 5_000));
        assert_eq!(clock.advance(at(1, 61_000, 0)), Known(60_000), "the wall fell back to 1970");
        assert_eq!(clock.advance(at(1, 30_000, u64::MAX)), Known(60_000), "a tick never runs back");
        assert_eq!(clock.advance(at(1, 62_000, 0)), Known(61_000), "and is not counted twice");
    }

    #[test]
    fn across_a_reboot_a_believable_wall_difference_counts() {
        let day = 24 * 60 * MINUTE_MS;
        let mut clock = KnownClock::new(at(1, 0, day));
        assert_eq!(clock.advance(at(2, 7, 3 * day)), Known(2 * day));
        assert_eq!(clock.advance(at(3, 7, 40 * day)), Known(2 * day), "37 days are not believed");
        assert_eq!(clock.advance(at(4, 7, 0)), Known(2 * day), "nor is a clock that ran back");
        assert_eq!(clock.advance(at(5, 7, 30 * day)), Known(32 * day), "exactly 30 days are");
    }
}
