//! The table of faults: for each, which invariants it may break and what must be detected instead.
//! Every other invariant stays on, and an invariant that no fault of a run excuses is not excused.

use rynxs_judge::Invariant;
use rynxs_judge::event::Excuse;

use crate::scenario::{ApiFault, Clock, Do, S3Fault, Scenario, Tampering};
use crate::world::config_of;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Name, as in the stream.
    pub fault: &'static str,
    /// What it does, in a few words.
    pub what: &'static str,
    /// Invariants that it may break.
    pub may_break: &'static [Invariant],
    /// What must be detected or done instead.
    pub instead: &'static str,
}

use Invariant::{I1Chain, I2Durable, I3Epoch, I5Intent, I6Replay, I7OneLeader, I8Converge};

const NOTHING: &[Invariant] = &[];

/// A log that was changed by somebody with the bucket's keys promises nothing of itself any more.
/// What still holds: nothing that the fence protects is overwritten by an older decision.
const LOG_GONE: &[Invariant] = &[I1Chain, I2Durable, I3Epoch, I5Intent, I6Replay, I8Converge];

macro_rules! table {
    ($($fault:literal, $what:literal, $may_break:expr, $instead:literal;)*) => {
        /// All faults.
        pub const TABLE: &[Row] = &[
            $(Row { fault: $fault, what: $what, may_break: $may_break, instead: $instead },)*
        ];
    };
}

table! {
    "crash", "a process is killed without warning", NOTHING, "a successor leads";
    "crash-at-write", "a process is killed around its nth write", NOTHING, "the write is settled";
    "lose-answer", "the answer to a process's nth write is lost", NOTHING, "the write is settled";
    "crash-at-await", "a process is killed at its nth await", NOTHING, "a successor leads";
    "freeze", "a process stands still with requests under way", NOTHING, "its late writes lose";
    "stop", "a process is asked to stop", NOTHING, "the Lease is released";
    "upgrade", "all replicas are restarted with another default image", NOTHING, "all follow";
    "clock-rate", "a monotonic clock runs fast or slow within the bound", NOTHING, "nothing";
    "clock-rate-beyond", "a clock runs faster or slower than settings allow for", &[I7OneLeader],
        "the log and the stamps still fence";
    "clock-jump", "a clock jumps", &[I7OneLeader], "a jump is noticed and leadership given up";
    "partition", "messages between a replica and a server are lost", NOTHING, "another leads";
    "lose", "some messages are lost", NOTHING, "unknown is not failure";
    "duplicate", "some requests arrive twice", NOTHING, "the second changes nothing";
    "slow", "messages take longer", NOTHING, "nothing";
    "reorder", "messages overtake each other", NOTHING, "nothing";
    "hold-write", "a write arrives late", NOTHING, "a late write loses or changes nothing";
    "replay-write", "a proxy repeats an apply with the live version", NOTHING, "the policy refuses";
    "break-watches", "open watches break", NOTHING, "they are resumed";
    "duplicate-events", "watch events come twice", NOTHING, "nothing is recorded twice";
    "coalesce-events", "watch events that a later one overtakes are left out", NOTHING,
        "the last state counts";
    "drop-events", "watch events are silently left out", NOTHING, "a resync finds what was missed";
    "api-too-many-requests", "429 with Retry-After", NOTHING, "backoff";
    "api-fails-before", "500 before anything was done", NOTHING, "tried again";
    "api-fails-after", "500 after it was done", NOTHING, "recognised as done";
    "api-unavailable", "503 by the load balancer", NOTHING, "tried again";
    "api-times-out-after", "504 after it was done", NOTHING, "recognised as done";
    "api-denies-writes", "403 to writes of managed objects", NOTHING, "said in a condition";
    "lease-conflicts", "409 to writes of the Lease", NOTHING, "fresh read, backoff";
    "freeze-view", "a watch cache shows the past", NOTHING, "only consistent lists are believed";
    "lag-view", "a watch cache is behind", NOTHING, "only consistent lists are believed";
    "stall-controllers", "Kubernetes' own controllers stand still", NOTHING, "nothing";
    "move-to-view", "a replica talks to another API server", NOTHING, "watches are resumed";
    "compact", "watches from the past are answered 410", NOTHING, "a fresh list";
    "delete-lease", "a person deletes the Lease", NOTHING, "re-created, L later";
    "edit-lease", "a person edits the Lease", &[I7OneLeader], "the leader stops at once";
    "s3-slow-down", "503 SlowDown", NOTHING, "same bytes again";
    "s3-fails-before", "500 before anything was done", NOTHING, "same bytes again";
    "s3-fails-after", "500 after it was done", NOTHING, "412, and own bytes recognised";
    "s3-conflict", "409 ConditionalRequestConflict", NOTHING, "same bytes again";
    "s3-request-timeout", "400 RequestTimeout", NOTHING, "same bytes again";
    "s3-expired-token", "ExpiredToken behind a 400", NOTHING, "same bytes again";
    "s3-reset-after", "the connection breaks after it was done", NOTHING, "own bytes recognised";
    "s3-ignores-condition", "a store ignores If-None-Match", LOG_GONE, "refused at the next term";
    "tamper-delete-middle", "a record is deleted", LOG_GONE, "the next takeover halts";
    "tamper-delete-last-but-one", "the last record but one is deleted", LOG_GONE,
        "the next takeover halts";
    "tamper-swap", "two records are swapped", LOG_GONE, "the next takeover halts";
    "tamper-flip", "a bit of a record is flipped", LOG_GONE, "the next takeover halts";
    "tamper-truncated-tail", "the last record is deleted", LOG_GONE, "a stamp beyond the log halts";
    "tamper-rolled-back", "the younger half of the records is deleted", LOG_GONE,
        "a stamp beyond the log halts";
    "tamper-emptied", "all records are deleted", LOG_GONE, "refused: stamped objects without a log";
    "fail-syncs", "syncs of the disk fail", NOTHING, "the log is poisoned, never synced again";
    "fill-disk", "the disk is full", NOTHING, "said, and tried again";
    "power-loss", "what was not synced is lost", NOTHING, "a torn last line is repaired";
    "bit-rot", "a bit of the log's file flips", LOG_GONE, "refuses to start";
}

