//! The strict reader against a plain one: it accepts exactly what the writer would have written.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::scan::{Scanner, event_kind};
use super::*;
use crate::event::Event;

fn canonical_json(value: &Value) -> String {
    String::from_utf8(crate::canonical::bytes(value)).unwrap()
}

fn scans_as_event(text: &str) -> Result<String, RecordError> {
    let mut scan = Scanner::new(text);
    let span = scan.event().map_err(|error| *error)?;
    scan.end().map_err(|error| *error)?;
    assert_eq!((span.start, span.end), (0, text.len()));
    Ok(event_kind(text, span).to_owned())
}

/// What the reader should say, by the slow way: parse, write canonically, compare.
fn is_canonical_event(text: &str) -> bool {
    fn whole_numbers(value: &Value) -> bool {
        match value {
            Value::Number(number) => !number.is_f64(),
            Value::Array(items) => items.iter().all(whole_numbers),
            Value::Object(fields) => fields.values().all(whole_numbers),
            _ => true,
        }
    }
    let Ok(value) = serde_json::from_str::<Value>(text) else { return false };
    let plain_type = value.get("type").and_then(Value::as_str).is_some_and(|kind| {
        let quoted = serde_json::to_string(kind).unwrap();
        !quoted.contains('\\')
    });
    value.is_object() && plain_type && whole_numbers(&value) && canonical_json(&value) == text
}

