//! Sectors of a locked store: AES-256 in the mode XTS (IEEE 1619), as disks are locked.
//!
//! Each sector is encrypted by itself, under its number, and keeps its length; each block of 16 bytes
//! by itself within the sector. So a write that power tore leaves what it would have left in the
//! clear: of some blocks the old bytes, of others the new. Nothing here notices that a sector was
//! changed or put back by somebody: the store's own sums do that only by chance.

use std::fmt;

use aes::Aes256;
use aes::cipher::array::Array;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

use crate::key::{Context, Seed};

/// Bytes of a sector.
pub const SECTOR_BYTES: usize = 4096;
/// Bytes of a block of the cipher.
const BLOCK_BYTES: usize = 16;
/// x^128 in the field of the tweaks.
const CARRY: u128 = 0x87;

/// Encrypts and decrypts the sectors of one store. The keys are wiped when dropped.
pub struct Sectors {
    pages: Aes256,
    places: Aes256,
}

impl Sectors {
    /// Expands the key of a store.
    pub fn new(key: &Seed) -> Self {
        let half = |context| key.derive(context, &[]);
        Self::of_halves(&half(Context::StorePages), &half(Context::StorePlaces))
    }

    fn of_halves(pages: &Seed, places: &Seed) -> Self {
        let cipher = |half: &Seed| Aes256::new(half.expose().into());
        Self { pages: cipher(pages), places: cipher(places) }
    }

    /// Encrypts whole blocks from the beginning of a sector on.
    pub fn encrypt(&self, sector: u64, bytes: &mut [u8]) {
        let first = self.tweak(sector);
        let (blocks, _) = bytes.as_chunks_mut::<BLOCK_BYTES>();
        blend(blocks, first);
        self.pages.encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
        blend(blocks, first);
    }

    /// Decrypts whole blocks from the beginning of a sector on.
    pub fn decrypt(&self, sector: u64, bytes: &mut [u8]) {
        let first = self.tweak(sector);
        let (blocks, _) = bytes.as_chunks_mut::<BLOCK_BYTES>();
        blend(blocks, first);
        self.pages.decrypt_blocks(Array::cast_slice_from_core_mut(blocks));
        blend(blocks, first);
    }

    /// What the first block of a sector is blended with.
    fn tweak(&self, sector: u64) -> u128 {
        let mut tweak = Array(u128::from(sector).to_le_bytes());
        self.places.encrypt_block(&mut tweak);
        u128::from_le_bytes(tweak.0)
    }
}

impl fmt::Debug for Sectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sectors(..)")
    }
}

/// Adds to each block its tweak: the one before, times x.
fn blend(blocks: &mut [[u8; BLOCK_BYTES]], first: u128) {
    let mut tweak = first;
    for block in blocks {
        *block = (u128::from_le_bytes(*block) ^ tweak).to_le_bytes();
        let carry = if tweak >> 127 == 1 { CARRY } else { 0 };
        tweak = (tweak << 1) ^ carry;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    fn half(hex: &str) -> Seed {
        Seed::new(bytes(hex).try_into().unwrap())
    }

    /// IEEE 1619-2007, annex B, vector 10: the first of those for AES-256, 512 bytes in sector 0xff.
    #[test]
    fn the_published_vector_holds() {
        let sectors = Sectors::of_halves(
            &half("2718281828459045235360287471352662497757247093699959574966967627"),
            &half("3141592653589793238462643383279502884197169399375105820974944592"),
        );
        let plain: Vec<u8> = (0..=255).chain(0..=255).collect();
        let mut sector = plain.clone();
        sectors.encrypt(0xff, &mut sector);
        let due = concat!(
            "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b",
            "5d31e276f8fe4a8d66b317f9ac683f44680a86ac35adfc3345befecb4bb188fd",
            "5776926c49a3095eb108fd1098baec70aaa66999a72a82f27d848b21d4a741b0",
            "c5cd4d5fff9dac89aeba122961d03a757123e9870f8acf1000020887891429ca",
            "2a3e7a7d7df7b10355165c8b9a6d0a7de8b062c4500dc4cd120c0f7418dae3d0",
            "b5781c34803fa75421c790dfe1de1834f280d7667b327f6c8cd7557e12ac3a0f",
            "93ec05c52e0493ef31a12d3d9260f79a289d6a379bc70c50841473d1a8cc81ec",
            "583e9645e07b8d9670655ba5bbcfecc6dc3966380ad8fecb17b6ba02469a020a",
            "84e18e8f84252070c13e9f1f289be54fbc481457778f616015e1327a02b140f1",
            "505eb309326d68378f8374595c849d84f4c333ec4423885143cb47bd71c5edae",
            "9be69a2ffeceb1bec9de244fbe15992b11b77c040f12bd8f6a975a44a0f90c29",
            "a9abc3d4d893927284c58754cce294529f8614dcd2aba991925fedc4ae74ffac",
            "6e333b93eb4aff0479da9a410e4450e0dd7ae4c6e2910900575da401fc07059f",
            "645e8b7e9bfdef33943054ff84011493c27b3429eaedb4ed5376441a77ed4385",
            "1ad77f16f541dfd269d50d6a5f14fb0aab1cbb4c1550be97f7ab4066193c4caa",
            "773dad38014bd2092fa755c824bb5e54c4f36ffda9fcea70b9c6e693e148c151",
        );
        assert_eq!(sector, bytes(due));
        sectors.decrypt(0xff, &mut sector);
        assert_eq!(sector, plain);
    }

    #[test]
    fn each_sector_and_each_block_in_it_is_another() {
        let sectors = Sectors::new(&Seed::new([7; 32]));
        let (mut one, mut two) = ([0; SECTOR_BYTES], [0; SECTOR_BYTES]);
        sectors.encrypt(0, &mut one);
        sectors.encrypt(1, &mut two);
        let blocks = one.chunks(BLOCK_BYTES).chain(two.chunks(BLOCK_BYTES));
        let different: std::collections::BTreeSet<_> = blocks.collect();
        assert_eq!(different.len(), 2 * SECTOR_BYTES / BLOCK_BYTES);
    }
}
