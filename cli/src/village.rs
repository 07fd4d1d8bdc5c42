//! `village`: the main job by itself, to be watched.
//!
//! Eight homes in one folder, the 200 messages that ship with the program, and one stick that walks
//! from door to door, twice. Everything is done by this very program, called as a person would call
//! it: what is shown can be typed. It asks nothing, needs no terminal, and leaves nothing but the
//! folder. What it refuses is to touch a folder that it did not make.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::args;
use crate::context::Streams;
use crate::facts::Facts;
use crate::home::disk_fault;
use crate::outcome::{CliError, Kind};
use crate::text;
use crate::view::Fields;
use crate::when;

mod program;
mod table;

use program::Program;
use table::{Row, painted, table};

/// What the eight wrote.
const MESSAGES: &str = include_str!("../village/messages.jsonl");
/// The folder where nobody names one.
const FOLDER: &str = "thistle-village";
/// By this file a village is known again.
const MARKER: &str = "made-by-thistle-village.txt";
/// The messages, as a file to import.
const IMPORTED: &str = "messages.jsonl";
/// The folder that plays the stick.
const STICK: &str = "stick";
/// How often the stick comes by.
const ROUNDS: usize = 2;

/// How long a visit takes at least where somebody watches.
const SEEN: Duration = Duration::from_millis(120);

/// Whose home, and its folder; in the order in which the stick walks, and each follows the next.
const HOUSES: [(&str, &str); 8] = [
    ("Inés", "ines"),
    ("Søren", "soren"),
    ("Marisol", "marisol"),
    ("Yuki", "yuki"),
    ("Bram", "bram"),
    ("Amadou", "amadou"),
    ("Leila", "leila"),
    ("Tomáš", "tomas"),
];
const INES: usize = 0;
const YUKI: usize = 3;
const BRAM: usize = 4;
const LEILA: usize = 6;
const TOMAS: usize = 7;

/// Answers that are written on the way, in the first round: by whom, to whose newest message, what.
const ANSWERS: [(usize, usize, &str); 2] = [
    (BRAM, INES, "Passing by with eggs. The stick is in, I am waiting for the beep."),
    (LEILA, BRAM, "It has beeped. Unless that was my oven."),
];

/// `village`.
pub(crate) fn run(
    args: &args::Village,
    facts: &Facts,
    streams: &mut Streams,
) -> Result<u8, CliError> {
    let begun = Instant::now();
    let place = Place::find(args, facts)?;
    place.clear(args.again)?;
    let mut village = Village::build(place, facts, streams)?;
    village.carry()?;
    village.look()?;
    let sound = village.examine()?;
    village.conclude(&sound, begun)?;
    Ok(0)
}

// ---- The folder ----

/// Where the village is.
#[derive(Debug)]
struct Place {
    /// As it was typed, for the commands that are shown and called.
    typed: PathBuf,
    /// Seen from where it was typed.
    folder: PathBuf,
}

impl Place {
    fn find(args: &args::Village, facts: &Facts) -> Result<Self, CliError> {
        let typed = args.dir.clone().unwrap_or_else(|| PathBuf::from(FOLDER));
        let folder = facts.folder().join(&typed);
        match fs::metadata(&folder) {
            Ok(found) if !found.is_dir() => Err(CliError::new(
                Kind::Input,
                format!("`{}` is there and is no folder", typed.display()),
            )
            .hint("name another folder: `thistle village DIR`")),
            _ => Ok(Self { typed, folder }),
        }
    }

