//! Server-side apply: who owns which field, and what follows from it.

use http::Method;
use serde_json::{Value, json};

use crate::world::{APPLY, CONFIG_MAPS, World, config_map};

const A: &str = "/api/v1/namespaces/default/configmaps/a";

/// The operator's create-only apply: an apply with a resourceVersion that no object ever has.
fn only_if_free(data: Value) -> Value {
    let mut body = config_map("a", data);
    body["metadata"]["resourceVersion"] = json!("1");
    body
}

#[test]
fn create_only_apply_takes_a_free_name_and_no_other() {
    let world = World::new();
    world.apply("rynxs", A, only_if_free(json!({"k": "1"}))).expect(201);
    world.apply("rynxs", A, only_if_free(json!({"k": "2"}))).refused(
        409,
        "Conflict",
        "the object has been modified",
    );
    assert_eq!(world.get(A).body["data"]["k"], "1");
}

#[test]
fn an_apply_with_a_uid_never_creates_and_never_hits_another_incarnation() {
    let world = World::new();
    let mut body = config_map("a", json!({"k": "1"}));
    body["metadata"]["uid"] = json!("11111111-1111-4111-8111-111111111111");
    world.apply("rynxs", A, body.clone()).refused(409, "Conflict", "no existing object was found");
    world.apply("rynxs", A, config_map("a", json!({"k": "1"}))).expect(201);
    world.apply("rynxs", A, body).refused(422, "Invalid", "field is immutable");
}

#[test]
fn a_field_that_is_no_longer_applied_goes_unless_somebody_else_owns_it() {
    let world = World::new();
    world.apply("x", A, config_map("a", json!({"both": "1", "x": "1"}))).expect(201);
    world.apply_politely("y", A, config_map("a", json!({"both": "1"}))).expect(200);
    let after = world.apply("x", A, config_map("a", json!({"new": "1"}))).expect(200);
    assert_eq!(after.body["data"], json!({"both": "1", "new": "1"}));
    let after = world.apply("y", A, config_map("a", json!({}))).expect(200);
    assert_eq!(after.body["data"], json!({"new": "1"}));
}

#[test]
fn a_field_of_another_is_a_conflict_unless_forced() {
    let world = World::new();
    world.apply("x", A, config_map("a", json!({"k": "1"}))).expect(201);
    let refused = world.apply_politely("y", A, config_map("a", json!({"k": "2"})));
    let refused = refused.refused(409, "Conflict", "Apply failed with 1 conflict: ");
    assert_eq!(refused.body["details"]["causes"][0]["reason"], "FieldManagerConflict");
    assert_eq!(refused.body["details"]["causes"][0]["field"], ".data.k");
    world.apply("y", A, config_map("a", json!({"k": "2"}))).expect(200);
    let left = world.apply("x", A, config_map("a", json!({}))).expect(200);
    assert_eq!(left.body["data"], json!({"k": "2"}), "x lost the field to y");
}

#[test]
fn an_apply_of_the_same_changes_nothing() {
    let world = World::new();
    let first = world.apply("x", A, config_map("a", json!({"k": "1"}))).expect(201);
    world.pass(5_000);
    let again = world.apply("x", A, config_map("a", json!({"k": "1"}))).expect(200);
    assert_eq!(first.body, again.body);
}

#[test]
fn an_apply_needs_a_field_manager() {
    let world = World::new();
    let body = Some(config_map("a", json!({})));
    world.request("", Method::PATCH, A, APPLY, body).refused(
        422,
        "Invalid",
        "is required for apply patch",
    );
    world.get(CONFIG_MAPS).expect(200);
}
