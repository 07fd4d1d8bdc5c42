//! `export`: all entries of a feed, the same bytes wherever the same ones are held.

use crate::context::Context;
use crate::names::People;
use crate::outcome::{CliError, Kind};
use crate::view;

/// `export`.
pub(crate) fn run(ctx: &mut Context, typed: &str) -> Result<u8, CliError> {
    let reader = ctx.tidy_reader()?;
    let people = People::of(&reader).map_err(|error| ctx.host.fault(&error))?;
    let feed = people.feed(typed)?;
    let mut stopped = None;
    let streams = &mut ctx.streams;
    let found = reader.export(&feed, &mut |held| {
        if let Err(error) = streams.object(&view::exported(&held)) {
            stopped = Some(error);
        }
        Ok(stopped.is_none())
    });
    match (found, stopped) {
        (_, Some(error)) => Err(error),
        (Err(error), None) => Err(ctx.host.fault(&error)),
        (Ok(true), None) => Ok(0),
        (Ok(false), None) => Err(CliError::new(
            Kind::Input,
            format!("nothing of {} is held here", people.label(&feed)),
        )
        .hint("`thistle feeds` lists what is held")),
    }
}
