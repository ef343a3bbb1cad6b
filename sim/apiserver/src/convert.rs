//! Versions of stored objects: one collection, several views.
//!
//! CRD versions differ in `apiVersion` alone (conversion strategy None). The two Event APIs name
//! fields differently; they are stored in the form of the core group.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value;

use crate::object::Object;
use crate::resource::ResourceInfo;

/// Pairs of field names: core group, `events.k8s.io`.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn is_new_event(info: &ResourceInfo) -> bool {
    info.group == "events.k8s.io" && info.plural == "events"
}

/// Turns an object of the request's version into the stored form.
pub(crate) fn to_storage(info: &ResourceInfo, value: &mut Value) {
    let Some(object) = value.as_object_mut() else { return };
    if is_new_event(info) {
        object.insert("apiVersion".to_owned(), Value::String("v1".to_owned()));
        for (core, new) in EVENT_FIELDS {
            if let Some(moved) = object.remove(new) {
                object.insert(core.to_owned(), moved);
            }
        }
    }
}

/// Whether the stored form is what the request's version shows.
fn same_form(info: &ResourceInfo, value: &Value) -> bool {
    value.get("apiVersion").and_then(Value::as_str) == Some(info.api_version().as_str())
}

/// A stored object as the request's version shows it.
pub(crate) fn from_storage<'v>(info: &ResourceInfo, value: &'v Value) -> Cow<'v, Value> {
    if same_form(info, value) {
        return Cow::Borrowed(value);
    }
    let mut shown = value.clone();
    if let Some(object) = shown.as_object_mut() {
        object.insert("apiVersion".to_owned(), Value::String(info.api_version()));
        if is_new_event(info) {
            for (core, new) in EVENT_FIELDS {
                if let Some(moved) = object.remove(core) {
                    object.insert(new.to_owned(), moved);
                }
            }
            for reporter in ["reportingController", "reportingInstance"] {
                if object.get(reporter).and_then(Value::as_str) == Some("") {
                    object.remove(reporter);
                }
            }
        }
    }
    Cow::Owned(shown)
}

/// The bytes of a stored object as the request's version shows it.
pub(crate) fn bytes(info: &ResourceInfo, object: &Object) -> Bytes {
    if same_form(info, &object.value) {
        return object.bytes();
    }
    let shown = from_storage(info, &object.value);
    Bytes::from(serde_json::to_vec(&*shown).expect("a JSON value always serialises"))
}
