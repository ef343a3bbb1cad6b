//! From a CRD's `openAPIV3Schema` to nodes; what a real server refuses in a CRD is refused here.

use regex::Regex;
use serde_json::Value;

use super::check;
use super::node::{Additional, Limits, ListType, Node, Rule, Type};
use crate::cel::{Expression, Need};
use crate::status_error::Cause;

/// Compiles the root.
pub(super) fn root(schema: &Value) -> Result<Node, Vec<Cause>> {
    let mut compiler = Compiler { causes: Vec::new() };
    let path = "spec.validation.openAPIV3Schema";
    if schema["type"] != "object" {
        let detail = "must not be empty at the root";
        compiler.causes.push(Cause::required(format!("{path}.type"), detail));
    }
    let node = compiler.node(schema, path, Place::Root);
    if compiler.causes.is_empty() { Ok(node) } else { Err(compiler.causes) }
}

/// Where a node stands: only structural nodes must say their type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Field,
    Item,
    Junctor,
}

struct Compiler {
    causes: Vec<Cause>,
}

impl Compiler {
    fn node(&mut self, schema: &Value, path: &str, place: Place) -> Node {
        let flag = |name: &str| schema[name].as_bool().unwrap_or(false);
        let mut node = Node {
            kind: self.kind(schema, path, place),
            int_or_string: flag("x-kubernetes-int-or-string"),
            nullable: flag("nullable"),
            preserves_unknown: flag("x-kubernetes-preserve-unknown-fields"),
            required: texts(&schema["required"]),
            default: schema.get("default").cloned(),
            limits: self.limits(schema, path),
            list_type: list_type(schema),
            ..Node::default()
        };
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.properties[{name}]");
            let place = if place == Place::Junctor { place } else { Place::Field };
            node.properties.insert(name.clone(), self.node(field, &path, place));
        }
        node.additional = match &schema["additionalProperties"] {
            Value::Bool(true) => Additional::Any,
            Value::Object(_) => {
                let path = format!("{path}.additionalProperties");
                let place = if place == Place::Junctor { place } else { Place::Field };
                let of = self.node(&schema["additionalProperties"], &path, place);
                Additional::Of(Box::new(of))
            }
            _ => Additional::No,
        };
        node.items = self.items(schema, path, node.kind, place);
        self.junctors(schema, path, &mut node);
        self.check_default(&node, path);
        if place == Place::Root {
            add_type_and_name(&mut node);
        }
        node.rules = self.rules(schema, path, &node);
        node
    }

    fn kind(&mut self, schema: &Value, path: &str, place: Place) -> Option<Type> {
        let name = schema["type"].as_str().unwrap_or_default();
        let kind = Type::parse(name);
        let field = format!("{path}.type");
        if !name.is_empty() && kind.is_none() {
            let supported = r#""array", "boolean", "integer", "number", "object", "string""#;
            let message = format!("Unsupported value: \"{name}\": supported values: {supported}");
            self.causes.push(Cause::new("FieldValueNotSupported", field, message));
        } else if name.is_empty()
            && matches!(place, Place::Field | Place::Item)
            && schema["x-kubernetes-int-or-string"] != true
            && schema["x-kubernetes-preserve-unknown-fields"] != true
        {
            let of = if place == Place::Field { "object fields" } else { "array items" };
            let detail = format!("must not be empty for specified {of}");
            self.causes.push(Cause::required(field, &detail));
        }
        kind
    }

    fn items(
        &mut self,
        schema: &Value,
        path: &str,
        kind: Option<Type>,
        place: Place,
    ) -> Option<Box<Node>> {
        let path = format!("{path}.items");
        if schema["items"].is_object() {
            let place = if place == Place::Junctor { place } else { Place::Item };
            return Some(Box::new(self.node(&schema["items"], &path, place)));
        }
        if kind == Some(Type::Array) && place != Place::Junctor {
            self.causes.push(Cause::required(path, "must be specified"));
        }
        None
    }

    fn junctors(&mut self, schema: &Value, path: &str, node: &mut Node) {
        // `anyOf: [integer, string]` beside int-or-string says nothing that is not checked anyway.
        let mut list = |name: &str| -> Vec<Node> {
            let schemas = schema[name].as_array().into_iter().flatten().enumerate();
            schemas
                .map(|(i, s)| self.node(s, &format!("{path}.{name}[{i}]"), Place::Junctor))
                .collect()
        };
        node.all_of = list("allOf");
        node.any_of = list("anyOf");
        node.one_of = list("oneOf");
        node.not = schema["not"]
            .is_object()
            .then(|| Box::new(self.node(&schema["not"], &format!("{path}.not"), Place::Junctor)));
    }

    fn limits(&mut self, schema: &Value, path: &str) -> Limits {
        let number = |name: &str| schema[name].as_f64();
        let count = |name: &str| schema[name].as_u64();
        let flag = |name: &str| schema[name].as_bool().unwrap_or(false);
        let pattern = schema["pattern"].as_str().and_then(|text| match Regex::new(text) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let detail = format!("must be a valid regular expression, but isn't: {error}");
                let field = format!("{path}.pattern");
                self.causes.push(Cause::invalid(field, &schema["pattern"], &detail));
                None
            }
        });
        Limits {
            minimum: number("minimum"),
            exclusive_minimum: flag("exclusiveMinimum"),
            maximum: number("maximum"),
            exclusive_maximum: flag("exclusiveMaximum"),
            multiple_of: number("multipleOf"),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            pattern,
            one_of_values: schema["enum"].as_array().cloned(),
            // Formats of numbers restrict nothing.
            format: match schema["type"].as_str() {
                Some("string") => schema["format"].as_str().unwrap_or_default().to_owned(),
                _ => String::new(),
            },
        }
    }

    fn check_default(&mut self, node: &Node, path: &str) {
        let Some(default) = &node.default else { return };
        let field = format!("{path}.default");
        for mut cause in check::all(node, default, None) {
            cause.field = match cause.field.as_str() {
                "<nil>" | "" => field.clone(),
                below => format!("{field}.{below}"),
            };
            self.causes.push(cause);
        }
    }

    fn rules(&mut self, schema: &Value, path: &str, node: &Node) -> Vec<Rule> {
        let listed = schema["x-kubernetes-validations"].as_array().map(Vec::as_slice);
        let mut rules = Vec::new();
        for (i, item) in listed.unwrap_or_default().iter().enumerate() {
            let at = format!("{path}.x-kubernetes-validations[{i}]");
            let text = |name: &str| item[name].as_str().unwrap_or_default().trim().to_owned();
            let Some(expression) = self.expression(item, "rule", &at, node) else { continue };
            let message_expression = match text("messageExpression").as_str() {
                "" => None,
                _ => self.expression(item, "messageExpression", &at, node),
            };
            let message = match text("message") {
                message if message.is_empty() => format!("failed rule: {}", text("rule")),
                message => message,
            };
            rules.push(Rule {
                is_transition: expression.needs().get("oldSelf").is_some(),
                expression,
                message,
                message_expression,
                reason: text("reason"),
                field_path: text("fieldPath"),
            });
        }
        rules
    }

    fn expression(
        &mut self,
        item: &Value,
        name: &str,
        at: &str,
        node: &Node,
    ) -> Option<Expression> {
        let source = item[name].as_str().unwrap_or_default();
        let compiled = Expression::compile(source).and_then(|expression| {
            for variable in ["self", "oldSelf"] {
                if let Some(need) = expression.needs().get(variable) {
                    known_fields(node, need)?;
                }
            }
            Ok(expression)
        });
        compiled
            .map_err(|error| {
                let detail = format!("compilation failed: {error}");
                self.causes.push(Cause::new(
                    "FieldValueInvalid",
                    format!("{at}.{name}"),
                    format!("Invalid value: {}: {detail}", as_go_prints(item)),
                ));
            })
            .ok()
    }
}

