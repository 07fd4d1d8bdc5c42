//! A meeting: one session of this node with a peer, sentence by sentence.
//!
//! Both greet; the responder tells its state; the opener sees whether anything differs. If it does,
//! what each remembers of the other's log moves first, then reconciliation finds the rest, and both
//! compare again until they agree, nothing moves any more, or the rounds are used up. Memory is a
//! hint and digests are the truth. Everything a peer sends is counted against `limits.rs`; whatever
//! it does, the session ends, and what came before is kept.

mod doubtful;
mod giving;
mod recognition;
mod report;
mod states;
mod taking;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::bundle::{Frame, Want};
use crate::entry::ChainHasher;
use crate::key::{Context, Digest, FeedId, derive};
use crate::limits::{
    CONTROL_FRAMES, FIRST_FLIGHT_BYTES, SESSION_ROUNDS, SESSIONS, SILENCE_MS, STRANGER_SEND_BYTES,
    WANTS,
};
use crate::node::piece::Piece;
use crate::node::{Event, Node, Output};
use crate::reconcile::{Run, Scope};
use crate::session::{Frames, Greeting, Place, Sentence, State, VERSION};
use crate::store::{StoreError, THEY, WE};
use crate::time::Now;
use giving::Job;
use recognition::Recognised;
pub(super) use taking::Hour;

pub use report::{SessionEnding, SessionFault, SessionReport};

/// Milliseconds after which what came is made durable, even if more may come.
const STAGE_MS: u64 = 50;
/// Milliseconds without progress after which a session stops holding back the next one.
const PATIENCE_MS: u64 = 2_000;
/// Milliseconds for which a session is held back at most.
const HELD_MS: u64 = 10_000;

/// Why the handling of a sentence stops.
pub(super) enum Stop {
    Store(StoreError),
    Ends(SessionEnding),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl<T: Into<SessionFault>> From<T> for Stop {
    fn from(fault: T) -> Self {
        Self::Ends(SessionEnding::Fault(fault.into()))
    }
}

/// How a link was opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opened<'a> {
    pub(super) link: u64,
    pub(super) opener: bool,
    pub(super) peer: [u8; 32],
    pub(super) binding: &'a [u8; 32],
    pub(super) known: bool,
    pub(super) via: &'a str,
}

/// What the present round is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was compared yet.
    Start,
    /// News by memory of the other's log.
    Memory,
    /// Reconciliation.
    Compare,
    /// Both hold the same.
    Equal,
}

/// One session.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the session")]
pub(super) struct Meeting {
    link: u64,
    opener: bool,
    peer: [u8; 32],
    known: bool,
    recognised: Recognised,
    via: String,
    /// Keys the digests and ids of this session.
    key: Digest,
    frames: Frames,
    hasher: ChainHasher,
    greeted: bool,
    heard: Option<State>,
    told: u64,
    /// Whether a state of the peer is due before anything else.
    awaits: bool,
    /// What both compare, and the feed numbers of its items.
    scope: Option<(Scope, Vec<u32>)>,
    /// What is missing between what is held of these feeds, as far as it is asked for.
    gaps: Vec<(FeedId, (u64, u64))>,
    /// Where our log stood when the scope was made.
    place: Place,
    run: Option<Run>,
    stage: Stage,
    /// Whether anything was carried in this round.
    moved: bool,
    /// Since when the session waits for another one to get ahead, and what the peer said since.
    held: Option<(u64, Vec<Vec<u8>>)>,
    jobs: VecDeque<Job>,
    /// What memory says that the peer lacks, and bytes of it that may still be sent.
    news: VecDeque<Job>,
    flight: u64,
    /// Whether news are being given.
    gives_news: bool,
    /// Runs that were sent in this session, by feed number.
    given: BTreeMap<u32, Vec<(u64, u64)>>,
    given_payloads: BTreeSet<(u32, u64)>,
    /// Feeds whose fork was answered.
    given_forks: BTreeSet<u32>,
    /// Feeds that are left out between the two.
    left_out: BTreeSet<FeedId>,
    /// Feeds that were declined in this session.
    declined: BTreeSet<FeedId>,
    /// Bytes of entries that may still be sent.
    draw: u64,
    out: Vec<u8>,
    /// Whether the link takes more.
    ready: bool,
    out_frames: u64,
    unacked: VecDeque<(u64, u64)>,
    unacked_bytes: u64,
    in_frames: u64,
    /// Frames of the peer whose effects are durable.
    durable: u64,
    /// The last ack told.
    acked: (u64, bool),
    /// The last ack heard.
    theirs: (u64, bool),
    staged: Vec<Piece>,
    weight: u64,
    staged_at: Option<u64>,
    control: u64,
    repeated: u64,
    fresh: u64,
    wants_heard: u64,
    wants_told: BTreeSet<(FeedId, u64, bool)>,
    /// Whether wants were told for what is missing here.
    asked: bool,
    absent: bool,
    heard_at: u64,
    sent_at: u64,
    moved_at: u64,
    /// Whether we spoke last.
    spoke: bool,
    /// Whether memory of the peer was put aside, since entries of it came.
    unclean: bool,
    report: SessionReport,
}

