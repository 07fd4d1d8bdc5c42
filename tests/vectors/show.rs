//! What the engine decoded, as the `fields` of the vectors show it; and hex.

use serde_json::{Map, Value, json};
use thistle_engine::bundle::{Frame, Head, Opening, Want, What};
use thistle_engine::content::{Content, Post, RelationState};
use thistle_engine::entry::{EntryId, Header, Stub};
use thistle_engine::fork::{Chain, ForkProof};
use thistle_engine::key::{Context, FeedId, derive};
use thistle_engine::segment::{Body, Item, UnverifiedSegment};

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |digit: u8| char::from_digit(u32::from(digit), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes of a text of hex.
pub(crate) fn bytes(hex: &Value) -> Vec<u8> {
    let digits = hex.as_str().unwrap().as_bytes();
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap();
    let byte = |pair: &[u8]| u8::try_from(digit(pair[0]) << 4 | digit(pair[1])).unwrap();
    assert!(digits.len().is_multiple_of(2));
    digits.chunks(2).map(byte).collect()
}

pub(crate) fn fixed<const N: usize>(hex: &Value) -> [u8; N] {
    bytes(hex).try_into().unwrap()
}

fn id(id: Option<&EntryId>) -> Option<String> {
    id.map(|id| hex(id.as_bytes()))
}

pub(crate) fn shown_header(header: &Header) -> Value {
    json!({
        "version": 1,
        "feed": hex(header.feed.as_bytes()),
        "seq": header.seq,
        "prev": id(header.prev.as_ref()),
        "ttl": header.ttl,
        "size": header.size,
        "payload_hash": hex(&header.payload_hash),
    })
}

pub(crate) fn shown_segment(segment: &UnverifiedSegment<'_>) -> Value {
    json!({
        "version": 1,
        "feed": hex(segment.feed.as_bytes()),
        "first_seq": segment.first_seq,
        "prev": id(segment.prev.as_ref()),
        "items": segment.items.iter().map(shown_item).collect::<Vec<_>>(),
        "signature": hex(&segment.signature),
    })
}

fn shown_item(item: &Item<'_>) -> Value {
    let (form, size, hash, payload, follows) = match item.body {
        Body::Here(payload) => {
            let form = if item.ttl == 0 { "short" } else { "inline" };
            let hash = derive(Context::Payload, payload);
            (form, payload.len() as u64, hash, Some(hex(payload)), None)
        }
        Body::Detached { size, payload_hash, follows } => {
            ("detached", u64::from(size), payload_hash, None, Some(follows))
        }
    };
    json!({
        "form": form,
        "ttl": item.ttl,
        "age": item.age,
        "size": size,
        "payload_hash": hex(&hash),
        "payload": payload,
        "follows": follows,
    })
}

/// What a payload is, in one word.
pub(crate) fn class_of(payload: &[u8]) -> &'static str {
    match Content::decode(payload) {
        Ok(Content::Post(_)) => "post",
        Ok(Content::Reply(_)) => "reply",
        Ok(Content::Profile(_)) => "profile",
        Ok(Content::Relation(_)) => "relation",
        Ok(Content::Certificate(_)) => "certificate",
        Ok(Content::Successor(_)) => "successor",
        Ok(Content::Device(_)) => "device",
        Ok(Content::Receipt(_)) => "receipt",
        Ok(Content::Retraction(_)) => "retraction",
        Ok(Content::Prekey(_)) => "prekey",
        Ok(Content::Part(_)) => "part",
        Ok(Content::Sealed(_)) => "sealed",
        Ok(Content::Unknown { .. }) => "unknown",
        Err(_) => "malformed",
    }
}

pub(crate) fn shown_content(content: &Content) -> Value {
    match content {
        Content::Post(post) => shown_post(1, post),
        Content::Reply(post) => shown_post(2, post),
        Content::Profile(profile) => json!({
            "type": 3, "time": profile.time, "name": profile.name, "about": profile.about,
        }),
        Content::Relation(relation) => {
            let state = match relation.state {
                RelationState::None => 0,
                RelationState::Follow => 1,
                RelationState::Block => 2,
            };
            let feed = hex(relation.feed.as_bytes());
            json!({ "type": 4, "time": relation.time, "feed": feed, "state": state })
        }
        Content::Certificate(certificate) => json!({
            "type": 5,
            "carry": certificate.carry.code(),
            "account": hex(certificate.account.as_bytes()),
            "signature": hex(&certificate.signature),
        }),
        Content::Successor(successor) => json!({
            "type": 6,
            "carry": successor.carry.code(),
            "account": hex(successor.account.as_bytes()),
            "retired": hex(successor.retired.as_bytes()),
            "signature": hex(&successor.signature),
        }),
        Content::Device(device) => json!({
            "type": 7,
            "account": hex(device.account.as_bytes()),
            "verb": device.verb.code(),
            "feed": hex(device.feed.as_bytes()),
            "signature": hex(&device.signature),
        }),
        Content::Receipt(receipt) => {
            let range = |(feed, first, last): &(FeedId, u64, u64)| json!({ "feed": hex(feed.as_bytes()), "first": first, "last": last });
            let ranges: Vec<Value> = receipt.entries.iter().map(range).collect();
            let state = receipt.state.code();
            json!({ "type": 8, "time": receipt.time, "state": state, "ranges": ranges })
        }
        Content::Retraction(ranges) => {
            let range = |(first, last): &(u64, u64)| json!({ "first": first, "last": last });
            let ranges: Vec<Value> = ranges.as_slice().iter().map(range).collect();
            json!({ "type": 9, "ranges": ranges })
        }
        Content::Prekey(key) => json!({ "type": 10, "key": hex(key) }),
        Content::Part(part) => json!({
            "type": 11,
            "epoch": part.epoch,
            "part": part.part,
            "parts": part.parts,
            "commit": hex(&part.commit),
            "slots": hex(&part.slots),
        }),
        Content::Sealed(sealed) => {
            json!({ "type": 16, "tag": hex(&sealed.tag), "sealed": hex(&sealed.text) })
        }
        Content::Unknown { kind } => json!({ "type": kind }),
    }
}

