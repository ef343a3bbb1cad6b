//! Who leads next, how soon, and what the election may cost.

use std::collections::BTreeSet;

use rynxs_judge::Invariant;
use rynxs_judge::event::Event;
use rynxs_sim::Scenario;
use rynxs_sim::scenario::{ApiFault, Do, Who};

use crate::play::{Seen, agent, play, until};

#[test]
fn two_candidates_race_for_an_expired_lease() {
    let story = Scenario { replicas: 5, latency_ms: (20, 40), ..until(120_000) }
        .at(0, agent("a", 1))
        .at(30_000, Do::Crash { who: Who::Leader, back_after_ms: 120_000 })
        .at(31_000, agent("a", 2));
    let all = play(&story, 1..7);
    for seen in &all {
        seen.excuses_only(&[]);
        assert_eq!(seen.epochs().len(), 2, "seed {}: the loser began no epoch", seen.seed);
    }
    let late = |seen: &Seen| seen.when(|line| loses_lease(line, 40_000)).len();
    assert!(all.iter().any(|seen| late(seen) > 0), "nobody raced for the expired Lease");
}

/// A write of the Lease that came second.
fn loses_lease(line: &rynxs_judge::event::Line, from_ms: u64) -> bool {
    match &line.event {
        Event::ObjectWrite(write) => {
            write.object.starts_with("Lease/")
                && write.status == 409
                && line.t_ns / 1_000_000 > from_ms
        }
        _ => false,
    }
}

#[test]
fn a_lease_conflict_storm_backs_off() {
    let storm_ms = 60_000;
    let storm =
        Do::ApiFault { fault: ApiFault::LeaseConflicts, per_mille: 1_000, for_ms: storm_ms };
    let story = until(120_000).at(0, agent("a", 1)).at(30_000, storm).at(40_000, agent("a", 2));
    for seen in play(&story, 1..5) {
        seen.excuses_only(&[]);
        seen.must_hit("lease-conflict");
        let tries = seen.when(|line| match &line.event {
            Event::Sent { method, target, .. } => {
                let ms = line.t_ns / 1_000_000;
                method != "GET"
                    && method != "WATCH"
                    && target.contains("/leases")
                    && (30_000..30_000 + storm_ms).contains(&ms)
            }
            _ => false,
        });
        // Three replicas that tried once per retry period of 2 s would try so often.
        let most = 3 * storm_ms / 2_000;
        let count = tries.len() as u64;
        assert!(count > 3 && count < most, "seed {}: {count} tries, at most {most}", seen.seed);
    }
}

#[test]
fn five_leaders_in_a_minute() {
    let mut story = Scenario { replicas: 5, ..until(120_000) }.at(0, agent("a", 1));
    for second in (20_u32..70).step_by(8) {
        let at = u64::from(second) * 1_000;
        story = story
            .at(at, agent("a", second))
            .at(at + 30, Do::Stop { who: Who::Leader, back_after_ms: 5_000 });
    }
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        seen.must_hit("five-epochs-in-a-minute");
        assert!(seen.epochs().len() >= 6, "seed {}: {:?}", seen.seed, seen.epochs());
    }
}

#[test]
fn a_released_lease_is_taken_within_a_round_trip() {
    let story = until(120_000)
        .at(0, agent("a", 1))
        .at(30_000, Do::Stop { who: Who::Leader, back_after_ms: 60_000 });
    // One way at most 20 ms: the watch event, a fresh read there and back, the write.
    let most_ms = 4 * 20 + 5;
    for seen in play(&story, 1..5) {
        seen.excuses_only(&[]);
        seen.must_hit("lease-released");
        seen.must_hit("successor-within-two-seconds");
        let changes: Vec<_> = seen
            .writes("Lease/")
            .filter(|(at, write)| *at > 30_000 && write.took_effect() && write.changed)
            .filter_map(|(at, write)| Some((at, write.value.as_ref()?["spec"].clone())))
            .map(|(at, spec)| (at, spec["holderIdentity"].as_str().unwrap_or("").to_owned()))
            .collect();
        let released = changes.iter().position(|(_, holder)| holder.is_empty());
        let released = released.expect("the Lease is given up");
        let (gave, took) = (changes[released].0, changes[released + 1].0);
        assert!(took - gave <= most_ms, "seed {}: {gave} to {took}", seen.seed);
    }
}

/// A rolling upgrade: who has just won the Lease is asked to stop as well, before its epoch began
/// or later.
#[test]
fn a_leader_that_is_asked_to_stop_while_it_takes_over_gives_the_lease_up() {
    let mut begun = BTreeSet::new();
    for after_ms in (150..1_350).step_by(150) {
        let story = Scenario { latency_ms: (20, 40), ..until(120_000) }
            .at(0, agent("a", 1))
            .at(30_000, Do::Stop { who: Who::Leader, back_after_ms: 60_000 })
            .at(30_000 + after_ms, Do::Stop { who: Who::Leader, back_after_ms: 60_000 })
            .at(31_500, agent("a", 2));
        for seen in play(&story, 1..4) {
            seen.excuses_only(&[]);
            let epochs = seen.epochs();
            let (last, _) = epochs.last().expect("somebody led");
            // A Lease that is left to run out would cost 15 s.
            assert!(*last < 36_000, "seed {}, {after_ms} ms: {epochs:?}", seen.seed);
            begun.insert(epochs.len());
        }
    }
    assert_eq!(
        Vec::from_iter(begun),
        [2, 3],
        "some were asked before their epoch began, some later"
    );
}

#[test]
fn a_release_whose_answer_is_lost_is_no_second_leader() {
    let story = until(120_000)
        .at(0, agent("a", 1))
        .at(30_000, Do::Stop { who: Who::Leader, back_after_ms: 60_000 })
        .at(30_000, Do::LoseAnswer { who: Who::Leader, nth: 1 });
    for seen in play(&story, 1..5) {
        seen.excuses_only(&[]);
        seen.must_hit("release-answered-ambiguously");
        assert_eq!(seen.epochs().len(), 2);
    }
}

#[test]
fn only_the_core_survives() {
    let story = Scenario { core: vec![1], heal_at_ms: 60_000, ..Scenario::default() }
        .at(0, agent("a", 1))
        .at(30_000, Do::Freeze { who: Who::Leader, for_ms: 5_000 })
        .at(50_000, agent("a", 2));
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        let gone = |line: &rynxs_judge::event::Line| match &line.event {
            Event::Killed { why } => why == "gone for good",
            _ => false,
        };
        assert_eq!(seen.when(gone).len(), 2, "two are gone");
        let epochs = seen.epochs();
        let (_, last) = epochs.last().expect("somebody led");
        assert_eq!(last, "rynxs-1", "seed {}: {epochs:?}", seen.seed);
        assert!(seen.report.of(Invariant::I8Converge).is_pass());
    }
}

#[test]
fn a_rolling_upgrade_changes_the_default_image() {
    let story =
        until(90_000).at(0, agent("a", 1)).at(30_000, Do::Upgrade { image: 2, pause_ms: 10_000 });
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        seen.must_hit("epoch-with-other-settings");
        let runtime = seen.at_end("Deployment/agents/a-runtime").expect("it runs");
        let image = &runtime["spec"]["template"]["spec"]["containers"][0]["image"];
        assert_eq!(image, "ghcr.io/rynxs/agent:v2", "seed {}", seen.seed);
    }
}
