//! What the specification calls each error of the engine.
//!
//! Every match is exhaustive, so a new error stops the build until it has a name, and every name
//! here must be reached by a vector.

use std::collections::BTreeSet;

use thistle_engine::bundle::{FileFault, FrameFault};
use thistle_engine::codec::DecodeError;
use thistle_engine::fork::ForkFault;
use thistle_engine::key::KeyFault;
use thistle_engine::seal::CardFault;
use thistle_engine::segment::Reject;

/// The errors met, by how they are written in this file.
pub(crate) type Seen = BTreeSet<&'static str>;

macro_rules! names {
    ($function:ident, $all:ident, $type:ty, $seen:ident, { $($pattern:pat => $name:expr,)+ }) => {
        const $all: &[&str] = &[$(stringify!($pattern)),+];

        pub(crate) fn $function(fault: &$type, $seen: &mut Seen) -> &'static str {
            match fault {
                $($pattern => {
                    $seen.insert(stringify!($pattern));
                    $name
                })+
            }
        }
    };
}

names!(decode_error, DECODE, DecodeError, seen, {
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
});

names!(key_fault, KEY, KeyFault, seen, {
    KeyFault::BadKey => "bad_key",
    KeyFault::BadSignature => "bad_signature",
});

names!(reject, REJECT, Reject, seen, {
    Reject::Decode(error) => decode_error(error, seen),
    Reject::Key(fault) => key_fault(fault, seen),
    Reject::CrossesWindow { .. } => "crosses_window",
    Reject::BadCertificate => "bad_certificate",
    Reject::WrongPayload => "wrong_payload",
});

names!(fork_fault, FORK, ForkFault, seen, {
    ForkFault::NoFork => "not_a_fork",
    ForkFault::WrongOrder => "not_a_fork",
    ForkFault::Key(fault) => key_fault(fault, seen),
});

names!(card_fault, CARD, CardFault, seen, {
    CardFault::Decode(error) => decode_error(error, seen),
    CardFault::Key(fault) => key_fault(fault, seen),
});

names!(frame_fault, FRAME, FrameFault, seen, {
    FrameFault::Decode(error) => decode_error(error, seen),
    FrameFault::Statement(fault) => key_fault(fault, seen),
    FrameFault::OutOfOrder { .. } => "out_of_range",
});

names!(file_fault, FILE, FileFault, seen, {
    FileFault::Empty => "empty_file",
    FileFault::Foreign => "foreign_file",
    FileFault::Opening(error) => decode_error(error, seen),
    FileFault::Newer { .. } => "unsupported_version",
    FileFault::Damaged { .. } => "damaged",
    FileFault::Torn { .. } => "torn",
    FileFault::WrongCount { .. } => "wrong_count",
    FileFault::Trailing { .. } => "trailing_bytes",
});

/// Every error of this file.
pub(crate) fn all() -> Vec<&'static str> {
    [DECODE, KEY, REJECT, FORK, CARD, FRAME, FILE].concat()
}
