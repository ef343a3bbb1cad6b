//! What is kept of one object.

use std::sync::Arc;

use rynxs_core::decide;
use rynxs_core::event::InheritedPod;
use rynxs_core::ids::{Hash, Kind, LogId, ObjectRef, Stamp, Uid};
use rynxs_core::names::{DELETING, LOG, RETAINED_FOR, STAMP};
use serde_json::Value;

use crate::kube::Incarnation;

/// Hash of the fields that we own of a live object.
pub type Project = fn(Kind, &Value) -> Hash;

/// One object as last seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its incarnation.
    pub uid: Uid,
    /// Its resourceVersion. Versions of one resource type, those of its lists and bookmarks
    /// included, are decimal and ordered (Kubernetes KEP-5504), which is what tells an old event
    /// or answer from a new one. An object with any other version cannot be read: a list that holds
    /// one counts as failed, so the leader acts on nothing, rather than taking it for absent.
    pub version: u64,
    /// Whether its deletion has begun.
    pub deleting: bool,
    /// The rest, by kind.
    pub facts: Facts,
}

/// What is kept beyond identity.
#[derive(Clone, Debug, PartialEq)]
pub enum Facts {
    /// An Agent or a Session.
    Subject(Subject),
    /// An object that rynxs manages.
    Managed(Managed),
}

/// What is kept of an Agent or a Session.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// `metadata.generation`.
    pub generation: i64,
    /// `metadata.creationTimestamp`, as the server wrote it.
    pub created: Arc<str>,
    /// The spec, as compact JSON.
    pub spec: Arc<str>,
    /// The status, as compact JSON; `null` if there is none.
    pub status: Arc<str>,
}

/// What is kept of a managed object.
#[derive(Clone, Debug, PartialEq)]
pub struct Managed {
    /// The stamp, if it has a readable one.
    pub stamp: Option<Stamp>,
    /// The log that the stamp belongs to.
    pub log: Option<LogId>,
    /// Whether a decision marked it for deletion.
    pub marked: bool,
    /// Whether it is a workspace that outlives its Agent.
    pub retained: bool,
    /// Its owner.
    pub owner: Option<Owner>,
    /// Hash of the fields that we own.
    pub projection: Hash,
    /// `metadata.generation`, zero for kinds that have none.
    pub generation: i64,
    /// What the pods of a Deployment or Job run with.
    pub pod: Option<InheritedPod>,
    /// Storage class of a volume claim.
    pub storage_class: Option<Arc<str>>,
    /// The status of a Deployment, Job or volume claim, as compact JSON; empty for other kinds.
    pub status: Arc<str>,
}

/// The first owner reference of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The Agent or Session that it names; none if it names another kind.
    pub subject: Option<ObjectRef>,
    /// The incarnation that it names.
    pub uid: Uid,
}

impl Entry {
    /// Reads a live object; none if it lacks what every stored object has.
    #[must_use]
    pub fn read(kind: Kind, live: &Value, project: Project) -> Option<(ObjectRef, Self)> {
        let at = Incarnation::of(live)?;
        let metadata = live.get("metadata")?;
        let object = ObjectRef::new(
            kind,
            metadata.get("namespace")?.as_str()?,
            metadata.get("name")?.as_str()?,
        );
        let facts = match kind {
            Kind::Agent | Kind::Session => Facts::Subject(Subject::read(live)),
            _ => Facts::Managed(Managed::read(&object, live, project)),
        };
        let entry = Self {
            uid: at.uid,
            version: at.resource_version.parse().ok()?,
            deleting: metadata.get("deletionTimestamp").is_some_and(|at| !at.is_null()),
            facts,
        };
        Some((object, entry))
    }

    /// The incarnation and version, for a write that depends on them.
    #[must_use]
    pub fn at(&self) -> Incarnation {
        Incarnation { uid: self.uid.clone(), resource_version: self.version.to_string() }
    }

    /// The facts of an Agent or a Session.
    #[must_use]
    pub fn subject(&self) -> Option<&Subject> {
        match &self.facts {
            Facts::Subject(subject) => Some(subject),
            Facts::Managed(_) => None,
        }
    }

