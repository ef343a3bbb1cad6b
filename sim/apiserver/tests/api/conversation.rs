//! Conversations with an API server: requests, and the answers of a real one to compare with.
//!
//! Uids, resourceVersions and times differ from run to run, so each is replaced by a token in the
//! order of its first appearance: two answers are equal when the same things are equal in them. A
//! request may use a token; it then carries the value of this run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// `METHOD PATH`.
    pub(crate) send: String,
    /// `apply`, `merge`, `json`, `strategic`, or nothing for plain JSON.
    #[serde(default)]
    pub(crate) media: String,
    /// The body.
    #[serde(default)]
    pub(crate) body: Value,
    /// Headers, for example `Accept`.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// JSON pointers of what is not compared in the answer, with the reason in a comment.
    #[serde(default)]
    pub(crate) ignore: Vec<String>,
}

/// An answer, tokens in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) body: Value,
}

impl Step {
    /// The media type of the body.
    pub(crate) fn content_type(&self) -> &'static str {
        match self.media.as_str() {
            "apply" => "application/apply-patch+yaml",
            "merge" => "application/merge-patch+json",
            "json" => "application/json-patch+json",
            "strategic" => "application/strategic-merge-patch+json",
            "" => "application/json",
            other => panic!("unknown media {other:?}"),
        }
    }

    /// Method and path.
    pub(crate) fn target(&self) -> (&str, &str) {
        self.send.split_once(' ').expect("METHOD PATH")
    }
}

/// Reads the steps of a conversation.
pub(crate) fn parse(yaml: &str) -> Vec<Step> {
    serde_yaml_ng::from_str(yaml).unwrap_or_else(|e| panic!("not a conversation: {e}"))
}

/// The tokens of one run.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    by_value: BTreeMap<String, String>,
    uids: usize,
    versions: usize,
}

impl Tokens {
    /// The value in place of each token.
    pub(crate) fn resolve(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, token) in &self.by_value {
            text = text.replace(token, value);
        }
        text
    }

    /// The token in place of each value.
    pub(crate) fn tokenize(&mut self, value: &mut Value) {
        self.learn(value);
        self.replace("", value);
    }

    fn learn(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                for (key, child) in map {
                    match child.as_str() {
                        Some(text) if key == "uid" && text.len() == 36 => self.uid(text),
                        Some(text) if key == "resourceVersion" && text.len() > 1 => {
                            self.version(text);
                        }
                        _ => self.learn(child),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            _ => {}
        }
    }

    fn uid(&mut self, text: &str) {
        if !self.by_value.contains_key(text) {
            self.uids += 1;
            self.by_value.insert(text.to_owned(), format!("<uid-{}>", self.uids));
        }
    }

    fn version(&mut self, text: &str) {
        if !self.by_value.contains_key(text) {
            self.versions += 1;
            self.by_value.insert(text.to_owned(), format!("<rv-{}>", self.versions));
        }
    }

    fn replace(&self, key: &str, value: &mut Value) {
        match value {
            Value::Object(map) => map.iter_mut().for_each(|(k, child)| self.replace(k, child)),
            Value::Array(items) => items.iter_mut().for_each(|item| self.replace(key, item)),
            Value::String(text) => {
                if is_time(text) {
                    "<time>".clone_into(text);
                }
                // Long values first: a version may be a part of a uid.
                let mut known: Vec<_> = self.by_value.iter().collect();
                known.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
                for (known, token) in known {
                    let whole = text == known && key == "resourceVersion";
                    if whole || known.len() == 36 {
                        *text = text.replace(known, token);
                    } else if key == "message" {
                        *text = replace_words(text, known, token);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Replaces a number where it stands alone.
fn replace_words(text: &str, known: &str, token: &str) -> String {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-');
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(known) {
        let (before, after) = (&rest[..at], &rest[at + known.len()..]);
        let within =
            inside(before.chars().last().or(result.chars().last())) || inside(after.chars().next());
        result.push_str(before);
        result.push_str(if within { known } else { token });
        rest = after;
    }
    result + rest
}

fn is_time(text: &str) -> bool {
    let shape = text.len() >= 20 && text.ends_with('Z');
    shape && text.as_bytes()[10] == b'T' && text.as_bytes()[4] == b'-'
}

/// Takes a part out of an answer; `*` stands for every item of a list.
pub(crate) fn forget(value: &mut Value, pointer: &str) {
    match pointer.strip_prefix('/').map(|p| p.split_once('/').unwrap_or((p, ""))) {
        None => {}
        Some(("*", rest)) => {
            for item in value.as_array_mut().into_iter().flatten() {
                forget(item, &format!("/{rest}"));
            }
        }
        Some((key, "")) => {
            if let Some(map) = value.as_object_mut() {
                map.remove(key);
            }
        }
        Some((key, rest)) => {
            if let Some(child) = value.get_mut(key) {
                forget(child, &format!("/{rest}"));
            }
        }
    }
}
