//! Values against their types.

use serde_json::Value;

use super::Type;

/// Something in an object that its type does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// A field that does not exist: its path, `spec.replcas`.
    Unknown(String),
    /// A value of another type: its path and what it is and should be.
    Mistyped(String, String),
}

/// Booleans, numbers and texts that are no pointers in Go, and so are dropped when they say
/// nothing. Others are kept: whether they are pointers, a schema does not tell.
const DROPPED_FALSE: [&str; 7] =
    ["hostIPC", "hostNetwork", "hostPID", "readOnly", "stdin", "stdinOnce", "tty"];
const DROPPED_ZERO: [&str; 6] = [
    "failureThreshold",
    "hostPort",
    "initialDelaySeconds",
    "minReadySeconds",
    "periodSeconds",
    "successThreshold",
];
const DROPPED_EMPTY: [&str; 9] = [
    "generateName",
    "hostname",
    "nodeName",
    "schedulerName",
    "serviceAccount",
    "serviceAccountName",
    "subPath",
    "value",
    "workingDir",
];

/// Where a value stands, as a chain of its parents; made into text only for a problem.
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// Everything in a value that is not of the type.
pub(crate) fn check(value: &Value, of: &Type) -> Vec<Problem> {
    let mut problems = Vec::new();
    walk(&Path::Root, value, of, &mut problems);
    problems
}

fn walk(path: &Path<'_>, value: &Value, of: &Type, problems: &mut Vec<Problem>) {
    match (of, value) {
        (_, Value::Null) | (Type::Any, _) => {}
        (Type::Struct { fields, .. }, Value::Object(map)) => {
            for (name, field) in map {
                let path = Path::Field(path, name);
                match fields.get(name) {
                    Some(of) => walk(&path, field, of, problems),
                    None => problems.push(Problem::Unknown(path.to_string())),
                }
            }
        }
        (Type::Map(item), Value::Object(map)) => {
            for (name, entry) in map {
                walk(&Path::Field(path, name), entry, item, problems);
            }
        }
        (Type::List(item), Value::Array(items)) => {
            for (index, entry) in items.iter().enumerate() {
                walk(&Path::Item(path, index), entry, item, problems);
            }
        }
        (Type::Text, Value::String(_))
        | (Type::Boolean, Value::Bool(_))
        | (Type::Number, Value::Number(_))
        | (Type::TextOrNumber, Value::String(_) | Value::Number(_)) => {}
        (Type::Integer, Value::Number(number)) if number.is_i64() || number.is_u64() => {}
        (_, other) => {
            let text = format!("{} is no {}", kind_of(other), name_of(of));
            problems.push(Problem::Mistyped(path.to_string(), text));
        }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn name_of(of: &Type) -> &'static str {
    match of {
        Type::Struct { .. } | Type::Map(_) => "object",
        Type::List(_) => "array",
        Type::Text => "string",
        Type::Integer => "integer",
        Type::Number => "number",
        Type::Boolean => "bool",
        Type::TextOrNumber => "string or number",
        Type::Any => "value",
    }
}

/// Takes out fields that the type does not have.
pub(crate) fn drop_unknown(value: &mut Value, of: &Type) {
    match (of, value) {
        (Type::Struct { fields, .. }, Value::Object(map)) => {
            map.retain(|name, _| fields.contains_key(name));
            for (name, field) in map {
                if let Some(of) = fields.get(name) {
                    drop_unknown(field, of);
                }
            }
        }
        (Type::Map(item), Value::Object(map)) => {
            map.values_mut().for_each(|entry| drop_unknown(entry, item));
        }
        (Type::List(item), Value::Array(items)) => {
            items.iter_mut().for_each(|entry| drop_unknown(entry, item));
        }
        _ => {}
    }
}

/// Takes out what Go leaves out when it is empty: nulls, lists, maps, some texts and booleans.
pub(crate) fn drop_empty(value: &mut Value, of: &Type) {
    match (of, value) {
        (Type::Struct { fields, required }, Value::Object(map)) => {
            let mut dropped = false;
            for (name, field) in map.iter_mut() {
                if let Some(of) = fields.get(name) {
                    drop_empty(field, of);
                    dropped |= says_nothing(name, field, of) && !required.contains(name);
                }
            }
            // To go through a map and take nothing out costs as much as to build it anew.
            if dropped {
                map.retain(|name, field| {
                    required.contains(name)
                        || !fields.get(name).is_some_and(|of| says_nothing(name, field, of))
                });
            }
        }
        (Type::Map(item), Value::Object(map)) => {
            map.values_mut().for_each(|entry| drop_empty(entry, item));
        }
        (Type::List(item), Value::Array(items)) => {
            items.iter_mut().for_each(|entry| drop_empty(entry, item));
        }
        _ => {}
    }
}

fn says_nothing(name: &str, value: &Value, of: &Type) -> bool {
    match (of, value) {
        (_, Value::Null) => true,
        (Type::List(_), Value::Array(items)) => items.is_empty(),
        (Type::Map(_), Value::Object(map)) => map.is_empty(),
        (Type::Boolean, Value::Bool(false)) => DROPPED_FALSE.contains(&name),
        (Type::Integer, Value::Number(number)) => {
            number.as_i64() == Some(0) && DROPPED_ZERO.contains(&name)
        }
        (Type::Text, Value::String(text)) => text.is_empty() && DROPPED_EMPTY.contains(&name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::types::of;

    #[test]
    fn misspelt_and_mistyped_fields_are_found() {
        let deployment = of("Deployment").expect("built in");
        let value = json!({"spec": {"replcas": 1, "replicas": "1", "template": {"spec":
            {"containers": [{"name": "a", "imag": "b", "resources": {"limits": {"cpu": 1}}}]}}}});
        assert_eq!(
            check(&value, deployment),
            [
                Problem::Unknown("spec.replcas".to_owned()),
                Problem::Mistyped("spec.replicas".to_owned(), "string is no integer".to_owned()),
                Problem::Unknown("spec.template.spec.containers[0].imag".to_owned()),
            ]
        );
    }

    #[test]
    fn empty_lists_and_maps_go_and_empty_structs_stay() {
        let policy = of("NetworkPolicy").expect("built in");
        let mut value = json!({"metadata": {"labels": {}}, "spec": {"podSelector": {},
            "egress": [], "ingress": [{"from": []}]}});
        drop_empty(&mut value, policy);
        let spec = json!({"podSelector": {}, "ingress": [{}]});
        assert_eq!(value, json!({"metadata": {}, "spec": spec}));
    }
}
