//! The Lease election as a pure state machine (I7).
//!
//! `step(state, input, now)` answers with actions; clock readings and random numbers are
//! arguments. The Lease only reduces duels between replicas: what fences a stale one is the log.
//!
//! Why two replicas never both have `now < valid_until` while clock rates stay within ρ:
//! a renewal that counts was stored *after* the moment from which its validity counts; a standby
//! writes only over the exact `uid` and `resourceVersion` that it has watched unchanged for L;
//! every such watching began *after* the renewal was stored; and `(R+G)·(1+ρ)² < L`
//! (`config::timing`). A Lease that disappears is missed for L before it is created anew. The
//! remote timestamps in the Lease are compared for equality only, never for order.
//!
//! The rules follow client-go's leader election (`tools/leaderelection`) where it is sound; the
//! module's tests name the holes that it leaves open.

mod answer;
pub mod cooldown;
mod input;
mod lease;
mod machine;
#[cfg(test)]
mod tests;

pub use input::{Action, Answer, AttemptId, End, Failure, Happening, Input, Loss};
pub use lease::{LeaseView, LeaseWrite, Target};
pub use machine::{Phase, Settings, State, step};
