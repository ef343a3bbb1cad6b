//! The ports of the S3 store's tests: a wire to the model that keeps what it carries and breaks
//! where it is told to, a clock that is set, a source of numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use rynxs_core::config::{Checksum, S3Store, Secret};
use rynxs_operator::observe::{Observer, Signal};
use rynxs_operator::ports::{
    Body, BodyError, Clock, Entropy, Mono, NetError, Network, Ports, Service, WallMs,
};
use rynxs_operator::store::S3LogStore;
use rynxs_s3::{ConnectionReset, Options, S3Model};

use crate::disk::Disk;

pub(crate) const BUCKET: &str = "rynxs-events";
pub(crate) const START_MS: u64 = 1_795_341_600_000;

/// A model, and everything that a store over it needs.
pub(crate) struct World {
    pub(crate) model: S3Model,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) wire: Arc<Wire>,
    pub(crate) observer: Arc<Signals>,
    ports: Ports,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::simple(BUCKET, "AKIATEST", "secret");
        change(&mut options);
        let model = S3Model::new(options);
        let clock = Arc::new(ManualClock::default());
        let wire = Arc::new(Wire {
            model: model.clone(),
            clock: clock.clone(),
            sent: Mutex::default(),
            breaks: Mutex::default(),
        });
        let ports = Ports {
            clock: clock.clone(),
            network: wire.clone(),
            storage: Arc::new(Disk::default()),
            entropy: Arc::new(Counter::default()),
        };
        Self { model, clock, wire, observer: Arc::default(), ports }
    }

    pub(crate) fn store(&self) -> S3LogStore {
        self.store_with(|_| {})
    }

    pub(crate) fn store_with(&self, change: impl FnOnce(&mut S3Store)) -> S3LogStore {
        let mut settings = S3Store {
            endpoint: Some("http://minio.rynxs:9000".to_owned()),
            bucket: BUCKET.to_owned(),
            prefix: "events".to_owned(),
            region: "us-east-1".to_owned(),
            path_style: true,
            access_key: Secret::new("AKIATEST"),
            secret_key: Secret::new("secret"),
            session_token: None,
            checksum: Checksum::Sha256,
        };
        change(&mut settings);
        S3LogStore::new(&self.ports, &settings, Duration::from_secs(5), self.observer.clone())
    }
}

/// What breaks on the wire, once.
pub(crate) enum Break {
    /// Nothing leaves.
    NotSent,
    /// The request arrives, its answer does not.
    AnswerLost,
    /// The answer's head arrives, its body breaks off.
    BodyBroken,
    /// The body ends early and nobody says so.
    BodyShort,
    /// In place of the store somebody else answers.
    Answer(http::Response<Bytes>),
    /// Nothing ever comes back.
    Silence,
}

/// The network: to the model and back.
pub(crate) struct Wire {
    model: S3Model,
    clock: Arc<ManualClock>,
    sent: Mutex<Vec<String>>,
    breaks: Mutex<Vec<Break>>,
}

impl Wire {
    /// The next request meets this.
    pub(crate) fn break_next(&self, what: Break) {
        self.breaks.lock().unwrap().push(what);
    }

    /// Every request so far, to the last byte.
    pub(crate) fn sent(&self) -> Vec<String> {
        self.sent.lock().unwrap().clone()
    }
}

impl Network for Wire {
    fn send(
        &self,
        service: Service,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, NetError>> {
        assert_eq!(service, Service::ObjectStore);
        self.sent.lock().unwrap().push(format!("{request:?}"));
        let mut what = self.breaks.lock().unwrap().pop();
        if matches!(what, Some(Break::NotSent)) {
            return Box::pin(async { Err(NetError::NotSent("connection refused".to_owned())) });
        }
        if matches!(what, Some(Break::Silence)) {
            return Box::pin(std::future::pending());
        }
        let answer = self.model.call(self.clock.wall().0, request);
        Box::pin(async move {
            let answer = match what.take_if(|what| matches!(what, Break::Answer(_))) {
                Some(Break::Answer(other)) => other,
                _ => answer.await,
            };
            if answer.extensions().get::<ConnectionReset>().is_some() {
                return Err(NetError::Unknown("connection reset".to_owned()));
            }
            match what {
                Some(Break::AnswerLost) => Err(NetError::Unknown("connection reset".to_owned())),
                Some(Break::BodyBroken) => Ok(answer.map(|_| {
                    let error = Err(BodyError::Broken("connection reset".to_owned()));
                    Body::Stream(Box::pin(futures::stream::iter([error])))
                })),
                Some(Break::BodyShort) => {
                    Ok(answer.map(|bytes| Body::Full(bytes.slice(..bytes.len() / 2))))
                }
                _ => Ok(answer.map(Body::Full)),
            }
        })
    }
}

/// A clock that stands until it is set; sleeps end at once if their time has come, else never.
#[derive(Default)]
pub(crate) struct ManualClock {
    passed_ns: AtomicU64,
    /// Whether sleepers wake although nobody moved the clock.
    impatient: std::sync::atomic::AtomicBool,
}

impl ManualClock {
    /// From now on every sleep ends at once.
    pub(crate) fn let_sleeps_end(&self) {
        self.impatient.store(true, Ordering::SeqCst);
    }

    pub(crate) fn advance(&self, span: Duration) {
        let span = u64::try_from(span.as_nanos()).unwrap();
        self.passed_ns.fetch_add(span, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Mono {
        Mono(self.passed_ns.load(Ordering::SeqCst))
    }

    fn wall(&self) -> WallMs {
        WallMs(START_MS + self.now().0 / 1_000_000)
    }

    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        if self.now() >= deadline || self.impatient.load(Ordering::SeqCst) {
            return Box::pin(async {});
        }
        Box::pin(std::future::pending())
    }
}

#[derive(Default)]
struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes()[0];
        }
    }
}

/// Keeps what it is told.
#[derive(Default)]
pub(crate) struct Signals(Mutex<Vec<Signal>>);

impl Signals {
    pub(crate) fn take(&self) -> Vec<Signal> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Signals {
    fn signal(&self, signal: Signal) {
        self.0.lock().unwrap().push(signal);
    }
}
