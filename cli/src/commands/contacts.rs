//! `contact`, `contacts`, and what is written and read in private.
//!
//! Who can read a message is said with it. Whether a person was verified stands everywhere where the
//! person is named, and a device of a contact that is new is told before anything is sealed to it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use jiff::tz::TimeZone;
use thistle_engine::content::{Carry, Content, Post};
use thistle_engine::key::{AccountId, FeedId};
use thistle_engine::seal::{Card, State, words};
use thistle_engine::{Added, Audience, Contact, Node, Progress, Reader, Said, Sent, ids};

use crate::args;
use crate::commands::introductions;
use crate::commands::write::{later, refused, told_apart};
use crate::context::Context;
use crate::names;
use crate::outcome::{CliError, Kind};
use crate::pick::{self, Candidate};
use crate::qr;
use crate::text;
use crate::view::{self, Fields};
use crate::when;

/// Largest file that is looked at for a card.
const PICTURE_BYTES: u64 = 32 * 1024 * 1024;
/// How far texts stand in.
const INDENT: usize = 2;

/// What is asked for of what was said in private.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) text: Option<String>,
    pub(crate) since: Option<u64>,
    pub(crate) until: Option<u64>,
    pub(crate) limit: usize,
}

/// `contact`.
pub(crate) fn run(ctx: &mut Context, args: &args::Contact) -> Result<u8, CliError> {
    match args {
        args::Contact::Card(args) => card(ctx, args),
        args::Contact::Add(args) => add(ctx, args),
        args::Contact::Verify(args) => change(ctx, &args.contact, None, true),
        args::Contact::Name(args) => name(ctx, args),
        args::Contact::Carry(args) => carry(ctx, args),
        args::Contact::Remove(args) => remove(ctx, &args.contact),
        args::Contact::Introduce(args) => introductions::introduce(ctx, args),
        args::Contact::Introductions => introductions::list(ctx),
        args::Contact::Accept(args) => introductions::accept(ctx, args),
        args::Contact::Decline(args) => introductions::decline(ctx, &args.contact),
    }
}

// ---- Cards ----

/// `contact card`.
fn card(ctx: &mut Context, args: &args::Card) -> Result<u8, CliError> {
    let Some(card) = ctx.act(Node::card)? else { return Err(no_card()) };
    let (text, words) = (ids::card_text(&card.encode()), words(&card));
    if let Some(path) = &args.image {
        write_image(&ctx.path(path), path, &text)?;
    }
    if ctx.json() {
        let fields = Fields::default().with("card", text).with("words", words.join(" "));
        ctx.streams.object(&fields)?;
        return Ok(0);
    }
    if !args.no_qr
        && ctx.facts.watched
        && let Some(code) = qr::terminal(&text, ctx.facts.columns)
    {
        ctx.streams.line(&code)?;
    }
    ctx.streams.line(&text)?;
    ctx.streams.line("")?;
    ctx.streams.line(&format!("Words: {}", words.join(" ")))?;
    ctx.streams.line(
        "Whoever adds you by this link should compare these words with you, by voice or in person.",
    )?;
    Ok(0)
}

fn no_card() -> CliError {
    CliError::new(Kind::Input, "this home has no contact card yet")
        .since("it was made by an earlier thistle")
        .hint("run `thistle confirm` with your recovery phrase once; that makes the card")
}

fn write_image(path: &Path, typed: &Path, text: &str) -> Result<(), CliError> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let bytes = match extension.to_ascii_lowercase().as_str() {
        "svg" => qr::svg(text).map(String::into_bytes),
        "png" => qr::png(text),
        _ => {
            let shown = typed.display();
            return Err(CliError::new(Kind::Usage, format!("`{shown}` is no name of a picture"))
                .hint("end it in `.svg` or `.png`"));
        }
    };
    let bytes = bytes.unwrap_or_else(|| unreachable!("a card is short enough for a code"));
    let made = fs::File::create_new(path).and_then(|mut file| file.write_all(&bytes));
    made.map_err(|error| {
        CliError::new(Kind::Input, format!("cannot write `{}`", typed.display())).because(&error)
    })
}

