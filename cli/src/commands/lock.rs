//! `passphrase`, `lock`, `unlock` and `panic`: what opens the home, for how long, and never again.
//!
//! None of these needs the store: who forgets everything else can still lock and destroy.

use std::env;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command as Process, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use thistle_engine::account::AccountKey;
use thistle_engine::{Slot, Unsealed};
use zeroize::Zeroizing;

use crate::args::{self, Command};
use crate::commands::init;
use crate::context::{Context, Streams};
use crate::control::{self, Asked, Request, Server};
use crate::facts::{self, Facts};
use crate::home::{self, Home, Opened, Use, disk_fault};
use crate::host::Host;
use crate::outcome::{CliError, Kind};
use crate::passphrase::{self, Passphrase};
use crate::vault::{self, Access};
use crate::view::Fields;
use crate::when;

/// How long a command waits for others that use the home.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it tries.
const PAUSE: Duration = Duration::from_millis(20);
/// How often an open home looks whether it has been idle for too long.
const LOOK: Duration = Duration::from_millis(500);
/// What the process that holds the home open says once it does.
const READY: &str = "ready";

// ---- passphrase ----

/// `passphrase`.
pub(crate) fn passphrase(
    args: &args::SetPassphrase,
    home: &Home,
    facts: &Facts,
    streams: &mut Streams,
) -> Result<u8, CliError> {
    home.expect_some()?;
    let is_locked = home.is_locked().map_err(|error| disk_fault("look at", home.path(), &error))?;
    match (is_locked, &args.name) {
        (false, Some(_)) => Err(CliError::new(Kind::Input, "this home has no passphrase yet")
            .since("a second profile is worth nothing beside a plain one")
            .hint("set one for this profile first: `thistle passphrase`")),
        (false, None) => set(home, facts, streams),
        (true, None) => change(home, streams),
        (true, Some(name)) => second(name, home, facts, streams),
    }
}

/// The passphrase that is to be set.
fn new_passphrase() -> Result<Passphrase, CliError> {
    if let Some(passphrase) = Passphrase::named_by(passphrase::NEW_FILE)? {
        return Ok(passphrase);
    }
    let typed = Passphrase::asked_twice()?;
    typed.ok_or_else(|| passphrase::nobody_to_ask(passphrase::NEW_FILE))
}

/// Locks a home that was plain.
fn set(home: &Home, facts: &Facts, streams: &mut Streams) -> Result<u8, CliError> {
    let new = match Passphrase::named_by(passphrase::NEW_FILE)? {
        Some(new) => new,
        None => match Passphrase::named_by(passphrase::FILE)? {
            Some(new) => new,
            None => new_passphrase()?,
        },
    };
    let plain = alone(home, facts)?;
    home.lock_up(&new, &plain)?;
    drop(plain);
    if streams.json {
        streams.object(&Fields::default().with("locked", true))?;
        return Ok(0);
    }
    streams.line("Encrypted: from now on this home opens with the passphrase alone.")?;
    streams.line(
        "The plain store was overwritten and removed; a disk that moves what it writes (an SSD, a\n\
         card, snapshots) may still keep parts of it.",
    )?;
    Ok(0)
}

/// The plain store with everything in it, and nobody else using it.
fn alone(home: &Home, facts: &Facts) -> Result<File, CliError> {
    let begun = Instant::now();
    loop {
        if let Opened::Node(node) = home.open(&Access::Plain, facts.now(), Use::Write)? {
            // Closed well, it is whole in its file.
            drop(node);
            let file = OpenOptions::new().read(true).write(true).open(Home::store_in(home.path()));
            let file = file.map_err(|error| disk_fault("open the home in", home.path(), &error))?;
            if file.try_lock().is_ok() {
                return Ok(file);
            }
        }
        if begun.elapsed() > PATIENCE {
            return Err(home.busy());
        }
        thread::sleep(PAUSE);
    }
}

/// Changes the passphrase of the profile that the one in force opens.
fn change(home: &Home, streams: &mut Streams) -> Result<u8, CliError> {
    let unsealed = home.unsealed(&home.passphrase()?)?;
    seal(home, &unsealed)?;
    if streams.json {
        streams.object(&Fields::default().with("locked", true))?;
    } else {
        streams.line("Changed: the passphrase of before opens nothing any more.")?;
        streams.line("Backups that were made with it still open with it.")?;
    }
    Ok(0)
}

/// Seals the key of a store with a new passphrase, which must not be that of the other one.
fn seal(home: &Home, unsealed: &Unsealed) -> Result<(), CliError> {
    let refused = |error| disk_fault("change the keys of", home.path(), &error);
    let new = new_passphrase()?;
    let keyring = home.keyring()?;
    let stretched = keyring.stretch(new.bytes()).map_err(refused)?;
    let found = keyring.open(&stretched).map_err(refused)?;
    if found.is_some_and(|found| found.slot != unsealed.slot) {
        return Err(CliError::new(Kind::Input, "this passphrase is in use here already")
            .hint("each profile has one of its own"));
    }
    keyring.set(unsealed, &stretched, home::fresh_seed()?.expose()).map_err(refused)
}

