//! What one field manager owns of an object, read from `metadata.managedFields`.
//!
//! A delete first marks the object by an apply. An apply that left out what we applied before
//! would take those fields away (and be refused for the required ones), so the mark repeats
//! exactly what this manager owns.

use serde_json::{Map, Value};

/// The manifest that `manager` last applied, with the values that the object has now; the name and
/// namespace are not part of it. None if the manager never applied.
pub(super) fn owned_by(live: &Value, manager: &str) -> Option<Value> {
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    let entry = entries.iter().find(|entry| {
        entry["manager"] == manager
            && entry["operation"] == "Apply"
            && entry.get("subresource").and_then(Value::as_str).unwrap_or("").is_empty()
    })?;
    Some(extract(live, entry.get("fieldsV1")?))
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
    fn a_manager_that_never_applied_owns_nothing() {
        assert_eq!(owned_by(&live(), "somebody"), None);
        assert_eq!(owned_by(&json!({"metadata": {}}), "rynxs"), None);
    }
}
