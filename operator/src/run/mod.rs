//! A replica's life: campaign, lead, stop, wait, campaign again.
//!
//! Each term has an identity of its own. When leadership is lost, the guard is closed already; the
//! leader's whole future tree is dropped, G passes in which requests that were under way end, and
//! a cool-down that grows with flapping. The process ends only when it is asked to, when the log
//! is not what it must be, or when the program is wrong.

mod draw;
mod term;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Either, Shared, select};
use rynxs_core::config::{self, Config, ConfigError};
use rynxs_core::election::cooldown::EpochStart;
use rynxs_core::error::ErrorKind;
use rynxs_core::ids::WriterId;

use crate::cooldown::Cooldown;
use crate::guard::Guard;
use crate::kube::Backoff;
use crate::observe::{Observer, Signal};
use crate::ports::Ports;
use crate::store::LogStore;

/// What leading is given.
pub struct Leading {
    /// Identity of this term.
    pub identity: WriterId,
    /// Whether this replica leads, now.
    pub guard: Guard,
    /// Ends when the term is asked to end gracefully.
    pub stop: BoxFuture<'static, ()>,
}

/// How leading ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaderEnd {
    /// As asked. `settled` says whether the log acknowledged everything submitted.
    Stopped {
        /// Whether no append is left open.
        settled: bool,
    },
    /// The guard closed.
    LeadershipLost,
    /// A newer epoch exists.
    Fenced,
    /// An append stayed unknown for too long: the next takeover settles it.
    Undecided,
    /// The installation is wrong; the text says what and how to mend it.
    Config(String),
    /// The log is not what it must be.
    Halted(String),
    /// An invariant of this program is broken.
    Bug(String),
}

/// Leads for one term, when told that it may. Dropping its future abandons the term at once.
pub trait Lead: Send + Sync {
    /// Leads until something ends it.
    fn lead(&self, leading: Leading) -> BoxFuture<'static, LeaderEnd>;
}

impl<F> Lead for F
where
    F: Fn(Leading) -> BoxFuture<'static, LeaderEnd> + Send + Sync,
{
    fn lead(&self, leading: Leading) -> BoxFuture<'static, LeaderEnd> {
        self(leading)
    }
}

/// Why the process must end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Settings that cannot work.
    #[error("the settings cannot work:\n{}", config::list(.0))]
    Config(Vec<ConfigError>),
    /// The log is not what it must be.
    #[error("halted, as the log is not what it must be: {0}")]
    Halted(String),
    /// An invariant of this program is broken.
    #[error("an invariant of this program is broken: {0}")]
    Bug(String),
}

impl RunError {
    /// What the caller must do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_) => ErrorKind::Config,
            Self::Halted(_) => ErrorKind::Corrupt,
            Self::Bug(_) => ErrorKind::Bug,
        }
    }
}

/// What outlives a term.
struct Replica<'a> {
    ports: Ports,
    config: Config,
    observer: Arc<dyn Observer>,
    lead: &'a dyn Lead,
    shutdown: Shared<BoxFuture<'static, ()>>,
    cooldown: Cooldown,
    /// Waits after ends that are the installation's fault.
    trouble: Backoff,
    /// The last term failed for the installation's fault.
    doubtful: bool,
}

/// What follows a term.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    /// Leadership was lost, or the log refused.
    Again,
    /// The installation is wrong: again, ever more slowly.
    Trouble(String),
    /// Asked to stop, and did.
    Done,
    /// The process must end.
    Fail(RunError),
}

/// Runs a replica until `shutdown` ends or the process must end, leading by `lead` over a store
/// that is open.
///
/// # Errors
/// See [`RunError`]; everything else is retried.
pub async fn run_with(
    ports: Ports,
    config: Config,
    observer: Arc<dyn Observer>,
    shutdown: BoxFuture<'static, ()>,
    store: Arc<dyn LogStore>,
    lead: &dyn Lead,
) -> Result<(), RunError> {
    config.validate().map_err(RunError::Config)?;
    let replica = Replica {
        cooldown: Cooldown::new(&config.identity_prefix, &config.leader_election),
        trouble: Backoff::new(config.reconcile.backoff_min, config.reconcile.backoff_max),
        shutdown: shutdown.shared(),
        ports,
        config,
        observer,
        lead,
        doubtful: false,
    };
    replica.live(store).await
}

impl Replica<'_> {
    async fn live(mut self, store: Arc<dyn LogStore>) -> Result<(), RunError> {
        self.observer.signal(Signal::Leading(false));
        self.observer.signal(Signal::Ready(false));
        if !self.recall(&*store).await {
            return Ok(());
        }
        loop {
            let next = self.term().await;
            tracing::debug!(?next, "the term is over");
            let wait = match next {
                Next::Done => return Ok(()),
                Next::Fail(error) => {
                    tracing::error!(%error, "this process cannot go on");
                    return Err(error);
                }
                Next::Again => {
                    self.trouble.reset();
                    self.doubtful = false;
                    self.cooldown.after_loss(self.ports.clock.wall())
                }
                Next::Trouble(why) => {
                    self.doubtful = true;
                    let wait = self.trouble.next(&*self.ports.entropy, None);
                    tracing::error!(why, ?wait, "this replica cannot lead until that is mended");
                    wait
                }
            };
            self.observer.signal(Signal::Ready(false));
            // What was under way when the term ended has this long to end.
            let grace = self.config.leader_election.stop_grace;
            tracing::info!(?grace, cooldown = ?wait, "staying out of the election");
            if !self.pause(grace + wait).await {
                return Ok(());
            }
        }
    }

    /// Looks into the log for this pod's latest terms, which also shows that it can be reached.
    /// False if asked to stop.
    async fn recall(&mut self, store: &dyn LogStore) -> bool {
        loop {
            let recalled = {
                let mut cooldown = self.cooldown.clone();
                let recalling = async move { cooldown.recall(store).await.map(|()| cooldown) };
                match select(std::pin::pin!(recalling), self.shutdown.clone()).await {
                    Either::Left((recalled, _)) => recalled,
                    Either::Right(_) => return false,
                }
            };
            match recalled {
                Ok(cooldown) => {
                    self.cooldown = cooldown;
                    self.trouble.reset();
                    break;
                }
                Err(error) => {
                    let wait = self.trouble.next(&*self.ports.entropy, None);
                    tracing::error!(%error, ?wait, "not ready until the log can be read");
                    if !self.pause(wait).await {
                        return false;
                    }
                }
            }
        }
        let wait = self.cooldown.after_start(self.ports.clock.wall());
        if wait > Duration::ZERO {
            tracing::info!(?wait, "this pod led moments ago: staying out of the election");
        }
        self.pause(wait).await
    }

    /// Waits; false if asked to stop meanwhile. The loop counts as alive.
    async fn pause(&self, span: Duration) -> bool {
        let clock = &self.ports.clock;
        let end = clock.now() + span;
        let beat = self.config.leader_election.retry_period;
        while clock.now() < end {
            let sleep = clock.sleep_until(end.min(clock.now() + beat));
            if let Either::Left(_) = select(self.shutdown.clone(), sleep).await {
                return false;
            }
            self.observer.signal(Signal::ElectionAlive);
        }
        self.shutdown.peek().is_none()
    }

    fn fresh_identity(&self) -> WriterId {
        draw::identity(&self.config.identity_prefix, &*self.ports.entropy)
    }

    fn note_term(&mut self, identity: &WriterId) {
        let at = self.ports.clock.wall();
        self.cooldown.note(EpochStart { identity: identity.clone(), at });
    }
}
