//! Earlier layouts of the store: each is brought to the next one when it is opened.
//!
//! All steps are one transaction, so that a store has one layout or another and never half of each.
//! What can be computed again is not converted but forgotten: idle steps build it anew.

use redb::{Database, TableHandle, WriteTransaction};

use crate::store::follows::{FOLLOWS, REACHED};
use crate::store::tables::{DELETED, META};
use crate::store::{STORE_VERSION, StoreError, index, sealed};

/// The beginning of the name of every table of the indexes, in all layouts.
pub(super) const INDEX: &str = "index ";

/// Brings a store of an earlier version to this program's.
pub(super) fn migrate(db: &Database, found: u64) -> Result<(), StoreError> {
    let mut txn = db.begin_write()?;
    txn.set_quick_repair(true);
    // Whom others follow was not read before, and nobody said it.
    txn.open_table(FOLLOWS)?;
    txn.open_table(DELETED)?;
    txn.open_table(REACHED)?;
    for from in found..STORE_VERSION {
        match from {
            // Versions 2 and 4 have other indexes.
            1 | 3 => forget_indexes(&txn)?,
            // Version 3 tells in the order of eviction what each feed has left to give up. What
            // stands there means that nobody has looked.
            2 => {}
            // Nobody wrote privately before.
            4 => sealed::found(&txn)?,
            _ => return Err(StoreError::Damaged { what: "its version" }),
        }
    }
    txn.open_table(META)?.insert("version", STORE_VERSION.to_be_bytes().as_slice())?;
    txn.commit()?;
    Ok(())
}

/// Drops the tables of the indexes, whatever they are, and makes those of this program.
fn forget_indexes(txn: &WriteTransaction) -> Result<(), StoreError> {
    let tables: Vec<_> = txn.list_tables()?.collect();
    for table in tables {
        if table.name().starts_with(INDEX) {
            txn.delete_table(table)?;
        }
    }
    txn.open_table(META)?.remove("indexed")?;
    index::found(txn)
}
