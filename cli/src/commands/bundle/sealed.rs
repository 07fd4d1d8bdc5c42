//! Sealed bundles as files: what is written into one and for whom, and what is found in one.
//!
//! A part is a plain bundle like any other, gathered for those who may open it. How long each part
//! is has to be known before the first byte is written, so everything is gathered twice from one
//! snapshot: that costs time and neither memory nor a copy on the disk.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use thistle_engine::bundle::{FileFault, FileReader, Frame, Opening, Read as FrameRead};
use thistle_engine::container::{
    Found, Grant, HEAD_BYTES, Next, Part as FoundPart, PartFault, PlanFault, TextFault, Writer,
    find, is_size, room, sealed_len, sizes,
};
use thistle_engine::key::{FeedId, Seed};
use thistle_engine::{BundleRequest, BundleSource, Gathered, Reader, StoreError};

/// A secret by which parts of sealed bundles are found, and whose it is, in words for the user.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) of: String,
    pub(crate) secret: Seed,
}

/// Those who may open one part of a sealed bundle.
#[derive(Debug, Clone)]
pub(crate) struct Audience {
    /// What the part is found by; each secret in one audience only.
    pub(crate) secrets: Vec<Seed>,
    /// What goes in.
    pub(crate) request: BundleRequest,
    /// The feeds of the devices that are to have it all.
    pub(crate) peers: Vec<FeedId>,
}

/// A part that is to be written.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) secrets: Vec<Seed>,
    pub(crate) what: What,
}

/// What is in a part.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Bundle(BundleRequest),
    Note(Vec<u8>),
}

impl Part {
    /// The part of an audience.
    pub(crate) fn of(audience: &Audience) -> Self {
        let what = What::Bundle(audience.request.clone());
        Self { secrets: audience.secrets.clone(), what }
    }
}

/// Why a sealed bundle cannot be written.
#[derive(Debug)]
pub(crate) enum SealFault {
    Store(StoreError),
    Plan(PlanFault),
    Text(TextFault),
    /// Even the smallest for so many takes this many bytes.
    NoRoom(u64),
}

impl From<StoreError> for SealFault {
    fn from(fault: StoreError) -> Self {
        Self::Store(fault)
    }
}

impl From<PlanFault> for SealFault {
    fn from(fault: PlanFault) -> Self {
        Self::Plan(fault)
    }
}

impl From<TextFault> for SealFault {
    fn from(fault: TextFault) -> Self {
        Self::Text(fault)
    }
}

/// What went wrong while one was written.
#[derive(Debug)]
pub(crate) enum WriteFault {
    Sink(io::Error),
    Source(SealFault),
}

// ---- Writing ----

/// A sealed bundle that is ready to be written.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    reader: &'a Reader,
    parts: Vec<Part>,
    writer: Writer,
    gathered: Gathered,
}

impl<'a> Plan<'a> {
    /// Measures the parts. Where all of them are larger than `limit` allows, each gets its share, and
    /// of what there is no room for the newest goes in. `seed` is fresh and used for nothing else.
    pub(crate) fn new(
        reader: &'a Reader,
        mut parts: Vec<Part>,
        limit: Option<u64>,
        seed: &Seed,
    ) -> Result<Self, SealFault> {
        let mut gathered = Vec::new();
        for part in &parts {
            gathered.push(part.measure(reader)?);
        }
        let lengths = |gathered: &[Gathered]| -> Vec<u64> {
            gathered.iter().map(|part| sealed_len(part.bytes).unwrap_or(u64::MAX)).collect()
        };
        if let Some(share) = limit.and_then(|limit| share(&lengths(&gathered), limit)) {
            for (part, gathered) in parts.iter_mut().zip(&mut gathered) {
                let (true, What::Bundle(request)) = (gathered.bytes > share, &mut part.what) else {
                    continue;
                };
                request.max_bytes = Some(request.max_bytes.map_or(share, |own| own.min(share)));
                *gathered = part.measure(reader)?;
            }
        }
        let grants: Vec<Grant<'_>> = parts
            .iter()
            .zip(&gathered)
            .map(|(part, gathered)| Grant { length: gathered.bytes, secrets: &part.secrets })
            .collect();
        let writer = Writer::new(&grants, seed)?;
        if limit.is_some_and(|limit| writer.size() > limit) {
            return Err(SealFault::NoRoom(writer.size()));
        }
        Ok(Self { reader, parts, writer, gathered: sum(&gathered) })
    }