/// `contact add`.
fn add(ctx: &mut Context, args: &args::ContactAdd) -> Result<u8, CliError> {
    let card = read_card(ctx, &args.card)?;
    let name = args.name.as_deref().map(checked).transpose()?;
    take(ctx, card, name, args.verified)
}

/// Takes somebody for a contact.
pub(crate) fn take(
    ctx: &mut Context,
    card: Card,
    name: Option<String>,
    verified: bool,
) -> Result<u8, CliError> {
    let given = name.clone();
    let read = card.clone();
    let added =
        ctx.act(move |node, now| node.add_contact(now, &read, given.as_deref(), verified))?;
    let label = name.or(card.name.clone()).unwrap_or_else(|| short(&card.account));
    match added {
        Added::New | Added::Known => {}
        Added::NoCard => return Err(no_card()),
        Added::Oneself => return Err(CliError::new(Kind::Input, "this is your own card")),
        Added::Outdated => {
            return Err(CliError::new(Kind::Input, "this card is older than the one you have")
                .hint("ask for the one that `thistle contact card` prints there now"));
        }
        Added::Full => {
            return Err(CliError::new(Kind::Input, "no more contacts fit: the limit is 4,096")
                .hint("`thistle contact remove` others first"));
        }
        Added::Unusable => {
            return Err(CliError::new(Kind::Input, "the key on this card is not a usable one")
                .since("no thistle makes such a card; somebody may have tampered with it"));
        }
    }
    let (contact, _) = find(ctx, &ids::account_text(&card.account))?;
    if ctx.json() {
        ctx.streams.object(&contact_fields(&contact).with("new", added == Added::New))?;
        return Ok(0);
    }
    let label = text::safe(&label);
    let told = if added == Added::New { "is your contact now" } else { "was your contact already" };
    ctx.streams.line(&format!("{label} {told}."))?;
    if !contact.verified {
        let words = words(&contact.card).join(" ");
        ctx.streams.line(&format!(
            "Not verified. Ask {label} for the words of the card; these belong to it: {words}",
        ))?;
        ctx.streams.line("If they are the same, run `thistle contact verify` with the name.")?;
    }
    Ok(0)
}

/// A card from what was typed: a link, or a picture.
fn read_card(ctx: &Context, typed: &str) -> Result<Card, CliError> {
    let refused = |why: &dyn std::error::Error| {
        CliError::new(Kind::Input, "this is not a contact card")
            .because(why)
            .hint("copy the whole link that `thistle contact card` prints, or its picture as PNG")
    };
    let path = ctx.path(Path::new(typed));
    let is_file = typed.len() < 4096 && fs::metadata(&path).is_ok_and(|found| found.is_file());
    let text = if is_file {
        let cannot =
            |error| CliError::new(Kind::Input, format!("cannot read `{typed}`")).because(&error);
        let size = fs::metadata(&path).map_err(cannot)?.len();
        if size > PICTURE_BYTES {
            return Err(refused(&qr::QrFault::TooLarge));
        }
        let bytes = fs::read(&path).map_err(cannot)?;
        match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(bytes) => qr::read_png(bytes.as_bytes()).map_err(|fault| refused(&fault))?,
        }
    } else {
        typed.to_owned()
    };
    let bytes = ids::parse_card(&text).map_err(|fault| refused(&fault))?;
    Card::decode(&bytes).map_err(|fault| refused(&fault))
}

// ---- People ----

