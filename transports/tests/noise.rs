//! Goal: whoever stands between the two ends of a Noise link learns and does as little as is stated.
//! Method: a relay that records, flips single bits, cuts at single bytes or says other things, and
//! peers that are hostile or silent, in time that is stopped.

use std::time::Duration;

use thistle_transports::{Link as _, LinkError, NoiseLink};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::join;
use tokio::time::{Instant, sleep, timeout};

const PROTOCOL: &[u8] = b"attack/1";
/// What both sides say.
const TEXT: &[u8] = b"one";
/// More than one link of these tests needs under way.
const PIPE: usize = 4_096;

/// What a relay does to one direction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meddle {
    /// Passes everything on.
    Nothing,
    /// Turns a bit round.
    Flip(usize),
    /// Passes so many bytes on, and then cuts both directions.
    Cut(usize),
}

/// One direction of a relay.
struct Way {
    meddle: Meddle,
    passed: Vec<u8>,
}

impl Way {
    fn new(meddle: Meddle) -> Self {
        Self { meddle, passed: Vec::new() }
    }

    /// Passes bytes on; false: it is over.
    async fn pass(&mut self, bytes: &[u8], to: &mut (impl AsyncWrite + Unpin)) -> bool {
        let begin = self.passed.len();
        let mut bytes = bytes.to_vec();
        match self.meddle {
            Meddle::Flip(bit) if (begin..begin + bytes.len()).contains(&(bit / 8)) => {
                bytes[bit / 8 - begin] ^= 1 << (bit % 8);
            }
            Meddle::Cut(at) => bytes.truncate(at - begin),
            _ => {}
        }
        self.passed.extend(&bytes);
        let is_cut = self.meddle == Meddle::Cut(self.passed.len());
        !bytes.is_empty() && to.write_all(&bytes).await.is_ok() && !is_cut
    }
}

/// Passes on what comes from both sides until one is gone; gives what was passed.
async fn relay(
    opener: DuplexStream,
    other: DuplexStream,
    mut ways: (Way, Way),
) -> (Vec<u8>, Vec<u8>) {
    let (mut from_opener, mut to_opener) = tokio::io::split(opener);
    let (mut from_other, mut to_other) = tokio::io::split(other);
    let (mut there, mut back) = (vec![0; PIPE], vec![0; PIPE]);
    let nowhere = Meddle::Cut(0);
    while ways.0.meddle != nowhere && ways.1.meddle != nowhere {
        let goes_on = tokio::select! {
            read = from_opener.read(&mut there) => {
                ways.0.pass(&there[..read.unwrap_or(0)], &mut to_other).await
            }
            read = from_other.read(&mut back) => {
                ways.1.pass(&back[..read.unwrap_or(0)], &mut to_opener).await
            }
        };
        if !goes_on {
            break;
        }
    }
    (ways.0.passed, ways.1.passed)
}

/// How a conversation went for one side.
#[derive(Debug)]
struct Outcome {
    made: Result<[u8; 32], LinkError>,
    received: Vec<u8>,
    ended: Result<(), LinkError>,
    closed: Result<(), LinkError>,
}

impl Outcome {
    /// What it thinks went wrong; nothing if all is well.
    fn faults(&self) -> Vec<&LinkError> {
        let made = self.made.as_ref().err();
        made.into_iter()
            .chain(self.ended.as_ref().err())
            .chain(self.closed.as_ref().err())
            .collect()
    }
}

/// Says the text, closes, and receives to the end.
async fn converse(made: Result<NoiseLink, LinkError>) -> Outcome {
    let link = match made {
        Ok(link) => link,
        Err(error) => {
            return Outcome { made: Err(error), received: vec![], ended: Ok(()), closed: Ok(()) };
        }
    };
    let say = async {
        link.send(TEXT.to_vec()).await?;
        link.close().await
    };
    let hear = async {
        let mut all = Vec::new();
        loop {
            match link.receive().await {
                Ok(Some(bytes)) => all.extend(bytes),
                Ok(None) => return (all, Ok(())),
                Err(error) => return (all, Err(error)),
            }
        }
    };
    let (closed, (received, ended)) = join!(say, hear);
    Outcome { made: Ok(link.binding()), received, ended, closed }
}

/// A conversation over a relay: how it went for both, and what the relay passed on.
async fn over(there: Meddle, back: Meddle) -> ([Outcome; 2], [Vec<u8>; 2]) {
    let ((opener, near), (far, other)) = (duplex(PIPE), duplex(PIPE));
    let (left, right, passed) = join!(
        async { converse(NoiseLink::open(opener, PROTOCOL).await).await },
        async { converse(NoiseLink::accept(other, PROTOCOL).await).await },
        relay(near, far, (Way::new(there), Way::new(back)))
    );
    ([left, right], passed.into())
}

/// Two ends of a link without anybody between.
async fn pair() -> (NoiseLink, NoiseLink) {
    let (left, right) = duplex(PIPE);
    let (left, right) = join!(NoiseLink::open(left, PROTOCOL), NoiseLink::accept(right, PROTOCOL));
    (left.unwrap(), right.unwrap())
}

