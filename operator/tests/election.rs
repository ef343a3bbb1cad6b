//! Three replicas elect a leader over the API server's model, under the chart's roles.
//!
//! The leader is a recording one; everything else is what runs in production: the Lease's
//! requests, the watch, the machine, the guard, the life of a replica.

#![allow(clippy::unwrap_used, reason = "in a test's helper a panic is the test's failure")]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::{BoxFuture, Either, pending, select, select_all};
use futures::{FutureExt, StreamExt};
use rynxs_apiserver::{ApiServer, Body as ModelBody, Options, User};
use rynxs_core::append::{ExistsOutcome, GetOutcome, ListOutcome, PutOutcome};
use rynxs_core::config::{Config, LogSink, S3Store, Secret, Store};
use rynxs_core::ids::Seq;
use rynxs_operator::guard::Guard;
use rynxs_operator::observe::Silent;
use rynxs_operator::ports::{Body, Clock, NetError, Network, Service};
use rynxs_operator::run::{Closed, Lead, LeaderEnd, Leading, RunError, run_with};
use rynxs_operator::store::LogStore;
use support::TokioClock;

const S: Duration = Duration::from_secs(1);
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/rynxs/leases/rynxs-leader";
const TOKEN: &str = "operator";

/// The way from one replica to the API server.
#[derive(Clone)]
struct Path {
    api: ApiServer,
    clock: Arc<TokioClock>,
    latency: Duration,
    link: Arc<Mutex<Link>>,
}

#[derive(Default)]
struct Link {
    cut: bool,
    /// The next renewal is kept here instead of being delivered.
    hold_next_write: bool,
    held: Option<http::Request<Bytes>>,
}

impl Link {
    fn swallows(&mut self, request: &http::Request<Bytes>) -> bool {
        if self.hold_next_write && request.method() == http::Method::PUT {
            (self.hold_next_write, self.held) = (false, Some(request.clone()));
            return true;
        }
        self.cut
    }
}

impl Path {
    fn deliver(&self, mut request: http::Request<Bytes>) -> http::Response<ModelBody> {
        let token = format!("Bearer {TOKEN}").parse().unwrap();
        request.headers_mut().insert("authorization", token);
        self.api.handle(self.clock.wall().0, request)
    }
}

impl Network for Path {
    fn send(
        &self,
        service: Service,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, NetError>> {
        assert_eq!(service, Service::Kubernetes, "the recording leader writes no log");
        let path = self.clone();
        async move {
            tokio::time::sleep(path.latency).await;
            if path.link.lock().unwrap().swallows(&request) {
                return pending().await;
            }
            let response = path.deliver(request).map(|body| match body {
                ModelBody::Full(bytes) => Body::Full(bytes),
                ModelBody::Watch(events) => {
                    let link = path.link.clone();
                    // A cut connection is silent, not closed.
                    let open = move |_: &Bytes| futures::future::ready(!link.lock().unwrap().cut);
                    Body::Stream(events.filter(open).map(Ok).boxed())
                }
            });
            tokio::time::sleep(path.latency).await;
            Ok(response)
        }
        .boxed()
    }
}

/// A log that is empty and stays so.
struct NoLog;

impl LogStore for NoLog {
    fn put(&self, _: Seq, _: Bytes) -> BoxFuture<'_, PutOutcome> {
        unreachable!("the recording leader writes no log")
    }
    fn get(&self, _: Seq) -> BoxFuture<'_, GetOutcome> {
        async { GetOutcome::Missing }.boxed()
    }
    fn exists(&self, _: Seq) -> BoxFuture<'_, ExistsOutcome> {
        async { ExistsOutcome::No }.boxed()
    }
    fn first_key_after(&self, _: Option<Seq>) -> BoxFuture<'_, ListOutcome> {
        async { ListOutcome::Next(None) }.boxed()
    }
    fn describe(&self) -> String {
        "nowhere".to_owned()
    }
}

/// Notes who led from when; checks at every moment that the others do not.
#[derive(Clone, Default)]
struct Book {
    reigns: Arc<Mutex<Vec<(tokio::time::Duration, String)>>>,
    guards: Arc<Mutex<BTreeMap<String, Guard>>>,
}

struct Recorder {
    book: Book,
    clock: Arc<TokioClock>,
    begun: tokio::time::Instant,
}

