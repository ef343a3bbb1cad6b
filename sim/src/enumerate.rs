//! Enumeration: in a reference scenario, one fault at *every* write of one replica, one run each.
//!
//! It dies before its kth write arrives, or when it was applied and not yet answered, or the answer
//! is lost; for k from 1 until the scenario is over. The references begin with the very first write
//! of a cluster, with the first one of a successor, and in the middle of a term. Each run must be
//! green, end with the objects of the fault-free run (whose content names neither uids nor stamps)
//! and what Agents and Sessions say there, and let no Session's Job run twice. Randomness finds
//! rare combinations; this leaves no single one out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

use rynxs_judge::ObjectWrite;
use rynxs_judge::event::{Event, Line};
use serde_json::{Value, json};

use crate::fault;
use crate::scenario::{AgentShape, Do, Scenario, SessionShape, Who};
use crate::trial::{Shown, trial};

/// What happens at the kth write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// The writer dies, and the write never arrives.
    DiesBefore,
    /// It is applied, and its writer dies before it is answered.
    DiesAfter,
    /// It is applied, and its answer is lost.
    AnswerLost,
}

impl At {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DiesBefore, Self::DiesAfter, Self::AnswerLost];

    /// As a command line names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DiesBefore => "dies-before",
            Self::DiesAfter => "dies-after",
            Self::AnswerLost => "answer-lost",
        }
    }

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::DiesBefore => "the writer dies before the write",
            Self::DiesAfter => "the writer dies after the write",
            Self::AnswerLost => "the answer to the write is lost",
        }
    }

    fn step(self, who: Who, nth: u32) -> Do {
        match self {
            Self::AnswerLost => Do::LoseAnswer { who, nth },
            Self::DiesBefore | Self::DiesAfter => {
                let applied = self == Self::DiesAfter;
                Do::CrashAtWrite { who, nth, applied, back_after_ms: BACK_AFTER_MS }
            }
        }
    }
}

/// When the fault is armed: somebody leads by then.
const ARMED_MS: u64 = 25_000;
/// When nothing is asked for any more. Long enough for whoever lost its leader at the last write.
const HEAL_MS: u64 = 60_000;
/// How long the dead one stays away: longer than its Lease.
const BACK_AFTER_MS: u64 = 20_000;

/// A scenario that is worth every single fault.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Its name.
    pub name: &'static str,
    /// Itself, without a fault.
    pub scenario: Scenario,
    /// Whose writes are counted, and from when on, milliseconds.
    pub from: (Who, u64),
}

/// The reference scenarios.
#[must_use]
pub fn references() -> Vec<Reference> {
    let agent = |value| Do::ApplyAgent {
        name: "a".to_owned(),
        agent: AgentShape { value, ..AgentShape::default() },
    };
    let session = SessionShape { agent: "a".to_owned(), ..SessionShape::default() };
    // An edit that a Session's run does not show: whichever of the two is seen first, the end is
    // the same.
    let wider = AgentShape { value: 1, egress: 1, ..AgentShape::default() };
    let wider = Do::ApplyAgent { name: "a".to_owned(), agent: wider };
    let begin = Do::ApplySession { name: "s".to_owned(), session };
    let calm = Scenario { heal_at_ms: HEAL_MS, ..Scenario::default() };
    // The first term of a cluster, from the creation of the Lease and the genesis on.
    let first = Scenario { replicas: 1, heal_at_ms: 90_000, ..Scenario::default() }
        .at(0, agent(1))
        .at(ARMED_MS, begin.clone());
    // A term that begins with another one's log, and with work that is left.
    let takeover = Scenario { replicas: 2, ..calm.clone() }
        .at(0, agent(1))
        .at(ARMED_MS, agent(2))
        .at(ARMED_MS + 150, Do::Crash { who: Who::Leader, back_after_ms: 40_000 })
        .at(ARMED_MS + 1_000, begin.clone());
    let create = calm
        .clone()
        .at(ARMED_MS + 1, agent(1))
        .at(ARMED_MS + 1_000, wider)
        .at(ARMED_MS + 2_000, begin);
    let again = AgentShape { value: 2, ..AgentShape::default() };
    let replace = calm
        .at(0, agent(1))
        .at(ARMED_MS + 1, Do::RecreateAgent { name: "a".to_owned(), agent: again })
        .at(ARMED_MS + 3_000, Do::DeleteAgent { name: "a".to_owned() })
        .at(ARMED_MS + 5_000, agent(3));
    vec![
        Reference { name: "first-term", scenario: first, from: (Who::Replica(0), 0) },
        Reference { name: "takeover", scenario: takeover, from: (Who::Standby, ARMED_MS) },
        Reference { name: "create-edit-session", scenario: create, from: (Who::Leader, ARMED_MS) },
        Reference {
            name: "recreate-delete-create",
            scenario: replace,
            from: (Who::Leader, ARMED_MS),
        },
    ]
}

/// How an enumeration is made.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The seed of every run.
    pub seed: u64,
    /// Every so-manieth k only; 1 is all.
    pub every: u32,
    /// This k only.
    pub only: Option<u32>,
    /// Threads.
    pub threads: usize,
}

