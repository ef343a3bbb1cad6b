//! What is wrong with a value, but for rules: types, required fields, bounds, list types.

use serde_json::{Map, Value};

use super::format;
use super::node::{ListType, Node, map_key, type_name};
use crate::status_error::Cause;

/// Everything wrong with a value; a part that equals the old one is not looked at.
pub(super) fn all(root: &Node, value: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    walk(root, value, old, "", &mut causes);
    duplicates(root, value, old, "", &mut causes);
    causes
}

fn shown(path: &str) -> String {
    if path.is_empty() { "<nil>".to_owned() } else { path.to_owned() }
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

fn walk(node: &Node, value: &Value, old: Option<&Value>, path: &str, causes: &mut Vec<Cause>) {
    if old == Some(value) {
        return;
    }
    check_type(node, value, path, causes);
    match value {
        Value::Object(fields) => {
            check_object(node, fields, path, causes);
            for (name, field) in fields {
                if let Some(node) = node.field(name) {
                    let old = old.and_then(|old| old.get(name));
                    walk(node, field, old, &join(path, name), causes);
                }
            }
        }
        Value::Array(items) => {
            check_count(node, items.len(), path, causes);
            if let Some(below) = &node.items {
                for (i, item) in items.iter().enumerate() {
                    let old = node.correlate(item, old);
                    walk(below, item, old, &format!("{path}[{i}]"), causes);
                }
            }
        }
        Value::String(text) => check_text(node, value, text, path, causes),
        Value::Number(_) => check_number(node, value, path, causes),
        Value::Null | Value::Bool(_) => {}
    }
    check_enum(node, value, path, causes);
    check_junctors(node, value, path, causes);
}

fn invalid(path: &str, value: &Value, detail: &str) -> Cause {
    Cause::invalid(shown(path), value, &format!("{path} in body {detail}"))
}

fn check_type(node: &Node, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if value.is_null() && node.nullable {
        return;
    }
    let found = type_name(value);
    if node.int_or_string {
        if !matches!(found, "integer" | "string") {
            causes.push(wrong_type(path, "integer,string", found));
        }
        return;
    }
    let Some(kind) = node.kind.filter(|kind| !kind.is_of(value)) else { return };
    let format = node.limits.format.as_str();
    if format.is_empty() {
        causes.push(wrong_type(path, kind.name(), found));
        return;
    }
    // The server's own oddity: where a format is given, it is named instead of the type, and
    // lists pass.
    match value {
        Value::Array(_) => {}
        Value::Number(_) => {
            let found = if found == "integer" { "int64" } else { "float64" };
            causes.push(wrong_type(path, format, found));
        }
        _ => causes.push(wrong_type(path, format, "")),
    }
}

fn wrong_type(path: &str, expected: &str, found: &str) -> Cause {
    let message = format!(
        "Invalid value: \"{found}\": {path} in body must be of type {expected}: \"{found}\""
    );
    Cause::new("FieldValueTypeInvalid", shown(path), message)
}

fn check_object(node: &Node, fields: &Map<String, Value>, path: &str, causes: &mut Vec<Cause>) {
    for name in &node.required {
        if !fields.contains_key(name) {
            causes.push(Cause::required(join(path, name), ""));
        }
    }
    let count = fields.len() as u64;
    if let Some(least) = node.limits.min_properties.filter(|least| count < *least) {
        let detail = format!("should have at least {least} properties");
        causes.push(invalid(path, &Value::from(count), &detail));
    }
    if let Some(most) = node.limits.max_properties.filter(|most| count > *most) {
        causes.push(too_many(path, count, most));
    }
}

fn check_count(node: &Node, count: usize, path: &str, causes: &mut Vec<Cause>) {
    let count = count as u64;
    if let Some(least) = node.limits.min_items.filter(|least| count < *least) {
        let detail = format!("should have at least {least} items");
        causes.push(invalid(path, &Value::from(count), &detail));
    }
    if let Some(most) = node.limits.max_items.filter(|most| count > *most) {
        causes.push(too_many(path, count, most));
    }
}

fn too_many(path: &str, count: u64, most: u64) -> Cause {
    let items = if most == 1 { "item" } else { "items" };
    let message = format!("Too many: {count}: must have at most {most} {items}");
    Cause::new("FieldValueTooMany", shown(path), message)
}

fn check_text(node: &Node, value: &Value, text: &str, path: &str, causes: &mut Vec<Cause>) {
    let limits = &node.limits;
    let chars = text.chars().count() as u64;
    // The server stops at the first of these three.
    if let Some(most) = limits.max_length.filter(|most| chars > *most) {
        let message = format!("Too long: may not be more than {most} bytes");
        causes.push(Cause::new("FieldValueTooLong", shown(path), message));
    } else if let Some(least) = limits.min_length.filter(|least| chars < *least) {
        causes.push(invalid(path, value, &format!("should be at least {least} chars long")));
    } else if let Some(pattern) = limits.pattern.as_ref().filter(|p| !p.is_match(text)) {
        causes.push(invalid(path, value, &format!("should match '{pattern}'")));
    }
    if !format::is_of(&limits.format, text) {
        let message = format!(
            "Invalid value: {value}: {path} in body must be of type {}: {value}",
            limits.format
        );
        causes.push(Cause::new("FieldValueTypeInvalid", shown(path), message));
    }
}

fn check_number(node: &Node, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let limits = &node.limits;
    let Some(number) = value.as_f64() else { return };
    if let Some(least) = limits.minimum {
        if limits.exclusive_minimum && number <= least {
            causes.push(invalid(path, value, &format!("should be greater than {least}")));
        } else if number < least {
            let detail = format!("should be greater than or equal to {least}");
            causes.push(invalid(path, value, &detail));
        }
    }
    if let Some(most) = limits.maximum {
        if limits.exclusive_maximum && number >= most {
            causes.push(invalid(path, value, &format!("should be less than {most}")));
        } else if number > most {
            let detail = format!("should be less than or equal to {most}");
            causes.push(invalid(path, value, &detail));
        }
    }
    if let Some(factor) = limits.multiple_of.filter(|factor| number % factor != 0.0) {
        causes.push(invalid(path, value, &format!("should be a multiple of {factor}")));
    }
}

fn check_enum(node: &Node, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(supported) = &node.limits.one_of_values else { return };
    if supported.contains(value) || (value.is_null() && node.nullable) {
        return;
    }
    let listed: Vec<String> = supported
        .iter()
        .map(|v| if v.is_string() { v.to_string() } else { format!("\"{v}\"") })
        .collect();
    let message = format!("Unsupported value: {value}: supported values: {}", listed.join(", "));
    causes.push(Cause::new("FieldValueNotSupported", shown(path), message));
}

fn check_junctors(node: &Node, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let problems = |node: &Node| {
        let mut found = Vec::new();
        walk(node, value, None, path, &mut found);
        found
    };
    let whole = |must: &str| {
        Cause::new("FieldValueInvalid", "<nil>", format!("Invalid value: \"\": \"{path}\" {must}"))
    };
    for part in &node.all_of {
        let found = problems(part);
        if !found.is_empty() {
            causes.push(whole("must validate all the schemas (allOf)"));
            causes.extend(found);
        }
    }
    if !node.any_of.is_empty() && !node.any_of.iter().any(|n| problems(n).is_empty()) {
        causes.push(whole("must validate at least one schema (anyOf)"));
        causes.extend(problems(&node.any_of[0]));
    }
    if !node.one_of.is_empty() {
        match node.one_of.iter().filter(|n| problems(n).is_empty()).count() {
            1 => {}
            0 => {
                let must = "must validate one and only one schema (oneOf). Found none valid";
                causes.push(whole(must));
                causes.extend(problems(&node.one_of[0]));
            }
            many => causes.push(whole(&format!(
                "must validate one and only one schema (oneOf). Found {many} valid alternatives"
            ))),
        }
    }
    if node.not.as_ref().is_some_and(|n| problems(n).is_empty()) {
        causes.push(whole("must not validate the schema (not)"));
    }
}

/// Sets and map lists have no two items of one identity.
fn duplicates(
    node: &Node,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    if old == Some(value) {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if let Some(node) = node.field(name) {
                    let old = old.and_then(|old| old.get(name));
                    duplicates(node, field, old, &join(path, name), causes);
                }
            }
        }
        Value::Array(items) => {
            if let ListType::Map(_) = node.list_type
                && let Some(i) = items.iter().position(|item| !item.is_object())
            {
                let detail = "must be an object for an array of list-type map";
                causes.push(Cause::invalid(format!("{path}[{i}]"), &items[i], detail));
                return;
            }
            let identity = |item: &Value| match &node.list_type {
                ListType::Atomic => None,
                ListType::Set => Some(item.clone()),
                ListType::Map(keys) => Some(Value::Object(map_key(keys, item))),
            };
            for (i, item) in items.iter().enumerate() {
                let at = format!("{path}[{i}]");
                let mine = identity(item);
                if mine.is_some() && items[..i].iter().any(|before| identity(before) == mine) {
                    let mine = mine.unwrap_or_default();
                    let message = format!("Duplicate value: {mine}");
                    causes.push(Cause::new("FieldValueDuplicate", at.clone(), message));
                }
                if let Some(below) = &node.items {
                    duplicates(below, item, node.correlate(item, old), &at, causes);
                }
            }
        }
        _ => {}
    }
}
