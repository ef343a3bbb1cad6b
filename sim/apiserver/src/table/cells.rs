//! What stands in a row: for built-in kinds as a real server prints them, for custom resources
//! what a column's path finds.

use serde_json::{Value, json};

use super::age;
use super::columns::Column;
use crate::object::{is_deleting, meta_str};

/// The cell of a custom resource.
pub(super) fn custom(column: &Column, object: &Value, now_ms: u64) -> Value {
    let found = column.path.as_ref().and_then(|path| path.find(object).first().copied());
    let Some(value) = found.filter(|value| !value.is_null()) else { return Value::Null };
    match column.kind.as_str() {
        "integer" => value
            .as_i64()
            .or_else(|| value.as_f64().map(|f| f.trunc() as i64))
            .map_or(Value::Null, Value::from),
        "number" => value.as_f64().map_or(Value::Null, Value::from),
        "boolean" => value.as_bool().map_or(Value::Null, Value::from),
        "date" => json!(age::since(value.as_str(), now_ms)),
        _ => match value {
            Value::String(_) => value.clone(),
            other => json!(other.to_string()),
        },
    }
}

/// An object whose cells are made.
struct View<'o> {
    object: &'o Value,
    now_ms: u64,
}

impl<'o> View<'o> {
    fn at(&self, pointer: &str) -> &'o Value {
        self.object.pointer(pointer).unwrap_or(&Value::Null)
    }

    fn text(&self, pointer: &str) -> &'o str {
        self.at(pointer).as_str().unwrap_or_default()
    }

    fn number(&self, pointer: &str) -> i64 {
        self.at(pointer).as_i64().unwrap_or(0)
    }

    fn count(&self, pointer: &str) -> usize {
        match self.at(pointer) {
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            _ => 0,
        }
    }

    fn name(&self) -> Value {
        json!(meta_str(self.object, "name"))
    }

    fn age(&self) -> Value {
        json!(age::since(self.at("/metadata/creationTimestamp").as_str(), self.now_ms))
    }

    /// Containers, images and selector.
    fn workload(&self) -> [Value; 3] {
        let (names, images) = containers(self.at("/spec/template/spec/containers"));
        [json!(names), json!(images), json!(selector(self.at("/spec/selector")))]
    }
}

/// The cells of a built-in kind, in the order of its columns.
pub(super) fn builtin(kind: &str, object: &Value, now_ms: u64) -> Vec<Value> {
    let view = View { object, now_ms };
    match kind {
        "ClusterRole" | "CustomResourceDefinition" | "Role" => {
            vec![view.name(), json!(view.text("/metadata/creationTimestamp"))]
        }
        "ClusterRoleBinding" | "RoleBinding" => {
            let role = format!("{}/{}", view.text("/roleRef/kind"), view.text("/roleRef/name"));
            let [users, groups, accounts] = subjects(view.at("/subjects"));
            vec![view.name(), json!(role), view.age(), users, groups, accounts]
        }
        "Deployment" => deployment(&view),
        "Event" => event(object, now_ms),
        "Job" => job(&view),
        "Node" => {
            let version = view.text("/status/nodeInfo/kubeletVersion");
            vec![view.name(), json!("Ready"), json!("<none>"), view.age(), json!(version)]
        }
        "PersistentVolumeClaim" => claim(object, view.name(), view.age()),
        "Pod" => pod(object, view.name(), view.age()),
        "ReplicaSet" => replica_set(&view),
        "Service" => service(&view),
        "StorageClass" => storage_class(&view),
        _ => {
            let mut cells = vec![view.name()];
            cells.extend(between_name_and_age(kind, &view));
            cells.push(view.age());
            cells
        }
    }
}

