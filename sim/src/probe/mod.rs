//! Probes: a compile-time catalogue of what must happen sometimes. A campaign that never hits one
//! has not tried what it stands for, and is red.
//!
//! Marks in the operator are its own signals (a closed enum), which the world writes into the
//! stream; everything else is read off the stream: what the models saw, what the network did.

mod log;
mod read;
mod signal;

use std::collections::BTreeMap;

use rynxs_judge::event::Line;

pub(crate) use signal::of_signal;

/// One probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its name.
    pub name: &'static str,
    /// The corner that it stands for.
    pub what: &'static str,
}

macro_rules! catalogue {
    ($($constant:ident = $name:literal, $what:literal;)*) => {
        /// All probes.
        pub const CATALOGUE: &[Probe] = &[$(Probe { name: $name, what: $what },)*];

        $(pub(crate) const $constant: &str = $name;)*
    };
}

catalogue! {
    // The log's fence.
    ZOMBIE_APPEND = "zombie-append-refused", "an append of an older epoch meets 412";
    OWN_WRITE = "own-write-recognised", "a repeated append finds its own bytes stored";
    LATE_RECORD = "late-record-adopted", "a deposed leader's record lands before the new epoch";
    SEQ_RACE = "two-candidates-race-one-seq", "two writers put their epoch under one key";
    STORE_RACED = "store-condition-raced", "a term's first append is sent several times at once";
    APPEND_UNKNOWN = "append-unknown", "an append's answer leaves open whether it was applied";
    ANSWER_LOST_LOG = "append-answer-lost", "a record is stored and its answer lost";
    LATE_APPEND = "append-arrives-after-its-sender-died", "a dead process's append arrives";
    IDLE_EPOCH = "epoch-without-a-record", "a leader loses its term before it records anything";
    BATCH = "batch-of-decisions", "one record holds several decisions";
    // The cluster's fence.
    POLICY = "stale-apply-refused-by-policy", "an older stamp meets 403";
    CONFLICT = "write-refused-by-version", "an operator's write meets 409";
    LATE_CREATE = "late-create-stays-inert", "a dead process's create lands and starts nothing";
    LATE_APPLY = "apply-arrives-after-its-sender-died", "a dead process's apply arrives";
    ANSWER_LOST_API = "apply-answer-lost", "an object is written and its answer lost";
    DOUBLE_WRITE = "write-arrives-twice", "a proxy sends a write again";
    STAMP_MEDDLED = "person-may-not-stamp", "a person's stamp meets 403";
    MARKED_DELETE = "marked-then-deleted", "the operator deletes what it marked";
    NAME_TAKEN = "name-taken-by-a-person", "a person's object has a managed name";
    TERM_LOST = "term-lost-across-write", "a term ends while a write is under way";
    // The election.
    LEASE_CREATED = "lease-created-again", "a deleted Lease comes back";
    LEASE_CONFLICT = "lease-conflict", "a write of the Lease meets 409";
    LEASE_EDITED = "lease-edited-by-hand", "a person writes another holder";
    RELEASED = "lease-released", "a leader gives the Lease up";
    RELEASE_LOST = "release-answered-ambiguously", "the answer to a release is lost";
    FAST_SUCCESSION = "successor-within-two-seconds", "a release is seen by a watch";
    RENEW_LATE = "deadline-exceeded", "a leader cannot renew in time";
    CLOCK_JUMP = "clock-jump-noticed", "a replica notices that its clocks disagree";
    ELECTION_THROTTLED = "election-throttled", "a request about the Lease meets 429";
    FROZEN_LEADER = "leader-frozen-beyond-lease", "a leader stands still longer than L";
    FIVE_EPOCHS = "five-epochs-in-a-minute", "leadership flaps";
    SAME_POD = "same-pod-leads-again", "a pod leads a second term";
    // Takeover.
    PENDING_TAKEN = "takeover-finishes-pending-work", "an action is applied by a later epoch";
    SUPERSEDED = "action-superseded", "a later decision replaces pending actions";
    ACTION_FAILED = "action-failed", "an action ends without its effect";
    NEW_SETTINGS = "epoch-with-other-settings", "a rolling upgrade changes what decisions read";
    // Watching.
    GONE_410 = "watch-too-old", "a watch or list from the past meets 410";
    GONE_TAKEOVER = "watch-too-old-during-takeover", "a new leader's watch or list meets 410";
    STALE_VIEW = "view-shows-the-past", "a watch cache stands still while the store goes on";
    WATCH_AGAIN = "watch-opened-again", "a broken watch is resumed";
    DRIFT = "drift-observed", "a managed object differs from what was applied";
    NEW_UID = "agent-recreated", "a name comes back with another uid";
    // Sessions and time.
    JOB_DONE = "job-succeeded", "a session's Job completes";
    JOB_LOST = "job-lost", "an activated Job is gone";
    EXPIRED = "session-expired", "a session's time is over";
    SESSION_DELETED = "session-deleted-by-operator", "an expired Session is deleted";
    KEPT_WORKSPACE = "workspace-adopted-again", "a retained workspace gets its agent back";
    // Faults of the servers.
    API_LATE_500 = "api-error-after-apply", "the API does it and answers 5xx";
    API_429 = "api-too-many-requests", "the API asks to come back later";
    S3_409 = "store-conflict", "the store answers 409";
    S3_5XX = "store-error", "the store answers 5xx";
    // The file store.
    TORN = "torn-line-repaired", "a torn last line is cut off and recorded";
    FILE_LED = "file-log-led", "a log in a file has a leader";
}

/// How often each probe was hit in a run.
#[must_use]
pub fn hits(lines: &[Line]) -> BTreeMap<&'static str, u64> {
    read::Reader::read(lines)
}
