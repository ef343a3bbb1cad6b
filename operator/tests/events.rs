//! Kubernetes Events: what people see, within limits.
#![allow(missing_docs, reason = "tests are named by their claims")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use rynxs_core::ids::{Epoch, Kind, ObjectRef};
use rynxs_operator::guard::Guard;
use rynxs_operator::kube::{EventKind, EventSink, KubeClient, Regarding};
use rynxs_operator::leadership::Leadership;
use rynxs_operator::observe::{Queue, RefusedBy, Signal};
use support::world::Signals;
use support::{Reply, Script, ports};

fn sink(replies: Vec<Reply>) -> (EventSink, Script, Arc<Signals>) {
    let (sink, script, signals, _) = guarded(replies);
    (sink, script, signals)
}

fn guarded(replies: Vec<Reply>) -> (EventSink, Script, Arc<Signals>, Guard) {
    let script = Script::new(replies);
    let signals = Arc::new(Signals::default());
    let ports = ports(Arc::new(script.clone()), 3);
    let guard = Guard::always();
    let clock = ports.clock.clone();
    let leadership = Leadership::new(guard.clone(), clock, signals.clone(), Epoch(1));
    let client = KubeClient::new(ports, signals.clone(), Duration::from_secs(5));
    (EventSink::new(client, leadership, "rynxs-0_x".to_owned()), script, signals, guard)
}

fn about(name: &str) -> Regarding {
    Regarding { object: ObjectRef::new(Kind::Agent, "team", name), uid: "u".into() }
}

async fn send_all(sink: &EventSink) {
    let sent = tokio::time::timeout(Duration::from_secs(30), sink.run()).await;
    assert!(sent.is_err(), "a sink never ends");
}

fn created() -> Reply {
    Reply::Json(201, "{}".to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_repeated_event_is_counted_up_and_said_anew_when_it_has_expired() {
    let (sink, script, _) = sink(vec![
        created(),
        Reply::Json(200, "{}".to_owned()),
        Reply::Json(404, "{}".to_owned()),
        created(),
    ]);
    for _ in 0..3 {
        sink.say(about("a"), EventKind::Normal, "Ready", "the runtime is available");
    }
    send_all(&sink).await;
    let seen = script.seen();
    let verbs: Vec<&str> =
        seen.iter().map(|line| line.split(' ').next().expect("a verb")).collect();
    assert_eq!(verbs, ["POST", "PATCH", "PATCH", "POST"]);
    assert!(seen[0].contains("/api/v1/namespaces/team/events"), "{}", seen[0]);
    assert!(seen[1].contains("/api/v1/namespaces/team/events/a."), "{}", seen[1]);
}

#[tokio::test(start_paused = true)]
async fn one_object_cannot_flood_the_server_and_what_is_dropped_is_counted() {
    let (sink, script, signals) = sink((0..100).map(|_| created()).collect());
    for n in 0..50 {
        sink.say(about("a"), EventKind::Warning, "Retrying", &format!("attempt {n}"));
    }
    sink.say(about("b"), EventKind::Normal, "Ready", "others are still heard");
    send_all(&sink).await;
    assert_eq!(script.seen().len(), 11, "a burst of ten, and another object's");
    assert_eq!(sink.dropped(), 40);
    let full = |signal: &Signal| matches!(signal, Signal::QueueFull(Queue::KubernetesEvents));
    assert_eq!(signals.count(full), 40);
}

#[tokio::test(start_paused = true)]
async fn many_objects_together_stay_within_the_global_rate() {
    let (sink, script, _) = sink((0..500).map(|_| created()).collect());
    for n in 0..300 {
        sink.say(about(&format!("a{n}")), EventKind::Normal, "Ready", "yes");
    }
    send_all(&sink).await;
    assert_eq!(script.seen().len(), 100);
    assert_eq!(sink.dropped(), 200);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_any_more_says_nothing_and_each_event_kept_back_is_counted() {
    let (sink, script, signals, guard) = guarded(vec![created(), created()]);
    sink.say(about("a"), EventKind::Normal, "Ready", "said while leading");
    send_all(&sink).await;
    assert_eq!(script.seen().len(), 1);
    sink.say(about("a"), EventKind::Warning, "Retrying", "said too late");
    sink.say(about("b"), EventKind::Warning, "Retrying", "said too late");
    guard.close();
    send_all(&sink).await;
    assert_eq!(script.seen().len(), 1, "{:?}", script.seen());
    let kept = |signal: &Signal| *signal == Signal::StaleWriteRefused(RefusedBy::Guard);
    assert_eq!(signals.count(kept), 2);
}

#[tokio::test(start_paused = true)]
async fn the_depth_of_the_queue_falls_as_events_are_sent() {
    let (sink, _, signals) = sink(vec![created(), created()]);
    sink.say(about("a"), EventKind::Normal, "Ready", "yes");
    sink.say(about("b"), EventKind::Normal, "Ready", "yes");
    let depth = |signal: &Signal| match signal {
        Signal::QueueDepth(Queue::KubernetesEvents, depth) => Some(*depth),
        _ => None,
    };
    assert_eq!(signals.last(depth), Some(2));
    send_all(&sink).await;
    assert_eq!(signals.last(depth), Some(0));
}
