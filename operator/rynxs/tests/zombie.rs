//! The zombie with and without what refuses it, judged from the servers' histories.
//!
//! A defence that nobody has seen failing without is a decoration: the same part is played with
//! the store's condition switched off (the log must be found broken) and with the admission
//! policies switched off (an older decision must be found over a later one).

#![cfg(feature = "demo")]
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod stage;

use rynxs::demo::zombie::{Without, Zombie, play};
use rynxs::demo::{BUCKET, EventStore, PREFIX, Plan, World};
use rynxs_judge::history::LogObject;
use rynxs_judge::{History, Invariant, LogWrite, ObjectWrite, Report, Verdict, judge};
use serde_json::Value;
use stage::{folder, kill_all, operator, plan, world};

/// Two replicas and two agents, then the part; returns what became of the writes, and the verdict.
async fn scene(without: Without) -> (Zombie, Report) {
    let folder = folder();
    let plan = plan(folder.path(), EventStore::S3, 2);
    let mut world = world(Plan { policies: without != Without::Policies, ..plan }, 2).await;
    let mut log = world.follow().unwrap();
    let zombie = play(&mut world, &mut log, without).await.unwrap();
    kill_all(&mut world).await;
    let report = judge(&history(&world));
    (zombie, report)
}

fn history(world: &World) -> History {
    let (model, _) = world.store.as_ref().unwrap();
    let below = |key: &str| key.strip_prefix(&format!("{PREFIX}/")).map(str::to_owned);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let objects = model.objects(BUCKET);
    let log_at_end: Vec<LogObject> = objects
        .iter()
        .filter_map(|(key, bytes)| Some(LogObject { key: below(key)?, text: text(bytes) }))
        .collect();
    let log_writes = model
        .history()
        .into_iter()
        .filter_map(|attempt| {
            let status = match attempt.outcome {
                rynxs_s3::Outcome::Applied { .. } => 200,
                rynxs_s3::Outcome::Refused { status, .. } => status,
            };
            Some(LogWrite {
                key: below(&attempt.key)?,
                text: text(&attempt.bytes),
                status,
                ..LogWrite::default()
            })
        })
        .collect();
    let object_writes = world
        .api
        .history()
        .into_iter()
        .filter(|write| write.subresource.is_empty())
        .map(|write| ObjectWrite {
            user: write.user,
            verb: write.verb,
            object: format!("{}/{}/{}", write.kind, write.namespace, write.name),
            uid: write.uid,
            stamp: write.stamp,
            log: write.object.as_deref().and_then(log_of),
            status: write.status_code,
            rv: write.rv,
            changed: write.changed,
            removed: write.removed,
            value: write.object.filter(|_| write.changed),
            ..ObjectWrite::default()
        })
        .collect();
    History { log_writes, log_at_end, object_writes, operator: operator() }
}

fn log_of(object: &Value) -> Option<String> {
    let annotations = object.get("metadata")?.get("annotations")?;
    Some(annotations.get("rynxs.universe.ai/log")?.as_str()?.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_writes_of_a_frozen_leader_are_refused_three_times() {
    let (zombie, report) = scene(Without::Nothing).await;
    assert_eq!(zombie.put_status, 412, "{zombie:?}");
    assert_eq!(zombie.as_sent_status, 409, "{zombie:?}");
    assert_eq!(zombie.with_live_version_status, 403, "{zombie:?}");
    assert!(zombie.policy_said.contains("stale stamp"), "{zombie:?}");
    assert!(zombie.stepped_down_ms.is_some(), "{zombie:?}");
    for invariant in [
        Invariant::I1Chain,
        Invariant::I2Durable,
        Invariant::I3Epoch,
        Invariant::I4Fenced,
        Invariant::I5Intent,
    ] {
        let verdict = report.of(invariant);
        assert!(matches!(verdict, Verdict::Pass { .. }), "{invariant:?}: {verdict:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_stores_condition_a_late_put_breaks_the_log() {
    let (zombie, report) = scene(Without::Condition).await;
    assert_eq!(zombie.put_status, 200, "{zombie:?}");
    let broken = [Invariant::I1Chain, Invariant::I2Durable].map(|i| report.of(i).is_fail());
    assert!(broken.contains(&true), "nobody noticed: {report:?}");
    assert!(!report.of(Invariant::I4Fenced).is_fail(), "the policies still hold: {report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_policies_an_older_decision_overwrites_a_later_one() {
    let (zombie, report) = scene(Without::Policies).await;
    assert_eq!(zombie.with_live_version_status, 200, "{zombie:?}");
    assert!(report.of(Invariant::I4Fenced).is_fail(), "nobody noticed: {report:?}");
    assert!(!report.of(Invariant::I2Durable).is_fail(), "the log still holds: {report:?}");
}
