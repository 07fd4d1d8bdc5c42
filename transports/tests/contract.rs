//! Goal: every link keeps the same promises, whatever it is made of. Method: one suite over memory,
//! over QUIC on loopback and over Noise on a pipe, and beside it what only QUIC can get wrong.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thistle_transports::{
    Link, LinkError, Memory, NoiseLink, PIECE_BYTES, Place, Quic, Transport, key_of,
};
use tokio::io::duplex;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{self, timeout};

const PROTOCOL: &[u8] = b"contract/1";
/// How long something may take that ought to happen at once.
const SOON: Duration = Duration::from_secs(20);

/// Two nodes, and where the second one is found.
struct World<T: Transport> {
    left: T,
    right: T,
    right_is_at: T::Place,
    /// The keys of both; nothing where each link has others.
    keys: Option<([u8; 32], [u8; 32])>,
}

fn memory() -> World<Memory> {
    let (left, right) = Memory::pair([1; 32], [2; 32]);
    World { left, right, right_is_at: (), keys: Some(([1; 32], [2; 32])) }
}

fn here() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

async fn endpoint(secret: u8, protocol: &[u8]) -> Quic {
    Quic::bind(&[secret; 32], here(), protocol).await.unwrap()
}

async fn quic() -> World<Quic> {
    let (left, right) = (endpoint(1, PROTOCOL).await, endpoint(2, PROTOCOL).await);
    let right_is_at = Place { key: right.key(), at: right.addresses()[0] };
    let keys = Some((left.key(), right.key()));
    World { left, right, right_is_at, keys }
}

/// Streams inside one process, with Noise over them.
struct Pipes {
    to_other: mpsc::UnboundedSender<NoiseLink>,
    incoming: Mutex<mpsc::UnboundedReceiver<NoiseLink>>,
}

impl Transport for Pipes {
    type Place = ();
    type Link = NoiseLink;

    async fn open(&self, (): &()) -> Result<NoiseLink, LinkError> {
        let (ours, theirs) = duplex(4_096);
        let to_other = self.to_other.clone();
        tokio::spawn(async move {
            let link = NoiseLink::accept(theirs, PROTOCOL).await.unwrap();
            drop(to_other.send(link));
        });
        NoiseLink::open(ours, PROTOCOL).await
    }

    async fn accept(&self) -> Option<NoiseLink> {
        self.incoming.lock().await.recv().await
    }

    async fn close(&self) {
        self.incoming.lock().await.close();
    }
}

