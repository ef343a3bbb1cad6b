//! What an oracle says: pass, fail with findings, unknown, or excused. Unknown is never green.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The numbered invariants; `docs/guarantees.md` has their full text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Invariant {
    /// Dense seq, every hash and `prev_hash` right, events well formed.
    I1Chain,
    /// An acknowledged append is in the log for ever, exactly once.
    I2Durable,
    /// Epochs never decrease along the log; each epoch has one writer.
    I3Epoch,
    /// After a decision's acknowledged write no earlier decision's write to that uid succeeds.
    I4Fenced,
    /// No effect without its decision before it; every action ends in exactly one outcome.
    I5Intent,
    /// Reducing the log gives the live state; re-deriving decisions gives the recorded ones.
    I6Replay,
    /// While clock rates stay within ρ and nobody edits the Lease by hand: never two replicas with
    /// `now < valid_until` on their own clocks.
    I7OneLeader,
    /// Once faults stop: a leader and all resources as desired within a bound, and they stay so.
    I8Converge,
    /// Every request allowed by the roles, every rule used.
    I9LeastPrivilege,
    /// Each listed manipulation of the log is detected, or listed as undetectable.
    I10Tamper,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I1Chain => "I1 chain",
            Self::I2Durable => "I2 durable",
            Self::I3Epoch => "I3 epoch",
            Self::I4Fenced => "I4 fenced",
            Self::I5Intent => "I5 intent",
            Self::I6Replay => "I6 replay",
            Self::I7OneLeader => "I7 one leader",
            Self::I8Converge => "I8 converge",
            Self::I9LeastPrivilege => "I9 least privilege",
            Self::I10Tamper => "I10 tamper",
        })
    }
}

impl Invariant {
    /// All of them, in their order.
    pub const ALL: [Self; 10] = [
        Self::I1Chain,
        Self::I2Durable,
        Self::I3Epoch,
        Self::I4Fenced,
        Self::I5Intent,
        Self::I6Replay,
        Self::I7OneLeader,
        Self::I8Converge,
        Self::I9LeastPrivilege,
        Self::I10Tamper,
    ];

    /// Its number alone, as `I5`.
    #[must_use]
    pub fn number(self) -> String {
        self.to_string().split(' ').next().unwrap_or_default().to_owned()
    }

    /// The invariant of a number as [`Self::number`] writes it.
    #[must_use]
    pub fn numbered(number: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|invariant| invariant.number() == number)
    }
}

/// One violation, with the place in the history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Where: a log key, an object, an index of the history.
    pub place: String,
    /// What must be.
    pub expected: String,
    /// What is.
    pub found: String,
    /// When it showed, true nanoseconds since the start of the run, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ns: Option<u64>,
    /// Lines of the event stream that show it, by index from 0; the last one shows the violation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<usize>,
}

impl Finding {
    /// A finding without time and lines.
    #[must_use]
    pub fn new(
        place: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self {
            place: place.into(),
            expected: expected.into(),
            found: found.into(),
            ..Self::default()
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.place, self.expected, self.found)
    }
}

/// Outcome of one oracle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Everything it could look at holds; the number says how many facts that were.
    Pass {
        /// Facts checked; an oracle that checked nothing answers `Unknown`.
        checked: u64,
    },
    /// At least one violation.
    Fail {
        /// The violations in the order of the history, at most [`FINDINGS_MAX`].
        findings: Vec<Finding>,
    },
    /// The history does not say enough.
    Unknown {
        /// What is missing.
        why: String,
    },
    /// It does not hold, or cannot be judged, and a fault of this run may do that to it.
    Excused {
        /// The fault, by its name in the table of faults.
        fault: String,
        /// What was found all the same.
        findings: Vec<Finding>,
    },
}

/// Findings kept per oracle: the first ones explain, the rest only repeat.
pub const FINDINGS_MAX: usize = 32;

impl Verdict {
    /// Fail if there are findings, unknown if nothing was checked, else pass.
    #[must_use]
    pub fn from_findings(mut findings: Vec<Finding>, checked: u64, nothing: &str) -> Self {
        findings.truncate(FINDINGS_MAX);
        if !findings.is_empty() {
            Self::Fail { findings }
        } else if checked == 0 {
            Self::Unknown { why: nothing.to_owned() }
        } else {
            Self::Pass { checked }
        }
    }

    /// What this verdict becomes where a fault may break the invariant: a pass stays one.
    #[must_use]
    pub fn excused(self, fault: &str) -> Self {
        let fault = fault.to_owned();
        match self {
            Self::Fail { findings } => Self::Excused { fault, findings },
            Self::Unknown { why } => {
                let findings = vec![Finding::new("the run", "enough to judge by", why)];
                Self::Excused { fault, findings }
            }
            other => other,
        }
    }

    /// The violations, excused or not.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Fail { findings } | Self::Excused { findings, .. } => findings,
            Self::Pass { .. } | Self::Unknown { .. } => &[],
        }
    }

    /// Whether this is a pass.
    #[must_use]
    pub const fn is_pass(&self) -> bool {
        matches!(self, Self::Pass { .. })
    }

    /// Whether this is a violation.
    #[must_use]
    pub const fn is_fail(&self) -> bool {
        matches!(self, Self::Fail { .. })
    }
}

/// All verdicts over one history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Verdicts in the order of the invariants.
    pub verdicts: Vec<(Invariant, Verdict)>,
}

impl Report {
    /// The verdict on one invariant.
    ///
    /// # Panics
    /// Never for reports made by [`crate::judge`], which judges every invariant.
    #[must_use]
    pub fn of(&self, invariant: Invariant) -> &Verdict {
        self.verdicts
            .iter()
            .find(|(judged, _)| *judged == invariant)
            .map(|(_, verdict)| verdict)
            .expect("every invariant is judged")
    }

    /// The invariants that are violated.
    #[must_use]
    pub fn failed(&self) -> Vec<Invariant> {
        self.verdicts.iter().filter(|(_, v)| v.is_fail()).map(|(i, _)| *i).collect()
    }

    /// Whether every oracle passed, or is excused by a fault of the run.
    #[must_use]
    pub fn is_green(&self) -> bool {
        let fine = |v: &Verdict| v.is_pass() || matches!(v, Verdict::Excused { .. });
        self.verdicts.iter().all(|(_, verdict)| fine(verdict))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (invariant, verdict) in &self.verdicts {
            match verdict {
                Verdict::Pass { checked } => writeln!(f, "{invariant}: pass ({checked} checked)")?,
                Verdict::Unknown { why } => writeln!(f, "{invariant}: unknown, {why}")?,
                Verdict::Fail { .. } => writeln!(f, "{invariant}: FAIL")?,
                Verdict::Excused { fault, .. } => writeln!(f, "{invariant}: excused by {fault}")?,
            }
            for finding in verdict.findings() {
                writeln!(f, "  {finding}")?;
            }
        }
        Ok(())
    }
}
