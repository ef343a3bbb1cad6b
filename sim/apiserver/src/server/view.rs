//! Several API servers in front of one store, each with a watch cache that may lag.
//!
//! Writes, reads of one object and consistent lists go to the store and are never stale. A list
//! with `resourceVersion=0`, or with one that the cache has reached, and every watch are served
//! from the cache of the view: while that is held, they show the past.

use std::collections::BTreeMap;

use super::{ApiServer, Cluster};

/// Up to which resourceVersion the cache of each lagging view goes.
#[derive(Debug, Default)]
pub(crate) struct Views {
    held: BTreeMap<u32, u64>,
}

impl Cluster {
    /// What the cache of a view has seen; views that are not held have seen everything.
    pub(crate) fn seen(&self, view: u32) -> u64 {
        self.views.held.get(&view).copied().unwrap_or_else(|| self.store.rv())
    }
}

impl ApiServer {
    /// Another API server of the same cluster. View 0 is the one that [`ApiServer::new`] returns.
    #[must_use]
    pub fn view(&self, view: u32) -> Self {
        Self { cluster: std::sync::Arc::clone(&self.cluster), view }
    }

    /// Stops the cache of this view where it is now.
    ///
    /// A cache cannot be held longer than the history goes back; then it moves on.
    pub fn hold(&self) {
        let mut cluster = self.lock();
        let seen = cluster.seen(self.view);
        cluster.views.held.insert(self.view, seen);
    }

    /// Whether the cache of this view lacks changes that were made.
    #[must_use]
    pub fn shows_the_past(&self) -> bool {
        let cluster = self.lock();
        cluster.views.held.get(&self.view).is_some_and(|seen| *seen < cluster.store.rv())
    }

    /// Lets the cache of this view go on by at most `versions` changes.
    pub fn advance_by(&self, versions: u64) {
        let wakers = {
            let mut cluster = self.lock();
            let newest = cluster.store.rv();
            let seen = cluster.seen(self.view).saturating_add(versions);
            cluster.views.held.insert(self.view, seen.min(newest));
            cluster.store.all_wakers()
        };
        wakers.into_iter().for_each(std::task::Waker::wake);
    }

    /// The newest version, which a cache may lack.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.lock().store.rv()
    }

    /// Lets the cache of this view go on to this version, if it is not there yet.
    pub fn advance_to(&self, version: u64) {
        let seen = {
            let cluster = self.lock();
            cluster.seen(self.view)
        };
        self.advance_by(version.saturating_sub(seen));
    }

    /// Lets the cache of this view catch up and keep up.
    pub fn release(&self) {
        let wakers = {
            let mut cluster = self.lock();
            cluster.views.held.remove(&self.view);
            cluster.store.all_wakers()
        };
        wakers.into_iter().for_each(std::task::Waker::wake);
    }
}
