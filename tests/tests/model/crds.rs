//! The committed CRDs in the API server's model: what they refuse, in the words of the real server.
//!
//! Every case was played against kube-apiserver 1.34.4 with the same files; the texts are its own.

use http::StatusCode;
use serde_json::{Value, json};

use crate::{call, server};

/// Applies a spec; the answer is empty, or what the server says against it.
fn apply(server: &rynxs_apiserver::ApiServer, kind: &str, name: &str, spec: &str) -> String {
    let plural = if kind == "Agent" { "agents" } else { "sessions" };
    let path = format!("/apis/universe.ai/v1alpha1/namespaces/default/{plural}/{name}");
    let spec: Value = serde_json::from_str(spec).expect("JSON");
    let object = json!({
        "apiVersion": "universe.ai/v1alpha1",
        "kind": kind,
        "metadata": { "name": name, "namespace": "default" },
        "spec": spec,
    });
    match call(server, "PATCH", &path, &object) {
        (status, _) if status.is_success() => String::new(),
        (_, answer) => answer["message"].as_str().expect("a message").to_owned(),
    }
}

/// Kind, name, spec, and a part of the refusal; empty if it is accepted. Played in order.
const CASES: &[(&str, &str, &str, &str)] = &[
    ("Agent", "t1", r#"{"egress":[{"cidr":"example.com"}]}"#, "host names are refused"),
    (
        "Agent",
        "t1",
        r#"{"egress":[{"cidr":"10.0.0.0/8","podSelector":{}}]}"#,
        "spec.egress[0]: Invalid value: \"object\": give either cidr, or podSelector",
    ),
    ("Agent", "t1", r#"{"egress":[{"ports":[{"port":1}]}]}"#, "give either cidr"),
    (
        "Agent",
        "t1",
        r#"{"requireDigest":true,"image":{"repository":"x"}}"#,
        "spec: Invalid value: \"object\": requireDigest is true, so image.digest must be given",
    ),
    ("Agent", "t1", r#"{"manages":["x"]}"#, "manages is only for role manager"),
    ("Agent", "t1", r#"{"role":"manager","manages":["t1"]}"#, "an agent cannot manage itself"),
    // The real server finds this one earlier, while it types the patch, and words it otherwise.
    ("Agent", "t1", r#"{"role":"manager","manages":["a","a"]}"#, "uplicate"),
    (
        "Agent",
        "t1",
        r#"{"env":[{"name":"A","value":"x","valueFrom":{"secretKeyRef":{"name":"a","key":"b"}}}]}"#,
        "spec.env[0]: Invalid value: \"object\": give exactly one of value and valueFrom",
    ),
    ("Agent", "t1", r#"{"env":[{"name":"A"}]}"#, "give exactly one of value and valueFrom"),
    ("Agent", "t1", r#"{"env":[{"name":"RYNXS_EPOCH","value":"1"}]}"#, "are reserved"),
    (
        "Agent",
        "t1",
        r#"{"env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"a","key":"b"},
            "fieldRef":{"fieldPath":"x"}}}]}"#,
        "spec.env[0].valueFrom: Too many: 2: must have at most 1 item",
    ),
    ("Agent", "t1", r#"{"role":"king"}"#, "spec.role: Unsupported value: \"king\""),
    ("Agent", "t1", r#"{"workspace":{"size":"huge"}}"#, "spec.workspace.size in body should match"),
    ("Agent", "a.b", "{}", "the name must be at most 50 of a-z, 0-9 and '-'"),
    ("Agent", "a2345678901234567890123456789012345678901234567890x", "{}", "at most 50"),
    (
        "Agent",
        "t1",
        r#"{"egress":[{"cidr":"2001:db8::/32"}],"resources":{"requests":{"cpu":2}}}"#,
        "",
    ),
    ("Agent", "t1", r#"{"workspace":{"storageClassName":"f"}}"#, "storageClassName is immutable"),
    ("Agent", "t2", r#"{"workspace":{"storageClassName":"fast"}}"#, ""),
    ("Agent", "t2", r#"{"workspace":{"storageClassName":"f"}}"#, "storageClassName is immutable"),
    (
        "Agent",
        "t2",
        "{}",
        "spec.workspace: Invalid value: \"object\": storageClassName is immutable",
    ),
    (
        "Agent",
        "t1",
        r#"{"egress":[{"cidr":"10.0.0.0/8","ports":[{"port":0}]}]}"#,
        "spec.egress[0].ports[0].port: Invalid value: 0",
    ),
    ("Session", "s1", "{}", "spec.agentRef: Required value"),
    ("Session", "s1", r#"{"agentRef":"a","maxDuration":"1h30m","input":"x"}"#, ""),
    (
        "Session",
        "s1",
        r#"{"agentRef":"b","maxDuration":"1h30m","input":"x"}"#,
        "spec.agentRef: Invalid value: \"string\": agentRef is immutable",
    ),
    (
        "Session",
        "s1",
        r#"{"agentRef":"a","maxDuration":"1h30m","input":"y"}"#,
        "spec: Invalid value: \"object\": input is immutable",
    ),
    ("Session", "s1", r#"{"agentRef":"a","input":"x"}"#, "maxDuration is immutable"),
    (
        "Session",
        "s1",
        r#"{"agentRef":"a","maxDuration":"1h30m","input":"x",
            "shutdownTime":"2030-01-01T00:00:00Z"}"#,
        "shutdownTime is immutable",
    ),
    (
        "Session",
        "s2",
        r#"{"agentRef":"a","maxDuration":"1.5h"}"#,
        "spec.maxDuration in body should match",
    ),
    (
        "Session",
        "s2",
        r#"{"agentRef":"a","shutdownTime":"tomorrow"}"#,
        "spec.shutdownTime in body must be of type date-time: \"tomorrow\"",
    ),
    (
        "Session",
        "s1",
        r#"{"agentRef":"a","maxDuration":"1h30m","input":"x","operatingMode":"Cancelled"}"#,
        "",
    ),
    (
        "Session",
        "s1",
        r#"{"agentRef":"a","maxDuration":"1h30m","input":"x","operatingMode":"Running"}"#,
        "spec.operatingMode: Invalid value: \"string\": Cancelled cannot be undone",
    ),
];

#[test]
fn the_schemas_refuse_what_they_say_in_the_words_of_the_real_server() {
    let server = server();
    for (kind, name, spec, refusal) in CASES {
        let said = apply(&server, kind, name, spec);
        assert_eq!(said.is_empty(), refusal.is_empty(), "{kind} {name} {spec}: {said}");
        assert!(said.contains(refusal), "{kind} {name} {spec}: {said}");
    }
}

#[test]
fn a_status_of_an_earlier_epoch_is_refused_and_none_can_be_taken_away() {
    let server = server();
    assert_eq!(apply(&server, "Agent", "a", "{}"), "");
    let path = "/apis/universe.ai/v1alpha1/namespaces/default/agents/a/status";
    let write = |status: Value| {
        let body = json!({
            "apiVersion": "universe.ai/v1alpha1",
            "kind": "Agent",
            "metadata": { "name": "a", "namespace": "default" },
            "status": status,
        });
        call(&server, "PATCH", path, &body).0
    };
    assert_eq!(write(json!({ "controllerEpoch": 5 })), StatusCode::OK);
    assert_eq!(write(json!({ "controllerEpoch": 4 })), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(write(json!({ "controllerEpoch": null })), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(write(json!({ "phase": "Running" })), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(write(json!({ "controllerEpoch": 7, "phase": "Running" })), StatusCode::OK);
}