/// `contacts`.
pub(crate) fn list(ctx: &mut Context) -> Result<u8, CliError> {
    let contacts = contacts(&ctx.tidy_reader()?, ctx)?;
    let alike = alike(&contacts);
    for contact in &contacts {
        if ctx.json() {
            ctx.streams.object(&contact_fields(contact))?;
        } else {
            let reach = if contact.reachable { "" } else { ", cannot be written to yet" };
            let verified = if contact.verified { "verified" } else { "not verified" };
            let devices = match contact.feeds.len() {
                1 => "1 device".to_owned(),
                count => format!("{count} devices"),
            };
            let id = ids::account_text(&contact.account);
            let by = contact.introduced_by.filter(|_| !contact.verified).map(|by| {
                let by = contacts.iter().find(|one| one.account == by);
                let by = by.map_or_else(|| "somebody".to_owned(), |by| label(by, &alike));
                format!(", introduced by {by}")
            });
            let by = by.unwrap_or_default();
            let line = format!("{}  {verified}{by}, {devices}{reach}", label(contact, &alike));
            ctx.streams.line(&line)?;
            ctx.streams.line(&format!("  {id}"))?;
        }
    }
    if contacts.is_empty() && !ctx.json() {
        ctx.streams.line("You have no contacts. Add one by a card: `thistle contact add CARD`.")?;
    }
    tell_devices(ctx, &contacts, &alike);
    Ok(0)
}

/// `contact name`.
fn name(ctx: &mut Context, args: &args::ContactName) -> Result<u8, CliError> {
    let name = checked(&args.name)?;
    change(ctx, &args.contact, Some(name), false)
}

fn change(
    ctx: &mut Context,
    typed: &str,
    name: Option<String>,
    verified: bool,
) -> Result<u8, CliError> {
    let account = find(ctx, typed)?.0.account;
    ctx.act(move |node, now| node.change_contact(now, &account, name.as_deref(), verified))?;
    let (contact, label) = find(ctx, &ids::account_text(&account))?;
    if ctx.json() {
        ctx.streams.object(&contact_fields(&contact))?;
    } else {
        let verified = if contact.verified { "verified" } else { "not verified" };
        ctx.streams.line(&format!("{label}: {verified}."))?;
    }
    Ok(0)
}

/// `contact carry`.
fn carry(ctx: &mut Context, args: &args::ContactCarry) -> Result<u8, CliError> {
    let (contact, label) = find(ctx, &args.contact)?;
    let (account, on) = (contact.account, !args.not);
    ctx.act(move |node, now| node.list_contact(now, &account, on))?;
    let listed = ctx.reader()?.me().map_err(|error| ctx.host.fault(&error))?.carry;
    if ctx.json() {
        ctx.streams.object(&contact_fields(&contact).with("listed", on))?;
        return Ok(0);
    }
    let may = if on { "is listed" } else { "is not listed" };
    ctx.streams.line(&format!("{label} {may} among those who may carry your feed."))?;
    if listed != Carry::Listed {
        let who = if listed == Carry::Open { "anybody" } else { "any contact" };
        ctx.streams.note(&format!("note: that changes nothing now: {who} may carry your feed"));
    }
    Ok(0)
}

/// `contact remove`.
fn remove(ctx: &mut Context, typed: &str) -> Result<u8, CliError> {
    let (contact, label) = find(ctx, typed)?;
    let account = contact.account;
    ctx.act(move |node, now| node.remove_contact(now, &account))?;
    if ctx.json() {
        ctx.streams.object(&contact_fields(&contact).with("removed", true))?;
    } else {
        ctx.streams.line(&format!("{label} is your contact no longer."))?;
    }
    Ok(0)
}

pub(crate) fn checked(typed: &str) -> Result<String, CliError> {
    text::name(typed)
        .map_err(|fault| CliError::new(Kind::Input, "this cannot be a name").because(&fault))
}

pub(crate) fn contacts(reader: &Reader, ctx: &Context) -> Result<Vec<Contact>, CliError> {
    reader.contacts().map_err(|error| ctx.host.fault(&error))
}

/// The one contact that is meant, and what output calls it.
pub(crate) fn find(ctx: &mut Context, typed: &str) -> Result<(Contact, String), CliError> {
    let contacts = contacts(&ctx.tidy_reader()?, ctx)?;
    let alike = alike(&contacts);
    let contact = meant(contacts, typed)?;
    let label = label(&contact, &alike);
    Ok((contact, label))
}

