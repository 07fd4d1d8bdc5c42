//! What can be typed about contacts, groups and one's own devices.

use std::path::PathBuf;

use clap::{Subcommand, ValueHint};

use crate::args::OneFeed;

/// What to do with contacts.
#[derive(Subcommand, Debug)]
pub(crate) enum Contact {
    /// Print your contact card: a link, a QR code, and the words by which others compare it.
    ///
    /// Whoever has your card can write to you once you have added them too. It tells who you are: give
    /// it to people, do not publish it.
    Card(Card),
    /// Add a person by their card.
    ///
    /// A card that you read from the person's own screen is verified; say so with --verified. Any other
    /// one may have been exchanged on its way: compare the words, then run `thistle contact verify`.
    Add(ContactAdd),
    /// Note that you compared the words of a person's card with that person.
    Verify(OneContact),
    /// Give a person a name of your own.
    Name(ContactName),
    /// List a person among those who may carry your feed.
    ///
    /// That counts where you said `thistle init --carry listed`: your feed goes to those whom you list
    /// here, and between them, and to nobody else.
    Carry(ContactCarry),
    /// Remove a person: nothing more is sealed to them. What was said stays here.
    Remove(OneContact),
    /// Introduce two of your contacts to each other: each is sent the other one's card.
    ///
    /// Neither becomes a contact of the other by that: both are shown the card, and decide.
    Introduce(Introduce),
    /// List the people whom your contacts introduced to you.
    Introductions,
    /// Take somebody for a contact whom a contact introduced.
    ///
    /// The card is as good as your contact's word: it could be of another person. So the new contact is
    /// not verified until you compared the words.
    Accept(Accept),
    /// Forget that somebody was introduced.
    Decline(OneContact),
}

/// Arguments of `contact card`.
#[derive(clap::Args, Debug)]
pub(crate) struct Card {
    /// Print no QR code.
    #[arg(long)]
    pub(crate) no_qr: bool,
    /// Write the QR code into this file, `*.svg` or `*.png`.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) image: Option<PathBuf>,
}

/// Arguments of `contact add`.
#[derive(clap::Args, Debug)]
pub(crate) struct ContactAdd {
    /// The card: its link, or a PNG file with its QR code.
    #[arg(value_name = "CARD")]
    pub(crate) card: String,
    /// Your own name for the person.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// You read it from the person's own screen, or compared the words.
    #[arg(long)]
    pub(crate) verified: bool,
}

/// The argument of commands about one person.
#[derive(clap::Args, Debug)]
pub(crate) struct OneContact {
    /// The person: a name, or an account's id or the beginning of it.
    #[arg(value_name = "NAME")]
    pub(crate) contact: String,
}

/// Arguments of `contact carry`.
#[derive(clap::Args, Debug)]
pub(crate) struct ContactCarry {
    /// The person: a name, or an account's id or the beginning of it.
    #[arg(value_name = "NAME")]
    pub(crate) contact: String,
    /// List the person no more.
    #[arg(long)]
    pub(crate) not: bool,
}

/// Arguments of `contact introduce`.
#[derive(clap::Args, Debug)]
pub(crate) struct Introduce {
    /// A contact: a name, or an account's id or the beginning of it.
    #[arg(value_name = "NAME")]
    pub(crate) one: String,
    /// Another one.
    #[arg(value_name = "NAME")]
    pub(crate) other: String,
}

/// Arguments of `contact accept`.
#[derive(clap::Args, Debug)]
pub(crate) struct Accept {
    /// Who was introduced: a name, or an account's id or the beginning of it.
    #[arg(value_name = "NAME")]
    pub(crate) contact: String,
    /// Your own name for the person.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// What to do with the devices of your account.
#[derive(Subcommand, Debug)]
pub(crate) enum Device {
    /// Say with the recovery phrase that a device is yours no longer, for ever.
    ///
    /// For one that was lost or stolen. From then on nothing is sealed to it, by you or by your contacts
    /// once they have heard of it, and what it writes is not believed. Your account goes on with a new
    /// key for agreement, so your contact card is a new one: contacts and your other devices are told,
    /// sealed. What the device held already, it holds. The 24 words are read from standard input.
    Revoke(OneFeed),
}

/// Arguments of `contact name`.
#[derive(clap::Args, Debug)]
pub(crate) struct ContactName {
    /// The person: a name, or an account's id or the beginning of it.
    #[arg(value_name = "NAME")]
    pub(crate) contact: String,
    /// The new name.
    #[arg(value_name = "NEW")]
    pub(crate) name: String,
}

/// What to do with groups.
#[derive(Subcommand, Debug)]
pub(crate) enum Group {
    /// Begin a group with some of your contacts; you are its first admin.
    ///
    /// What is written into it (`write --to GROUP`) can be read by its members alone.
    Create(GroupCreate),
    /// Take a contact in; from then on they can read.
    Add(GroupMember),
    /// Put a member out; what is written from then on they cannot read.
    Remove(GroupMember),
    /// Give the group another name.
    Rename(GroupRename),
    /// Make a member an admin, who may add, remove and rename.
    Promote(GroupMember),
    /// Make an admin a member like the others.
    Demote(GroupMember),
    /// Leave the group.
    Leave(OneGroup),
}

/// Arguments of `group create`.
#[derive(clap::Args, Debug)]
pub(crate) struct GroupCreate {
    /// The name of the group.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Contacts who belong to it.
    #[arg(value_name = "MEMBER", required = true)]
    pub(crate) members: Vec<String>,
    /// Hand whoever is added later the newest 256 messages from before.
    ///
    /// Without it, newcomers read what is written from then on. It cannot be changed later. Who adds
    /// somebody hands them what they have themselves; it rests on their word, and is shown so.
    #[arg(long)]
    pub(crate) history: bool,
}

/// Arguments of commands about a member of a group.
#[derive(clap::Args, Debug)]
pub(crate) struct GroupMember {
    /// The group: its name, or its id or the beginning of it.
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,
    /// The person: a name, or an account's id or the beginning of it.
    #[arg(value_name = "MEMBER")]
    pub(crate) member: String,
}

/// Arguments of `group rename`.
#[derive(clap::Args, Debug)]
pub(crate) struct GroupRename {
    /// The group: its name, or its id or the beginning of it.
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,
    /// Its new name.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// The argument of commands about one group.
#[derive(clap::Args, Debug)]
pub(crate) struct OneGroup {
    /// The group: its name, or its id or the beginning of it.
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,
}
