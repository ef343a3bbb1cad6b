//! Sessions against the API server's model: runs that end, expire, are lost, and go.
#![allow(missing_docs, reason = "tests are named by their claims")]

mod support;

use std::time::Duration;

use rynxs_core::event::Event;
use serde_json::json;
use support::story::*;

#[tokio::test(start_paused = true)]
async fn a_session_that_succeeds_or_fails_says_so_and_goes_when_its_time_to_live_is_over() {
    for (code, reason) in [("0", "JobSucceeded"), ("3", "JobFailed")] {
        let env = json!({"env": [{"name": "MODEL_EXIT_CODE", "value": code}]});
        let (world, leader) = with_agent(&env).await;
        let spec = json!({"agentRef": "a", "ttlSecondsAfterFinished": 600});
        world.create(SESSIONS, &session(&spec));
        let path = format!("{SESSIONS}/s");
        world.until("the end", |w| condition(w, &path, "Finished") == "True").await;
        let text = world.get(&path).expect("a session")["status"].to_string();
        assert!(text.contains(reason), "{text}");
        settled(&world).await;
        world.pass(Duration::from_secs(600)).await;
        settled(&world).await;
        assert!(world.get(&path).is_none(), "its time to live is over");
        outcomes(&world);
        leader.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_runs_its_job_and_ends_when_its_time_is_over() {
    let (world, leader) = with_agent(&long_runs()).await;
    world.create(SESSIONS, &session(&json!({"agentRef": "a", "maxDuration": "10m"})));
    settled(&world).await;
    assert_eq!(world.get(RUN).expect("a job")["spec"]["suspend"], false);
    world.pass(Duration::from_secs(600)).await;
    settled(&world).await;
    let fired = |event: &&Event| matches!(event, Event::TimerFired { .. });
    assert_eq!(world.log.events().iter().filter(fired).count(), 1);
    assert!(world.get(RUN).is_none_or(|job| job["spec"]["suspend"] == true));
    outcomes(&world);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_job_fails_its_session_and_is_never_created_again() {
    let (world, leader) = with_agent(&long_runs()).await;
    world.create(SESSIONS, &session(&json!({"agentRef": "a"})));
    settled(&world).await;
    assert!(world.get(RUN).is_some());
    world.delete(RUN);
    settled(&world).await;
    assert!(world.get(RUN).is_none());
    let created = world.writes().into_iter().filter(|w| w.kind == "Job" && w.status_code == 201);
    assert_eq!(created.count(), 1);
    outcomes(&world);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_session_that_is_to_go_is_deleted_with_what_it_owns() {
    let (world, leader) = with_agent(&long_runs()).await;
    let spec = json!({"agentRef": "a", "maxDuration": "5m", "shutdownPolicy": "Delete"});
    world.create(SESSIONS, &session(&spec));
    settled(&world).await;
    world.pass(Duration::from_secs(300)).await;
    settled(&world).await;
    assert!(world.get(&format!("{SESSIONS}/s")).is_none());
    assert!(world.get(RUN).is_none());
    outcomes(&world);
    leader.stop().await;
}
