//! Whether a value is at least another one: it may have more fields, and nothing else.
//!
//! What a server fills in by default are fields that nobody set; what it returns in another form
//! are amounts. Lists have to have the same length, as an item too many is a container, a volume or
//! a destination that nobody asked for.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::quantity;

/// Lists whose order means nothing, and the field that names their items.
const KEYED: [(&str, &str); 3] =
    [("env", "name"), ("volumes", "name"), ("volumeMounts", "mountPath")];

/// The first place at which `have` is not what `want` says, and how; none if it is.
pub(crate) fn difference(have: &Value, want: &Value) -> Option<String> {
    let mut path = Vec::new();
    let (have, want) = differ(have, want, &mut path)?;
    Some(format!("{} is {have} instead of {want}", path.join(".")))
}

/// The two values that differ; leaves the way to them in `path`.
fn differ(have: &Value, want: &Value, path: &mut Vec<String>) -> Option<(String, String)> {
    let in_amounts = path.iter().any(|part| part == "resources");
    match (have, want) {
        (_, Value::Null) => None,
        (Value::Null, empty) if is_empty(empty) => None,
        (Value::Object(have), Value::Object(want)) => want.iter().find_map(|(name, want)| {
            path.push(name.clone());
            let have = have.get(name).unwrap_or(&Value::Null);
            let found = match KEYED.iter().find(|(list, _)| list == name) {
                Some((_, key)) if !want.is_null() => differ_keyed(have, want, key, path),
                _ => differ(have, want, path),
            };
            if found.is_none() {
                path.pop();
            }
            found
        }),
        (Value::Array(have), Value::Array(want)) if have.len() == want.len() => {
            have.iter().zip(want).enumerate().find_map(|(index, (have, want))| {
                path.push(index.to_string());
                let found = differ(have, want, path);
                if found.is_none() {
                    path.pop();
                }
                found
            })
        }
        (have, want) if have == want => None,
        (have, want) if in_amounts && same_amount(have, want) => None,
        (have, want) => Some((have.to_string(), want.to_string())),
    }
}

fn differ_keyed(
    have: &Value,
    want: &Value,
    key: &str,
    path: &mut Vec<String>,
) -> Option<(String, String)> {
    let (Some(have_by), Some(want_by)) = (by_key(have, key), by_key(want, key)) else {
        return differ(have, want, path);
    };
    if have_by.len() != want_by.len() {
        let names = |by: &Map<String, Value>| format!("{:?}", by.keys().collect::<Vec<_>>());
        return Some((names(&have_by), names(&want_by)));
    }
    differ(&Value::Object(have_by), &Value::Object(want_by), path)
}

fn by_key(list: &Value, key: &str) -> Option<Map<String, Value>> {
    let items = match list {
        Value::Null => &[][..],
        other => other.as_array()?,
    };
    items.iter().map(|item| Some((item.get(key)?.as_str()?.to_owned(), item.clone()))).collect()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Null => true,
        _ => false,
    }
}

fn same_amount(a: &Value, b: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let (Some(a), Some(b)) = (text(a), text(b)) else { return false };
    quantity::compare(&a, &b) == Some(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_order_of_names_and_forms_of_amounts_are_no_difference() {
        let want = json!({"a": {}, "env": [{"name": "X"}, {"name": "Y", "value": "1"}],
            "resources": {"limits": {"cpu": 2, "memory": "1024Mi"}}, "none": null, "egress": []});
        let have = json!({"b": 1, "env": [{"name": "Y", "value": "1"}, {"name": "X"}],
            "resources": {"limits": {"cpu": "2", "memory": "1Gi"}}});
        assert_eq!(difference(&have, &want), None);
    }

    #[test]
    fn whatever_is_missing_too_much_or_other_is_named() {
        let want = json!({"spec": {"egress": [{"to": 1}], "x": "1"}});
        for (have, said) in [
            (json!({"spec": {"egress": [], "x": "1"}}), "spec.egress is []"),
            (json!({"spec": {"egress": [{"to": 2}], "x": "1"}}), "spec.egress.0.to is 2"),
            (json!({"spec": {"egress": [{"to": 1}, {}], "x": "1"}}), "spec.egress is"),
            (json!({"spec": {"egress": [{"to": 1}], "x": "1.0"}}), "spec.x is \"1.0\""),
        ] {
            let found = difference(&have, &want).expect("they differ");
            assert!(found.starts_with(said), "{found}");
        }
        let added = json!({"env": [{"name": "X"}, {"name": "Z"}]});
        assert!(difference(&added, &json!({"env": [{"name": "X"}]})).is_some());
    }
}
