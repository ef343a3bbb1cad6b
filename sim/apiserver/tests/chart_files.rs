//! What the chart and the examples contain is accepted by the server, and shown as it says.

use bytes::Bytes;
use http::{Method, Request};
use rynxs_apiserver::{ApiServer, Body, Options};
use serde_json::Value;

const FILES: [&str; 4] = [
    include_str!("../../../helm/rynxs/crds/agents.universe.ai.yaml"),
    include_str!("../../../helm/rynxs/crds/sessions.universe.ai.yaml"),
    include_str!("../../../helm/rynxs/files/admission-policies.yaml"),
    include_str!("../../../helm/rynxs/files/rbac.yaml"),
];

const EXAMPLES: [&str; 5] = [
    include_str!("../../../examples/agent-basic.yaml"),
    include_str!("../../../examples/agent-suspended.yaml"),
    include_str!("../../../examples/director.yaml"),
    include_str!("../../../examples/manager-team.yaml"),
    include_str!("../../../examples/session-deadline.yaml"),
];

fn server() -> ApiServer {
    let server = ApiServer::new(Options::default());
    for file in FILES {
        let yaml = file.replace("RELEASE_NAMESPACE", "rynxs").replace("SERVICE_ACCOUNT", "rynxs");
        server.load(&yaml).expect("the server accepts what the chart installs");
    }
    server
}

fn table(server: &ApiServer, path: &str) -> Value {
    let request = Request::builder()
        .method(Method::GET)
        .uri(path)
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Bytes::new())
        .expect("the request is well formed");
    match server.handle(0, request).into_body() {
        Body::Full(bytes) => serde_json::from_slice(&bytes).expect("answers are JSON"),
        Body::Watch(_) => panic!("nobody watches"),
    }
}

#[test]
fn the_server_accepts_the_chart_and_the_examples() {
    let server = server();
    for example in EXAMPLES {
        server.load(example).expect("the server accepts the examples");
    }
    for plural in ["agents", "sessions"] {
        let table = table(&server, &format!("/apis/universe.ai/v1alpha1/{plural}"));
        let columns = table["columnDefinitions"].as_array().expect("a list");
        assert!(columns.len() > 2, "{plural} has columns of its own");
        let rows = table["rows"].as_array().expect("a list");
        assert!(!rows.is_empty(), "the examples have {plural}");
        for row in rows {
            let cells = row["cells"].as_array().expect("a list");
            assert_eq!(cells.len(), columns.len());
        }
    }
}

#[test]
fn nothing_of_the_operators_rights_is_a_wildcard() {
    let rights = server().rights();
    assert!(!rights.is_empty());
    for right in rights {
        assert_eq!(right.uses, 0);
        let parts = [&right.group, &right.resource, &right.verb];
        assert!(parts.iter().all(|part| !part.contains('*')), "{right:?}");
        assert_ne!(right.resource, "secrets");
    }
}
