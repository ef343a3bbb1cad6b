//! Jittered exponential delays.

use std::time::Duration;

use crate::ports::Entropy;

/// Delays that double from `min` to `max`, each drawn from the upper half of its step.
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    attempt: u32,
}

impl Backoff {
    /// Starts at `min`, never exceeds `max`.
    #[must_use]
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min: min.max(Duration::from_millis(1)), max: max.max(min), attempt: 0 }
    }

    /// The next delay; `floor` is what the server asked for, if it did, held to `max` as well so
    /// that no answer can park an object for ever.
    pub fn next(&mut self, entropy: &dyn Entropy, floor: Option<Duration>) -> Duration {
        // 2^20 steps of the smallest delay (1 ms) are 17 minutes, beyond every maximum in use.
        let step = self.min.saturating_mul(1 << self.attempt.min(20)).min(self.max);
        self.attempt = self.attempt.saturating_add(1);
        let half = step / 2;
        let mut bytes = [0; 4];
        entropy.fill(&mut bytes);
        let share = f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX);
        (half + half.mul_f64(share)).max(floor.unwrap_or_default().min(self.max))
    }

    /// How many delays were drawn since the start or the last reset.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempt
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Constant(u8);

    impl Entropy for Constant {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn delays_double_up_to_the_maximum_and_start_over() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let high = Constant(255);
        let drawn: Vec<u128> = (0..6).map(|_| backoff.next(&high, None).as_millis()).collect();
        assert_eq!(drawn, [100, 200, 400, 800, 1000, 1000]);
        backoff.reset();
        assert_eq!(backoff.next(&Constant(0), None).as_millis(), 50);
    }

    #[test]
    fn the_servers_wish_is_granted_up_to_the_maximum() {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(5));
        let low = Constant(0);
        assert_eq!(backoff.next(&low, Some(Duration::from_secs(2))), Duration::from_secs(2));
        assert_eq!(backoff.next(&low, Some(Duration::from_secs(999))), Duration::from_secs(5));
    }
}
