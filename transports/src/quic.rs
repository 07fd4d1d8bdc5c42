//! QUIC at a given address, through iroh: one stream each way for one conversation.
//!
//! Both sides prove their keys in the handshake, and both know 32 bytes that nobody else does. All
//! that iroh could ask others for is off: no relay, no look-up of addresses, no port mapping; a
//! packet goes to the address that was given, or to one that a connected node named itself. A node
//! tells whoever is connected the addresses at which it listens, so on the unspecified address those
//! of all its interfaces.
//!
//! A link is disposable: every wait ends, whoever is silent is dropped, and how many can be open is
//! bounded. The names that iroh gives to its ways are known here and nowhere else.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use iroh::endpoint::{
    ConnectError, ConnectWithOptsError, ConnectingError, Connection, ConnectionError, Incoming,
    MtuDiscoveryConfig, NetReportConfig, PortmapperConfig, QuicTransportConfig, ReadError,
    RecvStream, SendStream, TransportErrorCode, VarInt, WriteError, presets,
};
use iroh::{Endpoint, EndpointAddr, EndpointId, RelayMode, SecretKey};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::link::{Link, LinkError, Nature, PIECE_BYTES, Transport};

/// Links that others have opened and that are there at once.
pub const LINKS: usize = 1_024 + 64;
/// Of them, those that are still being made.
const HANDSHAKES: usize = 256;
/// Handshakes from which on whoever comes has to show first that its address is its own.
const CROWD: usize = 32;
/// Links that are made and wait to be accepted.
const WAITING: usize = 64;

/// How long it may take until a link is there.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long nothing may come.
const SILENCE: Duration = Duration::from_mins(2);
/// How long it may take until some bytes are taken.
const STALLED: Duration = Duration::from_mins(1);
/// How long it may take until all that was sent has arrived.
const CLOSING: Duration = Duration::from_secs(30);
/// How long the others may take to hear that the endpoint closes.
const GOODBYE: Duration = Duration::from_secs(3);

/// Bytes that may be under way to a stranger who dials: what many of them at once can make this node
/// hold.
const STRANGER_WINDOW: u32 = 128 * 1024;
/// Bytes that may be under way to this node on one link: 25 MB a second over 40 ms.
// Beyond 1,024 gaps in it the QUIC implementation gives a connection up. On a busy machine, where
// every other datagram is lost, four times as much was that many; so much cannot be.
const WINDOW: u32 = 1024 * 1024;
/// Bytes that may be under way from this node on one link.
const SEND_WINDOW: u64 = 4 * 1024 * 1024;
/// By so much a larger datagram has to be better to be tried: with that Ethernet's size is tried at
/// once and nothing between. A search would cost a short meeting more than all it has to say.
const MTU_STEP: u16 = 200;
/// Bytes that are handed over at once.
const WRITTEN_BYTES: usize = 32 * 1024;
/// Datagrams' worth of bytes that are taken at once.
const TAKEN: usize = 48;

/// What the shared secret of a link is derived for.
const BINDING: &[u8] = b"thistledown link binding";

/// A node and the address at which it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its key.
    pub key: [u8; 32],
    /// Its address.
    pub at: SocketAddr,
}

/// An endpoint: it opens links from one socket and accepts those that come to it.
#[derive(Debug)]
pub struct Quic {
    endpoint: Endpoint,
    protocol: Vec<u8>,
    ready: Mutex<mpsc::Receiver<QuicLink>>,
    welcoming: JoinHandle<()>,
}

impl Quic {
    /// Takes a socket at an address; port 0 is any. `secret` is what the node's key is made of, and
    /// `protocol` is what both sides have to speak.
    ///
    /// Has to be called inside of a runtime, and closed inside of it.
    pub async fn bind(
        secret: &[u8; 32],
        at: SocketAddr,
        protocol: &[u8],
    ) -> Result<Self, LinkError> {
        let network = |error| LinkError::Network(Box::new(error));
        let builder = Endpoint::builder(presets::Minimal)
            .secret_key(SecretKey::from_bytes(secret))
            .alpns(vec![protocol.to_vec()])
            .relay_mode(RelayMode::Disabled)
            .clear_address_lookup()
            .portmapper_config(PortmapperConfig::Disabled)
            .net_report_config(NetReportConfig::minimal())
            .transport_config(transport())
            .clear_ip_transports()
            .bind_addr(at)
            .map_err(|error| LinkError::Network(Box::new(error)))?;
        let endpoint = builder.bind().await.map_err(|error| match error {
            iroh::endpoint::BindError::Sockets { source, .. } => LinkError::NoSocket(source),
            error => network(error),
        })?;
        let (tell, ready) = mpsc::channel(WAITING);
        let welcoming = tokio::spawn(welcome(endpoint.clone(), tell));
        Ok(Self { endpoint, protocol: protocol.to_vec(), ready: Mutex::new(ready), welcoming })
    }

