//! Defaults and canonical forms of built-in kinds, as far as clients of this model see them.

mod quantity;
mod workload;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::object::{meta_mut, meta_str};

/// Keeps a claim while a pod uses it.
pub(crate) const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";

/// Fills in what the real server fills in on every write.
pub(crate) fn complete(kind: &str, value: &mut Value) {
    match kind {
        "Deployment" => workload::deployment(value),
        "ReplicaSet" => workload::replica_set(value),
        "Job" => workload::job(value),
        "Pod" => workload::pod(value),
        "Event" => event(value),
        "Namespace" => {
            let name = meta_str(value, "name").to_owned();
            let labels = meta_mut(value).entry("labels").or_insert_with(|| json!({}));
            labels["kubernetes.io/metadata.name"] = json!(name);
        }
        "PersistentVolumeClaim" => claim(value),
        "NetworkPolicy" => network_policy(value),
        "Secret" => secret(value),
        "ValidatingAdmissionPolicy" => policy(value),
        "ValidatingAdmissionPolicyBinding" => binding(value),
        "Service" => service(value),
        "RoleBinding" | "ClusterRoleBinding" => role_binding(value),
        _ => {}
    }
}

/// What is decided once, when an object is created.
pub(crate) fn on_create(kind: &str, value: &mut Value) {
    match kind {
        "Namespace" => {
            value["spec"]["finalizers"] = json!(["kubernetes"]);
            value["status"] = json!({"phase": "Active"});
        }
        "Job" => workload::job_selector(value),
        "Pod" => value["status"] = json!({"phase": "Pending"}),
        "PersistentVolumeClaim" => {
            value["status"] = json!({"phase": "Pending"});
            let finalizers = meta_mut(value).entry("finalizers").or_insert_with(|| json!([]));
            match finalizers.as_array_mut() {
                Some(list) if list.iter().any(|f| f == CLAIM_PROTECTION) => {}
                Some(list) => list.push(json!(CLAIM_PROTECTION)),
                None => *finalizers = json!([CLAIM_PROTECTION]),
            }
        }
        _ => {}
    }
    if matches!(kind, "Deployment" | "Job" | "ReplicaSet") && value.get("status").is_none() {
        value["status"] = json!({});
    }
    if kind == "ReplicaSet" && value.pointer("/status/replicas").is_none() {
        value["status"]["replicas"] = json!(0);
    }
}

/// What an update cannot leave out.
pub(crate) fn on_update(kind: &str, value: &mut Value, old: &Value) {
    match kind {
        "Job" => workload::keep_job_selector(value, old),
        "PersistentVolumeClaim" => {
            for field in ["volumeName", "storageClassName", "volumeMode"] {
                keep(value, old, field);
            }
        }
        _ => {}
    }
}

/// A field of `spec` that is left out stays as it is: the server set it, not the client.
fn keep(value: &mut Value, old: &Value, field: &str) {
    let present = value.pointer(&format!("/spec/{field}")).is_some();
    if let (false, Some(kept)) = (present, old.pointer(&format!("/spec/{field}"))) {
        value["spec"][field] = kept.clone();
    }
}

/// Sets a field unless it is there.
fn default(map: &mut Map<String, Value>, field: &str, value: Value) {
    match map.get(field) {
        None | Some(Value::Null) => {
            map.insert(field.to_owned(), value);
        }
        Some(_) => {}
    }
}

/// `spec` as a map, if it is one.
fn spec(value: &mut Value) -> Option<&mut Map<String, Value>> {
    value.get_mut("spec").and_then(Value::as_object_mut)
}

fn claim(value: &mut Value) {
    if let Some(spec) = spec(value) {
        default(spec, "volumeMode", json!("Filesystem"));
        if let Some(resources) = spec.get_mut("resources") {
            quantity::canonical_resources(resources);
        }
    }
    if let Some(capacity) = value.pointer_mut("/status/capacity") {
        quantity::canonical_map(capacity);
    }
}

