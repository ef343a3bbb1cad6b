//! I1 to I4 on streams: the log and the fence.

use std::sync::Arc;

use rynxs_judge::event::{Event, Excuse, Line};
use rynxs_judge::{History, Invariant, LogWrite, Verdict, judge, judge_stream};
use serde_json::json;

use crate::clean::rich;
use crate::only;
use crate::story::{OPERATOR, Story, object};

const STAMP: &str = "rynxs.universe.ai/stamp";
const DELETING: &str = "rynxs.universe.ai/deleting";

/// One Agent, settled.
fn settled() -> Story {
    let mut story = Story::begin();
    story.user("Agent", "a", json!({}));
    story.settle();
    story
}

fn ended(mut story: Story) -> Story {
    story.heal();
    story.settle();
    story.end();
    story
}

#[test]
fn a_history_taken_from_a_stream_says_the_same_of_its_writes() {
    let mut story = rich();
    story.end();
    let report = judge(&History::from_lines(&story.lines));
    assert!(report.is_green(), "{report}");
    assert_eq!(report.verdicts.len(), 5);
}

#[test]
fn a_record_that_changed_afterwards_breaks_chain_and_durability() {
    let mut story = ended(settled());
    let changed = story.lines.iter_mut().rev().find_map(|line| match &mut line.event {
        Event::LogAtEnd(object) => Some(object),
        _ => None,
    });
    let object = changed.expect("there is a log");
    object.text = object.text.replace("uid", "uie");
    let report = story.report();
    assert!(report.of(Invariant::I1Chain).is_fail(), "{report}");
    assert!(report.of(Invariant::I2Durable).is_fail(), "{report}");
}

#[test]
fn a_success_that_was_none_is_found_by_its_lines() {
    let mut story = settled();
    let write = LogWrite {
        key: "0000000003.json".into(),
        text: "{}".into(),
        status: 412,
        message: Some(7),
        ..LogWrite::default()
    };
    let tried = story.say("s3", Event::LogWrite(write));
    let told = story.say("rynxs-0", Event::Received { message: 7, status: 200 });
    let found = only(&ended(story), Invariant::I2Durable);
    assert_eq!(found[0].lines, [tried, told]);
    assert!(found[0].at_ns.is_some());
}

#[test]
fn a_stamp_set_by_a_person_is_found() {
    let mut story = settled();
    let name = object("ConfigMap", "theirs");
    let value = json!({ "metadata": { "annotations": { STAMP: "5" } } });
    let line = story.lines.len();
    story.put("alice", &name, value, "");
    story.delete("alice", &name);
    let found = only(&ended(story), Invariant::I4Fenced);
    assert_eq!(found[0].lines, [line]);
}

#[test]
fn a_stamp_that_vanishes_is_found() {
    let mut story = settled();
    let name = object("ConfigMap", "a-spec");
    let whole = story.api[&name].clone();
    let mut bare = whole.clone();
    bare["metadata"]["annotations"] = json!({});
    story.put("alice", &name, bare, "");
    story.put("alice", &name, whole, "");
    only(&ended(story), Invariant::I4Fenced);
}

#[test]
fn a_delete_without_a_mark_is_found() {
    let mut story = settled();
    story.delete(OPERATOR, &object("ConfigMap", "a-spec"));
    let report = story.report();
    assert!(report.of(Invariant::I4Fenced).is_fail(), "{report}");
}

#[test]
fn a_mark_by_a_person_is_found() {
    let mut story = settled();
    let name = object("ConfigMap", "a-spec");
    let whole = story.api[&name].clone();
    let mut marked = whole.clone();
    marked["metadata"]["annotations"][DELETING] = json!("true");
    story.put("alice", &name, marked, "");
    story.put("alice", &name, whole, "");
    only(&ended(story), Invariant::I4Fenced);
}

#[test]
fn a_person_s_object_that_is_taken_over_is_found() {
    let mut story = Story::begin();
    story.put("alice", &object("ConfigMap", "a-spec"), json!({ "data": { "mine": "1" } }), "");
    story.user("Agent", "a", json!({}));
    story.settle();
    only(&ended(story), Invariant::I4Fenced);
}

#[test]
fn a_late_write_of_an_older_decision_is_found() {
    let mut story = settled();
    let name = object("NetworkPolicy", "a-runtime");
    let old = story.api[&name].clone();
    story.user("Agent", "a", json!({ "egress": [{ "cidr": "10.0.0.0/8" }] }));
    story.settle();
    let new = story.api[&name].clone();
    story.put(OPERATOR, &name, old, "");
    story.put(OPERATOR, &name, new, "");
    only(&ended(story), Invariant::I4Fenced);
}

#[test]
fn a_fault_excuses_what_it_names_and_is_shown() {
    let mut story = settled();
    let name = object("ConfigMap", "theirs");
    story.put("alice", &name, json!({ "metadata": { "annotations": { STAMP: "5" } } }), "");
    story.delete("alice", &name);
    let mut story = ended(story);
    excuse(&mut story.lines, Invariant::I4Fenced);
    assert_eq!(story.report().failed(), [Invariant::I4Fenced], "the fault never began");
    let fault = Event::FaultBegan { fault: "policies-off".into(), detail: String::new() };
    story.lines.insert(1, Line { event: fault, ..story.lines[1].clone() });
    let report = story.report();
    assert!(report.failed().is_empty() && report.is_green(), "{report}");
    let Verdict::Excused { fault, findings } = report.of(Invariant::I4Fenced) else {
        panic!("{report}");
    };
    assert_eq!((fault.as_str(), findings.len()), ("policies-off", 1));
    assert!(report.to_string().contains("excused by policies-off"), "{report}");
}

fn excuse(lines: &mut [Line], invariant: Invariant) {
    let Event::Run(head) = &mut lines[0].event else { panic!("a stream begins with its head") };
    head.excused.push(Excuse { invariant, fault: "policies-off".into() });
}

#[test]
fn an_empty_stream_is_unknown_in_all_ten() {
    let report = judge_stream(&[]);
    assert!(report.failed().is_empty() && !report.is_green());
    assert!(report.verdicts.iter().all(|(_, v)| matches!(v, Verdict::Unknown { .. })), "{report}");
    assert!(Invariant::ALL.iter().zip(&report.verdicts).all(|(all, (judged, _))| all == judged));
}

#[test]
fn refused_and_unchanged_writes_are_no_effects() {
    let mut story = settled();
    let name = object("ConfigMap", "a-spec");
    let mut write = story.lines.iter().find_map(|line| match &line.event {
        Event::ObjectWrite(write) if write.object == name => Some((**write).clone()),
        _ => None,
    });
    let mut write = write.take().expect("it was written");
    write.status = 403;
    write.stamp = Some("1".into());
    write.value = Some(Arc::new(json!({})));
    story.say("api-0", Event::ObjectWrite(Box::new(write)));
    let story = ended(story);
    assert!(story.report().is_green(), "{}", story.report());
}
