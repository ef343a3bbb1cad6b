//! What a decision costs, and what it costs to find that nothing is to be decided.

#![allow(missing_docs, reason = "a benchmark")]

mod driver;

use criterion::{Criterion, criterion_group, criterion_main};
use driver::{Driver, key};
use rynxs_core::decide;
use rynxs_core::event::{Event, Trigger};
use rynxs_core::ids::{Hash, Seq, Uid};
use rynxs_core::render;
use rynxs_core::resource::{AgentSpec, children};
use rynxs_core::state::Position;

fn decisions(c: &mut Criterion) {
    let mut driver = Driver::with_agents(1_000);
    let new = decide::agent_observed(&key(5_000), &Uid::from("u"), 1, AgentSpec::default());
    let at = Position::new(Seq(driver.records), 0);
    driver.state.apply(at, &new).expect("it fits");
    let trigger = Trigger { seq: at.seq, index: 0, sha256: Hash::ZERO };
    c.bench_function("decide_a_new_agent", |b| {
        b.iter(|| decide::follow_ups(&driver.state, trigger, &new));
    });

    let agent = driver.state.agent(&key(7)).expect("known");
    let again = decide::agent_observed(&key(7), &agent.uid, 1, agent.observed.clone());
    assert!(!decide::is_news(&driver.state, &again));
    c.bench_function("see_an_unchanged_agent", |b| {
        b.iter(|| decide::is_news(&driver.state, &again));
    });

    let follow_ups = decide::follow_ups(&driver.state, trigger, &new);
    let Some(Event::ActionsDecided { actions, .. }) = follow_ups.first() else {
        panic!("a new agent is decided");
    };
    let subject = children::agent(&key(5_000));
    c.bench_function("render_the_manifests_of_an_agent", |b| {
        b.iter(|| {
            for action in actions {
                render::manifest(&driver.state, &subject, action).expect("it renders");
            }
        });
    });
}

/// Memory of the state, beside what a replica may take for 1,000 agents.
#[allow(clippy::disallowed_methods, reason = "a test reads and writes the files that it holds")]
fn memory(_: &mut Criterion) {
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
        pages.unwrap_or(0) * 4_096
    };
    let before = resident();
    let driver = Driver::with_agents(1_000);
    let kib = resident().saturating_sub(before) / 1_024;
    let json = driver.state.snapshot().to_string().len() / 1_024;
    print_line(&format!(
        "state of 1000 converged agents: about {kib} KiB resident, {json} KiB as JSON, {} events",
        driver.events
    ));
    assert!(kib < 60 * 1_024, "{kib} KiB");
}

#[allow(clippy::disallowed_macros, reason = "a benchmark prints its figures")]
fn print_line(text: &str) {
    println!("{text}");
}

criterion_group!(benches, memory, decisions);
criterion_main!(benches);
