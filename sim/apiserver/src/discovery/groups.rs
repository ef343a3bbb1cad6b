//! Groups, versions and resources: as lists, and all at once (aggregated discovery).

use std::cmp::Reverse;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use serde_json::{Value, json};

use crate::registry::Registry;
use crate::resource::ResourceInfo;
use crate::status_error::json_response;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Whether the client asks for everything at once.
pub(super) fn wants_aggregated(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|media| {
        let has = |parameter: &str| media.split(';').any(|p| p.trim() == parameter);
        has("application/json") && has("as=APIGroupDiscoveryList") && has("v=v2")
    })
}

/// `/api`, but for where the server is: a model has no address.
pub(super) fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// Names of the groups, without the core group.
fn names(registry: &Registry) -> Vec<&str> {
    let mut names: Vec<&str> = registry.iter().map(|info| info.group.as_str()).collect();
    names.dedup();
    names.retain(|name| !name.is_empty());
    names
}

/// Versions of a group, the preferred one first.
fn versions<'r>(registry: &'r Registry, group: &str) -> Vec<&'r str> {
    let of_group = registry.iter().filter(|info| info.group == group);
    let mut versions: Vec<&str> = of_group.map(|info| info.version.as_str()).collect();
    versions.sort_by_key(|version| priority(version));
    versions.dedup();
    versions
}

/// `v2` before `v1` before `v1beta2` before `v1alpha1` before anything else.
fn priority(version: &str) -> (u8, Reverse<u64>, Reverse<u64>, &str) {
    let number = |text: &str| text.parse::<u64>().ok();
    let Some(rest) = version.strip_prefix('v') else {
        return (3, Reverse(0), Reverse(0), version);
    };
    for (stage, word) in [(1, "beta"), (2, "alpha")] {
        if let Some((major, minor)) = rest.split_once(word)
            && let (Some(major), Some(minor)) = (number(major), number(minor))
        {
            return (stage, Reverse(major), Reverse(minor), version);
        }
    }
    match number(rest) {
        Some(major) => (0, Reverse(major), Reverse(0), version),
        None => (3, Reverse(0), Reverse(0), version),
    }
}

/// `/apis/GROUP`.
pub(super) fn group(registry: &Registry, name: &str) -> Option<Value> {
    let mut group = group_entry(registry, name)?;
    group["kind"] = json!("APIGroup");
    group["apiVersion"] = json!("v1");
    Some(group)
}

fn group_entry(registry: &Registry, name: &str) -> Option<Value> {
    let versions: Vec<Value> = versions(registry, name)
        .iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    let preferred = versions.first()?.clone();
    Some(json!({"name": name, "versions": versions, "preferredVersion": preferred}))
}

/// `/apis`.
pub(super) fn list(registry: &Registry) -> Value {
    let groups: Vec<Value> =
        names(registry).iter().filter_map(|name| group_entry(registry, name)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// Verbs that discovery lists; nobody deletes all namespaces at once.
fn verbs(info: &ResourceInfo) -> Vec<&'static str> {
    let collects = info.plural != "namespaces";
    info.verbs.iter().copied().filter(|verb| collects || *verb != "deletecollection").collect()
}

const STATUS_VERBS: [&str; 3] = ["get", "patch", "update"];

/// `/api/v1` and `/apis/GROUP/VERSION`.
pub(super) fn resources(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let mut resources = Vec::new();
    for info in registry.iter().filter(|info| info.group == group && info.version == version) {
        let mut entry = json!({
            "name": info.plural,
            "singularName": info.singular,
            "namespaced": info.namespaced,
            "kind": info.kind,
            "verbs": verbs(info),
        });
        add_names(&mut entry, info);
        resources.push(entry);
        if info.has_status {
            resources.push(json!({
                "name": format!("{}/status", info.plural),
                "singularName": "",
                "namespaced": info.namespaced,
                "kind": info.kind,
                "verbs": STATUS_VERBS,
            }));
        }
    }
    let group_version =
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    (!resources.is_empty()).then(|| {
        json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": group_version,
            "resources": resources,
        })
    })
}

fn add_names(entry: &mut Value, info: &ResourceInfo) {
    if !info.short_names.is_empty() {
        entry["shortNames"] = json!(info.short_names);
    }
    if !info.categories.is_empty() {
        entry["categories"] = json!(info.categories);
    }
}

/// `/api` or `/apis` with everything in it.
pub(super) fn aggregated(registry: &Registry, core: bool) -> Response<Bytes> {
    let names = if core { vec![""] } else { names(registry) };
    let items: Vec<Value> = names
        .iter()
        .map(|name| {
            let versions: Vec<Value> = versions(registry, name)
                .iter()
                .map(|version| aggregated_version(registry, name, version))
                .collect();
            let metadata = if core { json!({}) } else { json!({"name": name}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let document = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    });
    let mut response = json_response(200, &document);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(AGGREGATED));
    response
}

fn aggregated_version(registry: &Registry, group: &str, version: &str) -> Value {
    let mut resources = Vec::new();
    for info in registry.iter().filter(|info| info.group == group && info.version == version) {
        let kind = json!({"group": info.group, "version": info.version, "kind": info.kind});
        let mut entry = json!({
            "resource": info.plural,
            "responseKind": kind,
            "scope": if info.namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": info.singular,
            "verbs": verbs(info),
        });
        add_names(&mut entry, info);
        if info.has_status {
            entry["subresources"] =
                json!([{"subresource": "status", "responseKind": kind, "verbs": STATUS_VERBS}]);
        }
        resources.push(entry);
    }
    json!({"version": version, "resources": resources, "freshness": "Current"})
}
