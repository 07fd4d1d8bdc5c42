//! The control socket: whoever holds the store serves the commands of all others.
//!
//! A store can be open in one process only, and a person runs a second command while a long one
//! works. So the holder listens at a socket in the home; any other command sends what was typed and
//! relays what comes back. A command that was accepted is served to its end; one that was not, by a
//! holder that is closing or of another version, is told nothing and tries again.
//!
//! On the socket: frames of a kind (one byte), a length (four, big-endian) and that many bytes. The
//! request is JSON, what is printed travels as it is.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::context::{Shared, Streams};
use crate::facts::{self, Facts};
use crate::outcome::{CliError, Kind};

/// What was typed, and where.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The version of the program that asks; another one may understand the words differently.
    version: String,
    /// The command line, the program's name first.
    pub(crate) words: Vec<OsString>,
    /// What was on standard input, if the command reads it.
    pub(crate) input: Option<String>,
    /// Where it was typed.
    pub(crate) facts: Facts,
    /// The profile that the passphrase opened which was given with it, if one was.
    pub(crate) profile: Option<u8>,
}

impl Request {
    /// Puts a request together.
    pub(crate) fn new(words: Vec<OsString>, input: Option<String>, facts: Facts) -> Self {
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), words, input, facts, profile: None }
    }
}

/// What came of asking the holder of the store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It was done, with this exit code.
    Done(u8),
    /// Nobody listens.
    Nobody,
    /// Somebody listens but takes nothing on now.
    NotNow,
    /// It was begun, and then the holder was gone.
    Cut {
        /// Whether anything was printed.
        printed: bool,
    },
    /// The holder gives the home up and hands on what opens it.
    Handed(Zeroizing<Vec<u8>>),
}

impl Asked {
    /// A word for it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Nobody => "nobody",
            Self::NotNow => "not now",
            Self::Cut { .. } => "cut",
            Self::Handed(_) => "handed",
        }
    }
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum FrameKind {
    Request = b'r',
    Accepted = b'a',
    Out = b'o',
    Err = b'e',
    Exit = b'x',
    Key = b'k',
}

/// Largest frame with something printed.
const PRINTED_BYTES: usize = 64 * 1024;
/// Largest request: a message, and what the system allows of words.
const REQUEST_BYTES: usize = 8 * 1024 * 1024;
/// Printed frames that may wait in the caller while its output is slow (a pager): 64 MiB.
const WAITING_FRAMES: usize = 1024;
/// Commands served at once.
const SERVED: usize = 64;
/// How long a request may take to come, and its acceptance.
const GREETING: Duration = Duration::from_secs(5);
/// How long a caller may refuse to take what was printed.
const STALLED: Duration = Duration::from_mins(1);
/// The exit code, of no command, that says that the holder cannot do this for others.
pub(crate) const NOT_FOR_OTHERS: u8 = 255;
/// The longest path that every system takes for a socket.
const SOCKET_PATH: usize = 100;

/// Serves one request: returns the exit code.
pub(crate) type Serve = dyn Fn(Request, Streams, UnixStream) -> u8 + Send + Sync;

// ---- The caller ----

/// Lets the holder of the store, if there is one, do what was typed.
pub(crate) fn ask(
    socket: &Path,
    request: &Request,
    streams: &mut Streams,
) -> Result<Asked, CliError> {
    let Ok(mut stream) = at_short_path(socket, |path| UnixStream::connect(path)) else {
        return Ok(Asked::Nobody);
    };
    let words = serde_json::to_vec(request).map_err(|error| {
        CliError::new(Kind::Input, "the command line cannot be handed on").because(&error)
    })?;
    let greet = |stream: &mut UnixStream| -> io::Result<(FrameKind, Vec<u8>)> {
        stream.set_read_timeout(Some(GREETING))?;
        stream.set_write_timeout(Some(GREETING))?;
        write_frame(stream, FrameKind::Request, &words)?;
        let accepted = read_frame(stream, PRINTED_BYTES)?;
        stream.set_read_timeout(None)?;
        Ok(accepted)
    };
    match greet(&mut stream) {
        Ok((FrameKind::Accepted, _)) => relay(stream, streams),
        Ok(_) | Err(_) => Ok(Asked::NotNow),
    }
}

