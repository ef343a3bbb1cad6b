//! The reference of the desired state, asked directly.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use rynxs_judge::event::Event;
use rynxs_judge::{Cluster, ObjectWrite};
use serde_json::{Value, json};

use crate::clean::rich;
use crate::story::{OPERATOR, Story, head, object};

const WALL_MS: u64 = 1_789_948_800_000;

fn of(story: &Story) -> Cluster {
    let mut cluster = Cluster::new(&head());
    for line in &story.lines {
        if let Event::ObjectWrite(write) = &line.event {
            cluster.apply(write);
        }
    }
    cluster
}

fn lacks(story: &Story) -> Option<String> {
    of(story).missing(WALL_MS + story.now_ns() / 1_000_000)
}

fn write(user: &str, object: &str, value: Value) -> ObjectWrite {
    ObjectWrite {
        user: user.into(),
        object: object.into(),
        verb: "patch".into(),
        status: 200,
        changed: true,
        value: Some(Arc::new(value)),
        ..ObjectWrite::default()
    }
}

#[test]
fn every_single_field_that_matters_is_missed() {
    let story = rich();
    assert_eq!(lacks(&story), None);
    let replicas = "/spec/replicas";
    let pod = "/spec/template/spec";
    for (name, pointer, other) in [
        ("Deployment/boss-runtime", replicas, json!(0)),
        ("Deployment/boss-runtime", "/spec/template/spec/containers/0/image", json!("evil")),
        ("Deployment/boss-runtime", "/spec/template/spec/containers/0/env", json!([])),
        ("Deployment/boss-runtime", "/metadata/ownerReferences", json!([])),
        ("Deployment/boss-runtime", "/spec/template/spec/volumes", json!([])),
        ("Deployment/boss-runtime", pod, json!({})),
        ("ConfigMap/boss-spec", "/data/agent.json", json!("{}")),
        ("NetworkPolicy/boss-runtime", "/spec/egress", json!([{}])),
        ("NetworkPolicy/a-runtime", "/spec/ingress", json!([])),
        ("PersistentVolumeClaim/a-workspace", "/spec/resources/requests/storage", json!("1Gi")),
        ("PersistentVolumeClaim/boss-workspace", "/metadata/annotations", json!({})),
        ("NetworkPolicy/t-session", "/spec/egress", json!([{}])),
        ("Agent/a", "/status/observedGeneration", json!(1)),
        ("Agent/a", "/status/conditions", json!([])),
        ("Session/u", "/status/conditions", json!([])),
    ] {
        let (kind, name) = name.split_once('/').expect("a kind and a name");
        let object = object(kind, name);
        let Some(mut value) = story.api.get(&object).cloned() else {
            assert!(name.starts_with("t-"), "{object} is there");
            continue;
        };
        *value.pointer_mut(pointer).unwrap_or_else(|| panic!("{object} has {pointer}")) = other;
        let mut cluster = of(&story);
        cluster.apply(&write("alice", &object, value));
        let lacks = cluster.missing(WALL_MS + story.now_ns() / 1_000_000);
        assert!(lacks.is_some(), "{object} {pointer}");
        cluster.apply(&write("alice", &object, story.api[&object].clone()));
        assert_eq!(cluster.missing(WALL_MS + story.now_ns() / 1_000_000), None, "and back again");
    }
}

/// What is lacking once the object is there as well.
fn lacks_with(story: &Story, object: &str, value: &Value) -> Option<String> {
    let mut cluster = of(story);
    cluster.apply(&write("alice", object, value.clone()));
    cluster.missing(WALL_MS + story.now_ns() / 1_000_000)
}

#[test]
fn what_nothing_wants_must_go_unless_its_label_is_gone() {
    let story = rich();
    let stray = object("Deployment", "nobody-runtime");
    let mut value = story.api[&object("Deployment", "boss-runtime")].clone();
    value["metadata"]["uid"] = json!("uid-stray");
    let lacks = lacks_with(&story, &stray, &value).expect("it is nobody's");
    assert!(lacks.contains("nothing wants it"), "{lacks}");
    value["metadata"]["labels"] = json!({});
    assert_eq!(lacks_with(&story, &stray, &value), None);
}

/// A claim in use goes when its last pod does, and no writer can hurry that.
#[test]
fn a_deletion_that_waits_for_pods_is_waited_for_and_no_other() {
    let story = rich();
    let held = json!(["kubernetes.io/pvc-protection"]);
    let claim = story.api[&object("PersistentVolumeClaim", "a-workspace")].clone();
    for (name, finalizers, is_fine) in [
        ("a-workspace", held.clone(), true),
        ("a-workspace", json!([]), false),
        ("a-workspace", json!(["example.com/mine"]), false),
        ("nobody-workspace", held, true),
        ("nobody-workspace", json!([]), false),
    ] {
        let mut value = claim.clone();
        value["metadata"]["deletionTimestamp"] = json!("2026-09-21T00:00:01Z");
        value["metadata"]["finalizers"] = finalizers.clone();
        let lacks = lacks_with(&story, &object("PersistentVolumeClaim", name), &value);
        assert_eq!(lacks.is_none(), is_fine, "{name} {finalizers}: {lacks:?}");
    }
}

