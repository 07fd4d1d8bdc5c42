//! From `fields` to bytes, or to the text that stands for them.

use serde::Deserialize;
use serde_json::Value;
use thistle_engine::bundle::{Frame, Head, Want};
use thistle_engine::codec::DecodeError;
use thistle_engine::entry::Header;
use thistle_engine::fork::ForkProof;
use thistle_engine::ids::{account_text, entry_text, feed_text};
use thistle_engine::key::{AccountId, FeedId};
use thistle_engine::segment::UnverifiedSegment;

use super::content::{self, parse};
use super::decode;
use super::fields::{
    Bytes, Fixed, ForkFields, HeadFields, HeaderFields, OpeningFields, SegmentFields, WantFields,
};
use super::{Kind, Refusal};
use crate::view::hex;

/// The bytes of a line of fields, as the line to answer with.
pub(super) fn answer(kind: Kind, line: &str) -> Result<String, Refusal> {
    let fields: Value = serde_json::from_str(line).map_err(Refusal::bad_fields)?;
    let (bytes, back) = match kind {
        Kind::Header => {
            let bytes = parse::<HeaderFields>(&fields)?.header().encode();
            let back = serde_json::json!(HeaderFields::from(&Header::decode(&bytes)?));
            (bytes, back)
        }
        Kind::Segment => {
            let bytes = parse::<SegmentFields>(&fields)?.segment().encode();
            let back = serde_json::json!(SegmentFields::from(&UnverifiedSegment::decode(&bytes)?));
            (bytes, back)
        }
        Kind::Content => {
            let content = content::read(&fields)?;
            (content.encode_checked()?, content::shown(&content))
        }
        Kind::Fork => {
            let bytes = parse::<ForkFields>(&fields)?.proof().encode();
            let back = serde_json::json!(ForkFields::from(&ForkProof::decode(&bytes)?));
            (bytes, back)
        }
        Kind::Frame => {
            let bytes = frame(&fields)?;
            let back = decode::frame(&bytes)?;
            (bytes, back)
        }
        Kind::TextId => return text_id(&fields),
        Kind::Bundle | Kind::Phrase | Kind::Window => {
            return Err(Refusal::bad_fields("of this kind nothing is encoded"));
        }
    };
    // Whatever the fields say beyond what was written would be lost without a word.
    if without_nulls(&back) == without_nulls(&fields) {
        Ok(hex(&bytes))
    } else {
        Err(Refusal::bad_fields(format!("they would be read back as {back}")))
    }
}

/// A value without the fields that are null, which may be left out.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            kept.map(|(name, value)| (name.clone(), without_nulls(value))).collect()
        }
        Value::Array(list) => list.iter().map(without_nulls).collect(),
        value => value.clone(),
    }
}

fn frame(fields: &Value) -> Result<Vec<u8>, Refusal> {
    let mut rest = fields.clone();
    let kind = rest.as_object_mut().and_then(|fields| fields.remove("kind"));
    let kind = kind.as_ref().and_then(Value::as_u64);
    Ok(match kind.ok_or_else(|| Refusal::bad_fields("`kind`: a number is due"))? {
        0 => Frame::Opening(parse::<OpeningFields>(&rest)?.opening()).encode(),
        1 => {
            let Segment { segment } = parse(&rest)?;
            Frame::Segment(&segment.segment().encode()).encode()
        }
        2 => {
            let Sent { feed, seq, payload: Bytes(payload) } = parse(&rest)?;
            Frame::Payload { feed: feed.feed(), seq, payload: &payload }.encode()
        }
        3 => {
            let Heads { heads } = parse(&rest)?;
            let heads: Vec<Head> = heads.iter().map(HeadFields::head).collect();
            Frame::Heads(heads).encode()
        }
        4 => {
            let Wants { wants } = parse(&rest)?;
            let wants: Vec<Want> = wants.iter().map(WantFields::want).collect();
            Frame::Wants(wants).encode()
        }
        5 => Frame::Statement(parse::<Statement>(&rest)?.signature.0).encode(),
        6 => Frame::Fork(&parse::<Fork>(&rest)?.proof.0).encode(),
        7 => Frame::End { count: parse::<End>(&rest)?.count }.encode(),
        // Of later kinds not even this program can write more than the number.
        found => return Err(DecodeError::UnknownKind { found }.into()),
    })
}

fn text_id(fields: &Value) -> Result<String, Refusal> {
    let TextId { hrp, bytes: Fixed(bytes), text: said } = parse(fields)?;
    let text = match hrp.as_str() {
        "feed" => feed_text(&FeedId::from_bytes(bytes)),
        "acct" => account_text(&AccountId::from_bytes(bytes)),
        "entry" => entry_text(&bytes),
        _ => return Err(Refusal::bad_fields("`hrp`: feed, acct or entry are due")),
    };
    if said.is_none_or(|said| said == text) {
        Ok(text)
    } else {
        Err(Refusal::bad_fields(format!("`text` would be {text}")))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Segment {
    segment: SegmentFields,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    feed: Fixed<32>,
    seq: u64,
    payload: Bytes,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Heads {
    heads: Vec<HeadFields>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wants {
    wants: Vec<WantFields>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    signature: Fixed<64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fork {
    proof: Bytes,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    count: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TextId {
    hrp: String,
    bytes: Fixed<32>,
    text: Option<String>,
}
