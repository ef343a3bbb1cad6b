//! What makes an object invalid, apart from a CRD's schema: names, immutable fields.

mod builtin;
mod event;
mod name;

use serde_json::{Value, json};

use crate::admission;
use crate::object::{finalizers, is_deleting, meta, meta_str};
use crate::registry;
use crate::resource::ResourceInfo;
use crate::status_error::Cause;

/// Everything that is wrong with a new object.
pub(crate) fn create(info: &ResourceInfo, value: &Value) -> Vec<Cause> {
    let mut causes = metadata(info, value);
    match &info.schema {
        Some(schema) => causes.extend(schema.validate(value, None)),
        None if info.kind == "Event" => {
            causes.extend(event::create(value, info.group == "events.k8s.io"));
        }
        None => causes.extend(builtin_kind(&info.kind, value)),
    }
    causes
}

fn builtin_kind(kind: &str, value: &Value) -> Vec<Cause> {
    match kind {
        "CustomResourceDefinition" => definition(value),
        "ValidatingAdmissionPolicy" => admission::check_policy(value),
        _ => builtin::create(kind, value),
    }
}

/// Everything that is wrong with a replacement of `old`.
pub(crate) fn update(
    info: &ResourceInfo,
    subresource: &str,
    value: &Value,
    old: &Value,
) -> Vec<Cause> {
    let mut causes = metadata(info, value);
    for field in ["uid", "name", "namespace"] {
        if meta(value, field) != meta(old, field) {
            let given = meta(value, field).cloned().unwrap_or(Value::Null);
            let path = format!("metadata.{field}");
            let cause = Cause::invalid(path, &given, "field is immutable");
            // Metadata of built-in kinds is validated twice.
            causes.extend(std::iter::repeat_n(cause, if info.is_custom() { 1 } else { 2 }));
        }
    }
    if is_deleting(old) {
        let before = finalizers(old);
        let added: Vec<&str> =
            finalizers(value).into_iter().filter(|f| !before.contains(f)).collect();
        if !added.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new \
                 finalizers []string{{{}}}",
                added.iter().map(|f| format!("{f:?}")).collect::<Vec<_>>().join(", ")
            );
            let cause = Cause::forbidden("metadata.finalizers", &detail);
            causes.extend(std::iter::repeat_n(cause, if info.is_custom() { 1 } else { 2 }));
        }
    }
    match &info.schema {
        Some(schema) => causes.extend(schema.validate(value, Some(old))),
        None if info.kind == "Event" => {
            causes.extend(event::update(value, old, info.group == "events.k8s.io"));
        }
        None if subresource.is_empty() => {
            causes.extend(builtin_kind(&info.kind, value));
            causes.extend(builtin::update(&info.kind, value, old));
        }
        None => {}
    }
    causes
}

fn metadata(info: &ResourceInfo, value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let given = meta_str(value, "name");
    if given.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if let Some(problem) = name::problem(&info.group, &info.kind, given) {
        causes.push(Cause::invalid("metadata.name", &json!(given), &problem));
    }
    for (key, label) in meta(value, "labels").and_then(Value::as_object).into_iter().flatten() {
        if let Some(problem) = name::label_key_problem(key) {
            causes.push(Cause::invalid("metadata.labels", &json!(key), &problem));
        }
        let text = label.as_str().unwrap_or_default();
        if !label.is_string() || !name::is_label_value(text) {
            causes.push(Cause::invalid("metadata.labels", label, name::LABEL_VALUE));
        }
    }
    let owners = meta(value, "ownerReferences").and_then(Value::as_array);
    for owner in owners.into_iter().flatten() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner.get(field).and_then(Value::as_str).unwrap_or_default().is_empty() {
                let path = format!("metadata.ownerReferences.{field}");
                causes.push(Cause::invalid(path, &json!(""), "must not be empty"));
            }
        }
    }
    causes
}

/// A CRD's name and schemas.
fn definition(value: &Value) -> Vec<Cause> {
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let mut causes = Vec::new();
    let expected = format!("{}.{}", text("/spec/names/plural"), text("/spec/group"));
    if meta_str(value, "name") != expected {
        causes.push(Cause::invalid(
            "metadata.name",
            &json!(meta_str(value, "name")),
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    if let Err(found) = registry::crd_infos(value) {
        causes.extend(found);
    }
    causes
}
