//! Meeting over a network, as far as one home alone can go wrong; the meetings themselves are in
//! the tests of the whole program.

use thistle_engine::ids;
use thistle_transports::{Link, Quic, QuicLink, Transport};

use crate::world::World;

#[test]
fn a_home_has_one_address_before_it_ever_listened() {
    let world = World::new();
    let (ana, bo) = (world.home("ana"), world.home("bo"));
    let address = ana.ok(&["address"]);
    assert!(address.starts_with("node1") && !address.contains('@'), "{address}");
    assert_eq!(ana.ok(&["address"]), address, "it stays the same");
    assert_ne!(bo.ok(&["address"]), address);
    let told = ana.json(&["address"]);
    assert_eq!(
        (told["address"].as_str(), &told["listening"]),
        (Some(address.trim()), &false.into())
    );
}

#[test]
fn what_is_no_address_is_told_with_what_one_looks_like() {
    let world = World::new();
    let ana = world.home("ana");
    let own = ana.ok(&["address"]).trim().to_owned();
    let other = if &own[10..11] == "q" { "p" } else { "q" };
    let mistyped = format!("{}{other}{}", &own[..10], &own[11..]);
    let feed = ana.feed.clone();
    for (typed, because) in [
        ("mill@192.0.2.7:4711".to_owned(), "character 2, `i`, is in no id"),
        (format!("{mistyped}@192.0.2.7:4711"), "the checksum does not fit"),
        (format!("{feed}@192.0.2.7:4711"), "the id of a feed where that of a node is due"),
        (format!("{own}@mill"), "after the `@` stands no IP address with a port"),
        (format!("{own}@192.0.2.7:0"), "port 0 cannot be dialled"),
        (format!("{own}@0.0.0.0:9"), "it says a port, but no machine"),
    ] {
        for words in [&["sync", typed.as_str()][..], &["listen", "--known", typed.as_str()]] {
            let err = ana.call(words).fails(1);
            assert!(err.contains(because) && err.contains("hint: `thistle listen`"), "{err}");
        }
    }
    let err = ana.call(&["listen", "--addr", "mill"]).fails(1);
    assert!(err.contains("`mill` is no IP address with a port\nhint: for instance"), "{err}");
    let err = ana.call(&["listen", "--addr", "192.0.2.7:0"]).fails(1);
    assert!(err.contains("cannot listen at 192.0.2.7:0") && err.contains("hint: say an"), "{err}");
}

#[test]
fn whom_one_cannot_meet_is_told_with_what_to_do() {
    let world = World::new();
    let ana = world.home("ana");
    let own = ana.ok(&["address"]).trim().to_owned();
    let err = ana.call(&["sync", &format!("{own}@127.0.0.1:9")]).fails(1);
    assert!(err.contains("that is the address of this home itself\nhint: "), "{err}");
    let err = ana.call(&["sync", "node1qpzr"]).fails(1);
    assert!(err.contains("no home that begins with `node1qpzr` was met before"), "{err}");
    let err = ana.call(&["sync", &own]).fails(1);
    assert!(err.contains("was met before\nhint: say its whole address"), "{err}");
}

/// Runs `sync` against somebody who does this with the link; returns what it says and its code.
fn met_by<F: Future<Output = ()>>(
    (protocol, log): (&[u8], &str),
    act: impl FnOnce(QuicLink) -> F,
) -> (String, i32) {
    let world = World::new();
    let ana = world.home("ana");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let quic = runtime.block_on(Quic::bind(&[7; 32], "127.0.0.1:0".parse().unwrap(), protocol));
    let quic = quic.unwrap();
    let address = format!("{}@{}", ids::node_text(&quic.key()), quic.addresses()[0]);
    let call = ana.call(&["sync", &address]).env("THISTLE_LOG", log);
    let run = std::thread::scope(|scope| {
        let meeting = scope.spawn(|| call.run());
        runtime.block_on(async {
            tokio::select! {
                Some(link) = quic.accept() => act(link).await,
                // Whoever speaks something else never gets as far.
                () = ended(&meeting) => {}
            }
        });
        meeting.join().unwrap()
    });
    (run.err, run.code)
}

/// Waits for the end of a thread.
async fn ended<T>(thread: &std::thread::ScopedJoinHandle<'_, T>) {
    while !thread.is_finished() {
        tokio::task::yield_now().await;
    }
}

const PROTOCOL: &[u8] = b"thistledown/1";

#[test]
fn who_speaks_another_version_is_told_as_such() {
    let (err, code) = met_by((b"thistledown/2", "off"), |_| async {});
    assert_eq!(code, 6, "{err}");
    assert!(err.starts_with("error: another version of thistle, or another program, answers at"));
    assert!(err.contains("hint: use the same version on both sides"), "{err}");
}

#[test]
fn a_meeting_that_is_cut_off_is_told_as_such() {
    let (err, code) = met_by((PROTOCOL, "off"), |link| async move { drop(link.receive().await) });
    let says = "error: the meeting was cut off before both sides were done\n\
                hint: what came is kept: run the command again to go on\n";
    assert_eq!((err.as_str(), code), (says, 6));
}

#[test]
fn who_breaks_the_rules_of_a_session_is_left_with_the_reason() {
    let (err, code) = met_by((PROTOCOL, "off"), |link| async move {
        drop(link.send(b"GET / HTTP/1.1\r\n\r\n".repeat(100)).await);
        while let Ok(Some(_)) = link.receive().await {}
    });
    assert_eq!(code, 6, "{err}");
    assert!(err.contains("because: the other side "), "{err}");
}

#[test]
fn a_log_of_a_meeting_names_nobody() {
    let (err, code) = met_by((PROTOCOL, "trace"), |link| async move { drop(link.receive().await) });
    assert_eq!(code, 6, "{err}");
    assert!(err.contains("session ended"), "{err}");
    let key = ids::node_text(&thistle_transports::key_of(&[7; 32]));
    let [a, b, c, d, ..] = thistle_transports::key_of(&[7; 32]);
    let hex = format!("{a:02x}{b:02x}{c:02x}{d:02x}");
    for word in [ids::short(&key), &hex, "127.0.0.1", "iroh", "noq"] {
        assert!(!err.contains(word), "{word}: {err}");
    }
}
