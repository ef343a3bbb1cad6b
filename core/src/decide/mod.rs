//! What is to be done: a function of the reduced state and one event.
//!
//! [`follow_ups`] is the only maker of decisions. It is called once after every event that was
//! applied and is no follow-up itself; what it returns stands right after that event in the same
//! record. So replay makes every decision again and compares (I6). It reads nothing but the state:
//! what can influence a decision must have been an event.
//!
//! A decision is the whole difference between what a subject wants and what is recorded as written;
//! it replaces whatever is pending about that subject. No difference, no decision: at the fixpoint
//! the log is silent, however often the world is observed again.

mod diff;
mod inherit;
mod observe;

use std::collections::BTreeSet;

use crate::canonical;
use crate::event::{Action, ChildState, Drift, Event, Reason, Timer, Trigger, Verb};
use crate::ids::{Key, Kind, ObjectRef, Uid};
use crate::render;
use crate::resource::OperatingMode;
use crate::resource::children;
use crate::resource::validate::CONCURRENT_MAX;
use crate::state::{BOUND_CLEARS_FAILURE, PendingAction, State};

pub use inherit::{inherit, inherited_pod, inherited_storage_class};
pub use observe::{agent_observed, expiry, is_news, owner_writes, session_observed};

/// Version of the decision functions: raised whenever the same events lead to other decisions.
/// Golden logs under `core/tests/golden/` fail when that is forgotten.
///
/// 2 takes over what a predecessor log wrote. Of events that say nothing of a predecessor, which
/// is all that 1 could record, it makes the decisions of 1.
/// 3 ends the deletion of an object that nothing wanted once somebody wants it again, and tries a
/// claim that could not be changed again once it is bound.
pub const LOGIC: u32 = 3;

/// From here on a decision to write an object supersedes the pending deletion of it.
const GIVES_WAY: u32 = 3;

/// Most sessions started by one event. A record is written whole, and a started session adds about
/// 1 KiB to it: 16 keep it small. Further ones follow the outcomes of these: every way in which a
/// start can end (applied, failed, deleted) is an event that starts waiting sessions again.
pub const STARTS_PER_EVENT: usize = 16;

/// Whether an event is itself a follow-up, and so asks for none.
#[must_use]
pub fn is_follow_up(event: &Event) -> bool {
    matches!(event, Event::ActionsDecided { .. } | Event::ActionSuperseded { .. })
}

/// What follows from an event that was just applied to `state`: first what is superseded, then the
/// decision, subject by subject, at most one decision per subject.
#[must_use]
pub fn follow_ups(state: &State, trigger: Trigger, event: &Event) -> Vec<Event> {
    let mut out = FollowUps { state, trigger, events: Vec::new() };
    match event {
        Event::AgentObserved { agent, .. } => {
            out.decide(agent, Cause::Observed);
            for session in state.running_sessions(&agent.key) {
                out.decide(&children::session(session), Cause::Observed);
            }
            out.start_waiting(&agent.key);
        }
        Event::AgentDeleted { agent: subject, .. } => out.supersede(subject),
        Event::SessionObserved { session, .. } => out.session_changed(session, Cause::Observed),
        Event::SessionDeleted { session, .. } => out.session_gone(session),
        Event::ChildObserved { object, state: seen, .. } => {
            let job = !matches!(seen, ChildState::VolumeBound | ChildState::VolumeLost);
            let again = *seen == ChildState::VolumeBound && out.logic() >= BOUND_CLEARS_FAILURE;
            match children::owner_of(object) {
                Some(session) if job => out.session_changed(&session, Cause::Observed),
                Some(agent) if again => out.decide(&agent, Cause::Observed),
                _ => {}
            }
        }
        Event::TimerFired { subject, timer, .. } => {
            let reason = match timer {
                Timer::Expiry => Reason::Expired,
                Timer::Ttl => Reason::TtlElapsed,
            };
            out.session_changed(subject, Cause::Because(reason));
        }
        Event::DriftObserved { object, drift } => out.drift(object, drift),
        Event::ActionFailed { subject, .. } => out.failed(subject),
        Event::ActionApplied { subject, .. } => out.applied(subject),
        Event::EpochStarted { .. } => out.epoch_started(),
        Event::LogStarted { .. }
        | Event::ActionsDecided { .. }
        | Event::ActionSuperseded { .. }
        | Event::CheckpointCreated { .. }
        | Event::TailRepaired { .. } => {}
    }
    out.events
}

/// Why a subject is looked at, where the difference itself does not tell the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It was observed, or something that it depends on was.
    Observed,
    /// The logic or a setting changed.
    Logic,
    /// A deadline passed.
    Because(Reason),
}

struct FollowUps<'a> {
    state: &'a State,
    trigger: Trigger,
    events: Vec<Event>,
}

