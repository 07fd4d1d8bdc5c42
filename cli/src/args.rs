//! The command line: what can be typed, and the help that says so.
//!
//! The comments on these types are the help, the completions and the man page. Nothing is checked
//! here beyond its shape: ids, times and sizes are read where they are used, so that their errors
//! can say what to do.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use thistle_engine::limits::HOPS;

use crate::outcome::EXIT_CODES;

mod people;

pub(crate) use people::{
    Accept, Card, Contact, ContactAdd, ContactCarry, ContactName, Device, Group, GroupCreate,
    Introduce,
};

/// Signed feeds that travel by stick when the network is gone.
///
/// You write to a feed of your own. Every entry is signed and linked to the one before, so what
/// reaches others is what you wrote, whoever carried it. Bundles carry feeds from one home to
/// another, on a stick or by any other way that moves files; everybody carries for everybody.
#[derive(Parser, Debug)]
#[command(
    name = "thistle",
    version,
    max_term_width = 100,
    after_long_help = exit_codes()
)]
pub(crate) struct Args {
    /// The home, a folder with the store and the keys.
    ///
    /// Without it `THISTLE_HOME` says where the home is, else it is `thistle` in the data folder of
    /// the system.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        value_hint = ValueHint::DirPath,
        display_order = 100
    )]
    pub(crate) home: Option<PathBuf>,
    /// Print data as JSON, one object a line, and errors too.
    #[arg(long, global = true, display_order = 101)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Make a home with a feed of your own, and show its recovery phrase once.
    Init(Init),
    /// Watch it work: a small village of homes, and a stick that walks from door to door.
    ///
    /// Makes eight homes in one folder, with messages that ship with the program, carries them to
    /// and fro, and shows what arrived. Nothing else is touched; the homes are yours to play with.
    Village(Village),
    /// Write a message to your feed.
    ///
    /// The text is taken from the arguments, else from standard input, else from your editor
    /// (`VISUAL` or `EDITOR`). Once this command ends well, the message is on the disk.
    Write(Write),
    /// Take back entries of your feed.
    ///
    /// Their texts are dropped here, and wherever the retraction arrives. What others have read,
    /// copied or carried elsewhere meanwhile, nobody can take back.
    Retract(Retract),
    /// Delete messages from this device, others' and your own.
    ///
    /// What they say is gone here for good, and so are the keys of what was private; it is not taken in
    /// again when somebody brings it. Nobody is told, and whoever else has it keeps it: to take back
    /// what you wrote, use `thistle retract`. What you wrote and nobody carried yet reaches nobody then.
    Delete(Delete),
    /// Publish how you want to be called.
    Profile(Profile),
    /// Bring messages from JSON Lines or an mbox file into your feed.
    ///
    /// A line is an object with `author`, `time` (Unix seconds), `channel` and `text`. Author, time
    /// and channel are kept. An interrupted import goes on where it stopped when it is run again;
    /// one that was finished adds nothing.
    Import(Import),
    /// Read the newest messages.
    Read(Read),
    /// Find entries, and tell when and over which way each one came.
    Query(Query),
    /// Follow a feed: it is kept whole and within a quota of its own.
    ///
    /// This stays on this device; nothing is published, unless you say --public.
    Follow(Follow),
    /// Follow a feed no longer; what is held of it becomes a stranger's.
    ///
    /// If you followed it publicly, that is taken back publicly too.
    Unfollow(OneFeed),
    /// Print or set how far the public follows of those whom you follow count.
    ///
    /// With 1, which is usual, you carry whom they follow like those whom you follow; with 0 only
    /// those whom you follow yourself.
    Hops(Hops),
    /// Print or set whom this home meets: anybody, or your contacts alone.
    ///
    /// Who meets contacts only looks to everybody else like a home that holds nothing, and takes nothing
    /// from them either. Strangers carry nothing for it then.
    Radio(Radio),
    /// Drop what is held of a feed, and refuse what comes of it.
    ///
    /// This stays on this device; nothing is published.
    Block(OneFeed),
    /// Let a blocked feed in again.
    Unblock(OneFeed),
    /// Give a feed a name of your own, or without a name take it away.
    ///
    /// The name stays on this device and stands before what the feed calls itself.
    Name(Name),
    /// Hand out your contact card, and add people by theirs.
    #[command(subcommand)]
    Contact(Contact),
    /// List the people whom you added.
    Contacts,
    /// Begin a group, and say who belongs to it.
    #[command(subcommand)]
    Group(Group),
    /// List the groups that you belong to.
    Groups,
    /// Say that a device of your account is yours no longer.
    #[command(subcommand)]
    Device(Device),
    /// List the devices of your account.
    Devices,
    /// Say whether others are told that their private messages arrived here and were read.
    ///
    /// Without `on` or `off`, what is set is printed. Usually it is on. Receipts are sealed to whoever wrote the
    /// message; when they are off, its author does not learn from this device what became of it.
    Receipts(Receipts),
    /// List the feeds that are held, followed or blocked.
    Feeds,
    /// Write, read and look into bundles, the files that carry feeds.
    #[command(subcommand)]
    Bundle(Bundle),
    /// Wait for other homes to dial, and meet them.
    ///
    /// The first line printed is the address of this home, to be given to others. It serves until it
    /// is interrupted; other commands go on working meanwhile. Whoever dials and is no contact and not
    /// named by `--known` is a stranger: what strangers get and may leave here is bounded.
    #[command(after_long_help = LISTEN_EXAMPLES)]
    Listen(Listen),
    /// Print the address of this home.
    ///
    /// Without a port if it never listened: that is enough to be named by `listen --known`.
    Address,
    /// Meet the home at an address: both sides get what they want of the other.
    ///
    /// Whom you dial is known to you, and contacts recognise each other. Once met, a contact is found
    /// again by name, and any home by its key or the beginning of it, as long as its address stays the
    /// same; homes have a new key each week. A meeting that was cut off goes on
    /// where it stopped when this is run again.
    #[command(after_long_help = SYNC_EXAMPLES)]
    Sync(Sync),
    /// Print all entries of a feed as JSON Lines.
    ///
    /// The output holds nothing but the entries, so it is the same on every node that holds the
    /// same ones.
    Export(OneFeed),
    /// Tell what this home holds, and what it dropped or left out.
    Status,
    /// Check everything that is held: signatures, links, sums, and what queries find.
    ///
    /// Each finding is told, and the exit code is 3 if there is one. `--repair` builds the indexes
    /// anew, which loses nothing, and says what that mended and what is left.
    Doctor(Doctor),
    /// Show what somebody else learns from this home.
    ///
    /// It is found out on the spot, with this home or a copy of it in memory, and nothing of it is
    /// sent anywhere. A residual is what the design leaves open; all else was made public or left
    /// unlocked by you.
    #[command(after_long_help = AUDIT_EXAMPLES)]
    Audit(Audit),
    /// Copy the home into one file, while it is in use.
    ///
    /// The file holds everything of one moment, the keys of this device too. That of a locked home
    /// is encrypted and opens with the passphrase that was in force when it was made. That of any
    /// other is not: keep it as safe as the device. `thistle restore` makes a home of it, with a new feed of your
    /// account, so that no copy ever goes on with the feed that the device itself may go on with.
    #[command(after_long_help = BACKUP_EXAMPLES)]
    Backup(Backup),
    /// Make a home out of a backup, with a new feed.
    ///
    /// Everything that the backup holds is there. Your feed of before ends in this home and you go
    /// on in a new one, which is shown as unconfirmed until you run `thistle confirm` with your
    /// recovery phrase. What you wrote after the backup comes back with the bundles of those who
    /// hold it. A home that is there is never replaced. A backup of a locked home takes its
    /// passphrase, and the new home is locked with the same one.
    #[command(after_long_help = RESTORE_EXAMPLES)]
    Restore(Restore),
    /// Set a passphrase, or change it.
    ///
    /// A home that had none is encrypted whole, and its plain store overwritten and removed; what an
    /// SSD or a snapshot keeps of it nobody can reach from here, so set a passphrase with `init` where
    /// that matters. No passphrase can be found out or reset: whoever forgets it has the recovery
    /// phrase, and what others hold. The new one is asked for at the terminal, or read from the file
    /// that `THISTLE_NEW_PASSPHRASE_FILE` names.
    #[command(after_long_help = PASSPHRASE_EXAMPLES)]
    Passphrase(SetPassphrase),
    /// Lock the home: whatever holds it open lets go of it, and its keys are wiped.
    ///
    /// `unlock`, `listen` and every other command that uses the home end. Afterwards nothing in it
    /// can be read without the passphrase.
    Lock,
    /// Keep the home open for other commands until `lock`, or until none was run for a while.
    ///
    /// The passphrase is asked for, or read from the file that `THISTLE_PASSPHRASE_FILE` names. The
    /// keys are in the memory of one process then, and nowhere on the disk. `listen` takes the home
    /// over, and locks it when it ends.
    Unlock(Unlock),
    /// Destroy the keys of this home, and then remove it. There is no way back.
    ///
    /// The passphrase is not asked for, and neither is anything else. The keys go first, within half a
    /// second whatever the home holds: from then on its stores are noise, the second profile's too.
    /// Without a passphrase there is no key: the files are removed, and what the disk keeps of them
    /// can perhaps be found. Bundles, backups and what others hold are not touched.
    Panic,
    /// Give the disk back what the store does not need any more.
    ///
    /// Nothing that is held is lost, also if it is cut off. Other commands wait meanwhile.
    #[command(after_long_help = COMPACT_EXAMPLES)]
    Compact,
    /// Show or set how many bytes a class of feeds may take.
    Quota(Quota),
    /// Confirm with the recovery phrase that this device's feed is yours.
    ///
    /// Needed after the feed had to go on in a new one: after `thistle restore`, or because a copy of
    /// this home was in use. The 24 words are read from standard input.
    Confirm,
    /// Take bytes of the formats apart, or put them together.
    #[command(subcommand)]
    Debug(Debug),
    /// Print completions for a shell.
    Completions(Completions),
    /// Print the manual page.
    Man,
}

