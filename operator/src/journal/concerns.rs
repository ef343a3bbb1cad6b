//! Whom an event concerns, widely: which decisions it may lead to, or has led to.
//!
//! A fact is placed in a record before what follows from it is known, and two decisions about one
//! object must not share a record. So a record closes before a fact that concerns anybody whom a
//! decision in it concerned: an Agent and its Sessions are one family, as a finished Session may
//! start another one of its Agent.

use std::collections::BTreeSet;

use rynxs_core::event::Event;
use rynxs_core::ids::{Kind, ObjectRef};
use rynxs_core::resource::children;
use rynxs_core::state::State;

/// Everybody whom an event about to be applied, or just applied, concerns.
pub(super) fn concerns(state: &State, event: &Event) -> BTreeSet<ObjectRef> {
    let mut all = BTreeSet::new();
    match event {
        Event::LogStarted { .. }
        | Event::EpochStarted { .. }
        | Event::CheckpointCreated { .. }
        | Event::TailRepaired { .. } => {}
        Event::SessionObserved { session, spec, .. } => {
            family(state, session, &mut all);
            let agent =
                ObjectRef::new(Kind::Agent, &*session.key.namespace, spec.agent_ref.as_str());
            all.insert(agent);
        }
        Event::AgentObserved { agent: object, .. }
        | Event::AgentDeleted { agent: object, .. }
        | Event::SessionDeleted { session: object, .. }
        | Event::ChildObserved { object, .. }
        | Event::DriftObserved { object, .. }
        | Event::TimerFired { subject: object, .. }
        | Event::ActionApplied { subject: object, .. }
        | Event::ActionFailed { subject: object, .. }
        | Event::ActionSuperseded { subject: object, .. } => family(state, object, &mut all),
        Event::ActionsDecided { subject, actions, .. } => {
            family(state, subject, &mut all);
            for action in actions {
                family(state, &action.object, &mut all);
            }
        }
    }
    all
}

/// An object, whom it belongs to, and the Agent behind it.
fn family(state: &State, object: &ObjectRef, all: &mut BTreeSet<ObjectRef>) {
    all.insert(object.clone());
    let owners = [
        children::owner_of(object),
        state.object(object).map(|known| known.owner.clone()),
        Some(object.clone()),
    ];
    for owner in owners.into_iter().flatten() {
        if owner.kind == Kind::Session
            && let Some(session) = state.session(&owner.key)
        {
            all.insert(children::agent(&session.agent_key(&owner.key)));
        }
        all.insert(owner);
    }
}
