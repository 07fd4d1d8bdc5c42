//! From a command line to an exit code: who carries a command out, and where.
//!
//! A few commands need no home. Every other one first asks whoever holds the store to carry it out,
//! and only if nobody answers opens the store itself; then this process serves the others until its
//! own command is done.

use std::env;
use std::ffi::OsString;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use thistle_engine::{Node, Reader};

use crate::args::{self, Args, Bundle, Command, Contact, Debug, Device};
use crate::commands::{
    self, audit, bundle, contacts, devices, export, groups, import, init, keep, lock, meet, meta,
    people, read, status, write,
};
use crate::context::{Context, Shared, Streams};
use crate::control::{self, Asked, Request, Serve, Server};
use crate::debug;
use crate::facts::Facts;
use crate::home::{Home, Opened, Use};
use crate::host::Host;
use crate::log;
use crate::net::Net;
use crate::outcome::{CliError, Kind};
use crate::vault::Access;
use crate::village;

/// How long a command waits for others that hold the store and do not serve it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs the program; returns the exit code.
pub(crate) fn main() -> u8 {
    let words: Vec<OsString> = env::args_os().collect();
    let (args, name) = match args::parse(&words) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Where it cannot be printed, the exit code has to do.
            drop(error.print());
            return u8::try_from(error.exit_code()).unwrap_or(Kind::Usage.code());
        }
    };
    let mut streams = Streams {
        out: Box::new(BufWriter::new(io::stdout())),
        err: Shared::new(io::stderr()),
        json: args.json,
    };
    if let Err(error) = log::start() {
        return conclude(&mut streams, Err(error));
    }
    let begun = Instant::now();
    log::command(&name, false);
    let code = match homeless(&args, &mut streams) {
        Some(done) => conclude(&mut streams, done),
        None => with_home(args, words, streams),
    };
    log::done(code, begun);
    code
}

/// Carries out a command that needs no home, or makes one.
fn homeless(args: &Args, streams: &mut Streams) -> Option<Result<u8, CliError>> {
    let done = match &args.command {
        Command::Init(init) => Facts::here().and_then(|facts| {
            let home = Home::locate(args.home.as_deref(), facts.folder())?;
            init::run(init, &home, &facts, streams)
        }),
        Command::Restore(restore) => Facts::here().and_then(|facts| {
            let home = Home::locate(args.home.as_deref(), facts.folder())?;
            keep::restore(restore, &home, &facts, streams)
        }),
        Command::Passphrase(_) | Command::Lock | Command::Panic => {
            Facts::here().and_then(|facts| {
                let home = Home::locate(args.home.as_deref(), facts.folder())?;
                match &args.command {
                    Command::Passphrase(set) => lock::passphrase(set, &home, &facts, streams),
                    Command::Lock => lock::lock(&home, facts, streams),
                    _ => lock::panic(&home, facts, streams),
                }
            })
        }
        Command::Village(village) => {
            Facts::here().and_then(|facts| village::run(village, &facts, streams))
        }
        Command::Bundle(Bundle::Show(show)) => {
            Facts::here().and_then(|facts| bundle::show(show, &facts, streams))
        }
        Command::Debug(Debug::Decode(kind)) => {
            debug::run(true, &kind.kind, &mut io::stdin().lock(), &mut streams.out).map(|()| 0)
        }
        Command::Debug(Debug::Encode(kind)) => {
            debug::run(false, &kind.kind, &mut io::stdin().lock(), &mut streams.out).map(|()| 0)
        }
        Command::Completions(completions) => meta::completions(completions, streams),
        Command::Man => meta::man(streams),
        _ => return None,
    };
    Some(done)
}

/// Prints an error if there is one; returns the exit code.
fn conclude(streams: &mut Streams, done: Result<u8, CliError>) -> u8 {
    let done = match (done, streams.flush()) {
        // What was to be printed did not get out, so it was not done well.
        (Ok(_), Err(error)) => Err(error),
        (done, _) => done,
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            let mut told = Vec::new();
            let rendered =
                if streams.json { error.render_json(&mut told) } else { error.render(&mut told) };
            // Nobody is left to be told that nobody can be told.
            drop(rendered.and_then(|()| streams.err.write_all(&told)));
            error.code()
        }
    }
}

/// Carries out a command that needs the home, here or in the process that holds it.
fn with_home(args: Args, words: Vec<OsString>, mut streams: Streams) -> u8 {
    match enter(&args, words, &mut streams) {
        Err(error) => conclude(&mut streams, Err(error)),
        Ok(Entered::Served(code)) => conclude(&mut streams, Ok(code)),
        Ok(Entered::Holding(held)) => hold(args.command, *held, streams),
        Ok(Entered::Reading(reader, home, facts, access)) => {
            let (host, net) = (Host::absent(home.path(), access), Net::new());
            let (reading, input, caller) = (Some(*reader), None, None);
            perform(args.command, Context { streams, input, facts, host, reading, net, caller })
        }
    }
}

