//! The leader's loop: one term, from the first list to the last acknowledged outcome.
//!
//! One future owns all state of the term and is the only one that submits facts to the journal, so
//! nothing here needs a lock. It waits for the first of: the journal's end, an effect's end, a
//! changed object, an acknowledged record, a point in time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, select_biased};
use rynxs_core::config::Config;
use rynxs_core::decide;
use rynxs_core::event::{Event, Verb};
use rynxs_core::ids::{Epoch, Hash, Key, Kind, ObjectRef, Seq};
use rynxs_core::render;
use rynxs_core::resource::children;
use rynxs_core::state::State;
use rynxs_core::time::Mono;
use tracing::Instrument;

use super::effect::{Order, Performed, Tools, perform};
use super::hindrance::Hindrances;
use super::outcome::subject_uid;
use super::repairs::Repairs;
use super::settle::Higher;
use super::statuses::{StatusSent, Statuses};
use super::touched::Touched;
use super::trace::Traces;
use super::work::Work;
use super::{LeaderEnd, Stop};
use crate::informer::{Cache, Reflector};
use crate::journal::{Journal, JournalEnd};
use crate::kube::{EventSink, KubeError, Selection};
use crate::observe::{Queue, Resource, Signal};

/// Most records that may be unacknowledged while new observations are taken in: a full record's
/// events, many times over, and still small beside the objects themselves.
const BACKLOG_RECORDS: u64 = 256;
/// The wall clock may jump: deadlines in wall time are looked at this often at least.
const WALL_CHECK: Duration = Duration::from_secs(30);

/// Everything that one term of leadership holds.
pub(super) struct Term {
    pub(super) tools: Arc<Tools>,
    pub(super) config: Arc<Config>,
    pub(super) journal: Journal,
    pub(super) events: EventSink,
    pub(super) work: Work,
    pub(super) tasks: FuturesUnordered<BoxFuture<'static, Done>>,
    pub(super) statuses: Statuses,
    /// Pending writes that the API server forbids.
    pub(super) hindrances: Hindrances,
    pub(super) repairs: Repairs,
    pub(super) traces: Traces,
    pub(super) selections: Vec<Selection>,
    /// Objects whose observation waits for the end of an effect.
    pub(super) held: BTreeSet<ObjectRef>,
    /// Agents and Sessions that a predecessor may have started: looked at before other Sessions.
    pub(super) first: BTreeSet<ObjectRef>,
    /// Objects to look at again at a time.
    pub(super) later: BTreeSet<(Mono, ObjectRef)>,
    /// Stamped objects that nothing seems to want, until everything listed is decided.
    pub(super) suspects: BTreeSet<ObjectRef>,
    pub(super) touched: Touched,
    /// The newest record of all.
    pub(super) last: Option<Seq>,
    /// Hashes of records, for `status.logHead`.
    pub(super) hashes: BTreeMap<Seq, Hash>,
    /// When work on a subject began.
    pub(super) begun: BTreeMap<ObjectRef, Mono>,
    /// Whether every selection was listed in this term.
    pub(super) listed: bool,
    /// Whether everything listed is decided.
    pub(super) caught_up: bool,
    pub(super) end: Option<LeaderEnd>,
}

/// What a task came back with.
pub(super) enum Done {
    /// An effect ended.
    Effect(Box<Order>, Performed),
    /// A fresh read of an object ended.
    Fresh {
        /// The object.
        object: ObjectRef,
        /// The subject that was held meanwhile.
        subject: ObjectRef,
        /// What the server said.
        live: Result<Option<serde_json::Value>, KubeError>,
    },
    /// The hash of a record was read.
    Hash(Seq, Option<Hash>),
    /// A status carries a higher epoch, and the log was asked whose it is.
    HigherEpoch(ObjectRef, Epoch, Higher),
    /// A status write ended.
    Status(Box<StatusSent>, Result<serde_json::Value, KubeError>),
}

