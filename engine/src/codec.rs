//! Strict deterministic CBOR (RFC 8949 §4.2.1): one value has one encoding, and nothing else decodes.
//!
//! Bytes from strangers come through here first. A claim of length is checked against its limit
//! before it is believed, nothing is indexed, and there is no recursion: every structure of the
//! format is flat enough to be read by hand-written code.
#![warn(clippy::arithmetic_side_effects)]

use minicbor::encode::write::Cursor;

/// Why bytes were refused. `field` is the word of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ended inside a value.
    #[error("{field}: the input ends too early")]
    EndOfInput {
        /// What was being read.
        field: &'static str,
    },
    /// Bytes follow after the value.
    #[error("{found} bytes follow after the end")]
    TrailingBytes {
        /// How many.
        found: u64,
    },
    /// An integer or a length is not in its shortest form.
    #[error("{field}: not in its shortest form")]
    NotShortest {
        /// What was being read.
        field: &'static str,
    },
    /// An indefinite length.
    #[error("{field}: indefinite length")]
    IndefiniteLength {
        /// What was being read.
        field: &'static str,
    },
    /// A value of another type than the format has here.
    #[error("{field}: wrong type")]
    WrongType {
        /// What was being read.
        field: &'static str,
    },
    /// An array or byte string of another length than the format has here.
    #[error("{field}: length {found} where {expected} is due")]
    WrongLength {
        /// What was being read.
        field: &'static str,
        /// The length found.
        found: u64,
        /// The length that is due.
        expected: u64,
    },
    /// Text that is not UTF-8.
    #[error("{field}: not valid UTF-8")]
    BadUtf8 {
        /// What was being read.
        field: &'static str,
    },
    /// A number, length or count over its limit.
    #[error("{field}: {found} is over the limit of {limit}")]
    OverLimit {
        /// What was being read.
        field: &'static str,
        /// The value found.
        found: u64,
        /// The largest that is allowed.
        limit: u64,
    },
    /// A value that may not stand here.
    #[error("{field}: {found} may not stand here")]
    OutOfRange {
        /// What was being read.
        field: &'static str,
        /// The value found, or the count or place where the rule was broken.
        found: u64,
    },
    /// A version of the format that this program does not know.
    #[error("version {found} is not known to this program")]
    UnsupportedVersion {
        /// The version found.
        found: u64,
    },
    /// A kind of structure that does not belong here.
    #[error("kind {found} is not known here")]
    UnknownKind {
        /// The kind found.
        found: u64,
    },
}

const UINT: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const SIMPLE: u8 = 7;
const FALSE: u64 = 20;
const TRUE: u64 = 21;

