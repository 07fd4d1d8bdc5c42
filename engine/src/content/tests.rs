//! Laws of the content grammar: one encoding, nothing lost, nothing panics.

use arbtest::arbitrary::{Result as Arbitrary, Unstructured};

use super::*;

fn feed(u: &mut Unstructured<'_>) -> Arbitrary<FeedId> {
    Ok(FeedId::from_bytes(u.arbitrary()?))
}

fn account(u: &mut Unstructured<'_>) -> Arbitrary<AccountId> {
    Ok(AccountId::from_bytes(u.arbitrary()?))
}

fn signature(u: &mut Unstructured<'_>) -> Arbitrary<Signature> {
    let mut signature = [0; 64];
    u.fill_buffer(&mut signature)?;
    Ok(signature)
}

/// Text of `least` to `most` bytes.
fn text(u: &mut Unstructured<'_>, least: usize, most: usize) -> Arbitrary<String> {
    let mut text: String = u.arbitrary()?;
    text.truncate(text.floor_char_boundary(most));
    Ok(if text.len() < least { "x".repeat(least) } else { text })
}

fn post(u: &mut Unstructured<'_>, answered: Option<Prefix>) -> Arbitrary<Post> {
    Ok(Post {
        time: u.int_in_range(0..=TIME_END - 1)?,
        channel: if u.arbitrary()? { Some(text(u, 1, 64)?) } else { None },
        text: text(u, 0, 15_000)?,
        parents: parents_in_order(answered, u.arbitrary()?),
        author: if u.arbitrary()? { Some(text(u, 1, 64)?) } else { None },
    })
}

fn ranges(u: &mut Unstructured<'_>) -> Arbitrary<Vec<(u64, u64)>> {
    let mut ranges = Vec::new();
    let mut next = 1;
    for _ in 0..u.int_in_range(1..=RANGES)? {
        let first = next + u.int_in_range(0..=300)?;
        let last = first + u.int_in_range(0..=70_000)?;
        ranges.push((first, last));
        next = last + 2;
    }
    Ok(ranges)
}

fn any_content(u: &mut Unstructured<'_>) -> Arbitrary<Content> {
    let time = u.int_in_range(0..=TIME_END - 1)?;
    let carry = *u.choose(&[Carry::Open, Carry::Contacts, Carry::Listed])?;
    Ok(match u.int_in_range(1..=10)? {
        1 => Content::Post(post(u, None)?),
        2 => {
            let answered = u.arbitrary()?;
            Content::Reply(post(u, Some(answered))?)
        }
        3 => Content::Profile(Profile { time, name: text(u, 1, 64)?, about: text(u, 0, 1_024)? }),
        4 => {
            let all = [RelationState::None, RelationState::Follow, RelationState::Block];
            Content::Relation(Relation { time, feed: feed(u)?, state: *u.choose(&all)? })
        }
        5 => {
            let (account, signature) = (account(u)?, signature(u)?);
            Content::Certificate(Certificate { carry, account, signature })
        }
        6 => {
            let (account, retired, signature) = (account(u)?, feed(u)?, signature(u)?);
            Content::Successor(Successor { carry, account, retired, signature })
        }
        7 => {
            let (account, feed, signature) = (account(u)?, feed(u)?, signature(u)?);
            let verb = *u.choose(&[Verb::Add, Verb::Revoke])?;
            Content::Device(DeviceStatement { account, verb, feed, signature })
        }
        8 => {
            let state = *u.choose(&[ReceiptState::Delivered, ReceiptState::Read])?;
            let mut entries = Vec::new();
            for (first, last) in ranges(u)? {
                entries.push((feed(u)?, first, last));
            }
            Content::Receipt(Receipt { time, state, entries })
        }
        9 => Content::Retraction(Ranges::new(ranges(u)?).unwrap()),
        _ => Content::Unknown { kind: u.int_in_range(10..=u64::MAX)? },
    })
}

fn say(text: &str, parents: &[u64]) -> Post {
    let parents = parents.iter().map(|parent| parent.to_be_bytes()).collect();
    Post { time: 1_700_000_000, text: text.to_owned(), parents, ..Post::default() }
}

#[test]
fn what_is_written_is_read_back() {
    arbtest::arbtest(|u| {
        let content = any_content(u)?;
        let payload = content.encode();
        assert_eq!(Content::decode(&payload).as_ref(), Ok(&content));
        assert_eq!(is_structural(&payload), content.is_structural());
        let view = PostView::decode(&payload);
        let is_post = matches!(content, Content::Post(_) | Content::Reply(_));
        assert_eq!(view.map(|view| view.to_content()), is_post.then_some(content));
        Ok(())
    })
    .size_min(200);
}

