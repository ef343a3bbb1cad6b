//! Sessions: waiting, running, ending, and what remains.

use rynxs_core::event::{ChildState, Drift, Event, FailureReason, Timer};
use rynxs_core::ids::Uid;
use rynxs_core::resource::{
    AgentSpec, OperatingMode, SessionLimits, SessionMode, SessionSpec, ShutdownPolicy, children,
};
use rynxs_core::state::{Ending, State};

use crate::book::{Book, NOW_MS, key, run_of, settings, worker};

const DAY_MS: u64 = 86_400_000;

fn started(spec: SessionSpec) -> Book {
    let mut book = Book::new();
    book.see_agent("a", "u1", 1, worker());
    book.see_session("s", 1, spec);
    book.settle();
    book
}

fn job_is(book: &Book, name: &str, state: ChildState) -> Event {
    let object = children::run(&key(name));
    let uid = book.uid_of(&object);
    Event::ChildObserved { object, uid, state }
}

fn fire(book: &mut Book) -> Timer {
    let (timer, _, event) = book.next_timer().expect("a timer is armed");
    book.see(event).expect("an armed timer is news");
    timer
}

fn ending(state: &State, name: &str) -> Option<Ending> {
    state.session(&key(name)).expect("it is known").finished.map(|finish| finish.ending)
}

#[test]
fn a_session_becomes_three_objects_and_its_job_starts_suspended() {
    let mut book = Book::new();
    book.see_agent("a", "u1", 1, worker());
    book.settle();
    book.see_session("s", 1, run_of("a"));
    assert_eq!(
        book.session_pending("s"),
        [
            "Create ConfigMap ObjectMissing",
            "Create NetworkPolicy ObjectMissing",
            "Create Job ObjectMissing",
            "Activate Job Started",
        ]
    );
    for _ in 0..3 {
        book.perform_one();
    }
    let job = children::run(&key("s"));
    assert_eq!(book.live(&job)["spec"]["suspend"], true);
    book.settle();
    assert_eq!(book.live(&job)["spec"]["suspend"], false);
    let pod = &book.live(&job)["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"][0]["persistentVolumeClaim"]["claimName"], "a-workspace");
    assert_eq!(book.live(&children::session_input(&key("s")))["data"]["input"], "hello");
}

#[test]
fn a_session_waits_for_its_agent() {
    let mut book = Book::new();
    book.see_session("s", 1, run_of("a"));
    assert!(book.session_pending("s").is_empty());
    book.see_agent("a", "u1", 1, worker());
    assert_eq!(book.session_pending("s").len(), 4);
}

#[test]
fn further_sessions_wait_their_turn_first_come_first_served() {
    let limits = SessionLimits { max_concurrent: Some(1), ..Default::default() };
    let spec = AgentSpec { sessions: Some(limits), ..worker() };
    let mut book = Book::new();
    book.see_agent("a", "u1", 1, spec);
    for name in ["z", "y", "x"] {
        book.see_session(name, 1, run_of("a"));
    }
    book.settle();
    assert_eq!(book.session_pending("y").len(), 0);
    let done = job_is(&book, "z", ChildState::JobSucceeded { at_ms: NOW_MS });
    book.see(done);
    assert_eq!(book.session_pending("y").len(), 4, "the second in line");
    assert_eq!(book.session_pending("x").len(), 0);
    let uid = Uid::from("uid-y");
    book.see(Event::SessionDeleted { session: children::session(&key("y")), uid });
    assert_eq!(book.session_pending("x").len(), 4, "a deleted session leaves its place");
}

#[test]
fn a_suspended_agent_starts_no_sessions() {
    let mut book = Book::new();
    let suspended = AgentSpec { operating_mode: OperatingMode::Suspended, ..worker() };
    book.see_agent("a", "u1", 1, suspended);
    book.see_session("s", 1, run_of("a"));
    assert!(book.session_pending("s").is_empty());
    book.see_agent("a", "u1", 2, worker());
    assert_eq!(book.session_pending("s").len(), 4);
}

