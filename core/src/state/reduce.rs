//! One event's effect on the state.
//!
//! Observations may be late: one that is not news changes nothing. Decisions and outcomes are our
//! own: one that does not fit is a broken log or a bug, and is refused (I3, I5). Nothing panics.

use crate::error::ErrorKind;
use crate::event::{ChildState, Drift, Event, Reason, Timer};
use crate::ids::{Epoch, Key, Kind, ObjectRef, Seq, Uid};
use crate::resource::{AgentSpec, SessionSpec, ShutdownPolicy, children, validate};
use crate::state::{
    AgentState, BOUND_CLEARS_FAILURE, Ending, EpochInfo, Finish, LogInfo, Position, SessionState,
    State, Volume,
};

/// Why an event does not fit the state: the log is not one that this program could have written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReduceError {
    /// The event does not stand after the last one.
    #[error("event {at:?} does not come after {last:?}")]
    OutOfOrder {
        /// The event.
        at: Position,
        /// The last one applied.
        last: Position,
    },
    /// `LogStarted` elsewhere than at the very start, or anything else there.
    #[error("LogStarted belongs at record 0, index 0, and nowhere else; seen at {0:?}")]
    Genesis(Position),
    /// An epoch that is not `base` plus its record's seq.
    #[error("epoch {epoch} started in a record whose epoch must be {expected}")]
    Epoch {
        /// What it says.
        epoch: Epoch,
        /// What it must say.
        expected: Epoch,
    },
    /// A decision about something that is not known, or about another incarnation of it.
    #[error("a decision about {subject} {uid}, which is not known")]
    UnknownSubject {
        /// The subject.
        subject: ObjectRef,
        /// The incarnation.
        uid: Uid,
    },
    /// A decision while an earlier one about the same subject is neither done nor superseded.
    #[error("a decision about {0} while an earlier one is pending")]
    StillPending(ObjectRef),
    /// An outcome of an action that is not pending.
    #[error("an outcome of action {action} of decision {decision} about {subject}: not pending")]
    NoSuchAction {
        /// The subject.
        subject: ObjectRef,
        /// The decision's record.
        decision: Seq,
        /// The action's index.
        action: u32,
    },
    /// The generation of a known incarnation went down.
    #[error("{subject}: generation {generation} after {known}")]
    GenerationFell {
        /// The subject.
        subject: ObjectRef,
        /// What the event says.
        generation: i64,
        /// What was known.
        known: i64,
    },
}

impl ReduceError {
    /// What the caller must do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Corrupt
    }
}

impl State {
    /// Applies one event.
    ///
    /// # Errors
    /// If the event does not fit; the state must then be dropped.
    pub fn apply(&mut self, at: Position, event: &Event) -> Result<(), ReduceError> {
        match self.last {
            Some(last) if at <= last => return Err(ReduceError::OutOfOrder { at, last }),
            last => {
                let genesis = matches!(event, Event::LogStarted { .. });
                if genesis != (last.is_none() && at == Position::default()) {
                    return Err(ReduceError::Genesis(at));
                }
            }
        }
        self.index.freed = None;
        self.dispatch(at, event)?;
        self.last = Some(at);
        Ok(())
    }

