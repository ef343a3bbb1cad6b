//! DELETE of one object and of collections.

use std::sync::Arc;

use serde_json::{Value, json};

use super::options::check_dry_run;
use super::reply::{Reply, Shown};
use super::{Call, write};
use crate::gc::{FOREGROUND, ORPHAN};
use crate::history::Write;
use crate::object::{Object, annotation, finalizers, is_deleting, meta, meta_mut, set_meta, time};
use crate::resource::StorageKey;
use crate::selector::Selector;
use crate::status_error::{ApiError, Cause};

/// Kinds whose deletion answers with the object.
const ANSWERED_WITH_OBJECT: [&str; 5] =
    ["Pod", "PersistentVolumeClaim", "Service", "ServiceAccount", "Node"];

/// `DeleteOptions`.
struct DeleteOptions {
    uid: Option<String>,
    resource_version: Option<String>,
    policy: Option<String>,
    dry_run: bool,
    json: Value,
}

fn options(call: &Call<'_>) -> Result<DeleteOptions, ApiError> {
    let mut body: Value = if call.body.is_empty() {
        let mut options = json!({});
        for name in ["propagationPolicy"] {
            if !call.query.get(name).is_empty() {
                options[name] = json!(call.query.get(name));
            }
        }
        if let Some(seconds) = call.query.number("gracePeriodSeconds")? {
            options["gracePeriodSeconds"] = json!(seconds);
        }
        if let Some(orphan) = call.query.flag_if_given("orphanDependents") {
            options["orphanDependents"] = json!(orphan);
        }
        if !call.query.all("dryRun").is_empty() {
            options["dryRun"] = json!(call.query.all("dryRun"));
        }
        options
    } else {
        match call.media.as_str() {
            "application/json" => serde_json::from_slice(&call.body).map_err(|e| e.to_string()),
            "application/yaml" => serde_yaml_ng::from_slice(&call.body).map_err(|e| e.to_string()),
            _ => {
                return Err(ApiError::unsupported_media_type("application/json, application/yaml"));
            }
        }
        .map_err(|e| ApiError::bad_request(format!("error decoding DeleteOptions: {e}")))?
    };
    if !body.is_object() {
        return Err(ApiError::bad_request("error decoding DeleteOptions: not an object"));
    }
    body["kind"] = json!("DeleteOptions");
    body["apiVersion"] = json!("meta.k8s.io/v1");
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let mut causes = Vec::new();
    let dry_run: Vec<String> = body
        .get("dryRun")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect();
    let dry_run = check_dry_run(&dry_run, &mut causes);
    let policy = policy(&body, &mut causes);
    if !causes.is_empty() {
        return Err(ApiError::invalid_kind("meta.k8s.io", "DeleteOptions", "", &causes));
    }
    Ok(DeleteOptions {
        uid: text("/preconditions/uid"),
        resource_version: text("/preconditions/resourceVersion"),
        policy,
        dry_run,
        json: body,
    })
}

fn policy(body: &Value, causes: &mut Vec<Cause>) -> Option<String> {
    let given = body.get("propagationPolicy").and_then(Value::as_str);
    let orphan = body.get("orphanDependents").and_then(Value::as_bool);
    match (given, orphan) {
        (Some(_), Some(_)) => {
            let detail = "orphanDependents and deletionPropagation cannot be both set";
            causes.push(Cause::invalid("propagationPolicy", &json!(given), detail));
            None
        }
        (Some(policy @ ("Background" | "Foreground" | "Orphan")), None) => Some(policy.to_owned()),
        (Some(other), None) => {
            causes.push(Cause::new(
                "FieldValueNotSupported",
                "propagationPolicy",
                format!(
                    "Unsupported value: {other:?}: supported values: \"Foreground\", \
                     \"Background\", \"Orphan\", \"nil\""
                ),
            ));
            None
        }
        (None, Some(true)) => Some("Orphan".to_owned()),
        (None, Some(false)) => Some("Background".to_owned()),
        (None, None) => None,
    }
}

