//! The world of one run: servers, replicas, and what the scenario does to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::{Method, Request, Response};
use madsim::runtime::{Handle, NodeHandle, Runtime};
use madsim::time::TimeHandle;
use rynxs_apiserver::{ApiServer, User};
use rynxs_core::config::{Config, S3Store, Secret, Store};
use rynxs_judge::{Report, judge};
use rynxs_operator::observe::Silent;
use rynxs_operator::ports::Ports;
use rynxs_s3::{Options as S3Options, S3Model};
use serde_json::{Value, json};

use crate::clock::{NodeClock, wall_ms};
use crate::entropy::SeededEntropy;
use crate::network::NodeNetwork;
use crate::no_disk::NoDisk;
use crate::scenario::{Scenario, Step};
use crate::stream::Stream;

pub(crate) const BUCKET: &str = "rynxs-events";
pub(crate) const PREFIX: &str = "events";
pub(crate) const OPERATOR: &str = "system:serviceaccount:rynxs:rynxs";
const NAMESPACE: &str = "agents";
const TOKEN: &str = "operator-token";
const TICK: Duration = Duration::from_millis(100);
/// After the faults stop: a leader within L + 2P, and everything done well before this.
const CONVERGE_WITHIN: Duration = Duration::from_secs(90);
/// A run that has not ended by then hangs.
const TIME_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// The two models, their faults, and the stream.
#[derive(Clone)]
pub(crate) struct Servers {
    pub(crate) api: ApiServer,
    pub(crate) s3: S3Model,
    pub(crate) stream: Stream,
    lost_requests: Arc<AtomicU32>,
    lost_answers: Arc<AtomicU32>,
}

impl Servers {
    pub(crate) fn loss_per_mille(&self) -> (u32, u32) {
        (self.lost_requests.load(Ordering::Relaxed), self.lost_answers.load(Ordering::Relaxed))
    }

    pub(crate) fn note(&self, node: &str, event: &str, detail: &str) {
        self.stream.push(TimeHandle::current().elapsed(), node, event, detail);
    }

    fn set_loss(&self, requests: u32, answers: u32) {
        self.lost_requests.store(requests, Ordering::Relaxed);
        self.lost_answers.store(answers, Ordering::Relaxed);
    }

    /// A request of a person: straight to the server, without the network's lies.
    fn user(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let content = if method == Method::PATCH {
            "application/apply-patch+yaml"
        } else {
            "application/json"
        };
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, content)
            .body(body)
            .expect("paths of the scenario are plain text");
        let response: Response<rynxs_apiserver::Body> = self.api.handle(wall_ms(), request);
        let status = response.status().as_u16();
        let rynxs_apiserver::Body::Full(bytes) = response.into_body() else {
            return (status, Value::Null);
        };
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    fn lease_holder(&self) -> Option<String> {
        let path = "/apis/coordination.k8s.io/v1/namespaces/rynxs/leases/rynxs-leader";
        let (_, lease) = self.user(Method::GET, path, &Value::Null);
        let holder = lease.pointer("/spec/holderIdentity")?.as_str()?;
        (!holder.is_empty()).then(|| holder.to_owned())
    }
}

/// What became of a run.
#[derive(Clone)]
pub struct Outcome {
    /// The event stream.
    pub stream: Stream,
    /// Verdicts on the invariants.
    pub report: Report,
    /// The raw facts that were judged.
    pub history: rynxs_judge::History,
    /// Whether every Agent became what its spec says after the faults had stopped, and if not, why.
    pub converged: Result<(), String>,
}

/// Runs a scenario under a seed.
///
/// # Errors
/// If a model refuses what the world sets up: a fault of the manifests, not of the run.
pub fn run(scenario: &Scenario, seed: u64) -> Result<Outcome, String> {
    let mut runtime = Runtime::with_seed_and_config(seed, madsim::Config::default());
    runtime.set_time_limit(TIME_LIMIT);
    let scenario = scenario.clone();
    runtime.block_on(async move { World::new(&scenario)?.play(&scenario).await })
}

