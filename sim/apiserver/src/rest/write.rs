//! POST, PUT, and the compare-and-swap that every change of an object goes through.
//!
//! Order of checks as in the real server (`registry/generic/registry/store.go`): resourceVersion,
//! then validation, then admission policies against the stored object, then the store.
//! The lock is held throughout, so policies compare with exactly what is replaced (I4).

use std::sync::Arc;

use serde_json::{Value, json};

use super::options::WriteOptions;
use super::reply::{Reply, Shown};
use super::{Call, STAMP, access, strategy};
use crate::admission::{AdmissionRequest, Denied};
use crate::apply::{Manager, Owners, Writer, track_update};
use crate::convert;
use crate::expiry;
use crate::gc;
use crate::object::{
    Object, annotation, finalizers, is_deleting, keep_field, meta, meta_mut, meta_str, set_meta,
    time,
};
use crate::registry;
use crate::resource::StorageKey;
use crate::status_error::{ApiError, Cause};
use crate::validate;

/// Kinds that a PUT to a free name creates.
const CREATED_BY_PUT: [&str; 7] =
    ["Lease", "Event", "Service", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];

/// Kinds that can only be replaced with a resourceVersion.
const NEEDS_VERSION: [&str; 3] =
    ["Lease", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"];

/// A body in stored form.
pub(super) fn parse_body(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let mut value: Value = match call.media.as_str() {
        "application/json" => serde_json::from_slice(&call.body).map_err(|e| e.to_string()),
        "application/yaml" => serde_yaml_ng::from_slice(&call.body).map_err(|e| e.to_string()),
        _ => return Err(ApiError::unsupported_media_type("application/json, application/yaml")),
    }
    .map_err(|message| {
        ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): {message}",
            call.target.info.kind
        ))
    })?;
    check_type(call, &mut value)?;
    call.stamp_sent = annotation(&value, STAMP).map(str::to_owned);
    convert::to_storage(&call.target.info, &mut value);
    Ok(value)
}

/// Fills in or checks `apiVersion`, `kind`, name and namespace of a body.
pub(super) fn check_type(call: &Call<'_>, value: &mut Value) -> Result<(), ApiError> {
    let info = &call.target.info;
    let Some(object) = value.as_object_mut() else {
        return Err(ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {})",
            info.kind
        )));
    };
    let (api_version, kind) = (info.api_version(), info.kind.clone());
    let text = |f: &str| object.get(f).and_then(Value::as_str).unwrap_or_default();
    if info.is_custom() {
        let body = String::from_utf8_lossy(&call.body);
        for (field, name) in [("kind", "Kind"), ("apiVersion", "apiVersion")] {
            if text(field).is_empty() {
                return Err(ApiError::bad_request(format!(
                    "the object provided is unrecognized (must be of type {kind}): Object '{name}' \
                     is missing in '{body}' ({body})"
                )));
            }
        }
    }
    if !text("apiVersion").is_empty() && text("apiVersion") != api_version {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({}) does not match the expected API version \
             ({api_version})",
            text("apiVersion"),
        )));
    }
    for (field, wanted) in [("apiVersion", &api_version), ("kind", &kind)] {
        match object.get(field).and_then(Value::as_str) {
            None | Some("") => {
                object.insert(field.to_owned(), json!(wanted));
            }
            Some(given) if given == wanted => {}
            Some(_) => {
                let given = object.get("kind").and_then(Value::as_str).unwrap_or_default();
                return Err(ApiError::bad_request(format!(
                    "{given} in version {:?} cannot be handled as a {kind}: unknown conversion",
                    info.version
                )));
            }
        }
    }
    let namespace = meta_str(value, "namespace");
    if !namespace.is_empty() && namespace != call.target.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if info.namespaced {
        set_meta(value, "namespace", json!(call.target.namespace));
    } else {
        meta_mut(value).remove("namespace");
    }
    Ok(())
}

/// Checks or fills in the name of a body sent to a named path.
pub(super) fn check_name(call: &Call<'_>, value: &mut Value) -> Result<(), ApiError> {
    let name = meta_str(value, "name");
    if !name.is_empty() && name != call.target.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.target.name
        )));
    }
    set_meta(value, "name", json!(call.target.name));
    Ok(())
}

