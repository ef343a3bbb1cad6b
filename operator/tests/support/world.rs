//! A small world: the API server's model, a log in memory, and one leader at a time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use rynxs_apiserver::{ApiServer, Options, User, Write};
use rynxs_core::config::{Config, OnMissingLog};
use rynxs_core::event::Event;
use rynxs_core::ids::{Seq, WriterId};
use rynxs_core::record::decode;
use rynxs_operator::guard::Guard;
use rynxs_operator::kube::KubeClient;
use rynxs_operator::leader::{LeaderContext, LeaderEnd, lead};
use rynxs_operator::observe::{Observer, RefusedBy, Signal};
use rynxs_operator::ports::{Body, BodyError, Clock, NetError, Network, Ports, Service};
use rynxs_operator::store::{ExistsOutcome, GetOutcome, ListOutcome, Listed, LogStore, PutOutcome};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{NoStorage, Seeded, TokioClock};

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is answered.
    Arrives,
    /// The server answers this instead, and does nothing.
    Refused(u16),
    /// The server answers this code with these words instead, and does nothing.
    Says(u16, &'static str),
    /// The server does it, the answer is lost.
    AnswerLost,
    /// The server does it and answers 500.
    FailsAfter,
    /// It is answered after so many milliseconds more.
    Late(u64),
    /// It never arrives, and nobody says so.
    Lost,
}

type Chance = dyn FnMut(&http::Request<Bytes>) -> Fate + Send;

/// The network between the operator and the model.
#[derive(Clone)]
pub struct Wire {
    server: ApiServer,
    clock: Arc<TokioClock>,
    seen: Arc<Mutex<Vec<String>>>,
    chance: Arc<Mutex<Box<Chance>>>,
    watch_delay_ms: Arc<AtomicU64>,
}

/// How long watch events are on their way unless a test says otherwise: longer than a request and
/// its answer, so that answers overtake them as they do in a real cluster.
const WATCH_DELAY_MS: u64 = 5;
/// Most watch events of one watch that are on their way.
const WATCH_EVENTS_UNDER_WAY: usize = 10_000;

impl Network for Wire {
    fn send(
        &self,
        service: Service,
        mut request: http::Request<Bytes>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, NetError>> {
        assert_eq!(service, Service::Kubernetes, "the log of these tests is in memory");
        let token = http::HeaderValue::from_static("Bearer operator");
        request.headers_mut().insert(http::header::AUTHORIZATION, token);
        let line = format!("{} {}", request.method(), request.uri().path());
        self.seen.lock().expect("no panic while held").push(line);
        let fate = (self.chance.lock().expect("no panic while held"))(&request);
        let (server, clock) = (self.server.clone(), self.clock.clone());
        let delay_ms = self.watch_delay_ms.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let perform = || server.handle(clock.wall().0, request);
            let (head, body) = match fate {
                Fate::Arrives => perform().into_parts(),
                Fate::Late(ms) => {
                    let answer = perform();
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    answer.into_parts()
                }
                Fate::Lost => futures::future::pending().await,
                Fate::Refused(code) => return Ok(status(code, "by the test")),
                Fate::Says(code, message) => return Ok(status(code, message)),
                Fate::FailsAfter => {
                    let _ = perform();
                    return Ok(status(500, "by the test"));
                }
                Fate::AnswerLost => {
                    let _ = perform();
                    return Err(NetError::Unknown("connection reset".to_owned()));
                }
            };
            tokio::time::sleep(Duration::from_millis(1)).await;
            let body = match body {
                rynxs_apiserver::Body::Full(bytes) => Body::Full(bytes),
                rynxs_apiserver::Body::Watch(lines) => Body::Stream(late(lines, delay_ms)),
            };
            Ok(http::Response::from_parts(head, body))
        }
        .boxed()
    }
}

/// Lines that arrive in their order, each so long after it was sent.
fn late(
    lines: impl Stream<Item = Bytes> + Send + 'static,
    delay_ms: Arc<AtomicU64>,
) -> BoxStream<'static, Result<Bytes, BodyError>> {
    let arrive = move |line| {
        let delay = Duration::from_millis(delay_ms.load(Ordering::Relaxed));
        let at = tokio::time::Instant::now() + delay;
        async move {
            tokio::time::sleep_until(at).await;
            Ok(line)
        }
    };
    lines.map(arrive).buffered(WATCH_EVENTS_UNDER_WAY).boxed()
}

