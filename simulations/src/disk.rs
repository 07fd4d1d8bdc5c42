//! A disk in memory that loses power, fills up and lies, and one that remembers all it was told.
//!
//! What was written since the last sync that held is kept apart. When power goes, any part of it may
//! have reached the disk: some writes and not others, in another order, torn between two sectors,
//! with or without the new length. A [`Journal`] of one run gives such a disk for every one of its
//! syncs, without running again.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thistle_engine::key::Seed as Secret;
use thistle_engine::{LockedDisk, StorageBackend, noise};

use crate::Seed;

/// Bytes of a disk of one size.
const FIXED_BYTES: usize = (8 << 20) + (256 << 10);
/// What a disk writes as a whole or not at all.
const SECTOR: usize = 512;

/// A disk in memory. Its clones are the same disk; [`copy`](Self::copy) makes another one.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

/// What lies between a store and its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cover {
    /// Nothing.
    #[default]
    None,
    /// Every sector is encrypted.
    Locked,
    /// And the disk is of one size, full of random bytes at first.
    Fixed,
}

impl Cover {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Locked, Self::Fixed];
}

#[derive(Debug, Default)]
struct State {
    cover: Cover,
    bytes: Vec<u8>,
    /// What was done since the last sync that held, with what it took to undo it.
    pending: Vec<(Op, Undo)>,
    /// Syncs that said they were done.
    syncs: u64,
    /// At the end of this sync power goes.
    power_until: Option<u64>,
    off: bool,
    /// The disk is full beyond.
    full: Option<Full>,
    /// Of so many syncs one keeps nothing.
    lies: Option<u64>,
    journal: Option<Journal>,
}

/// How a disk is full.
#[derive(Debug, Clone, Copy)]
enum Full {
    /// It refuses to be longer than this.
    Beyond(usize),
    /// It takes so many bytes more to be written, wherever.
    After(usize),
}

/// One change of a disk.
#[derive(Debug, Clone)]
enum Op {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// What was there before a change.
#[derive(Debug)]
enum Undo {
    Bytes(usize, Vec<u8>),
    Length(usize, Vec<u8>),
}

/// All that a disk was told in one run.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    cover: Cover,
    /// What was there when it began.
    base: Vec<u8>,
    epochs: Vec<Epoch>,
    open: Vec<Op>,
}

/// What was done before one sync, and whether that sync held.
#[derive(Debug, Clone)]
struct Epoch {
    ops: Vec<Op>,
    held: bool,
}

impl Disk {
    /// A disk that remembers all it is told.
    pub fn recording() -> Self {
        Self::recording_under(Cover::None)
    }

    /// The same, for a store with something between.
    pub fn recording_under(cover: Cover) -> Self {
        let mut bytes = Vec::new();
        if cover == Cover::Fixed {
            bytes.resize(FIXED_BYTES, 0);
            noise(&Secret::new([1; 32]), 0, &mut bytes);
        }
        let disk = Self(Arc::new(Mutex::new(State { cover, bytes, ..State::default() })));
        disk.record();
        disk
    }

    /// What lies between the store and this disk.
    pub fn cover(&self) -> Cover {
        self.state().cover
    }

    /// The disk as a store that lies under something finds it; `made`: the store is there already.
    pub fn sealed(&self, made: bool) -> io::Result<LockedDisk> {
        let key = Secret::new([2; 32]);
        match (self.cover(), made) {
            (Cover::Fixed, true) => LockedDisk::fixed(self.clone(), &key),
            (Cover::Fixed, false) => LockedDisk::make_fixed(self.clone(), &key),
            _ => Ok(LockedDisk::new(self.clone(), &key)),
        }
    }

    /// Begins to remember all it is told.
    pub fn record(&self) {
        let mut state = self.state();
        let (cover, base) = (state.cover, state.bytes.clone());
        state.journal = Some(Journal { cover, base, ..Journal::default() });
    }

    /// A disk that holds these bytes.
    pub fn holding(bytes: Vec<u8>) -> Self {
        Self::holding_under(Cover::None, bytes)
    }

