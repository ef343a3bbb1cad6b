//! Decisions and their outcomes: the half of the reducer that keeps I5.
//!
//! Each decided action is pending until exactly one outcome ends it; an outcome of anything else is
//! refused.

use crate::event::{Action, FailureReason, Reason, Verb};
use crate::ids::{Hash, Key, Kind, ObjectRef, Seq, Uid};
use crate::render;
use crate::resource::children;
use crate::state::{
    Admission, Failure, ObjectState, PendingAction, Position, ReduceError, State, Template,
};

impl State {
    pub(super) fn decided(
        &mut self,
        at: Position,
        subject: &ObjectRef,
        uid: &Uid,
        actions: &[Action],
    ) -> Result<(), ReduceError> {
        if self.pending.contains_key(subject) {
            return Err(ReduceError::StillPending(subject.clone()));
        }
        let known = match subject.kind {
            Kind::Agent => self.agents.get(&subject.key).is_some_and(|agent| agent.uid == *uid),
            Kind::Session => self.sessions.get(&subject.key).is_some_and(|s| s.uid == *uid),
            _ => actions.iter().all(|action| action.object == *subject),
        };
        if !known {
            let (subject, uid) = (subject.clone(), uid.clone());
            return Err(ReduceError::UnknownSubject { subject, uid });
        }
        match subject.kind {
            Kind::Agent => self.agent_decided(at.seq, &subject.key, actions),
            Kind::Session => self.session_decided(at.seq, &subject.key, actions),
            _ => {}
        }
        let pending: Vec<_> = actions
            .iter()
            .zip(0_u32..)
            .map(|(action, index)| PendingAction {
                decision: at.seq,
                index,
                subject_uid: uid.clone(),
                action: action.clone(),
            })
            .collect();
        if !pending.is_empty() {
            self.pending.insert(subject.clone(), pending);
        }
        Ok(())
    }

    fn agent_decided(&mut self, seq: Seq, key: &Key, actions: &[Action]) {
        let Some(agent) = self.agents.get(key) else { return };
        let written = actions
            .iter()
            .find(|action| action.object.kind == Kind::Deployment && action.content.is_some());
        let mut template = agent.template;
        if let (Some(action), Some(spec), Some(epoch)) = (written, agent.spec(), &self.epoch) {
            let fingerprint = render::template_fingerprint(key, spec, &epoch.settings);
            let same = template.is_some_and(|before| before.fingerprint == fingerprint);
            if !same || action.reason == Reason::LogicChanged {
                template = Some(Template { fingerprint, epoch: epoch.epoch });
            }
        }
        if let Some(agent) = self.agents.get_mut(key) {
            agent.template = template;
            agent.decided = Some(seq);
        }
    }

    fn session_decided(&mut self, seq: Seq, key: &Key, actions: &[Action]) {
        let starts = actions
            .iter()
            .any(|action| action.object.kind == Kind::Job && action.verb == Verb::Create);
        let activates = actions
            .iter()
            .any(|action| action.object.kind == Kind::Job && action.verb == Verb::Activate);
        let admission = if starts { self.admission(key) } else { None };
        let recorded = self.objects.contains_key(&children::run(key));
        self.change_session(key, |session| {
            session.decided = Some(seq);
            if session.admitted.is_none() {
                session.admitted = admission.map(Box::new);
            }
            session.may_have_run |= activates && recorded;
        });
    }

    /// What a session would run with if it were started now; what it runs with if it was.
    pub(crate) fn admission(&self, session: &Key) -> Option<Admission> {
        let known = self.sessions.get(session)?;
        if let Some(admitted) = &known.admitted {
            return Some(admitted.as_ref().clone());
        }
        let agent = self.agents.get(&known.agent_key(session))?;
        let epoch = self.epoch.as_ref()?;
        let spec = agent.spec()?;
        Some(Admission {
            agent: spec.clone(),
            network: spec.clone(),
            agent_uid: agent.uid.clone(),
            image: render::image(spec, &epoch.settings),
            epoch: epoch.epoch,
        })
    }

    pub(super) fn take_pending(
        &mut self,
        subject: &ObjectRef,
        decision: Seq,
        action: u32,
    ) -> Result<PendingAction, ReduceError> {
        let missing = || ReduceError::NoSuchAction { subject: subject.clone(), decision, action };
        let queue = self.pending.get_mut(subject).ok_or_else(missing)?;
        let at = queue
            .iter()
            .position(|pending| pending.decision == decision && pending.index == action)
            .ok_or_else(missing)?;
        let taken = queue.remove(at);
        if queue.is_empty() {
            self.pending.remove(subject);
        }
        Ok(taken)
    }

    pub(super) fn applied(
        &mut self,
        subject: &ObjectRef,
        done: &PendingAction,
        uid: &Uid,
        projection: Hash,
    ) {
        let action = &done.action;
        let object = &action.object;
        match action.verb {
            Verb::DeleteExpired => {
                self.change_session(&object.key, |session| session.deleted = true);
            }
            Verb::Delete => {
                self.objects.remove(object);
            }
            Verb::Create | Verb::Update | Verb::Activate => {
                let before = self.objects.get(object);
                let content = action.content.unwrap_or_default();
                let stubborn = action.verb == Verb::Update
                    && action.reason == Reason::DriftRepaired
                    && before.is_some_and(|b| b.content == content && b.projection != projection);
                let storage_class = match before {
                    Some(before) => before.storage_class.clone(),
                    None => self.storage_class(object),
                };
                let written = ObjectState {
                    uid: uid.clone(),
                    decision: done.decision,
                    content,
                    projection,
                    owner: subject.clone(),
                    owner_uid: done.subject_uid.clone(),
                    retained: self.retains(object),
                    storage_class,
                    drifted: false,
                    stubborn,
                    inherited: false,
                };
                self.objects.insert(object.clone(), written);
                self.abandoned.remove(object);
                self.clear_failure(object);
                self.job_recorded(subject, done);
            }
        }
    }

    /// From here on the Job's activation may be sent.
    fn job_recorded(&mut self, subject: &ObjectRef, done: &PendingAction) {
        let activates = self.pending(subject).iter().any(|next| next.action.verb == Verb::Activate);
        if done.action.object.kind == Kind::Job && activates {
            self.change_session(&subject.key, |session| session.may_have_run = true);
        }
    }

    fn retains(&self, object: &ObjectRef) -> bool {
        object.kind == Kind::PersistentVolumeClaim
            && children::owner_of(object)
                .and_then(|owner| self.agents.get(&owner.key)?.spec())
                .is_some_and(|spec| spec.workspace.retain)
    }

    fn storage_class(&self, object: &ObjectRef) -> Option<String> {
        let owner = children::owner_of(object)?;
        let spec = self.agents.get(&owner.key)?.spec()?;
        render::storage_class(spec, &self.epoch.as_ref()?.settings)
    }

    pub(super) fn failed(
        &mut self,
        subject: &ObjectRef,
        done: PendingAction,
        reason: FailureReason,
        message: &str,
    ) {
        let object = done.action.object;
        if reason == FailureReason::ObjectGone {
            return self.object_gone(&object);
        }
        let failure = Failure { decision: done.decision, reason, message: message.to_owned() };
        match subject.kind {
            Kind::Agent => {
                if let Some(agent) = self.agents.get_mut(&subject.key) {
                    agent.failures.insert(object, failure);
                }
            }
            Kind::Session => {
                if let Some(session) = self.sessions.get_mut(&subject.key) {
                    session.failures.insert(object, failure);
                }
            }
            _ => {
                self.abandoned.insert(object, done.subject_uid);
            }
        }
    }
}
