//! The object store lies: about what it applied, and about what it promises.

use std::collections::BTreeMap;

use rynxs_judge::Invariant;
use rynxs_judge::event::Event;
use rynxs_judge::oracle::LOG_REFUSED;
use rynxs_sim::scenario::{Do, S3Fault, Server, Way, Who};

use crate::play::{agent, play, until};

#[test]
fn answer_lost_after_put_applied() {
    let (who, server, way) = (Who::Leader, Server::S3, Way::Answers);
    let story = until(120_000)
        .at(0, agent("a", 1))
        .at(30_000, Do::Partition { who, server, way, for_ms: 3_000 })
        .at(30_001, agent("a", 2));
    for seen in play(&story, 1..5) {
        seen.excuses_only(&[]);
        seen.must_hit("append-answer-lost");
        seen.must_hit("own-write-recognised");
        assert_eq!(seen.epochs().len(), 1, "seed {}: nobody was deposed over it", seen.seed);
    }
}

#[test]
fn the_store_fails_after_it_wrote() {
    let late = Do::S3Fault { fault: S3Fault::FailsAfter, per_mille: 700, for_ms: 30_000 };
    let story = until(120_000).at(0, agent("a", 1)).at(20_000, late).at(21_000, agent("b", 1));
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        seen.must_hit("store-error");
        seen.must_hit("own-write-recognised");
        seen.blames("s3-fails-after", "s3", 500);
    }
}

#[test]
fn the_store_is_slow_and_conflicts_with_itself() {
    let conflict = Do::S3Fault { fault: S3Fault::Conflict, per_mille: 500, for_ms: 30_000 };
    let slow = Do::Slow { who: Who::All, server: Server::S3, more_ms: 700, for_ms: 30_000 };
    let story = until(120_000)
        .at(0, agent("a", 1))
        .at(20_000, conflict)
        .at(20_000, slow)
        .at(21_000, agent("b", 1));
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        seen.must_hit("store-conflict");
        seen.blames("s3-conflict", "s3", 409);
    }
}

#[test]
fn a_put_that_arrives_twice_is_one_record() {
    let twice = Do::Duplicate { who: Who::All, per_mille: 1_000, for_ms: 60_000 };
    let story = until(120_000).at(0, agent("a", 1)).at(20_000, twice).at(21_000, agent("b", 1));
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        seen.must_hit("write-arrives-twice");
        let mut answers: BTreeMap<(&str, &str), Vec<u16>> = BTreeMap::new();
        for line in &seen.lines {
            if let Event::LogWrite(write) = &line.event {
                answers.entry((&write.key, &write.text)).or_default().push(write.status);
            }
        }
        // A term's first append is sent several times on purpose, and no other one is.
        let twice = answers.values().filter(|statuses| *statuses == &[200, 412]).count();
        assert!(twice > 3, "seed {}: {twice} records came twice", seen.seed);
        let once =
            |statuses: &Vec<u16>| statuses.iter().filter(|status| **status == 200).count() == 1;
        assert!(answers.values().all(once), "seed {}: {answers:?}", seen.seed);
    }
}

#[test]
fn a_store_that_ignores_the_condition_is_refused() {
    let story = until(60_000)
        .at(0, agent("a", 1))
        .at(20_000, Do::IgnoreCondition {})
        .at(30_000, Do::Crash { who: Who::Leader, back_after_ms: 10_000 })
        .at(50_000, agent("a", 2));
    let broken = [
        Invariant::I1Chain,
        Invariant::I2Durable,
        Invariant::I3Epoch,
        Invariant::I5Intent,
        Invariant::I6Replay,
        Invariant::I8Converge,
    ];
    for seen in play(&story, 1..4) {
        seen.excuses_only(&broken);
        // Whoever leads next asks the store twice for one key, and believes it no more.
        let applied = seen
            .writes("ConfigMap/agents/a-spec")
            .any(|(at, write)| at > 50_000 && write.took_effect() && write.changed);
        assert!(!applied, "seed {}: nobody acts on such a log", seen.seed);
        let led = seen.when(|line| {
            line.t_ns > 30_000_000_000 && matches!(line.event, Event::Guard { until_ns: Some(_) })
        });
        assert!(!led.is_empty(), "somebody tried");
        let refused = seen.when(|line| match &line.event {
            Event::Probe { probe } => probe == LOG_REFUSED,
            Event::Exited { corrupt, .. } => *corrupt,
            _ => false,
        });
        assert!(!refused.is_empty(), "seed {}: nobody says that the store is refused", seen.seed);
    }
}