/// Arguments of `init`.
#[derive(clap::Args, Debug)]
pub(crate) struct Init {
    /// What others see you called.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// Ask for a passphrase, and encrypt everything that is kept here.
    ///
    /// Where no terminal is, `THISTLE_PASSPHRASE_FILE` names a file that holds it; if that is set, a
    /// passphrase is set without this option.
    #[arg(long)]
    pub(crate) passphrase: bool,
    /// Come back to an account: read its 24 words from standard input.
    ///
    /// The account goes on with a new feed. The old feed is not continued, but what others hold of
    /// it comes back as they bring it.
    #[arg(long)]
    pub(crate) restore: bool,
    /// Who may carry your feed: anybody, your contacts, or those contacts whom you list.
    ///
    /// What only some may carry stays unknown to everybody else, but it travels by fewer people, and
    /// members of a group who are not your contacts do not get it. It holds for as long as the feed.
    #[arg(long, value_enum, default_value_t, value_name = "WHO")]
    pub(crate) carry: CarriedBy,
    /// Whom this home meets: anybody, or your contacts alone.
    ///
    /// Who meets contacts only looks to everybody else like a home that holds nothing. `thistle radio`
    /// changes it later.
    #[arg(long, value_enum, default_value_t, value_name = "WHOM")]
    pub(crate) radio: Meets,
}

