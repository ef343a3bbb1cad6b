//! Defaults of pods and of what makes them.

use serde_json::{Map, Value, json};

use super::{default, quantity, spec};
use crate::object::{meta, meta_str, set_meta};

pub(super) fn deployment(value: &mut Value) {
    let Some(spec) = spec(value) else { return };
    default(spec, "replicas", json!(1));
    default(spec, "revisionHistoryLimit", json!(10));
    default(spec, "progressDeadlineSeconds", json!(600));
    default(spec, "strategy", json!({}));
    if let Some(strategy) = spec.get_mut("strategy").and_then(Value::as_object_mut) {
        default(strategy, "type", json!("RollingUpdate"));
        if strategy.get("type").and_then(Value::as_str) == Some("RollingUpdate") {
            default(strategy, "rollingUpdate", json!({}));
            if let Some(rolling) = strategy.get_mut("rollingUpdate").and_then(Value::as_object_mut)
            {
                default(rolling, "maxUnavailable", json!("25%"));
                default(rolling, "maxSurge", json!("25%"));
            }
        }
    }
    template(spec, "Always");
}

pub(super) fn replica_set(value: &mut Value) {
    let Some(spec) = spec(value) else { return };
    default(spec, "replicas", json!(1));
    template(spec, "Always");
}

pub(super) fn job(value: &mut Value) {
    let Some(spec) = spec(value) else { return };
    let has_completions = spec.contains_key("completions");
    let has_parallelism = spec.contains_key("parallelism");
    if !has_completions && !has_parallelism {
        default(spec, "completions", json!(1));
    }
    default(spec, "parallelism", json!(1));
    default(spec, "backoffLimit", json!(6));
    default(spec, "completionMode", json!("NonIndexed"));
    default(spec, "suspend", json!(false));
    default(spec, "manualSelector", json!(false));
    let replacement =
        if spec.contains_key("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    default(spec, "podReplacementPolicy", json!(replacement));
    template(spec, "");
}

/// A Job selects its pods by its own uid.
pub(super) fn job_selector(value: &mut Value) {
    let (uid, name) = (meta_str(value, "uid").to_owned(), meta_str(value, "name").to_owned());
    let Some(spec) = spec(value) else { return };
    if spec.get("manualSelector") == Some(&Value::Bool(true)) {
        return;
    }
    spec.insert(
        "selector".to_owned(),
        json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}),
    );
    let template = spec.entry("template").or_insert_with(|| json!({}));
    let labels = &mut template["metadata"]["labels"];
    labels["batch.kubernetes.io/controller-uid"] = json!(uid);
    labels["batch.kubernetes.io/job-name"] = json!(name);
    labels["controller-uid"] = json!(uid);
    labels["job-name"] = json!(name);
    let labels = labels.clone();
    if meta(value, "labels").is_none() {
        set_meta(value, "labels", labels);
    }
}

/// Clients do not repeat the generated selector and labels in a whole replacement.
pub(super) fn keep_job_selector(value: &mut Value, old: &Value) {
    let Some(kept) = old.pointer("/spec/selector").cloned() else { return };
    if value.pointer("/spec/selector").is_none() {
        value["spec"]["selector"] = kept;
    }
}

fn template(spec: &mut Map<String, Value>, restart_policy: &str) {
    let Some(template) = spec.get_mut("template").and_then(Value::as_object_mut) else { return };
    if let Some(pod) = template.get_mut("spec") {
        pod_spec(pod, restart_policy);
    }
}

/// A pod's limits without requests are its requests; templates are not touched.
pub(super) fn pod(value: &mut Value) {
    let Some(spec) = value.get_mut("spec") else { return };
    pod_spec(spec, "Always");
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if let Some(resources) = container.get_mut("resources") {
                resource_requests(resources);
            }
        }
    }
}

/// Defaults of a pod; a Job's pods have no default restart policy.
pub(super) fn pod_spec(pod: &mut Value, restart_policy: &str) {
    let Some(pod) = pod.as_object_mut() else { return };
    if !restart_policy.is_empty() {
        default(pod, "restartPolicy", json!(restart_policy));
    }
    default(pod, "dnsPolicy", json!("ClusterFirst"));
    default(pod, "schedulerName", json!("default-scheduler"));
    default(pod, "securityContext", json!({}));
    default(pod, "terminationGracePeriodSeconds", json!(30));
    match (pod.get("serviceAccountName").cloned(), pod.get("serviceAccount").cloned()) {
        (Some(name), _) => {
            pod.insert("serviceAccount".to_owned(), name);
        }
        (None, Some(name)) => {
            pod.insert("serviceAccountName".to_owned(), name);
        }
        (None, None) => {}
    }
    for list in ["containers", "initContainers"] {
        let containers = pod.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            self::container(container);
        }
    }
    let volumes = pod.get_mut("volumes").and_then(Value::as_array_mut);
    for volume in volumes.into_iter().flatten() {
        self::volume(volume);
    }
}

fn container(container: &mut Map<String, Value>) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let latest = match image.rsplit('/').next().unwrap_or_default().split_once(':') {
        None => !image.contains('@'),
        Some((_, tag)) => tag == "latest",
    };
    let policy = if latest { "Always" } else { "IfNotPresent" };
    default(container, "imagePullPolicy", json!(policy));
    default(container, "terminationMessagePath", json!("/dev/termination-log"));
    default(container, "terminationMessagePolicy", json!("File"));
    default(container, "resources", json!({}));
    if let Some(resources) = container.get_mut("resources") {
        quantity::canonical_resources(resources);
    }
    let ports = container.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        default(port, "protocol", json!("TCP"));
    }
    let env = container.get_mut("env").and_then(Value::as_array_mut);
    for field in env.into_iter().flatten().filter_map(|e| e.pointer_mut("/valueFrom/fieldRef")) {
        if let Some(field) = field.as_object_mut() {
            default(field, "apiVersion", json!("v1"));
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(name).and_then(Value::as_object_mut) {
            self::probe(probe);
        }
    }
}

fn resource_requests(resources: &mut Value) {
    let limits = resources.get("limits").and_then(Value::as_object).cloned();
    let Some(limits) = limits.filter(|l| !l.is_empty()) else { return };
    let requests = &mut resources["requests"];
    if requests.is_null() {
        *requests = json!({});
    }
    if let Some(requests) = requests.as_object_mut() {
        for (name, amount) in limits {
            default(requests, &name, amount);
        }
    }
}

fn probe(probe: &mut Map<String, Value>) {
    default(probe, "timeoutSeconds", json!(1));
    default(probe, "periodSeconds", json!(10));
    default(probe, "successThreshold", json!(1));
    default(probe, "failureThreshold", json!(3));
    if let Some(get) = probe.get_mut("httpGet").and_then(Value::as_object_mut) {
        default(get, "path", json!("/"));
        default(get, "scheme", json!("HTTP"));
    }
}

fn volume(volume: &mut Value) {
    for source in ["configMap", "secret", "projected", "downwardAPI"] {
        if let Some(source) = volume.get_mut(source).and_then(Value::as_object_mut) {
            default(source, "defaultMode", json!(0o644));
        }
    }
    if let Some(empty) = volume.get_mut("emptyDir").and_then(Value::as_object_mut)
        && let Some(limit) = empty.get_mut("sizeLimit")
    {
        quantity::canonical_value(limit);
    }
}
