//! Counts the replicas' requests where they arrive: at the embedded servers.
//!
//! What people send is not counted: on the API server they have no token, on the store they have
//! keys of their own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Method, Request, header};
use serde::Serialize;
use tokio::sync::watch;

/// A kind of request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RequestKind {
    /// What is asked for: `leases`, `agents/status`, and `records` for the store.
    pub resource: String,
    /// The verb as the server's authorization names it: `get`, `list`, `watch`, `update` …
    pub verb: &'static str,
}

impl RequestKind {
    /// Whether somebody who has nothing to do sends it: renewals, and a watch that is begun again.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.resource == "leases" || self.verb == "watch"
    }
}

/// How many requests of each kind have arrived; clones are one tally.
#[derive(Clone)]
pub struct Tally {
    counts: Arc<Mutex<BTreeMap<RequestKind, u64>>>,
    busy: Arc<watch::Sender<u64>>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { counts: Arc::default(), busy: Arc::new(watch::Sender::new(0)) }
    }
}

impl Tally {
    pub(super) fn note(&self, kind: RequestKind) {
        let busy = !kind.is_idle();
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
        if busy {
            self.busy.send_modify(|count| *count += 1);
        }
    }

    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<RequestKind, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes with every request that somebody idle would not send.
    #[must_use]
    pub fn busy(&self) -> watch::Receiver<u64> {
        self.busy.subscribe()
    }
}

/// What was counted between two looks.
#[must_use]
pub fn more(
    before: &BTreeMap<RequestKind, u64>,
    after: &BTreeMap<RequestKind, u64>,
) -> BTreeMap<RequestKind, u64> {
    let mut more = BTreeMap::new();
    for (kind, count) in after {
        let count = count - before.get(kind).copied().unwrap_or(0);
        if count > 0 {
            more.insert(kind.clone(), count);
        }
    }
    more
}

/// A request to the API server by somebody with a token.
pub(super) fn to_api_server(request: &Request<Bytes>) -> Option<RequestKind> {
    request.headers().get(header::AUTHORIZATION)?;
    let path = request.uri().path();
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let group = if parts.first() == Some(&"apis") { 3 } else { 2 };
    parts.drain(..group.min(parts.len()));
    if parts.first() == Some(&"namespaces") && parts.len() > 2 {
        parts.drain(..2);
    }
    let resource = match parts[..] {
        [] => "discovery".to_owned(),
        [resource, _, subresource, ..] => format!("{resource}/{subresource}"),
        [resource, ..] => resource.to_owned(),
    };
    let named = parts.len() > 1;
    let watches = request
        .uri()
        .query()
        .unwrap_or_default()
        .split('&')
        .any(|part| matches!(part.split_once('='), Some(("watch", "1" | "true"))));
    let verb = match *request.method() {
        Method::GET if watches => "watch",
        Method::GET if named => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    };
    Some(RequestKind { resource, verb })
}

/// A request to the store, unless the keys are those of `reader`.
pub(super) fn to_store(request: &Request<Bytes>, reader: &str) -> Option<RequestKind> {
    let signed = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = signed.split_once("Credential=")?;
    if credential.split('/').next() == Some(reader) {
        return None;
    }
    let verb = match *request.method() {
        Method::GET if request.uri().query().unwrap_or_default().contains("list-type=") => "list",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "put",
        _ => "other",
    };
    Some(RequestKind { resource: "records".to_owned(), verb })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(method: Method, target: &str, authorization: &str) -> Request<Bytes> {
        Request::builder()
            .method(method)
            .uri(target)
            .header(header::AUTHORIZATION, authorization)
            .body(Bytes::new())
            .unwrap()
    }

    #[test]
    fn requests_are_named_as_roles_name_them() {
        let leases = "/apis/coordination.k8s.io/v1/namespaces/rynxs/leases";
        for (method, target, resource, verb) in [
            (Method::PUT, format!("{leases}/rynxs-leader"), "leases", "update"),
            (Method::GET, format!("{leases}/rynxs-leader"), "leases", "get"),
            (Method::GET, format!("{leases}?watch=true&x=1"), "leases", "watch"),
            (Method::GET, "/api/v1/configmaps?watch=1".to_owned(), "configmaps", "watch"),
            (Method::GET, "/api/v1/namespaces".to_owned(), "namespaces", "list"),
            (
                Method::PATCH,
                "/apis/universe.ai/v1alpha1/namespaces/demo/agents/a/status".to_owned(),
                "agents/status",
                "patch",
            ),
        ] {
            let found = to_api_server(&sent(method, &target, "Bearer x")).unwrap();
            assert_eq!((found.resource.as_str(), found.verb), (resource, verb), "{target}");
        }
    }

    #[test]
    fn people_are_not_counted() {
        let anybody = Request::builder().uri("/api/v1/configmaps").body(Bytes::new()).unwrap();
        assert_eq!(to_api_server(&anybody), None);
        let signed = |id: &str| {
            let by = format!("AWS4-HMAC-SHA256 Credential={id}/20260101/us-east-1/s3/aws4_request");
            to_store(&sent(Method::GET, "/rynxs-events/events/0000000001.json", &by), "reader")
        };
        assert_eq!(signed("reader"), None);
        assert_eq!(signed("demo").unwrap().verb, "get");
    }
}
