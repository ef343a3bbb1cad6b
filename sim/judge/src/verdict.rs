//! What an oracle says: pass, fail with findings, or unknown. Unknown is never green.

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
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I1Chain => "I1 chain",
            Self::I2Durable => "I2 durable",
            Self::I3Epoch => "I3 epoch",
            Self::I4Fenced => "I4 fenced",
            Self::I5Intent => "I5 intent",
        })
    }
}

/// One violation, with the place in the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Where: a log key, an object, an index of the history.
    pub place: String,
    /// What must be.
    pub expected: String,
    /// What is.
    pub found: String,
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

    /// Whether every oracle passed.
    #[must_use]
    pub fn is_green(&self) -> bool {
        self.verdicts.iter().all(|(_, verdict)| verdict.is_pass())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (invariant, verdict) in &self.verdicts {
            match verdict {
                Verdict::Pass { checked } => writeln!(f, "{invariant}: pass ({checked} checked)")?,
                Verdict::Unknown { why } => writeln!(f, "{invariant}: unknown, {why}")?,
                Verdict::Fail { findings } => {
                    writeln!(f, "{invariant}: FAIL")?;
                    for finding in findings {
                        writeln!(f, "  {finding}")?;
                    }
                }
            }
        }
        Ok(())
    }
}