impl Meeting {
    fn new(opened: Opened<'_>, recognised: Recognised, tick: u64) -> Self {
        let ending = SessionEnding::Cut;
        Self {
            link: opened.link,
            opener: opened.opener,
            peer: opened.peer,
            known: opened.known && !recognised.secluded,
            recognised,
            via: opened.via.to_owned(),
            key: derive(Context::Session, opened.binding),
            frames: Frames::default(),
            hasher: ChainHasher::default(),
            greeted: false,
            heard: None,
            told: 0,
            awaits: opened.opener,
            scope: None,
            gaps: Vec::new(),
            place: (0, [0; 8]),
            run: None,
            stage: Stage::Start,
            moved: false,
            held: None,
            jobs: VecDeque::new(),
            news: VecDeque::new(),
            flight: FIRST_FLIGHT_BYTES,
            gives_news: false,
            given: BTreeMap::new(),
            given_payloads: BTreeSet::new(),
            given_forks: BTreeSet::new(),
            left_out: BTreeSet::new(),
            declined: BTreeSet::new(),
            draw: if opened.known { u64::MAX } else { STRANGER_SEND_BYTES },
            out: Vec::new(),
            ready: true,
            out_frames: 0,
            unacked: VecDeque::new(),
            unacked_bytes: 0,
            in_frames: 0,
            durable: 0,
            acked: (0, false),
            theirs: (0, false),
            staged: Vec::new(),
            weight: 0,
            staged_at: None,
            control: 0,
            repeated: 0,
            fresh: 0,
            wants_heard: 0,
            wants_told: BTreeSet::new(),
            asked: false,
            absent: false,
            heard_at: tick,
            sent_at: tick,
            moved_at: tick,
            spoke: false,
            unclean: false,
            report: SessionReport {
                with: None,
                sent: 0,
                received: 0,
                payloads: 0,
                duplicates: 0,
                bytes_out: 0,
                bytes_in: 0,
                round_trips: 0,
                ending,
            },
        }
    }

    /// Puts a frame behind what waits to be sent.
    fn say(&mut self, sentence: &Sentence<'_>) {
        let bytes = sentence.encode();
        self.say_encoded(&bytes, sentence.is_counted());
    }

    fn say_encoded(&mut self, bytes: &[u8], counted: bool) {
        self.out_frames = self.out_frames.saturating_add(u64::from(counted));
        self.out.extend_from_slice(bytes);
    }

    /// Whether an opener that tells no state shows that it has read ours and sees no difference: it
    /// asks for what is missing there, or is done. What memory had for it is not news then.
    const fn is_told_equal(&self, sentence: &Sentence<'_>) -> bool {
        let shows = matches!(
            sentence,
            Sentence::Ack { done: true, .. } | Sentence::Carried(Frame::Wants(_))
        );
        shows && self.heard.is_none() && !self.opener && self.told > 0
    }