    /// Bytes that the file will have.
    pub(crate) const fn size(&self) -> u64 {
        self.writer.size()
    }

    /// What goes in, all parts together.
    pub(crate) const fn gathered(&self) -> Gathered {
        self.gathered
    }

    /// Writes the file, from its beginning to its end.
    pub(crate) fn write(mut self, sink: &mut dyn Write) -> Result<(), WriteFault> {
        let mut open: Option<(usize, Text)> = None;
        loop {
            let bytes = match self.writer.poll() {
                Next::End => return Ok(()),
                Next::Bytes(bytes) => bytes,
                Next::Text { part, length } => self.sealed(&mut open, part, length)?,
            };
            sink.write_all(&bytes).map_err(WriteFault::Sink)?;
        }
    }

    /// The next chunk of a part; one part is open at a time.
    fn sealed(
        &mut self,
        open: &mut Option<(usize, Text)>,
        part: usize,
        length: usize,
    ) -> Result<Vec<u8>, WriteFault> {
        let fault = |fault: SealFault| WriteFault::Source(fault);
        if open.as_ref().is_none_or(|(number, _)| *number != part) {
            let begun = self.parts.get(part).ok_or_else(|| fault(TextFault.into()))?;
            *open = Some((part, begun.text(self.reader).map_err(|error| fault(error.into()))?));
        }
        let text = match open {
            Some((_, text)) => text.take(length).map_err(|error| fault(error.into()))?,
            None => Vec::new(),
        };
        self.writer.seal(&text).map_err(|error| fault(error.into()))
    }
}

impl Part {
    fn text(&self, reader: &Reader) -> Result<Text, StoreError> {
        match &self.what {
            What::Note(bytes) => Ok(Text { source: None, ready: bytes.clone() }),
            What::Bundle(request) => {
                let source = Some(Box::new(reader.clone().bundle(request)?));
                Ok(Text { source, ready: Vec::new() })
            }
        }
    }

    fn measure(&self, reader: &Reader) -> Result<Gathered, StoreError> {
        match &self.what {
            What::Note(bytes) => Ok(Gathered { bytes: bytes.len() as u64, ..Gathered::default() }),
            What::Bundle(request) => {
                let mut source = reader.clone().bundle(request)?;
                while source.poll()?.is_some() {}
                Ok(source.gathered())
            }
        }
    }
}

/// The text of a part, as it comes.
#[derive(Debug)]
struct Text {
    source: Option<Box<BundleSource>>,
    ready: Vec<u8>,
}

impl Text {
    /// The next bytes; fewer only where there are no more.
    fn take(&mut self, length: usize) -> Result<Vec<u8>, StoreError> {
        while self.ready.len() < length
            && let Some(source) = &mut self.source
        {
            match source.poll()? {
                Some(bytes) => self.ready.extend(bytes),
                None => self.source = None,
            }
        }
        let rest = self.ready.split_off(length.min(self.ready.len()));
        Ok(std::mem::replace(&mut self.ready, rest))
    }
}

/// What several parts have together; feeds are those of the one with the most.
pub(crate) fn sum(parts: &[Gathered]) -> Gathered {
    parts.iter().fold(Gathered::default(), |all, part| Gathered {
        feeds: all.feeds.max(part.feeds),
        entries: all.entries + part.entries,
        payloads: all.payloads + part.payloads,
        content_bytes: all.content_bytes + part.content_bytes,
        bytes: all.bytes + part.bytes,
        left_out: all.left_out + part.left_out,
    })
}

