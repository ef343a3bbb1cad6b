//! Policy documents: parsed once, refused with S3's code when they say what is not understood.

use s3s::{S3Error, S3Result, s3_error};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::options::Dialect;

/// Where a policy hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// On a bucket: every statement names principals.
    Bucket,
    /// On an identity: no statement does.
    Identity,
}

/// A parsed policy, and the text that it came from.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) text: String,
    pub(super) statements: Vec<Statement>,
}

#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) effect: Effect,
    /// None on identities' policies.
    pub(super) principals: Option<Vec<String>>,
    pub(super) actions: Set,
    pub(super) resources: Set,
    pub(super) tests: Vec<Test>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Effect {
    Allow,
    Deny,
}

#[derive(Clone, Debug)]
pub(super) enum Set {
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl Set {
    pub(super) fn admits(&self, hit: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::In(patterns) => patterns.iter().any(|pattern| hit(pattern)),
            Self::NotIn(patterns) => !patterns.iter().any(|pattern| hit(pattern)),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Test {
    pub(super) operator: Operator,
    pub(super) if_exists: bool,
    pub(super) key: String,
    pub(super) values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    StringEquals,
    StringNotEquals,
    StringEqualsIgnoreCase,
    StringLike,
    StringNotLike,
    Bool,
    Null,
}

impl Operator {
    pub(super) const fn negated(self) -> bool {
        matches!(self, Self::StringNotEquals | Self::StringNotLike)
    }

    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "StringEquals" => Self::StringEquals,
            "StringNotEquals" => Self::StringNotEquals,
            "StringEqualsIgnoreCase" => Self::StringEqualsIgnoreCase,
            "StringLike" => Self::StringLike,
            "StringNotLike" => Self::StringNotLike,
            "Bool" => Self::Bool,
            "Null" => Self::Null,
            _ => return None,
        })
    }
}

/// Condition keys that the model fills; lower case.
const KEYS: [&str; 9] = [
    "s3:if-none-match",
    "s3:if-match",
    "s3:objectcreationoperation",
    "s3:prefix",
    "s3:delimiter",
    "s3:max-keys",
    "s3:versionid",
    "s3:x-amz-content-sha256",
    "aws:username",
];

