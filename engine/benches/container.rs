//! Goal: what a sealed bundle costs its writer and its reader. Method: files in memory; finding one's
//! slots with as many secrets as may be held stands beside what is promised and beside the hashes that
//! it takes at least, writing and reading beside the cipher alone on the same chunks. Best of a few runs.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark reads the clock; the engine does not"
)]
#![expect(clippy::print_stdout, reason = "the table goes to standard output")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use thistle_engine::container::{CHUNK_BYTES, Extent, Grant, HEAD_BYTES, Next, Writer, find};
use thistle_engine::key::{Context, Seed, open, seal};

/// Secrets that a reader holds.
const HELD: u64 = 4_096;
/// Bytes of the part that is written and read.
const TEXT: usize = 32 << 20;
const RUNS: usize = 5;
/// Within this the slots are to be found.
const PROMISED: Duration = Duration::from_millis(50);

fn main() {
    println!("figure\tmeasured\tlimit\tratio\tgoal");
    let held: Vec<Seed> = (0..HELD).map(secret).collect();
    finding("slots of a sealed bundle, none of 4,096", &held, &[]);
    finding("slots of a sealed bundle, one of 4,096", &held, &held[77..78]);
    finding("slots of a sealed bundle, 512 of 4,096", &held, &held[..512]);
    moving(&held[..1]);
}

fn secret(number: u64) -> Seed {
    Seed::new([1; 32]).derive(Context::Session, &number.to_be_bytes())
}

fn finding(name: &str, held: &[Seed], granted: &[Seed]) {
    let text = vec![0; 300];
    let file = write(&text, granted);
    let head = &file[..HEAD_BYTES];
    let found = find(head, held).expect("a whole head");
    assert_eq!(found.parts.iter().map(|part| part.secrets().len()).sum::<usize>(), granted.len());
    let took = best(|| drop(black_box(find(head, held))));
    let hashes = best(|| {
        for secret in held {
            black_box(secret.derive(Context::BundleTag, &head[..32]));
        }
    });
    let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    let ratio = |limit: Duration| format!("{:.2}", took.as_secs_f64() / limit.as_secs_f64());
    println!("{name}\t{}\t{} (promised)\t{}\t<= 1", ms(took), ms(PROMISED), ratio(PROMISED));
    println!("{name}\t{}\t{} (the hashes)\t{}\t", ms(took), ms(hashes), ratio(hashes));
}

fn moving(secrets: &[Seed]) {
    let text = vec![7; TEXT];
    let file = write(&text, secrets);
    let (written, read) = (best(|| drop(write(&text, secrets))), best(|| read_all(&file, secrets)));
    let key = [3; 32];
    let sealing = best(|| {
        for chunk in text.chunks(CHUNK_BYTES) {
            black_box(seal(&key, &[0], chunk));
        }
    });
    let sealed: Vec<Vec<u8>> =
        text.chunks(CHUNK_BYTES).map(|chunk| seal(&key, &[0], chunk)).collect();
    let opening = best(|| {
        for chunk in &sealed {
            black_box(open(&key, &[0], chunk));
        }
    });
    for (name, took, bare, goal) in [
        ("sealed bundle written", written, sealing, ">= 0.2"),
        ("sealed bundle read", read, opening, ">= 0.5"),
    ] {
        let speed = |time: Duration| format!("{:.0} MB/s", 33.554 / time.as_secs_f64());
        let ratio = bare.as_secs_f64() / took.as_secs_f64();
        println!("{name}\t{}\t{} (cipher)\t{ratio:.2}\t{goal}", speed(took), speed(bare));
    }
}

fn write(text: &[u8], secrets: &[Seed]) -> Vec<u8> {
    let grant = Grant { length: text.len() as u64, secrets };
    let mut writer = Writer::new(&[grant], &Seed::new([5; 32])).expect("it fits");
    let size = usize::try_from(writer.size()).expect("a size in memory");
    let (mut file, mut done) = (Vec::with_capacity(size), 0);
    loop {
        match writer.poll() {
            Next::End => return file,
            Next::Bytes(bytes) => file.extend(bytes),
            Next::Text { length, .. } => {
                file.extend(writer.seal(&text[done..done + length]).expect("what was asked for"));
                done += length;
            }
        }
    }
}

fn read_all(file: &[u8], secrets: &[Seed]) {
    for mut part in find(&file[..HEAD_BYTES], secrets).expect("a whole head").parts {
        while let Some(Extent { offset, length }) = part.wanted() {
            let start = usize::try_from(offset).expect("a place in memory");
            black_box(part.open(&file[start..start + length]).expect("nothing was changed"));
        }
    }
}

fn best(mut run: impl FnMut()) -> Duration {
    let time = |()| {
        let begun = Instant::now();
        run();
        begun.elapsed()
    };
    (0..RUNS).map(|_| ()).map(time).min().unwrap_or_default()
}
