//! Commands that add to the own feed: `write`, `retract`, `profile`, `confirm`.
//!
//! What they report is durable: the node answers after its commit.

use thistle_engine::account::AccountKey;
use thistle_engine::content::{Content, Post, PostView, Prefix, Profile, Ranges, parents_in_order};
use thistle_engine::entry::EntryId;
use thistle_engine::time::Now;
use thistle_engine::{Me, Node, Reader, StoreError, WriteError, Written, ids};

use crate::args;
use crate::commands::{contacts, init};
use crate::context::Context;
use crate::names::{self, Place};
use crate::outcome::{CliError, Kind};
use crate::text;
use crate::view::{self, Fields};
use crate::when;

/// Seconds by which messages that are written in a hurry may run ahead of the clock.
const HURRY: u64 = 60;
/// Most ranges that one retraction names.
const RANGES: usize = 64;
/// Longest "about" text.
const ABOUT_BYTES: usize = 1024;

/// `write`: a message.
pub(crate) fn write(ctx: &mut Context, args: &args::Write) -> Result<u8, CliError> {
    let text = match ctx.input.take() {
        // An editor and most programs end a text with a line break that nobody means.
        Some(input) => input.trim_end_matches(['\n', '\r']).to_owned(),
        None => args.text.join(" "),
    };
    if text.trim().is_empty() {
        return Err(CliError::new(Kind::Input, "there is nothing to write")
            .hint("give the text as an argument, or pipe it in"));
    }
    let ttl = args.ttl.as_deref().map_or(Ok(0), when::ttl)?;
    if let Some(to) = &args.to {
        return contacts::write(ctx, to, text, args.reply_to.as_deref(), ttl);
    }
    let reader = ctx.reader()?;
    let answered = match &args.reply_to {
        Some(typed) => Some(names::entry(&reader, typed, |error| ctx.host.fault(error))?),
        None => None,
    };
    let channel = match (&args.channel, &answered) {
        (Some(typed), _) => Some(channel(typed)?),
        (None, Some(place)) => {
            channel_of(&reader, place).map_err(|error| ctx.host.fault(&error))?
        }
        (None, None) => None,
    };
    let parents = parents(&reader, channel.as_deref(), answered.as_ref())
        .map_err(|error| ctx.host.fault(&error))?;
    let time =
        later(&reader, ctx.facts.now().wall / 1000).map_err(|error| ctx.host.fault(&error))?;
    let post = Post { time, channel, text, parents, author: None };
    let content = if answered.is_some() { Content::Reply(post) } else { Content::Post(post) };
    let written = append(ctx, content, ttl)?;
    report(ctx, &written)
}

/// The time to write: of several messages within one second each is a second after the one before,
/// so that everybody shows them in the order in which they were written.
pub(crate) fn later(reader: &Reader, now: u64) -> Result<u64, StoreError> {
    let last = reader.newest_own()?.and_then(|held| held.payload).and_then(|payload| {
        PostView::decode(&payload).filter(|post| post.author.is_none()).map(|post| post.time)
    });
    Ok(match last {
        Some(last) if (now..now.saturating_add(HURRY)).contains(&last) => last.saturating_add(1),
        _ => now,
    })
}

/// `profile`: how others see the person called.
pub(crate) fn profile(ctx: &mut Context, args: &args::Profile) -> Result<u8, CliError> {
    let name = init::checked_name(&args.name)?;
    if args.about.len() > ABOUT_BYTES {
        let found = args.about.len();
        return Err(CliError::new(
            Kind::Input,
            format!("the text about you has {found} bytes, the limit is {ABOUT_BYTES}"),
        ));
    }
    let time = ctx.facts.now().wall / 1000;
    let profile = Profile { time, name, about: args.about.clone() };
    let written = append(ctx, Content::Profile(profile), 0)?;
    report(ctx, &written)
}

