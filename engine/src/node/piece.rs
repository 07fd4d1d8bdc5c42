//! What a bundle or a session hands over, verified, on its way to the next commit.

use crate::bundle::Frame;
use crate::entry::ChainHasher;
use crate::fork::{ForkProof, VerifiedFork};
use crate::ingest::{self, Incoming, Outcome, Source};
use crate::key::FeedId;
use crate::node::Fault;
use crate::segment::{Reject, UnverifiedSegment};
use crate::store::{StoreError, Writer};

/// Something verified that waits for the next commit.
#[derive(Debug)]
pub(super) enum Piece {
    Segment(Incoming),
    Payload { feed: FeedId, seq: u64, payload: Vec<u8> },
    Fork(VerifiedFork),
}

/// What became of a piece, and where its feed is now proven forked.
pub(super) type Taken = (Outcome, Option<u64>);

impl Piece {
    pub(super) fn weight(&self) -> u64 {
        match self {
            Self::Segment(segment) => segment.weight(),
            Self::Payload { payload, .. } => 128 + payload.len() as u64,
            Self::Fork(proof) => 256 + proof.bytes().len() as u64,
        }
    }

    pub(super) fn feed(&self) -> FeedId {
        match self {
            Self::Segment(segment) => segment.feed,
            Self::Payload { feed, .. } => *feed,
            Self::Fork(proof) => *proof.feed(),
        }
    }

    /// Entries that it holds.
    pub(super) const fn entries(&self) -> u64 {
        match self {
            Self::Segment(segment) => segment.entries.len() as u64,
            Self::Payload { .. } | Self::Fork(_) => 0,
        }
    }

    /// Takes it in, and counts it if it is wrong.
    pub(super) fn take(
        &self,
        writer: &mut Writer<'_>,
        source: &Source,
    ) -> Result<Taken, StoreError> {
        let outcome = match self {
            Self::Segment(segment) => ingest::segment(writer, source, segment)?,
            Self::Payload { feed, seq, payload } => {
                ingest::payload(writer, source, feed, *seq, payload)?
            }
            Self::Fork(proof) => ingest::fork(writer, proof)?,
        };
        if matches!(outcome, Outcome::Wrong(_)) {
            writer.heads.counts.refused += 1;
        }
        let fork_seq = match (outcome, writer.number(&self.feed(), 0)?) {
            (Outcome::Forked, Some(number)) => writer.row(number)?.fork_seq,
            _ => None,
        };
        Ok((outcome, fork_seq))
    }

    /// Verifies what a frame carries; none if that is no piece.
    pub(super) fn verify(
        frame: Frame<'_>,
        hasher: &mut ChainHasher,
    ) -> Option<Result<Self, Fault>> {
        Some(match frame {
            Frame::Segment(bytes) => UnverifiedSegment::decode(bytes)
                .map_err(Reject::Decode)
                .and_then(|segment| segment.verify(hasher))
                .map(|segment| Self::Segment(Incoming::from(segment)))
                .map_err(Fault::Reject),
            Frame::Payload { feed, seq, payload } => {
                Ok(Self::Payload { feed, seq, payload: payload.to_vec() })
            }
            Frame::Fork(bytes) => ForkProof::decode(bytes)
                .map_err(|error| Fault::Reject(Reject::Decode(error)))
                .and_then(|proof| proof.verify().map_err(Fault::Fork))
                .map(Self::Fork),
            _ => return None,
        })
    }
}
