//! Writing a plain bundle: what goes into it, and its bytes, chunk by chunk.
//!
//! First it is planned which runs of which feeds go in, from what the reader is known to hold; then
//! the frames are made one after the other, so that memory stays bounded whatever is carried.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::bundle::{
    FileWriter, Head, Opening, Want, What, fork_frame_len, frame_len, payload_frame_len,
};
use crate::content::Carry;
use crate::entry::{EntryId, is_checkpoint, window};
use crate::key::{AccountId, FeedId, SecretKey, Seed, Signature, short_of};
use crate::limits::{INLINE_BYTES, WANTS};
use crate::reader::Reader;
use crate::segment::{Body, Item, UnverifiedSegment};
use crate::store::{ALL_PLACES, ArrivalKind, FeedRow, Held, OriginRow, State, StoreError};

/// What is asked of a bundle.
#[derive(Debug, Clone, Default)]
pub struct BundleRequest {
    /// Whom it is for: only what that feed's device is known to lack goes in.
    pub for_peer: Option<FeedId>,
    /// Largest size of the file in bytes; then the newest goes in first.
    pub max_bytes: Option<u64>,
    /// The feeds that go in; all that may if none is named.
    pub feeds: Vec<FeedId>,
    /// Who alone will read it, so that feeds that are not open go in if all of these may hear of them;
    /// if nobody is named, whoever finds it.
    pub readers: Vec<AccountId>,
}

/// What went into a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gathered {
    /// Feeds of which something went in.
    pub feeds: u64,
    /// Entries.
    pub entries: u64,
    /// Payloads in frames of their own.
    pub payloads: u64,
    /// Bytes of all payloads.
    pub content_bytes: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Entries that found no room under the size limit.
    pub left_out: u64,
}

/// A bundle being written.
#[derive(Debug)]
pub struct BundleSource {
    reader: Reader,
    head: Option<Vec<u8>>,
    writer: Option<FileWriter>,
    jobs: VecDeque<Job>,
    ready: VecDeque<Vec<u8>>,
    gathered: Gathered,
    last_feed: Option<FeedId>,
}

/// A piece of work of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Job {
    /// The fork proof of a feed.
    Fork(u32),
    /// Entries of a feed or branch.
    Entries(u32, u64, u64),
    /// One payload of an entry that the reader holds without it.
    Payload(u32, u64),
}

/// Entries to be carried, by feed number: runs that do not touch.
type Plan = BTreeMap<u32, Vec<(u64, u64)>>;

impl Reader {
    /// Begins a plain bundle.
    ///
    /// With a size limit the heads and wants of everything go in only while they take at most a
    /// quarter of it; else the bundle tells of the feeds in it alone, and says so.
    pub fn bundle(self, request: &BundleRequest) -> Result<BundleSource, StoreError> {
        let key = self.device_key()?;
        let rows = self.carried(request)?;
        let mut heads = heads(&rows);
        let mut wants = self.wants(&rows)?;
        let mut opening = self.opening(request, &key)?;
        let mut plan = self.plan(request, &rows)?;
        let mut jobs = self.forks(&rows, request.for_peer.as_ref())?;
        let mut gathered = Gathered::default();
        let (_, front) = FileWriter::new(opening, heads.clone(), &wants, &key);
        if let Some(limit) = request.max_bytes {
            let mut room = Room { left: limit.saturating_sub(END_BYTES), head: 0 };
            let (whole, spare) = (
                front.len() as u64 <= limit / 4,
                FileWriter::new(opening, Vec::new(), &[], &key).1,
            );
            if whole {
                room.left = room.left.saturating_sub(front.len() as u64);
            } else {
                room.left = room.left.saturating_sub(spare.len() as u64);
                room.head = HEAD_BYTES;
                opening.whole = false;
                wants.clear();
            }
            room.left = room.left.saturating_sub(self.fit_forks(&mut jobs, room.left / 2)?);
            plan = self.newest_first(plan, room, &mut gathered)?;
            if !whole {
                let kept: Vec<FeedId> = rows
                    .iter()
                    .filter(|(number, _)| plan.contains_key(number))
                    .map(|(_, row)| row.id)
                    .collect();
                heads.retain(|head| kept.contains(&head.feed));
            }
        }
        let extra = match request.max_bytes {
            None => self.late_payloads(request.for_peer.as_ref(), &rows, &plan)?,
            Some(_) => Vec::new(),
        };
        for (number, runs) in plan {
            jobs.extend(runs.into_iter().map(|(first, last)| Job::Entries(number, first, last)));
        }
        jobs.extend(extra.into_iter().map(|(number, seq)| Job::Payload(number, seq)));
        let (writer, front) = FileWriter::new(opening, heads, &wants, &key);
        Ok(BundleSource {
            reader: self,
            head: Some(front),
            writer: Some(writer),
            jobs,
            ready: VecDeque::new(),
            gathered,
            last_feed: None,
        })
    }

