//! I6 on streams: what the log says, against itself and against the cluster.

use rynxs_core::event::{ChildState, Drift, Event as LogEvent};
use rynxs_core::ids::{Hash, Uid};
use rynxs_judge::event::Event;
use rynxs_judge::{Invariant, Report};
use serde_json::{Value, json};

use crate::clean::rich;
use crate::only;
use crate::story::{Story, object, parsed};

fn settled() -> Story {
    let mut story = Story::begin();
    story.user("Agent", "a", json!({ "team": "red" }));
    story.user("Session", "s", json!({ "agentRef": "a", "input": "x" }));
    story.settle();
    story
}

fn agent_observed(story: &Story, generation: i64, spec: Value) -> LogEvent {
    let live = &story.api[&object("Agent", "a")];
    LogEvent::AgentObserved {
        agent: parsed(&object("Agent", "a")),
        uid: Uid(live["metadata"]["uid"].as_str().expect("a uid").to_owned()),
        generation,
        spec: serde_json::from_value(spec).expect("a spec"),
        inherited: Vec::new(),
    }
}

/// What I6 expected, finding by finding.
fn expected(report: &Report) -> Vec<String> {
    let found = report.of(Invariant::I6Replay).findings();
    found.iter().map(|finding| finding.expected.clone()).collect()
}

fn judged(story: &Story) -> Vec<String> {
    expected(&story.report())
}

#[test]
fn an_observation_that_says_nothing_new_is_found() {
    let mut story = settled();
    let again = agent_observed(&story, 1, json!({ "team": "red" }));
    story.append(&[again]);
    story.heal();
    story.end();
    let found = only(&story, Invariant::I6Replay);
    assert_eq!(found[0].expected, "something new");
    assert_eq!(found[0].lines.len(), 2);
}

#[test]
fn a_generation_that_falls_is_found() {
    let mut story = settled();
    story.user("Agent", "a", json!({ "team": "blue" }));
    story.settle();
    let old = agent_observed(&story, 1, json!({ "team": "red" }));
    story.append(&[old]);
    assert_eq!(judged(&story), ["at least generation 2"]);
}

#[test]
fn a_spec_that_nobody_wrote_is_found() {
    let mut story = settled();
    story.user("Agent", "a", json!({ "team": "blue" }));
    let other = agent_observed(&story, 2, json!({ "team": "green" }));
    story.record(vec![other]);
    assert_eq!(judged(&story), ["what was written as generation 2"]);
    let other = agent_observed(&story, 9, json!({ "team": "blue" }));
    story.record(vec![other]);
    assert_eq!(judged(&story)[1], "a generation that there was");
}

#[test]
fn a_trigger_that_is_not_the_event_before_is_found() {
    let mut story = settled();
    story.user("Agent", "a", json!({ "operatingMode": "Suspended" }));
    story.observe();
    let text = story.last_record();
    let at = text.find("\"trigger\":{").expect("a decision");
    let hash = text[at..].find("\"sha256\":\"").expect("a hash") + at + 10;
    let mut wrong = text.clone();
    wrong.replace_range(hash..hash + 8, "00000000");
    story.replace_last_record(&wrong);
    assert!(judged(&story)[0].starts_with("trigger "), "{}", story.report());
}

#[test]
fn actions_under_the_hash_of_others_are_found() {
    let mut story = settled();
    story.user("Agent", "a", json!({ "operatingMode": "Suspended" }));
    story.observe();
    let wrong = story.last_record().replace("\"reason\":\"SpecChanged\"", "\"reason\":\"Resumed\"");
    story.replace_last_record(&wrong);
    assert!(judged(&story)[0].starts_with("actions_sha256 "), "{}", story.report());
}

#[test]
fn an_end_of_a_session_that_moves_is_found() {
    let mut story = settled();
    story.user(
        "Session",
        "s",
        json!({ "agentRef": "a", "input": "x",
        "ttlSecondsAfterFinished": 5 }),
    );
    story.observe();
    let text = story.last_record();
    let at = text.find("\"expires_ms\":").expect("an observation") + 13;
    let mut moved = text.clone();
    moved.replace_range(at..at + 1, "2");
    story.replace_last_record(&moved);
    assert!(judged(&story)[0].starts_with("expires_ms "), "{}", story.report());
}

