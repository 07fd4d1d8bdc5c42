//! Bits, Rice codes, varints, and the sorted list of (id, seq) that they make up.
//!
//! A list of thousands of ids inside one byte string: each number has one form, and a reader
//! refuses every other. A count is compared with the bytes that are there before it is believed.

use crate::codec::DecodeError;
use crate::limits::RECONCILE_ITEMS;

/// Largest id or index of a list.
const ID_END: u64 = 1 << 42;

/// Writes bits, the highest first.
#[derive(Debug, Default)]
pub(super) struct Bits {
    out: Vec<u8>,
    /// Bits of the last byte that are used; 8 when it is full or there is none.
    used: u32,
}

impl Bits {
    pub(super) const fn new() -> Self {
        Self { out: Vec::new(), used: 8 }
    }

    /// Writes the low `count` bits of a value.
    pub(super) fn write(&mut self, value: u64, count: u32) {
        for at in (0..count).rev() {
            if self.used == 8 {
                self.out.push(0);
                self.used = 0;
            }
            if let Some(last) = self.out.last_mut()
                && value >> at & 1 == 1
            {
                *last |= 0x80 >> self.used;
            }
            self.used += 1;
        }
    }

    /// Writes a Rice code: the quotient by 2^k as so many ones and a zero, then k bits.
    pub(super) fn write_rice(&mut self, value: u64, k: u32) {
        for _ in 0..value >> k {
            self.write(1, 1);
        }
        self.write(0, 1);
        self.write(value, k);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }
}

/// Reads bytes, and bits from the byte reached.
#[derive(Debug)]
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    field: &'static str,
    /// Bits of the first byte that are read.
    used: u32,
}

impl<'a> Input<'a> {
    pub(super) const fn new(bytes: &'a [u8], field: &'static str) -> Self {
        Self { bytes, field, used: 0 }
    }

    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) =
            self.bytes.split_first().ok_or(DecodeError::EndOfInput { field: self.field })?;
        self.bytes = rest;
        Ok(*first)
    }

    /// Reads a varint of at most `limit`: seven bits a byte, the lowest first.
    pub(super) fn varint(&mut self, limit: u64) -> Result<u64, DecodeError> {
        let field = self.field;
        let mut value = 0;
        for at in (0..=56).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << at;
            if byte & 0x80 == 0 {
                return match value {
                    _ if byte == 0 && at > 0 => Err(DecodeError::NotShortest { field }),
                    found if found > limit => Err(DecodeError::OverLimit { field, found, limit }),
                    value => Ok(value),
                };
            }
        }
        Err(DecodeError::OverLimit { field, found: value, limit })
    }

    pub(super) fn bits(&mut self, count: u32) -> Result<u64, DecodeError> {
        let mut value = 0;
        for _ in 0..count {
            let first = *self.bytes.first().ok_or(DecodeError::EndOfInput { field: self.field })?;
            value = value << 1 | u64::from(first >> (7 - self.used) & 1);
            self.used += 1;
            if self.used == 8 {
                self.byte()?;
                self.used = 0;
            }
        }
        Ok(value)
    }

    /// Reads a Rice code of at most `limit`.
    pub(super) fn rice(&mut self, k: u32, limit: u64) -> Result<u64, DecodeError> {
        let field = self.field;
        let mut quotient = 0u64;
        while self.bits(1)? == 1 {
            quotient += 1;
            if quotient << k > limit {
                return Err(DecodeError::OverLimit { field, found: quotient << k, limit });
            }
        }
        match quotient << k | self.bits(k)? {
            found if found > limit => Err(DecodeError::OverLimit { field, found, limit }),
            value => Ok(value),
        }
    }

    /// Ends the bits of a list: the rest of a byte that was begun must be zero.
    pub(super) fn end_bits(&mut self) -> Result<(), DecodeError> {
        if self.used == 0 {
            return Ok(());
        }
        match self.bits(8 - self.used)? {
            0 => Ok(()),
            found => Err(DecodeError::OutOfRange { field: self.field, found }),
        }
    }

    /// Whether at least so many bits are there.
    pub(super) fn expect_bits(&self, count: u64) -> Result<(), DecodeError> {
        let there = self.bytes.len() as u64 * 8;
        if there < count { Err(DecodeError::EndOfInput { field: self.field }) } else { Ok(()) }
    }

    pub(super) fn finish(self) -> Result<(), DecodeError> {
        match self.bytes.len() {
            0 => Ok(()),
            found => Err(DecodeError::TrailingBytes { found: found as u64 }),
        }
    }
}