    /// Makes the folder if it is not there, and sees that it is empty.
    fn clear(&self, again: bool) -> Result<(), CliError> {
        fs::create_dir_all(&self.folder).map_err(|error| self.fault(&error))?;
        let mut things = fs::read_dir(&self.folder).map_err(|error| self.fault(&error))?;
        if things.next().is_none() {
            return self
                .write(MARKER, "`thistle village` made this; with `--again` it removes it.\n");
        }
        let shown = self.typed.display();
        if !self.folder.join(MARKER).is_file() {
            return Err(CliError::new(Kind::Input, format!("`{shown}` is not empty"))
                .hint("name another folder: `thistle village DIR`"));
        }
        if !again {
            return Err(CliError::new(Kind::Input, format!("there is a village in `{shown}`"))
                .hint("`--again` removes it and makes a new one")
                .hint("or name another folder: `thistle village DIR`"));
        }
        let ours = HOUSES.iter().map(|(_, folder)| *folder).chain([STICK, IMPORTED]);
        // What a person has put beside stays.
        ours.map(|name| self.folder.join(name)).try_for_each(|path| self.remove(&path))
    }

    fn remove(&self, path: &Path) -> Result<(), CliError> {
        let removed = match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.fault(&error)),
            _ => Ok(()),
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), CliError> {
        fs::write(self.folder.join(name), text).map_err(|error| self.fault(&error))
    }

    fn fault(&self, error: &io::Error) -> CliError {
        disk_fault("make a village in", &self.typed, error)
    }

    /// A path in the village, as a person would type it.
    fn typed(&self, name: &str) -> OsString {
        self.typed.join(name).into()
    }
}

// ---- The village ----

/// The village, and what it shows of itself.
struct Village<'a> {
    place: Place,
    streams: &'a mut Streams,
    program: Program,
    screen: Screen,
    houses: Vec<House>,
    visits: Vec<Visit>,
    /// The last answer that was written on the way.
    answered: String,
}

/// A house that somebody has moved into.
#[derive(Debug)]
struct House {
    feed: String,
    /// Messages: its own, of whom it follows, of all others.
    counts: [u64; 3],
}

/// What the stick brought to a house and took along.
#[derive(Debug, Default)]
struct Visit {
    round: usize,
    house: usize,
    new: u64,
    taken: u64,
    bytes: u64,
}

/// What is checked at the end.
#[derive(Debug)]
struct Sound {
    entries: u64,
    signatures: u64,
}

impl<'a> Village<'a> {
    /// Makes the homes: each imports what its author wrote, and follows the next.
    fn build(place: Place, facts: &Facts, streams: &'a mut Streams) -> Result<Self, CliError> {
        place.write(IMPORTED, MESSAGES)?;
        let stick = place.folder.join(STICK);
        fs::create_dir_all(stick).map_err(|error| place.fault(&error))?;
        let (program, screen) = (Program::find(facts)?, Screen::of(facts, streams.json));
        let (houses, visits, answered) = (Vec::new(), Vec::new(), String::new());
        let mut village = Self { place, streams, program, screen, houses, visits, answered };
        village.head("Eight homes, one stick, no network. First everybody moves in:")?;
        for (house, (name, _)) in HOUSES.iter().enumerate() {
            let made = village.first(house, words(["init", "--name", name]))?;
            village.houses.push(House { feed: word(&made, "feed"), counts: [0; 3] });
            let file = village.place.typed(IMPORTED);
            let import = [OsString::from("import"), file, "--author".into(), (*name).into()];
            village.first(house, import.to_vec())?;
        }
        for house in 0..HOUSES.len() {
            let next = village.houses[after(house)].feed.clone();
            village.first(house, words(["follow", &next]))?;
            village.count(house)?;
        }
        village.say(&format!("    ... and so do the {} others.", HOUSES.len() - 1))?;
        Ok(village)
    }

    /// Calls the program; of the first house it is shown, since the others do the same.
    fn first(&mut self, house: usize, words: Vec<OsString>) -> Result<Value, CliError> {
        let words = self.at(house, words);
        if house == 0 {
            self.say(&format!("    $ {}", self.program.shown(&words)))?;
        }
        self.one(&words)
    }

