//! The address of a home: who it is and where it listens, in one word that can be copied.
//!
//! `node1...@192.0.2.7:4711`: the key by which the home is known on links, and the address at which
//! it can be dialled. Without what stands after the `@` it still says who is meant. Whether the key
//! is the one that answers there is proven when it is dialled; here only the form is checked.

use std::fmt;
use std::net::SocketAddr;

use thistle_engine::ids::{self, Id, IdFault, IdKind};

/// Who a home is, and where it listens if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// The key of its links.
    pub(crate) key: [u8; 32],
    /// Where it listens.
    pub(crate) at: Option<SocketAddr>,
}

/// Why a word is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressFault {
    /// What stands before the `@` is no key.
    Key(IdFault),
    /// What stands after the `@` is no IP address with a port.
    Place,
    /// Nobody can be dialled at port 0.
    NoPort,
    /// Nobody can be dialled at the unspecified address.
    Nowhere,
}

impl Address {
    /// Reads an address.
    pub(crate) fn parse(typed: &str) -> Result<Self, AddressFault> {
        let typed = typed.trim();
        let (key, place) = match typed.split_once('@') {
            Some((key, place)) => (key, Some(place)),
            None => (typed, None),
        };
        let key = match Id::parse(key).map_err(AddressFault::Key)? {
            Id::Node(key) => key,
            other => {
                let fault = IdFault::WrongKind { wanted: IdKind::Node, found: other.kind() };
                return Err(AddressFault::Key(fault));
            }
        };
        Ok(Self { key, at: place.map(dialled).transpose()? })
    }
}

/// An IP address and a port that can be dialled.
pub(crate) fn dialled(typed: &str) -> Result<SocketAddr, AddressFault> {
    let at: SocketAddr = typed.parse().map_err(|_| AddressFault::Place)?;
    match at {
        at if at.port() == 0 => Err(AddressFault::NoPort),
        at if at.ip().is_unspecified() => Err(AddressFault::Nowhere),
        at => Ok(at),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&ids::node_text(&self.key))?;
        match self.at {
            Some(at) => write!(f, "@{at}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for AddressFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(fault) => fault.fmt(f),
            Self::Place => f.write_str("after the `@` stands no IP address with a port"),
            Self::NoPort => f.write_str("port 0 cannot be dialled"),
            Self::Nowhere => f.write_str("it says a port, but no machine"),
        }
    }
}

impl std::error::Error for AddressFault {}

#[cfg(test)]
mod tests {
    use super::*;

    use arbtest::arbtest;

    const KEY: [u8; 32] = [0xa5; 32];

    #[test]
    fn every_address_is_read_back() {
        arbtest(|u| {
            let (ip, port): (std::net::IpAddr, u16) = (u.arbitrary()?, u.arbitrary()?);
            let at = Some(SocketAddr::new(ip, port));
            let at = at.filter(|at| port > 0 && !at.ip().is_unspecified());
            let address = Address { key: u.arbitrary()?, at };
            let text = address.to_string();
            assert_eq!(Address::parse(&text), Ok(address), "{text}");
            assert_eq!(Address::parse(&format!(" {text}\n")), Ok(address));
            assert!(!text.contains(char::is_whitespace) && text.len() <= 112, "{text}");
            Ok(())
        });
    }

    #[test]
    fn what_is_no_address_is_told_why_and_nothing_panics() {
        let key = ids::node_text(&KEY);
        let of = |place: &str| Address::parse(&format!("{key}@{place}"));
        for place in ["", "mill", "192.0.2.7", ":4711", "192.0.2.7:70000", "::1:4711", "mill:4711"]
        {
            assert_eq!(of(place), Err(AddressFault::Place), "{place}");
        }
        assert_eq!(of("192.0.2.7:0"), Err(AddressFault::NoPort));
        assert_eq!(of("0.0.0.0:4711"), Err(AddressFault::Nowhere));
        assert_eq!(of("[::]:4711"), Err(AddressFault::Nowhere));
        assert!(of("[2001:db8::7]:4711").is_ok());
        let feed = ids::feed_text(&thistle_engine::key::FeedId::from_bytes(KEY));
        let said = Address::parse(&feed).unwrap_err().to_string();
        assert_eq!(said, "the id of a feed where that of a node is due");
        arbtest(|u| {
            let typed: String = u.arbitrary()?;
            assert!(Address::parse(&typed).is_err());
            assert!(Address::parse(&format!("{key}@{typed}")).is_err() || dialled(&typed).is_ok());
            Ok(())
        });
    }
}
