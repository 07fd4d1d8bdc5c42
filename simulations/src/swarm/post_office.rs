//! What happens to bundles on their way, and what stands in them.

use std::collections::BTreeMap;

use thistle_engine::bundle::{FileReader, FileWriter, Frame, Head, Opening, Read, Want, What};
use thistle_engine::fork::ForkProof;
use thistle_engine::key::{FeedId, SecretKey};
use thistle_engine::limits::AGE_MINUTES;
use thistle_engine::segment::UnverifiedSegment;

use crate::{Seed, author};

/// What a bundle says and holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Letter {
    pub(super) opening: Option<Opening>,
    pub(super) heads: BTreeMap<FeedId, Head>,
    pub(super) wants: Vec<Want>,
    /// The entries of each segment: feed, first, last.
    pub(super) segments: Vec<(FeedId, u64, u64)>,
    /// Payloads that travel by themselves.
    pub(super) payloads: Vec<(FeedId, u64)>,
    /// Fork proofs: of which feed, from which entry on.
    pub(super) forks: Vec<(FeedId, u64)>,
}

impl Letter {
    /// Takes a bundle apart.
    pub(super) fn open(bytes: &[u8]) -> Self {
        let (mut letter, mut reader) = (Self::default(), FileReader::new());
        reader.push(bytes);
        while let Some(found) = reader.poll() {
            let Read::Frame(frame) = found.read else { continue };
            match frame {
                Frame::Opening(opening) => letter.opening = Some(opening),
                Frame::Heads(heads) => {
                    letter.heads.extend(heads.into_iter().map(|head| (head.feed, head)));
                }
                Frame::Wants(wants) => letter.wants = wants,
                Frame::Segment(bytes) => {
                    if let Ok(segment) = UnverifiedSegment::decode(bytes) {
                        let place = (segment.feed, segment.first_seq, segment.last_seq());
                        letter.segments.push(place);
                    }
                }
                Frame::Payload { feed, seq, .. } => letter.payloads.push((feed, seq)),
                Frame::Fork(bytes) => {
                    if let Ok(Ok(fork)) = ForkProof::decode(bytes).map(ForkProof::verify) {
                        letter.forks.push((*fork.feed(), fork.fork_seq()));
                    }
                }
                Frame::Statement(_) | Frame::End { .. } | Frame::Unknown { .. } => {}
            }
        }
        letter
    }

    /// Whether something is wanted in it.
    pub(super) fn wants(&self, feed: &FeedId, seq: u64, payload: bool) -> bool {
        let what = if payload { What::Payloads } else { What::Entries };
        self.wants.iter().any(|want| {
            want.feed == *feed && want.what == what && want.first <= seq && seq <= want.last
        })
    }
}

/// The same entries under another cover, each said to be of the highest age that can be claimed.
pub(super) fn aged(bytes: &[u8], seed: &mut Seed) -> Vec<u8> {
    let key = SecretKey::from_seed(&author::secret(seed));
    let opening = Opening {
        maker: key.feed(),
        for_feed: None,
        whole: false,
        position: 1,
        log_hash: [0; 8],
        ack: None,
    };
    let (mut writer, mut out) = FileWriter::new(opening, Vec::new(), &[], &key);
    let mut reader = FileReader::new();
    reader.push(bytes);
    while let Some(found) = reader.poll() {
        let Read::Frame(frame) = found.read else { continue };
        match frame {
            Frame::Segment(bytes) => {
                let Ok(mut segment) = UnverifiedSegment::decode(bytes) else { continue };
                for item in segment.items.iter_mut().filter(|item| item.ttl > 0) {
                    item.age = u32::try_from(AGE_MINUTES).unwrap_or(u32::MAX);
                }
                out.extend(writer.segment(&segment.encode()));
            }
            Frame::Payload { feed, seq, payload } => {
                out.extend(writer.payload(feed, seq, payload));
            }
            Frame::Fork(proof) => out.extend(writer.fork(proof)),
            Frame::Opening(_)
            | Frame::Heads(_)
            | Frame::Wants(_)
            | Frame::Statement(_)
            | Frame::End { .. }
            | Frame::Unknown { .. } => {}
        }
    }
    out.extend(writer.end());
    out
}

/// Turns some bits over.
pub(super) fn flip(bytes: &mut [u8], seed: &mut Seed) {
    for _ in 0..=seed.below(3) {
        let (at, bit) = (seed.index(bytes.len().max(1)), seed.below(8));
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << bit;
        }
    }
}
