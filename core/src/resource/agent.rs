//! `Agent`: a long-running worker, manager or director with a workspace and a bounded network.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvVarSource, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

/// What an agent is and may do. Unknown fields are pruned by the API server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentSpec {
    /// Place in the hierarchy; decides whom the agent may reach.
    #[serde(default)]
    pub role: Role,
    /// Team the agent belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Names of the agents of the same namespace that a manager manages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manages: Vec<String>,
    /// Named permissions handed to the agent's runtime.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub permissions: BTreeMap<String, bool>,
    /// Image of the agent's runtime; the operator's default if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSpec>,
    /// Refuse an image without a digest.
    #[serde(default)]
    pub require_digest: bool,
    /// Persistent workspace.
    #[serde(default)]
    pub workspace: WorkspaceSpec,
    /// Compute resources of the runtime.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "amounts")]
    pub resources: Option<ResourceRequirements>,
    /// Environment; secrets only by reference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// RuntimeClass of the agent's pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    /// What the agent may reach besides what its role allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<Egress>,
    /// Whether the runtime runs.
    #[serde(default)]
    pub operating_mode: OperatingMode,
    /// Limits of the agent's sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<SessionLimits>,
}

/// Place in the hierarchy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reaches DNS and its own egress.
    #[default]
    Worker,
    /// Also reaches the agents it manages.
    Manager,
    /// Also reaches all agents of its namespace.
    Director,
}

/// Image of a runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageSpec {
    /// Repository, for example `ghcr.io/rynxs/agent`.
    pub repository: String,
    /// Tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Digest, `sha256:` and 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Persistent workspace of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkspaceSpec {
    /// Size of the volume, a Kubernetes quantity; cannot shrink.
    pub size: String,
    /// Storage class; the operator's default if unset. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
    /// Keep the volume when the agent is deleted; a later agent of the same name gets it back.
    pub retain: bool,
}

impl Default for WorkspaceSpec {
    fn default() -> Self {
        Self { size: "1Gi".to_owned(), storage_class_name: None, retain: false }
    }
}

/// One environment variable: a value, or a reference.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Name.
    pub name: String,
    /// Plain value; it becomes part of a log that cannot forget, so never a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Reference to a Secret, ConfigMap or field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvVarSource>,
}

/// One destination that the agent may reach: either `cidr`, or selectors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Egress {
    /// Address range; host names are refused, as NetworkPolicy cannot enforce them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
    /// Pods of the agent's namespace, or of the namespaces selected beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// Namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Ports; all if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<EgressPort>,
}

/// One port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EgressPort {
    /// Number, 1 to 65535.
    pub port: u16,
    /// Protocol.
    #[serde(default)]
    pub protocol: Protocol,
}

/// Transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names are the protocols'")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
}

/// Whether an agent's runtime runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperatingMode {
    /// One replica.
    #[default]
    Running,
    /// No replica; the workspace stays.
    Suspended,
}

/// Limits of an agent's sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionLimits {
    /// Largest `maxDuration` of a session, for example `2h`; also the default of sessions that
    /// name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<String>,
    /// Largest number of sessions that run at once; further ones wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u32>,
}

/// Reads resources whose amounts may be written as numbers, as in `cpu: 2`.
fn amounts<'de, D: Deserializer<'de>>(input: D) -> Result<Option<ResourceRequirements>, D::Error> {
    let Some(mut value) = Option::<Value>::deserialize(input)? else { return Ok(None) };
    for part in ["requests", "limits"] {
        for amount in value.get_mut(part).and_then(Value::as_object_mut).into_iter().flatten() {
            if amount.1.is_number() {
                *amount.1 = Value::String(amount.1.to_string());
            }
        }
    }
    serde_json::from_value(value).map(Some).map_err(D::Error::custom)
}
