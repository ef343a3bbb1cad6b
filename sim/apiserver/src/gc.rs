//! Garbage collection: dependents follow their owners, namespaces are emptied.
//!
//! Works on queues, not on scans: a removal queues the dependents of what was removed, a write
//! queues an object whose owners are gone. Everything is deleted through the ordinary path, as
//! the controllers of the real cluster do.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use crate::defaults::CLAIM_PROTECTION;
use crate::object::{Object, finalizers, is_deleting, meta, owner_uids};
use crate::resource::StorageKey;
use crate::server::{Cluster, User};
use crate::store::Place;

/// The finalizer that makes an owner wait for its dependents.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer that makes an owner wait until its dependents are freed.
pub(crate) const ORPHAN: &str = "orphan";

const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";
const NAMESPACES: &str = "system:serviceaccount:kube-system:namespace-controller";

/// A bound on rounds: owners form chains of a few links; what is left waits for the next tick.
const MAX_ROUNDS: usize = 32;

/// What is to be looked at.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    items: BTreeSet<Place>,
    namespaces: BTreeSet<String>,
    /// What was refused, for the next tick.
    later: BTreeSet<Place>,
}

impl Collector {
    /// Whether something is to be tried again.
    pub(crate) fn waits(&self) -> bool {
        !self.later.is_empty()
    }

    /// Whether there is something to do now.
    pub(crate) fn has_work(&self) -> bool {
        !(self.items.is_empty() && self.namespaces.is_empty())
    }
}

/// Takes note of a stored change; `removed` is the object that is no more.
pub(crate) fn observe(cluster: &mut Cluster, place: &Place, object: &Object, removed: bool) {
    let uid = object.uid().to_owned();
    if place.0 == StorageKey::new("", "pods") {
        let claims = claims_of(cluster, object);
        cluster.collector.items.extend(claims);
    }
    if removed {
        cluster.collector.items.extend(cluster.store.dependents(&uid));
        // Its owners may wait for it.
        for owner in owner_uids(&object.value) {
            if let Some(owner_place) = cluster.store.place_of(owner) {
                cluster.collector.items.insert(owner_place.clone());
            }
        }
        let namespace = object.namespace().to_owned();
        if !namespace.is_empty() {
            wake_namespace(cluster, &namespace);
        }
        return;
    }
    let ours = [FOREGROUND, ORPHAN, CLAIM_PROTECTION];
    let waits =
        is_deleting(&object.value) && finalizers(&object.value).iter().any(|f| ours.contains(f));
    let lost = references(object).iter().any(|r| owner_of(cluster, object, r).is_none());
    if waits || lost {
        cluster.collector.items.insert(place.clone());
    }
    if place.0 == StorageKey::new("", "namespaces") && is_deleting(&object.value) {
        cluster.collector.namespaces.insert(object.name().to_owned());
    }
}

fn wake_namespace(cluster: &mut Cluster, name: &str) {
    let key = (String::new(), name.to_owned());
    let namespace = cluster.store.get(&StorageKey::new("", "namespaces"), &key);
    if namespace.is_some_and(|n| is_deleting(&n.value)) {
        cluster.collector.namespaces.insert(name.to_owned());
    }
}

/// Works until nothing is left that can be done now.
pub(crate) fn run(cluster: &mut Cluster) {
    let again = std::mem::take(&mut cluster.collector.later);
    cluster.collector.items.extend(again);
    for _ in 0..MAX_ROUNDS {
        if !cluster.collector.has_work() {
            return;
        }
        let items = std::mem::take(&mut cluster.collector.items);
        for place in items {
            if let Some(object) = cluster.store.get(&place.0, &place.1).map(Arc::clone) {
                process(cluster, &place, &object);
            }
        }
        for name in std::mem::take(&mut cluster.collector.namespaces) {
            empty_namespace(cluster, &name);
        }
    }
}

