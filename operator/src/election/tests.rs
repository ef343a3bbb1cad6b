//! The loop against a small Lease server, on a paused clock.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use futures::channel::mpsc;
use serde_json::{Value, json};

use super::*;
use crate::fixtures;
use crate::observe::Silent;
use crate::ports::{Body, NetError, Network, Service};

/// What the server does with the next requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Answers.
    Well,
    /// Answers 500 without doing anything.
    Broken,
    /// Applies writes, and loses the answer.
    Mute,
    /// Nothing arrives and nothing comes back; open watches are silent.
    Cut,
    /// Answers 503 to writes, reads are fine.
    ReadOnly,
}

struct Inner {
    lease: Option<Value>,
    version: u64,
    mood: Mood,
    watches: Vec<mpsc::UnboundedSender<Result<Bytes, crate::ports::BodyError>>>,
    requests: BTreeMap<String, u64>,
    latency: Duration,
}

/// One Lease behind the API's rules: consistent reads, replace by uid and version, create-only
/// apply, list and watch.
#[derive(Clone)]
pub(crate) struct LeaseServer(Arc<Mutex<Inner>>);

impl LeaseServer {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            lease: None,
            version: 100,
            mood: Mood::Well,
            watches: Vec::new(),
            requests: BTreeMap::new(),
            latency: Duration::from_millis(5),
        })))
    }

    /// An unheld Lease, as a chart creates it.
    pub(crate) fn with_free_lease() -> Self {
        let server = Self::new();
        server.edit(|lease| {
            *lease = Some(json!({"metadata": {"uid": "u1", "labels": {"app": "x"}}}))
        });
        server
    }

    /// Changes the Lease by hand and tells the watches.
    pub(crate) fn edit(&self, change: impl FnOnce(&mut Option<Value>)) {
        let mut inner = self.0.lock().unwrap();
        let before = inner.lease.clone();
        change(&mut inner.lease);
        inner.version += 1;
        let version = inner.version.to_string();
        let event = match (&mut inner.lease, before) {
            (Some(lease), _) => {
                lease["metadata"]["resourceVersion"] = json!(version);
                json!({"type": "MODIFIED", "object": lease})
            }
            (None, Some(mut lease)) => {
                lease["metadata"]["resourceVersion"] = json!(version);
                json!({"type": "DELETED", "object": lease})
            }
            (None, None) => return,
        };
        inner.tell(&event);
    }

    pub(crate) fn mood(&self, mood: Mood) {
        self.0.lock().unwrap().mood = mood;
    }

    pub(crate) fn holder(&self) -> String {
        let inner = self.0.lock().unwrap();
        let holder =
            inner.lease.as_ref().and_then(|lease| lease["spec"]["holderIdentity"].as_str());
        holder.unwrap_or_default().to_owned()
    }

    pub(crate) fn lease(&self) -> Option<Value> {
        self.0.lock().unwrap().lease.clone()
    }

    /// Requests so far, by verb.
    pub(crate) fn requests(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap().requests.clone()
    }

    /// Ends all watches, as a restarting server does.
    pub(crate) fn drop_watches(&self) {
        self.0.lock().unwrap().watches.clear();
    }
}

impl Inner {
    fn tell(&mut self, event: &Value) {
        if self.mood == Mood::Cut {
            return;
        }
        let line = Bytes::from(format!("{event}\n"));
        self.watches.retain(|watch| watch.unbounded_send(Ok(line.clone())).is_ok());
    }

