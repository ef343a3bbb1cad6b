//! Drives the append protocol over a store: sends what it says, waits as it says.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use rynxs_core::append::{
    Append, AppendInput, AppendStep, Backoff, PutOutcome, Settled, TwoWinners, settle_race,
};
use rynxs_core::ids::Seq;
use rynxs_core::record::EncodedRecord;
use rynxs_core::time::Mono;

use crate::observe::{Observer, Signal};
use crate::ports::{Clock, Entropy, Ports};
use crate::store::LogStore;

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

    async fn race(&self, append: &Append, racers: usize) -> Result<PutOutcome, TwoWinners> {
        if racers <= 1 {
            return Ok(self.put(append).await);
        }
        settle_race(join_all((0..racers).map(|_| self.put(append))).await)
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
