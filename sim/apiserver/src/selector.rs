//! Label and field selectors of lists and watches.

use serde_json::Value;

use crate::object::{meta, meta_str};
use crate::resource::ResourceInfo;
use crate::status_error::ApiError;

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

/// One requirement on a field.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldRequirement {
    path: String,
    equal: bool,
    value: String,
}

/// What a list or watch selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<FieldRequirement>,
}

impl Selector {
    /// Parses both parameters; 400 if one is malformed or names a field that cannot be selected.
    pub(crate) fn parse(info: &ResourceInfo, labels: &str, fields: &str) -> Result<Self, ApiError> {
        Ok(Self { labels: parse_labels(labels)?, fields: parse_fields(info, fields)? })
    }

    /// Whether nothing is restricted.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object, in the form of the request's version, is selected.
    pub(crate) fn matches(&self, info: &ResourceInfo, object: &Value) -> bool {
        self.labels.iter().all(|r| r.matches(object))
            && self
                .fields
                .iter()
                .all(|f| (field_value(info, object, &f.path) == f.value) == f.equal)
    }
}

impl Requirement {
    fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| meta(object, "labels")?.get(key)?.as_str();
        match self {
            Self::In(key, values) => label(key).is_some_and(|v| values.iter().any(|w| w == v)),
            Self::NotIn(key, values) => label(key).is_none_or(|v| values.iter().all(|w| w != v)),
            Self::Exists(key) => label(key).is_some(),
            Self::Missing(key) => label(key).is_none(),
        }
    }
}

