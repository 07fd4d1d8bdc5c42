//! One link between two devices of a swarm: what is on its way, what was said, how it ends.

use std::collections::{BTreeMap, VecDeque};

use thistle_engine::SessionReport;
use thistle_engine::bundle::Frame;
use thistle_engine::entry::ChainHasher;
use thistle_engine::key::FeedId;
use thistle_engine::limits::AGE_MINUTES;
use thistle_engine::segment::UnverifiedSegment;
use thistle_engine::session::{Frames, Sentence};

use crate::Seed;

/// What is to happen to a link.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fate {
    /// It is cut while so many pieces have been on their way.
    pub(super) cut: Option<u64>,
    /// This piece does not come as it was sent: whoever carries it is not what it seems.
    pub(super) damaged: Option<u64>,
    /// Whatever crosses it is said to be of the highest age that can be claimed.
    pub(super) aged: bool,
    /// What is wanted gets lost.
    pub(super) unheard: bool,
    /// The link takes what it is given at once, and not only when it has arrived.
    pub(super) eager: bool,
}

/// A link.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the link")]
pub(super) struct Link {
    /// First the one who dialled.
    pub(super) ends: [End; 2],
    pub(super) fate: Fate,
    /// Pieces that arrived.
    pub(super) arrived: u64,
    /// Unbroken runs of bytes, by turns.
    pub(super) messages: u64,
    spoke: Option<usize>,
    /// Something was done to it, or to one of its ends, so that it may end in any way.
    pub(super) spoilt: bool,
    /// Another link, a bundle or a decision came between.
    pub(super) shared: bool,
    /// Something was asked for, declined or found forked.
    pub(super) asked: bool,
    /// Nothing that one end holds may come to it again.
    pub(super) exact: bool,
}

/// One end of a link.
#[derive(Debug)]
pub(super) struct End {
    /// The device, and how often it was started when the link was opened.
    pub(super) at: usize,
    pub(super) life: u64,
    pub(super) known: bool,
    /// What is on its way to the other end, and when it arrives; none: nothing more comes.
    pub(super) out: VecDeque<(u64, Option<Vec<u8>>)>,
    /// When the link is free for what is sent next.
    free: u64,
    pub(super) report: Option<SessionReport>,
    /// The device is not there any more, or not as it was.
    pub(super) gone: bool,
    frames: Frames,
    hasher: ChainHasher,
    /// Entries that it sent.
    sent: BTreeMap<FeedId, Vec<(u64, u64)>>,
}

impl End {
    pub(super) fn new(at: usize, life: u64, known: bool) -> Self {
        Self {
            at,
            life,
            known,
            out: VecDeque::new(),
            free: 0,
            report: None,
            gone: false,
            frames: Frames::default(),
            hasher: ChainHasher::default(),
            sent: BTreeMap::new(),
        }
    }

    /// Whether nothing can be expected of it any more.
    pub(super) const fn is_over(&self) -> bool {
        self.gone || self.report.is_some()
    }

    /// When bytes that are sent now have left, on a link that carries so many in a millisecond.
    pub(super) fn leave(&mut self, now: u64, bytes: usize, bandwidth: u64) -> u64 {
        let takes = (bytes as u64).checked_div(bandwidth).unwrap_or(0);
        self.free = self.free.max(now).saturating_add(takes);
        self.free
    }

    /// Puts something behind what is on its way.
    pub(super) fn post(&mut self, due: u64, bytes: Option<Vec<u8>>) {
        let last = self.out.back().map_or(0, |(due, _)| *due);
        self.out.push_back((due.max(last), bytes));
    }
}

impl Link {
    pub(super) const fn new(ends: [End; 2], fate: Fate) -> Self {
        Self {
            ends,
            fate,
            arrived: 0,
            messages: 0,
            spoke: None,
            spoilt: false,
            shared: false,
            asked: false,
            exact: false,
        }
    }

    /// Which end belongs to a device as it is now.
    pub(super) fn end_of(&self, at: usize, life: u64) -> Option<usize> {
        self.ends.iter().position(|end| end.at == at && end.life == life && !end.gone)
    }