/// The middle of a row of the kinds whose last column is their age.
fn between_name_and_age(kind: &str, view: &View<'_>) -> Vec<Value> {
    match kind {
        "ConfigMap" => vec![json!(view.count("/data") + view.count("/binaryData"))],
        "Lease" => vec![json!(view.text("/spec/holderIdentity"))],
        "Namespace" => vec![json!(view.text("/status/phase"))],
        "NetworkPolicy" => vec![json!(selector(view.at("/spec/podSelector")))],
        "PodDisruptionBudget" => vec![
            or_na(view.at("/spec/minAvailable")),
            or_na(view.at("/spec/maxUnavailable")),
            json!(view.number("/status/disruptionsAllowed")),
        ],
        "Secret" => vec![json!(view.text("/type")), json!(view.count("/data"))],
        "ServiceAccount" => vec![json!(view.count("/secrets"))],
        "ValidatingAdmissionPolicy" => {
            vec![json!(view.count("/spec/validations")), json!("<unset>")]
        }
        "ValidatingAdmissionPolicyBinding" => {
            vec![json!(view.text("/spec/policyName")), json!("<unset>")]
        }
        _ => Vec::new(),
    }
}

fn deployment(view: &View<'_>) -> Vec<Value> {
    let (ready, wanted) = (view.number("/status/readyReplicas"), view.number("/spec/replicas"));
    let updated = json!(view.number("/status/updatedReplicas"));
    let available = json!(view.number("/status/availableReplicas"));
    let [names, images, selected] = view.workload();
    let ready = json!(format!("{ready}/{wanted}"));
    vec![view.name(), ready, updated, available, view.age(), names, images, selected]
}

fn replica_set(view: &View<'_>) -> Vec<Value> {
    let [names, images, selected] = view.workload();
    let desired = json!(view.number("/spec/replicas"));
    let current = json!(view.number("/status/replicas"));
    let ready = json!(view.number("/status/readyReplicas"));
    vec![view.name(), desired, current, ready, view.age(), names, images, selected]
}

fn job(view: &View<'_>) -> Vec<Value> {
    let wanted = view.at("/spec/completions").as_i64().unwrap_or(1);
    let done = json!(format!("{}/{wanted}", view.number("/status/succeeded")));
    let [names, images, selected] = view.workload();
    let lasted = json!(job_duration(view.object, view.now_ms));
    let status = json!(job_status(view.object));
    vec![view.name(), status, done, lasted, view.age(), names, images, selected]
}

fn service(view: &View<'_>) -> Vec<Value> {
    vec![
        view.name(),
        json!(view.text("/spec/type")),
        json!(view.text("/spec/clusterIP")),
        json!("<none>"),
        json!(ports(view.at("/spec/ports"))),
        view.age(),
        json!(labels(view.at("/spec/selector"))),
    ]
}

fn storage_class(view: &View<'_>) -> Vec<Value> {
    vec![
        view.name(),
        json!(view.text("/provisioner")),
        json!(view.text("/reclaimPolicy")),
        json!(view.text("/volumeBindingMode")),
        json!(view.at("/allowVolumeExpansion").as_bool().unwrap_or(false)),
        view.age(),
    ]
}

fn or_na(value: &Value) -> Value {
    match value {
        Value::Null => json!("N/A"),
        Value::String(text) => json!(text),
        other => json!(other.to_string()),
    }
}

fn containers(list: &Value) -> (String, String) {
    let of = |field: &str| -> String {
        let items = list.as_array().into_iter().flatten();
        items.filter_map(|c| c[field].as_str()).collect::<Vec<_>>().join(",")
    };
    (of("name"), of("image"))
}

fn labels(map: &Value) -> String {
    let pairs: Vec<String> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

fn selector(selector: &Value) -> String {
    labels(&selector["matchLabels"])
}

fn ports(list: &Value) -> String {
    let items = list.as_array().into_iter().flatten();
    let texts: Vec<String> = items
        .map(|p| format!("{}/{}", p["port"], p["protocol"].as_str().unwrap_or("TCP")))
        .collect();
    texts.join(",")
}

fn subjects(list: &Value) -> [Value; 3] {
    let of = |kind: &str| -> Value {
        let items = list.as_array().into_iter().flatten().filter(|s| s["kind"] == kind);
        let names: Vec<String> = items
            .map(|s| match (kind, s["namespace"].as_str()) {
                ("ServiceAccount", Some(ns)) => {
                    format!("{ns}/{}", s["name"].as_str().unwrap_or(""))
                }
                _ => s["name"].as_str().unwrap_or_default().to_owned(),
            })
            .collect();
        json!(names.join(", "))
    };
    [of("User"), of("Group"), of("ServiceAccount")]
}

fn claim(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let status = if is_deleting(object) { "Terminating" } else { text("/status/phase") };
    let bound = !text("/spec/volumeName").is_empty();
    let capacity = if bound { text("/status/capacity/storage") } else { "" };
    let modes: Vec<&str> = object["status"]["accessModes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|mode| match mode {
            "ReadWriteOnce" => "RWO",
            "ReadOnlyMany" => "ROX",
            "ReadWriteMany" => "RWX",
            "ReadWriteOncePod" => "RWOP",
            other => other,
        })
        .collect();
    let modes = if bound { modes.join(",") } else { String::new() };
    vec![
        name,
        json!(status),
        json!(text("/spec/volumeName")),
        json!(capacity),
        json!(modes),
        json!(text("/spec/storageClassName")),
        json!("<unset>"),
        age,
        json!(text("/spec/volumeMode")),
    ]
}

