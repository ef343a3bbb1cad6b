//! Appending one record: what stores answer, and the protocol that settles every answer.
//!
//! Owns the writing half of I2 (an acknowledged append is in the log for ever, exactly once): the
//! protocol never takes an ambiguous answer for a failure and never advances past one.

mod backoff;
mod outcome;
mod protocol;
mod race;
#[cfg(test)]
mod tests;

pub use backoff::Backoff;
pub use outcome::{
    ExistsOutcome, Fault, FaultCause, GetOutcome, ListOutcome, Listed, PutOutcome, TailRepair,
};
pub use protocol::{Append, AppendInput, AppendStep, Lost, Settled, judge};
pub use race::{RACERS, TwoWinners, settle_race};
