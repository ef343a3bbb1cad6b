//! I7: never two replicas with `now < valid_until` on their own clocks, while clock rates stay
//! within ρ and nobody edits the Lease by hand.
//!
//! The one oracle that reads what the operator says of itself: its guard. The lines give the end
//! of a guard's validity in true time already, and give it anew when the replica's clock changes;
//! so a frozen replica counts for as long as its own clock says so. Runs whose clocks or Leases
//! break the premise say that themselves (`Head::excused`).

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Facts, Place};
use crate::event::Event;
use crate::verdict::{Finding, Verdict};

/// Follows the validity of every replica's guard.
pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    let mut valid: BTreeMap<&str, (u64, Place)> = BTreeMap::new();
    // Pairs that overlap now: told once, until one of the two gives way.
    let mut told: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut findings = Vec::new();
    let mut checked = 0;
    for (place, line) in facts.placed() {
        let node = line.node.as_str();
        let until = match line.event {
            Event::Guard { until_ns } => {
                checked += 1;
                until_ns
            }
            Event::Started | Event::Killed { .. } | Event::Exited { .. } => None,
            _ => continue,
        };
        let now = line.t_ns;
        valid.retain(|_, (until, _)| *until > now);
        valid.remove(node);
        let Some(until) = until.filter(|until| *until > now) else {
            told.retain(|(a, b)| *a != node && *b != node);
            continue;
        };
        told.retain(|(a, b)| [a, b].iter().all(|n| **n == node || valid.contains_key(**n)));
        for (other, (its, since)) in &valid {
            let pair = if *other < node { (*other, node) } else { (node, *other) };
            if told.insert(pair) {
                let found = format!(
                    "{other} is valid until {}, {node} until {}",
                    seconds(*its),
                    seconds(until)
                );
                let finding =
                    Finding::new(format!("{node} at {}", seconds(now)), "one leader", found);
                findings.push(finding.at(*since).at(place));
            }
        }
        valid.insert(node, (until, place));
    }
    Verdict::from_findings(findings, checked, "no replica's guard was seen")
}

/// True time since the start of the run, as people read it.
fn seconds(ns: u64) -> String {
    format!("{:.3} s", ns as f64 / 1e9)
}
