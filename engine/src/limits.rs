//! Every bound on what a stranger can make this node do, in one place.
//!
//! The same table stands in the specification (`schemas/README.md`, "Limits");
//! a test compares the two. Values over a limit are refused with
//! [`DecodeError::OverLimit`](crate::codec::DecodeError::OverLimit) or kept out by quota.

/// Largest payload of an entry, in bytes.
pub const PAYLOAD_BYTES: u64 = 16_384;
/// Largest payload that travels inside its segment, in bytes; a larger one is detached.
pub const INLINE_BYTES: u64 = 1_024;
/// Most entries in one segment.
pub const SEGMENT_ENTRIES: u64 = 32;
/// Largest frame of a bundle, in bytes.
pub const FRAME_BYTES: u64 = 65_536;
/// First sequence number that is too large.
pub const SEQ_END: u64 = 1 << 40;
/// Longest lifetime that an author can ask for, in hours.
pub const TTL_HOURS: u64 = 87_600;
/// Largest age that can be claimed for an entry, in minutes.
pub const AGE_MINUTES: u64 = 5_256_000;
/// First Unix second that is too large for an author's time.
pub const TIME_END: u64 = 1 << 40;
/// Most parents that a content names.
pub const PARENTS: u64 = 4;
/// Branches of a forked feed that are kept.
pub const FORK_BRANCHES: u64 = 2;
/// Most headers in one chain of a fork proof.
pub const FORK_CHAIN: u64 = 32;
/// Longest name, channel or kept author, in bytes of UTF-8.
pub const NAME_BYTES: u64 = 64;
/// Longest "about" text of a profile, in bytes of UTF-8.
pub const ABOUT_BYTES: u64 = 1_024;
/// Most ranges in a receipt or a retraction.
pub const RANGES: u64 = 64;
/// Most heads in one frame of a bundle.
pub const BUNDLE_HEADS_PER_FRAME: u64 = 1_024;
/// Most feeds that the heads of one bundle can name.
pub const BUNDLE_FEEDS: u64 = 131_072;
/// Most wants that one bundle can state.
pub const WANTS: u64 = 256;
/// Bytes kept of all strangers' feeds together, unless set otherwise.
pub const STRANGER_BYTES: u64 = 256 * 1024 * 1024;
/// Bytes kept of one stranger's feed.
pub const STRANGER_FEED_BYTES: u64 = 4 * 1024 * 1024;
/// Feeds remembered as evicted or left out, so that they are not wanted again and again.
pub const REMEMBERED_EVICTIONS: u64 = 65_536;
/// Gaps kept open in one feed.
pub const ISLANDS_PER_FEED: u64 = 64;
/// Bytes staged before they are committed.
pub const STAGED_BYTES: u64 = 2 * 1024 * 1024;
/// Most people that a user can follow.
pub const CONTACTS: u64 = 4_096;
/// Newest public follows of a feed that are read.
pub const FOLLOWS_READ: u64 = 1_024;
/// Most feeds that are carried because those whom the user follows follow them.
pub const REACHED_FEEDS: u64 = 4_096;
/// Most hops over which follows count.
pub const HOPS: u8 = 3;
/// Most feeds that two nodes compare in a session.
pub const SCOPE_FEEDS: u64 = 131_072;
/// Most rows or wants in one message of a reconciliation.
pub const RECONCILE_ITEMS: u64 = 4_096;
/// Most power sums of a bucket, for 64 differences.
pub const RECONCILE_SUMS: u64 = 129;
/// Times that more sums can be asked for.
pub const RECONCILE_ROUNDS: u64 = 4;
/// Bytes of sketch taken from a peer, if not more for each own feed.
pub const SKETCH_BYTES: u64 = 4_096;
/// Bytes of sketch taken from a peer for each own feed.
pub const SKETCH_BYTES_PER_FEED: u64 = 6;
/// Multiplications that a peer's sketches may cost in a session.
pub const SKETCH_WORK: u64 = 100_000_000;
/// Bytes that a stranger draws in a reconciliation, beside twice what it sends.
pub const STRANGER_DRAW_BYTES: u64 = 4_096;
/// Days of known time after which a node has another key on links.
pub const LINK_KEY_DAYS: u64 = 7;
/// Recognition tags in a greeting.
pub const RECOGNITION_TAGS: u64 = 128;
/// Most feeds in one frame that declines them.
pub const DECLINED_PER_FRAME: u64 = 1_024;
/// Feeds remembered as declined by or for a known peer.
pub const DECLINED: u64 = 65_536;
/// Bytes of entries that a side sends of what memory says that the peer lacks, before both compare.
pub const FIRST_FLIGHT_BYTES: u64 = 16 * 1024;
/// Bytes sent in a session and not acknowledged yet.
pub const UNACKED_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes sent in all sessions and not acknowledged yet.
pub const UNACKED_NODE_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of entries sent to a stranger in a session.
pub const STRANGER_SEND_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of entries taken from all strangers of sessions together in an hour.
pub const STRANGER_HOUR_BYTES: u64 = 64 * 1024 * 1024;
/// Times that a session compares what both sides hold.
pub const SESSION_ROUNDS: u64 = 6;
/// Frames that a peer may send in a session beside entries.
pub const CONTROL_FRAMES: u64 = 65_536;
/// Bytes that a peer may send of what is known, beside as much as is new.
pub const REPEATED_BYTES: u64 = 4 * 1024 * 1024;
/// Milliseconds for which a peer may send no whole frame, or take nothing.
pub const SILENCE_MS: u64 = 60_000;
/// Sessions at once.
pub const SESSIONS: u64 = 4_096;
/// Nodes of which the last address is remembered.
pub const REMEMBERED_ADDRESSES: u64 = 256;
/// Longest address that is remembered, in bytes.
pub const ADDRESS_BYTES: u64 = 64;
/// Most parts of what begins an epoch: slots for 64 devices.
pub const EPOCH_PARTS: u64 = 5;
/// Most devices that one epoch is for.
pub const EPOCH_DEVICES: u64 = 64;
/// Most messages of an epoch.
pub const EPOCH_MESSAGES: u64 = 1_000;
/// Fewest bytes to which a text is padded before it is sealed.
pub const LEAST_PADDED: u64 = 64;
/// Private halves of prekeys that are kept at once.
pub const LIVE_PREKEYS: u64 = 6;
/// Tags of messages to come that are looked out for in an epoch, beyond those that are missing.
pub const TAGS_AHEAD: u64 = 64;
/// Epochs of a feed of which the author is told that they do not open, until a newer one does.
pub const UNREADABLE_TOLD: u64 = 32;
/// Epochs of which a contact is told at once that they do not open; once a day.
pub const UNREADABLE_DAY: u64 = 16;
/// Most messages that are sealed again for a contact in a day, and of one epoch.
pub const SEALED_AGAIN: u64 = 128;
/// Newest messages of a group that a newcomer is handed.
pub const HISTORY_MESSAGES: u64 = 256;
/// Messages that one contact handed on and that wait until they can be placed.
pub const HISTORY_WAITING: u64 = 1_024;
/// People whom one contact introduced and who are no contacts yet.
pub const INTRODUCTIONS: u64 = 16;
/// Renewals of what two contacts share, at most, between two new cards of theirs.
pub const RENEWALS: u64 = 65_536;
/// Largest contact card, in bytes.
pub const CARD_BYTES: u64 = 300;
/// Feeds that are not open of which it is known how their carriers show themselves.
pub const CARRY_SECRETS: u64 = 4_096;
/// Slots of a sealed bundle.
pub const BUNDLE_SLOTS: u64 = 512;
/// Most secrets with which a sealed bundle is searched.
pub const BUNDLE_SECRETS: u64 = 4_096;
/// Largest sealed bundle, in bytes.
pub const BUNDLE_BYTES: u64 = 1 << 40;
/// Groups of a user.
pub const GROUPS: u64 = 1_024;
/// Most members of a group: each has at least one device.
pub const GROUP_MEMBERS: u64 = 64;
/// Changes of a group that are kept.
pub const GROUP_CHANGES: u64 = 4_096;
/// Changes of a group that wait for the feed that signed them.
pub const GROUP_ASIDE: u64 = 256;
/// Most parents that a change of a group names.
pub const GROUP_PARENTS: u64 = 16;
