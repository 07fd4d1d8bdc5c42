//! Goal: whatever bytes come, nothing panics, nothing hangs, memory stays within the limits, and no
//! node believes what nobody signed.
//!
//! Method: the vectors of `schemas/`, spoilt by a seeded die, go into what checks signatures and
//! into nodes. Each attack that has a name is a test of that name. What must hold of any bytes in
//! any decoder stands in `fuzz/src/laws` and is tried by `fuzz_targets.rs`.

use std::collections::BTreeSet;

use crate::common::Device;
use crate::mutate::{Dice, corpus, each_seed, hostile, is_of_invalid, valid};
use thistle_engine::bundle::{FileFault, FileReader, FileWriter, Frame, FrameFault, Opening, Read};
use thistle_engine::codec::{DecodeError, Decoder, Encoder, head_len};
use thistle_engine::content::{Carry, Content, Ranges};
use thistle_engine::entry::{ChainHasher, EntryId, Header, Stub};
use thistle_engine::fork::ForkProof;
use thistle_engine::key::{SecretKey, Seed};
use thistle_engine::limits::{FRAME_BYTES, PAYLOAD_BYTES};
use thistle_engine::segment::{self, Body, Item, Reject, UnverifiedSegment};
use thistle_engine::{Event, Fault, Input, Output};

const DEPTH: usize = 10_000;

// ---- Decoders ----

#[test]
fn segments_are_refused_or_are_what_their_author_signed() {
    let corpus = corpus("segment");
    let signed: BTreeSet<EntryId> = valid("segment").iter().map(|bytes| head_of(bytes)).collect();
    each_seed(80_000, |dice| {
        let bytes = hostile(dice, &corpus);
        let Ok(segment) = UnverifiedSegment::decode(&bytes) else { return };
        assert_eq!(segment.encode(), bytes);
        // Age and the word that a payload follows are free; everything else is signed.
        if let Ok(segment) = segment.verify(&mut ChainHasher::default()) {
            let head = segment.entries.last().unwrap().id;
            let is_signed = signed.contains(&head) || is_of_invalid("segment", &segment.signature);
            assert!(is_signed, "a forgery");
        }
    });
}

fn head_of(segment: &[u8]) -> EntryId {
    let segment = UnverifiedSegment::decode(segment).unwrap();
    segment.verify(&mut ChainHasher::default()).unwrap().entries.last().unwrap().id
}

#[test]
fn fork_proofs_are_refused_or_are_those_that_were_signed() {
    let (corpus, signed) = (corpus("fork"), valid("fork"));
    each_seed(60_000, |dice| {
        let bytes = hostile(dice, &corpus);
        let Ok(proof) = ForkProof::decode(&bytes) else { return };
        assert_eq!(proof.encode(), bytes);
        let signatures = [proof.chain_a.signature, proof.chain_b.signature];
        if let Ok(fork) = proof.verify() {
            assert_eq!(fork.bytes(), bytes);
            let is_signed = signed.contains(&bytes)
                || signatures.iter().any(|signature| is_of_invalid("fork", signature));
            assert!(is_signed, "a forgery");
        }
    });
}

// ---- Files ----

#[test]
fn a_reading_resumed_anywhere_is_bounded() {
    let corpus = corpus("bundle");
    each_seed(20_000, |dice| {
        let (file, other) = (hostile(dice, &corpus), hostile(dice, &corpus));
        let mut reader = FileReader::new();
        for piece in [&file, &other] {
            reader.push(piece);
            for _ in 0..dice.below(6) {
                reader.poll();
            }
            let offset = dice.roll() >> dice.below(64);
            let at_end = offset.saturating_add(piece.len() as u64);
            if at_end < u64::MAX - FRAME_BYTES {
                reader.resume_at(offset, dice.roll() >> 8);
            }
        }
        reader.push(&other);
        while reader.poll().is_some() {}
        reader.finish();
    });
}

