//! How soon what somebody else undid is made again: at once, then slower and slower.
//!
//! Each repair is a decision, and the log keeps it for ever. Whoever undoes every repair as soon as
//! it is made (another controller; a garbage collector that knows of a deletion which no watch has
//! shown yet) would otherwise fill the log as fast as requests can travel.

use std::collections::BTreeMap;
use std::time::Duration;

use rynxs_core::ids::ObjectRef;
use rynxs_core::time::Mono;

use crate::kube::Backoff;
use crate::ports::Entropy;

/// Objects that were repaired not long ago.
pub(super) struct Repairs {
    backoff_min: Duration,
    backoff_max: Duration,
    recent: BTreeMap<ObjectRef, Recent>,
    /// When to forget next what stayed as it was repaired: seldom, for it looks at all.
    forget_at: Mono,
}

struct Recent {
    backoff: Backoff,
    /// No repair before this.
    not_before: Mono,
}

impl Repairs {
    /// The first delay, and the longest one; an object that stays as it is for that long after its
    /// delay is like any other.
    pub(super) fn new(backoff_min: Duration, backoff_max: Duration) -> Self {
        Self { backoff_min, backoff_max, recent: BTreeMap::new(), forget_at: Mono(0) }
    }

    /// Until when a repair of this object must wait, if it must.
    pub(super) fn wait(&self, object: &ObjectRef, now: Mono) -> Option<Mono> {
        self.recent.get(object).map(|recent| recent.not_before).filter(|at| now < *at)
    }

    /// A repair was decided.
    pub(super) fn note(&mut self, object: &ObjectRef, now: Mono, entropy: &dyn Entropy) {
        let (min, max) = (self.backoff_min, self.backoff_max);
        if self.forget_at <= now {
            self.recent.retain(|_, recent| now < recent.not_before + max);
            self.forget_at = now + max;
        }
        let first = || Recent { backoff: Backoff::new(min, max), not_before: now };
        let recent = self.recent.entry(object.clone()).or_insert_with(first);
        if recent.not_before + max <= now {
            *recent = first();
        }
        recent.not_before = now + recent.backoff.next(entropy, None);
    }
}

#[cfg(test)]
mod tests {
    use rynxs_core::ids::Kind;

    use super::*;

    /// Every random byte is 255: the longest delay of each step.
    struct Longest;

    impl Entropy for Longest {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(u8::MAX);
        }
    }

    const MAX: Duration = Duration::from_secs(10);

    fn claim(name: &str) -> ObjectRef {
        ObjectRef::new(Kind::ConfigMap, "team", name)
    }

    /// When an object is repaired that is undone again as soon as it is there.
    fn repaired(repairs: &mut Repairs, mut now: Mono, end: Mono) -> Vec<u64> {
        let mut times = Vec::new();
        while now < end {
            now = repairs.wait(&claim("a-spec"), now).unwrap_or(now);
            repairs.note(&claim("a-spec"), now, &Longest);
            times.push(now.0 / 1_000_000);
        }
        times
    }

    #[test]
    fn what_is_undone_again_and_again_is_made_again_slower_and_slower() {
        let mut repairs = Repairs::new(Duration::from_millis(200), MAX);
        let times = repaired(&mut repairs, Mono(0), Mono(0) + Duration::from_secs(60));
        let expected = [0, 200, 600, 1_400, 3_000, 6_200, 12_600, 22_600, 32_600, 42_600, 52_600];
        assert_eq!(times[..11], expected);
    }

    #[test]
    fn another_object_and_one_that_was_quiet_are_repaired_at_once() {
        let mut repairs = Repairs::new(Duration::from_millis(200), MAX);
        let end = Mono(0) + Duration::from_secs(20);
        repaired(&mut repairs, Mono(0), end);
        assert!(repairs.wait(&claim("a-spec"), end).is_some());
        assert_eq!(repairs.wait(&claim("b-spec"), end), None);
        let quiet = repairs.wait(&claim("a-spec"), end).expect("it waits") + MAX;
        assert_eq!(repairs.wait(&claim("a-spec"), quiet), None);
        repairs.note(&claim("b-spec"), quiet, &Longest);
        assert_eq!(repairs.recent.len(), 1, "the quiet one is forgotten");
    }

    #[test]
    fn what_was_quiet_begins_anew_before_it_is_forgotten() {
        let mut repairs = Repairs::new(Duration::from_millis(200), MAX);
        repairs.note(&claim("b-spec"), Mono(0), &Longest);
        let a_little_later = Mono(0) + Duration::from_millis(100);
        for _ in 0..3 {
            repairs.note(&claim("a-spec"), a_little_later, &Longest);
        }
        let quiet = repairs.wait(&claim("a-spec"), a_little_later).expect("it waits") + MAX;
        repairs.forget_at = quiet + MAX;
        repairs.note(&claim("a-spec"), quiet, &Longest);
        let first = quiet + Duration::from_millis(200);
        assert_eq!(repairs.wait(&claim("a-spec"), quiet), Some(first));
    }
}
