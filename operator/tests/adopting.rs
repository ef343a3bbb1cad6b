//! A log that is lost beside a living cluster, and the one that takes over what the lost one left:
//! nothing that runs stops, nothing that ran runs again, no deadline moves.
#![allow(missing_docs, reason = "tests are named by their claims")]

mod support;

use std::time::Duration;

use rynxs_core::event::{Event, Reason, Verb};
use serde_json::{Value, json};
use support::story::*;
use support::world::{Leader, World};

const THE_AGENT: &str = "/apis/universe.ai/v1alpha1/namespaces/team/agents/a";
const THE_SESSION: &str = "/apis/universe.ai/v1alpha1/namespaces/team/sessions/s";

/// What an object said at `pointer`, looked at every millisecond, without repetitions.
async fn watched(world: &World, path: &str, pointer: &str, span: Duration) -> Vec<Value> {
    let mut seen = Vec::new();
    for _ in 0..span.as_millis() {
        let now = world.get(path).map_or(json!("gone"), |object| {
            object.pointer(pointer).cloned().unwrap_or(Value::Null)
        });
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        world.pass(Duration::from_millis(1)).await;
    }
    seen
}

/// The log is lost, `meanwhile` happens, another leader begins a new log; returns what was seen of
/// `path` at `pointer` while it did.
async fn adopted(
    world: &mut World,
    leader: Leader,
    meanwhile: impl FnOnce(&World),
    (path, pointer): (&str, &str),
) -> (Leader, Vec<Value>) {
    leader.kill().await;
    meanwhile(world);
    let leader = world.lead_anew();
    let seen = watched(world, path, pointer, Duration::from_secs(5)).await;
    settled(world).await;
    outcomes(world);
    (leader, seen)
}

fn annotation(world: &World, path: &str, name: &str) -> String {
    let object = world.get(path).expect("it exists");
    let found = &object["metadata"]["annotations"][format!("rynxs.universe.ai/{name}")];
    found.as_str().expect("it has the annotation").to_owned()
}

/// How many Jobs were ever created.
fn jobs(world: &World) -> usize {
    let writes = world.writes();
    writes.iter().filter(|write| write.kind == "Job" && write.status_code == 201).count()
}

