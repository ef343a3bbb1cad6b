//! I1: dense seq, every hash and `prev_hash` right, events well formed.

use crate::history::History;
use crate::record::LogRecord;
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

/// Walks the log as it is at the end.
pub(super) fn judge(history: &History) -> Verdict {
    let mut findings = Vec::new();
    let mut prev_hash = "0".repeat(64);
    for (position, object) in history.log_at_end.iter().enumerate() {
        let mut find = |expected: String, found: String| {
            findings.push(Finding { place: object.key.clone(), expected, found });
        };
        let key = format!("{position:010}.json");
        if object.key != key {
            find(format!("key {key}"), format!("key {}", object.key));
            break;
        }
        match LogRecord::parse(&object.text) {
            Err(fault) => {
                find("a record".into(), fault.to_string());
                break;
            }
            Ok(record) => {
                if record.seq != position as u64 {
                    find(format!("seq {position}"), format!("seq {}", record.seq));
                }
                if record.prev_hash != prev_hash {
                    find(format!("prev_hash {prev_hash}"), record.prev_hash.clone());
                }
                for event in &record.events {
                    let first = position == 0;
                    if !EVENTS.contains(&event.name.as_str()) {
                        find("a known event".into(), event.name.clone());
                    } else if first != (event.name == "LogStarted")
                        && (first || event.name == "LogStarted")
                    {
                        find("LogStarted in record 0 alone".into(), event.name.clone());
                    }
                }
                prev_hash = record.hash;
            }
        }
    }
    Verdict::from_findings(findings, history.log_at_end.len() as u64, "the log is empty")
}