/// Who may carry a feed.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
pub(crate) enum CarriedBy {
    /// Anybody.
    #[default]
    Open,
    /// Contacts.
    Contacts,
    /// Contacts who are listed.
    Listed,
}

/// Whom a home meets.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Meets {
    /// Contacts alone.
    Contacts,
    /// Anybody.
    #[default]
    Open,
}

/// Arguments of `radio`.
#[derive(clap::Args, Debug)]
pub(crate) struct Radio {
    /// Whom it meets from now on.
    #[arg(value_enum, value_name = "WHOM")]
    pub(crate) meets: Option<Meets>,
}

/// Arguments of `passphrase`.
#[derive(clap::Args, Debug)]
pub(crate) struct SetPassphrase {
    /// Make a second profile, with another account, that another passphrase opens.
    ///
    /// Every home has room for one, 16 MiB, that is full of random bytes until it is used: who sees
    /// this disk once cannot tell whether it ever was. If there is a second profile already, this puts
    /// another in its place, since nobody can know that without its passphrase.
    #[arg(long, requires = "name")]
    pub(crate) second: bool,
    /// What others see the second profile called.
    #[arg(long, value_name = "NAME", requires = "second")]
    pub(crate) name: Option<String>,
}

/// Arguments of `unlock`.
#[derive(clap::Args, Debug)]
pub(crate) struct Unlock {
    /// Lock again once no command was run for so long: `30s`, `15m`, `2h`; 0 is never.
    #[arg(long, value_name = "DURATION", default_value = "15m")]
    pub(crate) idle: String,
    /// Read the key from standard input, and hold the home: what this command starts for itself.
    #[arg(long, hide = true)]
    pub(crate) hold: bool,
}

