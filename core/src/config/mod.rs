//! Every setting of the operator, with defaults and one validation that finds all mistakes.
//!
//! The serialised form uses the names of the chart's values (`leaderElection.leaseDuration`,
//! `logSink.s3.bucket`), so an error names what a person wrote. The timing rules are what I7
//! stands on: see [`validate`](Config::validate).

mod error;
mod names;
mod secret;
mod sink;
pub mod span;
mod timing;
mod validate;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use error::{ConfigError, list};
pub use secret::{REDACTED, Secret};

use crate::event::DecisionSettings;

/// Every setting of one replica.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Version of the binary, written into `EpochStarted`.
    pub build: String,
    /// Name of the pod; a term's identity is this, `_`, and a UUID drawn for the term.
    pub identity_prefix: String,
    /// How many replicas the installation runs: some settings allow only one.
    pub replicas: u32,
    /// Namespaces whose Agents and Sessions are run; empty means all.
    pub namespaces: Vec<String>,
    /// The Lease and its timing.
    pub leader_election: LeaderElection,
    /// Where the log is.
    pub log_sink: LogSink,
    /// How records are formed and sent.
    pub append: Append,
    /// How the cluster is brought to what was decided.
    pub reconcile: Reconcile,
    /// What decisions read; written into `EpochStarted`.
    pub decisions: DecisionSettings,
    /// Longest time for draining, settling the last append and releasing the Lease when asked to
    /// stop. Keep it below the pod's `terminationGracePeriodSeconds`.
    #[serde(with = "span")]
    pub shutdown_timeout: Duration,
}

/// The Lease and its timing. In formulas: L lease duration, R renew deadline, P retry period,
/// Q request timeout, G stop grace, ρ clock rate error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LeaderElection {
    /// Off: this one replica always leads, and nothing but the log keeps a second one out.
    pub enabled: bool,
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub lease_name: String,
    /// L: how long the others wait after the last change of the Lease. Whole seconds.
    #[serde(with = "span")]
    pub lease_duration: Duration,
    /// R: how long a leader acts after the moment *before* its last successful renewal was sent.
    #[serde(with = "span")]
    pub renew_deadline: Duration,
    /// P: time between renewals, and between attempts.
    #[serde(with = "span")]
    pub retry_period: Duration,
    /// Q: longest wait for one answer about the Lease.
    #[serde(with = "span")]
    pub request_timeout: Duration,
    /// G: time within which everything that led has stopped after its validity ended.
    #[serde(with = "span")]
    pub stop_grace: Duration,
    /// ρ in millionths: how much faster or slower than true time a replica's monotonic clock may
    /// run. 50,000 is 5 %.
    pub clock_rate_error_ppm: u32,
}

/// The log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "sink::Written", into = "sink::Written")]
pub struct LogSink {
    /// Where.
    pub store: Store,
    /// What to do if the log is empty but stamped objects exist.
    pub on_missing_log: OnMissingLog,
}

/// Kinds of log stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// Segment files in a directory: one replica only.
    File(FileStore),
    /// Objects in a bucket.
    S3(S3Store),
}

/// A log in local files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileStore {
    /// The directory, relative to the storage root.
    pub dir: String,
}

/// A log in a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3Store {
    /// `http(s)://host[:port]`; none is AWS in `region`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The bucket.
    pub bucket: String,
    /// Keys are `{prefix}/{seq:010}.json`.
    #[serde(default = "default_prefix")]
    pub prefix: String,
    /// Region that requests are signed for.
    #[serde(default = "default_region")]
    pub region: String,
    /// `endpoint/bucket/key` in place of `bucket.endpoint/key`; most other stores than AWS need it.
    #[serde(default)]
    pub path_style: bool,
    /// Access key id.
    pub access_key: Secret,
    /// Secret access key.
    pub secret_key: Secret,
    /// Session token of temporary credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<Secret>,
    /// What the store checks the bytes of a PUT against.
    #[serde(default)]
    pub checksum: Checksum,
}

/// Checksums of a PUT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Checksum {
    /// `x-amz-checksum-sha256`.
    #[default]
    Sha256,
    /// None, for stores that refuse the header.
    Off,
}

/// What to do if the log is empty but stamped objects exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnMissingLog {
    /// Say so and stay not ready.
    #[default]
    Refuse,
    /// Start a new log above every stamp found and take the objects over.
    Adopt,
}

/// How records are formed and sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Append {
    /// K: most events in one record.
    pub max_events: u32,
    /// Most bytes of one record; a larger single event goes alone.
    pub max_bytes: u32,
    /// How long an open record waits for more events when nothing is in flight.
    #[serde(with = "span")]
    pub flush_delay: Duration,
    /// Longest wait for one answer of the store.
    #[serde(with = "span")]
    pub request_timeout: Duration,
    /// How long an append may stay unknown before leadership ends and a takeover settles it.
    #[serde(with = "span")]
    pub deadline: Duration,
}

/// How the cluster is brought to what was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Reconcile {
    /// Most subjects worked on at once.
    pub concurrency: u32,
    /// First wait after a failure.
    #[serde(with = "span")]
    pub backoff_min: Duration,
    /// Longest wait after failures.
    #[serde(with = "span")]
    pub backoff_max: Duration,
    /// Longest wait for one answer of the API server (but the Lease's).
    #[serde(with = "span")]
    pub request_timeout: Duration,
    /// How often everything is compared afresh although no watch said anything.
    #[serde(with = "span")]
    pub resync: Duration,
}

fn default_prefix() -> String {
    "events".to_owned()
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

impl Default for Config {
    fn default() -> Self {
        Self {
            build: env!("CARGO_PKG_VERSION").to_owned(),
            identity_prefix: "rynxs".to_owned(),
            replicas: 1,
            namespaces: Vec::new(),
            leader_election: LeaderElection::default(),
            log_sink: LogSink::default(),
            append: Append::default(),
            reconcile: Reconcile::default(),
            decisions: DecisionSettings {
                default_image: "ghcr.io/rynxs/agent-runtime:v0.1.0".to_owned(),
                default_storage_class: String::new(),
                session_max_duration_s: 24 * 3600,
            },
            shutdown_timeout: Duration::from_secs(20),
        }
    }
}

impl Default for LeaderElection {
    fn default() -> Self {
        Self {
            enabled: true,
            namespace: "rynxs".to_owned(),
            lease_name: "rynxs-leader".to_owned(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            request_timeout: Duration::from_secs(2),
            stop_grace: Duration::from_secs(3),
            clock_rate_error_ppm: 50_000,
        }
    }
}

impl Default for LogSink {
    fn default() -> Self {
        Self {
            store: Store::File(FileStore { dir: "log".to_owned() }),
            on_missing_log: OnMissingLog::Refuse,
        }
    }
}

impl Default for Append {
    fn default() -> Self {
        Self {
            max_events: 64,
            max_bytes: 1 << 20,
            flush_delay: Duration::ZERO,
            request_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(30),
        }
    }
}

impl Default for Reconcile {
    fn default() -> Self {
        Self {
            concurrency: 16,
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_secs(60),
            request_timeout: Duration::from_secs(5),
            resync: Duration::from_secs(600),
        }
    }
}

impl Config {
    /// All mistakes at once, or none.
    ///
    /// # Errors
    /// Each error names the setting, its value, the broken rule with its numbers and by how much,
    /// and the fix.
    pub fn validate(&self) -> Result<(), Vec<ConfigError>> {
        let mut errors = Vec::new();
        timing::check(&self.leader_election, self.shutdown_timeout, &mut errors);
        validate::check(self, &mut errors);
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}