    fn serve(&mut self, request: &http::Request<Bytes>) -> (u16, Body) {
        let query = request.uri().query().unwrap_or_default();
        let named = request.uri().path().ends_with("/rynxs-leader");
        let verb = match (request.method().as_str(), named) {
            ("GET", false) if query.contains("watch=true") => "watch",
            ("GET", false) => "list",
            ("GET", true) => "get",
            ("PUT", true) => "update",
            ("PATCH", true) => "patch",
            other => panic!("an unexpected request: {other:?}"),
        };
        *self.requests.entry(verb.to_owned()).or_default() += 1;
        let full = |value: &Value| Body::Full(Bytes::from(value.to_string()));
        if !named {
            assert!(query.contains("fieldSelector=metadata.name%3Drynxs-leader"), "{query}");
        }
        let is_write = matches!(verb, "update" | "patch");
        if self.mood == Mood::Broken || (self.mood == Mood::ReadOnly && is_write) {
            return (503, full(&json!({"kind": "Status", "code": 503})));
        }
        match verb {
            "watch" => {
                let (sender, receiver) = mpsc::unbounded();
                self.watches.push(sender);
                (200, Body::Stream(receiver.boxed()))
            }
            "list" => {
                let items: Vec<&Value> = self.lease.iter().collect();
                let version = self.version.to_string();
                (200, full(&json!({"metadata": {"resourceVersion": version}, "items": items})))
            }
            "get" => match &self.lease {
                Some(lease) => (200, full(lease)),
                None => (404, full(&json!({"kind": "Status", "code": 404}))),
            },
            _ => {
                let body: Value = serde_json::from_slice(request.body()).unwrap();
                match self.write(verb, body) {
                    Ok(lease) => (200, full(&lease)),
                    Err(code) => (code, full(&json!({"kind": "Status", "code": code}))),
                }
            }
        }
    }

