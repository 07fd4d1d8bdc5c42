//! What a link does whose other end has the keys and does not keep to the order.

use std::time::Duration;

use snow::{Builder, HandshakeState};
use tokio::io::duplex;
use tokio::join;
use tokio::time::timeout;

use super::primitives::Primitives;
use super::{
    Agreed, Kind, Masks, NoiseLink, PATTERN, PIECE_COST, REKEY, Sending, WAITING_BYTES, handshake,
    write,
};
use crate::link::{Link as _, LinkError};

async fn pair() -> (NoiseLink, NoiseLink) {
    let (left, right) = duplex(100_000);
    let (left, right) = join!(NoiseLink::open(left, b"unit"), NoiseLink::accept(right, b"unit"));
    (left.unwrap(), right.unwrap())
}

/// Seals a frame and writes it, whether or not it may be said now.
async fn say(link: &NoiseLink, kind: Kind, bytes: &[u8]) {
    let mut sending = link.sending.lock().await;
    let frame = sending.seal(kind, bytes).unwrap();
    write(&mut sending.stream, &frame).await.unwrap();
}

/// What a link receives, up to its end or fault.
async fn heard(link: &NoiseLink) -> (Vec<u8>, Result<(), LinkError>) {
    let mut all = Vec::new();
    loop {
        match link.receive().await {
            Ok(Some(bytes)) => all.extend(bytes),
            Ok(None) => return (all, Ok(())),
            Err(error) => return (all, Err(error)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn frames_out_of_order_cut_the_link() {
    let wrong: [&[(Kind, &[u8])]; 4] = [
        &[(Kind::Bytes, b"")],
        &[(Kind::Arrived, b"")],
        &[(Kind::Bytes, b"a"), (Kind::End, b"more")],
        &[(Kind::Bytes, b"a"), (Kind::Arrived, b"more")],
    ];
    for frames in wrong {
        let (left, right) = pair().await;
        for (kind, bytes) in frames {
            say(&left, *kind, bytes).await;
        }
        let (all, end) = heard(&right).await;
        assert!(all.len() < 2 && matches!(end, Err(LinkError::Cut)), "{all:?} {end:?}");
        assert!(matches!(right.send(vec![1]).await, Err(LinkError::Cut)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_the_end_cuts_the_link_and_is_not_heard() {
    for after in [Kind::Bytes, Kind::End] {
        let (left, right) = pair().await;
        say(&left, Kind::End, b"").await;
        say(&left, after, if after == Kind::Bytes { b"late" } else { b"" }).await;
        let (all, end) = heard(&right).await;
        assert!(all.is_empty() && end.is_ok(), "{all:?} {end:?}");
        let gone = timeout(Duration::from_secs(1), right.gone()).await;
        assert!(matches!(gone, Ok(LinkError::Cut)), "it goes on");
    }
}

#[tokio::test(start_paused = true)]
async fn arrival_is_believed_once() {
    let (left, right) = pair().await;
    right.close().await.unwrap();
    say(&left, Kind::Arrived, b"").await;
    assert!(matches!(left.receive().await, Ok(None)));
    assert!(matches!(right.receive().await, Err(LinkError::Cut)));
}

/// One end of a handshake, with a key that is no secret.
fn end(is_opener: bool) -> HandshakeState {
    let builder = Builder::with_resolver(PATTERN.parse().unwrap(), Box::new(Primitives));
    let builder = builder.fixed_ephemeral_key_for_testing_only(&[7; 32]);
    if is_opener { builder.build_initiator() } else { builder.build_responder() }.unwrap()
}

/// Both ends after a handshake in which the other side's random bytes are these.
fn agreed(opener: HandshakeState, mut other: HandshakeState, secret: [u8; 32]) -> [Agreed; 2] {
    let (mut opener, mut bytes, mut read) = (opener, [0; 200], [0; 200]);
    let length = opener.write_message(&[], &mut bytes).unwrap();
    other.read_message(&bytes[..length], &mut read).unwrap();
    let length = other.write_message(&secret, &mut bytes).unwrap();
    opener.read_message(&bytes[..length], &mut read).unwrap();
    assert_eq!(read[..32], secret);
    [(opener, true), (other, false)]
        .map(|(noise, is_opener)| Agreed::new(noise, [0; 32], &secret, is_opener).unwrap())
}

#[test]
fn a_man_in_the_middle_who_passes_the_random_bytes_on_has_other_bindings_still() {
    let ours = || handshake(b"unit", true).unwrap();
    let theirs = || handshake(b"unit", false).unwrap();
    let (secret, victims) = ([9; 32], agreed(ours(), theirs(), [9; 32]));
    let others = agreed(ours(), theirs(), secret);
    assert_eq!(victims[0].binding, victims[1].binding);
    assert_ne!(victims[0].binding, others[0].binding);
}

#[test]
fn a_binding_is_not_made_of_what_goes_by_alone() {
    // The same was said in both, and what only the two know is told to be another.
    let [one, other] = [[1; 32], [2; 32]].map(|told| {
        let (mut opener, mut other) = (end(true), end(false));
        let (mut bytes, mut read) = ([0; 200], [0; 200]);
        let length = opener.write_message(&[], &mut bytes).unwrap();
        other.read_message(&bytes[..length], &mut read).unwrap();
        other.write_message(&[3; 32], &mut bytes).unwrap();
        Agreed::new(other, [0; 32], &told, false).unwrap().binding
    });
    assert_ne!(one, other);
}

#[test]
fn the_keys_of_a_link_do_not_open_what_goes_under_the_next() {
    let [opener, other] = agreed(end(true), end(false), [3; 32]);
    let [_, thief] = agreed(end(true), end(false), [3; 32]);
    let Agreed { noise, ours: masks, .. } = opener;
    let stream = Box::pin(tokio::io::sink());
    let mut sending = Sending { stream, noise, masks, whole: true, ended: false };
    let frames: Vec<_> = (0..=REKEY).map(|_| sending.seal(Kind::Bytes, b"text").unwrap()).collect();
    let open = |agreed: &Agreed, at: u64| {
        let (mut state, mut text) = (agreed.noise.state(), [0; 100]);
        state.set_receiving_nonce(at);
        let frame = &frames[usize::try_from(at).unwrap()];
        state.read_message(&frame[2..], &mut text).map(|length| text[1..length].to_vec())
    };
    // The thief took what was in memory one frame before the keys changed.
    assert_eq!(open(&thief, REKEY - 1).unwrap(), b"text");
    assert!(open(&thief, REKEY).is_err());
    other.noise.state().rekey_incoming();
    assert_eq!(open(&other, REKEY).unwrap(), b"text");
    assert!(open(&other, REKEY - 1).is_err());
}

#[tokio::test(start_paused = true)]
async fn both_directions_go_on_under_new_keys() {
    let (left, right) = pair().await;
    for _ in 0..=2 * REKEY {
        left.send(vec![1]).await.unwrap();
        right.send(vec![2]).await.unwrap();
        assert_eq!(right.receive().await.unwrap(), Some(vec![1]));
        assert_eq!(left.receive().await.unwrap(), Some(vec![2]));
    }
}

#[tokio::test(start_paused = true)]
async fn room_comes_back_with_what_is_received() {
    let (left, right) = pair().await;
    for _ in 0..3 * WAITING_BYTES / (1_000 + PIECE_COST) {
        left.send(vec![1; 1_000]).await.unwrap();
        assert_eq!(right.receive().await.unwrap().map(|bytes| bytes.len()), Some(1_000));
    }
    assert_eq!(right.room.available_permits(), WAITING_BYTES);
}

#[test]
fn lengths_have_another_mask_in_each_frame() {
    let mut masks = Masks::new([7; 32]);
    let first: Vec<[u8; 2]> = (0..100)
        .map(|_| {
            let masked = masks.apply([0, 20]);
            assert_eq!(masks.apply(masked), [0, 20]);
            masks.next();
            masked
        })
        .collect();
    let again = first.iter().filter(|masked| **masked == first[0]).count();
    assert_eq!(again, 1, "{first:?}");
}
