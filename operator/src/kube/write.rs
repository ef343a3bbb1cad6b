//! The writes of this operator. I4 rests on the types here.
//!
//! A managed object is written by one verb: server-side apply, forced, by field manager `rynxs`,
//! of a body that carries the stamp of the decision its content comes from. [`StampedApply`] has no
//! constructor without a [`Provenance`], and nothing else in this crate sends a write to a managed
//! object: a patch that leaves the stamp out would pass the policy, because the server merges the
//! stored stamp in. A delete is only to be had from the answer to a stamped apply of the mark.

use kube_core::params::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube_core::request::Request;
use rynxs_core::ids::{Epoch, Key, Kind, LogId, ObjectRef, Stamp, Uid};
use rynxs_core::names::{DELETING, EPOCH, FIELD_MANAGER, LOG, MANAGED_BY, MANAGED_BY_VALUE, STAMP};
use serde_json::{Map, Value, json};

use super::client::{Call, KubeClient};
use super::error::{Fault, KubeError};
use super::fields::owned_by;
use super::resource::ResourceType;

/// An apply that creates when the name is free (201) and is refused when it is not (409): no object
/// has this version, and the create branch of kube-apiserver does not look at it.
const CREATE_ONLY: &str = "1";

/// The decision that a write comes from; no managed object can be written without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// `base + seq` of the decision's record.
    pub stamp: Stamp,
    /// The log that holds it.
    pub log: LogId,
    /// The epoch that performs it.
    pub epoch: Epoch,
}

/// One incarnation of an object at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incarnation {
    /// Its uid.
    pub uid: Uid,
    /// The version that was read.
    pub resource_version: String,
}

/// A server-side apply to a managed object, with its stamp.
#[derive(Clone, Debug)]
pub struct StampedApply {
    object: ObjectRef,
    body: Value,
    mark: bool,
}

/// The answer to an acknowledged write.
#[derive(Clone, Debug)]
pub struct Written {
    /// The object as the server returned it.
    pub live: Value,
    /// Its incarnation and new version.
    pub at: Incarnation,
    /// Whether the write created it.
    pub created: bool,
}

/// A delete of a marked object: only [`KubeClient::mark`] makes one.
#[derive(Clone, Debug)]
pub struct MarkedDelete {
    object: ObjectRef,
    at: Incarnation,
}

/// The delete of a Session whose time is over; its expiry is irrevocable, so uid and
/// resourceVersion suffice.
#[derive(Clone, Debug)]
pub struct SessionDelete {
    /// The Session.
    pub session: Key,
    /// The incarnation and version that expired.
    pub at: Incarnation,
}

/// A manifest that does not belong to the object it is for: our bug.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("manifest for {object}: {problem}")]
pub struct ApplyError {
    /// The object.
    pub object: ObjectRef,
    /// What is wrong.
    pub problem: String,
}

impl StampedApply {
    /// Creates the object if its name is free.
    ///
    /// # Errors
    /// The manifest is not one of this object.
    pub fn create(
        object: &ObjectRef,
        manifest: Value,
        provenance: &Provenance,
    ) -> Result<Self, ApplyError> {
        Self::build(object, manifest, provenance, None)
    }

    /// Applies new content to a known incarnation at a known version.
    ///
    /// # Errors
    /// The manifest is not one of this object.
    pub fn update(
        object: &ObjectRef,
        manifest: Value,
        provenance: &Provenance,
        at: &Incarnation,
    ) -> Result<Self, ApplyError> {
        Self::build(object, manifest, provenance, Some(at))
    }

    /// Marks the object for deletion, repeating what we own of it.
    ///
    /// # Errors
    /// The live object is not this object, or was never applied by this field manager.
    pub fn mark(
        object: &ObjectRef,
        live: &Value,
        provenance: &Provenance,
    ) -> Result<Self, ApplyError> {
        let wrong =
            |problem: &str| ApplyError { object: object.clone(), problem: problem.to_owned() };
        let at = Incarnation::of(live).ok_or_else(|| wrong("the live object has no uid"))?;
        let mut manifest = owned_by(live, FIELD_MANAGER)
            .ok_or_else(|| wrong("the live object was never applied by this field manager"))?;
        let resource = ResourceType::of(object.kind);
        manifest["apiVersion"] = json!(resource.api_version());
        manifest["kind"] = json!(resource.kind);
        manifest["metadata"]["name"] = json!(object.key.name);
        manifest["metadata"]["namespace"] = json!(object.key.namespace);
        let mut apply = Self::build(object, manifest, provenance, Some(&at))?;
        apply.body["metadata"]["annotations"][DELETING] = json!("true");
        apply.mark = true;
        Ok(apply)
    }

