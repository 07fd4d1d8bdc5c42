//! The rules of this repository that a reviewer would otherwise have to remember.
//!
//! Each rule is a function from text to a list of problems; one test runs it over the repository,
//! and the unit tests at the bottom show on made-up text that it can fail. A message names the
//! file, the rule, and what to do. What clippy can check is left to clippy.

use std::collections::BTreeMap;

use thistle_tests::source::{code_only, line_of, lines_with_word, names_under, without_tests};
use thistle_tests::tree;

type Problems = Vec<String>;

/// The folders and files of the top level; nothing else may stand there.
const TOP_FOLDERS: &[&str] =
    &[".ci", ".git", "cli", "engine", "fuzz", "schemas", "simulations", "tests", "transports"];
const TOP_FILES: &[&str] = &[
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "rustfmt.toml",
];

/// Each crate: its folder, its name, and which of the others it may depend on.
const CRATES: &[(&str, &str, &[&str])] = &[
    ("engine", "thistle-engine", &[]),
    ("transports", "thistle-transports", &[]),
    ("cli", "thistledown", &["thistle-engine", "thistle-transports"]),
    ("simulations", "thistle-simulations", &["thistle-engine"]),
    (
        "tests",
        "thistle-tests",
        &["thistle-engine", "thistle-simulations", "thistle-transports", "thistledown"],
    ),
];
const ENGINE_DEPENDENCIES: usize = 16;
const ENGINE_REFUSES: &[&str] = &["anyhow", "rand", "serde", "tokio", "tracing"];

/// The engine's files by floor. A file may name files of lower floors and, on its own floor, those
/// to its left; so there is no way round. A folder counts as one file.
const FLOORS: &[&[&str]] = &[
    &["limits", "time", "codec", "key"],
    &["entry", "content", "account", "segment", "fork", "ids"],
    &["frontier", "policy", "order", "reconcile", "seal"],
    &["bundle", "session", "container"],
    &["store"],
    &["ingest", "own", "sealing"],
    &["reader"],
    &["node"],
];

/// Third-party crates and the only files of the engine that may name them.
const NAMED_ONLY_IN: &[(&str, &[&str])] = &[
    ("aes", &["key"]),
    ("aes_gcm_siv", &["key"]),
    ("argon2", &["key"]),
    ("bech32", &["ids"]),
    ("bip39", &["account"]),
    ("blake3", &["key"]),
    ("ed25519_dalek", &["key"]),
    ("hpke", &["key"]),
    ("minicbor", &["codec"]),
    ("redb", &["store", "lib", "node"]),
    ("x25519_dalek", &["key"]),
];

/// What the engine takes as arguments instead.
const OUTSIDE_WORLD: &[&str] = &["env", "fs", "net", "process", "thread"];

/// The only file that may look at whether a fuzzer is built; there, signatures have a stand-in.
const FUZZING_ONLY_IN: &str = "engine/src/key.rs";

const FILE_LINES: usize = 900;
const ENGINE_NAMES: usize = 70;

#[test]
fn the_top_level_is_flat_and_complete() {
    settle(top_level(&tree::top_level()));
}

#[test]
fn dependencies_point_one_way() {
    let of = |(folder, ..): &(&str, &str, &[&str])| {
        (folder.to_string(), tree::read(&format!("{folder}/Cargo.toml")))
    };
    settle(dependency_direction(&CRATES.iter().map(of).collect::<BTreeMap<_, _>>()));
}

#[test]
fn every_dependency_says_why_it_is_here() {
    settle(unexplained_dependencies(&tree::read("Cargo.toml")));
}

#[test]
fn every_test_file_is_declared() {
    let files: Vec<String> = tree::files();
    settle(undeclared_tests(&tree::read("tests/Cargo.toml"), &files));
}

#[test]
fn the_engine_is_built_in_floors() {
    let files = engine_files();
    settle([floors(&files), third_party(&files), outside_world(&files)].concat());
}