impl Term {
    /// Runs until the term ends; `stop` asks for a graceful end.
    pub(super) async fn run(mut self, stop: Stop) -> LeaderEnd {
        let cache = self.tools.cache.clone();
        let journal = self.journal.clone();
        let events = self.events.clone();
        let mut stop = stop.fuse();
        let mut pump = std::pin::pin!(journal.run().fuse());
        let mut said = std::pin::pin!(events.run().fuse());
        let mut reflectors: FuturesUnordered<_> =
            self.selections.iter().map(|selection| self.reflect(&cache, selection)).collect();
        self.resume();
        let mut stopping: Option<Mono> = None;
        loop {
            self.advance(stopping.is_some());
            if let Some(end) = self.end.take() {
                return end;
            }
            if let Some(deadline) = stopping
                && (self.tasks.is_empty() || self.now() >= deadline)
            {
                return self.settle(pump, deadline).await;
            }
            let mut acked = self.next_ack().fuse();
            let mut alarm = self.alarm(stopping).fuse();
            let deaf = stopping.is_some() || self.is_backlogged();
            let mut changed = std::pin::pin!(next_change(&cache, deaf).fuse());
            let mut listed = std::pin::pin!(next_list(&cache, self.listed).fuse());
            let wake = select_biased! {
                end = pump => Wake::Journal(end),
                () = stop => Wake::Stop,
                done = self.tasks.select_next_some() => Wake::Done(done),
                () = acked => Wake::Time,
                () = alarm => Wake::Time,
                object = changed => Wake::Changed(object),
                () = listed => Wake::Time,
                never = said => match never {},
                never = reflectors.select_next_some() => match never {},
            };
            match wake {
                Wake::Journal(end) => return end.into(),
                Wake::Stop => {
                    tracing::info!(in_flight = self.tasks.len(), "asked to stop: draining");
                    stopping = Some(self.now() + self.config.shutdown_timeout);
                }
                Wake::Done(done) => self.finish(done),
                Wake::Changed(object) => self.look(&object),
                Wake::Time => {}
            }
        }
    }

