//! Everything that a log can say.
//!
//! Observations are facts from the cluster, decisions are functions of the reduced state, outcomes
//! say what became of each decided action. What is not here cannot influence a decision.

use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, Hash, LogId, ObjectRef, Seq, Uid, WriterId};
use crate::resource::{AgentSpec, SessionSpec};
use crate::state::Finish;

/// One event of a record; on the wire an object whose field `type` is the variant's name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
#[allow(
    clippy::large_enum_variant,
    reason = "few events live at a time; the state keeps no events"
)]
pub enum Event {
    /// Record 0: the log's identity and the number at which its stamps start.
    LogStarted {
        /// Identity of this log.
        log_id: LogId,
        /// Stamps and epochs of this log are `base + seq`.
        base: u64,
        /// Logs whose objects this one takes over.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        predecessors: Vec<LogId>,
    },
    /// A new leader took over; all later records of its epoch have its writer.
    EpochStarted {
        /// `base + seq` of this very record.
        epoch: Epoch,
        /// Who leads.
        identity: WriterId,
        /// Version of the binary.
        build: String,
        /// Version of the decision functions.
        logic: u32,
        /// Every setting that decisions read.
        settings: DecisionSettings,
    },
    /// An Agent was created or its spec changed.
    AgentObserved {
        /// The Agent, as `Agent/namespace/name`.
        agent: ObjectRef,
        /// Its incarnation.
        uid: Uid,
        /// `metadata.generation`.
        generation: i64,
        /// The whole normalised spec.
        spec: AgentSpec,
        /// What a predecessor wrote for it; only at the first sight of this uid.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        inherited: Vec<Inherited>,
    },
    /// An Agent is gone or being deleted.
    AgentDeleted {
        /// The Agent.
        agent: ObjectRef,
        /// The incarnation that is gone.
        uid: Uid,
    },
    /// A Session was created or its spec changed.
    SessionObserved {
        /// The Session, as `Session/namespace/name`.
        session: ObjectRef,
        /// Its incarnation.
        uid: Uid,
        /// `metadata.generation`.
        generation: i64,
        /// The whole normalised spec.
        spec: SessionSpec,
        /// Absolute end of the session, Unix milliseconds; computed at the first observation of
        /// this uid and repeated unchanged, so that a failover never restarts the timer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_ms: Option<u64>,
        /// When it was first seen cancelled, Unix milliseconds; repeated unchanged like
        /// `expires_ms`. The time to live after the end counts from here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cancelled_ms: Option<u64>,
        /// How it ended while a predecessor led; only at the first sight of this uid.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended: Option<Finish>,
        /// What a predecessor wrote for it; only at the first sight of this uid.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        inherited: Vec<Inherited>,
    },
    /// A Session is gone or being deleted.
    SessionDeleted {
        /// The Session.
        session: ObjectRef,
        /// The incarnation that is gone.
        uid: Uid,
    },
    /// A managed object reached a state that decisions read.
    ChildObserved {
        /// The managed object.
        object: ObjectRef,
        /// Its incarnation.
        uid: Uid,
        /// What was seen.
        state: ChildState,
    },
    /// A deadline that was computed from logged facts has passed.
    TimerFired {
        /// Whose deadline.
        subject: ObjectRef,
        /// The subject's incarnation.
        uid: Uid,
        /// Which deadline.
        timer: Timer,
        /// When it was due, Unix milliseconds.
        due_ms: u64,
    },
    /// A managed object differs from what was last applied.
    DriftObserved {
        /// The object.
        object: ObjectRef,
        /// How it differs.
        drift: Drift,
    },
    /// What is to be done about one subject.
    ActionsDecided {
        /// The Agent, Session or unwanted object that the decision is about.
        subject: ObjectRef,
        /// The subject's incarnation.
        uid: Uid,
        /// The event that asked for the decision.
        trigger: Trigger,
        /// Version of the decision functions that made it.
        logic: u32,
        /// The actions, to be performed in this order.
        actions: Vec<Action>,
        /// SHA-256 of the actions' canonical JSON.
        actions_sha256: Hash,
    },
    /// An action's write was acknowledged.
    ActionApplied {
        /// Record of the decision.
        decision: Seq,
        /// The subject of the decision, as several may stand in one record.
        subject: ObjectRef,
        /// Index in the decision's actions.
        action: u32,
        /// Incarnation of the object written.
        uid: Uid,
        /// Hash of the canonical projection of the owned fields as the server returned them;
        /// zeros for a delete.
        projection: Hash,
    },
    /// An action ended without its effect, for good.
    ActionFailed {
        /// Record of the decision.
        decision: Seq,
        /// The subject of the decision.
        subject: ObjectRef,
        /// Index in the decision's actions.
        action: u32,
        /// Why.
        reason: FailureReason,
        /// What the server said, shortened to 1,024 bytes.
        message: String,
    },
    /// Actions that will not be performed, because a later decision replaces them.
    ActionSuperseded {
        /// Record of the decision.
        decision: Seq,
        /// The subject of the decision.
        subject: ObjectRef,
        /// Indices in the decision's actions.
        actions: Vec<u32>,
        /// Record of the later decision or of the subject's deletion.
        by: Seq,
    },
    /// A signed checkpoint exists for the records before this one.
    CheckpointCreated {
        /// Number of records covered.
        size: u64,
        /// RFC 6962 root over the covered records.
        root: Hash,
        /// Hash of the last covered record.
        head: Hash,
    },
    /// A torn last line was cut off the local log file when it was opened.
    TailRepaired {
        /// Bytes removed.
        bytes: u64,
        /// SHA-256 of the bytes removed.
        sha256: Hash,
    },
}

