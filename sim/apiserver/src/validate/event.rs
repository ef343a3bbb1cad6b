//! Events: what both of their APIs ask for.

use serde_json::{Value, json};

use crate::object::meta_str;
use crate::status_error::Cause;

/// Longest texts, in bytes.
const LIMITS: [(&str, &str, usize); 4] = [
    ("action", "action", 128),
    ("reason", "reason", 128),
    ("reportingInstance", "reportingInstance", 128),
    ("message", "message", 1024),
];

/// What is wrong with a new Event in stored form; `strict` for the newer API.
pub(super) fn create(value: &Value, strict: bool) -> Vec<Cause> {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let mut causes = Vec::new();
    let namespace = meta_str(value, "namespace");
    let involved =
        value.pointer("/involvedObject/namespace").and_then(Value::as_str).unwrap_or_default();
    let agrees = if involved.is_empty() { namespace == "default" } else { namespace == involved };
    if !agrees {
        let detail = "does not match event.namespace";
        causes.push(Cause::invalid("involvedObject.namespace", &json!(involved), detail));
    }
    if !strict {
        return causes;
    }
    let type_is_known = matches!(text("type"), "Normal" | "Warning");
    let odd_type =
        Cause::invalid("type", &json!(""), &format!("has invalid value: {}", text("type")));
    if text("eventTime").is_empty() {
        causes.push(Cause::required("eventTime", ""));
        causes.extend((!type_is_known).then_some(odd_type));
        return causes;
    }
    let required = [
        ("action", "action"),
        ("reportingComponent", "reportingController"),
        ("reportingInstance", "reportingInstance"),
        ("reason", "reason"),
    ];
    for (stored, shown) in required {
        if text(stored).is_empty() {
            causes.push(Cause::required(shown, ""));
        }
    }
    for (stored, shown, limit) in LIMITS {
        if text(stored).len() > limit {
            let detail = format!("can have at most {limit} characters");
            causes.push(Cause::invalid(shown, &json!(""), &detail));
        }
    }
    causes.extend((!type_is_known).then_some(odd_type));
    causes
}

/// Fields of a stored Event that the newer API does not let anybody change.
const FIXED: [&str; 9] = [
    "involvedObject",
    "reason",
    "message",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
];

/// What is wrong with a replacement; the older API takes everything.
pub(super) fn update(value: &Value, old: &Value, strict: bool) -> Vec<Cause> {
    let changed = FIXED.iter().filter(|field| strict && value.get(**field) != old.get(**field));
    let given = |field: &str| value.get(field).cloned().unwrap_or(Value::Null);
    changed.map(|field| Cause::invalid(*field, &given(field), "field is immutable")).collect()
}
