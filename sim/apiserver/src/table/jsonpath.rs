//! The part of JSONPath that printer columns use: fields, indexes, `[*]` and `[?(@.a=="b")]`.

use serde_json::Value;

/// A parsed path.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    /// Items whose value at a path equals a text, or does not.
    Where {
        path: Vec<String>,
        equal: bool,
        value: Value,
    },
}

impl Path {
    /// Parses a path; nothing if it uses anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let (inside, after) = bracket(after)?;
                steps.push(bracket_step(inside)?);
                rest = after;
            } else {
                rest = rest.strip_prefix('.').unwrap_or(rest);
                let (field, after) = field(rest);
                if field.is_empty() {
                    return None;
                }
                steps.push(if field == "*" { Step::All } else { Step::Field(field) });
                rest = after;
            }
        }
        Some(Self(steps))
    }

    /// What the path finds, in order.
    pub(super) fn find<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![value];
        for step in &self.0 {
            found = found.into_iter().flat_map(|value| step.apply(value)).collect();
        }
        found
    }
}

impl Step {
    fn apply<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        match (self, value) {
            (Self::Field(name), Value::Object(fields)) => fields.get(name).into_iter().collect(),
            (Self::Index(index), Value::Array(items)) => {
                let at = if *index < 0 { index + items.len() as i64 } else { *index };
                usize::try_from(at).ok().and_then(|at| items.get(at)).into_iter().collect()
            }
            (Self::All, Value::Array(items)) => items.iter().collect(),
            (Self::All, Value::Object(fields)) => fields.values().collect(),
            (Self::Where { path, equal, value }, Value::Array(items)) => {
                let at = |item: &'v Value| path.iter().try_fold(item, |item, name| item.get(name));
                items.iter().filter(|i| at(i).is_some_and(|f| (f == value) == *equal)).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// What stands before the closing bracket, and what comes after it; quotes hide brackets.
fn bracket(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, ']') => return Some((&text[..at], &text[at + 1..])),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

fn bracket_step(inside: &str) -> Option<Step> {
    let inside = inside.trim();
    if inside == "*" {
        return Some(Step::All);
    }
    if let Some(name) = literal(inside).and_then(|v| v.as_str().map(str::to_owned))
        && inside.starts_with(['\'', '"'])
    {
        return Some(Step::Field(name));
    }
    if let Some(filter) = inside.strip_prefix("?(").and_then(|f| f.strip_suffix(')')) {
        let (left, equal, right) = match filter.split_once("==") {
            Some((left, right)) => (left, true, right),
            None => filter.split_once("!=").map(|(left, right)| (left, false, right))?,
        };
        let left = left.trim().strip_prefix("@.")?;
        let path = left.split('.').map(str::to_owned).collect();
        return Some(Step::Where { path, equal, value: literal(right.trim())? });
    }
    inside.parse().ok().map(Step::Index)
}

/// `"text"`, `'text'`, `true` or a number.
fn literal(text: &str) -> Option<Value> {
    for quote in ['\'', '"'] {
        if let Some(inside) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)) {
            return Some(Value::from(inside));
        }
    }
    serde_json::from_str(text).ok()
}

/// A field name up to the next dot or bracket; `\.` is a dot in the name.
fn field(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '.' | '[' => return (name, &text[at..]),
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            c => name.push(c),
        }
    }
    (name, "")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn printer_columns_find_their_values() {
        let object = json!({
            "metadata": {"annotations": {"a.b/c": "x"}},
            "spec": {"list": [{"n": 1}, {"n": 2}], "text": "t"},
            "status": {"conditions": [
                {"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
        });
        for (path, found) in [
            (".spec.text", json!(["t"])),
            ("spec.text", json!(["t"])),
            (".spec.list[1].n", json!([2])),
            (".spec.list[-1].n", json!([2])),
            (".spec.list[*].n", json!([1, 2])),
            (r".metadata.annotations.a\.b/c", json!(["x"])),
            (".metadata.annotations['a.b/c']", json!(["x"])),
            (r#".status.conditions[?(@.type=="Ready")].status"#, json!(["True"])),
            (".status.conditions[?(@.type != 'Ready')].status", json!(["False"])),
            (".spec.missing.x", json!([])),
        ] {
            let parsed = Path::parse(path).expect(path);
            assert_eq!(json!(parsed.find(&object)), found, "{path}");
        }
        assert_eq!(Path::parse(".a..b"), None);
        assert_eq!(Path::parse(".a[?(@.b)]"), None);
    }
}
