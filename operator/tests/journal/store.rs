//! A log store in memory whose every put can be made to go wrong.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use rynxs_core::ids::Seq;
use rynxs_operator::store::{
    ExistsOutcome, Fault, FaultCause, GetOutcome, ListOutcome, Listed, LogStore, PutOutcome,
    TailRepair,
};
use tokio::time::Instant;

/// What happens to one put.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Whim {
    /// Applied and answered.
    Honest,
    /// Applied, the answer is lost.
    LostAnswer,
    /// Lost on its way.
    LostRequest,
    /// No answer, applied so much later.
    Late(Duration),
    /// Arrives and is answered so much later.
    Slow(Duration),
    /// The condition is ignored, and all takes so much longer.
    SlowUnconditional(Duration),
    /// 403.
    Forbidden,
    /// The connection is refused.
    NotSent,
    /// The condition is ignored: whatever is there is replaced, and it is 200.
    Unconditional,
}

#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) records: BTreeMap<Seq, Vec<u8>>,
    /// Fates of the puts to come; then all are honest.
    pub(crate) whims: VecDeque<Whim>,
    /// Every put, in order of sending.
    pub(crate) puts: Vec<(Seq, Bytes)>,
    /// Whether everything is silent, reads too.
    pub(crate) dead: bool,
    pub(crate) foreign: Option<String>,
    pub(crate) repaired: Vec<TailRepair>,
    late: Vec<(Instant, Seq, Bytes)>,
    in_flight: usize,
    pub(crate) max_in_flight: usize,
}

/// The store; requests take `latency`.
#[derive(Default)]
pub(crate) struct Memory {
    inner: Mutex<Inner>,
    latency: Duration,
}

impl Memory {
    pub(crate) fn new(latency: Duration) -> Self {
        Self { inner: Mutex::default(), latency }
    }

    /// The store's inside, after what was late has arrived.
    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().expect("no test panics in here");
        let now = Instant::now();
        let due: Vec<_> = inner.late.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, seq, bytes) in due {
            inner.records.entry(seq).or_insert_with(|| bytes.to_vec());
        }
        inner
    }

    /// Lets everything that is still on its way arrive.
    pub(crate) fn deliver_all(&self) {
        let mut inner = self.inner();
        for (_, seq, bytes) in std::mem::take(&mut inner.late) {
            inner.records.entry(seq).or_insert_with(|| bytes.to_vec());
        }
    }

    pub(crate) fn plan(&self, whims: impl IntoIterator<Item = Whim>) {
        self.inner().whims.extend(whims);
    }

    /// The stored records, in order.
    pub(crate) fn lines(&self) -> Vec<Vec<u8>> {
        self.inner().records.values().cloned().collect()
    }

    fn apply(&self, seq: Seq, bytes: &Bytes, whim: Whim) -> PutOutcome {
        let mut inner = self.inner();
        let free = !inner.records.contains_key(&seq);
        let silence = PutOutcome::Unknown(silence());
        match whim {
            Whim::Honest | Whim::LostAnswer if free => {
                inner.records.insert(seq, bytes.to_vec());
                if whim == Whim::Honest { PutOutcome::Committed } else { silence }
            }
            Whim::Honest => PutOutcome::AlreadyExists,
            Whim::LostAnswer | Whim::LostRequest => silence,
            Whim::Late(by) => {
                inner.late.push((Instant::now() + by, seq, bytes.clone()));
                silence
            }
            Whim::Slow(_) | Whim::SlowUnconditional(_) => unreachable!("waited for before"),
            Whim::Forbidden => PutOutcome::Refused(Fault::new(FaultCause::AccessDenied, "403")),
            Whim::NotSent => PutOutcome::NotSent("connection refused".to_owned()),
            Whim::Unconditional => {
                inner.records.insert(seq, bytes.to_vec());
                PutOutcome::Committed
            }
        }
    }
}

fn silence() -> Fault {
    Fault::new(FaultCause::Timeout, "silence")
}

impl LogStore for Memory {
    fn put(&self, seq: Seq, bytes: Bytes) -> BoxFuture<'_, PutOutcome> {
        Box::pin(async move {
            let whim = {
                let mut inner = self.inner();
                inner.puts.push((seq, bytes.clone()));
                inner.in_flight += 1;
                inner.max_in_flight = inner.max_in_flight.max(inner.in_flight);
                let whim = inner.whims.pop_front().unwrap_or(Whim::Honest);
                if inner.dead { Whim::LostRequest } else { whim }
            };
            tokio::time::sleep(self.latency).await;
            let whim = match whim {
                Whim::Slow(by) | Whim::SlowUnconditional(by) => {
                    tokio::time::sleep(by).await;
                    if whim == Whim::Slow(by) { Whim::Honest } else { Whim::Unconditional }
                }
                prompt => prompt,
            };
            let outcome = self.apply(seq, &bytes, whim);
            self.inner().in_flight -= 1;
            outcome
        })
    }

    fn get(&self, seq: Seq) -> BoxFuture<'_, GetOutcome> {
        Box::pin(async move {
            tokio::time::sleep(self.latency).await;
            let inner = self.inner();
            match inner.records.get(&seq) {
                _ if inner.dead => GetOutcome::Unknown(silence()),
                Some(bytes) => GetOutcome::Found(bytes.clone()),
                None => GetOutcome::Missing,
            }
        })
    }

    fn exists(&self, seq: Seq) -> BoxFuture<'_, ExistsOutcome> {
        Box::pin(async move {
            tokio::time::sleep(self.latency).await;
            let inner = self.inner();
            match inner.records.contains_key(&seq) {
                _ if inner.dead => ExistsOutcome::Unknown(silence()),
                true => ExistsOutcome::Yes,
                false => ExistsOutcome::No,
            }
        })
    }

    fn first_key_after(&self, seq: Option<Seq>) -> BoxFuture<'_, ListOutcome> {
        Box::pin(async move {
            tokio::time::sleep(self.latency).await;
            let inner = self.inner();
            if inner.dead {
                return ListOutcome::Unknown(silence());
            }
            let next = inner.records.keys().find(|key| seq.is_none_or(|seq| **key > seq));
            ListOutcome::Next(match (next, &inner.foreign) {
                (Some(seq), _) => Some(Listed::Record(*seq)),
                (None, Some(name)) => Some(Listed::Foreign(name.clone())),
                (None, None) => None,
            })
        })
    }

    fn describe(&self) -> String {
        "memory://log".to_owned()
    }

    fn repaired(&self) -> Vec<TailRepair> {
        self.inner().repaired.clone()
    }
}
