//! The fields of a live object that rynxs owns, in the server's own words: what drift is judged by.
//!
//! A projection is taken of what the server *returned* for our write and of what it returns later,
//! never of what we sent: so `1000m` that comes back as `1`, and every default that a server fills
//! in, is no drift. Fields are listed by name. A list of what to leave out would be shorter, but
//! every field that a newer server fills in by itself would look like drift and restart pods.
//!
//! Owned are also fields that we leave empty and that would change what runs or what is reached:
//! commands, added containers and volumes, host namespaces, service accounts. Labels and
//! annotations of others are theirs, and so is what the server or a controller sets: volume names,
//! storage classes, a Job's selector and its labels, all of status.

use serde_json::{Map, Value};

use crate::canonical;
use crate::ids::{Hash, Kind};
use crate::names;
use crate::resource::GROUP;

/// Labels that rynxs sets.
const LABELS: [&str; 6] =
    [names::MANAGED_BY, names::COMPONENT, names::AGENT, names::SESSION, names::ROLE, names::TEAM];

const POD: [&str; 15] = [
    "automountServiceAccountToken",
    "enableServiceLinks",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostUsers",
    "nodeName",
    "restartPolicy",
    "runtimeClassName",
    "securityContext",
    "serviceAccountName",
    "shareProcessNamespace",
    "terminationGracePeriodSeconds",
    "volumes",
];

const CONTAINER: [&str; 17] = [
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "lifecycle",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "resources",
    "restartPolicy",
    "securityContext",
    "startupProbe",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
];

/// The owned fields of a live object of a managed kind.
#[must_use]
pub fn project(kind: Kind, live: &Value) -> Value {
    let mut out = Map::new();
    out.insert("metadata".to_owned(), metadata(&live["metadata"]));
    let spec = &live["spec"];
    match kind {
        Kind::ConfigMap => {
            out.extend(pick(live, &["binaryData", "data", "immutable"]));
        }
        Kind::NetworkPolicy => {
            let fields = ["egress", "ingress", "podSelector", "policyTypes"];
            out.insert("spec".to_owned(), Value::Object(pick(spec, &fields)));
        }
        Kind::PersistentVolumeClaim => {
            let mut claim = pick(spec, &["accessModes"]);
            claim.insert("storage".to_owned(), spec["resources"]["requests"]["storage"].clone());
            out.insert("spec".to_owned(), Value::Object(claim));
        }
        Kind::Deployment => {
            let fields =
                ["minReadySeconds", "paused", "replicas", "revisionHistoryLimit", "selector"];
            let mut deployment = pick(spec, &fields);
            deployment.insert("strategy".to_owned(), spec["strategy"]["type"].clone());
            deployment.insert("template".to_owned(), template(&spec["template"]));
            out.insert("spec".to_owned(), Value::Object(deployment));
        }
        Kind::Job => {
            let fields = [
                "activeDeadlineSeconds",
                "backoffLimit",
                "completions",
                "parallelism",
                "ttlSecondsAfterFinished",
            ];
            let mut job = pick(spec, &fields);
            // The server leaves out nothing here, but absent means the same as false.
            let suspended = spec["suspend"].as_bool().unwrap_or(false);
            job.insert("suspend".to_owned(), Value::Bool(suspended));
            job.insert("template".to_owned(), template(&spec["template"]));
            out.insert("spec".to_owned(), Value::Object(job));
        }
        // Agents and Sessions are not ours to write.
        Kind::Agent | Kind::Session => {}
    }
    Value::Object(out)
}

/// Hash of a projection.
#[must_use]
pub fn hash(projection: &Value) -> Hash {
    canonical::hash(projection)
}

/// Hash of the owned fields of a live object: what `ActionApplied` records.
#[must_use]
pub fn hash_live(kind: Kind, live: &Value) -> Hash {
    hash(&project(kind, live))
}

/// The named fields that say something; an empty list or object says as much as none.
fn pick(from: &Value, fields: &[&str]) -> Map<String, Value> {
    let says = |value: &&Value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(inner) => !inner.is_empty(),
        _ => true,
    };
    let found = fields.iter().filter_map(|field| {
        from.get(*field).filter(says).map(|value| ((*field).to_owned(), value.clone()))
    });
    found.collect()
}

fn metadata(live: &Value) -> Value {
    let mut out = Map::new();
    out.insert("labels".to_owned(), Value::Object(pick(&live["labels"], &LABELS)));
    let kept = pick(&live["annotations"], &[names::RETAINED_FOR]);
    out.insert("annotations".to_owned(), Value::Object(kept));
    let ours = |owner: &&Value| {
        let version = owner["apiVersion"].as_str().unwrap_or_default();
        version.split('/').next() == Some(GROUP)
    };
    let owners = live["ownerReferences"].as_array().into_iter().flatten().filter(ours);
    let fields = ["apiVersion", "controller", "kind", "name", "uid"];
    let owners = owners.map(|owner| Value::Object(pick(owner, &fields))).collect();
    out.insert("ownerReferences".to_owned(), Value::Array(owners));
    Value::Object(out)
}

fn template(live: &Value) -> Value {
    let spec = &live["spec"];
    let mut pod = pick(spec, &POD);
    for list in ["containers", "ephemeralContainers", "initContainers"] {
        if let Some(containers) = spec[list].as_array().filter(|list| !list.is_empty()) {
            let containers = containers.iter().map(|c| Value::Object(pick(c, &CONTAINER)));
            pod.insert(list.to_owned(), Value::Array(containers.collect()));
        }
    }
    let mut out = Map::new();
    out.insert("labels".to_owned(), Value::Object(pick(&live["metadata"]["labels"], &LABELS)));
    out.insert("spec".to_owned(), Value::Object(pod));
    Value::Object(out)
}

#[cfg(test)]
mod tests;