    /// Lets the stick walk.
    fn carry(&mut self) -> Result<(), CliError> {
        self.say("")?;
        self.head(
            "Then the stick goes from door to door. Whoever has it reads it and adds to it:",
        )?;
        let stick = self.place.typed(STICK);
        let read = self.at(0, vec!["bundle".into(), "read".into(), stick.clone()]);
        let mut create = self.created(0);
        create.truncate(create.len() - 1);
        self.say(&format!("    $ {}", self.program.shown(&read)))?;
        self.say(&format!("    $ {} {HIDDEN}", self.program.shown(&create)))?;
        self.say("")?;
        for round in 1..=ROUNDS {
            for house in 0..HOUSES.len() {
                let begun = Instant::now();
                let visit = self.visit(round, house, &stick)?;
                self.visits.push(visit);
                self.show_visit()?;
                if self.screen.live {
                    thread::sleep(SEEN.saturating_sub(begun.elapsed()));
                }
            }
        }
        if !self.screen.live {
            self.say("")?;
            self.say_table(None)?;
        }
        self.expect_everything()
    }

    /// The stick comes to a house: it is read, and what the next one lacks is written on it.
    fn visit(&mut self, round: usize, house: usize, stick: &OsStr) -> Result<Visit, CliError> {
        let mut visit = Visit { round, house, ..Visit::default() };
        let read = self.at(house, vec!["bundle".into(), "read".into(), stick.to_owned()]);
        for file in self.ask(&read)? {
            visit.new += number(&file, "entries_new");
        }
        if round == 1 {
            for (_, whose, answer) in ANSWERS.iter().filter(|(who, ..)| *who == house) {
                self.answer(house, *whose, answer)?;
            }
        }
        let wrote = self.one(&self.created(house))?;
        (visit.taken, visit.bytes) = (number(&wrote, "entries"), number(&wrote, "bytes"));
        self.count(house)?;
        Ok(visit)
    }

    /// The words that write what the next house lacks to the stick, under the own name.
    fn created(&self, house: usize) -> Vec<OsString> {
        let file = Path::new(STICK).join(format!("{}.thistle", HOUSES[house].1));
        let file = self.place.typed.join(file);
        let create = ["bundle".into(), "create".into(), file.into()];
        let next = self.houses[after(house)].feed.as_str().into();
        self.at(house, create.into_iter().chain(["--plain".into(), "--for".into(), next]).collect())
    }

    /// Somebody answers the newest message of somebody else.
    fn answer(&mut self, who: usize, whose: usize, answer: &str) -> Result<(), CliError> {
        let feed = &self.houses[whose].feed;
        let last = self.at(who, words(["query", "--from", feed, "--channel", "square", "-n", "1"]));
        let last = word(&self.one(&last)?, "id");
        let write = self.at(who, words(["write", "--reply-to", &last, answer]));
        self.answered = word(&self.one(&write)?, "id");
        Ok(())
    }

    /// Looks how many messages a house holds, and of whom.
    fn count(&mut self, house: usize) -> Result<(), CliError> {
        let query = self.at(house, words(["query", "--type", "post", "--type", "reply"]));
        let (own, followed) = (&self.houses[house].feed, &self.houses[after(house)].feed);
        let mut counts = [0; 3];
        for message in self.ask(&query)? {
            let feed = word(&message, "feed");
            let sort = if feed == *own { 0 } else { 1 + usize::from(feed != *followed) };
            counts[sort] += 1;
        }
        self.houses[house].counts = counts;
        Ok(())
    }

    /// Messages that there are.
    fn whole(&self) -> u64 {
        self.houses.iter().map(|house| house.counts[0]).sum()
    }

    fn expect_everything(&self) -> Result<(), CliError> {
        let whole = self.whole();
        let lacks = |house: &House| house.counts.iter().sum::<u64>() != whole;
        self.houses.iter().position(lacks).map_or(Ok(()), |house| {
            let name = HOUSES[house].0;
            let fault = format!("after {ROUNDS} rounds {name} does not hold everything");
            Err(CliError::new(Kind::Bug, fault))
        })
    }
}

