//! Goal: whatever happens to bundles, clocks, disks and homes, every promise holds. Method: seeded
//! worlds of production nodes; each checker is also shown a world in which something is wrong.
//!
//! `THISTLE_SEEDS` says how many worlds are tried, `THISTLE_SEED` which one alone.

use std::panic::catch_unwind;
use std::process::Command;

use thistle_simulations::{Ending, Sabotage, Swarm};

/// Seeds of worlds that once broke a promise, one a line, with a word on what it was.
const KEPT: &str = include_str!("../seeds.txt");
/// Worlds of the short form.
const WORLDS: u64 = 200;
/// Worlds that are tried at once.
const THREADS: usize = 2;

fn run(seed: u64) {
    judge(seed, &Swarm::run(seed));
}

fn judge(seed: u64, ending: &Ending) {
    let (broken, log) = (&ending.broken, ending.log.join("\n"));
    assert!(broken.is_empty(), "seed {seed}: {}\n{broken:#?}\nlog:\n{log}", ending.options);
}

fn told(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn worlds_keep_every_promise_whatever_the_seed() {
    if let Some(seed) = told("THISTLE_SEED") {
        return run(seed);
    }
    let worlds = told("THISTLE_SEEDS").unwrap_or(WORLDS);
    std::thread::scope(|threads| {
        for first in (1..=worlds).take(THREADS) {
            threads.spawn(move || (first..=worlds).step_by(THREADS).for_each(run));
        }
    });
}

#[test]
fn worlds_that_broke_a_promise_once_keep_it() {
    for line in KEPT.lines().filter(|line| !line.starts_with('#')) {
        let seed = line.split_whitespace().next().and_then(|seed| seed.parse().ok());
        let seed = seed.expect("each line begins with a seed");
        run(seed);
        judge(seed, &Swarm::without_meetings(seed));
    }
}

#[test]
fn every_checker_sees_its_promise_broken() {
    for (sabotage, says) in [
        (Sabotage::LyingDisks, "lost"),
        (Sabotage::Deaf, "no convergence"),
        (Sabotage::Restless, "the same bytes again changed it"),
        (Sabotage::Amnesia, "writes on, but device"),
        (Sabotage::Boasts, "for one who has"),
        (Sabotage::FastClocks, "minutes of the world"),
        (Sabotage::Disorder, "another order"),
        (Sabotage::Overfull, "strangers by what was set"),
        (Sabotage::Forged, "serves what does not verify"),
        (Sabotage::Twice, "twice on one link"),
        (Sabotage::Repeats, "entries of"),
        (Sabotage::Mute, "never end"),
        (Sabotage::Chatty, "with nothing to say"),
        (Sabotage::Unheard, "no convergence"),
        (Sabotage::Aging, "no convergence"),
        (Sabotage::Severed, "ended so"),
        (Sabotage::Tight, "over its limit"),
    ] {
        let seen = (1..=40).find(|seed| {
            // On a page that was never written the store may stop with a panic: that is seen, but
            // not by the checker.
            let ending = catch_unwind(|| Swarm::sabotaged(*seed, sabotage));
            ending.is_ok_and(|ending| ending.broken.iter().any(|what| what.contains(says)))
        });
        assert!(seen.is_some(), "{sabotage:?}: nobody said \"{says}\" in 40 worlds");
    }
}

/// What the program prints of some worlds, in a process of its own.
fn printed(args: [&str; 4]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_swarm")).args(args).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it prints text")
}

#[test]
fn the_same_seed_is_the_same_world_in_every_process() {
    let once = printed(["--first", "1", "--seeds", "6"]);
    assert!(once.contains("6 worlds, 0 broke a promise, logs "), "{once}");
    assert_eq!(once, printed(["--first", "1", "--seeds", "6"]));
    assert_ne!(once, printed(["--first", "2", "--seeds", "6"]), "other seeds are other worlds");
    let bundles = printed(["--first", "1", "--bundles", "6"]);
    assert_ne!(once, bundles, "without meetings they are what they were before there were any");
    let logs = [3, 4].map(|seed| Swarm::run(seed).log);
    assert_ne!(logs[0], logs[1]);
}

/// Goal: whatever age a peer claims, a message whose lifetime is not over is there in the end.
/// Method: worlds whose links all lie about ages, until all heal by meeting; and as the canary the
/// same worlds with the lie going on to the end, where it has to be seen.
#[test]
fn a_liar_cannot_age_a_message_away() {
    let worlds = 1..=20;
    for seed in worlds.clone() {
        judge(seed, &Swarm::among_liars(seed));
    }
    let seen = |seed| {
        let broken = Swarm::sabotaged(seed, Sabotage::Aging).broken;
        broken.iter().any(|what| what.starts_with("no convergence: ") && what.contains("Absent"))
    };
    assert!(worlds.clone().any(seen), "nobody saw a lie that goes on");
}

#[test]
fn a_wrong_command_is_told_how_it_is_used() {
    let output = Command::new(env!("CARGO_BIN_EXE_swarm")).arg("--help").output().expect("it runs");
    let text = String::from_utf8(output.stderr).expect("it prints text");
    assert_eq!(output.status.code(), Some(2));
    assert!(text.starts_with("usage: swarm [--seeds COUNT"), "{text}");
}
