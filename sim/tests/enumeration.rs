//! A share of the enumeration: every fifth write. `rynxs-sim enumerate` does them all.

use rynxs_sim::enumerate::{At, Plan, enumerate, references};
use rynxs_sim::scenario;

/// What shows a failure again.
const SIMULATOR: &str = env!("CARGO_BIN_EXE_rynxs-sim");

/// Writes of one reference scenario that are reached at least: its records, its objects.
const WRITES_AT_LEAST: u32 = 20;

fn is_settled(at: At) {
    let plan = Plan { seed: 1, every: 5, only: None, threads: 2 };
    for reference in references() {
        let found = enumerate(&reference, at, &plan).expect("green without a fault");
        eprintln!("{}, {}: {} runs", reference.name, at.words(), found.runs);
        assert!(found.runs * plan.every >= WRITES_AT_LEAST, "only {} runs", found.runs);
        let wrong: Vec<_> = found
            .wrong
            .iter()
            .map(|wrong| {
                let (name, at, nth, seed) = (reference.name, at.name(), wrong.nth, plan.seed);
                let text = scenario::write(&wrong.scenario, &wrong.why);
                let which = format!("--scenario {name} --at {at} --write {nth} --seed {seed}");
                format!("{text}{SIMULATOR} enumerate {which}")
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn a_replica_may_die_before_any_write() {
    is_settled(At::DiesBefore);
}

#[test]
fn a_replica_may_die_after_any_write() {
    is_settled(At::DiesAfter);
}

#[test]
fn the_answer_to_any_write_may_be_lost() {
    is_settled(At::AnswerLost);
}