/// How a command got to the store.
enum Entered {
    /// Another process carried it out.
    Served(u8),
    /// The store is ours.
    Holding(Box<Held>),
    /// The store can be read.
    Reading(Box<Reader>, Home, Facts, Access),
}

/// What the holder of the store has in hand.
struct Held {
    node: Node,
    access: Access,
    home: Home,
    facts: Facts,
    input: Option<String>,
}

/// Gets the command carried out by whoever holds the store, or gets hold of the store.
fn enter(args: &Args, words: Vec<OsString>, streams: &mut Streams) -> Result<Entered, CliError> {
    let facts = Facts::here()?;
    let home = Home::locate(args.home.as_deref(), facts.folder())?;
    if let Command::Unlock(unlock) = &args.command
        && !unlock.hold
    {
        return lock::unlock(unlock, &home, facts, words, streams).map(Entered::Served);
    }
    let input = commands::input::read(&args.command, &home, streams)?;
    let mut access = lock::handed(&args.command)?;
    let holds = access.is_some();
    if !holds {
        access = home.given()?;
    }
    let mut request = Request::new(words, input, facts);
    request.profile = access.as_ref().and_then(Access::profile);
    let (mut begun, purpose) = (Instant::now(), purpose_of(&args.command));
    loop {
        let asked =
            if holds { Asked::Nobody } else { control::ask(&home.socket(), &request, streams)? };
        log::asked(asked.name());
        match asked {
            Asked::Done(code) if code != control::NOT_FOR_OTHERS => {
                return Ok(Entered::Served(code));
            }
            Asked::Cut { printed } if printed || !is_repeatable(&args.command) => {
                return Err(CliError::new(
                    Kind::Store,
                    "the command that held the home ended before this one was done",
                )
                .hint("look with `thistle query` whether it was done, and run it again if not"));
            }
            Asked::Cut { .. } | Asked::Nobody => {
                let access = if let Some(access) = &access {
                    access.clone()
                } else {
                    let found = home.access()?;
                    // A person who types is not in a hurry.
                    begun = Instant::now();
                    access.insert(found).clone()
                };
                match home.open(&access, request.facts.now(), purpose)? {
                    Opened::Reader(reader) => {
                        return Ok(Entered::Reading(reader, home, request.facts, access));
                    }
                    Opened::Node(node) => {
                        let Request { input, facts, .. } = request;
                        let held = Held { node: *node, access, home, facts, input };
                        return Ok(Entered::Holding(Box::new(held)));
                    }
                    Opened::Taken => {}
                }
            }
            Asked::Handed(bytes) => access = Access::from_bytes(&bytes),
            Asked::Done(_) | Asked::NotNow => {}
        }
        if begun.elapsed() > PATIENCE {
            return Err(home.busy());
        }
        thread::sleep(PAUSE);
    }
}

/// What a command does with the store.
const fn purpose_of(command: &Command) -> Use {
    match command {
        Command::Read(args) if args.with.is_some() => Use::Write,
        Command::Query(_)
        | Command::Read(_)
        | Command::Feeds
        | Command::Contacts
        | Command::Groups
        | Command::Devices
        | Command::Contact(Contact::Introductions)
        | Command::Status => Use::Glance,
        Command::Export(_)
        | Command::Backup(_)
        | Command::Audit(_)
        | Command::Bundle(Bundle::Create(_)) => Use::Read,
        Command::Doctor(args) if !args.repair => Use::Read,
        _ => Use::Write,
    }
}

/// Whether doing it twice is the same as doing it once.
const fn is_repeatable(command: &Command) -> bool {
    !matches!(
        command,
        Command::Write(_)
            | Command::Retract(_)
            | Command::Profile(_)
            | Command::Confirm
            | Command::Contact(Contact::Introduce(_))
            | Command::Device(_)
    )
}

/// Carries the command out on the store that this process holds, and serves others meanwhile.
fn hold(command: Command, held: Held, mut streams: Streams) -> u8 {
    let Held { node, access, home, facts, input } = held;
    let stays = matches!(command, Command::Unlock(_));
    let (host, thread) = match Host::start(node, home.path(), access) {
        Ok(started) => started,
        Err(error) => return conclude(&mut streams, Err(error)),
    };
    let net = Net::new();
    let serve: Arc<Serve> = {
        let (host, net) = (host.clone(), Arc::clone(&net));
        Arc::new(move |request, streams, caller| {
            serve(&host, &net, stays, request, streams, caller)
        })
    };
    let server = Server::start(home.socket(), serve);
    let (watched, mut err) = (facts.watched, streams.err.clone());
    let (net_of, reading, caller) = (Arc::clone(&net), None, None);
    let context = Context { streams, input, facts, host, reading, net: net_of, caller };
    let code = match (&command, &server) {
        (Command::Unlock(unlock), Some(server)) => lock::hold(context, unlock, server),
        (Command::Unlock(_), None) => lock::no_socket(context),
        _ => perform(command, context),
    };
    if let Some(server) = server {
        server.finish(|| {
            if watched {
                drop(writeln!(err, "waiting for another command that uses this home"));
            }
        });
    }
    // Its threads hold on to the node.
    drop(net);
    match thread.join() {
        Ok(()) => code,
        Err(error) => error.code(),
    }
}

