//! Plots: a few faults and wishes that hit a corner only together, milliseconds apart. Drawn one by
//! one they would meet once in a thousand runs.

use proptest::prelude::*;

use super::{AgentShape, Bias, Child, Do, Meddling, SessionShape, Size, Step, Who, name};
use crate::scenario::{ApiFault, Server, Tampering, Way};

/// Longer than a lease of 15 s and what follows it.
fn beyond_lease() -> impl Strategy<Value = u64> {
    22_000_u64..60_000
}

/// Around the time that an edit needs to become a record and writes.
fn moment() -> impl Strategy<Value = u64> {
    1_u64..400
}

fn edit(name: String, value: u32) -> Do {
    Do::ApplyAgent { name, agent: AgentShape { value, ..AgentShape::default() } }
}

fn steps(steps: Vec<(u64, Do)>) -> Vec<Step> {
    steps.into_iter().map(|(at_ms, what)| Step { at_ms, what }).collect()
}

/// A plot, and how often it is drawn among those that are on.
type Plot = (u32, BoxedStrategy<Vec<Step>>);

/// All of them; times count from the plot's beginning.
pub(super) fn plots(file: bool, size: Size) -> Vec<Plot> {
    let agents = size.agents;
    match size.bias {
        _ if file => vec![(1, torn(agents).boxed())],
        Bias::Rivals => vec![
            (1, duel(agents).boxed()),
            (1, deaf(agents).boxed()),
            (1, slow_clock(agents).boxed()),
            (1, late_release().boxed()),
        ],
        Bias::Tamper => vec![(4, tampered(agents).boxed()), (1, unconditional(agents).boxed())],
        Bias::Mix | Bias::File | Bias::Sessions => vec![
            (3, zombie(agents).boxed()),
            (1, late_record(agents).boxed()),
            (3, late_create(agents).boxed()),
            (2, replayed(agents).boxed()),
            (1, ambiguous_release().boxed()),
            (2, race_for_a_seq().boxed()),
            (1, flapping().boxed()),
            (1, throttled().boxed()),
            (1, lost_job(agents).boxed()),
            (2, repeated_events(agents).boxed()),
            (2, duel(agents).boxed()),
            (1, forgotten(agents).boxed()),
        ],
    }
}

/// Both writes of a leader are under way while it stands still beyond its lease; its agent is
/// edited again meanwhile.
fn zombie(agents: u32) -> impl Strategy<Value = Vec<Step>> {
    let who = Who::Leader;
    (name("agent", agents), moment(), beyond_lease(), beyond_lease(), 2_000_u64..20_000).prop_map(
        move |(agent, frozen, held, for_ms, edited)| {
            steps(vec![
                (0, Do::HoldWrite { who, server: Server::Any, for_ms: held }),
                (1, edit(agent.clone(), 7)),
                (1 + frozen, Do::Freeze { who, for_ms }),
                (1 + frozen + edited, edit(agent, 8)),
            ])
        },
    )
}

/// The leader is cut off from the API but not from the log, somebody frees the Lease, and users go
/// on: two replicas are at it at once.
fn duel(agents: u32) -> impl Strategy<Value = Vec<Step>> {
    let way = prop_oneof![Just(Way::Both), Just(Way::Requests), Just(Way::Answers)];
    let freed = prop_oneof![
        2 => Just(Do::EditLease { holder: String::new() }),
        1 => Just(Do::DeleteLease {}),
    ];
    let edits = prop::collection::vec((0_u64..8_000, name("agent", agents), 1_u32..6), 2..6);
    (way, 6_000_u64..25_000, freed, edits).prop_map(|(way, for_ms, freed, edits)| {
        let cut = Do::Partition { who: Who::Leader, server: Server::Api, way, for_ms };
        let edits = edits.into_iter().map(|(after, name, value)| (after, edit(name, value)));
        steps([(0, cut), (50, freed)].into_iter().chain(edits).collect())
    })
}

/// Edits while two replicas may lead, and by how much they come after the plot's beginning.
fn edits(agents: u32, from_ms: u64, to_ms: u64) -> impl Strategy<Value = Vec<(u64, Do)>> {
    let one = (from_ms..to_ms, name("agent", agents), 1_u32..6);
    prop::collection::vec(one.prop_map(|(after, name, value)| (after, edit(name, value))), 4..9)
}

/// Somebody frees the Lease, and of what the leader's watches show a part is missing: it goes on
/// until its next renewal is refused, beside its successor.
fn deaf(agents: u32) -> impl Strategy<Value = Vec<Step>> {
    (300_u32..700, edits(agents, 60, 2_400)).prop_map(|(per_mille, edits)| {
        let deaf = Do::DropEvents { who: Who::Leader, per_mille, for_ms: 3_000 };
        let freed = Do::EditLease { holder: String::new() };
        steps([(0, deaf), (50, freed)].into_iter().chain(edits).collect())
    })
}

