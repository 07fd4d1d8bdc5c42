//! The finder of a stick: a bundle, and no secret of it.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use thistle_engine::container::is_size;
use thistle_engine::container::randomness::likelihoods;
use thistle_engine::ids;

use crate::commands::audit::Fact;
use crate::commands::bundle;
use crate::context::Context;
use crate::outcome::{CliError, Kind};
use crate::when;

/// Bytes of a file that are tested.
const TESTED: usize = 1 << 20;
/// Bytes that a bundle made for the question has at most.
const MADE: u64 = 64 << 20;
/// Random bytes have a test come out below this once in a hundred thousand files.
const ODD: f64 = 1e-6;

/// What whoever finds a file sees.
pub(super) fn facts(ctx: &mut Context, typed: Option<&Path>) -> Result<Vec<Fact>, CliError> {
    let Some(typed) = typed else {
        let bytes = bundle::in_memory(ctx, MADE)?;
        return Ok(sealed("a bundle made now", bytes.len() as u64, &bytes));
    };
    let (path, mut facts) = (ctx.path(typed), Vec::new());
    for path in bundle::files(&path, typed)? {
        ctx.check_wanted()?;
        let fault = |error: std::io::Error| {
            let shown = path.display();
            CliError::new(Kind::Input, format!("cannot read `{shown}`")).because(&error)
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(contents) = bundle::contents(&path).map_err(fault)? {
            facts.extend(plain(&name, &contents));
            continue;
        }
        let size = fs::metadata(&path).map_err(fault)?.len();
        let mut bytes = Vec::new();
        let file = File::open(&path).map_err(fault)?;
        file.take(TESTED as u64).read_to_end(&mut bytes).map_err(fault)?;
        facts.extend(sealed(&name, size, &bytes));
    }
    Ok(facts)
}

fn sealed(name: &str, size: u64, bytes: &[u8]) -> Vec<Fact> {
    let begin = &bytes[..bytes.len().min(TESTED)];
    let tests = likelihoods(begin);
    let odd = tests.iter().filter(|test| test.1 < ODD).count() as u64;
    let of = Some(tests.len() as u64);
    let told = tests.iter().map(|(test, likelihood)| format!("{test}: {likelihood:.4}"));
    let mut facts = vec![Fact::new(
        "size",
        1,
        true,
        if is_size(size) {
            "one of few sizes, each for many contents; a file of random bytes of such a size is most \
             likely a sealed bundle"
        } else {
            "no size that a whole sealed bundle has"
        },
    )
    .with([format!("{name}, {}", when::bytes(size))])];
    facts.push(if tests.is_empty() {
        Fact::new("too-small", 1, true, "too small to be told from random bytes")
    } else if odd == 0 {
        let why = "no test tells it from random bytes: no header, no count, no name; how likely \
                   random bytes are to look as odd stands beside each test";
        Fact { of, ..Fact::new("odd-tests", 0, true, why).with(told) }
    } else {
        let why = "these are no random bytes, so it is no sealed bundle, or a damaged one";
        Fact { of, ..Fact::new("odd-tests", odd, false, why).with(told) }
    });
    facts
}

fn plain(name: &str, contents: &bundle::Contents) -> Vec<Fact> {
    let why = "a plain bundle shows all that is in it to everybody; without `--plain` it is sealed";
    let public = |learned, count: u64| Fact::new(learned, count, false, why);
    let feeds = contents.feeds();
    let told = feeds
        .iter()
        .map(|(feed, entries, _)| format!("{}, {}", ids::feed_text(feed), when::entries(*entries)));
    let names: Vec<String> = feeds.iter().filter_map(|feed| feed.2.clone()).collect();
    let maker = contents.maker().map(|maker| ids::feed_text(&maker));
    vec![
        public("plain-bundle", 1).with([name.to_owned()]),
        public("maker", u64::from(maker.is_some())).with(maker),
        public("feeds", feeds.len() as u64).with(told),
        public("names", names.len() as u64).with(names),
    ]
    .into_iter()
    .filter_map(Fact::if_any)
    .collect()
}
