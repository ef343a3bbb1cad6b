//! Takeover: from a lease to a log that only this term writes.
//!
//! Find the tail, prove that it is the tail, verify everything up to it, then append `EpochStarted`
//! with `epoch = base + seq` of that very record. Owns the writing half of I3: the old leader's
//! late put and the new leader's `EpochStarted` contend for the same key, and the store lets one
//! win. What is found there instead is never overwritten and never skipped: it is verified like the
//! rest and the takeover goes on behind it.
//!
//! The machine decides; whoever drives it reads records into a [`Chain`](crate::chain::Chain),
//! builds the bytes of the record to append and runs the append protocol.

mod machine;
mod tail;
#[cfg(test)]
mod tests;

pub use machine::{Appended, Takeover, TakeoverFault, TakeoverInput, TakeoverStep};
pub use tail::PROBES;