fn noise() -> World<Pipes> {
    let ((to_right, from_left), (to_left, from_right)) =
        (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let end = |to_other, incoming| Pipes { to_other, incoming: Mutex::new(incoming) };
    let (left, right) = (end(to_right, from_right), end(to_left, from_left));
    World { left, right, right_is_at: (), keys: None }
}

impl<T: Transport> World<T> {
    /// A link from the left to the right, with one byte sent so that the right sees it.
    async fn link(&self) -> (T::Link, T::Link) {
        let opened = soon(self.left.open(&self.right_is_at)).await.unwrap();
        opened.send(vec![0]).await.unwrap();
        let accepted = soon(self.right.accept()).await.unwrap();
        assert_eq!(soon(accepted.receive()).await.unwrap(), Some(vec![0]));
        (opened, accepted)
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.expect("it happens soon")
}

/// Bytes that tell where they belong.
fn bytes(count: usize, salt: usize) -> Vec<u8> {
    (0..count).map(|at| u8::try_from((at * 31 + at / 251 + salt) % 256).unwrap()).collect()
}

/// Receives to the end.
async fn all_of(link: &impl Link) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(piece) = soon(link.receive()).await.unwrap() {
        assert!(!piece.is_empty() && piece.len() <= PIECE_BYTES, "{} bytes", piece.len());
        all.extend(piece);
    }
    assert_eq!(soon(link.receive()).await.unwrap(), None, "the end stays the end");
    all
}

async fn send_all(link: &impl Link, bytes: &[u8]) {
    // Pieces of every size, and some that are larger than what is received at once.
    let (mut rest, mut size) = (bytes, 1);
    while !rest.is_empty() {
        let (piece, left) = rest.split_at(rest.len().min(size));
        link.send(piece.to_vec()).await.unwrap();
        (rest, size) = (left, size * 3 % 200_003);
    }
    soon(link.close()).await.unwrap();
}

async fn bytes_arrive_in_order_both_ways_at_once<T: Transport>(world: World<T>) {
    let (left, right) = world.link().await;
    assert!(left.nature().duplex && right.nature().duplex);
    let (there, back) = (bytes(3_000_000, 1), bytes(2_000_000, 2));
    let ((), (), at_right, at_left) = tokio::join!(
        send_all(&left, &there),
        send_all(&right, &back),
        all_of(&right),
        all_of(&left)
    );
    assert!(at_right == there && at_left == back, "other bytes came out than went in");
}

async fn what_was_sent_before_the_close_arrives_and_then_the_end<T: Transport>(world: World<T>) {
    let (left, right) = world.link().await;
    // Less than can be under way, so that nobody has to receive for it to be sent.
    let there = bytes(100_000, 3);
    send_all(&left, &there).await;
    // The other direction is open still.
    right.send(b"and you?".to_vec()).await.unwrap();
    soon(right.close()).await.unwrap();
    assert_eq!(all_of(&left).await, b"and you?");
    drop(left);
    world.left.close().await;
    assert!(all_of(&right).await == there, "what was sent before the close arrives");
}

async fn a_link_that_is_dropped_is_cut_and_not_at_its_end<T: Transport>(world: World<T>) {
    let (left, right) = world.link().await;
    left.send(vec![7; 1_000]).await.unwrap();
    drop(left);
    let end = loop {
        match soon(right.receive()).await {
            Ok(Some(piece)) => assert!(piece.iter().all(|byte| *byte == 7)),
            end => break end,
        }
    };
    assert!(matches!(end, Err(LinkError::Cut)), "{end:?}");
    let sent = soon(async {
        loop {
            if let Err(error) = right.send(vec![8; 1_000]).await {
                return error;
            }
        }
    });
    assert!(matches!(sent.await, LinkError::Cut));
    assert!(soon(right.close()).await.is_err());
}

async fn both_know_who_the_other_is_and_what_nobody_else_knows<T: Transport>(world: World<T>) {
    let (left, right) = world.link().await;
    assert_eq!(left.binding(), right.binding());
    let (again, other) = world.link().await;
    if let Some(keys) = world.keys {
        assert_eq!((right.peer(), left.peer()), keys);
    } else {
        let all = [left.peer(), right.peer(), again.peer(), other.peer()];
        assert_eq!(BTreeSet::from(all).len(), 4, "new for each link and each end");
    }
    assert_eq!(again.binding(), other.binding());
    assert_ne!(left.binding(), again.binding(), "new for each link");
}

async fn who_takes_slowly_holds_the_other_back<T: Transport>(world: World<T>) {
    let (left, right) = world.link().await;
    let left = Arc::new(left);
    let sender = Arc::clone(&left);
    let mut sending = tokio::spawn(async move {
        for _ in 0..256 {
            sender.send(vec![9; PIECE_BYTES]).await.unwrap();
        }
        soon(sender.close()).await.unwrap();
    });
    let held = timeout(Duration::from_millis(300), &mut sending).await;
    assert!(held.is_err(), "16 MiB cannot be under way while nobody takes anything");
    assert_eq!(all_of(&right).await.len(), 256 * PIECE_BYTES);
    soon(sending).await.unwrap();
}

async fn links_do_not_wait_for_each_other<T: Transport>(world: World<T>) {
    let mut links = Vec::new();
    for _ in 0..20 {
        links.push(world.link().await);
    }
    for (number, (left, right)) in links.iter().enumerate().rev() {
        left.send(vec![u8::try_from(number).unwrap()]).await.unwrap();
        let got = soon(right.receive()).await.unwrap().unwrap();
        assert_eq!(usize::from(got[0]), number);
    }
}

async fn a_transport_that_closes_cuts_what_is_open<T: Transport>(world: World<T>) {
    let (left, right) = world.link().await;
    soon(world.left.close()).await;
    drop(left);
    assert!(matches!(soon(right.receive()).await, Err(LinkError::Cut)));
    soon(world.right.close()).await;
    assert!(soon(world.right.accept()).await.is_none());
}

macro_rules! contract {
    ($($name:ident,)+) => {
        mod in_memory {
            $(#[tokio::test] async fn $name() { super::$name(super::memory()).await; })+
        }
        mod over_quic {
            $(#[tokio::test] async fn $name() { super::$name(super::quic().await).await; })+
        }
        mod over_noise {
            $(#[tokio::test] async fn $name() { super::$name(super::noise()).await; })+
        }
    };
}

contract! {
    bytes_arrive_in_order_both_ways_at_once,
    what_was_sent_before_the_close_arrives_and_then_the_end,
    a_link_that_is_dropped_is_cut_and_not_at_its_end,
    both_know_who_the_other_is_and_what_nobody_else_knows,
    who_takes_slowly_holds_the_other_back,
    links_do_not_wait_for_each_other,
    a_transport_that_closes_cuts_what_is_open,
}

#[tokio::test]
async fn a_node_is_only_met_where_it_is_and_by_who_speaks_the_same() {
    let world = quic().await;
    let at = world.right_is_at.at;
    let fault = |key: [u8; 32], at| {
        let place = Place { key, at };
        let left = &world.left;
        async move { soon(left.open(&place)).await.unwrap_err() }
    };
    let stranger = endpoint(3, PROTOCOL).await.key();
    let found = fault(stranger, at).await;
    assert!(matches!(found, LinkError::OtherNode), "{found:?}");
    let found = fault(world.left.key(), at).await;
    assert!(matches!(found, LinkError::Oneself), "{found:?}");
    let mut no_point = [0; 32];
    no_point[0] = 2;
    let found = fault(no_point, at).await;
    assert!(matches!(found, LinkError::BadKey), "{found:?}");
    let newer = endpoint(4, b"contract/2").await;
    let found = fault(newer.key(), newer.addresses()[0]).await;
    assert!(matches!(found, LinkError::OtherVersion), "{found:?}");
}

#[tokio::test]
async fn an_address_that_is_taken_is_told_as_such() {
    let world = quic().await;
    let again = Quic::bind(&[9; 32], world.right_is_at.at, PROTOCOL).await;
    let Err(LinkError::NoSocket(why)) = again else { panic!("{again:?}") };
    assert_eq!(why.kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn where_nobody_answers_one_waits_no_longer_than_agreed() {
    // Bound and never read from: nothing is answered, not even that nobody is there.
    let silent = std::net::UdpSocket::bind(here()).unwrap();
    let left = endpoint(1, PROTOCOL).await;
    let place = Place { key: key_of(&[2; 32]), at: silent.local_addr().unwrap() };
    // The clock is put forward by hand, so that nobody has to wait.
    let begun = time::Instant::now();
    time::pause();
    let opening = left.open(&place);
    let passing = async {
        time::advance(Duration::from_secs(9)).await;
        tokio::task::yield_now().await;
        time::advance(Duration::from_secs(2)).await;
    };
    let (found, ()) = tokio::join!(opening, passing);
    let found = found.unwrap_err();
    assert!(matches!(found, LinkError::Unanswered), "{found:?}");
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
}
