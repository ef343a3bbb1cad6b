//! The inequalities that keep two leaders apart (I7), in exact integer arithmetic.
//!
//! A leader acts until `t_send + R` on its clock and everything it started is over by
//! `t_send + R + G`. A standby takes over at the earliest `t_seen + L` on its own clock, where
//! `t_seen` is after the renewal was stored and so after `t_send`. With clock rates within
//! `1 ± ρ` of true time the leader's span lasts at most `(R+G)·(1+ρ)` true seconds and the
//! standby's at least `L/(1+ρ)`, hence `(R+G)·(1+ρ)² < L`. (A rate in `[1/(1+ρ), 1+ρ]`.)

use std::time::Duration;

use super::{ConfigError, LeaderElection};

const ONE_S: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3_600);
const PPM: u128 = 1_000_000;

/// Checks the timing of the election.
pub(super) fn check(
    settings: &LeaderElection,
    shutdown_timeout: Duration,
    errors: &mut Vec<ConfigError>,
) {
    check_ranges(settings, errors);
    check_lease_outlasts_leader(settings, errors);
    check_retry_fits_deadline(settings, errors);
    // Drain ends, then GET and PUT of the release, each at most Q.
    let release = settings.request_timeout.saturating_mul(2);
    if settings.enabled && shutdown_timeout <= release {
        errors.push(ConfigError {
            setting: "shutdownTimeout",
            value: format!("{shutdown_timeout:?}"),
            problem: format!(
                "2 × requestTimeout < shutdownTimeout is broken: 2 × {:?} = {release:?} is not \
                 less than {shutdown_timeout:?}, over by {:?}",
                settings.request_timeout,
                release - shutdown_timeout
            ),
            fix: format!("set it above {release:?}"),
        });
    }
}

fn check_ranges(settings: &LeaderElection, errors: &mut Vec<ConfigError>) {
    for (setting, value) in [
        ("leaderElection.leaseDuration", settings.lease_duration),
        ("leaderElection.renewDeadline", settings.renew_deadline),
        ("leaderElection.retryPeriod", settings.retry_period),
        ("leaderElection.requestTimeout", settings.request_timeout),
        ("leaderElection.stopGrace", settings.stop_grace),
    ] {
        if value < ONE_S {
            errors.push(ConfigError {
                setting,
                value: format!("{value:?}"),
                problem: format!("must be at least 1s, under by {:?}", ONE_S - value),
                fix: "set it to 1s or more".to_owned(),
            });
        }
        if value > LONGEST {
            errors.push(ConfigError {
                setting,
                value: format!("{value:?}"),
                problem: format!("must be at most 1h, over by {:?}", value - LONGEST),
                fix: "set it to 1h or less: for so long nobody leads after a leader died"
                    .to_owned(),
            });
        }
    }
    let lease = settings.lease_duration;
    if lease.subsec_nanos() != 0 {
        errors.push(ConfigError {
            setting: "leaderElection.leaseDuration",
            value: format!("{lease:?}"),
            problem: "must be whole seconds, as the Lease stores it in leaseDurationSeconds; over \
                      by "
            .to_owned()
                + &format!("{:?}", Duration::from_nanos(u64::from(lease.subsec_nanos()))),
            fix: format!(
                "set it to {}s or {}s",
                lease.as_secs(),
                lease.as_secs().saturating_add(1)
            ),
        });
    }
    if settings.clock_rate_error_ppm > 500_000 {
        errors.push(ConfigError {
            setting: "leaderElection.clockRateErrorPpm",
            value: settings.clock_rate_error_ppm.to_string(),
            problem: format!(
                "must be at most 500000 (50 %), over by {}",
                settings.clock_rate_error_ppm - 500_000
            ),
            fix: "set it to what the machines' clocks may be off by, usually 50000 (5 %)"
                .to_owned(),
        });
    }
}

