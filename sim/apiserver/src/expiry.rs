//! Events live for an hour after their last change, as etcd's leases see to in a real cluster.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::object::Object;
use crate::server::Cluster;
use crate::store::Place;

/// `--event-ttl` of the real server.
const EVENT_TTL_MS: u64 = 3_600_000;

/// Which Events go when, in order of time.
#[derive(Debug, Default)]
pub(crate) struct Expiry {
    queue: VecDeque<(u64, Place, u64)>,
}

impl Expiry {
    /// When the next one goes.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.queue.front().map(|(due_ms, _, _)| *due_ms)
    }
}

/// Takes note of a stored Event.
pub(crate) fn observe(cluster: &mut Cluster, place: &Place, object: &Arc<Object>) {
    if place.0.plural == "events" && place.0.group.is_empty() {
        let due_ms = cluster.now_ms.saturating_add(EVENT_TTL_MS);
        cluster.expiry.queue.push_back((due_ms, place.clone(), object.rv));
    }
}

/// Removes what is over. An Event that was changed since has a later entry.
pub(crate) fn run(cluster: &mut Cluster) {
    while cluster.expiry.next_due().is_some_and(|due_ms| due_ms <= cluster.now_ms) {
        let Some((_, place, rv)) = cluster.expiry.queue.pop_front() else { return };
        if cluster.store.get(&place.0, &place.1).is_some_and(|o| o.rv == rv) {
            cluster.commit(&place, None);
        }
    }
}
