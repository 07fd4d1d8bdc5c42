//! What is printed of entries, feeds and the home: lines for people, fields for programs.
//!
//! Everything that others wrote is made safe here before it is part of a line. Colours only repeat
//! what the words say.

use std::path::Path;

use jiff::tz::TimeZone;
use thistle_engine::content::{Content, Verb};
use thistle_engine::key::FeedId;
use thistle_engine::policy::CarryClass;
use thistle_engine::{FeedInfo, Held, Hit, Me, Received, Status, ids};

use crate::context::Streams;
use crate::facts::Facts;
use crate::names::People;
use crate::outcome::CliError;
use crate::text;
use crate::view::{self, Fields};
use crate::when;

/// How far texts stand in.
const INDENT: usize = 2;
/// The widest column of names.
const NAME_COLUMNS: usize = 28;
/// The way of entries that were written here.
const OWN_WAY: &str = "own";

/// Dresses words up, where the terminal may be coloured.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, code: &str, words: &str) -> String {
        if self.0 && !words.is_empty() {
            format!("\u{1b}[{code}m{words}\u{1b}[0m")
        } else {
            words.to_owned()
        }
    }

    fn bold(self, words: &str) -> String {
        self.with("1", words)
    }

    fn dim(self, words: &str) -> String {
        self.with("2", words)
    }
}

// ---- Entries ----

/// An entry as `query --json` prints it.
pub(crate) fn hit_fields(hit: &Hit, people: &People) -> Fields {
    let Hit { held, content, received, lamport } = hit;
    let post = content.as_ref().and_then(view::post_of);
    let at = received.as_ref().and_then(|by| when::rfc3339(by.wall / 1000, &TimeZone::UTC));
    let mut fields = Fields::default()
        .with("feed", ids::feed_text(&held.feed))
        .with("seq", held.seq)
        .with("id", ids::entry_text(held.id.as_bytes()))
        .with("name", people.name(&held.feed))
        .with("author", post.and_then(|post| post.author.clone()))
        .with("type", view::kind(held, content.as_ref()))
        .with("time", content.as_ref().and_then(view::time_of))
        .with("channel", post.and_then(|post| post.channel.clone()))
        .with("text", post.map(|post| post.text.clone()))
        .with("received_at", at)
        .with("via", received.as_ref().map(|by| by.via.clone()))
        .with("lamport", *lamport)
        .with("parents", post.map(view::parents))
        .with("ttl", held.ttl)
        .with("state", view::state(held));
    if held.branch > 0 {
        fields = fields.with("branch", held.branch);
    }
    match content {
        Some(content) if post.is_none() => {
            let said = serde_json::to_value(view::said(content)).unwrap_or_default();
            fields.with("content", said)
        }
        _ => fields,
    }
}

/// Prints an entry for a person.
pub(crate) fn hit(
    hit: &Hit,
    people: &People,
    facts: &Facts,
    streams: &mut Streams,
) -> Result<(), CliError> {
    let Hit { held, content, received, .. } = hit;
    let (paint, zone) = (Paint(facts.colour), facts.zone());
    let post = content.as_ref().and_then(view::post_of);
    let label = people.label(&held.feed);
    let who = match post.and_then(|post| post.author.as_deref()).map(text::safe) {
        Some(author) if author == label => format!("{} (imported)", paint.bold(&label)),
        Some(author) if !author.is_empty() => {
            format!("{}, imported by {label}", paint.bold(&author))
        }
        _ => paint.bold(&label),
    };
    let mut parts = vec![who];
    if let Some(channel) = post.and_then(|post| post.channel.as_deref()) {
        parts.push(format!("#{}", text::safe(channel)));
    }
    if let Some(time) = content.as_ref().and_then(view::time_of) {
        parts.push(when::shown(time, &zone));
    }
    let id = ids::entry_text(held.id.as_bytes());
    parts.push(paint.dim(ids::short(&id)));
    streams.line(&parts.join("  "))?;
    let words = text::safe_block(&words(held, content.as_ref(), people));
    streams.line(&text::wrap(words.trim_end(), facts.columns, INDENT))?;
    let way = way(received.as_ref(), &zone);
    streams.line(&paint.dim(&text::wrap(&way, facts.columns, INDENT)))?;
    streams.line("")
}

