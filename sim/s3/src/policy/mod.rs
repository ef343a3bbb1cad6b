//! Bucket and identity policies: the part of the policy language that guards a log.
//!
//! An explicit deny wins, then an allow, else the request is denied. What the model does not know
//! it refuses when the policy is put, as AWS does: a condition that is silently skipped would show
//! a guard where there is none.

mod document;
mod pattern;

use std::collections::BTreeMap;

use document::{Effect, Operator, Statement, Test};
pub(crate) use document::{Kind, Policy};
use pattern::matches;

/// What is asked of policies.
pub(crate) struct AccessRequest<'a> {
    /// Who asks, as an ARN.
    pub(crate) principal: &'a str,
    /// For example `s3:PutObject`.
    pub(crate) action: &'a str,
    /// For example `arn:aws:s3:::bucket/key`.
    pub(crate) resource: &'a str,
    /// Condition keys that the request has.
    pub(crate) context: &'a BTreeMap<&'static str, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Denied,
    Allowed,
    Silent,
}

/// What a set of policies says together.
pub(crate) fn evaluate<'p>(
    policies: impl IntoIterator<Item = &'p Policy>,
    request: &AccessRequest<'_>,
) -> Verdict {
    let mut verdict = Verdict::Silent;
    for statement in policies.into_iter().flat_map(|policy| &policy.statements) {
        if !applies(statement, request) {
            continue;
        }
        match statement.effect {
            Effect::Deny => return Verdict::Denied,
            Effect::Allow => verdict = Verdict::Allowed,
        }
    }
    verdict
}

fn applies(statement: &Statement, request: &AccessRequest<'_>) -> bool {
    let principal = statement
        .principals
        .as_ref()
        .is_none_or(|all| all.iter().any(|one| principal_matches(one, request.principal)));
    let action = request.action.to_ascii_lowercase();
    principal
        && statement.actions.admits(|pattern| matches(&pattern.to_ascii_lowercase(), &action))
        && statement.resources.admits(|pattern| matches(pattern, request.resource))
        && statement.tests.iter().all(|test| holds(test, request.context))
}

fn principal_matches(pattern: &str, arn: &str) -> bool {
    pattern == "*" || pattern == arn || (pattern == "000000000000" && arn.ends_with(":root"))
}

fn holds(test: &Test, context: &BTreeMap<&'static str, String>) -> bool {
    let value = context.get(test.key.as_str());
    if let Operator::Null = test.operator {
        let absent = if value.is_none() { "true" } else { "false" };
        return test.values.iter().any(|wanted| wanted == absent);
    }
    let Some(value) = value else {
        // A missing key fails a positive test and passes a negated one; `IfExists` passes both.
        return test.if_exists || test.operator.negated();
    };
    let any = test.values.iter().any(|wanted| match test.operator {
        Operator::StringEquals | Operator::StringNotEquals | Operator::Null => wanted == value,
        Operator::StringEqualsIgnoreCase | Operator::Bool => wanted.eq_ignore_ascii_case(value),
        Operator::StringLike | Operator::StringNotLike => matches(wanted, value),
    });
    any != test.operator.negated()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Dialect;

    fn verdict(
        policy: &str,
        action: &str,
        resource: &str,
        context: &[(&'static str, &str)],
    ) -> Verdict {
        let policy = Policy::parse(policy, Kind::Bucket, Dialect::Aws).unwrap();
        let context = context.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        let request = AccessRequest {
            principal: "arn:aws:iam::000000000000:user/writer",
            action,
            resource,
            context: &context,
        };
        evaluate([&policy], &request)
    }

    const GUARD: &str = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::log","arn:aws:s3:::log/*"]},
        {"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::000000000000:user/writer"},
         "Action":["s3:Delete*"],"Resource":"arn:aws:s3:::log/events/*"},
        {"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::log/events/*",
         "Condition":{"Null":{"s3:if-none-match":"true"}}}]}"#;

    #[test]
    fn deny_wins_and_null_demands_the_header() {
        let object = "arn:aws:s3:::log/events/0000000001.json";
        let cases = [
            ("s3:GetObject", object, vec![], Verdict::Allowed),
            ("s3:DeleteObject", object, vec![], Verdict::Denied),
            ("s3:DeleteObjectVersion", object, vec![], Verdict::Denied),
            ("s3:DeleteObject", "arn:aws:s3:::log/other", vec![], Verdict::Allowed),
            ("s3:PutObject", object, vec![], Verdict::Denied),
            ("s3:PutObject", object, vec![("s3:if-none-match", "*")], Verdict::Allowed),
            ("s3:GetObject", "arn:aws:s3:::else/events/1", vec![], Verdict::Silent),
        ];
        for (action, resource, context, wanted) in cases {
            assert_eq!(verdict(GUARD, action, resource, &context), wanted, "{action} {resource}");
        }
    }

    #[test]
    fn operators_decide_on_missing_keys_as_documented() {
        let policy = |operator: &str| {
            format!(
                r#"{{"Statement":{{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*",
                    "Condition":{{"{operator}":{{"s3:prefix":["events/*","x"]}}}}}}}}"#
            )
        };
        let cases = [
            ("StringLike", Some("events/1"), true),
            ("StringLike", Some("other"), false),
            ("StringLike", None, false),
            ("StringLikeIfExists", None, true),
            ("StringNotLike", Some("events/1"), false),
            ("StringNotLike", Some("other"), true),
            ("StringNotLike", None, true),
            ("StringEquals", Some("events/1"), false),
            ("StringEquals", Some("x"), true),
        ];
        for (operator, value, denied) in cases {
            let context: Vec<_> = value.into_iter().map(|value| ("s3:prefix", value)).collect();
            let wanted = if denied { Verdict::Denied } else { Verdict::Silent };
            let found = verdict(&policy(operator), "s3:ListBucket", "arn:aws:s3:::log", &context);
            assert_eq!(found, wanted, "{operator} {value:?}");
        }
    }
}