impl FollowUps<'_> {
    /// Version that the epoch decides by.
    fn logic(&self) -> u32 {
        self.state.epoch().map_or(LOGIC, |epoch| epoch.logic)
    }

    /// Compares what an Agent or Session wants with what is written and under way.
    fn decide(&mut self, subject: &ObjectRef, cause: Cause) {
        let Some((uid, actions)) = diff::actions(self.state, subject, cause) else {
            return self.supersede(subject);
        };
        self.conclude(subject, uid, actions);
    }

    /// Records a decision, unless it is what is pending already.
    fn conclude(&mut self, subject: &ObjectRef, uid: &Uid, actions: Vec<Action>) {
        let pending = self.state.pending(subject);
        if same(pending, uid, &actions) {
            return;
        }
        self.supersede(subject);
        if actions.is_empty() {
            return;
        }
        let logic = self.logic();
        if logic >= GIVES_WAY {
            let objects: BTreeSet<_> = actions.iter().map(|action| &action.object).collect();
            let others = objects.into_iter().filter(|object| *object != subject);
            others.for_each(|object| self.supersede(object));
        }
        self.events.push(Event::ActionsDecided {
            subject: subject.clone(),
            uid: uid.clone(),
            trigger: self.trigger,
            logic,
            actions_sha256: canonical::hash_of(&actions),
            actions,
        });
    }

    /// Ends everything that is pending about a subject.
    fn supersede(&mut self, subject: &ObjectRef) {
        let pending = self.state.pending(subject);
        let mut rest = pending;
        while let Some(first) = rest.first() {
            let of_one = rest.iter().take_while(|p| p.decision == first.decision).count();
            let (these, others) = rest.split_at(of_one);
            self.events.push(Event::ActionSuperseded {
                decision: first.decision,
                subject: subject.clone(),
                actions: these.iter().map(|p| p.index).collect(),
                by: self.trigger.seq,
            });
            rest = others;
        }
    }

    /// Starts sessions that wait for this agent, as far as there is room.
    fn start_waiting(&mut self, agent: &Key) {
        let Some(spec) = self.state.agent(agent).and_then(|known| known.spec()) else { return };
        if spec.operating_mode == OperatingMode::Suspended {
            return;
        }
        let limit = spec.sessions.as_ref().and_then(|limits| limits.max_concurrent);
        let limit = limit.unwrap_or(CONCURRENT_MAX) as usize;
        let free = limit.saturating_sub(self.state.running_count(agent)).min(STARTS_PER_EVENT);
        for session in self.state.waiting_sessions(agent).take(free) {
            self.decide(&children::session(session), Cause::Observed);
        }
    }

    /// A session's state changed: decide it if it was started, and fill the room that it left.
    fn session_changed(&mut self, subject: &ObjectRef, cause: Cause) {
        let Some(session) = self.state.session(&subject.key) else { return };
        if !session.is_waiting() {
            self.decide(subject, cause);
        } else {
            self.supersede(subject);
        }
        let agent = session.agent_key(&subject.key);
        // Another incarnation may have named another agent.
        if let Some(freed) = self.state.freed().filter(|freed| **freed != agent) {
            self.start_waiting(freed);
        }
        self.start_waiting(&agent);
    }

    fn session_gone(&mut self, subject: &ObjectRef) {
        self.supersede(subject);
        if let Some(agent) = self.state.freed() {
            self.start_waiting(agent);
        }
    }

    fn drift(&mut self, object: &ObjectRef, drift: &Drift) {
        match drift {
            Drift::Unwanted { uid } => self.unwanted(object, uid),
            Drift::Missing { .. } | Drift::Changed { .. } => match children::owner_of(object) {
                Some(owner) if owner.kind == Kind::Session => {
                    self.session_changed(&owner, Cause::Observed);
                }
                Some(owner) => self.decide(&owner, Cause::Observed),
                None => {}
            },
        }
    }

    /// Deletes an object that no decision wants. A workspace that is kept is wanted by definition.
    fn unwanted(&mut self, object: &ObjectRef, uid: &Uid) {
        let written = self.state.object(object).is_some_and(|known| known.uid == *uid);
        if written
            || observe::owner_writes(self.state, object)
            || self.state.is_abandoned(object, uid)
        {
            return;
        }
        let delete = Action {
            verb: Verb::Delete,
            object: object.clone(),
            reason: Reason::NotWanted,
            content: None,
            uid: Some(uid.clone()),
        };
        self.conclude(object, uid, vec![delete]);
    }

    /// What stands behind a failed action depends on it, so it is not attempted; what was gone is
    /// created again.
    fn failed(&mut self, subject: &ObjectRef) {
        match subject.kind {
            Kind::Agent => self.decide(subject, Cause::Observed),
            Kind::Session => self.session_changed(subject, Cause::Observed),
            _ => {}
        }
    }

    fn applied(&mut self, subject: &ObjectRef) {
        let stubborn =
            |object: &ObjectRef| self.state.object(object).is_some_and(|known| known.stubborn);
        let done = self.state.pending(subject).is_empty();
        match subject.kind {
            Kind::Agent | Kind::Session if children::of(subject).iter().any(stubborn) => {
                self.decide(subject, Cause::Observed);
            }
            Kind::Session if done => {
                if let Some(session) = self.state.session(&subject.key) {
                    self.start_waiting(&session.agent_key(&subject.key));
                }
            }
            _ => {}
        }
    }

    /// A new binary or setting renders other content for what is pending: decide that again.
    fn epoch_started(&mut self) {
        let stale: Vec<_> = self
            .state
            .pending_subjects()
            .filter(|subject| {
                self.state.pending(subject).iter().any(|pending| {
                    let rendered = render::manifest(self.state, subject, &pending.action);
                    pending.action.content.is_some() && rendered.is_err()
                })
            })
            .cloned()
            .collect();
        for subject in stale {
            self.decide(&subject, Cause::Logic);
        }
    }
}

/// Whether these actions are what is pending already. The reason is for people and may differ; an
/// activation that stood behind its creation names no incarnation, and means the one created.
fn same(pending: &[PendingAction], uid: &Uid, actions: &[Action]) -> bool {
    pending.len() == actions.len()
        && pending.iter().zip(actions).all(|(pending, action)| {
            let old = &pending.action;
            let after_create = old.verb == Verb::Activate && old.uid.is_none();
            pending.subject_uid == *uid
                && (old.verb, &old.object, old.content)
                    == (action.verb, &action.object, action.content)
                && (after_create || old.uid == action.uid)
        })
}