/// Prints what comes back, until the exit code.
fn relay(mut stream: UnixStream, streams: &mut Streams) -> Result<Asked, CliError> {
    // Taken off the socket by a thread of its own: a pager that stands still must not keep the
    // holder of the store from going home.
    let (frames, waiting) = sync_channel(WAITING_FRAMES);
    let take = move || {
        while let Ok(frame) = read_frame(&mut stream, PRINTED_BYTES) {
            let last = frame.0 == FrameKind::Exit;
            if frames.send(frame).is_err() || last {
                break;
            }
        }
    };
    thread::Builder::new().spawn(take).map_err(|error| {
        CliError::new(Kind::Store, "the system starts no thread").because(&error)
    })?;
    let mut printed = false;
    for (kind, bytes) in waiting {
        printed = true;
        match kind {
            FrameKind::Key => return Ok(Asked::Handed(Zeroizing::new(bytes))),
            FrameKind::Exit => return Ok(Asked::Done(bytes.first().copied().unwrap_or(70))),
            FrameKind::Err => drop(streams.err.write_all(&bytes)),
            FrameKind::Out => {
                let done = streams.out.write_all(&bytes).and_then(|()| streams.out.flush());
                done.map_err(|error| CliError::output(&error))?;
            }
            FrameKind::Request | FrameKind::Accepted => break,
        }
    }
    Ok(Asked::Cut { printed })
}

// ---- The holder ----

/// The holder's side: a thread that accepts, and one for each command.
pub(crate) struct Server {
    socket: PathBuf,
    served: Arc<Served>,
    thread: JoinHandle<()>,
}

/// How many commands are being served, and whether more are taken on.
#[derive(Debug, Default)]
struct Served {
    now: Mutex<Serving>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Serving {
    active: usize,
    closing: bool,
    /// When the last one was done, on the clock that counts sleep.
    last: u64,
}

impl Server {
    /// Listens in the home of the store that this process holds. Nobody else can have a claim to
    /// the socket then, so one that is there was left by a process that died.
    ///
    /// Where the file system knows no sockets, other commands wait their turn instead.
    pub(crate) fn start(socket: PathBuf, serve: Arc<Serve>) -> Option<Self> {
        drop(fs::remove_file(&socket));
        let listener = at_short_path(&socket, |path| UnixListener::bind(path)).ok()?;
        fs::set_permissions(&socket, Permissions::from_mode(0o600)).ok()?;
        let served = Arc::new(Served::default());
        let accepting = Arc::clone(&served);
        let thread = thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || accept(&listener, &accepting, &serve))
            .ok()?;
        Some(Self { socket, served, thread })
    }

    /// Since when, on the clock that counts sleep, nobody is served; none: somebody is.
    pub(crate) fn idle_since(&self) -> Option<u64> {
        let now = self.served.lock();
        (now.active == 0).then_some(now.last)
    }

    /// Serves to the end what is being served, then closes. `waiting` is called once if that takes
    /// longer than a moment.
    pub(crate) fn finish(self, waiting: impl FnOnce()) {
        let mut waiting = Some(waiting);
        let mut now = self.served.lock();
        while now.active > 0 {
            let (next, late) = self
                .served
                .changed
                .wait_timeout(now, Duration::from_secs(1))
                .unwrap_or_else(PoisonError::into_inner);
            now = next;
            if late.timed_out()
                && let Some(waiting) = waiting.take()
            {
                waiting();
            }
        }
        now.closing = true;
        drop(now);
        // The thread sleeps until somebody knocks.
        drop(at_short_path(&self.socket, |path| UnixStream::connect(path)));
        drop(fs::remove_file(&self.socket));
        drop(self.thread.join());
    }
}

