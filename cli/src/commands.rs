//! The commands, a file a group. Each gets a [`Context`](crate::context::Context) and returns the
//! exit code.

pub(crate) mod audit;
pub(crate) mod bundle;
pub(crate) mod contacts;
pub(crate) mod devices;
pub(crate) mod export;
pub(crate) mod groups;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod input;
pub(crate) mod introductions;
pub(crate) mod keep;
pub(crate) mod lock;
pub(crate) mod meet;
pub(crate) mod meta;
pub(crate) mod people;
pub(crate) mod read;
pub(crate) mod status;
pub(crate) mod write;
