//! PATCH in its four media types.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::options::WriteOptions;
use super::reply::Reply;
use super::{Call, STAMP, access, strategy, write};
use crate::apply::{self, Manager, Owners, Writer};
use crate::convert;
use crate::object::{Object, annotation, meta, meta_mut, meta_str, time};
use crate::shape::Shape;
use crate::status_error::ApiError;

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// PATCH of an object.
pub(super) fn patch(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    if call.media == APPLY {
        call.verb = "apply";
        return apply(call);
    }
    let options = WriteOptions::of(call, "PatchOptions")?;
    let info = Arc::clone(&call.target.info);
    let stored = call.cluster.store.get(&info.storage, &call.target.key()).map(Arc::clone);
    let Some(stored) = stored else {
        supported(call)?;
        return Err(ApiError::not_found(&info, &call.target.name));
    };
    let mut patched = patched(call, &stored)?;
    write::check_type(call, &mut patched)?;
    write::check_name(call, &mut patched)?;
    convert::to_storage(&info, &mut patched);
    let warnings = strategy::prune(call, &mut patched, options.field_validation)?;
    call.stamp_sent = annotation(&patched, STAMP).map(str::to_owned);
    write::update(call, patched, &stored, &options, warnings, None)
}

fn supported(call: &Call<'_>) -> Result<(), ApiError> {
    match call.media.as_str() {
        JSON | MERGE => Ok(()),
        STRATEGIC if !call.target.info.is_custom() => Ok(()),
        _ if call.target.info.is_custom() => {
            Err(ApiError::unsupported_media_type(&[JSON, MERGE, APPLY].join(", ")))
        }
        _ => Err(ApiError::unsupported_media_type(&[JSON, MERGE, STRATEGIC, APPLY].join(", "))),
    }
}

fn patched(call: &Call<'_>, stored: &Object) -> Result<Value, ApiError> {
    supported(call)?;
    let malformed = |message: String| ApiError::bad_request(message);
    let info = &call.target.info;
    if call.media == JSON {
        let operations: json_patch::Patch = serde_json::from_slice(&call.body)
            .map_err(|e| malformed(format!("error decoding patch: {e}")))?;
        let mut result = convert::from_storage(info, &stored.value).into_owned();
        json_patch::patch(&mut result, &operations).map_err(|e| {
            let message =
                format!("the server rejected our request due to an error in our request: {e}");
            ApiError::new(422, "Invalid", message)
        })?;
        return Ok(result);
    }
    let change: Value = serde_json::from_slice(&call.body)
        .map_err(|e| malformed(format!("error decoding patch: {e}")))?;
    if !change.is_object() {
        return Err(malformed("error decoding patch: a merge patch is an object".to_owned()));
    }
    let stored = if call.target.subresource == "status" && is_status_alone(&change) {
        Cow::Owned(without_spec(&stored.value))
    } else {
        Cow::Borrowed(&*stored.value)
    };
    let current = convert::from_storage(info, &stored);
    if call.media == MERGE {
        let mut result = current.into_owned();
        json_patch::merge(&mut result, &change);
        Ok(result)
    } else {
        Ok(apply::strategic_patch(&current, &change, &info.shape))
    }
}

/// Whether a patch says nothing about the spec, nor about whose the fields are.
fn is_status_alone(change: &Value) -> bool {
    let mut fields = change.as_object().into_iter().flat_map(Map::keys);
    let only = fields.all(|name| name == "metadata" || name == "status");
    let metadata = change.get("metadata").and_then(Value::as_object);
    let plain = |name: &String| name != "managedFields" && !name.starts_with('$');
    only && metadata.is_none_or(|metadata| metadata.keys().all(plain))
}

