//! I3: epochs never decrease along the log, and each epoch has one writer.

use std::collections::BTreeMap;

use super::readable;
use crate::history::History;
use crate::verdict::{Finding, Verdict};

/// Walks the epochs of the log at the end.
pub(super) fn judge(history: &History) -> Verdict {
    let records = readable(&history.log_at_end);
    let mut findings = Vec::new();
    let mut writers: BTreeMap<u64, String> = BTreeMap::new();
    let mut base = 0;
    let mut current = 0;
    for record in &records {
        let place = format!("seq {}", record.seq);
        let mut find = |expected: String, found: String| {
            findings.push(Finding { place: place.clone(), expected, found });
        };
        for event in &record.events {
            match event.name.as_str() {
                "LogStarted" => {
                    base = event.number("base").unwrap_or_default();
                    current = base;
                }
                "EpochStarted" => {
                    let claimed = event.number("epoch").unwrap_or_default();
                    if claimed != base + record.seq {
                        find(format!("epoch {}", base + record.seq), format!("epoch {claimed}"));
                    }
                    if claimed <= current && record.seq > 0 {
                        find(format!("an epoch above {current}"), format!("epoch {claimed}"));
                    }
                    current = claimed;
                }
                _ => {}
            }
        }
        if record.epoch != current {
            find(format!("epoch {current}"), format!("epoch {}", record.epoch));
        }
        let writer = writers.entry(record.epoch).or_insert_with(|| record.writer.clone());
        if *writer != record.writer {
            find(format!("writer {writer}"), format!("writer {}", record.writer));
        }
    }
    Verdict::from_findings(findings, records.len() as u64, "no record can be read")
}
