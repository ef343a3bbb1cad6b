//! Settings of the operator as flags and environment variables.
//!
//! One struct per concern, each flattened into `rynxs operator --help`; together they become one
//! `rynxs_core::config::Config`, whose validation has the last word.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueEnum};
use rynxs_core::config::{
    Append, Checksum, Config, FileStore, LeaderElection, LogSink, OnMissingLog, Reconcile, S3Store,
    Secret, Store,
};
use rynxs_core::event::DecisionSettings;

use super::exit::{Exit, Failure};
use super::values::duration;

/// Kinds of event logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StoreType {
    /// Files in a directory: one replica only.
    File,
    /// Objects in a bucket.
    S3,
}

/// What a PUT is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ChecksumKind {
    /// `x-amz-checksum-sha256`.
    Sha256,
    /// Nothing, for stores that refuse the header.
    Off,
}

/// What to do if the log is empty but its objects exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MissingLog {
    /// Say so and stay not ready.
    Refuse,
    /// Start a new log above every stamp found and take the objects over.
    Adopt,
}

/// The bucket and how to sign for it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Bucket")]
pub struct BucketArgs {
    /// Address of the object store, http(s)://host[:port]; AWS if unset
    #[arg(long, env = "S3_ENDPOINT", value_name = "URL")]
    pub s3_endpoint: Option<String>,
    /// Region that requests are signed for
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1", value_name = "REGION")]
    pub s3_region: String,
    /// Name the bucket in the path instead of the host; on by default if an endpoint is set
    #[arg(long, env = "S3_PATH_STYLE", value_name = "BOOL", num_args = 0..=1,
          default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub s3_path_style: Option<bool>,
    /// What the store checks the bytes of a PUT against
    #[arg(long, env = "S3_CHECKSUM", value_enum, default_value_t = ChecksumKind::Sha256)]
    pub s3_checksum: ChecksumKind,
    /// PEM file of certificate authorities to trust besides the system's
    #[arg(long, env = "AWS_CA_BUNDLE", value_name = "FILE")]
    pub s3_ca_bundle: Option<PathBuf>,
    /// Access key id; better set in the environment
    #[arg(
        long,
        env = "AWS_ACCESS_KEY_ID",
        hide_env_values = true,
        value_name = "ID",
        default_value = "",
        hide_default_value = true
    )]
    pub s3_access_key_id: String,
    /// Secret access key; better set in the environment, where other users cannot see it
    #[arg(
        long,
        env = "AWS_SECRET_ACCESS_KEY",
        hide_env_values = true,
        value_name = "KEY",
        default_value = "",
        hide_default_value = true
    )]
    pub s3_secret_access_key: String,
    /// Session token of temporary credentials
    #[arg(long, env = "AWS_SESSION_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub s3_session_token: Option<String>,
}

impl BucketArgs {
    /// Refuses what no store can be asked with, before it is asked.
    pub fn must_be_set(&self) -> Result<(), Failure> {
        for (value, flag, variable) in [
            (&self.s3_access_key_id, "--s3-access-key-id", "AWS_ACCESS_KEY_ID"),
            (&self.s3_secret_access_key, "--s3-secret-access-key", "AWS_SECRET_ACCESS_KEY"),
        ] {
            if value.is_empty() {
                let why = format!("no credentials for the bucket: {variable} ({flag}) is not set");
                return Err(Failure::new(Exit::Config, why)
                    .fix("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"));
            }
        }
        let endpoint = self.s3_endpoint.as_deref().unwrap_or("https://");
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            let why =
                format!("S3_ENDPOINT (--s3-endpoint) {endpoint:?} has no http:// or https://");
            return Err(Failure::new(Exit::Config, why)
                .fix(format!("write http://{endpoint} or https://{endpoint}")));
        }
        Ok(())
    }

    /// The store's settings for one bucket and prefix.
    #[must_use]
    pub fn store(&self, bucket: &str, prefix: &str) -> S3Store {
        S3Store {
            endpoint: self.s3_endpoint.clone(),
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            region: self.s3_region.clone(),
            path_style: self.s3_path_style.unwrap_or(self.s3_endpoint.is_some()),
            access_key: Secret::new(&self.s3_access_key_id),
            secret_key: Secret::new(&self.s3_secret_access_key),
            session_token: self.s3_session_token.as_deref().map(Secret::new),
            checksum: match self.s3_checksum {
                ChecksumKind::Sha256 => Checksum::Sha256,
                ChecksumKind::Off => Checksum::Off,
            },
        }
    }
}

