//! The two models, what is wrong with them, and the time that passes for them.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::select;
use http::{Request, Response};
use madsim::rand::{Rng, thread_rng};
use rynxs_apiserver::{ApiServer, User, documents};
use rynxs_judge::event::Event;
use rynxs_operator::ports::Body;
use rynxs_s3::{Lost, Options as S3Options, Plan, Refusal, RequestInfo, S3Model};
use serde_json::Value;

use super::{World, hold};
use crate::clock::wall_ms;
use crate::fault;
use crate::net::{ApiFaults, Verdict, adjust, full};
use crate::scenario::{S3Fault, Scenario};

pub(crate) const BUCKET: &str = "rynxs-events";
pub(crate) const PREFIX: &str = "events";
pub(crate) const OPERATOR: &str = "system:serviceaccount:rynxs:rynxs";
pub(crate) const NAMESPACE: &str = "agents";
const TOKEN: &str = "operator-token";
/// The header that authenticates the operator.
pub(crate) const BEARER: &str = "Bearer operator-token";

/// What Kubernetes' own controllers need to notice a change.
const CONTROLLER_LAG: Duration = Duration::from_millis(5);

/// While they stand still, the end of that wakes them; this is only a bound.
const STALLED_MS: u64 = 600_000;

/// What is wrong with the servers.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) api: ApiFaults,
    pub(super) s3: Vec<(S3Fault, u32)>,
    /// Faults for which Kubernetes' own controllers stand still.
    pub(super) stalled: u32,
    /// The fault that meets the request which the object store was given last.
    pub(super) s3_hit: Option<&'static str>,
    /// The history of the API was cut short once.
    pub(super) compacted: bool,
}

impl Faults {
    /// Begins or ends a fault of the object store.
    pub(super) fn set_s3(&mut self, fault: S3Fault, per_mille: u32, on: bool) {
        match self.s3.iter_mut().find(|(known, _)| *known == fault) {
            Some((_, rate)) => adjust(rate, per_mille, on),
            None => self.s3.push((fault, per_mille)),
        }
    }
}

/// What an administrator installs, read once for all runs.
static MANIFESTS: LazyLock<Result<Vec<Value>, String>> = LazyLock::new(|| {
    let files = [
        include_str!("../../../helm/rynxs/crds/agents.universe.ai.yaml"),
        include_str!("../../../helm/rynxs/crds/sessions.universe.ai.yaml"),
        include_str!("../../../helm/rynxs/files/admission-policies.yaml"),
        include_str!("../../../helm/rynxs/files/rbac.yaml"),
    ];
    let mut objects = Vec::new();
    for file in files {
        let text = file.replace("RELEASE_NAMESPACE", "rynxs").replace("SERVICE_ACCOUNT", "rynxs");
        objects.extend(documents(&text).map_err(|error| error.to_string())?);
    }
    Ok(objects)
});

/// The cluster with what the chart installs, once for each view.
pub(super) fn api(scenario: &Scenario) -> Result<Vec<ApiServer>, String> {
    let options = rynxs_apiserver::Options {
        start_ms: wall_ms(),
        tokens: BTreeMap::from([(TOKEN.to_owned(), User::new(OPERATOR))]),
        namespaces: ["default", "kube-system", "rynxs", NAMESPACE].map(str::to_owned).to_vec(),
        ..rynxs_apiserver::Options::default()
    };
    let api = ApiServer::new(options);
    api.load_objects(MANIFESTS.as_ref()?).map_err(|error| error.to_string())?;
    Ok((0..scenario.api_views).map(|view| api.view(view)).collect())
}

/// The object store.
pub(super) fn s3() -> S3Model {
    S3Model::new(S3Options::simple(BUCKET, "key", "secret"))
}

/// Asked by the S3 model about each request.
struct S3Faults(Arc<Mutex<Faults>>);

impl rynxs_s3::Faults for S3Faults {
    fn plan(&self, request: &RequestInfo) -> Plan {
        let mut now = hold(&self.0);
        now.s3_hit = None;
        if now.s3.is_empty() {
            return Plan::Proceed;
        }
        let faults = now.s3.clone();
        let writes = request.method == http::Method::PUT;
        for (fault, per_mille) in faults {
            let concerns = match fault {
                S3Fault::FailsAfter | S3Fault::Conflict | S3Fault::ResetAfter => writes,
                _ => true,
            };
            if per_mille == 0 || !concerns || thread_rng().gen_range(0..1_000) >= per_mille {
                continue;
            }
            now.s3_hit = Some(fault::of_s3(fault));
            let refusal = |status, code| Refusal::new(status, code);
            return match fault {
                S3Fault::SlowDown => Plan::Refuse(refusal(503, "SlowDown")),
                S3Fault::FailsBefore => Plan::Refuse(refusal(500, "InternalError")),
                S3Fault::FailsAfter => Plan::ApplyThenRefuse(refusal(500, "InternalError")),
                S3Fault::Conflict => Plan::Refuse(refusal(409, "ConditionalRequestConflict")),
                S3Fault::RequestTimeout => Plan::Refuse(refusal(400, "RequestTimeout")),
                S3Fault::ExpiredToken => Plan::Refuse(refusal(400, "ExpiredToken")),
                S3Fault::ResetAfter => Plan::ApplyThenLose(Lost::Reset),
            };
        }
        Plan::Proceed
    }
}

