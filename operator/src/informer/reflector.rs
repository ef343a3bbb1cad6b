//! Keeps one selection of the cache equal to the cluster: list, watch, and again.
//!
//! Every list is consistent, every watch continues where the list or the last watch ended. 410
//! means that the continuation is lost and leads to a new list; everything else that goes wrong
//! leads to a new watch from the same place, after a growing wait.

use std::convert::Infallible;
use std::time::Duration;

use rynxs_core::ids::Kind;
use rynxs_core::time::Mono;

use super::cache::Cache;
use crate::kube::{Backoff, KubeClient, KubeError, Selection, WATCH_TIMEOUT_S, WatchEvent};

/// First and longest wait after a failure, those of client-go's reflector.
const BACKOFF_MIN: Duration = Duration::from_millis(800);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A watch that lived this long was a success, even if it ended badly.
const HEALTHY: Duration = Duration::from_secs(10);

/// Fills the cache with one selection.
pub struct Reflector {
    client: KubeClient,
    cache: Cache,
    selection: Selection,
    backoff: Backoff,
}

/// How a watch ended.
enum Ended {
    /// The continuation is lost: list again.
    Expired,
    /// By the server's clock or ours: watch on from here.
    Regularly,
    /// Badly: wait, then watch on from here.
    Badly(String),
}

/// Every kind in every watched namespace; no namespace means all of them at once.
#[must_use]
pub fn selections(namespaces: &[String]) -> Vec<Selection> {
    let scopes: Vec<Option<String>> = if namespaces.is_empty() {
        vec![None]
    } else {
        namespaces.iter().cloned().map(Some).collect()
    };
    let of = |kind: Kind| scopes.iter().map(move |scope| (kind, scope.clone()));
    Kind::ALL
        .into_iter()
        .flat_map(of)
        .map(|(kind, namespace)| Selection { kind, namespace })
        .collect()
}

impl Reflector {
    /// A reflector of one selection.
    #[must_use]
    pub fn new(client: KubeClient, cache: Cache, selection: Selection) -> Self {
        Self { client, cache, selection, backoff: Backoff::new(BACKOFF_MIN, BACKOFF_MAX) }
    }

    /// Goes on until dropped.
    pub async fn run(mut self) -> Infallible {
        loop {
            let mut version = self.list().await;
            loop {
                let begun = self.now();
                match self.watch(&mut version).await {
                    Ended::Expired => {
                        tracing::info!(selection = ?self.selection, "watch expired: listing again");
                        break;
                    }
                    Ended::Regularly if self.now() - begun >= HEALTHY => self.backoff.reset(),
                    // A server that ends every watch at once must not be asked in a busy loop.
                    Ended::Regularly => self.pause(None).await,
                    Ended::Badly(why) => {
                        tracing::debug!(selection = ?self.selection, why, "watch ended");
                        if self.now() - begun >= HEALTHY {
                            self.backoff.reset();
                        }
                        self.pause(None).await;
                    }
                }
            }
        }
    }

    /// Lists until it succeeds and returns the version to watch from.
    async fn list(&mut self) -> u64 {
        loop {
            let (kind, cache) = (self.selection.kind, &self.cache);
            let listed = self.client.list(&self.selection, |live| cache.read(kind, &live)).await;
            match listed.map(|list| (list.resource_version.parse::<u64>(), list.items)) {
                Ok((Ok(version), items)) => {
                    self.cache.replace(&self.selection, items, version);
                    self.backoff.reset();
                    return version;
                }
                Ok((Err(error), _)) => {
                    tracing::warn!(selection = ?self.selection, %error, "resourceVersion of a list");
                    self.pause(None).await;
                }
                Err(error) => {
                    self.complain(&error);
                    self.pause(error.retry_after()).await;
                }
            }
        }
    }

    /// Watches from `version`, which moves on with every event.
    async fn watch(&mut self, version: &mut u64) -> Ended {
        let mut stream = match self.client.watch(&self.selection, &version.to_string()).await {
            Ok(stream) => stream,
            Err(error) if error.code() == 410 => return Ended::Expired,
            Err(error) => {
                self.complain(&error);
                return Ended::Badly(error.to_string());
            }
        };
        // The server ends the watch by itself; a connection that died in silence is given up a
        // little later.
        let patience = Duration::from_secs(u64::from(WATCH_TIMEOUT_S)) + self.client.timeout();
        let deadline = self.now() + patience;
        loop {
            let Some(next) = self.client.within(deadline, stream.next()).await else {
                return Ended::Regularly;
            };
            match next {
                None => return Ended::Regularly,
                Some(Err(error)) => return Ended::Badly(error.to_string()),
                Some(Ok(WatchEvent::Ended(status))) if status.code == 410 => {
                    return Ended::Expired;
                }
                Some(Ok(WatchEvent::Ended(status))) => {
                    return Ended::Badly(format!("{} {}", status.code, status.message));
                }
                Some(Ok(event)) => self.take(event, version),
            }
        }
    }

    fn take(&self, event: WatchEvent, version: &mut u64) {
        let seen = match event {
            WatchEvent::Bookmark(text) => text.parse().ok(),
            WatchEvent::Applied(live) => {
                self.cache.read(self.selection.kind, &live).map(|(object, entry)| {
                    let seen = entry.version;
                    // Events come in the order of their versions; one at or below what was seen
                    // is a repetition, and could bring back what was deleted since.
                    if seen > *version {
                        self.cache.applied(object, entry);
                    }
                    seen
                })
            }
            WatchEvent::Deleted(live) => {
                self.cache.read(self.selection.kind, &live).map(|(object, entry)| {
                    if entry.version > *version {
                        self.cache.deleted(&object, &entry.uid, entry.version);
                    }
                    entry.version
                })
            }
            WatchEvent::Ended(_) => None,
        };
        match seen {
            Some(seen) => *version = seen.max(*version),
            None => tracing::warn!(selection = ?self.selection, "unreadable watch event skipped"),
        }
    }

    fn complain(&self, error: &KubeError) {
        tracing::warn!(selection = ?self.selection, %error, "cannot observe");
    }

    async fn pause(&mut self, floor: Option<Duration>) {
        let ports = self.client.ports();
        let wait = self.backoff.next(&*ports.entropy, floor);
        ports.clock.sleep_until(ports.clock.now() + wait).await;
    }

    fn now(&self) -> Mono {
        self.client.ports().clock.now()
    }
}
