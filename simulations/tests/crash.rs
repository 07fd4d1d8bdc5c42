//! Goal: power can go at any sync and nothing acknowledged is lost. Method: one mixed run, recorded;
//! for its syncs the disk is rebuilt as it may have been, and the production code opens it.
//!
//! The short form takes a sample of the crashes; `THISTLE_LONG=1` takes all, 20 disks a sync.

use thistle_simulations::{Cover, Crash, CrashRun, Disk, Keeping, Seed};

/// Disks for each sync.
const TEARS: u64 = 20;
/// Of so many crashes the short form takes one.
const SAMPLE: u64 = 20;

fn long() -> bool {
    std::env::var_os("THISTLE_LONG").is_some()
}

/// What a sample of the crashes, one of so many, finds.
fn examine(run: &CrashRun, sample: u64) -> Vec<(Crash, String)> {
    let mut seed = Seed::new(1);
    run.examine(TEARS, &mut |_| seed.chance(1, sample)).expect("findings are told, not failed with")
}

#[test]
fn nothing_acknowledged_is_lost_whenever_power_goes() {
    let run = CrashRun::record(None).expect("the disk of the run does not fail");
    assert_eq!(run.findings, Vec::<String>::new(), "before any crash");
    let found = examine(&run, if long() { 1 } else { SAMPLE });
    eprintln!("{} syncs, {TEARS} disks each", run.syncs());
    let (first, rest) = (found.iter().take(20).collect::<Vec<_>>(), found.len());
    assert!(found.is_empty(), "{rest} findings over {} syncs: {first:#?}", run.syncs());
}

#[test]
fn nor_is_it_lost_where_every_page_is_encrypted() {
    for (cover, sample) in [(Cover::Locked, 2 * SAMPLE), (Cover::Fixed, 20 * SAMPLE)] {
        let run = CrashRun::record_under(cover, None).expect("the disk of the run does not fail");
        assert_eq!(run.findings, Vec::<String>::new(), "{cover:?}, before any crash");
        let found = examine(&run, if long() { 1 } else { sample });
        eprintln!("{cover:?}: {} syncs, {TEARS} disks each", run.syncs());
        let (first, rest) = (found.iter().take(20).collect::<Vec<_>>(), found.len());
        assert!(found.is_empty(), "{cover:?}: {rest} findings: {first:#?}");
    }
}

#[test]
fn a_disk_whose_sync_lies_is_caught() {
    let mut lost = 0;
    for (one_of, sample) in [(3, 40), (12, 10)] {
        let run = CrashRun::record(Some(one_of)).expect("until power goes a lie is not noticed");
        let found = examine(&run, sample);
        assert!(!found.is_empty(), "one sync of {one_of} kept nothing, and nobody noticed");
        lost += found.iter().filter(|(_, finding)| finding.contains("lost")).count();
    }
    assert!(lost > 0, "the ledger too has to see it, and not only who opens the store");
}

#[test]
fn the_run_does_what_it_says() {
    let run = CrashRun::record(None).expect("the disk of the run does not fail");
    let steps: Vec<_> = run.steps().collect();
    let syncs: Vec<_> = steps.windows(2).map(|pair| (pair[1].0, pair[1].1 - pair[0].1)).collect();
    for (what, syncs) in syncs {
        let writes = what != "a bundle leaves";
        assert_eq!(syncs > 0, writes, "{what}: {syncs} syncs");
    }
    assert!(run.syncs() > 80, "{} syncs", run.syncs());
}

/// A store of version 1: its length, and then each part that is not empty with its place.
fn version_1() -> Disk {
    let packed = include_bytes!("../../tests/stores/version-1.store");
    let number = |at: usize| {
        let bytes = packed[at..at + 4].try_into().expect("four bytes");
        usize::try_from(u32::from_be_bytes(bytes)).expect("a length fits")
    };
    let (mut bytes, mut at) = (vec![0; number(0)], 4);
    while at < packed.len() {
        let (place, len) = (number(at), number(at + 4));
        bytes[place..place + len].copy_from_slice(&packed[at + 8..at + 8 + len]);
        at += 8 + len;
    }
    Disk::holding(bytes)
}

#[test]
fn migration_and_backup_happen_as_a_whole_or_not_at_all() {
    let run = CrashRun::record(None).expect("the disk of the run does not fail");
    for keeping in Keeping::ALL {
        let store = if keeping == Keeping::Migration { version_1() } else { run.store() };
        let (mut seed, sample) = (Seed::new(2), if long() { 1 } else { 6 });
        let examined = keeping.examine(&store, TEARS, &mut |_| seed.chance(1, sample));
        let (syncs, found) = examined.expect("findings are told, not failed with");
        eprintln!("{keeping:?}: {syncs} syncs, {TEARS} disks each");
        assert!(syncs > 0 && found.is_empty(), "{keeping:?}, {syncs} syncs: {found:#?}");
    }
}
