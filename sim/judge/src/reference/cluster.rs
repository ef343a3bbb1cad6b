//! The cluster as its API server has it, and the first thing in it that is not as people want it
//! (I8).
//!
//! Fed with every write; what a write concerns is looked at again only then, so asking often is
//! cheap. What an Agent and a Session want is in `agent.rs` and `session.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::agent;
use super::names::{
    RETAINED_FOR, STAMP, annotation, children_of, generation, is_deleting, is_held, is_labelled,
    is_managed, kind_of, owner_uid, parts, subject_of, uid_of,
};
use super::session;
use crate::event::Head;
use crate::history::ObjectWrite;

/// The live objects that matter, and what is not as desired of them.
#[derive(Clone, Debug)]
pub struct Cluster {
    operator: String,
    namespaces: Vec<String>,
    pub(super) settings: Value,
    pub(super) live: BTreeMap<String, Arc<Value>>,
    /// Earlier specs of living Agents by uid, newest last, without repetition.
    pub(super) earlier: BTreeMap<String, Vec<Arc<Value>>>,
    /// Objects whose content the server refused since the operator last wrote them.
    pub(super) refused: BTreeSet<String>,
    /// Sessions by the Agent that they name.
    pub(super) sessions: BTreeMap<String, BTreeSet<String>>,
    /// Sessions that were started and have not ended, by Agent.
    pub(super) running: BTreeMap<String, BTreeSet<String>>,
    dirty: BTreeSet<String>,
    /// What is not as desired, by subject or by object that nothing wants.
    open: BTreeMap<String, String>,
    /// Subjects that time alone may change.
    wakes: BTreeSet<(u64, String)>,
}

/// What looking at a subject said.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// The first thing that is not as desired.
    pub(super) missing: Option<String>,
    /// When to look again although nothing was written, Unix milliseconds.
    pub(super) wake_ms: Option<u64>,
}

impl Look {
    pub(super) fn missing(what: impl Into<String>) -> Self {
        Self { missing: Some(what.into()), wake_ms: None }
    }
}

impl Cluster {
    /// An empty cluster; of the head only operator, namespaces and settings are read.
    #[must_use]
    pub fn new(head: &Head) -> Self {
        Self {
            operator: head.operator.clone(),
            namespaces: head.namespaces.clone(),
            settings: head.settings.clone(),
            live: BTreeMap::new(),
            earlier: BTreeMap::new(),
            refused: BTreeSet::new(),
            sessions: BTreeMap::new(),
            running: BTreeMap::new(),
            dirty: BTreeSet::new(),
            open: BTreeMap::new(),
            wakes: BTreeSet::new(),
        }
    }

    /// Number of living Agents and Sessions.
    #[must_use]
    pub fn subjects(&self) -> u64 {
        let subject = |object: &&String| matches!(kind_of(object), "Agent" | "Session");
        self.live.keys().filter(subject).count() as u64
    }

    /// Takes in one attempt to write.
    pub fn apply(&mut self, write: &ObjectWrite) {
        let Some((kind, namespace, _)) = parts(&write.object) else { return };
        let subject = matches!(kind, "Agent" | "Session");
        let watched = self.namespaces.is_empty() || self.namespaces.iter().any(|n| n == namespace);
        if !watched || !(subject || is_managed(&write.object)) {
            return;
        }
        if write.user == self.operator && !subject {
            if write.took_effect() {
                self.refused.remove(&write.object);
            } else if matches!(write.status, 400 | 413 | 422) {
                self.refused.insert(write.object.clone());
                self.touch(&write.object);
            }
        }
        if !write.took_effect() {
            return;
        }
        // What a claim refused before it was bound, it may take now.
        let bound = |value: &Value| value.pointer("/status/phase").is_some_and(|it| it == "Bound");
        let was_bound = self.live.get(&write.object).is_some_and(|value| bound(value));
        if kind == "PersistentVolumeClaim"
            && !was_bound
            && write.value.as_deref().is_some_and(bound)
        {
            self.refused.remove(&write.object);
        }
        if write.removed {
            self.remove(&write.object);
        } else if let Some(value) = &write.value {
            self.put(&write.object, value);
        }
    }

    /// From now on decisions read these settings, as an `EpochStarted` says.
    pub fn decide_by(&mut self, settings: &Value) {
        if self.settings != *settings {
            self.settings = settings.clone();
            self.dirty.extend(self.live.keys().filter(|object| is_subject(object)).cloned());
        }
    }

    /// The first thing that is not as desired at this time of the wall; none if all is.
    pub fn missing(&mut self, now_wall_ms: u64) -> Option<String> {
        while let Some((due_ms, subject)) = self.wakes.first().cloned() {
            if due_ms > now_wall_ms {
                break;
            }
            self.wakes.pop_first();
            self.dirty.insert(subject);
        }
        while let Some(subject) = self.dirty.pop_first() {
            let look = self.look(&subject, now_wall_ms);
            if let Some(wake_ms) = look.wake_ms {
                self.wakes.insert((wake_ms, subject.clone()));
            }
            match look.missing {
                Some(missing) => self.open.insert(subject, missing),
                None => self.open.remove(&subject),
            };
        }
        self.open.iter().next().map(|(subject, why)| format!("{subject}: {why}"))
    }

