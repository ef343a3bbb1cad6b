//! Which subject may be worked on now: one effect at a time for each, in a fair order.
//!
//! A subject is in exactly one stage. Effects start only from `Ready`, which is reached when the
//! record of what is to be done is acknowledged, so nothing is done that the log might forget (I5).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use rynxs_core::ids::{ObjectRef, Seq};
use rynxs_core::time::Mono;

use crate::kube::Backoff;
use crate::ports::Entropy;

/// Where a subject stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its next effect may start.
    Ready,
    /// One request sequence about it is under way.
    InFlight,
    /// Waits for the log to acknowledge this record.
    Awaiting(Seq),
    /// Waits after a failure.
    Delayed(Mono),
}

/// All subjects with something to do. The size is bounded by the number of subjects.
pub(super) struct Work {
    stages: BTreeMap<ObjectRef, Stage>,
    ready: VecDeque<ObjectRef>,
    awaiting: BTreeSet<(Seq, ObjectRef)>,
    delayed: BTreeSet<(Mono, ObjectRef)>,
    backoffs: BTreeMap<ObjectRef, Backoff>,
    /// Waits after a failure that a read interrupted: it is no attempt, so they go on after it.
    interrupted: BTreeMap<ObjectRef, Mono>,
    in_flight: usize,
    backoff_min: Duration,
    backoff_max: Duration,
}

impl Work {
    pub(super) fn new(backoff_min: Duration, backoff_max: Duration) -> Self {
        Self {
            stages: BTreeMap::new(),
            ready: VecDeque::new(),
            awaiting: BTreeSet::new(),
            delayed: BTreeSet::new(),
            backoffs: BTreeMap::new(),
            interrupted: BTreeMap::new(),
            in_flight: 0,
            backoff_min,
            backoff_max,
        }
    }

    /// Whether a request about this subject is under way.
    pub(super) fn is_in_flight(&self, subject: &ObjectRef) -> bool {
        self.stages.get(subject) == Some(&Stage::InFlight)
    }

    /// How many subjects have a request under way.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many subjects have something to do.
    pub(super) fn len(&self) -> usize {
        self.stages.len()
    }

    /// Lets the subject's next effect start. A wait after a failure goes on.
    pub(super) fn ready(&mut self, subject: &ObjectRef) {
        match self.stages.get(subject) {
            Some(Stage::Ready | Stage::InFlight | Stage::Delayed(_)) => {}
            Some(Stage::Awaiting(_)) | None => self.put(subject, Stage::Ready),
        }
    }

    /// Makes the subject wait for a record: it has something new to do, so a wait after a failure
    /// of the old is over.
    pub(super) fn await_record(&mut self, subject: &ObjectRef, seq: Seq) {
        if !self.is_in_flight(subject) {
            self.put(subject, Stage::Awaiting(seq));
        }
    }

    /// Nothing to do any more.
    pub(super) fn idle(&mut self, subject: &ObjectRef) {
        if !self.is_in_flight(subject) {
            self.remove(subject);
            self.backoffs.remove(subject);
        }
    }

    /// Takes a subject for a read. True if it was free. A wait after a failure is not over.
    pub(super) fn take(&mut self, subject: &ObjectRef) -> bool {
        if self.is_in_flight(subject) {
            return false;
        }
        if let Some(Stage::Delayed(until)) = self.stages.get(subject) {
            self.interrupted.insert(subject.clone(), *until);
        }
        self.put(subject, Stage::InFlight);
        true
    }

    /// The request ended; the subject stands nowhere until it is planned again, unless it waits
    /// after a failure.
    pub(super) fn done(&mut self, subject: &ObjectRef) {
        assert!(self.is_in_flight(subject), "{subject} was not in flight");
        self.remove(subject);
        if let Some(until) = self.interrupted.remove(subject) {
            self.put(subject, Stage::Delayed(until));
        }
    }

    /// The request succeeded: the next failure starts with the shortest wait again.
    pub(super) fn succeeded(&mut self, subject: &ObjectRef) {
        self.backoffs.remove(subject);
    }

    /// The request failed for now: returns how often and for how long it waits.
    pub(super) fn delay(
        &mut self,
        subject: &ObjectRef,
        now: Mono,
        entropy: &dyn Entropy,
        floor: Option<Duration>,
    ) -> (u32, Duration) {
        let (min, max) = (self.backoff_min, self.backoff_max);
        let backoff =
            self.backoffs.entry(subject.clone()).or_insert_with(|| Backoff::new(min, max));
        let wait = backoff.next(entropy, floor);
        let attempts = backoff.attempts();
        self.put(subject, Stage::Delayed(now + wait));
        (attempts, wait)
    }

    /// How often the subject failed in a row.
    pub(super) fn failures(&self, subject: &ObjectRef) -> u32 {
        self.backoffs.get(subject).map_or(0, Backoff::attempts)
    }

    /// The next subject whose effect may start, in the order in which they became ready; `skip`
    /// leaves one in its place.
    pub(super) fn next_ready(&mut self, skip: impl Fn(&ObjectRef) -> bool) -> Option<ObjectRef> {
        let index = self.ready.iter().position(|subject| !skip(subject))?;
        let subject = self.ready.remove(index)?;
        self.stages.insert(subject.clone(), Stage::InFlight);
        self.in_flight += 1;
        Some(subject)
    }

