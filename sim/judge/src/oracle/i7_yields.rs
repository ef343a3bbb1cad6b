//! I7, what no fault excuses: a replica writes to the cluster only while its guard is open, and a
//! leader that was shown another holder of the Lease stops at once.
//!
//! Clocks beyond the bound or an edit of the Lease by hand may make two leaders for a moment. That
//! is no reason to send a write after one's own time is over, nor to go on once another holder has
//! been seen. So this part looks at what a replica sends: whether its guard is open then, and what
//! follows after its watch showed it the Lease with another holder, newer than everything that it
//! wrote there itself.

use std::collections::BTreeMap;

use serde_json::Value;

use super::facts::{Facts, Place};
use crate::event::Event;
use crate::verdict::Finding;

/// From being shown another holder until nothing more is sent, in time in which it ran.
const AT_ONCE_NS: u64 = 1_000_000_000;

#[derive(Default)]
struct Node<'a> {
    /// Until when its guard is open.
    until_ns: Option<u64>,
    frozen: bool,
    /// From when on it has known for long enough, whom it was shown, and where.
    knows: Option<(u64, &'a str, Place)>,
}

/// What replicas sent as leaders after they had seen that another one leads.
pub(super) fn judge(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut nodes: BTreeMap<&str, Node<'_>> = BTreeMap::new();
    // By resourceVersion of the Lease, and the newest version that each replica wrote.
    let mut holders: BTreeMap<u64, &str> = BTreeMap::new();
    let mut own: BTreeMap<&str, u64> = BTreeMap::new();
    for (place, line) in facts.placed() {
        let node = nodes.entry(&line.node).or_default();
        match &line.event {
            Event::ObjectWrite(write) if write.took_effect() && is_lease(&write.object) => {
                if let Some(holder) = write.value.as_deref().map(pod) {
                    holders.insert(write.rv, holder);
                    own.insert(holder, write.rv);
                }
            }
            Event::Guard { until_ns: None }
            | Event::Started
            | Event::Killed { .. }
            | Event::Exited { .. } => *node = Node::default(),
            Event::Guard { until_ns } => node.until_ns = *until_ns,
            Event::Frozen => node.frozen = true,
            Event::Resumed => {
                node.frozen = false;
                if let Some((from, ..)) = &mut node.knows {
                    *from = (*from).max(line.t_ns + AT_ONCE_NS);
                }
            }
            Event::Watched { object, rv, .. } if node.until_ns.is_some() && is_lease(object) => {
                let Some(rv) = rv.parse::<u64>().ok() else { continue };
                let Some(holder) = holders.get(&rv).filter(|holder| **holder != line.node) else {
                    continue;
                };
                if own.get(line.node.as_str()).is_none_or(|own| *own < rv) {
                    let from = line.t_ns + AT_ONCE_NS;
                    node.knows.get_or_insert((from, holder, place));
                }
            }
            Event::Sent { method, target, .. }
                if target.starts_with("/api")
                    && writes(method, target)
                    && node.until_ns.is_none_or(|until| until < line.t_ns) =>
            {
                let until =
                    node.until_ns.map_or("closed".into(), |until| format!("over at {until}"));
                let expected = "writes while the guard is open";
                let found = format!("{method} {target}, the guard is {until}");
                findings.push(Finding::new(line.node.as_str(), expected, found).at(place));
            }
            Event::Sent { method, target, .. } if writes(method, target) && !node.frozen => {
                let known = node.knows.filter(|(from, ..)| *from <= line.t_ns);
                if let Some((_, holder, since)) = known {
                    let who = if holder.is_empty() { "nobody" } else { holder };
                    let expected = format!("no more writes after the Lease showed {who} as holder");
                    let found = format!("{method} {target}");
                    let finding = Finding::new(line.node.as_str(), expected, found);
                    findings.push(finding.at(since).at(place));
                    node.knows = None;
                }
            }
            _ => {}
        }
    }
    findings
}

fn is_lease(object: &str) -> bool {
    object.starts_with("Lease/")
}

/// The pod that holds a Lease.
fn pod(lease: &Value) -> &str {
    let holder = lease.pointer("/spec/holderIdentity");
    let identity = holder.and_then(Value::as_str).unwrap_or_default();
    identity.split('_').next().unwrap_or_default()
}

/// Whether a request changes the log or the cluster as only a leader may: not the Lease, for which
/// everybody competes, nor Events, which are for people.
fn writes(method: &str, target: &str) -> bool {
    let changes = matches!(method, "POST" | "PUT" | "PATCH" | "DELETE");
    let of_anybody = target.contains("/leases") || target.contains("/events");
    changes && !(target.starts_with("/api") && of_anybody)
}
