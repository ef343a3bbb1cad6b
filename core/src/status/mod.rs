//! What the operator says about Agents and Sessions: a pure function of the state, of what is live,
//! and of the status before.
//!
//! Status is no action and not in the log: nothing decides by it. A status that says nothing new is
//! returned exactly as it was, with its times and its `controllerEpoch`, so that a failover or a
//! resync writes nothing.

mod agent;
mod session;

use serde_json::{Map, Value, json};

use crate::event::{FailureReason, Verb};
use crate::ids::{Hash, Key, ObjectRef, Seq};
use crate::resource::validate::SpecError;
use crate::state::{Failure, State};
use crate::time::WallMs;

/// The spec is in force.
pub const ACCEPTED: &str = "Accepted";
/// It does what its spec asks for.
pub const READY: &str = "Ready";
/// Something is being written or rolled out.
pub const PROGRESSING: &str = "Progressing";
/// It does not run because its spec says so.
pub const SUSPENDED: &str = "Suspended";
/// Something needs a person.
pub const DEGRADED: &str = "Degraded";
/// A session has ended.
pub const FINISHED: &str = "Finished";

/// Values of an Agent's `status.phase`.
pub const AGENT_PHASES: &[&str] =
    &["Refused", "Pending", "Starting", "Running", "Suspended", "Degraded"];
/// Values of a Session's `status.phase`.
pub const SESSION_PHASES: &[&str] = &[
    "Refused",
    "Waiting",
    "Starting",
    "Running",
    "Suspended",
    "Succeeded",
    "Failed",
    "Lost",
    "Expired",
    "Cancelled",
    "Degraded",
];

/// Reasons of conditions; `docs/` explains each.
pub mod reason {
    #![allow(missing_docs, reason = "the names say it, the messages explain it")]
    pub const VALID: &str = "Valid";
    pub const INVALID_SPEC: &str = "InvalidSpec";
    pub const WRITING: &str = "Writing";
    pub const ROLLING_OUT: &str = "RollingOut";
    pub const SETTLED: &str = "Settled";
    pub const RUNTIME_AVAILABLE: &str = "RuntimeAvailable";
    pub const RUNTIME_STARTING: &str = "RuntimeStarting";
    pub const RUNTIME_STOPPING: &str = "RuntimeStopping";
    pub const RUNTIME_STOPPED: &str = "RuntimeStopped";
    pub const NOT_SUSPENDED: &str = "NotSuspended";
    pub const AS_EXPECTED: &str = "AsExpected";
    pub const VOLUME_LOST: &str = "VolumeLost";
    pub const WRITE_FORBIDDEN: &str = "WriteForbidden";
    pub const AGENT_MISSING: &str = "AgentMissing";
    pub const AGENT_REFUSED: &str = "AgentRefused";
    pub const AGENT_SUSPENDED: &str = "AgentSuspended";
    pub const NO_FREE_PLACE: &str = "NoFreePlace";
    pub const JOB_RUNNING: &str = "JobRunning";
    pub const JOB_STARTING: &str = "JobStarting";
    pub const JOB_SUSPENDED: &str = "JobSuspended";
    pub const JOB_STOPPING: &str = "JobStopping";
    pub const NOT_FINISHED: &str = "NotFinished";
    pub const JOB_SUCCEEDED: &str = "JobSucceeded";
    pub const JOB_FAILED: &str = "JobFailed";
    pub const JOB_LOST: &str = "JobLost";
    pub const EXPIRED: &str = "Expired";
    pub const CANCELLED: &str = "Cancelled";
}

/// What is known of the live world besides the log, and what was said before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// `status` as the cluster shows it; null or absent fields if there is none.
    pub previous: Option<&'a Value>,
    /// Hash of the record of the subject's newest decision ([`decided_at`]), if it is at hand.
    pub decided_hash: Option<Hash>,
    /// What keeps the subject's next write from being done, if the API server said so.
    pub hindrance: Option<Hindrance<'a>>,
    /// Now, for `lastTransitionTime`.
    pub now: WallMs,
}

/// A pending write that the API server forbids: by a quota, a policy, or for want of a right. It is
/// tried again for ever, as what forbids it is mended by people; so it is in no log, and they are
/// told here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hindrance<'a> {
    /// What cannot be written.
    pub object: &'a ObjectRef,
    /// What was to be done to it.
    pub verb: Verb,
    /// What the server said.
    pub message: &'a str,
}

