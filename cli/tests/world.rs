//! A folder with homes and sticks, and a way to run commands in it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// 2026-11-22 14:30 in Zurich.
pub(crate) const NOW: u64 = 1_795_354_200;

/// A folder of its own, removed afterwards.
pub(crate) struct World {
    folder: TempDir,
}

/// A home that was made, and what `init` said of it.
pub(crate) struct Home<'a> {
    world: &'a World,
    folder: String,
    pub(crate) feed: String,
    pub(crate) account: String,
    pub(crate) phrase: String,
}

/// A command about to be run.
pub(crate) struct Call {
    command: Command,
    input: Option<Vec<u8>>,
    out: Stdio,
    folder: PathBuf,
}

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    line: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a folder, for instance a stick.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Writes a file.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A command without a home.
    pub(crate) fn thistle(&self, words: &[&str]) -> Call {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thistle"));
        command
            .env_clear()
            .env("HOME", self.folder.path())
            .env("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
            .env("COLUMNS", "80")
            .env("THISTLE_NOW", NOW.to_string())
            .current_dir(self.folder.path())
            .args(words);
        let folder = self.folder.path().to_owned();
        Call { command, input: None, out: Stdio::piped(), folder }
    }

    /// A command in a home, which may not exist.
    pub(crate) fn at(&self, home: &str, words: &[&str]) -> Call {
        self.thistle(words).env("THISTLE_HOME", self.path(home))
    }

    /// Makes a home.
    pub(crate) fn home(&self, name: &str) -> Home<'_> {
        self.home_in(name, name)
    }

    /// Makes a home in a folder that is not called like its person.
    pub(crate) fn home_in(&self, folder: &str, name: &str) -> Home<'_> {
        let made = self.at(folder, &["init", "--name", name, "--json"]).json();
        let field = |field: &str| made[field].as_str().unwrap().to_owned();
        let (feed, account, phrase) = (field("feed"), field("account"), field("phrase"));
        Home { world: self, folder: folder.to_owned(), feed, account, phrase }
    }
}

impl Home<'_> {
    /// A command in this home.
    pub(crate) fn call(&self, words: &[&str]) -> Call {
        self.world.at(&self.folder, words)
    }

    /// Runs a command that does well and says nothing on standard error.
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        self.call(words).ok()
    }

    /// Runs a command that prints one JSON object.
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        self.call(&[words, &["--json"]].concat()).json()
    }

    /// Runs a command that prints JSON objects, one a line.
    pub(crate) fn lines(&self, words: &[&str]) -> Vec<Value> {
        parse(&self.call(&[words, &["--json"]].concat()).ok())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.world.path(&self.folder)
    }

    /// Writes a bundle into a folder; returns its file.
    pub(crate) fn bundle(&self, folder: &Path) -> PathBuf {
        let made = self.json(&["bundle", "create", "--plain", folder.to_str().unwrap()]);
        let path = made["path"].as_str().unwrap();
        self.world.path(path.strip_prefix("[DIR]/").unwrap())
    }

    /// What `feeds` says of a feed.
    pub(crate) fn feed_row(&self, feed: &str) -> Value {
        let rows = self.lines(&["feeds"]);
        rows.into_iter().find(|row| row["feed"] == *feed).unwrap_or_default()
    }
}

impl Call {
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives it something on standard input.
    pub(crate) fn input(mut self, input: impl AsRef<[u8]>) -> Self {
        self.input = Some(input.as_ref().to_vec());
        self
    }

    /// Lets it print elsewhere.
    pub(crate) fn out(mut self, file: fs::File) -> Self {
        self.out = file.into();
        self
    }

    /// Starts it with standard output in a pipe.
    pub(crate) fn start(mut self) -> Child {
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub(crate) fn run(self) -> Run {
        let Self { mut command, input, out, folder } = self;
        let line = format!("{command:?}");
        let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child = command.stdin(stdin).stdout(out).stderr(Stdio::piped()).spawn().unwrap();
        if let Some(input) = input {
            // A command that refuses early does not read it.
            drop(child.stdin.take().unwrap().write_all(&input));
        }
        Run::of(child.wait_with_output().unwrap(), line, &folder)
    }

    /// Runs it; it does well and says nothing on standard error.
    pub(crate) fn ok(self) -> String {
        let run = self.run();
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{}", run.line);
        run.out
    }

    /// Runs it; it prints one JSON object.
    pub(crate) fn json(self) -> Value {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// Runs it; it prints nothing, ends with this code and says this on standard error, as it
    /// returns it.
    pub(crate) fn fails(self, code: i32) -> String {
        let run = self.run();
        assert_eq!((run.code, run.out.as_str()), (code, ""), "{}\n{}", run.line, run.err);
        run.err
    }
}

impl Run {
    fn of(output: Output, line: String, folder: &Path) -> Self {
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes).unwrap().replace(folder.to_str().unwrap(), "[DIR]")
        };
        let code = output.status.code().unwrap_or(-1);
        Self { code, out: text(output.stdout), err: text(output.stderr), line }
    }
}

/// Reads JSON Lines.
pub(crate) fn parse(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The texts of entries, in the order in which they came.
pub(crate) fn texts(rows: &[Value]) -> Vec<&str> {
    rows.iter().filter_map(|row| row["text"].as_str()).collect()
}

/// Puts words in place of ids, so that what people read can be compared.
pub(crate) fn without_ids(text: &str, ids: &[(&str, &str)]) -> String {
    let short = |id: &str| id.split_once('1').unwrap().1[..8].to_owned();
    ids.iter().fold(text.to_owned(), |text, (id, word)| {
        text.replace(id, &format!("[{word}]")).replace(&short(id), &format!("[{word}~]"))
    })
}
