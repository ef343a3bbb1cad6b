//! The requests about the Lease, and what their answers mean to the election.
//!
//! Reads name no `resourceVersion`, so they are consistent; replaces name uid and version, so they
//! land on exactly what was seen; a create is an apply that is refused if the name is taken. All
//! of them name the Lease, so a Role with `resourceNames` covers them.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube_core::params::{GetParams, ListParams, Patch, PatchParams, PostParams, WatchParams};
use kube_core::request::Request;
use rynxs_core::election::{Answer, LeaseView, LeaseWrite, Target};
use rynxs_core::ids::{Uid, WriterId};
use rynxs_core::names::FIELD_MANAGER;
use serde_json::{Map, Value, json};

use super::client::{Call, KubeClient};
use super::error::{Fault, KubeError};
use super::resource::LEASES;
use super::watch::{WATCH_TIMEOUT_S, WatchStream};

/// As for managed objects: creates when the name is free, refused when it is not.
const CREATE_ONLY: &str = "1";

/// One Lease, by name.
#[derive(Clone)]
pub struct Leases {
    kube: KubeClient,
    namespace: String,
    name: String,
}

/// What a consistent list showed.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseList {
    /// The Lease, if it exists.
    pub lease: Option<LeaseView>,
    /// The point in time of the list; a watch goes on from here.
    pub resource_version: String,
}

