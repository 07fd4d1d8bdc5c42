//! The thread on which the node lives, and the queue before it.
//!
//! Commands of several people and programs share one node, and so do the links to other nodes. Each
//! asks for short steps, one after the other. A command waits for each of its steps and a link for a
//! turn, so the queue is short, and whoever asks much waits as often as whoever asks little. Reading
//! needs no step beyond taking a snapshot. What the node has to say goes to whoever caused it; what
//! it sends over a link goes to that link, whatever caused it. After a disk fault the node is
//! dropped and every later step is refused: only opening the store again is safe.

mod links;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use thistle_engine::time::Now;
use thistle_engine::{Event, Input, Node, Reader, StoreError};

use crate::facts::Clocks;
use crate::home;
use crate::log;
use crate::outcome::{CliError, Kind};
use crate::vault::Access;
use links::Links;

pub(crate) use links::{Opened, Port, Word};

/// How long nothing may be asked for before work behind is done.
const QUIET: Duration = Duration::from_millis(100);
/// How often work behind is looked for when nothing happens: lifetimes end by the minute.
const REST: Duration = Duration::from_mins(1);

type Step = Box<dyn FnOnce(&mut Hosted) -> Fate + Send>;
/// Hears an event, or that there is no node any more; says whether it wants to hear more.
type Watcher = Box<dyn FnMut(Option<&Event>) -> bool + Send>;

/// Whether the node can still be used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Sound,
    Broken,
}

/// The node, and what belongs to it on its thread.
struct Hosted {
    node: Node,
    links: Links,
    /// The clocks by which work behind is done unasked, if it is.
    clocks: Option<Clocks>,
    /// Whether work behind may be left.
    restless: bool,
    /// Those who want to hear what nobody asked for.
    watchers: Vec<Watcher>,
    /// Why the node was dropped.
    fault: Arc<OnceLock<CliError>>,
    home: Arc<Path>,
    /// Those who wait until the node is gone: they hear that nobody is left to tell them anything.
    leaving: Vec<Sender<()>>,
}

/// A handle by which commands and links reach the node.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    steps: Sender<Step>,
    home: Arc<Path>,
    fault: Arc<OnceLock<CliError>>,
    /// How the store was opened; nothing once it is locked.
    access: Arc<Mutex<Option<Access>>>,
}

/// The thread of the node; it ends once every [`Host`] is gone.
#[derive(Debug)]
pub(crate) struct HostThread(JoinHandle<()>);

impl Host {
    /// Puts the node on a thread of its own.
    pub(crate) fn start(
        node: Node,
        home: &Path,
        access: Access,
    ) -> Result<(Self, HostThread), CliError> {
        let (steps, queue) = channel::<Step>();
        let access = Arc::new(Mutex::new(Some(access)));
        let host = Self { steps, home: home.into(), fault: Arc::default(), access };
        let hosted = Hosted {
            node,
            links: Links::default(),
            clocks: None,
            restless: true,
            watchers: Vec::new(),
            fault: Arc::clone(&host.fault),
            home: Arc::clone(&host.home),
            leaving: Vec::new(),
        };
        let work = move || hosted.work(&queue);
        let thread =
            thread::Builder::new().name("node".to_owned()).spawn(work).map_err(|error| {
                CliError::new(Kind::Store, "the system starts no thread").because(&error)
            })?;
        Ok((host, HostThread(thread)))
    }

    /// Stands where there is no node, and refuses every step.
    pub(crate) fn absent(home: &Path, access: Access) -> Self {
        let fault = CliError::new(Kind::Store, "the store is open to be read alone");
        Self {
            steps: channel().0,
            home: home.into(),
            fault: Arc::new(OnceLock::from(fault)),
            access: Arc::new(Mutex::new(Some(access))),
        }
    }

    /// Whether there is no node: the store is open to be read alone, or was closed after a fault.
    pub(crate) fn is_absent(&self) -> bool {
        self.fault.get().is_some()
    }

