//! `audit`: what somebody else learns from this home, found out with the home itself.
//!
//! A carrier is shown what the entries show without any key. A stranger is a fresh node that meets a
//! copy of this one in memory. The finder of a stick reads a bundle with no secret. The thief reads
//! the files of the home as they lie on the disk. Who listens gets every byte that two links send.
//! What is printed is what they have afterwards; the words beside it say why it is so.

mod known;
mod radio;
#[path = "audit/search.rs"]
mod search;
mod stick;
mod stranger;
mod thief;

use std::collections::BTreeMap;

use thistle_engine::{Reader, Shown, ids};

use crate::args::{self, Role};
use crate::context::Context;
use crate::outcome::{CliError, Kind};
use crate::text;
use crate::view::Fields;
use crate::when;

/// Things of one sort that are named to a person; JSON has all.
const NAMED: usize = 6;

/// Something that was learned.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    learned: &'static str,
    count: u64,
    /// How many were looked for, if something was.
    of: Option<u64>,
    what: Vec<String>,
    /// Whether the design leaves it open; else the user did.
    residual: bool,
    why: &'static str,
}

impl Fact {
    fn new(learned: &'static str, count: u64, residual: bool, why: &'static str) -> Self {
        Self { learned, count, of: None, what: Vec::new(), residual, why }
    }

    fn with(self, what: impl IntoIterator<Item = String>) -> Self {
        Self { what: what.into_iter().collect(), ..self }
    }

    /// The fact, unless there is nothing of the sort.
    fn if_any(self) -> Option<Self> {
        (self.count > 0).then_some(self)
    }
}

/// `audit`.
pub(crate) fn run(ctx: &mut Context, args: &args::Audit) -> Result<u8, CliError> {
    if args.path.is_some() && args.role != Role::StickFinder {
        return Err(CliError::new(Kind::Usage, "only the finder of a stick has a `--path`"));
    }
    let facts = match args.role {
        Role::PassiveRadio => radio::facts(ctx)?,
        Role::Stranger => stranger::facts(ctx)?,
        Role::Carrier => carrier(&ctx.tidy_reader()?).map_err(|error| ctx.host.fault(&error))?,
        Role::StickFinder => stick::facts(ctx, args.path.as_deref())?,
        Role::Thief => thief::facts(ctx)?,
    };
    for fact in &facts {
        tell(ctx, word(args.role), fact)?;
    }
    Ok(0)
}

const fn word(role: Role) -> &'static str {
    match role {
        Role::PassiveRadio => "passive-radio",
        Role::Stranger => "stranger",
        Role::Carrier => "carrier",
        Role::StickFinder => "stick-finder",
        Role::Thief => "thief",
    }
}

fn tell(ctx: &mut Context, role: &str, fact: &Fact) -> Result<(), CliError> {
    if ctx.json() {
        let fields = Fields::default()
            .with("role", role)
            .with("learned", fact.learned)
            .with("count", fact.count)
            .with("of", fact.of)
            .with("what", fact.what.clone())
            .with("residual", fact.residual)
            .with("why", fact.why);
        return ctx.streams.object(&fields);
    }
    let count = when::count(fact.count);
    let of = fact.of.map(|of| format!(" of {}", when::count(of))).unwrap_or_default();
    let mark = if fact.residual { " (residual)" } else { "" };
    ctx.streams.line(&format!("{}: {count}{of}{mark}", fact.learned))?;
    for what in fact.what.iter().take(NAMED) {
        ctx.streams.line(&format!("    {}", text::safe(what)))?;
    }
    if fact.what.len() > NAMED {
        let more = when::count((fact.what.len() - NAMED) as u64);
        ctx.streams.line(&format!("    and {more} more"))?;
    }
    ctx.streams.line(&format!("    {}", fact.why))
}

// ---- carrier ----

fn carrier(reader: &Reader) -> Result<Vec<Fact>, thistle_engine::StoreError> {
    let mut facts = shown(&reader.shown(true)?);
    let others = reader.shown(false)?;
    let feeds = others.feeds.iter().map(ids::feed_text);
    facts.push(
        Fact::new(
            "feeds-of-others",
            others.feeds.len() as u64,
            true,
            "whatever a home carries it gives to anybody, so what it carries is open too; feeds that \
             only some may carry are not among them",
        )
        .with(feeds),
    );
    Ok(facts)
}

/// What feeds show to whoever has their entries.
fn shown(shown: &Shown) -> Vec<Fact> {
    let feeds = shown.feeds.iter().map(ids::feed_text);
    let accounts = shown.accounts.iter().map(ids::account_text);
    let chains = [
        Fact::new(
            "feeds",
            shown.feeds.len() as u64,
            true,
            "a feed is a public chain, or nobody could carry it for others",
        )
        .with(feeds),
        Fact::new(
            "accounts",
            shown.accounts.len() as u64,
            true,
            "certificates are public, so which feeds are of one person is open",
        )
        .with(accounts),
        Fact::new(
            "entries",
            shown.entries,
            true,
            "that a feed grows is open, and when each entry came to whoever looks; entries have no \
             time of their own",
        )
        .with([when::bytes(shown.bytes)]),
    ];
    chains
        .into_iter()
        .chain(sealed(shown))
        .chain(published(shown))
        .filter_map(Fact::if_any)
        .collect()
}

/// What private messages show.
fn sealed(shown: &Shown) -> Vec<Fact> {
    let classes = |counts: &BTreeMap<u64, u64>, of: &str| -> Vec<String> {
        let class = |(size, count): (&u64, &u64)| format!("{} of {size} {of}", when::count(*count));
        counts.iter().map(class).collect()
    };
    vec![
        Fact::new(
            "prekeys",
            shown.prekeys,
            true,
            "a device that can be written to in private publishes keys for it",
        ),
        Fact::new(
            "epochs",
            shown.epochs.values().sum(),
            true,
            "how many slots begin an audience is open: 4 for up to 4 devices, then multiples of 13; \
             for whom they are, and which are filled up, is not",
        )
        .with(classes(&shown.epochs, "slots")),
        Fact::new(
            "sealed-messages",
            shown.sealed.values().sum(),
            true,
            "their number and the classes of their lengths; not the texts, nor to whom they go, nor \
             which of them go to the same people",
        )
        .with(classes(&shown.sealed, "bytes")),
        Fact::new(
            "retracted",
            shown.retracted,
            true,
            "that something was taken back is public, so that everybody drops it",
        ),
        Fact::new("device-statements", shown.devices, true, "which devices a person has is public"),
    ]
}

/// What was made public.
fn published(shown: &Shown) -> Vec<Fact> {
    let public = |learned, count: usize, why| Fact::new(learned, count as u64, false, why);
    let relations = shown.relations.iter().map(ids::feed_text);
    vec![
        Fact::new(
            "public-messages",
            shown.posts,
            false,
            "messages without `--to` are for everybody",
        ),
        public("channels", shown.channels.len(), "channels are public")
            .with(shown.channels.clone()),
        public("names", shown.names.len(), "the name goes out with the first public message")
            .with(shown.names.clone()),
        public("imported-authors", shown.authors.len(), "imported messages name their authors")
            .with(shown.authors.clone()),
        public("public-follows", shown.relations.len(), "`follow --public` says so to everybody")
            .with(relations),
        Fact::new(
            "public-receipts",
            shown.receipts,
            false,
            "receipts of public messages are public",
        ),
        Fact::new(
            "expiring",
            shown.expiring,
            false,
            "how long an entry is to be kept is said in it",
        ),
    ]
}