/// The leader's clock crawls, and it is cut off until its successor has just begun: for a moment
/// both are valid and both can reach everything.
fn slow_clock(agents: u32) -> impl Strategy<Value = Vec<Step>> {
    let rate = -600_000_i64..-250_000;
    (rate, 15_500_u64..18_500, edits(agents, 15_000, 20_000)).prop_map(|(rate_ppm, cut, edits)| {
        let (who, server, way) = (Who::Leader, Server::Api, Way::Both);
        let slow = Do::ClockRate { who, rate_ppm };
        let cut = Do::Partition { who, server, way, for_ms: cut };
        steps([(0, slow), (10, cut)].into_iter().chain(edits).collect())
    })
}

/// A leader is asked to stop while it stands still, and gives the Lease up when another has it.
fn late_release() -> impl Strategy<Value = Vec<Step>> {
    (16_000_u64..24_000, 100_u64..14_000).prop_map(|(for_ms, asked)| {
        let who = Who::Leader;
        let stop = Do::Stop { who, back_after_ms: 30_000 };
        steps(vec![(0, Do::Freeze { who, for_ms }), (asked, stop)])
    })
}

/// The log is changed while it is written to, and the next leader reads it.
fn tampered(agents: u32) -> impl Strategy<Value = Vec<Step>> {
    let how = prop_oneof![
        3 => Just(Tampering::DeleteMiddle),
        2 => Just(Tampering::DeleteLastButOne),
        1 => Just(Tampering::Swap),
        1 => Just(Tampering::Flip),
        1 => Just(Tampering::CutTail),
        1 => Just(Tampering::Rollback),
        1 => Just(Tampering::Empty),
    ];
    (how, 20_000_u64..60_000, edits(agents, 0, 15_000)).prop_map(|(how, at, edits)| {
        let crash = Do::Crash { who: Who::Leader, back_after_ms: 1_000 };
        steps(edits.into_iter().chain([(at, Do::Tamper { how }), (at + 500, crash)]).collect())
    })
}

/// A store stops to keep its condition under a leader that stands still with an append under way,
/// and whoever comes next must notice.
fn unconditional(agents: u32) -> impl Strategy<Value = Vec<Step>> {
    zombie(agents).prop_map(|mut steps| {
        steps.insert(0, Step { at_ms: 0, what: Do::IgnoreCondition {} });
        steps
    })
}

/// The API forgets its past, again and again, while a successor begins to watch.
fn forgotten(agents: u32) -> impl Strategy<Value = Vec<Step>> {
    let forget = (14_500_u64..17_000, 2_usize..6, name("agent", agents));
    forget.prop_map(|(begins, times, agent)| {
        let crash = Do::Crash { who: Who::Leader, back_after_ms: 60_000 };
        let again = (0..times as u64).flat_map(|index| {
            let at = begins + index * 700;
            let edit = edit(agent.clone(), u32::try_from(index).unwrap_or(0));
            [(at, edit), (at, Do::Compact {}), (at + 1, Do::BreakWatches { who: Who::All })]
        });
        steps([(0, crash)].into_iter().chain(again).collect())
    })
}

/// A record of a deposed leader lands while its successor, at a slow store, still looks for the
/// tail.
fn late_record(agents: u32) -> impl Strategy<Value = Vec<Step>> {
    let (who, server) = (Who::Leader, Server::S3);
    (name("agent", agents), moment(), 13_000_u64..26_000, 1_000_u64..3_000).prop_map(
        move |(agent, frozen, held, more_ms)| {
            let slow = Do::Slow { who: Who::All, server, more_ms, for_ms: 60_000 };
            steps(vec![
                (0, slow),
                (0, Do::HoldWrite { who, server, for_ms: held }),
                (1, edit(agent, 7)),
                (1 + frozen, Do::Freeze { who, for_ms: 60_000 }),
            ])
        },
    )
}

/// A create leaves a leader that dies, and lands when another one leads: the first of an Agent's
/// creates, or one behind it.
fn late_create(agents: u32) -> impl Strategy<Value = Vec<Step>> {
    let (who, server) = (Who::Leader, Server::Api);
    // Behind three others comes what could run something.
    let behind = prop_oneof![2 => Just(3_usize), 1 => 0_usize..6];
    let dies = prop_oneof![1_u64..400, 200_u64..900];
    let late = (name("late", agents), behind, dies, beyond_lease(), any::<bool>());
    late.prop_map(move |(agent, behind, dies, held, gone)| {
        let end =
            if gone { Do::DeleteAgent { name: agent.clone() } } else { edit(agent.clone(), 9) };
        let pass = (0..behind).map(|_| (0, Do::PassWrite { who, server }));
        let hold = [
            (0, Do::HoldWrite { who, server, for_ms: held }),
            (1, edit(agent, 7)),
            (1 + dies, Do::Crash { who, back_after_ms: 40_000 }),
            (2 + dies, end),
        ];
        steps(pass.chain(hold).collect())
    })
}

