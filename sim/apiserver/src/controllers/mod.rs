//! The small part of Kubernetes' own controllers that matters: Deployments and ReplicaSets get
//! pods, pods start, Jobs end, claims are bound, old Events go away.
//!
//! Why: the operator waits for what they write (replicas that are available, a volume that is
//! bound, a Job that is done), and they write objects that the operator owns, with stale reads
//! and status updates of their own. They are ordinary users: every write goes through
//! authorisation, policies and the compare-and-swap, and never touches a stamp.
//!
//! Deterministic: what changed since the last tick is looked at in the order of kind, namespace
//! and name; time is the tick's. Owners' dependents are collected elsewhere (`gc`).

mod claim;
mod deployment;
mod job;
mod pod;
mod replica_set;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

pub(crate) use claim::PROTECTION as CLAIM_PROTECTION;

use crate::object::{Object, meta, meta_str};
use crate::resource::StorageKey;
use crate::server::Cluster;
use crate::store::EventKind;

/// From a pod's creation, with its claims bound, until it runs.
const START_MS: u64 = 250;
/// From a claim's first use until it is bound.
const BIND_MS: u64 = 100;
/// How long a Job's pod runs, unless it says otherwise, see [`pod`].
const RUN_MS: u64 = 1_500;
/// How long Events are kept.
const EVENT_TTL_MS: u64 = 3_600_000;
/// A chain of writes (Deployment, ReplicaSet, Pod and their statuses back) is shorter than this;
/// what is left waits for the next tick.
const MAX_ROUNDS: usize = 48;

/// What is looked at, in this order: what is owned before its owner, so that all that happens below
/// an owner at one time is one change of its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Claim,
    Pod,
    Job,
    ReplicaSet,
    Deployment,
    Event,
}

impl Kind {
    const ALL: [Kind; 6] =
        [Self::Claim, Self::Pod, Self::Job, Self::ReplicaSet, Self::Deployment, Self::Event];

    /// API group and plural name.
    fn resource(self) -> (&'static str, &'static str) {
        match self {
            Self::Claim => ("", "persistentvolumeclaims"),
            Self::Deployment => ("apps", "deployments"),
            Self::ReplicaSet => ("apps", "replicasets"),
            Self::Job => ("batch", "jobs"),
            Self::Pod => ("", "pods"),
            Self::Event => ("", "events"),
        }
    }

    fn of_owner(kind: &str) -> Option<Self> {
        match kind {
            "Deployment" => Some(Self::Deployment),
            "ReplicaSet" => Some(Self::ReplicaSet),
            "Job" => Some(Self::Job),
            _ => None,
        }
    }
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Subject {
    kind: Kind,
    namespace: String,
    name: String,
}

impl Subject {
    fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// What the controllers remember between ticks.
#[derive(Debug, Default)]
pub(crate) struct Controllers {
    /// Up to which resourceVersion each kind's changes were seen.
    seen: BTreeMap<Kind, u64>,
    /// Who is to be looked at now.
    now: BTreeSet<Subject>,
    /// Who is to be looked at again, and when.
    due: BTreeSet<(u64, Subject)>,
    /// Claims (namespace, name) and the pods that wait for them.
    awaited: BTreeMap<(String, String), BTreeSet<String>>,
    /// When a pod's next step is: by uid.
    steps: BTreeMap<String, u64>,
    /// Up to which resourceVersion all changes were seen.
    seen_all: u64,
    /// The hash of each Deployment's template, by uid, and the generation that has it.
    templates: BTreeMap<String, (i64, String)>,
}

impl Controllers {
    fn wake_at(&mut self, at_ms: u64, subject: &Subject) {
        self.due.insert((at_ms, subject.clone()));
    }

    /// When the next step of this pod or claim is: at the given time, unless it was set before.
    fn step_at(&mut self, uid: &str, at_ms: u64, subject: &Subject) -> u64 {
        let at = *self.steps.entry(uid.to_owned()).or_insert(at_ms);
        self.wake_at(at, subject);
        at
    }

    /// A pod that is gone, or that got all it waited for, wants no claim any more.
    fn forget_waiting(&mut self, namespace: &str, pod: &Object) {
        for claim in pod::claims(&pod.value) {
            let key = (namespace.to_owned(), claim.to_owned());
            if let Some(pods) = self.awaited.get_mut(&key) {
                pods.remove(pod.name());
                if pods.is_empty() {
                    self.awaited.remove(&key);
                }
            }
        }
    }

    fn note_due(&mut self, now_ms: u64) {
        while self.due.first().is_some_and(|(at, _)| *at <= now_ms) {
            self.now.extend(self.due.pop_first().map(|(_, subject)| subject));
        }
    }

