//! Roles and bindings: who may do what, which rights were used, what was refused (I9).
//!
//! Why the counting: least privilege has two sides. A request that is refused shows a right that
//! is missing; a right that no run ever uses shows one that should not be there. Rights are counted
//! one by one (rule × group × resource × verb), so a verb that nobody uses does not hide in a rule.
//!
//! Not from roles, because a real server brings them along: `system:masters` may do everything,
//! the control plane's own service accounts too, and everybody may read discovery and health and
//! ask about themselves. Not modelled: aggregation of ClusterRoles, escalation checks.

mod role;

use std::collections::BTreeMap;

use serde_json::Value;

use role::{Binding, Role, RoleRef};

/// One authorisation question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access<'a> {
    /// User name.
    pub(crate) user: &'a str,
    /// The user's groups.
    pub(crate) groups: &'a [String],
    /// For example `patch`.
    pub(crate) verb: &'a str,
    /// API group.
    pub(crate) group: &'a str,
    /// `deployments` or `deployments/status`.
    pub(crate) resource: &'a str,
    /// Empty for cluster-scoped requests and lists over all namespaces.
    pub(crate) namespace: &'a str,
    /// Empty if the request names no object. A list or watch with the field selector
    /// `metadata.name=x` names `x`, see [`selected_name`]; an apply that creates names its object.
    pub(crate) name: &'a str,
}

impl Access<'_> {
    /// `User "x" cannot get resource "secrets" in API group "" in the namespace "default"`.
    pub(crate) fn refusal(&self) -> String {
        let place = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{}\"", self.namespace)
        };
        format!(
            "User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
            self.user, self.verb, self.resource, self.group
        )
    }
}

/// The name that a field selector pins, if it does.
pub(crate) fn selected_name(field_selector: &str) -> Option<&str> {
    field_selector.split(',').find_map(|term| {
        let value = term.trim().strip_prefix("metadata.name=")?;
        let value = value.strip_prefix('=').unwrap_or(value);
        (!value.is_empty()).then_some(value)
    })
}

/// One right that a role gives, and how often it allowed a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RightUse {
    /// `ClusterRole/rynxs-operator` or `Role/namespace/rynxs-leader`.
    pub role: String,
    /// Index of the rule in the role.
    pub rule: usize,
    /// API group.
    pub group: String,
    /// Resource, with subresource if any.
    pub resource: String,
    /// Verb.
    pub verb: String,
    /// Requests that were allowed by this right before any other.
    pub uses: u64,
}

/// Distinct refusals that are remembered; beyond it they are only counted.
const MAX_REFUSALS: usize = 1024;

/// Roles and bindings in force.
#[derive(Debug, Default)]
pub(crate) struct Rbac {
    roles: BTreeMap<RoleRef, Role>,
    bindings: Vec<Binding>,
    refusals: BTreeMap<String, u64>,
}

impl Rbac {
    /// Replaces everything by the given Roles, ClusterRoles, RoleBindings, ClusterRoleBindings.
    /// Rights that stay as they are keep their counts.
    pub(crate) fn reload(&mut self, objects: &[Value]) {
        let mut before = std::mem::take(&mut self.roles);
        self.bindings.clear();
        for object in objects {
            match object["kind"].as_str().unwrap_or_default() {
                "Role" | "ClusterRole" => {
                    let reference = RoleRef::of_role(object);
                    let mut role = Role::compile(object);
                    if let Some(old) = before.remove(&reference) {
                        role.keep_counts(old);
                    }
                    self.roles.insert(reference, role);
                }
                "RoleBinding" | "ClusterRoleBinding" => {
                    self.bindings.push(Binding::compile(object));
                }
                _ => {}
            }
        }
        self.bindings.sort();
    }

    /// Whether the request is allowed; counts the right that allowed it, or the refusal.
    pub(crate) fn allowed(&mut self, access: &Access<'_>) -> bool {
        if is_all_powerful(access.user, access.groups) || is_about_oneself(access) {
            return true;
        }
        let roles = &mut self.roles;
        let allowed = self
            .bindings
            .iter()
            .filter(|b| b.binds(access.user, access.groups) && b.reaches(access.namespace))
            .any(|b| roles.get_mut(&b.role).is_some_and(|role| role.allows(access)));
        if !allowed {
            self.refuse(access.refusal());
        }
        allowed
    }

    /// Whether the request would be allowed; asking counts nothing.
    pub(crate) fn permits(&self, access: &Access<'_>) -> bool {
        is_all_powerful(access.user, access.groups)
            || is_about_oneself(access)
            || self
                .bindings
                .iter()
                .filter(|b| b.binds(access.user, access.groups) && b.reaches(access.namespace))
                .any(|b| self.roles.get(&b.role).is_some_and(|role| role.permits(access)))
    }

    /// Whether a request for a path that is no resource (`/healthz`, `/version`) is allowed.
    pub(crate) fn allowed_path(
        &mut self,
        user: &str,
        groups: &[String],
        verb: &str,
        path: &str,
    ) -> bool {
        let allowed = self.permits_path(user, groups, verb, path);
        if !allowed {
            self.refuse(format!("User \"{user}\" cannot {verb} path \"{path}\""));
        }
        allowed
    }

    /// Whether such a request would be allowed; asking counts nothing.
    pub(crate) fn permits_path(
        &self,
        user: &str,
        groups: &[String],
        verb: &str,
        path: &str,
    ) -> bool {
        is_all_powerful(user, groups)
            || (verb == "get" && is_public(path))
            || self
                .bindings
                .iter()
                .filter(|b| b.reaches("") && b.binds(user, groups))
                .any(|b| self.roles.get(&b.role).is_some_and(|role| role.allows_path(verb, path)))
    }

    /// Every right of every role that somebody is bound to, in order.
    pub(crate) fn rights(&self) -> Vec<RightUse> {
        let bound = |role: &RoleRef| self.bindings.iter().any(|b| b.role == *role);
        let roles = self.roles.iter().filter(|(reference, _)| bound(reference));
        roles.flat_map(|(reference, role)| role.rights(&reference.to_string())).collect()
    }

    /// What was refused, and how often.
    pub(crate) fn refusals(&self) -> &BTreeMap<String, u64> {
        &self.refusals
    }

    fn refuse(&mut self, text: String) {
        if let Some(count) = self.refusals.get_mut(&text) {
            *count += 1;
        } else if self.refusals.len() < MAX_REFUSALS {
            self.refusals.insert(text, 1);
        }
    }
}

/// The administrator, and the control plane's own service accounts.
fn is_all_powerful(user: &str, groups: &[String]) -> bool {
    groups.iter().any(|g| g == "system:masters")
        || user.starts_with("system:serviceaccount:kube-system:")
        || user.starts_with("system:kube-")
        || user.starts_with("system:node:")
}

/// What a real server's `system:basic-user` allows.
fn is_about_oneself(access: &Access<'_>) -> bool {
    access.verb == "create"
        && match access.group {
            "authorization.k8s.io" => {
                ["selfsubjectaccessreviews", "selfsubjectrulesreviews"].contains(&access.resource)
            }
            "authentication.k8s.io" => access.resource == "selfsubjectreviews",
            _ => false,
        }
}

/// What a real server's `system:discovery` and `system:public-info-viewer` allow.
fn is_public(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    ["api", "apis", "healthz", "livez", "openapi", "readyz", "version"].contains(&first)
}

#[cfg(test)]
mod tests;