/// POST to a collection.
pub(super) fn post(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let options = WriteOptions::of(call, "CreateOptions")?;
    if call.target.info.namespaced && call.target.namespace.is_empty() {
        return Err(ApiError::method_not_allowed());
    }
    let mut value = parse_body(call)?;
    let prefix = meta_str(&value, "generateName").to_owned();
    if meta_str(&value, "name").is_empty() && !prefix.is_empty() {
        let name = format!("{prefix}{}", call.cluster.store.new_suffix());
        set_meta(&mut value, "name", json!(name));
    }
    call.target.name = meta_str(&value, "name").to_owned();
    if meta(&value, "resourceVersion")
        .and_then(Value::as_str)
        .is_some_and(|v| !v.is_empty() && v != "0")
    {
        return Err(ApiError::new(
            500,
            "",
            "resourceVersion should not be set on objects to be created",
        ));
    }
    let warnings = strategy::prune(call, &mut value, options.field_validation)?;
    create(call, value, &options, warnings, None)
}

/// PUT of an object.
pub(super) fn put(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let options = WriteOptions::of(call, "UpdateOptions")?;
    let mut value = parse_body(call)?;
    check_name(call, &mut value)?;
    let info = Arc::clone(&call.target.info);
    let warnings = strategy::prune(call, &mut value, options.field_validation)?;
    let uid = meta_str(&value, "uid").to_owned();
    match call.cluster.store.get(&info.storage, &call.target.key()).map(Arc::clone) {
        Some(stored) => {
            if !uid.is_empty() && uid != stored.uid() {
                let why = format!(
                    "{}Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                    storage_error(call),
                    stored.uid()
                );
                return Err(ApiError::conflict(&info, &call.target.name, &why));
            }
            update(call, value, &stored, &options, warnings, None)
        }
        None if !CREATED_BY_PUT.contains(&info.kind.as_str()) => {
            Err(ApiError::not_found(&info, &call.target.name))
        }
        None if !uid.is_empty() => {
            let why = format!(
                "{}Precondition failed: UID in precondition: {uid}, UID in object meta: ",
                storage_error(call)
            );
            Err(ApiError::conflict(&info, &call.target.name, &why))
        }
        None => {
            access::authorize_create(call)?;
            create(call, value, &options, warnings, None)
        }
    }
}

/// How the storage layer introduces a failed precondition.
fn storage_error(call: &Call<'_>) -> String {
    let info = &call.target.info;
    let group = if info.is_custom() { format!("{}/", info.group) } else { String::new() };
    format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{group}{}/{}/{}, ResourceVersion: \
         0, AdditionalErrorMsg: ",
        info.plural, call.target.namespace, call.target.name
    )
}

/// 404 if the namespace does not exist, 403 if it is going away.
fn check_namespace(call: &Call<'_>) -> Result<(), ApiError> {
    let info = &call.target.info;
    if !info.namespaced {
        return Ok(());
    }
    let name = &call.target.namespace;
    let namespaces = StorageKey::new("", "namespaces");
    let Some(namespace) = call.cluster.store.get(&namespaces, &(String::new(), name.clone()))
    else {
        let error = ApiError::new(404, "NotFound", format!("namespaces {name:?} not found"));
        return Err(error.about("", "namespaces", name));
    };
    if is_deleting(&namespace.value) {
        let why = format!(
            "unable to create new content in namespace {name} because it is being terminated"
        );
        let cause = Cause::new(
            "NamespaceTerminating",
            "metadata.namespace",
            format!("namespace {name} is being terminated"),
        );
        return Err(ApiError::forbidden(info, &call.target.name, &why).with_causes(&[cause]));
    }
    Ok(())
}

/// Creates an object; `tracked` says whose its fields are, if its managedFields are already right.
pub(super) fn create(
    call: &mut Call<'_>,
    mut value: Value,
    options: &WriteOptions,
    warnings: Vec<String>,
    tracked: Option<Owners>,
) -> Result<Reply, ApiError> {
    let info = Arc::clone(&call.target.info);
    check_namespace(call)?;
    strategy::complete(call, &mut value);
    let owners = tracked.unwrap_or_else(|| {
        meta_mut(&mut value).remove("managedFields");
        track(call, None, &mut value, options)
    });
    strategy::prepare_create(call, &mut value);
    let causes = validate::create(&info, &value);
    if !causes.is_empty() {
        return Err(ApiError::invalid(&info, &call.target.name, &causes));
    }
    admit(call, "CREATE", Some(&value), None, &options.json, options.dry_run)?;
    let place = (info.storage.clone(), call.target.key());
    if call.cluster.store.get(&place.0, &place.1).is_some() {
        return Err(ApiError::already_exists(&info, &call.target.name));
    }
    if options.dry_run {
        return Ok(Reply { code: 201, shown: Shown::Loose(value), warnings });
    }
    let object = call.cluster.commit(&place, Some(value));
    object.remember(owners);
    after_commit(call.cluster, &place, &object, false);
    Ok(Reply { code: 201, shown: Shown::Stored(object), warnings })
}

