//! `read` and `query`: what is held, and how it came.

use thistle_engine::{Order, Query, Reader};

use crate::args;
use crate::commands::contacts;
use crate::context::Context;
use crate::names::{self, People};
use crate::outcome::CliError;
use crate::show;
use crate::text;
use crate::when::{self, Edge};

/// `read`: the newest messages, of a channel or of everything.
pub(crate) fn read(ctx: &mut Context, args: &args::Read) -> Result<u8, CliError> {
    if let Some(with) = &args.with {
        let asked = contacts::Asked { limit: args.limit, ..contacts::Asked::default() };
        return contacts::said(ctx, with, &asked, true);
    }
    let query = Query {
        channel: args.channel.as_deref().map(typed_channel),
        limit: args.limit,
        ..Query::default()
    };
    let reader = ctx.tidy_reader()?;
    let people = People::of(&reader).map_err(|error| ctx.host.fault(&error))?;
    answer(ctx, &query, reader, &people)
}

/// `query`.
pub(crate) fn query(ctx: &mut Context, args: &args::Query) -> Result<u8, CliError> {
    let now = ctx.facts.now().wall / 1000;
    let zone = ctx.facts.zone();
    let moment = |typed: &Option<String>, edge| {
        typed.as_deref().map(|typed| when::moment(typed, edge, now, &zone)).transpose()
    };
    let (since, until) = (moment(&args.since, Edge::Since)?, moment(&args.until, Edge::Until)?);
    if let Some(with) = &args.with {
        let (text, limit) = (args.text.clone(), args.limit.unwrap_or(usize::MAX));
        return contacts::said(ctx, with, &contacts::Asked { text, since, until, limit }, false);
    }
    let reader = ctx.tidy_reader()?;
    let people = People::of(&reader).map_err(|error| ctx.host.fault(&error))?;
    let mut feeds = Vec::new();
    for typed in &args.from {
        feeds.extend(people.feeds_meant(typed)?);
    }
    let thread = match &args.thread {
        Some(typed) => Some(names::entry(&reader, typed, |error| ctx.host.fault(error))?.id),
        None => None,
    };
    let query = Query {
        feeds,
        author: args.author.clone(),
        channel: args.channel.as_deref().map(typed_channel),
        kinds: args.kinds.iter().map(|kind| number(*kind)).collect(),
        since,
        until,
        text: args.text.clone(),
        thread,
        limit: args.limit.unwrap_or(usize::MAX),
        order: match args.order {
            args::Order::Causal => Order::Causal,
            args::Order::Time => Order::Time,
            args::Order::Arrival => Order::Arrival,
        },
    };
    answer(ctx, &query, reader, &people)
}

fn answer(
    ctx: &mut Context,
    query: &Query,
    reader: Reader,
    people: &People,
) -> Result<u8, CliError> {
    let hits = reader.query(query).map_err(|error| ctx.host.fault(&error))?;
    drop(reader);
    for hit in hits {
        if ctx.json() {
            ctx.streams.object(&show::hit_fields(&hit, people))?;
        } else {
            show::hit(&hit, people, &ctx.facts, &mut ctx.streams)?;
        }
    }
    Ok(0)
}

/// A channel as it would have been written; one that could not have been is looked for as typed.
fn typed_channel(typed: &str) -> String {
    let bare = typed.strip_prefix('#').filter(|bare| !bare.is_empty()).unwrap_or(typed);
    text::name(bare).unwrap_or_else(|_| bare.to_owned())
}

const fn number(kind: args::Type) -> u64 {
    match kind {
        args::Type::Post => 1,
        args::Type::Reply => 2,
        args::Type::Profile => 3,
        args::Type::Relation => 4,
        args::Type::Certificate => 5,
        args::Type::Successor => 6,
        args::Type::Device => 7,
        args::Type::Receipt => 8,
        args::Type::Retraction => 9,
        args::Type::Absent => 0,
    }
}
