//! What a CustomResourceDefinition defines, and the status that the server gives it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::resource::{ALL_VERBS, ResourceInfo, StorageKey};
use crate::schema::Schema;
use crate::shape;
use crate::status_error::Cause;

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn strings(value: &Value, path: &str) -> Vec<String> {
    let list = value.pointer(path).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

/// The resources of all served versions of a CRD.
pub(crate) fn infos(crd: &Value) -> Result<Vec<ResourceInfo>, Vec<Cause>> {
    let group = text(crd, "/spec/group");
    let plural = text(crd, "/spec/names/plural");
    let kind = text(crd, "/spec/names/kind");
    let mut found = Vec::new();
    for version in crd.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten() {
        if version.get("served") == Some(&Value::Bool(false)) {
            continue;
        }
        let schema = Schema::compile(version)?;
        found.push(ResourceInfo {
            group: group.to_owned(),
            version: text(version, "/name").to_owned(),
            kind: kind.to_owned(),
            list_kind: match text(crd, "/spec/names/listKind") {
                "" => format!("{kind}List"),
                given => given.to_owned(),
            },
            plural: plural.to_owned(),
            singular: match text(crd, "/spec/names/singular") {
                "" => kind.to_lowercase(),
                given => given.to_owned(),
            },
            short_names: strings(crd, "/spec/names/shortNames"),
            categories: strings(crd, "/spec/names/categories"),
            namespaced: text(crd, "/spec/scope") == "Namespaced",
            has_status: version.pointer("/subresources/status").is_some(),
            verbs: ALL_VERBS,
            storage: StorageKey::new(group, plural),
            shape: Arc::new(shape::custom(version.pointer("/schema/openAPIV3Schema"))),
            schema: Some(Arc::new(schema)),
            crd_version: Some(Arc::new(version.clone())),
        });
    }
    Ok(found)
}

/// Fills in defaults and, as the real server's controllers do within a moment, the status.
pub(crate) fn accept(crd: &mut Value, now: &str) {
    let kind = text(crd, "/spec/names/kind").to_owned();
    if let Some(names) = crd.pointer_mut("/spec/names").and_then(Value::as_object_mut) {
        names.entry("singular").or_insert_with(|| json!(kind.to_lowercase()));
        names.entry("listKind").or_insert_with(|| json!(format!("{kind}List")));
    }
    if let Some(spec) = crd.get_mut("spec").and_then(Value::as_object_mut) {
        spec.entry("conversion").or_insert_with(|| json!({"strategy": "None"}));
    }
    let storage = crd
        .pointer("/spec/versions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|v| v.get("storage") == Some(&Value::Bool(true)))
        .map_or_else(String::new, |v| text(v, "/name").to_owned());
    let mut stored = strings(crd, "/status/storedVersions");
    if !storage.is_empty() && !stored.contains(&storage) {
        stored.push(storage);
    }
    let condition = |name: &str, reason: &str, message: &str| {
        json!({"type": name, "status": "True", "reason": reason, "message": message,
               "lastTransitionTime": now})
    };
    let conditions = match crd.pointer("/status/conditions") {
        Some(existing) if existing.as_array().is_some_and(|list| !list.is_empty()) => {
            existing.clone()
        }
        _ => json!([
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition(
                "Established",
                "InitialNamesAccepted",
                "the initial names have been accepted"
            ),
        ]),
    };
    let names = crd.pointer("/spec/names").cloned().unwrap_or_else(|| json!({}));
    crd["status"] =
        json!({"acceptedNames": names, "conditions": conditions, "storedVersions": stored});
}
