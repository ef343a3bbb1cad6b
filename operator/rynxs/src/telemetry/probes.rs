//! `/livez`, `/readyz` and `/metrics` on one small HTTP server.
//!
//! Alive means that the election loop still goes round: a replica that cannot notice the loss of
//! its lease must be restarted (I7). Ready means that it can serve, and a follower that watches
//! the Lease can: a Deployment of three would otherwise never be available.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use rynxs_operator::observe::Signal;
use rynxs_operator::ports::{Clock, Mono};

use super::Metrics;

/// What the probes answer.
pub struct Health {
    clock: Arc<dyn Clock>,
    /// Longest silence of the election loop that is still alive.
    patience: Duration,
    alive_ns: AtomicU64,
    ready: AtomicBool,
}

impl Health {
    /// Alive for `patience` from now on, not ready.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, patience: Duration) -> Self {
        let alive_ns = AtomicU64::new(clock.now().0);
        Self { clock, patience, alive_ns, ready: AtomicBool::new(false) }
    }

    /// Takes note of one signal.
    pub fn note(&self, signal: &Signal) {
        match signal {
            Signal::ElectionAlive => self.alive_ns.store(self.clock.now().0, Ordering::Relaxed),
            Signal::Ready(yes) => self.ready.store(*yes, Ordering::Relaxed),
            _ => {}
        }
    }

    /// How long the election loop has been silent, if for too long.
    #[must_use]
    pub fn silent_for(&self) -> Option<Duration> {
        let silence = self.clock.now() - Mono(self.alive_ns.load(Ordering::Relaxed));
        (silence > self.patience).then_some(silence)
    }

    /// Whether the replica can serve.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}

/// Where and what to serve.
#[derive(Clone, Debug)]
pub struct ProbeSettings {
    /// Address to listen on; port 0 takes any free one.
    pub address: SocketAddr,
    /// Path of the metrics; none if they are off, the probes stay.
    pub metrics_path: Option<String>,
}

/// A bound server that does not serve yet.
pub struct ProbeServer {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
}

impl ProbeServer {
    /// Binds the port, so that a port in use is an error at start and not later.
    pub fn bind(
        settings: &ProbeSettings,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(settings.address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (alive, ready) = (Arc::clone(&health), health);
        let mut router = Router::new()
            .route("/livez", get(move || std::future::ready(livez(&alive))))
            .route("/readyz", get(move || std::future::ready(readyz(&ready))));
        if let Some(path) = &settings.metrics_path {
            let text = move || {
                let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
                std::future::ready((kind, metrics.render()))
            };
            router = router.route(path, get(text));
        }
        Ok(Self { listener, address, router })
    }

    /// The address in use.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until dropped.
    pub async fn serve(self) -> std::io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        axum::serve(listener, self.router).await
    }
}

fn livez(health: &Health) -> impl IntoResponse + use<> {
    match health.silent_for() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(silence) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the election loop has been silent for {} s\n", silence.as_secs()),
        ),
    }
}

fn readyz(health: &Health) -> impl IntoResponse + use<> {
    if health.is_ready() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "neither following nor leading yet\n")
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use crate::adapters::BootClock;

    use super::*;

    async fn fetch(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn start(metrics_path: Option<&str>, patience: Duration) -> (SocketAddr, Arc<Health>) {
        let health = Arc::new(Health::new(Arc::new(BootClock), patience));
        let settings = ProbeSettings {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            metrics_path: metrics_path.map(str::to_owned),
        };
        let server =
            ProbeServer::bind(&settings, Arc::new(Metrics::new()), Arc::clone(&health)).unwrap();
        let address = server.address();
        tokio::spawn(server.serve());
        (address, health)
    }

    #[tokio::test]
    async fn readiness_follows_the_signal_and_probes_work_with_metrics_off() {
        let (address, health) = start(None, Duration::from_secs(60));
        assert!(fetch(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        health.note(&Signal::Ready(true));
        assert!(fetch(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(fetch(address, "/livez").await.starts_with("HTTP/1.1 200"));
        assert!(fetch(address, "/metrics").await.starts_with("HTTP/1.1 404"));
    }

    #[tokio::test]
    async fn a_silent_election_loop_is_not_alive_until_it_goes_round_again() {
        let (address, health) = start(Some("/m"), Duration::ZERO);
        let answer = fetch(address, "/livez").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("silent"), "{answer}");
        assert!(fetch(address, "/m").await.contains("rynxs_build_info"));
        let patient = Health::new(Arc::new(BootClock), Duration::from_secs(60));
        patient.note(&Signal::ElectionAlive);
        assert_eq!(patient.silent_for(), None);
        drop(health);
    }
}
