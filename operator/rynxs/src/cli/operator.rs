//! `rynxs operator`: one replica, from its settings to its last append.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};
use futures::FutureExt;
use rynxs_core::config::Config;
use rynxs_operator::ports::Ports;
use tokio::signal::unix::{SignalKind, signal};

use crate::adapters::{
    BootClock, Disk, Kubernetes, KubernetesOptions, ObjectStore, ObjectStoreOptions, OsEntropy,
    RealNetwork,
};
use crate::telemetry::{
    Health, LogFormat, LogSettings, Metrics, ProbeServer, ProbeSettings, Telemetry,
};

use super::exit::{Exit, Failure};
use super::settings::{Settings, StoreType};
use super::values::url_path;

/// Run one replica of the operator; this is what the pod runs.
///
/// Needs a way to the Kubernetes API (a service account, KUBECONFIG or --kubeconfig) and a place
/// for the event log (a bucket, or a directory for a single replica). Every flag can be set by the
/// environment variable beside it. SIGTERM drains, settles the last append and releases the Lease.
#[derive(Args, Debug)]
pub(super) struct OperatorArgs {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
    /// End with the process of this id, even if it is killed
    #[arg(long, hide = true, value_name = "PID")]
    end_with_parent: Option<i32>,
}

/// The way to the Kubernetes API.
#[derive(Args, Debug)]
#[command(next_help_heading = "Kubernetes")]
struct ClusterArgs {
    /// Kubeconfig file; without it KUBECONFIG, ~/.kube/config or the pod's service account
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<std::path::PathBuf>,
    /// Context of the kubeconfig [default: its current context]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// What the outside sees.
#[derive(Args, Debug)]
#[command(next_help_heading = "Logs, metrics and probes")]
struct TelemetryArgs {
    /// off, error, warn, info, debug or trace; or directives such as rynxs_operator=debug,warn
    #[arg(long, env = "LOG_LEVEL", default_value = "INFO", value_name = "LEVEL")]
    log_level: String,
    /// Form of log lines
    #[arg(long, env = "LOG_FORMAT", value_enum, ignore_case = true,
          default_value_t = LogFormat::Json)]
    log_format: LogFormat,
    /// Serve metrics; /livez and /readyz are served either way
    #[arg(long, env = "METRICS_ENABLED", default_value_t = true, value_name = "BOOL",
          num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set,
          value_parser = BoolishValueParser::new())]
    metrics_enabled: bool,
    /// Address that metrics and probes are served on
    #[arg(long, env = "METRICS_ADDRESS", default_value = "0.0.0.0", value_name = "IP")]
    metrics_address: IpAddr,
    /// Port of metrics and probes; 0 takes a free one and logs it
    #[arg(long, env = "METRICS_PORT", default_value_t = 8080, value_name = "PORT")]
    metrics_port: u16,
    /// Path of the metrics
    #[arg(long, env = "METRICS_PATH", default_value = "/metrics",
          value_parser = url_path, value_name = "PATH")]
    metrics_path: String,
}

