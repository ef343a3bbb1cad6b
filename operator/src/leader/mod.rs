//! What a leader does: from the won Lease to the last acknowledged outcome.
//!
//! List what the cluster carries, take the log over, list again and watch, record what is news,
//! carry out what is decided, record what came of it. No side effect and no observation before the
//! `EpochStarted` record is acknowledged; every effect between two looks at the guard (I4, I5).

mod effect;
mod end;
mod hindrance;
mod observe;
mod outcome;
mod repairs;
mod settle;
mod statuses;
mod survey;
mod term;
mod touched;
mod trace;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{BoxFuture, Shared};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, select_biased};
use rynxs_core::config::Config;
use rynxs_core::genesis::ClusterStamps;
use rynxs_core::ids::{Epoch, WriterId};
use rynxs_core::projection;

pub use end::LeaderEnd;
pub use survey::{SurveyError, survey};

use crate::guard::Guard;
use crate::informer::{Cache, selections};
use crate::journal::Journal;
use crate::kube::{Backoff, EventSink, KubeClient, Selection};
use crate::leadership::Leadership;
use crate::observe::Observer;
use crate::ports::Ports;
use crate::store::LogStore;
use crate::takeover::{Claim, take_over};

/// Longest wait between two attempts of the first look: nothing is led before it succeeds.
const SURVEY_AGAIN: Duration = Duration::from_secs(5);

/// Everything that one term needs.
pub struct LeaderContext {
    /// The way out.
    pub ports: Ports,
    /// Settings.
    pub config: Arc<Config>,
    /// The API server.
    pub kube: KubeClient,
    /// Where the log is.
    pub store: Arc<dyn LogStore>,
    /// Whether this replica leads, now.
    pub guard: Guard,
    /// Identity of this term.
    pub identity: WriterId,
    /// Takes note of what happens.
    pub observer: Arc<dyn Observer>,
    /// Ends when the term is asked to end gracefully.
    pub stop: Stop,
}

/// Asks for a graceful end; `future.boxed().shared()` makes one.
pub type Stop = Shared<BoxFuture<'static, ()>>;

/// Leads for one term. Dropping the future abandons it at once, which is safe at any point.
pub async fn lead(context: LeaderContext) -> LeaderEnd {
    let selections = selections(&context.config.namespaces);
    let parts = Parts { context, selections };
    let journal = match parts.prepare().await {
        Ok(journal) => journal,
        Err(end) => return end,
    };
    match parts.term(journal) {
        Ok(term) => term.run(parts.context.stop.clone()).await,
        Err(end) => end,
    }
}

struct Parts {
    context: LeaderContext,
    selections: Vec<Selection>,
}

impl Parts {
    /// From the won Lease to an acknowledged `EpochStarted`.
    async fn prepare(&self) -> Result<Journal, LeaderEnd> {
        let context = &self.context;
        let mut stop = context.stop.clone().fuse();
        let (appending, stopping) = (AtomicBool::new(false), AtomicBool::new(false));
        let is_valid = || context.guard.check(context.ports.clock.now()).is_ok();
        let may_lead = || is_valid() && !stopping.load(Ordering::SeqCst);
        let mut taking_over = std::pin::pin!(
            async {
                let seen = self.survey().await?;
                let claim = Claim {
                    ports: &context.ports,
                    observer: &context.observer,
                    config: &context.config,
                    identity: &context.identity,
                    seen: &seen,
                    appending: &appending,
                };
                take_over(claim, &context.store, &may_lead).await.map_err(LeaderEnd::from)
            }
            .fuse()
        );
        select_biased! {
            result = taking_over => return result,
            () = stop => {}
        }
        if appending.load(Ordering::SeqCst) {
            // What is under way is waited for, and nothing else is begun: a Lease that is given up
            // after that costs a successor nothing, one that is left to run out a whole lease.
            stopping.store(true, Ordering::SeqCst);
            match taking_over.await {
                Err(LeaderEnd::LeadershipLost) if is_valid() => {}
                result => return result,
            }
        }
        Err(LeaderEnd::Stopped { settled: true })
    }

    /// The first look, again and again until it succeeds: an API server that cannot list now is no
    /// reason to give the Lease up, another replica would fare no better.
    async fn survey(&self) -> Result<ClusterStamps, LeaderEnd> {
        let context = &self.context;
        let clock = &context.ports.clock;
        let mut stamps = ClusterStamps::new();
        for selection in &self.selections {
            let mut backoff = Backoff::new(context.config.reconcile.backoff_min, SURVEY_AGAIN);
            loop {
                if context.guard.check(clock.now()).is_err() {
                    return Err(LeaderEnd::LeadershipLost);
                }
                let floor = match survey(&context.kube, selection, &mut stamps).await {
                    Ok(()) => break,
                    Err(SurveyError::Stamp(error)) => {
                        return Err(LeaderEnd::Config(error.to_string()));
                    }
                    Err(SurveyError::Kube(error)) => {
                        tracing::warn!(%error, "cannot list what the cluster carries");
                        error.retry_after()
                    }
                };
                let wait = backoff.next(&*context.ports.entropy, floor);
                clock.sleep_until(clock.now() + wait).await;
            }
        }
        Ok(stamps)
    }

    fn term(&self, journal: Journal) -> Result<term::Term, LeaderEnd> {
        let (log, epoch) = journal
            .with_state(|state| (state.log().cloned(), state.epoch().map(|epoch| epoch.epoch)));
        let (Some(log), Some(epoch)) = (log, epoch) else {
            return Err(LeaderEnd::Bug("a log was taken over that has no epoch".to_owned()));
        };
        Ok(self.assemble(journal, log, epoch))
    }

    fn assemble(
        &self,
        journal: Journal,
        log: rynxs_core::state::LogInfo,
        epoch: Epoch,
    ) -> term::Term {
        let context = &self.context;
        let reconcile = &context.config.reconcile;
        let leadership = Leadership::new(
            context.guard.clone(),
            context.ports.clock.clone(),
            context.observer.clone(),
            epoch,
        );
        let tools = effect::Tools {
            kube: context.kube.clone(),
            cache: Cache::new(projection::hash_live, context.observer.clone()),
            leadership: leadership.clone(),
            observer: context.observer.clone(),
            view: settle::LogView {
                journal: journal.clone(),
                store: context.store.clone(),
                base: log.base,
            },
            log,
        };
        let reporter = context.identity.to_string();
        term::Term {
            tools: Arc::new(tools),
            config: context.config.clone(),
            journal,
            events: EventSink::new(context.kube.clone(), leadership, reporter),
            work: work::Work::new(reconcile.backoff_min, reconcile.backoff_max),
            tasks: FuturesUnordered::new(),
            statuses: statuses::Statuses::default(),
            hindrances: hindrance::Hindrances::default(),
            repairs: repairs::Repairs::new(reconcile.backoff_min, reconcile.backoff_max),
            traces: trace::Traces::default(),
            selections: self.selections.clone(),
            held: BTreeSet::new(),
            first: BTreeSet::new(),
            later: BTreeSet::new(),
            suspects: BTreeSet::new(),
            touched: touched::Touched::default(),
            hashes: BTreeMap::new(),
            last: None,
            begun: BTreeMap::new(),
            listed: false,
            caught_up: false,
            end: None,
        }
    }
}
