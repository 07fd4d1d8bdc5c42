//! `group` and `groups`: who belongs to a sealed conversation of several.

use thistle_engine::Changed;
use thistle_engine::ids;
use thistle_engine::key::{AccountId, Digest};
use thistle_engine::seal::{Action, Role, State};

use crate::args;
use crate::commands::contacts::{self, Known};
use crate::context::Context;
use crate::outcome::{CliError, Kind};
use crate::text;
use crate::view::Fields;
use crate::when;

/// `groups`.
pub(crate) fn list(ctx: &mut Context) -> Result<u8, CliError> {
    let reader = ctx.tidy_reader()?;
    let known = Known::of(&reader, ctx)?;
    drop(reader);
    for state in known.groups() {
        if ctx.json() {
            ctx.streams.object(&fields(state, &known))?;
        } else {
            let members: Vec<String> =
                state.members.iter().map(|member| known.person(&member.account)).collect();
            let line = format!("{}  {}", known.group_label(state), members.join(", "));
            ctx.streams.line(&line)?;
            ctx.streams.line(&format!("  {}", ids::group_text(&state.group)))?;
            if state.history {
                ctx.streams.line("  Whoever is added is handed what was said before.")?;
            }
        }
    }
    if known.groups().is_empty() && !ctx.json() {
        ctx.streams
            .line("You belong to no group. Begin one: `thistle group create NAME MEMBER`.")?;
    }
    Ok(0)
}

fn fields(state: &State, known: &Known) -> Fields {
    let member = |account: &AccountId| {
        let role =
            state.role(account).map(|role| if role == Role::Admin { "admin" } else { "member" });
        let fields = Fields::default()
            .with("name", known.person_name(account))
            .with("account", ids::account_text(account))
            .with("role", role)
            .with("own", known.is_me(account));
        serde_json::to_value(fields).unwrap_or_default()
    };
    let members: Vec<_> = state.members.iter().map(|found| member(&found.account)).collect();
    Fields::default()
        .with("name", state.name.clone())
        .with("group", ids::group_text(&state.group))
        .with("history", state.history)
        .with("members", members)
}

/// `group create`, `add`, `remove`, `rename`, `promote`, `demote`, `leave`.
pub(crate) fn change(ctx: &mut Context, args: &args::Group) -> Result<u8, CliError> {
    let reader = ctx.tidy_reader()?;
    let known = Known::of(&reader, ctx)?;
    drop(reader);
    if let args::Group::Create(create) = args {
        return begin(ctx, &known, create);
    }
    let (typed, action) = match args {
        args::Group::Add(it) => (&it.group, Action::Add(known.contact(&it.member)?.account)),
        args::Group::Remove(it) => {
            (&it.group, Action::Remove(known.member(&it.group, &it.member)?))
        }
        args::Group::Promote(it) => {
            (&it.group, Action::Role(known.member(&it.group, &it.member)?, Role::Admin))
        }
        args::Group::Demote(it) => {
            (&it.group, Action::Role(known.member(&it.group, &it.member)?, Role::Member))
        }
        args::Group::Rename(it) => (&it.group, Action::Rename(contacts::checked(&it.name)?)),
        args::Group::Leave(it) => (&it.group, Action::Leave),
        args::Group::Create(_) => unreachable!("it was done above"),
    };
    let group = known.group(typed)?.group;
    let done = ctx.act(move |node, now| node.change_group(now, &group, action))?;
    report(ctx, done, "Changed.")
}

fn begin(ctx: &mut Context, known: &Known, args: &args::GroupCreate) -> Result<u8, CliError> {
    let name = contacts::checked(&args.name)?;
    let mut members = Vec::new();
    for typed in &args.members {
        members.push(known.contact(typed)?.account);
    }
    let (given, history) = (name.clone(), args.history);
    let done = ctx.act(move |node, now| node.create_group(now, &given, &members, history))?;
    let count = when::count(args.members.len() as u64 + 1);
    let mut line = format!("{} is there, with {count} members.", text::safe(&name));
    if history {
        line.push_str(" Whoever is added is handed what was said before.");
    }
    report(ctx, done, &line)
}

fn report(ctx: &mut Context, done: Changed, line: &str) -> Result<u8, CliError> {
    let group: Digest = match done {
        Changed::Done(group) => group,
        Changed::NotAllowed => {
            return Err(CliError::new(Kind::Input, "this change of the group would not count")
                .since("only admins add, remove, rename and set roles; or it is so already")
                .hint("`thistle groups` shows who belongs to it"));
        }
        Changed::Unknown => return Err(CliError::new(Kind::Input, "the group is not known here")),
        Changed::Full => {
            return Err(CliError::new(Kind::Input, "no more groups fit: the limit is 1,024"));
        }
    };
    if ctx.json() {
        ctx.streams.object(&Fields::default().with("group", ids::group_text(&group)))?;
    } else {
        ctx.streams.line(line)?;
    }
    Ok(0)
}