/// Reads one strict value after the other.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Decoder<'a> {
    /// Starts at the beginning of `input`.
    pub const fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0 }
    }

    /// Bytes read so far.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Ends the reading.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.input.len().saturating_sub(self.at) {
            0 => Ok(()),
            found => Err(DecodeError::TrailingBytes { found: found as u64 }),
        }
    }

    /// Reads an unsigned integer of at most `limit`.
    pub fn uint(&mut self, field: &'static str, limit: u64) -> Result<u64, DecodeError> {
        let found = self.head(field, UINT)?;
        within(field, found, limit)
    }

    /// Reads the head of an array of exactly `expected` elements.
    pub fn array_of(&mut self, field: &'static str, expected: u64) -> Result<(), DecodeError> {
        match self.head(field, ARRAY)? {
            found if found == expected => Ok(()),
            found => Err(DecodeError::WrongLength { field, found, expected }),
        }
    }

    /// Reads the head of an array of at most `limit` elements and returns their number.
    pub fn array(&mut self, field: &'static str, limit: u64) -> Result<u64, DecodeError> {
        let found = self.head(field, ARRAY)?;
        within(field, found, limit)
    }

    /// Reads a byte string of at most `limit` bytes.
    pub fn bytes(&mut self, field: &'static str, limit: u64) -> Result<&'a [u8], DecodeError> {
        let found = self.head(field, BYTES)?;
        within(field, found, limit)?;
        self.take(field, found)
    }

    /// Reads a byte string of exactly so many bytes.
    pub fn exactly(&mut self, field: &'static str, expected: u64) -> Result<&'a [u8], DecodeError> {
        let found = self.head(field, BYTES)?;
        if found != expected {
            return Err(DecodeError::WrongLength { field, found, expected });
        }
        self.take(field, found)
    }

    /// Reads a byte string of exactly `N` bytes.
    pub fn fixed<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let taken = self.exactly(field, N as u64)?;
        taken.try_into().map_err(|_| DecodeError::EndOfInput { field })
    }

    /// Reads a byte string of exactly `N` bytes, or null.
    pub fn fixed_or_null<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<Option<[u8; N]>, DecodeError> {
        if self.skip_null() { Ok(None) } else { self.fixed(field).map(Some) }
    }

    /// Reads text of at most `limit` bytes.
    pub fn text(&mut self, field: &'static str, limit: u64) -> Result<&'a str, DecodeError> {
        let found = self.head(field, TEXT)?;
        within(field, found, limit)?;
        let taken = self.take(field, found)?;
        std::str::from_utf8(taken).map_err(|_| DecodeError::BadUtf8 { field })
    }

    /// Reads a boolean.
    pub fn boolean(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.head(field, SIMPLE)? {
            FALSE => Ok(false),
            TRUE => Ok(true),
            _ => Err(DecodeError::WrongType { field }),
        }
    }

    /// Steps over a null if one is next.
    pub fn skip_null(&mut self) -> bool {
        let is_null = self.input.get(self.at) == Some(&0xf6);
        if is_null {
            self.at = self.at.saturating_add(1);
        }
        is_null
    }

    /// Whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.at >= self.input.len()
    }

    /// Whether the next value is an array.
    pub fn next_is_array(&self) -> bool {
        self.input.get(self.at).is_some_and(|first| first >> 5 == ARRAY)
    }

    /// Reads the head of a byte string that begins a frame: its length, or why there is none.
    pub fn frame_head(&mut self, field: &'static str, limit: u64) -> Result<u64, DecodeError> {
        let found = self.head(field, BYTES)?;
        within(field, found, limit)
    }

    fn take(&mut self, field: &'static str, count: u64) -> Result<&'a [u8], DecodeError> {
        let end = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count));
        let taken = end.and_then(|end| self.input.get(self.at..end));
        let taken = taken.ok_or(DecodeError::EndOfInput { field })?;
        self.at = self.at.saturating_add(taken.len());
        Ok(taken)
    }

    /// Reads the head of a value of type `major` and returns its argument.
    fn head(&mut self, field: &'static str, major: u8) -> Result<u64, DecodeError> {
        let first = *self.input.get(self.at).ok_or(DecodeError::EndOfInput { field })?;
        if first >> 5 != major {
            return Err(DecodeError::WrongType { field });
        }
        let width = match first & 0x1f {
            low @ 0..=23 => {
                self.at = self.at.saturating_add(1);
                return Ok(u64::from(low));
            }
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            // In type 7 it is the stop code, which is no boolean.
            31 if major != SIMPLE => return Err(DecodeError::IndefiniteLength { field }),
            _ => return Err(DecodeError::WrongType { field }),
        };
        if major == SIMPLE {
            return Err(DecodeError::WrongType { field });
        }
        self.at = self.at.saturating_add(1);
        let argument = self.take(field, width)?;
        let value = argument.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        if head_len(value) != width.saturating_add(1) {
            return Err(DecodeError::NotShortest { field });
        }
        Ok(value)
    }
}

fn within(field: &'static str, found: u64, limit: u64) -> Result<u64, DecodeError> {
    if found > limit { Err(DecodeError::OverLimit { field, found, limit }) } else { Ok(found) }
}

