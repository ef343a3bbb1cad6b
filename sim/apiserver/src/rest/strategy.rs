//! What the server itself decides about an object that is written: system fields, what an
//! endpoint may not touch, defaults, generation.

use serde_json::{Value, json};

use super::Call;
use super::options::FieldValidation;
use crate::apply::Reset;
use crate::controllers::CLAIM_PROTECTION;
use crate::defaults;
use crate::object::{keep_field, keep_meta, meta, meta_mut, set_meta, time};
use crate::registry;
use crate::resource::ResourceInfo;
use crate::status_error::ApiError;
use crate::types::{self, Problem, Type};

/// Kinds whose status endpoint exists but whose `spec` is not covered by `generation`.
const WITHOUT_GENERATION: [&str; 11] = [
    "ConfigMap",
    "Secret",
    "Event",
    "Lease",
    "Namespace",
    "Node",
    "PersistentVolumeClaim",
    "ServiceAccount",
    "Service",
    "StorageClass",
    "Role",
];

/// Fields that the endpoint of the request cannot set.
pub(super) fn reset(call: &Call<'_>) -> Reset {
    let info = &call.target.info;
    if call.target.subresource == "status" {
        if info.is_custom() { Reset::Spec } else { Reset::SpecAndLabels }
    } else if call.target.subresource.is_empty() && info.has_status {
        Reset::Status
    } else {
        Reset::Nothing
    }
}

fn counts_generations(info: &ResourceInfo) -> bool {
    info.is_custom()
        || !(WITHOUT_GENERATION.contains(&info.kind.as_str())
            || info.group == "rbac.authorization.k8s.io")
}

/// Drops what the type does not have; strict requests fail for it, others are warned, and an
/// apply of a built-in kind fails always.
pub(super) fn prune(
    call: &Call<'_>,
    value: &mut Value,
    validation: FieldValidation,
) -> Result<Vec<String>, ApiError> {
    let info = &call.target.info;
    let unknown = match (&info.schema, types::of(&info.kind)) {
        (Some(schema), _) => {
            let unknown = schema.prune(value);
            if let (Some(path), "apply") = (unknown.first(), call.verb) {
                return Err(untyped(call, &format!(".{path}: field not declared in schema")));
            }
            unknown
        }
        (None, Some(of)) => prune_built_in(call, value, of)?,
        (None, None) => Vec::new(),
    };
    let messages: Vec<String> =
        unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
    match validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(messages),
        FieldValidation::Strict if messages.is_empty() => Ok(messages),
        FieldValidation::Strict => Err(ApiError::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
            info.kind,
            info.version,
            info.kind,
            messages.join(", ")
        ))),
    }
}

/// An applied configuration that does not fit its type: a server error, oddly.
fn untyped(call: &Call<'_>, what: &str) -> ApiError {
    let info = &call.target.info;
    let slash = if info.group.is_empty() { "/" } else { "" };
    let message = format!(
        "failed to create typed patch object ({}/{}; {slash}{}, Kind={}): {what}",
        call.target.namespace,
        call.target.name,
        info.api_version(),
        info.kind
    );
    ApiError::new(500, "", message)
}

fn prune_built_in(call: &Call<'_>, value: &mut Value, of: &Type) -> Result<Vec<String>, ApiError> {
    let info = &call.target.info;
    let mut unknown = Vec::new();
    for problem in types::check(value, of) {
        if call.verb == "apply" {
            let what = match problem {
                Problem::Unknown(path) => format!(".{path}: field not declared in schema"),
                Problem::Mistyped(path, what) => format!(".{path}: {what}"),
            };
            return Err(untyped(call, &what));
        }
        match problem {
            Problem::Unknown(path) => unknown.push(path),
            Problem::Mistyped(path, what) => {
                return Err(ApiError::bad_request(format!(
                    "{} in version {:?} cannot be handled as a {}: {path}: {what}",
                    info.kind, info.version, info.kind
                )));
            }
        }
    }
    if !unknown.is_empty() {
        types::drop_unknown(value, of);
    }
    Ok(unknown)
}

/// Defaults and canonical forms.
pub(super) fn complete(call: &Call<'_>, value: &mut Value) {
    let info = &call.target.info;
    match (&info.schema, types::of(&info.kind)) {
        (Some(schema), _) => {
            schema.default(value);
            types::drop_empty_metadata(value);
        }
        (None, of) => {
            if let Some(of) = of {
                types::drop_empty(value, of);
            }
            defaults::complete(&info.kind, value);
        }
    }
}

/// Makes a new object of what the client sent.
pub(super) fn prepare_create(call: &mut Call<'_>, value: &mut Value) {
    let now = time(call.cluster.now_ms);
    let uid = call.cluster.store.new_uid();
    let info = &call.target.info;
    let metadata = meta_mut(value);
    for field in [
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "generation",
    ] {
        metadata.remove(field);
    }
    metadata.insert("uid".to_owned(), json!(uid));
    metadata.insert("creationTimestamp".to_owned(), json!(now));
    if counts_generations(info) {
        metadata.insert("generation".to_owned(), json!(1));
    }
    if info.has_status
        && let Some(object) = value.as_object_mut()
    {
        object.remove("status");
    }
    defaults::on_create(&call.target.info.kind, value);
    if call.target.info.kind == "PersistentVolumeClaim" && call.cluster.options.controllers {
        protect(value);
    }
    if call.target.info.kind == "CustomResourceDefinition" {
        registry::accept_crd(value, &now);
    }
}

