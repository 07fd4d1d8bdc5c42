//! Two engines hold a session over a Noise link on a stream in memory, and both sides end it whole.
//!
//! `transports` knows no engine and the engine no link, so the two are joined here as the program
//! joins them; what goes over the stream is looked at from outside.

use std::time::Duration;

use thistle_engine::account::{AccountKey, Phrase};
use thistle_engine::content::{Carry, Content, Post};
use thistle_engine::key::Seed;
use thistle_engine::time::Now;
use thistle_engine::{
    Event, InMemoryBackend, Input, Node, Output, SessionEnding, SessionReport, Setup,
};
use thistle_transports::{Link, NoiseLink};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::join;
use tokio::time::timeout;

const NOW: Now = Now { tick: 1_000, wall: 1_772_438_400_000, boot_id: 1 };
const LINK: u64 = 1;

fn device(number: u8, texts: &[&str]) -> Node {
    let account = AccountKey::from_phrase(&Phrase::from_entropy(&Seed::new([number; 32])));
    let setup = Setup { carry: Carry::Open, name: None, cache_bytes: 1 << 20 };
    let seed = Seed::new([number; 32]);
    let node = Node::create(InMemoryBackend::new(), &account, setup, seed, NOW);
    let mut node = node.unwrap();
    for text in texts {
        let post = Post { time: 1_772_438_400, text: (*text).to_owned(), ..Post::default() };
        node.write(NOW, &Content::Post(post), 0).unwrap();
    }
    node
}

/// Carries out what the node says; its report once the session is over.
async fn carry_out(node: &mut Node, link: &NoiseLink) -> Option<SessionReport> {
    while let Some(output) = node.poll() {
        match output {
            Output::Send { bytes, .. } => {
                link.send(bytes).await.unwrap();
                node.handle(NOW, Input::LinkReady { link: LINK }).unwrap();
            }
            Output::Close { .. } => link.close().await.unwrap(),
            Output::Event(Event::SessionDone { report, .. }) => return Some(report),
            Output::Event(_) => {}
        }
    }
    None
}

/// One side of a session, from its first to its last word.
async fn meet(node: &mut Node, link: NoiseLink, opener: bool) -> SessionReport {
    let (peer, binding) = (link.peer(), link.binding());
    let via = "a stream";
    let input =
        Input::LinkOpened { link: LINK, opener, peer, binding: &binding, known: false, via };
    node.handle(NOW, input).unwrap();
    let mut now = NOW;
    loop {
        if let Some(report) = carry_out(node, &link).await {
            // The other side wants to see it taken.
            while let Ok(Some(_)) = link.receive().await {}
            return report;
        }
        // What is staged is committed when nothing comes for a while.
        let Ok(received) = timeout(Duration::from_millis(50), link.receive()).await else {
            now.tick += 50;
            node.handle(now, Input::Idle).unwrap();
            continue;
        };
        let input = match &received.unwrap() {
            Some(bytes) => node.handle(now, Input::LinkBytes { link: LINK, bytes }),
            None => node.handle(now, Input::LinkClosed { link: LINK }),
        };
        input.unwrap();
    }
}

/// Passes on what comes, and keeps it.
async fn tap(from: DuplexStream, to: DuplexStream) -> Vec<u8> {
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) =
        (tokio::io::split(from), tokio::io::split(to));
    let (mut there, mut back, mut seen) = (vec![0; 4_096], vec![0; 4_096], Vec::new());
    loop {
        let (bytes, out) = tokio::select! {
            read = near_in.read(&mut there) => (&there[..read.unwrap_or(0)], &mut far_out),
            read = far_in.read(&mut back) => (&back[..read.unwrap_or(0)], &mut near_out),
        };
        seen.extend(bytes);
        if bytes.is_empty() || out.write_all(bytes).await.is_err() {
            return seen;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_over_noise_ends_whole_and_shows_nothing_of_it() {
    let texts = [["the bridge is out", "come by the mill"], ["or call us", "we have bread"]];
    let mut nodes = [device(1, &texts[0]), device(2, &texts[1])];
    let ((ours, near), (far, theirs)) = (duplex(4_096), duplex(4_096));
    let seen = tokio::spawn(tap(near, far));
    let (opened, accepted) =
        join!(NoiseLink::open(ours, b"session"), NoiseLink::accept(theirs, b"session"));
    let (opened, accepted) = (opened.unwrap(), accepted.unwrap());
    assert_ne!(opened.peer(), accepted.peer());
    let [left, right] = &mut nodes;
    let (left, right) = join!(meet(left, opened, true), meet(right, accepted, false));
    for report in [&left, &right] {
        assert_eq!(report.ending, SessionEnding::Done, "{report:?}");
        assert!(report.sent >= 2 && report.received >= 2, "{report:?}");
    }
    let held = nodes.each_ref().map(|node| {
        let mut feeds: Vec<_> =
            node.reader().unwrap().feeds().unwrap().into_iter().map(|row| row.feed).collect();
        feeds.sort_unstable();
        feeds
    });
    assert!(held[0].len() == 2 && held[0] == held[1], "{held:?}");
    let seen = seen.await.unwrap();
    let shows = |part: &[u8]| seen.windows(part.len()).any(|window| window == part);
    assert!(seen.len() > 1_000);
    for text in texts.iter().flatten() {
        assert!(!shows(text.as_bytes()), "{text}");
    }
    for feed in &held[0] {
        assert!(!shows(feed.as_bytes()));
    }
}
