//! One byte form for every value that is hashed: compact JSON with sorted keys.
//!
//! Contents, projections, decisions and the state are compared by hash, across builds and replicas;
//! so the bytes must not depend on field order or on serde_json's features (a dependency that
//! switches on `preserve_order` would otherwise change every hash). Owns the hashing half of I6.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::ids::Hash;

/// Canonical bytes: compact JSON, object keys in byte order at every level.
#[must_use]
pub fn bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write(value, &mut out);
    out
}

/// The canonical text of a value.
#[must_use]
pub fn text(value: &Value) -> String {
    String::from_utf8(bytes(value)).expect("JSON is UTF-8")
}

/// SHA-256 of the canonical bytes.
#[must_use]
pub fn hash(value: &Value) -> Hash {
    Hash(Sha256::digest(bytes(value)).into())
}

/// SHA-256 of the canonical bytes of a value of our own types.
///
/// # Panics
/// If a type cannot be written as JSON; ours can: they have string keys and no foreign numbers.
#[must_use]
pub fn hash_of<T: Serialize + ?Sized>(value: &T) -> Hash {
    hash(&serde_json::to_value(value).expect("our types have string keys and finite numbers"))
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().collect();
            fields.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
            out.push(b'{');
            for (i, (key, inner)) in fields.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                scalar(key, out);
                out.push(b':');
                write(inner, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (i, inner) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(inner, out);
            }
            out.push(b']');
        }
        other => scalar(other, out),
    }
}

fn scalar<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("writing a scalar to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_at_every_level_and_arrays_keep_their_order() {
        let value = json!({"b": [{"z": 1, "a": null}, 2], "a": "x\"\u{e9}"});
        assert_eq!(
            String::from_utf8(bytes(&value)).unwrap(),
            "{\"a\":\"x\\\"\u{e9}\",\"b\":[{\"a\":null,\"z\":1},2]}"
        );
    }

    #[test]
    fn different_values_have_different_hashes() {
        assert_ne!(hash(&json!({"a": 1})), hash(&json!({"a": "1"})));
        assert_eq!(hash(&json!({"a": 1, "b": 2})), hash(&json!({"b": 2, "a": 1})));
    }
}
