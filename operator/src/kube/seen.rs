//! Objects as lists and watches show them, read without `metadata.managedFields`.
//!
//! Who owns which field is up to half of an object's bytes, and only a write that takes fields away
//! asks for it, of what a GET of its own shows. Skipping it makes a list a third cheaper to read.

use std::fmt;

use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, de::DeserializeSeed};
use serde_json::{Map, Value};

/// Reads one object.
///
/// # Errors
/// The text is no JSON object, or its `metadata` is none.
pub(super) fn object(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str::<Seen>(text).map(|seen| Value::Object(seen.0))
}

struct Seen(Map<String, Value>);

/// Which map is read.
#[derive(Clone, Copy)]
enum Fields {
    Object,
    Metadata,
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Fields::Object.deserialize(deserializer).map(Self)
    }
}

impl<'de> DeserializeSeed<'de> for Fields {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object => "an object",
            Self::Metadata => "metadata",
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = match (self, name.as_str()) {
                (Self::Object, "metadata") => {
                    Value::Object(map.next_value_seed(Self::Metadata).map_err(A::Error::custom)?)
                }
                (Self::Metadata, "managedFields") => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ => map.next_value()?,
            };
            fields.insert(name, value);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_owners_of_fields_are_left_out() {
        let spec = json!({"metadata": {"managedFields": [1]}, "managedFields": 2});
        let whole = json!({
            "kind": "Job",
            "metadata": {"name": "a", "labels": {"b": "c"}, "managedFields": [{"manager": "m"}]},
            "spec": spec,
        });
        let seen = object(&whole.to_string()).expect("an object");
        let metadata = json!({"name": "a", "labels": {"b": "c"}});
        assert_eq!(seen, json!({"kind": "Job", "metadata": metadata, "spec": spec}));
    }

    #[test]
    fn what_is_no_object_is_said() {
        for (text, why) in [
            ("[]", "expected an object"),
            (r#"{"metadata":null}"#, "expected metadata"),
            (r#"{"metadata":{"managedFields":["#, "EOF"),
        ] {
            let error = object(text).expect_err("no object").to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