    fn reflect(
        &self,
        cache: &Cache,
        selection: &Selection,
    ) -> BoxFuture<'static, std::convert::Infallible> {
        let (kube, resync) = (self.tools.kube.clone(), self.config.reconcile.resync);
        Reflector::new(kube, cache.clone(), selection.clone(), resync).run().boxed()
    }

    /// What earlier terms decided and did not finish is planned first.
    fn resume(&mut self) {
        let pending: Vec<ObjectRef> =
            self.journal.with_state(|state| state.pending_subjects().cloned().collect());
        if !pending.is_empty() {
            tracing::info!(subjects = pending.len(), "going on with what was decided before");
        }
        for subject in pending {
            self.plan(&subject);
        }
    }

    /// Everything that can be done without waiting.
    fn advance(&mut self, stopping: bool) {
        self.note_head();
        if let Some(acked) = self.journal.acked() {
            self.note_acked(acked);
            self.statuses.acknowledge(acked);
            self.touched.acknowledge(acked);
        }
        if stopping {
            return;
        }
        let now = self.now();
        self.work.elapse(now);
        self.note_lists();
        self.look_later(now);
        self.fire_timers();
        self.catch_up();
        self.start_effects();
        self.write_statuses(now);
    }

    /// What waited for its record may start.
    fn note_acked(&mut self, acked: Seq) {
        for (seq, subject) in self.work.acknowledge(acked) {
            let trace = self.traces.of(&subject, &*self.tools.kube.ports().entropy);
            tracing::debug!(trace_id = %trace, %subject, seq = seq.0, "the log holds it");
        }
    }

    /// Starts as many effects as may run at once. None before everything was listed: writes to
    /// known objects then need no read of their own.
    fn start_effects(&mut self) {
        let limit = self.config.reconcile.concurrency as usize;
        while self.listed && self.end.is_none() && self.work.in_flight() < limit {
            let held = &self.held;
            let journal = &self.journal;
            // An Agent whose observation waits must not wait for ever behind its sessions.
            let skip = |subject: &ObjectRef| {
                !held.is_empty()
                    && subject.kind == Kind::Session
                    && journal.with_state(|state| {
                        state.session(&subject.key).is_some_and(|session| {
                            held.contains(&children::agent(&session.agent_key(&subject.key)))
                        })
                    })
            };
            let Some(subject) = self.work.next_ready(skip) else { break };
            self.start(&subject);
        }
        self.tools.observer.signal(Signal::QueueDepth(Queue::Reconcile, self.work.len()));
    }

    fn start(&mut self, subject: &ObjectRef) {
        let order = self.journal.with_state(|state| order(state, subject));
        match order {
            Ok(Some(order)) => {
                let trace = self.traces.of(subject, &*self.tools.kube.ports().entropy);
                let span = tracing::info_span!(
                    "effect",
                    trace_id = %trace,
                    object = %order.pending.action.object,
                    verb = ?order.pending.action.verb,
                    decision = order.decision().0,
                    epoch = self.tools.leadership.epoch().0,
                );
                let tools = self.tools.clone();
                let effect = async move {
                    let performed = perform(&tools, &order).await;
                    Done::Effect(Box::new(order), performed)
                };
                self.tasks.push(effect.instrument(span).boxed());
            }
            Ok(None) => {
                self.work.done(subject);
                self.plan(subject);
            }
            Err(error) => {
                self.work.done(subject);
                self.end =
                    Some(LeaderEnd::Bug(format!("a decided action cannot be rendered: {error}")));
            }
        }
    }

    /// Decides when the subject's next action may start.
    pub(super) fn plan(&mut self, subject: &ObjectRef) {
        let next = self.journal.with_state(|state| {
            state.pending(subject).first().map(|p| (p.decision, p.action.verb))
        });
        let Some((decision, verb)) = next else {
            if !self.work.is_in_flight(subject) {
                self.work.idle(subject);
                self.conclude(subject);
            }
            return;
        };
        self.begun.entry(subject.clone()).or_insert(self.tools.kube.ports().clock.now());
        // An activation needs the record of what was created: a Job that runs and is not known to
        // the log could be created twice.
        let touched = self.touched.of(subject).unwrap_or(decision);
        let needed = if verb == Verb::Activate { decision.max(touched) } else { decision };
        if self.journal.acked().is_some_and(|acked| needed <= acked) {
            self.work.ready(subject);
        } else {
            self.work.await_record(subject, needed);
        }
    }

    /// A subject has nothing pending: its status is due, and its work is measured.
    fn conclude(&mut self, subject: &ObjectRef) {
        if let Some(begun) = self.begun.remove(subject) {
            let took = self.now() - begun;
            let resource = Resource::of(subject.kind);
            self.tools.observer.signal(Signal::Reconciled { resource, took });
        }
        self.hindrances.clear(subject);
        self.statuses.mark(subject);
        // A subject that is no more has no status whose writing could end its trace.
        if self.journal.with_state(|state| subject_uid(state, subject).is_none()) {
            self.traces.end(subject);
        }
    }

    /// The status is written: the trace ends, unless there is more to do.
    pub(super) fn end_trace(&mut self, subject: &ObjectRef) {
        if self.journal.with_state(|state| state.pending(subject).is_empty()) {
            self.traces.end(subject);
        }
    }

    /// Submits facts about a subject and plans everybody whom their decisions may concern.
    pub(super) fn record(&mut self, subject: &ObjectRef, facts: Vec<Event>) -> Option<Seq> {
        let mut agents = BTreeSet::new();
        // An outcome gives nothing up.
        let supersedes = !facts.iter().any(is_outcome);
        let claimed = self.journal.with_state(|state| {
            agents.extend(agent_of(state, subject));
            let sessions = agents.iter().flat_map(|agent| state.running_sessions(agent));
            let subjects = sessions.map(children::session).chain([subject.clone()]);
            let objects = subjects.flat_map(|subject| children::of(&subject));
            let claimed = objects.filter(|object| is_claimed(state, object));
            let written = |object: &ObjectRef| supersedes && decide::owner_writes(state, object);
            claimed.map(|object| (written(&object), object)).collect()
        });
        let seq = match self.journal.record(facts) {
            Ok(seq) => seq,
            Err(closed) => {
                // The pump ends in the same moment and says why.
                tracing::debug!(%closed, "the journal takes no more facts");
                return None;
            }
        };
        self.touched.note(subject, seq);
        self.last = Some(seq);
        let concerned: Vec<ObjectRef> = self.journal.with_state(|state| {
            agents.extend(agent_of(state, subject));
            let sessions = agents.iter().flat_map(|agent| state.running_sessions(agent));
            sessions.map(children::session).filter(|session| session != subject).collect()
        });
        self.look_at_given_up(claimed);
        let trace = self.traces.of(subject, &*self.tools.kube.ports().entropy);
        self.plan(subject);
        for session in concerned {
            if self.journal.with_state(|state| !state.pending(&session).is_empty()) {
                self.traces.join(&session, trace);
            }
            self.plan(&session);
        }
        Some(seq)
    }

    /// Looks at what was a subject's and no longer is, and at what it was about to write and no
    /// longer is. Whatever was seen of it meanwhile was left to the subject; and the write may have
    /// been made already, by a leader that died before it said so, or without an answer that did.
    fn look_at_given_up(&self, mut claimed: Vec<(bool, ObjectRef)>) {
        self.journal.with_state(|state| {
            claimed.retain(|(written, object)| {
                !is_claimed(state, object) || *written && !decide::owner_writes(state, object)
            });
        });
        for (_, object) in claimed {
            self.tools.cache.touch(object);
        }
    }

    /// Whether the log is so far behind that new observations should wait.
    fn is_backlogged(&self) -> bool {
        let acked = self.journal.acked().map_or(0, |seq| seq.0);
        self.journal.head().0.saturating_sub(acked) > BACKLOG_RECORDS
    }

    /// Ends when the next record that somebody waits for is acknowledged.
    fn next_ack(&self) -> BoxFuture<'static, ()> {
        let head = self.journal.head().0;
        let backlog = self.is_backlogged().then(|| Seq(head.saturating_sub(BACKLOG_RECORDS)));
        let awaited = [self.work.awaited(), self.statuses.awaited(), backlog];
        let awaited = awaited.into_iter().flatten().min();
        let journal = self.journal.clone();
        async move {
            match awaited {
                // A closed journal is the pump's to report.
                Some(seq) if journal.wait_acked(seq).await.is_ok() => {}
                _ => futures::future::pending().await,
            }
        }
        .boxed()
    }

    /// Ends at the next point in time at which something is due; once asked to stop, that is only
    /// the end of its patience.
    fn alarm(&self, stopping: Option<Mono>) -> BoxFuture<'static, ()> {
        if let Some(deadline) = stopping {
            return self.tools.kube.ports().clock.sleep_until(deadline);
        }
        let now = self.now();
        let times = [
            self.work.wakes_at(),
            self.statuses.wakes_at(),
            self.later.first().map(|(at, _)| *at),
            self.next_timer(),
        ];
        let first = times.into_iter().flatten().min().unwrap_or(now + WALL_CHECK);
        self.tools.kube.ports().clock.sleep_until(first)
    }

    /// When the next logged deadline is due, on the monotonic clock.
    fn next_timer(&self) -> Option<Mono> {
        let wall = self.tools.kube.ports().clock.wall().0;
        let due = self.journal.with_state(|state| state.timers().next().map(|(due, ..)| due))?;
        // A deadline that is due but not fired waits for an effect's end, which wakes the loop.
        let wait = Duration::from_millis(due.saturating_sub(wall)).min(WALL_CHECK);
        Some(self.now() + wait.max(Duration::from_millis(100)))
    }

    /// After the last effect: the log settles what was submitted, within the same bound.
    async fn settle(
        self,
        mut pump: std::pin::Pin<&mut futures::future::Fuse<impl Future<Output = JournalEnd>>>,
        deadline: Mono,
    ) -> LeaderEnd {
        let clock = &self.tools.kube.ports().clock;
        let Some(last) = self.last else {
            return LeaderEnd::Stopped { settled: true };
        };
        let mut settled = self.journal.wait_acked(last).fuse();
        let mut late = clock.sleep_until(deadline).fuse();
        select_biased! {
            end = pump => end.into(),
            answer = settled => LeaderEnd::Stopped { settled: answer.is_ok() },
            () = late => LeaderEnd::Stopped { settled: false },
        }
    }

    pub(super) fn now(&self) -> Mono {
        self.tools.kube.ports().clock.now()
    }
}

