//! Goal: the bytes of a locked store are those of the specification. Method: values that a second
//! implementation made (`schemas/vectors/store.py`), compared one by one with what the engine makes,
//! and key files and disks that are put together from them by hand.

use std::fs;

use serde_json::Value;
use thistle_engine::key::{
    Context, SECTOR_BYTES, Sectors, Seed, open_slot, seal_slot, stretch_passphrase,
};
use thistle_engine::{
    BackupHead, InMemoryBackend, Keyring, LockedDisk, Slot, StorageBackend, Unsealed,
};

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/vectors/store.json");
    serde_json::from_slice(&fs::read(path).expect("the vectors are there")).expect("they are JSON")
}

fn bytes(of: &Value, field: &str) -> Vec<u8> {
    let text = of[field].as_str().unwrap_or_else(|| panic!("{field} is text"));
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(digit).collect()
}

fn array(of: &Value, field: &str) -> [u8; 32] {
    bytes(of, field).try_into().expect("32 bytes")
}

fn seed(of: &Value, field: &str) -> Seed {
    Seed::new(array(of, field))
}

fn list(of: &Value, field: &str) -> Vec<Value> {
    of[field].as_array().expect("a list").clone()
}

fn stretched(of: &Value) -> Seed {
    let passphrase = of["passphrase"].as_str().expect("text");
    stretch_passphrase(passphrase.as_bytes(), &array(of, "salt"))
}

/// A disk in memory with these bytes at these places.
fn disk(length: usize, parts: &[(usize, Vec<u8>)]) -> InMemoryBackend {
    let disk = InMemoryBackend::new();
    disk.set_len(length as u64).expect("there is memory");
    for (at, part) in parts {
        disk.write(*at as u64, part).expect("it is within");
    }
    disk
}

#[test]
fn a_passphrase_is_stretched_and_seals_a_slot_as_written() {
    for slot in list(&vectors(), "slots") {
        let stretched = stretched(&slot);
        assert_eq!(stretched, seed(&slot, "stretched"));
        let fresh = array(&slot, "fresh");
        assert_eq!(stretched.derive(Context::KeySlot, &fresh), seed(&slot, "seal_key"));
        let key = seed(&slot, "store_key");
        assert_eq!(seal_slot(&stretched, &key, &fresh), bytes(&slot, "slot"));
        assert_eq!(open_slot(&stretched, &bytes(&slot, "slot")), Some(key));
    }
}

#[test]
fn a_key_file_is_laid_out_as_written() {
    let slots = list(&vectors(), "slots");
    let place = |sector: usize| sector * SECTOR_BYTES;
    // Of the first slot the second copy alone, as a change that was cut off may leave it.
    let parts = [
        (0, bytes(&slots[0], "salt")),
        (32, bytes(&slots[1], "salt")),
        (place(2), bytes(&slots[0], "slot")),
        (place(3), bytes(&slots[1], "slot")),
        (place(4), bytes(&slots[1], "slot")),
    ];
    let length = usize::try_from(Keyring::BYTES).expect("a length fits");
    assert_eq!(length, place(9));
    let keyring = Keyring::new(disk(length, &parts));
    for (slot, vector) in Slot::ALL.into_iter().zip(&slots) {
        let passphrase = vector["passphrase"].as_str().expect("text");
        let typed = keyring.stretch(passphrase.as_bytes()).expect("the salts are there");
        let unsealed = Unsealed { slot, key: seed(vector, "store_key") };
        assert_eq!(keyring.open(&typed).expect("the slots are there"), Some(unsealed));
    }
    assert!(keyring.head(Slot::First).expect("it can be read").is_none());
    assert!(keyring.head(Slot::Second).expect("it can be read").is_some());
}

#[test]
fn sectors_are_encrypted_as_written() {
    let vectors = vectors();
    for sector in list(&vectors, "sectors").into_iter().chain([vectors["length"].clone()]) {
        let key = seed(&sector, "store_key");
        assert_eq!(key.derive(Context::StorePages, &[]), seed(&sector, "pages"));
        assert_eq!(key.derive(Context::StorePlaces, &[]), seed(&sector, "places"));
        let number = sector["number"].as_u64().expect("a number");
        let (plain, encrypted) = (bytes(&sector, "plain"), bytes(&sector, "encrypted"));
        let mut found = plain.clone();
        Sectors::new(&key).encrypt(number, &mut found);
        assert_eq!(found, encrypted);
        Sectors::new(&key).decrypt(number, &mut found);
        assert_eq!(found, plain);
    }
}

#[test]
fn a_disk_of_one_size_notes_its_length_as_written() {
    let noted = vectors()["length"].clone();
    let parts = [(4 * SECTOR_BYTES, bytes(&noted, "encrypted"))];
    let disk = disk(5 * SECTOR_BYTES, &parts);
    let disk = LockedDisk::fixed(disk, &seed(&noted, "store_key")).expect("a length is noted");
    assert_eq!(disk.len().expect("it is known"), 3 * SECTOR_BYTES as u64);
}

#[test]
fn the_keys_beside_a_store_are_derived_as_written() {
    let vectors = vectors();
    let derived = &vectors["derived"];
    let key = seed(derived, "store_key");
    assert_eq!(key.derive(Context::Forgetting, &[]), seed(derived, "forgetting"));
    let fresh = array(derived, "fresh");
    assert_eq!(key.derive(Context::Backup, &fresh), seed(derived, "backup"));
    // A backup by hand: head, and one sector under the derived key.
    let slot = &vectors["slots"][0];
    assert_eq!(seed(slot, "store_key"), key);
    let head = [bytes(slot, "salt"), bytes(slot, "slot"), fresh.to_vec()].concat();
    let mut sector = vec![7; SECTOR_BYTES];
    Sectors::new(&seed(derived, "backup")).encrypt(0, &mut sector);
    let backup = disk(2 * SECTOR_BYTES, &[(0, head), (SECTOR_BYTES, sector)]);
    let passphrase = slot["passphrase"].as_str().expect("text").as_bytes();
    let opened = BackupHead::open(backup, passphrase).expect("it can be read").expect("it opens");
    let mut found = vec![0; SECTOR_BYTES];
    opened.read(0, &mut found).expect("it can be read");
    assert_eq!(found, [7; SECTOR_BYTES]);
}