/// A proxy repeats an old write with the live version, after a later decision was written.
fn replayed(agents: u32) -> impl Strategy<Value = Vec<Step>> {
    let who = Who::Leader;
    (name("agent", agents), 1_000_u64..5_000, 8_000_u64..30_000).prop_map(
        move |(agent, edited, for_ms)| {
            let replay = Do::ReplayWrite { who, for_ms };
            steps(vec![
                (0, replay.clone()),
                (0, replay.clone()),
                (0, replay),
                (1, edit(agent.clone(), 7)),
                (1 + edited, edit(agent, 8)),
            ])
        },
    )
}

/// What a watch shows of an Agent comes again behind its later edits.
fn repeated_events(agents: u32) -> impl Strategy<Value = Vec<Step>> {
    let edits = prop::collection::vec((0_u64..3_000, 1_u32..6), 4..8);
    (name("agent", agents), 400_u32..1_000, edits).prop_map(|(agent, per_mille, edits)| {
        let twice = Do::DuplicateEvents { who: Who::Leader, per_mille, for_ms: 8_000 };
        let edits = edits.into_iter().map(|(after, value)| (1 + after, edit(agent.clone(), value)));
        steps([(0, twice)].into_iter().chain(edits).collect())
    })
}

/// A leader gives the Lease up and does not hear whether it did.
fn ambiguous_release() -> impl Strategy<Value = Vec<Step>> {
    let who = Who::Leader;
    (1_000_u64..8_000, 5_000_u64..40_000).prop_map(move |(for_ms, back_after_ms)| {
        let (server, way, per_mille) = (Server::Api, Way::Answers, 500);
        steps(vec![
            (0, Do::Lose { who, server, way, per_mille, for_ms }),
            (1, Do::Stop { who, back_after_ms }),
        ])
    })
}

/// A successor's first append is under way when it stands still, and the next one wants its key.
fn race_for_a_seq() -> impl Strategy<Value = Vec<Step>> {
    (15_200_u64..19_000, beyond_lease(), beyond_lease()).prop_map(|(frozen, held, for_ms)| {
        let hold = Do::HoldWrite { who: Who::All, server: Server::S3, for_ms: held };
        steps(vec![
            (0, Do::Crash { who: Who::Leader, back_after_ms: 90_000 }),
            // The first write of a term only tries whether the store keeps its condition.
            (1, Do::PassWrite { who: Who::All, server: Server::S3 }),
            (1, hold.clone()),
            (1, hold.clone()),
            (1, hold),
            (frozen, Do::Freeze { who: Who::Leader, for_ms }),
        ])
    })
}

/// Leaders are asked to stop one after the other, as fast as they come.
fn flapping() -> impl Strategy<Value = Vec<Step>> {
    (2_000_u64..9_000, 4_usize..8).prop_map(|(pause, times)| {
        let stop = Do::Stop { who: Who::Leader, back_after_ms: 1_000 };
        steps((0..times).map(|index| (pause * index as u64, stop.clone())).collect())
    })
}

/// The API answers nothing but 429 for longer than a leader may go on without renewal.
fn throttled() -> impl Strategy<Value = Vec<Step>> {
    (4_000_u64..20_000).prop_map(|for_ms| {
        let fault = ApiFault::TooManyRequests;
        steps(vec![(0, Do::ApiFault { fault, per_mille: 900, for_ms })])
    })
}

/// A Session's Job is deleted by a person while it runs.
fn lost_job(agents: u32) -> impl Strategy<Value = Vec<Step>> {
    (name("agent", agents), name("lost", 3), 200_u64..4_000).prop_map(|(agent, name, after)| {
        let session = SessionShape { agent: agent.clone(), ..SessionShape::default() };
        let (child, how) = (Child::Run, Meddling::Delete);
        steps(vec![
            (0, edit(agent, 7)),
            (1, Do::ApplySession { name: name.clone(), session }),
            (after, Do::Meddle { agent: name, child, how }),
        ])
    })
}

/// The power goes while a record is being written.
fn torn(agents: u32) -> impl Strategy<Value = Vec<Step>> {
    let torn = prop::bool::weighted(0.85);
    (name("agent", agents), 1_u64..40, torn, 1_000_u64..20_000).prop_map(
        |(agent, after, torn, back_after_ms)| {
            steps(vec![(0, edit(agent, 7)), (after, Do::PowerLoss { torn, back_after_ms })])
        },
    )
}