/// Where the event log is.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Event log")]
pub struct LogArgs {
    /// Where the event log is kept; files allow one replica only
    #[arg(long, env = "EVENT_STORE_TYPE", value_enum, default_value_t = StoreType::File)]
    pub event_store_type: StoreType,
    /// Directory of the log, for type file
    #[arg(
        long,
        env = "EVENT_STORE_PATH",
        default_value = "/var/lib/rynxs/log",
        value_name = "DIR"
    )]
    pub event_store_path: PathBuf,
    /// Bucket of the log, for type s3
    #[arg(
        long,
        env = "S3_BUCKET",
        default_value = "",
        hide_default_value = true,
        value_name = "BUCKET"
    )]
    pub s3_bucket: String,
    /// Keys of the log are PREFIX/0000000000.json and so on
    #[arg(long, env = "S3_PREFIX", default_value = "events", value_name = "PREFIX")]
    pub s3_prefix: String,
    /// What to do if the log is empty but objects that came from a log exist
    #[arg(long, env = "ON_MISSING_LOG", value_enum, default_value_t = MissingLog::Refuse)]
    pub on_missing_log: MissingLog,
    /// Most events in one record
    #[arg(long, env = "APPEND_MAX_EVENTS", default_value_t = 64, value_name = "N")]
    pub append_max_events: u32,
    /// Most bytes of one record
    #[arg(long, env = "APPEND_MAX_BYTES", default_value_t = 1 << 20, value_name = "BYTES")]
    pub append_max_bytes: u32,
    /// How long an open record waits for more events when nothing is in flight
    #[arg(long, env = "APPEND_FLUSH_DELAY", default_value = "0s",
          value_parser = duration, value_name = "SPAN")]
    pub append_flush_delay: Duration,
    /// Longest wait for one answer of the store
    #[arg(long, env = "APPEND_REQUEST_TIMEOUT", default_value = "5s",
          value_parser = duration, value_name = "SPAN")]
    pub append_request_timeout: Duration,
    /// How long an append may stay unknown before leadership ends
    #[arg(long, env = "APPEND_DEADLINE", default_value = "30s",
          value_parser = duration, value_name = "SPAN")]
    pub append_deadline: Duration,
}

impl LogArgs {
    /// The directory that holds the log's, and the log's name in it.
    pub fn root_and_name(&self) -> Result<(PathBuf, String), Failure> {
        let path = std::path::absolute(&self.event_store_path)
            .map_err(|error| Failure::io("event store path", &error))?;
        let wrong = || {
            Failure::new(
                Exit::Config,
                format!(
                    "event store path {}: no directory of that name can hold a log",
                    path.display()
                ),
            )
            .fix("set EVENT_STORE_PATH to a directory such as /var/lib/rynxs/log")
        };
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(wrong)?;
        let root = path.parent().map(Path::to_owned).ok_or_else(wrong)?;
        Ok((root, name.to_owned()))
    }

    fn sink(&self, bucket: &BucketArgs) -> Result<LogSink, Failure> {
        let store = match self.event_store_type {
            StoreType::File => Store::File(FileStore { dir: self.root_and_name()?.1 }),
            StoreType::S3 => Store::S3(bucket.store(&self.s3_bucket, &self.s3_prefix)),
        };
        let on_missing_log = match self.on_missing_log {
            MissingLog::Refuse => OnMissingLog::Refuse,
            MissingLog::Adopt => OnMissingLog::Adopt,
        };
        Ok(LogSink { store, on_missing_log })
    }

    fn append(&self) -> Append {
        Append {
            max_events: self.append_max_events,
            max_bytes: self.append_max_bytes,
            flush_delay: self.append_flush_delay,
            request_timeout: self.append_request_timeout,
            deadline: self.append_deadline,
        }
    }
}