    /// Whether everything was taken in that the maker of a bundle held when it wrote it.
    pub fn has_read(&self, opening: &Opening) -> Result<bool, StoreError> {
        let read = self.snapshot.peer(&opening.maker)?.and_then(|peer| peer.read);
        Ok(read == Some((opening.position, opening.log_hash)))
    }

    /// What the reader is not known to hold, by feed.
    fn plan(&self, request: &BundleRequest, rows: &[(u32, FeedRow)]) -> Result<Plan, StoreError> {
        let mut plan = Plan::new();
        for (number, row) in rows {
            let lacking = self.lacking(row, request.for_peer.as_ref())?;
            if !lacking.is_empty() {
                plan.insert(*number, lacking);
            }
        }
        Ok(plan)
    }

    /// The fork proofs that go in: those that the reader is not known to have.
    fn forks(
        &self,
        rows: &[(u32, FeedRow)],
        peer: Option<&FeedId>,
    ) -> Result<VecDeque<Job>, StoreError> {
        let mut jobs = VecDeque::new();
        for (number, row) in rows.iter().filter(|(_, row)| row.branch == 0) {
            let Some(fork) = row.fork_seq else { continue };
            let stated = match peer {
                Some(peer) => self.snapshot.peer_head(peer, &row.id)?,
                None => None,
            };
            if stated.is_none_or(|(_, _, known)| known != fork) {
                jobs.push_back(Job::Fork(*number));
            }
        }
        Ok(jobs)
    }

    pub(super) fn device_key(&self) -> Result<SecretKey, StoreError> {
        let damaged = || StoreError::Damaged { what: "the own key" };
        let secret = self.snapshot.secret("device")?.ok_or_else(damaged)?;
        Ok(SecretKey::from_seed(&Seed::new(secret.try_into().map_err(|_| damaged())?)))
    }

    /// The feeds and branches that may be carried, first entries first.
    fn carried(&self, request: &BundleRequest) -> Result<Vec<(u32, FeedRow)>, StoreError> {
        let (me, only) = (self.me()?.account, &request.feeds);
        let (mut listed, mut contacts) = (true, true);
        for reader in request.readers.iter().filter(|reader| **reader != me) {
            contacts &= self.snapshot.is_contact(reader)?;
            listed &= contacts && self.snapshot.is_listed(reader)?;
        }
        let for_all = |origin: OriginRow| match origin.carry {
            Carry::Open => true,
            Carry::Contacts | Carry::Listed if request.readers.is_empty() => false,
            Carry::Contacts if origin.account == me => contacts,
            Carry::Listed if origin.account == me => listed,
            Carry::Contacts | Carry::Listed => {
                request.readers.iter().all(|reader| *reader == origin.account)
            }
        };
        let mut rows = self.snapshot.rows()?;
        rows.retain(|(_, row)| {
            row.origin.is_some_and(for_all) && (only.is_empty() || only.contains(&row.id))
        });
        rows.sort_by_key(|(_, row)| (row.id, row.branch));
        Ok(rows)
    }

    fn opening(&self, request: &BundleRequest, key: &SecretKey) -> Result<Opening, StoreError> {
        let heads = self.snapshot.heads()?;
        let peer = match &request.for_peer {
            Some(peer) => self.snapshot.peer(peer)?,
            None => None,
        };
        Ok(Opening {
            maker: key.feed(),
            for_feed: request.for_peer,
            whole: request.feeds.is_empty(),
            position: heads.log_len,
            log_hash: short_of(&heads.log_hash),
            ack: peer.and_then(|peer| peer.read),
        })
    }

