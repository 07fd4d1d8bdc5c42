//! A disk in memory that is still there once the store on it is closed.

use std::io;
use std::sync::Arc;

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

/// A disk in memory; its clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct SharedMemory(Arc<InMemoryBackend>);

impl StorageBackend for SharedMemory {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_in_memory_outlives_its_store() {
        let disk = SharedMemory::default();
        disk.set_len(4).unwrap();
        disk.clone().write(1, b"ab").unwrap();
        let mut read = [0; 4];
        disk.read(0, &mut read).unwrap();
        assert_eq!(read, [0, b'a', b'b', 0]);
    }
}
