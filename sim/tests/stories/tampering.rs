//! Somebody with the bucket's keys changes the log (I10): whoever takes over next must notice.

use rynxs_judge::Invariant;
use rynxs_judge::event::{Event, Line};
use rynxs_judge::oracle::LOG_REFUSED;
use rynxs_sim::scenario::{Do, Server, Tampering, Way, Who};

use crate::play::{agent, play, until};

const LOG_GONE: [Invariant; 6] = [
    Invariant::I1Chain,
    Invariant::I2Durable,
    Invariant::I3Epoch,
    Invariant::I5Intent,
    Invariant::I6Replay,
    Invariant::I8Converge,
];

/// Two decisions, the second applied and its outcomes not recorded; then somebody has the keys.
fn is_noticed(how: Tampering) {
    let who = Who::Leader;
    let deaf = Do::Partition { who, server: Server::Api, way: Way::Answers, for_ms: 60_000 };
    let story = until(90_000)
        .at(0, agent("a", 1))
        .at(29_000, Do::Slow { who, server: Server::S3, more_ms: 400, for_ms: 30_000 })
        .at(30_000, agent("a", 2))
        // Its decision is on its way to the store, and nothing is heard of what becomes of it.
        .at(30_400, deaf)
        .at(33_000, Do::Crash { who: Who::Leader, back_after_ms: 20_000 })
        .at(33_100, Do::Tamper { how });
    for seen in play(&story, 1..4) {
        seen.excuses_only(&LOG_GONE);
        let (halted, refused) = (seen.halted(), seen.when(is_refusal));
        let noticed = halted.len() + refused.len();
        assert!(noticed > 0, "seed {}: nobody noticed {how:?}", seen.seed);
        let epochs = seen.epochs();
        assert_eq!(epochs.len(), 1, "seed {}: somebody led on: {epochs:?}", seen.seed);
    }
}

/// A replica refuses the log and stays alive to say so.
fn is_refusal(line: &Line) -> bool {
    matches!(&line.event, Event::Probe { probe } if probe == LOG_REFUSED)
}

#[test]
fn a_record_deleted_from_the_middle_halts_the_next_leader() {
    is_noticed(Tampering::DeleteMiddle);
}

#[test]
fn a_record_deleted_right_before_the_last_halts_the_next_leader() {
    is_noticed(Tampering::DeleteLastButOne);
}

#[test]
fn two_swapped_records_halt_the_next_leader() {
    is_noticed(Tampering::Swap);
}

#[test]
fn a_flipped_bit_halts_the_next_leader() {
    is_noticed(Tampering::Flip);
}

#[test]
fn a_cut_tail_below_a_stamp_halts_the_next_leader() {
    is_noticed(Tampering::CutTail);
}

#[test]
fn a_bucket_brought_back_below_a_stamp_halts_the_next_leader() {
    is_noticed(Tampering::Rollback);
}

#[test]
fn an_emptied_log_is_refused_by_the_next_leader() {
    is_noticed(Tampering::Empty);
}