/// What a built-in object with nothing in it looks like: its structs are there.
pub(crate) fn empty(kind: &str) -> Value {
    let template = json!({"metadata": {}, "spec": {"containers": []}});
    if kind == "Event" {
        let mut event = json!({"metadata": {}, "involvedObject": {}});
        self::event(&mut event);
        return event;
    }
    let spec = match kind {
        "Deployment" => json!({"template": template, "strategy": {}}),
        "Job" | "ReplicaSet" => json!({"template": template}),
        _ => json!({}),
    };
    json!({"metadata": {}, "spec": spec, "status": {}})
}

fn event(value: &mut Value) {
    let Some(event) = value.as_object_mut() else { return };
    event.entry("source").or_insert_with(|| json!({}));
    for time in ["eventTime", "firstTimestamp", "lastTimestamp"] {
        event.entry(time).or_insert(Value::Null);
    }
    for reporter in ["reportingComponent", "reportingInstance"] {
        event.entry(reporter).or_insert_with(|| json!(""));
    }
}

fn network_policy(value: &mut Value) {
    let Some(spec) = spec(value) else { return };
    let egress = spec.contains_key("egress");
    let mut types = vec![json!("Ingress")];
    if egress {
        types.push(json!("Egress"));
    }
    default(spec, "policyTypes", Value::Array(types));
    for direction in ["ingress", "egress"] {
        let rules = spec.get_mut(direction).and_then(Value::as_array_mut);
        for rule in rules.into_iter().flatten() {
            let ports = rule.get_mut("ports").and_then(Value::as_array_mut);
            for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
                default(port, "protocol", json!("TCP"));
            }
        }
    }
}

fn secret(value: &mut Value) {
    let Some(object) = value.as_object_mut() else { return };
    default(object, "type", json!("Opaque"));
    let Some(Value::Object(plain)) = object.remove("stringData") else { return };
    let data = object.entry("data").or_insert_with(|| json!({}));
    for (key, text) in plain {
        if let Some(text) = text.as_str() {
            data[key] = json!(STANDARD.encode(text));
        }
    }
}

fn match_resources(resources: &mut Map<String, Value>) {
    default(resources, "matchPolicy", json!("Equivalent"));
    default(resources, "namespaceSelector", json!({}));
    default(resources, "objectSelector", json!({}));
    for list in ["resourceRules", "excludeResourceRules"] {
        let rules = resources.get_mut(list).and_then(Value::as_array_mut);
        for rule in rules.into_iter().flatten().filter_map(Value::as_object_mut) {
            default(rule, "scope", json!("*"));
        }
    }
}

fn policy(value: &mut Value) {
    let Some(spec) = spec(value) else { return };
    default(spec, "failurePolicy", json!("Fail"));
    if let Some(resources) = spec.get_mut("matchConstraints").and_then(Value::as_object_mut) {
        match_resources(resources);
    }
}

fn binding(value: &mut Value) {
    let Some(spec) = spec(value) else { return };
    if let Some(resources) = spec.get_mut("matchResources").and_then(Value::as_object_mut) {
        match_resources(resources);
    }
}

fn service(value: &mut Value) {
    let Some(spec) = spec(value) else { return };
    default(spec, "type", json!("ClusterIP"));
    default(spec, "sessionAffinity", json!("None"));
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        default(port, "protocol", json!("TCP"));
        let number = port.get("port").cloned().unwrap_or(Value::Null);
        default(port, "targetPort", number);
    }
}

fn role_binding(value: &mut Value) {
    if let Some(role) = value.get_mut("roleRef").and_then(Value::as_object_mut) {
        default(role, "apiGroup", json!("rbac.authorization.k8s.io"));
    }
    let subjects = value.get_mut("subjects").and_then(Value::as_array_mut);
    for subject in subjects.into_iter().flatten().filter_map(Value::as_object_mut) {
        if subject.get("kind").and_then(Value::as_str) != Some("ServiceAccount") {
            default(subject, "apiGroup", json!("rbac.authorization.k8s.io"));
        }
    }
}
