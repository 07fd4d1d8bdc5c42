//! What a command has to know of the process and the terminal it was typed in.
//!
//! A command may run in another process than the one it was typed in: whoever holds the store runs
//! it. So everything that a command would ask its surroundings for is asked here, once, and
//! travels with the request. Once a command has begun it asks the environment, the terminal and the
//! clock nothing else.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use thistle_engine::time::Now;

use crate::log;
use crate::outcome::{CliError, Kind};

/// Columns where no terminal says how many it has.
const COLUMNS: usize = 80;
/// Lines longer than this are hard to read.
const WIDEST: usize = 100;

/// What a command has to know of where it was typed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// The folder that relative paths start from.
    folder: OsString,
    /// Whether somebody watches standard error, and nothing is logged there.
    pub(crate) watched: bool,
    /// Whether colours may be used on standard output.
    pub(crate) colour: bool,
    /// Columns of the terminal.
    pub(crate) columns: usize,
    /// The name of the time zone, where it has one.
    zone: Option<String>,
    /// The clocks, where a test has stopped them.
    clocks: Clocks,
}

/// Clocks that are stopped where something is said, and run where not.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Clocks {
    wall_seconds: Option<u64>,
    tick: Option<u64>,
    boot: Option<u64>,
}

impl Facts {
    /// Asks this process.
    pub(crate) fn here() -> Result<Self, CliError> {
        let folder = env::current_dir().map_err(|error| {
            CliError::new(Kind::Input, "the folder that this was started in is gone")
                .because(&error)
                .hint("change to a folder that exists")
        })?;
        Ok(Self {
            folder: folder.into(),
            watched: io::stderr().is_terminal() && !is_dumb() && !log::is_on(),
            colour: io::stdout().is_terminal() && !is_dumb() && !is_set("NO_COLOR"),
            columns: columns(),
            zone: zone_name(),
            clocks: Clocks {
                wall_seconds: pinned("THISTLE_NOW")?,
                tick: pinned("THISTLE_TICK")?,
                boot: pinned("THISTLE_BOOT")?,
            },
        })
    }

    /// The folder that relative paths start from.
    pub(crate) fn folder(&self) -> &Path {
        Path::new(&self.folder)
    }

    /// What the clocks say now.
    pub(crate) fn now(&self) -> Now {
        self.clocks.now()
    }

    /// The clocks, for work that takes a while.
    pub(crate) const fn clocks(&self) -> Clocks {
        self.clocks
    }

    /// The time zone.
    pub(crate) fn zone(&self) -> TimeZone {
        let named = |name: &String| {
            let name = name.strip_prefix(':').unwrap_or(name);
            TimeZone::get(name).or_else(|_| TimeZone::posix(name)).ok()
        };
        self.zone.as_ref().and_then(named).unwrap_or_else(TimeZone::system)
    }
}

impl Clocks {
    /// What the clocks say now.
    pub(crate) fn now(self) -> Now {
        let wall = || {
            let passed = SystemTime::now().duration_since(UNIX_EPOCH);
            passed.map_or(0, |passed| u64::try_from(passed.as_millis()).unwrap_or(u64::MAX))
        };
        Now {
            tick: self.tick.unwrap_or_else(tick),
            wall: self.wall_seconds.map_or_else(wall, |seconds| seconds.saturating_mul(1000)),
            boot_id: self.boot.unwrap_or_else(boot),
        }
    }
}

/// Milliseconds since the machine was started, sleep included where the system counts it.
pub(crate) fn tick() -> u64 {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let passed = clock_gettime(clock);
    let seconds = u64::try_from(passed.tv_sec).unwrap_or(0);
    let millis = u64::try_from(passed.tv_nsec).unwrap_or(0) / 1_000_000;
    seconds.saturating_mul(1000).saturating_add(millis)
}

/// A number for this start of the machine; 0 where the system does not tell.
fn boot() -> u64 {
    // Asked for with every step of a meeting, and never another while this process lives.
    static BOOT: OnceLock<u64> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let Ok(text) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") else {
            return 0;
        };
        // FNV-1a: the id is random already, and only has to become a number.
        text.trim().bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    })
}

fn columns() -> usize {
    let told = env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let asked = || {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        (size.ws_col > 0).then_some(usize::from(size.ws_col))
    };
    told.or_else(asked).unwrap_or(COLUMNS).clamp(20, WIDEST)
}

fn zone_name() -> Option<String> {
    let told = env::var("TZ").ok().filter(|name| !name.is_empty());
    told.or_else(|| TimeZone::system().iana_name().map(str::to_owned))
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|term| term == "dumb")
}

fn pinned(name: &str) -> Result<Option<u64>, CliError> {
    let Some(value) = env::var_os(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let number = value.to_str().and_then(|value| value.parse().ok());
    let fault = || CliError::new(Kind::Usage, format!("`{name}` is not a whole number"));
    number.map(Some).ok_or_else(fault)
}
