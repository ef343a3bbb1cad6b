//! Random faults on every request, and leaders that die at any moment: in the end the cluster is
//! what a calm run makes of it, and every decided action has exactly one outcome.
#![allow(missing_docs, reason = "tests are named by their claims")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use rynxs_operator::ports::Entropy;
use serde_json::{Value, json};
use support::Seeded;
use support::story::{AGENTS, agent, outcomes};
use support::world::{Fate, World};

fn draw(seeded: &Seeded, below: u64) -> u64 {
    let mut bytes = [0; 8];
    seeded.fill(&mut bytes);
    u64::from_le_bytes(bytes) % below
}

/// What people do; the same in every run.
async fn live(world: &World) {
    for n in 0..4 {
        world.create(AGENTS, &agent(&format!("a{n}"), &json!({"team": "red"})));
    }
    world.pass(Duration::from_secs(20)).await;
    world.merge(&format!("{AGENTS}/a0"), &json!({"spec": {"operatingMode": "Suspended"}}));
    world.merge(&format!("{AGENTS}/a1"), &json!({"spec": {"role": "director"}}));
    world.delete(&format!("{AGENTS}/a2"));
    world.pass(Duration::from_millis(700)).await;
    world.create(AGENTS, &agent("a2", &json!({"team": "blue"})));
    world.merge(&format!("{AGENTS}/a0"), &json!({"spec": {"operatingMode": "Running"}}));
    world.pass(Duration::from_secs(20)).await;
    world.delete(&format!("{AGENTS}/a3"));
    world.pass(Duration::from_secs(20)).await;
}

/// The managed objects without what differs from run to run.
fn objects(world: &World) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for (kind, collection) in [
        ("ConfigMap", "/api/v1/namespaces/team/configmaps"),
        ("PersistentVolumeClaim", "/api/v1/namespaces/team/persistentvolumeclaims"),
        ("Deployment", "/apis/apps/v1/namespaces/team/deployments"),
        ("NetworkPolicy", "/apis/networking.k8s.io/v1/namespaces/team/networkpolicies"),
    ] {
        let list = world.get(collection).expect("a list");
        for item in list["items"].as_array().expect("items") {
            let name = item["metadata"]["name"].as_str().expect("a name");
            let mut content = item.clone();
            // The epoch of a template and the uids of its owners differ from run to run.
            if let Some(spec) = content["spec"].as_object_mut() {
                spec.remove("volumeName");
            }
            let env = content["spec"].pointer_mut("/template/spec/containers/0/env");
            if let Some(Value::Array(env)) = env {
                env.retain(|variable| variable["name"] != "RYNXS_EPOCH");
            }
            all.insert(
                format!("{kind}/{name}"),
                json!({
                    "spec": content["spec"],
                    "labels": content["metadata"]["labels"],
                    "owned": content["metadata"]["ownerReferences"][0]["name"],
                }),
            );
        }
    }
    all
}

/// Stamps of a living object never fall, whoever writes.
fn assert_stamps_never_fall(world: &World) {
    let mut last = BTreeMap::<String, u64>::new();
    for write in world.server.history() {
        let Some(stamp) = write.stamp.as_ref().and_then(|stamp| stamp.parse::<u64>().ok()) else {
            continue;
        };
        if write.status_code < 300 && !write.removed {
            let highest = last.entry(write.uid.clone()).or_default();
            assert!(stamp >= *highest, "{write:?} after stamp {highest}");
            *highest = stamp;
        }
    }
}

async fn converged(world: &World) {
    let mut before = (usize::MAX, usize::MAX);
    for _ in 0..60 {
        let now = (world.writes().len(), world.log.len());
        if now == before {
            return;
        }
        before = now;
        // Longer than the longest wait after failures.
        world.pass(Duration::from_secs(65)).await;
    }
    panic!("never settles");
}

async fn calm() -> BTreeMap<String, Value> {
    let mut world = World::new();
    let leader = world.lead();
    live(&world).await;
    converged(&world).await;
    leader.stop().await;
    let objects = objects(&world);
    assert_eq!(objects.len(), 12, "three agents of four objects: {:?}", objects.keys());
    objects
}

#[tokio::test(start_paused = true)]
async fn under_any_network_the_cluster_becomes_what_a_calm_run_makes_of_it() {
    let expected = calm().await;
    for seed in 0..12 {
        let mut world = World::new();
        let dice = Seeded::new(seed);
        world.fate(move |_| match draw(&dice, 100) {
            0..6 => Fate::AnswerLost,
            6..12 => Fate::FailsAfter,
            12..18 => Fate::Refused(503),
            18..22 => Fate::Refused(429),
            22..25 => Fate::Refused(409),
            25..27 => Fate::Lost,
            _ => Fate::Arrives,
        });
        let leader = world.lead();
        live(&world).await;
        world.fate(|_| Fate::Arrives);
        converged(&world).await;
        assert_eq!(objects(&world), expected, "seed {seed}");
        outcomes(&world);
        assert_stamps_never_fall(&world);
        leader.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn leaders_that_die_at_any_moment_leave_nothing_undone_and_nothing_double() {
    let expected = calm().await;
    for seed in 100..112 {
        let mut world = World::new();
        let dice = Seeded::new(seed);
        world.fate(move |_| match draw(&dice, 100) {
            0..5 => Fate::AnswerLost,
            5..10 => Fate::Refused(500),
            _ => Fate::Arrives,
        });
        let dice = Seeded::new(seed + 1_000);
        let mut leader = Some(world.lead());
        // People go on while leaders come and go.
        let people = world.beside();
        let mut living = Box::pin(async move { live(&people).await });
        loop {
            let span = Duration::from_millis(draw(&dice, 4_000));
            match tokio::time::timeout(span, living.as_mut()).await {
                Ok(()) => break,
                Err(_) => {
                    if let Some(leader) = leader.take() {
                        leader.kill().await;
                    }
                    leader = Some(world.lead());
                }
            }
        }
        world.fate(|_| Fate::Arrives);
        converged(&world).await;
        assert_eq!(objects(&world), expected, "seed {seed}");
        outcomes(&world);
        assert_stamps_never_fall(&world);
        if let Some(leader) = leader {
            leader.stop().await;
        }
    }
}
