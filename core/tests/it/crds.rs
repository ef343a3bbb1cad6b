//! The committed CRDs are the generated ones, and their schemas know the types' fields.

use std::path::Path;

use rynxs_core::crd;
use rynxs_core::resource::{AgentSpec, SessionSpec};
use serde_json::{Value, json};

use crate::book::updating;

fn schema(crd: &Value) -> Value {
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

#[allow(clippy::disallowed_methods, reason = "a test reads and writes the files that it holds")]
#[test]
fn the_committed_files_are_what_is_generated() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../helm/rynxs/crds");
    for (name, text) in crd::files() {
        let path = folder.join(name);
        if updating() {
            std::fs::create_dir_all(&folder).expect("the folder can be made");
            std::fs::write(&path, &text).expect("the file can be written");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "{name} is stale: run the tests once with UPDATE_GOLDEN=1");
    }
}

/// Fails where the schema would prune a field of the value.
fn assert_known(schema: &Value, value: &Value, path: &str) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let path = format!("{path}.{name}");
                let known = match &schema["properties"][name] {
                    Value::Null => &schema["additionalProperties"],
                    known => known,
                };
                assert!(known.is_object(), "{path} is not in the schema");
                assert_known(known, inner, &path);
            }
        }
        Value::Array(items) => {
            for item in items {
                assert_known(&schema["items"], item, path);
            }
        }
        _ => {}
    }
}

/// Every property of the schema, as a path; maps end a path.
fn paths(schema: &Value, path: &str, out: &mut Vec<String>) {
    if schema["items"].is_object() {
        return paths(&schema["items"], path, out);
    }
    let Some(properties) = schema["properties"].as_object() else {
        out.push(path.to_owned());
        return;
    };
    for (name, inner) in properties {
        paths(inner, &format!("{path}.{name}"), out);
    }
}

fn has_path(value: &Value, path: &[&str]) -> bool {
    match (value, path.split_first()) {
        (_, None) => true,
        (Value::Array(items), _) => items.iter().any(|item| has_path(item, path)),
        (value, Some((field, rest))) => value.get(field).is_some_and(|inner| has_path(inner, rest)),
    }
}

fn full_agent() -> Value {
    json!({
        "role": "manager",
        "team": "blue",
        "manages": ["a"],
        "permissions": { "read": true },
        "image": { "repository": "r", "tag": "t", "digest": format!("sha256:{:064}", 0) },
        "requireDigest": true,
        "workspace": { "size": "2Gi", "storageClassName": "fast", "retain": true },
        "resources": { "requests": { "cpu": "1" }, "limits": { "memory": "1Gi" } },
        "env": [
            { "name": "A", "value": "x" },
            { "name": "B", "valueFrom": { "secretKeyRef": {
                "name": "s", "key": "k", "optional": true } } },
            { "name": "C", "valueFrom": { "configMapKeyRef": {
                "name": "s", "key": "k", "optional": true } } },
            { "name": "D", "valueFrom": { "fieldRef": {
                "apiVersion": "v1", "fieldPath": "status.podIP" } } },
            { "name": "E", "valueFrom": { "resourceFieldRef": {
                "containerName": "agent", "resource": "limits.memory", "divisor": "1Mi" } } },
        ],
        "runtimeClassName": "gvisor",
        "egress": [
            { "cidr": "10.0.0.0/8", "ports": [{ "port": 443, "protocol": "TCP" }] },
            { "podSelector": { "matchLabels": { "a": "b" } },
              "namespaceSelector": { "matchExpressions": [
                { "key": "k", "operator": "In", "values": ["v"] },
            ] } },
        ],
        "operatingMode": "Suspended",
        "sessions": { "maxDuration": "2h", "maxConcurrent": 3 },
    })
}

fn full_session() -> Value {
    json!({
        "agentRef": "a",
        "input": "x",
        "operatingMode": "Suspended",
        "maxDuration": "30m",
        "shutdownTime": "2026-12-31T18:00:00Z",
        "ttlSecondsAfterFinished": 60,
        "shutdownPolicy": "Delete",
    })
}

#[test]
fn schema_and_types_know_the_same_fields() {
    let agent: AgentSpec = serde_json::from_value(full_agent()).unwrap();
    let session: SessionSpec = serde_json::from_value(full_session()).unwrap();
    for (crd, written, full) in [
        (crd::agent_crd(), json!(agent), full_agent()),
        (crd::session_crd(), json!(session), full_session()),
    ] {
        assert_eq!(written, full, "the type drops a field");
        let spec = schema(&crd)["properties"]["spec"].clone();
        assert_known(&spec, &written, "spec");
        let mut all = Vec::new();
        paths(&spec, "spec", &mut all);
        for path in all {
            if path.contains("ector.match") {
                continue;
            }
            let fields: Vec<_> = path.split('.').skip(1).collect();
            assert!(has_path(&written, &fields), "{path} is not in the type");
        }
    }
}

#[test]
fn amounts_may_be_written_as_numbers() {
    let spec: AgentSpec = serde_json::from_value(json!({
        "resources": { "requests": { "cpu": 2 }, "limits": { "cpu": 2, "memory": "1Gi" } },
    }))
    .unwrap();
    let resources = spec.resources.unwrap();
    assert_eq!(resources.requests.unwrap()["cpu"].0, "2");
}

/// Every list, map and text has a limit: otherwise the API server's estimate of what a rule costs
/// has none either, and the CRD is refused.
#[test]
fn everything_in_a_schema_is_bounded_and_described() {
    fn check(schema: &Value, path: &str) {
        let bounded = match schema["type"].as_str() {
            Some("array") => schema["maxItems"].is_u64(),
            Some("string") => schema["maxLength"].is_u64() || schema["enum"].is_array(),
            Some("object") => schema["properties"].is_object() || schema["maxProperties"].is_u64(),
            Some(_) => true,
            None => schema["x-kubernetes-int-or-string"] == true,
        };
        assert!(bounded, "{path} has no limit");
        if schema["items"].is_object() {
            check(&schema["items"], path);
        }
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            assert!(inner["description"].is_string(), "{path} has no description");
            check(inner, &path);
        }
    }
    for crd in [crd::agent_crd(), crd::session_crd()] {
        for part in ["spec", "status"] {
            check(&schema(&crd)["properties"][part], part);
        }
    }
}

/// Evaluators differ in their libraries: rules keep to what all of them have.
#[test]
fn rules_use_only_what_every_evaluator_understands() {
    fn rules(schema: &Value, out: &mut Vec<String>) {
        match schema {
            Value::Object(fields) => {
                for (name, inner) in fields {
                    if name == "x-kubernetes-validations" {
                        let all = inner.as_array().unwrap().iter();
                        out.extend(all.map(|rule| rule["rule"].as_str().unwrap().to_owned()));
                    }
                    rules(inner, out);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| rules(item, out)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    rules(&crd::agent_crd(), &mut all);
    rules(&crd::session_crd(), &mut all);
    assert!(all.len() >= 15, "{}", all.len());
    for rule in all {
        for word in rule.split(|c: char| !c.is_alphanumeric()) {
            let calls = format!("{word}(");
            if !word.is_empty() && rule.contains(&calls) {
                let known = ["has", "size", "matches", "startsWith", "all", "exists", "in"];
                assert!(known.contains(&word), "{rule}: {word}");
            }
        }
        assert!(!rule.contains(".?") && !rule.contains("[?"), "{rule}");
    }
}
