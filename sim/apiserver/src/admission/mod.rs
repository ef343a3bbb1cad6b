//! ValidatingAdmissionPolicies, evaluated inside the compare-and-swap.
//!
//! Why: the operator's fence (I4) is a policy that compares the object to be stored with the one
//! that is stored. Whoever calls [`Policies::admit`] must hold both exactly as the write would find
//! and leave them, or the model proves nothing.
//!
//! Policies are compiled when they are loaded; a policy that does not compile refuses whatever it
//! matches (unless its `failurePolicy` is `Ignore`), as does an expression that fails.
//! Not modelled: params, audit annotations, the delay with which a real server sees a new policy.

mod matching;
mod policy;

use serde_json::{Value, json};

use crate::resource::ResourceInfo;
use crate::status_error::Cause;
use matching::Match;
use policy::Policy;

/// What a policy sees of a request.
pub(crate) struct AdmissionRequest<'a> {
    /// User name.
    pub(crate) user: &'a str,
    /// The user's groups.
    pub(crate) groups: &'a [String],
    /// `CREATE`, `UPDATE` or `DELETE`.
    pub(crate) operation: &'static str,
    /// The resource.
    pub(crate) resource: &'a ResourceInfo,
    /// `status` or empty.
    pub(crate) subresource: &'a str,
    /// Empty for cluster-scoped objects.
    pub(crate) namespace: &'a str,
    /// The namespace object, for selectors and `namespaceObject`.
    pub(crate) namespace_object: Option<&'a Value>,
    /// Object name.
    pub(crate) name: &'a str,
    /// Whether nothing will be stored.
    pub(crate) dry_run: bool,
    /// The object as it would be stored; none on delete.
    pub(crate) object: Option<&'a Value>,
    /// The stored object; none on create.
    pub(crate) old: Option<&'a Value>,
    /// `CreateOptions`, `UpdateOptions`, `PatchOptions` or `DeleteOptions`.
    pub(crate) options: &'a Value,
}

impl AdmissionRequest<'_> {
    /// The variable `request` of expressions.
    fn to_variable(&self) -> Value {
        let info = self.resource;
        let kind = json!({"group": info.group, "version": info.version, "kind": info.kind});
        let resource =
            json!({"group": info.group, "version": info.version, "resource": info.plural});
        json!({
            "kind": kind,
            "resource": resource,
            "subResource": self.subresource,
            "requestKind": kind,
            "requestResource": resource,
            "requestSubResource": self.subresource,
            "name": self.name,
            "namespace": self.namespace,
            "operation": self.operation,
            "userInfo": {"username": self.user, "groups": self.groups},
            "dryRun": self.dry_run,
            "options": self.options,
        })
    }
}

/// A policy said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    /// Name of the policy.
    pub(crate) policy: String,
    /// Name of its binding.
    pub(crate) binding: String,
    /// The validation's message.
    pub(crate) message: String,
    /// The validation's reason: `Unauthorized`, `Forbidden`, `Invalid`, `RequestEntityTooLarge`.
    pub(crate) reason: String,
}

/// A binding, compiled.
#[derive(Debug)]
struct Binding {
    name: String,
    policy: String,
    denies: bool,
    matches: Option<Match>,
}

/// The policies and bindings in force, in the order of their names.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    policies: Vec<Policy>,
    bindings: Vec<Binding>,
}

impl Policies {
    /// Replaces everything by the given ValidatingAdmissionPolicies and their bindings.
    pub(crate) fn reload(&mut self, policies: &[Value], bindings: &[Value]) {
        self.policies = policies.iter().map(Policy::compile).collect();
        self.policies.sort_by(|a, b| a.name.cmp(&b.name));
        self.bindings = bindings.iter().map(compile_binding).collect();
        self.bindings.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Admits or denies; the first denial in the order of names is the answer.
    pub(crate) fn admit(&self, request: &AdmissionRequest<'_>) -> Result<(), Denied> {
        let mut variable = None;
        for policy in &self.policies {
            if !policy.matches.covers(request) {
                continue;
            }
            let bindings = self.bindings.iter().filter(|binding| {
                binding.denies
                    && binding.policy == policy.name
                    && binding.matches.as_ref().is_none_or(|m| m.covers(request))
            });
            for binding in bindings {
                let variable = variable.get_or_insert_with(|| request.to_variable());
                policy.judge(request, variable).map_err(|refusal| Denied {
                    policy: policy.name.clone(),
                    binding: binding.name.clone(),
                    message: refusal.message,
                    reason: refusal.reason,
                })?;
            }
        }
        Ok(())
    }
}

impl Denied {
    /// The message behind `RESOURCE "NAME" is forbidden: `.
    pub(crate) fn text(&self) -> String {
        format!(
            "ValidatingAdmissionPolicy '{}' with binding '{}' denied request: {}",
            self.policy, self.binding, self.message
        )
    }

    /// The status code that goes with the reason.
    pub(crate) fn code(&self) -> u16 {
        match self.reason.as_str() {
            "Forbidden" => 403,
            "Unauthorized" => 401,
            "RequestEntityTooLarge" => 413,
            _ => 422,
        }
    }
}

/// What is wrong with a ValidatingAdmissionPolicy that somebody wants to store.
pub(crate) fn check_policy(policy: &Value) -> Vec<Cause> {
    policy::check(policy)
}

fn compile_binding(binding: &Value) -> Binding {
    let text = |pointer: &str| {
        binding.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let actions = binding.pointer("/spec/validationActions").and_then(Value::as_array);
    Binding {
        name: text("/metadata/name"),
        policy: text("/spec/policyName"),
        denies: actions.is_some_and(|actions| actions.iter().any(|a| a == "Deny")),
        matches: binding.pointer("/spec/matchResources").map(Match::compile),
    }
}

#[cfg(test)]
mod tests;
