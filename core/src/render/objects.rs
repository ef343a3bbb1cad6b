//! ConfigMaps and the volume claim.

use serde_json::{Value, json};

use crate::canonical;
use crate::names;
use crate::render::{Wanted, role};

/// What a runtime must know of itself; a file, so that a new team member restarts nobody.
pub(super) fn agent_config(wanted: &Wanted<'_>, name: &str) -> Value {
    let Wanted::Agent { owner, spec, .. } = wanted else { return Value::Null };
    let document = json!({
        "agent": owner.key.name,
        "namespace": owner.key.namespace,
        "role": role(spec.role),
        "team": spec.team,
        "manages": spec.manages,
        "permissions": spec.permissions,
        "sessions": spec.sessions,
    });
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": wanted.metadata(name),
        "data": { "agent.json": canonical::text(&document) },
    })
}

/// A session's input, byte for byte.
pub(super) fn session_input(wanted: &Wanted<'_>, name: &str) -> Value {
    let Wanted::Session { spec, .. } = wanted else { return Value::Null };
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": wanted.metadata(name),
        "data": { "input": spec.input },
    })
}

/// The workspace. A retained one has no owner, so that no garbage collection reaches it, and says
/// for whom it is kept.
pub(super) fn workspace(wanted: &Wanted<'_>, name: &str) -> Value {
    let Wanted::Agent { owner, spec, storage_class, .. } = wanted else { return Value::Null };
    let mut metadata = wanted.metadata(name);
    if spec.workspace.retain {
        metadata = json!({
            "name": name,
            "namespace": owner.key.namespace,
            "labels": wanted.labels(),
            "annotations": { names::RETAINED_FOR: owner.key.to_string() },
        });
    }
    let mut claim = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": { "requests": { "storage": spec.workspace.size } },
    });
    if let Some(class) = storage_class {
        claim["storageClassName"] = json!(class);
    }
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": claim,
    })
}
