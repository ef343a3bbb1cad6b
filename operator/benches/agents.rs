//! 1,000 agents from nothing to ready against the API server's model: the time that operator and
//! model take together (their own time is virtual), and what it costs in requests, records, events
//! and memory.

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use rynxs_operator::leader::LeaderEnd;
use serde_json::json;
use support::world::World;

const AGENTS: usize = 1_000;
const PATH: &str = "/apis/universe.ai/v1alpha1/namespaces/team/agents";

/// What one run cost.
struct Cost {
    requests: BTreeMap<String, usize>,
    records: usize,
    events: usize,
}

fn run() -> Cost {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without threads needs nothing from the system");
    runtime.block_on(async {
        let mut world = World::new();
        let leader = world.lead();
        world.pass(Duration::from_secs(1)).await;
        let (before, records) = (world.requests().len(), world.log.len());
        let events = world.log.events().len();
        for n in 0..AGENTS {
            let name = format!("agent-{n:04}");
            let manifest = json!({
                "apiVersion": "universe.ai/v1alpha1",
                "kind": "Agent",
                "metadata": {"name": name, "namespace": "team"},
                "spec": {},
            });
            world.create(PATH, &manifest);
        }
        world.until("all agents are ready", all_ready).await;
        let mut requests = BTreeMap::new();
        for line in &world.requests()[before..] {
            *requests.entry(kind(line)).or_default() += 1;
        }
        let cost = Cost {
            requests,
            records: world.log.len() - records,
            events: world.log.events().len() - events,
        };
        assert_eq!(leader.stop().await, LeaderEnd::Stopped { settled: true });
        cost
    })
}

fn all_ready(world: &World) -> bool {
    let list = world.get(PATH).expect("a list");
    let items = list["items"].as_array().expect("items");
    items.iter().all(|agent| {
        let conditions = agent["status"]["conditions"].as_array();
        let ready = conditions.into_iter().flatten().find(|is| is["type"] == "Ready");
        ready.is_some_and(|ready| ready["status"] == "True")
    })
}

/// `METHOD resource`, with `/status` but without names.
fn kind(line: &str) -> String {
    let (method, path) = line.split_once(' ').unwrap_or((line, ""));
    let mut parts: Vec<&str> = path.split('/').collect();
    let status = parts.last() == Some(&"status");
    if let Some(at) = parts.iter().position(|part| *part == "namespaces") {
        parts.drain(..at + 2);
        parts.truncate(1);
    }
    let resource = parts.last().copied().unwrap_or_default();
    format!("{method} {resource}{}", if status { "/status" } else { "" })
}

/// Peak resident memory of this process, operator and model together.
#[allow(clippy::disallowed_methods, reason = "a test reads and writes the files that it holds")]
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[allow(clippy::disallowed_macros, reason = "a benchmark reports on standard error")]
fn report() {
    let cost = run();
    let per_agent = |count: usize| count as f64 / AGENTS as f64;
    eprintln!("per agent, of {AGENTS}:");
    for (kind, count) in &cost.requests {
        eprintln!("  {:8.3}  {kind}", per_agent(*count));
    }
    let requests: usize = cost.requests.values().sum();
    eprintln!("  {:8.3}  requests in all", per_agent(requests));
    eprintln!("  {:8.3}  events", per_agent(cost.events));
    eprintln!("  {:8.3}  records", per_agent(cost.records));
    if let Some(peak) = peak_kib() {
        eprintln!("  peak memory of operator and model together: {} MiB", peak / 1024);
    }
    assert!(requests <= 10 * AGENTS && cost.events <= 8 * AGENTS, "over the budget");
}

fn agents(criterion: &mut Criterion) {
    report();
    let mut group = criterion.benchmark_group("agents");
    group.sample_size(10);
    group.bench_function("1000_from_nothing_to_ready", |bench| bench.iter(run));
    group.finish();
}

criterion_group!(benches, agents);
criterion_main!(benches);
