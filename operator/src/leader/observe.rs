//! From what the cache shows to facts in the log.
//!
//! Every look compares with the state and records only what is news. While a request about a
//! subject is under way, what is seen of it waits: the outcome is recorded first, so no decision
//! can overtake the write that it would replace.

use std::time::Duration;

use rynxs_core::decide;
use rynxs_core::event::{ChildState, Drift, Event, FailureReason, Inherited};
use rynxs_core::ids::{Kind, LogId, ObjectRef, Uid};
use rynxs_core::resource::{AgentSpec, SessionSpec, children};
use rynxs_core::state::State;
use rynxs_core::time::Mono;
use serde_json::Value;

use super::term::{Done, Term};
use crate::informer::{Entry, Managed, Subject};
use crate::kube::{EventKind, Regarding};
use crate::observe::Signal;

/// How long a fresh read that failed waits, and how often a taken name is looked at again.
const READ_AGAIN: Duration = Duration::from_secs(2);
const NAME_TAKEN_AGAIN: Duration = Duration::from_secs(30);
/// Most deadlines fired in one go; the others follow in the next turn of the loop.
const TIMERS_AT_ONCE: usize = 64;

impl Term {
    /// Looks at an object that changed, or may have.
    pub(super) fn look(&mut self, object: &ObjectRef) {
        let subject = subject_of(object);
        if self.waits_for_others(object)
            || self.is_blocked(&subject)
            || self.work.is_in_flight(object)
        {
            self.held.insert(object.clone());
            return;
        }
        match object.kind {
            Kind::Agent | Kind::Session => self.look_at_subject(object),
            _ => self.look_at_child(object, &subject),
        }
        if self.first.remove(object) && self.first.is_empty() {
            self.queue_held();
        }
    }

    /// What a predecessor left goes into the first observation of its owner, so everything has to
    /// be listed before; and what it started takes the places for which other Sessions wait.
    fn waits_for_others(&self, object: &ObjectRef) -> bool {
        if !self.listed {
            return self.journal.with_state(State::is_successor);
        }
        object.kind == Kind::Session && !self.first.is_empty() && !self.first.contains(object)
    }

    /// Has everything that waits looked at, no faster than the log can take it.
    fn queue_held(&mut self) {
        for object in std::mem::take(&mut self.held) {
            self.tools.cache.touch(object);
        }
    }

    /// Whether what is seen of this subject must wait for the end of a request. A change of an
    /// Agent may decide its running sessions anew, so it waits for theirs as well; and a decision
    /// to write an object ends the deletion of it.
    fn is_blocked(&self, subject: &ObjectRef) -> bool {
        self.work.is_in_flight(subject)
            || children::of(subject).iter().any(|object| self.work.is_in_flight(object))
            || (subject.kind == Kind::Agent
                && self.journal.with_state(|state| {
                    state
                        .running_sessions(&subject.key)
                        .any(|session| self.work.is_in_flight(&children::session(session)))
                }))
    }

    /// Looks at what waited, now that some request ended.
    pub(super) fn look_at_held(&mut self) {
        for object in std::mem::take(&mut self.held) {
            self.look(&object);
        }
    }

    pub(super) fn look_later(&mut self, now: Mono) {
        while let Some((at, object)) = self.later.first().cloned() {
            if at > now {
                break;
            }
            self.later.pop_first();
            let failed = self.journal.with_state(|state| name_taken(state, &object));
            let subject = subject_of(&object);
            if !failed {
                self.look(&object);
            } else if self.is_blocked(&subject) {
                self.later.insert((now + READ_AGAIN, object));
            } else {
                self.read_afresh(&object, &subject);
            }
        }
    }

    fn look_at_subject(&mut self, object: &ObjectRef) {
        let known = self.journal.with_state(|state| known_uid(state, object));
        let entry = self.tools.cache.get(object);
        match (known, entry) {
            (None, None) => self.statuses.forget(object),
            (Some(_), None) if !self.listed => {}
            // An absence, or another incarnation, is believed only from a fresh read.
            (Some(_), None) => self.read_afresh(object, object),
            (Some(known), Some(entry)) if known != entry.uid => self.read_afresh(object, object),
            (Some(known), Some(entry)) if entry.deleting => self.deleted(object, known),
            (None, Some(entry)) if entry.deleting => {}
            (_, Some(entry)) => self.observed(object, &entry),
        }
    }

