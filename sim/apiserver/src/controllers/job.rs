//! Jobs: suspended ones have no pods; the others run theirs to success, failure or a deadline.

use std::sync::Arc;

use serde_json::{Value, json};

use super::write::{Condition, conditions, create, delete, is_true, set_condition, status};
use super::{Controllers, Kind, Subject, children, number, owner_reference, text};
use crate::object::{Object, is_deleting, time};
use crate::server::Cluster;

const WHO: &str = "job-controller";

/// A Job's pods by what became of them.
struct Pods {
    active: Vec<Arc<Object>>,
    ready: usize,
    succeeded: usize,
    failed: usize,
}

impl Pods {
    fn of(cluster: &Cluster, object: &Object) -> Self {
        let (mut active, mut succeeded, mut failed) = (Vec::new(), 0, 0);
        for pod in children(cluster, object.uid(), Kind::Pod) {
            match text(&pod.value, "/status/phase") {
                "Succeeded" => succeeded += 1,
                "Failed" => failed += 1,
                _ if is_deleting(&pod.value) => {}
                _ => active.push(pod),
            }
        }
        let ready = active.iter().filter(|pod| super::pod::is_ready(&pod.value)).count();
        Self { active, ready, succeeded, failed }
    }

    fn end_active(&mut self, cluster: &mut Cluster) {
        for pod in self.active.drain(..) {
            delete(cluster, WHO, &pod, Kind::Pod);
        }
        self.ready = 0;
    }
}

pub(super) fn reconcile(
    cluster: &mut Cluster,
    state: &mut Controllers,
    object: &Object,
    subject: &Subject,
    now_ms: u64,
) {
    let mut list = conditions(object);
    if is_deleting(&object.value) {
        return;
    }
    if is_true(&list, "Complete") || is_true(&list, "Failed") {
        return expire(cluster, state, object, subject, now_ms);
    }
    let spec = &object.value["spec"];
    let mut pods = Pods::of(cluster, object);
    let now = time(now_ms);
    let mut made = object.value["status"].clone();
    if !made.is_object() {
        made = json!({});
    }
    if spec["suspend"] == true {
        pods.end_active(cluster);
        set_condition(&mut list, &suspended(true), &now);
        remove(&mut made, "startTime");
    } else {
        if list.iter().any(|c| c["type"] == "Suspended") {
            set_condition(&mut list, &suspended(false), &now);
        }
        if made["startTime"].is_null() {
            made["startTime"] = json!(now);
        }
        match verdict(spec, &pods, state, subject, &made, now_ms) {
            Verdict::Goes { missing } => {
                for _ in 0..missing {
                    create(cluster, WHO, Kind::Pod, &pod(object));
                }
                pods = Pods::of(cluster, object);
            }
            Verdict::Ends { success, reason, message } => {
                pods.end_active(cluster);
                let kinds = if success {
                    made["completionTime"] = json!(now);
                    ["SuccessCriteriaMet", "Complete"]
                } else {
                    ["FailureTarget", "Failed"]
                };
                for kind in kinds {
                    let ended = Condition { kind, holds: true, reason, message };
                    set_condition(&mut list, &ended, &now);
                }
            }
        }
    }
    for (field, count) in
        [("active", pods.active.len()), ("succeeded", pods.succeeded), ("failed", pods.failed)]
    {
        remove(&mut made, field);
        if count > 0 {
            made[field] = json!(count);
        }
    }
    made["ready"] = json!(pods.ready);
    made["terminating"] = json!(0);
    made["uncountedTerminatedPods"] = json!({});
    if !list.is_empty() {
        made["conditions"] = json!(list);
    }
    status(cluster, WHO, Kind::Job, object, made);
}

fn remove(status: &mut Value, field: &str) {
    if let Some(fields) = status.as_object_mut() {
        fields.remove(field);
    }
}

fn suspended(holds: bool) -> Condition<'static> {
    Condition {
        kind: "Suspended",
        holds,
        reason: if holds { "JobSuspended" } else { "JobResumed" },
        message: if holds { "Job suspended" } else { "Job resumed" },
    }
}

enum Verdict {
    Goes { missing: usize },
    Ends { success: bool, reason: &'static str, message: &'static str },
}

fn verdict(
    spec: &Value,
    pods: &Pods,
    state: &mut Controllers,
    subject: &Subject,
    status: &Value,
    now_ms: u64,
) -> Verdict {
    let count = |field: &str, default: i64| {
        usize::try_from(spec[field].as_i64().unwrap_or(default)).unwrap_or(0)
    };
    let completions = count("completions", 1);
    if pods.succeeded >= completions {
        return Verdict::Ends {
            success: true,
            reason: "CompletionsReached",
            message: "Reached expected number of succeeded pods",
        };
    }
    if pods.failed > count("backoffLimit", 6) {
        return Verdict::Ends {
            success: false,
            reason: "BackoffLimitExceeded",
            message: "Job has reached the specified backoff limit",
        };
    }
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_u64() {
        let at = milliseconds(&status["startTime"]).unwrap_or(now_ms) + seconds * 1000;
        if now_ms >= at {
            return Verdict::Ends {
                success: false,
                reason: "DeadlineExceeded",
                message: "Job was active longer than specified deadline",
            };
        }
        state.wake_at(at, subject);
    }
    let wanted = count("parallelism", 1).min(completions - pods.succeeded);
    Verdict::Goes { missing: wanted.saturating_sub(pods.active.len()) }
}

fn milliseconds(time: &Value) -> Option<u64> {
    let time: jiff::Timestamp = time.as_str()?.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

/// A finished Job goes away when its time after the end is over.
fn expire(
    cluster: &mut Cluster,
    state: &mut Controllers,
    object: &Object,
    subject: &Subject,
    now_ms: u64,
) {
    let Some(seconds) = object.value["spec"]["ttlSecondsAfterFinished"].as_u64() else { return };
    let ended = conditions(object)
        .iter()
        .filter(|c| c["type"] == "Complete" || c["type"] == "Failed")
        .find_map(|c| milliseconds(&c["lastTransitionTime"]));
    let at = ended.unwrap_or(now_ms) + seconds * 1000;
    if number(&object.value, "/spec/ttlSecondsAfterFinished") >= 0 && now_ms >= at {
        delete(cluster, "ttl-after-finished-controller", object, Kind::Job);
    } else {
        state.wake_at(at, subject);
    }
}

fn pod(object: &Object) -> Value {
    let template = &object.value["spec"]["template"];
    let mut pod = super::pod::from_template(template, object.namespace());
    pod["metadata"]["generateName"] = json!(format!("{}-", object.name()));
    pod["metadata"]["ownerReferences"] = owner_reference(object, "Job");
    pod
}
