//! Who is who: names for feeds in output, and feeds and entries for what was typed.
//!
//! A feed is called what the user calls it, else what it calls itself. Where the name alone could
//! mean another, its short id stands beside it. What is typed is never guessed: `pick.rs` refuses
//! what fits more than one.

use std::collections::BTreeMap;

use thistle_engine::entry::EntryId;
use thistle_engine::ids::{self, Id, IdFault, IdKind, IdQuery};
use thistle_engine::key::{AccountId, FeedId};
use thistle_engine::{FeedInfo, Held, Reader, StoreError};

use crate::outcome::{CliError, Kind};
use crate::pick::{self, Candidate};

/// The feeds that a home knows of, and what they are called.
#[derive(Debug)]
pub(crate) struct People {
    feeds: Vec<FeedInfo>,
    called: BTreeMap<FeedId, Called>,
}

/// What a feed is called.
#[derive(Debug)]
struct Called {
    /// As it was given, raw.
    name: Option<String>,
    /// As output says it.
    label: String,
}

/// An entry that was found by what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its id.
    pub(crate) id: EntryId,
    /// Whose it is.
    pub(crate) feed: FeedId,
    /// Where in the feed.
    pub(crate) seq: u64,
}

impl People {
    /// Learns who is known.
    pub(crate) fn of(reader: &Reader) -> Result<Self, StoreError> {
        let feeds = reader.feeds()?;
        let names: Vec<&str> = feeds.iter().map(|feed| name_of(feed).unwrap_or_default()).collect();
        let shared = pick::shared(&names);
        let called = |(feed, (name, shared)): (&FeedInfo, (&&str, bool))| {
            let id = ids::feed_text(&feed.feed);
            let label = pick::label(name, ids::short(&id), shared);
            (feed.feed, Called { name: name_of(feed).map(str::to_owned), label })
        };
        let called = feeds.iter().zip(names.iter().zip(shared)).map(called).collect();
        Ok(Self { feeds, called })
    }

    /// All feeds that are known.
    pub(crate) fn feeds(&self) -> &[FeedInfo] {
        &self.feeds
    }

    /// What a feed is called, raw.
    pub(crate) fn name(&self, feed: &FeedId) -> Option<&str> {
        self.called.get(feed)?.name.as_deref()
    }

    /// What output calls a feed; safe for a terminal.
    pub(crate) fn label(&self, feed: &FeedId) -> String {
        let short = || ids::short(&ids::feed_text(feed)).to_owned();
        self.called.get(feed).map_or_else(short, |called| called.label.clone())
    }

    /// The one feed that is meant.
    pub(crate) fn feed(&self, typed: &str) -> Result<FeedId, CliError> {
        match self.feeds_meant(typed)?.as_slice() {
            [one] => Ok(*one),
            several => {
                let mut error = CliError::new(
                    Kind::Input,
                    format!("the account `{typed}` has {} feeds here", several.len()),
                );
                for feed in several {
                    error = error.since(ids::feed_text(feed));
                }
                Err(error.hint("type the id of one of them"))
            }
        }
    }

    /// The feeds that are meant: one, or those of an account.
    pub(crate) fn feeds_meant(&self, typed: &str) -> Result<Vec<FeedId>, CliError> {
        match Id::parse(typed) {
            // A feed can be meant of which nothing has come yet.
            Ok(Id::Feed(feed)) => return Ok(vec![feed]),
            Err(fault @ IdFault::WrongChecksum) => {
                return Err(CliError::new(Kind::Input, format!("`{typed}` is not an id"))
                    .because(&fault)
                    .hint("copy it once more, whole"));
            }
            Ok(Id::Account(_) | Id::Entry(_) | Id::Node(_)) | Err(_) => {}
        }
        let candidates = self.candidates();
        let picked = pick::pick(typed, "feed", &candidates)?;
        match Id::parse(&picked.id) {
            Ok(Id::Feed(feed)) => Ok(vec![feed]),
            Ok(Id::Account(account)) => Ok(self.devices(&account)),
            Ok(Id::Entry(_) | Id::Node(_)) | Err(_) => {
                unreachable!("candidates are feeds and accounts")
            }
        }
    }

    fn devices(&self, account: &AccountId) -> Vec<FeedId> {
        let theirs = |info: &&FeedInfo| info.account == Some(*account);
        self.feeds.iter().filter(theirs).map(|info| info.feed).collect()
    }

    /// Feeds by id and name, accounts by id.
    fn candidates(&self) -> Vec<Candidate> {
        let candidate = |id: String, names: Vec<String>| {
            let short = ids::short(&id).to_owned();
            Candidate { id, short, names }
        };
        let feeds = self.feeds.iter().map(|info| {
            let names = info.petname.iter().chain(&info.name).cloned().collect();
            candidate(ids::feed_text(&info.feed), names)
        });
        let accounts = self.feeds.iter().filter_map(|info| info.account);
        let accounts = accounts.map(|account| candidate(ids::account_text(&account), Vec::new()));
        feeds.chain(accounts).collect()
    }
}

fn name_of(feed: &FeedInfo) -> Option<&str> {
    feed.petname.as_deref().or(feed.name.as_deref())
}

/// The one entry that is meant: by its id, or the beginning of it.
pub(crate) fn entry(
    reader: &Reader,
    typed: &str,
    fault: impl Fn(&StoreError) -> CliError,
) -> Result<Place, CliError> {
    let query = IdQuery::parse(IdKind::Entry, typed).map_err(|error| {
        CliError::new(Kind::Input, format!("`{typed}` names no entry"))
            .because(&error)
            .hint("`thistle query` shows the ids of entries")
    })?;
    let (first, last) = match query {
        IdQuery::Whole(Id::Entry(id)) => (id, id),
        IdQuery::Whole(Id::Feed(_) | Id::Account(_) | Id::Node(_)) => {
            unreachable!("an entry was asked for")
        }
        IdQuery::Span { first, last, .. } => (first, last),
    };
    let found = reader.find(first, last).map_err(|error| fault(&error))?;
    match found.as_slice() {
        [(id, feed, seq)] => Ok(Place { id: *id, feed: *feed, seq: *seq }),
        [] => Err(CliError::new(Kind::Input, format!("no entry here has the id `{typed}`"))
            .hint("`thistle query` shows the ids of entries")),
        several => {
            let error = CliError::new(Kind::Input, format!("`{typed}` could mean several entries"));
            let listed = several
                .iter()
                .take(8)
                .fold(error, |error, (id, ..)| error.since(ids::entry_text(id.as_bytes())));
            Err(listed.hint("type more characters of the id"))
        }
    }
}

/// The entry at a place, as it is held.
pub(crate) fn held(reader: &Reader, place: &Place) -> Result<Option<Held>, StoreError> {
    let mut found = None;
    reader.export(&place.feed, &mut |held| {
        if held.id == place.id {
            found = Some(held);
        }
        Ok(found.is_none())
    })?;
    Ok(found)
}