fn verbs(world: &World) -> Vec<(Verb, Reason)> {
    let decided = world.log.events().into_iter().filter_map(|event| match event {
        Event::ActionsDecided { actions, .. } => Some(actions),
        _ => None,
    });
    decided.flatten().map(|action| (action.verb, action.reason)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_running_agent_goes_on_under_the_new_log() {
    let (mut world, leader) = with_agent(&json!({})).await;
    let before = world.get(RUNTIME).expect("a runtime");
    let (log, stamp) = (annotation(&world, RUNTIME, "log"), annotation(&world, RUNTIME, "stamp"));
    let at = (RUNTIME, "/spec/replicas");
    let (leader, replicas) = adopted(&mut world, leader, |_| {}, at).await;
    assert_eq!(replicas, [json!(1)], "it never stopped");
    let after = world.get(RUNTIME).expect("a runtime");
    for field in ["/metadata/uid", "/spec"] {
        assert_eq!(after.pointer(field), before.pointer(field), "{field}");
    }
    for path in [RUNTIME, SPEC, CLAIM] {
        assert_ne!(annotation(&world, path, "log"), log, "{path} is the new log's");
    }
    let number = |stamp: &str| stamp.parse::<u64>().expect("a number");
    assert!(number(&annotation(&world, RUNTIME, "stamp")) > number(&stamp) + 1_000_000);
    assert_eq!(verbs(&world), [(Verb::Update, Reason::Inherited); 4]);
    assert_eq!(condition(&world, THE_AGENT, "Ready"), "True");
    // From here on it is an Agent like any other.
    world.merge(THE_AGENT, &json!({"spec": {"operatingMode": "Suspended"}}));
    settled(&world).await;
    assert_eq!(support::story::replicas(&world), Some(0));
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_status_says_of_the_lost_log_is_not_taken_for_the_new_one() {
    let (mut world, leader) = with_agent(&json!({})).await;
    let head = |world: &World| world.get(THE_AGENT).expect("an agent")["status"]["logHead"].clone();
    let (leader, _) = adopted(&mut world, leader, |_| {}, (RUNTIME, "/spec/replicas")).await;
    let seq = head(&world)["seq"].as_u64().expect("a position");
    let hash = world.log.hash_of(seq);
    assert_eq!(head(&world)["hash"], hash, "the hash of the new log's record {seq}");
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_suspended_agent_stays_suspended() {
    let (mut world, leader) = with_agent(&json!({})).await;
    world.merge(THE_AGENT, &json!({"spec": {"operatingMode": "Suspended"}}));
    settled(&world).await;
    let at = (RUNTIME, "/spec/replicas");
    let (leader, replicas) = adopted(&mut world, leader, |_| {}, at).await;
    assert_eq!(replicas, [json!(0)]);
    assert_eq!(condition(&world, THE_AGENT, "Suspended"), "True");
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_made_while_nobody_led_takes_effect() {
    let (mut world, leader) = with_agent(&json!({})).await;
    let edit = |world: &World| {
        let image = json!({"repository": "example.org/mine", "tag": "v2"});
        world.merge(THE_AGENT, &json!({"spec": {"image": image}}));
    };
    let at = (RUNTIME, "/spec/template/spec/containers/0/image");
    let (leader, images) = adopted(&mut world, leader, edit, at).await;
    assert_eq!(images.len(), 2, "{images:?}");
    assert_eq!(images[1], "example.org/mine:v2");
    assert_eq!(replicas(&world), Some(1));
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_retained_workspace_is_kept_with_its_data() {
    let spec = json!({"workspace": {"size": "1Gi", "retain": true}});
    let (mut world, leader) = with_agent(&spec).await;
    let (leader, uids) = adopted(&mut world, leader, |_| {}, (CLAIM, "/metadata/uid")).await;
    assert_eq!(uids.len(), 1, "{uids:?}");
    leader.stop().await;
}

/// A Session of Agent `a` whose Job runs.
async fn with_run(spec: &Value) -> (World, Leader) {
    let (world, leader) = with_agent(&long_runs()).await;
    world.create(SESSIONS, &session(spec));
    world.until("a run", |w| condition(w, THE_SESSION, "Ready") == "True").await;
    settled(&world).await;
    (world, leader)
}

#[tokio::test(start_paused = true)]
async fn a_running_session_goes_on_and_its_end_is_seen() {
    let env = json!({"env": [{"name": "MODEL_RUN_MS", "value": "60000"}]});
    let (mut world, leader) = with_agent(&env).await;
    world.create(SESSIONS, &session(&json!({"agentRef": "a"})));
    world.until("a run", |w| condition(w, THE_SESSION, "Ready") == "True").await;
    let before = world.get(RUN).expect("a job");
    let (leader, suspended) = adopted(&mut world, leader, |_| {}, (RUN, "/spec/suspend")).await;
    assert_eq!(suspended, [json!(false)], "it never stopped");
    let after = world.get(RUN).expect("a job");
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(after["spec"], before["spec"]);
    world.until("the end", |w| condition(w, THE_SESSION, "Finished") == "True").await;
    assert_eq!(world.get(THE_SESSION).expect("a session")["status"]["phase"], "Succeeded");
    settled(&world).await;
    assert_eq!(jobs(&world), 1);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_agent_changed_or_went_while_nobody_led_goes_on() {
    let change = |world: &World| {
        world.merge(THE_AGENT, &json!({"spec": {"team": "blue"}}));
    };
    let meanwhile: [fn(&World); 2] = [|w| w.delete(THE_AGENT), change];
    for meanwhile in meanwhile {
        let (mut world, leader) = with_run(&json!({"agentRef": "a"})).await;
        let at = (RUN, "/spec/suspend");
        let (leader, suspended) = adopted(&mut world, leader, meanwhile, at).await;
        assert_eq!(suspended, [json!(false)]);
        let phase = world.get(THE_SESSION).expect("a session")["status"]["phase"].clone();
        assert_eq!(phase, "Running");
        world.merge(THE_SESSION, &json!({"spec": {"operatingMode": "Cancelled"}}));
        settled(&world).await;
        assert!(world.get(RUN).is_none(), "the new log ends it");
        assert_eq!(jobs(&world), 1);
        outcomes(&world);
        leader.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspended_session_is_resumed_and_not_started_again() {
    let (mut world, leader) = with_run(&json!({"agentRef": "a"})).await;
    world.merge(THE_SESSION, &json!({"spec": {"operatingMode": "Suspended"}}));
    settled(&world).await;
    let resume = |world: &World| {
        world.merge(THE_SESSION, &json!({"spec": {"operatingMode": "Running"}}));
    };
    let (leader, seen) = adopted(&mut world, leader, resume, (RUN, "/spec/suspend")).await;
    assert_eq!(seen, [json!(true), json!(false)]);
    assert_eq!(jobs(&world), 1);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_finished_session_is_not_run_again_even_without_its_job() {
    for keeps_job in [true, false] {
        let (mut world, leader) = with_agent(&json!({})).await;
        let spec = json!({"agentRef": "a", "ttlSecondsAfterFinished": 3_600});
        world.create(SESSIONS, &session(&spec));
        world.until("the end", |w| condition(w, THE_SESSION, "Finished") == "True").await;
        settled(&world).await;
        let ended = |world: &World| {
            let status = world.get(THE_SESSION).expect("a session")["status"].clone();
            (status["phase"].clone(), status["completionTime"].clone())
        };
        let (before, ended_at) = (ended(&world), world.clock_ms());
        let meanwhile = |world: &World| {
            if !keeps_job {
                world.delete(RUN);
            }
        };
        let (leader, _) = adopted(&mut world, leader, meanwhile, (RUN, "/spec/suspend")).await;
        assert_eq!(ended(&world), before);
        assert_eq!(world.get(RUN).is_some(), keeps_job, "what is to be read stays");
        assert_eq!(jobs(&world), 1);
        let left = 3_600_000 - (world.clock_ms() - ended_at);
        world.pass(Duration::from_millis(left + 5_000)).await;
        assert!(world.get(THE_SESSION).is_none(), "its time to live counts from its end");
        leader.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_session_stays_cancelled() {
    let (mut world, leader) = with_run(&json!({"agentRef": "a"})).await;
    world.merge(THE_SESSION, &json!({"spec": {"operatingMode": "Cancelled"}}));
    settled(&world).await;
    let status = |world: &World| {
        let status = world.get(THE_SESSION).expect("a session")["status"].clone();
        (status["phase"].clone(), status["completionTime"].clone())
    };
    let before = status(&world);
    let (leader, _) = adopted(&mut world, leader, |_| {}, (RUN, "/spec/suspend")).await;
    assert_eq!(status(&world), before);
    assert_eq!(jobs(&world), 1);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_vanished_with_the_log_is_lost_and_not_created_again() {
    let (mut world, leader) = with_run(&json!({"agentRef": "a"})).await;
    let at = (RUN, "/spec/suspend");
    let (leader, _) = adopted(&mut world, leader, |world| world.delete(RUN), at).await;
    assert_eq!(world.get(THE_SESSION).expect("a session")["status"]["phase"], "Lost");
    assert_eq!(jobs(&world), 1);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_stays_where_it_was() {
    let (mut world, leader) = with_run(&json!({"agentRef": "a", "maxDuration": "10m"})).await;
    let expires =
        |world: &World| world.get(THE_SESSION).expect("a session")["status"]["expiresAt"].clone();
    let (before, begun) = (expires(&world), world.clock_ms());
    world.pass(Duration::from_secs(300)).await;
    let (leader, _) = adopted(&mut world, leader, |_| {}, (RUN, "/spec/suspend")).await;
    assert_eq!(expires(&world), before);
    let left = 600_000 - (world.clock_ms() - begun);
    world.pass(Duration::from_millis(left + 1_000)).await;
    settled(&world).await;
    assert_eq!(world.get(THE_SESSION).expect("a session")["status"]["phase"], "Expired");
    assert!(world.get(RUN).is_none());
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_keeps_its_place_before_those_who_wait() {
    let mut spec = long_runs();
    spec["sessions"] = json!({"maxConcurrent": 1});
    let (mut world, leader) = with_agent(&spec).await;
    world.create(SESSIONS, &session(&json!({"agentRef": "a"})));
    settled(&world).await;
    let mut waits = session(&json!({"agentRef": "a"}));
    waits["metadata"]["name"] = json!("first-by-name");
    world.create(SESSIONS, &waits);
    settled(&world).await;
    let path = "/apis/universe.ai/v1alpha1/namespaces/team/sessions/first-by-name";
    assert_eq!(world.get(path).expect("a session")["status"]["phase"], "Waiting");
    let (leader, _) = adopted(&mut world, leader, |_| {}, (RUN, "/spec/suspend")).await;
    assert_eq!(world.get(path).expect("a session")["status"]["phase"], "Waiting");
    assert_eq!(jobs(&world), 1);
    leader.stop().await;
}
