//! What the server knows about one resource of one version: names, scope, subresources, shape.

use std::sync::Arc;

use serde_json::Value;

use crate::schema::Schema;
use crate::shape::Shape;

/// Which stored collection a resource lives in; versions of one kind share it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StorageKey {
    /// API group; empty for the core group.
    pub(crate) group: String,
    /// Plural name, for example `deployments`.
    pub(crate) plural: String,
}

impl StorageKey {
    pub(crate) fn new(group: &str, plural: &str) -> Self {
        Self { group: group.to_owned(), plural: plural.to_owned() }
    }
}

/// One resource of one version, built in or defined by a CRD.
#[derive(Clone, Debug)]
pub(crate) struct ResourceInfo {
    /// API group; empty for the core group.
    pub(crate) group: String,
    /// For example `v1`.
    pub(crate) version: String,
    /// For example `Deployment`.
    pub(crate) kind: String,
    /// For example `DeploymentList`.
    pub(crate) list_kind: String,
    /// For example `deployments`.
    pub(crate) plural: String,
    /// For example `deployment`.
    pub(crate) singular: String,
    /// For example `deploy`.
    pub(crate) short_names: Vec<String>,
    /// For example `all`.
    pub(crate) categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub(crate) namespaced: bool,
    /// Whether `/status` exists.
    pub(crate) has_status: bool,
    /// Verbs for discovery; a verb that is missing is answered 405.
    pub(crate) verbs: &'static [&'static str],
    /// The collection that holds the objects.
    pub(crate) storage: StorageKey,
    /// Which lists are maps, sets or atoms, for server-side apply and strategic merge.
    pub(crate) shape: Arc<Shape>,
    /// CRDs only: the compiled structural schema of this version.
    pub(crate) schema: Option<Arc<Schema>>,
    /// CRDs only: `spec.versions[i]` as stored, for printer columns, selectable fields, OpenAPI.
    pub(crate) crd_version: Option<Arc<Value>>,
}

/// Every verb of an ordinary resource.
pub(crate) const ALL_VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// What a resource that is only created and read supports (access reviews).
pub(crate) const CREATE_ONLY: &[&str] = &["create"];

impl ResourceInfo {
    /// `v1` or `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `configmaps` or `deployments.apps`, as error messages name it.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// `ConfigMap` or `Deployment.apps`, as validation messages name it.
    pub(crate) fn qualified_kind(&self) -> String {
        if self.group.is_empty() {
            self.kind.clone()
        } else {
            format!("{}.{}", self.kind, self.group)
        }
    }

    /// Whether a CRD defines this resource.
    pub(crate) fn is_custom(&self) -> bool {
        self.crd_version.is_some()
    }
}
