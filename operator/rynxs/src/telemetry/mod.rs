//! What the outside sees of a replica: log lines, metrics, probes.
//!
//! Nothing here is read by a decision. Metrics live in one private registry with labels from
//! closed lists, all present from the start with value 0, so that an alert on a rate never waits
//! for a first failure to create its series.

mod labels;
mod logs;
mod metrics;
mod probes;

use std::sync::Arc;

use rynxs_operator::observe::{Observer, Signal};

pub use logs::{LogFormat, LogSettings, init};
pub use metrics::{Description, LabelValues, Metrics};
pub use probes::{Health, ProbeServer, ProbeSettings};

/// Receives the operator's signals for metrics and probes alike.
#[derive(Clone)]
pub struct Telemetry {
    /// Counters, gauges and histograms.
    pub metrics: Arc<Metrics>,
    /// What the probes answer.
    pub health: Arc<Health>,
}

impl Observer for Telemetry {
    fn signal(&self, signal: Signal) {
        self.health.note(&signal);
        self.metrics.note(&signal);
    }
}
