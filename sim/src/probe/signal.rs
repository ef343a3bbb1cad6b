//! Marks in the operator: its signals.

use rynxs_operator::observe::{ElectionFailure, Signal};

use super::{APPEND_UNKNOWN, CLOCK_JUMP, ELECTION_THROTTLED, RENEW_LATE, TERM_LOST};

/// The probe that a signal is.
pub(crate) fn of_signal(signal: &Signal) -> Option<&'static str> {
    match signal {
        Signal::AppendUnknown => Some(APPEND_UNKNOWN),
        Signal::TermLostAcrossWrite => Some(TERM_LOST),
        Signal::ElectionFailure(ElectionFailure::DeadlineExceeded) => Some(RENEW_LATE),
        Signal::ElectionFailure(ElectionFailure::ClockJump) => Some(CLOCK_JUMP),
        Signal::ElectionFailure(ElectionFailure::Throttled) => Some(ELECTION_THROTTLED),
        // No probe of the catalogue: what causes it lasts, and is in no random scenario.
        Signal::LogRefused => Some(rynxs_judge::oracle::LOG_REFUSED),
        _ => None,
    }
}
