//! One home: a production node, its disk, its clocks, and the small steps of its driver.

use thistle_engine::time::Now;
use thistle_engine::{BundleRequest, Event, Input, Node, Output, Report, StoreError};

use crate::{Cover, Disk, Seed, author};

/// Memory for pages of each node.
pub const CACHE_BYTES: usize = 1 << 20;

/// A node on its disk.
#[derive(Debug)]
pub struct Home {
    /// The engine.
    pub node: Node,
    /// What it stands on.
    pub disk: Disk,
    /// What its clocks say.
    pub now: Now,
    /// What the node said for its links and of them, in order.
    pub mail: Vec<Output>,
}

impl Home {
    /// Opens what a disk holds.
    pub fn open(disk: Disk, now: Now, seed: &mut Seed) -> Result<Self, StoreError> {
        let secret = author::secret(seed);
        let node = match (disk.cover(), disk.sealed(true)) {
            (Cover::None, _) => Node::open(disk.clone(), secret, CACHE_BYTES, now)?,
            (_, Ok(sealed)) => Node::open(sealed, secret, CACHE_BYTES, now)?,
            (_, Err(_)) => return Err(StoreError::Foreign),
        };
        Ok(Self { node, disk, now, mail: Vec::new() })
    }

    /// The bytes of a bundle.
    pub fn bundle(&self, request: &BundleRequest) -> Result<Vec<u8>, StoreError> {
        let mut source = self.node.reader()?.bundle(request)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = source.poll()? {
            bytes.extend(chunk);
        }
        Ok(bytes)
    }

    /// Reads a bundle in chunks and tells what happened.
    pub fn read(&mut self, bytes: &[u8], chunk: usize) -> Result<Reading, StoreError> {
        let mut reading = Reading::default();
        self.node.handle(self.now, Input::BundleOpened { bundle: 1, via: "carried" })?;
        for bytes in bytes.chunks(chunk.max(1)) {
            self.node.handle(self.now, Input::BundleChunk { bundle: 1, bytes })?;
            reading.note(self.listen());
        }
        self.node.handle(self.now, Input::BundleEnded { bundle: 1 })?;
        reading.note(self.listen());
        Ok(reading)
    }

    /// Takes what the node says; what belongs to links is laid aside.
    pub fn listen(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(output) = self.node.poll() {
            match output {
                Output::Event(Event::SessionDone { .. } | Event::SessionProgress { .. })
                | Output::Send { .. }
                | Output::Close { .. } => self.mail.push(output),
                Output::Event(event) => events.push(event),
            }
        }
        events
    }

    /// One step of work behind; whether there is more.
    pub fn idle(&mut self) -> Result<bool, StoreError> {
        self.node.handle(self.now, Input::Idle)?;
        Ok(self.listen().contains(&Event::Idle { more: true }))
    }

    /// Works until nothing waits.
    pub fn rest(&mut self) -> Result<(), StoreError> {
        while self.idle()? {}
        Ok(())
    }

    /// Lets minutes pass, as a running clock counts them.
    pub const fn pass(&mut self, minutes: u64) {
        self.now.tick = self.now.tick.saturating_add(minutes.saturating_mul(60_000));
        self.now.wall = self.now.wall.saturating_add(minutes.saturating_mul(60_000));
    }
}

/// What a node said while it read a bundle.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// What became of the bundle.
    pub report: Report,
    /// Whether the own feed ended and another began.
    pub retired: bool,
    /// The words for what was refused.
    pub refused: Vec<String>,
}

impl Reading {
    fn note(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::BundleDone { report, .. } => self.report = report,
                Event::Retired { .. } => self.retired = true,
                Event::Refused { offset, fault, .. } => {
                    self.refused.push(format!("{fault} at {offset}"));
                }
                Event::LeftOut { .. }
                | Event::Progress { .. }
                | Event::ForkFound { .. }
                | Event::Restored { .. }
                | Event::Upgraded { .. }
                | Event::SessionProgress { .. }
                | Event::SessionDone { .. }
                | Event::Idle { .. } => {}
            }
        }
    }
}
