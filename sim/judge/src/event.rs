//! The event stream of a run: one JSON line per thing that happened, in the order of true time.
//!
//! It is all that oracles and renderers read. A simulated world writes it, a real cluster's
//! collector can write the same lines; whoever reads them cannot tell which it was, but for the
//! lines that only a simulator knows (messages, beliefs, clocks, disks, probes).
//!
//! An oracle passes over events that are not its own. A line that is no event of this list is an
//! error all the same: a misspelt fact must not look like one that never happened.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::history::{DiskWork, LogObject, LogWrite, ObjectWrite};
use crate::verdict::Invariant;

/// Pseudo-nodes beside the replicas; API server views are `api-0`, `api-1`, …, the disks of
/// replicas that keep their log in files are `disk-0`, `disk-1`, …
pub mod node {
    /// The object store.
    pub const S3: &str = "s3";
    /// People and their tools.
    pub const USERS: &str = "users";
    /// Whatever breaks things.
    pub const NEMESIS: &str = "nemesis";
    /// The run as a whole.
    pub const RUN: &str = "run";
}

/// One line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// True time since the start of the run, nanoseconds.
    pub t_ns: u64,
    /// Where it happened: a replica's name or one of [`node`].
    pub node: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What a run was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The scenario, as its file has it; null for a real cluster.
    pub scenario: Value,
    /// The seed of scheduling and latencies.
    pub seed: u64,
    /// Names of the operator's replicas.
    pub replicas: Vec<String>,
    /// The user name under which the operator writes.
    pub operator: String,
    /// The namespaces that it watches.
    pub namespaces: Vec<String>,
    /// What bounds the election and convergence.
    pub terms: Terms,
    /// What decisions read, as `EpochStarted` has it: the reference of the final state needs it.
    pub settings: Value,
    /// Invariants that the faults of this run may break, and the name of the fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excused: Vec<Excuse>,
}

/// An invariant that a fault of the run may break.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excuse {
    /// The invariant.
    pub invariant: Invariant,
    /// Name of the fault in the table of faults.
    pub fault: String,
}

