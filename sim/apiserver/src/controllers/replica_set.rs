//! ReplicaSets: as many living pods as wanted.

use serde_json::json;

use super::write::{create, delete, status};
use super::{Kind, children, number, owner_reference, text};
use crate::object::{Object, is_deleting};
use crate::server::Cluster;

const WHO: &str = "replicaset-controller";

pub(super) fn reconcile(cluster: &mut Cluster, object: &Object) {
    if is_deleting(&object.value) {
        return;
    }
    let wanted = usize::try_from(number(&object.value, "/spec/replicas")).unwrap_or(0);
    let pods = children(cluster, object.uid(), Kind::Pod);
    let alive: Vec<_> = pods
        .iter()
        .filter(|pod| {
            !is_deleting(&pod.value)
                && !matches!(text(&pod.value, "/status/phase"), "Failed" | "Succeeded")
        })
        .collect();
    let mut changed = false;
    for _ in alive.len()..wanted {
        changed |= create(cluster, WHO, Kind::Pod, &pod(object));
    }
    // Pods that are not ready go first.
    let is_ready = |pod: &Object| super::pod::is_ready(&pod.value);
    let mut surplus = alive.clone();
    surplus.sort_by_key(|pod| is_ready(pod));
    for pod in surplus.iter().take(alive.len().saturating_sub(wanted)) {
        changed |= delete(cluster, WHO, pod, Kind::Pod);
    }
    if changed {
        // What comes of it leads here again; so the status is written once.
        return;
    }
    let ready = alive.iter().filter(|pod| is_ready(pod)).count();
    let mut made = json!({
        "replicas": alive.len(),
        "observedGeneration": object.value["metadata"]["generation"],
    });
    for (field, count) in [
        ("fullyLabeledReplicas", alive.len()),
        ("readyReplicas", ready),
        ("availableReplicas", ready),
    ] {
        if count > 0 {
            made[field] = json!(count);
        }
    }
    status(cluster, WHO, Kind::ReplicaSet, object, made);
}

fn pod(object: &Object) -> serde_json::Value {
    let template = &object.value["spec"]["template"];
    let mut pod = super::pod::from_template(template, object.namespace());
    pod["metadata"]["generateName"] = json!(format!("{}-", object.name()));
    pod["metadata"]["ownerReferences"] = owner_reference(object, "ReplicaSet");
    pod
}
