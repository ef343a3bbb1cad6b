//! Shapes of custom resources, from their OpenAPI schemas.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Shape, metadata};

/// The shape that `spec.versions[i].schema.openAPIV3Schema` describes.
pub(crate) fn of(schema: Option<&Value>) -> Shape {
    let mut fields = match schema.map(convert) {
        Some(Shape::Struct(fields)) => fields,
        _ => BTreeMap::new(),
    };
    fields.insert("metadata".to_owned(), Arc::new(metadata()));
    Shape::Struct(fields)
}

fn convert(schema: &Value) -> Shape {
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => convert_object(schema),
        Some("array") => convert_array(schema),
        Some(_) => Shape::Atomic,
        None if schema.get("x-kubernetes-int-or-string").is_some() => Shape::Atomic,
        None => Shape::Deduced,
    }
}

fn convert_object(schema: &Value) -> Shape {
    if schema.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic") {
        return Shape::Atomic;
    }
    if schema.get("x-kubernetes-embedded-resource") == Some(&Value::Bool(true)) {
        return Shape::Deduced;
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let fields = properties.iter().map(|(k, v)| (k.clone(), Arc::new(convert(v)))).collect();
        return Shape::Struct(fields);
    }
    match schema.get("additionalProperties") {
        Some(Value::Object(item)) => Shape::Map(Arc::new(convert(&Value::Object(item.clone())))),
        _ => Shape::Deduced,
    }
}

fn convert_array(schema: &Value) -> Shape {
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => Shape::Set,
        Some("map") => {
            let item = schema.get("items").unwrap_or(&Value::Null);
            let keys: Vec<String> = schema
                .get("x-kubernetes-list-map-keys")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|k| k.as_str().map(str::to_owned))
                .collect();
            let defaults = keys
                .iter()
                .filter_map(|k| {
                    let value = item.get("properties")?.get(k)?.get("default")?;
                    Some((k.clone(), value.clone()))
                })
                .collect();
            Shape::ListMap { keys, defaults, item: Arc::new(convert(item)) }
        }
        _ => Shape::Atomic,
    }
}
