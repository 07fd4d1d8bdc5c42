//! For whom a feed speaks: nobody's account is spoken for by a feed that only names it.
//!
//! A feed whose first entry is the account's certificate speaks for the account, and one that the
//! account added. One that says that it goes on for another has that one's word and no more: it speaks
//! for the account if the other one does. What is waiting for such a word is noted under the feed that
//! has to give it.

use crate::key::{AccountId, FeedId};
use crate::store::{StoreError, Writer};

/// Feeds that are gone through, back to one that the account itself vouches for.
const BACK: usize = 16;

/// The account that a held feed speaks for.
pub(super) fn of(writer: &mut Writer<'_>, feed: u32) -> Result<Option<AccountId>, StoreError> {
    let Some(origin) = writer.row(feed)?.origin else { return Ok(None) };
    let (account, mut at) = (origin.account, feed);
    for _ in 0..BACK {
        let row = writer.row(at)?.clone();
        let Some(origin) = row.origin.filter(|origin| origin.account == account) else {
            return Ok(None);
        };
        let standing = writer.standing(&account, &row.id)?;
        let Some(retired) = origin.retired else {
            // What a revoked device says of another one is worth nothing.
            return Ok(Some(account).filter(|_| at == feed || standing != Some(2)));
        };
        match (standing, writer.number(&retired, 0)?) {
            (Some(1), _) => return Ok(Some(account)),
            (Some(2), _) if at != feed => return Ok(None),
            (_, Some(before)) if writer.is_held(before)? => at = before,
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// Notes a feed of an account if it speaks for it. The first time all of it is looked at, and what goes
/// on for it. Whether it does.
pub(super) fn note(
    writer: &mut Writer<'_>,
    account: &AccountId,
    feed: u32,
) -> Result<bool, StoreError> {
    if of(writer, feed)? != Some(*account) {
        if let Some(retired) = writer.row(feed)?.origin.and_then(|origin| origin.retired) {
            writer.note_feed(&waits_for(&retired), feed)?;
        }
        return Ok(false);
    }
    let mut ahead = vec![feed];
    while let Some(feed) = ahead.pop() {
        if of(writer, feed)? != Some(*account) || !writer.note_feed(account, feed)? {
            continue;
        }
        let row = writer.row(feed)?.clone();
        writer.scan_again(feed, 1, row.runs.last().map_or(0, |run| run.1))?;
        ahead.extend(writer.feeds_of(&waits_for(&row.id))?);
    }
    Ok(true)
}

/// Under what a feed is noted that waits for the word of another one.
const fn waits_for(retired: &FeedId) -> AccountId {
    AccountId::from_bytes(*retired.as_bytes())
}
