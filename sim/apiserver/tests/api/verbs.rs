//! Each verb answers as the real server does.

use http::Method;
use serde_json::json;

use crate::world::{CONFIG_MAPS, World, config_map};

#[test]
fn what_is_created_can_be_read_listed_changed_and_deleted() {
    let world = World::new();
    let path = format!("{CONFIG_MAPS}/a");
    world.get(&path).refused(404, "NotFound", "configmaps \"a\" not found");
    let created = world.post(CONFIG_MAPS, config_map("a", json!({"k": "1"}))).expect(201);
    assert_eq!(created.text("/metadata/uid").len(), 36);
    assert_eq!(created.text("/metadata/creationTimestamp"), "2026-01-01T00:00:00Z");
    assert_eq!(created.text("/metadata/namespace"), "default");
    world.post(CONFIG_MAPS, config_map("a", json!({}))).refused(
        409,
        "AlreadyExists",
        "configmaps \"a\" already exists",
    );
    let list = world.get(CONFIG_MAPS).expect(200);
    assert_eq!(list.body["kind"], "ConfigMapList");
    assert_eq!(list.body["items"].as_array().map(Vec::len), Some(1));
    assert!(list.body["items"][0].get("kind").is_none());
    assert_eq!(list.rv(), created.rv());

    let mut changed = created.body.clone();
    changed["data"]["k"] = json!("2");
    let replaced = world.put(&path, changed.clone()).expect(200);
    assert!(replaced.rv() > created.rv());
    assert_eq!(replaced.uid(), created.uid());
    world.put(&path, changed).refused(409, "Conflict", "the object has been modified");
    let same = world.put(&path, replaced.body.clone()).expect(200);
    assert_eq!(same.rv(), replaced.rv(), "a write that changes nothing makes no version");

    let gone = world.delete(&path, None).expect(200);
    assert_eq!((gone.text("/kind"), gone.text("/status")), ("Status", "Success"));
    assert_eq!(gone.body["details"]["uid"], json!(created.uid()));
    world.delete(&path, None).refused(404, "NotFound", "configmaps \"a\" not found");
}

#[test]
fn unknown_paths_methods_and_media_types_are_refused() {
    let world = World::new();
    let nothing = world.get("/apis/none.example/v1/things").expect(404);
    assert_eq!(nothing.body, "404 page not found\n");
    world.get("/api/v1/namespaces/default/things").refused(404, "NotFound", "could not find");
    world.request("", Method::PUT, CONFIG_MAPS, "application/json", Some(json!({}))).refused(
        405,
        "MethodNotAllowed",
        "does not allow this method",
    );
    let body = Some(config_map("a", json!({})));
    world.request("", Method::POST, CONFIG_MAPS, "text/plain", body.clone()).refused(
        415,
        "UnsupportedMediaType",
        "unknown format",
    );
    world.request("nobody", Method::POST, CONFIG_MAPS, "", body).refused(401, "Unauthorized", "");
    let huge = config_map("a", json!({"k": "x".repeat(4 << 20)}));
    world.post(CONFIG_MAPS, huge).refused(413, "RequestEntityTooLarge", "limit");
}

#[test]
fn unknown_fields_are_dropped_with_a_warning_or_refused_when_strict() {
    let world = World::new();
    let body = json!({"metadata": {"name": "a"}, "data": {}, "dta": {}});
    let created = world.post(CONFIG_MAPS, body.clone()).expect(201);
    let warning = created.headers.get("warning").and_then(|v| v.to_str().ok());
    assert_eq!(warning, Some("299 - \"unknown field \\\"dta\\\"\""));
    assert!(created.body.get("dta").is_none());
    world.post(&format!("{CONFIG_MAPS}?fieldValidation=Strict"), body).refused(
        400,
        "BadRequest",
        "unknown field \"dta\"",
    );
    let mistyped = json!({"metadata": {"name": "b"}, "data": {"k": 1}});
    world.post(CONFIG_MAPS, mistyped).refused(400, "BadRequest", "cannot be handled as");
}

#[test]
fn the_history_has_every_attempt_with_its_stamps_and_outcome() {
    let world = World::new();
    let stamped = |stamp: &str| {
        let mut body = config_map("a", json!({}));
        body["metadata"]["annotations"] = json!({"rynxs.universe.ai/stamp": stamp});
        body
    };
    let path = format!("{CONFIG_MAPS}/a");
    let start = world.server.history().len() as u64;
    let uid = world.apply("rynxs", &path, stamped("5")).expect(201).uid();
    let mut stale = stamped("4");
    stale["metadata"]["resourceVersion"] = json!("1");
    world.apply("rynxs", &path, stale).expect(409);
    world.apply("rynxs", &path, stamped("5")).expect(200);
    world.delete(&path, None).expect(200);
    let writes = world.server.history_since(start);
    let seen: Vec<_> = writes
        .iter()
        .map(|w| {
            let stamp = |s: &Option<String>| s.clone().unwrap_or_default();
            (
                w.verb.as_str(),
                w.status_code,
                stamp(&w.stamp_before),
                stamp(&w.stamp_sent),
                stamp(&w.stamp),
                w.changed,
                w.removed,
            )
        })
        .collect();
    let text = str::to_owned;
    assert_eq!(
        seen,
        [
            ("apply", 201, text(""), text("5"), text("5"), true, false),
            ("apply", 409, text("5"), text("4"), text("5"), false, false),
            ("apply", 200, text("5"), text("5"), text("5"), false, false),
            ("delete", 200, text("5"), text(""), text(""), true, true),
        ]
    );
    assert!(writes.iter().all(|w| w.uid == uid && w.user == "kubernetes-admin"));
}

#[test]
fn versions_of_a_custom_resource_are_views_of_one_object() {
    let world = World::new();
    let schema = json!({"openAPIV3Schema": {"type": "object",
        "x-kubernetes-preserve-unknown-fields": true}});
    let version = |name: &str, storage: bool| {
        json!({"name": name, "served": true,
            "storage": storage, "schema": schema})
    };
    let definition = json!({
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
                 "names": {"plural": "things", "kind": "Thing"},
                 "versions": [version("v1", true), version("v2", false)]},
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    world.post(definitions, definition).expect(201);
    let path = |v: &str| format!("/apis/example.com/{v}/namespaces/default/things/a");
    let thing = |v: &str| {
        json!({"apiVersion": format!("example.com/{v}"), "kind": "Thing",
               "metadata": {"name": "a"}, "spec": {"n": 1}})
    };
    let first = world.apply("x", &path("v1"), thing("v1")).expect(201);
    let second = world.apply("x", &path("v2"), thing("v2")).expect(200);
    assert_eq!(second.text("/apiVersion"), "example.com/v2");
    assert_eq!(second.uid(), first.uid());
    assert_eq!(world.get(&path("v1")).text("/apiVersion"), "example.com/v1");
    let third = world.apply("x", &path("v2"), thing("v2")).expect(200);
    assert_eq!(third.rv(), second.rv());
    world.delete(&format!("{definitions}/things.example.com"), None).expect(200);
    assert_eq!(world.get(&path("v1")).expect(404).body, "404 page not found\n");
}
