//! Canonical JSON: the one text that stands for a value.
//!
//! Compact, keys sorted by their bytes, shortest escapes. Sorting is done here, not left to the
//! map type: cargo may switch `serde_json` to insertion order for the whole build.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::ids::Hash;

/// The canonical JSON of a value whose map keys are strings and whose numbers are finite.
#[must_use]
pub fn canonical_json<T: Serialize + ?Sized>(value: &T) -> String {
    let value = serde_json::to_value(value).expect("keys are strings and numbers are finite");
    let mut out = String::new();
    write_value(&value, &mut out);
    out
}

/// SHA-256 of bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(bytes).into())
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (i, (key, field)) in fields.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write_value(field, out);
            }
            out.push('}');
        }
    }
}

/// Writes a string with the shortest escapes: `\" \\ \b \f \n \r \t`, `\u00xx` for other controls.
pub(super) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut plain_from = 0;
    for (i, byte) in text.bytes().enumerate() {
        let short = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            0x08 => "\\b",
            0x0c => "\\f",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x00..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[plain_from..i]);
        if short.is_empty() {
            out.push_str("\\u00");
            out.push_str(&hex::encode([byte]));
        } else {
            out.push_str(short);
        }
        plain_from = i + 1;
    }
    out.push_str(&text[plain_from..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_at_every_level() {
        let value = json!({"b": {"z": 1, "a": [{"y": null, "x": true}]}, "a": "é"});
        assert_eq!(canonical_json(&value), r#"{"a":"é","b":{"a":[{"x":true,"y":null}],"z":1}}"#);
    }

    proptest! {
        #[test]
        fn strings_are_written_as_serde_json_writes_them(text in any::<String>()) {
            let mut own = String::new();
            write_string(&text, &mut own);
            prop_assert_eq!(own, serde_json::to_string(&text).unwrap());
        }

        #[test]
        fn control_characters_are_written_as_serde_json_writes_them(
            bytes in prop::collection::vec(0u8..0x30, 0..40)
        ) {
            let text = String::from_utf8(bytes).unwrap();
            let mut own = String::new();
            write_string(&text, &mut own);
            prop_assert_eq!(own, serde_json::to_string(&text).unwrap());
        }
    }
}
