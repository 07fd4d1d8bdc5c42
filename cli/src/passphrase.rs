//! Passphrases: from a file that the environment names, or asked for at a terminal.
//!
//! The environment itself never holds one, since every process of the same person can read it. What
//! was typed is wiped once it is used, and no error repeats it.

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::outcome::{CliError, Kind};

/// What names the file with the passphrase.
pub(crate) const FILE: &str = "THISTLE_PASSPHRASE_FILE";
/// What names the file with the passphrase that is to be set.
pub(crate) const NEW_FILE: &str = "THISTLE_NEW_PASSPHRASE_FILE";
/// The longest passphrase, in bytes.
const LONGEST: usize = 4096;

/// There is no terminal, and no file was named.
pub(crate) fn nobody_to_ask(variable: &str) -> CliError {
    CliError::new(Kind::Locked, "there is no terminal to ask for the passphrase at")
        .hint(format!("say in `{variable}` which file holds it"))
}

/// A passphrase; wiped when dropped and never printed.
#[derive(Clone)]
pub(crate) struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// The bytes that are stretched.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Reads what is in the file that a variable names; none: it names none.
    pub(crate) fn named_by(variable: &str) -> Result<Option<Self>, CliError> {
        let Some(path) = env::var_os(variable).filter(|path| !path.is_empty()) else {
            return Ok(None);
        };
        let refused = || {
            CliError::new(Kind::Locked, "the file with the passphrase cannot be used")
                .hint(format!("`{variable}` names it; it holds the passphrase and nothing else"))
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
        File::open(Path::new(&path))
            .and_then(|file| file.take(LONGEST as u64 + 1).read_to_end(&mut bytes))
            .map_err(|error| refused().because(&error))?;
        let text = std::str::from_utf8(&bytes).map_err(|error| refused().because(&error))?;
        let line = text.strip_suffix('\n').unwrap_or(text);
        Self::checked(line.strip_suffix('\r').unwrap_or(line)).map(Some)
    }

    /// Asks at the terminal; none: there is none.
    pub(crate) fn asked_for(what: &str) -> Result<Option<Self>, CliError> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let typed = silently(what).map_err(|error| {
            CliError::new(Kind::Locked, "the passphrase cannot be read").because(&error)
        })?;
        Self::checked(&typed).map(Some)
    }

    /// Asks for one that is to be set, twice.
    pub(crate) fn asked_twice() -> Result<Option<Self>, CliError> {
        let Some(first) = Self::asked_for("New passphrase: ")? else { return Ok(None) };
        match Self::asked_for("Once more: ")? {
            Some(again) if again.0 == first.0 => Ok(Some(first)),
            _ => Err(CliError::new(Kind::Input, "these were two different passphrases")
                .hint("nothing was changed: try again")),
        }
    }

    /// The same letters are the same passphrase, whatever the keyboard makes of them.
    fn checked(typed: &str) -> Result<Self, CliError> {
        let text: Zeroizing<String> = Zeroizing::new(typed.nfc().collect());
        if text.is_empty() {
            return Err(CliError::new(Kind::Input, "the passphrase is empty"));
        }
        if text.len() > LONGEST {
            return Err(CliError::new(Kind::Input, "the passphrase is too long")
                .since(format!("the limit is {LONGEST} bytes")));
        }
        Ok(Self(text))
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Puts the terminal back as it was, whatever happens.
struct Silence(Termios);

impl Drop for Silence {
    fn drop(&mut self) {
        _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Reads a line that does not appear while it is typed.
fn silently(what: &str) -> io::Result<Zeroizing<String>> {
    let mut err = io::stderr();
    err.write_all(what.as_bytes())?;
    let before = tcgetattr(io::stdin())?;
    let mut silent = before.clone();
    // Signals too are taken as bytes, so that none leaves the terminal without an echo.
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    let _before = Silence(before);
    tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
    let typed = line(&mut io::stdin().lock());
    err.write_all(b"\n")?;
    typed
}

fn line(input: &mut dyn Read) -> io::Result<Zeroizing<String>> {
    let mut typed = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    let mut byte = [0];
    loop {
        if input.read(&mut byte)? == 0 {
            break;
        }
        match byte[0] {
            b'\r' | b'\n' | 4 => break,
            3 => return Err(io::ErrorKind::Interrupted.into()),
            // The last character goes, however many bytes it has.
            8 | 127 => while typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            21 => typed.clear(),
            byte if typed.len() <= LONGEST => typed.push(byte),
            _ => {}
        }
    }
    let text = std::str::from_utf8(&typed).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_line_is_mended_as_people_expect() {
        for (typed, due) in [
            (&b"thistle\nrest"[..], "thistle"),
            (b"thisx\x7ftle\r", "thistle"),
            ("th\u{e4}\u{7f}istle\n".as_bytes(), "thistle"),
            (b"wrong\x15thistle\n", "thistle"),
            (b"thistle", "thistle"),
        ] {
            assert_eq!(*line(&mut &typed[..]).unwrap(), due);
        }
        assert_eq!(line(&mut &b"this\x03"[..]).unwrap_err().kind(), io::ErrorKind::Interrupted);
    }

    #[test]
    fn the_same_letters_are_the_same_passphrase() {
        let (one, two) = (Passphrase::checked("gr\u{fc}n"), Passphrase::checked("gru\u{308}n"));
        assert_eq!(one.unwrap().bytes(), two.unwrap().bytes());
        assert!(Passphrase::checked("").is_err());
        assert_eq!(format!("{:?}", Passphrase::checked("secret").unwrap()), "Passphrase(..)");
    }
}
