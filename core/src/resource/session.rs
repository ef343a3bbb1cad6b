//! `Session`: one bounded run of an `Agent`.

use serde::{Deserialize, Serialize};

/// What to run, for how long, and what remains afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionSpec {
    /// Name of the Agent of the same namespace. Immutable.
    pub agent_ref: String,
    /// Input handed to the run, at most 256 KiB.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub input: String,
    /// Whether the run may go on.
    #[serde(default)]
    pub operating_mode: SessionMode,
    /// Longest time from the first observation to the end, for example `30m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<String>,
    /// Absolute end, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown_time: Option<String>,
    /// Delete the finished Session after so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_finished: Option<u64>,
    /// What happens to the Session when its time is over.
    #[serde(default)]
    pub shutdown_policy: ShutdownPolicy,
}

/// Whether a session's run may go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionMode {
    /// The Job runs.
    #[default]
    Running,
    /// The Job is suspended; its time goes on.
    Suspended,
    /// The Job is deleted; the Session ends as cancelled. Cannot be undone.
    Cancelled,
}

/// What happens to a Session when its time is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShutdownPolicy {
    /// The Session is deleted with all it owns.
    Delete,
    /// The run ends, the Session stays to be read.
    #[default]
    Retain,
}
