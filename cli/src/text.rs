//! What other people wrote, made safe for a terminal.
//!
//! Posts and names come from strangers. A terminal obeys some characters instead of showing them
//! (escape sequences), others change the order of what is already there (bidirectional controls),
//! and some cannot be seen at all, so that two different names look the same. Everything that a
//! person reads goes through here first; `--json` prints raw text.
//!
//! What stays invisible on purpose: a joiner (U+200C, U+200D) where it changes how letters look,
//! that is between letters of the scripts that join or stack (Arabic to Mongolian, the Brahmic
//! scripts) and inside one emoji; and one variation selector on an emoji, a keycap or an ideograph.
//! Anywhere else these are dropped.
//!
//! This file refuses to guess what a hidden character meant: it is dropped, never spelled out.

use std::fmt;
use std::str::Chars;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::confusable_detection::skeleton;
use unicode_width::UnicodeWidthStr;

/// The longest name, in bytes of UTF-8.
pub(crate) const NAME_BYTES: usize = 64;

/// How many marks may stand on one character: enough for every living script, too few to reach into
/// other lines.
const MARKS: u8 = 4;

/// What a line is cut off with.
const CUT: &str = "...";

/// Why a name that a person typed was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameFault {
    /// Nothing in it can be seen.
    Empty,
    /// It has this many bytes, more than [`NAME_BYTES`].
    TooLong(usize),
    /// It holds a character that is not shown, or that changes how others are shown.
    Hidden(char),
    /// It begins like the text of an id.
    LikeAnId,
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("a name needs at least one character that can be seen"),
            Self::TooLong(found) => {
                write!(f, "the name has {found} bytes, the limit is {NAME_BYTES}")
            }
            Self::Hidden(found) => write!(
                f,
                "the name holds U+{:04X}, which is not shown or changes how others are shown",
                u32::from(found)
            ),
            Self::LikeAnId => f.write_str(
                "a name cannot begin with `feed1`, `acct1` or `entry1`: these begin ids",
            ),
        }
    }
}

impl std::error::Error for NameFault {}

/// Returns foreign text as one line that a terminal shows and does not obey.
pub(crate) fn safe(text: &str) -> String {
    let mut line = clean(text, Layout::Line);
    line.truncate(line.trim_end_matches(' ').len());
    line
}

/// Returns foreign text as lines that a terminal shows and does not obey; line breaks stay.
pub(crate) fn safe_block(text: &str) -> String {
    clean(text, Layout::Block)
}

/// Checks a name that a person typed and returns it in its one form: NFC, trimmed, single spaces.
pub(crate) fn name(input: &str) -> Result<String, NameFault> {
    // Controls first: trimming would take a tab or a line break silently, and those are mistakes
    // worth telling.
    if let Some(hidden) = input.trim_matches([' ', '\n', '\r']).chars().find(|ch| ch.is_control()) {
        return Err(NameFault::Hidden(hidden));
    }
    let composed: String = input.nfc().collect();
    let name = composed.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = safe(&name);
    if shown != name {
        let hidden = name.chars().zip(shown.chars().map(Some).chain(std::iter::repeat(None)));
        let found = hidden.filter(|&(ch, seen)| Some(ch) != seen).map(|(ch, _)| ch).next();
        return Err(found.map_or(NameFault::Empty, NameFault::Hidden));
    }
    if name.contains(BRAILLE_BLANK) {
        return Err(NameFault::Hidden(BRAILLE_BLANK));
    }
    if width(&name) == 0 {
        return Err(NameFault::Empty);
    }
    if name.len() > NAME_BYTES {
        return Err(NameFault::TooLong(name.len()));
    }
    let folded = name.to_lowercase();
    if ["feed1", "acct1", "entry1"].iter().any(|start| folded.starts_with(start)) {
        return Err(NameFault::LikeAnId);
    }
    Ok(name)
}

/// Returns whether two names can be taken for each other, equal names included.
pub(crate) fn look_alike(a: &str, b: &str) -> bool {
    let (a, b) = (likeness(a), likeness(b));
    a[0] == b[0] || a[1] == b[1]
}