    fn holding_under(cover: Cover, bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State { cover, bytes, ..State::default() })))
    }

    /// Another disk with the same bytes, as a copy of a home.
    #[must_use]
    pub fn copy(&self) -> Self {
        let state = self.state();
        Self::holding_under(state.cover, state.bytes.clone())
    }

    /// From now on one of so many syncs says it is done and keeps nothing.
    pub fn lie(&self, one_of: u64) {
        self.state().lies = Some(one_of.max(1));
    }

    /// Power goes at the end of the sync after so many more.
    pub fn lose_power_after(&self, syncs: u64) {
        let mut state = self.state();
        state.power_until = Some(state.syncs.saturating_add(syncs).saturating_add(1));
    }

    /// Whether power is gone.
    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// What is left once power is back: each seed another possibility.
    #[must_use]
    pub fn after_power_loss(&self, seed: &mut Seed) -> Self {
        let state = self.state();
        let mut bytes = state.bytes.clone();
        for (_, undo) in state.pending.iter().rev() {
            undo.apply(&mut bytes);
        }
        let pending: Vec<&Op> = state.pending.iter().map(|(op, _)| op).collect();
        Self::holding_under(state.cover, survivors(bytes, &pending, seed))
    }

    /// The disk gets no longer than by so many bytes; or, if it promised room that it does not have,
    /// so many bytes more can be written, wherever.
    pub fn fill(&self, spare: usize, promised: bool) {
        let mut state = self.state();
        let beyond = Full::Beyond(state.bytes.len().saturating_add(spare));
        state.full = Some(if promised { Full::After(spare) } else { beyond });
    }

    /// There is room again, and power.
    pub fn mend(&self) {
        let mut state = self.state();
        (state.full, state.power_until) = (None, None);
    }

    /// Bytes of the disk.
    pub fn size(&self) -> usize {
        self.state().bytes.len()
    }

    /// Syncs that said they were done.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// All that the disk was told so far.
    pub fn journal(&self) -> Journal {
        self.state().journal.clone().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Bytes have no state that a panic could leave half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// How many syncs said they were done.
    pub const fn syncs(&self) -> usize {
        self.epochs.len()
    }

    /// Walks through the run: for every sync, and for the end of the run, what surely is on the disk
    /// and what may be.
    pub fn crashes(&self) -> Crashes<'_> {
        Crashes { journal: self, base: self.base.clone(), pending: Vec::new(), done: 0 }
    }
}

/// The moments of a journal at which power can go, one after the other.
#[derive(Debug)]
pub struct Crashes<'a> {
    journal: &'a Journal,
    base: Vec<u8>,
    pending: Vec<&'a Op>,
    done: usize,
}

impl Crashes<'_> {
    /// Goes on to the next sync and tells how many were done before it; none at the end.
    pub fn advance(&mut self) -> Option<usize> {
        if let Some(before) = self.done.checked_sub(1)
            && self.journal.epochs.get(before).is_some_and(|epoch| epoch.held)
        {
            for op in std::mem::take(&mut self.pending) {
                op.apply(&mut self.base);
            }
        }
        let done = self.done;
        if done > self.journal.epochs.len() {
            return None;
        }
        let next = self.journal.epochs.get(done).map_or(&self.journal.open, |epoch| &epoch.ops);
        self.pending.extend(next);
        self.done += 1;
        Some(done)
    }

    /// What is left if power goes in the middle of this sync: each seed another possibility.
    pub fn image(&self, seed: &mut Seed) -> Disk {
        Disk::holding_under(self.journal.cover, survivors(self.base.clone(), &self.pending, seed))
    }
}

impl Op {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => put(bytes, *at, data),
            Self::Length(len) => bytes.resize(*len, 0),
        }
    }
}

impl Undo {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Bytes(at, data) => put(bytes, *at, data),
            Self::Length(len, tail) => {
                bytes.truncate(*len);
                bytes.extend(tail);
            }
        }
    }
}

/// Writes as much of some data as lies within a disk.
fn put(bytes: &mut [u8], at: usize, data: &[u8]) {
    let end = at.saturating_add(data.len()).min(bytes.len());
    if let (Some(place), Some(data)) = (bytes.get_mut(at..end), data.get(..end.saturating_sub(at)))
    {
        place.copy_from_slice(data);
    }
}

