//! Values along their shapes: which fields they have, how they differ, how they merge.
//!
//! Follows the rules of structured-merge-diff (sigs.k8s.io/structured-merge-diff, `typed`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::fieldset::FieldSet;
use crate::shape::Shape;

fn field(name: &str) -> String {
    format!("f:{name}")
}

/// The path element of a list item, or `None` if the item lacks a key.
fn item_element(shape: &Shape, item: &Value) -> Option<String> {
    match shape {
        Shape::ListMap { keys, defaults, .. } => {
            let mut found = Map::new();
            for key in keys {
                if let Some(value) = item.get(key).or_else(|| defaults.get(key)) {
                    found.insert(key.clone(), value.clone());
                }
            }
            (!found.is_empty()).then(|| format!("k:{}", Value::Object(found)))
        }
        Shape::Set => Some(format!("v:{item}")),
        _ => None,
    }
}

/// Items by path element; the first of equal ones wins.
fn by_element<'a>(shape: &Shape, items: &'a [Value]) -> BTreeMap<String, &'a Value> {
    let mut map = BTreeMap::new();
    for item in items {
        if let Some(element) = item_element(shape, item) {
            map.entry(element).or_insert(item);
        }
    }
    map
}

/// The fields that a configuration sets.
pub(crate) fn fields_of(value: &Value, shape: &Shape) -> FieldSet {
    let mut set = FieldSet::default();
    match value {
        Value::Object(map) if shape.is_granular_map() => {
            for (name, child) in map {
                let element = field(name);
                let child_shape = shape.field(name);
                let empty = child.is_null() || child.as_object().is_some_and(Map::is_empty);
                if empty || is_leaf(child, child_shape) || !shape.declares(name) {
                    set.insert(&element);
                }
                set.insert_below(&element, fields_of(child, child_shape));
            }
        }
        Value::Array(items) if shape.is_granular_list() => {
            for item in items {
                if let Some(element) = item_element(shape, item) {
                    set.insert(&element);
                    set.insert_below(&element, fields_of(item, shape.item()));
                }
            }
        }
        _ => {}
    }
    set
}

fn is_leaf(value: &Value, shape: &Shape) -> bool {
    match value {
        Value::Object(_) => !shape.is_granular_map(),
        Value::Array(_) => !shape.is_granular_list(),
        _ => true,
    }
}

/// How two values differ.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    /// Only in the new value.
    pub(crate) added: FieldSet,
    /// In both, not equal.
    pub(crate) modified: FieldSet,
    /// Only in the old value.
    pub(crate) removed: FieldSet,
}

impl Difference {
    fn put_below(&mut self, element: &str, below: Difference) {
        self.added.insert_below(element, below.added);
        self.modified.insert_below(element, below.modified);
        self.removed.insert_below(element, below.removed);
    }

    fn put(&mut self, element: &str, old: Option<&Value>, new: Option<&Value>, shape: &Shape) {
        match (old, new) {
            (None, None) => return,
            (None, Some(_)) => self.added.insert(element),
            (Some(_), None) => self.removed.insert(element),
            (Some(old), Some(new)) if old == new => return,
            (Some(old), Some(new)) => {
                let leaves = (is_leaf(old, shape), is_leaf(new, shape));
                // Beside a container, null is an empty one.
                let nulls = old.is_null() && !leaves.1 || new.is_null() && !leaves.0;
                if (leaves.0 || leaves.1) && !nulls {
                    // Where a map gives way to a scalar, its fields go; the other way, they come.
                    self.modified.insert(element);
                    let inner = |v, leaf: bool| (!leaf).then_some(v);
                    let below = difference(inner(old, leaves.0), inner(new, leaves.1), shape);
                    self.put_below(element, below);
                    return;
                }
            }
        }
        self.put_below(element, difference(old, new, shape));
    }
}

/// What changes from `old` to `new`.
pub(crate) fn difference(old: Option<&Value>, new: Option<&Value>, shape: &Shape) -> Difference {
    difference_but("", old, new, shape)
}

