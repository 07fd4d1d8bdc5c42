//! Reads messages to import, from JSON Lines or an mbox file, one at a time.
//!
//! People bring years of mail and chat with them, in files larger than memory, in which some part
//! is always broken. So the reader streams, refuses what is over a limit without buffering it, says
//! on which line, and goes on. Every item tells the byte offset after it, from which an interrupted
//! import continues.
//!
//! Nothing here repairs a message: an over-long text is refused, never cut; a missing time is never
//! guessed.

use std::fmt;
use std::io::{self, BufRead};

use mail_parser::{Addr, HeaderName, Message, MessageParser};
use serde::Deserialize;

use crate::outcome::{CliError, Kind};
use crate::text::NAME_BYTES;
use crate::when::{self, TIME_END};

/// The longest line, in bytes.
pub(crate) const LINE_BYTES: usize = 1 << 20;

/// The longest mail, attachments included, in bytes; more than this at once is never held.
pub(crate) const MAIL_BYTES: usize = 16 << 20;

/// The longest text of one message, in bytes of UTF-8: what fits a payload beside its other fields.
pub(crate) const TEXT_BYTES: usize = 16_000;

/// What an import file is, told by its first bytes that are not blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON object a line: `author`, `time`, `channel`, `text`.
    JsonLines,
    /// Mails after one another, each behind a line that begins with `From `.
    Mbox,
}

/// One message out of an import file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Imported {
    /// Who wrote it: 1 to [`NAME_BYTES`] bytes, as found.
    pub(crate) author: String,
    /// When, in Unix seconds, below [`TIME_END`].
    pub(crate) time: u64,
    /// Where, if it says so: 1 to [`NAME_BYTES`] bytes.
    pub(crate) channel: Option<String>,
    /// What, at most [`TEXT_BYTES`] bytes.
    pub(crate) text: String,
    /// Where in the file the next message begins.
    pub(crate) offset_after: u64,
}

/// A message that could not be imported, and where it stands.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The line, counted from 1; of a mail, its first.
    pub(crate) line: u64,
    /// Where in the file the next message begins.
    pub(crate) offset_after: u64,
    /// What is wrong.
    pub(crate) problem: Problem,
}

/// What is wrong with a message.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The file cannot be read further; nothing follows.
    Read(io::Error),
    /// It has a line of more than [`LINE_BYTES`].
    LineTooLong,
    /// The mail has more than [`MAIL_BYTES`].
    MailTooLong,
    /// The line is no JSON object of the right shape; the parser's words.
    Json(String),
    /// Something stands where a mail should begin.
    NoMail,
    /// A field is missing, or has nothing in it.
    Missing(&'static str),
    /// The time is no whole number of seconds that an entry can carry.
    Time,
    /// A field is too long.
    OverLimit {
        /// Which.
        field: &'static str,
        /// Its bytes.
        found: usize,
        /// The most it may have.
        limit: usize,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: usize| when::count(u64::try_from(number).unwrap_or(u64::MAX));
        match self {
            Self::Read(error) => write!(f, "cannot be read: {error}"),
            Self::LineTooLong => write!(f, "longer than the limit of {} bytes", number(LINE_BYTES)),
            Self::MailTooLong => {
                write!(f, "a mail longer than the limit of {} bytes", number(MAIL_BYTES))
            }
            Self::Json(words) => f.write_str(words),
            Self::NoMail => f.write_str("no mail begins here"),
            Self::Missing(field) => write!(f, "{field} is missing"),
            Self::Time => {
                write!(
                    f,
                    "time must be a whole number of Unix seconds, 0 to {}",
                    when::count(TIME_END - 1)
                )
            }
            Self::OverLimit { field, found, limit } => {
                write!(f, "{field} has {} bytes, the limit is {}", number(*found), number(*limit))
            }
        }
    }
}

/// A reader of an import file; an iterator over its messages and over what could not be one.
#[derive(Debug)]
pub(crate) struct Mailbox<R> {
    lines: Lines<R>,
    format: Format,
    done: bool,
}

