//! I5: no effect without its decision before it in the log, and every decided action ends in
//! exactly one of applied, failed and superseded.
//!
//! An action without an outcome is work under way, not a violation; two outcomes are one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::readable;
use crate::history::History;
use crate::record::{LogEvent, LogRecord};
use crate::verdict::{Finding, Verdict};

/// A decided action: record, subject, index.
type ActionId = (u64, String, u64);

/// Matches decisions with outcomes, and effects with decisions.
pub(super) fn judge(history: &History) -> Verdict {
    let records = readable(&history.log_at_end);
    let mut findings = Vec::new();
    let mut outcomes: BTreeMap<ActionId, u32> = BTreeMap::new();
    let mut decided: BTreeSet<(u64, String)> = BTreeSet::new();
    let mut checked = 0;
    let base = base_of(&records);
    let log_id = log_id_of(&records);
    for record in &records {
        for event in &record.events {
            if event.name == "ActionsDecided" {
                for (index, object) in decided_objects(event).enumerate() {
                    outcomes.insert(action_id(event, record.seq, index as u64), 0);
                    decided.insert((base + record.seq, object));
                }
            }
            for (decision, index) in outcomes_in(event) {
                checked += 1;
                let id = action_id(event, decision, index);
                let found = match outcomes.get_mut(&id) {
                    None => "an outcome of an action that was not decided before",
                    Some(count) => {
                        *count += 1;
                        if *count == 1 { continue } else { "a second outcome" }
                    }
                };
                findings.push(Finding {
                    place: format!("seq {}, {} of {} in {}", record.seq, index, id.1, decision),
                    expected: "one outcome of a decided action".into(),
                    found: found.into(),
                });
            }
        }
    }
    for (index, write) in history.object_writes.iter().enumerate() {
        let ours = write.user == history.operator && write.log.as_deref() == Some(log_id.as_str());
        let Some(stamp) = write.stamp.as_deref().and_then(|text| text.parse().ok()) else {
            continue;
        };
        if ours && write.took_effect() {
            checked += 1;
            if !decided.contains(&(stamp, write.object.clone())) {
                findings.push(Finding {
                    place: format!("write {index}, {} {}", write.verb, write.object),
                    expected: format!("a decision about it in record {}", stamp - base),
                    found: "none".into(),
                });
            }
        }
    }
    Verdict::from_findings(findings, checked, "the log holds no outcome")
}

fn base_of(records: &[LogRecord]) -> u64 {
    first_event(records).and_then(|event| event.number("base")).unwrap_or_default()
}

fn log_id_of(records: &[LogRecord]) -> String {
    first_event(records).and_then(|event| event.text("log_id")).unwrap_or_default().to_owned()
}

fn first_event(records: &[LogRecord]) -> Option<&LogEvent> {
    records.first().and_then(|record| record.events.first())
}

fn action_id(event: &LogEvent, decision: u64, index: u64) -> ActionId {
    (decision, event.text("subject").unwrap_or_default().to_owned(), index)
}

fn decided_objects(event: &LogEvent) -> impl Iterator<Item = String> {
    let actions = event.fields.get("actions").and_then(Value::as_array);
    actions
        .into_iter()
        .flatten()
        .map(|action| action.get("object").and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// Record of the decision and index of the action, for each outcome that this event reports.
fn outcomes_in(event: &LogEvent) -> Vec<(u64, u64)> {
    let Some(decision) = event.number("decision") else { return Vec::new() };
    match event.name.as_str() {
        "ActionApplied" | "ActionFailed" => {
            event.number("action").map(|index| (decision, index)).into_iter().collect()
        }
        "ActionSuperseded" => event
            .fields
            .get("actions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .map(|index| (decision, index))
            .collect(),
        _ => Vec::new(),
    }
}
