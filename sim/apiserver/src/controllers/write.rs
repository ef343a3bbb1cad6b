//! How controllers write: as users of the API, only what differs.

use http::Method;
use serde_json::{Map, Value, json};

use super::Kind;
use crate::object::Object;
use crate::server::{Cluster, User};

fn user(name: &str) -> User {
    match name {
        "kubelet" => User::new("system:node:node-0"),
        "kube-apiserver" => User::new("system:kube-apiserver"),
        name => User::new(&format!("system:serviceaccount:kube-system:{name}")),
    }
}

fn collection(kind: Kind, namespace: &str) -> String {
    let (group, plural) = kind.resource();
    match group {
        "" => format!("/api/v1/namespaces/{namespace}/{plural}"),
        group => format!("/apis/{group}/v1/namespaces/{namespace}/{plural}"),
    }
}

fn path(kind: Kind, object: &Object) -> String {
    format!("{}/{}", collection(kind, object.namespace()), object.name())
}

/// Creates an object, and says whether it did; whatever refuses it (a name that is taken, a
/// namespace that ends) is seen again with the next change.
pub(super) fn create(cluster: &mut Cluster, who: &str, kind: Kind, object: &Value) -> bool {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let path = collection(kind, namespace);
    is_done(cluster.call(&user(who), Method::POST, &path, Some(object)).0)
}

fn is_done(status: u16) -> bool {
    (200..300).contains(&status)
}

/// Merges a patch into an object, as long as it is the very one that was read; whether it did.
pub(super) fn patch(
    cluster: &mut Cluster,
    who: &str,
    kind: Kind,
    object: &Object,
    patch: Value,
) -> bool {
    let path = path(kind, object);
    send(cluster, who, &path, object, patch)
}

/// Makes an object's status exactly this; sends nothing if it is.
pub(super) fn status(cluster: &mut Cluster, who: &str, kind: Kind, object: &Object, status: Value) {
    let before = object.value["status"].as_object().cloned().unwrap_or_default();
    let Value::Object(after) = status else { return };
    let mut changes: Map<String, Value> = after
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(*value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    changes.extend(gone.map(|name| (name.clone(), Value::Null)));
    if changes.is_empty() {
        return;
    }
    let path = format!("{}/status", path(kind, object));
    send(cluster, who, &path, object, json!({"status": changes}));
}

fn send(cluster: &mut Cluster, who: &str, path: &str, object: &Object, mut patch: Value) -> bool {
    patch["metadata"]["uid"] = json!(object.uid());
    is_done(cluster.call(&user(who), Method::PATCH, path, Some(&patch)).0)
}

/// Deletes the very object that was read, and says whether it did.
pub(super) fn delete(cluster: &mut Cluster, who: &str, object: &Object, kind: Kind) -> bool {
    let options = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": {"uid": object.uid()},
    });
    let path = path(kind, object);
    is_done(cluster.call(&user(who), Method::DELETE, &path, Some(&options)).0)
}

/// One condition that a status should have.
pub(super) struct Condition<'a> {
    pub(super) kind: &'a str,
    pub(super) holds: bool,
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
}

/// Sets a condition in a list; the time of its last transition stays while its status stays.
pub(super) fn set_condition(list: &mut Vec<Value>, condition: &Condition<'_>, now: &str) {
    let status = if condition.holds { "True" } else { "False" };
    let mut made = json!({
        "type": condition.kind,
        "status": status,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": now,
    });
    match list.iter_mut().find(|c| c["type"] == condition.kind) {
        None => list.push(made),
        Some(before) => {
            if before["status"] == status {
                made["lastTransitionTime"] = before["lastTransitionTime"].clone();
            }
            let mut same = before.clone();
            if let Some(fields) = same.as_object_mut() {
                fields
                    .retain(|name, _| !matches!(name.as_str(), "lastUpdateTime" | "lastProbeTime"));
            }
            if same != made {
                *before = made;
            }
        }
    }
}

/// The conditions of an object's status.
pub(super) fn conditions(object: &Object) -> Vec<Value> {
    object.value["status"]["conditions"].as_array().cloned().unwrap_or_default()
}

/// Whether a condition is `True`.
pub(super) fn is_true(list: &[Value], kind: &str) -> bool {
    list.iter().any(|c| c["type"] == kind && c["status"] == "True")
}
