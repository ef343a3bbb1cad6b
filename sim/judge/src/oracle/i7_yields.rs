//! I7, what no fault excuses: a replica writes to the cluster only while its guard is open, a
//! leader that was shown another holder of the Lease stops at once, and nobody gives up a Lease
//! that is another's.
//!
//! Clocks beyond the bound or an edit of the Lease by hand may make two leaders for a moment. That
//! is no reason to send a write after one's own time is over, nor to go on once another holder has
//! been seen. So this part looks at what a replica sends: whether its guard is open then, and what
//! follows after its watch showed it the Lease with another holder, newer than everything that it
//! wrote there itself.

use std::collections::BTreeMap;

use super::facts::{Facts, Place};
use super::lease::{is_lease, pod};
use crate::event::Event;
use crate::history::ObjectWrite;
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

#[derive(Default)]
struct Lease<'a> {
    holder: &'a str,
    /// By its resourceVersion.
    holders: BTreeMap<u64, &'a str>,
    /// The newest version that each replica wrote.
    own: BTreeMap<&'a str, u64>,
    /// Who sent which message about it.
    senders: BTreeMap<u64, &'a str>,
}

/// What replicas sent that they must not.
pub(super) fn judge(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut nodes: BTreeMap<&str, Node<'_>> = BTreeMap::new();
    let mut lease = Lease::default();
    for (place, line) in facts.placed() {
        let name = line.node.as_str();
        let node = nodes.entry(name).or_default();
        match &line.event {
            Event::ObjectWrite(write) if write.took_effect() && is_lease(&write.object) => {
                findings.extend(lease.written(write).map(|finding| finding.at(place)));
            }
            Event::Guard { until_ns: None }
            | Event::Started
            | Event::Killed { .. }
            | Event::Exited { .. } => *node = Node::default(),
            Event::Guard { until_ns } => node.until_ns = *until_ns,
            Event::Frozen => node.frozen = true,
            Event::Resumed => node.resumed(line.t_ns),
            Event::Watched { object, rv, .. } if node.until_ns.is_some() && is_lease(object) => {
                if let Some(holder) = lease.shows_another(name, rv) {
                    node.knows.get_or_insert((line.t_ns + AT_ONCE_NS, holder, place));
                }
            }
            Event::Sent { message, target, .. } if target.contains("/leases/") => {
                lease.senders.insert(*message, name);
            }
            Event::Sent { method, target, .. } if writes(method, target) => {
                if let Some((since, expected, found)) = node.sends(line.t_ns, target) {
                    let found = format!("{method} {target}{found}");
                    let finding = Finding::new(name, expected, found);
                    findings.push(finding.at_some(since).at(place));
                }
            }
            _ => {}
        }
    }
    findings
}

impl<'a> Lease<'a> {
    /// Notes a write; says if somebody gave up what another one holds.
    fn written(&mut self, write: &'a ObjectWrite) -> Option<Finding> {
        let holder = pod(write.value.as_deref()?);
        let before = std::mem::replace(&mut self.holder, holder);
        self.holders.insert(write.rv, holder);
        self.own.insert(holder, write.rv);
        let sender = write.message.and_then(|message| self.senders.get(&message))?;
        let anothers = holder.is_empty() && !before.is_empty() && before != *sender;
        anothers.then(|| {
            let found = format!("that of {before}, by {sender}");
            Finding::new(*sender, "a Lease given up by its holder", found)
        })
    }

    /// Who holds the version that a replica was shown, if it is another one and newer than all that
    /// it wrote itself.
    fn shows_another(&self, node: &str, rv: &str) -> Option<&'a str> {
        let rv = rv.parse::<u64>().ok()?;
        let holder = self.holders.get(&rv).filter(|holder| **holder != node)?;
        self.own.get(node).is_none_or(|own| *own < rv).then_some(holder)
    }
}

impl Node<'_> {
    fn resumed(&mut self, now_ns: u64) {
        self.frozen = false;
        if let Some((from, ..)) = &mut self.knows {
            *from = (*from).max(now_ns + AT_ONCE_NS);
        }
    }

    /// What is wrong with a write that it sends now: the cause, what is expected, what is found.
    fn sends(&mut self, now_ns: u64, target: &str) -> Option<(Option<Place>, String, String)> {
        if target.starts_with("/api") && self.until_ns.is_none_or(|until| until < now_ns) {
            let until = self.until_ns.map_or("closed".into(), |until| format!("over at {until}"));
            let expected = "writes while the guard is open".into();
            return Some((None, expected, format!(", the guard is {until}")));
        }
        let known = self.knows.filter(|(from, ..)| !self.frozen && *from <= now_ns);
        let (_, holder, since) = known?;
        self.knows = None;
        let who = if holder.is_empty() { "nobody" } else { holder };
        let expected = format!("no more writes after the Lease showed {who} as holder");
        Some((Some(since), expected, String::new()))
    }
}

/// Whether a request changes the log or the cluster as only a leader may: not the Lease, for which
/// everybody competes, nor Events, which are for people.
fn writes(method: &str, target: &str) -> bool {
    let changes = matches!(method, "POST" | "PUT" | "PATCH" | "DELETE");
    let of_anybody = target.contains("/leases") || target.contains("/events");
    changes && !(target.starts_with("/api") && of_anybody)
}
