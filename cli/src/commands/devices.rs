//! `device` and `devices`: the devices of one's own account.

use thistle_engine::account::AccountKey;
use thistle_engine::key::FeedId;
use thistle_engine::{FeedInfo, ids};

use crate::commands::write;
use crate::context::Context;
use crate::names::People;
use crate::outcome::{CliError, Kind};
use crate::view::Fields;

/// `devices`.
pub(crate) fn list(ctx: &mut Context) -> Result<u8, CliError> {
    let reader = ctx.tidy_reader()?;
    let me = reader.me().map_err(|error| ctx.host.fault(&error))?;
    let people = People::of(&reader).map_err(|error| ctx.host.fault(&error))?;
    drop(reader);
    for info in people.feeds().iter().filter(|info| info.account == Some(me.account)) {
        let here = info.feed == me.feed;
        if ctx.json() {
            let fields = Fields::default()
                .with("feed", ids::feed_text(&info.feed))
                .with("here", here)
                .with("entries", info.held)
                .with("confirmed", info.confirmed)
                .with("revoked", info.revoked)
                .with("retired", info.retired);
            ctx.streams.object(&fields)?;
        } else {
            let line = format!("{}  {}", ids::feed_text(&info.feed), standing(info, here));
            ctx.streams.line(&line)?;
        }
    }
    Ok(0)
}

fn standing(info: &FeedInfo, here: bool) -> &'static str {
    match info {
        _ if here => "this device",
        FeedInfo { revoked: true, .. } => "revoked",
        FeedInfo { retired: true, .. } => "ended",
        FeedInfo { confirmed: false, .. } => "not confirmed",
        _ => "another device",
    }
}

/// `device revoke`.
pub(crate) fn revoke(ctx: &mut Context, typed: &str) -> Result<u8, CliError> {
    let phrase = zeroize::Zeroizing::new(ctx.input.take().unwrap_or_default());
    let reader = ctx.tidy_reader()?;
    let me = reader.me().map_err(|error| ctx.host.fault(&error))?;
    let people = People::of(&reader).map_err(|error| ctx.host.fault(&error))?;
    drop(reader);
    let device: FeedId = people.feed(typed)?;
    let info = people.feeds().iter().find(|info| info.feed == device);
    let refused = |why: &str| CliError::new(Kind::Input, why.to_owned());
    if device == me.feed {
        return Err(refused("this is the device that you are using")
            .hint("revoke it from another device of your account; `thistle panic` destroys it"));
    }
    let Some(info) = info.filter(|info| info.account == Some(me.account)) else {
        return Err(refused("this is no device of your account")
            .hint("`thistle devices` lists those of which anything has come"));
    };
    if info.revoked {
        return Err(refused("this device is revoked already"));
    }
    let account: AccountKey = write::account_key(&phrase, &me)?;
    let written = write::own(ctx, move |node, now| node.revoke(now, &account, &device))?;
    ctx.tidy(1)?;
    if ctx.json() {
        let fields = Fields::default().with("revoked", ids::feed_text(&device));
        ctx.streams.object(&fields.with("seq", written.seq))?;
    } else {
        ctx.streams.line(&format!("Revoked, by entry {} of your feed.", written.seq))?;
        ctx.streams.line(
            "Your contact card is a new one. Contacts are told as soon as they can be reached.",
        )?;
    }
    Ok(0)
}
