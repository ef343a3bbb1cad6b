//! OpenAPI documents: enough for `kubectl apply`, which looks up whether the server checks unknown
//! fields, and for `kubectl explain`, which shows a CRD's schema. Built-in kinds are described by
//! name only.

use bytes::Bytes;
use http::{HeaderMap, Response, header};
use serde_json::{Map, Value, json};

use super::protobuf;
use crate::registry::Registry;
use crate::resource::ResourceInfo;
use crate::status_error::json_response;

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// `/openapi/v3`: one document per group and version; the hash changes with the resources.
pub(super) fn index(registry: &Registry) -> Value {
    let mut paths = Map::new();
    for info in registry.iter() {
        let prefix = if info.group.is_empty() { "api" } else { "apis" };
        let path = format!("{prefix}/{}", info.api_version());
        let url = format!("/openapi/v3/{path}?hash={:016X}", registry.generation());
        paths.insert(path, json!({"serverRelativeURL": url}));
    }
    json!({"paths": paths})
}

/// `/openapi/v3/apis/GROUP/VERSION`.
pub(super) fn v3(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for info in registry.iter().filter(|info| info.group == group && info.version == version) {
        let name = schema_name(info);
        schemas.insert(name.clone(), schema(info));
        add_paths(&mut paths, info, &name);
    }
    if paths.is_empty() {
        return None;
    }
    schemas.insert(OBJECT_META.to_owned(), object_meta());
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.34.4"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

/// `org.example.v1.Thing` for `example.org/v1`, `io.k8s.api.apps.v1.Deployment` for built-in kinds.
fn schema_name(info: &ResourceInfo) -> String {
    if info.is_custom() {
        let mut parts: Vec<&str> = info.group.split('.').collect();
        parts.reverse();
        return format!("{}.{}.{}", parts.join("."), info.version, info.kind);
    }
    let group = info.group.split('.').next().filter(|g| !g.is_empty()).unwrap_or("core");
    format!("io.k8s.api.{group}.{}.{}", info.version, info.kind)
}

fn schema(info: &ResourceInfo) -> Value {
    let version = info.crd_version.as_deref().unwrap_or(&Value::Null);
    let mut schema = version
        .pointer("/schema/openAPIV3Schema")
        .cloned()
        .unwrap_or_else(|| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    let properties = &mut schema["properties"];
    for (name, help) in [
        ("apiVersion", "APIVersion defines the versioned schema of this representation."),
        ("kind", "Kind is the REST resource that this object represents."),
    ] {
        properties[name] = json!({"type": "string", "description": help});
    }
    let reference = format!("#/components/schemas/{OBJECT_META}");
    properties["metadata"] =
        json!({"description": "Standard object's metadata.", "allOf": [{"$ref": reference}]});
    schema["x-kubernetes-group-version-kind"] =
        json!([{"group": info.group, "version": info.version, "kind": info.kind}]);
    schema
}

fn object_meta() -> Value {
    let text = |help: &str| json!({"type": "string", "description": help});
    let map = |help: &str| {
        let value = json!({"type": "string"});
        json!({"type": "object", "description": help, "additionalProperties": value})
    };
    json!({
        "type": "object",
        "description": "What every object has: its name, its labels, its owners.",
        "properties": {
            "annotations": map("Unstructured key value map."),
            "creationTimestamp": text("When the object was created."),
            "finalizers": {"type": "array", "items": {"type": "string"}},
            "generation": {"type": "integer", "format": "int64"},
            "labels": map("Map by which objects are organised and selected."),
            "name": text("Name must be unique within a namespace. Cannot be updated."),
            "namespace": text("Namespace within which the name must be unique."),
            "ownerReferences": {"type": "array", "items": {"type": "object"}},
            "resourceVersion": text("Opaque version of the object."),
            "uid": text("Identity of the object in time and space."),
        },
    })
}

fn add_paths(paths: &mut Map<String, Value>, info: &ResourceInfo, schema: &str) {
    let prefix = if info.group.is_empty() { "/api" } else { "/apis" };
    let scope = if info.namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("{prefix}/{}{scope}/{}", info.api_version(), info.plural);
    let operation = |action: &str, parameters: &[&str]| {
        let parameters: Vec<Value> = parameters
            .iter()
            .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}}))
            .collect();
        let content = json!({"application/json":
            {"schema": {"$ref": format!("#/components/schemas/{schema}")}}});
        json!({
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": content}},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind":
                {"group": info.group, "version": info.version, "kind": info.kind},
        })
    };
    let write = ["dryRun", "fieldManager", "fieldValidation"];
    let mut on_collection = Map::new();
    on_collection.insert("post".to_owned(), operation("post", &write));
    if info.verbs.contains(&"list") {
        on_collection.insert("get".to_owned(), operation("list", &["labelSelector", "limit"]));
        let on_one = json!({
            "get": operation("get", &[]),
            "put": operation("put", &write),
            "patch": operation("patch", &["dryRun", "fieldManager", "fieldValidation", "force"]),
            "delete": operation("delete", &["dryRun", "propagationPolicy"]),
        });
        paths.insert(format!("{collection}/{{name}}"), on_one);
    }
    paths.insert(collection, Value::Object(on_collection));
}

/// `/openapi/v2`: without definitions, so that clients leave the checking to the server.
pub(super) fn v2(headers: &HeaderMap) -> Response<Bytes> {
    let accepts = |media: &str| {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
        values.into_iter().any(|value| value.contains(media))
    };
    if accepts("proto-openapi") {
        return super::text(protobuf::empty_document("Kubernetes", "v1.34.4"), V2_PROTOBUF);
    }
    let document = json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.34.4"},
        "paths": {},
        "definitions": {},
    });
    json_response(200, &document)
}
