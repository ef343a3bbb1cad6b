//! What one event costs: it must not depend on the number of records before it, and at most
//! logarithmically on the number of objects.
//!
//! One "edit" is an Agent whose team changes, with everything that follows: 1 observation,
//! 1 decision and the outcomes of its 4 actions.

#![allow(missing_docs, reason = "a benchmark")]

mod driver;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use driver::Driver;
use rynxs_core::event::Event;
use rynxs_core::state::Position;

fn edits(c: &mut Criterion) {
    let mut group = c.benchmark_group("edit_after_records");
    for records in [1_000_u64, 10_000, 100_000] {
        let mut driver = Driver::with_agents(100);
        let mut generation = 1;
        while driver.records < records {
            generation += 1;
            driver.edit(7, generation);
        }
        group.bench_function(BenchmarkId::from_parameter(records), |b| {
            b.iter(|| {
                generation += 1;
                driver.edit(7, generation);
            });
        });
    }
    group.finish();

    let mut group = c.benchmark_group("edit_beside_agents");
    for agents in [10, 100, 1_000, 10_000] {
        let mut driver = Driver::with_agents(agents);
        let mut generation = 1;
        group.bench_function(BenchmarkId::from_parameter(agents), |b| {
            b.iter(|| {
                generation += 1;
                driver.edit(7, generation);
            });
        });
    }
    group.finish();
}

/// Applying alone, without deciding: what a reader of the log pays after parsing.
fn apply(c: &mut Criterion) {
    let events = recorded(1_000);
    let empty = Driver::new().state;
    let mut group = c.benchmark_group("apply");
    group.throughput(Throughput::Elements(events.len() as u64));
    group.sample_size(20);
    group.bench_function("1000_agents_from_nothing", |b| {
        b.iter(|| {
            let mut state = empty.clone();
            for (at, event) in &events {
                state.apply(*at, event).expect("it fits");
            }
            state
        });
    });
    let state = Driver::with_agents(1_000).state;
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("digest_of_1000_agents", |b| b.iter(|| state.digest()));
    group.finish();
}

/// All events of so many agents from nothing to converged, with their places.
fn recorded(agents: usize) -> Vec<(Position, Event)> {
    let mut driver = Driver::new();
    driver.kept = Some(Vec::new());
    for i in 0..agents {
        driver.converge(i, 1, "blue");
    }
    driver.kept.unwrap_or_default()
}

criterion_group!(benches, edits, apply);
criterion_main!(benches);
