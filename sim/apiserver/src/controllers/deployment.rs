//! Deployments: one ReplicaSet per template, the newest one scaled, status from its pods.

use std::sync::Arc;

use serde_json::{Value, json};

use super::write::{Condition, conditions, patch, set_condition, status};
use super::{Controllers, Kind, children, number, owner_reference, text, write};
use crate::object::{Object, is_deleting, time};
use crate::server::Cluster;

const WHO: &str = "deployment-controller";
const HASH_LABEL: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";

pub(super) fn reconcile(
    cluster: &mut Cluster,
    state: &mut Controllers,
    object: &Object,
    now_ms: u64,
) {
    if is_deleting(&object.value) || object.value["spec"]["paused"] == true {
        return;
    }
    let sets = children(cluster, object.uid(), Kind::ReplicaSet);
    let hash = hash_of(state, object);
    let label = format!("/metadata/labels/{HASH_LABEL}");
    let (current, old): (Vec<_>, Vec<_>) =
        sets.into_iter().partition(|set| text(&set.value, &label) == hash);
    match current.first() {
        None => {
            let revision = old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1;
            let wanted = first_replicas(object, &old);
            write::create(
                cluster,
                WHO,
                Kind::ReplicaSet,
                &replica_set(object, &hash, revision, wanted),
            );
            // What comes of it leads here again.
            return;
        }
        Some(current) => {
            let copied = copy_annotations(cluster, object, current);
            if scale(cluster, object, current, &old) || copied {
                // As above; so the status is written once.
                return;
            }
        }
    }
    let made = status_of(object, current.first(), &old, now_ms);
    status(cluster, WHO, Kind::Deployment, object, made);
}

fn revision(set: &Object) -> i64 {
    let annotations = &set.value["metadata"]["annotations"];
    annotations[REVISION].as_str().and_then(|r| r.parse().ok()).unwrap_or(0)
}

fn is_recreate(object: &Object) -> bool {
    text(&object.value, "/spec/strategy/type") == "Recreate"
}

fn has_pods(old: &[Arc<Object>]) -> bool {
    old.iter().any(|set| number(&set.value, "/status/replicas") > 0)
}

fn first_replicas(object: &Object, old: &[Arc<Object>]) -> i64 {
    if is_recreate(object) && has_pods(old) { 0 } else { number(&object.value, "/spec/replicas") }
}

/// Recreate: nothing new runs before everything old is gone. Rolling: nothing old goes before
/// everything new is ready. Whether anything was changed.
fn scale(cluster: &mut Cluster, object: &Object, current: &Object, old: &[Arc<Object>]) -> bool {
    let mut changed = false;
    let wanted = number(&object.value, "/spec/replicas");
    let ready = number(&current.value, "/status/readyReplicas");
    let (target, old_may_go) = if is_recreate(object) {
        (first_replicas(object, old), true)
    } else {
        (wanted, ready >= wanted)
    };
    if number(&current.value, "/spec/replicas") != target {
        let change = json!({"spec": {"replicas": target}});
        changed |= patch(cluster, WHO, Kind::ReplicaSet, current, change);
    }
    if old_may_go {
        for set in old.iter().filter(|set| number(&set.value, "/spec/replicas") > 0) {
            let change = json!({"spec": {"replicas": 0}});
            changed |= patch(cluster, WHO, Kind::ReplicaSet, set, change);
        }
    }
    changed
}

/// The annotations that a ReplicaSet takes over from its Deployment.
fn annotations(object: &Object) -> serde_json::Map<String, Value> {
    let given = object.value["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    given
        .into_iter()
        .filter(|(key, _)| {
            key != "kubectl.kubernetes.io/last-applied-configuration" && key != REVISION
        })
        .collect()
}

fn copy_annotations(cluster: &mut Cluster, object: &Object, current: &Object) -> bool {
    let there = &current.value["metadata"]["annotations"];
    let missing: serde_json::Map<String, Value> =
        annotations(object).into_iter().filter(|(key, value)| there[key] != *value).collect();
    let change = json!({"metadata": {"annotations": missing}});
    !missing.is_empty() && patch(cluster, WHO, Kind::ReplicaSet, current, change)
}

fn replica_set(object: &Object, hash: &str, revision: i64, replicas: i64) -> Value {
    let spec = &object.value["spec"];
    let mut template = spec["template"].clone();
    template["metadata"]["labels"][HASH_LABEL] = json!(hash);
    let mut selector = spec["selector"].clone();
    selector["matchLabels"][HASH_LABEL] = json!(hash);
    let mut annotations = annotations(object);
    annotations.insert(REVISION.to_owned(), json!(revision.to_string()));
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", object.name()),
            "namespace": object.namespace(),
            "labels": template["metadata"]["labels"],
            "annotations": annotations,
            "ownerReferences": owner_reference(object, "Deployment"),
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    })
}

fn status_of(
    object: &Object,
    current: Option<&Arc<Object>>,
    old: &[Arc<Object>],
    now_ms: u64,
) -> Value {
    let count = |set: &Object, field: &str| number(&set.value, &format!("/status/{field}"));
    let of_current = |field: &str| current.map_or(0, |set| count(set, field));
    let all =
        |field: &str| of_current(field) + old.iter().map(|set| count(set, field)).sum::<i64>();
    let wanted = number(&object.value, "/spec/replicas");
    let (replicas, updated) = (all("replicas"), of_current("replicas"));
    let (ready, available) = (all("readyReplicas"), all("availableReplicas"));
    let mut made = json!({"observedGeneration": object.value["metadata"]["generation"]});
    for (field, value) in [
        ("replicas", replicas),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", available),
        ("unavailableReplicas", wanted.max(replicas) - available),
    ] {
        if value > 0 {
            made[field] = json!(value);
        }
    }
    let is_done = updated == wanted && replicas == updated && available == wanted;
    let name = format!("ReplicaSet \"{}\"", current.map_or(object.name(), |set| set.name()));
    let mut list = conditions(object);
    let now = time(now_ms);
    let available = available >= wanted;
    set_condition(
        &mut list,
        &Condition {
            kind: "Available",
            holds: available,
            reason: if available {
                "MinimumReplicasAvailable"
            } else {
                "MinimumReplicasUnavailable"
            },
            message: if available {
                "Deployment has minimum availability."
            } else {
                "Deployment does not have minimum availability."
            },
        },
        &now,
    );
    let message = if is_done {
        format!("{name} has successfully progressed.")
    } else {
        format!("{name} is progressing.")
    };
    let reason = if is_done { "NewReplicaSetAvailable" } else { "ReplicaSetUpdated" };
    let progressing = Condition { kind: "Progressing", holds: true, reason, message: &message };
    set_condition(&mut list, &progressing, &now);
    made["conditions"] = json!(list);
    made
}

/// The hash of a Deployment's template.
fn hash_of(state: &mut Controllers, object: &Object) -> String {
    let generation = number(&object.value, "/metadata/generation");
    if let Some((of, hash)) = state.templates.get(object.uid())
        && *of == generation
    {
        return hash.clone();
    }
    let hash = template_hash(&object.value["spec"]["template"]);
    state.templates.insert(object.uid().to_owned(), (generation, hash.clone()));
    hash
}

/// Ten characters that differ when templates do: FNV-1a over the template's JSON.
fn template_hash(template: &Value) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in template.to_string().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut text = String::new();
    for _ in 0..10 {
        let at = usize::try_from(hash % ALPHABET.len() as u64).expect("a small number");
        text.push(char::from(ALPHABET[at]));
        hash /= ALPHABET.len() as u64;
    }
    text
}
