//! A log that replaces a lost one: what a predecessor left is known before anything is decided.

use rynxs_core::decide;
use rynxs_core::event::{Drift, Event, FailureReason};
use rynxs_core::ids::{Kind, LogId, Uid};
use rynxs_core::resource::{OperatingMode, SessionMode, children};
use rynxs_core::state::{Ending, Position, State};
use serde_json::{Value, json};

use crate::book::{BASE, Book, NOW_MS, key, run_of, worker};

/// A successor's book that has seen Agent `a`, whose objects a predecessor left.
fn book() -> Book {
    let mut book = Book::new();
    let event = decide::agent_observed(&key("a"), &Uid::from("u1"), 1, worker());
    let left = book.left(&children::of_agent(&key("a")), true);
    book.see_after(event, &Value::Null, left).expect("news");
    book
}

fn see_session(book: &mut Book, mode: SessionMode, status: &Value, kinds: &[Kind]) {
    let spec = rynxs_core::resource::SessionSpec { operating_mode: mode, ..run_of("a") };
    let uid = Uid::from("uid-s");
    let event = decide::session_observed(&book.state, &key("s"), &uid, 1, spec, NOW_MS);
    let objects = children::of_session(&key("s"));
    let objects: Vec<_> = objects.into_iter().filter(|o| kinds.contains(&o.kind)).collect();
    let left = book.left(&objects, true);
    book.see_after(event, status, left).expect("news");
}

fn ending(book: &Book) -> Option<Ending> {
    book.state.session(&key("s")).expect("it is known").finished.map(|finish| finish.ending)
}

const ALL: [Kind; 3] = [Kind::ConfigMap, Kind::NetworkPolicy, Kind::Job];

