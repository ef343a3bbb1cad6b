//! The one place where objects live: a global resourceVersion, collections, their history.
//!
//! Invariant: every change of an object goes through [`Store::commit`], which raises the
//! resourceVersion by one and records exactly one event; so a list plus the events after its
//! resourceVersion is always the current state.

mod collection;
mod uid;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::Waker;

use serde_json::Value;

use crate::object::{Object, owner_uids};
use crate::resource::StorageKey;

pub(crate) use collection::{Collection, Event, EventKind};

/// Namespace (empty for cluster-scoped objects) and name.
pub(crate) type Key = (String, String);

/// An object's place in the store.
pub(crate) type Place = (StorageKey, Key);

/// All objects.
#[derive(Debug)]
pub(crate) struct Store {
    rv: u64,
    seed: u64,
    created: u64,
    window: usize,
    collections: BTreeMap<StorageKey, Collection>,
    by_uid: BTreeMap<String, Place>,
    by_owner: BTreeMap<String, BTreeSet<Place>>,
}

impl Store {
    /// An empty store; `window` is how many events each collection remembers.
    pub(crate) fn new(seed: u64, window: usize) -> Self {
        Self {
            // Above 1, which no object may have: an apply with that version only creates.
            rv: 100,
            seed,
            created: 0,
            window,
            collections: BTreeMap::new(),
            by_uid: BTreeMap::new(),
            by_owner: BTreeMap::new(),
        }
    }

    /// The newest resourceVersion.
    pub(crate) fn rv(&self) -> u64 {
        self.rv
    }

    /// A new uid, a function of the seed and how many were made before.
    pub(crate) fn new_uid(&mut self) -> String {
        self.created += 1;
        uid::make(self.seed, self.created)
    }

    /// Characters for `generateName`.
    pub(crate) fn new_suffix(&mut self) -> String {
        self.created += 1;
        uid::suffix(self.seed, self.created)
    }

    /// The collection, if anything was ever stored in it.
    pub(crate) fn collection(&self, storage: &StorageKey) -> Option<&Collection> {
        self.collections.get(storage)
    }

    /// One object.
    pub(crate) fn get(&self, storage: &StorageKey, key: &Key) -> Option<&Arc<Object>> {
        self.collections.get(storage)?.get(key)
    }

    /// The object with this uid.
    pub(crate) fn by_uid(&self, uid: &str) -> Option<&Arc<Object>> {
        let (storage, key) = self.by_uid.get(uid)?;
        self.get(storage, key)
    }

    /// Where the object with this uid lives.
    pub(crate) fn place_of(&self, uid: &str) -> Option<&Place> {
        self.by_uid.get(uid)
    }

    /// Objects that name this uid as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<Place> {
        self.by_owner.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Everything in a namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Place> {
        let mut places = Vec::new();
        for (storage, collection) in &self.collections {
            for (key, _) in collection.in_namespace(namespace) {
                places.push((storage.clone(), key.clone()));
            }
        }
        places
    }

    /// Stores (`Some`) or removes (`None`) an object and returns it as stored, or its last state
    /// with the resourceVersion of the removal.
    pub(crate) fn commit(
        &mut self,
        storage: &StorageKey,
        key: &Key,
        value: Option<Value>,
    ) -> (Arc<Object>, Vec<Waker>) {
        self.rv += 1;
        let rv = self.rv;
        let window = self.window;
        let collection =
            self.collections.entry(storage.clone()).or_insert_with(|| Collection::new(window));
        let prev = collection.get(key).cloned();
        let (kind, object) = match (value, &prev) {
            (Some(value), None) => (EventKind::Added, Object::new(value, rv)),
            (Some(value), Some(_)) => (EventKind::Modified, Object::new(value, rv)),
            (None, Some(last)) => (EventKind::Deleted, Object::new(Value::clone(&last.value), rv)),
            (None, None) => unreachable!("only what exists is removed"),
        };
        let wakers = collection.push(Event {
            rv,
            kind,
            key: key.clone(),
            object: Arc::clone(&object),
            prev: prev.clone(),
        });
        let after = (kind != EventKind::Deleted).then_some(&object);
        self.index(storage, key, prev.as_ref(), after);
        (object, wakers)
    }

    fn index(
        &mut self,
        storage: &StorageKey,
        key: &Key,
        before: Option<&Arc<Object>>,
        after: Option<&Arc<Object>>,
    ) {
        let place = (storage.clone(), key.clone());
        if let Some(object) = before {
            for uid in owner_uids(&object.value) {
                if let Some(places) = self.by_owner.get_mut(uid) {
                    places.remove(&place);
                    if places.is_empty() {
                        self.by_owner.remove(uid);
                    }
                }
            }
            self.by_uid.remove(object.uid());
        }
        if let Some(object) = after {
            for uid in owner_uids(&object.value) {
                self.by_owner.entry(uid.to_owned()).or_default().insert(place.clone());
            }
            self.by_uid.insert(object.uid().to_owned(), place);
        }
    }

    /// Registers a waker of a watch; it is woken by the collection's next event.
    /// Returns the waker that it replaces.
    pub(crate) fn park(&mut self, storage: &StorageKey, id: u64, waker: Waker) -> Option<Waker> {
        let window = self.window;
        self.collections
            .entry(storage.clone())
            .or_insert_with(|| Collection::new(window))
            .park(id, waker)
    }

    /// Forgets a watch and returns its waker.
    pub(crate) fn unpark(&mut self, storage: &StorageKey, id: u64) -> Option<Waker> {
        self.collections.get_mut(storage)?.unpark(id)
    }

    /// Every parked watch, to be woken because time went on.
    pub(crate) fn all_wakers(&mut self) -> Vec<Waker> {
        self.collections.values_mut().flat_map(Collection::take_wakers).collect()
    }

    /// Forgets all events up to and including `rv`: watches and lists from there get 410.
    pub(crate) fn compact(&mut self, rv: u64) {
        for collection in self.collections.values_mut() {
            collection.compact(rv);
        }
    }
}