    /// Whether nothing is left to be sent, asked for or made durable in this round.
    fn is_done(&self) -> bool {
        let compared = self.run.as_ref().is_none_or(Run::is_over);
        let begun = if self.opener { self.stage != Stage::Start } else { self.told > 0 };
        let said = self.jobs.is_empty() && self.news.is_empty();
        let quiet = said && self.staged.is_empty() && self.held.is_none();
        self.greeted && begun && compared && quiet && !self.awaits
    }

    /// Whether the peer took everything that was said, and has nothing left itself.
    fn is_answered(&self) -> bool {
        self.theirs == (self.out_frames, true)
    }

    /// Whether another session had better wait, since this one may bring what that would ask for.
    fn is_moving(&self, tick: u64) -> bool {
        let over = self.heard.is_some() && self.is_done() && self.is_answered();
        let compares = self.held.is_none() && self.greeted && self.stage != Stage::Equal;
        compares && !over && tick.saturating_sub(self.moved_at) < PATIENCE_MS
    }

    /// When something of it is due, if nothing happens before.
    fn deadline(&self) -> u64 {
        let mut due = self.heard_at.saturating_add(SILENCE_MS);
        if !self.ready {
            due = due.min(self.sent_at.saturating_add(SILENCE_MS));
        }
        if let Some(since) = self.staged_at {
            due = due.min(since.saturating_add(STAGE_MS));
        }
        if let Some((since, _)) = self.held {
            due = due.min(since.saturating_add(HELD_MS));
        }
        due
    }

    fn is_silent(&self, tick: u64) -> bool {
        let late = |since: u64| tick.saturating_sub(since) >= SILENCE_MS;
        late(self.heard_at) || (!self.ready && late(self.sent_at))
    }
}

impl Node {
    /// Tick at which the driver should give [`Input::Idle`](crate::Input::Idle) at the latest.
    pub fn deadline(&self) -> Option<u64> {
        self.meetings.values().map(Meeting::deadline).min()
    }

    pub(super) fn open_meeting(&mut self, now: Now, opened: Opened<'_>) -> Result<(), StoreError> {
        let recognised = Recognised::begin(&self.store.snapshot()?)?;
        let mut meeting = Meeting::new(opened, recognised, now.tick);
        if self.meetings.len() as u64 >= SESSIONS {
            self.end_meeting(now, meeting, SessionEnding::Busy)?;
            return Ok(());
        }
        if meeting.known {
            meeting.left_out =
                self.store.snapshot()?.declined(&meeting.peer, THEY | WE)?.into_iter().collect();
        }
        if meeting.opener {
            self.greet(&mut meeting)?;
        }
        self.go_on(now, meeting, Ok(()))
    }

    pub(super) fn hear_bytes(
        &mut self,
        now: Now,
        link: u64,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let Some(mut meeting) = self.meetings.remove(&link) else { return Ok(()) };
        meeting.report.bytes_in = meeting.report.bytes_in.saturating_add(bytes.len() as u64);
        let mut frames = std::mem::take(&mut meeting.frames);
        frames.push(bytes);
        let heard = self.hear_frames(now, &mut meeting, &mut frames);
        meeting.frames = frames;
        self.go_on(now, meeting, heard)
    }

    fn hear_frames(
        &mut self,
        now: Now,
        meeting: &mut Meeting,
        frames: &mut Frames,
    ) -> Result<(), Stop> {
        while let Some(frame) = frames.poll()? {
            meeting.heard_at = now.tick;
            if let Some((_, waiting)) = &mut meeting.held {
                let held: usize = waiting.iter().map(Vec::len).sum();
                if held as u64 > 2 * FIRST_FLIGHT_BYTES + crate::limits::FRAME_BYTES {
                    return Err(SessionFault::TooManyFrames.into());
                }
                waiting.push(frame.to_vec());
                continue;
            }
            self.hear(now, meeting, frame)?;
        }
        Ok(())
    }