#[test]
fn a_statement_is_believed_only_of_the_bytes_that_were_signed() {
    let signed = valid("bundle");
    let fronts: BTreeSet<Vec<u8>> = signed.iter().filter_map(|file| front(file)).collect();
    each_seed(8_000, |dice| {
        let file = hostile(dice, &signed);
        assert!(front(&file).is_none_or(|front| fronts.contains(&front)), "a forgery");
    });
}

/// The bytes up to the statement, if that is right.
fn front(file: &[u8]) -> Option<Vec<u8>> {
    let mut reader = FileReader::new();
    reader.push(file);
    while let Some(found) = reader.poll() {
        if let Read::Statement { .. } = found.read {
            return Some(file[..usize::try_from(found.offset).unwrap()].to_vec());
        }
    }
    None
}

// ---- Nodes ----

/// A device with a past: short and long posts, one that ends, one taken back.
fn author(number: u8) -> Device {
    let mut author = Device::new(number);
    author.write_many((0..40).map(|n| format!("message {n} of {number}")));
    author.write(&"long ".repeat(600));
    author.write_ttl("gone tomorrow", 24);
    author.write_many((0..30).map(|n| format!("more {n} {}", "x".repeat(n * 40))));
    author
}

/// Hands a node a file in pieces; the events, and that there is exactly one report.
fn hand_over(device: &mut Device, dice: &mut Dice, file: &[u8]) -> Vec<Event> {
    let before = device.events.len();
    let (now, bundle) = (device.now, dice.roll());
    device.node.handle(now, Input::BundleOpened { bundle, via: "stick" }).unwrap();
    for bytes in dice.chunks(file) {
        device.node.handle(now, Input::BundleChunk { bundle, bytes }).unwrap();
        poll(device);
    }
    device.node.handle(now, Input::BundleEnded { bundle }).unwrap();
    poll(device);
    let events = device.events[before..].to_vec();
    let done = events.iter().filter(|event| matches!(event, Event::BundleDone { .. }));
    assert_eq!(done.count(), 1);
    events
}

fn poll(device: &mut Device) {
    while let Some(Output::Event(event)) = device.node.poll() {
        device.events.push(event);
    }
}

#[test]
fn a_node_keeps_what_is_signed_and_nothing_else_of_spoilt_bundles() {
    let authors = [author(1), author(2)];
    let mut files: Vec<Vec<u8>> = authors.iter().map(Device::bundle_all).collect();
    let good = files.clone();
    files.extend(valid("bundle"));
    each_seed(40, |dice| {
        let mut reader = Device::new(9);
        reader.write("my own words");
        let own = reader.export(&reader.feed());
        for _ in 0..6 {
            let file = hostile(dice, &files);
            hand_over(&mut reader, dice, &file);
        }
        assert_eq!(reader.export(&reader.feed()), own, "own entries are untouched");
        reader.check();
        let mut good: Vec<&Vec<u8>> = good.iter().collect();
        dice.shuffle(&mut good);
        for file in good {
            hand_over(&mut reader, dice, file);
        }
        for author in &authors {
            assert_eq!(reader.export(&author.feed()), author.export(&author.feed()));
        }
        reader.check();
    });
}

#[test]
fn two_files_read_at_once_and_one_given_up_do_not_mix() {
    let authors = [author(1), author(2)];
    let files = authors.each_ref().map(Device::bundle_all);
    each_seed(20, |dice| {
        let mut reader = Device::new(9);
        let now = reader.now;
        // One is opened anew half way, with nobody having ended it.
        for bundle in [0, 1, 0] {
            reader.node.handle(now, Input::BundleOpened { bundle, via: "stick" }).unwrap();
            let half = &files[0][..files[0].len() / 2];
            if bundle == 0 {
                reader.node.handle(now, Input::BundleChunk { bundle, bytes: half }).unwrap();
            }
        }
        let mut pieces: Vec<(u64, &[u8])> = Vec::new();
        for (bundle, file) in (0..).zip(&files) {
            let chunks = dice.chunks(file);
            for (place, bytes) in chunks.into_iter().enumerate() {
                let at = (place + dice.below(9)).min(pieces.len());
                let behind =
                    pieces.iter().rposition(|piece| piece.0 == bundle).map_or(0, |it| it + 1);
                pieces.insert(at.max(behind), (bundle, bytes));
            }
        }
        for (bundle, bytes) in pieces {
            reader.node.handle(now, Input::BundleChunk { bundle, bytes }).unwrap();
        }
        for bundle in [1, 0, 7] {
            reader.node.handle(now, Input::BundleEnded { bundle }).unwrap();
        }
        for author in &authors {
            assert_eq!(reader.export(&author.feed()), author.export(&author.feed()));
        }
        reader.check();
    });
}

