//! Stand-in until the real one lands.
use crate::content::Content;
use crate::entry::EntryId;
use crate::key::FeedId;
use crate::store::{Held, Snapshot, StoreError};

/// q
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// c
    #[default]
    Causal,
    /// t
    Time,
    /// a
    Arrival,
}
/// q
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// a
    pub feeds: Vec<FeedId>,
    /// a
    pub author: Option<String>,
    /// a
    pub channel: Option<String>,
    /// a
    pub kinds: Vec<u64>,
    /// a
    pub since: Option<u64>,
    /// a
    pub until: Option<u64>,
    /// a
    pub text: Option<String>,
    /// a
    pub thread: Option<EntryId>,
    /// a
    pub limit: usize,
    /// a
    pub order: Order,
}
/// r
#[derive(Debug, Clone)]
pub struct Received {
    /// a
    pub position: u64,
    /// a
    pub wall: u64,
    /// a
    pub via: String,
}
/// h
#[derive(Debug, Clone)]
pub struct Hit {
    /// a
    pub held: Held,
    /// a
    pub lamport: u32,
    /// a
    pub content: Option<Content>,
    /// a
    pub received: Option<Received>,
}
pub(crate) fn run(_s: &Snapshot, _q: &Query) -> Result<Vec<Hit>, StoreError> {
    Ok(Vec::new())
}
pub(crate) fn find(
    _s: &Snapshot,
    _from: [u8; 32],
    _to: [u8; 32],
) -> Result<Vec<(EntryId, FeedId, u64)>, StoreError> {
    Ok(Vec::new())
}
pub(crate) fn profile(_s: &Snapshot, _n: u32) -> Result<Option<(String, String)>, StoreError> {
    Ok(None)
}
