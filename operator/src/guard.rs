//! Whether this replica leads at this very moment, asked before every effect and again after it.
//!
//! The election extends the guard with each renewal that counts; nobody extends it once it is
//! closed. It expires by itself: a stopped election needs no help to stop leading (I7). It is no
//! fence: between a check and the write that follows it, a process can be frozen for as long as it
//! likes. What refuses that write is the log and the stamp.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rynxs_core::time::Mono;

/// Not a moment at which any validity ends.
const CLOSED: u64 = 0;

/// One term's permission to act. Clones share it.
#[derive(Clone, Debug)]
pub struct Guard {
    /// End of validity on the monotonic clock, nanoseconds; or [`CLOSED`], for good.
    valid_until: Arc<AtomicU64>,
}

/// Why this replica must not act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this replica does not lead: {why}")]
pub struct NotLeading {
    /// Why.
    pub why: Why,
}

/// Why a guard refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The term is over.
    Closed,
    /// No renewal counted in time.
    Expired {
        /// When validity ended.
        valid_until: Mono,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("its term is over"),
            Self::Expired { .. } => f.write_str("no renewal of the Lease succeeded in time"),
        }
    }
}

impl Guard {
    /// Valid while `now < valid_until`.
    #[must_use]
    pub fn new(valid_until: Mono) -> Self {
        Self { valid_until: Arc::new(AtomicU64::new(valid_until.0)) }
    }

    /// Valid until closed: for a single replica without election.
    #[must_use]
    pub fn always() -> Self {
        Self::new(Mono(u64::MAX))
    }

    /// Whether this replica leads at `now`.
    ///
    /// # Errors
    /// It does not, and why.
    pub fn check(&self, now: Mono) -> Result<(), NotLeading> {
        match self.valid_until.load(Ordering::SeqCst) {
            CLOSED => Err(NotLeading { why: Why::Closed }),
            until if now.0 < until => Ok(()),
            until => Err(NotLeading { why: Why::Expired { valid_until: Mono(until) } }),
        }
    }

    /// A renewal counts. Never shortens, never opens what is closed.
    pub fn extend(&self, valid_until: Mono) {
        // Refused only if closed, which is as it should be.
        let _ = self.valid_until.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |until| {
            (until != CLOSED).then_some(until.max(valid_until.0))
        });
    }

    /// Ends the term, for all clones and for good.
    pub fn close(&self) {
        self.valid_until.store(CLOSED, Ordering::SeqCst);
    }

    /// End of validity, unless closed.
    #[must_use]
    pub fn valid_until(&self) -> Option<Mono> {
        let until = self.valid_until.load(Ordering::SeqCst);
        (until != CLOSED).then_some(Mono(until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guard_expires_at_its_very_end_without_anybody_closing_it() {
        let guard = Guard::new(Mono(10));
        assert_eq!(guard.check(Mono(9)), Ok(()));
        let expired = NotLeading { why: Why::Expired { valid_until: Mono(10) } };
        assert_eq!(guard.check(Mono(10)), Err(expired));
    }

    #[test]
    fn extension_reaches_every_clone_and_never_shortens() {
        let guard = Guard::new(Mono(10));
        let clone = guard.clone();
        guard.extend(Mono(20));
        guard.extend(Mono(15));
        assert_eq!(clone.check(Mono(19)), Ok(()));
        assert_eq!(clone.valid_until(), Some(Mono(20)));
    }

    #[test]
    fn closed_guard_stays_closed_for_every_clone() {
        let guard = Guard::new(Mono(10));
        let clone = guard.clone();
        guard.close();
        clone.extend(Mono(100));
        assert_eq!(clone.check(Mono(0)), Err(NotLeading { why: Why::Closed }));
        assert_eq!(guard.valid_until(), None);
        Guard::always().check(Mono(u64::MAX - 1)).unwrap();
    }
}