/// A run that was not as it must be.
#[derive(Clone, Debug)]
pub struct Wrong {
    /// Which write met the fault.
    pub nth: u32,
    /// Its scenario, fault included.
    pub scenario: Scenario,
    /// What the run showed; it is wrong though it is green if its end is not that of the others.
    pub shown: Shown,
    /// What is wrong, in words.
    pub why: String,
}

/// What an enumeration showed.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Runs in which the fault happened.
    pub runs: u32,
    /// Those that were not as they must be.
    pub wrong: Vec<Wrong>,
}

/// Enumerates one kind of fault over one reference scenario.
///
/// # Errors
/// What the fault-free run shows, if it is not green: there is nothing to compare with.
pub fn enumerate(reference: &Reference, at: At, plan: &Plan) -> Result<Found, Shown> {
    let calm = trial(&reference.scenario, plan.seed, false);
    let (Shown::Green, Some(calm)) = (&calm.shown, &calm.outcome) else {
        return Err(calm.shown);
    };
    let expected = end_state(&calm.lines);
    if let Some(nth) = plan.only {
        let wrong = one(reference, at, nth, plan.seed, &expected);
        return Ok(Found { runs: wrong.is_some().into(), wrong: wrong.unwrap_or_default() });
    }
    let found = Mutex::new(Found::default());
    let (next, over) = (AtomicU32::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..plan.threads.max(1) {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    let nth = 1 + next.fetch_add(1, Ordering::SeqCst) * plan.every.max(1);
                    match one(reference, at, nth, plan.seed, &expected) {
                        Some(wrong) => {
                            let mut found = hold(&found);
                            found.runs += 1;
                            found.wrong.extend(wrong);
                        }
                        None => over.store(true, Ordering::SeqCst),
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().expect("no thread panics while it holds what was found");
    found.wrong.sort_by_key(|wrong| wrong.nth);
    Ok(found)
}

fn hold(found: &Mutex<Found>) -> MutexGuard<'_, Found> {
    found.lock().expect("no thread panics while it holds what was found")
}

/// One run: none if there were fewer writes than that, else what is wrong with it.
fn one(
    reference: &Reference,
    at: At,
    nth: u32,
    seed: u64,
    expected: &BTreeMap<String, Value>,
) -> Option<Vec<Wrong>> {
    let (who, armed_ms) = reference.from;
    let mut scenario = reference.scenario.clone().at(armed_ms, at.step(who, nth));
    scenario.steps.sort_by_key(|step| step.at_ms);
    let trial = trial(&scenario, seed, false);
    let wrong = |why: String| {
        let (scenario, shown) = (scenario.clone(), trial.shown.clone());
        Wrong { nth, scenario, shown, why }
    };
    let Some(outcome) = &trial.outcome else {
        return Some(vec![wrong(trial.shown.to_string())]);
    };
    if !has_happened(&outcome.lines) {
        return None;
    }
    let mut all = Vec::new();
    if !trial.shown.is_green() {
        all.push(wrong(trial.shown.to_string()));
    }
    let end = end_state(&outcome.lines);
    if let Some(why) = difference(expected, &end) {
        all.push(wrong(why));
    }
    if let Some(why) = ran_twice(&outcome.lines) {
        all.push(wrong(why));
    }
    Some(all)
}

/// Whether the fault that was armed met its message before the heal.
fn has_happened(lines: &[Line]) -> bool {
    lines.iter().any(|line| match &line.event {
        Event::FaultHit { fault, .. } => {
            fault == fault::CRASH_AT_WRITE || fault == fault::LOSE_ANSWER
        }
        _ => false,
    })
}

/// Kinds that the operator manages.
const MANAGED: [&str; 5] =
    ["ConfigMap/", "Deployment/", "Job/", "NetworkPolicy/", "PersistentVolumeClaim/"];

/// The managed objects as they are at the end, and what Agents and Sessions say of themselves,
/// without what tells one run from another.
#[must_use]
pub fn end_state(lines: &[Line]) -> BTreeMap<String, Value> {
    let mut state = BTreeMap::new();
    for write in object_writes(lines) {
        let subject = ["Agent/", "Session/"].iter().any(|kind| write.object.starts_with(kind));
        if !subject && !MANAGED.iter().any(|kind| write.object.starts_with(kind)) {
            continue;
        }
        if write.removed {
            state.remove(&write.object);
        } else if let Some(value) = &write.value {
            let content = if subject { said(value) } else { content(value) };
            state.insert(write.object.clone(), content);
        }
    }
    state
}

fn object_writes(lines: &[Line]) -> impl Iterator<Item = &ObjectWrite> {
    lines.iter().filter_map(|line| match &line.event {
        Event::ObjectWrite(write) => Some(&**write),
        _ => None,
    })
}

/// Spec and conditions, without times.
fn said(value: &Value) -> Value {
    let conditions = value.pointer("/status/conditions").and_then(Value::as_array);
    let conditions = conditions.into_iter().flatten();
    let conditions: Vec<_> =
        conditions.map(|one| json!([one["type"], one["status"], one["reason"]])).collect();
    json!({ "spec": value["spec"], "conditions": conditions })
}

/// Labels, owners by name, and whatever is not metadata or status.
fn content(value: &Value) -> Value {
    let owners = value.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let names: Vec<_> = owners.into_iter().flatten().map(|owner| owner["name"].clone()).collect();
    let mut content = value.clone();
    if let Some(fields) = content.as_object_mut() {
        fields.remove("status");
        let labels = value.pointer("/metadata/labels").cloned().unwrap_or_default();
        fields.insert("metadata".to_owned(), json!({ "labels": labels, "owners": names }));
    }
    without_uids(&mut content);
    content
}

/// Hides what another run draws or counts differently: uids, and the epoch that a pod is told.
fn without_uids(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("name").is_some_and(|name| name == "RYNXS_EPOCH") {
                fields.insert("value".to_owned(), Value::from("(an epoch)"));
            }
            for (name, value) in fields {
                if name.ends_with("uid") || name == "volumeName" {
                    *value = Value::from("(a uid)");
                } else {
                    without_uids(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_uids),
        _ => {}
    }
}

fn difference(expected: &BTreeMap<String, Value>, end: &BTreeMap<String, Value>) -> Option<String> {
    let names: BTreeSet<&String> = expected.keys().chain(end.keys()).collect();
    names.into_iter().find_map(|name| match (expected.get(name), end.get(name)) {
        (Some(one), Some(two)) if one == two => None,
        (Some(one), Some(two)) => Some(format!("{name} at {}", first_difference(one, two))),
        (Some(_), None) => Some(format!("{name} is missing")),
        (None, _) => Some(format!("{name} is there, and is not without the fault")),
    })
}

/// Where two values differ first: the path, what is there, and what is there without the fault.
fn first_difference(expected: &Value, end: &Value) -> String {
    let name_of = |key: &String| (expected.get(key) != end.get(key)).then(|| key.clone());
    if let (Value::Object(one), Value::Object(two)) = (expected, end)
        && let Some(key) = one.keys().chain(two.keys()).find_map(name_of)
        && let (Some(one), Some(two)) = (one.get(&key), two.get(&key))
    {
        return format!("/{key}{}", first_difference(one, two));
    }
    if let (Value::Array(one), Value::Array(two)) = (expected, end)
        && let Some(index) = one.iter().zip(two).position(|(one, two)| one != two)
    {
        return format!("/{index}{}", first_difference(&one[index], &two[index]));
    }
    format!(": {end}, without the fault {expected}")
}

/// The Session of which Jobs were let run more than once.
fn ran_twice(lines: &[Line]) -> Option<String> {
    let mut running: BTreeSet<&str> = BTreeSet::new();
    let mut started: BTreeMap<String, u32> = BTreeMap::new();
    for write in object_writes(lines) {
        let Some(value) = write.value.as_ref().filter(|_| write.object.starts_with("Job/")) else {
            continue;
        };
        if value["spec"]["suspend"] != false {
            running.remove(write.uid.as_str());
        } else if running.insert(&write.uid) {
            let owner = value["metadata"]["ownerReferences"][0]["uid"].to_string();
            *started.entry(owner).or_default() += 1;
        }
    }
    let twice = started.into_iter().find(|(_, times)| *times > 1);
    twice.map(|(session, times)| format!("the Session {session} was let run {times} times"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(uid: &str, suspend: bool) -> Line {
        let value = json!({
            "metadata": {"ownerReferences": [{"uid": "session"}]}, "spec": {"suspend": suspend},
        });
        let write = ObjectWrite {
            object: "Job/agents/s".to_owned(),
            uid: uid.to_owned(),
            value: Some(value.into()),
            ..ObjectWrite::default()
        };
        Line { t_ns: 0, node: "api-0".to_owned(), event: Event::ObjectWrite(Box::new(write)) }
    }

    #[test]
    fn a_second_run_shows_whether_it_is_the_same_job_or_another() {
        let once = [job("1", true), job("1", false), job("1", false)];
        assert_eq!(ran_twice(&once), None);
        let same = [job("1", false), job("1", true), job("1", false)];
        assert!(ran_twice(&same).is_some());
        let other = [job("1", false), job("2", false)];
        assert!(ran_twice(&other).is_some());
    }

    #[test]
    fn content_is_compared_and_uids_are_not() {
        let object = |uid: &str, image: &str| {
            json!({
                "metadata": {"uid": uid, "resourceVersion": uid, "labels": {"a": "b"}},
                "spec": {"image": image, "owner-uid": uid}, "status": {"seen": uid},
            })
        };
        assert_eq!(content(&object("1", "x")), content(&object("2", "x")));
        let state = |value| BTreeMap::from([("Job/s".to_owned(), content(&value))]);
        assert!(difference(&state(object("1", "x")), &state(object("1", "y"))).is_some());
        assert!(difference(&BTreeMap::new(), &state(object("1", "x"))).is_some());
        assert!(difference(&state(object("1", "x")), &BTreeMap::new()).is_some());
    }
}