    fn write(&mut self, verb: &str, mut body: Value) -> Result<Value, u16> {
        match (&self.lease, verb) {
            (Some(_), "patch") | (None, "update") => return Err(409),
            (None, _) => body["metadata"]["uid"] = json!(format!("u{}", self.version)),
            (Some(lease), _) => {
                for field in ["uid", "resourceVersion"] {
                    if lease["metadata"][field] != body["metadata"][field] {
                        return Err(409);
                    }
                }
            }
        }
        self.version += 1;
        body["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(body.clone());
        self.tell(&json!({"type": "MODIFIED", "object": body}));
        Ok(body)
    }
}

impl Network for LeaseServer {
    fn send(
        &self,
        service: Service,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, NetError>> {
        assert_eq!(service, Service::Kubernetes);
        let inner = self.0.clone();
        Box::pin(async move {
            let latency = inner.lock().unwrap().latency;
            tokio::time::sleep(latency).await;
            let served = {
                let mut inner = inner.lock().unwrap();
                (inner.mood != Mood::Cut).then(|| (inner.mood, inner.serve(&request)))
            };
            let Some((mood, (code, body))) = served else { return pending().await };
            if mood == Mood::Mute {
                return pending().await;
            }
            tokio::time::sleep(latency).await;
            Ok(http::Response::builder().status(code).body(body).unwrap())
        })
    }
}

fn election(server: &LeaseServer, identity: &str) -> (Election, Ports) {
    let ports = fixtures::ports(Arc::new(server.clone()), 7);
    let settings = LeaderElection::default();
    let identity = WriterId::from(identity);
    (Election::new(&ports, Arc::new(Silent), &settings, identity, false), ports)
}

async fn leads(election: &mut Election) -> Guard {
    match election.next().await {
        Change::Leading(guard) => guard,
        Change::Ended(end) => panic!("{end:?}"),
    }
}

/// Drives the election for a span; what changed, if anything.
async fn drive(election: &mut Election, span: Duration) -> Option<Change> {
    tokio::time::timeout(span, election.next()).await.ok()
}

const S: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn free_lease_is_taken_at_once_and_renewed_every_retry_period() {
    let server = LeaseServer::with_free_lease();
    let (mut election, ports) = election(&server, "rynxs-0_a");
    let begun = tokio::time::Instant::now();
    let guard = leads(&mut election).await;
    assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
    assert_eq!(server.holder(), "rynxs-0_a");
    assert!(drive(&mut election, 60 * S).await.is_none());
    guard.check(ports.clock.now()).unwrap();
    let requests = server.requests();
    assert_eq!(requests["update"], 31);
    assert_eq!(requests.get("get"), None, "nothing is polled: {requests:?}");
    assert_eq!(server.lease().unwrap()["metadata"]["labels"]["app"], "x", "labels survive");
}

#[tokio::test(start_paused = true)]
async fn absent_lease_is_created_after_a_lease_duration() {
    let server = LeaseServer::new();
    let (mut election, _) = election(&server, "rynxs-0_a");
    let begun = tokio::time::Instant::now();
    leads(&mut election).await;
    assert_eq!(begun.elapsed().as_secs(), 15);
    assert_eq!(server.requests()["patch"], 1);
}

#[tokio::test(start_paused = true)]
async fn standby_sends_nothing_but_its_watch_while_another_leads() {
    let server = LeaseServer::with_free_lease();
    let (mut leader, _) = election(&server, "rynxs-0_a");
    leads(&mut leader).await;
    let before = server.requests();
    let (mut standby, _) = election(&server, "rynxs-1_b");
    let both = futures::future::join(drive(&mut leader, 50 * S), drive(&mut standby, 50 * S));
    assert!(matches!(both.await, (None, None)));
    let after = server.requests();
    assert_eq!(after["list"] - before["list"], 1);
    assert_eq!(after["watch"] - before["watch"], 1, "{before:?} {after:?}");
    assert_eq!(after.get("get"), None);
}

#[tokio::test(start_paused = true)]
async fn released_lease_is_taken_over_within_one_round_trip() {
    let server = LeaseServer::with_free_lease();
    let (mut leader, ports) = election(&server, "rynxs-0_a");
    let guard = leads(&mut leader).await;
    let (mut standby, _) = election(&server, "rynxs-1_b");
    assert!(drive(&mut standby, S).await.is_none());
    let released = async {
        leader.release().await;
        assert!(guard.check(ports.clock.now()).is_err());
        tokio::time::Instant::now()
    };
    let (released, _) = futures::future::join(released, leads(&mut standby)).await;
    assert!(released.elapsed() < Duration::from_millis(50), "{:?}", released.elapsed());
    assert_eq!(server.holder(), "rynxs-1_b");
}

#[tokio::test(start_paused = true)]
async fn dead_leader_is_succeeded_at_the_expiry_of_its_lease() {
    let server = LeaseServer::with_free_lease();
    let (mut leader, _) = election(&server, "rynxs-0_a");
    leads(&mut leader).await;
    let (mut standby, _) = election(&server, "rynxs-1_b");
    assert!(drive(&mut standby, S).await.is_none());
    drop(leader);
    let begun = tokio::time::Instant::now();
    leads(&mut standby).await;
    let took = begun.elapsed();
    assert!(took > 13 * S && took < 15 * S + Duration::from_millis(100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn cut_off_leader_stops_before_its_successor_starts() {
    let server = LeaseServer::with_free_lease();
    let (mut leader, ports) = election(&server, "rynxs-0_a");
    let guard = leads(&mut leader).await;
    assert!(drive(&mut leader, 5 * S).await.is_none());
    let valid_until = guard.valid_until().unwrap();
    server.mood(Mood::Cut);
    let Change::Ended(end) = leader.next().await else { panic!("leadership is lost") };
    assert_eq!(end, End::Lost(rynxs_core::election::Loss::DeadlineExceeded));
    let now = ports.clock.now();
    assert!(now >= valid_until && now - valid_until < Duration::from_millis(5), "{now:?}");
    assert!(guard.valid_until().is_none(), "closed, not only expired");
}

#[tokio::test(start_paused = true)]
async fn answers_that_get_lost_do_not_end_leadership_while_reads_work() {
    let server = LeaseServer::with_free_lease();
    let (mut leader, ports) = election(&server, "rynxs-0_a");
    let guard = leads(&mut leader).await;
    // One renewal is applied without an answer; then all is well, and reading it back counts.
    server.mood(Mood::Mute);
    assert!(drive(&mut leader, 3 * S).await.is_none());
    server.mood(Mood::Well);
    assert!(drive(&mut leader, 30 * S).await.is_none());
    guard.check(ports.clock.now()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn lease_edited_by_hand_deposes_the_leader_in_one_round_trip() {
    let server = LeaseServer::with_free_lease();
    let (mut leader, _) = election(&server, "rynxs-0_a");
    let guard = leads(&mut leader).await;
    assert!(drive(&mut leader, S).await.is_none());
    server.edit(|lease| {
        lease.as_mut().unwrap()["spec"]["holderIdentity"] = json!("somebody else");
    });
    let begun = tokio::time::Instant::now();
    assert!(matches!(leader.next().await, Change::Ended(End::Lost(_))));
    assert!(begun.elapsed() < Duration::from_millis(10));
    assert!(guard.valid_until().is_none());
}

#[tokio::test(start_paused = true)]
async fn deleted_lease_deposes_the_leader_and_is_recreated_a_lease_duration_later() {
    let server = LeaseServer::with_free_lease();
    let (mut leader, _) = election(&server, "rynxs-0_a");
    leads(&mut leader).await;
    let (mut standby, _) = election(&server, "rynxs-1_b");
    assert!(drive(&mut standby, S).await.is_none());
    server.edit(|lease| *lease = None);
    let begun = tokio::time::Instant::now();
    assert!(matches!(leader.next().await, Change::Ended(End::Lost(_))));
    assert!(begun.elapsed() < Duration::from_millis(10));
    leads(&mut standby).await;
    assert_eq!(begun.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn server_that_restarts_costs_no_leadership() {
    let server = LeaseServer::with_free_lease();
    let (mut leader, ports) = election(&server, "rynxs-0_a");
    let guard = leads(&mut leader).await;
    for _ in 0..5 {
        server.drop_watches();
        server.mood(Mood::Broken);
        assert!(drive(&mut leader, 5 * S).await.is_none());
        server.mood(Mood::Well);
        assert!(drive(&mut leader, 5 * S).await.is_none());
    }
    guard.check(ports.clock.now()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn standby_is_not_ready_while_it_cannot_see_the_lease() {
    struct Readiness(Mutex<Vec<bool>>);
    impl Observer for Readiness {
        fn signal(&self, signal: Signal) {
            if let Signal::Ready(ready) = signal {
                self.0.lock().unwrap().push(ready);
            }
        }
    }
    let server = LeaseServer::with_free_lease();
    let (mut leader, _) = election(&server, "rynxs-0_a");
    leads(&mut leader).await;
    let readiness = Arc::new(Readiness(Mutex::new(Vec::new())));
    let ports = fixtures::ports(Arc::new(server.clone()), 8);
    let settings = LeaderElection::default();
    let mut standby =
        Election::new(&ports, readiness.clone(), &settings, WriterId::from("rynxs-1_b"), true);
    assert!(drive(&mut standby, S).await.is_none());
    server.mood(Mood::Broken);
    server.drop_watches();
    assert!(drive(&mut standby, S).await.is_none());
    server.mood(Mood::Well);
    assert!(drive(&mut standby, 3 * S).await.is_none());
    assert_eq!(*readiness.0.lock().unwrap(), [true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn dropped_election_closes_its_guard() {
    let server = LeaseServer::with_free_lease();
    let (mut leader, _) = election(&server, "rynxs-0_a");
    let guard = leads(&mut leader).await;
    drop(leader);
    assert!(guard.valid_until().is_none());
}

#[tokio::test(start_paused = true)]
async fn writes_refused_for_a_while_are_survived_within_the_deadline_only() {
    let server = LeaseServer::with_free_lease();
    let (mut leader, _) = election(&server, "rynxs-0_a");
    leads(&mut leader).await;
    server.mood(Mood::ReadOnly);
    assert!(drive(&mut leader, 7 * S).await.is_none());
    server.mood(Mood::Well);
    assert!(drive(&mut leader, 30 * S).await.is_none());
    server.mood(Mood::ReadOnly);
    assert!(matches!(drive(&mut leader, 11 * S).await, Some(Change::Ended(End::Lost(_)))));
}
