//! Golden logs: one committed log per version of the decision functions, told so that every verb
//! and every reason occurs. If the same events lead to other decisions, the story no longer gives
//! the committed bytes: raise `decide::LOGIC` and commit a log for the new version beside the old.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rynxs_core::chain::Chain;
use rynxs_core::decide::{self, LOGIC};
use rynxs_core::event::{Action, ChildState, Drift, Event, FailureReason, Reason, Timer, Verb};
use rynxs_core::ids::{Hash, Kind, ObjectRef, Seq, Uid};
use rynxs_core::replay::{ReplayError, Replayer};
use rynxs_core::resource::{
    AgentSpec, OperatingMode, Role, SessionMode, SessionSpec, ShutdownPolicy, children,
};

use serde_json::json;

use crate::book::{Book, NOW_MS, key, run_of, settings, updating, worker};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn suspended() -> AgentSpec {
    AgentSpec { operating_mode: OperatingMode::Suspended, ..worker() }
}

fn agents(book: &mut Book) {
    let mut kept = worker();
    kept.workspace.retain = true;
    book.see_agent("a", "u1", 1, worker());
    book.settle();
    book.see_agent("a", "u1", 2, suspended());
    book.settle();
    book.see_agent("a", "u1", 3, worker());
    book.settle();
    let mut bad = worker();
    bad.workspace.size = "huge".to_owned();
    book.see_agent("a", "u1", 4, bad);
    let manager = AgentSpec { role: Role::Manager, manages: vec!["a".to_owned()], ..kept };
    book.see_agent("m", "u2", 1, manager.clone());
    book.perform_one();
    book.see_agent("m", "u2", 2, AgentSpec { team: Some("blue".to_owned()), ..manager.clone() });
    book.settle();
    book.see(Event::AgentDeleted { agent: children::agent(&key("m")), uid: Uid::from("u2") });
    book.collect_garbage();
    book.see_agent("m", "u3", 1, manager);
    book.settle();
    book.see_agent("d", "u4", 1, AgentSpec { role: Role::Director, ..worker() });
    book.perform_one();
    book.fail_next(&children::agent(&key("d")), FailureReason::NameConflict);
    let object = children::agent_network(&key("d"));
    let missing = Drift::Missing { uid: Uid::default() };
    book.see(Event::DriftObserved { object, drift: missing });
}

fn drifts(book: &mut Book) {
    let object = children::runtime(&key("a"));
    let uid = book.uid_of(&object);
    let projection = Hash([7; 32]);
    let drift = Drift::Changed { uid: uid.clone(), projection };
    book.see(Event::DriftObserved { object: object.clone(), drift });
    let subject = children::agent(&key("a"));
    let pending = book.state.pending(&subject)[0].clone();
    let (decision, action) = (pending.decision, pending.index);
    book.record(Event::ActionApplied { decision, subject, action, uid, projection });
    book.settle();
    let (uid, _) = book.cluster.remove(&object).expect("it runs");
    book.see(Event::DriftObserved { object, drift: Drift::Missing { uid } });
    let ghost = ObjectRef::new(Kind::Deployment, "team-a", "ghost-runtime");
    let uid = Uid::from("ghost");
    book.cluster.insert(ghost.clone(), (uid.clone(), serde_json::json!({})));
    book.see(Event::DriftObserved { object: ghost, drift: Drift::Unwanted { uid } });
    book.settle();
    wanted_again(book);
    grown_too_soon(book);
}

/// A claim cannot grow before it is bound, and then it does.
fn grown_too_soon(book: &mut Book) {
    book.see_agent("y", "u8", 1, worker());
    book.settle();
    let mut larger = worker();
    larger.workspace.size = "2Gi".to_owned();
    book.see_agent("y", "u8", 2, larger);
    let (agent, object) = (children::agent(&key("y")), children::workspace(&key("y")));
    while book.state.pending(&agent).first().is_some_and(|next| next.action.object != object) {
        book.perform_one();
    }
    book.fail_next(&agent, FailureReason::Rejected);
    assert_eq!(book.state.pending(&agent), []);
    let uid = book.uid_of(&object);
    book.see(Event::ChildObserved { object, uid, state: ChildState::VolumeBound });
    assert_ne!(book.state.pending(&agent), []);
    book.settle();
}

/// Something that nothing wanted gets an owner before it is deleted.
fn wanted_again(book: &mut Book) {
    let object = children::agent_config(&key("x"));
    let uid = Uid::from("left");
    book.cluster.insert(object.clone(), (uid.clone(), json!({})));
    book.see(Event::DriftObserved { object: object.clone(), drift: Drift::Unwanted { uid } });
    assert_eq!(book.state.pending(&object).len(), 1);
    book.see_agent("x", "u7", 1, worker());
    assert_eq!(book.state.pending(&object), []);
    book.settle();
}

