//! What holds for every history: properties over random ones.

use proptest::prelude::*;
use rynxs_core::canonical;
use rynxs_core::decide;
use rynxs_core::event::{ChildState, Drift, Event, FailureReason};
use rynxs_core::ids::{Hash, Kind, ObjectRef, Seq, Uid};
use rynxs_core::render;
use rynxs_core::replay::Replayer;
use rynxs_core::resource::{
    AgentSpec, OperatingMode, Role, SessionLimits, SessionMode, SessionSpec, ShutdownPolicy,
    children,
};
use rynxs_core::state::{Position, State};

use crate::book::{Book, NOW_MS, key, run_of, settings, worker};

const AGENTS: [&str; 3] = ["a", "b", "c"];
const SESSIONS: [&str; 4] = ["s", "t", "u", "v"];

/// One thing that happens; numbers choose among what there is.
#[derive(Clone, Debug)]
enum Op {
    Agent(usize, u8),
    NewAgent(usize, u8),
    AgentGone(usize),
    Session(usize, usize, u8),
    SessionGone(usize),
    Perform(u8),
    Fail(u8),
    Epoch(bool),
    Missing(usize),
    Changed(usize, u8),
    Unwanted(u8),
    Child(usize, u8),
    Timer,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..3_usize, 0..7_u8).prop_map(|(i, spec)| Op::Agent(i, spec)),
        1 => (0..3_usize, 0..7_u8).prop_map(|(i, spec)| Op::NewAgent(i, spec)),
        1 => (0..3_usize).prop_map(Op::AgentGone),
        4 => (0..4_usize, 0..3_usize, 0..6_u8).prop_map(|(i, a, spec)| Op::Session(i, a, spec)),
        1 => (0..4_usize).prop_map(Op::SessionGone),
        8 => (1..9_u8).prop_map(Op::Perform),
        2 => (0..5_u8).prop_map(Op::Fail),
        1 => any::<bool>().prop_map(Op::Epoch),
        1 => (0..12_usize).prop_map(Op::Missing),
        2 => (0..12_usize, any::<u8>()).prop_map(|(i, h)| Op::Changed(i, h)),
        1 => any::<u8>().prop_map(Op::Unwanted),
        2 => (0..12_usize, 0..4_u8).prop_map(|(i, s)| Op::Child(i, s)),
        1 => Just(Op::Timer),
    ]
}

fn agent_spec(choice: u8) -> AgentSpec {
    let mut spec = worker();
    match choice {
        1 => spec.operating_mode = OperatingMode::Suspended,
        2 => spec.team = Some("blue".to_owned()),
        3 => spec.workspace.retain = true,
        4 => spec.workspace.size = "huge".to_owned(),
        5 => {
            let limits = SessionLimits { max_concurrent: Some(1), ..SessionLimits::default() };
            spec.sessions = Some(limits);
        }
        6 => spec.role = Role::Director,
        _ => {}
    }
    spec
}

fn session_spec(agent: usize, choice: u8) -> SessionSpec {
    let mut spec = run_of(AGENTS[agent]);
    match choice {
        1 => spec.operating_mode = SessionMode::Suspended,
        2 => spec.operating_mode = SessionMode::Cancelled,
        3 => spec.ttl_seconds_after_finished = Some(5),
        4 => spec.shutdown_policy = ShutdownPolicy::Delete,
        5 => spec.max_duration = Some("soon".to_owned()),
        _ => {}
    }
    spec
}

fn pick<T: Clone>(items: impl Iterator<Item = T>, at: usize) -> Option<T> {
    let all: Vec<_> = items.collect();
    (!all.is_empty()).then(|| all[at % all.len()].clone())
}