    /// What is missing here: gaps of feeds and payloads.
    pub(crate) fn wants(&self, rows: &[(u32, FeedRow)]) -> Result<Vec<Want>, StoreError> {
        let limit = usize::try_from(WANTS).unwrap_or(usize::MAX);
        let mut wants = Vec::new();
        for (_, row) in rows.iter().filter(|(_, row)| row.branch == 0) {
            let gaps = row.gaps().into_iter();
            wants.extend(gaps.map(|(first, last)| Want {
                feed: row.id,
                first,
                last,
                what: What::Entries,
            }));
        }
        wants.truncate(limit);
        let ids: BTreeMap<u32, FeedId> =
            rows.iter().map(|(number, row)| (*number, row.id)).collect();
        self.snapshot.holes(ALL_PLACES, &mut |number, seq| {
            if let Some(feed) = ids.get(&number) {
                wants.push(Want { feed: *feed, first: seq, last: seq, what: What::Payloads });
            }
            wants.len() < limit
        })?;
        wants.truncate(limit);
        Ok(wants)
    }

    /// The runs of a feed that a peer is not known to hold; all that is announced if nobody is named.
    fn lacking(&self, row: &FeedRow, peer: Option<&FeedId>) -> Result<Vec<(u64, u64)>, StoreError> {
        let head = row.head();
        if head == 0 {
            return Ok(Vec::new());
        }
        let mut runs = vec![(row.floor, head)];
        if row.floor > 1 && row.branch == 0 {
            runs.insert(0, (1, 1));
        }
        let Some(peer) = peer else { return Ok(runs) };
        let Some((_, known, fork)) = self.snapshot.peer_head(peer, &row.id)? else {
            return Ok(runs);
        };
        // Both branches of a forked feed go to a peer that may not hold them: heads tell of one.
        let forked = row.branch > 0 || row.fork_seq.is_some_and(|seq| fork != seq);
        let known =
            if forked { known.min(row.fork_seq.unwrap_or(1).saturating_sub(1)) } else { known };
        let above = |(first, last): (u64, u64)| (first.max(known.saturating_add(1)), last);
        let mut lacking: Vec<_> = if row.branch > 0 {
            runs
        } else {
            runs.into_iter().map(above).filter(|run| run.0 <= run.1).collect()
        };
        let wants = self.snapshot.peer(peer)?.map(|peer| peer.wants).unwrap_or_default();
        for (_, first, last, payloads) in wants.iter().filter(|want| want.0 == row.id) {
            let run = ((*first).max(row.floor), (*last).min(head));
            if run.0 > run.1 || run.1 > known {
                continue;
            }
            if *payloads {
                lacking.extend(self.with_age(row, run)?);
            } else {
                lacking.push(run);
            }
        }
        Ok(merged(lacking))
    }

    /// The runs by which wanted payloads with a lifetime travel: their age stands in the segment, so
    /// each goes with what follows it up to the next signature.
    pub(crate) fn with_age(
        &self,
        row: &FeedRow,
        (first, last): (u64, u64),
    ) -> Result<Vec<(u64, u64)>, StoreError> {
        let Some(number) = self.snapshot.number(&row.id, row.branch)? else {
            return Ok(Vec::new());
        };
        let last = last.min(first.saturating_add(PAYLOADS_A_WANT).saturating_sub(1));
        let (mut runs, mut open) = (Vec::new(), None);
        self.snapshot.scan(number, first, window(last).1.min(row.head()), &mut |held| {
            if held.ttl > 0 && held.payload.is_some() && held.seq <= last {
                open = open.or(Some(held.seq));
            }
            if held.signature.is_some()
                && let Some(from) = open.take()
            {
                runs.push((from, held.seq));
            }
            Ok(open.is_some() || held.seq < last)
        })?;
        Ok(runs)
    }