#[test]
fn the_floors_are_those_that_contributors_read_about() {
    settle(floors_page(&tree::read("CONTRIBUTING.md")));
}

#[test]
fn the_engine_shows_little() {
    settle(shown_names(&tree::read("engine/src/lib.rs")));
}

#[test]
fn rust_files_are_introduced_short_and_finished() {
    let files = tree::rust_files();
    settle(files.iter().flat_map(|(path, text)| rust_file(path, text)).collect());
}

#[test]
fn signatures_have_a_stand_in_for_fuzzers_alone() {
    let files = tree::rust_files();
    let named: Vec<&str> =
        files.iter().filter(|file| asks_for_fuzzer(file)).map(|it| it.0.as_str()).collect();
    assert_eq!(named, [FUZZING_ONLY_IN], "`cfg(fuzzing)` is for this file alone");
    // Nor does any build of ours set it: only `cargo fuzz` does, from outside.
    let texts = tree::texts().into_iter();
    settle(texts.flat_map(|(path, text)| fuzzing_set(&path, &text)).collect());
}

#[test]
fn no_file_knows_a_machine() {
    settle(tree::texts().iter().flat_map(|(path, text)| machine_paths(path, text)).collect());
}

/// Fails with every problem at once.
fn settle(problems: Problems) {
    assert!(problems.is_empty(), "{} to settle:\n  {}", problems.len(), problems.join("\n  "));
}

fn engine_files() -> BTreeMap<String, String> {
    let in_engine = |(path, text): (String, String)| {
        Some((path.strip_prefix("engine/src/")?.to_owned(), code_only(&text)))
    };
    tree::rust_files().into_iter().filter_map(in_engine).collect()
}

// ---- The top level ----

fn top_level(names: &[String]) -> Problems {
    let expected = || TOP_FOLDERS.iter().chain(TOP_FILES);
    let extra = names.iter().filter(|name| !expected().any(|known| known == name)).map(|name| {
        format!("{name}: does not belong at the top; move it into a folder, or add it to tidy.rs")
    });
    let missing = expected()
        // An archive of the sources has no history.
        .filter(|known| **known != ".git" && !names.iter().any(|name| name == *known))
        .map(|known| format!("{known}: missing from the top level; add it"));
    extra.chain(missing).collect()
}

// ---- Manifests ----

#[derive(Debug, Clone, PartialEq, Eq)]
struct Dependency {
    name: String,
    /// For tests only.
    is_dev: bool,
}

fn dependencies(manifest: &str) -> Vec<Dependency> {
    let (mut section, mut found) = (String::new(), Vec::new());
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            header.trim_end_matches(']').clone_into(&mut section);
            // `[dependencies.name]` is one dependency with a section of its own.
            if let Some((kind, name)) = section.rsplit_once('.')
                && kind.ends_with("dependencies")
            {
                found.push(Dependency { name: name.to_owned(), is_dev: kind.contains("dev-") });
            }
        } else if section.ends_with("dependencies")
            && let Some(name) = key_of(line)
        {
            found.push(Dependency { name: name.to_owned(), is_dev: section.contains("dev-") });
        }
    }
    found
}

/// The `name` of `name = ...` or `name.workspace = true`.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=')?;
    let key = key.trim().split('.').next()?.trim_matches('"');
    (!key.is_empty() && !key.starts_with('#')).then_some(key)
}

