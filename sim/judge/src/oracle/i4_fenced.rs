//! I4: once a decision's write to an object took effect, no earlier decision's write to that
//! incarnation does.
//!
//! The order is the API server's own order of effects, so this is a little stronger than the
//! invariant, which speaks of acknowledged writes.

use std::collections::BTreeMap;

use crate::history::History;
use crate::verdict::{Finding, Verdict};

/// Follows the stamp of every incarnation that the operator wrote.
pub(super) fn judge(history: &History) -> Verdict {
    let mut findings = Vec::new();
    let mut highest: BTreeMap<&str, u64> = BTreeMap::new();
    let mut checked = 0;
    for (index, write) in history.object_writes.iter().enumerate() {
        let managed = write.object.split('/').next().is_some_and(is_managed_kind);
        if !write.took_effect() || write.user != history.operator || !managed {
            continue;
        }
        checked += 1;
        let mut find = |expected: String, found: String| {
            let place = format!("write {index}, {} {}", write.verb, write.object);
            findings.push(Finding { place, expected, found });
        };
        let Some(stamp) = write.stamp.as_deref().and_then(|text| text.parse::<u64>().ok()) else {
            find("a stamp".into(), format!("{:?}", write.stamp));
            continue;
        };
        let highest = highest.entry(write.uid.as_str()).or_insert(stamp);
        if stamp < *highest {
            find(format!("a stamp of at least {highest}"), format!("stamp {stamp}"));
        }
        *highest = stamp.max(*highest);
    }
    Verdict::from_findings(findings, checked, "the operator wrote no managed object")
}

fn is_managed_kind(kind: &str) -> bool {
    ["ConfigMap", "PersistentVolumeClaim", "Deployment", "NetworkPolicy", "Job"].contains(&kind)
}
