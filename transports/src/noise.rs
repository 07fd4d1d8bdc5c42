//! Noise over any stream of bytes that goes both ways: what a link is made of where there is no TLS.
//!
//! Both sides make a key for this link alone, agree on a secret (`NN`: nobody proves who it is; the
//! sessions do that inside), and seal all that follows. What goes over the stream, in order:
//!
//! | who | bytes | what |
//! | --- | --- | --- |
//! | opener | 32 | its key for this link |
//! | other | 80 | its key, and 32 random bytes sealed |
//! | both, any number | 19 and more | frames: two bytes of length, hidden under a mask that only the two know, and so many bytes sealed: a byte that says what it is, and the bytes |
//!
//! The binding is derived from all that was said and from the random bytes: a man in the middle has
//! another one with each side, and whoever only listens has none. A frame says that bytes come, that
//! none come any more, or that all came; so a stream that was cut is never taken for one that ended,
//! and who closes a link knows what has arrived. After [`REKEY`] frames a direction goes on under the
//! next key, so that the keys in memory do not open what went before.
//!
//! Whoever looks on sees that there is a stream, how many bytes went when and which way: nothing is
//! padded. No bit of it is the same in every link, but it can be told from random bytes: half of all
//! 32 bytes are no key of the curve, and these always are. What `snow` itself keeps of the handshake
//! is not wiped.

mod primitives;

use std::sync::{Arc, Mutex as Lock, MutexGuard, PoisonError};
use std::time::Duration;

use snow::{Builder, HandshakeState, TransportState};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split,
};
use tokio::sync::{Mutex, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::link::{Link, LinkError, Nature};
use primitives::{KEY_BYTES, Primitives, TAG_BYTES, derive};

/// What both sides do, by the name that Noise has for it.
const PATTERN: &str = "Noise_NN_25519_ChaChaPoly_BLAKE2s";

/// Bytes of what the other side answers: its key, random bytes and their seal.
const ANSWER_BYTES: usize = KEY_BYTES + KEY_BYTES + TAG_BYTES;
/// Bytes that are sent in one frame: a slow stream has them across in well under [`SILENCE`].
const FRAME_BYTES: usize = 16 * 1024;
/// Frames of one direction after which its key is replaced.
const REKEY: u64 = 1_024;
/// Bytes that wait to be received, with [`PIECE_COST`] for each piece; the frame at hand comes on top.
const WAITING_BYTES: usize = 256 * 1024;
/// What a piece costs beside its bytes.
const PIECE_COST: usize = 64;

/// How long it may take until a link is there.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long nothing may come.
const SILENCE: Duration = Duration::from_mins(2);
/// How long it may take until some bytes are taken.
const STALLED: Duration = Duration::from_mins(1);
/// How long it may take until all that was sent has arrived.
const CLOSING: Duration = Duration::from_secs(30);

/// What a frame says, by its first byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The bytes that follow; never none.
    Bytes = 0,
    /// No bytes come any more.
    End = 1,
    /// All came, up to and with the end.
    Arrived = 2,
}

/// A link over a stream, which is known to nobody but its two ends.
#[derive(Debug)]
pub struct NoiseLink {
    peer: [u8; KEY_BYTES],
    binding: [u8; KEY_BYTES],
    sending: Arc<Mutex<Sending>>,
    incoming: Mutex<Incoming>,
    room: Arc<Semaphore>,
    /// Whether the other side has all; it has no sender any more once nothing can come.
    arrived: watch::Receiver<bool>,
    reading: JoinHandle<()>,
}

/// What came in and was not received yet.
#[derive(Debug)]
struct Incoming {
    pieces: mpsc::UnboundedReceiver<Piece>,
    ended: bool,
}

/// What goes from the stream to whoever receives.
#[derive(Debug)]
enum Piece {
    Bytes(Vec<u8>),
    End,
}

