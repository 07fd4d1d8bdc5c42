//! Goal: a sealed bundle shows nothing to whoever holds no secret of it, and little to who does.
//! Method: files made for 1 to 500 readers with 0 to 500 messages, whose texts are those of real plain
//! bundles, and the same tests on files of which a little is plain, which have to fail.
//! `THISTLE_LONG=1` makes a thousand of them.

use thistle_engine::container::randomness::{Places, likelihoods, spread};
use thistle_engine::container::{Extent, Grant, HEAD_BYTES, Next, Writer, find, is_size};
use thistle_engine::key::{Context, Noise, Seed};

use crate::common::Device;
use crate::mutate::setting;

/// Secrets that a reader of the test holds.
const HELD: u64 = 4_096;
const READERS: u64 = 500;
const MESSAGES: u64 = 500;

struct Made {
    file: Vec<u8>,
    /// What each reader was given.
    given: Vec<(u64, Vec<u8>)>,
}

fn secret(number: u64) -> Seed {
    Seed::new([1; 32]).derive(Context::Session, &number.to_be_bytes())
}

fn files() -> u64 {
    if setting("THISTLE_LONG").is_some() { 1_000 } else { 40 }
}

/// Plain bundles of 0 to 8 messages.
fn texts() -> Vec<Vec<u8>> {
    let mut device = Device::new(1);
    let mut texts = vec![device.bundle_all()];
    for number in 0..8 {
        device.write(&format!("Message {number}: come by the mill at seven with the blue lamp."));
        texts.push(device.bundle_all());
    }
    texts
}

/// Makes a file: 1 to 500 readers, of whom some share a part, and 0 to 500 messages between them.
fn make(number: u64, texts: &[Vec<u8>]) -> Made {
    let mut die = Noise::new(&secret(HELD + number));
    let readers = 1 + die.below(READERS);
    let mut left = die.below(MESSAGES + 1);
    let mut parts: Vec<(&[u8], Vec<u64>)> = Vec::new();
    for reader in 0..readers {
        // Everybody is a different contact of the one who reads all of them.
        let reader = reader * (HELD / READERS) + die.below(HELD / READERS);
        if let Some((_, readers)) = parts.last_mut()
            && die.below(3) == 0
        {
            readers.push(reader);
            continue;
        }
        let messages = die.below(left.min(8) + 1);
        left -= messages;
        parts.push((&texts[usize::try_from(messages).unwrap()], vec![reader]));
    }
    let give = |(text, readers): &(&[u8], Vec<u64>)| -> Vec<(u64, Vec<u8>)> {
        readers.iter().map(|reader| (*reader, text.to_vec())).collect()
    };
    Made { file: write(number, &parts), given: parts.iter().flat_map(give).collect() }
}

fn write(number: u64, parts: &[(&[u8], Vec<u64>)]) -> Vec<u8> {
    let of = |(text, readers): &(&[u8], Vec<u64>)| -> (Vec<u8>, Vec<Seed>) {
        (text.to_vec(), readers.iter().copied().map(secret).collect())
    };
    let parts: Vec<_> = parts.iter().map(of).collect();
    seal(&parts, &secret(2 * HELD + number))
}

/// Seals texts, each for those who hold one of its secrets.
pub(crate) fn seal(parts: &[(Vec<u8>, Vec<Seed>)], seed: &Seed) -> Vec<u8> {
    let grants: Vec<Grant<'_>> =
        parts.iter().map(|(text, secrets)| Grant { length: text.len() as u64, secrets }).collect();
    let mut writer = Writer::new(&grants, seed).unwrap();
    let (mut file, mut done) = (Vec::new(), vec![0; parts.len()]);
    loop {
        match writer.poll() {
            Next::End => return file,
            Next::Bytes(bytes) => file.extend(bytes),
            Next::Text { part, length } => {
                let text = &parts[part].0[done[part]..done[part] + length];
                done[part] += length;
                file.extend(writer.seal(text).unwrap());
            }
        }
    }
}

/// What somebody who holds these secrets finds, by the secret's place among them.
pub(crate) fn read(file: &[u8], secrets: &[Seed]) -> Vec<(usize, Vec<u8>)> {
    let found = find(&file[..HEAD_BYTES], secrets).unwrap();
    assert!(found.refused.is_empty());
    let mut read = Vec::new();
    for mut part in found.parts {
        let mut text = Vec::new();
        while let Some(Extent { offset, length }) = part.wanted() {
            let start = usize::try_from(offset).unwrap();
            text.extend(part.open(&file[start..start + length]).unwrap());
        }
        read.extend(part.secrets().iter().map(|secret| (*secret, text.clone())));
    }
    read.sort();
    read
}

