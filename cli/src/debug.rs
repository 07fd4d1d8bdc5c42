//! `thistle debug`: the formats as hex and JSON, line by line, to pair another implementation with.
//!
//! `decode` reads a value a line and writes a JSON object a line, with the `fields` and as much of
//! `derived` as follows from the bytes, in the words of `schemas/vectors/valid.json`; `encode` reads
//! `fields` and writes hex. A line is answered before the next one is read, and what is wrong with
//! one is said in its place, so that both sides keep step. Text ids and phrases are read as the
//! text they are, windows as seqs. Of a phrase nothing secret is printed: only the account.

mod content;
mod decode;
mod encode;
mod fields;

use std::io::{self, BufRead, Read as _, Write};

use serde_json::{Value, json};
use thistle_engine::bundle::{FileFault, FrameFault};
use thistle_engine::codec::DecodeError;
use thistle_engine::fork::ForkFault;
use thistle_engine::key::KeyFault;
use thistle_engine::segment::Reject;

use crate::outcome::{self, CliError};

/// Longest line that is read, without its end.
const LINE_BYTES: usize = 1 << 20;

/// What a line can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Header,
    Segment,
    Content,
    Fork,
    Frame,
    Bundle,
    TextId,
    Phrase,
    Window,
}

impl Kind {
    const ALL: [(&str, Self); 9] = [
        ("header", Self::Header),
        ("segment", Self::Segment),
        ("content", Self::Content),
        ("fork", Self::Fork),
        ("frame", Self::Frame),
        ("bundle", Self::Bundle),
        ("text_id", Self::TextId),
        ("phrase", Self::Phrase),
        ("window", Self::Window),
    ];

    fn parse(kind: &str, decode: bool) -> Result<Self, CliError> {
        let usable = |(_, kind): &&(&str, Self)| {
            decode || !matches!(kind, Self::Bundle | Self::Phrase | Self::Window)
        };
        let known = Self::ALL.iter().filter(usable).find(|(name, _)| *name == kind);
        known.map(|(_, kind)| *kind).ok_or_else(|| {
            let verb = if decode { "decode" } else { "encode" };
            let names: Vec<&str> = Self::ALL.iter().filter(usable).map(|(name, _)| *name).collect();
            CliError::new(outcome::Kind::Usage, format!("cannot {verb} `{kind}`"))
                .hint(format!("one of {}", names.join(", ")))
        })
    }
}

/// Why a line was refused: a name of the specification, or one of the words below, and a message.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    error: &'static str,
    message: String,
}

impl Refusal {
    fn new(error: &'static str, message: impl ToString) -> Self {
        Self { error, message: message.to_string() }
    }

    /// Fields that are not those of the kind, or do not go together.
    fn bad_fields(message: impl ToString) -> Self {
        Self::new("bad_fields", message)
    }
}

/// Decodes or encodes every line of `input`.
pub(crate) fn run(
    decode: bool,
    kind: &str,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let kind = Kind::parse(kind, decode)?;
    let (mut lines, mut refused) = (0_u64, 0_u64);
    while let Some(line) = next_line(input).map_err(|error| {
        CliError::new(outcome::Kind::Input, "cannot read standard input").because(&error)
    })? {
        let answer = match line.and_then(|line| {
            if decode { decode::answer(kind, &line) } else { encode::answer(kind, &line) }
        }) {
            Ok(answer) => answer,
            Err(Refusal { error, message }) => {
                refused += 1;
                json!({ "ok": false, "error": error, "message": message }).to_string()
            }
        };
        lines += 1;
        // Whoever asks line by line waits for the answer.
        writeln!(out, "{answer}")
            .and_then(|()| out.flush())
            .map_err(|error| CliError::output(&error))?;
    }
    if refused == 0 {
        return Ok(());
    }
    let message = format!("{refused} of {lines} lines were refused");
    Err(CliError::new(outcome::Kind::Refused, message))
}