fn process(cluster: &mut Cluster, place: &Place, object: &Arc<Object>) {
    let waiting = finalizers(&object.value);
    if is_deleting(&object.value) && waiting.contains(&ORPHAN) {
        orphan_dependents(cluster, place, object);
    } else if is_deleting(&object.value) && waiting.contains(&FOREGROUND) {
        delete_dependents(cluster, place, object);
    } else if is_deleting(&object.value) && waiting.contains(&CLAIM_PROTECTION) {
        if !is_mounted(cluster, object) {
            drop_finalizer(cluster, place, CLAIM_PROTECTION);
        }
    } else {
        collect(cluster, place, object);
    }
}

/// Whether a pod that has not ended uses the claim.
fn is_mounted(cluster: &Cluster, claim: &Object) -> bool {
    cluster.objects("", "pods").iter().any(|pod| {
        let phase = pod.value.pointer("/status/phase").and_then(Value::as_str);
        let volumes = pod.value.pointer("/spec/volumes").and_then(Value::as_array);
        let named = |v: &Value| {
            v.pointer("/persistentVolumeClaim/claimName").and_then(Value::as_str)
                == Some(claim.name())
        };
        pod.namespace() == claim.namespace()
            && !matches!(phase, Some("Succeeded" | "Failed"))
            && volumes.into_iter().flatten().any(named)
    })
}

/// Claims that wait for this pod's end.
fn claims_of(cluster: &Cluster, pod: &Object) -> Vec<Place> {
    let storage = StorageKey::new("", "persistentvolumeclaims");
    let volumes = pod.value.pointer("/spec/volumes").and_then(Value::as_array);
    volumes
        .into_iter()
        .flatten()
        .filter_map(|v| v.pointer("/persistentVolumeClaim/claimName")?.as_str())
        .map(|name| (storage.clone(), (pod.namespace().to_owned(), name.to_owned())))
        .filter(|(storage, key)| {
            cluster.store.get(storage, key).is_some_and(|c| is_deleting(&c.value))
        })
        .collect()
}

/// Whether an owner reference points to something that lives.
fn owner_of<'a>(cluster: &'a Cluster, object: &Object, reference: &Value) -> Option<&'a Object> {
    let uid = reference.get("uid")?.as_str()?;
    let owner = cluster.store.by_uid(uid)?;
    let reachable = owner.namespace().is_empty() || owner.namespace() == object.namespace();
    reachable.then(|| owner.as_ref())
}

