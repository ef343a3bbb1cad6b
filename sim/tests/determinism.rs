//! The same scenario and seed give the same bytes; another seed gives others.

use rynxs_sim::{Scenario, Step, run};

fn stormy() -> Scenario {
    let agent = |name: &str| Step::Agent { name: name.to_owned(), running: true };
    Scenario {
        replicas: 3,
        clock_rates_ppm: vec![20_000, -20_000, 0],
        lost_requests_per_mille: 20,
        lost_answers_per_mille: 20,
        steps: vec![
            agent("a"),
            Step::Wait { ms: 20_000 },
            agent("b"),
            Step::CrashLeader { back_after_ms: 30_000 },
            Step::Agent { name: "a".to_owned(), running: false },
            Step::FreezeLeader { ms: 40_000 },
            Step::DeleteAgent { name: "b".to_owned() },
            Step::Wait { ms: 20_000 },
        ],
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let one = run(&stormy(), 7).expect("the world stands");
    let two = run(&stormy(), 7).expect("the world stands");
    let first_difference =
        one.stream.text().lines().zip(two.stream.text().lines()).position(|(a, b)| a != b);
    assert_eq!(first_difference, None);
    assert_eq!(one.stream.fingerprint(), two.stream.fingerprint());
    assert!(one.stream.len() > 100, "only {} lines: nothing happened", one.stream.len());
}

#[test]
fn another_seed_gives_another_run() {
    let one = run(&stormy(), 1).expect("the world stands");
    let two = run(&stormy(), 2).expect("the world stands");
    assert_ne!(one.stream.fingerprint(), two.stream.fingerprint());
}

#[test]
fn a_storm_breaks_no_invariant_and_the_cluster_converges() {
    for seed in 0..8 {
        let outcome = run(&stormy(), seed).expect("the world stands");
        assert!(outcome.report.failed().is_empty(), "seed {seed}:\n{}", outcome.report);
        assert_eq!(outcome.converged, Ok(()), "seed {seed}");
        assert!(outcome.report.is_green(), "seed {seed}:\n{}", outcome.report);
    }
}
