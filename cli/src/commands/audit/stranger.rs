//! The stranger: a fresh node that dials a copy of this home, in memory, and takes what it gets.

use thistle_engine::account::{AccountKey, Phrase};
use thistle_engine::content::Carry;
use thistle_engine::key::Seed;
use thistle_engine::time::Now;
use thistle_engine::{
    Event, InMemoryBackend, Input, Node, Output, SessionEnding, Setup, SharedMemory, StoreError,
};

use crate::commands::audit::known::{Known, Sort};
use crate::commands::audit::{Fact, search, shown};
use crate::context::Context;
use crate::home;
use crate::outcome::{CliError, Kind};
use crate::when;

/// Memory that each of the two stores may use to keep pages.
const CACHE_BYTES: usize = 8 << 20;
/// Bytes of payloads and headers beyond which a home is not copied into memory.
const MOST_BYTES: u64 = 1 << 30;
/// Turns after which a session that goes on is given up; each carries a flight of entries.
const TURNS: usize = 1_000_000;
const LINK: u64 = 1;

/// What a stranger has after a meeting.
pub(super) fn facts(ctx: &mut Context) -> Result<Vec<Fact>, CliError> {
    let reader = ctx.tidy_reader()?;
    let fault = |error: StoreError| ctx.host.fault(&error);
    let bytes: u64 = reader.status().map_err(fault)?.usage.iter().map(|usage| usage.1).sum();
    if bytes > MOST_BYTES {
        let held = when::bytes(bytes);
        return Err(CliError::new(Kind::Input, format!("{held} are too much to be met in memory"))
            .hint("`--as carrier` shows the same of what anybody may carry"));
    }
    let known = Known::of(&reader).map_err(fault)?;
    let disk = SharedMemory::default();
    reader.twin(disk.clone(), CACHE_BYTES).map_err(fault)?;
    drop(reader);
    let seeds = [home::fresh_seed()?, home::fresh_seed()?, home::fresh_seed()?];
    let met = meet(disk, seeds, ctx.facts.now()).map_err(fault)?;
    let mut facts =
        shown(&met.stranger.reader().and_then(|reader| reader.shown(false)).map_err(fault)?);
    facts.push(Fact::new(
        "bytes",
        met.said.len() as u64,
        true,
        "how much a home says to somebody unknown, who can come again under another key",
    ));
    let why = "the session did not come to its end, so this is not all";
    facts.extend((!met.whole).then(|| Fact::new("cut-off", 1, false, why)));
    let found = [("the session".to_owned(), search::find(&met.said, &known.strings))];
    facts.extend(known.facts(&found, tell));
    Ok(facts)
}

const fn tell(sort: Sort, count: u64) -> (bool, &'static str) {
    match (count, sort) {
        (0, _) => (false, "none of them was said to the stranger"),
        (_, Sort::Ids) => {
            (true, "those of the feeds that anybody may carry; not those of contacts")
        }
        (_, Sort::PrivateTexts) => (false, "this should not be, please report it"),
        (_, _) => (false, "what was published in open feeds, by you or by those whom you carry"),
    }
}

/// What came of a meeting.
struct Met {
    stranger: Node,
    /// All that the home said.
    said: Vec<u8>,
    whole: bool,
}

/// Lets somebody unknown dial the home on a disk.
fn meet(disk: SharedMemory, seeds: [Seed; 3], now: Now) -> Result<Met, StoreError> {
    let [home_seed, seed, phrase] = seeds;
    let binding = *home_seed.expose();
    let home = Node::open(disk, home_seed, CACHE_BYTES, now)?;
    let account = AccountKey::from_phrase(&Phrase::from_entropy(&phrase));
    let setup = Setup { carry: Carry::Open, name: None, cache_bytes: CACHE_BYTES };
    let stranger = Node::create(InMemoryBackend::new(), &account, setup, seed, now)?;
    // The first is the stranger, who dials.
    let (mut nodes, mut said) = ([stranger, home], Vec::new());
    for (side, node) in nodes.iter_mut().enumerate() {
        let peer = [u8::try_from(side).unwrap_or(0) + 1; 32];
        let (opener, binding) = (side == 0, &binding);
        let input =
            Input::LinkOpened { link: LINK, opener, peer, binding, known: false, via: "audit" };
        node.handle(now, input)?;
    }
    let (mut endings, mut now) = ([None; 2], now);
    for turn in 0..TURNS {
        let (side, [stranger, home]) = (turn % 2, &mut nodes);
        let (here, there) = if side == 0 { (stranger, home) } else { (home, stranger) };
        let heard = listen(here, now)?;
        if !heard.bytes.is_empty() {
            there.handle(now, Input::LinkBytes { link: LINK, bytes: &heard.bytes })?;
            if side == 1 {
                said.extend(&heard.bytes);
            }
        }
        endings[side] = endings[side].or(heard.ending);
        if heard.closes || heard.ending.is_some() {
            there.handle(now, Input::LinkClosed { link: LINK })?;
        }
        if endings.iter().all(Option::is_some) {
            break;
        }
        // What is staged is committed in a while.
        now.tick += 50;
        there.handle(now, Input::Idle)?;
    }
    let whole = endings.iter().all(|ending| *ending == Some(SessionEnding::Done));
    let [stranger, _home] = nodes;
    Ok(Met { stranger, said, whole })
}

/// What a node says at a turn.
#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    closes: bool,
    ending: Option<SessionEnding>,
}

fn listen(node: &mut Node, now: Now) -> Result<Heard, StoreError> {
    let mut heard = Heard::default();
    while let Some(output) = node.poll() {
        match output {
            Output::Send { bytes, .. } => {
                heard.bytes.extend(bytes);
                node.handle(now, Input::LinkReady { link: LINK })?;
            }
            Output::Close { .. } => heard.closes = true,
            Output::Event(Event::SessionDone { report, .. }) => heard.ending = Some(report.ending),
            Output::Event(_) => {}
        }
    }
    Ok(heard)
}
