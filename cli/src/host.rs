//! The thread on which the node lives, and the queue before it.
//!
//! Commands of several people and programs share one node. Each asks for short steps, one after
//! the other; the queue is short, so that whoever asks much waits as often as whoever asks little.
//! Reading needs no step beyond taking a snapshot. After a disk fault the node is dropped and every
//! later step is refused: only opening the store again is safe.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use thistle_engine::time::Now;
use thistle_engine::{Event, Input, Node, Output, Reader, StoreError};

use crate::facts::Clocks;
use crate::home;
use crate::log;
use crate::outcome::{CliError, Kind};

/// Steps that may wait.
const WAITING: usize = 16;

type Step = Box<dyn FnOnce(&mut Node) -> Fate + Send>;

/// Whether the node can still be used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Sound,
    Broken,
}

/// A handle by which commands reach the node.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    steps: SyncSender<Step>,
    home: Arc<Path>,
}

/// The thread of the node; it ends once every [`Host`] is gone.
#[derive(Debug)]
pub(crate) struct HostThread(JoinHandle<()>);

impl Host {
    /// Puts the node on a thread of its own.
    pub(crate) fn start(node: Node, home: &Path) -> Result<(Self, HostThread), CliError> {
        let (steps, queue) = sync_channel::<Step>(WAITING);
        let work = move || {
            let mut node = node;
            for step in queue {
                if step(&mut node) == Fate::Broken {
                    break;
                }
            }
        };
        let thread =
            thread::Builder::new().name("node".to_owned()).spawn(work).map_err(|error| {
                CliError::new(Kind::Store, "the system starts no thread").because(&error)
            })?;
        Ok((Self { steps, home: home.into() }, HostThread(thread)))
    }

    /// Does one step on the node and waits for what it gives.
    pub(crate) fn step<T: Send + 'static>(
        &self,
        step: impl FnOnce(&mut Node) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, CliError> {
        let (reply, answer) = sync_channel(1);
        let job = move |node: &mut Node| {
            let begun = Instant::now();
            let done = step(node);
            log::step(begun);
            let fate = if done.is_err() { Fate::Broken } else { Fate::Sound };
            // Nobody waits any more if the command's thread came to an end.
            drop(reply.send(done));
            fate
        };
        let gone = || {
            CliError::new(Kind::Store, "the store was closed after a fault")
                .hint("run the command again; what was reported as written is safe")
        };
        self.steps.send(Box::new(job)).map_err(|_| gone())?;
        let done = answer.recv().map_err(|_| gone())?;
        done.map_err(|error| self.fault(&error))
    }

    /// Does one step that the time belongs to, and returns also what the node has to say.
    pub(crate) fn act<T: Send + 'static>(
        &self,
        clocks: Clocks,
        step: impl FnOnce(&mut Node, Now) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(T, Vec<Event>), CliError> {
        self.step(move |node| {
            let done = step(node, clocks.now())?;
            Ok((done, events(node)))
        })
    }

    /// Gives the node one input and returns what it has to say.
    pub(crate) fn handle(&self, clocks: Clocks, input: Given) -> Result<Vec<Event>, CliError> {
        let step = move |node: &mut Node, now| node.handle(now, input.borrowed());
        self.act(clocks, step).map(|((), events)| events)
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

/// Takes everything that the node has to say.
fn events(node: &mut Node) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(Output::Event(event)) = node.poll() {
        log::event(&event);
        events.push(event);
    }
    events
}

impl HostThread {
    /// Waits until the node is gone and the store is closed.
    pub(crate) fn join(self) -> Result<(), CliError> {
        self.0.join().map_err(|_| CliError::new(Kind::Bug, "the node stopped: a bug in thistle"))
    }
}
