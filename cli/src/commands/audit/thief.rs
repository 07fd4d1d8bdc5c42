//! The thief: everything that lies on the disk of the home, read as it is.

use std::fs;
use std::io;

use crate::commands::audit::known::{Known, Sort};
use crate::commands::audit::{Fact, search};
use crate::context::Context;
use crate::home::{Home, disk_fault};
use crate::outcome::CliError;
use crate::vault::Access;
use crate::when;

/// What a thief of the disk has.
pub(super) fn facts(ctx: &mut Context) -> Result<Vec<Fact>, CliError> {
    let reader = ctx.tidy_reader()?;
    let known = Known::of(&reader).map_err(|error| ctx.host.fault(&error))?;
    drop(reader);
    let home = Home::at(ctx.host.home());
    let fault = |error: io::Error| disk_fault("read the files in", home.path(), &error);
    let (mut sizes, mut found) = (Vec::new(), Vec::new());
    for path in search::files(home.path()).map_err(fault)? {
        ctx.check_wanted()?;
        let name = path.strip_prefix(home.path()).unwrap_or(&path).to_string_lossy().into_owned();
        let numbers = match search::find_in(&path, &known.strings) {
            // What another command removed meanwhile is not on the disk.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            numbers => numbers.map_err(fault)?,
        };
        let bytes = fs::metadata(&path).map_or(0, |found| found.len());
        sizes.push(format!("{name}, {}", when::bytes(bytes)));
        found.push((name, numbers));
    }
    let is_locked = ctx.host.access().is_some_and(|access| access != Access::Plain);
    let why = "which files there are and how long; every home has a key file and a second store, used or not";
    let mut facts =
        vec![Fact::new("files", sizes.len() as u64, true, why).with(sizes), passphrase(is_locked)];
    facts.extend(known.facts(&found, |sort, count| tell(sort, count, is_locked)));
    let why = "too short to be told from chance, so they were not looked for";
    facts.extend(Fact::new("not-looked-for", known.short, false, why).if_any());
    Ok(facts)
}

fn passphrase(is_locked: bool) -> Fact {
    let (count, residual, word, why) = if is_locked {
        let why =
            "each try of a passphrase costs 64 MiB of memory; a weak one is found all the same";
        (1, true, "a passphrase is set", why)
    } else {
        let why = "without a passphrase the keys of this device lie open on the disk: set one with \
                   `thistle passphrase`";
        (0, false, "no passphrase is set", why)
    };
    Fact::new("passphrase", count, residual, why).with([word.to_owned()])
}

const fn tell(sort: Sort, count: u64, is_locked: bool) -> (bool, &'static str) {
    let why = match (count, is_locked, sort) {
        (0, true, _) => "none of them stands readable in any file of the home",
        (0, false, _) => {
            "none stands readable as it is; but the keys that open all of it lie beside it"
        }
        (_, true, _) => "they stand readable on the disk: this should not be, please report it",
        (_, false, Sort::PrivateTexts) => {
            "what was read in private is kept readable where no passphrase is set"
        }
        (_, false, _) => "they stand readable on the disk, since no passphrase is set",
    };
    (false, why)
}
