//! Watches: an initial state, if asked for, and then every event, until a deadline.
//!
//! Invariant: a watch from resourceVersion `v` delivers exactly the events after `v`, in order, or
//! ends; it never skips one. One item of the stream is one event.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use serde_json::{Value, json};

use crate::convert;
use crate::object::{Object, set_meta};
use crate::request::{Form, Query};
use crate::resource::ResourceInfo;
use crate::rest::Call;
use crate::selector::Selector;
use crate::server::Cluster;
use crate::status_error::{ApiError, Cause};
use crate::store::{Event, EventKind};
use crate::table;

/// When which watch wants to be polled again though nothing happened.
#[derive(Debug, Default)]
pub(crate) struct Clockwork {
    next_id: u64,
    due: BTreeSet<(u64, u64)>,
    by_id: BTreeMap<u64, u64>,
}

impl Clockwork {
    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn schedule(&mut self, id: u64, due_ms: u64) {
        self.cancel(id);
        self.due.insert((due_ms, id));
        self.by_id.insert(id, due_ms);
    }

    fn cancel(&mut self, id: u64) {
        if let Some(due_ms) = self.by_id.remove(&id) {
            self.due.remove(&(due_ms, id));
        }
    }

    /// The earliest deadline or bookmark.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }

    /// Whether some watch is to be woken.
    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        self.next_due().is_some_and(|due_ms| due_ms <= now_ms)
    }

    /// How many watches are open.
    pub(crate) fn open(&self) -> usize {
        self.by_id.len()
    }
}

/// What a watch shows, and how.
struct Lens {
    info: Arc<ResourceInfo>,
    namespace: String,
    selector: Selector,
    form: Form,
    include_object: String,
}

/// One watch.
pub(crate) struct Watch {
    id: u64,
    shared: Arc<Mutex<Cluster>>,
    view: u32,
    lens: Lens,
    /// Events up to here are delivered.
    cursor: u64,
    initial: VecDeque<Bytes>,
    deadline_ms: u64,
    bookmarks: bool,
    next_bookmark_ms: u64,
    ended: bool,
}

/// Where a watch reads: the cluster, through one of its API servers.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) shared: &'a Arc<Mutex<Cluster>>,
    pub(crate) view: u32,
}

/// Opens a watch. Malformed requests fail; a resourceVersion that is too old is the first event.
pub(crate) fn open(
    call: &mut Call<'_>,
    source: Source<'_>,
    selector: Selector,
) -> Result<Watch, ApiError> {
    let (query, cluster) = (&call.query, &mut *call.cluster);
    let lens = Lens {
        info: Arc::clone(&call.target.info),
        namespace: call.target.namespace.clone(),
        selector,
        form: call.form,
        include_object: query.get("includeObject").to_owned(),
    };
    let initial_wanted = check_initial(query)?;
    let timeout_ms = match query.number("timeoutSeconds") {
        Ok(Some(seconds)) if seconds > 0 => seconds.saturating_mul(1000),
        _ => cluster.options.watch_timeout_ms,
    };
    let requested = query.number("resourceVersion").map_err(|mut error| {
        // The layer that parses it for watches does not say what went wrong.
        (error.code, error.reason) = (500, String::new());
        error
    })?;
    let seen = cluster.seen(source.view);
    let mut watch = Watch {
        id: cluster.watches.new_id(),
        shared: Arc::clone(source.shared),
        view: source.view,
        lens,
        cursor: seen,
        initial: VecDeque::new(),
        deadline_ms: cluster.now_ms.saturating_add(timeout_ms),
        bookmarks: query.flag("allowWatchBookmarks"),
        next_bookmark_ms: cluster.now_ms.saturating_add(cluster.options.bookmark_every_ms),
        ended: false,
    };
    match requested {
        _ if initial_wanted == Some(true) => {
            watch.start_with_state(cluster);
            if watch.bookmarks {
                let end = watch.bookmark(watch.cursor, true);
                watch.initial.push_back(end);
            }
        }
        // `sendInitialEvents=false` without a resourceVersion starts now.
        None | Some(0) if initial_wanted == Some(false) => {}
        None | Some(0) => watch.start_with_state(cluster),
        Some(rv) => watch.start_at(cluster, rv),
    }
    cluster.watches.schedule(watch.id, watch.due_ms());
    Ok(watch)
}