/// Splits at commas outside of parentheses.
fn split_terms(text: &str) -> Vec<&str> {
    let (mut terms, mut depth, mut start) = (Vec::new(), 0_u32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, ApiError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    split_terms(text).into_iter().map(|term| parse_label(term.trim(), text)).collect()
}

fn parse_label(term: &str, whole: &str) -> Result<Requirement, ApiError> {
    let bad = || {
        ApiError::bad_request(format!(
            "unable to parse requirement: found {term:?} in label selector {whole:?}"
        ))
    };
    let key_ok = |key: &str| {
        !key.is_empty()
            && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
    };
    let key = |text: &str| -> Result<String, ApiError> {
        let text = text.trim();
        if key_ok(text) { Ok(text.to_owned()) } else { Err(bad()) }
    };
    if let Some(rest) = term.strip_prefix('!') {
        return Ok(Requirement::Missing(key(rest)?));
    }
    if let Some((before, list)) = term.split_once('(') {
        let values = list.strip_suffix(')').ok_or_else(bad)?;
        let values: Vec<String> = values.split(',').map(|v| v.trim().to_owned()).collect();
        let words: Vec<&str> = before.split_whitespace().collect();
        return match words.as_slice() {
            [name, "in"] => Ok(Requirement::In(key(name)?, values)),
            [name, "notin"] => Ok(Requirement::NotIn(key(name)?, values)),
            _ => Err(bad()),
        };
    }
    if let Some((name, value)) = term.split_once("!=") {
        return Ok(Requirement::NotIn(key(name)?, vec![value.trim().to_owned()]));
    }
    if let Some((name, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Ok(Requirement::In(key(name)?, vec![value.trim().to_owned()]));
    }
    Ok(Requirement::Exists(key(term)?))
}

fn parse_fields(info: &ResourceInfo, text: &str) -> Result<Vec<FieldRequirement>, ApiError> {
    let mut found = Vec::new();
    for term in text.split(',').filter(|t| !t.trim().is_empty()) {
        let (path, equal, value) = if let Some((path, value)) = term.split_once("!=") {
            (path, false, value)
        } else if let Some((path, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
            (path, true, value)
        } else {
            return Err(ApiError::bad_request(format!(
                "invalid selector: {text:?}; can't understand {term:?}"
            )));
        };
        let path = path.trim().to_owned();
        if !selectable(info, &path) {
            return Err(ApiError::bad_request(unselectable(info, &path)));
        }
        found.push(FieldRequirement { path, equal, value: value.trim().to_owned() });
    }
    Ok(found)
}

fn unselectable(info: &ResourceInfo, path: &str) -> String {
    if info.is_custom() || matches!(info.plural.as_str(), "pods" | "events" | "jobs" | "secrets") {
        format!("field label not supported: {path}")
    } else {
        format!(
            "{path:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        )
    }
}

fn selectable(info: &ResourceInfo, path: &str) -> bool {
    if path == "metadata.name" || path == "metadata.namespace" {
        return true;
    }
    if let Some(version) = &info.crd_version {
        let listed = version.get("selectableFields").and_then(Value::as_array);
        return listed.into_iter().flatten().any(|f| {
            f.get("jsonPath").and_then(Value::as_str).map(|p| p.trim_start_matches('.'))
                == Some(path)
        });
    }
    match info.plural.as_str() {
        "pods" => matches!(
            path,
            "spec.nodeName"
                | "spec.restartPolicy"
                | "spec.schedulerName"
                | "spec.serviceAccountName"
                | "status.phase"
                | "status.podIP"
                | "status.nominatedNodeName"
        ),
        "events" => {
            path.starts_with("involvedObject.")
                || path.starts_with("regarding.")
                || matches!(path, "reason" | "type" | "source" | "reportingComponent")
                || path == "reportingController"
        }
        "jobs" => path == "status.successful",
        "namespaces" => path == "status.phase",
        "secrets" => path == "type",
        _ => false,
    }
}

fn field_value(info: &ResourceInfo, object: &Value, path: &str) -> String {
    match path {
        "metadata.name" => return meta_str(object, "name").to_owned(),
        "metadata.namespace" => return meta_str(object, "namespace").to_owned(),
        _ => {}
    }
    let path = match (info.plural.as_str(), path) {
        ("jobs", "status.successful") => "status.succeeded",
        ("events", "source") => "source.component",
        (_, path) => path,
    };
    let mut value = object;
    for part in path.split('.') {
        match value.get(part) {
            Some(child) => value = child,
            None => return String::new(),
        }
    }
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::Registry;

    fn matches(labels: &str, fields: &str, object: &Value) -> bool {
        let registry = Registry::new();
        let info = registry.get("", "v1", "pods").expect("built in");
        Selector::parse(info, labels, fields).expect("parses").matches(info, object)
    }

    #[test]
    fn every_operator_selects_what_it_says() {
        let object = json!({"metadata": {"name": "a", "labels": {"app": "x", "tier": "1"}},
                            "status": {"phase": "Running"}});
        for (labels, expected) in [
            ("app=x", true),
            ("app==x,tier=1", true),
            ("app=y", false),
            ("app!=y", true),
            ("none!=y", true),
            ("app in (x, y)", true),
            ("app notin (x,y)", false),
            ("none notin (x)", true),
            ("app", true),
            ("none", false),
            ("!none", true),
            ("!app,tier", false),
        ] {
            assert_eq!(matches(labels, "", &object), expected, "{labels}");
        }
        for (fields, expected) in [
            ("metadata.name=a", true),
            ("metadata.name!=a", false),
            ("status.phase=Running,metadata.name==a", true),
            ("spec.nodeName=", true),
        ] {
            assert_eq!(matches("", fields, &object), expected, "{fields}");
        }
    }

    #[test]
    fn unknown_fields_and_malformed_labels_are_refused() {
        let registry = Registry::new();
        let info = registry.get("", "v1", "configmaps").expect("built in");
        assert_eq!(Selector::parse(info, "", "data.x=1").expect_err("unknown").code, 400);
        assert_eq!(Selector::parse(info, "a b c", "").expect_err("malformed").code, 400);
        assert_eq!(Selector::parse(info, "x in (a", "").expect_err("malformed").code, 400);
    }
}