    /// Payloads that came after their entries and that the peer is not known to hold.
    fn late_payloads(
        &self,
        peer: Option<&FeedId>,
        rows: &[(u32, FeedRow)],
        plan: &Plan,
    ) -> Result<Vec<(u32, u64)>, StoreError> {
        let Some(peer) = peer else { return Ok(Vec::new()) };
        let Some(memory) = self.snapshot.peer(peer)? else { return Ok(Vec::new()) };
        let mut late = Vec::new();
        for (feed, first, last, payloads) in &memory.wants {
            let number = rows.iter().find(|(_, row)| row.branch == 0 && row.id == *feed);
            if let (Some((number, _)), true) = (number, *payloads) {
                let wanted = *first..=(*last).min(first.saturating_add(PAYLOADS_A_WANT - 1));
                late.extend(wanted.map(|seq| (*number, seq)));
            }
        }
        // What the peer lacked it said, unless that was more than can be said.
        if memory.wants.len() as u64 >= WANTS
            && let Some((position, hash)) = memory.ack
            && position > 0
            && self.snapshot.is_place((position, hash))?
        {
            let carried: BTreeSet<u32> = rows.iter().map(|(number, _)| *number).collect();
            self.snapshot.arrivals_from(position.saturating_add(1), &mut |_, arrival| {
                if arrival.kind == ArrivalKind::Payload && carried.contains(&arrival.feed) {
                    late.push((arrival.feed, arrival.first));
                }
                Ok(true)
            })?;
        }
        late.sort_unstable();
        late.dedup();
        late.retain(|(number, seq)| {
            let planned = plan.get(number);
            !planned.is_some_and(|runs| runs.iter().any(|run| run.0 <= *seq && *seq <= run.1))
        });
        Ok(late)
    }

    /// Leaves out the fork proofs that there is no room for, and tells what the others take. Who
    /// reads both branches finds the fork without its proof.
    fn fit_forks(&self, jobs: &mut VecDeque<Job>, room: u64) -> Result<u64, StoreError> {
        let (mut taken, mut fitting) = (0, VecDeque::new());
        for job in std::mem::take(jobs) {
            if let Job::Fork(number) = job
                && let Some(proof) = self.snapshot.fork(number)?
                && taken + fork_frame_len(proof.len() as u64) <= room
            {
                taken += fork_frame_len(proof.len() as u64);
                fitting.push_back(job);
            }
        }
        *jobs = fitting;
        Ok(taken)
    }

    /// Cuts a plan down to a size: the newest arrivals first, and first entries before all.
    fn newest_first(
        &self,
        plan: Plan,
        mut room: Room,
        gathered: &mut Gathered,
    ) -> Result<Plan, StoreError> {
        let total: u64 = plan.values().flatten().map(|run| run.1 - run.0 + 1).sum();
        let mut chosen: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
        let mut taken = 0;
        let mut full = false;
        self.snapshot.arrivals_back(&mut |_, arrival| {
            let Some(runs) = plan.get(&arrival.feed) else { return Ok(true) };
            if arrival.kind != ArrivalKind::Entries {
                return Ok(true);
            }
            for segment in self.segments_of(arrival.feed, runs, (arrival.first, arrival.last))? {
                let done = chosen.get(&arrival.feed).is_some_and(|runs| covers(runs, segment));
                if done {
                    continue;
                }
                // What was chosen before and ends with the same signature is paid for.
                let same = |run: &&(u64, u64)| run.1 == segment.1 && run.0 > segment.0;
                let before = chosen.get(&arrival.feed).into_iter().flatten();
                let paid = before.filter(same).min().copied();
                let mut cost = self.cost_of(arrival.feed, segment)?;
                if let Some(paid) = paid {
                    cost = cost.saturating_sub(self.cost_of(arrival.feed, paid)?);
                }
                let first = (1, 1);
                let needs_first = segment != first
                    && covers(runs, first)
                    && !chosen.get(&arrival.feed).is_some_and(|runs| covers(runs, first));
                if needs_first {
                    cost += self.cost_of(arrival.feed, first)?;
                }
                if !chosen.contains_key(&arrival.feed) {
                    cost += room.head;
                }
                if cost > room.left {
                    full = true;
                    return Ok(false);
                }
                room.left -= cost;
                let into = chosen.entry(arrival.feed).or_default();
                if needs_first {
                    into.push(first);
                    taken += 1;
                }
                into.push(segment);
                taken += paid.map_or(segment.1 + 1, |paid| paid.0) - segment.0;
            }
            Ok(true)
        })?;
        gathered.left_out = if full { total.saturating_sub(taken) } else { 0 };
        Ok(chosen.into_iter().map(|(number, runs)| (number, merged(runs))).collect())
    }