fn dependency_direction(manifests: &BTreeMap<String, String>) -> Problems {
    let mut problems = Problems::new();
    for (folder, _, allowed) in CRATES {
        let Some(manifest) = manifests.get(*folder) else {
            continue;
        };
        let path = format!("{folder}/Cargo.toml");
        let found = dependencies(manifest);
        for Dependency { name, .. } in &found {
            let is_ours = CRATES.iter().any(|(_, ours, _)| ours == name);
            if is_ours && !allowed.contains(&name.as_str()) {
                problems.push(format!(
                    "{path}: depends on {name}; dependencies point one way: let `cli` join the two"
                ));
            }
            if name == "anyhow" {
                problems.push(format!("{path}: depends on anyhow; give the error a type"));
            } else if *folder == "engine" && ENGINE_REFUSES.contains(&name.as_str()) {
                problems.push(format!(
                    "{path}: depends on {name}; the engine takes what it needs as arguments"
                ));
            }
        }
        let direct = found.iter().filter(|dependency| !dependency.is_dev).count();
        if *folder == "engine" && direct > ENGINE_DEPENDENCIES {
            problems.push(format!(
                "{path}: {direct} dependencies, {ENGINE_DEPENDENCIES} allowed; drop one"
            ));
        }
        if !manifest.contains("[lints]\nworkspace = true") {
            problems.push(format!("{path}: add `[lints]` with `workspace = true`"));
        }
    }
    problems
}

/// A dependency stands under a comment of its own, or beside its family: `clap`, `clap_complete`.
fn unexplained_dependencies(manifest: &str) -> Problems {
    let (mut inside, mut explained_family, mut problems) = (false, None, Problems::new());
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[workspace.dependencies]";
        } else if inside && line.starts_with('#') {
            explained_family = Some(String::new());
        } else if inside && let Some(name) = key_of(line) {
            let family = name.split(['-', '_']).next().unwrap_or(name).to_owned();
            // An empty family: the line above is the comment.
            let is_explained =
                explained_family.as_ref().is_some_and(|known| known.is_empty() || *known == family);
            if !is_explained && !line.contains("path =") {
                problems.push(format!("Cargo.toml: say in a comment above why {name} is needed"));
            }
            explained_family = Some(family);
        }
    }
    problems
}

fn undeclared_tests(manifest: &str, files: &[String]) -> Problems {
    let is_declared = |file: &str| manifest.contains(&format!("\npath = \"{file}\"\n"));
    files
        .iter()
        .filter_map(|path| path.strip_prefix("tests/"))
        .filter(|file| !file.contains('/') && file.ends_with("rs") && !is_declared(file))
        .map(|file| format!("tests/{file}: never runs; add a `[[test]]` to tests/Cargo.toml"))
        .collect()
}

// ---- The engine ----

/// The file's word in [`FLOORS`]: `store` for `store/tables.rs`, `entry` for `entry/tests.rs`.
fn room(path: &str) -> &str {
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

/// Floor, and place on it.
fn floor_of(room: &str) -> Option<(usize, usize)> {
    let place = |names: &&[&str]| names.iter().position(|name| *name == room);
    FLOORS.iter().enumerate().find_map(|(floor, names)| Some((floor, place(names)?)))
}

fn floors(files: &BTreeMap<String, String>) -> Problems {
    let mut problems = Problems::new();
    for (path, code) in files.iter().filter(|(path, _)| *path != "lib.rs") {
        let own_room = room(path);
        let Some(own) = floor_of(own_room) else {
            problems.push(format!("engine/src/{path}: has no floor; give it one in tidy.rs"));
            continue;
        };
        for (line, name) in names_under(code, "crate") {
            let trouble = match floor_of(&name) {
                _ if name == own_room => continue,
                Some(named) if named < own => continue,
                Some(_) => "stands higher; turn the dependency round, or move what is shared down",
                None => "is not a file; name the file it comes from",
            };
            problems.push(format!("engine/src/{path}:{line}: `crate::{name}` {trouble}"));
        }
        if !path.contains('/') {
            let lines = names_under(without_tests(code), "super");
            problems.extend(lines.into_iter().map(|(line, name)| {
                format!("engine/src/{path}:{line}: write `crate::{name}`, not `super::{name}`")
            }));
        }
    }
    problems
}

/// The same table in `CONTRIBUTING.md`, top floor first.
fn floors_page(page: &str) -> Problems {
    let row = |(floor, names): (usize, &&[&str])| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        format!("| {floor} | {} |", names.join(", ")).replace("`store`", "`store/`")
    };
    let rows: Vec<String> = FLOORS.iter().enumerate().rev().map(row).collect();
    if page.contains(&format!("\n{}\n\n", rows.join("\n"))) {
        return Problems::new();
    }
    vec![format!("CONTRIBUTING.md: the table of floors should be:\n{}", rows.join("\n"))]
}

