//! Claims: bound when a pod first wants them, as with `volumeBindingMode: WaitForFirstConsumer`,
//! which real clusters use by default; at once if their StorageClass says `Immediate`.
//!
//! Waiting is the default on purpose: an operator that would start nothing before a volume is
//! bound would wait for ever here, as it would there.

use serde_json::{Value, json};

use super::write::{patch, status};
use super::{BIND_MS, Controllers, Kind, Subject, text};
use crate::object::{Object, finalizers, is_deleting};
use crate::server::Cluster;

const WHO: &str = "persistent-volume-binder";
/// What every claim is created with where controllers run.
pub(crate) const PROTECTION: &str = "kubernetes.io/pvc-protection";

pub(super) fn reconcile(
    cluster: &mut Cluster,
    state: &mut Controllers,
    object: &Object,
    subject: &Subject,
    now_ms: u64,
) {
    if is_deleting(&object.value) {
        release(cluster, state, object);
        return;
    }
    let requested = object.value.pointer("/spec/resources/requests/storage");
    let requested = requested.cloned().unwrap_or(Value::Null);
    if text(&object.value, "/status/phase") == "Bound" {
        // A bound claim may ask for more, and gets it.
        let mut made = object.value["status"].clone();
        if made["capacity"]["storage"] != requested {
            made["capacity"]["storage"] = requested;
            status(cluster, "expand-controller", Kind::Claim, object, made);
        }
        return;
    }
    let key = (object.namespace().to_owned(), object.name().to_owned());
    let is_wanted = state.awaited.get(&key).is_some_and(|pods| !pods.is_empty());
    if !is_wanted && !binds_at_once(cluster, object) {
        return;
    }
    let at = state.step_at(object.uid(), now_ms + BIND_MS, subject);
    if now_ms < at {
        return;
    }
    state.steps.remove(object.uid());
    if text(&object.value, "/spec/volumeName").is_empty() {
        let volume = format!("pvc-{}", object.uid());
        let change = json!({
            "metadata": {"annotations": {
                "pv.kubernetes.io/bind-completed": "yes",
                "pv.kubernetes.io/bound-by-controller": "yes",
            }},
            "spec": {"volumeName": volume},
        });
        patch(cluster, WHO, Kind::Claim, object, change);
    }
    let made = json!({
        "phase": "Bound",
        "accessModes": object.value["spec"]["accessModes"],
        "capacity": {"storage": requested},
    });
    status(cluster, WHO, Kind::Claim, object, made);
}

/// A claim that is deleted stays until no pod uses it. A pod that still waits for it to be bound
/// does not: it is on no node, and no scheduler would put it on one now.
fn release(cluster: &mut Cluster, state: &Controllers, object: &Object) {
    let key = (object.namespace().to_owned(), object.name().to_owned());
    let waits = |pod: &str| state.awaited.get(&key).is_some_and(|pods| pods.contains(pod));
    let kept: Vec<&str> =
        finalizers(&object.value).into_iter().filter(|f| *f != PROTECTION).collect();
    let is_used = || {
        cluster.objects("", "pods").iter().any(|pod| {
            pod.namespace() == object.namespace()
                && !matches!(text(&pod.value, "/status/phase"), "Failed" | "Succeeded")
                && !waits(pod.name())
                && super::pod::claims(&pod.value).any(|claim| claim == object.name())
        })
    };
    if kept.len() == finalizers(&object.value).len() || is_used() {
        return;
    }
    let change = json!({"metadata": {"finalizers": kept}});
    patch(cluster, "pvc-protection-controller", Kind::Claim, object, change);
}

fn binds_at_once(cluster: &Cluster, object: &Object) -> bool {
    let class = text(&object.value, "/spec/storageClassName");
    let class = cluster.object("storage.k8s.io", "storageclasses", "", class);
    class.is_some_and(|c| text(&c.value, "/volumeBindingMode") == "Immediate")
}
