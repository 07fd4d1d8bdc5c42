//! Laws of bundle files: they read the same in pieces of any size, in bounded memory, resumed at
//! any frame, and a statement is believed only of the very bytes before it.

use thistle_engine::bundle::{Ending, FileReader, FileWriter, Frame, Opening, Read};
use thistle_engine::codec::{Decoder, Encoder};
use thistle_engine::key::{Context, Hasher, SecretKey};
use thistle_engine::limits::FRAME_BYTES;

use super::{key_for, number_of};

/// Most frames at which a reading is broken off and resumed.
const RESUMED: usize = 12;

/// What was found in a file: where each frame begins and ends, the frames of the body so far, and
/// the frame in words; and how the file ended.
type Seen = (Vec<(u64, u64, u64, String)>, Ending);

/// Whole files.
pub(super) fn bundle(bytes: &[u8]) {
    file(bytes);
    let Some((mended, key)) = stated_anew(bytes) else { return };
    file(&mended);
    statements(&mended, key);
}

/// A file as it came.
fn file(bytes: &[u8]) {
    let whole = read(bytes, bytes.len().max(1));
    for size in [1, 7, 1 + number_of(bytes) % 5_000] {
        assert_eq!(read(bytes, size), whole, "in pieces of {size}");
    }
    let (seen, ending) = &whole;
    let mut end = 0;
    for frame in seen {
        assert!(frame.0 == end && frame.1 > frame.0 + 1, "frames lie behind each other");
        end = frame.1;
    }
    assert!(end <= bytes.len() as u64);
    assert!(ending.refused + ending.unknown <= seen.len() as u64);
    assert!(ending.body_frames <= seen.len() as u64);
    resume(bytes, &whole);
    if ending.fault.is_none() && ending.refused == 0 && ending.unknown == 0 {
        write_again(bytes, seen);
    }
}

fn read(bytes: &[u8], size: usize) -> Seen {
    let frame_bytes = usize::try_from(FRAME_BYTES).expect("a frame fits in memory") + 16;
    let mut reader = FileReader::new();
    let mut seen = Vec::new();
    for piece in bytes.chunks(size) {
        reader.push(piece);
        assert!(reader.buffered() <= frame_bytes + piece.len());
        while let Some(found) = reader.poll() {
            seen.push((found.offset, found.end, found.body_frames, format!("{:?}", found.read)));
        }
        assert!(reader.buffered() <= frame_bytes, "{} bytes are kept", reader.buffered());
    }
    (seen, reader.finish())
}

