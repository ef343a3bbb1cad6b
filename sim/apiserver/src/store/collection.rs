//! One kind's objects, the events that led to them, and the watches that wait for more.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use super::Key;
use crate::object::Object;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// Created.
    Added,
    /// Changed.
    Modified,
    /// Removed.
    Deleted,
}

/// One change of one object.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// The resourceVersion that the change made.
    pub(crate) rv: u64,
    /// What happened.
    pub(crate) kind: EventKind,
    /// Whom it happened to.
    pub(crate) key: Key,
    /// The object after it; for a removal its last state with the removal's resourceVersion.
    pub(crate) object: Arc<Object>,
    /// The object before it.
    pub(crate) prev: Option<Arc<Object>>,
}

/// The objects of one resource.
#[derive(Debug)]
pub(crate) struct Collection {
    objects: BTreeMap<Key, Arc<Object>>,
    events: VecDeque<Event>,
    window: usize,
    /// Events with a resourceVersion up to this are gone.
    compacted: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl Collection {
    pub(super) fn new(window: usize) -> Self {
        Self {
            objects: BTreeMap::new(),
            events: VecDeque::new(),
            window,
            compacted: 0,
            wakers: BTreeMap::new(),
        }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    /// Objects from `start` on, in order of namespace and name.
    pub(crate) fn range<'a>(
        &'a self,
        start: &Key,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Object>)> + use<'a> {
        self.objects.range(start.clone()..)
    }

    /// Objects of one namespace.
    pub(crate) fn in_namespace<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Object>)> {
        self.range(&(namespace.to_owned(), String::new()))
            .take_while(move |(k, _)| k.0 == namespace)
    }

    /// All objects.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Arc<Object>)> {
        self.objects.iter()
    }

    /// The events after `rv`, or `None` if some of them are forgotten.
    pub(crate) fn events_after(&self, rv: u64) -> Option<impl DoubleEndedIterator<Item = &Event>> {
        if rv < self.compacted {
            return None;
        }
        let from = self.events.partition_point(|e| e.rv <= rv);
        Some(self.events.range(from..))
    }

    /// The oldest resourceVersion from which history is complete.
    pub(crate) fn oldest(&self) -> u64 {
        self.compacted
    }

    /// What differs between now and the state at `rv`: keys with their object then.
    fn undo_to(&self, rv: u64) -> Option<BTreeMap<Key, Option<Arc<Object>>>> {
        let mut then = BTreeMap::new();
        for event in self.events_after(rv)?.rev() {
            then.insert(event.key.clone(), event.prev.clone());
        }
        Some(then)
    }

    /// The objects from `start` on as they were at `rv`, in order; `None` if that is forgotten.
    pub(crate) fn at(&self, rv: u64, start: &Key) -> Option<BTreeMap<Key, Arc<Object>>> {
        let undone = self.undo_to(rv)?;
        let mut then: BTreeMap<Key, Arc<Object>> = self
            .range(start)
            .filter(|(key, _)| !undone.contains_key(*key))
            .map(|(key, object)| (key.clone(), Arc::clone(object)))
            .collect();
        let before = undone.into_iter().filter(|(key, _)| key >= start);
        then.extend(before.filter_map(|(key, object)| Some((key, object?))));
        Some(then)
    }

    pub(super) fn push(&mut self, event: Event) -> Vec<Waker> {
        match event.kind {
            EventKind::Added | EventKind::Modified => {
                self.objects.insert(event.key.clone(), Arc::clone(&event.object));
            }
            EventKind::Deleted => {
                self.objects.remove(&event.key);
            }
        }
        self.events.push_back(event);
        while self.events.len() > self.window {
            if let Some(gone) = self.events.pop_front() {
                self.compacted = gone.rv;
            }
        }
        self.take_wakers()
    }

    pub(super) fn compact(&mut self, rv: u64) {
        while self.events.front().is_some_and(|e| e.rv <= rv) {
            self.events.pop_front();
        }
        self.compacted = self.compacted.max(rv);
    }

    pub(super) fn park(&mut self, id: u64, waker: Waker) -> Option<Waker> {
        self.wakers.insert(id, waker)
    }

    pub(super) fn unpark(&mut self, id: u64) -> Option<Waker> {
        self.wakers.remove(&id)
    }

    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers).into_values().collect()
    }
}