fn play(book: &mut Book, op: &Op, turn: i64) {
    match op {
        Op::Agent(i, spec) => {
            let known = book.state.agent(&key(AGENTS[*i])).map(|agent| agent.uid.clone());
            let uid = known.unwrap_or(Uid(format!("agent-{turn}")));
            book.see_agent(AGENTS[*i], uid.as_str(), turn, agent_spec(*spec));
        }
        Op::NewAgent(i, spec) => {
            book.see_agent(AGENTS[*i], &format!("agent-{turn}"), turn, agent_spec(*spec));
        }
        Op::AgentGone(i) => {
            if let Some(agent) = book.state.agent(&key(AGENTS[*i])) {
                let uid = agent.uid.clone();
                let agent = children::agent(&key(AGENTS[*i]));
                book.see(Event::AgentDeleted { agent, uid });
            }
        }
        Op::Session(i, agent, spec) => {
            book.see_session(SESSIONS[*i], turn, session_spec(*agent, *spec));
        }
        Op::SessionGone(i) => {
            let session = children::session(&key(SESSIONS[*i]));
            let uid = Uid(format!("uid-{}", SESSIONS[*i]));
            book.see(Event::SessionDeleted { session, uid });
        }
        Op::Perform(times) => {
            for _ in 0..*times {
                book.perform_one();
            }
        }
        Op::Fail(reason) => fail(book, *reason),
        Op::Epoch(other) => {
            let mut with = settings();
            if *other {
                with.default_image = format!("image-{turn}");
            }
            book.epoch(with);
        }
        Op::Timer => {
            if let Some((_, _, event)) = book.next_timer() {
                book.see(event);
            }
        }
        other => play_cluster(book, other),
    }
    book.collect_garbage();
}

fn fail(book: &mut Book, reason: u8) {
    let Some(subject) = book.state.pending_subjects().next().cloned() else { return };
    let reason = match reason {
        0 => FailureReason::NameConflict,
        1 => FailureReason::Rejected,
        2 => FailureReason::ForeignLog,
        3 => FailureReason::OwnerGone,
        _ => FailureReason::ObjectGone,
    };
    let action = book.state.pending(&subject)[0].action.clone();
    if reason == FailureReason::ObjectGone {
        book.cluster.remove(&action.object);
    }
    book.fail_next(&subject, reason);
}

fn play_cluster(book: &mut Book, op: &Op) {
    match op {
        Op::Missing(i) => {
            if let Some(object) = pick(book.cluster.keys().cloned(), *i) {
                let (uid, _) = book.cluster.remove(&object).expect("it was picked");
                book.see(Event::DriftObserved { object, drift: Drift::Missing { uid } });
            }
        }
        Op::Changed(i, hash) => {
            if let Some(object) = pick(book.cluster.keys().cloned(), *i) {
                let uid = book.uid_of(&object);
                let drift = Drift::Changed { uid, projection: Hash([*hash; 32]) };
                book.see(Event::DriftObserved { object, drift });
            }
        }
        Op::Unwanted(n) => {
            let object = ObjectRef::new(Kind::ConfigMap, "team-a", format!("ghost{n}-spec"));
            let uid = Uid(format!("ghost-{n}"));
            book.cluster.insert(object.clone(), (uid.clone(), serde_json::json!({})));
            book.see(Event::DriftObserved { object, drift: Drift::Unwanted { uid } });
        }
        Op::Child(i, state) => {
            let jobs = book.cluster.keys().filter(|object| object.kind == Kind::Job).cloned();
            let Some(object) = pick(jobs, *i) else { return };
            let uid = book.uid_of(&object);
            let at_ms = NOW_MS + 1;
            let state = match state {
                0 => ChildState::JobSucceeded { at_ms },
                1 => ChildState::JobFailed { at_ms },
                2 => ChildState::VolumeBound,
                _ => {
                    book.cluster.remove(&object);
                    ChildState::JobLost { at_ms }
                }
            };
            book.see(Event::ChildObserved { object, uid, state });
        }
        _ => {}
    }
}

fn played(ops: &[Op]) -> Book {
    let mut book = Book::new();
    for (turn, op) in (1..).zip(ops) {
        play(&mut book, op, turn);
    }
    book
}

