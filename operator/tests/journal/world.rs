//! The ports, the settings, and a replica that takes over and runs its journal.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, Either, select};
use rynxs_core::config::{Config, OnMissingLog};
use rynxs_core::genesis::ClusterStamps;
use rynxs_core::ids::WriterId;
use rynxs_operator::journal::{Journal, JournalEnd};
use rynxs_operator::observe::{Observer, Signal};
use rynxs_operator::ports::{
    Body, Clock, Entropy, LockedFile, Mono, NetError, Network, Ports, Service, Storage,
    StorageError, WallMs,
};
use rynxs_operator::store::LogStore;
use rynxs_operator::takeover::{Claim, TakeoverEnd, take_over};
use tokio::time::Instant;

use crate::store::Memory;

/// The runtime's paused clock.
struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Mono {
        Mono(u64::try_from(self.0.elapsed().as_nanos()).expect("tests are short"))
    }

    fn wall(&self) -> WallMs {
        WallMs(1_790_000_000_000 + u64::try_from(self.0.elapsed().as_millis()).expect("short"))
    }

    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep_until(self.0 + Duration::from_nanos(deadline.0)))
    }
}

/// A splitmix64 sequence.
struct Seeded(Mutex<u64>);

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut seed = self.0.lock().expect("no test panics in here");
        for chunk in bytes.chunks_mut(8) {
            *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = *seed;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// The journal knows its store only: it must never ask for network or disk itself.
struct Nothing;

impl Network for Nothing {
    fn send(
        &self,
        service: Service,
        _: http::Request<Bytes>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, NetError>> {
        panic!("the journal sent a request to {service:?} past its store")
    }
}

impl Storage for Nothing {
    fn create_dir(&self, _: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        panic!("past its store")
    }
    fn list(&self, _: &str) -> BoxFuture<'static, Result<Vec<String>, StorageError>> {
        panic!("past its store")
    }
    fn len(&self, _: &str) -> BoxFuture<'static, Result<u64, StorageError>> {
        panic!("past its store")
    }
    fn read(&self, _: &str, _: u64, _: usize) -> BoxFuture<'static, Result<Bytes, StorageError>> {
        panic!("past its store")
    }
    fn append(&self, _: &str, _: Bytes) -> BoxFuture<'static, Result<(), StorageError>> {
        panic!("past its store")
    }
    fn truncate(&self, _: &str, _: u64) -> BoxFuture<'static, Result<(), StorageError>> {
        panic!("past its store")
    }
    fn rename(&self, _: &str, _: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        panic!("past its store")
    }
    fn sync_data(&self, _: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        panic!("past its store")
    }
    fn sync_dir(&self, _: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        panic!("past its store")
    }
    fn lock(&self, _: &str) -> BoxFuture<'static, Result<LockedFile, StorageError>> {
        panic!("past its store")
    }
}

/// Keeps what the journal says of itself.
#[derive(Default)]
pub(crate) struct Heard(Mutex<Vec<Signal>>);

impl Observer for Heard {
    fn signal(&self, signal: Signal) {
        self.0.lock().expect("no test panics in here").push(signal);
    }
}

impl Heard {
    pub(crate) fn count(&self, wanted: impl Fn(&Signal) -> bool) -> usize {
        self.0.lock().expect("no test panics in here").iter().filter(|s| wanted(s)).count()
    }
}

/// One replica's surroundings.
pub(crate) struct World {
    pub(crate) ports: Ports,
    pub(crate) config: Config,
    pub(crate) seen: ClusterStamps,
    pub(crate) heard: Arc<Heard>,
    pub(crate) memory: Arc<Memory>,
}

impl World {
    /// Puts take 10 ms.
    pub(crate) fn new() -> Self {
        Self::with_latency(Duration::from_millis(10))
    }

    pub(crate) fn with_latency(latency: Duration) -> Self {
        let nothing = Arc::new(Nothing);
        let ports = Ports {
            clock: Arc::new(TestClock(Instant::now())),
            network: nothing.clone(),
            storage: nothing,
            entropy: Arc::new(Seeded(Mutex::new(7))),
        };
        Self {
            ports,
            config: Config::default(),
            seen: ClusterStamps::new(),
            heard: Arc::default(),
            memory: Arc::new(Memory::new(latency)),
        }
    }

    pub(crate) fn adopting(mut self) -> Self {
        self.config.log_sink.on_missing_log = OnMissingLog::Adopt;
        self
    }

    pub(crate) async fn take_over(&self, term: u32) -> Result<Journal, TakeoverEnd> {
        self.take_over_while(term, &|| true).await
    }

    pub(crate) async fn take_over_while(
        &self,
        term: u32,
        may_lead: &(dyn Fn() -> bool + Send + Sync),
    ) -> Result<Journal, TakeoverEnd> {
        let store: Arc<dyn LogStore> = self.memory.clone();
        let observer: Arc<dyn Observer> = self.heard.clone();
        let identity = WriterId(format!("rynxs-{term}"));
        let claim = Claim {
            ports: &self.ports,
            observer: &observer,
            config: &self.config,
            identity: &identity,
            seen: &self.seen,
            appending: &AtomicBool::new(false),
        };
        take_over(claim, &store, may_lead).await
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.ports.clock.now() - Mono(0)
    }
}

/// Runs a journal beside a test's own steps; the journal must outlive them.
pub(crate) async fn beside<T>(journal: &Journal, steps: impl Future<Output = T>) -> T {
    let pump = std::pin::pin!(journal.run());
    let steps = std::pin::pin!(steps);
    match select(pump, steps).await {
        Either::Left((end, _)) => panic!("the journal ended: {end}"),
        Either::Right((answer, _)) => answer,
    }
}

/// Runs a journal until it ends.
pub(crate) async fn end_of(journal: &Journal) -> JournalEnd {
    tokio::time::timeout(Duration::from_secs(3600), journal.run())
        .await
        .expect("the journal ends within its deadline")
}
