//! The kinds in use and where the API server serves them.

use rynxs_core::ids::Kind;
use rynxs_core::resource::{GROUP, VERSION};

/// One resource type. All of them are namespaced.
#[derive(Debug, PartialEq, Eq)]
pub struct ResourceType {
    /// Kind, as manifests name it.
    pub kind: &'static str,
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Plural name, as paths and RBAC name it.
    pub plural: &'static str,
    /// Plural name with `/status`.
    pub status: &'static str,
}

macro_rules! resource_type {
    ($kind:literal, $group:expr, $version:expr, $plural:literal) => {
        ResourceType {
            kind: $kind,
            group: $group,
            version: $version,
            plural: $plural,
            status: concat!($plural, "/status"),
        }
    };
}

const AGENTS: ResourceType = resource_type!("Agent", GROUP, VERSION, "agents");
const SESSIONS: ResourceType = resource_type!("Session", GROUP, VERSION, "sessions");
const CONFIG_MAPS: ResourceType = resource_type!("ConfigMap", "", "v1", "configmaps");
const VOLUME_CLAIMS: ResourceType =
    resource_type!("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims");
const DEPLOYMENTS: ResourceType = resource_type!("Deployment", "apps", "v1", "deployments");
const NETWORK_POLICIES: ResourceType =
    resource_type!("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies");
const JOBS: ResourceType = resource_type!("Job", "batch", "v1", "jobs");

/// Leases, for the election.
pub const LEASES: ResourceType = resource_type!("Lease", "coordination.k8s.io", "v1", "leases");
/// Events, for people.
pub const EVENTS: ResourceType = resource_type!("Event", "", "v1", "events");

/// Every verb that a request is counted under, as RBAC names them.
pub const VERBS: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];

/// Every resource that a request is counted under, as RBAC names them.
pub const RESOURCES: [&str; 11] = [
    AGENTS.plural,
    AGENTS.status,
    SESSIONS.plural,
    SESSIONS.status,
    CONFIG_MAPS.plural,
    VOLUME_CLAIMS.plural,
    DEPLOYMENTS.plural,
    NETWORK_POLICIES.plural,
    JOBS.plural,
    LEASES.plural,
    EVENTS.plural,
];

impl ResourceType {
    /// Where a kind of the log's vocabulary is served.
    #[must_use]
    pub const fn of(kind: Kind) -> &'static Self {
        match kind {
            Kind::Agent => &AGENTS,
            Kind::Session => &SESSIONS,
            Kind::ConfigMap => &CONFIG_MAPS,
            Kind::PersistentVolumeClaim => &VOLUME_CLAIMS,
            Kind::Deployment => &DEPLOYMENTS,
            Kind::NetworkPolicy => &NETWORK_POLICIES,
            Kind::Job => &JOBS,
        }
    }

    /// `apiVersion` of its objects.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Path of the collection, in one namespace or in all.
    #[must_use]
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        match namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.plural),
            None => format!("{root}/{}", self.plural),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_the_api_server_serves() {
        let path = |kind, namespace| ResourceType::of(kind).path(namespace);
        assert_eq!(path(Kind::ConfigMap, Some("a")), "/api/v1/namespaces/a/configmaps");
        assert_eq!(path(Kind::Deployment, None), "/apis/apps/v1/deployments");
        assert_eq!(path(Kind::Agent, Some("a")), "/apis/universe.ai/v1alpha1/namespaces/a/agents");
        assert_eq!(ResourceType::of(Kind::Job).api_version(), "batch/v1");
        assert_eq!(ResourceType::of(Kind::PersistentVolumeClaim).api_version(), "v1");
    }

    #[test]
    fn every_kind_is_served_under_its_own_name() {
        for kind in Kind::ALL {
            assert_eq!(ResourceType::of(kind).kind, format!("{kind:?}"));
        }
    }
}