    fn dispatch(&mut self, at: Position, event: &Event) -> Result<(), ReduceError> {
        match event {
            Event::LogStarted { log_id, base, predecessors } => {
                self.log = Some(LogInfo {
                    log_id: log_id.clone(),
                    base: *base,
                    predecessors: predecessors.clone(),
                });
            }
            Event::EpochStarted { .. } => self.epoch_started(at, event)?,
            Event::AgentObserved { agent, uid, generation, spec, inherited } => {
                self.agent_observed(at, &agent.key, uid, *generation, spec)?;
                self.agent_inherits(at.seq, agent, uid, inherited);
            }
            Event::AgentDeleted { agent, uid } => self.agent_deleted(&agent.key, uid),
            Event::SessionObserved { .. } => self.session_observed(at, event)?,
            Event::SessionDeleted { session, uid } => self.session_deleted(&session.key, uid),
            Event::ChildObserved { object, uid, state } => self.child(object, uid, *state),
            Event::TimerFired { subject, uid, timer, due_ms } => {
                self.timer_fired(&subject.key, uid, *timer, *due_ms);
            }
            Event::DriftObserved { object, drift } => self.drift(object, drift),
            Event::ActionsDecided { subject, uid, actions, .. } => {
                self.decided(at, subject, uid, actions)?;
            }
            Event::ActionApplied { decision, subject, action, uid, projection } => {
                let done = self.take_pending(subject, *decision, *action)?;
                self.applied(subject, &done, uid, *projection);
            }
            Event::ActionFailed { decision, subject, action, reason, message } => {
                let done = self.take_pending(subject, *decision, *action)?;
                self.failed(subject, done, *reason, message);
            }
            Event::ActionSuperseded { decision, subject, actions, .. } => {
                for action in actions {
                    self.take_pending(subject, *decision, *action)?;
                }
            }
            Event::CheckpointCreated { size, .. } => self.checkpointed = *size,
            Event::TailRepaired { .. } => {}
        }
        Ok(())
    }

    fn epoch_started(&mut self, at: Position, event: &Event) -> Result<(), ReduceError> {
        let Event::EpochStarted { epoch, identity, build, logic, settings } = event else {
            return Ok(());
        };
        let base = self.log.as_ref().map_or(0, |log| log.base);
        let expected = Epoch(base.saturating_add(at.seq.0));
        if *epoch != expected {
            return Err(ReduceError::Epoch { epoch: *epoch, expected });
        }
        let revision = self.epoch.as_ref().map_or(0, |before| {
            let same = before.logic == *logic && before.settings == *settings;
            before.revision + u32::from(!same)
        });
        self.epoch = Some(EpochInfo {
            epoch: *epoch,
            identity: identity.clone(),
            build: build.clone(),
            logic: *logic,
            settings: settings.clone(),
            revision,
        });
        Ok(())
    }

    fn agent_observed(
        &mut self,
        at: Position,
        key: &Key,
        uid: &Uid,
        generation: i64,
        spec: &AgentSpec,
    ) -> Result<(), ReduceError> {
        let before = self.agents.remove(key);
        let before = match before {
            Some(before) if before.uid != *uid => {
                self.forget_agent_objects(key);
                None
            }
            Some(before) if generation < before.generation => {
                let known = before.generation;
                self.agents.insert(key.clone(), before);
                let subject = children::agent(key);
                return Err(ReduceError::GenerationFell { subject, generation, known });
            }
            other => other,
        };
        let accepted = before.as_ref().and_then(AgentState::spec);
        let valid = validate::agent(key, spec).is_empty()
            && accepted.is_none_or(|accepted| validate::agent_change(accepted, spec).is_empty());
        let earlier = if valid { None } else { accepted.cloned().map(Box::new) };
        let next = AgentState {
            uid: uid.clone(),
            generation,
            observed: spec.clone(),
            valid,
            earlier,
            template: before.as_ref().and_then(|b| b.template),
            volume: before.as_ref().map_or(Volume::Pending, |b| b.volume),
            failures: std::collections::BTreeMap::new(),
            revision: self.epoch.as_ref().map_or(0, |e| e.revision),
            spec_repeated: before.as_ref().is_some_and(|b| b.observed == *spec),
            observed_at: at,
            decided: before.as_ref().and_then(|b| b.decided),
        };
        if valid {
            self.spread_network(key, spec);
        }
        self.agents.insert(key.clone(), next);
        Ok(())
    }

    /// The runs of an agent may reach what the agent may reach now.
    fn spread_network(&mut self, agent: &Key, spec: &AgentSpec) {
        let running: Vec<_> = self.index.running(agent).cloned().collect();
        for key in running {
            let session = self.sessions.get_mut(&key);
            if let Some(admitted) = session.and_then(|session| session.admitted.as_mut()) {
                admitted.network = spec.clone();
            }
        }
    }

