//! What one field manager owns of an object, read from `metadata.managedFields`.
//!
//! A delete first marks the object by an apply. An apply that left out what we applied before
//! would take those fields away (and be refused for the required ones), so the mark repeats
//! exactly what this manager owns.

use serde_json::{Map, Value};

/// The manifest that `manager` last applied, with the values that the object has now; the name and
/// namespace are not part of it. None if the manager never applied.
pub(super) fn owned_by(live: &Value, manager: &str) -> Option<Value> {
    Some(extract(live, applied_by(live, manager)?))
}

/// The object as it would be without what others added to it: what they own and `manager` does not.
/// Fields that nobody owns, the server's defaults, stay.
#[must_use]
pub fn without_others(live: &Value, manager: &str) -> Value {
    let mut rest = live.clone();
    let Some(ours) = applied_by(live, manager) else { return rest };
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    for entry in entries.into_iter().flatten() {
        let is_ours = entry["manager"] == manager && entry["operation"] == "Apply";
        if !is_ours
            && is_whole(entry)
            && let Some(theirs) = entry.get("fieldsV1")
        {
            strip(&mut rest, theirs, Some(ours));
        }
    }
    rest
}

/// The fields that `manager` last applied.
fn applied_by<'a>(live: &'a Value, manager: &str) -> Option<&'a Value> {
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    let entry = entries.iter().find(|entry| {
        entry["manager"] == manager && entry["operation"] == "Apply" && is_whole(entry)
    })?;
    entry.get("fieldsV1")
}

/// Whether an entry is about the object itself, not about a subresource.
fn is_whole(entry: &Value) -> bool {
    entry.get("subresource").and_then(Value::as_str).unwrap_or("").is_empty()
}

/// Takes away what `theirs` names and `ours` does not.
fn strip(value: &mut Value, theirs: &Value, ours: Option<&Value>) {
    for (path, below) in theirs.as_object().into_iter().flatten() {
        let ours = ours.and_then(|ours| ours.get(path));
        let fields = below.as_object();
        // A leaf, or an item or a map that they own as such.
        let is_owned = fields.is_none_or(|fields| fields.is_empty() || fields.contains_key("."));
        let gone = ours.is_none() && is_owned;
        if let (Some(name), Value::Object(object)) = (path.strip_prefix("f:"), &mut *value) {
            if gone {
                object.remove(name);
            } else if let Some(inner) = object.get_mut(name) {
                strip(inner, below, ours);
            }
        } else if let Value::Array(items) = &mut *value {
            if gone {
                items.retain(|item| !is_item(item, path));
            } else {
                let found = items.iter_mut().filter(|item| is_item(item, path));
                found.for_each(|item| strip(item, below, ours));
            }
        }
    }
}

/// Whether a path element names this item of a list.
fn is_item(item: &Value, path: &str) -> bool {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    match (path.strip_prefix("k:"), path.strip_prefix("v:")) {
        (Some(keys), _) => parsed(keys)
            .and_then(|keys| keys.as_object().cloned())
            .is_some_and(|keys| keys.iter().all(|(name, value)| item.get(name) == Some(value))),
        (_, Some(literal)) => parsed(literal).is_some_and(|literal| literal == *item),
        _ => false,
    }
}

/// Copies the part of `value` that the field set names.
fn extract(value: &Value, fields: &Value) -> Value {
    let Some(fields) = fields.as_object().filter(|fields| fields.keys().any(|key| key != "."))
    else {
        return value.clone();
    };
    match value {
        Value::Object(object) => Value::Object(extract_fields(object, fields)),
        Value::Array(items) => Value::Array(extract_items(items, fields)),
        scalar => scalar.clone(),
    }
}

fn extract_fields(object: &Map<String, Value>, fields: &Map<String, Value>) -> Map<String, Value> {
    let mut owned = Map::new();
    for (path, below) in fields {
        if let Some(name) = path.strip_prefix("f:")
            && let Some(value) = object.get(name)
        {
            owned.insert(name.to_owned(), extract(value, below));
        }
    }
    owned
}