    fn build(
        object: &ObjectRef,
        mut manifest: Value,
        provenance: &Provenance,
        at: Option<&Incarnation>,
    ) -> Result<Self, ApplyError> {
        check(object, &manifest)
            .map_err(|problem| ApplyError { object: object.clone(), problem })?;
        if let Some(fields) = manifest.as_object_mut() {
            fields.remove("status");
        }
        let metadata = &mut manifest["metadata"];
        if !metadata["annotations"].is_object() {
            metadata["annotations"] = Value::Object(Map::new());
        }
        let annotations = &mut metadata["annotations"];
        annotations[STAMP] = json!(provenance.stamp.to_string());
        annotations[LOG] = json!(provenance.log.as_str());
        annotations[EPOCH] = json!(provenance.epoch.to_string());
        match at {
            Some(at) => {
                metadata["uid"] = json!(at.uid.as_str());
                metadata["resourceVersion"] = json!(at.resource_version);
            }
            None => metadata["resourceVersion"] = json!(CREATE_ONLY),
        }
        Ok(Self { object: object.clone(), body: manifest, mark: false })
    }

    /// The body that is sent.
    #[must_use]
    pub fn body(&self) -> &Value {
        &self.body
    }
}

/// What is wrong with a manifest, if anything.
fn check(object: &ObjectRef, manifest: &Value) -> Result<(), String> {
    if matches!(object.kind, Kind::Agent | Kind::Session) {
        return Err("Agents and Sessions are people's; only their status is written".to_owned());
    }
    let resource = ResourceType::of(object.kind);
    let expected = [
        ("/apiVersion", resource.api_version()),
        ("/kind", resource.kind.to_owned()),
        ("/metadata/name", object.key.name.clone()),
        ("/metadata/namespace", object.key.namespace.clone()),
    ];
    for (path, value) in expected {
        if manifest.pointer(path).and_then(Value::as_str) != Some(&value) {
            return Err(format!("{path} is not {value:?}"));
        }
    }
    let label = manifest["metadata"]["labels"].get(MANAGED_BY).and_then(Value::as_str);
    if label != Some(MANAGED_BY_VALUE) {
        return Err(format!("label {MANAGED_BY} is not {MANAGED_BY_VALUE:?}"));
    }
    Ok(())
}

impl Incarnation {
    /// Reads uid and resourceVersion of a live object.
    #[must_use]
    pub fn of(live: &Value) -> Option<Self> {
        let text = |path| live.pointer(path).and_then(Value::as_str).filter(|t| !t.is_empty());
        Some(Self {
            uid: Uid(text("/metadata/uid")?.to_owned()),
            resource_version: text("/metadata/resourceVersion")?.to_owned(),
        })
    }
}

impl KubeClient {
    /// Applies content to a managed object.
    ///
    /// # Errors
    /// Any answer but the object; see [`KubeError::ambiguous`].
    pub async fn apply(&self, apply: StampedApply) -> Result<Written, KubeError> {
        let resource = ResourceType::of(apply.object.kind);
        let name = &apply.object.key.name;
        let request = Request::new(resource.path(Some(&apply.object.key.namespace))).patch(
            name,
            &PatchParams::apply(FIELD_MANAGER).force(),
            &Patch::Apply(&apply.body),
        );
        let call = Call::new("patch", resource.plural, request)?;
        let answer = self.send(call, self.timeout()).await?;
        let undecodable = |why: String| KubeError {
            verb: "patch",
            target: apply.object.to_string(),
            fault: Fault::Undecodable(why),
        };
        let live: Value = answer.json().map_err(|error| undecodable(error.to_string()))?;
        let at = Incarnation::of(&live)
            .ok_or_else(|| undecodable("an object without uid or resourceVersion".to_owned()))?;
        Ok(Written { live, at, created: answer.status == http::StatusCode::CREATED })
    }

