//! I8 on streams: a leader in time, the desired state in time, and then nothing more.

use rynxs_judge::event::{Event, Line};
use rynxs_judge::oracle::Bounds;
use rynxs_judge::{Invariant, Verdict};
use serde_json::json;

use crate::only;
use crate::story::{OPERATOR, Story, head, object};

const MS: u64 = 1_000_000;

fn settled() -> Story {
    let mut story = Story::begin();
    story.user("Agent", "a", json!({}));
    story.settle();
    story
}

/// Longer than every bound of a story's head.
fn long_ms() -> u64 {
    bounds().state_ns / MS + 60_000
}

fn bounds() -> Bounds {
    Bounds::new(&head().terms, head().terms.request_timeout_ms, 10, false)
}

#[test]
fn a_run_that_nobody_leads_is_found() {
    let mut story = settled();
    story.stop_leading();
    story.heal();
    story.pass(long_ms());
    story.say("run", Event::Note { text: "still nobody".into() });
    story.end();
    let found = only(&story, Invariant::I8Converge);
    assert_eq!((found[0].place.as_str(), found[0].found.as_str()), ("leadership", "nobody leads"));
    assert_eq!(found[0].lines.len(), 2);
}

#[test]
fn a_replica_that_finds_its_own_program_wrong_is_found_although_another_goes_on() {
    let mut story = settled();
    let why = "an invariant of this program is broken".to_owned();
    story.say("rynxs-1", Event::Exited { why: why.clone(), corrupt: false, bug: true });
    story.heal();
    story.settle();
    story.end();
    let found = only(&story, Invariant::I8Converge);
    assert_eq!((found[0].place.as_str(), &found[0].found), ("rynxs-1", &why));
}

#[test]
fn an_object_that_nobody_mends_is_found_once() {
    let mut story = settled();
    let name = object("NetworkPolicy", "a-runtime");
    let mut open = story.api[&name].clone();
    open["spec"]["egress"] = json!([]);
    story.put("alice", &name, open, "");
    story.heal();
    story.pass(long_ms());
    story.end();
    let found = only(&story, Invariant::I8Converge);
    assert_eq!(found.len(), 1);
    assert!(found[0].found.contains("spec.egress"), "{found:?}");
}

#[test]
fn a_run_that_ends_too_early_is_unknown() {
    let mut story = settled();
    let name = object("Deployment", "a-runtime");
    let mut gone = story.api[&name].clone();
    gone["spec"]["replicas"] = json!(3);
    story.put("alice", &name, gone, "");
    story.heal();
    story.end();
    let report = story.report();
    assert!(matches!(report.of(Invariant::I8Converge), Verdict::Unknown { .. }), "{report}");
}

#[test]
fn a_run_that_does_not_stay_long_enough_is_unknown() {
    let mut story = settled();
    story.heal();
    story.pass(25_000);
    story.say("run", Event::End);
    let report = story.report();
    let Verdict::Unknown { why } = report.of(Invariant::I8Converge) else { panic!("{report}") };
    assert!(why.contains("stayed"), "{why}");
}

#[test]
fn a_run_without_a_lease_has_no_leader() {
    let mut story = settled();
    story.heal();
    story.pass(long_ms());
    story.end();
    let is_lease = |line: &Line| match &line.event {
        Event::ObjectWrite(write) => write.object.starts_with("Lease/"),
        _ => false,
    };
    story.lines.retain(|line| !is_lease(line));
    let report = story.report();
    assert!(report.of(Invariant::I8Converge).is_fail(), "{report}");
}

#[test]
fn a_leader_that_never_begins_its_epoch_is_found() {
    let mut story = settled();
    story.stop_leading();
    story.heal();
    for _ in 0..long_ms() / 2_000 {
        story.skip(2_000);
        story.write_lease("rynxs-1_2");
    }
    story.say("run", Event::End);
    let report = story.report();
    let found = report.of(Invariant::I8Converge).findings();
    assert!(report.of(Invariant::I8Converge).is_fail(), "{report}");
    assert!(found[0].found.contains("epoch"), "{found:?}");
}

#[test]
fn an_operator_that_goes_on_writing_is_found() {
    let mut story = settled();
    story.heal();
    story.pass(15_000);
    let name = object("ConfigMap", "a-spec");
    let same = story.api[&name].clone();
    story.put(OPERATOR, &name, same, "");
    story.end();
    let found = only(&story, Invariant::I8Converge);
    assert_eq!(found[0].found, "apply ConfigMap/team-a/a-spec");
}

#[test]
fn another_leader_where_nothing_is_broken_is_found() {
    let mut story = settled();
    story.heal();
    // Who was about to stop when the faults ended may still do so for as long as an election takes.
    story.pass(bounds().leader_ns / MS + 15_000);
    story.lead("rynxs-1_2");
    story.end();
    let found = only(&story, Invariant::I8Converge);
    assert!(found[0].found.contains("EpochStarted"), "{found:?}");
}

#[test]
fn what_a_person_changes_after_the_faults_is_mended_in_peace() {
    let mut story = settled();
    story.heal();
    story.pass(5_000);
    story.user("Agent", "a", json!({ "operatingMode": "Suspended" }));
    story.pass(5_000);
    story.settle();
    story.end();
    assert!(story.report().is_green(), "{}", story.report());
}

#[test]
fn a_silent_watch_may_take_until_the_next_resync() {
    let mut story = settled();
    story.say("nemesis", Event::FaultBegan { fault: "drop-events".into(), detail: String::new() });
    story.user("Agent", "a", json!({ "operatingMode": "Suspended" }));
    story.heal();
    story.pass(long_ms());
    story.settle();
    story.end();
    assert!(story.report().is_green(), "{}", story.report());
}