fn meant(contacts: Vec<Contact>, typed: &str) -> Result<Contact, CliError> {
    let candidates: Vec<Candidate> = contacts.iter().map(candidate).collect();
    let picked = pick::pick(typed, "contact", &candidates)?.id.clone();
    let found = contacts.into_iter().find(|one| ids::account_text(&one.account) == picked);
    Ok(found.unwrap_or_else(|| unreachable!("candidates are contacts")))
}

fn candidate(contact: &Contact) -> Candidate {
    let id = ids::account_text(&contact.account);
    let names = contact.name.iter().chain(&contact.card.name).cloned().collect();
    Candidate { short: ids::short(&id).to_owned(), id, names }
}

/// Contacts and groups that this home knows.
#[derive(Debug)]
pub(crate) struct Known {
    contacts: Vec<Contact>,
    /// Those whose name alone could mean another one.
    alike: BTreeSet<AccountId>,
    groups: Vec<State>,
    me: AccountId,
}

/// Who is written to.
#[derive(Debug)]
pub(crate) enum Meant {
    /// A contact.
    Contact(Contact),
    /// A group.
    Group(State),
}

impl Known {
    /// Learns who is known.
    pub(crate) fn of(reader: &Reader, ctx: &Context) -> Result<Self, CliError> {
        let fault = |error| ctx.host.fault(&error);
        let me = reader.me().map_err(fault)?.account;
        let groups = reader.groups().map_err(fault)?;
        let contacts = contacts(reader, ctx)?;
        Ok(Self { alike: alike(&contacts), contacts, groups, me })
    }

    /// The groups.
    pub(crate) fn groups(&self) -> &[State] {
        &self.groups
    }

    /// Whether an account is this home's.
    pub(crate) fn is_me(&self, account: &AccountId) -> bool {
        self.me == *account
    }

    /// The one contact that is meant.
    pub(crate) fn contact(&self, typed: &str) -> Result<Contact, CliError> {
        meant(self.contacts.clone(), typed)
    }

    fn group_candidates(&self) -> Vec<Candidate> {
        let candidate = |state: &State| {
            let id = ids::group_text(&state.group);
            Candidate { short: ids::short(&id).to_owned(), id, names: vec![state.name.clone()] }
        };
        self.groups.iter().map(candidate).collect()
    }

    /// The one group that is meant.
    pub(crate) fn group(&self, typed: &str) -> Result<&State, CliError> {
        let candidates = self.group_candidates();
        let picked = pick::pick(typed, "group", &candidates)?;
        let found = self.groups.iter().find(|state| ids::group_text(&state.group) == picked.id);
        Ok(found.unwrap_or_else(|| unreachable!("candidates are groups")))
    }

    /// A member of a group, also one that is no contact.
    pub(crate) fn member(&self, group: &str, typed: &str) -> Result<AccountId, CliError> {
        let group = self.group(group)?;
        let known = |account: &AccountId| self.contacts.iter().find(|one| one.account == *account);
        let candidates: Vec<Candidate> = group
            .members
            .iter()
            .map(|member| {
                let id = ids::account_text(&member.account);
                let bare = Candidate { short: ids::short(&id).to_owned(), id, names: Vec::new() };
                known(&member.account).map_or(bare, candidate)
            })
            .collect();
        let picked = pick::pick(typed, "member", &candidates)?;
        let mut members = group.members.iter().map(|member| member.account);
        let found = members.find(|account| ids::account_text(account) == picked.id);
        Ok(found.unwrap_or_else(|| unreachable!("candidates are members")))
    }

