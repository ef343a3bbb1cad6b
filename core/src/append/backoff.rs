//! Waits between attempts: exponential, jittered, with randomness as an argument.

use std::time::Duration;

/// Doubles from `min` to `max`, then stays; each wait is drawn from its upper half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    tries: u32,
}

impl Backoff {
    /// Waits for a log store: 20 ms is about one PUT, 2 s keeps a dead store's recovery short.
    pub const STORE: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(2));

    /// Waits between `min` and `max`.
    #[must_use]
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, tries: 0 }
    }

    /// The next wait. `random` is uniform; half of the wait is fixed, so that a store in trouble
    /// always gets a rest, half is drawn, so that replicas do not knock in step.
    pub fn next(&mut self, random: u64) -> Duration {
        // 2^20 times any minimum is beyond any maximum in use.
        let whole = self.min.saturating_mul(1 << self.tries.min(20)).min(self.max);
        self.tries = self.tries.saturating_add(1);
        let half_ns = u64::try_from(whole.as_nanos() / 2).unwrap_or(u64::MAX);
        let drawn_ns = u128::from(half_ns) * u128::from(random) / u128::from(u64::MAX);
        Duration::from_nanos(half_ns)
            + Duration::from_nanos(u64::try_from(drawn_ns).expect("at most half_ns"))
    }

    /// Starts over: the last attempt was answered.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum_and_stay_in_the_upper_half() {
        let mut low = Backoff::new(Duration::from_millis(20), Duration::from_millis(100));
        let mut high = low;
        for whole_ms in [20, 40, 80, 100, 100, 100] {
            assert_eq!(low.next(0), Duration::from_millis(whole_ms) / 2);
            assert_eq!(high.next(u64::MAX), Duration::from_millis(whole_ms));
        }
        low.reset();
        assert_eq!(low.next(0), Duration::from_millis(10));
        for _ in 0..100 {
            assert!(high.next(7) <= Duration::from_millis(100));
        }
    }
}