    pub(super) fn link_ready(&mut self, now: Now, link: u64) -> Result<(), StoreError> {
        let Some(mut meeting) = self.meetings.remove(&link) else { return Ok(()) };
        meeting.ready = true;
        self.go_on(now, meeting, Ok(()))
    }

    pub(super) fn link_closed(&mut self, now: Now, link: u64) -> Result<(), StoreError> {
        let Some(meeting) = self.meetings.remove(&link) else { return Ok(()) };
        // An opener that sees that nothing differs says nothing more.
        let nothing = meeting.heard.is_none() && meeting.staged.is_empty() && meeting.told > 0;
        let agreed =
            meeting.is_done() && meeting.is_answered() && meeting.acked.0 == meeting.in_frames;
        let done = !meeting.opener && (agreed || nothing);
        let ending = if done { SessionEnding::Done } else { SessionEnding::Cut };
        self.end_meeting(now, meeting, ending)?;
        self.let_go(now)
    }

    /// Looks after sessions when time has passed.
    pub(super) fn watch_meetings(&mut self, now: Now) -> Result<(), StoreError> {
        let due = |meeting: &&Meeting| meeting.deadline() <= now.tick;
        let links: Vec<u64> = self.meetings.values().filter(due).map(|due| due.link).collect();
        for link in links {
            let Some(mut meeting) = self.meetings.remove(&link) else { continue };
            if meeting.is_silent(now.tick) {
                self.end_meeting(now, meeting, SessionEnding::Silent)?;
                continue;
            }
            let taken = self.commit_pieces(now, &mut meeting);
            self.go_on(now, meeting, taken)?;
        }
        self.let_go(now)
    }

    /// Whether another session may bring what this one would ask for. Nobody who is known waits for
    /// strangers, of whom there can be many that never get ahead.
    fn has_to_wait(&self, meeting: &Meeting, tick: u64) -> bool {
        let mut others = self.meetings.values().filter(|other| other.known || !meeting.known);
        others.any(|other| other.is_moving(tick))
    }

    /// Lets sessions go on that waited for another one.
    fn let_go(&mut self, now: Now) -> Result<(), StoreError> {
        let held = |meeting: &&Meeting| meeting.held.is_some();
        let links: Vec<u64> = self.meetings.values().filter(held).map(|held| held.link).collect();
        for link in links {
            let Some(mut meeting) = self.meetings.remove(&link) else { continue };
            let since = meeting.held.as_ref().map_or(0, |held| held.0);
            let patient = now.tick.saturating_sub(since) < HELD_MS;
            if patient && self.has_to_wait(&meeting, now.tick) {
                self.meetings.insert(link, meeting);
                continue;
            }
            let waiting = meeting.held.take().map_or_else(Vec::new, |held| held.1);
            meeting.moved_at = now.tick;
            let heard = self.resume(now, &mut meeting, waiting);
            self.go_on(now, meeting, heard)?;
        }
        Ok(())
    }

    fn resume(
        &mut self,
        now: Now,
        meeting: &mut Meeting,
        waiting: Vec<Vec<u8>>,
    ) -> Result<(), Stop> {
        if !meeting.opener && meeting.told == 0 {
            self.tell_first_state(meeting)?;
        }
        for frame in waiting {
            self.hear(now, meeting, &frame)?;
        }
        Ok(())
    }