    /// Moves on whoever waited for a record up to `acked`, and says who did.
    pub(super) fn acknowledge(&mut self, acked: Seq) -> Vec<(Seq, ObjectRef)> {
        let mut moved = Vec::new();
        while let Some((seq, subject)) = self.awaiting.first().cloned() {
            if seq > acked {
                break;
            }
            self.put(&subject, Stage::Ready);
            moved.push((seq, subject));
        }
        moved
    }

    /// Moves on whoever waited long enough.
    pub(super) fn elapse(&mut self, now: Mono) {
        while let Some((until, subject)) = self.delayed.first().cloned() {
            if until > now {
                break;
            }
            self.put(&subject, Stage::Ready);
        }
    }

    /// The first record that anybody waits for.
    pub(super) fn awaited(&self) -> Option<Seq> {
        self.awaiting.first().map(|(seq, _)| *seq)
    }

    /// When the first wait after a failure ends.
    pub(super) fn wakes_at(&self) -> Option<Mono> {
        self.delayed.first().map(|(until, _)| *until)
    }

    fn put(&mut self, subject: &ObjectRef, stage: Stage) {
        self.remove(subject);
        match stage {
            Stage::Ready => self.ready.push_back(subject.clone()),
            Stage::InFlight => self.in_flight += 1,
            Stage::Awaiting(seq) => {
                self.awaiting.insert((seq, subject.clone()));
            }
            Stage::Delayed(until) => {
                self.delayed.insert((until, subject.clone()));
            }
        }
        self.stages.insert(subject.clone(), stage);
    }

    fn remove(&mut self, subject: &ObjectRef) {
        match self.stages.remove(subject) {
            None => {}
            Some(Stage::Ready) => self.ready.retain(|other| other != subject),
            Some(Stage::InFlight) => self.in_flight -= 1,
            Some(Stage::Awaiting(seq)) => {
                self.awaiting.remove(&(seq, subject.clone()));
            }
            Some(Stage::Delayed(until)) => {
                self.delayed.remove(&(until, subject.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rynxs_core::ids::Kind;

    use super::*;

    struct Zero;

    impl Entropy for Zero {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    fn work() -> Work {
        Work::new(Duration::from_millis(100), Duration::from_secs(1))
    }

    fn agent(name: &str) -> ObjectRef {
        ObjectRef::new(Kind::Agent, "n", name)
    }

    fn next(work: &mut Work) -> Option<String> {
        work.next_ready(|_| false).map(|subject| subject.key.name)
    }

    #[test]
    fn nothing_starts_before_its_record_is_acknowledged() {
        let mut work = work();
        work.await_record(&agent("a"), Seq(3));
        work.await_record(&agent("b"), Seq(2));
        work.acknowledge(Seq(1));
        assert_eq!(next(&mut work), None);
        assert_eq!(work.awaited(), Some(Seq(2)));
        work.acknowledge(Seq(3));
        assert_eq!(next(&mut work), Some("b".to_owned()));
        assert_eq!(next(&mut work), Some("a".to_owned()));
    }

    #[test]
    fn a_subject_in_flight_stays_so_until_it_is_done() {
        let mut work = work();
        assert!(work.take(&agent("a")));
        assert!(!work.take(&agent("a")));
        work.ready(&agent("a"));
        work.await_record(&agent("a"), Seq(1));
        work.idle(&agent("a"));
        assert!(work.is_in_flight(&agent("a")));
        assert_eq!(next(&mut work), None);
        work.done(&agent("a"));
        assert_eq!((work.in_flight(), work.len()), (0, 0));
    }

    #[test]
    fn failures_wait_longer_each_time_and_a_new_decision_does_not_wait() {
        let mut work = work();
        work.take(&agent("a"));
        work.done(&agent("a"));
        assert_eq!(work.delay(&agent("a"), Mono(0), &Zero, None), (1, Duration::from_millis(50)));
        assert_eq!(work.delay(&agent("a"), Mono(0), &Zero, None), (2, Duration::from_millis(100)));
        work.ready(&agent("a"));
        assert_eq!(next(&mut work), None);
        work.elapse(Mono(0) + Duration::from_millis(99));
        assert_eq!(next(&mut work), None);
        work.elapse(Mono(0) + Duration::from_millis(100));
        assert_eq!(next(&mut work), Some("a".to_owned()));
        work.done(&agent("a"));
        work.delay(&agent("a"), Mono(0), &Zero, None);
        work.await_record(&agent("a"), Seq(9));
        work.acknowledge(Seq(9));
        assert_eq!(next(&mut work), Some("a".to_owned()));
    }

    #[test]
    fn a_read_does_not_cut_a_wait_after_a_failure_short() {
        let mut work = work();
        work.take(&agent("a"));
        work.done(&agent("a"));
        work.delay(&agent("a"), Mono(0), &Zero, Some(Duration::from_secs(1)));
        let until = work.wakes_at();
        assert!(work.take(&agent("a")));
        work.done(&agent("a"));
        work.ready(&agent("a"));
        assert_eq!((next(&mut work), work.wakes_at()), (None, until));
        work.elapse(Mono(0) + Duration::from_secs(2));
        assert_eq!(next(&mut work), Some("a".to_owned()));
        // The attempt was made: nothing is left of the wait.
        work.done(&agent("a"));
        assert_eq!((work.wakes_at(), work.len()), (None, 0));
    }
}