/// Keys that MinIO refuses by name.
const UNKNOWN_TO_MINIO: [&str; 3] =
    ["s3:if-none-match", "s3:if-match", "s3:objectcreationoperation"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct RawPolicy {
    #[serde(default, rename = "Version")]
    _version: Option<String>,
    #[serde(default, rename = "Id")]
    _id: Option<String>,
    statement: OneOrMany<RawStatement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct RawStatement {
    #[serde(default, rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    principal: Option<Value>,
    action: Option<OneOrMany<String>>,
    not_action: Option<OneOrMany<String>>,
    resource: Option<OneOrMany<String>>,
    not_resource: Option<OneOrMany<String>>,
    #[serde(default)]
    condition: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

fn malformed(why: impl std::fmt::Display) -> S3Error {
    s3_error!(MalformedPolicy, "{why}")
}

impl Policy {
    pub(crate) fn parse(text: &str, kind: Kind, dialect: Dialect) -> S3Result<Self> {
        let raw: RawPolicy = serde_json::from_str(text)
            .map_err(|error| malformed(format!("Policies must be valid JSON: {error}")))?;
        let statements = raw
            .statement
            .into_vec()
            .into_iter()
            .map(|statement| parse_statement(statement, kind, dialect))
            .collect::<S3Result<Vec<_>>>()?;
        Ok(Self { text: text.to_owned(), statements })
    }
}

fn parse_statement(raw: RawStatement, kind: Kind, dialect: Dialect) -> S3Result<Statement> {
    let principals = match (kind, raw.principal) {
        (Kind::Identity, None) => None,
        (Kind::Identity, Some(_)) => return Err(malformed("Policy has a Principal")),
        (Kind::Bucket, None) => return Err(malformed("Missing required field Principal")),
        (Kind::Bucket, Some(principal)) => Some(parse_principal(&principal)?),
    };
    let mut tests = Vec::new();
    for (operator, keys) in &raw.condition {
        parse_tests(operator, keys, dialect, &mut tests)?;
    }
    Ok(Statement {
        effect: raw.effect,
        principals,
        actions: parse_set("Action", raw.action, raw.not_action)?,
        resources: parse_set("Resource", raw.resource, raw.not_resource)?,
        tests,
    })
}

fn parse_set(
    field: &str,
    included: Option<OneOrMany<String>>,
    excluded: Option<OneOrMany<String>>,
) -> S3Result<Set> {
    match (included, excluded) {
        (Some(patterns), None) => Ok(Set::In(patterns.into_vec())),
        (None, Some(patterns)) => Ok(Set::NotIn(patterns.into_vec())),
        _ => Err(malformed(format!("Exactly one of {field} and Not{field} is required"))),
    }
}

fn parse_principal(principal: &Value) -> S3Result<Vec<String>> {
    let invalid = || malformed("Invalid principal in policy");
    match principal {
        Value::String(text) if text == "*" => Ok(vec![text.clone()]),
        Value::Object(map) => match (map.len(), map.get("AWS")) {
            (1, Some(names)) => texts(names).ok_or_else(invalid),
            _ => Err(invalid()),
        },
        _ => Err(invalid()),
    }
}

fn parse_tests(
    operator: &str,
    keys: &Value,
    dialect: Dialect,
    tests: &mut Vec<Test>,
) -> S3Result<()> {
    let (name, if_exists) = match operator.strip_suffix("IfExists") {
        Some(name) => (name, true),
        None => (operator, false),
    };
    let operator = Operator::parse(name)
        .ok_or_else(|| malformed(format!("Invalid Condition type : {operator}")))?;
    let Value::Object(keys) = keys else {
        return Err(malformed("Conditions must be maps of keys"));
    };
    for (key, values) in keys {
        let lower = key.to_ascii_lowercase();
        let refused = dialect == Dialect::Minio && UNKNOWN_TO_MINIO.contains(&lower.as_str());
        if refused || !KEYS.contains(&lower.as_str()) {
            return Err(malformed(format!("Policy has an invalid condition key: {key}")));
        }
        let values =
            texts(values).ok_or_else(|| malformed("Condition values must be texts or booleans"))?;
        tests.push(Test { operator, if_exists, key: lower, values });
    }
    Ok(())
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Bool(flag) => Some(vec![flag.to_string()]),
        Value::Array(many) => many.iter().map(|one| texts(one)?.pop()).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_refused() {
        let cases = [
            "{",
            r#"{"Statement":{"Effect":"Maybe","Principal":"*","Action":"*","Resource":"*"}}"#,
            r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#,
            r#"{"Statement":{"Effect":"Deny","Principal":"*","Resource":"*"}}"#,
            r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Sig":1}}"#,
            r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*",
                "Condition":{"NumericEquals":{"s3:max-keys":"1"}}}}"#,
            r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*",
                "Condition":{"Null":{"s3:invented":"true"}}}}"#,
        ];
        for text in cases {
            let error = Policy::parse(text, Kind::Bucket, Dialect::Aws).unwrap_err();
            assert_eq!(error.code().as_str(), "MalformedPolicy", "{text}");
        }
    }

    #[test]
    fn minio_does_not_know_the_condition_key() {
        let text = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:PutObject",
            "Resource":"*","Condition":{"Null":{"s3:if-none-match":"true"}}}}"#;
        Policy::parse(text, Kind::Bucket, Dialect::Aws).unwrap();
        let error = Policy::parse(text, Kind::Bucket, Dialect::Minio).unwrap_err();
        assert_eq!(error.code().as_str(), "MalformedPolicy");
    }
}
