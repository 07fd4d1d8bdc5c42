//! Laws of import files: what is read is within the limits, places are told rightly, and a reading
//! resumed where an earlier one stopped goes on with the same.
//!
//! Compiled into the fuzz targets and into the program's own tests.

use std::io::BufReader;

use crate::mailbox::{Imported, Mailbox, TEXT_BYTES};
use crate::text::NAME_BYTES;
use crate::when::TIME_END;

/// Most places at which a reading is resumed.
const RESUMED: usize = 8;

/// Messages and faults in words, each with where the next begins.
type Seen = Vec<(u64, String)>;

/// Whole import files.
pub(crate) fn files(bytes: &[u8]) {
    let Some(whole) = read(bytes, 8_192, 0) else { return };
    for buffer in [1, 7] {
        assert_eq!(read(bytes, buffer, 0).as_ref(), Some(&whole), "in pieces of {buffer}");
    }
    assert!(whole.windows(2).all(|pair| pair[0].0 < pair[1].0), "places that go back");
    assert!(whole.iter().all(|item| item.0 <= bytes.len() as u64));
    let step = whole.len().div_ceil(RESUMED).max(1);
    for at in (0..whole.len()).step_by(step) {
        let rest = read(bytes, 64, whole[at].0);
        assert_eq!(rest.as_deref(), Some(&whole[at + 1..]), "resumed at byte {}", whole[at].0);
    }
}

/// What is read through a buffer of this size from this place on; none if it is no import file.
fn read(bytes: &[u8], buffer: usize, start: u64) -> Option<Seen> {
    let mailbox = Mailbox::open(BufReader::with_capacity(buffer, bytes), start).ok()?;
    let item = |item: Result<Imported, crate::mailbox::Fault>| match item {
        Ok(message) => {
            assert!((1..=NAME_BYTES).contains(&message.author.len()));
            let channel = message.channel.as_ref().map_or(1, String::len);
            assert!((1..=NAME_BYTES).contains(&channel));
            assert!(message.text.len() <= TEXT_BYTES && message.time < TIME_END);
            (message.offset_after, format!("{message:?}"))
        }
        Err(fault) => (fault.offset_after, fault.to_string()),
    };
    Some(mailbox.map(item).collect())
}