/// Items keep the object's order; the keys of a keyed item always belong to it.
fn extract_items(items: &[Value], fields: &Map<String, Value>) -> Vec<Value> {
    let mut owned = Vec::new();
    for item in items {
        for (path, below) in fields {
            if let Some(keys) = path.strip_prefix("k:")
                && let Ok(Value::Object(keys)) = serde_json::from_str::<Value>(keys)
                && keys.iter().all(|(name, value)| item.get(name) == Some(value))
            {
                let mut copy = extract(item, below);
                if let Value::Object(copy) = &mut copy {
                    copy.extend(keys);
                }
                owned.push(copy);
            } else if let Some(literal) = path.strip_prefix("v:")
                && serde_json::from_str::<Value>(literal).is_ok_and(|literal| literal == *item)
            {
                owned.push(item.clone());
            }
        }
    }
    owned
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live() -> Value {
        json!({
            "metadata": {
                "name": "a-runtime",
                "labels": {"mine": "1", "theirs": "2"},
                "annotations": {"rynxs.universe.ai/stamp": "7"},
                "finalizers": ["x/mine", "x/theirs"],
                "ownerReferences": [{"uid": "u1", "name": "a", "kind": "Agent"}],
                "managedFields": [
                    {"manager": "kubectl", "operation": "Apply",
                     "fieldsV1": {"f:metadata": {"f:labels": {"f:theirs": {}}}}},
                    {"manager": "rynxs", "operation": "Apply", "subresource": "status",
                     "fieldsV1": {"f:status": {}}},
                    {"manager": "rynxs", "operation": "Apply", "fieldsV1": {
                        "f:metadata": {
                            "f:labels": {"f:mine": {}},
                            "f:annotations": {"f:rynxs.universe.ai/stamp": {}},
                            "f:finalizers": {"v:\"x/mine\"": {}},
                            "f:ownerReferences": {"k:{\"uid\":\"u1\"}": {}}
                        },
                        "f:spec": {
                            "f:replicas": {},
                            "f:template": {"f:spec": {"f:containers": {
                                "k:{\"name\":\"agent\"}": {".": {}, "f:image": {}, "f:gone": {}}
                            }}}
                        }
                    }}
                ]
            },
            "spec": {
                "replicas": 1,
                "revisionHistoryLimit": 10,
                "template": {"spec": {"containers": [
                    {"name": "sidecar", "image": "s"},
                    {"name": "agent", "image": "a", "imagePullPolicy": "Always"}
                ]}}
            },
            "status": {"replicas": 1}
        })
    }

    #[test]
    fn only_what_the_manager_applied_is_extracted() {
        assert_eq!(
            owned_by(&live(), "rynxs"),
            Some(json!({
                "metadata": {
                    "labels": {"mine": "1"},
                    "annotations": {"rynxs.universe.ai/stamp": "7"},
                    "finalizers": ["x/mine"],
                    "ownerReferences": [{"uid": "u1", "name": "a", "kind": "Agent"}]
                },
                "spec": {
                    "replicas": 1,
                    "template": {"spec": {"containers": [{"name": "agent", "image": "a"}]}}
                }
            }))
        );
    }

    #[test]
    fn what_others_added_is_left_out_and_defaults_stay() {
        let mut live = json!({
            "metadata": {"managedFields": [
                {"manager": "rynxs", "operation": "Apply", "fieldsV1": {
                    "f:data": {"f:agent.json": {}},
                    "f:spec": {"f:containers": {"k:{\"name\":\"agent\"}": {
                        ".": {}, "f:name": {}, "f:image": {}
                    }}}
                }},
                {"manager": "person", "operation": "Update", "fieldsV1": {
                    "f:data": {"f:agent.json": {}, "f:person": {}},
                    "f:spec": {"f:containers": {
                        "k:{\"name\":\"sidecar\"}": {".": {}, "f:name": {}},
                        "k:{\"name\":\"agent\"}": {"f:command": {}}
                    }}
                }},
                {"manager": "controller", "operation": "Update", "subresource": "status",
                 "fieldsV1": {"f:spec": {"f:replicas": {}}}}
            ]},
            "data": {"agent.json": "{}", "person": "was-here"},
            "spec": {"replicas": 1, "containers": [
                {"name": "agent", "image": "a", "command": ["x"], "imagePullPolicy": "Always"},
                {"name": "sidecar"}
            ]}
        });
        let rest = without_others(&live, "rynxs");
        assert_eq!(rest["data"], json!({"agent.json": "{}"}));
        let agent = json!({"name": "agent", "image": "a", "imagePullPolicy": "Always"});
        assert_eq!(rest["spec"], json!({"replicas": 1, "containers": [agent]}));
        // Without an entry of ours nothing can be told apart.
        live["metadata"]["managedFields"] = json!([]);
        assert_eq!(without_others(&live, "rynxs"), live);
    }

    #[test]
    fn a_manager_that_never_applied_owns_nothing() {
        assert_eq!(owned_by(&live(), "somebody"), None);
        assert_eq!(owned_by(&json!({"metadata": {}}), "rynxs"), None);
    }
}
