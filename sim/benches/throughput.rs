//! How much simulated time a core gets through, beside a bare madsim loop with as many messages.
//!
//! The work: 3 replicas, 20 Agents that are edited, swarms of faults, all oracles. The loop: the
//! same runs, of the same length, with as many messages that travel and are answered, and nothing
//! else. Both are counted in processor time of this one process. `--runs N`: how many, 80 if not
//! given.

use std::time::Duration;

use futures::channel::oneshot;
use madsim::rand::{Rng, thread_rng};
use madsim::runtime::{Handle, Runtime};
use rynxs_sim::scenario::Scenario;
use rynxs_sim::scenario::strategy::{Size, draw};
use rynxs_sim::trial::{Shown, deep, trial};

const REPLICAS: u32 = 3;
const AGENTS: u32 = 20;
const RUNS: u64 = 80;
/// Of utime and stime in proc(5); Linux has had it fixed for user space since 2.6.
const TICK: Duration = Duration::from_millis(10);

/// What runs did, and what they cost.
#[derive(Default)]
struct Sum {
    cost: Duration,
    simulated: Duration,
    takeovers: u64,
    faults: u64,
    requests: u64,
    steps: usize,
}

/// Processor time that this process has used so far.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures its own process")]
fn used() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    // The second field is a name in brackets and may hold blanks.
    let behind = stat.rsplit_once(')').expect("a name in brackets").1;
    let fields = behind.split_whitespace().skip(11).take(2);
    let ticks: u32 = fields.map(|field| field.parse::<u32>().expect("a count of ticks")).sum();
    TICK * ticks
}

/// The scenario of a seed, with as many replicas and Agents as this measures.
fn scenario(seed: u64) -> Scenario {
    draw(seed, Size { replicas: Some(REPLICAS), team: AGENTS, ..Size::default() })
}

fn simulator(runs: u64) -> (Sum, Vec<(Duration, u64)>) {
    let (mut sum, mut lengths) = (Sum::default(), Vec::new());
    for seed in 0..runs {
        let scenario = scenario(seed);
        sum.steps += scenario.steps.len();
        let before = used();
        let trial = trial(&scenario, seed, false);
        sum.cost += used() - before;
        assert!(matches!(trial.shown, Shown::Green), "seed {seed}: {}", trial.shown);
        let stats = trial.outcome.expect("a green run has an outcome").stats;
        let simulated = Duration::from_nanos(stats.simulated_ns);
        sum.simulated += simulated;
        sum.takeovers += stats.takeovers;
        sum.faults += stats.faults;
        sum.requests += stats.requests;
        lengths.push((simulated, stats.requests));
    }
    (sum, lengths)
}

/// As many messages in as much simulated time, each travelling there and back.
fn bare(lengths: &[(Duration, u64)]) -> Sum {
    let mut sum = Sum::default();
    for (seed, (simulated, requests)) in (0..).zip(lengths) {
        let (simulated, requests) = (*simulated, *requests);
        let before = used();
        let runtime = Runtime::with_seed_and_config(seed, madsim::Config::default());
        runtime.block_on(async move {
            let pause = simulated * REPLICAS / u32::try_from(requests.max(1)).expect("not so many");
            let servers = Handle::current().create_node().name("servers").build();
            let mut clients = Vec::new();
            for replica in 0..REPLICAS {
                let servers = servers.clone();
                let node = Handle::current().create_node().name(format!("rynxs-{replica}")).build();
                let mine = requests / u64::from(REPLICAS);
                clients.push(node.spawn(async move {
                    for _ in 0..mine {
                        madsim::time::sleep(pause).await;
                        let (answer, answered) = oneshot::channel();
                        servers.spawn(async move {
                            let way = || Duration::from_millis(thread_rng().gen_range(1..20));
                            madsim::time::sleep(way()).await;
                            madsim::time::sleep(way()).await;
                            // Whoever asked waits for it.
                            let _ = answer.send(());
                        });
                        answered.await.expect("every message is answered");
                    }
                }));
            }
            for client in clients {
                client.await.expect("a client ends by itself");
            }
        });
        sum.cost += used() - before;
        sum.simulated += simulated;
        sum.requests += requests;
    }
    sum
}

fn runs() -> u64 {
    let mut arguments = std::env::args();
    let given = arguments.find(|argument| argument == "--runs").and_then(|_| arguments.next());
    given.map_or(RUNS, |runs| runs.parse().expect("--runs N"))
}

#[allow(clippy::disallowed_macros, reason = "a benchmark prints what it measured")]
fn main() {
    let runs = runs();
    let (simulator, lengths) = deep(|| simulator(runs));
    let bare = deep(|| bare(&lengths));
    let cost = simulator.cost.as_secs_f64();
    let rate = |sum: &Sum| sum.simulated.as_secs_f64() / sum.cost.as_secs_f64();
    println!("{runs} runs of {REPLICAS} replicas and {AGENTS} Agents, {} steps", simulator.steps);
    println!("per second of one core     simulator  bare loop");
    println!("simulated seconds         {:>10.0} {:>10.0}", rate(&simulator), rate(&bare));
    let requests = |sum: &Sum| sum.requests as f64 / sum.cost.as_secs_f64();
    println!("requests of replicas      {:>10.0} {:>10.0}", requests(&simulator), requests(&bare));
    println!("take-overs                {:>10.1}", simulator.takeovers as f64 / cost);
    println!("faults                    {:>10.1}", simulator.faults as f64 / cost);
    println!(
        "the simulator gets through {:.1} % of the simulated time of the bare loop",
        100.0 * rate(&simulator) / rate(&bare)
    );
}
