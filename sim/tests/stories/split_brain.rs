//! Two replicas that believe, or might believe, that they lead (I7), and the fences that hold all
//! the same (I1 to I6).

use rynxs_judge::Invariant;
use rynxs_judge::event::Event;
use rynxs_sim::Scenario;
use rynxs_sim::scenario::{Clock, Do, Server, Way, Who};

use crate::play::{agent, play, until};

const L_MS: u64 = 15_000;

/// The leader writes, and is frozen before the write arrives.
pub(crate) fn frozen_leader() -> Scenario {
    until(120_000)
        .at(0, agent("a", 1))
        .at(30_000, Do::HoldWrite { who: Who::Leader, server: Server::S3, for_ms: 30_000 })
        .at(30_001, agent("a", 2))
        .at(30_500, Do::Freeze { who: Who::Leader, for_ms: 40_000 })
        .at(65_000, agent("a", 3))
}

#[test]
fn a_frozen_leader_wakes_after_takeover_and_cannot_write() {
    for seen in play(&frozen_leader(), 1..5) {
        seen.excuses_only(&[]);
        seen.must_hit("leader-frozen-beyond-lease");
        seen.must_hit("zombie-append-refused");
        seen.must_hit("append-arrives-after-its-sender-died");
        let epochs = seen.epochs();
        assert_eq!(epochs.len(), 2, "seed {}: {epochs:?}", seen.seed);
        assert_ne!(epochs[0].1, epochs[1].1, "the frozen one did not lead on");
    }
}

#[test]
fn both_sides_of_a_partition_believe_they_lead() {
    // One crawls and is cut off from the API, so that R never passes for it; the others run.
    let mut story = until(120_000)
        .at(0, agent("a", 1))
        .at(25_000, Do::ClockRate { who: Who::All, rate_ppm: 500_000 })
        .at(25_001, Do::ClockRate { who: Who::Leader, rate_ppm: -600_000 })
        .at(40_000, cut(Way::Both, 60_000));
    for second in 41_u32..75 {
        story = story.at(u64::from(second) * 1_000, agent("a", second));
    }
    for seen in play(&story, 1..5) {
        seen.excuses_only(&[Invariant::I7OneLeader]);
        assert!(seen.is_broken(Invariant::I7OneLeader), "seed {}: one led", seen.seed);
        let led = seen.epochs();
        assert!(led.iter().any(|(_, pod)| *pod != led[0].1), "seed {}: {led:?}", seen.seed);
    }
}

fn cut(way: Way, for_ms: u64) -> Do {
    Do::Partition { who: Who::Leader, server: Server::Api, way, for_ms }
}

#[test]
fn a_leader_that_is_cut_off_stops_before_another_starts() {
    let story = until(120_000).at(0, agent("a", 1)).at(30_000, cut(Way::Both, 60_000));
    let story = (31_u32..70).fold(story, |story, s| story.at(u64::from(s) * 1_000, agent("a", s)));
    for seen in play(&story, 1..5) {
        seen.excuses_only(&[]);
        seen.must_hit("deadline-exceeded");
        let epochs = seen.epochs();
        let first = &epochs[0].1;
        let closes = |line: &rynxs_judge::event::Line| {
            line.node == *first && line.event == Event::Guard { until_ns: None }
        };
        let closed = seen.when(closes).into_iter().find(|at| *at > 30_000).expect("it gave up");
        assert!(closed < epochs[1].0, "seed {}: closed at {closed}, {epochs:?}", seen.seed);
        assert!(epochs[1].0 > 30_000 + L_MS - 5_000, "nobody waits less than L");
    }
}

