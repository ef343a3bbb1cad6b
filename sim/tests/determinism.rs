//! The same scenario and seed give the same bytes; another seed gives others.

#![allow(clippy::disallowed_methods, reason = "a run is written down if asked for")]

use rynxs_judge::event::Event;
use rynxs_sim::scenario::{AgentShape, ApiFault, Clock, Do, S3Fault, Server, StoreKind, Way, Who};
use rynxs_sim::{Scenario, fingerprint, run, text};

fn agent(name: &str, suspended: bool) -> Do {
    let agent = AgentShape { suspended, ..AgentShape::default() };
    Do::ApplyAgent { name: name.to_owned(), agent }
}

fn stormy() -> Scenario {
    let clock = |rate_ppm| Clock { rate_ppm, wall_offset_ms: 0 };
    let any = Server::Any;
    Scenario { clocks: vec![clock(20_000), clock(-20_000)], api_views: 2, ..Scenario::default() }
        .at(0, agent("a", false))
        .at(
            0,
            Do::Lose { who: Who::All, server: any, way: Way::Both, per_mille: 20, for_ms: 200_000 },
        )
        .at(0, Do::Duplicate { who: Who::All, per_mille: 50, for_ms: 200_000 })
        .at(10_000, Do::ApiFault { fault: ApiFault::FailsAfter, per_mille: 50, for_ms: 100_000 })
        .at(10_000, Do::S3Fault { fault: S3Fault::FailsAfter, per_mille: 50, for_ms: 100_000 })
        .at(20_000, agent("b", false))
        .at(20_100, Do::Crash { who: Who::Leader, back_after_ms: 30_000 })
        .at(50_000, agent("a", true))
        .at(60_000, Do::Freeze { who: Who::Leader, for_ms: 40_000 })
        .at(100_000, Do::DeleteAgent { name: "b".to_owned() })
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let one = run(&stormy(), 7).expect("the world stands");
    let two = run(&stormy(), 7).expect("the world stands");
    let first_difference = one.lines.iter().zip(&two.lines).find(|(a, b)| a != b);
    assert_eq!(first_difference, None);
    assert_eq!(fingerprint(&one.lines), fingerprint(&two.lines));
    assert!(one.lines.len() > 100, "only {} lines: nothing happened", one.lines.len());
}

#[test]
fn a_log_in_files_gives_the_same_bytes_too() {
    let scenario = Scenario { replicas: 1, store: StoreKind::File, ..Scenario::default() }
        .at(0, agent("a", false))
        .at(20_000, agent("b", false))
        .at(20_020, Do::PowerLoss { torn: true, back_after_ms: 1_000 })
        .at(60_000, Do::FailSyncs { count: 1 })
        .at(60_001, agent("a", true));
    let one = run(&scenario, 7).expect("the world stands");
    let two = run(&scenario, 7).expect("the world stands");
    assert_eq!(text(&one.lines), text(&two.lines));
    let disk = one.lines.iter().filter(|line| matches!(line.event, Event::Disk(_)));
    assert!(disk.count() > 20, "the disk tells what it does");
}

#[test]
fn another_seed_gives_another_run() {
    let one = run(&stormy(), 1).expect("the world stands");
    let two = run(&stormy(), 2).expect("the world stands");
    assert_ne!(fingerprint(&one.lines), fingerprint(&two.lines));
}

#[test]
fn a_storm_breaks_no_invariant() {
    for seed in 0..8 {
        let outcome = run(&stormy(), seed).expect("the world stands");
        if let Ok(path) = std::env::var("RYNXS_SIM_OUT") {
            std::fs::write(format!("{path}/{seed}.jsonl"), rynxs_sim::text(&outcome.lines))
                .expect("the folder can be written to");
        }
        eprintln!("{seed}: {:?}\n{}", outcome.stats, outcome.report);
        let again = "cargo test --workspace --test determinism a_storm_breaks_no_invariant";
        assert!(outcome.report.is_green(), "seed {seed}:\n{}\n{again}", outcome.report);
    }
}
