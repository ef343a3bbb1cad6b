//! One run, with whatever could go wrong about it: a violation, an unknown, a panic, another result
//! the second time.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;

use rynxs_judge::{Invariant, Report, Verdict};

use crate::scenario::Scenario;
use crate::stream::fingerprint;
use crate::world::{Outcome, run};

/// Deep recursion is a bug; deep futures of a debug build are not.
const STACK_BYTES: usize = 16 << 20;

/// What a trial showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Every oracle passed, or was excused by a fault of the scenario.
    Green,
    /// These invariants are violated.
    Violated(Vec<Invariant>),
    /// An oracle could not tell.
    Unknown(String),
    /// The run panicked: a broken assertion, or a bug of the world.
    Panicked(String),
    /// The same scenario and seed gave other bytes.
    Differs(String),
    /// The scenario cannot be run.
    Refused(String),
}

impl Shown {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_green(&self) -> bool {
        matches!(self, Self::Green)
    }

    /// Whether one run does not show it: only a second one that is unlike the first.
    #[must_use]
    pub const fn takes_two(&self) -> bool {
        matches!(self, Self::Differs(_))
    }

    /// The same, with the first of these invariants that is violated named first: the one that a
    /// shrinker keeps.
    #[must_use]
    pub fn about(mut self, invariants: &[Invariant]) -> Self {
        if let Self::Violated(found) = &mut self {
            let place = invariants.iter().find_map(|one| found.iter().position(|it| it == one));
            if let Some(place) = place {
                found[..=place].rotate_right(1);
            }
        }
        self
    }

    /// Whether this shows what `other` showed, for a shrinker: the invariant that the other one
    /// names first is violated, or there is the same kind of trouble.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Violated(one), Self::Violated(two)) => {
                two.first().is_some_and(|kept| one.contains(kept))
            }
            (Self::Panicked(one), Self::Panicked(two)) => one == two,
            // The oracle that could not tell stands before the colon.
            (Self::Unknown(one), Self::Unknown(two)) => {
                one.split(':').next() == two.split(':').next()
            }
            (Self::Differs(_), Self::Differs(_)) => true,
            _ => false,
        }
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Green => f.write_str("green"),
            Self::Violated(invariants) => {
                let names: Vec<_> = invariants.iter().map(ToString::to_string).collect();
                write!(f, "violated: {}", names.join(", "))
            }
            Self::Unknown(why) => write!(f, "unknown: {why}"),
            Self::Panicked(why) => write!(f, "panicked: {why}"),
            Self::Differs(how) => write!(f, "not deterministic: {how}"),
            Self::Refused(why) => write!(f, "cannot be run: {why}"),
        }
    }
}

/// A trial: what it showed, and the run if there was one.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What it showed.
    pub shown: Shown,
    /// The run.
    pub outcome: Option<Outcome>,
}

thread_local! {
    static DEEP: Cell<bool> = const { Cell::new(false) };
}

