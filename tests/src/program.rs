//! The `thistle` program as its users meet it: words in, text and an exit code out.
//!
//! Each call starts the real binary with an empty environment, a home and nothing else, so that no
//! setting of the machine decides a test. A failure prints the words, the code and both outputs.
//! What a command is expected to say stays in the tests.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fmt, fs};

use rustix::process::Pid;
pub use rustix::process::Signal;
use serde_json::Value;

use crate::tree;

/// How long any call may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_mins(10);

/// A folder that is, or is to be, a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    path: PathBuf,
    /// Settings for every call, such as stopped clocks.
    settings: Vec<(&'static str, String)>,
}

/// One call of the program that is being put together.
#[derive(Debug)]
#[must_use = "nothing happens before `run`, `start` or `killed`"]
pub struct Call {
    command: Command,
    input: Option<String>,
    words: String,
}

/// A call that has not ended yet.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    stdout: String,
    stderr: JoinHandle<String>,
    words: String,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// What it printed.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    words: String,
}

/// When a call is killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// So long after it was started.
    AfterStart(Duration),
    /// So long after it made this file, or made it anew.
    AfterFile(PathBuf, Duration),
    /// So long after it printed its first line.
    AfterLine(Duration),
}

impl Home {
    /// Names a home; nothing is made.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), settings: Vec::new() }
    }

    /// Makes a home for a person of this name; returns it with its feed and its phrase.
    pub fn create(path: impl Into<PathBuf>, name: &str) -> (Self, String, String) {
        let home = Self::at(path);
        let (feed, phrase) = home.init(name);
        (home, feed, phrase)
    }

    /// Makes the home; returns its feed and its phrase.
    pub fn init(&self, name: &str) -> (String, String) {
        let made = self.run(&["init", "--name", name, "--json"]).good().json();
        (word(&made, "feed"), word(&made, "phrase"))
    }

    /// Adds an environment variable to every later call.
    pub fn set(&mut self, name: &'static str, value: impl fmt::Display) {
        self.settings.retain(|(known, _)| *known != name);
        self.settings.push((name, value.to_string()));
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its store.
    pub fn store(&self) -> PathBuf {
        self.path.join("store.redb")
    }

    /// Its control socket.
    pub fn socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// Puts a call together.
    pub fn call(&self, words: &[&str]) -> Call {
        let mut call = Call::new(words);
        call.command.env("THISTLE_HOME", &self.path);
        for (name, value) in &self.settings {
            call.command.env(name, value);
        }
        call
    }

    /// Calls the program and waits for its end.
    pub fn run(&self, words: &[&str]) -> Ran {
        self.call(words).run()
    }

    /// Prints a feed as this home holds it.
    pub fn export(&self, feed: &str) -> String {
        self.run(&["export", feed]).good().stdout
    }

    /// Asserts that every invariant of the home holds.
    pub fn check(&self) {
        self.run(&["doctor"]).good();
    }

    /// Copies the whole folder, as a careless person does.
    #[must_use]
    pub fn copied_to(&self, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        fs::create_dir_all(&path).expect("a folder for the copy can be made");
        for entry in fs::read_dir(&self.path).expect("the home can be listed") {
            let entry = entry.expect("the home can be listed");
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                fs::copy(entry.path(), path.join(entry.file_name())).expect("a file is copied");
            }
        }
        Self { path, settings: self.settings.clone() }
    }
}

impl Call {
    fn new(words: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.args(words).env_clear().env("TZ", "UTC").env("COLUMNS", "80");
        Self { command, input: None, words: format!("thistle {}", words.join(" ")) }
    }

    /// Starts it under another program, such as a shell that sets limits: the words of the call
    /// follow after these.
    pub fn under(mut self, words: &[&str]) -> Self {
        let (first, rest) = words.split_first().expect("a program to start it under");
        let mut command = Command::new(first);
        command.args(rest).arg(self.command.get_program()).args(self.command.get_args());
        command.env_clear();
        for (name, value) in self.command.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        self.command = command;
        self
    }

    /// Gives it standard input.
    pub fn input(mut self, text: impl Into<String>) -> Self {
        self.input = Some(text.into());
        self
    }

    /// Adds a word that need not be text.
    pub fn arg(mut self, word: impl AsRef<OsStr>) -> Self {
        self.command.arg(&word);
        self.words.push_str(&format!(" {}", word.as_ref().to_string_lossy()));
        self
    }

