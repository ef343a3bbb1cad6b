//! What a refusal of a write proves: another incarnation, another log, a newer epoch, a cut log.
#![allow(missing_docs, reason = "tests are named by their claims")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use rynxs_core::event::{Event, FailureReason};
use rynxs_core::ids::Seq;
use rynxs_operator::leader::LeaderEnd;
use rynxs_operator::store::{LogStore, PutOutcome};
use serde_json::{Value, json};
use support::story::*;
use support::world::{Fate, World};

const THE_AGENT: &str = "/apis/universe.ai/v1alpha1/namespaces/team/agents/a";

fn failures(world: &World) -> Vec<FailureReason> {
    let failed = world.log.events().into_iter().filter_map(|event| match event {
        Event::ActionFailed { reason, .. } => Some(reason),
        _ => None,
    });
    failed.collect()
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_replaced_between_read_and_write_is_gone_and_not_refused() {
    let (world, leader) = with_agent(&json!({})).await;
    let beside = world.beside();
    let writes = Arc::new(AtomicU32::new(0));
    let count = writes.clone();
    world.fate(move |request| {
        if request.method() != "PATCH" || !request.uri().path().ends_with("/a-spec") {
            return Fate::Arrives;
        }
        match count.fetch_add(1, Ordering::Relaxed) {
            // Makes the writer read afresh.
            0 => Fate::Refused(409),
            // What it read is replaced by a person's object before its write arrives.
            1 => {
                beside.delete(SPEC);
                let path = SPEC.trim_end_matches("/a-spec");
                let theirs = json!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": "a-spec", "namespace": "team"},
                    "data": {"theirs": "yes"},
                });
                beside.create(path, &theirs);
                // What a server says that looks at the uid, which is immutable, first.
                Fate::Refused(422)
            }
            _ => Fate::Arrives,
        }
    });
    world.merge(THE_AGENT, &json!({"spec": {"team": "blue"}}));
    settled(&world).await;
    assert!(writes.load(Ordering::Relaxed) > 2);
    assert_eq!(failures(&world), [FailureReason::ObjectGone, FailureReason::NameConflict]);
    assert_eq!(world.get(SPEC).expect("theirs")["data"], json!({"theirs": "yes"}));
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn content_that_the_server_never_takes_fails_for_good() {
    let (world, leader) = with_agent(&json!({})).await;
    world.fate(|request| {
        let spec = request.method() == "PATCH" && request.uri().path().ends_with("/a-spec");
        if spec { Fate::Refused(422) } else { Fate::Arrives }
    });
    world.merge(THE_AGENT, &json!({"spec": {"team": "blue"}}));
    settled(&world).await;
    assert_eq!(failures(&world), [FailureReason::Rejected]);
    leader.stop().await;
}

/// Somebody with rights on the status raises its epoch; then the Agent changes, so that its status
/// is written.
fn raise_epoch(world: &World, epoch: u64) {
    world.merge(&format!("{THE_AGENT}/status"), &json!({"status": {"controllerEpoch": epoch}}));
    world.merge(THE_AGENT, &json!({"spec": {"operatingMode": "Suspended"}}));
}

#[tokio::test(start_paused = true)]
async fn a_status_of_an_epoch_that_the_log_does_not_hold_halts_the_leader() {
    let (world, leader) = with_agent(&json!({})).await;
    raise_epoch(&world, 999_999);
    world.until("the end", |_| leader.is_over()).await;
    let end = leader.end().await;
    assert!(matches!(&end, LeaderEnd::Halted(why) if why.contains("999999")), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_status_of_an_epoch_that_the_log_holds_fences_the_leader() {
    let (world, leader) = with_agent(&json!({})).await;
    let beyond = world.log.len() as u64 + 50;
    let put = world.log.put(Seq(beyond), Bytes::from_static(b"{}")).await;
    assert_eq!(put, PutOutcome::Committed);
    raise_epoch(&world, beyond);
    world.until("the end", |_| leader.is_over()).await;
    assert_eq!(leader.end().await, LeaderEnd::Fenced);
}

#[tokio::test(start_paused = true)]
async fn a_predecessor_that_goes_on_writing_is_called_so_and_not_a_cut_log() {
    let (mut world, leader) = with_agent(&json!({})).await;
    let log = log_id(&world);
    leader.kill().await;
    let leader = world.lead_anew();
    settled(&world).await;
    apply_spec(&world, 999_000_000, &log);
    world.until("the end", |_| leader.is_over()).await;
    let end = leader.end().await;
    let LeaderEnd::Config(why) = &end else { panic!("{end:?}") };
    assert!(why.contains("predecessor") && why.contains(&log), "{why}");
    let theirs: Value = world.get(SPEC).expect("untouched")["data"].clone();
    assert_eq!(theirs, json!({"from": "elsewhere"}));
}
