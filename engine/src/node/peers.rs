//! Who this device is on links, and where it met others.

use crate::key::{Context, Seed};
use crate::node::Node;
use crate::store::StoreError;
use crate::time::Now;

impl Node {
    /// The secret of the key by which this device is known on links: the same for as long as it
    /// writes the same feed, and no hint at which feed that is.
    pub fn link_secret(&self) -> Seed {
        self.key.to_seed().derive(Context::LinkKey, &[])
    }

    /// Remembers where a node was met; the one met longest ago makes room. `address` is the
    /// driver's; false: it is too long to be one.
    pub fn remember_peer(
        &mut self,
        now: Now,
        key: &[u8; 32],
        address: &str,
    ) -> Result<bool, StoreError> {
        self.store.write(now, |writer| writer.remember_address(key, address))
    }
}
