//! Sorted runs: the rows of the query indexes, packed into blocks that are written once.
//!
//! Entries come in any order of ids and times, so a table with a row for each would be rewritten
//! from end to end by every step of indexing. Here a step writes what it found as one sorted run,
//! and runs of like size are merged, a piece at a time, into one (the log-structured merge tree of
//! O'Neil et al., 1996). Where runs have a row of one key, the newest run's counts.

use redb::{AccessGuard, Range, Table, TableDefinition, WriteTransaction};

use crate::codec::{DecodeError, Decoder, Encoder};
use crate::store::StoreError;
use crate::store::view::Rows;

/// Run, part and first key of a block to its rows.
pub(super) const RUNS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("index runs");

/// Most bytes of a block: with its key it fits a page of 4 KiB.
const BLOCK_BYTES: usize = 4_000;
/// Entries of the smallest runs that are told apart by size.
const SMALLEST: u64 = 256;
/// How many runs of one size are merged into one of the next.
const ALIKE: usize = 4;
/// Runs that stay when nothing else is to be done.
const CALM: usize = 4;
/// Dropped entries that a merge of everything is not worth.
const FEW_DROPPED: u64 = 4_096;
/// Blocks of merged runs that one step removes.
const REMOVALS: usize = 4_000;

/// A row: its key, in whose order rows stand, and its value.
pub(super) type Line<const K: usize, const V: usize> = ([u8; K], [u8; V]);

/// A kind of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part<const K: usize, const V: usize>(pub(super) u8);

impl<const K: usize, const V: usize> Part<K, V> {
    fn key(self, run: u32, key: &[u8]) -> Vec<u8> {
        [&run.to_be_bytes()[..], &[self.0], key].concat()
    }

    /// The row at a place of a block.
    fn line(block: &[u8], at: usize) -> Option<Line<K, V>> {
        let row = block.get(at * (K + V)..)?;
        let (key, rest) = row.split_first_chunk()?;
        Some((*key, *rest.first_chunk()?))
    }

    const fn rows(block: &[u8]) -> usize {
        block.len() / (K + V)
    }
}

/// Which runs there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Directory {
    next: u32,
    /// From the oldest to the newest.
    runs: Vec<Run>,
    merge: Option<Merge>,
    /// Runs that were merged and whose blocks are still to be removed.
    dead: Vec<u32>,
    /// Entries that were dropped since everything was merged last.
    pub(super) dropped: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    id: u32,
    entries: u64,
}

/// Some neighbouring runs on their way into one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Merge {
    from: usize,
    count: usize,
    target: u32,
    part: u8,
    /// Rows up to this key are done.
    after: Vec<u8>,
    entries: u64,
}

impl Directory {
    pub(super) fn decode(bytes: Option<&[u8]>) -> Result<Self, StoreError> {
        let Some(bytes) = bytes else { return Ok(Self::default()) };
        Self::read(bytes).map_err(|_| StoreError::Damaged { what: "the list of index runs" })
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut row = Decoder::new(bytes);
        row.array_of("runs", 5)?;
        let mut directory = Self { next: number(&mut row)?, ..Self::default() };
        for _ in 0..row.array("runs", u64::MAX)? {
            row.array_of("run", 2)?;
            let run = Run { id: number(&mut row)?, entries: row.uint("entries", u64::MAX)? };
            directory.runs.push(run);
        }
        for _ in 0..row.array("merge", 1)? {
            row.array_of("merge", 6)?;
            directory.merge = Some(Merge {
                from: usize::try_from(number(&mut row)?).unwrap_or(usize::MAX),
                count: usize::try_from(number(&mut row)?).unwrap_or(usize::MAX),
                target: number(&mut row)?,
                part: u8::try_from(row.uint("part", u64::from(u8::MAX))?).unwrap_or(u8::MAX),
                after: row.bytes("after", u64::from(u8::MAX))?.to_vec(),
                entries: row.uint("entries", u64::MAX)?,
            });
        }
        for _ in 0..row.array("dead", u64::MAX)? {
            directory.dead.push(number(&mut row)?);
        }
        directory.dropped = row.uint("dropped", u64::MAX)?;
        row.finish().map(|()| directory)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(5).uint(u64::from(self.next)).array(self.runs.len() as u64);
        for run in &self.runs {
            out.array(2).uint(u64::from(run.id)).uint(run.entries);
        }
        out.array(u64::from(self.merge.is_some()));
        if let Some(merge) = &self.merge {
            out.array(6).uint(merge.from as u64).uint(merge.count as u64);
            out.uint(u64::from(merge.target)).uint(u64::from(merge.part));
            out.bytes(&merge.after).uint(merge.entries);
        }
        out.array(self.dead.len() as u64);
        for run in &self.dead {
            out.uint(u64::from(*run));
        }
        out.uint(self.dropped);
        out.into_bytes()
    }

