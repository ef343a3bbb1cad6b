//! One byte form for every value that is hashed: compact JSON with sorted keys.
//!
//! Contents, projections, decisions and the state are compared by hash, across builds and replicas;
//! so the bytes must not depend on field order or on serde_json's features (a dependency that
//! switches on `preserve_order` would otherwise change every hash). Owns the hashing half of I6.

use serde::Serialize;
use serde_json::Value;

use crate::ids::Hash;
use crate::record::{canonical_json, sha256};

/// The canonical text of a value.
#[must_use]
pub fn text(value: &Value) -> String {
    canonical_json(value)
}

/// SHA-256 of the canonical text.
#[must_use]
pub fn hash(value: &Value) -> Hash {
    hash_of(value)
}

/// SHA-256 of the canonical text of a value whose map keys are strings and whose numbers are
/// finite; all our types are such.
#[must_use]
pub fn hash_of<T: Serialize + ?Sized>(value: &T) -> Hash {
    sha256(canonical_json(value).as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_at_every_level_and_arrays_keep_their_order() {
        let value = json!({"b": [{"z": 1, "a": null}, 2], "a": "x\"\u{e9}"});
        assert_eq!(text(&value), "{\"a\":\"x\\\"\u{e9}\",\"b\":[{\"a\":null,\"z\":1},2]}");
    }

    #[test]
    fn different_values_have_different_hashes() {
        assert_ne!(hash(&json!({"a": 1})), hash(&json!({"a": "1"})));
        assert_eq!(hash(&json!({"a": 1, "b": 2})), hash(&json!({"b": 2, "a": 1})));
    }
}
