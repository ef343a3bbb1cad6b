//! The loop that drives the election machine over the ports.
//!
//! `rynxs_core::election` decides; this sends its requests, feeds it what the watch shows, wakes it
//! when it asks to, and keeps the guard in step: a guard is closed in the same call in which the
//! machine says so, before any await. Owns the operator's half of I7.

mod sight;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, pending};
use futures::stream::{BoxStream, Fuse};
use futures::{FutureExt, StreamExt, select_biased};
use rynxs_core::config::LeaderElection;
use rynxs_core::election::{
    Action, Answer, AttemptId, End, Failure, Happening, Input, LeaseWrite, Phase, Settings, State,
    step,
};
use rynxs_core::ids::WriterId;
use rynxs_core::time::Mono;

use self::sight::{Sight, sights};
use crate::guard::Guard;
use crate::kube::KubeClient;
use crate::kube::lease::{Leases, answer};
use crate::observe::{ElectionFailure, Observer, Signal};
use crate::ports::Ports;

/// One term's election. Its methods can be dropped and called again at any point.
pub struct Election {
    ports: Ports,
    observer: Arc<dyn Observer>,
    leases: Leases,
    /// None only within a step.
    state: Option<State>,
    heartbeat: Duration,
    request: Option<(AttemptId, BoxFuture<'static, Answer>)>,
    sights: Fuse<BoxStream<'static, Sight>>,
    guard: Option<Guard>,
    /// Whether the observer was last told that this replica leads.
    told_leading: bool,
    changes: Vec<Change>,
    /// The holder that was last told of.
    told_holder: Option<WriterId>,
    /// A standby is ready while it sees the Lease.
    ready: bool,
    /// Not before it has seen another replica lead: this one could not, lately.
    doubtful: bool,
}

/// What ended a wait.
enum Heard {
    Answer(AttemptId, Answer),
    Sight(Sight),
    Nothing,
}

/// A turn in a term's election.
#[derive(Clone, Debug)]
pub enum Change {
    /// This replica leads for as long as the guard says.
    Leading(Guard),
    /// The term is over; the guard is closed already.
    Ended(End),
}

impl Election {
    /// A term under a fresh identity. `doubtful` keeps a standby from calling itself ready before
    /// another replica leads.
    #[must_use]
    pub fn new(
        ports: &Ports,
        observer: Arc<dyn Observer>,
        settings: &LeaderElection,
        identity: WriterId,
        doubtful: bool,
    ) -> Self {
        let kube = KubeClient::new(ports.clone(), observer.clone(), settings.request_timeout);
        let leases = Leases::new(kube, &settings.namespace, &settings.lease_name);
        Self {
            ports: ports.clone(),
            sights: sights(leases.clone(), ports, settings.retry_period).fuse(),
            observer,
            leases,
            state: Some(State::new(Settings::new(settings, identity))),
            heartbeat: settings.retry_period,
            request: None,
            guard: None,
            told_leading: false,
            changes: Vec::new(),
            told_holder: None,
            ready: false,
            doubtful,
        }
    }

    fn state(&self) -> &State {
        self.state.as_ref().expect("a state is put back at the end of each step")
    }

    /// Drives the election until something changes. Pending for ever after the end.
    pub async fn next(&mut self) -> Change {
        loop {
            if !self.changes.is_empty() {
                return self.changes.remove(0);
            }
            if matches!(self.state().phase(), Phase::Ended(_)) {
                return pending().await;
            }
            let happening = self.wait().await;
            self.observer.signal(Signal::ElectionAlive);
            if let Some(happening) = happening {
                self.step(happening);
            }
        }
    }

    /// Gives the Lease up and waits until that is settled, or as settled as it gets. Call it only
    /// when everything that led has stopped and the last append is settled.
    pub async fn release(&mut self) -> End {
        self.step(Happening::Release);
        loop {
            if let Change::Ended(end) = self.next().await {
                return end;
            }
        }
    }

    /// Waits for the next thing to tell the machine.
    async fn wait(&mut self) -> Option<Happening> {
        let clock = self.ports.clock.clone();
        let beat = clock.now() + self.heartbeat;
        let wake = self.state().wake_at().map_or(beat, |wake| wake.min(beat));
        let heard = {
            let request = &mut self.request;
            let answered = async {
                match request {
                    Some((id, future)) => (*id, future.await),
                    None => pending().await,
                }
            };
            let mut answered = std::pin::pin!(answered.fuse());
            let mut awake = clock.sleep_until(wake).fuse();
            select_biased! {
                (id, answer) = answered => Heard::Answer(id, answer),
                sight = self.sights.select_next_some() => Heard::Sight(sight),
                () = awake => Heard::Nothing,
            }
        };
        match heard {
            Heard::Answer(id, answer) => {
                self.request = None;
                Some(Happening::Answered { id, answer })
            }
            Heard::Sight(sight) => {
                self.tell_readiness(&sight);
                match sight {
                    Sight::Lease(view) => Some(Happening::Observed(view)),
                    Sight::Missing { resource_version } => {
                        Some(Happening::Missing { resource_version: Some(resource_version) })
                    }
                    Sight::Blind | Sight::Unchanged => None,
                }
            }
            Heard::Nothing => Some(Happening::Tick),
        }
    }