/// Returns what a name looks like: two names look alike if they share either form.
///
/// Two forms, since case hides some likenesses and makes others: `AIan` is like `Alan` only as
/// written, `ANA` is like `ana` only once the case is gone.
pub(crate) fn likeness(name: &str) -> [String; 2] {
    // Spaces go too, since `Ana ` and `Ana`, `Anne Marie` and `AnneMarie` are told apart by nobody.
    let bare: String =
        safe(name).nfkc().filter(|&ch| !ch.is_whitespace() && !is_joiner(ch)).collect();
    let folded = bare.to_lowercase();
    // Folded once more afterwards, since the skeleton of a digit may be a capital: `0` becomes `O`.
    let folded = skeleton(&folded).collect::<String>().to_lowercase();
    [skeleton(&bare).collect(), folded]
}

/// Returns how many columns a safe line takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// Returns a safe line cut to at most so many columns, with `...` where something was cut.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut line = prefix(text, columns.saturating_sub(CUT.len())).trim_end().to_owned();
    line.push_str(&CUT[..CUT.len().min(columns)]);
    line
}

/// Returns a safe block wrapped to so many columns, every line indented.
///
/// Words longer than a line are broken; blank lines stay. The indent counts as part of the columns.
pub(crate) fn wrap(text: &str, columns: usize, indent: usize) -> String {
    let room = columns.saturating_sub(indent).max(1);
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for mut word in paragraph.split(' ').filter(|word| !word.is_empty()) {
            if !line.is_empty() && width(&line) + 1 + width(word) > room {
                lines.push(std::mem::take(&mut line));
            }
            while width(word) > room {
                let fits = prefix(word, room);
                let head =
                    if fits.is_empty() { clusters(word).next().unwrap_or(word) } else { fits };
                if head.len() == word.len() {
                    break;
                }
                lines.push(head.to_owned());
                word = &word[head.len()..];
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    let margin = " ".repeat(indent);
    let indented = lines
        .iter()
        .map(|line| if line.is_empty() { String::new() } else { format!("{margin}{line}") });
    indented.collect::<Vec<_>>().join("\n")
}

/// Returns the longest beginning of a text that fits, never cutting through one visible character.
fn prefix(text: &str, columns: usize) -> &str {
    let mut taken = 0;
    let mut end = 0;
    for cluster in clusters(text) {
        taken += width(cluster);
        if taken > columns {
            break;
        }
        end += cluster.len();
    }
    &text[..end]
}

/// Splits a text into what a person sees as characters; near enough to the rules of Unicode for
/// cutting lines.
fn clusters(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut chars = rest.char_indices();
        let (_, mut last) = chars.next()?;
        let mut flag_open = is_flag_letter(last);
        let end = chars.find_map(|(at, ch)| {
            let pairs = flag_open && is_flag_letter(ch);
            flag_open = false;
            let joined = pairs || extends(ch) || (last == ZWJ && is_pictograph(ch));
            last = ch;
            (!joined).then_some(at)
        });
        let (cluster, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        Some(cluster)
    })
}

/// What becomes of line breaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// They become a space.
    Line,
    /// They stay.
    Block,
}

fn clean(text: &str, layout: Layout) -> String {
    let mut out = String::with_capacity(text.len());
    // The last character written, and how many marks may still follow it.
    let mut last = None;
    let mut marks_left = 0;
    let mut chars = text.chars();
    while let Some(ch) = chars.next() {
        let shown = match ch {
            '\u{1b}' | '\u{90}' | '\u{98}' | '\u{9b}' | '\u{9d}'..='\u{9f}' => {
                chars = after_sequence(ch, chars);
                continue;
            }
            '\n' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => '\n',
            // A return alone would write over the beginning of the line; in a single line it parts
            // words like any break.
            '\r' if layout == Layout::Line => '\n',
            '\t' => '\t',
            _ if ch.is_control() || is_dropped(ch) => continue,
            ZWJ | ZWNJ if !joins(last, ch, chars.clone().next()) => continue,
            VARIATION_FIRST..=VARIATION_LAST if !last.is_some_and(takes_variation) => continue,
            _ => ch,
        };
        match shown {
            '\t' if layout == Layout::Block => out.push_str("    "),
            '\n' if layout == Layout::Block => out.push('\n'),
            '\t' | '\n' if out.is_empty() || out.ends_with(' ') => {}
            '\t' | '\n' => out.push(' '),
            ZWJ | ZWNJ | VARIATION_FIRST..=VARIATION_LAST => out.push(shown),
            _ if is_combining_mark(shown) && marks_left == 0 => continue,
            _ => {
                marks_left = if is_combining_mark(shown) { marks_left - 1 } else { MARKS };
                out.push(shown);
            }
        }
        if matches!(shown, '\t' | '\n') {
            marks_left = 0;
        }
        last = Some(shown);
    }
    out
}

