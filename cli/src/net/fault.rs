//! What a person is told when nobody could be met, and what to do about it.

use std::io::ErrorKind;
use std::net::SocketAddr;

use thistle_engine::SessionEnding;
use thistle_transports::LinkError;

use crate::outcome::{CliError, Kind};

/// Says why nobody can be heard at an address.
pub(crate) fn not_listening(fault: &LinkError, at: SocketAddr) -> CliError {
    let error = CliError::new(Kind::Input, format!("cannot listen at {at}")).because(fault);
    match fault {
        LinkError::NoSocket(cause) if cause.kind() == ErrorKind::AddrInUse => {
            error.hint("another program listens there: say another port, or port 0 for any")
        }
        LinkError::NoSocket(cause) if cause.kind() == ErrorKind::AddrNotAvailable => {
            error.hint("say an address of this machine, or leave `--addr` out")
        }
        LinkError::NoSocket(cause) if cause.kind() == ErrorKind::PermissionDenied => {
            error.hint("ports below 1024 are not for everybody: say a higher one")
        }
        _ => error,
    }
}

/// Says why there was no meeting at a place.
pub(crate) fn not_met(fault: &LinkError, at: SocketAddr) -> CliError {
    let error = |message: &str| CliError::new(Kind::Unmet, format!("{message} {at}"));
    match fault {
        LinkError::Unanswered | LinkError::Silent => error("nobody answers at").hint(
            "`thistle listen` has to run there; it prints the address, which may be another by now",
        ),
        LinkError::OtherNode => error("another home than the one asked for answers at")
            .hint("ask for the address anew: `thistle address` tells it there"),
        LinkError::OtherVersion => {
            error("another version of thistle, or another program, answers at")
                .hint("use the same version on both sides")
        }
        LinkError::Full => error("too many others are being met at").hint("try again in a moment"),
        LinkError::Oneself => CliError::new(Kind::Input, "that is the address of this home itself")
            .hint("run `thistle address` where the other home is"),
        LinkError::BadKey => CliError::new(Kind::Input, "no home has such a key")
            .hint("ask for the address anew: `thistle address` tells it there"),
        LinkError::NoSocket(_) => error("from here no way leads to")
            .because(fault)
            .hint("look whether this machine is connected to that network"),
        LinkError::Cut | LinkError::Network(_) => error("cannot reach").because(fault),
    }
}

/// Says why a meeting ended before both sides had what they want; nothing if they have it.
pub(crate) fn cut_off(ending: SessionEnding, is_stopped: bool) -> Option<CliError> {
    let error = |message: &str| Some(CliError::new(Kind::Unmet, message));
    let again = "what came is kept: run the command again to go on";
    match ending {
        SessionEnding::Done => None,
        SessionEnding::Cut if is_stopped => {
            error("the meeting was interrupted").map(|error| error.hint(again))
        }
        SessionEnding::Cut => error("the meeting was cut off before both sides were done")
            .map(|error| error.hint(again)),
        SessionEnding::Silent => {
            error("the meeting ended early").map(|error| error.because(&ending).hint(again))
        }
        SessionEnding::Version { .. } => error("the other home speaks another version")
            .map(|error| error.because(&ending).hint("use the same version on both sides")),
        SessionEnding::NoContact => {
            error("nobody there is your contact, and this home meets contacts only").map(|error| {
                error
                    .hint("both have to add each other: `thistle contact add CARD`")
                    .hint("or meet anybody: `thistle radio open`")
            })
        }
        _ => error("the meeting ended early").map(|error| error.because(&ending)),
    }
}
