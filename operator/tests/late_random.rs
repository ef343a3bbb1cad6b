//! Random late answers, watches that lag, and people who edit and delete at any moment, between
//! resyncs: when all has arrived, the cluster is what its Agents ask for, and stays so in silence.
#![allow(missing_docs, reason = "tests are named by their claims")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use rynxs_core::event::Event;
use rynxs_operator::ports::Entropy;
use serde_json::{Value, json};
use support::Seeded;
use support::story::{AGENTS, agent, outcomes};
use support::world::{Fate, World};

const ROUNDS: u64 = 30;
const NAMES: [&str; 3] = ["a0", "a1", "a2"];
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/team/deployments";
const MAPS: &str = "/api/v1/namespaces/team/configmaps";
const CLAIMS: &str = "/api/v1/namespaces/team/persistentvolumeclaims";

fn draw(seeded: &Seeded, below: u64) -> u64 {
    let mut bytes = [0; 8];
    seeded.fill(&mut bytes);
    u64::from_le_bytes(bytes) % below
}

fn names(world: &World, collection: &str) -> BTreeSet<String> {
    let list = world.get(collection).expect("a list");
    let items = list["items"].as_array().expect("items").iter();
    items.map(|item| item["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
}

/// One thing that somebody does.
fn act(world: &World, dice: &Seeded) {
    let name = NAMES[usize::try_from(draw(dice, 3)).expect("small")];
    let path = format!("{AGENTS}/{name}");
    if world.get(&path).is_none() {
        let tag = draw(dice, 1_000).to_string();
        world.create(AGENTS, &agent(name, &json!({"team": format!("t{tag}")})));
        return;
    }
    let child = match draw(dice, 10) {
        0..2 => return world.delete(&path),
        2..4 => {
            world.merge(&path, &json!({"spec": {"operatingMode": "Suspended"}}));
            return;
        }
        4..6 => {
            world.merge(&path, &json!({"spec": {"operatingMode": "Running"}}));
            return;
        }
        6 => {
            let team = format!("t{}", draw(dice, 1_000));
            world.merge(&path, &json!({"spec": {"team": team}}));
            return;
        }
        7 => {
            let runtime = format!("{DEPLOYMENTS}/{name}-runtime");
            if world.get(&runtime).is_some() {
                world.merge(&runtime, &json!({"spec": {"replicas": 5}}));
            }
            return;
        }
        8 => format!("{DEPLOYMENTS}/{name}-runtime"),
        _ => format!("{MAPS}/{name}-spec"),
    };
    if world.get(&child).is_some() {
        world.delete(&child);
    }
}

/// Whether everything is as the living Agents ask for, nothing else is there, and the log knows it.
fn is_converged(world: &World) -> bool {
    let agents = names(world, AGENTS);
    let of = |suffix: &str| agents.iter().map(|name| format!("{name}-{suffix}")).collect();
    names(world, DEPLOYMENTS) == of("runtime")
        && names(world, MAPS) == of("spec")
        && names(world, CLAIMS) == of("workspace")
        && agents.iter().all(|name| is_as_asked(world, name))
        && known(world) == agents
}

fn is_as_asked(world: &World, name: &str) -> bool {
    let agent = world.get(&format!("{AGENTS}/{name}")).expect("an agent");
    let runtime = world.get(&format!("{DEPLOYMENTS}/{name}-runtime")).expect("a runtime");
    let suspended = agent["spec"]["operatingMode"] == "Suspended";
    runtime["spec"]["replicas"] == u32::from(!suspended)
        && runtime["metadata"]["ownerReferences"][0]["uid"] == agent["metadata"]["uid"]
        && agent["status"]["observedGeneration"] == agent["metadata"]["generation"]
}

/// The Agents that live as far as the log knows.
fn known(world: &World) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for event in world.log.events() {
        match event {
            Event::AgentObserved { agent, .. } => drop(known.insert(agent.key.name)),
            Event::AgentDeleted { agent, .. } => drop(known.remove(&agent.key.name)),
            _ => {}
        }
    }
    known
}

fn objects(world: &World) -> (Value, usize, usize) {
    let agents = world.get(AGENTS).expect("a list")["items"].clone();
    (agents, world.log.len(), world.writes().len())
}

/// Rounds of a few deeds while answers are late. After each, everything is to be as it should
/// without anything more happening: what a later deed would heal does not count.
async fn live_through(seed: u64) {
    let mut world = World::new();
    // Either more often than the settings allow, to have lists in between everything; or never,
    // to have nothing healed by them.
    let resync_s = if seed.is_multiple_of(2) { 7 } else { 36_000 };
    world.config.reconcile.resync = Duration::from_secs(resync_s);
    let leader = world.lead();
    let people = Seeded::new(seed);
    for round in 0..ROUNDS {
        let dice = Seeded::new(seed * ROUNDS + round);
        world.fate(move |_| match draw(&dice, 100) {
            0..50 => Fate::Late(draw(&dice, 1_000)),
            50..54 => Fate::AnswerLost,
            _ => Fate::Arrives,
        });
        world.watch_delay([1, 5, 50, 800][usize::try_from(draw(&people, 4)).expect("small")]);
        for _ in 0..=draw(&people, 4) {
            act(&world, &people);
            world.pass(Duration::from_millis(draw(&people, 900))).await;
        }
        world.fate(|_| Fate::Arrives);
        world.until(&format!("seed {seed}, round {round}: converged"), is_converged).await;
    }
    world.pass(Duration::from_secs(10)).await;
    let before = objects(&world);
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(before, objects(&world), "seed {seed}: an unchanged cluster appends nothing");
    outcomes(&world);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whatever_is_late_the_cluster_becomes_what_its_agents_ask_for_and_stays_so() {
    // With these a cache that keeps late answers, and one that queues nothing for them, are found.
    for seed in [1, 2, 5, 7] {
        live_through(seed).await;
    }
}