/// What a status endpoint can be about. It keeps all else as it is stored, so nothing of that need
/// be copied and checked.
fn without_spec(stored: &Value) -> Value {
    let copy = |from: Option<&Value>, left_out: &str| -> Map<String, Value> {
        let fields = from.and_then(Value::as_object).into_iter().flatten();
        let fields = fields.filter(|(name, _)| *name != left_out && *name != "metadata");
        fields.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let mut left = copy(Some(stored), "spec");
    let metadata = copy(stored.get("metadata"), "managedFields");
    left.insert("metadata".to_owned(), Value::Object(metadata));
    Value::Object(left)
}

fn parse_config(call: &mut Call<'_>) -> Result<Value, ApiError> {
    // JSON is YAML, and most clients send it; it is read much faster as what it is.
    let mut config: Value = match serde_json::from_slice(&call.body) {
        Ok(config) => config,
        Err(_) => serde_yaml_ng::from_slice(&call.body)
            .map_err(|e| ApiError::bad_request(format!("error decoding YAML: {e}")))?,
    };
    if !config.is_object() {
        return Err(ApiError::bad_request("error decoding YAML: the body is no object"));
    }
    if meta(&config, "managedFields").and_then(Value::as_array).is_some_and(|f| !f.is_empty()) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    call.stamp_sent = annotation(&config, STAMP).map(str::to_owned);
    let text = |field: &str| config.get(field).and_then(Value::as_str).unwrap_or_default();
    let info = &call.target.info;
    if (text("apiVersion"), text("kind")) != (&info.api_version(), &info.kind) {
        let slash = if text("apiVersion").contains('/') { "" } else { "/" };
        return Err(ApiError::bad_request(format!(
            "invalid object type: {slash}{}, Kind={}",
            text("apiVersion"),
            text("kind")
        )));
    }
    write::check_type(call, &mut config)?;
    write::check_name(call, &mut config)?;
    drop_nulls(&mut config);
    convert::to_storage(&call.target.info, &mut config);
    Ok(config)
}

/// A null in a configuration says nothing.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Server-side apply.
fn apply(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let options = WriteOptions::of(call, "PatchOptions")?;
    let info = Arc::clone(&call.target.info);
    if info.namespaced && call.target.namespace.is_empty() {
        return Err(ApiError::method_not_allowed());
    }
    let mut config = parse_config(call)?;
    let stored = call.cluster.store.get(&info.storage, &call.target.key()).map(Arc::clone);
    if stored.is_none() && !call.target.subresource.is_empty() {
        return Err(ApiError::not_found(&info, &call.target.name));
    }
    let warnings = strategy::prune(call, &mut config, options.field_validation)?;
    match stored {
        Some(stored) => {
            let owners = stored.owners().clone();
            let (merged, owners) = merge(call, &stored.value, owners, &config, &options)?;
            if info.is_custom() {
                refuse_emptied(call, &merged)?;
            }
            let merged = with_system_fields(merged, &config, &stored);
            write::update(call, merged, &stored, &options, warnings, Some(owners))
        }
        None => {
            let uid = meta_str(&config, "uid");
            if !uid.is_empty() {
                let why = format!(
                    "uid mismatch: the provided object specified uid {uid}, and no existing object \
                     was found"
                );
                return Err(ApiError::conflict(&info, &call.target.name, &why));
            }
            access::authorize_create(call)?;
            let empty = json!({
                "apiVersion": config["apiVersion"],
                "kind": config["kind"],
                "metadata": {},
            });
            let owners = Owners::default();
            let (merged, owners) = merge(call, &empty, owners, &config, &options)?;
            write::create(call, merged, &options, warnings, Some(owners))
        }
    }
}

/// A container that somebody still owns, and whose last field an apply takes away, is left null;
/// a custom resource does not get past validation with it.
fn refuse_emptied(call: &Call<'_>, merged: &Value) -> Result<(), ApiError> {
    let info = &call.target.info;
    let Some((path, kind)) = emptied("", merged, &info.shape) else { return Ok(()) };
    let cause = format!("Invalid value: \"null\": {path} in body must be of type {kind}: \"null\"");
    let message =
        format!("{} {:?} is invalid: {path}: {cause}", info.qualified_kind(), call.target.name);
    let error = ApiError::new(422, "Invalid", message);
    Err(error.about(&info.group, &info.kind, &call.target.name))
}

/// The first null of a declared field, and what should be there.
fn emptied(path: &str, merged: &Value, shape: &Shape) -> Option<(String, &'static str)> {
    match merged {
        Value::Null if shape.is_granular_list() => Some((path.to_owned(), "array")),
        Value::Null => Some((path.to_owned(), "object")),
        Value::Object(fields) if shape.is_granular_map() => {
            // Within fields without a schema, null is a value.
            let mut declared = fields.iter().filter(|_| !matches!(shape, Shape::Deduced));
            declared.find_map(|(name, value)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                emptied(&path, value, shape.field(name))
            })
        }
        Value::Array(items) if shape.is_granular_list() => {
            let mut items = items.iter().enumerate();
            items.find_map(|(at, item)| emptied(&format!("{path}[{at}]"), item, shape.item()))
        }
        _ => None,
    }
}

fn merge(
    call: &Call<'_>,
    live: &Value,
    owners: Owners,
    config: &Value,
    options: &WriteOptions,
) -> Result<(Value, Owners), ApiError> {
    let info = &call.target.info;
    let api_version = info.api_version();
    let time = time(call.cluster.now_ms);
    let writer = Writer {
        manager: Manager::applier(&options.field_manager, &call.target.subresource),
        api_version: &api_version,
        time: &time,
        reset: strategy::reset(call),
    };
    apply::apply(live, owners, config, &info.shape, writer, options.force.unwrap_or(false))
}

/// The resourceVersion to compare with is the configuration's, or none.
fn with_system_fields(mut merged: Value, config: &Value, stored: &Object) -> Value {
    match meta(config, "resourceVersion") {
        Some(given) => {
            meta_mut(&mut merged).insert("resourceVersion".to_owned(), given.clone());
        }
        None => {
            let rv = json!(stored.rv.to_string());
            meta_mut(&mut merged).insert("resourceVersion".to_owned(), rv);
        }
    }
    merged
}