/// The Lease and its timing.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Leader election")]
pub struct ElectionArgs {
    /// Elect a leader by a Lease; off means that this one replica always leads
    #[arg(long, env = "LEADER_ELECTION_ENABLED", default_value_t = true, value_name = "BOOL",
          num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set,
          value_parser = BoolishValueParser::new())]
    pub leader_election_enabled: bool,
    /// Namespace of the Lease [default: the pod's namespace]
    #[arg(long, env = "LEADER_ELECTION_NAMESPACE", value_name = "NAMESPACE")]
    pub leader_election_namespace: Option<String>,
    /// Name of the Lease; RBAC names it too
    #[arg(
        long,
        env = "LEADER_ELECTION_LEASE_NAME",
        default_value = "rynxs-leader",
        value_name = "NAME"
    )]
    pub leader_election_lease_name: String,
    /// How long others wait after the Lease's last change; whole seconds
    #[arg(long, env = "LEADER_ELECTION_LEASE_DURATION", default_value = "15s",
          value_parser = duration, value_name = "SPAN")]
    pub leader_election_lease_duration: Duration,
    /// How long a leader acts after its last renewal was sent
    #[arg(long, env = "LEADER_ELECTION_RENEW_DEADLINE", default_value = "10s",
          value_parser = duration, value_name = "SPAN")]
    pub leader_election_renew_deadline: Duration,
    /// Time between renewals, and between attempts
    #[arg(long, env = "LEADER_ELECTION_RETRY_PERIOD", default_value = "2s",
          value_parser = duration, value_name = "SPAN")]
    pub leader_election_retry_period: Duration,
    /// Longest wait for one answer about the Lease
    #[arg(long, env = "LEADER_ELECTION_REQUEST_TIMEOUT", default_value = "2s",
          value_parser = duration, value_name = "SPAN")]
    pub leader_election_request_timeout: Duration,
    /// Time in which everything that led has stopped after its validity ended
    #[arg(long, env = "LEADER_ELECTION_STOP_GRACE", default_value = "3s",
          value_parser = duration, value_name = "SPAN")]
    pub leader_election_stop_grace: Duration,
    /// How far monotonic clocks may run too fast or too slow, in millionths
    #[arg(
        long,
        env = "LEADER_ELECTION_CLOCK_RATE_ERROR_PPM",
        default_value_t = 50_000,
        value_name = "PPM"
    )]
    pub leader_election_clock_rate_error_ppm: u32,
}

/// Who this replica is and what it works on.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Replica")]
pub struct ReplicaArgs {
    /// Name of this pod, the first part of a term's identity [default: the host's name]
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub pod_name: Option<String>,
    /// Namespace of this pod [default: that of the kubeconfig or service account]
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub pod_namespace: Option<String>,
    /// How many replicas the installation runs; some settings allow only one
    #[arg(long, env = "REPLICAS", default_value_t = 1, value_name = "N")]
    pub replicas: u32,
    /// Namespaces whose Agents and Sessions are run, separated by commas; all if unset
    #[arg(long, env = "WATCH_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACES")]
    pub watch_namespaces: Vec<String>,
    /// Longest time for draining, settling the last append and releasing the Lease
    #[arg(long, env = "SHUTDOWN_TIMEOUT", default_value = "20s",
          value_parser = duration, value_name = "SPAN")]
    pub shutdown_timeout: Duration,
}

/// How the cluster is brought to what was decided.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Reconciling")]
pub struct ReconcileArgs {
    /// Most Agents and Sessions worked on at once
    #[arg(long, env = "RECONCILE_CONCURRENCY", default_value_t = 16, value_name = "N")]
    pub reconcile_concurrency: u32,
    /// First wait after a failure
    #[arg(long, env = "RECONCILE_BACKOFF_MIN", default_value = "200ms",
          value_parser = duration, value_name = "SPAN")]
    pub reconcile_backoff_min: Duration,
    /// Longest wait after failures
    #[arg(long, env = "RECONCILE_BACKOFF_MAX", default_value = "1m",
          value_parser = duration, value_name = "SPAN")]
    pub reconcile_backoff_max: Duration,
    /// Longest wait for one answer of the API server
    #[arg(long, env = "RECONCILE_REQUEST_TIMEOUT", default_value = "5s",
          value_parser = duration, value_name = "SPAN")]
    pub reconcile_request_timeout: Duration,
    /// How often everything is compared afresh although nothing was reported
    #[arg(long, env = "RECONCILE_RESYNC", default_value = "10m",
          value_parser = duration, value_name = "SPAN")]
    pub reconcile_resync: Duration,
    /// Image of Agents that name none
    #[arg(
        long,
        env = "DEFAULT_IMAGE",
        default_value = "ghcr.io/rynxs/agent-runtime:v0.1.0",
        value_name = "IMAGE"
    )]
    pub default_image: String,
    /// Storage class of Agents that name none; the cluster's default if unset
    #[arg(
        long,
        env = "DEFAULT_STORAGE_CLASS",
        default_value = "",
        hide_default_value = true,
        value_name = "CLASS"
    )]
    pub default_storage_class: String,
    /// Longest duration that a Session may ask for
    #[arg(long, env = "SESSION_MAX_DURATION", default_value = "24h",
          value_parser = duration, value_name = "SPAN")]
    pub session_max_duration: Duration,
}

