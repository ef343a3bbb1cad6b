//! Everything that the demo starts, in one value: two servers, replicas, a user, a folder.
//!
//! Dropping it ends everything: replicas are killed, sockets closed. The folder stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rynxs_apiserver::ApiServer;
use rynxs_operator::ports::Entropy;
use rynxs_s3::{BucketOptions, ConditionalPuts, Identity, S3Model};
use serde_json::Value;

use crate::adapters::OsEntropy;
use crate::cli::{Exit, Failure, Location};

use super::follow::Follower;
use super::host::{ApiBackend, Host, StoreBackend, now_ms};
use super::mirror::Mirror;
use super::replica::{Replica, ReplicaPlan};
use super::story::Story;
use super::trouble::Trouble;
use super::user::{User, text};

/// Namespace that the operator is installed in.
pub const HOME: &str = "rynxs";
/// Name of the operator's service account.
pub const ACCOUNT: &str = "rynxs";
/// Bucket of the log.
pub const BUCKET: &str = "rynxs-events";
/// Prefix of the log.
pub const PREFIX: &str = "events";

/// Policies and roles as the chart installs them.
const POLICIES: &str = include_str!("../../../../helm/rynxs/files/admission-policies.yaml");
const ROLES: &str = include_str!("../../../../helm/rynxs/files/rbac.yaml");

/// Times of the Lease as settings: L, R, P, Q, G.
pub type Lease = [(&'static str, &'static str); 5];

/// Times of the Lease in the demo: shorter than the defaults so that two take-overs fit into a
/// coffee break, and valid by the same rules: (R+G)·1.05² = 7.7 s < L, 1.2·P+Q = 3.2 s < R.
pub const SHORT_LEASE: Lease = [
    ("LEADER_ELECTION_LEASE_DURATION", "8s"),
    ("LEADER_ELECTION_RENEW_DEADLINE", "5s"),
    ("LEADER_ELECTION_RETRY_PERIOD", "1s"),
    ("LEADER_ELECTION_REQUEST_TIMEOUT", "2s"),
    ("LEADER_ELECTION_STOP_GRACE", "2s"),
];

/// The defaults of a real installation.
pub const DEFAULT_LEASE: Lease = [
    ("LEADER_ELECTION_LEASE_DURATION", "15s"),
    ("LEADER_ELECTION_RENEW_DEADLINE", "10s"),
    ("LEADER_ELECTION_RETRY_PERIOD", "2s"),
    ("LEADER_ELECTION_REQUEST_TIMEOUT", "2s"),
    ("LEADER_ELECTION_STOP_GRACE", "3s"),
];

/// How often a wait looks whether it is in vain.
const LOOK: Duration = Duration::from_millis(20);

/// Where the log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum EventStore {
    /// The embedded S3.
    S3,
    /// Files in the demo's folder; one replica.
    File,
}

/// How a world is made.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The `rynxs` binary that replicas run.
    pub binary: PathBuf,
    /// Folder for the kubeconfig, logs and the event log.
    pub folder: PathBuf,
    /// Port of the API server, 0 for any.
    pub api_port: u16,
    /// Port of S3, 0 for any.
    pub s3_port: u16,
    /// Where the log is kept.
    pub event_store: EventStore,
    /// How many replicas are started.
    pub replicas: u32,
    /// Drives the uids of the model.
    pub seed: u64,
    /// What the admission policies do; off only to show that they matter.
    pub policies: bool,
    /// Times of the Lease.
    pub lease: Lease,
    /// More settings of the replicas.
    pub environment: Vec<(String, String)>,
}