impl Served {
    fn lock(&self) -> MutexGuard<'_, Serving> {
        // Two numbers: a panic leaves nothing half done.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a command as served until dropped.
struct Place(Arc<Served>);

/// Why a command is not taken on.
enum NoPlace {
    /// Nor will another one be.
    Closing,
    /// Too many are being served at this moment.
    Full,
}

impl Place {
    fn take(served: &Arc<Served>) -> Result<Self, NoPlace> {
        let mut now = served.lock();
        if now.closing {
            return Err(NoPlace::Closing);
        }
        if now.active >= SERVED {
            return Err(NoPlace::Full);
        }
        now.active += 1;
        Ok(Self(Arc::clone(served)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut now = self.0.lock();
        now.active -= 1;
        now.last = facts::tick();
        drop(now);
        self.0.changed.notify_all();
    }
}

fn accept(listener: &UnixListener, served: &Arc<Served>, serve: &Arc<Serve>) {
    loop {
        let stream = listener.accept();
        match (stream, Place::take(served)) {
            (_, Err(NoPlace::Closing)) => return,
            (Ok((stream, _)), Ok(place)) => {
                let serve = Arc::clone(serve);
                let work = move || {
                    let _place = place;
                    // A caller that broke off has nobody to tell.
                    drop(attend(stream, &*serve));
                };
                // Without a thread the stream is dropped, and the caller tries again.
                drop(thread::Builder::new().name("caller".to_owned()).spawn(work));
            }
            // Without an answer the caller tries again.
            (Ok(_), Err(NoPlace::Full)) => {}
            // Out of files or memory: that passes, but not by asking at once again.
            (Err(_), _) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Serves one caller.
fn attend(mut stream: UnixStream, serve: &Serve) -> io::Result<()> {
    stream.set_read_timeout(Some(GREETING))?;
    stream.set_write_timeout(Some(STALLED))?;
    let (kind, words) = read_frame(&mut stream, REQUEST_BYTES)?;
    let request: Request = match kind {
        FrameKind::Request => serde_json::from_slice(&words)?,
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    if request.version != env!("CARGO_PKG_VERSION") {
        return Err(io::ErrorKind::Unsupported.into());
    }
    write_frame(&mut stream, FrameKind::Accepted, &[])?;
    let printer =
        |kind| -> io::Result<Printer> { Ok(Printer { kind, stream: stream.try_clone()? }) };
    let streams = Streams {
        out: Box::new(BufWriter::with_capacity(PRINTED_BYTES, printer(FrameKind::Out)?)),
        err: Shared::new(printer(FrameKind::Err)?),
        json: false,
    };
    let caller = stream.try_clone()?;
    let code = panic::catch_unwind(AssertUnwindSafe(|| serve(request, streams, caller)));
    write_frame(&mut stream, FrameKind::Exit, &[code.unwrap_or(Kind::Bug.code())])
}

/// A stream whose writes become frames. Two of them share a socket, but never at once: a command
/// writes from one thread.
#[derive(Debug)]
struct Printer {
    kind: FrameKind,
    stream: UnixStream,
}

impl Write for Printer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = &bytes[..bytes.len().min(PRINTED_BYTES)];
        write_frame(&mut self.stream, self.kind, taken)?;
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hands what opens the home to the caller, in place of anything printed.
pub(crate) fn hand_over(caller: &mut UnixStream, access: &[u8]) -> io::Result<()> {
    write_frame(caller, FrameKind::Key, access)
}

// ---- Both ----

fn write_frame(stream: &mut UnixStream, kind: FrameKind, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut frame = Vec::with_capacity(bytes.len() + 5);
    frame.push(kind as u8);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(bytes);
    stream.write_all(&frame)
}

fn read_frame(stream: &mut UnixStream, limit: usize) -> io::Result<(FrameKind, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    let known = [
        FrameKind::Request,
        FrameKind::Accepted,
        FrameKind::Out,
        FrameKind::Err,
        FrameKind::Exit,
        FrameKind::Key,
    ];
    let kind = known.into_iter().find(|known| *known as u8 == kind);
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    match kind {
        Some(kind) if length <= limit => {
            let mut bytes = vec![0; length];
            stream.read_exact(&mut bytes)?;
            Ok((kind, bytes))
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Does something at a socket's path, by way of the open folder if the path is too long for one.
fn at_short_path<T>(socket: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if socket.as_os_str().as_bytes().len() <= SOCKET_PATH {
        return act(socket);
    }
    let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = File::open(folder)?;
    act(&Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name))
}