/// Makes a second profile.
fn second(name: &str, home: &Home, facts: &Facts, streams: &mut Streams) -> Result<u8, CliError> {
    let name = init::checked_name(name)?;
    let unsealed = home.unsealed(&home.passphrase()?)?;
    if unsealed.slot == Slot::Second {
        return Err(CliError::new(Kind::Input, "this passphrase opens the second profile")
            .hint("give that of the first one, and the second is made anew"));
    }
    home.complete_form()?;
    let second = Unsealed { slot: Slot::Second, key: home::fresh_seed()? };
    let phrase = init::phrase(false, streams)?;
    let account = AccountKey::from_phrase(&phrase);
    let node = home.create_second(&account, &name, &second.key, facts.now())?;
    let me = node.me().map_err(|error| home.store_fault(&error))?;
    drop(node);
    init::show(&me, home, (&phrase, false), streams)?;
    seal(home, &second)?;
    Ok(0)
}

// ---- lock ----

/// `lock`.
pub(crate) fn lock(home: &Home, facts: Facts, streams: &mut Streams) -> Result<u8, CliError> {
    home.expect_some()?;
    let request = Request::new(words("lock", streams), None, facts);
    let begun = Instant::now();
    loop {
        match control::ask(&home.socket(), &request, streams)? {
            Asked::Done(code) => return Ok(code),
            // Its last answer was lost, but it is gone.
            Asked::Nobody | Asked::Cut { .. } | Asked::Handed(_) => break,
            Asked::NotNow => {}
        }
        if begun.elapsed() > PATIENCE {
            return Err(home.busy());
        }
        thread::sleep(PAUSE);
    }
    let fault = |error| disk_fault("look at", home.path(), &error);
    if !home.is_locked().map_err(fault)? {
        return Err(no_passphrase());
    }
    home.sweep(&[]).map_err(fault)?;
    locked(streams)
}

/// The words that a holder understands, whatever was typed here.
fn words(command: &str, streams: &Streams) -> Vec<OsString> {
    let json = streams.json.then_some("--json");
    ["thistle", command].into_iter().chain(json).map(OsString::from).collect()
}

fn no_passphrase() -> CliError {
    CliError::new(Kind::Input, "this home has no passphrase, so nothing locks it")
        .hint("set one: `thistle passphrase`")
}

fn locked(streams: &mut Streams) -> Result<u8, CliError> {
    if streams.json {
        streams.object(&Fields::default().with("locked", true))?;
    } else {
        streams.line("Locked")?;
    }
    Ok(0)
}

// ---- unlock ----

/// `unlock`: starts the process that holds the home open, and waits until it does.
pub(crate) fn unlock(
    args: &args::Unlock,
    home: &Home,
    facts: Facts,
    words: Vec<OsString>,
    streams: &mut Streams,
) -> Result<u8, CliError> {
    let idle = when::lasting(&args.idle)?;
    home.expect_some()?;
    let given = home.given()?;
    let mut request = Request::new(words, None, facts);
    request.profile = given.as_ref().and_then(Access::profile);
    if let Asked::Done(code) = control::ask(&home.socket(), &request, streams)?
        && code != control::NOT_FOR_OTHERS
    {
        return Ok(code);
    }
    let access = given.map_or_else(|| home.access(), Ok)?;
    if access == Access::Plain {
        return Err(no_passphrase());
    }
    let failed = |error: io::Error| {
        CliError::new(Kind::Store, "no process can be started that keeps the home open")
            .because(&error)
    };
    let path = std::path::absolute(home.path()).map_err(failed)?;
    let mut child = Process::new(env::current_exe().map_err(failed)?)
        .arg("--home")
        .arg(path)
        .args(["unlock", "--hold", "--idle", &args.idle])
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // If it is gone already it says why.
        drop(stdin.write_all(&access.to_bytes()));
    }
    drop(access);
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut said).map_err(failed)?;
    }
    if said.trim_end() != READY {
        let mut why = Vec::new();
        if let Some(mut stderr) = child.stderr.take() {
            stderr.read_to_end(&mut why).map_err(failed)?;
        }
        drop(streams.err.write_all(&why));
        let code = child.wait().map_err(failed)?.code().and_then(|code| u8::try_from(code).ok());
        return Ok(code.unwrap_or(Kind::Store.code()));
    }
    opened(idle, streams)
}

fn opened(idle: u64, streams: &mut Streams) -> Result<u8, CliError> {
    if streams.json {
        let fields = Fields::default().with("locked", false).with("idle_seconds", idle);
        streams.object(&fields)?;
    } else if idle == 0 {
        streams.line("Open until `thistle lock`")?;
    } else {
        let (count, one, several) = match idle {
            idle if idle.is_multiple_of(3600) => (idle / 3600, "hour", "hours"),
            idle if idle.is_multiple_of(60) => (idle / 60, "minute", "minutes"),
            idle => (idle, "second", "seconds"),
        };
        let idle = when::counted(count, one, several);
        streams.line(&format!("Open until `thistle lock`, or until {idle} without a command"))?;
    }
    Ok(0)
}