/// Two servers, replicas, a user, a folder.
pub struct World {
    /// How it was made.
    pub plan: Plan,
    /// The Kubernetes model.
    pub api: ApiServer,
    /// Where it listens.
    pub api_host: Host,
    /// The S3 model and where it listens.
    pub store: Option<(S3Model, Host)>,
    /// The copy of the bucket's log in the folder.
    pub mirror: Option<Mirror>,
    /// Somebody with the kubeconfig.
    pub user: User,
    /// The replicas, in the order of their start.
    pub replicas: Vec<Replica>,
    /// The most memory that one of those held which were killed, KiB.
    dead_held_kib: Option<u64>,
    /// Tells what happens.
    pub story: Story,
    replica_plan: ReplicaPlan,
    /// The reader's keys: requests with them are not counted.
    reader: (String, String),
    /// Why the demo cannot go on, found out by whoever writes to the folder.
    trouble: Trouble,
}

impl World {
    /// Starts the servers, installs what the chart would install, writes the kubeconfigs. No
    /// replica runs yet.
    pub async fn start(plan: Plan, story: Story) -> Result<Self, Failure> {
        let log = log_folder(&plan.folder)?;
        let token = secret();
        let api = api_server(&plan, &token);
        install(&api)?;
        let mut api_host =
            listen("API server", Arc::new(ApiBackend(api.clone())), plan.api_port, "--api-port")
                .await?;
        api_host.keep_time(api.clone());
        let (keys, reader) = (("demo".to_owned(), secret()), ("demo-reader".to_owned(), secret()));
        let trouble = Trouble::none();
        let (mut store, mut mirror) = (None, None);
        if plan.event_store == EventStore::S3 {
            let model = object_store(&plan, &[&keys, &reader]);
            let copy = Mirror::new(log, trouble.clone());
            let backend = StoreBackend {
                model: model.clone(),
                mirror: copy.clone(),
                reader: reader.0.clone(),
            };
            let host = listen("S3", Arc::new(backend), plan.s3_port, "--s3-port").await?;
            (store, mirror) = (Some((model, host)), Some(copy));
        }
        let kubeconfig = plan.folder.join("kubeconfig");
        write(&kubeconfig, &kubeconfig_text(&api_host.url(), None))?;
        let theirs = plan.folder.join("operator.kubeconfig");
        write(&theirs, &kubeconfig_text(&api_host.url(), Some(&token)))?;
        let user = User::connect(&kubeconfig).await?;
        let replica_plan = ReplicaPlan {
            binary: plan.binary.clone(),
            folder: plan.folder.clone(),
            arguments: vec!["--kubeconfig".to_owned(), theirs.display().to_string()],
            environment: environment(&plan, store.as_ref().map(|(_, host)| host), &keys),
            trouble: trouble.clone(),
        };
        Ok(Self {
            plan,
            api,
            api_host,
            store,
            mirror,
            user,
            replicas: Vec::new(),
            dead_held_kib: None,
            story,
            replica_plan,
            reader,
            trouble,
        })
    }