/// Validates `sendInitialEvents` (KEP-3157) and returns it.
fn check_initial(query: &Query) -> Result<Option<bool>, ApiError> {
    let wanted = query.flag_if_given("sendInitialEvents");
    let matching = query.get("resourceVersionMatch");
    let mut causes = Vec::new();
    match wanted {
        Some(_) if matching != "NotOlderThan" => causes.push(Cause::forbidden(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        )),
        None if !matching.is_empty() => causes.push(Cause::forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        )),
        _ => {}
    }
    if causes.is_empty() {
        Ok(wanted)
    } else {
        Err(ApiError::invalid_kind("meta.k8s.io", "ListOptions", "", &causes))
    }
}

fn line(kind: &str, object: &[u8]) -> Bytes {
    let mut text = Vec::with_capacity(object.len() + 32);
    text.extend_from_slice(b"{\"type\":\"");
    text.extend_from_slice(kind.as_bytes());
    text.extend_from_slice(b"\",\"object\":");
    text.extend_from_slice(object);
    text.extend_from_slice(b"}\n");
    Bytes::from(text)
}

fn to_bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("a JSON value always serialises")
}

impl Lens {
    fn shows(&self, object: &Object) -> bool {
        if !self.namespace.is_empty() && object.namespace() != self.namespace {
            return false;
        }
        self.selector.is_everything()
            || self.selector.matches(&self.info, &convert::from_storage(&self.info, &object.value))
    }

    fn print(&self, kind: &str, object: &Object, now_ms: u64) -> Bytes {
        match self.form {
            Form::Object => line(kind, &convert::bytes(&self.info, object)),
            Form::Table => {
                let shown = convert::from_storage(&self.info, &object.value);
                let table = table::render(&self.info, &shown, now_ms, &self.include_object);
                line(kind, &to_bytes(&table))
            }
            Form::Metadata => {
                let partial = json!({
                    "apiVersion": "meta.k8s.io/v1",
                    "kind": "PartialObjectMetadata",
                    "metadata": object.value["metadata"],
                });
                line(kind, &to_bytes(&partial))
            }
        }
    }

    /// What an event is for this watch, if it is anything.
    fn event(&self, event: &Event, now_ms: u64) -> Option<Bytes> {
        if !self.namespace.is_empty() && event.key.0 != self.namespace {
            return None;
        }
        let before = event.prev.as_ref().is_some_and(|o| self.shows(o));
        let after = event.kind != EventKind::Deleted && self.shows(&event.object);
        match (before, after) {
            (false, false) => None,
            (false, true) => Some(self.print("ADDED", &event.object, now_ms)),
            (true, true) => Some(self.print("MODIFIED", &event.object, now_ms)),
            (true, false) => {
                // The last state that was selected, with the resourceVersion of this event.
                let last = event.prev.as_ref().map(|o| Value::clone(&o.value)).unwrap_or_default();
                Some(self.print("DELETED", &Object::new(last, event.rv), now_ms))
            }
        }
    }
}

impl Watch {
    fn start_with_state(&mut self, cluster: &Cluster) {
        let Some(collection) = cluster.store.collection(&self.lens.info.storage) else { return };
        self.cursor = self.cursor.max(collection.oldest());
        let (now_ms, lens) = (cluster.now_ms, &self.lens);
        let start = (lens.namespace.clone(), String::new());
        let mut add = |object: &Object| {
            if lens.shows(object) {
                self.initial.push_back(lens.print("ADDED", object, now_ms));
            }
        };
        if self.cursor == cluster.store.rv() {
            collection.range(&start).for_each(|(_, object)| add(object));
        } else if let Some(then) = collection.at(self.cursor, &start) {
            then.values().for_each(|object| add(object));
        }
    }