    /// The key by which this node is known on links.
    pub fn key(&self) -> [u8; 32] {
        *self.endpoint.id().as_bytes()
    }

    /// Where it listens: one address, or on the unspecified one those of all interfaces.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let bound = self.endpoint.bound_sockets();
        if bound.iter().any(|at| at.ip().is_unspecified()) {
            self.endpoint.addr().ip_addrs().copied().collect()
        } else {
            bound
        }
    }
}

impl Drop for Quic {
    fn drop(&mut self) {
        self.welcoming.abort();
    }
}

/// The key of a node, by its secret.
pub fn key_of(secret: &[u8; 32]) -> [u8; 32] {
    *SecretKey::from_bytes(secret).public().as_bytes()
}

fn transport() -> QuicTransportConfig {
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.minimum_change(MTU_STEP);
    QuicTransportConfig::builder()
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(STRANGER_WINDOW))
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None)
        .mtu_discovery_config(Some(discovery))
        .build()
}

/// Takes in whoever comes, as many at once as there may be.
async fn welcome(endpoint: Endpoint, ready: mpsc::Sender<QuicLink>) {
    let (links, handshakes) =
        (Arc::new(Semaphore::new(LINKS)), Arc::new(Semaphore::new(HANDSHAKES)));
    while let Some(incoming) = endpoint.accept().await {
        let crowded = HANDSHAKES.saturating_sub(handshakes.available_permits()) >= CROWD;
        if crowded && !incoming.remote_addr_validated() {
            // It comes again at once, if that is where it is.
            drop(incoming.retry());
            continue;
        }
        let places =
            (Arc::clone(&links).try_acquire_owned(), Arc::clone(&handshakes).try_acquire_owned());
        let (Ok(place), Ok(turn)) = places else {
            incoming.refuse();
            continue;
        };
        let ready = ready.clone();
        tokio::spawn(async move {
            if let Ok(Ok(link)) = timeout(HANDSHAKE, QuicLink::accepted(incoming, place)).await {
                // Once the endpoint closes, nobody waits for it any more.
                drop(ready.send(link).await);
            }
            drop(turn);
        });
    }
}

impl Transport for Quic {
    type Place = Place;
    type Link = QuicLink;

    async fn open(&self, to: &Place) -> Result<QuicLink, LinkError> {
        let id = EndpointId::from_bytes(&to.key).map_err(|_| LinkError::BadKey)?;
        let at = EndpointAddr::new(id).with_ip_addr(to.at);
        let open = async {
            let connection =
                self.endpoint.connect(at, &self.protocol).await.map_err(not_connected)?;
            connection.set_receive_window(VarInt::from_u32(WINDOW));
            let streams = connection.open_bi().await.map_err(|error| lost(&error))?;
            QuicLink::new(connection, streams, None)
        };
        timeout(HANDSHAKE, open).await.map_err(|_| LinkError::Unanswered)?
    }

    async fn accept(&self) -> Option<QuicLink> {
        self.ready.lock().await.recv().await
    }

    async fn close(&self) {
        self.welcoming.abort();
        // Who does not hear of it finds out by the silence.
        drop(timeout(GOODBYE, self.endpoint.close()).await);
    }
}

/// A connection with one stream each way.
#[derive(Debug)]
pub struct QuicLink {
    connection: Connection,
    binding: [u8; 32],
    sending: Mutex<SendStream>,
    receiving: Mutex<Receiving>,
    /// Its place among those that others have opened.
    _place: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Receiving {
    stream: RecvStream,
    /// What was taken off the stream and not given yet.
    taken: VecDeque<Bytes>,
}

impl QuicLink {
    async fn accepted(incoming: Incoming, place: OwnedSemaphorePermit) -> Result<Self, LinkError> {
        let connection = incoming.await.map_err(|_| LinkError::Cut)?;
        let streams = connection.accept_bi().await.map_err(|error| lost(&error))?;
        Self::new(connection, streams, Some(place))
    }

