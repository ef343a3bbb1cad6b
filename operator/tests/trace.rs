//! One trace_id leads from the watch event that was seen, over the record that holds what was seen
//! and decided, to the last effect.
#![allow(missing_docs, reason = "tests are named by their claims")]

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use support::story::*;
use support::world::{Fate, World};
use tracing::subscriber::DefaultGuard;

/// What was logged, one JSON object per line, as the telemetry of the binary writes it.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic while held").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One line: its message, its fields with those of its spans, its trace.
struct Line {
    message: String,
    fields: Value,
    trace: String,
}

impl Lines {
    /// Listens to this thread, on which everything in these tests runs.
    fn listen() -> (Self, DefaultGuard) {
        let lines = Self::default();
        let out = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || out.clone())
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    fn all(&self) -> Vec<Line> {
        let text = String::from_utf8(self.0.lock().expect("no panic while held").clone());
        let text = text.expect("lines are UTF-8");
        let read = |line: &str| {
            let line: Value = serde_json::from_str(line).expect("every line is JSON");
            let mut fields = json!({});
            let spans = line["spans"].as_array().cloned().unwrap_or_default();
            for part in spans.iter().chain([&line["fields"]]) {
                for (name, value) in part.as_object().expect("fields") {
                    fields[name] = value.clone();
                }
            }
            let text = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
            Line { message: text("message"), trace: text("trace_id"), fields }
        };
        text.lines().map(read).collect()
    }
}

/// Positions of the lines with this message that `matching` accepts.
fn find(lines: &[Line], message: &str, matching: impl Fn(&Value) -> bool) -> Vec<usize> {
    let fits = |line: &Line| line.message == message && matching(&line.fields);
    lines.iter().enumerate().filter(|(_, line)| fits(line)).map(|(at, _)| at).collect()
}

/// Where an Agent's spec was seen.
fn seen(lines: &[Line]) -> Vec<usize> {
    find(lines, "observed", |fields| {
        fields["object"] == "Agent/team/a" && fields["generation"].is_i64()
    })
}

#[tokio::test(start_paused = true)]
async fn one_trace_leads_from_the_watch_event_to_the_last_effect() {
    let (lines, _listening) = Lines::listen();
    let (_world, leader) = with_agent(&json!({})).await;
    leader.stop().await;
    let lines = lines.all();
    let seen = seen(&lines);
    assert_eq!(seen.len(), 1, "it was seen once");
    let first = &lines[seen[0]];
    assert_eq!(first.trace.len(), 16, "64 random bits: {}", first.trace);
    let record = &first.fields["seq"];
    let held = find(&lines, "the log holds it", |fields| fields["seq"] == *record);
    let done = find(&lines, "done", |_| true);
    let told = find(&lines, "status written", |_| true);
    assert_eq!((held.len(), done.len()), (1, 5));
    assert!(seen[0] < held[0] && held[0] < done[0], "seen, in the log, done");
    for at in held.iter().chain(&done).chain(&told[..1]) {
        assert_eq!(lines[*at].trace, first.trace, "{}", lines[*at].fields);
    }
    for at in done {
        assert_eq!(lines[at].fields["decision"], *record, "decided in the record of what was seen");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_in_the_middle_of_the_work_does_not_end_its_trace() {
    let (lines, _listening) = Lines::listen();
    let mut world = World::new();
    let mut refusals = 8;
    world.fate(move |request| {
        let runtime = request.method() == "PATCH" && request.uri().path() == RUNTIME;
        if !runtime || refusals == 0 {
            return Fate::Arrives;
        }
        refusals -= 1;
        Fate::Says(403, "exceeded quota")
    });
    let leader = world.lead();
    world.create(AGENTS, &agent("a", &json!({})));
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(replicas(&world), Some(1));
    leader.stop().await;
    let lines = lines.all();
    let first = seen(&lines)[0];
    let done = find(&lines, "done", |_| true);
    let told = find(&lines, "status written", |_| true);
    assert!(told[0] < done[4], "a status was written before the work was done");
    for at in done {
        assert_eq!(lines[at].trace, lines[first].trace, "{}", lines[at].fields);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_agents_change_does_to_its_sessions_is_in_the_trace_of_that_change() {
    let (lines, _listening) = Lines::listen();
    let (world, leader) = with_agent(&long_runs()).await;
    world.create(SESSIONS, &session(&json!({"agentRef": "a"})));
    settled(&world).await;
    let before = lines.all().len();
    let egress = json!([{"cidr": "10.0.0.0/8", "ports": [{"port": 443}]}]);
    world.merge(&format!("{AGENTS}/a"), &json!({"spec": {"egress": egress}}));
    settled(&world).await;
    leader.stop().await;
    let lines = lines.all();
    let change = *seen(&lines).last().expect("it was seen");
    assert!(change >= before);
    let policy = |fields: &Value| fields["object"] == "NetworkPolicy/team/s-session";
    let done = *find(&lines, "done", policy).last().expect("the run's network follows");
    assert!(done > change);
    assert_eq!(lines[done].trace, lines[change].trace);
}

#[tokio::test(start_paused = true)]
async fn a_repair_is_in_the_trace_of_the_drift_that_was_seen() {
    let (lines, _listening) = Lines::listen();
    let (world, leader) = with_agent(&json!({})).await;
    world.merge(RUNTIME, &json!({"spec": {"replicas": 7}}));
    settled(&world).await;
    leader.stop().await;
    let lines = lines.all();
    let differs = find(&lines, "differs from what was written", |_| true);
    assert_eq!(differs.len(), 1);
    let done = *find(&lines, "done", |_| true).last().expect("it was repaired");
    assert!(done > differs[0] && lines[done].fields["object"] == "Deployment/team/a-runtime");
    assert!(!lines[done].trace.is_empty());
    assert_eq!(lines[done].trace, lines[differs[0]].trace);
}

#[tokio::test(start_paused = true)]
async fn the_deletion_of_an_object_that_nothing_wants_is_in_the_trace_of_its_discovery() {
    let (lines, _listening) = Lines::listen();
    let mut world = World::new();
    let leader = world.lead();
    world.pass(Duration::from_secs(5)).await;
    apply_spec(&world, 1, &log_id(&world));
    settled(&world).await;
    assert!(world.get(SPEC).is_none());
    leader.stop().await;
    let lines = lines.all();
    let found = find(&lines, "nothing wants this object", |_| true);
    let done = find(&lines, "done", |_| true);
    assert_eq!((found.len(), done.len()), (1, 1));
    assert!(!lines[done[0]].trace.is_empty());
    assert_eq!(lines[done[0]].trace, lines[found[0]].trace);
}
