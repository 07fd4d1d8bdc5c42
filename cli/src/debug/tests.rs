//! Every vector through `decode` and `encode`, and what the lines around them do.

use std::io::Cursor;

use super::*;

const VALID: &str = include_str!("../../../schemas/vectors/valid.json");
const INVALID: &str = include_str!("../../../schemas/vectors/invalid.json");
/// Parts of `derived` that do not follow from the bytes of a vector.
const BEYOND: [&str; 6] =
    ["payload_hex", "payload_hash", "signature", "secret_seed", "signer_seed", "refused"];

/// What is answered to lines of input, and the failure at the end.
fn ask(decode: bool, kind: &str, input: &str) -> (Vec<String>, Option<CliError>) {
    let mut out = Vec::new();
    let failure = run(decode, kind, &mut Cursor::new(input), &mut out).err();
    let out = String::from_utf8(out).unwrap();
    (out.lines().map(str::to_owned).collect(), failure)
}

fn one(decode: bool, kind: &str, line: &str) -> Value {
    let (lines, _) = ask(decode, kind, &format!("{line}\n"));
    assert_eq!(lines.len(), 1, "{line}");
    serde_json::from_str(&lines[0]).unwrap()
}

fn vectors(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn word<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap()
}

/// The line that a vector is decoded from, where it is not an order of entries.
fn line_of(vector: &Value) -> Option<String> {
    let fields = &vector["fields"];
    match word(vector, "kind") {
        "order" => None,
        "text_id" => Some(word(fields, "text").to_owned()),
        "phrase" => Some(word(fields, "words").to_owned()),
        "window" => {
            let seqs = fields["seqs"].as_array().unwrap().iter().map(Value::to_string);
            Some(seqs.collect::<Vec<_>>().join(" "))
        }
        _ => Some(word(vector, "hex").to_owned()),
    }
}

#[test]
fn every_valid_vector_is_decoded() {
    for vector in vectors(VALID) {
        let Some(line) = line_of(&vector) else { continue };
        let (name, kind) = (word(&vector, "name"), word(&vector, "kind"));
        let (lines, failure) = ask(true, kind, &line);
        assert_eq!((lines.len(), failure), (1, None), "{name}");
        let shown: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(shown["ok"], true);
        let fields = if kind == "phrase" { json!({}) } else { vector["fields"].clone() };
        assert_eq!(shown["fields"], fields, "{name}");
        let is_certificate = matches!(fields["type"].as_u64(), Some(5..=7));
        for (part, value) in vector["derived"].as_object().unwrap() {
            // What a certificate signs, and a phrase hides, is not to be had.
            let beyond = BEYOND.contains(&part.as_str())
                || (is_certificate && part != "signer" && fields["type"] != 7)
                || (is_certificate && part == "feed")
                || (kind == "phrase" && part != "account");
            assert_eq!(shown["derived"].get(part), (!beyond).then_some(value), "{name}: {part}");
        }
    }
}

#[test]
fn every_invalid_vector_is_refused_by_its_name() {
    for vector in vectors(INVALID) {
        let shown = one(true, word(&vector, "kind"), word(&vector, "hex"));
        assert_eq!(shown["ok"], false, "{}", vector["name"]);
        assert_eq!(shown["error"], vector["error"], "{}", vector["name"]);
        assert!(!word(&shown, "message").is_empty());
    }
}

#[test]
fn the_fields_of_every_vector_are_encoded() {
    for vector in vectors(VALID) {
        let (name, kind) = (word(&vector, "name"), word(&vector, "kind"));
        let (lines, failure) = match kind {
            "bundle" | "phrase" | "window" | "order" => {
                let (lines, failure) = ask(false, kind, "{}");
                let failure = failure.unwrap();
                assert_eq!((lines.len(), failure.code()), (0, 2), "{name}");
                continue;
            }
            _ => ask(false, kind, &vector["fields"].to_string()),
        };
        if name.contains("-unknown") && kind != "segment" {
            assert!(lines[0].contains("unknown_kind"), "{name}: {}", lines[0]);
            continue;
        }
        let expected = if kind == "text_id" { &vector["fields"]["text"] } else { &vector["hex"] };
        assert_eq!((Value::from(lines[0].clone()), failure), (expected.clone(), None), "{name}");
    }
}