impl Lead for Recorder {
    fn open(&self) -> BoxFuture<'static, Result<Arc<dyn LogStore>, Closed>> {
        let store: Arc<dyn LogStore> = Arc::new(NoLog);
        async { Ok(store) }.boxed()
    }

    fn lead(&self, leading: Leading) -> BoxFuture<'static, LeaderEnd> {
        let Leading { identity, guard, stop, .. } = leading;
        let now = self.clock.now();
        guard.check(now).expect("who is told to lead may");
        let mut guards = self.book.guards.lock().unwrap();
        for (other, guard) in guards.iter() {
            guard.check(now).expect_err(&format!("{other} still leads beside {identity}"));
        }
        guards.insert(identity.to_string(), guard);
        self.book.reigns.lock().unwrap().push((self.begun.elapsed(), identity.to_string()));
        async move {
            stop.await;
            LeaderEnd::Stopped { settled: true }
        }
        .boxed()
    }
}

struct Replica {
    run: BoxFuture<'static, Result<(), RunError>>,
    stop: Option<oneshot::Sender<()>>,
    link: Arc<Mutex<Link>>,
    path: Path,
}

struct World {
    api: ApiServer,
    clock: Arc<TokioClock>,
    book: Book,
    begun: tokio::time::Instant,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(TokioClock::new());
        let user = "system:serviceaccount:rynxs:rynxs";
        let api = ApiServer::new(Options {
            start_ms: clock.wall().0,
            tokens: BTreeMap::from([(TOKEN.to_owned(), User::new(user))]),
            ..Options::default()
        });
        let rbac = include_str!("../../helm/rynxs/files/rbac.yaml")
            .replace("RELEASE_NAMESPACE", "rynxs")
            .replace("SERVICE_ACCOUNT", "rynxs");
        api.load(&rbac).unwrap();
        Self { api, clock, book: Book::default(), begun: tokio::time::Instant::now() }
    }

    fn replica(&self, n: u64) -> Replica {
        let store = Store::S3(S3Store {
            endpoint: None,
            bucket: "events".to_owned(),
            prefix: "events".to_owned(),
            region: "us-east-1".to_owned(),
            path_style: false,
            access_key: Secret::new("a"),
            secret_key: Secret::new("b"),
            session_token: None,
            checksum: rynxs_core::config::Checksum::Sha256,
        });
        let config = Config {
            identity_prefix: format!("rynxs-{n}"),
            replicas: 3,
            log_sink: LogSink { store, ..LogSink::default() },
            ..Config::default()
        };
        let link = Arc::new(Mutex::new(Link::default()));
        let latency = Duration::from_millis(3 + 2 * n);
        let (api, clock) = (self.api.clone(), self.clock.clone());
        let path = Path { api, clock: clock.clone(), latency, link: link.clone() };
        let mut ports = support::ports(Arc::new(path.clone()), n);
        ports.clock = clock.clone();
        let recorder = Recorder { book: self.book.clone(), clock, begun: self.begun };
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            if stopped.await.is_err() {
                pending::<()>().await;
            }
        }
        .boxed();
        let run =
            async move { run_with(ports, config, Arc::new(Silent), shutdown, &recorder).await }
                .boxed();
        Replica { run, stop: Some(stop), link, path }
    }

    /// Lets replicas run for a span, while the server's own time goes on.
    async fn live(&self, replicas: &mut [Replica], span: Duration) {
        let end = tokio::time::Instant::now() + span;
        let ticking = async {
            while tokio::time::Instant::now() < end {
                self.api.tick(self.clock.wall().0);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let runs: Vec<_> = replicas.iter_mut().map(|replica| &mut replica.run).collect();
        let runs =
            async move { if runs.is_empty() { pending().await } else { select_all(runs).await.0 } };
        if let Either::Right((result, _)) =
            select(std::pin::pin!(ticking), std::pin::pin!(runs)).await
        {
            // One ended, as asked to; the others go on with the next call.
            result.unwrap();
        }
    }

    fn reigns(&self) -> Vec<(Duration, String)> {
        self.book.reigns.lock().unwrap().clone()
    }

    fn lease(&self) -> serde_json::Value {
        let request = http::Request::get(LEASE).body(Bytes::new()).unwrap();
        match self.api.handle(self.clock.wall().0, request).into_body() {
            ModelBody::Full(bytes) => serde_json::from_slice(&bytes).unwrap(),
            ModelBody::Watch(_) => panic!("a read is no watch"),
        }
    }

    fn holder(&self) -> String {
        self.lease()["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
    }
}

fn pod(identity: &str) -> &str {
    identity.rsplit_once('_').unwrap().0
}

fn index_of(replicas: &[u64], identity: &str) -> usize {
    replicas.iter().position(|n| pod(identity) == format!("rynxs-{n}")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_of_three_leads_and_a_killed_one_is_succeeded_within_lease_and_two_retries() {
    let world = World::new();
    let mut replicas: Vec<Replica> = (0..3).map(|n| world.replica(n)).collect();
    world.live(&mut replicas, 60 * S).await;
    let reigns = world.reigns();
    assert_eq!(reigns.len(), 1, "{reigns:?}");
    assert!(reigns[0].0 < 16 * S, "nobody had created the Lease: {reigns:?}");
    let dead = replicas.remove(index_of(&[0, 1, 2], &reigns[0].1));
    drop(dead);
    let killed = world.begun.elapsed();
    world.live(&mut replicas, 60 * S).await;
    let reigns = world.reigns();
    assert_eq!(reigns.len(), 2, "{reigns:?}");
    let took = reigns[1].0 - killed;
    assert!(took <= 19 * S, "L + 2P: {took:?}");
    assert_eq!(world.lease()["spec"]["leaseTransitions"], 1);
    assert_eq!(world.api.refusals(), BTreeMap::new(), "the roles allow what is asked");
}

#[tokio::test(start_paused = true)]
async fn released_lease_is_taken_over_within_one_retry() {
    let world = World::new();
    let mut replicas: Vec<Replica> = (0..3).map(|n| world.replica(n)).collect();
    world.live(&mut replicas, 30 * S).await;
    let leader = index_of(&[0, 1, 2], &world.holder());
    replicas[leader].stop.take().unwrap().send(()).unwrap();
    let asked = world.begun.elapsed();
    world.live(&mut replicas, 30 * S).await;
    replicas.remove(leader);
    world.live(&mut replicas, 30 * S).await;
    let reigns = world.reigns();
    assert_eq!(reigns.len(), 2, "{reigns:?}");
    let took = reigns[1].0 - asked;
    assert!(took < 2 * S, "one retry: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn cut_off_leader_stops_and_its_late_renewal_is_refused() {
    let world = World::new();
    let mut replicas: Vec<Replica> = (0..3).map(|n| world.replica(n)).collect();
    world.live(&mut replicas, 30 * S).await;
    let old = world.holder();
    let leader = index_of(&[0, 1, 2], &old);
    {
        let mut link = replicas[leader].link.lock().unwrap();
        link.hold_next_write = true;
    }
    world.live(&mut replicas, 3 * S).await;
    replicas[leader].link.lock().unwrap().cut = true;
    world.live(&mut replicas, 30 * S).await;
    let reigns = world.reigns();
    assert_eq!(reigns.len(), 2, "{reigns:?}");
    let new = world.holder();
    assert_ne!(pod(&new), pod(&old));
    // The renewal that the old leader sent before it was cut off arrives now.
    let late = replicas[leader].link.lock().unwrap().held.take().expect("one was held");
    assert_eq!(replicas[leader].path.deliver(late).status(), 409);
    assert_eq!(world.holder(), new);
    // Healed, it comes back as a standby under a new identity.
    replicas[leader].link.lock().unwrap().cut = false;
    world.live(&mut replicas, 60 * S).await;
    assert_eq!(world.reigns().len(), 2, "{:?}", world.reigns());
    assert_eq!(world.holder(), new);
}

#[tokio::test(start_paused = true)]
async fn lease_deleted_by_hand_is_recreated_a_lease_duration_later() {
    let world = World::new();
    let mut replicas: Vec<Replica> = (0..3).map(|n| world.replica(n)).collect();
    world.live(&mut replicas, 30 * S).await;
    let request = http::Request::delete(LEASE).body(Bytes::new()).unwrap();
    assert_eq!(world.api.handle(world.clock.wall().0, request).status(), 200);
    let deleted = world.begun.elapsed();
    world.live(&mut replicas, 60 * S).await;
    let reigns = world.reigns();
    assert_eq!(reigns.len(), 2, "{reigns:?}");
    let took = reigns[1].0 - deleted;
    assert!(took >= 15 * S && took <= 17 * S, "{took:?}");
    assert_eq!(world.api.refusals(), BTreeMap::new());
}

#[tokio::test(start_paused = true)]
async fn idle_replicas_send_renewals_and_watches_and_nothing_else() {
    let world = World::new();
    let mut replicas: Vec<Replica> = (0..3).map(|n| world.replica(n)).collect();
    world.live(&mut replicas, 30 * S).await;
    let before = world.api.rights();
    world.live(&mut replicas, 300 * S).await;
    let mut sent: BTreeMap<String, u64> = BTreeMap::new();
    for (now, before) in world.api.rights().iter().zip(&before) {
        if now.uses > before.uses {
            *sent.entry(now.verb.clone()).or_default() += now.uses - before.uses;
        }
    }
    assert_eq!(sent.keys().collect::<Vec<_>>(), ["update", "watch"], "{sent:?}");
    assert!((149..=151).contains(&sent["update"]), "one in P: {sent:?}");
    assert!(sent["watch"] <= 18, "one a minute each: {sent:?}");
}