/// Arguments of `village`.
#[derive(clap::Args, Debug)]
pub(crate) struct Village {
    /// The folder to make; without it `thistle-village`.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
    /// Remove the village that is in the folder, and make a new one.
    #[arg(long)]
    pub(crate) again: bool,
}

/// Arguments of `write`.
#[derive(clap::Args, Debug)]
pub(crate) struct Write {
    /// The text; `-` reads standard input.
    #[arg(value_name = "TEXT")]
    pub(crate) text: Vec<String>,
    /// Write to this person or group alone: it is sealed, and nobody else can read it.
    #[arg(long, value_name = "NAME", conflicts_with = "channel")]
    pub(crate) to: Option<String>,
    /// The channel it belongs to.
    #[arg(long, value_name = "NAME")]
    pub(crate) channel: Option<String>,
    /// The entry it answers.
    #[arg(long, value_name = "ENTRY")]
    pub(crate) reply_to: Option<String>,
    /// How long it is to be kept: `72h`, `3d`, `2w`; without it for ever.
    #[arg(long, value_name = "DURATION")]
    pub(crate) ttl: Option<String>,
}

/// Arguments of `retract`.
#[derive(clap::Args, Debug)]
pub(crate) struct Retract {
    /// Entries of your feed, by id or by number in the feed; `7-9` is several.
    #[arg(value_name = "ENTRY", required = true)]
    pub(crate) entries: Vec<String>,
}

/// Arguments of `delete`.
#[derive(clap::Args, Debug)]
pub(crate) struct Delete {
    /// Entries by id, or by the beginning of it.
    #[arg(value_name = "ENTRY", required = true)]
    pub(crate) entries: Vec<String>,
}

/// Arguments of `receipts`.
#[derive(clap::Args, Debug)]
pub(crate) struct Receipts {
    /// Whether they are told.
    #[arg(value_name = "SWITCH", value_enum)]
    pub(crate) switch: Option<Switch>,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// They are.
    On,
    /// They are not.
    Off,
}

/// Arguments of `profile`.
#[derive(clap::Args, Debug)]
pub(crate) struct Profile {
    /// Your name.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Some words about you.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) about: String,
}

/// Arguments of `import`.
#[derive(clap::Args, Debug)]
pub(crate) struct Import {
    /// The file: JSON Lines or mbox.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Take the messages of this author only; may be given several times.
    #[arg(long = "author", value_name = "NAME")]
    pub(crate) authors: Vec<String>,
    /// Put the messages into this channel instead of the one that each names.
    #[arg(long, value_name = "NAME")]
    pub(crate) channel: Option<String>,
    /// Import from the beginning even if it was done before.
    #[arg(long)]
    pub(crate) again: bool,
}

/// Arguments of `read`.
#[derive(clap::Args, Debug)]
pub(crate) struct Read {
    /// The channel; without it, everything that is public.
    #[arg(value_name = "CHANNEL")]
    pub(crate) channel: Option<String>,
    /// What was said in private with this person or group; its authors hear that you saw it.
    #[arg(long = "with", value_name = "NAME", conflicts_with = "channel")]
    pub(crate) with: Option<String>,
    /// How many messages at most.
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20)]
    pub(crate) limit: usize,
}

/// Arguments of `query`.
#[derive(clap::Args, Debug)]
pub(crate) struct Query {
    /// What was said in private with this person or group; only --text, --since, --until and --limit go with it.
    #[arg(long = "with", value_name = "NAME",
        conflicts_with_all = ["from", "author", "channel", "kinds", "thread", "order"])]
    pub(crate) with: Option<String>,
    /// Entries of this feed or account; may be given several times.
    #[arg(long, value_name = "FEED")]
    pub(crate) from: Vec<String>,
    /// Entries that an import kept this author for.
    #[arg(long, value_name = "NAME")]
    pub(crate) author: Option<String>,
    /// Entries of this channel.
    #[arg(long, value_name = "NAME")]
    pub(crate) channel: Option<String>,
    /// Entries of this type; may be given several times. Without it, posts and replies.
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    pub(crate) kinds: Vec<Type>,
    /// Entries that claim this time or a later one.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Entries that claim an earlier time; of a day, all of it.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// The thread of this entry: what it answers, up to the first, and all answers to those.
    #[arg(long, value_name = "ENTRY")]
    pub(crate) thread: Option<String>,
    /// Entries in whose text, channel or author's name this occurs, in any case.
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// How many at most: the last ones in the order asked for.
    #[arg(long, short = 'n', value_name = "COUNT")]
    pub(crate) limit: Option<usize>,
    /// What stands before what.
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = Order::Causal)]
    pub(crate) order: Order,
}