// ---- Attacks with a name ----

#[test]
fn a_bundle_that_claims_4_gib_is_damaged_there_and_costs_nothing() {
    let author = author(1);
    let good = author.bundle_all();
    let starts = starts_of(&good);
    let at = starts[starts.len() - 2];
    let zeros = vec![0; 65_536];
    for claim in [&[0x5b, 0, 0, 0, 1, 0, 0, 0, 0][..], &[0x5a, 0xff, 0xff, 0xff, 0xff]] {
        let mut reader = FileReader::new();
        reader.push(&good[..at]);
        reader.push(claim);
        while reader.poll().is_some() {}
        assert!(reader.is_over());
        for _ in 0..100 {
            reader.push(&zeros);
            assert!(reader.buffered() <= claim.len(), "nothing more is kept");
        }
        let offset = at as u64;
        assert_eq!(reader.finish().fault, Some(FileFault::Damaged { offset }));
        let mut node = Device::new(9);
        let report = node.read(&[&good[..at], claim, &zeros].concat());
        assert_eq!(report.ending, Some(FileFault::Damaged { offset }));
        assert!(report.entries_new > 30, "what came before counts: {report:?}");
        node.check();
        node.read(&good);
        assert_eq!(node.export(&author.feed()), author.export(&author.feed()));
    }
}

/// Each of these frames is two bytes and makes news; none may wait for the end of the file.
#[test]
fn a_file_of_nothing_but_bad_frames_is_told_as_it_is_read() {
    const FRAMES: usize = 200_000;
    let front = author(1).bundle_all();
    let front = &front[..starts_of(&front)[2]];
    let mut node = Device::new(9);
    let now = node.now;
    node.node.handle(now, Input::BundleOpened { bundle: 1, via: "stick" }).unwrap();
    node.node.handle(now, Input::BundleChunk { bundle: 1, bytes: front }).unwrap();
    let bytes = [0x41, 0xff].repeat(1_000);
    let mut told = 0;
    for done in (1_000..=FRAMES).step_by(1_000) {
        node.node.handle(now, Input::BundleChunk { bundle: 1, bytes: &bytes }).unwrap();
        while let Some(Output::Event(event)) = node.node.poll() {
            told += usize::from(matches!(event, Event::Refused { .. }));
        }
        assert!(done - told <= 70_000, "{} faults wait", done - told);
    }
    node.check();
}

/// Where the frames of a sound file begin.
fn starts_of(file: &[u8]) -> Vec<usize> {
    let mut decoder = Decoder::new(file);
    let mut starts = Vec::new();
    while !decoder.is_at_end() {
        starts.push(decoder.position());
        decoder.bytes("frame", FRAME_BYTES).unwrap();
    }
    starts
}