    /// The contact or group that is meant.
    fn audience(&self, typed: &str) -> Result<Meant, CliError> {
        let mut candidates: Vec<Candidate> = self.contacts.iter().map(candidate).collect();
        candidates.extend(self.group_candidates());
        let picked = pick::pick(typed, "contact or group", &candidates)?.id.clone();
        let mut groups = self.groups.iter();
        Ok(match groups.find(|state| ids::group_text(&state.group) == picked) {
            Some(state) => Meant::Group(state.clone()),
            None => Meant::Contact(meant(self.contacts.clone(), &picked)?),
        })
    }

    /// What a person is called, raw.
    pub(crate) fn person_name(&self, account: &AccountId) -> Option<String> {
        let found = self.contacts.iter().find(|contact| contact.account == *account)?;
        called(found).map(str::to_owned)
    }

    /// What output calls a person.
    pub(crate) fn person(&self, account: &AccountId) -> String {
        if self.is_me(account) {
            return "you".to_owned();
        }
        let found = self.contacts.iter().find(|contact| contact.account == *account);
        found.map_or_else(|| short(account), |contact| self.contact_label(contact))
    }

    /// What output calls a contact.
    pub(crate) fn contact_label(&self, contact: &Contact) -> String {
        label(contact, &self.alike)
    }

    /// What output calls a group.
    pub(crate) fn group_label(&self, state: &State) -> String {
        let twice = self.groups.iter().filter(|other| other.name == state.name).count() > 1;
        let id = ids::group_text(&state.group);
        pick::label(&state.name, ids::short(&id), twice)
    }
}

impl Meant {
    fn audience(&self) -> Audience {
        match self {
            Self::Contact(contact) => Audience::Contact(contact.account),
            Self::Group(state) => Audience::Group(state.group),
        }
    }

    fn name(&self) -> Option<String> {
        match self {
            Self::Contact(contact) => called(contact).map(str::to_owned),
            Self::Group(state) => Some(state.name.clone()),
        }
    }

    fn label(&self, known: &Known) -> String {
        match self {
            Self::Contact(contact) => known.contact_label(contact),
            Self::Group(state) => known.group_label(state),
        }
    }

    /// Contacts to whom it goes.
    fn contacts(&self, known: &Known) -> Vec<Contact> {
        match self {
            Self::Contact(contact) => vec![contact.clone()],
            Self::Group(state) => {
                let member = |one: &&Contact| state.role(&one.account).is_some();
                known.contacts.iter().filter(member).cloned().collect()
            }
        }
    }

    fn fields(&self) -> Fields {
        let fields = Fields::default().with("to", self.name());
        match self {
            Self::Contact(one) => fields.with("account", ids::account_text(&one.account)),
            Self::Group(state) => fields.with("group", ids::group_text(&state.group)),
        }
    }
}

pub(crate) fn short(account: &AccountId) -> String {
    ids::short(&ids::account_text(account)).to_owned()
}

/// What a contact is called.
fn called(contact: &Contact) -> Option<&str> {
    contact.name.as_deref().or(contact.card.name.as_deref())
}

/// Those of some contacts whose name another one of them has, or one that looks like it.
pub(crate) fn alike(contacts: &[Contact]) -> BTreeSet<AccountId> {
    let named: Vec<(&Contact, &str)> =
        contacts.iter().filter_map(|contact| Some((contact, called(contact)?))).collect();
    let names: Vec<&str> = named.iter().map(|(_, name)| *name).collect();
    let shared = pick::shared(&names).into_iter().zip(named);
    shared.filter(|(twice, _)| *twice).map(|(_, (contact, _))| contact.account).collect()
}

/// What output calls a contact; safe for a terminal. With its id if it is not verified, or is one of
/// those whose name alone could mean another one.
pub(crate) fn label(contact: &Contact, alike: &BTreeSet<AccountId>) -> String {
    let ambiguous = !contact.verified || alike.contains(&contact.account);
    pick::label(called(contact).unwrap_or_default(), &short(&contact.account), ambiguous)
}