struct World {
    servers: Servers,
    replicas: BTreeMap<String, NodeHandle>,
    wanted: BTreeMap<String, bool>,
}

impl World {
    fn new(scenario: &Scenario) -> Result<Self, String> {
        let servers = Servers {
            api: api_server()?,
            s3: S3Model::new(S3Options::simple(BUCKET, "key", "secret")),
            stream: Stream::default(),
            lost_requests: Arc::default(),
            lost_answers: Arc::default(),
        };
        let handle = Handle::current();
        let servers_node = handle.create_node().name("servers").build();
        let ticking = servers.clone();
        servers_node.spawn(async move {
            loop {
                ticking.api.tick(wall_ms());
                madsim::time::sleep(TICK).await;
            }
        });
        let mut replicas = BTreeMap::new();
        for index in 0..scenario.replicas {
            let name = format!("rynxs-{index}");
            let rate = scenario.clock_rates_ppm.get(index as usize).copied().unwrap_or(0);
            let node = replica(&handle, &name, rate, &servers, &servers_node);
            replicas.insert(name, node);
        }
        servers.set_loss(scenario.lost_requests_per_mille, scenario.lost_answers_per_mille);
        Ok(Self { servers, replicas, wanted: BTreeMap::new() })
    }

    async fn play(mut self, scenario: &Scenario) -> Result<Outcome, String> {
        for step in &scenario.steps {
            self.servers.note("scenario", "step", &format!("{step:?}"));
            self.step(step).await?;
        }
        self.servers.note("scenario", "heal", "");
        self.servers.set_loss(0, 0);
        let converged = self.converge().await;
        let history = self.servers.history();
        let report = judge(&history);
        Ok(Outcome { stream: self.servers.stream, report, history, converged })
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Agent { name, running } => {
                self.wanted.insert(name.clone(), *running);
                let body = agent(name, *running);
                let path = format!("{}/{name}?fieldManager=user&force=true", agents_path());
                let (status, answer) = self.servers.user(Method::PATCH, &path, &body);
                if status >= 300 {
                    return Err(format!("apply of Agent {name} answered {status}: {answer}"));
                }
            }
            Step::DeleteAgent { name } => {
                self.wanted.remove(name);
                let path = format!("{}/{name}", agents_path());
                self.servers.user(Method::DELETE, &path, &Value::Null);
            }
            Step::Wait { ms } => madsim::time::sleep(Duration::from_millis(*ms)).await,
            Step::CrashLeader { back_after_ms } => {
                let leader = self.leader().await;
                Handle::current().kill(leader.as_str());
                self.servers.note(&leader, "killed", "");
                madsim::time::sleep(Duration::from_millis(*back_after_ms)).await;
                Handle::current().restart(leader.as_str());
                self.servers.note(&leader, "restarted", "");
            }
            Step::FreezeLeader { ms } => {
                let leader = self.leader().await;
                Handle::current().pause(leader.as_str());
                self.servers.note(&leader, "frozen", "");
                madsim::time::sleep(Duration::from_millis(*ms)).await;
                Handle::current().resume(leader.as_str());
                self.servers.note(&leader, "resumed", "");
            }
        }
        Ok(())
    }

    /// The replica that the Lease names; waits until it names one.
    async fn leader(&self) -> String {
        loop {
            let holder = self.servers.lease_holder();
            let name = holder.as_deref().and_then(|holder| holder.split('_').next());
            if let Some(name) = name.filter(|name| self.replicas.contains_key(*name)) {
                return name.to_owned();
            }
            madsim::time::sleep(TICK).await;
        }
    }

    async fn converge(&self) -> Result<(), String> {
        let mut waited = Duration::ZERO;
        loop {
            let missing = self.missing();
            match missing {
                None => return Ok(()),
                Some(why) if waited >= CONVERGE_WITHIN => return Err(why),
                Some(_) => {}
            }
            madsim::time::sleep(TICK).await;
            waited += TICK;
        }
    }

    /// The first thing that is not as the users want it.
    fn missing(&self) -> Option<String> {
        let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments");
        let (_, list) = self.servers.user(Method::GET, &path, &Value::Null);
        let found: BTreeMap<&str, u64> = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|item| {
                let name = item.pointer("/metadata/name")?.as_str()?;
                Some((name, item.pointer("/spec/replicas")?.as_u64()?))
            })
            .collect();
        for (name, running) in &self.wanted {
            let deployment = format!("{name}-runtime");
            let replicas = u64::from(*running);
            if found.get(deployment.as_str()) != Some(&replicas) {
                let seen = found.get(deployment.as_str());
                return Some(format!("{deployment}: expected {replicas} replicas, found {seen:?}"));
            }
        }
        (found.len() != self.wanted.len())
            .then(|| format!("more Deployments than Agents: {found:?}"))
    }
}