fn pod(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let or_none =
        |pointer: &str| json!(object.pointer(pointer).and_then(Value::as_str).unwrap_or("<none>"));
    let statuses = object["status"]["containerStatuses"].as_array();
    let ready = statuses.into_iter().flatten().filter(|s| s["ready"] == true).count();
    let all = object["spec"]["containers"].as_array().map_or(0, Vec::len);
    let restarts: i64 =
        statuses.into_iter().flatten().filter_map(|s| s["restartCount"].as_i64()).sum();
    let phase = object["status"]["phase"].as_str().unwrap_or("Pending");
    let status = match phase {
        _ if is_deleting(object) => "Terminating",
        "Succeeded" => "Completed",
        "Failed" => "Error",
        other => other,
    };
    vec![
        name,
        json!(format!("{ready}/{all}")),
        json!(status),
        json!(restarts),
        age,
        or_none("/status/podIP"),
        or_none("/spec/nodeName"),
    ]
}

fn job_status(object: &Value) -> &'static str {
    let condition = |kind: &str| {
        let list = object["status"]["conditions"].as_array().into_iter().flatten();
        list.filter(|c| c["type"] == kind).any(|c| c["status"] == "True")
    };
    if condition("Complete") {
        "Complete"
    } else if condition("Failed") {
        "Failed"
    } else if is_deleting(object) {
        "Terminating"
    } else if condition("Suspended") {
        "Suspended"
    } else {
        "Running"
    }
}

fn job_duration(object: &Value, now_ms: u64) -> String {
    let status = &object["status"];
    match (status["startTime"].as_str(), status["completionTime"].as_str()) {
        (None, _) => String::new(),
        (Some(start), Some(end)) => age::between(start, end),
        (Some(start), None) => age::since(Some(start), now_ms),
    }
}

/// Both event APIs have these columns; the fields are named differently.
fn event(object: &Value, now_ms: u64) -> Vec<Value> {
    let text = |pointers: [&str; 2]| {
        let found = pointers.iter().find_map(|p| object.pointer(p).and_then(Value::as_str));
        found.filter(|t| !t.is_empty()).unwrap_or_default().to_owned()
    };
    let time = |pointers: &[&str]| {
        let found = pointers.iter().find_map(|p| object.pointer(p).and_then(Value::as_str));
        json!(age::since(found, now_ms))
    };
    let about = if object["involvedObject"].is_object() { "involvedObject" } else { "regarding" };
    let about = &object[about];
    let kind = about["kind"].as_str().unwrap_or_default().to_lowercase();
    let subject = format!("{kind}/{}", about["name"].as_str().unwrap_or_default());
    let source = text(["/source/component", "/reportingComponent"]);
    let source = if source.is_empty() { text(["/reportingController", "/x"]) } else { source };
    let seen = object["count"].as_i64().or_else(|| object["series"]["count"].as_i64());
    vec![
        time(&[
            "/series/lastObservedTime",
            "/lastTimestamp",
            "/deprecatedLastTimestamp",
            "/eventTime",
        ]),
        json!(text(["/type", "/type"])),
        json!(text(["/reason", "/reason"])),
        json!(subject),
        json!(about["fieldPath"].as_str().unwrap_or_default()),
        json!(source),
        json!(text(["/message", "/note"]).trim()),
        time(&["/firstTimestamp", "/deprecatedFirstTimestamp", "/eventTime"]),
        json!(seen.unwrap_or(1)),
        json!(meta_str(object, "name")),
    ]
}
