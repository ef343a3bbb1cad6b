//! Compares the live objects with the state that the log reduces to (I6, seen from the cluster).

use rynxs_core::ids::{Kind, ObjectRef};
use rynxs_core::names;
use rynxs_core::projection;
use rynxs_core::state::State;
use serde_json::Value;

use crate::cli::Failure;

use super::user::{User, text};
use super::zombie::stamp_of;

/// What the comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Comparison {
    /// Objects compared.
    pub objects: usize,
    /// Everything that differs, one line each.
    pub differences: Vec<String>,
}

const MANAGED: [Kind; 5] = [
    Kind::ConfigMap,
    Kind::PersistentVolumeClaim,
    Kind::Deployment,
    Kind::NetworkPolicy,
    Kind::Job,
];

/// Compares both ways: every object of the state is there as it was written, and every managed
/// object that is there is one of the state.
pub async fn compare(user: &User, state: &State) -> Result<Comparison, Failure> {
    let mut found = Comparison::default();
    let selector = format!("{}={}", names::MANAGED_BY, names::MANAGED_BY_VALUE);
    let mut live = std::collections::BTreeMap::new();
    for kind in MANAGED {
        for object in user.list(kind, &selector).await? {
            let namespace = text(&object, "/metadata/namespace");
            let name = text(&object, "/metadata/name");
            live.insert(ObjectRef::new(kind, namespace, name), object);
        }
    }
    for (object, known) in state.objects() {
        found.objects += 1;
        match live.remove(object) {
            None => {
                found.differences.push(format!("{object} is in the log and not in the cluster"))
            }
            Some(live) => differences(object, &live, state, known, &mut found.differences),
        }
    }
    for object in live.keys() {
        found.differences.push(format!("{object} is in the cluster and not in the log"));
    }
    Ok(found)
}

fn differences(
    object: &ObjectRef,
    live: &Value,
    state: &State,
    known: &rynxs_core::state::ObjectState,
    found: &mut Vec<String>,
) {
    if text(live, "/metadata/uid") != known.uid.as_str() {
        found.push(format!("{object} is another incarnation than the log's"));
    }
    let stamp = state.stamp(known.decision).0;
    if stamp_of(live) != Some(stamp) {
        let live = stamp_of(live).map_or("none".to_owned(), |stamp| stamp.to_string());
        found.push(format!("{object} has stamp {live}, the log's decision has {stamp}"));
    }
    let projection = projection::hash(&projection::project(object.kind, live));
    if projection != known.projection {
        found.push(format!("{object} has other content than the log recorded"));
    }
}