#[test]
fn what_a_person_edits_while_it_goes_is_not_mended() {
    let story = rich();
    let name = object("PersistentVolumeClaim", "a-workspace");
    let mut edited = story.api[&name].clone();
    edited["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("person");
    assert!(lacks_with(&story, &name, &edited).is_some(), "it is drift");
    edited["metadata"]["deletionTimestamp"] = json!("2026-09-21T00:00:01Z");
    edited["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
    assert_eq!(lacks_with(&story, &name, &edited), None);
    let mut lost = edited.clone();
    lost["metadata"]["ownerReferences"] = json!([]);
    assert_eq!(lacks_with(&story, &name, &lost), None);
    edited["metadata"]["ownerReferences"][0]["uid"] = json!("of-another");
    assert!(lacks_with(&story, &name, &edited).is_some(), "it is that of another Agent");
}

#[test]
fn what_nothing_wants_is_missed_to_be_gone() {
    let story = rich();
    let mut stray = story.api[&object("ConfigMap", "a-spec")].clone();
    stray["metadata"]["name"] = json!("x-spec");
    for name in ["x-spec", "unheard"] {
        let mut cluster = of(&story);
        cluster.apply(&write(OPERATOR, &object("ConfigMap", name), stray.clone()));
        let lacks = cluster.missing(WALL_MS).expect("it is not wanted");
        assert!(lacks.contains("nothing wants it"), "{lacks}");
    }
    // A person's own object is nobody's business, and so is a workspace that was kept.
    let mut cluster = of(&story);
    cluster.apply(&write("alice", &object("ConfigMap", "x-spec"), json!({ "metadata": {} })));
    let mut kept = story.api[&object("PersistentVolumeClaim", "boss-workspace")].clone();
    kept["metadata"]["name"] = json!("x-workspace");
    cluster.apply(&write(OPERATOR, &object("PersistentVolumeClaim", "x-workspace"), kept));
    assert_eq!(cluster.missing(WALL_MS + story.now_ns() / 1_000_000), None);
}

#[test]
fn a_name_that_a_person_took_must_be_a_condition() {
    let mut story = Story::begin();
    let name = object("NetworkPolicy", "a-runtime");
    story.put("alice", &name, json!({ "metadata": {}, "spec": {} }), "");
    story.user("Agent", "a", json!({}));
    story.observe();
    story.perform();
    story.statuses();
    assert!(lacks(&story).expect("nobody says so").contains("NameConflict"), "{:?}", lacks(&story));
    story.fail("NameConflict");
    story.settle();
    assert_eq!(lacks(&story), None);
}

/// A kept claim that is too large can never become what is wanted; one that is too small can, once
/// it is bound.
#[test]
fn a_claim_that_cannot_shrink_is_no_debt_once_a_condition_says_so() {
    for (size, is_fine) in [("3Gi", true), ("512Mi", false)] {
        let mut story = Story::begin();
        let mut kept = rich().api[&object("PersistentVolumeClaim", "boss-workspace")].clone();
        kept["metadata"]["name"] = json!("a-workspace");
        kept["spec"]["resources"]["requests"]["storage"] = json!(size);
        story.put(OPERATOR, &object("PersistentVolumeClaim", "a-workspace"), kept, "");
        story.user("Agent", "a", json!({}));
        story.observe();
        story.perform();
        story.perform();
        story.fail("NameConflict");
        story.settle();
        let lacks = lacks(&story);
        assert_eq!(lacks.is_none(), is_fine, "{size}: {lacks:?}");
    }
}

#[test]
fn a_spec_that_cannot_run_must_be_refused_and_the_one_before_stays() {
    let mut story = Story::begin();
    story.user("Agent", "a", json!({ "workspace": { "size": "2Gi" } }));
    story.user("Agent", "b", json!({ "workspace": { "size": "huge" } }));
    story.settle();
    story.user("Agent", "a", json!({ "workspace": { "size": "1Gi" }, "team": "red" }));
    story.settle();
    assert_eq!(lacks(&story), None);
    story.user("Agent", "a", json!({ "workspace": { "size": "2Gi" }, "team": "red" }));
    assert!(lacks(&story).is_some());
    story.settle();
    assert_eq!(lacks(&story), None);
}

#[test]
fn sessions_wait_start_end_and_go_in_their_time() {
    let mut story = Story::begin();
    story.user("Agent", "a", json!({ "sessions": { "maxConcurrent": 1 } }));
    story.user(
        "Session",
        "s",
        json!({ "agentRef": "a", "maxDuration": "1m",
        "shutdownPolicy": "Delete" }),
    );
    story.user("Session", "t", json!({ "agentRef": "a", "ttlSecondsAfterFinished": 30 }));
    assert!(lacks(&story).is_some());
    story.settle();
    assert_eq!(lacks(&story), None, "one runs, one waits");
    story.pass(62_000);
    assert!(lacks(&story).expect("its time is over").contains("Session/team-a/s"));
    story.settle();
    assert_eq!(lacks(&story), None, "one is gone, the other runs");
    story.succeed(&object("Job", "t-run"));
    assert!(lacks(&story).expect("it ended").contains("not finished"));
    story.settle();
    assert_eq!(lacks(&story), None);
    story.pass(32_000);
    assert!(lacks(&story).expect("time to go").contains("deleted"));
    story.settle();
    assert!(!story.api.contains_key(&object("Session", "t")));
    assert_eq!(lacks(&story), None);
}

#[test]
fn a_session_whose_agent_was_spoilt_before_anybody_saw_it_waits() {
    let mut story = Story::begin();
    story.user("Session", "s", json!({ "agentRef": "b", "input": "x" }));
    story.user("Agent", "b", json!({ "role": "director" }));
    story.user("Agent", "b", json!({ "role": "manager", "manages": ["b"] }));
    story.settle();
    assert_eq!(lacks(&story), None);
}

/// One thing that a person does.
#[derive(Clone, Debug)]
enum Op {
    Agent(usize, usize),
    AgentGone(usize),
    Session(usize, usize, usize),
    SessionGone(usize),
    Succeed(usize),
    Perform(usize),
    Lead,
    Settle,
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..3_usize, 0..7_usize).prop_map(|(i, spec)| Op::Agent(i, spec)),
        1 => (0..3_usize).prop_map(Op::AgentGone),
        4 => (0..4_usize, 0..3_usize, 0..5_usize).prop_map(|(i, a, s)| Op::Session(i, a, s)),
        1 => (0..4_usize).prop_map(Op::SessionGone),
        2 => (0..4_usize).prop_map(Op::Succeed),
        4 => (1..6_usize).prop_map(Op::Perform),
        1 => Just(Op::Lead),
        3 => Just(Op::Settle),
        1 => (1_000..90_000_u64).prop_map(Op::Pass),
    ]
}

