//! Goal: what README.md says is so. Method: its tour is typed, line by line, in a fresh folder, and
//! what comes out is compared with what stands there; commands, paths, tests and exit codes that it
//! names are looked up where they come from.
//!
//! In an expected line `[..]` stands for any characters; a line `[...]` for any lines, or none.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use thistle_tests::program::binary;
use thistle_tests::tree;

/// Any characters of a line.
const SOME: &str = "[..]";
/// Any lines.
const LINES: &str = "[...]";
const FENCE: &str = "```";

/// A command of the tour, and what it is said to print.
#[derive(Debug, PartialEq, Eq)]
struct Step<'a> {
    /// The line of the page, from 1.
    line: usize,
    command: &'a str,
    expected: Vec<&'a str>,
}

#[test]
fn the_tour_goes_as_the_page_says() {
    let folder = tempfile::tempdir().expect("a folder for the tour");
    let page = tree::read("README.md");
    assert!(steps(&page).len() > 10, "the page has a tour");
    let told = follow(&page, |command| typed(folder.path(), command));
    told.unwrap_or_else(|trouble| panic!("{trouble}"));
}

#[test]
fn the_main_command_does_the_main_job() {
    let page = tree::read("README.md");
    let command = "cargo run --release -p thistledown -- village";
    assert!(fenced(&page, "sh").any(|(_, line)| line == command), "`{command}` is not on the page");
    let folder = tempfile::tempdir().expect("a folder for the village");
    let (printed, code) = typed(folder.path(), "thistle village");
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("202 messages are in 8 homes"), "{printed}");
    assert!(!printed.contains('\u{1b}'), "nothing is coloured or moved where nobody watches");
    let left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["thistle-village"], "nothing but the folder is left");
    for line in printed.lines().filter_map(|line| line.strip_prefix("    $ ")).rev().take(3) {
        let (printed, code) = typed(folder.path(), line);
        assert!(code == Some(0) && !printed.is_empty(), "{line}\n{printed}");
    }
    let (printed, code) = typed(folder.path(), "thistle village");
    assert!(code == Some(1) && printed.contains("--again"), "{printed}");
    let (printed, code) = typed(folder.path(), "thistle village --again --json");
    assert_eq!((code, printed.lines().count()), (Some(0), 1), "{printed}");
}

#[test]
fn every_command_on_the_page_exists() {
    let page = tree::read("README.md");
    let here = tree::root();
    let listed = |of: &str| commands(&typed(&here, &format!("thistle {of} --help")).0);
    let (all, mut checked) = (listed(""), 0);
    for (line, words) in calls(&page) {
        let Some(first) = words.first() else { continue };
        assert!(all.contains(first), "README.md:{line}: there is no `thistle {first}`");
        if let ("bundle" | "debug", Some(second)) = (first.as_str(), words.get(1)) {
            let known = listed(first).contains(second);
            assert!(known, "README.md:{line}: there is no `thistle {first} {second}`");
        }
        checked += 1;
    }
    assert!(checked > 20, "only {checked} commands were found on the page");
}

#[test]
fn every_place_on_the_map_exists_and_none_is_left_out() {
    let page = tree::read("README.md");
    let places: BTreeSet<String> = rows(&page, "Map").map(|(_, cells)| bare(cells[0])).collect();
    let missing = |place: &&String| !tree::root().join(place).exists();
    assert_eq!(places.iter().find(missing), None, "there is no such place");
    let folders = tree::top_level().into_iter().filter(|name| !name.starts_with('.'));
    let folders = folders.filter(|name| tree::root().join(name).is_dir());
    let left_out = folders.map(|name| name + "/").find(|name| !places.contains(name));
    assert_eq!(left_out, None, "not on the map of README.md");
}

#[test]
fn the_tests_are_run_by_the_command_that_the_check_runs() {
    let (page, check) = (tree::read("README.md"), tree::read(".ci/run"));
    let command = check.lines().find_map(|line| line.strip_prefix("tests=(")?.strip_suffix(')'));
    let command = command.expect("`.ci/run` says what the tests are");
    let found = fenced(&page, "sh").any(|(_, line)| line == command);
    assert!(found, "README.md should say `{command}`, as .ci/run does");
}

#[test]
fn every_test_that_shows_a_promise_exists() {
    let page = tree::read("README.md");
    let tests: BTreeSet<String> =
        tree::rust_files().iter().flat_map(|(_, code)| names(code)).collect();
    let mut checked = 0;
    for (line, cells) in rows(&page, "What is promised") {
        let named: Vec<String> = cells[1].split(", ").map(bare).collect();
        let missing = named.iter().find(|name| !tests.contains(*name));
        assert_eq!(missing, None, "README.md:{line}: there is no such test");
        checked += named.len();
    }
    assert!(checked > 6, "only {checked} tests are named");
}