/// A claim is not gone before the pods that use it; a controller takes the finalizer away.
fn protect(claim: &mut Value) {
    let mut kept: Vec<Value> =
        meta(claim, "finalizers").and_then(Value::as_array).cloned().unwrap_or_default();
    if !kept.iter().any(|f| f == CLAIM_PROTECTION) {
        kept.push(json!(CLAIM_PROTECTION));
    }
    meta_mut(claim).insert("finalizers".to_owned(), json!(kept));
}

/// Carries over what the endpoint of an update does not let the client change.
pub(super) fn prepare_update(call: &Call<'_>, value: &mut Value, old: &Value) {
    let info = &call.target.info;
    for field in
        ["creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"]
    {
        keep_meta(value, old, field);
    }
    meta_mut(value).remove("selfLink");
    for field in ["uid", "namespace", "name"] {
        if meta(value, field).and_then(Value::as_str).unwrap_or_default().is_empty() {
            keep_meta(value, old, field);
        }
    }
    match call.target.subresource.as_str() {
        "status" if info.is_custom() => keep_all_but_status(value, old),
        "status" => keep_all_but_status_and_notes(value, old),
        "finalize" => finalize(value, old),
        _ if info.has_status => {
            keep_field(value, old, "status");
            if info.kind == "Namespace" {
                keep_field(value, old, "spec");
            }
        }
        _ => {}
    }
    // What was sent is complete, and so is what is kept as it is stored; but not the two together.
    if call.target.subresource == "finalize" {
        complete(call, value);
    }
    defaults::on_update(&info.kind, value, old);
    if info.kind == "CustomResourceDefinition" && call.target.subresource.is_empty() {
        registry::accept_crd(value, &time(call.cluster.now_ms));
    }
    if counts_generations(info)
        && call.target.subresource != "status"
        && spec_changed(info, value, old)
    {
        let generation = meta(old, "generation").and_then(Value::as_u64).unwrap_or(0);
        set_meta(value, "generation", json!(generation + 1));
    }
}

/// The finalize endpoint of namespaces changes nothing but `spec.finalizers`.
fn finalize(value: &mut Value, old: &Value) {
    let spec = value.get("spec").cloned();
    let rv = meta(value, "resourceVersion").cloned();
    *value = old.clone();
    if let (Some(spec), Some(object)) = (spec, value.as_object_mut()) {
        object.insert("spec".to_owned(), spec);
    }
    if let Some(rv) = rv {
        set_meta(value, "resourceVersion", rv);
    }
}

/// Of a custom resource, the status endpoint changes nothing but `status`.
fn keep_all_but_status(value: &mut Value, old: &Value) {
    let status = value.get("status").cloned();
    let managed = meta(value, "managedFields").cloned();
    let rv = meta(value, "resourceVersion").cloned();
    *value = old.clone();
    // Not the uid: the real server takes a status meant for another incarnation, unless the
    // resourceVersion refuses it.
    for (field, kept) in [("managedFields", managed), ("resourceVersion", rv)] {
        if let Some(kept) = kept {
            set_meta(value, field, kept);
        }
    }
    let Some(object) = value.as_object_mut() else { return };
    match status {
        Some(status) => {
            object.insert("status".to_owned(), status);
        }
        None => {
            object.remove("status");
        }
    }
}

/// Of a built-in object it changes annotations as well, but neither spec nor labels.
fn keep_all_but_status_and_notes(value: &mut Value, old: &Value) {
    let fields: Vec<String> = old
        .as_object()
        .into_iter()
        .flat_map(|o| o.keys().cloned())
        .filter(|f| !matches!(f.as_str(), "metadata" | "status"))
        .collect();
    for field in fields {
        keep_field(value, old, &field);
    }
    keep_meta(value, old, "labels");
}

/// Whether a change is one that `generation` counts.
fn spec_changed(info: &ResourceInfo, new: &Value, old: &Value) -> bool {
    if info.is_custom() && !info.has_status {
        return without(new, &["metadata"]) != without(old, &["metadata"]);
    }
    if info.is_custom() {
        let fields = ["metadata", "status"];
        return without(new, &fields) != without(old, &fields);
    }
    let annotations_count = info.kind == "Deployment";
    new.get("spec") != old.get("spec")
        || (annotations_count && meta(new, "annotations") != meta(old, "annotations"))
}

fn without(value: &Value, fields: &[&str]) -> Value {
    let mut value = value.clone();
    if let Some(object) = value.as_object_mut() {
        for field in fields {
            object.remove(*field);
        }
    }
    value
}