/// Whether a server may answer from its watch cache.
fn reads_cache(request: &Request<Bytes>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    *request.method() == http::Method::GET && query.contains("resourceVersion=")
}

impl World {
    /// Lets time pass for the servers.
    pub(super) fn serve(&self) {
        self.0.s3.set_faults(Arc::new(S3Faults(Arc::clone(&self.0.servers))));
        // What was loaded at the start is nobody's attempt.
        hold(&self.0.truth).skip_loaded(&self.0.views[0]);
        let world = self.clone();
        self.servers_node().spawn(async move {
            loop {
                let stalled = hold(&world.0.servers).stalled > 0;
                let wait = if stalled {
                    STALLED_MS
                } else {
                    let next_ms = world.0.views[0].tick(wall_ms());
                    world.pump_api("api-0", None);
                    next_ms.saturating_sub(wall_ms()).max(1)
                };
                let (wake, woken) = oneshot::channel();
                *hold(&world.0.wake_ticker) = Some(wake);
                drop(select(madsim::time::sleep(Duration::from_millis(wait)), woken).await);
                madsim::time::sleep(CONTROLLER_LAG).await;
            }
        });
    }

    /// A request of a replica reaches a view.
    pub(crate) fn call_api(
        &self,
        view: u32,
        at: &str,
        message: u64,
        request: Request<Bytes>,
    ) -> Response<Body> {
        let server = &self.0.views[view as usize];
        let (mut fault, verdict) = hold(&self.0.servers).api.verdict(&request);
        if fault.is_none() && server.shows_the_past() && reads_cache(&request) {
            fault = Some(fault::FREEZE_VIEW);
        }
        if let Some(fault) = fault {
            self.met(at, message, fault);
        }
        let handle = |request| {
            let response = server.handle(wall_ms(), request).map(full);
            self.pump_api(at, Some(message));
            if response.status() == http::StatusCode::GONE && self.is_compacted() {
                self.met(at, message, fault::COMPACT);
            }
            response
        };
        match verdict {
            Verdict::Proceed => handle(request),
            Verdict::Instead(answer) => answer,
            Verdict::AfterAll(answer) => {
                drop(handle(request));
                answer
            }
        }
    }

    /// Says in the stream that a fault met a message.
    pub(crate) fn met(&self, at: &str, message: u64, fault: &str) {
        let fault = fault.to_owned();
        self.note(at, Event::FaultHit { message, fault, change: String::new() });
    }

    /// The fault that meets the request which the object store was given last.
    pub(crate) fn take_s3_hit(&self) -> Option<&'static str> {
        hold(&self.0.servers).s3_hit.take()
    }

    /// Whether the history of the API was cut short.
    pub(crate) fn is_compacted(&self) -> bool {
        hold(&self.0.servers).compacted
    }

    /// Puts the live resourceVersion into an apply, as a client does that reads again and believes
    /// that its old content still is what is wanted.
    pub(crate) fn refresh(&self, request: &mut Request<Bytes>) {
        let Ok(mut body) = serde_json::from_slice::<serde_json::Value>(request.body()) else {
            return;
        };
        let (_, live) =
            self.user(http::Method::GET, request.uri().path(), &serde_json::Value::Null);
        let version = live.pointer("/metadata/resourceVersion").cloned();
        if let (Some(version), Some(metadata)) = (version, body.get_mut("metadata")) {
            metadata["resourceVersion"] = version;
            *request.body_mut() = Bytes::from(body.to_string());
        }
    }

    /// A person's request: straight to the server, as the administrator.
    pub(super) fn user(
        &self,
        method: http::Method,
        path: &str,
        body: &serde_json::Value,
    ) -> (u16, serde_json::Value) {
        let content = if method == http::Method::PATCH {
            "application/apply-patch+yaml"
        } else {
            "application/json"
        };
        self.user_with(method, path, content, body)
    }

    /// The same with another kind of body.
    pub(super) fn user_with(
        &self,
        method: http::Method,
        path: &str,
        content: &str,
        body: &serde_json::Value,
    ) -> (u16, serde_json::Value) {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, content)
            .body(body)
            .expect("paths of the world are plain text");
        let response = self.0.views[0].handle(wall_ms(), request);
        self.pump_api("api-0", None);
        let status = response.status().as_u16();
        match response.into_body() {
            rynxs_apiserver::Body::Full(bytes) => {
                (status, serde_json::from_slice(&bytes).unwrap_or_default())
            }
            rynxs_apiserver::Body::Watch(_) => (status, serde_json::Value::Null),
        }
    }

    /// Controllers have something to do.
    pub(super) fn wake_ticker(&self) {
        if let Some(wake) = hold(&self.0.wake_ticker).take() {
            // It may just have woken by itself.
            let _ = wake.send(());
        }
    }
}