    /// Path of the kubeconfig for people.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.plan.folder.join("kubeconfig")
    }

    /// Kills a replica with SIGKILL; returns its name.
    pub async fn kill_replica(&mut self, index: usize) -> Result<String, Failure> {
        let mut dead = self.replicas.remove(index);
        // The kernel forgets the peak with the process.
        self.dead_held_kib = self.dead_held_kib.max(dead.peak_memory_kib());
        dead.kill().await?;
        Ok(dead.name().to_owned())
    }

    /// The most memory that one of the replicas has held so far, dead or alive, KiB.
    #[must_use]
    pub fn peak_memory_kib(&self) -> Option<u64> {
        let living = self.replicas.iter().filter_map(Replica::peak_memory_kib).max();
        living.max(self.dead_held_kib)
    }

    /// Starts one replica and waits until it serves probes.
    pub async fn start_replica(&mut self, name: &str) -> Result<(), Failure> {
        let mut replica = Replica::start(&self.replica_plan, name)?;
        replica.address().await?;
        self.replicas.push(replica);
        Ok(())
    }

    /// Gives replicas that start from now on another setting.
    pub fn set(&mut self, variable: &str, value: &str) {
        let environment = &mut self.replica_plan.environment;
        environment.retain(|(name, _)| name != variable);
        environment.push((variable.to_owned(), value.to_owned()));
    }

    /// Where the log is.
    #[must_use]
    pub fn location(&self) -> Location {
        match self.plan.event_store {
            EventStore::File => Location::Directory(self.plan.folder.join("log")),
            EventStore::S3 => {
                Location::Bucket { bucket: BUCKET.to_owned(), prefix: PREFIX.to_owned() }
            }
        }
    }

    /// The bucket's settings, if the log is in one.
    #[must_use]
    pub fn bucket(&self) -> Option<rynxs_core::config::S3Store> {
        let (_, host) = self.store.as_ref()?;
        Some(rynxs_core::config::S3Store {
            endpoint: Some(host.url()),
            bucket: BUCKET.to_owned(),
            prefix: PREFIX.to_owned(),
            region: "us-east-1".to_owned(),
            path_style: true,
            access_key: rynxs_core::config::Secret::new(&self.reader.0),
            secret_key: rynxs_core::config::Secret::new(&self.reader.1),
            session_token: None,
            checksum: rynxs_core::config::Checksum::Sha256,
        })
    }

    /// A reader of the log from its beginning.
    pub fn follow(&self) -> Result<Follower, Failure> {
        Follower::new(&self.location(), self.bucket())
    }

    /// Waits until a replica holds the Lease and has opened an epoch; says which.
    pub async fn leader(
        &mut self,
        log: &mut Follower,
        patience: Duration,
    ) -> Result<usize, Failure> {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases/rynxs-leader");
        let until = Instant::now() + patience;
        loop {
            log.catch_up().await?;
            let lease = self.user.read(&path).await?.unwrap_or(Value::Null);
            let holder = text(&lease, "/spec/holderIdentity");
            let opened = log.epochs().last().is_some_and(|epoch| epoch.identity == holder);
            if opened && let Some(index) = self.replicas.iter().position(|one| one.is(holder)) {
                return Ok(index);
            }
            self.wait_a_little(until, "a replica leads").await?;
        }
    }

    /// One step of a wait: fails when the time is over or nothing can come of it any more.
    pub async fn wait_a_little(&mut self, until: Instant, what: &str) -> Result<(), Failure> {
        self.must_go_on(until, what).await?;
        tokio::time::sleep(LOOK).await;
        Ok(())
    }

    /// Fails when the time is over, a replica has ended by itself, or the folder cannot be written.
    pub async fn must_go_on(&mut self, until: Instant, what: &str) -> Result<(), Failure> {
        self.trouble.check()?;
        for replica in &mut self.replicas {
            if let Err(failure) = replica.must_run().await {
                // Why it ended may be known better: its last lines are read by now.
                return Err(self.trouble.check().err().unwrap_or(failure));
            }
        }
        if Instant::now() >= until {
            let folder = self.plan.folder.display();
            return Err(Failure::new(Exit::Refuted, format!("waited in vain until {what}"))
                .fix(format!("read the replicas' logs in {folder}")));
        }
        Ok(())
    }

    /// Waits until something keeps the demo from going on.
    pub async fn trouble(&self) -> Failure {
        self.trouble.wait().await
    }
}

/// Makes the folder, and in it the one for the log, which must be empty: records of an earlier run
/// would stand among those of this one.
fn log_folder(folder: &Path) -> Result<PathBuf, Failure> {
    let log = folder.join("log");
    let made = |path: &Path, error: &std::io::Error| {
        let failure = Failure::io(&format!("create the folder {}", path.display()), error);
        match &failure.fix {
            Some(_) => failure,
            None => failure.fix("choose another folder with --dir"),
        }
    };
    std::fs::create_dir_all(&log).map_err(|error| made(&log, &error))?;
    let mut entries = std::fs::read_dir(&log).map_err(|error| made(&log, &error))?;
    if entries.next().is_some() {
        return Err(Failure::new(
            Exit::Config,
            format!("{} is not empty: it holds the log of an earlier run", log.display()),
        )
        .fix("choose another folder with --dir, or remove this one"));
    }
    Ok(log)
}

