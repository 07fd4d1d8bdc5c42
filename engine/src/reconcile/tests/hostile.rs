//! What a hostile side may send in a run: it ends by an error or by an answer within the limits.

use arbtest::arbitrary::Unstructured;

use crate::key::{FeedId, keyed};
use crate::limits::{RECONCILE_SUMS, SCOPE_FEEDS};
use crate::reconcile::decoder::sketch_limit;
use crate::reconcile::field::{self, P};
use crate::reconcile::message::SUM_BYTES;
use crate::reconcile::scope::sums_of;
use crate::reconcile::vector::Lists;
use crate::reconcile::{
    Counters, Item, Message, Peer, Phase, ReconcileError, Row, Run, Scope, Step, Then, Want,
};

const KEY: [u8; 32] = [7; 32];
const KNOWN: Peer = Peer { count: 1_000, is_stranger: false };
const STRANGER: Peer = Peer { is_stranger: true, ..KNOWN };

fn scope(count: u64) -> Scope {
    let item = |number: u64| {
        let feed = keyed(&KEY, &number.to_be_bytes());
        Item { feed: FeedId::from_bytes(feed), seq: 1 + number % 9, head: feed }
    };
    Scope::new(&KEY, (0..count).map(item))
}

fn responder(scope: &Scope) -> Run {
    Run::respond(scope, KNOWN, true).unwrap().0
}

/// An opener that sent a sketch.
fn offering(scope: &Scope) -> Run {
    let (run, step) =
        Run::open(scope, Peer { count: scope.count(), ..KNOWN }, Some(&scope.counters())).unwrap();
    assert!(matches!(Message::decode(&step.send[0]), Ok(Message::Sketch { .. })));
    run
}

/// An opener that asked for a list, and one that sent its own.
fn listing(scope: &Scope, their: u64) -> Run {
    let peer = Peer { count: their, ..KNOWN };
    let (run, step) = Run::open(scope, peer, Some(&Counters::default())).unwrap();
    assert!(matches!(Message::decode(&step.send[0]), Ok(Message::Vector { .. })));
    run
}

fn take(run: &mut Run, scope: &Scope, message: &Message) -> Result<Step, ReconcileError> {
    run.receive(scope, &message.encode())
}

fn answers(step: &Step) -> Vec<Message> {
    step.send.iter().map(|bytes| Message::decode(bytes).unwrap()).collect()
}

/// Power sums of so many ids that nobody here has, in one bucket.
fn unknown(count: u64, seed: u64) -> Vec<u64> {
    let number =
        |n: u64| u64::from_be_bytes(keyed(&KEY, &n.to_be_bytes())[..8].try_into().unwrap());
    let ids = (0..count).map(|n| (number(seed + n) % (P - 1) + 1, 4_097));
    field::power_sums(ids, 0, 129)
}

fn sketch(buckets: u64, upto: u64, sums: Vec<u64>) -> Message {
    Message::Sketch { buckets, upto, sums }
}

fn refused(result: Result<Step, ReconcileError>, field: &str) {
    let error = result.unwrap_err();
    assert!(error.to_string().starts_with(field), "{error}");
}

#[test]
fn garbage_ends_a_run_and_nothing_else() {
    let scope = scope(50);
    arbtest::arbtest(|u| {
        let runs = [responder(&scope), offering(&scope), listing(&scope, 1), listing(&scope, 900)];
        for mut run in runs {
            for _ in 0..4 {
                let bytes: Vec<u8> = u.arbitrary()?;
                if run.receive(&scope, &bytes).is_err() {
                    assert!(run.is_over());
                    let after = run.receive(&scope, &Message::All.encode());
                    assert_eq!(after, Err(ReconcileError::OutOfTurn { kind: 22 }));
                    break;
                }
            }
        }
        Ok(())
    });
}

