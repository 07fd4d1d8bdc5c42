//! One device: its own feed, what it carries, and the inputs that change either.
//!
//! The node is a function of its inputs. Time, secret bytes and the disk come in as arguments; what
//! it has to say comes out of [`Node::poll`]. Own entries are durable when a call returns.

mod meeting;
mod peers;
mod piece;
mod private;
mod reading;

use std::collections::{BTreeMap, VecDeque};

use redb::StorageBackend;

use crate::account::AccountKey;
use crate::content::{Carry, Content};
use crate::ingest::{self, Refusal};
use crate::key::{Context, FeedId, SecretKey, Seed};
use crate::own::{WriteError, Written, begin_own, encode, own_of, retire_if_due, write_public};
use crate::policy::CarryClass;
use crate::reader::{Me, Reader};
use crate::store::{
    BACKUP, Indexed, OriginRow, STORE_VERSION, Store, StoreError, advance, has_work, rebuild,
};
use crate::time::Now;
use meeting::{Hour, Meeting, Opened};
use reading::Reading;

pub use meeting::{SessionEnding, SessionFault, SessionReport};
pub use private::{Added, Sent};
pub use reading::{Fault, Report};

/// Bytes taken in after which a commit makes reopening quick, even if nothing is idle.
const SETTLE_BYTES: u64 = 64 << 20;
/// Entries that one idle step indexes at most.
const INDEX_STEP: u64 = 16_000;
/// Payloads whose end of life one idle step looks at.
const EXPIRE_STEP: usize = 1_000;

/// How a new device begins.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// Who may carry its feed; fixed for the feed's life.
    pub carry: Carry,
    /// How its person wants to be called; published in a profile.
    pub name: Option<&'a str>,
    /// Bytes of memory that the store may use to hold pages.
    pub cache_bytes: usize,
}