/// Everything that can be seen of the subjects, seen again.
fn resync(book: &mut Book) -> usize {
    let before = book.records.len();
    let agents: Vec<_> = book
        .state
        .agents()
        .map(|(k, a)| decide::agent_observed(k, &a.uid, a.generation, a.observed.clone()))
        .collect();
    let sessions: Vec<_> = book
        .state
        .sessions()
        .map(|(k, s)| {
            let later = NOW_MS + 99_999;
            decide::session_observed(
                &book.state,
                k,
                &s.uid,
                s.generation,
                s.observed.clone(),
                later,
            )
        })
        .collect();
    for event in agents.into_iter().chain(sessions) {
        book.see(event);
    }
    book.records.len() - before
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The book itself checks at every step that the event fits and that no object is written
    /// twice, and renders every action that it performs.
    #[test]
    fn every_decided_action_can_be_rendered_at_any_time(ops in prop::collection::vec(op(), 1..60)) {
        let mut book = Book::new();
        for (turn, op) in (1..).zip(&ops) {
            play(&mut book, op, turn);
            let subjects: Vec<_> = book.state.pending_subjects().cloned().collect();
            for subject in subjects {
                for pending in book.state.pending(&subject) {
                    let rendered = render::manifest(&book.state, &subject, &pending.action);
                    prop_assert_eq!(
                        rendered.is_ok(),
                        pending.action.content.is_some(),
                        "{:?}: {:?}", pending, rendered
                    );
                }
            }
        }
    }

    #[test]
    fn once_settled_seeing_everything_again_appends_nothing(
        ops in prop::collection::vec(op(), 1..60)
    ) {
        let mut book = played(&ops);
        // Once more, because a changed setting is carried out when an agent is next seen.
        for _ in 0..2 {
            book.settle();
            resync(&mut book);
        }
        book.settle();
        prop_assert_eq!(resync(&mut book), 0);
    }

    #[test]
    fn a_settled_agent_has_all_its_objects_as_its_spec_asks(
        ops in prop::collection::vec(op(), 1..60)
    ) {
        let mut book = played(&ops);
        for _ in 0..2 {
            book.settle();
            resync(&mut book);
        }
        book.settle();
        for (name, agent) in book.state.agents() {
            let Some(spec) = agent.spec().filter(|_| agent.failures.is_empty()) else { continue };
            for object in children::of_agent(name) {
                let known = book.state.object(&object);
                prop_assert!(known.is_some(), "{} of {:?}", object, spec);
                let replicas = &book.live(&object)["spec"]["replicas"];
                if object.kind == Kind::Deployment {
                    let wanted = u8::from(spec.operating_mode == OperatingMode::Running);
                    prop_assert_eq!(replicas, wanted);
                }
            }
        }
    }

    #[test]
    fn replay_gives_the_same_state_and_proves_every_decision(
        ops in prop::collection::vec(op(), 1..60)
    ) {
        let book = played(&ops);
        let mut replay = Replayer::new();
        for (seq, events) in (0..).zip(&book.records) {
            let hashed: Vec<_> =
                events.iter().map(|e| (e.clone(), canonical::hash_of(e))).collect();
            let step = replay.push_events(Seq(seq), &hashed);
            prop_assert!(step.is_ok(), "{:?}", step);
        }
        prop_assert_eq!(replay.state().digest(), book.state.digest());
        let restored = State::from_snapshot(book.state.snapshot()).expect("a snapshot");
        prop_assert_eq!(restored.digest(), book.state.digest());
        prop_assert!(restored.timers().eq(book.state.timers()));
    }

    /// Agents do not depend on each other, so neither do their decisions on the order in which
    /// they are seen; stamps and epochs aside.
    #[test]
    fn agents_get_the_same_actions_in_any_order_of_observation(
        specs in prop::collection::vec(0..7_u8, 3), flip in any::<bool>()
    ) {
        let decided = |order: &[usize]| {
            let mut book = Book::new();
            for i in order {
                book.see_agent(AGENTS[*i], AGENTS[*i], 1, agent_spec(specs[*i]));
            }
            let all = AGENTS.map(|name| {
                let pending = book.state.pending(&children::agent(&key(name)));
                pending.iter().map(|p| p.action.clone()).collect::<Vec<_>>()
            });
            book.settle();
            (all, book.cluster.into_iter().map(|(k, v)| (k, v.1)).collect::<Vec<_>>())
        };
        let other: &[usize] = if flip { &[2, 1, 0] } else { &[1, 2, 0] };
        prop_assert_eq!(decided(&[0, 1, 2]), decided(other));
    }

    /// Whatever a log says, in whatever order: an answer or an error, never a panic.
    #[test]
    fn reducing_is_total(
        ops in prop::collection::vec(op(), 1..40),
        picks in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u32), 1..80)
    ) {
        let book = played(&ops);
        let all: Vec<_> = book.records.iter().flatten().cloned().collect();
        let mut state = State::new();
        let mut other = State::new();
        for (seq, (pick, index)) in (0..).zip(&picks) {
            let at = Position::new(Seq(seq), *index);
            let event = pick.get(&all);
            prop_assert_eq!(state.apply(at, event), other.apply(at, event));
        }
        prop_assert_eq!(state.digest(), other.digest());
    }
}