/// The next object that changed; never while nothing may be taken in.
async fn next_change(cache: &Cache, deaf: bool) -> ObjectRef {
    if deaf { futures::future::pending().await } else { cache.changed().await }
}

/// The next selection that is listed for the first time; never once all are.
async fn next_list(cache: &Cache, listed: bool) {
    if listed { futures::future::pending().await } else { cache.listed_beyond(cache.lists()).await }
}

enum Wake {
    Journal(JournalEnd),
    Stop,
    Done(Done),
    Changed(ObjectRef),
    Time,
}

/// The subject's first pending action with everything that carrying it out needs.
fn order(state: &State, subject: &ObjectRef) -> Result<Option<Order>, render::RenderError> {
    let Some(pending) = state.pending(subject).first() else { return Ok(None) };
    let manifest = match pending.action.verb {
        Verb::Delete | Verb::DeleteExpired => None,
        Verb::Create | Verb::Update | Verb::Activate => {
            Some(render::manifest(state, subject, &pending.action)?)
        }
    };
    let written = state.object(&pending.action.object).map(|known| known.uid.clone());
    let uid = match pending.action.verb {
        Verb::Create => None,
        Verb::DeleteExpired => Some(pending.subject_uid.clone()),
        Verb::Update | Verb::Activate | Verb::Delete => pending.action.uid.clone().or(written),
    };
    Ok(Some(Order {
        subject: subject.clone(),
        stamp: state.stamp(pending.decision),
        pending: pending.clone(),
        manifest,
        uid,
    }))
}

/// Whether its subject has written the object, or is about to.
fn is_claimed(state: &State, object: &ObjectRef) -> bool {
    state.object(object).is_some() || decide::owner_writes(state, object)
}

fn is_outcome(fact: &Event) -> bool {
    matches!(fact, Event::ActionApplied { .. } | Event::ActionFailed { .. })
}

/// The Agent whose sessions a fact about this subject may concern.
fn agent_of(state: &State, subject: &ObjectRef) -> Option<Key> {
    match subject.kind {
        Kind::Agent => Some(subject.key.clone()),
        Kind::Session => Some(state.session(&subject.key)?.agent_key(&subject.key)),
        _ => None,
    }
}