    fn start_at(&mut self, cluster: &Cluster, rv: u64) {
        self.cursor = rv;
        let Some(collection) = cluster.store.collection(&self.lens.info.storage) else { return };
        if rv < collection.oldest() {
            let message = format!(
                "too old resource version: {rv} ({})",
                collection.oldest().saturating_add(1)
            );
            let status = ApiError::expired(message).to_status();
            self.initial.push_back(line("ERROR", &to_bytes(&status)));
            self.ended = true;
        }
    }

    fn bookmark(&self, rv: u64, initial_end: bool) -> Bytes {
        let mut object = json!({
            "kind": self.lens.info.kind,
            "apiVersion": self.lens.info.api_version(),
            "metadata": {"resourceVersion": rv.to_string()},
        });
        if initial_end {
            let annotations = json!({"k8s.io/initial-events-end": "true"});
            set_meta(&mut object, "annotations", annotations);
        }
        line("BOOKMARK", &to_bytes(&object))
    }

    fn due_ms(&self) -> u64 {
        if self.bookmarks { self.deadline_ms.min(self.next_bookmark_ms) } else { self.deadline_ms }
    }

    /// The next item, `Err(())` at the end, `Ok(None)` if there is nothing yet.
    fn next(&mut self, cluster: &mut Cluster) -> Result<Option<Bytes>, ()> {
        if let Some(item) = self.initial.pop_front() {
            return Ok(Some(item));
        }
        if self.ended {
            return Err(());
        }
        if let Some(collection) = cluster.store.collection(&self.lens.info.storage) {
            // A watch that fell behind the history ends; its client starts over and gets 410.
            let events = collection.events_after(self.cursor).ok_or(())?;
            let seen = cluster.seen(self.view).max(collection.oldest());
            for event in events.take_while(|event| event.rv <= seen) {
                self.cursor = event.rv;
                if let Some(item) = self.lens.event(event, cluster.now_ms) {
                    return Ok(Some(item));
                }
            }
        }
        if self.bookmarks && cluster.now_ms >= self.due_ms() {
            self.next_bookmark_ms =
                cluster.now_ms.saturating_add(cluster.options.bookmark_every_ms);
            self.ended = cluster.now_ms >= self.deadline_ms;
            let rv = cluster.seen(self.view).max(self.cursor);
            return Ok(Some(self.bookmark(rv, false)));
        }
        if cluster.now_ms >= self.deadline_ms {
            return Err(());
        }
        Ok(None)
    }
}

impl Stream for Watch {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let shared = Arc::clone(&self.shared);
        let mut cluster = shared.lock().expect("no request ever panics while it holds the cluster");
        let (poll, old_waker) = match self.next(&mut cluster) {
            Ok(Some(item)) => (Poll::Ready(Some(item)), None),
            Err(()) => {
                self.ended = true;
                (Poll::Ready(None), None)
            }
            Ok(None) => {
                let storage = self.lens.info.storage.clone();
                (Poll::Pending, cluster.store.park(&storage, self.id, cx.waker().clone()))
            }
        };
        let due_ms = self.due_ms();
        cluster.watches.schedule(self.id, due_ms);
        drop(cluster);
        // Dropping a waker may drop a task, and with it another watch, which takes the lock.
        drop(old_waker);
        poll
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // After a panic under the lock there is nothing left to clean up.
        let Ok(mut cluster) = self.shared.lock() else { return };
        cluster.watches.cancel(self.id);
        let waker = cluster.store.unpark(&self.lens.info.storage, self.id);
        drop(cluster);
        drop(waker);
    }
}
