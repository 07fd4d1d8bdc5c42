//! Who can read: contact cards and secrets, epochs and their chains of keys, what is sealed in them,
//! and who belongs to a group.
//!
//! Pure functions from keys and bytes to bytes; what is kept of them is the store's, and when a new
//! epoch begins is decided in `sealing.rs`. Nothing here says why something does not open.

mod card;
mod epoch;
mod group;
mod inner;
mod recognition;

pub use card::{
    Card, CardFault, audience_secret, carriage_secret, contact_secret, next_secret, pair_of, words,
};
pub use epoch::{Chain, Message, Place, Slot, commit, pad, parts_for, prekey_name, unpad};
pub use group::{
    Action, Change, ChangeFault, Draft, Member, Role, State, UnverifiedChange, resolve,
};
pub use inner::{Acquaintance, Again, Inner, Roster, RosterKind};
pub use recognition::{Says, Tag, carrier_secret, found, greeting_tags, recognition_secret, tag};
