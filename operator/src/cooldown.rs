//! What is known of this replica's latest terms, and how long it stays out after losing one.
//!
//! The rule is `rynxs_core::election::cooldown`; this remembers the terms: those of this process,
//! and at its start those that the log tells of, so that a crash loop is no way around the wait.

use std::time::Duration;

use rynxs_core::append::{ExistsOutcome, Fault, GetOutcome};
use rynxs_core::config::LeaderElection;
use rynxs_core::election::cooldown::{EpochStart, REMEMBERED, cooldown, pod};
use rynxs_core::event::Event;
use rynxs_core::ids::Seq;
use rynxs_core::record::{MAX_SEQ, decode};
use rynxs_core::time::WallMs;

use crate::store::LogStore;

/// Most epochs that are read back from the log at start: the wait reaches L before.
const RECALLED_EPOCHS: usize = 8;

/// This replica's latest terms.
#[derive(Clone, Debug)]
pub struct Cooldown {
    pod: String,
    lease: Duration,
    retry_period: Duration,
    starts: Vec<EpochStart>,
}

/// The store did not answer as it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log at {store} cannot be read: {fault}")]
pub struct RecallError {
    /// Which store.
    pub store: String,
    /// What it answered.
    pub fault: Fault,
}

impl Cooldown {
    /// Nothing known so far.
    #[must_use]
    pub fn new(pod: &str, settings: &LeaderElection) -> Self {
        Self {
            pod: pod.to_owned(),
            lease: settings.lease_duration,
            retry_period: settings.retry_period,
            starts: Vec::new(),
        }
    }

    /// A term began.
    pub fn note(&mut self, start: EpochStart) {
        if pod(&start.identity) != self.pod
            || self.starts.iter().any(|known| known.identity == start.identity)
        {
            return;
        }
        if self.starts.len() == REMEMBERED {
            self.starts.remove(0);
        }
        self.starts.push(start);
    }

    /// How long to stay out after losing leadership at `now`.
    #[must_use]
    pub fn after_loss(&self, now: WallMs) -> Duration {
        cooldown(&self.starts, &self.pod, now, self.lease, self.retry_period)
    }

    /// What is left of the wait for a process that starts at `now`: its predecessor may have been
    /// lost at any time since its last term began.
    #[must_use]
    pub fn after_start(&self, now: WallMs) -> Duration {
        let last = self.starts.iter().map(|start| start.at).max();
        let since = last.map_or(u64::MAX, |last| now.0.saturating_sub(last.0));
        self.after_loss(now).saturating_sub(Duration::from_millis(since))
    }

    /// Reads the latest epochs back from the log: a look at its tail, then two reads per epoch.
    /// A log that does not verify is the takeover's to judge: it ends the search.
    ///
    /// # Errors
    /// The store did not answer, or refused.
    pub async fn recall(&mut self, store: &dyn LogStore) -> Result<(), RecallError> {
        let failed = |fault| RecallError { store: store.describe(), fault };
        let Some(tail) = tail(store).await.map_err(failed)? else { return Ok(()) };
        let Some(base) = read(store, Seq::ZERO).await.map_err(failed)?.and_then(|r| r.base) else {
            return Ok(());
        };
        let mut at = tail;
        let mut found = Vec::new();
        for _ in 0..RECALLED_EPOCHS {
            let Some(record) = read(store, at).await.map_err(failed)? else { break };
            let Some(begin) = record.epoch.checked_sub(base).map(Seq).filter(|seq| *seq <= at)
            else {
                break;
            };
            let started = read(store, begin).await.map_err(failed)?.and_then(|r| r.started);
            let Some(started) = started else { break };
            found.push(started);
            let Some(before) = begin.0.checked_sub(1) else { break };
            at = Seq(before);
        }
        found.into_iter().rev().for_each(|start| self.note(start));
        Ok(())
    }
}

/// The last record's position, if the log is not empty.
async fn tail(store: &dyn LogStore) -> Result<Option<Seq>, Fault> {
    if !exists(store, Seq::ZERO).await? {
        return Ok(None);
    }
    let (mut last, mut step) = (0_u64, 1_u64);
    while last + step <= MAX_SEQ.0 && exists(store, Seq(last + step)).await? {
        last += step;
        step *= 2;
    }
    // `last` exists; `last + step` does not.
    while step > 1 {
        step /= 2;
        if last + step <= MAX_SEQ.0 && exists(store, Seq(last + step)).await? {
            last += step;
        }
    }
    Ok(Some(Seq(last)))
}