/// `(R + G) · (1 + ρ)²`, rounded up to nanoseconds.
pub(crate) fn longest_term_after_renewal(settings: &LeaderElection) -> Duration {
    let span = (settings.renew_deadline.saturating_add(settings.stop_grace)).as_nanos();
    let rate = PPM + u128::from(settings.clock_rate_error_ppm);
    let nanos = span.saturating_mul(rate * rate).div_ceil(PPM * PPM);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn check_lease_outlasts_leader(settings: &LeaderElection, errors: &mut Vec<ConfigError>) {
    let (lease, renew, grace) =
        (settings.lease_duration, settings.renew_deadline, settings.stop_grace);
    let leader = longest_term_after_renewal(settings);
    if leader < lease {
        return;
    }
    let percent = f64::from(settings.clock_rate_error_ppm) / 10_000.0;
    let rate = 1.0 + f64::from(settings.clock_rate_error_ppm) / 1e6;
    let shortest_lease = leader.as_secs() + 1;
    // Largest whole R that fits: (R+G)·(1+ρ)² < L.
    let room_s = lease.as_secs_f64() / (rate * rate) - grace.as_secs_f64();
    let shorter = match room_s.ceil() - 1.0 {
        whole if whole >= 1.0 => format!(", or renewDeadline to {whole}s or less"),
        _ => String::new(),
    };
    errors.push(ConfigError {
        setting: "leaderElection.leaseDuration",
        value: format!("{lease:?}"),
        problem: format!(
            "(renewDeadline + stopGrace) × (1 + {percent} %)² < leaseDuration is broken: \
             ({renew:?} + {grace:?}) × {:.4} = {leader:?} is not less than {lease:?}, over by {:?}",
            rate * rate,
            leader - lease
        ),
        fix: format!("set it to {shortest_lease}s or more{shorter}"),
    });
}

fn check_retry_fits_deadline(settings: &LeaderElection, errors: &mut Vec<ConfigError>) {
    let (renew, retry, timeout) =
        (settings.renew_deadline, settings.retry_period, settings.request_timeout);
    // 1.2·P without floating point.
    let attempt = (retry.saturating_mul(6) / 5).saturating_add(timeout);
    if attempt < renew {
        return;
    }
    errors.push(ConfigError {
        setting: "leaderElection.renewDeadline",
        value: format!("{renew:?}"),
        problem: format!(
            "1.2 × retryPeriod + requestTimeout < renewDeadline is broken: 1.2 × {retry:?} + \
             {timeout:?} = {attempt:?} is not less than {renew:?}, over by {:?}",
            attempt - renew
        ),
        fix: format!(
            "set it to {}s or more, or lower retryPeriod or requestTimeout",
            attempt.as_secs() + 1
        ),
    });
}

#[cfg(test)]
mod tests {
    use super::super::{Config, LeaderElection};
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn errors(change: impl FnOnce(&mut LeaderElection)) -> Vec<ConfigError> {
        let mut settings = LeaderElection::default();
        change(&mut settings);
        let mut errors = Vec::new();
        check(&settings, Config::default().shutdown_timeout, &mut errors);
        errors
    }

    #[test]
    fn defaults_and_the_chart_example_are_valid() {
        assert_eq!(errors(|_| {}), []);
        assert_eq!(
            errors(|e| {
                (e.lease_duration, e.renew_deadline, e.retry_period) = (s(15), s(10), s(2));
            }),
            []
        );
    }

    #[test]
    fn lease_that_ends_before_the_leader_stops_is_refused_with_the_numbers() {
        let errors = errors(|e| e.lease_duration = s(14));
        assert_eq!(errors.len(), 1);
        let text = errors[0].to_string();
        assert_eq!(
            text,
            "leaderElection.leaseDuration = 14s: (renewDeadline + stopGrace) × (1 + 5 %)² < \
             leaseDuration is broken: (10s + 3s) × 1.1025 = 14.3325s is not less than 14s, over by \
             332.5ms; set it to 15s or more, or renewDeadline to 9s or less"
        );
    }

    #[test]
    fn equality_is_broken_too() {
        let exact = |e: &mut LeaderElection| {
            (e.renew_deadline, e.stop_grace, e.clock_rate_error_ppm) = (s(12), s(3), 0);
        };
        assert_eq!(errors(exact).len(), 1, "(12 + 3) < 15 does not hold");
        let below = |e: &mut LeaderElection| {
            (e.renew_deadline, e.stop_grace, e.clock_rate_error_ppm) = (s(11), s(3), 0);
        };
        assert_eq!(errors(below), []);
    }

    #[test]
    fn every_fix_that_is_offered_works() {
        let broken = errors(|e| e.renew_deadline = s(13));
        assert!(broken[0].fix.contains("18s or more"), "{}", broken[0].fix);
        assert!(broken[0].fix.contains("renewDeadline to 10s"), "{}", broken[0].fix);
        assert_eq!(errors(|e| (e.renew_deadline, e.lease_duration) = (s(13), s(18))), []);
        assert_ne!(errors(|e| (e.renew_deadline, e.lease_duration) = (s(13), s(17))), []);
        assert_eq!(errors(|e| e.renew_deadline = s(10)), []);
        assert_ne!(errors(|e| e.renew_deadline = s(11)), []);
    }

    #[test]
    fn deadline_without_room_for_one_retry_is_refused() {
        let errors = errors(|e| e.retry_period = s(7));
        assert_eq!(
            errors[0].to_string(),
            "leaderElection.renewDeadline = 10s: 1.2 × retryPeriod + requestTimeout < \
             renewDeadline is broken: 1.2 × 7s + 2s = 10.4s is not less than 10s, over by 400ms; \
             set it to 11s or more, or lower retryPeriod or requestTimeout"
        );
    }

    #[test]
    fn fractions_and_spans_below_a_second_are_refused() {
        let fraction = errors(|e| e.lease_duration = Duration::from_millis(15_500));
        assert!(fraction[0].to_string().contains("over by 500ms; set it to 15s or 16s"));
        let short = errors(|e| e.stop_grace = Duration::from_millis(900));
        assert_eq!(
            short[0].to_string(),
            "leaderElection.stopGrace = 900ms: must be at least 1s, under by 100ms; set it to 1s \
             or more"
        );
    }

    #[test]
    fn huge_values_are_refused_without_overflow() {
        let errors = errors(|e| {
            e.renew_deadline = Duration::MAX;
            e.stop_grace = Duration::MAX;
            e.retry_period = Duration::MAX;
            e.clock_rate_error_ppm = u32::MAX;
        });
        assert!(errors.len() >= 5, "{errors:?}");
    }
}
