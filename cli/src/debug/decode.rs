//! From bytes, or the text that stands for them, to what they say.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use thistle_engine::account::{AccountKey, Phrase};
use thistle_engine::bundle::{FileReader, Found, Frame, Head, Opening, Read, Want};
use thistle_engine::codec::Encoder;
use thistle_engine::content::Content;
use thistle_engine::entry::{ChainHasher, Header, Stub, window};
use thistle_engine::fork::{Chain, ForkProof};
use thistle_engine::ids::{self, Id};
use thistle_engine::key::{Context, FeedId, derive, signed_message};
use thistle_engine::limits::SEQ_END;
use thistle_engine::segment::{Reject, Segment, UnverifiedSegment};

use super::fields::{
    Fixed, ForkFields, HeadFields, HeaderFields, OpeningFields, SegmentFields, WantFields, unhex,
};
use super::{Kind, Refusal, content, shown};
use crate::view::hex;

/// What a line says, as the line to answer with.
pub(super) fn answer(kind: Kind, line: &str) -> Result<String, Refusal> {
    let bytes = || unhex(line).ok_or_else(|| Refusal::new("not_hex", "the line is not hex"));
    let (fields, derived) = match kind {
        Kind::Header => header(&bytes()?)?,
        Kind::Segment => segment(&bytes()?)?,
        Kind::Content => read_content(&bytes()?)?,
        Kind::Fork => fork(&bytes()?)?,
        Kind::Frame => (frame(&bytes()?)?, json!({})),
        Kind::Bundle => bundle(&bytes()?)?,
        Kind::TextId => text_id(line)?,
        Kind::Phrase => phrase(line)?,
        Kind::Window => windows(line)?,
    };
    Ok(shown(fields, derived))
}

fn header(bytes: &[u8]) -> Result<(Value, Value), Refusal> {
    let header = Header::decode(bytes)?;
    let derived = json!({ "entry_id": hex(header.id().as_bytes()) });
    Ok((json!(HeaderFields::from(&header)), derived))
}

fn segment(bytes: &[u8]) -> Result<(Value, Value), Refusal> {
    let segment = UnverifiedSegment::decode(bytes)?;
    let fields = json!(SegmentFields::from(&segment));
    let Segment { feed, first_seq, prev, entries, .. } =
        segment.verify(&mut ChainHasher::default())?;
    let mut prev = prev;
    let mut headers = Vec::new();
    for (seq, entry) in (first_seq..).zip(&entries) {
        headers.push(hex(&Header::new(feed, seq, prev, entry.stub).encode()));
        prev = Some(entry.id);
    }
    let head = prev.map_or([0; 32], |id| *id.as_bytes());
    let derived = json!({
        "headers": headers,
        "entry_ids": entries.iter().map(|entry| hex(entry.id.as_bytes())).collect::<Vec<_>>(),
        "head_entry_id": hex(&head),
        "signed_message": hex(&signed_message(Context::Entry, &head)),
        "contents": entries.iter().map(|entry| entry.payload.map(class_of)).collect::<Vec<_>>(),
    });
    Ok((fields, derived))
}

/// What a payload is, in one word.
fn class_of(payload: &[u8]) -> &'static str {
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

fn read_content(bytes: &[u8]) -> Result<(Value, Value), Refusal> {
    let content = Content::decode(bytes)?;
    // What a certificate signs depends on the feed that it stands in, which is not in it.
    let derived = match &content {
        Content::Certificate(it) => json!({ "signer": Fixed(*it.account.as_bytes()) }),
        Content::Successor(it) => json!({ "signer": Fixed::from(&it.retired) }),
        Content::Device(it) => {
            let mut signed = Encoder::new();
            signed.array(3).bytes(it.account.as_bytes()).uint(it.verb.code());
            signed.bytes(it.feed.as_bytes());
            let signed = signed.into_bytes();
            let digest = derive(Context::Device, &signed);
            json!({
                "signed_data": hex(&signed),
                "digest": hex(&digest),
                "signed_message": hex(&signed_message(Context::Device, &digest)),
                "signer": Fixed(*it.account.as_bytes()),
            })
        }
        _ => json!({}),
    };
    Ok((content::shown(&content), derived))
}

