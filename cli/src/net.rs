//! The way to other nodes: sockets on threads of their own, and meetings over them.
//!
//! The node decides on its own thread, and the network waits here: nothing that a peer does or fails
//! to do can keep a command waiting. The threads begin with the first command that needs them.
//! Where a process listens, whatever it dials goes out from the same socket, so that others can
//! remember where it was met.

mod fault;
mod pump;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use thistle_engine::key::Seed;
use thistle_engine::{Event, SessionReport};
use thistle_transports::{LINKS, Link as _, LinkError, Place, Quic, QuicLink, Transport as _};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::address::Address;
use crate::facts::Clocks;
use crate::host::Host;
use crate::log;
use crate::outcome::{CliError, Kind};
use pump::{Hall, Side, Stop};

pub(crate) use fault::{cut_off, not_listening, not_met};

/// What both sides have to speak under QUIC.
pub(crate) const PROTOCOL: &[u8] = b"thistledown/1";
/// Pieces that links may have waiting before the node, all together.
const TURNS: usize = 8;
/// Of the links that others open, those that strangers may have at once.
const STRANGERS: usize = LINKS - 64;
/// How long meetings may take to end when the program does.
const LEAVING: Duration = Duration::from_secs(5);

/// The network as this process uses it.
#[derive(Debug)]
pub(crate) struct Net {
    runtime: OnceLock<Runtime>,
    listening: Mutex<Option<Listening>>,
    numbers: Arc<AtomicU64>,
    turns: Arc<Semaphore>,
    stop: Stop,
}

/// A socket that others can dial.
#[derive(Clone, Debug)]
struct Listening {
    quic: Arc<Quic>,
    address: Address,
}

/// How a listening socket is to be.
#[derive(Debug)]
pub(crate) struct Ear {
    /// The secret of this node's links.
    pub(crate) secret: Seed,
    /// Where to listen; if somebody else listens there, at the next.
    pub(crate) at: Vec<SocketAddr>,
    /// Who is no stranger.
    pub(crate) known: BTreeSet<[u8; 32]>,
}

/// What a command hears of meetings.
#[derive(Debug)]
pub(crate) enum News {
    /// So many entries have come and gone.
    Moved { received: u64, sent: u64 },
    /// A meeting is over.
    Met(Met),
    /// There is no link.
    NotMet(LinkError),
    /// The node has something to say that no command asked for; nothing: there is no node any more.
    Said(Option<Event>),
    /// All meetings are over, because the program is to end.
    Over,
}

/// A meeting that is over.
#[derive(Debug)]
pub(crate) struct Met {
    /// Whom.
    pub(crate) peer: [u8; 32],
    /// Whether the other is known.
    pub(crate) known: bool,
    /// What came of it; nothing if there is no node any more.
    pub(crate) report: Option<SessionReport>,
    /// How long it took, the dialling included.
    pub(crate) took: Duration,
    /// Bytes of all datagrams: sent and received.
    pub(crate) datagrams: (u64, u64),
}

/// A meeting on its way; dropping this ends it.
#[derive(Debug)]
pub(crate) struct Meeting(Stop);

impl Drop for Meeting {
    fn drop(&mut self) {
        self.0.now();
    }
}