#[test]
fn well_formed_nonsense_ends_within_the_limits() {
    let scope = scope(50);
    arbtest::arbtest(|u| {
        let runs = [responder(&scope), offering(&scope), listing(&scope, 1), listing(&scope, 900)];
        for mut run in runs {
            let mut sent = 0;
            for _ in 0..8 {
                let number = |u: &mut Unstructured<'_>, top| u.int_in_range(0..=top);
                let mut wants = Vec::new();
                let mut rows = Vec::new();
                for id in 0..number(u, 20)? {
                    wants.push(Want { id: id << number(u, 30)? | id, have: number(u, 9)? });
                    rows.push(Row {
                        id: id << 20 | number(u, 1 << 20)?,
                        seq: 1 + number(u, 9)?,
                        tag: 0,
                    });
                }
                wants.sort_by_key(|want| want.id);
                wants.dedup_by_key(|want| want.id);
                let then = *u.choose(&[Then::GoOn, Then::YourTurn, Then::End])?;
                let mut sums = Vec::new();
                for _ in 0..=number(u, 40)? {
                    sums.push(number(u, P - 1)?);
                }
                let message = match number(u, 6)? {
                    0 => Message::Wants { more: u.arbitrary()?, wants },
                    1 => Message::Picks(wants),
                    2 => Message::More(vec![u.int_in_range(1..=255)?]),
                    3 | 4 => Message::Vector { first: number(u, 60)?, then, rows },
                    5 => Message::Counters(Box::default()),
                    _ => sketch(number(u, 6)? + 1, number(u, 20)? + 1, sums),
                };
                let Ok(step) = take(&mut run, &scope, &message) else { break };
                sent += step.send.iter().map(Vec::len).sum::<usize>();
                assert!(step.differences.len() <= 128, "{message:?}");
            }
            assert!(sent < 4_096, "{sent}");
        }
        Ok(())
    })
    .size_min(4_000);
}

#[test]
fn a_lying_count_reserves_nothing() {
    let scope = scope(50);
    // A sketch of more buckets than 4 KiB hold, of more bytes than that, a list of 2^40 rows.
    refused(take(&mut responder(&scope), &scope, &sketch(131_072, 1, vec![1])), "sums");
    refused(take(&mut responder(&scope), &scope, &sketch(819, 1, vec![1; 820])), "sums");
    let lies = [0x84, 19, 0, 0, 0x46, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f];
    refused(responder(&scope).receive(&scope, &lies), "rows");
    let count = Peer { count: SCOPE_FEEDS + 1, ..KNOWN };
    assert!(Run::respond(&scope, count, true).is_err());
    assert!(Run::open(&scope, count, None).is_err());
}

#[test]
fn more_sketch_than_the_own_scope_is_worth_is_refused() {
    for (feeds, bytes) in [(0, 4_096), (50, 4_096), (2_000, 12_000)] {
        assert_eq!(sketch_limit(feeds), bytes);
    }
    let scope = scope(2_000);
    let mut run = responder(&scope);
    // 2,400 sums are taken, however they are cut.
    for _ in 0..4 {
        assert!(take(&mut run, &scope, &sketch(2_400, 1, vec![1; 600])).is_ok());
    }
    refused(take(&mut run, &scope, &sketch(2_400, 2, vec![1; 600])), "sums");
}

#[test]
fn a_locator_that_does_not_split_is_given_up_in_four_rounds() {
    let scope = scope(1_000);
    let (mut run, mut upto) = (responder(&scope), 27u64);
    let sums = |from: u64, upto: u64| {
        // s_j = n^(j/2) or 0 satisfies s_j = n s_(j-2), whose locator is x^2 - n: no root.
        let n = (2..100).find(|n| field::pow(*n, (P - 1) / 2) != 1).unwrap();
        let own = sums_of(scope.bucket(1, 0), from, upto);
        let sum = |(j, own)| field::add(own, if j % 2 == 0 { field::pow(n, j / 2) } else { 0 });
        (from..).zip(own).map(sum).collect::<Vec<u64>>()
    };
    let mut from = 0;
    for round in 0.. {
        let step = take(&mut run, &scope, &sketch(1, upto, sums(from, upto))).unwrap();
        match &answers(&step)[..] {
            [Message::More(bitmap)] => assert_eq!(bitmap, &[0x80]),
            [Message::Vector { then: Then::YourTurn, rows, .. }] if rows.is_empty() => {
                assert_eq!(round, 4);
                break;
            }
            other => panic!("{other:?}"),
        }
        (from, upto) = (upto, ((upto + upto / 2) | 1).min(RECONCILE_SUMS));
    }
}