fn fork(bytes: &[u8]) -> Result<(Value, Value), Refusal> {
    let proof = ForkProof::decode(bytes)?;
    let fields = json!(ForkFields::from(&proof));
    let mut derived = Map::new();
    for (side, chain) in [("a", &proof.chain_a), ("b", &proof.chain_b)] {
        let headers = headers(proof.feed, chain);
        let id = |header: Option<&Header>| header.map(|header| hex(header.id().as_bytes()));
        derived.insert(format!("first_entry_id_{side}"), json!(id(headers.first())));
        derived.insert(format!("last_entry_id_{side}"), json!(id(headers.last())));
        let headers: Vec<String> = headers.iter().map(|header| hex(&header.encode())).collect();
        derived.insert(format!("headers_{side}"), json!(headers));
    }
    derived.insert("fork_seq".to_owned(), json!(proof.verify()?.fork_seq()));
    Ok((fields, Value::Object(derived)))
}

fn headers(feed: FeedId, chain: &Chain) -> Vec<Header> {
    let mut prev = chain.prev;
    let place = |(seq, stub): (u64, &Stub)| {
        let header = Header::new(feed, seq, prev, *stub);
        prev = Some(header.id());
        header
    };
    (chain.first_seq..).zip(&chain.stubs).map(place).collect()
}

/// The fields of a frame. The segment or the proof in it must decode; it is not verified.
pub(super) fn frame(bytes: &[u8]) -> Result<Value, Refusal> {
    let frame = Frame::decode(bytes)?;
    let mut fields = match &frame {
        Frame::Opening(opening) => json!(OpeningFields::from(opening)),
        Frame::Segment(bytes) => {
            json!({ "segment": SegmentFields::from(&UnverifiedSegment::decode(bytes)?) })
        }
        Frame::Payload { feed, seq, payload } => {
            json!({ "feed": Fixed::from(feed), "seq": seq, "payload": hex(payload) })
        }
        Frame::Heads(heads) => json!({ "heads": shown_heads(heads) }),
        Frame::Wants(wants) => json!({ "wants": shown_wants(wants) }),
        Frame::Statement(signature) => json!({ "signature": Fixed(*signature) }),
        Frame::Fork(proof) => {
            ForkProof::decode(proof)?;
            json!({ "proof": hex(proof) })
        }
        Frame::End { count } => json!({ "count": count }),
        Frame::Unknown { .. } => json!({}),
    };
    fields["kind"] = json!(frame.kind());
    Ok(fields)
}

fn shown_heads(heads: &[Head]) -> Vec<HeadFields> {
    heads.iter().map(HeadFields::from).collect()
}

fn shown_wants(wants: &[Want]) -> Vec<WantFields> {
    wants.iter().map(WantFields::from).collect()
}

/// What is gathered of a file while it is read.
#[derive(Debug, Default)]
struct File {
    opening: Option<Opening>,
    heads: Vec<Head>,
    wants: Vec<Want>,
    /// What the entries of the file say of their payloads.
    stubs: BTreeMap<(FeedId, u64), Stub>,
    rules: Vec<Option<&'static str>>,
    offsets: Vec<u64>,
    lengths: Vec<u64>,
    /// Where the statement begins, and its signature.
    statement: Option<(usize, String)>,
}

fn bundle(bytes: &[u8]) -> Result<(Value, Value), Refusal> {
    let mut reader = FileReader::new();
    let mut file = File::default();
    reader.push(bytes);
    while let Some(found) = reader.poll() {
        file.take(bytes, found)?;
    }
    let ending = reader.finish();
    if let Some(fault) = ending.fault {
        return Err(fault.into());
    }
    let File { heads, wants, rules, offsets, lengths, statement, .. } = &file;
    let mut fields = json!(file.opening.as_ref().map(OpeningFields::from));
    let (covers, signature) = statement.clone().unzip();
    let body_end = rules.len().saturating_sub(1);
    let body_at = body_end.saturating_sub(usize::try_from(ending.body_frames).unwrap_or(0));
    if let Some(fields) = fields.as_object_mut() {
        fields.remove("version");
        fields.insert("heads".to_owned(), json!(shown_heads(heads)));
        fields.insert("wants".to_owned(), json!(shown_wants(wants)));
        fields.insert("signature".to_owned(), json!(signature));
        fields.insert("body".to_owned(), json!(rules.get(body_at..body_end)));
        fields.insert("count".to_owned(), json!(ending.body_frames));
    }
    let digest = covers.and_then(|at| Some(derive(Context::Bundle, bytes.get(..at)?)));
    let derived = json!({
        "frame_lengths": lengths,
        "frame_rules": rules,
        "frame_offsets": offsets,
        "statement_covers": covers,
        "statement_digest": digest.map(|digest| hex(&digest)),
        "statement_message": digest.map(|digest| hex(&signed_message(Context::Bundle, &digest))),
        "unknown_frames": ending.unknown,
    });
    Ok((fields, derived))
}

