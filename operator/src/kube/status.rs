//! The status of Agents and Sessions, by server-side apply to their status subresource.
//!
//! Its `controllerEpoch` is what fences it: a CRD rule at the root refuses a lower one and its
//! removal, so the type cannot be built without one.

use kube_core::params::{Patch, PatchParams};
use kube_core::request::Request;
use rynxs_core::ids::{Epoch, Kind, ObjectRef, Uid};
use rynxs_core::names::FIELD_MANAGER;
use serde_json::{Value, json};

use super::client::{Call, KubeClient};
use super::error::{Fault, KubeError};
use super::resource::ResourceType;

/// A write of the whole status of one incarnation.
#[derive(Clone, Debug)]
pub struct StatusWrite {
    subject: ObjectRef,
    body: Value,
}

impl StatusWrite {
    /// Replaces the status by `status`, with this epoch in it.
    ///
    /// # Panics
    /// The subject is neither an Agent nor a Session, or the status is no JSON object: a bug.
    #[must_use]
    pub fn new(subject: &ObjectRef, uid: &Uid, epoch: Epoch, mut status: Value) -> Self {
        assert!(
            matches!(subject.kind, Kind::Agent | Kind::Session),
            "{subject} has no status of ours"
        );
        assert!(status.is_object(), "a status is a JSON object");
        status["controllerEpoch"] = json!(epoch.0);
        let resource = ResourceType::of(subject.kind);
        let body = json!({
            "apiVersion": resource.api_version(),
            "kind": resource.kind,
            "metadata": {
                "name": subject.key.name,
                "namespace": subject.key.namespace,
                "uid": uid.as_str(),
            },
            "status": status,
        });
        Self { subject: subject.clone(), body }
    }

    /// What is sent.
    #[must_use]
    pub fn body(&self) -> &Value {
        &self.body
    }
}

impl KubeClient {
    /// Writes a status and returns the object as the server now has it.
    ///
    /// # Errors
    /// Any answer but the object. 409 says that the incarnation is gone.
    pub async fn write_status(&self, write: &StatusWrite) -> Result<Value, KubeError> {
        let resource = ResourceType::of(write.subject.kind);
        let key = &write.subject.key;
        let request = Request::new(resource.path(Some(&key.namespace))).patch_subresource(
            "status",
            &key.name,
            &PatchParams::apply(FIELD_MANAGER).force(),
            &Patch::Apply(&write.body),
        );
        let call = Call::new("patch", resource.status, request)?;
        let answer = self.send(call, self.timeout()).await?;
        answer.json().map_err(|error| KubeError {
            verb: "patch",
            target: write.subject.to_string(),
            fault: Fault::Undecodable(error.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_carries_its_epoch_and_the_incarnation() {
        let subject = ObjectRef::new(Kind::Agent, "team", "a");
        let write =
            StatusWrite::new(&subject, &"u".into(), Epoch(12), json!({"observedGeneration": 3}));
        assert_eq!(
            write.body(),
            &json!({
                "apiVersion": "universe.ai/v1alpha1",
                "kind": "Agent",
                "metadata": {"name": "a", "namespace": "team", "uid": "u"},
                "status": {"observedGeneration": 3, "controllerEpoch": 12},
            })
        );
    }
}