/// Does something on a thread with stack enough for runs, which then are made on that very thread.
///
/// Whoever makes many runs makes them this way: what a run has freed is there for the next one,
/// while memory of a thread that ends goes back to the kernel, which clears it before it gives it
/// out again. That was an eighth of a campaign's time.
///
/// # Panics
/// If the work does, or if there is no room for one more thread.
pub fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let work = || {
        DEEP.set(true);
        work()
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let thread = thread.spawn_scoped(scope, work);
        let thread = thread.expect("the machine has room for one more thread");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// How often a run is made again if it is known to differ. Hash maps that are iterated have other
/// seeds each time, and one of two entries shows it half of the time.
const AGAIN: u32 = 12;

/// Runs a scenario under a seed, on a thread of its own unless this is a [`deep`] one; with
/// `twice`, a second time on the same thread, and compares all bytes. (A fresh thread gives hash
/// maps the same seeds again; the same thread does not, so an iteration over one shows.)
#[must_use]
pub fn trial(scenario: &Scenario, seed: u64, twice: bool) -> Trial {
    trials(scenario, seed, twice.into())
}

/// The same, once if one run shows it, else as often as it takes to see that runs differ, within
/// reason: what did so in one process need not in the first two runs of another.
#[must_use]
pub fn trial_again(scenario: &Scenario, seed: u64, takes_two: bool) -> Trial {
    trials(scenario, seed, if takes_two { AGAIN } else { 0 })
}

fn trials(scenario: &Scenario, seed: u64, again: u32) -> Trial {
    if !DEEP.get() {
        return deep(|| trials(scenario, seed, again));
    }
    let first = once(scenario, seed);
    for _ in 0..again {
        let other = once(scenario, seed);
        if let Some(how) = difference(&first, &other) {
            let outcome = first.outcome.or(other.outcome);
            return Trial { shown: Shown::Differs(how), outcome };
        }
    }
    first
}

fn once(scenario: &Scenario, seed: u64) -> Trial {
    match std::panic::catch_unwind(AssertUnwindSafe(|| run(scenario, seed))) {
        Ok(Ok(outcome)) => Trial { shown: shown(&outcome.report), outcome: Some(outcome) },
        Ok(Err(why)) => Trial { shown: Shown::Refused(why), outcome: None },
        Err(panic) => Trial { shown: Shown::Panicked(words(&*panic)), outcome: None },
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no words".into())
}

/// What a report comes down to.
#[must_use]
pub fn shown(report: &Report) -> Shown {
    let failed = report.failed();
    if !failed.is_empty() {
        return Shown::Violated(failed);
    }
    let unknown = report.verdicts.iter().find_map(|(invariant, verdict)| match verdict {
        Verdict::Unknown { why } => Some(format!("{invariant}: {why}")),
        _ => None,
    });
    unknown.map_or(Shown::Green, Shown::Unknown)
}

/// The first line in which two runs differ, or how they ended if one of them left no lines.
fn difference(one: &Trial, two: &Trial) -> Option<String> {
    let (one, two) = match (&one.outcome, &two.outcome) {
        (Some(one), Some(two)) => (&one.lines, &two.lines),
        (None, None) if one.shown == two.shown => return None,
        _ => return Some(format!("the first run is {}, the second {}", one.shown, two.shown)),
    };
    if fingerprint(one) == fingerprint(two) {
        return None;
    }
    let both = one.iter().zip(two).enumerate();
    let line = |line| serde_json::to_string(line).expect("a line is plain data");
    Some(
        both.filter(|(_, (one, two))| one != two)
            .map(|(index, (one, two))| format!("line {index}: {} against {}", line(one), line(two)))
            .next()
            .unwrap_or_else(|| format!("{} against {} lines", one.len(), two.len())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panicked(why: &str) -> Trial {
        Trial { shown: Shown::Panicked(why.to_owned()), outcome: None }
    }

    #[test]
    fn a_second_run_that_panics_differs_from_one_that_does_not() {
        let green = trial(&Scenario::default(), 1, false);
        assert!(green.outcome.is_some(), "{}", green.shown);
        for (one, two) in [(&green, &panicked("x")), (&panicked("x"), &green)] {
            let how = difference(one, two).expect("one of them left no lines");
            assert!(how.contains("panicked: x"), "{how}");
        }
        assert!(difference(&panicked("x"), &panicked("y")).is_some());
        assert_eq!(difference(&panicked("x"), &panicked("x")), None);
        assert_eq!(difference(&green, &green), None);
    }

    #[test]
    fn a_shrinker_keeps_the_invariant_that_is_named_first() {
        use Invariant::{I1Chain, I5Intent, I8Converge};
        let found = Shown::Violated(vec![I1Chain, I5Intent, I8Converge]);
        let kept = found.clone().about(&[I8Converge, I1Chain]);
        assert_eq!(kept, Shown::Violated(vec![I8Converge, I1Chain, I5Intent]));
        assert!(found.is_like(&kept));
        assert!(!Shown::Violated(vec![I1Chain, I5Intent]).is_like(&kept));
        assert_eq!(found.clone().about(&[]), found);
    }

    #[test]
    fn what_only_two_runs_show_is_seen_by_two() {
        let unsteady = Scenario { unsteady: true, ..Scenario::default() };
        assert!(trial(&unsteady, 1, true).shown.takes_two());
        assert!(!trial(&unsteady, 1, false).shown.takes_two());
        assert!(!trial(&Scenario::default(), 1, true).shown.takes_two());
    }
}