    fn new(
        connection: Connection,
        (sending, stream): (SendStream, RecvStream),
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Self, LinkError> {
        let mut binding = [0; 32];
        let exported = connection.export_keying_material(&mut binding, BINDING, &[]);
        exported.map_err(|_| LinkError::Cut)?;
        let receiving = Mutex::new(Receiving { stream, taken: VecDeque::new() });
        Ok(Self { connection, binding, sending: Mutex::new(sending), receiving, _place: place })
    }

    /// Lets as much be under way on a link that was accepted as on one that was opened: the other
    /// side is known.
    pub fn trust(&self) {
        self.connection.set_receive_window(VarInt::from_u32(WINDOW));
    }

    /// Bytes of all UDP datagrams of this link so far: sent and received.
    pub fn datagram_bytes(&self) -> (u64, u64) {
        let stats = self.connection.stats();
        (stats.udp_tx.bytes, stats.udp_rx.bytes)
    }
}

impl Link for QuicLink {
    fn nature(&self) -> Nature {
        Nature { duplex: true, mtu: None, bytes_a_second: None }
    }

    fn peer(&self) -> [u8; 32] {
        *self.connection.remote_id().as_bytes()
    }

    fn binding(&self) -> [u8; 32] {
        self.binding
    }

    async fn send(&self, bytes: Vec<u8>) -> Result<(), LinkError> {
        let mut sending = self.sending.lock().await;
        let mut bytes = Bytes::from(bytes);
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(WRITTEN_BYTES));
            let written = timeout(STALLED, sending.write_chunk(piece)).await;
            written.map_err(|_| LinkError::Silent)?.map_err(|error| match error {
                WriteError::ConnectionLost(error) => lost(&error),
                _ => LinkError::Cut,
            })?;
        }
        Ok(())
    }

    async fn receive(&self) -> Result<Option<Vec<u8>>, LinkError> {
        let Receiving { stream, taken } = &mut *self.receiving.lock().await;
        if taken.is_empty() {
            let mut chunks = [const { Bytes::new() }; TAKEN];
            let read = timeout(SILENCE, stream.read_many_chunks(&mut chunks)).await;
            let read = read.map_err(|_| LinkError::Silent)?.map_err(|error| match error {
                ReadError::ConnectionLost(error) => lost(&error),
                _ => LinkError::Cut,
            })?;
            let Some(count) = read else { return Ok(None) };
            taken.extend(chunks.into_iter().take(count));
        }
        Ok(Some(piece(taken)))
    }

    async fn close(&self) -> Result<(), LinkError> {
        let arrived = {
            let mut sending = self.sending.lock().await;
            // A stream that is finished already stays so.
            drop(sending.finish());
            sending.stopped()
        };
        match timeout(CLOSING, arrived).await {
            Err(_) => Err(LinkError::Silent),
            // Nothing: all of it is there. A number: the other side wants no more of it.
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(_)) | Err(_)) => Err(LinkError::Cut),
        }
    }
}

impl Drop for QuicLink {
    fn drop(&mut self) {
        self.connection.close(VarInt::from_u32(0), b"");
    }
}

/// As many of the chunks as fit into one piece.
fn piece(taken: &mut VecDeque<Bytes>) -> Vec<u8> {
    let mut piece = Vec::new();
    while let Some(chunk) = taken.front_mut() {
        let room = PIECE_BYTES.saturating_sub(piece.len());
        if chunk.len() > room {
            piece.extend_from_slice(&chunk.split_to(room));
            break;
        }
        piece.extend_from_slice(chunk);
        taken.pop_front();
    }
    piece
}

/// Why there is no connection.
fn not_connected(error: ConnectError) -> LinkError {
    match error {
        ConnectError::Connect { source: ConnectWithOptsError::SelfConnect { .. }, .. } => {
            LinkError::Oneself
        }
        ConnectError::Connecting {
            source: ConnectingError::ConnectionError { source, .. },
            ..
        }
        | ConnectError::Connection { source, .. } => lost_at_once(&source),
        error => LinkError::Network(Box::new(error)),
    }
}

/// Why a connection was lost before it was one.
fn lost_at_once(error: &ConnectionError) -> LinkError {
    // Alerts of TLS: what it calls an unknown issuer is a key that is not the one asked for.
    let (other_protocol, other_key) =
        (TransportErrorCode::crypto(120), TransportErrorCode::crypto(48));
    let code = match error {
        ConnectionError::TransportError(error) => error.code,
        ConnectionError::ConnectionClosed(close) => close.error_code,
        ConnectionError::VersionMismatch => return LinkError::OtherVersion,
        ConnectionError::TimedOut => return LinkError::Unanswered,
        error => return lost(error),
    };
    match code {
        code if code == other_protocol => LinkError::OtherVersion,
        code if code == other_key => LinkError::OtherNode,
        TransportErrorCode::CONNECTION_REFUSED => LinkError::Full,
        _ => LinkError::Network(Box::new(io::Error::other(error.clone()))),
    }
}

/// Why a connection is no more.
fn lost(error: &ConnectionError) -> LinkError {
    match error {
        ConnectionError::TimedOut => LinkError::Silent,
        _ => LinkError::Cut,
    }
}
