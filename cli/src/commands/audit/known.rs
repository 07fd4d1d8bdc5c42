//! What this home knows and others should not read: the strings that an audit looks for.

use std::collections::BTreeSet;

use thistle_engine::content::{Content, Post};
use thistle_engine::{Audience, Order, Query, Reader, StoreError, ids};

use crate::commands::audit::Fact;
use crate::commands::audit::search::LEAST;

/// The newest messages of each conversation, and of all channels, that are looked for.
const NEWEST: usize = 100;

/// A sort of strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    OwnName,
    People,
    Groups,
    Ids,
    PrivateTexts,
    PublicTexts,
}

impl Sort {
    pub(super) const ALL: [Self; 6] = [
        Self::OwnName,
        Self::People,
        Self::Groups,
        Self::Ids,
        Self::PrivateTexts,
        Self::PublicTexts,
    ];

    /// The word for it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::OwnName => "own-name",
            Self::People => "names-of-people",
            Self::Groups => "names-of-groups",
            Self::Ids => "ids",
            Self::PrivateTexts => "private-texts",
            Self::PublicTexts => "public-texts",
        }
    }
}

/// The strings, each with its sort.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) sorts: Vec<Sort>,
    pub(super) strings: Vec<Vec<u8>>,
    /// Strings that are too short to be looked for.
    pub(super) short: u64,
    seen: BTreeSet<Vec<u8>>,
}

impl Known {
    /// What a home knows.
    pub(super) fn of(reader: &Reader) -> Result<Self, StoreError> {
        let mut known = Self::default();
        for feed in reader.feeds()? {
            known.add(Sort::Ids, feed.feed.as_bytes());
            known.add(Sort::Ids, ids::feed_text(&feed.feed).as_bytes());
            if let Some(account) = &feed.account {
                known.account(account);
            }
            let of_name = if feed.own { Sort::OwnName } else { Sort::People };
            for name in feed.name.iter().chain(&feed.petname) {
                known.add(of_name, name.as_bytes());
            }
        }
        for contact in reader.contacts()? {
            known.account(&contact.account);
            for name in contact.name.iter().chain(&contact.card.name) {
                known.add(Sort::People, name.as_bytes());
            }
            known.texts(reader, &Audience::Contact(contact.account))?;
        }
        for group in reader.groups()? {
            known.add(Sort::Groups, group.name.as_bytes());
            known.texts(reader, &Audience::Group(group.group))?;
        }
        let query = Query { order: Order::Arrival, limit: NEWEST, ..Query::default() };
        for hit in reader.query(&query)? {
            if let Some(content) = &hit.content {
                known.content(Sort::PublicTexts, content);
            }
        }
        Ok(known)
    }

    fn add(&mut self, sort: Sort, string: &[u8]) {
        if !self.seen.insert(string.to_vec()) {
            return;
        }
        if string.len() < LEAST {
            self.short += 1;
            return;
        }
        self.sorts.push(sort);
        self.strings.push(string.to_vec());
    }

    fn account(&mut self, account: &thistle_engine::key::AccountId) {
        self.add(Sort::Ids, account.as_bytes());
        self.add(Sort::Ids, ids::account_text(account).as_bytes());
    }

    fn texts(&mut self, reader: &Reader, with: &Audience) -> Result<(), StoreError> {
        for said in reader.said(with, NEWEST, &mut |_| true)? {
            self.content(Sort::PrivateTexts, &said.content);
        }
        Ok(())
    }

    fn content(&mut self, sort: Sort, content: &Content) {
        if let Content::Post(Post { text, .. }) | Content::Reply(Post { text, .. }) = content {
            self.add(sort, text.as_bytes());
        }
    }

    /// One fact for each sort that there is: how many of them were found and where.
    pub(super) fn facts(
        &self,
        found: &[(String, BTreeSet<usize>)],
        tell: impl Fn(Sort, u64) -> (bool, &'static str),
    ) -> Vec<Fact> {
        let of = |sort: Sort| self.sorts.iter().filter(|one| **one == sort).count() as u64;
        let fact = |sort: Sort| {
            let is_of = |number: &&usize| self.sorts.get(**number) == Some(&sort);
            let mut all = BTreeSet::new();
            let mut what = Vec::new();
            for (place, numbers) in found {
                let here: BTreeSet<usize> = numbers.iter().filter(is_of).copied().collect();
                if !here.is_empty() {
                    what.push(place.clone());
                }
                all.extend(here);
            }
            let (residual, why) = tell(sort, all.len() as u64);
            Fact {
                of: Some(of(sort)),
                what,
                ..Fact::new(sort.word(), all.len() as u64, residual, why)
            }
        };
        Sort::ALL.into_iter().filter(|sort| of(*sort) > 0).map(fact).collect()
    }
}