    /// The segments by which what a plan and an arrival share would be carried, newest first.
    fn segments_of(
        &self,
        number: u32,
        plan: &[(u64, u64)],
        arrival: (u64, u64),
    ) -> Result<Vec<(u64, u64)>, StoreError> {
        let mut segments = Vec::new();
        for run in plan {
            let (mut first, last) = (run.0.max(arrival.0), run.1.min(arrival.1));
            while first <= last {
                let end = self.signed_end(number, first, window(first).1.min(run.1))?;
                segments.push((first.max(window(first).0).max(run.0), end));
                first = end.saturating_add(1);
            }
        }
        segments.reverse();
        Ok(segments)
    }

    /// The last entry up to `limit` that carries a signature, at or above `from`.
    fn signed_end(&self, number: u32, from: u64, limit: u64) -> Result<u64, StoreError> {
        if is_checkpoint(limit) {
            return Ok(limit);
        }
        let mut end = from;
        self.snapshot.scan(number, from, limit, &mut |held| {
            if held.signature.is_some() {
                end = held.seq;
            }
            Ok(true)
        })?;
        Ok(end)
    }

    fn cost_of(&self, number: u32, run: (u64, u64)) -> Result<u64, StoreError> {
        let feed = self.snapshot.row(number)?.id;
        let mut bytes = 0;
        for cut in self.cut(number, feed, run, &|_| true)?.0 {
            bytes += frame_len(cut.bytes.len() as u64);
            let following = cut.following.iter();
            bytes += following
                .map(|(seq, payload)| payload_frame_len(*seq, payload.len() as u64))
                .sum::<u64>();
        }
        Ok(bytes)
    }

    /// Cuts a run into segments, each ending at a signature, until they are enough for one piece
    /// of work; tells where the next piece begins. Payloads go along that are `fit` to.
    pub(crate) fn cut(
        &self,
        number: u32,
        feed: FeedId,
        (first, last): (u64, u64),
        fit: &dyn Fn(&[u8]) -> bool,
    ) -> Result<(Vec<Cut>, u64), StoreError> {
        let mut cuts = Vec::new();
        let mut pending: Vec<Held> = Vec::new();
        let (mut bytes, mut next) = (0, last.saturating_add(1));
        self.snapshot.scan(number, first, last, &mut |mut held| {
            held.payload = held.payload.filter(|payload| fit(payload));
            let end = window(held.seq).1;
            let (seq, is_end) = (held.seq, held.seq == end);
            bytes += held.payload.as_ref().map_or(0, Vec::len);
            if pending.last().is_some_and(|before| window(before.seq).1 != end) {
                cuts.extend(Cut::of(feed, &std::mem::take(&mut pending)));
            }
            pending.push(held);
            if is_end && bytes >= PIECE_BYTES {
                next = seq.saturating_add(1);
            }
            Ok(next > last)
        })?;
        cuts.extend(Cut::of(feed, &pending));
        Ok((cuts, next))
    }
}

/// Bytes of payloads after which a piece of work ends with its window.
const PIECE_BYTES: usize = 256 << 10;

/// One segment ready to be framed, and the payloads that follow it.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) bytes: Vec<u8>,
    pub(crate) following: Vec<(u64, Vec<u8>)>,
    pub(crate) entries: u64,
    /// Its last entry.
    pub(crate) last: u64,
    content: u64,
}

impl Cut {
    /// Entries of one window, as far as a signature stands behind them.
    fn of(feed: FeedId, held: &[Held]) -> Option<Self> {
        let end = held.iter().rposition(|held| held.signature.is_some())?;
        let held = held.get(..=end)?;
        let (first, last) = (held.first()?, held.last()?);
        let signature: Signature = last.signature?;
        let prev: Option<EntryId> = first.prev;
        let mut following = Vec::new();
        let mut content = 0;
        let mut items = Vec::with_capacity(held.len());
        for entry in held {
            // An empty payload is known even where it is gone, and is never detached.
            let empty = (entry.size == 0).then_some(&[][..]);
            let held = entry.payload.as_deref().or(empty);
            let inline = held.filter(|payload| payload.len() as u64 <= INLINE_BYTES);
            content += entry.payload.as_ref().map_or(0, Vec::len) as u64;
            let body = match (inline, &entry.payload) {
                (Some(payload), _) => Body::Here(payload),
                (None, payload) => Body::Detached {
                    size: entry.size,
                    payload_hash: entry.payload_hash,
                    follows: payload.is_some(),
                },
            };
            if let (None, Some(payload)) = (inline, &entry.payload) {
                following.push((entry.seq, payload.clone()));
            }
            let age = if entry.ttl == 0 { 0 } else { crate::segment::claimed_age(entry.age) };
            items.push(Item { ttl: entry.ttl, age, body });
        }
        let segment = UnverifiedSegment { feed, first_seq: first.seq, prev, items, signature };
        let (entries, last) = (held.len() as u64, last.seq);
        Some(Self { bytes: segment.encode(), following, entries, last, content })
    }
}

