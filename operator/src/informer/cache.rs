//! The latest known state of every watched object, and which of them changed.
//!
//! Two sources fill it. A reflector brings lists and watch events, each selection in the order of
//! its versions. Answers to requests of our own bring states that may be ahead of the reflector,
//! and that may also be arbitrarily late. What keeps the two apart is the version that a reflector
//! has reached: an answer at or below it is history, which the reflector has shown already or knows
//! to be over; an answer above it shows an object that existed then, so whatever ended it since is
//! still to come by the watch or the next list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use futures::future::poll_fn;
use rynxs_core::ids::{Kind, ObjectRef, Uid};
use rynxs_core::names::{MANAGED_BY, MANAGED_BY_VALUE};
use serde_json::Value;

use super::entry::{Entry, Project};
use crate::kube::Selection;
use crate::observe::{Observer, Queue, Signal};

/// Shared by the reflectors, which fill it, and the leader's loop, which reads it.
///
/// **Invariant:** an entry either is what its selection's reflector last showed, or is newer than
/// everything that the reflector has reached; so no entry outlives its object for longer than the
/// watch lags. **Invariant:** whoever changes the facts of an entry queues its object, so an event
/// that is dropped for its version was looked at already.
///
/// The queue holds each object at most once, so it is bounded by the number of objects.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Mutex<Inner>>,
    project: Project,
    observer: Arc<dyn Observer>,
}

#[derive(Default)]
struct Inner {
    entries: BTreeMap<ObjectRef, Entry>,
    /// Objects whose end we know before the reflector does. Each takes the place of an entry and
    /// goes when the reflector catches up, so there are never more than names in use.
    ended: BTreeMap<ObjectRef, Ended>,
    changed: BTreeSet<ObjectRef>,
    /// Selections that were listed at least once.
    listed: Vec<Reached>,
    waker: Option<Waker>,
}

/// An incarnation that exists no more, whatever late events say.
struct Ended {
    uid: Uid,
    /// The newest version seen of it.
    version: u64,
}