#[test]
fn facts_about_objects_that_were_never_applied_are_found() {
    let mut story = settled();
    let uid = Uid::from("ghost");
    let claim = parsed(&object("PersistentVolumeClaim", "a-workspace"));
    let state = ChildState::VolumeBound;
    let drift = Drift::Changed { uid: uid.clone(), projection: Hash([2; 32]) };
    story.append(&[
        LogEvent::ChildObserved { object: claim.clone(), uid, state },
        LogEvent::DriftObserved { object: claim.clone(), drift },
    ]);
    let expected = judged(&story);
    assert_eq!(expected.len(), 2, "{expected:?}");
    assert!(expected.iter().all(|said| said.ends_with("applied before")), "{expected:?}");
}

#[test]
fn the_same_state_of_a_child_told_twice_is_found() {
    let mut story = settled();
    let name = object("PersistentVolumeClaim", "a-workspace");
    let uid = Uid(story.api[&name]["metadata"]["uid"].as_str().expect("a uid").to_owned());
    let state = ChildState::VolumeBound;
    story.append(&[LogEvent::ChildObserved { object: parsed(&name), uid, state }]);
    assert_eq!(judged(&story), ["something new"]);
}

#[test]
fn a_deletion_of_what_is_still_there_is_found() {
    let mut story = settled();
    let live = &story.api[&object("Agent", "a")];
    let uid = Uid(live["metadata"]["uid"].as_str().expect("a uid").to_owned());
    story.record(vec![LogEvent::AgentDeleted { agent: parsed(&object("Agent", "a")), uid }]);
    assert!(judged(&story)[0].ends_with("gone before"), "{}", story.report());
}

#[test]
fn a_creation_of_what_exists_is_found() {
    let mut story = settled();
    story.user("Agent", "a", json!({ "operatingMode": "Suspended" }));
    story.observe();
    let wrong = story.last_record().replace("\"verb\":\"Update\"", "\"verb\":\"Create\"");
    story.replace_last_record(&wrong);
    let expected = judged(&story);
    assert!(expected.contains(&"no creation of what exists".to_owned()), "{expected:?}");
}

#[test]
fn a_replay_that_fails_or_is_missing_is_not_green() {
    let mut story = rich();
    story.end();
    let replayed = |line: &rynxs_judge::event::Line| matches!(line.event, Event::Replayed { .. });
    let at = story.lines.iter().position(replayed).expect("it was replayed");
    story.lines[at].event = Event::Replayed { fault: "seq 3 differs".into(), decisions: 2 };
    assert_eq!(only(&story, Invariant::I6Replay)[0].lines, [at]);
    story.lines.remove(at);
    let report = story.report();
    assert!(report.failed().is_empty() && !report.is_green(), "{report}");
}

#[test]
fn a_live_object_that_the_log_does_not_know_is_found_at_the_end() {
    let mut story = settled();
    // A decision about it, a write, and then a log that forgot.
    let name = object("ConfigMap", "a-spec");
    story.user("Agent", "a", json!({ "team": "blue" }));
    story.observe();
    let (subject, pending, uid) = story.perform_silently();
    assert_eq!(pending.action.object.to_string(), name);
    story.append(&[LogEvent::ActionSuperseded {
        decision: pending.decision,
        subject: subject.clone(),
        actions: story.state.pending(&subject).iter().map(|p| p.index).collect(),
        by: pending.decision,
    }]);
    story.heal();
    story.end();
    let expected = judged(&story);
    assert!(expected.iter().any(|said| said.starts_with("stamp ")), "{expected:?} {uid}");
}

#[test]
fn an_object_that_is_gone_and_not_missed_is_found_at_the_end() {
    let mut story = settled();
    story.delete("alice", &object("ConfigMap", "a-spec"));
    story.heal();
    story.end();
    let found = story.report();
    let found = found.of(Invariant::I6Replay).findings();
    assert_eq!(found[0].found, "no object");
}
