//! Everything behind the lock, and what the built-in controllers may do with it.

use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::{LoadError, Options, User, Views};
use crate::admission::Policies;
use crate::controllers::{self, Controllers};
use crate::expiry::{self, Expiry};
use crate::gc::{self, Collector};
use crate::history::History;
use crate::object::Object;
use crate::rbac::Rbac;
use crate::registry::Registry;
use crate::resource::StorageKey;
use crate::rest;
use crate::store::{Event, Place, Store};
use crate::watch::Clockwork;

/// The longest time between two ticks.
const LONGEST_PAUSE_MS: u64 = 60_000;

/// When the garbage collector tries again what was refused.
const RETRY_MS: u64 = 1_000;

/// A cluster's state.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) options: Options,
    /// The latest time anybody told.
    pub(crate) now_ms: u64,
    pub(crate) registry: Registry,
    pub(crate) store: Store,
    pub(crate) policies: Policies,
    pub(crate) rbac: Rbac,
    pub(crate) history: History,
    pub(crate) collector: Collector,
    /// What the controllers remember; they take it out while they run.
    pub(crate) controllers: Controllers,
    pub(crate) watches: Clockwork,
    pub(crate) views: Views,
    pub(crate) expiry: Expiry,
    /// When changed policies come into force.
    pub(crate) policies_due_ms: Option<u64>,
    /// The newest resourceVersion when the controllers last ran, and when they want to run again.
    ticked: (u64, u64),
    wakers: Vec<Waker>,
}

impl Cluster {
    pub(crate) fn new(options: Options) -> Self {
        let mut cluster = Self {
            now_ms: options.start_ms,
            registry: Registry::new(),
            store: Store::new(options.seed, options.history_window),
            policies: Policies::default(),
            rbac: Rbac::default(),
            history: History::new(options.writes_kept),
            collector: Collector::default(),
            controllers: Controllers::default(),
            watches: Clockwork::default(),
            views: Views::default(),
            expiry: Expiry::default(),
            policies_due_ms: None,
            ticked: (0, options.start_ms),
            wakers: Vec::new(),
            options,
        };
        for name in cluster.options.namespaces.clone() {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            let (code, answer) =
                cluster.call(&User::admin(), Method::POST, "/api/v1/namespaces", Some(&body));
            assert!(code == 201, "namespace {name} cannot be created: {answer:?}");
        }
        cluster
    }

    /// Time never goes back for the server, whatever callers say.
    pub(super) fn advance(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        if self.policies_due_ms.is_some_and(|due_ms| due_ms <= self.now_ms) {
            self.policies_due_ms = None;
            rest::reload_policies(self);
        }
    }

    pub(super) fn tick(&mut self, now_ms: u64) -> u64 {
        self.advance(now_ms);
        expiry::run(self);
        gc::run(self);
        let mut next = self.now_ms + LONGEST_PAUSE_MS;
        if self.options.controllers {
            if let Some(due) = controllers::tick(self, self.now_ms) {
                next = next.min(due);
            }
            gc::run(self);
        }
        if self.watches.is_due(self.now_ms) {
            self.wakers.extend(self.store.all_wakers());
        }
        if self.collector.waits() {
            next = next.min(self.now_ms + RETRY_MS);
        }
        self.ticked = (self.store.rv(), next);
        self.due().max(self.now_ms + 1)
    }

    /// When there is something to do: now if anything was written since the last tick.
    pub(super) fn due(&self) -> u64 {
        if self.collector.has_work() || self.store.rv() != self.ticked.0 {
            return self.now_ms;
        }
        let others = [self.watches.next_due(), self.expiry.next_due(), self.policies_due_ms];
        others.into_iter().flatten().fold(self.ticked.1, u64::min)
    }

    pub(super) fn load(&mut self, objects: &[Value]) -> Result<(), LoadError> {
        for (index, value) in objects.iter().enumerate() {
            if !value.is_null() {
                rest::load(self, value).map_err(|message| LoadError::Refused {
                    document: index + 1,
                    object: format!(
                        "{} {}",
                        value.get("kind").and_then(Value::as_str).unwrap_or("no kind"),
                        crate::object::meta_str(value, "name"),
                    ),
                    message,
                })?;
            }
        }
        Ok(())
    }

    /// Wakers of watches that have something to read.
    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers)
    }

    /// Stores or removes an object; see [`Store::commit`].
    pub(crate) fn commit(&mut self, place: &Place, value: Option<Value>) -> Arc<Object> {
        let (object, wakers) = self.store.commit(&place.0, &place.1, value);
        self.wakers.extend(wakers);
        object
    }

    /// Sends a request as somebody, through the whole path of authorisation, defaulting,
    /// validation and policies; returns the status code and the answer.
    ///
    /// A PATCH is a merge patch.
    pub(crate) fn call(
        &mut self,
        user: &User,
        method: Method,
        path_and_query: &str,
        body: Option<&Value>,
    ) -> (u16, Bytes) {
        let bytes = body.map_or_else(Bytes::new, |b| {
            Bytes::from(serde_json::to_vec(b).expect("a JSON value always serialises"))
        });
        rest::call(self, user, &method, path_and_query, bytes)
    }

    /// All objects of a resource, in order of namespace and name.
    pub(crate) fn objects(&self, group: &str, plural: &str) -> Vec<Arc<Object>> {
        self.store
            .collection(&StorageKey::new(group, plural))
            .map(|c| c.iter().map(|(_, o)| Arc::clone(o)).collect())
            .unwrap_or_default()
    }

    /// One object.
    pub(crate) fn object(
        &self,
        group: &str,
        plural: &str,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Object>> {
        let key = (namespace.to_owned(), name.to_owned());
        self.store.get(&StorageKey::new(group, plural), &key).map(Arc::clone)
    }

    /// What happened to a resource after `rv`; `None` if that is too long ago to know.
    pub(crate) fn changes(&self, group: &str, plural: &str, rv: u64) -> Option<Vec<Event>> {
        match self.store.collection(&StorageKey::new(group, plural)) {
            None => Some(Vec::new()),
            Some(collection) => collection.events_after(rv).map(|all| all.cloned().collect()),
        }
    }
}