impl BundleSource {
    /// The next bytes of the file; `None` at its end.
    pub fn poll(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(head) = self.head.take() {
            return Ok(Some(self.count(head)));
        }
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Ok(Some(self.count(bytes)));
            }
            let Some(job) = self.jobs.pop_front() else { break };
            self.work(job)?;
        }
        let end = self.writer.take().map(FileWriter::end);
        Ok(end.map(|end| self.count(end)))
    }

    /// What has gone into the bundle so far.
    pub const fn gathered(&self) -> Gathered {
        self.gathered
    }

    fn count(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        self.gathered.bytes += bytes.len() as u64;
        bytes
    }

    fn work(&mut self, job: Job) -> Result<(), StoreError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let snapshot = &self.reader.snapshot;
        match job {
            Job::Fork(number) => {
                if let Some(proof) = snapshot.fork(number)? {
                    self.ready.push_back(writer.fork(&proof));
                }
            }
            Job::Payload(number, seq) => {
                let held = snapshot.entry(number, seq)?;
                let held = held.filter(|held| held.state == State::Here);
                if let Some((held, payload)) = held.and_then(|mut held| {
                    let payload = held.payload.take()?;
                    Some((held, payload))
                }) {
                    self.gathered.payloads += 1;
                    self.gathered.content_bytes += payload.len() as u64;
                    self.ready.push_back(writer.payload(held.feed, seq, &payload));
                }
            }
            Job::Entries(number, first, last) => {
                let feed = snapshot.row(number)?.id;
                let (cuts, next) = self.reader.cut(number, feed, (first, last), &|_| true)?;
                if next <= last {
                    self.jobs.push_front(Job::Entries(number, next, last));
                }
                let mut bytes = Vec::new();
                for cut in cuts {
                    self.gathered.entries += cut.entries;
                    self.gathered.content_bytes += cut.content;
                    bytes.extend(writer.segment(&cut.bytes));
                    for (seq, payload) in cut.following {
                        self.gathered.payloads += 1;
                        bytes.extend(writer.payload(feed, seq, &payload));
                    }
                    if self.last_feed.replace(feed) != Some(feed) {
                        self.gathered.feeds += 1;
                    }
                }
                if !bytes.is_empty() {
                    self.ready.push_back(bytes);
                }
            }
        }
        Ok(())
    }
}

/// What a size limit leaves.
#[derive(Debug, Clone, Copy)]
struct Room {
    left: u64,
    /// What the first entries of a feed cost beyond themselves.
    head: u64,
}

/// Most payloads that one want is answered with.
pub(crate) const PAYLOADS_A_WANT: u64 = 64;
/// Most bytes of the last frame.
const END_BYTES: u64 = 16;
/// Most bytes that a feed takes among the heads.
const HEAD_BYTES: u64 = 1 + 34 + 9 + 9 + 9 + 4;

/// The heads of all feeds that are announced.
fn heads(rows: &[(u32, FeedRow)]) -> Vec<Head> {
    let head = |(_, row): &(u32, FeedRow)| Head {
        feed: row.id,
        floor: row.floor,
        head: row.head(),
        forked: row.fork_seq,
    };
    rows.iter().filter(|(_, row)| row.branch == 0 && row.head() > 0).map(head).collect()
}

/// Sorts runs and joins those that touch.
pub(crate) fn merged(mut runs: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    runs.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::with_capacity(runs.len());
    for (first, last) in runs {
        match joined.last_mut() {
            Some(run) if first <= run.1.saturating_add(1) => run.1 = run.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}

fn covers(runs: &[(u64, u64)], wanted: (u64, u64)) -> bool {
    runs.iter().any(|run| run.0 <= wanted.0 && wanted.1 <= run.1)
}