// ---- What came of it ----

impl Village<'_> {
    /// Shows what can be asked of a home now.
    fn look(&mut self) -> Result<(), CliError> {
        if self.streams.json {
            return Ok(());
        }
        self.say("")?;
        self.head("What Yuki reads in the square, the newest last:")?;
        self.show(YUKI, words(["read", "square", "-n", "3"]))?;
        self.head("Who wrote of insulin, as Tomáš has it:")?;
        self.show(TOMAS, words(["query", "--text", "insulin", "-n", "3"]))?;
        self.head("A conversation across three homes, and how each part of it came to Inés:")?;
        let last = self.answered.clone();
        self.show(INES, words(["query", "--thread", &last]))?;
        self.head("How all that Tomáš holds came to him:")?;
        self.ways(TOMAS)
    }

    /// Counts what came to a house by which way.
    fn ways(&mut self, house: usize) -> Result<(), CliError> {
        let query = self.at(house, words(["query", "--type", "post", "--type", "reply"]));
        let mut ways: BTreeMap<String, u64> = BTreeMap::new();
        for message in self.ask(&query)? {
            *ways.entry(word(&message, "via")).or_default() += 1;
        }
        for (way, count) in ways {
            self.say(&format!("  {count:>5}  {}", text::safe(&way)))?;
        }
        Ok(())
    }

    /// Has every home checked, and compares what they hold of one feed.
    fn examine(&mut self) -> Result<Sound, CliError> {
        self.say("")?;
        self.head("Is all of it sound, and the same everywhere?")?;
        let mut sound = Sound { entries: 0, signatures: 0 };
        for (house, (name, _)) in HOUSES.iter().enumerate() {
            let checked = self.one(&self.at(house, words(["doctor"])))?;
            let (entries, signatures) =
                (number(&checked, "entries"), number(&checked, "signatures"));
            sound.entries += entries;
            sound.signatures += signatures;
            self.say(&format!(
                "  {name:<9} {entries:>5} entries, {signatures:>4} signatures: sound"
            ))?;
        }
        let export = words(["export", &self.houses[BRAM].feed.clone()]);
        let here = self.program.call(&self.at(BRAM, export.clone()))?;
        for (house, (name, _)) in HOUSES.iter().enumerate() {
            if self.program.call(&self.at(house, export.clone()))? != here {
                let fault = format!("the feed of Bram is not the same in the home of {name}");
                return Err(CliError::new(Kind::Bug, fault));
            }
        }
        self.say("  The feed of Bram, exported, is the same bytes in all eight.")?;
        Ok(sound)
    }

    /// Says what it came to, and what to try next.
    fn conclude(&mut self, sound: &Sound, begun: Instant) -> Result<(), CliError> {
        let seconds = begun.elapsed().as_secs_f64();
        let written: u64 = self.visits.iter().map(|visit| visit.bytes).sum();
        let last = self.visits.iter().rev().take(HOUSES.len());
        let on_stick: u64 = last.map(|visit| visit.bytes).sum();
        if self.streams.json {
            return self.summary(sound, [written, on_stick], seconds);
        }
        let (whole, visits) = (self.whole(), self.visits.len());
        self.say("")?;
        self.head(&format!(
            "{whole} messages are in {} homes, after {visits} visits and {seconds:.1} seconds.",
            HOUSES.len()
        ))?;
        self.prose(&format!(
            "The stick has taken {} in {visits} files; {} are left on it, readable by whoever \
             finds it.",
            when::bytes(written),
            when::bytes(on_stick)
        ))?;
        self.say("")?;
        self.head("Now you:")?;
        let tries = [
            (INES, words(["read", "water"])),
            (BRAM, words(["query", "--from", "Leila", "--text", "hens"])),
            (LEILA, words(["write", "--channel", "square", "Who wants bread?"])),
        ];
        for (house, words) in tries {
            let line = self.program.shown(&self.at(house, words));
            self.say(&format!("    $ {line}"))?;
        }
        Ok(())
    }

    /// Prints the one object for programs; the bytes are those ever written to the stick, and those
    /// that are left on it.
    fn summary(&mut self, sound: &Sound, bytes: [u64; 2], seconds: f64) -> Result<(), CliError> {
        let house = |(house, (name, folder)): (&House, &(&str, &str))| {
            let [own, followed, carried] = house.counts;
            json!({
                "name": name, "home": self.place.typed.join(folder).to_string_lossy(),
                "feed": house.feed, "own": own, "followed": followed, "carried": carried,
            })
        };
        let visit = |visit: &Visit| {
            json!({
                "round": visit.round, "name": HOUSES[visit.house].0, "entries_new": visit.new,
                "entries": visit.taken, "bytes": visit.bytes,
            })
        };
        let fields = Fields::default()
            .with("folder", self.place.typed.to_string_lossy())
            .with("messages", self.whole())
            .with("homes", self.houses.iter().zip(&HOUSES).map(house).collect::<Vec<_>>())
            .with("visits", self.visits.iter().map(visit).collect::<Vec<_>>())
            .with("bytes_written", bytes[0])
            .with("bytes_on_stick", bytes[1])
            .with("sound", true)
            .with("entries_checked", sound.entries)
            .with("signatures_checked", sound.signatures)
            .with("seconds", (seconds * 1000.0).round() / 1000.0);
        self.streams.object(&fields)
    }
}