    /// Adds words that need not be text.
    pub fn args<W: AsRef<OsStr>>(self, words: impl IntoIterator<Item = W>) -> Self {
        words.into_iter().fold(self, Self::arg)
    }

    /// Starts it.
    pub fn start(mut self) -> Running {
        let stdin = if self.input.is_some() { Stdio::piped() } else { Stdio::null() };
        self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("the program can be started");
        if let (Some(input), Some(mut stdin)) = (self.input, child.stdin.take()) {
            // A program that does not read its input to the end may do so.
            drop(stdin.write_all(input.as_bytes()));
        }
        let (tell, lines) = channel();
        let stdout = child.stdout.take().expect("standard output is piped");
        thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            loop {
                let mut line = Vec::new();
                match stdout.read_until(b'\n', &mut line) {
                    Ok(count) if count > 0 => {
                        if tell.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                            return;
                        }
                    }
                    _ => return,
                }
            }
        });
        let mut stderr = child.stderr.take().expect("standard error is piped");
        let stderr = thread::spawn(move || {
            let mut bytes = Vec::new();
            drop(stderr.read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Running { child, lines, stdout: String::new(), stderr, words: self.words }
    }

    /// Runs it to its end.
    pub fn run(self) -> Ran {
        self.start().end()
    }

    /// Runs it until it ends or the moment has come, then kills it as `kill -9` does.
    pub fn killed(self, moment: Moment) -> Ran {
        let made = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
        let before = match &moment {
            Moment::AfterFile(path, _) => made(path),
            _ => None,
        };
        let mut running = self.start();
        match moment {
            Moment::AfterStart(after) => running.listen(Instant::now() + after),
            Moment::AfterFile(path, after) => {
                let is_new = || made(&path).is_some_and(|at| Some(at) != before);
                wait_until("a file is made", || is_new() || !running.goes_on());
                running.listen(Instant::now() + after);
            }
            Moment::AfterLine(after) => {
                if running.line() {
                    running.listen(Instant::now() + after);
                }
            }
        }
        running.kill();
        running.end()
    }
}

impl Running {
    /// Waits for a line of output; false: there will be none.
    pub fn line(&mut self) -> bool {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.stdout.push_str(&line);
                true
            }
            Err(RecvTimeoutError::Disconnected) => false,
            Err(RecvTimeoutError::Timeout) => panic!("`{}` prints nothing and hangs", self.words),
        }
    }

    /// Takes what it prints until then.
    fn listen(&mut self, until: Instant) {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.stdout.push_str(&line),
                Err(RecvTimeoutError::Timeout) => return,
                // The output is closed shortly before the end; the moment may lie between.
                Err(RecvTimeoutError::Disconnected) => {
                    thread::sleep(until.saturating_duration_since(Instant::now()));
                    return;
                }
            }
        }
    }

    /// Kills it as `kill -9` does; one that has ended stays as it is.
    pub fn kill(&mut self) {
        drop(self.child.kill());
    }

    /// Asks it to end, as a person or the system does.
    ///
    /// # Panics
    ///
    /// If the system does not hand the signal on.
    pub fn ask_to_end(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("the number of a process is small");
        let process = Pid::from_raw(id).expect("no process has the number 0");
        rustix::process::kill_process(process, signal).expect("a signal can be sent");
    }

    /// What it has printed so far and was waited for.
    pub fn printed(&self) -> &str {
        &self.stdout
    }

    /// Whether it has not ended yet.
    pub fn goes_on(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ran {
        while self.line() {}
        let status = self.child.wait().expect("a child can be waited for");
        let stderr = self.stderr.join().expect("standard error was read");
        assert!(
            matches!(status.signal(), None | Some(9)),
            "`{}` was ended by {status}\n{stderr}",
            self.words
        );
        Ran { stdout: self.stdout, stderr, code: status.code(), words: self.words }
    }
}