fn shown_post(kind: u64, post: &Post) -> Value {
    json!({
        "type": kind,
        "time": post.time,
        "channel": post.channel,
        "text": post.text,
        "parents": post.parents.iter().map(|parent| hex(parent)).collect::<Vec<_>>(),
        "author": post.author,
    })
}

pub(crate) fn shown_fork(proof: &ForkProof) -> Value {
    json!({
        "version": 1,
        "feed": hex(proof.feed.as_bytes()),
        "chain_a": shown_chain(&proof.chain_a),
        "chain_b": shown_chain(&proof.chain_b),
    })
}

fn shown_chain(chain: &Chain) -> Value {
    let entry = |stub: &Stub| json!({ "ttl": stub.ttl, "size": stub.size, "payload_hash": hex(&stub.payload_hash) });
    json!({
        "first_seq": chain.first_seq,
        "prev": id(chain.prev.as_ref()),
        "entries": chain.stubs.iter().map(entry).collect::<Vec<_>>(),
        "signature": hex(&chain.signature),
    })
}

pub(crate) fn shown_frame(frame: &Frame<'_>) -> Value {
    let mut fields = match frame {
        Frame::Opening(opening) => Value::Object(shown_opening(opening)),
        Frame::Segment(bytes) => {
            json!({ "segment": shown_segment(&UnverifiedSegment::decode(bytes).unwrap()) })
        }
        Frame::Payload { feed, seq, payload } => {
            json!({ "feed": hex(feed.as_bytes()), "seq": seq, "payload": hex(payload) })
        }
        Frame::Heads(heads) => {
            json!({ "heads": heads.iter().map(shown_head).collect::<Vec<_>>() })
        }
        Frame::Wants(wants) => {
            json!({ "wants": wants.iter().map(shown_want).collect::<Vec<_>>() })
        }
        Frame::Statement(signature) => json!({ "signature": hex(signature) }),
        Frame::Fork(proof) => {
            assert_eq!(ForkProof::decode(proof).unwrap().encode(), *proof);
            json!({ "proof": hex(proof) })
        }
        Frame::End { count } => json!({ "count": count }),
        Frame::Unknown { .. } => json!({}),
    };
    fields["kind"] = json!(frame.kind());
    fields
}

/// The fields of an opening, without its kind.
pub(crate) fn shown_opening(opening: &Opening) -> Map<String, Value> {
    let ack =
        opening.ack.map(|(position, hash)| json!({ "position": position, "hash": hex(&hash) }));
    let fields = json!({
        "version": 1,
        "maker": hex(opening.maker.as_bytes()),
        "for": opening.for_feed.map(|feed| hex(feed.as_bytes())),
        "whole": opening.whole,
        "position": opening.position,
        "log_hash": hex(&opening.log_hash),
        "ack": ack,
    });
    fields.as_object().unwrap().clone()
}

pub(crate) fn shown_head(head: &Head) -> Value {
    json!({
        "feed": hex(head.feed.as_bytes()),
        "floor": head.floor,
        "head": head.head,
        "forked": head.forked,
    })
}

pub(crate) fn shown_want(want: &Want) -> Value {
    let what = match want.what {
        What::Entries => 0,
        What::Payloads => 1,
    };
    json!({ "feed": hex(want.feed.as_bytes()), "first": want.first, "last": want.last, "what": what })
}

/// The rule of the grammar for a kind of frame.
pub(crate) fn rule_of(kind: u64) -> &'static str {
    match kind {
        0 => "opening",
        1 => "segment",
        2 => "payload_frame",
        3 => "heads",
        4 => "wants",
        5 => "statement",
        6 => "fork_frame",
        7 => "end",
        kind => panic!("{kind} is no known kind"),
    }
}
