//! Times, lengths of time and sizes, as people type and read them.
//!
//! Entries carry Unix seconds that their authors claim; devices in the field lose their clocks, so
//! every time below 2^40 must print, the absurd ones too. People type local time, and read local
//! time with its offset, because a message may come from another zone. The zone and the present are
//! arguments, so that a test is the same everywhere.
//!
//! This file refuses to guess: a bare number is no time (`@` marks Unix seconds), and `1.5h` is not
//! rounded.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::outcome::{CliError, Kind};

/// Times an entry can carry are below this many Unix seconds.
pub(crate) const TIME_END: u64 = 1 << 40;

/// The longest time to live, in hours.
pub(crate) const TTL_HOURS: u32 = 87_600;

/// Which side of a range a typed time stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    /// The first second that belongs; a day alone means its beginning.
    Since,
    /// The first second that no longer belongs; a day alone means that the whole day belongs.
    Until,
}

/// Reads a time that a person typed, as Unix seconds.
///
/// Understands RFC 3339; `2026-11-22` and `2026-11-22 14:30` in the given zone; `45m`, `2h`, `3d`,
/// `2w` before `now`; and Unix seconds as `@1772438400`.
pub(crate) fn moment(typed: &str, edge: Edge, now: u64, zone: &TimeZone) -> Result<u64, CliError> {
    let typed = typed.trim();
    let fault = |why: &str| {
        CliError::new(Kind::Usage, format!("`{typed}` is not a time{why}")).hint(
            "write `2026-11-22 14:30`, `2026-11-22`, `3d` (ago), RFC 3339, or `@` and Unix seconds",
        )
    };
    let seconds = if let Some(unix) = typed.strip_prefix('@') {
        digits(unix).ok_or_else(|| fault(""))?
    } else if let Some(ago) = split_unit(typed).and_then(|(count, unit)| seconds_of(count, unit)) {
        now.saturating_sub(ago)
    } else if digits(typed).is_some_and(|number| number > 9999) {
        return Err(fault(": a bare number could mean anything"));
    } else if let Ok(stamp) = typed.parse::<Timestamp>() {
        unsigned(stamp).ok_or_else(|| fault(" after 1970"))?
    } else {
        let stamp = local(typed, edge, zone).ok_or_else(|| fault(""))?;
        unsigned(stamp).ok_or_else(|| fault(" after 1970"))?
    };
    if seconds >= TIME_END {
        Err(fault(" that an entry can carry: it is too far ahead"))
    } else {
        Ok(seconds)
    }
}

/// Returns a time for people: local, to the minute, with its offset.
///
/// What no calendar here reaches (after the year 9999) is printed as it would be typed, `@` and
/// Unix seconds.
pub(crate) fn shown(seconds: u64, zone: &TimeZone) -> String {
    calendar(seconds, zone, "%Y-%m-%d %H:%M %:z").unwrap_or_else(|| format!("@{seconds}"))
}

/// Returns a time as RFC 3339 with the zone's offset, or `None` if it lies after the year 9999.
pub(crate) fn rfc3339(seconds: u64, zone: &TimeZone) -> Option<String> {
    calendar(seconds, zone, "%Y-%m-%dT%H:%M:%S%:z")
}

/// Reads a time to live as hours: `72h`, `3d`, `2w`, or a plain number of hours; 0 keeps for ever.
pub(crate) fn ttl(typed: &str) -> Result<u32, CliError> {
    let typed = typed.trim();
    let fault = |why: &str| {
        CliError::new(Kind::Usage, format!("`{typed}` is not a time to live: {why}"))
            .hint("write `72h`, `3d`, `2w`, a number of hours, or 0 to keep for ever")
    };
    let hours = match (digits(typed), split_unit(typed)) {
        (Some(hours), _) => Some(hours),
        (None, Some((_, 'm'))) => return Err(fault("the shortest is an hour")),
        (None, Some((count, unit))) => seconds_of(count, unit).map(|seconds| seconds / 3600),
        (None, None) => None,
    };
    let hours = hours.ok_or_else(|| fault("it must be a number and `h`, `d` or `w`"))?;
    let over = || {
        fault(&format!("{} hours are over the limit of {}", count(hours), count(TTL_HOURS.into())))
    };
    u32::try_from(hours).ok().filter(|&hours| hours <= TTL_HOURS).ok_or_else(over)
}

/// Reads how long something may last, in seconds: `30s`, `15m`, `2h`, `1d`; 0 is for ever.
pub(crate) fn lasting(typed: &str) -> Result<u64, CliError> {
    let typed = typed.trim();
    let seconds = match split_unit(typed) {
        _ if typed == "0" => Some(0),
        Some((count, 's')) => Some(count),
        Some((count, unit)) => seconds_of(count, unit),
        None => None,
    };
    seconds.ok_or_else(|| {
        CliError::new(Kind::Usage, format!("`{typed}` is not a duration"))
            .hint("write `30s`, `15m`, `2h`, `1d`, or 0 for ever")
    })
}