/// 409 unless the preconditions hold.
fn check_preconditions(
    call: &Call<'_>,
    options: &DeleteOptions,
    stored: &Object,
) -> Result<(), ApiError> {
    let info = &call.target.info;
    let conflict = |why: String| {
        let message = format!(
            "Operation cannot be fulfilled on {} {:?}: {why}",
            info.qualified_kind(),
            stored.name()
        );
        let error = ApiError::new(409, "Conflict", message);
        Err(error.about(&info.group, &info.kind, stored.name()))
    };
    if let Some(uid) = &options.uid
        && uid != stored.uid()
    {
        return conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The \
                 object might have been deleted and then recreated",
            stored.uid()
        ));
    }
    if let Some(rv) = &options.resource_version
        && *rv != stored.rv.to_string()
    {
        return conflict(format!(
            "the ResourceVersion in the precondition ({rv}) does not match the ResourceVersion \
                 in record ({}). The object might have been modified",
            stored.rv
        ));
    }
    Ok(())
}

/// DELETE of one object.
pub(super) fn delete(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let options = options(call)?;
    let info = &call.target.info;
    match call.cluster.store.get(&info.storage, &call.target.key()).map(Arc::clone) {
        Some(stored) => delete_stored(call, &stored, &options),
        None => Err(ApiError::not_found(info, &call.target.name)),
    }
}

/// The finalizers that the request leaves on the object.
fn finalizers_after(call: &Call<'_>, stored: &Object, options: &DeleteOptions) -> Vec<String> {
    let present = finalizers(&stored.value);
    let mut kept: Vec<String> = present
        .iter()
        .filter(|f| **f != FOREGROUND && **f != ORPHAN)
        .map(|f| (*f).to_owned())
        .collect();
    // The API of Jobs orphans their pods unless told otherwise.
    let default = if call.target.info.kind == "Job" { "Orphan" } else { "Background" };
    let wanted = match options.policy.as_deref() {
        Some("Foreground") => Some(FOREGROUND),
        Some("Orphan") => Some(ORPHAN),
        Some(_) => None,
        None if present.contains(&FOREGROUND) => Some(FOREGROUND),
        None if present.contains(&ORPHAN) => Some(ORPHAN),
        None if default == "Orphan" => Some(ORPHAN),
        None => None,
    };
    kept.extend(wanted.map(str::to_owned));
    kept
}

fn delete_stored(
    call: &mut Call<'_>,
    stored: &Arc<Object>,
    options: &DeleteOptions,
) -> Result<Reply, ApiError> {
    check_preconditions(call, options, stored)?;
    write::admit(call, "DELETE", None, Some(&stored.value), &options.json, options.dry_run)?;
    let info = Arc::clone(&call.target.info);
    let kept = finalizers_after(call, stored, options);
    let mut warnings = Vec::new();
    if info.kind == "Job" && options.policy.is_none() {
        warnings.push(
            "child pods are preserved by default when jobs are deleted; set \
             propagationPolicy=Background to remove them or set propagationPolicy=Orphan to \
             suppress this warning"
                .to_owned(),
        );
    }
    let place = (info.storage.clone(), call.target.key());
    if kept.is_empty() && info.kind != "Namespace" {
        if options.dry_run {
            return Ok(answer(call, stored, warnings));
        }
        if info.kind == "CustomResourceDefinition" {
            remove_instances(call, stored);
        }
        let object = call.cluster.commit(&place, None);
        write::after_commit(call.cluster, &place, &object, true);
        return Ok(answer(call, &object, warnings));
    }
    let value = marked(call, stored, &kept);
    if options.dry_run {
        return Ok(Reply { code: 200, shown: Shown::Loose(value), warnings });
    }
    if value == *stored.value {
        return Ok(Reply { code: 200, shown: Shown::Stored(Arc::clone(stored)), warnings });
    }
    let object = call.cluster.commit(&place, Some(value));
    write::after_commit(call.cluster, &place, &object, false);
    Ok(Reply { code: 200, shown: Shown::Stored(object), warnings })
}

/// The object as it is while its finalizers run.
fn marked(call: &Call<'_>, stored: &Object, kept: &[String]) -> Value {
    let mut value = Value::clone(&stored.value);
    if kept.is_empty() {
        meta_mut(&mut value).remove("finalizers");
    } else if finalizers(&stored.value) != kept.iter().map(String::as_str).collect::<Vec<_>>() {
        set_meta(&mut value, "finalizers", json!(kept));
    }
    if !is_deleting(&value) {
        set_meta(&mut value, "deletionTimestamp", json!(time(call.cluster.now_ms)));
        if call.target.info.kind != "Namespace" {
            set_meta(&mut value, "deletionGracePeriodSeconds", json!(0));
        }
        if let Some(generation) = meta(&value, "generation").and_then(Value::as_u64) {
            set_meta(&mut value, "generation", json!(generation + 1));
        }
        if call.target.info.kind == "Namespace" {
            value["status"]["phase"] = json!("Terminating");
        }
    }
    value
}