impl NoiseLink {
    /// Makes a link over a stream that this side has opened. `protocol` is what both sides have to
    /// speak; it does not go over the stream.
    ///
    /// Has to be called inside of a runtime.
    pub async fn open<S>(stream: S, protocol: &[u8]) -> Result<Self, LinkError>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let opening = async {
            let (mut incoming, mut outgoing) = split(stream);
            let mut noise = handshake(protocol, true)?;
            let mut hello = [0; KEY_BYTES + TAG_BYTES];
            let length = noise.write_message(&[], &mut hello).map_err(refused)?;
            write(&mut outgoing, hello.get(..length).unwrap_or_default()).await?;
            let mut answer = [0; ANSWER_BYTES];
            read(&mut incoming, &mut answer).await?;
            let mut secret = Zeroizing::new([0; KEY_BYTES]);
            noise.read_message(&answer, &mut *secret).map_err(refused)?;
            let peer = first_key(&answer);
            Ok((Agreed::new(noise, peer, &secret, true)?, incoming, outgoing))
        };
        let made = timeout(HANDSHAKE, opening).await.map_err(|_| LinkError::Unanswered)?;
        let (agreed, incoming, outgoing) = made?;
        Ok(Self::new(agreed, incoming, outgoing))
    }

    /// Makes a link over a stream that the other side has opened.
    ///
    /// Has to be called inside of a runtime.
    pub async fn accept<S>(stream: S, protocol: &[u8]) -> Result<Self, LinkError>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let accepting = async {
            let (mut incoming, mut outgoing) = split(stream);
            let mut noise = handshake(protocol, false)?;
            let mut hello = [0; KEY_BYTES];
            read(&mut incoming, &mut hello).await?;
            noise.read_message(&hello, &mut []).map_err(refused)?;
            let mut secret = Zeroizing::new([0; KEY_BYTES]);
            getrandom::fill(&mut *secret).map_err(|_| LinkError::Cut)?;
            let mut answer = [0; ANSWER_BYTES];
            noise.write_message(&*secret, &mut answer).map_err(refused)?;
            write(&mut outgoing, &answer).await?;
            Ok((Agreed::new(noise, hello, &secret, false)?, incoming, outgoing))
        };
        let made = timeout(HANDSHAKE, accepting).await.map_err(|_| LinkError::Silent)?;
        let (agreed, incoming, outgoing) = made?;
        Ok(Self::new(agreed, incoming, outgoing))
    }

    fn new<S>(agreed: Agreed, stream: ReadHalf<S>, outgoing: WriteHalf<S>) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let Agreed { noise, peer, binding, ours, theirs } = agreed;
        let sending = Arc::new(Mutex::new(Sending {
            stream: Box::pin(outgoing),
            noise: noise.clone(),
            masks: ours,
            whole: true,
            ended: false,
        }));
        let room = Arc::new(Semaphore::new(WAITING_BYTES));
        let (tell, pieces) = mpsc::unbounded_channel();
        let (tell_arrived, arrived) = watch::channel(false);
        let reading = Reading {
            stream,
            noise,
            masks: theirs,
            room: Arc::clone(&room),
            tell,
            tell_arrived,
            sending: Arc::clone(&sending),
        };
        let reading = tokio::spawn(reading.run());
        let incoming = Mutex::new(Incoming { pieces, ended: false });
        Self { peer, binding, sending, incoming, room, arrived, reading }
    }

    /// Waits until nothing can come any more.
    async fn gone(&self) -> LinkError {
        // What it tells is all it will tell; the wait ends with the sender.
        let mut arrived = self.arrived.clone();
        while arrived.changed().await.is_ok() {}
        LinkError::Cut
    }
}

impl Drop for NoiseLink {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Link for NoiseLink {
    fn nature(&self) -> Nature {
        Nature { duplex: true, mtu: None, bytes_a_second: None }
    }

    fn peer(&self) -> [u8; 32] {
        self.peer
    }

    fn binding(&self) -> [u8; 32] {
        self.binding
    }

    async fn send(&self, bytes: Vec<u8>) -> Result<(), LinkError> {
        let sent = async {
            let mut sending = self.sending.lock().await;
            for piece in bytes.chunks(FRAME_BYTES) {
                sending.frame(Kind::Bytes, piece).await?;
            }
            Ok(())
        };
        tokio::select! {
            biased;
            error = self.gone() => Err(error),
            sent = sent => sent,
        }
    }

    async fn receive(&self) -> Result<Option<Vec<u8>>, LinkError> {
        let Incoming { pieces, ended } = &mut *self.incoming.lock().await;
        if *ended {
            return Ok(None);
        }
        match timeout(SILENCE, pieces.recv()).await {
            Err(_) => Err(LinkError::Silent),
            Ok(None) => Err(LinkError::Cut),
            Ok(Some(Piece::Bytes(bytes))) => {
                self.room.add_permits(bytes.len() + PIECE_COST);
                Ok(Some(bytes))
            }
            Ok(Some(Piece::End)) => {
                *ended = true;
                Ok(None)
            }
        }
    }