    fn agent_deleted(&mut self, key: &Key, uid: &Uid) {
        if self.agents.get(key).is_some_and(|agent| agent.uid == *uid) {
            self.agents.remove(key);
            self.forget_agent_objects(key);
        }
    }

    /// The API server collects what has an owner; what is retained stays, and stays known.
    fn forget_agent_objects(&mut self, key: &Key) {
        for object in children::of_agent(key) {
            if self.objects.get(&object).is_some_and(|known| !known.retained) {
                self.objects.remove(&object);
            }
        }
    }

    fn session_observed(&mut self, at: Position, event: &Event) -> Result<(), ReduceError> {
        let Event::SessionObserved {
            session,
            uid,
            generation,
            spec,
            expires_ms,
            cancelled_ms,
            ended,
            inherited,
        } = event
        else {
            return Ok(());
        };
        let (key, generation) = (&session.key, *generation);
        let before = match self.sessions.get(key) {
            Some(before) if before.uid != *uid => {
                self.forget_session(key);
                None
            }
            Some(before) if generation < before.generation => {
                let (subject, known) = (children::session(key), before.generation);
                return Err(ReduceError::GenerationFell { subject, generation, known });
            }
            other => other.cloned(),
        };
        let valid = validate::session(key, spec).is_empty();
        let mut next = before.unwrap_or_else(|| SessionState::first_seen(at, uid, spec));
        let accepted = next.spec().cloned();
        next.earlier = if valid { None } else { accepted.map(Box::new) };
        next.generation = generation;
        next.observed = spec.clone();
        next.valid = valid;
        next.expires_ms = next.expires_ms.or(*expires_ms);
        next.finished = next.finished.or(*ended);
        next.failures.clear();
        next.observed_at = at;
        if next.is_cancelled() && next.finished.is_none() {
            next.finished = Some(Finish { ending: Ending::Cancelled, at_ms: *cancelled_ms });
        }
        self.put_session(key, next);
        self.session_inherits(at.seq, session, uid, inherited);
        Ok(())
    }

    fn put_session(&mut self, key: &Key, next: SessionState) {
        if let Some(before) = self.sessions.get(key) {
            self.index.remove(key, before);
        }
        self.index.insert(key, &next);
        self.sessions.insert(key.clone(), next);
    }

    /// Changes a session and keeps the derived orders true.
    pub(super) fn change_session(&mut self, key: &Key, change: impl FnOnce(&mut SessionState)) {
        if let Some(session) = self.sessions.get_mut(key) {
            self.index.remove(key, session);
            change(session);
            self.index.insert(key, session);
        }
    }

    fn session_deleted(&mut self, key: &Key, uid: &Uid) {
        if self.sessions.get(key).is_some_and(|session| session.uid == *uid) {
            self.forget_session(key);
        }
    }

    fn forget_session(&mut self, key: &Key) {
        if let Some(session) = self.sessions.remove(key) {
            self.index.remove(key, &session);
            self.index.freed = Some(session.agent_key(key));
        }
        for child in children::of_session(key) {
            self.objects.remove(&child);
        }
    }

    fn child(&mut self, object: &ObjectRef, uid: &Uid, seen: ChildState) {
        let Some(known) = self.objects.get(object).filter(|known| known.uid == *uid) else {
            return;
        };
        let owner = known.owner.key.clone();
        let volume = |state: &mut Self, volume| {
            if let Some(agent) = state.agents.get_mut(&owner) {
                agent.volume = volume;
            }
        };
        let (ending, at_ms) = match seen {
            ChildState::VolumeBound => {
                volume(self, Volume::Bound);
                let logic = self.epoch.as_ref().map_or(0, |epoch| epoch.logic);
                if logic >= BOUND_CLEARS_FAILURE {
                    self.clear_failure(object);
                }
                return;
            }
            ChildState::VolumeLost => return volume(self, Volume::Lost),
            ChildState::JobSucceeded { at_ms } => (Ending::Succeeded, at_ms),
            ChildState::JobFailed { at_ms } => (Ending::Failed, at_ms),
            ChildState::JobLost { at_ms } => {
                self.objects.remove(object);
                if self.sessions.get(&owner).is_none_or(|session| !session.may_have_run) {
                    // It was never activated: it can be created again.
                    return;
                }
                (Ending::JobLost, at_ms)
            }
        };
        self.finish(&owner, Finish { ending, at_ms: Some(at_ms) });
    }