/// Every setting that becomes part of the operator's configuration.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    #[command(flatten)]
    pub(super) log: LogArgs,
    #[command(flatten)]
    pub(super) bucket: BucketArgs,
    #[command(flatten)]
    pub(super) election: ElectionArgs,
    #[command(flatten)]
    pub(super) replica: ReplicaArgs,
    #[command(flatten)]
    pub(super) reconcile: ReconcileArgs,
}

impl Settings {
    /// The configuration; `home` is the namespace of the kubeconfig or service account.
    pub fn config(&self, home: &str) -> Result<Config, Failure> {
        let namespace = self.replica.pod_namespace.as_deref().unwrap_or(home);
        let (election, reconcile) = (&self.election, &self.reconcile);
        let config = Config {
            build: env!("CARGO_PKG_VERSION").to_owned(),
            identity_prefix: self.replica.pod_name.clone().unwrap_or_else(host_name),
            replicas: self.replica.replicas,
            namespaces: self
                .replica
                .watch_namespaces
                .iter()
                .filter(|name| !name.is_empty())
                .cloned()
                .collect(),
            leader_election: LeaderElection {
                enabled: election.leader_election_enabled,
                namespace: election
                    .leader_election_namespace
                    .clone()
                    .unwrap_or_else(|| namespace.to_owned()),
                lease_name: election.leader_election_lease_name.clone(),
                lease_duration: election.leader_election_lease_duration,
                renew_deadline: election.leader_election_renew_deadline,
                retry_period: election.leader_election_retry_period,
                request_timeout: election.leader_election_request_timeout,
                stop_grace: election.leader_election_stop_grace,
                clock_rate_error_ppm: election.leader_election_clock_rate_error_ppm,
            },
            log_sink: self.log.sink(&self.bucket)?,
            append: self.log.append(),
            reconcile: Reconcile {
                concurrency: reconcile.reconcile_concurrency,
                backoff_min: reconcile.reconcile_backoff_min,
                backoff_max: reconcile.reconcile_backoff_max,
                request_timeout: reconcile.reconcile_request_timeout,
                resync: reconcile.reconcile_resync,
            },
            decisions: DecisionSettings {
                default_image: reconcile.default_image.clone(),
                default_storage_class: reconcile.default_storage_class.clone(),
                session_max_duration_s: reconcile.session_max_duration.as_secs(),
            },
            shutdown_timeout: self.replica.shutdown_timeout,
        };
        match config.validate() {
            Ok(()) => Ok(config),
            Err(errors) => {
                let mut message = String::from("these settings cannot work:");
                for error in &errors {
                    message.push_str(&format!("\n  {} ({error})", variable(error.setting)));
                }
                Err(Failure::new(Exit::Config, message))
            }
        }
    }
}