    /// How the store was opened; nothing once it is locked.
    pub(crate) fn access(&self) -> Option<Access> {
        self.access.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Locks the home: after the step at hand there is no node any more, its store is closed and the
    /// keys are wiped. Whoever asks for another step is told so.
    pub(crate) fn lock(&self) {
        let over = {
            let (told, over) = channel();
            let locked = CliError::new(Kind::Locked, "the home was locked meanwhile");
            // A fault that came first is told rather.
            drop(self.fault.set(locked));
            drop(self.access.lock().unwrap_or_else(PoisonError::into_inner).take());
            let job = move |hosted: &mut Hosted| {
                hosted.leaving.push(told);
                Fate::Broken
            };
            drop(self.steps.send(Box::new(job)));
            over
        };
        // Ends with the error that nobody says anything any more.
        _ = over.recv();
    }

    /// Does one step on the node and waits for what it gives.
    pub(crate) fn step<T: Send + 'static>(
        &self,
        step: impl FnOnce(&mut Node) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, CliError> {
        self.ask(move |hosted| step(&mut hosted.node))
    }

    /// Does one step that the time belongs to, and returns also what the node has to say.
    pub(crate) fn act<T: Send + 'static>(
        &self,
        clocks: Clocks,
        step: impl FnOnce(&mut Node, Now) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(T, Vec<Event>), CliError> {
        self.ask(move |hosted| {
            let done = step(&mut hosted.node, clocks.now())?;
            Ok((done, hosted.said()))
        })
    }

    fn ask<T: Send + 'static>(
        &self,
        step: impl FnOnce(&mut Hosted) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, CliError> {
        let (reply, answer) = sync_channel(1);
        let job = move |hosted: &mut Hosted| {
            let done = step(hosted);
            let fate = if done.is_err() { Fate::Broken } else { Fate::Sound };
            // Nobody waits any more if the command's thread came to an end.
            drop(reply.send(done));
            fate
        };
        self.steps.send(Box::new(job)).map_err(|_| self.gone())?;
        let done = answer.recv().map_err(|_| self.gone())?;
        done.map_err(|error| self.fault(&error))
    }

    /// Does one step for a link without waiting for it. False: there is no node any more.
    fn post(
        &self,
        step: impl FnOnce(&mut Hosted) -> Result<(), StoreError> + Send + 'static,
    ) -> bool {
        let job = move |hosted: &mut Hosted| {
            let done = step(hosted);
            hosted.fate(done)
        };
        self.steps.send(Box::new(job)).is_ok()
    }

    /// Gives the node one input and returns what it has to say.
    pub(crate) fn handle(&self, clocks: Clocks, input: Given) -> Result<Vec<Event>, CliError> {
        let step = move |node: &mut Node, now| {
            if matches!(input, Given::Idle) {
                stir(node);
            }
            node.handle(now, input.borrowed())
        };
        self.act(clocks, step).map(|((), events)| events)
    }

    /// Lets work behind be done unasked from now on, as a program does that stays.
    pub(crate) fn stay(&self, clocks: Clocks) {
        self.post(move |hosted| {
            hosted.clocks = Some(clocks);
            Ok(())
        });
    }

    /// Hears from now on what happens without being asked for by a command, and at last, by
    /// nothing, that there is no node any more. Says whether it wants to hear more.
    pub(crate) fn watch(&self, watcher: impl FnMut(Option<&Event>) -> bool + Send + 'static) {
        self.post(move |hosted| {
            hosted.watchers.push(Box::new(watcher));
            Ok(())
        });
    }

    /// Takes a snapshot.
    pub(crate) fn reader(&self) -> Result<Reader, CliError> {
        self.step(|node| node.reader())
    }

    /// Where the home is.
    pub(crate) fn home(&self) -> PathBuf {
        self.home.to_path_buf()
    }

    /// Says what a disk fault met outside the node means.
    pub(crate) fn fault(&self, error: &StoreError) -> CliError {
        home::store_fault(error, &self.home)
    }

    /// Says why there is no node any more.
    pub(crate) fn gone(&self) -> CliError {
        self.fault.get().cloned().unwrap_or_else(|| {
            CliError::new(Kind::Store, "the store was closed after a fault")
                .hint("run the command again; what was reported as written is safe")
        })
    }
}

impl Hosted {
    /// Does step after step until nobody can ask for one any more.
    fn work(mut self, queue: &Receiver<Step>) {
        loop {
            let step = match self.patience() {
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(patience) => queue.recv_timeout(patience),
            };
            let begun = Instant::now();
            let mut fate = match step {
                Ok(step) => {
                    let fate = step(&mut self);
                    self.restless = true;
                    fate
                }
                Err(RecvTimeoutError::Timeout) => self.idle(),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            log::step(begun);
            // Who asks for much must not keep a time-out from being noticed.
            if fate == Fate::Sound && self.is_late() {
                fate = self.idle();
            }
            if fate == Fate::Broken {
                break;
            }
        }
        let Self { node, mut watchers, leaving, .. } = self;
        drop(node);
        drop(leaving);
        watchers.retain_mut(|watcher| watcher(None));
    }

    /// How long nothing may be asked for until something is done unasked.
    fn patience(&self) -> Option<Duration> {
        let clocks = self.clocks?;
        let rest = if self.restless { QUIET } else { REST };
        let tick = clocks.now().tick;
        let due = self.node.deadline().map(|due| Duration::from_millis(due.saturating_sub(tick)));
        Some(due.map_or(rest, |due| due.min(rest)))
    }

    fn is_late(&self) -> bool {
        let due = self.clocks.zip(self.node.deadline());
        due.is_some_and(|(clocks, due)| due <= clocks.now().tick)
    }

    /// One step of work behind.
    fn idle(&mut self) -> Fate {
        let Some(clocks) = self.clocks else { return Fate::Sound };
        stir(&mut self.node);
        let done = self.node.handle(clocks.now(), Input::Idle);
        self.restless = false;
        for event in self.said() {
            match event {
                Event::Idle { more } => self.restless |= more,
                event => self.tell(&event),
            }
        }
        self.fate(done)
    }

    /// Tells those who watch.
    fn tell(&mut self, event: &Event) {
        self.watchers.retain_mut(|watcher| watcher(Some(event)));
    }

    fn fate(&self, done: Result<(), StoreError>) -> Fate {
        match done {
            Ok(()) => Fate::Sound,
            Err(error) => {
                // The first fault is the one that is told.
                drop(self.fault.set(home::store_fault(&error, &self.home)));
                Fate::Broken
            }
        }
    }

    /// Takes everything that the node has to say; what is for a link goes there.
    fn said(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(output) = self.node.poll() {
            if let Some(event) = self.links.take(output) {
                events.push(event);
            }
        }
        events
    }
}

/// Gives the node fresh secret bytes; a system that has none now had some when the node was opened.
fn stir(node: &mut Node) {
    if let Ok(seed) = home::fresh_seed() {
        node.stir(&seed);
    }
}

/// An input that owns its bytes, so that it can go to the node's thread.
#[derive(Debug)]
pub(crate) enum Given {
    /// A bundle was opened.
    BundleOpened { bundle: u64, via: String },
    /// The next bytes of it.
    BundleChunk { bundle: u64, bytes: Vec<u8> },
    /// It is at its end.
    BundleEnded { bundle: u64 },
    /// Nothing else is to be done.
    Idle,
}

impl Given {
    fn borrowed(&self) -> Input<'_> {
        match self {
            Self::BundleOpened { bundle, via } => Input::BundleOpened { bundle: *bundle, via },
            Self::BundleChunk { bundle, bytes } => Input::BundleChunk { bundle: *bundle, bytes },
            Self::BundleEnded { bundle } => Input::BundleEnded { bundle: *bundle },
            Self::Idle => Input::Idle,
        }
    }
}

impl HostThread {
    /// Waits until the node is gone and the store is closed.
    pub(crate) fn join(self) -> Result<(), CliError> {
        self.0.join().map_err(|_| CliError::new(Kind::Bug, "the node stopped: a bug in thistle"))
    }
}