impl<R: BufRead> Mailbox<R> {
    /// Opens an import file and goes to the byte offset at which an earlier import stopped, or 0.
    ///
    /// `source` stands at the beginning of the file: what was imported before is read again, but
    /// only for counting its lines, so that later faults name the right one.
    pub(crate) fn open(source: R, start: u64) -> Result<Self, CliError> {
        let unreadable = |error: io::Error| {
            CliError::new(Kind::Input, "the import file cannot be read").because(&error)
        };
        let mut lines =
            Lines { source, line: Vec::new(), whole: true, number: 0, offset: 0, again: false };
        loop {
            if !lines.next().map_err(unreadable)? {
                return Err(CliError::new(Kind::Input, "the import file is empty"));
            }
            if !lines.is_blank() {
                break;
            }
        }
        let format = match lines.bytes().trim_ascii_start() {
            [b'{', ..] => Format::JsonLines,
            [b'F', b'r', b'o', b'm', b' ', ..] => Format::Mbox,
            _ => {
                return Err(CliError::new(
                    Kind::Input,
                    "the import file is neither JSON Lines nor an mbox",
                )
                .hint("its first line must begin with `{` or with `From `"));
            }
        };
        if start <= lines.start() {
            lines.again = true;
        } else {
            while lines.offset < start && lines.next().map_err(unreadable)? {}
            if lines.offset != start {
                return Err(CliError::new(
                    Kind::Input,
                    "the import file is not the one that was begun",
                )
                .since(format!("no message begins at byte {start}, where the import stopped"))
                .hint("import it again from its beginning"));
            }
        }
        Ok(Self { lines, format, done: false })
    }

    /// Returns what the file is.
    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    fn next_row(&mut self) -> io::Result<Option<Result<Imported, Fault>>> {
        while self.lines.next()? {
            if !self.lines.is_blank() {
                let found = if self.lines.whole {
                    row(self.lines.bytes())
                } else {
                    Err(Problem::LineTooLong)
                };
                return Ok(Some(located(found, self.lines.number, self.lines.offset)));
            }
        }
        Ok(None)
    }

    fn next_mail(&mut self) -> io::Result<Option<Result<Imported, Fault>>> {
        loop {
            if !self.lines.next()? {
                return Ok(None);
            }
            if !self.lines.is_blank() {
                break;
            }
        }
        let first = self.lines.number;
        let mut problem = (!self.lines.bytes().starts_with(b"From ")).then_some(Problem::NoMail);
        let mut mail = Vec::new();
        let mut after_blank = false;
        while self.lines.next()? {
            if after_blank && self.lines.whole && is_separator(self.lines.bytes()) {
                self.lines.again = true;
                break;
            }
            after_blank = self.lines.is_blank();
            let line = unquoted(&self.lines.line);
            if !self.lines.whole {
                problem.get_or_insert(Problem::LineTooLong);
            } else if mail.len() + line.len() > MAIL_BYTES {
                problem.get_or_insert(Problem::MailTooLong);
            }
            // Of a mail that is refused already, nothing more is kept.
            if problem.is_none() {
                mail.extend_from_slice(line);
            } else {
                mail = Vec::new();
            }
        }
        let after = if self.lines.again { self.lines.start() } else { self.lines.offset };
        let found = problem.map_or_else(|| read_mail(&mail), Err);
        Ok(Some(located(found, first, after)))
    }
}

impl<R: BufRead> Iterator for Mailbox<R> {
    type Item = Result<Imported, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let found = match self.format {
            Format::JsonLines => self.next_row(),
            Format::Mbox => self.next_mail(),
        };
        let item = found.unwrap_or_else(|error| {
            let (line, offset_after) = (self.lines.number + 1, self.lines.offset);
            self.done = true;
            Some(Err(Fault { line, offset_after, problem: Problem::Read(error) }))
        });
        self.done |= item.is_none();
        item
    }
}

/// A file read line by line with bounded memory.
#[derive(Debug)]
struct Lines<R> {
    source: R,
    /// The line, with its end; of one that is too long, the beginning.
    line: Vec<u8>,
    /// Whether `line` is all of it.
    whole: bool,
    /// Its number, from 1.
    number: u64,
    /// Where it ends.
    offset: u64,
    /// Whether `next` gives the same line once more.
    again: bool,
}

