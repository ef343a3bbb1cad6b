//! How long things may take once nothing is broken any more (I8): all its arithmetic.

use crate::event::Terms;

const MS: u64 = 1_000_000;
const PPM: u64 = 1_000_000;

/// Round trips from the end of a cool-down to leading: GET and PUT of the Lease by a standby whose
/// first PUT met a conflict, and once more.
const LEASE_TRIPS: u64 = 4;
/// Round trips from leading to the last status of one subject: survey, tail and takeover of the
/// log (6), lists (2), five writes with a record before and after each (15), status (2), and once
/// more for what has to be read afresh.
const STATE_TRIPS: u64 = 50;
/// Subjects are worked on side by side; each one above the first adds its share of records.
const TRIPS_PER_SUBJECT: u64 = 2;
/// What is looked at again only now and then: a name that was taken, a status that was refused.
const LOOK_AGAIN_MS: u64 = 30_000;
/// From a pod's creation to the status that says that it is available, and back to zero.
const POD_MS: u64 = 30_000;

/// The bounds of one run, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// From the end of the faults to a leader.
    pub leader_ns: u64,
    /// From the end of the faults, or from a change by somebody else, to the desired state.
    pub state_ns: u64,
}

impl Bounds {
    /// The bounds under these settings; `round_trip_ms` is the longest request once nothing is
    /// broken, at most Q; `silent` says that watches dropped events without saying so.
    ///
    /// A leader: a Lease that its holder cannot renew runs out after L; a standby that was just
    /// refused tries again after at most 2P (jitter included); whoever lost the Lease last stays
    /// out for G and a cool-down of at most L; then the requests of an election. All of it passes
    /// on clocks that are slow by at most ρ.
    ///
    /// The state: after that, what failed during the faults waits at most `backoff_max` once
    /// (twice if the store itself was in trouble, as a term that ends over it waits too).
    #[must_use]
    pub fn new(terms: &Terms, round_trip_ms: u64, subjects: u64, silent: bool) -> Self {
        let stay_out = terms.stop_grace_ms + terms.lease_ms;
        let election = terms.lease_ms + 2 * terms.retry_period_ms;
        let leader_ms = election + stay_out + LEASE_TRIPS * round_trip_ms;
        let trips = STATE_TRIPS + TRIPS_PER_SUBJECT * subjects;
        let state_ms = leader_ms
            + 2 * terms.backoff_max_ms
            + trips * round_trip_ms
            + LOOK_AGAIN_MS
            + POD_MS
            + if silent { terms.resync_ms } else { 0 };
        let slow = |ms: u64| ms * MS / PPM * (PPM + u64::from(terms.clock_rate_error_ppm));
        Self { leader_ns: slow(leader_ms), state_ns: slow(state_ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> Terms {
        Terms {
            lease_ms: 15_000,
            renew_deadline_ms: 10_000,
            retry_period_ms: 2_000,
            request_timeout_ms: 2_000,
            stop_grace_ms: 3_000,
            clock_rate_error_ppm: 0,
            backoff_max_ms: 60_000,
            resync_ms: 600_000,
        }
    }

    #[test]
    fn default_settings_give_a_leader_within_l_and_2p_and_a_cool_down() {
        let bounds = Bounds::new(&terms(), 0, 1, false);
        assert_eq!(bounds.leader_ns, (15 + 2 * 2 + 15 + 3) * 1_000 * MS);
        assert!(bounds.state_ns > bounds.leader_ns + 120_000 * MS);
    }

    #[test]
    fn slow_clocks_and_silent_watches_take_longer() {
        let even = Bounds::new(&terms(), 0, 1, false);
        let slow = Terms { clock_rate_error_ppm: 50_000, ..terms() };
        let slow = Bounds::new(&slow, 0, 1, false);
        assert_eq!(slow.leader_ns, even.leader_ns / 100 * 105);
        let silent = Bounds::new(&terms(), 0, 1, true);
        assert_eq!(silent.state_ns - even.state_ns, 600_000 * MS);
    }
}
