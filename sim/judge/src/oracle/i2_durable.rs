//! I2: an acknowledged append is in the log for ever, exactly once.

use std::collections::BTreeMap;

use crate::history::History;
use crate::verdict::{Finding, Verdict};

/// Compares what the store accepted with what is there at the end.
pub(super) fn judge(history: &History) -> Verdict {
    let at_end: BTreeMap<_, _> =
        history.log_at_end.iter().map(|object| (&object.key, &object.text)).collect();
    let mut accepted: BTreeMap<&String, usize> = BTreeMap::new();
    let mut findings = Vec::new();
    let mut checked = 0;
    for write in history.log_writes.iter().filter(|write| write.took_effect()) {
        checked += 1;
        let times = accepted.entry(&write.key).or_default();
        *times += 1;
        if *times > 1 {
            findings.push(Finding {
                place: write.key.clone(),
                expected: "one accepted write".into(),
                found: format!("accepted write number {times}"),
            });
        }
        if at_end.get(&write.key) != Some(&&write.text) {
            findings.push(Finding {
                place: write.key.clone(),
                expected: "the bytes that were acknowledged".into(),
                found: at_end.get(&write.key).map_or("no object", |_| "other bytes").into(),
            });
        }
    }
    Verdict::from_findings(findings, checked, "no append was accepted")
}