    /// Entries in all runs; one that is in several counts as often.
    pub(super) fn entries(&self) -> u64 {
        self.runs.iter().map(|run| run.entries).sum()
    }

    fn give_id(&mut self) -> u32 {
        let id = self.next;
        self.next = id.wrapping_add(1);
        id
    }

    /// Decides what is merged next; `calm` if nothing else is to be done.
    pub(super) fn plan(&mut self, calm: bool) {
        if self.merge.is_some() || self.runs.is_empty() {
            return;
        }
        let Some(from) = self.due(calm) else { return };
        let (count, target) = (self.runs.len().saturating_sub(from), self.give_id());
        if from == 0 {
            self.dropped = 0;
        }
        let (part, after, entries) = (0, Vec::new(), 0);
        self.merge = Some(Merge { from, count, target, part, after, entries });
    }

    /// The oldest run that is to be merged with all newer ones.
    fn due(&self, calm: bool) -> Option<usize> {
        let worth = if calm { self.entries() / 8 } else { FEW_DROPPED.max(self.entries() / 2) };
        if self.dropped > worth {
            return Some(0);
        }
        let class = |run: &Run| (run.entries / SMALLEST).max(1).ilog2() / 2;
        let (mut largest, mut alike) = (0, 0);
        let mut due = None;
        for (at, run) in self.runs.iter().enumerate().rev() {
            match class(run) {
                class if class > largest => (largest, alike) = (class, 1),
                class if class == largest => alike += 1,
                _ => {}
            }
            if alike >= ALIKE {
                due = Some(at);
            }
        }
        if due.is_none() && calm && self.runs.len() > CALM {
            // Those that are small beside what is newer.
            let mut newer = 0;
            for (at, run) in self.runs.iter().enumerate().rev() {
                if run.entries < newer * 8 {
                    due = Some(at);
                }
                newer += run.entries;
            }
        }
        due
    }

    /// Whether a merge is under way.
    pub(super) const fn is_merging(&self) -> bool {
        self.merge.is_some()
    }

    /// Whether a merge is under way or merged runs are to be removed.
    pub(super) fn is_busy(&self) -> bool {
        self.merge.is_some() || !self.dead.is_empty()
    }
}

fn number(row: &mut Decoder<'_>) -> Result<u32, DecodeError> {
    Ok(u32::try_from(row.uint("number", u64::from(u32::MAX))?).unwrap_or(u32::MAX))
}

/// The runs, to be read.
pub(super) struct Runs<'t> {
    blocks: Rows<'t, &'static [u8], &'static [u8]>,
    directory: Directory,
}

impl<'t> Runs<'t> {
    pub(super) const fn new(
        blocks: Rows<'t, &'static [u8], &'static [u8]>,
        directory: Directory,
    ) -> Self {
        Self { blocks, directory }
    }