    /// All of the first kind that is to be looked at.
    fn take_first(&mut self) -> Vec<Subject> {
        let mut taken = Vec::new();
        let Some(kind) = self.now.first().map(|subject| subject.kind) else { return taken };
        while self.now.first().is_some_and(|subject| subject.kind == kind) {
            taken.extend(self.now.pop_first());
        }
        taken
    }
}

/// Runs every controller once; returns when it wants to run again.
pub(crate) fn tick(cluster: &mut Cluster, now_ms: u64) -> Option<u64> {
    let mut state = std::mem::take(&mut cluster.controllers);
    let mut idle = false;
    for _ in 0..MAX_ROUNDS {
        observe(cluster, &mut state);
        state.note_due(now_ms);
        let subjects = state.take_first();
        idle = subjects.is_empty();
        if idle {
            break;
        }
        for subject in subjects {
            reconcile(cluster, &mut state, &subject, now_ms);
        }
    }
    let due = state.due.first().map(|(at, _)| *at);
    cluster.controllers = state;
    if idle { due } else { Some(now_ms + 1) }
}

/// Notes everybody whom a change since the last look concerns.
fn observe(cluster: &Cluster, state: &mut Controllers) {
    if std::mem::replace(&mut state.seen_all, cluster.store.rv()) == cluster.store.rv() {
        return;
    }
    for kind in Kind::ALL {
        let (group, plural) = kind.resource();
        let seen = state.seen.get(&kind).copied().unwrap_or(0);
        match cluster.changes(group, plural, seen) {
            Some(events) => {
                for event in &events {
                    let gone = event.kind == EventKind::Deleted;
                    concerns(state, kind, &event.object, gone);
                }
                let last = events.last().map_or(seen, |event| event.rv);
                state.seen.insert(kind, last.max(seen));
            }
            None => {
                for object in cluster.objects(group, plural) {
                    concerns(state, kind, &object, false);
                }
                state.seen.insert(kind, cluster.store.rv());
            }
        }
    }
}

fn concerns(state: &mut Controllers, kind: Kind, object: &Object, gone: bool) {
    let namespace = object.namespace();
    if gone {
        state.steps.remove(object.uid());
        state.templates.remove(object.uid());
        if kind == Kind::Pod {
            state.forget_waiting(namespace, object);
            for claim in pod::claims(&object.value) {
                state.now.insert(Subject::new(Kind::Claim, namespace, claim));
            }
        }
    } else {
        state.now.insert(Subject::new(kind, namespace, object.name()));
    }
    if let Some((owner_kind, owner)) = controller(&object.value) {
        state.now.insert(Subject::new(owner_kind, namespace, owner));
    }
    if kind == Kind::Claim {
        let claim = (namespace.to_owned(), object.name().to_owned());
        let waiting = state.awaited.get(&claim).into_iter().flatten();
        state.now.extend(waiting.map(|pod| Subject::new(Kind::Pod, namespace, pod)));
    }
}

/// The owner that controls an object, if it is one of ours.
fn controller(value: &Value) -> Option<(Kind, &str)> {
    let owners = meta(value, "ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|o| o["controller"] == true)?;
    Some((Kind::of_owner(owner["kind"].as_str()?)?, owner["name"].as_str()?))
}

fn reconcile(cluster: &mut Cluster, state: &mut Controllers, subject: &Subject, now_ms: u64) {
    let (group, plural) = subject.kind.resource();
    let Some(object) = cluster.object(group, plural, &subject.namespace, &subject.name) else {
        return;
    };
    match subject.kind {
        Kind::Claim => claim::reconcile(cluster, state, &object, subject, now_ms),
        Kind::Deployment => deployment::reconcile(cluster, state, &object, now_ms),
        Kind::ReplicaSet => replica_set::reconcile(cluster, &object),
        Kind::Job => job::reconcile(cluster, state, &object, subject, now_ms),
        Kind::Pod => pod::reconcile(cluster, state, &object, subject, now_ms),
        Kind::Event => expire_event(cluster, state, &object, subject, now_ms),
    }
}

fn expire_event(
    cluster: &mut Cluster,
    state: &mut Controllers,
    object: &Object,
    subject: &Subject,
    now_ms: u64,
) {
    let until = state.step_at(object.uid(), now_ms + EVENT_TTL_MS, subject);
    if now_ms >= until {
        write::delete(cluster, "kube-apiserver", object, subject.kind);
    }
}

/// Objects of a kind that name this uid as their owner.
fn children(cluster: &Cluster, uid: &str, kind: Kind) -> Vec<Arc<Object>> {
    let (group, plural) = kind.resource();
    let storage = StorageKey::new(group, plural);
    let places = cluster.store.dependents(uid).into_iter().filter(|place| place.0 == storage);
    places.filter_map(|place| cluster.store.get(&place.0, &place.1).cloned()).collect()
}

/// Text at a JSON pointer, empty if there is none.
fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Number at a JSON pointer, zero if there is none.
fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

/// What makes an owner of `object` in what it owns.
fn owner_reference(object: &Object, kind: &str) -> Value {
    let api_version = text(&object.value, "/apiVersion");
    serde_json::json!([{
        "apiVersion": api_version,
        "kind": kind,
        "name": meta_str(&object.value, "name"),
        "uid": object.uid(),
        "controller": true,
        "blockOwnerDeletion": true,
    }])
}

#[cfg(test)]
mod tests;