#[test]
fn nesting_10_000_deep_needs_no_stack() {
    for (head, end) in [(0x81, 0x00), (0x9f, 0xff), (0xa1, 0x00), (0xc1, 0x00), (0x5f, 0xff)] {
        let deep = [vec![head; DEPTH], vec![end]].concat();
        assert!(Header::decode(&deep).is_err());
        assert!(UnverifiedSegment::decode(&deep).is_err());
        assert!(Content::decode(&deep).is_err());
        assert!(ForkProof::decode(&deep).is_err());
        assert!(Frame::decode(&deep).is_err());
        let later = [&[0x82, 0x18, 0x63], &deep[..]].concat();
        assert_eq!(Content::decode(&later), Ok(Content::Unknown { kind: 99 }), "and not read");
        assert_eq!(Frame::decode(&later), Ok(Frame::Unknown { kind: 99 }));
        let mut seen = 0;
        for (at, good) in valid("segment").iter().enumerate() {
            let place = good.len() * (at % 8) / 8;
            let bytes = [&good[..place], &deep, &good[place..]].concat();
            seen += u32::from(UnverifiedSegment::decode(&bytes).is_err());
        }
        assert_eq!(seen as usize, valid("segment").len());
        let file = author(1).bundle_all();
        let at = starts_of(&file)[3];
        let mut frame = Encoder::new();
        frame.bytes(&deep);
        let frame = frame.into_bytes();
        let spoilt = [&file[..at], &frame, &file[at..]].concat();
        let mut node = Device::new(9);
        let report = node.read(&spoilt);
        assert_eq!(report.refused, 1, "{report:?}");
        assert!(matches!(report.ending, Some(FileFault::WrongCount { .. })), "{report:?}");
    }
}

#[test]
fn re_encodings_of_a_valid_segment_are_refused() {
    let mut tried = 0;
    for good in valid("segment") {
        for (at, major, argument, len) in heads_of(&good) {
            for longer in longer_heads(major, argument, len) {
                let bytes = [&good[..at], &longer, &good[at + len..]].concat();
                let found = UnverifiedSegment::decode(&bytes).map(drop);
                let due = matches!(found, Err(DecodeError::NotShortest { .. }));
                assert!(due, "{longer:02x?} at {at}: {found:?}");
                tried += 1;
            }
            if matches!(major, 2 | 4) {
                let open = [&good[..at], &[major << 5 | 31], &good[at + len..], &[0xff]].concat();
                let found = UnverifiedSegment::decode(&open).map(drop);
                let due = matches!(found, Err(DecodeError::IndefiniteLength { .. }));
                assert!(due, "indefinite at {at}: {found:?}");
            }
        }
        let trailing = [&good[..], &[0]].concat();
        let found = UnverifiedSegment::decode(&trailing).map(drop);
        assert_eq!(found, Err(DecodeError::TrailingBytes { found: 1 }));
    }
    assert!(tried > 1_000, "{tried}");
}

/// Of each head in sound CBOR of ours: place, major type, argument and length.
fn heads_of(bytes: &[u8]) -> Vec<(usize, u8, u64, usize)> {
    let (mut at, mut heads) = (0, Vec::new());
    while let Some(first) = bytes.get(at) {
        let (major, low) = (first >> 5, first & 31);
        let width = if low < 24 { 0 } else { 1_usize << (low - 24) };
        let wide =
            bytes[at + 1..=at + width].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let argument = if width == 0 { u64::from(low) } else { wide };
        if major != 7 {
            heads.push((at, major, argument, 1 + width));
        }
        at += 1 + width;
        if matches!(major, 2 | 3) {
            at += usize::try_from(argument).unwrap();
        }
    }
    heads
}

/// The same head in every longer form.
fn longer_heads(major: u8, argument: u64, len: usize) -> Vec<Vec<u8>> {
    assert_eq!(head_len(argument), len as u64);
    let wider = [(24, 1), (25, 2), (26, 4), (27, 8)];
    let wider = wider.into_iter().filter(|(_, width)| *width >= len);
    let form = |(low, width): (u8, usize)| {
        [&[major << 5 | low][..], &argument.to_be_bytes()[8 - width..]].concat()
    };
    wider.map(form).collect()
}

