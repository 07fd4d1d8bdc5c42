//! `follow`, `block`, `name` and `feeds`: what feeds are to the user. None of it is published, but a
//! follow where the user says so.

use thistle_engine::content::{Content, Relation, RelationState};
use thistle_engine::ids;
use thistle_engine::key::FeedId;

use crate::args::{self, Meets};
use crate::commands::write;
use crate::context::Context;
use crate::names::People;
use crate::outcome::{CliError, Kind};
use crate::show;
use crate::text;
use crate::view::Fields;

/// `follow`.
pub(crate) fn follow(ctx: &mut Context, args: &args::Follow) -> Result<u8, CliError> {
    let (feed, label) = other(ctx, &args.feed, "follow")?;
    let done = ctx.act(move |node, now| node.follow(now, &feed))?;
    bounded(done)?;
    if args.public {
        publish(ctx, feed, RelationState::Follow)?;
        return said(ctx, &feed, "followed", true, &format!("You follow {label} now, publicly."));
    }
    said(ctx, &feed, "followed", true, &format!("You follow {label} now."))
}

/// Says in the own feed what another one is to the user, if that was not said last.
fn publish(ctx: &mut Context, feed: FeedId, state: RelationState) -> Result<(), CliError> {
    let reader = ctx.reader()?;
    let told = reader.me().and_then(|me| reader.follows(&me.feed));
    let told = told.map_err(|error| ctx.host.fault(&error))?.contains(&feed);
    if told != (state == RelationState::Follow) {
        let time = ctx.facts.now().wall / 1000;
        write::append(ctx, Content::Relation(Relation { time, feed, state }), 0)?;
    }
    Ok(())
}

/// `hops`.
pub(crate) fn hops(ctx: &mut Context, args: &args::Hops) -> Result<u8, CliError> {
    if let Some(hops) = args.hops {
        ctx.act(move |node, now| node.set_hops(now, hops))?;
    }
    let hops = ctx.reader()?.hops().map_err(|error| ctx.host.fault(&error))?;
    if ctx.json() {
        ctx.streams.object(&Fields::default().with("hops", u64::from(hops)))?;
        return Ok(0);
    }
    ctx.streams.line(match hops {
        0 => "Only those whom you follow yourself count as followed.",
        1 => "Those whom the people you follow publicly follow count as followed too.",
        _ => "Public follows count over several people.",
    })?;
    Ok(0)
}

/// `radio`.
pub(crate) fn radio(ctx: &mut Context, args: &args::Radio) -> Result<u8, CliError> {
    if let Some(meets) = args.meets {
        ctx.act(move |node, now| node.seclude(now, meets == Meets::Contacts))?;
    }
    let secluded = ctx.reader()?.is_secluded().map_err(|error| ctx.host.fault(&error))?;
    if ctx.json() {
        let meets = if secluded { "contacts" } else { "open" };
        ctx.streams.object(&Fields::default().with("radio", meets))?;
        return Ok(0);
    }
    ctx.streams.line(if secluded {
        "This home meets your contacts only; to others it looks as if it held nothing."
    } else {
        "This home meets anybody; strangers get what is open, and carry it on."
    })?;
    Ok(0)
}

/// `unfollow`.
pub(crate) fn unfollow(ctx: &mut Context, typed: &str) -> Result<u8, CliError> {
    let (feed, label) = other(ctx, typed, "unfollow")?;
    ctx.act(move |node, now| node.unfollow(now, &feed))?;
    publish(ctx, feed, RelationState::None)?;
    said(ctx, &feed, "followed", false, &format!("You do not follow {label}."))
}

/// `block`.
pub(crate) fn block(ctx: &mut Context, typed: &str) -> Result<u8, CliError> {
    let (feed, label) = other(ctx, typed, "block")?;
    let done = ctx.act(move |node, now| node.block(now, &feed))?;
    bounded(done)?;
    said(ctx, &feed, "blocked", true, &format!("{label} is blocked; what was here of it is gone."))
}

