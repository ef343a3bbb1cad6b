//! What the election machine hears and what it wants done.

use std::time::Duration;

use super::lease::{LeaseView, LeaseWrite};
use crate::ids::Uid;
use crate::time::{Mono, WallMs};

/// Names one request of one term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttemptId(pub u64);

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// What.
    pub what: Happening,
    /// The wall clock: for `renewTime`, and to notice that one of the clocks jumped.
    pub wall: WallMs,
    /// 64 random bits: jitter.
    pub random: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// Time passed.
    Tick,
    /// The watch, or the list before it, showed the Lease.
    Observed(LeaseView),
    /// The watch said that the Lease was deleted, or a consistent list had none.
    Missing {
        /// Version of the deletion or of the list.
        resource_version: Option<String>,
    },
    /// A request was answered.
    Answered {
        /// Which.
        id: AttemptId,
        /// How.
        answer: Answer,
    },
    /// Give the Lease up: everything that led has stopped and the last append is settled.
    Release,
}

/// How a request was answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// 200 or 201 with the Lease.
    Lease(LeaseView),
    /// 409.
    Conflict,
    /// 404.
    NotFound,
    /// 401 or 403.
    Forbidden,
    /// 422 or another 4xx: the server refuses this request for what it says.
    Rejected,
    /// 429.
    Throttled {
        /// The `Retry-After` header.
        retry_after: Option<Duration>,
    },
    /// 5xx: a write may have been applied.
    ServerError,
    /// 2xx with a body that is no Lease: a write was applied, perhaps.
    Undecodable,
    /// The connection broke: a write may have been, or may yet be, applied.
    Broken,
    /// No answer within Q, as the transport says: a write may have been, or may yet be, applied.
    Timeout,
    /// Nothing left this machine.
    NotSent,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// GET the Lease without `resourceVersion` (a consistent read).
    Get(AttemptId),
    /// Write the Lease.
    Write(AttemptId, LeaseWrite),
    /// This replica leads while `now < valid_until`.
    StartLeading {
        /// End of validity on this replica's monotonic clock.
        valid_until: Mono,
        /// The Lease's incarnation, as evidence.
        uid: Uid,
        /// `leaseTransitions`, as evidence.
        transitions: u32,
    },
    /// A renewal counts: leadership is valid for longer.
    Extend {
        /// New end of validity, later than before.
        valid_until: Mono,
    },
    /// Leadership is over: close the guard before anything else is done.
    StopLeading,
    /// An attempt failed: count it.
    Failed(Failure),
    /// The machine is done; a new term needs a new machine with a new identity.
    Ended(End),
}

/// Why an attempt failed, or leadership was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Failure {
    Conflict,
    NotFound,
    Forbidden,
    Rejected,
    Throttled,
    ServerError,
    Timeout,
    Connection,
    Undecodable,
    DeadlineExceeded,
    ClockJump,
}

/// How a term ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Leadership was lost.
    Lost(Loss),
    /// The Lease was given up, so far as can be known.
    Released,
}

/// Why leadership was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// No renewal counted in time.
    DeadlineExceeded,
    /// Another identity, or nobody, holds the Lease.
    ForeignHolder,
    /// The Lease was deleted.
    LeaseMissing,
    /// The Lease was deleted and created anew.
    LeaseReplaced,
    /// A coordinator prefers another holder.
    PreferredHolder,
    /// Wall and monotonic clock drifted apart by more than the renew deadline.
    ClockJump,
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::DeadlineExceeded => "no renewal of the Lease succeeded in time",
            Self::ForeignHolder => "the Lease is not held by this replica any more",
            Self::LeaseMissing => "the Lease was deleted",
            Self::LeaseReplaced => "the Lease was deleted and created anew",
            Self::PreferredHolder => "a coordinator prefers another holder",
            Self::ClockJump => "the clocks of this machine jumped",
        })
    }
}