fn contact_fields(contact: &Contact) -> Fields {
    let feeds: Vec<String> = contact.feeds.iter().map(ids::feed_text).collect();
    Fields::default()
        .with("name", called(contact))
        .with("account", ids::account_text(&contact.account))
        .with("verified", contact.verified)
        .with("feeds", feeds)
        .with("reachable", contact.reachable)
}

/// Tells of new devices of contacts: the next message is sealed to them too. Which they are.
fn tell_devices(
    ctx: &mut Context,
    contacts: &[Contact],
    alike: &BTreeSet<AccountId>,
) -> Vec<(AccountId, FeedId)> {
    let mut told = Vec::new();
    for contact in contacts {
        for feed in &contact.new_feeds {
            ctx.streams.note(&format!(
                "note: {} has another device, {}; what you write from now on can be read there",
                label(contact, alike),
                ids::short(&ids::feed_text(feed)),
            ));
            told.push((contact.account, *feed));
        }
    }
    told
}

/// `receipts`.
pub(crate) fn receipts(ctx: &mut Context, switch: Option<args::Switch>) -> Result<u8, CliError> {
    if let Some(switch) = switch {
        ctx.act(move |node, now| node.set_receipts(now, switch == args::Switch::On))?;
    }
    let on = ctx.reader()?.receipts().map_err(|error| ctx.host.fault(&error))?;
    if ctx.json() {
        ctx.streams.object(&Fields::default().with("receipts", on))?;
        return Ok(0);
    }
    ctx.streams.line(if on {
        "Others are told that their private messages arrived here and were read."
    } else {
        "Nobody is told whether private messages arrived here or were read."
    })?;
    Ok(0)
}

// ---- Messages ----

/// `write --to`.
pub(crate) fn write(
    ctx: &mut Context,
    to: &str,
    text: String,
    reply_to: Option<&str>,
    ttl: u32,
) -> Result<u8, CliError> {
    let reader = ctx.tidy_reader()?;
    let known = Known::of(&reader, ctx)?;
    let meant = known.audience(to)?;
    let told = tell_devices(ctx, &meant.contacts(&known), &known.alike);
    let answered = match reply_to {
        Some(typed) => Some(names::entry(&reader, typed, |error| ctx.host.fault(error))?),
        None => None,
    };
    let time =
        later(&reader, ctx.facts.now().wall / 1000).map_err(|error| ctx.host.fault(&error))?;
    drop(reader);
    if !told.is_empty() {
        ctx.act(move |node, now| node.accept_devices(now, &told))?;
    }
    let parents = answered.iter().map(|place| place.id.prefix()).collect();
    let post = Post { time, channel: None, text, parents, author: None };
    let audience = meant.audience();
    let sent = ctx
        .act(move |node, now| told_apart(node.write_private(now, &audience, post, ttl)))?
        .map_err(|error| refused(&error))?;
    report(ctx, &meant, &known, sent)
}

fn report(ctx: &mut Context, meant: &Meant, known: &Known, sent: Sent) -> Result<u8, CliError> {
    let (label, fields) = (meant.label(known), meant.fields());
    match sent {
        Sent::Written(written) => {
            let (feed, id) =
                (ids::feed_text(&written.feed), ids::entry_text(written.id.as_bytes()));
            if ctx.json() {
                let fields = fields.with("feed", feed).with("seq", written.seq).with("id", id);
                ctx.streams.object(&fields.with("state", "written"))?;
            } else {
                let line = format!("To {label} alone, as entry {} of your feed: {id}", written.seq);
                ctx.streams.line(&line)?;
            }
        }
        Sent::Waits if ctx.json() => ctx.streams.object(&fields.with("state", "waiting"))?,
        Sent::Waits => ctx.streams.line(&format!(
            "To {label} alone. It is kept here and will be sealed once something of {label} has \
             come: meet, or read a bundle that holds it.",
        ))?,
        Sent::Nobody => {
            return Err(CliError::new(
                Kind::Input,
                format!("you cannot write to {label} any more"),
            )
            .since("the contact was removed, or you do not belong to the group"));
        }
    }
    Ok(0)
}