/// Every object has a type and a name, whatever its schema says; rules may name these and nothing
/// else of `metadata`.
fn add_type_and_name(root: &mut Node) {
    let of = |kind| Node { kind: Some(kind), ..Node::default() };
    for field in ["apiVersion", "kind"] {
        root.properties.entry(field.to_owned()).or_insert_with(|| of(Type::String));
    }
    let metadata = root.properties.entry("metadata".to_owned()).or_insert_with(|| of(Type::Object));
    for field in ["name", "generateName"] {
        metadata.properties.entry(field.to_owned()).or_insert_with(|| of(Type::String));
    }
}

/// A rule may name only fields that the schema has.
fn known_fields(node: &Node, need: &Need) -> Result<(), String> {
    if node.preserves_unknown {
        return Ok(());
    }
    for (name, below) in need.fields() {
        match node.field(name) {
            Some(field) => known_fields(field, below)?,
            None if matches!(node.additional, Additional::Any) => {}
            None => return Err(format!("ERROR: <input>: undefined field '{name}'")),
        }
    }
    Ok(())
}

/// A rule as the server's messages show it.
fn as_go_prints(rule: &Value) -> String {
    let text = |name: &str| Value::String(rule[name].as_str().unwrap_or_default().to_owned());
    format!(
        concat!(
            r#"{{"Rule":{},"Message":{},"MessageExpression":{},"#,
            r#""Reason":{},"FieldPath":{},"OptionalOldSelf":{}}}"#
        ),
        text("rule"),
        text("message"),
        text("messageExpression"),
        rule["reason"],
        text("fieldPath"),
        rule["optionalOldSelf"],
    )
}

fn list_type(schema: &Value) -> ListType {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => ListType::Set,
        Some("map") => ListType::Map(texts(&schema["x-kubernetes-list-map-keys"])),
        _ => ListType::Atomic,
    }
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}
