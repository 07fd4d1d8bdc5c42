//! One meeting: bytes from the link to the node, and from the node to the link.
//!
//! Both directions go on at once. What comes in waits for a turn before the node, so that many fast
//! links do not fill memory; what goes out waits for the other side to take it, and only its own
//! session waits with it. The node decides when the session is over. However the link ends, the
//! node hears of it once.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use thistle_engine::SessionReport;
use thistle_transports::Link;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use crate::facts::Clocks;
use crate::host::{Host, Opened, Port, Word};

/// How long the other side may take to end its direction after ours is at its end.
const PARTING: Duration = Duration::from_secs(5);

/// Something that happens once, and that many can wait for.
#[derive(Clone, Debug)]
pub(crate) struct Stop(Arc<Semaphore>);

impl Stop {
    /// It has not happened yet.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets it happen.
    pub(crate) fn now(&self) {
        self.0.close();
    }

    /// Whether it has happened.
    pub(crate) fn is_now(&self) -> bool {
        self.0.is_closed()
    }

    /// Waits for it.
    pub(crate) async fn wait(&self) {
        // There never is a permit; the wait ends with the closing.
        drop(self.0.acquire().await);
    }
}

/// What meetings need beside their links.
#[derive(Clone, Debug)]
pub(super) struct Hall {
    /// The node.
    pub(super) host: Host,
    /// The clocks.
    pub(super) clocks: Clocks,
    /// The number of the next link.
    pub(super) numbers: Arc<AtomicU64>,
    /// Turns before the node, for all links together.
    pub(super) turns: Arc<Semaphore>,
    /// Ends all meetings.
    pub(super) stop: Stop,
}

/// A meeting on its way.
struct Pump<'a, L> {
    link: &'a L,
    number: u64,
    hall: &'a Hall,
    /// Nothing more will come.
    gone: Stop,
    /// Words to send that are not sent yet.
    unsent: Arc<AtomicUsize>,
}

/// How this side stands to the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    /// Whether this side dialled.
    pub(super) opener: bool,
    /// Whether the other side is known.
    pub(super) known: bool,
}

impl Hall {
    /// Lets the node meet whoever is at the other end of a link; nothing if there is no node any
    /// more.
    ///
    /// `stop` ends this meeting alone; `moved` hears how many entries have come and gone.
    pub(super) async fn pump<L: Link>(
        &self,
        link: &L,
        side: Side,
        stop: &Stop,
        moved: impl Fn(u64, u64),
    ) -> Option<SessionReport> {
        let Side { opener, known } = side;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (peer, binding) = (link.peer(), link.binding());
        let (port, words, unsent) = Port::new();
        let opened = Opened { link: number, opener, peer, binding, known };
        if !self.host.open_link(self.clocks, opened, port) {
            return None;
        }
        let pump = Pump { link, number, hall: self, gone: Stop::new(), unsent };
        let mut has_ended = false;
        let mut receiving = pin!(pump.receive(stop));
        let mut sending = pin!(pump.send(words, moved));
        let report = tokio::select! {
            report = &mut sending => report,
            () = &mut receiving => {
                has_ended = true;
                sending.await
            }
        };
        if !has_ended {
            // What still comes belongs to nobody, but the other side wants to see it taken.
            drop(timeout(PARTING, receiving).await);
        }
        report
    }
}

impl<L: Link> Pump<'_, L> {
    /// Hands over what comes in, and at last that nothing more will.
    async fn receive(&self, stop: &Stop) {
        loop {
            let received = tokio::select! {
                received = self.link.receive() => received.ok().flatten(),
                () = stop.wait() => None,
                () = self.hall.stop.wait() => None,
            };
            let Some(bytes) = received else { break };
            let Ok(turn) = Arc::clone(&self.hall.turns).acquire_owned().await else { break };
            if !self.hall.host.link_bytes(self.hall.clocks, self.number, bytes, turn) {
                break;
            }
        }
        self.end();
    }

    /// Carries out what the node says, until the session is over.
    async fn send(
        &self,
        mut words: UnboundedReceiver<Word>,
        moved: impl Fn(u64, u64),
    ) -> Option<SessionReport> {
        while let Some(word) = words.recv().await {
            match word {
                Word::Send(bytes) => {
                    let sent = tokio::select! {
                        sent = self.link.send(bytes) => sent.is_ok(),
                        () = self.gone.wait() => false,
                    };
                    let left = self.unsent.fetch_sub(1, Ordering::Relaxed) - 1;
                    if !sent {
                        self.end();
                    } else if left == 0 {
                        self.hall.host.link_ready(self.hall.clocks, self.number);
                    }
                }
                // Cut or not, the session is over.
                Word::Close => drop(self.link.close().await),
                Word::Moved { received, sent } => moved(received, sent),
                Word::Done(report) => return Some(report),
            }
        }
        None
    }

    /// Tells the node that nothing more will come.
    fn end(&self) {
        self.gone.now();
        self.hall.host.link_closed(self.hall.clocks, self.number);
    }
}