fn api_server(plan: &Plan, token: &str) -> ApiServer {
    let operator = rynxs_apiserver::User::new(&format!("system:serviceaccount:{HOME}:{ACCOUNT}"));
    ApiServer::new(rynxs_apiserver::Options {
        seed: plan.seed,
        policies: plan.policies,
        start_ms: now_ms(),
        tokens: [(token.to_owned(), operator)].into(),
        ..rynxs_apiserver::Options::default()
    })
}

/// What `helm install` would bring.
fn install(api: &ApiServer) -> Result<(), Failure> {
    let named =
        |text: &str| text.replace("RELEASE_NAMESPACE", HOME).replace("SERVICE_ACCOUNT", ACCOUNT);
    for (what, yaml) in [
        ("resource definitions", rynxs_core::crd::all_yaml()),
        ("admission policies", named(POLICIES)),
        ("roles", named(ROLES)),
    ] {
        api.load(&yaml).map_err(|error| Failure::new(Exit::Bug, format!("{what}: {error}")))?;
    }
    Ok(())
}

fn object_store(plan: &Plan, keys: &[&(String, String)]) -> S3Model {
    S3Model::new(rynxs_s3::Options {
        seed: plan.seed,
        conditional_puts: ConditionalPuts::Atomic,
        identities: keys.iter().map(|(id, key)| Identity::root(id, key)).collect(),
        buckets: vec![BucketOptions::new(BUCKET)],
        ..rynxs_s3::Options::default()
    })
}

async fn listen(
    what: &str,
    backend: Arc<dyn super::host::Backend>,
    port: u16,
    flag: &str,
) -> Result<Host, Failure> {
    Host::start(backend, port).await.map_err(|error| {
        Failure::io(&format!("listen on 127.0.0.1:{port} for the {what} ({flag})"), &error)
    })
}

/// The settings of a replica.
fn environment(
    plan: &Plan,
    s3: Option<&Host>,
    (id, key): &(String, String),
) -> Vec<(String, String)> {
    let mut environment: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: &str| environment.push((name.to_owned(), value.to_owned()));
    set("POD_NAMESPACE", HOME);
    set("REPLICAS", &plan.replicas.to_string());
    set("METRICS_ADDRESS", "127.0.0.1");
    set("METRICS_PORT", "0");
    set("LOG_FORMAT", "json");
    for (name, value) in plan.lease {
        set(name, value);
    }
    match s3 {
        Some(host) => {
            set("EVENT_STORE_TYPE", "s3");
            set("S3_ENDPOINT", &host.url());
            set("S3_BUCKET", BUCKET);
            set("S3_PREFIX", PREFIX);
            set("AWS_ACCESS_KEY_ID", id);
            set("AWS_SECRET_ACCESS_KEY", key);
        }
        None => {
            set("EVENT_STORE_TYPE", "file");
            set("EVENT_STORE_PATH", &plan.folder.join("log").display().to_string());
        }
    }
    environment.extend(plan.environment.iter().cloned());
    environment
}

/// A kubeconfig for a server on loopback; without a token whoever uses it is the administrator.
fn kubeconfig_text(url: &str, token: Option<&str>) -> String {
    let user = match token {
        Some(token) => format!("{{token: {token}}}"),
        None => "{}".to_owned(),
    };
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: rynxs-demo\n\
         clusters: [{{name: rynxs-demo, cluster: {{server: \"{url}\"}}}}]\n\
         users: [{{name: rynxs-demo, user: {user}}}]\n\
         contexts: [{{name: rynxs-demo, context: {{cluster: rynxs-demo, user: rynxs-demo}}}}]\n"
    )
}

/// Writes a file that only this user may read: some hold tokens.
pub(super) fn write(path: &Path, content: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .map_err(|error| Failure::io(&format!("write {}", path.display()), &error))
}

fn secret() -> String {
    let mut bytes = [0; 20];
    OsEntropy.fill(&mut bytes);
    hex::encode(bytes)
}