impl Net {
    /// A network that nothing was done with yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            runtime: OnceLock::new(),
            listening: Mutex::new(None),
            numbers: Arc::new(AtomicU64::new(1)),
            turns: Arc::new(Semaphore::new(TURNS)),
            stop: Stop::new(),
        })
    }

    fn runtime(&self) -> Result<&Runtime, CliError> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let started = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("net")
            .enable_all()
            .build()
            .map_err(|error| {
                CliError::new(Kind::Store, "the system starts no thread").because(&error)
            })?;
        Ok(self.runtime.get_or_init(|| started))
    }

    fn listening(&self) -> MutexGuard<'_, Option<Listening>> {
        // A panic leaves nothing half done in it.
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where this process listens, if it does.
    pub(crate) fn address(&self) -> Option<Address> {
        self.listening().as_ref().map(|listening| listening.address)
    }

    /// Ends all meetings.
    pub(crate) fn stop(&self) {
        self.stop.now();
    }

    /// Whether all meetings are to end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_now()
    }

    /// Ends all meetings once the person or the system asks for it; who asks twice does not want to
    /// wait.
    pub(crate) fn heed_signals(&self) -> Result<(), CliError> {
        let runtime = self.runtime()?;
        let _inside = runtime.enter();
        let refused = |error: std::io::Error| {
            CliError::new(Kind::Store, "signals cannot be heard").because(&error)
        };
        let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
        let stop = self.stop.clone();
        drop(runtime.spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if stop.is_now() {
                    // What is durable is so at any moment.
                    process::exit(130);
                }
                stop.now();
            }
        }));
        Ok(())
    }

    /// Listens from now on; `told` hears of every meeting, and at last that all are over.
    pub(crate) fn listen(
        &self,
        host: &Host,
        clocks: Clocks,
        ear: Ear,
        told: Sender<News>,
    ) -> Result<Address, CliError> {
        let Ear { secret, at, known } = ear;
        let runtime = self.runtime()?;
        let mut last = None;
        for at in at {
            match runtime.block_on(Quic::bind(secret.expose(), at, PROTOCOL)) {
                Ok(quic) => {
                    let quic = Arc::new(quic);
                    let address = Address { key: quic.key(), at: reachable(&quic.addresses()) };
                    *self.listening() = Some(Listening { quic: Arc::clone(&quic), address });
                    let door = Door { quic, hall: self.hall(host, clocks), known, told };
                    drop(runtime.spawn(door.keep()));
                    return Ok(address);
                }
                Err(fault) => last = Some(not_listening(&fault, at)),
            }
        }
        Err(last.unwrap_or_else(|| CliError::new(Kind::Bug, "no address to listen at")))
    }

    /// Meets whoever is at a place. What comes of it is told; dropping what is returned ends it.
    pub(crate) fn meet(
        &self,
        host: &Host,
        clocks: Clocks,
        (secret, place): (Seed, Place),
        told: Sender<News>,
    ) -> Result<Meeting, CliError> {
        let (hall, stop) = (self.hall(host, clocks), Stop::new());
        let meeting = Meeting(stop.clone());
        let listening = self.listening().as_ref().map(|listening| Arc::clone(&listening.quic));
        let work = async move {
            let begun = Instant::now();
            let dialled = tokio::select! {
                dialled = dial(listening, &secret, &place) => dialled,
                () = stop.wait() => Err(LinkError::Cut),
                () = hall.stop.wait() => Err(LinkError::Cut),
            };
            let (quic, link) = match dialled {
                Ok(dialled) => dialled,
                Err(fault) => {
                    log::not_met(&fault);
                    drop(told.send(News::NotMet(fault)));
                    return;
                }
            };
            let moved = |received, sent| drop(told.send(News::Moved { received, sent }));
            let side = Side { opener: true, known: true };
            let report = hall.pump(&link, side, &stop, moved).await;
            let met = Met::new(&link, true, report, begun);
            drop(link);
            if let Some(quic) = quic {
                quic.close().await;
            }
            drop(told.send(News::Met(met)));
        };
        drop(self.runtime()?.spawn(work));
        Ok(meeting)
    }

    fn hall(&self, host: &Host, clocks: Clocks) -> Hall {
        host.stay(clocks);
        Hall {
            host: host.clone(),
            clocks,
            numbers: Arc::clone(&self.numbers),
            turns: Arc::clone(&self.turns),
            stop: self.stop.clone(),
        }
    }
}

impl Met {
    fn new(link: &QuicLink, known: bool, report: Option<SessionReport>, begun: Instant) -> Self {
        let (peer, datagrams) = (link.peer(), link.datagram_bytes());
        let known = known || report.is_some_and(|report| report.with.is_some());
        Self { peer, known, report, took: begun.elapsed(), datagrams }
    }
}