#[test]
fn every_test_that_shows_a_defence_exists() {
    let page = tree::read("schemas/threats.md");
    let tests: BTreeSet<String> =
        tree::rust_files().iter().flat_map(|(_, code)| names(code)).collect();
    let (mut checked, mut requirements) = (0, 0);
    for (heading, column) in [("Defences by name", 2), ("The twenty requirements", 2)] {
        for (line, cells) in rows(&page, heading) {
            requirements += usize::from(cells.len() == 4);
            for named in cells[column..].iter().flat_map(|cell| coded(cell)) {
                let exists = if named.contains('/') {
                    tree::root().join(named).exists()
                } else {
                    tests.contains(named)
                };
                assert!(exists, "schemas/threats.md:{line}: there is no `{named}`");
                checked += 1;
            }
        }
    }
    assert_eq!(requirements, 20);
    assert!(checked > 80, "only {checked} tests are named");
}

/// What stands between backticks.
fn coded(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_exit_codes_are_those_of_the_program() {
    let page = tree::read("README.md");
    let told: Vec<String> =
        rows(&page, "Exit codes").map(|(_, cells)| format!("{} {}", cells[0], cells[1])).collect();
    let help = typed(&tree::root(), "thistle --help").0;
    let (_, list) = help.split_once("Exit codes:\n").expect("the help lists exit codes");
    let known: Vec<String> =
        list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(told, known);
}

// ---- The tour ----

/// Types a command; returns all that it printed, and its exit code.
fn typed(folder: &Path, command: &str) -> (String, Option<i32>) {
    let beside = binary().parent().expect("a program stands in a folder");
    let system = env::var_os("PATH").unwrap_or_default();
    let paths = [beside.to_owned()].into_iter().chain(env::split_paths(&system));
    let ran = Command::new("sh")
        .args(["-c", &format!("{{ {command}\n}} 2>&1")])
        .current_dir(folder)
        .env_clear()
        .env("PATH", env::join_paths(paths).expect("paths can be joined"))
        .env("HOME", folder)
        .env("TZ", "UTC")
        .env("COLUMNS", "80")
        .stdin(Stdio::null())
        .output()
        .expect("a shell can be started");
    (String::from_utf8_lossy(&ran.stdout).into_owned(), ran.status.code())
}

/// Takes every step of the tour; says what came out otherwise than the page says.
fn follow(page: &str, mut typed: impl FnMut(&str) -> (String, Option<i32>)) -> Result<(), String> {
    for Step { line, command, expected } in steps(page) {
        let (printed, code) = typed(command);
        let lines: Vec<&str> = printed.trim_end().lines().collect();
        if code != Some(0) || !fits(&expected, &lines) {
            let expected = expected.join("\n");
            return Err(format!(
                "README.md:{line}: `{command}` ended with {code:?} and printed\n{printed}\n\
                 -- the page says\n{expected}\n"
            ));
        }
    }
    Ok(())
}

/// The steps in the blocks marked `console`.
fn steps(page: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    let mut last = 0;
    for (line, text) in fenced(page, "console") {
        if let Some(command) = text.strip_prefix("$ ") {
            steps.push(Step { line, command, expected: Vec::new() });
        } else {
            let step = steps.last_mut().filter(|_| line == last + 1);
            step.unwrap_or_else(|| panic!("README.md:{line}: output before any command"))
                .expected
                .push(text);
        }
        last = line;
    }
    for Step { expected, .. } in &mut steps {
        while expected.last().is_some_and(|line| line.is_empty()) {
            expected.pop();
        }
    }
    steps
}

/// The lines within fenced blocks of a language, with their numbers.
fn fenced<'a>(page: &'a str, language: &str) -> impl Iterator<Item = (usize, &'a str)> {
    let mut inside: Option<bool> = None;
    page.lines().zip(1..).filter_map(move |(text, line)| match (text.strip_prefix(FENCE), inside) {
        (Some(word), None) => {
            inside = Some(word == language);
            None
        }
        (Some(_), Some(_)) => {
            inside = None;
            None
        }
        (None, _) => inside.is_some_and(|ours| ours).then_some((line, text)),
    })
}