// Names of faults that meet single messages: the stream names them there, too.
pub(crate) const CRASH_AT_WRITE: &str = "crash-at-write";
pub(crate) const LOSE_ANSWER: &str = "lose-answer";
pub(crate) const PARTITION: &str = "partition";
pub(crate) const LOSE: &str = "lose";
pub(crate) const DUPLICATE: &str = "duplicate";
pub(crate) const HOLD_WRITE: &str = "hold-write";
pub(crate) const REPLAY_WRITE: &str = "replay-write";
pub(crate) const DUPLICATE_EVENTS: &str = "duplicate-events";
pub(crate) const COALESCE_EVENTS: &str = "coalesce-events";
pub(crate) const DROP_EVENTS: &str = "drop-events";
pub(crate) const FREEZE_VIEW: &str = "freeze-view";
pub(crate) const COMPACT: &str = "compact";
pub(crate) const IGNORES_CONDITION: &str = "s3-ignores-condition";

/// The name of a fault of the API server.
pub(crate) const fn of_api(fault: ApiFault) -> &'static str {
    match fault {
        ApiFault::TooManyRequests => "api-too-many-requests",
        ApiFault::FailsBefore => "api-fails-before",
        ApiFault::FailsAfter => "api-fails-after",
        ApiFault::Unavailable => "api-unavailable",
        ApiFault::TimesOutAfter => "api-times-out-after",
        ApiFault::DeniesWrites => "api-denies-writes",
        ApiFault::LeaseConflicts => "lease-conflicts",
    }
}

/// The name of a fault of the object store.
pub(crate) const fn of_s3(fault: S3Fault) -> &'static str {
    match fault {
        S3Fault::SlowDown => "s3-slow-down",
        S3Fault::FailsBefore => "s3-fails-before",
        S3Fault::FailsAfter => "s3-fails-after",
        S3Fault::Conflict => "s3-conflict",
        S3Fault::RequestTimeout => "s3-request-timeout",
        S3Fault::ExpiredToken => "s3-expired-token",
        S3Fault::ResetAfter => "s3-reset-after",
    }
}