#[test]
fn oversize_is_refused_by_its_claim() {
    let payload = vec![0; usize::try_from(PAYLOAD_BYTES).unwrap() + 1];
    let mut encoder = Encoder::new();
    encoder.array(4).uint(2).bytes(&[1; 32]).uint(2).bytes(&payload);
    let frame = encoder.into_bytes();
    let (found, limit) = (PAYLOAD_BYTES + 1, PAYLOAD_BYTES);
    let fault = DecodeError::OverLimit { field: "payload", found, limit };
    assert_eq!(Frame::decode(&frame), Err(fault));
    assert_eq!(Content::decode(&payload), Err(fault));
    let author = author(1);
    let good = author.bundle_all();
    let at = *starts_of(&good).last().unwrap();
    let mut oversize = Encoder::new();
    oversize.bytes(&frame);
    let oversize = oversize.into_bytes();
    let mut node = Device::new(9);
    let before = node.events.len();
    let report = node.read(&[&good[..at], &oversize, &good[at..]].concat());
    let refused = Event::Refused {
        bundle: 1,
        offset: at as u64,
        fault: Fault::Frame(FrameFault::Decode(fault)),
    };
    assert!(node.events[before..].contains(&refused));
    assert_eq!(report.refused, 1);
    assert_eq!(node.export(&author.feed()), author.export(&author.feed()), "the rest is read");
    node.check();
}

#[test]
fn replays_change_nothing() {
    let authors = [author(1), author(2)];
    let mut reader = Device::new(9);
    let mut files: Vec<Vec<u8>> = authors.iter().map(Device::bundle_all).collect();
    for file in &files {
        reader.read(file);
    }
    files.push(reader.bundle_all());
    reader.idle();
    let state = |device: &Device| {
        let feeds = device.reader().feeds().unwrap();
        let exports: Vec<_> = feeds.iter().map(|feed| device.export(&feed.feed)).collect();
        (device.reader().status().unwrap(), feeds, exports)
    };
    let before = state(&reader);
    each_seed(20, |dice| {
        let mut reader = Device::new(9);
        let mut files = files.clone();
        for file in &files {
            reader.read(file);
        }
        dice.shuffle(&mut files);
        files.extend(files.clone());
        for file in &mut files {
            if dice.one_in(2) {
                file.truncate(dice.below(file.len()));
            }
            for event in hand_over(&mut reader, dice, file) {
                let Event::BundleDone { report, .. } = event else { continue };
                assert_eq!((report.entries_new, report.payloads_new), (0, 0));
            }
        }
        reader.idle();
        assert_eq!(state(&reader), before);
        reader.check();
    });
}

#[test]
fn gaps_are_told_and_close_when_what_is_missing_comes() {
    let author = author(1);
    let file = author.bundle_all();
    let starts = starts_of(&file);
    let all: Vec<&[u8]> = starts.windows(2).map(|pair| &file[pair[0]..pair[1]]).collect();
    let is_body = |frame: &&[u8]| {
        let body = Decoder::new(frame).bytes("frame", FRAME_BYTES).unwrap();
        matches!(Frame::decode(body), Ok(Frame::Segment(_) | Frame::Payload { .. }))
    };
    let body_at = all.iter().position(is_body).unwrap();
    let (front, body) = all.split_at(body_at);
    assert!(body.len() >= 4, "{}", body.len());
    each_seed(60, |dice| {
        let mut reader = Device::new(9);
        let (mut now, mut later) = (front.concat(), front.concat());
        let mut left_out = 0;
        for frame in body {
            if dice.one_in(2) {
                now.extend_from_slice(frame);
            } else {
                later.extend_from_slice(frame);
                left_out += 1;
            }
        }
        hand_over(&mut reader, dice, &now);
        reader.check();
        let held = reader.export(&author.feed());
        let whole = author.export(&author.feed());
        assert!(left_out == 0 || held != whole);
        let sound =
            held.iter().all(|entry| whole.iter().any(|it| (it.1, it.2) == (entry.1, entry.2)));
        assert!(sound, "nothing is held that was not written");
        // A payload that comes before its entry is not kept, nor is an entry before the first.
        for file in [&later, &now, &later] {
            hand_over(&mut reader, dice, file);
        }
        assert!(reader.export(&author.feed()) == whole, "all of it is here");
        let info = reader.reader().feeds().unwrap();
        let info = info.into_iter().find(|info| info.feed == author.feed()).unwrap();
        assert_eq!((info.gaps.len(), info.missing_payloads), (0, 0));
        reader.check();
    });
}

