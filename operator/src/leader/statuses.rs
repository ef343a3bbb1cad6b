//! Status of Agents and Sessions: written when it differs from what the cluster shows.
//!
//! A subject that becomes ready is written at once; anything less waits a moment, because more is
//! usually about to change, and a status in between is read by nobody. That, and writing only
//! differences, keeps an Agent's way from nothing to Ready at one or two status writes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rynxs_core::ids::{Hash, Kind, ObjectRef, Seq, Uid};
use rynxs_core::record::decode;
use rynxs_core::resource::children;
use rynxs_core::status::{self, LiveAgent, LiveDeployment, LiveJob, LiveSession};
use rynxs_core::time::Mono;
use serde_json::Value;
use tracing::Instrument;

use super::LeaderEnd;
use super::hindrance::TELL_AGAIN;
use super::term::{Done, Term};
use crate::kube::{EventKind, KubeError, StatusWrite};
use crate::leadership::UnderWay;
use crate::observe::{RefusedBy, Signal};
use crate::store::GetOutcome;

/// How long a status that is not final waits for more to change.
const SETTLE: Duration = Duration::from_millis(500);
/// How long a status whose write failed waits.
const AGAIN: Duration = Duration::from_secs(2);
/// How long a status that was refused for its content waits.
const REFUSED_AGAIN: Duration = Duration::from_secs(30);

/// How many records' hashes are at hand: the decisions of the last few seconds of a busy log.
const HASHES_KEPT: usize = 4_096;

/// Which statuses may differ from what the cluster shows. Bounded by the number of subjects.
#[derive(Default)]
pub(super) struct Statuses {
    /// To be compared now.
    dirty: BTreeSet<ObjectRef>,
    /// To be compared at a time.
    due: BTreeSet<(Mono, ObjectRef)>,
    scheduled: BTreeMap<ObjectRef, Mono>,
    /// To be compared when a record is acknowledged: a status never says what the log may forget.
    awaiting: BTreeSet<(Seq, ObjectRef)>,
    /// Whose status is being written, and of which incarnation.
    in_flight: BTreeMap<ObjectRef, Uid>,
    /// Records whose hash is being read, and who wants it.
    hashing: BTreeMap<Seq, BTreeSet<ObjectRef>>,
    /// Statuses that the API server forbids to write, and when people are told again.
    forbidden: BTreeMap<ObjectRef, Mono>,
}

/// A status that is being written.
pub(super) struct StatusSent {
    subject: ObjectRef,
    uid: Uid,
    before: Value,
    after: Value,
    under_way: UnderWay,
}

impl Statuses {
    /// The status of this subject may have to change.
    pub(super) fn mark(&mut self, subject: &ObjectRef) {
        if matches!(subject.kind, Kind::Agent | Kind::Session) {
            self.dirty.insert(subject.clone());
        }
    }

    /// The subject is gone. A write that is under way is one of the past: a later incarnation does
    /// not wait for its answer.
    pub(super) fn forget(&mut self, subject: &ObjectRef) {
        self.dirty.remove(subject);
        self.in_flight.remove(subject);
        self.forbidden.remove(subject);
        self.unschedule(subject);
    }

    fn unschedule(&mut self, subject: &ObjectRef) {
        if let Some(at) = self.scheduled.remove(subject) {
            self.due.remove(&(at, subject.clone()));
        }
    }

    pub(super) fn acknowledge(&mut self, acked: Seq) {
        while self.awaiting.first().is_some_and(|(seq, _)| *seq <= acked) {
            if let Some((_, subject)) = self.awaiting.pop_first() {
                self.dirty.insert(subject);
            }
        }
    }

    pub(super) fn awaited(&self) -> Option<Seq> {
        self.awaiting.first().map(|(seq, _)| *seq)
    }

    pub(super) fn wakes_at(&self) -> Option<Mono> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes what is to be compared: subject, and whether it has waited already.
    fn take(&mut self, now: Mono) -> Vec<(ObjectRef, bool)> {
        let mut taken = Vec::new();
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, subject)) = self.due.pop_first() {
                self.scheduled.remove(&subject);
                self.dirty.remove(&subject);
                taken.push((subject, true));
            }
        }
        let fresh = std::mem::take(&mut self.dirty);
        taken.extend(fresh.into_iter().map(|subject| (subject, false)));
        // What changes while a write is under way is compared after it.
        taken.retain(|(subject, _)| {
            let free = !self.in_flight.contains_key(subject);
            if !free {
                self.dirty.insert(subject.clone());
            }
            free
        });
        taken
    }

    fn schedule(&mut self, subject: ObjectRef, at: Mono) {
        if !self.scheduled.contains_key(&subject) {
            self.scheduled.insert(subject.clone(), at);
            self.due.insert((at, subject));
        }
    }
}