#[test]
fn sums_that_come_one_by_one_are_given_up_in_four_rounds() {
    let scope = scope(50);
    let mut run = responder(&scope);
    for round in 0..=4u64 {
        let step =
            take(&mut run, &scope, &sketch(1, 3 + round, vec![9; if round == 0 { 3 } else { 1 }]));
        let answers = answers(&step.unwrap());
        let is_more = matches!(answers[..], [Message::More(_)]);
        assert_eq!(is_more, round < 4, "{round}: {answers:?}");
    }
}

#[test]
fn unknown_ids_are_wanted_and_cost_a_bounded_work() {
    let scope = scope(1_000);
    let own = sums_of(scope.bucket(1, 0), 0, 129);
    let sums = own.iter().zip(unknown(64, 5)).map(|(a, b)| field::add(*a, b)).collect();
    let mut run = responder(&scope);
    let step = take(&mut run, &scope, &sketch(1, 129, sums)).unwrap();
    let [Message::Wants { more: false, wants }] = &answers(&step)[..] else {
        panic!("{:?}", answers(&step));
    };
    assert_eq!(wants.len(), 64);
    assert!(step.send[0].len() < 2 * 129 * SUM_BYTES);
    assert!(step.differences.is_empty() && run.is_over());
}

#[test]
fn work_runs_out_and_a_list_is_asked_for() {
    // Nothing held, so that the whole sketch is of unknown ids; the own scope allows 786 KB of it.
    let item = |feed: [u8; 32]| Item { feed: FeedId::from_bytes(feed), seq: 1, head: feed };
    let own = (0..SCOPE_FEEDS).map(|n| {
        let mut feed = [0; 32];
        feed[..8].copy_from_slice(&n.to_be_bytes());
        item(feed)
    });
    let scope = Scope::new(&KEY, own);
    let mut run = responder(&scope);
    for number in 0..1_000 {
        let own = sums_of(scope.bucket(1_000, number), 0, 129);
        // 64 ids that lie in this bucket.
        let id = |n: u64| (number * 1_000_003 + n * 7_919 + 11) % ((1 << 40) / 1_000 - 9);
        let start = (number << 40).div_ceil(1_000);
        let theirs = field::power_sums((0..64).map(|n| (start + id(n) + 1, 4_097)), 0, 129);
        let sums = own.iter().zip(theirs).map(|(a, b)| field::add(*a, b)).collect();
        let step = take(&mut run, &scope, &sketch(1_000, 129, sums)).unwrap();
        let asks =
            |message: &Message| matches!(message, Message::Vector { then: Then::YourTurn, .. });
        if answers(&step).iter().any(asks) {
            assert!((20..500).contains(&number), "after {number} buckets");
            refused(take(&mut run, &scope, &sketch(1_000, 129, vec![1])), "a message of kind 17");
            return;
        }
    }
    panic!("a thousand buckets of unknown ids were decoded");
}

#[test]
fn more_can_be_asked_for_four_times() {
    let scope = scope(3_000);
    let mut run = offering(&scope);
    for round in 0.. {
        match take(&mut run, &scope, &Message::More(vec![0x80])) {
            Ok(step) => assert!(step.send[0].len() < 700),
            Err(error) => {
                assert_eq!(round, 4);
                assert!(error.to_string().starts_with("bitmap"), "{error}");
                return;
            }
        }
    }
}

#[test]
fn more_of_buckets_that_were_not_sent_is_refused() {
    let scope = scope(50);
    for bitmap in [vec![0x40], vec![0x80, 0], vec![0xc0]] {
        refused(take(&mut offering(&scope), &scope, &Message::More(bitmap)), "bitmap");
    }
}

#[test]
fn wants_for_everything_again_and_again_are_refused() {
    let scope = scope(50);
    let wants: Vec<Want> =
        scope.items().iter().map(|item| Want { id: item.id(), have: 0 }).collect();
    let mut run = offering(&scope);
    let message = Message::Wants { more: true, wants };
    assert_eq!(take(&mut run, &scope, &message).unwrap().differences.len(), 50);
    take(&mut run, &scope, &message).unwrap();
    refused(take(&mut run, &scope, &message), "wants: 150 is over");
    let none = Message::Wants { more: true, wants: vec![] };
    refused(take(&mut offering(&scope), &scope, &none), "wants");
}

