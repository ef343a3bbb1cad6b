//! Names that are taken: by a person's object, by what a former Agent left.
#![allow(missing_docs, reason = "tests are named by their claims")]

mod support;

use std::time::Duration;

use rynxs_core::event::{Event, FailureReason};
use rynxs_operator::leader::LeaderEnd;
use serde_json::json;
use support::story::*;
use support::world::World;

#[tokio::test(start_paused = true)]
async fn a_persons_object_of_our_name_is_not_touched_until_it_is_gone() {
    let mut world = World::new();
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "a-spec", "namespace": "team"}, "data": {"mine": "1"},
    });
    world.create("/api/v1/namespaces/team/configmaps", &theirs);
    let leader = world.lead();
    world.create(AGENTS, &agent("a", &json!({})));
    settled(&world).await;
    assert_eq!(world.get(SPEC).expect("theirs")["data"], json!({"mine": "1"}));
    let conflicts = |world: &World| {
        let events = world.log.events();
        let taken = |event: &&Event| {
            matches!(event, Event::ActionFailed { reason: FailureReason::NameConflict, .. })
        };
        events.iter().filter(taken).count()
    };
    assert_eq!(conflicts(&world), 1);
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(conflicts(&world), 1, "it is not tried again and again");
    world.delete(SPEC);
    world.pass(Duration::from_secs(60)).await;
    settled(&world).await;
    assert!(world.get(SPEC).expect("ours")["data"].get("mine").is_none());
    assert_eq!(replicas(&world), Some(1));
    outcomes(&world);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_larger_claim_of_a_former_agent_gives_way_and_the_new_one_gets_its_own() {
    let (mut world, first) = with_agent(&json!({})).await;
    assert_eq!(first.stop().await, LeaderEnd::Stopped { settled: true });
    // As a leader leaves it that died before it said that it made it, for an Agent that is gone.
    let mut left = world.get(CLAIM).expect("a claim");
    left["metadata"] = json!({
        "name": "b-workspace", "namespace": "team",
        "labels": left["metadata"]["labels"],
        "annotations": left["metadata"]["annotations"],
        "resourceVersion": "1",
    });
    left["spec"]["resources"]["requests"]["storage"] = json!("5Gi");
    left["spec"]["volumeName"] = json!(null);
    left["status"] = json!(null);
    let path = "/api/v1/namespaces/team/persistentvolumeclaims/b-workspace";
    let apply = format!("{path}?fieldManager=rynxs&force=true");
    let made = world.as_operator("PATCH", &apply, "application/apply-patch+yaml", &left);
    assert_eq!(made.0, 201, "{made:?}");
    world.create(AGENTS, &agent("b", &json!({})));
    let second = world.lead();
    world.pass(Duration::from_secs(90)).await;
    settled(&world).await;
    let now = world.get(path).expect("a claim of its own");
    assert_ne!(now["metadata"]["uid"], made.1["metadata"]["uid"]);
    assert_eq!(now["spec"]["resources"]["requests"]["storage"], "1Gi");
    assert_eq!(condition(&world, &format!("{AGENTS}/b"), "Ready"), "True");
    let taken = |event: &Event| {
        matches!(event, Event::ActionFailed { reason: FailureReason::NameConflict, .. })
    };
    assert_eq!(world.log.events().iter().filter(|event| taken(event)).count(), 1);
    outcomes(&world);
    second.stop().await;
}
