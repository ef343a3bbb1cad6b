//! Ports for unit tests: tokio's paused clock, seeded bytes, and a disk that refuses everything.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use rynxs_core::time::{Mono, WallMs};

use crate::ports::{Clock, Entropy, LockedFile, Network, Ports, Storage, StorageError};

/// Wall time at which every test begins.
pub(crate) const BEGIN_MS: u64 = 1_795_334_400_000;

/// Tokio's clock, which a paused runtime moves on as soon as nothing else can happen.
pub(crate) struct TokioClock(tokio::time::Instant);

impl TokioClock {
    pub(crate) fn new() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Mono {
        Mono(1_000_000_000) + self.0.elapsed()
    }

    fn wall(&self) -> WallMs {
        let elapsed_ms = u64::try_from(self.0.elapsed().as_millis()).expect("a test is short");
        WallMs(BEGIN_MS + elapsed_ms)
    }

    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        let span = deadline - Mono(1_000_000_000);
        let begin = self.0;
        Box::pin(async move {
            // Timers have a granularity of a millisecond; far deadlines are never reached.
            let span = span.min(Duration::from_secs(86_400 * 365));
            tokio::time::sleep_until(begin + span).await;
        })
    }
}

/// The same bytes for the same seed (SplitMix64).
pub(crate) struct Seeded(Mutex<u64>);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.lock().expect("no test panics while it draws");
        for chunk in bytes.chunks_mut(8) {
            *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = *state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

/// A disk that refuses everything: for tests that use none.
pub(crate) struct NoDisk;

impl NoDisk {
    fn refuse<T: Send + 'static>(path: &str) -> BoxFuture<'static, Result<T, StorageError>> {
        let error = StorageError {
            operation: "use",
            path: path.to_owned(),
            kind: std::io::ErrorKind::Unsupported,
            message: "this test has no disk".to_owned(),
        };
        Box::pin(async move { Err(error) })
    }
}

impl Storage for NoDisk {
    fn create_dir(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        Self::refuse(path)
    }
    fn list(&self, path: &str) -> BoxFuture<'static, Result<Vec<String>, StorageError>> {
        Self::refuse(path)
    }
    fn len(&self, path: &str) -> BoxFuture<'static, Result<u64, StorageError>> {
        Self::refuse(path)
    }
    fn read(
        &self,
        path: &str,
        _: u64,
        _: usize,
    ) -> BoxFuture<'static, Result<Bytes, StorageError>> {
        Self::refuse(path)
    }
    fn append(&self, path: &str, _: Bytes) -> BoxFuture<'static, Result<(), StorageError>> {
        Self::refuse(path)
    }
    fn truncate(&self, path: &str, _: u64) -> BoxFuture<'static, Result<(), StorageError>> {
        Self::refuse(path)
    }
    fn rename(&self, from: &str, _: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        Self::refuse(from)
    }
    fn sync_data(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        Self::refuse(path)
    }
    fn sync_dir(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        Self::refuse(path)
    }
    fn lock(&self, path: &str) -> BoxFuture<'static, Result<LockedFile, StorageError>> {
        Self::refuse(path)
    }
}

/// Ports over a network, with tokio's clock.
pub(crate) fn ports(network: Arc<dyn Network>, seed: u64) -> Ports {
    Ports {
        clock: Arc::new(TokioClock::new()),
        network,
        storage: Arc::new(NoDisk),
        entropy: Arc::new(Seeded::new(seed)),
    }
}