    /// Rows with keys in a range, ascending; of those of one key the newest.
    pub(super) fn range<const K: usize, const V: usize>(
        &self,
        part: Part<K, V>,
        from: &[u8; K],
        to: [u8; K],
    ) -> Result<Merged<'_, K, V>, StoreError> {
        self.merged(&self.directory.runs, part, from, to)
    }

    fn merged<const K: usize, const V: usize>(
        &self,
        runs: &[Run],
        part: Part<K, V>,
        from: &[u8; K],
        to: [u8; K],
    ) -> Result<Merged<'_, K, V>, StoreError> {
        let mut cursors = Vec::with_capacity(runs.len());
        for run in runs {
            let mut cursor = Cursor::new(&self.blocks, run.id, part);
            cursor.open(from)?;
            cursors.push(cursor);
        }
        Ok(Merged { cursors, to })
    }

    /// Visits the rows whose keys begin with one of some ascending prefixes, from the oldest run to
    /// the newest.
    pub(super) fn gather<const K: usize, const V: usize>(
        &self,
        part: Part<K, V>,
        prefixes: &[[u8; 8]],
        visit: &mut dyn FnMut(Line<K, V>),
    ) -> Result<(), StoreError> {
        for run in &self.directory.runs {
            let mut cursor = Cursor::new(&self.blocks, run.id, part);
            for prefix in prefixes {
                let mut from = [0; K];
                for (to, byte) in from.iter_mut().zip(prefix) {
                    *to = *byte;
                }
                cursor.seek(&from)?;
                while let Some(line) = cursor.line()
                    && line.0.starts_with(prefix)
                {
                    visit(line);
                    cursor.step()?;
                }
            }
        }
        Ok(())
    }
}

/// A place in one run, going up.
struct Cursor<'a, const K: usize, const V: usize> {
    blocks: &'a Rows<'a, &'static [u8], &'static [u8]>,
    run: u32,
    part: Part<K, V>,
    block: Option<AccessGuard<'a, &'static [u8]>>,
    at: usize,
    rest: Option<Range<'a, &'static [u8], &'static [u8]>>,
    started: bool,
}

impl<'a, const K: usize, const V: usize> Cursor<'a, K, V> {
    const fn new(
        blocks: &'a Rows<'a, &'static [u8], &'static [u8]>,
        run: u32,
        part: Part<K, V>,
    ) -> Self {
        Self { blocks, run, part, block: None, at: 0, rest: None, started: false }
    }

    /// The row at the place.
    fn line(&self) -> Option<Line<K, V>> {
        Part::line(self.block.as_ref()?.value(), self.at)
    }

    /// Goes to the first row at or after a key, wherever that is.
    fn open(&mut self, key: &[u8; K]) -> Result<(), StoreError> {
        self.started = true;
        let (first, here) = (self.part.key(self.run, &[]), self.part.key(self.run, key));
        let before = self.blocks.range::<&[u8]>(first.as_slice()..=here.as_slice())?.next_back();
        self.rest = None;
        self.block = before.transpose()?.map(|(_, block)| block);
        if self.block.is_none() {
            self.rest = Some(self.after(&[])?);
            self.next_block()?;
        }
        self.place(key)
    }

    /// Goes on to the first row at or after a key that is not before the place.
    fn seek(&mut self, key: &[u8; K]) -> Result<(), StoreError> {
        if !self.started {
            return self.open(key);
        }
        for _ in 0..3 {
            let Some(block) = &self.block else { return Ok(()) };
            let block = block.value();
            let last = Part::<K, V>::line(block, Part::<K, V>::rows(block).saturating_sub(1));
            if last.is_none_or(|(last, _)| last >= *key) {
                return self.place(key);
            }
            self.next_block()?;
        }
        if self.block.is_some() { self.open(key) } else { Ok(()) }
    }

    /// Goes to the first row at or after a key in this block, or to the next block.
    fn place(&mut self, key: &[u8; K]) -> Result<(), StoreError> {
        let Some(block) = &self.block else { return Ok(()) };
        let block = block.value();
        let (mut low, mut high) = (self.at, Part::<K, V>::rows(block));
        while low < high {
            let middle = usize::midpoint(low, high);
            match Part::<K, V>::line(block, middle) {
                Some((found, _)) if found < *key => low = middle.saturating_add(1),
                _ => high = middle,
            }
        }
        self.at = low;
        if low < Part::<K, V>::rows(block) { Ok(()) } else { self.next_block() }
    }

