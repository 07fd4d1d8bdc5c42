//! What the store remembers of the nodes that it meets: how far each knows the other's log, and
//! which feeds were declined.

use redb::{ReadableTable, ReadableTableMetadata, TableDefinition, TableError};

use crate::codec::{DecodeError, Decoder, Encoder};
use crate::key::{Context, FeedId, short_of};
use crate::limits::{CONTACTS, DECLINED};
use crate::session::Place;
use crate::store::snapshot::{Snapshot, pair};
use crate::store::{StoreError, Writer};

/// Link key of a known peer to [`LinkRow`].
pub(super) const LINKS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("links");
/// (peer's link key and feed id) to whether the peer declined it (1), this node (2), or both (3).
pub(super) const DECLINES: TableDefinition<'_, &[u8; 64], u8> = TableDefinition::new("declines");

/// The peer takes no more of a feed.
pub(crate) const THEY: u8 = 1;
/// This node takes no more of a feed.
pub(crate) const WE: u8 = 2;

/// What is remembered of a known peer since both were seen to hold the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LinkRow {
    /// Where our log stood.
    pub(crate) ours: Option<Place>,
    /// Where the peer's log stood.
    pub(crate) theirs: Option<Place>,
    /// The peer's policy.
    pub(crate) revision: Option<[u8; 8]>,
    /// Where the peer's log stood when it had nothing of what is missing here.
    pub(crate) asked: u64,
    /// The name of the peer's log, if it told one.
    pub(crate) log: Option<[u8; 8]>,
}

impl LinkRow {
    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(5);
        for place in [&self.ours, &self.theirs] {
            match place {
                None => out.null(),
                Some((position, hash)) => out.array(2).uint(*position).bytes(hash),
            };
        }
        out.bytes_or_null(self.revision.as_ref().map(<[u8; 8]>::as_slice)).uint(self.asked);
        out.bytes_or_null(self.log.as_ref().map(<[u8; 8]>::as_slice));
        out.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        Self::read(bytes).map_err(|_| StoreError::Damaged { what: "a row of a known peer" })
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut row = Decoder::new(bytes);
        // Four in rows that were written before logs had names.
        let count = row.array("link", 5)?;
        let place = |row: &mut Decoder<'_>| {
            if row.skip_null() {
                return Ok(None);
            }
            row.array_of("place", 2)?;
            Ok(Some((row.uint("position", u64::MAX)?, row.fixed("hash")?)))
        };
        let (ours, theirs) = (place(&mut row)?, place(&mut row)?);
        let revision = row.fixed_or_null("revision")?;
        let asked = row.uint("asked", u64::MAX)?;
        let log = if count == 5 { row.fixed_or_null("log")? } else { None };
        row.finish()?;
        Ok(Self { ours, theirs, revision, asked, log })
    }
}

impl Snapshot {
    /// What is remembered of a known peer.
    pub(crate) fn link(&self, peer: &[u8; 32]) -> Result<LinkRow, StoreError> {
        let links = match self.txn.open_table(LINKS) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(LinkRow::default()),
            links => links?,
        };
        links.get(peer)?.map_or_else(|| Ok(LinkRow::default()), |row| LinkRow::decode(row.value()))
    }

    /// The feeds that are left out between this node and a known peer, since either of `who` declined
    /// them.
    pub(crate) fn declined(&self, peer: &[u8; 32], who: u8) -> Result<Vec<FeedId>, StoreError> {
        let declines = match self.txn.open_table(DECLINES) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            declines => declines?,
        };
        let (from, to) = (pair(peer, &[0; 32]), pair(peer, &[0xff; 32]));
        let mut feeds = Vec::new();
        for row in declines.range::<&[u8; 64]>(&from..=&to)? {
            let (key, by) = row?;
            if by.value() & who == 0 {
                continue;
            }
            let mut feed = [0; 32];
            for (to, from) in feed.iter_mut().zip(key.value().iter().skip(32)) {
                *to = *from;
            }
            feeds.push(FeedId::from_bytes(feed));
        }
        Ok(feeds)
    }

    /// The number that stands for what this node takes: another one whenever that may be more.
    pub(crate) fn revision(&self) -> Result<[u8; 8], StoreError> {
        let secret = self.secret("device")?.unwrap_or_default();
        let count = self.meta("policy")?.unwrap_or_default();
        let mut hasher = crate::key::Hasher::new(Context::Policy);
        Ok(short_of(&hasher.update(&secret).update(&count).finish()))
    }
}