impl Hindrance<'_> {
    /// For people: the object, the server's words, and what happens next.
    #[must_use]
    pub fn text(&self) -> String {
        let verb = match self.verb {
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Activate => "activate",
            Verb::Delete | Verb::DeleteExpired => "delete",
        };
        let ObjectRef { kind, key } = self.object;
        // In front of the server's words, which may be cut off.
        format!(
            "the API server forbids to {verb} {kind:?} {} (tried again until it is allowed): {}",
            key.name, self.message
        )
    }
}

/// An Agent's live objects.
#[derive(Clone, Copy, Debug, Default)]
pub struct LiveAgent<'a> {
    /// The runtime's Deployment, if there is one.
    pub deployment: Option<LiveDeployment>,
    /// What was said before.
    pub context: Context<'a>,
}

/// What a Deployment's controller says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveDeployment {
    /// Whether its controller has seen the newest generation.
    pub observed: bool,
    /// Pods.
    pub replicas: i64,
    /// Pods of the newest template.
    pub updated: i64,
    /// Pods that are available.
    pub available: i64,
}

impl LiveDeployment {
    /// Reads `metadata.generation` and `status` of a Deployment.
    #[must_use]
    pub fn read(generation: i64, status: &Value) -> Self {
        let count = |field: &str| status[field].as_i64().unwrap_or(0);
        Self {
            observed: count("observedGeneration") >= generation,
            replicas: count("replicas"),
            updated: count("updatedReplicas"),
            available: count("availableReplicas"),
        }
    }
}

/// A Session's live objects.
#[derive(Clone, Copy, Debug, Default)]
pub struct LiveSession<'a> {
    /// The run's Job, if there is one.
    pub job: Option<LiveJob>,
    /// What was said before.
    pub context: Context<'a>,
}

/// What a Job's controller says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveJob {
    /// Pods that are pending or running.
    pub active: i64,
    /// Pods that are ready.
    pub ready: i64,
}

impl LiveJob {
    /// Reads `status` of a Job.
    #[must_use]
    pub fn read(status: &Value) -> Self {
        let count = |field: &str| status[field].as_i64().unwrap_or(0);
        Self { active: count("active"), ready: count("ready") }
    }
}

/// The record whose hash [`Context::decided_hash`] asks for: the subject's newest decision.
#[must_use]
pub fn decided_at(state: &State, subject: &ObjectRef) -> Option<Seq> {
    match subject.kind {
        crate::ids::Kind::Agent => state.agent(&subject.key)?.decided,
        crate::ids::Kind::Session => state.session(&subject.key)?.decided,
        _ => None,
    }
}

/// Whether a status was written from this log, and not from a predecessor, whose positions mean
/// other records.
#[must_use]
pub fn is_own(state: &State, said: &Value) -> bool {
    let base = state.log().map_or(0, |log| log.base);
    said["controllerEpoch"].as_u64().is_some_and(|epoch| epoch >= base)
}

/// The record of this log that a status names as its subject's newest decision.
#[must_use]
pub fn said_at(state: &State, said: &Value) -> Option<Seq> {
    said["logHead"]["seq"].as_u64().filter(|_| is_own(state, said)).map(Seq)
}

/// The status of an Agent; none if the state does not know it.
#[must_use]
pub fn agent(state: &State, key: &Key, live: &LiveAgent<'_>) -> Option<Value> {
    agent::status(state, key, live)
}

/// The status of a Session; none if the state does not know it.
#[must_use]
pub fn session(state: &State, key: &Key, live: &LiveSession<'_>) -> Option<Value> {
    session::status(state, key, live)
}

/// One condition's verdict.
struct Verdict {
    holds: bool,
    reason: &'static str,
    message: String,
}

fn yes(reason: &'static str, message: impl Into<String>) -> Verdict {
    Verdict { holds: true, reason, message: message.into() }
}

fn no(reason: &'static str, message: impl Into<String>) -> Verdict {
    Verdict { holds: false, reason, message: message.into() }
}

/// A status that is being put together.
struct Draft<'a> {
    context: &'a Context<'a>,
    generation: i64,
    conditions: Vec<Value>,
    fields: Map<String, Value>,
}

impl<'a> Draft<'a> {
    fn new(context: &'a Context<'a>, generation: i64) -> Self {
        Self { context, generation, conditions: Vec::new(), fields: Map::new() }
    }

