//! The model and a real API server, to be asked the same questions.
//!
//! The real one is named by `RYNXS_KUBE_API`, an `http://` address that lets its caller act for
//! others, with the files of `helm/rynxs/files` applied for the service account `rynxs:rynxs`:
//! `kubectl proxy --port=8001` gives `RYNXS_KUBE_API=http://127.0.0.1:8001`. Where it is not set,
//! tests say that they are skipped.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "asks a real server, where there is one"
)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::Bytes;
use http::{Method, Request};
use rynxs_apiserver::{ApiServer, Body, Options, User};
use serde_json::Value;

const POLICIES: &str = include_str!("../../../../helm/rynxs/files/admission-policies.yaml");
const ROLES: &str = include_str!("../../../../helm/rynxs/files/rbac.yaml");

/// One request, as it goes to either server.
pub(crate) struct Sent {
    pub(crate) user: &'static str,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) media: &'static str,
    pub(crate) body: Value,
}

/// Something that answers.
pub(crate) trait Server {
    fn send(&mut self, sent: &Sent) -> (u16, Value);
}

/// The model, with the chart's policies and roles.
pub(crate) struct Model {
    server: ApiServer,
    tokens: BTreeMap<&'static str, String>,
}

/// Who is who in the tables.
pub(crate) const USERS: [(&str, &str); 4] = [
    ("operator", "system:serviceaccount:rynxs:rynxs"),
    ("person", "alice"),
    ("deployment-controller", "system:serviceaccount:kube-system:deployment-controller"),
    ("garbage-collector", "system:serviceaccount:kube-system:generic-garbage-collector"),
];

impl Model {
    pub(crate) fn new(policies: bool) -> Self {
        let mut options = Options { policies, ..Options::default() };
        let mut tokens = BTreeMap::new();
        for (_, name) in USERS {
            let mut user = User::new(name);
            if name == "alice" {
                user.groups.push("system:masters".to_owned());
            }
            options.tokens.insert(format!("token-{name}"), user);
            tokens.insert(name, format!("token-{name}"));
        }
        let server = ApiServer::new(options);
        for text in [POLICIES, ROLES] {
            let text =
                text.replace("RELEASE_NAMESPACE", "rynxs").replace("SERVICE_ACCOUNT", "rynxs");
            server.load(&text).expect("the files of the chart load");
        }
        Self { server, tokens }
    }
}

impl Server for Model {
    fn send(&mut self, sent: &Sent) -> (u16, Value) {
        let body = serde_json::to_vec(&sent.body).expect("a JSON value serialises");
        let request = Request::builder()
            .method(sent.method.clone())
            .uri(&sent.path)
            .header("authorization", format!("Bearer {}", self.tokens[sent.user]))
            .header("content-type", sent.media)
            .body(Bytes::from(body))
            .expect("the request is well formed");
        let response = self.server.handle(0, request);
        let code = response.status().as_u16();
        match response.into_body() {
            Body::Full(bytes) => (code, serde_json::from_slice(&bytes).expect("answers are JSON")),
            Body::Watch(_) => panic!("no case watches"),
        }
    }
}

/// The real one. HTTP/1.0, so that no answer comes in chunks.
pub(crate) struct Real {
    address: String,
}

impl Server for Real {
    fn send(&mut self, sent: &Sent) -> (u16, Value) {
        let body = sent.body.to_string();
        let mut stream = TcpStream::connect(&self.address).expect("RYNXS_KUBE_API listens");
        let groups =
            if sent.user == "alice" { "Impersonate-Group: system:masters\r\n" } else { "" };
        write!(
            stream,
            "{} {} HTTP/1.0\r\nHost: localhost\r\nImpersonate-User: {}\r\n{groups}\
             Content-Type: {}\r\nContent-Length: {}\r\n\r\n{body}",
            sent.method,
            sent.path,
            sent.user,
            sent.media,
            body.len()
        )
        .expect("the request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the answer arrives");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        let code = head.split(' ').nth(1).expect("a status line").parse().expect("a code");
        (code, serde_json::from_str(body).expect("answers are JSON"))
    }
}

impl Real {
    /// The server that the environment names; nothing, said aloud, if it names none.
    pub(crate) fn named() -> Option<Self> {
        let Ok(address) = std::env::var("RYNXS_KUBE_API") else {
            // Past the test harness, which keeps what a passing test prints.
            let told = "skipped: RYNXS_KUBE_API names no real API server\n";
            drop(std::io::stderr().write_all(told.as_bytes()));
            return None;
        };
        let address = address.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Some(Self { address })
    }
}