/// `confirm`: the account's word that this device's feed is its own.
pub(crate) fn confirm(ctx: &mut Context) -> Result<u8, CliError> {
    let phrase = zeroize::Zeroizing::new(ctx.input.take().unwrap_or_default());
    let me = ctx.reader()?.me().map_err(|error| ctx.host.fault(&error))?;
    let account = account_key(&phrase, &me)?;
    let signer = account_key(&phrase, &me)?;
    ctx.act(move |node, now| node.make_card(now, &signer))?;
    if me.confirmed {
        if ctx.json() {
            let fields = Fields::default().with("feed", ids::feed_text(&me.feed));
            ctx.streams.object(&fields.with("confirmed", true))?;
        } else {
            ctx.streams.line("This feed is confirmed already.")?;
        }
        return Ok(0);
    }
    let written = own(ctx, move |node, now| node.confirm(now, &account))?;
    report(ctx, &written)
}

/// The key of this home's account, from its phrase.
pub(crate) fn account_key(phrase: &str, me: &Me) -> Result<AccountKey, CliError> {
    let account = AccountKey::from_phrase(&init::read_phrase(phrase)?);
    if account.id() == me.account {
        return Ok(account);
    }
    Err(CliError::new(Kind::Input, "this is the phrase of another account")
        .since(format!("this home's account is {}", ids::account_text(&me.account)))
        .hint("find the phrase that `thistle init` showed for this account"))
}

/// `retract`: takes entries back.
pub(crate) fn retract(ctx: &mut Context, args: &args::Retract) -> Result<u8, CliError> {
    let reader = ctx.reader()?;
    let me = reader.me().map_err(|error| ctx.host.fault(&error))?.feed;
    let feeds = reader.feeds().map_err(|error| ctx.host.fault(&error))?;
    let head = feeds.iter().find(|info| info.feed == me).map_or(0, |info| info.head);
    let mut spans = Vec::new();
    for typed in &args.entries {
        let span = if let Some(span) = seqs(typed) {
            span
        } else {
            let place = names::entry(&reader, typed, |error| ctx.host.fault(error))?;
            if place.feed != me {
                return Err(CliError::new(
                    Kind::Input,
                    format!("the entry `{typed}` is not of your feed"),
                )
                .hint("only its author can take an entry back; `thistle block` drops a feed"));
            }
            (place.seq, place.seq)
        };
        check_span(typed, span, head)?;
        spans.push(span);
    }
    let spans = merged(spans);
    let mut last = None;
    for some in spans.chunks(RANGES) {
        let ranges = Ranges::new(some.to_vec())
            .unwrap_or_else(|| unreachable!("merged spans ascend and are apart"));
        last = Some(append(ctx, Content::Retraction(ranges), 0)?);
    }
    match last {
        Some(written) if ctx.json() => report(ctx, &written),
        Some(written) => {
            let (seq, id) = (written.seq, ids::entry_text(written.id.as_bytes()));
            ctx.streams.line(&format!("Taken back, by entry {seq} of your feed: {id}"))?;
            Ok(0)
        }
        None => Ok(0),
    }
}

/// `delete`.
pub(crate) fn delete(ctx: &mut Context, args: &args::Delete) -> Result<u8, CliError> {
    let reader = ctx.reader()?;
    let mut entries = Vec::new();
    for typed in &args.entries {
        let place = names::entry(&reader, typed, |error| ctx.host.fault(error))?;
        entries.push((place.feed, place.seq));
    }
    drop(reader);
    entries.sort_unstable();
    entries.dedup();
    let asked = entries.len() as u64;
    let gone = ctx.act(move |node, now| node.delete(now, &entries))?;
    if gone < asked {
        return Err(CliError::new(
            Kind::Input,
            format!("{} of {} were deleted", when::count(gone), when::count(asked)),
        )
        .since("the others hold their feed together and have to stay")
        .hint("`thistle block` drops a whole feed"));
    }
    if ctx.json() {
        ctx.streams.object(&Fields::default().with("deleted", gone))?;
    } else {
        let what = if gone == 1 { "entry" } else { "entries" };
        ctx.streams.line(&format!("Deleted here: {} {what}.", when::count(gone)))?;
    }
    Ok(0)
}

fn check_span(typed: &str, (first, last): (u64, u64), head: u64) -> Result<(), CliError> {
    let fault = |why: &str| {
        CliError::new(Kind::Input, format!("`{typed}` cannot be taken back")).since(why.to_owned())
    };
    if first > last {
        Err(fault("the first number is larger than the second"))
    } else if first <= 1 {
        Err(fault("entry 1 holds the feed together"))
    } else if last > head {
        Err(fault(&format!("your feed has {} entries", when::count(head))))
    } else {
        Ok(())
    }
}

