//! What is worth recording, and the facts that are computed once and then repeated.
//!
//! Only change is recorded: an observer asks [`is_news`] before it submits an event, so a resync of
//! an unchanged cluster appends nothing.

use crate::decide::{Cause, diff, same};
use crate::duration;
use crate::event::{ChildState, Drift, Event};
use crate::ids::{Key, Kind, ObjectRef, Uid};
use crate::resource::{AgentSpec, SessionMode, SessionSpec, children, validate};
use crate::state::{State, Volume};

/// The event for an Agent as it was seen.
#[must_use]
pub fn agent_observed(key: &Key, uid: &Uid, generation: i64, spec: AgentSpec) -> Event {
    Event::AgentObserved {
        agent: children::agent(key),
        uid: uid.clone(),
        generation,
        spec,
        inherited: Vec::new(),
    }
}

/// The event for a Session as it was seen at `now_ms`: the end of its time and the time of its
/// cancellation are computed when this incarnation is first seen so, and repeated from the state
/// ever after, so that neither a failover nor an edit restarts a timer.
#[must_use]
pub fn session_observed(
    state: &State,
    key: &Key,
    uid: &Uid,
    generation: i64,
    spec: SessionSpec,
    now_ms: u64,
) -> Event {
    let known = state.session(key).filter(|known| known.uid == *uid);
    let expires_ms = match known {
        Some(known) => known.expires_ms,
        None => Some(expiry(state, key, &spec, now_ms)),
    };
    let cancelled = spec.operating_mode == SessionMode::Cancelled;
    let cancelled_before = known.is_some_and(|known| known.is_cancelled());
    let cancelled_ms = match known.and_then(|known| known.finished) {
        Some(finish) if cancelled && cancelled_before => finish.at_ms,
        _ => cancelled.then_some(now_ms),
    };
    Event::SessionObserved {
        session: children::session(key),
        uid: uid.clone(),
        generation,
        spec,
        expires_ms,
        cancelled_ms,
        ended: None,
        inherited: Vec::new(),
    }
}

/// When a session that is first seen at `now_ms` must end, Unix milliseconds.
///
/// The shortest of its own `maxDuration`, its agent's limit and the operator's limit counts from
/// now; `shutdownTime` may end it earlier. What cannot be read counts as not given: such a spec is
/// refused anyway.
#[must_use]
pub fn expiry(state: &State, key: &Key, spec: &SessionSpec, now_ms: u64) -> u64 {
    let longest = state.epoch().map_or(duration::LONGEST.as_secs(), |epoch| {
        epoch.settings.session_max_duration_s.min(duration::LONGEST.as_secs())
    });
    let agent = Key::new(key.namespace.as_str(), spec.agent_ref.as_str());
    let limit =
        state.agent(&agent).and_then(|agent| agent.spec()?.sessions.as_ref()?.max_duration.clone());
    let parsed = |text: Option<&String>| text.and_then(|text| duration::parse(text).ok());
    let seconds = [parsed(spec.max_duration.as_ref()), parsed(limit.as_ref())]
        .into_iter()
        .flatten()
        .map(|span| span.as_secs())
        .fold(longest, u64::min);
    let end_ms = now_ms.saturating_add(seconds.saturating_mul(1_000));
    let shutdown = spec.shutdown_time.as_deref().and_then(validate::instant_ms);
    shutdown.map_or(end_ms, |at_ms| at_ms.min(end_ms))
}

/// Whether an observation would change the state, or ask for a decision. What is not news must not
/// be appended; decisions and outcomes are always news.
#[must_use]
pub fn is_news(state: &State, event: &Event) -> bool {
    match event {
        Event::AgentObserved { agent, uid, generation, spec, .. } => {
            let Some(known) = state.agent(&agent.key) else { return true };
            if known.uid != *uid {
                return true;
            }
            // A lower generation is an old answer.
            *generation > known.generation
                || (*generation == known.generation
                    && (known.observed != *spec || outdated(state, agent, known.revision)))
        }
        Event::AgentDeleted { agent, uid } => {
            state.agent(&agent.key).is_some_and(|known| known.uid == *uid)
        }
        Event::SessionObserved { session, uid, generation, spec, .. } => {
            let Some(known) = state.session(&session.key) else { return true };
            known.uid != *uid
                || *generation > known.generation
                || (*generation == known.generation && known.observed != *spec)
        }
        Event::SessionDeleted { session, uid } => {
            state.session(&session.key).is_some_and(|known| known.uid == *uid)
        }
        Event::ChildObserved { object, uid, state: seen } => {
            child_is_news(state, object, uid, *seen)
        }
        Event::TimerFired { subject, uid, timer, due_ms } => {
            state.session(&subject.key).is_some_and(|session| {
                session.uid == *uid && session.timers().any(|armed| armed == (*timer, *due_ms))
            })
        }
        Event::DriftObserved { object, drift } => drift_is_news(state, object, drift),
        _ => true,
    }
}

/// Whether logic or settings changed since the subject was last observed, and ask for something.
fn outdated(state: &State, subject: &ObjectRef, revision: u32) -> bool {
    state.epoch().is_some_and(|epoch| epoch.revision != revision)
        && diff::actions(state, subject, Cause::Logic)
            .is_some_and(|(uid, actions)| !same(state.pending(subject), uid, &actions))
}

fn child_is_news(state: &State, object: &ObjectRef, uid: &Uid, seen: ChildState) -> bool {
    let Some(known) = state.object(object).filter(|known| known.uid == *uid) else { return false };
    let volume = state.agent(&known.owner.key).map(|agent| agent.volume);
    match seen {
        ChildState::VolumeBound => volume.is_some_and(|volume| volume != Volume::Bound),
        ChildState::VolumeLost => volume.is_some_and(|volume| volume != Volume::Lost),
        ChildState::JobSucceeded { .. } | ChildState::JobFailed { .. } => {
            state.session(&known.owner.key).is_some_and(|session| session.finished.is_none())
        }
        ChildState::JobLost { .. } => true,
    }
}

fn drift_is_news(state: &State, object: &ObjectRef, drift: &Drift) -> bool {
    match drift {
        Drift::Missing { uid } => {
            let written = state.object(object).is_some_and(|known| known.uid == *uid);
            written || has_failure(state, object)
        }
        Drift::Changed { uid, projection } => state.object(object).is_some_and(|known| {
            known.uid == *uid && known.projection != *projection && !known.drifted
        }),
        Drift::Unwanted { uid } => {
            let written = state.object(object).is_some_and(|known| known.uid == *uid);
            let under_way = state.pending(object).iter().any(|p| p.subject_uid == *uid)
                || owner_writes(state, object);
            !written && !under_way && !state.is_abandoned(object, uid)
        }
    }
}

/// Whether a decision about the object's owner is about to write it.
#[must_use]
pub fn owner_writes(state: &State, object: &ObjectRef) -> bool {
    children::owner_of(object).is_some_and(|owner| {
        state.pending(&owner).iter().any(|pending| pending.action.object == *object)
    })
}

fn has_failure(state: &State, object: &ObjectRef) -> bool {
    match children::owner_of(object) {
        Some(ObjectRef { kind: Kind::Agent, key }) => {
            state.agent(&key).is_some_and(|agent| agent.failures.contains_key(object))
        }
        Some(ObjectRef { key, .. }) => {
            state.session(&key).is_some_and(|session| session.failures.contains_key(object))
        }
        None => false,
    }
}
