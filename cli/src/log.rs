//! The log: what the program does, for whoever looks for a fault in it.
//!
//! Silent unless `THISTLE_LOG` asks for it. A log is made to be sent to somebody, so nothing of what
//! people write, and nothing that says who knows whom, ever comes into it: no text, name, channel,
//! id, path or name of a file. A feed is a number that means something within one run only. What
//! may be logged is listed here, in one file; other files hand over values and no words.

use std::env;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::time::Instant;

use thistle_engine::key::FeedId;
use thistle_engine::{Event, Report, SessionReport, StoreError};
use thistle_transports::LinkError;
use tracing::level_filters::LevelFilter;
use tracing::{debug, error, info, trace, warn};
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::writer::MakeWriterExt as _;

use crate::outcome::{CliError, Kind};

/// What asks for the log.
const NAME: &str = "THISTLE_LOG";
/// Whose words are logged.
const OURS: &str = "thistle";
/// What it can say.
const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// Begins to log to standard error, as much as `THISTLE_LOG` asks for.
pub(crate) fn start() -> Result<(), CliError> {
    let Some(asked) = env::var_os(NAME).filter(|asked| !asked.is_empty()) else { return Ok(()) };
    let asked = asked.to_string_lossy().to_lowercase();
    let Some((_, level)) = LEVELS.into_iter().find(|(name, _)| *name == asked) else {
        let levels: Vec<&str> = LEVELS.iter().map(|(name, _)| *name).collect();
        return Err(CliError::new(Kind::Usage, format!("`{NAME}` cannot be `{asked}`"))
            .hint(format!("say one of these: {}", levels.join(", "))));
    };
    let log = fmt()
        .with_max_level(level)
        // Other crates are used to speak of addresses and keys.
        .with_writer(std::io::stderr.with_filter(|said| said.target().starts_with(OURS)))
        .with_timer(fmt::time::uptime())
        .with_target(false)
        .with_ansi(false);
    // A second start, which never happens, would change nothing.
    drop(log.try_init());
    Ok(())
}

/// Whether anything is logged at all.
pub(crate) fn is_on() -> bool {
    LevelFilter::current() > LevelFilter::OFF
}

/// A command, by the words that the program itself gives it.
pub(crate) fn command(name: &str, served: bool) {
    let version = env!("CARGO_PKG_VERSION");
    info!(command = name, version, served, os = env::consts::OS, "command begins");
}

/// What came of a command. What its error says is for its person alone.
pub(crate) fn done(code: u8, begun: Instant) {
    if code == 0 {
        info!(code, ms = millis(begun), "command ends");
    } else {
        warn!(code, ms = millis(begun), "command ends");
    }
}

/// What the holder of the store answered.
pub(crate) fn asked(answer: &'static str) {
    debug!(answer, "asked the holder of the store");
}

/// The store is open here.
pub(crate) fn opened(bytes: u64, begun: Instant) {
    info!(bytes, ms = millis(begun), "store opened");
}

/// A step of the node took so long.
pub(crate) fn step(begun: Instant) {
    trace!(us = begun.elapsed().as_micros(), "step");
}

/// The store failed.
pub(crate) fn store_fault(fault: &StoreError) {
    let io = fault.io().map(|error| (error.kind(), error.raw_os_error()));
    match fault {
        // What redb says of a disk names no more than pages.
        StoreError::Disk(_) => error!(?io, "the disk failed"),
        fault => error!(%fault, "store fault"),
    }
}

/// A bundle was written.
pub(crate) fn gathered(entries: u64, feeds: u64, bytes: u64, begun: Instant) {
    info!(entries, feeds, bytes, ms = millis(begun), "bundle written");
}

/// What the node has to say.
pub(crate) fn event(event: &Event) {
    match event {
        Event::Refused { offset, fault, .. } => warn!(offset, %fault, "piece refused"),
        Event::LeftOut { feed, entries, why, .. } => {
            debug!(feed = number(feed), entries, %why, "left out");
        }
        Event::Progress { new_entries, bytes, .. } => debug!(new_entries, bytes, "committed"),
        Event::BundleDone { report, .. } => bundle_done(report),
        Event::Retired { old, new } => {
            warn!(old = number(old), new = number(new), "own feed retired");
        }
        Event::Restored { old, new } => {
            info!(old = number(old), new = number(new), "backup opened");
        }
        Event::Upgraded { from, to } => info!(from, to, "store upgraded"),
        Event::ForkFound { feed, fork_seq } => {
            warn!(feed = number(feed), fork_seq, "fork found");
        }
        Event::SessionProgress { received, sent, .. } => debug!(received, sent, "session"),
        Event::SessionDone { link, report } => session_done(*link, report),
        Event::Idle { more } => trace!(more, "idle"),
    }
}

/// A link could not be had.
pub(crate) fn not_met(fault: &LinkError) {
    warn!(%fault, "not met");
}

fn session_done(link: u64, report: &SessionReport) {
    info!(
        link,
        sent = report.sent,
        received = report.received,
        payloads = report.payloads,
        duplicates = report.duplicates,
        bytes_out = report.bytes_out,
        bytes_in = report.bytes_in,
        round_trips = report.round_trips,
        ending = %report.ending,
        "session ended"
    );
}

fn bundle_done(report: &Report) {
    let ending = report.ending.map(|fault| fault.to_string());
    info!(
        entries_new = report.entries_new,
        payloads_new = report.payloads_new,
        known = report.known,
        left_out = report.left_out,
        refused = report.refused,
        unknown = report.unknown,
        forks = report.forks,
        maker = report.maker.map(|maker| number(&maker)),
        ending,
        "bundle read"
    );
}

/// A number for a feed that is the same within one run, and says nothing in another.
fn number(feed: &FeedId) -> u64 {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    KEY.get_or_init(RandomState::new).hash_one(feed.as_bytes()) % 1_000_000
}

fn millis(begun: Instant) -> u128 {
    begun.elapsed().as_millis()
}
