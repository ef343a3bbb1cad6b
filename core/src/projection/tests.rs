//! What is drift and what is not, kind by kind.

use serde_json::json;

use super::*;

/// A Deployment as a server returns it, with what it fills in.
fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "a-runtime",
            "uid": "1",
            "resourceVersion": "5",
            "generation": 2,
            "labels": { names::AGENT: "a", names::MANAGED_BY: "rynxs" },
            "annotations": { names::STAMP: "7" },
            "ownerReferences": [
                { "apiVersion": "universe.ai/v1alpha1", "kind": "Agent", "name": "a", "uid": "u",
                  "controller": true },
            ],
        },
        "spec": {
            "replicas": 1,
            "progressDeadlineSeconds": 600,
            "strategy": { "type": "Recreate" },
            "selector": { "matchLabels": { names::AGENT: "a" } },
            "template": {
                "metadata": { "labels": { names::AGENT: "a" } },
                "spec": {
                    "dnsPolicy": "ClusterFirst",
                    "restartPolicy": "Always",
                    "containers": [{
                        "name": "agent",
                        "image": "x",
                        "imagePullPolicy": "IfNotPresent",
                        "resources": {},
                        "terminationMessagePath": "/dev/termination-log",
                    }],
                    "volumes": [{ "name": "tmp", "emptyDir": {} }],
                },
            },
        },
        "status": { "replicas": 1 },
    })
}

fn changed(kind: Kind, live: &Value, pointer: &str, value: Value) -> bool {
    let mut other = live.clone();
    match other.pointer_mut(pointer) {
        Some(place) => *place = value,
        None => {
            let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
            let parent = other.pointer_mut(parent).expect("its parent exists");
            match parent {
                Value::Array(items) => items.push(value),
                parent => parent[field.replace("~1", "/")] = value,
            }
        }
    }
    hash_live(kind, live) != hash_live(kind, &other)
}

#[test]
fn what_changes_a_run_is_drift() {
    let live = deployment();
    let template = "/spec/template/spec";
    for (pointer, value) in [
        ("/spec/replicas".to_owned(), json!(3)),
        ("/spec/paused".to_owned(), json!(true)),
        (format!("{template}/containers/0/image"), json!("y")),
        (format!("{template}/containers/0/command"), json!(["sh"])),
        (format!("{template}/containers/-"), json!({ "name": "sidecar", "image": "y" })),
        (format!("{template}/initContainers"), json!([{ "name": "first", "image": "y" }])),
        (format!("{template}/volumes/-"), json!({ "name": "h", "hostPath": { "path": "/" } })),
        (format!("{template}/hostNetwork"), json!(true)),
        (format!("{template}/serviceAccountName"), json!("admin")),
        ("/metadata/ownerReferences/0/uid".to_owned(), json!("other")),
        ("/metadata/labels/app.kubernetes.io~1managed-by".to_owned(), json!("me")),
    ] {
        assert!(changed(Kind::Deployment, &live, &pointer, value), "{pointer}");
    }
}

#[test]
fn what_others_may_set_is_no_drift() {
    let live = deployment();
    for (pointer, value) in [
        ("/metadata/resourceVersion", json!("6")),
        ("/metadata/generation", json!(3)),
        ("/metadata/labels/team.example~1cost", json!("blue")),
        ("/metadata/annotations/deployment.kubernetes.io~1revision", json!("4")),
        ("/metadata/annotations/rynxs.universe.ai~1stamp", json!("8")),
        ("/spec/progressDeadlineSeconds", json!(60)),
        ("/spec/template/metadata/labels/x", json!("y")),
        ("/spec/template/spec/newServerDefault", json!(true)),
        ("/spec/template/spec/containers/0/imagePullPolicy", json!("Always")),
        ("/status/replicas", json!(0)),
    ] {
        assert!(!changed(Kind::Deployment, &live, pointer, value), "{pointer}");
    }
}

#[test]
fn a_claim_is_judged_by_its_size_and_not_by_what_the_binder_sets() {
    let live = json!({
        "metadata": { "name": "a-workspace" },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": "1Gi" } },
        },
    });
    let claim = Kind::PersistentVolumeClaim;
    assert!(changed(claim, &live, "/spec/resources/requests/storage", json!("2Gi")));
    assert!(!changed(claim, &live, "/spec/volumeName", json!("pv-1")));
    assert!(!changed(claim, &live, "/spec/storageClassName", json!("standard")));
    assert!(!changed(claim, &live, "/spec/volumeMode", json!("Filesystem")));
}

#[test]
fn a_rule_that_allows_everything_is_not_taken_for_none() {
    let live = json!({ "metadata": {}, "spec": { "egress": [], "policyTypes": ["Egress"] } });
    let policy = Kind::NetworkPolicy;
    assert!(changed(policy, &live, "/spec/egress", json!([{}])));
    assert!(changed(policy, &live, "/spec/egress", json!([{ "to": [{ "podSelector": {} }] }])));
    assert!(!changed(policy, &live, "/spec/ingress", json!([])));
}

#[test]
fn a_job_is_judged_by_its_run_and_not_by_its_controllers_marks() {
    let live = json!({
        "metadata": {},
        "spec": { "suspend": true, "template": { "metadata": {}, "spec": {} } },
    });
    assert!(changed(Kind::Job, &live, "/spec/suspend", json!(false)));
    assert!(changed(Kind::Job, &live, "/spec/ttlSecondsAfterFinished", json!(1)));
    let selector = json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": "1" } });
    assert!(!changed(Kind::Job, &live, "/spec/selector", selector));
    assert!(!changed(Kind::Job, &live, "/spec/completionMode", json!("NonIndexed")));
    let labels = json!({ "batch.kubernetes.io/job-name": "s-run" });
    assert!(!changed(Kind::Job, &live, "/spec/template/metadata/labels", labels));
}

#[test]
fn every_owned_field_that_rynxs_renders_is_projected() {
    let live = json!({ "metadata": {}, "data": { "input": "x" } });
    assert!(changed(Kind::ConfigMap, &live, "/data/input", json!("y")));
    assert!(changed(Kind::ConfigMap, &live, "/data/added", json!("y")));
    assert!(!changed(Kind::ConfigMap, &live, "/metadata/managedFields", json!([])));
}
