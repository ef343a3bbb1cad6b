//! Ports for tests: virtual time, scripted answers, seeded randomness.
#![allow(dead_code, unreachable_pub, reason = "each test crate uses its part")]

pub mod story;
pub mod world;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use rynxs_operator::ports::{
    Body, BodyError, Clock, Entropy, LockedFile, Mono, NetError, Network, Ports, Service, Storage,
    StorageError, WallMs,
};

/// Tokio's clock: with `start_paused` it jumps to the next deadline when nothing else can go on.
pub struct TokioClock {
    origin: tokio::time::Instant,
    wall_ms: u64,
}

impl TokioClock {
    pub fn new() -> Self {
        Self { origin: tokio::time::Instant::now(), wall_ms: 1_700_000_000_000 }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Mono {
        Mono(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn wall(&self) -> WallMs {
        WallMs(self.wall_ms + self.now().0 / 1_000_000)
    }

    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        tokio::time::sleep_until(self.origin + Duration::from_nanos(deadline.0)).boxed()
    }
}

/// SplitMix64: enough for names and jitter.
pub struct Seeded(AtomicU64);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// No disk: these tests keep their log in memory.
pub struct NoStorage;

impl Storage for NoStorage {
    fn create_dir(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        no_disk(path)
    }
    fn list(&self, path: &str) -> BoxFuture<'static, Result<Vec<String>, StorageError>> {
        no_disk(path)
    }
    fn len(&self, path: &str) -> BoxFuture<'static, Result<u64, StorageError>> {
        no_disk(path)
    }
    fn read(
        &self,
        path: &str,
        _: u64,
        _: usize,
    ) -> BoxFuture<'static, Result<Bytes, StorageError>> {
        no_disk(path)
    }
    fn append(&self, path: &str, _: Bytes) -> BoxFuture<'static, Result<(), StorageError>> {
        no_disk(path)
    }
    fn truncate(&self, path: &str, _: u64) -> BoxFuture<'static, Result<(), StorageError>> {
        no_disk(path)
    }
    fn rename(&self, path: &str, _: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        no_disk(path)
    }
    fn sync_data(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        no_disk(path)
    }
    fn sync_dir(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        no_disk(path)
    }
    fn lock(&self, path: &str) -> BoxFuture<'static, Result<LockedFile, StorageError>> {
        no_disk(path)
    }
}

fn no_disk<T: Send + 'static>(path: &str) -> BoxFuture<'static, Result<T, StorageError>> {
    let error = StorageError {
        operation: "open",
        path: path.to_owned(),
        kind: std::io::ErrorKind::Unsupported,
        message: "these tests have no disk".to_owned(),
    };
    futures::future::ready(Err(error)).boxed()
}

/// One scripted answer.
pub enum Reply {
    /// Status and body.
    Json(u16, String),
    /// A watch: these chunks, then it stays open in silence.
    Watch(Vec<String>),
    /// A watch that the server ends after these chunks.
    WatchEnds(Vec<String>),
    /// A watch whose connection breaks after these chunks.
    WatchBreaks(Vec<String>),
    /// No answer, ever.
    Silence,
    /// The connection broke.
    Broken,
}

/// Answers requests in the order of the script and notes them.
#[derive(Clone, Default)]
pub struct Script {
    replies: Arc<Mutex<VecDeque<Reply>>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Script {
    pub fn new(replies: Vec<Reply>) -> Self {
        Self { replies: Arc::new(Mutex::new(replies.into())), seen: Arc::default() }
    }

    /// Method and target of every request so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no test panics while holding it").clone()
    }
}

impl Network for Script {
    fn send(
        &self,
        _: Service,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, NetError>> {
        self.seen.lock().expect("no test panics while holding it").push(format!(
            "{} {}",
            request.method(),
            request.uri()
        ));
        let reply = self.replies.lock().expect("no test panics while holding it").pop_front();
        async move {
            let (status, body) = match reply.unwrap_or(Reply::Silence) {
                Reply::Silence => futures::future::pending().await,
                Reply::Broken => return Err(NetError::Unknown("connection reset".to_owned())),
                Reply::Json(status, text) => (status, Body::Full(Bytes::from(text))),
                Reply::Watch(chunks) => {
                    (200, Body::Stream(parts(chunks).chain(futures::stream::pending()).boxed()))
                }
                Reply::WatchEnds(chunks) => (200, Body::Stream(parts(chunks).boxed())),
                Reply::WatchBreaks(chunks) => {
                    let broken = Err(BodyError::Broken("reset".to_owned()));
                    let end = futures::stream::once(async move { broken });
                    (200, Body::Stream(parts(chunks).chain(end).boxed()))
                }
            };
            let response = http::Response::builder().status(status).body(body);
            Ok(response.expect("a status and a body make a response"))
        }
        .boxed()
    }
}

fn parts(
    chunks: Vec<String>,
) -> impl futures::Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
    futures::stream::iter(chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk))))
}

/// Ports over one network, with virtual time.
pub fn ports(network: Arc<dyn Network>, seed: u64) -> Ports {
    Ports {
        clock: Arc::new(TokioClock::new()),
        network,
        storage: Arc::new(NoStorage),
        entropy: Arc::new(Seeded::new(seed)),
    }
}