/// What is on a disk once power went while these changes were on their way.
fn survivors(mut bytes: Vec<u8>, pending: &[&Op], seed: &mut Seed) -> Vec<u8> {
    // Nothing, everything, or few, half, most of it.
    let (kept, among) = match seed.below(8) {
        0 => (0, 1),
        1 => (1, 1),
        2 | 3 => (1, 8),
        4 | 5 => (1, 2),
        _ => (7, 8),
    };
    for op in pending {
        if let Op::Length(len) = op
            && seed.chance(kept, among)
        {
            bytes.resize(*len, 0);
        }
    }
    let mut writes: Vec<(usize, &[u8])> = Vec::new();
    for op in pending {
        if let Op::Write(at, data) = op
            && seed.chance(kept, among)
        {
            writes.push((*at, data));
        }
    }
    if kept < among {
        seed.shuffle(&mut writes);
    }
    for (at, data) in writes {
        if kept < among && seed.chance(1, 4) {
            torn(&mut bytes, at, data, seed);
        } else {
            put(&mut bytes, at, data);
        }
    }
    bytes
}

/// Writes some sectors of a write and not others: its beginning, its end, or any.
fn torn(bytes: &mut [u8], at: usize, data: &[u8], seed: &mut Seed) {
    let first = SECTOR - at % SECTOR;
    let mut sectors = Vec::new();
    let (mut from, mut to) = (0, first.min(data.len()));
    while from < data.len() {
        sectors.push((from, to));
        (from, to) = (to, to.saturating_add(SECTOR).min(data.len()));
    }
    let (how, cut) = (seed.below(3), seed.index(sectors.len().max(1)));
    for (index, (from, to)) in sectors.into_iter().enumerate() {
        let stays = match how {
            0 => index < cut,
            1 => index >= cut,
            _ => seed.chance(1, 2),
        };
        if stays {
            put(bytes, at + from, data.get(from..to).unwrap_or_default());
        }
    }
}