/// `Status` Success, or the object for the kinds that answer so.
fn answer(call: &Call<'_>, object: &Arc<Object>, warnings: Vec<String>) -> Reply {
    let info = &call.target.info;
    if ANSWERED_WITH_OBJECT.contains(&info.kind.as_str()) {
        return Reply { code: 200, shown: Shown::Stored(Arc::clone(object)), warnings };
    }
    let mut details = json!({"name": object.name(), "kind": info.plural, "uid": object.uid()});
    if !info.group.is_empty() {
        details["group"] = json!(info.group);
    }
    let status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    });
    Reply { code: 200, shown: Shown::Plain(status), warnings }
}

/// With its definition go all objects of a custom resource.
fn remove_instances(call: &mut Call<'_>, crd: &Object) {
    let text = |path: &str| crd.value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let storage = StorageKey::new(text("/spec/group"), text("/spec/names/plural"));
    let keys: Vec<_> = call
        .cluster
        .store
        .collection(&storage)
        .map(|c| c.iter().map(|(k, _)| k.clone()).collect())
        .unwrap_or_default();
    for key in keys {
        let place = (storage.clone(), key);
        let object = call.cluster.commit(&place, None);
        write::after_commit(call.cluster, &place, &object, true);
    }
}

/// DELETE of a collection: each selected object is deleted on its own.
pub(super) fn delete_collection(
    call: &mut Call<'_>,
    selector: &Selector,
) -> Result<Reply, ApiError> {
    let options = options(call)?;
    let info = Arc::clone(&call.target.info);
    let namespace = call.target.namespace.clone();
    let selected: Vec<Arc<Object>> = call
        .cluster
        .objects(&info.storage.group, &info.storage.plural)
        .into_iter()
        .filter(|o| namespace.is_empty() || o.namespace() == namespace)
        .filter(|o| {
            let shown = crate::convert::from_storage(&info, &o.value);
            selector.matches(&info, &shown)
        })
        .collect();
    let mut items = Vec::new();
    for stored in selected {
        call.target.namespace = stored.namespace().to_owned();
        call.target.name = stored.name().to_owned();
        let result = delete_stored(call, &stored, &options);
        note_one(call, &stored, &result);
        result?;
        let mut item = crate::convert::from_storage(&info, &stored.value).into_owned();
        if let (false, Some(fields)) = (info.is_custom(), item.as_object_mut()) {
            fields.remove("apiVersion");
            fields.remove("kind");
        }
        items.push(item);
    }
    call.target.namespace = namespace;
    call.target.name = String::new();
    let list = json!({
        "apiVersion": info.api_version(),
        "kind": info.list_kind,
        "metadata": {"resourceVersion": call.cluster.store.rv().to_string()},
        "items": items,
    });
    Ok(Reply::ok(Shown::Plain(list)))
}

/// Each deletion of a collection is an attempt of its own.
fn note_one(call: &mut Call<'_>, stored: &Object, result: &Result<Reply, ApiError>) {
    let info = &call.target.info;
    let after = call.cluster.store.get(&info.storage, &call.target.key());
    let stamp = |o: &Object| annotation(&o.value, super::STAMP).map(str::to_owned);
    let write = Write {
        number: 0,
        at_ms: call.cluster.now_ms,
        rv: call.cluster.store.rv(),
        user: call.user.name.clone(),
        verb: "delete".to_owned(),
        subresource: String::new(),
        group: info.group.clone(),
        resource: info.plural.clone(),
        kind: info.kind.clone(),
        namespace: stored.namespace().to_owned(),
        name: stored.name().to_owned(),
        uid: stored.uid().to_owned(),
        stamp_before: stamp(stored),
        stamp: after.and_then(|o| stamp(o)),
        stamp_sent: None,
        status_code: result.as_ref().map_or_else(|e| e.code, |r| r.code),
        reason: result.as_ref().err().map(|e| e.reason.clone()).unwrap_or_default(),
        changed: after.is_none_or(|o| o.rv != stored.rv),
        removed: after.is_none(),
        object: after.map(|o| Arc::clone(&o.value)),
    };
    call.cluster.history.push(write);
}