fn status(code: u16, message: &str) -> http::Response<Body> {
    let body = json!({"kind": "Status", "code": code, "message": message}).to_string();
    let response = http::Response::builder().status(code).body(Body::Full(body.into()));
    response.expect("a status and a body make a response")
}

/// A log in memory: put if absent.
#[derive(Clone)]
pub struct MemoryLog(Arc<Mutex<BTreeMap<Seq, Bytes>>>, Arc<AtomicU64>);

impl Default for MemoryLog {
    fn default() -> Self {
        Self(Arc::default(), Arc::new(AtomicU64::new(1)))
    }
}

impl MemoryLog {
    fn records(&self) -> std::sync::MutexGuard<'_, BTreeMap<Seq, Bytes>> {
        self.0.lock().expect("no panic while held")
    }

    /// How long each put takes from now on, milliseconds; one at first.
    pub fn delay(&self, ms: u64) {
        self.1.store(ms, Ordering::Relaxed);
    }

    /// Whether a record is stored.
    pub fn holds(&self, seq: u64) -> bool {
        self.records().contains_key(&Seq(seq))
    }

    /// Hash of a record, as its stored bytes say.
    pub fn hash_of(&self, seq: u64) -> String {
        let bytes = self.records()[&Seq(seq)].clone();
        decode(&bytes).expect("every record is well formed").hash.to_string()
    }

    /// The events of every record.
    pub fn batches(&self) -> Vec<Vec<Event>> {
        let records = self.records();
        let read = |bytes: &Bytes| {
            let record = decode(bytes).expect("every record is well formed");
            record.events().expect("every event is well formed")
        };
        records.values().map(read).collect()
    }

    /// All events in their order.
    pub fn events(&self) -> Vec<Event> {
        self.batches().into_iter().flatten().collect()
    }

    /// Keeps only the first `records`.
    pub fn cut(&self, records: usize) {
        self.records().retain(|seq, _| seq.0 < records as u64);
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records().len()
    }
}

impl LogStore for MemoryLog {
    fn put(&self, seq: Seq, bytes: Bytes) -> BoxFuture<'_, PutOutcome> {
        async move {
            tokio::time::sleep(Duration::from_millis(self.1.load(Ordering::Relaxed))).await;
            let mut records = self.records();
            if records.contains_key(&seq) {
                return PutOutcome::AlreadyExists;
            }
            records.insert(seq, bytes);
            PutOutcome::Committed
        }
        .boxed()
    }

    fn get(&self, seq: Seq) -> BoxFuture<'_, GetOutcome> {
        let found = self.records().get(&seq).cloned();
        let outcome = found.map_or(GetOutcome::Missing, |bytes| GetOutcome::Found(bytes.into()));
        futures::future::ready(outcome).boxed()
    }

    fn exists(&self, seq: Seq) -> BoxFuture<'_, ExistsOutcome> {
        let there = self.records().contains_key(&seq);
        let outcome = if there { ExistsOutcome::Yes } else { ExistsOutcome::No };
        futures::future::ready(outcome).boxed()
    }

    fn first_key_after(&self, seq: Option<Seq>) -> BoxFuture<'_, ListOutcome> {
        let next = match seq {
            Some(seq) => self.records().range(seq.next()..).next().map(|(seq, _)| *seq),
            None => self.records().keys().next().copied(),
        };
        futures::future::ready(ListOutcome::Next(next.map(Listed::Record))).boxed()
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}

/// Remembers the signals that tests ask for.
#[derive(Default)]
pub struct Signals(Mutex<Vec<Signal>>);

impl Signals {
    pub fn count(&self, matching: impl Fn(&Signal) -> bool) -> usize {
        let signals = self.0.lock().expect("no panic while held");
        signals.iter().filter(|signal| matching(signal)).count()
    }

    /// What the last signal of some sort said.
    pub fn last<T>(&self, read: impl Fn(&Signal) -> Option<T>) -> Option<T> {
        let signals = self.0.lock().expect("no panic while held");
        signals.iter().rev().find_map(read)
    }

