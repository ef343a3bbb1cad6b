//! Which requests a policy or a binding is about: rules on resources, selectors on labels.

use serde_json::Value;

use super::AdmissionRequest;

/// `matchConstraints` of a policy, `matchResources` of a binding.
#[derive(Debug, Default)]
pub(super) struct Match {
    include: Vec<Rule>,
    exclude: Vec<Rule>,
    namespaces: Selector,
    objects: Selector,
}

#[derive(Debug)]
struct Rule {
    groups: Vec<String>,
    versions: Vec<String>,
    operations: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
    scope: String,
}

/// A label selector.
#[derive(Debug, Default)]
struct Selector {
    labels: Vec<(String, String)>,
    expressions: Vec<(String, String, Vec<String>)>,
}

impl Match {
    /// Reads the fields of a `MatchResources`; without rules it covers every resource.
    pub(super) fn compile(spec: &Value) -> Self {
        let rules = |field: &str| {
            spec[field]
                .as_array()
                .map(|l| l.iter().map(Rule::compile).collect())
                .unwrap_or_default()
        };
        Self {
            include: rules("resourceRules"),
            exclude: rules("excludeResourceRules"),
            namespaces: Selector::compile(&spec["namespaceSelector"]),
            objects: Selector::compile(&spec["objectSelector"]),
        }
    }

    /// Whether the request is one of those.
    pub(super) fn covers(&self, request: &AdmissionRequest<'_>) -> bool {
        let included = self.include.is_empty() || self.include.iter().any(|r| r.covers(request));
        included
            && !self.exclude.iter().any(|r| r.covers(request))
            && self.covers_namespace(request)
            && self.covers_object(request)
    }

    fn covers_namespace(&self, request: &AdmissionRequest<'_>) -> bool {
        if self.namespaces.is_empty() {
            return true;
        }
        if request.resource.group.is_empty() && request.resource.plural == "namespaces" {
            return request.object.or(request.old).is_none_or(|o| self.namespaces.matches(o));
        }
        if request.namespace.is_empty() {
            return true;
        }
        request.namespace_object.is_some_and(|namespace| self.namespaces.matches(namespace))
    }

    fn covers_object(&self, request: &AdmissionRequest<'_>) -> bool {
        let mut objects = request.object.into_iter().chain(request.old);
        self.objects.is_empty() || objects.any(|object| self.objects.matches(object))
    }
}

impl Rule {
    fn compile(rule: &Value) -> Self {
        Self {
            groups: texts(&rule["apiGroups"]),
            versions: texts(&rule["apiVersions"]),
            operations: texts(&rule["operations"]),
            resources: texts(&rule["resources"]),
            names: texts(&rule["resourceNames"]),
            scope: rule["scope"].as_str().unwrap_or("*").to_owned(),
        }
    }

    fn covers(&self, request: &AdmissionRequest<'_>) -> bool {
        let has = |list: &[String], text: &str| list.iter().any(|l| l == "*" || l == text);
        let info = request.resource;
        has(&self.operations, request.operation)
            && has(&self.groups, &info.group)
            && has(&self.versions, &info.version)
            && self.resources.iter().any(|r| covers_resource(r, &info.plural, request.subresource))
            && (self.names.is_empty() || self.names.iter().any(|n| n == request.name))
            && match self.scope.as_str() {
                "Namespaced" => info.namespaced,
                "Cluster" => !info.namespaced,
                _ => true,
            }
    }
}

/// `deployments` is no `deployments/status`; `*` is every resource but no subresource.
fn covers_resource(pattern: &str, resource: &str, subresource: &str) -> bool {
    match pattern.split_once('/') {
        None => subresource.is_empty() && (pattern == "*" || pattern == resource),
        Some((of, sub)) => {
            (of == "*" || of == resource)
                && (sub == "*" || (!subresource.is_empty() && sub == subresource))
        }
    }
}

impl Selector {
    fn compile(selector: &Value) -> Self {
        let labels = selector["matchLabels"].as_object().into_iter().flatten();
        let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            labels: labels.map(|(k, v)| (k.clone(), text(v))).collect(),
            expressions: expressions
                .map(|e| (text(&e["key"]), text(&e["operator"]), texts(&e["values"])))
                .collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.expressions.is_empty()
    }

    fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"][key].as_str();
        self.labels.iter().all(|(key, value)| label(key) == Some(value))
            && self.expressions.iter().all(|(key, operator, values)| {
                let found = label(key);
                let listed = found.is_some_and(|f| values.iter().any(|v| v == f));
                match operator.as_str() {
                    "In" => listed,
                    "NotIn" => !listed,
                    "Exists" => found.is_some(),
                    "DoesNotExist" => found.is_none(),
                    _ => false,
                }
            })
    }
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resource_is_not_its_subresource() {
        assert!(covers_resource("deployments", "deployments", ""));
        assert!(!covers_resource("deployments", "deployments", "status"));
        assert!(covers_resource("deployments/status", "deployments", "status"));
        assert!(!covers_resource("deployments/status", "deployments", ""));
        assert!(covers_resource("*/status", "jobs", "status"));
        assert!(!covers_resource("*/status", "jobs", ""));
        assert!(covers_resource("deployments/*", "deployments", "scale"));
        assert!(covers_resource("*/*", "jobs", ""));
        assert!(!covers_resource("*", "jobs", "status"));
    }

    #[test]
    fn selectors_select_by_labels() {
        let selector = Selector::compile(&json!({
            "matchLabels": {"a": "1"},
            "matchExpressions": [
                {"key": "b", "operator": "In", "values": ["x", "y"]},
                {"key": "c", "operator": "DoesNotExist"},
            ],
        }));
        let with = |labels: Value| selector.matches(&json!({"metadata": {"labels": labels}}));
        assert!(with(json!({"a": "1", "b": "y"})));
        assert!(!with(json!({"a": "1", "b": "z"})));
        assert!(!with(json!({"a": "1", "b": "y", "c": ""})));
        assert!(!with(json!({"b": "y"})));
    }
}