#[tokio::test(start_paused = true)]
async fn no_bit_is_the_same_in_a_hundred_links() {
    let mut seen: [Vec<(u8, u8)>; 2] = [vec![(0, 0); 92], vec![(0, 0); 140]];
    for _ in 0..100 {
        let (outcomes, passed) = over(Meddle::Nothing, Meddle::Nothing).await;
        for outcome in &outcomes {
            assert!(outcome.faults().is_empty() && outcome.received == TEXT, "{outcome:?}");
        }
        for (seen, passed) in seen.iter_mut().zip(&passed) {
            assert_eq!(seen.len(), passed.len(), "32 or 80 of a handshake, 22, 19, 19 of frames");
            for ((ones, zeros), byte) in seen.iter_mut().zip(passed) {
                *ones |= byte;
                *zeros |= !byte;
            }
            // What both sides know cannot be read off either.
            let binding = outcomes[0].made.as_ref().unwrap();
            assert!(!passed.windows(32).any(|window| window == binding));
        }
    }
    for (place, (ones, zeros)) in seen.iter().flatten().enumerate() {
        assert_eq!((*ones, *zeros), (0xff, 0xff), "byte {place} has bits that never change");
    }
}

#[tokio::test(start_paused = true)]
async fn a_man_in_the_middle_has_another_binding_with_each_side() {
    let ((opener, near), (far, other)) = (duplex(PIPE), duplex(PIPE));
    let (victim, middle) =
        join!(NoiseLink::open(opener, PROTOCOL), NoiseLink::accept(near, PROTOCOL));
    let (onwards, second) =
        join!(NoiseLink::open(far, PROTOCOL), NoiseLink::accept(other, PROTOCOL));
    let (victim, middle) = (victim.unwrap(), middle.unwrap());
    let (onwards, second) = (onwards.unwrap(), second.unwrap());
    // He can pass on whatever is said, but not what is bound to the link.
    victim.send(TEXT.to_vec()).await.unwrap();
    onwards.send(middle.receive().await.unwrap().unwrap()).await.unwrap();
    assert_eq!(second.receive().await.unwrap().as_deref(), Some(TEXT));
    assert_eq!((victim.binding(), second.binding()), (middle.binding(), onwards.binding()));
    assert_ne!(victim.binding(), second.binding());
    assert_ne!(victim.peer(), onwards.peer());
}

