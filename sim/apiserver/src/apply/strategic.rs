//! Strategic merge patch: lists of structs merge by key, with `$patch` and friends.
//!
//! Source: k8s.io/apimachinery `strategicpatch`; documented in the API conventions.

use serde_json::{Map, Value};

use crate::shape::Shape;

/// The patched value.
pub(crate) fn patch(current: &Value, patch: &Value, shape: &Shape) -> Value {
    match (current, patch) {
        (Value::Object(current), Value::Object(patch)) => {
            Value::Object(patch_map(current, patch, shape))
        }
        (Value::Array(current), Value::Array(patch)) => {
            Value::Array(patch_list(current, patch, shape))
        }
        (_, Value::Object(new)) => Value::Object(patch_map(&Map::new(), new, shape)),
        (_, Value::Array(new)) => Value::Array(patch_list(&[], new, shape)),
        (_, other) => other.clone(),
    }
}

fn patch_map(
    current: &Map<String, Value>,
    patch_fields: &Map<String, Value>,
    shape: &Shape,
) -> Map<String, Value> {
    match patch_fields.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            let mut whole = patch_fields.clone();
            whole.remove("$patch");
            return whole;
        }
        Some("delete") => return Map::new(),
        _ => {}
    }
    let mut result = current.clone();
    if let Some(Value::Array(kept)) = patch_fields.get("$retainKeys") {
        result.retain(|name, _| kept.iter().any(|k| k.as_str() == Some(name)));
    }
    for (name, change) in patch_fields {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(Value::Array(items)), Value::Array(gone)) = (result.get_mut(list), change)
            {
                items.retain(|item| !gone.contains(item));
            }
        } else if name.starts_with('$') {
            // `$patch`, `$retainKeys` are done; `$setElementOrder` only orders.
        } else if change.is_null() {
            result.remove(name);
        } else {
            let present = result.get(name).cloned().unwrap_or(Value::Null);
            result.insert(name.clone(), patch(&present, change, shape.field(name)));
        }
    }
    result
}

fn patch_list(current: &[Value], changes: &[Value], shape: &Shape) -> Vec<Value> {
    let replaces = |c: &&Value| c.get("$patch").and_then(Value::as_str) == Some("replace");
    if changes.iter().any(|c| replaces(&c)) {
        return changes.iter().filter(|c| !replaces(c)).cloned().collect();
    }
    match shape {
        Shape::Set => {
            let mut result = current.to_vec();
            for change in changes {
                if !result.contains(change) {
                    result.push(change.clone());
                }
            }
            result
        }
        // Patches find items by the first key alone.
        Shape::ListMap { keys, .. } => match keys.first() {
            Some(key) => patch_items(current, changes, key, shape.item()),
            None => changes.to_vec(),
        },
        _ => changes.to_vec(),
    }
}

fn patch_items(current: &[Value], changes: &[Value], key: &str, shape: &Shape) -> Vec<Value> {
    let deletes = |c: &Value| c.get("$patch").and_then(Value::as_str) == Some("delete");
    let same = |a: &Value, b: &Value| a.get(key) == b.get(key);
    let place = |item: &Value| current.iter().position(|c| same(c, item));
    let mut patched: Vec<Value> = Vec::new();
    for change in changes.iter().filter(|c| !deletes(c)) {
        let present =
            place(change).map_or_else(|| Value::Object(Map::new()), |at| current[at].clone());
        patched.push(patch(&present, change, shape));
    }
    let mut untouched =
        current.iter().filter(|item| !changes.iter().any(|c| same(c, item))).peekable();
    // Items of the patch keep their order; the others go in front of the first that followed them.
    let mut result = Vec::with_capacity(current.len() + patched.len());
    for item in patched {
        while let (Some(other), Some(at)) = (untouched.peek(), place(&item)) {
            if place(other).is_none_or(|other_at| other_at > at) {
                break;
            }
            result.extend(untouched.next().cloned());
        }
        result.push(item);
    }
    result.extend(untouched.cloned());
    result
}
