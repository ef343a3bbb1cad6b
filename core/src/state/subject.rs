//! What is known of one Agent, one Session, one managed object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{FailureReason, Reason, Timer};
use crate::ids::{Epoch, Hash, Key, ObjectRef, Seq, Uid};
use crate::resource::{AgentSpec, SessionMode, SessionSpec, ShutdownPolicy, validate};
use crate::state::Position;

/// An Agent as last observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentState {
    /// Its incarnation.
    pub uid: Uid,
    /// `metadata.generation` last observed.
    pub generation: i64,
    /// The spec last observed, valid or not.
    pub observed: AgentSpec,
    /// Whether the spec last observed is in force.
    pub valid: bool,
    /// The spec in force while the one last observed is not valid; none if there never was one.
    pub earlier: Option<Box<AgentSpec>>,
    /// What the runtime's pod template was last made from.
    pub template: Option<Template>,
    /// Whether the workspace is bound to a volume.
    pub volume: Volume,
    /// Objects that could not be written, until the spec changes or the object is seen to be gone.
    pub failures: BTreeMap<ObjectRef, Failure>,
    /// Revision of logic and settings under which it was last observed.
    pub revision: u32,
    /// The last observation repeated the spec: it was recorded because logic or settings changed.
    pub spec_repeated: bool,
    /// Where it was last observed.
    pub observed_at: Position,
    /// Record of its newest decision.
    pub decided: Option<Seq>,
}

impl AgentState {
    /// The spec in force: the one last observed if it is valid, otherwise the last valid one.
    #[must_use]
    pub fn spec(&self) -> Option<&AgentSpec> {
        if self.valid { Some(&self.observed) } else { self.earlier.as_deref() }
    }

    /// Why the spec last observed is not in force; empty if it is.
    #[must_use]
    pub fn problems(&self, key: &Key) -> Vec<validate::SpecError> {
        let mut found = validate::agent(key, &self.observed);
        if let Some(earlier) = &self.earlier {
            found.extend(validate::agent_change(earlier, &self.observed));
        }
        found
    }
}

/// What a pod template was made from, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Hash of everything that goes into it.
    pub fingerprint: Hash,
    /// Epoch in which it last changed: pods see it as `RYNXS_EPOCH`, so a failover that changes
    /// nothing rewrites nothing.
    pub epoch: Epoch,
}

/// What is known of a workspace's volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Volume {
    /// Not bound yet, as far as is known.
    #[default]
    Pending,
    /// Bound.
    Bound,
    /// Its volume is lost.
    Lost,
}

/// Why an object could not be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Record of the decision.
    pub decision: Seq,
    /// Kind of failure.
    pub reason: FailureReason,
    /// What the server said.
    pub message: String,
}

/// A Session as last observed, and how far it got.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionState {
    /// Its incarnation.
    pub uid: Uid,
    /// `metadata.generation` last observed.
    pub generation: i64,
    /// The spec last observed, valid or not.
    pub observed: SessionSpec,
    /// Whether the spec last observed is in force.
    pub valid: bool,
    /// The spec in force while the one last observed is not valid.
    pub earlier: Option<Box<SessionSpec>>,
    /// Absolute end, Unix milliseconds.
    pub expires_ms: Option<u64>,
    /// What it runs with, fixed when it was started.
    pub admitted: Option<Box<Admission>>,
    /// Whether its Job may have run: its creation is recorded and its activation was decided, or a
    /// predecessor created it.
    pub may_have_run: bool,
    /// How it ended.
    pub finished: Option<Finish>,
    /// Why the Session itself is to be deleted.
    pub delete: Option<Reason>,
    /// Its deletion was acknowledged, and is only not seen yet.
    pub deleted: bool,
    /// Objects that could not be written.
    pub failures: BTreeMap<ObjectRef, Failure>,
    /// Where this incarnation was first observed: its place in the queue.
    pub first_seen: Position,
    /// Where it was last observed.
    pub observed_at: Position,
    /// Record of its newest decision.
    pub decided: Option<Seq>,
}

