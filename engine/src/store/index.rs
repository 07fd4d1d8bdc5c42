//! Query indexes, built behind the commits from the arrival log; all of it can be rebuilt.

use redb::WriteTransaction;

use crate::entry::EntryId;
use crate::store::StoreError;

/// Makes the index tables of a fresh store.
pub(crate) fn found(_txn: &WriteTransaction) -> Result<(), StoreError> {
    Ok(())
}

/// Takes the rows of an entry's content out, before its payload goes.
pub(crate) fn forget(
    _txn: &WriteTransaction,
    _feed: u32,
    _seq: u64,
    _id: &EntryId,
    _payload: &[u8],
) -> Result<(), StoreError> {
    Ok(())
}

/// Takes the rows of an entry's id out, before its header goes.
pub(crate) fn forget_id(
    _txn: &WriteTransaction,
    _feed: u32,
    _seq: u64,
    _id: &EntryId,
) -> Result<(), StoreError> {
    Ok(())
}

/// Takes what is known of a feed's profile out.
pub(crate) fn forget_feed(_txn: &WriteTransaction, _feed: u32) -> Result<(), StoreError> {
    Ok(())
}
