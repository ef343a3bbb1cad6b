//! How a value's fields merge: which lists are maps, which are sets, what is one indivisible thing.
//!
//! Server-side apply owns fields along a shape, strategic merge finds list items by its keys.
//! Source: the `x-kubernetes-list-type`, `-list-map-keys` and `-map-type` marks of the API.

mod builtin;
mod custom;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

pub(crate) use builtin::of as builtin;
pub(crate) use custom::of as custom;

/// The merge behaviour of one value.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// Owned and replaced as a whole.
    Atomic,
    /// Declared fields; one that is not listed here is a nested struct, a scalar or an atomic list.
    Struct(BTreeMap<String, Arc<Shape>>),
    /// Free keys, each a field of its own.
    Map(Arc<Shape>),
    /// No schema: maps are [`Shape::Map`], everything else is indivisible.
    Deduced,
    /// A list whose items are found by keys.
    ListMap {
        /// Names of the key fields.
        keys: Vec<String>,
        /// Values of key fields that an item leaves out.
        defaults: BTreeMap<String, Value>,
        /// Shape of an item.
        item: Arc<Shape>,
    },
    /// A list of scalars, each a field of its own.
    Set,
}

/// What a struct's unlisted field is.
static PLAIN: Shape = Shape::Struct(BTreeMap::new());
static DEDUCED: Shape = Shape::Deduced;

impl Shape {
    /// The shape of a field or map entry.
    pub(crate) fn field(&self, name: &str) -> &Shape {
        match self {
            Self::Struct(fields) => fields.get(name).map_or(&PLAIN, Arc::as_ref),
            Self::Map(item) => item,
            Self::Atomic | Self::Deduced | Self::ListMap { .. } | Self::Set => &DEDUCED,
        }
    }

    /// Whether `name` is a declared field, not a free key.
    pub(crate) fn declares(&self, _name: &str) -> bool {
        matches!(self, Self::Struct(_))
    }

    /// The shape of list items.
    pub(crate) fn item(&self) -> &Shape {
        match self {
            Self::ListMap { item, .. } => item,
            _ => &DEDUCED,
        }
    }

    /// Whether this value is merged field by field rather than replaced.
    pub(crate) fn is_granular_map(&self) -> bool {
        matches!(self, Self::Struct(_) | Self::Map(_) | Self::Deduced)
    }

    /// Whether lists of this shape are merged item by item.
    pub(crate) fn is_granular_list(&self) -> bool {
        matches!(self, Self::ListMap { .. } | Self::Set)
    }
}

/// A struct with the listed non-trivial fields.
pub(crate) fn structure<const N: usize>(fields: [(&str, Shape); N]) -> Shape {
    Shape::Struct(fields.into_iter().map(|(k, v)| (k.to_owned(), Arc::new(v))).collect())
}

/// A list of structs found by keys.
pub(crate) fn list_map(keys: &[&str], item: Shape) -> Shape {
    Shape::ListMap {
        keys: keys.iter().map(|k| (*k).to_owned()).collect(),
        defaults: BTreeMap::new(),
        item: Arc::new(item),
    }
}

/// `map[string]string`.
pub(crate) fn string_map() -> Shape {
    Shape::Map(Arc::new(Shape::Atomic))
}

/// `ObjectMeta`.
pub(crate) fn metadata() -> Shape {
    structure([
        ("labels", string_map()),
        ("annotations", string_map()),
        ("finalizers", Shape::Set),
        ("ownerReferences", list_map(&["uid"], Shape::Atomic)),
        ("managedFields", Shape::Atomic),
    ])
}