#[test]
fn many_waiting_sessions_start_in_bounded_steps_and_all_start() {
    let mut book = Book::new();
    for i in 0..60 {
        book.see_session(&format!("s{i}"), 1, run_of("a"));
    }
    book.see_agent("a", "u1", 1, worker());
    book.settle();
    assert_eq!(book.state.running_count(&key("a")), 60);
    let most = book.records.iter().map(Vec::len).max().unwrap();
    assert!(most <= 18, "{most} events in one record");
}

#[test]
fn a_finished_session_keeps_its_objects_and_its_end_is_the_first_one_seen() {
    let mut book = started(run_of("a"));
    let done = job_is(&book, "s", ChildState::JobSucceeded { at_ms: NOW_MS });
    book.see(done);
    assert!(book.session_pending("s").is_empty());
    let failed = job_is(&book, "s", ChildState::JobFailed { at_ms: NOW_MS + 1 });
    assert!(book.see(failed).is_none());
    assert_eq!(ending(&book.state, "s"), Some(Ending::Succeeded));
    assert_eq!(book.state.timers().count(), 0);
}

#[test]
fn a_lost_job_ends_the_session_and_is_never_created_again() {
    let mut book = started(run_of("a"));
    let lost = job_is(&book, "s", ChildState::JobLost { at_ms: NOW_MS });
    book.cluster.remove(&children::run(&key("s")));
    book.see(lost);
    assert_eq!(ending(&book.state, "s"), Some(Ending::JobLost));
    book.see_agent("a", "u1", 2, AgentSpec { team: Some("blue".to_owned()), ..worker() });
    book.settle();
    assert!(!book.cluster.contains_key(&children::run(&key("s"))));
}

#[test]
fn a_job_that_is_missing_after_its_activation_was_decided_counts_as_lost() {
    let mut book = Book::new();
    book.see_agent("a", "u1", 1, worker());
    book.settle();
    book.see_session("s", 1, run_of("a"));
    for _ in 0..3 {
        book.perform_one();
    }
    let object = children::run(&key("s"));
    let (uid, _) = book.cluster.remove(&object).unwrap();
    book.see(Event::DriftObserved { object, drift: Drift::Missing { uid } });
    assert_eq!(ending(&book.state, "s"), Some(Ending::JobLost));
    assert!(book.session_pending("s").is_empty());
}

#[test]
fn an_activation_that_meets_no_job_ends_the_session() {
    let mut book = Book::new();
    book.see_agent("a", "u1", 1, worker());
    book.settle();
    book.see_session("s", 1, run_of("a"));
    for _ in 0..3 {
        book.perform_one();
    }
    book.cluster.remove(&children::run(&key("s")));
    book.fail_next(&children::session(&key("s")), FailureReason::ObjectGone);
    assert_eq!(ending(&book.state, "s"), Some(Ending::JobLost));
    assert!(book.session_pending("s").is_empty());
}

#[test]
fn the_end_of_its_time_is_computed_once_and_survives_edits_and_failovers() {
    let spec = SessionSpec { max_duration: Some("30m".to_owned()), ..run_of("a") };
    let mut book = started(spec.clone());
    let end = |book: &Book| book.state.session(&key("s")).unwrap().expires_ms;
    assert_eq!(end(&book), Some(NOW_MS + 1_800_000));
    book.epoch(settings());
    let longer = SessionSpec { max_duration: Some("10h".to_owned()), ..spec };
    book.see_session("s", 2, longer);
    assert_eq!(end(&book), Some(NOW_MS + 1_800_000));
}

#[test]
fn the_shortest_limit_ends_a_session() {
    let limits = SessionLimits { max_duration: Some("1h".to_owned()), ..Default::default() };
    let mut book = Book::new();
    book.see_agent("a", "u1", 1, AgentSpec { sessions: Some(limits), ..worker() });
    let end = |book: &Book, spec: &SessionSpec| {
        rynxs_core::decide::expiry(&book.state, &key("s"), spec, NOW_MS) - NOW_MS
    };
    assert_eq!(end(&book, &run_of("a")), 3_600_000);
    assert_eq!(end(&book, &run_of("unknown")), DAY_MS);
    let spec = SessionSpec { max_duration: Some("5h".to_owned()), ..run_of("a") };
    assert_eq!(end(&book, &spec), 3_600_000);
    let spec =
        SessionSpec { shutdown_time: Some("2023-11-14T22:13:21Z".to_owned()), ..run_of("a") };
    assert_eq!(end(&book, &spec), 1_000);
}