impl OperatorArgs {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        if let Some(parent) = self.end_with_parent {
            end_with(parent)?;
        }
        let logs = LogSettings {
            level: self.telemetry.log_level.clone(),
            format: self.telemetry.log_format,
        };
        crate::telemetry::init(&logs).map_err(|why| Failure::new(Exit::Config, why))?;
        let runtime = super::runtime()?;
        let done = runtime.block_on(self.replica());
        // Connections in the background have nothing left to say.
        runtime.shutdown_timeout(Duration::from_millis(100));
        done
    }

    async fn replica(&self) -> Result<Exit, Failure> {
        let (ports, config) = self.connect().await?;
        let telemetry = Telemetry {
            metrics: Arc::new(Metrics::new()),
            health: Arc::new(Health::new(Arc::clone(&ports.clock), patience(&config))),
        };
        let probes = self.probes(&telemetry)?;
        tracing::info!(
            address = %probes.address(),
            version = env!("CARGO_PKG_VERSION"),
            replica = %config.identity_prefix,
            "serving metrics and probes"
        );
        let shutdown = shutdown()?;
        let operator = rynxs_operator::run(ports, config, Arc::new(telemetry), shutdown.boxed());
        tokio::select! {
            biased;
            done = operator => match done {
                Ok(()) => Ok(Exit::Done),
                Err(error) => Err(Failure::new(Exit::from(error.kind()), error.to_string())),
            },
            done = probes.serve() => {
                let error = done.err().unwrap_or_else(|| std::io::Error::other("ended"));
                Err(Failure::io("serve metrics and probes", &error))
            }
        }
    }

    async fn connect(&self) -> Result<(Ports, Config), Failure> {
        let options = KubernetesOptions {
            kubeconfig: self.cluster.kubeconfig.clone(),
            context: self.cluster.context.clone(),
        };
        // Settings are checked first: a wrong one should not hide behind a missing cluster.
        let home = self.settings.replica.pod_namespace.clone();
        self.settings.config(home.as_deref().unwrap_or("rynxs"))?;
        let kubernetes = Kubernetes::connect(&options)
            .await
            .map_err(|error| Failure::new(Exit::Config, error.to_string()))?;
        let config = self.settings.config(kubernetes.namespace())?;
        let (root, _) = self.settings.log.root_and_name()?;
        let object_store = match self.settings.log.event_store_type {
            StoreType::File => None,
            StoreType::S3 => {
                let options =
                    ObjectStoreOptions { ca_bundle: self.settings.bucket.s3_ca_bundle.clone() };
                let client = ObjectStore::connect(&options)
                    .map_err(|error| Failure::new(Exit::Config, error.to_string()))?;
                Some(client)
            }
        };
        let disk = Disk::new(root)
            .map_err(|error| Failure::io("start the thread for the disk", &error))?;
        let ports = Ports {
            clock: Arc::new(BootClock),
            network: Arc::new(RealNetwork::new(Some(kubernetes), object_store)),
            storage: Arc::new(disk),
            entropy: Arc::new(OsEntropy),
        };
        Ok((ports, config))
    }

    fn probes(&self, telemetry: &Telemetry) -> Result<ProbeServer, Failure> {
        let address = SocketAddr::new(self.telemetry.metrics_address, self.telemetry.metrics_port);
        let settings = ProbeSettings {
            address,
            metrics_path: self
                .telemetry
                .metrics_enabled
                .then(|| self.telemetry.metrics_path.clone()),
        };
        ProbeServer::bind(&settings, Arc::clone(&telemetry.metrics), Arc::clone(&telemetry.health))
            .map_err(|error| Failure::io(&format!("listen on {address} (METRICS_PORT)"), &error))
    }
}

/// A loop that renews every P and gives up after R goes round at least once per L; twice that
/// and a little for a loaded machine is dead.
fn patience(config: &Config) -> Duration {
    config.leader_election.lease_duration * 2 + Duration::from_secs(5)
}

/// Asks the kernel to kill this process when the process that started it ends.
fn end_with(parent: i32) -> Result<(), Failure> {
    let died = |why: String| Failure::new(Exit::Machine, why);
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .map_err(|error| died(format!("ask to end with process {parent}: {error}")))?;
    // It may have died before the kernel was asked.
    if nix::unistd::getppid().as_raw() != parent {
        return Err(died(format!("process {parent}, which this one belongs to, is gone")));
    }
    Ok(())
}

/// Ends at the first SIGTERM or SIGINT; a second one ends the process at once.
fn shutdown() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::io("listen for signals", &error));
    let (mut term, mut int) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            biased;
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::info!("asked to stop: draining, then releasing the Lease");
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            tracing::warn!("asked to stop a second time: ending at once");
            std::process::exit(i32::from(Exit::Interrupted.code()));
        });
    })
}