/// What the driver tells the node.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A bundle is about to be read; `via` is shown as provenance.
    BundleOpened {
        /// The driver's number for the bundle.
        bundle: u64,
        /// Words for the way it came.
        via: &'a str,
    },
    /// The next bytes of a bundle.
    BundleChunk {
        /// The driver's number for the bundle.
        bundle: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// The bundle's file ends here.
    BundleEnded {
        /// The driver's number for the bundle.
        bundle: u64,
    },
    /// A link to a peer is open; its session begins.
    LinkOpened {
        /// The driver's number for the link, never used again.
        link: u64,
        /// Whether this side dialled.
        opener: bool,
        /// The key of the other side, as the link authenticated it.
        peer: [u8; 32],
        /// What only the two ends of this connection know, the same on both.
        binding: &'a [u8; 32],
        /// Whether the person named the peer; else it is a stranger.
        known: bool,
        /// Words for the way, shown as provenance.
        via: &'a str,
    },
    /// The next bytes of a peer, in order.
    LinkBytes {
        /// The driver's number for the link.
        link: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// The link has taken all that it was given to send.
    LinkReady {
        /// The driver's number for the link.
        link: u64,
    },
    /// Nothing more comes over a link.
    LinkClosed {
        /// The driver's number for the link.
        link: u64,
    },
    /// Nothing else waits, or a [deadline](Node::deadline) has come: one step of work behind.
    Idle,
}

/// What the node tells the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Something that a person or a log may want to know.
    Event(Event),
    /// Bytes for a link, in order. The next come after [`Input::LinkReady`].
    Send {
        /// The driver's number for the link.
        link: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A session is over: the link is closed once what was given before has gone.
    Close {
        /// The driver's number for the link.
        link: u64,
    },
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A piece of a bundle was wrong; the reading goes on.
    Refused {
        /// The driver's number for the bundle.
        bundle: u64,
        /// Where in the file.
        offset: u64,
        /// What was wrong.
        fault: Fault,
    },
    /// A piece was right, but is not kept.
    LeftOut {
        /// The driver's number for the bundle.
        bundle: u64,
        /// Whose it is.
        feed: FeedId,
        /// How many entries.
        entries: u64,
        /// Why.
        why: Refusal,
    },
    /// What came so far is durable.
    Progress {
        /// The driver's number for the bundle.
        bundle: u64,
        /// Entries that are new so far.
        new_entries: u64,
        /// Bytes of the file read so far.
        bytes: u64,
    },
    /// A bundle was read to its end.
    BundleDone {
        /// The driver's number for the bundle.
        bundle: u64,
        /// What became of it.
        report: Report,
    },
    /// The own feed was found forked, or longer than remembered; it goes on in a new one.
    Retired {
        /// The feed that ends.
        old: FeedId,
        /// The feed that is written from now on.
        new: FeedId,
    },
    /// A backup was opened; its feed ends, and the device goes on in a new one.
    Restored {
        /// The feed that ends here; the device that the backup was made of may go on with it.
        old: FeedId,
        /// The feed that is written from now on.
        new: FeedId,
    },
    /// The store was of an earlier version; programs of that version open it no longer.
    Upgraded {
        /// The version that it had.
        from: u64,
        /// The version that it has.
        to: u64,
    },
    /// A feed was found to be forked.
    ForkFound {
        /// The feed.
        feed: FeedId,
        /// The lowest place at which it is proven forked.
        fork_seq: u64,
    },
    /// What came over a link so far is durable.
    SessionProgress {
        /// The driver's number for the link.
        link: u64,
        /// Entries that are new so far.
        received: u64,
        /// Entries sent so far.
        sent: u64,
    },
    /// A session has ended; nothing more is said of its link.
    SessionDone {
        /// The driver's number for the link.
        link: u64,
        /// What became of it.
        report: SessionReport,
    },
    /// One idle step is done.
    Idle {
        /// Whether more work waits behind.
        more: bool,
    },
}

/// One device.
#[derive(Debug)]
pub struct Node {
    store: Store,
    seed: Seed,
    me: u32,
    key: SecretKey,
    outputs: VecDeque<Output>,
    readings: BTreeMap<u64, Reading>,
    meetings: BTreeMap<u64, Meeting>,
    strangers: Hour,
    /// Fresh secrets, one after another.
    pool: Seed,
    settled: bool,
    /// Bytes taken in since the last commit that makes reopening quick.
    unsettled: u64,
}

impl Node {
    /// Makes a store on an empty disk and begins a feed in it: its certificate and, if a name is
    /// given, a profile. `seed` is fresh secret bytes.
    pub fn create(
        disk: impl StorageBackend,
        account: &AccountKey,
        setup: Setup<'_>,
        seed: Seed,
        now: Now,
    ) -> Result<Self, StoreError> {
        let Setup { carry, name, cache_bytes } = setup;
        let mut store = Store::create(disk, cache_bytes, now)?;
        let secret = seed.derive(Context::DeviceKey, b"first");
        let key = SecretKey::from_seed(&secret);
        let certificate = Content::Certificate(account.certify(&key.feed(), carry));
        let origin = OriginRow { account: account.id(), carry, retired: None };
        let me = store.write(now, |writer| {
            writer.found()?;
            writer.set_meta("account", account.id().as_bytes())?;
            private::keep_card(writer, account, &key.feed(), 0)?;
            begin_own(writer, &key, &secret, origin, certificate, name)
        })?;
        Ok(Self::with(store, seed, me, key))
    }

    /// Opens the store of a device. `seed` is fresh secret bytes each time.
    ///
    /// A store of an earlier version is brought to this one. A backup goes on in a new feed, as by
    /// [`Node::restore`].
    pub fn open(
        disk: impl StorageBackend,
        seed: Seed,
        cache_bytes: usize,
        now: Now,
    ) -> Result<Self, StoreError> {
        Self::begin(Store::open(disk, cache_bytes, now)?, seed, now)
    }

    /// Opens a backup: all of it is checked, and the device goes on in a new feed, which is
    /// unconfirmed until the account certifies it. From then on it is a store like others.
    pub fn restore(
        disk: impl StorageBackend,
        seed: Seed,
        cache_bytes: usize,
        now: Now,
    ) -> Result<Self, StoreError> {
        Self::begin(Store::open_backup(disk, cache_bytes, now)?, seed, now)
    }

    fn begin(store: Store, seed: Seed, now: Now) -> Result<Self, StoreError> {
        let (me, key) = own_of(&store)?;
        let upgraded = store.upgraded_from;
        let mut node = Self::with(store, seed, me, key);
        if let Some(from) = upgraded {
            node.tell(Event::Upgraded { from, to: STORE_VERSION });
        }
        if node.store.snapshot()?.meta(BACKUP)?.is_some() {
            node.leave_backup(now)?;
        }
        Ok(node)
    }

    /// Ends the feed that a backup holds, and begins its successor in the same step.
    fn leave_backup(&mut self, now: Now) -> Result<(), StoreError> {
        let (me, key, pool) = (self.me, &self.key, &mut self.pool);
        self.store.write(now, |writer| {
            writer.clear_meta(BACKUP)?;
            writer.retire_own()?;
            retire_if_due(writer, me, key, pool)
        })?;
        let old = self.key.feed();
        (self.me, self.key) = own_of(&self.store)?;
        self.tell(Event::Restored { old, new: self.key.feed() });
        Ok(())
    }

    fn with(store: Store, seed: Seed, me: u32, key: SecretKey) -> Self {
        let (outputs, readings, meetings) = (VecDeque::new(), BTreeMap::new(), BTreeMap::new());
        let (strangers, settled, unsettled) = (Hour::default(), true, 0);
        let pool = seed.derive(Context::Fresh, b"pool");
        Self {
            store,
            seed,
            me,
            key,
            outputs,
            readings,
            meetings,
            strangers,
            pool,
            settled,
            unsettled,
        }
    }

    /// The device's own feed.
    pub fn me(&self) -> Result<Me, StoreError> {
        self.reader()?.me()
    }

    /// A snapshot to read from; it can be sent to another thread.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Ok(Reader::new(self.store.snapshot()?))
    }

    /// Writes an own entry; it is durable when this returns.
    pub fn write(&mut self, now: Now, content: &Content, ttl: u32) -> Result<Written, WriteError> {
        let payload = encode(content, ttl)?;
        let (key, me) = (&self.key, self.me);
        self.settled = false;
        let mut written =
            self.store.write(now, |writer| write_public(writer, me, key, vec![(payload, ttl)]))?;
        written.pop().ok_or(WriteError::NotHere)
    }

    /// Writes many own entries in one commit. `mark` is kept in the same commit: a key, and how
    /// far the input that they come from was taken in.
    pub fn write_many(
        &mut self,
        now: Now,
        contents: &[(Content, u32)],
        mark: Option<([u8; 32], u64)>,
    ) -> Result<Vec<Written>, WriteError> {
        let payloads = contents
            .iter()
            .map(|(content, ttl)| Ok((encode(content, *ttl)?, *ttl)))
            .collect::<Result<Vec<_>, WriteError>>()?;
        let (key, me) = (&self.key, self.me);
        self.settled = false;
        let written = self.store.write(now, |writer| {
            if let Some((mark, done)) = mark {
                writer.set_progress(&mark, done)?;
            }
            write_public(writer, me, key, payloads)
        });
        written.map_err(WriteError::Store)
    }

    /// Takes one input. After an error, drop the node and open it again.
    pub fn handle(&mut self, now: Now, input: Input<'_>) -> Result<(), StoreError> {
        match input {
            Input::BundleOpened { bundle, via } => {
                self.readings.insert(bundle, Reading::new(bundle, via));
                Ok(())
            }
            Input::BundleChunk { bundle, bytes } => self.read_chunk(now, bundle, bytes),
            Input::BundleEnded { bundle } => self.end_reading(now, bundle),
            Input::LinkOpened { link, opener, peer, binding, known, via } => {
                self.open_meeting(now, Opened { link, opener, peer, binding, known, via })
            }
            Input::LinkBytes { link, bytes } => self.hear_bytes(now, link, bytes),
            Input::LinkReady { link } => self.link_ready(now, link),
            Input::LinkClosed { link } => self.link_closed(now, link),
            Input::Idle => {
                self.watch_meetings(now)?;
                self.idle(now)
            }
        }
    }

    /// What the node has to say; ask until `None` after every input.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn idle(&mut self, now: Now) -> Result<(), StoreError> {
        let known = self.store.known(now);
        let snapshot = self.store.snapshot()?;
        let is_due = has_work(&snapshot, known.minutes())?;
        drop(snapshot);
        let mut more = false;
        if self.has_sealed_work(known)? {
            self.settled = false;
            more = self.open_sealed(now)?;
        }
        if is_due {
            self.settled = false;
            let (expired, indexed, thick) = self.store.write(now, |writer| {
                let expired = ingest::expire(writer, EXPIRE_STEP)?;
                Ok::<_, StoreError>((expired, advance(writer, INDEX_STEP)?, writer.thin_log()?))
            })?;
            let Indexed { more: left, .. } = indexed;
            more |= left || thick || expired == EXPIRE_STEP;
        }
        if !more && !self.settled {
            self.settle()?;
        }
        self.tell(Event::Idle { more });
        Ok(())
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        self.store.settle()?;
        (self.settled, self.unsettled) = (true, 0);
        Ok(())
    }

    /// Follows a feed, and with it the person's other devices. False: no more can be followed.
    pub fn follow(&mut self, now: Now, feed: &FeedId) -> Result<bool, StoreError> {
        self.store.write(now, |writer| {
            if !writer.set_relation(feed, Some(ingest::FOLLOWED))? {
                return Ok(false);
            }
            writer.forgive(feed)?;
            ingest::regroup(writer)?;
            Ok(true)
        })
    }

    /// Stops following a feed; what is held of it becomes a stranger's.
    pub fn unfollow(&mut self, now: Now, feed: &FeedId) -> Result<(), StoreError> {
        self.unset(now, feed, ingest::FOLLOWED)
    }

    /// Drops a feed and refuses it from now on. False: no more can be remembered.
    pub fn block(&mut self, now: Now, feed: &FeedId) -> Result<bool, StoreError> {
        self.store.write(now, |writer| {
            if !writer.set_relation(feed, Some(ingest::BLOCKED))? {
                return Ok(false);
            }
            for branch in [1, 0] {
                if let Some(number) = writer.number(feed, branch)?
                    && writer.is_held(number)?
                    && writer.row(number)?.own == 0
                {
                    writer.heads.counts.blocked_entries += writer.row(number)?.entries;
                    writer.drop_feed(number)?;
                }
            }
            ingest::reclassify(writer)?;
            ingest::keep_within(writer)?;
            Ok(true)
        })
    }

    /// Takes a block back.
    pub fn unblock(&mut self, now: Now, feed: &FeedId) -> Result<(), StoreError> {
        self.unset(now, feed, ingest::BLOCKED)
    }

    fn unset(&mut self, now: Now, feed: &FeedId, state: u8) -> Result<(), StoreError> {
        self.store.write(now, |writer| {
            if writer.relation(feed)? == Some(state) {
                writer.set_relation(feed, None)?;
                ingest::regroup(writer)?;
            }
            Ok(())
        })
    }

    /// Sets or clears the user's own name for a feed.
    pub fn set_petname(
        &mut self,
        now: Now,
        feed: &FeedId,
        name: Option<&str>,
    ) -> Result<(), StoreError> {
        self.store.write(now, |writer| writer.set_petname(feed, name))
    }

    /// Sets the quota of a class; what is over goes at once, and what was left out may come again.
    pub fn set_quota(&mut self, now: Now, class: CarryClass, bytes: u64) -> Result<(), StoreError> {
        self.store.write(now, |writer| {
            let mut quotas = writer.quotas()?;
            match class {
                CarryClass::Own => return Ok(()),
                CarryClass::Contact => quotas.contact = bytes,
                CarryClass::Group => quotas.group = bytes,
                CarryClass::Followed => quotas.followed = bytes,
                CarryClass::Stranger => quotas.stranger = bytes,
            }
            writer.set_quotas(&quotas)?;
            writer.forget_left_out()?;
            writer.change_policy()?;
            ingest::fit(writer, class, bytes)
        })
    }

    /// Sets how far the follows of those whom the user follows count: 0 is not at all, and at most
    /// [`HOPS`](crate::limits::HOPS).
    pub fn set_hops(&mut self, now: Now, hops: u8) -> Result<(), StoreError> {
        self.store.write(now, |writer| {
            writer.set_hops(hops)?;
            ingest::regroup(writer)
        })
    }

    /// Certifies a successor feed by the account's key.
    pub fn confirm(&mut self, now: Now, account: &AccountKey) -> Result<Written, WriteError> {
        let me = self.me()?;
        if account.id() != me.account {
            return Err(WriteError::NotHere);
        }
        self.write(now, &Content::Device(account.add(&me.feed)), 0)
    }

    /// Forgets every index; idle steps build them anew from what is held.
    pub fn rebuild_indexes(&mut self, now: Now) -> Result<(), StoreError> {
        self.settled = false;
        self.store.write(now, rebuild)
    }

    /// Gives the disk back what the store does not need. False: it cannot be done now, because a
    /// [`Reader`] is in use. The disk is at its smallest when this returns; the next idle step
    /// makes reopening quick again.
    pub fn compact(&mut self) -> Result<bool, StoreError> {
        // Nothing is settled after it: that would take new pages at the end of the disk at once.
        self.settled = true;
        self.store.compact()
    }

    /// Goes on in a new feed if the own one was found forked or longer than remembered.
    fn follow_up(&mut self) -> Result<(), StoreError> {
        let old = self.key.feed();
        let (me, key) = own_of(&self.store)?;
        if key.feed() != old {
            let new = key.feed();
            (self.me, self.key) = (me, key);
            self.tell(Event::Retired { old, new });
        }
        Ok(())
    }
}
