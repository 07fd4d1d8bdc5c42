//! Goal: once the key slots of a home are overwritten, no image of its disks opens with any passphrase
//! that it ever had, whenever power goes; and a change of a passphrase that power cuts off leaves one
//! that opens. Method: a key file and a store on recording disks; images at random points.
//!
//! Whoever examines the images is given more than a thief has: the passphrases stretched with the
//! salts of before, so that the loss of the salts alone saves nothing.

use thistle_engine::key::Seed as Secret;
use thistle_engine::{Keyring, Node, Slot, Stretched, Unsealed};
use thistle_simulations::{Cover, CrashRun, Disk, Seed};

/// Points at which power goes.
const POINTS: u64 = 200;

fn secret(number: u8) -> Secret {
    Secret::new([number; 32])
}

/// A key file with both slots in use, and the passphrases of both.
fn keys(disk: &Disk) -> (Keyring, [Stretched; 2]) {
    let keyring = Keyring::create(disk.clone(), &secret(1)).expect("the disk does not fail");
    let typed = [b"the first one".as_slice(), b"the second one"]
        .map(|typed| keyring.stretch(typed).expect("the salts can be read"));
    for (slot, stretched) in Slot::ALL.into_iter().zip(&typed) {
        // The store of the crash runs has this key.
        let unsealed = Unsealed { slot, key: secret(2) };
        let fresh = [if slot == Slot::First { 3 } else { 4 }; 32];
        keyring.set(&unsealed, stretched, &fresh).expect("the disk does not fail");
    }
    (keyring, typed)
}

fn opens(image: &Disk, typed: &[Stretched]) -> Vec<Unsealed> {
    let keyring = Keyring::new(image.clone());
    typed.iter().filter_map(|typed| keyring.open(typed).expect("the file is there")).collect()
}

#[test]
fn after_the_erase_no_image_opens_whenever_power_goes() {
    let disk = Disk::default();
    let (keyring, typed) = keys(&disk);
    let store = CrashRun::record_under(Cover::Locked, None).expect("no fault").store();
    let key = &opens(&disk, &typed)[0].key;
    assert_eq!(*key, secret(2), "with its key the store opens");
    let sealed = store.sealed(true).expect("the disk does not fail");
    let now = thistle_engine::time::Now { tick: 1, wall: 1, boot_id: 9 };
    drop(Node::open(sealed, secret(7), 1 << 20, now).expect("with its key the store opens"));

    disk.record();
    keyring.destroy(&secret(8)).expect("the disk does not fail");
    // What panic does afterwards: once more, and the file of the store goes.
    keyring.destroy(&secret(9)).expect("the disk does not fail");
    let (journal, mut before, mut after) = (disk.journal(), 0, 0);
    for point in 0..POINTS {
        let mut crashes = journal.crashes();
        let mut seed = Seed::new(point);
        let wanted = seed.below(journal.syncs() as u64 + 1);
        while let Some(sync) = crashes.advance() {
            if sync as u64 != wanted {
                continue;
            }
            let opened = opens(&crashes.image(&mut seed), &typed);
            if sync == 0 {
                // Until the first sync is done, panic has not happened, or has, or of one copy of a slot.
                before += opened.len();
                continue;
            }
            after += 1;
            assert_eq!(opened, [], "point {point}, after {sync} syncs");
        }
    }
    assert!(before > 0, "images from before the erase do open, so that this test can fail");
    assert!(after > POINTS / 2, "{after} of {POINTS} points lie after the erase");
}

#[test]
fn a_change_that_power_cuts_off_leaves_a_passphrase_that_opens() {
    let disk = Disk::default();
    let (keyring, [old, other]) = keys(&disk);
    let new = keyring.stretch(b"another one").expect("the salts can be read");
    let unsealed = Unsealed { slot: Slot::First, key: secret(2) };
    disk.record();
    keyring.set(&unsealed, &new, &[5; 32]).expect("the disk does not fail");
    let journal = disk.journal();
    let (mut crashes, mut seen) = (journal.crashes(), [false; 4]);
    while let Some(sync) = crashes.advance() {
        for point in 0..POINTS {
            let image = crashes.image(&mut Seed::new(point));
            let found =
                [&old, &new].map(|typed| !opens(&image, std::slice::from_ref(typed)).is_empty());
            assert!(found[0] || found[1], "point {point}, after {sync} syncs: neither opens");
            assert!(
                sync < journal.syncs() || found == [false, true],
                "once done, the new one alone"
            );
            assert_eq!(
                opens(&image, std::slice::from_ref(&other)).len(),
                1,
                "the other slot stays"
            );
            seen[usize::from(found[0]) * 2 + usize::from(found[1])] = true;
            let keyring = Keyring::new(image.clone());
            let used = if found[1] { &new } else { &old };
            keyring.mend(used).expect("the disk does not fail");
            assert!(keyring.head(Slot::First).expect("it can be read").is_some(), "mended");
        }
    }
    assert_eq!(seen, [false, true, true, true], "the points lie before, within and after");
}
