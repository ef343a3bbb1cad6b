//! Who holds the Lease, as the API server stored it.

use serde_json::Value;

use super::facts::Place;
use crate::event::{Event, Head, Line};
use crate::history::ObjectWrite;

pub(super) fn is_lease(object: &str) -> bool {
    object.starts_with("Lease/")
}

/// The pod that holds a Lease.
pub(super) fn pod(lease: &Value) -> &str {
    let holder = lease.pointer("/spec/holderIdentity");
    let identity = holder.and_then(Value::as_str).unwrap_or_default();
    identity.split('_').next().unwrap_or_default()
}

/// Follows the Lease, and with it who leads: a living replica that wrote it less than its duration
/// ago. No replica is asked what it believes.
pub(super) struct Leadership<'a> {
    replicas: &'a [String],
    lease_ns: u64,
    /// Whether replicas are elected at all: a log in a file may have a single writer by itself.
    elected: bool,
    holder: Option<(&'a str, u64)>,
}

impl<'a> Leadership<'a> {
    pub(super) fn new(head: &'a Head, mut lines: impl Iterator<Item = &'a Line>) -> Self {
        let elected = lines.any(|line| match &line.event {
            Event::ObjectWrite(write) => is_lease(&write.object),
            _ => false,
        });
        let lease_ns = head.terms.lease_ms * 1_000_000;
        Self { replicas: &head.replicas, lease_ns, elected, holder: None }
    }

    pub(super) fn step(&mut self, place: Place, line: &'a Line) {
        match &line.event {
            Event::ObjectWrite(write) if write.took_effect() && is_lease(&write.object) => {
                self.written(place.at_ns.unwrap_or(line.t_ns), write);
            }
            Event::Killed { .. } | Event::Exited { .. }
                if self.holder.is_some_and(|(holder, _)| holder == line.node) =>
            {
                self.holder = None;
            }
            _ => {}
        }
    }

    fn written(&mut self, at_ns: u64, write: &'a ObjectWrite) {
        let holder = write.value.as_deref().filter(|_| !write.removed).map(pod);
        let replica = holder.filter(|holder| self.replicas.iter().any(|name| name == holder));
        self.holder = replica.map(|replica| (replica, at_ns + self.lease_ns));
    }

    /// Whether somebody leads.
    pub(super) fn is_held(&self, now_ns: u64) -> bool {
        !self.elected || self.holder.is_some_and(|(_, until)| now_ns < until)
    }
}