/// Replaces a stored object; `tracked` says whose its fields are, if its managedFields are already
/// right.
pub(super) fn update(
    call: &mut Call<'_>,
    mut value: Value,
    stored: &Arc<Object>,
    options: &WriteOptions,
    warnings: Vec<String>,
    tracked: Option<Owners>,
) -> Result<Reply, ApiError> {
    let info = Arc::clone(&call.target.info);
    check_version(call, &value, stored)?;
    // An object stays stored in the version in which it was created.
    keep_field(&mut value, &stored.value, "apiVersion");
    meta_mut(&mut value).remove("resourceVersion");
    // Ownership looks at what was sent, before the endpoint's limits are applied to it.
    let owners = match tracked {
        Some(owners) => {
            strategy::complete(call, &mut value);
            owners
        }
        None => {
            crate::object::keep_meta(&mut value, &stored.value, "managedFields");
            strategy::complete(call, &mut value);
            track(call, Some(stored), &mut value, options)
        }
    };
    strategy::prepare_update(call, &mut value, &stored.value);
    let finalizes = call.target.subresource == "finalize";
    // That endpoint keeps whose the fields are as well.
    let owners = if finalizes { stored.owners().clone() } else { owners };
    set_meta(&mut value, "resourceVersion", json!(stored.rv.to_string()));
    let causes = validate::update(&info, &call.target.subresource, &value, &stored.value);
    if !causes.is_empty() {
        return Err(ApiError::invalid(&info, &call.target.name, &causes));
    }
    admit(call, "UPDATE", Some(&value), Some(&stored.value), &options.json, options.dry_run)?;
    if same_but_for_times(&value, &owners, stored) {
        return Ok(Reply { code: 200, shown: Shown::Stored(Arc::clone(stored)), warnings });
    }
    if options.dry_run {
        return Ok(Reply { code: 200, shown: Shown::Loose(value), warnings });
    }
    let place = (info.storage.clone(), call.target.key());
    let finished = is_deleting(&stored.value) && is_finalized(&info.kind, &value);
    if finished {
        let object = call.cluster.commit(&place, None);
        after_commit(call.cluster, &place, &object, true);
        return Ok(Reply { code: 200, shown: Shown::Loose(value), warnings });
    }
    let object = call.cluster.commit(&place, Some(value));
    object.remember(owners);
    after_commit(call.cluster, &place, &object, false);
    Ok(Reply { code: 200, shown: Shown::Stored(object), warnings })
}

/// Whether nothing keeps a deleted object any more.
fn is_finalized(kind: &str, value: &Value) -> bool {
    let spec = value.pointer("/spec/finalizers").and_then(Value::as_array);
    let kept_by_spec = kind == "Namespace" && spec.is_some_and(|list| !list.is_empty());
    finalizers(value).is_empty() && !kept_by_spec
}

fn check_version(call: &Call<'_>, value: &Value, stored: &Object) -> Result<(), ApiError> {
    let info = &call.target.info;
    let given = meta_str(value, "resourceVersion");
    let needed = info.is_custom() || NEEDS_VERSION.contains(&info.kind.as_str());
    if given.is_empty() || given == "0" {
        if needed && call.verb == "update" {
            let cause = Cause::invalid(
                "metadata.resourceVersion",
                &json!(0),
                "must be specified for an update",
            );
            // The storage layer knows the resource, not the kind.
            let causes = [cause];
            let name = &call.target.name;
            return Err(ApiError::invalid_kind(&info.group, &info.plural, name, &causes));
        }
        return Ok(());
    }
    if given.parse::<u64>() == Ok(stored.rv) {
        Ok(())
    } else {
        Err(ApiError::modified(info, &call.target.name))
    }
}

fn track(
    call: &Call<'_>,
    live: Option<&Object>,
    value: &mut Value,
    options: &WriteOptions,
) -> Owners {
    let info = &call.target.info;
    let api_version = info.api_version();
    let time = time(call.cluster.now_ms);
    let manager = Manager::updater(options.manager(call), &api_version, &call.target.subresource);
    let reset = strategy::reset(call);
    let writer = Writer { manager, api_version: &api_version, time: &time, reset };
    let is_new = live.is_none() && !info.is_custom();
    let empty = is_new.then(|| crate::defaults::empty(&info.kind));
    let live = live.map(|object| (&*object.value, object.owners()));
    track_update(live, empty.as_ref(), value, &info.shape, writer)
}