    /// Takes one frame.
    fn hear(&mut self, now: Now, meeting: &mut Meeting, frame: &[u8]) -> Result<(), Stop> {
        let sentence = Sentence::decode(frame)?;
        if !meeting.greeted && !matches!(sentence, Sentence::Greeting(_)) {
            return Err(SessionFault::OutOfTurn { kind: sentence.kind() }.into());
        }
        if let Sentence::State(_) = sentence
            && meeting.opener
            && meeting.heard.is_none()
            && self.has_to_wait(meeting, now.tick)
        {
            meeting.held = Some((now.tick, vec![frame.to_vec()]));
            return Ok(());
        }
        if std::mem::take(&mut meeting.spoke) {
            meeting.report.round_trips += 1;
        }
        meeting.in_frames = meeting.in_frames.saturating_add(u64::from(sentence.is_counted()));
        if !matches!(sentence, Sentence::Carried(Frame::Segment(_) | Frame::Payload { .. })) {
            meeting.control += 1;
            if meeting.control > CONTROL_FRAMES {
                return Err(SessionFault::TooManyFrames.into());
            }
        }
        let is_looked_at =
            matches!(sentence, Sentence::Greeting(_) | Sentence::State(_) | Sentence::Ack { .. });
        if !is_looked_at && !meeting.expect_open()? {
            return meeting.pass_over(sentence);
        }
        if meeting.is_told_equal(&sentence) {
            meeting.news.clear();
        }
        match sentence {
            Sentence::Greeting(greeting) => self.hear_greeting(now, meeting, &greeting),
            Sentence::Ack { count, done } => {
                meeting.hear_ack(count, done)?;
                meeting.expect_more()?;
                self.tell_progress(meeting);
                if done { self.commit_pieces(now, meeting) } else { Ok(()) }
            }
            Sentence::State(state) => {
                self.commit_pieces(now, meeting)?;
                self.hear_state(now, meeting, state)
            }
            Sentence::Carried(Frame::Wants(wants)) => meeting.hear_wants(wants),
            Sentence::Carried(frame) => self.stage(now, meeting, frame),
            Sentence::Absent(_) => {
                meeting.absent = true;
                Ok(())
            }
            Sentence::Decline { lasts, feeds } => self.hear_decline(now, meeting, lasts, &feeds),
            Sentence::Compare(bytes) => {
                self.commit_pieces(now, meeting)?;
                self.compare(meeting, bytes)
            }
            Sentence::Unknown { .. } => Ok(()),
        }
    }

    fn tell_progress(&mut self, meeting: &Meeting) {
        let (link, report) = (meeting.link, &meeting.report);
        self.tell(Event::SessionProgress { link, received: report.received, sent: report.sent });
    }

    fn hear_greeting(
        &mut self,
        now: Now,
        meeting: &mut Meeting,
        greeting: &Greeting<'_>,
    ) -> Result<(), Stop> {
        if std::mem::replace(&mut meeting.greeted, true) {
            return Err(SessionFault::OutOfTurn { kind: 8 }.into());
        }
        let Greeting { first, last, .. } = *greeting;
        self.recognise(meeting, greeting.tags)?;
        if !meeting.opener {
            self.greet(meeting)?;
            Self::settle_carries(meeting);
        }
        if !(first..=last).contains(&VERSION) {
            return Err(Stop::Ends(SessionEnding::Version { first, last }));
        }
        if meeting.opener {
            return Ok(());
        }
        if self.has_to_wait(meeting, now.tick) {
            meeting.held = Some((now.tick, Vec::new()));
            return Ok(());
        }
        self.tell_first_state(meeting)
    }

    /// Goes on after an input: sends what is due, and ends the session if it is over.
    fn go_on(
        &mut self,
        now: Now,
        mut meeting: Meeting,
        heard: Result<(), Stop>,
    ) -> Result<(), StoreError> {
        let went = heard.and_then(|()| self.speak(now, &mut meeting));
        match went {
            Err(Stop::Store(error)) => Err(error),
            Err(Stop::Ends(ending)) => {
                self.end_meeting(now, meeting, ending)?;
                self.let_go(now)
            }
            Ok(()) => {
                let link = meeting.link;
                let free = meeting.held.is_none() && !meeting.is_moving(now.tick);
                self.meetings.insert(link, meeting);
                if free { self.let_go(now) } else { Ok(()) }
            }
        }
    }

