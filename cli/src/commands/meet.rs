//! `listen`, `address` and `sync`: meeting other homes over a network.
//!
//! What a meeting brings is decided by the node; here it is begun, waited for and told about.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use thistle_engine::ids::{self, Id, IdKind, IdQuery};
use thistle_engine::key::AccountId;
use thistle_engine::{Event, Node, Remembered, SessionReport};
use thistle_transports::{Place, key_of};

use crate::address::{Address, AddressFault, dialled};
use crate::args;
use crate::commands::contacts::Known;
use crate::context::Context;
use crate::net::{Ear, Met, News, cut_off, not_met};
use crate::outcome::{CliError, Kind};
use crate::progress::Progress;
use crate::text;
use crate::view::Fields;
use crate::when;

/// How often whoever waits for a meeting is looked after.
const LOOK: Duration = Duration::from_millis(200);

// ---- listen ----

/// `listen`.
pub(crate) fn listen(ctx: &mut Context, args: &args::Listen) -> Result<u8, CliError> {
    if let Some(address) = ctx.net.address() {
        return Err(CliError::new(Kind::Busy, "this home listens already")
            .since(format!("its address is {address}")));
    }
    let known = args.known.iter().map(|typed| Ok(address(typed)?.key));
    let known = known.collect::<Result<BTreeSet<_>, CliError>>()?;
    let (me, last) = me(ctx)?;
    let at = match &args.addr {
        Some(typed) => vec![listened(typed)?],
        // Where others remember this home, if nobody has taken that port meanwhile.
        None => last.at.iter().map(SocketAddr::port).chain([0]).map(anywhere).collect(),
    };
    ctx.net.heed_signals()?;
    let (told, news) = channel();
    let watcher = told.clone();
    ctx.host.watch(move |event| watcher.send(News::Said(event.cloned())).is_ok());
    let ear = Ear { secret: me, at, known };
    let address = ctx.net.listen(&ctx.host, ctx.facts.clocks(), ear, told)?;
    remember(ctx, address, None)?;
    if ctx.json() {
        ctx.streams.object(&Fields::default().with("address", address.to_string()))?;
    } else {
        ctx.streams.line(&address.to_string())?;
    }
    ctx.streams.flush()?;
    let done = attend(ctx, &news);
    if done.is_err() {
        // Nobody is told any more, but what the others sent is kept.
        ctx.net.stop();
        news.iter().find(|news| matches!(news, News::Over));
    }
    done
}

/// Tells of meetings until all is to end.
fn attend(ctx: &mut Context, news: &Receiver<News>) -> Result<u8, CliError> {
    for news in news {
        match news {
            News::Met(met) => {
                tell_met(ctx, &met)?;
                ctx.streams.flush()?;
            }
            News::Said(Some(event)) => ctx.tell(&event),
            News::Said(None) => return Err(ctx.host.gone()),
            News::Over => return Ok(0),
            News::Moved { .. } | News::NotMet(_) => {}
        }
    }
    Ok(0)
}

fn tell_met(ctx: &mut Context, met: &Met) -> Result<(), CliError> {
    let Some(report) = &met.report else { return Ok(()) };
    let node = ids::node_text(&met.peer);
    let contact = recognised(ctx, report)?;
    if ctx.json() {
        let fields = Fields::default()
            .with("node", node)
            .with("known", met.known)
            .and(summary(contact, met, report))
            .with("ending", report.ending.to_string());
        return ctx.streams.object(&fields);
    }
    let stranger = if met.known { "" } else { ", a stranger" };
    let ending = match cut_off(report.ending, false) {
        Some(_) => format!(" ({})", report.ending),
        None => String::new(),
    };
    let (whom, words) = (contact.as_deref().unwrap_or(ids::short(&node)), said(report));
    ctx.streams.line(&format!("Met {whom}{stranger}: {words}{}", text::safe(&ending)))
}

fn anywhere(port: u16) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], port))
}

/// An address to listen at, as it was typed.
fn listened(typed: &str) -> Result<SocketAddr, CliError> {
    typed.parse().map_err(|_| {
        let message = format!("`{typed}` is no IP address with a port");
        CliError::new(Kind::Input, message)
            .hint("for instance `127.0.0.1:4711`, `0.0.0.0:4711` for every network, port 0 for any")
    })
}