impl Term {
    /// Compares what is dirty and writes what differs.
    pub(super) fn write_statuses(&mut self, now: Mono) {
        if !self.listed {
            return;
        }
        for (subject, waited) in self.statuses.take(now) {
            self.write_status(subject, waited, now);
        }
    }

    fn write_status(&mut self, subject: ObjectRef, waited: bool, now: Mono) {
        // Something about it is under way: its end marks it again. Failures show at once.
        let busy = self.journal.with_state(|state| !state.pending(&subject).is_empty());
        if busy && self.work.failures(&subject) == 0 {
            return;
        }
        if let Some(seq) = self.touched.of(&subject)
            && self.journal.acked().is_none_or(|acked| acked < seq)
        {
            self.statuses.awaiting.insert((seq, subject));
            return;
        }
        let Some((uid, status, before)) = self.status_of(&subject) else { return };
        if status == before {
            self.end_trace(&subject);
            return;
        }
        if !waited && !is_settled(&status) {
            self.statuses.schedule(subject, now + SETTLE);
            return;
        }
        self.statuses.unschedule(&subject);
        let epoch = self.tools.leadership.epoch();
        let trace = self.traces.of(&subject, &*self.tools.kube.ports().entropy);
        let span =
            tracing::info_span!("status", trace_id = %trace, object = %subject, epoch = epoch.0);
        let Ok(under_way) = span.in_scope(|| self.tools.leadership.begin(&subject)) else {
            self.end = Some(LeaderEnd::LeadershipLost);
            return;
        };
        let write = StatusWrite::new(&subject, &uid, epoch, status.clone());
        self.statuses.in_flight.insert(subject.clone(), uid.clone());
        let sent = Box::new(StatusSent { subject, uid, before, after: status, under_way });
        let kube = self.tools.kube.clone();
        let task = async move {
            let result = kube.write_status(&write).await;
            Done::Status(sent, result)
        };
        self.tasks.push(Box::pin(task.instrument(span)));
    }

    /// What the status should say, and what the cluster shows; none while either is unknown.
    fn status_of(&mut self, subject: &ObjectRef) -> Option<(Uid, Value, Value)> {
        let entry = self.tools.cache.get(subject)?;
        let before: Value = serde_json::from_str(&entry.subject()?.status).unwrap_or(Value::Null);
        let (decided, said) = self.journal.with_state(|state| {
            (status::decided_at(state, subject), status::said_at(state, &before))
        });
        let decided_hash = match decided.filter(|seq| said != Some(*seq)) {
            None => None,
            Some(seq) => match self.hashes.get(&seq) {
                Some(hash) => Some(*hash),
                None => {
                    self.ask_hash(seq, subject);
                    return None;
                }
            },
        };
        let previous = (!before.is_null()).then_some(&before);
        let wall = self.tools.kube.ports().clock.wall();
        let hindrance = self.hindrances.of(subject);
        let context = status::Context { previous, decided_hash, hindrance, now: wall };
        let key = &subject.key;
        let child = |object: ObjectRef| {
            self.tools.cache.get(&object)?.managed().map(|m| (m.generation, m.status()))
        };
        let (uid, after) = self.journal.with_state(|state| match subject.kind {
            Kind::Agent => {
                let deployment = child(children::runtime(key))
                    .map(|(generation, live)| LiveDeployment::read(generation, &live));
                let live = LiveAgent { deployment, context };
                Some((state.agent(key)?.uid.clone(), status::agent(state, key, &live)?))
            }
            _ => {
                let job = child(children::run(key)).map(|(_, live)| LiveJob::read(&live));
                let live = LiveSession { job, context };
                Some((state.session(key)?.uid.clone(), status::session(state, key, &live)?))
            }
        })?;
        // Another incarnation is being looked at: its status is not this one's.
        (uid == entry.uid).then_some((uid, after, before))
    }

    /// Remembers the hash of the newest acknowledged record, for `status.logHead`.
    pub(super) fn note_head(&mut self) {
        let (seq, hash) = self.journal.acked_head();
        if self.hashes.insert(seq, hash).is_none() && self.hashes.len() > HASHES_KEPT {
            self.hashes.pop_first();
        }
    }

    /// Reads the hash of a record that is no longer at hand, once for all who want it.
    fn ask_hash(&mut self, seq: Seq, subject: &ObjectRef) {
        let waiting = self.statuses.hashing.entry(seq).or_default();
        waiting.insert(subject.clone());
        if waiting.len() > 1 {
            return;
        }
        let store = self.tools.view.store.clone();
        self.tasks.push(Box::pin(async move {
            let hash = match store.get(seq).await {
                GetOutcome::Found(bytes) => decode(&bytes).ok().map(|record| record.hash),
                _ => None,
            };
            Done::Hash(seq, hash)
        }));
    }