impl Writer<'_> {
    /// Remembers something of a known peer; the oldest of too many are not kept.
    pub(crate) fn set_link(&mut self, peer: &[u8; 32], row: &LinkRow) -> Result<(), StoreError> {
        let mut links = self.txn.open_table(LINKS)?;
        if links.len()? < CONTACTS || links.get(peer)?.is_some() {
            links.insert(peer, row.encode().as_slice())?;
        }
        Ok(())
    }

    /// What is remembered of a known peer.
    pub(crate) fn link(&self, peer: &[u8; 32]) -> Result<LinkRow, StoreError> {
        let links = self.txn.open_table(LINKS)?;
        let row = links.get(peer)?;
        row.map_or_else(|| Ok(LinkRow::default()), |row| LinkRow::decode(row.value()))
    }

    /// Notes that something is missing here that was not before: whoever was asked for all that was may
    /// have it.
    pub(crate) fn ask_again(&mut self) -> Result<(), StoreError> {
        let mut links = self.txn.open_table(LINKS)?;
        let mut asked = Vec::new();
        for link in links.iter()? {
            let (peer, row) = link?;
            let row = LinkRow::decode(row.value())?;
            if row.asked > 0 {
                asked.push((*peer.value(), LinkRow { asked: 0, ..row }));
            }
        }
        for (peer, row) in asked {
            links.insert(&peer, row.encode().as_slice())?;
        }
        Ok(())
    }

    /// Leaves feeds out between this node and a known peer.
    pub(crate) fn decline(
        &mut self,
        peer: &[u8; 32],
        feeds: &[FeedId],
        who: u8,
    ) -> Result<(), StoreError> {
        let mut declines = self.txn.open_table(DECLINES)?;
        let (from, to) = (pair(peer, &[0; 32]), pair(peer, &[0xff; 32]));
        let mut count = declines.range::<&[u8; 64]>(&from..=&to)?.count() as u64;
        for feed in feeds {
            let key = pair(peer, feed.as_bytes());
            let known = declines.get(&key)?.map(|row| row.value());
            if known.is_some() || count < DECLINED {
                declines.insert(&key, known.unwrap_or(0) | who)?;
                count = count.saturating_add(u64::from(known.is_none()));
            }
        }
        Ok(())
    }

    /// Leaves feeds out no more between this node and a known peer.
    pub(crate) fn accept(&mut self, peer: &[u8; 32], feeds: &[FeedId]) -> Result<(), StoreError> {
        let mut declines = self.txn.open_table(DECLINES)?;
        for feed in feeds {
            declines.remove(&pair(peer, feed.as_bytes()))?;
        }
        Ok(())
    }

    /// Takes back what one side declined towards a peer, since its policy changed.
    pub(crate) fn reconsider(&mut self, peer: &[u8; 32], who: u8) -> Result<(), StoreError> {
        let mut declines = self.txn.open_table(DECLINES)?;
        let (from, to) = (pair(peer, &[0; 32]), pair(peer, &[0xff; 32]));
        declines.retain_in::<&[u8; 64], _>(&from..=&to, |_, by| by & who == 0)?;
        Ok(())
    }

    /// Notes that this node may take more than before: nothing that it declined counts any more.
    pub(crate) fn change_policy(&mut self) -> Result<(), StoreError> {
        let count = self.meta("policy")?.and_then(|row| row.try_into().ok());
        let count = count.map_or(0, u64::from_be_bytes).saturating_add(1);
        self.set_meta("policy", &count.to_be_bytes())?;
        self.txn.open_table(DECLINES)?.retain(|_, by| by & WE == 0)?;
        Ok(())
    }
}
