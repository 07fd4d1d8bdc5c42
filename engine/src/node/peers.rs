//! Who this device is on links, and where it met others.

use crate::key::{AccountId, Context, Seed};
use crate::limits::LINK_KEY_DAYS;
use crate::node::Node;
use crate::store::StoreError;
use crate::time::Now;

impl Node {
    /// The secret of the key by which this device is known on links: a fresh one each
    /// [`LINK_KEY_DAYS`](crate::limits::LINK_KEY_DAYS), and no hint at which feed it writes.
    pub fn link_secret(&mut self, now: Now) -> Result<Seed, StoreError> {
        let (name, known) = ("link", self.store.known(now).minutes());
        let row = self.store.snapshot()?.secret(name)?.unwrap_or_default();
        if let Some((born, secret)) = row.split_first_chunk::<8>()
            && let Ok(secret) = secret.try_into()
            && known < u64::from_be_bytes(*born).saturating_add(LINK_KEY_DAYS * 24 * 60)
        {
            return Ok(Seed::new(secret));
        }
        let fresh = self.pool.draw().derive(Context::LinkKey, &[]);
        let row = [&known.to_be_bytes()[..], fresh.expose()].concat();
        self.settled = false;
        self.store.write(now, |writer| writer.set_secret(name, &row))?;
        Ok(fresh)
    }

    /// Remembers where a node was met; the one met longest ago makes room. `address` is the
    /// driver's, and `with` the contact that was recognised; false: it is too long to be one.
    pub fn remember_peer(
        &mut self,
        now: Now,
        key: &[u8; 32],
        address: &str,
        with: Option<&AccountId>,
    ) -> Result<bool, StoreError> {
        self.store.write(now, |writer| writer.remember_address(key, address, with))
    }
}
