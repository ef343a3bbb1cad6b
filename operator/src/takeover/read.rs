//! Reading the log: several records on their way at once, verified and reduced in order.

use bytes::Bytes;
use futures::{StreamExt, stream};
use rynxs_core::append::{ExistsOutcome, GetOutcome, ListOutcome, PutOutcome};
use rynxs_core::ids::Seq;
use rynxs_core::state::Position;
use rynxs_core::takeover::{TakeoverFault, TakeoverInput};

use super::Driver;
use crate::observe::Signal;

/// Records on their way at once. At 20 ms each that is 1,600 records per second, far below what a
/// bucket gives; at 77 KiB for a full batch of 256 events it is 2.5 MiB of memory.
const READS_AT_ONCE: usize = 32;

impl Driver<'_> {
    /// Reads `from..to` onto the chain, as far as it gets.
    pub(super) async fn read(&mut self, from: Seq, to: Seq) -> TakeoverInput {
        assert_eq!(from, self.chain.next_seq(), "reading goes on where it stopped");
        let store = std::sync::Arc::clone(&self.appender.store);
        let mut found =
            stream::iter((from.0..to.0).map(|seq| store.get(Seq(seq)))).buffered(READS_AT_ONCE);
        let mut fault = None;
        while let Some(outcome) = found.next().await {
            let read = match outcome {
                GetOutcome::Found(bytes) => self.accept(&bytes),
                // It was there, or a later one was: nothing is ever deleted.
                GetOutcome::Missing => Err(TakeoverFault::Corrupt(format!(
                    "record {} is missing, but record {} exists: the log has a hole",
                    self.chain.next_seq(),
                    to.0 - 1
                ))),
                GetOutcome::Unknown(fault) => Err(TakeoverFault::Retry(fault.to_string())),
                GetOutcome::Refused(fault) => Err(TakeoverFault::Config(fault.to_string())),
            };
            if let Err(why) = read {
                fault = Some(why);
                break;
            }
        }
        let next = self.chain.next_seq();
        if fault.is_none() {
            let took = self.appender.clock.now() - self.began;
            let (records, events) = (self.records, self.events);
            tracing::info!(place = %self.place, records, events, ?took, "the log is verified");
            self.claim.observer.signal(Signal::Replayed { took, records, events });
        }
        TakeoverInput::Read { next, fault }
    }

    /// Verifies that a record continues the log, and reduces its events.
    pub(super) fn accept(&mut self, bytes: &[u8]) -> Result<(), TakeoverFault> {
        let corrupt = |error: &dyn std::fmt::Display| TakeoverFault::Corrupt(error.to_string());
        let record = self.chain.push(bytes).map_err(|error| corrupt(&error))?;
        let seq = record.header.seq;
        let broken = |index: usize, error: &dyn std::fmt::Display| {
            TakeoverFault::Corrupt(format!("record {seq}, event {index}: {error}"))
        };
        for index in 0..record.event_count() {
            let event = record.event(index).map_err(|error| broken(index, &error))?;
            let at = Position::new(seq, u32::try_from(index).expect("limited by the format"));
            self.state.apply(at, &event).map_err(|error| broken(index, &error))?;
        }
        self.records += 1;
        self.events += record.event_count() as u64;
        if seq == Seq::ZERO {
            self.first = Some(Bytes::copy_from_slice(bytes));
        }
        Ok(())
    }

    /// Says once, where it is handled, that the store gave no usable answer.
    pub(super) fn note(&self, input: &TakeoverInput) {
        let why = match input {
            TakeoverInput::Probed(answers) => answers.iter().find_map(|(_, answer)| match answer {
                ExistsOutcome::Unknown(fault) => Some(fault.to_string()),
                _ => None,
            }),
            TakeoverInput::Listed(ListOutcome::Unknown(fault))
            | TakeoverInput::FirstPutAgain(PutOutcome::Unknown(fault)) => Some(fault.to_string()),
            TakeoverInput::FirstPutAgain(PutOutcome::NotSent(why)) => Some(why.clone()),
            TakeoverInput::Read { fault: Some(TakeoverFault::Retry(why)), .. } => Some(why.clone()),
            _ => None,
        };
        if let Some(why) = why {
            tracing::warn!(place = %self.place, why, "no usable answer from the log store: asking again");
        }
    }
}
