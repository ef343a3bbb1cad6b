//! What the server makes of an object before it looks for mistakes: unknown fields are dropped,
//! nulls where none may be are dropped, defaults are filled in.

use serde_json::{Map, Value};

use super::node::{Additional, ListType, Node};

/// Fields of `metadata`; others are unknown in every kind.
const METADATA: [&str; 15] = [
    "annotations",
    "clusterName",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "uid",
];

/// Drops unknown fields; returns their paths, sorted.
pub(super) fn prune(root: &Node, object: &mut Value) -> Vec<String> {
    let mut dropped = Vec::new();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        drop_fields(metadata, "metadata", &mut dropped, |name| METADATA.contains(&name));
    }
    // `metadata` itself is no field of the schema: what a schema says of it only restricts it.
    let metadata = object.as_object_mut().and_then(|fields| fields.remove("metadata"));
    prune_below(root, object, "", &mut dropped);
    if let (Some(metadata), Some(fields)) = (metadata, object.as_object_mut()) {
        fields.insert("metadata".to_owned(), metadata);
    }
    dropped.sort();
    dropped
}

fn drop_fields(
    fields: &mut Map<String, Value>,
    path: &str,
    dropped: &mut Vec<String>,
    is_known: impl Fn(&str) -> bool,
) {
    fields.retain(|name, _| {
        let known = is_known(name);
        if !known {
            dropped.push(join(path, name));
        }
        known
    });
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

fn prune_below(node: &Node, value: &mut Value, path: &str, dropped: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let keeps_all = node.preserves_unknown || !matches!(node.additional, Additional::No);
            if !keeps_all {
                drop_fields(fields, path, dropped, |name| node.properties.contains_key(name));
            }
            for (name, field) in fields.iter_mut() {
                if let Some(node) = node.field(name) {
                    prune_below(node, field, &join(path, name), dropped);
                }
            }
        }
        Value::Array(items) => {
            if let Some(node) = &node.items {
                for (i, item) in items.iter_mut().enumerate() {
                    prune_below(node, item, &format!("{path}[{i}]"), dropped);
                }
            }
        }
        _ => {}
    }
}

/// Fills in defaults, parents first, so that a default below a default is filled in too.
pub(super) fn defaults(node: &Node, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, node) in &node.properties {
                let Some(default) = &node.default else { continue };
                let is_missing = match fields.get(name) {
                    None => true,
                    Some(value) => value.is_null() && !node.nullable,
                };
                if is_missing {
                    fields.insert(name.clone(), default.clone());
                }
            }
            fields.retain(|name, value| {
                !value.is_null() || node.field(name).is_none_or(|n| n.nullable || untyped(n))
            });
            for (name, field) in fields.iter_mut() {
                if let Some(node) = node.field(name) {
                    defaults(node, field);
                }
            }
        }
        Value::Array(items) => {
            if let Some(node) = &node.items {
                items.iter_mut().for_each(|item| defaults(node, item));
            }
        }
        _ => {}
    }
}

fn untyped(node: &Node) -> bool {
    node.kind.is_none() && !node.int_or_string && node.list_type == ListType::Atomic
}
