//! Two devices and a link between them, in memory and in simulated time.

use std::collections::VecDeque;

use thistle_engine::session::{Frames, Sentence};
use thistle_engine::{Event, Input, Output, SessionEnding, SessionReport};

use crate::common::Device;

/// How two devices meet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// Whether the dialler knows the other one.
    pub(crate) knows: bool,
    /// Whether the dialler is known.
    pub(crate) is_known: bool,
    /// Messages after which the link is cut.
    pub(crate) cut: usize,
    /// What both ends of the connection know.
    pub(crate) binding: [u8; 32],
    /// Whose tags get lost on the way, as if there had been no room for them: the dialler's, or the
    /// other's.
    pub(crate) blank: Option<bool>,
}

impl Default for Way {
    fn default() -> Self {
        Self { knows: true, is_known: true, cut: usize::MAX, binding: [7; 32], blank: None }
    }
}

/// What was said, and how it ended for the dialler and for the other.
#[derive(Debug)]
pub(crate) struct Met {
    pub(crate) dialler: SessionReport,
    pub(crate) other: SessionReport,
    /// Unbroken runs of bytes, by turns: whether the dialler sent them.
    pub(crate) said: Vec<(bool, Vec<u8>)>,
}

impl Met {
    /// The frames that one side said.
    pub(crate) fn frames(&self, dialler: bool) -> Vec<Vec<u8>> {
        let mut frames = Frames::default();
        let mut all = Vec::new();
        for (_, bytes) in self.said.iter().filter(|said| said.0 == dialler) {
            frames.push(bytes);
            while let Some(frame) = frames.poll().unwrap() {
                all.push(frame.to_vec());
            }
        }
        all
    }

    /// The kinds of the frames that one side said.
    pub(crate) fn kinds(&self, dialler: bool) -> Vec<u64> {
        let kind = |frame: &Vec<u8>| Sentence::decode(frame).unwrap().kind();
        self.frames(dialler).iter().map(kind).collect()
    }

    /// Both ended well, and nothing came that was there.
    pub(crate) fn clean(&self) {
        assert_eq!(self.dialler.ending, SessionEnding::Done);
        assert_eq!(self.other.ending, SessionEnding::Done);
        assert_eq!((self.dialler.duplicates, self.other.duplicates), (0, 0));
        assert_eq!(self.dialler.sent, self.other.received);
        assert_eq!(self.other.sent, self.dialler.received);
    }
}

/// One end of a link.
struct End<'a> {
    device: &'a mut Device,
    link: u64,
    /// Bytes on their way to the other end.
    out: VecDeque<Vec<u8>>,
    closing: bool,
    report: Option<SessionReport>,
}

impl<'a> End<'a> {
    fn open(device: &'a mut Device, number: u64, opener: bool, peer: u8, way: &Way) -> Self {
        let known = if opener { way.knows } else { way.is_known };
        let (peer, binding) = ([peer; 32], &way.binding);
        let input =
            Input::LinkOpened { link: number, opener, peer, binding, known, via: "a meeting" };
        device.node.handle(device.now, input).unwrap();
        Self { device, link: number, out: VecDeque::new(), closing: false, report: None }
    }

    fn give(&mut self, input: Input<'_>) {
        self.device.node.handle(self.device.now, input).unwrap();
    }

    /// Takes what the node says, until it waits.
    fn collect(&mut self) {
        loop {
            let mut sent = false;
            while let Some(output) = self.device.node.poll() {
                match output {
                    Output::Send { bytes, .. } => {
                        sent = true;
                        self.out.push_back(bytes);
                    }
                    Output::Close { .. } => self.closing = true,
                    Output::Event(Event::SessionDone { report, .. }) => {
                        assert!(self.report.replace(report).is_none(), "ended twice");
                    }
                    Output::Event(event) => self.device.events.push(event),
                }
            }
            if !sent || self.closing {
                return;
            }
            self.give(Input::LinkReady { link: self.link });
        }
    }
}

/// Takes the tags out of the greeting with which bytes begin.
fn blank(bytes: &mut [u8]) {
    let tags = bytes.windows(3).position(|at| at == [0x59, 4, 0]).unwrap() + 3;
    bytes[tags..tags + 1_024].fill(0xaa);
}

/// Lets two devices meet.
pub(crate) fn meet(dialler: &mut Device, other: &mut Device) -> Met {
    meet_by(dialler, other, Way::default())
}

/// Lets two devices meet in some way. A device is known by the first byte of its feed.
pub(crate) fn meet_by(dialler: &mut Device, other: &mut Device, way: Way) -> Met {
    let keys = (dialler.feed().as_bytes()[0], other.feed().as_bytes()[0]);
    meet_as(dialler, other, keys, way)
}

/// Lets two devices meet under other keys than their own.
pub(crate) fn meet_as(
    dialler: &mut Device,
    other: &mut Device,
    (here, there): (u8, u8),
    way: Way,
) -> Met {
    let mut ends =
        [End::open(dialler, 90, true, there, &way), End::open(other, 91, false, here, &way)];
    let mut said: Vec<(bool, Vec<u8>)> = Vec::new();
    for _ in 0..1_000_000 {
        ends.iter_mut().for_each(End::collect);
        if let Some(from) = (0..2).find(|end| !ends[*end].out.is_empty()) {
            let Some(mut bytes) = ends[from].out.pop_front() else { continue };
            if way.blank == Some(from == 0) && !said.iter().any(|said| said.0 == (from == 0)) {
                blank(&mut bytes);
            }
            let turns = said.last().is_none_or(|said| said.0 != (from == 0));
            if turns && said.len() == way.cut {
                for end in &mut ends {
                    end.out.clear();
                    end.give(Input::LinkClosed { link: end.link });
                }
                continue;
            }
            if turns {
                said.push((from == 0, Vec::new()));
            }
            said.last_mut().unwrap().1.extend(&bytes);
            let to = &mut ends[1 - from];
            for bytes in bytes.chunks(1 << 16) {
                to.give(Input::LinkBytes { link: to.link, bytes });
            }
            continue;
        }
        if let (Some(dialler), Some(other)) = (ends[0].report, ends[1].report) {
            return Met { dialler, other, said };
        }
        if let Some(closing) =
            (0..2).find(|end| ends[*end].closing && ends[1 - end].report.is_none())
        {
            let to = &mut ends[1 - closing];
            to.give(Input::LinkClosed { link: to.link });
            continue;
        }
        // Nothing is on its way: time passes until one of them wants to do something.
        let due = ends.iter().filter_map(|end| end.device.node.deadline()).min().unwrap();
        for end in &mut ends {
            let passed = due.saturating_sub(end.device.now.tick).max(1);
            end.device.now.tick += passed;
            end.device.now.wall += passed;
            end.give(Input::Idle);
        }
    }
    panic!("the session never ends");
}
