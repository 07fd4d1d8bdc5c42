//! The limits in the code are those of the specification, one by one.
//!
//! `engine/src/limits.rs` and the table in `schemas/README.md` are read as text and compared; the
//! unit tests at the bottom show on made-up text that a difference is found.

use std::collections::{BTreeMap, BTreeSet};

use thistle_tests::source::{code_only, without_tests};
use thistle_tests::tree;

type Problems = Vec<String>;

#[test]
fn limits_are_those_of_the_specification() {
    let found = limits(&tree::read("engine/src/limits.rs"), &tree::read("schemas/README.md"));
    assert!(found.is_empty(), "{} to settle:\n  {}", found.len(), found.join("\n  "));
}

fn limits(source: &str, specification: &str) -> Problems {
    let mut problems = Problems::new();
    let code = constants(source, &mut problems);
    let table = limits_table(specification, &mut problems);
    if table.is_empty() {
        problems.push(
            "schemas/README.md: no table of limits; its first row is `| constant | value | \
             meaning |`"
                .to_owned(),
        );
    }
    for name in code.keys().chain(table.keys()).collect::<BTreeSet<_>>() {
        match (code.get(name), table.get(name)) {
            (Some(ours), Some(theirs)) if ours != theirs => problems.push(format!(
                "engine/src/limits.rs: {name} is {ours}, in schemas/README.md {theirs}; one of \
                 them is wrong"
            )),
            (Some(_), None) => {
                problems
                    .push(format!("schemas/README.md: the table of limits lacks {name}; add it"));
            }
            (None, Some(_)) => {
                problems.push(format!("engine/src/limits.rs: lacks {name} of schemas/README.md"));
            }
            _ => {}
        }
    }
    problems
}

/// Every `pub const NAME: type = value;`.
fn constants(source: &str, problems: &mut Problems) -> BTreeMap<String, u128> {
    let mut found = BTreeMap::new();
    let code = code_only(source);
    for item in without_tests(&code).split(';') {
        let Some((_, item)) = item.split_once("pub const ") else {
            continue;
        };
        let Some((name, value)) = item.split_once('=') else {
            continue;
        };
        let name = name.split(':').next().unwrap_or(name).trim().to_owned();
        match number(value, &found) {
            Some(value) => drop(found.insert(name, value)),
            None => problems.push(format!(
                "engine/src/limits.rs: {name}: write a number, a product, `1 << n` or an earlier \
                 constant, so that it can be compared"
            )),
        }
    }
    found
}

/// The rows of the table whose header is `constant | value | meaning`.
fn limits_table(specification: &str, problems: &mut Problems) -> BTreeMap<String, u128> {
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim().trim_matches('|');
        line.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    let mut found = BTreeMap::new();
    let is_header = |line: &&str| cells(line) == ["constant", "value", "meaning"];
    let after_header = specification.lines().skip_while(|line| !is_header(line)).skip(2);
    for line in after_header.take_while(|line| line.trim_start().starts_with('|')) {
        let cells = cells(line);
        let value = cells.get(1).and_then(|value| number(&value.replace(',', ""), &found));
        match (cells.first(), value) {
            (Some(name), Some(value)) => drop(found.insert(name.clone(), value)),
            _ => problems.push(format!(
                "schemas/README.md: `{line}`: write the value as a number, a product or `1 << n`"
            )),
        }
    }
    found
}

/// Literals, names already known, `*` and `<<`, with Rust's precedence.
fn number(expression: &str, known: &BTreeMap<String, u128>) -> Option<u128> {
    let atom = |text: &str| {
        let text = text.trim();
        known.get(text).copied().or_else(|| text.replace('_', "").parse().ok())
    };
    let product = |text: &str| {
        text.split('*').map(atom).try_fold(1_u128, |product, next| product.checked_mul(next?))
    };
    let mut operands = expression.split("<<").map(product);
    let first = operands.next()??;
    operands.try_fold(first, |value, places| value.checked_shl(u32::try_from(places?).ok()?))
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

    const TABLE: &str = "# x\n| constant | value | meaning |\n| --- | --- | --- |\n";

    #[test]
    fn limits_that_differ_or_lack_are_found() {
        let source = "//! x\n/// A.\npub const A: u64 = 65_536;\npub const B: usize =\n    4 * 1024;\n\
                      pub const C: u64 = 1 << 40;\npub const D: u64 = B * 2;\n";
        let rows = "| `A` | 65,536 | a |\n| `B` | `4 * 1024` | b |\n| C | 1 << 40 | c |\n";
        let spec = format!("{TABLE}{rows}| `D` | 8192 | d |\n\n| `E` | 1 | another table |\n");
        assert_eq!(limits(source, &spec), Problems::new());
        let wrong = spec.replace("65,536", "65,535");
        only(limits(source, &wrong), "A is 65536, in schemas/README.md 65535");
        only(limits(source, &format!("{TABLE}{rows}")), "the table of limits lacks D");
        let more = spec.replace("8192 | d |", "8192 | d |\n| `F` | 7 | f |");
        only(limits(source, &more), "lacks F of");
        let vague = spec.replace("| 8192 |", "| many |");
        assert!(limits(source, &vague).iter().any(|problem| problem.contains("| many |")));
        let unread = format!("{source}pub const G: u64 = size_of::<u64>();\n");
        only(limits(&unread, &spec), "G: write a number");
        only(limits("", ""), "no table of limits");
    }

    #[test]
    fn numbers_are_read_as_rust_reads_them() {
        let known = BTreeMap::from([("K".to_owned(), 1_024)]);
        for (text, value) in [("7", 7), ("1_000", 1_000), ("2 * 3 << 1", 12), ("4 * K", 4_096)] {
            assert_eq!(number(text, &known), Some(value), "{text}");
        }
        for text in ["", "x", "1 +  2", "1 <<", "1 << 200", "-1"] {
            assert_eq!(number(text, &known), None, "{text}");
        }
    }
}