/// The name of a step's fault.
///
/// # Panics
/// If the step is a user's: that is none.
#[must_use]
pub fn name(what: &Do) -> &'static str {
    match what {
        Do::Crash { .. } => "crash",
        Do::CrashAtWrite { .. } => CRASH_AT_WRITE,
        Do::LoseAnswer { .. } => LOSE_ANSWER,
        Do::CrashAtAwait { .. } => "crash-at-await",
        Do::Freeze { .. } => "freeze",
        Do::Stop { .. } => "stop",
        Do::Upgrade { .. } => "upgrade",
        Do::ClockRate { .. } => "clock-rate",
        Do::ClockJump { .. } => "clock-jump",
        Do::Partition { .. } => PARTITION,
        Do::Lose { .. } => LOSE,
        Do::Duplicate { .. } => DUPLICATE,
        Do::Slow { .. } => "slow",
        Do::Reorder { .. } => "reorder",
        Do::HoldWrite { .. } | Do::PassWrite { .. } => HOLD_WRITE,
        Do::ReplayWrite { .. } => REPLAY_WRITE,
        Do::BreakWatches { .. } => "break-watches",
        Do::DuplicateEvents { .. } => DUPLICATE_EVENTS,
        Do::CoalesceEvents { .. } => COALESCE_EVENTS,
        Do::DropEvents { .. } => DROP_EVENTS,
        Do::ApiFault { fault, .. } => of_api(*fault),
        Do::FreezeView { .. } => FREEZE_VIEW,
        Do::LagView { .. } => "lag-view",
        Do::StallControllers { .. } => "stall-controllers",
        Do::MoveToView { .. } => "move-to-view",
        Do::Compact {} => COMPACT,
        Do::DeleteLease {} => "delete-lease",
        Do::EditLease { .. } => "edit-lease",
        Do::S3Fault { fault, .. } => of_s3(*fault),
        Do::IgnoreCondition {} => IGNORES_CONDITION,
        Do::Tamper { how } => match how {
            Tampering::DeleteMiddle => "tamper-delete-middle",
            Tampering::DeleteLastButOne => "tamper-delete-last-but-one",
            Tampering::Swap => "tamper-swap",
            Tampering::Flip => "tamper-flip",
            Tampering::CutTail => "tamper-truncated-tail",
            Tampering::Empty => "tamper-emptied",
            Tampering::Rollback => "tamper-rolled-back",
        },
        Do::FailSyncs { .. } => "fail-syncs",
        Do::FillDisk { .. } => "fill-disk",
        Do::PowerLoss { .. } => "power-loss",
        Do::BitRot { .. } => "bit-rot",
        Do::ApplyAgent { .. }
        | Do::DeleteAgent { .. }
        | Do::OrphanAgent { .. }
        | Do::RecreateAgent { .. }
        | Do::ApplySession { .. }
        | Do::DeleteSession { .. }
        | Do::Meddle { .. }
        | Do::Squat { .. }
        | Do::Stray { .. } => panic!("what users do is no fault"),
    }
}

/// The row of a fault.
///
/// # Panics
/// If there is none of that name.
#[must_use]
pub fn row(fault: &str) -> &'static Row {
    let found = TABLE.iter().find(|row| row.fault == fault);
    found.unwrap_or_else(|| panic!("no fault {fault} in the table"))
}

/// Whether a clock of this rate is within what the settings allow for.
pub(crate) fn is_within(rate_ppm: i64, bound_ppm: u32) -> bool {
    // A rate in [1/(1+ρ), 1+ρ], in millionths.
    let (rate, bound) = (i128::from(rate_ppm) + 1_000_000, i128::from(bound_ppm) + 1_000_000);
    rate <= bound && rate * bound >= 1_000_000 * 1_000_000
}

/// The faults of a scenario, in the order of its steps.
#[must_use]
pub fn of(scenario: &Scenario) -> Vec<&'static str> {
    let config = config_of(scenario);
    let bound_ppm = config.leader_election.clock_rate_error_ppm;
    let mut faults: Vec<&'static str> = Vec::new();
    let beyond = |clock: &Clock| !is_within(clock.rate_ppm, bound_ppm);
    if scenario.clocks.iter().any(beyond) {
        faults.push("clock-rate-beyond");
    }
    for step in &scenario.steps {
        match &step.what {
            Do::ClockRate { rate_ppm, .. } if !is_within(*rate_ppm, bound_ppm) => {
                faults.push("clock-rate-beyond");
            }
            what if crate::world::is_users(what) => {}
            // Leases are judged on monotonic clocks.
            Do::ClockJump { mono_ms: 0, .. } => {}
            what => faults.push(name(what)),
        }
    }
    // Settings whose inequalities do not hold promise nothing about two leaders.
    if scenario.settings.unchecked {
        faults.push("clock-rate-beyond");
    }
    faults
}

/// What the faults of a scenario may break.
#[must_use]
pub fn excuses(scenario: &Scenario) -> Vec<Excuse> {
    let mut excuses = Vec::new();
    for fault in of(scenario) {
        for invariant in row(fault).may_break {
            let excuse = Excuse { invariant: *invariant, fault: fault.to_owned() };
            if !excuses.contains(&excuse) {
                excuses.push(excuse);
            }
        }
    }
    excuses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Who;

    #[test]
    fn every_fault_of_the_table_is_named_once() {
        for (index, row) in TABLE.iter().enumerate() {
            assert!(!TABLE[..index].iter().any(|other| other.fault == row.fault), "{}", row.fault);
        }
        // The fence holds whatever happens to the log: no fault may excuse a stale write.
        assert!(TABLE.iter().all(|row| !row.may_break.contains(&Invariant::I4Fenced)));
    }

    #[test]
    fn a_clock_within_the_bound_excuses_nothing_and_one_beyond_it_only_two_leaders() {
        let drift =
            |rate_ppm| Scenario::default().at(1, Do::ClockRate { who: Who::Leader, rate_ppm });
        assert_eq!(excuses(&drift(50_000)), []);
        assert_eq!(excuses(&drift(-47_619)), []);
        for beyond in [50_001, -47_620, 1_000_000] {
            let found = excuses(&drift(beyond));
            assert_eq!(found.len(), 1, "{beyond}: {found:?}");
            assert_eq!(found[0].invariant, I7OneLeader);
        }
    }
}