    async fn close(&self) -> Result<(), LinkError> {
        let closing = async {
            {
                let mut sending = self.sending.lock().await;
                if !sending.ended {
                    sending.frame(Kind::End, &[]).await?;
                }
            }
            let mut arrived = self.arrived.clone();
            arrived.wait_for(|arrived| *arrived).await.map(drop).map_err(|_| LinkError::Cut)
        };
        timeout(CLOSING, closing).await.map_err(|_| LinkError::Silent)?
    }
}

/// What both sides know after the handshake.
struct Agreed {
    noise: Noise,
    peer: [u8; KEY_BYTES],
    binding: [u8; KEY_BYTES],
    ours: Masks,
    theirs: Masks,
}

impl Agreed {
    fn new(
        noise: HandshakeState,
        peer: [u8; KEY_BYTES],
        secret: &[u8; KEY_BYTES],
        is_opener: bool,
    ) -> Result<Self, LinkError> {
        let said = noise.get_handshake_hash();
        let make = |label: &[u8]| derive(label, &[said, secret]);
        let binding = make(b"thistledown 1 noise binding");
        let opener = Masks::new(make(b"thistledown 1 noise lengths of the opener"));
        let other = Masks::new(make(b"thistledown 1 noise lengths of the other"));
        let (ours, theirs) = if is_opener { (opener, other) } else { (other, opener) };
        let state = noise.into_transport_mode().map_err(refused)?;
        Ok(Self { noise: Noise(Arc::new(Lock::new(state))), peer, binding, ours, theirs })
    }
}

/// Hides the lengths of one direction: a mask for each frame.
#[derive(Debug)]
struct Masks {
    key: Zeroizing<[u8; KEY_BYTES]>,
    frames: u64,
}

impl Masks {
    fn new(key: [u8; KEY_BYTES]) -> Self {
        Self { key: Zeroizing::new(key), frames: 0 }
    }

    fn apply(&self, length: [u8; 2]) -> [u8; 2] {
        let mask = derive(b"mask", &[&*self.key, &self.frames.to_le_bytes()]);
        let [high, low, ..] = mask;
        let [first, second] = length;
        [first ^ high, second ^ low]
    }

    /// Goes on to the next frame; true: under the next key.
    fn next(&mut self) -> bool {
        self.frames += 1;
        self.frames.is_multiple_of(REKEY)
    }
}

/// The keys of both directions.
#[derive(Clone, Debug)]
struct Noise(Arc<Lock<TransportState>>);

impl Noise {
    fn state(&self) -> MutexGuard<'_, TransportState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way out.
struct Sending {
    stream: std::pin::Pin<Box<dyn AsyncWrite + Send>>,
    noise: Noise,
    masks: Masks,
    /// No frame was left half sent.
    whole: bool,
    ended: bool,
}

impl std::fmt::Debug for Sending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sending").field("whole", &self.whole).finish_non_exhaustive()
    }
}

impl Sending {
    async fn frame(&mut self, kind: Kind, bytes: &[u8]) -> Result<(), LinkError> {
        let is_late = self.ended && kind != Kind::Arrived;
        if is_late || !self.whole {
            return Err(LinkError::Cut);
        }
        let frame = self.seal(kind, bytes)?;
        // Whoever stops waiting leaves half a frame behind, and nothing can follow that.
        self.whole = false;
        write(&mut self.stream, &frame).await?;
        self.whole = true;
        self.ended |= kind == Kind::End;
        Ok(())
    }

    fn seal(&mut self, kind: Kind, bytes: &[u8]) -> Result<Vec<u8>, LinkError> {
        let text = [&[kind as u8], bytes].concat();
        let length = text.len() + TAG_BYTES;
        let short = u16::try_from(length).map_err(|_| LinkError::Cut)?;
        let mut frame = vec![0; 2 + length];
        let (head, body) = frame.split_at_mut(2);
        head.copy_from_slice(&self.masks.apply(short.to_be_bytes()));
        let mut state = self.noise.state();
        state.write_message(&text, body).map_err(refused)?;
        if self.masks.next() {
            state.rekey_outgoing();
        }
        drop(state);
        Ok(frame)
    }
}

/// The way in, as far as to whoever receives.
struct Reading<S> {
    stream: ReadHalf<S>,
    noise: Noise,
    masks: Masks,
    room: Arc<Semaphore>,
    tell: mpsc::UnboundedSender<Piece>,
    tell_arrived: watch::Sender<bool>,
    sending: Arc<Mutex<Sending>>,
}