    fn look(&self, subject: &str, now_ms: u64) -> Look {
        match self.live.get(subject) {
            // What belongs to it goes with it.
            Some(value) if is_deleting(value) && is_subject(subject) => Look::default(),
            Some(value) if kind_of(subject) == "Agent" => agent::look(self, subject, value),
            Some(value) if kind_of(subject) == "Session" => {
                session::look(self, subject, value, now_ms)
            }
            Some(value) if subject_of(subject).is_none() => self.look_at_stray(subject, value),
            None if is_subject(subject) => {
                let left = children_of(subject).into_iter().find_map(|child| {
                    let value = self.live.get(&child)?;
                    self.look_at_stray(&child, value).missing
                });
                Look { missing: left, wake_ms: None }
            }
            _ => Look::default(),
        }
    }

    /// An object that belongs to nobody who lives. One whose label a person took away is theirs.
    fn look_at_stray(&self, object: &str, value: &Value) -> Look {
        let kept = kind_of(object) == "PersistentVolumeClaim"
            && annotation(value, RETAINED_FOR).is_some()
            && owner_uid(value).is_none();
        let held = is_deleting(value) && is_held(value);
        if annotation(value, STAMP).is_none() || !is_labelled(value) || kept || held {
            Look::default()
        } else {
            Look::missing(format!("{object} is there, and nothing wants it"))
        }
    }

    fn put(&mut self, object: &str, value: &Arc<Value>) {
        let before = self.live.insert(object.to_owned(), Arc::clone(value));
        let uid = uid_of(value);
        match kind_of(object) {
            "Agent" => {
                let old = before.as_ref().map(|before| uid_of(before));
                if let Some(old) = old.filter(|old| *old != uid) {
                    self.earlier.remove(old);
                }
                let specs = self.earlier.entry(uid.to_owned()).or_default();
                if specs.last().is_none_or(|last| generation(last) != generation(value)) {
                    specs.push(Arc::clone(value));
                }
            }
            "Session" => {
                if let Some(agent) = session::agent_of(object, value) {
                    self.sessions.entry(agent).or_default().insert(object.to_owned());
                }
            }
            _ => {}
        }
        self.touch(object);
    }

    fn remove(&mut self, object: &str) {
        let Some(value) = self.live.remove(object) else { return };
        self.refused.remove(object);
        match kind_of(object) {
            "Agent" => {
                self.earlier.remove(uid_of(&value));
            }
            "Session" => {
                if let Some(agent) = session::agent_of(object, &value) {
                    self.sessions.entry(agent.clone()).or_default().remove(object);
                    self.set_running(&agent, object, false);
                }
            }
            _ => {}
        }
        self.touch(object);
    }

    /// Whatever depends on this object is to be looked at again.
    fn touch(&mut self, object: &str) {
        let owner = if is_subject(object) { None } else { subject_of(object) };
        let subject = owner.unwrap_or_else(|| object.to_owned());
        if kind_of(&subject) == "Session"
            && let Some(value) = self.live.get(&subject)
            && let Some(agent) = session::agent_of(&subject, value)
        {
            let runs = session::is_running(self, &subject, value);
            self.set_running(&agent, &subject, runs);
        }
        if kind_of(object) == "Agent" {
            self.touch_sessions(object);
        }
        self.dirty.insert(subject);
    }

    fn touch_sessions(&mut self, agent: &str) {
        self.dirty.extend(self.sessions.get(agent).into_iter().flatten().cloned());
    }

    /// A place that is taken or free again concerns those who wait.
    fn set_running(&mut self, agent: &str, session: &str, runs: bool) {
        let running = self.running.entry(agent.to_owned()).or_default();
        let changed =
            if runs { running.insert(session.to_owned()) } else { running.remove(session) };
        if changed {
            self.touch_sessions(agent);
        }
    }
}

fn is_subject(object: &str) -> bool {
    matches!(kind_of(object), "Agent" | "Session")
}

/// A condition of a status: whether it holds, and why.
pub(super) fn condition<'a>(value: &'a Value, kind: &str) -> Option<(bool, &'a str)> {
    let list = value.get("status")?.get("conditions")?.as_array()?;
    let found = list.iter().find(|condition| condition["type"] == kind)?;
    Some((found["status"] == "True", found["reason"].as_str().unwrap_or_default()))
}

/// Whether a condition says what it should; what it says otherwise.
pub(super) fn expect(value: &Value, kind: &str, holds: bool) -> Result<(), String> {
    match condition(value, kind) {
        Some((found, _)) if found == holds => Ok(()),
        Some((found, reason)) => {
            Err(format!("condition {kind} is {found} ({reason}) instead of {holds}"))
        }
        None => Err(format!("condition {kind} is not there instead of {holds}")),
    }
}

/// Whether the status is about the newest spec.
pub(super) fn expect_status(value: &Value) -> Result<(), String> {
    let seen = value.pointer("/status/observedGeneration").and_then(Value::as_i64);
    let generation = generation(value);
    if seen != Some(generation) {
        return Err(format!("status is about generation {seen:?} instead of {generation}"));
    }
    match value.pointer("/status/controllerEpoch").and_then(Value::as_u64) {
        Some(_) => Ok(()),
        None => Err("status has no controllerEpoch".into()),
    }
}