/// What an entry says, in words; not safe yet.
fn words(held: &Held, content: Option<&Content>, people: &People) -> String {
    let Some(content) = content else {
        return match held.payload {
            Some(_) => "(this cannot be read)".to_owned(),
            None => format!("({})", view::state(held)),
        };
    };
    match content {
        Content::Post(post) | Content::Reply(post) => post.text.clone(),
        Content::Profile(profile) if profile.about.is_empty() => {
            format!("is called {}", text::safe(&profile.name))
        }
        Content::Profile(profile) => {
            format!("is called {}: {}", text::safe(&profile.name), profile.about)
        }
        Content::Relation(relation) => {
            format!("{}: {}", view::relation_word(relation.state), people.label(&relation.feed))
        }
        Content::Certificate(certificate) => {
            format!("is a feed of {}", ids::account_text(&certificate.account))
        }
        Content::Successor(successor) => {
            format!("goes on for the feed {}", ids::feed_text(&successor.retired))
        }
        Content::Device(statement) => {
            let verb = match statement.verb {
                Verb::Add => "is a device of the account",
                Verb::Revoke => "is a device of the account no longer",
            };
            format!("{} {verb}", ids::feed_text(&statement.feed))
        }
        Content::Receipt(receipt) => format!("has received {} ranges", receipt.entries.len()),
        Content::Retraction(ranges) => {
            let range = |(first, last): &(u64, u64)| {
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            };
            let ranges: Vec<String> = ranges.as_slice().iter().map(range).collect();
            format!("takes back {}", ranges.join(", "))
        }
        Content::Prekey(_) => "(a key to write to this device)".to_owned(),
        Content::Part(_) => "(begins private messages)".to_owned(),
        Content::Sealed(_) => "(a private message)".to_owned(),
        Content::Unknown { kind } => format!("(of a type that a newer thistle shows: {kind})"),
    }
}

/// When and how an entry came, in safe words.
fn way(received: Option<&Received>, zone: &TimeZone) -> String {
    let Some(received) = received else { return "arrived, not said how".to_owned() };
    let time = when::shown(received.wall / 1000, zone);
    if received.via == OWN_WAY {
        format!("written here {time}")
    } else {
        format!("arrived {time} by {}", text::safe(&received.via))
    }
}

// ---- Feeds ----

/// A feed as `feeds --json` prints it.
pub(crate) fn feed_fields(info: &FeedInfo, people: &People) -> Fields {
    Fields::default()
        .with("feed", ids::feed_text(&info.feed))
        .with("name", people.name(&info.feed))
        .with("held", info.held)
        .with("class", info.class.name())
        .with("bytes", info.bytes)
        .with("petname", info.petname.clone())
        .with("account", info.account.map(|account| ids::account_text(&account)))
        .with("head", info.head)
        .with("floor", info.floor)
        .with("gaps", info.gaps.iter().map(|(a, b)| vec![*a, *b]).collect::<Vec<_>>())
        .with("missing_payloads", info.missing_payloads)
        .with("own", info.own)
        .with("followed", info.followed)
        .with("blocked", info.blocked)
        .with("retired", info.retired)
        .with("forked", info.forked)
        .with("branch_entries", info.branch_entries)
        .with("confirmed", info.confirmed)
        .with("revoked", info.revoked)
        .with("successor_of", info.successor_of.map(|feed| ids::feed_text(&feed)))
}

/// Prints all feeds for a person.
pub(crate) fn feeds(people: &People, facts: &Facts, streams: &mut Streams) -> Result<(), CliError> {
    let paint = Paint(facts.colour);
    let labels: Vec<String> = people
        .feeds()
        .iter()
        .map(|info| text::fit(&people.label(&info.feed), NAME_COLUMNS))
        .collect();
    let columns = labels.iter().map(|label| text::width(label)).max().unwrap_or(0);
    let columns = columns.max("name".len());
    streams.line(&paint.dim(&format!(
        "{:<columns$}  {:<8}  {:<8} {:>9}  {:>10}",
        "name", "id", "class", "entries", "size"
    )))?;
    for (info, label) in people.feeds().iter().zip(&labels) {
        let id = ids::feed_text(&info.feed);
        let gap = " ".repeat(columns - text::width(label));
        let line = format!(
            "{}{gap}  {}  {:<8} {:>9}  {:>10}  {}",
            paint.bold(label),
            ids::short(&id),
            info.class.name(),
            when::count(info.held),
            when::bytes(info.bytes),
            remarks(info).join(", ")
        );
        streams.line(line.trim_end())?;
    }
    Ok(())
}