#[test]
fn picks_of_what_was_not_listed_are_refused() {
    let scope = scope(50);
    let pick = |id| Message::Picks(vec![Want { id, have: 0 }]);
    let mut run = listing(&scope, 900);
    assert_eq!(take(&mut run, &scope, &pick(49)).unwrap().differences.len(), 1);
    assert!(run.is_over());
    refused(take(&mut listing(&scope, 900), &scope, &pick(50)), "picks");
    refused(take(&mut listing(&scope, 1), &scope, &pick(0)), "a message of kind 21");
}

#[test]
fn lists_go_forward_and_no_further_than_they_said() {
    let scope = scope(50);
    let vector = |first, then, ids: &[u64]| {
        let rows = ids.iter().map(|id| Row { id: *id, seq: 1, tag: 0 }).collect();
        Message::Vector { first, then, rows }
    };
    let asked = || listing(&scope, 20);
    let mut run = asked();
    take(&mut run, &scope, &vector(0, Then::GoOn, &[5, 9])).unwrap();
    refused(take(&mut run, &scope, &vector(2, Then::GoOn, &[9])), "rows");
    let mut run = asked();
    take(&mut run, &scope, &vector(4, Then::GoOn, &[5, 9])).unwrap();
    refused(take(&mut run, &scope, &vector(5, Then::GoOn, &[90])), "first");
    refused(take(&mut asked(), &scope, &vector(19, Then::End, &[1, 2])), "first");
    refused(take(&mut asked(), &scope, &vector(0, Then::End, &[1 << 41])), "rows");
    // Nothing, and nothing follows; a turn that was passed is passed back.
    refused(take(&mut asked(), &scope, &vector(0, Then::GoOn, &[])), "rows");
    refused(take(&mut asked(), &scope, &vector(0, Then::YourTurn, &[])), "rows");
    let end = take(&mut asked(), &scope, &vector(0, Then::End, &[])).unwrap();
    assert_eq!((end.differences.len(), answers(&end)), (50, vec![Message::Picks(vec![])]));
}

#[test]
fn a_list_never_takes_more_room_than_there_is() {
    for count in [0, 1, 2, 50, 9_000] {
        let scope = scope(count);
        for room in (0..60).chain([100, 999, 4_096, 30_000]) {
            let mut lists = Lists::new(count, 70_000);
            let mut sent = 0;
            while let Some(message) = lists.next(&scope, room - sent) {
                sent += message.encode().len() as u64;
                assert!(sent <= room, "{count} {room}");
            }
            assert!(sent + 60 > room || sent > count * 5, "{count} {room}: {sent}");
        }
    }
}

#[test]
fn a_stranger_draws_little_more_than_it_sends() {
    let scope = scope(20_000);
    let peer = Peer { count: 15_000, ..STRANGER };
    // Its counters claim that everything differs.
    let (mut run, step) = Run::open(&scope, peer, Some(&Counters::default())).unwrap();
    let bytes = |step: &Step| step.send.iter().map(Vec::len).sum::<usize>();
    let (mut drawn, mut given) = (bytes(&step), 0);
    assert!((4_000..=4_096).contains(&drawn), "{drawn}");
    let picks = Message::Picks(vec![]).encode();
    given += picks.len();
    drawn += bytes(&run.receive(&scope, &picks).unwrap());
    // One row at a time, and then our turn again.
    for turn in 0..20 {
        let Phase::Listing(lists) = &run.phase else { panic!("{:?}", run.phase) };
        let id = lists.first_open();
        let row = Row { id, seq: 1, tag: 0 };
        let frame = Message::Vector { first: turn, then: Then::YourTurn, rows: vec![row] }.encode();
        given += frame.len();
        match run.receive(&scope, &frame) {
            Ok(step) => drawn += bytes(&step),
            Err(error) => {
                assert_eq!(error, ReconcileError::Overdrawn);
                break;
            }
        }
        assert!(drawn <= 4_096 + 2 * given);
    }
    assert!(drawn <= 4_096 + 2 * given, "{drawn} for {given}");
}