    fn set(&mut self, field: &str, value: Value) {
        self.fields.insert(field.to_owned(), value);
    }

    /// Adds a condition; its time is the one before if its status did not change.
    fn condition(&mut self, kind: &str, verdict: Verdict) {
        let status = if verdict.holds { "True" } else { "False" };
        let before = self.context.previous.and_then(|previous| {
            previous["conditions"].as_array()?.iter().find(|before| before["type"] == kind)
        });
        let since = before
            .filter(|before| before["status"] == status)
            .and_then(|before| before["lastTransitionTime"].as_str())
            .map_or_else(|| rfc3339(self.context.now.0), ToOwned::to_owned);
        self.conditions.push(json!({
            "type": kind,
            "status": status,
            "reason": verdict.reason,
            "message": shortened(verdict.message),
            "observedGeneration": self.generation,
            "lastTransitionTime": since,
        }));
    }

    /// The finished status: the one before, if this one says nothing else.
    fn finish(mut self, state: &State, decided: Option<Seq>) -> Value {
        self.set("observedGeneration", json!(self.generation));
        let conditions = std::mem::take(&mut self.conditions);
        self.set("conditions", Value::Array(conditions));
        if let Some(head) = self.log_head(state, decided) {
            self.set("logHead", head);
        }
        let epoch = state.epoch().map_or(0, |epoch| epoch.epoch.0);
        if let Some(previous) = self.context.previous {
            let mut same = self.fields.clone();
            if let Some(before) = previous.get("controllerEpoch") {
                same.insert("controllerEpoch".to_owned(), before.clone());
                if Value::Object(same) == *previous {
                    return previous.clone();
                }
            }
        }
        self.set("controllerEpoch", json!(epoch));
        Value::Object(self.fields)
    }

    fn log_head(&self, state: &State, decided: Option<Seq>) -> Option<Value> {
        let seq = decided?;
        if let Some(previous) = self.context.previous
            && said_at(state, previous) == Some(seq)
            && previous["logHead"]["hash"].is_string()
        {
            return Some(previous["logHead"].clone());
        }
        self.context.decided_hash.map(|hash| json!({ "seq": seq.0, "hash": hash }))
    }
}

/// A wall-clock time as Kubernetes writes it: seconds, UTC.
fn rfc3339(at_ms: u64) -> String {
    let seconds = i64::try_from(at_ms / 1_000).unwrap_or(i64::MAX);
    k8s_openapi::jiff::Timestamp::from_second(seconds)
        .unwrap_or(k8s_openapi::jiff::Timestamp::MAX)
        .to_string()
}

/// Messages are at most 1,024 bytes long.
fn shortened(mut text: String) -> String {
    const MOST: usize = 1_024;
    if text.len() > MOST {
        let end = (0..=MOST - 3).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Whether the spec is accepted, with every finding.
fn accepted(problems: &[SpecError]) -> Verdict {
    if problems.is_empty() {
        return yes(reason::VALID, "the spec is in force");
    }
    let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
    no(reason::INVALID_SPEC, all.join("; "))
}

/// Whether a write is forbidden for now, and in which words.
fn forbidden(context: &Context<'_>) -> Option<Verdict> {
    context.hindrance.map(|hindrance| yes(reason::WRITE_FORBIDDEN, hindrance.text()))
}

fn failure_reason(failure: &Failure) -> &'static str {
    match failure.reason {
        FailureReason::NameConflict => "NameConflict",
        FailureReason::Rejected => "Rejected",
        FailureReason::ForeignLog => "ForeignLog",
        FailureReason::ObjectGone => "ObjectGone",
        FailureReason::OwnerGone => "OwnerGone",
    }
}

fn failure_message(object: &ObjectRef, failure: &Failure) -> String {
    let kind = object.kind;
    let name = &object.key.name;
    match failure.reason {
        FailureReason::NameConflict => format!(
            "the name of {kind:?} {name} is taken: {}; rename or delete what has it, or rename this \
             object",
            failure.message
        ),
        FailureReason::Rejected => {
            format!("the API server refuses {kind:?} {name}: {}", failure.message)
        }
        FailureReason::ForeignLog => {
            format!("{kind:?} {name} belongs to another rynxs installation: {}", failure.message)
        }
        FailureReason::ObjectGone | FailureReason::OwnerGone => {
            format!("{kind:?} {name}: {}", failure.message)
        }
    }
}

#[cfg(test)]
mod tests;