/// What a session runs with: later changes of its Agent do not reach into a running pod, as a Job's
/// template is immutable and a run must be explainable by the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Admission {
    /// The Agent's spec.
    pub agent: AgentSpec,
    /// The Agent's incarnation.
    pub agent_uid: Uid,
    /// Image, resolved with the settings of that epoch.
    pub image: String,
    /// Epoch in which it was started.
    pub epoch: Epoch,
    /// The Agent's newest accepted spec while the run goes on: what may be reached follows the
    /// Agent at once, and stays as it was last when the Agent is deleted.
    pub network: AgentSpec,
}

/// The end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// How.
    pub ending: Ending,
    /// When, Unix milliseconds; none if no event says so.
    pub at_ms: Option<u64>,
}

/// Ways in which a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Ending {
    /// The Job completed.
    Succeeded,
    /// The Job failed.
    Failed,
    /// The Job is gone and may have run; it is never created again.
    JobLost,
    /// Its time was over.
    Expired,
    /// A person cancelled it.
    Cancelled,
}

impl SessionState {
    /// The spec in force.
    #[must_use]
    pub fn spec(&self) -> Option<&SessionSpec> {
        if self.valid { Some(&self.observed) } else { self.earlier.as_deref() }
    }

    /// Key of the Agent that it names.
    #[must_use]
    pub fn agent_key(&self, session: &Key) -> Key {
        let spec = self.spec().unwrap_or(&self.observed);
        Key::new(session.namespace.as_str(), spec.agent_ref.as_str())
    }

    /// Whether it is to be started and was not yet.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.spec().is_some_and(|spec| spec.operating_mode == SessionMode::Running)
            && !self.was_started()
            && self.finished.is_none()
            && self.delete.is_none()
    }

    /// Whether it was started and has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.was_started() && self.finished.is_none() && self.delete.is_none()
    }

    /// Whether it has or had a run. One that a predecessor started for an Agent that is gone has a
    /// Job and no admission.
    #[must_use]
    pub fn was_started(&self) -> bool {
        self.admitted.is_some() || self.may_have_run
    }

    /// Whether a person cancelled it; this is read even from a spec that is otherwise refused.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.observed.operating_mode == SessionMode::Cancelled
    }

    /// Deadlines that are armed, with their time in Unix milliseconds.
    ///
    /// The end of its time matters to a session that ended before only if it is deleted then; the
    /// time to live after the end only if it has ended. A deadline is a function of logged facts,
    /// so a failover never restarts it.
    pub fn timers(&self) -> impl Iterator<Item = (Timer, u64)> + use<> {
        let expiry = self.expires_ms.filter(|_| {
            let goes = self.observed.shutdown_policy == ShutdownPolicy::Delete;
            self.delete.is_none() && (self.finished.is_none() || goes)
        });
        let ttl = self.finished.filter(|_| self.delete.is_none()).and_then(|finish| {
            let seconds = self.observed.ttl_seconds_after_finished?;
            let from = finish.at_ms.or(self.expires_ms)?;
            Some(from.saturating_add(seconds.saturating_mul(1_000)))
        });
        let expiry = expiry.map(|due| (Timer::Expiry, due));
        expiry.into_iter().chain(ttl.map(|due| (Timer::Ttl, due)))
    }
}

/// A managed object as last written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectState {
    /// Its incarnation.
    pub uid: Uid,
    /// Record of the decision that its content comes from.
    pub decision: Seq,
    /// Hash of the content written.
    pub content: Hash,
    /// Hash of the owned fields as the server returned them.
    pub projection: Hash,
    /// The Agent or Session that it belongs to.
    pub owner: ObjectRef,
    /// The owner's incarnation.
    pub owner_uid: Uid,
    /// Outlives its owner: it has no owner reference.
    pub retained: bool,
    /// Storage class with which a volume claim was created, if one was named; immutable, so a
    /// later default does not reach it.
    pub storage_class: Option<String>,
    /// Differs from what was written, as far as is known.
    pub drifted: bool,
    /// Still differed after it was written again: somebody else's fields stand in it, which an
    /// apply cannot take away.
    pub stubborn: bool,
    /// A predecessor wrote it, and no decision of this log has written it since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inherited: bool,
}