impl File {
    fn take(&mut self, bytes: &[u8], found: Found<'_>) -> Result<(), Refusal> {
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        let (start, end) = (at(found.offset), at(found.end));
        let head = match bytes.get(start) {
            Some(0x58) => 2,
            Some(0x59) => 3,
            Some(0x5a) => 5,
            _ => 1,
        };
        self.offsets.push(found.offset);
        self.lengths.push(found.end.saturating_sub(found.offset).saturating_sub(head));
        let rule = match found.read {
            Read::Refused(fault) => return Err(fault.into()),
            Read::Statement { .. } => {
                let signature = bytes.get(end.saturating_sub(64)..end).unwrap_or_default();
                self.statement = Some((start, hex(signature)));
                Some("statement")
            }
            Read::Frame(frame) => self.take_frame(frame)?,
        };
        self.rules.push(rule);
        Ok(())
    }

    /// Verifies a frame and tells by which rule of the grammar it is made.
    fn take_frame(&mut self, frame: Frame<'_>) -> Result<Option<&'static str>, Refusal> {
        Ok(Some(match frame {
            Frame::Opening(opening) => {
                self.opening = Some(opening);
                "opening"
            }
            Frame::Heads(heads) => {
                self.heads.extend(heads);
                "heads"
            }
            Frame::Wants(wants) => {
                self.wants = wants;
                "wants"
            }
            Frame::Segment(bytes) => {
                let segment =
                    UnverifiedSegment::decode(bytes)?.verify(&mut ChainHasher::default())?;
                let places = (segment.first_seq..).map(|seq| (segment.feed, seq));
                self.stubs.extend(places.zip(segment.entries.iter().map(|entry| entry.stub)));
                "segment"
            }
            Frame::Payload { feed, seq, payload } => {
                if self.stubs.get(&(feed, seq)).is_some_and(|stub| !stub.fits(payload)) {
                    return Err(Reject::WrongPayload.into());
                }
                "payload_frame"
            }
            Frame::Fork(proof) => {
                ForkProof::decode(proof)?.verify()?;
                "fork_frame"
            }
            Frame::Statement(_) => "statement",
            Frame::End { .. } => "end",
            Frame::Unknown { .. } => return Ok(None),
        }))
    }
}

fn text_id(text: &str) -> Result<(Value, Value), Refusal> {
    let id = Id::parse(text).map_err(|fault| Refusal::new("bad_text", fault))?;
    let bytes = match &id {
        Id::Feed(feed) => feed.as_bytes(),
        Id::Account(account) => account.as_bytes(),
        Id::Entry(bytes) | Id::Node(bytes) => bytes,
    };
    let text = id.text();
    let derived = json!({ "short": ids::short(&text), "upper": text.to_uppercase() });
    Ok((json!({ "hrp": id.kind().word(), "bytes": hex(bytes), "text": text }), derived))
}

/// Tells the account and nothing else: a phrase is a secret.
fn phrase(words: &str) -> Result<(Value, Value), Refusal> {
    let phrase = Phrase::parse(words).map_err(|fault| Refusal::new("bad_text", fault))?;
    let account = AccountKey::from_phrase(&phrase).id();
    Ok((json!({}), json!({ "account": Fixed(*account.as_bytes()) })))
}

fn windows(line: &str) -> Result<(Value, Value), Refusal> {
    let mut seqs = Vec::new();
    let mut rows = Vec::new();
    for word in line.split_whitespace() {
        let seq = word.parse().ok().filter(|seq| (1..SEQ_END).contains(seq));
        let seq = seq.ok_or_else(|| Refusal::bad_fields("seqs from 1 on, below 2^40, are due"))?;
        let (first, last) = window(seq);
        seqs.push(seq);
        rows.push(json!({ "seq": seq, "first": first, "last": last }));
    }
    Ok((json!({ "seqs": seqs }), json!({ "windows": rows })))
}