fn sessions(book: &mut Book) {
    let short = SessionSpec {
        max_duration: Some("5m".to_owned()),
        shutdown_policy: ShutdownPolicy::Delete,
        ..run_of("a")
    };
    let brief = SessionSpec { ttl_seconds_after_finished: Some(60), ..run_of("a") };
    book.see_session("delete", 1, short.clone());
    book.see_session(
        "retain",
        1,
        SessionSpec {
            max_duration: Some("4m".to_owned()),
            shutdown_policy: ShutdownPolicy::Retain,
            ..short
        },
    );
    book.see_session("ttl", 1, brief.clone());
    book.see_session("lost", 1, run_of("a"));
    book.see_session("gone", 1, run_of("a"));
    book.see_session("waits", 1, run_of("nobody"));
    book.settle();
    let cancelled = SessionSpec { operating_mode: SessionMode::Cancelled, ..brief.clone() };
    let paused = SessionSpec { operating_mode: SessionMode::Suspended, ..brief.clone() };
    book.see_session("ttl", 2, paused);
    book.settle();
    book.see_session("ttl", 3, brief);
    book.settle();
    book.see_session("ttl", 4, cancelled);
    for (name, state) in [
        ("lost", ChildState::JobLost { at_ms: NOW_MS + 1_000 }),
        ("gone", ChildState::JobSucceeded { at_ms: NOW_MS + 2_000 }),
    ] {
        let object = children::run(&key(name));
        let uid = book.uid_of(&object);
        book.see(Event::ChildObserved { object, uid, state });
    }
    while let Some((timer, due_ms, event)) = book.next_timer() {
        if due_ms > NOW_MS + 3_600_000 {
            break;
        }
        book.see(event);
        book.settle();
        if timer == Timer::Ttl {
            let session = children::session(&key("ttl"));
            book.see(Event::SessionDeleted { session, uid: Uid::from("uid-ttl") });
        }
    }
}

/// What a predecessor left: an Agent whose runtime runs, a run under way, and one that ended.
fn inheritance(book: &mut Book) {
    let agent = key("i");
    let event = decide::agent_observed(&agent, &Uid::from("u6"), 1, worker());
    let left = book.left(&children::of_agent(&agent), true);
    book.see_after(event, &json!(null), left);
    book.settle();
    for (name, status) in [
        ("i-runs", json!({"phase": "Running", "expiresAt": "2023-11-14T23:00:00Z"})),
        (
            "i-ended",
            json!({"conditions": [
                {"type": "Finished", "status": "True", "reason": "JobSucceeded"}
            ]}),
        ),
    ] {
        let (key, uid) = (key(name), Uid(format!("uid-{name}")));
        let event = decide::session_observed(&book.state, &key, &uid, 1, run_of("i"), NOW_MS);
        let left = book.left(&children::of_session(&key), true);
        book.see_after(event, &status, left);
        book.settle();
    }
}

fn story() -> Book {
    let mut book = Book::new();
    agents(&mut book);
    book.epoch(settings());
    drifts(&mut book);
    sessions(&mut book);
    let mut other = settings();
    other.default_image = "ghcr.io/rynxs/agent:v0.2.0".to_owned();
    book.see_agent("b", "u5", 1, worker());
    book.epoch(other);
    book.see_agent("m", "u3", 1, book.state.agent(&key("m")).expect("known").observed.clone());
    book.settle();
    inheritance(&mut book);
    book
}

fn actions(book: &Book) -> Vec<Action> {
    let of = |event: &Event| match event {
        Event::ActionsDecided { actions, .. } => actions.clone(),
        _ => Vec::new(),
    };
    book.records.iter().flatten().flat_map(of).collect()
}

#[test]
fn the_story_has_every_verb_and_every_reason() {
    use Reason::{
        Cancelled, DriftRepaired, Expired, Inherited, LogicChanged, NotWanted, ObjectMissing,
        Resumed, SpecChanged, Started, Suspended, TtlElapsed, WorkspaceAdopted,
    };
    use Verb::{Activate, Create, Delete, DeleteExpired, Update};
    let seen = actions(&story());
    let verbs: BTreeSet<_> = seen.iter().map(|action| action.verb).collect();
    assert_eq!(verbs, [Activate, Create, Delete, DeleteExpired, Update].into());
    let reasons: BTreeSet<_> = seen.iter().map(|action| action.reason).collect();
    let all = [
        ObjectMissing,
        SpecChanged,
        DriftRepaired,
        Started,
        Suspended,
        Resumed,
        Cancelled,
        Expired,
        TtlElapsed,
        NotWanted,
        WorkspaceAdopted,
        LogicChanged,
        Inherited,
    ];
    assert_eq!(reasons, all.into());
}