/// Remembers where somebody was met, or where this home listens.
fn remember(ctx: &mut Context, address: Address, with: Option<AccountId>) -> Result<(), CliError> {
    let Some(at) = address.at else { return Ok(()) };
    ctx.act(move |node, now| {
        node.remember_peer(now, &address.key, &at.to_string(), with.as_ref())
    })?;
    Ok(())
}

/// The secret of this home's links, and its address as far as it is known.
fn me(ctx: &mut Context) -> Result<(thistle_engine::key::Seed, Address), CliError> {
    let secret = ctx.act(Node::link_secret)?;
    let key = key_of(secret.expose());
    let at = remembered(ctx)?.iter().find(|known| known.key == key).and_then(place_of);
    Ok((secret, Address { key, at }))
}

fn remembered(ctx: &Context) -> Result<Vec<Remembered>, CliError> {
    ctx.host.reader()?.peers().map_err(|error| ctx.host.fault(&error))
}

fn place_of(known: &Remembered) -> Option<SocketAddr> {
    dialled(&known.address).ok()
}

// ---- address ----

/// `address`.
pub(crate) fn own(ctx: &mut Context) -> Result<u8, CliError> {
    let listening = ctx.net.address();
    let address = match listening {
        Some(address) => address,
        None => me(ctx)?.1,
    };
    if ctx.json() {
        let fields = Fields::default()
            .with("address", address.to_string())
            .with("listening", listening.is_some());
        ctx.streams.object(&fields)?;
    } else {
        ctx.streams.line(&address.to_string())?;
    }
    Ok(0)
}

/// Reads an address as it was typed.
fn address(typed: &str) -> Result<Address, CliError> {
    Address::parse(typed).map_err(|fault| no_address(typed, fault))
}

fn no_address(typed: &str, fault: AddressFault) -> CliError {
    CliError::new(Kind::Input, format!("`{typed}` is not an address"))
        .because(&fault)
        .hint("`thistle listen` and `thistle address` print one: `node1...@192.0.2.7:4711`")
}

// ---- sync ----

/// `sync`.
pub(crate) fn sync(ctx: &mut Context, args: &args::Sync) -> Result<u8, CliError> {
    let place = target(ctx, &args.address)?;
    let (secret, own) = me(ctx)?;
    if place.key == own.key {
        return Err(not_met(&thistle_transports::LinkError::Oneself, place.at));
    }
    if ctx.caller.is_none() {
        ctx.net.heed_signals()?;
    }
    let (told, news) = channel();
    let watcher = told.clone();
    ctx.host.watch(move |event| watcher.send(News::Said(event.cloned())).is_ok());
    let meeting = ctx.net.meet(&ctx.host, ctx.facts.clocks(), (secret, place), told)?;
    let met = wait(ctx, &news, place.at)?;
    drop(meeting);
    let Some(report) = met.report else { return Err(ctx.host.gone()) };
    remember(ctx, Address { key: place.key, at: Some(place.at) }, report.with)?;
    let contact = recognised(ctx, &report)?;
    if ctx.json() {
        ctx.streams.object(&summary(contact, &met, &report))?;
    } else {
        if let Some(contact) = contact {
            ctx.streams.line(&format!("Met {contact}"))?;
        }
        let (wire_in, wire_out) = (when::bytes(report.bytes_in), when::bytes(report.bytes_out));
        ctx.streams.line(&format!(
            "{}; {wire_in} in, {wire_out} out, {}, {:.1} s",
            said(&report),
            when::counted(report.round_trips, "round trip", "round trips"),
            met.took.as_secs_f64(),
        ))?;
    }
    match cut_off(report.ending, ctx.net.is_stopped()) {
        Some(error) => Err(error),
        None => Ok(0),
    }
}

/// Waits until the meeting is over.
fn wait(ctx: &mut Context, news: &Receiver<News>, at: SocketAddr) -> Result<Met, CliError> {
    let progress = Progress::spinning(&ctx.facts, &ctx.streams, "meeting");
    loop {
        match news.recv_timeout(LOOK) {
            Ok(News::Met(met)) => return Ok(met),
            Ok(News::Moved { received, sent }) => {
                let (received, sent) = (when::count(received), when::count(sent));
                progress.say(format!("meeting: {received} entries came, {sent} went"));
            }
            Ok(News::NotMet(_)) if ctx.net.is_stopped() => {
                return Err(CliError::new(Kind::Unmet, "the meeting was interrupted"));
            }
            Ok(News::NotMet(fault)) => return Err(not_met(&fault, at)),
            Ok(News::Said(Some(event))) => progress.aside(|| tell_aside(ctx, &event)),
            Ok(News::Said(None)) | Err(RecvTimeoutError::Disconnected) => {
                return Err(ctx.host.gone());
            }
            Ok(News::Over) | Err(RecvTimeoutError::Timeout) => {}
        }
        ctx.check_wanted()?;
    }
}

