//! Keeps one selection of the cache equal to the cluster: list, watch, and again.
//!
//! Every list is consistent, every watch continues where the list or the last watch ended. What
//! loses the continuation leads to a new list: 410, and an event that cannot be read, which would
//! come again and again from the same place. Everything else that goes wrong leads to a new watch
//! from there, after a growing wait. From time to time a new list is made in any case, so that
//! nothing that a watch kept from us is missed for ever.

use std::convert::Infallible;
use std::time::Duration;

use rynxs_core::ids::Kind;
use rynxs_core::time::Mono;

use super::cache::Cache;
use crate::kube::{
    Backoff, KubeClient, KubeError, Selection, WATCH_TIMEOUT_S, WatchError, WatchEvent,
};

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
    /// Time between two lists of an undisturbed reflector.
    resync: Duration,
    resync_at: Mono,
    /// Waits after failed requests.
    backoff: Backoff,
    /// Waits before lists that failed watches lead to.
    relist: Backoff,
}

/// How a watch ended.
enum Ended {
    /// The continuation is lost, for this reason: list again.
    Astray(String),
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
    /// A reflector of one selection, which it lists anew every `resync`.
    #[must_use]
    pub fn new(client: KubeClient, cache: Cache, selection: Selection, resync: Duration) -> Self {
        let backoff = || Backoff::new(BACKOFF_MIN, BACKOFF_MAX);
        let resync_at = client.ports().clock.now();
        let (backoff, relist) = (backoff(), backoff());
        Self { client, cache, selection, resync, resync_at, backoff, relist }
    }

    /// Goes on until dropped.
    pub async fn run(mut self) -> Infallible {
        loop {
            let mut version = self.list_until_listed().await;
            loop {
                if self.now() >= self.resync_at {
                    self.resync(&mut version).await;
                }
                let begun = self.now();
                let ended = self.watch(&mut version).await;
                if self.now() - begun >= HEALTHY {
                    self.backoff.reset();
                    self.relist.reset();
                }
                match ended {
                    Ended::Astray(why) => {
                        tracing::info!(selection = ?self.selection, why, "listing again");
                        let wait = self.relist.next(&*self.client.ports().entropy, None);
                        self.sleep(wait).await;
                        break;
                    }
                    Ended::Regularly if self.now() - begun >= HEALTHY => {}
                    Ended::Regularly if self.now() >= self.resync_at => {}
                    // A server that ends every watch at once must not be asked in a busy loop.
                    Ended::Regularly => self.pause(None).await,
                    Ended::Badly(why) => {
                        tracing::debug!(selection = ?self.selection, why, "watch ended");
                        self.pause(None).await;
                    }
                }
            }
        }
    }

    /// Lists until it succeeds and returns the version to watch from.
    async fn list_until_listed(&mut self) -> u64 {
        loop {
            match self.list().await {
                Ok(version) => return version,
                Err(floor) => self.pause(floor).await,
            }
        }
    }

    /// Lists anew and has everything looked at again. If the server cannot list now, the watch goes
    /// on from where it was.
    async fn resync(&mut self, version: &mut u64) {
        match self.list().await {
            Ok(listed) => {
                *version = listed;
                self.cache.touch_all(&self.selection);
            }
            Err(floor) => {
                self.resync_at = self.now() + floor.unwrap_or_default().max(BACKOFF_MAX);
            }
        }
    }

    /// Lists once; fails with the wait that the server asks for.
    async fn list(&mut self) -> Result<u64, Option<Duration>> {
        let (kind, cache) = (self.selection.kind, &self.cache);
        let mut unreadable = 0_u32;
        let keep = |live| {
            let read = cache.read(kind, &live);
            unreadable += u32::from(read.is_none());
            read
        };
        let list = self.client.list(&self.selection, keep).await.map_err(|error| {
            self.complain(&error);
            error.retry_after()
        })?;
        let Ok(version) = list.resource_version.parse() else {
            let version = list.resource_version;
            tracing::warn!(selection = ?self.selection, version, "not a number: resourceVersion");
            return Err(None);
        };
        if unreadable > 0 {
            tracing::warn!(selection = ?self.selection, unreadable, "objects without identity");
            return Err(None);
        }
        self.cache.replace(&self.selection, list.items, version);
        self.backoff.reset();
        self.resync_at = self.now() + self.resync;
        Ok(version)
    }

    /// Watches from `version`, which moves on with every event.
    async fn watch(&mut self, version: &mut u64) -> Ended {
        let mut stream = match self.client.watch(&self.selection, &version.to_string()).await {
            Ok(stream) => stream,
            Err(error) if error.code() == 410 => return Ended::Astray(error.to_string()),
            Err(error) => {
                self.complain(&error);
                return Ended::Badly(error.to_string());
            }
        };
        // The server ends the watch by itself; a connection that died in silence is given up a
        // little later.
        let patience = Duration::from_secs(u64::from(WATCH_TIMEOUT_S)) + self.client.timeout();
        let deadline = (self.now() + patience).min(self.resync_at);
        loop {
            let Some(next) = self.client.within(deadline, stream.next()).await else {
                return Ended::Regularly;
            };
            match next {
                None => return Ended::Regularly,
                Some(Err(WatchError::Broken(why))) => return Ended::Badly(why),
                Some(Err(error @ (WatchError::TooLong | WatchError::Undecodable(_)))) => {
                    return Ended::Astray(error.to_string());
                }
                Some(Ok(WatchEvent::Ended(status))) => {
                    let why = format!("{} {}", status.code, status.message);
                    let expired = status.code == 410;
                    return if expired { Ended::Astray(why) } else { Ended::Badly(why) };
                }
                Some(Ok(event)) => match self.take(event, *version) {
                    Some(seen) => *version = seen.max(*version),
                    None => return Ended::Astray("an event without identity".to_owned()),
                },
            }
        }
    }

    /// Takes an event in and returns its version; none if it has no readable one. Events come in
    /// the order of their versions; one at or below `version` is a repetition, and could bring back
    /// what was deleted since.
    fn take(&self, event: WatchEvent, version: u64) -> Option<u64> {
        match event {
            WatchEvent::Bookmark(text) => {
                let seen = text.parse().ok()?;
                self.cache.reached(&self.selection, seen);
                Some(seen)
            }
            WatchEvent::Applied(live) => {
                let (object, entry) = self.cache.read(self.selection.kind, &live)?;
                let seen = entry.version;
                if seen > version {
                    self.cache.applied(object, entry);
                }
                Some(seen)
            }
            WatchEvent::Deleted(live) => {
                let (object, entry) = self.cache.read(self.selection.kind, &live)?;
                if entry.version > version {
                    self.cache.deleted(&object, &entry.uid, entry.version);
                }
                Some(entry.version)
            }
            WatchEvent::Ended(_) => None,
        }
    }

    fn complain(&self, error: &KubeError) {
        tracing::warn!(selection = ?self.selection, %error, "cannot observe");
    }

    async fn pause(&mut self, floor: Option<Duration>) {
        let wait = self.backoff.next(&*self.client.ports().entropy, floor);
        self.sleep(wait).await;
    }

    async fn sleep(&self, wait: Duration) {
        let clock = &self.client.ports().clock;
        clock.sleep_until(clock.now() + wait).await;
    }

    fn now(&self) -> Mono {
        self.client.ports().clock.now()
    }
}
