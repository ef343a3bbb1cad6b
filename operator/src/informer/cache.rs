//! The latest known state of every watched object, and which of them changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use futures::future::poll_fn;
use rynxs_core::ids::{Kind, ObjectRef, Uid};
use serde_json::Value;

use super::entry::{Entry, Project};
use crate::kube::Selection;
use crate::observe::{Observer, Queue, Signal};

/// Shared by the reflectors, which fill it, and the leader's loop, which reads it.
///
/// An entry only ever moves forward: an event with a version at or below the entry's is a
/// duplicate or a late one. The queue holds each object at most once, so it is bounded by the
/// number of objects.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Mutex<Inner>>,
    project: Project,
    observer: Arc<dyn Observer>,
}

#[derive(Default)]
struct Inner {
    entries: BTreeMap<ObjectRef, Entry>,
    changed: BTreeSet<ObjectRef>,
    /// Selections that were listed at least once.
    listed: Vec<Selection>,
    waker: Option<Waker>,
}

impl Cache {
    /// An empty cache; `project` hashes the fields that we own.
    #[must_use]
    pub fn new(project: Project, observer: Arc<dyn Observer>) -> Self {
        Self { inner: Arc::default(), project, observer }
    }

    /// Reads a live object as the cache would keep it.
    #[must_use]
    pub fn read(&self, kind: Kind, live: &Value) -> Option<(ObjectRef, Entry)> {
        Entry::read(kind, live, self.project)
    }

    /// The object as last seen.
    #[must_use]
    pub fn get(&self, object: &ObjectRef) -> Option<Entry> {
        self.lock().entries.get(object).cloned()
    }

    /// Looks at all entries at once.
    pub fn with<R>(&self, look: impl FnOnce(&BTreeMap<ObjectRef, Entry>) -> R) -> R {
        look(&self.lock().entries)
    }

    /// Whether every one of these selections was listed at least once.
    #[must_use]
    pub fn is_listed(&self, selections: &[Selection]) -> bool {
        let inner = self.lock();
        selections.iter().all(|selection| inner.listed.contains(selection))
    }

    /// Takes in a consistent list of a selection: what it lacks is gone, unless it was written
    /// after the list was made.
    pub fn replace(&self, selection: &Selection, items: Vec<(ObjectRef, Entry)>, version: u64) {
        let mut inner = self.lock();
        let listed: BTreeSet<&ObjectRef> = items.iter().map(|(object, _)| object).collect();
        let gone: Vec<ObjectRef> = inner
            .entries
            .iter()
            .filter(|(object, entry)| {
                covers(selection, object) && entry.version <= version && !listed.contains(object)
            })
            .map(|(object, _)| object.clone())
            .collect();
        for object in gone {
            inner.entries.remove(&object);
            inner.changed.insert(object);
        }
        for (object, entry) in items {
            inner.take(object, entry);
        }
        if !inner.listed.contains(selection) {
            inner.listed.push(selection.clone());
        }
        self.tell(inner);
    }

    /// Takes in an added or modified object from a watch.
    pub fn applied(&self, object: ObjectRef, entry: Entry) {
        let mut inner = self.lock();
        if inner.take(object, entry) {
            self.tell(inner);
        }
    }

    /// Takes in a deletion from a watch; `version` is that of the deletion.
    pub fn deleted(&self, object: &ObjectRef, uid: &Uid, version: u64) {
        let mut inner = self.lock();
        let known = inner.entries.get(object);
        if known.is_some_and(|entry| entry.uid == *uid && entry.version <= version) {
            inner.entries.remove(object);
            inner.changed.insert(object.clone());
            self.tell(inner);
        }
    }

    /// Takes in the answer to a read or write of our own, without queueing the object: whoever
    /// asked knows. Returns it as kept.
    pub fn answered(&self, kind: Kind, live: &Value) -> Option<Entry> {
        let (object, entry) = self.read(kind, live)?;
        let mut inner = self.lock();
        let newer = inner.entries.get(&object).is_none_or(|known| known.version < entry.version);
        if newer {
            inner.entries.insert(object, entry.clone());
        }
        Some(entry)
    }

    /// Takes in that a fresh read found no object, or another incarnation than `uid`.
    pub fn gone(&self, object: &ObjectRef, uid: &Uid) {
        let mut inner = self.lock();
        if inner.entries.get(object).is_some_and(|entry| entry.uid == *uid) {
            inner.entries.remove(object);
        }
    }

    /// Queues an object to be looked at again.
    pub fn touch(&self, object: ObjectRef) {
        let mut inner = self.lock();
        inner.changed.insert(object);
        self.tell(inner);
    }

    /// Queues everything to be looked at again.
    pub fn touch_all(&self) {
        let mut inner = self.lock();
        let all: Vec<ObjectRef> = inner.entries.keys().cloned().collect();
        inner.changed.extend(all);
        self.tell(inner);
    }