/// Bytes of the head of a value with this argument.
pub const fn head_len(argument: u64) -> u64 {
    match argument {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// Writes deterministic CBOR into memory.
#[derive(Debug, Default, Clone)]
pub struct Encoder {
    out: Vec<u8>,
}

impl Encoder {
    /// An empty encoder.
    pub const fn new() -> Self {
        Self { out: Vec::new() }
    }

    /// An encoder with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes) }
    }

    /// The bytes written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// The bytes written so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.out
    }

    /// Forgets what was written and keeps the memory.
    pub fn clear(&mut self) -> &mut Self {
        self.out.clear();
        self
    }

    /// Writes an unsigned integer.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.head(UINT, value)
    }

    /// Writes the head of an array; its elements follow.
    pub fn array(&mut self, count: u64) -> &mut Self {
        self.head(ARRAY, count)
    }

    /// Writes a byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(BYTES, value.len() as u64);
        self.out.extend_from_slice(value);
        self
    }

    /// Writes a byte string, or null.
    pub fn bytes_or_null(&mut self, value: Option<&[u8]>) -> &mut Self {
        match value {
            Some(value) => self.bytes(value),
            None => self.null(),
        }
    }

    /// Writes text.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.head(TEXT, value.len() as u64);
        self.out.extend_from_slice(value.as_bytes());
        self
    }

    /// Writes a boolean.
    pub fn boolean(&mut self, value: bool) -> &mut Self {
        self.out.push(if value { 0xf5 } else { 0xf4 });
        self
    }

    /// Writes null.
    pub fn null(&mut self) -> &mut Self {
        self.out.push(0xf6);
        self
    }

    /// Appends a value that is encoded already.
    pub fn encoded(&mut self, value: &[u8]) -> &mut Self {
        self.out.extend_from_slice(value);
        self
    }

    fn head(&mut self, major: u8, argument: u64) -> &mut Self {
        // Most heads are one byte, and there are many.
        if let Ok(small @ 0..24) = u8::try_from(argument) {
            self.out.push(major << 5 | small);
            return self;
        }
        let mut head = [0; 9];
        let mut encoder = minicbor::Encoder::new(Cursor::new(&mut head[..]));
        // Nine bytes hold every head, so writing one cannot fail.
        let written = match major {
            BYTES => encoder.bytes_len(argument),
            TEXT => encoder.str_len(argument),
            ARRAY => encoder.array(argument),
            _ => encoder.u64(argument),
        }
        .map_or(0, |encoder| encoder.writer().position());
        self.out.extend_from_slice(head.get(..written).unwrap_or_default());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_of_an_integer_has_one_form() {
        for value in [0, 23, 24, 255, 256, 65_535, 65_536, u64::from(u32::MAX), 1 << 32, u64::MAX] {
            let mut encoder = Encoder::new();
            encoder.uint(value);
            let bytes = encoder.into_bytes();
            assert_eq!(bytes.len() as u64, head_len(value));
            let mut decoder = Decoder::new(&bytes);
            assert_eq!(decoder.uint("x", u64::MAX), Ok(value));
            assert_eq!(decoder.finish(), Ok(()));
        }
        for wide in [&[0x18, 23][..], &[0x19, 0, 255], &[0x1a, 0, 0, 255, 255]] {
            let found = Decoder::new(wide).uint("x", u64::MAX);
            assert_eq!(found, Err(DecodeError::NotShortest { field: "x" }));
        }
    }

    #[test]
    fn a_claim_is_not_an_allocation() {
        let four_gib = [0x5b, 0, 0, 0, 1, 0, 0, 0, 0];
        let found = Decoder::new(&four_gib).bytes("payload", 16_384);
        let expected = DecodeError::OverLimit { field: "payload", found: 1 << 32, limit: 16_384 };
        assert_eq!(found, Err(expected));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_round_trip_when_accepted() {
        arbtest::arbtest(|u| {
            let bytes: Vec<u8> = u.arbitrary()?;
            let mut decoder = Decoder::new(&bytes);
            if let Ok(value) = decoder.bytes("x", 100) {
                let mut encoder = Encoder::new();
                encoder.bytes(value);
                assert_eq!(encoder.into_bytes(), &bytes[..decoder.position()]);
            }
            if let Ok(value) = Decoder::new(&bytes).uint("x", u64::MAX) {
                let mut encoder = Encoder::new();
                encoder.uint(value);
                assert!(bytes.starts_with(&encoder.into_bytes()));
            }
            Ok(())
        });
    }
}