#[test]
fn an_expired_session_that_is_retained_loses_its_job_and_stays() {
    let mut book = started(run_of("a"));
    assert_eq!(fire(&mut book), Timer::Expiry);
    assert_eq!(book.session_pending("s"), ["Delete Job Expired"]);
    book.settle();
    assert_eq!(ending(&book.state, "s"), Some(Ending::Expired));
    assert_eq!(book.state.timers().count(), 0);
    assert!(book.cluster.contains_key(&children::session_input(&key("s"))));
}

#[test]
fn an_expired_session_that_is_not_retained_is_deleted_even_if_it_finished_before() {
    let spec = SessionSpec { shutdown_policy: ShutdownPolicy::Delete, ..run_of("a") };
    let mut book = started(spec);
    let done = job_is(&book, "s", ChildState::JobSucceeded { at_ms: NOW_MS });
    book.see(done);
    assert_eq!(fire(&mut book), Timer::Expiry);
    assert_eq!(book.session_pending("s"), ["DeleteExpired Session Expired"]);
    book.settle();
    assert!(book.session_pending("s").is_empty());
    assert_eq!(book.state.timers().count(), 0);
}

#[test]
fn a_finished_session_is_deleted_when_its_time_to_live_is_over() {
    let spec = SessionSpec { ttl_seconds_after_finished: Some(60), ..run_of("a") };
    let mut book = started(spec);
    let done = job_is(&book, "s", ChildState::JobFailed { at_ms: NOW_MS });
    book.see(done);
    let (due_ms, ..) = book.state.timers().next().unwrap();
    assert_eq!(due_ms, NOW_MS + 60_000);
    assert_eq!(fire(&mut book), Timer::Ttl);
    assert_eq!(book.session_pending("s"), ["DeleteExpired Session TtlElapsed"]);
}

#[test]
fn a_cancelled_session_loses_its_job_and_cannot_come_back() {
    let spec = SessionSpec { ttl_seconds_after_finished: Some(60), ..run_of("a") };
    let mut book = started(spec.clone());
    let cancelled = SessionSpec { operating_mode: SessionMode::Cancelled, ..spec.clone() };
    book.see_session("s", 2, cancelled);
    assert_eq!(book.session_pending("s"), ["Delete Job Cancelled"]);
    book.settle();
    let (due_ms, ..) = book.state.timers().next().unwrap();
    assert_eq!(due_ms, NOW_MS + 60_000);
    book.see_session("s", 3, spec);
    assert!(book.session_pending("s").is_empty());
    assert_eq!(ending(&book.state, "s"), Some(Ending::Cancelled));
}

#[test]
fn a_session_cancelled_while_it_starts_leaves_nothing_running() {
    let mut book = Book::new();
    book.see_agent("a", "u1", 1, worker());
    book.settle();
    book.see_session("s", 1, run_of("a"));
    book.perform_one();
    let cancelled = SessionSpec { operating_mode: SessionMode::Cancelled, ..run_of("a") };
    book.see_session("s", 2, cancelled);
    assert!(book.session_pending("s").is_empty());
    assert!(matches!(book.records.last().unwrap()[1], Event::ActionSuperseded { .. }));
    assert!(!book.cluster.contains_key(&children::run(&key("s"))));
}

#[test]
fn suspending_a_session_suspends_its_job_and_its_time_goes_on() {
    let mut book = started(run_of("a"));
    let suspended = SessionSpec { operating_mode: SessionMode::Suspended, ..run_of("a") };
    book.see_session("s", 2, suspended);
    assert_eq!(book.session_pending("s"), ["Update Job Suspended"]);
    book.settle();
    assert_eq!(book.live(&children::run(&key("s")))["spec"]["suspend"], true);
    book.see_session("s", 3, run_of("a"));
    assert_eq!(book.session_pending("s"), ["Activate Job Resumed"]);
    book.settle();
    assert_eq!(book.state.timers().count(), 1);
}

