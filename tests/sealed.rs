//! The engine reads every sealed bundle of `schemas/vectors` as its specification says.
//!
//! As `vectors.rs`: the files come from `schemas/vectors/sealed.py`, written from the specification
//! alone. What they say of tags, keys and slots on the way is compared as well.

use serde_json::{Value, json};
use thistle_engine::container::{self, Extent, PartFault};
use thistle_engine::key::{Context, Noise, Seed, derive, open};
use thistle_tests::tree;

fn files() -> Vec<Value> {
    serde_json::from_str(&tree::read("schemas/vectors/sealed.json")).unwrap()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |digit: u8| char::from_digit(u32::from(digit), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn size(number: &Value) -> usize {
    usize::try_from(number.as_u64().unwrap()).unwrap()
}

fn seed(hex: &Value) -> Seed {
    Seed::new(bytes(hex).try_into().unwrap())
}

fn noise(key: &Value, length: &Value) -> Vec<u8> {
    let mut noise = vec![0; size(length)];
    Noise::new(&seed(key)).fill(&mut noise);
    noise
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// The bytes of a file that a vector tells of.
fn whole(vector: &Value) -> Vec<u8> {
    let mut file = noise(&vector["noise"], &vector["size"]);
    for piece in list(&vector["pieces"]) {
        let (at, bytes) = (size(&piece[0]), bytes(&piece[1]));
        file[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    file.truncate(size(&vector["cut"]));
    file
}

/// What the engine finds in a file, as the vectors have it.
fn found(file: &[u8], secrets: &[Seed]) -> Value {
    let Some(found) = container::find(file, secrets) else { return Value::Null };
    let part = |mut part: container::Part| {
        let (mut text, mut fault) = (Vec::new(), Value::Null);
        while let Some(Extent { offset, length }) = part.wanted() {
            let start = usize::try_from(offset).unwrap().min(file.len());
            let told = |word: &str, offset| json!({"fault": word, "offset": offset});
            match part.open(&file[start..(start + length).min(file.len())]) {
                Ok(more) => text.extend(more),
                Err(PartFault::Torn { offset }) => fault = told("torn", offset),
                Err(PartFault::Damaged { offset }) => fault = told("damaged", offset),
            }
        }
        json!({
            "secrets": part.secrets(),
            "size": part.file_size(),
            "opened": text.len(),
            "text_hash": hex(&derive(Context::Payload, &text)),
            "fault": fault,
        })
    };
    let parts: Vec<Value> = found.parts.into_iter().map(part).collect();
    json!({"parts": parts, "refused": found.refused})
}

#[test]
fn every_file_is_read_as_the_vectors_say() {
    for vector in files() {
        let secrets: Vec<Seed> = list(&vector["secrets"]).iter().map(seed).collect();
        let found = found(&whole(&vector), &secrets);
        assert_eq!(found, vector["found"], "{}: {}", vector["name"], vector["why"]);
    }
}

#[test]
fn tags_and_keys_on_the_way_are_those_of_the_vectors() {
    let (mut slots, mut chunks) = (0, 0);
    for vector in files() {
        let file = whole(&vector);
        let salt = &file[..32];
        for slot in list(&vector["slots"]) {
            let secret = seed(&slot["secret"]);
            let tag = secret.derive(Context::BundleTag, salt);
            let key = secret.derive(Context::BundleSlot, salt);
            assert_eq!(hex(&tag.expose()[..16]), slot["tag"], "{}", vector["name"]);
            assert_eq!(hex(key.expose()), slot["key"], "{}", vector["name"]);
            let number = slot["slot"].as_u64().unwrap().to_be_bytes();
            assert_eq!(hex(&[salt, &number].concat()), slot["associated"], "{}", vector["name"]);
            slots += 1;
        }
        for part in list(&vector["parts"]) {
            let text = noise(&part["text_seed"], &part["length"]);
            let key = seed(&part["key"]);
            for (number, chunk) in list(&part["chunks"]).iter().enumerate() {
                let key = key.derive(Context::BundleChunk, &(number as u64).to_be_bytes());
                assert_eq!(hex(key.expose()), chunk["key"], "{}", vector["name"]);
                let at = size(&chunk["offset"]);
                let sealed = file.get(at..at + size(&chunk["length"])).unwrap_or_default();
                let last = u8::from(chunk["last"].as_bool().unwrap());
                let due = text.chunks(container::CHUNK_BYTES).nth(number).unwrap_or_default();
                // What was changed after it was made does not open; `found` says so.
                if let Some(opened) = open(key.expose(), &[last], sealed) {
                    assert_eq!(opened, due, "{}", vector["name"]);
                    chunks += 1;
                }
            }
        }
    }
    assert!(slots >= 20 && chunks >= 20, "{slots} slots, {chunks} chunks");
}