#[test]
fn a_leader_that_is_heard_but_hears_nothing_hands_over() {
    let story = until(120_000)
        .at(0, agent("a", 1))
        .at(30_000, agent("a", 2))
        .at(30_020, cut(Way::Answers, 60_000))
        .at(30_030, agent("b", 1));
    let all = play(&story, 1..5);
    for seen in &all {
        seen.excuses_only(&[]);
        seen.must_hit("apply-answer-lost");
        assert!(seen.epochs().len() >= 2);
    }
    // Depends on whether the edit was seen before nothing was heard any more.
    let taken: u64 = all.iter().map(|seen| seen.hits("takeover-finishes-pending-work")).sum();
    assert!(taken > 0, "nothing was left to finish");
}

/// A clock at twice the rate, on the standbys: far beyond the bound, and by itself harmless.
#[test]
fn clock_runs_twice_as_fast() {
    let fast = Clock { rate_ppm: 1_000_000, wall_offset_ms: 0 };
    let story = Scenario { clocks: vec![fast; 3], ..until(120_000) }
        .at(0, agent("a", 1))
        .at(30_000, Do::ClockRate { who: Who::Leader, rate_ppm: 0 })
        .at(60_000, agent("a", 2))
        .at(90_000, cut(Way::Both, 60_000))
        .at(91_000, agent("a", 3));
    for seen in play(&story, 1..5) {
        seen.excuses_only(&[Invariant::I7OneLeader]);
        let epochs = seen.epochs();
        // L is over for the standbys after half of it, and R not yet for the leader.
        assert!(epochs[1].0 > 90_000, "seed {}: renewals are seen in time", seen.seed);
        assert!(epochs[1].0 < 90_000 + L_MS, "seed {}: {epochs:?}", seen.seed);
        assert!(seen.is_broken(Invariant::I7OneLeader), "seed {}: one led", seen.seed);
    }
}

#[test]
fn a_suspended_machine_notices_that_its_clock_jumped() {
    let story = until(120_000)
        .at(0, agent("a", 1))
        .at(30_000, Do::ClockJump { who: Who::Leader, mono_ms: 0, wall_ms: 45_000 })
        .at(40_000, agent("a", 2));
    for seen in play(&story, 1..5) {
        seen.must_hit("clock-jump-noticed");
        seen.excuses_only(&[Invariant::I7OneLeader]);
    }
}

/// The old leader's record arrives when its successor has the Lease, but not yet the log.
#[test]
fn a_deposed_leaders_record_lands_just_before_the_new_epoch() {
    let slow = Do::Slow { who: Who::All, server: Server::S3, more_ms: 400, for_ms: 30_000 };
    let story = until(120_000)
        .at(0, agent("a", 1))
        .at(30_000, Do::HoldWrite { who: Who::Leader, server: Server::S3, for_ms: 17_000 })
        .at(30_001, agent("a", 2))
        .at(30_500, Do::Freeze { who: Who::Leader, for_ms: 60_000 })
        .at(30_600, slow);
    let seen = play(&story, 1..5);
    let hits: u64 = seen.iter().map(|seen| seen.hits("late-record-adopted")).sum();
    assert!(hits > 0, "no record came that late");
}

#[test]
fn lease_deleted_under_a_living_leader() {
    let story = until(120_000)
        .at(0, agent("a", 1))
        .at(30_000, Do::DeleteLease {})
        .at(30_100, agent("a", 2));
    for seen in play(&story, 1..5) {
        seen.must_hit("lease-created-again");
        seen.excuses_only(&[Invariant::I7OneLeader]);
        assert!(seen.epochs().len() >= 2, "whoever held it, a new epoch began");
    }
}

#[test]
fn a_person_writes_another_holder_into_the_lease() {
    let story = until(120_000)
        .at(0, agent("a", 1))
        .at(30_000, Do::EditLease { holder: "somebody".to_owned() })
        .at(30_100, agent("a", 2));
    for seen in play(&story, 1..5) {
        seen.must_hit("lease-edited-by-hand");
        seen.excuses_only(&[Invariant::I7OneLeader]);
        let epochs = seen.epochs();
        assert!(epochs[1].0 >= 30_000 + L_MS - 1_000, "somebody's time is waited for: {epochs:?}");
    }
}
