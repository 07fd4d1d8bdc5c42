//! `init`: a home, a feed, and the phrase that is the account.
//!
//! The phrase is shown before the home counts: who saw no phrase has no home.

use thistle_engine::account::{AccountKey, Phrase, PhraseFault};
use thistle_engine::content::Carry;
use thistle_engine::{Me, ids};

use crate::args::{self, CarriedBy, Meets};
use crate::commands::input;
use crate::context::Streams;
use crate::facts::Facts;
use crate::home::{self, Home, Profile};
use crate::outcome::{CliError, Kind};
use crate::passphrase::{self, Passphrase};
use crate::text;
use crate::view::Fields;

/// Words in a line of the phrase as people see it.
const IN_A_LINE: usize = 6;

/// Makes a home.
pub(crate) fn run(
    args: &args::Init,
    home: &Home,
    facts: &Facts,
    streams: &mut Streams,
) -> Result<u8, CliError> {
    let name = checked_name(&args.name)?;
    home.expect_none()?;
    let passphrase = passphrase(args.passphrase)?;
    let phrase = phrase(args.restore, streams)?;
    let account = AccountKey::from_phrase(&phrase);
    let carry = match args.carry {
        CarriedBy::Open => Carry::Open,
        CarriedBy::Contacts => Carry::Contacts,
        CarriedBy::Listed => Carry::Listed,
    };
    let profile = Profile { name: &name, carry, secluded: args.radio == Meets::Contacts };
    let unsettled = home.create(&account, profile, passphrase.as_ref(), facts.now())?;
    let me = unsettled.node.me().map_err(|error| home.store_fault(&error))?;
    show(&me, home, (&phrase, args.restore), streams)?;
    drop(unsettled.settle()?);
    Ok(0)
}

/// The passphrase that a home is to be made with, if there is to be one.
pub(crate) fn passphrase(asked: bool) -> Result<Option<Passphrase>, CliError> {
    if let Some(passphrase) = Passphrase::named_by(passphrase::FILE)? {
        return Ok(Some(passphrase));
    }
    if !asked {
        return Ok(None);
    }
    let typed = Passphrase::asked_twice()?;
    typed.map(Some).ok_or_else(|| passphrase::nobody_to_ask(passphrase::FILE))
}

/// The phrase of the account that a profile is made for: one that is typed, or a new one.
pub(crate) fn phrase(restore: bool, streams: &mut Streams) -> Result<Phrase, CliError> {
    if restore {
        return read_phrase(&input::phrase(streams)?);
    }
    Ok(Phrase::from_entropy(&home::fresh_seed()?))
}

/// Shows whose profile was made, and the phrase unless it was typed.
pub(crate) fn show(
    me: &Me,
    home: &Home,
    (phrase, restored): (&Phrase, bool),
    streams: &mut Streams,
) -> Result<(), CliError> {
    let (account, feed) = (ids::account_text(&me.account), ids::feed_text(&me.feed));
    if streams.json {
        let fields = Fields::default()
            .with("account", account)
            .with("feed", feed)
            .with("phrase", phrase.words().join(" "));
        streams.object(&fields)?;
    } else {
        streams.line(&format!("Home:    {}", text::safe(&home.path().to_string_lossy())))?;
        streams.line(&format!("Account: {account}"))?;
        streams.line(&format!("Feed:    {feed}"))?;
        if restored {
            streams.line("")?;
            streams.line(
                "The account goes on with this new feed. Your old feed is not continued; read \
                 the bundles of others\nto see again what they hold of it.",
            )?;
        } else {
            show_phrase(phrase, streams)?;
        }
    }
    streams.flush()
}

fn show_phrase(phrase: &Phrase, streams: &mut Streams) -> Result<(), CliError> {
    streams.line("")?;
    streams.line("Your recovery phrase. It is shown this once: write it on paper now.")?;
    let words = phrase.words();
    for (line, words) in words.chunks(IN_A_LINE).enumerate() {
        let numbered = words
            .iter()
            .enumerate()
            .map(|(at, word)| format!("{:>2} {word:<8}", line * IN_A_LINE + at + 1));
        streams.line(numbered.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    streams.line("Whoever has it can be you. Without it nobody can, if this device is lost.")
}

/// Reads a name that the person wants to go by.
pub(crate) fn checked_name(typed: &str) -> Result<String, CliError> {
    text::name(typed)
        .map_err(|fault| CliError::new(Kind::Input, "this cannot be a name").because(&fault))
}

/// Reads a recovery phrase; an error never repeats what was typed.
pub(crate) fn read_phrase(typed: &str) -> Result<Phrase, CliError> {
    Phrase::parse(typed).map_err(|fault| {
        let error = CliError::new(Kind::Input, "this is not a recovery phrase").because(&fault);
        match fault {
            PhraseFault::UnknownWord { nearest, .. } if !nearest.is_empty() => {
                error.hint(format!("did you mean `{}`?", nearest.join("` or `")))
            }
            PhraseFault::UnknownWord { .. } | PhraseFault::Checksum => {
                error.hint("compare each word with what you wrote down, and their order")
            }
            PhraseFault::WordCount { .. } => {
                error.hint("give all 24 words on standard input, with spaces between them")
            }
        }
    })
}