    /// Watches what an end says, and tells what is wrong with it.
    pub(super) fn watch(&mut self, from: usize, bytes: &[u8], twice: bool) -> Vec<String> {
        if self.spoke.replace(from) != Some(from) {
            self.messages += 1;
        }
        let mut found = Vec::new();
        let Some(end) = self.ends.get_mut(from) else { return found };
        end.frames.push(bytes);
        loop {
            let frame = match end.frames.poll() {
                Ok(Some(frame)) => frame.to_vec(),
                Ok(None) => break,
                Err(error) => {
                    found.push(format!("says no frames: {error}"));
                    break;
                }
            };
            match Sentence::decode(&frame) {
                Ok(Sentence::Carried(Frame::Segment(bytes))) => {
                    found.extend(end.watch_segment(bytes, self.asked));
                    if twice {
                        found.extend(end.watch_segment(bytes, self.asked));
                    }
                }
                Ok(
                    Sentence::Carried(Frame::Wants(_) | Frame::Fork(_))
                    | Sentence::Decline { .. }
                    | Sentence::Absent(_),
                ) => self.asked = true,
                Ok(_) => {}
                Err(error) => found.push(format!("says no sentence: {error}")),
            }
        }
        found
    }
}

impl End {
    fn watch_segment(&mut self, bytes: &[u8], asked: bool) -> Option<String> {
        let segment = match UnverifiedSegment::decode(bytes) {
            Ok(segment) => segment,
            Err(error) => return Some(format!("serves what does not verify: {error}")),
        };
        let (feed, first, last) = (segment.feed, segment.first_seq, segment.last_seq());
        if let Err(error) = segment.verify(&mut self.hasher) {
            return Some(format!("serves what does not verify: {feed:?} {first}: {error}"));
        }
        let sent = self.sent.entry(feed).or_default();
        let again = sent.iter().any(|run| run.0 <= last && first <= run.1);
        sent.push((first, last));
        let wrong = again && !asked;
        wrong.then(|| format!("sends {feed:?} {first} to {last} twice on one link"))
    }
}

/// The same frames, with every age said to be the highest that can be claimed, or without what is
/// wanted.
pub(super) fn changed(bytes: &[u8], fate: Fate) -> Vec<u8> {
    let (mut frames, mut out) = (Frames::default(), Vec::new());
    frames.push(bytes);
    while let Ok(Some(frame)) = frames.poll() {
        let Ok(sentence) = Sentence::decode(frame) else { continue };
        let said = match sentence {
            Sentence::Carried(Frame::Segment(bytes)) if fate.aged => {
                let Ok(mut segment) = UnverifiedSegment::decode(bytes) else { continue };
                for item in segment.items.iter_mut().filter(|item| item.ttl > 0) {
                    item.age = u32::try_from(AGE_MINUTES).unwrap_or(u32::MAX);
                }
                Sentence::Carried(Frame::Segment(&segment.encode())).encode()
            }
            // A frame that is skipped and counted stands where the wants stood.
            Sentence::Carried(Frame::Wants(_)) if fate.unheard => {
                Sentence::Unknown { kind: 15 }.encode()
            }
            same => same.encode(),
        };
        out.extend(said);
    }
    out
}

/// A piece that does not come as it was sent: some bit of it is another one, it is lost, it comes
/// twice, or the next one overtakes it.
pub(super) fn damage(bytes: &mut Vec<u8>, next: Option<&mut Vec<u8>>, at: usize, bit: u64) {
    match (at.wrapping_add(bytes.len()) % 4, next) {
        (1, _) => bytes.clear(),
        (2, _) => bytes.extend_from_within(..),
        (3, Some(next)) => std::mem::swap(bytes, next),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
    }
}

/// What is left of a piece when its link is cut: nothing, some frames, or any part of it.
pub(super) fn cut_short(bytes: &mut Vec<u8>, seed: &mut Seed) {
    let len = match seed.below(3) {
        0 => 0,
        1 => {
            let (mut frames, mut ends) = (Frames::default(), vec![0]);
            frames.push(bytes);
            while let Ok(Some(_)) = frames.poll() {
                ends.push(bytes.len() - frames.buffered());
            }
            seed.choose(&ends).copied().unwrap_or(0)
        }
        _ => seed.index(bytes.len().max(1)),
    };
    bytes.truncate(len);
}