    /// Takes in the hash of a record, or that it could not be read now.
    pub(super) fn hash_read(&mut self, seq: Seq, hash: Option<Hash>) {
        if let Some(hash) = hash {
            self.hashes.insert(seq, hash);
        }
        let again = self.now() + AGAIN;
        for subject in self.statuses.hashing.remove(&seq).unwrap_or_default() {
            match hash {
                Some(_) => self.statuses.mark(&subject),
                None => self.statuses.schedule(subject, again),
            }
        }
    }

    /// Takes in the answer to a status write.
    pub(super) fn status_written(&mut self, sent: StatusSent, result: Result<Value, KubeError>) {
        let StatusSent { subject, uid, before, after, under_way } = sent;
        let subject = &subject;
        if under_way.end().is_err() {
            self.end = Some(LeaderEnd::LeadershipLost);
            return;
        }
        if self.statuses.in_flight.get(subject) != Some(&uid) {
            // It was deleted meanwhile; what is shown of it now, or of a later one, is not ours to
            // change.
            return;
        }
        self.statuses.in_flight.remove(subject);
        match result {
            Ok(live) => {
                // The answer shows edits of others as well: the cache queues what differs.
                self.tools.cache.answered(subject.kind, &live);
                self.statuses.forbidden.remove(subject);
                self.tell_change(subject, &before, &after);
                let trace = self.traces.of(subject, &*self.tools.kube.ports().entropy);
                tracing::debug!(trace_id = %trace, %subject, "status written");
                self.end_trace(subject);
            }
            Err(error) if matches!(error.code(), 403 | 422) => {
                self.status_refused(subject, &error);
                self.statuses.schedule(subject.clone(), self.now() + REFUSED_AGAIN);
            }
            Err(error) => {
                // As 404, this says that the incarnation is gone, which the watch will show.
                if error.code() == 409 {
                    let by = RefusedBy::ResourceVersion;
                    self.tools.observer.signal(Signal::StaleWriteRefused(by));
                }
                tracing::debug!(%subject, %error, "the status will be written again");
                let wait = error.retry_after().map_or(AGAIN, |asked| asked.max(AGAIN));
                self.statuses.schedule(subject.clone(), self.now() + wait);
            }
        }
    }

    /// The API server refuses a status: as it comes from an old leader, or somebody forbids it.
    fn status_refused(&mut self, subject: &ObjectRef, error: &KubeError) {
        let stale = error.refusal().is_some_and(crate::kube::Refusal::is_stale_epoch);
        if stale {
            self.tools.observer.signal(Signal::StaleWriteRefused(RefusedBy::Policy));
            self.ask_epoch(subject);
        }
        let now = self.now();
        if self.statuses.forbidden.get(subject).is_some_and(|tell_at| now < *tell_at) {
            return;
        }
        self.statuses.forbidden.insert(subject.clone(), now + TELL_AGAIN);
        tracing::warn!(%subject, %error, "the status was refused");
        // The status cannot say so, and an old leader has nothing to say.
        if let Some(refusal) = error.refusal().filter(|_| !stale) {
            let text = format!("the status cannot be written: {}", refusal.message);
            self.tell(subject, EventKind::Warning, status::reason::WRITE_FORBIDDEN, &text);
        }
    }

    /// Says in `kubectl describe` what people wait for: ready, not ready any more, finished.
    fn tell_change(&self, subject: &ObjectRef, before: &Value, after: &Value) {
        for r#type in ["Ready", "Finished"] {
            let (was, is) = (condition(before, r#type), condition(after, r#type));
            let Some(is) = is else { continue };
            let was = was.and_then(|was| was["status"].as_str());
            let kind = match (was, is["status"].as_str()) {
                (Some("True"), Some("True")) => continue,
                (_, Some("True")) => EventKind::Normal,
                (Some("True"), _) if r#type == "Ready" => EventKind::Warning,
                _ => continue,
            };
            let text = |field: &str| is[field].as_str().unwrap_or_default().to_owned();
            self.tell(subject, kind, &text("reason"), &text("message"));
        }
    }
}

fn condition<'a>(status: &'a Value, r#type: &str) -> Option<&'a Value> {
    let conditions = status.get("conditions")?.as_array()?;
    conditions.iter().find(|condition| condition["type"] == r#type)
}

/// Whether nothing is about to change by itself.
fn is_settled(status: &Value) -> bool {
    ["Ready", "Finished"]
        .iter()
        .any(|r#type| condition(status, r#type).is_some_and(|is| is["status"] == "True"))
}