    /// How often each cause refused a stale write.
    pub fn refusals(&self) -> BTreeMap<RefusedBy, usize> {
        let mut refusals = BTreeMap::new();
        for signal in self.0.lock().expect("no panic while held").iter() {
            if let Signal::StaleWriteRefused(by) = signal {
                *refusals.entry(*by).or_default() += 1;
            }
        }
        refusals
    }
}

impl Observer for Signals {
    fn signal(&self, signal: Signal) {
        self.0.lock().expect("no panic while held").push(signal);
    }
}

/// One cluster, one log.
pub struct World {
    pub server: ApiServer,
    pub log: MemoryLog,
    pub clock: Arc<TokioClock>,
    pub wire: Wire,
    pub signals: Arc<Signals>,
    /// Settings of the leaders to come.
    pub config: Config,
    terms: u64,
}

/// A leader that runs.
pub struct Leader {
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<LeaderEnd>,
    pub guard: Guard,
}

impl Leader {
    /// Asks it to stop and returns how it ended.
    pub async fn stop(mut self) -> LeaderEnd {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        self.task.await.expect("the leader does not panic")
    }

    /// Drops its whole future tree, as a process that dies does.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Whether it ended by itself.
    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    pub async fn end(self) -> LeaderEnd {
        self.task.await.expect("the leader does not panic")
    }
}

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../helm/rynxs");

