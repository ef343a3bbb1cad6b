//! Who holds the Lease, by the API server's own account, and who thinks so.

use std::collections::BTreeMap;

use crate::event::{Event, Line};

/// A change of the Lease's holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    /// The new holder's node; none if it was released or deleted.
    pub(super) node: Option<String>,
    /// Who held it until then.
    pub(super) before: Option<String>,
}

/// Lines at which the holder of a Lease changed.
pub(super) fn holders(lines: &[Line]) -> BTreeMap<usize, Holder> {
    let mut holding: BTreeMap<&str, Option<String>> = BTreeMap::new();
    let mut changes = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        let Event::ObjectWrite(write) = &line.event else { continue };
        if !write.object.starts_with("Lease/") || !write.took_effect() {
            continue;
        }
        let now = match &write.value {
            Some(value) => value
                .pointer("/spec/holderIdentity")
                .and_then(serde_json::Value::as_str)
                .filter(|holder| !holder.is_empty())
                .map(|holder| holder.split('_').next().unwrap_or(holder).to_owned()),
            None if write.removed => None,
            None => continue,
        };
        let before = holding.insert(&write.object, now.clone()).flatten();
        if before != now {
            changes.insert(index, Holder { node: now, before });
        }
    }
    changes
}

/// What a Guard line means for its replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belief {
    /// It begins to believe that it leads.
    Begins,
    /// It goes on believing.
    Goes,
    /// It stops before its time is over.
    Ends,
    /// It says so although its time was over anyway.
    Over,
}

/// The meaning of every Guard line.
pub(super) fn beliefs(lines: &[Line]) -> BTreeMap<usize, Belief> {
    let mut valid_until: BTreeMap<&str, u64> = BTreeMap::new();
    let mut beliefs = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        match &line.event {
            Event::Guard { until_ns } => {
                let open = valid_until.get(line.node.as_str()).is_some_and(|ns| line.t_ns < *ns);
                let belief = match (until_ns, open) {
                    (Some(_), false) => Belief::Begins,
                    (Some(_), true) => Belief::Goes,
                    (None, true) => Belief::Ends,
                    (None, false) => Belief::Over,
                };
                beliefs.insert(index, belief);
                valid_until.insert(&line.node, until_ns.unwrap_or(0));
            }
            Event::Killed { .. } | Event::Exited { .. } => {
                valid_until.remove(line.node.as_str());
            }
            _ => {}
        }
    }
    beliefs
}
