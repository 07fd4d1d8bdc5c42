//! Rust as text: enough of the language to tell code from comments and to see who names whom.
//!
//! Not a parser. It knows strings, characters, comments, paths and groups of `use`; macros that
//! build names are beyond it, and the reviewer.

/// Blanks comments, strings and characters; every line keeps its number.
pub fn code_only(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_blank(&chars, at);
        if end > at {
            code.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        } else {
            code.push(chars[at]);
            at += 1;
        }
    }
    code
}

/// The part of a file before its unit tests, which stand at the bottom.
pub fn without_tests(code: &str) -> &str {
    let mut from = 0;
    while let Some(found) = code[from..].find("#[cfg(test)]") {
        let start = from + found;
        from = start + "#[cfg(test)]".len();
        if code[from..].trim_start().starts_with("mod ") {
            return &code[..start];
        }
    }
    code
}

/// What code names directly under a root such as `crate` or `std`, with line numbers from 1.
///
/// `crate::a::b` names `a`; `crate::{a::b, c}` names `a` and `c`.
pub fn names_under(code: &str, root: &str) -> Vec<(usize, String)> {
    let path = format!("{root}::");
    let mut names = Vec::new();
    for (start, _) in code.match_indices(&path) {
        if code[..start].chars().next_back().is_some_and(|c| is_word(c) || c == ':' || c == '$') {
            continue;
        }
        let line = line_of(code, start);
        let rest = code[start + path.len()..].trim_start();
        let found = match rest.strip_prefix('{') {
            Some(group) => first_words_of_group(group),
            None => vec![first_word(rest)],
        };
        names.extend(found.into_iter().filter(|name| !name.is_empty()).map(|name| (line, name)));
    }
    names
}

/// Line numbers, from 1, at which a word stands alone.
pub fn lines_with_word(text: &str, word: &str) -> Vec<usize> {
    text.match_indices(word)
        .filter(|(start, _)| {
            let before = text[..*start].chars().next_back();
            let after = text[start + word.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
        .map(|(start, _)| line_of(text, start))
        .collect()
}

/// The number of the line, from 1, in which a byte stands.
pub fn line_of(text: &str, start: usize) -> usize {
    text[..start].matches('\n').count() + 1
}

/// Where the comment, string or character that begins here ends; `at` itself if none does.
fn end_of_blank(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    match rest {
        ['/', '/', ..] => at + rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => end_of_block_comment(chars, at),
        ['"', ..] => end_of_quoted(chars, at, '"'),
        ['\'', '\\', ..] => end_of_quoted(chars, at, '\''),
        ['\'', _, '\'', ..] => at + 3,
        ['r', ..] if at == 0 || !is_word(chars[at - 1]) || is_raw_prefix(chars, at) => {
            end_of_raw_string(chars, at)
        }
        _ => at,
    }
}

/// Whether the `r` here follows the `b` or `c` of `br"` or `cr"`.
fn is_raw_prefix(chars: &[char], at: usize) -> bool {
    matches!(chars[at - 1], 'b' | 'c') && (at == 1 || !is_word(chars[at - 2]))
}

fn end_of_block_comment(chars: &[char], at: usize) -> usize {
    let (mut depth, mut at) = (0_usize, at);
    while at < chars.len() {
        match &chars[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn end_of_quoted(chars: &[char], at: usize, quote: char) -> usize {
    let mut end = at + 1;
    while end < chars.len() && chars[end] != quote {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    (end + 1).min(chars.len())
}

fn end_of_raw_string(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return at; // A plain word, or a raw name such as `r#type`.
    }
    let closing: Vec<char> = std::iter::once('"').chain((0..hashes).map(|_| '#')).collect();
    let body = at + hashes + 2;
    let length = chars[body..].windows(closing.len()).position(|window| window == closing);
    length.map_or(chars.len(), |length| body + length + closing.len())
}

/// The first word of each member of a `use` group whose opening brace was just passed.
fn first_words_of_group(group: &str) -> Vec<String> {
    let (mut depth, mut member_start, mut words) = (1, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            words.push(first_word(group[member_start..at].trim_start()));
            member_start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    words
}

fn first_word(text: &str) -> String {
    let text = text.strip_prefix("r#").unwrap_or(text);
    text.chars().take_while(|&c| is_word(c) || c == '*').collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_blank() {
        let source = "a // b\n/* c /* d */ e */ f \"g \\\" h\" 'i' '\\'' j";
        assert_eq!(code_only(source).split_whitespace().collect::<Vec<_>>(), ["a", "f", "j"]);
        assert_eq!(code_only(source).len(), source.len());
    }

    #[test]
    fn raw_strings_end_where_their_hashes_do() {
        let source = "x r#\"a \" b\"# y br\"\\\" z cr##\"\"#\"## w r#type for\"s\"";
        let words: Vec<_> = code_only(source).split_whitespace().map(ToOwned::to_owned).collect();
        assert_eq!(words, ["x", "y", "b", "z", "c", "w", "r#type", "for"]);
    }

    #[test]
    fn lifetimes_are_code() {
        let source = "fn f<'a>(x: &'a str) -> &'static str { 'outer: loop { break 'outer } }";
        assert_eq!(code_only(source), source);
    }

    #[test]
    fn lines_keep_their_numbers() {
        let source = "\"\n\n\" /*\n*/ x";
        assert_eq!(lines_with_word(&code_only(source), "x"), [4]);
    }

    #[test]
    fn what_never_ends_ends_with_the_file() {
        for source in ["\"a", "/* a", "r#\"a", "'\\", "// a", "\"a\\"] {
            assert_eq!(code_only(source).trim(), "", "{source}");
        }
    }

    #[test]
    fn tests_are_cut_off() {
        assert_eq!(without_tests("a\n#[cfg(test)]\nmod tests {\n b"), "a\n");
        let other = "#[cfg(test)]\nuse a;\nb";
        assert_eq!(without_tests(other), other);
    }

    #[test]
    fn names_come_from_paths_and_groups() {
        let code = "use crate::a::b;\nuse crate::{c, d::{e, f}, g as h};\nx(crate::Type::new());\n\
                    othercrate::no; a::crate::no; $crate::no; use crate::*;";
        let names = names_under(code, "crate");
        let expected = [(1, "a"), (2, "c"), (2, "d"), (2, "g"), (3, "Type"), (4, "*")]
            .map(|(line, name)| (line, name.to_owned()));
        assert_eq!(names, expected);
    }

    #[test]
    fn words_stand_alone() {
        assert_eq!(lines_with_word("redb::x\nmyredb\nredb_y\n(redb)", "redb"), [1, 4]);
    }
}
