//! Sets of field paths, in the form that `managedFields[].fieldsV1` has.
//!
//! A path element is kept as its wire text: `f:NAME`, `k:{"name":"x"}`, `v:"x"`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::shape::Shape;

/// What is known below one path element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    /// Whether the path that ends here is in the set.
    member: bool,
    children: FieldSet,
}

/// A set of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    nodes: BTreeMap<String, Node>,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }
}

impl FieldSet {
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds a path below this set.
    pub(crate) fn insert(&mut self, element: &str) {
        self.nodes.entry(element.to_owned()).or_default().member = true;
    }

    /// Adds all paths of `below`, prefixed by `element`.
    pub(crate) fn insert_below(&mut self, element: &str, below: FieldSet) {
        if !below.is_empty() {
            let node = self.nodes.entry(element.to_owned()).or_default();
            node.children = std::mem::take(&mut node.children).union(below);
        }
    }

    /// Whether the one-element path is in the set.
    pub(crate) fn has(&self, element: &str) -> bool {
        self.nodes.get(element).is_some_and(|n| n.member)
    }

    /// The paths below an element.
    pub(crate) fn below(&self, element: &str) -> Option<&FieldSet> {
        self.nodes.get(element).map(|n| &n.children).filter(|c| !c.is_empty())
    }

    /// Removes a path and everything below it.
    pub(crate) fn cut(&mut self, path: &[&str]) {
        match path {
            [] => {}
            [last] => {
                self.nodes.remove(*last);
            }
            [first, rest @ ..] => {
                if let Some(node) = self.nodes.get_mut(*first) {
                    node.children.cut(rest);
                    if node.is_empty() {
                        self.nodes.remove(*first);
                    }
                }
            }
        }
    }

    /// Removes a path but not what is below it.
    pub(crate) fn leave(&mut self, element: &str) {
        if let Some(node) = self.nodes.get_mut(element) {
            node.member = false;
            if node.is_empty() {
                self.nodes.remove(element);
            }
        }
    }

    pub(crate) fn union(mut self, other: FieldSet) -> FieldSet {
        for (element, theirs) in other.nodes {
            match self.nodes.get_mut(&element) {
                Some(ours) => {
                    ours.member |= theirs.member;
                    let children = std::mem::take(&mut ours.children);
                    ours.children = children.union(theirs.children);
                }
                None => {
                    self.nodes.insert(element, theirs);
                }
            }
        }
        self
    }

    pub(crate) fn difference(&self, other: &FieldSet) -> FieldSet {
        self.combine(other, |ours, theirs| ours && !theirs, true)
    }

    pub(crate) fn intersection(&self, other: &FieldSet) -> FieldSet {
        self.combine(other, |ours, theirs| ours && theirs, false)
    }

    fn combine(
        &self,
        other: &FieldSet,
        keep: fn(bool, bool) -> bool,
        keep_alone: bool,
    ) -> FieldSet {
        let mut result = FieldSet::default();
        for (element, ours) in &self.nodes {
            let node = match other.nodes.get(element) {
                Some(theirs) => Node {
                    member: keep(ours.member, theirs.member),
                    children: ours.children.combine(&theirs.children, keep, keep_alone),
                },
                None if keep_alone => ours.clone(),
                None => continue,
            };
            if !node.is_empty() {
                result.nodes.insert(element.clone(), node);
            }
        }
        result
    }

    /// The same with every struct field on the way to a member as a member too.
    pub(crate) fn with_named_parents(&self, shape: &Shape) -> FieldSet {
        let mut result = FieldSet::default();
        for (element, node) in &self.nodes {
            let (child_shape, named) = match element.strip_prefix("f:") {
                Some(name) => (shape.field(name), shape.declares(name)),
                None => (shape.item(), false),
            };
            let children = node.children.with_named_parents(child_shape);
            let member = node.member || (named && !children.is_empty());
            result.nodes.insert(element.clone(), Node { member, children });
        }
        result
    }

    /// Every member as text: `.spec.containers[name="x"].image`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.collect_paths("", &mut all);
        all
    }

    fn collect_paths(&self, prefix: &str, all: &mut Vec<String>) {
        for (element, node) in &self.nodes {
            let path = format!("{prefix}{}", element_text(element));
            if node.member {
                all.push(path.clone());
            }
            node.children.collect_paths(&path, all);
        }
    }

    /// `fieldsV1`.
    pub(crate) fn to_json(&self) -> Value {
        let mut object = Map::new();
        for (element, node) in &self.nodes {
            let mut below = match node.children.to_json() {
                Value::Object(below) => below,
                _ => Map::new(),
            };
            if node.member && !below.is_empty() {
                below.insert(".".to_owned(), Value::Object(Map::new()));
            }
            object.insert(element.clone(), Value::Object(below));
        }
        Value::Object(object)
    }

    /// Reads `fieldsV1`.
    pub(crate) fn from_json(value: &Value) -> FieldSet {
        let mut set = FieldSet::default();
        for (element, below) in value.as_object().into_iter().flatten() {
            if element == "." {
                continue;
            }
            let children = FieldSet::from_json(below);
            let member = children.is_empty() || below.get(".").is_some();
            set.nodes.insert(element.clone(), Node { member, children });
        }
        set
    }
}

fn element_text(element: &str) -> String {
    if let Some(name) = element.strip_prefix("f:") {
        return format!(".{name}");
    }
    if let Some(keys) = element.strip_prefix("k:") {
        let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
        let mut text = String::from("[");
        for (index, (key, value)) in keys.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(text, "{comma}{key}={value}");
        }
        text.push(']');
        return text;
    }
    format!("[={}]", element.strip_prefix("v:").unwrap_or(element))
}