// ---- Calling the program ----

impl Village<'_> {
    /// The words of a command in a house.
    fn at(&self, house: usize, words: Vec<OsString>) -> Vec<OsString> {
        let home = self.place.typed(HOUSES[house].1);
        [OsString::from("--home"), home].into_iter().chain(words).collect()
    }

    /// Calls the program for its data.
    fn ask(&self, words: &[OsString]) -> Result<Vec<Value>, CliError> {
        let words: Vec<OsString> = words.iter().cloned().chain(["--json".into()]).collect();
        let printed = self.program.call(&words)?;
        let parse = |line: &str| {
            serde_json::from_str(line).map_err(|error| {
                let shown = self.program.shown(&words);
                CliError::new(Kind::Bug, format!("`{shown}` printed no JSON")).because(&error)
            })
        };
        String::from_utf8_lossy(&printed).lines().map(parse).collect()
    }

    /// [`ask`](Self::ask) where the answer is one object.
    fn one(&self, words: &[OsString]) -> Result<Value, CliError> {
        self.ask(words)?.pop().ok_or_else(|| {
            CliError::new(Kind::Bug, format!("`{}` printed nothing", self.program.shown(words)))
        })
    }

    /// Shows a command and lets it print for itself.
    fn show(&mut self, house: usize, words: Vec<OsString>) -> Result<(), CliError> {
        let words = self.at(house, words);
        self.say(&format!("    $ {}", self.program.shown(&words)))?;
        self.say("")?;
        self.streams.flush()?;
        self.program.start(&words, Stdio::inherit()).map(drop)
    }
}

fn words<const COUNT: usize>(words: [&str; COUNT]) -> Vec<OsString> {
    words.map(OsString::from).to_vec()
}

fn word(object: &Value, field: &str) -> String {
    object[field].as_str().unwrap_or_default().to_owned()
}

fn number(object: &Value, field: &str) -> u64 {
    object[field].as_u64().unwrap_or_default()
}

/// The house that comes after this one.
const fn after(house: usize) -> usize {
    (house + 1) % HOUSES.len()
}

// ---- The screen ----

/// What stands for an id in a command that is only an example.
const HIDDEN: &str = "FEED-OF-THE-NEXT";

