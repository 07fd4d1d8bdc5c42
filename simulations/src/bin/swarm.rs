//! Runs worlds by their seeds and tells which of them broke a promise.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

use thistle_simulations::{Ending, Swarm};

const USAGE: &str = "usage: swarm [--seeds COUNT | --bundles COUNT] [--first SEED] [--seed SEED]

Runs COUNT worlds (200) from the seed SEED (1) on, or the one world of --seed, and shows for each
that broke a promise what it was. With --bundles nobody meets in them. The last line is a number for the logs of all of them: the same
worlds have the same number. Exit code 1: a promise was broken. 2: the command is wrong.
";

/// What is asked for.
struct Asked {
    first: u64,
    seeds: u64,
    /// One world, with its log.
    one: bool,
    /// Bundles are all that there is.
    bundles: bool,
}

fn main() -> ExitCode {
    let (out, err) = (&mut std::io::stdout().lock(), &mut std::io::stderr().lock());
    let done = match asked(std::env::args().skip(1)) {
        Some(asked) => run(&asked, out, err),
        None => write!(err, "{USAGE}").map(|()| ExitCode::from(2)),
    };
    done.unwrap_or(ExitCode::FAILURE)
}

fn asked(mut args: impl Iterator<Item = String>) -> Option<Asked> {
    let mut asked = Asked { first: 1, seeds: 200, one: false, bundles: false };
    while let Some(arg) = args.next() {
        let number = args.next()?.parse().ok()?;
        match arg.as_str() {
            "--seeds" => asked.seeds = number,
            "--bundles" => (asked.seeds, asked.bundles) = (number, true),
            "--first" => asked.first = number,
            "--seed" => {
                (asked.first, asked.seeds, asked.one) = (number, 1, true);
            }
            _ => return None,
        }
    }
    Some(asked)
}

fn run(asked: &Asked, out: &mut dyn Write, err: &mut dyn Write) -> std::io::Result<ExitCode> {
    let (began, shows) = (Instant::now(), std::io::stderr().is_terminal());
    let (mut broken, mut digest) = (0_u64, 0_u64);
    for seed in asked.first..asked.first.saturating_add(asked.seeds) {
        let ending = if asked.bundles { Swarm::without_meetings(seed) } else { Swarm::run(seed) };
        digest = digest.rotate_left(1) ^ ending.digest();
        if asked.one || !ending.broken.is_empty() {
            tell(seed, &ending, asked.one, out)?;
            broken += u64::from(!ending.broken.is_empty());
        }
        if shows {
            let done = seed - asked.first + 1;
            let (count, seconds) = (asked.seeds, began.elapsed().as_secs());
            write!(err, "\r{done} of {count} worlds, {broken} broke a promise, {seconds} s ")?;
        }
    }
    if shows {
        writeln!(err)?;
    }
    writeln!(out, "{} worlds, {broken} broke a promise, logs {digest:016x}", asked.seeds)?;
    Ok(ExitCode::from(u8::from(broken > 0)))
}

/// Shows a world: its options, what it broke, and its log or the end of it.
fn tell(seed: u64, ending: &Ending, whole: bool, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "seed {seed}: {}", ending.options)?;
    for line in &ending.broken {
        writeln!(out, "  broken: {line}")?;
    }
    let skipped = if whole { 0 } else { ending.log.len().saturating_sub(15) };
    for line in ending.log.iter().skip(skipped) {
        writeln!(out, "  {line}")?;
    }
    writeln!(
        out,
        "  again: cargo run --release -p thistle-simulations --bin swarm -- --seed {seed}"
    )
}
