//! What happens in a run, as explicit data. The seed drives only scheduling, latencies and which
//! of the messages a probability hits; so a scenario can be shrunk, kept as a file and read.

mod file;
mod step;
pub mod strategy;

use serde::{Deserialize, Serialize};

pub use file::{FileError, read, write};
pub use step::{
    AgentShape, ApiFault, Child, Clock, Do, Meddling, S3Fault, Server, SessionShape, Step,
    Tampering, Way, Who,
};

/// One scenario. Everything but the steps has a default, which its file leaves out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Operator replicas, 1 to 5.
    pub replicas: u32,
    /// Views of the API, 1 to 3; replica n talks to view n modulo this.
    pub api_views: u32,
    /// Where the log is. A file allows one replica only.
    pub store: StoreKind,
    /// The operator's settings that differ from their defaults.
    pub settings: Settings,
    /// Clocks of the replicas at the start; missing ones are true.
    pub clocks: Vec<Clock>,
    /// Latency of one direction, smallest and largest, milliseconds.
    pub latency_ms: (u64, u64),
    /// What users and the nemesis do, ordered by time.
    pub steps: Vec<Step>,
    /// When faults stop, milliseconds; never before the last step.
    pub heal_at_ms: u64,
    /// Indices of the replicas that are well after the heal; the others are gone for good. All if
    /// empty.
    pub core: Vec<u32>,
    /// Let random bytes differ from run to run: shows what a second run is for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unsteady: bool,
}

/// Kinds of log stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// A bucket.
    #[default]
    S3,
    /// Files on the replica's disk, which may lose what was not synced.
    File,
}

/// Settings of the operator; each is its own default if it is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// L, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_s: Option<u64>,
    /// R, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_deadline_ms: Option<u64>,
    /// P, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_period_ms: Option<u64>,
    /// Q, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_timeout_ms: Option<u64>,
    /// G, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace_ms: Option<u64>,
    /// ρ, millionths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_rate_error_ppm: Option<u32>,
    /// K: most events in one record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_events: Option<u32>,
    /// Most subjects worked on at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// How long an append may stay unknown, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub append_deadline_ms: Option<u64>,
    /// How often everything is compared afresh, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resync_s: Option<u64>,
    /// Start a new log above every stamp if the log is gone but stamped objects are there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub adopt_missing_log: bool,
    /// Run settings whose inequalities do not hold: shows what they are for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unchecked: bool,
}

/// Largest numbers of replicas and of views.
pub const REPLICAS_MAX: u32 = 5;
/// See [`REPLICAS_MAX`].
pub const API_VIEWS_MAX: u32 = 3;
/// A run longer than this, true time, is a mistake in its file: 30 days.
const LONGEST_MS: u64 = 30 * 24 * 3_600_000;

impl Default for Scenario {
    fn default() -> Self {
        Self {
            replicas: 3,
            api_views: 1,
            store: StoreKind::S3,
            settings: Settings::default(),
            clocks: Vec::new(),
            // A rack to a region, not a loopback.
            latency_ms: (1, 20),
            steps: Vec::new(),
            heal_at_ms: 0,
            core: Vec::new(),
            unsteady: false,
        }
    }
}

impl Scenario {
    /// When faults stop.
    #[must_use]
    pub fn heal_ms(&self) -> u64 {
        let last = self.steps.iter().map(|step| step.at_ms).max().unwrap_or(0);
        self.heal_at_ms.max(last + 1)
    }

    /// Adds a step.
    #[must_use]
    pub fn at(mut self, at_ms: u64, what: Do) -> Self {
        self.steps.push(Step { at_ms, what });
        self
    }

    /// The names of the replicas.
    #[must_use]
    pub fn replica_names(&self) -> Vec<String> {
        (0..self.replicas).map(|index| format!("rynxs-{index}")).collect()
    }

    /// What cannot be run, in words: where, what it is, what it must be.
    ///
    /// # Errors
    /// The first mistake.
    pub fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(format!("{name}: {value} is not between {least} and {most}"))
            }
        };
        within("replicas", self.replicas.into(), 1, REPLICAS_MAX.into())?;
        within("api_views", self.api_views.into(), 1, API_VIEWS_MAX.into())?;
        within("latency_ms", self.latency_ms.0, 1, self.latency_ms.1)?;
        within("latency_ms", self.latency_ms.1, 1, 10_000)?;
        within("heal_at_ms", self.heal_at_ms, 0, LONGEST_MS)?;
        if self.store == StoreKind::File && self.replicas != 1 {
            let replicas = self.replicas;
            return Err(format!(
                "replicas: {replicas}, but a log in a file has a single writer: 1"
            ));
        }
        if let Some(index) = self.core.iter().find(|index| **index >= self.replicas) {
            return Err(format!("core: {index}, but there are {} replicas, from 0", self.replicas));
        }
        for (index, clock) in self.clocks.iter().enumerate() {
            clock.check().map_err(|problem| format!("clocks[{index}].{problem}"))?;
        }
        for (index, step) in self.steps.iter().enumerate() {
            within(&format!("steps[{index}].at_ms"), step.at_ms, 0, LONGEST_MS)?;
            step.what.check(self).map_err(|problem| format!("steps[{index}].{problem}"))?;
        }
        Ok(())
    }
}