impl<R: BufRead> Lines<R> {
    /// Goes to the next line; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        if std::mem::take(&mut self.again) {
            return Ok(true);
        }
        self.line.clear();
        self.whole = true;
        let mut read = 0_u64;
        loop {
            let buffer = match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if buffer.is_empty() {
                break;
            }
            let end = buffer.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
            let taken = end.unwrap_or(buffer.len());
            let room = LINE_BYTES - self.line.len();
            self.whole &= taken <= room;
            self.line.extend_from_slice(&buffer[..taken.min(room)]);
            self.source.consume(taken);
            read += u64::try_from(taken).unwrap_or(u64::MAX);
            if end.is_some() {
                break;
            }
        }
        self.number += u64::from(read > 0);
        self.offset += read;
        Ok(read > 0)
    }
}

impl<R> Lines<R> {
    /// Returns the line, without the mark that some programs put at the beginning of a UTF-8 file.
    fn bytes(&self) -> &[u8] {
        let marked = if self.number == 1 { self.line.strip_prefix(b"\xef\xbb\xbf") } else { None };
        marked.unwrap_or(&self.line)
    }

    fn is_blank(&self) -> bool {
        self.whole && self.bytes().trim_ascii().is_empty()
    }

    /// Returns where the line begins. A line that is too long is never given again, so its length
    /// is not needed.
    fn start(&self) -> u64 {
        self.offset - u64::try_from(self.line.len()).unwrap_or(u64::MAX).min(self.offset)
    }
}

/// A line of JSON as it comes; what is required is checked afterwards, so that the fault names the
/// field.
#[derive(Deserialize)]
struct Row {
    author: Option<String>,
    time: Option<serde_json::Number>,
    channel: Option<String>,
    text: Option<String>,
}

fn row(line: &[u8]) -> Result<Imported, Problem> {
    // Without this, a JSON array would be read as the fields in their order.
    if !line.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::Json("not a JSON object".to_owned()));
    }
    let row: Row = serde_json::from_slice(line.trim_ascii_end()).map_err(|error| {
        let words = error.to_string();
        // The parser counts lines within the line.
        let what = words.rsplit_once(" at line ").map_or(words.as_str(), |(what, _)| what);
        Problem::Json(format!("column {}: {what}", error.column()))
    })?;
    let author = row.author.ok_or(Problem::Missing("author"))?;
    let time = row.time.ok_or(Problem::Missing("time"))?.as_u64().ok_or(Problem::Time)?;
    let text = row.text.ok_or(Problem::Missing("text"))?;
    checked(author, time, row.channel, text)
}

/// Returns whether a line after a blank one begins a mail: people, too, begin paragraphs with `From
/// `, so it must end like a date, with a time of day and a year.
fn is_separator(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"From ") else {
        return false;
    };
    let words = || rest.split(u8::is_ascii_whitespace);
    let is_clock = |word: &[u8]| {
        word.len() >= 4 && word.contains(&b':') && word.first().is_some_and(u8::is_ascii_digit)
    };
    words().any(is_clock)
        && words().any(|word| word.len() == 4 && word.iter().all(u8::is_ascii_digit))
}

/// Takes off the `>` that mail programs put before `From ` inside a mail.
fn unquoted(line: &[u8]) -> &[u8] {
    let bare = line.iter().position(|&byte| byte != b'>').unwrap_or(0);
    if bare > 0 && line[bare..].starts_with(b"From ") { &line[1..] } else { line }
}

fn read_mail(raw: &[u8]) -> Result<Imported, Problem> {
    let mail = MessageParser::default().parse(raw).ok_or(Problem::NoMail)?;
    let sender = mail.from().and_then(|from| from.first());
    let author =
        sender.and_then(display_name).ok_or(Problem::Missing("author (the header From)"))?;
    let date = mail
        .date()
        .filter(|date| date.is_valid())
        .ok_or(Problem::Missing("time (the header Date)"))?;
    let time = u64::try_from(date.to_timestamp()).map_err(|_| Problem::Time)?;
    let subject = mail.subject().unwrap_or_default().trim();
    let body = mail.body_text(0).unwrap_or_default().replace("\r\n", "\n");
    let body = body.trim_end().trim_start_matches('\n');
    let parts: Vec<&str> = [subject, body].into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Err(Problem::Missing("text"));
    }
    checked(author, time, list_id(&mail), parts.join("\n\n"))
}

