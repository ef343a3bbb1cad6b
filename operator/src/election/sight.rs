//! The watched Lease: what it looks like, whenever it changes.
//!
//! List, watch from there, list again when the watch expired. A standby hears of a release in one
//! round trip and needs no polling. A sight may be late or lost: the machine does not rely on it
//! for safety, only for speed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use futures::stream::{BoxStream, StreamExt, unfold};
use rynxs_core::election::LeaseView;

use crate::kube::lease::{Leases, parse};
use crate::kube::{Backoff, WatchEvent, WatchStream};
use crate::ports::{Clock, Entropy, Ports};

/// First wait after a failure.
const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// One look at the Lease.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sight {
    /// It is there.
    Lease(LeaseView),
    /// It is not.
    Missing {
        /// Version of the deletion or of the list.
        resource_version: String,
    },
    /// The API server does not let us see it now.
    Blind,
    /// It is watched again, and did not change meanwhile so far as is known.
    Unchanged,
}

struct Watcher {
    leases: Leases,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    backoff: Backoff,
    /// Where a watch goes on; none asks for a list.
    from: Option<String>,
    watch: Option<WatchStream>,
    seen: VecDeque<Sight>,
    blind: bool,
}

/// Looks without an end.
pub(super) fn sights(
    leases: Leases,
    ports: &Ports,
    slowest: Duration,
) -> BoxStream<'static, Sight> {
    let watcher = Watcher {
        leases,
        clock: ports.clock.clone(),
        entropy: ports.entropy.clone(),
        backoff: Backoff::new(BACKOFF_MIN, slowest),
        from: None,
        watch: None,
        seen: VecDeque::new(),
        blind: false,
    };
    unfold(watcher, |mut watcher| async {
        let sight = watcher.next().await;
        Some((sight, watcher))
    })
    .boxed()
}

impl Watcher {
    async fn next(&mut self) -> Sight {
        loop {
            if let Some(sight) = self.seen.pop_front() {
                return sight;
            }
            match (&self.from, self.watch.is_some()) {
                (None, _) => self.list().await,
                (Some(_), false) => self.open().await,
                (Some(_), true) => self.read().await,
            }
        }
    }

    fn see(&mut self, sight: Sight) {
        self.blind = sight == Sight::Blind;
        self.seen.push_back(sight);
    }

    async fn list(&mut self) {
        match self.leases.list().await {
            Ok(list) => {
                let resource_version = list.resource_version.clone();
                self.from = Some(list.resource_version);
                self.see(match list.lease {
                    Some(view) => Sight::Lease(view),
                    None => Sight::Missing { resource_version },
                });
            }
            Err(error) => self.fail(&error.to_string(), error.retry_after()).await,
        }
    }

    async fn open(&mut self) {
        let from = self.from.clone().unwrap_or_default();
        match self.leases.watch(&from).await {
            Ok(watch) => {
                self.watch = Some(watch);
                if self.blind {
                    self.see(Sight::Unchanged);
                }
            }
            Err(error) => {
                if error.code() == 410 {
                    self.from = None;
                }
                self.fail(&error.to_string(), error.retry_after()).await;
            }
        }
    }

    /// Reads until the first sight, or the end of the watch.
    async fn read(&mut self) {
        let opened = self.clock.now();
        let deadline = opened + self.leases.watch_patience();
        while self.seen.is_empty() {
            let Some(watch) = &mut self.watch else { return };
            let silence = self.clock.sleep_until(deadline);
            let event = match select(std::pin::pin!(watch.next()), silence).await {
                Either::Left((event, _)) => event,
                Either::Right(((), _)) => None,
            };
            match event {
                Some(Ok(event)) => self.hear(event),
                // The server ended it: open it anew, but never in a busy loop.
                None => {
                    self.watch = None;
                    if self.clock.now() - opened < BACKOFF_MIN {
                        self.pause(None).await;
                    }
                }
                Some(Err(error)) => {
                    self.watch = None;
                    tracing::debug!(%error, "the watch of the Lease ended");
                    self.pause(None).await;
                }
            }
        }
    }

    fn hear(&mut self, event: WatchEvent) {
        self.backoff.reset();
        let sight = match event {
            WatchEvent::Bookmark(version) => {
                self.from = Some(version);
                return;
            }
            WatchEvent::Applied(lease) => parse(lease).map(Sight::Lease),
            WatchEvent::Deleted(lease) => {
                parse(lease).map(|view| Sight::Missing { resource_version: view.resource_version })
            }
            WatchEvent::Ended(refusal) => {
                tracing::debug!(code = refusal.code, "the watch of the Lease expired");
                (self.from, self.watch) = (None, None);
                return;
            }
        };
        match sight {
            Ok(sight) => {
                if let Sight::Lease(LeaseView { resource_version, .. })
                | Sight::Missing { resource_version } = &sight
                {
                    self.from = Some(resource_version.clone());
                }
                self.see(sight);
            }
            Err(why) => {
                tracing::warn!(why, "a watch event of the Lease cannot be read: listing it");
                (self.from, self.watch) = (None, None);
            }
        }
    }

    async fn fail(&mut self, error: &str, retry_after: Option<Duration>) {
        tracing::warn!(error, "cannot watch the Lease");
        if self.blind {
            self.pause(retry_after).await;
        } else {
            self.see(Sight::Blind);
        }
    }

    async fn pause(&mut self, floor: Option<Duration>) {
        let wait = self.backoff.next(&*self.entropy, floor);
        self.clock.sleep_until(self.clock.now() + wait).await;
    }
}