#[tokio::test(start_paused = true)]
async fn every_bit_that_is_flipped_ends_the_link_and_delivers_nothing_wrong() {
    let (_, [there, back]) = over(Meddle::Nothing, Meddle::Nothing).await;
    let flips_there = (0..there.len() * 8).map(|bit| (Meddle::Flip(bit), Meddle::Nothing));
    let flips_back = (0..back.len() * 8).map(|bit| (Meddle::Nothing, Meddle::Flip(bit)));
    for (count, (there, back)) in flips_there.chain(flips_back).enumerate() {
        let ([opener, other], _) = over(there, back).await;
        for outcome in [&opener, &other] {
            let received = outcome.received.as_slice();
            assert!(received.is_empty() || received == TEXT, "flip {count}: {outcome:?}");
        }
        let victim = if back == Meddle::Nothing { other } else { opener };
        assert!(!victim.faults().is_empty(), "flip {count} was not noticed: {victim:?}");
        assert!(victim.ended.is_err() || victim.received == TEXT || victim.made.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_at_each_byte_is_a_cut_and_never_an_end() {
    let (_, [there, back]) = over(Meddle::Nothing, Meddle::Nothing).await;
    let cuts_there = (0..there.len()).map(|at| (Meddle::Cut(at), Meddle::Nothing));
    let cuts_back = (0..back.len()).map(|at| (Meddle::Nothing, Meddle::Cut(at)));
    for (count, (there, back)) in cuts_there.chain(cuts_back).enumerate() {
        let ([opener, other], _) = over(there, back).await;
        for outcome in [&opener, &other] {
            assert!(outcome.ended.is_err() || outcome.made.is_err() || outcome.received == TEXT);
        }
        let victim = if back == Meddle::Nothing { other } else { opener };
        assert!(!victim.faults().is_empty(), "cut {count} was not noticed: {victim:?}");
        let is_cut = victim.faults().iter().all(|fault| matches!(fault, LinkError::Cut));
        assert!(is_cut, "cut {count}: {victim:?}");
    }
}

/// Keys with which the other side's secret would be known: of order 1, 2, 4 and 8, also where they
/// are written otherwise.
fn keys_of_low_order() -> Vec<[u8; 32]> {
    let order_8 = [
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    ];
    let prime = |last: u8| {
        let mut key = [0xff; 32];
        (key[0], key[31]) = (last, 0x7f);
        key
    };
    let small = |first: u8| {
        let mut key = [0; 32];
        key[0] = first;
        key
    };
    let mut keys = vec![small(0), small(1), prime(0xec), prime(0xed), prime(0xee)];
    for hex in order_8 {
        let byte = |at: usize| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap();
        keys.push(std::array::from_fn(byte));
    }
    for mut key in keys.clone() {
        key[31] |= 0x80;
        keys.push(key);
    }
    keys
}

#[tokio::test(start_paused = true)]
async fn keys_of_low_order_are_refused() {
    for key in keys_of_low_order() {
        let (ours, mut theirs) = duplex(PIPE);
        theirs.write_all(&key).await.unwrap();
        let accepted = NoiseLink::accept(ours, PROTOCOL).await;
        assert!(matches!(accepted, Err(LinkError::BadKey)), "{key:02x?}: {accepted:?}");
        let (ours, mut theirs) = duplex(PIPE);
        theirs.write_all(&[&key[..], &[0; 48]].concat()).await.unwrap();
        let opened = NoiseLink::open(ours, PROTOCOL).await;
        assert!(matches!(opened, Err(LinkError::BadKey)), "{key:02x?}: {opened:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_speaks_another_version_gets_no_link() {
    let (left, right) = duplex(PIPE);
    let (left, right) =
        join!(NoiseLink::open(left, PROTOCOL), NoiseLink::accept(right, b"attack/2"));
    assert!(matches!(left, Err(LinkError::OtherVersion)), "{left:?}");
    // Who answers finds out by what does not come.
    let heard = right.unwrap().receive().await;
    assert!(matches!(heard, Err(LinkError::Cut)), "{heard:?}");
}

/// Runs something in stopped time; gives what came of it and how long it took.
async fn timed<T>(what: impl Future<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    let made = what.await;
    (made, begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_handshake_ends_in_time_however_slowly_it_goes_on() {
    let limit = Duration::from_secs(10);
    let (ours, _theirs) = duplex(PIPE);
    let (opened, took) = timed(NoiseLink::open(ours, PROTOCOL)).await;
    assert!(matches!(opened, Err(LinkError::Unanswered)) && took == limit, "{took:?}");
    // A byte every two seconds, which is never silent for long.
    for is_opener in [true, false] {
        let (ours, mut theirs) = duplex(PIPE);
        let dribble = tokio::spawn(async move {
            while theirs.write_all(&[1]).await.is_ok() {
                sleep(Duration::from_secs(2)).await;
            }
        });
        let making = async {
            if is_opener {
                NoiseLink::open(ours, PROTOCOL).await
            } else {
                NoiseLink::accept(ours, PROTOCOL).await
            }
        };
        let (made, took) = timed(making).await;
        assert!(matches!(made, Err(LinkError::Unanswered | LinkError::Silent)), "{made:?}");
        assert!(took == limit, "{took:?}");
        dribble.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn who_falls_silent_is_given_up_in_time() {
    let (left, right) = pair().await;
    let (heard, took) = timed(left.receive()).await;
    assert!(matches!(heard, Err(LinkError::Silent)), "{heard:?}");
    assert_eq!(took, Duration::from_mins(2));
    // Nobody receives at the right, and then nothing more is taken.
    let (sent, took) = timed(async {
        loop {
            if let Err(error) = left.send(vec![0; 20_000]).await {
                return error;
            }
        }
    })
    .await;
    assert!(matches!(sent, LinkError::Silent), "{sent:?}");
    assert_eq!(took, Duration::from_mins(1));
    // What was left half sent is followed by nothing.
    assert!(matches!(left.send(vec![1]).await, Err(LinkError::Cut)));
    assert!(matches!(left.close().await, Err(LinkError::Cut)));
    drop(right);
}

#[tokio::test(start_paused = true)]
async fn whether_all_has_arrived_is_told_in_time() {
    let (left, right) = pair().await;
    // The last of it finds no room to wait there, and what says that it is the last stands behind it.
    let sending = async {
        for _ in 0..19 {
            left.send(vec![5; 14_000]).await?;
        }
        timed(left.close()).await.0
    };
    let (closed, took) = timed(sending).await;
    assert!(matches!(closed, Err(LinkError::Silent)), "{closed:?}");
    assert_eq!(took, Duration::from_secs(30));
    drop(right);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_after_the_end() {
    let (left, right) = pair().await;
    left.close().await.unwrap();
    assert!(matches!(left.send(vec![1]).await, Err(LinkError::Cut)));
    left.close().await.unwrap();
    assert_eq!(right.receive().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn small_pieces_do_not_fill_the_memory() {
    let (left, right) = pair().await;
    let mut sent = 0;
    let soon = Duration::from_secs(1);
    while let Ok(Ok(())) = timeout(soon, left.send(vec![7])).await {
        sent += 1;
    }
    // Each costs 65 of 256 KiB where it waits, and 20 of what the pipe holds.
    let most = 256 * 1024 / 65 + PIPE / 20 + 2;
    assert!((most - 10..=most).contains(&sent), "{sent} of {most}");
    for _ in 0..sent {
        assert_eq!(right.receive().await.unwrap(), Some(vec![7]));
    }
}