/// Opens a link from the socket that listens, or else from one of its own.
async fn dial(
    listening: Option<Arc<Quic>>,
    secret: &Seed,
    place: &Place,
) -> Result<(Option<Quic>, QuicLink), LinkError> {
    if let Some(quic) = listening {
        return Ok((None, quic.open(place).await?));
    }
    // From the one address from which that place is reached, so that no other one is told there.
    let quic = Quic::bind(secret.expose(), way_to(place.at)?, PROTOCOL).await?;
    // Where nothing was opened, nobody has to hear that it closes.
    let link = quic.open(place).await?;
    Ok((Some(quic), link))
}

/// The own address from which a place is reached, at any port. No packet is sent for it.
fn way_to(place: SocketAddr) -> Result<SocketAddr, LinkError> {
    let any: IpAddr = match place {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let found = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect(place)?;
        socket.local_addr()
    });
    let mut own = found.map_err(LinkError::NoSocket)?;
    own.set_port(0);
    Ok(own)
}

/// The address of several by which others most likely reach this node.
fn reachable(all: &[SocketAddr]) -> Option<SocketAddr> {
    let rank = |at: &&SocketAddr| match at.ip() {
        ip if ip.is_loopback() || ip.is_unspecified() => 3,
        IpAddr::V4(ip) if ip.is_link_local() => 2,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => 2,
        IpAddr::V6(_) => 1,
        IpAddr::V4(_) => 0,
    };
    all.iter().min_by_key(rank).copied()
}

/// Whoever dials comes in here.
struct Door {
    quic: Arc<Quic>,
    hall: Hall,
    known: BTreeSet<[u8; 32]>,
    told: Sender<News>,
}

impl Door {
    /// Lets in whoever comes until all is to end, and waits for all of them to leave.
    async fn keep(self) {
        let strangers = Arc::new(Semaphore::new(STRANGERS));
        let mut meetings = JoinSet::new();
        loop {
            let link = tokio::select! {
                link = self.quic.accept() => link,
                () = self.hall.stop.wait() => None,
                Some(_) = meetings.join_next() => continue,
            };
            let Some(link) = link else { break };
            let known = self.known.contains(&link.peer());
            let place = if known {
                link.trust();
                None
            } else if let Ok(place) = Arc::clone(&strangers).try_acquire_owned() {
                Some(place)
            } else {
                // Dropped, it is cut; it may come again.
                continue;
            };
            let (hall, told) = (self.hall.clone(), self.told.clone());
            meetings.spawn(async move {
                let begun = Instant::now();
                let side = Side { opener: false, known };
                let report = hall.pump(&link, side, &Stop::new(), |_, _| {}).await;
                drop(told.send(News::Met(Met::new(&link, known, report, begun))));
                drop(place);
            });
        }
        let leave = async { while meetings.join_next().await.is_some() {} };
        drop(timeout(LEAVING, leave).await);
        self.quic.close().await;
        drop(self.told.send(News::Over));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_others_reach_is_the_one_that_is_told() {
        let of = |list: &[&str]| {
            let list: Vec<SocketAddr> = list.iter().map(|at| at.parse().unwrap()).collect();
            reachable(&list).map(|at| at.to_string())
        };
        let all = ["127.0.0.1:1", "169.254.3.4:1", "[2001:db8::7]:1", "192.0.2.7:1"];
        assert_eq!(of(&all).unwrap(), "192.0.2.7:1");
        assert_eq!(of(&all[..3]).unwrap(), "[2001:db8::7]:1");
        assert_eq!(of(&all[..2]).unwrap(), "169.254.3.4:1");
        assert_eq!(of(&all[..1]).unwrap(), "127.0.0.1:1");
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn one_dials_from_the_address_that_leads_there() {
        let own = way_to("127.0.0.1:9".parse().unwrap()).unwrap();
        assert_eq!(own, "127.0.0.1:0".parse().unwrap());
    }
}
