//! One policy: its conditions, variables and validations, compiled and judged.

use ::cel::common::value::Val;
use serde_json::Value;

use super::AdmissionRequest;
use super::matching::Match;
use crate::cel::{Expression, Needs, Scope};
use crate::status_error::Cause;

/// Longest message that an expression may give; a longer one is replaced by the fixed text.
const MAX_MESSAGE_BYTES: usize = 5 * 1024;

/// A compiled ValidatingAdmissionPolicy.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) matches: Match,
    fails_closed: bool,
    rules: Result<Rules, String>,
}

#[derive(Debug)]
struct Rules {
    conditions: Vec<(String, Expression)>,
    variables: Vec<(String, Expression)>,
    validations: Vec<Validation>,
    /// What the conditions alone can reach.
    condition_needs: Needs,
    needs: Needs,
}

#[derive(Debug)]
struct Validation {
    expression: Expression,
    message: String,
    message_expression: Option<Expression>,
    reason: String,
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) reason: String,
}

impl Policy {
    /// Compiles a policy object; what is wrong with it is remembered and refuses requests.
    pub(super) fn compile(object: &Value) -> Self {
        let spec = &object["spec"];
        Self {
            name: object["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            matches: Match::compile(&spec["matchConstraints"]),
            fails_closed: spec["failurePolicy"] != "Ignore",
            rules: Rules::compile(spec).map_err(|causes| {
                let texts: Vec<_> =
                    causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
                format!("compilation error: {}", texts.join("; "))
            }),
        }
    }

    /// Judges a request that the policy matches.
    pub(super) fn judge(
        &self,
        request: &AdmissionRequest<'_>,
        variable: &Value,
    ) -> Result<(), Refusal> {
        let rules = match &self.rules {
            Ok(rules) => rules,
            Err(error) => return self.failed(error.clone()),
        };
        let mut scope = Scope::new();
        // Most policies are about somebody else: their conditions alone decide, and need little.
        bind(&mut scope, request, variable, &rules.condition_needs);
        match rules.apply(&scope) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) => return self.failed(error),
        }
        bind(&mut scope, request, variable, &rules.needs);
        let mut known = Variables { rules, values: Vec::new(), tried: 0 };
        for validation in &rules.validations {
            known.prepare(&mut scope, &validation.expression);
            match scope.holds(&validation.expression) {
                Ok(true) => {}
                Ok(false) => {
                    let message = validation.message(&mut scope, &mut known);
                    return Err(Refusal { message, reason: validation.reason.clone() });
                }
                Err(error) => {
                    let source = validation.expression.source().trim();
                    self.failed(format!("expression '{source}' resulted in error: {error}"))?;
                }
            }
        }
        Ok(())
    }

    fn failed(&self, message: String) -> Result<(), Refusal> {
        if self.fails_closed {
            return Err(Refusal { message, reason: "Invalid".to_owned() });
        }
        Ok(())
    }
}

fn bind<'v>(
    scope: &mut Scope<'v>,
    request: &AdmissionRequest<'v>,
    variable: &'v Value,
    needs: &Needs,
) {
    static NULL: Value = Value::Null;
    scope.bind("object", request.object.unwrap_or(&NULL), needs);
    scope.bind("oldObject", request.old.unwrap_or(&NULL), needs);
    scope.bind("namespaceObject", request.namespace_object.unwrap_or(&NULL), needs);
    scope.bind("params", &NULL, needs);
    scope.bind("request", variable, needs);
}

