//! I1: dense seq, every hash and `prev_hash` right, events well formed.
//!
//! After the rules 1 to 5 of `docs/format/README.md`, *The chain*; rule 6 is I3.

use super::facts::Facts;
use crate::verdict::{Finding, Verdict};

const EVENTS: [&str; 15] = [
    "LogStarted",
    "EpochStarted",
    "AgentObserved",
    "AgentDeleted",
    "SessionObserved",
    "SessionDeleted",
    "ChildObserved",
    "TimerFired",
    "DriftObserved",
    "ActionsDecided",
    "ActionApplied",
    "ActionFailed",
    "ActionSuperseded",
    "CheckpointCreated",
    "TailRepaired",
];

/// Largest base: stamps must stay exact where numbers are doubles.
const BASE_MAX: u64 = (1 << 53) - 1 - 9_999_999_999;

/// Walks the log as it is at the end.
pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    let mut findings = Vec::new();
    let mut prev_hash = "0".repeat(64);
    let mut records = facts.records.iter();
    for (position, object) in facts.log_at_end.iter().enumerate() {
        let place = &object.what.key;
        let mut find = |expected: String, found: String| {
            findings.push(Finding::new(place, expected, found).at(object.place));
        };
        let key = format!("{position:010}.json");
        if *place != key {
            find(format!("key {key}"), format!("key {place}"));
            break;
        }
        if let Some(fault) = facts.faults.get(&position) {
            find("a record".into(), fault.to_string());
            break;
        }
        let Some(record) = records.next().map(|stored| &stored.record) else { break };
        if record.seq != position as u64 {
            find(format!("seq {position}"), format!("seq {}", record.seq));
        }
        if record.prev_hash != prev_hash {
            find(format!("prev_hash {prev_hash}"), record.prev_hash.clone());
        }
        if position == 0 && record.events.len() != 1 {
            find("LogStarted alone".into(), format!("{} events", record.events.len()));
        }
        for (index, event) in record.events.iter().enumerate() {
            let name = event.name.as_str();
            if !EVENTS.contains(&name) {
                find("a known event".into(), name.into());
            } else if (position == 0) != (name == "LogStarted") {
                find("LogStarted in record 0 alone".into(), name.into());
            } else if name == "EpochStarted" && index > 0 {
                find("EpochStarted as the first event".into(), format!("event {index}"));
            } else if name == "LogStarted"
                && (event.number("base").is_none_or(|base| base > BASE_MAX)
                    || event.text("log_id").is_none())
            {
                find("LogStarted with log_id and a base".into(), event.fields.to_string());
            }
        }
        prev_hash.clone_from(&record.hash);
    }
    Verdict::from_findings(findings, facts.log_at_end.len() as u64, "the log is empty")
}