/// Reads `7` or `7-9`.
fn seqs(typed: &str) -> Option<(u64, u64)> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    match typed.split_once('-') {
        Some((first, last)) => Some((number(first)?, number(last)?)),
        None => number(typed).map(|seq| (seq, seq)),
    }
}

/// Sorts spans and joins those that touch.
fn merged(mut spans: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    spans.sort_unstable();
    let mut apart: Vec<(u64, u64)> = Vec::new();
    for (first, last) in spans {
        match apart.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => apart.push((first, last)),
        }
    }
    apart
}

/// Reads the name of a channel.
pub(crate) fn channel(typed: &str) -> Result<String, CliError> {
    text::name(typed).map_err(|fault| {
        CliError::new(Kind::Input, "this cannot be the name of a channel").because(&fault)
    })
}

/// The channel that an entry belongs to, so that an answer to it stays there.
fn channel_of(reader: &Reader, place: &Place) -> Result<Option<String>, StoreError> {
    let held = names::held(reader, place)?;
    let payload = held.and_then(|held| held.payload);
    let content = payload.and_then(|payload| Content::decode(&payload).ok());
    Ok(content.as_ref().and_then(view::post_of).and_then(|post| post.channel.clone()))
}

/// What the new entry comes after: the entry it answers, then what nobody has answered yet.
fn parents(
    reader: &Reader,
    channel: Option<&str>,
    answered: Option<&Place>,
) -> Result<Vec<Prefix>, StoreError> {
    let heads = channel.map_or_else(|| Ok(Vec::new()), |channel| reader.channel_heads(channel))?;
    let heads = heads.iter().map(EntryId::prefix).collect();
    Ok(parents_in_order(answered.map(|place| place.id.prefix()), heads))
}

/// Appends one entry to the own feed.
pub(crate) fn append(ctx: &mut Context, content: Content, ttl: u32) -> Result<Written, CliError> {
    own(ctx, move |node, now| node.write(now, &content, ttl))
}

/// Does something that writes an own entry.
pub(crate) fn own(
    ctx: &mut Context,
    step: impl FnOnce(&mut Node, Now) -> Result<Written, WriteError> + Send + 'static,
) -> Result<Written, CliError> {
    ctx.act(move |node, now| told_apart(step(node, now)))?.map_err(|error| refused(&error))
}

/// Parts what the disk did from what cannot be written: only the first breaks the node.
pub(crate) fn told_apart<T>(
    done: Result<T, WriteError>,
) -> Result<Result<T, WriteError>, StoreError> {
    match done {
        Err(WriteError::Store(error)) => Err(error),
        other => Ok(other),
    }
}

/// Says why an entry cannot be written.
pub(crate) fn refused(error: &WriteError) -> CliError {
    let fault = CliError::new(Kind::Input, "this cannot be written").because(error);
    match error {
        WriteError::TooLarge { .. } => fault.hint("write it in several entries"),
        _ => fault,
    }
}

fn report(ctx: &mut Context, written: &Written) -> Result<u8, CliError> {
    let (feed, id) = (ids::feed_text(&written.feed), ids::entry_text(written.id.as_bytes()));
    if ctx.json() {
        let fields = Fields::default().with("feed", feed).with("seq", written.seq).with("id", id);
        ctx.streams.object(&fields)?;
    } else {
        ctx.streams.line(&format!("Written as entry {} of your feed: {id}", written.seq))?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_merged() {
        assert_eq!(seqs("7"), Some((7, 7)));
        assert_eq!(seqs("7-9"), Some((7, 9)));
        for typed in ["", "-", "7-", "-9", "+7", "k3x9", "7-9-11", "99999999999999999999"] {
            assert_eq!(seqs(typed), None, "{typed}");
        }
        let spans = vec![(9, 9), (2, 3), (4, 4), (3, 3), (11, 12)];
        assert_eq!(merged(spans), [(2, 4), (9, 9), (11, 12)]);
        assert_eq!(merged(Vec::new()), []);
    }
}