async fn exists(store: &dyn LogStore, seq: Seq) -> Result<bool, Fault> {
    match store.exists(seq).await {
        ExistsOutcome::Yes => Ok(true),
        ExistsOutcome::No => Ok(false),
        ExistsOutcome::Unknown(fault) | ExistsOutcome::Refused(fault) => Err(fault),
    }
}

/// What matters of one record.
struct Glimpse {
    epoch: u64,
    base: Option<u64>,
    started: Option<EpochStart>,
}

/// None if the record is missing or does not verify.
async fn read(store: &dyn LogStore, seq: Seq) -> Result<Option<Glimpse>, Fault> {
    let bytes = match store.get(seq).await {
        GetOutcome::Found(bytes) => bytes,
        GetOutcome::Missing => return Ok(None),
        GetOutcome::Unknown(fault) | GetOutcome::Refused(fault) => return Err(fault),
    };
    let Ok(record) = decode(&bytes) else { return Ok(None) };
    let header = &record.header;
    let find = |kind| record.raw_events().position(|event| event.kind == kind);
    let event = |kind| find(kind).and_then(|index| record.event(index).ok());
    let base = match event("LogStarted") {
        Some(Event::LogStarted { base, .. }) => Some(base),
        _ => None,
    };
    let started = match event("EpochStarted") {
        Some(Event::EpochStarted { identity, .. }) => {
            Some(EpochStart { identity, at: header.ts_ms })
        }
        _ => None,
    };
    Ok(Some(Glimpse { epoch: header.epoch.0, base, started }))
}

#[cfg(test)]
mod tests {
    use rynxs_core::append::{FaultCause, ListOutcome, PutOutcome};
    use rynxs_core::event::DecisionSettings;
    use rynxs_core::ids::{Epoch, Hash, LogId, Nonce, WriterId};
    use rynxs_core::record::{EncodedEvent, Header, encode};

    use super::*;

    /// A log in memory, or a store that does not answer.
    struct Memory {
        records: Vec<Vec<u8>>,
        down: bool,
        reads: std::sync::Mutex<usize>,
    }

    impl Memory {
        fn fault() -> Fault {
            Fault { cause: FaultCause::Timeout, message: "no answer".to_owned() }
        }

        fn record(&self, seq: Seq) -> Option<&Vec<u8>> {
            *self.reads.lock().unwrap() += 1;
            self.records.get(usize::try_from(seq.0).unwrap())
        }
    }

