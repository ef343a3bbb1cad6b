//! What the stories about leaders have in common.

use std::time::Duration;

use rynxs_core::event::Event;
use serde_json::{Value, json};

use super::world::{Leader, World};

pub const AGENTS: &str = "/apis/universe.ai/v1alpha1/namespaces/team/agents";
pub const SESSIONS: &str = "/apis/universe.ai/v1alpha1/namespaces/team/sessions";
pub const RUNTIME: &str = "/apis/apps/v1/namespaces/team/deployments/a-runtime";
pub const SPEC: &str = "/api/v1/namespaces/team/configmaps/a-spec";
pub const CLAIM: &str = "/api/v1/namespaces/team/persistentvolumeclaims/a-workspace";
pub const RUN: &str = "/apis/batch/v1/namespaces/team/jobs/s-run";

pub fn agent(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "universe.ai/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": name, "namespace": "team"},
        "spec": spec,
    })
}

/// Status of one condition, empty if there is none.
pub fn condition(world: &World, path: &str, r#type: &str) -> String {
    let object = world.get(path).unwrap_or_default();
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|condition| condition["type"] == r#type);
    found.and_then(|found| found["status"].as_str()).unwrap_or_default().to_owned()
}

pub fn replicas(world: &World) -> Option<i64> {
    world.get(RUNTIME)?["spec"]["replicas"].as_i64()
}

/// Every decided action has exactly one outcome; returns how many there were.
pub fn outcomes(world: &World) -> usize {
    let mut open = std::collections::BTreeSet::new();
    let mut outcomes = 0;
    for (seq, record) in world.log.batches().into_iter().enumerate() {
        let seq = seq as u64;
        for event in record {
            match event {
                Event::ActionsDecided { subject, actions, .. } => {
                    for index in 0..actions.len() {
                        assert!(open.insert((seq, subject.clone(), index)), "decided twice");
                    }
                }
                Event::ActionApplied { decision, subject, action, .. }
                | Event::ActionFailed { decision, subject, action, .. } => {
                    outcomes += 1;
                    let key = (decision.0, subject, action as usize);
                    assert!(open.remove(&key), "an outcome without its decision: {key:?}");
                }
                Event::ActionSuperseded { decision, subject, actions, .. } => {
                    for action in actions {
                        let key = (decision.0, subject.clone(), action as usize);
                        assert!(open.remove(&key), "superseded without a decision: {key:?}");
                    }
                }
                _ => {}
            }
        }
    }
    assert!(open.is_empty(), "without an outcome: {open:?}");
    outcomes
}

/// No write of the operator was refused, and stamps never fell.
pub fn assert_orderly(world: &World) {
    for write in world.writes() {
        assert!(write.status_code < 400, "{write:?}");
    }
}

/// Starts a leader and brings Agent `a` to a running runtime.
pub async fn with_agent(spec: &Value) -> (World, Leader) {
    let mut world = World::new();
    let leader = world.lead();
    world.create(AGENTS, &agent("a", spec));
    settled(&world).await;
    assert_eq!(replicas(&world), Some(1));
    (world, leader)
}

/// Waits until nothing is written any more.
pub async fn settled(world: &World) {
    let mut before = (usize::MAX, usize::MAX);
    for _ in 0..60 {
        let now = (world.writes().len(), world.log.len());
        if now == before {
            return;
        }
        before = now;
        world.pass(Duration::from_secs(3)).await;
    }
    panic!("never settles: {:#?}", world.log.events().iter().rev().take(20).collect::<Vec<_>>());
}

pub fn decided(world: &World) -> usize {
    let events = world.log.events();
    events.iter().filter(|event| matches!(event, Event::ActionsDecided { .. })).count()
}

pub fn outcomes_so_far(world: &World) -> usize {
    let events = world.log.events();
    events.iter().filter(|event| matches!(event, Event::ActionApplied { .. })).count()
}

/// An agent whose sessions' pods run for a day.
pub fn long_runs() -> Value {
    json!({"env": [{"name": "MODEL_RUN_MS", "value": "86400000"}]})
}

pub fn session(spec: &Value) -> Value {
    json!({
        "apiVersion": "universe.ai/v1alpha1",
        "kind": "Session",
        "metadata": {"name": "s", "namespace": "team"},
        "spec": spec,
    })
}

/// Applies `a-spec` with the operator's own rights, as another installation or log would.
pub fn apply_spec(world: &World, stamp: u64, log: &str) {
    let live = world.get(SPEC).unwrap_or_default();
    let mut body = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": "a-spec", "namespace": "team",
            "labels": {"app.kubernetes.io/managed-by": "rynxs"},
            "annotations": {
                "rynxs.universe.ai/stamp": stamp.to_string(),
                "rynxs.universe.ai/log": log,
            },
        },
        "data": {"from": "elsewhere"},
    });
    if !live.is_null() {
        body["metadata"]["ownerReferences"] = live["metadata"]["ownerReferences"].clone();
    }
    let path = format!("{SPEC}?fieldManager=rynxs&force=true");
    let (code, answer) = world.as_operator("PATCH", &path, "application/apply-patch+yaml", &body);
    assert!(code < 300, "{code} {answer}");
}

/// Identity of the log, as its first record has it.
pub fn log_id(world: &World) -> String {
    match world.log.events().into_iter().next() {
        Some(Event::LogStarted { log_id, .. }) => log_id.0,
        other => panic!("not a log: {other:?}"),
    }
}

/// Reason and message of one condition.
pub fn why(world: &World, path: &str, r#type: &str) -> (String, String) {
    let object = world.get(path).unwrap_or_default();
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.into_iter().find(|condition| condition["type"] == r#type);
    let text = |field: &str| {
        found.as_ref().and_then(|found| found[field].as_str()).unwrap_or_default().to_owned()
    };
    (text("reason"), text("message"))
}