#[test]
fn what_was_left_is_written_under_its_own_incarnation_and_never_created() {
    let mut book = book();
    assert_eq!(
        book.agent_pending("a"),
        [
            "Update ConfigMap Inherited",
            "Update NetworkPolicy Inherited",
            "Update PersistentVolumeClaim Inherited",
            "Update Deployment Inherited",
        ]
    );
    book.settle();
    let runtime = book.live(&children::runtime(&key("a")));
    assert_eq!(runtime["spec"]["replicas"], 1);
    let env = runtime["spec"]["template"]["spec"]["containers"][0]["env"].to_string();
    assert!(env.contains(r#""name":"RYNXS_EPOCH","value":"17""#), "its pods are not restarted");
    let claim = book.live(&children::workspace(&key("a")));
    assert_eq!(claim["spec"]["storageClassName"], "fast", "it cannot be changed");
    assert!(book.state.objects().all(|(_, known)| !known.inherited), "written once");
    let events = book.events();
    book.see_agent("a", "u1", 1, worker());
    assert_eq!(book.events(), events, "and then it is like any other");
}

#[test]
fn what_is_missing_of_what_was_left_is_created() {
    let mut book = Book::new();
    let event = decide::agent_observed(&key("a"), &Uid::from("u1"), 1, worker());
    let left = book.left(&[children::workspace(&key("a"))], true);
    book.see_after(event, &Value::Null, left).expect("news");
    assert_eq!(
        book.agent_pending("a"),
        [
            "Create ConfigMap ObjectMissing",
            "Create NetworkPolicy ObjectMissing",
            "Update PersistentVolumeClaim Inherited",
            "Create Deployment ObjectMissing",
            "Activate Deployment Started",
        ]
    );
}

#[test]
fn objects_of_a_refused_spec_are_known_and_stay_as_they_are() {
    let mut book = Book::new();
    let mut bad = worker();
    bad.workspace.size = "huge".to_owned();
    let event = decide::agent_observed(&key("a"), &Uid::from("u1"), 1, bad);
    let left = book.left(&children::of_agent(&key("a")), true);
    let runtime = left.last().expect("a runtime").clone();
    book.see_after(event, &Value::Null, left).expect("news");
    assert!(book.agent_pending("a").is_empty());
    let drift = Drift::Unwanted { uid: runtime.uid };
    let unwanted = Event::DriftObserved { object: runtime.object, drift };
    assert!(!decide::is_news(&book.state, &unwanted), "they are not deleted as unwanted");
    book.see_agent("a", "u1", 2, worker());
    assert_eq!(book.agent_pending("a").len(), 4);
}

#[test]
fn a_suspended_agent_is_written_suspended() {
    let mut book = Book::new();
    let spec =
        rynxs_core::resource::AgentSpec { operating_mode: OperatingMode::Suspended, ..worker() };
    let event = decide::agent_observed(&key("a"), &Uid::from("u1"), 1, spec);
    let left = book.left(&children::of_agent(&key("a")), false);
    book.see_after(event, &Value::Null, left).expect("news");
    book.settle();
    assert_eq!(book.live(&children::runtime(&key("a")))["spec"]["replicas"], 0);
}

#[test]
fn a_run_that_was_left_takes_its_place_and_its_job_is_not_written() {
    let mut book = book();
    see_session(&mut book, SessionMode::Running, &json!({"phase": "Running"}), &ALL);
    assert_eq!(
        book.session_pending("s"),
        ["Update ConfigMap Inherited", "Update NetworkPolicy Inherited"]
    );
    assert_eq!(book.state.running_count(&key("a")), 1);
    let session = book.state.session(&key("s")).expect("it is known");
    assert!(session.may_have_run);
    let admitted = session.admitted.as_ref().expect("it was started");
    assert_eq!((admitted.epoch.0, admitted.image.as_str()), (17, "ghcr.io/rynxs/agent:v0.0.9"));
}

#[test]
fn a_run_that_was_left_is_suspended_under_its_own_template() {
    let mut book = book();
    see_session(&mut book, SessionMode::Suspended, &json!({"phase": "Running"}), &ALL);
    assert_eq!(book.session_pending("s")[2], "Update Job Suspended");
    book.settle();
    let job = book.live(&children::run(&key("s")));
    assert_eq!(job["spec"]["suspend"], true);
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "ghcr.io/rynxs/agent:v0.0.9");
}

#[test]
fn a_run_that_was_left_ends_with_its_time_even_if_it_could_not_be_suspended() {
    let mut book = book();
    see_session(&mut book, SessionMode::Suspended, &json!({"phase": "Running"}), &ALL);
    let session = children::session(&key("s"));
    // All but the last action: the Job's.
    while book.pending(&session).len() > 1 {
        assert!(book.perform_one());
    }
    book.fail_next(&session, FailureReason::Rejected);
    let (_, _, expiry) = book.next_timer().expect("its time is known");
    book.see(expiry).expect("news");
    assert_eq!(book.session_pending("s"), ["Delete Job Expired"]);
}

#[test]
fn a_status_of_the_predecessor_is_believed_and_one_of_this_log_is_not() {
    let said = |epoch: u64, reason: &str| {
        json!({
            "controllerEpoch": epoch,
            "expiresAt": "2023-11-14T23:00:00Z",
            "completionTime": "2023-11-14T22:00:00Z",
            "conditions": [{"type": "Finished", "status": "True", "reason": reason}],
        })
    };
    for (reason, wanted) in [
        ("JobSucceeded", Ending::Succeeded),
        ("JobFailed", Ending::Failed),
        ("JobLost", Ending::JobLost),
        ("Expired", Ending::Expired),
        ("Cancelled", Ending::Cancelled),
        ("SomethingNew", Ending::JobLost),
    ] {
        let mut book = book();
        see_session(&mut book, SessionMode::Running, &said(BASE - 1, reason), &[]);
        assert_eq!(ending(&book), Some(wanted), "{reason}");
        assert!(book.session_pending("s").is_empty(), "it is not run again");
        let session = book.state.session(&key("s")).expect("it is known");
        assert_eq!(session.expires_ms, Some(1_700_002_800_000));
        assert_eq!(session.finished.and_then(|f| f.at_ms), Some(1_699_999_200_000));
    }
    let mut book = book();
    see_session(&mut book, SessionMode::Running, &said(BASE, "JobSucceeded"), &[]);
    assert_eq!(ending(&book), None);
}

#[test]
fn a_started_session_without_a_job_is_lost_and_a_waiting_one_is_started() {
    use Kind::{ConfigMap, Job};
    let cases: [(&str, SessionMode, &[Kind], bool); 7] = [
        ("Running", SessionMode::Running, &[ConfigMap], true),
        ("Starting", SessionMode::Running, &[], true),
        ("Suspended", SessionMode::Suspended, &[ConfigMap], true),
        ("Suspended", SessionMode::Running, &[], false),
        ("Waiting", SessionMode::Running, &[], false),
        ("Waiting", SessionMode::Running, &[ConfigMap], false),
        ("Running", SessionMode::Running, &[Job], false),
    ];
    for (phase, mode, kinds, lost) in cases {
        let mut book = book();
        see_session(&mut book, mode, &json!({ "phase": phase }), kinds);
        assert_eq!(ending(&book), lost.then_some(Ending::JobLost), "{phase} {kinds:?}");
    }
}

#[test]
fn the_first_log_of_a_cluster_inherits_nothing() {
    let mut state = State::new();
    let log_id = LogId::from("0123456789abcdef0123456789abcdef");
    let started = Event::LogStarted { log_id, base: 0, predecessors: Vec::new() };
    state.apply(Position::default(), &started).expect("it fits");
    let event = decide::agent_observed(&key("a"), &Uid::from("u1"), 1, worker());
    let left = Book::new().left(&children::of_agent(&key("a")), true);
    assert_eq!(decide::inherit(&state, event.clone(), &Value::Null, left, NOW_MS), event);
}
