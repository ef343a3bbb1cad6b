//! Pods, as a scheduler and a kubelet with one node would treat them: a pod whose claims are bound
//! starts; a pod that is not to be restarted, as a Job's, ends.
//!
//! How long a Job's pod runs and how it ends can be said in the environment of its first
//! container: `MODEL_RUN_MS` (milliseconds) and `MODEL_EXIT_CODE` (zero: it succeeds).

use serde_json::{Value, json};

use super::write::status;
use super::{Controllers, Kind, RUN_MS, START_MS, Subject, text};
use crate::object::{Object, is_deleting, time};
use crate::server::Cluster;

const WHO: &str = "kubelet";
const NODE: &str = "node-0";

/// A pod of a template, without name and owner.
pub(super) fn from_template(template: &Value, namespace: &str) -> Value {
    let mut metadata = template["metadata"].clone();
    if !metadata.is_object() {
        metadata = json!({});
    }
    metadata["namespace"] = json!(namespace);
    let mut spec = template["spec"].clone();
    spec["nodeName"] = json!(NODE);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

/// Whether the pod's condition `Ready` is `True`.
pub(super) fn is_ready(pod: &Value) -> bool {
    let list = pod["status"]["conditions"].as_array().into_iter().flatten();
    list.filter(|c| c["type"] == "Ready").any(|c| c["status"] == "True")
}

pub(super) fn reconcile(
    cluster: &mut Cluster,
    state: &mut Controllers,
    object: &Object,
    subject: &Subject,
    now_ms: u64,
) {
    if is_deleting(&object.value) {
        return;
    }
    match text(&object.value, "/status/phase") {
        "" | "Pending" => start(cluster, state, object, subject, now_ms),
        "Running" => end(cluster, state, object, subject, now_ms),
        _ => {}
    }
}

pub(super) fn claims(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.filter_map(|v| v["persistentVolumeClaim"]["claimName"].as_str())
}

fn start(
    cluster: &mut Cluster,
    state: &mut Controllers,
    object: &Object,
    subject: &Subject,
    now_ms: u64,
) {
    let mut waits = false;
    for name in claims(&object.value) {
        let claim = cluster.object("", "persistentvolumeclaims", object.namespace(), name);
        let bound = claim.is_some_and(|c| text(&c.value, "/status/phase") == "Bound");
        if !bound {
            waits = true;
            let key = (object.namespace().to_owned(), name.to_owned());
            state.awaited.entry(key).or_default().insert(object.name().to_owned());
            // Claims are bound when a pod wants them: the claim has to be looked at again.
            state.wake_at(now_ms, &Subject::new(Kind::Claim, object.namespace(), name));
        }
    }
    if waits {
        return;
    }
    state.forget_waiting(object.namespace(), object);
    let at = state.step_at(object.uid(), now_ms + START_MS, subject);
    if now_ms < at {
        return;
    }
    state.steps.remove(object.uid());
    let now = time(now_ms);
    let made = json!({
        "phase": "Running",
        "conditions": conditions(true, &now),
        "containerStatuses": containers(object, &json!({"running": {"startedAt": now}}), true),
        "hostIP": "10.0.0.1",
        "podIP": address(object.uid()),
        "qosClass": "BestEffort",
        "startTime": now,
    });
    status(cluster, WHO, Kind::Pod, object, made);
}

fn end(
    cluster: &mut Cluster,
    state: &mut Controllers,
    object: &Object,
    subject: &Subject,
    now_ms: u64,
) {
    // A pod that a deleted Job left behind ends as well.
    if matches!(text(&object.value, "/spec/restartPolicy"), "" | "Always") {
        return;
    }
    let run_ms = environment(object, "MODEL_RUN_MS").unwrap_or(RUN_MS);
    let at = state.step_at(object.uid(), now_ms + run_ms, subject);
    if now_ms < at {
        return;
    }
    state.steps.remove(object.uid());
    let code = environment(object, "MODEL_EXIT_CODE").unwrap_or(0);
    let now = time(now_ms);
    let (phase, reason) = if code == 0 { ("Succeeded", "Completed") } else { ("Failed", "Error") };
    let ended = json!({"terminated": {"exitCode": code, "reason": reason, "finishedAt": now}});
    let mut made = object.value["status"].clone();
    made["phase"] = json!(phase);
    made["conditions"] = conditions(false, &now);
    made["containerStatuses"] = containers(object, &ended, false);
    status(cluster, WHO, Kind::Pod, object, made);
}

fn environment(object: &Object, name: &str) -> Option<u64> {
    let list = object.value.pointer("/spec/containers/0/env")?.as_array()?;
    list.iter().find(|e| e["name"] == name)?["value"].as_str()?.parse().ok()
}

fn conditions(ready: bool, now: &str) -> Value {
    let made = |kind: &str, holds: bool| {
        json!({"type": kind, "status": if holds { "True" } else { "False" },
               "lastProbeTime": null, "lastTransitionTime": now})
    };
    json!([
        made("PodScheduled", true),
        made("Initialized", true),
        made("ContainersReady", ready),
        made("Ready", ready),
    ])
}

fn containers(object: &Object, state: &Value, ready: bool) -> Value {
    let list = object.value["spec"]["containers"].as_array().into_iter().flatten();
    let made: Vec<Value> = list
        .map(|c| {
            json!({
                "name": c["name"],
                "image": c["image"],
                "imageID": "",
                "ready": ready,
                "started": ready,
                "restartCount": 0,
                "state": state,
                "lastState": {},
            })
        })
        .collect();
    json!(made)
}

/// An address that two pods are unlikely to share.
fn address(uid: &str) -> String {
    let sum = uid.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("10.{}.{}.{}", 1 + sum % 200, (sum >> 8) % 256, 1 + (sum >> 16) % 250)
}