/// From any frame of the body on, a reading that was broken off there finds the same.
fn resume(bytes: &[u8], whole: &Seen) {
    let stated = whole.0.iter().position(|frame| frame.3.starts_with("Statement"));
    let Some(stated) = stated else { return };
    let later = &whole.0[stated..];
    for (at, frame) in later.iter().enumerate().take(RESUMED) {
        let mut reader = FileReader::new();
        reader.push(&bytes[..index(later[0].1)]);
        while reader.poll().is_some() {}
        if !reader.resume_at(frame.1, frame.2) {
            assert!(reader.is_over(), "a reading that goes on can be resumed");
            return;
        }
        assert!(!reader.resume_at(frame.1 - 1, frame.2), "never backwards");
        reader.push(&bytes[index(frame.1)..]);
        let mut rest = Vec::new();
        while let Some(found) = reader.poll() {
            rest.push((found.offset, found.end, found.body_frames, format!("{:?}", found.read)));
        }
        let is_last = frame.3.contains("End {");
        assert!(is_last || rest == later[at + 1..], "resumed at {}", frame.1);
        assert!(is_last || reader.finish().fault == whole.1.fault);
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("files of a fuzzer fit in memory")
}

/// The bodies of the frames up to where no frame begins.
fn bodies(bytes: &[u8]) -> Vec<&[u8]> {
    let mut decoder = Decoder::new(bytes);
    let mut next = || decoder.bytes("frame", FRAME_BYTES).ok().filter(|body| !body.is_empty());
    std::iter::from_fn(&mut next).collect()
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.bytes(body);
    encoder.into_bytes()
}

/// The same file by a maker whose key is here, with its statements signed anew; none without an
/// opening and a statement.
fn stated_anew(bytes: &[u8]) -> Option<(Vec<u8>, &'static SecretKey)> {
    let bodies = bodies(bytes);
    let Ok(Frame::Opening(opening)) = Frame::decode(bodies.first()?) else { return None };
    let key = key_for(&opening.maker);
    let opening = Frame::Opening(Opening { maker: key.feed(), ..opening });
    let mut file = framed(&opening.encode());
    let mut stated = false;
    for body in &bodies[1..] {
        if let Ok(Frame::Statement(_)) = Frame::decode(body) {
            let digest = Hasher::new(Context::Bundle).update(&file).finish();
            let signature = key.sign(Context::Bundle, &digest);
            file.extend(framed(&Frame::Statement(signature).encode()));
            stated = true;
        } else {
            file.extend(framed(body));
        }
    }
    stated.then_some((file, key))
}

/// A good statement is found if it stands in its place; of any other bytes before it, it is not.
fn statements(file: &[u8], key: &SecretKey) {
    let bodies = bodies(file);
    let kinds: Vec<Option<u64>> = bodies.iter().map(|body| kind_of(body)).collect();
    let first = kinds.iter().position(|kind| *kind == Some(5)).unwrap_or(0);
    // Before it only heads and wants may stand, and what is unknown or does not decode.
    let is_end = |body: &&[u8]| matches!(Frame::decode(body), Ok(Frame::End { .. }));
    let in_place = kinds[1..first].iter().all(|kind| !matches!(kind, Some(1 | 2 | 6)))
        && !bodies[1..first].iter().any(is_end)
        && matches!(Frame::decode(bodies[first]), Ok(Frame::Statement(_)));
    let found = front(file);
    assert_eq!(found.is_some(), in_place, "a good statement in its place");
    let Some(front_len) = found else { return };
    assert_eq!(front_len, bodies[..first].iter().map(|body| framed(body).len()).sum::<usize>());
    let Ok(Frame::Opening(opening)) = Frame::decode(bodies[0]) else { return };
    let edit = Opening { position: opening.position ^ 1, ..opening };
    let mut edited = framed(&Frame::Opening(edit).encode());
    edited.extend(bodies[1..].iter().flat_map(|body| framed(body)));
    // The first statement is wrong now, and a second one may not stand behind it.
    assert_eq!(front(&edited), None, "a statement of {:?} over other bytes", key.feed());
}

/// The kind by which a frame is put in its place, whether or not it decodes.
fn kind_of(body: &[u8]) -> Option<u64> {
    let mut decoder = Decoder::new(body);
    let count = decoder.array("frame", u64::MAX).ok()?;
    if count == 0 { None } else { decoder.uint("kind", u64::MAX).ok() }
}

/// The bytes up to the statement, if that is right.
fn front(file: &[u8]) -> Option<usize> {
    let mut reader = FileReader::new();
    reader.push(file);
    while let Some(found) = reader.poll() {
        if let Read::Statement { .. } = found.read {
            return Some(index(found.offset));
        }
    }
    None
}

/// A file without a fault is the one that our writer makes of what is in it.
fn write_again(bytes: &[u8], seen: &[(u64, u64, u64, String)]) {
    let frames: Vec<Frame<'_>> =
        bodies(bytes).into_iter().filter_map(|body| Frame::decode(body).ok()).collect();
    assert_eq!(frames.len(), seen.len());
    let Some(Frame::Opening(opening)) = frames.first() else { panic!("a file begins so") };
    let (mut heads, mut wants, mut pieces) = (Vec::new(), Vec::new(), 0);
    for frame in &frames {
        match frame {
            Frame::Heads(more) => {
                heads.push(more.clone());
                pieces += usize::from(more.len() < 1_024);
            }
            Frame::Wants(found) => wants.clone_from(found),
            _ => {}
        }
    }
    let full = heads.last().is_none_or(|last| last.len() < 1_024);
    let canonical = pieces == usize::from(full && !heads.is_empty());
    let stated = frames.iter().any(|frame| matches!(frame, Frame::Statement(_)));
    let key = key_for(&opening.maker);
    if !canonical || !stated || key.feed() != opening.maker {
        return;
    }
    let (mut writer, mut file) = FileWriter::new(*opening, heads.concat(), &wants, key);
    for frame in &frames {
        match frame {
            Frame::Segment(segment) => file.extend(writer.segment(segment)),
            Frame::Payload { feed, seq, payload } => {
                file.extend(writer.payload(*feed, *seq, payload));
            }
            Frame::Fork(proof) => file.extend(writer.fork(proof)),
            _ => {}
        }
    }
    file.extend(writer.end());
    // An author can sign one thing in many ways.
    let without_signatures = |file: &[u8]| -> Vec<Vec<u8>> {
        bodies(file).into_iter().filter(|it| kind_of(it) != Some(5)).map(<[u8]>::to_vec).collect()
    };
    assert_eq!(without_signatures(&file), without_signatures(bytes));
}
