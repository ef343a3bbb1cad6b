//! Stored objects and the parts of `metadata` that the server looks at.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::Serializer as _;
use serde_json::{Map, Value};

use crate::apply::Owners;

/// An object as it was at one resourceVersion; never changed, only replaced.
#[derive(Debug)]
pub(crate) struct Object {
    /// The whole object, resourceVersion included.
    pub(crate) value: Arc<Value>,
    /// `metadata.resourceVersion`.
    pub(crate) rv: u64,
    bytes: OnceLock<Bytes>,
    list_bytes: OnceLock<Bytes>,
    owners: OnceLock<Owners>,
}

impl Object {
    /// Writes `rv` into the object and freezes it.
    pub(crate) fn new(mut value: Value, rv: u64) -> Arc<Self> {
        set_meta(&mut value, "resourceVersion", Value::String(rv.to_string()));
        let value = Arc::new(value);
        let (bytes, list_bytes) = (OnceLock::new(), OnceLock::new());
        Arc::new(Self { value, rv, bytes, list_bytes, owners: OnceLock::new() })
    }

    /// Whose the fields are, read once.
    pub(crate) fn owners(&self) -> &Owners {
        self.owners.get_or_init(|| Owners::of(&self.value))
    }

    /// Says whose the fields are, by whom wrote that into the object.
    pub(crate) fn remember(&self, owners: Owners) {
        // If it was read meanwhile, the same was read.
        let _ = self.owners.set(owners);
    }

    /// The object's JSON, made once.
    pub(crate) fn bytes(&self) -> Bytes {
        let make = || {
            Bytes::from(serde_json::to_vec(&*self.value).expect("a JSON value always serialises"))
        };
        self.bytes.get_or_init(make).clone()
    }

    /// The object's JSON without `apiVersion` and `kind`, as items of built-in lists are.
    pub(crate) fn list_bytes(&self) -> Bytes {
        self.list_bytes.get_or_init(|| untyped_bytes(&self.value)).clone()
    }

    /// `metadata.name`.
    pub(crate) fn name(&self) -> &str {
        meta_str(&self.value, "name")
    }

    /// `metadata.namespace`, empty for cluster-scoped objects.
    pub(crate) fn namespace(&self) -> &str {
        meta_str(&self.value, "namespace")
    }

    /// `metadata.uid`.
    pub(crate) fn uid(&self) -> &str {
        meta_str(&self.value, "uid")
    }
}

/// JSON of an object without `apiVersion` and `kind`.
pub(crate) fn untyped_bytes(value: &Value) -> Bytes {
    let fields = value.as_object().into_iter().flatten();
    let fields = fields.filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind"));
    let mut text = Vec::new();
    let written = serde_json::Serializer::new(&mut text).collect_map(fields);
    written.expect("a JSON value always serialises");
    Bytes::from(text)
}

/// A field of `metadata`.
pub(crate) fn meta<'a>(value: &'a Value, field: &str) -> Option<&'a Value> {
    value.get("metadata")?.get(field)
}

/// A text field of `metadata`, empty if there is none.
pub(crate) fn meta_str<'a>(value: &'a Value, field: &str) -> &'a str {
    meta(value, field).and_then(Value::as_str).unwrap_or_default()
}

/// `metadata` as a map, created if need be.
pub(crate) fn meta_mut(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let object = value.as_object_mut().expect("made an object just above");
    let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    metadata.as_object_mut().expect("made an object just above")
}

/// Sets a field of `metadata`.
pub(crate) fn set_meta(value: &mut Value, field: &str, to: Value) {
    meta_mut(value).insert(field.to_owned(), to);
}

/// Copies a field of `metadata` from another object, or removes it where that has none.
pub(crate) fn keep_meta(value: &mut Value, from: &Value, field: &str) {
    match meta(from, field) {
        Some(kept) => set_meta(value, field, kept.clone()),
        None => {
            meta_mut(value).remove(field);
        }
    }
}

/// Copies a top-level field from another object, or removes it where that has none.
pub(crate) fn keep_field(value: &mut Value, from: &Value, field: &str) {
    let Some(object) = value.as_object_mut() else { return };
    match from.get(field) {
        Some(kept) => {
            object.insert(field.to_owned(), kept.clone());
        }
        None => {
            object.remove(field);
        }
    }
}

/// `metadata.finalizers`.
pub(crate) fn finalizers(value: &Value) -> Vec<&str> {
    let list = meta(value, "finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether the object waits for its finalizers.
pub(crate) fn is_deleting(value: &Value) -> bool {
    meta(value, "deletionTimestamp").is_some_and(|t| !t.is_null())
}

/// Uids of `metadata.ownerReferences`.
pub(crate) fn owner_uids(value: &Value) -> Vec<&str> {
    let list = meta(value, "ownerReferences").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|o| o.get("uid")?.as_str()).collect()
}

/// The value of an annotation.
pub(crate) fn annotation<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    meta(value, "annotations")?.get(key)?.as_str()
}

/// RFC 3339 with seconds, as `metav1.Time` prints it.
pub(crate) fn time(now_ms: u64) -> String {
    let ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let stamp = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    stamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
