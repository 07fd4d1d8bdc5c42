//! Where other nodes were met last: a short list in one row, the one met last at its end.
//!
//! An address is words of the driver's; nothing here knows what they mean. The list is bounded, so
//! whoever is met longest ago makes room, and it is small enough to be written as a whole.

use crate::codec::{DecodeError, Decoder, Encoder};
use crate::key::AccountId;
use crate::limits::{ADDRESS_BYTES, REMEMBERED_ADDRESSES};
use crate::store::snapshot::Snapshot;
use crate::store::{StoreError, Writer};

/// The row's name.
const NAME: &str = "addresses";

/// A node that was met, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The key of its links.
    pub key: [u8; 32],
    /// Where it was met last.
    pub address: String,
    /// The contact that was recognised there.
    pub with: Option<AccountId>,
}

impl Snapshot {
    /// Where other nodes were met, the one met last at the end.
    pub(crate) fn addresses(&self) -> Result<Vec<Remembered>, StoreError> {
        decode(self.meta(NAME)?)
    }
}

impl Writer<'_> {
    /// Remembers where a node was met; the one met longest ago makes room. False: the address is
    /// too long to be one.
    pub(crate) fn remember_address(
        &mut self,
        key: &[u8; 32],
        address: &str,
        with: Option<&AccountId>,
    ) -> Result<bool, StoreError> {
        if address.len() as u64 > ADDRESS_BYTES {
            return Ok(false);
        }
        let mut list = decode(self.meta(NAME)?)?;
        list.retain(|known| known.key != *key);
        let with = with.copied();
        list.push(Remembered { key: *key, address: address.to_owned(), with });
        let over = (list.len() as u64).saturating_sub(REMEMBERED_ADDRESSES);
        list.drain(..usize::try_from(over).unwrap_or(0));
        self.set_meta(NAME, &encode(&list))?;
        Ok(true)
    }
}

fn encode(list: &[Remembered]) -> Vec<u8> {
    let mut out = Encoder::new();
    out.array(list.len() as u64);
    for known in list {
        out.array(3).bytes(&known.key).text(&known.address);
        out.bytes_or_null(known.with.as_ref().map(|with| with.as_bytes().as_slice()));
    }
    out.into_bytes()
}

fn decode(row: Option<Vec<u8>>) -> Result<Vec<Remembered>, StoreError> {
    let read = |row: &[u8]| -> Result<Vec<Remembered>, DecodeError> {
        let mut row = Decoder::new(row);
        let count = row.array("addresses", REMEMBERED_ADDRESSES)?;
        let mut list = Vec::new();
        for _ in 0..count {
            // Two in rows that were written before contacts were recognised.
            let count = row.array("address", 3)?;
            let key = row.fixed("key")?;
            let address = row.text("address", ADDRESS_BYTES)?.to_owned();
            let with = if count == 3 { row.fixed_or_null("with")? } else { None };
            list.push(Remembered { key, address, with: with.map(AccountId::from_bytes) });
        }
        row.finish()?;
        Ok(list)
    };
    let Some(row) = row else { return Ok(Vec::new()) };
    read(&row).map_err(|_| StoreError::Damaged { what: "the list of addresses" })
}
