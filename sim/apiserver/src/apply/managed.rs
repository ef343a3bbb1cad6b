//! `metadata.managedFields`: who owns what.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::fieldset::FieldSet;
use crate::object::{meta, meta_mut, set_meta};

/// Identity of an entry. An applier is the same one whatever version it applies in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Manager {
    /// `Apply` or `Update`.
    pub(crate) operation: &'static str,
    /// The `fieldManager` parameter, or the start of the user agent.
    pub(crate) name: String,
    /// Empty for appliers.
    pub(crate) api_version: String,
    /// `status`, or empty.
    pub(crate) subresource: String,
}

impl Manager {
    pub(crate) fn applier(name: &str, subresource: &str) -> Self {
        Self {
            operation: "Apply",
            name: name.to_owned(),
            api_version: String::new(),
            subresource: subresource.to_owned(),
        }
    }

    pub(crate) fn updater(name: &str, api_version: &str, subresource: &str) -> Self {
        Self {
            operation: "Update",
            name: name.to_owned(),
            api_version: api_version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }

    /// As conflicts name it.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            text = format!("{text} with subresource {:?}", self.subresource);
        }
        if self.operation == "Update" {
            text = format!("{text} using {}", self.api_version);
        }
        text
    }
}

/// One entry.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    set: Arc<FieldSet>,
    pub(crate) api_version: String,
    pub(crate) time: String,
    /// Its place in the object's list, as long as the set is as it is there.
    at: Option<usize>,
}

impl Owned {
    /// An entry that no object has yet.
    pub(crate) fn new(set: FieldSet, api_version: &str, time: String) -> Self {
        Self { set: Arc::new(set), api_version: api_version.to_owned(), time, at: None }
    }

    pub(crate) fn set(&self) -> &FieldSet {
        &self.set
    }

    /// Takes fields away; returns those that were there.
    pub(crate) fn lose(&mut self, fields: &FieldSet) -> FieldSet {
        let lost = self.set.intersection(fields);
        if !lost.is_empty() {
            self.set = Arc::new(self.set.difference(&lost));
            self.at = None;
        }
        lost
    }
}

/// All entries of an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owners {
    pub(crate) entries: BTreeMap<Manager, Owned>,
}

impl Owners {
    /// Reads an object's entries.
    pub(crate) fn of(object: &Value) -> Self {
        let mut entries = BTreeMap::new();
        let list = meta(object, "managedFields").and_then(Value::as_array);
        for (at, entry) in list.into_iter().flatten().enumerate() {
            let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
            let manager = if text("operation") == "Apply" {
                Manager::applier(text("manager"), text("subresource"))
            } else {
                Manager::updater(text("manager"), text("apiVersion"), text("subresource"))
            };
            let owned = Owned {
                set: Arc::new(entry.get("fieldsV1").map(FieldSet::from_json).unwrap_or_default()),
                api_version: text("apiVersion").to_owned(),
                time: text("time").to_owned(),
                at: Some(at),
            };
            entries.insert(manager, owned);
        }
        Self { entries }
    }

    /// Writes the entries into an object: appliers first, then by time and name. Entries whose set
    /// is as it was in the list that the object still has are taken from there.
    pub(crate) fn write(&mut self, object: &mut Value) {
        self.entries.retain(|_, owned| !owned.set.is_empty());
        let mut order: Vec<(&Manager, &mut Owned)> = self.entries.iter_mut().collect();
        order.sort_by(|(manager, owned), (other, theirs)| {
            let operation = manager.operation.cmp(other.operation);
            operation
                .then_with(|| owned.time.cmp(&theirs.time))
                .then_with(|| manager.name.cmp(&other.name))
                .then_with(|| owned.api_version.cmp(&theirs.api_version))
                .then_with(|| manager.subresource.cmp(&other.subresource))
        });
        let mut before = match meta_mut(object).remove("managedFields") {
            Some(Value::Array(list)) => list,
            _ => Vec::new(),
        };
        let mut list = Vec::with_capacity(order.len());
        for (at, (manager, owned)) in order.into_iter().enumerate() {
            let known = owned.at.and_then(|at| before.get_mut(at)).map(Value::take);
            let fields = known.and_then(|mut entry| entry.get_mut("fieldsV1").map(Value::take));
            let fields = fields.unwrap_or_else(|| owned.set.to_json());
            list.push(entry(manager, owned, fields));
            owned.at = Some(at);
        }
        if !list.is_empty() {
            set_meta(object, "managedFields", Value::Array(list));
        }
    }

    /// The same without times, to tell whether anything but time changed.
    pub(crate) fn timeless(&self) -> BTreeMap<&Manager, (&FieldSet, &str)> {
        let filled = self.entries.iter().filter(|(_, owned)| !owned.set.is_empty());
        filled.map(|(m, o)| (m, (&*o.set, o.api_version.as_str()))).collect()
    }
}

fn entry(manager: &Manager, owned: &Owned, fields: Value) -> Value {
    let mut entry = Map::new();
    entry.insert("manager".to_owned(), json!(manager.name));
    entry.insert("operation".to_owned(), json!(manager.operation));
    entry.insert("apiVersion".to_owned(), json!(owned.api_version));
    if !owned.time.is_empty() {
        entry.insert("time".to_owned(), json!(owned.time));
    }
    entry.insert("fieldsType".to_owned(), json!("FieldsV1"));
    entry.insert("fieldsV1".to_owned(), fields);
    if !manager.subresource.is_empty() {
        entry.insert("subresource".to_owned(), json!(manager.subresource));
    }
    Value::Object(entry)
}
