//! The table of the village: who holds how many messages, and whose.
//!
//! Pure: rows and columns in, lines out. Colours only repeat what the digits say, and each sort of
//! message has a shade of its own where there are none.

use crate::text;
use crate::when;

/// Columns of the names.
const NAME: usize = 9;
/// Columns of a number with what separates it from the one before.
const NUMBER: usize = 9;
/// The longest bar.
const WIDEST_BAR: usize = 40;
/// The shortest bar that says anything.
const NARROWEST_BAR: usize = 8;
/// How far lines stand in.
const MARGIN: &str = "  ";

/// The sorts of messages in a home: word, colour, shade.
const SORTS: [(&str, &str, char); 3] =
    [("own", "32", '█'), ("followed", "36", '▓'), ("carried", "33", '▒')];
/// Where there is no message yet.
const MISSING: char = '·';

/// A home in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    /// Whose home it is.
    pub(crate) name: &'a str,
    /// Messages of each sort: its own, of whom it follows, of all others.
    pub(crate) counts: [u64; 3],
    /// Whether the stick is there.
    pub(crate) has_stick: bool,
}

/// Returns the table, heading first, no line wider than the columns. A full bar is `whole`
/// messages.
pub(crate) fn table(rows: &[Row<'_>], whole: u64, columns: usize, colour: bool) -> Vec<String> {
    let wide = columns >= MARGIN.len() + NAME + 4 * NUMBER + 4 + NARROWEST_BAR;
    let numbers = if wide { 4 } else { 1 };
    let bar = columns.saturating_sub(MARGIN.len() + NAME + numbers * NUMBER + 4).min(WIDEST_BAR);
    let mut heading = format!("{MARGIN}{:<NAME$}", "home");
    if wide {
        for (word, ..) in SORTS {
            heading.push_str(&format!("{word:>NUMBER$}"));
        }
    }
    heading.push_str(&format!("{:>NUMBER$}", "all"));
    let mut lines = vec![painted(&heading, "2", colour)];
    for row in rows {
        let name = text::fit(row.name, NAME);
        let gap = " ".repeat(NAME - text::width(&name));
        let mut line = format!("{MARGIN}{name}{gap}");
        if wide {
            for count in row.counts {
                line.push_str(&format!("{:>NUMBER$}", when::count(count)));
            }
        }
        line.push_str(&format!("{:>NUMBER$}  ", when::count(row.counts.iter().sum())));
        line.push_str(&drawn(row.counts, whole, bar, colour));
        line.push_str(if row.has_stick { " <" } else { "" });
        lines.push(line);
    }
    lines
}

/// Draws a bar of so many columns.
fn drawn(counts: [u64; 3], whole: u64, columns: usize, colour: bool) -> String {
    let whole = usize::try_from(whole).unwrap_or(usize::MAX).max(1);
    let (mut bar, mut held, mut filled) = (String::new(), 0_usize, 0_usize);
    for (count, (_, code, shade)) in counts.into_iter().zip(SORTS) {
        held = held.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
        // Rounded down, so that a full bar means that nothing is missing.
        let end = held.saturating_mul(columns) / whole;
        let part = end.min(columns).saturating_sub(filled);
        bar.push_str(&painted(&shade.to_string().repeat(part), code, colour));
        filled += part;
    }
    let rest = MISSING.to_string().repeat(columns - filled);
    bar + &painted(&rest, "2", colour)
}

/// Dresses words up, where they may be coloured.
pub(crate) fn painted(words: &str, code: &str, colour: bool) -> String {
    if colour && !words.is_empty() {
        format!("\u{1b}[{code}m{words}\u{1b}[0m")
    } else {
        words.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [Row<'_>; 2] = [
        Row { name: "Inés", counts: [30, 30, 140], has_stick: true },
        Row { name: "Søren", counts: [30, 0, 0], has_stick: false },
    ];

    #[test]
    fn a_bar_is_as_long_as_what_is_held() {
        let lines = table(&ROWS, 200, 69, false);
        assert_eq!(lines[0], "  home           own followed  carried      all");
        assert_eq!(
            lines[1],
            "  Inés            30       30      140      200  ██▓▓▓▒▒▒▒▒▒▒▒▒▒▒▒▒ <"
        );
        assert_eq!(lines[2], "  Søren           30        0        0       30  ██················");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for columns in 26..130 {
            for line in table(&ROWS, 200, columns, false) {
                assert!(text::width(&line) <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn a_bar_is_full_only_when_nothing_is_missing() {
        assert!(drawn([100, 50, 49], 200, 40, false).ends_with(MISSING));
        assert!(!drawn([100, 50, 50], 200, 40, false).contains(MISSING));
        assert!(!drawn([100, 50, 80], 200, 40, false).contains(MISSING));
    }

    #[test]
    fn colours_are_optional() {
        let plain = table(&ROWS, 200, 80, false).concat();
        assert!(!plain.contains('\u{1b}'), "{plain}");
        assert!(table(&ROWS, 200, 80, true).concat().contains("\u{1b}[32m"));
    }
}