fn tell_aside(ctx: &mut Context, event: &Event) {
    ctx.tell(event);
}

/// Who is meant, and where to be met.
fn target(ctx: &Context, typed: &str) -> Result<Place, CliError> {
    if typed.contains('@') {
        let address = address(typed)?;
        let at = address.at.ok_or_else(|| no_address(typed, AddressFault::Place))?;
        return Ok(Place { key: address.key, at });
    }
    let known = remembered(ctx)?;
    let people = Known::of(&ctx.host.reader()?, ctx)?;
    if let Ok(contact) = people.contact(typed) {
        return place_of_contact(&known, &contact.account, &people);
    }
    let query = IdQuery::parse(IdKind::Node, typed)
        .map_err(|fault| no_address(typed, AddressFault::Key(fault)))?;
    let (first, last) = match query {
        IdQuery::Whole(Id::Node(key)) => (key, key),
        IdQuery::Whole(_) => unreachable!("a node was asked for"),
        IdQuery::Span { first, last, .. } => (first, last),
    };
    let mut meant = known.iter().filter(|known| (first..=last).contains(&known.key));
    match (meant.next(), meant.next()) {
        (Some(one), None) => match place_of(one) {
            Some(at) => Ok(Place { key: one.key, at }),
            None => Err(unknown(typed)),
        },
        (Some(_), Some(_)) => {
            Err(CliError::new(Kind::Input, format!("`{typed}` fits more than one home"))
                .hint("type more of it"))
        }
        (None, _) => Err(unknown(typed)),
    }
}

/// Where a contact was met last.
fn place_of_contact(
    known: &[Remembered],
    contact: &AccountId,
    people: &Known,
) -> Result<Place, CliError> {
    let last = known.iter().rev().find(|one| one.with == Some(*contact));
    let place = last.and_then(|one| Some(Place { key: one.key, at: place_of(one)? }));
    place.ok_or_else(|| {
        let message = format!("where {} can be met is not known", people.person(contact));
        CliError::new(Kind::Input, message)
            .hint("ask for the address: `thistle address` tells it there")
    })
}

fn unknown(typed: &str) -> CliError {
    CliError::new(Kind::Input, format!("no home that begins with `{typed}` was met before"))
        .hint("say its whole address: `node1...@192.0.2.7:4711`")
}

// ---- Both ----

/// What a meeting brought, as programs read it.
fn summary(contact: Option<String>, met: &Met, report: &SessionReport) -> Fields {
    let seconds = (met.took.as_secs_f64() * 1_000.0).round() / 1_000.0;
    Fields::default()
        .with("contact", contact)
        .with("sent", report.sent)
        .with("received", report.received)
        .with("bytes_out", report.bytes_out)
        .with("bytes_in", report.bytes_in)
        .with("round_trips", report.round_trips)
        .with("seconds", seconds)
        .with("duplicates", report.duplicates)
        .with("datagram_bytes_out", met.datagrams.0)
        .with("datagram_bytes_in", met.datagrams.1)
}

/// What output calls the contact that was recognised, if one was.
fn recognised(ctx: &Context, report: &SessionReport) -> Result<Option<String>, CliError> {
    let Some(with) = report.with else { return Ok(None) };
    let known = Known::of(&ctx.host.reader()?, ctx)?;
    Ok(Some(if known.is_me(&with) {
        "yourself, on another device".to_owned()
    } else {
        known.person(&with)
    }))
}

/// What a meeting brought, as a person reads it.
fn said(report: &SessionReport) -> String {
    if report.received == 0 && report.sent == 0 && report.payloads == 0 {
        return "nothing new on either side".to_owned();
    }
    let (received, sent) = (when::entries(report.received), when::entries(report.sent));
    format!("{received} came, {sent} went")
}
