//! The columns of a picture: one for each node, in an order in which arrows rarely cross lanes.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::event::{Event, Line, node};

/// What a node is; the order is that of the columns, left to right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    /// The run as a whole.
    Run,
    /// Whatever breaks things.
    Nemesis,
    /// People and their tools.
    Users,
    /// A view of the API.
    Api,
    /// A replica of the operator.
    Replica,
    /// The object store.
    Store,
    /// The disk of a replica that keeps its log in files.
    Disk,
    /// Something that this version does not know.
    Other,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Lane {
    /// What it is.
    pub(super) role: Role,
    /// The node's name.
    pub(super) name: String,
}

/// The replicas and the operator's name, as the run's head has them.
pub(super) fn head(lines: &[Line]) -> Option<&crate::event::Head> {
    lines.iter().find_map(|line| match &line.event {
        Event::Run(head) => Some(&**head),
        _ => None,
    })
}

/// The columns of a stream.
pub(super) fn lanes(lines: &[Line]) -> Vec<Lane> {
    let replicas: BTreeSet<&str> =
        head(lines).into_iter().flat_map(|head| &head.replicas).map(String::as_str).collect();
    let nodes = lines.iter().map(|line| line.node.as_str());
    let names: BTreeSet<&str> = nodes.chain(replicas.iter().copied()).collect();
    let lanes = names
        .into_iter()
        .map(|name| Lane { role: role(name, replicas.contains(name)), name: name.to_owned() });
    let mut lanes: Vec<Lane> = lanes.collect();
    lanes.sort();
    lanes
}

fn role(name: &str, replica: bool) -> Role {
    match name {
        _ if replica => Role::Replica,
        node::RUN => Role::Run,
        node::NEMESIS => Role::Nemesis,
        node::USERS => Role::Users,
        node::S3 => Role::Store,
        _ if name.starts_with("api") => Role::Api,
        _ if name.starts_with("disk") => Role::Disk,
        _ => Role::Other,
    }
}