/// Returns what follows an escape sequence. One that never ends loses only its introducer, so that
/// nothing is hidden.
fn after_sequence(introducer: char, rest: Chars<'_>) -> Chars<'_> {
    let mut chars = rest.clone();
    let kind = if introducer == '\u{1b}' { chars.next() } else { Some(introducer) };
    let ended = match kind {
        Some('[' | '\u{9b}') => {
            chars.find(|ch| !matches!(ch, ' '..='?')).is_some_and(|ch| matches!(ch, '@'..='~'))
        }
        Some(']' | 'P' | 'X' | '^' | '_' | '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}') => {
            ends_string(&mut chars)
        }
        Some(' '..='/') => {
            chars.find(|ch| !matches!(ch, ' '..='/')).is_some_and(|ch| matches!(ch, '0'..='~'))
        }
        Some('0'..='~') => true,
        _ => false,
    };
    if ended { chars } else { rest }
}

/// Walks to the end of a control string: BEL, ST, or ESC and a backslash. It stops at any other
/// control, which keeps the work linear however many strings are begun.
fn ends_string(chars: &mut Chars<'_>) -> bool {
    match chars.find(|ch| ch.is_control()) {
        Some('\u{7}' | '\u{9c}') => true,
        Some('\u{1b}') => chars.next() == Some('\\'),
        _ => false,
    }
}

/// Returns whether a joiner between these two changes how they look.
fn joins(before: Option<char>, joiner: char, after: Option<char>) -> bool {
    let Some(before) = before else { return false };
    if joiner == ZWJ && (is_pictograph(before) || before == EMOJI_VARIATION) {
        return after.is_some_and(is_pictograph);
    }
    // A letter may end in U+200D (old Malayalam spelling, Persian abbreviations); U+200C only ever
    // parts two letters.
    joins_letters(before) && (joiner == ZWJ || after.is_some_and(joins_letters))
}

/// Returns whether this is a letter or a mark of a script in which neighbours join or stack.
fn joins_letters(ch: char) -> bool {
    let script = matches!(ch,
        '\u{600}'..='\u{74f}' | '\u{750}'..='\u{77f}' | '\u{7c0}'..='\u{7ff}'
        | '\u{840}'..='\u{dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{18af}'
        | '\u{1900}'..='\u{1cff}' | '\u{a840}'..='\u{a9ff}' | '\u{aa00}'..='\u{aadf}'
        | '\u{abc0}'..='\u{abff}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'
        | '\u{10a00}'..='\u{10fff}' | '\u{11000}'..='\u{11fff}' | '\u{1e900}'..='\u{1e95f}');
    script && (ch.is_alphanumeric() || is_combining_mark(ch))
}

/// Returns whether a variation selector after this character picks another look of it.
fn takes_variation(ch: char) -> bool {
    let ideograph =
        matches!(ch, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}');
    ideograph || is_pictograph(ch) || ch.is_ascii_digit() || matches!(ch, '#' | '*')
}

/// Returns whether this is a symbol that emoji are made of; generous, since a symbol too many does
/// no harm.
fn is_pictograph(ch: char) -> bool {
    matches!(ch,
        '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}'
        | '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{23ff}' | '\u{2460}'..='\u{24ff}'
        | '\u{25a0}'..='\u{27bf}' | '\u{2900}'..='\u{297f}' | '\u{2b00}'..='\u{2bff}' | '\u{3030}'
        | '\u{303d}' | '\u{3297}' | '\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

/// Returns whether a terminal shows nothing for this character, or shows others differently because
/// of it.
///
/// Joiners and variation selectors are judged where they stand, controls before; private use has no
/// meaning that two people share, and fonts fill it with whatever they like.
fn is_dropped(ch: char) -> bool {
    matches!(ch,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bcaf}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}')
        || u32::from(ch) & 0xfffe == 0xfffe
}

/// Returns whether this character belongs to the one before it.
fn extends(ch: char) -> bool {
    is_combining_mark(ch)
        || is_joiner(ch)
        || matches!(ch, VARIATION_FIRST..=VARIATION_LAST | '\u{1f3fb}'..='\u{1f3ff}')
        || matches!(ch, '\u{1160}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7ff}')
}

const fn is_joiner(ch: char) -> bool {
    matches!(ch, ZWJ | ZWNJ)
}

const fn is_flag_letter(ch: char) -> bool {
    matches!(ch, '\u{1f1e6}'..='\u{1f1ff}')
}

const ZWNJ: char = '\u{200c}';
const ZWJ: char = '\u{200d}';
const VARIATION_FIRST: char = '\u{fe00}';
const VARIATION_LAST: char = '\u{fe0f}';
const EMOJI_VARIATION: char = '\u{fe0f}';
/// A dot pattern without dots: a symbol by its class, a blank to the eye.
const BRAILLE_BLANK: char = '\u{2800}';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_of_many_scripts_is_left_alone() {
        for text in [
            "Zoë says hello",
            "नमस्ते, क्‍ष and श्री",
            "می‌خواهم",
            "അവന്‍ വന്നു",
            "ශ්‍රී ලංකා",
            "שָׁלוֹם",
            "👩‍🚒 🏳️‍🌈 👍🏽 1️⃣ 🇨🇭 ❤️",
            "漢字かな交じり文",
            "Tiếng Việt",
        ] {
            assert_eq!(safe(text), text);
            assert_eq!(safe_block(text), text);
        }
    }

    #[test]
    fn escape_sequences_go_and_the_text_around_them_stays() {
        for (text, shown) in [
            ("a\u{1b}[31mred\u{1b}[0m", "ared"),
            ("a\u{1b}]0;title\u{7}b", "ab"),
            ("a\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\b", "alinkb"),
            ("a\u{9b}2Jb", "ab"),
            ("a\u{90}q#0\u{9c}b", "ab"),
            ("a\u{1b}(0b\u{1b}cc", "abc"),
            ("never ended \u{1b}]0;still shown", "never ended ]0;still shown"),
            ("\u{1b}[12é", "[12é"),
            ("end\u{1b}", "end"),
            ("\u{1b}\u{1b}[Ax", "x"),
        ] {
            assert_eq!(safe(text), shown, "{text:?}");
        }
    }

    #[test]
    fn a_flood_of_unfinished_sequences_is_linear_work() {
        let flood = "\u{1b}]".repeat(200_000);
        assert_eq!(safe(&flood).len(), 200_000);
    }

    #[test]
    fn no_single_character_gets_past() {
        // All that is assigned, and the edges of the private planes: the rest is one range.
        let private = ['\u{effff}', '\u{f0000}', '\u{100000}', char::MAX];
        for ch in ('\0'..='\u{33fff}').chain('\u{e0000}'..='\u{e0fff}').chain(private) {
            for text in [safe(&format!("a{ch}b")), safe_block(&format!("a{ch}b"))] {
                let bad = text
                    .chars()
                    .find(|&ch| (ch.is_control() && ch != '\n') || is_dropped(ch) || is_joiner(ch));
                assert_eq!(bad, None, "U+{:04X}", u32::from(ch));
            }
            assert!(!safe(&format!("a{ch}b")).contains('\n'));
        }
    }

    #[test]
    fn cleaning_twice_changes_nothing_more() {
        for text in [
            "a\u{1b}[\u{1b}[31mmred",
            "x\u{200d}\u{200d}y",
            "\u{1b}\u{1b}[[AA",
            "ا\u{200c}\u{200c}ب",
            "a\r\n\tb ",
        ] {
            // What was cut apart may come together again, so once more must still be harmless.
            let once = safe(text);
            assert!(!once.chars().any(char::is_control));
            assert_eq!(safe(&once), once);
        }
    }

    #[test]
    fn line_breaks_become_spaces_or_stay() {
        assert_eq!(safe("\none\r\ntwo\tthree\u{2029}\u{85}four\n"), "one two three four");
        assert_eq!(
            safe_block("one\r\ntwo\rthree\n\tfour\u{2028}five"),
            "one\ntwothree\n    four\nfive"
        );
    }

    #[test]
    fn stacked_marks_are_cut() {
        let stacked = format!("Z{}algo", "\u{301}".repeat(40));
        assert_eq!(safe(&stacked), format!("Z{}algo", "\u{301}".repeat(4)));
        assert_eq!(safe("\u{301}\u{301}a"), "a", "a mark with nothing to stand on");
        assert_eq!(safe_block("a\n\u{301}b"), "a\nb");
        // Joiners between marks do not buy more of them.
        let fed = format!("ا{}", "\u{64b}\u{200d}".repeat(20));
        assert_eq!(safe(&fed).chars().filter(|&ch| ch == '\u{64b}').count(), 4);
    }

    #[test]
    fn names_take_one_form() {
        assert_eq!(name("  Ana "), Ok("Ana".to_owned()));
        assert_eq!(name("Zoe\u{308}"), Ok("Zoë".to_owned()));
        assert_eq!(name("山田\u{3000}太郎"), Ok("山田 太郎".to_owned()));
        assert_eq!(name("علی\u{200c}رضا"), Ok("علی\u{200c}رضا".to_owned()));
        assert_eq!(name(&"é".repeat(32)), Ok("é".repeat(32)));
        assert_eq!(name("Feed me"), Ok("Feed me".to_owned()));
    }

    #[test]
    fn names_that_mislead_are_refused() {
        for (input, fault) in [
            ("", NameFault::Empty),
            (" \u{3000} ", NameFault::Empty),
            ("An\u{200b}a", NameFault::Hidden('\u{200b}')),
            ("Ana\u{200b}", NameFault::Hidden('\u{200b}')),
            ("Ana\u{202e}", NameFault::Hidden('\u{202e}')),
            ("A\tna", NameFault::Hidden('\t')),
            ("Ana\u{1b}[31m", NameFault::Hidden('\u{1b}')),
            ("A\u{200d}na", NameFault::Hidden('\u{200d}')),
            ("\u{2800}", NameFault::Hidden('\u{2800}')),
            ("\u{301}", NameFault::Hidden('\u{301}')),
            ("\u{e001}", NameFault::Hidden('\u{e001}')),
            ("feed1abc", NameFault::LikeAnId),
            ("FEED1", NameFault::LikeAnId),
            ("acct1x", NameFault::LikeAnId),
            ("entry1", NameFault::LikeAnId),
        ] {
            assert_eq!(name(input), Err(fault), "{input:?}");
        }
        assert_eq!(name(&"é".repeat(33)), Err(NameFault::TooLong(66)));
        assert!(NameFault::Hidden('\u{200b}').to_string().contains("U+200B"));
    }

    #[test]
    fn look_alikes_are_seen() {
        for (a, b) in [
            ("Ana", "Ana"),
            ("Ana", "ANA"),
            ("Ana", "Аna"),
            ("Alan", "AIan"),
            ("Bob", "B0b"),
            ("Anne Marie", "AnneMarie"),
            ("علی\u{200c}رضا", "علیرضا"),
            ("Ｍira", "Mira"),
        ] {
            assert!(look_alike(a, b) && look_alike(b, a), "{a} {b}");
        }
        for (a, b) in [("Ana", "Anna"), ("Lia", "Ila"), ("José", "Jose"), ("مریم", "مری")] {
            assert!(!look_alike(a, b), "{a} {b}");
        }
    }

    #[test]
    fn lines_are_cut_by_columns_and_never_through_a_character() {
        assert_eq!(fit("bridge", 6), "bridge");
        assert_eq!(fit("the bridge is out", 10), "the bri...");
        assert_eq!(fit("the bridge", 7), "the...");
        assert_eq!(fit("漢字漢字", 7), "漢字...");
        assert_eq!(fit("漢字漢字", 6), "漢...");
        assert_eq!(fit("👩‍🚒👩‍🚒👩‍🚒", 5), "👩‍🚒...");
        assert_eq!(fit("e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}", 4), "e\u{301}...");
        assert_eq!(fit("🇨🇭🇳🇱🇨🇭", 5), "🇨🇭...");
        assert_eq!(fit("long", 2), "..");
        assert_eq!(fit("long", 0), "");
        for columns in 0..30 {
            let text = "Ana's नमस्ते 漢字 👩‍🚒 می‌خواهم and more";
            assert!(width(&fit(text, columns)) <= columns);
        }
    }

    #[test]
    fn paragraphs_wrap_with_an_indent() {
        assert_eq!(wrap("the bridge is out again", 12, 2), "  the bridge\n  is out\n  again");
        assert_eq!(wrap("one\n\ntwo", 20, 4), "    one\n\n    two");
        assert_eq!(wrap("abcdefgh ij", 5, 1), " abcd\n efgh\n ij");
        assert_eq!(wrap("漢字漢字", 4, 0), "漢字\n漢字");
        assert_eq!(wrap("漢字", 1, 0), "漢\n字", "wider than the line, and still it ends");
        assert_eq!(wrap("", 10, 2), "");
        for columns in 4..30 {
            let wrapped = wrap("Ana's नमस्ते 漢字 👩‍🚒 می‌خواهم and incomprehensibilities", columns, 2);
            assert!(wrapped.lines().all(|line| width(line) <= columns), "{columns}: {wrapped}");
        }
    }
}
