//! `x-kubernetes-validations`: each rule sees its own node as `self`, and as `oldSelf` what the
//! stored object has there.

use serde_json::Value;

use super::node::{Node, Rule, Type};
use crate::cel::{Needs, Scope};
use crate::status_error::Cause;

/// Every broken rule, parents before what is below them.
pub(super) fn all(root: &Node, value: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    walk(root, value, old, "", &mut causes);
    causes
}

fn walk(node: &Node, value: &Value, old: Option<&Value>, path: &str, causes: &mut Vec<Cause>) {
    if !node.has_rules() || value.is_null() {
        return;
    }
    if !node.rules.is_empty() {
        judge(node, value, old, path, causes);
    }
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let Some(below) = node.field(name) else { continue };
                let path = match (path, node.properties.contains_key(name)) {
                    ("", true) => name.clone(),
                    (path, true) => format!("{path}.{name}"),
                    (path, false) => format!("{path}[{name}]"),
                };
                walk(below, field, old.and_then(|old| old.get(name)), &path, causes);
            }
        }
        Value::Array(items) => {
            if let Some(below) = &node.items {
                for (i, item) in items.iter().enumerate() {
                    let old = node.correlate(item, old);
                    walk(below, item, old, &format!("{path}[{i}]"), causes);
                }
            }
        }
        _ => {}
    }
}

fn judge(node: &Node, value: &Value, old: Option<&Value>, path: &str, causes: &mut Vec<Cause>) {
    let mut needs = Needs::default();
    for rule in &node.rules {
        needs.absorb(rule.expression.needs());
        if let Some(message) = &rule.message_expression {
            needs.absorb(message.needs());
        }
    }
    let mut scope = Scope::new();
    scope.bind("self", value, &needs);
    if let Some(old) = old {
        scope.bind("oldSelf", old, &needs);
    }
    let unchanged = old == Some(value);
    for rule in &node.rules {
        let applies = if rule.is_transition { old.is_some() } else { !unchanged };
        if !applies {
            continue;
        }
        let at = format!("{path}{}", rule.field_path);
        let at = match at.trim_start_matches('.') {
            "" => "<nil>",
            at => at,
        };
        match scope.holds(&rule.expression) {
            Ok(true) => {}
            Ok(false) => causes.push(refusal(node, rule, &scope, at)),
            Err(error) => {
                let detail = format!("{error} evaluating rule: {}", rule.message);
                causes.push(invalid(node, at, &detail));
            }
        }
    }
}

fn refusal(node: &Node, rule: &Rule, scope: &Scope<'_>, at: &str) -> Cause {
    let computed = rule.message_expression.as_ref().and_then(|e| scope.text(e).ok());
    let computed = computed.map(|text| text.trim().to_owned());
    let message = computed
        .filter(|text| !text.is_empty() && !text.contains('\n'))
        .unwrap_or_else(|| rule.message.clone());
    match rule.reason.as_str() {
        "FieldValueForbidden" => Cause::forbidden(at, &message),
        "FieldValueRequired" => Cause::required(at, &message),
        "FieldValueDuplicate" => {
            Cause::new("FieldValueDuplicate", at, format!("Duplicate value: \"{}\"", type_of(node)))
        }
        _ => invalid(node, at, &message),
    }
}

fn invalid(node: &Node, at: &str, detail: &str) -> Cause {
    Cause::invalid(at, &Value::from(type_of(node)), detail)
}

fn type_of(node: &Node) -> &'static str {
    node.kind.map_or("", Type::name)
}