fn agents_path() -> String {
    format!("/apis/universe.ai/v1alpha1/namespaces/{NAMESPACE}/agents")
}

fn agent(name: &str, running: bool) -> Value {
    json!({
        "apiVersion": "universe.ai/v1alpha1",
        "kind": "Agent",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "operatingMode": if running { "Running" } else { "Suspended" } },
    })
}

fn api_server() -> Result<ApiServer, String> {
    let options = rynxs_apiserver::Options {
        start_ms: wall_ms(),
        tokens: BTreeMap::from([(TOKEN.to_owned(), User::new(OPERATOR))]),
        namespaces: ["default", "kube-system", "rynxs", NAMESPACE].map(str::to_owned).to_vec(),
        ..rynxs_apiserver::Options::default()
    };
    let api = ApiServer::new(options);
    let files = [
        include_str!("../../helm/rynxs/crds/agents.universe.ai.yaml"),
        include_str!("../../helm/rynxs/crds/sessions.universe.ai.yaml"),
        include_str!("../../helm/rynxs/files/admission-policies.yaml"),
        include_str!("../../helm/rynxs/files/rbac.yaml"),
    ];
    for file in files {
        let text = file.replace("RELEASE_NAMESPACE", "rynxs").replace("SERVICE_ACCOUNT", "rynxs");
        api.load(&text).map_err(|error| error.to_string())?;
    }
    Ok(api)
}

fn config(name: &str, replicas: u32) -> Config {
    let mut config = Config { identity_prefix: name.to_owned(), replicas, ..Config::default() };
    config.log_sink.store = Store::S3(S3Store {
        endpoint: Some("http://s3.rynxs.svc:9000".to_owned()),
        bucket: BUCKET.to_owned(),
        prefix: PREFIX.to_owned(),
        region: "us-east-1".to_owned(),
        path_style: true,
        access_key: Secret::new("key"),
        secret_key: Secret::new("secret"),
        session_token: None,
        checksum: rynxs_core::config::Checksum::Sha256,
    });
    config
}

fn replica(
    handle: &Handle,
    name: &str,
    rate_ppm: i64,
    servers: &Servers,
    servers_node: &NodeHandle,
) -> NodeHandle {
    let (name, servers, servers_node) = (name.to_owned(), servers.clone(), servers_node.clone());
    handle
        .create_node()
        .name(name.clone())
        .init(move || {
            let (name, servers) = (name.clone(), servers.clone());
            let ports = Ports {
                clock: Arc::new(NodeClock::new(rate_ppm, 0)),
                network: Arc::new(NodeNetwork {
                    node: name.clone(),
                    servers: servers.clone(),
                    servers_node: servers_node.clone(),
                    token: TOKEN.to_owned(),
                }),
                storage: Arc::new(NoDisk),
                entropy: Arc::new(SeededEntropy),
            };
            async move {
                let config = config(&name, 3);
                let never = futures::future::pending().boxed();
                let end = rynxs_operator::run(ports, config, Arc::new(Silent), never).await;
                servers.note(&name, "exited", &format!("{end:?}"));
            }
        })
        .build()
}
