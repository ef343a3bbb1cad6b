//! I5 on streams: effects, their decisions, and their outcomes.

use rynxs_core::event::{ChildState, Event as LogEvent};
use rynxs_core::ids::Uid;
use rynxs_judge::Invariant;
use rynxs_judge::event::Event;
use serde_json::json;

use crate::only;
use crate::story::{BASE, OPERATOR, Story, object, parsed};

fn with_agent() -> Story {
    let mut story = Story::begin();
    story.user("Agent", "a", json!({}));
    story.observe();
    story
}

fn ended(mut story: Story) -> Story {
    story.settle();
    story.heal();
    story.settle();
    story.end();
    story
}

/// Performs up to the creation of the object of this kind, which is still to come.
fn up_to(story: &mut Story, kind: &str) {
    while story.next().is_none_or(|(_, p)| format!("{:?}", p.action.object.kind) != kind) {
        assert!(story.perform(), "there is a creation of a {kind}");
    }
}

#[test]
fn a_create_that_runs_something_is_found() {
    let mut story = with_agent();
    up_to(&mut story, "Deployment");
    let (subject, pending) = story.next().expect("the creation");
    let mut value = story.manifest(&subject, &pending.action, pending.decision.0);
    value["spec"]["replicas"] = json!(1);
    let stored = story.put(OPERATOR, &pending.action.object.to_string(), value, "");
    let uid = Uid(stored["metadata"]["uid"].as_str().expect("a uid").to_owned());
    story.outcome(subject, &pending, uid);
    let found = only(&ended(story), Invariant::I5Intent);
    assert_eq!(found[0].expected, "a create that runs nothing");
}

#[test]
fn a_start_before_the_record_of_its_creation_is_found() {
    let mut story = with_agent();
    up_to(&mut story, "Deployment");
    let (subject, create, uid) = story.perform_silently();
    let activate = story.state.pending(&subject)[1].clone();
    let value = story.manifest(&subject, &activate.action, activate.decision.0);
    story.put(OPERATOR, &activate.action.object.to_string(), value, "");
    story.outcome(subject.clone(), &create, uid.clone());
    story.outcome(subject, &activate, uid);
    let found = only(&ended(story), Invariant::I5Intent);
    assert!(found[0].expected.starts_with("a start after the record"), "{found:?}");
}

#[test]
fn an_effect_before_its_record_is_accepted_is_found() {
    let mut story = with_agent();
    let at = story.lines.len();
    story.settle();
    let record = story.lines[..at].iter().rposition(|l| matches!(l.event, Event::LogWrite(_)));
    let record = record.expect("the decision");
    // The first creation was applied before the store took the decision.
    story.lines[record..=at].rotate_left(1);
    let found = only(&ended(story), Invariant::I5Intent);
    assert_eq!(found[0].found, "accepted after it");
    assert_eq!(found[0].lines.len(), 2);
}

#[test]
fn an_effect_that_was_never_decided_is_found() {
    let mut story = with_agent();
    story.settle();
    let name = object("ConfigMap", "a-spec");
    let before = story.api[&name].clone();
    let mut other = before.clone();
    let stamp = json!((crate::story::BASE + 1).to_string());
    other["metadata"]["annotations"]["rynxs.universe.ai/stamp"] = stamp;
    other["metadata"]["uid"] = json!("uid-other");
    // A creation beside the decided one, so that no stamp falls.
    story.delete("alice", &name);
    story.put(OPERATOR, &name, other, "");
    let report = story.report();
    assert!(report.of(Invariant::I5Intent).is_fail(), "{report}");
    assert!(!report.of(Invariant::I4Fenced).is_fail(), "{report}");
}

