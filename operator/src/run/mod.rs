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
    /// The log, opened for this term.
    pub store: Arc<dyn LogStore>,
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

/// Opens the log, and leads for one term when told that it may.
pub trait Lead: Send + Sync {
    /// Opens the log for a term. Nothing of an earlier term has it open any more.
    fn open(&self) -> BoxFuture<'static, Result<Arc<dyn LogStore>, Closed>>;

    /// Leads until something ends it. Dropping the future abandons the term at once.
    fn lead(&self, leading: Leading) -> BoxFuture<'static, LeaderEnd>;
}

/// The log could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Closed {
    /// What to do about it: `Corrupt` and `Bug` end the process, anything else is tried again.
    pub kind: ErrorKind,
    /// What is wrong and how to mend it.
    pub message: String,
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
    /// The log was looked at for earlier terms of this pod.
    recalled: bool,
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

/// Runs a replica until `shutdown` ends or the process must end, leading by `lead`.
///
/// # Errors
/// See [`RunError`]; everything else is retried.
pub async fn run_with(
    ports: Ports,
    config: Config,
    observer: Arc<dyn Observer>,
    shutdown: BoxFuture<'static, ()>,
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
        recalled: false,
    };
    replica.live().await
}

impl Replica<'_> {
    async fn live(mut self) -> Result<(), RunError> {
        self.observer.signal(Signal::Leading(false));
        self.observer.signal(Signal::Ready(false));
        loop {
            let next = match self.prepare().await {
                Ok(store) => self.term(store).await,
                Err(next) => next,
            };
            tracing::debug!(?next, "the term is over");
            self.observer.signal(Signal::Ready(false));
            let stay_out = match next {
                Next::Done => return Ok(()),
                Next::Fail(error) => {
                    tracing::error!(%error, "this process cannot go on");
                    return Err(error);
                }
                Next::Again => {
                    self.trouble.reset();
                    self.doubtful = false;
                    self.grace() + self.cooldown.after_loss(self.ports.clock.wall())
                }
                Next::Trouble(why) => {
                    self.doubtful = true;
                    let wait = self.grace() + self.trouble.next(&*self.ports.entropy, None);
                    tracing::error!(why, again_in = ?wait, "not ready until that is mended");
                    wait
                }
            };
            tracing::info!(?stay_out, "staying out of the election");
            if !self.pause(stay_out).await {
                return Ok(());
            }
        }
    }

    /// What was under way when a term ended has this long to end.
    fn grace(&self) -> Duration {
        self.config.leader_election.stop_grace
    }

    /// Opens the log; the first time also looks into it for this pod's latest terms, which shows
    /// that it can be reached.
    async fn prepare(&mut self) -> Result<Arc<dyn LogStore>, Next> {
        // A large log takes as long to open as its bytes take to be read and verified.
        let opened = self.alive(self.lead.open()).await.ok_or(Next::Done)?;
        let store = opened.map_err(|closed| match closed.kind {
            ErrorKind::Corrupt => Next::Fail(RunError::Halted(closed.message)),
            ErrorKind::Bug => Next::Fail(RunError::Bug(closed.message)),
            _ => Next::Trouble(closed.message),
        })?;
        if !self.recalled {
            self.recall(&*store).await?;
            self.recalled = true;
        }
        Ok(store)
    }

    async fn recall(&mut self, store: &dyn LogStore) -> Result<(), Next> {
        let mut cooldown = self.cooldown.clone();
        let recalled = self.alive(cooldown.recall(store).boxed()).await.ok_or(Next::Done)?;
        recalled.map_err(|error| Next::Trouble(error.to_string()))?;
        self.cooldown = cooldown;
        let wait = self.cooldown.after_start(self.ports.clock.wall());
        if wait > Duration::ZERO {
            tracing::info!(?wait, "this pod led moments ago: staying out of the election");
        }
        if self.pause(wait).await { Ok(()) } else { Err(Next::Done) }
    }

    /// Waits; false if asked to stop meanwhile.
    async fn pause(&self, span: Duration) -> bool {
        let clock = &self.ports.clock;
        self.alive(clock.sleep_until(clock.now() + span)).await.is_some()
    }

    /// Waits for what takes its time; none if asked to stop meanwhile. The loop counts as alive: a
    /// probe that took it for stuck would only have it begin anew.
    async fn alive<T>(&self, mut waiting: BoxFuture<'_, T>) -> Option<T> {
        let clock = &self.ports.clock;
        let mut shutdown = self.shutdown.clone();
        loop {
            self.observer.signal(Signal::ElectionAlive);
            let beat = clock.sleep_until(clock.now() + self.config.leader_election.retry_period);
            let stop_or_beat = select(&mut shutdown, beat);
            match select(stop_or_beat, waiting.as_mut()).await {
                Either::Left((Either::Left(_), _)) => return None,
                Either::Left((Either::Right(_), _)) => {}
                Either::Right((output, _)) => return Some(output),
            }
        }
    }

    fn fresh_identity(&self) -> WriterId {
        draw::identity(&self.config.identity_prefix, &*self.ports.entropy)
    }

    fn note_term(&mut self, identity: &WriterId) {
        let at = self.ports.clock.wall();
        self.cooldown.note(EpochStart { identity: identity.clone(), at });
    }
}