#[test]
fn a_running_session_keeps_its_job_but_follows_its_agents_network() {
    let mut book = started(run_of("a"));
    let spec = AgentSpec {
        team: Some("blue".to_owned()),
        egress: serde_json::from_value(serde_json::json!([{ "cidr": "10.0.0.0/8" }])).unwrap(),
        ..worker()
    };
    book.see_agent("a", "u1", 2, spec);
    assert_eq!(book.session_pending("s"), ["Update NetworkPolicy SpecChanged"]);
    book.settle();
    let agent = children::agent(&key("a"));
    book.see(Event::AgentDeleted { agent, uid: Uid::from("u1") });
    assert!(book.session_pending("s").is_empty(), "the run goes on without its agent");
}

#[test]
fn an_invalid_session_is_not_started_and_says_why() {
    let spec = SessionSpec { max_duration: Some("soon".to_owned()), ..run_of("a") };
    let book = started(spec.clone());
    assert!(book.session_pending("s").is_empty());
    assert_eq!(book.state.session(&key("s")).unwrap().spec(), None);
    let problems = rynxs_core::resource::validate::session(&key("s"), &spec);
    assert_eq!(problems[0].field, "spec.maxDuration");
}

#[test]
fn a_session_that_is_created_suspended_takes_no_place_until_it_may_run() {
    let limits = SessionLimits { max_concurrent: Some(1), ..Default::default() };
    let mut book = Book::new();
    book.see_agent("a", "u1", 1, AgentSpec { sessions: Some(limits), ..worker() });
    let suspended = SessionSpec { operating_mode: SessionMode::Suspended, ..run_of("a") };
    book.see_session("s", 1, suspended);
    book.settle();
    assert_eq!(book.state.running_count(&key("a")), 0);
    book.see_session("t", 1, run_of("a"));
    book.settle();
    book.see_session("s", 2, run_of("a"));
    assert!(book.session_pending("s").is_empty(), "the only place is taken");
    let done = job_is(&book, "t", ChildState::JobSucceeded { at_ms: NOW_MS });
    book.see(done);
    assert_eq!(book.session_pending("s").len(), 4);
}

#[test]
fn a_session_whose_deletion_was_acknowledged_is_not_deleted_again() {
    let spec = SessionSpec { shutdown_policy: ShutdownPolicy::Delete, ..run_of("a") };
    let mut book = started(spec);
    fire(&mut book);
    book.settle();
    let object = children::session_input(&key("s"));
    let (uid, _) = book.cluster.remove(&object).expect("it was written");
    book.see(Event::DriftObserved { object, drift: Drift::Missing { uid } });
    assert!(book.session_pending("s").is_empty(), "its children go because it went");
}

#[test]
fn a_job_lost_before_its_activation_was_decided_is_created_again() {
    let mut book = started(run_of("a"));
    let suspended = SessionSpec { operating_mode: SessionMode::Suspended, ..run_of("b") };
    book.see_session("t", 1, SessionSpec { operating_mode: SessionMode::Running, ..suspended });
    book.see_agent("b", "u2", 1, worker());
    let suspended = SessionSpec { operating_mode: SessionMode::Suspended, ..run_of("b") };
    book.see_session("t", 2, suspended);
    book.settle();
    let lost = job_is(&book, "t", ChildState::JobLost { at_ms: NOW_MS });
    book.cluster.remove(&children::run(&key("t")));
    book.see(lost);
    assert_eq!(ending(&book.state, "t"), None);
    assert_eq!(book.session_pending("t"), ["Create Job ObjectMissing"]);
}

#[test]
fn an_agents_edit_leaves_an_activation_that_is_under_way_alone() {
    let mut book = Book::new();
    book.see_agent("a", "u1", 1, worker());
    book.settle();
    book.see_session("s", 1, run_of("a"));
    for _ in 0..3 {
        book.perform_one();
    }
    assert_eq!(book.session_pending("s"), ["Activate Job Started"]);
    let records = book.records.len();
    book.see_agent("a", "u1", 2, AgentSpec { team: Some("blue".to_owned()), ..worker() });
    assert!(
        !book.records[records].iter().any(|event| {
            matches!(event, Event::ActionSuperseded { subject, .. }
                if *subject == children::session(&key("s")))
        }),
        "{:?}",
        book.records[records]
    );
}