fn remarks(info: &FeedInfo) -> Vec<String> {
    let mut remarks = Vec::new();
    let mut say = |is: bool, what: &str| {
        if is {
            remarks.push(what.to_owned());
        }
    };
    say(info.blocked, "blocked");
    say(info.retired, "ended");
    say(info.revoked, "revoked by its account");
    say(info.successor_of.is_some() && !info.confirmed, "unconfirmed successor");
    if let Some(seq) = info.forked {
        remarks.push(format!("forked at {}", when::count(seq)));
    }
    if !info.gaps.is_empty() {
        let missing: u64 = info.gaps.iter().map(|(first, last)| last - first + 1).sum();
        remarks.push(format!("{} missing", when::count(missing)));
    }
    if info.missing_payloads > 0 {
        remarks.push(format!("{} texts missing", when::count(info.missing_payloads)));
    }
    remarks
}

// ---- The home ----

/// Percent of a quota from which on it is nearly full.
const NEARLY_FULL: u64 = 90;

/// How much of a quota is used, in percent.
pub(crate) fn percent(bytes: u64, quota: Option<u64>) -> Option<u64> {
    let quota = u128::from(quota?);
    let percent = u128::from(bytes) * 100 / quota.max(1);
    Some(u64::try_from(percent).unwrap_or(u64::MAX))
}

/// What goes first when a class has no room left, if that is soon.
pub(crate) fn goes_first(
    class: CarryClass,
    bytes: u64,
    quota: Option<u64>,
) -> Option<&'static str> {
    if percent(bytes, quota)? < NEARLY_FULL {
        return None;
    }
    Some(match class {
        CarryClass::Stranger => "the oldest texts of whoever brought most go first",
        _ => "the oldest texts of the feeds that came first go first",
    })
}

/// Something that left the home or was kept out.
struct Reason {
    count: u64,
    name: &'static str,
    one: &'static str,
    several: &'static str,
    why: &'static str,
}

/// What left the home or was kept out since it was made.
fn reasons(status: &Status) -> Vec<Reason> {
    let counts = &status.counts;
    let reason = |count, name, (one, several), why| Reason { count, name, one, several, why };
    let entries = ("entry", "entries");
    let all = [
        reason(counts.expired, "expired", ("text expired", "texts expired"), "the time was over"),
        reason(
            counts.retracted,
            "retracted",
            ("text retracted", "texts retracted"),
            "taken back by the author",
        ),
        reason(status.deleted, "deleted", ("text deleted", "texts deleted"), "you deleted it here"),
        reason(
            counts.evicted_entries,
            "evicted_entries",
            ("entry or text evicted", "entries or texts evicted"),
            "a quota was full",
        ),
        reason(counts.left_out_entries, "left_out_entries", entries, "no room within a quota"),
        reason(counts.blocked_entries, "blocked_entries", entries, "the feed is blocked"),
        reason(
            counts.refused,
            "refused",
            ("piece of a bundle", "pieces of bundles"),
            "wrong, and refused",
        ),
    ];
    all.into_iter().filter(|reason| reason.count > 0).collect()
}

