//! The CustomResourceDefinitions of Agent and Session.
//!
//! The schemas refuse at the API server what can be refused there: unknown enum values, sizes, and
//! by rules what concerns more than one field or the object before. The rules keep to a part of CEL
//! that every evaluator in use understands (`has`, `in`, `size`, `matches`, `startsWith`, `==`,
//! `&&`, `||`, `oldSelf`), and every list and text has a limit, which keeps their estimated cost
//! within the API server's budget. What cannot be said there (that a workspace does not shrink
//! needs quantities) is checked by `resource::validate` and shown as condition `Accepted=False`.
//!
//! Committed as `helm/rynxs/crds/*.yaml`; a test fails when the files are stale.

mod agent;
mod session;
mod status;

use serde_json::{Value, json};

use crate::canonical;
use crate::resource::validate::NAME_MAX;
use crate::resource::{GROUP, VERSION};

/// The definition of Agent.
#[must_use]
pub fn agent_crd() -> Value {
    let names = json!({
        "kind": "Agent",
        "listKind": "AgentList",
        "plural": "agents",
        "singular": "agent",
        "shortNames": ["ag"],
        "categories": ["rynxs"],
    });
    let description = "Agent is a long-running AI worker, manager or director with a workspace \
                       and a bounded network.";
    let itself = [rule(
        "!has(self.spec.manages) || !(self.metadata.name in self.spec.manages)",
        "an agent cannot manage itself",
    )];
    definition(names, description, agent::spec(), status::agent(), itself, agent::columns())
}

/// The definition of Session.
#[must_use]
pub fn session_crd() -> Value {
    let names = json!({
        "kind": "Session",
        "listKind": "SessionList",
        "plural": "sessions",
        "singular": "session",
        "shortNames": ["sess"],
        "categories": ["rynxs"],
    });
    let description = "Session is one bounded run of an Agent.";
    definition(names, description, session::spec(), status::session(), [], session::columns())
}

/// Both definitions with the names of the files that hold them.
#[must_use]
pub fn files() -> [(&'static str, String); 2] {
    [
        ("agents.universe.ai.yaml", yaml(&agent_crd())),
        ("sessions.universe.ai.yaml", yaml(&session_crd())),
    ]
}

/// Both definitions as one YAML stream.
#[must_use]
pub fn all_yaml() -> String {
    files().map(|(_, text)| format!("---\n{text}")).concat()
}

/// YAML with sorted keys, whatever map type serde_json was built with.
fn yaml(value: &Value) -> String {
    let sorted: Value = serde_json::from_str(&canonical::text(value)).expect("it was just written");
    serde_yaml_ng::to_string(&sorted).expect("JSON can be written as YAML")
}

/// The rule of the fence on status: a writer of an earlier epoch cannot write, nobody can unset it.
const EPOCH_RULE: &str = "!has(oldSelf.status) || !has(oldSelf.status.controllerEpoch) || \
                          (has(self.status) && has(self.status.controllerEpoch) && \
                          self.status.controllerEpoch >= oldSelf.status.controllerEpoch)";

/// What the API server says when that rule refuses a status.
pub const STALE_EPOCH: &str = "status.controllerEpoch never falls: a newer leader has written";

fn definition(
    names: Value,
    description: &str,
    spec: Value,
    status: Value,
    extra: impl IntoIterator<Item = Value>,
    columns: Value,
) -> Value {
    let plural = names["plural"].as_str().unwrap_or_default().to_owned();
    let name_rule = format!(
        "size(self.metadata.name) <= {NAME_MAX} && \
         self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')"
    );
    let name_message = format!("the name must be at most {NAME_MAX} of a-z, 0-9 and '-'");
    let mut rules = vec![rule(EPOCH_RULE, STALE_EPOCH), rule(&name_rule, &name_message)];
    rules.extend(extra);
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{GROUP}"),
            "labels": { "app.kubernetes.io/name": "rynxs" },
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": names,
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": columns,
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "description": description,
                    "required": ["spec"],
                    "properties": {
                        "apiVersion": { "type": "string" },
                        "kind": { "type": "string" },
                        "metadata": { "type": "object" },
                        "spec": spec,
                        "status": status,
                    },
                    "x-kubernetes-validations": rules,
                }},
            }],
        },
    })
}

fn rule(rule: &str, message: &str) -> Value {
    json!({ "rule": rule, "message": message })
}

/// A column of `kubectl get`; priority 1 shows only with `-o wide`.
fn column(name: &str, path: &str, kind: &str, priority: u8) -> Value {
    json!({ "name": name, "jsonPath": path, "type": kind, "priority": priority })
}

fn age() -> Value {
    column("Age", ".metadata.creationTimestamp", "date", 0)
}

/// A text of limited length.
fn text(description: &str, max: usize) -> Value {
    json!({ "type": "string", "description": description, "maxLength": max })
}

/// A text of limited length that matches a pattern.
fn shaped(description: &str, max: usize, pattern: &str) -> Value {
    json!({
        "type": "string", "description": description, "maxLength": max, "pattern": pattern,
    })
}

fn flag(description: &str) -> Value {
    json!({ "type": "boolean", "description": description, "default": false })
}

fn choice(description: &str, values: &[&str], default: &str) -> Value {
    json!({ "type": "string", "description": description, "enum": values, "default": default })
}

fn object(description: &str, required: &[&str], properties: Value) -> Value {
    let mut out = json!({ "type": "object", "description": description, "properties": properties });
    if !required.is_empty() {
        out["required"] = json!(required);
    }
    out
}

/// A DNS label, as names of Agents are.
const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// Days, hours, minutes, seconds, each at most once.
const DURATION: &str = "^([0-9]{1,3}d)?([0-9]{1,4}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?$";