/// What the output is shown on.
#[derive(Debug)]
struct Screen {
    columns: usize,
    colour: bool,
    /// Whether lines that were printed can be drawn over.
    live: bool,
    /// How many of them there are.
    drawn: usize,
}

impl Screen {
    fn of(facts: &Facts, json: bool) -> Self {
        let moves = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let live = moves && !json && io::stdout().is_terminal();
        Self { columns: facts.columns, colour: facts.colour, live, drawn: 0 }
    }
}

impl Village<'_> {
    /// Prints a line for whoever watches.
    fn say(&mut self, line: &str) -> Result<(), CliError> {
        if self.streams.json {
            return Ok(());
        }
        self.streams.line(line)
    }

    /// Prints words that may be broken into lines.
    fn prose(&mut self, words: &str) -> Result<(), CliError> {
        self.say(&text::wrap(words, self.screen.columns, 0))
    }

    /// Prints a heading.
    fn head(&mut self, words: &str) -> Result<(), CliError> {
        let words = text::wrap(words, self.screen.columns, 0);
        self.say(&painted(&words, "1", self.screen.colour))
    }

    fn rows(&self, stick: Option<usize>) -> Vec<Row<'static>> {
        let row = |(at, (house, (name, _))): (usize, (&House, &(&'static str, &str)))| Row {
            name,
            counts: house.counts,
            has_stick: stick == Some(at),
        };
        self.houses.iter().zip(&HOUSES).enumerate().map(row).collect()
    }

    fn say_table(&mut self, stick: Option<usize>) -> Result<(), CliError> {
        let Screen { columns, colour, .. } = self.screen;
        let lines = table(&self.rows(stick), self.whole(), columns, colour);
        self.screen.drawn = lines.len();
        lines.iter().try_for_each(|line| self.say(line))
    }

    /// Shows what the last visit came to: in the table if it can be drawn over, else in a line.
    fn show_visit(&mut self) -> Result<(), CliError> {
        let Some(visit) = self.visits.last() else { return Ok(()) };
        let line = format!(
            "round {}  {:<9} {:>3} new entries; leaves {:>3} for {:<9} {:>9}",
            visit.round,
            HOUSES[visit.house].0,
            visit.new,
            visit.taken,
            HOUSES[after(visit.house)].0,
            when::bytes(visit.bytes)
        );
        let line = format!("  {}", text::fit(&line, self.screen.columns.saturating_sub(2)));
        if self.screen.live {
            let house = visit.house;
            if self.screen.drawn > 0 {
                // Up over the table and the line below it, and clear from there.
                let up = self.screen.drawn + 1;
                write!(self.streams.out, "\u{1b}[{up}A\u{1b}[J")
                    .map_err(|error| CliError::output(&error))?;
            }
            self.say_table(Some(house))?;
        }
        self.say(&line)?;
        self.streams.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn everybody_who_wrote_has_a_house() {
        let author = |line: &str| word(&serde_json::from_str(line).unwrap(), "author");
        let authors: BTreeSet<String> = MESSAGES.lines().map(author).collect();
        let names: BTreeSet<String> = HOUSES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(authors, names);
        assert_eq!(MESSAGES.lines().count(), 200);
    }

    #[test]
    fn only_what_it_made_is_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("village");
        let place = Place { typed: folder.clone(), folder: folder.clone() };
        place.clear(false).unwrap();
        fs::create_dir(folder.join(STICK)).unwrap();
        fs::write(folder.join("mine.txt"), "keep me").unwrap();
        assert!(place.clear(false).unwrap_err().hints[0].contains("--again"));
        place.clear(true).unwrap();
        assert!(folder.join("mine.txt").exists() && !folder.join(STICK).exists());
        fs::remove_file(folder.join(MARKER)).unwrap();
        assert!(place.clear(true).unwrap_err().message.contains("is not empty"));
        assert!(folder.join("mine.txt").exists());
    }
}