#[expect(clippy::return_self_not_must_use, reason = "an assertion can be all that is wanted")]
impl Ran {
    /// Asserts that all was done and nothing was remarked.
    #[track_caller]
    pub fn good(self) -> Self {
        self.fails(0).quiet()
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn fails(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Asserts that nothing stands on standard error.
    #[track_caller]
    pub fn quiet(self) -> Self {
        assert!(self.stderr.is_empty(), "{self}");
        self
    }

    /// Asserts that standard error holds these words.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "should say `{words}`\n{self}");
        self
    }

    /// Whether a signal ended it.
    pub const fn was_killed(&self) -> bool {
        self.code.is_none()
    }

    /// The objects on standard output, one a line. A line that was cut off by a kill is none.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        let whole = self.stdout.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}{self}"))
        };
        whole.map(parse).collect()
    }

    /// The one object on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        let mut lines = self.json_lines();
        assert_eq!(lines.len(), 1, "one object is expected\n{self}");
        lines.remove(0)
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stdout, stderr, code, words } = self;
        let code = code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        writeln!(f, "\n$ {words}\n{code}")?;
        for (name, text) in [("stdout", stdout), ("stderr", stderr)] {
            let shown: String = text.chars().take(4_000).collect();
            let more = if shown.len() < text.len() { "\n..." } else { "" };
            writeln!(f, "-- {name}\n{shown}{more}")?;
        }
        Ok(())
    }
}

/// A field that holds words.
///
/// # Panics
///
/// If there is no such field, or it holds something else.
#[track_caller]
pub fn word(object: &Value, field: &str) -> String {
    object[field].as_str().unwrap_or_else(|| panic!("no words in `{field}` of {object}")).to_owned()
}

/// A field that holds a number.
///
/// # Panics
///
/// If there is no such field, or it holds something else.
#[track_caller]
pub fn number(object: &Value, field: &str) -> u64 {
    object[field].as_u64().unwrap_or_else(|| panic!("no number in `{field}` of {object}"))
}

/// Tells how two exports differ, in few words; nothing if they do not.
pub fn difference(left: &str, right: &str) -> Option<String> {
    if left == right {
        return None;
    }
    let missing = |from: &str, of: &str| {
        let known: BTreeSet<&str> = from.lines().collect();
        let missing = of.lines().filter(|line| !known.contains(line)).take(8);
        missing.fold(String::new(), |shown, line| format!("{shown}\n    {line:.600}"))
    };
    let (lines, others) = (left.lines().count(), right.lines().count());
    let (only_left, only_right) = (missing(right, left), missing(left, right));
    Some(format!(
        "{lines} lines and {others}\n  only in the first:{only_left}\n  only in the second:{only_right}"
    ))
}

/// Whether the long form of the slow tests was asked for.
pub fn is_long() -> bool {
    env::var_os("THISTLE_LONG").is_some_and(|value| value == "1")
}

/// The seed of this run: `THISTLE_SEED`, else this one. Printed, so that a failure can be repeated.
#[expect(clippy::print_stderr, reason = "shown by the test runner when a test fails")]
pub fn seed(usual: u64) -> u64 {
    let told = env::var("THISTLE_SEED").ok();
    let seed = told.map_or(usual, |text| text.parse().expect("THISTLE_SEED is a number"));
    eprintln!("seed: THISTLE_SEED={seed}");
    seed
}

/// Waits until something is so.
///
/// # Panics
///
/// If it takes too long.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited too long until {what}");
        thread::sleep(Duration::from_micros(50));
    }
}

/// The binary that is tested: `THISTLE_BINARY`, else the one beside the tests' own folder, which is
/// built if it is missing or older than its sources.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(told) = env::var_os("THISTLE_BINARY") {
            return PathBuf::from(told);
        }
        let ours = env::current_exe().expect("a process knows its own file");
        let folder = ours.ancestors().nth(2).expect("tests are built into a folder `deps`");
        let path = folder.join("thistle");
        if fs::metadata(&path).and_then(|found| found.modified()).is_ok_and(is_fresh) {
            return path;
        }
        build(folder);
        assert!(path.is_file(), "`cargo build` made no `{}`", path.display());
        path
    })
}

/// Whether no source is newer.
fn is_fresh(built: SystemTime) -> bool {
    let newer = |path: &String| {
        let source = ["engine/src/", "transports/src/", "cli/"];
        let found = || fs::metadata(tree::root().join(path)).and_then(|found| found.modified());
        source.iter().any(|folder| path.starts_with(folder))
            && found().is_ok_and(|changed| changed > built)
    };
    !tree::files().iter().any(newer)
}

#[expect(clippy::print_stderr, reason = "says what takes so long")]
fn build(folder: &Path) {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let profile = match folder.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let target = folder.parent().expect("a profile's folder is in the target folder");
    let mut command = Command::new(cargo);
    command
        .args(["build", "--locked", "-p", "thistledown", "--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(tree::root());
    eprintln!("the program is missing or older than its sources: {command:?}");
    let done = command.status().expect("cargo can be started");
    assert!(done.success(), "the program could not be built: {done}");
}
