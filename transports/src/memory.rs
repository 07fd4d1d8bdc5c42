//! A link inside one process: what tests and measurements run over where the network is not meant.
//!
//! It holds back whoever sends faster than the other takes, as a real one does, and its end is as
//! real: closed is something else than cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::time::timeout;

use crate::link::{Link, LinkError, Nature, PIECE_BYTES, Transport};

/// Pieces under way in one direction.
const UNDER_WAY: usize = 16;
/// Links that wait to be accepted.
const WAITING: usize = 64;
/// How long one waits for the other side.
const SILENCE: Duration = Duration::from_mins(2);

/// One of two nodes that can reach each other and nobody else.
#[derive(Debug)]
pub struct Memory {
    key: [u8; 32],
    other: [u8; 32],
    opened: Arc<AtomicU64>,
    to_other: Mutex<Option<mpsc::Sender<MemoryLink>>>,
    incoming: Mutex<mpsc::Receiver<MemoryLink>>,
    /// Without a permit, ever: whoever waits for one waits for the closing.
    closing: Semaphore,
}

impl Memory {
    /// Two nodes, by their keys.
    pub fn pair(left: [u8; 32], right: [u8; 32]) -> (Self, Self) {
        let opened = Arc::new(AtomicU64::new(1));
        let ((to_right, from_left), (to_left, from_right)) =
            (mpsc::channel(WAITING), mpsc::channel(WAITING));
        let end = |key, other, to_other, incoming| Self {
            key,
            other,
            opened: Arc::clone(&opened),
            to_other: Mutex::new(Some(to_other)),
            incoming: Mutex::new(incoming),
            closing: Semaphore::new(0),
        };
        (end(left, right, to_right, from_right), end(right, left, to_left, from_left))
    }
}

impl Transport for Memory {
    type Place = ();
    type Link = MemoryLink;

    async fn open(&self, (): &()) -> Result<MemoryLink, LinkError> {
        let to_other = self.to_other.lock().await.clone().ok_or(LinkError::Cut)?;
        let mut binding = [0; 32];
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        binding.iter_mut().zip(number.to_le_bytes()).for_each(|(slot, byte)| *slot = byte);
        let (ours, theirs) = MemoryLink::pair(self.key, self.other, binding);
        to_other.try_send(theirs).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => LinkError::Full,
            mpsc::error::TrySendError::Closed(_) => LinkError::Unanswered,
        })?;
        Ok(ours)
    }

    async fn accept(&self) -> Option<MemoryLink> {
        let mut incoming = self.incoming.lock().await;
        tokio::select! {
            link = incoming.recv() => link,
            _ = self.closing.acquire() => None,
        }
    }

    async fn close(&self) {
        self.closing.close();
        drop(self.to_other.lock().await.take());
        self.incoming.lock().await.close();
    }
}

/// What goes through a link.
#[derive(Debug)]
enum Piece {
    Bytes(Vec<u8>),
    End,
}

/// One end of a link in memory.
#[derive(Debug)]
pub struct MemoryLink {
    peer: [u8; 32],
    binding: [u8; 32],
    outgoing: Mutex<Option<mpsc::Sender<Piece>>>,
    incoming: Mutex<Incoming>,
}

#[derive(Debug)]
struct Incoming {
    pieces: mpsc::Receiver<Piece>,
    ended: bool,
}

impl MemoryLink {
    /// Both ends of one link between two nodes.
    fn pair(opener: [u8; 32], other: [u8; 32], binding: [u8; 32]) -> (Self, Self) {
        let ((to_other, from_opener), (to_opener, from_other)) =
            (mpsc::channel(UNDER_WAY), mpsc::channel(UNDER_WAY));
        let end = |peer, outgoing, pieces| Self {
            peer,
            binding,
            outgoing: Mutex::new(Some(outgoing)),
            incoming: Mutex::new(Incoming { pieces, ended: false }),
        };
        (end(other, to_other, from_other), end(opener, to_opener, from_opener))
    }
}

impl Link for MemoryLink {
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
        let outgoing = self.outgoing.lock().await;
        let outgoing = outgoing.as_ref().ok_or(LinkError::Cut)?;
        for piece in bytes.chunks(PIECE_BYTES) {
            let sent = timeout(SILENCE, outgoing.send(Piece::Bytes(piece.to_vec()))).await;
            sent.map_err(|_| LinkError::Silent)?.map_err(|_| LinkError::Cut)?;
        }
        Ok(())
    }

    async fn receive(&self) -> Result<Option<Vec<u8>>, LinkError> {
        let mut incoming = self.incoming.lock().await;
        if incoming.ended {
            return Ok(None);
        }
        match timeout(SILENCE, incoming.pieces.recv()).await {
            Err(_) => Err(LinkError::Silent),
            Ok(None) => Err(LinkError::Cut),
            Ok(Some(Piece::Bytes(bytes))) => Ok(Some(bytes)),
            Ok(Some(Piece::End)) => {
                incoming.ended = true;
                Ok(None)
            }
        }
    }

    async fn close(&self) -> Result<(), LinkError> {
        let Some(outgoing) = self.outgoing.lock().await.take() else { return Ok(()) };
        let sent = timeout(SILENCE, outgoing.send(Piece::End)).await;
        sent.map_err(|_| LinkError::Silent)?.map_err(|_| LinkError::Cut)
    }
}