/// What opens the home, if the command was started by `unlock` and is handed it.
pub(crate) fn handed(command: &Command) -> Result<Option<Access>, CliError> {
    let Command::Unlock(unlock) = command else { return Ok(None) };
    if !unlock.hold {
        return Ok(None);
    }
    vault::keep_out_of_dumps();
    // A terminal that is closed takes nothing with it that is not its own.
    _ = rustix::process::setsid();
    let mut bytes = Zeroizing::new(Vec::with_capacity(64));
    let read = io::stdin().lock().take(64).read_to_end(&mut bytes);
    let access = read.ok().and_then(|_| Access::from_bytes(&bytes));
    let fault = || CliError::new(Kind::Usage, "`--hold` is for `thistle unlock` alone");
    access.map(Some).ok_or_else(fault)
}

/// Holds the home open until it is locked, or idle for too long.
pub(crate) fn hold(mut ctx: Context, args: &args::Unlock, server: &Server) -> u8 {
    let idle = when::lasting(&args.idle).unwrap_or(0).saturating_mul(1000);
    let (told, gone) = channel();
    ctx.host.watch(move |event| event.is_some() || told.send(()).is_err());
    ctx.host.stay(ctx.facts.clocks());
    let begun = facts::tick();
    if ctx.streams.line(READY).and_then(|()| ctx.streams.flush()).is_err() {
        // Nobody waits for it any more.
        ctx.host.lock();
    }
    loop {
        match gone.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return 0,
        }
        let since = server.idle_since().map(|since| since.max(begun));
        let is_idle = since.is_some_and(|since| facts::tick().saturating_sub(since) >= idle);
        if idle > 0 && is_idle {
            ctx.host.lock();
        }
    }
}

/// Says that the home cannot be held open for others.
pub(crate) fn no_socket(mut ctx: Context) -> u8 {
    let error = CliError::new(Kind::Store, "no other command could reach this home")
        .since("its file system knows no sockets")
        .hint("say in `THISTLE_PASSPHRASE_FILE` which file holds the passphrase");
    let mut told = Vec::new();
    drop(error.render(&mut told).and_then(|()| ctx.streams.err.write_all(&told)));
    error.code()
}

// ---- panic ----

/// `panic`.
pub(crate) fn panic(home: &Home, facts: Facts, streams: &mut Streams) -> Result<u8, CliError> {
    home.expect_some()?;
    let was_plain = home.destroy()?;
    if streams.json {
        streams.object(&Fields::default().with("destroyed", true).with("plain", was_plain))?;
    } else {
        streams.line("Destroyed: nothing opens this home any more.")?;
        if was_plain {
            streams.line(
                "It had no passphrase: its files are removed, but until the disk overwrites them \
                 they can perhaps\nbe found on it.",
            )?;
        }
    }
    streams.flush()?;
    // Whoever holds the home open has its keys in memory.
    let request = Request::new(words("panic", streams), None, facts);
    drop(control::ask(&home.socket(), &request, streams));
    home.destroy_again()?;
    Ok(0)
}

// ---- In the process that holds the home ----

/// Whether a command was given the passphrase of the profile that is not open here.
pub(crate) fn is_other(profile: Option<u8>, host: &Host) -> bool {
    let open = host.access().and_then(|access| access.profile());
    profile.is_some() && open.is_some() && profile != open
}

/// Says so. Nobody learns it who could not open that profile.
pub(crate) fn other_is_open() -> CliError {
    CliError::new(Kind::Busy, "the other profile of this home is open")
        .hint("lock it with `thistle lock`, and run the command again")
}

/// Carries out what another process asks for and what is about the holder itself.
pub(crate) fn served(
    command: &Command,
    host: &Host,
    streams: &mut Streams,
) -> Option<Result<u8, CliError>> {
    let is_locked = || host.access().is_some_and(|access| access.unsealed().is_some());
    match command {
        Command::Lock if host.access().is_some() && !is_locked() => Some(Err(no_passphrase())),
        Command::Lock => {
            host.lock();
            Some(locked(streams))
        }
        Command::Panic => {
            host.lock();
            Some(Ok(0))
        }
        Command::Unlock(_) if is_locked() => Some(already_open(streams)),
        Command::Unlock(_) => Some(Err(no_passphrase())),
        _ => None,
    }
}

fn already_open(streams: &mut Streams) -> Result<u8, CliError> {
    if streams.json {
        streams.object(&Fields::default().with("locked", false))?;
    } else {
        streams.line("Open already")?;
    }
    Ok(0)
}

/// Hands what opens the home to a command that has to hold it itself, and lets go of it.
pub(crate) fn hand_over(host: &Host, caller: &mut UnixStream) {
    let Some(access) = host.access() else { return };
    drop(control::hand_over(caller, &access.to_bytes()));
    host.lock();
}