impl Leases {
    /// Requests about one Lease, each waiting at most for the client's time limit.
    #[must_use]
    pub fn new(kube: KubeClient, namespace: &str, name: &str) -> Self {
        Self { kube, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// How long the watch may be silent before its connection counts as dead: the server ends it
    /// before that.
    #[must_use]
    pub fn watch_patience(&self) -> Duration {
        Duration::from_secs(u64::from(WATCH_TIMEOUT_S)) + self.kube.timeout()
    }

    fn request(&self) -> Request {
        Request::new(LEASES.path(Some(&self.namespace)))
    }

    fn selector(&self) -> String {
        format!("metadata.name={}", self.name)
    }

    /// Reads the Lease, consistently.
    ///
    /// # Errors
    /// Any answer but the Lease; see [`answer`].
    pub async fn get(&self) -> Result<LeaseView, KubeError> {
        let request = self.request().get(&self.name, &GetParams::default());
        self.one(Call::new("get", LEASES.plural, request)?).await
    }

    /// Writes the Lease, once.
    ///
    /// # Errors
    /// Any answer but the Lease as it was stored; see [`answer`].
    pub async fn write(&self, write: &LeaseWrite) -> Result<LeaseView, KubeError> {
        let body = self.body(write);
        let (verb, request) = match write.target {
            Target::Replace { .. } => {
                let params =
                    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run: false };
                let body = body.to_string().into_bytes();
                ("update", self.request().replace(&self.name, &params, body))
            }
            Target::Create => {
                let params = PatchParams::apply(FIELD_MANAGER).force();
                ("patch", self.request().patch(&self.name, &params, &Patch::Apply(&body)))
            }
        };
        self.one(Call::new(verb, LEASES.plural, request)?).await
    }

    /// Lists this one Lease, consistently.
    ///
    /// # Errors
    /// The request failed or the answer is no list of Leases.
    pub async fn list(&self) -> Result<LeaseList, KubeError> {
        let params = ListParams { field_selector: Some(self.selector()), ..ListParams::default() };
        let call = Call::new("list", LEASES.plural, self.request().list(&params))?;
        let answer = self.kube.send(call, self.kube.timeout()).await?;
        let read = || -> Result<LeaseList, String> {
            let list: Value = answer.json().map_err(|error| error.to_string())?;
            let resource_version = text(&list, "/metadata/resourceVersion")
                .ok_or("a list without metadata.resourceVersion")?;
            let first = list.pointer("/items/0").cloned();
            Ok(LeaseList { lease: first.map(parse).transpose()?, resource_version })
        };
        read().map_err(|why| self.undecodable("list", why))
    }

    /// Watches this one Lease from a point in time on.
    ///
    /// # Errors
    /// The server did not begin to answer, or refused.
    pub async fn watch(&self, resource_version: &str) -> Result<WatchStream, KubeError> {
        let params = WatchParams::default().fields(&self.selector()).timeout(WATCH_TIMEOUT_S);
        let request = self.request().watch(&params, resource_version);
        self.kube.open_watch(Call::new("watch", LEASES.plural, request)?).await
    }

    async fn one(&self, call: Call) -> Result<LeaseView, KubeError> {
        let verb = call.verb;
        let answer = self.kube.send(call, self.kube.timeout()).await?;
        let lease = answer.json().map_err(|error| error.to_string()).and_then(parse);
        lease.map_err(|why| self.undecodable(verb, why))
    }

    fn undecodable(&self, verb: &'static str, why: String) -> KubeError {
        let target = format!("{}/{}", LEASES.path(Some(&self.namespace)), self.name);
        KubeError { verb, target, fault: Fault::Undecodable(why) }
    }

    fn body(&self, write: &LeaseWrite) -> Value {
        let mut metadata = match &write.target {
            Target::Create => {
                let mut metadata = Map::new();
                metadata.insert("resourceVersion".to_owned(), json!(CREATE_ONLY));
                metadata
            }
            Target::Replace { uid, resource_version, metadata } => {
                let mut metadata = metadata.clone();
                metadata.insert("uid".to_owned(), json!(uid.as_str()));
                metadata.insert("resourceVersion".to_owned(), json!(resource_version));
                metadata
            }
        };
        metadata.insert("name".to_owned(), json!(self.name));
        metadata.insert("namespace".to_owned(), json!(self.namespace));
        let spec = LeaseSpec {
            holder_identity: Some(write.holder.to_string()),
            lease_duration_seconds: i32::try_from(write.duration.as_secs()).ok(),
            acquire_time: time(write.acquire_us),
            renew_time: time(write.renew_us),
            lease_transitions: i32::try_from(write.transitions).ok(),
            preferred_holder: None,
            strategy: None,
        };
        json!({
            "apiVersion": LEASES.api_version(),
            "kind": LEASES.kind,
            "metadata": metadata,
            "spec": spec,
        })
    }
}

/// What the election makes of a failed request.
#[must_use]
pub fn answer(error: &KubeError) -> Answer {
    match &error.fault {
        Fault::NotSent(_) => Answer::NotSent,
        Fault::Timeout => Answer::Timeout,
        Fault::Connection(_) => Answer::Broken,
        Fault::Undecodable(_) | Fault::TooLarge { .. } => Answer::Undecodable,
        Fault::Refused(refusal) => match refusal.code {
            401 | 403 => Answer::Forbidden,
            404 => Answer::NotFound,
            409 => Answer::Conflict,
            429 => Answer::Throttled { retry_after: refusal.retry_after },
            _ if error.ambiguous() => Answer::ServerError,
            _ => Answer::Rejected,
        },
    }
}

/// Reads a Lease.
///
/// # Errors
/// What is missing or malformed.
pub fn parse(mut lease: Value) -> Result<LeaseView, String> {
    let uid = text(&lease, "/metadata/uid").ok_or("a Lease without metadata.uid")?;
    let resource_version = text(&lease, "/metadata/resourceVersion")
        .ok_or("a Lease without metadata.resourceVersion")?;
    let spec = match lease.get_mut("spec").map(Value::take) {
        None | Some(Value::Null) => LeaseSpec::default(),
        Some(spec) => serde_json::from_value(spec).map_err(|error| error.to_string())?,
    };
    let Some(Value::Object(mut metadata)) = lease.get_mut("metadata").map(Value::take) else {
        return Err("a Lease without metadata".to_owned());
    };
    // Bookkeeping of the server, which it does not take back.
    metadata.remove("managedFields");
    Ok(LeaseView {
        uid: Uid(uid),
        resource_version,
        holder: spec.holder_identity.map(WriterId),
        duration: seconds(spec.lease_duration_seconds),
        acquire_us: spec.acquire_time.as_ref().and_then(micros),
        renew_us: spec.renew_time.as_ref().and_then(micros),
        transitions: spec.lease_transitions.and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        preferred: spec.preferred_holder.filter(|holder| !holder.is_empty()),
        metadata,
    })
}

fn seconds(duration_s: Option<i32>) -> Duration {
    Duration::from_secs(duration_s.and_then(|s| u64::try_from(s).ok()).unwrap_or(0))
}

fn micros(time: &MicroTime) -> Option<u64> {
    u64::try_from(time.0.as_microsecond()).ok()
}

fn time(us: u64) -> Option<MicroTime> {
    let us = i64::try_from(us).ok()?;
    Timestamp::from_microsecond(us).ok().map(MicroTime)
}

fn text(value: &Value, path: &str) -> Option<String> {
    value.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use futures::future::BoxFuture;

    use super::*;
    use crate::fixtures;
    use crate::observe::Silent;
    use crate::ports::{Body, NetError, Network, Service};

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(future)
    }