/// A type of content that a query can ask for.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// Something said.
    Post,
    /// An answer.
    Reply,
    /// How an author wants to be called.
    Profile,
    /// What another feed is to an author.
    Relation,
    /// The account's word for a feed.
    Certificate,
    /// A retired feed's word for the one that goes on.
    Successor,
    /// The account's word about a device.
    Device,
    /// What has arrived.
    Receipt,
    /// Entries taken back.
    Retraction,
    /// What is not here any more or not yet, or cannot be read.
    Absent,
}

/// What stands before what in the answer to a query.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// What was answered before its answers, whatever clocks say.
    Causal,
    /// By the times that the authors claim.
    Time,
    /// By when it came to this node.
    Arrival,
}

/// The argument of commands about one feed.
#[derive(clap::Args, Debug)]
pub(crate) struct OneFeed {
    /// The feed: its id, the beginning of it, or a name.
    #[arg(value_name = "FEED")]
    pub(crate) feed: String,
}

/// Arguments of `name`.
#[derive(clap::Args, Debug)]
pub(crate) struct Name {
    /// The feed: its id, the beginning of it, or a name.
    #[arg(value_name = "FEED")]
    pub(crate) feed: String,
    /// The name; without it, or empty, the feed loses the name you gave it.
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// What to do with bundles.
#[derive(Subcommand, Debug)]
pub(crate) enum Bundle {
    /// Write what this home holds into a bundle.
    Create(BundleCreate),
    /// Take in what bundles hold.
    ///
    /// Reading one again, or one that is cut off, changes and loses nothing: what is whole is kept.
    Read(BundleRead),
    /// List what is in bundles; needs no home and changes nothing.
    Show(BundleRead),
}

/// Arguments of `bundle create`.
#[derive(clap::Args, Debug)]
pub(crate) struct BundleCreate {
    /// The file, or a folder in which a file with a random name is made.
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) path: PathBuf,
    /// Do not seal it: whoever finds it can read everything in it.
    #[arg(long)]
    pub(crate) plain: bool,
    /// Write only what this feed's owner is known to lack, from the last bundle that came from
    /// there.
    #[arg(long = "for", value_name = "FEED")]
    pub(crate) reader: Option<String>,
    /// How large it may get: `512K`, `10M`; the newest entries come first.
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_bytes: Option<String>,
}

/// Arguments of `bundle read` and `bundle show`.
#[derive(clap::Args, Debug)]
pub(crate) struct BundleRead {
    /// A bundle file, or a folder in which every `*.thistle` file is read.
    #[arg(value_name = "PATH", required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
}

/// Arguments of `listen`.
#[derive(clap::Args, Debug)]
pub(crate) struct Listen {
    /// Where to listen; port 0 is any. Without it on all networks of this machine, at the port of
    /// last time if it is free.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) addr: Option<String>,
    /// The address of a home that is no stranger; may be given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) known: Vec<String>,
}

/// Arguments of `sync`.
#[derive(clap::Args, Debug)]
pub(crate) struct Sync {
    /// The address, as `thistle listen` prints it there; or a contact, or the key of a home, that was
    /// met before.
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,
}

/// What `doctor` does beyond looking.
#[derive(clap::Args, Debug)]
pub(crate) struct Doctor {
    /// Build the indexes anew from what is held, and tell what that mended; nothing else is changed.
    #[arg(long)]
    pub(crate) repair: bool,
}

/// Arguments of `audit`.
#[derive(clap::Args, Debug)]
pub(crate) struct Audit {
    /// Who looks.
    #[arg(long = "as", value_enum, value_name = "ROLE")]
    pub(crate) role: Role,
    /// What the finder of a stick has: a file, or a folder of bundles. Without it one is made.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) path: Option<PathBuf>,
}

/// Somebody who wants to learn something.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Listens to the links.
    PassiveRadio,
    /// Meets this home, and is unknown to it.
    Stranger,
    /// Has every entry that anybody may carry.
    Carrier,
    /// Found a stick.
    StickFinder,
    /// Has the disk.
    Thief,
}