/// Whether lines are as expected.
fn fits(expected: &[&str], lines: &[&str]) -> bool {
    match (expected.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((&LINES, rest)), _) => (0..=lines.len()).any(|skip| fits(rest, &lines[skip..])),
        (Some((first, rest)), Some((line, others))) => line_fits(first, line) && fits(rest, others),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// Whether a line is as expected.
fn line_fits(expected: &str, line: &str) -> bool {
    let Some((start, rest)) = expected.split_once(SOME) else { return expected == line };
    line.strip_prefix(start).is_some_and(|line| {
        let ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
        ends.into_iter().any(|at| line_fits(rest, &line[at..]))
    })
}

// ---- What the page names ----

/// Calls of the program anywhere in code: the line, and the words that are neither options nor
/// their values.
fn calls(page: &str) -> Vec<(usize, Vec<String>)> {
    let fenced: BTreeSet<usize> = ["sh", "console"]
        .iter()
        .flat_map(|language| fenced(page, language))
        .map(|(line, _)| line)
        .collect();
    let mut calls = Vec::new();
    for (text, line) in page.lines().zip(1..) {
        let codes: Vec<&str> = if fenced.contains(&line) {
            vec![text.trim_start_matches("$ ")]
        } else {
            // Every second piece stands between backticks.
            text.split('`').skip(1).step_by(2).collect()
        };
        let call = |code: &&str| code.strip_prefix("thistle ").map(plain_words);
        calls.extend(codes.iter().filter_map(call).map(|words| (line, words)));
    }
    calls
}

/// The words of a call before its first option but `--home` and `--json`.
fn plain_words(call: &str) -> Vec<String> {
    let mut words = call.split_whitespace();
    let mut plain = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "--home" => drop(words.next()),
            "--json" => {}
            _ if word.starts_with('-') => break,
            _ => plain.push(word.to_owned()),
        }
    }
    plain
}

/// The commands that a help lists.
fn commands(help: &str) -> BTreeSet<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let list = list.take_while(|line| !line.is_empty());
    let named = list.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    named.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The rows of the table under a heading, its own heading left out.
fn rows<'a>(page: &'a str, heading: &str) -> impl Iterator<Item = (usize, Vec<&'a str>)> {
    let heading = format!("## {heading}");
    let lines = page.lines().zip(1..).skip_while(move |(text, _)| **text != *heading).skip(1);
    let table = lines.take_while(|(text, _)| !text.starts_with("## "));
    table
        .filter(|(text, _)| text.starts_with('|'))
        .skip(2)
        .map(|(text, line)| (line, text.trim_matches('|').split('|').map(str::trim).collect()))
}

fn bare(code: &str) -> String {
    code.trim().trim_matches('`').to_owned()
}

/// Names of tests in a file.
fn names(code: &str) -> Vec<String> {
    let code = code.replace("#[tokio::test", "#[test]");
    let after = code.split("#[test]").skip(1);
    let name = |text: &str| Some(text.split_once("fn ")?.1.split_once('(')?.0.to_owned());
    after.filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "a\n```console\n$ one\nalpha [..] z\n$ two\n[...]\nend\n```\n\n```sh\n$ no\n```\n";

    fn printing(two: &'static str) -> impl FnMut(&str) -> (String, Option<i32>) {
        move |command| {
            let printed = if command == "one" { "alpha 1 z\n" } else { two };
            (printed.to_owned(), Some(0))
        }
    }

    #[test]
    fn steps_are_read_with_their_lines() {
        let expected = [
            Step { line: 3, command: "one", expected: vec!["alpha [..] z"] },
            Step { line: 5, command: "two", expected: vec!["[...]", "end"] },
        ];
        assert_eq!(steps(PAGE), expected);
    }

    #[test]
    fn a_wrong_output_is_caught_and_its_line_named() {
        assert_eq!(follow(PAGE, printing("b\nc\nend\n\n")), Ok(()));
        assert_eq!(follow(PAGE, printing("end")), Ok(()));
        for wrong in ["", "b\n", "end\nmore"] {
            let trouble = follow(PAGE, printing(wrong)).unwrap_err();
            assert!(trouble.starts_with("README.md:5: `two`"), "{trouble}");
        }
        let trouble = follow(PAGE, |_| ("alpha 1 z".to_owned(), Some(3))).unwrap_err();
        assert!(trouble.starts_with("README.md:3: `one` ended with Some(3)"), "{trouble}");
    }

    #[test]
    fn wildcards_stay_within_their_line() {
        assert!(line_fits("a[..]b[..]c", "a1b22bc") && line_fits("[..]", ""));
        assert!(!line_fits("a[..]b", "a1bc") && !line_fits("a", "ab"));
        assert!(!fits(&["a", "[...]", "b"], &["a", "x"]) && !fits(&["[..]"], &["a", "b"]));
    }

    #[test]
    fn calls_are_found_in_spans_and_blocks() {
        let page =
            "Run `thistle --home a read x`, not `thistle`.\n```sh\nthistle bundle read -n 1\n```\n";
        let words =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(calls(page), [(1, words(&["read", "x"])), (3, words(&["bundle", "read"]))]);
    }

    #[test]
    fn what_is_coded_is_found() {
        assert_eq!(coded("a `b`, `c d`; e").collect::<Vec<_>>(), ["b", "c d"]);
    }

    #[test]
    fn rows_are_those_of_one_table() {
        let page = "## A\n\n| h | i |\n| - | - |\n| `a` | b |\n\n## B\n\n| c |\n";
        assert_eq!(rows(page, "A").collect::<Vec<_>>(), [(5, vec!["`a`", "b"])]);
    }
}