#[test]
fn a_kept_workspace_that_is_deleted_is_found() {
    for kept in [true, false] {
        let mut story = with_agent();
        story.settle();
        let name = object("PersistentVolumeClaim", "a-workspace");
        let mut claim = story.api[&name].clone();
        if kept {
            claim["metadata"]["annotations"]["rynxs.universe.ai/retained-for"] = json!("a");
        }
        story.put("alice", &name, claim, "");
        story.delete(OPERATOR, &name);
        let report = story.report();
        let found = report.of(Invariant::I5Intent).findings();
        let told = found.iter().any(|f| f.expected == "no deletion of a workspace that is kept");
        assert_eq!(told, kept, "{report}");
    }
}

#[test]
fn work_that_is_left_at_the_end_is_found_only_if_the_run_went_on() {
    let mut story = with_agent();
    story.perform();
    assert!(!story.report().of(Invariant::I5Intent).is_fail());
    story.heal();
    story.end();
    let report = story.report();
    assert!(report.of(Invariant::I5Intent).is_fail(), "{report}");
}

#[test]
fn an_outcome_of_a_write_that_never_was_is_found() {
    let mut story = with_agent();
    let (subject, pending) = story.next().expect("a creation");
    story.outcome(subject, &pending, Uid::from("nowhere"));
    let report = story.report();
    let found = report.of(Invariant::I5Intent).findings();
    assert_eq!(found[0].found, "no such effect before the record", "{report}");
}

#[test]
fn an_outcome_told_twice_is_found() {
    let mut story = with_agent();
    let (subject, pending, uid) = story.perform_silently();
    story.outcome(subject.clone(), &pending, uid.clone());
    story.append(&[LogEvent::ActionApplied {
        decision: pending.decision,
        subject,
        action: pending.index,
        uid,
        projection: rynxs_core::ids::Hash([1; 32]),
    }]);
    let report = story.report();
    let found = report.of(Invariant::I5Intent).findings();
    assert_eq!(found[0].found, "a second outcome", "{report}");
}

#[test]
fn an_operator_that_deletes_an_agent_is_found() {
    let mut story = with_agent();
    story.settle();
    story.delete(OPERATOR, &object("Agent", "a"));
    let found = only(&ended(story), Invariant::I5Intent);
    assert_eq!(found[0].place.split(' ').next_back(), Some("Agent/team-a/a"));
}

#[test]
fn a_session_that_runs_twice_is_found() {
    let mut story = with_agent();
    story.settle();
    story.user("Session", "s", json!({ "agentRef": "a", "input": "x" }));
    story.settle();
    let job = object("Job", "s-run");
    let first = story.api[&job].clone();
    story.delete("alice", &job);
    // The create that made it, once more: it runs nothing. Then the start, and another decision:
    // only that to delete it may come later.
    for (inert, later, marked, fails) in [
        (true, false, false, false),
        (false, false, false, true),
        (true, true, false, true),
        (true, true, true, false),
        (false, true, true, true),
    ] {
        let mut again = first.clone();
        again["spec"]["suspend"] = json!(inert);
        let annotations = &mut again["metadata"]["annotations"];
        if later {
            annotations["rynxs.universe.ai/stamp"] = json!((BASE + 1_000).to_string());
        }
        if marked {
            annotations["rynxs.universe.ai/deleting"] = json!("true");
        }
        let mut story = story.clone();
        story.put(OPERATOR, &job, again, "");
        let report = story.report();
        let found = report.of(Invariant::I5Intent).findings();
        let twice = found.iter().any(|f| f.expected.starts_with("no Job after"));
        assert_eq!(twice, fails, "{report}");
    }
}

#[test]
fn a_job_that_is_lost_and_not_made_again_is_green() {
    let mut story = with_agent();
    story.settle();
    story.user("Session", "s", json!({ "agentRef": "a", "input": "x" }));
    story.settle();
    let job = object("Job", "s-run");
    let uid = Uid(story.api[&job]["metadata"]["uid"].as_str().expect("a uid").to_owned());
    story.delete("alice", &job);
    let state = ChildState::JobLost { at_ms: 1 };
    story.record(vec![LogEvent::ChildObserved { object: parsed(&job), uid, state }]);
    let story = ended(story);
    assert!(story.report().is_green(), "{}", story.report());
}
