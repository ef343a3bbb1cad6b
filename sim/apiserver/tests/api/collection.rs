//! Garbage collection: dependents follow their owners, namespaces are emptied.

use serde_json::{Value, json};

use rynxs_apiserver::Options;

use crate::world::{CONFIG_MAPS, World, config_map};

fn path(name: &str) -> String {
    format!("{CONFIG_MAPS}/{name}")
}

/// Creates a ConfigMap owned by the given ones.
fn owned(world: &World, name: &str, owners: &[(&str, &str)], blocking: bool) -> String {
    let mut body = config_map(name, json!({}));
    let references: Vec<Value> = owners
        .iter()
        .map(|(name, uid)| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid,
                   "blockOwnerDeletion": blocking})
        })
        .collect();
    if !references.is_empty() {
        body["metadata"]["ownerReferences"] = json!(references);
    }
    world.post(CONFIG_MAPS, body).expect(201).uid()
}

fn names(world: &World) -> Vec<String> {
    let list = world.get(CONFIG_MAPS);
    let items = list.body["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|i| i["metadata"]["name"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn what_is_owned_goes_with_its_owner_down_the_chain() {
    let world = World::new();
    let a = owned(&world, "a", &[], false);
    let b = owned(&world, "b", &[("a", &a)], false);
    owned(&world, "c", &[("b", &b)], false);
    owned(&world, "d", &[], false);
    world.delete(&path("a"), None).expect(200);
    assert_eq!(names(&world), ["b", "c", "d"], "collection runs later, as it does in a cluster");
    world.pass(1);
    assert_eq!(names(&world), ["d"]);
}

#[test]
fn what_has_another_living_owner_stays_and_loses_the_dead_reference() {
    let world = World::new();
    let a = owned(&world, "a", &[], false);
    let b = owned(&world, "b", &[], false);
    owned(&world, "c", &[("a", &a), ("b", &b)], false);
    world.delete(&path("a"), None).expect(200);
    world.pass(1);
    let left = world.get(&path("c")).expect(200);
    assert_eq!(left.body["metadata"]["ownerReferences"].as_array().map(Vec::len), Some(1));
    assert_eq!(left.text("/metadata/ownerReferences/0/uid"), b);
}

#[test]
fn what_names_an_owner_that_never_was_is_collected() {
    let world = World::new();
    owned(&world, "c", &[("a", "11111111-1111-4111-8111-111111111111")], false);
    world.pass(1);
    assert!(names(&world).is_empty());
}

#[test]
fn a_new_incarnation_of_the_owner_does_not_keep_dependents_of_the_old() {
    let world = World::new();
    let a = owned(&world, "a", &[], false);
    owned(&world, "b", &[("a", &a)], false);
    world.delete(&path("a"), None).expect(200);
    owned(&world, "a", &[], false);
    world.pass(1);
    assert_eq!(names(&world), ["a"]);
}

#[test]
fn foreground_deletion_waits_for_blocking_dependents() {
    let world = World::new();
    let a = owned(&world, "a", &[], false);
    owned(&world, "b", &[("a", &a)], true);
    world.merge(&path("b"), json!({"metadata": {"finalizers": ["example.com/x"]}})).expect(200);
    let body = json!({"propagationPolicy": "Foreground"});
    let waiting = world.delete(&path("a"), Some(body)).expect(200);
    assert_eq!(waiting.body["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    world.pass(1);
    assert_eq!(names(&world), ["a", "b"], "b is held by its finalizer and holds a");
    world.merge(&path("b"), json!({"metadata": {"finalizers": null}})).expect(200);
    world.pass(1);
    assert!(names(&world).is_empty());
}

#[test]
fn orphans_lose_their_owner_and_stay() {
    let world = World::new();
    let a = owned(&world, "a", &[], false);
    owned(&world, "b", &[("a", &a)], false);
    world.delete(&path("a"), Some(json!({"propagationPolicy": "Orphan"}))).expect(200);
    world.pass(1);
    assert_eq!(names(&world), ["b"]);
    assert!(world.get(&path("b")).body["metadata"].get("ownerReferences").is_none());
}

#[test]
fn a_namespace_is_emptied_before_it_goes_and_takes_nothing_new_meanwhile() {
    let world = World::new();
    world.post("/api/v1/namespaces", json!({"metadata": {"name": "team"}})).expect(201);
    let maps = "/api/v1/namespaces/team/configmaps";
    world.post(maps, config_map("a", json!({}))).expect(201);
    let going = world.delete("/api/v1/namespaces/team", None).expect(200);
    assert_eq!(going.text("/status/phase"), "Terminating");
    world.post(maps, config_map("b", json!({}))).refused(
        403,
        "Forbidden",
        "because it is being terminated",
    );
    world.pass(1);
    world.get("/api/v1/namespaces/team").refused(404, "NotFound", "");
    assert_eq!(world.get(maps).body["items"], json!([]));
    world.post(maps, config_map("a", json!({}))).refused(404, "NotFound", "namespaces \"team\"");
}

#[test]
fn a_claim_stays_while_a_pod_uses_it() {
    let world = World::new();
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    let pods = "/api/v1/namespaces/default/pods";
    let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": 1}}});
    world.post(claims, json!({"metadata": {"name": "c"}, "spec": spec})).expect(201);
    let spec = json!({
        "containers": [{"name": "m", "image": "i"}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}],
    });
    world.post(pods, json!({"metadata": {"name": "p"}, "spec": spec})).expect(201);
    world.delete(&format!("{claims}/c"), None).expect(200);
    world.pass(1);
    assert!(
        !world
            .get(&format!("{claims}/c"))
            .expect(200)
            .text("/metadata/deletionTimestamp")
            .is_empty()
    );
    world.delete(&format!("{pods}/p"), None).expect(200);
    world.pass(1);
    world.get(&format!("{claims}/c")).refused(404, "NotFound", "");
}

#[test]
fn an_owner_in_another_namespace_is_no_owner() {
    let world = World::new();
    let elsewhere = "/api/v1/namespaces/rynxs/configmaps";
    let owner = world.post(elsewhere, config_map("a", json!({}))).expect(201).uid();
    owned(&world, "b", &[("a", &owner)], false);
    world.pass(1);
    assert!(names(&world).is_empty());
}

#[test]
fn events_go_an_hour_after_their_last_change() {
    let world = World::new();
    let events = "/api/v1/namespaces/default/events";
    for name in ["a", "b"] {
        let body = json!({"metadata": {"name": name}, "involvedObject": {"kind": "ConfigMap"}});
        world.post(events, body).expect(201);
    }
    world.pass(1_800_000);
    world.merge(&format!("{events}/b"), json!({"count": 2})).expect(200);
    world.pass(1_800_000);
    world.get(&format!("{events}/a")).expect(404);
    world.get(&format!("{events}/b")).expect(200);
    world.pass(1_800_000);
    world.get(&format!("{events}/b")).expect(404);
}

/// A policy that lets nobody delete ConfigMaps.
const NO_DELETES: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-deletes}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [''], apiVersions: [v1], operations: [DELETE], resources: [configmaps]}
  validations: [{expression: 'false', message: never, reason: Forbidden}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-deletes}
spec: {policyName: no-deletes, validationActions: [Deny]}
";

#[test]
fn what_a_policy_keeps_from_collection_is_collected_once_it_is_gone() {
    let world = World::new();
    let a = owned(&world, "a", &[], false);
    owned(&world, "b", &[("a", &a)], false);
    world.delete(&path("a"), None).expect(200);
    world.server.load(NO_DELETES).expect("valid documents");
    world.pass(1_000);
    assert_eq!(names(&world), ["b"]);
    let policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
    world.delete(&format!("{policies}/no-deletes"), None).expect(200);
    world.pass(1_000);
    assert!(names(&world).is_empty());
}

#[test]
fn a_policy_comes_into_force_after_its_lag() {
    let world =
        World::with(Options { controllers: false, policy_lag_ms: 3_000, ..Options::default() });
    owned(&world, "a", &[], false);
    owned(&world, "b", &[], false);
    world.server.load(NO_DELETES).expect("valid documents");
    world.wait(2_999);
    world.delete(&path("a"), None).expect(200);
    world.wait(1);
    world.delete(&path("b"), None).refused(403, "Forbidden", "denied request: never");
}