impl World {
    /// A cluster with the chart's CRDs, policies and roles, and namespace `team`.
    #[allow(clippy::disallowed_methods, reason = "a test reads and writes the files that it holds")]
    pub fn new() -> Self {
        let clock = Arc::new(TokioClock::new());
        let operator = User::new("system:serviceaccount:rynxs:rynxs");
        let mut options = Options {
            start_ms: clock.wall().0,
            tokens: BTreeMap::from([("operator".to_owned(), operator)]),
            ..Options::default()
        };
        options.namespaces.push("team".to_owned());
        let server = ApiServer::new(options);
        for file in ["files/admission-policies.yaml", "files/rbac.yaml"] {
            let text =
                std::fs::read_to_string(format!("{FILES}/{file}")).expect("the chart's file");
            let text =
                text.replace("RELEASE_NAMESPACE", "rynxs").replace("SERVICE_ACCOUNT", "rynxs");
            server.load(&text).expect("the chart's files are accepted");
        }
        server.load(&crds()).expect("the chart's CRDs are accepted");
        let ticking = server.clone();
        let time = clock.clone();
        tokio::spawn(async move {
            loop {
                let next = ticking.tick(time.wall().0);
                let wait = next.saturating_sub(time.wall().0).clamp(1, 50);
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
        });
        let wire = Wire {
            server: server.clone(),
            clock: clock.clone(),
            seen: Arc::default(),
            chance: Arc::new(Mutex::new(Box::new(|_| Fate::Arrives))),
            watch_delay_ms: Arc::new(AtomicU64::new(WATCH_DELAY_MS)),
        };
        Self {
            server,
            log: MemoryLog::default(),
            clock,
            wire,
            signals: Arc::default(),
            config: Config::default(),
            terms: 0,
        }
    }

    /// The same world for somebody else's hands.
    pub fn beside(&self) -> Self {
        Self {
            server: self.server.clone(),
            log: self.log.clone(),
            clock: self.clock.clone(),
            wire: self.wire.clone(),
            signals: self.signals.clone(),
            config: self.config.clone(),
            terms: self.terms,
        }
    }

    /// Starts a leader on this log.
    pub fn lead(&mut self) -> Leader {
        self.lead_with(self.config.clone())
    }

    /// Loses the log, and starts a leader that begins another one.
    pub fn lead_anew(&mut self) -> Leader {
        self.log.cut(0);
        let mut config = self.config.clone();
        config.log_sink.on_missing_log = OnMissingLog::Adopt;
        self.lead_with(config)
    }

    fn lead_with(&mut self, config: Config) -> Leader {
        self.terms += 1;
        let ports = Ports {
            clock: self.clock.clone(),
            network: Arc::new(self.wire.clone()),
            storage: Arc::new(NoStorage),
            entropy: Arc::new(Seeded::new(self.terms)),
        };
        let config = Arc::new(config);
        let observer: Arc<dyn Observer> = self.signals.clone();
        let kube =
            KubeClient::new(ports.clone(), observer.clone(), config.reconcile.request_timeout);
        let guard = Guard::always();
        let (stop, asked) = oneshot::channel::<()>();
        let context = LeaderContext {
            ports,
            config,
            kube,
            store: Arc::new(self.log.clone()),
            guard: guard.clone(),
            identity: WriterId(format!("rynxs-0_{}", self.terms)),
            observer,
            stop: async move {
                if asked.await.is_err() {
                    futures::future::pending::<()>().await;
                }
            }
            .boxed()
            .shared(),
        };
        Leader { stop: Some(stop), task: tokio::spawn(lead(context)), guard }
    }

    /// Decides what happens to each request from now on.
    pub fn fate(&self, chance: impl FnMut(&http::Request<Bytes>) -> Fate + Send + 'static) {
        *self.wire.chance.lock().expect("no panic while held") = Box::new(chance);
    }

    /// How long watch events are on their way from now on, milliseconds.
    pub fn watch_delay(&self, ms: u64) {
        self.wire.watch_delay_ms.store(ms, Ordering::Relaxed);
    }

    /// Requests so far, as `METHOD path`.
    pub fn requests(&self) -> Vec<String> {
        self.wire.seen.lock().expect("no panic while held").clone()
    }

    /// A request of the cluster's administrator.
    pub fn admin(&self, method: &str, path: &str, r#type: &str, body: &Value) -> (u16, Value) {
        self.call(None, method, path, r#type, body)
    }

    /// A request with the operator's own token, as a leader of another time would send it.
    pub fn as_operator(
        &self,
        method: &str,
        path: &str,
        r#type: &str,
        body: &Value,
    ) -> (u16, Value) {
        self.call(Some("Bearer operator"), method, path, r#type, body)
    }

    fn call(
        &self,
        token: Option<&str>,
        method: &str,
        path: &str,
        r#type: &str,
        body: &Value,
    ) -> (u16, Value) {
        let mut builder = http::Request::builder().method(method).uri(path);
        if let Some(token) = token {
            builder = builder.header("authorization", token);
        }
        let request = builder
            .header("content-type", r#type)
            .body(Bytes::from(if body.is_null() { String::new() } else { body.to_string() }))
            .expect("a request");
        let response = self.server.handle(self.clock.wall().0, request);
        let code = response.status().as_u16();
        let rynxs_apiserver::Body::Full(bytes) = response.into_body() else {
            panic!("not a watch");
        };
        (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub fn get(&self, path: &str) -> Option<Value> {
        let (code, body) = self.admin("GET", path, "application/json", &Value::Null);
        (code == 200).then_some(body)
    }

    /// Creates an object from its manifest, or fails loudly.
    pub fn create(&self, path: &str, manifest: &Value) -> Value {
        let (code, body) = self.admin("POST", path, "application/json", manifest);
        assert_eq!(code, 201, "{body}");
        body
    }

    pub fn merge(&self, path: &str, patch: &Value) -> Value {
        let (code, body) = self.admin("PATCH", path, "application/merge-patch+json", patch);
        assert_eq!(code, 200, "{body}");
        body
    }

    pub fn delete(&self, path: &str) {
        let body = json!({"propagationPolicy": "Background"});
        let (code, answer) = self.admin("DELETE", path, "application/json", &body);
        assert!(matches!(code, 200 | 202), "{code} {answer}");
    }

    /// The operator's write attempts, as the server saw them.
    pub fn writes(&self) -> Vec<Write> {
        let mut writes = self.server.history();
        writes.retain(|write| write.user.contains("serviceaccount:rynxs:rynxs"));
        writes
    }

    /// Waits until `probe` holds, at most a minute of virtual time.
    pub async fn until(&self, what: &str, probe: impl Fn(&Self) -> bool) {
        for _ in 0..600 {
            if probe(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let log: Vec<String> = self.log.events().iter().map(|e| format!("{e:?}")).collect();
        panic!("never: {what}\nrequests: {:#?}\nlog: {log:#?}", self.requests());
    }

    /// Now, Unix milliseconds.
    pub fn clock_ms(&self) -> u64 {
        self.clock.wall().0
    }

    /// Lets virtual time pass.
    pub async fn pass(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

fn crds() -> String {
    rynxs_core::crd::all_yaml()
}