    fn observed(&mut self, object: &ObjectRef, entry: &Entry) {
        let Some(subject) = entry.subject() else { return };
        let ports = self.tools.kube.ports().clone();
        let event = self.journal.with_state(|state| {
            let now_ms = ports.clock.wall().0;
            let event = fact(state, object, entry, subject, now_ms)?;
            let event = self.inherit(state, object, entry, event, now_ms);
            Ok::<_, serde_json::Error>(decide::is_news(state, &event).then_some(event))
        });
        match event {
            Ok(Some(event)) => {
                let trace = self.traces.begin(object, &*ports.entropy);
                let seq = self.record(object, vec![event]);
                tracing::info!(
                    trace_id = %trace, %object, generation = subject.generation,
                    seq = seq.map(|seq| seq.0), "observed"
                );
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%object, %error, "the spec cannot be read");
                let regarding = Regarding { object: object.clone(), uid: entry.uid.clone() };
                let message = format!("the spec cannot be read: {error}");
                self.events.say(regarding, EventKind::Warning, "SpecUnreadable", &message);
            }
        }
        self.statuses.mark(object);
    }

    fn deleted(&mut self, object: &ObjectRef, uid: Uid) {
        let trace = self.traces.begin(object, &*self.tools.kube.ports().entropy);
        tracing::info!(trace_id = %trace, %object, %uid, "deleted");
        let event = match object.kind {
            Kind::Agent => Event::AgentDeleted { agent: object.clone(), uid },
            _ => Event::SessionDeleted { session: object.clone(), uid },
        };
        self.statuses.forget(object);
        self.hindrances.clear(object);
        self.record(object, vec![event]);
        self.end_trace(object);
    }

    fn look_at_child(&mut self, object: &ObjectRef, subject: &ObjectRef) {
        let (known, pending) = self.journal.with_state(|state| {
            let writes = |subject: &ObjectRef| {
                state.pending(subject).iter().any(|pending| pending.action.object == *object)
            };
            (state.object(object).cloned(), writes(subject) || writes(object))
        });
        if matches!(subject.kind, Kind::Agent | Kind::Session) {
            self.statuses.mark(subject);
        }
        // The write that is to come reads what it needs by itself.
        if pending {
            return;
        }
        match (known, self.tools.cache.get(object)) {
            (Some(known), Some(entry)) if known.uid == entry.uid => {
                self.look_at_known(object, subject, &entry);
            }
            (Some(_), _) if self.listed => self.mend(object, subject),
            (None, Some(entry)) => self.suspect(object, &entry),
            _ => {}
        }
    }

    /// Makes sure that an object has drifted, unless it was repaired a moment ago.
    fn mend(&mut self, object: &ObjectRef, subject: &ObjectRef) {
        if !self.waits_for_repair(object) {
            self.read_afresh(object, subject);
        }
    }

    /// Whether an object was repaired so lately that it is looked at again later.
    fn waits_for_repair(&mut self, object: &ObjectRef) -> bool {
        let until = self.repairs.wait(object, self.now());
        self.later.extend(until.map(|at| (at, object.clone())));
        until.is_some()
    }

    /// Records drift, which decides a repair.
    fn drifted(&mut self, object: &ObjectRef, subject: &ObjectRef, event: Event) -> Option<u64> {
        self.repairs.note(object, self.now(), &*self.tools.kube.ports().entropy);
        self.record(subject, vec![event]).map(|seq| seq.0)
    }

    /// An object that is as we know it, or has drifted, or reached a state that decisions read.
    fn look_at_known(&mut self, object: &ObjectRef, subject: &ObjectRef, entry: &Entry) {
        let Some(managed) = entry.managed().filter(|_| !entry.deleting) else { return };
        let now_ms = self.tools.kube.ports().clock.wall().0;
        let (child, drifted) = self.journal.with_state(|state| {
            let child = child_state(object, managed, now_ms)
                .map(|seen| child_observed(object, &entry.uid, seen))
                .filter(|event| decide::is_news(state, event));
            let drift = changed(object, &entry.uid, managed);
            (child, decide::is_news(state, &drift))
        });
        if let Some(event) = child {
            let trace = self.traces.of(subject, &*self.tools.kube.ports().entropy);
            let seq = self.record(subject, vec![event.clone()]);
            let seq = seq.map(|seq| seq.0);
            tracing::info!(trace_id = %trace, %object, ?event, seq, "observed");
        }
        if drifted && !self.is_blocked(subject) {
            self.mend(object, subject);
        }
    }

    /// A stamped object that the state does not know.
    fn suspect(&mut self, object: &ObjectRef, entry: &Entry) {
        if !self.caught_up {
            self.suspects.insert(object.clone());
            return;
        }
        let Some(managed) = entry.managed().filter(|_| !entry.deleting) else { return };
        let ours = managed.log.as_ref().is_some_and(|log| {
            *log == self.tools.log.log_id || self.tools.log.predecessors.contains(log)
        });
        if managed.stamp.is_none() || managed.retained || !ours {
            return;
        }
        let unwanted = Drift::Unwanted { uid: entry.uid.clone() };
        let event = Event::DriftObserved { object: object.clone(), drift: unwanted };
        let news = self.journal.with_state(|state| {
            // What belongs to an incarnation that is gone is the garbage collector's.
            let collected = managed.owner.as_ref().is_some_and(|owner| {
                let living = owner.subject.as_ref().and_then(|owner| known_uid(state, owner));
                living.as_ref() != Some(&owner.uid)
            });
            !collected && decide::is_news(state, &event)
        });
        if news && !self.waits_for_repair(object) {
            let trace = self.traces.begin(object, &*self.tools.kube.ports().entropy);
            let seq = self.drifted(object, object, event);
            tracing::info!(
                trace_id = %trace, %object, uid = %entry.uid, seq, "nothing wants this object"
            );
        }
    }

    /// Reads an object afresh. The read begins after our last write about the subject was answered
    /// and no write begins before it ends, so a difference that it shows is somebody else's doing.
    fn read_afresh(&mut self, object: &ObjectRef, subject: &ObjectRef) {
        if !self.work.take(subject) {
            self.held.insert(object.clone());
            return;
        }
        let (kube, object, subject) = (self.tools.kube.clone(), object.clone(), subject.clone());
        self.tasks.push(Box::pin(async move {
            let live = kube.get(&object).await;
            Done::Fresh { object, subject, live }
        }));
    }

    /// What a fresh read showed.
    pub(super) fn read(&mut self, object: &ObjectRef, subject: &ObjectRef, live: Option<&Value>) {
        let entry = live.and_then(|live| self.tools.cache.answered(object.kind, live));
        if live.is_some() && entry.is_none() {
            // Not absent, so nothing may be concluded from it.
            tracing::warn!(%object, "an object without identity");
            self.unread(object);
            return;
        }
        let known = self.journal.with_state(|state| known_uid(state, object));
        let lives = known.is_some() && known == entry.as_ref().map(|entry| entry.uid.clone());
        if let Some(known) = &known
            && entry.as_ref().is_none_or(|entry| entry.uid != *known)
        {
            self.tools.cache.gone(object, known);
        }
        match object.kind {
            Kind::Agent | Kind::Session => match (known, entry) {
                (Some(known), Some(entry)) if known == entry.uid && !entry.deleting => {}
                (Some(known), _) => self.deleted(object, known),
                (None, _) => {}
            },
            _ => self.read_child(object, subject, known, entry),
        }
        if lives && self.tools.cache.get(object).is_none() {
            // It left what is watched, or is gone since: another look at once would read it again
            // at once.
            self.unread(object);
        } else {
            self.tools.cache.touch(object.clone());
        }
    }

    fn read_child(
        &mut self,
        object: &ObjectRef,
        subject: &ObjectRef,
        known: Option<Uid>,
        entry: Option<Entry>,
    ) {
        let same = known.is_some() && known == entry.as_ref().map(|entry| entry.uid.clone());
        let event = match (&entry, known) {
            (Some(entry), Some(_)) if same => {
                let managed = entry.managed().filter(|_| !entry.deleting);
                managed.map(|managed| changed(object, &entry.uid, managed))
            }
            (_, Some(uid)) => Some(self.lost(object, uid)),
            // A taken name that is free again.
            (None, None) => Some(missing(object, Uid::default())),
            (Some(_), None) => {
                if self.journal.with_state(|state| name_taken(state, object)) {
                    self.later.insert((self.now() + NAME_TAKEN_AGAIN, object.clone()));
                }
                None
            }
        };
        let news = |event: &Event| self.journal.with_state(|state| decide::is_news(state, event));
        if let Some(event) = event.filter(news) {
            let trace = self.traces.begin(subject, &*self.tools.kube.ports().entropy);
            let seq = self.drifted(object, subject, event.clone());
            tracing::info!(
                trace_id = %trace, %object, ?event, seq, "differs from what was written"
            );
        }
    }

    /// A Job that may have run and is gone is lost; everything else that is gone is made again.
    fn lost(&self, object: &ObjectRef, uid: Uid) -> Event {
        let ran = object.kind == Kind::Job
            && self.journal.with_state(|state| {
                let session = children::owner_of(object).map(|owner| owner.key);
                session
                    .and_then(|key| state.session(&key))
                    .is_some_and(|session| session.may_have_run && session.finished.is_none())
            });
        if ran {
            let at_ms = self.tools.kube.ports().clock.wall().0;
            child_observed(object, &uid, ChildState::JobLost { at_ms })
        } else {
            missing(object, uid)
        }
    }

    /// Notes when everything was listed, and asks after what the log knows and the lists lack.
    pub(super) fn note_lists(&mut self) {
        if self.listed || !self.tools.cache.is_listed(&self.selections) {
            return;
        }
        self.listed = true;
        let (known, taken): (Vec<ObjectRef>, Vec<ObjectRef>) = self.journal.with_state(|state| {
            let agents = state.agents().map(|(key, _)| children::agent(key));
            let sessions = state.sessions().map(|(key, _)| children::session(key));
            let objects = state.objects().map(|(object, _)| object.clone());
            (agents.chain(sessions).chain(objects).collect(), taken_names(state))
        });
        let absent: Vec<ObjectRef> = self
            .tools
            .cache
            .with(|seen| known.into_iter().filter(|object| !seen.contains_key(object)).collect());
        tracing::info!(absent = absent.len(), "everything is listed");
        for object in absent {
            self.tools.cache.touch(object);
        }
        let now = self.now();
        self.later.extend(taken.into_iter().map(|object| (now, object)));
        self.take_over_listed();
    }

    /// Notes whom a predecessor may have started and this log does not know yet.
    fn take_over_listed(&mut self) {
        if !self.journal.with_state(State::is_successor) {
            return;
        }
        let subjects: Vec<ObjectRef> = self.tools.cache.with(|seen| {
            let started = |object: &&ObjectRef| match object.kind {
                Kind::Agent => true,
                Kind::Session => seen.contains_key(&children::run(&object.key)),
                _ => false,
            };
            seen.keys().filter(started).cloned().collect()
        });
        self.first = self.journal.with_state(|state| {
            let unknown = |object: &ObjectRef| known_uid(state, object).is_none();
            subjects.into_iter().filter(unknown).collect()
        });
        for object in &self.first {
            self.tools.cache.touch(object.clone());
        }
        self.queue_held();
    }

    /// Adds to the first sight of a subject what a predecessor left.
    fn inherit(
        &self,
        state: &State,
        object: &ObjectRef,
        entry: &Entry,
        event: Event,
        now_ms: u64,
    ) -> Event {
        if !state.is_successor() || known_uid(state, object).as_ref() == Some(&entry.uid) {
            return event;
        }
        let said = entry.subject().and_then(|seen| serde_json::from_str(&seen.status).ok());
        let predecessors = &self.tools.log.predecessors;
        let found = children::of(object).into_iter().filter_map(|child| {
            let entry_of_child = self.tools.cache.get(&child)?;
            inherited(child, &entry_of_child, &entry.uid, predecessors)
        });
        decide::inherit(state, event, &said.unwrap_or(Value::Null), found.collect(), now_ms)
    }

    /// Once all that was listed is decided, objects that nothing wants are drift.
    pub(super) fn catch_up(&mut self) {
        let busy = !self.tools.cache.is_quiet() || !self.held.is_empty();
        if self.caught_up || !self.listed || busy {
            return;
        }
        self.caught_up = true;
        tracing::info!("everything listed is decided");
        self.tools.observer.signal(Signal::Ready(true));
        for object in std::mem::take(&mut self.suspects) {
            self.tools.cache.touch(object);
        }
    }

    /// Records deadlines that have passed: time enters decisions only as an event.
    pub(super) fn fire_timers(&mut self) {
        let now_ms = self.tools.kube.ports().clock.wall().0;
        let due: Vec<(ObjectRef, Event)> = self.journal.with_state(|state| {
            let due = state.timers().take_while(|(due_ms, ..)| *due_ms <= now_ms);
            due.take(TIMERS_AT_ONCE)
                .map(|(due_ms, subject, uid, timer)| {
                    let event = Event::TimerFired {
                        subject: subject.clone(),
                        uid: uid.clone(),
                        timer,
                        due_ms,
                    };
                    (subject, event)
                })
                .collect()
        });
        for (subject, event) in due {
            let news = self.journal.with_state(|state| decide::is_news(state, &event));
            if news && self.listed && !self.is_blocked(&subject) {
                let trace = self.traces.begin(&subject, &*self.tools.kube.ports().entropy);
                tracing::info!(trace_id = %trace, %subject, ?event, "a deadline has passed");
                self.record(&subject, vec![event]);
            }
        }
    }

    /// A fresh read settled nothing: the object is looked at again a little later.
    pub(super) fn unread(&mut self, object: &ObjectRef) {
        self.later.insert((self.now() + READ_AGAIN, object.clone()));
    }
}

