//! `status`, `doctor` and `quota`: how the home is.

use thistle_engine::policy::CarryClass;
use thistle_engine::{Checked, Finding, Node, Reader, ids};

use crate::args;
use crate::context::Context;
use crate::outcome::{CliError, Kind};
use crate::progress::Progress;
use crate::show;
use crate::view::Fields;
use crate::when;

/// `status`.
pub(crate) fn status(ctx: &mut Context) -> Result<u8, CliError> {
    let reader = ctx.tidy_reader()?;
    let fault = |error| ctx.host.fault(&error);
    let (me, status) = (reader.me().map_err(fault)?, reader.status().map_err(fault)?);
    let left_out = reader.left_out().map_err(fault)?;
    drop(reader);
    if ctx.json() {
        ctx.streams.object(&show::status_fields(&me, &status, &left_out))?;
    } else {
        show::status(&me, &status, &left_out, &ctx.host.home(), &mut ctx.streams)?;
    }
    Ok(0)
}

/// `doctor`.
pub(crate) fn doctor(ctx: &mut Context, args: &args::Doctor) -> Result<u8, CliError> {
    let (checked, found) = if args.repair {
        repair(ctx)?
    } else {
        let reader = ctx.tidy_reader()?;
        let looked = look(ctx, &reader)?;
        tell_findings(ctx, &looked.1)?;
        looked
    };
    if ctx.json() {
        let fields = Fields::default()
            .with("sound", found.is_empty())
            .with("findings", found.len())
            .with("feeds", checked.feeds)
            .with("entries", checked.entries)
            .with("signatures", checked.signatures)
            .with("bytes", checked.bytes)
            .with("arrivals", checked.arrivals)
            .with("indexed", checked.indexed);
        ctx.streams.object(&fields)?;
    } else {
        ctx.streams.line(&format!(
            "Checked {} of {}, {}, {} of payloads",
            when::entries(checked.entries),
            when::feeds(checked.feeds),
            when::counted(checked.signatures, "signature", "signatures"),
            when::bytes(checked.bytes)
        ))?;
    }
    if found.is_empty() {
        if !ctx.json() {
            ctx.streams.line("All is sound.")?;
        }
        return Ok(0);
    }
    let words =
        if found.len() == 1 { "1 thing is" } else { &format!("{} things are", found.len()) };
    let fault = CliError::new(Kind::Store, format!("{words} not as they should be"));
    let fault = if found.iter().any(|finding| finding.index) {
        fault.hint("`thistle doctor --repair` builds the indexes anew from what is held")
    } else {
        fault
    };
    if found.iter().all(|finding| finding.index) {
        return Err(fault);
    }
    Err(fault
        .hint("keep a copy of the home before anything else")
        .hint("what others hold can be read again, into a new home, from their bundles"))
}

/// Looks, builds the indexes anew, looks again, and says what that changed.
fn repair(ctx: &mut Context) -> Result<(Checked, Vec<Finding>), CliError> {
    let reader = ctx.reader()?;
    let (before, found) = look(ctx, &reader)?;
    drop(reader);
    tell_findings(ctx, &found)?;
    let progress = Progress::spinning(&ctx.facts, &ctx.streams, "indexing");
    ctx.act(Node::rebuild_indexes)?;
    ctx.tidy(usize::MAX)?;
    drop(progress);
    let reader = ctx.reader()?;
    let (after, left) = look(ctx, &reader)?;
    let mended = found.iter().filter(|finding| !left.contains(finding)).count();
    if ctx.json() {
        let fields = Fields::default()
            .with("repaired", "indexes")
            .with("indexed_before", before.indexed)
            .with("indexed_after", after.indexed)
            .with("found", found.len())
            .with("mended", mended)
            .with("left", left.len());
        ctx.streams.object(&fields)?;
        return Ok((after, left));
    }
    ctx.streams.line(&format!(
        "Built the indexes anew: they know {} now, and knew {} before",
        when::entries(after.indexed),
        when::count(before.indexed)
    ))?;
    if !found.is_empty() {
        let (mended, found) = (when::count(mended as u64), when::count(found.len() as u64));
        ctx.streams.line(&format!("Mended {mended} of {found} findings"))?;
    }
    if !left.is_empty() {
        ctx.streams.line("Not mended, since it is not of the indexes:")?;
        tell_findings(ctx, &left)?;
    }
    Ok((after, left))
}

fn look(ctx: &Context, reader: &Reader) -> Result<(Checked, Vec<Finding>), CliError> {
    let mut found: Vec<Finding> = Vec::new();
    let progress = Progress::spinning(&ctx.facts, &ctx.streams, "checking");
    let checked = reader.check(&mut |finding| found.push(finding));
    drop(progress);
    Ok((checked.map_err(|error| ctx.host.fault(&error))?, found))
}

fn tell_findings(ctx: &mut Context, found: &[Finding]) -> Result<(), CliError> {
    for finding in found {
        let feed = finding.feed.map(|feed| ids::feed_text(&feed));
        if ctx.json() {
            let fields = Fields::default()
                .with("finding", finding.what)
                .with("feed", feed)
                .with("at", finding.at)
                .with("more", finding.more)
                .with("index", finding.index);
            ctx.streams.object(&fields)?;
        } else {
            let feed = feed.map(|feed| format!("{feed}: ")).unwrap_or_default();
            ctx.streams.line(&format!("{feed}{finding}"))?;
        }
    }
    Ok(())
}

/// `quota`.
pub(crate) fn quota(ctx: &mut Context, args: &args::Quota) -> Result<u8, CliError> {
    if let (Some(class), Some(size)) = (args.class, &args.size) {
        let (class, bytes) = (carry_class(class), when::size(size)?);
        ctx.act(move |node, now| node.set_quota(now, class, bytes))?;
    }
    let status = ctx.reader()?.status().map_err(|error| ctx.host.fault(&error))?;
    for (class, bytes, quota) in status.usage {
        // What nothing can be in yet would only raise questions.
        if matches!(class, CarryClass::Contact | CarryClass::Group) {
            continue;
        }
        if ctx.json() {
            let fields = Fields::default()
                .with("class", class.name())
                .with("bytes", bytes)
                .with("quota", quota)
                .with("percent", show::percent(bytes, quota))
                .with("goes_first", show::goes_first(class, bytes, quota));
            ctx.streams.object(&fields)?;
        } else {
            let of = quota.map_or_else(
                || "no quota".to_owned(),
                |quota| format!("of {}", when::bytes(quota)),
            );
            let line = format!("{:<10} {:>12} {of}", class.name(), when::bytes(bytes));
            ctx.streams.line(&line)?;
            if let Some(first) = show::goes_first(class, bytes, quota) {
                let part = show::percent(bytes, quota).unwrap_or(0);
                ctx.streams.line(&format!("{:<10} {part:>10} % used: {first}", ""))?;
            }
        }
    }
    Ok(0)
}

const fn carry_class(class: args::Class) -> CarryClass {
    match class {
        args::Class::Followed => CarryClass::Followed,
        args::Class::Stranger => CarryClass::Stranger,
    }
}
