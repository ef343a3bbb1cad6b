//! Kubernetes Events: what `kubectl describe` shows. Never part of a decision, so they may be lost.
//!
//! Bounded three times: a token bucket per object, one for all, and a queue that drops its oldest
//! entry. A repeated event is counted up by a patch of the first one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::future::poll_fn;
use kube_core::params::{Patch, PatchParams, PostParams};
use kube_core::request::Request;
use rynxs_core::ids::{ObjectRef, Uid};
use rynxs_core::names::{FIELD_MANAGER, MANAGED_BY_VALUE};
use rynxs_core::time::{Mono, WallMs};
use serde_json::{Value, json};

use super::client::{Call, KubeClient};
use super::error::{KubeError, shorten};
use super::resource::{EVENTS, ResourceType};
use crate::guard::NotLeading;
use crate::leadership::Leadership;
use crate::observe::{Queue, Signal};

/// Most events that wait to be sent: a second's worth of the global rate, several times over.
const QUEUE_LIMIT: usize = 256;
/// Most objects whose rate and repeated events are remembered.
const OBJECTS_LIMIT: usize = 4_096;
/// Events of one object: a burst of so many …
const OBJECT_BURST: f64 = 10.0;
/// … and one more in so many seconds, as client-go's spam filter has it (25 and 300 s there).
const OBJECT_REFILL_S: f64 = 60.0;
/// Events of all objects: a burst of so many and so many a second.
const GLOBAL_BURST: f64 = 100.0;
const GLOBAL_PER_S: f64 = 20.0;

/// Severity, as Kubernetes names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// Something happened as wished.
    Normal,
    /// Somebody should look.
    Warning,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Regarding {
    /// The object.
    pub object: ObjectRef,
    /// Its incarnation.
    pub uid: Uid,
}

/// Takes events at once and sends them when it can. Cheap to clone.
#[derive(Clone)]
pub struct EventSink {
    inner: Arc<Mutex<Inner>>,
    client: KubeClient,
    leadership: Leadership,
    reporter: String,
}