/// Carries out what another process asks for.
fn serve(
    host: &Host,
    net: &Arc<Net>,
    stays: bool,
    request: Request,
    mut streams: Streams,
    mut caller: UnixStream,
) -> u8 {
    let Request { words, input, facts, profile, .. } = request;
    match args::parse(&words) {
        Ok((args, name)) => {
            let begun = Instant::now();
            log::command(&name, true);
            streams.json = args.json;
            if lock::is_other(profile, host) {
                // A short command is waited for.
                if stays || net.address().is_some() {
                    return conclude(&mut streams, Err(lock::other_is_open()));
                }
                return control::NOT_FOR_OTHERS;
            }
            // Whoever listens holds the home itself; the caller waits until it can.
            if matches!(args.command, Command::Listen(_)) && net.address().is_none() {
                if stays {
                    lock::hand_over(host, &mut caller);
                }
                return control::NOT_FOR_OTHERS;
            }
            if let Some(done) = lock::served(&args.command, host, &mut streams) {
                return conclude(&mut streams, done);
            }
            let (host, net, caller) = (host.clone(), Arc::clone(net), Some(caller));
            let reading = None;
            let context = Context { streams, input, facts, host, reading, net, caller };
            let code = perform(args.command, context);
            log::done(code, begun);
            code
        }
        Err(error) => {
            streams.note(&error.to_string());
            Kind::Usage.code()
        }
    }
}

/// Carries out a command on a node.
fn perform(command: Command, mut context: Context) -> u8 {
    let ctx = &mut context;
    let done = match command {
        Command::Write(args) => write::write(ctx, &args),
        Command::Retract(args) => write::retract(ctx, &args),
        Command::Delete(args) => write::delete(ctx, &args),
        Command::Receipts(args) => contacts::receipts(ctx, args.switch),
        Command::Profile(args) => write::profile(ctx, &args),
        Command::Import(args) => import::run(ctx, &args),
        Command::Read(args) => read::read(ctx, &args),
        Command::Query(args) => read::query(ctx, &args),
        Command::Follow(args) => people::follow(ctx, &args),
        Command::Hops(args) => people::hops(ctx, &args),
        Command::Radio(args) => people::radio(ctx, &args),
        Command::Unfollow(args) => people::unfollow(ctx, &args.feed),
        Command::Block(args) => people::block(ctx, &args.feed),
        Command::Unblock(args) => people::unblock(ctx, &args.feed),
        Command::Name(args) => people::name(ctx, &args),
        Command::Contact(args) => contacts::run(ctx, &args),
        Command::Contacts => contacts::list(ctx),
        Command::Group(args) => groups::change(ctx, &args),
        Command::Groups => groups::list(ctx),
        Command::Device(Device::Revoke(args)) => devices::revoke(ctx, &args.feed),
        Command::Devices => devices::list(ctx),
        Command::Feeds => people::feeds(ctx),
        Command::Bundle(Bundle::Create(args)) => bundle::create(ctx, &args),
        Command::Bundle(Bundle::Read(args)) => bundle::read(ctx, &args),
        Command::Export(args) => export::run(ctx, &args.feed),
        Command::Listen(args) => meet::listen(ctx, &args),
        Command::Address => meet::own(ctx),
        Command::Sync(args) => meet::sync(ctx, &args),
        Command::Status => status::status(ctx),
        Command::Doctor(args) => status::doctor(ctx, &args),
        Command::Audit(args) => audit::run(ctx, &args),
        Command::Backup(args) => keep::backup(ctx, &args),
        Command::Compact => keep::compact(ctx),
        Command::Quota(args) => status::quota(ctx, &args),
        Command::Confirm => write::confirm(ctx),
        Command::Bundle(Bundle::Show(_))
        | Command::Init(_)
        | Command::Restore(_)
        | Command::Passphrase(_)
        | Command::Lock
        | Command::Unlock(_)
        | Command::Panic
        | Command::Village(_)
        | Command::Debug(_)
        | Command::Completions(_)
        | Command::Man => unreachable!("`homeless` carries these out"),
    };
    conclude(&mut context.streams, done)
}