/// Whether an object would differ from the stored one at most in the times of managedFields.
fn same_but_for_times(new: &Value, owners: &Owners, stored: &Object) -> bool {
    let old = &stored.value;
    same_but_for(new, old, &["metadata"])
        && same_but_for(&new["metadata"], &old["metadata"], &["managedFields"])
        && owners.timeless() == stored.owners().timeless()
}

/// Whether two objects have the same fields, apart from these.
fn same_but_for(new: &Value, old: &Value, fields: &[&str]) -> bool {
    let (Some(new), Some(old)) = (new.as_object(), old.as_object()) else { return new == old };
    let counted = |(name, _): &(&String, &Value)| !fields.contains(&name.as_str());
    new.iter().filter(counted).eq(old.iter().filter(counted))
}

/// Asks the admission policies.
pub(super) fn admit(
    call: &Call<'_>,
    operation: &'static str,
    object: Option<&Value>,
    old: Option<&Value>,
    options: &Value,
    dry_run: bool,
) -> Result<(), ApiError> {
    if !call.cluster.options.policies {
        return Ok(());
    }
    let target = &call.target;
    let namespace = if target.info.kind == "Namespace" { &target.name } else { &target.namespace };
    let namespace_object = call
        .cluster
        .store
        .get(&StorageKey::new("", "namespaces"), &(String::new(), namespace.clone()));
    let request = AdmissionRequest {
        user: &call.user.name,
        groups: &call.user.groups,
        operation,
        resource: &target.info,
        subresource: &target.subresource,
        namespace: &target.namespace,
        namespace_object: namespace_object.map(|o| &*o.value),
        name: &target.name,
        dry_run,
        object,
        old,
        options,
    };
    call.cluster.policies.admit(&request).map_err(|denied| denied_error(call, &denied))
}

fn denied_error(call: &Call<'_>, denied: &Denied) -> ApiError {
    let text = denied.text();
    let mut error = ApiError::forbidden(&call.target.info, &call.target.name, &text)
        .with_causes(&[Cause::new("", "", text.clone())]);
    error.code = denied.code();
    error.reason = if error.code == 422 { "Invalid".to_owned() } else { denied.reason.clone() };
    error
}

/// What a stored change makes the server do.
pub(super) fn after_commit(
    cluster: &mut crate::server::Cluster,
    place: &crate::store::Place,
    object: &Arc<Object>,
    removed: bool,
) {
    match (place.0.group.as_str(), place.0.plural.as_str()) {
        ("admissionregistration.k8s.io", _) if cluster.options.policy_lag_ms > 0 => {
            let due_ms = cluster.now_ms.saturating_add(cluster.options.policy_lag_ms);
            cluster.policies_due_ms.get_or_insert(due_ms);
        }
        ("admissionregistration.k8s.io", _) => reload_policies(cluster),
        ("rbac.authorization.k8s.io", _) => reload_roles(cluster),
        ("apiextensions.k8s.io", _) => {
            let text =
                |path: &str| object.value.pointer(path).and_then(Value::as_str).unwrap_or_default();
            let storage = StorageKey::new(text("/spec/group"), text("/spec/names/plural"));
            let infos = if removed {
                Vec::new()
            } else {
                registry::crd_infos(&object.value).expect("validated before it was stored")
            };
            cluster.registry.define(&storage, infos);
        }
        _ => {}
    }
    if !removed {
        expiry::observe(cluster, place, object);
    }
    gc::observe(cluster, place, object, removed);
}

fn values(cluster: &crate::server::Cluster, group: &str, plural: &str) -> Vec<Value> {
    cluster.objects(group, plural).iter().map(|o| Value::clone(&o.value)).collect()
}

/// Puts the stored policies into force.
pub(crate) fn reload_policies(cluster: &mut crate::server::Cluster) {
    let group = "admissionregistration.k8s.io";
    let policies = values(cluster, group, "validatingadmissionpolicies");
    let bindings = values(cluster, group, "validatingadmissionpolicybindings");
    cluster.policies.reload(&policies, &bindings);
}

fn reload_roles(cluster: &mut crate::server::Cluster) {
    let group = "rbac.authorization.k8s.io";
    let all: Vec<Value> = ["roles", "clusterroles", "rolebindings", "clusterrolebindings"]
        .iter()
        .flat_map(|plural| values(cluster, group, plural))
        .collect();
    cluster.rbac.reload(&all);
}
