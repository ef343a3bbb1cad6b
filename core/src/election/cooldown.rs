//! How long a replica that lost leadership stays out of the race.
//!
//! A replica that leads again and again for a moment (a bad disk, a starved node, a half-open
//! network) costs a takeover each time. Each term that it started lately doubles its wait, up to
//! L, so that a steadier replica gets the Lease first. The history is the log's `EpochStarted`
//! records, so a restart of the process forgets nothing.

use std::time::Duration;

use crate::ids::WriterId;
use crate::time::WallMs;

/// Terms that began within so many lease durations count as lately: 5 minutes for L = 15 s. With
/// waits of up to L and takeovers of about L, some ten terms fit into it.
const WINDOW_LEASES: u32 = 20;

/// Most terms worth remembering: the wait reaches L long before.
pub const REMEMBERED: usize = 32;

/// One `EpochStarted` record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// Who started it.
    pub identity: WriterId,
    /// The record's `ts_ms`.
    pub at: WallMs,
}

/// The pod of an identity: everything before its last `_`.
#[must_use]
pub fn pod(identity: &WriterId) -> &str {
    identity.as_str().rsplit_once('_').map_or(identity.as_str(), |(pod, _)| pod)
}

/// How long `pod` stays out after losing leadership at `now`: nothing if it started no term
/// lately, else P doubled with each term but the first, at most L.
///
/// Wall clocks of different replicas are compared here; a wrong one only makes a wait longer or
/// shorter within `[0, L]`.
#[must_use]
pub fn cooldown(
    starts: &[EpochStart],
    pod: &str,
    now: WallMs,
    lease: Duration,
    retry_period: Duration,
) -> Duration {
    let window_ms = u64::try_from((lease * WINDOW_LEASES).as_millis()).unwrap_or(u64::MAX);
    let lately = starts
        .iter()
        .filter(|start| self::pod(&start.identity) == pod)
        .filter(|start| now.0.abs_diff(start.at.0) <= window_ms)
        .count();
    match u32::try_from(lately).unwrap_or(u32::MAX) {
        0 => Duration::ZERO,
        terms => retry_period.saturating_mul(1 << (terms - 1).min(16)).min(lease),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);
    const RETRY: Duration = Duration::from_secs(2);

    fn starts(of: &[(&str, u64)]) -> Vec<EpochStart> {
        of.iter()
            .map(|(pod, at_s)| EpochStart {
                identity: WriterId(format!("{pod}_00000000-0000-4000-8000-00000000000{at_s}")),
                at: WallMs(at_s * 1_000),
            })
            .collect()
    }

    fn wait_s(of: &[(&str, u64)], now_s: u64) -> u64 {
        cooldown(&starts(of), "rynxs-0", WallMs(now_s * 1_000), LEASE, RETRY).as_secs()
    }

    #[test]
    fn wait_doubles_with_flapping_up_to_the_lease_duration() {
        let terms: Vec<(&str, u64)> = (0..6).map(|i| ("rynxs-0", 1_000 + i)).collect();
        let waits: Vec<u64> = (0..=6).map(|n| wait_s(&terms[..n], 1_010)).collect();
        assert_eq!(waits, [0, 2, 4, 8, 15, 15, 15]);
    }

    #[test]
    fn steady_terms_are_forgotten() {
        assert_eq!(wait_s(&[("rynxs-0", 1_000), ("rynxs-0", 1_001)], 1_300), 4);
        assert_eq!(wait_s(&[("rynxs-0", 1_000), ("rynxs-0", 1_001)], 1_301), 2);
        assert_eq!(wait_s(&[("rynxs-0", 1_000), ("rynxs-0", 1_001)], 1_302), 0);
    }

    #[test]
    fn terms_of_other_replicas_do_not_count() {
        assert_eq!(wait_s(&[("rynxs-1", 1_000), ("rynxs-2", 1_001), ("rynxs-0", 1_002)], 1_010), 2);
        assert_eq!(wait_s(&[("rynxs-00", 1_000)], 1_010), 0);
    }

    #[test]
    fn restarted_process_of_the_same_pod_is_remembered_by_its_name() {
        let identity = WriterId::from("my_odd_pod_0b5c");
        assert_eq!(pod(&identity), "my_odd_pod");
        assert_eq!(pod(&WriterId::from("plain")), "plain");
    }
}