    fn step(&mut self, what: Happening) {
        let state = self.state.take().expect("a state is put back at the end of each step");
        let mut bytes = [0; 8];
        self.ports.entropy.fill(&mut bytes);
        let random = u64::from_le_bytes(bytes);
        let input = Input { what, wall: self.ports.clock.wall(), random };
        // Read last: what counts as sent before a request was sent must be before it.
        let (state, actions) = step(state, input, self.ports.clock.now());
        let awaiting = state.awaiting();
        self.state = Some(state);
        for action in actions {
            self.perform(action);
        }
        // Given up by the machine.
        if self.request.as_ref().is_some_and(|(id, _)| Some(*id) != awaiting) {
            self.request = None;
        }
        self.tell_holder();
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Get(id) => self.send(id, None),
            Action::Write(id, write) => self.send(id, Some(write)),
            Action::StartLeading { valid_until, uid, transitions } => {
                let guard = Guard::new(valid_until);
                self.guard = Some(guard.clone());
                tracing::info!(lease_uid = %uid, transitions, "this replica holds the Lease");
                self.observer.signal(Signal::Ready(false));
                self.observer.signal(Signal::ValidUntil(guard.valid_until()));
                self.tell_leading(true);
                self.changes.push(Change::Leading(guard));
            }
            Action::Extend { valid_until } => {
                if let Some(guard) = &self.guard {
                    guard.extend(valid_until);
                    self.observer.signal(Signal::ValidUntil(guard.valid_until()));
                }
            }
            Action::StopLeading => {
                if let Some(guard) = &self.guard {
                    guard.close();
                }
                self.tell_leading(false);
            }
            Action::Failed(failure) => {
                self.observer.signal(Signal::ElectionFailure(observed(failure)));
            }
            Action::Ended(end) => {
                match end {
                    End::Lost(loss) => tracing::warn!(why = %loss, "leadership is lost"),
                    End::Released => tracing::info!("the Lease is given up"),
                }
                self.observer.signal(Signal::Ready(false));
                self.changes.push(Change::Ended(end));
            }
        }
    }

    fn send(&mut self, id: AttemptId, write: Option<LeaseWrite>) {
        let leases = self.leases.clone();
        let exchange = async move {
            let (what, result) = match &write {
                None => ("read", leases.get().await),
                Some(write) => ("write", leases.write(write).await),
            };
            match result {
                Ok(view) => Answer::Lease(view),
                Err(error) => {
                    tracing::warn!(what, %error, "a request about the Lease failed");
                    answer(&error)
                }
            }
        };
        self.request = Some((id, exchange.boxed()));
    }

    /// Says who holds the Lease, when that changes.
    fn tell_holder(&mut self) {
        let holder = self.state().lease().and_then(|lease| lease.holder().cloned());
        if holder != self.told_holder {
            match &holder {
                Some(holder) => tracing::info!(%holder, "the Lease has a holder"),
                None => tracing::info!("the Lease is free"),
            }
            self.told_holder = holder;
        }
    }

    /// Says whether this replica leads, when that changes: also if the guard was closed by whoever
    /// led, because the log fenced it before the election knew.
    fn tell_leading(&mut self, leading: bool) {
        if leading != self.told_leading {
            self.told_leading = leading;
            if !leading {
                self.observer.signal(Signal::ValidUntil(None));
            }
            self.observer.signal(Signal::Leading(leading));
            self.observer.signal(Signal::LeaderTransition);
        }
    }

    /// While leading, readiness is the leader's to tell.
    fn tell_readiness(&mut self, sight: &Sight) {
        if !matches!(self.state().phase(), Phase::Standby) {
            return;
        }
        if let Sight::Lease(view) = sight
            && view.holder().is_some()
        {
            self.doubtful = false;
        }
        let ready = *sight != Sight::Blind && !self.doubtful;
        if ready != self.ready {
            self.ready = ready;
            self.observer.signal(Signal::Ready(ready));
        }
    }

    /// When validity ends, while leading: for tests and probes.
    #[must_use]
    pub fn valid_until(&self) -> Option<Mono> {
        self.state().valid_until()
    }
}

impl Drop for Election {
    /// Whoever drops the election without waiting for its end must not go on leading by its guard.
    fn drop(&mut self) {
        if let Some(guard) = &self.guard {
            guard.close();
        }
        self.tell_leading(false);
    }
}

fn observed(failure: Failure) -> ElectionFailure {
    match failure {
        Failure::Conflict => ElectionFailure::Conflict,
        Failure::NotFound => ElectionFailure::NotFound,
        Failure::Forbidden | Failure::Rejected => ElectionFailure::Forbidden,
        Failure::Throttled => ElectionFailure::Throttled,
        Failure::ServerError => ElectionFailure::ServerError,
        Failure::Timeout => ElectionFailure::Timeout,
        Failure::Connection => ElectionFailure::Connection,
        Failure::Undecodable => ElectionFailure::Undecodable,
        Failure::DeadlineExceeded => ElectionFailure::DeadlineExceeded,
        Failure::ClockJump => ElectionFailure::ClockJump,
    }
}
