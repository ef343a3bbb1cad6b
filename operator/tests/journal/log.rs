//! What a log says, from its bytes alone: the chain, the reduced state, and every decision made
//! once more.

use std::collections::BTreeSet;

use rynxs_core::chain::Chain;
use rynxs_core::decide;
use rynxs_core::event::{Event, Trigger};
use rynxs_core::ids::{Key, Kind, ObjectRef, Uid};
use rynxs_core::resource::{AgentSpec, SessionLimits, SessionMode, SessionSpec};
use rynxs_core::state::{Position, State};

use crate::store::Memory;

/// A log, verified and reduced.
pub(crate) struct Verified {
    pub(crate) chain: Chain,
    pub(crate) state: State,
    /// Types of the events, record by record.
    pub(crate) kinds: Vec<Vec<String>>,
    pub(crate) events: Vec<Event>,
}

/// Verifies I1, I3 and I6, and that no record holds two decisions about one object.
pub(crate) fn verified(memory: &Memory) -> Verified {
    let mut log = Verified {
        chain: Chain::new(),
        state: State::new(),
        kinds: Vec::new(),
        events: Vec::new(),
    };
    for line in memory.lines() {
        let record = log.chain.push(&line).expect("I1 and I3");
        let seq = record.header.seq;
        let mut decided = BTreeSet::new();
        let mut owed = Vec::new().into_iter();
        for index in 0..record.event_count() {
            let event = record.event(index).expect("an event");
            let at = Position::new(seq, u32::try_from(index).expect("few"));
            log.state.apply(at, &event).expect("I5");
            if decide::is_follow_up(&event) {
                assert_eq!(owed.next().as_ref(), Some(&event), "I6: decided alike once more");
            } else {
                assert_eq!(owed.next(), None, "I6: what follows stands in the same record");
                let sha256 = record.event_sha256(index);
                let trigger = Trigger { seq, index: at.index, sha256 };
                owed = decide::follow_ups(&log.state, trigger, &event).into_iter();
            }
            if let Event::ActionsDecided { subject, actions, .. } = &event {
                let about: BTreeSet<_> =
                    actions.iter().map(|a| &a.object).chain([subject]).cloned().collect();
                for object in about {
                    assert!(decided.insert(object.clone()), "I4: {object} twice in record {seq}");
                }
            }
            log.events.push(event);
        }
        assert_eq!(owed.next(), None, "I6: what follows stands in the same record");
        log.kinds.push(record.raw_events().map(|event| event.kind.to_owned()).collect());
    }
    log
}

/// An Agent of the default namespace, with a team so that generations can differ, and room for two
/// Sessions at once.
pub(crate) fn agent(name: &str, generation: i64) -> Event {
    Event::AgentObserved {
        agent: ObjectRef::new(Kind::Agent, "default", name),
        uid: Uid(format!("uid-of-{name}")),
        generation,
        spec: AgentSpec {
            team: Some(format!("team-{generation}")),
            sessions: Some(SessionLimits { max_concurrent: Some(2), ..SessionLimits::default() }),
            ..AgentSpec::default()
        },
        inherited: Vec::new(),
    }
}

/// A Session of an Agent of the default namespace; odd generations run, even ones are suspended.
pub(crate) fn session(state: &State, agent: &str, name: &str, generation: i64) -> Event {
    let operating_mode =
        if generation % 2 == 1 { SessionMode::Running } else { SessionMode::Suspended };
    let spec = SessionSpec {
        agent_ref: agent.to_owned(),
        operating_mode,
        max_duration: Some("30m".to_owned()),
        ..SessionSpec::default()
    };
    let uid = Uid(format!("uid-of-{name}"));
    let now_ms = 1_790_000_000_000;
    decide::session_observed(state, &Key::new("default", name), &uid, generation, spec, now_ms)
}

/// The outcome of the first pending action of an Agent or Session.
pub(crate) fn applied(state: &State, kind: Kind, name: &str) -> Option<Event> {
    let subject = ObjectRef { kind, key: Key::new("default", name) };
    let pending = state.pending(&subject).first()?;
    Some(Event::ActionApplied {
        decision: pending.decision,
        action: pending.index,
        uid: Uid(format!("uid-of-{}", pending.action.object)),
        projection: rynxs_core::record::sha256(b"projection"),
        subject,
    })
}
