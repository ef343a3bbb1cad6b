//! Required and immutable fields of built-in kinds.

use serde_json::{Value, json};

use crate::status_error::Cause;

/// Fields of a Job that never change, whatever its state.
const JOB_FIXED: [&str; 3] = ["completions", "selector", "completionMode"];

/// What is missing in an object of this kind.
pub(super) fn create(kind: &str, value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    match kind {
        "Deployment" => {
            selector_matches(value, &mut causes);
            containers(value, "spec.template.spec", &mut causes);
        }
        "Job" => {
            containers(value, "spec.template.spec", &mut causes);
            let policy = text(value, "/spec/template/spec/restartPolicy");
            if policy.is_empty() {
                causes.push(Cause::required(
                    "spec.template.spec.restartPolicy",
                    "valid values: \"OnFailure\", \"Never\"",
                ));
            } else if !matches!(policy, "OnFailure" | "Never") {
                causes.push(Cause::new(
                    "FieldValueNotSupported",
                    "spec.template.spec.restartPolicy",
                    format!(
                        "Unsupported value: {policy:?}: supported values: \"OnFailure\", \"Never\""
                    ),
                ));
            }
        }
        "PersistentVolumeClaim" => claim(value, &mut causes),
        "Lease" => lease(value, &mut causes),
        "ConfigMap" => config_map(value, &mut causes),
        _ => {}
    }
    causes
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn containers(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let pointer = format!("/{}/containers", path.replace('.', "/"));
    let list = value.pointer(&pointer).and_then(Value::as_array);
    if list.is_none_or(Vec::is_empty) {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    for (index, container) in list.into_iter().flatten().enumerate() {
        for field in ["name", "image"] {
            if text(container, &format!("/{field}")).is_empty() {
                causes.push(Cause::required(format!("{path}.containers[{index}].{field}"), ""));
            }
        }
    }
}

fn selector_matches(value: &Value, causes: &mut Vec<Cause>) {
    let Some(selector) = value.pointer("/spec/selector") else {
        causes.push(Cause::required("spec.selector", ""));
        let labels = value.pointer("/spec/template/metadata/labels").cloned();
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            &labels.unwrap_or(Value::Null),
            "`selector` does not match template `labels`",
        ));
        return;
    };
    let labels = value.pointer("/spec/template/metadata/labels").cloned().unwrap_or(json!({}));
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    if wanted.into_iter().flatten().any(|(k, v)| labels.get(k) != Some(v)) {
        let detail = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", &labels, detail));
    }
}

fn claim(value: &Value, causes: &mut Vec<Cause>) {
    if value.pointer("/spec/accessModes").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        causes.push(Cause::required("spec.accessModes", "at least 1 access mode is required"));
    }
    if value.pointer("/spec/resources/requests/storage").is_none() {
        causes.push(Cause::required("spec.resources[storage]", ""));
    }
}

fn lease(value: &Value, causes: &mut Vec<Cause>) {
    let number = |field: &str| value.pointer(&format!("/spec/{field}")).and_then(Value::as_i64);
    if let Some(seconds) = number("leaseDurationSeconds").filter(|s| *s <= 0) {
        let path = "spec.leaseDurationSeconds";
        causes.push(Cause::invalid(path, &json!(seconds), "must be greater than 0"));
    }
    if let Some(count) = number("leaseTransitions").filter(|c| *c < 0) {
        let path = "spec.leaseTransitions";
        causes.push(Cause::invalid(path, &json!(count), "must be greater than or equal to 0"));
    }
}

fn config_map(value: &Value, causes: &mut Vec<Cause>) {
    for (key, content) in value.get("data").and_then(Value::as_object).into_iter().flatten() {
        let ok = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if !ok || key.is_empty() {
            causes.push(Cause::invalid(
                format!("data[{key}]"),
                &json!(key),
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
                 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
                 '[-._a-zA-Z0-9]+')",
            ));
        }
        if !content.is_string() {
            causes.push(Cause::invalid(format!("data[{key}]"), content, "must be a string"));
        }
    }
}

/// Fields that a replacement of `old` may not change.
pub(super) fn update(kind: &str, value: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    match kind {
        "Deployment" | "ReplicaSet" => fixed(value, old, "selector", &mut causes),
        "Job" => {
            for field in JOB_FIXED {
                fixed(value, old, field, &mut causes);
            }
            job_template(value, old, &mut causes);
        }
        "PersistentVolumeClaim" => claim_fixed(value, old, &mut causes),
        "ConfigMap" | "Secret" if old.get("immutable") == Some(&Value::Bool(true)) => {
            for field in ["data", "binaryData"] {
                if value.get(field) != old.get(field) {
                    let detail = "field is immutable when `immutable` is set";
                    causes.push(Cause::forbidden(field, detail));
                }
            }
        }
        "RoleBinding" | "ClusterRoleBinding" if value.get("roleRef") != old.get("roleRef") => {
            let given = value.get("roleRef").cloned().unwrap_or(Value::Null);
            causes.push(Cause::invalid("roleRef", &given, "cannot change roleRef"));
        }
        _ => {}
    }
    causes
}

fn fixed(value: &Value, old: &Value, field: &str, causes: &mut Vec<Cause>) {
    let pointer = format!("/spec/{field}");
    if value.pointer(&pointer) != old.pointer(&pointer) {
        let given = value.pointer(&pointer).cloned().unwrap_or(Value::Null);
        causes.push(Cause::invalid(format!("spec.{field}"), &given, "field is immutable"));
    }
}

/// A Job's template is fixed, but for scheduling directives while it was never started.
fn job_template(value: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let template = |v: &Value| v.pointer("/spec/template").cloned().unwrap_or(Value::Null);
    let (mut new, mut before) = (template(value), template(old));
    let suspended = old.pointer("/spec/suspend") == Some(&Value::Bool(true));
    let started = old.pointer("/status/startTime").is_some();
    if suspended && !started {
        for template in [&mut new, &mut before] {
            if let Some(pod) = template.get_mut("spec").and_then(Value::as_object_mut) {
                for field in ["nodeSelector", "affinity", "tolerations", "schedulingGates"] {
                    pod.remove(field);
                }
            }
            if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("labels");
                metadata.remove("annotations");
            }
        }
    }
    if new != before {
        let given = template(value);
        causes.push(Cause::invalid("spec.template", &given, "field is immutable"));
    }
}

fn claim_fixed(value: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let spec = |v: &Value| {
        let mut spec = v.get("spec").cloned().unwrap_or(Value::Null);
        if let Some(map) = spec.as_object_mut() {
            map.remove("volumeAttributesClassName");
            // A volume may be chosen once, and a bound claim may ask for more.
            if v.pointer("/spec/volumeName").is_none() || old.pointer("/spec/volumeName").is_none()
            {
                map.remove("volumeName");
            }
            if let Some(requests) = map
                .get_mut("resources")
                .and_then(|r| r.get_mut("requests"))
                .and_then(Value::as_object_mut)
            {
                requests.remove("storage");
            }
        }
        spec
    };
    let bound = old.pointer("/status/phase").and_then(Value::as_str) == Some("Bound");
    let size = |v: &Value| v.pointer("/spec/resources/requests/storage").cloned();
    if spec(value) != spec(old) || (!bound && size(value) != size(old)) {
        let detail = "spec is immutable after creation except resources.requests and \
                      volumeAttributesClassName for bound claims";
        causes.push(Cause::forbidden("spec", detail));
    }
}