fn references(object: &Object) -> Vec<Value> {
    meta(&object.value, "ownerReferences").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Deletes an object all of whose owners are gone, and drops references to some that are.
fn collect(cluster: &mut Cluster, place: &Place, object: &Arc<Object>) {
    let all = references(object);
    if all.is_empty() || is_deleting(&object.value) {
        return;
    }
    let (mut solid, mut waiting) = (Vec::new(), Vec::new());
    for reference in &all {
        match owner_of(cluster, object, reference) {
            None => {}
            Some(owner)
                if is_deleting(&owner.value) && finalizers(&owner.value).contains(&FOREGROUND) =>
            {
                waiting.push(reference.clone());
            }
            Some(_) => solid.push(reference.clone()),
        }
    }
    let has_dependents = !cluster.store.dependents(object.uid()).is_empty();
    if solid.is_empty() {
        let foreground = !waiting.is_empty() && has_dependents
            || finalizers(&object.value).contains(&FOREGROUND);
        let policy = if finalizers(&object.value).contains(&ORPHAN) {
            "Orphan"
        } else if foreground {
            "Foreground"
        } else {
            "Background"
        };
        delete(cluster, COLLECTOR, place, object, policy);
    } else if solid.len() < all.len() {
        patch_metadata(cluster, place, object, json!({"ownerReferences": solid}));
    }
}

fn blocks(reference: &Value, uid: &str) -> bool {
    reference.get("uid").and_then(Value::as_str) == Some(uid)
        && reference.get("blockOwnerDeletion") == Some(&Value::Bool(true))
}

fn delete_dependents(cluster: &mut Cluster, place: &Place, object: &Arc<Object>) {
    let uid = object.uid().to_owned();
    let mut blocked = false;
    for dependent_place in cluster.store.dependents(&uid) {
        let dependent = cluster.store.get(&dependent_place.0, &dependent_place.1).map(Arc::clone);
        let Some(dependent) = dependent else { continue };
        blocked |= references(&dependent).iter().any(|r| blocks(r, &uid));
        collect(cluster, &dependent_place, &dependent);
    }
    let gone = cluster.store.dependents(&uid).iter().all(|p| {
        cluster.store.get(&p.0, &p.1).is_none_or(|d| !references(d).iter().any(|r| blocks(r, &uid)))
    });
    if !blocked || gone {
        drop_finalizer(cluster, place, FOREGROUND);
    }
}

fn orphan_dependents(cluster: &mut Cluster, place: &Place, object: &Arc<Object>) {
    let uid = object.uid().to_owned();
    for dependent_place in cluster.store.dependents(&uid) {
        let dependent = cluster.store.get(&dependent_place.0, &dependent_place.1).map(Arc::clone);
        let Some(dependent) = dependent else { continue };
        let left: Vec<Value> = references(&dependent)
            .into_iter()
            .filter(|r| r.get("uid").and_then(Value::as_str) != Some(uid.as_str()))
            .collect();
        patch_metadata(cluster, &dependent_place, &dependent, json!({"ownerReferences": left}));
    }
    if cluster.store.dependents(&uid).is_empty() {
        drop_finalizer(cluster, place, ORPHAN);
    }
}

fn drop_finalizer(cluster: &mut Cluster, place: &Place, finalizer: &str) {
    let Some(object) = cluster.store.get(&place.0, &place.1).map(Arc::clone) else { return };
    let left: Vec<&str> =
        finalizers(&object.value).into_iter().filter(|f| *f != finalizer).collect();
    patch_metadata(cluster, place, &object, json!({"finalizers": left}));
}

/// The path of a stored object.
pub(crate) fn path_of(cluster: &Cluster, place: &Place) -> Option<String> {
    let info = cluster.registry.by_storage(&place.0)?;
    let prefix = if info.group.is_empty() { "/api" } else { "/apis" };
    let (namespace, name) = &place.1;
    let scope =
        if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
    Some(format!("{prefix}/{}{scope}/{}/{name}", info.api_version(), info.plural))
}

fn patch_metadata(cluster: &mut Cluster, place: &Place, object: &Object, mut metadata: Value) {
    let Some(path) = path_of(cluster, place) else { return };
    metadata["uid"] = json!(object.uid());
    let body = json!({"metadata": metadata});
    let (code, _) = cluster.call(&User::new(COLLECTOR), Method::PATCH, &path, Some(&body));
    settle(cluster, place, code);
}

/// What was refused is tried again at the next tick, as it is again and again in a real cluster.
fn settle(cluster: &mut Cluster, place: &Place, code: u16) {
    if !matches!(code, 200 | 202 | 404) {
        cluster.collector.later.insert(place.clone());
    }
}

fn delete(cluster: &mut Cluster, user: &str, place: &Place, object: &Object, policy: &str) {
    let Some(path) = path_of(cluster, place) else { return };
    let body = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": policy,
        "preconditions": {"uid": object.uid()},
    });
    let (code, _) = cluster.call(&User::new(user), Method::DELETE, &path, Some(&body));
    settle(cluster, place, code);
}

fn empty_namespace(cluster: &mut Cluster, name: &str) {
    let namespaces = StorageKey::new("", "namespaces");
    let key = (String::new(), name.to_owned());
    let Some(namespace) = cluster.store.get(&namespaces, &key).map(Arc::clone) else { return };
    if !is_deleting(&namespace.value) {
        return;
    }
    for place in cluster.store.in_namespace(name) {
        let Some(object) = cluster.store.get(&place.0, &place.1).map(Arc::clone) else { continue };
        if !is_deleting(&object.value) {
            delete(cluster, NAMESPACES, &place, &object, "Background");
        }
    }
    if cluster.store.in_namespace(name).is_empty() {
        let mut value = Value::clone(&namespace.value);
        value["spec"] = json!({});
        let path = format!("/api/v1/namespaces/{name}/finalize");
        let _ = cluster.call(&User::new(NAMESPACES), Method::PUT, &path, Some(&value));
    }
}