/// Writes a varint.
#[expect(clippy::cast_possible_truncation, reason = "seven bits are a byte")]
pub(super) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 & 0x7f | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The Rice parameter for numbers of this sum.
pub(super) fn rice_parameter(sum: u64, count: u64) -> u32 {
    sum.checked_div(count).and_then(u64::checked_ilog2).unwrap_or(0)
}

/// Writes ids in ascending order: count, the first, and if there are more the Rice parameter and
/// the gaps between them.
pub(super) fn write_ids(ids: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    write_varint(&mut out, ids.len() as u64);
    let (Some(first), Some(last)) = (ids.first(), ids.last()) else {
        return out;
    };
    write_varint(&mut out, *first);
    if ids.len() > 1 {
        let k = rice_parameter(last - first, ids.len() as u64 - 1);
        out.push(u8::try_from(k).unwrap_or(0));
        let mut gaps = Bits::new();
        for (one, next) in ids.iter().zip(ids.iter().skip(1)) {
            gaps.write_rice(next - one, k);
        }
        out.extend(gaps.into_bytes());
    }
    out
}

/// Reads what [`write_ids`] writes.
pub(super) fn read_ids(input: &mut Input<'_>) -> Result<Vec<u64>, DecodeError> {
    let count = input.varint(RECONCILE_ITEMS)?;
    if count == 0 {
        return Ok(Vec::new());
    }
    let first = input.varint(ID_END - 1)?;
    let mut ids = vec![first];
    if count == 1 {
        return Ok(ids);
    }
    let k = u32::from(input.byte()?);
    if k >= ID_END.ilog2() {
        return Err(DecodeError::OutOfRange { field: input.field, found: u64::from(k) });
    }
    input.expect_bits((count - 1) * u64::from(k + 1))?;
    let mut last = first;
    for _ in 1..count {
        last += input.rice(k, ID_END - 1 - last)?;
        ids.push(last);
    }
    input.end_bits()?;
    // Another parameter would be another encoding of the same list.
    if rice_parameter(last - first, count - 1) == k {
        Ok(ids)
    } else {
        Err(DecodeError::NotShortest { field: input.field })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<u64>, DecodeError> {
        let mut input = Input::new(bytes, "x");
        let ids = read_ids(&mut input)?;
        input.finish()?;
        Ok(ids)
    }

    #[test]
    fn a_list_of_ids_has_one_encoding() {
        arbtest::arbtest(|u| {
            let top = 1u64 << u.int_in_range(1..=42)?;
            let mut ids = Vec::new();
            for _ in 0..u.int_in_range(0..=200)? {
                ids.push(u.int_in_range(0..=top - 1)?);
            }
            ids.sort_unstable();
            let mut bytes = write_ids(&ids);
            assert_eq!(read(&bytes).as_ref(), Ok(&ids));
            bytes.push(0);
            assert_eq!(read(&bytes), Err(DecodeError::TrailingBytes { found: 1 }));
            Ok(())
        })
        .size_min(2_000);
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_the_one_encoding_of_a_list() {
        arbtest::arbtest(|u| {
            let bytes: Vec<u8> = u.arbitrary()?;
            if let Ok(ids) = read(&bytes) {
                assert_eq!(write_ids(&ids), bytes);
            }
            Ok(())
        });
    }

    #[test]
    fn a_count_is_compared_with_the_bytes_that_are_there() {
        let field = "x";
        let over = DecodeError::OverLimit { field, found: 4_097, limit: RECONCILE_ITEMS };
        assert_eq!(read(&[0x81, 0x20]), Err(over));
        assert_eq!(read(&[0x80, 0x20, 1, 20, 0, 0]), Err(DecodeError::EndOfInput { field }));
        assert_eq!(read(&[0x81, 0x00]), Err(DecodeError::NotShortest { field }));
        // Another Rice parameter, and a one in the bits that fill the last byte.
        assert_eq!(read(&[2, 0, 0, 0b1000_0000]), Ok(vec![0, 1]));
        assert_eq!(read(&[2, 0, 1, 0b0100_0000]), Err(DecodeError::NotShortest { field }));
        let filled = DecodeError::OutOfRange { field, found: 1 };
        assert_eq!(read(&[2, 0, 0, 0b1000_0001]), Err(filled));
    }
}