#[allow(clippy::disallowed_methods, reason = "a test reads and writes the files that it holds")]
#[test]
fn the_same_events_lead_to_the_committed_decisions() {
    let path = folder().join(format!("logic-{LOGIC}.jsonl"));
    let text = story().lines();
    // An existing golden log is never rewritten: decisions that changed need a new version.
    if updating() && !path.exists() {
        std::fs::create_dir_all(folder()).expect("the folder can be made");
        std::fs::write(&path, &text).expect("the file can be written");
    }
    let committed = std::fs::read_to_string(&path).expect("a golden log of this version");
    for (at, (is, was)) in text.lines().zip(committed.lines()).enumerate() {
        assert!(
            is == was,
            "decisions changed at record {at}: raise decide::LOGIC and run with UPDATE_GOLDEN=1\n\
             was {was}\n is {is}"
        );
    }
    assert_eq!(text.lines().count(), committed.lines().count());
}

#[allow(clippy::disallowed_methods, reason = "a test reads and writes the files that it holds")]
#[test]
fn every_golden_log_replays_and_proves_the_decisions_of_its_version() {
    let mut versions = BTreeSet::new();
    for entry in std::fs::read_dir(folder()).expect("golden logs") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let version = name.strip_prefix("logic-").and_then(|n| n.strip_suffix(".jsonl"));
        let version: u32 = version.and_then(|n| n.parse().ok()).expect("logic-N.jsonl");
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let (mut chain, mut replay) = (Chain::new(), Replayer::new());
        for line in text.lines() {
            let record = chain.push(line.as_bytes()).expect("it chains");
            replay.push(&record).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let counts = replay.counts();
        if rynxs_core::replay::CARRIED.contains(&version) {
            assert!(counts.decisions > 20 && counts.not_rederivable == 0, "{counts:?}");
        } else {
            assert!(counts.not_rederivable > 20, "{counts:?}");
        }
        versions.insert(version);
    }
    assert_eq!(versions, (1..=LOGIC).collect(), "one golden log per version");
}

fn hashed(events: &[Event]) -> Vec<(Event, Hash)> {
    events.iter().map(|e| (e.clone(), rynxs_core::canonical::hash_of(e))).collect()
}

/// Replays a story in which one record was changed.
fn replayed(records: &[Vec<Event>]) -> Result<Replayer, ReplayError> {
    let mut replay = Replayer::new();
    for (seq, events) in (0..).zip(records) {
        replay.push_events(Seq(seq), &hashed(events))?;
    }
    Ok(replay)
}

#[test]
fn replay_gives_the_live_state() {
    let book = story();
    let replay = replayed(&book.records).expect("it replays");
    assert_eq!(replay.state().digest(), book.state.digest());
}

#[test]
fn a_decision_that_was_not_made_by_the_functions_is_found() {
    let honest = story().records;
    let at = honest.iter().position(|events| events.len() > 1).expect("a decision");
    type Change = fn(&mut Vec<Event>);
    let changes: [Change; 4] = [
        |events| drop(events.pop()),
        |events| events.push(events[1].clone()),
        |events| {
            if let Event::ActionsDecided { actions, .. } = &mut events[1] {
                actions.pop();
            }
        },
        |events| {
            if let Event::ActionsDecided { trigger, .. } = &mut events[1] {
                trigger.sha256 = Hash::ZERO;
            }
        },
    ];
    for change in changes {
        let mut records = honest.clone();
        change(&mut records[at]);
        let error = replayed(&records).expect_err("it was changed");
        assert!(matches!(error, ReplayError::Decision { .. }), "{error}");
    }
}

#[test]
fn decisions_of_an_unknown_version_are_counted_and_never_proven() {
    let mut records = story().records;
    for event in records.iter_mut().flatten() {
        match event {
            Event::EpochStarted { logic, .. } | Event::ActionsDecided { logic, .. } => *logic = 99,
            _ => {}
        }
    }
    for events in &mut records {
        let first = rynxs_core::canonical::hash_of(&events[0]);
        for event in events {
            if let Event::ActionsDecided { trigger, .. } = event {
                trigger.sha256 = first;
            }
        }
    }
    let counts = replayed(&records).expect("its form is right").counts();
    assert_eq!(counts.decisions, 0);
    assert!(counts.not_rederivable > 20);
    let decided = records.iter_mut().flatten().find_map(|event| match event {
        Event::ActionsDecided { actions, .. } => Some(actions),
        _ => None,
    });
    decided.expect("a decision").pop();
    assert!(replayed(&records).is_err(), "the hash of the actions is checked all the same");
}
