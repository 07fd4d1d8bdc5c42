//! Whoever listens: two links are made here, on loopback and in memory, and every byte is kept that
//! goes over them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use thistle_transports::{Hello, Link, NoiseLink, Place, Quic, Transport as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::UdpSocket;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::commands::audit::known::{Known, Sort};
use crate::commands::audit::{Fact, search};
use crate::context::Context;
use crate::home;
use crate::net::PROTOCOL;
use crate::outcome::{CliError, Kind};
use crate::when;

/// Bytes of the largest datagram.
const DATAGRAM: usize = 65_536;

/// What was heard of one link.
#[derive(Debug, Default)]
struct Heard {
    /// What went there, and what came back, piece by piece.
    there: Vec<Vec<u8>>,
    back: Vec<Vec<u8>>,
}

impl Heard {
    fn all(&self) -> Vec<u8> {
        self.there.iter().chain(&self.back).flatten().copied().collect()
    }

    fn sizes(&self) -> Vec<String> {
        let side = |pieces: &[Vec<u8>]| {
            let sum: usize = pieces.iter().map(Vec::len).sum();
            format!("{} in {}", when::bytes(sum as u64), when::count(pieces.len() as u64))
        };
        vec![format!("there: {}", side(&self.there)), format!("back: {}", side(&self.back))]
    }
}

/// Both directions as they are heard.
type Ear = Arc<Mutex<Heard>>;

/// What whoever listens has of two links.
pub(super) fn facts(ctx: &mut Context) -> Result<Vec<Fact>, CliError> {
    let reader = ctx.tidy_reader()?;
    let known = Known::of(&reader).map_err(|error| ctx.host.fault(&error))?;
    drop(reader);
    // What is said is what nobody should read.
    let said = known.strings.concat();
    let no_link = || CliError::new(Kind::Store, "no link could be made on this machine");
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| no_link().because(&error))?;
    let secrets = [*home::fresh_seed()?.expose(), *home::fresh_seed()?.expose()];
    let (keys, quic) = runtime
        .block_on(quic(secrets, &said))
        .map_err(|error| no_link().because(error.as_ref()))?;
    let noise =
        runtime.block_on(noise(&said)).map_err(|error| no_link().because(error.as_ref()))?;
    Ok(of_quic(&keys, &quic)
        .into_iter()
        .chain(of_noise(&noise))
        .chain(known.facts(
            &[
                ("the link over the network".to_owned(), search::find(&quic.all(), &known.strings)),
                ("the link over a stream".to_owned(), search::find(&noise.all(), &known.strings)),
            ],
            tell,
        ))
        .chain([Fact::new(
            "beacons",
            0,
            false,
            "no radio is built in yet: nothing is sent out by which a home would be found",
        )])
        .collect())
}

const fn tell(_: Sort, count: u64) -> (bool, &'static str) {
    if count == 0 {
        (false, "all of them were said over both links, and none is heard")
    } else {
        (false, "this should not be, please report it")
    }
}

fn of_quic(keys: &[Vec<u8>], heard: &Heard) -> Vec<Fact> {
    let hello = Hello::read(heard.there.iter().map(Vec::as_slice)).unwrap_or_default();
    let protocols = hello.protocols.iter().map(|name| String::from_utf8_lossy(name).into_owned());
    let name = hello.server_name.iter().map(|name| String::from_utf8_lossy(name).into_owned());
    let keys_heard = search::find(&[heard.all(), hello.bytes].concat(), keys).len();
    vec![
        Fact::new(
            "addresses",
            2,
            true,
            "the addresses and ports of both sides, on every network between them, and when they talk",
        ),
        Fact::new("datagrams", heard.there.len() as u64 + heard.back.len() as u64, true, SIZES)
            .with(heard.sizes()),
        Fact::new(
            "protocol-name",
            hello.protocols.len() as u64,
            true,
            "the first packets of QUIC are locked by a key that anybody can compute; what is spoken \
             stands in them, and is the same for everybody",
        )
        .with(protocols),
        Fact::new(
            "server-name",
            u64::from(hello.server_name.is_some()),
            false,
            "no name of a server is asked for; one that held the link key would show who is dialled",
        )
        .with(name),
        Fact {
            of: Some(keys.len() as u64),
            ..Fact::new(
                "link-keys",
                keys_heard as u64,
                false,
                "whoever dials a home learns its key; whoever only listens does not",
            )
        },
    ]
}

/// Why sizes and times stay open.
const SIZES: &str = "how many bytes go when and which way: nothing is padded, and traffic that never \
                     rests is more than a slow link has";

