//! The built-in resources.

use std::sync::Arc;

use crate::resource::{ALL_VERBS, CREATE_ONLY, ResourceInfo, StorageKey};
use crate::shape;

const GROUP: usize = 0;
const VERSION: usize = 1;
const KIND: usize = 2;
const PLURAL: usize = 3;
const SHORT: usize = 4;
const FLAGS: usize = 5;
const CATEGORIES: usize = 6;

/// Group, version, kind, plural, short names, flags (n = namespaced, s = /status, c = create only),
/// categories.
const TABLE: &[[&str; 7]] = &[
    ["", "v1", "ConfigMap", "configmaps", "cm", "n", ""],
    ["", "v1", "Event", "events", "ev", "n", ""],
    ["", "v1", "Namespace", "namespaces", "ns", "s", ""],
    ["", "v1", "Node", "nodes", "no", "s", ""],
    ["", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", "pvc", "ns", ""],
    ["", "v1", "Pod", "pods", "po", "ns", "all"],
    ["", "v1", "Secret", "secrets", "", "n", ""],
    ["", "v1", "Service", "services", "svc", "ns", "all"],
    ["", "v1", "ServiceAccount", "serviceaccounts", "sa", "n", ""],
    [
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        "",
        "s",
        "api-extensions",
    ],
    [
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        "",
        "",
        "api-extensions",
    ],
    [
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "crd,crds",
        "s",
        "api-extensions",
    ],
    ["apps", "v1", "Deployment", "deployments", "deploy", "ns", "all"],
    ["apps", "v1", "ReplicaSet", "replicasets", "rs", "ns", "all"],
    ["authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", "", "c", ""],
    [
        "authorization.k8s.io",
        "v1",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        "",
        "c",
        "",
    ],
    ["authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", "", "c", ""],
    ["batch", "v1", "Job", "jobs", "", "ns", "all"],
    ["coordination.k8s.io", "v1", "Lease", "leases", "", "n", ""],
    ["events.k8s.io", "v1", "Event", "events", "ev", "n", ""],
    ["networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", "netpol", "n", ""],
    ["policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", "pdb", "ns", ""],
    ["rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", "", "", ""],
    ["rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", "", "", ""],
    ["rbac.authorization.k8s.io", "v1", "Role", "roles", "", "n", ""],
    ["rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", "", "n", ""],
    ["storage.k8s.io", "v1", "StorageClass", "storageclasses", "sc", "", ""],
];

pub(super) fn all() -> Vec<ResourceInfo> {
    TABLE.iter().map(info).collect()
}

fn info(row: &[&str; 7]) -> ResourceInfo {
    let split = |text: &str| -> Vec<String> {
        text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let (group, kind, plural) = (row[GROUP], row[KIND], row[PLURAL]);
    // Both event APIs show one collection; it is kept in the form of the core group.
    let storage_group = if plural == "events" { "" } else { group };
    ResourceInfo {
        group: group.to_owned(),
        version: row[VERSION].to_owned(),
        kind: kind.to_owned(),
        list_kind: format!("{kind}List"),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        short_names: split(row[SHORT]),
        categories: split(row[CATEGORIES]),
        namespaced: row[FLAGS].contains('n'),
        has_status: row[FLAGS].contains('s'),
        verbs: if row[FLAGS].contains('c') { CREATE_ONLY } else { ALL_VERBS },
        storage: StorageKey::new(storage_group, plural),
        shape: Arc::new(shape::builtin(kind)),
        schema: None,
        crd_version: None,
    }
}
