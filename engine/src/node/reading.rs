//! Reading a bundle: frames are verified as they come, staged within a bound, and committed.

use crate::bundle::{FileFault, FileReader, Frame, FrameFault, Head, Opening, Read, Want, What};
use crate::entry::ChainHasher;
use crate::fork::ForkFault;
use crate::ingest::{self, Outcome, Source};
use crate::key::FeedId;
use crate::limits::STAGED_BYTES;
use crate::node::piece::{Piece, Taken};
use crate::node::{Event, Node, SETTLE_BYTES};
use crate::own::retire_if_due;
use crate::policy::{Carrier, CarryClass};
use crate::segment::Reject;
use crate::store::{StoreError, Writer};
use crate::time::Now;

/// Why a piece of a bundle was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The frame.
    #[error("{0}")]
    Frame(#[from] FrameFault),
    /// What stands in it.
    #[error("{0}")]
    Reject(#[from] Reject),
    /// The fork proof in it.
    #[error("{0}")]
    Fork(#[from] ForkFault),
}

/// What became of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Who made it, if it says so under a good signature.
    pub maker: Option<FeedId>,
    /// Entries that are new.
    pub entries_new: u64,
    /// Payloads that came for entries that were held without.
    pub payloads_new: u64,
    /// Segments and payloads that were known.
    pub known: u64,
    /// Entries that were right, but are not kept.
    pub left_out: u64,
    /// Pieces that were wrong.
    pub refused: u64,
    /// Frames of a kind that this program does not know.
    pub unknown: u64,
    /// Forks that were not known.
    pub forks: u64,
    /// What is wrong with the file as a whole.
    pub ending: Option<FileFault>,
}

/// A bundle being read.
#[derive(Debug)]
pub(super) struct Reading {
    bundle: u64,
    via: String,
    file: FileReader,
    opening: Option<Opening>,
    heads: Vec<Head>,
    wants: Vec<Want>,
    /// Whether the statement was good, and the heads are all that the maker holds.
    stated: Option<bool>,
    stated_kept: bool,
    staged: Vec<(u64, Piece)>,
    weight: u64,
    read: u64,
    report: Report,
    hasher: ChainHasher,
    faults: Vec<(u64, Fault)>,
}

/// Bytes that a fault counts while it waits to be told.
const FAULT_BYTES: u64 = 128;

impl Reading {
    pub(super) fn new(bundle: u64, via: &str) -> Self {
        Self {
            bundle,
            via: via.to_owned(),
            file: FileReader::new(),
            opening: None,
            heads: Vec::new(),
            wants: Vec::new(),
            stated: None,
            stated_kept: false,
            staged: Vec::new(),
            weight: 0,
            read: 0,
            report: Report::default(),
            hasher: ChainHasher::default(),
            faults: Vec::new(),
        }
    }

    /// Verifies the next frame and stages it; false if no whole frame is left.
    fn step(&mut self) -> bool {
        let Some(found) = self.file.poll() else { return false };
        let offset = found.offset;
        let piece = match found.read {
            Read::Statement { whole } => {
                self.stated = Some(whole);
                self.report.maker = self.opening.map(|opening| opening.maker);
                return true;
            }
            Read::Refused(fault) => Err(Fault::Frame(fault)),
            Read::Frame(frame) => match frame {
                Frame::Opening(opening) => {
                    self.opening = Some(opening);
                    return true;
                }
                Frame::Heads(heads) => {
                    self.heads.extend(heads);
                    return true;
                }
                Frame::Wants(wants) => {
                    self.wants = wants;
                    return true;
                }
                frame @ (Frame::Segment(_) | Frame::Payload { .. } | Frame::Fork(_)) => {
                    match Piece::verify(frame, &mut self.hasher) {
                        Some(piece) => piece,
                        None => return true,
                    }
                }
                Frame::Statement(_) | Frame::End { .. } | Frame::Unknown { .. } => return true,
            },
        };
        match piece {
            Ok(piece) => {
                self.weight = self.weight.saturating_add(piece.weight());
                self.staged.push((offset, piece));
            }
            Err(fault) => {
                self.weight = self.weight.saturating_add(FAULT_BYTES);
                self.faults.push((offset, fault));
            }
        }
        true
    }

    /// What the maker stated, if it is still to be remembered.
    fn statement(&self) -> Option<(Opening, bool)> {
        let (opening, whole) = (self.opening?, self.stated?);
        if self.stated_kept { None } else { Some((opening, whole)) }
    }
}

impl Node {
    pub(super) fn read_chunk(
        &mut self,
        now: Now,
        bundle: u64,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let Some(mut reading) = self.readings.remove(&bundle) else { return Ok(()) };
        reading.read = reading.read.saturating_add(bytes.len() as u64);
        reading.file.push(bytes);
        while reading.step() {
            if reading.weight >= STAGED_BYTES {
                self.commit(now, &mut reading)?;
            }
        }
        self.readings.insert(bundle, reading);
        Ok(())
    }

    pub(super) fn end_reading(&mut self, now: Now, bundle: u64) -> Result<(), StoreError> {
        let Some(mut reading) = self.readings.remove(&bundle) else { return Ok(()) };
        self.commit(now, &mut reading)?;
        let ending = std::mem::take(&mut reading.file).finish();
        reading.report.unknown = ending.unknown;
        reading.report.ending = ending.fault;
        if ending.fault.is_none() && reading.report.refused == 0 {
            self.store.write(now, |writer| acknowledge(writer, &reading))?;
        }
        self.tell(Event::BundleDone { bundle, report: reading.report });
        Ok(())
    }

    /// Takes in what is staged, in one commit.
    fn commit(&mut self, now: Now, reading: &mut Reading) -> Result<(), StoreError> {
        let statement = reading.statement();
        let staged = std::mem::take(&mut reading.staged);
        let faults = std::mem::take(&mut reading.faults);
        self.unsettled = self.unsettled.saturating_add(std::mem::take(&mut reading.weight));
        let (mut outcomes, mut remembered) = (Vec::new(), false);
        if !staged.is_empty() || !faults.is_empty() || statement.is_some() {
            self.settled = false;
            let (me, key, pool) = (self.me, &self.key, &mut self.pool);
            let reading = &*reading;
            (outcomes, remembered) = self.store.write(now, |writer| {
                writer.heads.counts.refused += faults.len() as u64;
                let source = source(writer, reading)?;
                let mut outcomes = Vec::with_capacity(staged.len());
                for (offset, piece) in &staged {
                    outcomes.push((*offset, piece.feed(), piece.take(writer, &source)?));
                }
                retire_if_due(writer, me, key, pool)?;
                ingest::regroup_if_due(writer)?;
                // Only now: the maker's own feed may have come with this very bundle.
                let remembered = match statement {
                    Some((opening, whole)) => {
                        remember(writer, key.feed(), reading, &opening, whole)?
                    }
                    None => false,
                };
                Ok::<_, StoreError>((outcomes, remembered))
            })?;
        }
        reading.stated_kept |= remembered;
        if self.unsettled >= SETTLE_BYTES {
            self.settle()?;
        }
        for (offset, fault) in faults {
            reading.report.refused += 1;
            self.tell(Event::Refused { bundle: reading.bundle, offset, fault });
        }
        for (offset, feed, taken) in outcomes {
            self.report(reading, offset, feed, taken);
        }
        self.follow_up()?;
        let (new_entries, bytes) = (reading.report.entries_new, reading.read);
        self.tell(Event::Progress { bundle: reading.bundle, new_entries, bytes });
        Ok(())
    }

    fn report(
        &mut self,
        reading: &mut Reading,
        offset: u64,
        feed: FeedId,
        (outcome, fork_seq): Taken,
    ) {
        let (bundle, report) = (reading.bundle, &mut reading.report);
        match outcome {
            Outcome::New(count) => report.entries_new += count,
            Outcome::Payload => report.payloads_new += 1,
            Outcome::Known => report.known += 1,
            Outcome::Forked => {
                report.forks += 1;
                self.tell(Event::ForkFound { feed, fork_seq: fork_seq.unwrap_or(0) });
            }
            Outcome::Left(why, entries) => {
                report.left_out += entries;
                self.tell(Event::LeftOut { bundle, feed, entries, why });
            }
            Outcome::Wrong(reject) => {
                report.refused += 1;
                self.tell(Event::Refused { bundle, offset, fault: Fault::Reject(reject) });
            }
        }
    }
}

/// Whose share a bundle counts against: its maker's if the user follows it, else the hour's.
fn source(writer: &mut Writer<'_>, reading: &Reading) -> Result<Source, StoreError> {
    let mut carrier = Carrier::anonymous(writer.known);
    if let Some(maker) = reading.report.maker {
        // Whom the user follows is known before anything of the feed is here.
        let mut known = writer.relation(&maker)? == Some(ingest::FOLLOWED);
        if let Some(number) = writer.number(&maker, 0)?
            && writer.is_held(number)?
        {
            known |= writer.row(number)?.class != CarryClass::Stranger;
        }
        if known {
            carrier = Carrier::Known(maker);
        }
    }
    Ok(Source { via: reading.via.clone(), carrier })
}

/// Remembers what the maker of a bundle stated, unless something newer of it is known. False: not
/// yet, since nothing is held of the maker.
fn remember(
    writer: &mut Writer<'_>,
    me: FeedId,
    reading: &Reading,
    opening: &Opening,
    whole: bool,
) -> Result<bool, StoreError> {
    if opening.maker == me || !may_remember(writer, &opening.maker)? {
        return Ok(opening.maker == me);
    }
    let known = writer.peer(&opening.maker)?;
    if known.as_ref().is_some_and(|known| known.position > opening.position) {
        return Ok(true);
    }
    let mut row = known.unwrap_or_default();
    row.position = opening.position;
    if opening.for_feed == Some(me) {
        row.ack = opening.ack;
    }
    // A bundle of some feeds tells of these alone.
    if whole {
        let want = |want: &Want| (want.feed, want.first, want.last, want.what == What::Payloads);
        row.wants = reading.wants.iter().map(want).collect();
    }
    let heads: Vec<_> = reading
        .heads
        .iter()
        .map(|head| (head.feed, head.floor, head.head, head.forked.unwrap_or(0)))
        .collect();
    writer.set_peer(&opening.maker, &row, &heads, whole)?;
    Ok(true)
}

/// Heads are remembered of makers whose feed is here or followed, so that strangers fill no table.
fn may_remember(writer: &mut Writer<'_>, maker: &FeedId) -> Result<bool, StoreError> {
    if writer.relation(maker)? == Some(ingest::FOLLOWED) {
        return Ok(true);
    }
    match writer.number(maker, 0)? {
        Some(number) => writer.is_held(number),
        None => Ok(false),
    }
}

/// Notes how far the maker's log was taken in, if nothing of what it has is missing here.
fn acknowledge(writer: &mut Writer<'_>, reading: &Reading) -> Result<(), StoreError> {
    let (Some(opening), Some(true)) = (reading.opening, reading.stated) else { return Ok(()) };
    let Some(mut row) = writer.peer(&opening.maker)? else { return Ok(()) };
    for head in &reading.heads {
        let covered = match writer.number(&head.feed, 0)? {
            Some(number) if writer.is_held(number)? => {
                let row = writer.row(number)?;
                row.head() >= head.head || row.fork_seq.is_some()
            }
            _ => writer.left_out(&head.feed)?.is_some() || writer.relation(&head.feed)?.is_some(),
        };
        if !covered {
            return Ok(());
        }
    }
    row.read = Some((opening.position, opening.log_hash));
    writer.set_peer(&opening.maker, &row, &[], false)
}