    fn step(&mut self) -> Result<(), StoreError> {
        self.at = self.at.saturating_add(1);
        let rows = self.block.as_ref().map_or(0, |block| Part::<K, V>::rows(block.value()));
        if self.at < rows { Ok(()) } else { self.next_block() }
    }

    fn next_block(&mut self) -> Result<(), StoreError> {
        if self.rest.is_none() {
            let first = self.block.as_ref().and_then(|block| Part::<K, V>::line(block.value(), 0));
            let Some((first, _)) = first else { return Ok(()) };
            self.rest = Some(self.after(&[&first[..], &[0]].concat())?);
        }
        let next = self.rest.as_mut().and_then(Iterator::next).transpose()?;
        self.block = next.map(|(_, block)| block);
        self.at = 0;
        Ok(())
    }

    /// The blocks whose first keys come at or after a place.
    fn after(&self, from: &[u8]) -> Result<Range<'a, &'static [u8], &'static [u8]>, StoreError> {
        let (from, to) = (self.part.key(self.run, from), self.part.key(self.run, &[0xff; 64]));
        self.blocks.range::<&[u8]>(from.as_slice()..=to.as_slice())
    }
}

/// Goes through several runs at once.
pub(super) struct Merged<'a, const K: usize, const V: usize> {
    /// From the oldest run to the newest.
    cursors: Vec<Cursor<'a, K, V>>,
    to: [u8; K],
}

impl<const K: usize, const V: usize> Iterator for Merged<'_, K, V> {
    type Item = Result<Line<K, V>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut best: Option<Line<K, V>> = None;
        for cursor in &self.cursors {
            if let Some(line) = cursor.line()
                && best.is_none_or(|best| line.0 <= best.0)
            {
                best = Some(line);
            }
        }
        let best = best.filter(|best| best.0 <= self.to)?;
        for cursor in &mut self.cursors {
            if cursor.line().is_some_and(|line| line.0 == best.0)
                && let Err(error) = cursor.step()
            {
                return Some(Err(error));
            }
        }
        Some(Ok(best))
    }
}

/// Fills the blocks of one run.
pub(super) struct Filler<const K: usize, const V: usize> {
    run: u32,
    part: Part<K, V>,
    first: Option<[u8; K]>,
    bytes: Vec<u8>,
    full: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<const K: usize, const V: usize> Filler<K, V> {
    fn new(run: u32, part: Part<K, V>) -> Self {
        Self { run, part, first: None, bytes: Vec::new(), full: Vec::new() }
    }

    /// Adds a row; keys ascend.
    pub(super) fn push(&mut self, (key, value): &Line<K, V>) {
        if self.bytes.len().saturating_add(K + V) > BLOCK_BYTES {
            self.close();
        }
        self.first.get_or_insert(*key);
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
    }

    fn close(&mut self) {
        if let Some(first) = self.first.take() {
            let key = self.part.key(self.run, &first);
            self.full.push((key, std::mem::take(&mut self.bytes)));
        }
    }

    fn write(mut self, blocks: &mut Table<'_, &[u8], &[u8]>) -> Result<(), StoreError> {
        self.close();
        for (key, block) in &self.full {
            blocks.insert(key.as_slice(), block.as_slice())?;
        }
        Ok(())
    }
}

/// A new run being written.
pub(super) struct NewRun<'a> {
    id: u32,
    blocks: Table<'a, &'static [u8], &'static [u8]>,
}

impl<'a> NewRun<'a> {
    /// Begins the newest run, of so many entries.
    pub(super) fn begin(
        txn: &'a WriteTransaction,
        directory: &mut Directory,
        entries: u64,
    ) -> Result<Self, StoreError> {
        let id = directory.give_id();
        directory.runs.push(Run { id, entries });
        Ok(Self { id, blocks: txn.open_table(RUNS)? })
    }