#[test]
fn a_bad_line_is_answered_in_its_place_and_told_at_the_end() {
    let good = "feed1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq";
    let (lines, failure) = ask(true, "content", "810c\nxyz\n\n 810C \r\n8");
    let ok: Vec<bool> = lines.iter().map(|line| line.starts_with(r#"{"derived""#)).collect();
    assert_eq!(ok, [true, false, false, true, false]);
    assert!(lines[1].contains(r#""error":"not_hex""#), "{}", lines[1]);
    assert!(lines[2].contains(r#""error":"end_of_input""#), "{}", lines[2]);
    let failure = failure.unwrap();
    assert_eq!((failure.code(), failure.message.as_str()), (4, "3 of 5 lines were refused"));
    assert_eq!(ask(true, "content", ""), (Vec::new(), None));
    let (lines, _) = ask(true, "text_id", good);
    assert!(lines[0].contains("bad_text"), "{}", lines[0]);
}

#[test]
fn a_kind_that_is_none_is_a_mistake_of_the_command_line() {
    for (decode, kind) in [(true, "letter"), (false, "bundle"), (false, "phrase")] {
        let (lines, failure) = ask(decode, kind, "{}\n");
        let failure = failure.unwrap();
        assert_eq!((lines.len(), failure.code()), (0, 2));
        assert!(failure.hints[0].starts_with("one of header, segment, content, fork, frame"));
    }
}

#[test]
fn a_line_that_is_too_long_is_skipped() {
    let most = "0".repeat(LINE_BYTES);
    let input = format!("{most}0\n810a\n{most}\n{most}00000");
    let (lines, _) = ask(true, "content", &input);
    let long: Vec<bool> = lines.iter().map(|line| line.contains("line_too_long")).collect();
    assert_eq!(long, [true, false, false, true]);
}

#[test]
fn fields_that_do_not_go_together_are_not_encoded() {
    let feed = "00".repeat(32);
    let header = json!({
        "version": 1, "feed": feed, "seq": 1, "prev": null, "ttl": 0, "size": 3,
        "payload_hash": feed,
    });
    let answer = |kind: &str, fields: &Value| ask(false, kind, &fields.to_string()).0.remove(0);
    let hex = answer("header", &header);
    let without_null = {
        let mut fields = header.clone();
        fields.as_object_mut().unwrap().remove("prev");
        fields
    };
    assert_eq!(answer("header", &without_null), hex, "null may be left out");
    for (name, value, error) in [
        ("version", json!(2), "bad_fields"),
        ("feed", json!("00"), "bad_fields"),
        ("feed", json!("xx"), "bad_fields"),
        ("size", json!(-1), "bad_fields"),
        ("colour", json!("red"), "bad_fields"),
        ("seq", json!(2), "out_of_range"),
        ("ttl", json!(87_601), "over_limit"),
    ] {
        let mut fields = header.clone();
        fields[name] = value;
        assert!(answer("header", &fields).contains(error), "{name}: {}", answer("header", &fields));
    }
    let item = json!({
        "form": "inline", "ttl": 0, "age": 0, "size": 1, "payload": "00", "payload_hash": feed,
    });
    let segment = json!({
        "version": 1, "feed": feed, "first_seq": 1, "items": [item], "signature": "00".repeat(64),
    });
    assert!(answer("segment", &segment).contains("they would be read back as"));
    for (kind, fields) in [
        (
            "content",
            json!({ "type": 5, "carry": 3, "account": feed, "signature": "00".repeat(64) }),
        ),
        ("content", json!({ "type": 9, "ranges": [{ "first": 3, "last": 2 }] })),
        ("frame", json!({ "kind": 4, "wants": [] })),
    ] {
        assert!(answer(kind, &fields).contains("out_of_range"), "{fields}");
    }
    for (kind, fields) in [
        ("content", json!({})),
        ("frame", json!([])),
        ("frame", json!({ "kind": 7, "count": 1, "kin": 2 })),
        ("text_id", json!({ "hrp": "user", "bytes": feed })),
        ("text_id", json!({ "hrp": "feed", "bytes": feed, "text": "feed1" })),
    ] {
        assert!(answer(kind, &fields).contains("bad_fields"), "{fields}");
    }
}