fn third_party(files: &BTreeMap<String, String>) -> Problems {
    let mut problems = Problems::new();
    for (path, code) in files {
        for (name, rooms) in NAMED_ONLY_IN {
            if rooms.contains(&room(path)) {
                continue;
            }
            problems.extend(lines_with_word(code, name).into_iter().map(|line| {
                format!(
                    "engine/src/{path}:{line}: names {name}, which only {} may; ask that file for \
                     what is needed",
                    rooms.join(", ")
                )
            }));
        }
    }
    problems
}

fn outside_world(files: &BTreeMap<String, String>) -> Problems {
    let named = |path: &str, code: &str| -> Problems {
        names_under(code, "std")
            .into_iter()
            .filter(|(_, name)| OUTSIDE_WORLD.contains(&name.as_str()))
            .map(|(line, name)| {
                format!(
                    "engine/src/{path}:{line}: names `std::{name}`; the engine is a function of \
                     its inputs: take it as an argument"
                )
            })
            .collect()
    };
    files.iter().flat_map(|(path, code)| named(path, code)).collect()
}

fn shown_names(lib: &str) -> Problems {
    let code = code_only(lib);
    let (mut count, mut problems) = (0, Problems::new());
    for statement in without_tests(&code).split(';') {
        for (start, _) in statement.match_indices("pub ") {
            let item = statement[start + 4..].trim_start();
            if !item.starts_with("use ") {
                count += 1;
                continue;
            }
            count += 1 + item.matches(',').count() - item.matches(",\n}").count();
            if item.contains('*') {
                problems.push(format!(
                    "engine/src/lib.rs: `pub {}` shows everything; list the names",
                    item.trim()
                ));
            }
        }
    }
    if count > ENGINE_NAMES {
        problems.push(format!(
            "engine/src/lib.rs: {count} public names, {ENGINE_NAMES} allowed; hide some"
        ));
    }
    problems
}

// ---- Every Rust file ----