/// Whom an object belongs to, by its name; itself if it is none of ours.
pub(super) fn subject_of(object: &ObjectRef) -> ObjectRef {
    match object.kind {
        Kind::Agent | Kind::Session => object.clone(),
        _ => children::owner_of(object).unwrap_or_else(|| object.clone()),
    }
}

/// The incarnation that the state knows.
fn known_uid(state: &State, object: &ObjectRef) -> Option<Uid> {
    match object.kind {
        Kind::Agent => state.agent(&object.key).map(|agent| agent.uid.clone()),
        Kind::Session => state.session(&object.key).map(|session| session.uid.clone()),
        _ => state.object(object).map(|known| known.uid.clone()),
    }
}

fn fact(
    state: &State,
    object: &ObjectRef,
    entry: &Entry,
    seen: &Subject,
    now_ms: u64,
) -> Result<Event, serde_json::Error> {
    let (key, uid) = (&object.key, &entry.uid);
    if object.kind == Kind::Agent {
        let spec: AgentSpec = serde_json::from_str(&seen.spec)?;
        Ok(decide::agent_observed(key, uid, seen.generation, spec))
    } else {
        let spec: SessionSpec = serde_json::from_str(&seen.spec)?;
        Ok(decide::session_observed(state, key, uid, seen.generation, spec, now_ms))
    }
}

