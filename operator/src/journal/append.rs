//! Drives the append protocol over a store: sends what it says, waits as it says.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, select_biased};
use rynxs_core::append::{
    Append, AppendInput, AppendStep, Backoff, PutOutcome, Settled, TwoWinners, settle_race,
};
use rynxs_core::ids::Seq;
use rynxs_core::record::EncodedRecord;
use rynxs_core::time::Mono;

use crate::observe::{Observer, Signal};
use crate::ports::{Clock, Entropy, Ports};
use crate::store::LogStore;

/// How long the slower puts of a race are heard once one has won: a hundred times what a put takes
/// in the store's own network, and a small part of a takeover. A second winner that answers later
/// is not found by this race; each term races again, and each start puts the genesis record once
/// more. Dropping a put that is under way is harmless, as all of a race carry the same bytes.
const RACE_PATIENCE: Duration = Duration::from_secs(1);

/// What appending needs of the world.
#[derive(Clone)]
pub(crate) struct Appender {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) store: Arc<dyn LogStore>,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Appender {
    /// Appends through these ports to this store.
    pub(crate) fn new(
        ports: &Ports,
        store: &Arc<dyn LogStore>,
        observer: &Arc<dyn Observer>,
    ) -> Self {
        Self {
            clock: Arc::clone(&ports.clock),
            entropy: Arc::clone(&ports.entropy),
            store: Arc::clone(store),
            observer: Arc::clone(observer),
        }
    }

    /// Appends one record until it is settled; the first put is sent `racers` times at once.
    pub(crate) async fn append(
        &self,
        record: &EncodedRecord,
        deadline: Option<Mono>,
        racers: usize,
    ) -> Result<Settled, TwoWinners> {
        let mut append = Append::new(record, deadline, Backoff::STORE);
        let mut outcome = self.race(&append, racers).await?;
        loop {
            self.note(record.seq, &outcome);
            let mut step = append.step(AppendInput::Put(outcome), self.clock.now(), self.random());
            outcome = loop {
                let input = match step {
                    AppendStep::Put => break self.put(&append).await,
                    AppendStep::Get => AppendInput::Get(self.store.get(record.seq).await),
                    AppendStep::WaitUntil(until) => {
                        self.clock.sleep_until(until).await;
                        AppendInput::Waited
                    }
                    AppendStep::Done(settled) => return Ok(settled),
                };
                step = append.step(input, self.clock.now(), self.random());
            };
        }
    }

    /// Sends the first put `racers` times at once. Without a winner every answer counts; once one
    /// has won, the others are heard for [`RACE_PATIENCE`] more.
    async fn race(&self, append: &Append, racers: usize) -> Result<PutOutcome, TwoWinners> {
        if racers <= 1 {
            return Ok(self.put(append).await);
        }
        let mut open: FuturesUnordered<_> = (0..racers).map(|_| self.put(append)).collect();
        let mut outcomes = Vec::with_capacity(racers);
        let mut patience = futures::future::pending().boxed().fuse();
        loop {
            select_biased! {
                outcome = open.next() => match outcome {
                    Some(outcome) => {
                        let first = outcome == PutOutcome::Committed
                            && !outcomes.contains(&PutOutcome::Committed);
                        if first {
                            let until = self.clock.now() + RACE_PATIENCE;
                            patience = self.clock.sleep_until(until).fuse();
                        }
                        outcomes.push(outcome);
                    }
                    None => break,
                },
                () = patience => {
                    tracing::debug!(seq = %append.seq(), unheard = open.len(), "slow racers");
                    break;
                }
            }
        }
        settle_race(outcomes)
    }

    async fn put(&self, append: &Append) -> PutOutcome {
        self.store.put(append.seq(), Bytes::from_owner(Arc::clone(append.bytes()))).await
    }

    fn note(&self, seq: Seq, outcome: &PutOutcome) {
        match outcome {
            PutOutcome::Unknown(fault) => {
                self.observer.signal(Signal::AppendUnknown);
                tracing::warn!(%seq, %fault, "no telling whether the record is stored: asking again");
            }
            PutOutcome::NotSent(why) => {
                tracing::warn!(%seq, %why, "the record could not be sent: trying again");
            }
            PutOutcome::Refused(fault) => {
                tracing::warn!(%seq, %fault, "the log store refuses the record");
            }
            PutOutcome::Committed | PutOutcome::AlreadyExists => {}
        }
    }

    /// A uniform number.
    pub(crate) fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        self.entropy.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Bytes that make an append unique.
    pub(crate) fn nonce(&self) -> rynxs_core::ids::Nonce {
        let mut bytes = [0; 16];
        self.entropy.fill(&mut bytes);
        rynxs_core::ids::Nonce(bytes)
    }
}
