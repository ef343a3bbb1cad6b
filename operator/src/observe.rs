//! What the operator says of itself, for metrics and probes.
//!
//! An observer is not a way out: nothing comes back from it and no decision reads it. All values
//! come from closed enums, so label sets are bounded.

use std::time::Duration;

use rynxs_core::ids::{Epoch, Kind, Seq};
use rynxs_core::time::Mono;

/// One thing worth counting.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// An event was acknowledged by the log; the name is the event's `type`.
    EventAppended(&'static str),
    /// A subject has nothing pending any more.
    Reconciled {
        /// Kind of the subject.
        resource: Resource,
        /// From the first pending action to the last outcome.
        took: Duration,
    },
    /// An effect about a subject failed for now and will be tried again.
    ReconcileRetried(Resource),
    /// This replica leads, or does no longer.
    Leading(bool),
    /// Until when this replica may lead by its own clock; none once its guard is closed. What it
    /// believes, for whoever compares it with the truth.
    ValidUntil(Option<Mono>),
    /// Leadership was gained or lost.
    LeaderTransition,
    /// An attempt to acquire, renew or release the Lease failed.
    ElectionFailure(ElectionFailure),
    /// The log was read and reduced at a takeover.
    Replayed {
        /// How long it took.
        took: Duration,
        /// Records read.
        records: u64,
        /// Events reduced.
        events: u64,
    },
    /// An append's answer left open whether it was applied.
    AppendUnknown,
    /// A PUT of a record was not answered by 200.
    PutError(PutError),
    /// One request that writes was refused because something newer exists, or was not sent because
    /// this replica does not lead any more.
    StaleWriteRefused(RefusedBy),
    /// A write was under way when its term ended; its outcome is not recorded.
    TermLostAcrossWrite,
    /// Length of a queue changed.
    QueueDepth(Queue, usize),
    /// A bounded queue was full and something was dropped or delayed.
    QueueFull(Queue),
    /// The log's last acknowledged record.
    LogHead {
        /// Its position.
        seq: Seq,
        /// The epoch it belongs to.
        epoch: Epoch,
    },
    /// A request to the API server was answered, or not.
    KubernetesRequest {
        /// Verb as RBAC names it.
        verb: &'static str,
        /// Plural resource name, with subresource.
        resource: &'static str,
        /// Status code, 0 if there was no answer.
        code: u16,
    },
    /// The replica can serve: it watches the Lease, or leads and has caught up.
    Ready(bool),
    /// The election loop went round: the liveness probe wants to see this regularly.
    ElectionAlive,
    /// The leader refused the log, or its store, without ending the process: nobody is ready until
    /// a person mends it.
    LogRefused,
    /// A checkpoint was written.
    CheckpointCreated(Duration),
    /// A checkpoint did not verify.
    CheckpointVerifyFailed,
}

/// Kinds of subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Resource {
    Agent,
    Session,
    Unwanted,
}

/// Why an attempt at the Lease failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ElectionFailure {
    Conflict,
    NotFound,
    Forbidden,
    Throttled,
    ServerError,
    Timeout,
    Connection,
    Undecodable,
    DeadlineExceeded,
    ClockJump,
}

/// What a PUT that was not answered by 200 was answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum PutError {
    PreconditionFailed,
    Conflict,
    Throttled,
    ServerError,
    Timeout,
    Connection,
    AccessDenied,
    NoSuchBucket,
    Rejected,
}

impl Resource {
    /// What a subject of this kind is counted as.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Agent => Self::Agent,
            Kind::Session => Self::Session,
            _ => Self::Unwanted,
        }
    }
}

/// Who refused a stale write. Each refused request counts once, by whoever refused it; what is not
/// sent because the living object was seen to be newer is refused by nobody and counts nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum RefusedBy {
    /// The log: the place of an append was taken (412) by a record of a later epoch.
    Log,
    /// The API server's optimistic concurrency: 409 to a write that named the uid or version which
    /// it replaces, or to a create whose name turned out to be held under a higher stamp.
    ResourceVersion,
    /// A rule of ours in the API server: an admission policy that compares stamps (403, by some
    /// servers 422), or the CRD's rule on a status' `controllerEpoch` (422).
    Policy,
    /// The replica's own guard, before the request of an effect, a status or a Kubernetes Event was
    /// sent.
    Guard,
}

/// Bounded queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Queue {
    Journal,
    Reconcile,
    Watch,
    KubernetesEvents,
}

/// Receives signals; must return at once.
pub trait Observer: Send + Sync {
    /// Takes note of one signal.
    fn signal(&self, signal: Signal);
}

/// Takes no note of anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn signal(&self, _: Signal) {}
}