    /// Writes its rows of one part; keys ascend.
    pub(super) fn write<const K: usize, const V: usize>(
        &mut self,
        part: Part<K, V>,
        lines: impl Iterator<Item = Line<K, V>>,
    ) -> Result<(), StoreError> {
        let mut filler = Filler::new(self.id, part);
        lines.for_each(|line| filler.push(&line));
        filler.write(&mut self.blocks)
    }
}

/// Goes on with the merge of one part, at most so many rows. `keep` tells which rows stay: it is
/// asked with whether no older run is left out of the merge. Tells how many rows were gone through.
pub(super) fn merge_part<const K: usize, const V: usize>(
    txn: &WriteTransaction,
    directory: &mut Directory,
    part: Part<K, V>,
    budget: u64,
    keep: &mut dyn FnMut(&Line<K, V>, bool) -> Result<bool, StoreError>,
) -> Result<u64, StoreError> {
    let Some(mut merge) = directory.merge.take_if(|merge| merge.part == part.0) else {
        return Ok(0);
    };
    let runs = Runs::new(Rows::Writing(txn.open_table(RUNS)?), Directory::default());
    let until = merge.from.saturating_add(merge.count);
    let sources = directory.runs.get(merge.from..until).unwrap_or_default();
    // The key after the last one that is done.
    let after = next_key(&merge.after);
    let mut filler = Filler::new(merge.target, part);
    let (mut rows, mut kept) = (0, 0);
    let mut done = true;
    for line in runs.merged(sources, part, &after.unwrap_or([0; K]), [0xff; K])? {
        let line = line?;
        rows += 1;
        if keep(&line, merge.from == 0)? {
            filler.push(&line);
            kept += 1;
        }
        if rows >= budget {
            merge.after = line.0.to_vec();
            done = false;
            break;
        }
    }
    drop(runs);
    filler.write(&mut txn.open_table(RUNS)?)?;
    if part.0 == 0 {
        merge.entries += kept;
    }
    if done {
        merge.part += 1;
        merge.after.clear();
    }
    directory.merge = Some(merge);
    Ok(rows)
}

fn next_key<const K: usize>(after: &[u8]) -> Option<[u8; K]> {
    let mut key: [u8; K] = after.try_into().ok()?;
    for byte in key.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break;
        }
    }
    Some(key)
}

/// Ends a merge all of whose parts are done. Whether it was one of everything.
pub(super) fn finish_merge(directory: &mut Directory, parts: u8) -> bool {
    let Some(merge) = directory.merge.take_if(|merge| merge.part >= parts) else { return false };
    let until = merge.from.saturating_add(merge.count).min(directory.runs.len());
    let merged = Run { id: merge.target, entries: merge.entries };
    let merged = Some(merged).filter(|run| run.entries > 0 || merge.from > 0);
    let gone: Vec<_> = directory.runs.splice(merge.from..until, merged).collect();
    directory.dead.extend(gone.into_iter().map(|run| run.id));
    merge.from == 0
}

/// Removes blocks of runs that were merged; how many.
pub(super) fn remove_dead(
    txn: &WriteTransaction,
    directory: &mut Directory,
) -> Result<(), StoreError> {
    let mut left = REMOVALS;
    let mut blocks = txn.open_table(RUNS)?;
    while left > 0
        && let Some(run) = directory.dead.last().copied()
    {
        let (first, last) = (run.to_be_bytes(), [&run.to_be_bytes()[..], &[0xff; 65]].concat());
        let range = &first[..]..=last.as_slice();
        let mut removed = 0;
        for row in blocks.extract_from_if::<&[u8], _>(range, |_, _| true)?.take(left) {
            drop(row?);
            removed += 1;
        }
        if removed < left {
            directory.dead.pop();
        }
        left -= removed;
    }
    Ok(())
}
