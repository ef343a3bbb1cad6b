//! Small wordings that several pictures share.

use serde_json::Value;

/// True time as seconds with three decimals.
pub(super) fn seconds(t_ns: u64) -> String {
    let ms = t_ns / 1_000_000;
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

/// A length of time as people say it.
pub(super) fn span(ns: u64) -> String {
    let us = ns / 1_000;
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", us / 1_000),
        1_000_000..120_000_000 => format!("{}.{} s", us / 1_000_000, us / 100_000 % 10),
        _ => format!("{} min {} s", us / 60_000_000, us / 1_000_000 % 60),
    }
}

/// A count with its noun.
pub(super) fn count(number: usize, noun: &str) -> String {
    match (number, noun) {
        (1, _) => format!("1 {noun}"),
        (_, noun) if noun.ends_with('y') => {
            format!("{number} {}ies", noun.strip_suffix('y').unwrap_or(noun))
        }
        _ => format!("{number} {noun}s"),
    }
}

/// What an invariant says, in one plain sentence; empty if the name is not known.
pub(super) fn meaning(invariant: &str) -> &'static str {
    match invariant.split(' ').next().unwrap_or_default() {
        "I1" => "The log is one unbroken chain: no holes, every hash right.",
        "I2" => "What the log acknowledged stays in it for ever, exactly once.",
        "I3" => "Epochs never go back, and each has exactly one writer.",
        "I4" => "Once a newer decision has written an object, no older one may overwrite it.",
        "I5" => "Nothing is written without a decision in the log, and each ends in one outcome.",
        "I6" => "Reading the log again gives the live state and the same decisions.",
        "I7" => "Never do two replicas believe at the same time that they lead.",
        "I8" => "Once faults stop, there is a leader and everything becomes as it should be.",
        "I9" => "Every request is allowed by the roles, and every right is needed.",
        "I10" => "A manipulation of the log is noticed.",
        _ => "",
    }
}

/// A text for people; one that is a step as JSON is told in words, without what says nothing.
pub(super) fn told(text: &str) -> String {
    match serde_json::from_str(text) {
        Ok(Value::Object(mut fields)) if !fields.is_empty() => {
            let verb = fields.remove("do");
            let verb = verb.as_ref().and_then(Value::as_str).map(|verb| verb.replace('_', " "));
            let rest = fields_of(&Value::Object(fields)).join(", ");
            match verb {
                Some(verb) if rest.is_empty() => verb,
                Some(verb) => format!("{verb}: {rest}"),
                None => rest,
            }
        }
        _ => text.to_owned(),
    }
}

fn fields_of(value: &Value) -> Vec<String> {
    let mut fields: Vec<_> = value.as_object().into_iter().flatten().collect();
    // Short ones first; and an order of our own, whatever order the parser keeps.
    fields.sort_by_key(|(name, value)| (value.is_object(), *name));
    let told = fields.into_iter().filter_map(|(name, value)| {
        let name = name.replace('_', " ");
        match value {
            Value::Null | Value::Bool(false) => None,
            Value::Bool(true) => Some(name),
            Value::Number(number) if number.as_i64() == Some(0) => None,
            Value::Number(number) => Some(format!("{name} {number}")),
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(format!("{name} {text}")),
            Value::Array(items) if items.is_empty() => None,
            Value::Array(_) => Some(format!("{name} {value}")),
            Value::Object(_) => {
                let inner = fields_of(value).join(", ");
                Some(if inner.is_empty() { name } else { format!("{name}: {inner}") })
            }
        }
    });
    told.collect()
}
