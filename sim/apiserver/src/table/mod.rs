//! Server-side printing: `Accept: application/json;as=Table`, what `kubectl get` shows.
//!
//! Columns of built-in kinds are those of a real server; columns of custom resources are what their
//! CRD says, read with the part of JSONPath that printer columns use.

mod age;
mod cells;
mod columns;
mod jsonpath;

use serde_json::{Value, json};

use crate::object::meta_str;
use crate::resource::ResourceInfo;
use columns::Column;

/// Renders one object, a list, or the object of a watch event as `meta.k8s.io/v1` Table.
///
/// `include_object` is the query parameter: `None`, `Metadata` (default) or `Object`.
pub(crate) fn render(
    info: &ResourceInfo,
    object_or_list: &Value,
    now_ms: u64,
    include_object: &str,
) -> Value {
    let columns = columns::of(info);
    let is_list = object_or_list["kind"] == info.list_kind.as_str();
    let objects: &[Value] = match object_or_list["items"].as_array() {
        Some(items) if is_list => items,
        _ => std::slice::from_ref(object_or_list),
    };
    let metadata = if is_list {
        object_or_list["metadata"].clone()
    } else {
        json!({"resourceVersion": meta_str(object_or_list, "resourceVersion")})
    };
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            json!({
                "cells": cells(info, &columns, object, now_ms),
                "object": shown(object, include_object),
            })
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns.iter().map(Column::definition).collect::<Vec<_>>(),
        "rows": rows,
    })
}

fn cells(info: &ResourceInfo, columns: &[Column], object: &Value, now_ms: u64) -> Vec<Value> {
    if info.is_custom() {
        return columns.iter().map(|column| cells::custom(column, object, now_ms)).collect();
    }
    let cells = cells::builtin(&info.kind, object, now_ms);
    debug_assert_eq!(cells.len(), columns.len(), "{}", info.kind);
    cells
}

fn shown(object: &Value, include_object: &str) -> Value {
    match include_object {
        "None" => Value::Null,
        "Object" => object.clone(),
        _ => json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": object["metadata"],
        }),
    }
}

#[cfg(test)]
mod tests;
