//! A server and short ways to talk to it.

use std::cell::Cell;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::{Method, Request, Response};
use rynxs_apiserver::{ApiServer, Body, Options, User};
use serde_json::{Value, json};

/// The operator's user in tests.
pub(crate) const OPERATOR: &str = "system:serviceaccount:rynxs:rynxs";

pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
    pub(crate) headers: http::HeaderMap,
}

impl Answer {
    /// A text in the body, empty if there is none.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn rv(&self) -> u64 {
        self.text("/metadata/resourceVersion").parse().expect("objects have a resourceVersion")
    }

    pub(crate) fn uid(&self) -> String {
        self.text("/metadata/uid").to_owned()
    }

    /// Asserts the code and goes on.
    #[track_caller]
    pub(crate) fn expect(self, code: u16) -> Self {
        assert_eq!(self.code, code, "{}", self.body);
        self
    }

    /// Asserts code, reason and a part of the message.
    #[track_caller]
    pub(crate) fn refused(self, code: u16, reason: &str, message: &str) -> Self {
        assert_eq!((self.code, self.text("/reason")), (code, reason), "{}", self.body);
        assert!(self.text("/message").contains(message), "{}", self.body);
        assert_eq!(self.body["kind"], "Status");
        assert_eq!(self.body["code"], code);
        self
    }
}

/// A server whose clock the test turns.
pub(crate) struct World {
    pub(crate) server: ApiServer,
    now_ms: Cell<u64>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Options { controllers: false, ..Options::default() })
    }

    pub(crate) fn with(mut options: Options) -> Self {
        let now_ms = Cell::new(options.start_ms);
        options.tokens.insert("operator".to_owned(), User::new(OPERATOR));
        options.tokens.insert("person".to_owned(), User::new("person"));
        Self { server: ApiServer::new(options), now_ms }
    }

    /// The same cluster through another of its servers.
    pub(crate) fn behind(&self, server: ApiServer) -> Self {
        Self { server, now_ms: self.now_ms.clone() }
    }

    /// Lets time pass; nothing but requests happens.
    pub(crate) fn wait(&self, ms: u64) {
        self.now_ms.set(self.now_ms.get() + ms);
    }

    /// Lets time pass and the server notice: controllers and collectors run.
    pub(crate) fn pass(&self, ms: u64) {
        self.wait(ms);
        let _ = self.server.tick(self.now_ms.get());
    }

    pub(crate) fn raw(&self, request: Request<Bytes>) -> Response<Body> {
        self.server.handle(self.now_ms.get(), request)
    }

    pub(crate) fn request(
        &self,
        token: &str,
        method: Method,
        path: &str,
        media: &str,
        body: Option<Value>,
    ) -> Answer {
        let bytes = body.map_or_else(Bytes::new, |b| Bytes::from(b.to_string()));
        let mut builder = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            builder = builder.header("authorization", format!("Bearer {token}"));
        }
        if !media.is_empty() {
            builder = builder.header("content-type", media);
        }
        let response = self.raw(builder.body(bytes).expect("a valid request"));
        let (parts, body) = response.into_parts();
        let Body::Full(bytes) = body else { panic!("{path} answered with a watch") };
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        Answer { code: parts.status.as_u16(), body, headers: parts.headers }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.request("", Method::GET, path, "", None)
    }

    pub(crate) fn post(&self, path: &str, body: Value) -> Answer {
        self.request("", Method::POST, path, "application/json", Some(body))
    }

    pub(crate) fn put(&self, path: &str, body: Value) -> Answer {
        self.request("", Method::PUT, path, "application/json", Some(body))
    }

    pub(crate) fn merge(&self, path: &str, body: Value) -> Answer {
        self.request("", Method::PATCH, path, MERGE, Some(body))
    }

    pub(crate) fn delete(&self, path: &str, body: Option<Value>) -> Answer {
        self.request("", Method::DELETE, path, "application/json", body)
    }

    /// Server-side apply, forced, as the given field manager.
    pub(crate) fn apply(&self, manager: &str, path: &str, body: Value) -> Answer {
        let path = format!("{path}?fieldManager={manager}&force=true");
        self.request("", Method::PATCH, &path, APPLY, Some(body))
    }

    /// Server-side apply without force.
    pub(crate) fn apply_politely(&self, manager: &str, path: &str, body: Value) -> Answer {
        let path = format!("{path}?fieldManager={manager}");
        self.request("", Method::PATCH, &path, APPLY, Some(body))
    }

    /// Opens a watch.
    pub(crate) fn watch(&self, path: &str) -> Watch {
        let request = Request::builder().uri(path).body(Bytes::new()).expect("a valid request");
        match self.raw(request).into_body() {
            Body::Watch(stream) => Watch { stream },
            Body::Full(bytes) => panic!("{path}: {}", String::from_utf8_lossy(&bytes)),
        }
    }
}

/// An open watch.
pub(crate) struct Watch {
    stream: BoxStream<'static, Bytes>,
}

impl Watch {
    /// What has arrived, without waiting; `None` at the end marks that the stream ended.
    pub(crate) fn drain(&mut self) -> Vec<Option<Value>> {
        let waker = futures::task::noop_waker();
        let mut context = std::task::Context::from_waker(&waker);
        let mut events = Vec::new();
        loop {
            match self.stream.poll_next_unpin(&mut context) {
                std::task::Poll::Pending => return events,
                std::task::Poll::Ready(None) => {
                    events.push(None);
                    return events;
                }
                std::task::Poll::Ready(Some(bytes)) => {
                    assert_eq!(bytes.last(), Some(&b'\n'), "one event per item");
                    let event = serde_json::from_slice(&bytes).expect("events are JSON");
                    events.push(Some(event));
                }
            }
        }
    }

    /// Polls once, expecting nothing yet.
    pub(crate) fn poll_with(&mut self, waker: &std::task::Waker) {
        let mut context = std::task::Context::from_waker(waker);
        assert!(self.stream.poll_next_unpin(&mut context).is_pending());
    }

    /// `TYPE name` of what has arrived.
    pub(crate) fn names(&mut self) -> Vec<String> {
        self.drain()
            .into_iter()
            .map(|event| match event {
                None => "end".to_owned(),
                Some(event) => format!(
                    "{} {}",
                    event["type"].as_str().unwrap_or_default(),
                    event["object"]["metadata"]["name"].as_str().unwrap_or_default()
                ),
            })
            .collect()
    }
}

/// A ConfigMap.
pub(crate) fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// Path of ConfigMaps in namespace `default`.
pub(crate) const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