impl State {
    fn powered(&self) -> io::Result<()> {
        if self.off { Err(io::Error::other("power is gone")) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.powered()?;
        if self.power_until.is_some_and(|last| self.syncs.saturating_add(1) >= last) {
            self.off = true;
            return self.powered();
        }
        self.syncs += 1;
        let held = self.lies.is_none_or(|one_of| !self.syncs.is_multiple_of(one_of));
        if held {
            self.pending.clear();
        }
        if let Some(journal) = &mut self.journal {
            let ops = std::mem::take(&mut journal.open);
            journal.epochs.push(Epoch { ops, held });
        }
        Ok(())
    }

    fn change(&mut self, op: Op, undo: Undo) {
        if let Some(journal) = &mut self.journal {
            journal.open.push(op.clone());
        }
        op.apply(&mut self.bytes);
        self.pending.push((op, undo));
    }
}

fn place(offset: u64, len: usize) -> io::Result<std::ops::Range<usize>> {
    let start = usize::try_from(offset).map_err(io::Error::other)?;
    let end = start.checked_add(len).ok_or_else(|| io::Error::other("beyond memory"))?;
    Ok(start..end)
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        let state = self.state();
        state.powered()?;
        Ok(state.bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        state.powered()?;
        let found = state.bytes.get(place(offset, out.len())?);
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.powered()?;
        let len = usize::try_from(len).map_err(io::Error::other)?;
        if let Some(Full::Beyond(room)) = state.full
            && len > room
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let tail = state.bytes.get(len..).unwrap_or_default().to_vec();
        let undo = Undo::Length(state.bytes.len().min(len), tail);
        state.change(Op::Length(len), undo);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.state().sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.powered()?;
        let place = place(offset, data.len())?;
        if let Some(Full::After(left)) = &mut state.full {
            *left = left.checked_sub(data.len()).ok_or(io::ErrorKind::StorageFull)?;
        }
        let before = state.bytes.get(place.clone()).ok_or(io::ErrorKind::UnexpectedEof)?.to_vec();
        state.change(Op::Write(place.start, data.to_vec()), Undo::Bytes(place.start, before));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk_with(bytes: &[u8]) -> Disk {
        let disk = Disk::recording();
        disk.set_len(bytes.len() as u64).unwrap();
        disk.write(0, bytes).unwrap();
        disk.sync_data().unwrap();
        disk
    }

    fn content(disk: &Disk) -> Vec<u8> {
        disk.state().bytes.clone()
    }

    #[test]
    fn what_is_synced_stays_and_what_is_not_may_go() {
        let old = vec![1; 4 * SECTOR];
        let disk = disk_with(&old);
        disk.write(SECTOR as u64, &[2; 2 * SECTOR]).unwrap();
        disk.set_len(6 * SECTOR as u64).unwrap();
        disk.write(5 * SECTOR as u64, &[3; SECTOR]).unwrap();
        let all = content(&disk);
        let (mut lengths, mut torn, mut none, mut whole) = (Vec::new(), 0, 0, 0);
        for seed in 0..400 {
            let left = content(&disk.after_power_loss(&mut Seed::new(seed)));
            assert_eq!(left[..SECTOR], old[..SECTOR], "it was synced");
            assert_eq!(left[3 * SECTOR..4 * SECTOR], old[3 * SECTOR..], "it was synced");
            for sector in left.chunks(SECTOR) {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector never tears");
            }
            torn += u32::from(left[SECTOR] != left[2 * SECTOR]);
            none += u32::from(left == old);
            whole += u32::from(left == all);
            lengths.push(left.len());
        }
        assert!(torn > 10 && none > 10 && whole > 10, "{torn} {none} {whole}");
        assert!(lengths.contains(&(4 * SECTOR)) && lengths.contains(&(6 * SECTOR)));
    }

    #[test]
    fn a_journal_leaves_what_the_disk_would_have_left() {
        let disk = disk_with(&[1; 2 * SECTOR]);
        disk.write(0, &[2; SECTOR]).unwrap();
        disk.set_len(SECTOR as u64).unwrap();
        let journal = disk.journal();
        let mut crashes = journal.crashes();
        assert_eq!((crashes.advance(), crashes.advance()), (Some(0), Some(1)));
        for seed in 0..50 {
            let image = crashes.image(&mut Seed::new(seed));
            let left = disk.after_power_loss(&mut Seed::new(seed));
            assert_eq!(content(&image), content(&left), "seed {seed}");
        }
        assert_eq!(crashes.advance(), None);
    }

    #[test]
    fn without_power_nothing_answers_and_a_full_disk_refuses_to_grow() {
        let disk = disk_with(&[1; SECTOR]);
        disk.fill(SECTOR, false);
        assert!(disk.set_len(2 * SECTOR as u64).is_ok());
        let full = disk.set_len(3 * SECTOR as u64).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        disk.fill(1, true);
        assert!(disk.set_len(3 * SECTOR as u64).is_ok() && disk.write(0, &[0]).is_ok());
        let full = disk.write(2 * SECTOR as u64, &[0]).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        disk.mend();
        assert!(disk.set_len(3 * SECTOR as u64).is_ok());
        disk.lose_power_after(1);
        assert!(disk.sync_data().is_ok() && disk.sync_data().is_err() && disk.is_off());
        assert!(disk.len().is_err() && disk.read(0, &mut [0]).is_err());
    }

    #[test]
    fn a_disk_that_lies_keeps_nothing_at_some_syncs() {
        let disk = disk_with(&[1; SECTOR]);
        disk.lie(2);
        disk.write(0, &[2; SECTOR]).unwrap();
        disk.sync_data().unwrap();
        let left = (0..50).map(|seed| content(&disk.after_power_loss(&mut Seed::new(seed))));
        assert!(left.into_iter().any(|left| left[0] == 1), "the second sync kept nothing");
        disk.sync_data().unwrap();
        let left = content(&disk.after_power_loss(&mut Seed::new(0)));
        assert_eq!(left[0], 2, "the third kept all");
    }
}
