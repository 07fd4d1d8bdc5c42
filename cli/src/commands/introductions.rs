//! `contact introduce`, `introductions`, `accept` and `decline`: people whom contacts know.

use thistle_engine::seal::{Card, words};
use thistle_engine::{Sent, ids};

use crate::args;
use crate::commands::contacts::{self, checked, find, label, short};
use crate::context::Context;
use crate::outcome::{CliError, Kind};
use crate::pick::{self, Candidate};
use crate::view::Fields;

/// `contact introduce`.
pub(crate) fn introduce(ctx: &mut Context, args: &args::Introduce) -> Result<u8, CliError> {
    let ((one, its_name), (other, others)) = (find(ctx, &args.one)?, find(ctx, &args.other)?);
    if one.account == other.account {
        return Err(CliError::new(Kind::Usage, "these are one and the same contact"));
    }
    let (first, second) = (one.account, other.account);
    match ctx.act(move |node, now| node.introduce(now, &first, &second))? {
        Sent::Written(_) => {}
        Sent::Waits => {
            return Err(CliError::new(Kind::Input, "one of them cannot be written to yet")
                .since("nothing of the person has come here, so nothing can be sealed")
                .hint("`thistle contacts` shows who can be; run this again then"));
        }
        Sent::Nobody => return Err(CliError::new(Kind::Input, "these are not two contacts")),
    }
    if ctx.json() {
        let introduced = [first, second].map(|account| ids::account_text(&account));
        ctx.streams.object(&Fields::default().with("introduced", introduced.to_vec()))?;
    } else {
        let line = format!("{its_name} and {others} are sent each other's card.");
        ctx.streams.line(&line)?;
    }
    Ok(0)
}

/// `contact introductions`.
pub(crate) fn list(ctx: &mut Context) -> Result<u8, CliError> {
    let reader = ctx.tidy_reader()?;
    let found = reader.introductions().map_err(|error| ctx.host.fault(&error))?;
    let known = contacts::contacts(&reader, ctx)?;
    let alike = contacts::alike(&known);
    drop(reader);
    for (by, card) in &found {
        let who = known.iter().find(|one| one.account == *by);
        if ctx.json() {
            let fields = Fields::default()
                .with("name", card.name.clone())
                .with("account", ids::account_text(&card.account))
                .with("introduced_by", ids::account_text(by))
                .with("card", ids::card_text(&card.encode()))
                .with("words", words(card).join(" "));
            ctx.streams.object(&fields)?;
        } else {
            let name = card.name.as_deref().unwrap_or_default();
            let by = who.map_or_else(|| short(by), |who| label(who, &alike));
            let line =
                format!("{}  introduced by {by}", pick::label(name, &short(&card.account), true));
            ctx.streams.line(&line)?;
            ctx.streams.line(&format!("  {}", ids::account_text(&card.account)))?;
        }
    }
    if found.is_empty() && !ctx.json() {
        ctx.streams.line("Nobody was introduced to you.")?;
    }
    Ok(0)
}

/// The card of the one who is meant.
fn meant(ctx: &mut Context, typed: &str) -> Result<Card, CliError> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let reader = ctx.tidy_reader()?;
    let found = reader.introductions().map_err(|error| ctx.host.fault(&error))?;
    for (_, card) in &found {
        let id = ids::account_text(&card.account);
        if !candidates.iter().any(|one| one.id == id) {
            let names = card.name.iter().cloned().collect();
            candidates.push(Candidate { short: ids::short(&id).to_owned(), id, names });
        }
    }
    let picked = pick::pick(typed, "introduction", &candidates)?.id.clone();
    // Of several cards of one person the newest counts.
    let cards = found.into_iter().map(|(_, card)| card);
    let card = cards
        .filter(|card| ids::account_text(&card.account) == picked)
        .max_by_key(|card| card.generation);
    Ok(card.unwrap_or_else(|| unreachable!("candidates were introduced")))
}

/// `contact accept`.
pub(crate) fn accept(ctx: &mut Context, args: &args::Accept) -> Result<u8, CliError> {
    let card = meant(ctx, &args.contact)?;
    let name = args.name.as_deref().map(checked).transpose()?;
    contacts::take(ctx, card, name, false)
}

/// `contact decline`.
pub(crate) fn decline(ctx: &mut Context, typed: &str) -> Result<u8, CliError> {
    let account = meant(ctx, typed)?.account;
    ctx.act(move |node, now| node.decline(now, &account))?;
    if ctx.json() {
        let fields = Fields::default().with("account", ids::account_text(&account));
        ctx.streams.object(&fields.with("declined", true))?;
    } else {
        ctx.streams.line("Forgotten.")?;
    }
    Ok(0)
}