/// Returns who a mail is from: the name beside the address, or what stands before the `@`. The
/// whole address is nobody's business on a feed that spreads.
fn display_name(sender: &Addr<'_>) -> Option<String> {
    let given = [sender.name(), sender.address()];
    let shown = given.into_iter().flatten().map(str::trim).find(|name| !name.is_empty())?;
    let bare = match (sender.address(), shown.split_once(" at "), shown.split_once('@')) {
        // Archives of mailing lists write `ana at example.org (Ana Ruiz)`, which is no address.
        (None, Some((local, rest)), _) => {
            rest.split_once('(').map_or(local, |(_, name)| name.trim_end_matches(')'))
        }
        (_, _, Some((local, _))) => local,
        _ => shown,
    };
    let bare = bare.trim_matches([' ', '"', '\'', '<', '>']);
    (!bare.is_empty()).then(|| bare.to_owned())
}

/// Returns the id of the mailing list, the part in angle brackets if there is one.
fn list_id(mail: &Message<'_>) -> Option<String> {
    let list = mail.header(HeaderName::ListId)?.as_address()?.first()?;
    let id = list.address().or_else(|| list.name())?.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

fn checked(
    author: String,
    time: u64,
    channel: Option<String>,
    text: String,
) -> Result<Imported, Problem> {
    limited("author", &author, 1, NAME_BYTES)?;
    if let Some(channel) = &channel {
        limited("channel", channel, 1, NAME_BYTES)?;
    }
    limited("text", &text, 0, TEXT_BYTES)?;
    if time >= TIME_END {
        return Err(Problem::Time);
    }
    Ok(Imported { author, time, channel, text, offset_after: 0 })
}

fn limited(field: &'static str, value: &str, least: usize, limit: usize) -> Result<(), Problem> {
    match value.len() {
        found if found > limit => Err(Problem::OverLimit { field, found, limit }),
        found if found < least => Err(Problem::Missing(field)),
        _ => Ok(()),
    }
}

fn located(
    found: Result<Imported, Problem>,
    line: u64,
    offset_after: u64,
) -> Result<Imported, Fault> {
    match found {
        Ok(message) => Ok(Imported { offset_after, ..message }),
        Err(problem) => Err(Fault { line, offset_after, problem }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::{BufReader, Read};

    use super::*;
    use crate::{import_laws, text};

    /// Opens with a tiny buffer, so that every line crosses its edge.
    fn open(file: &str, start: u64) -> Mailbox<BufReader<&[u8]>> {
        Mailbox::open(BufReader::with_capacity(7, file.as_bytes()), start).unwrap()
    }

    fn shown(file: &str) -> Vec<String> {
        let line = |item: Result<Imported, Fault>| match item {
            Ok(it) => format!(
                "{} {} {} {:?}",
                it.author,
                it.time,
                it.channel.as_deref().unwrap_or("-"),
                it.text
            ),
            Err(fault) => fault.to_string(),
        };
        open(file, 0).map(line).collect()
    }

    #[test]
    fn rows_are_read_and_bad_ones_are_located() {
        let long = |field: &str, bytes: usize| {
            let mut row =
                serde_json::json!({"author": "a", "time": 1, "channel": "c", "text": "t"});
            row[field] = "x".repeat(bytes).into();
            row.to_string()
        };
        let rows = [
            "\u{feff}".to_owned(),
            r#"{"author":"Ana","time":5,"channel":"water","text":"hé\n","more":[1,{}]}"#.to_owned(),
            r#"  {"text":"t","author":"Bo","time":0,"channel":null}  "#.to_owned(),
            r#"{"time":5,"text":"t"}"#.to_owned(),
            r#"{"author":"","time":5,"text":"t"}"#.to_owned(),
            r#"{"author":"Ana","text":"t"}"#.to_owned(),
            r#"{"author":"Ana","time":5}"#.to_owned(),
            r#"{"author":"Ana","time":5.5,"text":"t"}"#.to_owned(),
            r#"{"author":"Ana","time":-5,"text":"t"}"#.to_owned(),
            r#"{"author":"Ana","time":1099511627776,"text":"t"}"#.to_owned(),
            r#"{"author":"Ana","time":"5","text":"t"}"#.to_owned(),
            r#"["Ana",5,"water","t"]"#.to_owned(),
            r#"{"author":"Ana""#.to_owned(),
            r#"{"author":"Ana","time":5,"channel":"","text":"t"}"#.to_owned(),
            long("text", 16_000),
            long("text", 16_001),
            long("author", 65),
            long("channel", 65),
        ];
        let found = shown(&rows.join("\r\n"));
        assert_eq!(found[0], r#"Ana 5 water "hé\n""#);
        assert_eq!(found[1], r#"Bo 0 - "t""#);
        assert_eq!(
            found[2..13],
            [
                "line 4: author is missing",
                "line 5: author is missing",
                "line 6: time is missing",
                "line 7: text is missing",
                "line 8: time must be a whole number of Unix seconds, 0 to 1,099,511,627,775",
                "line 9: time must be a whole number of Unix seconds, 0 to 1,099,511,627,775",
                "line 10: time must be a whole number of Unix seconds, 0 to 1,099,511,627,775",
                "line 11: column 26: invalid type: string \"5\", expected a JSON number",
                "line 12: not a JSON object",
                "line 13: column 15: EOF while parsing an object",
                "line 14: channel is missing",
            ]
        );
        assert!(found[13].starts_with("a 1 c \"xxx"));
        assert_eq!(
            found[14..],
            [
                "line 16: text has 16,001 bytes, the limit is 16,000",
                "line 17: author has 65 bytes, the limit is 64",
                "line 18: channel has 65 bytes, the limit is 64",
            ]
        );
    }

    #[test]
    fn a_line_of_any_length_is_refused_in_bounded_memory_and_the_rest_goes_on() {
        let good = r#"{"author":"Ana","time":5,"text":"t"}"#;
        let source = [good.as_bytes(), b"\n{"].concat();
        let source = source
            .chain(io::repeat(b'x').take(50 << 20))
            .chain(b"\n".as_slice())
            .chain(good.as_bytes());
        let mut mailbox = Mailbox::open(BufReader::new(source), 0).unwrap();
        assert!(mailbox.next().unwrap().is_ok());
        let fault = mailbox.next().unwrap().unwrap_err();
        assert_eq!(fault.to_string(), "line 2: longer than the limit of 1,048,576 bytes");
        assert!(mailbox.next().unwrap().is_ok());
        assert!(mailbox.next().is_none());
        assert!(mailbox.lines.line.capacity() <= 2 * LINE_BYTES);
    }

    const MAILS: &str = "From ana@example.org Mon Mar  2 08:00:00 2026\n\
        From: Ana Ruiz <ana@example.org>\n\
        Date: Mon, 02 Mar 2026 09:00:00 +0100\n\
        List-Id: The valley <valley.example.org>\n\
        Subject: =?utf-8?q?Br=C3=BCcke?=\n\
        \n\
        It is out.\n\
        \n\
        From here on, mud.\n\
        >From the mayor\n\
        \n\
        From bo@example.org Mon Mar  2 09:00:00 2026\n\
        From: bo@example.org\n\
        Subject: no date\n\
        \n\
        text\n\
        \n\
        From x Mon Mar  2 10:00:00 2026\n\
        From: chidi at example.org (Chidi)\n\
        Date: Mon, 2 Mar 2026 10:00:00 +0000\n\
        Content-Type: multipart/alternative; boundary=b\n\
        \n\
        --b\n\
        Content-Type: text/plain; charset=iso-8859-1\n\
        Content-Transfer-Encoding: quoted-printable\n\
        \n\
        caf=E9\n\
        --b\n\
        Content-Type: text/html\n\
        \n\
        <b>no</b>\n\
        --b--\n\
        \n\
        From bo@example.org Mon Mar  2 09:00:00 2026\n\
        From: bo@example.org\n\
        Date: Mon, 2 Mar 2026 11:00:00 +0000\n\
        Subject: alone\n\
        \n";

    #[test]
    fn mails_are_split_and_read() {
        assert_eq!(
            shown(MAILS),
            [
                r#"Ana Ruiz 1772438400 valley.example.org "Brücke\n\nIt is out.\n\nFrom here on, mud.\nFrom the mayor""#,
                "line 12: time (the header Date) is missing",
                r#"Chidi 1772445600 - "café""#,
                r#"bo 1772449200 - "alone""#,
            ]
        );
        assert_eq!(shown(&MAILS.replace('\n', "\r\n")), shown(MAILS));
    }

    #[test]
    fn an_author_is_a_name_and_never_an_address() {
        for (from, author) in [
            ("Ana Ruiz <ana@example.org>", "Ana Ruiz"),
            ("ana@example.org (Ana Ruiz)", "Ana Ruiz"),
            ("\"ana@example.org\" <ana@example.org>", "ana"),
            ("<ana@example.org>", "ana"),
            ("ana at example.org (Ana Ruiz)", "Ana Ruiz"),
            ("ana at example.org", "ana"),
            ("Nurse at Clinic <ana@example.org>", "Nurse at Clinic"),
            ("Valley: ana@example.org;", "ana"),
            ("\"O'Neil, Ana\" <ana@example.org>", "O'Neil, Ana"),
        ] {
            let mail = format!("From: {from}\nDate: Mon, 2 Mar 2026 10:00:00 +0000\n\ntext\n");
            assert_eq!(read_mail(mail.as_bytes()).unwrap().author, author);
        }
    }

    #[test]
    fn mails_over_a_limit_are_refused_and_the_rest_goes_on() {
        let long_text =
            format!("{MAILS}{}\nFrom x Mon Mar  2 10:00:00 2026\n", "word word\n".repeat(1_700));
        assert_eq!(shown(&long_text)[3], "line 34: text has 17,006 bytes, the limit is 16,000");
        let long_line = format!("{MAILS}{}\n\n{MAILS}", "x".repeat(LINE_BYTES));
        let found = shown(&long_line);
        assert_eq!(found[3], "line 34: longer than the limit of 1,048,576 bytes");
        assert_eq!(
            found[4..6],
            shown(MAILS).iter().map(|line| line.replace("line 12", "line 52")).collect::<Vec<_>>()
                [..2]
        );
        let long_mail = format!("{MAILS}{}\n{MAILS}", "0123456789abcde\n".repeat(MAIL_BYTES / 16));
        let mut items = Mailbox::open(BufReader::new(long_mail.as_bytes()), 0).unwrap();
        let fault = items.nth(3).unwrap().unwrap_err();
        assert_eq!(fault.to_string(), "line 34: a mail longer than the limit of 16,777,216 bytes");
        assert_eq!(items.flatten().count(), 3);
    }

    #[test]
    fn every_offset_resumes_with_the_same_messages_and_line_numbers() {
        let rows = "\n{\"author\":\"A\",\"time\":1,\"text\":\"é\"}\n\n{}\r\n\
            {\"author\":\"B\",\"time\":2,\"text\":\"x\"}";
        for file in [rows, MAILS] {
            let words = |mailbox: Mailbox<BufReader<&[u8]>>| -> Vec<String> {
                mailbox
                    .map(|item| format!("{:?}", item.map_err(|fault| fault.to_string())))
                    .collect()
            };
            let offsets: Vec<u64> = open(file, 0)
                .map(|item| {
                    item.map_or_else(|fault| fault.offset_after, |message| message.offset_after)
                })
                .collect();
            let all = words(open(file, 0));
            for (at, &offset) in offsets.iter().enumerate() {
                assert_eq!(words(open(file, offset)), all[at + 1..], "offset {offset}");
            }
            assert_eq!(offsets.last().copied(), u64::try_from(file.len()).ok());
        }
    }

    #[test]
    fn a_file_that_is_not_the_one_begun_is_refused() {
        let file = "{\"author\":\"A\",\"time\":1,\"text\":\"x\"}\n";
        for start in [5, 1000] {
            let error = Mailbox::open(file.as_bytes(), start).unwrap_err();
            assert_eq!(error.message, "the import file is not the one that was begun");
        }
    }

    #[test]
    fn foreign_files_are_told_apart() {
        assert_eq!(open("\n \n{}", 0).format(), Format::JsonLines);
        assert_eq!(open("\u{feff}From a\n", 0).format(), Format::Mbox);
        for (file, message) in [
            ("", "the import file is empty"),
            (" \n\n", "the import file is empty"),
            ("Fromage", "the import file is neither JSON Lines nor an mbox"),
            ("[{}]", "the import file is neither JSON Lines nor an mbox"),
        ] {
            assert_eq!(Mailbox::open(file.as_bytes(), 0).unwrap_err().message, message);
        }
    }

    #[test]
    fn a_disk_that_fails_ends_the_reading() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("bad sector"))
            }
        }
        let good = "{\"author\":\"A\",\"time\":1,\"text\":\"x\"}\n";
        let mut mailbox = Mailbox::open(BufReader::new(good.as_bytes().chain(Broken)), 0).unwrap();
        assert!(mailbox.next().unwrap().is_ok());
        assert_eq!(
            mailbox.next().unwrap().unwrap_err().to_string(),
            "line 2: cannot be read: bad sector"
        );
        assert!(mailbox.next().is_none());
    }

    #[test]
    fn the_demonstration_village_is_whole() {
        let village = open(include_str!("../village/messages.jsonl"), 0);
        let messages: Vec<Imported> = village.map(Result::unwrap).collect();
        assert_eq!(messages.len(), 200);
        let distinct =
            |of: fn(&Imported) -> String| messages.iter().map(of).collect::<BTreeSet<_>>();
        let authors = distinct(|message| message.author.clone());
        let channels = distinct(|message| message.channel.clone().unwrap());
        assert_eq!((authors.len(), channels.len()), (8, 5));
        assert!(authors.union(&channels).all(|name| text::name(name).as_ref() == Ok(name)));
        assert!(messages.iter().all(|message| text::safe_block(&message.text) == message.text));
        // One telephone believes that it is 1970; all others agree about the order.
        let sane =
            messages.iter().map(|message| message.time).filter(|&time| time >= 1_772_438_400);
        assert!(sane.clone().is_sorted());
        assert_eq!(sane.count(), 198);
    }

    /// What `fuzz/` asks of this file, on its corpus and on that corpus spoilt by a seeded die.
    #[test]
    fn import_files_obey_the_laws_of_the_fuzz_target() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/import");
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.len() > 3);
        let mut dice = 0_u64;
        let mut roll = |end: usize| {
            dice = dice.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            usize::try_from(dice >> 33).unwrap() % end.max(1)
        };
        for file in files {
            let sound = std::fs::read(&file).unwrap();
            for spoilt in 0..40 {
                let mut bytes = sound.clone();
                for _ in 0..spoilt % 4 {
                    let (from, to) = (roll(bytes.len() + 1), roll(bytes.len() + 1));
                    match roll(4) {
                        0 => bytes.truncate(from.max(to)),
                        1 => drop(bytes.drain(from.min(to)..from.max(to).min(from.min(to) + 60))),
                        2 => bytes.insert(from, b"\n\r{}\":,>F \xef\xff"[roll(12)]),
                        _ => drop(
                            bytes.splice(from..from, sound[..roll(sound.len().min(80))].to_vec()),
                        ),
                    }
                }
                let failed = std::panic::catch_unwind(|| import_laws::files(&bytes)).is_err();
                assert!(!failed, "{}: {:?}", file.display(), String::from_utf8_lossy(&bytes));
            }
        }
    }

    #[test]
    fn damaged_mail_never_panics() {
        let bytes = MAILS.as_bytes();
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] = damaged[at].wrapping_mul(31).wrapping_add(7);
            damaged.truncate(bytes.len() - at / 3);
            if let Ok(mailbox) = Mailbox::open(damaged.as_slice(), 0) {
                assert!(mailbox.count() <= 6);
            }
        }
    }
}
