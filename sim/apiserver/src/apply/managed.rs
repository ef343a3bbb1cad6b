//! `metadata.managedFields`: who owns what.

use std::collections::BTreeMap;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) set: FieldSet,
    pub(crate) api_version: String,
    pub(crate) time: String,
}

/// All entries of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owners {
    pub(crate) entries: BTreeMap<Manager, Owned>,
}

impl Owners {
    /// Reads an object's entries.
    pub(crate) fn of(object: &Value) -> Self {
        let mut entries = BTreeMap::new();
        let list = meta(object, "managedFields").and_then(Value::as_array);
        for entry in list.into_iter().flatten() {
            let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
            let manager = if text("operation") == "Apply" {
                Manager::applier(text("manager"), text("subresource"))
            } else {
                Manager::updater(text("manager"), text("apiVersion"), text("subresource"))
            };
            let owned = Owned {
                set: entry.get("fieldsV1").map(FieldSet::from_json).unwrap_or_default(),
                api_version: text("apiVersion").to_owned(),
                time: text("time").to_owned(),
            };
            entries.insert(manager, owned);
        }
        Self { entries }
    }

    /// Writes the entries into an object: appliers first, then by time and name.
    pub(crate) fn write(&self, object: &mut Value) {
        let mut order: Vec<(&Manager, &Owned)> =
            self.entries.iter().filter(|(_, owned)| !owned.set.is_empty()).collect();
        order.sort_by_key(|(manager, owned)| {
            (
                manager.operation,
                &owned.time,
                &manager.name,
                &owned.api_version,
                &manager.subresource,
            )
        });
        let list: Vec<Value> = order.into_iter().map(|(m, o)| entry(m, o)).collect();
        if list.is_empty() {
            meta_mut(object).remove("managedFields");
        } else {
            set_meta(object, "managedFields", Value::Array(list));
        }
    }

    /// The same without times, to tell whether anything but time changed.
    pub(crate) fn timeless(&self) -> BTreeMap<&Manager, (&FieldSet, &str)> {
        let filled = self.entries.iter().filter(|(_, owned)| !owned.set.is_empty());
        filled.map(|(m, o)| (m, (&o.set, o.api_version.as_str()))).collect()
    }
}

fn entry(manager: &Manager, owned: &Owned) -> Value {
    let mut entry = Map::new();
    entry.insert("manager".to_owned(), json!(manager.name));
    entry.insert("operation".to_owned(), json!(manager.operation));
    entry.insert("apiVersion".to_owned(), json!(owned.api_version));
    if !owned.time.is_empty() {
        entry.insert("time".to_owned(), json!(owned.time));
    }
    entry.insert("fieldsType".to_owned(), json!("FieldsV1"));
    entry.insert("fieldsV1".to_owned(), owned.set.to_json());
    if !manager.subresource.is_empty() {
        entry.insert("subresource".to_owned(), json!(manager.subresource));
    }
    Value::Object(entry)
}