/// Runs every test over files and says which of them failed.
fn failures<'a>(files: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let (mut tests, mut places, mut failed) =
        (Vec::<(&str, Vec<f64>)>::new(), Places::default(), Vec::new());
    for file in files {
        places.add(file);
        for (at, (name, likelihood)) in likelihoods(file).into_iter().enumerate() {
            if tests.len() == at {
                tests.push((name, Vec::new()));
            }
            tests[at].1.push(likelihood);
        }
    }
    for (name, found) in tests {
        let (deviations, even) = spread(&found);
        let least = found.iter().copied().fold(1.0, f64::min);
        // Each is crossed by random files once in ten thousand times or less.
        if deviations > 4.5 || even < 1e-4 / 9.0 || least < 1e-4 / 9_000.0 {
            failed.push(format!("{name}: {deviations:.1} deviations, {even:.1e}, {least:.1e}"));
        }
    }
    let (place, deviations) = places.oddest();
    // Forty files that all agree, or one place of a million in a thousand once in 500 times.
    if deviations > 6.1 {
        failed.push(format!("places: bit {place} by {deviations:.1} deviations"));
    }
    failed
}

#[test]
fn files_for_anybody_with_anything_look_random_and_alike() {
    let texts = texts();
    let held: Vec<Seed> = (0..HELD).map(secret).collect();
    let mut made = Vec::new();
    for number in 0..files() {
        let Made { file, given } = make(number, &texts);
        assert!(is_size(file.len() as u64));
        // Who holds everybody's secrets finds what everybody was given; everybody else, nothing.
        let mut due: Vec<(usize, Vec<u8>)> = given
            .into_iter()
            .map(|(reader, text)| (usize::try_from(reader).unwrap(), text))
            .collect();
        due.sort();
        assert_eq!(read(&file, &held), due);
        for (reader, text) in due.iter().take(3) {
            assert_eq!(read(&file, &held[*reader..=*reader]), [(0, text.clone())]);
        }
        made.push(file);
    }
    // Nothing for nobody is among them, and is a file like the others.
    made.push(write(HELD, &[]));
    let least = made.iter().map(Vec::len).min().unwrap();
    assert_eq!(made.last().map(Vec::len), Some(least));
    assert!(
        made.iter().filter(|file| file.len() == least).count() * 2 > made.len(),
        "one size for most"
    );
    assert_eq!(failures(made.iter().map(Vec::as_slice)), Vec::<String>::new());
}

#[test]
fn the_tests_see_what_is_plain() {
    let texts = texts();
    // The head and some of the body are enough for this.
    let start = |number| write(number, &[(&texts[8], vec![1])])[..65_536].to_vec();
    let good: Vec<Vec<u8>> = (0..40).map(start).collect();
    let with = |change: &dyn Fn(&mut Vec<u8>, usize)| {
        let mut files = good.clone();
        files.iter_mut().enumerate().for_each(|(number, file)| change(file, number));
        failures(files.iter().map(Vec::as_slice))
    };
    assert_eq!(with(&|_, _| {}), Vec::<String>::new());
    // A magic number, a version, a count of slots in 40 files: seen in their places.
    for plain in [&b"THSTL"[..], &[0, 1], &[7]] {
        let seen = with(&|file, _| file[..plain.len()].copy_from_slice(plain));
        assert!(seen.iter().any(|failed| failed.contains("places: bit ")), "{seen:?}");
    }
    // Empty slots, a body in plain, zeros for padding: seen in one file of the forty.
    let body = texts[8].repeat(8);
    let one = |file: &mut Vec<u8>, at: usize, plain: &[u8]| {
        file[at..at + plain.len()].copy_from_slice(plain);
    };
    for (at, plain) in [(32, vec![0; 4_000]), (HEAD_BYTES, body), (60_000, vec![0; 4_000])] {
        let seen = with(&|file, number| {
            if number == 7 {
                one(file, at, &plain);
            }
        });
        assert!(seen.len() >= 3, "{at}: {seen:?}");
    }
}
