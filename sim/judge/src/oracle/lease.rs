//! Who holds the Lease, as the API server stored it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::facts::Place;
use crate::event::{Event, Head, Line};
use crate::history::ObjectWrite;

pub(super) fn is_lease(object: &str) -> bool {
    object.starts_with("Lease/")
}

/// The pod that holds a Lease.
pub(super) fn pod(lease: &Value) -> &str {
    pod_of(identity(lease))
}

fn identity(lease: &Value) -> &str {
    lease.pointer("/spec/holderIdentity").and_then(Value::as_str).unwrap_or_default()
}

fn pod_of(identity: &str) -> &str {
    identity.split('_').next().unwrap_or_default()
}

/// Follows the Lease, and with it who leads: a living replica that wrote it less than its duration
/// ago. No replica is asked what it believes.
pub(super) struct Leadership<'a> {
    replicas: &'a [String],
    lease_ns: u64,
    /// Identity of the holder, and until when it is that.
    holder: Option<(&'a str, u64)>,
    /// Who has begun an epoch.
    begun: BTreeSet<&'a str>,
}

impl<'a> Leadership<'a> {
    pub(super) fn new(head: &'a Head) -> Self {
        let lease_ns = head.terms.lease_ms * 1_000_000;
        Self { replicas: &head.replicas, lease_ns, holder: None, begun: BTreeSet::new() }
    }

    pub(super) fn step(&mut self, place: Place, line: &'a Line) {
        match &line.event {
            Event::ObjectWrite(write) if write.took_effect() && is_lease(&write.object) => {
                self.written(place.at_ns.unwrap_or(line.t_ns), write);
            }
            Event::Killed { .. } | Event::Exited { .. }
                if self.holder.is_some_and(|(holder, _)| pod_of(holder) == line.node) =>
            {
                self.holder = None;
            }
            _ => {}
        }
    }

    fn written(&mut self, at_ns: u64, write: &'a ObjectWrite) {
        let holder = write.value.as_deref().filter(|_| !write.removed).map(identity);
        let replica =
            holder.filter(|holder| self.replicas.iter().any(|name| name == pod_of(holder)));
        self.holder = replica.map(|replica| (replica, at_ns + self.lease_ns));
    }

    /// A record that begins an epoch is in the log.
    pub(super) fn begins(&mut self, writer: &'a str) {
        self.begun.insert(writer);
    }

    /// Whether somebody holds the Lease.
    pub(super) fn is_held(&self, now_ns: u64) -> bool {
        self.holder.is_some_and(|(_, until)| now_ns < until)
    }

    /// Whether the Lease's holder has begun its epoch.
    pub(super) fn has_begun(&self) -> bool {
        self.holder.is_some_and(|(holder, _)| self.begun.contains(holder))
    }
}
