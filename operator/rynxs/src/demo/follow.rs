//! Follows the log as it grows, from outside: what any reader of the bucket would see.
//!
//! Each record is checked as `rynxs log verify` does: its place in the chain (I1, I3), and every
//! decision made again (I6).

use std::collections::BTreeSet;
use std::time::Instant;

use rynxs_core::chain::Chain;
use rynxs_core::config::S3Store;
use rynxs_core::event::Event;
use rynxs_core::ids::{Epoch, Seq};
use rynxs_core::replay::Replayer;
use rynxs_core::state::State;

use crate::cli::{Exit, Failure, Location, Next, Reader, open};

/// A leader's term, as the log has it.
#[derive(Clone, Debug)]
pub struct EpochSeen {
    /// Its number.
    pub epoch: Epoch,
    /// The record that opened it.
    pub seq: Seq,
    /// Who leads.
    pub identity: String,
    /// When this reader saw it.
    pub seen: Instant,
}

/// Reads a log from its beginning and goes on with it.
pub struct Follower {
    reader: Reader,
    chain: Chain,
    replay: Replayer,
    epochs: Vec<EpochSeen>,
    repairs: u64,
    events: u64,
}

impl Follower {
    /// A reader at the beginning of the log; the log need not exist yet.
    pub fn new(location: &Location, bucket: Option<S3Store>) -> Result<Self, Failure> {
        let reader = open(location, bucket, None)?;
        Ok(Self {
            reader,
            chain: Chain::new(),
            replay: Replayer::new(),
            epochs: Vec::new(),
            repairs: 0,
            events: 0,
        })
    }

    /// Reads what has been appended since the last time; a record that does not continue the log
    /// is a failure.
    pub async fn catch_up(&mut self) -> Result<(), Failure> {
        while let Next::Record(bytes) = self.reader.next().await? {
            let broken = |why: String| Failure::new(Exit::Corrupt, why);
            let record = self.chain.push(&bytes).map_err(|error| broken(error.to_string()))?;
            self.replay
                .push(&record)
                .map_err(|error| broken(format!("record {}: {error}", record.header.seq)))?;
            for event in record.events().map_err(|error| broken(error.to_string()))? {
                self.events += 1;
                match event {
                    Event::EpochStarted { epoch, identity, .. } => self.epochs.push(EpochSeen {
                        epoch,
                        seq: record.header.seq,
                        identity: identity.to_string(),
                        seen: Instant::now(),
                    }),
                    Event::TailRepaired { .. } => self.repairs += 1,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// All terms so far.
    #[must_use]
    pub fn epochs(&self) -> &[EpochSeen] {
        &self.epochs
    }

    /// Torn last lines that were recorded as cut off.
    #[must_use]
    pub fn repairs(&self) -> u64 {
        self.repairs
    }

    /// Records so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.chain.next_seq().0
    }

    /// Events so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// What the log reduces to.
    #[must_use]
    pub fn state(&self) -> &State {
        self.replay.state()
    }

    /// Stamps of the decisions that have actions without an outcome.
    #[must_use]
    pub fn pending(&self) -> BTreeSet<u64> {
        let state = self.state();
        let pending = state.pending_subjects().flat_map(|subject| state.pending(subject));
        pending.map(|action| state.stamp(action.decision).0).collect()
    }

    /// Number that stamps start at.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.chain.base().unwrap_or(0)
    }
}