fn json_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["[ -~]{0,12}", "[\u{0}-\u{24}\\\\\"é😀]{0,6}", "[a-c]{0,2}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (0u64..20).prop_map(Value::from),
        any::<f64>().prop_map(|f| json!(f)),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn event_text() -> impl Strategy<Value = String> {
    (prop::collection::btree_map("[a-z]{1,5}", json_value(), 0..4), any::<bool>()).prop_map(
        |(fields, typed)| {
            let mut fields: Map<String, Value> = fields.into_iter().collect();
            if typed {
                fields.insert("type".to_owned(), json!("X"));
            }
            canonical_json(&Value::Object(fields))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn canonical_events_are_accepted_and_others_refused(text in event_text()) {
        prop_assert_eq!(scans_as_event(&text).is_ok(), is_canonical_event(&text), "{}", text);
    }

    #[test]
    fn an_edited_event_is_accepted_only_if_it_is_still_canonical(
        text in event_text(),
        at in any::<prop::sample::Index>(),
        insert in prop_oneof![Just(""), Just(" "), Just("\n"), Just("0"), Just("\\u0041"),
            Just("\\/"), Just(","), Just("\""), Just("}"), Just("1.5"), Just("\u{1}"), Just("-")],
        remove in 0usize..3,
    ) {
        let chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        let mut edited: String = chars[..at].iter().collect();
        edited.push_str(insert);
        edited.extend(chars.iter().skip(at + remove));
        prop_assert_eq!(scans_as_event(&edited).is_ok(), is_canonical_event(&edited), "{}", edited);
    }

    #[test]
    fn the_reader_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }
}

#[test]
fn refusals_name_the_byte() {
    let cases = [
        (r#"{"a":1 ,"type":"X"}"#, 6, "`,` or `}`"),
        (r#"{"b":1,"a":2,"type":"X"}"#, 7, "a key that sorts after the one before it"),
        (r#"{"a":1,"a":2,"type":"X"}"#, 7, "a key that sorts after the one before it"),
        (r#"{"a":01,"type":"X"}"#, 5, "an integer of at most 64 bits in its shortest form"),
        (r#"{"a":1.0,"type":"X"}"#, 5, "an integer of at most 64 bits in its shortest form"),
        (r#"{"a":-0,"type":"X"}"#, 5, "an integer of at most 64 bits in its shortest form"),
        (
            r#"{"a":18446744073709551616,"type":"X"}"#,
            5,
            "an integer of at most 64 bits in its shortest form",
        ),
        (r#"{"a":"\/","type":"X"}"#, 6, "the shortest escape of a character that needs one"),
        (r#"{"a":"\u000a","type":"X"}"#, 6, "the shortest escape of a character that needs one"),
        (r#"{"a":"\u001F","type":"X"}"#, 6, "the shortest escape of a character that needs one"),
        ("{\"a\":\"\t\",\"type\":\"X\"}", 6, "no control character in a string"),
        (r#"{"a":1}"#, 0, "an event with a plain string `type`"),
        (r#"{"type":7}"#, 0, "an event with a plain string `type`"),
        (r#"{"a":nul,"type":"X"}"#, 8, "null"),
        (r#"{"a":"x"#, 7, "the end of a string"),
    ];
    for (text, at, expected) in cases {
        match scans_as_event(text) {
            Err(RecordError::Form { at: a, expected: e, .. }) => {
                assert_eq!((a, e), (at, expected), "{text}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn nesting_has_a_limit() {
    let nested = |levels: usize| {
        format!("{{\"a\":{}{},\"type\":\"X\"}}", "[".repeat(levels), "]".repeat(levels))
    };
    assert!(scans_as_event(&nested(64)).is_ok());
    assert!(scans_as_event(&nested(65)).is_err());
}

#[test]
fn an_event_survives_the_record() {
    let events = [
        Event::TailRepaired { bytes: 3, sha256: sha256(b"abc") },
        Event::ActionFailed {
            decision: Seq(7),
            subject: crate::ids::ObjectRef::new(crate::ids::Kind::Agent, "a", "b"),
            action: 0,
            reason: crate::event::FailureReason::Rejected,
            message: "line\n\"quoted\" \u{1}".to_owned(),
        },
    ];
    let header = Header {
        seq: Seq(3),
        prev_hash: sha256(b"prev"),
        epoch: Epoch(2),
        writer: WriterId::from("rynxs-0_\"x\""),
        nonce: Nonce([7; 16]),
        ts_ms: WallMs(12),
    };
    let encoded: Vec<_> = events.iter().map(EncodedEvent::new).collect();
    let record = encode(&header, &encoded);
    let decoded = decode(&record.bytes).unwrap();
    assert_eq!(decoded.header, header);
    assert_eq!(decoded.hash, record.hash);
    assert_eq!(decoded.events().unwrap(), events);
    for (index, event) in encoded.iter().enumerate() {
        assert_eq!(decoded.event_sha256(index), event.sha256());
        assert_eq!(decoded.raw_event(index).kind, events[index].kind());
    }
    assert_eq!(encode(&decoded.header, &encoded), record, "encoding is a function");
}

#[test]
fn every_flipped_bit_is_noticed() {
    let event = EncodedEvent::new(&Event::TailRepaired { bytes: 3, sha256: sha256(b"abc") });
    let header = Header {
        seq: Seq(3),
        prev_hash: sha256(b"prev"),
        epoch: Epoch(2),
        writer: WriterId::from("w"),
        nonce: Nonce([7; 16]),
        ts_ms: WallMs(12),
    };
    let good = encode(&header, &[event]).bytes;
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.to_vec();
            bad[at] ^= 1 << bit;
            assert!(decode(&bad).is_err(), "byte {at}, bit {bit}");
        }
    }
    for len in 0..good.len() {
        assert!(decode(&good[..len]).is_err(), "cut to {len} bytes");
    }
}

#[test]
fn object_names_sort_as_positions_do() {
    assert_eq!(object_name(Seq(0)), "0000000000.json");
    assert_eq!(object_name(MAX_SEQ), "9999999999.json");
    assert!(object_name(Seq(99)) < object_name(Seq(100)));
}

#[test]
fn only_a_records_own_name_is_parsed() {
    assert_eq!(parse_object_name("0000000042.json"), Some(Seq(42)));
    for other in ["42.json", "00000000042.json", "+000000042.json", "0000000042", "x.json"] {
        assert_eq!(parse_object_name(other), None, "{other}");
    }
}
