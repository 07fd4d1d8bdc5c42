//! The program calling itself, the way a person would: words in, what it printed out.
//!
//! A call that fails becomes an error that names the step and hands on what the command said.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::facts::Facts;
use crate::outcome::{CliError, Kind};

/// This very program.
#[derive(Debug)]
pub(crate) struct Program {
    path: PathBuf,
    /// What a person types to call it.
    typed: String,
    folder: PathBuf,
}

impl Program {
    /// Finds its file, and what a person types to call it.
    pub(crate) fn find(facts: &Facts) -> Result<Self, CliError> {
        let path = std::env::current_exe().map_err(|error| {
            CliError::new(Kind::Input, "this program does not find its own file").because(&error)
        })?;
        let folder = facts.folder().to_owned();
        let same = |found: PathBuf| fs::canonicalize(found).is_ok_and(|found| found == path);
        let name = Path::new(path.file_name().unwrap_or_else(|| OsStr::new("thistle")));
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let typed = if std::env::split_paths(&paths).any(|part| same(part.join(name))) {
            name
        } else {
            path.strip_prefix(&folder).unwrap_or(&path)
        };
        let typed = quoted(typed.as_os_str());
        Ok(Self { path, typed, folder })
    }

    /// What a person would type.
    pub(crate) fn shown(&self, words: &[OsString]) -> String {
        let words = words.iter().map(|word| quoted(word));
        std::iter::once(self.typed.clone()).chain(words).collect::<Vec<_>>().join(" ")
    }

    /// Calls it; returns what it printed.
    pub(crate) fn call(&self, words: &[OsString]) -> Result<Vec<u8>, CliError> {
        self.start(words, Stdio::piped())
    }

    /// Calls it, and lets it print to where it says.
    pub(crate) fn start(&self, words: &[OsString], stdout: Stdio) -> Result<Vec<u8>, CliError> {
        let failed = || CliError::new(Kind::Bug, format!("`{}` failed", self.shown(words)));
        let ran = Command::new(&self.path)
            .args(words)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .and_then(Child::wait_with_output)
            .map_err(|error| failed().because(&error))?;
        if ran.status.success() {
            return Ok(ran.stdout);
        }
        let mut error = failed();
        error.kind = kind(ran.status.code());
        for cause in causes(&String::from_utf8_lossy(&ran.stderr)) {
            error = error.since(cause);
        }
        Err(error.hint("`thistle village --again` begins anew"))
    }
}

/// The sort of failure by which a command ended.
fn kind(code: Option<i32>) -> Kind {
    let kinds = [Kind::Input, Kind::Store, Kind::Refused, Kind::Busy];
    let same = |kind: &Kind| code == Some(i32::from(kind.code()));
    kinds.into_iter().find(same).unwrap_or(Kind::Bug)
}

/// What a command that failed said on standard error, as causes.
fn causes(stderr: &str) -> Vec<String> {
    let mut causes = Vec::new();
    for line in stderr.lines() {
        match serde_json::from_str::<Value>(line) {
            Ok(error) if error["error"].is_string() => {
                let because = error["because"].as_array().into_iter().flatten();
                let said = std::iter::once(&error["error"]).chain(because);
                causes.extend(said.filter_map(Value::as_str).map(str::to_owned));
            }
            _ => causes.push(line.to_owned()),
        }
    }
    causes
}

/// Puts a word into quotes where a shell would take it for something else.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=+,@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_a_shell_needs_it() {
        for (word, expected) in [
            ("read", "read"),
            ("thistle-village/ines", "thistle-village/ines"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(OsStr::new(word)), expected);
        }
    }

    #[test]
    fn what_a_failed_command_said_is_handed_on() {
        let stderr = "refused: a.thistle: torn\n{\"error\":\"no\",\"because\":[\"full\"],\"hints\":[],\"code\":3}\n";
        assert_eq!(causes(stderr), ["refused: a.thistle: torn", "no", "full"]);
        assert_eq!(
            (kind(Some(3)), kind(Some(101)), kind(None)),
            (Kind::Store, Kind::Bug, Kind::Bug)
        );
    }
}
