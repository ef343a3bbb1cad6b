//! Conditions, their times, and a status that is only written when it says something new.

use super::*;
use crate::event::{DecisionSettings, Event};
use crate::ids::{Epoch, LogId, Uid, WriterId};
use crate::resource::{AgentSpec, OperatingMode, children};
use crate::state::Position;

const NOW: WallMs = WallMs(1_700_000_000_123);
const LATER: WallMs = WallMs(1_700_000_999_000);

fn key() -> Key {
    Key::new("ns", "a")
}

/// A state that knows one Agent and has nothing decided about it.
fn state(spec: AgentSpec) -> State {
    let mut state = State::new();
    let settings = DecisionSettings {
        default_image: "x".to_owned(),
        default_storage_class: String::new(),
        session_max_duration_s: 60,
    };
    let events = [
        Event::LogStarted { log_id: LogId::from("l"), base: 0, predecessors: Vec::new() },
        Event::EpochStarted {
            epoch: Epoch(1),
            identity: WriterId::from("w"),
            build: String::new(),
            logic: 1,
            settings,
        },
        Event::AgentObserved {
            agent: children::agent(&key()),
            uid: Uid::from("u"),
            generation: 3,
            spec,
            inherited: Vec::new(),
        },
    ];
    for (seq, event) in (0..).zip(&events) {
        state.apply(Position::new(Seq(seq), 0), event).expect("it fits");
    }
    state
}

const UP: LiveDeployment = LiveDeployment { observed: true, replicas: 1, updated: 1, available: 1 };

fn at<'a>(deployment: LiveDeployment, previous: Option<&'a Value>, now: WallMs) -> LiveAgent<'a> {
    let context = Context { previous, now, ..Context::default() };
    LiveAgent { deployment: Some(deployment), context }
}

fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let all = status["conditions"].as_array().expect("conditions");
    all.iter().find(|condition| condition["type"] == kind).expect("this condition")
}

#[test]
fn a_status_that_says_nothing_new_is_returned_as_it_was() {
    let state = state(AgentSpec::default());
    let first = agent(&state, &key(), &at(UP, None, NOW)).expect("known");
    assert_eq!(condition(&first, READY)["status"], "True");
    assert_eq!(condition(&first, READY)["lastTransitionTime"], "2023-11-14T22:13:20Z");
    let mut older = first.clone();
    older["controllerEpoch"] = json!(0);
    let second = agent(&state, &key(), &at(UP, Some(&older), LATER)).expect("known");
    assert_eq!(second, older);
}

#[test]
fn only_a_condition_whose_status_changes_gets_a_new_time() {
    let state = state(AgentSpec::default());
    let first = agent(&state, &key(), &at(UP, None, NOW)).expect("known");
    let down = LiveDeployment { available: 0, ..UP };
    let second = agent(&state, &key(), &at(down, Some(&first), LATER)).expect("known");
    assert_eq!(condition(&second, READY)["status"], "False");
    assert_eq!(condition(&second, READY)["reason"], reason::RUNTIME_STARTING);
    assert_eq!(condition(&second, READY)["lastTransitionTime"], "2023-11-14T22:29:59Z");
    assert_eq!(condition(&second, ACCEPTED)["lastTransitionTime"], "2023-11-14T22:13:20Z");
    assert_eq!(second["controllerEpoch"], 1);
}

#[test]
fn a_deployment_whose_new_template_is_not_seen_yet_is_not_ready() {
    let state = state(AgentSpec::default());
    let live = json!({
        "observedGeneration": 4, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1,
    });
    let ready = |generation| {
        let live = at(LiveDeployment::read(generation, &live), None, NOW);
        let status = agent(&state, &key(), &live).expect("known");
        condition(&status, READY)["status"].clone()
    };
    assert_eq!(ready(4), "True");
    assert_eq!(ready(5), "False");
}

#[test]
fn a_refused_spec_names_field_value_and_fix() {
    let mut spec = AgentSpec::default();
    spec.workspace.size = "huge".to_owned();
    let state = state(spec);
    let status = agent(&state, &key(), &at(UP, None, NOW)).expect("known");
    let accepted = condition(&status, ACCEPTED);
    assert_eq!(accepted["status"], "False");
    assert_eq!(accepted["reason"], reason::INVALID_SPEC);
    let message = accepted["message"].as_str().expect("text");
    assert!(message.starts_with("spec.workspace.size: \"huge\" is not a quantity"), "{message}");
    assert_eq!(status["phase"], "Refused");
    assert_eq!(status["observedGeneration"], 3);
}

#[test]
fn a_suspended_agent_is_settled_when_its_pod_is_gone() {
    let spec = AgentSpec { operating_mode: OperatingMode::Suspended, ..AgentSpec::default() };
    let state = state(spec);
    let gone = LiveDeployment { observed: true, ..LiveDeployment::default() };
    let status = agent(&state, &key(), &at(gone, None, NOW)).expect("known");
    assert_eq!(condition(&status, SUSPENDED)["status"], "True");
    assert_eq!(condition(&status, PROGRESSING)["status"], "False");
    let status = agent(&state, &key(), &at(UP, None, NOW)).expect("known");
    assert_eq!(condition(&status, SUSPENDED)["status"], "False");
    assert_eq!(condition(&status, PROGRESSING)["reason"], reason::RUNTIME_STOPPING);
}

#[test]
fn messages_are_cut_at_a_character() {
    let long = shortened("é".repeat(1_000));
    assert!(long.len() <= 1_024 && long.ends_with('…'));
    assert_eq!(shortened("short".to_owned()), "short");
}

#[test]
fn a_write_that_the_server_forbids_shows_in_its_words_until_it_is_allowed() {
    let state = state(AgentSpec::default());
    let runtime = children::runtime(&key());
    let message = "exceeded quota: pods, requested: pods=1, used: pods=4, limited: pods=4";
    let mut live = at(UP, None, NOW);
    live.context.hindrance = Some(Hindrance { object: &runtime, verb: Verb::Update, message });
    let status = agent(&state, &key(), &live).expect("it is known");
    for (kind, holds) in [("Degraded", "True"), ("Ready", "False")] {
        let condition = condition(&status, kind);
        assert_eq!(condition["status"], holds, "{kind}");
        assert_eq!(condition["reason"], reason::WRITE_FORBIDDEN, "{kind}");
        let text = condition["message"].as_str().expect("a message");
        assert!(text.contains("update Deployment a-runtime") && text.contains(message), "{text}");
    }
    assert_eq!(status["phase"], "Degraded");
    live.context.hindrance = None;
    let status = agent(&state, &key(), &live).expect("it is known");
    assert_eq!(condition(&status, "Degraded")["reason"], reason::AS_EXPECTED);
    assert_eq!(status["phase"], "Running");
}