/// Bytes of text that each part may have, so that all of them fit in a file of at most `limit`; none
/// if they fit as they are. Small parts stay whole, and the others share what is left evenly.
fn share(sealed: &[u64], limit: u64) -> Option<u64> {
    let mut left = room(sizes().take_while(|size| *size <= limit).last().unwrap_or_default());
    if sealed.iter().try_fold(0_u64, |sum, length| sum.checked_add(*length))? <= left {
        return None;
    }
    let mut sorted = sealed.to_vec();
    sorted.sort_unstable();
    for (length, others) in sorted.iter().zip((1..=sorted.len() as u64).rev()) {
        let even = left / others;
        if *length > even {
            // What sealing adds is at most this.
            let added = sealed_len(even).map_or(even, |sealed| sealed - even);
            return Some(even.saturating_sub(added));
        }
        left -= *length;
    }
    None
}

// ---- Reading ----

/// What a file is to whoever holds some secrets.
#[derive(Debug)]
pub(crate) enum Looked {
    /// A plain bundle, or something else that is no sealed one.
    Plain,
    /// A sealed bundle in which something is for them.
    Sealed(Found),
    /// A sealed bundle for others, as far as anybody can tell.
    Nothing,
}

/// Looks at the beginning of a file.
pub(crate) fn look(file: &mut File, secrets: &[Seed]) -> io::Result<Looked> {
    let mut head = Vec::new();
    Read::by_ref(file).take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    file.rewind()?;
    if let Some(found) = find(&head, secrets)
        && !(found.parts.is_empty() && found.refused.is_empty())
    {
        return Ok(Looked::Sealed(found));
    }
    let nothing = is_size(file.metadata()?.len()) && !opens_plain(&head);
    Ok(if nothing { Looked::Nothing } else { Looked::Plain })
}

fn opens_plain(start: &[u8]) -> bool {
    let mut reader = FileReader::new();
    reader.push(start);
    let opened = reader.poll().is_some();
    opened || !matches!(reader.finish().fault, Some(FileFault::Foreign | FileFault::Empty))
}

/// The next text of a part, or why there is no more; none at its end.
pub(crate) fn next_text(
    file: &mut File,
    part: &mut FoundPart,
) -> io::Result<Option<Result<Vec<u8>, PartFault>>> {
    let Some(wanted) = part.wanted() else { return Ok(None) };
    file.seek(SeekFrom::Start(wanted.offset))?;
    let mut sealed = Vec::new();
    Read::by_ref(file).take(wanted.length as u64).read_to_end(&mut sealed)?;
    Ok(Some(part.open(&sealed)))
}

/// What the beginning of a plain bundle tells.
#[derive(Debug, Default)]
pub(crate) struct Peek {
    reader: FileReader,
    opening: Option<Opening>,
    carries: Option<bool>,
}

impl Peek {
    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.reader.push(bytes);
        while self.carries.is_none()
            && let Some(found) = self.reader.poll()
        {
            match found.read {
                FrameRead::Frame(Frame::Opening(opening)) => self.opening = Some(opening),
                FrameRead::Frame(Frame::End { .. }) => self.carries = Some(false),
                FrameRead::Frame(Frame::Segment(_) | Frame::Payload { .. } | Frame::Fork(_)) => {
                    self.carries = Some(true);
                }
                FrameRead::Frame(
                    Frame::Heads(_) | Frame::Wants(_) | Frame::Statement(_) | Frame::Unknown { .. },
                )
                | FrameRead::Statement { .. }
                | FrameRead::Refused(_) => {}
            }
        }
    }

    /// Who made it, for whom, and how far its maker's log went.
    pub(crate) const fn opening(&self) -> Option<Opening> {
        self.opening
    }

    /// Whether there are entries in it and not heads alone, once that is known.
    pub(crate) const fn carries(&self) -> Option<bool> {
        self.carries
    }
}
