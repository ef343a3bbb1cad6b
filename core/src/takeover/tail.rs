//! Where a dense log ends: exponential probes from a position known to be the log's, then binary
//! search, each round several positions at once.
//!
//! Probes may be outdated by the time they are answered, as another leader may still append. So the
//! answer is a position that *was* the tail; a listing from there on tells whether it still is.

use crate::append::ExistsOutcome;
use crate::ids::Seq;
use crate::record::MAX_SEQ;

/// Most positions asked about in one round. One round settles an idle log; a log that grew by n
/// records needs log2(n) / 8 rounds out and log9(n) back: three for 5,000.
pub const PROBES: usize = 8;

/// A search for the last record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TailSearch {
    /// Where the search began.
    origin: u64,
    /// Probes go to `origin + 2^exponent - 1` while nothing is known to be missing.
    exponent: u32,
    /// Everything below is there.
    next: u64,
    /// Nothing was here, once it is known.
    missing: Option<u64>,
}

/// Why a round of probes told nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ProbeFault {
    Retry(String),
    Config(String),
}

impl TailSearch {
    /// Everything below `next` is known to be there.
    pub(super) fn from(next: Seq) -> Self {
        Self { origin: next.0, exponent: 0, next: next.0, missing: None }
    }

    /// The positions to ask about next; none when the tail is found.
    pub(super) fn probes(&self) -> Vec<Seq> {
        let mut asked = Vec::with_capacity(PROBES);
        match self.missing {
            None => {
                // origin, + 1, + 3, + 7, …: an idle log is settled by the first round.
                for exponent in self.exponent..self.exponent + PROBES as u32 {
                    let at = self.origin + (1 << exponent) - 1;
                    if at > MAX_SEQ.0 {
                        // The last position of all stands for everything beyond.
                        asked.push(MAX_SEQ);
                        break;
                    }
                    asked.push(Seq(at));
                }
            }
            Some(missing) => {
                // Cut what is left into PROBES + 1 even parts.
                let (low, span) = (self.next, missing - self.next);
                let parts = PROBES as u64 + 1;
                for part in 1..parts {
                    let at = low + span * part / parts;
                    if at < missing && asked.last() != Some(&Seq(at)) {
                        asked.push(Seq(at));
                    }
                }
            }
        }
        asked
    }

    /// Takes the answers of one round.
    pub(super) fn answered(&mut self, answers: &[(Seq, ExistsOutcome)]) -> Result<(), ProbeFault> {
        for (_, answer) in answers {
            match answer {
                ExistsOutcome::Unknown(fault) => return Err(ProbeFault::Retry(fault.to_string())),
                ExistsOutcome::Refused(fault) => {
                    return Err(ProbeFault::Config(fault.to_string()));
                }
                ExistsOutcome::Yes | ExistsOutcome::No => {}
            }
        }
        self.exponent += PROBES as u32;
        // The first gap counts: a record seen behind it was appended while the round was under
        // way, or stands behind a hole, and the listing will tell which.
        for (at, answer) in answers {
            match answer {
                ExistsOutcome::No => {
                    self.missing = Some(self.missing.map_or(at.0, |missing| missing.min(at.0)));
                    break;
                }
                _ => self.next = self.next.max(at.0 + 1),
            }
        }
        Ok(())
    }

    /// Position behind the last record, once it is known.
    pub(super) fn end(&self) -> Option<Seq> {
        let full = self.next > MAX_SEQ.0;
        (full || self.missing == Some(self.next)).then_some(Seq(self.next))
    }
}
