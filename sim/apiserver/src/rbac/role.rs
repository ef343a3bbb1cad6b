//! Roles and bindings as the server reads them.

use std::fmt;

use serde_json::Value;

use super::{Access, RightUse};

/// Which role a binding refers to; the namespace is empty for a ClusterRole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RoleRef {
    namespace: Option<String>,
    name: String,
}

impl RoleRef {
    pub(super) fn of_role(role: &Value) -> Self {
        let namespace = match role["kind"].as_str() {
            Some("Role") => Some(text(&role["metadata"]["namespace"])),
            _ => None,
        };
        Self { namespace, name: text(&role["metadata"]["name"]) }
    }
}

impl fmt::Display for RoleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "Role/{namespace}/{}", self.name),
            None => write!(f, "ClusterRole/{}", self.name),
        }
    }
}

/// A role: its rules and how often each right was used.
#[derive(Debug)]
pub(super) struct Role {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    rights: Vec<Right>,
    names: Vec<String>,
    paths: Vec<String>,
    path_verbs: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Right {
    group: String,
    resource: String,
    verb: String,
    uses: u64,
}

impl Role {
    pub(super) fn compile(role: &Value) -> Self {
        let rules = role["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
        Self { rules: rules.iter().map(Rule::compile).collect() }
    }

    /// Takes over the counts of the rights that an earlier version of the role had.
    pub(super) fn keep_counts(&mut self, old: Role) {
        for (rule, before) in self.rules.iter_mut().zip(old.rules) {
            for right in &mut rule.rights {
                let same = before.rights.iter().find(|b| {
                    b.group == right.group && b.resource == right.resource && b.verb == right.verb
                });
                right.uses += same.map_or(0, |s| s.uses);
            }
        }
    }

    /// Whether a rule allows the request; counts the right.
    pub(super) fn allows(&mut self, access: &Access<'_>) -> bool {
        let mut rules = self.rules.iter_mut().filter(|rule| rule.is_about(access.name));
        let right = rules.find_map(|rule| rule.rights.iter_mut().find(|r| r.covers(access)));
        if let Some(right) = right {
            right.uses += 1;
            return true;
        }
        false
    }

    /// Whether a rule would allow the request.
    pub(super) fn permits(&self, access: &Access<'_>) -> bool {
        let mut rules = self.rules.iter().filter(|rule| rule.is_about(access.name));
        rules.any(|rule| rule.rights.iter().any(|right| right.covers(access)))
    }

    pub(super) fn allows_path(&self, verb: &str, path: &str) -> bool {
        self.rules.iter().any(|rule| {
            rule.path_verbs.iter().any(|v| v == "*" || v == verb)
                && rule.paths.iter().any(|p| match p.strip_suffix('*') {
                    Some(prefix) => path.starts_with(prefix),
                    None => p == path,
                })
        })
    }

    pub(super) fn rights(&self, role: &str) -> Vec<RightUse> {
        let mut all = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            all.extend(rule.rights.iter().map(|right| RightUse {
                role: role.to_owned(),
                rule: index,
                group: right.group.clone(),
                resource: right.resource.clone(),
                verb: right.verb.clone(),
                uses: right.uses,
            }));
        }
        all
    }
}

impl Rule {
    fn compile(rule: &Value) -> Self {
        let mut rights = Vec::new();
        let verbs = texts(&rule["verbs"]);
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                rights.extend(verbs.iter().map(|verb| Right {
                    group: group.clone(),
                    resource: resource.clone(),
                    verb: verb.clone(),
                    uses: 0,
                }));
            }
        }
        Self {
            rights,
            names: texts(&rule["resourceNames"]),
            paths: texts(&rule["nonResourceURLs"]),
            path_verbs: verbs,
        }
    }

    /// A rule with resourceNames allows only requests that name one of them.
    fn is_about(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|n| n == name)
    }
}

impl Right {
    fn covers(&self, access: &Access<'_>) -> bool {
        let subresource = access.resource.split_once('/').map(|(_, sub)| sub);
        let resource = self.resource == "*"
            || self.resource == access.resource
            || (self.resource.strip_prefix("*/").is_some_and(|sub| subresource == Some(sub)));
        resource
            && (self.verb == "*" || self.verb == access.verb)
            && (self.group == "*" || self.group == access.group)
    }
}

/// A RoleBinding or ClusterRoleBinding.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Binding {
    /// Nothing: everywhere.
    namespace: Option<String>,
    name: String,
    pub(super) role: RoleRef,
    subjects: Vec<Subject>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    User(String),
    Group(String),
}

impl Binding {
    pub(super) fn compile(binding: &Value) -> Self {
        let namespace = match binding["kind"].as_str() {
            Some("RoleBinding") => Some(text(&binding["metadata"]["namespace"])),
            _ => None,
        };
        let role_namespace = match binding["roleRef"]["kind"].as_str() {
            Some("Role") => namespace.clone(),
            _ => None,
        };
        let listed = binding["subjects"].as_array().map(Vec::as_slice).unwrap_or_default();
        let own = namespace.clone().unwrap_or_default();
        Self {
            name: text(&binding["metadata"]["name"]),
            role: RoleRef { namespace: role_namespace, name: text(&binding["roleRef"]["name"]) },
            subjects: listed.iter().filter_map(|s| Subject::compile(s, &own)).collect(),
            namespace,
        }
    }

    /// Whether the binding is about this user.
    pub(super) fn binds(&self, user: &str, groups: &[String]) -> bool {
        self.subjects.iter().any(|subject| match subject {
            Subject::User(name) => name == user,
            Subject::Group(name) => groups.iter().any(|g| g == name),
        })
    }

    /// Whether the binding counts for requests in a namespace; empty: of the whole cluster.
    pub(super) fn reaches(&self, namespace: &str) -> bool {
        self.namespace.as_ref().is_none_or(|own| own == namespace)
    }
}

impl Subject {
    fn compile(subject: &Value, binding_namespace: &str) -> Option<Self> {
        let name = subject["name"].as_str()?;
        match subject["kind"].as_str()? {
            "User" => Some(Self::User(name.to_owned())),
            "Group" => Some(Self::Group(name.to_owned())),
            "ServiceAccount" => {
                let namespace = subject["namespace"].as_str().unwrap_or(binding_namespace);
                Some(Self::User(format!("system:serviceaccount:{namespace}:{name}")))
            }
            _ => None,
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}