impl<S: AsyncRead> Reading<S> {
    /// Takes frames until there are no more, or one is none.
    async fn run(mut self) {
        let mut has_ended = false;
        while let Ok((kind, bytes)) = self.frame().await {
            let is_heard = match kind {
                Kind::Bytes if !has_ended => self.hand_over(bytes).await,
                Kind::End if !has_ended => {
                    has_ended = true;
                    self.end().await
                }
                Kind::Arrived => self.arrived().await,
                Kind::Bytes | Kind::End => false,
            };
            if !is_heard {
                return;
            }
        }
    }

    /// The next frame.
    async fn frame(&mut self) -> Result<(Kind, Vec<u8>), LinkError> {
        let mut head = [0; 2];
        read(&mut self.stream, &mut head).await?;
        let length = usize::from(u16::from_be_bytes(self.masks.apply(head)));
        if length <= TAG_BYTES {
            return Err(LinkError::Cut);
        }
        let mut sealed = vec![0; length];
        read(&mut self.stream, &mut sealed).await?;
        let mut text = vec![0; length - TAG_BYTES];
        let mut state = self.noise.state();
        state.read_message(&sealed, &mut text).map_err(refused)?;
        if self.masks.next() {
            state.rekey_incoming();
        }
        drop(state);
        let kind = match text.first() {
            Some(0) if text.len() > 1 => Kind::Bytes,
            Some(1) if text.len() == 1 => Kind::End,
            Some(2) if text.len() == 1 => Kind::Arrived,
            _ => return Err(LinkError::Cut),
        };
        text.remove(0);
        Ok((kind, text))
    }

    /// Waits until there is room; nothing more is taken off the stream meanwhile.
    async fn hand_over(&mut self, bytes: Vec<u8>) -> bool {
        let Ok(cost) = u32::try_from(bytes.len() + PIECE_COST) else { return false };
        let Ok(room) = self.room.acquire_many(cost).await else { return false };
        room.forget();
        self.tell.send(Piece::Bytes(bytes)).is_ok()
    }

    async fn end(&mut self) -> bool {
        let told = self.sending.lock().await.frame(Kind::Arrived, &[]).await;
        told.is_ok() && self.tell.send(Piece::End).is_ok()
    }

    /// True if there was an end that can have arrived, and this is the first time.
    async fn arrived(&mut self) -> bool {
        let has_ended = self.sending.lock().await.ended;
        has_ended && !self.tell_arrived.send_replace(true)
    }
}

fn handshake(protocol: &[u8], is_opener: bool) -> Result<HandshakeState, LinkError> {
    let pattern = PATTERN.parse().map_err(refused)?;
    let builder = Builder::with_resolver(pattern, Box::new(Primitives));
    let builder = builder.prologue(protocol).map_err(refused)?;
    let made = if is_opener { builder.build_initiator() } else { builder.build_responder() };
    made.map_err(refused)
}

/// The key that stands first in an answer.
fn first_key(answer: &[u8; ANSWER_BYTES]) -> [u8; KEY_BYTES] {
    answer.first_chunk().copied().unwrap_or_default()
}

/// What the other side did, by what Noise says of it.
fn refused(error: snow::Error) -> LinkError {
    match error {
        snow::Error::Dh => LinkError::BadKey,
        snow::Error::Decrypt => LinkError::OtherVersion,
        _ => LinkError::Cut,
    }
}

/// Writes all of it, as long as some of it is taken.
async fn write(stream: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8]) -> Result<(), LinkError> {
    while !bytes.is_empty() {
        let taken = timeout(STALLED, stream.write(bytes)).await;
        let taken = taken.map_err(|_| LinkError::Silent)?.map_err(|_| LinkError::Cut)?;
        bytes = match bytes.get(taken..) {
            Some(rest) if taken > 0 => rest,
            _ => return Err(LinkError::Cut),
        };
    }
    let flushed = timeout(STALLED, stream.flush()).await;
    flushed.map_err(|_| LinkError::Silent)?.map_err(|_| LinkError::Cut)
}

/// Reads as much as there has to be.
async fn read(stream: &mut (impl AsyncRead + Unpin), bytes: &mut [u8]) -> Result<(), LinkError> {
    stream.read_exact(bytes).await.map(drop).map_err(|_| LinkError::Cut)
}

#[cfg(test)]
mod tests;