    /// The first end counts: a session that expired does not succeed afterwards.
    fn finish(&mut self, session: &Key, finish: Finish) {
        self.change_session(session, |session| {
            session.finished.get_or_insert(finish);
        });
    }

    fn timer_fired(&mut self, key: &Key, uid: &Uid, timer: Timer, due_ms: u64) {
        let armed = self.sessions.get(key).is_some_and(|session| {
            session.uid == *uid && session.timers().any(|armed| armed == (timer, due_ms))
        });
        if !armed {
            return;
        }
        // An inherited Job that could not be suspended, as its template is not known, can be ended.
        let run = children::run(key);
        let inherited = self.objects.get(&run).is_some_and(|job| job.inherited);
        self.change_session(key, |session| match timer {
            Timer::Expiry => {
                if inherited {
                    session.failures.remove(&run);
                }
                let finish = Finish { ending: Ending::Expired, at_ms: Some(due_ms) };
                session.finished.get_or_insert(finish);
                if session.observed.shutdown_policy == ShutdownPolicy::Delete {
                    session.delete = Some(Reason::Expired);
                }
            }
            Timer::Ttl => session.delete = Some(Reason::TtlElapsed),
        });
    }

    fn drift(&mut self, object: &ObjectRef, drift: &Drift) {
        match drift {
            Drift::Missing { uid } => {
                self.clear_failure(object);
                if self.objects.get(object).is_some_and(|known| known.uid == *uid) {
                    self.object_gone(object);
                }
            }
            Drift::Changed { uid, projection } => {
                if let Some(known) = self.objects.get_mut(object)
                    && known.uid == *uid
                    && known.projection != *projection
                {
                    known.drifted = true;
                }
            }
            Drift::Unwanted { .. } => {}
        }
    }

    /// An object that we wrote does not exist any more. A Job that may have run is not created
    /// again: its run would happen twice.
    pub(super) fn object_gone(&mut self, object: &ObjectRef) {
        let Some(known) = self.objects.remove(object) else { return };
        if object.kind == Kind::Job
            && self.sessions.get(&known.owner.key).is_some_and(|session| session.may_have_run)
        {
            let finish = Finish { ending: Ending::JobLost, at_ms: None };
            self.finish(&known.owner.key, finish);
        }
        if object.kind == Kind::PersistentVolumeClaim
            && let Some(agent) = self.agents.get_mut(&known.owner.key)
        {
            agent.volume = Volume::Pending;
        }
    }

    pub(super) fn clear_failure(&mut self, object: &ObjectRef) {
        match children::owner_of(object) {
            Some(ObjectRef { kind: Kind::Agent, key }) => {
                self.agents.get_mut(&key).map(|agent| agent.failures.remove(object));
            }
            Some(ObjectRef { key, .. }) => {
                self.sessions.get_mut(&key).map(|session| session.failures.remove(object));
            }
            None => {}
        }
    }
}

impl SessionState {
    fn first_seen(at: Position, uid: &Uid, spec: &SessionSpec) -> Self {
        Self {
            uid: uid.clone(),
            generation: 0,
            observed: spec.clone(),
            valid: false,
            earlier: None,
            expires_ms: None,
            admitted: None,
            may_have_run: false,
            finished: None,
            delete: None,
            deleted: false,
            failures: std::collections::BTreeMap::new(),
            first_seen: at,
            observed_at: at,
            decided: None,
        }
    }
}