    fn speak(&mut self, now: Now, meeting: &mut Meeting) -> Result<(), Stop> {
        if meeting.staged.is_empty() {
            meeting.durable = meeting.in_frames;
        }
        self.fill(meeting)?;
        let done = meeting.is_done();
        // Who sees at once that nothing differs says nothing at all.
        let silent = meeting.opener && meeting.out_frames == 0;
        let due = meeting.durable != meeting.acked.0 || (done && !meeting.acked.1);
        if meeting.greeted && due && !silent && meeting.in_frames > 0 {
            meeting.acked = (meeting.durable, done);
            meeting.say(&Sentence::Ack { count: meeting.durable, done });
        }
        let answered = silent || meeting.is_answered();
        if meeting.opener && done && answered {
            self.next_round(now, meeting)?;
        }
        self.flush(now, meeting);
        Ok(())
    }

    /// The opener's choice once a round is over: to end, or to compare again.
    fn next_round(&mut self, now: Now, meeting: &mut Meeting) -> Result<(), Stop> {
        let ends = match meeting.stage {
            Stage::Start | Stage::Memory => false,
            Stage::Equal => true,
            Stage::Compare => !meeting.moved,
        };
        if ends || meeting.told >= SESSION_ROUNDS {
            return Err(Stop::Ends(SessionEnding::Done));
        }
        let snapshot = self.store.snapshot()?;
        meeting.make_scope(&snapshot)?;
        (meeting.run, meeting.moved, meeting.awaits) = (None, false, true);
        meeting.moved_at = now.tick;
        self.tell_state(meeting, &snapshot, false)
    }

    fn flush(&mut self, now: Now, meeting: &mut Meeting) {
        if meeting.ready && !meeting.out.is_empty() {
            let bytes = std::mem::take(&mut meeting.out);
            meeting.report.bytes_out = meeting.report.bytes_out.saturating_add(bytes.len() as u64);
            (meeting.ready, meeting.sent_at, meeting.spoke) = (false, now.tick, true);
            self.outputs.push_back(Output::Send { link: meeting.link, bytes });
        }
    }

    /// Ends a session; what came is kept, and what is to be said last is said.
    fn end_meeting(
        &mut self,
        now: Now,
        mut meeting: Meeting,
        mut ending: SessionEnding,
    ) -> Result<(), StoreError> {
        match self.commit_pieces(now, &mut meeting) {
            Err(Stop::Store(error)) => return Err(error),
            Err(Stop::Ends(fault)) if ending == SessionEnding::Cut => ending = fault,
            Err(Stop::Ends(_)) | Ok(()) => {}
        }
        let own = self.key.feed();
        if meeting.report.sent > 0
            && ending == SessionEnding::Done
            && !meeting.left_out.contains(&own)
        {
            let (number, head) = (self.me, self.store.snapshot()?.row(self.me)?.head());
            self.store.write(now, |writer| writer.set_carried(number, head))?;
        }
        // The last words may not wait for the link.
        meeting.ready = true;
        self.flush(now, &mut meeting);
        self.outputs.push_back(Output::Close { link: meeting.link });
        meeting.report.ending = ending;
        self.tell(Event::SessionDone { link: meeting.link, report: meeting.report });
        Ok(())
    }
}

impl Meeting {
    fn hear_ack(&mut self, count: u64, done: bool) -> Result<(), Stop> {
        if count > self.out_frames || count < self.theirs.0 {
            return Err(SessionFault::OutOfTurn { kind: 10 }.into());
        }
        self.theirs = (count, done);
        while let Some(&(frame, bytes)) = self.unacked.front()
            && frame <= count
        {
            self.unacked_bytes = self.unacked_bytes.saturating_sub(bytes);
            self.unacked.pop_front();
        }
        Ok(())
    }

    fn hear_wants(&mut self, wants: Vec<Want>) -> Result<(), Stop> {
        self.wants_heard = self.wants_heard.saturating_add(wants.len() as u64);
        if self.wants_heard > 2 * WANTS {
            return Err(SessionFault::TooManyFrames.into());
        }
        self.jobs.extend(wants.into_iter().map(Job::Wanted));
        Ok(())
    }
}