    /// The facts of a managed object.
    #[must_use]
    pub fn managed(&self) -> Option<&Managed> {
        match &self.facts {
            Facts::Managed(managed) => Some(managed),
            Facts::Subject(_) => None,
        }
    }

    /// Whether anything that a reader could act on differs, which a mere version does not.
    #[must_use]
    pub(super) fn same_facts(&self, other: &Self) -> bool {
        self.uid == other.uid && self.deleting == other.deleting && self.facts == other.facts
    }
}

impl Subject {
    fn read(live: &Value) -> Self {
        let text = |field: &str| live.get(field).unwrap_or(&Value::Null).to_string().into();
        Self {
            generation: live["metadata"]["generation"].as_i64().unwrap_or(0),
            created: live["metadata"]["creationTimestamp"].as_str().unwrap_or("").into(),
            spec: text("spec"),
            status: text("status"),
        }
    }
}

impl Managed {
    fn read(object: &ObjectRef, live: &Value, project: Project) -> Self {
        let metadata = &live["metadata"];
        let annotation = |name: &str| metadata["annotations"].get(name).and_then(Value::as_str);
        let owners = metadata["ownerReferences"].as_array();
        let owner = owners.and_then(|owners| owners.first()).and_then(|owner| {
            let kind = owner["kind"].as_str().and_then(Kind::parse);
            let name = owner["name"].as_str();
            Some(Owner {
                subject: kind
                    .zip(name)
                    .map(|(kind, name)| ObjectRef::new(kind, object.key.namespace.as_str(), name)),
                uid: Uid::from(owner["uid"].as_str()?),
            })
        });
        let status = match object.kind {
            Kind::Deployment | Kind::Job | Kind::PersistentVolumeClaim => {
                live.get("status").map_or_else(String::new, Value::to_string)
            }
            _ => String::new(),
        };
        Self {
            stamp: annotation(STAMP).and_then(|text| text.parse().ok()).map(Stamp),
            log: annotation(LOG).map(LogId::from),
            marked: annotation(DELETING) == Some("true"),
            retained: annotation(RETAINED_FOR).is_some(),
            owner,
            projection: project(object.kind, live),
            generation: metadata["generation"].as_i64().unwrap_or(0),
            pod: decide::inherited_pod(object.kind, live),
            storage_class: decide::inherited_storage_class(object.kind, live).map(Arc::from),
            status: status.into(),
        }
    }

    /// The kept status as JSON; null if there is none.
    #[must_use]
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.status).unwrap_or(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_managed_object_is_reduced_to_what_writes_and_decisions_need() {
        let live = json!({
            "metadata": {
                "name": "a-run", "namespace": "team", "uid": "u", "resourceVersion": "17",
                "annotations": {
                    "rynxs.universe.ai/stamp": "1000009",
                    "rynxs.universe.ai/log": "l",
                    "rynxs.universe.ai/deleting": "true"
                },
                "ownerReferences": [{"kind": "Session", "name": "s", "uid": "su"}],
                "managedFields": [{"manager": "rynxs"}]
            },
            "status": {"active": 1}
        });
        let (object, entry) =
            Entry::read(Kind::Job, &live, |_, _| Hash([7; 32])).expect("a stored object");
        assert_eq!(object, ObjectRef::new(Kind::Job, "team", "a-run"));
        assert_eq!(entry.version, 17);
        let managed = entry.managed().expect("a managed object");
        assert_eq!(managed.stamp, Some(Stamp(1_000_009)));
        let subject = Some(ObjectRef::new(Kind::Session, "team", "s"));
        assert_eq!(managed.owner, Some(Owner { subject, uid: "su".into() }));
        assert_eq!(managed.status(), json!({"active": 1}));
        assert!(managed.marked && !managed.retained && !entry.deleting);
    }

    #[test]
    fn an_object_without_identity_is_not_kept() {
        let live = json!({"metadata": {"name": "a", "namespace": "n", "uid": "u"}});
        assert!(Entry::read(Kind::Agent, &live, |_, _| Hash::ZERO).is_none());
    }
}