/// `query --with` and `read --with`.
pub(crate) fn said(
    ctx: &mut Context,
    with: &str,
    asked: &Asked,
    shows: bool,
) -> Result<u8, CliError> {
    let reader = ctx.tidy_reader()?;
    let known = Known::of(&reader, ctx)?;
    let meant = known.audience(with)?;
    tell_devices(ctx, &meant.contacts(&known), &known.alike);
    let needle = asked.text.as_deref().map(str::to_lowercase);
    let mut fits = |said: &Said| {
        let Some(post) = view::post_of(&said.content) else { return false };
        needle.as_ref().is_none_or(|needle| post.text.to_lowercase().contains(needle))
            && asked.since.is_none_or(|since| since <= post.time)
            && asked.until.is_none_or(|until| post.time < until)
    };
    let found = reader.said(&meant.audience(), asked.limit, &mut fits);
    let found = found.map_err(|error| ctx.host.fault(&error))?;
    drop(reader);
    for said in &found {
        if ctx.json() {
            ctx.streams.object(&said_fields(said, &meant, &known))?;
        } else {
            show(ctx, said, &known)?;
        }
    }
    if shows {
        let theirs = found.iter().filter(|said| !known.is_me(&said.author));
        let shown: Vec<_> =
            theirs.filter_map(|said| said.entry).map(|(feed, seq, _)| (feed, seq)).collect();
        ctx.act(move |node, now| node.mark_read(now, &shown))?;
        ctx.tidy(1)?;
    }
    Ok(0)
}

const fn progress_word(progress: Progress) -> &'static str {
    match progress {
        Progress::Waits => "waiting",
        Progress::Written => "written",
        Progress::Carried => "carried",
        Progress::Unreadable => "unreadable",
        Progress::Delivered => "delivered",
        Progress::Read => "read",
    }
}

fn said_fields(said: &Said, meant: &Meant, known: &Known) -> Fields {
    let post = view::post_of(&said.content);
    let mine = known.is_me(&said.author);
    let kind = if matches!(said.content, Content::Reply(_)) { "reply" } else { "post" };
    let is_group = matches!(meant, Meant::Group(_));
    Fields::default()
        .with("feed", said.entry.map(|entry| ids::feed_text(&entry.0)))
        .with("seq", said.entry.map(|entry| entry.1))
        .with("id", said.entry.map(|entry| ids::entry_text(entry.2.as_bytes())))
        .with("account", ids::account_text(&said.author))
        .with("own", mine)
        .with("name", if mine { None } else { known.person_name(&said.author) })
        .with("to", if mine || is_group { meant.name() } else { None })
        .with("type", kind)
        .with("time", post.map(|post| post.time))
        .with("text", post.map(|post| post.text.clone()))
        .with("lamport", said.lamport)
        .with("parents", post.map(view::parents))
        .with("state", said.progress.map_or("received", progress_word))
        .with("handed_on_by", said.handed_by.map(|account| ids::account_text(&account)))
}

fn show(ctx: &mut Context, said: &Said, known: &Known) -> Result<(), CliError> {
    let zone: TimeZone = ctx.facts.zone();
    let Some(post) = view::post_of(&said.content) else { return Ok(()) };
    let who = known.person(&said.author);
    let mut parts = vec![who, when::shown(post.time, &zone)];
    if let Some((_, _, id)) = said.entry {
        parts.push(ids::short(&ids::entry_text(id.as_bytes())).to_owned());
    }
    parts.extend(said.progress.map(|progress| match progress {
        Progress::Unreadable => "not readable yet".to_owned(),
        other => progress_word(other).to_owned(),
    }));
    parts.extend(said.handed_by.map(|by| format!("handed on by {}", known.person(&by))));
    ctx.streams.line(&parts.join("  "))?;
    let words = text::safe_block(&post.text);
    ctx.streams.line(&text::wrap(words.trim_end(), ctx.facts.columns, INDENT))?;
    ctx.streams.line("")
}