fn of_noise(heard: &Heard) -> Vec<Fact> {
    let firsts = [&heard.there, &heard.back].map(|side| side.first().map_or(0, Vec::len));
    let begin = format!("begins with {} bytes there and {} back", firsts[0], firsts[1]);
    vec![
        Fact::new("pieces", heard.there.len() as u64 + heard.back.len() as u64, true, SIZES)
            .with(heard.sizes().into_iter().chain([begin])),
        Fact::new(
            "keys-of-the-curve",
            2,
            true,
            "each side begins with a key made for this link alone; half of all random bytes are no \
             such key, so after some ten links an observer knows that they are no random bytes",
        ),
    ]
}

/// Any failure of a link; it has nothing to do with the home.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Says some words over QUIC; both keys as they could be heard, and what was.
async fn quic(secrets: [[u8; 32]; 2], said: &[u8]) -> Result<(Vec<Vec<u8>>, Heard), Failure> {
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let [left, right] = secrets;
    let (left, right) =
        (Quic::bind(&left, here, PROTOCOL).await?, Quic::bind(&right, here, PROTOCOL).await?);
    let at = *right.addresses().first().ok_or("it listens nowhere")?;
    let (ear, mut tapping) = (Ear::default(), JoinSet::new());
    let tap = UdpSocket::bind(here).await?;
    let place = Place { key: right.key(), at: tap.local_addr()? };
    tapping.spawn(tap_datagrams(tap, at, Arc::clone(&ear)));
    let opened = left.open(&place).await?;
    opened.send(said.to_vec()).await?;
    let accepted = right.accept().await.ok_or("nobody came")?;
    talk(&opened, &accepted, said).await?;
    let keys = [left.key(), right.key()].map(|key| key.to_vec()).to_vec();
    left.close().await;
    right.close().await;
    tapping.shutdown().await;
    let heard = taken(&ear);
    // Whoever was dialled tells where else it can be reached.
    if heard.all().len() < 2 * said.len() {
        return Err("a part of it went by another way".into());
    }
    Ok((keys, heard))
}

/// Says some words over Noise on a stream; what was heard.
async fn noise(said: &[u8]) -> Result<Heard, Failure> {
    let ((ours, near), (far, theirs)) = (duplex(DATAGRAM), duplex(DATAGRAM));
    let (ear, mut tapping) = (Ear::default(), JoinSet::new());
    tapping.spawn(tap_stream(near, far, Arc::clone(&ear)));
    let (opened, accepted) =
        tokio::join!(NoiseLink::open(ours, PROTOCOL), NoiseLink::accept(theirs, PROTOCOL));
    let (opened, accepted) = (opened?, accepted?);
    opened.send(said.to_vec()).await?;
    talk(&opened, &accepted, said).await?;
    tapping.shutdown().await;
    Ok(taken(&ear))
}

/// Hears out what was said, and says the same.
async fn talk(opened: &impl Link, accepted: &impl Link, said: &[u8]) -> Result<(), Failure> {
    let there = async {
        opened.close().await?;
        while opened.receive().await?.is_some() {}
        Ok::<(), Failure>(())
    };
    let back = async {
        accepted.send(said.to_vec()).await?;
        while accepted.receive().await?.is_some() {}
        accepted.close().await?;
        Ok::<(), Failure>(())
    };
    tokio::try_join!(there, back).map(drop)
}

fn taken(ear: &Ear) -> Heard {
    std::mem::take(&mut *ear.lock().unwrap_or_else(PoisonError::into_inner))
}

fn hear(ear: &Ear, is_there: bool, bytes: &[u8]) {
    let mut heard = ear.lock().unwrap_or_else(PoisonError::into_inner);
    let side = if is_there { &mut heard.there } else { &mut heard.back };
    side.push(bytes.to_vec());
}

/// Stands between whoever dials and the one who is dialled.
async fn tap_datagrams(tap: UdpSocket, right: SocketAddr, ear: Ear) {
    let (mut left, mut bytes) = (None, vec![0; DATAGRAM]);
    while let Ok((count, from)) = tap.recv_from(&mut bytes).await {
        let is_there = from != right;
        if is_there {
            left = Some(from);
        }
        let to = if is_there { Some(right) } else { left };
        hear(&ear, is_there, &bytes[..count]);
        if let Some(to) = to {
            // What is lost is sent again.
            drop(tap.send_to(&bytes[..count], to).await);
        }
    }
}

/// Stands between the two ends of a stream.
async fn tap_stream(left: DuplexStream, right: DuplexStream, ear: Ear) {
    let ((mut from_left, mut to_left), (mut from_right, mut to_right)) =
        (tokio::io::split(left), tokio::io::split(right));
    let (mut there, mut back) = (vec![0; DATAGRAM], vec![0; DATAGRAM]);
    loop {
        let (is_there, bytes, to) = tokio::select! {
            read = from_left.read(&mut there) => (true, &there[..read.unwrap_or(0)], &mut to_right),
            read = from_right.read(&mut back) => (false, &back[..read.unwrap_or(0)], &mut to_left),
        };
        hear(&ear, is_there, bytes);
        if bytes.is_empty() || to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
