//! I3: epochs never decrease along the log, each epoch has one writer, and each writer one epoch: a
//! process that was started again under the name of its pod is another writer.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::Facts;
use crate::verdict::{Finding, Verdict};

/// Walks the epochs of the log at the end.
pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    let mut findings = Vec::new();
    let mut writers: BTreeMap<u64, &str> = BTreeMap::new();
    let mut identities: BTreeSet<&str> = BTreeSet::new();
    let base = facts.base;
    let mut current = base;
    for stored in &facts.records {
        let record = &stored.record;
        let mut find = |expected: String, found: String| {
            let finding = Finding::new(format!("seq {}", record.seq), expected, found);
            findings.push(finding.at(stored.place).at_some(stored.accepted));
        };
        for event in record.events.iter().filter(|event| event.name == "EpochStarted") {
            let claimed = event.number("epoch").unwrap_or_default();
            if claimed != base + record.seq {
                find(format!("epoch {}", base + record.seq), format!("epoch {claimed}"));
            }
            if claimed <= current {
                find(format!("an epoch above {current}"), format!("epoch {claimed}"));
            }
            let identity = event.text("identity").unwrap_or_default();
            if identity != record.writer {
                find(format!("identity {}", record.writer), format!("identity {identity}"));
            }
            if !identities.insert(identity) {
                find("an identity that no epoch had before".into(), identity.to_owned());
            }
            current = claimed;
        }
        if record.epoch != current {
            find(format!("epoch {current}"), format!("epoch {}", record.epoch));
        }
        let writer = *writers.entry(record.epoch).or_insert(&record.writer);
        if writer != record.writer {
            find(format!("writer {writer}"), format!("writer {}", record.writer));
        }
    }
    Verdict::from_findings(findings, facts.records.len() as u64, "no record can be read")
}