/// `unblock`.
pub(crate) fn unblock(ctx: &mut Context, typed: &str) -> Result<u8, CliError> {
    let (feed, label) = other(ctx, typed, "unblock")?;
    ctx.act(move |node, now| node.unblock(now, &feed))?;
    said(ctx, &feed, "blocked", false, &format!("{label} is not blocked."))
}

/// `name`.
pub(crate) fn name(ctx: &mut Context, args: &args::Name) -> Result<u8, CliError> {
    let (feed, label) = find(ctx, &args.feed)?;
    let name = args.name.as_deref().filter(|name| !name.is_empty());
    let name = match name.map(text::name).transpose() {
        Ok(name) => name,
        Err(fault) => {
            return Err(CliError::new(Kind::Input, "this cannot be a name").because(&fault));
        }
    };
    let like = match &name {
        Some(name) => look_alikes(ctx, &feed, name)?,
        None => Vec::new(),
    };
    let given = name.clone();
    ctx.act(move |node, now| node.set_petname(now, &feed, given.as_deref()))?;
    for other in like {
        ctx.streams.note(&format!("warning: the name is like that of {other}"));
    }
    if ctx.json() {
        let fields = Fields::default().with("feed", ids::feed_text(&feed)).with("petname", name);
        ctx.streams.object(&fields)?;
    } else if let Some(name) = name {
        ctx.streams.line(&format!("You call {label} {} now.", text::safe(&name)))?;
    } else {
        ctx.streams.line(&format!("You have no name of your own for {label}."))?;
    }
    Ok(0)
}

/// Whose names can be taken for this one.
fn look_alikes(ctx: &mut Context, feed: &FeedId, name: &str) -> Result<Vec<String>, CliError> {
    let people = people(ctx)?;
    let like = people.feeds().iter().filter(|info| info.feed != *feed).filter(|info| {
        let names = info.petname.iter().chain(&info.name);
        names.into_iter().any(|other| text::look_alike(other, name))
    });
    let short = |feed: &FeedId| ids::short(&ids::feed_text(feed)).to_owned();
    Ok(like.map(|info| format!("{} ({})", people.label(&info.feed), short(&info.feed))).collect())
}

/// `feeds`.
pub(crate) fn feeds(ctx: &mut Context) -> Result<u8, CliError> {
    let people = people(ctx)?;
    if ctx.json() {
        for info in people.feeds() {
            ctx.streams.object(&show::feed_fields(info, &people))?;
        }
    } else {
        show::feeds(&people, &ctx.facts, &mut ctx.streams)?;
    }
    Ok(0)
}

fn people(ctx: &mut Context) -> Result<People, CliError> {
    People::of(&ctx.tidy_reader()?).map_err(|error| ctx.host.fault(&error))
}

/// Finds a feed and what to call it.
fn find(ctx: &mut Context, typed: &str) -> Result<(FeedId, String), CliError> {
    let people = people(ctx)?;
    let feed = people.feed(typed)?;
    Ok((feed, people.label(&feed)))
}

/// Finds a feed that is not the user's own.
fn other(ctx: &mut Context, typed: &str, verb: &str) -> Result<(FeedId, String), CliError> {
    let people = people(ctx)?;
    let feed = people.feed(typed)?;
    if people.feeds().iter().any(|info| info.feed == feed && info.own) {
        return Err(CliError::new(Kind::Input, format!("you cannot {verb} your own feed")));
    }
    Ok((feed, people.label(&feed)))
}

fn bounded(done: bool) -> Result<(), CliError> {
    if done {
        return Ok(());
    }
    Err(CliError::new(Kind::Input, "no more feeds can be followed or blocked: the limit is 4,096")
        .hint("`thistle unfollow` or `thistle unblock` others first"))
}

fn said(
    ctx: &mut Context,
    feed: &FeedId,
    field: &'static str,
    value: bool,
    line: &str,
) -> Result<u8, CliError> {
    if ctx.json() {
        let fields = Fields::default().with("feed", ids::feed_text(feed)).with(field, value);
        ctx.streams.object(&fields)?;
    } else {
        ctx.streams.line(line)?;
    }
    Ok(0)
}
