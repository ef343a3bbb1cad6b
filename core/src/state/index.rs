//! Derived orders over the sessions: deadlines by time, queues by agent.
//!
//! They make the cost of an event logarithmic in the number of sessions. Derived means: rebuilt
//! from the sessions alone, never written, no part of the digest.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::Timer;
use crate::ids::Key;
use crate::state::{Position, SessionState};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Queue {
    waiting: BTreeSet<(Position, Key)>,
    running: BTreeSet<Key>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    timers: BTreeSet<(u64, Key, Timer)>,
    queues: BTreeMap<Key, Queue>,
    /// The agent of the session that the last event made the state forget: it has room again.
    pub(crate) freed: Option<Key>,
}

impl Index {
    pub(crate) fn insert(&mut self, key: &Key, session: &SessionState) {
        for (timer, due_ms) in session.timers() {
            self.timers.insert((due_ms, key.clone(), timer));
        }
        let agent = session.agent_key(key);
        if session.is_waiting() {
            let entry = (session.first_seen, key.clone());
            self.queues.entry(agent).or_default().waiting.insert(entry);
        } else if session.is_running() {
            self.queues.entry(agent).or_default().running.insert(key.clone());
        }
    }

    pub(crate) fn remove(&mut self, key: &Key, session: &SessionState) {
        for (timer, due_ms) in session.timers() {
            self.timers.remove(&(due_ms, key.clone(), timer));
        }
        let agent = session.agent_key(key);
        if let Some(queue) = self.queues.get_mut(&agent) {
            queue.waiting.remove(&(session.first_seen, key.clone()));
            queue.running.remove(key);
            if queue.waiting.is_empty() && queue.running.is_empty() {
                self.queues.remove(&agent);
            }
        }
    }

    pub(crate) fn timers(&self) -> impl Iterator<Item = (u64, &Key, Timer)> {
        self.timers.iter().map(|(due_ms, key, timer)| (*due_ms, key, *timer))
    }

    pub(crate) fn waiting(&self, agent: &Key) -> impl Iterator<Item = &Key> {
        self.queues.get(agent).into_iter().flat_map(|queue| queue.waiting.iter().map(|(_, k)| k))
    }

    pub(crate) fn running(&self, agent: &Key) -> impl Iterator<Item = &Key> {
        self.queues.get(agent).into_iter().flat_map(|queue| queue.running.iter())
    }

    pub(crate) fn running_count(&self, agent: &Key) -> usize {
        self.queues.get(agent).map_or(0, |queue| queue.running.len())
    }
}