/// Why an event was not sent, or not taken.
#[derive(Debug, thiserror::Error)]
enum Unsaid {
    /// Its leader does not lead any more, so it is not its to say.
    #[error(transparent)]
    NotLeading(#[from] NotLeading),
    /// The API server did not take it.
    #[error(transparent)]
    Kube(#[from] KubeError),
}

struct Inner {
    queue: VecDeque<Notice>,
    global: Bucket,
    objects: BTreeMap<Regarding, Seen>,
    dropped: u64,
    waker: Option<Waker>,
}

struct Seen {
    bucket: Bucket,
    /// Reason, message, name of the event that was created, and how often it happened.
    last: Option<(String, String, String, u64)>,
}

#[derive(Clone, Debug)]
struct Notice {
    regarding: Regarding,
    kind: EventKind,
    reason: String,
    message: String,
    name: String,
    count: u64,
    at: WallMs,
}

#[derive(Clone, Debug)]
struct Bucket {
    tokens: f64,
    at: Mono,
}

impl Bucket {
    fn full(tokens: f64, at: Mono) -> Self {
        Self { tokens, at }
    }

    fn take(&mut self, now: Mono, burst: f64, per_s: f64) -> bool {
        self.tokens = ((now - self.at).as_secs_f64().mul_add(per_s, self.tokens)).min(burst);
        self.at = now;
        let granted = self.tokens >= 1.0;
        if granted {
            self.tokens -= 1.0;
        }
        granted
    }
}

impl EventSink {
    /// A sink that reports as `reporter` for as long as it leads.
    #[must_use]
    pub fn new(client: KubeClient, leadership: Leadership, reporter: String) -> Self {
        let now = client.ports().clock.now();
        let inner = Inner {
            queue: VecDeque::new(),
            global: Bucket::full(GLOBAL_BURST, now),
            objects: BTreeMap::new(),
            dropped: 0,
            waker: None,
        };
        Self { inner: Arc::new(Mutex::new(inner)), client, leadership, reporter }
    }

    /// Takes note of an event; drops it when the rates or the queue say so.
    pub fn say(&self, regarding: Regarding, kind: EventKind, reason: &str, message: &str) {
        let clock = &self.client.ports().clock;
        let (now, at) = (clock.now(), clock.wall());
        let mut nonce = [0; 8];
        self.client.ports().entropy.fill(&mut nonce);
        let fresh = format!("{}.{:016x}", regarding.object.key.name, u64::from_le_bytes(nonce));
        let mut inner = self.lock();
        let Some((name, count)) = inner.admit(&regarding, reason, message, fresh, now) else {
            inner.dropped += 1;
            drop(inner);
            self.signal(Signal::QueueFull(Queue::KubernetesEvents));
            return;
        };
        let full = inner.queue.len() >= QUEUE_LIMIT;
        if full {
            inner.queue.pop_front();
            inner.dropped += 1;
        }
        inner.queue.push_back(Notice {
            regarding,
            kind,
            reason: reason.to_owned(),
            message: shorten(message),
            name,
            count,
            at,
        });
        let depth = inner.queue.len();
        let waker = inner.waker.take();
        drop(inner);
        if full {
            self.signal(Signal::QueueFull(Queue::KubernetesEvents));
        }
        self.signal(Signal::QueueDepth(Queue::KubernetesEvents, depth));
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// How many events were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn signal(&self, signal: Signal) {
        self.leadership.observer().signal(signal);
    }

    /// Sends what comes, one at a time, for ever. A failed send is not repeated, but waits a
    /// second, so that a server in trouble is not pestered.
    pub async fn run(&self) -> std::convert::Infallible {
        loop {
            let (notice, left) = self.next().await;
            self.signal(Signal::QueueDepth(Queue::KubernetesEvents, left));
            match self.send(&notice).await {
                Ok(()) => {}
                Err(error @ Unsaid::NotLeading(_)) => {
                    tracing::debug!(%error, "an event for people was not sent");
                }
                Err(error @ Unsaid::Kube(_)) => {
                    tracing::debug!(%error, "an event for people was not taken");
                    let clock = &self.client.ports().clock;
                    clock.sleep_until(clock.now() + Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// The next notice, and how many wait behind it.
    async fn next(&self) -> (Notice, usize) {
        poll_fn(|context| {
            let mut inner = self.lock();
            match inner.queue.pop_front() {
                Some(notice) => Poll::Ready((notice, inner.queue.len())),
                None => {
                    inner.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    async fn send(&self, notice: &Notice) -> Result<(), Unsaid> {
        let path = EVENTS.path(Some(&notice.regarding.object.key.namespace));
        if notice.count > 1 {
            let patch = json!({"count": notice.count, "lastTimestamp": rfc3339(notice.at)});
            let request = Request::new(&path).patch(
                &notice.name,
                &PatchParams {
                    field_manager: Some(FIELD_MANAGER.to_owned()),
                    ..PatchParams::default()
                },
                &Patch::Merge(&patch),
            );
            let call = Call::new("patch", EVENTS.plural, request)?;
            self.leadership.may_send()?;
            match self.client.send(call, self.client.timeout()).await {
                // Its time to live was over: said anew below.
                Err(error) if error.code() == 404 => {}
                answer => return answer.map(|_| ()).map_err(Unsaid::from),
            }
        }
        let body = serde_json::to_vec(&self.body(notice)).expect("JSON values serialise");
        let request = Request::new(path).create(
            &PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() },
            body,
        );
        let call = Call::new("create", EVENTS.plural, request)?;
        self.leadership.may_send()?;
        self.client.send(call, self.client.timeout()).await?;
        Ok(())
    }

    fn body(&self, notice: &Notice) -> Value {
        let object = &notice.regarding.object;
        let resource = ResourceType::of(object.kind);
        let at = rfc3339(notice.at);
        json!({
            "apiVersion": EVENTS.api_version(),
            "kind": EVENTS.kind,
            "metadata": {"name": notice.name, "namespace": object.key.namespace},
            "involvedObject": {
                "apiVersion": resource.api_version(),
                "kind": resource.kind,
                "namespace": object.key.namespace,
                "name": object.key.name,
                "uid": notice.regarding.uid.as_str(),
            },
            "type": format!("{:?}", notice.kind),
            "reason": notice.reason,
            "message": notice.message,
            "count": notice.count,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "source": {"component": MANAGED_BY_VALUE},
            "reportingComponent": MANAGED_BY_VALUE,
            "reportingInstance": self.reporter,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whoever panicked while holding it left a queue of notices, never half an invariant.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Name and count of the event, if the rates admit it.
    fn admit(
        &mut self,
        regarding: &Regarding,
        reason: &str,
        message: &str,
        fresh: String,
        now: Mono,
    ) -> Option<(String, u64)> {
        if self.objects.len() >= OBJECTS_LIMIT && !self.objects.contains_key(regarding) {
            self.objects.pop_first();
        }
        let seen = self
            .objects
            .entry(regarding.clone())
            .or_insert_with(|| Seen { bucket: Bucket::full(OBJECT_BURST, now), last: None });
        let granted = seen.bucket.take(now, OBJECT_BURST, 1.0 / OBJECT_REFILL_S)
            && self.global.take(now, GLOBAL_BURST, GLOBAL_PER_S);
        if !granted {
            return None;
        }
        let (name, count) = match &seen.last {
            Some((r, m, name, count)) if r == reason && m == message => (name.clone(), count + 1),
            _ => (fresh, 1),
        };
        seen.last = Some((reason.to_owned(), message.to_owned(), name.clone(), count));
        Some((name, count))
    }
}

/// The time as Kubernetes' `Time` wants it.
fn rfc3339(at: WallMs) -> String {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    let time = k8s_openapi::jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
