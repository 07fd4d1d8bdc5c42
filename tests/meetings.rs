//! Goal: two homes that meet over a network hold the same a moment later, whatever is cut off, and
//! other commands work meanwhile. Method: real processes over QUIC on loopback, interrupted and
//! killed at moments drawn from a seed; `thistle doctor` afterwards.
//!
//! The short form moves a few thousand messages and kills 6 times; `THISTLE_LONG=1` moves more,
//! kills 60 times, and waits for a time-out.

use std::fmt::Write as _;
use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use thistle_simulations::Seed;
use thistle_tests::program::{
    Home, Running, Signal, difference, is_long, number, seed, wait_until, word,
};

/// Two homes with messages, each to be had by the other.
struct Pair {
    folder: TempDir,
    homes: [Home; 2],
    feeds: [String; 2],
}

impl Pair {
    /// Makes two homes in which so many messages were written.
    fn new(messages: [usize; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let make = |at: usize, name: &str| {
            let (home, feed, _) = Home::create(folder.path().join(name), name);
            import(&home, folder.path(), &format!("{name}-first"), messages[at]);
            (home, feed)
        };
        let ((ana, ana_feed), (bo, bo_feed)) = (make(0, "ana"), make(1, "bo"));
        Self { folder, homes: [ana, bo], feeds: [ana_feed, bo_feed] }
    }

    /// Both homes hold the same, and all is sound.
    fn expect_same(&self) {
        for feed in &self.feeds {
            let [ana, bo] = self.homes.each_ref().map(|home| home.export(feed));
            assert!(ana.lines().count() > 1);
            if let Some(words) = difference(&ana, &bo) {
                panic!("{feed} is another in each home: {words}");
            }
        }
        self.homes.iter().for_each(Home::check);
    }
}

/// Imports so many messages.
fn import(home: &Home, folder: &Path, name: &str, messages: usize) {
    let mut lines = String::new();
    for at in 0..messages {
        let text = format!("{name} {at}: {}", "words that take some room ".repeat(1 + at % 12));
        writeln!(lines, r#"{{"author":"{name}","time":{at},"channel":"c","text":"{text}"}}"#)
            .unwrap();
    }
    let file = folder.join(format!("{name}.jsonl"));
    fs::write(&file, lines).unwrap();
    home.call(&["import", "--json"]).arg(&file).run().good();
}

/// Lets a home listen; returns also its address.
fn listen(home: &Home, more: &[&str]) -> (Running, String) {
    let words = [&["listen", "--addr", "127.0.0.1:0", "--json"][..], more].concat();
    let mut running = home.call(&words).start();
    assert!(running.line(), "the first line is the address");
    let told: Value = serde_json::from_str(running.printed()).expect("an object");
    (running, word(&told, "address"))
}

fn sync(home: &Home, address: &str) -> Value {
    home.run(&["sync", address, "--json"]).good().json()
}

/// Ends a home that listens; returns what it told of its meetings.
fn end(listener: Running) -> Vec<Value> {
    listener.ask_to_end(Signal::INT);
    listener.end().good().json_lines().split_off(1)
}

#[test]
fn two_homes_hold_the_same_after_a_meeting() {
    let pair = Pair::new([300, 200]);
    let [ana, bo] = &pair.homes;
    let known = word(&bo.run(&["address", "--json"]).good().json(), "address");
    let (listener, address) = listen(ana, &["--known", &known]);
    let told = sync(bo, &address);
    // A certificate and a profile each as well.
    assert_eq!((number(&told, "received"), number(&told, "sent")), (302, 202), "{told}");
    assert!(
        number(&told, "bytes_in") > 302 * 50 && number(&told, "bytes_out") > 202 * 50,
        "{told}"
    );
    assert!(told["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{told}");
    let again = sync(bo, address.split('@').next().unwrap());
    assert_eq!((number(&again, "received"), number(&again, "sent")), (0, 0), "{again}");
    ana.run(&["write", "one more"]).good();
    assert_eq!(number(&sync(bo, &address), "received"), 1);
    let told = ana.run(&["address", "--json"]).good().json();
    assert_eq!((word(&told, "address"), &told["listening"]), (address.clone(), &true.into()));
    ana.run(&["listen"]).fails(5).says("this home listens already");
    let met = end(listener);
    assert_eq!(met.len(), 3, "{met:?}");
    for met in &met {
        assert!(
            met["known"] == true && known == word(met, "node") && met["ending"] == "done",
            "{met}"
        );
    }
    assert_eq!((number(&met[0], "received"), number(&met[0], "sent")), (202, 302));
    let told = ana.run(&["address", "--json"]).good().json();
    assert_eq!((word(&told, "address"), &told["listening"]), (address, &false.into()));
    pair.expect_same();
}

#[test]
fn both_sides_can_dial_from_where_they_listen() {
    let pair = Pair::new([20, 20]);
    let [ana, bo] = &pair.homes;
    let ((at_ana, ana_is), (at_bo, bo_is)) = (listen(ana, &[]), listen(bo, &[]));
    let told = sync(ana, &bo_is);
    assert_eq!((number(&told, "received"), number(&told, "sent")), (22, 22), "{told}");
    assert_eq!(number(&sync(bo, &ana_is), "received"), 0);
    ana.run(&["sync", &ana_is]).fails(1).says("that is the address of this home itself");
    let (met_by_ana, met_by_bo) = (end(at_ana), end(at_bo));
    assert_eq!((met_by_ana.len(), met_by_bo.len()), (1, 1), "whom one dials is told by `sync`");
    assert!(met_by_bo[0]["known"] == false, "who dials is a stranger: {met_by_bo:?}");
    pair.expect_same();
}

#[test]
fn commands_work_while_a_home_listens_and_meets() {
    let messages = if is_long() { 60_000 } else { 4_000 };
    let pair = Pair::new([messages, 10]);
    let [ana, bo] = &pair.homes;
    let (listener, address) = listen(ana, &[]);
    let mut meeting = bo.call(&["sync", &address, "--json"]).start();
    let mut asked = 0;
    while meeting.goes_on() {
        ana.run(&["write", &format!("meanwhile {asked}")]).good();
        bo.run(&["query", "--text", "meanwhile", "--limit", "3"]).good();
        ana.call(&["bundle", "create", "--plain"]).arg(pair.folder.path()).run().good();
        asked += 1;
    }
    meeting.end().good();
    assert!(asked > 0);
    sync(bo, &address);
    end(listener);
    pair.expect_same();
}

/// Entries that a home holds.
fn count(home: &Home) -> u64 {
    number(&home.run(&["status", "--json"]).good().json(), "entries")
}

#[test]
fn a_listener_that_is_asked_to_end_ends_well() {
    let pair = Pair::new([2_000, 10]);
    let [ana, bo] = &pair.homes;
    for (signal, name) in [(Signal::INT, "ana-second"), (Signal::TERM, "ana-third")] {
        import(ana, pair.folder.path(), name, 1_000);
        let before = count(bo);
        let (listener, address) = listen(ana, &[]);
        let mut meeting = bo.call(&["sync", &address, "--json"]).start();
        // By then the meeting is on its way: whoever meets answers this, too.
        wait_until("something comes", || count(bo) > before || !meeting.goes_on());
        listener.ask_to_end(signal);
        listener.end().good();
        // It was done already, or it is cut off.
        let ran = meeting.end();
        assert!(matches!(ran.code, Some(0 | 6)), "{ran}");
        assert!(!ran.stderr.contains("nobody answers"), "{ran}");
        pair.homes.iter().for_each(Home::check);
    }
    let (listener, address) = listen(ana, &[]);
    sync(bo, &address);
    end(listener);
    pair.expect_same();
}

#[test]
fn what_a_kill_cuts_off_is_made_up_for_by_the_next_meeting() {
    let seed = &mut Seed::new(seed(41));
    let pair = Pair::new([1_500, 1_500]);
    let [ana, bo] = &pair.homes;
    let kills = if is_long() { 60 } else { 6 };
    let (mut cut, mut came) = (0, 0);
    let mut whole = Duration::ZERO;
    for round in 0..=kills {
        import(ana, pair.folder.path(), &format!("ana-{round}"), 300);
        import(bo, pair.folder.path(), &format!("bo-{round}"), 300);
        let (mut listener, address) = listen(ana, &[]);
        if round == 0 {
            // How long it takes if nobody is killed tells when to kill.
            let begun = Instant::now();
            sync(bo, &address);
            whole = begun.elapsed();
            end(listener);
            continue;
        }
        let mut meeting = bo.call(&["sync", &address, "--json"]).start();
        let share = u32::try_from(seed.below(100)).unwrap();
        let moment = Instant::now() + whole * share / 100;
        while Instant::now() < moment && meeting.goes_on() {
            std::thread::yield_now();
        }
        cut += usize::from(meeting.goes_on());
        if seed.chance(1, 2) {
            meeting.kill();
            drop(meeting.end());
            end(listener);
        } else {
            listener.kill();
            drop(listener.end());
            // The dialler hears nothing more; it is not what is tested here.
            meeting.kill();
            drop(meeting.end());
        }
        pair.homes.iter().for_each(Home::check);
        let (listener, address) = listen(ana, &[]);
        let told = sync(bo, &address);
        came += number(&told, "received") + number(&told, "sent");
        assert_eq!(number(&sync(bo, &address), "received"), 0, "nothing is left for another one");
        end(listener);
        pair.expect_same();
    }
    assert!(cut > 0, "some meetings were cut off");
    assert!(came > 0, "what was cut off came with the next meeting");
}

#[test]
fn where_nobody_answers_one_is_told_within_the_time_out() {
    if !is_long() {
        return;
    }
    let pair = Pair::new([1, 1]);
    let [ana, bo] = &pair.homes;
    // Somebody is there, and says nothing.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap();
    let key = word(&bo.run(&["address", "--json"]).good().json(), "address");
    let begun = Instant::now();
    let ran = ana.run(&["sync", &format!("{key}@{at}")]).fails(6);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    ran.says(&format!("error: nobody answers at {at}\nhint: `thistle listen`"));
}