#[test]
fn a_segment_with_a_wrong_byte_is_never_held() {
    let author = author(1);
    let good = author.bundle_all();
    let starts = starts_of(&good);
    each_seed(100, |dice| {
        let mut bytes = good.clone();
        let frame = 2 + dice.below(starts.len() - 3);
        let at = starts[frame] + 4 + dice.below(starts[frame + 1] - starts[frame] - 4);
        bytes[at] ^= 1 << dice.below(8);
        let mut node = Device::new(9);
        hand_over(&mut node, dice, &bytes);
        let held = node.export(&author.feed());
        let whole = author.export(&author.feed());
        for entry in held {
            let written = whole.iter().find(|it| it.1 == entry.1).unwrap();
            assert_eq!(entry.2, written.2);
            assert!(entry.3.is_none() || entry.3 == written.3);
        }
        node.check();
    });
}

#[test]
fn a_forged_certificate_makes_no_feed() {
    let mut node = Device::new(9);
    for bytes in corpus("segment") {
        let found = UnverifiedSegment::decode(&bytes)
            .map_err(Reject::from)
            .and_then(|segment| segment.verify(&mut ChainHasher::default()));
        if found.is_ok() || bytes.is_empty() {
            continue;
        }
        let mut file = author(1).bundle_all();
        let at = *starts_of(&file).last().unwrap();
        file.truncate(at);
        let held = node.reader().status().unwrap();
        let mut frame = Encoder::new();
        frame.bytes(&bytes);
        let report = node.read(&[file, frame.into_bytes()].concat());
        assert_eq!(report.refused, 1);
        let feeds = held.feeds.max(2);
        assert_eq!(node.reader().status().unwrap().feeds, feeds, "the author and the reader");
    }
    node.check();
}

/// An empty payload may end or be taken back like any, but is never detached.
#[test]
fn empty_payloads_that_are_gone_are_still_passed_on() {
    let key = SecretKey::from_seed(&Seed::new([0x77; 32]));
    let feed = key.feed();
    let certificate =
        Content::Certificate(crate::common::account(7).certify(&feed, Carry::Open)).encode();
    let mut prev = None;
    let mut segment = |seq, ttl, age, payload: &[u8]| {
        let id = Header::new(feed, seq, prev, Stub::of(ttl, payload)).id();
        let items = vec![Item { ttl, age, body: Body::Here(payload) }];
        let signature = segment::sign(&key, &id);
        let made = UnverifiedSegment { feed, first_seq: seq, prev, items, signature };
        prev = Some(id);
        made.encode()
    };
    let retraction = Content::Retraction(Ranges::new(vec![(2, 3)]).unwrap()).encode();
    let segments = [
        segment(1, 0, 0, &certificate),
        segment(2, 0, 0, b""),
        segment(3, 1, 0, b""),
        segment(4, 1, 0, b""),
        segment(5, 1, 60, b""),
        segment(6, 0, 0, &retraction),
    ];
    let maker = feed;
    let opening =
        Opening { maker, for_feed: None, whole: true, position: 3, log_hash: [0; 8], ack: None };
    let (mut writer, mut file) = FileWriter::new(opening, Vec::new(), &[], &key);
    for segment in &segments {
        file.extend(writer.segment(segment));
    }
    file.extend(writer.end());
    let mut first = Device::new(8);
    assert_eq!(first.read(&file).entries_new, 6);
    first.pass(61);
    first.check();
    let mut second = Device::new(9);
    let report = second.read(&first.bundle_all());
    assert_eq!((report.refused, second.export(&feed).len()), (0, 6), "{report:?}");
    second.check();
}
