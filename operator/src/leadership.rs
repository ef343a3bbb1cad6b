//! A term's writes: none without a look at the guard before it, none without one after it.
//!
//! Whoever writes begins here and ends here. A write that is under way when its term ends, by the
//! guard or because the whole tree of futures is dropped, is counted and logged with its object and
//! epoch; whether it landed is the successor's to find out, as it has no outcome in the log (I5).
//! Duels become rare by this; nothing relies on it for safety (I4).

use std::fmt;
use std::sync::Arc;

use rynxs_core::ids::{Epoch, ObjectRef};

use crate::guard::{Guard, NotLeading};
use crate::observe::{Observer, RefusedBy, Signal};
use crate::ports::Clock;

/// What one term's writes stand on. Cheap to clone.
#[derive(Clone)]
pub struct Leadership {
    guard: Guard,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    epoch: Epoch,
}

/// A write, or several about one object, between the two looks at the guard.
#[must_use = "a write ends with a look at the guard; dropped, it counts as lost with its term"]
pub struct UnderWay {
    leadership: Leadership,
    object: ObjectRef,
    /// Where it began, so that its trace is in the line that says it was lost.
    span: tracing::Span,
    ended: bool,
}

impl Leadership {
    /// The leadership of an epoch.
    #[must_use]
    pub fn new(
        guard: Guard,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
        epoch: Epoch,
    ) -> Self {
        Self { guard, clock, observer, epoch }
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whom to tell.
    #[must_use]
    pub fn observer(&self) -> &Arc<dyn Observer> {
        &self.observer
    }

    /// Whether this replica leads, now; asks for nothing to be sent.
    ///
    /// # Errors
    /// It does not.
    pub fn look(&self) -> Result<(), NotLeading> {
        self.guard.check(self.clock.now())
    }

    /// To be asked right before a request that writes.
    ///
    /// # Errors
    /// This replica does not lead: the request must not be sent, which is counted.
    pub fn may_send(&self) -> Result<(), NotLeading> {
        self.look().inspect_err(|_| {
            self.observer.signal(Signal::StaleWriteRefused(RefusedBy::Guard));
        })
    }

    /// Begins a write: to be asked right before its first request.
    ///
    /// # Errors
    /// As [`may_send`](Self::may_send).
    pub fn begin(&self, object: &ObjectRef) -> Result<UnderWay, NotLeading> {
        self.may_send()?;
        Ok(UnderWay {
            leadership: self.clone(),
            object: object.clone(),
            span: tracing::Span::current(),
            ended: false,
        })
    }
}

impl UnderWay {
    /// Ends the write, once it is answered.
    ///
    /// # Errors
    /// The term was lost across it: nothing may be made of its answer.
    pub fn end(mut self) -> Result<(), NotLeading> {
        self.leadership.look()?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.leadership.observer.signal(Signal::TermLostAcrossWrite);
        let (object, epoch) = (&self.object, self.leadership.epoch.0);
        self.span.in_scope(|| {
            tracing::warn!(%object, epoch, "the term was lost across a write");
        });
    }
}

impl fmt::Debug for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnderWay({})", self.object)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::FutureExt;
    use futures::future::BoxFuture;
    use rynxs_core::ids::Kind;
    use rynxs_core::time::{Mono, WallMs};

    use super::*;

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Mono {
            Mono(12)
        }
        fn wall(&self) -> WallMs {
            WallMs(12)
        }
        fn sleep_until(&self, _: Mono) -> BoxFuture<'static, ()> {
            futures::future::pending().boxed()
        }
    }

    #[derive(Default)]
    struct Heard(Mutex<Vec<Signal>>);

    impl Observer for Heard {
        fn signal(&self, signal: Signal) {
            self.0.lock().expect("no panic while held").push(signal);
        }
    }

    impl Heard {
        fn all(&self) -> Vec<Signal> {
            self.0.lock().expect("no panic while held").clone()
        }
    }

    fn leadership() -> (Leadership, Guard, Arc<Heard>) {
        let (guard, heard) = (Guard::always(), Arc::new(Heard::default()));
        let leadership = Leadership::new(guard.clone(), Arc::new(Noon), heard.clone(), Epoch(7));
        (leadership, guard, heard)
    }

    fn object() -> ObjectRef {
        ObjectRef::new(Kind::ConfigMap, "team", "a-spec")
    }

    #[test]
    fn a_write_within_its_term_is_not_worth_a_word() {
        let (leadership, _, heard) = leadership();
        leadership.begin(&object()).expect("it leads").end().expect("it still leads");
        assert_eq!(heard.all(), []);
    }

    #[test]
    fn a_write_after_the_term_is_refused_and_counted_once() {
        let (leadership, guard, heard) = leadership();
        guard.close();
        leadership.begin(&object()).expect_err("it does not lead");
        assert_eq!(heard.all(), [Signal::StaleWriteRefused(RefusedBy::Guard)]);
    }

    #[test]
    fn a_write_across_the_end_of_its_term_is_counted_once_answered_or_not() {
        let (leadership, guard, heard) = leadership();
        drop(leadership.begin(&object()).expect("it leads"));
        assert_eq!(heard.all(), [Signal::TermLostAcrossWrite]);
        let answered = leadership.begin(&object()).expect("it leads");
        guard.close();
        answered.end().expect_err("the term is over");
        assert_eq!(heard.all(), [Signal::TermLostAcrossWrite, Signal::TermLostAcrossWrite]);
    }
}