/// Settings that bound how long things may take. Letters as in the formulas of the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// L.
    pub lease_ms: u64,
    /// R.
    pub renew_deadline_ms: u64,
    /// P.
    pub retry_period_ms: u64,
    /// Q.
    pub request_timeout_ms: u64,
    /// G.
    pub stop_grace_ms: u64,
    /// ρ, millionths.
    pub clock_rate_error_ppm: u32,
    /// Longest wait after repeated failures.
    pub backoff_max_ms: u64,
    /// How often everything is compared afresh although no watch said anything.
    pub resync_ms: u64,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line.
    Run(Box<Head>),

    /// A request left a replica (`node`).
    Sent {
        /// Number of the message, unique in the run.
        message: u64,
        /// The server: `s3` or a view of the API.
        to: String,
        /// HTTP method, or `WATCH`.
        method: String,
        /// Path and query.
        target: String,
        /// Bytes of the body.
        bytes: u64,
    },
    /// A request reached the server (`node`); it may come twice, and after its sender gave up.
    Arrived {
        /// The message.
        message: u64,
    },
    /// The server (`node`) decided its answer.
    Answered {
        /// The message.
        message: u64,
        /// HTTP status.
        status: u16,
    },
    /// An answer's head reached the replica (`node`).
    Received {
        /// The message.
        message: u64,
        /// HTTP status, 0 if the connection broke.
        status: u16,
    },
    /// A request, or its answer, will never arrive.
    Lost {
        /// The message.
        message: u64,
        /// Which of the two.
        leg: Leg,
    },
    /// A watch showed a change to the replica (`node`).
    Watched {
        /// The message that opened the watch.
        message: u64,
        /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
        kind: String,
        /// `Kind/namespace/name`, empty for bookmarks and errors.
        object: String,
        /// resourceVersion.
        rv: String,
    },

    /// A fault met a message (`node` is where): what the stream tells next of this message, its
    /// answer, its loss or its coming late or again, is the fault's doing.
    FaultHit {
        /// The message; if the fault met one change that a watch shows, the watch's.
        message: u64,
        /// The fault's name in the table of faults.
        fault: String,
        /// The change that it met: `MODIFIED Kind/namespace/name`.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        change: String,
    },

    /// A disk (`node`) did what changes it or makes it durable, or something befell it; reads are
    /// not told.
    Disk(Box<DiskWork>),

    /// Ground truth: an attempt to write a log key was decided (`node` is the store: the object
    /// store, or the disk that made the line durable).
    LogWrite(LogWrite),
    /// Ground truth: an attempt to write an object was decided (`node` is a view of the API).
    ObjectWrite(Box<ObjectWrite>),

    /// A replica's process starts.
    Started,
    /// It is killed without warning.
    Killed {
        /// At which point, for people.
        why: String,
    },
    /// It stands still, with its requests under way.
    Frozen,
    /// It goes on.
    Resumed,
    /// It is asked to stop.
    Stopping,
    /// It ended by itself.
    Exited {
        /// Its own words.
        why: String,
        /// Whether it halted because the log is not what it must be.
        corrupt: bool,
        /// Whether it says that its own program is wrong.
        bug: bool,
    },
    /// A replica's clock goes on differently.
    Clock {
        /// How much faster than true time, millionths.
        rate_ppm: i64,
        /// Jump of the monotonic clock at this moment, nanoseconds.
        mono_jump_ns: i64,
        /// Jump of the wall clock at this moment, milliseconds.
        wall_jump_ms: i64,
    },
    /// A replica's belief about its leadership: the one thing that is read from the operator (I7).
    Guard {
        /// True time at which its validity ends if its clock goes on as it does; none if closed.
        until_ns: Option<u64>,
    },

    /// A fault begins.
    FaultBegan {
        /// Its name in the table of faults.
        fault: String,
        /// What exactly, for people.
        detail: String,
    },
    /// A fault ends.
    FaultEnded {
        /// Its name in the table of faults.
        fault: String,
    },
    /// From here on nothing is broken any more.
    Healed,
    /// A person does something.
    User {
        /// What, for people.
        what: String,
    },
    /// Something that must happen sometimes did.
    Probe {
        /// Its name.
        probe: String,
    },
    /// A remark for people; no oracle reads it.
    Note {
        /// The remark.
        text: String,
    },

    /// One object of the log as it is at the end.
    LogAtEnd(LogObject),
    /// A right that roles grant, and how often it was needed.
    Right {
        /// For example `patch apps/deployments`.
        right: String,
        /// How often.
        uses: u64,
    },
    /// A request that roles refused.
    RightRefused {
        /// In words.
        what: String,
        /// How often.
        times: u64,
    },
    /// The binary's own verification of the final log: chain, epochs, every decision made again.
    Replayed {
        /// What it found wrong; empty if nothing.
        fault: String,
        /// Decisions derived again.
        decisions: u64,
    },
    /// The power was lost, and a part of the log's last line is left on this machine (`node`).
    Torn {
        /// Bytes of that part.
        bytes: u64,
    },
    /// A manipulation of a copy of the final log, and whether the binary's own reader noticed.
    Tampered {
        /// What was done.
        how: String,
        /// Whether it was noticed.
        detected: bool,
    },
    /// The last line.
    End,
}

/// The two ways of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leg {
    /// From the replica to the server.
    Request,
    /// Back.
    Answer,
}

/// A line of a stream that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the event stream: {message}; it starts with {start:?}")]
pub struct ReadError {
    /// Its number, from 1.
    pub line: usize,
    /// What the parser says.
    pub message: String,
    /// The first characters of the line.
    pub start: String,
}

/// Characters of a bad line that its error shows.
const SHOWN: usize = 60;

/// Reads `events.jsonl`.
///
/// # Errors
/// A line is no [`Line`]; the error names it.
pub fn read(text: &str) -> Result<Vec<Line>, ReadError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            serde_json::from_str(line).map_err(|error| ReadError {
                line: index + 1,
                message: error.to_string(),
                start: line.chars().take(SHOWN).collect(),
            })
        })
        .collect()
}