/// The environment variable that a setting of the configuration comes from.
fn variable(setting: &str) -> String {
    let known = match setting {
        "logSink.type" => "EVENT_STORE_TYPE",
        "logSink.file.dir" => "EVENT_STORE_PATH",
        "logSink.s3.region" => "AWS_REGION",
        "logSink.s3.accessKey" => "AWS_ACCESS_KEY_ID",
        "logSink.s3.secretKey" => "AWS_SECRET_ACCESS_KEY",
        "logSink.s3.sessionToken" => "AWS_SESSION_TOKEN",
        "namespaces" => "WATCH_NAMESPACES",
        "identityPrefix" => "POD_NAME",
        "decisions.session_max_duration_s" => "SESSION_MAX_DURATION",
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    let name = setting.trim_start_matches("logSink.").trim_start_matches("decisions.");
    let mut variable = String::new();
    for letter in name.chars() {
        match letter {
            '.' => variable.push('_'),
            upper if upper.is_ascii_uppercase() => {
                variable.push('_');
                variable.push(upper);
            }
            other => variable.push(other.to_ascii_uppercase()),
        }
    }
    variable
}

/// The host's name, which is the pod's name inside a pod.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim().to_ascii_lowercase();
    if name.is_empty() { "rynxs".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
    }

    fn parse(line: &[&str]) -> Settings {
        let arguments = ["rynxs"].iter().chain(line);
        Line::try_parse_from(arguments).unwrap().settings
    }

    #[test]
    fn flags_without_values_are_the_defaults_of_the_configuration() {
        let parsed = parse(&["--pod-name", "rynxs"]).config("rynxs").unwrap();
        assert_eq!(
            parsed,
            Config { log_sink: parsed.log_sink.clone(), ..Config::default() },
            "a default here differs from the one in core"
        );
    }

    #[test]
    fn every_setting_of_a_replicated_installation_can_be_given() {
        let parsed = parse(&[
            "--event-store-type=s3",
            "--s3-bucket=rynxs-events",
            "--s3-endpoint=http://minio:9000",
            "--s3-access-key-id=id",
            "--s3-secret-access-key=key",
            "--replicas=3",
            "--watch-namespaces=a,b",
            "--leader-election-lease-duration=30s",
            "--pod-name=rynxs-0",
        ]);
        let config = parsed.config("home").unwrap();
        assert_eq!(config.namespaces, ["a", "b"]);
        assert_eq!(config.leader_election.namespace, "home");
        assert_eq!(config.leader_election.lease_duration, Duration::from_secs(30));
        let Store::S3(store) = config.log_sink.store else { panic!("not s3") };
        assert!(store.path_style, "an own endpoint is addressed by path");
        assert_eq!(store.prefix, "events");
    }

    #[test]
    fn broken_settings_are_named_with_their_numbers() {
        let parsed = parse(&["--pod-name=rynxs", "--leader-election-lease-duration=10s"]);
        let failure = parsed.config("rynxs").unwrap_err();
        assert_eq!(failure.exit, Exit::Config);
        assert!(failure.message.contains("leaderElection.leaseDuration"), "{failure}");
    }

    #[test]
    fn every_setting_that_can_be_wrong_is_named_by_its_variable() {
        use clap::CommandFactory as _;
        let command = Line::command();
        let variables: Vec<String> = command
            .get_arguments()
            .filter_map(|arg| arg.get_env().map(|name| name.to_string_lossy().into_owned()))
            .collect();
        let mut wrong = parse(&[
            "--event-store-type=s3",
            "--s3-region=?",
            "--s3-endpoint=x",
            "--s3-prefix=/",
            "--s3-session-token=",
            "--pod-name=?",
            "--watch-namespaces=?",
            "--replicas=20",
            "--leader-election-enabled=false",
            "--leader-election-namespace=?",
            "--leader-election-lease-name=?",
            "--leader-election-lease-duration=1ms",
            "--leader-election-renew-deadline=1ms",
            "--leader-election-retry-period=1ms",
            "--leader-election-request-timeout=1ms",
            "--leader-election-stop-grace=1ms",
            "--leader-election-clock-rate-error-ppm=900000",
            "--append-max-events=0",
            "--append-max-bytes=0",
            "--append-flush-delay=2h",
            "--append-request-timeout=2h",
            "--append-deadline=2h",
            "--reconcile-concurrency=0",
            "--reconcile-backoff-min=2h",
            "--reconcile-backoff-max=2h",
            "--reconcile-request-timeout=2h",
            "--reconcile-resync=1ms",
            "--default-image=",
            "--default-storage-class=?",
            "--session-max-duration=0s",
            "--shutdown-timeout=2h",
        ]);
        let mut message = wrong.config("x").unwrap_err().message;
        wrong.log.event_store_type = StoreType::File;
        message.push_str(&wrong.config("x").unwrap_err().message);
        let named: std::collections::BTreeSet<&str> = message
            .lines()
            .filter_map(|line| line.strip_prefix("  ").and_then(|line| line.split(' ').next()))
            .collect();
        assert!(named.len() > 28, "{named:?}");
        for name in named {
            assert!(variables.iter().any(|variable| variable == name), "{name} is no variable");
        }
    }

    #[test]
    fn a_root_directory_cannot_be_a_log() {
        let failure = parse(&["--event-store-path=/"]).config("rynxs").unwrap_err();
        assert_eq!(failure.exit, Exit::Config);
    }
}
