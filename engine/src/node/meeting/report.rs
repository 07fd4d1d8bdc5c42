//! What became of a session, in words and numbers for the driver.

use crate::codec::DecodeError;
use crate::key::AccountId;
use crate::node::Fault;
use crate::reconcile::ReconcileError;
use crate::session::VERSION;

/// What became of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionReport {
    /// The contact that was recognised, or this person itself on another device.
    pub with: Option<AccountId>,
    /// Entries sent.
    pub sent: u64,
    /// Entries that are new here.
    pub received: u64,
    /// Payloads that came for entries that were held without.
    pub payloads: u64,
    /// Entries that came although they were here.
    pub duplicates: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Times that something was sent and answered.
    pub round_trips: u64,
    /// How it ended.
    pub ending: SessionEnding,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionEnding {
    /// Both sides have what they want of each other.
    #[error("done")]
    Done,
    /// The link went before both were done.
    #[error("the link was cut")]
    Cut,
    /// The other side sent nothing, or took nothing, for too long.
    #[error("the other side fell silent")]
    Silent,
    /// Too many sessions at once.
    #[error("too many sessions at once")]
    Busy,
    /// Strangers have brought as much as they may in an hour.
    #[error("strangers have brought as much as is taken from them in an hour")]
    Enough,
    /// The other side is no contact, and this node meets nobody else.
    #[error("the other side is no contact, and this home meets contacts only")]
    NoContact,
    /// The other side speaks other versions only.
    #[error("the other side speaks session versions {first} to {last}, this program {VERSION}")]
    Version {
        /// Its oldest.
        first: u64,
        /// Its newest.
        last: u64,
    },
    /// The other side broke the rules.
    #[error("the other side broke the rules: {0}")]
    Fault(SessionFault),
}

/// Which rule the other side broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionFault {
    /// A frame does not decode.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// A message of the reconciliation may not stand there.
    #[error("{0}")]
    Reconcile(#[from] ReconcileError),
    /// Something that it carried does not verify.
    #[error("{0}")]
    Piece(#[from] Fault),
    /// A frame of this kind was not due.
    #[error("a frame of kind {kind} was not due")]
    OutOfTurn {
        /// The kind.
        kind: u64,
    },
    /// More frames beside entries than a session has.
    #[error("too many frames")]
    TooManyFrames,
    /// The same again and again.
    #[error("it repeats what is known")]
    Repeats,
}