    /// Answers every request with one prepared answer and keeps what was sent.
    struct Canned {
        answer: (u16, &'static str),
        sent: Arc<Mutex<Vec<http::Request<Bytes>>>>,
    }

    impl Network for Canned {
        fn send(
            &self,
            _: Service,
            request: http::Request<Bytes>,
        ) -> BoxFuture<'static, Result<http::Response<Body>, NetError>> {
            self.sent.lock().unwrap().push(request);
            let (code, body) = self.answer;
            let response = http::Response::builder()
                .status(code)
                .header("retry-after", "7")
                .body(Body::Full(Bytes::from_static(body.as_bytes())));
            Box::pin(async move { Ok(response.unwrap()) })
        }
    }

    type Sent = Arc<Mutex<Vec<http::Request<Bytes>>>>;

    fn leases(code: u16, body: &'static str) -> (Leases, Sent) {
        let sent = Sent::default();
        let network = Arc::new(Canned { answer: (code, body), sent: sent.clone() });
        let ports = fixtures::ports(network, 1);
        let kube = KubeClient::new(ports, Arc::new(Silent), Duration::from_secs(2));
        (Leases::new(kube, "rynxs", "rynxs-leader"), sent)
    }

    const LEASE: &str = r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{
        "name":"rynxs-leader","namespace":"rynxs","uid":"u1","resourceVersion":"41",
        "labels":{"app":"rynxs"},"managedFields":[{}]},"spec":{"holderIdentity":"rynxs-0_a",
        "leaseDurationSeconds":15,"acquireTime":"2026-11-22T08:00:00.000001Z",
        "renewTime":"2026-11-22T08:00:02.5Z","leaseTransitions":3}}"#;

    fn write(target: Target) -> LeaseWrite {
        LeaseWrite {
            target,
            holder: WriterId::from("rynxs-0_a"),
            duration: Duration::from_secs(15),
            acquire_us: 1_795_334_400_000_001,
            renew_us: 1_795_334_402_500_000,
            transitions: 4,
        }
    }

    #[test]
    fn lease_is_read_with_its_metadata_but_not_its_managed_fields() {
        let (leases, sent) = leases(200, LEASE);
        let view = block_on(leases.get()).unwrap();
        assert_eq!(view.holder(), Some(&WriterId::from("rynxs-0_a")));
        assert_eq!((view.uid.as_str(), view.resource_version.as_str()), ("u1", "41"));
        assert_eq!(view.duration, Duration::from_secs(15));
        assert_eq!(view.acquire_us, Some(1_795_334_400_000_001));
        assert_eq!(view.renew_us, Some(1_795_334_402_500_000));
        assert_eq!(view.metadata["labels"], json!({"app": "rynxs"}));
        assert!(!view.metadata.contains_key("managedFields"));
        let sent = sent.lock().unwrap();
        let target = "/apis/coordination.k8s.io/v1/namespaces/rynxs/leases/rynxs-leader";
        assert_eq!(sent[0].uri().to_string().trim_end_matches('?'), target, "no resourceVersion");
    }

    #[test]
    fn replace_names_uid_and_version_and_keeps_labels() {
        let (leases, sent) = leases(200, LEASE);
        let mut metadata = Map::new();
        metadata.insert("labels".to_owned(), json!({"app": "rynxs"}));
        let target =
            Target::Replace { uid: Uid::from("u1"), resource_version: "41".to_owned(), metadata };
        block_on(leases.write(&write(target))).unwrap();
        let sent = sent.lock().unwrap();
        assert_eq!(sent[0].method(), http::Method::PUT);
        let body: Value = serde_json::from_slice(sent[0].body()).unwrap();
        assert_eq!(
            body,
            json!({
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {
                    "name": "rynxs-leader", "namespace": "rynxs", "uid": "u1",
                    "resourceVersion": "41", "labels": {"app": "rynxs"}
                },
                "spec": {
                    "holderIdentity": "rynxs-0_a", "leaseDurationSeconds": 15,
                    "acquireTime": "2026-11-22T08:00:00.000001Z",
                    "renewTime": "2026-11-22T08:00:02.500000Z", "leaseTransitions": 4
                }
            })
        );
    }

    #[test]
    fn create_is_an_apply_that_a_taken_name_refuses() {
        let (leases, sent) = leases(201, LEASE);
        block_on(leases.write(&write(Target::Create))).unwrap();
        let sent = sent.lock().unwrap();
        assert_eq!(sent[0].method(), http::Method::PATCH);
        assert_eq!(sent[0].headers()["content-type"], "application/apply-patch+yaml");
        assert!(sent[0].uri().query().unwrap().contains("fieldManager=rynxs"));
        let body: Value = serde_json::from_slice(sent[0].body()).unwrap();
        assert_eq!(body["metadata"]["resourceVersion"], "1");
    }

    #[test]
    fn watch_and_list_name_the_lease() {
        let (leases, sent) = leases(200, r#"{"metadata":{"resourceVersion":"50"},"items":[]}"#);
        let list = block_on(leases.list()).unwrap();
        assert_eq!(list, LeaseList { lease: None, resource_version: "50".to_owned() });
        block_on(leases.watch("50")).map(|_| ()).unwrap();
        for request in sent.lock().unwrap().iter() {
            let query = request.uri().query().unwrap();
            assert!(query.contains("fieldSelector=metadata.name%3Drynxs-leader"), "{query}");
        }
    }

    #[test]
    fn empty_lease_of_a_chart_is_a_free_one() {
        let view = parse(json!({"metadata": {"uid": "u", "resourceVersion": "1"}})).unwrap();
        assert_eq!(view.holder(), None);
        assert!(parse(json!({"metadata": {"uid": "u"}})).is_err());
        assert!(
            parse(json!({"metadata": {"uid": "u", "resourceVersion": "1"},
            "spec": {"renewTime": "yesterday"}}))
            .is_err()
        );
    }

    #[test]
    fn status_codes_mean_what_the_election_expects() {
        let throttled = Answer::Throttled { retry_after: Some(Duration::from_secs(7)) };
        for (code, expected) in [
            (400, Answer::Rejected),
            (401, Answer::Forbidden),
            (403, Answer::Forbidden),
            (404, Answer::NotFound),
            (408, Answer::ServerError),
            (409, Answer::Conflict),
            (422, Answer::Rejected),
            (429, throttled),
            (500, Answer::ServerError),
            (503, Answer::ServerError),
            (504, Answer::ServerError),
        ] {
            let (leases, _) = leases(code, "{}");
            let error = block_on(leases.get()).unwrap_err();
            assert_eq!(answer(&error), expected, "{code}");
        }
        let (leases, _) = leases(200, "<html>");
        assert_eq!(answer(&block_on(leases.get()).unwrap_err()), Answer::Undecodable);
    }
}