    impl LogStore for Memory {
        fn put(&self, _: Seq, _: bytes::Bytes) -> futures::future::BoxFuture<'_, PutOutcome> {
            unreachable!("nothing is written here")
        }
        fn get(&self, seq: Seq) -> futures::future::BoxFuture<'_, GetOutcome> {
            let outcome = match self.record(seq) {
                _ if self.down => GetOutcome::Unknown(Self::fault()),
                Some(bytes) => GetOutcome::Found(bytes.clone()),
                None => GetOutcome::Missing,
            };
            Box::pin(async move { outcome })
        }
        fn exists(&self, seq: Seq) -> futures::future::BoxFuture<'_, ExistsOutcome> {
            let outcome = match self.record(seq) {
                _ if self.down => ExistsOutcome::Unknown(Self::fault()),
                Some(_) => ExistsOutcome::Yes,
                None => ExistsOutcome::No,
            };
            Box::pin(async move { outcome })
        }
        fn first_key_after(&self, _: Option<Seq>) -> futures::future::BoxFuture<'_, ListOutcome> {
            unreachable!("nothing is listed here")
        }
        fn describe(&self) -> String {
            "memory://log".to_owned()
        }
    }

    const BASE: u64 = 3_000_000;

    fn identity(pod: &str, n: u64) -> WriterId {
        WriterId(format!("{pod}_{n}"))
    }

    /// A log whose epochs were started by these pods at these seconds, 100 records each.
    fn log(terms: &[(&str, u64)]) -> Memory {
        let mut records = Vec::new();
        let push = |records: &mut Vec<Vec<u8>>, epoch: u64, writer: &WriterId, at_s, event| {
            let header = Header {
                seq: Seq(records.len() as u64),
                prev_hash: Hash::ZERO,
                epoch: Epoch(epoch),
                writer: writer.clone(),
                nonce: Nonce::default(),
                ts_ms: WallMs(at_s * 1_000),
            };
            records.push(encode(&header, &[EncodedEvent::new(&event)]).bytes.to_vec());
        };
        for (n, (pod, at_s)) in terms.iter().enumerate() {
            let writer = identity(pod, n as u64);
            if n == 0 {
                let log_id = LogId::from("0123456789abcdef0123456789abcdef");
                let event = Event::LogStarted { log_id, base: BASE, predecessors: Vec::new() };
                push(&mut records, BASE, &writer, *at_s, event);
            }
            let epoch = BASE + records.len() as u64;
            let event = Event::EpochStarted {
                epoch: Epoch(epoch),
                identity: writer.clone(),
                build: "test".to_owned(),
                logic: 1,
                settings: DecisionSettings {
                    default_image: "image".to_owned(),
                    default_storage_class: String::new(),
                    session_max_duration_s: 60,
                },
            };
            push(&mut records, epoch, &writer, *at_s, event);
            for _ in 0..99 {
                let event =
                    Event::CheckpointCreated { size: 0, root: Hash::ZERO, head: Hash::ZERO };
                push(&mut records, epoch, &writer, *at_s, event);
            }
        }
        Memory { records, down: false, reads: std::sync::Mutex::new(0) }
    }

    fn cooldown_of(pod: &str) -> Cooldown {
        Cooldown::new(pod, &LeaderElection::default())
    }

    fn at_s(s: u64) -> WallMs {
        WallMs(s * 1_000)
    }

    #[test]
    fn terms_of_this_process_make_the_wait_grow() {
        let mut cooldown = cooldown_of("rynxs-0");
        let mut waits = Vec::new();
        for n in 0..5 {
            cooldown.note(EpochStart { identity: identity("rynxs-0", n), at: at_s(1_000 + n) });
            cooldown.note(EpochStart { identity: identity("rynxs-0", n), at: at_s(1_000 + n) });
            waits.push(cooldown.after_loss(at_s(1_010)).as_secs());
        }
        assert_eq!(waits, [2, 4, 8, 15, 15]);
    }

    #[tokio::test]
    async fn restarted_process_recalls_its_terms_from_the_log() {
        let terms = [("rynxs-0", 900), ("rynxs-1", 1_000), ("rynxs-0", 1_010), ("rynxs-0", 1_020)];
        let log = log(&terms);
        let mut cooldown = cooldown_of("rynxs-0");
        cooldown.recall(&log).await.unwrap();
        assert_eq!(cooldown.starts.len(), 3);
        assert_eq!(cooldown.after_loss(at_s(1_030)).as_secs(), 8);
        assert_eq!(cooldown.after_start(at_s(1_021)).as_secs(), 7, "a second has passed");
        assert_eq!(cooldown.after_start(at_s(1_100)).as_secs(), 0);
        let mut other = cooldown_of("rynxs-1");
        other.recall(&log).await.unwrap();
        assert_eq!(other.after_loss(at_s(1_030)).as_secs(), 2);
        // 401 records: a few reads, not all of them.
        assert!(*log.reads.lock().unwrap() < 80, "{:?}", log.reads);
    }

    #[tokio::test]
    async fn tail_is_found_at_every_length() {
        let whole = log(&[("rynxs-0", 900)]);
        for len in 0..=whole.records.len() {
            let records = whole.records[..len].to_vec();
            let log = Memory { records, down: false, reads: std::sync::Mutex::new(0) };
            let found = tail(&log).await.unwrap();
            assert_eq!(found, (len as u64).checked_sub(1).map(Seq));
        }
    }

    #[tokio::test]
    async fn empty_or_broken_log_is_left_to_the_takeover_but_a_silent_store_is_said() {
        let mut cooldown = cooldown_of("rynxs-0");
        let mut log = log(&[("rynxs-0", 900)]);
        log.records[0] = b"{}".to_vec();
        cooldown.recall(&log).await.unwrap();
        assert_eq!(cooldown.starts, []);
        log.down = true;
        let error = cooldown.recall(&log).await.unwrap_err();
        assert_eq!(error.to_string(), "the log at memory://log cannot be read: Timeout: no answer");
    }
}
