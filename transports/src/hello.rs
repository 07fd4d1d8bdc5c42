//! What anybody reads off the first packets of a QUIC connection (RFC 9001, section 5.2).
//!
//! They are locked by keys that follow from a number in the first packet, so that they stop nobody.
//! This is the eye of whoever listens: what it finds is told to the user and looked for by tests.

use std::collections::BTreeMap;

use rustls::Side;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::quic::{DirectionalKeys, Version};

/// What a client says in the clear before anything is agreed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hello {
    /// The name of the server that it asks for.
    pub server_name: Option<Vec<u8>>,
    /// What it wants to speak.
    pub protocols: Vec<Vec<u8>>,
    /// The whole greeting.
    pub bytes: Vec<u8>,
}

impl Hello {
    /// Reads the greeting off the first datagrams of a client; none if it is not there.
    pub fn read<'a>(datagrams: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let (mut keys, mut said) = (None, BTreeMap::new());
        for datagram in datagrams {
            let mut rest = datagram;
            while let Some((packet, after)) = initial(rest) {
                rest = after;
                if keys.is_none() {
                    keys = Some(keys_of(packet.to)?);
                }
                if let Some(text) = keys.as_ref().and_then(|keys| packet.open(keys)) {
                    pieces(&text, &mut said);
                }
            }
        }
        let mut bytes = Vec::new();
        for (at, piece) in said {
            let known = bytes.len().checked_sub(at)?;
            bytes.extend(piece.get(known..).unwrap_or_default());
        }
        let mut hello = Self { bytes, ..Self::default() };
        hello.extensions()?;
        Some(hello)
    }

    /// Takes the extensions apart.
    fn extensions(&mut self) -> Option<()> {
        let bytes = self.bytes.clone();
        // Kind, length, version, random bytes.
        let mut all = Reader(bytes.get(4 + 2 + 32..)?);
        all.short_list()?;
        all.list()?;
        all.short_list()?;
        let mut extensions = Reader(all.list()?);
        while let Some(kind) = extensions.number(2) {
            let mut body = Reader(extensions.list()?);
            match kind {
                0 => {
                    let mut names = Reader(body.list()?);
                    names.number(1)?;
                    self.server_name = Some(names.list()?.to_vec());
                }
                16 => {
                    let mut names = Reader(body.list()?);
                    while let Some(name) = names.short_list() {
                        self.protocols.push(name.to_vec());
                    }
                }
                _ => {}
            }
        }
        Some(())
    }
}

fn keys_of(to: &[u8]) -> Option<DirectionalKeys> {
    let suite = TLS13_AES_128_GCM_SHA256.tls13()?;
    Some(suite.quic_suite()?.keys(to, Side::Server, Version::V1).remote)
}

/// A packet that is locked by the first keys.
struct Packet<'a> {
    /// The number that the client gave the server.
    to: &'a [u8],
    /// The packet from its first byte on.
    whole: &'a [u8],
    /// Where the number of the packet stands.
    number: usize,
}

/// The first packet of a datagram if it is one of the first of a connection, and what comes after it.
fn initial(datagram: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    let mut all = Reader(datagram);
    let first = all.number(1)?;
    // A long header, of the first kind.
    if first & 0xf0 != 0xc0 || all.number(4)? != 1 {
        return None;
    }
    let to = all.short_list()?;
    all.short_list()?;
    let token = all.varint()?;
    all.take(token)?;
    let length = all.varint()?;
    let number = datagram.len().checked_sub(all.0.len())?;
    all.take(length)?;
    let whole = datagram.get(..number.checked_add(length)?)?;
    Some((Packet { to, whole, number }, all.0))
}

impl Packet<'_> {
    fn open(&self, keys: &DirectionalKeys) -> Option<Vec<u8>> {
        let mut bytes = self.whole.to_vec();
        let sample = self.whole.get(self.number + 4..self.number + 20)?.to_vec();
        let (head, tail) = bytes.split_at_mut_checked(self.number)?;
        let (first, number) = (head.first_mut()?, tail.get_mut(..4)?);
        keys.header.decrypt_in_place(&sample, first, number).ok()?;
        let length = usize::from(*first & 3) + 1;
        let number = number.iter().take(length).fold(0, |all, byte| all << 8 | u64::from(*byte));
        let (head, text) = bytes.split_at_mut_checked(self.number + length)?;
        let text = keys.packet.decrypt_in_place(number, head, text).ok()?;
        Some(text.to_vec())
    }
}

/// Collects the pieces of the greeting by the places where they belong.
fn pieces(text: &[u8], said: &mut BTreeMap<usize, Vec<u8>>) {
    let mut all = Reader(text);
    while let Some(kind) = all.varint() {
        let done = match kind {
            // Padding, and a sign of life.
            0 | 1 => Some(()),
            6 => all.varint().zip(all.varint()).and_then(|(at, length)| {
                said.insert(at, all.take(length)?.to_vec());
                Some(())
            }),
            _ => None,
        };
        if done.is_none() {
            return;
        }
    }
}

/// Bytes that are taken from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |all, byte| all << 8 | usize::from(*byte)))
    }

    fn varint(&mut self) -> Option<usize> {
        let first = usize::from(*self.0.first()?);
        let bytes = 1 << (first >> 6);
        let number = self.number(bytes)?;
        Some(number & ((1 << (bytes * 8 - 2)) - 1))
    }

    /// What follows a length of one byte.
    fn short_list(&mut self) -> Option<&'a [u8]> {
        let length = self.number(1)?;
        self.take(length)
    }

    /// What follows a length of two bytes.
    fn list(&mut self) -> Option<&'a [u8]> {
        let length = self.number(2)?;
        self.take(length)
    }
}
