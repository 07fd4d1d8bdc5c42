//! Links at the node's thread: what comes in over one becomes a step, what goes out finds its way.
//!
//! Each link has a [`Port`] here for as long as its session lasts. A link that asks for a step has a
//! turn in hand, and gives it back when the step is done: that bounds what waits before the node,
//! and a link that is fast waits as often as one that is slow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use thistle_engine::{Event, Input, Output, SessionReport};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::facts::Clocks;
use crate::host::{Host, Hosted};
use crate::log;

/// The right to one step for a link.
type Turn = OwnedSemaphorePermit;

/// What the node says to a link.
#[derive(Debug)]
pub(crate) enum Word {
    /// Send these bytes, after all that was sent before.
    Send(Vec<u8>),
    /// Send no more, once all of it is sent.
    Close,
    /// So many entries have come and gone.
    Moved { received: u64, sent: u64 },
    /// The session is over.
    Done(SessionReport),
}

/// The node's end of a link. What waits in it is bounded by the node, which sends no more than its
/// limit before it hears that all of it is on its way.
#[derive(Debug)]
pub(crate) struct Port {
    words: UnboundedSender<Word>,
    unsent: Arc<AtomicUsize>,
    is_closed: bool,
}

/// How a link came about.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Its number; none is used twice.
    pub(crate) link: u64,
    /// Whether this side dialled.
    pub(crate) opener: bool,
    /// The proven key of the other side.
    pub(crate) peer: [u8; 32],
    /// What only the two ends know.
    pub(crate) binding: [u8; 32],
    /// Whether the other side is known.
    pub(crate) known: bool,
}

/// The words by which provenance calls this way.
const VIA: &str = "a meeting over the network";

impl Port {
    /// A port, what the node says at it, and how many of its words to send are not sent yet.
    pub(crate) fn new() -> (Self, UnboundedReceiver<Word>, Arc<AtomicUsize>) {
        let (words, heard) = unbounded_channel();
        let unsent = Arc::new(AtomicUsize::new(0));
        (Self { words, unsent: Arc::clone(&unsent), is_closed: false }, heard, unsent)
    }

    /// A link that is gone hears nothing more; its own end tells the node.
    fn say(&self, word: Word) {
        drop(self.words.send(word));
    }
}

/// The links that sessions go over.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<u64, Port>);

impl Links {
    /// Hands what is for a link to that link; returns what is not.
    pub(super) fn take(&mut self, output: Output) -> Option<Event> {
        let (link, word) = match output {
            Output::Send { link, bytes } => (link, Word::Send(bytes)),
            Output::Close { link } => (link, Word::Close),
            Output::Event(event) => {
                log::event(&event);
                match event {
                    Event::SessionProgress { link, received, sent } => {
                        (link, Word::Moved { received, sent })
                    }
                    Event::SessionDone { link, report } => {
                        if let Some(port) = self.0.remove(&link) {
                            port.say(Word::Done(report));
                        }
                        return None;
                    }
                    event => return Some(event),
                }
            }
        };
        if let Some(port) = self.0.get(&link) {
            if matches!(word, Word::Send(_)) {
                port.unsent.fetch_add(1, Ordering::Relaxed);
            }
            port.say(word);
        }
        None
    }
}

impl Host {
    /// Begins a session over a link. False: there is no node any more.
    pub(crate) fn open_link(&self, clocks: Clocks, opened: Opened, port: Port) -> bool {
        self.post(move |hosted| {
            let Opened { link, opener, peer, binding, known } = opened;
            hosted.links.0.insert(link, port);
            let input =
                Input::LinkOpened { link, opener, peer, binding: &binding, known, via: VIA };
            hosted.hear(clocks, input)
        })
    }

    /// Hands over what came in over a link. False: there is no node any more.
    pub(crate) fn link_bytes(&self, clocks: Clocks, link: u64, bytes: Vec<u8>, turn: Turn) -> bool {
        self.post(move |hosted| {
            let _turn = turn;
            // What comes after the end of a session belongs to nobody.
            if hosted.links.0.get(&link).is_none_or(|port| port.is_closed) {
                return Ok(());
            }
            hosted.hear(clocks, Input::LinkBytes { link, bytes: &bytes })
        })
    }

    /// Says that what was to be sent over a link is on its way, if it is.
    pub(crate) fn link_ready(&self, clocks: Clocks, link: u64) -> bool {
        self.post(move |hosted| {
            let port = hosted.links.0.get(&link).filter(|port| !port.is_closed);
            // More may have been said meanwhile; then it is told after that.
            if port.is_none_or(|port| port.unsent.load(Ordering::Relaxed) > 0) {
                return Ok(());
            }
            hosted.hear(clocks, Input::LinkReady { link })
        })
    }

    /// Says that nothing more will come over a link; only the first time counts.
    pub(crate) fn link_closed(&self, clocks: Clocks, link: u64) -> bool {
        self.post(move |hosted| {
            match hosted.links.0.get_mut(&link) {
                Some(port) if !port.is_closed => port.is_closed = true,
                _ => return Ok(()),
            }
            hosted.hear(clocks, Input::LinkClosed { link })
        })
    }
}

impl Hosted {
    /// Gives the node an input that no command asked for.
    fn hear(&mut self, clocks: Clocks, input: Input<'_>) -> Result<(), thistle_engine::StoreError> {
        self.node.handle(clocks.now(), input)?;
        for event in self.said() {
            self.tell(&event);
        }
        Ok(())
    }
}