/// Arguments of `backup`.
#[derive(clap::Args, Debug)]
pub(crate) struct Backup {
    /// The file to write.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Replace a file of that name once the new one is whole.
    #[arg(long)]
    pub(crate) replace: bool,
}

/// Arguments of `restore`.
#[derive(clap::Args, Debug)]
pub(crate) struct Restore {
    /// The backup.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
}

/// Arguments of `follow`.
#[derive(clap::Args, Debug)]
pub(crate) struct Follow {
    /// Name, id or beginning of an id of a feed.
    pub(crate) feed: String,
    /// Let everybody who holds your feed know, and those who follow you carry it too. What is
    /// published stays with whoever has it.
    #[arg(long)]
    pub(crate) public: bool,
}

/// Arguments of `hops`.
#[derive(clap::Args, Debug)]
pub(crate) struct Hops {
    /// From 0 to 3; without it, what is set is printed.
    #[arg(value_parser = clap::value_parser!(u8).range(..=i64::from(HOPS)))]
    pub(crate) hops: Option<u8>,
}

/// Arguments of `quota`.
#[derive(clap::Args, Debug)]
pub(crate) struct Quota {
    /// The class of feeds.
    #[arg(value_name = "CLASS", value_enum, requires = "size")]
    pub(crate) class: Option<Class>,
    /// How much it may take: `64M`, `2G`.
    #[arg(value_name = "SIZE")]
    pub(crate) size: Option<String>,
}

/// A class of feeds that has a quota.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Feeds that you follow.
    Followed,
    /// Feeds that you carry for others.
    Stranger,
}

/// What to do with bytes.
#[derive(Subcommand, Debug)]
pub(crate) enum Debug {
    /// Read hex on standard input, a line each, and print what it means as JSON.
    Decode(DebugKind),
    /// Read JSON on standard input, a line each, and print its bytes as hex.
    Encode(DebugKind),
}

/// The argument of `debug`.
#[derive(clap::Args, Debug)]
pub(crate) struct DebugKind {
    /// What the bytes are.
    #[arg(value_name = "KIND")]
    pub(crate) kind: String,
}

/// The argument of `completions`.
#[derive(clap::Args, Debug)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: Shell,
}

const AUDIT_EXAMPLES: &str = "\
Examples:
  thistle audit --as thief
  thistle audit --as stick-finder --path /media/stick --json";

const BACKUP_EXAMPLES: &str = "\
Examples:
  thistle backup /media/disk/thistle.backup
  thistle backup /media/disk/thistle.backup --replace";

const RESTORE_EXAMPLES: &str = "\
Examples:
  thistle restore /media/disk/thistle.backup
  thistle --home DIR restore thistle.backup && thistle --home DIR confirm";

const LISTEN_EXAMPLES: &str = "\
Examples:
  thistle listen
  thistle listen --addr 192.0.2.7:4711 --known node1...@192.0.2.9:4711
  thistle listen --json     # {\"address\":..}, then a line for every meeting";

const SYNC_EXAMPLES: &str = "\
Examples:
  thistle sync node1...@192.0.2.7:4711
  thistle sync node1qpzry9x8
  thistle sync node1...@192.0.2.7:4711 --json     # {\"sent\":..,\"received\":..,..}";

const PASSPHRASE_EXAMPLES: &str = "\
Examples:
  thistle passphrase
  thistle passphrase --second --name Ana
  THISTLE_PASSPHRASE_FILE=old THISTLE_NEW_PASSPHRASE_FILE=new thistle passphrase";

const COMPACT_EXAMPLES: &str = "\
Examples:
  thistle compact
  thistle compact --json     # {\"bytes_before\":..,\"bytes_after\":..}";

/// Reads a command line; returns also the words by which the program itself calls the command.
pub(crate) fn parse(words: &[OsString]) -> Result<(Args, String), clap::Error> {
    let matches = Args::command().try_get_matches_from(words)?;
    let mut names = Vec::new();
    let mut below = matches.subcommand();
    while let Some((name, matches)) = below {
        names.push(name);
        below = matches.subcommand();
    }
    let name = names.join(" ");
    Ok((Args::from_arg_matches(&matches)?, name))
}

/// The exit codes as the help and the manual page list them.
pub(crate) fn exit_codes() -> String {
    let mut table = "Exit codes:\n".to_owned();
    for (code, meaning) in EXIT_CODES {
        table.push_str(&format!("  {code:<3} {meaning}\n"));
    }
    table
}