    /// The next object that changed, Agents and Sessions before what they own; waits for one.
    pub async fn changed(&self) -> ObjectRef {
        let (object, left) = poll_fn(|context| {
            let mut inner = self.lock();
            match inner.changed.pop_first() {
                Some(object) => Poll::Ready((object, inner.changed.len())),
                None => {
                    inner.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        self.observer.signal(Signal::QueueDepth(Queue::Watch, left));
        object
    }

    /// How many selections were listed at least once.
    #[must_use]
    pub fn lists(&self) -> usize {
        self.lock().listed.len()
    }

    /// Ends when more than `known` selections were listed: a list without any object changes
    /// nothing else, and may be the last that somebody waits for. To be polled by the task that
    /// polls [`Cache::changed`].
    pub async fn listed_beyond(&self, known: usize) {
        poll_fn(|context| {
            let mut inner = self.lock();
            if inner.listed.len() > known {
                return Poll::Ready(());
            }
            inner.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Whether no object waits to be looked at.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.lock().changed.is_empty()
    }

    fn tell(&self, mut inner: MutexGuard<'_, Inner>) {
        let depth = inner.changed.len();
        let waker = inner.waker.take();
        drop(inner);
        self.observer.signal(Signal::QueueDepth(Queue::Watch, depth));
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change below is a few map operations that leave the maps whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Stores a newer state; says whether a reader should look.
    fn take(&mut self, object: ObjectRef, entry: Entry) -> bool {
        let known = self.entries.get(&object);
        if known.is_some_and(|known| known.version >= entry.version) {
            return false;
        }
        let worth = known.is_none_or(|known| !known.same_facts(&entry));
        if worth {
            self.changed.insert(object.clone());
        }
        self.entries.insert(object, entry);
        worth
    }
}

fn covers(selection: &Selection, object: &ObjectRef) -> bool {
    selection.kind == object.kind
        && selection.namespace.as_ref().is_none_or(|namespace| *namespace == object.key.namespace)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt;
    use rynxs_core::ids::Hash;
    use serde_json::json;

    use super::*;
    use crate::observe::Silent;

    fn cache() -> Cache {
        Cache::new(|_, _| Hash::ZERO, Arc::new(Silent))
    }

    fn agents() -> Selection {
        Selection { kind: Kind::Agent, namespace: None }
    }

    fn agent(name: &str, uid: &str, version: u64, generation: i64) -> (ObjectRef, Entry) {
        let live = json!({"metadata": {
            "name": name, "namespace": "n", "uid": uid,
            "resourceVersion": version.to_string(), "generation": generation
        }});
        Entry::read(Kind::Agent, &live, |_, _| Hash::ZERO).expect("a stored object")
    }

    fn drain(cache: &Cache) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(object) = cache.changed().now_or_never() {
            names.push(object.key.name);
        }
        names
    }

    #[test]
    fn duplicates_and_late_events_change_nothing() {
        let cache = cache();
        let (object, new) = agent("a", "u", 9, 2);
        cache.applied(object.clone(), new.clone());
        assert_eq!(drain(&cache), ["a"]);
        cache.applied(object.clone(), new);
        cache.applied(object.clone(), agent("a", "u", 5, 1).1);
        assert!(drain(&cache).is_empty());
        assert_eq!(cache.get(&object).map(|entry| entry.version), Some(9));
    }

    #[test]
    fn a_slow_reader_sees_each_object_once_in_its_latest_state() {
        let cache = cache();
        for version in 1..50 {
            let (object, entry) = agent("a", "u", version, version.cast_signed());
            cache.applied(object, entry);
        }
        assert_eq!(drain(&cache), ["a"]);
    }

    #[test]
    fn a_new_version_without_new_facts_wakes_nobody() {
        let cache = cache();
        let (object, entry) = agent("a", "u", 1, 1);
        cache.applied(object.clone(), entry);
        drain(&cache);
        cache.applied(object.clone(), agent("a", "u", 2, 1).1);
        assert!(drain(&cache).is_empty());
        assert_eq!(cache.get(&object).map(|entry| entry.version), Some(2));
    }

    #[test]
    fn a_deletion_is_seen_by_the_difference_of_two_lists() {
        let cache = cache();
        cache.replace(&agents(), vec![agent("a", "u", 1, 1), agent("b", "v", 2, 1)], 5);
        assert_eq!(drain(&cache), ["a", "b"]);
        cache.replace(&agents(), vec![agent("b", "v", 2, 1)], 9);
        assert_eq!(drain(&cache), ["a"]);
        assert!(cache.get(&ObjectRef::new(Kind::Agent, "n", "a")).is_none());
    }

    #[test]
    fn a_list_does_not_take_away_what_was_written_after_it_was_made() {
        let cache = cache();
        let (object, entry) = agent("new", "u", 12, 1);
        cache.applied(object.clone(), entry);
        cache.replace(&agents(), Vec::new(), 10);
        assert!(cache.get(&object).is_some());
    }

    #[test]
    fn a_late_deletion_of_an_earlier_incarnation_does_not_delete_the_new_one() {
        let cache = cache();
        let (object, entry) = agent("a", "second", 20, 1);
        cache.applied(object.clone(), entry);
        cache.deleted(&object, &"first".into(), 15);
        assert!(cache.get(&object).is_some());
        cache.deleted(&object, &"second".into(), 21);
        assert!(cache.get(&object).is_none());
    }
}