    /// Marks a managed object for deletion; what it returns can be deleted.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn mark(&self, apply: StampedApply) -> Result<MarkedDelete, KubeError> {
        assert!(apply.mark, "only a marking apply leads to a delete");
        let object = apply.object.clone();
        let written = self.apply(apply).await?;
        Ok(MarkedDelete { object, at: written.at })
    }

    /// Deletes a marked object; 404 is an error here, its meaning is the caller's.
    ///
    /// # Errors
    /// Any answer but success.
    pub async fn delete_marked(&self, delete: &MarkedDelete) -> Result<(), KubeError> {
        self.delete(&delete.object, &delete.at).await
    }

    /// Deletes a Session whose time is over.
    ///
    /// # Errors
    /// Any answer but success.
    pub async fn delete_session(&self, delete: &SessionDelete) -> Result<(), KubeError> {
        let object = ObjectRef { kind: Kind::Session, key: delete.session.clone() };
        self.delete(&object, &delete.at).await
    }

    async fn delete(&self, object: &ObjectRef, at: &Incarnation) -> Result<(), KubeError> {
        let resource = ResourceType::of(object.kind);
        // Background is said, because a Job's own default would leave its pods behind.
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions {
                uid: Some(at.uid.0.clone()),
                resource_version: Some(at.resource_version.clone()),
            }),
            ..DeleteParams::default()
        };
        let request = Request::new(resource.path(Some(&object.key.namespace)))
            .delete(&object.key.name, &params);
        let call = Call::new("delete", resource.plural, request)?;
        self.send(call, self.timeout()).await.map(|_| ())
    }

    /// Reads one object afresh (no `resourceVersion`: never from a lagging cache); none if the
    /// server says 404.
    ///
    /// # Errors
    /// Any other answer.
    pub async fn get(&self, object: &ObjectRef) -> Result<Option<Value>, KubeError> {
        let resource = ResourceType::of(object.kind);
        let request = Request::new(resource.path(Some(&object.key.namespace)))
            .get(&object.key.name, &kube_core::params::GetParams::default());
        let call = Call::new("get", resource.plural, request)?;
        match self.send(call, self.timeout()).await {
            Ok(answer) => answer.json().map(Some).map_err(|error| KubeError {
                verb: "get",
                target: object.to_string(),
                fault: Fault::Undecodable(error.to_string()),
            }),
            Err(error) if error.code() == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provenance() -> Provenance {
        Provenance { stamp: Stamp(1_000_042), log: "l".into(), epoch: Epoch(1_000_007) }
    }

    fn object() -> ObjectRef {
        ObjectRef::new(Kind::ConfigMap, "team", "a-spec")
    }

    fn manifest() -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "a-spec",
                "namespace": "team",
                "labels": {"app.kubernetes.io/managed-by": "rynxs"}
            },
            "data": {"spec.json": "{}"}
        })
    }

    #[test]
    fn every_write_carries_the_stamp_the_log_and_the_epoch_of_its_decision() {
        let at = Incarnation { uid: "u".into(), resource_version: "9".to_owned() };
        let create = StampedApply::create(&object(), manifest(), &provenance()).expect("valid");
        let update =
            StampedApply::update(&object(), manifest(), &provenance(), &at).expect("valid");
        for apply in [&create, &update] {
            let annotations = &apply.body()["metadata"]["annotations"];
            assert_eq!(annotations["rynxs.universe.ai/stamp"], "1000042");
            assert_eq!(annotations["rynxs.universe.ai/log"], "l");
            assert_eq!(annotations["rynxs.universe.ai/epoch"], "1000007");
            assert!(annotations.get("rynxs.universe.ai/deleting").is_none());
        }
        assert_eq!(create.body()["metadata"]["resourceVersion"], "1");
        assert!(create.body()["metadata"].get("uid").is_none());
        assert_eq!(update.body()["metadata"]["resourceVersion"], "9");
        assert_eq!(update.body()["metadata"]["uid"], "u");
    }

    #[test]
    fn a_manifest_of_another_object_or_without_our_label_is_refused() {
        let mut other = manifest();
        other["metadata"]["name"] = json!("b-spec");
        assert!(StampedApply::create(&object(), other, &provenance()).is_err());
        let mut bare = manifest();
        bare["metadata"]["labels"] = json!({});
        assert!(StampedApply::create(&object(), bare, &provenance()).is_err());
        let agent = ObjectRef::new(Kind::Agent, "team", "a");
        assert!(StampedApply::create(&agent, manifest(), &provenance()).is_err());
    }

    #[test]
    fn a_mark_repeats_what_we_own_and_nothing_else() {
        let live = json!({
            "metadata": {
                "name": "a-spec", "namespace": "team", "uid": "u", "resourceVersion": "30",
                "labels": {"app.kubernetes.io/managed-by": "rynxs", "theirs": "1"},
                "annotations": {"rynxs.universe.ai/stamp": "7"},
                "managedFields": [{"manager": "rynxs", "operation": "Apply", "fieldsV1": {
                    "f:metadata": {
                        "f:labels": {"f:app.kubernetes.io/managed-by": {}},
                        "f:annotations": {"f:rynxs.universe.ai/stamp": {}}
                    },
                    "f:data": {"f:spec.json": {}}
                }}]
            },
            "data": {"spec.json": "{}", "added": "by somebody"}
        });
        let mark = StampedApply::mark(&object(), &live, &provenance()).expect("a mark");
        let body = mark.body();
        assert_eq!(body["metadata"]["annotations"]["rynxs.universe.ai/deleting"], "true");
        assert_eq!(body["metadata"]["annotations"]["rynxs.universe.ai/stamp"], "1000042");
        assert_eq!(body["metadata"]["resourceVersion"], "30");
        assert_eq!(body["data"], json!({"spec.json": "{}"}));
        assert!(body["metadata"]["labels"].get("theirs").is_none());
    }

    #[test]
    fn an_object_that_we_never_applied_cannot_be_marked() {
        let live = json!({"metadata": {"uid": "u", "resourceVersion": "3"}});
        assert!(StampedApply::mark(&object(), &live, &provenance()).is_err());
    }
}