#[test]
fn bytes_are_refused_or_have_one_encoding() {
    arbtest::arbtest(|u| {
        let mut payload = if u.arbitrary()? { any_content(u)?.encode() } else { u.arbitrary()? };
        for _ in 0..u.int_in_range(0..=3)? {
            let at = u.choose_index(payload.len().max(1))?;
            if let Some(byte) = payload.get_mut(at) {
                *byte = u.arbitrary()?;
            }
        }
        if u.ratio(1, 4)? {
            payload.truncate(u.int_in_range(0..=payload.len())?);
        }
        match Content::decode(&payload) {
            Ok(Content::Unknown { kind }) => assert!(kind >= 10),
            Ok(content) => assert_eq!(content.encode(), payload),
            Err(_) => assert_eq!(PostView::decode(&payload), None),
        }
        let _: bool = is_structural(&payload);
        Ok(())
    })
    .size_min(200);
}

#[test]
fn a_post_of_50_characters_with_one_parent_is_at_most_80_bytes() {
    let payload = Content::Post(say(&"x".repeat(50), &[7])).encode();
    assert!(payload.len() <= 80, "{} bytes", payload.len());
}

#[test]
fn the_bytes_of_a_post_are_as_specified() {
    let expected = b"\x85\x01\x1a\x65\x53\xf1\x00\xf6\x62hi\x81\x48\0\0\0\0\0\0\0\x07";
    assert_eq!(Content::Post(say("hi", &[7])).encode(), expected);
}

#[test]
fn parents_stand_in_one_order() {
    for (parents, post_is_sound, reply_is_sound) in [
        (&[][..], true, false),
        (&[5], true, true),
        (&[1, 2, 3, 4], true, true),
        (&[9, 2, 3], false, true),
        (&[2, 2], false, false),
        (&[2, 3, 3], false, false),
        (&[2, 1, 2], false, false),
        (&[1, 2, 3, 4, 5], false, false),
    ] {
        let post = Content::Post(say("", parents));
        assert_eq!(post.encode_checked().is_ok(), post_is_sound, "post {parents:?}");
        let reply = Content::Reply(say("", parents));
        assert_eq!(reply.encode_checked().is_ok(), reply_is_sound, "reply {parents:?}");
    }
    let prefixes = |numbers: &[u64]| numbers.iter().map(|n| n.to_be_bytes()).collect::<Vec<_>>();
    let ordered = parents_in_order(Some(5u64.to_be_bytes()), prefixes(&[7, 1, 5, 7, 3, 9]));
    assert_eq!(ordered, prefixes(&[5, 1, 3, 7]));
}

#[test]
fn a_name_too_long_is_told_before_it_is_signed() {
    let long = Post { channel: Some("x".repeat(65)), ..say("", &[]) };
    let found = Content::Post(long).encode_checked();
    let expected = DecodeError::OverLimit { field: "channel", found: 65, limit: 64 };
    assert_eq!(found, Err(expected));
    let empty = Post { author: Some(String::new()), ..say("", &[]) };
    let found = Content::Post(empty).encode_checked();
    assert_eq!(found, Err(DecodeError::OutOfRange { field: "author", found: 0 }));
    let found = Content::Post(say(&"x".repeat(16_384), &[])).encode_checked();
    assert!(matches!(found, Err(DecodeError::OverLimit { field: "payload", .. })), "{found:?}");
}

#[test]
fn ranges_are_ascending_and_apart() {
    for (sound, ranges) in [
        (true, &[(1, 1)][..]),
        (true, &[(1, 2), (4, 4), (9, SEQ_END - 1)]),
        (false, &[]),
        (false, &[(0, 1)]),
        (false, &[(2, 1)]),
        (false, &[(1, 2), (3, 4)]),
        (false, &[(5, 6), (1, 2)]),
        (false, &[(1, SEQ_END)]),
    ] {
        assert_eq!(Ranges::new(ranges.to_vec()).is_some(), sound, "{ranges:?}");
    }
    let most: Vec<_> = (0..RANGES).map(|i| (1 + 3 * i, 2 + 3 * i)).collect();
    let one_more = [&most[..], &[(1_000, 1_000)]].concat();
    assert!(Ranges::new(one_more).is_none());
    let most = Ranges::new(most).unwrap();
    assert!(most.contains(1) && most.contains(2) && !most.contains(3) && !most.contains(1_000));
}

#[test]
fn a_type_of_a_later_program_is_not_looked_into() {
    let payload = b"\x82\x0cnot CBOR at all \xff";
    assert_eq!(Content::decode(payload), Ok(Content::Unknown { kind: 12 }));
    assert!(is_structural(payload), "12 to 15 are set aside");
    assert!(!is_structural(b"\x82\x10\x00"), "16 is not");
    let found = Content::decode(b"\x81\x00");
    assert_eq!(found, Err(DecodeError::UnknownKind { found: 0 }));
    assert!(Content::decode(b"").is_err() && Content::decode(b"\x80").is_err());
    assert!(Content::decode(b"\x9f\x0c\xff").is_err(), "an indefinite length");
}
