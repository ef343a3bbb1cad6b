//! The committed CRDs and the rendered manifests in the API server's model.

mod crds;
mod manifests;

use bytes::Bytes;
use http::{Request, StatusCode};
use rynxs_apiserver::{ApiServer, Body, Options};
use rynxs_tests::root;
use serde_json::Value;

/// The model's time.
const NOW_MS: u64 = 1_767_225_600_000;

/// A server that knows the committed CRDs.
fn server() -> ApiServer {
    let server = ApiServer::new(Options::default());
    for name in ["agents", "sessions"] {
        let path = root().join(format!("helm/rynxs/crds/{name}.universe.ai.yaml"));
        let text = std::fs::read_to_string(&path).expect("a committed CRD");
        server.load(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    server
}

fn call(server: &ApiServer, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(format!("{path}?fieldManager=test&force=true"))
        .header("content-type", "application/apply-patch+yaml")
        .body(Bytes::from(body.to_string()))
        .expect("a request");
    let response = server.handle(NOW_MS, request);
    let status = response.status();
    match response.into_body() {
        Body::Full(bytes) => (status, serde_json::from_slice(&bytes).expect("JSON")),
        Body::Watch(_) => panic!("not a watch"),
    }
}