/// Reads a size in bytes: `512`, `64K`, `64KiB`, `10M`, `2G`, `1T` in powers of 1024; `64kB`,
/// `10MB` in powers of 1000.
pub(crate) fn size(typed: &str) -> Result<u64, CliError> {
    let typed = typed.trim();
    let fault = || {
        CliError::new(Kind::Usage, format!("`{typed}` is not a size")).hint(
            "write a whole number of bytes, or one with K, M, G or T: `512`, `64K`, `10M`, `2G`",
        )
    };
    let end = typed.find(|ch: char| !ch.is_ascii_digit()).unwrap_or(typed.len());
    let number = digits(&typed[..end]).ok_or_else(fault)?;
    let suffix = typed[end..].trim_start().to_ascii_lowercase();
    let (letter, base) = match suffix.as_str() {
        "" | "b" => ("", 1),
        other => match other.strip_suffix("ib") {
            Some(letter) => (letter, 1024),
            None => other.strip_suffix('b').map_or((other, 1024), |letter| (letter, 1000)),
        },
    };
    let power = match letter {
        "" if base == 1 => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(fault()),
    };
    u64::pow(base, power).checked_mul(number).ok_or_else(fault)
}

/// Returns a number of bytes for people: `512 B`, `12.3 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    // In tenths and integers: a size must not round up to `1024.0 KiB`, nor print another digit
    // elsewhere.
    let mut unit = u64::from(count.ilog2() / 10);
    let tenths = |unit: u64| (u128::from(count) * 10 + (1_u128 << (unit * 10 - 1))) >> (unit * 10);
    if tenths(unit) >= 10_240 && unit < 6 {
        unit += 1;
    }
    let tenths = tenths(unit);
    let name =
        usize::try_from(unit - 1).ok().and_then(|at| UNITS.get(at)).copied().unwrap_or("EiB");
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// Returns a number for people: `1,234`.
pub(crate) fn count(number: u64) -> String {
    let plain = number.to_string();
    let mut out = String::with_capacity(plain.len() + plain.len() / 3);
    for (at, digit) in plain.chars().enumerate() {
        if at > 0 && (plain.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Returns a number and what is counted: `1 entry`, `1,234 entries`.
pub(crate) fn counted(number: u64, one: &str, several: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { several })
}

/// [`counted`] entries.
pub(crate) fn entries(number: u64) -> String {
    counted(number, "entry", "entries")
}

/// [`counted`] feeds.
pub(crate) fn feeds(number: u64) -> String {
    counted(number, "feed", "feeds")
}

fn calendar(seconds: u64, zone: &TimeZone, format: &str) -> Option<String> {
    let stamp = Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
    let zoned = stamp.to_zoned(zone.clone());
    (zoned.year() <= 9999).then(|| zoned.strftime(format).to_string())
}

/// Reads a date, or a date and a time of day, in the zone. An hour that a clock change skips or
/// repeats is taken as most calendars do: skipped means after the gap, repeated means the first.
fn local(typed: &str, edge: Edge, zone: &TimeZone) -> Option<Timestamp> {
    let civil = if typed.contains([' ', 'T', 't', ':']) {
        typed.parse::<DateTime>().ok()?
    } else {
        let day = typed.parse::<Date>().ok()?;
        let day = if edge == Edge::Until { day.tomorrow().ok()? } else { day };
        day.to_datetime(jiff::civil::Time::midnight())
    };
    zone.to_timestamp(civil).ok()
}

fn unsigned(stamp: Timestamp) -> Option<u64> {
    u64::try_from(stamp.as_second()).ok()
}

/// Reads plain ASCII digits; `parse` alone would take a sign.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Splits `72h` into 72 and `h`.
fn split_unit(typed: &str) -> Option<(u64, char)> {
    let unit = typed.chars().next_back().filter(char::is_ascii_alphabetic)?;
    let number = typed[..typed.len() - 1].trim_end();
    Some((digits(number)?, unit.to_ascii_lowercase()))
}

fn seconds_of(count: u64, unit: char) -> Option<u64> {
    let seconds = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        'w' => 7 * 24 * 3600,
        _ => return None,
    };
    Some(count.saturating_mul(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_354_200; // 2026-11-22 14:30 +01:00

    fn zurich() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn since(typed: &str) -> Result<u64, CliError> {
        moment(typed, Edge::Since, NOW, &zurich())
    }

    #[test]
    fn typed_times_are_understood() {
        for (typed, expected) in [
            ("2026-11-22T14:30:00+01:00", NOW),
            ("2026-11-22T13:30:00Z", NOW),
            ("2026-11-22t13:30:00.5z", NOW),
            ("2026-11-22 14:30", NOW),
            ("2026-11-22T14:30", NOW),
            (" 2026-11-22 14:30:07 ", NOW + 7),
            ("2026-11-22", NOW - (14 * 60 + 30) * 60),
            ("2026-07-01 12:00", 1_782_900_000),
            ("45m", NOW - 45 * 60),
            ("2h", NOW - 7200),
            ("3d", NOW - 3 * 86_400),
            ("2W", NOW - 14 * 86_400),
            ("99999999999999d", 0),
            ("@0", 0),
            ("@1772438400", 1_772_438_400),
            ("@1099511627775", TIME_END - 1),
            ("9999-01-01", 253_370_761_200),
        ] {
            assert_eq!(since(typed), Ok(expected), "{typed}");
        }
    }

    #[test]
    fn a_day_alone_covers_the_day() {
        let day = |edge| moment("2026-10-25", edge, NOW, &zurich()).unwrap();
        // The clocks go back on that day, so it has 25 hours.
        assert_eq!(day(Edge::Until) - day(Edge::Since), 25 * 3600);
        assert_eq!(moment("2026-11-22 14:30", Edge::Until, NOW, &zurich()), Ok(NOW));
    }

    #[test]
    fn hours_that_a_clock_change_skips_or_repeats_have_one_reading() {
        let at = |typed| shown(since(typed).unwrap(), &zurich());
        assert_eq!(at("2026-03-29 02:30"), "2026-03-29 03:30 +02:00");
        assert_eq!(at("2026-10-25 02:30"), "2026-10-25 02:30 +02:00");
    }

    #[test]
    fn what_is_no_time_is_refused_with_a_hint() {
        for typed in [
            "",
            "yesterday",
            "1772438400",
            "@",
            "@-5",
            "@1099511627776",
            "3x",
            "-3d",
            "1.5h",
            "2026-13-01",
            "14:30",
            "2026-11-22 25:00",
            "1969-12-31T23:59:59Z",
            "1850-01-01",
            "h",
            "３d",
            "@99999999999999999999999",
        ] {
            let error = since(typed).unwrap_err();
            assert_eq!(error.kind, Kind::Usage, "{typed}");
            assert_eq!(error.hints.len(), 1);
        }
        assert!(since("1772438400").unwrap_err().message.contains("a bare number"));
    }

    #[test]
    fn times_print_with_their_offset_however_absurd() {
        let zone = zurich();
        assert_eq!(shown(NOW, &zone), "2026-11-22 14:30 +01:00");
        assert_eq!(shown(0, &zone), "1970-01-01 01:00 +01:00");
        assert_eq!(shown(NOW, &TimeZone::UTC), "2026-11-22 13:30 +00:00");
        assert_eq!(shown(TIME_END, &zone), "@1099511627776");
        assert_eq!(shown(u64::MAX, &zone), "@18446744073709551615");
        assert_eq!(rfc3339(NOW, &zone).as_deref(), Some("2026-11-22T14:30:00+01:00"));
        assert_eq!(rfc3339(0, &TimeZone::UTC).as_deref(), Some("1970-01-01T00:00:00+00:00"));
        assert_eq!(rfc3339(TIME_END, &zone), None);
        for seconds in [0, NOW, TIME_END - 1, 253_402_207_199, 253_402_300_800] {
            let again = since(&rfc3339(seconds, &zone).unwrap_or_else(|| shown(seconds, &zone)));
            assert_eq!(again, Ok(seconds));
        }
    }

    #[test]
    fn times_to_live_are_hours() {
        for (typed, hours) in [
            ("72h", 72),
            ("3d", 72),
            ("2w", 336),
            ("5", 5),
            ("0", 0),
            ("3650d", 87_600),
            ("87600", 87_600),
            ("1 D", 24),
        ] {
            assert_eq!(ttl(typed), Ok(hours), "{typed}");
        }
        for typed in [
            "",
            "h",
            "45m",
            "3651d",
            "87601",
            "-1",
            "1.5d",
            "3y",
            "99999999999999999999h",
            "18446744073709551615w",
        ] {
            assert_eq!(ttl(typed).unwrap_err().kind, Kind::Usage, "{typed}");
        }
        assert!(
            ttl("3651d").unwrap_err().message.contains("87,624 hours are over the limit of 87,600")
        );
    }

    #[test]
    fn sizes_are_read() {
        for (typed, expected) in [
            ("512", 512),
            ("512B", 512),
            ("64K", 65_536),
            ("64KiB", 65_536),
            ("64 kib", 65_536),
            ("64kB", 64_000),
            ("10M", 10 << 20),
            ("10MB", 10_000_000),
            ("2G", 2 << 30),
            ("1T", 1 << 40),
            ("0", 0),
        ] {
            assert_eq!(size(typed), Ok(expected), "{typed}");
        }
        for typed in ["", "K", "1.5G", "-1", "10X", "1Ki", "iB", "5iB", "99999999T", "10 MM"] {
            assert_eq!(size(typed).unwrap_err().kind, Kind::Usage, "{typed}");
        }
    }

    #[test]
    fn sizes_and_counts_are_shown() {
        for (number, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (12_897_485, "12.3 MiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
        for (number, text) in [(0, "0"), (999, "999"), (1234, "1,234"), (1_000_000, "1,000,000")] {
            assert_eq!(count(number), text);
        }
    }
}