/// The next line without its end and the white space around it; none at the end of the input. Of a
/// line that is too long no more than the limit is kept.
fn next_line(input: &mut dyn BufRead) -> io::Result<Option<Result<String, Refusal>>> {
    let mut line = Vec::new();
    let most = LINE_BYTES as u64 + 1;
    if (&mut *input).take(most).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.len() > LINE_BYTES && line.last() != Some(&b'\n') {
        skip_line(input)?;
        let message = format!("a line has at most {LINE_BYTES} bytes");
        return Ok(Some(Err(Refusal::new("line_too_long", message))));
    }
    let text = String::from_utf8(line).map_err(|_| Refusal::new("bad_utf8", "the line is no text"));
    Ok(Some(text.map(|text| text.trim().to_owned())))
}

fn skip_line(input: &mut dyn BufRead) -> io::Result<()> {
    loop {
        let chunk = input.fill_buf()?;
        let (used, is_done) = match chunk.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (chunk.len(), chunk.is_empty()),
        };
        input.consume(used);
        if is_done {
            return Ok(());
        }
    }
}

/// The line that says what a value is.
fn shown(fields: Value, derived: Value) -> String {
    json!({ "ok": true, "fields": fields, "derived": derived }).to_string()
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        let name = match error {
            DecodeError::EndOfInput { .. } => "end_of_input",
            DecodeError::TrailingBytes { .. } => "trailing_bytes",
            DecodeError::NotShortest { .. } => "not_shortest",
            DecodeError::IndefiniteLength { .. } => "indefinite_length",
            DecodeError::WrongType { .. } => "wrong_type",
            DecodeError::WrongLength { .. } => "wrong_length",
            DecodeError::BadUtf8 { .. } => "bad_utf8",
            DecodeError::OverLimit { .. } => "over_limit",
            DecodeError::OutOfRange { .. } => "out_of_range",
            DecodeError::UnsupportedVersion { .. } => "unsupported_version",
            DecodeError::UnknownKind { .. } => "unknown_kind",
        };
        Self::new(name, error)
    }
}

impl From<KeyFault> for Refusal {
    fn from(fault: KeyFault) -> Self {
        let name = match fault {
            KeyFault::BadKey => "bad_key",
            KeyFault::BadSignature => "bad_signature",
        };
        Self::new(name, fault)
    }
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        let name = match reject {
            Reject::Decode(error) => return error.into(),
            Reject::Key(fault) => return fault.into(),
            Reject::CrossesWindow { .. } => "crosses_window",
            Reject::BadCertificate => "bad_certificate",
            Reject::WrongPayload => "wrong_payload",
        };
        Self::new(name, reject)
    }
}

impl From<ForkFault> for Refusal {
    fn from(fault: ForkFault) -> Self {
        match fault {
            ForkFault::NoFork | ForkFault::WrongOrder => Self::new("not_a_fork", fault),
            ForkFault::Key(fault) => fault.into(),
        }
    }
}

impl From<FrameFault> for Refusal {
    fn from(fault: FrameFault) -> Self {
        match fault {
            FrameFault::Decode(error) => error.into(),
            FrameFault::Statement(fault) => fault.into(),
            FrameFault::OutOfOrder { .. } => Self::new("out_of_range", fault),
        }
    }
}

impl From<FileFault> for Refusal {
    fn from(fault: FileFault) -> Self {
        let name = match fault {
            FileFault::Empty => "empty_file",
            FileFault::Foreign => "foreign_file",
            FileFault::Opening(error) => return error.into(),
            FileFault::Newer { .. } => "unsupported_version",
            FileFault::Damaged { .. } => "damaged",
            FileFault::Torn { .. } => "torn",
            FileFault::WrongCount { .. } => "wrong_count",
            FileFault::Trailing { .. } => "trailing_bytes",
        };
        Self::new(name, fault)
    }
}

#[cfg(test)]
mod tests;
