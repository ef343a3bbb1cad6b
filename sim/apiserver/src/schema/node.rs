//! One node of a compiled schema.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

use crate::cel::Expression;

/// `type` of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Array,
    Boolean,
    Integer,
    Number,
    Object,
    String,
}

impl Type {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "array" => Self::Array,
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "object" => Self::Object,
            "string" => Self::String,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Object => "object",
            Self::String => "string",
        }
    }

    /// Whether a value is of this type; an integer is a number.
    pub(super) fn is_of(self, value: &Value) -> bool {
        match self {
            Self::Array => value.is_array(),
            Self::Boolean => value.is_boolean(),
            Self::Integer => type_name(value) == "integer",
            Self::Number => value.is_number(),
            Self::Object => value.is_object(),
            Self::String => value.is_string(),
        }
    }
}

/// The type of a value as messages name it.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_i64() || n.is_u64() => "integer",
        Value::Number(n) if n.as_f64().is_some_and(|f| f.fract() == 0.0) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// How the items of a list are told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum ListType {
    #[default]
    Atomic,
    Set,
    /// By the values of these fields.
    Map(Vec<String>),
}

/// Fields that a map may have beside its properties.
#[derive(Clone, Debug, Default)]
pub(super) enum Additional {
    #[default]
    No,
    /// Any value: `additionalProperties: true`.
    Any,
    Of(Box<Node>),
}

/// Bounds; what is absent does not bind.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    pub(super) minimum: Option<f64>,
    pub(super) exclusive_minimum: bool,
    pub(super) maximum: Option<f64>,
    pub(super) exclusive_maximum: bool,
    pub(super) multiple_of: Option<f64>,
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    pub(super) min_items: Option<u64>,
    pub(super) max_items: Option<u64>,
    pub(super) min_properties: Option<u64>,
    pub(super) max_properties: Option<u64>,
    pub(super) pattern: Option<Regex>,
    pub(super) one_of_values: Option<Vec<Value>>,
    pub(super) format: String,
}

/// One entry of `x-kubernetes-validations`.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) expression: Expression,
    pub(super) message: String,
    pub(super) message_expression: Option<Expression>,
    pub(super) reason: String,
    pub(super) field_path: String,
    /// Names `oldSelf`: evaluated only where there is an old value, never ratcheted away.
    pub(super) is_transition: bool,
}

/// One node.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) kind: Option<Type>,
    pub(super) int_or_string: bool,
    pub(super) nullable: bool,
    pub(super) preserves_unknown: bool,
    pub(super) properties: BTreeMap<String, Node>,
    pub(super) additional: Additional,
    pub(super) items: Option<Box<Node>>,
    pub(super) required: Vec<String>,
    pub(super) default: Option<Value>,
    pub(super) limits: Limits,
    pub(super) list_type: ListType,
    pub(super) rules: Vec<Rule>,
    pub(super) all_of: Vec<Node>,
    pub(super) any_of: Vec<Node>,
    pub(super) one_of: Vec<Node>,
    pub(super) not: Option<Box<Node>>,
}

impl Node {
    /// The node of a field of an object, if the schema knows one.
    pub(super) fn field(&self, name: &str) -> Option<&Node> {
        self.properties.get(name).or(match &self.additional {
            Additional::Of(node) => Some(node),
            Additional::No | Additional::Any => None,
        })
    }

    /// Whether this node or one below it has rules.
    pub(super) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
            || self.properties.values().any(Node::has_rules)
            || self.items.as_ref().is_some_and(|items| items.has_rules())
            || matches!(&self.additional, Additional::Of(node) if node.has_rules())
    }

    /// The old item that a new item of a list continues, if the list's type tells.
    pub(super) fn correlate<'o>(&self, item: &Value, old: Option<&'o Value>) -> Option<&'o Value> {
        let ListType::Map(keys) = &self.list_type else { return None };
        let key = map_key(keys, item);
        old?.as_array()?.iter().find(|candidate| map_key(keys, candidate) == key)
    }
}

/// The fields that tell the items of a map list apart.
pub(super) fn map_key(keys: &[String], item: &Value) -> Map<String, Value> {
    keys.iter().filter_map(|k| item.get(k).map(|v| (k.clone(), v.clone()))).collect()
}