fn rust_file(path: &str, text: &str) -> Problems {
    let mut problems = Problems::new();
    if !text.starts_with("//!") {
        problems.push(format!("{path}:1: open the file with `//!`: what it is and why it exists"));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES {
        problems.push(format!("{path}: {lines} lines, {FILE_LINES} allowed; split it by subject"));
    }
    let code = code_only(text);
    for (word, advice) in unfinished_code() {
        problems.extend(
            code.match_indices(word.as_str())
                .map(|(at, _)| format!("{path}:{}: `{word}`: {advice}", line_of(&code, at))),
        );
    }
    for word in [concat!("FIX", "ME"), concat!("XX", "X")] {
        let found = lines_with_word(text, word).into_iter();
        problems.extend(found.map(|line| format!("{path}:{line}: settle what `{word}` says")));
    }
    if !path.ends_with("/tests.rs")
        && let Some(at) = without_tests(&code).find("use super::*")
    {
        let line = line_of(&code, at);
        problems.push(format!("{path}:{line}: `use super::*` outside tests; list the names"));
    }
    problems
}

/// What must not be left in code. Written apart, so that a search for it does not find this file.
fn unfinished_code() -> Vec<(String, &'static str)> {
    let finish = "finish it, or leave it out";
    vec![
        (["to", "do!("].concat(), finish),
        (["unimple", "mented!("].concat(), finish),
        (["db", "g!("].concat(), "take the trace out again"),
        (["#[ig", "nore"].concat(), "a test that never runs proves nothing: mend it or drop it"),
        (["allow(dead", "_code"].concat(), "remove what nothing uses"),
    ]
}

/// Whether a file's code asks if a fuzzer is built.
fn asks_for_fuzzer((_, text): &(String, String)) -> bool {
    !lines_with_word(&code_only(text), "fuzzing").is_empty()
}

// ---- Every text ----

fn fuzzing_set(path: &str, text: &str) -> Problems {
    // Written apart, so that this file does not find itself.
    let flag = [["--", "cfg"].concat(), "fuzzing".to_owned()];
    let sets = |line: &&str| {
        let words: Vec<&str> = line.split(|c: char| !(c.is_alphanumeric() || c == '-')).collect();
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        words.windows(2).any(|pair| pair == flag)
    };
    let found = text.lines().zip(1..).filter(|(line, _)| sets(line));
    found
        .map(|(_, line)| format!("{path}:{line}: accepts forged signatures; take it out"))
        .collect()
}

fn machine_paths(path: &str, text: &str) -> Problems {
    let folders = ["home", "root", "work"].map(|folder| ["/", folder, "/"].concat());
    let mut problems = Problems::new();
    for folder in &folders {
        for (at, _) in text.match_indices(folder.as_str()) {
            let before = text[..at].chars().next_back();
            // Part of a longer path, as in `cli/src` + folder: not a machine's.
            if before.is_some_and(|c| c.is_alphanumeric() || "_-.}>)".contains(c)) {
                continue;
            }
            let line = line_of(text, at);
            problems
                .push(format!("{path}:{line}: `{folder}` is one machine's; use a relative path"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails unless there is exactly one problem, and it says this.
    #[track_caller]
    fn only(problems: Problems, says: &str) {
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(says), "{problems:?} should say {says}");
    }

    fn files(files: &[(&str, &str)]) -> BTreeMap<String, String> {
        files.iter().map(|(path, text)| ((*path).to_owned(), code_only(text))).collect()
    }

    fn expected_top_level() -> Vec<String> {
        TOP_FOLDERS.iter().chain(TOP_FILES).map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn top_level_finds_extra_and_missing_names() {
        let mut names = expected_top_level();
        assert_eq!(top_level(&names), Problems::new());
        names.push("notes.txt".to_owned());
        only(top_level(&names), "notes.txt: does not belong");
        names.retain(|name| name != "notes.txt" && name != "README.md" && name != ".git");
        only(top_level(&names), "README.md: missing");
    }

    const LINTS: &str = "\n[lints]\nworkspace = true\n";

    fn direction(folder: &str, manifest: &str) -> Problems {
        let manifest = format!("{manifest}{LINTS}");
        dependency_direction(&BTreeMap::from([(folder.to_owned(), manifest)]))
    }

    #[test]
    fn dependencies_are_read_in_every_spelling() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = \"1\"\n\
                        # c = \"1\"\n[dev-dependencies]\nd = { path = \"d\" }\n\
                        [target.'cfg(unix)'.dependencies]\ne = \"1\"\n[dependencies.f]\npath = \"f\"";
        let found = dependencies(manifest);
        let names: Vec<_> = found.iter().map(|found| (found.name.as_str(), found.is_dev)).collect();
        assert_eq!(names, [("a", false), ("b", false), ("d", true), ("e", false), ("f", false)]);
    }

    #[test]
    fn direction_is_checked_for_every_crate() {
        for (folder, name) in [
            ("engine", "thistle-transports"),
            ("engine", "thistledown"),
            ("transports", "thistle-engine"),
            ("transports", "thistledown"),
            ("simulations", "thistle-transports"),
            ("cli", "thistle-tests"),
        ] {
            let manifest = format!("[dependencies]\n{name}.workspace = true\n");
            only(direction(folder, &manifest), &format!("{folder}/Cargo.toml: depends on {name}"));
            let manifest = format!("[dev-dependencies]\n{name} = {{ path = \"..\" }}\n");
            only(direction(folder, &manifest), name);
        }
        let allowed = "[dependencies]\nthistle-engine.workspace = true\n";
        assert_eq!(direction("simulations", allowed), Problems::new());
    }

    #[test]
    fn refused_and_too_many_dependencies_are_found() {
        for name in ENGINE_REFUSES {
            only(direction("engine", &format!("[dependencies]\n{name} = \"1\"\n")), name);
        }
        only(direction("cli", "[dev-dependencies]\nanyhow = \"1\"\n"), "give the error a type");
        assert_eq!(direction("cli", "[dependencies]\nserde = \"1\"\n"), Problems::new());
        let many = (0..17).fold("[dependencies]\n".to_owned(), |all, n| format!("{all}d{n} = 1\n"));
        only(direction("engine", &many), "17 dependencies, 16 allowed");
        let manifests = BTreeMap::from([("cli".to_owned(), "[package]\n".to_owned())]);
        only(dependency_direction(&manifests), "[lints]");
    }

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let head = "[workspace.dependencies]\n";
        let good = "# Why.\nclap = \"4\"\nclap_mangen = \"1\"\n# Other.\nredb = \"4\"\n";
        assert_eq!(unexplained_dependencies(&format!("{head}{good}")), Problems::new());
        only(unexplained_dependencies(&format!("{head}{good}serde = \"1\"\n")), "serde");
        only(unexplained_dependencies(&format!("{head}redb = \"4\"\n")), "redb");
        let ours = format!("{head}thistle-engine = {{ path = \"engine\" }}\n[other]\nx = 1\n");
        assert_eq!(unexplained_dependencies(&ours), Problems::new());
    }

    #[test]
    fn a_forgotten_test_file_is_found() {
        let manifest = "[[test]]\nname = \"a\"\npath = \"a.rs\"\n";
        let paths = ["tests/a.rs", "tests/src/lib.rs", "tests/b.rs", "cli/c.rs"];
        only(undeclared_tests(manifest, &paths.map(str::to_owned)), "tests/b.rs: never runs");
    }

    #[test]
    fn naming_upwards_is_found() {
        let good = [
            ("lib.rs", "pub use crate::node::Node;"),
            ("entry.rs", "use crate::{codec::Reader, key}; // use crate::node::Node;"),
            ("segment.rs", "use crate::entry::Entry;"),
            ("store/mod.rs", "mod tables; use crate::store::tables; use super::x;"),
        ];
        assert_eq!(floors(&files(&good)), Problems::new());
        for (path, code, says) in [
            ("entry.rs", "\nuse crate::{codec, node::Node};", "entry.rs:2: `crate::node` stands"),
            ("entry.rs", "use crate::segment::Segment;", "`crate::segment` stands higher"),
            ("store/tables.rs", "fn f() { crate::ingest::g() }", "`crate::ingest` stands higher"),
            ("entry.rs", "use crate::EntryId;", "`crate::EntryId` is not a file"),
            ("entry.rs", "use crate::*;", "`crate::*` is not a file"),
            ("entry.rs", "use super::node;", "write `crate::node`"),
            ("helpers.rs", "", "has no floor"),
            ("extra/mod.rs", "", "has no floor"),
        ] {
            only(floors(&files(&[(path, code)])), says);
        }
    }

    #[test]
    fn an_outdated_page_about_floors_is_found() {
        let message = floors_page("").remove(0);
        let (_, table) = message.split_once('\n').unwrap();
        assert_eq!(floors_page(&format!("x\n{table}\n\ny")), Problems::new());
        only(floors_page(&format!("x\n{table}\n| 8 | `roof` |\n\n")), "should be");
        only(floors_page(&format!("x\n{}\n\n", table.replace("codec", "code"))), "should be");
    }

    #[test]
    fn third_party_crates_stay_in_their_files() {
        for (name, rooms) in NAMED_ONLY_IN {
            let code = format!("use {name}::X;");
            for room in *rooms {
                assert_eq!(third_party(&files(&[(&format!("{room}.rs"), &code)])), Problems::new());
            }
            only(third_party(&files(&[("time.rs", &code)])), &format!("names {name}"));
        }
        assert_eq!(third_party(&files(&[("time.rs", "//! redb\n\"redb\"")])), Problems::new());
    }

    #[test]
    fn the_outside_world_is_found() {
        for code in ["use std::fs;", "use std::{fmt, thread::spawn};", "let x = std::env::var(y);"]
        {
            only(outside_world(&files(&[("time.rs", code)])), "take it as an argument");
        }
        let harmless = "use std::{fmt, io}; let x = env!(y);";
        assert_eq!(outside_world(&files(&[("time.rs", harmless)])), Problems::new());
    }

    #[test]
    fn shown_names_are_counted_and_globs_found() {
        let some = |count: usize| {
            let names: Vec<String> = (0..count).map(|n| format!("N{n}")).collect();
            format!("pub mod a;\npub use b::{{\n    {},\n}};\npub use c::D;\n", names.join(", "))
        };
        assert_eq!(shown_names(&some(68)), Problems::new());
        only(shown_names(&some(69)), "71 public names, 70 allowed");
        only(shown_names("pub use a::*;"), "list the names");
    }

    #[test]
    fn rust_files_are_checked() {
        assert_eq!(rust_file("a.rs", "//! A.\nfn f() {}\n"), Problems::new());
        only(rust_file("a.rs", "fn f() {}\n"), "a.rs:1: open the file");
        let long = format!("//! A.\n{}", "\n".repeat(900));
        only(rust_file("a.rs", &long), "901 lines, 900 allowed");
        for (word, advice) in unfinished_code() {
            let text = format!("//! A.\n\nfn f() {{ {word}) }}\n");
            only(rust_file("a.rs", &text), &format!("a.rs:3: `{word}`: {advice}"));
            let quoted = format!("//! A.\nlet x = \"{word}\"; // {word}\n");
            assert_eq!(rust_file("a.rs", &quoted), Problems::new());
        }
        let note = ["//! A.\n// FIX", "ME: later\n"].concat();
        only(rust_file("a.rs", &note), "a.rs:2: settle");
        let glob = "//! A.\nmod b { use super::*; }\n";
        only(rust_file("a.rs", glob), "a.rs:2: `use super::*` outside tests");
        let tests = "//! A.\n#[cfg(test)]\nmod tests { use super::*; }\n";
        assert_eq!(rust_file("a.rs", tests), Problems::new());
    }

    #[test]
    fn a_stand_in_elsewhere_is_found() {
        let file = |text: &str| ("a.rs".to_owned(), text.to_owned());
        for code in ["#[cfg(fuzzing)]", "#[cfg(not(fuzzing))]", "if cfg!(all(x, fuzzing)) {}"] {
            assert!(asks_for_fuzzer(&file(code)), "{code}");
        }
        assert!(!asks_for_fuzzer(&file("// cfg(fuzzing)\nlet x = \"fuzzing\"; use fuzzing_x;")));
        let set = ["rustflags = [\"--", "cfg\", \"fuzzing\"]"].concat();
        only(fuzzing_set("config.toml", &set), "config.toml:1: accepts forged");
        assert_eq!(fuzzing_set("a.md", "`cfg(fuzzing)` is set by the fuzzer"), Problems::new());
    }

    #[test]
    fn machine_paths_are_found() {
        let path = ["see /", "home/ann/x"].concat();
        only(machine_paths("a.md", &path), "a.md:1: `/");
        let path = ["x\n\"/", "work/y\""].concat();
        only(machine_paths("a.md", &path), "a.md:2: `/");
        let longer = ["cli/src/", "home/mod.rs and $XDG/", "work/"].concat();
        assert_eq!(machine_paths("a.md", &longer), Problems::new());
    }
}