/// A living object of a predecessor's that belongs to this owner.
fn inherited(
    object: ObjectRef,
    entry: &Entry,
    owner: &Uid,
    predecessors: &[LogId],
) -> Option<Inherited> {
    let managed = entry.managed().filter(|_| !entry.deleting)?;
    let theirs = managed.stamp.is_some()
        && managed.log.as_ref().is_some_and(|log| predecessors.contains(log))
        && managed.owner.as_ref().is_none_or(|named| named.uid == *owner);
    theirs.then(|| Inherited {
        object,
        uid: entry.uid.clone(),
        projection: managed.projection,
        pod: managed.pod.clone(),
        storage_class: managed.storage_class.as_deref().map(ToOwned::to_owned),
        retained: managed.retained,
    })
}

/// The state of a child that decisions read, if it has reached one.
fn child_state(object: &ObjectRef, managed: &Managed, at_ms: u64) -> Option<ChildState> {
    let status = managed.status();
    match object.kind {
        Kind::PersistentVolumeClaim => match status["phase"].as_str() {
            Some("Bound") => Some(ChildState::VolumeBound),
            Some("Lost") => Some(ChildState::VolumeLost),
            _ => None,
        },
        Kind::Job => {
            let conditions = status["conditions"].as_array()?;
            conditions.iter().filter(|condition| condition["status"] == "True").find_map(
                |condition| match condition["type"].as_str() {
                    Some("Complete") => Some(ChildState::JobSucceeded { at_ms }),
                    Some("Failed") => Some(ChildState::JobFailed { at_ms }),
                    _ => None,
                },
            )
        }
        _ => None,
    }
}

