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
            // `$patch` and `$retainKeys` are done, `$setElementOrder` comes last.
        } else if change.is_null() {
            result.remove(name);
        } else {
            let present = result.get(name).cloned().unwrap_or(Value::Null);
            result.insert(name.clone(), patch(&present, change, shape.field(name)));
        }
    }
    for (name, order) in patch_fields {
        let Some(list) = name.strip_prefix("$setElementOrder/") else { continue };
        let live = current.get(list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if let (Some(Value::Array(items)), Value::Array(order)) = (result.get_mut(list), order) {
            *items = arrange(std::mem::take(items), order, live, shape.field(list));
        }
    }
    result
}

/// Whether two items of a list are the same one. Patches find items by the first key alone.
fn same(a: &Value, b: &Value, shape: &Shape) -> bool {
    match shape {
        Shape::ListMap { keys, .. } => keys.first().is_some_and(|key| a.get(key) == b.get(key)),
        _ => a == b,
    }
}

fn patch_list(current: &[Value], changes: &[Value], shape: &Shape) -> Vec<Value> {
    let directive = |c: &Value| c.get("$patch").and_then(Value::as_str).map(str::to_owned);
    if changes.iter().any(|c| directive(c).as_deref() == Some("replace")) {
        return changes.iter().filter(|c| directive(c).is_none()).cloned().collect();
    }
    if !shape.is_granular_list() {
        return changes.to_vec();
    }
    let mut result = current.to_vec();
    let mut order = Vec::new();
    for change in changes {
        let at = result.iter().position(|item| same(item, change, shape));
        match (at, directive(change).as_deref()) {
            (Some(at), Some("delete")) => {
                result.remove(at);
            }
            (None, Some("delete")) => {}
            (Some(at), _) => {
                result[at] = patch(&result[at], change, shape.item());
                order.push(change.clone());
            }
            (None, _) => {
                result.push(patch(&Value::Null, change, shape.item()));
                order.push(change.clone());
            }
        }
    }
    arrange(result, &order, current, shape)
}

/// The items that `order` names, in that order; each of the others goes in front of the first of
/// them that followed it in the live list.
fn arrange(items: Vec<Value>, order: &[Value], live: &[Value], shape: &Shape) -> Vec<Value> {
    let place = |item: &Value| live.iter().position(|l| same(l, item, shape));
    let (mut named, others): (Vec<Value>, Vec<Value>) =
        items.into_iter().partition(|item| order.iter().any(|o| same(o, item, shape)));
    named.sort_by_key(|item| order.iter().position(|o| same(o, item, shape)));
    let mut others = others.into_iter().peekable();
    let mut result = Vec::new();
    for item in named {
        while let (Some(other), Some(at)) = (others.peek(), place(&item)) {
            if place(other).is_none_or(|other_at| other_at > at) {
                break;
            }
            result.extend(others.next());
        }
        result.push(item);
    }
    result.extend(others);
    result
}
