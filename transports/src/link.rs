//! What every link promises, whatever it is made of.
//!
//! Bytes arrive in order and as they were given, or the link says that it was cut: it never loses
//! something in the middle in silence. What was sent before [`Link::close`] arrives, and then comes
//! the end; a link that is dropped is cut. Nobody waits for ever: each wait has a time-out of its
//! own, after which the link is given up, because links are cheap and the next meeting goes on
//! where this one stopped. What goes over a link is sealed for its two ends; who they are it need not
//! say.

use std::error::Error;
use std::io;

/// What a link is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nature {
    /// Whether bytes go both ways.
    pub duplex: bool,
    /// Bytes that travel as one piece; a stream has no such bound.
    pub mtu: Option<usize>,
    /// About how many bytes a second it carries, where that is known.
    pub bytes_a_second: Option<u64>,
}

/// Largest piece that [`Link::receive`] gives.
pub const PIECE_BYTES: usize = 64 * 1024;

/// A way to reach other nodes, and to be reached.
pub trait Transport: Send + Sync + 'static {
    /// What names a place at which a node can be reached.
    type Place: Sync;
    /// What it makes.
    type Link: Link;

    /// Opens a link. The other side sees it once something is sent.
    fn open(&self, to: &Self::Place) -> impl Future<Output = Result<Self::Link, LinkError>> + Send;

    /// Waits for a link that another node opened; nothing once the transport is closed.
    fn accept(&self) -> impl Future<Output = Option<Self::Link>> + Send;

    /// Cuts what is still open, and gives the place up.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// Bytes to and from one other node. Sending and receiving may be done at once.
pub trait Link: Send + Sync + 'static {
    /// What it is like.
    fn nature(&self) -> Nature;

    /// A key of the other side, which only who has its secret can have used here. It need not be an
    /// identity: some links make a new one each time, and then it proves nothing but that.
    fn peer(&self) -> [u8; 32];

    /// 32 bytes that only the two ends know, new for each link and the same at both.
    fn binding(&self) -> [u8; 32];

    /// Sends bytes, after all that was sent before; waits while the other side is slow to take
    /// them.
    fn send(&self, bytes: Vec<u8>) -> impl Future<Output = Result<(), LinkError>> + Send;

    /// The next bytes, at most [`PIECE_BYTES`]; nothing once the other side has closed and all that
    /// it sent is here.
    fn receive(&self) -> impl Future<Output = Result<Option<Vec<u8>>, LinkError>> + Send;

    /// Sends no more, and waits until what was sent has arrived. Receiving goes on.
    fn close(&self) -> impl Future<Output = Result<(), LinkError>> + Send;
}

/// Why there is no link, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No socket could be had.
    #[error("the system gives no socket there")]
    NoSocket(#[source] io::Error),
    /// Nobody answers.
    #[error("nobody answers there")]
    Unanswered,
    /// Somebody answers who has another key.
    #[error("another node answers there")]
    OtherNode,
    /// Somebody answers who speaks something else.
    #[error("what answers there speaks another version")]
    OtherVersion,
    /// It takes no more links now.
    #[error("it takes no more links now")]
    Full,
    /// The place is one's own.
    #[error("that is this node itself")]
    Oneself,
    /// The bytes of the key are none.
    #[error("no node has such a key")]
    BadKey,
    /// Nothing came, or nothing was taken, for too long.
    #[error("the other side went silent")]
    Silent,
    /// The link is gone.
    #[error("the link was cut")]
    Cut,
    /// What else the network says.
    #[error("the network failed")]
    Network(#[source] Box<dyn Error + Send + Sync>),
}