fn child_observed(object: &ObjectRef, uid: &Uid, state: ChildState) -> Event {
    Event::ChildObserved { object: object.clone(), uid: uid.clone(), state }
}

fn changed(object: &ObjectRef, uid: &Uid, managed: &Managed) -> Event {
    let drift = Drift::Changed { uid: uid.clone(), projection: managed.projection };
    Event::DriftObserved { object: object.clone(), drift }
}

fn missing(object: &ObjectRef, uid: Uid) -> Event {
    Event::DriftObserved { object: object.clone(), drift: Drift::Missing { uid } }
}

/// Whether the object could not be written because its name is taken.
fn name_taken(state: &State, object: &ObjectRef) -> bool {
    let Some(owner) = children::owner_of(object) else { return false };
    let failures = match owner.kind {
        Kind::Agent => state.agent(&owner.key).map(|agent| &agent.failures),
        _ => state.session(&owner.key).map(|session| &session.failures),
    };
    failures
        .and_then(|failures| failures.get(object))
        .is_some_and(|failure| is_taken(failure.reason))
}

fn taken_names(state: &State) -> Vec<ObjectRef> {
    let agents = state.agents().flat_map(|(_, agent)| &agent.failures);
    let sessions = state.sessions().flat_map(|(_, session)| &session.failures);
    agents
        .chain(sessions)
        .filter(|(_, failure)| is_taken(failure.reason))
        .map(|(object, _)| object.clone())
        .collect()
}

pub(super) fn is_taken(reason: FailureReason) -> bool {
    matches!(reason, FailureReason::NameConflict | FailureReason::ForeignLog)
}
