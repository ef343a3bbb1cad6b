//! What happens in a run, as explicit data; the seed drives only scheduling and latencies.

use serde::{Deserialize, Serialize};

/// One scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Operator replicas, 1 to 5.
    pub replicas: u32,
    /// How much faster than true time each replica's clock runs, millionths; missing ones run true.
    #[serde(default)]
    pub clock_rates_ppm: Vec<i64>,
    /// Of 1,000 requests, how many are lost before they arrive while faults are on.
    #[serde(default)]
    pub lost_requests_per_mille: u32,
    /// Of 1,000 requests, how many are applied but their answers lost while faults are on.
    #[serde(default)]
    pub lost_answers_per_mille: u32,
    /// What users and the nemesis do, in order.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Step {
    /// A user creates or edits an Agent with this name and workspace size in GiB.
    Agent {
        /// Its name.
        name: String,
        /// Whether it runs.
        running: bool,
    },
    /// A user deletes an Agent.
    DeleteAgent {
        /// Its name.
        name: String,
    },
    /// Time passes, milliseconds of true time.
    Wait {
        /// How long.
        ms: u64,
    },
    /// The replica that holds the Lease is killed and started again after the given time.
    CrashLeader {
        /// Milliseconds until it starts again.
        back_after_ms: u64,
    },
    /// The replica that holds the Lease stands still, with its requests in flight.
    FreezeLeader {
        /// For how long, milliseconds.
        ms: u64,
    },
}