/// How far a selection's reflector has come: everything up to this version was taken in.
struct Reached {
    selection: Selection,
    version: u64,
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
        selections.iter().all(|selection| inner.listed.iter().any(|at| at.selection == *selection))
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
        inner.ended.retain(|object, ended| {
            !covers(selection, object) || ended.version > version || listed.contains(object)
        });
        for object in gone {
            inner.entries.remove(&object);
            inner.changed.insert(object);
        }
        for (object, entry) in items {
            inner.take(object, entry);
        }
        match inner.listed.iter_mut().find(|at| at.selection == *selection) {
            Some(at) => at.version = at.version.max(version),
            None => inner.listed.push(Reached { selection: selection.clone(), version }),
        }
        self.tell(inner);
    }

    /// Takes in an added or modified object from a watch.
    pub fn applied(&self, object: ObjectRef, entry: Entry) {
        let mut inner = self.lock();
        inner.reach(&object, entry.version);
        if inner.take(object, entry) {
            self.tell(inner);
        }
    }

    /// Takes in a deletion from a watch; `version` is that of the deletion. The reflector's order
    /// is what counts: a newer entry of the same incarnation is one that left the selection.
    pub fn deleted(&self, object: &ObjectRef, uid: &Uid, version: u64) {
        let mut inner = self.lock();
        inner.reach(object, version);
        if inner.ended.get(object).is_some_and(|ended| ended.uid == *uid) {
            inner.ended.remove(object);
        }
        if inner.entries.get(object).is_some_and(|entry| entry.uid == *uid) {
            inner.entries.remove(object);
            inner.changed.insert(object.clone());
            self.tell(inner);
        }
    }

    /// Takes in that a watch has sent everything of a selection up to this version.
    pub fn reached(&self, selection: &Selection, version: u64) {
        let mut inner = self.lock();
        if let Some(at) = inner.listed.iter_mut().find(|at| at.selection == *selection) {
            at.version = at.version.max(version);
        }
    }

    /// Takes in the answer to a read or write of our own, which may be late. Returns what it shows,
    /// kept or not.
    pub fn answered(&self, kind: Kind, live: &Value) -> Option<Entry> {
        let (object, entry) = self.read(kind, live)?;
        let mut inner = self.lock();
        let history = inner.reached(&object).is_some_and(|reached| entry.version <= reached);
        // What no watch shows would never be corrected by one.
        let shown = matches!(kind, Kind::Agent | Kind::Session) || is_selected(live);
        if !history && shown && inner.take(object, entry.clone()) {
            self.tell(inner);
        }
        Some(entry)
    }

    /// Takes in that `uid` exists no more: a fresh read found nothing or another incarnation, or
    /// its deletion was accepted.
    pub fn gone(&self, object: &ObjectRef, uid: &Uid) {
        let mut inner = self.lock();
        if inner.entries.get(object).is_none_or(|entry| entry.uid != *uid) {
            return;
        }
        // It was there, so the reflector has its end still before it.
        if let Some(Entry { uid, version, .. }) = inner.entries.remove(object) {
            inner.ended.insert(object.clone(), Ended { uid, version });
        }
    }

    /// Queues an object to be looked at again.
    pub fn touch(&self, object: ObjectRef) {
        let mut inner = self.lock();
        inner.changed.insert(object);
        self.tell(inner);
    }

    /// Queues everything of a selection to be looked at again.
    pub fn touch_all(&self, selection: &Selection) {
        let mut inner = self.lock();
        let all = inner.entries.keys().filter(|object| covers(selection, object));
        let all: Vec<ObjectRef> = all.cloned().collect();
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
    /// How far the reflector that shows this object has come; none before its first list.
    fn reached(&self, object: &ObjectRef) -> Option<u64> {
        self.listed.iter().find(|at| covers(&at.selection, object)).map(|at| at.version)
    }

    /// Moves on the reflector that shows this object.
    fn reach(&mut self, object: &ObjectRef, version: u64) {
        if let Some(at) = self.listed.iter_mut().find(|at| covers(&at.selection, object)) {
            at.version = at.version.max(version);
        }
    }

    /// Stores a newer state; says whether a reader should look. An entry only ever moves forward.
    fn take(&mut self, object: ObjectRef, entry: Entry) -> bool {
        let ended = self.ended.get(&object);
        if ended.is_some_and(|ended| ended.uid == entry.uid || ended.version >= entry.version) {
            return false;
        }
        // A later incarnation: of the earlier one only events of lower versions can follow.
        self.ended.remove(&object);
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

/// Whether a managed object carries the label by which it is listed and watched.
fn is_selected(live: &Value) -> bool {
    let label = live["metadata"]["labels"].get(MANAGED_BY);
    label.and_then(Value::as_str) == Some(MANAGED_BY_VALUE)
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
        let live = live(name, uid, version, generation);
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

    fn live(name: &str, uid: &str, version: u64, generation: i64) -> Value {
        json!({"metadata": {
            "name": name, "namespace": "n", "uid": uid,
            "resourceVersion": version.to_string(), "generation": generation
        }})
    }

    #[test]
    fn an_answer_from_before_a_seen_deletion_brings_nothing_back() {
        let cache = cache();
        let (object, entry) = agent("a", "u", 5, 1);
        cache.replace(&agents(), vec![(object.clone(), entry)], 5);
        cache.deleted(&object, &"u".into(), 9);
        drain(&cache);
        assert!(cache.answered(Kind::Agent, &live("a", "u", 8, 1)).is_some(), "it is still told");
        assert!(cache.get(&object).is_none());
        // Nor one from before a list that lacks it, or before a bookmark.
        cache.replace(&agents(), Vec::new(), 20);
        cache.answered(Kind::Agent, &live("a", "v", 20, 1));
        cache.reached(&agents(), 30);
        cache.answered(Kind::Agent, &live("a", "w", 30, 1));
        assert!(cache.get(&object).is_none() && drain(&cache).is_empty());
    }

    #[test]
    fn an_answer_ahead_of_the_watch_is_kept_until_the_watch_tells_its_end() {
        let cache = cache();
        let object = ObjectRef::new(Kind::Agent, "n", "a");
        cache.replace(&agents(), Vec::new(), 5);
        cache.answered(Kind::Agent, &live("a", "u", 8, 1));
        assert_eq!(cache.get(&object).map(|entry| entry.version), Some(8));
        cache.deleted(&object, &"u".into(), 9);
        assert!(cache.get(&object).is_none());
    }

    #[test]
    fn what_an_answer_shows_first_is_queued_as_the_watch_will_not_show_it_again() {
        let cache = cache();
        let (object, entry) = agent("a", "u", 5, 1);
        cache.replace(&agents(), vec![(object.clone(), entry)], 5);
        drain(&cache);
        cache.answered(Kind::Agent, &live("a", "u", 7, 2));
        assert_eq!(drain(&cache), ["a"]);
        cache.applied(object, agent("a", "u", 6, 2).1);
        assert!(drain(&cache).is_empty());
    }

    #[test]
    fn late_events_do_not_bring_back_what_we_know_to_be_gone_and_a_later_one_is_seen() {
        let cache = cache();
        let (object, entry) = agent("a", "u", 5, 1);
        cache.replace(&agents(), vec![(object.clone(), entry)], 5);
        cache.gone(&object, &"u".into());
        cache.applied(object.clone(), agent("a", "u", 7, 2).1);
        cache.answered(Kind::Agent, &live("a", "u", 8, 3));
        assert!(cache.get(&object).is_none());
        cache.applied(object.clone(), agent("a", "v", 12, 1).1);
        assert_eq!(cache.get(&object).map(|entry| entry.uid), Some("v".into()));
        cache.applied(object.clone(), agent("a", "u", 9, 4).1);
        assert_eq!(cache.get(&object).map(|entry| entry.uid), Some("v".into()));
    }

    #[test]
    fn what_is_gone_is_remembered_only_until_the_reflector_knows_it() {
        let cache = cache();
        let ended = |cache: &Cache| cache.lock().ended.len();
        let all = |version| ["a", "b", "c"].map(|name| agent(name, name, version, 1)).to_vec();
        cache.replace(&agents(), all(5), 5);
        for name in ["a", "b", "c"] {
            cache.gone(&ObjectRef::new(Kind::Agent, "n", name), &name.into());
        }
        assert_eq!(ended(&cache), 3);
        cache.deleted(&ObjectRef::new(Kind::Agent, "n", "a"), &"a".into(), 8);
        assert_eq!(ended(&cache), 2);
        cache.applied(ObjectRef::new(Kind::Agent, "n", "b"), agent("b", "later", 9, 1).1);
        assert_eq!(ended(&cache), 1);
        cache.replace(&agents(), vec![agent("c", "c", 5, 1)], 10);
        assert_eq!(ended(&cache), 1, "the list is from before its end");
        cache.replace(&agents(), Vec::new(), 11);
        assert_eq!(ended(&cache), 0);
    }

    #[test]
    fn a_managed_object_that_no_watch_shows_is_not_kept() {
        let cache = cache();
        let maps = Selection { kind: Kind::ConfigMap, namespace: None };
        cache.replace(&maps, Vec::new(), 5);
        cache.answered(Kind::ConfigMap, &live("theirs", "u", 7, 0));
        let mut ours = live("ours", "v", 8, 0);
        ours["metadata"]["labels"] = json!({MANAGED_BY: MANAGED_BY_VALUE});
        cache.answered(Kind::ConfigMap, &ours);
        let names = cache.with(|all| all.keys().map(|o| o.key.name.clone()).collect::<Vec<_>>());
        assert_eq!(names, ["ours"]);
    }
}