/// What changes from `old` to `new`, but for the field of this name.
pub(crate) fn difference_but(
    left_out: &str,
    old: Option<&Value>,
    new: Option<&Value>,
    shape: &Shape,
) -> Difference {
    let mut result = Difference::default();
    let is_map = |v: Option<&Value>| v.is_none_or(|v| v.is_object() || v.is_null());
    let is_list = |v: Option<&Value>| v.is_none_or(|v| v.is_array() || v.is_null());
    if is_map(old) && is_map(new) && shape.is_granular_map() {
        let empty = Map::new();
        let old = old.and_then(Value::as_object).unwrap_or(&empty);
        let new = new.and_then(Value::as_object).unwrap_or(&empty);
        for (name, before) in old {
            let after = new.get(name);
            // Most of what is written is as it was.
            if name != left_out && after != Some(before) {
                result.put(&field(name), Some(before), after, shape.field(name));
            }
        }
        for (name, after) in new {
            if name != left_out && !old.contains_key(name) {
                result.put(&field(name), None, Some(after), shape.field(name));
            }
        }
    } else if is_list(old) && is_list(new) && shape.is_granular_list() {
        let old = old.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let new = new.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let (old, new) = (by_element(shape, old), by_element(shape, new));
        for (element, before) in &old {
            result.put(element, Some(before), new.get(element).copied(), shape.item());
        }
        for (element, after) in &new {
            if !old.contains_key(element) {
                result.put(element, None, Some(after), shape.item());
            }
        }
    }
    result
}

/// `live` overlaid by `config`.
pub(crate) fn merge(live: &Value, config: &Value, shape: &Shape) -> Value {
    match (live, config) {
        (Value::Object(live), Value::Object(config)) if shape.is_granular_map() => {
            let mut merged = Map::new();
            for (name, present) in live {
                let value = match config.get(name) {
                    Some(wanted) => merge(present, wanted, shape.field(name)),
                    None => present.clone(),
                };
                merged.insert(name.clone(), value);
            }
            for (name, wanted) in config {
                if !live.contains_key(name) {
                    merged.insert(name.clone(), wanted.clone());
                }
            }
            Value::Object(merged)
        }
        (Value::Array(live), Value::Array(config)) if shape.is_granular_list() => {
            Value::Array(merge_lists(live, config, shape))
        }
        _ => config.clone(),
    }
}

/// Items of `config` in their order, with items that only `live` has kept in their places.
fn merge_lists(live: &[Value], config: &[Value], shape: &Shape) -> Vec<Value> {
    let elements = |items: &[Value]| -> Vec<Option<String>> {
        items.iter().map(|item| item_element(shape, item)).collect()
    };
    let (live_elements, config_elements) = (elements(live), elements(config));
    let (in_live, in_config) = (by_element(shape, live), by_element(shape, config));
    let mut merged = Vec::with_capacity(live.len().max(config.len()));
    let (mut l, mut c) = (0, 0);
    while l < live.len() || c < config.len() {
        if let Some(element) = live_elements.get(l) {
            let shared = element.as_ref().is_some_and(|e| in_config.contains_key(e));
            if !shared {
                merged.push(live[l].clone());
                l += 1;
                continue;
            }
            // A shared item waits for its turn in the configuration's order, or had it.
            let is_live = |e: &&Option<String>| e.as_ref().is_some_and(|e| in_live.contains_key(e));
            if config_elements[c..].iter().find(is_live) != Some(element) {
                l += 1;
                continue;
            }
            if config_elements.get(c) == Some(element) {
                l += 1;
            }
        }
        if let Some(item) = config.get(c) {
            let present = config_elements[c].as_ref().and_then(|e| in_live.get(e));
            merged.push(match present {
                Some(present) => merge(present, item, shape.item()),
                None => item.clone(),
            });
            c += 1;
        }
    }
    merged
}

/// The value without the members of `set`; `None` if nothing is left of it.
pub(crate) fn remove(value: &Value, set: &FieldSet, shape: &Shape) -> Option<Value> {
    match value {
        Value::Object(map) if shape.is_granular_map() => {
            let mut kept = Map::new();
            for (name, child) in map {
                let element = field(name);
                if set.has(&element) {
                    continue;
                }
                let left = match set.below(&element) {
                    // A container that somebody owns and that lost all of its fields is null.
                    Some(below) => remove(child, below, shape.field(name)).unwrap_or_default(),
                    None => child.clone(),
                };
                kept.insert(name.clone(), left);
            }
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) if shape.is_granular_list() => {
            let mut kept = Vec::new();
            for item in items {
                let element = item_element(shape, item).unwrap_or_default();
                if set.has(&element) {
                    continue;
                }
                let left = match set.below(&element) {
                    Some(below) => remove(item, below, shape.item()),
                    None => Some(item.clone()),
                };
                kept.extend(left);
            }
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        other => Some(other.clone()),
    }
}