fn agent_spec(choice: usize) -> Value {
    let specs = [
        json!({}),
        json!({ "operatingMode": "Suspended" }),
        json!({ "role": "manager", "manages": ["b"], "team": "red" }),
        json!({ "role": "director" }),
        json!({ "workspace": { "size": "0" } }),
        json!({ "sessions": { "maxConcurrent": 1 }, "workspace": { "size": "3Gi" } }),
        json!({ "env": [{ "name": "X", "value": "1" }], "egress": [{ "cidr": "10.0.0.0/8" }] }),
    ];
    specs[choice % specs.len()].clone()
}

fn session_spec(agent: usize, choice: usize) -> Value {
    let agent = ["a", "b", "nobody"][agent];
    let mut spec = json!({ "agentRef": agent, "input": "x" });
    match choice {
        1 => spec["operatingMode"] = json!("Suspended"),
        2 => spec["operatingMode"] = json!("Cancelled"),
        3 => spec["ttlSecondsAfterFinished"] = json!(20),
        4 => spec["shutdownPolicy"] = json!("Delete"),
        _ => {}
    }
    spec
}

fn play(story: &mut Story, at: usize, op: &Op, agents: &mut BTreeMap<usize, String>) {
    let session = |i: &usize| ["s", "t", "u", "v"][*i];
    let agent = |i: &usize| ["a", "b", "c"][*i];
    match op {
        Op::Agent(i, spec) => story.user("Agent", agent(i), agent_spec(*spec)),
        Op::AgentGone(i) => story.delete("alice", &object("Agent", agent(i))),
        Op::Session(i, of, spec) => {
            // Whom a session belongs to is immutable, and so is its cancellation.
            let of = *agents.entry(*i).or_insert_with(|| of.to_string()) == of.to_string();
            let name = object("Session", session(i));
            let mode = story.api.get(&name).map(|live| live["spec"]["operatingMode"].clone());
            if of && mode != Some(json!("Cancelled")) {
                let agent = agents[i].parse().expect("a number");
                story.user("Session", session(i), session_spec(agent, *spec));
            }
        }
        Op::SessionGone(i) => {
            agents.remove(i);
            story.delete("alice", &object("Session", session(i)));
        }
        Op::Succeed(i) => {
            let job = object("Job", &format!("{}-run", session(i)));
            if story.api.get(&job).is_some_and(|job| job["status"]["active"] == 1) {
                story.succeed(&job);
            }
        }
        Op::Perform(times) => {
            story.observe();
            for _ in 0..*times {
                story.perform();
            }
        }
        Op::Lead => story.lead(&format!("rynxs-{}_{at}", at % 2)),
        Op::Settle => story.settle(),
        Op::Pass(ms) => story.pass(*ms),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_people_do_an_honest_operator_is_green(
        ops in proptest::collection::vec(op(), 1..40),
    ) {
        let mut story = Story::begin();
        let mut agents = BTreeMap::new();
        for (at, op) in ops.iter().enumerate() {
            play(&mut story, at, op, &mut agents);
        }
        story.user("Agent", "last", json!({}));
        story.heal();
        story.settle();
        // Every time to live runs out and is acted upon before the story ends: the last look of
        // the judge must not fall on the moment at which one does.
        story.pass(30_000);
        story.settle();
        story.end();
        let report = story.report();
        prop_assert!(report.is_green(), "{report}");
    }
}
