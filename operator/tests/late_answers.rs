//! Answers that arrive late, watch events that arrive later still, and people who act in between:
//! what the cache holds never outlives what the cluster holds.
#![allow(missing_docs, reason = "tests are named by their claims")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rynxs_core::event::Event;
use serde_json::json;
use support::story::*;
use support::world::{Fate, World};

const A: &str = "/apis/universe.ai/v1alpha1/namespaces/team/agents/a";
const STATUS: &str = "/apis/universe.ai/v1alpha1/namespaces/team/agents/a/status";

/// The answers to the writes of `path` are late by so many milliseconds from now on; says when the
/// first such write was sent.
fn late_answers(world: &World, path: &'static str, ms: u64) -> Arc<AtomicBool> {
    let sent = Arc::new(AtomicBool::new(false));
    let flag = sent.clone();
    world.fate(move |request| {
        if request.method() != "PATCH" || request.uri().path() != path {
            return Fate::Arrives;
        }
        flag.store(true, Ordering::Relaxed);
        Fate::Late(ms)
    });
    sent
}

fn lives(world: &World) -> Vec<&'static str> {
    let events = world.log.events();
    let kinds = events.iter().map(Event::kind);
    kinds.filter(|kind| matches!(*kind, "AgentObserved" | "AgentDeleted")).collect()
}

/// Nothing is appended and nothing is written in half an hour, in which there are resyncs.
async fn stays_quiet(world: &World) {
    let before = (world.log.len(), world.writes().len());
    world.pass(Duration::from_secs(1_800)).await;
    assert_eq!((world.log.len(), world.writes().len()), before, "{:#?}", world.log.events());
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_to_a_status_write_does_not_bring_a_deleted_agent_back() {
    let mut world = World::new();
    let leader = world.lead();
    let sent = late_answers(&world, STATUS, 1_000);
    world.create(AGENTS, &agent("a", &json!({})));
    world.until("a status is sent", |_| sent.load(Ordering::Relaxed)).await;
    world.pass(Duration::from_millis(20)).await;
    world.delete(A);
    settled(&world).await;
    stays_quiet(&world).await;
    assert_eq!(lives(&world), ["AgentObserved", "AgentDeleted"]);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_made_again_gets_its_status_while_the_answer_about_the_first_is_late() {
    let mut world = World::new();
    let leader = world.lead();
    let sent = late_answers(&world, STATUS, 5_000);
    world.create(AGENTS, &agent("a", &json!({})));
    world.until("a status is sent", |_| sent.load(Ordering::Relaxed)).await;
    world.fate(|_| Fate::Arrives);
    world.delete(A);
    world.pass(Duration::from_millis(50)).await;
    world.create(AGENTS, &agent("a", &json!({})));
    world.pass(Duration::from_millis(2_000)).await;
    let shown = world.get(A).expect("an agent")["status"].clone();
    assert_eq!(shown["observedGeneration"], 1, "{shown}");
    settled(&world).await;
    stays_quiet(&world).await;
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_is_deleted_before_its_writes_answer_arrives_is_made_again() {
    let (world, leader) = with_agent(&json!({})).await;
    let sent = late_answers(&world, RUNTIME, 1_000);
    let image = json!({"repository": "example.org/mine", "tag": "v2"});
    world.merge(A, &json!({"spec": {"image": image}}));
    world.until("the write is sent", |_| sent.load(Ordering::Relaxed)).await;
    world.pass(Duration::from_millis(20)).await;
    world.delete(RUNTIME);
    world.fate(|_| Fate::Arrives);
    world.until("it is back", |w| replicas(w) == Some(1)).await;
    settled(&world).await;
    stays_quiet(&world).await;
    outcomes(&world);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_is_deleted_before_a_reads_answer_arrives_is_made_again() {
    let (world, leader) = with_agent(&json!({})).await;
    let sent = Arc::new(AtomicBool::new(false));
    let (flag, person) = (sent.clone(), world.beside());
    world.fate(move |request| {
        if request.method() != "GET" || request.uri().path() != RUNTIME {
            return Fate::Arrives;
        }
        // The difference is gone again when it is read: nothing is written that would find out.
        person.merge(RUNTIME, &json!({"spec": {"replicas": 1}}));
        flag.store(true, Ordering::Relaxed);
        Fate::Late(1_000)
    });
    world.merge(RUNTIME, &json!({"spec": {"replicas": 7}}));
    world.until("the read is sent", |_| sent.load(Ordering::Relaxed)).await;
    world.pass(Duration::from_millis(20)).await;
    world.delete(RUNTIME);
    world.fate(|_| Fate::Arrives);
    world.until("it is back", |w| replicas(w) == Some(1)).await;
    settled(&world).await;
    stays_quiet(&world).await;
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_just_before_our_status_write_is_seen_in_its_answer() {
    let mut world = World::new();
    let leader = world.lead();
    world.create(AGENTS, &agent("a", &json!({})));
    let edited = Arc::new(AtomicBool::new(false));
    let (flag, person) = (edited.clone(), world.beside());
    world.fate(move |request| {
        let status = request.method() == "PATCH" && request.uri().path().ends_with("/a/status");
        if status && !flag.swap(true, Ordering::Relaxed) {
            person.merge(A, &json!({"spec": {"operatingMode": "Suspended"}}));
        }
        Fate::Arrives
    });
    world.until("edited", |_| edited.load(Ordering::Relaxed)).await;
    world.until("suspended", |w| replicas(w) == Some(0)).await;
    settled(&world).await;
    let seen = world.get(A).expect("an agent")["status"]["observedGeneration"].clone();
    assert_eq!(seen, 2);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn watch_events_of_what_we_deleted_decide_nothing_anew() {
    let (world, leader) = with_agent(&json!({})).await;
    let owner = world.get(A).expect("an agent")["metadata"]["uid"].clone();
    world.watch_delay(200);
    let mut stray = world.get(SPEC).expect("a config map");
    stray["metadata"] = json!({
        "name": "stray-spec", "namespace": "team",
        "labels": stray["metadata"]["labels"],
        "annotations": stray["metadata"]["annotations"],
        "ownerReferences": [
            {"apiVersion": "universe.ai/v1alpha1", "kind": "Agent", "name": "a", "uid": owner},
        ],
    });
    stray["apiVersion"] = json!("v1");
    stray["kind"] = json!("ConfigMap");
    let path = "/api/v1/namespaces/team/configmaps/stray-spec?fieldManager=rynxs&force=true";
    let (code, answer) = world.as_operator("PATCH", path, "application/apply-patch+yaml", &stray);
    assert_eq!(code, 201, "{answer}");
    let before = decided(&world);
    settled(&world).await;
    assert!(world.get("/api/v1/namespaces/team/configmaps/stray-spec").is_none());
    assert_eq!(decided(&world) - before, 1);
    stays_quiet(&world).await;
    leader.stop().await;
}