/// One list gives both the names and the way from an event to its name; the match is exhaustive, so
/// a variant that is missing here does not compile.
macro_rules! kinds {
    ($($variant:ident),+ $(,)?) => {
        /// The `type` of every event, in the order of [`Event`]'s variants.
        pub const KINDS: &[&str] = &[$(stringify!($variant)),+];

        impl Event {
            /// Its `type`: the variant's name, one of [`KINDS`].
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => stringify!($variant)),+
                }
            }
        }
    };
}

kinds!(
    LogStarted,
    EpochStarted,
    AgentObserved,
    AgentDeleted,
    SessionObserved,
    SessionDeleted,
    ChildObserved,
    TimerFired,
    DriftObserved,
    ActionsDecided,
    ActionApplied,
    ActionFailed,
    ActionSuperseded,
    CheckpointCreated,
    TailRepaired,
);

/// Settings that decisions read; they change only with an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionSettings {
    /// Image used when an Agent names none, as `repository[:tag][@digest]`.
    pub default_image: String,
    /// Storage class used when an Agent names none; empty is the cluster's default.
    #[serde(default)]
    pub default_storage_class: String,
    /// Largest `maxDuration` of a Session, seconds.
    pub session_max_duration_s: u64,
}

/// A living object that a predecessor's decision wrote, and that goes over to this log with its
/// owner: everything about it that decisions read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inherited {
    /// The object.
    pub object: ObjectRef,
    /// Its incarnation.
    pub uid: Uid,
    /// Projection of the owned fields as seen.
    pub projection: Hash,
    /// What its pods run with, of a Deployment or Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<InheritedPod>,
    /// Storage class of a volume claim, if it has one; immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Whether it outlives its owner.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retained: bool,
}

/// What the pods of an inherited Deployment or Job run with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InheritedPod {
    /// Whether it may run: replicas above 0, or not suspended.
    pub running: bool,
    /// Image.
    pub image: String,
    /// Epoch that its pods were told, if it can be read. Kept, as another one would be another
    /// template: it would restart a Deployment, and no Job can take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
}

/// A state of a managed object that decisions read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", deny_unknown_fields)]
pub enum ChildState {
    /// The Job completed at this time, Unix milliseconds.
    JobSucceeded {
        /// When the operator saw it.
        at_ms: u64,
    },
    /// The Job failed for good at this time, Unix milliseconds.
    JobFailed {
        /// When the operator saw it.
        at_ms: u64,
    },
    /// An activated Job no longer exists.
    JobLost {
        /// When the operator saw it.
        at_ms: u64,
    },
    /// The volume claim is bound.
    VolumeBound,
    /// The volume claim lost its volume.
    VolumeLost,
}

/// Deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Timer {
    /// The session's time is over.
    Expiry,
    /// `ttlSecondsAfterFinished` has passed since the session finished.
    Ttl,
}

/// How a managed object differs from what was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", deny_unknown_fields)]
pub enum Drift {
    /// A fresh GET answered 404, or showed another incarnation.
    Missing {
        /// The incarnation that is gone.
        uid: Uid,
    },
    /// Owned fields changed.
    Changed {
        /// The incarnation that changed.
        uid: Uid,
        /// Projection of the owned fields as seen.
        projection: Hash,
    },
    /// A stamped object of this log or a predecessor that no decision wants.
    Unwanted {
        /// Its incarnation.
        uid: Uid,
    },
}

/// The event that a decision answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// Its record.
    pub seq: Seq,
    /// Its index in the record.
    pub index: u32,
    /// SHA-256 of its exact bytes.
    pub sha256: Hash,
}

/// One write that was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// What kind of write.
    pub verb: Verb,
    /// To which object.
    pub object: ObjectRef,
    /// Why.
    pub reason: Reason,
    /// SHA-256 of the canonical JSON of the manifest without its stamp; none for deletes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Hash>,
    /// The incarnation to write to; none for a create, and for an activation whose create stands
    /// before it in the same decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Uid>,
}

/// Kinds of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verb {
    /// Create the object, inert where it could run something.
    Create,
    /// Apply new content to a known incarnation.
    Update,
    /// Let an inert object run: replicas 1, or `suspend: false`.
    Activate,
    /// Mark by a stamped apply, then delete with uid and resourceVersion preconditions.
    Delete,
    /// Delete a Session whose time is over, with uid and resourceVersion preconditions.
    DeleteExpired,
}

/// Why an action was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Reason {
    ObjectMissing,
    SpecChanged,
    DriftRepaired,
    Started,
    Suspended,
    Resumed,
    Cancelled,
    Expired,
    TtlElapsed,
    NotWanted,
    WorkspaceAdopted,
    LogicChanged,
    Inherited,
}

/// Why an action failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum FailureReason {
    /// An object of that name exists and is not ours, or cannot become what is wanted.
    NameConflict,
    /// The API server refuses the content.
    Rejected,
    /// The object carries the stamp of another installation's log.
    ForeignLog,
    /// The incarnation that the action is about no longer exists.
    ObjectGone,
    /// The owner is gone.
    OwnerGone,
}