/// The home as `status --json` prints it.
pub(crate) fn status_fields(me: &Me, status: &Status, left_out: &[(FeedId, u64)]) -> Fields {
    let counts = &status.counts;
    let usage = status.usage.iter().map(|(class, bytes, quota)| {
        serde_json::json!({
            "class": class.name(), "bytes": bytes, "quota": quota,
            "percent": percent(*bytes, *quota), "goes_first": goes_first(*class, *bytes, *quota),
        })
    });
    let left = left_out
        .iter()
        .map(|(feed, last)| serde_json::json!({"feed": ids::feed_text(feed), "up_to": last}));
    let why = reasons(status).into_iter().map(|why| (why.name.to_owned(), why.why.into()));
    Fields::default()
        .with("feed", ids::feed_text(&me.feed))
        .with("account", ids::account_text(&me.account))
        .with("confirmed", me.confirmed)
        .with("carry", view::carry_word(me.carry))
        .with("feeds", status.feeds)
        .with("entries", status.entries)
        .with("missing_payloads", status.missing_payloads)
        .with("usage", usage.collect::<Vec<_>>())
        .with("expired", counts.expired)
        .with("retracted", counts.retracted)
        .with("deleted", status.deleted)
        .with("evicted_entries", counts.evicted_entries)
        .with("evicted_bytes", counts.evicted_bytes)
        .with("left_out_entries", counts.left_out_entries)
        .with("left_out_feeds", left.collect::<Vec<_>>())
        .with("blocked_entries", counts.blocked_entries)
        .with("refused", counts.refused)
        .with("why", why.collect::<serde_json::Map<_, _>>())
        .with("forks", counts.forks)
        .with("log_position", status.log_position)
        .with("indexed", status.indexed)
        .with("known_minutes", status.known_minutes)
}

/// Prints how the home is for a person.
pub(crate) fn status(
    me: &Me,
    status: &Status,
    left_out: &[(FeedId, u64)],
    home: &Path,
    streams: &mut Streams,
) -> Result<(), CliError> {
    streams.line(&format!("Home     {}", text::safe(&home.to_string_lossy())))?;
    streams.line(&format!("Account  {}", ids::account_text(&me.account)))?;
    let feed = ids::feed_text(&me.feed);
    let unconfirmed = if me.confirmed { "" } else { " (unconfirmed: run `thistle confirm`)" };
    streams.line(&format!("Feed     {feed}{unconfirmed}"))?;
    streams.line(&format!(
        "Holds    {} of {}",
        when::entries(status.entries),
        when::feeds(status.feeds)
    ))?;
    for (class, bytes, quota) in status.usage.iter().filter(|usage| usage.1 > 0) {
        streams.line(&used(*class, *bytes, *quota))?;
        if let Some(first) = goes_first(*class, *bytes, *quota) {
            let name = class.name();
            streams.line(&format!(
                "         nearly full: {first}; `thistle quota {name} SIZE` gives room"
            ))?;
        }
    }
    if status.missing_payloads > 0 {
        let missing = when::counted(status.missing_payloads, "text", "texts");
        streams.line(&format!("Missing  {missing}, and wanted"))?;
    }
    left(status, left_out, streams)
}

/// How much a class takes of what it may.
fn used(class: CarryClass, bytes: u64, quota: Option<u64>) -> String {
    let of = quota.map_or_else(String::new, |quota| format!(" of {}", when::bytes(quota)));
    let percent = percent(bytes, quota).map_or_else(String::new, |part| format!(", {part} %"));
    format!("         {}: {}{of}{percent}", class.name(), when::bytes(bytes))
}

/// Prints what left or was kept out since the home was made, and why.
fn left(
    status: &Status,
    left_out: &[(FeedId, u64)],
    streams: &mut Streams,
) -> Result<(), CliError> {
    for (at, reason) in reasons(status).into_iter().enumerate() {
        let head = if at == 0 { "Not kept" } else { "" };
        let bytes = match reason.name {
            "evicted_entries" => format!(" ({})", when::bytes(status.counts.evicted_bytes)),
            _ => String::new(),
        };
        let what = when::counted(reason.count, reason.one, reason.several);
        streams.line(&format!("{head:<8} {what}{bytes}: {}", reason.why))?;
    }
    if status.counts.forks > 0 {
        let forks = when::feeds(status.counts.forks);
        streams.line(&format!("Forked   {forks} found to be continued in two ways"))?;
    }
    if !left_out.is_empty() {
        streams.line(&format!(
            "Left out {} of strangers; `thistle quota stranger SIZE` gives room",
            when::feeds(left_out.len() as u64)
        ))?;
    }
    Ok(())
}