impl Rules {
    fn compile(spec: &Value) -> Result<Self, Vec<Cause>> {
        let mut compiler = Compiler { causes: Vec::new(), needs: Needs::default() };
        let conditions = compiler.named(spec, "matchConditions");
        let condition_needs = compiler.needs.clone();
        let variables = compiler.named(spec, "variables");
        let listed = spec["validations"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut validations = Vec::new();
        for (i, item) in listed.iter().enumerate() {
            let field = format!("spec.validations[{i}]");
            let expression =
                compiler.expression(&item["expression"], &format!("{field}.expression"));
            let message_expression = match &item["messageExpression"] {
                Value::String(text) if !text.trim().is_empty() => compiler
                    .expression(&item["messageExpression"], &format!("{field}.messageExpression")),
                _ => None,
            };
            let Some(expression) = expression else { continue };
            let fixed = item["message"].as_str().unwrap_or_default().trim().to_owned();
            let message = if fixed.is_empty() {
                format!("failed expression: {}", expression.source().trim())
            } else {
                fixed
            };
            let reason = item["reason"].as_str().unwrap_or("Invalid").to_owned();
            validations.push(Validation { expression, message, message_expression, reason });
        }
        if compiler.causes.is_empty() {
            Ok(Self { conditions, variables, validations, condition_needs, needs: compiler.needs })
        } else {
            Err(compiler.causes)
        }
    }

    /// Whether all match conditions hold. One that is false outweighs one that fails.
    fn apply(&self, scope: &Scope<'_>) -> Result<bool, String> {
        let mut failure = None;
        for (name, condition) in &self.conditions {
            match scope.holds(condition) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) => {
                    failure.get_or_insert(format!("matchCondition '{name}': {error}"));
                }
            }
        }
        failure.map_or(Ok(true), Err)
    }
}

impl Validation {
    fn message<'v>(&self, scope: &mut Scope<'v>, known: &mut Variables<'_, 'v>) -> String {
        let computed = self.message_expression.as_ref().and_then(|expression| {
            known.prepare(scope, expression);
            scope.text(expression).ok()
        });
        let usable = computed.map(|text| text.trim().to_owned()).filter(|text| {
            !text.is_empty() && text.len() <= MAX_MESSAGE_BYTES && !text.contains('\n')
        });
        usable.unwrap_or_else(|| self.message.clone())
    }
}

/// Values of the policy's variables, each computed when an expression first reaches it.
struct Variables<'r, 'v> {
    rules: &'r Rules,
    values: Vec<(String, Box<dyn Val + 'v>)>,
    tried: usize,
}

impl<'v> Variables<'_, 'v> {
    /// Computes the variables up to the last one that the expression names. One that fails stays
    /// out of the map, so that reaching it, and only that, is an error.
    fn prepare(&mut self, scope: &mut Scope<'v>, expression: &Expression) {
        let needs = expression.needs();
        if needs.get("variables").is_none() {
            return;
        }
        let named = |name: &str| needs.fields_of("variables").any(|field| field == name);
        let last = self.rules.variables.iter().rposition(|(name, _)| named(name));
        let end = last.map_or(0, |last| last + 1);
        if self.tried == 0 {
            scope.bind_map("variables", &[]);
        }
        for (name, variable) in self.rules.variables.iter().take(end).skip(self.tried) {
            if let Ok(value) = scope.evaluate(variable) {
                self.values.push((name.clone(), value));
                scope.bind_map("variables", &self.values);
            }
        }
        self.tried = self.tried.max(end);
    }
}

struct Compiler {
    causes: Vec<Cause>,
    needs: Needs,
}

impl Compiler {
    fn named(&mut self, spec: &Value, field: &str) -> Vec<(String, Expression)> {
        let items = spec[field].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut compiled = Vec::new();
        for (i, item) in items.iter().enumerate() {
            let name = item["name"].as_str().unwrap_or_default().to_owned();
            let at = format!("spec.{field}[{i}].expression");
            if let Some(expression) = self.expression(&item["expression"], &at) {
                compiled.push((name, expression));
            }
        }
        compiled
    }

    fn expression(&mut self, source: &Value, field: &str) -> Option<Expression> {
        let Some(text) = source.as_str() else {
            self.causes.push(Cause::required(field, "expression is not specified"));
            return None;
        };
        match Expression::compile(text) {
            Ok(expression) => {
                self.needs.absorb(expression.needs());
                Some(expression)
            }
            Err(error) => {
                let detail = format!("compilation failed: {error}");
                self.causes.push(Cause::invalid(field, source, &detail));
                None
            }
        }
    }
}

/// What is wrong with a policy's expressions.
pub(super) fn check(policy: &Value) -> Vec<Cause> {
    Rules::compile(&policy["spec"]).err().unwrap_or_default()
}
