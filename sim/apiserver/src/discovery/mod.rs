//! What the server says of itself: version, health, groups, resources, OpenAPI.
//!
//! `kubectl` finds by it which resources exist, that the server checks unknown fields, and what
//! `explain` shows. Documents are made from the registry at every request: it is small.

mod groups;
mod openapi;
mod protobuf;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use serde_json::{Value, json};

use crate::registry::Registry;
use crate::status_error::json_response;

/// Answers a GET of a path that is no resource, if this module knows it.
pub(crate) fn answer(
    registry: &Registry,
    path: &str,
    headers: &HeaderMap,
) -> Option<Response<Bytes>> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let aggregated = groups::wants_aggregated(headers);
    match parts.as_slice() {
        ["version"] => Some(json_response(200, &version())),
        ["healthz" | "livez" | "readyz", ..] => Some(text("ok", "text/plain; charset=utf-8")),
        ["api"] if aggregated => Some(groups::aggregated(registry, true)),
        ["apis"] if aggregated => Some(groups::aggregated(registry, false)),
        ["api"] => Some(json_response(200, &groups::core_versions())),
        ["apis"] => Some(json_response(200, &groups::list(registry))),
        ["api", version] => found(groups::resources(registry, "", version)),
        ["apis", group] => found(groups::group(registry, group)),
        ["apis", group, version] => found(groups::resources(registry, group, version)),
        ["openapi", "v2"] => Some(openapi::v2(headers)),
        ["openapi", "v3"] => Some(json_response(200, &openapi::index(registry))),
        ["openapi", "v3", "api", version] => found(openapi::v3(registry, "", version)),
        ["openapi", "v3", "apis", group, version] => found(openapi::v3(registry, group, version)),
        _ => None,
    }
}

fn found(document: Option<Value>) -> Option<Response<Bytes>> {
    document.map(|document| json_response(200, &document))
}

/// An answer that is no JSON object of the API.
fn text(body: impl Into<Bytes>, media: &'static str) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// The version whose behaviour is modelled.
fn version() -> Value {
    json!({
        "major": "1",
        "minor": "34",
        "gitVersion": "v1.34.4+rynxs-model",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}

#[cfg(test)]
mod tests;
