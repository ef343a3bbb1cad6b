//! How many small applies a second the model takes, and whether that depends on what is stored.
//!
//! `cargo run -p rynxs-apiserver --example load`
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "measures real time")]

use std::time::Instant;

use bytes::Bytes;
use http::{Method, Request};
use rynxs_apiserver::{ApiServer, Body, Options};
use serde_json::{Value, json};

const OBJECTS: usize = 5_000;

fn apply(server: &ApiServer, number: usize, round: usize) {
    let name = format!("object-{number}");
    let body = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": "rynxs"},
            "annotations": {"rynxs.universe.ai/stamp": round.to_string()},
        },
        "data": {"spec": format!("{{\"round\":{round}}}"), "role": "worker"},
    });
    send(server, Method::PATCH, &format!("/{name}?fieldManager=rynxs&force=true"), &body);
}

fn deploy(server: &ApiServer, number: usize, round: usize) {
    let name = format!("object-{number}");
    let body = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "annotations": {"rynxs.universe.ai/stamp": round.to_string()}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{
                    "name": "agent",
                    "image": "agent:1",
                    "env": [{"name": "EPOCH", "value": round.to_string()}],
                    "resources": {"limits": {"cpu": "1000m", "memory": "1Gi"}},
                }]},
            },
        },
    });
    let path = format!("/apis/apps/v1/namespaces/default/deployments/{name}");
    let path = format!("{path}?fieldManager=rynxs&force=true");
    let _ = exchange(server, Method::PATCH, &path, &body);
}

fn send(server: &ApiServer, method: Method, tail: &str, body: &Value) {
    let _ = exchange(server, method, &format!("/api/v1/namespaces/default/configmaps{tail}"), body);
}

fn exchange(server: &ApiServer, method: Method, path: &str, body: &Value) -> usize {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/apply-patch+yaml")
        .body(Bytes::from(body.to_string()))
        .expect("a valid request");
    let response = server.handle(0, request);
    assert!(response.status().is_success(), "{path}: {}", response.status());
    match response.into_body() {
        Body::Full(bytes) => bytes.len(),
        Body::Watch(_) => 0,
    }
}

fn report(what: &str, count: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what}: {:.0}/s", count as f64 / seconds);
}

fn main() {
    let server = ApiServer::new(Options::default());
    for round in 0..3 {
        let start = Instant::now();
        (0..OBJECTS).for_each(|n| apply(&server, n, round));
        report("ConfigMap applies", OBJECTS, start);
    }
    let start = Instant::now();
    (0..OBJECTS).for_each(|n| apply(&server, n, 2));
    report("ConfigMap applies without change", OBJECTS, start);
    for round in 0..2 {
        let start = Instant::now();
        (0..1_000).for_each(|n| deploy(&server, n, round));
        report("Deployment applies", 1_000, start);
    }
    let start = Instant::now();
    (0..10).for_each(|_| send(&server, Method::GET, "", &Value::Null));
    report("lists of 5000", 10, start);
    let start = Instant::now();
    let _ = server.tick(1);
    println!("a tick: {:?}", start.elapsed());
}
